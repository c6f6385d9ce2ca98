//! The constructs of the language: `no_grad { .. }` and `timed "stage" { .. }`. Being syntax, not closures, they see
//! and change local variables, and `return` and `break` pass through them. `eval(text)` is Rhai's own, but for its text
//! being compiled as every other.

use crate::host::docs::catalog::script_type;

use crate::runtime::{Error, Run, clock, notation};
use rhai::{
    Dynamic, Engine, EvalAltResult, EvalContext, Expr, Expression, ParseError, ParseErrorType, Position, StmtBlock,
};
use std::cell::Cell;
use std::rc::Rc;

/// How deep functions may call each other; the interpreter's stack holds several times as many.
pub const CALL_LEVELS: usize = 256;

/// How deep texts may evaluate texts: each is compiled anew and takes more stack than a call.
const EVAL_LEVELS: usize = 64;

/// The construct that evaluates a text.
pub const EVAL: &str = "eval";

/// The run an expression is evaluated in.
fn run_of(context: &EvalContext) -> Option<Run> {
    context.tag().clone().try_cast::<Run>()
}

/// The error for a stage that is no string.
fn unnamed(kind: &str) -> Error {
    let message = format!("the stage must be a string, got {}", script_type(kind));
    Error::new("timed", message).hint("write timed \"stage\" { .. }")
}

/// The engine gives errors of constructs no place by itself.
fn located(error: Error, position: Position) -> Box<EvalAltResult> {
    let mut error: Box<EvalAltResult> = error.into();
    error.set_position(position);
    error
}

/// Adds the constructs to an engine.
///
/// # Errors
/// When Rhai refuses the syntax, which a test of every build would show.
pub fn register(engine: &mut Engine) -> Result<(), ParseError> {
    engine.register_custom_syntax(["no_grad", "$block$"], false, |context, inputs| {
        let _guard = tch::no_grad_guard();
        match inputs.first() {
            Some(block) => context.eval_expression_tree(block),
            None => Ok(rhai::Dynamic::UNIT),
        }
    })?;
    engine.register_custom_syntax(["timed", "$expr$", "$block$"], false, |context, inputs| {
        let [name, block] = inputs else { return Ok(rhai::Dynamic::UNIT) };
        let (value, position) = (context.eval_expression_tree(name)?, name.position());
        let name = value.into_string().map_err(|kind| located(unnamed(kind), position))?;
        let run = run_of(context);
        let _stage = run.as_ref().map(|run| clock::stage(run, &name));
        context.eval_expression_tree(block)
    })?;
    engine.register_custom_syntax([EVAL, "(", "$expr$", ")"], true, |context, inputs| {
        let Some(argument) = inputs.first() else { return Ok(Dynamic::UNIT) };
        let (text, position) = (context.eval_expression_tree(argument)?, argument.position());
        let text = text
            .into_immutable_string()
            .map_err(|kind| EvalAltResult::ErrorMismatchDataType("string".into(), script_type(kind), position))?;
        let source = context.source().unwrap_or_default().to_string();
        evaluated(context, &text, position).map_err(|error| match *error {
            EvalAltResult::Exit(..) => error,
            _ => EvalAltResult::ErrorInFunctionCall(EVAL.into(), source, error, position).into(),
        })
    })?;
    Ok(())
}

/// How many texts are being evaluated inside each other. A run slot.
#[derive(Default)]
struct Depth(Cell<usize>);

/// One more of them, until it is dropped.
struct Nested(Rc<Depth>);

impl Nested {
    fn enter(run: &Run, position: Position) -> Result<Self, Box<EvalAltResult>> {
        let depth = run.slot::<Depth>();
        if depth.0.get() >= EVAL_LEVELS {
            let message = format!("texts that evaluate texts are nested more than {EVAL_LEVELS} levels deep");
            let error = Error::new(EVAL, message).hint("give the recursion an end, or write a function");
            return Err(located(error, position));
        }
        depth.0.set(depth.0.get() + 1);
        Ok(Self(depth))
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get().saturating_sub(1));
    }
}

/// Evaluates a text where `eval` stands; its variables stay.
fn evaluated(context: &mut EvalContext, text: &str, position: Position) -> Result<Dynamic, Box<EvalAltResult>> {
    let level = context.call_level();
    if level >= CALL_LEVELS {
        return Err(EvalAltResult::ErrorStackOverflow(position).into());
    }
    let _inside = run_of(context).map(|run| Nested::enter(&run, position)).transpose()?;
    let ast = notation::compile(context.engine(), text.trim())?;
    if ast.has_functions() {
        return Err(ParseError(Box::new(ParseErrorType::WrongFnDefinition), Position::NONE).into());
    }
    let (variables, imports) = (context.scope().len(), context.global_runtime_state().num_imports());
    let block = Expr::Stmt(Box::new(StmtBlock::new(ast.statements().to_vec(), Position::NONE, Position::NONE)));
    context.global_runtime_state_mut().level = level + 1;
    #[allow(deprecated, reason = "not deprecated, says its note, but volatile")]
    let outcome = context.eval_expression_tree_raw(&Expression::from(&block), false);
    let changed = context.scope().len() != variables || context.global_runtime_state().num_imports() != imports;
    let state = context.global_runtime_state_mut();
    state.level = level;
    // What the parser knew of the places of variables is no longer so.
    state.always_search_scope |= changed;
    outcome.or_else(|error| match *error {
        EvalAltResult::Return(value, _) => Ok(value),
        _ => Err(error),
    })
}
