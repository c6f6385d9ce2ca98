//! Putting tensors together, taking them apart, choosing and scattering elements by index.

use crate::runtime::{At, Error, Result};
use crate::tensor::dtype::{dimension, integers, kind_of};
use crate::tensor::index::positions;
use crate::tensor::ops::linalg::tensors_of;
use crate::tensor::range::{Fractions, Number, cast};
use crate::tensor::shape_errors::indexed;
use crate::tensor::value::Tensor;
use rhai::{Array, Dynamic};

/// The tensors one behind the other along a dimension they all have.
///
/// # Errors
/// No tensors; shapes that differ elsewhere, both named.
pub fn cat(tensors: &[tch::Tensor], dim: i64) -> Result<tch::Tensor> {
    let Some(first) = tensors.first() else {
        return Err(Error::new("cat", "needs at least one tensor, got an empty array"));
    };
    let error = match tch::Tensor::f_cat(tensors, dim) {
        Ok(tensor) => return Ok(tensor),
        Err(error) => error,
    };
    let dim = dimension("cat", first.dim(), dim)?;
    let shape = first.size();
    for (place, other) in tensors.iter().enumerate().skip(1) {
        super::shape_errors::same_device("cat", first, other)?;
        let theirs = other.size();
        let fits = |(at, (a, b)): (usize, (&i64, &i64))| at as i64 == dim || a == b;
        if theirs.len() != shape.len() || !shape.iter().zip(&theirs).enumerate().all(fits) {
            let message = format!("element 0 has shape {shape:?}, element {place} has shape {theirs:?}");
            let hint = format!("all sizes but that of dimension {dim} must be equal; stack adds a new dimension");
            return Err(Error::new("cat", message).hint(hint));
        }
    }
    Err(error).on("cat", &tensors.iter().collect::<Vec<_>>())
}

/// The tensors one behind the other along a new dimension.
///
/// # Errors
/// No tensors; shapes that differ, both named.
pub fn stack(tensors: &[tch::Tensor], dim: i64) -> Result<tch::Tensor> {
    let Some(first) = tensors.first() else {
        return Err(Error::new("stack", "needs at least one tensor, got an empty array"));
    };
    let dim = dimension("stack", first.dim() + 1, dim)?;
    let shape = first.size();
    if let Some((place, odd)) = tensors.iter().enumerate().find(|(_, t)| t.size() != shape) {
        let message = format!("element 0 has shape {shape:?}, element {place} has shape {:?}", odd.size());
        return Err(Error::new("stack", message).hint("all shapes must be equal; cat joins along a dimension"));
    }
    tch::Tensor::f_stack(tensors, dim).on("stack", &tensors.iter().collect::<Vec<_>>())
}

/// Pieces of `size` elements along a dimension (the last one may be smaller), or of the sizes given.
fn split(tensor: &tch::Tensor, sizes: &Dynamic, dim: i64) -> Result<Vec<tch::Tensor>> {
    let dim = dimension("split", tensor.dim(), dim)?;
    let whole = tensor.size().get(dim as usize).copied().unwrap_or(0);
    let list = integers("split", "the size", sizes)?;
    if !sizes.is_array() {
        return match list.as_slice() {
            [size] if *size > 0 => tensor.f_split(*size, dim).at("split"),
            _ => Err(Error::new("split", format!("pieces have sizes above 0, got {list:?}"))),
        };
    }
    let sum = list.iter().try_fold(0_i64, |sum, size| sum.checked_add(*size).filter(|_| *size >= 0));
    if sum != Some(whole) {
        return Err(Error::new("split", format!("sizes {list:?} do not add up to the {whole} of dimension {dim}")));
    }
    tensor.f_split_with_sizes(&list, dim).at("split")
}

fn chunk(tensor: &tch::Tensor, pieces: i64, dim: i64) -> Result<Vec<tch::Tensor>> {
    let dim = dimension("chunk", tensor.dim(), dim)?;
    if pieces < 1 {
        return Err(Error::new("chunk", format!("needs at least one piece, got {pieces}")));
    }
    tensor.f_chunk(pieces, dim).at("chunk")
}

fn to_array(tensors: Vec<tch::Tensor>) -> Array {
    tensors.into_iter().map(|tensor| Dynamic::from(Tensor::from(tensor))).collect()
}

/// Slices of a dimension by an index vector.
///
/// # Errors
/// Positions out of range, named; anything but a vector of integers.
pub fn index_select(tensor: &tch::Tensor, dim: i64, index: &tch::Tensor) -> Result<tch::Tensor> {
    const OPERATION: &str = "index_select";
    let dim = dimension(OPERATION, tensor.dim(), dim)?;
    if index.dim() > 1 {
        return Err(Error::new(OPERATION, format!("the index is a vector, got shape {:?}", index.size())));
    }
    indexed(OPERATION, tensor, dim, index, tensor.f_index_select(dim, index))
}

/// Elements of a dimension by an index tensor of the shape of the result.
fn gather(tensor: &tch::Tensor, dim: i64, index: &tch::Tensor) -> Result<tch::Tensor> {
    let dim = dimension("gather", tensor.dim(), dim)?;
    same_rank("gather", tensor, index)?;
    indexed("gather", tensor, dim, index, tensor.f_gather(dim, index, false))
}

fn same_rank(operation: &str, tensor: &tch::Tensor, index: &tch::Tensor) -> Result<()> {
    if tensor.dim() == index.dim() {
        return Ok(());
    }
    let message = format!("tensor and index must have one rank, got shapes {:?} and {:?}", tensor.size(), index.size());
    Err(Error::new(operation, message).hint("index.unsqueeze(1) turns labels [n] into [n, 1]"))
}

/// `tensor` with the elements of `source` added at the places an index tensor of its shape names.
fn scatter_add(tensor: &tch::Tensor, dim: i64, index: &tch::Tensor, source: &tch::Tensor) -> Result<tch::Tensor> {
    const OPERATION: &str = "scatter_add";
    let dim = dimension(OPERATION, tensor.dim(), dim)?;
    same_rank(OPERATION, tensor, index)?;
    super::shape_errors::same_kind(OPERATION, tensor, source)?;
    let add = |tensor: &tch::Tensor, source: &tch::Tensor| tensor.f_scatter_add(dim, index, source);
    let result = indexed(OPERATION, tensor, dim, index, add(tensor, source))?;
    no_overflow(OPERATION, tensor, source, &result, add)?;
    Ok(result)
}

/// Refuses sums of integers that their dtype does not hold.
fn no_overflow(
    operation: &str,
    tensor: &tch::Tensor,
    source: &tch::Tensor,
    result: &tch::Tensor,
    add: impl Fn(&tch::Tensor, &tch::Tensor) -> std::result::Result<tch::Tensor, tch::TchError>,
) -> Result<()> {
    let most = source.numel().saturating_add(1);
    let both = tch::Tensor::f_cat(&[tensor.f_reshape([-1]).at(operation)?, source.f_reshape([-1]).at(operation)?], 0);
    super::overflow::refuse_products(operation, &[&both.at(operation)?], most, result, |_| {
        let wide = |t: &tch::Tensor| t.f_to_kind(tch::Kind::Double).at(operation);
        add(&wide(tensor)?, &wide(source)?).at(operation)
    })
}

fn scatter(tensor: &tch::Tensor, dim: i64, index: &tch::Tensor, source: &Dynamic) -> Result<tch::Tensor> {
    const OPERATION: &str = "scatter";
    let dim = dimension(OPERATION, tensor.dim(), dim)?;
    same_rank(OPERATION, tensor, index)?;
    if let Some(source) = source.read_lock::<Tensor>() {
        super::shape_errors::same_kind(OPERATION, tensor, &source)?;
        return indexed(OPERATION, tensor, dim, index, tensor.f_scatter(dim, index, &source));
    }
    let value = Number::or_truth(OPERATION, "the source", source)?.fit(OPERATION, kind_of(tensor))?;
    indexed(OPERATION, tensor, dim, index, super::shape_errors::scalar(|| tensor.f_scatter_value(dim, index, value)))
}

/// `tensor` with the slices of `source` added to those an index vector names.
///
/// # Errors
/// Positions out of range, shapes that do not fit.
pub fn index_add(tensor: &tch::Tensor, dim: i64, index: &tch::Tensor, source: &tch::Tensor) -> Result<tch::Tensor> {
    const OPERATION: &str = "index_add";
    let dim = dimension(OPERATION, tensor.dim(), dim)?;
    super::shape_errors::same_kind(OPERATION, tensor, source)?;
    let mut expected = tensor.size();
    if let Some(size) = expected.get_mut(dim as usize) {
        *size = index.numel() as i64;
    }
    if source.size() != expected {
        let message = format!(
            "{} positions in {:?} need a source of shape {expected:?}, got {:?}",
            index.numel(),
            tensor.size(),
            source.size()
        );
        return Err(Error::new(OPERATION, message));
    }
    let add = |tensor: &tch::Tensor, source: &tch::Tensor| tensor.f_index_add(dim, index, source);
    let result = indexed(OPERATION, tensor, dim, index, add(tensor, source))?;
    no_overflow(OPERATION, tensor, source, &result, add)?;
    Ok(result)
}

/// The elements where a mask is true, as a vector.
///
/// # Errors
/// Anything but a mask that broadcasts with the tensor.
pub fn masked_select(tensor: &tch::Tensor, mask: &tch::Tensor) -> Result<tch::Tensor> {
    is_mask("masked_select", mask)?;
    super::shape_errors::pair("masked_select", tensor, mask, tensor.f_masked_select(mask))
}

fn is_mask(operation: &str, mask: &tch::Tensor) -> Result<()> {
    match kind_of(mask) {
        tch::Kind::Bool => Ok(()),
        kind => Err(Error::new(operation, format!("needs a mask, got a tensor of {}", super::dtype::kind_name(kind)))
            .hint("comparisons give masks")),
    }
}

fn masked_fill(tensor: &tch::Tensor, mask: &tch::Tensor, value: &Dynamic) -> Result<tch::Tensor> {
    is_mask("masked_fill", mask)?;
    const OPERATION: &str = "masked_fill";
    let value = match value.read_lock::<Tensor>() {
        Some(value) => cast(OPERATION, &value, kind_of(tensor), Fractions::Refused)?,
        None => Number::or_truth(OPERATION, "the value", value)?
            .element(OPERATION, kind_of(tensor))
            .and_then(|value| value.f_to_device(tensor.device()).at(OPERATION))?,
    };
    super::shape_errors::pair("masked_fill", tensor, mask, tensor.f_masked_fill_tensor(mask, &value))
}

/// Elements by their places in row-major order.
fn take(tensor: &tch::Tensor, index: &tch::Tensor) -> Result<tch::Tensor> {
    match tensor.f_take(index) {
        Ok(result) => Ok(result),
        Err(error) => {
            super::shape_errors::in_range("take", index, tensor.numel() as i64, "the elements")?;
            Err(error).on("take", &[tensor, index])
        }
    }
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::{positions, tensors_of, to_array};
    use crate::runtime::Script;
    use rhai::{Array, Dynamic};

    type Tensor = crate::tensor::Tensor;

    /// Tensors one behind the other along a dimension (0) they all have.
    ///
    /// # Signature
    /// cat(tensors: array, dim: int = 0) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(cat([tensor([1, 2]), tensor([3])]) == tensor([1, 2, 3]));
    /// assert(cat([ones([2, 1]), zeros([2, 3])], 1).shape == [2, 4]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cat(tensors: Array) -> Script<Tensor> {
        Ok(super::cat(&tensors_of("cat", &tensors)?, 0)?.into())
    }

    #[rhai_fn(name = "cat", return_raw)]
    pub fn cat_along(tensors: Array, dim: i64) -> Script<Tensor> {
        Ok(super::cat(&tensors_of("cat", &tensors)?, dim)?.into())
    }

    /// Tensors of one shape along a new dimension (0).
    ///
    /// # Signature
    /// stack(tensors: array, dim: int = 0) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(stack([tensor([1, 2]), tensor([3, 4])]) == tensor([[1, 2], [3, 4]]));
    /// assert(stack([tensor([1, 2]), tensor([3, 4])], 1) == tensor([[1, 3], [2, 4]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn stack(tensors: Array) -> Script<Tensor> {
        Ok(super::stack(&tensors_of("stack", &tensors)?, 0)?.into())
    }

    #[rhai_fn(name = "stack", return_raw)]
    pub fn stack_along(tensors: Array, dim: i64) -> Script<Tensor> {
        Ok(super::stack(&tensors_of("stack", &tensors)?, dim)?.into())
    }

    /// Views of pieces of `size` elements along a dimension (0), the last one maybe smaller; or of the sizes in an array. Also
    /// of a string: the parts between separators.
    ///
    /// # Signature
    /// split(tensor: Tensor, size: int | array, dim: int = 0) -> array
    ///
    /// # Example
    /// ```rhai
    /// let parts = arange(5).split(2);
    /// assert(parts.len() == 3 && parts[2] == tensor([4]));
    /// assert(arange(5).split([1, 4])[1].len == 4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn split(tensor: Tensor, size: Dynamic) -> Script<Array> {
        Ok(to_array(super::split(&tensor, &size, 0)?))
    }

    #[rhai_fn(name = "split", return_raw)]
    pub fn split_along(tensor: Tensor, size: Dynamic, dim: i64) -> Script<Array> {
        Ok(to_array(super::split(&tensor, &size, dim)?))
    }

    /// Views of at most `pieces` pieces of equal size along a dimension (0), the last one maybe smaller.
    ///
    /// # Signature
    /// chunk(tensor: Tensor, pieces: int, dim: int = 0) -> array
    ///
    /// # Example
    /// ```rhai
    /// assert(arange(6).chunk(2)[1] == tensor([3, 4, 5]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn chunk(tensor: Tensor, pieces: i64) -> Script<Array> {
        Ok(to_array(super::chunk(&tensor, pieces, 0)?))
    }

    #[rhai_fn(name = "chunk", return_raw)]
    pub fn chunk_along(tensor: Tensor, pieces: i64, dim: i64) -> Script<Array> {
        Ok(to_array(super::chunk(&tensor, pieces, dim)?))
    }

    /// Elements of a dimension by an index tensor, which has the shape of the result.
    ///
    /// # Signature
    /// gather(tensor: Tensor, dim: int, index: Tensor) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let logits = tensor([[0.1, 0.9], [0.8, 0.2]]);
    /// assert_close(logits.gather(1, tensor([[1], [0]])), [[0.9], [0.8]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn gather(tensor: Tensor, dim: i64, index: Dynamic) -> Script<Tensor> {
        Ok(super::gather(&tensor, dim, &positions("gather", &index, &tensor)?)?.into())
    }

    /// Slices of a dimension by a vector or array of positions.
    ///
    /// # Signature
    /// index_select(tensor: Tensor, dim: int, index: Tensor | array) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(arange(6).reshape([3, 2]).index_select(0, [2, 0]) == tensor([[4, 5], [0, 1]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn index_select(tensor: Tensor, dim: i64, index: Dynamic) -> Script<Tensor> {
        Ok(super::index_select(&tensor, dim, &positions("index_select", &index, &tensor)?)?.into())
    }

    /// The elements where a mask is true, as a vector.
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([1, 2, 3]);
    /// assert(x.masked_select(x > 1) == tensor([2, 3]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn masked_select(tensor: Tensor, mask: Tensor) -> Script<Tensor> {
        Ok(super::masked_select(&tensor, &mask)?.into())
    }

    /// A copy with one value where the mask is true.
    ///
    /// # Signature
    /// masked_fill(tensor: Tensor, mask: Tensor, value: number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([1, 2, 3]);
    /// assert(x.masked_fill(x > 1, 0) == tensor([1, 0, 0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn masked_fill(tensor: Tensor, mask: Tensor, value: Dynamic) -> Script<Tensor> {
        Ok(super::masked_fill(&tensor, &mask, &value)?.into())
    }

    /// A copy with the elements of `source` added at the places of a dimension that an index tensor of its shape names.
    ///
    /// # Signature
    /// scatter_add(tensor: Tensor, dim: int, index: Tensor | array, source: Tensor) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([3]).scatter_add(0, [0, 2, 2], tensor([1.0, 2.0, 3.0])) == tensor([1.0, 0.0, 5.0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn scatter_add(tensor: Tensor, dim: i64, index: Dynamic, source: Tensor) -> Script<Tensor> {
        Ok(super::scatter_add(&tensor, dim, &positions("scatter_add", &index, &tensor)?, &source)?.into())
    }

    /// A copy with the elements of `source`, or one number, at the places of a dimension that an index tensor names.
    ///
    /// # Signature
    /// scatter(tensor: Tensor, dim: int, index: Tensor | array, source: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([3]).scatter(0, [0, 2], 1.0) == tensor([1.0, 0.0, 1.0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn scatter(tensor: Tensor, dim: i64, index: Dynamic, source: Dynamic) -> Script<Tensor> {
        Ok(super::scatter(&tensor, dim, &positions("scatter", &index, &tensor)?, &source)?.into())
    }

    /// A copy with the slices of `source` added to the slices of a dimension at the positions given.
    ///
    /// # Signature
    /// index_add(tensor: Tensor, dim: int, index: Tensor | array, source: Tensor) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let sums = zeros([2, 2]).index_add(0, [1, 1], ones([2, 2]));
    /// assert(sums == tensor([[0.0, 0.0], [2.0, 2.0]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn index_add(tensor: Tensor, dim: i64, index: Dynamic, source: Tensor) -> Script<Tensor> {
        Ok(super::index_add(&tensor, dim, &positions("index_add", &index, &tensor)?, &source)?.into())
    }

    /// Elements by their places in row-major order.
    ///
    /// # Signature
    /// take(tensor: Tensor, index: Tensor | array) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1, 2], [3, 4]]).take([0, 3]) == tensor([1, 4]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn take(tensor: Tensor, index: Dynamic) -> Script<Tensor> {
        Ok(super::take(&tensor, &positions("take", &index, &tensor)?)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tch::{Device, Kind};

    #[test]
    fn tensors_that_do_not_join_are_both_named() {
        let make = |shape: &[i64]| tch::Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let error = cat(&[make(&[2, 3]), make(&[2, 4])], 0).unwrap_err().to_string();
        assert_eq!(error, "cat: element 0 has shape [2, 3], element 1 has shape [2, 4]");
        let error = stack(&[make(&[2]), make(&[3])], 0).unwrap_err().to_string();
        assert_eq!(error, "stack: element 0 has shape [2], element 1 has shape [3]");
        assert!(cat(&[], 0).is_err() && stack(&[], 0).is_err());
    }

    proptest! {
        #[test]
        fn pieces_joined_are_the_whole(size in 1_i64..20, piece in 1_i64..8) {
            let whole = tch::Tensor::arange(size, (Kind::Int64, Device::Cpu));
            let pieces = split(&whole, &piece.into(), 0).unwrap();
            prop_assert!(cat(&pieces, 0).unwrap().f_equal(&whole).unwrap());
        }

        #[test]
        fn scattering_keeps_the_sum(index in prop::collection::vec(0_i64..4, 1..20)) {
            let source = tch::Tensor::ones([index.len() as i64], (Kind::Double, Device::Cpu));
            let zeros = tch::Tensor::zeros([4], (Kind::Double, Device::Cpu));
            let sums = index_add(&zeros, 0, &tch::Tensor::from_slice(&index), &source).unwrap();
            prop_assert_eq!(sums.sum(Kind::Double).double_value(&[]), index.len() as f64);
        }
    }
}
