//! `save_table`: a table of a script's own as CSV, Markdown or JSON.

use super::cells::{Sheet, bare};
use super::target::Target;
use crate::report::leaderboard::columns::DASH;
use crate::runtime::{Error, Result, Run};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What a table can be written as; a name without an extension asks for the first two.
const WRITTEN: [&str; 3] = ["csv", "md", "json"];

/// Significant figures of a number in Markdown.
const FIGURES: usize = 4;

/// A value for people: as in CSV, but short; a dash for what is missing.
fn short(value: &Value) -> String {
    match value {
        Value::Null => DASH.into(),
        Value::Number(number) => match number.as_f64().filter(|_| !number.is_i64() && !number.is_u64()) {
            None => number.to_string(),
            Some(x) => rounded(x),
        },
        other => bare(other),
    }
}

/// A number with four significant figures, without trailing zeros.
fn rounded(x: f64) -> String {
    if x == 0.0 || !(1e-4..1e7).contains(&x.abs()) {
        return if x == 0.0 { "0".into() } else { format!("{x:.3e}") };
    }
    let decimals = (FIGURES as i32 - 1 - x.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{x:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// A table: the names of its columns and its rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// The headings.
    pub names: Vec<String>,
    /// A value for each column in each row.
    pub lines: Vec<Vec<Value>>,
}

impl Columns {
    /// The table with its values written in this way; columns of numbers go to the right.
    fn sheet(&self, written: fn(&Value) -> String) -> Sheet {
        let numeric = |index: usize| self.lines.iter().any(|line| line.get(index).is_some_and(Value::is_number));
        Sheet {
            headings: self.names.clone(),
            right: (0..self.names.len()).map(numeric).collect(),
            rows: self.lines.iter().map(|line| line.iter().map(written).collect()).collect(),
            bold: vec![],
        }
    }

    /// The table as JSON: an array of objects, a line for each.
    fn json(&self) -> String {
        let object = |line: &Vec<Value>| {
            let fields = self.names.iter().cloned().zip(line.iter().cloned()).collect();
            Value::Object(fields).to_string()
        };
        let lines: Vec<String> = self.lines.iter().map(object).collect();
        if lines.is_empty() { "[]\n".into() } else { format!("[\n{}\n]\n", lines.join(",\n")) }
    }

    fn written(&self, operation: &'static str, kind: &str) -> Result<String> {
        match kind {
            "md" => Ok(self.sheet(short).markdown().join("\n") + "\n"),
            "json" => Ok(self.json()),
            _ => self.sheet(bare).csv(operation),
        }
    }
}

/// How a table is saved.
#[derive(Debug, Clone, Default)]
pub struct Saving {
    /// A folder that a relative name is below; none when empty.
    pub folder: String,
    /// Whether a name without an extension asks for Markdown beside CSV; it does unless told otherwise.
    pub markdown: Option<bool>,
}

/// Saves a table as what the extension of its name asks for, as CSV and Markdown without one; returns the paths.
///
/// # Errors
/// Another extension; a place that cannot be written to.
pub fn save(run: &Run, operation: &'static str, name: &str, table: &Columns, saving: &Saving) -> Result<Vec<PathBuf>> {
    let name = Path::new(&saving.folder).join(name);
    let target = Target::of(run, operation, &name.to_string_lossy(), &WRITTEN)?;
    if saving.markdown.is_some() && target.is_asked() {
        let message = "`markdown` is for names without an extension: this one says which file is wanted";
        return Err(Error::new(operation, message).word("markdown"));
    }
    let [csv, md, _] = WRITTEN;
    let usual = if saving.markdown.unwrap_or(true) { vec![csv, md] } else { vec![csv] };
    let written = |kind: &'static str| target.write(kind, table.written(operation, kind)?.as_bytes());
    target.kinds(&usual).into_iter().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_whole_ones_stay_whole() {
        let texts = [0.0, 0.123456, 98.7654, 12345.678, 2.5, 1e-7, -0.05].map(rounded);
        assert_eq!(texts, ["0", "0.1235", "98.77", "12346", "2.5", "1.000e-7", "-0.05"]);
        assert_eq!(short(&Value::from(100_i64)), "100");
    }
}
