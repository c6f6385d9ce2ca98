//! Script arguments: `arg("epochs", 10)` in a script, `--set epochs=20` on the command line.

use crate::runtime::options::{describe, nearest, type_name};
use crate::runtime::{Error, Result, Run, notation};
use rhai::{AST, ASTNode, Dynamic, Engine, Expr, Stmt};
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};

/// The arguments a run has asked for so far, with the values they had. A run slot.
#[derive(Default)]
pub struct Arguments {
    values: RefCell<Map<String, Value>>,
    /// Whether a value given was none of the default's type.
    refused: Cell<bool>,
    /// The names of arguments that the script's text asks for.
    declared: RefCell<Vec<String>>,
}

/// The arguments a script declares, as far as its text tells.
#[derive(Debug, Default)]
pub struct Declared {
    /// The calls of `arg` with a literal name: the name, and the default where that is a literal, too.
    calls: Vec<(String, Option<Dynamic>)>,
    /// Whether there may be others: computed names, or imports of files.
    open: bool,
}

impl Arguments {
    /// Names and values, for the run folder.
    pub fn values(&self) -> Value {
        Value::Object(self.values.borrow().clone())
    }

    /// The value of an argument: the one given on the command line, typed by the default, else the default.
    ///
    /// # Errors
    /// When the text given is no value of the default's type.
    pub fn read(&self, run: &Run, name: &str, default: Dynamic) -> Result<Dynamic> {
        let given = run.settings().arguments.iter().rev().find(|(key, _)| key == name);
        let value = match given {
            Some((_, text)) => typed(name, text, &default).inspect_err(|_| self.refused.set(true))?,
            None => default,
        };
        let json = serde_json::to_value(&value).unwrap_or_else(|_| Value::String(value.to_string()));
        self.values.borrow_mut().insert(name.into(), json);
        Ok(value)
    }

    /// Whether a `--set` was refused because of its type: the command line was at fault, not the script.
    pub fn refused(&self) -> bool {
        self.refused.get()
    }

    /// Takes note of the arguments that the script's text names, which a run may not come to ask for: its results may be those
    /// of an earlier one.
    pub fn expect(&self, declared: &Declared) {
        self.declared.replace(declared.names().into_iter().map(String::from).collect());
    }

    /// An error for a `--set` that the run, now ended, never asked for and the script's text does not name.
    ///
    /// # Errors
    /// When there is one.
    pub fn refuse_unused(&self, run: &Run) -> Result<()> {
        let (used, declared) = (self.values.borrow(), self.declared.borrow());
        let known: Vec<&str> = used.keys().chain(declared.iter()).map(String::as_str).collect();
        refuse_unknown(&run.settings().arguments, &known)
    }
}

impl Declared {
    /// What a script and the scripts it imports declare.
    pub fn of(engine: &Engine, name: &str, ast: &AST) -> Self {
        let mut declared = Self::default();
        let mut seen = vec![name.to_string()];
        let mut imports = declared.scan(name, ast);
        while let Some((from, path)) = imports.pop() {
            let Ok((name, text)) = crate::runtime::imports::find(Some(&from), &path) else {
                // Running the import will say what is wrong with it.
                declared.open = true;
                continue;
            };
            if seen.contains(&name) {
                continue;
            }
            match notation::compile(engine, &text) {
                Ok(ast) => imports.extend(declared.scan(&name, &ast)),
                Err(_) => declared.open = true,
            }
            seen.push(name);
        }
        declared
    }

    fn names(&self) -> Vec<&str> {
        self.calls.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Adds what one script declares; the files it imports, as (name of the script, path).
    fn scan(&mut self, name: &str, ast: &AST) -> Vec<(String, String)> {
        let mut imports = vec![];
        ast.walk(&mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::Import(what, _))) => match &what.0 {
                    // The embedded library declares no arguments.
                    Expr::StringConstant(path, _) if path.starts_with("std/") => {}
                    Expr::StringConstant(path, _) => imports.push((name.to_string(), path.to_string())),
                    _ => self.open = true,
                },
                Some(ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _)))
                    if call.name == "arg" && call.args.len() == 2 =>
                {
                    match call.args.first() {
                        Some(Expr::StringConstant(name, _)) => {
                            let default = call.args.get(1).and_then(|default| default.get_literal_value(None));
                            self.calls.push((name.to_string(), default));
                        }
                        _ => self.open = true,
                    }
                }
                _ => {}
            }
            true
        });
        imports
    }

    /// An error for a `--set` that the script cannot ask for.
    ///
    /// # Errors
    /// When there is one, and the script's text tells all its arguments.
    pub fn refuse_unknown(&self, given: &[(String, String)]) -> Result<()> {
        if self.open {
            return Ok(());
        }
        refuse_unknown(given, &self.names())
    }

    /// An error for a `--set` of which no call of `arg` could make anything.
    ///
    /// # Errors
    /// When there is one, and every call with its name has a literal default.
    pub fn refuse_wrong(&self, given: &[(String, String)]) -> Result<()> {
        for (key, text) in given {
            let mut problem = None;
            for (_, default) in self.calls.iter().filter(|(name, _)| name == key) {
                match default.as_ref().map(|default| typed(key, text, default)) {
                    Some(Err(error)) => problem = problem.or(Some(error)),
                    _ => return Ok(()),
                }
            }
            problem.map_or(Ok(()), Err)?;
        }
        Ok(())
    }
}

fn refuse_unknown(given: &[(String, String)], known: &[&str]) -> Result<()> {
    let Some((key, _)) = given.iter().find(|(key, _)| !known.contains(&key.as_str())) else { return Ok(()) };
    let error = Error::new("--set", format!("the script has no argument `{key}`")).word(key);
    let error = match nearest(key, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    };
    Err(if known.is_empty() {
        error.note("it calls arg(\"name\", default) nowhere")
    } else {
        error.note(format!("its arguments: {}", known.join(", ")))
    })
}

/// Reads a text as a value of the default's type.
fn typed(name: &str, text: &str, default: &Dynamic) -> Result<Dynamic> {
    let wrong = |expected: &str| {
        let kind = format!("{expected} (the default is {})", brief(default));
        Err(Error::new("--set", format!("{name}={text} is not {kind}")).word(name))
    };
    let trimmed = text.trim();
    if default.is_string() {
        return Ok(text.into());
    }
    if default.is_int() {
        let whole = trimmed.replace('_', "").parse::<i64>().ok();
        let whole = whole.or_else(|| crate::runtime::options::as_integer(&trimmed.parse::<f64>().ok()?.into()));
        return whole.map_or_else(|| wrong("an integer"), |n| Ok(n.into()));
    }
    if default.is_float() {
        let number = trimmed.parse::<f64>().ok();
        // Where the default is infinite, another infinity may be meant.
        let finite = default.as_float().is_ok_and(f64::is_finite);
        let number = number.filter(|x| !x.is_nan() && (x.is_finite() || !finite));
        return number.map_or_else(|| wrong(if finite { "a finite number" } else { "a number" }), |x| Ok(x.into()));
    }
    if default.is_bool() {
        return trimmed.parse::<bool>().map_or_else(|_| wrong("true or false"), |flag| Ok(flag.into()));
    }
    let engine = Engine::new_raw();
    let literal = engine.eval_expression::<Dynamic>(text);
    if let (Ok(_), Some(fault)) = (&literal, notation::faults(&engine, text).first()) {
        return Err(Error::new("--set", format!("{name}={text}: {}", fault.0)).word(name));
    }
    match literal {
        Ok(value) if default.is_unit() => Ok(value),
        // A word without quotes where any value will do is meant as text.
        Err(_) if default.is_unit() => Ok(text.into()),
        Ok(value) if value.type_name() == default.type_name() => Ok(value),
        _ if default.is_array() => wrong("an array such as [1, 2]"),
        _ if default.is_map() => wrong("a map such as #{ a: 1 }"),
        _ => Err(Error::new("arg", format!("the default of `{name}` is of type {}", type_name(default)))
            .hint("use an integer, a float, a string, true or false, an array, a map or ()")),
    }
}

/// The default as a message shows it.
fn brief(value: &Dynamic) -> String {
    if value.is_array() || value.is_map() { value.to_string() } else { describe(value) }
}

/// Adds `arg` to the engine.
pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(script).into());
}

/// What scripts see of their arguments.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use super::Arguments;
    use crate::runtime::{Run, Script};
    use rhai::{Dynamic, NativeCallContext};

    /// An argument of the script: what `--set name=value` gave on the command line, else the default.
    ///
    /// The default fixes the type: `--set epochs=20` is an integer where the default is one, and an error where it does
    /// not read as one. Arrays and maps are given as in a script, `--set 'widths=[16, 32]'`. A `--set` that the script
    /// does not ask for is an error. Names and values are kept in the run folder's `settings.json`.
    ///
    /// # Signature
    /// arg(name: string, default: any) -> any
    ///
    /// # Example
    /// ```rhai
    /// let epochs = arg("epochs", 10);
    /// assert(epochs == 10);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn arg(context: NativeCallContext, name: &str, default: Dynamic) -> Script<Dynamic> {
        let run = Run::of(&context);
        Ok(run.slot::<Arguments>().read(&run, name, default)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::run::Settings;

    fn read(text: &str, default: impl Into<Dynamic>) -> Result<Dynamic> {
        let arguments = vec![("key".to_string(), text.to_string())];
        let run = Run::new(Settings { arguments, ..Settings::default() });
        run.slot::<Arguments>().read(&run, "key", default.into())
    }

    #[test]
    fn the_default_fixes_the_type() {
        assert_eq!(read("20", 10_i64).unwrap().as_int(), Ok(20));
        assert_eq!(read("1e3", 10_i64).unwrap().as_int(), Ok(1000));
        assert_eq!(read("1", 0.5).unwrap().as_float(), Ok(1.0));
        assert_eq!(read("20", "text").unwrap().into_string().unwrap(), "20");
        assert_eq!(read("true", false).unwrap().as_bool(), Ok(true));
        assert_eq!(read("[1, 2]", rhai::Array::new()).unwrap().into_array().unwrap().len(), 2);
        assert_eq!(read("3", ()).unwrap().as_int(), Ok(3));
        assert_eq!(read("word", ()).unwrap().into_string().unwrap(), "word");
    }

    #[test]
    fn a_value_of_another_type_is_an_error_that_shows_the_default() {
        let message = read("ten", 10_i64).unwrap_err().to_string();
        assert_eq!(message, "--set: key=ten is not an integer (the default is 10)");
        for text in ["nan", "inf", "-Infinity", "1e999"] {
            let message = read(text, 0.1).unwrap_err().to_string();
            assert_eq!(message, format!("--set: key={text} is not a finite number (the default is 0.1)"));
        }
        assert_eq!(read("inf", f64::INFINITY).unwrap().as_float(), Ok(f64::INFINITY));
        assert!(read("1.5", 10_i64).is_err() && read("yes", true).is_err() && read("3", rhai::Array::new()).is_err());
    }

    #[test]
    fn declared_arguments_are_read_off_the_text() {
        let engine = Engine::new();
        let text = "let a = arg(\"epochs\", 1); fn f() { arg(\"lr\", 0.1) } import \"std/unlearn\" as u;";
        let declared = Declared::of(&engine, "main.rhai", &engine.compile(text).unwrap());
        let mut names = declared.names();
        names.sort_unstable();
        assert_eq!((names, declared.open), (vec!["epochs", "lr"], false));
        let Err(Error::Fault(fault)) = declared.refuse_unknown(&[("epoch".into(), "1".into())]) else { panic!() };
        assert_eq!(fault.hint, "did you mean `epochs`?");
        let set = |key: &str, value: &str| declared.refuse_wrong(&[(key.to_string(), value.to_string())]);
        assert!(set("epochs", "ten").is_err() && set("epochs", "10").is_ok() && set("lr", "1").is_ok());
        let text = "arg(\"n\", 1); arg(\"n\", \"auto\"); arg(\"m\", 1 + x);";
        let several = Declared::of(&engine, "main.rhai", &engine.compile(text).unwrap());
        assert!(several.refuse_wrong(&[("n".into(), "all".into()), ("m".into(), "all".into())]).is_ok());
        let computed = engine.compile("arg(\"e\" + n, 1);").unwrap();
        assert!(Declared::of(&engine, "main.rhai", &computed).refuse_unknown(&[("epoch".into(), "1".into())]).is_ok());
    }

    #[test]
    fn imports_are_followed_and_circles_end() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.rhai"), "import \"b\" as b; arg(\"deep\", 1);").unwrap();
        std::fs::write(place.path().join("b.rhai"), "import \"a\" as a;").unwrap();
        let main = place.path().join("main.rhai").display().to_string();
        let engine = Engine::new();
        let ast = engine.compile("import \"a\" as a;").unwrap();
        let declared = Declared::of(&engine, &main, &ast);
        assert_eq!((declared.names(), declared.open), (vec!["deep"], false));
    }
}
