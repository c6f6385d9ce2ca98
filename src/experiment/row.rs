//! The row a run leaves behind, field by field as contracts settle them.

use super::assess;
use super::frame::Record;
use super::order::Order;
use super::task::Task;
use crate::eval::Metrics;
use crate::eval::metrics::to_json;
use crate::runtime::{Result, Run};
use rhai::{Dynamic, FnPtr};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Everything a row is made of.
pub struct Sheet<'a> {
    /// The run.
    pub run: &'a Run,
    /// The task.
    pub task: &'a Task,
    /// What was asked for.
    pub order: &'a Order,
    /// What happened.
    pub record: &'a Rc<Record>,
    /// The row's id.
    pub run_id: String,
    /// Seconds of the stages.
    pub seconds: BTreeMap<String, f64>,
}

/// How many methods have been run; a run slot.
#[derive(Default)]
struct Counter(Cell<usize>);

/// A label for a row and the files that go with it, equal in two equal runs: `0003-acf-5f0c2193`. What identifies the row is
/// its key, which the last part is from.
pub fn new_id(run: &Run, order: &Order) -> String {
    let counter = run.slot::<Counter>();
    counter.0.set(counter.0.get() + 1);
    let hash = order.identity.key.get(..8).unwrap_or_default();
    let label: String = order.label.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    format!("{:04}-{label}-{hash}", counter.0.get())
}

impl Sheet<'_> {
    /// The row; metrics are null when the method failed.
    pub fn row(&self, metrics: Option<&Metrics>, status: &str) -> Result<Value> {
        let (task, order) = (self.task, self.order);
        let options: Map<String, Value> =
            self.record.options.borrow().iter().map(|(key, value)| (key.to_string(), option(value))).collect();
        Ok(json!({
            "run_id": self.run_id,
            "method": order.method,
            "label": order.label,
            "variant": if order.reference { "reference" } else { "canonical" },
            "accelerated": self.record.accelerated.get(),
            "dataset": task.data().name,
            "model": task.model_name(),
            "split_id": task.split_id(),
            "seeds": { "run": self.run.seed(), "split": task.seed(), "unlearn": order.seed },
            "retain": retain(task),
            "options": options,
            "metrics": metrics.map_or(Value::Null, Metrics::to_json),
            "seconds": self.seconds(),
            "peak_memory": peak_memory(self.run),
            "status": status,
            "key": order.identity.key,
            "key_parts": order.identity.parts,
            "request": request(task),
            "original": assess::original(self.run, task)?.key,
        }))
    }

    /// The four stages, and any other that the method timed.
    fn seconds(&self) -> Value {
        let mut seconds = self.seconds.clone();
        if let Some(reduction) = self.task.reduction() {
            *seconds.entry("cluster".into()).or_insert(0.0) += reduction.seconds_cluster;
            *seconds.entry("condense".into()).or_insert(0.0) += reduction.seconds_condense;
        }
        let mut ordered = Map::new();
        for stage in ["cluster", "condense", "unlearn", "evaluate"] {
            ordered.insert(stage.into(), seconds.remove(stage).unwrap_or(0.0).into());
        }
        ordered.extend(seconds.into_iter().map(|(stage, time)| (stage, time.into())));
        ordered.into()
    }
}

/// What is to be forgotten, and of how much.
fn request(task: &Task) -> Value {
    let split = &task.parts().split;
    json!({
        "mode": split.mode, "fraction": split.fraction, "classes": split.classes,
        "forget": task.forget().len(), "train": task.train().len(),
    })
}

/// Which retain set was trained on.
fn retain(task: &Task) -> Value {
    let size = task.retain().len();
    if let Some(kind) = task.own_retain() {
        let ratio = size as f64 / task.whole_retain().len() as f64;
        return json!({ "kind": kind, "per_class": null, "size": size, "ratio": ratio });
    }
    match task.reduction() {
        None => json!({ "kind": "full", "per_class": null, "size": size, "ratio": 1.0 }),
        Some(r) => {
            json!({ "kind": r.method.name(), "per_class": r.per_class, "size": r.dataset.len(), "ratio": r.ratio })
        }
    }
}

/// An option as JSON; a function by its name.
pub(super) fn option(value: &Dynamic) -> Value {
    match value.read_lock::<FnPtr>() {
        Some(function) if function.is_anonymous() => "closure".into(),
        Some(function) => function.fn_name().into(),
        None => to_json(value),
    }
}

/// The most memory in use so far: the process's high-water mark. `null` where the system does not tell.
fn peak_memory(run: &Run) -> Value {
    if run.device().is_cuda() {
        return crate::runtime::peak_memory::device(run)
            .map_or(Value::Null, |bytes| json!({ "bytes": bytes, "kind": "device, sampled" }));
    }
    crate::runtime::peak_memory::process()
        .map_or(Value::Null, |bytes| json!({ "bytes": bytes, "kind": "process high-water mark" }))
}
