//! `lethe list`: what there is of a kind, from the rooms' own lists.

use super::{Ending, ListOptions, Listed, start};
use crate::host::Host;
use crate::host::docs::catalog::Catalog;
use crate::report::screen;
use crate::runtime::run::Settings;
use crate::runtime::{Error, Result, output};
use serde_json::{Value, json};

/// Prints the list.
pub fn list(options: &ListOptions) -> Ending {
    let items = match items(options.what) {
        Ok(items) => items,
        Err(error) => return start::complain(&error),
    };
    let lines = |items: &[Value]| lines(items).into_iter().map(|line| line + "\n").collect();
    let text = if options.json { format!("{:#}\n", Value::Array(items)) } else { lines(&items) };
    let legend = if options.what == Listed::Metrics && !options.json { TIERS } else { "" };
    output::write(&(text + legend));
    Ending::Success
}

/// What the marks behind metrics mean.
const TIERS: &str = "
tier 0: needs the network alone; tier 1: the retrained network as well; tier 2: trains copies of networks
from evaluate, compare, gaps: in the rows of unlearn::run; a function: call it and record what it gives
";

/// The items as objects with at least `name` and `summary`.
fn items(what: Listed) -> Result<Vec<Value>> {
    match what {
        Listed::Datasets => as_values(&crate::data::list()),
        Listed::Models => as_values(&crate::experiment::models::list()),
        Listed::Unlearners => Ok(unlearners()),
        Listed::Condensers => as_values(&crate::condense::listing::list()),
        Listed::Metrics => as_values(&crate::eval::metric_list::list()),
    }
}

fn as_values(list: &(impl serde::Serialize + ?Sized)) -> Result<Vec<Value>> {
    match serde_json::to_value(list) {
        Ok(Value::Array(items)) => Ok(items),
        _ => Err(Error::new("list", "the list cannot be shown")),
    }
}

/// The methods of the embedded library.
fn unlearners() -> Vec<Value> {
    let host = Host::new(Settings::default());
    let catalog = Catalog::of(&host.engine);
    let own = catalog.entries().iter().filter(|entry| entry.module.starts_with("std/unlearn/"));
    own.map(|entry| json!({ "name": entry.name, "summary": entry.doc.summary, "file": entry.module })).collect()
}

/// Names and summaries, a line each (on a terminal as many as it takes); of a metric also which way is better, what it needs
/// and where it is from.
pub(super) fn lines(items: &[Value]) -> Vec<String> {
    let text = |item: &Value, key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let width = screen::width();
    let longest = items.iter().map(|item| text(item, "name").chars().count()).max().unwrap_or(0);
    let line = |item: &Value| {
        let name = text(item, "name");
        let absent = item.get("present") == Some(&Value::Bool(false));
        let note = if absent { format!(" [not here: {}]", text(item, "location")) } else { String::new() };
        let about = format!("{}{note}{}", text(item, "summary"), details(item));
        screen::hanging(&name, longest + 2, &about, width)
    };
    items.iter().map(line).collect()
}

/// What is told of a metric after its summary.
fn details(item: &Value) -> String {
    let text = |key: &str| item.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let tier = item.get("tier").and_then(Value::as_u64).map(|tier| format!("tier {tier}"));
    let from = text("from").map(|from| if from == "function" { "a function".into() } else { format!("from {from}") });
    let parts = [text("reading").map(String::from), tier, from, text("source").map(String::from)];
    parts.into_iter().flatten().map(|part| format!(" · {part}")).collect()
}
