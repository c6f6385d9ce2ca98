//! Records rows of results. The run folder is opened by the first row, so a script that records nothing writes nothing.

use super::folder::RunFolder;
use crate::runtime::{Error, Result};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::path::PathBuf;

/// Where the run folder goes and what it says about the run; made by the command line.
pub struct Plan {
    /// The name of the script, as part of the folder's name.
    pub name: String,
    /// `--out`: this folder instead of a new one below `root`.
    pub out: Option<PathBuf>,
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
    folder: Option<RunFolder>,
    rows: Vec<Value>,
}

impl State {
    /// The opened folder; `None` when nobody said where results go (the library used without a command line).
    fn open(&mut self) -> Result<Option<&mut RunFolder>> {
        if self.folder.is_none() {
            let Some(plan) = &self.plan else { return Ok(None) };
            let (sources, settings) = ((plan.sources)(), (plan.settings)());
            let folder = RunFolder::create(plan.out.as_deref(), &plan.root, &plan.name, &sources, &settings)?;
            folder.write_json("status.json", &json!({ "status": "running" }))?;
            self.folder = Some(folder);
        }
        Ok(self.folder.as_mut())
    }
}

impl Recorder {
    /// Says where results go. Without a plan rows are kept in memory only.
    pub fn plan(&self, plan: Plan) {
        self.0.borrow_mut().plan = Some(plan);
    }

    /// Appends a row to the results and flushes it; the first one opens the run folder.
    ///
    /// # Errors
    /// When the folder or the row cannot be written.
    pub fn append(&self, row: &Value) -> Result<()> {
        let mut state = self.0.borrow_mut();
        if let Some(folder) = state.open()? {
            folder.append(row)?;
        }
        state.rows.push(row.clone());
        Ok(())
    }

    /// Adds fields to the row with this `run_id` (a field it has already is replaced).
    ///
    /// # Errors
    /// When there is no such row, or the results cannot be written.
    pub fn amend(&self, run_id: &str, fields: &Map<String, Value>) -> Result<()> {
        let mut state = self.0.borrow_mut();
        let mut rows = state.rows.clone();
        let row = rows.iter_mut().rev().find(|row| row.get("run_id").and_then(Value::as_str) == Some(run_id));
        let Some(row) = row.and_then(Value::as_object_mut) else {
            return Err(Error::new("record", format!("no row of this run has run_id {run_id:?}")));
        };
        row.extend(fields.clone());
        if let Some(folder) = state.open()? {
            folder.rewrite(&rows)?;
        }
        state.rows = rows;
        Ok(())
    }

    /// The run folder, opened when it was not: for exports and plots beside the results.
    ///
    /// # Errors
    /// When it cannot be created, or results go nowhere.
    pub fn folder(&self) -> Result<PathBuf> {
        match self.0.borrow_mut().open()? {
            Some(folder) => Ok(folder.path().to_path_buf()),
            None => Err(Error::new("run folder", "this run was started without one")),
        }
    }

    /// The run folder when something has been recorded.
    pub fn opened(&self) -> Option<PathBuf> {
        self.0.borrow().folder.as_ref().map(|folder| folder.path().to_path_buf())
    }

    /// The rows recorded so far, amendments included.
    pub fn rows(&self) -> Vec<Value> {
        self.0.borrow().rows.clone()
    }

    /// Completes the folder, when there is one: the final settings, late imports, and how the run ended.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn finish(&self, status: &str, problem: Option<&str>) -> Result<()> {
        let state = self.0.borrow();
        let (Some(plan), Some(folder)) = (&state.plan, &state.folder) else { return Ok(()) };
        folder.write_sources(&(plan.sources)())?;
        folder.write_json("settings.json", &(plan.settings)())?;
        let ended = super::folder::now();
        let value = json!({ "status": status, "error": problem, "rows": state.rows.len(), "ended": ended });
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
        recorder.amend("a", &fields).unwrap();
        let text = std::fs::read_to_string(recorder.folder().unwrap().join("results.jsonl")).unwrap();
        assert_eq!(text, "{\"run_id\":\"a\",\"note\":\"x\"}\n{\"run_id\":\"b\"}\n");
        assert!(recorder.amend("c", &fields).unwrap_err().to_string().contains("no row"));
    }

    #[test]
    fn without_a_plan_rows_stay_in_memory() {
        let recorder = Recorder::default();
        recorder.append(&json!({ "run_id": "a" })).unwrap();
        assert_eq!(recorder.rows().len(), 1);
        assert!(recorder.folder().is_err() && recorder.opened().is_none());
    }
}
