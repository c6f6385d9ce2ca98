//! What the engine's own errors mean: unknown functions and variables, wrong types, recursion, syntax.

use super::catalog::{Catalog, script_type};
use super::diagnostics::Diagnostic;
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
            found.message = "stack overflow: functions call each other more than 256 levels deep".into();
            found.hint = "does a function call itself without an end?".into();
        }
        E::ErrorMismatchDataType(expected, actual, _) => {
            found.message = format!("expected {}, got {}", script_type(expected), script_type(actual));
        }
        E::ErrorMismatchOutputType(expected, actual, _) => {
            found.message = format!("expected a result of type {}, got {}", script_type(expected), script_type(actual));
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
        other => found.message = crate::runtime::error::message_of(other),
    }
}

/// What the parser objects to, and what to do about it.
pub fn syntax(kind: &ParseErrorType) -> (String, String) {
    use ParseErrorType as P;
    let said = |text: String| {
        let mut letters = text.chars();
        let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
        format!("syntax: {first}{}", letters.as_str())
    };
    match kind {
        P::Reserved(word) if word.starts_with(|c: char| c.is_alphabetic()) => (
            format!("syntax: `{word}` is a word of the language"),
            "it cannot name a variable, a function or an option; choose another name".into(),
        ),
        P::UnexpectedEOF => {
            ("syntax: the script ends too early".into(), "is a bracket, brace or quote not closed?".into())
        }
        P::BadInput(LexError::UnterminatedString) => {
            ("syntax: this string has no closing quote".into(), "texts of several lines stand between backticks".into())
        }
        P::MissingToken(token, _) if token == ";" => {
            (said(kind.to_string()), "is the statement before complete?".into())
        }
        P::WrongFnDefinition => (said(kind.to_string()), "inside a function, write a closure: let f = |x| ..".into()),
        P::VariableUndefined(name) => (format!("unknown variable `{name}`"), String::new()),
        P::ModuleUndefined(name) => (format!("unknown module `{name}`"), String::new()),
        _ => (said(kind.to_string()), String::new()),
    }
}

/// Name and argument types of a signature such as `f (i64, map)` or `alias::f (i64)`.
fn parts(signature: &str) -> (String, Vec<String>) {
    let (name, rest) = signature.split_once('(').unwrap_or((signature, ""));
    let list = rest.trim_end_matches(')');
    let types = list.split(", ").filter(|t| !t.is_empty()).map(script_type).collect();
    (name.trim().to_string(), types)
}

fn unknown_function(found: &mut Diagnostic, signature: &str, catalog: &Catalog) {
    let (name, types) = parts(signature);
    let given = types.join(", ");
    if name.starts_with("anon$") {
        found.message = format!("the callback does not take ({given})");
        found.hint = format!("write it with {} parameters: |{}| ..", types.len(), parameters(types.len()));
        return;
    }
    let operator = !name.is_empty() && name.chars().all(|c| c.is_ascii_punctuation() && c != '_');
    if operator {
        let sides = types.join(" and ");
        found.message = format!("`{name}` is not defined for {sides}");
        return;
    }
    let plain = name.rsplit("::").next().unwrap_or(&name);
    let forms: Vec<String> = catalog.find(plain).iter().flat_map(|entry| entry.signatures.clone()).collect();
    if forms.is_empty() {
        found.message = format!("unknown function `{name}`");
        found.hint = nearest(plain, catalog);
        return;
    }
    found.message = format!("{name} does not take ({given})");
    found.notes.extend(forms.into_iter().map(|form| format!("exists: {form}")));
}

/// `a, b, c` for a number of parameters.
fn parameters(n: usize) -> String {
    (0..n).map(|i| char::from(b'a' + (i % 26) as u8).to_string()).collect::<Vec<_>>().join(", ")
}

/// `did you mean ..?`, or nothing.
pub fn nearest(word: &str, catalog: &Catalog) -> String {
    let names: Vec<_> = catalog.nearest(word).into_iter().take(3).map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("did you mean {}?", names.join(" or ")) }
}

fn unknown_variable(found: &mut Diagnostic, name: &str, catalog: &Catalog) {
    found.message = format!("unknown variable `{name}`");
    found.hint = if catalog.find(name).is_empty() {
        let near = nearest(name, catalog);
        if near.is_empty() {
            "functions see their parameters and `global::CONSTANT`s, not variables around them".into()
        } else {
            near
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
    let method = catalog.find(name).iter().any(|entry| !entry.signatures.is_empty());
    found.hint = if method { format!("`{name}` is a function: write .{name}()") } else { nearest(name, catalog) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_taken_apart() {
        assert_eq!(parts("f (i64, map)"), ("f".into(), vec!["int".into(), "map".into()]));
        assert_eq!(parts("f ()"), ("f".into(), vec![]));
    }
}
