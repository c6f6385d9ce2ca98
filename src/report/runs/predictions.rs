//! The prediction store: the logits of every network on every part of its split, so that metrics can be computed, and added to
//! finished runs, without another forward pass. In memory for the run, and in its folder where there is one.

use crate::eval::{Metrics, PartPredictions, compare};
use crate::report::runs::recorder::Recorder;
use crate::runtime::io_error::reason;
use crate::runtime::write_place::folder_of;
use crate::runtime::{At, Error, Result, Run};
use crate::tensor::io::safetensors_file::{Notes, create_folders, load_noted, save_noted};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// Predictions kept in memory, in bytes of logits; older ones are read from the folder again, where there is one.
const MEMORY: usize = 256 << 20;

/// The store of a run; a run slot.
#[derive(Default)]
pub struct PredictionStore(RefCell<State>);

#[derive(Default)]
struct State {
    /// Least recently used first.
    kept: Vec<(String, Rc<PartPredictions>)>,
    /// Folders of earlier runs that are looked into as well.
    folders: Vec<PathBuf>,
    compared: HashMap<(String, String), Rc<Metrics>>,
    /// Files that are known to be whole.
    whole: HashSet<PathBuf>,
}

/// The name of a network's predictions on a split: its weights decide them.
pub fn key(weights: &str, split_id: &str) -> String {
    format!("{weights}-{split_id}")
}

/// Where predictions are kept in a run folder.
pub fn place(folder: &Path, key: &str) -> PathBuf {
    folder.join("predictions").join(format!("{key}.safetensors"))
}

/// Reads the predictions of this name from a run folder; `None` when it has none.
///
/// # Errors
/// A damaged file.
pub fn read(folder: &Path, key: &str) -> Result<Option<PartPredictions>> {
    let path = place(folder, key);
    if !path.is_file() {
        return Ok(None);
    }
    let (named, _) = load_noted("predictions", &path)?;
    PartPredictions::from_tensors(&named).map(Some).map_err(|error| error.note(format!("in {}", path.display())))
}

impl PredictionStore {
    /// Keeps predictions under a name: in memory on the host, and in the run folder when results go to one, before the row
    /// that names them. That a disk is full is worth a warning: the row they belong to is not lost with them, and they are made
    /// again when the run is resumed.
    ///
    /// # Errors
    /// Those of copying them to the host.
    pub fn put(&self, run: &Run, key: &str, parts: &PartPredictions) -> Result<()> {
        let on_host: Result<Vec<_>> = parts
            .tensors()?
            .into_iter()
            .map(|(name, tensor)| {
                let kind = if name.ends_with("logits") { Kind::Float } else { Kind::Int64 };
                let tensor = tensor.f_to_device(Device::Cpu).and_then(|t| t.f_to_kind(kind)?.f_contiguous());
                Ok((name, tensor.at("predictions")?))
            })
            .collect();
        let named = on_host?;
        let recorder = run.slot::<Recorder>();
        if recorder.is_planned()
            && let Err(error) = recorder.folder().and_then(|folder| self.write(&folder, key, &named))
        {
            recorder.not_kept();
            run.progress().warn(&format!("predictions are not kept: {error}"));
        }
        self.remember(key, Rc::new(PartPredictions::from_tensors(&named)?));
        Ok(())
    }

    /// Writes a file of predictions, on disk when this returns, unless a whole one is there.
    fn write(&self, folder: &Path, key: &str, named: &[(String, Tensor)]) -> Result<()> {
        if self.is_kept(folder, key) {
            return Ok(());
        }
        let path = place(folder, key);
        let parent = folder_of(&path);
        create_folders(parent).map_err(|problem| Error::file("predictions", parent, reason(&problem)))?;
        save_noted("predictions", &path, named, &Notes::new())?;
        self.0.borrow_mut().whole.insert(path);
        Ok(())
    }

    /// Whether a run folder has predictions of this name, whole; each file is read through once.
    pub fn is_kept(&self, folder: &Path, key: &str) -> bool {
        let path = place(folder, key);
        if self.0.borrow().whole.contains(&path) {
            return path.is_file();
        }
        let whole = matches!(read(folder, key), Ok(Some(_)));
        if whole {
            self.0.borrow_mut().whole.insert(path);
        }
        whole
    }

    fn remember(&self, key: &str, parts: Rc<PartPredictions>) {
        let mut state = self.0.borrow_mut();
        state.kept.retain(|(known, _)| known != key);
        state.kept.push((key.into(), parts));
        let size = |parts: &PartPredictions| -> usize { parts.each().map(|(_, part)| 4 * part.logits.numel()).sum() };
        let mut total: usize = state.kept.iter().map(|(_, parts)| size(parts)).sum();
        while total > MEMORY && state.kept.len() > 2 {
            let (_, oldest) = state.kept.remove(0);
            total -= size(&oldest);
        }
    }

    /// Looks into the folder of an earlier run as well.
    pub fn open(&self, folder: &Path) {
        self.0.borrow_mut().folders.push(folder.to_path_buf());
    }

    /// The predictions of this name, when the run or an earlier one that was opened has them.
    ///
    /// # Errors
    /// A damaged file.
    pub fn get(&self, run: &Run, key: &str) -> Result<Option<Rc<PartPredictions>>> {
        let found = self.0.borrow().kept.iter().find(|(known, _)| known == key).map(|(_, parts)| parts.clone());
        let mut places: Vec<PathBuf> = run.slot::<Recorder>().opened().into_iter().collect();
        places.extend(self.0.borrow().folders.iter().cloned());
        let found = match found {
            Some(parts) => Some(parts),
            None => places.iter().find_map(|folder| read(folder, key).transpose()).transpose()?.map(Rc::new),
        };
        if let Some(parts) = &found {
            self.remember(key, parts.clone());
        }
        Ok(found)
    }

    /// A network's metrics beside the retrained one's, from the predictions of both; `None` when one of them is not here.
    ///
    /// # Errors
    /// Predictions on different samples; a damaged file.
    pub fn compare(&self, run: &Run, unlearned: &str, retrained: &str, seed: u64) -> Result<Option<Rc<Metrics>>> {
        let pair = (unlearned.to_string(), retrained.to_string());
        if let Some(known) = self.0.borrow().compared.get(&pair) {
            return Ok(Some(known.clone()));
        }
        let (Some(a), Some(b)) = (self.get(run, unlearned)?, self.get(run, retrained)?) else { return Ok(None) };
        let found = Rc::new(compare(&a, &b, seed)?);
        self.0.borrow_mut().compared.insert(pair, found.clone());
        Ok(Some(found))
    }
}
