//! What every rendering of a leaderboard needs, computed once.

use crate::report::leaderboard::entry::{Derived, Entry};
use crate::report::leaderboard::originals::Original;
use crate::report::runs::row::Row;

/// Names of the figures that follow from a row and the others.
pub const DERIVED: [&str; 6] = ["average_gap", "accuracy_gap", "tow", "tow_mia", "speedup", "speedup_prepared"];

/// Everything a rendering needs of a board, computed once.
pub struct View {
    /// What the board is about.
    pub title: String,
    /// The originals.
    pub originals: Vec<Original>,
    /// The rows, as added.
    pub rows: Vec<Row>,
    /// What follows from each row.
    pub derived: Vec<Derived>,
    /// Rows of several seeds put together.
    pub entries: Vec<Entry>,
    /// The figures that were asked for as columns; the usual ones when `None`.
    pub columns: Option<Vec<String>>,
    /// Whom everybody's differences are told from; nobody when `None`.
    pub against: Option<String>,
}
