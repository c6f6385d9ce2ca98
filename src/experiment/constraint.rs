//! What options must keep to beside their own ranges: a condition on several of them, such as `forget_passes <= epochs`.

use crate::runtime::error::message_of;
use crate::runtime::options::{describe, nearest};
use crate::runtime::{Error, Result};
use rhai::{AST, ASTNode, Array, Dynamic, Engine, EvalAltResult, Expr, Map, Scope};
use std::collections::BTreeSet;

/// A condition on options by their names.
pub struct Constraint {
    text: String,
    condition: AST,
    names: BTreeSet<String>,
}

impl Constraint {
    /// Reads one condition or an array of them.
    ///
    /// # Errors
    /// What is no text, does not compile, or names no option.
    pub fn read(engine: &Engine, written: &Dynamic) -> Result<Vec<Self>> {
        match written.read_lock::<Array>() {
            Some(list) => list.iter().map(|one| Self::one(engine, one)).collect(),
            None => Ok(vec![Self::one(engine, written)?]),
        }
    }

    fn one(engine: &Engine, written: &Dynamic) -> Result<Self> {
        let wrong = |message: String| Error::new("tune", message).word("constraints");
        let Ok(text) = written.clone().into_string() else {
            let message =
                format!("`constraints` must be a condition in quotes, or an array of such, got {}", describe(written));
            return Err(
                wrong(message).hint("write them with the options' names: constraints: [\"forget_passes <= epochs\"]")
            );
        };
        let condition = engine.compile_expression(&text).map_err(|problem| {
            let problem = message_of(&EvalAltResult::from(problem));
            wrong(format!("the constraint {text:?} cannot be read: {problem}"))
        })?;
        let names = names_in(&condition);
        if names.is_empty() {
            return Err(wrong(format!("the constraint {text:?} names no option")));
        }
        Ok(Self { text, condition, names })
    }

    /// The condition as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values of the options it names: `epochs 3, forget_passes 5`.
    pub fn values(&self, options: &Map) -> String {
        let each = |name: &String| Some(format!("{name} {}", options.get(name.as_str())?));
        self.names.iter().filter_map(each).collect::<Vec<_>>().join(", ")
    }

    /// Refuses names that are none of the method's options.
    ///
    /// # Errors
    /// Those, with the nearest option.
    pub fn check_names(&self, method: &str, options: &Map) -> Result<()> {
        let Some(name) = self.names.iter().find(|name| !options.contains_key(name.as_str())) else { return Ok(()) };
        let message = format!("the constraint {:?} names `{name}`, which is no option of {method}", self.text);
        let known: Vec<&str> = options.keys().map(AsRef::as_ref).collect();
        let error = Error::new("tune", message).word(name.as_str()).note(format!("options: {}", known.join(", ")));
        Err(match nearest(name, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        })
    }

    /// Whether options keep to it.
    ///
    /// # Errors
    /// An option without a value, and a condition that is neither true nor false.
    pub fn holds(&self, engine: &Engine, options: &Map) -> Result<bool> {
        let text = &self.text;
        let wrong = |message: String| Error::new("tune", message).word("constraints");
        let mut scope = Scope::new();
        for name in &self.names {
            let value = options.get(name.as_str()).cloned().unwrap_or_default();
            if value.is_unit() {
                return Err(wrong(format!("the constraint {text:?} needs a value of `{name}`, which has none"))
                    .hint("search it, or give it in `options`"));
            }
            scope.push_dynamic(name.as_str(), value);
        }
        let found = engine
            .eval_ast_with_scope::<Dynamic>(&mut scope, &self.condition)
            .map_err(|problem| wrong(format!("the constraint {text:?} fails: {}", message_of(&problem))))?;
        found
            .as_bool()
            .map_err(|_| wrong(format!("the constraint {text:?} must be true or false, it is {}", describe(&found))))
    }
}

/// The variables of an expression.
fn names_in(condition: &AST) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    condition.walk(&mut |path| {
        if let Some(ASTNode::Expr(Expr::Variable(parts, ..))) = path.last() {
            names.insert(parts.1.to_string());
        }
        true
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Map {
        Map::from([("epochs".into(), 3_i64.into()), ("lr".into(), 0.1.into()), ("warmup".into(), Dynamic::UNIT)])
    }

    fn one(text: &str) -> Result<Constraint> {
        Constraint::one(&Engine::new(), &text.into())
    }

    #[test]
    fn a_condition_is_judged_by_the_options_values() {
        let holds = |text: &str| one(text).unwrap().holds(&Engine::new(), &options());
        assert!(holds("lr * epochs <= 0.4").unwrap());
        assert!(!holds("epochs < 3 || lr > 1").unwrap());
        assert!(holds("epochs + 1").unwrap_err().to_string().contains("must be true or false, it is 4"));
        assert!(holds("warmup <= epochs").unwrap_err().to_string().contains("needs a value of `warmup`"));
    }

    #[test]
    fn names_are_checked_on_both_sides_of_what_is_not_evaluated() {
        let error = one("epochs > 0 || epoch > 3").unwrap().check_names("m", &options()).unwrap_err();
        let Error::Fault(fault) = error else { panic!("another error") };
        assert!(fault.message.contains("names `epoch`, which is no option of m"), "{}", fault.message);
        assert_eq!(fault.hint, "did you mean `epochs`?");
        assert!(one("epochs > 0").unwrap().check_names("m", &options()).is_ok());
    }

    #[test]
    fn what_is_no_condition_is_refused_when_it_is_read() {
        assert!(one("epochs <=").is_err() && one("1 < 2").is_err() && one("").is_err());
        let engine = Engine::new();
        let error = Constraint::read(&engine, &3_i64.into()).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("must be a condition in quotes"), "{error}");
        assert_eq!(Constraint::read(&engine, &Array::new().into()).map(|list| list.len()).unwrap(), 0);
    }
}
