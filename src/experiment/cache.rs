//! Trained originals and retrained references, kept below the cache folder by what decides their weights.

use super::identity::{self, METHODS_REVISION, PRECISION};
use super::store;
use crate::data::Data;
use crate::experiment::source::Source;
use crate::nn::architecture::model_name;
use crate::nn::{Net, state_dict};
use crate::runtime::cache_folder::{About, Shelf, Soundness};
use crate::runtime::hex::hex_of;
use crate::runtime::{Result, Run, user_dirs, versions};
use crate::tensor::io::safetensors_file::{Notes, parse_safetensors, read_bytes, read_notes};
use rhai::Map;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// The kind of trained originals.
const ORIGINAL: &str = "original";

/// The kind of networks retrained without the samples to forget.
const RETRAINED: &str = "retrained";

/// Hexadecimal digits of a recipe's hash in a file's name.
const DIGITS: usize = 20;

/// Raised whenever recipes tell more than before, so that files of earlier ones are not taken for what they may not be. That
/// training itself gives other weights is told by `METHODS_REVISION`.
const RECIPE_VERSION: u32 = 2;

/// A file of the cache.
#[derive(Debug, Clone)]
pub struct Place {
    /// One line of everything that decides the content.
    pub recipe: String,
    /// The file.
    pub path: PathBuf,
    /// What lists tell of it.
    about: About,
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
    /// The recipe of an original. The number of threads and the version of libtorch are part of it: sums in another order give
    /// other weights.
    pub fn new(run: &Run, data: &Data, net: &Net, training: &str, seed: u64) -> Self {
        let (threads, device) = (run.settings().threads, if run.device().is_cuda() { "cuda" } else { "cpu" });
        let (version, id, architecture) = (RECIPE_VERSION, &data.id, identity::architecture(net));
        let (libtorch, revision) = (versions::libtorch().unwrap_or_else(|| "unknown".into()), METHODS_REVISION);
        let recipe = format!(
            "v{version} data={id} net={architecture} training={training} seed={seed} on={device}/{threads}/{PRECISION} \
             libtorch={libtorch} revision={revision}"
        );
        Self { recipe, dataset: data.name.clone(), model: model_name(net), seed }
    }

    /// Where the original is.
    pub fn original(&self) -> Place {
        Place::new(ORIGINAL, self.recipe.clone(), self.about(self.seed, None))
    }

    /// Where the network retrained for a split is.
    pub fn reference(&self, split_id: &str, seed: u64, method: &str) -> Place {
        let recipe = format!("{} split={split_id} retrain-seed={seed} method={method}", self.recipe);
        Place::new(RETRAINED, recipe, self.about(seed, Some(split_id)))
    }

    fn about(&self, seed: u64, split: Option<&str>) -> About {
        let (dataset, model) = (Some(self.dataset.clone()), Some(self.model.clone()));
        About { dataset, model, seed: Some(seed), split: split.map(Into::into), ..About::default() }
    }
}

impl Place {
    fn new(kind: &str, recipe: String, about: About) -> Self {
        let path = user_dirs::cache().join(Models.folder()).join(file_name(kind, &recipe));
        Self { recipe, path, about }
    }
}

/// A file is named by its kind and what decides its content.
fn file_name(kind: &str, recipe: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(recipe);
    format!("{kind}-{}.safetensors", hex_of(&hasher.finalize(), DIGITS / 2))
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
    let options = crate::runtime::json::from_json(&options).try_cast::<Map>().unwrap_or_default();
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
    let state = net.state();
    let About { dataset, model, seed, split, .. } = place.about.clone();
    let mut notes = BTreeMap::from([
        ("recipe".to_string(), place.recipe.clone()),
        ("weights".to_string(), net.weights_hash()?),
        ("order".to_string(), state.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")),
        ("seconds".to_string(), seconds.to_string()),
        ("options".to_string(), options.to_string()),
    ]);
    let known = [("dataset", dataset), ("model", model), ("seed", seed.map(|n| n.to_string())), ("split", split)];
    notes.extend(known.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))));
    if let Err(problem) = store::write(&place.path, &state, &notes) {
        run.progress().warn(&format!("the cache cannot be written: {problem}"));
    }
    Ok(())
}

/// The shelf of trained networks.
pub struct Models;

impl Shelf for Models {
    fn folder(&self) -> &'static str {
        "models"
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[ORIGINAL, RETRAINED]
    }

    fn kind_of(&self, name: &str) -> Option<&'static str> {
        let (kind, hash) = name.strip_suffix(".safetensors")?.split_once('-')?;
        let lowercase = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let named = hash.len() == DIGITS && hash.bytes().all(lowercase);
        self.kinds().iter().copied().find(|own| *own == kind && named)
    }

    fn about(&self, path: &Path) -> Result<About> {
        Ok(about(&read_notes("cache", path)?))
    }

    fn verify(&self, path: &Path) -> Result<Soundness> {
        if matches!(path.try_exists(), Ok(false)) {
            return Ok(Soundness::Gone);
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match parse_safetensors(&read_bytes("cache", path)?) {
            Ok((state, notes)) => self.compare(&name, state, &notes),
            Err(problem) => Ok(Soundness::Damaged(problem)),
        }
    }
}

impl Models {
    /// Compares a file's name and weights with what its notes say of them.
    fn compare(&self, name: &str, mut state: Vec<(String, Tensor)>, notes: &Notes) -> Result<Soundness> {
        let damaged = |problem: &str| Ok(Soundness::Damaged(problem.into()));
        let (Some(recipe), Some(weights)) = (notes.get("recipe"), notes.get("weights")) else {
            return damaged("its header does not say what it holds");
        };
        if self.kind_of(name).is_none_or(|kind| file_name(kind, recipe) != name) {
            return damaged("its name is not that of the recipe in its header");
        }
        // The format sorts tensors by type; the hash is over the network's order.
        let Some(order) = notes.get("order") else { return Ok(Soundness::Unchecked) };
        let order: Vec<&str> = order.split(' ').collect();
        state.sort_by_cached_key(|(name, _)| order.iter().position(|own| own == name));
        let sound = state.len() == order.len() && state_dict::hash(&state)? == *weights;
        if sound { Ok(Soundness::Sound) } else { damaged("its weights are not those its header names") }
    }
}

/// What notes tell; of files that were written before they told it, what their recipe does.
fn about(notes: &Notes) -> About {
    let own = |key: &str| notes.get(key).cloned();
    let recipe = notes.get("recipe").map(String::as_str).unwrap_or_default();
    let told =
        |key: &str| recipe.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).map(String::from);
    let seed = own("seed").or_else(|| told("retrain-seed")).or_else(|| told("seed"));
    let model = || told("net").map(|net| net.split('(').next().unwrap_or_default().to_string());
    About {
        dataset: own("dataset"),
        model: own("model").or_else(model),
        seed: seed.and_then(|seed| seed.parse().ok()),
        split: own("split").or_else(|| told("split")),
        seconds: own("seconds").and_then(|seconds| seconds.parse().ok()),
        earlier: !recipe.is_empty() && !recipe.starts_with(&format!("v{RECIPE_VERSION} ")),
        ..About::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::models;
    use crate::runtime::run::Settings;

    #[test]
    fn a_recipe_tells_the_machine_and_the_versions_and_changes_with_each_part() {
        let recipe = |threads: usize, width: i64, training: &str| {
            let run = Run::new(Settings { threads, ..Settings::default() });
            let data = crate::data::load::load("digits", Map::new(), &run).unwrap();
            let given = Map::from([("width".into(), width.into())]);
            let net = models::build("convnet", data.shape, data.classes, given, || run.stream("init"), run.device());
            let source = Source::new(&run, &data, &net.unwrap(), training, 3);
            (source.original().path, source.reference("split", 4, "{}").path, source.recipe)
        };
        let (original, reference, text) = recipe(2, 4, "{}");
        let libtorch = versions::libtorch().unwrap();
        for part in [format!("v{RECIPE_VERSION} "), " on=cpu/2/f32".into(), format!(" libtorch={libtorch}")] {
            assert!(text.contains(&part), "no {part:?} in {text}");
        }
        for (threads, width, training) in [(1, 4, "{}"), (2, 8, "{}"), (2, 4, "{\"lr\":1}")] {
            let (other, second, _) = recipe(threads, width, training);
            assert!(other != original && second != reference);
        }
        assert_eq!(recipe(2, 4, "{}").0, original);
    }
}
