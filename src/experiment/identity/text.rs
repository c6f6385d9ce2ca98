//! A script as its tokens, so that comments and the layout of lines decide nothing; where its functions and closures are.

use crate::runtime::hex::hex_of;
use crate::runtime::notation::{self, ends_operand};
use rhai::{Engine, Position, Token};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ops::Range;

/// The tokens of a script without its comments.
#[derive(Debug, Default)]
pub struct Text {
    tokens: Vec<(Token, Position)>,
    functions: Vec<(String, Range<usize>)>,
    imports: Vec<Import>,
}

/// A name that a stretch of tokens speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name<'a> {
    /// A word outside strings.
    Word(&'a str),
    /// The whole text of a string.
    String(&'a str),
    /// `global::NAME`.
    Constant(&'a str),
    /// Something that may name anything: `eval(..)`, `Fn(x)`, `arg(x, ..)`, `import x`.
    Anything,
}

/// An `import "path" as alias`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// What is imported.
    pub path: String,
    /// The name it goes by; empty when it has none.
    pub alias: String,
}

/// The first 16 bytes of the SHA-256 of a text, in hexadecimal digits.
pub fn short(text: impl AsRef<[u8]>) -> String {
    hex_of(&Sha256::digest(text.as_ref()), 16)
}

impl Text {
    /// Takes a script apart.
    pub fn new(engine: &Engine, script: &str) -> Self {
        let tokens = notation::tokens(engine, script).list;
        let (functions, imports) = (functions(&tokens), imports(&tokens));
        Self { tokens, functions, imports }
    }

    /// The whole script.
    pub fn all(&self) -> Range<usize> {
        0..self.tokens.len()
    }

    /// Where the functions of this name are.
    pub fn functions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        self.functions.iter().filter(move |(known, _)| known == name).map(|(_, range)| range.clone())
    }

    /// Where the closure is whose body starts at or around this place; the innermost of them.
    pub fn closure(&self, inside: Position) -> Option<Range<usize>> {
        let key = |position: &Position| (position.line(), position.position());
        let wanted = key(&inside);
        wanted.0?;
        let at = |index: usize| self.tokens.get(index).map(|(_, position)| key(position));
        let starts = (0..self.tokens.len()).rev().filter(|index| at(*index).is_some_and(|place| place < wanted));
        let mut found = starts.filter_map(|index| closure(&self.tokens, index));
        found.find(|range| at(range.end - 1).is_some_and(|last| wanted <= last))
    }

    /// A hash of a stretch.
    pub fn hash(&self, range: &Range<usize>) -> String {
        let tokens = self.tokens.get(range.clone()).unwrap_or_default();
        short(tokens.iter().map(|(token, _)| format!("{token:?}\n")).collect::<String>())
    }

    /// What a stretch speaks of, each name once.
    pub fn names(&self, range: &Range<usize>) -> BTreeSet<Name<'_>> {
        let tokens = self.tokens.get(range.clone()).unwrap_or_default();
        let token = |index: usize| tokens.get(index).map(|(token, _)| token);
        let string = |index: usize| matches!(token(index), Some(Token::StringConstant(_)));
        let mut names = BTreeSet::new();
        for (index, (here, _)) in tokens.iter().enumerate() {
            if matches!(here, Token::Import) && !string(index + 1) {
                names.insert(Name::Anything);
            }
            match here {
                Token::StringConstant(text) => drop(names.insert(Name::String(text))),
                _ => {
                    let Some(word) = word(here) else { continue };
                    let qualified = index >= 2
                        && matches!(token(index - 1), Some(Token::DoubleColon))
                        && token(index - 2).and_then(self::word) == Some("global");
                    let called = matches!(token(index + 1), Some(Token::LeftParen));
                    names.insert(if qualified { Name::Constant(word) } else { Name::Word(word) });
                    if called && (word == "eval" || ["Fn", "arg"].contains(&word) && !string(index + 2)) {
                        names.insert(Name::Anything);
                    }
                }
            }
        }
        names
    }

    /// Every import with a path that is written out.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }
}

fn imports(tokens: &[(Token, Position)]) -> Vec<Import> {
    let mut found = vec![];
    for (index, _) in tokens.iter().enumerate().filter(|(_, (token, _))| matches!(token, Token::Import)) {
        let token = |ahead: usize| tokens.get(index + ahead).map(|(token, _)| token);
        if let Some(Token::StringConstant(path)) = token(1) {
            let alias = token(3).filter(|_| matches!(token(2), Some(Token::As))).and_then(word);
            found.push(Import { path: path.to_string(), alias: alias.unwrap_or_default().into() });
        }
    }
    found
}

/// The word that a token is, keywords that name functions included.
fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Identifier(word) | Token::Reserved(word) | Token::Custom(word) => Some(word),
        _ => None,
    }
}

/// Behind the bracket that closes the one at `open`.
fn behind_match(tokens: &[(Token, Position)], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, (token, _)) in tokens.iter().enumerate().skip(open) {
        match nesting(token) {
            1 => depth += 1,
            -1 => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

fn nesting(token: &Token) -> i8 {
    match token {
        Token::LeftBrace | Token::MapStart | Token::LeftParen | Token::LeftBracket | Token::QuestionBracket => 1,
        Token::RightBrace | Token::RightParen | Token::RightBracket => -1,
        _ => 0,
    }
}

/// `fn name(..) { .. }`, `fn Type.name(..) { .. }`.
fn functions(tokens: &[(Token, Position)]) -> Vec<(String, Range<usize>)> {
    let mut found = vec![];
    for (start, _) in tokens.iter().enumerate().filter(|(_, (token, _))| matches!(token, Token::Fn)) {
        let open = |wanted: fn(&Token) -> bool, from: usize| {
            tokens.iter().enumerate().skip(from).find(|(_, (token, _))| wanted(token)).map(|(index, _)| index)
        };
        let Some(parameters) = open(|token| matches!(token, Token::LeftParen | Token::Unit), start) else { continue };
        let Some(name) = parameters.checked_sub(1).and_then(|at| tokens.get(at)).and_then(|(token, _)| word(token))
        else {
            continue;
        };
        let body = open(|token| matches!(token, Token::LeftBrace), behind_match(tokens, parameters));
        let end = body.map_or(tokens.len(), |body| behind_match(tokens, body));
        found.push((name.to_string(), start..end));
    }
    found
}

/// The closure that starts at a token, if one does.
fn closure(tokens: &[(Token, Position)], start: usize) -> Option<Range<usize>> {
    let token = |index: usize| tokens.get(index).map(|(token, _)| token);
    let ends = |token: &Token| {
        ends_operand(token) || matches!(token, Token::RightParen | Token::RightBracket | Token::Custom(_))
    };
    let operand = start.checked_sub(1).and_then(token).is_some_and(ends);
    if operand {
        return None;
    }
    let body = match token(start)? {
        Token::Or => start + 1,
        Token::Pipe => {
            let mut at = start + 1;
            while matches!(token(at), Some(Token::Identifier(_) | Token::Comma)) {
                at += 1;
            }
            matches!(token(at), Some(Token::Pipe)).then_some(at + 1)?
        }
        _ => return None,
    };
    if matches!(token(body), Some(Token::LeftBrace)) {
        return Some(start..behind_match(tokens, body));
    }
    let mut at = body;
    while let Some(here) = token(at) {
        match nesting(here) {
            1 => at = behind_match(tokens, at),
            -1 => break,
            _ if matches!(here, Token::Comma | Token::SemiColon) => break,
            _ => at += 1,
        }
    }
    Some(start..at.max(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(script: &str) -> Text {
        Text::new(&Engine::new(), script)
    }

    fn whole(script: &str) -> String {
        let text = text(script);
        text.hash(&text.all())
    }

    #[test]
    fn comments_and_layout_decide_nothing_and_everything_else_does() {
        let script = "/// Doc.\nfn f(x) {\n    x + 1 // one\n}\n";
        assert_eq!(whole(script), whole("fn f(x){x+1}"));
        for other in ["fn f(x){x+2}", "fn f(y){y+1}", "fn f(x){x+1.0}", "fn f(x){\"x+1\"}", "fn f(x){x-1}"] {
            assert_ne!(whole(script), whole(other), "{other}");
        }
        // Switch cases are hashed away in the syntax tree.
        assert_ne!(whole("switch x { 1 => 2 }"), whole("switch x { 3 => 2 }"));
    }

    #[test]
    fn the_rest_of_an_interpolated_text_is_text() {
        let script = "fn a() { `x ${b(#{ c: 1 })} y ${d} ;|z| } e` }\nfn f() { 2 }";
        let text = text(script);
        let range = text.functions("f").next().unwrap();
        assert_eq!(text.names(&range).into_iter().collect::<Vec<_>>(), [Name::Word("f")]);
        let range = text.functions("a").next().unwrap();
        let names = text.names(&range);
        assert!(
            names.contains(&Name::Word("b")) && names.contains(&Name::Word("d")) && !names.contains(&Name::Word("e"))
        );
    }

    #[test]
    fn functions_of_every_form_are_found_whole() {
        let text =
            text("private fn a(x) { if x { #{ y: 1 } } else { 2 } } fn Net.b(y) { this } fn c() { a(1) } let z = 1;");
        let length = |name: &str| text.functions(name).map(|range| range.len()).collect::<Vec<_>>();
        assert_eq!([length("a"), length("b"), length("c"), length("z")], [vec![20], vec![10], vec![9], vec![]]);
    }

    #[test]
    fn closures_are_found_by_a_place_inside() {
        let script = "let a = |x| x + 1;\nlet b = [|| { 2 }, |y| |z| z | y];\nlet c = 1 | 2;";
        let text = text(script);
        let at = |line: u16, column: u16| {
            let range = text.closure(Position::new(line, column))?;
            Some(text.tokens[range].iter().map(|(token, _)| token.to_string()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(at(1, 13).as_deref(), Some("| x | x + 1"));
        assert_eq!(at(2, 13).as_deref(), Some("|| { 2 }"));
        // The outer one's body starts where the inner one does.
        assert_eq!(at(2, 24).as_deref(), Some("| y | | z | z | y"));
        assert_eq!(at(2, 28).as_deref(), Some("| z | z | y"));
        assert_eq!((at(3, 13), at(1, 1)), (None, None));
    }

    #[test]
    fn names_say_what_may_be_reached() {
        let text = text("import \"lib/a\" as h; import \"b\"; fn f() { h::g(global::K); Fn(\"k\") }");
        let range = text.functions("f").next().unwrap();
        let names = text.names(&range);
        for name in [Name::Word("h"), Name::Word("g"), Name::Constant("K"), Name::String("k")] {
            assert!(names.contains(&name), "{name:?}");
        }
        assert!(!names.contains(&Name::Anything));
        let import = |path: &str, alias: &str| Import { path: path.into(), alias: alias.into() };
        assert_eq!(text.imports(), [import("lib/a", "h"), import("b", "")]);
        for dynamic in ["Fn(x)", "eval(x)", "arg(x, 1)", "import x as y"] {
            let text = self::text(dynamic);
            assert!(text.names(&text.all()).contains(&Name::Anything), "{dynamic}");
        }
    }
}
