//! Evaluates a compiled script statement by statement, so that even a panic inside a primitive has a place.

use super::unknown_keys;
use crate::host::diagnostics::locate;
use crate::runtime::heap;
use rhai::{
    AST, ASTNode, Caches, Dynamic, Engine, EvalAltResult, Expr, GlobalRuntimeState, ImmutableString, Position, Scope,
    Stmt,
};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// No text that a script has.
const ONWARD: &str = "\0onward";

thread_local! {
    /// What the panic being unwound on this thread said. The hook has no other way to hand it over.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what a panic says for the report instead of printing it.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
        // An error of torch, quoted, brings its C++ frames along.
        let first = text.split('\n').next().and_then(|line| line.split("\\n").next()).unwrap_or_default();
        let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
        SAID.with(|said| *said.borrow_mut() = Some(format!("{first}{place}")));
    }));
}

/// Does some work; what it said where it panics.
///
/// # Errors
/// The panic's words.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| SAID.with(|said| said.borrow_mut().take()).unwrap_or_default())
}

/// Evaluates the statements of a script in a state and a scope that outlive it; the value of the last one.
///
/// # Errors
/// Those of the script; a panic becomes an internal error at the statement that led to it.
pub fn evaluate(
    engine: &Engine,
    global: &mut GlobalRuntimeState,
    scope: &mut Scope,
    ast: &AST,
) -> Result<Dynamic, Box<EvalAltResult>> {
    heap::begin();
    global.source = ast.source().map(Into::into);
    let mut caches = Caches::new();
    let mut last = Dynamic::UNIT;
    for statement in ast.statements() {
        unknown_keys::warn(engine, global, scope, statement);
        let returns = returns(statement);
        let both = if returns { vec![statement.clone(), onward()] } else { vec![] };
        let these = if returns { both.as_slice() } else { std::slice::from_ref(statement) };
        let run = || engine.eval_statements_raw(global, &mut caches, scope, these);
        last = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(value) => value.map_err(|error| locate::place(error, ast, statement))?,
            Err(_) => return Err(internal(statement.position())),
        };
        if let Some(beyond) = heap::refused() {
            return Err(Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(beyond), statement.position())));
        }
        if returns && last.read_lock::<ImmutableString>().is_none_or(|text| *text != ONWARD) {
            return Ok(last);
        }
        if returns {
            last = Dynamic::UNIT;
        }
    }
    Ok(last)
}

/// Whether a statement may return from the script.
fn returns(statement: &Stmt) -> bool {
    let mut found = false;
    statement.walk(&mut vec![], &mut |path| {
        found |= matches!(path.last(), Some(ASTNode::Stmt(Stmt::Return(..))));
        !found
    });
    found
}

/// A statement whose value shows that the one before it has not returned: the engine itself does not tell.
fn onward() -> Stmt {
    Stmt::Expr(Box::new(Expr::StringConstant(ONWARD.into(), Position::NONE)))
}

/// The error that stands for a panic.
fn internal(position: Position) -> Box<EvalAltResult> {
    let said = SAID.with(|said| said.borrow_mut().take()).unwrap_or_default();
    let mut map = rhai::Map::new();
    map.insert("message".into(), format!("internal error: {said}").into());
    map.insert("hint".into(), "this is a defect of Lethe, not of the script; please report it".into());
    Box::new(EvalAltResult::ErrorRuntime(map.into(), position))
}
