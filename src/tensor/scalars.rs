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
    /// A number that does not fit the dtype.
    fn plus(&self, number: impl Into<Number>) -> Outcome;

    /// Subtracts a number.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
    fn minus(&self, number: impl Into<Number>) -> Outcome;

    /// Multiplies by a number.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
    fn times(&self, number: impl Into<Number>) -> Outcome;

    /// Divides by a number.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
    fn over(&self, number: impl Into<Number>) -> Outcome;

    /// Raises to the power of a number.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
    fn raised(&self, number: impl Into<Number>) -> Outcome;

    /// Limits to a number from above.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
    fn at_most(&self, number: impl Into<Number>) -> Outcome;

    /// Limits to the numbers from `-number` to `number`.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
    fn within(&self, number: f64) -> Outcome;

    /// Adds a number in place.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
    fn plus_(&mut self, number: impl Into<Number>) -> Outcome;

    /// Multiplies by a number in place.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
    fn times_(&mut self, number: impl Into<Number>) -> Outcome;

    /// Divides by a number in place.
    ///
    /// # Errors
    /// A number that does not fit the dtype.
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
    fn numbers_beyond_the_dtype_are_errors_and_no_panics() {
        let mut x = Tensor::from_slice(&[1.0_f32]);
        for number in [1e39, -1e308] {
            // Torch refuses what it would have to round to infinity, and takes some numbers in double precision; it never panics.
            let all = [x.plus(number), x.minus(number), x.times(number), x.plus_(number), x.times_(number)];
            assert!(all.iter().all(Result::is_err), "{number}: {all:?}");
            for result in [x.over(number), x.raised(number), x.at_most(number), x.within(number.abs()), x.over_(number)]
            {
                assert!(result.is_err() || x.isfinite().all().int64_value(&[]) == 1, "{number}");
            }
        }
        let error = x.times(1e39).unwrap_err().to_string();
        assert!(error.contains("beyond the range of the dtype"), "{error}");
        assert_eq!(x.plus(1).unwrap().double_value(&[0]), 2.0);
    }
}
