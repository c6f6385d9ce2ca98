//! The leaderboard as files: CSV, JSON, Markdown and a picture.

use super::Recorder;
use super::cells::{Sheet, bare};
use super::entry::reference;
use super::leaderboard::{DERIVED, Leaderboard, View};
use super::{picture, table};
use crate::runtime::{Error, Result, Run};
use crate::tensor::files::{create_folders, reason, write_atomically};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a leaderboard is saved as.
pub const WRITTEN: [&str; 4] = ["csv", "json", "md", "svg"];

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

/// Extensions that name a kind of file, so that one which is not written here is refused instead of taken for a part of the name.
const KINDS: [&str; 32] = [
    "bmp", "csv", "eps", "gif", "htm", "html", "jpeg", "jpg", "json", "jsonl", "md", "npy", "npz", "ods", "parquet",
    "pdf", "pickle", "pkl", "png", "ps", "rhai", "svg", "svgz", "tex", "tif", "tiff", "toml", "tsv", "txt", "webp",
    "xlsx", "yaml",
];

/// A name without the extension it may have: one of those `written`, in any case. (A dot in the name is no extension.)
///
/// # Errors
/// The extension of another kind of file.
pub fn stem(name: &Path, written: &[&str]) -> Result<PathBuf> {
    let given = name.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let lower = given.to_ascii_lowercase();
    if written.contains(&lower.as_str()) {
        return Ok(name.with_extension(""));
    }
    if !KINDS.contains(&lower.as_str()) {
        return Ok(name.to_path_buf());
    }
    let kinds = written.iter().map(|kind| format!(".{kind}")).collect::<Vec<_>>().join(", ");
    let (given, name) = (given.to_string(), name.with_extension(""));
    let message = format!("cannot write a .{given} file here; what is written: {kinds}");
    let hint = format!("call it {:?}", format!("{}.{}", name.display(), written.first().unwrap_or(&"")));
    Err(Error::new("save", message).word(given).hint(hint))
}

/// Where files of this name go, without their extension: a bare name into the run folder, a path where it says.
pub(super) fn place(run: &Run, name: &str, written: &[&str]) -> Result<PathBuf> {
    if name.trim().is_empty() {
        return Err(Error::new("save", "needs a name for the files, got an empty one"));
    }
    let named = Path::new(name);
    let is_path = named.is_absolute() || named.components().count() > 1;
    let stem = stem(named, written)?;
    let path = if is_path { stem } else { run.slot::<Recorder>().folder()?.join(stem) };
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Some(file) = folder.ancestors().find(|part| part.is_file()) {
        let message = format!("cannot write to {}: {} is a file, not a folder", path.display(), file.display());
        return Err(Error::new("save", message).hint("choose a name without it, e.g. board.save(\"results\")"));
    }
    create_folders(folder).map_err(|error| Error::file("save", folder, reason(&error)))?;
    Ok(path)
}

/// The path with `.extension` appended (a dot in the name is no extension).
pub(super) fn with(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// Replaces a file whole or not at all.
///
/// # Errors
/// When it cannot be written; what was there before stays.
pub fn write(path: &Path, text: &str) -> Result<()> {
    write_atomically(path, |file| file.write_all(text.as_bytes()))
}

/// Saves a board as CSV, JSON, Markdown and SVG; returns the paths written.
///
/// # Errors
/// When the place cannot be written to.
pub fn save(board: &Leaderboard, name: &str) -> Result<Vec<PathBuf>> {
    let view = board.view();
    let path = place(board.run(), name, &WRITTEN)?;
    let json = serde_json::to_string_pretty(&view.to_json()).map_err(|error| Error::new("save", error.to_string()))?;
    let files = [
        ("csv", csv(&view)?),
        ("json", json + "\n"),
        ("md", table::markdown(&view)),
        ("svg", picture::of(&view).svg()),
    ];
    let mut paths = vec![];
    for (extension, text) in files {
        let path = with(&path, extension);
        write(&path, &text)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Saves a single text under a name or path with this extension; returns the path.
///
/// # Errors
/// When the place cannot be written to.
pub fn save_text(run: &Run, name: &str, extension: &str, text: &str) -> Result<PathBuf> {
    save_bytes(run, name, extension, text.as_bytes())
}

/// Saves the bytes of a file under a name or path with this extension; returns the path.
///
/// # Errors
/// When the place cannot be written to.
pub fn save_bytes(run: &Run, name: &str, extension: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = place(run, name, &[extension])?;
    // Small or large letters stay as they were given.
    let given = Path::new(name).extension().and_then(|given| given.to_str());
    let path = with(&path, given.filter(|given| given.eq_ignore_ascii_case(extension)).unwrap_or(extension));
    write_atomically(&path, |file| file.write_all(bytes))?;
    Ok(path)
}
