//! What two rows were made by, compared: which parts of their keys differ, in words.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Parts that an order asks for itself. All others are what it meets: texts of scripts, versions, the machine.
const ASKED: [&str; 19] = [
    "label",
    "options",
    "regularizer",
    "accelerate",
    "variant",
    "every",
    "keep",
    "budget",
    "weights",
    "data",
    "model",
    "split",
    "split_variant",
    "retain",
    "round",
    "seeds",
    "repeat",
    "method.name",
    "method.captured",
];

/// A part that differs, with what it was and is.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where it is: `options.lr`.
    pub path: String,
    old: Option<Value>,
    new: Option<Value>,
}

/// Every number and text of nested parts, by its path.
pub fn leaves(parts: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    collect(parts, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, &path, found);
            }
        }
        _ => drop(found.insert(path.into(), value.clone())),
    }
}

/// The parts in which `new` differs from `old`.
pub fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let (old, new) = (leaves(old), leaves(new));
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = paths.into_iter().filter(|path| old.get(*path) != new.get(*path));
    differing
        .map(|path| Difference { path: path.clone(), old: old.get(path).cloned(), new: new.get(path).cloned() })
        .collect()
}

impl Difference {
    /// Whether the orders themselves differ here, and not only what they met.
    pub fn is_asked(&self) -> bool {
        let below =
            |name: &str| self.path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        ASKED.iter().any(|name| below(name))
    }

    /// `options.lr 0.1 -> 0.2`, `import helper changed`.
    pub fn describe(&self) -> String {
        let named = [
            ("method.imports.", "import"),
            ("method.calls.", "function"),
            ("method.constants.", "constant"),
            ("method.captured.", "captured"),
        ];
        let name = match self.path.as_str() {
            "method.code" => "the text of the method".into(),
            path => named
                .iter()
                .find_map(|(prefix, word)| path.strip_prefix(prefix).map(|rest| format!("{word} {rest}")))
                .unwrap_or_else(|| path.to_string()),
        };
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if is_hash(old) && is_hash(new) => format!("{name} changed"),
            (Some(old), None) if is_hash(old) => format!("{name} is gone"),
            (None, Some(new)) if is_hash(new) => format!("{name} is new"),
            (old, new) => format!("{name} {} -> {}", told(old.as_ref()), told(new.as_ref())),
        }
    }
}

/// The most differences that are listed.
const MOST: usize = 4;

/// Differences in one line.
pub fn describe(differences: &[Difference]) -> String {
    let listed = differences.iter().take(MOST).map(Difference::describe).collect::<Vec<_>>().join(", ");
    match differences.len().checked_sub(MOST).filter(|more| *more > 0) {
        Some(more) => format!("{listed}, and {more} more"),
        None => listed,
    }
}

/// Whether a value is a hash of something larger.
pub fn is_hash(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        text.len() >= 16 && text.chars().all(|c| c == '+' || c.is_ascii_digit() || ('a'..='f').contains(&c))
    })
}

/// A value, shortened; of a hash its first digits.
pub fn told(value: Option<&Value>) -> String {
    let Some(value) = value else { return "none".into() };
    let text = value.as_str().map_or_else(|| value.to_string(), Into::into);
    let longest = if is_hash(value) { 6 } else { 40 };
    if text.chars().count() <= longest { text } else { text.chars().take(longest).chain(['…']).collect() }
}

/// What a row was made by; `None` of rows by earlier versions, and of those that a script made itself.
pub fn parts(row: &Value) -> Option<&Value> {
    row.get("key_parts").filter(|parts| parts.is_object())
}

/// The row among these that differs least from an order, of those that `allowed` lets through.
pub fn nearest<'a>(
    rows: impl Iterator<Item = (usize, &'a Value)>,
    new: &Value,
    allowed: impl Fn(&[Difference]) -> bool,
) -> Option<(usize, Vec<Difference>)> {
    let compared = rows.filter_map(|(at, row)| Some((at, differences(parts(row)?, new))));
    compared.filter(|(_, found)| allowed(found)).min_by_key(|(_, found)| found.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_say_what_changed_and_whether_it_was_asked_for() {
        let hash = |c: &str| c.repeat(32);
        let old = json!({
            "label": "mine", "options": { "lr": 0.1, "old": 1 }, "threads": 1,
            "method": { "code": hash("a"), "imports": { "helper": hash("b"), "std/tune": hash("c") }, "captured": { "k": 2 } },
        });
        let new = json!({
            "label": "mine", "options": { "lr": 0.2 }, "threads": 2,
            "method": { "code": hash("d"), "imports": { "helper": hash("d") }, "captured": { "k": 3 } },
        });
        let found = differences(&old, &new);
        let told: Vec<_> = found.iter().map(|found| (found.describe(), found.is_asked())).collect();
        let expected = [
            ("captured k 2 -> 3", true),
            ("the text of the method changed", false),
            ("import helper changed", false),
            ("import std/tune is gone", false),
            ("options.lr 0.1 -> 0.2", true),
            ("options.old 1 -> none", true),
            ("threads 1 -> 2", false),
        ];
        assert_eq!(told, expected.map(|(text, asked)| (text.to_string(), asked)));
        assert!(describe(&found).ends_with("and 3 more"));
        assert!(differences(&old, &old).is_empty());
    }
}
