//! Single numbers that put accuracy and forgetting together without a retrained network. They reward forgetting as such, so
//! they are read beside the retrained network's value, never instead of it.

use crate::eval::metrics::Metrics;
use crate::runtime::{Error, Result, options};
use rhai::Dynamic;

/// The weight of accuracy in NoMUS, as published.
pub const LAMBDA: f64 = 0.5;

/// `lambda * test accuracy + (1 - lambda) * (1 - 2 |attack accuracy - 0.5|)`.
pub fn nomus(test_accuracy: f64, attack_accuracy: f64, lambda: f64) -> f64 {
    lambda * test_accuracy + (1.0 - lambda) * (1.0 - 2.0 * (attack_accuracy - 0.5).abs())
}

/// DUCK's adaptive unlearning score: `(1 - loss of test accuracy) / (1 + distance)`. The distance is that of the accuracy on
/// the forgotten samples from test accuracy, and from 0 where whole classes are forgotten.
pub fn adaptive_unlearning_score(original: &Metrics, unlearned: &Metrics) -> f64 {
    let (test, forget) = (unlearned.get("test_accuracy"), unlearned.get("forget_accuracy"));
    let target = if unlearned.basis.classes.is_empty() { test } else { 0.0 };
    (1.0 - (original.get("test_accuracy") - test)) / (1.0 + (target - forget).abs())
}

/// A script's number, whole or not.
fn number(value: &Dynamic) -> Result<f64> {
    let wrong = || Error::new("nomus", format!("expects numbers, got {}", options::describe(value)));
    options::as_number(value).ok_or_else(wrong)
}

/// What scripts see of the summaries.
#[rhai::export_module]
pub mod script {
    use crate::eval::Metrics;
    use crate::runtime::{Options, Script};
    use rhai::{Dynamic, Map};

    /// NoMUS, the normalised machine unlearning score: `lambda * test accuracy + (1 - lambda) * (1 - 2 |attack - 0.5|)`, both as
    /// fractions (Choi and Na, arXiv 2311.02240). The attack is the one on losses of the competition's starting kit, as in the
    /// source: `mia_competition`. Higher is better; the metric `nomus` of `evaluate` has lambda 0.5.
    ///
    /// # Signature
    /// nomus(test_accuracy: float, attack: float, #{ lambda: float = 0.5 }) -> float
    ///
    /// # Options
    /// - `lambda` (float, 0.5): weight of the accuracy, between 0 and 1
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nomus(0.9, 0.6), 0.85, 1e-9);
    /// ```
    #[rhai_fn(return_raw, name = "nomus")]
    pub fn nomus_as(test_accuracy: Dynamic, attack: Dynamic, options: Map) -> Script<f64> {
        let mut o = Options::new("nomus", options);
        let lambda = o.between("lambda", super::LAMBDA, 0.0, 1.0)?;
        o.finish()?;
        Ok(super::nomus(super::number(&test_accuracy)?, super::number(&attack)?, lambda))
    }

    #[rhai_fn(return_raw, name = "nomus")]
    pub fn nomus(test_accuracy: Dynamic, attack: Dynamic) -> Script<f64> {
        nomus_as(test_accuracy, attack, Map::new())
    }

    /// Adaptive unlearning score of DUCK (Cotogni et al., arXiv 2312.02052) from the metrics of the network before and after
    /// unlearning (maps of `evaluate`, or a result's `metrics`): `(1 - (test_original - test)) / (1 + |test - forget|)` of
    /// accuracies as fractions; where the request removes whole classes, the forgotten samples' accuracy should be 0 and
    /// `1 + forget` divides. 1 is best. It needs no retrained network, and for the same reason it takes over-unlearning of
    /// samples that generalise for a lack of success and the reverse: read it beside the retrained network's value.
    ///
    /// # Example
    /// ```rhai
    /// let score = aus(#{ test_accuracy: 0.95 }, #{ test_accuracy: 0.9, forget_accuracy: 1.0 });
    /// assert_close(score, 0.95 / 1.1, 1e-9);
    /// ```
    pub fn aus(original: Map, unlearned: Map) -> f64 {
        super::adaptive_unlearning_score(&Metrics::from_map(&original), &Metrics::from_map(&unlearned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(test: f64, forget: f64, classes: &[i64]) -> Metrics {
        let mut metrics = Metrics::default();
        metrics.set("test_accuracy", test);
        metrics.set("forget_accuracy", forget);
        metrics.basis.classes = classes.to_vec();
        metrics
    }

    #[test]
    fn the_adaptive_score_aims_at_test_accuracy_for_samples_and_at_0_for_classes() {
        let original = metrics(0.9, 1.0, &[]);
        assert_eq!(adaptive_unlearning_score(&original, &metrics(0.9, 0.9, &[])), 1.0);
        assert!((adaptive_unlearning_score(&original, &metrics(0.8, 0.9, &[])) - 0.9 / 1.1).abs() < 1e-12);
        assert_eq!(adaptive_unlearning_score(&original, &metrics(0.9, 0.0, &[3])), 1.0);
        assert!((adaptive_unlearning_score(&original, &metrics(0.9, 0.5, &[3])) - 1.0 / 1.5).abs() < 1e-12);
        assert!(adaptive_unlearning_score(&original, &Metrics::default()).is_nan());
    }

    #[test]
    fn nomus_is_highest_where_the_attack_is_chance_on_either_side() {
        assert_eq!(nomus(0.8, 0.5, LAMBDA), 0.9);
        assert!((nomus(0.8, 0.4, LAMBDA) - nomus(0.8, 0.6, LAMBDA)).abs() < 1e-12);
        assert_eq!(nomus(0.8, 1.0, LAMBDA), 0.4);
    }
}
