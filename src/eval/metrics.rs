//! The metrics of one evaluated network: named fractions in a fixed order.

use rhai::{Dynamic, Map};
use serde_json::Value;

/// How many samples the figures rest on, and what kind of request they are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// Forgotten samples.
    pub forget: usize,
    /// Test samples of the classes that remain.
    pub test: usize,
    /// Test samples the attack compares with: of the forgotten samples' classes.
    pub attacked: usize,
    /// Classes that the request removes altogether; empty for requests on samples.
    pub classes: Vec<i64>,
}

/// Named metrics, fractions between 0 and 1 unless they are losses; NaN where a figure does not exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    values: Vec<(String, f64)>,
    /// Accuracy per class: (part, accuracy of class 0, 1, …).
    pub per_class: Vec<(String, Vec<f64>)>,
    /// What the figures rest on.
    pub basis: Basis,
}

/// A number, or null for NaN and infinities.
fn number(x: f64) -> Value {
    serde_json::Number::from_f64(x).map_or(Value::Null, Value::Number)
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

    /// As a row holds them: flat numbers (NaN as null), then `per_class` and `basis`.
    pub fn to_json(&self) -> Value {
        let mut map: serde_json::Map<String, Value> = self.iter().map(|(k, v)| (k.into(), number(v))).collect();
        let classes = self.per_class.iter();
        let classes = classes.map(|(part, values)| (part.clone(), values.iter().map(|x| number(*x)).collect()));
        map.insert("per_class".into(), Value::Object(classes.collect()));
        let Basis { forget, test, attacked, classes } = &self.basis;
        let basis = serde_json::json!({ "forget": forget, "test": test, "attacked": attacked, "classes": classes });
        map.insert("basis".into(), basis);
        Value::Object(map)
    }

    /// Reads what `to_json` wrote; what is missing is NaN or zero.
    pub fn from_json(value: &Value) -> Self {
        let mut metrics = Self::default();
        let numbers = |value: &Value| -> Vec<f64> {
            value.as_array().into_iter().flatten().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
        };
        for (key, value) in value.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("per_class", Value::Object(parts)) => {
                    metrics.per_class = parts.iter().map(|(part, values)| (part.clone(), numbers(values))).collect();
                }
                ("basis", Value::Object(basis)) => {
                    let count = |key: &str| basis.get(key).and_then(Value::as_u64).unwrap_or(0) as usize;
                    let classes = basis.get("classes").map(numbers).unwrap_or_default();
                    metrics.basis = Basis {
                        forget: count("forget"),
                        test: count("test"),
                        attacked: count("attacked"),
                        classes: classes.into_iter().map(|c| c as i64).collect(),
                    };
                }
                (_, Value::Number(_) | Value::Null) => metrics.set(key, value.as_f64().unwrap_or(f64::NAN)),
                _ => {}
            }
        }
        metrics
    }

    /// For scripts: names to floats, and `per_class` as a map of arrays.
    pub fn to_map(&self) -> Map {
        let mut map: Map = self.iter().map(|(k, v)| (k.into(), v.into())).collect();
        let array = |values: &[f64]| values.iter().map(|x| Dynamic::from(*x)).collect::<Vec<_>>();
        let classes: Map = self.per_class.iter().map(|(k, v)| (k.as_str().into(), array(v).into())).collect();
        map.insert("per_class".into(), classes.into());
        let Basis { forget, test, attacked, classes } = &self.basis;
        let mut basis = Map::new();
        for (key, count) in [("forget", forget), ("test", test), ("attacked", attacked)] {
            basis.insert(key.into(), (*count as i64).into());
        }
        basis.insert("classes".into(), classes.iter().map(|c| Dynamic::from(*c)).collect::<Vec<_>>().into());
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
        metrics.basis = Basis { forget: 3, test: 7, attacked: 2, classes: vec![4] };
        let back = Metrics::from_json(&metrics.to_json());
        assert_eq!(back.iter().map(|(k, _)| k).collect::<Vec<_>>(), ["test_accuracy", "mia_tpr_at_1", "a_loss"]);
        assert!(back.get("mia_tpr_at_1").is_nan() && back.per_class[0].1[1].is_nan());
        assert_eq!(back.basis, metrics.basis);
        let script = Metrics::from_map(&metrics.to_map());
        assert_eq!((script.get("a_loss"), script.basis), (0.25, metrics.basis));
    }
}
