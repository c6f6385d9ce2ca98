//! Condensers that make or choose the images of a class together.

use crate::condense::coreset::{herding, k_center};
use crate::condense::embed::{embed, embedder, steps};
pub use crate::condense::matching::setup::Pool;
use crate::condense::matching::setup::{Matched, Problem};
use crate::condense::matching::{dc, dm, idm};
use crate::condense::options::{Method, Recipe};
use crate::data::Dataset;
use crate::runtime::{At, Error, Result, Run, Stream};
use tch::{Device, Tensor};

/// What a condenser made: the images as a data set, and the losses of those that match something.
pub struct Made {
    /// The images.
    pub dataset: Dataset,
    /// Matching loss of what it started from.
    pub before: Option<f64>,
    /// Matching loss of what was made.
    pub after: Option<f64>,
    /// Losses on the way.
    pub history: Vec<f64>,
}

impl Made {
    /// Real images.
    pub fn chosen(dataset: Dataset) -> Self {
        Self { dataset, before: None, after: None, history: vec![] }
    }
}

impl Made {
    /// What a person should know: a step too long for these images, that is.
    pub fn advice(&self, method: Method) -> Option<String> {
        let (before, after) = self.before.zip(self.after).filter(|(before, after)| after > before)?;
        let name = method.name();
        let what = if method == Method::Blend { "step" } else { "lr" };
        Some(format!("{name} raised the matching loss from {before:.3e} to {after:.3e}; try a smaller `{what}`"))
    }
}

/// Divides positions by the labels they have, ascending; `count` tells how many images each class is to get, from its label and
/// its number of members. There are never more than members.
pub fn pools(data: &Dataset, positions: &[usize], count: impl Fn(i64, usize) -> usize) -> Vec<Pool> {
    let labels = data.labels();
    let mut pools: Vec<Pool> =
        data.present().into_iter().map(|label| Pool { label, members: vec![], count: 0 }).collect();
    for position in positions {
        let Some(label) = labels.get(*position) else { continue };
        if let Ok(place) = pools.binary_search_by_key(label, |pool| pool.label)
            && let Some(pool) = pools.get_mut(place)
        {
            pool.members.push(*position);
        }
    }
    for pool in &mut pools {
        pool.count = count(pool.label, pool.members.len()).min(pool.members.len());
    }
    pools.retain(|pool| pool.count > 0);
    pools
}

/// Makes or chooses the images of every pool.
///
/// # Errors
/// No pool; those of the condensers; Ctrl-C.
pub fn make(data: &Dataset, pools: &[Pool], recipe: &Recipe, width: usize, stream: &Stream, run: &Run) -> Result<Made> {
    if pools.is_empty() {
        return Err(Error::new(recipe.method().name(), "there are no images to condense"));
    }
    let problem = Problem { data, pools, width, stream, run };
    match recipe {
        Recipe::Dc(o) => made(data, dc::run(&problem, o)?),
        Recipe::Dm(o) => made(data, dm::run(&problem, o)?),
        Recipe::Idm(o) => made(data, idm::run(&problem, o)?),
        Recipe::Plain(Method::Random) => {
            let mut draws = stream.child("random");
            let each = |pool: &Pool| draws.sample(pool.members.len(), pool.count);
            Ok(Made::chosen(data.subset(&positions(pools, pools.iter().map(each)))))
        }
        _ => choose(&problem, recipe.method()).map(Made::chosen),
    }
}

fn made(data: &Dataset, matched: Matched) -> Result<Made> {
    let labels = Tensor::f_from_slice(&matched.labels).at("condense")?.f_to_device(data.device()).at("condense")?;
    let dataset = Dataset::from_tensors(&matched.images, &labels, data.info())?;
    Ok(Made { dataset, before: Some(matched.before), after: Some(matched.after), history: matched.history })
}

/// Positions in the data set of the members at these places.
fn positions(pools: &[Pool], places: impl Iterator<Item = Vec<usize>>) -> Vec<usize> {
    let of = |(pool, places): (&Pool, Vec<usize>)| {
        places.into_iter().filter_map(|place| pool.members.get(place).copied()).collect::<Vec<_>>()
    };
    pools.iter().zip(places).flat_map(of).collect()
}

/// Real images chosen by their embeddings.
fn choose(problem: &Problem, method: Method) -> Result<Dataset> {
    let at = method.name();
    let (data, pools) = (problem.data, problem.pools);
    let net = embedder(data, problem.width, &mut problem.stream.child("embedder"))?;
    let total = pools.iter().map(|pool| steps(pool.members.len()) + 1).sum();
    let mut bar = problem.run.progress().start(at, total);
    let mut places = vec![];
    for pool in pools {
        let note = format!("class {}", pool.label);
        let rows = embed(&data.subset(&pool.members), &net, &mut bar, &note)?;
        let found = if method == Method::KCenter { k_center } else { herding }(&rows, pool.count)?;
        let found = Vec::<i64>::try_from(&found.f_to_device(Device::Cpu).at(at)?).at(at)?;
        places.push(found.into_iter().map(|place| place as usize).collect());
        bar.step(&note);
    }
    Ok(data.subset(&positions(pools, places.into_iter())))
}
