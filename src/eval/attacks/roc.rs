//! Rank statistics: the area under the ROC curve with its standard error, and the true-positive rate at a false-positive rate.

/// An estimate and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Estimate {
    /// What an empty set gives.
    pub const UNKNOWN: Self = Self { value: f64::NAN, error: f64::NAN };
}

/// Ranks from 1, equal values sharing the mean of their ranks.
pub fn mid_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = start as f64 + (group.len() as f64 + 1.0) / 2.0;
        group.iter().for_each(|index| ranks[*index] = rank);
        start += group.len();
    }
    ranks
}

/// The probability that a positive scores above a negative, ties counting one half, with DeLong's standard error.
/// Without positives or negatives, or with NaN among the scores, it is NaN.
pub fn auc(positive: &[f64], negative: &[f64]) -> Estimate {
    let (n1, n0) = (positive.len() as f64, negative.len() as f64);
    if positive.is_empty() || negative.is_empty() || positive.iter().chain(negative).any(|x| x.is_nan()) {
        return Estimate::UNKNOWN;
    }
    let together: Vec<f64> = positive.iter().chain(negative).copied().collect();
    let joint = mid_ranks(&together);
    let (joint1, joint0) = joint.split_at(positive.len());
    // Placement values: each positive's share of negatives below it, each negative's share of positives above it.
    let place = |joint: &[f64], own: &[f64], other: f64| -> Vec<f64> {
        joint.iter().zip(mid_ranks(own)).map(|(all, own)| (all - own) / other).collect()
    };
    let above = place(joint1, positive, n0);
    let below = place(joint0, negative, n1);
    let value = above.iter().sum::<f64>() / n1;
    Estimate { value, error: (variance(&above) / n1 + variance(&below) / n0).sqrt() }
}

/// The unbiased variance; NaN for fewer than two values.
fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return f64::NAN;
    }
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)
}

/// The share of positives above the threshold that lets at most a share `rate` of the negatives pass. NaN when there are
/// fewer than ten negatives to expect above it: the figure would rest on a handful of samples.
pub fn tpr_at_fpr(positive: &[f64], negative: &[f64], rate: f64) -> f64 {
    // The small allowance keeps 0.01 * 1000 from being 9.999….
    let allowed = negative.len() as f64 * rate + 1e-9;
    if positive.is_empty() || allowed < 10.0 || positive.iter().chain(negative).any(|x| x.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = negative.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let Some(threshold) = sorted.get(allowed as usize) else { return 1.0 };
    positive.iter().filter(|x| *x > threshold).count() as f64 / positive.len() as f64
}

/// What scripts see of rank statistics.
#[rhai::export_module]
pub mod script {
    use crate::eval::scores::to_host;
    use crate::runtime::{Error, Script};
    use crate::tensor::Tensor;

    /// Area under the ROC curve of scores `[n]` and `[m]`: the probability that a positive scores above a negative, ties
    /// counting one half. NaN when either is empty.
    ///
    /// # Example
    /// ```rhai
    /// assert(auc(tensor([2.0, 3.0]), tensor([1.0, 2.0])) == 0.875);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn auc(positive: Tensor, negative: Tensor) -> Script<f64> {
        Ok(super::auc(&to_host("auc", &positive)?, &to_host("auc", &negative)?).value)
    }

    /// DeLong's standard error of `auc(positive, negative)`.
    ///
    /// # Example
    /// ```rhai
    /// assert(auc_se(tensor([2.0, 3.0, 5.0]), tensor([1.0, 2.0, 4.0])) > 0.1);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn auc_se(positive: Tensor, negative: Tensor) -> Script<f64> {
        Ok(super::auc(&to_host("auc_se", &positive)?, &to_host("auc_se", &negative)?).error)
    }

    /// True-positive rate at a false-positive rate: the share of positives above the threshold that at most `rate` of the
    /// negatives pass. NaN when that would leave fewer than ten negatives above it (below 1,000 of them at 0.01).
    ///
    /// # Example
    /// ```rhai
    /// assert(tpr_at_fpr(tensor([985.0, 995.0]), arange(1000), 0.01) == 0.5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn tpr_at_fpr(positive: Tensor, negative: Tensor, rate: f64) -> Script<f64> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::new("tpr_at_fpr", format!("the rate must be between 0 and 1, got {rate}")).into());
        }
        Ok(super::tpr_at_fpr(&to_host("tpr_at_fpr", &positive)?, &to_host("tpr_at_fpr", &negative)?, rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;
    use proptest::prelude::*;

    fn scores() -> impl Strategy<Value = Vec<f64>> {
        // Few distinct values, so that ties occur.
        prop::collection::vec((-8_i32..8).prop_map(|x| f64::from(x) / 2.0), 1..40)
    }

    proptest! {
        #[test]
        fn exchanging_the_sets_mirrors_the_auc(a in scores(), b in scores()) {
            prop_assert!((auc(&a, &b).value + auc(&b, &a).value - 1.0).abs() < 1e-12);
        }

        #[test]
        fn a_monotone_transform_changes_nothing(a in scores(), b in scores()) {
            let map = |v: &[f64]| v.iter().map(|x| x.exp() * 3.0 - 1.0).collect::<Vec<_>>();
            let (plain, mapped) = (auc(&a, &b), auc(&map(&a), &map(&b)));
            prop_assert_eq!(plain.value, mapped.value);
            prop_assert!(plain.error == mapped.error || (plain.error.is_nan() && mapped.error.is_nan()));
        }

        #[test]
        fn the_auc_is_the_share_of_ordered_pairs(a in scores(), b in scores()) {
            let wins: f64 = a.iter().flat_map(|x| b.iter().map(move |y| if x > y { 1.0 } else if x == y { 0.5 } else { 0.0 })).sum();
            prop_assert!((auc(&a, &b).value - wins / (a.len() * b.len()) as f64).abs() < 1e-12);
        }
    }

    #[test]
    fn the_standard_error_matches_the_spread_over_repetitions() {
        let mut stream = Stream::new(5, "auc");
        let mut draw =
            |n: usize, shift: f64| stream.normals(n).iter().map(|x| f64::from(*x) + shift).collect::<Vec<_>>();
        let estimates: Vec<_> = (0..400).map(|_| auc(&draw(60, 0.5), &draw(90, 0.0))).collect();
        let spread = variance(&estimates.iter().map(|e| e.value).collect::<Vec<_>>()).sqrt();
        let claimed = estimates.iter().map(|e| e.error).sum::<f64>() / 400.0;
        assert!((spread / claimed - 1.0).abs() < 0.12, "spread {spread}, claimed {claimed}");
    }

    #[test]
    fn empty_sets_and_nan_scores_give_nan() {
        assert!(auc(&[], &[1.0]).value.is_nan());
        assert!(auc(&[1.0], &[]).value.is_nan());
        assert!(auc(&[f64::NAN], &[1.0]).value.is_nan());
        assert!(tpr_at_fpr(&[1.0], &[0.0; 999], 0.01).is_nan());
    }

    #[test]
    fn the_rate_counts_positives_above_the_allowed_negatives() {
        let negative: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(tpr_at_fpr(&[988.0, 989.0, 989.5, 2000.0], &negative, 0.01), 0.5);
    }
}
