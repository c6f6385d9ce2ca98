//! A recorded row, as boards read it: fields, metrics, seconds.

use crate::eval::Metrics;
use crate::report::cells::bare;
use serde_json::Value;

/// One run of a method.
#[derive(Debug, Clone)]
pub struct Row {
    /// The row as recorded.
    pub value: Value,
    /// Its metrics.
    pub metrics: Metrics,
}

impl Row {
    /// Reads a recorded row.
    pub fn new(value: Value) -> Self {
        let mut metrics = value.get("metrics").map(Metrics::from_json).unwrap_or_default();
        // What a script recorded beside them.
        for (name, number) in value.as_object().into_iter().flatten().filter(|(_, value)| value.is_number()) {
            metrics.set(name, number.as_f64().unwrap_or(f64::NAN));
        }
        Self { value, metrics }
    }

    /// A string field; empty when missing.
    pub fn text(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field of the description of the retain set.
    pub fn retain(&self, key: &str) -> &Value {
        self.value.get("retain").and_then(|retain| retain.get(key)).unwrap_or(&Value::Null)
    }

    /// `full`, `blend`, …
    pub fn kind(&self) -> &str {
        self.retain("kind").as_str().unwrap_or("full")
    }

    /// The classes that its request removes altogether, or is about; none of requests for samples.
    pub fn classes(&self) -> Vec<i64> {
        let asked = self.value.pointer("/request/classes").and_then(Value::as_array);
        let asked = asked.into_iter().flatten().filter_map(Value::as_i64);
        let removed = &self.metrics.basis.classes;
        if removed.is_empty() { asked.collect() } else { removed.clone() }
    }

    /// Trained on the whole retain set.
    pub fn is_full(&self) -> bool {
        self.kind() == "full"
    }

    /// The retrained network that others are measured against.
    pub fn is_reference(&self) -> bool {
        self.text("method") == "retrain" && self.is_full() && self.is_complete()
    }

    /// Neither failed nor interrupted.
    pub fn is_complete(&self) -> bool {
        is_complete(&self.value)
    }

    /// The seconds of a stage; NaN when it was not taken.
    pub fn seconds(&self, stage: &str) -> f64 {
        self.value.get("seconds").and_then(|s| s.get(stage)).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    /// Seconds spent before any method could start on this retain set; NaN when nothing had to be prepared.
    pub fn preparation(&self) -> f64 {
        let stages = [self.seconds("cluster"), self.seconds("condense")];
        let total: f64 = stages.iter().filter(|s| s.is_finite()).sum();
        if self.is_full() || total <= 0.0 { f64::NAN } else { total }
    }

    /// What its request is about, by name: runs that differ in it are no repetitions of each other.
    pub fn circumstances(&self) -> Vec<(&'static str, &Value)> {
        let places = [
            ("data set", "/dataset"),
            ("network", "/model"),
            ("mode", "/request/mode"),
            ("fraction", "/request/fraction"),
            ("round", "/round/number"),
        ];
        let found = places.into_iter().map(|(name, at)| (name, self.value.pointer(at).unwrap_or(&Value::Null)));
        found.filter(|(_, value)| !value.is_null()).collect()
    }

    /// The same without the round: what originals and retrained networks have in common.
    pub fn subject(&self) -> Vec<String> {
        self.circumstances().into_iter().filter(|(name, _)| *name != "round").map(|(_, value)| bare(value)).collect()
    }

    /// The same method, told the same way, whatever retain set it ran on.
    pub(crate) fn sibling(&self) -> String {
        let accelerated = self.value.get("accelerated").and_then(Value::as_bool).unwrap_or(false);
        format!(
            "{:?} {accelerated} {}",
            ["method", "variant", "split_id"].map(|key| self.text(key)),
            self.text("label")
        )
    }
}

/// Whether a recorded row is of a run that neither failed nor was interrupted.
pub fn is_complete(row: &Value) -> bool {
    !matches!(row.get("status").and_then(Value::as_str), Some("failed" | "interrupted"))
}
