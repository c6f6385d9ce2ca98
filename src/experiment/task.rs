//! A task: the original network, what it has to forget, and everything a method may use to make it forget.

use super::frame::{self, Scheduled};
use super::round::Round;
use super::selector::{Selector, Subject};
use crate::condense::clustering::{How, PerClass, clustered, clusters_per_class};
use crate::condense::reduce::{ReduceOptions, Reduced, reduce};
use crate::data::request::{self, Partition, Request};
use crate::data::{Data, Dataset};
use crate::eval::metrics::to_json;
use crate::nn::{AdamOptions, Net, Optimizer, Schedule, SgdOptions};
use crate::runtime::options::{as_integer, as_number, describe};
use crate::runtime::{Error, Options, Result, Run};
use once_cell::unsync::OnceCell;
use rhai::{Array, Dynamic, Map};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// A forget request on a trained network. Clones share it.
#[derive(Clone)]
pub struct Task(Rc<Inner>);

#[derive(Clone)]
struct Inner {
    original: Net,
    data: Data,
    parts: Partition,
    reference: bool,
    reduction: Option<Rc<Reduced>>,
    /// A retain set of someone's own making, and what it is called.
    own: Option<(String, Dataset)>,
    /// Which of several requests this is.
    round: Option<Rc<Round>>,
    /// The options the reduction was asked for with.
    reduced_by: String,
    reduced_plainly: bool,
    cached: Option<super::cache::Source>,
    /// Seconds that training the original took.
    trained: Option<f64>,
    original_hash: OnceCell<String>,
}

/// What has been told about parts that stand for others; a run slot.
#[derive(Default)]
struct Substitutes(RefCell<std::collections::BTreeSet<String>>);

/// The latest reductions, by split and options: they depend on nothing else; a run slot.
#[derive(Default)]
struct Reductions(RefCell<VecDeque<(String, Rc<Reduced>)>>);

impl Reductions {
    /// How many are kept: their images stay on the device.
    const MOST: usize = 8;

    fn find(&self, key: &str) -> Option<Rc<Reduced>> {
        self.0.borrow().iter().find(|(known, _)| known == key).map(|(_, reduced)| reduced.clone())
    }

    fn keep(&self, key: String, reduced: &Rc<Reduced>) {
        let mut kept = self.0.borrow_mut();
        kept.retain(|(known, _)| *known != key);
        kept.truncate(Self::MOST - 1);
        kept.push_front((key, reduced.clone()));
    }
}

impl Task {
    /// The task of making `original`, trained on `data.train`, forget what the request says.
    ///
    /// # Errors
    /// A request that forgets nothing or everything; a network made for other data.
    pub fn new(original: &Net, data: &Data, request: &Request, reference: bool, seed: u64) -> Result<Self> {
        Self::of_parts(original, data, request::partition(data, request, reference, seed)?, reference)
    }

    /// The task of a split that is known already.
    ///
    /// # Errors
    /// A network made for other data.
    pub fn of_parts(original: &Net, data: &Data, parts: Partition, reference: bool) -> Result<Self> {
        check_fits(original, data)?;
        let (original, data) = (original.clone(), data.clone());
        let (reduction, own, round, cached, trained) = Default::default();
        let (reduced_by, reduced_plainly, original_hash) = Default::default();
        Ok(Self(Rc::new(Inner {
            original,
            data,
            parts,
            reference,
            reduction,
            own,
            round,
            reduced_by,
            reduced_plainly,
            cached,
            trained,
            original_hash,
        })))
    }

    /// Warns of what stands for a part that the data set does not have; once a run.
    pub fn tell(&self, run: &Run) {
        let Some(text) = &self.0.parts.substitute else { return };
        if run.slot::<Substitutes>().0.borrow_mut().insert(text.clone()) {
            run.progress().warn(text);
        }
    }

    /// The same task as one of several requests.
    #[must_use]
    pub fn in_round(&self, round: Round) -> Self {
        Self(Rc::new(Inner { round: Some(Rc::new(round)), ..(*self.0).clone() }))
    }

    /// Which of several requests the task is.
    pub fn round(&self) -> Option<&Round> {
        self.0.round.as_deref()
    }

    /// The network that has to forget.
    pub fn original(&self) -> &Net {
        &self.0.original
    }

    /// The data set.
    pub fn data(&self) -> &Data {
        &self.0.data
    }

    /// All training samples.
    pub fn train(&self) -> &Dataset {
        &self.0.data.train
    }

    /// Samples to forget.
    pub fn forget(&self) -> &Dataset {
        &self.0.parts.forget
    }

    /// Samples to train on: the retain set, its reduction, or what was given in its place.
    pub fn retain(&self) -> &Dataset {
        if let Some((_, dataset)) = &self.0.own {
            return dataset;
        }
        self.0.reduction.as_ref().map_or(&self.0.parts.retain, |reduction| &reduction.dataset)
    }

    /// The whole retain set, which metrics are about.
    pub fn whole_retain(&self) -> &Dataset {
        &self.0.parts.retain
    }

    /// Held-out samples that methods may use.
    pub fn unseen(&self) -> &Dataset {
        &self.0.parts.unseen
    }

    /// Held-out samples for evaluation only.
    pub fn test(&self) -> &Dataset {
        &self.0.parts.test
    }

    /// The split and where it came from.
    pub fn parts(&self) -> &Partition {
        &self.0.parts
    }

    /// The seed of the split.
    pub fn seed(&self) -> u64 {
        self.0.parts.split.seed
    }

    /// Identifies the split: equal samples, equal id.
    pub fn split_id(&self) -> &str {
        &self.0.parts.split.split_id
    }

    /// The split follows the reference implementation.
    pub fn is_reference(&self) -> bool {
        self.0.reference
    }

    /// How the retain set was reduced.
    pub fn reduction(&self) -> Option<&Reduced> {
        self.0.reduction.as_deref()
    }

    /// What methods train on is not the whole retain set.
    pub fn is_reduced(&self) -> bool {
        self.0.reduction.is_some() || self.0.own.is_some()
    }

    /// The name of a retain set of someone's own making.
    pub fn own_retain(&self) -> Option<&str> {
        self.0.own.as_ref().map(|(name, _)| name.as_str())
    }

    /// The same task with another dataset to train on in place of the retain set; metrics stay on the whole retain set.
    ///
    /// # Errors
    /// An empty dataset, images of another shape.
    pub fn train_on(&self, dataset: &Dataset, name: &str) -> Result<Self> {
        let fits = dataset.dims() == self.train().dims() && dataset.classes() == self.train().classes();
        if dataset.is_empty() || !fits {
            let message = format!("cannot train on {} samples of shape {:?}", dataset.len(), dataset.dims());
            return Err(Error::new("train_on", message).hint("give a dataset like the training set, not an empty one"));
        }
        let reduced_by = format!("{name} {}", dataset.id()?);
        let own = Some((name.to_string(), dataset.clone()));
        Ok(Self(Rc::new(Inner { own, reduced_by, reduction: None, ..(*self.0).clone() })))
    }

    /// Where the original came from, when it has a place in the cache.
    pub fn cached(&self) -> Option<&super::cache::Source> {
        self.0.cached.as_ref()
    }

    /// The model's name: `convnet`.
    pub fn model_name(&self) -> String {
        model_name(&self.0.original)
    }

    /// The classes that the request removes altogether.
    pub fn removed_classes(&self) -> &[i64] {
        &self.0.parts.split.classes
    }

    /// The options that the reduction was asked for with, in one line; empty for the whole retain set.
    pub fn reduced_by(&self) -> &str {
        &self.0.reduced_by
    }

    /// Whether the options, the split and its seed alone decide the reduction.
    pub fn reduced_plainly(&self) -> bool {
        self.0.reduced_plainly
    }

    /// A hash of the original's weights, as they were when it was first asked for.
    ///
    /// # Errors
    /// Those of reading the weights.
    pub fn original_hash(&self) -> Result<&str> {
        Ok(self.0.original_hash.get_or_try_init(|| self.0.original.weights_hash())?)
    }

    /// The same task with a reduced retain set, made as the options of `task.reduce` say. What is drawn depends on the
    /// task's seed alone, so that the clusters of one data set are made once for all its splits, and the reduction of a split
    /// once for all methods. A cluster is free when neither this request nor an earlier one has a sample in it.
    ///
    /// # Errors
    /// Wrong options; those of clustering and condensing.
    pub fn reduce(&self, run: &Run, given: Map) -> Result<Self> {
        let reduced_by = to_json(&given.clone().into()).to_string();
        let mut options = ReduceOptions::read(given, self.seed())?;
        options.planned = self.round().map(|round| round.first.clone());
        let key = format!("{} {reduced_by}", self.split_id());
        let known = run.slot::<Reductions>();
        let plain = !options.recluster && !options.reuse && options.without.is_none();
        let found = known.find(&key).filter(|_| plain);
        let reduced = match found {
            Some(found) => found,
            None => {
                let _scope = run.enter(self.seed(), &format!("reduce/{}", self.split_id()));
                let split = &self.0.parts.split;
                let reduced = Rc::new(reduce(self.train(), &[&split.forget[..], &split.gone].concat(), &options, run)?);
                run.progress().say(&format!("reduce {}", reduced.describe()));
                reduced
            }
        };
        if plain {
            known.keep(key, &reduced);
        }
        Ok(Self(Rc::new(Inner {
            reduction: Some(reduced),
            own: None,
            reduced_by,
            reduced_plainly: plain,
            ..(*self.0).clone()
        })))
    }

    /// The same task, whose original and retrained reference have a place in the cache.
    #[must_use]
    pub fn with_cache(&self, source: super::cache::Source, seconds: f64) -> Self {
        Self(Rc::new(Inner { cached: Some(source), trained: Some(seconds), ..(*self.0).clone() }))
    }

    /// Seconds that training the original took, where that is known.
    pub fn seconds_original(&self) -> Option<f64> {
        self.0.trained
    }

    /// Two handles to one task.
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// A trainable copy of the original, in training mode. The run that is going on takes note of it.
    pub fn model(&self, run: &Run) -> Result<Net> {
        Ok(handed_out(run, self.0.original.copy()?))
    }

    /// The same architecture newly initialised, in training mode.
    pub fn new_model(&self, run: &Run) -> Result<Net> {
        Ok(handed_out(run, self.0.original.renewed(&mut run.stream("init"))?))
    }

    /// One line about the task.
    pub fn describe(&self) -> String {
        let split = &self.0.parts.split;
        let request = match (split.fraction, split.classes.as_slice()) {
            (Some(fraction), _) => format!("{}, {fraction}", split.mode),
            (None, []) => split.mode.clone(),
            (None, classes) => format!("{} {classes:?}", split.mode),
        };
        let retain = match &self.0.reduction {
            None if self.0.own.is_some() => {
                format!("{} ({})", self.retain().len(), self.own_retain().unwrap_or_default())
            }
            None => self.retain().len().to_string(),
            Some(r) => {
                format!(
                    "{} of {} ({}, {} per class)",
                    r.dataset.len(),
                    self.whole_retain().len(),
                    r.method.name(),
                    r.per_class
                )
            }
        };
        let round = self.round().map_or(String::new(), |round| format!(", {}", round.describe()));
        format!(
            "Task {}/{}: forget {} ({request}{round}) · retain {retain} · unseen {} · test {} · split {}",
            self.0.data.name,
            self.model_name(),
            self.forget().len(),
            self.unseen().len(),
            self.test().len(),
            self.split_id()
        )
    }
}

/// `task.separate(#{ .. })`: free and residual samples by the clusters of `task.reduce`.
///
/// # Errors
/// Wrong options; those of clustering.
pub fn separate(run: &Run, task: &Task, given: Map) -> Result<Map> {
    let mut o = Options::new("separate", given);
    let (per_class, width) = (PerClass::read(&mut o)?, o.count("width", 128)?);
    o.finish()?;
    let split = &task.parts().split;
    let forget = [&split.forget[..], &split.gone].concat();
    let planned = task.round().map_or(&forget, |round| &round.first);
    let counts = clusters_per_class(task.train(), planned, per_class)?;
    let (found, _) = clustered(task.train(), &How { counts, width, seed: task.seed(), anew: false }, run)?;
    let parts = found.clusters.separate(&forget)?;
    Ok(Map::from([
        ("free".into(), Dynamic::from(task.train().subset(&parts.free_samples))),
        ("residual".into(), Dynamic::from(task.train().subset(&parts.residual))),
        ("clusters".into(), (found.clusters.len() as i64).into()),
        ("free_clusters".into(), (parts.free.len() as i64).into()),
        ("seconds_cluster".into(), found.seconds.into()),
    ]))
}

/// A reduction for scripts.
pub fn reduction_map(reduced: &Reduced) -> Map {
    let mut map = Map::new();
    map.insert("method".into(), reduced.method.name().into());
    for (key, count) in [
        ("per_class", reduced.per_class),
        ("clusters", reduced.clusters),
        ("size", reduced.dataset.len()),
        ("free", reduced.free),
        ("reused", reduced.reused),
        ("residual", reduced.residual),
    ] {
        map.insert(key.into(), (count as i64).into());
    }
    for (key, number) in [
        ("ratio", Some(reduced.ratio)),
        ("loss_before", reduced.loss_before),
        ("loss_after", reduced.loss_after),
        ("seconds_cluster", Some(reduced.seconds_cluster)),
        ("seconds_separate", Some(reduced.seconds_separate)),
        ("seconds_condense", Some(reduced.seconds_condense)),
    ] {
        map.insert(key.into(), number.unwrap_or(f64::NAN).into());
    }
    map
}

/// The name of a network's architecture: what stands before the parenthesis of `convnet(width=32, ..)`.
pub fn model_name(net: &Net) -> String {
    net.architecture().split('(').next().unwrap_or("net").trim().to_lowercase()
}

/// Notes a net that a method was given, in training mode and trainable.
fn handed_out(run: &Run, net: Net) -> Net {
    net.set_training(true);
    if !frame::outside(run) {
        frame::current(run).record.nets.borrow_mut().push(net.clone());
    }
    net
}

/// A network that cannot take the data's images or classes is refused here rather than within the first method.
fn check_fits(net: &Net, data: &Data) -> Result<()> {
    if let Some(classes) = net.classes()
        && classes != data.classes as i64
    {
        let message = format!("the network has {classes} outputs, {} has {} classes", data.name, data.classes);
        return Err(Error::new("forget", message));
    }
    if net.device() != data.train.device() {
        return Err(Error::new("forget", "the network and the data set are on different devices"));
    }
    Ok(())
}

/// A task whose substitutes are told.
fn told(run: &Run, task: Task) -> Result<Task> {
    task.tell(run);
    Ok(task)
}

/// Reads the options of `forget` and makes the task.
pub fn forget(run: &Run, original: &Net, data: &Data, given: Map) -> Result<Task> {
    let mut o = Options::new("forget", given);
    let request = Request::read(&mut o)?;
    let reference = o.choice("variant", "canonical", &["canonical", "reference"])? == "reference";
    let seed = o.integer("seed", run.seed() as i64, 0)? as u64;
    o.finish()?;
    told(run, Task::new(original, data, &request, reference, seed)?)
}

/// The task of forgetting what is chosen, with the options `variant` and `seed` of `forget`.
pub fn forget_chosen(run: &Run, original: &Net, data: &Data, choice: &Selector, given: Map) -> Result<Task> {
    let mut o = Options::new("forget", given);
    let reference = o.choice("variant", "canonical", &["canonical", "reference"])? == "reference";
    let seed = o.integer("seed", run.seed() as i64, 0)? as u64;
    o.finish()?;
    check_fits(original, data)?;
    let request = choice.request(&Subject { run, net: original, data, seed, gone: &[] })?;
    told(run, Task::new(original, data, &request, reference, seed)?)
}

/// `task.optimizer(net, o)`: what the options of a method ask for. Plain: by `optimizer` SGD (the usual one) with `lr`,
/// `momentum`, `weight_decay`, `nesterov`, or Adam or AdamW with `lr` and `weight_decay`; `warmup` and `epochs` give warm-up
/// and cosine, `milestones` steps of 0.1, neither a constant rate. Accelerated: Adam at a constant `lr`.
pub fn optimizer(run: &Run, net: &Net, o: &Map) -> Result<Optimizer> {
    let frame = frame::current(run);
    let lr = number(o, "lr")?.ok_or_else(|| {
        Error::new("task.optimizer", "the options have no `lr`")
            .hint("declare it: options(opt, #{ lr: positive(0.01) })")
    })?;
    let (optimizer, schedule) = if frame.accelerate.is_some() {
        (Optimizer::adam(net, &AdamOptions { lr, ..AdamOptions::default() })?, Schedule::Constant)
    } else {
        (plain(net, o, lr)?, schedule(o)?)
    };
    let optimizer = optimizer.attached(run);
    frame.record.schedules.borrow_mut().push(Scheduled::new(optimizer.clone(), schedule));
    Ok(optimizer)
}

/// The optimiser of a method that is not accelerated.
fn plain(net: &Net, o: &Map, lr: f64) -> Result<Optimizer> {
    let weight_decay = number(o, "weight_decay")?.unwrap_or(0.0);
    let clip = number(o, "clip")?;
    let adam = AdamOptions { lr, weight_decay, clip, ..AdamOptions::default() };
    match o.get("optimizer").map(ToString::to_string).unwrap_or_default().as_str() {
        "adam" => Optimizer::adam(net, &adam),
        "adamw" => Optimizer::adamw(net, &adam),
        "sgd" | "" => {
            let momentum = number(o, "momentum")?.unwrap_or(0.0);
            let nesterov = o.get("nesterov").is_some_and(|flag| flag.as_bool() == Ok(true));
            Optimizer::sgd(net, &SgdOptions { lr, momentum, weight_decay, nesterov, clip })
        }
        other => {
            let message = format!("`optimizer` must be \"sgd\", \"adam\" or \"adamw\", got {other:?}");
            Err(Error::new("task.optimizer", message).word("optimizer"))
        }
    }
}

fn number(o: &Map, key: &str) -> Result<Option<f64>> {
    match o.get(key).filter(|value| !value.is_unit()) {
        None => Ok(None),
        Some(value) => as_number(value).map(Some).ok_or_else(|| {
            Error::new("task.optimizer", format!("`{key}` must be a number, got {}", describe(value))).word(key)
        }),
    }
}

/// The schedule that the options describe.
fn schedule(o: &Map) -> Result<Schedule> {
    let whole = |key: &str| match number(o, key)? {
        Some(x) if x < 0.0 => {
            Err(Error::new("task.optimizer", format!("`{key}` must be at least 0, got {x}")).word(key))
        }
        x => Ok::<_, Error>(x.map(|x| x as usize)),
    };
    if let Some(warmup) = whole("warmup")? {
        let Some(epochs) = whole("epochs")? else {
            return Err(Error::new("task.optimizer", "`warmup` needs `epochs`: a cosine ends with the last epoch"));
        };
        return Ok(Schedule::WarmupCosine { epochs, warmup });
    }
    match o.get("milestones").and_then(|value| value.clone().try_cast::<Array>()) {
        None => Ok(Schedule::Constant),
        Some(items) => {
            let milestones = items.iter().filter_map(as_integer).map(|n| n.max(0) as usize).collect();
            Ok(Schedule::MultiStep { milestones, gamma: 0.1 })
        }
    }
}

/// A script's `net, n` of `task.regularizer`.
pub fn sample_size(n: &Dynamic) -> Result<usize> {
    as_integer(n)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| Error::new("task.regularizer", format!("n must be a number of samples, got {}", describe(n))))
}
