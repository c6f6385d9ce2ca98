//! The leaderboard's columns: which there are, how their figures are written, which value is the best one.

use crate::eval::Direction;
use crate::eval::metric_list::direction;
use crate::report::leaderboard::entry::Figure;
use crate::report::leaderboard::view::View;

/// What stands for a figure that does not exist.
pub(crate) const DASH: &str = "–";

/// How a column reads and compares its figure.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    pub heading: &'a str,
    pub figure: &'a str,
    pub format: Format,
    pub direction: Direction,
    /// Columns of higher rank go first when the terminal is narrow; 0 stays.
    pub rank: u8,
    /// A column only where there is something to tell.
    pub optional: bool,
}

/// How a column's figures are written.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Format {
    Percent,
    Auc,
    Points,
    Share,
    Number,
    Seconds,
    Speedup,
}

/// Heading, figure, format, rank, and whether it is optional.
type Usual = (&'static str, &'static str, Format, u8, bool);

const COLUMNS: [Usual; 13] = [
    ("RA %", "retain_accuracy", Format::Percent, 0, false),
    ("FA %", "forget_accuracy", Format::Percent, 0, false),
    ("TA %", "test_accuracy", Format::Percent, 0, false),
    ("TA gone", "forgotten_test_accuracy", Format::Percent, 7, true),
    ("MIA AUC", "mia_auc", Format::Auc, 0, false),
    ("SalUn %", "mia_salun", Format::Percent, 5, false),
    ("gap", "average_gap", Format::Points, 1, false),
    ("ToW", "tow", Format::Share, 4, false),
    ("JS", "js", Format::Auc, 3, true),
    ("RMIA", "rmia_auc", Format::Auc, 6, true),
    ("seconds", "seconds.unlearn", Format::Seconds, 0, false),
    ("prep", "preparation", Format::Seconds, 2, true),
    ("speed-up", "speedup", Format::Speedup, 1, false),
];

/// The columns of a board: the usual ones, or those that were chosen.
pub(crate) fn columns(view: &View) -> Vec<Column<'_>> {
    match &view.columns {
        None => COLUMNS.iter().map(usual).collect(),
        Some(names) => names.iter().map(|name| named(name)).collect(),
    }
}

fn usual((heading, figure, format, rank, optional): &Usual) -> Column<'static> {
    Column { heading, figure, format: *format, direction: direction_of(figure), rank: *rank, optional: *optional }
}

/// The column of any figure; its heading is its name.
fn named(name: &str) -> Column<'_> {
    if let Some(known) = COLUMNS.iter().find(|(_, figure, ..)| *figure == name) {
        return Column { rank: 1, optional: false, ..usual(known) };
    }
    let format = match name {
        "average_gap" | "accuracy_gap" => Format::Points,
        "tow" | "tow_mia" => Format::Share,
        "speedup" | "speedup_prepared" => Format::Speedup,
        "preparation" => Format::Seconds,
        _ if name.starts_with("seconds.") => Format::Seconds,
        _ if name.ends_with("accuracy") || name.starts_with("mia_salun") => Format::Percent,
        _ => Format::Number,
    };
    Column { heading: name, figure: name, format, direction: direction_of(name), rank: 1, optional: false }
}

/// Whether a figure is a share between 0 and 1 that is shown in per cent.
pub fn is_share(name: &str) -> bool {
    named(name).format == Format::Percent
}

/// Which value of a figure is the best one: a metric's by the list of metrics; what a script recorded itself has none.
pub(crate) fn direction_of(figure: &str) -> Direction {
    match figure {
        "speedup" | "speedup_prepared" => Direction::Higher,
        "preparation" | "peak_memory" => Direction::Lower,
        _ if figure.starts_with("seconds.") => Direction::Lower,
        _ => direction(figure).unwrap_or(Direction::None),
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

    /// A figure, with how many of its runs it is of where some have none: `98.7 ±0.4 (2 of 3)`.
    pub(super) fn show(self, figure: Figure) -> String {
        format!("{}{}", self.number(figure), figure.counted())
    }

    fn number(self, figure: Figure) -> String {
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
