//! Cells of tables: how text, numbers and gaps are written in Markdown, in CSV and on a terminal.

use crate::runtime::{Error, Result};
use serde_json::Value;
use std::fmt::Display;

/// A table of texts; columns of numbers go to the right in Markdown.
pub struct Sheet {
    /// The headings.
    pub headings: Vec<String>,
    /// Whether a column is one of numbers.
    pub right: Vec<bool>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// The cells that are bold in Markdown; may be empty.
    pub bold: Vec<Vec<bool>>,
}

/// Text that Markdown shows as it is, in a cell or a line: nothing in it is taken for a bar between cells, emphasis, code, a
/// link, an entity or HTML; breaks of lines stay breaks, and blanks at the ends stay as well.
pub fn markdown(text: &str) -> String {
    let chars: Vec<char> = text.replace("\r\n", "\n").chars().collect();
    let first = chars.iter().position(|c| *c != ' ').unwrap_or(chars.len());
    let last = chars.iter().rposition(|c| *c != ' ').unwrap_or(0);
    let word = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
    let mut out = String::with_capacity(text.len());
    for (at, c) in chars.iter().enumerate() {
        let next = chars.get(at + 1);
        let special = match c {
            '\\' | '|' | '`' | '*' | '<' => true,
            // Within a word it is none: `mia_auc`.
            '_' => !(word(at.checked_sub(1)) && word(Some(at + 1))),
            '&' => next.is_some_and(|c| c.is_ascii_alphanumeric() || *c == '#'),
            '(' => at.checked_sub(1).and_then(|at| chars.get(at)) == Some(&']'),
            '~' => next == Some(&'~'),
            _ => false,
        };
        match c {
            '\n' | '\r' => out.push_str("<br>"),
            ' ' if at < first || at > last => out.push_str("&nbsp;"),
            c if c.is_control() => out.push(' '),
            c => {
                out.extend(special.then_some('\\'));
                out.push(*c);
            }
        }
    }
    out
}

/// Text in one line of a terminal: control characters would move its cursor.
pub fn plain(text: &str) -> String {
    let text = text.replace("\r\n", " ");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A JSON value as a cell of a CSV file: text bare, numbers in full, what is missing empty, the rest as JSON.
pub fn bare(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Sheet {
    /// The lines of the table in Markdown.
    pub fn markdown(&self) -> Vec<String> {
        let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let texts = |cells: &[String]| line(cells.iter().map(|text| markdown(text)).collect());
        let is_bold = |row: usize, column: usize| self.bold.get(row).and_then(|row| row.get(column)) == Some(&true);
        let row = |(index, cells): (usize, &Vec<String>)| {
            let told = |(column, text): (usize, &String)| match markdown(text) {
                text if is_bold(index, column) => format!("**{text}**"),
                text => text,
            };
            line(cells.iter().enumerate().map(told).collect())
        };
        let rule = self.right.iter().map(|right| if *right { "---:" } else { "---" }.to_string());
        let head = [texts(&self.headings), line(rule.collect())];
        head.into_iter().chain(self.rows.iter().enumerate().map(row)).collect()
    }

    /// The table as CSV: cells with commas, quotes or breaks of lines are quoted.
    ///
    /// # Errors
    /// Never in practice: the writer's are passed on.
    pub fn csv(&self, operation: &'static str) -> Result<String> {
        let failed = |problem: &dyn Display| Error::new(operation, problem.to_string());
        let mut writer = csv::Writer::from_writer(vec![]);
        for row in [&self.headings].into_iter().chain(&self.rows) {
            writer.write_record(row).map_err(|e| failed(&e))?;
        }
        let bytes = writer.into_inner().map_err(|e| failed(&e))?;
        String::from_utf8(bytes).map_err(|e| failed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_shows_text_as_it_is() {
        let written = [
            "a|b", "a\\|b", "x\ny", "x\r\ny", "<b>", " a ", "", "*", "mia_auc", "_x_", "&lt;", "R & D", "[a](b)",
            "a\tb",
        ];
        let expected = [
            "a\\|b",
            "a\\\\\\|b",
            "x<br>y",
            "x<br>y",
            "\\<b>",
            "&nbsp;a&nbsp;",
            "",
            "\\*",
            "mia_auc",
            "\\_x\\_",
            "\\&lt;",
            "R & D",
            "[a]\\(b)",
            "a b",
        ];
        assert_eq!(written.map(markdown), expected);
        assert_eq!(markdown("  "), "&nbsp;&nbsp;");
    }

    #[test]
    fn every_line_of_a_table_has_as_many_cells_as_its_head() {
        let odd = ["a|b", "line\nbreak", "\\", "`|`"].map(String::from).to_vec();
        let sheet = Sheet {
            headings: odd.clone(),
            right: vec![false, true, false, false],
            rows: vec![odd.clone()],
            bold: vec![],
        };
        let lines = sheet.markdown();
        assert_eq!(
            lines,
            [
                "| a\\|b | line<br>break | \\\\ | \\`\\|\\` |",
                "| --- | ---: | --- | --- |",
                "| a\\|b | line<br>break | \\\\ | \\`\\|\\` |",
            ]
        );
        let text = sheet.csv("test").unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), odd);
        assert_eq!(reader.records().next().unwrap().unwrap(), odd);
    }

    #[test]
    fn a_terminal_gets_one_line_without_control_characters() {
        assert_eq!(plain("a\r\nb\tc\u{1b}[31m"), "a b c [31m");
    }
}
