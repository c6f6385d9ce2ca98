//! What running a method gives: the net, its metrics and times, and the row that was recorded.

use super::selection::validation_gap;
use crate::eval::Metrics;
use crate::eval::metrics::to_json;
use crate::eval::retrained::gaps::{Gaps, gaps};
use crate::eval::warnings::with_error;
use crate::experiment::references::Reference;
use crate::nn::Net;
use crate::report::PredictionStore;
use crate::runtime::json::from_json;
use crate::runtime::{Result, Run};
use rhai::{Dynamic, Map};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The result of running a method on a task. Clones share it.
#[derive(Clone)]
pub struct Outcome(Rc<Inner>);

/// Why a result has no net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The method failed.
    Failed,
    /// It is a row of an earlier run whose weights were not kept.
    Resumed,
}

struct Inner {
    run: Run,
    net: std::result::Result<Net, Absent>,
    metrics: Metrics,
    row: RefCell<Value>,
    history: Vec<Value>,
    /// The network retrained on the same split, when that ran before.
    retrained: Option<Rc<Reference>>,
    /// What a script added: `result.note = 1`.
    added: RefCell<BTreeMap<String, Dynamic>>,
}

impl Outcome {
    /// A result with the row that tells of it, and its gaps to the retrained network where that is known.
    pub fn new(
        run: &Run,
        net: std::result::Result<Net, Absent>,
        metrics: Metrics,
        row: Value,
        history: Vec<Value>,
        retrained: Option<Rc<Reference>>,
    ) -> Self {
        let (row, added) = (RefCell::new(row), RefCell::default());
        let run = run.clone();
        Self(Rc::new(Inner { run, net, metrics, row, history, retrained, added }))
    }

    /// Distances from the network retrained on the same split, when `retrain` ran before.
    pub fn gaps(&self) -> Option<Gaps> {
        self.0.retrained.as_ref().map(|retrained| gaps(&self.0.metrics, &retrained.metrics))
    }

    /// The same on validation data alone: what options are chosen by.
    pub fn validation_gap(&self) -> f64 {
        let retrained = self.0.retrained.as_ref();
        retrained.map_or(f64::NAN, |retrained| validation_gap(&self.0.metrics, &retrained.metrics))
    }

    /// What the predictions of this network and of the retrained one say together, where both are known. Of a retrained
    /// network it is the floor: the distance to another one.
    ///
    /// # Errors
    /// A damaged file of the store.
    pub fn compared(&self) -> Result<Option<Rc<Metrics>>> {
        let own = self.text("predictions");
        let Some(retrained) = self.0.retrained.as_ref().filter(|other| other.key != own) else { return Ok(None) };
        let seed = self.row().get("seeds").and_then(|seeds| seeds.get("split")).and_then(Value::as_u64).unwrap_or(0);
        self.0.run.slot::<PredictionStore>().compare(&self.0.run, &own, &retrained.key, seed)
    }

    /// The run it belongs to.
    pub(super) fn run(&self) -> &Run {
        &self.0.run
    }

    /// The unlearned network, or why there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub fn net(&self) -> std::result::Result<&Net, Absent> {
        self.0.net.as_ref().map_err(|absent| *absent)
    }

    /// The metrics, fractions.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The recorded row.
    pub fn row(&self) -> Value {
        self.0.row.borrow().clone()
    }

    /// A string field of the row.
    pub fn text(&self, field: &str) -> String {
        self.0.row.borrow().get(field).and_then(Value::as_str).unwrap_or_default().into()
    }

    /// The seconds of a stage.
    pub fn seconds(&self, stage: &str) -> f64 {
        self.0.row.borrow().get("seconds").and_then(|s| s.get(stage)).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// Evaluations along the way.
    pub fn history(&self) -> &[Value] {
        &self.0.history
    }

    /// What a script added.
    pub fn added(&self) -> Map {
        self.0.added.borrow().iter().map(|(key, value)| (key.as_str().into(), value.clone())).collect()
    }

    /// Two handles to one result.
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Adds fields to the row.
    pub(super) fn extend_row(&self, fields: &serde_json::Map<String, Value>) {
        if let Some(row) = self.0.row.borrow_mut().as_object_mut() {
            row.extend(fields.clone());
        }
    }

    /// Whether the field `name` has this value already.
    fn holds(&self, name: &str, value: &Dynamic) -> bool {
        if let Some(net) = value.read_lock::<Net>() {
            return self.net().is_ok_and(|own| Rc::ptr_eq(own.root(), net.root()));
        }
        let own = match name {
            "metrics" => self.metrics().to_map().into(),
            "row" => from_json(&self.row()),
            "history" => self.history().iter().map(from_json).collect::<Vec<_>>().into(),
            _ => self.row().get(name).map(from_json).unwrap_or_default(),
        };
        name == "gaps" || name == "compared" || to_json(&own) == to_json(value)
    }

    /// One line: `acf: RA 99.7 · FA 97.1 · TA 98.0 · AUC 0.552 ± 0.025 (s.e.) · 0.11 s`.
    pub fn describe(&self) -> String {
        let label = self.text("label");
        if matches!(self.net(), Err(Absent::Failed)) {
            return format!("{label}: failed: {}", self.text("error"));
        }
        let metrics = self.metrics();
        let known = |x: f64, text: String| if x.is_nan() { "–".to_string() } else { text };
        let percent = |name: &str| known(metrics.get(name), format!("{:.1}", 100.0 * metrics.get(name)));
        let gap = self
            .gaps()
            .map_or_else(String::new, |gaps| format!(" · gap {}", known(gaps.average, format!("{:.2}", gaps.average))));
        format!(
            "{label}: RA {} · FA {} · TA {} · AUC {}{gap} · {:.2} s",
            percent("retain_accuracy"),
            percent("forget_accuracy"),
            percent("test_accuracy"),
            with_error(metrics.get("mia_auc"), metrics.get("mia_auc_se")),
            self.seconds("unlearn"),
        )
    }
}

/// What scripts see of a result.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use super::{Absent, Metrics, from_json};
    use crate::runtime::{Error, Script};
    use rhai::{Dynamic, Map};

    /// The result of running a method: its net, metrics, seconds and row.
    pub type Outcome = super::Outcome;

    /// The unlearned network of a result; `()` when the method failed and `on_error: "record"` was given.
    ///
    /// Results that `lethe run --resume` took from the earlier part of a run have their network only where `weights: true`
    /// kept it.
    ///
    /// # Signature
    /// result.net -> Net
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// let result = unlearn::run("finetune", task, #{ epochs: 1 });
    /// assert(type_of(result.net) == "Net");
    /// ```
    #[rhai_fn(get = "net", pure, return_raw)]
    pub fn net(outcome: &mut Outcome) -> Script<Dynamic> {
        match outcome.net() {
            Ok(net) => Ok(Dynamic::from(net.clone())),
            Err(Absent::Failed) => Ok(Dynamic::UNIT),
            Err(Absent::Resumed) => {
                let label = outcome.text("label");
                Err(Error::new("", format!("the network of {label:?} was not kept: its row is of an earlier run"))
                    .hint("run it with weights: true, so that a resumed run finds its network again")
                    .into())
            }
        }
    }

    /// The metrics of a result by name, fractions between 0 and 1; what does not exist is NaN.
    ///
    /// # Signature
    /// result.metrics -> map
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// let result = unlearn::run("finetune", task, #{ epochs: 1 });
    /// assert(result.metrics.retain_accuracy >= 0.0);
    /// ```
    #[rhai_fn(get = "metrics", pure)]
    pub fn metrics(outcome: &mut Outcome) -> Map {
        outcome.metrics().to_map()
    }

    /// How far a result is from the network retrained on the same split, when `unlearn::run("retrain", task)` ran before it:
    /// `#{ average, accuracy, validation, tow, tow_mia }`; else `()`. `average` is SalUn's, `accuracy` that of the three accuracies, both
    /// in percentage points; `validation` is the mean difference of the accuracies on forgotten, retained and unseen samples
    /// and of the attack that compares with unseen ones, in points: to choose options by, since the test part has no share in
    /// it. `tow` is Tug-of-War by accuracies, `tow_mia` with SalUn's attack in place of the accuracy on forgotten samples.
    ///
    /// # Signature
    /// result.gaps -> map
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.15 });
    /// assert(unlearn::run("finetune", task, #{ epochs: 1 }).gaps == ());
    /// unlearn::run("retrain", task, #{ epochs: 1 });
    /// assert(unlearn::run("finetune", task, #{ epochs: 1 }).gaps.tow <= 1.0);
    /// ```
    #[rhai_fn(get = "gaps", pure)]
    pub fn gaps(outcome: &mut Outcome) -> Dynamic {
        let Some(gaps) = outcome.gaps() else { return Dynamic::UNIT };
        let fields = [
            ("average", gaps.average),
            ("accuracy", gaps.accuracy),
            ("validation", outcome.validation_gap()),
            ("tow", gaps.tow),
            ("tow_mia", gaps.tow_mia),
        ];
        fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect::<Map>().into()
    }

    /// What a result's network and the retrained one say together: `activation_distance`, `kl`, `js`, `completeness` on the
    /// forgotten and (with the prefix `test_`) on the test samples, `epsilon`, `rmia_auc` and more, see `compare`; `()` when
    /// `retrain` did not run before. Of a retrained network it is its distance to another one: the floor.
    ///
    /// # Signature
    /// result.compared -> map
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// unlearn::run("retrain", task, #{ epochs: 1 });
    /// let floor = unlearn::run("retrain", task, #{ epochs: 1, seed: 1 }).compared;
    /// let found = unlearn::run("finetune", task, #{ epochs: 1 }).compared;
    /// assert(floor.js > 0.0 && found.js > 0.0 && found.rmia_auc <= 1.0);
    /// ```
    #[rhai_fn(get = "compared", pure, return_raw)]
    pub fn compared(outcome: &mut Outcome) -> Script<Dynamic> {
        let names = |found: &Metrics| found.iter().map(|(name, x)| (name.into(), x.into())).collect::<Map>();
        Ok(outcome.compared()?.map_or(Dynamic::UNIT, |found| names(&found).into()))
    }

    /// The row that was recorded for a result.
    ///
    /// # Signature
    /// result.row -> map
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// let result = unlearn::run("finetune", task, #{ epochs: 1 });
    /// assert(result.row.method == "finetune" && result.row.options.epochs == 1);
    /// ```
    #[rhai_fn(get = "row", pure)]
    pub fn row(outcome: &mut Outcome) -> Dynamic {
        from_json(&outcome.row())
    }

    /// The evaluations along the way that `every` of `unlearn::run` asked for: an array of
    /// `#{ epoch, step, seconds, score, metrics }`, seconds being those of unlearning and `score` what `keep: "best"` goes by.
    ///
    /// # Signature
    /// result.history -> array
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// let result = unlearn::run("finetune", task, #{ epochs: 2, every: "epoch" });
    /// assert(result.history.len() == 2);
    /// ```
    #[rhai_fn(get = "history", pure)]
    pub fn history(outcome: &mut Outcome) -> rhai::Array {
        outcome.history().iter().map(from_json).collect()
    }

    /// Any other field: of what a script added, else of the row.
    ///
    /// # Signature
    /// result.FIELD -> any
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// let result = unlearn::run("finetune", task, #{ epochs: 1 });
    /// assert(result.status == "ok");
    /// ```
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn field(outcome: &mut Outcome, name: &str) -> Script<Dynamic> {
        if let Some(value) = outcome.0.added.borrow().get(name) {
            return Ok(value.clone());
        }
        let row = outcome.row();
        if let Some(value) = row.get(name) {
            return Ok(from_json(value));
        }
        let mut names = vec!["net", "metrics", "row", "history", "gaps", "compared"];
        names.extend(row.as_object().into_iter().flatten().map(|(key, _)| key.as_str()));
        let error = Error::new("", format!("a result has no field `{name}`")).word(name);
        Err(match crate::runtime::options::nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.note(format!("fields: {}", names.join(", "))),
        }
        .into())
    }

    /// Scripts may add fields; `record` then writes them.
    ///
    /// # Signature
    /// result.FIELD = any
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// let result = unlearn::run("finetune", task, #{ epochs: 1 });
    /// result.remark = "mine";
    /// assert(result.remark == "mine");
    /// ```
    #[rhai_fn(index_set, return_raw)]
    pub fn set_field(outcome: &mut Outcome, name: &str, value: Dynamic) -> Script<()> {
        let fixed = ["net", "metrics", "row", "history", "gaps", "compared"].contains(&name)
            || outcome.row().get(name).is_some();
        if !fixed || outcome.0.added.borrow().contains_key(name) {
            outcome.0.added.borrow_mut().insert(name.into(), value);
            return Ok(());
        }
        // Rhai writes a property back after a method call on it (`result.net.forward(x)`): that changes nothing.
        if outcome.holds(name, &value) {
            return Ok(());
        }
        Err(Error::new("", format!("`{name}` of a result cannot be changed")).word(name).into())
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn show(outcome: &mut Outcome) -> String {
        outcome.describe()
    }

    #[rhai_fn(name = "==", pure)]
    pub fn equal(a: &mut Outcome, b: Outcome) -> bool {
        a.same(&b)
    }

    #[rhai_fn(name = "!=", pure)]
    pub fn unequal(a: &mut Outcome, b: Outcome) -> bool {
        !a.same(&b)
    }
}
