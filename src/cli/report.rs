//! `lethe report`: the leaderboards of finished runs.

use super::{Ending, start};
use crate::report::Leaderboard;
use crate::report::leaderboard::{export, figure, table};
use crate::report::runs::finished_runs;
use crate::runtime::places::{asked, extension};
use crate::runtime::run::Settings;
use crate::runtime::{Error, Result, Run, output};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe report runs/table                                        its leaderboards
  lethe report runs/seed0 runs/seed1 runs/seed2                  three runs beside each other
  lethe report runs/table --columns forget_accuracy,js,epsilon   these figures (lethe list metrics)
  lethe report runs/table --baseline finetune                    paired differences of all entries from it
  lethe report runs/table --format csv > table.csv               every figure of every run
  lethe report runs/table --plot table.svg                       accuracy and attack against seconds
  lethe report runs/table --save docs/table                      table.csv, .json, .md, .svg

Metrics are computed from the predictions stored in the folders, so metrics that were added to lethe
later are available as well. Results of one data set, network and request make one leaderboard. A result
that is in several folders counts once; superseded results are left out.

Exit codes: 0 success, 2 no run folder, nothing in it, or an unknown column or baseline.")]
pub struct ReportOptions {
    /// The folders of the runs
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Also count superseded results: those that a later run of their folder no longer used
    #[arg(long)]
    superseded: bool,
    /// How to write them
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Figures to show in place of the usual ones (of tables)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Show how every entry differs from this one: paired differences over splits and seeds, with verdicts (not in CSV)
    #[arg(long, value_name = "METHOD")]
    baseline: Option<String>,
    /// Save the picture of every leaderboard in this file, .svg or .png (a number is added when there are several)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Save every leaderboard under this name (a number is added when there are several): as CSV, JSON, Markdown and SVG, or
    /// as what the extension asks for, .csv, .json, .md, .svg or .png
    #[arg(long, value_name = "PATH")]
    save: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Markdown,
    Csv,
    Json,
}

/// Prints and saves what was asked for.
pub fn report(options: &ReportOptions, quiet: bool) -> Ending {
    let run = Run::new(Settings { quiet, ..Settings::default() });
    match told(&run, options) {
        Ok(text) => {
            output::write(&text);
            Ending::Success
        }
        Err(error) => start::complain(&error),
    }
}

fn told(run: &Run, options: &ReportOptions) -> Result<String> {
    if options.baseline.is_some() && options.format == Format::Csv {
        return Err(Error::new("report", "CSV has a line for every run and no place for differences from a baseline")
            .hint("use --format table, markdown or json"));
    }
    // Before anything is computed.
    let (plot, save) = (options.plot.as_deref(), options.save.as_deref());
    plot.map_or(Ok(None), |path| asked("--plot", path, &export::PICTURES))?;
    save.map_or(Ok(None), |path| asked("--save", path, &export::WRITTEN))?;
    let boards = finished_runs::boards(run, &options.folders, options.superseded)?;
    for board in &boards {
        board.choose(options.columns.clone())?;
        options.baseline.as_deref().map_or(Ok(()), |name| board.measure_against(name))?;
    }
    if let Some(path) = save {
        for (index, board) in boards.iter().enumerate() {
            export::save(board, &numbered(path, index, boards.len()))?;
        }
    }
    if let Some(path) = plot {
        for (index, board) in boards.iter().enumerate() {
            let name = numbered(path, index, boards.len());
            export::save_picture(run, "--plot", &name, &figure::of(&board.view()).svg())?;
        }
    }
    text(&boards, options.format)
}

/// The path of one of several leaderboards: a number stands before the extension.
fn numbered(path: &Path, index: usize, count: usize) -> String {
    if count < 2 {
        return path.display().to_string();
    }
    match extension(path).and(path.extension()) {
        Some(kind) => format!("{}-{}.{}", path.with_extension("").display(), index + 1, kind.to_string_lossy()),
        None => format!("{}-{}", path.display(), index + 1),
    }
}

fn text(boards: &[Leaderboard], format: Format) -> Result<String> {
    let views = boards.iter().map(Leaderboard::view);
    match format {
        Format::Table => Ok(table::terminals(&views.collect::<Vec<_>>())),
        Format::Markdown => Ok(views.map(|view| table::markdown(&view)).collect::<Vec<_>>().join("\n")),
        Format::Csv => Ok(views.map(|view| export::csv(&view)).collect::<Result<Vec<_>>>()?.join("\n")),
        Format::Json => Ok(format!("{:#}\n", views.map(|view| view.to_json()).collect::<serde_json::Value>())),
    }
}
