//! The retain set of a task made small, and what its clusters are.

use super::task::Task;
use crate::condense::cluster::per_class::{How, PerClass, clustered, clusters_per_class};
use crate::condense::reduce::reduce;
use crate::condense::{ReduceOptions, Reduced};
use crate::eval::metrics::to_json;
use crate::runtime::{Options, Result, Run};
use rhai::{Dynamic, Map};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

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
                let split = &self.parts().split;
                let reduced = Rc::new(reduce(self.train(), &[&split.forget[..], &split.gone].concat(), &options, run)?);
                run.progress().say(&format!("reduce {}", reduced.describe()));
                reduced
            }
        };
        if plain {
            known.keep(key, &reduced);
        }
        Ok(self.with_reduction(reduced, reduced_by, plain))
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
