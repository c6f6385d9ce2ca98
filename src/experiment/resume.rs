//! Results that an earlier part of a resumed run left: taken from its folder in place of running the method again.

use super::order::Order;
use super::outcome::{Absent, Outcome};
use super::reference::{self, References};
use super::store;
use super::task::Task;
use crate::eval::Metrics;
use crate::nn::Net;
use crate::report::recorder::{Earlier, Recorder};
use crate::runtime::{Result, Run};
use rhai::Map;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashSet;

/// The orders whose rows cannot be reused, and of which that has been said; a run slot.
#[derive(Default)]
struct Said(RefCell<HashSet<String>>);

impl Said {
    fn once(&self, run: &Run, label: &str, what: &str) {
        if self.0.borrow_mut().insert(label.into()) {
            let told = format!(
                "the rows of {label} will not be reused by --resume: it cannot be told whether they are of the same thing"
            );
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
    let metrics = row.get("metrics").map(Metrics::from_json).unwrap_or_default();
    let history = row.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    let net = match kept_net(run, task, &row)? {
        Some(net) => Some(net),
        None => reference::cached_net(run, task, order, options)?,
    };
    let key = row.get("predictions").and_then(Value::as_str).unwrap_or_default().to_string();
    if order.method == "retrain" {
        run.slot::<References>().add(task, &metrics, &key);
    }
    let retrained = run.slot::<References>().of(task.split_id(), &key);
    let outcome = Outcome::new(run, net.ok_or(Absent::Resumed), metrics, row, history, retrained);
    run.progress().say(&format!("{} (from the earlier part of this run)", outcome.describe()));
    Ok(Some(outcome))
}

/// The net of a row whose weights were kept in the run folder.
fn kept_net(run: &Run, task: &Task, row: &Value) -> Result<Option<Net>> {
    let Some(relative) = row.get("weights").and_then(Value::as_str) else { return Ok(None) };
    let path = run.slot::<Recorder>().folder()?.join(relative);
    let Some((state, _)) = store::read(&path)? else { return Ok(None) };
    let net = task.original().copy()?;
    net.load_state(&state)?;
    Ok(Some(net))
}
