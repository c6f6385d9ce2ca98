//! What a value is, in JSON that is equal in every process: numbers and texts as they are, larger things by their content.

use super::code;
use super::text::short;
use crate::condense::matching::augment::Augmentation;
use crate::data::{Data, Dataset};
use crate::experiment::identity::Naming;
use crate::experiment::rules::Rule;
use crate::experiment::selector::Selector;
use crate::experiment::{Outcome, Task};
use crate::nn::Net;
use crate::runtime::options::describe;
use crate::runtime::{Result, Run};
use crate::tensor::Tensor;
use rhai::{Array, Blob, Dynamic, FnPtr, Map, NativeCallContext};
use serde_json::{Value, json};

/// How deep values may lie within each other. One that holds itself is deeper.
const DEEPEST: usize = 32;

impl<'c> Naming<'c> {
    /// Names values that this context can see.
    pub fn new(context: &'c NativeCallContext<'c>) -> Self {
        let (path, depth, unknown) = Default::default();
        Self { context, run: Run::of(context), path, depth, unknown }
    }

    /// What could not be named: where it is and what it is.
    pub fn unnamed(self) -> Vec<String> {
        self.unknown.into_inner()
    }

    /// Notes that something cannot be named.
    pub fn unknown(&self, what: &str) -> Value {
        let path = self.path.borrow().join(".");
        let told = if path.is_empty() { what.to_string() } else { format!("{path}: {what}") };
        let mut unknown = self.unknown.borrow_mut();
        if !unknown.contains(&told) {
            unknown.push(told);
        }
        json!({ "unidentified": what })
    }

    /// A value below a name.
    pub fn within(&self, name: &str, value: &Dynamic) -> Value {
        self.path.borrow_mut().push(name.into());
        let named = self.value(value);
        self.path.borrow_mut().pop();
        named
    }

    /// A map's values by their names.
    pub fn map(&self, map: &Map) -> Value {
        map.iter()
            .map(|(key, value)| (key.to_string(), self.within(key, value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// What a value is.
    pub fn value(&self, value: &Dynamic) -> Value {
        if self.depth.get() >= DEEPEST {
            return self.unknown("values too deep within each other");
        }
        self.depth.set(self.depth.get() + 1);
        let named = match value.is_shared() {
            // What is being changed at this moment cannot be read.
            true if value.is_locked() => self.unknown("a variable in use"),
            true => self.plain(&value.flatten_clone()),
            false => self.plain(value),
        };
        self.depth.set(self.depth.get() - 1);
        named
    }

    fn plain(&self, value: &Dynamic) -> Value {
        if value.is_unit() {
            return Value::Null;
        }
        if let Ok(flag) = value.as_bool() {
            return flag.into();
        }
        if let Ok(n) = value.as_int() {
            return n.into();
        }
        if let Ok(x) = value.as_float() {
            return if x.is_finite() { x.into() } else { json!({ "float": x.to_string() }) };
        }
        if let Ok(letter) = value.as_char() {
            return json!({ "char": letter.to_string() });
        }
        if value.is_string() {
            let text = value.to_string();
            // A method may run another one whose name it is given.
            return match code::method_file(self, &text, self.context.call_source()) {
                Some(file) => json!({ "text": text, "method": code::script(self, &file) }),
                None => text.into(),
            };
        }
        if let Some(items) = value.read_lock::<Array>() {
            return items.iter().map(|item| self.value(item)).collect();
        }
        if let Some(map) = value.read_lock::<Map>() {
            return self.map(&map);
        }
        if let Some(bytes) = value.read_lock::<Blob>() {
            return json!({ "blob": short(&*bytes) });
        }
        if let Some(function) = value.read_lock::<FnPtr>() {
            return json!({ "function": code::function(self, &function) });
        }
        self.ours(value).unwrap_or_else(|error| self.unknown(&error.to_string()))
    }

    /// Values of our own types.
    fn ours(&self, value: &Dynamic) -> Result<Value> {
        if let Some(tensor) = value.read_lock::<Tensor>() {
            return tensor_of(&tensor);
        }
        if let Some(net) = value.read_lock::<Net>() {
            return self.net(&net);
        }
        if let Some(dataset) = value.read_lock::<Dataset>() {
            return Ok(json!({ "dataset": dataset.id()? }));
        }
        if let Some(data) = value.read_lock::<Data>() {
            return Ok(json!({ "data": data.id }));
        }
        if let Some(task) = value.read_lock::<Task>() {
            return self.task(&task);
        }
        if let Some(outcome) = value.read_lock::<Outcome>() {
            return Ok(json!({ "result": outcome.text("key") }));
        }
        if let Some(rule) = value.read_lock::<Rule>() {
            return Ok(json!({ "rule": rule.describe() }));
        }
        if let Some(augmentation) = value.read_lock::<Augmentation>() {
            return Ok(json!({ "augmentation": format!("{:?}", *augmentation) }));
        }
        if let Some(range) = value.read_lock::<std::ops::Range<i64>>() {
            return Ok(json!({ "range": format!("{range:?}") }));
        }
        if let Some(range) = value.read_lock::<std::ops::RangeInclusive<i64>>() {
            return Ok(json!({ "range": format!("{range:?}") }));
        }
        if value.read_lock::<Selector>().is_some() {
            return Ok(self.unknown("a choice of samples"));
        }
        Ok(self.unknown(&describe(value)))
    }

    /// A network: its weights, its architecture, and the closures that compute it.
    ///
    /// # Errors
    /// Those of reading the weights.
    pub fn net(&self, net: &Net) -> Result<Value> {
        let mut named = json!({ "net": net.weights_hash()?, "architecture": super::architecture(net) });
        let closures = self.closures(net);
        if let Some(fields) = named.as_object_mut().filter(|_| !closures.is_empty()) {
            fields.insert("closures".into(), closures.into());
        }
        Ok(named)
    }

    /// The closures that compute a network of a script's own making.
    pub fn closures(&self, net: &Net) -> Vec<Value> {
        net.root()
            .closures()
            .iter()
            .map(|callback| {
                callback
                    .with(|context, function| {
                        let naming = Naming::new(context);
                        let named = code::function(&naming, function);
                        for what in naming.unnamed() {
                            self.unknown(&what);
                        }
                        named
                    })
                    .unwrap_or_else(|| self.unknown("a closure of another engine"))
            })
            .collect()
    }

    /// A task: what is to be forgotten of what by which network.
    fn task(&self, task: &Task) -> Result<Value> {
        let mut named =
            json!({ "split": task.split_id(), "data": task.data().id, "original": self.net(task.original())? });
        if let Some(fields) = named.as_object_mut().filter(|_| task.is_reduced()) {
            fields.insert("retain".into(), task.retain().id()?.into());
        }
        Ok(json!({ "task": named }))
    }
}

/// A tensor by its numbers.
fn tensor_of(tensor: &Tensor) -> Result<Value> {
    let content = crate::nn::state_dict::hash(&[("tensor".into(), tensor.shallow_clone())])?;
    Ok(json!({ "tensor": content, "shape": tensor.size(), "dtype": format!("{:?}", tensor.kind()) }))
}
