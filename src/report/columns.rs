//! The leaderboard's columns: which there are, how their figures are written, which value is the best one.

use super::entry::Figure;
use super::leaderboard::View;
use crate::eval::listing::list;

/// What stands for a figure that does not exist.
pub(super) const DASH: &str = "–";

/// How a column reads and compares its figure.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    pub heading: &'a str,
    pub figure: &'a str,
    pub format: Format,
    pub best: Best,
    /// Columns of higher rank go first when the terminal is narrow; 0 stays.
    pub rank: u8,
    /// A column only where there is something to tell.
    pub optional: bool,
}

/// How a column's figures are written.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Format {
    Percent,
    Auc,
    Points,
    Share,
    Number,
    Seconds,
    Speedup,
}

/// Which value of a column is the best one.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Best {
    Highest,
    Lowest,
    /// Nearest to the retrained network's.
    Retrained,
    Untold,
}

const fn usual(heading: &'static str, figure: &'static str, format: Format, best: Best, rank: u8) -> Column<'static> {
    Column { heading, figure, format, best, rank, optional: false }
}

const fn optional(
    heading: &'static str,
    figure: &'static str,
    format: Format,
    best: Best,
    rank: u8,
) -> Column<'static> {
    Column { heading, figure, format, best, rank, optional: true }
}

const COLUMNS: [Column; 13] = [
    usual("RA %", "retain_accuracy", Format::Percent, Best::Highest, 0),
    usual("FA %", "forget_accuracy", Format::Percent, Best::Retrained, 0),
    usual("TA %", "test_accuracy", Format::Percent, Best::Highest, 0),
    optional("TA gone", "forgotten_test_accuracy", Format::Percent, Best::Untold, 7),
    usual("MIA AUC", "mia_auc", Format::Auc, Best::Retrained, 0),
    usual("SalUn %", "mia_salun", Format::Percent, Best::Retrained, 5),
    usual("gap", "average_gap", Format::Points, Best::Lowest, 1),
    usual("ToW", "tow", Format::Share, Best::Highest, 4),
    optional("JS", "js", Format::Auc, Best::Lowest, 3),
    optional("RMIA", "rmia_auc", Format::Auc, Best::Retrained, 6),
    usual("seconds", "seconds.unlearn", Format::Seconds, Best::Lowest, 0),
    optional("prep", "preparation", Format::Seconds, Best::Untold, 2),
    usual("speed-up", "speedup", Format::Speedup, Best::Highest, 1),
];

/// The columns of a board: the usual ones, or those that were chosen.
pub(super) fn columns(view: &View) -> Vec<Column<'_>> {
    match &view.columns {
        None => COLUMNS.to_vec(),
        Some(names) => names.iter().map(|name| named(name)).collect(),
    }
}

/// The column of any figure; its heading is its name.
fn named(name: &str) -> Column<'_> {
    if let Some(usual) = COLUMNS.iter().find(|column| column.figure == name) {
        return Column { rank: 1, optional: false, ..*usual };
    }
    let (format, best) = match name {
        "average_gap" | "accuracy_gap" => (Format::Points, Best::Lowest),
        "tow" | "tow_mia" => (Format::Share, Best::Highest),
        "speedup" | "speedup_prepared" => (Format::Speedup, Best::Highest),
        "preparation" => (Format::Seconds, Best::Lowest),
        _ if name.starts_with("seconds.") => (Format::Seconds, Best::Lowest),
        _ if name.ends_with("accuracy") || name.starts_with("mia_salun") => (Format::Percent, direction(name)),
        _ => (Format::Number, direction(name)),
    };
    Column { heading: name, figure: name, format, best, rank: 1, optional: false }
}

/// Whether a figure is a share between 0 and 1 that is shown in per cent.
pub fn is_share(name: &str) -> bool {
    named(name).format == Format::Percent
}

/// Which way is better, as the list of metrics says.
fn direction(name: &str) -> Best {
    let known = list().into_iter().find(|metric| metric.name == name);
    match known.map_or("", |metric| metric.direction) {
        way if way.starts_with("higher") || way.starts_with("1 is best") => Best::Highest,
        way if way.starts_with("lower") || way.starts_with("0 is best") => Best::Lowest,
        way if way.contains("retrained") => Best::Retrained,
        _ => Best::Untold,
    }
}

/// Seconds with about three significant digits.
pub fn seconds(x: f64) -> String {
    if x.is_nan() {
        DASH.into()
    } else if x < 0.0995 {
        format!("{x:.3}")
    } else if x < 9.995 {
        format!("{x:.2}")
    } else if x < 99.95 {
        format!("{x:.1}")
    } else {
        format!("{x:.0}")
    }
}

impl Format {
    pub(super) fn plain(self, x: f64) -> String {
        match self {
            _ if x.is_nan() => DASH.into(),
            Self::Percent => format!("{:.1}", 100.0 * x),
            Self::Auc => format!("{x:.3}"),
            Self::Points => format!("{x:.1}"),
            Self::Share => format!("{x:.2}"),
            Self::Number if x.abs() >= 1e3 => format!("{x:.4e}"),
            Self::Number => format!("{x:.3}"),
            Self::Seconds => seconds(x),
            Self::Speedup if x < 9.95 => format!("{x:.1}x"),
            Self::Speedup => format!("{x:.0}x"),
        }
    }

    pub(super) fn show(self, figure: Figure) -> String {
        if figure.spread.is_nan() || matches!(self, Self::Speedup) {
            return self.plain(figure.mean);
        }
        self.with_spread(figure.mean, figure.spread)
    }

    /// `98.7 ±0.4`, with a dash for what does not exist.
    pub(super) fn with_spread(self, x: f64, spread: f64) -> String {
        let (text, spread) = (self.plain(x), self.plain(spread));
        // `.025` instead of `0.025` saves the column's width.
        let spread =
            if self == Self::Auc || self == Self::Share { spread.trim_start_matches('0').into() } else { spread };
        format!("{text} ±{spread}")
    }
}
