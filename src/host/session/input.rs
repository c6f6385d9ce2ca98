//! Where inputs end: whether a text is unfinished, whether its value is wanted, how a piped text falls into inputs.

use rhai::{Engine, LexError, ParseError, ParseErrorType, Position, Token};

/// Whether a text is the beginning of an input rather than one that is wrong or done.
pub fn incomplete(engine: &Engine, text: &str) -> bool {
    let Err(ParseError(kind, position)) = engine.compile(text) else {
        // The engine does not mind a comment that is still open.
        return tokens(engine, text).1;
    };
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
    tokens(engine, text).0.last() == Some(&Token::SemiColon)
}

/// The tokens of a text, and whether it ends inside a comment.
fn tokens(engine: &Engine, text: &str) -> (Vec<Token>, bool) {
    let inputs = [text];
    let (mut stream, control) = engine.lex(&inputs);
    let mut found = vec![];
    // Open braces of the code inside a back-tick string. The parser tells the lexer where that code ends; so do we.
    let mut depths: Vec<usize> = vec![];
    for (token, _) in stream.by_ref() {
        match &token {
            Token::EOF => break,
            Token::InterpolatedString(_) => depths.push(0),
            Token::LeftBrace | Token::MapStart => depths.iter_mut().last().into_iter().for_each(|depth| *depth += 1),
            Token::RightBrace => match depths.last_mut() {
                Some(1) => {
                    depths.pop();
                    control.borrow_mut().is_within_text = true;
                }
                Some(depth) => *depth = depth.saturating_sub(1),
                None => {}
            },
            _ => {}
        }
        found.push(token);
    }
    (found, stream.state.comment_level > 0)
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
