//! Arithmetic with numbers for Rust: a number beyond the dtype is an error, where tch would panic.

use super::dtype::{is_float, kind_of};
use super::range::Number;
use crate::tensor::shape_errors::scalar;
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

/// The number as the tensor takes it; torch would wrap it around, or round it to infinity. A fraction makes floats of integers.
fn fit(tensor: &Tensor, number: impl Into<Number>) -> Result<Number, TchError> {
    let (number, kind) = (number.into(), kind_of(tensor));
    if matches!(number, Number::Float(_)) && !is_float(kind) {
        return Ok(number);
    }
    number.fit("", kind).map_err(|error| TchError::Torch(error.to_string()))
}

impl WithNumber for Tensor {
    fn plus(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_add_scalar(fit(self, number)?))
    }

    fn minus(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_sub_scalar(fit(self, number)?))
    }

    fn times(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_mul_scalar(fit(self, number)?))
    }

    fn over(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_div_scalar(fit(self, number)?))
    }

    fn raised(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_pow_tensor_scalar(fit(self, number)?))
    }

    fn at_most(&self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_clamp_max(fit(self, number)?))
    }

    fn within(&self, number: f64) -> Outcome {
        scalar(|| self.f_clamp(fit(self, -number)?, fit(self, number)?))
    }

    fn plus_(&mut self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_add_scalar_(fit(self, number)?))
    }

    fn times_(&mut self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_mul_scalar_(fit(self, number)?))
    }

    fn over_(&mut self, number: impl Into<Number>) -> Outcome {
        scalar(|| self.f_div_scalar_(fit(self, number)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_dtype_are_errors_and_no_panics() {
        let mut x = Tensor::from_slice(&[1.0_f32]);
        for number in [1e39, -1e308] {
            let all = [x.plus(number), x.minus(number), x.times(number), x.over(number), x.raised(number)];
            assert!(all.into_iter().all(|result| result.is_err()), "{number}");
            assert!([x.at_most(number), x.within(number.abs())].into_iter().all(|result| result.is_err()));
            assert!(x.plus_(number).is_err() && x.times_(number).is_err() && x.over_(number).is_err());
        }
        let error = x.times(1e39).unwrap_err().to_string();
        assert!(error.contains("1e39 does not fit f32"), "{error}");
        assert_eq!(x.plus(1).unwrap().double_value(&[0]), 2.0);
    }
}
