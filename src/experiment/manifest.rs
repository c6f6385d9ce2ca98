//! Splits in files: which samples a request is about, with the hashes that tell whether it is still the same.

use super::round::{Round, Spent};
use super::task::Task;
use crate::data::forget_request::Split;
use crate::data::{Data, forget_request};
use crate::nn::Net;
use crate::report::leaderboard::export;
use crate::runtime::hex::hex;
use crate::runtime::{Error, Result, Run};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The format this version writes and reads.
const FORMAT: u32 = 1;

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// Hash of everything below.
    hash: String,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    dataset: String,
    data_id: String,
    variant: String,
    mode: String,
    fraction: Option<f64>,
    classes: Vec<i64>,
    seed: u64,
    /// Requests there are, where the split is of one of several.
    rounds: Option<usize>,
    /// Positions that each earlier request has removed.
    earlier: Vec<Vec<usize>>,
    forget: Vec<usize>,
    split_id: String,
}

impl Content {
    fn hash(&self) -> Result<String> {
        let text = serde_json::to_string(self).map_err(|problem| Error::new("save_split", problem.to_string()))?;
        Ok(hex(&Sha256::digest(text)))
    }
}

/// Saves the split of a task; returns the path.
///
/// # Errors
/// When the place cannot be written to.
pub fn save(run: &Run, task: &Task, name: &str) -> Result<PathBuf> {
    let split = &task.parts().split;
    let places: std::collections::HashMap<_, usize> = task.train().keys().into_iter().zip(0..).collect();
    let positions = |dataset: &crate::data::Dataset| {
        dataset.keys().iter().filter_map(|key| places.get(key).copied()).collect::<Vec<usize>>()
    };
    let content = Content {
        dataset: task.data().name.clone(),
        data_id: task.data().id.clone(),
        variant: if task.is_reference() { "reference" } else { "canonical" }.into(),
        mode: split.mode.clone(),
        fraction: split.fraction,
        classes: split.classes.clone(),
        seed: split.seed,
        rounds: task.round().map(|round| round.of),
        earlier: task.round().map(|round| round.earlier.iter().map(positions).collect()).unwrap_or_default(),
        forget: split.forget.clone(),
        split_id: split.split_id.clone(),
    };
    let manifest = Manifest { format: FORMAT, hash: content.hash()?, content };
    let text = serde_json::to_string(&manifest).map_err(|problem| Error::new("save_split", problem.to_string()))?;
    export::save_as(run, "save_split", name, "json", (text + "\n").as_bytes())
}

/// The task of a saved split.
///
/// # Errors
/// A file that cannot be read, was changed, or is of other data.
pub fn load(net: &Net, data: &Data, path: &Path) -> Result<Task> {
    let wrong = |what: String| Error::new("load_split", format!("{}: {what}", path.display()));
    let text = crate::tensor::io::safetensors_file::read_text("load_split", path)?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|problem| wrong(format!("not a split: {problem}")))?;
    if manifest.format != FORMAT {
        return Err(wrong(format!("a split of format {}, this version reads {FORMAT}", manifest.format)));
    }
    let content = manifest.content;
    if content.hash()? != manifest.hash {
        return Err(wrong("its hash is wrong: the file was changed after it was saved".into()));
    }
    if content.data_id != data.id {
        return Err(wrong(format!("the split is of other data: {} with id {}", content.dataset, content.data_id))
            .note(format!("given: {} with id {}", data.name, data.id))
            .hint("load the data set with the same options, e.g. per_class"));
    }
    let reference = content.variant == "reference";
    let mut gone = content.earlier.concat();
    gone.sort_unstable();
    let Content { mode, fraction, classes, seed, forget, .. } = content;
    let split = Split { forget, gone, mode, fraction, classes, seed, ..Split::default() };
    let parts = forget_request::with_held_out(data, split.complete(&data.train)?, reference)?;
    if parts.split.split_id != content.split_id {
        return Err(wrong(format!("its samples make the split {}, not {}", parts.split.split_id, content.split_id)));
    }
    let first = content.earlier.first().unwrap_or(&parts.split.forget).clone();
    let task = Task::of_parts(net, data, parts, reference)?;
    let Some(of) = content.rounds else { return Ok(task) };
    let earlier: Vec<_> = content.earlier.iter().map(|positions| data.train.subset(positions)).collect();
    Ok(task.in_round(Round {
        number: earlier.len(),
        of,
        earlier,
        first,
        spent: Spent::default(),
        results: Rc::default(),
    }))
}
