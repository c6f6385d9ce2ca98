//! Rows of an earlier run of a folder, seen from the run that goes on there: which it has not asked for, and why.

use crate::report::runs::difference::{Difference, describe, nearest, parts};
use serde_json::Value;
use std::collections::HashSet;

/// The field of a row that the last complete run of its folder no longer asked for.
const SUPERSEDED: &str = "superseded";

/// Whether a later run of the row's folder no longer asked for it.
pub fn is_superseded(row: &Value) -> bool {
    row.get(SUPERSEDED).and_then(Value::as_bool) == Some(true)
}

/// Marks a row as no longer asked for, or lets it count again; whether that changes it.
pub fn supersede(row: &mut Value, superseded: bool) -> bool {
    let before = is_superseded(row);
    if let Some(fields) = row.as_object_mut() {
        match superseded {
            true => drop(fields.insert(SUPERSEDED.into(), true.into())),
            false => drop(fields.remove(SUPERSEDED)),
        }
    }
    before != superseded
}

/// Whether two rows are equal but for being superseded.
pub fn same(a: &Value, b: &Value) -> bool {
    let fields =
        |row: &Value| row.as_object().map(|fields| fields.len() - usize::from(fields.contains_key(SUPERSEDED)));
    let equal = |(name, value): (&String, &Value)| name == SUPERSEDED || b.get(name) == Some(value);
    a.is_object() && fields(a) == fields(b) && a.as_object().is_some_and(|fields| fields.iter().all(equal))
}

/// Orders of this run that no earlier row stood for, and what has been said about them.
#[derive(Default)]
pub struct Missed {
    orders: Vec<Value>,
    said: HashSet<String>,
}

/// What there is to say about rows that nobody has asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// How many there are, but for those that were superseded before.
    pub count: usize,
    /// How many were.
    pub before: usize,
    /// What is asked for in their place: a sentence, and of how many it is true.
    pub reasons: Vec<(String, usize)>,
}

impl Missed {
    /// Takes note of an order that has to be run. What differs from the earlier row that was the same but for what it met,
    /// when there is one and that has not been said.
    pub fn add<'a>(&mut self, order: &Value, waiting: impl Iterator<Item = (usize, &'a Value)> + Clone) -> Vec<String> {
        self.orders.push(order.clone());
        let old = waiting.clone().filter(|(_, row)| row.get("method").is_some() && parts(row).is_none()).count();
        let drifted = drifted(waiting, order).map(|(_, found)| describe(&found));
        let label = order.get("label").and_then(Value::as_str).unwrap_or_default();
        let notes = [
            (old > 0).then(|| {
                let (rows, their) = if old == 1 { ("1 row", "its") } else { ("rows", "their") };
                let count = if old == 1 { String::new() } else { format!("{old} ") };
                let what = "was not stored (no key_parts, by an earlier version of lethe)";
                (
                    String::from("old"),
                    format!("{count}{rows} of the earlier run cannot be reused: what decided {their} figures {what}"),
                )
            }),
            drifted.map(|what| (what.clone(), format!("{label} is run again, its earlier row is out of date: {what}"))),
        ];
        notes.into_iter().flatten().filter(|(about, _)| self.said.insert(about.clone())).map(|(_, note)| note).collect()
    }

    /// What is asked for in place of rows that are left.
    pub fn instead_of<'a>(&self, left: impl Iterator<Item = &'a Value>) -> Left {
        let mut told = Left::default();
        for row in left {
            told.count += 1;
            let label = |value: &Value| value.get("label").cloned();
            let Some(own) = parts(row) else { continue };
            let orders = self.orders.iter().filter(|order| label(order) == label(own));
            let compared = orders.map(|order| super::difference::differences(own, order));
            let Some(found) = compared.min_by_key(Vec::len) else { continue };
            let reason =
                format!("{}: {}", label(own).as_ref().and_then(Value::as_str).unwrap_or_default(), describe(&found));
            match told.reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => told.reasons.push((reason, 1)),
            }
        }
        told
    }
}

/// The earlier row that was ordered in the same way but met something else.
pub fn drifted<'a>(rows: impl Iterator<Item = (usize, &'a Value)>, order: &Value) -> Option<(usize, Vec<Difference>)> {
    nearest(rows, order, |found| !found.is_empty() && !found.iter().any(Difference::is_asked))
}

/// The most reasons that are listed.
const MOST: usize = 5;

impl Left {
    /// What is said at the end of a run; `None` when nothing is left.
    pub fn describe(&self) -> Option<String> {
        let earlier = match self.before {
            0 => String::new(),
            1 => "; 1 other was superseded before".into(),
            n => format!("; {n} others were superseded before"),
        };
        let rows: String = match self.count {
            0 => return None,
            1 => "1 row of the earlier run is not used by this script any more; it is kept in results.jsonl, marked superseded, and left out of leaderboards".into(),
            n => format!("{n} rows of the earlier run are not used by this script any more; they are kept in results.jsonl, marked superseded, and left out of leaderboards"),
        };
        let times = |count: usize| if count > 1 { format!(" ({count} rows)") } else { String::new() };
        let mut reasons: Vec<_> =
            self.reasons.iter().take(MOST).map(|(reason, count)| format!("{reason}{}", times(*count))).collect();
        if self.reasons.len() > MOST {
            reasons.push(format!("and {} other changes", self.reasons.len() - MOST));
        }
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
        Some(format!("{rows}{reasons}{earlier}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(lr: f64, threads: u64) -> Value {
        json!({ "method": "m", "key_parts": { "label": "m", "options": { "lr": lr }, "threads": threads } })
    }

    #[test]
    fn marking_changes_nothing_else() {
        let mut marked = row(0.1, 1);
        assert!(supersede(&mut marked, true) && !supersede(&mut marked, true) && is_superseded(&marked));
        assert!(same(&marked, &row(0.1, 1)) && same(&row(0.1, 1), &marked) && !same(&marked, &row(0.2, 1)));
        assert!(supersede(&mut marked, false));
        assert_eq!(marked, row(0.1, 1));
    }

    #[test]
    fn what_an_order_met_is_told_at_once_and_once_what_it_asks_for_at_the_end() {
        let rows = [row(0.1, 1), row(0.2, 1), row(0.3, 1), json!({ "method": "old" })];
        let mut missed = Missed::default();
        let waiting = || rows.iter().enumerate();
        let order = |lr: f64, threads: u64| row(lr, threads)["key_parts"].clone();
        let notes = missed.add(&order(0.1, 2), waiting());
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(
            notes[0].starts_with("1 row of the earlier run cannot be reused") && notes[1].ends_with(": threads 1 -> 2")
        );
        assert!(missed.add(&order(0.2, 2), waiting()).is_empty(), "said before");
        let left = missed.instead_of(rows.iter());
        assert_eq!(left.count, 4);
        assert_eq!(left.reasons[0], ("m: threads 1 -> 2".into(), 2));
        assert!(left.reasons[1].0.contains("options.lr 0.3 -> 0."), "{left:?}");
        let told = left.describe().unwrap();
        assert!(
            told.starts_with("4 rows of the earlier run are") && told.contains("(m: threads 1 -> 2 (2 rows); m: opt")
        );
        assert!(Left { count: 1, ..Left::default() }.describe().unwrap().starts_with("1 row of the earlier run is "));
        assert_eq!(Left::default().describe(), None);
    }
}
