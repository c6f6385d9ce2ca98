//! What rows are about, as the titles of leaderboards say it.

use crate::report::runs::row::Row;
use serde_json::Value;

/// More different things than this are counted instead of named.
const MANY: usize = 4;

/// The parts of a title, each of which may be missing: data set, network, how many samples of how many, and the mode.
fn parts(row: &Value) -> [Option<String>; 4] {
    let text = |at: &str| row.pointer(at).and_then(Value::as_str).map(String::from);
    let count = |at: &str| row.pointer(at).and_then(Value::as_u64);
    let classes = row.pointer("/request/classes").filter(|value| value.as_array().is_some_and(|list| !list.is_empty()));
    let mode = text("/request/mode").map(|mode| match classes {
        Some(classes) => format!("{mode} {classes}"),
        None => mode,
    });
    let samples = count("/request/forget").zip(count("/request/train"));
    [text("/dataset"), text("/model"), samples.map(|(forget, train)| format!("{forget} of {train}")), mode]
}

/// `digits · convnet · 79 of 797 samples forgotten (classwise [3])`.
pub fn of(row: &Value) -> String {
    let part = parts(row).map(Option::into_iter).map(Iterator::collect);
    title(part)
}

/// What rows are about together: `digits · convnet · 79 of 797 samples forgotten (classwise [3]) · 3 splits`; empty when they do
/// not say.
pub fn of_all(rows: &[Row]) -> String {
    let mut found: [Vec<String>; 4] = Default::default();
    let mut splits: Vec<&str> = vec![];
    for row in rows {
        for (slot, part) in found.iter_mut().zip(parts(&row.value)) {
            slot.extend(part.filter(|part| !slot.contains(part)));
        }
        splits.extend(Some(row.text("split_id")).filter(|id| !id.is_empty() && !splits.contains(id)));
    }
    let about = title(found);
    let seed = rows.first().and_then(|row| row.value.pointer("/seeds/split")).and_then(Value::as_u64);
    match (splits.len(), seed) {
        _ if about.is_empty() => about,
        (0, _) | (1, None) => about,
        (1, Some(seed)) => format!("{about} · seed {seed}"),
        (several, _) => format!("{about} · {several} splits"),
    }
}

fn title([datasets, models, samples, modes]: [Vec<String>; 4]) -> String {
    let joined = |all: &[String], what: &str| match all.len() {
        0 => None,
        n if n > MANY => Some(format!("{n} {what}")),
        _ => Some(all.join(" or ")),
    };
    // `classwise [1] or [9]`
    let mode = |all: &[String]| {
        let named = |text: &String| text.split_once(' ').map(|(mode, classes)| (mode.to_string(), classes.to_string()));
        let split: Vec<(String, String)> = all.iter().filter_map(named).collect();
        match split.first() {
            Some((first, _)) if split.len() == all.len() && split.iter().all(|(mode, _)| mode == first) => {
                let classes: Vec<String> = split.iter().map(|(_, classes)| classes.clone()).collect();
                Some(format!("{first} {}", joined(&classes, "requests")?))
            }
            _ => joined(all, "kinds of requests"),
        }
    };
    let samples = joined(&samples, "numbers").map(|samples| format!("{samples} samples forgotten"));
    let request = match (samples, mode(&modes)) {
        (Some(samples), Some(mode)) => Some(format!("{samples} ({mode})")),
        (samples, mode) => samples.or(mode),
    };
    let all = [joined(&datasets, "data sets"), joined(&models, "networks"), request];
    all.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(dataset: &str, classes: &[i64], split: u64) -> Row {
        let mode = if classes.is_empty() { "uniform" } else { "classwise" };
        Row::new(json!({
            "dataset": dataset, "model": "convnet", "split_id": format!("s{split}"), "seeds": { "split": split },
            "request": { "mode": mode, "classes": classes, "forget": 79, "train": 797 },
        }))
    }

    #[test]
    fn titles_say_what_rows_are_about() {
        let one = row("digits", &[3], 0);
        assert_eq!(of(&one.value), "digits · convnet · 79 of 797 samples forgotten (classwise [3])");
        assert_eq!(
            of_all(std::slice::from_ref(&one)),
            "digits · convnet · 79 of 797 samples forgotten (classwise [3]) · seed 0"
        );
        let other = row("digits", &[5], 1);
        assert_eq!(
            of_all(&[one.clone(), other, one.clone()]),
            "digits · convnet · 79 of 797 samples forgotten (classwise [3] or [5]) · 2 splits"
        );
        assert_eq!(
            of_all(&[one, row("mnist", &[], 0)]),
            "digits or mnist · convnet · 79 of 797 samples forgotten (classwise [3] or uniform) · seed 0"
        );
        assert_eq!(of_all(&[Row::new(json!({ "label": "mine", "metrics": {} }))]), "");
        assert_eq!(of(&json!({ "dataset": "toy" })), "toy");
    }
}
