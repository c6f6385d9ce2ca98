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

/// Whether a line belongs to what is above it, complete as that may be: it begins with `else` or a dot.
pub fn belongs_above(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('.') && !line.starts_with("..")
        || line.strip_prefix("else").is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Gathers lines into inputs: lines are taken until they are complete and the next one does not belong to them. Blank lines
/// stay, so that lines keep their numbers.
#[derive(Default)]
pub struct Inputs {
    open: Option<String>,
    /// A complete input that the next line may still belong to.
    held: Option<String>,
}

impl Inputs {
    /// Takes the next line; the input that it shows to be over.
    pub fn push(&mut self, engine: &Engine, line: &str) -> Option<String> {
        let joined = self.open.is_none() && self.held.is_some() && belongs_above(line);
        let over = if joined { None } else { self.held.take() };
        let above = if joined { self.held.take() } else { self.open.take() };
        let command = above.is_none() && line.starts_with([':', '?']);
        let input = above.map_or_else(|| line.to_string(), |above| format!("{above}\n{line}"));
        if command || !incomplete(engine, &input) {
            self.held = Some(input);
        } else {
            self.open = Some(input);
        }
        over
    }

    /// Whether an input is complete, unless the next line belongs to it.
    pub fn ready(&self) -> bool {
        self.held.is_some()
    }

    /// The input that is complete as far as the lines tell.
    pub fn take(&mut self) -> Option<String> {
        self.held.take()
    }

    /// What is left when no more lines come.
    pub fn rest(self) -> Option<String> {
        self.held.or(self.open)
    }
}
