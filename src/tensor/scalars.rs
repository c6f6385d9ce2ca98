//! Arithmetic with numbers for Rust: a number beyond the dtype is an error, where tch would panic.

use super::explain::scalar;
use super::range::Number;
use tch::{TchError, Tensor};

type Outcome = Result<Tensor, TchError>;

/// Operations of a tensor with a number that somebody chose: a rate, a temperature, a weight.
pub trait WithNumber {
    /// Adds a number.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn plus(&self, number: impl Into<Number>) -> Outcome;

    /// Subtracts a number.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn minus(&self, number: impl Into<Number>) -> Outcome;

    /// Multiplies by a number.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn times(&self, number: impl Into<Number>) -> Outcome;

    /// Divides by a number.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn over(&self, number: impl Into<Number>) -> Outcome;

    /// Raises to the power of a number.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn raised(&self, number: impl Into<Number>) -> Outcome;

    /// Limits to a number from above.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn at_most(&self, number: impl Into<Number>) -> Outcome;

    /// Limits to the numbers from `-number` to `number`.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn within(&self, number: f64) -> Outcome;

    /// Adds a number in place.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn plus_(&mut self, number: impl Into<Number>) -> Outcome;

    /// Multiplies by a number in place.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn times_(&mut self, number: impl Into<Number>) -> Outcome;

    /// Divides by a number in place.
    ///
    /// # Errors
    /// A number that torch cannot convert to the dtype.
    fn over_(&mut self, number: impl Into<Number>) -> Outcome;
}

impl WithNumber for Tensor {
    fn plus(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_add_scalar(number.into()))
    }

    fn minus(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_sub_scalar(number.into()))
    }

    fn times(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_mul_scalar(number.into()))
    }

    fn over(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_div_scalar(number.into()))
    }

    fn raised(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_pow_tensor_scalar(number.into()))
    }

    fn at_most(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_clamp_max(number.into()))
    }

    fn within(&self, number: f64) -> Outcome {
        scalar(|| self.f_clamp(-number, number))
    }

    fn plus_(&mut self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_add_scalar_(number.into()))
    }

    fn times_(&mut self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_mul_scalar_(number.into()))
    }

    fn over_(&mut self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_div_scalar_(number.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_dtype_are_errors_or_infinite_and_no_panics() {
        let mut x = Tensor::from_slice(&[1_u8]);
        for number in [300, -1, i64::MAX] {
            let all = [x.plus(number), x.minus(number), x.times(number), x.plus_(number), x.times_(number)];
            assert!(all.iter().all(Result::is_err), "{number}: {all:?}");
        }
        let mut x = Tensor::from_slice(&[1.0_f32]);
        for number in [1e39, -1e308] {
            let results = [x.plus(number), x.times(number), x.over(number), x.raised(number), x.at_most(number)];
            let results =
                results.into_iter().chain([x.within(number), x.copy().times_(number), x.copy().over_(number)]);
            assert!(results.flatten().all(|result| result.size() == [1]), "{number}");
        }
        x = Tensor::from_slice(&[1.0_f32]);
        assert_eq!(x.plus(1).unwrap().double_value(&[0]), 2.0);
    }
}
