//! Distances of an unlearned network from the retrained one, and the alarms that follow from them.

use super::metrics::Metrics;
use crate::runtime::{At, Error, Result};
use tch::{Kind, Tensor};

/// What separates a network from the retrained one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gaps {
    /// SalUn's: mean of |UA|, |RA|, |TA| and |confidence attack| differences, in percentage points.
    pub average: f64,
    /// Mean of the three accuracies' differences, in percentage points.
    pub accuracy: f64,
    /// Tug-of-War: product of one minus each accuracy's difference; 1 is best.
    pub tow: f64,
}

const ACCURACIES: [&str; 3] = ["forget_accuracy", "retain_accuracy", "test_accuracy"];

/// The mean of absolute differences, in the unit of its input.
pub fn mean_gap(unlearned: &[f64], retrained: &[f64]) -> f64 {
    unlearned.iter().zip(retrained).map(|(u, r)| (u - r).abs()).sum::<f64>() / unlearned.len() as f64
}

/// The product of one minus the absolute differences of accuracies given as fractions.
pub fn tug_of_war(unlearned: &[f64], retrained: &[f64]) -> f64 {
    unlearned.iter().zip(retrained).map(|(u, r)| 1.0 - (u - r).abs()).product()
}

/// The gaps of one network to the retrained one of the same split.
pub fn gaps(unlearned: &Metrics, retrained: &Metrics) -> Gaps {
    let take = |metrics: &Metrics, names: &[&str]| names.iter().map(|name| metrics.get(name)).collect::<Vec<_>>();
    let three = |metrics| take(metrics, &ACCURACIES);
    let four = |metrics| [three(metrics), take(metrics, &["mia_salun"])].concat();
    Gaps {
        average: 100.0 * mean_gap(&four(unlearned), &four(retrained)),
        accuracy: 100.0 * mean_gap(&three(unlearned), &three(retrained)),
        tow: tug_of_war(&three(unlearned), &three(retrained)),
    }
}

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
                "no-op: accuracy on the forgotten samples fell by {done:.1} points where retraining takes {wanted:.1}"
            )
        });
    }
    let wanted = Difference::of_auc(original, retrained);
    let done = Difference::of_auc(original, unlearned).value;
    let missing = Difference::of_auc(unlearned, retrained);
    (wanted.exceeds(0.0) && done < NO_OP * wanted.value && missing.exceeds(0.0)).then(|| {
        let (auc, from, to) = (unlearned.get("mia_auc"), original.get("mia_auc"), retrained.get("mia_auc"));
        format!("no-op: the attack still reads {auc:.3} (original {from:.3}, retrained {to:.3})")
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
        format!("over-unlearned: the attack reads {auc:.3}, beyond retraining's {ideal:.3}")
    })
}

/// The alarms for one network, each a short sentence. They fire only beyond two standard errors.
pub fn warnings(unlearned: &Metrics, original: Option<&Metrics>, retrained: Option<&Metrics>) -> Vec<String> {
    let mut found = vec![];
    if ["retain_loss", "forget_loss", "test_loss"]
        .iter()
        .any(|name| unlearned.iter().any(|(k, v)| k == *name && v.is_nan()))
        && unlearned.basis.forget > 0
        && unlearned.basis.test > 0
    {
        found.push("the network's outputs are not numbers (NaN)".to_string());
    }
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

/// One line about a network before any unlearning: `train 100.0 % · test 98.4 % · attack 0.649 ± 0.025`.
pub fn before(original: &Metrics) -> String {
    let percent = |x: f64| if x.is_nan() { "–".to_string() } else { format!("{:.1} %", 100.0 * x) };
    let (auc, error) = (original.get("mia_auc"), original.get("mia_auc_se"));
    let attack = if auc.is_nan() { String::new() } else { format!(" · attack {auc:.3} ± {error:.3}") };
    let (retain, test) = (percent(original.get("retain_accuracy")), percent(original.get("test_accuracy")));
    format!("train {retain} · test {test}{attack}")
}

/// A word about the original network where its attack can hardly tell anything.
pub fn weak_original(original: &Metrics) -> Option<String> {
    let (auc, error) = (original.get("mia_auc"), original.get("mia_auc_se"));
    let class_request = !original.basis.classes.is_empty();
    (!class_request && auc - 0.5 < 2.0 * error).then(|| {
        format!("weak original: the attack reads {auc:.3} ± {error:.3} before any unlearning, so there is little left to hide")
    })
}

/// |a - b| in f64, `[.., accuracies]`.
fn differences(operation: &str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.size() != b.size() || a.dim() == 0 {
        let message = format!("needs accuracies of one shape, got {:?} and {:?}", a.size(), b.size());
        return Err(Error::new(operation, message));
    }
    a.f_to_kind(Kind::Double).and_then(|a| a.f_sub(b)?.f_abs()).on(operation, &[a, b])
}

/// What scripts see of gaps.
#[rhai::export_module]
pub mod script {
    use super::differences;
    use crate::eval::Metrics;
    use crate::runtime::{At, Script};
    use crate::tensor::Tensor;
    use rhai::{Array, Map};
    use tch::Kind;

    /// Tug-of-War of accuracies given as fractions `[.., m]` (forget, retain, test): the product over the last dimension of
    /// 1 - |unlearned - retrained|; 1 is best (Zhao et al. 2024, RUM).
    ///
    /// # Example
    /// ```rhai
    /// assert_close(tow(tensor([0.9, 1.0, 0.9]), tensor([1.0, 1.0, 0.9])).item(), 0.9, 1e-6);
    /// ```
    #[rhai_fn(return_raw, name = "tow")]
    pub fn tow(unlearned: Tensor, retrained: Tensor) -> Script<Tensor> {
        let gap = differences("tow", &unlearned, &retrained)?;
        let product = || gap.f_neg()?.f_add_scalar(1.0)?.f_prod_dim_int(-1, false, None::<Kind>);
        Ok(product().at("tow")?.into())
    }

    /// Mean absolute difference of accuracies `[.., m]` over the last dimension, in the unit they are given in.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(accuracy_gap(tensor([0.9, 1.0, 0.8]), tensor([1.0, 1.0, 0.9])).item(), 0.0666667, 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn accuracy_gap(unlearned: Tensor, retrained: Tensor) -> Script<Tensor> {
        let gap = differences("accuracy_gap", &unlearned, &retrained)?;
        Ok(gap.f_mean_dim(-1, false, None::<Kind>).at("accuracy_gap")?.into())
    }

    /// What separates a network's metrics (a map from `evaluate` or a result's `metrics`) from the retrained network's, as a
    /// map: `average_gap` (SalUn's: mean over unlearning, retain and test accuracy and the confidence attack) and
    /// `accuracy_gap` (the three accuracies) in percentage points, `tow` (Tug-of-War; 1 is best).
    ///
    /// # Example
    /// ```rhai
    /// let retrained = #{ retain_accuracy: 1.0, forget_accuracy: 0.9, test_accuracy: 0.9, mia_salun: 0.1 };
    /// let unlearned = #{ retain_accuracy: 1.0, forget_accuracy: 0.94, test_accuracy: 0.9, mia_salun: 0.1 };
    /// assert_close(gaps(unlearned, retrained).average_gap, 1.0, 1e-9);
    /// ```
    #[rhai_fn(name = "gaps")]
    pub fn gaps_of(unlearned: Map, retrained: Map) -> Map {
        let found = super::gaps(&Metrics::from_map(&unlearned), &Metrics::from_map(&retrained));
        let mut map = Map::new();
        map.insert("average_gap".into(), found.average.into());
        map.insert("accuracy_gap".into(), found.accuracy.into());
        map.insert("tow".into(), found.tow.into());
        map
    }

    /// Alarms for an unlearned network's metrics against the original's and the retrained network's: no-op, over-unlearning,
    /// lost utility, NaN outputs; an array of sentences, empty when all is well. They fire only beyond two standard errors.
    ///
    /// # Example
    /// ```rhai
    /// assert(alarms(#{}, #{}, #{}) == []);
    /// ```
    pub fn alarms(unlearned: Map, original: Map, retrained: Map) -> Array {
        let [unlearned, original, retrained] = [unlearned, original, retrained].map(|map| Metrics::from_map(&map));
        super::warnings(&unlearned, Some(&original), Some(&retrained)).into_iter().map(Into::into).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metrics(ra: f64, fa: f64, ta: f64, auc: f64) -> Metrics {
        let mut m = Metrics::default();
        let names = ["retain_accuracy", "forget_accuracy", "test_accuracy", "mia_auc", "mia_auc_se", "mia_salun"];
        names.iter().zip([ra, fa, ta, auc, 0.02, 1.0 - fa]).for_each(|(name, value)| m.set(name, value));
        m.basis = crate::eval::Basis { forget: 200, retain: 800, test: 500, attacked: 500, classes: vec![] };
        m
    }

    proptest! {
        #[test]
        fn tug_of_war_stays_between_0_and_1_and_is_1_at_equality(u in prop::collection::vec(0.0..=1.0, 3), r in prop::collection::vec(0.0..=1.0, 3)) {
            let tow = tug_of_war(&u, &r);
            prop_assert!((0.0..=1.0).contains(&tow));
            prop_assert_eq!(tow, tug_of_war(&r, &u));
            prop_assert_eq!(tug_of_war(&u, &u), 1.0);
            prop_assert!(mean_gap(&u, &r) <= 1.0);
        }
    }

    #[test]
    fn gaps_are_in_percentage_points() {
        let found = gaps(&metrics(0.99, 0.95, 0.96, 0.5), &metrics(1.0, 0.99, 0.98, 0.5));
        assert!((found.average - (1.0 + 4.0 + 2.0 + 4.0) / 4.0).abs() < 1e-9);
        assert!((found.accuracy - 7.0 / 3.0).abs() < 1e-9);
        assert!((found.tow - 0.99 * 0.96 * 0.98).abs() < 1e-12);
    }

    #[test]
    fn alarms_name_what_went_wrong() {
        let (original, retrained) = (metrics(1.0, 1.0, 0.99, 0.65), metrics(1.0, 0.995, 0.985, 0.50));
        let alarm = |m: Metrics| warnings(&m, Some(&original), Some(&retrained)).join("; ");
        assert!(alarm(metrics(1.0, 1.0, 0.99, 0.64)).starts_with("no-op: the attack still reads 0.640"));
        assert_eq!(alarm(metrics(1.0, 0.98, 0.98, 0.53)), "");
        assert!(alarm(metrics(1.0, 0.80, 0.98, 0.45)).contains("over-unlearned: 19.5 points"));
        assert!(alarm(metrics(1.0, 0.99, 0.98, 0.40)).contains("over-unlearned: the attack"));
        assert!(alarm(metrics(0.9, 0.98, 0.90, 0.52)).contains("utility loss: test accuracy is 8.5"));
        // Where retraining changes accuracy on the forgotten samples, that decides.
        let (original, retrained) = (metrics(1.0, 1.0, 0.9, 0.6), metrics(1.0, 0.7, 0.9, 0.5));
        assert!(
            warnings(&metrics(1.0, 0.99, 0.9, 0.5), Some(&original), Some(&retrained))
                .concat()
                .starts_with("no-op: accuracy")
        );
    }

    #[test]
    fn nothing_is_alarming_without_figures() {
        assert!(warnings(&Metrics::default(), Some(&Metrics::default()), Some(&Metrics::default())).is_empty());
        assert!(weak_original(&Metrics::default()).is_none());
        assert!(weak_original(&metrics(1.0, 1.0, 1.0, 0.52)).is_some());
    }
}
