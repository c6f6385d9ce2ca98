//! Worst-threshold privacy: how well the best threshold on one score of the output tells an unlearned network from the
//! retrained one over the same samples, as the epsilon of (epsilon, delta)-unlearning (Unlearning Comparator).

/// Delta.
const DELTA: f64 = 1e-5;
/// Thresholds lie between cells of equal size of both networks' scores together: the figure then depends on the order of the
/// scores only, and no threshold rests on a handful of samples.
const CELLS: usize = 50;

/// The largest epsilon over all thresholds and both directions of a score; for a threshold it is
/// `max(0, min(ln((1 - delta - FPR) / FNR), ln((1 - delta - FNR) / FPR)))`. Rates are at least half a sample, so that it ends
/// at ln 2n. NaN for empty sets and NaN scores.
pub fn worst(unlearned: &[f64], retrained: &[f64]) -> f64 {
    if unlearned.is_empty() || retrained.is_empty() || unlearned.iter().chain(retrained).any(|x| x.is_nan()) {
        return f64::NAN;
    }
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (u, r, both) = (sorted(unlearned), sorted(retrained), sorted(&[unlearned, retrained].concat()));
    let mut worst = 0.0_f64;
    for cell in 1..CELLS {
        let threshold = both[cell * both.len() / CELLS];
        let above = |values: &[f64]| {
            let below = values.partition_point(|x| *x < threshold);
            (values.len() - below) as f64 / values.len() as f64
        };
        let (u_above, r_above) = (above(&u), above(&r));
        // The positives are one network's samples above the threshold, then the other's.
        worst = worst.max(epsilon(r_above, 1.0 - u_above, r.len(), u.len()));
        worst = worst.max(epsilon(u_above, 1.0 - r_above, u.len(), r.len()));
    }
    worst
}

/// The epsilon of one threshold: false-positive rate of so many negatives, false-negative rate of so many positives.
fn epsilon(fpr: f64, fnr: f64, negatives: usize, positives: usize) -> f64 {
    let floored = |rate: f64, n: usize| rate.max(0.5 / n as f64);
    let bound = |rate: f64, other: f64| ((1.0 - DELTA - rate).max(f64::MIN_POSITIVE) / other).ln();
    bound(fpr, floored(fnr, positives)).min(bound(fnr, floored(fpr, negatives))).max(0.0)
}

/// `2^-epsilon`: 1 where no threshold tells the networks apart.
pub fn forgetting_score(epsilon: f64) -> f64 {
    (-epsilon).exp2()
}

/// What scripts see of the worst threshold.
#[rhai::export_module]
pub mod script {
    use crate::eval::scores::to_host;
    use crate::runtime::Script;
    use crate::tensor::Tensor;

    /// Worst-threshold epsilon between the scores of an unlearned and a retrained network on the same samples (`entropy`, `phi`
    /// and the like): the largest, over 49 thresholds and both directions, of
    /// `max(0, min(ln((1 - delta - FPR) / FNR), ln((1 - delta - FNR) / FPR)))`, delta 1e-5 (Unlearning Comparator; there with
    /// thresholds at even distances). Thresholds divide both networks' scores together into 50 equal shares; a score equal to
    /// the threshold is above it; rates are at least half a sample, so that the largest value is ln 2n. 0 is best, and
    /// `2 ** -epsilon` is the forgetting score. NaN for an empty set.
    ///
    /// # Signature
    /// worst_epsilon(unlearned: Tensor[n], retrained: Tensor[m]) -> float
    ///
    /// # Example
    /// ```rhai
    /// let scores = randn([400]);
    /// assert(worst_epsilon(scores, scores) < 1e-9);
    /// assert_close(worst_epsilon(scores, scores + 100.0), 800.0.ln(), 1e-4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn worst_epsilon(unlearned: Tensor, retrained: Tensor) -> Script<f64> {
        Ok(super::worst(&to_host("worst_epsilon", &unlearned)?, &to_host("worst_epsilon", &retrained)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;
    use proptest::prelude::*;

    fn normals(n: usize, shift: f64, name: &str) -> Vec<f64> {
        Stream::new(1, name).normals(n).iter().map(|x| f64::from(*x) + shift).collect()
    }

    #[test]
    fn it_is_0_between_equals_small_between_seeds_and_finite_where_nothing_overlaps() {
        let a = normals(500, 0.0, "a");
        assert!(worst(&a, &a) < 1e-9);
        let floor = worst(&a, &normals(500, 0.0, "b"));
        assert!(floor < 0.2, "{floor}");
        let apart = worst(&a, &normals(500, 50.0, "b"));
        assert!((apart - 1000_f64.ln()).abs() < 1e-4 && forgetting_score(apart) < 0.01, "{apart}");
    }

    #[test]
    fn a_known_shift_gives_the_epsilon_of_the_best_threshold_between() {
        // Normals two apart: at the middle both rates are Phi(-1) = 0.1587, and ln((1 - 0.1587) / 0.1587) = 1.668.
        let found = worst(&normals(40_000, 0.0, "a"), &normals(40_000, 2.0, "b"));
        assert!((found - 1.668).abs() < 0.04, "{found}");
    }

    #[test]
    fn empty_sets_and_nan_give_nan() {
        assert!(worst(&[], &[1.0]).is_nan() && worst(&[1.0], &[]).is_nan() && worst(&[f64::NAN], &[1.0]).is_nan());
        assert!(forgetting_score(f64::NAN).is_nan());
    }

    proptest! {
        #[test]
        fn it_is_finite_symmetric_and_depends_on_the_order_alone(
            a in prop::collection::vec(-5_i32..5, 1..60),
            b in prop::collection::vec(-5_i32..5, 1..60),
        ) {
            let real = |v: &[i32]| v.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
            let bent = |v: &[f64]| v.iter().map(|x| x.exp()).collect::<Vec<_>>();
            let (a, b) = (real(&a), real(&b));
            let found = worst(&a, &b);
            prop_assert!(found.is_finite() && found >= 0.0);
            prop_assert_eq!(found, worst(&b, &a));
            prop_assert_eq!(found, worst(&bent(&a), &bent(&b)));
        }
    }
}
