//! `unlearn::run`: one method on one task, timed, evaluated and recorded.

use super::accelerate::{self, Accelerate};
use super::frame::{self, Frame, Record};
use super::methods::{self, Method};
use super::outcome::Outcome;
use super::reference::{self, References};
use super::regularizer::{Choice, Workshop};
use super::row;
use super::task::Task;
use crate::eval::Metrics;
use crate::eval::gaps::gaps;
use crate::nn::{Hooks, Net};
use crate::report::recorder::Recorder;
use crate::runtime::clock::{self, Clock};
use crate::runtime::error::message_of;
use crate::runtime::options::describe;
use crate::runtime::{Error, Options, Result, Run, Script};
use rhai::{Dynamic, FnPtr, Map, NativeCallContext};
use serde_json::Value;
use std::rc::Rc;

/// What is run: a method by name, or a function of the caller's.
enum Callee {
    Named(Method),
    Function(FnPtr),
}

/// What is run and what is known about it.
struct Called {
    callee: Callee,
    name: String,
    anonymous: bool,
    builtin: bool,
}

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
        self.run.aside(|| reference::evaluate(&self.task, net))
    }
}

/// Reads what `run` consumes; the rest is the method's.
fn read_order(context: &NativeCallContext, task: &Task, called: &Called, given: Map) -> Result<(Order, Map)> {
    let Called { name: method, anonymous, builtin, .. } = called;
    let mut o = Options::new("unlearn::run", given);
    let name = o.maybe_text("name")?;
    let usual = if task.is_reference() { "reference" } else { "canonical" };
    let reference = o.choice("variant", usual, &["canonical", "reference"])? == "reference";
    let accelerate = o.flag("accelerate", false)?;
    let regularizer = o.take("regularizer", "string | function", "\"quantile\"");
    let regularizer = regularizer.map(|value| Choice::read(context, &value)).transpose()?;
    let seed = o.integer("seed", task.seed() as i64, 0)? as u64;
    let every = o.maybe_integer("every", 1)?.map(|n| n as usize);
    let keep = o.flag("keep", false)?;
    let budget = o.maybe_number("budget")?;
    let record_errors = o.choice("on_error", "throw", &["throw", "record"])? == "record";
    if let Some(seconds) = budget.filter(|seconds| *seconds <= 0.0) {
        return Err(
            Error::new("unlearn::run", format!("`budget` must be above 0 seconds, got {seconds}")).word("budget")
        );
    }
    if *anonymous && name.is_none() {
        return Err(Error::new("unlearn::run", "a closure has no name for the results")
            .hint("give one: unlearn::run(|task, opt| .., task, #{ name: \"mine\" })"));
    }
    let label = name.clone().unwrap_or_else(|| method.to_string());
    let method = if *anonymous { label.clone() } else { method.to_string() };
    let order = Order {
        builtin: *builtin,
        method,
        label,
        reference,
        accelerate,
        regularizer,
        seed,
        every,
        keep,
        budget,
        record_errors,
    };
    Ok((order, o.rest()))
}

/// Finds out what to run.
fn called(context: &NativeCallContext, run: &Run, method: &Dynamic) -> Script<Called> {
    if method.is_string() {
        let found = methods::find(run, context.engine(), &method.to_string(), context.call_source())?;
        let (name, builtin) = (found.name.clone(), found.builtin);
        return Ok(Called { callee: Callee::Named(found), name, anonymous: false, builtin });
    }
    match method.clone().try_cast::<FnPtr>() {
        Some(function) => {
            let (name, anonymous) = (function.fn_name().to_string(), function.is_anonymous());
            Ok(Called { callee: Callee::Function(function), name, anonymous, builtin: false })
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
    let called = called(context, &run, method)?;
    let (order, options) = read_order(context, task, &called, given)?;
    let run_id = row::new_id(&run, &order, task);
    let record = Rc::new(record(&run, task, &order, &run_id));
    let book = clock::book(&run);
    let worked = {
        let _scope = run.enter(order.seed, &format!("unlearn/{}/{}", order.label, task.split_id()));
        let examiner = Examiner { run: run.clone(), task: task.clone(), keep: None };
        let job = Job { context, run: &run, called: &called, task, order: &order, options: &options, record: &record };
        job.work().and_then(|net| Ok((examiner.metrics(&net)?, net)))
    };
    let sheet = row::Sheet { run: &run, task, order: &order, record: &record, run_id, seconds: book.close() };
    match worked {
        Ok((metrics, net)) => finished(&sheet, &options, net, metrics),
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
    record.regularizer.replace(order.regularizer.clone().unwrap_or_default());
    record
}

/// A method about to work.
struct Job<'a, 'b> {
    context: &'a NativeCallContext<'b>,
    run: &'a Run,
    called: &'a Called,
    task: &'a Task,
    order: &'a Order,
    options: &'a Map,
    record: &'a Rc<Record>,
}

impl Job<'_, '_> {
    /// Lets the method work, on the clock.
    fn work(&self) -> Script<Net> {
        let Self { run, task, order, options, record, .. } = *self;
        if let Some(net) = reference::from_cache(run, task, order, options, record)? {
            return Ok(net);
        }
        record.accelerated.set(order.accelerate);
        let (_frame, _guard) = frame::enter(run, self.frame())?;
        let _hook = hook(run, record.clone());
        let stage = clock::stage(run, "unlearn");
        let returned = match &self.called.callee {
            Callee::Named(method) => method.call(self.context, task, options.clone()),
            Callee::Function(function) => function.call_within_context(self.context, (task.clone(), options.clone())),
        };
        drop(stage);
        let net = match returned {
            Ok(value) => net_of(order, value)?,
            Err(error) if record.watch.spent.get() => record.net().ok_or(error)?,
            Err(error) => return Err(error),
        };
        record.watch.check_loss(&order.method, record.epochs.get().saturating_sub(1))?;
        check_used(order, options, record)?;
        Ok(net)
    }

    fn frame(&self) -> Frame {
        Frame {
            method: self.order.method.clone(),
            accelerate: self.order.accelerate.then(Accelerate::default),
            reference: self.order.reference,
            workshop: Workshop::default(),
            task: Some(self.task.clone()),
            record: self.record.clone(),
        }
    }
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
        if innermost { record.watch.stepped(&watched, loss, optimizer.lr()) } else { Ok(()) }
    }));
    HookGuard { run: run.clone(), length }
}

/// Records a success.
fn finished(sheet: &row::Sheet, options: &Map, net: Net, metrics: Metrics) -> Script<Outcome> {
    let (run, task, order) = (sheet.run, sheet.task, sheet.order);
    if order.method == "retrain" {
        let seconds = sheet.seconds.get("unlearn").copied().unwrap_or(0.0);
        run.slot::<References>().set(task, &metrics, seconds);
        reference::to_cache(run, task, order, options, sheet.record, &net, seconds)?;
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
    let gaps = run.slot::<References>().get(task.split_id()).map(|retrained| gaps(&metrics, &retrained.metrics));
    Ok(Outcome::new(Some(net), metrics, row, history, gaps))
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
        return Ok(Outcome::new(None, Metrics::default(), row, vec![], None));
    }
    Err(error)
}
