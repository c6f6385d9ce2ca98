//! The reduced retain set of a task (arXiv 2507.09786): residual samples as they are, one image for each free cluster.

use super::blend::{self, BlendOptions, Blended, Source, Step};
use super::clusters::{Clusters, Separation, best_size};
use super::controls;
use super::kmeans::{Limits, kmeans};
use crate::data::Dataset;
use crate::nn::zoo::{ConvNetOptions, convnet};
use crate::nn::{Net, Shape};
use crate::runtime::{At, Error, Options, Result, Run, Stream, interrupt};
use rhai::Map;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Images embedded between two looks at the keyboard.
const EMBEDDED_AT_ONCE: usize = 256;

/// Cluster size for class requests, where the ratio is one over it and nothing speaks against larger ones but quality.
const CLASS_REQUEST_SIZE: f64 = 5.0;

/// Above this share of the retain set a reduction saves nothing worth its price.
const POINTLESS: f64 = 0.95;

/// What one image per cluster is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Weighted combinations that match embeddings.
    Blend,
    /// The plain mean of the images.
    Mean,
    /// The real image nearest to the mean embedding.
    Nearest,
    /// A random real image.
    Random,
}

impl Method {
    pub(super) const NAMES: [&'static str; 4] = ["blend", "mean", "nearest", "random"];

    /// The name scripts use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blend => "blend",
            Self::Mean => "mean",
            Self::Nearest => "nearest",
            Self::Random => "random",
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "mean" => Self::Mean,
            "nearest" => Self::Nearest,
            "random" => Self::Random,
            _ => Self::Blend,
        }
    }
}

/// How many clusters a class is divided into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PerClass {
    /// As many as make the reduced set smallest.
    Auto,
    /// So many.
    Count(usize),
}

/// What a reduction can be asked for.
#[derive(Debug, Clone)]
pub struct ReduceOptions {
    /// What one image per cluster is made by.
    pub method: Method,
    /// How many clusters a class is divided into.
    pub per_class: PerClass,
    /// Steps of Blend.
    pub blend: BlendOptions,
    /// The reference's learning rate in place of the step.
    pub reference: bool,
    /// Width of the random networks that embed images.
    pub width: usize,
    /// Cluster anew, with other random numbers.
    pub recluster: bool,
    /// What every draw derives from.
    pub seed: u64,
}

impl Default for ReduceOptions {
    fn default() -> Self {
        Self {
            method: Method::Blend,
            per_class: PerClass::Auto,
            blend: BlendOptions::default(),
            reference: false,
            width: 128,
            recluster: false,
            seed: 0,
        }
    }
}

impl ReduceOptions {
    /// Reads the options of `task.reduce(#{ .. })`: `method`, `per_class`, `iterations`, `step`, `momentum`, `chunk`,
    /// `width`, `recluster`, `variant`.
    ///
    /// # Errors
    /// Unknown options, wrong types, values out of range.
    pub fn read(given: Map, seed: u64) -> Result<Self> {
        let mut o = Options::new("reduce", given);
        let method = Method::named(&o.choice("method", "blend", &Method::NAMES)?);
        let per_class = per_class(&mut o)?;
        let blends = method == Method::Blend;
        let mut reference = false;
        // Options of Blend are offered to Blend alone: nothing is accepted that would have no effect.
        let d = BlendOptions::default();
        let mut blend = d;
        if blends {
            reference = o.choice("variant", "canonical", &["canonical", "reference"])? == "reference";
            blend.iterations = o.integer("iterations", d.iterations as i64, 0)? as usize;
            blend.momentum = o.between("momentum", d.momentum, 0.0, 1.0)?;
            blend.chunk = o.maybe_integer("chunk", 1)?.map(|n| n as usize);
            if !reference {
                blend.step = super::blend_api::read_step(&mut o)?;
            }
        }
        let width = o.count("width", 128)?;
        let recluster = o.flag("recluster", false)?;
        o.finish()?;
        Ok(Self { method, per_class, blend, reference, width, recluster, seed })
    }
}

fn per_class(o: &mut Options) -> Result<PerClass> {
    let Some(value) = o.take("per_class", "int | \"auto\"", "\"auto\"") else { return Ok(PerClass::Auto) };
    if value.is_string() && value.to_string() == "auto" {
        return Ok(PerClass::Auto);
    }
    match crate::runtime::options::as_integer(&value) {
        Some(n) if n >= 1 => Ok(PerClass::Count(n as usize)),
        _ => {
            let given = crate::runtime::options::describe(&value);
            let message = format!("`per_class` must be a number of clusters of at least 1, or \"auto\", got {given}");
            Err(Error::new("reduce", message).word("per_class"))
        }
    }
}

/// A reduced retain set, and what it took.
#[derive(Clone)]
pub struct Reduced {
    /// Residual samples followed by one image for each free cluster.
    pub dataset: Dataset,
    /// What the images were made by.
    pub method: Method,
    /// Clusters per class, on average.
    pub per_class: usize,
    /// Clusters in all.
    pub clusters: usize,
    /// Clusters without a forgotten sample.
    pub free: usize,
    /// Samples of the other clusters that are kept as they are.
    pub residual: usize,
    /// Samples of the retain set.
    pub retain: usize,
    /// Size relative to the retain set.
    pub ratio: f64,
    /// Mean matching loss of the plain means, for Blend.
    pub loss_before: Option<f64>,
    /// Mean matching loss of the blended images, for Blend.
    pub loss_after: Option<f64>,
    /// Seconds the clustering took, now or when it was first needed.
    pub seconds_cluster: f64,
    /// The clustering had been made before.
    pub cached: bool,
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
        format!(
            "{size} of {} ({percent:.1} %): {} residual + {} {name} of {} clusters, {} per class{loss} · {:.1} s clustering, {:.1} s condensing",
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

/// Clusterings made so far; a run slot.
#[derive(Default)]
struct Cache(RefCell<HashMap<String, Rc<Clustered>>>);

/// A clustering of a training set.
struct Clustered {
    clusters: Clusters,
    seconds: f64,
    warnings: Vec<String>,
}

/// Clusters the training set (once for equal arguments), separates what the forget positions leave alone, and condenses it.
///
/// # Errors
/// An empty training set, nothing left to retain, positions out of range; those of the steps; Ctrl-C.
pub fn reduce(train: &Dataset, forget: &[usize], o: &ReduceOptions, run: &Run) -> Result<Reduced> {
    let distinct: std::collections::HashSet<usize> = forget.iter().copied().collect();
    if train.is_empty() || distinct.len() >= train.len() {
        let message =
            format!("{} of {} samples are to be forgotten: nothing is left to reduce", forget.len(), train.len());
        return Err(Error::new("reduce", message));
    }
    let retain = train.len() - distinct.len();
    let counts = clusters_per_class(train, forget, o.per_class)?;
    let (clustered, cached) = clustered(train, &counts, o, run)?;
    let clusters = &clustered.clusters;
    let parts = clusters.separate(forget)?;
    run.synchronize();
    let started = Instant::now();
    let mut warnings = clustered.warnings.clone();
    let classes = counts.len().max(1);
    let per_class = (clusters.len() as f64 / classes as f64).round() as usize;
    let (dataset, blended) = condensed(train, clusters, &parts, per_class, o, run)?;
    run.synchronize();
    let ratio = dataset.len() as f64 / retain as f64;
    warnings.extend(advice(&parts, ratio));
    for warning in &warnings {
        run.progress().warn(&format!("reduce: {warning}"));
    }
    Ok(Reduced {
        method: o.method,
        per_class,
        clusters: clusters.len(),
        free: parts.free.len(),
        residual: parts.residual.len(),
        retain,
        ratio,
        loss_before: blended.as_ref().map(Blended::before).transpose()?,
        loss_after: blended.as_ref().map(Blended::after).transpose()?,
        seconds_cluster: clustered.seconds,
        cached,
        seconds_condense: started.elapsed().as_secs_f64(),
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

/// Classes that occur with the number of clusters for each.
fn clusters_per_class(train: &Dataset, forget: &[usize], per_class: PerClass) -> Result<Vec<(i64, usize)>> {
    let labels = train.labels();
    let mut sizes: HashMap<i64, (usize, usize)> = HashMap::new();
    for label in &labels {
        sizes.entry(*label).or_default().0 += 1;
    }
    let mut forgotten = vec![false; labels.len()];
    for position in forget {
        let flag = forgotten.get_mut(*position);
        let flag =
            flag.ok_or_else(|| Error::new("reduce", format!("forget position {position} is beyond the training set")))?;
        if let (false, Some(label)) = (*flag, labels.get(*position)) {
            sizes.entry(*label).or_default().1 += 1;
        }
        *flag = true;
    }
    let size = auto_size(&sizes, labels.len());
    let number = |all: usize| match per_class {
        PerClass::Count(n) => n,
        PerClass::Auto => ((all as f64 / size).round() as usize).max(1),
    };
    let mut counts: Vec<(i64, usize)> = sizes.iter().map(|(class, (all, _))| (*class, number(*all))).collect();
    counts.sort_unstable();
    Ok(counts)
}

/// The cluster size that shrinks the retain set most, from the numbers of all and of forgotten samples of each class.
fn auto_size(sizes: &HashMap<i64, (usize, usize)>, total: usize) -> f64 {
    let forgotten: usize = sizes.values().map(|(_, gone)| gone).sum();
    if sizes.values().all(|(all, gone)| *gone == 0 || gone == all) {
        return CLASS_REQUEST_SIZE;
    }
    best_size(forgotten as f64 / total.max(1) as f64)
}

/// The clustering for these arguments, made now or before.
fn clustered(train: &Dataset, counts: &[(i64, usize)], o: &ReduceOptions, run: &Run) -> Result<(Rc<Clustered>, bool)> {
    let cache = run.slot::<Cache>();
    let key = format!("{} {counts:?} {} {}", train.id()?, o.width, o.seed);
    let known = cache.0.borrow().get(&key).cloned();
    if let (Some(found), false) = (&known, o.recluster) {
        return Ok((Rc::clone(found), true));
    }
    let mut stream = if o.recluster { run.stream("recluster") } else { Stream::new(o.seed, "clusters") };
    run.synchronize();
    let started = Instant::now();
    let (fine, warnings) = fine_labels(train, counts, o, run, &mut stream)?;
    let made = Clustered { clusters: Clusters::from_labels(&fine), seconds: started.elapsed().as_secs_f64(), warnings };
    let made = Rc::new(made);
    cache.0.borrow_mut().insert(key, Rc::clone(&made));
    Ok((made, false))
}

/// The fine label of every sample, from k-means inside each class on the embeddings of a random network.
fn fine_labels(
    train: &Dataset,
    counts: &[(i64, usize)],
    o: &ReduceOptions,
    run: &Run,
    stream: &mut Stream,
) -> Result<(Vec<i64>, Vec<String>)> {
    let net = embedder(train.shape(), train.classes(), o.width, &mut stream.child("embedder"), train.device())?;
    let features = embed_all(train, &net, run)?;
    let labels = train.labels();
    let mut fine = vec![0_i64; labels.len()];
    let mut warnings = vec![];
    let mut offset = 0;
    let mut bar = run.progress().start("cluster", counts.len());
    for (class, wanted) in counts {
        let rows: Vec<usize> = (0..labels.len()).filter(|i| labels.get(*i) == Some(class)).collect();
        let index: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
        let index = Tensor::f_from_slice(&index).at("cluster")?.f_to_device(features.device()).at("cluster")?;
        let own = features.f_index_select(0, &index).at("cluster")?;
        let found = kmeans(&own, *wanted, Limits::default(), &mut stream.child(&format!("class {class}")))?;
        let host = found.labels.f_to_device(Device::Cpu).at("cluster")?;
        let assigned = Vec::<i64>::try_from(&host).at("cluster")?;
        for (row, label) in rows.iter().zip(assigned) {
            if let Some(place) = fine.get_mut(*row) {
                *place = offset + label;
            }
        }
        let made = found.centroids.size().first().copied().unwrap_or(0);
        if made < *wanted as i64 {
            warnings.push(format!("class {class} has {made} distinct samples, fewer than {wanted} clusters"));
        }
        offset += made;
        bar.step(&format!("class {class}"));
    }
    Ok((fine, warnings))
}

/// A random ConvNet, never trained, with as many blocks (at most three) as the images can be halved.
fn embedder(shape: Shape, classes: usize, width: usize, stream: &mut Stream, device: Device) -> Result<Net> {
    let side = shape.height.min(shape.width).max(1);
    let depth = (side.ilog2() as usize).clamp(0, 3);
    let net = convnet(shape, classes, &ConvNetOptions { width, depth, ..ConvNetOptions::default() }, stream, device)?;
    blend::frozen(&net)
}

fn embed_all(train: &Dataset, net: &Net, run: &Run) -> Result<Tensor> {
    let chunks = train.len().div_ceil(EMBEDDED_AT_ONCE);
    let mut bar = run.progress().start("embed", chunks);
    let mut parts = Vec::with_capacity(chunks);
    for batch in train.chunks(EMBEDDED_AT_ONCE) {
        interrupt::check()?;
        let batch = batch?;
        parts.push(net.evaluating(|| net.embed(&batch.x))?);
        bar.step("");
    }
    Tensor::f_cat(&parts, 0).at("cluster")
}

/// Residual samples followed by one image for each free cluster; what Blend reports.
fn condensed(
    train: &Dataset,
    clusters: &Clusters,
    parts: &Separation,
    per_class: usize,
    o: &ReduceOptions,
    run: &Run,
) -> Result<(Dataset, Option<Blended>)> {
    let residual = train.subset(&parts.residual);
    let free: Vec<Vec<usize>> = parts.free.iter().filter_map(|i| clusters.members.get(*i)).cloned().collect();
    if free.is_empty() {
        return Ok((residual, None));
    }
    let stream = Stream::new(o.seed, "condense");
    let net = || embedder(train.shape(), train.classes(), o.width, &mut stream.child("embedder"), train.device());
    match o.method {
        Method::Random => {
            let chosen = controls::random(&free, &mut stream.child("random"));
            Ok((residual.plus(&train.subset(&chosen))?, None))
        }
        Method::Nearest => Ok((residual.plus(&train.subset(&controls::nearest(&free, train, &net()?)?))?, None)),
        Method::Blend | Method::Mean => {
            let blended = blended(train, &free, &net()?, per_class, o, run)?;
            let labels = train.labels();
            let labels: Vec<i64> = free.iter().filter_map(|m| labels.get(*m.first()?).copied()).collect();
            let labels = Tensor::f_from_slice(&labels).at("reduce")?.f_to_device(train.device()).at("reduce")?;
            let made = Dataset::from_tensors(&blended.images, &labels, train.info())?;
            Ok((residual.plus(&made)?, (o.method == Method::Blend).then_some(blended)))
        }
    }
}

fn blended(
    train: &Dataset,
    free: &[Vec<usize>],
    net: &Net,
    per_class: usize,
    o: &ReduceOptions,
    run: &Run,
) -> Result<Blended> {
    let gather = |positions: &[usize]| Ok(train.gather(positions)?.x);
    let plain = o.method == Method::Mean;
    // The plain mean needs no embedding: a column of zeros costs nothing.
    let embed = |x: &Tensor| match plain {
        true => x.f_new_zeros([x.size().first().copied().unwrap_or(0), 1], (Kind::Float, x.device())).at("reduce"),
        false => net.embed(x),
    };
    let source = Source { device: train.device(), gather: &gather, embed: &embed };
    let mut options = o.blend;
    if plain {
        options.iterations = 0;
    } else if o.reference {
        options.step = Step::Joint(blend::reference_rate(per_class)?);
    }
    blend::blend(free, &source, &options, Some(run.progress()))
}
