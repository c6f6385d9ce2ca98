//! From an evaluation error to what a person reads: message, place, source line with a caret, calls, advice.

use crate::runtime::sources::{SourceMap, embedded};
use rhai::{ParseErrorType, Position};

/// A place in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The script's name: a path, `std/..`, or `repl`.
    pub source: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters to underline.
    pub length: usize,
    /// The text of the line; empty when it is not known.
    pub text: String,
}

impl Place {
    /// Whether this is what stands in the brackets of an index.
    pub(super) fn is_index(&self) -> bool {
        let before: Vec<char> = self.text.chars().take(self.column.saturating_sub(1)).collect();
        before.iter().rev().find(|letter| !letter.is_whitespace()) == Some(&'[')
    }

    /// The property, when Rhai points at the dot before it.
    pub(super) fn behind_dot(self) -> Self {
        let letters: Vec<char> = self.text.chars().skip(self.column.saturating_sub(1)).take(2).collect();
        match letters.as_slice() {
            ['.', next] if next.is_alphabetic() || *next == '_' => {
                let (column, length) = (self.column + 1, extent(&self.text, self.column + 1));
                Self { column, length, ..self }
            }
            _ => self,
        }
    }

    /// The name that stands here; empty when it is no name.
    pub fn word(&self) -> String {
        let letters = self.text.chars().skip(self.column.saturating_sub(1));
        letters.take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    }
}

/// One call on the way to the error, innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The function called.
    pub function: String,
    /// Where it was called.
    pub place: Option<Place>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Severity {
    /// It ended the script, or would.
    #[default]
    Error,
    /// It may be meant.
    Warning,
}

/// Everything there is to say about an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What went wrong.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// The calls that led there, innermost first.
    pub frames: Vec<Frame>,
    /// Facts, such as valid options or existing signatures.
    pub notes: Vec<String>,
    /// What to do about it; may be empty.
    pub hint: String,
    /// Whether the script was stopped from outside.
    pub interrupted: bool,
}

/// Where positions are looked up.
pub struct Sources<'a> {
    /// The texts read by this run.
    pub map: &'a SourceMap,
    /// The name of the script that was run.
    pub main: &'a str,
}

impl Sources<'_> {
    fn line(&self, source: &str, line: usize) -> String {
        let text = self.map.get(source).or_else(|| embedded(source).map(Into::into)).unwrap_or_default();
        text.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_string()
    }

    /// The place of a position, underlining the call or token that starts there; none in a text without a name.
    pub fn place(&self, source: &str, position: Position) -> Option<Place> {
        let line = position.line().filter(|_| !source.is_empty())?;
        let column = position.position().unwrap_or(1);
        let text = self.line(source, line);
        let length = extent(&text, column);
        Some(Place { source: source.into(), line, column, length, text })
    }

    /// The place of a syntax error. What is missing at the start of a line is missing at the end of the one before.
    pub fn syntax(&self, source: &str, position: Position, kind: &ParseErrorType) -> Option<Place> {
        let place = self.place(source, position)?;
        let before = place.text.chars().take(place.column.saturating_sub(1));
        if !matches!(kind, ParseErrorType::MissingToken(..)) || before.clone().any(|c| !c.is_whitespace()) {
            return Some(place);
        }
        let lines = (1..place.line).rev().map(|line| (line, self.line(source, line)));
        let Some((line, text)) = lines.into_iter().find(|(_, text)| !text.trim().is_empty()) else {
            return Some(place);
        };
        // Not behind a comment, where the missing token would have no effect.
        if text.contains("//") {
            return Some(place);
        }
        let column = text.trim_end().chars().count() + 1;
        Some(Place { line, column, length: 1, text, ..place })
    }

    /// The first occurrence of `word` within the call or expression that starts at a place.
    pub fn seek(&self, place: &Place, word: &str) -> Option<Place> {
        let (mut depth, mut opened) = (0_usize, false);
        for line in place.line..place.line + 60 {
            let text = self.line(&place.source, line);
            let from = if line == place.line { place.column.saturating_sub(1) } else { 0 };
            if let Some(column) = find_word(&text, word, from) {
                let length = word.chars().count();
                return Some(Place { source: place.source.clone(), line, column: column + 1, length, text });
            }
            for letter in text.chars().skip(from) {
                match letter {
                    '(' | '[' | '{' => (depth, opened) = (depth + 1, true),
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            if depth == 0 && (opened || line > place.line) {
                break;
            }
        }
        None
    }
}

/// Index in characters of a whole word in `text`, from a character index on.
fn find_word(text: &str, word: &str, from: usize) -> Option<usize> {
    let (letters, wanted): (Vec<char>, Vec<char>) = (text.chars().collect(), word.chars().collect());
    let part = |i: Option<usize>| i.and_then(|i| letters.get(i)).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    (from..(letters.len() + 1).saturating_sub(wanted.len())).find(|start| {
        let end = start + wanted.len();
        letters.get(*start..end) == Some(&wanted[..]) && !part(start.checked_sub(1)) && !part(Some(end))
    })
}

/// How many characters the call, name, literal or operator at a column covers.
fn extent(text: &str, column: usize) -> usize {
    let letters: Vec<char> = text.chars().skip(column.saturating_sub(1)).collect();
    let name = name_length(&letters);
    if name == 0 {
        return match letters.first() {
            Some('"' | '`') => quoted(&letters),
            Some(c) if c.is_ascii_punctuation() => {
                let operator = letters.iter().take_while(|c| "+-*/%=<>!&|@^.".contains(**c)).count();
                operator.max(1)
            }
            _ => 1,
        };
    }
    if letters.get(name) != Some(&'(') {
        return name;
    }
    let mut depth = 0_usize;
    for (i, letter) in letters.iter().enumerate().skip(name) {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    name
}

/// The length of the name, with its module if it has one, that `letters` start with.
fn name_length(letters: &[char]) -> usize {
    let part = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut length = 0;
    loop {
        length += letters.iter().skip(length).take_while(|c| part(c)).count();
        match letters.get(length..length + 3) {
            Some([':', ':', next]) if length > 0 && part(next) => length += 2,
            _ => return length,
        }
    }
}

/// The length of the string literal that `letters` start with.
fn quoted(letters: &[char]) -> usize {
    let quote = letters.first().copied().unwrap_or('"');
    letters.iter().skip(1).position(|c| *c == quote).map_or(letters.len(), |end| end + 2)
}

impl Diagnostic {
    /// The process's exit code for this error.
    pub fn exit_code(&self) -> i32 {
        if self.interrupted { 130 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_names_operators_and_strings_are_underlined_whole() {
        assert_eq!(extent("let x = conv(a, [1, 2]) + 1;", 9), 15);
        assert_eq!(extent("let x = abc + 1;", 9), 3);
        assert_eq!(extent("a ** b", 3), 2);
        assert_eq!(extent("f(\"abc\")", 3), 5);
        assert_eq!(extent("open(", 1), 4);
        assert_eq!(extent("a::b(1) c", 1), 7);
        assert_eq!(extent("with: 3", 1), 4);
        assert_eq!(extent("", 1), 1);
    }

    #[test]
    fn words_are_found_whole() {
        assert_eq!(find_word("f(#{ widht_: 1, widht: 2 })", "widht", 0), Some(16));
        assert_eq!(find_word("abc", "abcd", 0), None);
    }
}
