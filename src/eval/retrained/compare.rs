//! A network against the one retrained on the same split: distances of their outputs, the threshold that tells them apart best,
//! and RMIA with the retrained network as its reference. Pure arithmetic on predictions.

use crate::eval::attacks::epsilon;
use crate::eval::attacks::rmia::{Confidences, RmiaOptions, rmia};
use crate::eval::metrics::Metrics;
use crate::eval::predict::Predictions;
use crate::eval::retrained::output_distance::distances;
use crate::eval::scores::Scores;
use crate::eval::split_predictions::{PartPredictions, distinct};
use crate::runtime::{At, Error, Result, Stream};
use tch::Tensor;

/// The metrics of a network beside the retrained one. Which test samples are RMIA's population derives from `seed` alone.
///
/// # Errors
/// Predictions on different samples.
pub fn compare(unlearned: &PartPredictions, retrained: &PartPredictions, seed: u64) -> Result<Metrics> {
    check(unlearned, retrained)?;
    let mut metrics = Metrics::default();
    let removed = unlearned.removed();
    measure(&mut metrics, "", &unlearned.forget.logits, &retrained.forget.logits)?;
    let remaining = |test: &Predictions| rows(test, |label| !removed.contains(&label));
    measure(&mut metrics, "test_", &remaining(&unlearned.test)?, &remaining(&retrained.test)?)?;
    thresholds(&mut metrics, &unlearned.forget.scores, &retrained.forget.scores);
    robust_attack(&mut metrics, unlearned, retrained, seed)?;
    Ok(metrics)
}

/// Refuses predictions that are not on the same samples, as far as labels tell.
fn check(unlearned: &PartPredictions, retrained: &PartPredictions) -> Result<()> {
    for (part, a, b) in [("forget", &unlearned.forget, &retrained.forget), ("test", &unlearned.test, &retrained.test)] {
        if a.scores.labels != b.scores.labels {
            let message = format!("the networks were evaluated on different samples of `{part}`");
            return Err(Error::new("compare", message).hint("compare with the network retrained on the same split"));
        }
        let (a, b) = (a.logits.size(), b.logits.size());
        if a != b {
            return Err(Error::new("compare", format!("logits of `{part}` have shapes {a:?} and {b:?}")));
        }
    }
    Ok(())
}

/// The logits of the samples whose label passes.
fn rows(part: &Predictions, passes: impl Fn(i64) -> bool) -> Result<Tensor> {
    let labels = part.scores.labels.iter().enumerate();
    let wanted: Vec<i64> = labels.filter(|(_, label)| passes(**label)).map(|(i, _)| i as i64).collect();
    if wanted.len() == part.scores.len() {
        return Ok(part.logits.shallow_clone());
    }
    let index = Tensor::f_from_slice(&wanted).and_then(|index| index.f_to_device(part.logits.device()));
    index.and_then(|index| part.logits.f_index_select(0, &index)).at("compare")
}

fn measure(metrics: &mut Metrics, prefix: &str, unlearned: &Tensor, retrained: &Tensor) -> Result<()> {
    let found = distances(unlearned, retrained)?;
    for (name, value) in [
        ("activation_distance", found.activation),
        ("kl", found.kl),
        ("js", found.js),
        ("js_legacy", found.js_legacy),
        ("completeness", found.completeness),
    ] {
        metrics.set(&format!("{prefix}{name}"), value);
    }
    Ok(())
}

/// Worst-threshold privacy over the forgotten samples.
fn thresholds(metrics: &mut Metrics, unlearned: &Scores, retrained: &Scores) {
    let entropy = epsilon::worst(&unlearned.entropy, &retrained.entropy);
    let margin = epsilon::worst(&unlearned.phi, &retrained.phi);
    // Written so that NaN of either is NaN.
    let worst = if entropy > margin || entropy.is_nan() { entropy } else { margin };
    metrics.set("epsilon_entropy", entropy);
    metrics.set("epsilon_margin", margin);
    metrics.set("epsilon", worst);
    metrics.set("forgetting_score", epsilon::forgetting_score(worst));
}

/// RMIA: half of the test samples are the population, those of the other half that share the forgotten samples' classes the
/// non-members.
fn robust_attack(
    metrics: &mut Metrics,
    unlearned: &PartPredictions,
    retrained: &PartPredictions,
    seed: u64,
) -> Result<()> {
    let test = &unlearned.test.scores;
    let present = distinct(&unlearned.forget.scores.labels);
    let order = Stream::new(seed, "compare").child("rmia").permutation(test.len());
    let (population, others) = order.split_at(test.len() / 2);
    let alike = others.iter().copied().filter(|i| test.labels.get(*i).is_some_and(|label| present.contains(label)));
    let alike: Vec<usize> = alike.collect();
    let confidences = |parts: &PartPredictions| {
        let test = &parts.test.scores.confidence;
        let pick = |chosen: &[usize]| chosen.iter().filter_map(|i| test.get(*i).copied()).collect();
        let members = parts.forget.scores.confidence.clone();
        Confidences { members, nonmembers: pick(&alike), population: pick(population) }
    };
    let found = rmia(&confidences(unlearned), &[confidences(retrained)], RmiaOptions::default())?;
    metrics.set("rmia_auc", found.auc.value);
    metrics.set("rmia_auc_se", found.auc.error);
    metrics.set("rmia_tpr_at_1", found.tpr_at_1);
    Ok(())
}

/// What scripts see of comparisons.
#[rhai::export_module]
pub mod script {
    use crate::eval::PartPredictions;
    use crate::runtime::{Options, Run, Script};
    use rhai::{Dynamic, Map, NativeCallContext};

    /// Metrics of a network beside the network retrained on the same split, from the predictions of both, as a map. Read each
    /// beside its floor, the same figure of two networks retrained with different seeds.
    ///
    /// On the forgotten samples `activation_distance`, `kl` (of the retrained network's output to the unlearned one's), `js`,
    /// `js_legacy` and `completeness`, each a mean over samples; on the test samples of the remaining classes the same with
    /// the prefix `test_`. Worst-threshold privacy over the forgotten samples (`worst_epsilon`): `epsilon_entropy`,
    /// `epsilon_margin` (of phi), `epsilon`, the larger of the two, and `forgetting_score`, `2 ** -epsilon`. The attack `rmia`
    /// with the retrained network as its reference, a half of the test samples as population and the other half (those of the
    /// forgotten samples' classes) as non-members: `rmia_auc`, `rmia_auc_se`, `rmia_tpr_at_1`. NaN where a set is empty.
    ///
    /// # Signature
    /// compare(unlearned: PartPredictions, retrained: PartPredictions, #{ seed: int }) -> map
    ///
    /// # Options
    /// - `seed` (int, the run's): which half of the test samples is the population
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let parts = #{ forget: d.train.take(100), retain: d.train.take(100..400), test: d.test };
    /// let one = predict_parts(convnet(d, #{ width: 4, depth: 1 }), parts);
    /// let other = predict_parts(convnet(d, #{ width: 4, depth: 1 }), parts);
    /// assert(compare(one, one).js < 1e-9 && compare(one, one).completeness == 1.0);
    /// assert(compare(one, other).test_kl > 0.0);
    /// ```
    #[rhai_fn(return_raw, name = "compare")]
    pub fn compare_as(
        context: NativeCallContext,
        unlearned: PartPredictions,
        retrained: PartPredictions,
        options: Map,
    ) -> Script<Map> {
        let mut o = Options::new("compare", options);
        let seed = o.maybe_integer("seed", 0)?.map_or(Run::of(&context).seed(), |seed| seed as u64);
        o.finish()?;
        let found = super::compare(&unlearned, &retrained, seed)?;
        Ok(found.iter().map(|(name, value)| (name.into(), Dynamic::from(value))).collect())
    }

    #[rhai_fn(return_raw, name = "compare")]
    pub fn compare(context: NativeCallContext, unlearned: PartPredictions, retrained: PartPredictions) -> Script<Map> {
        compare_as(context, unlearned, retrained, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Predictions of a network that is right by `margin` on average, on labels 0..3 in turn.
    fn predictions(name: &str, n: i64, margin: f64, keep: impl Fn(i64) -> bool) -> Predictions {
        let labels: Vec<i64> = (0..n).map(|i| i % 4).filter(|label| keep(*label)).collect();
        let mut z: Vec<f32> = Stream::new(5, name).normals(4 * labels.len());
        labels.iter().enumerate().for_each(|(i, y)| z[4 * i + *y as usize] += margin as f32);
        let z = Tensor::from_slice(&z).reshape([labels.len() as i64, 4]);
        Predictions::of("t", &z, &Tensor::from_slice(&labels), 4).unwrap()
    }

    fn parts(name: &str, forget_margin: f64, removed: Option<i64>) -> PartPredictions {
        let part = |part: &str| format!("{name}/{part}");
        PartPredictions {
            forget: predictions(&part("f"), 400, forget_margin, |label| removed.is_none_or(|gone| label == gone)),
            retain: predictions(&part("r"), 800, 3.0, |label| removed != Some(label)),
            test: predictions(&part("t"), 2400, 2.0, |_| true),
            unseen: None,
        }
    }

    #[test]
    fn a_network_is_at_no_distance_from_itself() {
        let one = parts("one", 2.0, None);
        let found = compare(&one, &one, 0).unwrap();
        for (name, value) in found.iter() {
            let wanted = match name {
                "completeness" | "test_completeness" | "forgetting_score" => 1.0,
                name if name.starts_with("rmia") => continue,
                _ => 0.0,
            };
            assert!((value - wanted).abs() < 1e-9, "{name}: {value}");
        }
        assert!((found.get("rmia_auc") - 0.5).abs() < 3.0 * found.get("rmia_auc_se"));
        assert!(found.get("rmia_tpr_at_1").is_finite(), "1,200 non-members are enough");
    }

    #[test]
    fn what_is_remembered_shows_on_the_forgotten_samples_and_not_on_the_test_samples() {
        let retrained = parts("retrained", 2.0, None);
        let (floor, kept) = (parts("again", 2.0, None), parts("kept", 6.0, None));
        let (floor, kept) = (compare(&floor, &retrained, 0).unwrap(), compare(&kept, &retrained, 0).unwrap());
        for name in ["js", "kl", "activation_distance", "epsilon", "epsilon_margin", "epsilon_entropy"] {
            assert!(kept.get(name) > floor.get(name), "{name}: {} and {}", kept.get(name), floor.get(name));
        }
        assert!(kept.get("rmia_auc") > 0.7 && kept.get("forgetting_score") < floor.get("forgetting_score"));
        assert!((kept.get("test_js") - floor.get("test_js")).abs() < 0.03);
        assert_eq!(kept.get("epsilon"), kept.get("epsilon_margin").max(kept.get("epsilon_entropy")));
    }

    #[test]
    fn removed_classes_count_in_no_test_distance_and_alone_among_non_members() {
        let (a, b) = (parts("a", 0.0, Some(2)), parts("b", 0.0, Some(2)));
        let found = compare(&a, &b, 0).unwrap();
        let rest = |p: &PartPredictions| rows(&p.test, |label| label != 2).unwrap();
        assert_eq!(rest(&a).size(), [1800, 4]);
        assert_eq!(found.get("test_js"), distances(&rest(&a), &rest(&b)).unwrap().js);
        assert!(found.get("rmia_tpr_at_1").is_nan(), "some 300 non-members of the class are too few");
    }

    #[test]
    fn other_samples_are_refused_and_empty_parts_give_nan() {
        let (a, mut b) = (parts("a", 2.0, None), parts("b", 2.0, None));
        b.test = predictions("t", 1000, 2.0, |_| true);
        assert!(compare(&a, &b, 0).unwrap_err().to_string().contains("different samples of `test`"));
        let (z, y) =
            (Tensor::zeros([0, 4], (Kind::Float, Device::Cpu)), Tensor::zeros([0], (Kind::Int64, Device::Cpu)));
        let none = Predictions::of("t", &z, &y, 4).unwrap();
        let empty = PartPredictions { forget: none.clone(), retain: none.clone(), test: none, unseen: None };
        assert!(compare(&empty, &empty, 0).unwrap().iter().all(|(_, value)| value.is_nan()));
    }
}
