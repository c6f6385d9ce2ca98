//! The options of the method that is running: given, preset or default.

use super::rules::read;
use super::{accelerate, frame, presets};
use crate::runtime::{Result, Run};
use rhai::Map;

/// Reads the options of the method that is running, with its preset, and records what counted.
///
/// # Errors
/// As [`read`]; options that the accelerated form does not have.
pub fn for_method(run: &Run, given: Map, rules: &Map) -> Result<Map> {
    let frame = frame::current(run);
    let name = if frame.method.is_empty() { "options" } else { frame.method.as_str() };
    let preset = match &frame.task {
        Some(task) => presets::of(run, task, &frame.method, frame.accelerate.is_some(), frame.reference)?,
        None => Map::new(),
    };
    frame.record.read_options.set(true);
    let Some(accelerate) = &frame.accelerate else {
        let read = read(name, given, &preset, rules)?;
        frame.record.question.answer(rules, &read)?;
        frame.record.used(&read);
        return Ok(read);
    };
    accelerate::refuse_replaced(name, &given)?;
    let own = accelerate.rules(rules);
    let read = read(name, given, &preset, &own)?;
    frame.record.question.answer(&accelerate::kept(&own), &accelerate::kept(&read))?;
    accelerate.take(&read, rules);
    frame.record.used(&accelerate::counted(&read, rules, frame.record.regularizer.borrow().is_weighted()));
    Ok(read)
}
