//! The clusters of a training set: k-means inside each class on the embeddings of a random network, made once for equal
//! arguments.

use crate::condense::cluster::free_and_residual::{Clusters, best_size};
use crate::condense::cluster::kmeans::{Limits, kmeans};
use crate::condense::embed::{embed, embedder, steps};
use crate::data::Dataset;
use crate::data::train_validation_split::refuse_excess;
use crate::runtime::options::{as_integer, describe};
use crate::runtime::{At, Error, Options, Result, Run, Stream};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;
use tch::Device;

/// Cluster size for class requests, where the ratio is one over it and nothing speaks against larger ones but quality.
const CLASS_REQUEST_SIZE: f64 = 5.0;

/// How many clusters a class is divided into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PerClass {
    /// As many as make the reduced set smallest.
    Auto,
    /// So many.
    Count(usize),
}

impl PerClass {
    /// Reads the option `per_class`.
    ///
    /// # Errors
    /// Neither a count nor "auto".
    pub fn read(o: &mut Options) -> Result<Self> {
        let Some(value) = o.take("per_class", "int | \"auto\"", "\"auto\"") else { return Ok(Self::Auto) };
        if value.is_string() && value.to_string() == "auto" {
            return Ok(Self::Auto);
        }
        match as_integer(&value) {
            Some(n) if n >= 1 => Ok(Self::Count(n as usize)),
            _ => {
                let given = describe(&value);
                let message =
                    format!("`per_class` must be a number of clusters of at least 1, or \"auto\", got {given}");
                Err(Error::new("reduce", message).word("per_class"))
            }
        }
    }
}

/// What a clustering depends on besides the images.
#[derive(Debug, Clone)]
pub struct How {
    /// Classes with the number of clusters for each.
    pub counts: Vec<(i64, usize)>,
    /// Width of the random network.
    pub width: usize,
    /// What every draw derives from.
    pub seed: u64,
    /// Cluster anew, with other random numbers.
    pub anew: bool,
}

/// A clustering of a training set.
pub struct Clustered {
    /// The clusters.
    pub clusters: Clusters,
    /// Identifies them: equal keys, equal clusters.
    pub key: String,
    /// Seconds it took, now or when it was first needed.
    pub seconds: f64,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Clusterings made so far; a run slot.
#[derive(Default)]
struct Cache(RefCell<HashMap<String, Rc<Clustered>>>);

/// Classes that occur with the number of clusters for each, when the samples at the forget positions have to go.
///
/// # Errors
/// Positions beyond the training set.
pub fn clusters_per_class(train: &Dataset, forget: &[usize], per_class: PerClass) -> Result<Vec<(i64, usize)>> {
    let labels = train.labels();
    if let PerClass::Count(n) = per_class {
        refuse_excess("reduce", n, &labels)?;
    }
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

/// The clustering for these arguments, made now or before (then true).
///
/// # Errors
/// Those of the network and of k-means; Ctrl-C.
pub fn clustered(train: &Dataset, how: &How, run: &Run) -> Result<(Rc<Clustered>, bool)> {
    let cache = run.slot::<Cache>();
    let place = format!("{} {:?} {} {}", train.id()?, how.counts, how.width, how.seed);
    let known = cache.0.borrow().get(&place).cloned();
    if let (Some(found), false) = (&known, how.anew) {
        return Ok((Rc::clone(found), true));
    }
    let mut stream = if how.anew { run.stream("recluster") } else { Stream::new(how.seed, "clusters") };
    let key = format!("{place} {:016x}", stream.child("key").bits());
    run.synchronize();
    let started = Instant::now();
    let (fine, warnings) = fine_labels(train, how, run, &mut stream)?;
    let seconds = started.elapsed().as_secs_f64();
    let made = Rc::new(Clustered { clusters: Clusters::from_labels(&fine), key, seconds, warnings });
    cache.0.borrow_mut().insert(place, Rc::clone(&made));
    Ok((made, false))
}

/// The fine label of every sample, from k-means inside each class on the embeddings of a random network.
fn fine_labels(train: &Dataset, how: &How, run: &Run, stream: &mut Stream) -> Result<(Vec<i64>, Vec<String>)> {
    let net = embedder(train, how.width, &mut stream.child("embedder"))?;
    let labels = train.labels();
    let members = |class: i64| (0..labels.len()).filter(|i| labels.get(*i) == Some(&class)).collect::<Vec<_>>();
    let pools: Vec<(i64, usize, Vec<usize>)> =
        how.counts.iter().map(|(class, n)| (*class, *n, members(*class))).collect();
    let mut fine = vec![0_i64; labels.len()];
    let (mut warnings, mut offset) = (vec![], 0);
    let total = pools.iter().map(|(_, _, rows)| steps(rows.len()) + 1).sum();
    let mut bar = run.progress().start("cluster", total);
    for (class, wanted, rows) in &pools {
        let note = format!("class {class}");
        let own = embed(&train.subset(rows), &net, &mut bar, &note)?;
        let found = kmeans(&own, *wanted, Limits::default(), &mut stream.child(&note))?;
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
        bar.step(&note);
    }
    Ok((fine, warnings))
}
