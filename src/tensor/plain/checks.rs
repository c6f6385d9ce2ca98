//! Assertions for scripts: what was expected, what came, and where they differ most.

use crate::runtime::options::describe;
use crate::runtime::{At, Error, Options, Result};
use crate::tensor::dtype::{is_float, kind_of};
use crate::tensor::plain::nested::from_value;
use crate::tensor::value::{Tensor, floats};
use rhai::{Dynamic, Map};
use tch::{Device, Kind};

/// Refuses numbers that nothing can be chosen by: NaN, and infinity unless it `counts`.
///
/// # Errors
/// Says how many of `what` are none.
pub fn comparable(operation: &str, what: &str, values: &tch::Tensor, counts: bool) -> Result<()> {
    let wrong = if counts { values.f_isnan() } else { values.f_isfinite().and_then(|fine| fine.f_logical_not()) };
    let wrong = wrong.and_then(|wrong| wrong.f_sum(Kind::Int64)?.f_int64_value(&[])).at(operation)?;
    if wrong == 0 {
        return Ok(());
    }
    let kind = if counts { "NaN" } else { "NaN or infinite" };
    let message = format!("{wrong} of {} {what} are {kind}, so that nothing can be chosen by them", values.numel());
    Err(Error::new(operation, message))
}

/// How far apart two values may be: `|got - expected| <= atol + rtol * |expected|`.
#[derive(Debug, Clone)]
pub struct Tolerance {
    /// Relative to the expected value.
    pub relative: f64,
    /// Absolute.
    pub absolute: f64,
    /// What the message begins with.
    pub label: String,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { relative: 1e-5, absolute: 1e-6, label: String::new() }
    }
}

impl Tolerance {
    fn read(options: Map) -> Result<Self> {
        let mut options = Options::new("assert_close", options);
        let natural = Self::default();
        let tolerance = Self {
            relative: options.non_negative("rtol", natural.relative)?,
            absolute: options.non_negative("atol", natural.absolute)?,
            label: options.text("label", "")?,
        };
        options.finish()?;
        Ok(tolerance)
    }

    fn absolute(value: &Dynamic) -> Result<Self> {
        let absolute = crate::tensor::dtype::number("assert_close", "the tolerance", value)?;
        Ok(Self { relative: 0.0, absolute, label: String::new() })
    }
}

/// Compares numbers, nested arrays or tensors elementwise; NaN is close to nothing.
///
/// # Errors
/// Different shapes, or the largest difference with its place.
pub fn close(got: &Dynamic, expected: &Dynamic, tolerance: &Tolerance) -> Result<()> {
    close_tensors(&as_tensor(got)?, &as_tensor(expected)?, tolerance)
}

fn as_tensor(value: &Dynamic) -> Result<tch::Tensor> {
    match value.read_lock::<Tensor>() {
        Some(tensor) => Ok(tensor.shallow_clone()),
        None => from_value(value).map_err(|_| {
            let message = format!("compares numbers, arrays of numbers and tensors, got {}", describe(value));
            Error::new("assert_close", message)
        }),
    }
}

/// As `close`, for tensors.
///
/// # Errors
/// Different shapes, or the largest difference with its place.
pub fn close_tensors(got: &tch::Tensor, expected: &tch::Tensor, tolerance: &Tolerance) -> Result<()> {
    let label = if tolerance.label.is_empty() { String::new() } else { format!("{}: ", tolerance.label) };
    let fail = |message: String| Err(Error::new("assert_close", format!("{label}{message}")));
    let shape = got.size();
    if shape != expected.size() {
        return fail(format!("shapes differ: got {shape:?}, expected {:?}", expected.size()));
    }
    if !is_float(kind_of(got))
        && !is_float(kind_of(expected))
        && wide(got)?.f_equal(&wide(expected)?).at("assert_close")?
    {
        return Ok(());
    }
    let (got, expected) = (floats(got)?, floats(expected)?);
    let mut worst: Option<(usize, f64)> = None;
    let mut count = 0;
    for (place, (a, b)) in got.iter().zip(&expected).enumerate() {
        // Infinities of one sign are equal; everything that involves NaN fails.
        let difference = if a == b { 0.0 } else { (a - b).abs() };
        if difference <= tolerance.absolute + tolerance.relative * b.abs() && (b.is_finite() || difference == 0.0) {
            continue;
        }
        count += 1;
        let size = if difference.is_nan() { f64::INFINITY } else { difference };
        if worst.is_none_or(|(_, largest)| size > largest) {
            worst = Some((place, size));
        }
    }
    let Some((place, _)) = worst else { return Ok(()) };
    let (a, b) = (got.get(place).copied().unwrap_or(f64::NAN), expected.get(place).copied().unwrap_or(f64::NAN));
    let at = if shape.is_empty() { String::new() } else { format!(" at {:?}", unravel(place, &shape)) };
    let many = if got.len() == 1 { String::new() } else { format!("; {count} of {} elements differ", got.len()) };
    fail(format!(
        "max difference {:.3e}{at}: got {a}, expected {b} (rtol {:e}, atol {:e}){many}",
        (a - b).abs(),
        tolerance.relative,
        tolerance.absolute
    ))
}

fn wide(tensor: &tch::Tensor) -> Result<tch::Tensor> {
    tensor.f_to_device(Device::Cpu).and_then(|t| t.f_to_kind(Kind::Int64)).at("assert_close")
}

/// The index of the element at this place of row-major order.
pub fn unravel(mut place: usize, shape: &[i64]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|size| {
            let size = usize::try_from(*size).unwrap_or(1).max(1);
            let here = place % size;
            place /= size;
            here
        })
        .collect();
    index.reverse();
    index
}

/// The truth of a boolean, or of a tensor with one boolean element.
fn truth(condition: &Dynamic) -> Result<bool> {
    if let Ok(flag) = condition.as_bool() {
        return Ok(flag);
    }
    if let Some(tensor) = condition.read_lock::<Tensor>() {
        if kind_of(&tensor) == Kind::Bool && tensor.numel() == 1 {
            return Ok(tensor.item()? != 0.0);
        }
        let message = format!("needs true or false, got a tensor of shape {:?}", tensor.size());
        return Err(Error::new("assert", message).hint("`mask.all()` says whether all elements are true"));
    }
    Err(Error::new("assert", format!("needs true or false, got {}", describe(condition))))
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::{Tolerance, close, truth};
    use crate::runtime::{Error, Script};
    use rhai::{Dynamic, Map};

    /// Stops the script unless the condition holds: a boolean, or a tensor with one boolean element.
    ///
    /// # Signature
    /// assert(condition: bool | Tensor[, message: string])
    ///
    /// # Example
    /// ```rhai
    /// assert(1 + 1 == 2);
    /// assert((tensor([1, 2]) > 0).all(), "all are positive");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn assert(condition: Dynamic) -> Script<()> {
        if truth(&condition)? { Ok(()) } else { Err(Error::new("", "assertion failed").into()) }
    }

    #[rhai_fn(name = "assert", return_raw)]
    pub fn assert_with(condition: Dynamic, message: &str) -> Script<()> {
        if truth(&condition)? { Ok(()) } else { Err(Error::new("", format!("assertion failed: {message}")).into()) }
    }

    /// Stops the script unless numbers, nested arrays or tensors are elementwise close:
    /// |got - expected| <= atol + rtol * |expected|. A plain number as third argument is `atol`, with `rtol` 0. The message
    /// names the largest difference and its place. NaN is close to nothing.
    ///
    /// # Signature
    /// assert_close(got: value, expected: value, #{ rtol: float = 1e-5, atol: float = 1e-6, label: string = "" } | tolerance: number)
    ///
    /// # Options
    /// - `rtol` (float, 1e-5): tolerance relative to the expected value
    /// - `atol` (float, 1e-6): absolute tolerance
    /// - `label` (string, ""): what the message begins with
    ///
    /// # Example
    /// ```rhai
    /// assert_close(0.1 + 0.2, 0.3);
    /// assert_close(tensor([1.0, 2.0]), [1.001, 2.0], 0.01);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn assert_close(got: Dynamic, expected: Dynamic) -> Script<()> {
        Ok(close(&got, &expected, &Tolerance::default())?)
    }

    #[rhai_fn(name = "assert_close", return_raw)]
    pub fn assert_close_within(got: Dynamic, expected: Dynamic, tolerance: Dynamic) -> Script<()> {
        let tolerance = match tolerance.read_lock::<Map>() {
            Some(options) => Tolerance::read(options.clone())?,
            None => Tolerance::absolute(&tolerance)?,
        };
        Ok(close(&got, &expected, &tolerance)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(got: f64, expected: f64) -> Result<()> {
        close(&got.into(), &expected.into(), &Tolerance::default())
    }

    #[test]
    fn nan_and_opposite_infinities_are_close_to_nothing() {
        assert!(compare(f64::NAN, f64::NAN).is_err());
        assert!(compare(1.0, f64::NAN).is_err());
        assert!(compare(1.0, f64::INFINITY).is_err());
        assert!(compare(f64::NEG_INFINITY, f64::INFINITY).is_err());
        assert!(compare(f64::INFINITY, f64::INFINITY).is_ok());
    }

    #[test]
    fn the_largest_difference_and_its_place_are_named() {
        let got = tch::Tensor::from_slice(&[1.0, 2.0, 3.0, 4.5]).view([2, 2]);
        let expected = tch::Tensor::from_slice(&[1.0, 2.25, 3.0, 4.0]).view([2, 2]);
        let tolerance = Tolerance { label: "w".into(), ..Tolerance::default() };
        let error = close_tensors(&got, &expected, &tolerance).unwrap_err().to_string();
        assert!(
            error.starts_with("assert_close: w: max difference 5.000e-1 at [1, 1]: got 4.5, expected 4"),
            "{error}"
        );
        assert!(error.ends_with("2 of 4 elements differ"), "{error}");
    }

    #[test]
    fn places_unravel_in_row_major_order() {
        assert_eq!(unravel(23, &[2, 3, 4]), [1, 2, 3]);
        assert_eq!(unravel(5, &[2, 3]), [1, 2]);
    }
}
