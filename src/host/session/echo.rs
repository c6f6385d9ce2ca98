//! Values as a session shows them: short, with few decimals, long lists elided.

use crate::host::docs::catalog::script_type;
use crate::host::evaluate::evaluate;
use crate::tensor::{Tensor, print};
use rhai::{AST, Array, Dynamic, Engine, ImmutableString, Map, Scope};
use std::rc::Rc;

/// Arrays longer than this are elided.
const LONG: usize = 20;
/// How many items an elided array shows at its beginning and at its end.
const SHOWN: (usize, usize) = (8, 3);
/// Longest text that is shown whole.
const LONGEST: usize = 10_000;
/// Widest map on one line.
const WIDTH: usize = 96;
/// Widest short form of a variable.
const SHORT: usize = 72;

/// Formats values; those of our own types say themselves what they look like.
pub struct Echo {
    engine: Rc<Engine>,
    ask: Option<AST>,
}

impl Echo {
    /// Asks the types registered with `engine`.
    pub fn new(engine: &Rc<Engine>) -> Self {
        Self { engine: engine.clone(), ask: engine.compile("it.to_debug()").ok() }
    }

    /// The script's name of a value's type.
    pub fn kind(&self, value: &Dynamic) -> String {
        script_type(self.engine.map_type_name(value.type_name()))
    }

    /// The value as it is shown after an input.
    pub fn text(&self, value: &Dynamic) -> String {
        if let Some(tensor) = value.read_lock::<Tensor>() {
            return print::echo(&tensor);
        }
        if let Some(text) = value.read_lock::<ImmutableString>().filter(|text| text.contains('\n')) {
            // Tables and reports are to be read, not to be typed.
            return elided(&text);
        }
        let text = self.value(value);
        let wide = text.chars().count() > WIDTH;
        match (value.read_lock::<Map>(), value.read_lock::<Array>()) {
            (Some(map), _) if wide => self.tall(&map),
            (_, Some(items)) if wide && !items.iter().all(is_plain) => self.listed(&items),
            _ if value.is_string() => elided(&text),
            _ => text,
        }
    }

    /// The value in one line, cut when it is long.
    pub fn line(&self, value: &Dynamic) -> String {
        let text = self.value(value);
        let first = text.lines().next().unwrap_or_default();
        let cut = first.chars().count() > SHORT || text.lines().nth(1).is_some();
        if cut { first.chars().take(SHORT - 2).chain(" …".chars()).collect() } else { first.into() }
    }

    fn value(&self, value: &Dynamic) -> String {
        if let Ok(number) = value.as_float() {
            return float(number);
        }
        if let Ok(letter) = value.as_char() {
            return format!("{letter:?}");
        }
        if let Some(items) = value.read_lock::<Array>() {
            return self.array(&items);
        }
        if let Some(map) = value.read_lock::<Map>() {
            let fields: Vec<_> =
                map.iter().map(|(key, value)| format!("{}: {}", name(key), self.value(value))).collect();
            return if fields.is_empty() { "#{}".into() } else { format!("#{{ {} }}", fields.join(", ")) };
        }
        if let Some(function) = value.read_lock::<rhai::FnPtr>() {
            return if function.is_anonymous() { "a closure".into() } else { format!("Fn({:?})", function.fn_name()) };
        }
        self.own(value)
    }

    fn array(&self, items: &Array) -> String {
        let all = |items: &[Dynamic]| items.iter().map(|item| self.value(item)).collect::<Vec<_>>().join(", ");
        let ends = (items.get(..SHOWN.0), items.get(items.len().saturating_sub(SHOWN.1)..));
        match ends {
            (Some(first), Some(last)) if items.len() > LONG => {
                format!("[{}, …, {}] ({} items)", all(first), all(last), items.len())
            }
            _ => format!("[{}]", all(items)),
        }
    }

    /// An array with a line for each item.
    fn listed(&self, items: &Array) -> String {
        let lines = |items: &[Dynamic]| -> String {
            items.iter().map(|item| format!("  {},\n", self.value(item).replace('\n', "\n  "))).collect()
        };
        match (items.get(..SHOWN.0), items.get(items.len().saturating_sub(SHOWN.1)..)) {
            (Some(first), Some(last)) if items.len() > LONG => {
                format!("[\n{}  …,\n{}] ({} items)", lines(first), lines(last), items.len())
            }
            _ => format!("[\n{}]", lines(items)),
        }
    }

    /// A map with a line for each key, values aligned.
    fn tall(&self, map: &Map) -> String {
        let longest = map.keys().map(|key| name(key).chars().count()).max().unwrap_or(0);
        let field = |(key, value): (&rhai::Identifier, &Dynamic)| {
            let gap = " ".repeat(longest.saturating_sub(name(key).chars().count()));
            format!("  {}:{gap} {}", name(key), self.value(value).replace('\n', "\n  "))
        };
        format!("#{{\n{}\n}}", map.iter().map(field).collect::<Vec<_>>().join(",\n"))
    }

    /// What the type itself says; its name when it has nothing to say.
    fn own(&self, value: &Dynamic) -> String {
        let mut scope = Scope::new();
        scope.push_dynamic("it", value.clone());
        let ask = |ast| evaluate(&self.engine, &mut self.engine.new_global_runtime_state(), &mut scope, ast);
        let said = self.ask.as_ref().map(ask).and_then(Result::ok).and_then(|text| text.into_string().ok());
        said.unwrap_or_else(|| self.kind(value))
    }
}

/// Whether a value is short in itself, so that many of them can share a line.
fn is_plain(value: &Dynamic) -> bool {
    value.is_int() || value.is_float() || value.is_bool() || value.is_char() || value.is_string() || value.is_unit()
}

/// A text, cut when it is so long that it would push everything else off the screen.
fn elided(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST {
        return text.into();
    }
    let first: String = text.chars().take(LONGEST).collect();
    format!("{first} … ({length} characters)")
}

/// A key as it would be typed.
fn name(key: &str) -> String {
    if rhai::is_valid_identifier(key) { key.into() } else { format!("{key:?}") }
}

/// A number with at most four decimals, or four digits when it is small or large.
fn float(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() {
        return number.to_string();
    }
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        let text = format!("{number:.3e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trimmed(digits));
    }
    let zeros = if size == 0.0 || size >= 0.1 { 0 } else { (-size.log10()).ceil() as usize - 1 };
    trimmed(&format!("{number:.*}", 4 + zeros))
}

/// Decimals without the zeros at their end, but one.
fn trimmed(text: &str) -> String {
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short() {
        let cases = [
            (0.941_666, "0.9417"),
            (1.0, "1.0"),
            (-0.5, "-0.5"),
            (0.0, "0.0"),
            (0.001_234_56, "0.001235"),
            (1.5e-7, "1.5e-7"),
            (123_456.789_12, "123456.7891"),
            (3e12, "3.0e12"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }

    fn shown(script: &str) -> String {
        let engine = Rc::new(Engine::new());
        Echo::new(&engine).text(&engine.eval::<Dynamic>(script).unwrap())
    }

    #[test]
    fn values_are_shown_as_they_would_be_typed() {
        assert_eq!(shown("[1, 2.50, \"a\\\"b\", 'c', true, ()]"), r#"[1, 2.5, "a\"b", 'c', true, ()]"#);
        assert_eq!(shown("#{ b: 1, \"a b\": [] }"), r#"#{ "a b": [], b: 1 }"#);
        assert_eq!(shown("Fn(\"f\")"), "Fn(\"f\")");
        assert_eq!(shown("|x| x"), "a closure");
        assert_eq!(shown("1..3"), "1..3");
    }

    #[test]
    fn long_arrays_are_elided_and_wide_maps_get_a_line_for_each_key() {
        let text = shown("let a = []; for i in 0..1000 { a.push(i); } a");
        assert_eq!(text, "[0, 1, 2, 3, 4, 5, 6, 7, …, 997, 998, 999] (1000 items)");
        let text = shown("let a = []; a.pad(20, 0.123456); #{ loss: a, n: 1 }");
        assert!(text.starts_with("#{\n  loss: [0.1235, ") && text.ends_with("],\n  n:    1\n}"), "{text}");
    }

    #[test]
    fn arrays_of_arrays_get_a_line_for_each_and_texts_of_lines_are_shown_as_lines() {
        let text = shown("let a = []; for i in 0..3 { let b = []; b.pad(12, 1000 + i); a.push(b); } a");
        assert!(text.starts_with("[\n  [1000, 1000, ") && text.ends_with("1002],\n]"), "{text}");
        assert_eq!(text.lines().count(), 5);
        assert_eq!(shown("`a\nb\"`"), "a\nb\"");
        let text = shown("let s = \"\"; s.pad(1_000_000, 'x'); s");
        assert!(text.chars().count() < 11_000 && text.ends_with("x … (1000002 characters)"), "{}", text.len());
    }
}
