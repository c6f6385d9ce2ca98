//! `save_table`: rows of a script's own as CSV and Markdown.

use super::cells::{Sheet, bare};
use super::columns::DASH;
use super::export::{place, with, write};
use super::recorder::Recorder;
use crate::eval::metrics::to_json;
use crate::runtime::{Error, Result, Run};
use rhai::{Dynamic, Map};
use serde_json::Value;
use std::path::PathBuf;

/// What is written.
const WRITTEN: [&str; 2] = ["csv", "md"];

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

/// The values of the columns in each row; a row must not have others.
fn lines(columns: &[String], rows: &[Map]) -> Result<Vec<Vec<Value>>> {
    let line = |row: &Map| {
        if let Some(key) = row.keys().find(|key| !columns.iter().any(|column| column == key.as_str())) {
            return Err(Error::new("save_table", format!("a row has `{key}`, which is not among the columns"))
                .word(key.as_str())
                .hint(format!("columns: {}", columns.join(", "))));
        }
        Ok(columns.iter().map(|column| row.get(column.as_str()).map_or(Value::Null, to_json)).collect())
    };
    rows.iter().map(line).collect()
}

/// The table with its values written in this way; columns of numbers go to the right.
fn sheet(columns: &[String], lines: &[Vec<Value>], written: fn(&Value) -> String) -> Sheet {
    let numeric = |index: usize| lines.iter().any(|line| line.get(index).is_some_and(Value::is_number));
    Sheet {
        headings: columns.to_vec(),
        right: (0..columns.len()).map(numeric).collect(),
        rows: lines.iter().map(|line| line.iter().map(written).collect()).collect(),
        bold: vec![],
    }
}

/// Saves rows as `name.csv`, and as `name.md` where wanted; `folder` is one within the run folder.
///
/// # Errors
/// A row with another column; a place that cannot be written to.
pub fn save(run: &Run, name: &str, columns: &[String], rows: &[Map], folder: &str, md: bool) -> Result<Vec<PathBuf>> {
    let lines = lines(columns, rows)?;
    let path = if folder.is_empty() {
        place(run, name, &WRITTEN)?
    } else {
        let folder = run.slot::<Recorder>().folder()?.join(folder);
        place(run, &folder.join(name).to_string_lossy(), &WRITTEN)?
    };
    let mut paths = vec![with(&path, "csv")];
    write(&with(&path, "csv"), &sheet(columns, &lines, bare).csv("save_table")?)?;
    if md {
        let table = sheet(columns, &lines, short).markdown().join("\n") + "\n";
        write(&with(&path, "md"), &table)?;
        paths.push(with(&path, "md"));
    }
    Ok(paths)
}

/// The names of columns.
///
/// # Errors
/// Anything but texts; none; one of them twice.
pub fn columns(given: &[Dynamic]) -> Result<Vec<String>> {
    let names: Option<Vec<String>> = given.iter().map(|name| name.clone().into_string().ok()).collect();
    let names = names
        .filter(|names| !names.is_empty())
        .ok_or_else(|| Error::new("save_table", "needs the names of the columns, an array of strings"))?;
    let twice = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|other| other == *name));
    match twice {
        None => Ok(names),
        Some((_, name)) => {
            Err(Error::new("save_table", format!("two columns are called {name:?}")).word(name.as_str()))
        }
    }
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::runtime::options::describe;
    use crate::runtime::{Error, Options, Result, Run, Script};
    use rhai::{Array, Dynamic, Map, NativeCallContext};

    /// Saves rows of one's own as `name.csv` (numbers in full, what is missing or NaN empty) and as a Markdown table `name.md`
    /// (four significant figures) in the run folder; a name that is a path is taken as one. Returns the paths.
    ///
    /// # Signature
    /// save_table(name: string, columns: array of string, rows: array of map, #{ folder: string = "", markdown: bool = true }) -> array
    ///
    /// # Options
    /// - `folder` (string, ""): a folder within the run folder
    /// - `markdown` (bool, true): the Markdown table too
    ///
    /// # Example
    /// ```rhai
    /// let paths = save_table(temporary_path("rows"), ["name", "value"], [#{ name: "a, b", value: 0.25 }, #{ name: "c" }]);
    /// assert(read_text(paths[0]) == "name,value\n\"a, b\",0.25\nc,\n");
    /// assert(read_text(paths[1]).contains("| c | – |"));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn save_table(
        context: NativeCallContext,
        name: &str,
        columns: Array,
        rows: Array,
        options: Map,
    ) -> Script<Array> {
        let mut o = Options::new("save_table", options);
        let (folder, markdown) = (o.text("folder", "")?, o.flag("markdown", true)?);
        o.finish()?;
        let map = |row: Dynamic| {
            let kind = describe(&row);
            row.try_cast::<Map>().ok_or_else(|| Error::new("save_table", format!("a row must be a map, got {kind}")))
        };
        let rows = rows.into_iter().map(map).collect::<Result<Vec<_>>>()?;
        let columns = super::columns(&columns)?;
        let paths = super::save(&Run::of(&context), name, &columns, &rows, &folder, markdown)?;
        Ok(paths.into_iter().map(|path| path.display().to_string().into()).collect())
    }

    #[rhai_fn(name = "save_table", return_raw, volatile)]
    pub fn save_table_plain(context: NativeCallContext, name: &str, columns: Array, rows: Array) -> Script<Array> {
        save_table(context, name, columns, rows, Map::new())
    }
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
