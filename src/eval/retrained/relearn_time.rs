//! How quickly a network learns again what it was to forget: fine-tuning of copies on the forget set, counted in steps.

use crate::data::{Batch, Dataset};
use crate::eval::predict::predict;
use crate::nn::guess::guesses;
use crate::nn::loss::cross_entropy;
use crate::nn::{Net, Optimizer, SgdOptions};
use crate::runtime::{At, Error, Options, Result, Stream};
use rhai::{Array, Dynamic, Map};
use tch::{Kind, Reduction, Tensor};

/// Images evaluated at once.
const CHUNK: usize = 1024;

/// When a network counts as having learned the forget set again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Its mean cross-entropy is at most this.
    Loss(f64),
    /// Its accuracy is at least this.
    Accuracy(f64),
}

/// How to relearn.
#[derive(Debug, Clone, Copy)]
pub struct RelearnOptions {
    /// Learning rate of SGD.
    pub lr: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Samples of a step; the last short batch of a pass is kept.
    pub batch: usize,
    /// Steps between two evaluations on the whole set; `None`: ten evaluations a pass.
    pub every: Option<usize>,
    /// Steps after which to give up.
    pub steps_at_most: usize,
    /// The condition.
    pub goal: Goal,
    /// How often to repeat, each time in another order.
    pub repeats: usize,
    /// What the orders derive from.
    pub seed: u64,
}

impl Default for RelearnOptions {
    fn default() -> Self {
        Self {
            lr: 0.01,
            momentum: 0.9,
            batch: 64,
            every: None,
            steps_at_most: 500,
            goal: Goal::Loss(0.1),
            repeats: 3,
            seed: 0,
        }
    }
}

/// The forget set under a network after so many steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Steps taken.
    pub step: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Accuracy.
    pub accuracy: f64,
}

/// One repeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// Steps after which the condition was first seen to hold: 0 where it held from the start, `steps_at_most` where it never
    /// did.
    pub steps: usize,
    /// Whether it ever held.
    pub reached: bool,
    /// Every evaluation, the one before the first step included.
    pub curve: Vec<Point>,
}

/// All repeats; there is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Relearning {
    /// In turn.
    pub repeats: Vec<Repeat>,
}

impl Relearning {
    /// Whether the network's outputs were no numbers before the first step: there is nothing to count then.
    pub fn broken(&self) -> bool {
        self.repeats.iter().any(|repeat| repeat.curve.first().is_some_and(|point| point.loss.is_nan()))
    }

    /// The mean number of steps; NaN of a network whose outputs are no numbers.
    pub fn steps(&self) -> f64 {
        if self.broken() {
            return f64::NAN;
        }
        self.repeats.iter().map(|repeat| repeat.steps as f64).sum::<f64>() / self.repeats.len() as f64
    }

    /// Whether every repeat got there.
    pub fn reached(&self) -> bool {
        self.repeats.iter().all(|repeat| repeat.reached)
    }

    /// The mean over the repeats at every step at which one was evaluated; a repeat that has ended counts with its last figures.
    pub fn curve(&self) -> Vec<Point> {
        let steps: std::collections::BTreeSet<usize> =
            self.repeats.iter().flat_map(|repeat| repeat.curve.iter().map(|point| point.step)).collect();
        let mean = |step: usize, of: fn(&Point) -> f64| {
            let latest =
                |repeat: &Repeat| repeat.curve.iter().rev().find(|point| point.step <= step).map_or(f64::NAN, of);
            self.repeats.iter().map(latest).sum::<f64>() / self.repeats.len() as f64
        };
        let point = |step| Point { step, loss: mean(step, |p| p.loss), accuracy: mean(step, |p| p.accuracy) };
        steps.into_iter().map(point).collect()
    }
}

/// Fine-tunes copies of `net` on `dataset` until the condition holds. The network itself is left alone. Two networks relearn
/// in the same orders under one seed.
///
/// # Errors
/// An empty dataset; images or labels the network does not take; an interrupt.
pub fn relearn(net: &Net, dataset: &Dataset, o: &RelearnOptions) -> Result<Relearning> {
    if dataset.is_empty() {
        return Err(Error::new("relearn", "the dataset is empty"));
    }
    let orders = Stream::new(o.seed, "relearn");
    let repeat = |number: usize| once(&net.copy()?, dataset, o, &mut orders.child(&format!("order {number}")));
    Ok(Relearning { repeats: (0..o.repeats.max(1)).map(repeat).collect::<Result<_>>()? })
}

fn once(net: &Net, dataset: &Dataset, o: &RelearnOptions, order: &mut Stream) -> Result<Repeat> {
    let steps_a_pass = dataset.len().div_ceil(o.batch.max(1));
    let every = o.every.unwrap_or(steps_a_pass / 10).max(1);
    let optimizer = Optimizer::sgd(net, &SgdOptions { lr: o.lr, momentum: o.momentum, ..SgdOptions::default() })?;
    let mut curve = vec![measure(net, dataset, 0)?];
    let mut step = 0;
    loop {
        for batch in dataset.batches(o.batch, order)? {
            match curve.last() {
                Some(last) if o.goal.holds(last) => return Ok(Repeat { steps: last.step, reached: true, curve }),
                // A network that diverged learns nothing any more.
                Some(last) if step >= o.steps_at_most || last.loss.is_nan() => {
                    return Ok(Repeat { steps: o.steps_at_most, reached: false, curve });
                }
                _ => {}
            }
            optimizer.minimize(&tch::with_grad(|| loss_of(net, &batch?))?)?;
            step += 1;
            if step % every == 0 || step == o.steps_at_most {
                curve.push(measure(net, dataset, step)?);
            }
        }
    }
}

fn loss_of(net: &Net, batch: &Batch) -> Result<Tensor> {
    cross_entropy(&net.forward(&batch.x)?, &batch.y)
}

impl Goal {
    fn holds(self, point: &Point) -> bool {
        match self {
            Self::Loss(most) => point.loss <= most,
            // The small allowance is for shares such as 0.95 * 0.8.
            Self::Accuracy(least) => point.accuracy >= least - 1e-9,
        }
    }
}

/// Loss and accuracy on the whole set in evaluation mode, read from the device at once.
fn measure(net: &Net, dataset: &Dataset, step: usize) -> Result<Point> {
    let sums = net.evaluating(|| {
        let mut sums = Tensor::f_zeros([2], (Kind::Double, net.device())).at("relearn")?;
        for batch in dataset.chunks(CHUNK) {
            let batch = batch?;
            let logits = net.forward(&batch.x)?;
            let pair = || {
                let loss = logits.f_cross_entropy_loss(&batch.y, None::<Tensor>, Reduction::Sum, -100, 0.0)?;
                let hits = guesses(&logits)?.f_eq_tensor(&batch.y)?.f_sum(Kind::Double)?;
                Tensor::f_stack(&[loss.f_to_kind(Kind::Double)?, hits], 0)
            };
            let _ = pair().and_then(|pair| sums.f_add_(&pair)).at("relearn")?;
        }
        Ok(sums)
    })?;
    let sums = crate::eval::scores::to_host("relearn", &sums)?;
    let mean = |i: usize| sums.get(i).map_or(f64::NAN, |sum| sum / dataset.len() as f64);
    Ok(Point { step, loss: mean(0), accuracy: mean(1) })
}

/// The anamnesis index and what it rests on.
#[derive(Debug, Clone)]
pub struct Anamnesis {
    /// The index.
    pub index: f64,
    /// The accuracy to get back to.
    pub accuracy: f64,
    /// Of the unlearned network.
    pub unlearned: Relearning,
    /// Of the retrained network.
    pub retrained: Relearning,
}

/// The anamnesis index: steps in which the unlearned network gets back to `(1 - alpha)` of the original's accuracy on the
/// forget set, over those of the retrained one, with the same options and orders. Steps are counted from 1, so that networks
/// that need none have an index; one that never gets there counts as `steps_at_most`. NaN where neither gets there, or one
/// has no numbers for outputs: nothing can be told then. `o.goal` is not used.
///
/// # Errors
/// As `relearn`; an original that has nothing right, which every network equals at once.
pub fn anamnesis(
    unlearned: &Net,
    retrained: &Net,
    original: &Net,
    forget: &Dataset,
    alpha: f64,
    o: &RelearnOptions,
) -> Result<Anamnesis> {
    let known = predict(original, forget)?.scores;
    let accuracy = (1.0 - alpha) * known.accuracy();
    if accuracy <= 0.0 {
        let message = "the original network classifies no forgotten sample rightly, so there is nothing to learn again";
        let error = Error::new("ain", if alpha < 1.0 { message } else { "`alpha` of 1 leaves nothing to learn again" });
        return Err(known.caution().map_or(error.clone(), |caution| error.note(caution)));
    }
    let o = RelearnOptions { goal: Goal::Accuracy(accuracy), ..*o };
    let (unlearned, retrained) = (relearn(unlearned, forget, &o)?, relearn(retrained, forget, &o)?);
    let told = unlearned.reached() || retrained.reached();
    let index = if told { (1.0 + unlearned.steps()) / (1.0 + retrained.steps()) } else { f64::NAN };
    Ok(Anamnesis { index, accuracy, unlearned, retrained })
}

impl RelearnOptions {
    /// Reads a script's options, all but the condition.
    fn read(o: &mut Options, seed: u64) -> Result<Self> {
        let usual = Self::default();
        Ok(Self {
            lr: o.positive("lr", usual.lr)?,
            momentum: o.between("momentum", usual.momentum, 0.0, 1.0)?,
            batch: o.count("batch", usual.batch)?,
            every: o.maybe_integer("every", 1)?.map(|n| n as usize),
            steps_at_most: o.count("steps_at_most", usual.steps_at_most)?,
            goal: usual.goal,
            repeats: o.count("repeats", usual.repeats)?,
            seed: o.integer("seed", seed as i64, 0)? as u64,
        })
    }
}

impl Goal {
    /// Reads `#{ loss }` or `#{ accuracy, alpha }`; the default for an empty map.
    fn read(given: Map) -> Result<Self> {
        let mut o = Options::new("relearn's goal", given);
        let (loss, accuracy) = (o.maybe_number("loss")?, o.maybe_number("accuracy")?);
        let alpha = o.between("alpha", 0.05, 0.0, 1.0)?;
        o.finish()?;
        match (loss, accuracy) {
            (Some(_), Some(_)) => {
                Err(Error::new("relearn", "`goal` takes `loss` or `accuracy`, not both").word("goal"))
            }
            (Some(loss), None) => Ok(Self::Loss(loss)),
            (None, Some(accuracy)) => Ok(Self::Accuracy((1.0 - alpha) * accuracy)),
            (None, None) => Ok(RelearnOptions::default().goal),
        }
    }
}

/// As scripts get it.
fn to_map(found: &Relearning) -> Map {
    let point = |p: Point| -> Dynamic {
        let mut map = Map::new();
        map.insert("step".into(), (p.step as i64).into());
        map.insert("loss".into(), p.loss.into());
        map.insert("accuracy".into(), p.accuracy.into());
        map.into()
    };
    let mut map = Map::new();
    map.insert("steps".into(), found.steps().into());
    map.insert("reached".into(), found.reached().into());
    let each: Array = found.repeats.iter().map(|repeat| Dynamic::from(repeat.steps as i64)).collect();
    map.insert("each".into(), each.into());
    map.insert("curve".into(), found.curve().into_iter().map(point).collect::<Array>().into());
    map
}

/// What scripts see of relearning.
#[rhai::export_module]
pub mod script {
    use super::{Goal, RelearnOptions, to_map};
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{Options, Run, Script};
    use rhai::{Map, NativeCallContext};

    /// How many optimiser steps a network needs to learn a forget set again: a *copy* is fine-tuned with SGD until the
    /// condition holds on the whole set, several times in different orders. Longer is better forgetting; the ideal is the
    /// retrained network's value under the same options and seed (relearn time, Golatkar et al., CVPR 2020; counted in steps,
    /// since a pass over a small set is too coarse).
    ///
    /// Returns a map: `steps`, the mean over the repeats of the steps at the first evaluation that met the condition; 0 for a
    /// network that meets it from the start, `steps_at_most` for one that never does or diverges, NaN with a warning for one
    /// whose outputs are NaN before the first step; `reached`, whether all
    /// repeats got there (else `steps` is a lower bound); `each`, the steps of every repeat; `curve`, an array of
    /// `#{ step, loss, accuracy }`, means over the repeats, those that have ended counting with their last figures. Keep it
    /// with `result.relearn_steps = r.steps; record("relearning", result)`.
    ///
    /// # Signature
    /// relearn(net: Net, dataset: Dataset, #{ goal: map = #{ loss: 0.1 }, lr: float = 0.01, .. }) -> map
    ///
    /// # Options
    /// - `goal` (map, #{ loss: 0.1 }): `#{ loss: x }`, mean cross-entropy at most x; or `#{ accuracy: a, alpha: 0.05 }`, accuracy
    ///   at least (1 - alpha) a, where a is the original network's, say
    /// - `lr` (float, 0.01): learning rate
    /// - `momentum` (float, 0.9): of SGD
    /// - `batch` (int, 64): samples of a step
    /// - `every` (int, a tenth of a pass, at least 1): steps between two evaluations, which `steps` is a multiple of
    /// - `steps_at_most` (int, 500): when to give up
    /// - `repeats` (int, 3): how often, each time in another order
    /// - `seed` (int, the run's): what the orders derive from
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4, depth: 1 });
    /// let r = relearn(net, d.train.take(64), #{ lr: 0.05, goal: #{ loss: 1.5 }, repeats: 2 });
    /// assert(r.reached && r.steps >= 1.0 && r.curve[0].loss > 1.5);
    /// ```
    #[rhai_fn(return_raw, name = "relearn")]
    pub fn relearn_as(context: NativeCallContext, net: Net, dataset: Dataset, options: Map) -> Script<Map> {
        let mut o = Options::new("relearn", options);
        let read = RelearnOptions::read(&mut o, Run::of(&context).seed())?;
        let goal = Goal::read(o.map("goal")?)?;
        o.finish()?;
        let found = super::relearn(&net, &dataset, &RelearnOptions { goal, ..read })?;
        if found.broken() {
            Run::of(&context).progress().warn("relearn: the network's outputs are NaN before the first step");
        }
        Ok(to_map(&found))
    }

    #[rhai_fn(return_raw, name = "relearn")]
    pub fn relearn(context: NativeCallContext, net: Net, dataset: Dataset) -> Script<Map> {
        relearn_as(context, net, dataset, Map::new())
    }

    /// The anamnesis index AIN: the steps in which an unlearned network relearns the forget set, over those of the retrained
    /// network, with the same learning rate, batches and orders (Chundawat et al., arXiv 2201.05629, there in epochs). Both
    /// relearn until their accuracy is at least (1 - alpha) times the original network's. Near 1 is ideal; far below 1 the
    /// network still holds what it was to forget, far above 1 it resists learning it (the Streisand effect).
    ///
    /// Steps are counted from 1: `ain = (1 + unlearned.steps) / (1 + retrained.steps)`, so that a network that needs none (a
    /// retrained one that generalises, say) gives a finite index. One that does not get there within `steps_at_most` counts
    /// with these, and its `reached` is false; the index is NaN, with a warning, when neither does or outputs are NaN from the
    /// start. An original that classifies none of the samples rightly is refused. Returns `#{ ain, accuracy, unlearned, retrained }`: `accuracy` is the one to get
    /// back to, the last two are maps as `relearn` returns them.
    ///
    /// # Signature
    /// ain(unlearned: Net, retrained: Net, original: Net, forget: Dataset, #{ alpha: float = 0.05, lr: float = 0.01, .. }) -> map
    ///
    /// # Options
    /// - `alpha` (float, 0.05): how much of the original's accuracy may be missing
    /// - `lr` (float, 0.01): learning rate
    /// - `momentum` (float, 0.9): of SGD
    /// - `batch` (int, 64): samples of a step
    /// - `every` (int, a tenth of a pass, at least 1): steps between two evaluations
    /// - `steps_at_most` (int, 500): when to give up
    /// - `repeats` (int, 3): how often, each time in another order
    /// - `seed` (int, the run's): what the orders derive from
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4, depth: 1 });
    /// let same = ain(net, net, net, d.train.take(64), #{ repeats: 1 });
    /// assert(same.ain == 1.0 && same.unlearned.steps == 0.0);
    /// ```
    #[rhai_fn(return_raw, name = "ain")]
    pub fn ain_as(
        context: NativeCallContext,
        unlearned: Net,
        retrained: Net,
        original: Net,
        forget: Dataset,
        options: Map,
    ) -> Script<Map> {
        let mut o = Options::new("ain", options);
        let alpha = o.between("alpha", 0.05, 0.0, 1.0)?;
        let read = RelearnOptions::read(&mut o, Run::of(&context).seed())?;
        o.finish()?;
        let found = super::anamnesis(&unlearned, &retrained, &original, &forget, alpha, &read)?;
        if found.index.is_nan() {
            let why = if found.unlearned.broken() || found.retrained.broken() {
                "outputs are NaN before the first step"
            } else {
                "neither network learned the samples again"
            };
            Run::of(&context).progress().warn(&format!("ain: no index: {why}"));
        }
        let mut map = Map::new();
        map.insert("ain".into(), found.index.into());
        map.insert("accuracy".into(), found.accuracy.into());
        map.insert("unlearned".into(), to_map(&found.unlearned).into());
        map.insert("retrained".into(), to_map(&found.retrained).into());
        Ok(map)
    }

    #[rhai_fn(return_raw, name = "ain")]
    pub fn ain(
        context: NativeCallContext,
        unlearned: Net,
        retrained: Net,
        original: Net,
        forget: Dataset,
    ) -> Script<Map> {
        ain_as(context, unlearned, retrained, original, forget, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DatasetInfo;
    use crate::nn::zoo::{MlpOptions, mlp};
    use tch::Device;

    /// Images of 2 x 2 whose class (of 3) shows in the first pixels.
    fn images() -> Dataset {
        let labels: Vec<i64> = (0..120).map(|i| i % 3).collect();
        let mut pixels = Stream::new(4, "images").normals(480);
        labels.iter().enumerate().for_each(|(i, label)| pixels[4 * i + *label as usize] += 3.0);
        let info = DatasetInfo { classes: Some(3), ..DatasetInfo::default() };
        let x = Tensor::from_slice(&pixels).reshape([120, 1, 2, 2]);
        Dataset::from_tensors(&x, &Tensor::from_slice(&labels), info).unwrap()
    }

    fn net() -> Net {
        let shape = images().shape();
        mlp(shape, 3, &MlpOptions { hidden: vec![] }, &mut Stream::new(0, "init"), Device::Cpu).unwrap()
    }

    fn options(goal: Goal) -> RelearnOptions {
        RelearnOptions { lr: 0.05, batch: 16, goal, repeats: 2, ..RelearnOptions::default() }
    }

    #[test]
    fn a_copy_learns_until_the_condition_holds_and_the_network_stays_as_it_was() {
        let (net, data) = (net(), images());
        let before = net.weights_hash().unwrap();
        let found = relearn(&net, &data, &options(Goal::Loss(0.5))).unwrap();
        assert!(found.reached() && found.steps() > 1.0, "{found:?}");
        for repeat in &found.repeats {
            let (last, earlier) = repeat.curve.split_last().unwrap();
            assert!(last.loss <= 0.5 && earlier.iter().all(|p| p.loss > 0.5) && last.step == repeat.steps);
        }
        assert_ne!(found.repeats[0].curve.last(), found.repeats[1].curve.last(), "in different orders");
        assert_eq!(net.weights_hash().unwrap(), before);
        assert_eq!(relearn(&net, &data, &options(Goal::Loss(0.5))).unwrap(), found, "it repeats");
        let curve = found.curve();
        assert!(curve[0].step == 0 && curve.windows(2).all(|w| w[0].step < w[1].step));
        let _guard = tch::no_grad_guard();
        assert_eq!(relearn(&net, &data, &options(Goal::Loss(0.5))).unwrap(), found, "also without gradients around");
    }

    #[test]
    fn a_network_that_is_there_needs_no_step_and_one_that_never_gets_there_all_of_them() {
        let (net, data) = (net(), images());
        let there = relearn(&net, &data, &options(Goal::Loss(50.0))).unwrap();
        assert!(there.reached() && there.steps() == 0.0 && there.curve().len() == 1);
        let o = RelearnOptions { steps_at_most: 7, every: Some(3), ..options(Goal::Loss(-1.0)) };
        let never = relearn(&net, &data, &o).unwrap();
        assert!(!never.reached() && never.steps() == 7.0);
        assert_eq!(never.curve().iter().map(|p| p.step).collect::<Vec<_>>(), [0, 3, 6, 7]);
        let o = RelearnOptions { lr: 1e38, steps_at_most: 50, every: Some(1), ..options(Goal::Loss(1e-9)) };
        let diverged = relearn(&net, &data, &o).unwrap();
        assert!(!diverged.reached() && diverged.steps() == 50.0);
        assert!(diverged.repeats[0].curve.len() < 5, "NaN ends it at once");
    }

    #[test]
    fn evaluation_is_that_of_predictions() {
        let (net, data) = (net(), images());
        let (point, scores) = (measure(&net, &data, 0).unwrap(), predict(&net, &data).unwrap().scores);
        assert!((point.loss - scores.mean_loss()).abs() < 1e-6 && (point.accuracy - scores.accuracy()).abs() < 1e-12);
    }

    #[test]
    fn the_index_is_1_between_equals_and_below_1_for_a_network_that_remembers() {
        let (fresh, data) = (net(), images());
        let trained = fresh.copy().unwrap();
        let optimizer =
            Optimizer::sgd(&trained, &SgdOptions { lr: 0.05, momentum: 0.9, ..SgdOptions::default() }).unwrap();
        for _ in 0..60 {
            optimizer.minimize(&loss_of(&trained, &data.all().unwrap()).unwrap()).unwrap();
        }
        let o = options(Goal::Loss(0.1));
        let equal = anamnesis(&fresh, &fresh, &trained, &data, 0.05, &o).unwrap();
        assert!(equal.index == 1.0 && equal.retrained.steps() > 0.0);
        let remembers = anamnesis(&trained, &fresh, &trained, &data, 0.05, &o).unwrap();
        assert!(remembers.index < 0.6 && remembers.unlearned.steps() == 0.0, "{}", remembers.index);
        let accuracy = predict(&trained, &data).unwrap().scores.accuracy();
        assert!((remembers.accuracy - 0.95 * accuracy).abs() < 1e-12);
    }

    #[test]
    fn broken_networks_and_originals_have_no_index_and_never_the_ideal_one() {
        let (fresh, data) = (net(), images());
        let broken = fresh.copy().unwrap();
        let state: Vec<_> = broken.state().into_iter().map(|(name, x)| (name, x.detach() * f64::NAN)).collect();
        broken.load_state(&state).unwrap();
        let o = RelearnOptions { steps_at_most: 2, ..options(Goal::Accuracy(0.0)) };
        let found = relearn(&broken, &data, &RelearnOptions { goal: Goal::Accuracy(0.5), ..o }).unwrap();
        assert!(found.steps().is_nan() && !found.reached() && found.repeats[0].curve[0].accuracy == 0.0);
        let index = |a: &Net, b: &Net, original: &Net| anamnesis(a, b, original, &data, 0.05, &o);
        assert!(index(&broken, &fresh, &fresh).unwrap().index.is_nan());
        assert!(index(&fresh, &broken, &fresh).unwrap().index.is_nan());
        let error = index(&fresh, &fresh, &broken).unwrap_err().to_string();
        assert!(error.contains("classifies no forgotten sample rightly"), "{error}");
        // Two that never get there say nothing of each other.
        let still = RelearnOptions { lr: 1e-12, ..o };
        let trained = fresh.copy().unwrap();
        let optimizer = Optimizer::sgd(&trained, &SgdOptions { lr: 0.1, ..SgdOptions::default() }).unwrap();
        for _ in 0..60 {
            optimizer.minimize(&loss_of(&trained, &data.all().unwrap()).unwrap()).unwrap();
        }
        let neither = anamnesis(&fresh, &fresh, &trained, &data, 0.05, &still).unwrap();
        assert!(neither.index.is_nan() && !neither.unlearned.reached());
    }

    #[test]
    fn nothing_cannot_be_learned_again() {
        let error = relearn(&net(), &images().take(0), &RelearnOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), "relearn: the dataset is empty");
    }
}
