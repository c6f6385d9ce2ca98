//! Arrays of plain numbers, and small helpers of arrays and strings.

use crate::runtime::options::{as_number, describe};
use crate::runtime::{Error, Result};
use rhai::{Array, Dynamic};

/// The elements of an array as floats.
///
/// # Errors
/// Elements that are no numbers.
pub fn numbers(operation: &str, items: &[Dynamic]) -> Result<Vec<f64>> {
    let each = |(place, item): (usize, &Dynamic)| {
        let item = item.flatten_clone();
        if let Some(tensor) = item.read_lock::<crate::tensor::Tensor>() {
            return tensor.item();
        }
        as_number(&item)
            .ok_or_else(|| Error::new(operation, format!("element {place} must be a number, got {}", describe(&item))))
    };
    items.iter().enumerate().map(each).collect()
}

fn not_empty(operation: &str, items: &[Dynamic]) -> Result<()> {
    if items.is_empty() { Err(Error::new(operation, "of an empty array")) } else { Ok(()) }
}

/// The sum: an integer of integers, a float of anything else.
fn sum(items: &[Dynamic]) -> Result<Dynamic> {
    let integers: Option<Vec<i64>> = items.iter().map(|item| item.as_int().ok()).collect();
    match integers.and_then(|all| all.iter().try_fold(0_i64, |sum, n| sum.checked_add(*n))) {
        Some(total) => Ok(total.into()),
        None => Ok(numbers("sum", items)?.iter().sum::<f64>().into()),
    }
}

/// Arithmetic mean.
///
/// # Errors
/// An empty array, elements that are no numbers.
fn mean(items: &[Dynamic]) -> Result<f64> {
    not_empty("mean", items)?;
    Ok(numbers("mean", items)?.iter().sum::<f64>() / items.len() as f64)
}

/// Sample standard deviation (divisor n - 1); 0 of one element.
fn deviation(items: &[Dynamic]) -> Result<f64> {
    not_empty("std", items)?;
    let center = mean(items)?;
    let squares: f64 = numbers("std", items)?.iter().map(|x| (x - center).powi(2)).sum();
    Ok((squares / (items.len().max(2) - 1) as f64).sqrt())
}

/// The place of the first element that no other is before.
///
/// # Errors
/// An empty array, NaN among the elements.
fn place_of_best(operation: &str, items: &[Dynamic], largest: bool) -> Result<usize> {
    not_empty(operation, items)?;
    let values = numbers(operation, items)?;
    let undefined = values.iter().filter(|value| value.is_nan()).count();
    if undefined > 0 {
        let message = format!("{undefined} of {} elements are NaN, which is neither large nor small", values.len());
        return Err(Error::new(operation, message).hint("take them out first: a.filter(|x| !x.is_nan())"));
    }
    let better = |a: f64, b: f64| if largest { a > b } else { a < b };
    let first = |best: usize, place: usize| if better(values[place], values[best]) { place } else { best };
    Ok((1..values.len()).fold(0, first))
}

fn best(operation: &str, items: &[Dynamic], largest: bool) -> Result<Dynamic> {
    let place = place_of_best(operation, items, largest)?;
    Ok(items.get(place).cloned().unwrap_or_default())
}

fn zipped(left: Array, right: Array) -> Result<Array> {
    if left.len() != right.len() {
        return Err(Error::new("zip", format!("arrays of {} and {} elements", left.len(), right.len())));
    }
    Ok(left.into_iter().zip(right).map(|(a, b)| Dynamic::from(vec![a, b])).collect())
}

fn repeated(text: &str, times: i64) -> Result<String> {
    match usize::try_from(times) {
        Ok(times) if times.saturating_mul(text.len()) <= 1 << 24 => Ok(text.repeat(times)),
        _ => Err(Error::new("repeat", format!("cannot repeat a text of {} bytes {times} times", text.len()))),
    }
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{best, place_of_best};
    use crate::runtime::Script;
    use rhai::{Array, Dynamic};

    #[rhai_fn(name = "sum", pure, return_raw)]
    pub fn sum(items: &mut Array) -> Script<Dynamic> {
        Ok(super::sum(items)?)
    }

    #[rhai_fn(name = "mean", pure, return_raw)]
    pub fn mean(items: &mut Array) -> Script<f64> {
        Ok(super::mean(items)?)
    }

    #[rhai_fn(name = "std", pure, return_raw)]
    pub fn std(items: &mut Array) -> Script<f64> {
        Ok(super::deviation(items)?)
    }

    /// The smallest number of an array. (`min` of two numbers is the smaller one.)
    ///
    /// # Example
    /// ```rhai
    /// assert([3, 1, 2].min_of() == 1);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn min_of(items: &mut Array) -> Script<Dynamic> {
        Ok(best("min_of", items, false)?)
    }

    /// The largest number of an array. (`max` of two numbers is the larger one.)
    ///
    /// # Example
    /// ```rhai
    /// assert([3, 1, 2.5].max_of() == 3);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn max_of(items: &mut Array) -> Script<Dynamic> {
        Ok(best("max_of", items, true)?)
    }

    #[rhai_fn(name = "argmax", pure, return_raw)]
    pub fn argmax(items: &mut Array) -> Script<i64> {
        Ok(place_of_best("argmax", items, true)? as i64)
    }

    #[rhai_fn(name = "argmin", pure, return_raw)]
    pub fn argmin(items: &mut Array) -> Script<i64> {
        Ok(place_of_best("argmin", items, false)? as i64)
    }

    /// The elements of an array as one text, with a separator between them.
    ///
    /// # Example
    /// ```rhai
    /// assert([1, "a", 2.5].join(", ") == "1, a, 2.5");
    /// ```
    #[rhai_fn(pure)]
    pub fn join(context: rhai::NativeCallContext, items: &mut Array, separator: &str) -> String {
        let text = |item: &Dynamic| match item.clone().into_string() {
            Ok(text) => text,
            Err(_) => {
                let shown = context.call_native_fn::<Dynamic>("to_string", (item.clone(),));
                shown.map_or_else(|_| item.to_string(), |shown| shown.to_string())
            }
        };
        items.iter().map(text).collect::<Vec<_>>().join(separator)
    }

    /// The pairs of the elements of two arrays of one length.
    ///
    /// # Example
    /// ```rhai
    /// assert(zip([1, 2], ["a", "b"]) == [[1, "a"], [2, "b"]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn zip(left: Array, right: Array) -> Script<Array> {
        Ok(super::zipped(left, right)?)
    }

    /// The elements of an array in pairs with their places. (`for (x, i) in array` counts as well.)
    ///
    /// # Example
    /// ```rhai
    /// assert(enumerate(["a", "b"]) == [[0, "a"], [1, "b"]]);
    /// ```
    pub fn enumerate(items: Array) -> Array {
        let pair = |(place, item): (usize, Dynamic)| Dynamic::from(vec![Dynamic::from(place as i64), item]);
        items.into_iter().enumerate().map(pair).collect()
    }

    #[rhai_fn(name = "repeat", return_raw)]
    pub fn repeat(text: &str, times: i64) -> Script<String> {
        Ok(super::repeated(text, times)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[f64]) -> Array {
        values.iter().map(|v| Dynamic::from(*v)).collect()
    }

    #[test]
    fn statistics_of_arrays() {
        assert_eq!(mean(&array(&[1.0, 3.0])).unwrap(), 2.0);
        assert_eq!(deviation(&array(&[1.0, 3.0])).unwrap(), 2.0_f64.sqrt());
        assert_eq!(deviation(&array(&[5.0])).unwrap(), 0.0);
        assert!(mean(&[]).is_err());
        assert!(numbers("sum", &[Dynamic::from("a")]).is_err());
    }

    #[test]
    fn sums_of_integers_stay_integers_until_they_overflow() {
        let sum_of = |values: &[i64]| sum(&values.iter().map(|v| Dynamic::from(*v)).collect::<Array>()).unwrap();
        assert_eq!(sum_of(&[1, 2]).as_int(), Ok(3));
        assert!(sum_of(&[i64::MAX, 1]).is_float());
        assert_eq!(sum_of(&[]).as_int(), Ok(0));
    }

    #[test]
    fn the_first_of_equals_is_the_best() {
        assert_eq!(place_of_best("argmax", &array(&[1.0, 2.0, 2.0]), true).unwrap(), 1);
        assert_eq!(place_of_best("argmin", &array(&[1.0, 1.0, 2.0]), false).unwrap(), 0);
    }

    #[test]
    fn endless_texts_are_refused() {
        assert!(repeated("ab", i64::MAX).is_err());
        assert!(repeated("ab", -1).is_err());
        assert_eq!(repeated("-", 3).unwrap(), "---");
    }
}
