//! A task: the original network, what it has to forget, and everything a method may use to make it forget.

use super::round::Round;
use super::selector::{Selector, Subject};
use crate::condense::reduce::Reduced;
use crate::data::forget_request::{Partition, Request};
use crate::data::{Data, Dataset, forget_request};
use crate::nn::Net;
use crate::nn::architecture::model_name;
use crate::runtime::{Error, Options, Result, Run};
use once_cell::unsync::OnceCell;
use rhai::Map;
use std::cell::RefCell;
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
    cached: Option<super::source::Source>,
    /// Seconds that training the original took.
    trained: Option<f64>,
    original_hash: OnceCell<String>,
}

/// What has been told about parts that stand for others; a run slot.
#[derive(Default)]
struct Substitutes(RefCell<std::collections::BTreeSet<String>>);

impl Task {
    /// The task of making `original`, trained on `data.train`, forget what the request says.
    ///
    /// # Errors
    /// A request that forgets nothing or everything; a network made for other data.
    pub fn new(original: &Net, data: &Data, request: &Request, reference: bool, seed: u64) -> Result<Self> {
        Self::of_parts(original, data, forget_request::partition(data, request, reference, seed)?, reference)
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
    pub fn cached(&self) -> Option<&super::source::Source> {
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

    /// The same task with this retain set, and the options it was asked for with.
    pub(super) fn with_reduction(&self, reduced: Rc<Reduced>, reduced_by: String, plainly: bool) -> Self {
        let reduction = Some(reduced);
        Self(Rc::new(Inner { reduction, own: None, reduced_by, reduced_plainly: plainly, ..(*self.0).clone() }))
    }

    /// The same task, whose original and retrained reference have a place in the cache.
    #[must_use]
    pub fn with_cache(&self, source: super::source::Source, seconds: f64) -> Self {
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
