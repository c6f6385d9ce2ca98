//! The metrics of one evaluated network: named fractions in a fixed order.

use super::histogram;
use rhai::{Dynamic, Map};
use serde_json::Value;

/// How many samples the figures rest on, and what kind of request they are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// Forgotten samples.
    pub forget: usize,
    /// Retained samples; 0 in rows written before they were counted.
    pub retain: usize,
    /// Test samples of the classes that remain.
    pub test: usize,
    /// Test samples the attack compares with: of the forgotten samples' classes.
    pub attacked: usize,
    /// Classes that the request removes altogether; empty for requests on samples.
    pub classes: Vec<i64>,
    /// Samples of all parts; 0 in rows written before they were counted.
    pub outputs: usize,
    /// Those whose outputs are no distribution: NaN or infinite logits.
    pub not_finite: usize,
    /// The one class that every retained and test sample is taken for, where it is always the same although there are several:
    /// the network has collapsed.
    pub only_class: Option<i64>,
}

/// Named metrics, fractions between 0 and 1 unless they are losses; NaN where a figure does not exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    values: Vec<(String, f64)>,
    /// Accuracy per class: (part, accuracy of class 0, 1, …).
    pub per_class: Vec<(String, Vec<f64>)>,
    /// Histogram of the cross-entropies: (part, counts in the bins of `histogram`).
    pub loss_histogram: Vec<(String, Vec<u64>)>,
    /// What the figures rest on.
    pub basis: Basis,
}

/// A number, or null for NaN and infinities.
fn number(x: f64) -> Value {
    serde_json::Number::from_f64(x).map_or(Value::Null, Value::Number)
}

/// An array of numbers, null being NaN.
fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

/// A script's array.
fn array<T: Into<Dynamic>>(values: impl Iterator<Item = T>) -> Dynamic {
    values.map(Into::into).collect::<Vec<Dynamic>>().into()
}

/// Counts by part, where they are over the bins that are used here: others could not be compared.
fn histograms(parts: &serde_json::Map<String, Value>) -> Vec<(String, Vec<u64>)> {
    let is = |key: &str, wanted: f64| parts.get(key).and_then(Value::as_f64) == Some(wanted);
    if !is("lowest", histogram::LOWEST) || !is("per_decade", histogram::PER_DECADE as f64) {
        return vec![];
    }
    let counts = |value: &Value| -> Option<Vec<u64>> { value.as_array()?.iter().map(Value::as_u64).collect() };
    let parts = parts.iter().filter_map(|(part, value)| Some((part.clone(), counts(value)?)));
    parts.filter(|(_, counts)| counts.len() == histogram::BINS).collect()
}

impl Metrics {
    /// The metric of this name; NaN when there is none.
    pub fn get(&self, name: &str) -> f64 {
        self.values.iter().find(|(key, _)| key == name).map_or(f64::NAN, |(_, value)| *value)
    }

    /// Adds or replaces a metric.
    pub fn set(&mut self, name: &str, value: f64) {
        match self.values.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name.into(), value)),
        }
    }

    /// Name and value in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.values.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// As a row holds them: flat numbers (NaN as null), then `per_class`, `loss_histogram` and `basis`.
    pub fn to_json(&self) -> Value {
        let mut map: serde_json::Map<String, Value> = self.iter().map(|(k, v)| (k.into(), number(v))).collect();
        let classes = self.per_class.iter();
        let classes = classes.map(|(part, values)| (part.clone(), values.iter().map(|x| number(*x)).collect()));
        map.insert("per_class".into(), Value::Object(classes.collect()));
        if !self.loss_histogram.is_empty() {
            let parts = self.loss_histogram.iter().map(|(part, counts)| (part.clone(), counts.clone().into()));
            let bins = [("lowest", histogram::LOWEST.into()), ("per_decade", histogram::PER_DECADE.into())];
            let bins = bins.into_iter().map(|(key, value)| (key.to_string(), value));
            map.insert("loss_histogram".into(), Value::Object(bins.chain(parts).collect()));
        }
        let Basis { forget, retain, test, attacked, classes, outputs, not_finite, only_class } = &self.basis;
        let basis = serde_json::json!({
            "forget": forget, "retain": retain, "test": test, "attacked": attacked, "classes": classes,
            "outputs": outputs, "not_finite": not_finite, "only_class": only_class,
        });
        map.insert("basis".into(), basis);
        Value::Object(map)
    }

    /// Reads what `to_json` wrote; what is missing is NaN or zero.
    pub fn from_json(value: &Value) -> Self {
        let mut metrics = Self::default();
        for (key, value) in value.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("per_class", Value::Object(parts)) => {
                    metrics.per_class = parts.iter().map(|(part, values)| (part.clone(), numbers(values))).collect();
                }
                ("loss_histogram", Value::Object(parts)) => metrics.loss_histogram = histograms(parts),
                ("basis", Value::Object(basis)) => {
                    let count = |key: &str| basis.get(key).and_then(Value::as_u64).unwrap_or(0) as usize;
                    let classes = basis.get("classes").map(numbers).unwrap_or_default();
                    metrics.basis = Basis {
                        forget: count("forget"),
                        retain: count("retain"),
                        test: count("test"),
                        attacked: count("attacked"),
                        classes: classes.into_iter().map(|c| c as i64).collect(),
                        outputs: count("outputs"),
                        not_finite: count("not_finite"),
                        only_class: basis.get("only_class").and_then(Value::as_i64),
                    };
                }
                (_, Value::Number(_) | Value::Null) => metrics.set(key, value.as_f64().unwrap_or(f64::NAN)),
                _ => {}
            }
        }
        metrics
    }

    /// For scripts: names to floats, `per_class` as a map of arrays, `loss_histogram` as one with the bins' `edges`.
    pub fn to_map(&self) -> Map {
        let mut map: Map = self.iter().map(|(k, v)| (k.into(), v.into())).collect();
        let classes = self.per_class.iter().map(|(part, values)| (part.as_str().into(), array(values.iter().copied())));
        map.insert("per_class".into(), classes.collect::<Map>().into());
        if !self.loss_histogram.is_empty() {
            let parts = self.loss_histogram.iter();
            let counts = |counts: &[u64]| array(counts.iter().map(|n| *n as i64));
            let mut parts: Map = parts.map(|(part, values)| (part.as_str().into(), counts(values))).collect();
            parts.insert("lowest".into(), histogram::LOWEST.into());
            parts.insert("per_decade".into(), (histogram::PER_DECADE as i64).into());
            parts.insert("edges".into(), array(histogram::edges().into_iter()));
            map.insert("loss_histogram".into(), parts.into());
        }
        let Basis { forget, retain, test, attacked, classes, outputs, not_finite, only_class } = &self.basis;
        let mut basis = Map::new();
        let counts = [("forget", forget), ("retain", retain), ("test", test), ("attacked", attacked)];
        for (key, count) in counts.into_iter().chain([("outputs", outputs), ("not_finite", not_finite)]) {
            basis.insert(key.into(), (*count as i64).into());
        }
        basis.insert("only_class".into(), only_class.map_or(Dynamic::UNIT, Into::into));
        basis.insert("classes".into(), array(classes.iter().copied()));
        map.insert("basis".into(), basis.into());
        map
    }

    /// Reads a script's map of metrics, as `to_map` or a row gives it.
    pub fn from_map(map: &Map) -> Self {
        Self::from_json(&to_json(&Dynamic::from(map.clone())))
    }
}

/// A script value as JSON: NaN and what JSON has no form for become null.
pub fn to_json(value: &Dynamic) -> Value {
    if let Ok(x) = value.as_float() {
        number(x)
    } else if let Ok(n) = value.as_int() {
        n.into()
    } else if let Ok(flag) = value.as_bool() {
        flag.into()
    } else if let Some(map) = value.read_lock::<Map>() {
        Value::Object(map.iter().map(|(k, v)| (k.to_string(), to_json(v))).collect())
    } else if let Some(items) = value.read_lock::<rhai::Array>() {
        items.iter().map(to_json).collect()
    } else if value.is_string() {
        value.to_string().into()
    } else {
        Value::Null
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_survive_json_and_scripts_with_their_order_and_nan() {
        let mut metrics = Metrics::default();
        metrics.set("test_accuracy", 0.9);
        metrics.set("mia_tpr_at_1", f64::NAN);
        metrics.set("a_loss", 0.25);
        metrics.per_class = vec![("test".into(), vec![1.0, f64::NAN])];
        metrics.loss_histogram = vec![("forget".into(), histogram::counts(&[0.1, 0.2, 5.0]))];
        metrics.basis = Basis { forget: 3, retain: 9, test: 7, attacked: 2, classes: vec![4], ..Basis::default() };
        (metrics.basis.outputs, metrics.basis.not_finite, metrics.basis.only_class) = (19, 5, Some(2));
        let back = Metrics::from_json(&metrics.to_json());
        assert_eq!(back.iter().map(|(k, _)| k).collect::<Vec<_>>(), ["test_accuracy", "mia_tpr_at_1", "a_loss"]);
        assert!(back.get("mia_tpr_at_1").is_nan() && back.per_class[0].1[1].is_nan());
        assert_eq!((&back.basis, &back.loss_histogram), (&metrics.basis, &metrics.loss_histogram));
        let script = Metrics::from_map(&metrics.to_map());
        assert_eq!((script.get("a_loss"), &script.basis), (0.25, &metrics.basis));
        assert_eq!(script.loss_histogram, metrics.loss_histogram);
    }

    #[test]
    fn counts_over_other_bins_are_not_taken_for_ours() {
        let row = serde_json::json!({ "loss_histogram": { "lowest": 1e-6, "per_decade": 2, "test": [1, 2, 3] } });
        assert!(Metrics::from_json(&row).loss_histogram.is_empty());
        let row = serde_json::json!({ "loss_histogram": { "lowest": 1e-6, "per_decade": 4, "test": [1, 2, 3] } });
        assert!(Metrics::from_json(&row).loss_histogram.is_empty());
    }
}
