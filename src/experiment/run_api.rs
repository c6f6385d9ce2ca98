//! What scripts see of running methods and of recording results.

use crate::eval::metrics::to_json;
use crate::report::runs::difference::told;
use crate::runtime::options::describe;
use crate::runtime::{Error, Result};

/// What `record` adds to a row.
///
/// # Errors
/// A value that a row cannot hold.
fn fields(name: &str, added: &rhai::Map) -> Result<serde_json::Map<String, serde_json::Value>> {
    let mut fields = serde_json::Map::new();
    fields.insert("record".into(), name.into());
    for (key, value) in added {
        if let Some(kind) = unfit(value) {
            let message = format!("`{key}` cannot be written into a row: it holds {kind}");
            return Err(Error::new("record", message)
                .word(key.as_str())
                .hint("record numbers, strings, arrays and maps; of a tensor item() or to_array()"));
        }
        fields.insert(key.to_string(), to_json(value));
    }
    Ok(fields)
}

/// A row of a script's own in a line: `sweep: lr 0.1 · accuracy 0.9123`.
fn line(name: &str, row: &serde_json::Map<String, serde_json::Value>) -> String {
    let parts = row.iter().filter(|(key, _)| *key != "record");
    let parts: Vec<String> = parts.map(|(key, value)| format!("{key} {}", told(Some(value)))).collect();
    format!("{name}: {}", parts.join(" · "))
}

/// What a value, or one inside it, is that has no form in JSON.
fn unfit(value: &rhai::Dynamic) -> Option<String> {
    if let Some(map) = value.read_lock::<rhai::Map>() {
        return map.values().find_map(unfit);
    }
    if let Some(items) = value.read_lock::<rhai::Array>() {
        return items.iter().find_map(unfit);
    }
    let plain = value.is_unit() || value.is_bool() || value.is_int() || value.is_float() || value.is_string();
    (!plain).then(|| describe(value))
}

/// Running methods and recording results.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod results {
    use super::{fields, line};
    use crate::experiment::Outcome;
    use crate::report::runs::recorder::Recorder;
    use crate::runtime::{Run, Script};
    use rhai::{Dynamic, Map, NativeCallContext};
    use serde_json::Value;

    /// Adds to the results of the run: to the row of a result the fields that the script gave it, under the heading `name`.
    ///
    /// A map with a `run_id` adds its fields to that row; any other map becomes a row of its own.
    ///
    /// # Signature
    /// record(name: string, result: Outcome | map)
    ///
    /// # Example
    /// ```rhai
    /// record("note", #{ seed: 3, accuracy: 0.5 });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn record(context: NativeCallContext, name: &str, result: Outcome) -> Script<()> {
        let fields = fields(name, &result.added())?;
        Run::of(&context).slot::<Recorder>().amend("key", &result.text("key"), &fields)?;
        result.extend_row(&fields);
        Ok(())
    }

    #[rhai_fn(name = "record", return_raw)]
    pub fn record_map(context: NativeCallContext, name: &str, map: Map) -> Script<()> {
        let run = Run::of(&context);
        let (recorder, mut map) = (run.slot::<Recorder>(), map);
        match map.remove("run_id").filter(Dynamic::is_string) {
            Some(run_id) => Ok(recorder.amend("run_id", &run_id.to_string(), &fields(name, &map)?)?),
            None => {
                let row = fields(name, &map)?;
                let line = line(name, &row);
                recorder.append(&Value::Object(row))?;
                run.progress().say(&line);
                Ok(())
            }
        }
    }
}

/// The module `unlearn`.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod unlearning {
    use crate::experiment::{Outcome, Task, run};
    use crate::runtime::Script;
    use crate::runtime::error::placed;
    use rhai::{Dynamic, Map, NativeCallContext};

    /// Runs an unlearning method on a task: timed, evaluated, recorded as one row of the results.
    ///
    /// `method` is a name (a built-in one, see `lethe list unlearners`, or that of a file `name.rhai` with a function
    /// `name(task, opt)` beside the script or on `$LETHE_PATH`), a function of the script, or a closure with a `name`.
    /// Returns a result with `net`, `metrics`, `seconds`, `row`. What the method draws depends on the seed, the split and
    /// its label alone. `"retrain"` becomes the reference that other results of the split are compared with. Options not
    /// listed here go to the method.
    ///
    /// # Signature
    /// unlearn::run(method: string | Fn, task: Task, #{ name, variant, accelerate, regularizer, seed, every, keep, weights, budget, on_error, .. }) -> Outcome
    ///
    /// # Options
    /// - `name` (string, the method's): label in rows and tables
    /// - `variant` ("canonical" | "reference", the task's): `"reference"` takes formulas, schedules and presets of the reference implementation
    /// - `accelerate` (bool, false): the accelerated form (A-AMU)
    /// - `regularizer` ("quantile" | "union" | "logloss" | "anchored" | "none" | function, "quantile"): of the accelerated form.
    ///   The paper's ranks losses within each set, so it ignores a common shift; ours detect it: "union" ranks both sets
    ///   within their union, "logloss" compares ln(1 + loss), "anchored" takes both as quantiles of the unseen set. A function
    ///   `|net, task, n, o|` returns the weighted term
    /// - `seed` (int, the task's): random seed of the method
    /// - `every` ("epoch" | int): evaluate after each epoch, or after every so many steps, into `result.history`; the clock
    ///   stands still meanwhile
    /// - `keep` ("last" | "best", "last"): `"best"` ends with the weights of the best evaluation along the way. The best is chosen
    ///   on validation data, never on the test part: for samples by NoMUS (mean of accuracy on unseen samples and of
    ///   1 - 2 |AUC - 0.5|, the attack telling forgotten from unseen samples), for classes by AUS ((1 - accuracy lost on unseen
    ///   samples) / (1 + accuracy on the forgotten class)). Evaluates after each epoch unless `every` says otherwise
    /// - `weights` (bool, false): keep the weights in the run folder (with `every`, those of each evaluation too)
    /// - `budget` (float): seconds of unlearning after which the method is stopped and its net taken as it is (with
    ///   `keep: "best"`, as it was when it was best)
    /// - `on_error` ("throw" | "record", "throw"): `"record"` notes a failure and goes on
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// let result = unlearn::run("finetune", task, #{ epochs: 1 });
    /// assert(result.label == "finetune" && result.status == "ok");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn run(context: NativeCallContext, method: Dynamic, task: Task, options: Map) -> Script<Outcome> {
        run::run(&context, &method, &task, options).map_err(|error| placed(error, context.call_position()))
    }

    #[rhai_fn(name = "run", return_raw)]
    pub fn run_plain(context: NativeCallContext, method: Dynamic, task: Task) -> Script<Outcome> {
        run::run(&context, &method, &task, Map::new()).map_err(|error| placed(error, context.call_position()))
    }
}
