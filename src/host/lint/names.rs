//! Names in one script: functions that are not there or take other arguments, variables and modules nobody declared.

use super::known::{Arities, Known, arguments, is_keyword};
use super::visit::{self, Scope, Visitor};
use crate::host::custom_syntax::EVAL;
use crate::host::diagnostics::{engine_errors, habits};
use crate::host::lint::finding::{Aliases, Exports, Raw};
use crate::host::syntax_tree::walk_body;
use rhai::{AST, ASTNode, FnCallExpr, Namespace, Position, ScriptFuncDef};
use std::collections::HashSet;

/// What there is to know about a script before its names are checked.
pub struct Names<'a> {
    pub known: &'a Known,
    pub keys: &'a HashSet<String>,
    pub aliases: &'a Aliases,
    pub ast: &'a AST,
    pub file: usize,
}

/// Checks every name of a script.
pub fn check(names: &Names) -> Vec<Raw> {
    let mut checker = Checker { names, own: Arities::new(), top: HashSet::new(), findings: vec![], trusting: false };
    for (_, _, name, arity, _) in names.ast.shared_lib().iter_script_fn_info() {
        checker.own.entry(name.to_string()).or_default().insert(arity);
    }
    names.ast.walk(&mut |path| {
        // A text that is evaluated may declare anything.
        checker.trusting |= calls_eval(path.last());
        true
    });
    let mut scope = Scope::default();
    visit::statements(names.ast.statements(), &mut scope, &mut checker);
    checker.top = scope.names().map(ToString::to_string).collect();
    for (_, _, _, _, function) in names.ast.shared_lib().iter_script_fn_info() {
        let mut scope = Scope::of(function);
        walk_body(function, &mut |path| {
            if let [ASTNode::Stmt(statement)] = path {
                visit::statement(statement, &mut scope, &mut checker);
            }
        });
    }
    checker.findings
}

fn calls_eval(node: Option<&ASTNode>) -> bool {
    match node {
        Some(ASTNode::Expr(rhai::Expr::Custom(custom, _))) => custom.tokens.first().is_some_and(|word| word == EVAL),
        _ => false,
    }
}

/// Where a function's name stands in its definition.
pub fn definition(text: &str, function: &ScriptFuncDef) -> Position {
    let body = function.body.start_position();
    let wanted = format!("fn {}", function.name);
    let last = body.line().unwrap_or(1);
    // The parameters may stretch over lines before the body.
    for (index, line) in text.lines().enumerate().take(last).collect::<Vec<_>>().into_iter().rev() {
        if let Some(start) = line.find(&wanted) {
            let column = line.get(..start).map_or(0, |before| before.chars().count()) + 4;
            return Position::new(u16::try_from(index + 1).unwrap_or(u16::MAX), u16::try_from(column).unwrap_or(1));
        }
    }
    body
}

struct Checker<'a> {
    names: &'a Names<'a>,
    /// The script's own functions.
    own: Arities,
    /// The variables at the end of the script's top level.
    top: HashSet<String>,
    findings: Vec<Raw>,
    trusting: bool,
}

impl Checker<'_> {
    fn report(&mut self, raw: Raw) {
        self.findings.push(raw);
    }

    fn error(&self, position: Position, message: String) -> Raw {
        Raw::error(self.names.file, position, message)
    }

    /// `f(..)`.
    fn plain(&mut self, call: &FnCallExpr, position: Position, scope: &Scope) {
        let (name, given) = (call.name.as_str(), call.args.len());
        let own = self.own.get(name);
        if self.names.known.takes(name, given) || own.is_some_and(|arities| arities.contains(&given)) {
            return;
        }
        let known = self.names.known.functions.get(name);
        let arities: Vec<usize> = own.into_iter().chain(known).flatten().copied().collect();
        let habit = habits::function(name);
        let raw = if !arities.is_empty() {
            self.wrong_number(name, position, arities, given).hint(habit.unwrap_or_default())
        } else if let Some(hint) = habit.filter(|_| !scope.has(name)) {
            self.error(position, format!("unknown function `{name}`")).hint(hint)
        } else if scope.has(name) {
            let message = format!("`{name}` is a variable and cannot be called by its name");
            let listed = (0..given).map(|_| "..").collect::<Vec<_>>().join(", ");
            self.error(position, message).hint(format!("if it holds a function, write {name}.call({listed})"))
        } else {
            let mut raw = self.error(position, format!("unknown function `{name}`"));
            raw.slip = Some((name.into(), self.own.keys().filter(|own| !own.contains('$')).cloned().collect()));
            raw
        };
        self.report(raw);
    }

    fn wrong_number(&self, name: &str, position: Position, arities: Vec<usize>, given: usize) -> Raw {
        let mut raw = self.error(position, format!("{name} takes {}, got {given}", arguments(arities)));
        let bare = name.trim_start_matches('.');
        raw.forms = Some(bare.into()).filter(|_| !self.own.contains_key(bare));
        raw.notes = self.own_forms(bare);
        raw
    }

    /// The script's own functions of this name.
    fn own_forms(&self, name: &str) -> Vec<String> {
        let own = self.names.ast.iter_functions().filter(|function| function.name == name);
        own.map(|function| format!("exists: {name}({}), a function of this script", function.params.join(", ")))
            .collect()
    }

    /// `x.f(..)`.
    fn method(&mut self, call: &FnCallExpr, position: Position) {
        let (name, given) = (call.name.as_str(), call.args.len());
        let own = self.own.get(name);
        if is_keyword(name)
            || self.names.known.takes(name, given + 1)
            || own.is_some_and(|arities| arities.contains(&given))
            || self.names.keys.contains(name)
        {
            return;
        }
        let known = self.names.known.functions.get(name);
        let as_methods = known.into_iter().flatten().filter(|arity| **arity > 0).map(|arity| arity - 1);
        let arities: Vec<usize> = as_methods.chain(own.into_iter().flatten().copied()).collect();
        let raw = if own.is_some_and(|arities| arities.contains(&(given + 1))) {
            let message = format!("{name} is a function of this script, not a method");
            self.error(position, message).hint(format!("write {name}(..) with the value as its first argument"))
        } else if !arities.is_empty() {
            self.wrong_number(&format!(".{name}"), position, arities, given)
        } else {
            let mut raw = self.error(position, format!("unknown method `{name}`"));
            match habits::method(name) {
                Some(hint) => raw = raw.hint(hint),
                None => raw.slip = Some((name.into(), vec![])),
            }
            raw
        };
        self.report(raw);
    }

    /// `space::f(..)`.
    fn qualified(&mut self, call: &FnCallExpr, position: Position) {
        let (root, name, given) = (call.namespace.root(), call.name.as_str(), call.args.len());
        if call.namespace.path.len() > 1 || root == "global" {
            return;
        }
        let start = Some(call.namespace.position()).filter(|p| !p.is_none()).unwrap_or(position);
        let functions = match self.names.aliases.get(root) {
            Some(Some(exports)) => &exports.functions,
            Some(None) => return,
            None => match self.names.known.spaces.get(root) {
                Some(functions) => functions,
                None => {
                    let raw = self.unknown_module(root, start);
                    return self.report(raw);
                }
            },
        };
        let raw = match functions.get(name) {
            Some(arities) if arities.contains(&given) => return,
            Some(arities) => {
                let message = format!("{root}::{name} takes {}, got {given}", arguments(arities.iter().copied()));
                let mut raw = self.error(start, message);
                raw.forms = Some(format!("{root}::{name}")).filter(|_| self.names.known.spaces.contains_key(root));
                raw
            }
            None => {
                let mut raw = self.error(start, format!("module `{root}` has no function `{name}`"));
                let near = functions.keys().filter(|own| !own.contains('$'));
                raw.slip = Some((name.into(), near.cloned().collect()));
                raw
            }
        };
        self.report(raw);
    }

    fn unknown_module(&self, root: &str, position: Position) -> Raw {
        let mut raw = self.error(position, format!("unknown module `{root}`"));
        let names = self.names.aliases.keys().chain(self.names.known.spaces.keys());
        raw.slip = Some((root.into(), names.cloned().collect()));
        raw.hint(format!("import it first: import \"path\" as {root};"))
    }

    /// `alias::NAME`.
    fn constant(&mut self, name: &str, space: &Namespace, position: Position) {
        let root = space.root();
        if space.path.len() > 1 || root == "global" {
            return;
        }
        let start = Some(space.position()).filter(|p| !p.is_none()).unwrap_or(position);
        let raw = match self.names.aliases.get(root) {
            Some(Some(Exports { variables, .. })) if !variables.contains(name) => {
                let raw = self.error(start, format!("module `{root}` exports no variable `{name}`"));
                raw.hint(format!("in the module, write export const {name} = ..;"))
            }
            Some(_) => return,
            None if self.names.known.spaces.contains_key(root) => return,
            None => self.unknown_module(root, start),
        };
        self.report(raw);
    }
}

impl Visitor for Checker<'_> {
    fn call(&mut self, call: &FnCallExpr, position: Position, method: bool, scope: &Scope) {
        let operator = call.op_token.is_some() || !call.name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if operator || self.trusting || call.name.contains('$') {
            return;
        }
        if !call.namespace.is_empty() {
            self.qualified(call, position);
        } else if method {
            self.method(call, position);
        } else {
            self.plain(call, position, scope);
        }
    }

    fn variable(&mut self, name: &str, space: &Namespace, position: Position, scope: &Scope) {
        if self.trusting {
            return;
        }
        if !space.is_empty() {
            return self.constant(name, space, position);
        }
        if scope.has(name) || self.own.contains_key(name) || name.contains('$') {
            return;
        }
        let mut raw = self.error(position, format!("unknown variable `{name}`"));
        if let Some(hint) = habits::word(name) {
            raw = raw.hint(hint);
        } else if self.names.known.functions.contains_key(name) {
            raw = raw.hint(format!("`{name}` is a function; to pass it on write Fn(\"{name}\") or |x| {name}(x)"));
        } else if scope.function.is_some() && self.top.contains(name) {
            raw = raw.hint(engine_errors::outside(name));
        } else {
            raw.slip = Some((name.into(), scope.names().map(ToString::to_string).collect()));
        }
        self.report(raw);
    }
}
