//! What asks each element of an array or a map for true or false: an answer that is neither is an error, where Rhai's own
//! functions take it for false.

use crate::runtime::options::type_name;
use crate::runtime::{Error, Result};
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, Map, NativeCallContext};

/// A script function that is asked about elements.
pub struct Predicate<'a> {
    context: &'a NativeCallContext<'a>,
    operation: &'a str,
    function: FnPtr,
}

impl<'a> Predicate<'a> {
    /// The function, asked on behalf of `operation`.
    pub fn new(context: &'a NativeCallContext<'a>, operation: &'a str, function: FnPtr) -> Self {
        Self { context, operation, function }
    }

    /// What it says of the element at a place: as `|item|`, `|item, place|`, or without parameters of `this`.
    fn item(&self, place: usize, item: &mut Dynamic) -> Result<bool> {
        let extra = [Dynamic::from(place as i64)];
        let answer =
            self.function.call_raw_with_extra_args(self.operation, self.context, Some(item), [], extra, Some(0));
        self.verdict(&answer?)
    }

    /// What it says of an entry: as `|key, value|`, or `|key|` with the value as `this`.
    fn entry(&self, key: &str, value: &mut Dynamic) -> Result<bool> {
        let key = [Dynamic::from(key.to_string())];
        let answer =
            self.function.call_raw_with_extra_args(self.operation, self.context, Some(value), key, [], Some(1));
        self.verdict(&answer?)
    }

    /// What it says of two neighbours.
    fn pair(&self, a: &Dynamic, b: &Dynamic) -> Result<bool> {
        self.verdict(&self.function.call_raw(self.context, None, [a.clone(), b.clone()])?)
    }

    fn verdict(&self, answer: &Dynamic) -> Result<bool> {
        let answer = answer.flatten_clone();
        answer.as_bool().map_err(|_| {
            let kind = type_name(&answer);
            let message = format!("the function must return true or false, got a value of type {kind}");
            let error = Error::new(self.operation, message);
            match kind.as_str() {
                "()" => error.hint("does it end with a semicolon? its last expression is what it returns"),
                "Tensor" => {
                    error.hint("t.item() is the value of a tensor of one element; t.all() and t.any() make one of many")
                }
                _ => error,
            }
        })
    }

    /// The place of the first element it is true of, from a place on.
    fn first(&self, array: &mut Array, start: i64) -> Result<Option<usize>> {
        let length = array.len();
        let start = if start < 0 { length.saturating_sub(start.unsigned_abs() as usize) } else { start as usize };
        for (place, item) in array.iter_mut().enumerate().skip(start) {
            if self.item(place, item)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// What it says of every element.
    fn answers(&self, array: &mut Array) -> Result<Vec<bool>> {
        array.iter_mut().enumerate().map(|(place, item)| self.item(place, item)).collect()
    }

    /// Takes the elements out for which the answer is `taken`.
    fn take(&self, array: &mut Array, taken: bool) -> Result<Array> {
        let answers = self.answers(array)?;
        let (out, kept) =
            std::mem::take(array).into_iter().zip(answers).partition::<Vec<_>, _>(|(_, yes)| *yes == taken);
        *array = kept.into_iter().map(|(item, _)| item).collect();
        Ok(out.into_iter().map(|(item, _)| item).collect())
    }

    /// Takes the entries out for which the answer is `taken`.
    fn take_entries(&self, map: &mut Map, taken: bool) -> Result<Map> {
        let keys = map.iter_mut().map(|(key, value)| Ok((key.clone(), self.entry(key, value)? == taken)));
        let keys = keys.collect::<Result<Vec<_>>>()?.into_iter().filter(|(_, out)| *out);
        let mut out = Map::new();
        for (key, _) in keys {
            out.extend(map.remove(&key).map(|value| (key, value)));
        }
        Ok(out)
    }
}

/// Whether two values are equal, by what `==` says of them; of different types without an `==` they are not.
fn equal(context: &NativeCallContext, operation: &str, a: &mut Dynamic, b: &mut Dynamic) -> Result<bool> {
    let alike = a.type_id() == b.type_id();
    let answer = match context.call_native_fn_raw("==", true, &mut [a, b]) {
        Ok(answer) => answer,
        Err(error)
            if !alike && matches!(&*error, EvalAltResult::ErrorFunctionNotFound(name, _) if name.starts_with("==")) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    answer.as_bool().map_err(|_| {
        let kind = type_name(&answer);
        Error::new(operation, format!("== of the elements gives a value of type {kind}, not true or false"))
            .hint("say what counts as equal: |a, b| (a == b).all()")
    })
}

/// The array without elements that the one before them equals.
fn without_repeats(array: &Array, mut same: impl FnMut(&Dynamic, &Dynamic) -> Result<bool>) -> Result<Array> {
    let mut kept = Array::new();
    for item in array {
        if match kept.last() {
            Some(last) => !same(last, item)?,
            None => true,
        } {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

/// Adds the functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(script).into());
}

/// What scripts see. These are Rhai's functions; only what they do with a wrong answer differs.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{Predicate, equal, without_repeats};
    use crate::runtime::Script;
    use rhai::{Array, Dynamic, FnPtr, Map, NativeCallContext};

    #[rhai_fn(name = "filter", return_raw, pure)]
    pub fn filter(context: NativeCallContext, array: &mut Array, f: FnPtr) -> Script<Array> {
        let answers = Predicate::new(&context, "filter", f).answers(array)?;
        Ok(array.iter().zip(answers).filter(|(_, yes)| *yes).map(|(item, _)| item.clone()).collect())
    }

    #[rhai_fn(name = "some", return_raw, pure)]
    pub fn some(context: NativeCallContext, array: &mut Array, f: FnPtr) -> Script<bool> {
        Ok(Predicate::new(&context, "some", f).first(array, 0)?.is_some())
    }

    #[rhai_fn(name = "all", return_raw, pure)]
    pub fn all(context: NativeCallContext, array: &mut Array, f: FnPtr) -> Script<bool> {
        let predicate = Predicate::new(&context, "all", f);
        for (place, item) in array.iter_mut().enumerate() {
            if !predicate.item(place, item)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[rhai_fn(name = "find", return_raw, pure)]
    pub fn find(context: NativeCallContext, array: &mut Array, f: FnPtr) -> Script<Dynamic> {
        find_from(context, array, f, 0)
    }

    #[rhai_fn(name = "find", return_raw, pure)]
    pub fn find_from(context: NativeCallContext, array: &mut Array, f: FnPtr, start: i64) -> Script<Dynamic> {
        let place = Predicate::new(&context, "find", f).first(array, start)?;
        Ok(place.and_then(|place| array.get(place).cloned()).unwrap_or_default())
    }

    #[rhai_fn(name = "index_of", return_raw, pure)]
    pub fn index_of(context: NativeCallContext, array: &mut Array, f: FnPtr) -> Script<i64> {
        index_of_from(context, array, f, 0)
    }

    #[rhai_fn(name = "index_of", return_raw, pure)]
    pub fn index_of_from(context: NativeCallContext, array: &mut Array, f: FnPtr, start: i64) -> Script<i64> {
        let place = Predicate::new(&context, "index_of", f).first(array, start)?;
        Ok(place.map_or(-1, |place| place as i64))
    }

    #[rhai_fn(name = "drain", return_raw)]
    pub fn drain(context: NativeCallContext, array: &mut Array, f: FnPtr) -> Script<Array> {
        Ok(Predicate::new(&context, "drain", f).take(array, true)?)
    }

    #[rhai_fn(name = "retain", return_raw)]
    pub fn retain(context: NativeCallContext, array: &mut Array, f: FnPtr) -> Script<Array> {
        Ok(Predicate::new(&context, "retain", f).take(array, false)?)
    }

    #[rhai_fn(name = "dedup", return_raw)]
    pub fn dedup_by(context: NativeCallContext, array: &mut Array, f: FnPtr) -> Script<()> {
        let predicate = Predicate::new(&context, "dedup", f);
        *array = without_repeats(array, |a, b| predicate.pair(a, b))?;
        Ok(())
    }

    #[rhai_fn(name = "dedup", return_raw)]
    pub fn dedup(context: NativeCallContext, array: &mut Array) -> Script<()> {
        *array = without_repeats(array, |a, b| equal(&context, "dedup", &mut a.clone(), &mut b.clone()))?;
        Ok(())
    }

    #[rhai_fn(name = "filter", return_raw, pure)]
    pub fn filter_entries(context: NativeCallContext, map: &mut Map, f: FnPtr) -> Script<Map> {
        let mut rest = map.clone();
        Ok(Predicate::new(&context, "filter", f).take_entries(&mut rest, true)?)
    }

    #[rhai_fn(name = "drain", return_raw)]
    pub fn drain_entries(context: NativeCallContext, map: &mut Map, f: FnPtr) -> Script<Map> {
        Ok(Predicate::new(&context, "drain", f).take_entries(map, true)?)
    }

    #[rhai_fn(name = "retain", return_raw)]
    pub fn retain_entries(context: NativeCallContext, map: &mut Map, f: FnPtr) -> Script<Map> {
        Ok(Predicate::new(&context, "retain", f).take_entries(map, false)?)
    }

    #[rhai_fn(name = "contains", return_raw, pure)]
    pub fn contains(context: NativeCallContext, array: &mut Array, value: Dynamic) -> Script<bool> {
        for item in array {
            if equal(&context, "contains", item, &mut value.clone())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[rhai_fn(name = "==", return_raw, pure)]
    pub fn equals(context: NativeCallContext, array: &mut Array, other: Array) -> Script<bool> {
        if array.len() != other.len() {
            return Ok(false);
        }
        for (a, mut b) in array.iter_mut().zip(other) {
            if !equal(&context, "==", a, &mut b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[rhai_fn(name = "!=", return_raw, pure)]
    pub fn differs(context: NativeCallContext, array: &mut Array, other: Array) -> Script<bool> {
        Ok(!equals(context, array, other)?)
    }
}
