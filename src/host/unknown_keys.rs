//! Warnings about keys read from maps that do not have them, told from the values that variables have: Rhai gives `()` for
//! such a key, and says nothing. What can be known without running is found by `lint::properties`.

use super::lint::properties::{OPEN, Read, last_call, read_at, root, standard, steps};
use crate::host::diagnostics::diagnostic::{Diagnostic, Severity, Sources};
use crate::runtime::Run;
use crate::runtime::options::nearest;
use crate::runtime::sources::SourceMap;
use rhai::{ASTNode, Dynamic, Engine, Expr, GlobalRuntimeState, Position, Scope, Stmt, Token};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// Keys of a result that a hint names at most.
const NAMED: usize = 12;

/// What has been seen of the statements so far. A run slot, so that the inputs of a session share it.
#[derive(Default)]
pub struct Watch {
    /// The function whose value a variable was given.
    makers: RefCell<HashMap<String, String>>,
    /// Places that have been told.
    told: RefCell<HashSet<(String, Position)>>,
}

/// Warns of the keys that a statement, about to be evaluated, reads from maps without them.
pub fn warn(engine: &Engine, global: &GlobalRuntimeState, scope: &Scope, statement: &Stmt) {
    let Some(run) = engine.default_tag().clone().try_cast::<Run>() else { return };
    let watch = run.slot::<Watch>();
    for read in reads(statement) {
        let Some((map, step)) = lacking(&read, scope) else { continue };
        let source = global.source().unwrap_or_default().to_string();
        let hint = hint(&read.name, &map, step == 0 && watch.makes(&read.chain, global));
        let Some(hint) = hint.filter(|_| watch.told(&source, read.position)) else {
            continue;
        };
        tell(&run, &source, &read, hint);
    }
    watch.note(statement);
}

/// The properties that a statement reads, and neither gives nor asks for itself.
fn reads(statement: &Stmt) -> Vec<Read> {
    let (mut found, mut given) = (vec![], HashSet::new());
    statement.walk(&mut vec![], &mut |path| {
        if let Some(ASTNode::Stmt(Stmt::Assignment(parts))) = path.last() {
            given.extend(steps(&parts.1.lhs).into_iter().last().map(|(name, _)| name));
        }
        if !path.iter().rev().nth(1).is_some_and(asks) {
            found.extend(read_at(path));
        }
        true
    });
    found.retain(|read| !given.contains(&read.name));
    found
}

/// Whether what stands in this expression may well be absent: `a.b == ()`, `a.b ?? c`.
fn asks(outer: &ASTNode) -> bool {
    match outer {
        ASTNode::Expr(Expr::Coalesce(..)) => true,
        ASTNode::Expr(Expr::FnCall(call, _)) => {
            matches!(call.op_token, Some(Token::EqualsTo | Token::NotEqualsTo)) || call.name == "type_of"
        }
        _ => false,
    }
}

/// The keys of the map that a read property would have to be in, when the map lacks it, and how many steps led there.
fn lacking(read: &Read, scope: &Scope) -> Option<(Vec<String>, usize)> {
    let Expr::Variable(variable, ..) = root(&read.chain) else { return None };
    let mut value = scope.get(variable.1.as_str())?.flatten_clone();
    let path = steps(&read.chain);
    for (step, (name, _)) in path.iter().take(read.step + 1).enumerate() {
        let map = value.read_lock::<rhai::Map>()?;
        let inner = map.get(name.as_str()).map(Dynamic::flatten_clone);
        match inner {
            Some(inner) if step < read.step => {
                drop(map);
                value = inner;
            }
            None if step == read.step => return Some((map.keys().map(ToString::to_string).collect(), step)),
            _ => return None,
        }
    }
    None
}

/// What to say of a key that a map lacks: the one that was meant, or, of a function's result, all it has.
fn hint(name: &str, keys: &[String], result: bool) -> Option<String> {
    let limit = if name.chars().count() < 6 { 1 } else { 2 };
    let near = nearest(name, keys.iter().map(String::as_str))
        .filter(|near| name.chars().count() > 2 && strsim::damerau_levenshtein(name, near) <= limit);
    match near {
        Some(near) => Some(format!("did you mean `{near}`? A missing key gives ()")),
        None if result => Some(format!("a missing key gives (); there are: {}", some(keys))),
        None => None,
    }
}

/// The first of these names, and how many more there are.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED { format!("{shown} and {} more", names.len() - NAMED) } else { shown }
}

impl Watch {
    /// Notes that there has been a finding at a place; whether it is the first.
    pub fn told(&self, source: &str, position: Position) -> bool {
        self.told.borrow_mut().insert((source.to_string(), position))
    }

    /// Whether the variable that a chain starts with was made by a function that is neither the script's nor Rhai's own:
    /// what those give, others have written.
    fn makes(&self, chain: &Expr, global: &GlobalRuntimeState) -> bool {
        let Expr::Variable(variable, ..) = root(chain) else { return false };
        let makers = self.makers.borrow();
        let Some(maker) = makers.get(variable.1.as_str()) else { return false };
        let mut own = global.lib.iter().flat_map(|lib| lib.iter_script_fn_info());
        !own.any(|(_, _, name, ..)| name == maker) && !OPEN.contains(&maker.as_str()) && !standard().contains(maker)
    }

    /// Notes what variables are given by a statement.
    fn note(&self, statement: &Stmt) {
        let (name, value) = match statement {
            Stmt::Var(parts, ..) => (parts.0.name.to_string(), &parts.1),
            Stmt::Assignment(parts) => match &parts.1.lhs {
                Expr::Variable(variable, ..) => (variable.1.to_string(), &parts.1.rhs),
                _ => return,
            },
            _ => return,
        };
        match last_call(value) {
            Some(call) if !call.is_operator_call() => self.makers.borrow_mut().insert(name, call.name.to_string()),
            _ => self.makers.borrow_mut().remove(&name),
        };
    }
}

/// Prints the warning with its place.
fn tell(run: &Run, source: &str, read: &Read, hint: String) {
    let map = run.slot::<SourceMap>();
    let sources = Sources { map: &map, main: source };
    let finding = Diagnostic {
        severity: Severity::Warning,
        message: format!("the map has no key `{}`", read.name),
        place: sources.place(source, read.position),
        hint,
        ..Diagnostic::default()
    };
    run.progress().warn(finding.render(false).trim_start_matches("warning: "));
}
