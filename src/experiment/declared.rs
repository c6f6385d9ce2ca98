//! The options a method has, asked of the method itself: it is called until it declares them with `options`, and no further.

use super::frame::Record;
use super::run::Job;
use super::task::Task;
use super::{order, run};
use crate::runtime::{Error, Run, Script};
use rhai::{Dynamic, Map, NativeCallContext};
use std::rc::Rc;

/// What a method declares.
#[derive(Clone)]
pub struct Declared {
    /// The method's name.
    pub method: String,
    /// Its rules by option.
    pub rules: Map,
    /// Every option with the value that would count: given, preset or default.
    pub values: Map,
}

/// The options that a method declares for a task, when it is given these. Nothing is trained, recorded or drawn.
///
/// # Errors
/// An unknown method, options that it refuses, and a method that works before it reads them.
pub fn of(context: &NativeCallContext, method: &Dynamic, task: &Task, given: Map) -> Script<Declared> {
    let run = Run::of(context);
    let called = run::called(context, &run, method)?;
    let (order, options) = order::parse(context, task, &called.subject(), given)?;
    let record = Rc::new(Record::default());
    record.question.ask();
    let job = Job { context, run: &run, called: &called, task, order: &order, options: &options, record: &record };
    let ended = run.aside(|| job.ask());
    let name = order.method.clone();
    if let Some((rules, values)) = record.question.answer.take() {
        return Ok(Declared { method: name, rules, values });
    }
    let unread = |message: String| {
        let hint = "begin the method with let o = options(opt, #{ .. });";
        Err(Error::new(&name, message).hint(hint).into())
    };
    if record.question.busy.get() {
        return unread("cannot be asked for its options: it begins to work before it reads them".into());
    }
    let _net = ended?;
    unread("has no options to search: it never reads them".into())
}
