//! `unlearn::run`: one method on one task, timed, evaluated and recorded.

use super::accelerate::{self, Accelerate};
use super::assess::{self, Assessment};
use super::examiner::Examiner;
use super::frame::{self, Frame, Record};
use super::methods::{self, Method};
use super::order::{Order, Subject};
use super::outcome::{Absent, Outcome};
use super::task::Task;
use super::{announce, reference, resume, row};
use crate::eval::{Metrics, warnings};
use crate::experiment::references::References;
use crate::experiment::regularizer_choice::Workshop;
use crate::experiment::watch::Every;
use crate::experiment::{identity, kept_weights, round_costs};
use crate::nn::{Hooks, Net};
use crate::report::runs::row::Row;
use crate::report::{PredictionStore, Recorder};
use crate::runtime::error::message_of;
use crate::runtime::options::describe;
use crate::runtime::{Error, Result, Run, Script, clock};
use rhai::{Dynamic, FnPtr, Map, NativeCallContext};
use std::rc::Rc;

/// What is run: a method by name, or a function of the caller's.
enum Callee {
    Named(Method),
    Function(FnPtr),
}

/// What is run and what is known about it.
pub(super) struct Called {
    callee: Callee,
    name: String,
    anonymous: bool,
    builtin: bool,
}

impl Called {
    pub(super) fn subject(&self) -> Subject<'_> {
        let (function, file) = match &self.callee {
            Callee::Named(method) => (None, method.file()),
            Callee::Function(function) => (Some(function), None),
        };
        Subject { name: &self.name, anonymous: self.anonymous, builtin: self.builtin, function, file }
    }
}

/// Finds out what to run.
pub(super) fn called(context: &NativeCallContext, run: &Run, method: &Dynamic) -> Script<Called> {
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
    let outcome = one(context, &run, &called, task, given)?;
    if let Some(round) = task.round() {
        round.keep(&outcome);
    }
    Ok(outcome)
}

fn one(context: &NativeCallContext, run: &Run, called: &Called, task: &Task, given: Map) -> Script<Outcome> {
    frame::current(run).record.question.refuse_work()?;
    let (mut order, options) = identity::read(context, task, &called.subject(), given.clone())?;
    let asked = run.slot::<Recorder>().count_order(&order.identity.key);
    order.identity = order.identity.repeated(asked);
    let run_id = row::new_id(run, &order);
    if let Some(outcome) = resume::earlier(run, task, &order, &options)? {
        announce::outcome(run, &order, &given, &outcome, true);
        return Ok(outcome);
    }
    assess::original(run, task)?;
    let record = Rc::new(record(run, task, &order, &run_id));
    let book = clock::book(run);
    let worked = {
        let _scope = run.enter(order.seed, &format!("unlearn/{}/{}", order.label, task.split_id()));
        let job = Job { context, run, called, task, order: &order, options: &options, record: &record };
        job.work().and_then(|net| Ok((Examiner::new(run, task, None).assess(&net)?, net)))
    };
    let sheet = row::Sheet { run, task, order: &order, record: &record, run_id, seconds: book.close() };
    match worked {
        Ok((found, net)) => {
            let outcome = finished(&sheet, &options, net, found)?;
            announce::outcome(run, &order, &given, &outcome, false);
            Ok(outcome)
        }
        Err(error) => failed(&sheet, &given, error),
    }
}

/// What the run records, with its watch set.
fn record(run: &Run, task: &Task, order: &Order, run_id: &str) -> Record {
    let record = Record::default();
    let watch = &record.watch;
    watch.every.set(order.every);
    watch.keep_best.set(order.keep_best);
    watch.budget.set(order.budget);
    if order.every.is_some() {
        let keep = order.weights.then(|| run_id.to_string());
        watch.examiner.replace(Some(Examiner::new(run, task, keep)));
    }
    record.regularizer.replace(order.regularizer.clone().unwrap_or_default());
    record
}

/// A method about to work.
pub(super) struct Job<'a, 'b> {
    pub context: &'a NativeCallContext<'b>,
    pub run: &'a Run,
    pub called: &'a Called,
    pub task: &'a Task,
    pub order: &'a Order,
    pub options: &'a Map,
    pub record: &'a Rc<Record>,
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
        let returned = self.call();
        drop(stage);
        let net = match returned {
            Ok(value) => net_of(order, value)?,
            Err(error) if record.watch.spent.get() => record.net().ok_or(error)?,
            Err(error) => return Err(error),
        };
        record.watch.check_loss(&order.method, record.epochs.get().saturating_sub(1))?;
        check_used(order, options, record)?;
        if let Some(at) = record.watch.settle(record.epochs.get(), &net)? {
            record.kept.replace(at);
        }
        Ok(net)
    }

    /// Calls the method, in whatever frame is on top.
    fn call(&self) -> Script<Dynamic> {
        let arguments = (self.task.clone(), self.options.clone());
        match &self.called.callee {
            Callee::Named(method) => method.call(self.context, &arguments.0, arguments.1),
            Callee::Function(function) => function.call_within_context(self.context, arguments),
        }
    }

    /// Calls a method that is only asked for its options.
    pub(super) fn ask(&self) -> Script<Dynamic> {
        let (_frame, _guard) = frame::enter(self.run, self.frame())?;
        let _hook = hook(self.run, self.record.clone());
        self.call()
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
    let asked = if order.keep_best { "keep" } else { "every" };
    match order.every {
        Some(Every::Epoch) if record.epochs.get() == 0 => return unused(asked, "it has no loop over epochs(..)"),
        Some(Every::Steps(_)) if record.watch.steps() == 0 => return unused(asked, "no optimiser steps its net"),
        _ => {}
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
        if innermost { record.stepped(&watched, optimizer, loss) } else { Ok(()) }
    }));
    HookGuard { run: run.clone(), length }
}

/// Records a success.
fn finished(sheet: &row::Sheet, options: &Map, net: Net, found: Assessment) -> Script<Outcome> {
    let (run, task, order) = (sheet.run, sheet.task, sheet.order);
    let mut found = found;
    let round = round_costs::account(run, task, &net, &mut found, &sheet.seconds)?;
    let Assessment { parts, metrics, key } = found;
    warnings::outputs(&metrics).iter().for_each(|line| run.progress().warn(&format!("{}: {line}", order.label)));
    if order.method == "retrain" {
        let seconds = sheet.seconds.get("unlearn").copied().unwrap_or(0.0);
        run.slot::<References>().add(task.split_id(), &metrics, &key);
        reference::to_cache(run, task, order, options, sheet.record, &net, seconds)?;
    }
    let mut row = sheet.row(Some(&metrics), if sheet.record.watch.spent.get() { "budget" } else { "ok" })?;
    let history = sheet.record.watch.history.take();
    if let Some(fields) = row.as_object_mut() {
        if !history.is_empty() {
            fields.insert("history".into(), history.clone().into());
        }
        if order.keep_best {
            fields.insert("kept".into(), sheet.record.kept.take());
        }
        if order.weights {
            fields.insert("weights".into(), kept_weights::keep_weights(run, &sheet.run_id, &net)?.into());
        }
        fields.insert("predictions".into(), key.clone().into());
        if let Some(round) = round {
            fields.insert("round".into(), round);
        }
    }
    // Before the row that names them: a run that is killed in between must not pass for done.
    let store = run.slot::<PredictionStore>();
    store.put(run, &key, &parts)?;
    let original = assess::original(run, task)?;
    store.put(run, &original.key, &original.parts)?;
    run.slot::<Recorder>().append(&row)?;
    let retrained = run.slot::<References>().of(task.split_id(), &key);
    Ok(Outcome::new(run, Ok(net), metrics, row, history, retrained))
}

/// Records a failure; throws it unless told to go on. An interrupt is always passed on.
fn failed(sheet: &row::Sheet, given: &Map, error: Box<rhai::EvalAltResult>) -> Script<Outcome> {
    let interrupted = match error.unwrap_inner() {
        rhai::EvalAltResult::ErrorTerminated(token, _) => crate::runtime::error::stopped(token).is_none(),
        _ => false,
    };
    let mut row = sheet.row(None, if interrupted { "interrupted" } else { "failed" })?;
    if let Some(fields) = row.as_object_mut() {
        fields.insert("error".into(), message_of(&error).into());
    }
    if let Err(problem) = sheet.run.slot::<Recorder>().append(&row) {
        sheet.run.progress().warn(&format!("{} failed: {}", sheet.order.label, message_of(&error)));
        return Err(problem.into());
    }
    if sheet.order.record_errors && !interrupted {
        let name = announce::named(sheet.order, given, &Row::new(row.clone()));
        sheet.run.progress().warn(&format!("{name} failed: {}", message_of(&error)));
        return Ok(Outcome::new(sheet.run, Err(Absent::Failed), Metrics::default(), row, vec![], None));
    }
    Err(error)
}
