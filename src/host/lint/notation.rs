//! Findings in a script's text that its syntax tree no longer shows.

use crate::runtime::notation::tokens;
use rhai::{Engine, Position, Token};

/// Divisions of two whole numbers that lose their fraction: place, dividend, divisor.
pub fn lossy_divisions(engine: &Engine, text: &str) -> Vec<(Position, i64, i64)> {
    let mut found = vec![];
    let mut window: [(Token, Position); 3] = std::array::from_fn(|_| (Token::SemiColon, Position::NONE));
    for (token, position) in tokens(engine, text).list {
        if let ([(before, _), (Token::IntegerConstant(a), start), (Token::Divide, _)], Token::IntegerConstant(b)) =
            (&window, &token)
            && *b != 0
            && a % b != 0
            && !matches!(before, Token::Multiply | Token::Divide | Token::Modulo | Token::PowerOf | Token::Period)
        {
            found.push((*start, *a, *b));
        }
        window.rotate_left(1);
        window[2] = (token, position);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_divisions_that_lose_something_count() {
        let engine = Engine::new();
        let found = |text: &str| lossy_divisions(&engine, text).len();
        assert_eq!(found("let x = 1 / 3;"), 1);
        assert_eq!(found("let x = 6 / 3; let y = 1.0 / 3; let z = a * 1 / 3; let w = n / 3;"), 0);
        assert_eq!(found("\"1 / 3\"; // 1 / 3"), 0);
    }
}
