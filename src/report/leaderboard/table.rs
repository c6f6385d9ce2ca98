//! The leaderboard as a table: for the terminal and as Markdown.

use crate::report::cells::{markdown as escaped, plain};
use crate::report::leaderboard::text_grid::Grid;
use crate::report::leaderboard::view::View;
use crate::report::leaderboard::{legend, seed_tables};
use crate::report::screen;
use crate::report::screen::{PROSE, wrapped};
use std::io::IsTerminal;

/// Whether standard output shows colours; `--color` speaks through the two variables.
fn colored() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    set("CLICOLOR_FORCE") || (std::io::stdout().is_terminal() && !set("NO_COLOR"))
}

/// The board for a terminal.
pub fn terminal(view: &View) -> String {
    render(view, screen::width(), colored())
}

/// Several boards for a terminal: what their columns are is said once, below the last.
pub fn terminals(views: &[View]) -> String {
    let (width, colored) = (screen::width(), colored());
    let mut columns = Explained::default();
    let mut blocks = vec![];
    for view in views {
        let (tables, below) = drawn(view, width, colored, &mut columns);
        blocks.push(apart([tables, below]));
    }
    blocks.push(columns.lines(width).join("\n"));
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n\n\n") + "\n"
}

/// The board as text of at most `width` columns where that is possible; with every column without a width.
pub fn render(view: &View, width: impl Into<Option<usize>>, colored: bool) -> String {
    let (width, mut columns) = (width.into(), Explained::default());
    let (tables, below) = drawn(view, width, colored, &mut columns);
    apart([tables, columns.lines(width), below])
}

/// Blocks of lines with an empty line between them.
fn apart<const N: usize>(blocks: [Vec<String>; N]) -> String {
    let blocks = blocks.into_iter().filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n"));
    blocks.collect::<Vec<_>>().join("\n\n")
}

/// What has to be explained below tables.
#[derive(Default)]
struct Explained {
    headings: Vec<String>,
    brackets: bool,
    several: bool,
}

impl Explained {
    fn add(&mut self, grid: &Grid) {
        self.headings.extend(grid.headings.iter().cloned());
        self.brackets |= grid.has_brackets();
    }

    fn lines(&self, width: Option<usize>) -> Vec<String> {
        let several = self.several.then(|| format!("; {}", SEVERAL.to_lowercase()));
        let text = format!("{}{}", legend::of(&self.headings, self.brackets), several.unwrap_or_default());
        wrapped(text.trim_start_matches("; "), width.unwrap_or(PROSE))
    }
}

/// The board's tables and what is said below them, without what its columns are: that is added to `columns`.
fn drawn(view: &View, width: Option<usize>, colored: bool, columns: &mut Explained) -> (Vec<String>, Vec<String>) {
    if view.rows.is_empty() && view.originals.is_empty() {
        let text = format!("{}(no results yet: board.add(unlearn::run(..)))", prefix(&view.title));
        return (vec![text], vec![]);
    }
    let mut grid = Grid::of(view);
    let mut hidden = grid.fit(width);
    columns.add(&grid);
    columns.several |= view.entries.iter().any(|entry| entry.rows.len() > 1);
    let prose = width.unwrap_or(PROSE);
    let mut lines = vec![];
    if !view.title.is_empty() {
        lines.push(plain(&view.title));
        lines.push(String::new());
    }
    lines.extend(grid.lines(colored));
    lines.extend(wrapped(&grid.legend(), prose));
    for mut told in seed_tables::tables(view) {
        let gone = told.grid.fit(width);
        columns.add(&told.grid);
        hidden.extend(gone.into_iter().filter(|heading| !hidden.contains(heading)).collect::<Vec<_>>());
        lines.extend([String::new(), told.heading, String::new()]);
        lines.extend(told.grid.lines(colored));
        lines.extend(wrapped(&told.legend, prose));
    }
    let warnings = view.warnings().into_iter().map(|text| format!("warning: {}", plain(&text)));
    let mut below: Vec<String> =
        warnings.chain(view.notes().into_iter().map(|text| format!("note: {}", plain(&text)))).collect();
    if !hidden.is_empty() {
        below.push(format!("note: not shown (table too wide): {}; saved files have all columns", hidden.join(", ")));
    }
    (lines, below)
}

fn prefix(title: &str) -> String {
    if title.is_empty() { String::new() } else { format!("{title} · ") }
}

/// The board as Markdown, with every column.
pub fn markdown(view: &View) -> String {
    let mut lines = vec![];
    if !view.title.is_empty() {
        lines.extend([format!("**{}**", escaped(&view.title)), String::new()]);
    }
    let grid = Grid::of(view);
    lines.extend(grid.markdown(true));
    let marked = grid.best.iter().flatten().any(|best| *best);
    let several = view.entries.iter().any(|entry| entry.rows.len() > 1).then(|| SEVERAL.to_string());
    let meaning = legend::of(&grid.headings, grid.has_brackets());
    let sentences = [Some(meaning), several, Some(grid.legend()), marked.then(|| BOLD.to_string())];
    let sentences = sentences.into_iter().flatten().filter(|sentence| !sentence.is_empty());
    let told: Vec<String> = sentences.map(|sentence| format!("{sentence}.")).collect();
    lines.extend((!told.is_empty()).then(|| [String::new(), told.join(" ")]).into_iter().flatten());
    for told in seed_tables::tables(view) {
        lines.extend([String::new(), format!("**{}**", escaped(&told.heading)), String::new()]);
        lines.extend(told.grid.markdown(false));
        lines.extend((!told.legend.is_empty()).then(|| [String::new(), told.legend]).into_iter().flatten());
    }
    let remarks = view.warnings().into_iter().map(|w| format!("- warning: {}", escaped(&w)));
    let remarks: Vec<String> = remarks.chain(view.notes().into_iter().map(|n| format!("- {}", escaped(&n)))).collect();
    if !remarks.is_empty() {
        lines.push(String::new());
        lines.extend(remarks);
    }
    lines.join("\n") + "\n"
}

/// What bold figures are.
const BOLD: &str = "Bold: the best of a column among the methods; which way that is, `lethe list metrics` says";

/// What rows of several seeds are.
const SEVERAL: &str = "Rows of several seeds (n) show means";
