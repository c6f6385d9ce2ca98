//! The leaderboard's further tables: means with their intervals over splits and seeds, judged against retraining, and the
//! differences from an entry of one's choice.

use crate::eval::statistics::{Verdict, margin};
use crate::report::leaderboard::columns::{DASH, Format, columns};
use crate::report::leaderboard::entry::counted;
use crate::report::leaderboard::seed_statistics::{Difference, EQUIVALENCE, LEVEL, Statistic, Subject};
use crate::report::leaderboard::text_grid::Grid;
use crate::report::leaderboard::view::View;

/// Heading, metric, format and rank (the highest go first when the terminal is narrow; 0 stays) of each column.
const COLUMNS: [(&str, &str, Format, u8); 4] = [
    ("RA %", "retain_accuracy", Format::Percent, 3),
    ("FA %", "forget_accuracy", Format::Percent, 0),
    ("TA %", "test_accuracy", Format::Percent, 2),
    ("MIA AUC", "mia_auc", Format::Auc, 0),
];

/// The rows of at least two splits or seeds; `None` where there are none.
fn grid(view: &View) -> Option<Grid> {
    let many = view.complete().filter(|entry| entry.rows.len() > 1);
    let mut subjects: Vec<(String, String, Subject)> = many
        .map(|entry| (super::text_grid::name(entry), super::text_grid::retain(view, entry), Subject::Entry(entry)))
        .collect();
    if subjects.is_empty() {
        return None;
    }
    if view.originals.len() > 1 && view.before_by_subject().len() == 1 {
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
    let mut known = counted(statistic.own.n, statistic.own.missing);
    if let (true, Some(difference)) = (known.is_empty(), &statistic.difference) {
        // The retrained network's value is what is missing.
        known = counted(difference.sample.n, difference.sample.missing).replace(')', " pairs)");
    }
    format!("{}{known} {}", format.with_spread(statistic.own.mean, half), mark(verdict))
}

/// A verdict in two columns.
fn mark(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Equivalent) => " =",
        Some(Verdict::Different) => "!=",
        Some(Verdict::Undecided) => " ?",
        Some(Verdict::TooFew) | None => "  ",
    }
}

/// A table with what it is about, above it, and what its marks mean, below; the latter may be empty.
pub(super) struct Told {
    pub heading: String,
    pub grid: Grid,
    pub legend: String,
}

/// The tables that follow the leaderboard's own.
pub(super) fn tables(view: &View) -> Vec<Told> {
    let over = grid(view).map(|grid| Told { heading: heading(view).into(), grid, legend: legend(view) });
    over.into_iter().chain(differences(view)).collect()
}

/// How every entry differs from the one that the board measures against, in the figures of the board's columns; `None` where
/// it measures against none.
fn differences(view: &View) -> Option<Told> {
    let (against, rival) = view.baseline()?;
    let original = (!view.originals.is_empty()).then_some(Subject::Original);
    let others = original.into_iter().chain(view.complete().map(Subject::Entry));
    let others: Vec<Subject> = others.filter(|subject| !view.same_rows(*subject, rival)).collect();
    let mut grid = Grid::new(["method", "retain"]);
    for subject in &others {
        grid.row(match subject {
            Subject::Entry(entry) => [super::text_grid::name(entry), super::text_grid::retain(view, entry)],
            Subject::Original | Subject::Retrained => ["original".into(), DASH.into()],
        });
    }
    // Ratios are not told as differences.
    for column in columns(view).into_iter().filter(|column| column.format != Format::Speedup) {
        let margin = margin(column.figure);
        let found: Vec<Statistic> = others
            .iter()
            .map(|subject| view.statistic(*subject, column.figure, Some((against, rival)), margin))
            .collect();
        let found: Vec<Difference> = found.into_iter().filter_map(|statistic| statistic.difference).collect();
        if found.iter().all(|difference| difference.sample.n == 0) {
            continue;
        }
        grid.column(column.heading, column.rank);
        for (index, difference) in found.iter().enumerate() {
            let verdict = difference.verdict();
            grid.push(index, apart(difference, column.format, verdict), verdict == Some(Verdict::Equivalent));
        }
    }
    let heading =
        format!("Differences from {against}: mean over pairs of equal split and seeds ± 90 % confidence interval");
    let legend = "= equivalent: that interval lies within the usual margin (see equivalence); != different: not equivalent, and \
                  the 95 % interval excludes 0; ? undecided; no mark: fewer than two pairs, or no usual margin";
    Some(Told { heading, grid, legend: legend.into() })
}

/// `+1.2 ±0.4 !=`; of a single pair the difference alone.
fn apart(difference: &Difference, format: Format, verdict: Option<Verdict>) -> String {
    let sample = &difference.sample;
    if sample.mean.is_nan() {
        return format!("{DASH}   ");
    }
    let sign = if sample.mean < 0.0 { "-" } else { "+" };
    let half = sample.interval(EQUIVALENCE).high - sample.mean;
    let size = sample.mean.abs();
    let text = if half.is_nan() { format.plain(size) } else { format.with_spread(size, half) };
    format!("{sign}{text}{} {}", counted(sample.n, sample.missing), mark(verdict))
}

/// What the table is about, above it.
fn heading(view: &View) -> &'static str {
    match view.has_reference() {
        true => {
            "Over splits and seeds: mean ± 95 % confidence interval; verdicts compare with retraining on the same split"
        }
        false => "Over splits and seeds: mean ± 95 % confidence interval",
    }
}

/// What the marks mean; empty where there are none.
fn legend(view: &View) -> String {
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
