//! The metrics of one network on the parts of a forget request: each part is forwarded once, everything else is arithmetic.

use super::attacks;
use super::metrics::{Basis, Metrics};
use super::predict::predict;
use super::salun::{self, Feature, Separator};
use super::scores::Scores;
use crate::data::Dataset;
use crate::nn::Net;
use crate::runtime::{Result, Stream};

/// What a network is evaluated on.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The samples to be forgotten: the members of the attacks.
    pub forget: &'a Dataset,
    /// All retained samples (not the reduced set, even where training used that).
    pub retain: &'a Dataset,
    /// Samples no training has seen: test accuracy and the non-members of the attacks.
    pub test: &'a Dataset,
    /// Samples to choose options by, if their accuracy is wanted.
    pub unseen: Option<&'a Dataset>,
}

/// Evaluates `net`. Draws (which samples an attack compares when one side is larger) derive from `seed` alone.
///
/// # Errors
/// When the network does not take the images; an interrupt.
pub fn evaluate(net: &Net, parts: &Parts, seed: u64) -> Result<Metrics> {
    let forget = predict(net, parts.forget)?.scores;
    let retain = predict(net, parts.retain)?.scores;
    let test = predict(net, parts.test)?.scores;
    let unseen = parts.unseen.map(|unseen| predict(net, unseen)).transpose()?.map(|p| p.scores);
    let mut metrics = accuracies(&forget, &retain, &test, unseen.as_ref());
    let classes = parts.test.classes();
    metrics.per_class = [("retain", &retain), ("forget", &forget), ("test", &test)]
        .map(|(name, scores)| (name.to_string(), scores.per_class(classes)))
        .to_vec();
    attack(&mut metrics, &forget, &retain, &test, &Stream::new(seed, "evaluate"))?;
    Ok(metrics)
}

fn distinct(labels: &[i64]) -> Vec<i64> {
    labels.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Accuracies and losses; test accuracy is on the classes that remain.
fn accuracies(forget: &Scores, retain: &Scores, test: &Scores, unseen: Option<&Scores>) -> Metrics {
    let kept = distinct(&retain.labels);
    // A request that forgets everything removes no class in particular.
    let gone: Vec<i64> =
        distinct(&forget.labels).into_iter().filter(|c| !kept.is_empty() && !kept.contains(c)).collect();
    let remaining = test.keep(|label| !gone.contains(&label));
    let mut metrics = Metrics::default();
    metrics.set("retain_accuracy", retain.accuracy());
    metrics.set("forget_accuracy", forget.accuracy());
    metrics.set("test_accuracy", remaining.accuracy());
    if !gone.is_empty() {
        metrics.set("forgotten_test_accuracy", test.keep(|label| gone.contains(&label)).accuracy());
    }
    if let Some(unseen) = unseen {
        metrics.set("unseen_accuracy", unseen.keep(|label| !gone.contains(&label)).accuracy());
    }
    metrics.set("retain_loss", retain.mean_loss());
    metrics.set("forget_loss", forget.mean_loss());
    metrics.set("test_loss", remaining.mean_loss());
    metrics.basis = Basis { forget: forget.len(), test: remaining.len(), attacked: 0, classes: gone };
    metrics
}

/// The attacks: members are the forgotten samples, non-members the test samples of the same classes.
fn attack(metrics: &mut Metrics, forget: &Scores, retain: &Scores, test: &Scores, stream: &Stream) -> Result<()> {
    let present = distinct(&forget.labels);
    let alike = test.keep(|label| present.contains(&label));
    metrics.basis.attacked = alike.len();

    let found = attacks::logistic(&forget.phi, &alike.phi, &mut stream.child("logistic"));
    metrics.set("mia_auc", found.auc.value);
    metrics.set("mia_auc_se", found.auc.error);
    metrics.set("mia_auc_two_sided", found.two_sided());
    metrics.set("mia_accuracy", found.accuracy);
    metrics.set("mia_tpr_at_1", found.tpr_at_1);

    // The reference reads its sets in shuffled order and keeps the first of the larger; its second try filters nothing.
    let mut draw = stream.child("mia_ref");
    let mut shuffled = |values: &[f64]| pick(values, values.len(), &mut draw);
    let (members, nonmembers, everyone) =
        (shuffled(&forget.phi_ref), shuffled(&alike.phi_ref), shuffled(&test.phi_ref));
    metrics.set("mia_ref", attacks::reference(&members, &nonmembers, (&everyone, &members)).score);

    let mut draw = stream.child("mia_salun");
    let n = retain.len().min(test.len());
    let (members, nonmembers) = (pick(&retain.confidence, n, &mut draw), pick(&test.confidence, n, &mut draw));
    metrics.set(
        "mia_salun",
        salun::attack(Feature::Confidence, &members, &nonmembers, &forget.confidence, Separator::Machine)?,
    );
    Ok(())
}

/// `n` of the values in random order.
fn pick(values: &[f64], n: usize, stream: &mut Stream) -> Vec<f64> {
    stream.sample(values.len(), n).into_iter().filter_map(|i| values.get(i).copied()).collect()
}

/// What scripts see of whole evaluations.
#[rhai::export_module]
pub mod script {
    use super::Parts;
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{Error, Options, Run, Script};
    use rhai::{Map, NativeCallContext};

    /// All metrics of a network on the parts of a forget request, as a map of fractions (losses in nats): accuracies and
    /// losses on `retain`, `forget` and `test`; the membership attacks `mia_auc` (of phi, forgotten against test samples of
    /// the same classes, with `mia_auc_se`, `mia_auc_two_sided`, `mia_accuracy`, `mia_tpr_at_1`), `mia_ref` and `mia_salun`;
    /// `per_class`. When whole classes are forgotten, `test_accuracy` is on the remaining ones and `forgotten_test_accuracy`
    /// on the others. NaN where a set is empty or too small.
    ///
    /// # Signature
    /// evaluate(net: Net, #{ forget: Dataset, retain: Dataset, test: Dataset, unseen: Dataset, seed: int }) -> map
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
        let [forget, retain, test, unseen] =
            ["forget", "retain", "test", "unseen"].map(|key| o.maybe::<Dataset>(key, "Dataset"));
        let seed = o.maybe_integer("seed", 0)?.map_or(Run::of(&context).seed(), |seed| seed as u64);
        let (Some(forget), Some(retain), Some(test), unseen) = (forget?, retain?, test?, unseen?) else {
            let error = Error::new("evaluate", "needs the parts `forget`, `retain` and `test`");
            return Err(error.hint("evaluate(net, #{ forget: .., retain: .., test: .. })").into());
        };
        o.finish()?;
        let parts = Parts { forget: &forget, retain: &retain, test: &test, unseen: unseen.as_ref() };
        Ok(super::evaluate(&net, &parts, seed)?.to_map())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DatasetInfo;
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
        assert_eq!(metrics.basis, Basis { forget: 100, test: 250, attacked: 250, classes: vec![] });
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
        assert_eq!(metrics.basis, Basis { forget: 100, test: 200, attacked: 100, classes: vec![1] });
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
