//! Weights that a run keeps in its folder.

use super::store;
use crate::nn::Net;
use crate::report::Recorder;
use crate::runtime::{Result, Run};
use std::collections::BTreeMap;

/// Saves weights in the run folder; returns the path relative to it. That the folder does not take them is worth a warning: the
/// result is not lost with them, and they are made again when the run is resumed.
///
/// # Errors
/// When there is no run folder.
pub fn keep_weights(run: &Run, name: &str, net: &Net) -> Result<String> {
    let relative = format!("weights/{name}.safetensors");
    let recorder = run.slot::<Recorder>();
    if !recorder.is_planned() {
        recorder.folder()?;
    }
    let path = recorder.folder().map(|folder| folder.join(&relative));
    if let Err(error) = path.and_then(|path| store::write(&path, &net.state(), &BTreeMap::new())) {
        recorder.not_kept();
        run.progress().warn(&format!("weights are not kept: {error}"));
    }
    Ok(relative)
}
