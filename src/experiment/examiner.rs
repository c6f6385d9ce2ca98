//! Evaluates a net on a task's splits in the middle of things: without moving a stream or the clock.

use super::assess::{self, Assessment};
use super::selection;
use super::task::Task;
use crate::experiment::kept_weights;
use crate::nn::Net;
use crate::runtime::clock::{self, Clock};
use crate::runtime::{Result, Run};
use serde_json::{Value, json};

/// Evaluates the nets of one run.
pub struct Examiner {
    run: Run,
    task: Task,
    /// The id of the run whose weights are kept at every evaluation.
    keep: Option<String>,
}

/// How far a method has come.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Epochs finished.
    pub epoch: usize,
    /// Steps made.
    pub step: usize,
}

/// An evaluation along the way.
pub struct Found {
    /// `{ epoch, step, seconds, score, metrics }`.
    pub value: Value,
    /// How good the weights are; higher is better.
    pub score: f64,
    /// The rule behind the score.
    pub rule: &'static str,
}

/// Where kept weights are from.
pub fn describe(found: &Found) -> Value {
    let at = |key: &str| found.value.get(key).cloned().unwrap_or(Value::Null);
    json!({ "epoch": at("epoch"), "step": at("step"), "score": at("score"), "rule": found.rule })
}

impl Examiner {
    /// An examiner of nets that are to solve this task.
    pub fn new(run: &Run, task: &Task, keep: Option<String>) -> Self {
        Self { run: run.clone(), task: task.clone(), keep }
    }

    /// An evaluation along the way.
    ///
    /// # Errors
    /// Those of evaluating, and of keeping weights.
    pub fn examine(&self, net: &Net, point: Point) -> Result<Found> {
        let seconds = self.run.slot::<Clock>().running("unlearn").unwrap_or(0.0);
        let metrics = self.assess(net)?.metrics;
        let original = assess::original(&self.run, &self.task)?;
        let removed = !self.task.removed_classes().is_empty();
        let score = selection::score(&metrics, &original.metrics, removed);
        let Point { epoch, step } = point;
        let mut value =
            json!({ "epoch": epoch, "step": step, "seconds": seconds, "score": score, "metrics": metrics.to_json() });
        if let (Some(run_id), Some(fields)) = (&self.keep, value.as_object_mut()) {
            let path = kept_weights::keep_weights(&self.run, &format!("{run_id}-step-{step}"), net)?;
            fields.insert("weights".into(), path.into());
        }
        Ok(Found { value, score, rule: selection::rule(removed) })
    }

    /// Warns on the run's behalf.
    pub fn warn(&self, line: &str) {
        self.run.progress().warn(line);
    }

    /// What the net says about the task's parts, and the metrics that follow.
    ///
    /// # Errors
    /// Those of evaluating.
    pub fn assess(&self, net: &Net) -> Result<Assessment> {
        let _stage = clock::stage(&self.run, "evaluate");
        assess::assess(&self.run, &self.task, net)
    }
}
