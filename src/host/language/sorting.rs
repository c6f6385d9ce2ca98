//! Sorting of arrays: orders are total or an error. Rhai's own functions leave arrays half sorted when a comparison fails.

use crate::runtime::options::{as_number, describe, type_name};
use crate::runtime::{Error, Result};
use rhai::{Array, Dynamic, FnPtr, NativeCallContext};
use std::cmp::Ordering;

/// How two elements stand to each other.
type Compare<'a> = dyn FnMut(&Dynamic, &Dynamic) -> Result<Ordering> + 'a;

/// The array in the order of `compare`; equal elements stay in theirs.
fn sorted(items: &Array, compare: &mut Compare) -> Result<Array> {
    if items.len() < 2 {
        return Ok(items.clone());
    }
    let (left, right) = items.split_at(items.len() / 2);
    let (left, right) = (sorted(&left.to_vec(), compare)?, sorted(&right.to_vec(), compare)?);
    let mut merged = Array::with_capacity(items.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if compare(a, b)?.is_gt() { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left.chain(right));
    Ok(merged)
}

/// The array in the order a script function gives.
///
/// # Errors
/// Those of the function; answers that are no order.
pub fn sorted_by(context: &NativeCallContext, operation: &str, items: &Array, comparer: &FnPtr) -> Result<Array> {
    let mut compare = |a: &Dynamic, b: &Dynamic| answered(context, operation, comparer, a, b);
    let order = sorted(items, &mut compare)?;
    for pair in order.windows(2) {
        let [a, b] = pair else { continue };
        let (there, back) = (compare(a, b)?, compare(b, a)?);
        if there.is_gt() || there != back.reverse() {
            return Err(Error::new(operation, "the comparing function contradicts itself, so that there is no order")
                .hint("|a, b| a - b for numbers: below 0 where a comes first, 0 where they are equal, above 0 else"));
        }
    }
    Ok(order)
}

/// What a script function says of two elements.
fn answered(context: &NativeCallContext, operation: &str, f: &FnPtr, a: &Dynamic, b: &Dynamic) -> Result<Ordering> {
    let ask =
        |a: &Dynamic, b: &Dynamic| f.call_raw(context, None, [a.clone(), b.clone()]).map(|answer| answer.flatten());
    let answer = ask(a, b)?;
    if let Ok(before) = answer.as_bool() {
        // Both `a < b` and `a <= b` are written: only the other way round tells what is equal.
        let back = ask(b, a)?;
        let after = back.as_bool().map_err(|_| unusable(operation, &back))?;
        return Ok(after.cmp(&before));
    }
    let order = as_number(&answer).and_then(|number| number.partial_cmp(&0.0));
    order.ok_or_else(|| unusable(operation, &answer))
}

/// The error of an answer that tells no order.
fn unusable(operation: &str, answer: &Dynamic) -> Error {
    let message = format!("the comparing function must return a number or true or false, got {}", describe(answer));
    Error::new(operation, message).hint("below 0 where a comes first, 0 where they are equal, above 0 else")
}

/// The array in its natural order.
///
/// # Errors
/// Elements that have none: of different types, not a number, of another type than numbers, texts and booleans.
pub fn naturally(operation: &str, items: &Array, descending: bool) -> Result<Array> {
    let numbers = items.iter().all(|item| as_number(&item.flatten_clone()).is_some());
    let undefined = items.iter().filter(|item| item.flatten_clone().as_float().is_ok_and(f64::is_nan)).count();
    if numbers && undefined > 0 {
        let message = format!("{undefined} of {} elements are NaN, which has no place in an order", items.len());
        return Err(Error::new(operation, message).hint("take them out first: a.filter(|x| !x.is_nan())"));
    }
    sorted(items, &mut |a, b| {
        let order = natural(&a.flatten_clone(), &b.flatten_clone());
        let order = order.ok_or_else(|| unordered(operation, a, b))?;
        Ok(if descending { order.reverse() } else { order })
    })
}

fn unordered(operation: &str, a: &Dynamic, b: &Dynamic) -> Error {
    let (a, b) = (type_name(a), type_name(b));
    let message = if a == b {
        format!("elements of type {a} have no order")
    } else {
        format!("elements of type {a} and {b} have no common order")
    };
    Error::new(operation, message).hint("give a function: a.sort(|a, b| a.score - b.score)")
}

fn natural(a: &Dynamic, b: &Dynamic) -> Option<Ordering> {
    if let (Ok(a), Ok(b)) = (a.as_int(), b.as_int()) {
        return Some(a.cmp(&b));
    }
    if let (Some(a), Some(b)) = (as_number(a), as_number(b)) {
        return a.partial_cmp(&b);
    }
    if let (Ok(a), Ok(b)) = (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
        return Some(a.cmp(&b));
    }
    if let (Ok(a), Ok(b)) = (a.as_char(), b.as_char()) {
        return Some(a.cmp(&b));
    }
    if let (Ok(a), Ok(b)) = (a.as_bool(), b.as_bool()) {
        return Some(a.cmp(&b));
    }
    (a.is_unit() && b.is_unit()).then_some(Ordering::Equal)
}

/// Adds the functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(script).into());
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{naturally, sorted_by};
    use crate::runtime::Script;
    use rhai::{Array, FnPtr, NativeCallContext};

    /// Sorts an array in place: numbers, texts or booleans by themselves, anything by a function of two elements. The function
    /// returns a number (below 0 where the first comes first), or whether the first comes first. Equal elements keep their
    /// order; `order` returns a sorted copy instead.
    ///
    /// Errors: those of the function, after which the array is as it was; NaN among the numbers; elements, or answers, that
    /// make no order.
    ///
    /// # Signature
    /// array.sort(compare: function = ())
    ///
    /// # Example
    /// ```rhai
    /// let rows = [#{ score: 0.7 }, #{ score: 0.2 }];
    /// rows.sort(|a, b| a.score - b.score);
    /// assert(rows[0].score == 0.2);
    /// ```
    #[rhai_fn(name = "sort", name = "sort_by", return_raw)]
    pub fn sort(context: NativeCallContext, array: &mut Array, compare: FnPtr) -> Script<()> {
        *array = sorted_by(&context, "sort", array, &compare)?;
        Ok(())
    }

    #[rhai_fn(name = "sort", return_raw)]
    pub fn sort_naturally(array: &mut Array) -> Script<()> {
        *array = naturally("sort", array, false)?;
        Ok(())
    }

    #[rhai_fn(name = "sort_desc", return_raw)]
    pub fn sort_descending(array: &mut Array) -> Script<()> {
        *array = naturally("sort_desc", array, true)?;
        Ok(())
    }

    /// A sorted copy of an array, by itself or by a function of two elements, as `sort` sorts in place.
    ///
    /// # Signature
    /// array.order(compare: function = ()) -> array
    ///
    /// # Example
    /// ```rhai
    /// let a = [3, 1, 2];
    /// assert(a.order() == [1, 2, 3] && a.order(|a, b| b - a) == [3, 2, 1] && a == [3, 1, 2]);
    /// ```
    #[rhai_fn(name = "order", name = "order_by", return_raw, pure)]
    pub fn order(context: NativeCallContext, array: &mut Array, compare: FnPtr) -> Script<Array> {
        Ok(sorted_by(&context, "order", array, &compare)?)
    }

    #[rhai_fn(name = "order", return_raw, pure)]
    pub fn order_naturally(array: &mut Array) -> Script<Array> {
        Ok(naturally("order", array, false)?)
    }

    #[rhai_fn(name = "order_desc", return_raw, pure)]
    pub fn order_descending(array: &mut Array) -> Script<Array> {
        Ok(naturally("order_desc", array, true)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(items: &[f64]) -> Array {
        items.iter().map(|x| Dynamic::from(*x)).collect()
    }

    #[test]
    fn sorting_is_stable_and_a_failure_ends_it() {
        let mut items: Array =
            (0..50_i64).map(|i| Dynamic::from(vec![Dynamic::from(i % 3), Dynamic::from(i)])).collect();
        let key = |item: &Dynamic, place: usize| item.read_lock::<Array>().unwrap()[place].as_int().unwrap();
        items = sorted(&items, &mut |a, b| Ok(key(a, 0).cmp(&key(b, 0)))).unwrap();
        let pairs: Vec<_> = items.iter().map(|item| (key(item, 0), key(item, 1))).collect();
        assert!(pairs.is_sorted(), "{pairs:?}");
        assert!(sorted(&items, &mut |_, _| Err(Error::new("sort", "no"))).is_err());
    }

    #[test]
    fn what_has_no_order_is_refused() {
        let says = |items: &Array| naturally("sort", items, false).unwrap_err().to_string();
        assert_eq!(
            says(&array(&[2.0, f64::NAN, 1.0])),
            "sort: 1 of 3 elements are NaN, which has no place in an order"
        );
        assert!(says(&vec![1_i64.into(), "a".into()]).contains("no common order"));
        assert!(says(&vec![Dynamic::from_map(rhai::Map::new()); 2]).contains("of type map have no order"));
        let mixed = naturally("sort", &vec![2_i64.into(), 1.5.into()], false).unwrap();
        assert_eq!(mixed[0].as_float(), Ok(1.5));
    }
}
