//! Which weights of a run are the best, told from validation data alone: the test part is never looked at.

use crate::eval::Metrics;

/// The score of a network that shall forget samples or classes; higher is better.
///
/// Samples: the normalised membership-unlearning score (NoMUS) on unseen data, the mean of accuracy there and of
/// `1 - 2 |AUC - 1/2|`, the attack telling forgotten from unseen samples. Classes: the adaptive unlearning score (AUS, Cotogni
/// et al., 2023) on unseen data, `(1 - lost accuracy) / (1 + accuracy on the forgotten classes)`; the attack says nothing
/// there, since unseen samples of a forgotten class are recognised as well as forgotten ones.
pub fn score(metrics: &Metrics, original: &Metrics, classes_removed: bool) -> f64 {
    let accuracy = metrics.get("unseen_accuracy");
    if classes_removed {
        let lost = original.get("unseen_accuracy") - accuracy;
        return (1.0 - lost) / (1.0 + metrics.get("forget_accuracy"));
    }
    let hidden = 1.0 - 2.0 * (metrics.get("unseen_mia_auc") - 0.5).abs();
    (accuracy + hidden) / 2.0
}

/// The name of the rule.
pub fn rule(classes_removed: bool) -> &'static str {
    if classes_removed { "AUS on unseen data" } else { "NoMUS on unseen data" }
}

/// The mean difference to the retrained network on validation data, in percentage points: of accuracies on forgotten, retained
/// and unseen samples, and of the attack that compares with unseen samples (its AUC in points, too). What options are chosen by.
pub fn validation_gap(metrics: &Metrics, retrained: &Metrics) -> f64 {
    const TERMS: [&str; 4] = ["forget_accuracy", "retain_accuracy", "unseen_accuracy", "unseen_mia_auc"];
    let of = |metrics: &Metrics| TERMS.map(|name| metrics.get(name));
    100.0 * crate::eval::retrained::gaps::mean_gap(&of(metrics), &of(retrained))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(forget: f64, unseen: f64, auc: f64) -> Metrics {
        let mut m = Metrics::default();
        m.set("forget_accuracy", forget);
        m.set("retain_accuracy", 1.0);
        m.set("unseen_accuracy", unseen);
        m.set("unseen_mia_auc", auc);
        m
    }

    #[test]
    fn samples_are_judged_by_accuracy_and_attack_and_classes_by_what_is_still_recognised() {
        let original = metrics(1.0, 0.9, 0.7);
        let score = |m: Metrics, classes| score(&m, &original, classes);
        assert!((score(metrics(0.9, 0.9, 0.5), false) - 0.95).abs() < 1e-12);
        assert!(score(metrics(0.9, 0.9, 0.6), false) < score(metrics(0.9, 0.9, 0.5), false));
        assert!((score(metrics(0.9, 0.9, 0.4), false) - score(metrics(0.9, 0.9, 0.6), false)).abs() < 1e-12);
        assert!((score(metrics(0.0, 0.9, 0.5), true) - 1.0).abs() < 1e-12);
        assert!((score(metrics(1.0, 0.9, 0.5), true) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_validation_gap_is_in_percentage_points_and_knows_no_test_data() {
        let gap = validation_gap(&metrics(0.9, 0.8, 0.6), &metrics(0.8, 0.9, 0.5));
        assert!((gap - 7.5).abs() < 1e-9, "{gap}");
    }
}
