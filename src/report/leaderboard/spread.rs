//! What stands behind ± and error bars. Decided here, from the runs of an entry, for tables, pictures and what explains them:
//! of several runs the standard deviation over them, of a single one the metric's own standard error, where it has one.

use crate::report::leaderboard::entry::{Entry, Figure};
use crate::report::leaderboard::originals::Original;
use crate::report::leaderboard::view::View;

/// What a half length beside a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// There is none.
    None,
    /// The standard error that the metric comes with.
    Error,
    /// The standard deviation over so many values.
    Deviation(usize),
}

/// A figure as it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// The value, or the mean of several.
    pub mean: f64,
    /// What stands behind ±; NaN for nothing.
    pub half: f64,
    /// What that is.
    pub spread: Spread,
    /// How many runs have a value.
    pub n: usize,
    /// How many runs have none.
    pub missing: usize,
}

impl Shown {
    /// Of the values of some runs, each with its own standard error (NaN for none).
    pub fn of(runs: impl Iterator<Item = (f64, f64)>) -> Self {
        let (known, unknown): (Vec<_>, Vec<_>) = runs.partition(|(value, _)| value.is_finite());
        let Figure { mean, spread, n, .. } = Figure::of(known.iter().map(|(value, _)| *value));
        let (half, kind) = match known.as_slice() {
            [(_, error)] if error.is_finite() => (*error, Spread::Error),
            [] | [_] => (f64::NAN, Spread::None),
            several => (spread, Spread::Deviation(several.len())),
        };
        Self { mean, half, spread: kind, n, missing: unknown.len() }
    }

    /// The figure as columns write it.
    pub fn figure(&self) -> Figure {
        let Self { mean, half, n, missing, .. } = *self;
        Figure { mean, spread: half, n, missing }
    }
}

impl View {
    /// A figure of an entry as it is shown.
    pub fn shown(&self, entry: &Entry, name: &str) -> Shown {
        let error = format!("{name}_se");
        Shown::of(entry.rows.iter().map(|row| (self.value(*row, name), self.value(*row, &error))))
    }

    /// A figure of originals as it is shown.
    pub fn shown_before(&self, originals: &[&Original], name: &str) -> Shown {
        let error = format!("{name}_se");
        Shown::of(originals.iter().map(|o| (self.before(o, name), self.before(o, &error))))
    }
}

/// What ± is among these figures: `± standard deviation over seeds (n = 3)`; empty where none of them has one.
pub fn words(shown: &[Shown]) -> String {
    let mut counts: Vec<usize> = shown
        .iter()
        .filter_map(|shown| match shown.spread {
            Spread::Deviation(n) => Some(n),
            Spread::None | Spread::Error => None,
        })
        .collect();
    counts.sort_unstable();
    let errors = shown.iter().any(|shown| shown.spread == Spread::Error);
    let over = match (counts.first(), counts.last()) {
        (Some(few), Some(many)) if few == many => format!("± standard deviation over seeds (n = {few})"),
        (Some(few), Some(many)) => format!("± standard deviation over seeds (n = {few} to {many})"),
        _ if errors => return "± standard error".into(),
        _ => return String::new(),
    };
    if errors { format!("{over}, of single runs ± standard error") } else { over }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(runs: &[(f64, f64)]) -> Shown {
        Shown::of(runs.iter().copied())
    }

    #[test]
    fn one_run_shows_its_error_and_several_their_deviation() {
        let single = of(&[(0.5, 0.02)]);
        assert_eq!((single.half, single.spread), (0.02, Spread::Error));
        assert_eq!(of(&[(0.5, f64::NAN)]).spread, Spread::None);
        let several = of(&[(0.5, 0.02), (0.6, 0.04)]);
        assert!((several.half - 0.005_f64.sqrt()).abs() < 1e-12 && several.spread == Spread::Deviation(2));
        // The one of three runs that has a value shows its own error, not the mean of all.
        let lone = of(&[(f64::NAN, 0.5), (0.5, 0.02), (f64::NAN, f64::NAN)]);
        assert_eq!((lone.mean, lone.half, lone.spread, lone.missing), (0.5, 0.02, Spread::Error, 2));
        assert_eq!((of(&[]).spread, of(&[(f64::INFINITY, 0.1)]).missing), (Spread::None, 1));
    }

    #[test]
    fn words_say_what_is_there_and_nothing_else() {
        let (one, two) = (of(&[(0.5, 0.02)]), of(&[(0.5, 0.02), (0.6, 0.02)]));
        let three = of(&[(0.5, 0.02), (0.6, 0.02), (0.7, 0.02)]);
        let bare = of(&[(0.5, f64::NAN)]);
        assert_eq!(words(&[bare]), "");
        assert_eq!(words(&[one, bare]), "± standard error");
        assert_eq!(words(&[three, three, bare]), "± standard deviation over seeds (n = 3)");
        assert_eq!(words(&[two, three]), "± standard deviation over seeds (n = 2 to 3)");
        assert_eq!(words(&[one, three]), "± standard deviation over seeds (n = 3), of single runs ± standard error");
    }
}
