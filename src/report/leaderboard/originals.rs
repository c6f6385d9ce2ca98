//! The networks before unlearning: which one a row belongs to, and those that rows name, from their stored predictions.

use crate::eval::Metrics;
use crate::eval::summary_scores::adaptive_unlearning_score;
use crate::report::runs::predictions::PredictionStore;
use crate::report::runs::row::Row;
use crate::runtime::{Result, Run};
use serde_json::Value;

/// A network before any unlearning, on one split.
#[derive(Debug, Clone)]
pub struct Original {
    /// The split it was evaluated on.
    pub split_id: String,
    /// The name of its predictions; empty when there are none.
    pub predictions: String,
    /// Its metrics there.
    pub metrics: Metrics,
}

impl Original {
    /// Whether a row's network started from it: the row names its predictions, or, where one of the two names none, is of its
    /// split.
    pub fn is_of(&self, row: &Row) -> bool {
        let named = row.text("original");
        if named.is_empty() || self.predictions.is_empty() {
            return self.split_id == row.text("split_id");
        }
        self.predictions == named
    }
}

/// The original that a row names, by its predictions; `None` where these are not kept.
///
/// # Errors
/// Damaged predictions.
pub fn of_row(run: &Run, row: &Row) -> Result<Option<Original>> {
    let key = row.text("original");
    let (true, Some(parts)) = (!key.is_empty(), run.slot::<PredictionStore>().get(run, key)?) else { return Ok(None) };
    let seed = row.value.pointer("/seeds/split").and_then(Value::as_u64).unwrap_or(0);
    let mut metrics = parts.metrics(seed)?;
    let score = adaptive_unlearning_score(&metrics, &metrics);
    metrics.set("aus", score);
    Ok(Some(Original { split_id: row.text("split_id").into(), predictions: key.into(), metrics }))
}

/// Adds the originals that rows name and nobody has added. One whose predictions are damaged is a warning.
pub fn complete(run: &Run, originals: &mut Vec<Original>, rows: &[Row]) {
    let mut tried: Vec<&str> = vec![];
    for row in rows.iter().filter(|row| row.is_complete()) {
        let key = row.text("original");
        if key.is_empty() || tried.contains(&key) || originals.iter().any(|original| original.is_of(row)) {
            continue;
        }
        tried.push(key);
        match of_row(run, row) {
            Ok(found) => originals.extend(found),
            Err(error) => run.progress().warn(&format!("the original of {}: {error}", row.text("label"))),
        }
    }
}

/// What is missed where some rows have no original; `None` when all have one.
pub fn missing(originals: &[Original], rows: &[Row]) -> Option<String> {
    let judged: Vec<&Row> = rows.iter().filter(|row| row.is_complete() && row.text("method") != "retrain").collect();
    let without = judged.iter().filter(|row| !originals.iter().any(|original| original.is_of(row))).count();
    (without > 0).then(|| {
        let of = if without == judged.len() { "these results".into() } else { format!("{without} of {} results", judged.len()) };
        format!(
            "no original network for {of}: alarms for no-ops and over-unlearning cannot fire; leaderboard(task) evaluates it, \
             and results of unlearn::run name its predictions"
        )
    })
}
