//! Where rows go that their run folder does not take.

use crate::runtime::moment::now;
use crate::runtime::output;
use crate::tensor::io::safetensors_file::write_atomically;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// Rows that could not be written, and the file that has them instead.
#[derive(Debug, Default)]
pub struct Rescue {
    rows: Vec<Value>,
    file: Option<PathBuf>,
    /// Whether the rows are all that the run has.
    all: bool,
}

impl Rescue {
    /// How many rows are not in the run folder.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the run folder has taken all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Keeps one more row; the same one as it was before it was changed gives way.
    pub fn add(&mut self, row: &Value) {
        let id = identity(row);
        match self.rows.iter_mut().find(|known| id.is_some() && identity(known) == id) {
            Some(known) => *known = row.clone(),
            None => self.rows.push(row.clone()),
        }
        self.write();
    }

    /// Keeps the rows of a run whose folder is gone, before those that it never took.
    pub fn add_all(&mut self, rows: &[Value]) {
        if !std::mem::replace(&mut self.all, true) && !rows.is_empty() {
            self.rows.splice(0..0, rows.iter().cloned());
            self.write();
        }
    }

    /// Writes the rows where there is room: in the current folder, else that for temporary files, else on stderr.
    fn write(&mut self) {
        let text: String = self.rows.iter().map(|row| format!("{row}\n")).collect();
        let name = format!("lethe-rescued-{}-{}.jsonl", now(), std::process::id());
        let places = [std::env::current_dir().ok(), Some(std::env::temp_dir())];
        let places = places.into_iter().flatten().map(|folder: PathBuf| folder.join(&name));
        let takes = |path: &PathBuf| write_atomically(path, |file| file.write_all(text.as_bytes())).is_ok();
        self.file = self.file.take().into_iter().chain(places).find(|path| takes(path));
        if self.file.is_none() {
            output::tell(text.trim_end());
        }
    }

    /// Where the rows are, in a sentence.
    pub fn describe(&self) -> String {
        let rows = if self.len() == 1 { "1 row is".into() } else { format!("{} rows are", self.len()) };
        match &self.file {
            Some(path) => format!("{rows} kept in {}", path.display()),
            None => format!("{rows} printed above, because no file could be written"),
        }
    }
}

/// What tells a row from the others of its run: its key, or its label where it has none.
fn identity(row: &Value) -> Option<&str> {
    ["key", "run_id"].into_iter().find_map(|field| row.get(field)?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_in_the_file_once_and_in_their_last_form() {
        let mut rescue = Rescue::default();
        rescue.add(&json!({ "run_id": "b", "n": 1 }));
        rescue.add(&json!({ "run_id": "b", "n": 2 }));
        rescue.add_all(&[json!({ "run_id": "a" })]);
        rescue.add_all(&[json!({ "run_id": "a" })]);
        rescue.add(&json!({ "n": 3 }));
        let file = rescue.file.clone().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(text, "{\"run_id\":\"a\"}\n{\"run_id\":\"b\",\"n\":2}\n{\"n\":3}\n");
        assert_eq!(rescue.describe(), format!("3 rows are kept in {}", file.display()));
    }
}
