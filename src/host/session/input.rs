//! Where inputs end: whether a text is unfinished, whether its value is wanted, how a piped text falls into inputs.

use crate::runtime::notation::{self, tokens};
use rhai::{Engine, LexError, ParseError, ParseErrorType, Position, Token};

/// Whether a text is the beginning of an input rather than one that is wrong or done.
pub fn incomplete(engine: &Engine, text: &str) -> bool {
    // The engine does not mind a comment that is still open.
    if tokens(engine, text).open.is_some_and(|error| notation::is_open_comment(&error)) {
        return true;
    }
    let Err(ParseError(kind, position)) = notation::compile(engine, text) else { return false };
    match *kind {
        // A doc comment waits for its function.
        ParseErrorType::UnexpectedEOF | ParseErrorType::WrongDocComment => true,
        // Only strings in back-ticks may span lines.
        ParseErrorType::BadInput(LexError::UnterminatedString) => letter(text, position) == Some('`'),
        _ => beyond(text, position),
    }
}

/// Whether the value of an input is not wanted: it ends in a semicolon.
pub fn silent(engine: &Engine, text: &str) -> bool {
    tokens(engine, text).list.last().is_some_and(|(token, _)| *token == Token::SemiColon)
}

/// The letter at a position.
fn letter(text: &str, position: Position) -> Option<char> {
    let line = text.lines().nth(position.line()?.checked_sub(1)?)?;
    line.chars().nth(position.position()?.checked_sub(1)?)
}

/// Whether nothing but blanks stands at a position or behind it.
fn beyond(text: &str, position: Position) -> bool {
    let Some(line) = position.line() else { return true };
    let column = position.position().unwrap_or(1);
    let mut rest = text.lines().skip(line.saturating_sub(1));
    let here = rest.next().is_none_or(|first| first.chars().skip(column.saturating_sub(1)).all(char::is_whitespace));
    here && rest.all(|line| line.trim().is_empty())
}

/// Splits a text into inputs: lines are taken until they are complete, one that begins with `else` or a dot belongs to
/// what is above it. Blank lines stay, so that lines keep their numbers.
pub fn inputs(engine: &Engine, text: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    let mut open: Option<String> = None;
    for line in text.lines() {
        let goes_on = line.trim_start().starts_with('.') || line.trim_start().starts_with("else");
        if open.is_none() && goes_on {
            open = found.pop();
        }
        let input = open.take().map_or_else(|| line.to_string(), |above| format!("{above}\n{line}"));
        if line.starts_with(':') || !incomplete(engine, &input) {
            found.push(input);
        } else {
            open = Some(input);
        }
    }
    found.extend(open);
    found
}
