//! A session: inputs evaluated one after the other, with variables, constants, imports and functions that last.
//!
//! All inputs together are one virtual document named `repl`. Each is compiled behind as many empty lines as came before
//! it, so a position is unique for the length of the session, and an error in a function typed long ago quotes its line.
//! Files that are loaded keep their own names and lines.

mod echo;
mod input;
mod library;

pub use input::{Inputs, belongs_above, incomplete, silent};

use super::Host;
use super::evaluate::evaluate;
use crate::host::diagnostics::diagnostic::{Diagnostic, Sources};
use crate::host::docs::catalog::Catalog;
use crate::runtime::options::nearest;
use crate::runtime::sources::SourceMap;
use crate::runtime::{Result, interrupt, notation};
use echo::Echo;
use library::Libraries;
use rhai::{Dynamic, EvalAltResult, GlobalRuntimeState, Position, Scope, Shared, Stmt};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// The name errors give the session's inputs.
pub const NAME: &str = "repl";

/// The variable that keeps the last value.
const LAST: &str = "ans";

/// Keys of a map that completion offers: more would only cost time at every input.
const MEMBERS: usize = 1000;

/// Positions of the engine saturate at 65,535 lines; the document starts anew before.
const LONGEST: usize = 60_000;

/// Something the session knows by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name; of a function, with its parameters.
    pub name: String,
    /// `int`, `Tensor`, .. for values; `function` and `module` for the rest.
    pub kind: String,
    /// Whether it cannot be assigned to.
    pub constant: bool,
    /// What can stand behind `name.` or `name::` beyond what its type offers: keys of a map, functions of a module.
    pub members: Vec<String>,
}

/// The state that outlives an input.
pub struct Session {
    host: Host,
    catalog: Rc<Catalog>,
    echo: Echo,
    scope: Scope<'static>,
    global: GlobalRuntimeState,
    functions: Libraries,
    lines: usize,
    /// What errors call the text that runs: the document, or a file that is being loaded.
    source: String,
    /// Where the statements of the current input start.
    starts: Vec<Position>,
}

impl Session {
    /// An empty session.
    pub fn new(host: Host) -> Self {
        Self {
            catalog: Rc::new(Catalog::of(&host.engine)),
            echo: Echo::new(&host.engine),
            scope: Scope::new(),
            global: host.engine.new_global_runtime_state(),
            functions: Libraries::default(),
            lines: 0,
            source: NAME.into(),
            starts: vec![],
            host,
        }
    }

    /// The engine and the run.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Everything callable.
    pub fn catalog(&self) -> &Rc<Catalog> {
        &self.catalog
    }

    /// The line of the document that the next input starts at.
    pub fn next_line(&self) -> usize {
        self.lines + 1
    }

    /// Evaluates an input; what it has to show.
    ///
    /// # Errors
    /// What went wrong, located in the document. Statements before the one at fault have had their effect.
    pub fn run(&mut self, text: &str) -> std::result::Result<Option<String>, Box<Diagnostic>> {
        let above = self.enter(text);
        self.source = NAME.into();
        let value = self.attempt(&("\n".repeat(above) + text))?;
        let wanted = !value.is_unit() && !silent(&self.host.engine, text);
        Ok(wanted.then(|| self.echo.text(&value)))
    }

    /// Evaluates the text of a file in the session; its last value is none that somebody asked for.
    ///
    /// # Errors
    /// What went wrong, located in the file. Statements before the one at fault have had their effect.
    pub fn load(&mut self, file: &str, text: &str) -> std::result::Result<(), Box<Diagnostic>> {
        self.source = if file == NAME { format!("./{file}") } else { file.into() };
        self.host.run.slot::<SourceMap>().insert(self.source.as_str(), text);
        self.attempt(text).map(|_| ())
    }

    /// Evaluates a text under the name of the current source, and explains what goes wrong.
    fn attempt(&mut self, text: &str) -> std::result::Result<Dynamic, Box<Diagnostic>> {
        interrupt::clear();
        let outcome = self.evaluate(text);
        interrupt::clear();
        outcome.map_err(|error| Box::new(self.diagnose(&error)))
    }

    /// Compiles a text and evaluates it; the value to show.
    fn evaluate(&mut self, text: &str) -> std::result::Result<Dynamic, Box<EvalAltResult>> {
        self.starts.clear();
        let mut ast = notation::compile(&self.host.engine, text)?;
        ast.set_source(self.source.as_str());
        self.host.run.slot::<SourceMap>().insert_closures(&self.source, &ast);
        self.starts.extend(ast.statements().iter().map(Stmt::position));
        // While the engine holds the functions they cannot be given the name of their source.
        self.global.lib.clear();
        self.functions.learn(&self.source, &ast, self.source == NAME);
        self.global.lib = self.functions.modules(&self.source).collect();
        let outcome = evaluate(&self.host.engine, &mut self.global, &mut self.scope, &ast);
        self.settle();
        let value = outcome?;
        if !value.is_unit() {
            self.scope.set_or_push(LAST, value.clone());
            return Ok(value);
        }
        // A declaration has no value of its own; what it declared is of interest.
        Ok(match ast.statements().last() {
            Some(Stmt::Var(declared, ..)) => self.scope.get(declared.0.name.as_str()).cloned().unwrap_or_default(),
            _ => value,
        })
    }

    /// Appends an input to the document; the number of lines above it.
    fn enter(&mut self, text: &str) -> usize {
        let document = self.host.run.slot::<SourceMap>();
        if self.lines + text.lines().count() > LONGEST {
            document.insert(NAME, "");
            self.lines = 0;
        }
        let above = self.lines;
        document.append(NAME, &format!("{text}\n"));
        self.lines += text.split('\n').count();
        above
    }

    /// Brings the state in order after an input, however it ended.
    fn settle(&mut self) {
        // Nothing of the evaluation may linger that an error or a panic left behind.
        self.global.level = 0;
        self.global.scope_level = 0;
        self.global.always_search_scope = false;
        self.global.num_modules_loaded = 0;
        self.forget_shadowed();
        // The engine itself publishes constants only while there are functions that could read them.
        let constants = self.scope.iter_raw().filter(|(_, constant, _)| *constant);
        let constants: Vec<_> = constants.map(|(name, _, value)| (name.into(), value.clone())).collect();
        let published = self.global.constants.get_or_insert_with(|| Shared::new(BTreeMap::new().into()));
        published.borrow_mut().extend(constants);
    }

    /// Frees what `let` has hidden behind a new variable of the same name.
    fn forget_shadowed(&mut self) {
        let mut seen = HashSet::new();
        // The scope lists the newest first.
        let visible: Vec<_> = self.scope.iter_raw().filter(|(name, ..)| seen.insert(name.to_string())).collect();
        if visible.len() == self.scope.len() {
            return;
        }
        let mut scope = Scope::new();
        for (name, constant, value) in visible.into_iter().rev() {
            if constant {
                scope.push_constant_dynamic(name, value.clone());
            } else {
                scope.push_dynamic(name, value.clone());
            }
        }
        self.scope = scope;
    }

    /// Explains an error of the current input.
    fn diagnose(&self, error: &EvalAltResult) -> Diagnostic {
        let map = self.host.run.slot::<SourceMap>();
        let sources = Sources { map: &map, main: &self.source };
        let mut found = Diagnostic::of(error, &sources, &self.catalog);
        if found.interrupted {
            // Where a stop hits inside a statement is chance; the statement is what the user knows.
            found.place = self.statement(error.position()).and_then(|start| sources.place(&self.source, start));
            found.frames.clear();
        }
        match (self.hidden(error), self.similar(error)) {
            (Some(hint), _) => found.hint = hint,
            (None, Some(near)) => found.hint = format!("did you mean `{near}`?"),
            (None, None) => {}
        }
        found.notes.extend(self.own_forms(error));
        found
    }

    /// Where the statement starts that a position lies in.
    fn statement(&self, position: Position) -> Option<Position> {
        let key = |p: &Position| (p.line(), p.position());
        let before = self.starts.iter().rev().find(|start| key(start) <= key(&position));
        before.or(self.starts.first()).copied()
    }

    /// What to do about a variable of the session that a function of it does not see.
    fn hidden(&self, error: &EvalAltResult) -> Option<String> {
        let EvalAltResult::ErrorInFunctionCall(..) = error else { return None };
        match error.unwrap_inner() {
            EvalAltResult::ErrorVariableNotFound(name, _) if self.scope.contains(name) => {
                Some(super::diagnostics::engine_errors::outside(name))
            }
            _ => None,
        }
    }

    /// The functions of the session that have the name of one that was not found.
    fn own_forms(&self, error: &EvalAltResult) -> Vec<String> {
        let EvalAltResult::ErrorFunctionNotFound(signature, _) = error.unwrap_inner() else { return vec![] };
        let name = signature.split('(').next().unwrap_or_default().trim();
        let own = self.functions.named().filter(|function| function.name == name);
        own.map(|one| format!("exists: {name}({}), a function of this session", one.params.join(", "))).collect()
    }

    /// The name of the session nearest to one that was not found.
    fn similar(&self, error: &EvalAltResult) -> Option<String> {
        let root = match error {
            EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => return self.similar(inner),
            root => root,
        };
        match root {
            EvalAltResult::ErrorVariableNotFound(name, _) if self.catalog.find(name).is_empty() => {
                nearest(name, self.scope.iter_raw().map(|(known, ..)| known)).map(Into::into)
            }
            EvalAltResult::ErrorFunctionNotFound(signature, _) => {
                let name = signature.split('(').next().unwrap_or_default().trim();
                let own = self.functions.named().map(|function| function.name);
                if self.catalog.find(name).is_empty() { nearest(name, own).map(Into::into) } else { None }
            }
            _ => None,
        }
    }

    /// Modules, functions and variables, in this order. No value is looked into: this is asked at every input.
    pub fn names(&self) -> Vec<Named> {
        let of_module = |(alias, module): (&rhai::ImmutableString, &Shared<rhai::Module>)| Named {
            name: alias.to_string(),
            kind: "module".into(),
            constant: true,
            members: members(module),
        };
        let of_function = |function: rhai::ScriptFnMetadata| Named {
            name: format!("{}({})", function.name, function.params.join(", ")),
            kind: "function".into(),
            constant: true,
            members: vec![],
        };
        let of_variable = |(name, constant, value): (&str, bool, &Dynamic)| Named {
            name: name.to_string(),
            kind: self.echo.kind(value),
            constant,
            members: value.read_lock::<rhai::Map>().map_or(vec![], |map| {
                let keys = map.keys().filter(|key| rhai::is_valid_identifier(key));
                keys.take(MEMBERS).map(ToString::to_string).collect()
            }),
        };
        let mut names: Vec<_> = self.functions.named().map(of_function).collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        let modules = self.global.scan_imports_raw().map(of_module);
        let mut variables: Vec<_> = self.scope.iter_raw().map(of_variable).collect();
        variables.reverse();
        modules.chain(names).chain(variables).collect()
    }

    /// The short form of something the session knows, in one line: a variable's value, a module's file.
    pub fn summary(&self, known: &Named) -> String {
        match known.kind.as_str() {
            "function" => String::new(),
            "module" => {
                let found = self.global.scan_imports_raw().find(|(alias, _)| *alias == known.name.as_str());
                found.and_then(|(_, module)| module.id()).unwrap_or_default().into()
            }
            _ => self.scope.get(&known.name).map(|value| self.echo.line(value)).unwrap_or_default(),
        }
    }

    /// Whether a variable, a module or a function without parameters has this name.
    pub fn knows(&self, name: &str) -> bool {
        self.scope.contains(name)
            || self.global.scan_imports_raw().any(|(alias, _)| *alias == name)
            || self.functions.named().any(|function| function.name == name && function.params.is_empty())
    }

    /// The comment and the signature of a function of the session.
    pub fn describe(&self, name: &str) -> Option<String> {
        let found = self.functions.named().find(|function| function.name == name)?;
        let doc = super::docs::doc_comment::parse(&found.comments.iter().map(ToString::to_string).collect::<Vec<_>>());
        let text = if doc.summary.is_empty() { "a function of this session".into() } else { doc.summary };
        Some(format!("{}({})\n  {text}\n", found.name, found.params.join(", ")))
    }

    /// Reads imported modules again; their names.
    ///
    /// # Errors
    /// A module that cannot be read any more: then all stay as they were.
    pub fn reload(&mut self) -> std::result::Result<Vec<String>, Box<Diagnostic>> {
        let imports: Vec<_> =
            self.global.scan_imports_raw().map(|(name, module)| (name.clone(), module.clone())).collect();
        self.starts.clear();
        self.source = NAME.into();
        crate::runtime::imports::forget(&self.host.run);
        let engine = &self.host.engine;
        let again = |(name, module): &(rhai::ImmutableString, Shared<rhai::Module>)| {
            // A module without a script has nothing to be read again.
            let Some(path) = module.id() else { return Ok((name.clone(), module.clone())) };
            engine.module_resolver().resolve(engine, None, path, Position::NONE).map(|module| (name.clone(), module))
        };
        let fresh: std::result::Result<Vec<_>, _> = imports.iter().map(again).collect();
        let fresh = fresh.map_err(|error| Box::new(self.diagnose(&error)))?;
        self.global.truncate_imports(0);
        for (name, module) in fresh {
            self.global.push_import(name, module);
        }
        Ok(imports.into_iter().map(|(name, _)| name.to_string()).collect())
    }

    /// The text of a script file, to be run as one input; a first line `#!` is blanked.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(file: &std::path::Path) -> Result<String> {
        let text = crate::tensor::io::safetensors_file::read_text("load", file)?;
        let text = text.trim_end().to_string();
        Ok(if text.starts_with("#!") { format!("//{text}") } else { text })
    }
}

/// What a module exports.
fn members(module: &rhai::Module) -> Vec<String> {
    let functions = module
        .iter_script_fn_info()
        .filter(|(_, access, name, ..)| !matches!(access, rhai::FnAccess::Private) && !name.contains('$'));
    let mut names: Vec<String> = functions.map(|(_, _, name, ..)| name.to_string()).collect();
    names.extend(module.iter_var().map(|(name, _)| name.to_string()));
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
