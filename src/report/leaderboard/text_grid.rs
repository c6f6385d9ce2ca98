//! A table of text: headings, cells, and how it is fitted to a width.

use crate::eval::warnings::outputs;
use crate::report::cells::{Sheet, plain};
use crate::report::leaderboard::columns::{Column, DASH, Format, columns};
use crate::report::leaderboard::entry::Entry;
use crate::report::leaderboard::spread::{Shown, words};
use crate::report::leaderboard::view::View;
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table};

/// The columns of names, before those of figures.
const NAMES: usize = 2;

/// A rendered table: headings, rows of cells, and which cells are the best of their column.
pub(super) struct Grid {
    pub(super) headings: Vec<String>,
    /// Which end of each column is better, as an arrow; empty where neither is.
    arrows: Vec<&'static str>,
    /// Rank of each column, 0 for those that always stay.
    ranks: Vec<u8>,
    cells: Vec<Vec<String>>,
    pub(super) best: Vec<Vec<bool>>,
    /// The figures of each column that show a ±.
    spreads: Vec<Vec<Shown>>,
}

impl Grid {
    /// A table whose first columns, of names, stay in any width.
    pub(super) fn new(names: [&str; 2]) -> Self {
        let headings = names.map(String::from).to_vec();
        let spreads = vec![vec![], vec![]];
        Self { headings, arrows: vec!["", ""], ranks: vec![0, 0], cells: vec![], best: vec![], spreads }
    }

    /// A row, so far with its names alone.
    pub(super) fn row(&mut self, names: [String; 2]) {
        self.cells.push(names.to_vec());
        self.best.push(vec![false; 2]);
    }

    /// A column to be filled from the first row to the last.
    pub(super) fn column(&mut self, heading: &str, rank: u8) {
        self.headings.push(heading.into());
        self.arrows.push("");
        self.ranks.push(rank);
        self.spreads.push(vec![]);
    }

    pub(super) fn of(view: &View) -> Self {
        let mut grid = Self::new(["method", "retain"]);
        view.before_by_subject().into_iter().for_each(|(name, _)| grid.row([name, DASH.into()]));
        view.entries.iter().for_each(|entry| grid.row([name(entry), retain(view, entry)]));
        for column in columns(view) {
            grid.add(view, &column);
        }
        grid
    }

    fn add(&mut self, view: &View, column: &Column) {
        let offset = self.cells.len() - view.entries.len();
        let figures: Vec<Shown> = view.entries.iter().map(|entry| view.shown(entry, column.figure)).collect();
        let before: Vec<Shown> =
            view.before_by_subject().iter().map(|(_, group)| view.shown_before(group, column.figure)).collect();
        let exists = |figure: &Shown| !figure.mean.is_nan();
        if column.optional && !figures.iter().chain(&before).any(exists) {
            return;
        }
        self.column(column.heading, column.rank);
        if let Some(arrow) = self.arrows.last_mut() {
            *arrow = column.direction.arrow();
        }
        for (index, figure) in before.into_iter().enumerate() {
            let text = self.told(column, figure);
            self.push(index, text, false);
        }
        let best = best_of(view, column, &figures);
        for (index, (entry, figure)) in view.entries.iter().zip(&figures).enumerate() {
            let mut text = self.told(column, *figure);
            let prepared = view.figure(entry, "speedup_prepared").mean;
            if column.format == Format::Speedup && !prepared.is_nan() && !figure.mean.is_nan() {
                text = format!("{text} ({})", Format::Speedup.plain(prepared));
            }
            self.push(index + offset, text, best.get(index) == Some(&true));
        }
    }

    /// A figure of the last column as text.
    fn told(&mut self, column: &Column, shown: Shown) -> String {
        if let Some(spreads) = self.spreads.last_mut().filter(|_| column.format != Format::Speedup) {
            spreads.push(shown);
        }
        column.format.show(shown.figure())
    }

    /// What ± is in the columns that the table has; empty without any.
    pub(super) fn legend(&self) -> String {
        words(&self.spreads.concat())
    }

    /// The next cell of a row.
    pub(super) fn push(&mut self, row: usize, text: String, best: bool) {
        if let (Some(cells), Some(marks)) = (self.cells.get_mut(row), self.best.get_mut(row)) {
            cells.push(text);
            marks.push(best);
        }
    }

    /// Leaves out columns, least important first, until the table fits; returns what was left out. Without a width everything
    /// stays.
    pub(super) fn fit(&mut self, width: Option<usize>) -> Vec<String> {
        let mut hidden = vec![];
        let Some(width) = width else { return hidden };
        while self.width() > width {
            let ranked = (0..self.ranks.len()).filter(|i| self.ranks[*i] > 0).max_by_key(|i| self.ranks[*i]);
            // Of those that are to stay the last ones go, the names and one figure never.
            let Some(index) = ranked.or_else(|| (NAMES + 1..self.ranks.len()).last()) else { break };
            // The columns that matter most are shortened first: a speed-up can do without its bracket.
            if self.ranks[index] == 1 && self.shorten() {
                hidden.push("speed-up with preparation".into());
                continue;
            }
            hidden.push(self.headings.remove(index));
            self.arrows.remove(index);
            self.ranks.remove(index);
            self.spreads.remove(index);
            self.cells.iter_mut().for_each(|row| drop(row.remove(index)));
            self.best.iter_mut().for_each(|row| {
                row.remove(index);
            });
        }
        hidden
    }

    /// Whether anything stands in brackets behind the speed-ups.
    pub(super) fn has_brackets(&self) -> bool {
        self.cells.iter().filter_map(|row| row.last()).any(|cell| cell.contains("x ("))
    }

    /// Drops what stands in brackets behind the speed-ups; false when nothing did.
    fn shorten(&mut self) -> bool {
        let mut shortened = false;
        for cell in self.cells.iter_mut().filter_map(|row| row.last_mut()) {
            if let Some(cut) = cell.find("x (") {
                cell.truncate(cut + 1);
                shortened = true;
            }
        }
        shortened
    }

    fn width(&self) -> usize {
        let table = self.table(false);
        table.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0)
    }

    pub(super) fn lines(&self, colored: bool) -> Vec<String> {
        self.table(colored).lines().map(|line| line.trim_end().to_string()).collect()
    }

    /// The table in Markdown, with arrows in the headings, the best cells in bold where wanted.
    pub(super) fn markdown(&self, bold: bool) -> Vec<String> {
        let trimmed = |cells: &Vec<String>| cells.iter().map(|cell| cell.trim().to_string()).collect();
        let headings = self.headings.iter().zip(&self.arrows);
        let headings = headings.map(|(heading, arrow)| format!("{heading} {arrow}").trim().to_string()).collect();
        let right = (0..self.headings.len()).map(|index| index >= 2).collect();
        let bold = if bold { self.best.clone() } else { vec![] };
        Sheet { headings, right, rows: self.cells.iter().map(trimmed).collect(), bold }.markdown()
    }

    fn table(&self, colored: bool) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        if colored {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        let dim =
            |text: &String| if colored { Cell::new(text).add_attribute(Attribute::Bold) } else { Cell::new(text) };
        table.set_header(self.headings.iter().map(|text| dim(&plain(text))));
        for (cells, best) in self.cells.iter().zip(&self.best) {
            table.add_row(cells.iter().zip(best).map(|(text, best)| {
                let cell = Cell::new(plain(text));
                if colored && *best { cell.fg(Color::Green).add_attribute(Attribute::Bold) } else { cell }
            }));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            column.set_cell_alignment(if index < 2 { CellAlignment::Left } else { CellAlignment::Right });
        }
        table
    }
}

/// `acf (n=3)`.
pub(super) fn name(entry: &Entry) -> String {
    if entry.rows.len() > 1 { format!("{} (n={})", entry.name, entry.rows.len()) } else { entry.name.clone() }
}

/// `full 638`, `blend 410 (64 %)`.
pub(super) fn retain(view: &View, entry: &Entry) -> String {
    let Some(row) = view.first(entry) else { return DASH.into() };
    let size = row.retain("size").as_f64().map_or(String::new(), |size| format!(" {size}"));
    let ratio = row.retain("ratio").as_f64().filter(|_| !row.is_full());
    format!("{}{size}{}", row.kind(), ratio.map_or(String::new(), |ratio| format!(" ({:.0} %)", 100.0 * ratio)))
}

/// Which entries have the best mean of a column among the methods (the retrained network is what they are measured by). Nobody
/// is the best of fewer than two, nor where all are equal; a mean that lacks some of its runs is not compared, and a network with
/// broken outputs or one that has collapsed is not either, however well it hides and however fast that went.
fn best_of(view: &View, column: &Column, figures: &[Shown]) -> Vec<bool> {
    let ideal = view.retrained(column.figure);
    let worth = |(entry, figure): (&Entry, &Shown)| {
        let rows = || entry.rows.iter().filter_map(|index| view.rows.get(*index));
        let method = rows().all(|row| !row.is_reference() && outputs(&row.metrics).is_empty());
        if method && figure.missing == 0 { column.direction.worth(figure.mean, ideal) } else { f64::NAN }
    };
    let worths: Vec<f64> = view.entries.iter().zip(figures).map(worth).collect();
    let known = || worths.iter().copied().filter(|x| !x.is_nan());
    let (most, least) = (known().fold(f64::NEG_INFINITY, f64::max), known().fold(f64::INFINITY, f64::min));
    worths.iter().map(|x| *x == most && most > least).collect()
}
