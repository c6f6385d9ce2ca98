//! Element types, devices, shapes and dimensions as scripts write them.

use crate::runtime::budget;
use crate::runtime::error::{Error, Result};
use crate::runtime::options::{as_integer, as_number, describe, nearest};
use crate::runtime::run::parse_device;
use rhai::{Array, Dynamic};
use tch::{Device, Kind};

/// The names scripts use, with the kinds they stand for.
const NAMES: [(&str, Kind); 10] = [
    ("f32", Kind::Float),
    ("f64", Kind::Double),
    ("f16", Kind::Half),
    ("bf16", Kind::BFloat16),
    ("i64", Kind::Int64),
    ("i32", Kind::Int),
    ("i16", Kind::Int16),
    ("i8", Kind::Int8),
    ("u8", Kind::Uint8),
    ("bool", Kind::Bool),
];

/// The element type with this name: `f32`, `f64`, `f16`, `bf16`, `i64`, `u8`, `bool` (also `i32`, `i16`, `i8`).
///
/// # Errors
/// Any other name, with the choices.
pub fn parse_kind(text: &str) -> Result<Kind> {
    if let Some((_, kind)) = NAMES.iter().find(|(name, _)| *name == text) {
        return Ok(*kind);
    }
    let error = Error::new("dtype", format!("{text:?} is not an element type"));
    let error = error.note("element types: \"f32\", \"f64\", \"f16\", \"bf16\", \"i64\", \"u8\", \"bool\"");
    Err(match foreign(text).or_else(|| nearest(text, NAMES.iter().map(|(name, _)| *name))) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error,
    })
}

/// What other libraries call our element types.
fn foreign(text: &str) -> Option<&'static str> {
    Some(match text {
        "float32" | "float" => "f32",
        "float64" | "double" => "f64",
        "float16" | "half" => "f16",
        "bfloat16" => "bf16",
        "int64" | "long" | "int" => "i64",
        "int32" => "i32",
        "uint8" | "byte" => "u8",
        "boolean" => "bool",
        _ => return None,
    })
}

/// The script's name of an element type.
pub fn kind_name(kind: Kind) -> &'static str {
    NAMES.iter().find(|(_, k)| *k == kind).map_or("another element type", |(name, _)| *name)
}

/// The element type of a tensor; `Float` stands for the undefined ones, which scripts never hold.
pub fn kind_of(tensor: &tch::Tensor) -> Kind {
    tensor.f_kind().unwrap_or(Kind::Float)
}

/// Whether the elements are floating-point numbers.
pub fn is_float(kind: Kind) -> bool {
    matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)
}

/// A device that can be used here: `cpu`, `cuda`, `cuda:1`.
///
/// # Errors
/// An unknown name, or a CUDA device that this process does not have.
pub fn usable_device(operation: &str, text: &str) -> Result<Device> {
    let device = parse_device(text)?;
    if let Device::Cuda(index) = device {
        let present = tch::Cuda::device_count();
        if i64::try_from(index).is_ok_and(|index| index >= present) {
            let message = format!("there is no device {text:?} here ({present} CUDA devices)");
            return Err(Error::new(operation, message).hint("`lethe doctor` says why CUDA is or is not usable"));
        }
    }
    Ok(device)
}

/// A shape: an array of sizes of 0 or above, or a single size.
///
/// # Errors
/// Anything else.
pub fn shape_of(operation: &str, value: &Dynamic) -> Result<Vec<i64>> {
    let sizes = integers(operation, "the shape", value)?;
    if sizes.iter().any(|size| *size < 0) {
        return Err(Error::new(operation, format!("sizes of a shape are 0 or above, got {sizes:?}")));
    }
    Ok(sizes)
}

/// An array of integers, or a single integer as an array of one.
///
/// # Errors
/// Anything else, named as `what`.
pub fn integers(operation: &str, what: &str, value: &Dynamic) -> Result<Vec<i64>> {
    let wrong = |value: &Dynamic| {
        Error::new(operation, format!("{what} must be an integer or an array of integers, got {}", describe(value)))
    };
    if let Some(number) = as_integer(value) {
        return Ok(vec![number]);
    }
    let items = value.read_lock::<Array>().ok_or_else(|| wrong(value))?;
    items.iter().map(|item| as_integer(item).ok_or_else(|| wrong(item))).collect()
}

/// An integer; whole floats count.
///
/// # Errors
/// Anything else, named as `what`.
pub fn integer(operation: &str, what: &str, value: &Dynamic) -> Result<i64> {
    as_integer(value)
        .ok_or_else(|| Error::new(operation, format!("{what} must be an integer, got {}", describe(value))))
}

/// A number; integers count.
///
/// # Errors
/// Anything else, named as `what`.
pub fn number(operation: &str, what: &str, value: &Dynamic) -> Result<f64> {
    as_number(value).ok_or_else(|| Error::new(operation, format!("{what} must be a number, got {}", describe(value))))
}

/// A dimension of a tensor of this rank as 0..rank; negative ones count from the end.
///
/// # Errors
/// A dimension the tensor does not have.
pub fn dimension(operation: &str, rank: usize, dim: i64) -> Result<i64> {
    let rank = rank as i64;
    let positive = if dim < 0 { dim + rank } else { dim };
    if (0..rank).contains(&positive) {
        return Ok(positive);
    }
    let message = format!("there is no dimension {dim} in a tensor of rank {rank}");
    Err(if rank == 0 {
        Error::new(operation, message)
    } else {
        Error::new(operation, message).hint(format!("dimensions are 0 to {}, or -{rank} to -1 from the end", rank - 1))
    })
}

/// Several dimensions, checked and without repetition.
///
/// # Errors
/// A dimension the tensor does not have, or one named twice.
pub fn dimensions(operation: &str, rank: usize, dims: &[i64]) -> Result<Vec<i64>> {
    let mut checked = Vec::with_capacity(dims.len());
    for dim in dims {
        let dim = dimension(operation, rank, *dim)?;
        if checked.contains(&dim) {
            return Err(Error::new(operation, format!("dimension {dim} is named twice in {dims:?}")));
        }
        checked.push(dim);
    }
    Ok(checked)
}

/// The number of elements of a shape, each of which takes so many bytes here.
///
/// # Errors
/// More than memory could hold.
pub fn elements(operation: &str, shape: &[i64], bytes: usize) -> Result<usize> {
    let refused = |why: String| Err(Error::new(operation, format!("a tensor of shape {shape:?} {why}")));
    let count = shape.iter().try_fold(1_i64, |product, size| product.checked_mul(*size));
    let Some(count) = count.and_then(|count| u64::try_from(count).ok()) else {
        return refused("has too many elements".into());
    };
    let needed = count.saturating_mul(bytes as u64);
    // The system is asked for its memory only where that takes less time than the elements.
    match (needed > 1 << 24).then(budget::free).flatten().filter(|free| *free < needed) {
        None => Ok(count as usize),
        Some(free) => {
            refused(format!("takes {} of memory, of which {} are free", budget::size(needed), budget::size(free)))
        }
    }
}

/// Bytes of an element in the memory of this machine; on a GPU its own memory counts, which torch asks for.
pub fn host_bytes(place: (Kind, Device)) -> usize {
    match place {
        (kind, Device::Cpu) => kind.elt_size_in_bytes(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_are_inverse_and_foreign_names_are_translated() {
        for (name, kind) in NAMES {
            assert_eq!(parse_kind(name).unwrap(), kind);
            assert_eq!(kind_name(kind), name);
        }
        let Err(Error::Fault(fault)) = parse_kind("float32") else { panic!("accepted") };
        assert_eq!(fault.hint, "did you mean \"f32\"?");
    }

    #[test]
    fn dimensions_count_from_both_ends_and_are_checked() {
        assert_eq!(dimension("sum", 3, -1).unwrap(), 2);
        assert!(dimension("sum", 3, 3).is_err());
        assert!(dimension("sum", 0, 0).is_err());
        assert!(dimensions("sum", 3, &[0, -3]).is_err());
    }

    #[test]
    fn sizes_that_overflow_are_an_error() {
        assert!(elements("zeros", &[1 << 40, 1 << 40], 4).is_err());
        let error = elements("zeros", &[1 << 20, 1 << 20], 4).unwrap_err().to_string();
        assert!(error.contains("takes 4096.0 GiB of memory, of which"), "{error}");
        assert_eq!(elements("zeros", &[3, 0, 2], 4).unwrap(), 0);
    }
}
