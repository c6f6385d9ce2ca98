//! Results that an earlier part of a resumed run left: taken from its folder in place of running the method again.

use super::order::Order;
use super::outcome::{Absent, Outcome};
use super::task::Task;
use super::{assess, reference, store};
use crate::eval::Metrics;
use crate::experiment::references::References;
use crate::nn::Net;
use crate::report::PredictionStore;
use crate::report::runs::predictions;
use crate::report::runs::recorder::{Earlier, Recorder};
use crate::runtime::{Result, Run};
use rhai::Map;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;

/// The orders whose rows cannot be reused, and of which that has been said; a run slot.
#[derive(Default)]
struct Said(RefCell<HashSet<String>>);

impl Said {
    fn once(&self, run: &Run, label: &str, what: &str) {
        if self.0.borrow_mut().insert(label.into()) {
            let told =
                format!("--resume will not reuse the rows of {label}: not everything that decides them is known");
            run.progress().warn(&format!("{told} ({what})"));
        }
    }
}

/// The outcome of an order from the earlier part of a resumed run; `None` when it has to be run.
///
/// # Errors
/// When the folder cannot be read.
pub fn earlier(run: &Run, task: &Task, order: &Order, options: &Map) -> Result<Option<Outcome>> {
    let recorder = run.slot::<Recorder>();
    let identity = &order.identity;
    if let Some(what) = identity.unknown.first() {
        run.slot::<Said>().once(run, &order.label, what);
    }
    let row = match recorder.earlier(&identity.key, &identity.parts, identity.unknown.is_empty())? {
        Earlier::Row(row) => row,
        Earlier::Nothing(notes) => {
            notes.iter().for_each(|note| run.progress().warn(note));
            return Ok(None);
        }
    };
    let found = match net(run, task, order, options, &row)? {
        Some(net) if keeps_predictions(run, task, &row, net.as_ref())? => net,
        _ => {
            run.progress().say(&format!(
                "{}: files of the earlier result are missing or damaged; it is computed again",
                order.label
            ));
            recorder.make_again(&row);
            return Ok(None);
        }
    };
    let metrics = row.get("metrics").map(Metrics::from_json).unwrap_or_default();
    let history = row.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    let key = text(&row, "predictions").to_string();
    if order.method == "retrain" {
        run.slot::<References>().add(task.split_id(), &metrics, &key);
    }
    let retrained = run.slot::<References>().of(task.split_id(), &key);
    let outcome = Outcome::new(run, found.ok_or(Absent::Resumed), metrics, row, history, retrained);
    Ok(Some(outcome))
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The net of a row, where it was kept in the run folder or the cache: `Some(None)` when it was not to be kept. `None` when
/// weights that the row names are missing or damaged.
fn net(run: &Run, task: &Task, order: &Order, options: &Map, row: &Value) -> Result<Option<Option<Net>>> {
    let folder = run.slot::<Recorder>().folder()?;
    let along_the_way = row.get("history").and_then(Value::as_array).into_iter().flatten();
    if along_the_way.map(|point| text(point, "weights")).any(|name| !name.is_empty() && !is_whole(&folder.join(name))) {
        return Ok(None);
    }
    let Some(relative) = row.get("weights").and_then(Value::as_str) else {
        return Ok(Some(reference::cached_net(run, task, order, options)?));
    };
    let Ok(Some((state, _))) = store::read(&folder.join(relative)) else { return Ok(None) };
    let net = task.original().copy()?;
    net.load_state(&state)?;
    // The name of the predictions begins with what the weights hash to.
    let same = predictions::key(&net.weights_hash()?, task.split_id()) == text(row, "predictions");
    Ok(same.then_some(Some(net)))
}

/// Whether a file of tensors is there and sound.
fn is_whole(path: &Path) -> bool {
    matches!(store::read(path), Ok(Some(_)))
}

/// Whether the run folder has the predictions that a row names, the original's among them. Those of a network that is at hand
/// are made again where they are missing or damaged.
fn keeps_predictions(run: &Run, task: &Task, row: &Value, net: Option<&Net>) -> Result<bool> {
    let (store, recorder) = (run.slot::<PredictionStore>(), run.slot::<Recorder>());
    let folder = recorder.folder()?;
    let kept = |field: &str| text(row, field).is_empty() || store.is_kept(&folder, text(row, field));
    let mut have = kept("original");
    if !have {
        let original = assess::original(run, task)?;
        recorder.restored();
        store.put(run, &original.key, &original.parts)?;
        have = original.key == text(row, "original");
    }
    if kept("predictions") {
        return Ok(have);
    }
    let Some(net) = net else { return Ok(false) };
    let found = assess::assess(run, task, net)?;
    if found.key != text(row, "predictions") {
        return Ok(false);
    }
    recorder.restored();
    store.put(run, &found.key, &found.parts)?;
    Ok(have)
}
