//! The line that every finished result gets on stderr: what tells it from the others, and its figures.

use super::order::Order;
use super::outcome::Outcome;
use super::row::option;
use crate::report::runs::difference::told;
use crate::report::runs::row::Row;
use crate::runtime::Run;
use rhai::Map;
use serde_json::Value;
use std::cell::RefCell;

/// What `unlearn::run` is given besides what decides the result, and what the line says elsewhere.
const ELSEWHERE: [&str; 6] = ["every", "name", "label", "on_error", "seed", "weights"];

/// The data set, network and request of the first result: a line names only what differs; a run slot.
#[derive(Default)]
struct First(RefCell<Option<Vec<(String, Value)>>>);

/// Says what a result is, in a line; `resumed` when it was taken from an earlier part of the run.
pub fn outcome(run: &Run, order: &Order, given: &Map, outcome: &Outcome, resumed: bool) {
    let row = Row::new(outcome.row());
    let described = outcome.describe();
    let figures = described.strip_prefix(&order.label).unwrap_or(&described);
    let mark = if resumed { " (resumed)" } else { "" };
    run.progress().say(&format!("{}{figures} · {}{mark}", named(order, given, &row), apart(run, &row)));
}

/// `push_away (lr=0.003) on blend`: the label with the options that the script gave, and the retain set.
pub fn named(order: &Order, given: &Map, row: &Row) -> String {
    let options = given.iter().filter(|(key, _)| !ELSEWHERE.contains(&key.as_str()));
    let options: Vec<String> = options.map(|(key, value)| format!("{key}={}", told(Some(&option(value))))).collect();
    let options = if options.is_empty() { String::new() } else { format!(" ({})", options.join(", ")) };
    let retain = if row.is_full() || row.kind().is_empty() { String::new() } else { format!(" on {}", row.kind()) };
    format!("{}{options}{retain}", order.label)
}

/// `split seed 1, seed 0`, with the data set, network and request where they are not those of the first result.
fn apart(run: &Run, row: &Row) -> String {
    let own: Vec<(String, Value)> =
        row.circumstances().into_iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    let slot = run.slot::<First>();
    let mut first = slot.0.borrow_mut();
    let first = first.get_or_insert_with(|| own.clone());
    let differs = own.iter().filter(|(name, value)| {
        let known = first.iter().find(|(other, _)| other == name);
        name == "round" || known.is_none_or(|(_, other)| other != value)
    });
    let seed = |name: &str| row.value.pointer(&format!("/seeds/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let seeds = format!("split seed {}, seed {}", seed("split"), seed("unlearn"));
    let differs = differs.map(|(name, value)| format!("{name} {}", told(Some(value))));
    std::iter::once(seeds).chain(differs).collect::<Vec<_>>().join(", ")
}
