//! The width of what is written to: the terminal's, or none, where a file or a pipe has room for everything.

use comfy_table::{ContentArrangement, Table};
use std::io::IsTerminal;

/// Columns of text where no terminal says otherwise.
pub const PROSE: usize = 120;

/// Below this many columns nothing can be laid out.
const LEAST: usize = 20;

/// The columns of the terminal; `None` where output goes to a file or a pipe.
pub fn width() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| Table::new().width().map_or(PROSE, usize::from).max(LEAST))
}

/// Lets a table's long cells break into lines, so that it is as wide as the terminal at most.
pub fn fit(table: &mut Table) {
    if let Some(width) = width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
}

/// Text in lines of at most `width` columns, broken between words.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// A name and what is said about it, with its further lines below the first; in one line without a width.
pub fn hanging(name: &str, column: usize, text: &str, width: Option<usize>) -> String {
    let gap = " ".repeat(column.saturating_sub(name.chars().count()));
    let Some(width) = width.filter(|width| *width > column + LEAST) else { return format!("{name}{gap}{text}") };
    format!("{name}{gap}{}", wrapped(text, width - column).join(&format!("\n{}", " ".repeat(column))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_between_words_below_its_start() {
        assert_eq!(hanging("ab", 4, "one two three four five six", Some(25)), "ab  one two three four\n    five six");
        assert_eq!(hanging("ab", 4, "one two", None), "ab  one two");
        assert_eq!(hanging("ab", 4, "one two three", Some(10)), "ab  one two three", "too narrow to break");
        assert_eq!(wrapped("  a  bb ccc", 4), ["a bb", "ccc"]);
    }
}
