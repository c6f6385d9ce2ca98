//! The trainer: epochs of a network on a dataset, with schedule, validation and the choice of weights to keep.

use crate::data::{Batch, Dataset};
use crate::nn::Net;
use crate::nn::guess::guesses;
use crate::nn::loss::cross_entropy;
use crate::nn::optim::optimizer::{AdamOptions, Optimizer, SgdOptions};
use crate::nn::optim::schedule::Schedule;
use crate::runtime::{At, Callback, Error, Options, Result, Run};
use crate::tensor::Tensor as Value;
use crate::tensor::scalars::WithNumber;
use rhai::{Array, Dynamic, Map};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tch::{Kind, Tensor};

/// Images evaluated at once.
const EVALUATION_BATCH: usize = 1024;

/// The rule that moves the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// SGD with this momentum.
    Sgd { momentum: f64 },
    /// Adam.
    Adam,
    /// AdamW.
    AdamW,
}

/// How to train. The plain values are those of the original models of arXiv 2507.09786.
#[derive(Clone)]
pub struct TrainOptions {
    /// Passes over the dataset.
    pub epochs: usize,
    /// Base learning rate.
    pub lr: f64,
    /// Rule and its momentum.
    pub rule: Rule,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Samples of a step.
    pub batch: usize,
    /// Learning rate of each epoch.
    pub schedule: Schedule,
    /// Evaluated after every epoch.
    pub validation: Option<Dataset>,
    /// Whether the weights of the epoch that was best on `validation` are restored at the end.
    pub keep_best: bool,
    /// Replaces the cross-entropy: `|net, batch| -> loss`.
    pub loss: Option<Callback>,
    /// Called after every epoch: `|net, info|`; `false` ends the training.
    pub on_epoch: Option<Callback>,
    /// What shuffles derive from; `None`: the run's stream.
    pub seed: Option<u64>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        let epochs = 200;
        Self {
            epochs,
            lr: 0.1,
            rule: Rule::Sgd { momentum: 0.9 },
            weight_decay: 5e-4,
            batch: 64,
            schedule: Schedule::WarmupCosine { epochs, warmup: usual_warmup(epochs) },
            validation: None,
            keep_best: false,
            loss: None,
            on_epoch: None,
            seed: None,
        }
    }
}

/// What a training came to.
#[derive(Debug, Clone, Default)]
pub struct Training {
    /// Mean loss of each epoch.
    pub losses: Vec<f64>,
    /// Validation accuracy after each epoch, where there is a validation set.
    pub accuracies: Vec<f64>,
    /// The epoch (from 1) whose weights the network has.
    pub epoch: usize,
    /// Accuracy of the weights kept: on the validation set, else on the training set.
    pub accuracy: f64,
    /// Time of everything but the last evaluation on the training set.
    pub seconds: f64,
}

/// A tenth of the epochs, at most ten.
pub fn usual_warmup(epochs: usize) -> usize {
    (epochs / 10).min(10)
}

/// Trains `net` on `dataset`.
///
/// # Errors
/// An empty dataset, labels the network has no output for, a loss that is not finite, an interrupt (the weights are then
/// those of the last step).
pub fn train(net: &Net, dataset: &Dataset, o: &TrainOptions, run: &Run) -> Result<Training> {
    check(net, dataset, o)?;
    // Shuffles depend on the seed and on how many trainings came before, not on other draws of the script.
    let seed = o.seed.unwrap_or_else(|| run.stream("train").bits());
    let _scope = run.enter(seed, "train");
    let mut shuffles = run.stream("batches");
    let optimizer = optimizer(net, o)?.attached(run);
    let mut progress = run.progress().start("train", o.epochs);
    let started = Instant::now();
    let mut result = Training::default();
    let mut best: Option<(f64, Vec<(String, Tensor)>)> = None;
    for epoch in 0..o.epochs {
        let lr = o.lr * o.schedule.factor(epoch);
        optimizer.set_lr(lr);
        net.set_training(true);
        let loss = pass(net, &optimizer, dataset, o, &mut shuffles)?;
        if !loss.is_finite() {
            return Err(diverged(loss, epoch, lr));
        }
        result.losses.push(loss);
        result.epoch = epoch + 1;
        let mut note = format!("loss {loss:.3}");
        if let Some(validation) = &o.validation {
            let accuracy = accuracy(net, validation)?;
            note = format!("{note} · accuracy {:.1} %", 100.0 * accuracy);
            result.accuracies.push(accuracy);
            if o.keep_best && best.as_ref().is_none_or(|(highest, _)| accuracy > *highest) {
                best = Some((accuracy, snapshot(net)?));
            }
        }
        progress.step(&note);
        if !continues(net, o, &result, lr)? {
            break;
        }
    }
    progress.finish();
    if let Some((highest, state)) = best {
        net.load_state(&state)?;
        result.epoch = result.accuracies.iter().position(|a| *a >= highest).map_or(result.epoch, |at| at + 1);
    }
    run.synchronize();
    result.seconds = started.elapsed().max(Duration::ZERO).as_secs_f64();
    result.accuracy = match result.accuracies.get(result.epoch.saturating_sub(1)) {
        Some(accuracy) => *accuracy,
        None => accuracy(net, dataset)?,
    };
    Ok(result)
}

/// What can be known to go wrong before the first step.
fn check(net: &Net, dataset: &Dataset, o: &TrainOptions) -> Result<()> {
    if dataset.is_empty() {
        return Err(Error::new("train", "the dataset is empty"));
    }
    if o.validation.as_ref().is_some_and(Dataset::is_empty) {
        return Err(Error::new("train", "the validation dataset is empty").word("validation"));
    }
    if o.keep_best && o.validation.is_none() {
        return Err(Error::new("train", "keep: \"best\" needs a `validation` dataset").word("keep"));
    }
    let largest = dataset.present().last().copied().unwrap_or(0);
    match net.classes() {
        Some(classes) if o.loss.is_none() && largest >= classes => {
            let message = format!("the dataset has labels up to {largest}, the network {classes} outputs");
            Err(Error::new("train", message).hint("make the network for this data set, e.g. convnet(data)"))
        }
        _ => Ok(()),
    }
}

fn optimizer(net: &Net, o: &TrainOptions) -> Result<Optimizer> {
    let (lr, weight_decay) = (o.lr, o.weight_decay);
    let adam = AdamOptions { lr, weight_decay, ..AdamOptions::default() };
    match o.rule {
        Rule::Sgd { momentum } => {
            Optimizer::sgd(net, &SgdOptions { lr, momentum, weight_decay, ..SgdOptions::default() })
        }
        Rule::Adam => Optimizer::adam(net, &adam),
        Rule::AdamW => Optimizer::adamw(net, &adam),
    }
}

/// One epoch; the mean loss, read from the device once.
fn pass(
    net: &Net,
    optimizer: &Optimizer,
    dataset: &Dataset,
    o: &TrainOptions,
    shuffles: &mut crate::runtime::Stream,
) -> Result<f64> {
    let mut total = Tensor::f_zeros([], (Kind::Float, net.device())).at("train")?;
    for batch in dataset.batches(o.batch, shuffles)? {
        let batch = batch?;
        let samples = batch.len as f64;
        let loss = match &o.loss {
            None => cross_entropy(&net.forward(&batch.x)?, &batch.y)?,
            Some(closure) => asked_loss(closure, net, batch)?,
        };
        optimizer.minimize(&loss)?;
        let weighted = loss.f_detach().at("train")?.times(samples).at("train")?;
        let _ = total.f_add_(&weighted).at("train")?;
    }
    Ok(total.f_double_value(&[]).at("train")? / dataset.len() as f64)
}

/// The loss a script's closure computes.
fn asked_loss(closure: &Callback, net: &Net, batch: Batch) -> Result<Tensor> {
    let value = closure.call(vec![Dynamic::from(net.clone()), Dynamic::from(Rc::new(batch))])?;
    let given = crate::runtime::options::describe(&value);
    match value.try_cast::<Value>() {
        Some(loss) if loss.numel() == 1 => loss.f_reshape([0_i64; 0]).at("train"),
        Some(loss) => Err(Error::new("train", format!("the loss closure returned shape {:?}", loss.size()))
            .hint("the loss of a batch is one number: end with .mean()")
            .word("loss")),
        None => Err(Error::new("train", format!("the loss closure must return a tensor, got {given}")).word("loss")),
    }
}

/// Tells `on_epoch` about the epoch that has ended; whether to go on.
fn continues(net: &Net, o: &TrainOptions, so_far: &Training, lr: f64) -> Result<bool> {
    let Some(closure) = &o.on_epoch else { return Ok(true) };
    let mut info = Map::new();
    info.insert("epoch".into(), (so_far.epoch as i64).into());
    info.insert("loss".into(), so_far.losses.last().copied().unwrap_or(f64::NAN).into());
    info.insert("lr".into(), lr.into());
    if let Some(accuracy) = so_far.accuracies.last() {
        info.insert("accuracy".into(), (*accuracy).into());
    }
    let answer = closure.call(vec![Dynamic::from(net.clone()), Dynamic::from(info)])?;
    Ok(answer.as_bool().unwrap_or(true))
}

fn diverged(loss: f64, epoch: usize, lr: f64) -> Error {
    let what = if loss.is_nan() { "NaN" } else { "infinite" };
    Error::new("train", format!("the loss became {what} in epoch {}", epoch + 1))
        .note(format!("the learning rate of that epoch was {lr}"))
        .hint("try a smaller `lr` or more `warmup` epochs, and look for NaN in the images")
}

/// The share of samples whose largest logit is the label's, in evaluation mode; NaN for an empty dataset.
///
/// # Errors
/// Those of the forward pass.
pub fn accuracy(net: &Net, dataset: &Dataset) -> Result<f64> {
    if dataset.is_empty() {
        return Ok(f64::NAN);
    }
    net.evaluating(|| {
        let mut right = Tensor::f_zeros([], (Kind::Int64, net.device())).at("accuracy")?;
        for batch in dataset.chunks(EVALUATION_BATCH) {
            let batch = batch?;
            let guesses = guesses(&net.forward(&batch.x)?).at("accuracy")?;
            let hits = guesses.f_eq_tensor(&batch.y).at("accuracy")?.f_sum(Kind::Int64).at("accuracy")?;
            let _ = right.f_add_(&hits).at("accuracy")?;
        }
        Ok(right.f_int64_value(&[]).at("accuracy")? as f64 / dataset.len() as f64)
    })
}

/// Copies of weights and buffers.
pub(super) fn snapshot(net: &Net) -> Result<Vec<(String, Tensor)>> {
    let _guard = tch::no_grad_guard();
    net.state().into_iter().map(|(name, tensor)| Ok((name, tensor.f_detach_copy().at("train")?))).collect()
}

impl TrainOptions {
    /// Reads a script's options; closures are bound by `bind`.
    ///
    /// # Errors
    /// An unknown option, a value of the wrong type or range.
    pub fn read(given: Map, bind: impl Fn(rhai::FnPtr) -> Callback) -> Result<Self> {
        let mut o = Options::new("train", given);
        let epochs = o.count("epochs", 200)?;
        let rule = o.choice("optimizer", "sgd", &["sgd", "adam", "adamw"])?;
        let sgd = rule == "sgd";
        let rule = match rule.as_str() {
            "sgd" => Rule::Sgd { momentum: o.between("momentum", 0.9, 0.0, 1.0)? },
            "adam" => Rule::Adam,
            _ => Rule::AdamW,
        };
        let lr = o.positive("lr", if sgd { 0.1 } else { 0.001 })?;
        let weight_decay = o.non_negative("weight_decay", if sgd { 5e-4 } else { 0.0 })?;
        let batch = o.count("batch", 64)?;
        let schedule = match o.choice("schedule", "cosine", &["cosine", "constant"])?.as_str() {
            "constant" => Schedule::Constant,
            _ => {
                let warmup = o.integer("warmup", usual_warmup(epochs) as i64, 0)? as usize;
                Schedule::WarmupCosine { epochs, warmup }
            }
        };
        let validation = o.maybe::<Dataset>("validation", "Dataset")?;
        let keep = o.choice("keep", if validation.is_some() { "best" } else { "last" }, &["last", "best"])?;
        let loss = o.maybe_function("loss")?.map(&bind);
        let on_epoch = o.maybe_function("on_epoch")?.map(&bind);
        let seed = o.maybe_integer("seed", 0)?.map(|seed| seed as u64);
        o.finish()?;
        let keep_best = keep == "best";
        Ok(Self { epochs, lr, rule, weight_decay, batch, schedule, validation, keep_best, loss, on_epoch, seed })
    }
}

impl Training {
    /// What scripts get.
    pub fn to_map(&self) -> Map {
        let list = |values: &[f64]| values.iter().copied().map(Dynamic::from).collect::<Array>();
        let mut map = Map::new();
        map.insert("loss".into(), list(&self.losses).into());
        map.insert("accuracies".into(), list(&self.accuracies).into());
        map.insert("accuracy".into(), self.accuracy.into());
        map.insert("epoch".into(), (self.epoch as i64).into());
        map.insert("seconds".into(), self.seconds.into());
        map
    }
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::runtime::Script;
    use rhai::NativeCallContext;

    type Net = crate::nn::Net;
    type Dataset = crate::data::Dataset;

    /// Trains a network on a dataset: shuffled batches, cross-entropy, SGD with warm-up and a cosine down to zero, as the
    /// original models of arXiv 2507.09786 are trained.
    ///
    /// Returns `#{ loss, accuracies, accuracy, epoch, seconds }`: mean loss of each epoch, validation accuracy after each
    /// epoch, accuracy of the weights kept (on the validation set, else on the training set), the epoch they are from, and
    /// the time taken. A loss that becomes NaN ends the training with an error. Shuffles come from the run's seed.
    ///
    /// # Options
    /// - `epochs` (int, 200): passes over the dataset
    /// - `lr` (float, 0.1; 0.001 for Adam): base learning rate
    /// - `optimizer` ("sgd" | "adam" | "adamw", "sgd"): the rule that moves the weights
    /// - `momentum` (float, 0.9): of SGD
    /// - `weight_decay` (float, 5e-4; 0 for Adam): L2 penalty
    /// - `schedule` ("cosine" | "constant", "cosine"): learning rate by epoch
    /// - `warmup` (int, a tenth of the epochs, at most 10): epochs of linear warm-up before the cosine
    /// - `batch` (int, 64): samples of a step; the last short batch is kept
    /// - `validation` (Dataset, none): evaluated after each epoch
    /// - `keep` ("best" | "last", "best" with a validation set): the weights to end with; best means the first epoch with the
    ///   highest validation accuracy
    /// - `loss` (closure, cross-entropy): `|net, b|` returns the loss of a batch
    /// - `on_epoch` (closure, none): `|net, info|` is called after each epoch with `#{ epoch, loss, lr, accuracy }`; returning
    ///   false ends the training
    /// - `seed` (int, from the run): what the shuffles are drawn from
    ///
    /// # Signature
    /// train(net: Net, dataset: Dataset, #{ epochs: int = 200, lr: float = 0.1, .. }) -> map
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 8 });
    /// let result = train(net, d.train, #{ epochs: 3, lr: 0.05 });
    /// assert(result.loss.len == 3 && result.loss[2] < result.loss[0]);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn train(context: NativeCallContext, net: Net, dataset: Dataset, options: Map) -> Script<Map> {
        let options = TrainOptions::read(options, |function| Callback::new(&context, function))?;
        Ok(super::train(&net, &dataset, &options, &Run::of(&context))?.to_map())
    }

    #[rhai_fn(name = "train", return_raw, volatile)]
    pub fn train_plain(context: NativeCallContext, net: Net, dataset: Dataset) -> Script<Map> {
        train(context, net, dataset, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Data, load};
    use crate::experiment::models;
    use crate::runtime::Stream;
    use crate::runtime::run::Settings;

    fn setting(width: i64) -> (Run, Data, Net) {
        let run = Run::new(Settings { seed: 7, ..Settings::default() });
        let data = load::load("digits", Map::new(), &run).unwrap();
        let options = Map::from([("width".into(), width.into())]);
        let (stream, device) = (Stream::new(1, "init"), run.device());
        let net = models::build("convnet", data.shape, data.classes, options, || stream, device).unwrap();
        (run, data, net)
    }

    fn brief(epochs: usize) -> TrainOptions {
        TrainOptions { epochs, schedule: Schedule::WarmupCosine { epochs, warmup: 1 }, ..TrainOptions::default() }
    }

    #[test]
    fn digits_are_learned_in_seconds() {
        let (run, data, net) = setting(16);
        let result = train(&net, &data.train, &brief(30), &run).unwrap();
        assert_eq!(result.losses.len(), 30);
        let accuracy = accuracy(&net, &data.test).unwrap();
        assert!(accuracy > 0.95, "test accuracy {accuracy} after {:.1} s", result.seconds);
    }

    #[test]
    fn equal_seeds_give_equal_weights_to_the_last_bit_and_others_do_not() {
        let trained = |seed: Option<u64>, drawn_before: usize| {
            let (run, data, net) = setting(8);
            (0..drawn_before).for_each(|_| _ = run.stream("sample").bits());
            let result = train(&net, &data.train, &TrainOptions { seed, ..brief(2) }, &run).unwrap();
            (net.weights_hash().unwrap(), result.losses)
        };
        assert_eq!(trained(None, 0), trained(None, 3));
        assert_ne!(trained(None, 0), trained(Some(1), 0));
    }

    #[test]
    fn the_best_weights_are_those_of_the_first_epoch_with_the_highest_accuracy() {
        let (run, data, net) = setting(8);
        let validation = data.validation.take(60);
        let o = TrainOptions {
            validation: Some(validation.clone()),
            keep_best: true,
            schedule: Schedule::Constant,
            ..brief(6)
        };
        let result = train(&net, &data.train, &o, &run).unwrap();
        let highest = result.accuracies.iter().copied().fold(0.0, f64::max);
        assert_eq!(result.accuracies.iter().position(|a| *a == highest), Some(result.epoch - 1));
        assert_eq!(accuracy(&net, &validation).unwrap(), highest);
        assert_eq!(result.accuracy, highest);
    }

    #[test]
    fn a_loss_that_is_not_a_number_ends_the_training() {
        let (run, data, net) = setting(8);
        let o = TrainOptions { lr: 1e20, schedule: Schedule::Constant, ..brief(5) };
        let Err(Error::Fault(fault)) = train(&net, &data.train, &o, &run) else { panic!("accepted") };
        assert!(fault.message.starts_with("the loss became NaN in epoch "), "{}", fault.message);
        assert!(fault.hint.contains("smaller `lr`"));
    }

    #[test]
    fn what_cannot_work_is_refused_before_the_first_step() {
        let (run, data, net) = setting(8);
        let message = |dataset: &Dataset, o: &TrainOptions| train(&net, dataset, o, &run).unwrap_err().to_string();
        assert_eq!(message(&data.train.take(0), &brief(1)), "train: the dataset is empty");
        let best = TrainOptions { keep_best: true, ..brief(1) };
        assert!(message(&data.train, &best).contains("needs a `validation` dataset"));
        let images = Tensor::f_zeros([12, 1, 8, 8], (Kind::Float, tch::Device::Cpu)).unwrap();
        let labels = Tensor::f_arange(12, (Kind::Int64, tch::Device::Cpu)).unwrap();
        let more = Dataset::from_tensors(&images, &labels, crate::data::DatasetInfo::default()).unwrap();
        assert_eq!(message(&more, &brief(1)), "train: the dataset has labels up to 11, the network 10 outputs");
    }
}
