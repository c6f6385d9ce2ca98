//! What decides a row: every part of it in readable JSON, and the hash of them all, the row's key.

mod code;
pub mod key;
pub mod naming;
mod text;
mod values;

use super::order::{self, Order, Subject};
use super::presets;
use super::task::Task;
pub use crate::experiment::identity::naming::Naming;
use crate::nn::Net;
use crate::runtime::hex::hex;
use crate::runtime::{Result, Run, versions};
pub use key::Identity;
use rhai::{Dynamic, Map, NativeCallContext};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The revision of the code behind methods: raise it whenever a network comes out of the same order with other weights, be it
/// by a change in training, in a built-in loss or step, in reductions of the retain set, or in what is drawn. (What methods
/// written in scripts say is part of the key by itself.)
pub const METHODS_REVISION: u32 = 1;

/// The revision of the code behind metrics: raise it whenever the same predictions give another figure under an old name.
pub const METRICS_REVISION: u32 = 1;

/// The precision that networks compute in.
pub const PRECISION: &str = "f32";

/// The SHA-256 of a value, whatever order its fields are in.
pub fn key(parts: &Value) -> String {
    let mut text = String::new();
    write_sorted(parts, &mut text);
    hex(&Sha256::digest(text))
}

/// Compact JSON with sorted fields.
fn write_sorted(value: &Value, text: &mut String) {
    let mut join = |open: char, close: char, parts: Vec<String>| {
        text.push(open);
        text.push_str(&parts.join(","));
        text.push(close);
    };
    let inner = |value: &Value| {
        let mut text = String::new();
        write_sorted(value, &mut text);
        text
    };
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            join('{', '}', fields.iter().map(|(name, value)| format!("{}:{}", json!(name), inner(value))).collect());
        }
        Value::Array(items) => join('[', ']', items.iter().map(inner).collect()),
        plain => text.push_str(&plain.to_string()),
    }
}

/// A network's architecture without names that differ from process to process.
pub fn architecture(net: &Net) -> String {
    let mut text = net.architecture().to_string();
    while let Some(start) = text.find("anon$") {
        let end = text[start + 5..].find(|c: char| !c.is_ascii_hexdigit()).map_or(text.len(), |at| start + 5 + at);
        text.replace_range(start..end, "closure");
    }
    text
}

/// The machine's part of what decides a number.
pub fn machine(run: &Run) -> Value {
    json!({
        "device": if run.device().is_cuda() { "cuda" } else { "cpu" },
        "threads": run.settings().threads,
        "precision": PRECISION,
        "lethe": versions::LETHE,
        "libtorch": versions::libtorch(),
    })
}

/// What decides the result of an order. `given` are the method's own options.
///
/// # Errors
/// Those of reading weights and samples.
pub fn of(context: &NativeCallContext, task: &Task, subject: &Subject, order: &Order, given: &Map) -> Result<Identity> {
    let naming = Naming::new(context);
    let run = naming.run.clone();
    let mut parts = serde_json::Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() && value != json!({}) {
            parts.insert(name.into(), value);
        }
    };
    add("label", order.label.as_str().into());
    add("method", method(&naming, subject));
    add("options", naming.map(given));
    add("variant", if order.reference { "reference" } else { "canonical" }.into());
    add("accelerate", order.accelerate.into());
    add("regularizer", order.regularized_by.as_ref().map_or(Value::Null, |value| naming.within("regularizer", value)));
    add("presets", chosen(&run, task, subject, order)?);
    add("every", order.every.map_or(Value::Null, |every| every.told()));
    add("keep", if order.keep_best { "best" } else { "last" }.into());
    add("budget", order.budget.map_or(Value::Null, Value::from));
    add("weights", order.weights.into());
    add("data", task.data().id.as_str().into());
    add("model", architecture(task.original()).into());
    add("model_closures", Some(naming.closures(task.original())).filter(|all| !all.is_empty()).into());
    add("original", task.original_hash()?.into());
    add("split", task.split_id().into());
    add("split_variant", if task.is_reference() { "reference" } else { "canonical" }.into());
    add("retain", retain(task)?);
    add("round", task.round().map_or(Value::Null, |round| json!({ "number": round.number, "of": round.of })));
    add("seeds", json!({ "run": run.seed(), "split": task.seed(), "unlearn": order.seed }));
    if let Value::Object(machine) = machine(&run) {
        machine.into_iter().for_each(|(name, value)| add(&name, value));
    }
    add("revision", json!({ "methods": METHODS_REVISION, "metrics": METRICS_REVISION }));
    let unknown = naming.unnamed();
    add("unidentified", if unknown.is_empty() { Value::Null } else { unknown.clone().into() });
    let parts = Value::Object(parts);
    Ok(Identity { key: key(&parts), parts, unknown })
}

impl Identity {
    /// The same order asked for once more: the second, third, .. of its kind.
    #[must_use]
    pub fn repeated(mut self, count: usize) -> Self {
        if let Some(parts) = self.parts.as_object_mut().filter(|_| count > 1) {
            parts.insert("repeat".into(), count.into());
            self.key = key(&self.parts);
        }
        self
    }
}

/// The method: its name, and the text of all that it can reach.
fn method(naming: &Naming, subject: &Subject) -> Value {
    let mut named = match (subject.function, subject.file) {
        (Some(function), _) => code::function(naming, function),
        (None, Some(file)) => code::script(naming, file),
        (None, None) => Value::Null,
    };
    if let Some(fields) = named.as_object_mut().filter(|_| !subject.anonymous) {
        fields.insert("name".into(), subject.name.into());
    }
    named
}

/// The presets that the method may take options from, in its plain and in its accelerated form.
fn chosen(run: &Run, task: &Task, subject: &Subject, order: &Order) -> Result<Value> {
    let plain = super::accelerate::plain_name(subject.name).0;
    let mut chosen = serde_json::Map::new();
    for (heading, fast) in [("plain", false), ("accelerated", true)] {
        let preset = Dynamic::from(presets::of(run, task, plain, fast, order.reference)?);
        let preset = crate::eval::metrics::to_json(&preset);
        if preset != json!({}) {
            chosen.insert(heading.into(), preset);
        }
    }
    Ok(chosen.into())
}

/// What is trained on where that is not the whole retain set.
fn retain(task: &Task) -> Result<Value> {
    if let Some(name) = task.own_retain() {
        return Ok(json!({ "kind": name, "dataset": task.retain().id()? }));
    }
    let Some(reduced) = task.reduction() else { return Ok(Value::Null) };
    let mut told = json!({
        "kind": reduced.method.name(), "options": serde_json::from_str::<Value>(task.reduced_by()).unwrap_or_default(), "clusters": reduced.clusters, "size": reduced.dataset.len(),
    });
    // Then it depends on more than its options and the split.
    if let Some(fields) = told.as_object_mut().filter(|_| !task.reduced_plainly()) {
        fields.insert("dataset".into(), task.retain().id()?.into());
    }
    Ok(told)
}

/// Reads what `run` consumes; the rest is the method's.
///
/// # Errors
/// Values of a wrong type or range; a closure without a name.
pub fn read(context: &NativeCallContext, task: &Task, subject: &Subject, given: Map) -> Result<(Order, Map)> {
    let (mut order, rest) = order::parse(context, task, subject, given)?;
    order.identity = of(context, task, subject, &order, &rest)?;
    Ok((order, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_fields_does_not_matter_and_everything_else_does() {
        let a = json!({ "a": [1, { "x": 1.5, "y": "ü\"" }], "b": null });
        let b = json!({ "b": null, "a": [1, { "y": "ü\"", "x": 1.5 }] });
        assert_eq!((key(&a), key(&a).len()), (key(&b), 64));
        for other in [json!({ "a": [1] }), json!({ "a": [1, { "x": 1.5, "y": "u" }], "b": null })] {
            assert_ne!(key(&a), key(&other));
        }
        assert_eq!(key(&json!({})), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    }
}
