//! The metrics of one network on the parts of a forget request: each part is forwarded once, everything else is arithmetic.

use super::entropy::{self, Separator as EntropySeparator};
use super::metrics::{Basis, Metrics};
use super::parts::{PartPredictions, distinct, predict_parts};
use super::salun::{self, Feature, Separator};
use super::scores::Scores;
use super::{attacks, competition, histogram, rank, summaries};
use crate::nn::Net;
use crate::runtime::{Result, Stream};

pub use super::parts::Parts;

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
        let mut metrics = accuracies(forget, retain, test, unseen, &self.removed());
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
            metrics.set("unseen_mia_auc", rank::auc(&forget.phi, &alike.phi).value);
        }
        metrics.set("nomus", summaries::nomus(metrics.get("test_accuracy"), accuracy, summaries::LAMBDA));
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
    metrics.basis = Basis { forget, retain, test, attacked: 0, classes: removed.to_vec() };
    metrics
}

/// The logistic attack and the reference's.
fn attacks_on_phi(metrics: &mut Metrics, forget: &Scores, alike: &Scores, test: &Scores, stream: &Stream) {
    let found = attacks::logistic(&forget.phi, &alike.phi, &mut stream.child("logistic"));
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
    metrics.set("mia_ref", attacks::reference(&members, &nonmembers, (&everyone, &members)).score);
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

/// What scripts see of whole evaluations.
#[rhai::export_module]
pub mod script {
    use super::super::parts::Given;
    use crate::eval::PartPredictions;
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
        Ok(super::evaluate(&net, &given.parts(), seed)?.to_map())
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
        Ok(predictions.metrics(seed)?.to_map())
    }

    #[rhai_fn(return_raw, name = "evaluate")]
    pub fn evaluate_predictions(context: NativeCallContext, predictions: PartPredictions) -> Script<Map> {
        evaluate_predictions_as(context, predictions, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::super::predict::predict;
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
        assert_eq!(metrics.basis, Basis { forget: 100, retain: 250, test: 250, attacked: 250, classes: vec![] });
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
        assert_eq!(metrics.basis, Basis { forget: 100, retain: 200, test: 200, attacked: 100, classes: vec![1] });
        let whole = predict(&net(&all), &test).unwrap().scores.accuracy();
        let parts = 2.0 / 3.0 * metrics.get("test_accuracy") + metrics.get("forgotten_test_accuracy") / 3.0;
        assert!((whole - parts).abs() < 1e-12);
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
