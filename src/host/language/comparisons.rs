//! Comparisons of floats as IEEE 754 has them: Rhai's own take values within an epsilon for equal, and infinities for nothing.

use rhai::Engine;
use std::cmp::Ordering;

/// A comparison: its operator, and which orders it holds for.
type Comparison = (&'static str, fn(Option<Ordering>) -> bool);

/// NaN has no order to anything, which only `!=` holds for.
const COMPARISONS: [Comparison; 6] = [
    ("==", |order| order == Some(Ordering::Equal)),
    ("!=", |order| order != Some(Ordering::Equal)),
    ("<", |order| order == Some(Ordering::Less)),
    ("<=", |order| order.is_some_and(Ordering::is_le)),
    (">", |order| order == Some(Ordering::Greater)),
    (">=", |order| order.is_some_and(Ordering::is_ge)),
];

/// 2^63, the first float above every integer.
const ABOVE_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

/// The exact order of an integer and a float; converting the integer would round it above 2^53.
fn order(integer: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= ABOVE_INTEGERS {
        return Some(Ordering::Less);
    }
    if float < -ABOVE_INTEGERS {
        return Some(Ordering::Greater);
    }
    let whole = float.trunc();
    Some(integer.cmp(&(whole as i64)).then_with(|| 0.0_f64.partial_cmp(&(float - whole)).unwrap_or(Ordering::Equal)))
}

/// The larger or smaller of two numbers; NaN when one of them is.
fn chosen(left: f64, right: f64, larger: bool) -> f64 {
    if left.is_nan() || right.is_nan() {
        return f64::NAN;
    }
    if larger { left.max(right) } else { left.min(right) }
}

/// Adds the comparisons to the engine, which asks functions before its own operators from then on.
pub fn register(engine: &mut Engine) {
    engine.set_fast_operators(false);
    for (name, holds) in COMPARISONS {
        engine.register_fn(name, move |left: f64, right: f64| holds(left.partial_cmp(&right)));
        engine.register_fn(name, move |left: i64, right: f64| holds(order(left, right)));
        engine.register_fn(name, move |left: f64, right: i64| holds(order(right, left).map(Ordering::reverse)));
    }
    for (name, larger) in [("max", true), ("min", false)] {
        engine.register_fn(name, move |left: f64, right: f64| chosen(left, right, larger));
        engine.register_fn(name, move |left: i64, right: f64| chosen(left as f64, right, larger));
        engine.register_fn(name, move |left: f64, right: i64| chosen(left, right as f64, larger));
    }
}

#[cfg(test)]
mod tests {
    use super::order;
    use std::cmp::Ordering::{Equal, Greater, Less};

    #[test]
    fn integers_and_floats_are_ordered_exactly() {
        let cases = [
            (9_007_199_254_740_993, 9_007_199_254_740_992.0, Some(Greater)),
            (i64::MAX, 9_223_372_036_854_775_808.0, Some(Less)),
            (i64::MIN, -9_223_372_036_854_775_808.0, Some(Equal)),
            (0, 1e-300, Some(Less)),
            (0, -0.0, Some(Equal)),
            (-1, -1.5, Some(Greater)),
            (1, 1.5, Some(Less)),
            (1, f64::INFINITY, Some(Less)),
            (1, f64::NEG_INFINITY, Some(Greater)),
            (1, f64::NAN, None),
        ];
        for (integer, float, expected) in cases {
            assert_eq!(order(integer, float), expected, "{integer} and {float}");
        }
    }
}
