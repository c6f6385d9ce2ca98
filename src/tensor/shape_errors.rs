//! Better words for what torch refuses: both shapes, both dtypes, both devices. Looked at only after a failure.

use crate::runtime::run::device_name;
use crate::runtime::{At, Error, Result};
use crate::tensor::dtype::{kind_name, kind_of};
use tch::TchError;

/// Calls a torch function that takes a scalar. tch drops the scalar before it looks for an error, and that drop panics with
/// the very error that was to be returned; here it becomes one again.
///
/// # Errors
/// Those of the function.
pub fn scalar<T>(call: impl FnOnce() -> std::result::Result<T, TchError>) -> std::result::Result<T, TchError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let said = payload.downcast_ref::<String>().map_or("torch failed", String::as_str);
        let text = said.split_once("Torch(\"").map_or(said, |(_, inner)| inner.trim_end_matches("\")"));
        let line = text.split("\\n").next().unwrap_or(text).replace("\\\"", "\"");
        if line.contains("cannot be converted to type") {
            return Err(TchError::Torch(format!("a number is beyond the range of the dtype ({line})")));
        }
        Err(TchError::Torch(line))
    })
}

/// The result of an operation on two tensors that broadcast, its failure explained.
pub fn pair(
    operation: &str,
    left: &tch::Tensor,
    right: &tch::Tensor,
    result: std::result::Result<tch::Tensor, TchError>,
) -> Result<tch::Tensor> {
    match result {
        Ok(tensor) => Ok(tensor),
        Err(error) => {
            same_device(operation, left, right)?;
            broadcast(operation, &left.size(), &right.size())?;
            Err(error).on(operation, &[left, right])
        }
    }
}

/// Refuses tensors on different devices (rank 0 on the CPU goes with everything).
///
/// # Errors
/// Names both devices.
pub fn same_device(operation: &str, left: &tch::Tensor, right: &tch::Tensor) -> Result<()> {
    let (a, b) = (left.device(), right.device());
    let free = |t: &tch::Tensor| t.dim() == 0 && t.device() == tch::Device::Cpu;
    if a == b || free(left) || free(right) {
        return Ok(());
    }
    let message = format!("tensors on {} and {}", device_name(a), device_name(b));
    Err(Error::new(operation, message).hint(format!("move one with .to({:?})", device_name(a))))
}

/// Refuses tensors of different element types, for operations that do not promote.
///
/// # Errors
/// Names both element types.
pub fn same_kind(operation: &str, left: &tch::Tensor, right: &tch::Tensor) -> Result<()> {
    let (a, b) = (kind_of(left), kind_of(right));
    if a == b {
        return Ok(());
    }
    let message = format!("tensors of dtype {} and {}", kind_name(a), kind_name(b));
    Err(Error::new(operation, message).hint(format!("convert one with .to({:?})", kind_name(a))))
}

/// The shape two shapes broadcast to.
///
/// # Errors
/// Names both shapes and the sizes that differ.
pub fn broadcast(operation: &str, left: &[i64], right: &[i64]) -> Result<Vec<i64>> {
    let rank = left.len().max(right.len());
    let size = |shape: &[i64], from_end: usize| {
        shape.len().checked_sub(from_end).and_then(|place| shape.get(place)).copied().unwrap_or(1)
    };
    let mut shape = vec![];
    for from_end in (1..=rank).rev() {
        let (a, b) = (size(left, from_end), size(right, from_end));
        if a != b && a != 1 && b != 1 {
            let message = format!("shapes {left:?} and {right:?} do not broadcast: sizes {a} and {b} differ");
            let hint = "sizes must be equal or 1, counted from the last dimension; unsqueeze adds dimensions of size 1";
            return Err(Error::new(operation, message).hint(hint));
        }
        shape.push(if a == 1 { b } else { a });
    }
    Ok(shape)
}

/// The result of an operation that looks up places by an index tensor, its failure explained.
pub fn indexed<T>(
    operation: &str,
    tensor: &tch::Tensor,
    dim: i64,
    index: &tch::Tensor,
    result: std::result::Result<T, TchError>,
) -> Result<T> {
    let error = match result {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    same_device(operation, tensor, index)?;
    let size = tensor.size().get(usize::try_from(dim).unwrap_or(usize::MAX)).copied().unwrap_or(0);
    in_range(operation, index, size, &format!("dimension {dim} of shape {:?}", tensor.size()))?;
    Err(error).on(operation, &[tensor, index])
}

/// Refuses indices outside -size..size.
///
/// # Errors
/// Names the first offender.
pub fn in_range(operation: &str, index: &tch::Tensor, size: i64, what: &str) -> Result<()> {
    let values = super::value::integers(index)?;
    match values.into_iter().find(|i| *i >= size || *i < -size) {
        Some(bad) => Err(Error::new(operation, format!("index {bad} is out of range for {what} (size {size})"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_failing_call_with_a_scalar_is_an_error_and_no_panic() {
        let mask = tch::Tensor::from_slice(&[true]);
        let error = scalar(|| mask.f_sub_scalar(1)).unwrap_err().to_string();
        assert!(error.contains("Subtraction, the `-` operator"), "{error}");
        assert!(scalar(|| mask.f_add_scalar(1)).is_ok());
    }

    #[test]
    fn shapes_that_do_not_broadcast_are_both_named() {
        let error = broadcast("+", &[2, 3], &[4]).unwrap_err().to_string();
        assert_eq!(error, "+: shapes [2, 3] and [4] do not broadcast: sizes 3 and 4 differ");
    }

    proptest! {
        #[test]
        fn broadcasting_agrees_with_torch(a in prop::collection::vec(0_i64..4, 0..4), b in prop::collection::vec(0_i64..4, 0..4)) {
            let options = (tch::Kind::Float, tch::Device::Cpu);
            let sum = tch::Tensor::zeros(&a, options).f_add(&tch::Tensor::zeros(&b, options)).ok();
            prop_assert_eq!(sum.map(|t| t.size()), broadcast("+", &a, &b).ok());
        }
    }
}
