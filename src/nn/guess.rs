//! The classes a network takes its inputs for: the highest logit, where the outputs are a distribution at all.

use tch::{TchError, Tensor};

/// Stands for the class of an input whose outputs are no distribution. No label is it, so that such an input is never right.
pub const NO_CLASS: i64 = -1;

/// The class of each row of logits [n, classes], i64 [n]; `NO_CLASS` where a logit is NaN or positively infinite, or all are
/// masked by minus infinity. Nothing waits for the device.
///
/// # Errors
/// Those of torch.
pub fn guesses(logits: &Tensor) -> Result<Tensor, TchError> {
    // NaN is the largest of its row, as infinity is.
    let (top, class) = logits.f_max_dim(1, false)?;
    class.f_masked_fill(&top.f_isfinite()?.f_logical_not()?, NO_CLASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_are_no_distribution_have_no_class_and_masked_ones_have() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let z = [[nan, 1.0], [1.0, nan], [nan, nan], [inf, 0.0], [-inf, -inf], [-inf, 2.0], [2.0, 1.0], [1.0, 1.0]];
        let z = Tensor::from_slice(&z.concat()).view([-1, 2]);
        let found = Vec::<i64>::try_from(guesses(&z).unwrap()).unwrap();
        assert_eq!(found, [-1, -1, -1, -1, -1, 1, 0, 0]);
        let extreme = Tensor::from_slice(&[f32::MAX, f32::MIN, 1e30, -1e30]).view([-1, 2]);
        assert_eq!(Vec::<i64>::try_from(guesses(&extreme).unwrap()).unwrap(), [0, 0]);
    }
}
