//! What separates an unlearned network's accuracies and attacks from the retrained one's.

use crate::eval::metrics::Metrics;
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
    /// Tug-of-War with SalUn's confidence attack in place of the accuracy on the forgotten samples; 1 is best.
    pub tow_mia: f64,
}

impl Gaps {
    /// Without a retrained network.
    pub const UNKNOWN: Self = Self { average: f64::NAN, accuracy: f64::NAN, tow: f64::NAN, tow_mia: f64::NAN };

    /// The figures by the names they have among metrics.
    pub fn named(&self) -> [(&'static str, f64); 4] {
        let Self { average, accuracy, tow, tow_mia } = *self;
        [("average_gap", average), ("accuracy_gap", accuracy), ("tow", tow), ("tow_mia", tow_mia)]
    }
}

const ACCURACIES: [&str; 3] = ["forget_accuracy", "retain_accuracy", "test_accuracy"];
/// The factors of ToW-MIA.
const ATTACKED: [&str; 3] = ["mia_salun", "retain_accuracy", "test_accuracy"];

/// The mean of absolute differences, in the unit of its input.
pub fn mean_gap(unlearned: &[f64], retrained: &[f64]) -> f64 {
    unlearned.iter().zip(retrained).map(|(u, r)| (u - r).abs()).sum::<f64>() / unlearned.len() as f64
}

/// The product of one minus the absolute differences of accuracies given as fractions; NaN of none.
pub fn tug_of_war(unlearned: &[f64], retrained: &[f64]) -> f64 {
    if unlearned.is_empty() {
        return f64::NAN;
    }
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
        tow_mia: tug_of_war(&take(unlearned, &ATTACKED), &take(retrained, &ATTACKED)),
    }
}

/// |a - b| in f64, `[.., accuracies]`.
fn differences(operation: &str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.size() != b.size() || a.size().last().is_none_or(|m| *m == 0) {
        let message = format!("needs accuracies of one shape, at least one, got {:?} and {:?}", a.size(), b.size());
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
    use rhai::Map;
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
    /// `accuracy_gap` (the three accuracies) in percentage points, `tow` (Tug-of-War; 1 is best) and `tow_mia` (the same with
    /// `mia_salun` in place of the accuracy on the forgotten samples; Zhao et al. 2024, RUM).
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
        found.named().into_iter().map(|(name, value)| (name.into(), value.into())).collect()
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
        m.basis = crate::eval::Basis { forget: 200, retain: 800, test: 500, attacked: 500, ..Default::default() };
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
    fn what_is_unknown_of_either_network_makes_its_gaps_unknown() {
        assert!(tug_of_war(&[], &[]).is_nan() && mean_gap(&[], &[]).is_nan());
        let known = metrics(1.0, 0.9, 0.9, 0.5);
        for name in ["retain_accuracy", "forget_accuracy", "test_accuracy", "mia_salun"] {
            let mut broken = known.clone();
            broken.set(name, f64::NAN);
            for found in [gaps(&broken, &known), gaps(&known, &broken)] {
                assert!(found.average.is_nan());
                assert_eq!(found.accuracy.is_nan() && found.tow.is_nan(), name != "mia_salun");
                assert_eq!(found.tow_mia.is_nan(), name != "forget_accuracy");
            }
        }
        let none = Tensor::zeros([0], (Kind::Float, tch::Device::Cpu));
        assert!(differences("tow", &none, &none).unwrap_err().to_string().contains("at least one"));
    }

    #[test]
    fn gaps_are_in_percentage_points() {
        let found = gaps(&metrics(0.99, 0.95, 0.96, 0.5), &metrics(1.0, 0.99, 0.98, 0.5));
        assert!((found.average - (1.0 + 4.0 + 2.0 + 4.0) / 4.0).abs() < 1e-9);
        assert!((found.accuracy - 7.0 / 3.0).abs() < 1e-9);
        assert!((found.tow - 0.99 * 0.96 * 0.98).abs() < 1e-12);
        // The confidence attack differs by as much as the accuracy on the forgotten samples here.
        assert!((found.tow_mia - found.tow).abs() < 1e-12);
        let mut shifted = metrics(0.99, 0.95, 0.96, 0.5);
        shifted.set("mia_salun", 0.21);
        let found = gaps(&shifted, &metrics(1.0, 0.99, 0.98, 0.5));
        assert!((found.tow_mia - 0.99 * 0.8 * 0.98).abs() < 1e-12);
    }
}
