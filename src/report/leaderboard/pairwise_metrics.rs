//! What the networks of a board's rows and the retrained ones of their splits say together, from stored predictions.

use crate::eval::Metrics;
use crate::report::leaderboard::entry::Figure;
use crate::report::leaderboard::originals::Original;
use crate::report::runs::predictions::PredictionStore;
use crate::report::runs::row::Row;
use crate::runtime::{Result, Run};
use std::rc::Rc;

/// Adds to every row and original the metrics that need two networks, as means over the retrained networks of its split. A
/// retrained network is compared with the others: what it shows is the floor. Those whose predictions are gone stay as they
/// are.
pub fn add(run: &Run, originals: &mut [Original], rows: &mut [Row]) {
    let seed = |split: &str| {
        let row = rows.iter().find(|row| row.text("split_id") == split);
        row.and_then(|row| row.value.pointer("/seeds/split").and_then(serde_json::Value::as_u64)).unwrap_or(0)
    };
    for original in originals {
        let found = of(run, rows, &original.predictions, &original.split_id, seed(&original.split_id));
        found.iter().for_each(|(name, value)| original.metrics.set(name, value));
    }
    let compared = |row: &Row| {
        let predictions = if row.is_complete() { row.text("predictions") } else { "" };
        of(run, rows, predictions, row.text("split_id"), seed(row.text("split_id")))
    };
    let found: Vec<Metrics> = rows.iter().map(compared).collect();
    for (row, found) in rows.iter_mut().zip(found) {
        found.iter().for_each(|(name, value)| row.metrics.set(name, value));
    }
}

fn of(run: &Run, rows: &[Row], own: &str, split: &str, seed: u64) -> Metrics {
    if own.is_empty() {
        return Metrics::default();
    }
    let others = rows.iter().filter(|other| other.is_reference() && other.text("split_id") == split);
    let others = others.map(|other| other.text("predictions")).filter(|theirs| !theirs.is_empty() && *theirs != own);
    let store = run.slot::<PredictionStore>();
    let found: Result<Vec<Option<Rc<Metrics>>>> = others.map(|theirs| store.compare(run, own, theirs, seed)).collect();
    match found {
        Ok(found) => mean(&found.into_iter().flatten().collect::<Vec<_>>()),
        // The board is worth showing without them.
        Err(error) => {
            run.progress().warn(&format!("no distances to the retrained network: {error}"));
            Metrics::default()
        }
    }
}

fn mean(found: &[Rc<Metrics>]) -> Metrics {
    let mut all = Metrics::default();
    for (name, _) in found.iter().flat_map(|metrics| metrics.iter()) {
        all.set(name, Figure::of(found.iter().map(|metrics| metrics.get(name))).mean);
    }
    all
}
