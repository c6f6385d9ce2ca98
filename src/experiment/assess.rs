//! What networks say about a task's splits: predictions and metrics, those of the original among them.

use super::task::Task;
use crate::eval::retrained::output_distance::distances;
use crate::eval::split_predictions::predict_parts;
use crate::eval::summary_scores::adaptive_unlearning_score;
use crate::eval::{Metrics, PartPredictions, Parts, predict, warnings};
use crate::nn::Net;
use crate::report::Leaderboard;
use crate::report::runs::predictions;
use crate::runtime::{Result, Run, Stream};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use tch::Tensor;

/// A network's predictions on a task's parts, and the metrics read off them.
pub struct Assessment {
    /// What it says about each part.
    pub parts: PartPredictions,
    /// What follows.
    pub metrics: Metrics,
    /// The name of the predictions in the store.
    pub key: String,
}

/// Original networks by weights and split; a run slot.
#[derive(Default)]
struct Originals(RefCell<HashMap<String, Rc<Assessment>>>);

/// The logits of untrained networks on what is to be forgotten, by split; a run slot.
#[derive(Default)]
struct Untrained(RefCell<HashMap<String, Rc<Tensor>>>);

/// Runs a net over a task's parts. The retain part is the whole one, also where training used a reduction. No stream moves.
///
/// # Errors
/// Those of the forward passes.
pub fn assess(run: &Run, task: &Task, net: &Net) -> Result<Assessment> {
    let mut found = alone(run, task, net)?;
    let original = original(run, task)?;
    found.metrics.set("aus", adaptive_unlearning_score(&original.metrics, &found.metrics));
    Ok(found)
}

/// Everything that needs no other trained network.
fn alone(run: &Run, task: &Task, net: &Net) -> Result<Assessment> {
    run.aside(|| {
        let (forget, retain, test) = (task.forget(), task.whole_retain(), task.test());
        let parts = predict_parts(net, &Parts { forget, retain, test, unseen: Some(task.unseen()) })?;
        let mut metrics = parts.metrics(task.seed())?;
        metrics.set("zrf", 1.0 - distances(&parts.forget.logits, &*untrained(run, task)?)?.js);
        let key = predictions::key(&net.weights_hash()?, task.split_id());
        Ok(Assessment { parts, metrics, key })
    })
}

/// The logits of the architecture newly initialised: what ZRF compares with, drawn from the task's seed.
fn untrained(run: &Run, task: &Task) -> Result<Rc<Tensor>> {
    let known = run.slot::<Untrained>();
    let key = format!("{} {}", task.original().architecture(), task.split_id());
    if let Some(logits) = known.0.borrow().get(&key) {
        return Ok(logits.clone());
    }
    let net = task.original().renewed(&mut Stream::new(task.seed(), "untrained"))?;
    let logits = Rc::new(predict(&net, task.forget())?.logits.shallow_clone());
    known.0.borrow_mut().insert(key, logits.clone());
    Ok(logits)
}

/// A task's original network, evaluated once and told in one line when that happens.
///
/// # Errors
/// Those of evaluating.
pub fn original(run: &Run, task: &Task) -> Result<Rc<Assessment>> {
    let originals = run.slot::<Originals>();
    let key = predictions::key(task.original_hash()?, task.split_id());
    if let Some(known) = originals.0.borrow().get(&key) {
        return Ok(known.clone());
    }
    let mut found = alone(run, task, task.original())?;
    found.metrics.set("aus", adaptive_unlearning_score(&found.metrics, &found.metrics));
    let (name, data) = (task.model_name(), &task.data().name);
    run.progress().say(&format!("original {name} on {data}: {}", warnings::before(&found.metrics)));
    // After the first of several requests it is a network that has forgotten: that little is left to hide is then the aim.
    let later = task.round().is_some_and(|round| round.number > 0);
    if let Some(warning) = warnings::weak_original(&found.metrics).filter(|_| !later) {
        run.progress().warn(&warning);
    }
    let found = Rc::new(found);
    originals.0.borrow_mut().insert(key, found.clone());
    Ok(found)
}

/// Adds to a board the original that a row names, when this run has evaluated it and the board has none for the row.
pub fn tell_original(run: &Run, board: &Leaderboard, row: &Value) {
    let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
    let originals = run.slot::<Originals>();
    if let Some(known) = originals.0.borrow().get(text("original")) {
        board.add_missing_original(row, text("split_id"), &known.key, &known.metrics);
    }
}
