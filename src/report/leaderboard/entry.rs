//! Entries of the leaderboard: rows of several seeds put together, figures and what follows from them.

use crate::eval::Metrics;
use crate::eval::retrained::gaps::{Gaps, gaps};
use crate::eval::statistics::Sample;
use crate::report::runs::kinship;
use crate::report::runs::row::Row;

/// A mean over seeds, with the standard deviation where there are several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// The standard deviation; NaN for a single value.
    pub spread: f64,
    /// How many values these are of.
    pub n: usize,
    /// How many more there would be, had they a finite value.
    pub missing: usize,
}

impl Figure {
    /// Of the finite values among these.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let Sample { n, missing, mean, sd } = Sample::of(values);
        Self { mean, spread: sd, n, missing }
    }

    /// ` (2 of 3)` where some of the values are missing; empty where all or none are.
    pub fn counted(&self) -> String {
        counted(self.n, self.missing)
    }
}

/// ` (2 of 3)` where some values of so many are missing; empty where all or none are.
pub(super) fn counted(n: usize, missing: usize) -> String {
    if n > 0 && missing > 0 { format!(" ({n} of {})", n + missing) } else { String::new() }
}

/// Rows of one label under different seeds.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the table calls it.
    pub name: String,
    /// Positions of its rows.
    pub rows: Vec<usize>,
    /// Its look in pictures, see `marks`.
    pub look: usize,
}

/// Puts rows of several seeds together, in the order of their first. Equal labels of different things are told apart by the
/// options they differ in.
pub fn group(rows: &[Row]) -> Vec<Entry> {
    let mut entries: Vec<(String, Entry)> = vec![];
    let kins = kinship::kins(rows);
    for (index, (row, kin)) in rows.iter().zip(kins).enumerate() {
        // A failed run has no figures to average.
        let key = if row.is_complete() { kin } else { format!("{kin} failed") };
        match entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, entry)) => entry.rows.push(index),
            None => {
                let label = if row.text("label").is_empty() { row.text("method") } else { row.text("label") };
                entries.push((key, Entry { name: label.to_string(), rows: vec![index], look: 0 }));
            }
        }
    }
    let mut entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
    let names: Vec<String> = entries.iter().map(|entry| distinct_name(entry, &entries, rows)).collect();
    entries.iter_mut().zip(names).for_each(|(entry, name)| entry.name = name);
    entries
}

/// The entry's label, with what it differs in from entries of the same label and retain set.
fn distinct_name(entry: &Entry, all: &[Entry], rows: &[Row]) -> String {
    let first = |entry: &Entry| entry.rows.first().and_then(|i| rows.get(*i));
    let Some(own) = first(entry) else { return entry.name.clone() };
    let rivals = all.iter().filter(|other| other.name == entry.name && other.rows != entry.rows).filter_map(first);
    let rivals: Vec<&Row> = rivals.filter(|row| row.kind() == own.kind() && row.is_complete()).collect();
    kinship::distinct_name(&entry.name, own, &rivals)
}

/// The retrained network's metrics on a split: the mean over its seeds.
pub fn reference(rows: &[Row], split_id: &str) -> Option<Metrics> {
    let same: Vec<&Row> = rows.iter().filter(|row| row.is_reference() && row.text("split_id") == split_id).collect();
    mean_of(&same)
}

/// The retrained networks that a row is measured against: those of its split, of a retrained network the others when there
/// are any.
pub fn references<'a>(rows: &'a [Row], row: &Row) -> Vec<&'a Row> {
    let split = row.text("split_id");
    let same: Vec<&Row> = rows.iter().filter(|other| other.is_reference() && other.text("split_id") == split).collect();
    let others: Vec<&Row> = same.iter().copied().filter(|other| !std::ptr::eq(*other, row)).collect();
    if row.is_reference() && !others.is_empty() { others } else { same }
}

fn mean_of(same: &[&Row]) -> Option<Metrics> {
    let mut mean = same.first()?.metrics.clone();
    let names: Vec<String> = mean.iter().map(|(name, _)| name.to_string()).collect();
    for name in names {
        mean.set(&name, Figure::of(same.iter().map(|row| row.metrics.get(&name))).mean);
    }
    Some(mean)
}

/// Figures that follow from a row and the other rows of the board.
#[derive(Debug, Clone, Copy)]
pub struct Derived {
    /// Gaps to retraining; NaN without it.
    pub gaps: Gaps,
    /// Retraining's seconds over the method's.
    pub speedup: f64,
    /// The same with the preparation of the retain set counted in full.
    pub speedup_prepared: f64,
}

impl Derived {
    /// For a row among these.
    pub fn of(rows: &[Row], row: &Row) -> Self {
        let split = row.text("split_id");
        let retrained = mean_of(&references(rows, row));
        let gaps = retrained.map_or(Gaps::UNKNOWN, |retrained| gaps(&row.metrics, &retrained));
        let same = rows.iter().filter(|other| other.is_reference() && other.text("split_id") == split);
        let retrain = Figure::of(same.map(|row| row.seconds("unlearn")).filter(|s| *s > 0.0)).mean;
        let (own, prepared) = (row.seconds("unlearn"), row.preparation());
        let prepared = if prepared.is_nan() { f64::NAN } else { retrain / (own + prepared) };
        Self { gaps, speedup: retrain / own, speedup_prepared: prepared }
    }
}

/// What clustering and condensing cost against what they save, for every reduced entry whose method also ran on the full set.
pub fn break_even(rows: &[Row], entries: &[Entry]) -> Vec<String> {
    let mut lines = vec![];
    for entry in entries {
        let own: Vec<&Row> = entry.rows.iter().filter_map(|i| rows.get(*i)).filter(|row| row.is_complete()).collect();
        let Some(first) = own.first().filter(|row| row.preparation().is_finite()) else { continue };
        let full =
            rows.iter().filter(|r| r.is_full() && r.is_complete() && own.iter().any(|o| o.sibling() == r.sibling()));
        let before = Figure::of(full.map(|row| row.seconds("unlearn"))).mean;
        let after = Figure::of(own.iter().map(|row| row.seconds("unlearn"))).mean;
        let spent = Figure::of(own.iter().map(|row| row.preparation())).mean;
        let saved = before - after;
        let seconds = super::columns::seconds;
        if saved.is_nan() {
            continue;
        }
        lines.push(if saved > 0.0 {
            let runs = (spent / saved).ceil();
            let (spent, saved) = (seconds(spent), seconds(saved));
            let times = if runs == 1.0 { "the first run".into() } else { format!("{runs} runs") };
            format!(
                "{} on {}: {spent} s to prepare, {saved} s saved a run; pays off after {times}",
                entry.name,
                first.kind()
            )
        } else {
            let (spent, before, after) = (seconds(spent), seconds(before), seconds(after));
            format!(
                "{} on {}: {spent} s to prepare and nothing saved ({after} s against {before} s)",
                entry.name,
                first.kind()
            )
        });
    }
    lines
}
