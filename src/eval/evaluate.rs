//! The metrics of one network on the parts of a forget request: each part is forwarded once, everything else is arithmetic.

use super::histogram;
use super::metrics::{Basis, Metrics};
use super::scores::Scores;
use crate::eval::attacks::entropy::Separator as EntropySeparator;
use crate::eval::attacks::salun::{Feature, Separator};
use crate::eval::attacks::{competition, entropy, phi, roc, salun};
use crate::eval::split_predictions::{PartPredictions, distinct, predict_parts};
use crate::eval::{summary_scores, warnings};
use crate::nn::Net;
use crate::nn::guess::NO_CLASS;
use crate::runtime::{Result, Run, Stream};

pub use crate::eval::split_predictions::Parts;

/// Evaluates `net`. Draws (which samples an attack compares when one side is larger) derive from `seed` alone.
///
/// # Errors
/// When the network does not take the images; an interrupt.
pub fn evaluate(net: &Net, parts: &Parts, seed: u64) -> Result<Metrics> {
    predict_parts(net, parts)?.metrics(seed)
}

impl PartPredictions {
    /// Every metric that needs one network only. Draws derive from `seed` alone.
    ///
    /// # Errors
    /// Those of torch.
    pub fn metrics(&self, seed: u64) -> Result<Metrics> {
        let (forget, retain, test) = (&self.forget.scores, &self.retain.scores, &self.test.scores);
        let unseen = self.unseen.as_ref().map(|unseen| &unseen.scores);
        let removed = self.removed();
        let mut metrics = accuracies(forget, retain, test, unseen, &removed);
        metrics.basis.outputs = self.each().map(|(_, part)| part.scores.len()).sum();
        metrics.basis.not_finite = self.each().map(|(_, part)| part.scores.broken()).sum();
        metrics.basis.only_class = only_class(retain, test, &removed);
        let classes = self.classes();
        for (part, predictions) in self.each() {
            metrics.per_class.push((part.into(), predictions.scores.per_class(classes)));
            metrics.loss_histogram.push((part.into(), histogram::counts(&predictions.scores.loss)));
        }
        let stream = Stream::new(seed, "evaluate");
        let present = distinct(&forget.labels);
        // The non-members of the attacks on forgotten samples: test samples of the same classes.
        let alike = test.keep(|label| present.contains(&label));
        metrics.basis.attacked = alike.len();
        attacks_on_phi(&mut metrics, forget, &alike, test, &stream);
        let accuracy = competition::attack(&forget.loss, &alike.loss, &mut stream.child("mia_competition"));
        metrics.set("mia_competition", accuracy);
        salun_attacks(&mut metrics, forget, retain, test, &stream)?;
        for (name, separator) in
            [("mia_entropy", EntropySeparator::Logistic), ("mia_entropy_svc", EntropySeparator::Machine)]
        {
            metrics.set(name, entropy::attack(&retain.entropy, &test.entropy, &forget.entropy, separator));
        }
        if let Some(unseen) = unseen {
            let alike = unseen.keep(|label| present.contains(&label));
            metrics.set("unseen_mia_auc", roc::auc(&forget.phi, &alike.phi).value);
        }
        metrics.set("nomus", summary_scores::nomus(metrics.get("test_accuracy"), accuracy, summary_scores::LAMBDA));
        Ok(metrics)
    }
}

/// Accuracies and losses; test accuracy is on the classes that remain.
fn accuracies(forget: &Scores, retain: &Scores, test: &Scores, unseen: Option<&Scores>, removed: &[i64]) -> Metrics {
    let remaining = test.keep(|label| !removed.contains(&label));
    let mut metrics = Metrics::default();
    metrics.set("retain_accuracy", retain.accuracy());
    metrics.set("forget_accuracy", forget.accuracy());
    metrics.set("test_accuracy", remaining.accuracy());
    if !removed.is_empty() {
        metrics.set("forgotten_test_accuracy", test.keep(|label| removed.contains(&label)).accuracy());
    }
    if let Some(unseen) = unseen {
        metrics.set("unseen_accuracy", unseen.keep(|label| !removed.contains(&label)).accuracy());
    }
    metrics.set("retain_loss", retain.mean_loss());
    metrics.set("forget_loss", forget.mean_loss());
    metrics.set("test_loss", remaining.mean_loss());
    let (forget, retain, test) = (forget.len(), retain.len(), remaining.len());
    metrics.basis = Basis { forget, retain, test, classes: removed.to_vec(), ..Basis::default() };
    metrics
}

/// The class that every retained and test sample is taken for, where there is more than one class to tell apart among them.
fn only_class(retain: &Scores, test: &Scores, removed: &[i64]) -> Option<i64> {
    let seen = || {
        let both = [retain, test].into_iter().flat_map(|scores| scores.labels.iter().zip(&scores.predicted));
        both.map(|(label, class)| (*label, *class)).filter(|(label, _)| !removed.contains(label))
    };
    let (label, class) = seen().next()?;
    let several = seen().any(|(other, _)| other != label);
    (several && class != NO_CLASS && seen().all(|(_, other)| other == class)).then_some(class)
}

/// The logistic attack and the reference's.
fn attacks_on_phi(metrics: &mut Metrics, forget: &Scores, alike: &Scores, test: &Scores, stream: &Stream) {
    let found = phi::logistic(&forget.phi, &alike.phi, &mut stream.child("logistic"));
    metrics.set("mia_auc", found.auc.value);
    metrics.set("mia_auc_se", found.auc.error);
    metrics.set("mia_auc_two_sided", found.two_sided());
    metrics.set("mia_accuracy", found.accuracy);
    metrics.set("mia_tpr_at_1", found.tpr_at_1);

    // The reference reads its sets in shuffled order and keeps the first of the larger; its second try filters nothing.
    let mut draw = stream.child("mia_ref");
    let mut shuffled = |values: &[f64]| pick(values, &draw.permutation(values.len()));
    let (members, nonmembers, everyone) =
        (shuffled(&forget.phi_ref), shuffled(&alike.phi_ref), shuffled(&test.phi_ref));
    metrics.set("mia_ref", phi::reference(&members, &nonmembers, (&everyone, &members)).score);
}

/// SalUn's attacks, all of them fitted on the same draw of retained and test samples.
fn salun_attacks(
    metrics: &mut Metrics,
    forget: &Scores,
    retain: &Scores,
    test: &Scores,
    stream: &Stream,
) -> Result<()> {
    let mut draw = stream.child("mia_salun");
    let n = retain.len().min(test.len());
    let (members, nonmembers) = (draw.sample(retain.len(), n), draw.sample(test.len(), n));
    for feature in Feature::ALL {
        let (members, nonmembers) = (pick(&feature.of(retain), &members), pick(&feature.of(test), &nonmembers));
        let share = salun::attack(feature, &members, &nonmembers, &feature.of(forget), Separator::Machine)?;
        metrics.set(feature.metric(), share);
    }
    Ok(())
}

/// The values at these positions.
fn pick(values: &[f64], positions: &[usize]) -> Vec<f64> {
    positions.iter().filter_map(|i| values.get(*i).copied()).collect()
}

/// The metrics for a script, which is warned of outputs that are nothing to go by.
fn told(run: &Run, metrics: &Metrics) -> rhai::Map {
    warnings::outputs(metrics).iter().for_each(|line| run.progress().warn(&format!("evaluate: {line}")));
    metrics.to_map()
}

/// What scripts see of whole evaluations.
#[rhai::export_module]
pub mod script {
    use super::told;
    use crate::eval::PartPredictions;
    use crate::eval::split_predictions::Given;
    use crate::nn::Net;
    use crate::runtime::{Options, Run, Script};
    use rhai::{Map, NativeCallContext};

    /// All metrics of a network on the parts of a forget request, as a map of fractions (losses in nats); also of predictions
    /// made before, without a forward pass. `lethe list metrics` tells what each is and which way is better.
    ///
    /// Accuracies and losses on `retain`, `forget` and `test`; the membership attacks `mia_auc` (of phi, forgotten against test
    /// samples of the same classes, with `mia_auc_se`, `mia_auc_two_sided`, `mia_accuracy`, `mia_tpr_at_1`), `mia_ref`,
    /// `mia_competition`, SalUn's `mia_salun`, `mia_salun_entropy`, `mia_salun_modified_entropy` and `mia_salun_correctness`,
    /// `mia_entropy` and `mia_entropy_svc`; `nomus` (of `test_accuracy` and `mia_competition`). Then `per_class`, the accuracies
    /// of every part by class, `loss_histogram` (bins of the function `loss_histogram`), and `basis`, the sample counts. When
    /// whole classes are forgotten, `test_accuracy` is on the remaining ones and `forgotten_test_accuracy` on the others. NaN
    /// where a set is empty or too small.
    ///
    /// Samples whose logits are NaN or infinite count as wrong, and metrics that need their outputs are NaN; a warning says how
    /// many there are, and so does `basis` (`not_finite` of `outputs`). A logit of minus infinity is a masked class, which has no
    /// probability. A network that takes every sample for one class is warned about, too (`basis.only_class`).
    ///
    /// # Signature
    /// evaluate(net: Net, #{ forget: Dataset, retain: Dataset, test: Dataset, unseen: Dataset, seed: int }) -> map
    /// evaluate(predictions: PartPredictions, #{ seed: int }) -> map
    ///
    /// # Options
    /// - `forget` (Dataset): the samples to be forgotten
    /// - `retain` (Dataset): the retained samples
    /// - `test` (Dataset): samples no training has seen
    /// - `unseen` (Dataset, ()): adds `unseen_accuracy`, to choose options by
    /// - `seed` (int, the run's): which samples the attacks draw from the larger side
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4, depth: 1 });
    /// let m = evaluate(net, #{ forget: d.train.take(100), retain: d.train.take(100..400), test: d.test });
    /// assert(m.mia_auc > 0.3 && m.mia_auc < 0.7 && m.per_class.test.len() == 10);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn evaluate(context: NativeCallContext, net: Net, parts: Map) -> Script<Map> {
        let mut o = Options::new("evaluate", parts);
        let given = Given::read("evaluate", &mut o)?;
        let seed = o.maybe_integer("seed", 0)?.map_or(Run::of(&context).seed(), |seed| seed as u64);
        o.finish()?;
        Ok(told(&Run::of(&context), &super::evaluate(&net, &given.parts(), seed)?))
    }

    #[rhai_fn(return_raw, name = "evaluate")]
    pub fn evaluate_predictions_as(
        context: NativeCallContext,
        predictions: PartPredictions,
        options: Map,
    ) -> Script<Map> {
        let mut o = Options::new("evaluate", options);
        let seed = o.maybe_integer("seed", 0)?.map_or(Run::of(&context).seed(), |seed| seed as u64);
        o.finish()?;
        Ok(told(&Run::of(&context), &predictions.metrics(seed)?))
    }

    #[rhai_fn(return_raw, name = "evaluate")]
    pub fn evaluate_predictions(context: NativeCallContext, predictions: PartPredictions) -> Script<Map> {
        evaluate_predictions_as(context, predictions, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::super::predict::{Predictions, predict};
    use super::*;
    use crate::data::{Dataset, DatasetInfo};
    use crate::nn::zoo::{MlpOptions, mlp};
    use tch::{Device, Tensor};

    /// 600 images of 2 x 2 whose class (of 3) shows in the first pixels.
    fn images() -> Dataset {
        let mut stream = Stream::new(4, "images");
        let labels: Vec<i64> = (0..600).map(|i| i % 3).collect();
        let mut pixels = stream.normals(2400);
        labels.iter().enumerate().for_each(|(i, label)| pixels[4 * i + *label as usize] += 4.0);
        let info = DatasetInfo { name: "toy".into(), classes: Some(3), ..DatasetInfo::default() };
        let x = Tensor::from_slice(&pixels).reshape([600, 1, 2, 2]);
        Dataset::from_tensors(&x, &Tensor::from_slice(&labels), info).unwrap()
    }

    fn net(dataset: &Dataset) -> Net {
        let options = MlpOptions { hidden: vec![] };
        mlp(dataset.shape(), 3, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap()
    }

    fn range(dataset: &Dataset, from: usize, to: usize) -> Dataset {
        dataset.subset(&(from..to).collect::<Vec<_>>())
    }

    #[test]
    fn a_network_without_training_gives_itself_away_to_no_attack() {
        let all = images();
        let (forget, retain, test) = (range(&all, 0, 100), range(&all, 100, 350), range(&all, 350, 600));
        let net = net(&all);
        let parts = Parts { forget: &forget, retain: &retain, test: &test, unseen: Some(&test) };
        let metrics = evaluate(&net, &parts, 1).unwrap();
        assert!((metrics.get("mia_auc") - 0.5).abs() < 3.0 * metrics.get("mia_auc_se"));
        assert_eq!(metrics.get("unseen_accuracy"), metrics.get("test_accuracy"));
        assert!(metrics.get("mia_tpr_at_1").is_nan() && metrics.get("forgotten_test_accuracy").is_nan());
        let sizes = Basis { forget: 100, retain: 250, test: 250, attacked: 250, outputs: 850, ..Basis::default() };
        assert_eq!(metrics.basis, sizes);
        assert!((metrics.get("mia_salun_correctness") - (1.0 - metrics.get("forget_accuracy"))).abs() < 1e-12);
        assert!((metrics.get("mia_competition") - 0.5).abs() < 0.15);
        let parts_of =
            |named: &[(String, Vec<u64>)]| named.iter().map(|(p, c)| (p.clone(), c.iter().sum())).collect::<Vec<_>>();
        let sizes = [("forget", 100_u64), ("retain", 250), ("test", 250), ("unseen", 250)];
        assert_eq!(parts_of(&metrics.loss_histogram), sizes.map(|(part, n)| (part.to_string(), n)));
        assert_eq!(metrics.to_json(), evaluate(&net, &parts, 1).unwrap().to_json(), "it repeats");
        assert!(net.is_training(), "the mode is restored");
    }

    #[test]
    fn class_requests_split_the_test_set_by_class() {
        let all = images();
        let train = range(&all, 0, 300);
        let (forget, retain, test) = (train.of(&[1]), train.of(&[0, 2]), range(&all, 300, 600));
        let parts = Parts { forget: &forget, retain: &retain, test: &test, unseen: None };
        let metrics = evaluate(&net(&all), &parts, 1).unwrap();
        let sizes = Basis {
            forget: 100,
            retain: 200,
            test: 200,
            attacked: 100,
            classes: vec![1],
            outputs: 600,
            ..Basis::default()
        };
        assert_eq!(metrics.basis, sizes);
        let whole = predict(&net(&all), &test).unwrap().scores.accuracy();
        let parts = 2.0 / 3.0 * metrics.get("test_accuracy") + metrics.get("forgotten_test_accuracy") / 3.0;
        assert!((whole - parts).abs() < 1e-12);
    }

    /// Predictions with these logits for every sample, on the classes of `images`.
    fn constant(logits: [f32; 3]) -> PartPredictions {
        let part = |labels: &[i64], n: usize| {
            let y: Vec<i64> = (0..n).map(|i| labels[i % labels.len()]).collect();
            let z = Tensor::from_slice(&logits).repeat([n as i64, 1]);
            Predictions::of("t", &z, &Tensor::from_slice(&y), 3).unwrap()
        };
        let all = [0, 1, 2];
        PartPredictions { forget: part(&all, 60), retain: part(&all, 300), test: part(&all, 1200), unseen: None }
    }

    #[test]
    fn a_collapsed_network_shines_in_no_metric_and_raises_an_alarm() {
        let metrics = constant([0.5, 0.1, 0.1]).metrics(0).unwrap();
        for (name, wanted) in [
            ("retain_accuracy", 1.0 / 3.0),
            ("mia_auc", 0.5),
            ("mia_salun_entropy", 0.0),
            ("mia_entropy", 0.0),
            // With four test samples to a retained one the unbalanced machine calls everything a non-member.
            ("mia_entropy_svc", 0.0),
        ] {
            assert!((metrics.get(name) - wanted).abs() < 1e-9, "{name}: {}", metrics.get(name));
        }
        assert_eq!((metrics.basis.only_class, metrics.basis.not_finite), (Some(0), 0));
        assert_eq!(constant([0.0; 3]).metrics(0).unwrap().get("mia_salun"), 0.0, "SalUn % is the worst, not 100");
        let line = warnings::outputs(&metrics).join("; ");
        assert_eq!(line, "collapsed: each of the 1500 retained and test samples is classified as 0");
    }

    #[test]
    fn a_network_that_knows_one_remaining_class_has_not_collapsed() {
        let mut parts = constant([0.5, 0.1, 0.1]);
        parts.retain.scores = parts.retain.scores.keep(|label| label == 0);
        parts.forget.scores = parts.forget.scores.keep(|label| label != 0);
        let metrics = parts.metrics(0).unwrap();
        assert_eq!((&metrics.basis.classes[..], metrics.basis.only_class), (&[1, 2][..], None));
    }

    #[test]
    fn a_network_without_numbers_for_outputs_has_its_accuracies_and_no_other_metric() {
        for broken in [[f32::NAN; 3], [f32::INFINITY, 0.0, 0.0], [f32::NEG_INFINITY; 3], [0.0, f32::NAN, 0.0]] {
            let metrics = constant(broken).metrics(0).unwrap();
            assert_eq!((metrics.basis.not_finite, metrics.basis.outputs), (1560, 1560));
            for (name, value) in metrics.iter() {
                match name {
                    // Nothing is right; and where nothing is right nothing is told apart by it.
                    "retain_accuracy" | "forget_accuracy" | "test_accuracy" | "mia_salun_correctness" => {
                        assert_eq!(value, 0.0, "{name}");
                    }
                    _ => assert!(value.is_nan(), "{name}: {value} of {broken:?}"),
                }
            }
            let line = warnings::outputs(&metrics).join("; ");
            assert!(line.starts_with("broken outputs: 1560 of 1560 are not finite"), "{line}");
        }
        let mut some = constant([0.5, 0.1, 0.1]);
        let z = some.test.logits.copy();
        let _ = z.get(7).fill_(f64::NAN);
        some.test = Predictions::of("t", &z, &some.test.y, 3).unwrap();
        let metrics = some.metrics(0).unwrap();
        assert_eq!(metrics.basis.not_finite, 1);
        assert!((metrics.get("test_accuracy") - 399.0 / 1200.0).abs() < 0.001 && metrics.get("test_loss").is_nan());
        assert!(metrics.get("mia_salun").is_nan() && metrics.get("mia_auc").is_nan() && metrics.get("nomus").is_nan());
    }

    #[test]
    fn masked_classes_leave_every_metric_a_number_or_nan_as_their_losses_are() {
        let metrics = constant([0.5, 0.1, f32::NEG_INFINITY]).metrics(0).unwrap();
        assert_eq!((metrics.basis.not_finite, metrics.basis.only_class), (0, Some(0)));
        // A third of the samples is of the masked class: their loss is infinite, their rank the lowest.
        assert!(metrics.get("test_loss") == f64::INFINITY && (metrics.get("mia_auc") - 0.5).abs() < 1e-9);
        assert!(metrics.get("mia_accuracy").is_nan() && metrics.get("mia_competition").is_nan());
        assert!(metrics.get("mia_salun").is_finite() && metrics.get("mia_entropy").is_finite());
    }

    #[test]
    fn empty_parts_give_nan_and_never_fail() {
        let all = images();
        let (none, some) = (range(&all, 0, 0), range(&all, 0, 60));
        for (forget, retain, test) in
            [(&none, &some, &some), (&some, &none, &some), (&some, &some, &none), (&none, &none, &none)]
        {
            let metrics = evaluate(&net(&all), &Parts { forget, retain, test, unseen: Some(&none) }, 0).unwrap();
            assert_eq!(metrics.get("forget_accuracy").is_nan(), forget.is_empty());
            assert_eq!(metrics.get("test_accuracy").is_nan(), test.is_empty());
            assert!(metrics.get("unseen_accuracy").is_nan());
        }
    }
}
