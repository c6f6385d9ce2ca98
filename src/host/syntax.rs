//! The two constructs of the language: `no_grad { .. }` and `timed "stage" { .. }`. Being syntax, not closures, they see
//! and change local variables, and `return` and `break` pass through them.

use super::catalog::script_type;
use crate::runtime::{Error, Run, clock};
use rhai::{Engine, EvalAltResult, EvalContext, ParseError, Position};

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
    Ok(())
}
