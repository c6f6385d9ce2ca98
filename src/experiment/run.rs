//! `unlearn::run`: one method on one task, timed, evaluated and recorded.

use super::accelerate::{self, Accelerate};
use super::frame::{self, Frame, Record};
use super::methods::{self, Method};
use super::outcome::Outcome;
use super::reference::{self, References};
use super::row;
use super::rules::RUN_OPTIONS;
use super::task::Task;
use crate::eval::Metrics;
use crate::nn::{Hooks, Net};
use crate::report::recorder::Recorder;
use crate::runtime::clock::{self, Clock};
use crate::runtime::error::message_of;
use crate::runtime::options::describe;
use crate::runtime::{Error, Options, Result, Run, Script};
use rhai::{Dynamic, FnPtr, Map, NativeCallContext};
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is run: a method by name, or a function of the caller's.
enum Callee {
    Named(Method),
    Function(FnPtr),
}

/// What `unlearn::run` itself was asked for.
pub struct Order {
    /// The method's name.
    pub method: String,
    /// The name in rows and tables.
    pub label: String,
    /// Formulas and presets of the reference implementation.
    pub reference: bool,
    /// The accelerated form.
    pub accelerate: bool,
    /// A regulariser for it.
    pub regularizer: Option<Dynamic>,
    /// The seed of the run's streams.
    pub seed: u64,
    /// Evaluate after so many epochs.
    pub every: Option<usize>,
    /// Keep the weights in the run folder.
    pub keep: bool,
    /// Seconds of unlearning after which the method is stopped.
    pub budget: Option<f64>,
    /// Record a failure and go on.
    pub record_errors: bool,
}

/// Evaluates a net on a task's splits without moving a stream or the clock.
pub struct Examiner {
    run: Run,
    task: Task,
    keep: Option<String>,
}

impl Examiner {
    /// An evaluation along the way: `{ epoch, seconds, metrics }`.
    pub fn examine(&self, net: &Net, epoch: usize) -> Result<Value> {
        let seconds = self.run.slot::<Clock>().running("unlearn").unwrap_or(0.0);
        let metrics = self.metrics(net)?;
        let mut found = serde_json::json!({ "epoch": epoch, "seconds": seconds, "metrics": metrics.to_json() });
        if let Some(run_id) = &self.keep {
            let path = row::keep_weights(&self.run, &format!("{run_id}-epoch-{epoch}"), net)?;
            if let Some(fields) = found.as_object_mut() {
                fields.insert("weights".into(), path.into());
            }
        }
        Ok(found)
    }

    /// The metrics on the task's splits.
    pub fn metrics(&self, net: &Net) -> Result<Metrics> {
        let _stage = clock::stage(&self.run, "evaluate");
        self.run.aside(|| reference::evaluate(&self.run, &self.task, net))
    }
}

/// Reads what `run` consumes; the rest is the method's.
fn read_order(task: &Task, method: &str, anonymous: bool, given: Map) -> Result<(Order, Map)> {
    let mut o = Options::new("unlearn::run", given);
    let name = o.maybe_text("name")?;
    let usual = if task.is_reference() { "reference" } else { "canonical" };
    let reference = o.choice("variant", usual, &["canonical", "reference"])? == "reference";
    let accelerate = o.flag("accelerate", false)?;
    let regularizer = o.take("regularizer", "string | function", "\"quantile\"");
    let seed = o.integer("seed", task.seed() as i64, 0)? as u64;
    let every = o.maybe_integer("every", 1)?.map(|n| n as usize);
    let keep = o.flag("keep", false)?;
    let budget = o.maybe_number("budget")?;
    let record_errors = o.choice("on_error", "throw", &["throw", "record"])? == "record";
    if let Some(seconds) = budget.filter(|seconds| *seconds <= 0.0) {
        return Err(Error::new("unlearn::run", format!("`budget` must be above 0 seconds, got {seconds}")).word("budget"));
    }
    if anonymous && name.is_none() {
        return Err(Error::new("unlearn::run", "a closure has no name for the results")
            .hint("give one: unlearn::run(|task, opt| .., task, #{ name: \"mine\" })"));
    }
    let label = name.clone().unwrap_or_else(|| method.to_string());
    let method = if anonymous { label.clone() } else { method.to_string() };
    let order = Order { method, label, reference, accelerate, regularizer, seed, every, keep, budget, record_errors };
    Ok((order, o.rest()))
}

/// Finds out what to run.
fn callee(context: &NativeCallContext, run: &Run, method: &Dynamic) -> Script<(Callee, String, bool)> {
    if method.is_string() {
        let name = method.to_string();
        let found = methods::find(run, context.engine(), &name, context.call_source())?;
        let name = found.name.clone();
        return Ok((Callee::Named(found), name, false));
    }
    match method.clone().try_cast::<FnPtr>() {
        Some(function) => {
            let (name, anonymous) = (function.fn_name().to_string(), function.is_anonymous());
            Ok((Callee::Function(function), name, anonymous))
        }
        None => {
            let message = format!("the method must be a name or a function, got {}", describe(method));
            Err(Error::new("unlearn::run", message).into())
        }
    }
}

/// Runs a method on a task: what `unlearn::run` does.
///
/// # Errors
/// Wrong options, an unknown method, and what the method raises (after a row with status `failed`).
pub fn run(context: &NativeCallContext, method: &Dynamic, task: &Task, given: Map) -> Script<Outcome> {
    let run = Run::of(context);
    let (callee, name, anonymous) = callee(context, &run, method)?;
    let (order, options) = read_order(task, &name, anonymous, given)?;
    let run_id = row::new_id(&run, &order, task);
    let record = Rc::new(record(&run, task, &order, &run_id));
    let scope = run.enter(order.seed, &format!("unlearn/{}/{}", order.label, task.split_id()));
    let book = clock::book(&run);
    let worked = work(context, &run, &callee, task, &order, &options, &record);
    drop(scope);
    let examiner = Examiner { run: run.clone(), task: task.clone(), keep: None };
    let worked = worked.and_then(|net| Ok((examiner.metrics(&net)?, net)));
    let mut sheet = row::Sheet { run: &run, task, order: &order, record: &record, run_id, seconds: book.close() };
    match worked {
        Ok((metrics, net)) => finished(&mut sheet, net, metrics),
        Err(error) => failed(&sheet, error),
    }
}

/// What the run records, with its watch set.
fn record(run: &Run, task: &Task, order: &Order, run_id: &str) -> Record {
    let record = Record::default();
    let watch = &record.watch;
    watch.every.set(order.every);
    watch.budget.set(order.budget);
    if order.every.is_some() {
        let keep = order.keep.then(|| run_id.to_string());
        watch.examiner.replace(Some(Examiner { run: run.clone(), task: task.clone(), keep }));
    }
    record.regularizer.replace(order.regularizer.clone());
    record
}

/// Lets the method work, on the clock.
fn work(
    context: &NativeCallContext,
    run: &Run,
    callee: &Callee,
    task: &Task,
    order: &Order,
    options: &Map,
    record: &Rc<Record>,
) -> Script<Net> {
    if let Some(net) = reference::from_cache(run, task, order, options, record)? {
        return Ok(net);
    }
    let accelerate = order.accelerate.then(Accelerate::default);
    record.accelerated.set(order.accelerate);
    let frame = Frame { method: order.method.clone(), accelerate, reference: order.reference, record: record.clone(), task: Some(task.clone()) };
    let (_frame, _guard) = frame::enter(run, frame)?;
    let _hook = hook(run, record.clone());
    let stage = clock::stage(run, "unlearn");
    let returned = match callee {
        Callee::Named(method) => method.call(context.engine(), task, options.clone()),
        Callee::Function(function) => function.call_within_context(context, (task.clone(), options.clone())),
    };
    drop(stage);
    let net = match returned {
        Ok(value) => net_of(order, value)?,
        Err(error) if record.watch.spent.get() => record.net().ok_or(error)?,
        Err(error) => return Err(error),
    };
    check_used(order, options, record)?;
    Ok(net)
}

/// The net that a method must return.
fn net_of(order: &Order, value: Dynamic) -> Result<Net> {
    let kind = describe(&value);
    value.try_cast::<Net>().ok_or_else(|| {
        Error::new(&order.method, format!("a method must return the unlearned net, this one returned {kind}"))
            .hint("end the function with the net, without a semicolon")
    })
}

/// Refuses orders and options that turned out to have no effect.
fn check_used(order: &Order, options: &Map, record: &Record) -> Result<()> {
    let unused = |key: &str, why: &str| {
        Err(Error::new("unlearn::run", format!("`{key}` has no effect on `{}`: {why}", order.method)).word(key))
    };
    if record.accelerated.get() && !record.primary.get() {
        return Err(accelerate::refusal(&order.method));
    }
    if order.regularizer.is_some() && !(record.accelerated.get() && record.regularized.get()) {
        return unused("regularizer", "no accelerated method called task.regularizer");
    }
    if order.every.is_some() && record.epochs.get() == 0 {
        return unused("every", "it has no loop over epochs(..)");
    }
    if !record.read_options.get()
        && let Some(key) = options.keys().next()
    {
        return unused(key, "it never reads its options with options(opt, #{ .. })");
    }
    Ok(())
}

/// Watches the optimisers' steps until dropped.
struct HookGuard {
    run: Run,
    length: usize,
}

impl Drop for HookGuard {
    fn drop(&mut self) {
        self.run.slot::<Hooks>().0.borrow_mut().truncate(self.length);
    }
}

fn hook(run: &Run, record: Rc<Record>) -> HookGuard {
    let hooks = run.slot::<Hooks>();
    let mut hooks = hooks.0.borrow_mut();
    let length = hooks.len();
    let watched = run.clone();
    hooks.push(Rc::new(move |optimizer, loss| {
        let innermost = Rc::ptr_eq(&frame::current(&watched).record, &record);
        if innermost { record.watch.stepped(&watched, loss.detach_copy(), optimizer.lr()) } else { Ok(()) }
    }));
    HookGuard { run: run.clone(), length }
}

/// Records a success.
fn finished(sheet: &mut row::Sheet, net: Net, metrics: Metrics) -> Script<Outcome> {
    let (run, task, order) = (sheet.run, sheet.task, sheet.order);
    if order.method == "retrain" {
        run.slot::<References>().set(task, &metrics, sheet.seconds.get("unlearn").copied().unwrap_or(0.0));
    }
    let mut row = sheet.row(Some(&metrics), if sheet.record.watch.spent.get() { "budget" } else { "ok" })?;
    let history = sheet.record.watch.history.take();
    if let Some(fields) = row.as_object_mut() {
        if !history.is_empty() {
            fields.insert("history".into(), history.clone().into());
        }
        if order.keep {
            fields.insert("weights".into(), row::keep_weights(run, &sheet.run_id, &net)?.into());
        }
    }
    run.slot::<Recorder>().append(&row)?;
    Ok(Outcome::new(Some(net), metrics, row, history))
}

/// Records a failure; throws it unless told to go on. An interrupt is always passed on.
fn failed(sheet: &row::Sheet, error: Box<rhai::EvalAltResult>) -> Script<Outcome> {
    let interrupted = matches!(error.unwrap_inner(), rhai::EvalAltResult::ErrorTerminated(..));
    let mut row = sheet.row(None, if interrupted { "interrupted" } else { "failed" })?;
    if let Some(fields) = row.as_object_mut() {
        fields.insert("error".into(), message_of(&error).into());
    }
    sheet.run.slot::<Recorder>().append(&row)?;
    if sheet.order.record_errors && !interrupted {
        sheet.run.progress().warn(&format!("{} failed: {}", sheet.order.label, message_of(&error)));
        return Ok(Outcome::new(None, Metrics::default(), row, vec![]));
    }
    Err(error)
}
