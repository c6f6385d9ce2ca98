//! Which rows are one and the same, and which are runs of the same thing under different seeds.

use crate::report::cells::bare;
use crate::report::runs::difference::{leaves, parts, told};
use crate::report::runs::row::Row;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What tells a row from all others, in whatever folder it lies; `None` of rows that do not say what they were made by.
pub fn identity(row: &Value) -> Option<&str> {
    let known = parts(row).is_some_and(|parts| parts.get("unidentified").is_none());
    row.get("key").and_then(Value::as_str).filter(|_| known)
}

/// Whether a row is another that is added again. Those that do not say what they were made by are compared by their labels
/// and by what they tell of their order.
pub fn is_again(a: &Row, b: &Row) -> bool {
    if let (Some(a), Some(b)) = (identity(&a.value), identity(&b.value)) {
        return a == b;
    }
    let field = |name: &str| a.value.get(name) == b.value.get(name);
    let labelled = !a.text("run_id").is_empty();
    labelled && ["run_id", "key", "split_id", "seeds"].into_iter().all(field) && kinship(a) == kinship(b)
}

/// What makes two rows runs of the same thing under different seeds.
pub fn kinship(row: &Row) -> String {
    let accelerated = row.value.get("accelerated").cloned().unwrap_or(Value::Bool(false));
    let per_class = row.retain("per_class");
    let words = ["label", "method", "variant"].map(|key| row.text(key));
    let (circumstances, options) = (row.circumstances(), options(row));
    format!("{words:?} {circumstances:?} {accelerated} {} {per_class} {options:?} {:?}", row.kind(), beyond(row))
}

/// The options that a row tells. Where a retrained network came from makes no difference to what it is.
fn options(row: &Row) -> BTreeMap<&str, &Value> {
    let options = row.value.get("options").and_then(Value::as_object).into_iter().flatten();
    options
        .filter(|(key, _)| !["seed", "cached"].contains(&key.as_str()))
        .map(|(key, value)| (key.as_str(), value))
        .collect()
}

/// Parts of a key in which rows of one label may differ besides their options, and how names tell them.
const BEYOND: [(&str, &str); 10] = [
    ("method.captured.", ""),
    ("method.constants.", ""),
    ("method.imports.", ""),
    ("method.calls.", ""),
    ("method.code", "code"),
    ("regularizer", "regularizer"),
    ("keep", "keep"),
    ("budget", "budget"),
    ("model", "model"),
    ("retain.options.", ""),
];

/// What a captured value is that goes with the data or the split: it differs between the runs of one thing.
const OF_THE_SPLIT: [&str; 8] = ["task", "net", "architecture", "dataset", "data", "tensor", "shape", "result"];

/// What else makes a row another thing: texts of scripts, captured values, functions and tensors among the options.
fn beyond(row: &Row) -> BTreeMap<String, Value> {
    let Some(parts) = parts(&row.value) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (path, value) in leaves(parts) {
        let known = BEYOND.iter().find(|(start, _)| match start.strip_suffix('.') {
            Some(_) => path.starts_with(start),
            None => path == *start || path.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')),
        });
        let of_the_split = path.starts_with("method.captured.")
            && (path.contains("seed") || path.split('.').skip(3).any(|word| OF_THE_SPLIT.contains(&word)));
        if let Some((start, name)) = known.filter(|_| !of_the_split) {
            let rest = path.strip_prefix(start).unwrap_or_default().trim_start_matches('.');
            found.insert(if name.is_empty() { rest.into() } else { (*name).to_string() }, value);
        } else if let Some(rest) = path.strip_prefix("options.").filter(|rest| rest.contains('.')) {
            found.insert(rest.to_string(), value);
        }
    }
    found
}

/// Parts of a key that say what is asked for, or that differ between the runs of one thing.
const OF_THE_ORDER: [&str; 14] = [
    "label",
    "method",
    "options",
    "regularizer",
    "every",
    "keep",
    "budget",
    "weights",
    "model",
    "split",
    "retain",
    "round",
    "seeds",
    "repeat",
];

/// What a row met: the machine, versions, the original.
fn met(row: &Row) -> BTreeMap<String, Value> {
    let found = parts(&row.value).map(leaves).unwrap_or_default().into_iter();
    found.filter(|(path, _)| !OF_THE_ORDER.contains(&path.split('.').next().unwrap_or_default())).collect()
}

/// What the rows of each entry have in common. Runs of one order under the same seeds are no runs of several seeds: where
/// there are such, rows of that kin are told apart by what they met as well.
pub fn kins(rows: &[Row]) -> Vec<String> {
    let kins: Vec<String> = rows.iter().map(kinship).collect();
    let mut known: BTreeMap<(&str, String), BTreeMap<String, Value>> = BTreeMap::new();
    let mut clashing: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (row, kin) in rows.iter().zip(&kins).filter(|(row, _)| row.is_complete() && parts(&row.value).is_some()) {
        let seeds = format!("{} {}", row.text("split_id"), row.value.get("seeds").unwrap_or(&Value::Null));
        let met = met(row);
        if let Some(other) = known.get(&(kin.as_str(), seeds.clone())) {
            let paths = met.keys().chain(other.keys()).filter(|path| met.get(*path) != other.get(*path));
            clashing.entry(kin).or_default().extend(paths.cloned());
        }
        known.insert((kin, seeds), met);
    }
    let apart = |(row, kin): (&Row, &String)| match clashing.get(kin.as_str()) {
        Some(paths) if !paths.is_empty() => {
            let met = met(row);
            let told = telling(paths.iter().map(String::as_str));
            format!("{kin} {:?}", told.into_iter().map(|path| met.get(path)).collect::<Vec<_>>())
        }
        _ => kin.clone(),
    };
    rows.iter().zip(&kins).map(apart).collect()
}

/// The paths that tell rows apart: where others do, the original and the data only follow from them.
fn telling<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let (following, first): (Vec<&str>, Vec<&str>) = paths.partition(|path| ["original", "data"].contains(path));
    if first.is_empty() { following } else { first }
}

/// A name with what tells its row from rows of the same name: the options in which they differ, else anything else.
pub fn distinct_name(name: &str, own: &Row, rivals: &[&Row]) -> String {
    let differing = |of: &dyn Fn(&Row) -> BTreeMap<String, Value>| {
        let others: Vec<_> = rivals.iter().map(|row| of(row)).collect();
        let differs = |key: &String, value: &Value| others.iter().any(|other| other.get(key) != Some(value));
        let own = of(own).into_iter().filter(|(key, value)| differs(key, value));
        let said = |(key, value): (String, Value)| match key.as_str() {
            "data set" | "network" => bare(&value),
            _ => format!("{key}={}", told(Some(&value))),
        };
        own.map(said).collect::<Vec<_>>()
    };
    let plain = |row: &Row| options(row).into_iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
    let around =
        |row: &Row| row.circumstances().into_iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    let mut found = differing(&plain);
    found.extend(differing(&around));
    // These alone may leave two of them with one name.
    if rivals.iter().any(|row| options(row) == options(own) && row.circumstances() == own.circumstances()) {
        found.extend(differing(&beyond));
    }
    if rivals.iter().any(|row| kinship(row) == kinship(own)) {
        let met = differing(&met);
        let path = |told: &String| told.split('=').next().unwrap_or_default().to_string();
        let paths: Vec<String> = met.iter().map(path).collect();
        let telling = telling(paths.iter().map(String::as_str));
        found.extend(met.iter().filter(|told| telling.contains(&path(told).as_str())).cloned());
    }
    if found.is_empty() { name.into() } else { format!("{name} ({})", found.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(lr: f64, code: &str, captured: Value) -> Row {
        let code = code.repeat(32);
        Row::new(json!({
            "label": "mine", "run_id": "1", "options": { "lr": lr }, "key": format!("{lr}{code}{captured}"),
            "key_parts": { "method": { "code": code, "captured": captured }, "threads": 1 },
        }))
    }

    #[test]
    fn rows_of_one_label_are_kin_unless_something_but_the_seeds_differs() {
        let first = row(0.1, "a", json!({ "k": 1, "task": { "task": { "split": "x" } }, "seed": 1 }));
        let seeds = row(0.1, "a", json!({ "k": 1, "task": { "task": { "split": "y" } }, "seed": 2 }));
        assert_eq!(kinship(&first), kinship(&seeds));
        let others =
            [row(0.2, "a", json!({ "k": 1 })), row(0.1, "b", json!({ "k": 1 })), row(0.1, "a", json!({ "k": 2 }))];
        let all: Vec<&Row> = others.iter().collect();
        let names: Vec<_> = others
            .iter()
            .map(|row| {
                assert_ne!(kinship(row), kinship(&first));
                let rivals: Vec<&Row> = all.iter().copied().filter(|other| !std::ptr::eq(*other, row)).collect();
                distinct_name("mine", row, &rivals)
            })
            .collect();
        assert_eq!(names, ["mine (lr=0.2)", "mine (lr=0.1, code=bbbbbb…, k=1)", "mine (lr=0.1, code=aaaaaa…, k=2)"]);
    }

    #[test]
    fn one_order_on_two_machines_is_no_pair_of_seeds() {
        let on = |threads: u64, seed: u64| {
            let mut row = row(0.1, "a", json!({}));
            row.value["seeds"] = json!({ "unlearn": seed });
            row.value["key_parts"]["threads"] = json!(threads);
            row.value["key_parts"]["original"] = json!(format!("{threads}{seed}"));
            row.value["key_parts"]["seeds"] = row.value["seeds"].clone();
            row
        };
        let names = |rows: &[Row]| {
            crate::report::leaderboard::entry::group(rows).into_iter().map(|e| e.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[on(1, 0), on(2, 1)]), ["mine"], "other seeds on another machine");
        assert_eq!(names(&[on(1, 0), on(2, 1), on(2, 0)]), ["mine (threads=1)", "mine (threads=2)"]);
        assert_eq!(names(&[on(1, 0), on(1, 0)]), ["mine"], "a repetition");
    }

    #[test]
    fn keys_tell_rows_apart_and_labels_do_not() {
        let (one, other) = (row(0.1, "a", json!({})), row(0.2, "a", json!({})));
        assert!(is_again(&one, &one.clone()) && !is_again(&one, &other));
        let old = |lr: f64| Row::new(json!({ "run_id": "1", "label": "x", "options": { "lr": lr } }));
        assert!(is_again(&old(0.1), &old(0.1)) && !is_again(&old(0.1), &old(0.2)) && !is_again(&one, &old(0.1)));
        let mut unsure = one.clone();
        unsure.value["key_parts"]["unidentified"] = json!(["k"]);
        assert_eq!((identity(&unsure.value), identity(&one.value).is_some()), (None, true));
    }
}
