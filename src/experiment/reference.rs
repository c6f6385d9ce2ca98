//! Retrained references: known for a split once `retrain` has run on it, and kept in the cache.

use super::frame::Record;
use super::order::Order;
use super::task::Task;
use super::{cache, presets};
use crate::eval::metrics::to_json;
use crate::nn::Net;
use crate::runtime::clock::Clock;
use crate::runtime::random::derive;
use crate::runtime::sources::embedded;
use crate::runtime::{Result, Run};
use rhai::{Dynamic, Map};
use std::rc::Rc;

/// The retrained reference of a task from the cache, when the order is exactly that: plain `retrain` with its preset.
/// The seconds entered are those of the training that was stored.
pub fn from_cache(run: &Run, task: &Task, order: &Order, options: &Map, record: &Rc<Record>) -> Result<Option<Net>> {
    let Some(place) = place(run, task, order, options)? else { return Ok(None) };
    let Some(found) = cache::find(run, &place, task.original())? else { return Ok(None) };
    // The pattern's first values are the original's, not this network's.
    found.net.forget_origin();
    run.slot::<Clock>().enter("unlearn", found.seconds);
    record.used(&Map::from([("cached".into(), true.into())]));
    record.used(&found.options);
    record.read_options.set(true);
    record.primary.set(true);
    Ok(Some(found.net))
}

/// The net of a retrained reference, when the order is one that the cache has.
///
/// # Errors
/// Those of building the network.
pub fn cached_net(run: &Run, task: &Task, order: &Order, options: &Map) -> Result<Option<Net>> {
    let Some(place) = place(run, task, order, options)? else { return Ok(None) };
    Ok(cache::find(run, &place, task.original())?.map(|found| found.net))
}

/// Stores a retrained reference in the cache, when it belongs there.
pub fn to_cache(
    run: &Run,
    task: &Task,
    order: &Order,
    options: &Map,
    record: &Record,
    net: &Net,
    seconds: f64,
) -> Result<()> {
    match place(run, task, order, options)? {
        Some(place) => cache::keep(run, &place, net, seconds, &record.options.borrow()),
        None => Ok(()),
    }
}

/// Where the reference of this order is kept; `None` when the order is a special one.
fn place(run: &Run, task: &Task, order: &Order, options: &Map) -> Result<Option<cache::Place>> {
    let plain = order.builtin
        && order.method == "retrain"
        && order.label == "retrain"
        && options.is_empty()
        && !order.accelerate
        && order.every.is_none()
        && order.budget.is_none()
        && !task.is_reduced();
    let Some(source) = task.cached().filter(|_| plain) else { return Ok(None) };
    // The method's text and its preset decide the weights as well.
    let preset = to_json(&Dynamic::from(presets::of(run, task, "retrain", false, order.reference)?));
    let text = embedded("std/unlearn/retrain.rhai").unwrap_or_default();
    let method = format!("{preset} {:016x}", derive(0, text));
    Ok(Some(source.reference(task.split_id(), order.seed, &method)))
}
