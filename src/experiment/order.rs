//! What `unlearn::run` was asked for: the options it consumes itself, and the key that tells one order from another.

use super::identity::key::Identity;
use super::task::Task;
use crate::experiment::regularizer_choice::Choice;
use crate::experiment::watch::Every;
use crate::runtime::options::{as_integer, describe};
use crate::runtime::{Error, Options, Result};
use rhai::{Dynamic, FnPtr, Map, NativeCallContext};

/// What `unlearn::run` itself was asked for.
pub struct Order {
    /// The method is one of the standard library.
    pub builtin: bool,
    /// The method's name.
    pub method: String,
    /// The name in rows and tables.
    pub label: String,
    /// Formulas and presets of the reference implementation.
    pub reference: bool,
    /// The accelerated form.
    pub accelerate: bool,
    /// A regulariser for it was chosen.
    pub regularizer: Option<Choice>,
    /// The same as it was given.
    pub regularized_by: Option<Dynamic>,
    /// The seed of the run's streams.
    pub seed: u64,
    /// Evaluate along the way.
    pub every: Option<Every>,
    /// End with the weights of the best evaluation, not with the last.
    pub keep_best: bool,
    /// Keep the weights in the run folder.
    pub weights: bool,
    /// Seconds of unlearning after which the method is stopped.
    pub budget: Option<f64>,
    /// Record a failure and go on.
    pub record_errors: bool,
    /// What decides the result.
    pub identity: Identity,
}

/// What is known about the method before its options are read.
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a str,
    /// It is a closure.
    pub anonymous: bool,
    /// It is one of the standard library.
    pub builtin: bool,
    /// The function that was passed, if it was not named.
    pub function: Option<&'a FnPtr>,
    /// The script that a named method is in.
    pub file: Option<&'a str>,
}

/// Reads what `run` consumes, without the identity; the rest is the method's.
///
/// # Errors
/// Values of a wrong type or range; a closure without a name.
pub fn parse(context: &NativeCallContext, task: &Task, subject: &Subject, given: Map) -> Result<(Order, Map)> {
    let mut o = Options::new("unlearn::run", given);
    let name = o.maybe_text("name")?;
    let usual = if task.is_reference() { "reference" } else { "canonical" };
    let reference = o.choice("variant", usual, &["canonical", "reference"])? == "reference";
    let accelerate = o.flag("accelerate", false)?;
    let regularizer = o.take("regularizer", "string | function", "\"quantile\"");
    let regularized_by = regularizer.clone();
    let regularizer = regularizer.map(|value| Choice::read(context, &value)).transpose()?;
    let seed = o.integer("seed", task.seed() as i64, 0)? as u64;
    let every = o.take("every", "\"epoch\" | int", "()").map(|value| every(&value)).transpose()?;
    let keep_best = o.choice("keep", "last", &["last", "best"])? == "best";
    let weights = o.flag("weights", false)?;
    let budget = o.maybe_number("budget")?;
    let record_errors = o.choice("on_error", "throw", &["throw", "record"])? == "record";
    if let Some(seconds) = budget.filter(|seconds| *seconds <= 0.0) {
        return Err(
            Error::new("unlearn::run", format!("`budget` must be above 0 seconds, got {seconds}")).word("budget")
        );
    }
    if subject.anonymous && name.is_none() {
        return Err(Error::new("unlearn::run", "a closure has no name for the results")
            .hint("give one: unlearn::run(|task, opt| .., task, #{ name: \"mine\" })"));
    }
    let label = name.unwrap_or_else(|| subject.name.to_string());
    let method = if subject.anonymous { label.clone() } else { subject.name.to_string() };
    let order = Order {
        builtin: subject.builtin,
        method,
        label,
        reference,
        accelerate,
        regularizer,
        regularized_by,
        seed,
        // The best of nothing but the end would be the end.
        every: every.or(keep_best.then_some(Every::Epoch)),
        keep_best,
        weights,
        budget,
        record_errors,
        identity: Identity::default(),
    };
    Ok((order, o.rest()))
}

fn every(value: &Dynamic) -> Result<Every> {
    match as_integer(value) {
        Some(steps) if steps > 0 => Ok(Every::Steps(steps as usize)),
        None if value.clone().into_string().is_ok_and(|word| word == "epoch") => Ok(Every::Epoch),
        _ => {
            let given = describe(value);
            let message = format!("`every` must be \"epoch\" or a number of steps of at least 1, got {given}");
            Err(Error::new("unlearn::run", message).word("every"))
        }
    }
}
