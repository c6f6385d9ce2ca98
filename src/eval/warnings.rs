//! Alarms: what should be known about a result before its figures are believed.

use crate::eval::metrics::Metrics;

/// The standard error of a share of `n` samples, never zero: one success and one failure are added first.
fn share_error(share: f64, n: usize) -> f64 {
    let n = n as f64 + 2.0;
    let p = (share * (n - 2.0) + 1.0) / n;
    (p * (1.0 - p) / n).sqrt()
}

/// A metric of two networks with the standard error of their difference.
struct Difference {
    value: f64,
    error: f64,
}

impl Difference {
    fn of_shares(a: f64, b: f64, n: usize) -> Self {
        Self { value: a - b, error: share_error(a, n).hypot(share_error(b, n)) }
    }

    fn of_auc(a: &Metrics, b: &Metrics) -> Self {
        let error = a.get("mia_auc_se").hypot(b.get("mia_auc_se"));
        Self { value: a.get("mia_auc") - b.get("mia_auc"), error }
    }

    /// Beyond two standard errors and beyond `least`. NaN is never beyond anything.
    fn exceeds(&self, least: f64) -> bool {
        self.value > least && self.value > 2.0 * self.error
    }
}

fn unlearning_accuracy(a: &Metrics, b: &Metrics) -> Difference {
    let n = a.basis.forget;
    Difference::of_shares(1.0 - a.get("forget_accuracy"), 1.0 - b.get("forget_accuracy"), n)
}

/// Below this share of retraining's effect a method is said to have done nothing.
const NO_OP: f64 = 0.2;

/// Whether nothing was forgotten: by unlearning accuracy where retraining changes it, else by the attack.
fn no_op(unlearned: &Metrics, original: &Metrics, retrained: &Metrics) -> Option<String> {
    let done = unlearning_accuracy(unlearned, original).value;
    let wanted = unlearning_accuracy(retrained, original);
    if wanted.exceeds(0.0) {
        let missing = unlearning_accuracy(retrained, unlearned);
        return (done < NO_OP * wanted.value && missing.exceeds(0.0)).then(|| {
            let (done, wanted) = (100.0 * done, 100.0 * wanted.value);
            format!(
                "no effect: accuracy on the forgotten samples fell by {done:.1} points, by {wanted:.1} when retrained"
            )
        });
    }
    let wanted = Difference::of_auc(original, retrained);
    let done = Difference::of_auc(original, unlearned).value;
    let missing = Difference::of_auc(unlearned, retrained);
    (wanted.exceeds(0.0) && done < NO_OP * wanted.value && missing.exceeds(0.0)).then(|| {
        let (auc, from, to) = (unlearned.get("mia_auc"), original.get("mia_auc"), retrained.get("mia_auc"));
        format!("no effect: attack AUC is still {auc:.3} (original {from:.3}, retrained {to:.3})")
    })
}

/// Whether more was forgotten than retraining forgets (requests on samples only: a forgotten class has no upper end).
fn over_unlearned(unlearned: &Metrics, original: &Metrics, retrained: &Metrics) -> Option<String> {
    if !unlearned.basis.classes.is_empty() {
        return None;
    }
    let wrong = unlearning_accuracy(unlearned, retrained);
    if wrong.exceeds(0.03) {
        let points = 100.0 * wrong.value;
        return Some(format!(
            "over-unlearned: {points:.1} points more of the forgotten samples are wrong than after retraining"
        ));
    }
    // The far side of the retrained network is the one away from the original.
    let toward = if original.get("mia_auc") < retrained.get("mia_auc") { -1.0 } else { 1.0 };
    let mut beyond = Difference::of_auc(retrained, unlearned);
    beyond.value *= toward;
    beyond.exceeds(0.02).then(|| {
        let (auc, ideal) = (unlearned.get("mia_auc"), retrained.get("mia_auc"));
        format!("over-unlearned: attack AUC is {auc:.3}, past retraining's {ideal:.3}")
    })
}

/// What is wrong with a network's outputs whatever it was to do: they are not finite, or the same class for everything.
pub fn outputs(metrics: &Metrics) -> Vec<String> {
    let basis = &metrics.basis;
    let mut found = vec![];
    if basis.not_finite > 0 {
        let (broken, all) = (basis.not_finite, basis.outputs);
        found.push(format!(
            "broken outputs: {broken} of {all} are not finite (NaN or infinite logits); they count as wrong, and metrics that \
             need them are left out"
        ));
    } else if basis.outputs == 0 && without_loss(metrics) {
        // A row that was written before they were counted.
        found.push("broken outputs: they are not numbers (NaN)".into());
    }
    if let Some(class) = basis.only_class {
        let samples = basis.retain + basis.test;
        found.push(format!("collapsed: each of the {samples} retained and test samples is classified as {class}"));
    }
    found
}

/// Whether a loss is unknown although there are samples.
fn without_loss(metrics: &Metrics) -> bool {
    let unknown = |name: &str| metrics.iter().any(|(known, value)| known == name && value.is_nan());
    let samples = metrics.basis.forget > 0 && metrics.basis.test > 0;
    samples && ["retain_loss", "forget_loss", "test_loss"].into_iter().any(unknown)
}

/// The alarms for one network, each a short sentence. Those about differences fire only beyond two standard errors.
pub fn warnings(unlearned: &Metrics, original: Option<&Metrics>, retrained: Option<&Metrics>) -> Vec<String> {
    let mut found = outputs(unlearned);
    let Some(retrained) = retrained else { return found };
    if let Some(original) = original {
        found.extend(no_op(unlearned, original, retrained));
        found.extend(over_unlearned(unlearned, original, retrained));
    }
    let lost =
        Difference::of_shares(retrained.get("test_accuracy"), unlearned.get("test_accuracy"), unlearned.basis.test);
    if lost.exceeds(0.01) {
        found.push(format!("utility loss: test accuracy is {:.1} points below retraining's", 100.0 * lost.value));
    }
    found
}

/// An AUC with its standard error, which is said to be one: `0.649 ± 0.025 (s.e.)`.
pub fn with_error(auc: f64, error: f64) -> String {
    if auc.is_nan() {
        "–".into()
    } else if error.is_nan() {
        format!("{auc:.3}")
    } else {
        format!("{auc:.3} ± {error:.3} (s.e.)")
    }
}

/// One line about a network before any unlearning: `train 100.0 % · test 98.4 % · attack 0.649 ± 0.025 (s.e.)`.
pub fn before(original: &Metrics) -> String {
    let percent = |x: f64| if x.is_nan() { "–".to_string() } else { format!("{:.1} %", 100.0 * x) };
    let (auc, error) = (original.get("mia_auc"), original.get("mia_auc_se"));
    let attack = if auc.is_nan() { String::new() } else { format!(" · attack {}", with_error(auc, error)) };
    let train = percent(training_accuracy(original).unwrap_or(f64::NAN));
    format!("train {train} · test {}{attack}", percent(original.get("test_accuracy")))
}

/// A word about an original network that is too weak for unlearning to show: by its accuracies, which it gives, or by its attack.
pub fn weak_original(original: &Metrics) -> Option<String> {
    let told = [undertrained(original), memorises_nothing(original), attacked_in_vain(original)];
    let found: Vec<String> = outputs(original).into_iter().chain(told.into_iter().flatten()).collect();
    (!found.is_empty()).then(|| format!("weak original: {}", found.join("; ")))
}

/// Accuracy on everything trained on; `None` in rows that do not say how many samples that were.
fn training_accuracy(metrics: &Metrics) -> Option<f64> {
    let parts = [("retain_accuracy", metrics.basis.retain), ("forget_accuracy", metrics.basis.forget)];
    let right: f64 = parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| metrics.get(name) * *n as f64).sum();
    let all = metrics.basis.retain + metrics.basis.forget;
    (metrics.basis.retain > 0 && right.is_finite()).then(|| right / all as f64)
}

/// Test accuracy that is closer to chance than to perfect, beyond two standard errors.
fn undertrained(original: &Metrics) -> Option<String> {
    let train = training_accuracy(original)?;
    let (_, classes) = original.per_class.iter().find(|(part, _)| part == "test")?;
    let remaining = classes.len().saturating_sub(original.basis.classes.len()).max(1);
    let (test, chance) = (original.get("test_accuracy"), 1.0 / remaining as f64);
    let short = Difference { value: (1.0 + chance) / 2.0 - test, error: share_error(test, original.basis.test) };
    short.exceeds(0.0).then(|| {
        let [train, test, chance] = [train, test, chance].map(|x| 100.0 * x);
        format!("undertrained: accuracy {train:.1} % train, {test:.1} % test (guessing: {chance:.1} %)")
    })
}

/// No better on training data than on test data. A forgotten class is a secret of its own, so this is about samples.
fn memorises_nothing(original: &Metrics) -> Option<String> {
    let (train, test) = (training_accuracy(original)?, original.get("test_accuracy"));
    (original.basis.classes.is_empty() && train <= test).then(|| {
        let [train, test] = [train, test].map(|x| 100.0 * x);
        format!(
            "the original does not overfit (train {train:.1} %, test {test:.1} %): membership attacks cannot tell much"
        )
    })
}

/// The attack finds nothing before any unlearning. (Far below a half it finds them by the other sign: wrong labels, say.)
fn attacked_in_vain(original: &Metrics) -> Option<String> {
    let (auc, error) = (original.get("mia_auc"), original.get("mia_auc_se"));
    let class_request = !original.basis.classes.is_empty();
    (!class_request && (auc - 0.5).abs() < 2.0 * error).then(|| {
        let auc = with_error(auc, error);
        format!("the attack finds nothing before any unlearning (AUC {auc})")
    })
}

/// What scripts see of alarms.
#[rhai::export_module]
pub mod script {
    use crate::eval::Metrics;
    use rhai::{Array, Dynamic, Map};

    /// Alarms for an unlearned network's metrics against the original's and the retrained network's: no effect, over-unlearning,
    /// lost utility, outputs that are not finite (with their number), a collapse to one class; an array of sentences, empty when
    /// all is well. Those about differences fire only beyond two standard errors.
    ///
    /// # Example
    /// ```rhai
    /// assert(alarms(#{}, #{}, #{}) == []);
    /// ```
    pub fn alarms(unlearned: Map, original: Map, retrained: Map) -> Array {
        let [unlearned, original, retrained] = [unlearned, original, retrained].map(|map| Metrics::from_map(&map));
        super::warnings(&unlearned, Some(&original), Some(&retrained)).into_iter().map(Into::into).collect()
    }

    /// A sentence about an original network (its metrics, before any unlearning) that is too weak for unlearning to show, or
    /// `()`: undertrained, that is with test accuracy closer to chance than to perfect; no more accurate on training data than
    /// on test data; or not told apart by the attack. It gives the accuracies. Requests for classes are only asked whether
    /// they are undertrained.
    ///
    /// # Signature
    /// weak_original(metrics: map) -> string | ()
    ///
    /// # Example
    /// ```rhai
    /// let basis = #{ retain: 900, forget: 100, test: 500, classes: [] };
    /// let m = #{ retain_accuracy: 0.7, forget_accuracy: 0.7, test_accuracy: 0.71, mia_auc: 0.6, mia_auc_se: 0.02, basis: basis };
    /// assert(weak_original(m).contains("does not overfit (train 70.0 %"));
    /// ```
    pub fn weak_original(metrics: Map) -> Dynamic {
        super::weak_original(&Metrics::from_map(&metrics)).map_or(Dynamic::UNIT, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(ra: f64, fa: f64, ta: f64, auc: f64) -> Metrics {
        let mut m = Metrics::default();
        let names = ["retain_accuracy", "forget_accuracy", "test_accuracy", "mia_auc", "mia_auc_se", "mia_salun"];
        names.iter().zip([ra, fa, ta, auc, 0.02, 1.0 - fa]).for_each(|(name, value)| m.set(name, value));
        m.basis = crate::eval::Basis { forget: 200, retain: 800, test: 500, attacked: 500, ..Default::default() };
        m
    }

    #[test]
    fn broken_outputs_and_a_collapse_are_told_with_their_counts_also_without_a_retrained_network() {
        let mut m = metrics(1.0, 1.0, 0.99, 0.65);
        assert!(warnings(&m, None, None).is_empty());
        (m.basis.outputs, m.basis.not_finite) = (1500, 7);
        let told = warnings(&m, None, None);
        assert!(told.len() == 1 && told[0].starts_with("broken outputs: 7 of 1500 are not finite"), "{told:?}");
        assert!(weak(&m).starts_with("weak original: broken outputs: 7 of 1500"), "{}", weak(&m));
        (m.basis.not_finite, m.basis.only_class) = (0, Some(3));
        let told = warnings(&Metrics::from_json(&m.to_json()), None, None);
        assert_eq!(told, ["collapsed: each of the 1300 retained and test samples is classified as 3"]);
        // Rows of earlier versions have no counts, but their losses are missing.
        (m.basis.outputs, m.basis.only_class) = (0, None);
        m.set("test_loss", f64::NAN);
        assert_eq!(warnings(&m, None, None), ["broken outputs: they are not numbers (NaN)"]);
    }

    #[test]
    fn alarms_name_what_went_wrong() {
        let (original, retrained) = (metrics(1.0, 1.0, 0.99, 0.65), metrics(1.0, 0.995, 0.985, 0.50));
        let alarm = |m: Metrics| warnings(&m, Some(&original), Some(&retrained)).join("; ");
        assert!(alarm(metrics(1.0, 1.0, 0.99, 0.64)).starts_with("no effect: attack AUC is still 0.640"));
        assert_eq!(alarm(metrics(1.0, 0.98, 0.98, 0.53)), "");
        assert!(alarm(metrics(1.0, 0.80, 0.98, 0.45)).contains("over-unlearned: 19.5 points"));
        assert!(alarm(metrics(1.0, 0.99, 0.98, 0.40)).contains("over-unlearned: attack AUC"));
        assert!(alarm(metrics(0.9, 0.98, 0.90, 0.52)).contains("utility loss: test accuracy is 8.5"));
        // Where retraining changes accuracy on the forgotten samples, that decides.
        let (original, retrained) = (metrics(1.0, 1.0, 0.9, 0.6), metrics(1.0, 0.7, 0.9, 0.5));
        assert!(
            warnings(&metrics(1.0, 0.99, 0.9, 0.5), Some(&original), Some(&retrained))
                .concat()
                .starts_with("no effect: accuracy")
        );
    }

    #[test]
    fn nothing_is_alarming_without_figures() {
        assert!(warnings(&Metrics::default(), Some(&Metrics::default()), Some(&Metrics::default())).is_empty());
        assert!(weak_original(&Metrics::default()).is_none());
    }

    fn weak(m: &Metrics) -> String {
        weak_original(m).unwrap_or_default()
    }

    #[test]
    fn an_original_that_no_attack_finds_is_weak() {
        let m = metrics(1.0, 1.0, 0.99, 0.52);
        assert!(
            weak(&m).starts_with("weak original: the attack finds nothing before any unlearning (AUC 0.520 ± 0.020"),
            "{}",
            weak(&m)
        );
        assert_eq!(weak(&metrics(1.0, 1.0, 0.99, 0.65)), "");
    }

    #[test]
    fn an_original_near_chance_is_undertrained_and_its_accuracies_are_told() {
        let mut m = metrics(0.45, 0.35, 0.42, 0.65);
        m.per_class = vec![("test".into(), vec![0.42; 10])];
        let wanted = "weak original: undertrained: accuracy 43.0 % train, 42.0 % test (guessing: 10.0 %)";
        assert_eq!(weak(&m), wanted);
        // Two classes remain of ten: half right is chance.
        m.basis.classes = (0..8).collect();
        m.set("test_accuracy", 0.6);
        assert!(weak(&m).ends_with("60.0 % test (guessing: 50.0 %)"), "{}", weak(&m));
        // 56 % of 500 is within two standard errors of the middle between 10 and 100 %.
        m.basis.classes.clear();
        m.set("test_accuracy", 0.53);
        assert!(!weak(&m).contains("undertrained"), "{}", weak(&m));
    }

    #[test]
    fn an_original_no_better_on_training_data_hides_nothing_unless_a_class_is_the_secret() {
        let mut m = metrics(0.90, 0.90, 0.91, 0.65);
        assert_eq!(
            weak(&m),
            "weak original: the original does not overfit (train 90.0 %, test 91.0 %): membership attacks cannot tell much"
        );
        m.basis.classes = vec![3];
        assert_eq!(weak(&m), "");
    }

    #[test]
    fn rows_that_do_not_say_how_many_samples_were_retained_raise_no_alarm_about_accuracy() {
        let mut m = metrics(0.3, 0.3, 0.4, 0.65);
        m.per_class = vec![("test".into(), vec![0.4; 10])];
        m.basis.retain = 0;
        assert_eq!(weak(&Metrics::from_json(&m.to_json())), "");
    }
}
