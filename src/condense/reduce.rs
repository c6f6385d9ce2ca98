//! The reduced retain set of a task (arXiv 2507.09786): residual samples as they are, one image for each free cluster.

use crate::condense::cluster::condensers::{Group, Maker};
use crate::condense::cluster::free_and_residual::Separation;
use crate::condense::cluster::per_class::{Clustered, How, PerClass, clustered, clusters_per_class};
use crate::condense::matching::condensers;
use crate::condense::matching::condensers::{Made, pools};
use crate::condense::options::{Method, Recipe};
use crate::data::Dataset;
use crate::runtime::options::{as_integer, describe};
use crate::runtime::{Error, Options, Result, Run, Stream};
use rhai::{Array, Dynamic, Map};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// Above this share of the retain set a reduction saves nothing worth its price.
const POINTLESS: f64 = 0.95;

/// Samples that earlier requests have removed.
#[derive(Clone)]
pub enum Gone {
    /// Positions in the training set.
    Positions(Vec<i64>),
    /// A data set.
    Samples(Dataset),
}

/// What a reduction can be asked for.
#[derive(Clone)]
pub struct ReduceOptions {
    /// What images are made by.
    pub recipe: Recipe,
    /// How many clusters a class is divided into.
    pub per_class: PerClass,
    /// Width of the random networks.
    pub width: usize,
    /// Cluster anew, with other random numbers.
    pub recluster: bool,
    /// Cluster without these samples.
    pub without: Option<Gone>,
    /// Keep the images made, and take those that were made before.
    pub reuse: bool,
    /// The forgotten positions that "auto" chooses the number of clusters for, where they are others than those of this
    /// request: those of the first round, so that later rounds find the same clusters.
    pub planned: Option<Vec<usize>>,
    /// What every draw derives from.
    pub seed: u64,
}

impl Default for ReduceOptions {
    fn default() -> Self {
        Self {
            recipe: Recipe::default(),
            per_class: PerClass::Auto,
            width: 128,
            recluster: false,
            without: None,
            reuse: false,
            planned: None,
            seed: 0,
        }
    }
}

impl ReduceOptions {
    /// Reads the options of `task.reduce(#{ .. })`: `method` and what it can be asked for, `per_class`, `width`, `recluster`,
    /// `without`, `reuse`.
    ///
    /// # Errors
    /// Unknown options, wrong types, values out of range.
    pub fn read(given: Map, seed: u64) -> Result<Self> {
        let mut o = Options::new("reduce", given);
        let method = Method::read(&mut o)?;
        let recipe = Recipe::read(&mut o, "reduce", method)?;
        let per_class = PerClass::read(&mut o)?;
        let width = o.count("width", 128)?;
        let recluster = o.flag("recluster", false)?;
        let without = o.take("without", "Dataset or array of positions", "()").map(|v| gone(&v)).transpose()?;
        let reuse = o.flag("reuse", false)?;
        o.finish()?;
        Ok(Self { recipe, per_class, width, recluster, without, reuse, planned: None, seed })
    }
}

fn gone(value: &Dynamic) -> Result<Gone> {
    if let Some(dataset) = value.clone().try_cast::<Dataset>() {
        return Ok(Gone::Samples(dataset));
    }
    let positions = value.clone().try_cast::<Array>().and_then(|items| items.iter().map(as_integer).collect());
    positions.map(Gone::Positions).ok_or_else(|| {
        let message = format!("`without` must be a Dataset or an array of positions, got {}", describe(value));
        Error::new("reduce", message).word("without")
    })
}

/// A reduced retain set, and what it took.
#[derive(Clone)]
pub struct Reduced {
    /// Residual samples followed by the images of the free clusters.
    pub dataset: Dataset,
    /// What the images were made by.
    pub method: Method,
    /// Clusters per class, on average.
    pub per_class: usize,
    /// Clusters in all.
    pub clusters: usize,
    /// Clusters without a forgotten sample.
    pub free: usize,
    /// Clusters whose image had been made before.
    pub reused: usize,
    /// Samples of the other clusters that are kept as they are.
    pub residual: usize,
    /// Samples of the retain set.
    pub retain: usize,
    /// Size relative to the retain set.
    pub ratio: f64,
    /// Matching loss of what the method started from (for Blend the plain means), where it matches something.
    pub loss_before: Option<f64>,
    /// Matching loss of the images made.
    pub loss_after: Option<f64>,
    /// Seconds the clustering took, now or when it was first needed.
    pub seconds_cluster: f64,
    /// The clustering had been made before.
    pub cached: bool,
    /// Identifies the clustering: what is paid for once goes by it.
    pub clustering: String,
    /// Seconds spent on separating free clusters from the others.
    pub seconds_separate: f64,
    /// Seconds spent on making images.
    pub seconds_condense: f64,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Reduced {
    /// Epochs after which the time spent is won back, when an epoch on the whole retain set takes so many seconds; `None`
    /// when it never is.
    pub fn break_even(&self, seconds_per_epoch: f64) -> Option<f64> {
        let saved = seconds_per_epoch * (1.0 - self.ratio);
        (saved > 0.0).then(|| (self.seconds_cluster + self.seconds_condense) / saved)
    }

    /// One line about it.
    pub fn describe(&self) -> String {
        let loss = match (self.loss_before, self.loss_after) {
            (Some(before), Some(after)) => format!(" · matching loss {before:.3e} -> {after:.3e}"),
            _ => String::new(),
        };
        let name = self.method.name();
        let (size, percent) = (self.dataset.len(), 100.0 * self.ratio);
        let reused = if self.reused > 0 { format!(" ({} reused)", self.reused) } else { String::new() };
        format!(
            "{size} of {} ({percent:.1} %): {} residual + {} {name}{reused} of {} clusters, {} per class{loss} · {:.1} s clustering, {:.1} s condensing",
            self.retain,
            self.residual,
            self.free,
            self.clusters,
            self.per_class,
            self.seconds_cluster,
            self.seconds_condense
        )
    }
}

/// The training set and the positions to forget in it, without what earlier requests have removed.
fn present(train: &Dataset, forget: &HashSet<usize>, without: Option<&Gone>) -> Result<(Dataset, Vec<usize>)> {
    let gone = match without {
        None => HashSet::new(),
        Some(gone) => removed(train, forget, gone)?,
    };
    let kept: Vec<usize> = (0..train.len()).filter(|position| !gone.contains(position)).collect();
    let is_forgotten = |(_, position): &(usize, &usize)| forget.contains(position);
    let forget = kept.iter().enumerate().filter(is_forgotten).map(|(place, _)| place).collect();
    let train = if gone.is_empty() { train.clone() } else { train.subset(&kept) };
    Ok((train, forget))
}

/// Positions of what earlier requests have removed, which must be among what is to be forgotten by now.
fn removed(train: &Dataset, forget: &HashSet<usize>, gone: &Gone) -> Result<HashSet<usize>> {
    let wrong = |what: String| {
        let hint = "give the samples of earlier requests; those of the present task include them";
        Err(Error::new("reduce", what).hint(hint).word("without"))
    };
    let mut positions = HashSet::new();
    match gone {
        Gone::Positions(list) => {
            for position in list {
                match usize::try_from(*position).ok().filter(|p| *p < train.len()) {
                    Some(position) => _ = positions.insert(position),
                    None => {
                        return wrong(format!(
                            "`without` has position {position}, the training set {} samples",
                            train.len()
                        ));
                    }
                }
            }
        }
        Gone::Samples(dataset) => {
            let places: HashMap<(u64, usize), usize> = train.keys().into_iter().zip(0..).collect();
            for key in dataset.keys() {
                match places.get(&key) {
                    Some(position) => _ = positions.insert(*position),
                    None => return wrong("`without` has samples that are not in the training set".into()),
                }
            }
        }
    }
    match positions.iter().find(|position| !forget.contains(position)) {
        Some(position) => wrong(format!("`without` has sample {position}, which the task retains")),
        None => Ok(positions),
    }
}

/// Clusters the training set (once for equal arguments), separates what the forget positions leave alone, and condenses it.
///
/// # Errors
/// An empty training set, nothing left to retain, positions out of range; those of the steps; Ctrl-C.
pub fn reduce(train: &Dataset, forget: &[usize], o: &ReduceOptions, run: &Run) -> Result<Reduced> {
    let distinct: HashSet<usize> = forget.iter().copied().collect();
    if let Some(position) = forget.iter().find(|position| **position >= train.len()) {
        return Err(Error::new("reduce", format!("forget position {position} is beyond the training set")));
    }
    if train.is_empty() || distinct.len() >= train.len() {
        let message =
            format!("{} of {} samples are to be forgotten: nothing is left to reduce", forget.len(), train.len());
        return Err(Error::new("reduce", message));
    }
    let retain = train.len() - distinct.len();
    let (train, forget) = present(train, &distinct, o.without.as_ref())?;
    let planned = o.planned.as_ref().filter(|_| o.without.is_none()).unwrap_or(&forget);
    let counts = clusters_per_class(&train, planned, o.per_class)?;
    let classes = counts.len().max(1);
    let how = How { counts, width: o.width, seed: o.seed, anew: o.recluster };
    let (found, cached) = clustered(&train, &how, run)?;
    run.synchronize();
    let started = Instant::now();
    let parts = found.clusters.separate(&forget)?;
    let seconds_separate = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let per_class = (found.clusters.len() as f64 / classes as f64).round() as usize;
    let (made, reused) = condensed(&train, &found, &parts, per_class, o, run)?;
    let dataset = match &made {
        Some(made) => train.subset(&parts.residual).plus(&made.dataset)?,
        None => train.subset(&parts.residual),
    };
    run.synchronize();
    let seconds_condense = started.elapsed().as_secs_f64();
    let ratio = dataset.len() as f64 / retain as f64;
    let higher = made.as_ref().and_then(|made| made.advice(o.recipe.method()));
    let warnings: Vec<String> = found.warnings.iter().cloned().chain(higher).chain(advice(&parts, ratio)).collect();
    for warning in &warnings {
        run.progress().warn(&format!("reduce: {warning}"));
    }
    Ok(Reduced {
        method: o.recipe.method(),
        per_class,
        clusters: found.clusters.len(),
        free: parts.free.len(),
        reused,
        residual: parts.residual.len(),
        retain,
        ratio,
        loss_before: made.as_ref().and_then(|made| made.before),
        loss_after: made.as_ref().and_then(|made| made.after),
        seconds_cluster: found.seconds,
        cached,
        clustering: found.key.clone(),
        seconds_separate,
        seconds_condense,
        dataset,
        warnings,
    })
}

fn advice(parts: &Separation, ratio: f64) -> Option<String> {
    if parts.free.is_empty() {
        return Some(
            "every cluster holds a forgotten sample, so nothing was condensed; use more clusters per class".into(),
        );
    }
    (ratio > POINTLESS).then(|| {
        let percent = 100.0 * ratio;
        format!("the reduced set has {percent:.0} % of the retain set, so the time spent on it cannot pay off; try per_class: \"auto\"")
    })
}

/// The images of the free clusters, and how many of them had been made before.
fn condensed(
    train: &Dataset,
    found: &Clustered,
    parts: &Separation,
    per_class: usize,
    o: &ReduceOptions,
    run: &Run,
) -> Result<(Option<Made>, usize)> {
    if parts.free.is_empty() {
        return Ok((None, 0));
    }
    let (clusters, stream) = (&found.clusters, Stream::new(o.seed, "condense"));
    let members: Vec<Vec<usize>> = parts.free.iter().filter_map(|i| clusters.members.get(*i)).cloned().collect();
    let names: Vec<i64> = parts.free.iter().filter_map(|i| clusters.names.get(*i)).copied().collect();
    let group = Group { members: &members, names: &names, per_class };
    let maker = Maker { data: train, recipe: &o.recipe, width: o.width, stream: &stream, run };
    if o.reuse {
        let key = format!("{} {} {:?}", found.key, o.seed, o.recipe);
        return maker.reuse(&group, &key).map(|(made, reused)| (Some(made), reused));
    }
    let made = match o.recipe.is_per_cluster() {
        true => maker.make(&group)?,
        false => condensers::make(train, &free_pools(train, &members), &o.recipe, o.width, &stream, run)?,
    };
    Ok((Some(made), 0))
}

/// The free samples by class, as many images wanted of each class as it has free clusters.
fn free_pools(train: &Dataset, members: &[Vec<usize>]) -> Vec<condensers::Pool> {
    let labels = train.labels();
    let mut free: HashMap<i64, usize> = HashMap::new();
    for label in members.iter().filter_map(|members| labels.get(*members.first()?)) {
        *free.entry(*label).or_default() += 1;
    }
    pools(train, &members.concat(), |label, _| free.get(&label).copied().unwrap_or(0))
}
