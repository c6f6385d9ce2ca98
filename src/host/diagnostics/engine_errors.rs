//! What the engine's own errors mean: unknown functions and variables, wrong types, recursion, syntax.

use crate::host::custom_syntax::{CALL_LEVELS, EVAL};
use crate::host::diagnostics::diagnostic::{Diagnostic, Place};
use crate::host::diagnostics::habits;
use crate::host::docs::catalog::{Catalog, script_type};
use crate::host::lint::advice::advice;
use crate::host::lint::signature::compared;
use crate::runtime::notation::{COMMENT, POWER};
use rhai::{EvalAltResult, LexError, ParseErrorType};

/// Fills message, notes and hint for an error raised by the engine itself.
pub fn explain(found: &mut Diagnostic, error: &EvalAltResult, catalog: &Catalog) {
    use EvalAltResult as E;
    match error {
        E::ErrorFunctionNotFound(signature, _) => unknown_function(found, signature, catalog),
        E::ErrorVariableNotFound(name, _) => unknown_variable(found, name, catalog),
        E::ErrorModuleNotFound(name, _) => {
            found.message = format!("unknown module `{name}`");
            found.hint = format!("import it first: import \"{name}\" as {name};");
        }
        E::ErrorStackOverflow(_) => {
            let texts = found.frames.first().is_some_and(|frame| frame.function == EVAL);
            let name = found.place.as_ref().map(|place| place.word()).unwrap_or_default();
            let name = if texts { EVAL.to_string() } else { name };
            let who = if name.is_empty() { "a function".into() } else { format!("function `{name}`") };
            found.message = format!("stack overflow: {who} calls itself more than {CALL_LEVELS} levels deep");
            found.hint = "give the recursion an end, or write a loop".into();
        }
        E::ErrorMismatchDataType(expected, actual, _) => {
            let (expected, actual) = (script_type(expected), script_type(actual));
            found.message = format!("expected {expected}, got {actual}");
            if expected == "int" && found.place.as_ref().is_some_and(Place::is_index) {
                found.message = format!("expected an index of type int, got {actual}");
                found.hint = "arrays and strings are indexed by whole numbers, from 0, and maps by strings".into();
            }
            if expected == "bool" {
                found.hint = in_conditions(&actual).into();
            }
        }
        E::ErrorMismatchOutputType(expected, actual, _) => {
            found.message = format!("expected a result of type {}, got {}", script_type(expected), script_type(actual));
        }
        E::ErrorFor(_) => {
            found.message = "a for loop cannot go through this value".into();
            found.hint =
                "loops go through arrays, ranges and batches; for key in map.keys() { .. } goes through a map".into();
        }
        E::ErrorDotExpr(text, _) => property(found, text, catalog),
        E::ErrorIndexingType(text, _) => {
            let mut parts = text.trim_end_matches(']').splitn(2, " [");
            let (value, index) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            found.message = format!("a {} cannot be indexed by {}", script_type(value), script_type(index));
        }
        E::ErrorNonPureMethodCallOnConstant(name, _) => {
            found.message = format!("{name} changes its object, which is a constant");
            found.hint = "declare it with let instead of const".into();
        }
        E::ErrorDataRace(name, _) => {
            found.message = format!("{name} is in use by the method call around it");
            found.hint = "write the call as a function: f(object, |x| ..) instead of object.f(|x| ..)".into();
        }
        E::ErrorParsing(kind, _) => (found.message, found.hint) = syntax(kind),
        other => found.message = uncapital(&crate::runtime::error::message_of(other)),
    }
}

/// What to write in place of a value of this type where it was taken for true or false.
fn in_conditions(kind: &str) -> &'static str {
    match kind {
        "Selector" => "choices of samples are joined by & (both), | (either) and - (the first but not the second)",
        "Tensor" => "t.item() is the value of a tensor of one element; t.all() and t.any() make one of many",
        _ => "",
    }
}

/// A sentence of Rhai's in our style: without its capital.
fn uncapital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

/// What the parser objects to, and what to do about it.
pub fn syntax(kind: &ParseErrorType) -> (String, String) {
    use ParseErrorType as P;
    let said = |text: String| format!("syntax: {}", uncapital(&text));
    match kind {
        P::Reserved(word) if word.starts_with(|c: char| c.is_alphabetic()) => (
            format!("syntax: `{word}` is a reserved word"),
            "it cannot name a variable, a function or an option; choose another name".into(),
        ),
        P::UnexpectedEOF => {
            ("syntax: the script ends too early".into(), "is a bracket, brace or quote not closed?".into())
        }
        P::BadInput(LexError::UnterminatedString) => {
            ("syntax: this string has no closing quote".into(), "texts of several lines stand between backticks".into())
        }
        P::BadInput(LexError::ImproperSymbol(symbol, text)) if symbol == POWER => {
            (said(text.clone()), "write -(a ** b) or (-a) ** b".into())
        }
        P::BadInput(LexError::ImproperSymbol(symbol, text)) if symbol == COMMENT => (
            said(text.clone()),
            "end it with */; comments nest, so each /* inside needs a */ of its own, and an empty one is /* */".into(),
        ),
        P::MissingToken(token, _) if token == ";" => {
            (said(kind.to_string()), "is the statement before complete?".into())
        }
        P::WrongFnDefinition => (said(kind.to_string()), "inside a function, write a closure: let f = |x| ..".into()),
        P::VariableUndefined(name) => (format!("unknown variable `{name}`"), String::new()),
        P::ModuleUndefined(name) => (format!("unknown module `{name}`"), String::new()),
        _ => (said(kind.to_string()), String::new()),
    }
}

/// What to write for a construct of elsewhere that the parser stumbles over; `text` is the script.
pub fn habit(kind: &ParseErrorType, text: &str, position: rhai::Position) -> Option<&'static str> {
    use ParseErrorType as P;
    // Errors with a clear cause of their own.
    let own = match kind {
        P::BadInput(LexError::ImproperSymbol(symbol, _)) => symbol == POWER || symbol == COMMENT,
        P::AssignmentToConstant(_) | P::WrongFnDefinition | P::FnDuplicatedDefinition(..) | P::LoopBreak => true,
        _ => false,
    };
    let line = position.line().unwrap_or_else(|| text.lines().count());
    if own { None } else { habits::syntax(text, line) }
}

/// Name and argument types of a signature such as `f (i64, map)` or `alias::f (i64)`.
fn parts(signature: &str) -> (String, Vec<String>) {
    let (name, rest) = signature.split_once('(').unwrap_or((signature, ""));
    let list = rest.trim_end_matches(')');
    // Texts are listed as `&str | ImmutableString | String`.
    let types =
        list.split(", ").filter(|t| !t.is_empty()).map(|t| script_type(t.split('|').next().unwrap_or(t).trim()));
    (name.trim().to_string(), types.collect())
}

fn unknown_function(found: &mut Diagnostic, signature: &str, catalog: &Catalog) {
    let (name, types) = parts(signature);
    let given = types.join(", ");
    let operator = !name.is_empty() && name.chars().all(|c| c.is_ascii_punctuation() && c != '_');
    if name.starts_with("anon$") {
        found.message = format!("the callback is given {}, which is not what it takes", count(&types));
        let advice = "if its module is imported inside a function, import it at the top of the script";
        found.hint = format!("write it as |{}| ..; {advice}", parameters(types.len()));
        return;
    }
    if operator {
        found.message = format!("`{name}` is not defined for {}", types.join(" and "));
        if types.iter().any(|name| name == "Selector") {
            found.hint = in_conditions("Selector").into();
        }
        return;
    }
    let plain = name.rsplit("::").next().unwrap_or(&name);
    let mut entries = catalog.find(plain);
    if let Some(first) = types.first().filter(|first| entries.iter().any(|entry| entry.of == **first)) {
        entries.retain(|entry| entry.of == *first);
    }
    let forms: Vec<String> = entries.iter().flat_map(|entry| entry.signatures.clone()).collect();
    if forms.is_empty() {
        found.message = format!("unknown function `{name}`");
        found.hint = habits::function(plain).map_or_else(|| nearest(plain, catalog), Into::into);
        return;
    }
    found.message = format!("{name} does not take ({given})");
    found.hint = advice(plain, &types);
    found.notes.extend(forms.iter().map(|form| compared(form, &types)));
}

/// `2 arguments (int, float)`.
fn count(types: &[String]) -> String {
    match types {
        [] => "no arguments".into(),
        [one] => format!("1 argument ({one})"),
        more => format!("{} arguments ({})", more.len(), more.join(", ")),
    }
}

/// `a, b, c` for a number of parameters.
fn parameters(n: usize) -> String {
    (0..n).map(|i| char::from(b'a' + (i % 26) as u8).to_string()).collect::<Vec<_>>().join(", ")
}

/// `did you mean ..?`, or nothing.
pub fn nearest(word: &str, catalog: &Catalog) -> String {
    let mut names: Vec<String> = vec![];
    for name in catalog.nearest(word) {
        // The same name in a module: `nn::linear`.
        let spaces = || catalog.find(name).into_iter().flat_map(|entry| entry.signatures.iter());
        let name = match spaces().find_map(|form| form.split('(').next().filter(|form| form.contains("::"))) {
            Some(whole) if name == word => format!("`{whole}`"),
            _ if name == word => continue,
            _ => format!("`{name}`"),
        };
        if !names.contains(&name) && names.len() < 3 {
            names.push(name);
        }
    }
    if names.is_empty() { String::new() } else { format!("did you mean {}?", names.join(" or ")) }
}

/// What to do about a variable that exists outside the function that asks for it.
pub fn outside(name: &str) -> String {
    format!(
        "functions see their parameters and global constants alone: pass `{name}` as a parameter, use a closure |x| .., or \
         declare const {name} and write global::{name}"
    )
}

fn unknown_variable(found: &mut Diagnostic, name: &str, catalog: &Catalog) {
    found.message = format!("unknown variable `{name}`");
    found.hint = if catalog.find(name).is_empty() {
        match habits::word(name) {
            Some(hint) => hint.into(),
            None => nearest(name, catalog),
        }
    } else {
        format!("`{name}` is a function; to pass it on write Fn(\"{name}\") or |x| {name}(x)")
    };
}

/// `Unknown property 'x' - a getter is not registered for type 'T'`.
fn property(found: &mut Diagnostic, text: &str, catalog: &Catalog) {
    let quoted: Vec<&str> = text.split('\'').collect();
    let (Some(name), Some(kind)) = (quoted.get(1), quoted.get(3)) else {
        found.message = text.to_string();
        return;
    };
    found.message = format!("{} has no property `{name}`", script_type(kind));
    if *kind == "()" {
        found.hint = "the value before it is (): is there an entry of that name in its map?".into();
        return;
    }
    let method = catalog.find(name).iter().any(|entry| !entry.signatures.is_empty());
    found.hint = if method { format!("`{name}` is a function: write .{name}()") } else { nearest(name, catalog) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::lint::signature::split_list;

    #[test]
    fn signatures_are_taken_apart() {
        assert_eq!(parts("f (i64, map)"), ("f".into(), vec!["int".into(), "map".into()]));
        assert_eq!(parts("f ()"), ("f".into(), vec![]));
        assert_eq!(parts("- (&str | ImmutableString | String, i64)").1, ["string", "int"]);
        assert_eq!(split_list("x: Tensor[n, m], #{ a: int = 1, b: int }").len(), 2);
    }

    #[test]
    fn the_first_argument_that_differs_is_named() {
        let types = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let form = "mmd(x: Tensor[n], y: Tensor[m], #{ sigma: float = 1.0 }) -> Tensor[]";
        let told = |list: &[&str]| compared(form, &types(list));
        assert!(told(&["Tensor", "int"]).ends_with("but y is int, not Tensor"));
        assert!(told(&["Tensor", "Tensor", "float"]).ends_with("but the options are a map #{ .. }, got float"));
        assert!(told(&["Tensor"]).ends_with("but it takes 2 or 3 arguments"));
        assert!(!told(&["Tensor", "Tensor"]).contains("but"));
        assert!(!compared("run(method: string | Fn, n: float)", &types(&["function", "int"])).contains("but"));
    }
}
