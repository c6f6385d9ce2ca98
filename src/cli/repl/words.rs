//! A coarse look at a line being typed: enough for colours, indentation and completion, also while it is unfinished.

use std::ops::Range;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Keyword,
    Name,
    /// A name with a parenthesis behind it.
    Call,
    Number,
    /// A string or a character, to its end if it has one.
    Text,
    Comment,
    /// `(`, `[`, `{` or `#{`.
    Open,
    Close,
    Other,
}

/// A piece and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub class: Class,
    pub range: Range<usize>,
    /// Whether a string or a comment has been closed.
    pub closed: bool,
}

/// The words of the language.
pub const KEYWORDS: &[&str] = &[
    "let", "const", "fn", "if", "else", "switch", "for", "in", "while", "loop", "do", "until", "break", "continue",
    "return", "throw", "try", "catch", "import", "export", "as", "private", "true", "false", "this", "global",
    "no_grad", "timed",
];

/// Cuts a text into pieces; blanks belong to none.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut found = vec![];
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (class, length, closed) = piece(rest);
        if let Some(class) = class {
            found.push(Piece { class, range: at..at + length, closed });
        }
        at += length;
    }
    found
}

/// The piece a text begins with: what, how many bytes, whether it is closed.
fn piece(rest: &str) -> (Option<Class>, usize, bool) {
    let first = rest.chars().next().unwrap_or(' ');
    let run = |part: fn(char) -> bool| rest.find(|c| !part(c)).unwrap_or(rest.len());
    let until = |end: &str, from: usize| match rest.get(from..).and_then(|tail| tail.find(end)) {
        Some(found) => (from + found + end.len(), true),
        None => (rest.len(), false),
    };
    if first.is_whitespace() {
        return (None, run(char::is_whitespace), true);
    }
    if rest.starts_with("//") {
        return (Some(Class::Comment), until("\n", 2).0, false);
    }
    if rest.starts_with("/*") {
        let (length, closed) = until("*/", 2);
        return (Some(Class::Comment), length, closed);
    }
    if matches!(first, '"' | '`' | '\'') {
        let (length, closed) = quoted(rest, first);
        return (Some(Class::Text), length, closed);
    }
    if first.is_ascii_digit() {
        return (Some(Class::Number), number(rest), true);
    }
    if first.is_alphabetic() || first == '_' {
        let length = run(|c| c.is_alphanumeric() || c == '_');
        let (word, after) = rest.split_at(length);
        let class = match after.trim_start().chars().next() {
            _ if KEYWORDS.contains(&word) => Class::Keyword,
            Some('(') => Class::Call,
            _ => Class::Name,
        };
        return (Some(class), length, true);
    }
    match first {
        '#' if rest.starts_with("#{") => (Some(Class::Open), 2, true),
        '(' | '[' | '{' => (Some(Class::Open), 1, true),
        ')' | ']' | '}' => (Some(Class::Close), 1, true),
        other => (Some(Class::Other), other.len_utf8(), true),
    }
}

/// The length of the string that a text begins with.
fn quoted(rest: &str, quote: char) -> (usize, bool) {
    let mut escaped = false;
    for (i, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' if quote != '`' => return (i, false),
            _ if letter == quote => return (i + letter.len_utf8(), true),
            _ => {}
        }
    }
    (rest.len(), false)
}

/// The length of the number that a text begins with; a dot belongs to it only with a digit behind.
fn number(rest: &str) -> usize {
    let mut before = ' ';
    let mut letters = rest.char_indices().peekable();
    while let Some((i, letter)) = letters.next() {
        let digit_follows = letters.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        let part = letter.is_ascii_alphanumeric()
            || letter == '_'
            || (letter == '.' && digit_follows)
            || (matches!(letter, '+' | '-') && matches!(before, 'e' | 'E') && !rest.starts_with("0x"));
        if !part {
            return i;
        }
        before = letter;
    }
    rest.len()
}

/// How many brackets are open at the end of a text.
pub fn depth(text: &str) -> usize {
    pieces(text).iter().fold(0_usize, |depth, piece| match piece.class {
        Class::Open => depth + 1,
        Class::Close => depth.saturating_sub(1),
        _ => depth,
    })
}

/// A text in colour.
pub fn paint(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for piece in pieces(text) {
        let code = match piece.class {
            Class::Keyword => "35",
            Class::Call => "34",
            Class::Number => "36",
            Class::Text => "32",
            Class::Comment => "2",
            Class::Name | Class::Open | Class::Close | Class::Other => "",
        };
        let inside = text.get(piece.range.clone()).unwrap_or_default();
        out.push_str(text.get(at..piece.range.start).unwrap_or_default());
        if code.is_empty() {
            out.push_str(inside);
        } else {
            out.push_str(&format!("\x1b[{code}m{inside}\x1b[0m"));
        }
        at = piece.range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_into_pieces() {
        let text = "let a = f(\"x\\\" {\", 1.5e-3, 0..2) // end";
        let found: Vec<_> = pieces(text).into_iter().map(|p| (p.class, text[p.range].to_string())).collect();
        let words: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(
            words,
            ["let", "a", "=", "f", "(", "\"x\\\" {\"", ",", "1.5e-3", ",", "0", ".", ".", "2", ")", "// end"]
        );
        assert_eq!((found[0].0, found[3].0, found[5].0), (Class::Keyword, Class::Call, Class::Text));
    }

    #[test]
    fn open_brackets_are_counted_outside_strings_and_comments() {
        for (text, expected) in
            [("f(#{ a: [", 3), ("fn f() {\n  \"(\" // [", 1), ("f(1)", 0), (")))", 0), ("`${ {", 0), ("/* ( */ {", 1)]
        {
            assert_eq!(depth(text), expected, "{text}");
        }
    }

    #[test]
    fn colours_change_nothing_but_colour() {
        let text = "let é = `a ${b}` + 'c'; /* open";
        let plain = paint(text);
        let stripped = ["35", "34", "36", "32", "2", "0"]
            .iter()
            .fold(plain, |text, code| text.replace(&format!("\x1b[{code}m"), ""));
        assert_eq!(stripped, text);
    }
}
