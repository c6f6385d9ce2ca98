//! Records rows of results. The run folder is opened by the first row, so a script that records nothing writes nothing.

use crate::report::runs::folder::{Claim, RunFolder};
use crate::report::runs::rescue::Rescue;
use crate::report::runs::succession;
use crate::report::runs::succession::{Left, Missed};
use crate::runtime::moment::now;
use crate::runtime::{Error, Result, interrupt};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

/// Where the run folder goes and what it says about the run; made by the command line.
pub struct Plan {
    /// The name of the script, as part of the folder's name.
    pub name: String,
    /// `--out`: this folder instead of a new one below `root`.
    pub out: Option<PathBuf>,
    /// `--resume`: go on in `out` where an earlier run stopped.
    pub resume: bool,
    /// The folder of all runs.
    pub root: PathBuf,
    /// The settings as they are now (script arguments become known while the script runs).
    pub settings: Box<dyn Fn() -> Value>,
    /// The script and what it has imported so far, as (name, text).
    pub sources: Box<dyn Fn() -> Vec<(String, String)>>,
}

/// The run's recorder, kept in the run's slot: `run.slot::<Recorder>()`.
#[derive(Default)]
pub struct Recorder(RefCell<State>);

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    /// The folder of `--out`, this process's before anything is recorded.
    claim: Option<Claim>,
    folder: Option<RunFolder>,
    rows: Vec<Value>,
    /// Rows that the folder did not take.
    rescue: Rescue,
    /// Files of networks that the folder did not take.
    unkept: usize,
    /// Rows of the earlier run whose files were not whole.
    again: usize,
    /// Files of networks that were missing or damaged and could be made again without their methods.
    restored: usize,
    /// Rows of an earlier run that this one has not asked for yet: positions in `rows`.
    waiting: Vec<usize>,
    /// How often each key has been asked for.
    asked: HashMap<String, usize>,
    /// Orders that no row of the earlier run stood for.
    missed: Missed,
    /// Rows of the earlier run that rows of this one have taken the place of: positions in `rows`.
    replaced: Vec<usize>,
}

impl State {
    /// The opened folder; `None` when nobody said where results go (the library used without a command line).
    fn open(&mut self) -> Result<Option<&mut RunFolder>> {
        if self.folder.is_none() {
            let Some(plan) = &self.plan else { return Ok(None) };
            let (sources, settings) = ((plan.sources)(), (plan.settings)());
            let claim = match (self.claim.take(), &plan.out) {
                (None, Some(out)) => Some(Claim::of(out, plan.resume)?),
                (claim, _) => claim,
            };
            let (folder, rows) = RunFolder::open(claim, &plan.root, &plan.name, &sources, &settings)?;
            self.waiting = (0..rows.len()).collect();
            self.rows = rows;
            folder.write_json("status.json", &json!({ "status": "running" }))?;
            interrupt::on_leaving(Some(folder.last_words()));
            self.folder = Some(folder);
        }
        Ok(self.folder.as_mut())
    }

    /// Writes a row: at the end, or in the place of one of the earlier run.
    fn write(&mut self, row: &Value) -> Result<()> {
        // A row that an earlier part of this run recorded word for word is there already.
        let there = |at: &usize| self.rows.get(*at).is_some_and(|old| succession::same(old, row));
        if let Some(at) = self.waiting.iter().position(there) {
            let at = self.waiting.remove(at);
            let changed = self.rows.get_mut(at).is_some_and(|old| succession::supersede(old, false));
            return if changed { self.rewrite() } else { Ok(()) };
        }
        // One that failed or was interrupted, or whose files are gone, gives way; but never to one that failed.
        let same = |at: &usize| self.rows.get(*at).is_some_and(|old| same_key(old, row));
        if let Some(at) = self.waiting.iter().position(same) {
            let at = self.waiting.remove(at);
            let mut rows = self.rows.clone();
            match rows.get_mut(at) {
                Some(old) if is_whole(row) || !is_whole(old) => *old = row.clone(),
                _ => return Ok(()),
            }
            let old = std::mem::replace(&mut self.rows, rows);
            let written = self.rewrite();
            return written.inspect_err(|_| self.rows = old);
        }
        if let Some(folder) = self.folder.as_mut() {
            folder.results().append(row)?;
        }
        self.rows.push(row.clone());
        self.replace_drifted(row)
    }

    /// Writes all rows anew.
    fn rewrite(&mut self) -> Result<()> {
        self.folder.as_mut().map_or(Ok(()), |folder| folder.results().rewrite(&self.rows))
    }

    /// Keeps rows elsewhere that could not be written: this one, or all when the folder is gone. Returns the error with where.
    fn rescue(&mut self, row: &Value, error: Error) -> Error {
        if self.folder.as_ref().is_some_and(|folder| folder.check().is_err()) {
            self.rescue.add_all(&self.rows);
        }
        self.rescue.add(row);
        error.note(self.rescue.describe())
    }

    /// Marks the earlier row in whose place a new one stands: it was ordered in the same way, but met something else. Should
    /// this run be interrupted, only one of them counts.
    fn replace_drifted(&mut self, row: &Value) -> Result<()> {
        let Some(parts) = row.get("key_parts").filter(|_| !self.waiting.is_empty()) else { return Ok(()) };
        let waiting = self.waiting.iter().filter_map(|at| Some((*at, self.rows.get(*at)?)));
        let fresh = waiting.filter(|(_, row)| !succession::is_superseded(row));
        let Some((at, _)) = succession::drifted(fresh, parts) else { return Ok(()) };
        self.rows.get_mut(at).map(|old| succession::supersede(old, true));
        self.replaced.push(at);
        self.rewrite()
    }
}

/// Whether a row came to an end.
fn is_whole(row: &Value) -> bool {
    matches!(row.get("status").and_then(Value::as_str), Some("ok" | "budget"))
}

/// What an earlier part of this run left for an order.
pub enum Earlier {
    /// Its row.
    Row(Value),
    /// None; and what there is to say about that.
    Nothing(Vec<String>),
}

/// Whether a row of an earlier run stands for what was asked for: it has the key and came to an end.
fn stands(row: &Value, key: &str) -> bool {
    row.get("key").and_then(Value::as_str) == Some(key) && is_whole(row)
}

/// Whether two rows are about the same order.
fn same_key(a: &Value, b: &Value) -> bool {
    a.get("key").is_some_and(|key| key.is_string() && b.get("key") == Some(key))
}

impl Recorder {
    /// How often this key has now been asked for.
    pub fn count_order(&self, key: &str) -> usize {
        let mut state = self.0.borrow_mut();
        let count = state.asked.entry(key.into()).or_insert(0);
        *count += 1;
        *count
    }

    /// The row that an earlier part of this run recorded for an order, when the run is resumed and has one; it counts again
    /// if it was superseded. `reusable` is false of an order that may be another though its parts are the same.
    ///
    /// # Errors
    /// When the folder to go on in cannot be read or written.
    pub fn earlier(&self, key: &str, parts: &Value, reusable: bool) -> Result<Earlier> {
        let mut state = self.0.borrow_mut();
        if state.plan.as_ref().is_some_and(|plan| plan.resume) {
            state.open()?;
        }
        let State { rows, waiting, missed, .. } = &mut *state;
        let found = waiting.iter().position(|at| reusable && rows.get(*at).is_some_and(|row| stands(row, key)));
        let Some(found) = found else {
            let waiting = waiting.iter().filter_map(|at| Some((*at, rows.get(*at)?)));
            let waiting = waiting.filter(|(_, row)| !succession::is_superseded(row));
            return Ok(Earlier::Nothing(missed.add(parts, waiting)));
        };
        let at = waiting.remove(found);
        let Some(row) = rows.get_mut(at) else { return Ok(Earlier::Nothing(vec![])) };
        let changed = succession::supersede(row, false);
        let row = row.clone();
        if changed {
            state.rewrite()?;
        }
        Ok(Earlier::Row(row))
    }

    /// Marks the rows of an earlier run that nobody has asked for; to be called when the script has come to its end.
    ///
    /// # Errors
    /// When the results cannot be written.
    pub fn supersede_rest(&self) -> Result<Left> {
        let mut state = self.0.borrow_mut();
        let State { rows, waiting, missed, replaced, .. } = &mut *state;
        let fresh = |(at, row): &(&usize, &Value)| !succession::is_superseded(row) || replaced.contains(at);
        let own = waiting.iter().filter_map(|at| Some((at, rows.get(*at)?))).filter(fresh);
        let mut left = missed.instead_of(own.map(|(_, row)| row));
        left.before = waiting.len() - left.count;
        let mark = |at: &usize| rows.get_mut(*at).is_some_and(|row| succession::supersede(row, true));
        let changed = waiting.iter().map(mark).filter(|changed| *changed).count();
        if changed > 0 {
            state.rewrite()?;
        }
        Ok(left)
    }

    /// Takes a row that `earlier` gave back into those that wait to be replaced: files that it names are not whole.
    pub fn make_again(&self, row: &Value) {
        let mut state = self.0.borrow_mut();
        if let Some(at) = state.rows.iter().position(|known| known == row).filter(|at| !state.waiting.contains(at)) {
            state.waiting.push(at);
        }
        state.again += 1;
    }

    /// Takes note of a file of an earlier row that was not whole and is made again from its network.
    pub fn restored(&self) {
        self.0.borrow_mut().restored += 1;
    }

    /// What was made again because files that rows of the earlier run name were missing or damaged, in a sentence.
    pub fn made_again(&self) -> Option<String> {
        let state = self.0.borrow();
        let count =
            |n: usize, one: &str, many: &str| (n > 0).then(|| format!("{n} {}", if n == 1 { one } else { many }));
        let files = count(state.restored, "file of predictions", "files of predictions");
        let made: Vec<String> = count(state.again, "result", "results").into_iter().chain(files).collect();
        let what = made.join(" and ");
        (!what.is_empty())
            .then(|| format!("computed again, because files of the earlier run were missing or damaged: {what}"))
    }

    /// Takes note of a file of a network that the run folder did not take.
    pub fn not_kept(&self) {
        self.0.borrow_mut().unkept += 1;
    }

    /// Says where results go. Without a plan rows are kept in memory only.
    pub fn plan(&self, plan: Plan) {
        self.0.borrow_mut().plan = Some(plan);
    }

    /// Takes the folder of `--out`, when there is one, for this process alone; returns what the user should know about it. To be
    /// called before anything is computed.
    ///
    /// # Errors
    /// When another process has it; when it cannot be used; damaged results.
    pub fn claim(&self) -> Result<Vec<String>> {
        let mut state = self.0.borrow_mut();
        let Some((out, resume)) = state.plan.as_ref().and_then(|plan| Some((plan.out.clone()?, plan.resume))) else {
            return Ok(vec![]);
        };
        let claim = Claim::of(&out, resume)?;
        let remarks = claim.remarks();
        state.claim = Some(claim);
        Ok(remarks)
    }

    /// Appends a row to the results and flushes it; the first one opens the run folder.
    ///
    /// # Errors
    /// When the folder or the row cannot be written.
    pub fn append(&self, row: &Value) -> Result<()> {
        let mut state = self.0.borrow_mut();
        let written = state.open().map(|_| ()).and_then(|()| state.write(row));
        written.map_err(|error| state.rescue(row, error))
    }

    /// Adds fields to the row of this run whose field `by` ("key", "run_id") is `value` (a field it has already is replaced).
    ///
    /// # Errors
    /// When there is no such row, or the results cannot be written.
    pub fn amend(&self, by: &str, value: &str, fields: &Map<String, Value>) -> Result<()> {
        let mut state = self.0.borrow_mut();
        let mut rows = state.rows.clone();
        // A row of the earlier run that nobody has asked for yet is none of this run.
        let own = rows.iter_mut().enumerate().rev().filter(|(at, _)| !state.waiting.contains(at)).map(|(_, row)| row);
        let row = own.into_iter().find(|row| row.get(by).and_then(Value::as_str) == Some(value));
        let Some(row) = row.and_then(Value::as_object_mut) else {
            return Err(Error::new("record", format!("no row of this run has {by} {value:?}")));
        };
        row.extend(fields.clone());
        let row = Value::Object(row.clone());
        let written = match state.open() {
            Ok(Some(folder)) => folder.results().rewrite(&rows),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        written.map_err(|error| state.rescue(&row, error))?;
        state.rows = rows;
        Ok(())
    }

    /// The run folder, opened when it was not: for exports and plots beside the results.
    ///
    /// # Errors
    /// When it cannot be created, or results go nowhere.
    pub fn folder(&self) -> Result<PathBuf> {
        match self.0.borrow_mut().open()? {
            // What is written for a run whose folder is gone must not make another one.
            Some(folder) => folder.check().map(|()| folder.path().to_path_buf()),
            None => Err(Error::new("run folder", "this run was started without one")),
        }
    }

    /// Whether results go to a folder.
    pub fn is_planned(&self) -> bool {
        self.0.borrow().plan.is_some()
    }

    /// The run folder when something has been recorded.
    pub fn opened(&self) -> Option<PathBuf> {
        self.0.borrow().folder.as_ref().map(|folder| folder.path().to_path_buf())
    }

    /// The rows recorded so far, amendments included.
    pub fn rows(&self) -> Vec<Value> {
        self.0.borrow().rows.clone()
    }

    /// Completes the folder, when there is one: the final settings, late imports, and how the run ended; then gives it up. One
    /// in which nothing was recorded is left as it was found.
    ///
    /// # Errors
    /// When that cannot be written; when rows or files of networks are missing in it.
    pub fn finish(&self, status: &str, problem: Option<&str>) -> Result<()> {
        let mut state = self.0.borrow_mut();
        if let Some(claim) = state.claim.take() {
            claim.leave();
        }
        let done = state.complete(status, problem);
        interrupt::on_leaving(None);
        if let Some(folder) = state.folder.as_mut() {
            folder.release();
        }
        done
    }
}

impl State {
    fn complete(&mut self, status: &str, problem: Option<&str>) -> Result<()> {
        if self.folder.as_ref().is_some_and(|folder| folder.check().is_err()) {
            self.rescue.add_all(&self.rows);
        }
        let written = self.describe(status, problem);
        let missing = if !self.rescue.is_empty() {
            Error::new("run folder", format!("it is not complete: {}", self.rescue.describe()))
        } else if self.unkept > 0 {
            let what = format!("{} files of predictions or weights could not be written", self.unkept);
            Error::new("run folder", what).hint("--resume computes them again, once there is room")
        } else {
            return written;
        };
        Err(written.err().into_iter().fold(missing, |missing, error| missing.note(error.to_string())))
    }

    /// Writes what the folder says about the run as a whole.
    fn describe(&self, status: &str, problem: Option<&str>) -> Result<()> {
        let (Some(plan), Some(folder)) = (&self.plan, &self.folder) else { return Ok(()) };
        folder.check()?;
        folder.write_sources(&(plan.sources)())?;
        folder.write_json("settings.json", &(plan.settings)())?;
        let (rows, missing) = (self.rows.len(), self.rescue.len());
        let mut value = json!({ "status": status, "error": problem, "rows": rows, "ended": now() });
        if missing + self.unkept > 0 {
            value["missing"] = json!({ "rows": missing, "files": self.unkept });
        }
        folder.write_json("status.json", &value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(root: &std::path::Path) -> Recorder {
        let recorder = Recorder::default();
        recorder.plan(Plan {
            name: "demo".into(),
            out: None,
            resume: false,
            root: root.into(),
            settings: Box::new(|| json!({ "seed": 7 })),
            sources: Box::new(|| vec![("demo.rhai".into(), "1".into())]),
        });
        recorder
    }

    #[test]
    fn nothing_is_written_until_the_first_row() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("runs");
        let recorder = planned(&root);
        recorder.finish("finished", None).unwrap();
        assert!(!root.exists());
        recorder.append(&json!({ "run_id": "a", "metrics": {} })).unwrap();
        recorder.finish("finished", None).unwrap();
        let folder = recorder.opened().unwrap();
        let status: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("status.json")).unwrap()).unwrap();
        assert_eq!((&status["status"], &status["rows"]), (&json!("finished"), &json!(1)));
        assert!(folder.join("sources/demo.rhai").exists() && folder.join("settings.json").exists());
    }

    #[test]
    fn amending_adds_fields_to_the_row_and_refuses_strangers() {
        let place = tempfile::tempdir().unwrap();
        let recorder = planned(place.path());
        recorder.append(&json!({ "run_id": "a" })).unwrap();
        recorder.append(&json!({ "run_id": "b" })).unwrap();
        let fields = json!({ "note": "x" }).as_object().unwrap().clone();
        recorder.amend("run_id", "a", &fields).unwrap();
        let text = std::fs::read_to_string(recorder.folder().unwrap().join("results.jsonl")).unwrap();
        assert_eq!(text, "{\"run_id\":\"a\",\"note\":\"x\"}\n{\"run_id\":\"b\"}\n");
        assert!(recorder.amend("run_id", "c", &fields).unwrap_err().to_string().contains("no row"));
    }

    #[test]
    fn a_resumed_run_finds_finished_rows_once_and_repeats_nothing() {
        let place = tempfile::tempdir().unwrap();
        let start = || {
            let recorder = planned(place.path());
            recorder.0.borrow_mut().plan.as_mut().unwrap().out = Some(place.path().join("run"));
            recorder.0.borrow_mut().plan.as_mut().unwrap().resume = true;
            recorder
        };
        let row = |key: &str, status: &str| json!({ "run_id": key, "key": key, "status": status });
        let first = start();
        let earlier = |recorder: &Recorder, key: &str| match recorder.earlier(key, &json!({}), true).unwrap() {
            Earlier::Row(row) => Some(row),
            Earlier::Nothing(_) => None,
        };
        assert!(earlier(&first, "a").is_none());
        for row in [row("a", "ok"), row("b", "failed"), row("c", "ok"), json!({ "record": "note", "x": 1 })] {
            first.append(&row).unwrap();
        }
        drop(first);
        let second = start();
        assert_eq!(earlier(&second, "a"), Some(row("a", "ok")));
        assert!(earlier(&second, "a").is_none(), "asked for twice");
        assert!(earlier(&second, "b").is_none(), "it failed");
        second.append(&row("b", "ok")).unwrap();
        second.append(&json!({ "record": "note", "x": 1 })).unwrap();
        let expected = [row("a", "ok"), row("b", "ok"), row("c", "ok"), json!({ "record": "note", "x": 1 })];
        assert_eq!(second.rows(), expected.to_vec());
        let folder = second.folder().unwrap();
        assert_eq!(crate::report::runs::results::read(&folder.join("results.jsonl")).unwrap().rows, expected);
        assert_eq!([second.count_order("k"), second.count_order("k")], [1, 2]);
        // What nobody asked for stays, marked, and counts again when somebody does.
        assert_eq!(second.supersede_rest().unwrap().count, 1);
        let marked = |rows: &[Value]| rows.iter().filter(|row| succession::is_superseded(row)).count();
        assert_eq!(marked(&crate::report::runs::results::read(&folder.join("results.jsonl")).unwrap().rows), 1);
        drop(second);
        let third = start();
        assert_eq!(earlier(&third, "c"), Some(row("c", "ok")));
        third.append(&json!({ "record": "note", "x": 1 })).unwrap();
        let left = third.supersede_rest().unwrap();
        assert_eq!((left.count, left.before), (2, 0));
        let rows = crate::report::runs::results::read(&folder.join("results.jsonl")).unwrap().rows;
        assert_eq!((marked(&rows), &rows[2], rows.len()), (2, &row("c", "ok"), 4));
        // A label says nothing about a row that is not of this run.
        let fields = json!({ "note": 1 }).as_object().unwrap().clone();
        assert!(third.amend("run_id", "a", &fields).is_err() && third.amend("key", "c", &fields).is_ok());
    }

    #[test]
    fn without_a_plan_rows_stay_in_memory() {
        let recorder = Recorder::default();
        recorder.append(&json!({ "run_id": "a" })).unwrap();
        assert_eq!(recorder.rows().len(), 1);
        assert!(recorder.folder().is_err() && recorder.opened().is_none());
    }
}
