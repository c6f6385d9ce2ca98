//! Reads a script and those it imports, each once, and checks them one by one.

use super::known::{Arities, Known, arguments};
use super::manual::Manual;
use super::names::{self, Names};
use super::{calls, notation, properties, rules};
use crate::experiment::rules::RUN_OPTIONS;
use crate::host::Host;
use crate::host::diagnostics::engine_errors;
use crate::host::docs::catalog::Catalog;
use crate::host::lint::context::Context;
use crate::host::lint::finding::{Aliases, Exports, Raw};
use crate::host::syntax_tree::walk_body;
use crate::runtime::notation::{faults, is_open};
use crate::runtime::sources::{STDLIB, SourceMap};
use crate::runtime::{imports, interrupt};
use rhai::{AST, ASTNode, Expr, FnAccess, FnCallExpr, ParseError, Position, ScriptFuncDef, Shared, Stmt};
use std::collections::{HashMap, HashSet};

/// The scripts read so far and what was found in them.
pub struct Importer<'h> {
    pub host: &'h Host,
    pub known: Known,
    /// The names of the scripts, in the order of reading.
    pub names: Vec<String>,
    pub findings: Vec<Raw>,
    /// Names of map entries anywhere: what `x.name(..)` may call besides functions.
    pub keys: HashSet<String>,
    /// Names of map entries that scripts make.
    written: HashSet<String>,
    modules: HashMap<String, Exports>,
    reading: Vec<String>,
    /// Everything callable.
    pub catalog: Catalog,
    manual: Manual,
    /// The options that functions of the embedded library declare.
    library: HashMap<String, rhai::Map>,
}

impl<'h> Importer<'h> {
    /// An importer that has read nothing.
    pub fn new(host: &'h Host) -> Self {
        let catalog = Catalog::of(&host.engine);
        Self {
            manual: Manual::of(&host.engine, &catalog),
            library: library(host),
            catalog,
            host,
            known: Known::of(&host.engine),
            names: vec![],
            findings: vec![],
            keys: HashSet::new(),
            written: HashSet::new(),
            modules: HashMap::new(),
            reading: vec![],
        }
    }

    /// Checks the script that is to be run.
    pub fn main(&mut self, name: &str, text: &str) {
        self.script(name, text);
    }

    /// Checks one script; what others can reach of it.
    fn script(&mut self, name: &str, text: &str) -> Exports {
        let file = self.names.len();
        self.names.push(name.to_string());
        self.host.run.slot::<SourceMap>().insert(name, text);
        let faults = faults(&self.host.engine, text);
        let lost = faults.iter().any(is_open);
        faults.into_iter().for_each(|fault| self.syntax(file, text, fault));
        let ast = match self.host.engine.compile(text) {
            Ok(ast) => ast,
            Err(problem) => {
                // Behind what is not closed, nothing else is to be said.
                if !lost {
                    self.syntax(file, text, problem);
                }
                return Exports::default();
            }
        };
        self.reading.push(name.to_string());
        collect_keys(&ast, &mut self.keys);
        properties::written(&ast, &mut self.written);
        let aliases = self.imports(file, name, &ast);
        self.divisions(file, text);
        self.functions(file, text, &ast);
        self.declarations(file, &ast);
        let findings =
            names::check(&Names { known: &self.known, keys: &self.keys, aliases: &aliases, ast: &ast, file });
        self.findings.extend(findings);
        self.findings.extend(properties::check(&ast, &self.known, &self.host.engine, &self.written, file));
        if !name.starts_with("std/") {
            let context = Context {
                manual: &self.manual,
                host: self.host,
                known: &self.known,
                keys: &self.keys,
                library: &self.library,
            };
            self.findings.extend(calls::check(&context, &ast, name, file));
        }
        self.reading.pop();
        exports(&ast)
    }

    /// Notes what the parser, or the notation, objects to.
    fn syntax(&mut self, file: usize, text: &str, problem: ParseError) {
        if interrupt::raised() {
            return;
        }
        let (message, mut hint) = engine_errors::syntax(&problem.0);
        if let Some(habit) = engine_errors::habit(&problem.0, text, problem.1) {
            hint = habit.into();
        }
        let raw = Raw::error(file, problem.1, message).hint(hint);
        self.findings.push(Raw { syntax: Some(*problem.0), ..raw });
    }

    /// Follows the imports of a script.
    fn imports(&mut self, file: usize, name: &str, ast: &AST) -> Aliases {
        let mut wanted = vec![];
        ast.walk(&mut |path| {
            if let Some(ASTNode::Stmt(Stmt::Import(parts, position))) = path.last() {
                let literal = match &parts.0 {
                    Expr::StringConstant(path, at) => Some((path.to_string(), *at)),
                    _ => None,
                };
                wanted.push((parts.1.name.to_string(), literal, *position));
            }
            true
        });
        let mut aliases = Aliases::new();
        for (alias, literal, _) in wanted {
            let target = literal.and_then(|(path, position)| self.module(file, name, &path, position));
            aliases.insert(alias, target);
        }
        aliases
    }

    /// What `import "path"` in the script `from` gives.
    fn module(&mut self, file: usize, from: &str, path: &str, position: Position) -> Option<Exports> {
        if let Some(space) = imports::native(path) {
            let functions = self.known.spaces.get(space).cloned().unwrap_or_default();
            return Some(Exports { functions, variables: HashSet::new() });
        }
        let (name, text) = match imports::find(Some(from), path) {
            Ok(found) => found,
            Err(message) => {
                let hint = library_name(path).map_or_else(String::new, |name| format!("did you mean {name:?}?"));
                self.findings.push(Raw::error(file, position, message).hint(hint));
                return None;
            }
        };
        if self.reading.contains(&name) {
            let chain = self.reading.join(" imports ");
            self.findings.push(Raw::error(file, position, format!("circular import: {chain} imports {name}")));
            return None;
        }
        if let Some(known) = self.modules.get(&name) {
            return Some(known.clone());
        }
        let exports = self.script(&name, &text);
        self.modules.insert(name, exports.clone());
        Some(exports)
    }

    fn divisions(&mut self, file: usize, text: &str) {
        for (position, a, b) in notation::lossy_divisions(&self.host.engine, text) {
            let message = format!("{a} / {b} is a division of integers and gives {}", a / b);
            self.findings
                .push(Raw::warning(file, position, message).hint(format!("write {a}.0 / {b} for the fraction")));
        }
    }

    /// Functions of the script that take the place of one of ours.
    fn functions(&mut self, file: usize, text: &str, ast: &AST) {
        // The library's own functions are the built-in ones.
        if STDLIB.iter().any(|(_, own)| *own == text) {
            return;
        }
        for (_, access, name, arity, function) in ast.shared_lib().iter_script_fn_info() {
            if name.contains('$')
                || function.this_type.is_some()
                || access == FnAccess::Private && name.starts_with('_')
            {
                continue;
            }
            let has = |among: &Arities, arity: usize| among.get(name).is_some_and(|arities| arities.contains(&arity));
            // `x.name(..)` looks for a script function with one parameter less, whose `this` is x.
            let method = has(&self.known.functions, arity + 1) && uses_this(function);
            if has(&self.known.plain, arity) || method {
                let message = format!("`{name}` with {} takes the place of the built-in one", arguments([arity]));
                let form = if method { format!("x.{name}(..)") } else { format!("{name}(..)") };
                let hint = format!("every call {form} in this script will run yours; choose another name");
                let position = names::definition(text, function);
                self.findings.push(Raw::warning(file, position, message).hint(hint));
            }
        }
    }

    /// Options of a method that `unlearn::run` would take for itself.
    fn declarations(&mut self, file: usize, ast: &AST) {
        let mut found = vec![];
        ast.walk(&mut |path| {
            let call = match path.last() {
                Some(ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _))) => Some(call),
                _ => None,
            };
            found.extend(call.into_iter().flat_map(|call| reserved_options(call)));
            true
        });
        for (key, position) in found {
            let message = format!("a method cannot have an option `{key}`: unlearn::run takes it for itself");
            let hint = format!("choose another name; taken are {}", RUN_OPTIONS.join(", "));
            self.findings.push(Raw { word: Some(key), ..Raw::error(file, position, message).hint(hint) });
        }
    }
}

/// The options that the functions of the embedded library declare.
fn library(host: &Host) -> HashMap<String, rhai::Map> {
    let scripts = STDLIB.iter().filter_map(|(_, text)| host.engine.compile(text).ok());
    scripts.flat_map(|ast| rules::of(&ast, &host.engine)).collect()
}

/// The module of the library that a path without its folder may mean.
fn library_name(path: &str) -> Option<String> {
    let last = path.trim_end_matches(".rhai").rsplit(['/', '.']).next()?;
    let names = STDLIB.iter().filter_map(|(file, _)| file.strip_suffix(".rhai")).chain(["std/unlearn"]);
    names.into_iter().find(|name| name.rsplit('/').next() == Some(last)).map(String::from)
}

/// The keys of `options(opt, #{ .. })` that are not for methods.
fn reserved_options(call: &FnCallExpr) -> Vec<(String, Position)> {
    if call.name != "options" || !call.namespace.is_empty() {
        return vec![];
    }
    let taken = |key: &str| RUN_OPTIONS.contains(&key);
    match call.args.get(1) {
        Some(Expr::Map(parts, _)) => {
            let keys = parts.0.iter().map(|(key, _)| (key.name.to_string(), key.pos));
            keys.filter(|(key, _)| taken(key)).collect()
        }
        // A map of constants has been folded; the keys have lost their places.
        Some(Expr::DynamicConstant(value, position)) => match value.read_lock::<rhai::Map>() {
            Some(map) => map.keys().filter(|key| taken(key)).map(|key| (key.to_string(), *position)).collect(),
            None => vec![],
        },
        _ => vec![],
    }
}

/// Whether a function speaks of `this`, and so is meant to be called as a method.
fn uses_this(function: &Shared<ScriptFuncDef>) -> bool {
    let mut uses = false;
    walk_body(function, &mut |path| {
        uses |= matches!(path.last(), Some(ASTNode::Expr(Expr::ThisPtr(_))));
    });
    uses
}

/// Names of map entries and of properties that are assigned: each may hold a closure that is called like a method.
fn collect_keys(ast: &AST, keys: &mut HashSet<String>) {
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::Map(parts, _))) => {
                keys.extend(parts.0.iter().map(|(key, _)| key.name.to_string()))
            }
            Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => {
                if let Some(map) = value.read_lock::<rhai::Map>() {
                    keys.extend(map.keys().map(ToString::to_string));
                }
            }
            Some(ASTNode::Expr(Expr::Property(property, _))) => {
                keys.insert(property.2.to_string());
            }
            _ => {}
        }
        true
    });
}

/// What other scripts can reach of a script.
fn exports(ast: &AST) -> Exports {
    let mut exports = Exports::default();
    for (_, access, name, arity, _) in ast.shared_lib().iter_script_fn_info() {
        if access == FnAccess::Public {
            exports.functions.entry(name.to_string()).or_default().insert(arity);
        }
    }
    for statement in ast.statements() {
        match statement {
            Stmt::Export(parts, _) => {
                let alias = if parts.1.name.is_empty() { &parts.0.name } else { &parts.1.name };
                exports.variables.insert(alias.to_string());
            }
            Stmt::Var(parts, flags, _) if flags.intersects(rhai::ASTFlags::EXPORTED) => {
                exports.variables.insert(parts.0.name.to_string());
            }
            _ => {}
        }
    }
    exports
}
