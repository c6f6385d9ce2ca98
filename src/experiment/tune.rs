//! Options by trial: a few settings within ranges, ranked by their gap to retraining on validation data.

use super::constraint::Constraint;
use super::declared::{self, Declared};
use super::rules::{self, RUN_OPTIONS};
use super::run;
use super::space::Space;
use super::task::Task;
use crate::experiment::references::References;
use crate::runtime::error::{fault_of, message_of};
use crate::runtime::options::{describe, nearest};
use crate::runtime::{Error, Options, Result, Run, Script};
use rhai::{Array, Dynamic, Map, NativeCallContext};
use std::collections::BTreeMap;

/// How often a setting is drawn anew when constraints refuse it.
const DRAWS: usize = 1000;

/// Options of `unlearn::run` that a search sets itself.
const OWN: [(&str, &str); 2] =
    [("budget", "its own option is `seconds`"), ("on_error", "a trial that fails is recorded")];

/// A search as it was asked for.
struct Search<'a, 'b> {
    context: &'a NativeCallContext<'b>,
    run: Run,
    method: &'a Dynamic,
    tasks: Vec<Task>,
    space: Space,
    trials: usize,
    seconds: f64,
    fixed: Map,
    first: Map,
    constraints: Vec<Constraint>,
}

/// What came of a trial.
struct Trial {
    trial: usize,
    setting: Map,
    seconds: f64,
    budget: bool,
    /// The largest gap of its tasks, or why it has none.
    gap: std::result::Result<f64, String>,
}

/// Searches options: what `tune` does.
///
/// # Errors
/// Whatever is wrong with the search, before the first trial; all trials failing.
pub fn tune(context: &NativeCallContext, method: &Dynamic, tasks: &Dynamic, space: &Map, given: Map) -> Script<Map> {
    let search = Search::read(context, method, tasks, space, given)?;
    search.check_names()?;
    search.check_references()?;
    search.check_space()?;
    let settings = search.settings()?;
    let mut trials = vec![];
    for (trial, setting) in settings.into_iter().enumerate() {
        trials.push(search.trial(trial, setting)?);
    }
    Ok(found(method, ranked(trials))?)
}

impl<'a, 'b> Search<'a, 'b> {
    fn read(
        context: &'a NativeCallContext<'b>,
        method: &'a Dynamic,
        tasks: &Dynamic,
        space: &Map,
        given: Map,
    ) -> Result<Self> {
        let mut o = Options::new("tune", given);
        let trials = o.count("trials", 8)?;
        let seconds = o.positive("seconds", 15.0)?;
        let (fixed, first) = (o.map("options")?, o.map("first")?);
        let constraints = o.take("constraints", "string | array of string", "[]");
        o.finish()?;
        let constraints = constraints.map_or_else(|| Ok(vec![]), |c| Constraint::read(context.engine(), &c))?;
        let (tasks, space) = (tasks_of(tasks)?, Space::read(space)?);
        Ok(Self { context, run: Run::of(context), method, tasks, space, trials, seconds, fixed, first, constraints })
    }

    /// Refuses names that stand in two places, or in the wrong one.
    fn check_names(&self) -> Result<()> {
        let wrong = |name: &str, message: String, hint: &str| Err(Error::new("tune", message).word(name).hint(hint));
        let searched = self.space.dimensions().iter().map(|dimension| dimension.name.as_str());
        for name in searched.chain(self.fixed.keys().map(AsRef::as_ref)) {
            if let Some((own, why)) = OWN.iter().find(|(own, _)| *own == name) {
                return wrong(name, format!("`{own}` of unlearn::run is set by tune"), why);
            }
        }
        if self.space.has("name") {
            return wrong("name", "`name` is a label and cannot be searched".into(), "give it in `options`");
        }
        if let Some(name) = self.fixed.keys().find(|name| self.space.has(name)) {
            let message = format!("`{name}` is searched, and fixed in `options`");
            return wrong(name, message, "the value of the first trial goes into `first`");
        }
        let Some(name) = self.first.keys().find(|name| !self.space.has(name)) else { return Ok(()) };
        let message = format!("`first` gives `{name}`, which is not searched");
        match nearest(name, self.space.dimensions().iter().map(|dimension| dimension.name.as_str())) {
            Some(near) => wrong(name, message, &format!("did you mean `{near}`?")),
            None => wrong(name, message, "a value that all trials share goes into `options`"),
        }
    }

    /// Refuses tasks that nothing can be compared with.
    fn check_references(&self) -> Result<()> {
        let known = self.run.slot::<References>();
        let missing = |task: &&Task| known.of(task.split_id(), "").is_none();
        let missing: Vec<&str> = self.tasks.iter().filter(missing).map(Task::split_id).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = match self.tasks.len() {
            1 => "the task has no retrained network to compare with".to_string(),
            n => format!("{} of {n} tasks have no retrained network to compare with", missing.len()),
        };
        Err(Error::new("tune", message)
            .note(format!("splits: {}", missing.join(", ")))
            .hint("run unlearn::run(\"retrain\", task) on every task before the search"))
    }

    /// Refuses options that the method does not have, and values that it would refuse in some trial.
    fn check_space(&self) -> Script<()> {
        let Some(task) = self.tasks.first() else { return Ok(()) };
        let base = self.ask(task, &self.first, "the options of the first trial are refused")?;
        for dimension in self.space.dimensions() {
            let name = dimension.name.as_str();
            if base.rules.get(name).is_some_and(rules::is_whole) {
                dimension.fits_whole()?;
            }
            for value in dimension.extremes() {
                let mut setting = self.first.clone();
                setting.insert(name.into(), value.clone());
                let what = format!("`{name}` cannot be searched as far as {}", describe(&value));
                let declared = self.ask(task, &setting, &what)?;
                if !declared.rules.contains_key(name) && !RUN_OPTIONS.contains(&name) {
                    let message = format!("{} never reads its option `{name}`", declared.method);
                    return Err(Error::new("tune", message).word(name).into());
                }
            }
        }
        for constraint in &self.constraints {
            constraint.check_names(&base.method, &base.values)?;
        }
        Ok(())
    }

    /// What the method declares when it is given a setting.
    fn ask(&self, task: &Task, setting: &Map, what: &str) -> Script<Declared> {
        let mut given = self.fixed.clone();
        given.extend(setting.clone());
        declared::of(self.context, self.method, task, given).map_err(|error| refused(error, what))
    }

    /// The settings of all trials.
    fn settings(&self) -> Script<Vec<Map>> {
        let mut settings = vec![self.first.clone()];
        if let Some(broken) = self.broken(&self.first)? {
            let message =
                format!("the options of the first trial break the constraint {:?}: {}", broken.text, broken.by);
            return Err(Error::new("tune", message).word("constraints").hint("give it others in `first`").into());
        }
        for trial in 1..self.trials {
            settings.push(self.setting(trial)?);
        }
        Ok(settings)
    }

    /// The setting of a trial: its place in the recurrence, else the first of its own random draws that keeps to the
    /// constraints.
    fn setting(&self, trial: usize) -> Script<Map> {
        let seed = self.tasks.first().map_or(0, Task::seed);
        let _scope = self.run.enter(seed, &format!("tune/{trial}"));
        let mut stream = self.run.stream("constraints");
        let mut setting = self.space.spread(trial);
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..DRAWS {
            let Some(broken) = self.broken(&setting)? else { return Ok(setting) };
            *reasons.entry(broken.text).or_default() += 1;
            setting = self.space.setting(|| stream.uniform());
        }
        let error = Error::new("tune", format!("no setting keeps to the constraints: {DRAWS} were drawn"))
            .word("constraints")
            .hint("widen the space, or loosen the constraints");
        Err(counted(error, reasons, "broken").into())
    }

    /// The constraint that a setting breaks on some task.
    fn broken(&self, setting: &Map) -> Script<Option<Broken>> {
        for task in &self.tasks {
            let declared = self.ask(task, setting, "a setting is refused")?;
            for constraint in &self.constraints {
                if !constraint.holds(self.context.engine(), &declared.values)? {
                    let by = constraint.values(&declared.values);
                    return Ok(Some(Broken { text: constraint.text().into(), by }));
                }
            }
        }
        Ok(None)
    }

    /// A trial on every task.
    fn trial(&self, trial: usize, setting: Map) -> Script<Trial> {
        let mut given = self.fixed.clone();
        given.extend(setting.clone());
        given.insert("budget".into(), self.seconds.into());
        given.insert("on_error".into(), "record".into());
        let mut tried = Trial { trial, setting, seconds: 0.0, budget: false, gap: Ok(0.0) };
        for task in &self.tasks {
            let outcome = run::run(self.context, self.method, task, given.clone())?;
            let gap = outcome.validation_gap();
            if outcome.text("status") == "failed" {
                tried.gap = Err(outcome.text("error"));
            } else if !gap.is_finite() {
                tried.gap = Err("its distance from retraining is not a number".into());
                self.run.progress().warn(&format!("trial {trial} of {}: no gap", outcome.text("label")));
            }
            tried.seconds += outcome.seconds("unlearn");
            tried.budget |= outcome.text("status") == "budget";
            let Ok(largest) = tried.gap else { break };
            tried.gap = Ok(largest.max(gap));
        }
        Ok(tried)
    }
}

/// A constraint that was broken, and the values that did it.
struct Broken {
    text: String,
    by: String,
}

/// One task or several.
fn tasks_of(given: &Dynamic) -> Result<Vec<Task>> {
    let list = match given.read_lock::<Array>() {
        Some(list) => list.clone(),
        None => vec![given.clone()],
    };
    if list.is_empty() {
        return Err(Error::new("tune", "there are no tasks to try options on: the array is empty"));
    }
    let wrong = |value: &Dynamic| Error::new("tune", format!("tasks must be Tasks, got {}", describe(value)));
    list.iter().map(|value| value.clone().try_cast::<Task>().ok_or_else(|| wrong(value))).collect()
}

/// The refusal of a method, told of the search. Interrupts pass.
fn refused(error: Box<rhai::EvalAltResult>, what: &str) -> Box<rhai::EvalAltResult> {
    let Some(fault) = fault_of(&error) else { return error };
    // A name that the method does not have is wrong whatever its value.
    let nameless = fault.operation.is_empty() && fault.message.starts_with("unknown option");
    let message = if nameless { fault.message } else { format!("{what}: {}", message_of(&error)) };
    let told = Error::new("tune", message).word(fault.word).hint(fault.hint);
    fault.notes.into_iter().fold(told, Error::note).into()
}

/// Reasons with how often each came, as notes.
fn counted(error: Error, reasons: BTreeMap<String, usize>, word: &str) -> Error {
    reasons.into_iter().fold(error, |error, (reason, times)| error.note(format!("{word} {times} times: {reason}")))
}

/// Trials by their gap; those without one last, in their own order.
fn ranked(mut trials: Vec<Trial>) -> Vec<Trial> {
    let gap = |trial: &Trial| trial.gap.as_ref().copied().unwrap_or(f64::INFINITY);
    trials.sort_by(|a, b| gap(a).total_cmp(&gap(b)).then(a.trial.cmp(&b.trial)));
    trials
}

/// What a search returns.
fn found(method: &Dynamic, trials: Vec<Trial>) -> Result<Map> {
    let Some((best, gap)) = trials.first().and_then(|t| Some((t.setting.clone(), *t.gap.as_ref().ok()?))) else {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for reason in trials.iter().filter_map(|trial| trial.gap.as_ref().err()) {
            *reasons.entry(reason.clone()).or_default() += 1;
        }
        let most = reasons.iter().max_by_key(|(_, times)| **times).map_or("", |(reason, _)| reason);
        let error = Error::new("tune", format!("all {} trials failed, so that none is the best: {most}", trials.len()));
        return Err(if reasons.len() > 1 { counted(error, reasons, "failed") } else { error });
    };
    let trials: Array = trials.into_iter().map(|trial| trial.into_map().into()).collect();
    Ok(Map::from([
        ("method".into(), method.clone()),
        ("best".into(), best.into()),
        ("gap".into(), gap.into()),
        ("trials".into(), trials.into()),
    ]))
}

impl Trial {
    fn into_map(self) -> Map {
        let status = match (&self.gap, self.budget) {
            (Err(_), _) => "failed",
            (Ok(_), true) => "budget",
            (Ok(_), false) => "ok",
        };
        let (seconds, gap, error) = match self.gap {
            Ok(gap) => (self.seconds.into(), gap.into(), Dynamic::UNIT),
            Err(reason) => (Dynamic::UNIT, Dynamic::UNIT, reason.into()),
        };
        Map::from([
            ("trial".into(), (self.trial as i64).into()),
            ("options".into(), self.setting.into()),
            ("gap".into(), gap),
            ("seconds".into(), seconds),
            ("status".into(), status.into()),
            ("error".into(), error),
        ])
    }
}

/// Searching options.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use crate::runtime::Script;
    use rhai::{Dynamic, Map, NativeCallContext};

    /// Tries settings of a method within ranges and ranks them by their distance from retraining on validation data.
    ///
    /// The space has for each option an array of values, or a range: `#{ linear: [low, high] }`, `#{ log: [low, high] }`
    /// (evenly by the logarithm), `#{ whole: [low, high] }`, or `#{ whole_log: [low, high] }` (whole numbers, small ones more
    /// often). The first trial takes what `first` says, else presets and defaults; the others spread over the space by an
    /// additive recurrence with the generalised golden ratio (Roberts, 2018), so that few trials cover many dimensions and a
    /// longer search contains the shorter one. A setting that breaks a constraint is drawn anew.
    ///
    /// A trial's gap is the largest `result.gaps.validation` of the tasks, so that options have to do on every split; the test
    /// part has no share in it. Every task needs `unlearn::run("retrain", task)` first. Before the first trial the method is
    /// asked for its options, so that names, types and ranges are checked without training. Trials are rows like any other:
    /// `lethe run --resume` continues a search.
    ///
    /// Returns `#{ method, best, gap, trials }`, trials in order of their gap: `#{ trial, options, gap, seconds, status, error }`.
    /// A trial that fails on some task, or whose gap is not a number, has the status `"failed"`, a reason in `error`, and
    /// neither gap nor seconds; such trials stand last and are never the best.
    ///
    /// # Signature
    /// tune(method: string | Fn, tasks: Task | [Task], space: map, #{ trials: int = 8, seconds: float = 15.0, options: map = #{}, first: map = #{}, constraints: string | array = [] }) -> map
    ///
    /// # Options
    /// - `trials` (int, 8): settings tried, the first included
    /// - `seconds` (float, 15.0): of unlearning, after which a run of a trial is stopped and taken as it is
    /// - `options` (map, #{}): options that all trials share, those of `unlearn::run` among them
    /// - `first` (map, #{}): what the first trial takes of the options searched
    /// - `constraints` (string | array of string, []): conditions that every setting keeps, in the options' names, such as
    ///   `"forget_passes <= epochs"`
    ///
    /// # Errors
    /// Before the first trial: no tasks, or one without a retrained network; options that the method does not have, or that are
    /// both searched and fixed; ranges that are reversed, empty, or go beyond what the option takes; constraints on unknown
    /// names, or that 1,000 draws do not keep. After the last: all trials failed.
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4, depth: 1 }), d, #{ fraction: 0.2 });
    /// unlearn::run("retrain", task, #{ epochs: 1 });
    /// let space = #{ lr: #{ log: [0.001, 0.1] }, epochs: #{ whole: [1, 3] }, forget_passes: #{ whole: [1, 3] } };
    /// let found = tune("scrub", task, space, #{
    ///     trials: 3, first: #{ epochs: 1, forget_passes: 1 }, constraints: "forget_passes <= epochs",
    /// });
    /// assert(found.trials.len() == 3 && found.gap == found.trials[0].gap && found.gap <= found.trials[2].gap);
    /// assert(found.trials.all(|trial| trial.options.forget_passes <= trial.options.epochs));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn tune(context: NativeCallContext, method: Dynamic, tasks: Dynamic, space: Map, options: Map) -> Script<Map> {
        super::tune(&context, &method, &tasks, &space, options)
    }

    #[rhai_fn(name = "tune", return_raw)]
    pub fn tune_plain(context: NativeCallContext, method: Dynamic, tasks: Dynamic, space: Map) -> Script<Map> {
        super::tune(&context, &method, &tasks, &space, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(trial: usize, gap: std::result::Result<f64, &str>) -> Trial {
        Trial { trial, setting: Map::new(), seconds: 1.0, budget: false, gap: gap.map_err(String::from) }
    }

    #[test]
    fn trials_without_a_gap_come_last_and_have_no_number() {
        let trials = ranked(vec![trial(0, Err("broke")), trial(1, Ok(3.0)), trial(2, Ok(2.0)), trial(3, Ok(2.0))]);
        assert_eq!(trials.iter().map(|trial| trial.trial).collect::<Vec<_>>(), [2, 3, 1, 0]);
        let found = found(&"m".into(), trials).unwrap();
        assert_eq!(found["gap"].as_float().unwrap(), 2.0);
        let last = found["trials"].clone().into_array().unwrap().pop().unwrap().cast::<Map>();
        assert!(last["gap"].is_unit() && last["seconds"].is_unit());
        assert_eq!((last["status"].to_string(), last["error"].to_string()), ("failed".into(), "broke".into()));
    }

    #[test]
    fn when_all_trials_fail_the_error_counts_the_reasons() {
        let error = found(&"m".into(), vec![trial(0, Err("a")), trial(1, Err("b")), trial(2, Err("a"))]).unwrap_err();
        let Error::Fault(fault) = error else { panic!("another error") };
        assert_eq!(fault.message, "all 3 trials failed, so that none is the best: a");
        assert_eq!(fault.notes, ["failed 2 times: a", "failed 1 times: b"]);
    }
}
