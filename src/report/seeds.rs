//! The leaderboard's second table: means with their intervals over splits and seeds, judged against retraining.

use super::columns::{DASH, Format};
use super::leaderboard::View;
use super::statistics::{Difference, LEVEL, Statistic, Subject};
use super::table::Grid;
use crate::eval::statistics::{Verdict, margin};

/// Heading, metric, format and rank (the highest go first when the terminal is narrow; 0 stays) of each column.
const COLUMNS: [(&str, &str, Format, u8); 4] = [
    ("RA %", "retain_accuracy", Format::Percent, 3),
    ("FA %", "forget_accuracy", Format::Percent, 0),
    ("TA %", "test_accuracy", Format::Percent, 2),
    ("MIA AUC", "mia_auc", Format::Auc, 0),
];

/// The rows of at least two splits or seeds; `None` where there are none.
pub(super) fn grid(view: &View) -> Option<Grid> {
    let many = view.complete().filter(|entry| entry.rows.len() > 1);
    let mut subjects: Vec<(String, String, Subject)> = many
        .map(|entry| (super::table::name(entry), super::table::retain(view, entry), Subject::Entry(entry)))
        .collect();
    if subjects.is_empty() {
        return None;
    }
    if view.originals.len() > 1 {
        let name = format!("original (n={})", view.originals.len());
        subjects.insert(0, (name, DASH.into(), Subject::Original));
    }
    let mut grid = Grid::new(["method", "retain"]);
    for (name, retain, _) in &subjects {
        grid.row([name.clone(), retain.clone()]);
    }
    for (heading, metric, format, rank) in COLUMNS {
        grid.column(heading, rank);
        for (index, (_, _, subject)) in subjects.iter().enumerate() {
            let statistic = view.statistic(*subject, metric, view.rival(), margin(metric));
            let verdict = statistic.difference.as_ref().and_then(Difference::verdict);
            grid.push(index, cell(&statistic, format, verdict), verdict == Some(Verdict::Equivalent));
        }
    }
    Some(grid)
}

/// `98.7 ±0.6  =`: the mean, half its interval, the verdict in two columns of its own.
fn cell(statistic: &Statistic, format: Format, verdict: Option<Verdict>) -> String {
    let half = statistic.own.interval(LEVEL).high - statistic.own.mean;
    let mark = match verdict {
        Some(Verdict::Equivalent) => " =",
        Some(Verdict::Different) => "!=",
        Some(Verdict::Undecided) => " ?",
        Some(Verdict::TooFew) | None => "  ",
    };
    format!("{} {mark}", format.with_spread(statistic.own.mean, half))
}

/// What the table is about, above it.
pub(super) fn heading(view: &View) -> &'static str {
    match view.has_reference() {
        true => "Over splits and seeds: mean ± half of its 95 % t-interval, against retraining on the same split",
        false => "Over splits and seeds: mean ± half of its 95 % t-interval",
    }
}

/// What the marks mean; empty where there are none.
pub(super) fn legend(view: &View) -> String {
    if !view.has_reference() {
        return String::new();
    }
    let points = 100.0 * margin("test_accuracy").unwrap_or(f64::NAN);
    let auc = margin("mia_auc").unwrap_or(f64::NAN);
    format!(
        "= equivalent to retraining: the 90 % interval of the paired differences lies within ±{points} point (AUC ±{auc}); \
         != different: not equivalent, and the 95 % interval excludes 0; ? undecided"
    )
}
