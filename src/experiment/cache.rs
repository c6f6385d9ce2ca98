//! Trained originals and retrained references, kept below the cache folder by what decides their weights.

use super::store;
use crate::data::folders;
use crate::nn::Net;
use crate::runtime::{Result, Run};
use rhai::Map;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Raised whenever training changes in a way that changes the weights.
const RECIPE_VERSION: u32 = 1;

/// What decides the weights of an original: the data, the architecture, how and from which seed it was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// One line of everything that matters.
    pub recipe: String,
}

/// A file of the cache.
#[derive(Debug, Clone)]
pub struct Place {
    /// One line of everything that decides the content.
    pub recipe: String,
    /// The file.
    pub path: PathBuf,
}

/// A network that was found.
pub struct Found {
    /// The network, in evaluation mode.
    pub net: Net,
    /// The seconds its training took.
    pub seconds: f64,
    /// The options it was trained with.
    pub options: Map,
}

impl Source {
    /// The recipe of an original. The thread count is part of it: sums in another order give other weights.
    pub fn new(run: &Run, dataset_id: &str, architecture: &str, training: &str, seed: u64) -> Self {
        let (threads, device) = (run.settings().threads, if run.device().is_cuda() { "cuda" } else { "cpu" });
        let version = RECIPE_VERSION;
        let recipe = format!(
            "v{version} data={dataset_id} net={architecture} training={training} seed={seed} on={device}/{threads}"
        );
        Self { recipe }
    }

    /// Where the original is.
    pub fn original(&self) -> Place {
        Place::new("original", &self.recipe)
    }

    /// Where the network retrained for a split is.
    pub fn reference(&self, split_id: &str, seed: u64, method: &str) -> Place {
        Place::new("retrained", &format!("{} split={split_id} retrain-seed={seed} method={method}", self.recipe))
    }
}

impl Place {
    fn new(kind: &str, recipe: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(recipe);
        let hash: String = hasher.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        let path = folders::cache().join("models").join(format!("{kind}-{hash}.safetensors"));
        Self { recipe: recipe.into(), path }
    }
}

/// The network kept at a place, built like `pattern`; `None` when there is none. A damaged or foreign file counts as none,
/// with a warning: it will be trained again and replaced.
///
/// # Errors
/// Those of building the network.
pub fn find(run: &Run, place: &Place, pattern: &Net) -> Result<Option<Found>> {
    let (state, notes) = match store::read(&place.path) {
        Ok(Some(stored)) => stored,
        Ok(None) => return Ok(None),
        Err(problem) => return Ok(doubt(run, place, &problem.to_string())),
    };
    let net = pattern.copy()?;
    if let Err(problem) = net.load_state(&state) {
        return Ok(doubt(run, place, &problem.to_string()));
    }
    let note = |key: &str| notes.get(key).map(String::as_str).unwrap_or_default();
    if note("recipe") != place.recipe || note("weights") != net.weights_hash()? {
        return Ok(doubt(run, place, "its content is not what its header says"));
    }
    let options = serde_json::from_str::<serde_json::Value>(note("options")).unwrap_or_default();
    let options = super::outcome::from_json(&options).try_cast::<Map>().unwrap_or_default();
    net.set_training(false);
    Ok(Some(Found { net, seconds: note("seconds").parse().unwrap_or(f64::NAN), options }))
}

fn doubt(run: &Run, place: &Place, problem: &str) -> Option<Found> {
    run.progress().warn(&format!("{} is not used and will be replaced: {problem}", place.path.display()));
    None
}

/// Keeps a network. A cache that cannot be written is worth a warning, not an error.
///
/// # Errors
/// Those of reading the weights.
pub fn keep(run: &Run, place: &Place, net: &Net, seconds: f64, options: &Map) -> Result<()> {
    let options = crate::eval::metrics::to_json(&rhai::Dynamic::from(options.clone()));
    let notes = BTreeMap::from([
        ("recipe".to_string(), place.recipe.clone()),
        ("weights".to_string(), net.weights_hash()?),
        ("seconds".to_string(), seconds.to_string()),
        ("options".to_string(), options.to_string()),
    ]);
    if let Err(problem) = store::write(&place.path, &net.state(), &notes) {
        run.progress().warn(&format!("the cache cannot be written: {problem}"));
    }
    Ok(())
}
