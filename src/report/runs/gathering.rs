//! The rows of several run folders put together: each once, whatever the order of the folders.

use crate::report::runs::difference::parts;
use crate::report::runs::kinship::identity;
use crate::report::runs::row::is_complete;
use crate::report::runs::succession::is_superseded;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Rows, and what a reader has to know about them.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The rows that count, in the order of the folders.
    pub rows: Vec<Value>,
    /// What was left out or put together, with counts.
    pub remarks: Vec<String>,
}

/// A row and where it came from.
struct Found {
    folder: String,
    row: Value,
}

/// Puts together the rows of folders. Superseded ones are left out unless asked for.
pub fn gather(folders: Vec<(PathBuf, Vec<Value>)>, superseded: bool) -> Gathered {
    let several = folders.len() > 1;
    let mut remarks = vec![];
    let mut groups: Vec<(String, Vec<Found>)> = vec![];
    let (mut left, mut old) = (0, 0);
    for (folder, rows) in folders {
        for (index, row) in rows.into_iter().enumerate() {
            if is_superseded(&row) && !superseded {
                left += 1;
                continue;
            }
            old += usize::from(parts(&row).is_none());
            let folder = folder.display().to_string();
            let name = name_of(&row, &folder, index);
            let found = Found { folder, row };
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, group)) => group.push(found),
                None => groups.push((name, vec![found])),
            }
        }
    }
    let count = |n: usize, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
    if left > 0 {
        let results = count(left, "superseded result is", "superseded results are");
        remarks
            .push(format!("{results} left out: a later run of the folder did not use them (--superseded shows them)"));
    }
    if old > 0 && several {
        let results = count(old, "result does", "results do");
        remarks.push(format!(
            "{results} not say what decided them (no key_parts, by an earlier version of lethe): where two folders have the same, \
             that is told by equal figures alone"
        ));
    }
    remarks.extend(duplicates(&groups));
    Gathered { rows: groups.into_iter().filter_map(|(_, group)| best(group)).collect(), remarks }
}

/// What is the same for rows that are one result.
fn name_of(row: &Value, folder: &str, index: usize) -> String {
    if let Some(key) = identity(row) {
        return key.into();
    }
    // By an earlier version: its key did not cover everything, so the figures have to agree as well.
    match (row.get("key"), row.get("metrics").filter(|metrics| metrics.is_object())) {
        (Some(key), Some(metrics)) if parts(row).is_none() => format!("{key} {metrics}"),
        _ => format!("{folder} {index}"),
    }
}

/// The row of a group that counts: a complete one before any other, then the one whose text comes first, so that the order
/// of folders does not matter.
fn best(group: Vec<Found>) -> Option<Value> {
    group.into_iter().map(|found| found.row).min_by_key(|row| (!is_complete(row), row.to_string()))
}

/// The most duplicates that are named.
const MOST: usize = 6;

/// A sentence for every pair of folders that share results, or for a folder that has some twice.
fn duplicates(groups: &[(String, Vec<Found>)]) -> Vec<String> {
    let mut shared: BTreeMap<String, (Vec<String>, usize)> = BTreeMap::new();
    for (_, group) in groups.iter().filter(|(_, group)| group.len() > 1) {
        let mut folders: Vec<&str> = group.iter().map(|found| found.folder.as_str()).collect();
        folders.sort_unstable();
        folders.dedup();
        let complete = || group.iter().filter(|found| is_complete(&found.row));
        let Some(first) = complete().next().or(group.first()) else { continue };
        let (names, differing) = shared.entry(folders.join(" and ")).or_default();
        names.push(told(&first.row));
        let figures =
            |found: &&Found| found.row.get("metrics").is_some_and(|metrics| Some(metrics) != first.row.get("metrics"));
        *differing += usize::from(complete().any(|found| figures(&found)));
    }
    let sentence = |(folders, (mut names, differing)): (String, (Vec<String>, usize))| {
        names.sort_unstable();
        let n = names.len();
        names.truncate(MOST);
        let listed = names.join(", ");
        let more = if n > MOST { format!(" and {} more", n - MOST) } else { String::new() };
        let what = if n == 1 {
            "the same result, counted once".into()
        } else {
            format!("{n} results that are the same, counted once each")
        };
        let figures = if differing > 0 {
            format!(" (of {differing} the figures differ: the machine does not repeat itself)")
        } else {
            String::new()
        };
        let have = if folders.contains(" and ") { "both have" } else { "has twice" };
        format!("{folders} {have} {what}: {listed}{more}{figures}")
    };
    shared.into_iter().map(sentence).collect()
}

/// `finetune (split seed 0, seed 1)`.
fn told(row: &Value) -> String {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let label = if text("label").is_empty() { text("method") } else { text("label") };
    let seed = |name: &str| row.pointer(&format!("/seeds/{name}")).map_or("?".into(), Value::to_string);
    format!("{label} (split seed {}, seed {})", seed("split"), seed("unlearn"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(key: &str, status: &str, x: f64) -> Value {
        let metrics = if status == "ok" { json!({ "test_accuracy": x }) } else { Value::Null };
        json!({
            "run_id": "0001-m", "label": "m", "seeds": { "split": 0, "unlearn": 1 }, "status": status, "key": key,
            "metrics": metrics, "key_parts": { "label": "m" },
        })
    }

    fn both(a: &[Value], b: &[Value]) -> Gathered {
        let (first, second) = (("a".into(), a.to_vec()), ("b".into(), b.to_vec()));
        let there = gather(vec![first.clone(), second.clone()], false);
        let back = gather(vec![second, first], false);
        let sorted = |rows: &[Value]| {
            let mut texts: Vec<String> = rows.iter().map(Value::to_string).collect();
            texts.sort();
            texts
        };
        assert_eq!((sorted(&there.rows), &there.remarks), (sorted(&back.rows), &back.remarks));
        there
    }

    #[test]
    fn keys_tell_results_apart_and_duplicates_are_named_once() {
        let found = both(&[row("k1", "ok", 0.5), row("k2", "ok", 0.6)], &[row("k3", "ok", 0.5), row("k2", "ok", 0.6)]);
        assert_eq!(found.rows.len(), 3);
        assert_eq!(found.remarks, ["a and b both have the same result, counted once: m (split seed 0, seed 1)"]);
        let found = both(&[row("k1", "ok", 0.5)], &[row("k1", "ok", 0.6)]);
        assert!(found.rows.len() == 1 && found.remarks[0].contains("of 1 the figures differ"), "{found:?}");
    }

    #[test]
    fn a_complete_result_stands_before_a_failed_one() {
        let found = both(&[row("k", "failed", 0.0), row("l", "interrupted", 0.0)], &[row("k", "ok", 0.6)]);
        let statuses: Vec<_> = found.rows.iter().map(|row| row["status"].clone()).collect();
        assert!(statuses.len() == 2 && statuses.contains(&json!("ok")) && !statuses.contains(&json!("failed")));
    }

    #[test]
    fn results_of_earlier_versions_are_the_same_only_with_equal_figures() {
        let old = |key: &str, x: f64| {
            let mut old = row(key, "ok", x);
            old.as_object_mut().unwrap().remove("key_parts");
            old
        };
        let found = both(&[old("k", 0.5), old("l", 0.5)], &[old("k", 0.5), old("l", 0.6)]);
        assert_eq!(found.rows.len(), 3);
        assert!(found.remarks[0].starts_with("4 results do not say") && found.remarks.len() == 2, "{found:?}");
    }

    #[test]
    fn superseded_results_are_left_out_and_counted() {
        let mut gone = row("k", "ok", 0.5);
        gone["superseded"] = json!(true);
        let folder = || vec![("a".into(), vec![gone.clone(), row("l", "ok", 0.6)])];
        let found = gather(folder(), false);
        assert!(found.rows.len() == 1 && found.remarks[0].starts_with("1 superseded result is left out"), "{found:?}");
        assert_eq!(gather(folder(), true).rows.len(), 2);
    }
}
