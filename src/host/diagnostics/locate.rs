//! Finds the place of errors without one: Rhai tells where `f(..)` and `x.f(..)` failed, but not where `module::f(..)` did.

use crate::host::syntax_tree::walk_body;
use crate::runtime::error::placed;
use rhai::{AST, ASTNode, EvalAltResult, Expr, FnCallExpr, Position, Stmt};

/// The first call of a module's function that a walk meets, preferably of the one that failed.
#[derive(Default)]
struct Search {
    operation: String,
    named: Option<Position>,
    first: Option<Position>,
}

impl Search {
    fn of(error: &EvalAltResult) -> Self {
        Self { operation: operation(error), ..Self::default() }
    }

    fn see(&mut self, path: &[ASTNode]) {
        if let Some(ASTNode::Stmt(Stmt::FnCall(call, position)) | ASTNode::Expr(Expr::FnCall(call, position))) =
            path.last()
        {
            self.call(call, *position);
        }
    }

    fn call(&mut self, call: &FnCallExpr, position: Position) {
        if call.namespace.is_empty() {
            return;
        }
        let start = call.namespace.position();
        let start = if start.is_none() { position } else { start };
        self.first.get_or_insert(start);
        if call.name == self.operation {
            self.named.get_or_insert(start);
        }
    }

    fn found(&self) -> Option<Position> {
        self.named.or(self.first)
    }
}

/// The function whose fault an error is; empty when it does not say.
fn operation(error: &EvalAltResult) -> String {
    let EvalAltResult::ErrorRuntime(value, _) = error else { return String::new() };
    let Some(map) = value.read_lock::<rhai::Map>() else { return String::new() };
    let whole = map.get("operation").map(ToString::to_string).unwrap_or_default();
    whole.rsplit("::").next().unwrap_or_default().to_string()
}

/// Gives an error raised by this statement of a script the places it lacks.
pub fn place(error: Box<EvalAltResult>, ast: &AST, statement: &Stmt) -> Box<EvalAltResult> {
    if matches!(*error, EvalAltResult::ErrorTerminated(..)) {
        return error;
    }
    let error = within(error, ast);
    if !error.position().is_none() {
        return error;
    }
    let mut search = Search::of(&error);
    statement.walk(&mut vec![], &mut |path| {
        search.see(path);
        true
    });
    placed(error, search.found().unwrap_or_else(|| statement.position()))
}

/// The same for what failed inside the script's own functions.
fn within(mut error: Box<EvalAltResult>, ast: &AST) -> Box<EvalAltResult> {
    if let EvalAltResult::ErrorInFunctionCall(name, source, inner, _) = &mut *error {
        let unplaced = std::mem::replace(&mut **inner, EvalAltResult::ErrorTooManyOperations(Position::NONE));
        let mut found = within(Box::new(unplaced), ast);
        if found.position().is_none() && ast.source() == Some(source.as_str()) {
            let mut search = Search::of(&found);
            for (_, _, function, _, definition) in ast.shared_lib().iter_script_fn_info() {
                if function == name {
                    walk_body(definition, &mut |path| search.see(path));
                }
            }
            found = placed(found, search.found().unwrap_or(Position::NONE));
        }
        **inner = *found;
    }
    error
}
