//! The leaderboard as files: CSV, JSON, Markdown and a picture.

use crate::report::cells::{Sheet, bare};
use crate::report::leaderboard::board::Leaderboard;
use crate::report::leaderboard::entry::reference;
use crate::report::leaderboard::view::{DERIVED, View};
use crate::report::leaderboard::{figure, table};
use crate::report::raster;
use crate::report::target::Target;
use crate::runtime::{Error, Result, Run};
use serde_json::Value;
use std::path::PathBuf;

/// What a leaderboard can be saved as; a name without an extension asks for the first four.
pub const WRITTEN: [&str; 5] = ["csv", "json", "md", "svg", "png"];

/// What a picture can be saved as; a name without an extension asks for the first.
pub const PICTURES: [&str; 2] = ["svg", "png"];

const STAGES: [&str; 4] = ["cluster", "condense", "unlearn", "evaluate"];

/// What stands before a metric's name in the column of the retrained network's value.
const RETRAINED: &str = "retrained_";

/// The same of the network before unlearning.
const ORIGINAL: &str = "original_";

/// One line per row (seeds are not put together), after the originals; missing figures are empty. Beside every metric
/// stand the retrained network's on the same split (the mean over its seeds) and the original's.
///
/// # Errors
/// Never in practice: the writer's are passed on.
pub fn csv(view: &View) -> Result<String> {
    let texts = ["run_id", "label", "method", "variant", "accelerated", "dataset", "model", "split_id", "status"];
    let retain = ["kind", "per_class", "size", "ratio"];
    let metrics = view.metrics();
    let options = keys_of(view, "options");
    let mut header: Vec<String> = texts.map(String::from).to_vec();
    header.extend(retain.map(|key| format!("retain_{key}")));
    header.extend(
        metrics.iter().flat_map(|name| [name.clone(), format!("{RETRAINED}{name}"), format!("{ORIGINAL}{name}")]),
    );
    header.extend(DERIVED.map(String::from));
    header.extend(STAGES.map(|stage| format!("seconds_{stage}")));
    header.extend(["seeds".into(), "peak_memory_bytes".into()]);
    header.extend(options.iter().map(|key| format!("option_{key}")));
    let mut lines = vec![];
    for original in &view.originals {
        let mut line = vec![String::new(); header.len()];
        let retrained = reference(&view.rows, &original.split_id).unwrap_or_default();
        for (name, cell) in header.iter().zip(line.iter_mut()) {
            *cell = match name.as_str() {
                "label" | "method" => "original".into(),
                "split_id" => original.split_id.clone(),
                name if metrics.iter().any(|m| m == name) => number(original.metrics.get(name)),
                name => match (name.strip_prefix(RETRAINED), name.strip_prefix(ORIGINAL)) {
                    (Some(name), _) => number(retrained.get(name)),
                    (_, Some(name)) => number(original.metrics.get(name)),
                    (None, None) => continue,
                },
            };
        }
        lines.push(line);
    }
    for (index, row) in view.rows.iter().enumerate() {
        let field = |key: &str| row.value.get(key).map_or(String::new(), bare);
        let mut line: Vec<String> = texts.map(field).to_vec();
        line.extend(retain.map(|key| bare(row.retain(key))));
        let retrained = reference(&view.rows, row.text("split_id")).unwrap_or_default();
        let original = view.original_of(row);
        let original = original.map(|o| o.metrics.clone()).unwrap_or_default();
        let three = |name: &String| [row.metrics.get(name), retrained.get(name), original.get(name)].map(number);
        line.extend(metrics.iter().flat_map(three));
        line.extend(DERIVED.map(|name| number(view.value(index, name))));
        line.extend(STAGES.map(|stage| number(row.seconds(stage))));
        let memory = row.value.get("peak_memory").and_then(|memory| memory.get("bytes"));
        line.extend([field("seeds"), memory.map_or(String::new(), bare)]);
        let given = row.value.get("options");
        line.extend(options.iter().map(|key| given.and_then(|o| o.get(key)).map_or(String::new(), bare)));
        lines.push(line);
    }
    Sheet { right: vec![], headings: header, rows: lines, bold: vec![] }.csv("csv")
}

fn number(x: f64) -> String {
    if x.is_finite() { x.to_string() } else { String::new() }
}

fn keys_of(view: &View, field: &str) -> Vec<String> {
    let mut keys: Vec<String> = vec![];
    for map in view.rows.iter().filter_map(|row| row.value.get(field).and_then(Value::as_object)) {
        keys.extend(map.keys().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>());
    }
    keys
}

/// Saves a board as CSV, JSON, Markdown and SVG, or as what the extension of its name asks for; returns the paths written.
///
/// # Errors
/// Another extension; a place that cannot be written to.
pub fn save(board: &Leaderboard, name: &str) -> Result<Vec<PathBuf>> {
    let target = Target::of(board.run(), "save", name, &WRITTEN)?;
    let view = board.view();
    let [csv_, json_, md, svg, _] = WRITTEN;
    let mut paths = vec![];
    for kind in target.kinds(&[csv_, json_, md, svg]) {
        let bytes = match kind {
            "csv" => csv(&view)?.into_bytes(),
            "json" => (json(&view)? + "\n").into_bytes(),
            "md" => table::markdown(&view).into_bytes(),
            kind => drawn(board.run(), kind, &figure::of(&view).svg())?,
        };
        paths.push(target.write(kind, &bytes)?);
    }
    Ok(paths)
}

fn json(view: &View) -> Result<String> {
    serde_json::to_string_pretty(&view.to_json()).map_err(|error| Error::new("save", error.to_string()))
}

/// Saves a picture as what the extension of its name asks for, SVG without one; returns the path.
///
/// # Errors
/// Another extension; a place that cannot be written to.
pub fn save_picture(run: &Run, operation: &str, name: &str, svg: &str) -> Result<PathBuf> {
    let target = Target::of(run, operation, name, &PICTURES)?;
    let kind = target.kind("svg");
    target.write(kind, &drawn(run, kind, svg)?)
}

/// The bytes of a picture; characters that no face has are told of.
fn drawn(run: &Run, kind: &str, svg: &str) -> Result<Vec<u8>> {
    if kind != "png" {
        return Ok(svg.as_bytes().to_vec());
    }
    let (bytes, missing) = raster::png(svg)?;
    if !missing.is_empty() {
        let what =
            format!("no font on this machine has {missing}: the PNG shows boxes in their place; SVG keeps the text");
        run.progress().warn(&what);
    }
    Ok(bytes)
}

/// Saves bytes as the only kind of file that an operation writes; returns the path.
///
/// # Errors
/// Another extension; a place that cannot be written to.
pub fn save_as(run: &Run, operation: &str, name: &str, kind: &'static str, bytes: &[u8]) -> Result<PathBuf> {
    Target::of(run, operation, name, &[kind])?.write(kind, bytes)
}
