//! Views and rearrangements.

use super::dtype::{dimension, dimensions, integers};
use crate::runtime::{At, Error, Result};
use rhai::Dynamic;

/// The tensor in another shape of as many elements; one size may be -1.
///
/// # Errors
/// Names both shapes when the numbers of elements differ.
pub fn reshape(operation: &str, tensor: &tch::Tensor, shape: &[i64]) -> Result<tch::Tensor> {
    let count = tensor.numel() as i64;
    let known = shape.iter().filter(|size| **size >= 0).try_fold(1_i64, |p, s| p.checked_mul(*s)).unwrap_or(-1);
    let unknown = shape.iter().filter(|size| **size == -1).count();
    let negative = shape.iter().any(|size| *size < -1);
    let fits = !negative
        && match unknown {
            0 => known == count,
            1 => known > 0 && count % known == 0,
            _ => false,
        };
    if !fits {
        let message = format!("{:?} ({count} elements) does not fit {shape:?}", tensor.size());
        let error = Error::new(operation, message);
        return Err(if unknown > 1 { error.hint("only one size may be -1") } else { error });
    }
    tensor.f_reshape(shape).at(operation)
}

/// The dimensions in another order.
///
/// # Errors
/// Anything but each dimension once.
pub fn permute(tensor: &tch::Tensor, dims: &[i64]) -> Result<tch::Tensor> {
    if dims.len() != tensor.dim() {
        let message = format!("{dims:?} does not name each of the {} dimensions once", tensor.dim());
        return Err(Error::new("permute", message));
    }
    tensor.f_permute(dimensions("permute", tensor.dim(), dims)?).at("permute")
}

/// The tensor repeated by stride 0 to a larger shape; -1 keeps a size.
///
/// # Errors
/// Sizes that are neither 1 nor equal.
pub fn expand(tensor: &tch::Tensor, shape: &[i64]) -> Result<tch::Tensor> {
    tensor.f_expand(shape, false).map_err(|_| {
        let message = format!("{:?} does not expand to {shape:?}", tensor.size());
        Error::new("expand", message).hint("only sizes of 1 grow, and new dimensions come first")
    })
}

/// `length` elements of a dimension from `start`.
///
/// # Errors
/// When they reach beyond the dimension.
pub fn narrow(tensor: &tch::Tensor, dim: i64, start: i64, length: i64) -> Result<tch::Tensor> {
    let dim = dimension("narrow", tensor.dim(), dim)?;
    let size = tensor.size().get(dim as usize).copied().unwrap_or(0);
    let from = if start < 0 { start + size } else { start };
    if from < 0 || length < 0 || from.checked_add(length).is_none_or(|end| end > size) {
        let message = format!("{length} elements from {start} reach beyond dimension {dim} of size {size}");
        return Err(Error::new("narrow", message));
    }
    tensor.f_narrow(dim, from, length).at("narrow")
}

/// A new dimension of size 1 at this place, -1 being behind the last.
fn unsqueeze(tensor: &tch::Tensor, dim: i64) -> Result<tch::Tensor> {
    let dim = dimension("unsqueeze", tensor.dim() + 1, dim)?;
    tensor.f_unsqueeze(dim).at("unsqueeze")
}

fn flip(tensor: &tch::Tensor, dims: &Dynamic) -> Result<tch::Tensor> {
    let dims = dimensions("flip", tensor.dim(), &integers("flip", "the dimension", dims)?)?;
    tensor.f_flip(dims).at("flip")
}

fn squeeze(tensor: &tch::Tensor, dims: &Dynamic) -> Result<tch::Tensor> {
    let dims = dimensions("squeeze", tensor.dim(), &integers("squeeze", "the dimension", dims)?)?;
    tensor.f_squeeze_dims(dims).at("squeeze")
}

fn roll(tensor: &tch::Tensor, shifts: &Dynamic, dims: &Dynamic) -> Result<tch::Tensor> {
    let shifts = integers("roll", "the shift", shifts)?;
    let dims = dimensions("roll", tensor.dim(), &integers("roll", "the dimension", dims)?)?;
    if shifts.len() != dims.len() {
        return Err(Error::new("roll", format!("{} shifts for {} dimensions", shifts.len(), dims.len())));
    }
    tensor.f_roll(shifts, dims).at("roll")
}

fn flatten(tensor: &tch::Tensor, from: i64, to: i64) -> Result<tch::Tensor> {
    if tensor.dim() == 0 {
        return tensor.f_reshape([1]).at("flatten");
    }
    let from = dimension("flatten", tensor.dim(), from)?;
    let to = dimension("flatten", tensor.dim(), to)?;
    if from > to {
        return Err(Error::new("flatten", format!("dimension {from} comes after dimension {to}")));
    }
    tensor.f_flatten(from, to).at("flatten")
}

fn transpose(tensor: &tch::Tensor, first: i64, second: i64) -> Result<tch::Tensor> {
    let first = dimension("transpose", tensor.dim(), first)?;
    let second = dimension("transpose", tensor.dim(), second)?;
    tensor.f_transpose(first, second).at("transpose")
}

fn matrix_transpose(tensor: &tch::Tensor) -> Result<tch::Tensor> {
    if tensor.dim() > 2 {
        let message = format!("transposes matrices, got shape {:?}", tensor.size());
        return Err(Error::new("t", message).hint("transpose(a, b) swaps two dimensions of any tensor"));
    }
    tensor.f_tr().at("t")
}

fn repeat(tensor: &tch::Tensor, times: &[i64]) -> Result<tch::Tensor> {
    if times.len() < tensor.dim() || times.iter().any(|n| *n < 0) {
        let message = format!("{times:?} does not say how often to repeat each of {} dimensions", tensor.dim());
        return Err(Error::new("repeat", message));
    }
    let shape = tensor.size();
    let padded = std::iter::repeat_n(1, times.len() - shape.len()).chain(shape.iter().copied());
    let total: Vec<i64> = padded.zip(times).map(|(size, n)| size.saturating_mul(*n)).collect();
    super::dtype::elements("repeat", &total, super::dtype::host_bytes((tensor.kind(), tensor.device())))?;
    tensor.f_repeat(times).at("repeat")
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::runtime::{At, Script};
    use crate::tensor::dtype::{dimension, integers};
    use rhai::Dynamic;

    type Tensor = crate::tensor::Tensor;

    /// The tensor in another shape of as many elements; one size may be -1. A view where possible.
    ///
    /// # Signature
    /// reshape(tensor: Tensor, shape: array | int) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(arange(6).reshape([2, -1]).shape == [2, 3]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn reshape(tensor: Tensor, shape: Dynamic) -> Script<Tensor> {
        Ok(super::reshape("reshape", &tensor, &integers("reshape", "the shape", &shape)?)?.into())
    }

    /// The tensor in another shape, always sharing storage; an error where that is impossible.
    ///
    /// # Signature
    /// view(tensor: Tensor, shape: array | int) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let t = zeros([4]);
    /// let v = t.view([2, 2]);
    /// v[0] = 1.0;
    /// assert(t.sum().item() == 2.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn view(tensor: Tensor, shape: Dynamic) -> Script<Tensor> {
        let shape = integers("view", "the shape", &shape)?;
        let _ = super::reshape("view", &tensor, &shape)?;
        Ok(tensor.f_view(shape.as_slice()).at("view")?.into())
    }

    /// The dimensions in another order; a view.
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3, 4]).permute([2, 0, 1]).shape == [4, 2, 3]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn permute(tensor: Tensor, dims: rhai::Array) -> Script<Tensor> {
        Ok(super::permute(&tensor, &integers("permute", "the order", &dims.into())?)?.into())
    }

    /// Two dimensions swapped; a view.
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3, 4]).transpose(0, -1).shape == [4, 3, 2]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn transpose(tensor: Tensor, first: i64, second: i64) -> Script<Tensor> {
        Ok(super::transpose(&tensor, first, second)?.into())
    }

    /// The transposed matrix; a view.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1, 2], [3, 4]]).t() == tensor([[1, 3], [2, 4]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn t(tensor: Tensor) -> Script<Tensor> {
        Ok(super::matrix_transpose(&tensor)?.into())
    }

    /// The tensor repeated to a larger shape without copying: sizes of 1 grow, -1 keeps a size.
    ///
    /// # Signature
    /// expand(tensor: Tensor, shape: array | int) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1], [2]]).expand([2, 3]).sum().item() == 9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn expand(tensor: Tensor, shape: Dynamic) -> Script<Tensor> {
        Ok(super::expand(&tensor, &integers("expand", "the shape", &shape)?)?.into())
    }

    /// The tensor without its dimensions of size 1, or without those named (where they have size 1).
    ///
    /// # Signature
    /// squeeze(tensor: Tensor[, dims: int | array]) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([1, 3, 1]).squeeze().shape == [3]);
    /// assert(zeros([1, 3, 1]).squeeze(0).shape == [3, 1]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn squeeze(tensor: Tensor) -> Script<Tensor> {
        Ok(tensor.f_squeeze().at("squeeze")?.into())
    }

    #[rhai_fn(name = "squeeze", return_raw)]
    pub fn squeeze_dims(tensor: Tensor, dims: Dynamic) -> Script<Tensor> {
        Ok(super::squeeze(&tensor, &dims)?.into())
    }

    /// The tensor with a new dimension of size 1 at this place.
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3]).unsqueeze(1).shape == [2, 1, 3]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn unsqueeze(tensor: Tensor, dim: i64) -> Script<Tensor> {
        Ok(super::unsqueeze(&tensor, dim)?.into())
    }

    /// Dimensions `from` (0) to `to` (-1) merged into one.
    ///
    /// # Signature
    /// flatten(tensor: Tensor, from: int = 0, to: int = -1) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3, 4]).flatten(1).shape == [2, 12]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn flatten(tensor: Tensor) -> Script<Tensor> {
        Ok(super::flatten(&tensor, 0, -1)?.into())
    }

    #[rhai_fn(name = "flatten", return_raw)]
    pub fn flatten_from(tensor: Tensor, from: i64) -> Script<Tensor> {
        Ok(super::flatten(&tensor, from, -1)?.into())
    }

    #[rhai_fn(name = "flatten", return_raw)]
    pub fn flatten_between(tensor: Tensor, from: i64, to: i64) -> Script<Tensor> {
        Ok(super::flatten(&tensor, from, to)?.into())
    }

    /// The tensor laid out several times along each dimension, copied. Also of a string: the text several times.
    ///
    /// # Signature
    /// repeat(tensor: Tensor, times: array | int) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2]).repeat([2, 2]) == tensor([[1, 2, 1, 2], [1, 2, 1, 2]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn repeat(tensor: Tensor, times: Dynamic) -> Script<Tensor> {
        Ok(super::repeat(&tensor, &integers("repeat", "the number of times", &times)?)?.into())
    }

    /// Each element of a dimension (0) several times in a row.
    ///
    /// # Signature
    /// repeat_interleave(tensor: Tensor, times: int, dim: int = 0) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(repeat_interleave(tensor([1, 2]), 2) == tensor([1, 1, 2, 2]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn repeat_interleave(tensor: Tensor, times: i64) -> Script<Tensor> {
        repeat_interleave_over(tensor, times, 0)
    }

    #[rhai_fn(name = "repeat_interleave", return_raw)]
    pub fn repeat_interleave_over(tensor: Tensor, times: i64, dim: i64) -> Script<Tensor> {
        let dim = dimension("repeat_interleave", tensor.dim(), dim)?;
        let result = tensor.f_repeat_interleave_self_int(times, dim, None::<i64>);
        Ok(result.at("repeat_interleave")?.into())
    }

    /// The order of the elements of a dimension, or of several, reversed.
    ///
    /// # Signature
    /// flip(tensor: Tensor, dims: int | array) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2, 3]).flip(0) == tensor([3, 2, 1]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn flip(tensor: Tensor, dims: Dynamic) -> Script<Tensor> {
        Ok(super::flip(&tensor, &dims)?.into())
    }

    /// The elements moved along a dimension, those that leave at the end coming back at the front.
    ///
    /// # Signature
    /// roll(tensor: Tensor, shifts: int | array, dims: int | array) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2, 3]).roll(1, 0) == tensor([3, 1, 2]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn roll(tensor: Tensor, shifts: Dynamic, dims: Dynamic) -> Script<Tensor> {
        Ok(super::roll(&tensor, &shifts, &dims)?.into())
    }

    /// The tensor in row-major order in memory; a copy only where it is not so already.
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3]).t().contiguous().view([6]).len == 6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn contiguous(tensor: Tensor) -> Script<Tensor> {
        Ok(tensor.f_contiguous().at("contiguous")?.into())
    }

    /// `length` elements of a dimension from `start`; a view.
    ///
    /// # Example
    /// ```rhai
    /// assert(arange(10).narrow(0, 2, 3) == tensor([2, 3, 4]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn narrow(tensor: Tensor, dim: i64, start: i64, length: i64) -> Script<Tensor> {
        Ok(super::narrow(&tensor, dim, start, length)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tch::{Device, Kind};

    proptest! {
        #[test]
        fn reshape_agrees_with_torch(from in prop::collection::vec(0_i64..5, 0..4), to in prop::collection::vec(-2_i64..7, 0..4)) {
            let tensor = tch::Tensor::zeros(&from, (Kind::Float, Device::Cpu));
            let theirs = tensor.f_reshape(&to).ok().map(|t| t.size());
            prop_assert_eq!(reshape("reshape", &tensor, &to).ok().map(|t| t.size()), theirs);
        }
    }

    #[test]
    fn both_shapes_are_named() {
        let tensor = tch::Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let error = reshape("reshape", &tensor, &[4]).unwrap_err().to_string();
        assert_eq!(error, "reshape: [2, 3] (6 elements) does not fit [4]");
        assert_eq!(expand(&tensor, &[2, 4]).unwrap_err().to_string(), "expand: [2, 3] does not expand to [2, 4]");
        assert!(narrow(&tensor, 1, 2, 2).is_err());
    }
}
