//! What a script's text says that its syntax tree no longer shows: tokens, comments that stay open, and a minus before `**`.
//! Every text that is to run is compiled here.

use rhai::{AST, Engine, LexError, ParseError, ParseErrorType, Position, Token};

/// The symbol of the error about a minus before `**`.
pub const POWER: &str = "**";
/// The symbol of the error about a comment that is not closed.
pub const COMMENT: &str = "/*";

/// The tokens of a text, comments left out, and what the end of the text leaves open.
pub struct Tokens {
    /// Each with its place; none behind what is no token.
    pub list: Vec<(Token, Position)>,
    /// The error about a comment, or a back-tick string, that is not closed.
    pub open: Option<ParseError>,
}

/// Compiles a text, refusing what Rhai would take in another sense than people do.
///
/// # Errors
/// The first fault of the notation, else the syntax error.
pub fn compile(engine: &Engine, text: &str) -> Result<AST, ParseError> {
    match faults(engine, text).into_iter().next() {
        Some(fault) => Err(fault),
        None => engine.compile(text),
    }
}

/// Every fault of a text's notation, in order.
pub fn faults(engine: &Engine, text: &str) -> Vec<ParseError> {
    let tokens = tokens(engine, text);
    let mut found: Vec<_> = negated_powers(&tokens.list).into_iter().map(ambiguous).collect();
    found.extend(tokens.open);
    found
}

/// Whether an error says that a comment is still open.
pub fn is_open_comment(error: &ParseError) -> bool {
    matches!(&*error.0, ParseErrorType::BadInput(LexError::ImproperSymbol(symbol, _)) if symbol == COMMENT)
}

/// Whether an error says that a comment or a string is still open, so that nothing can be said of what follows.
pub fn is_open(error: &ParseError) -> bool {
    is_open_comment(error) || matches!(&*error.0, ParseErrorType::BadInput(LexError::UnterminatedString))
}

fn ambiguous(position: Position) -> ParseError {
    let text = "a minus before ** is ambiguous: it would be (-a) ** b here and -(a ** b) in mathematics";
    error(POWER, text.into(), position)
}

fn unclosed(position: Position, count: usize) -> ParseError {
    let text = match count {
        1 => "this comment is never closed: all that follows is lost".into(),
        n => {
            format!("this comment is never closed: it holds {} that are open, too, and all that follows is lost", n - 1)
        }
    };
    error(COMMENT, text, position)
}

fn error(symbol: &str, text: String, position: Position) -> ParseError {
    ParseError(Box::new(ParseErrorType::BadInput(LexError::ImproperSymbol(symbol.into(), text))), position)
}

/// Splits a text into tokens, code inside back-tick strings included.
pub fn tokens(engine: &Engine, text: &str) -> Tokens {
    let inputs = [text];
    let (mut stream, control) = engine.lex(&inputs);
    stream.state.include_comments = true;
    let (mut list, mut open) = (vec![], None);
    // The strings around the code: where each began, and how many braces are open in its code. The parser tells the lexer
    // where that code ends; so do we.
    let mut texts: Vec<(Position, usize)> = vec![];
    let mut resumed = None;
    while let Some((token, position)) = stream.next() {
        let start = resumed.take();
        match &token {
            Token::EOF => break,
            Token::Comment(_) if stream.state.comment_level > 0 => {
                open = Some(unclosed(position, stream.state.comment_level));
                break;
            }
            Token::Comment(_) => continue,
            Token::InterpolatedString(_) => texts.push((start.unwrap_or(position), 0)),
            Token::LeftBrace | Token::MapStart => texts.iter_mut().last().into_iter().for_each(|text| text.1 += 1),
            Token::RightBrace => match texts.last_mut() {
                Some((_, 1)) => {
                    resumed = texts.pop().map(|(start, _)| start);
                    control.borrow_mut().is_within_text = true;
                }
                Some((_, depth)) => *depth = depth.saturating_sub(1),
                None => {}
            },
            Token::LexError(error) => {
                let unfinished = matches!(**error, LexError::UnterminatedString);
                open = start.filter(|_| unfinished).map(|start| error.clone().into_err(start));
                list.push((token, position));
                break;
            }
            _ => {}
        }
        list.push((token, position));
    }
    Tokens { list, open }
}

/// What is known of one level of brackets while its tokens pass.
#[derive(Default)]
struct Level {
    /// The minus before the operand that the tokens belong to.
    minus: Option<Position>,
    /// Whether the last token ended an operand: a minus behind it has two sides.
    operand: bool,
    /// Whether statements can stand here.
    block: bool,
    /// Whether the statement begins with a word whose block ends it; `None` before its first token.
    ends: Option<bool>,
}

/// The places of the minus signs that stand, without brackets, before an operand of `**`.
fn negated_powers(tokens: &[(Token, Position)]) -> Vec<Position> {
    let mut found = vec![];
    let mut levels = vec![Level { block: true, ..Level::default() }];
    for (token, position) in tokens {
        let Some(level) = levels.last_mut() else { break };
        if level.ends.is_none() {
            level.ends = Some(level.block && begins_block(token));
        }
        match token {
            Token::LeftParen | Token::LeftBracket | Token::LeftBrace | Token::MapStart | Token::QuestionBracket => {
                level.operand = false;
                levels.push(Level { block: *token == Token::LeftBrace, ..Level::default() });
            }
            Token::RightParen | Token::RightBracket | Token::RightBrace => {
                // A bracket too many is for the parser to find.
                if levels.len() > 1 {
                    levels.pop();
                }
                if let Some(level) = levels.last_mut() {
                    level.close(token);
                }
            }
            Token::PowerOf => {
                found.extend(level.minus);
                level.operator();
            }
            token => level.take(token, *position),
        }
    }
    found
}

impl Level {
    /// A bracket inside has been closed.
    fn close(&mut self, token: &Token) {
        self.operand = true;
        if *token == Token::RightBrace && self.ends == Some(true) {
            *self = Self { block: self.block, ..Self::default() };
        }
    }

    /// An operator with two sides, or anything else behind which an operand begins.
    fn operator(&mut self) {
        (self.minus, self.operand) = (None, false);
    }

    fn take(&mut self, token: &Token, position: Position) {
        match token {
            Token::Minus | Token::UnaryMinus if !self.operand => {
                self.minus.get_or_insert(position);
            }
            Token::Plus | Token::UnaryPlus if !self.operand => {}
            // Behind a name it belongs to a call, `f!(x)`.
            Token::Bang => {}
            Token::IntegerConstant(_) | Token::FloatConstant(_) if !self.operand && is_negative(token) => {
                self.minus.get_or_insert(position);
                self.operand = true;
            }
            // These bind more tightly than `**`: what stands before them belongs to its operand.
            Token::LeftShift | Token::RightShift => self.operand = false,
            Token::Period | Token::Elvis | Token::DoubleColon => self.operand = true,
            Token::SemiColon => *self = Self { block: self.block, ..Self::default() },
            Token::Custom(_) => self.operator(),
            Token::Reserved(word) if !word.starts_with(|c: char| c.is_alphabetic()) => self.operator(),
            token if ends_operand(token) => self.operand = true,
            _ => self.operator(),
        }
    }
}

/// Whether a statement that begins so ends with its block.
fn begins_block(token: &Token) -> bool {
    use Token as T;
    matches!(
        token,
        T::LeftBrace
            | T::If
            | T::Else
            | T::Switch
            | T::While
            | T::Loop
            | T::Do
            | T::For
            | T::Try
            | T::Catch
            | T::Fn
            | T::Private
    )
}

/// Whether an operand, or what looks like one, ends with this token; brackets aside.
pub fn ends_operand(token: &Token) -> bool {
    use Token as T;
    matches!(
        token,
        T::IntegerConstant(_)
            | T::FloatConstant(_)
            | T::CharConstant(_)
            | T::StringConstant(_)
            | T::InterpolatedString(_)
            | T::Identifier(_)
            | T::Reserved(_)
            | T::True
            | T::False
            | T::Unit
    )
}

fn is_negative(token: &Token) -> bool {
    match token {
        Token::IntegerConstant(number) => *number < 0,
        Token::FloatConstant(parts) => parts.0.is_sign_negative(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(usize, usize)> {
        let place = |fault: ParseError| (fault.1.line().unwrap_or(0), fault.1.position().unwrap_or(0));
        faults(&Engine::new(), text).into_iter().map(place).collect()
    }

    #[test]
    fn a_minus_before_a_power_is_found_wherever_it_stands() {
        let found = [
            "-2 ** 2",
            "- 2 ** 2",
            "-2.0 ** 2",
            "-t ** 2",
            "-x.y[0] ** 2",
            "-f(x) ** 2",
            "-m::f(x) ** 2",
            "-(a) ** 2",
            "-x /* c */ ** 2",
            "- // c\nx ** 2",
            "-+x ** 2",
            "-x << 1 ** 2",
            "-a.b?.c?[1] ** 2",
            "-\"a\".len ** 2",
        ];
        for text in found {
            assert_eq!(places(text), [(1, 1)], "{text}");
        }
        let within = [
            "exp(-d ** 2 / 2)",
            "a * -b ** 2",
            "a ** -b ** 2",
            "return -x ** 2;",
            "|x| -x ** 2",
            "|| -x ** 2",
            "[1, -x ** 2]",
            "#{ a: -x ** 2 }",
            "x += -y ** 2;",
            "switch x { 1 => -x ** 2 }",
            "if a { -x ** 2 }",
            "if a { b } -x ** 2",
            "if a { b } else { c } -x ** 2",
            "for i in x { } -2 ** 2",
            "fn f() { } -x ** 2",
            "`${-x ** 2}`",
            "`a ${#{ b: 1 }.b} c ${x + -x ** 2} d`",
            "x ?? -2 ** 2",
            "while -x ** 2 > 9 { }",
            "(-2) ** 2 + -3 ** 2",
        ];
        for text in within {
            assert_eq!(places(text).len(), 1, "{text}");
        }
        assert_eq!(places("let a = 1;\n  -a ** 2;\nexp(-a ** 2)"), [(2, 3), (3, 5)]);
    }

    #[test]
    fn other_signs_and_powers_are_as_they_were() {
        let fine = [
            "(-2) ** 2",
            "-(2 ** 2)",
            "2 ** -1",
            "a - b ** 2",
            "a -2 ** 2",
            "a[0] - 2 ** 2",
            "(a) -2 ** 2",
            "f() - 2 ** 2",
            "#{ a: 1 }.a - 2 ** 2",
            "let a = if b { 5 } else { 6 } - 2 ** 2;",
            "let a = switch b { 1 => 2 } - 2 ** 2;",
            "-x * y ** 2",
            "-x; y ** 2",
            "[-x, y ** 2]",
            "x **= 2",
            "\"-2 ** 2\" // -2 ** 2",
            "/* -2 ** 2 */ `-2 ** 2 ${1 + 1} -3 ** 3`",
            "`${5 - 2 ** 2}`",
        ];
        for text in fine {
            assert!(places(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_stays_open_is_found_where_it_was_opened() {
        assert_eq!(places("1;\n /* a /* b */\n2"), [(2, 2)]);
        assert_eq!(places("1; /** doc\n2"), [(1, 4)]);
        assert_eq!(places("let a = 1;\n x(`a ${a} b"), [(2, 4)]);
        assert!(places("/* a /* b */ */ 1 /* */").is_empty());
        // To Rhai this begins a comment on a function.
        assert_eq!(places("1; /**/ 2"), [(1, 4)]);
        let engine = Engine::new();
        assert!(engine.compile("1; /* 2").is_ok() && compile(&engine, "1; /* 2").is_err());
    }
}
