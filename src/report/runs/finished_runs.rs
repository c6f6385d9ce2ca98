//! The leaderboards of runs that have ended, from their folders: every metric read off the stored predictions again.

use crate::eval::Metrics;
use crate::eval::summary_scores::adaptive_unlearning_score;
use crate::report::Leaderboard;
use crate::report::leaderboard::originals::Original;
use crate::report::leaderboard::{about, originals};
use crate::report::runs::gathering::gather;
use crate::report::runs::predictions::PredictionStore;
use crate::report::runs::results;
use crate::report::runs::row::Row;
use crate::runtime::{Error, Result, Run};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The boards of these run folders, one for each data set, network and kind of request, in order of appearance.
///
/// Metrics of one network are computed anew where its predictions are there, so that those which did not exist when the run
/// was made are told as well; the recorded ones stay where they are not, with a warning. A result that several folders have
/// counts once; those that a later run of their folder no longer asked for count only when `superseded`.
///
/// # Errors
/// A folder that is no run's; results that cannot be read or are none of methods.
pub fn boards(run: &Run, folders: &[PathBuf], superseded: bool) -> Result<Vec<Leaderboard>> {
    let mut found = vec![];
    for folder in distinct(run, folders) {
        found.push((folder.clone(), rows(run, folder)?));
        run.slot::<PredictionStore>().open(folder);
    }
    let gathered = gather(found, superseded);
    gathered.remarks.iter().for_each(|remark| run.progress().warn(remark));
    let mut boards: Vec<(String, Vec<Value>)> = vec![];
    for row in gathered.rows {
        let about = about::of(&row);
        match boards.iter_mut().find(|(known, _)| *known == about) {
            Some((_, rows)) => rows.push(row),
            None => boards.push((about, vec![row])),
        }
    }
    if boards.is_empty() {
        let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        return Err(Error::new("report", format!("no results of methods in {}", names.join(", ")))
            .hint("results are what unlearn::run leaves; rows written by record(..) are not ranked"));
    }
    let mut gone = 0;
    let boards = boards.into_iter().map(|(about, rows)| board(run, &about, rows, &mut gone)).collect();
    if gone > 0 {
        run.progress().warn(&format!("{gone} results have no stored predictions: their recorded metrics are shown"));
    }
    boards
}

/// Each folder once, by whatever path it is given.
fn distinct<'a>(run: &Run, folders: &'a [PathBuf]) -> Vec<&'a PathBuf> {
    let mut seen = vec![];
    let mut distinct = vec![];
    for folder in folders {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        if seen.contains(&real) {
            run.progress().warn(&format!("{} is given more than once: it is read once", folder.display()));
        } else {
            seen.push(real);
            distinct.push(folder);
        }
    }
    distinct
}

/// The rows of methods in a run folder. Damaged lines are told, and the others read.
fn rows(run: &Run, folder: &Path) -> Result<Vec<Value>> {
    let file = folder.join(results::NAME);
    if !file.is_file() {
        let message = format!("{} is no run folder: it has no results.jsonl", folder.display());
        return Err(Error::new("report", message).hint("lethe run names the folder of its results at the end"));
    }
    let found = results::read(&file)?;
    let damage = found.damage().map(|damage| format!("{}: {damage}", file.display()));
    for told in damage.into_iter().chain(found.remark()) {
        run.progress().warn(&format!("{told}; the other rows are shown"));
    }
    Ok(found.rows.into_iter().filter(|row| row.get("method").is_some() && row.get("split_id").is_some()).collect())
}

fn board(run: &Run, about: &str, rows: Vec<Value>, gone: &mut usize) -> Result<Leaderboard> {
    let mut splits: Vec<Original> = vec![];
    let rows: Result<Vec<Row>> = rows.into_iter().map(|row| anew(run, Row::new(row), &mut splits, gone)).collect();
    let rows = rows?;
    let mut ids: Vec<&str> = rows.iter().map(|row| row.text("split_id")).collect();
    ids.sort_unstable();
    ids.dedup();
    let title = if ids.len() > 1 { format!("{about} · {} splits", ids.len()) } else { about.into() };
    let board = Leaderboard::new(run, title);
    splits.into_iter().for_each(|o| board.add_original(&o.split_id, &o.predictions, o.metrics));
    rows.into_iter().for_each(|row| board.push(row.value));
    Ok(board)
}

/// The row with the metrics that its predictions give; its original is added when it is new.
fn anew(run: &Run, mut row: Row, splits: &mut Vec<Original>, gone: &mut usize) -> Result<Row> {
    if !row.is_complete() {
        return Ok(row);
    }
    originals::complete(run, splits, std::slice::from_ref(&row));
    let Some(found) = metrics(run, &row) else {
        *gone += 1;
        return Ok(row);
    };
    let mut all = row.metrics.clone();
    found.iter().for_each(|(name, value)| all.set(name, value));
    (all.per_class, all.loss_histogram, all.basis) = (found.per_class, found.loss_histogram, found.basis);
    if let Some(original) = splits.iter().find(|known| known.is_of(&row)) {
        all.set("aus", adaptive_unlearning_score(&original.metrics, &all));
    }
    if let Some(fields) = row.value.as_object_mut() {
        fields.insert("metrics".into(), all.to_json());
    }
    Ok(row)
}

/// What the predictions that a row names say; `None` where they are not there or damaged, which is worth a warning.
fn metrics(run: &Run, row: &Row) -> Option<Metrics> {
    let key = row.text("predictions");
    let seed = row.value.pointer("/seeds/split").and_then(Value::as_u64).unwrap_or(0);
    if key.is_empty() {
        return None;
    }
    let found = run.slot::<PredictionStore>().get(run, key);
    match found.and_then(|parts| parts.map(|parts| parts.metrics(seed)).transpose()) {
        Ok(found) => found,
        Err(error) => {
            run.progress().warn(&format!("predictions of {}: {error}", row.text("label")));
            None
        }
    }
}
