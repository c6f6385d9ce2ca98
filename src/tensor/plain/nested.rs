//! Tensors from nested arrays.

use crate::runtime::options::describe;
use crate::runtime::{At, Error, Result};
use crate::tensor::value::Tensor;
use rhai::{Array, Dynamic};
use tch::Kind;

/// The elements of nested arrays, read before anything is allocated.
enum Flat {
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
}

/// A tensor of nested arrays of numbers or booleans, or of one of them. Arrays that hold tensors are stacked.
///
/// # Errors
/// Ragged arrays, and elements that are no numbers.
pub fn from_value(value: &Dynamic) -> Result<tch::Tensor> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return crate::tensor::value::deep_copy(&tensor);
    }
    if let Some(items) = value.read_lock::<Array>() {
        if items.iter().any(|item| item.is::<Tensor>()) {
            return stack_values(&items);
        }
        if items.iter().any(|item| item.is_array()) && contains_tensor(value) {
            let rows: Result<Vec<_>> = items.iter().map(from_value).collect();
            return stack_same(&rows?);
        }
    }
    let mut shape = vec![];
    measure(value, &mut shape);
    let mut flat: Option<Flat> = None;
    fill(value, &shape, 0, &mut flat)?;
    let (tensor, natural) = match &flat {
        None => (tch::Tensor::f_from_slice::<f64>(&[]), Kind::Float),
        Some(Flat::Ints(values)) => (tch::Tensor::f_from_slice(values), Kind::Int64),
        Some(Flat::Floats(values)) => (tch::Tensor::f_from_slice(values), Kind::Double),
        Some(Flat::Bools(values)) => (tch::Tensor::f_from_slice(values), Kind::Bool),
    };
    tensor.and_then(|t| t.f_to_kind(natural)).and_then(|t| t.f_reshape(&shape)).at("tensor")
}

/// Whether a tensor is somewhere inside nested arrays.
pub fn contains_tensor(value: &Dynamic) -> bool {
    match value.read_lock::<Array>() {
        Some(items) => items.iter().any(contains_tensor),
        None => value.is::<Tensor>(),
    }
}

fn stack_values(items: &[Dynamic]) -> Result<tch::Tensor> {
    let mut tensors = Vec::with_capacity(items.len());
    for item in items {
        // Not copied, so that gradients flow through `tensor([loss, penalty])`.
        tensors.push(match item.read_lock::<Tensor>() {
            Some(tensor) => tensor.shallow_clone(),
            None => from_value(item)?,
        });
    }
    stack_same(&tensors)
}

fn stack_same(tensors: &[tch::Tensor]) -> Result<tch::Tensor> {
    let shapes: Vec<_> = tensors.iter().map(tch::Tensor::size).collect();
    if let Some(odd) = shapes.iter().position(|shape| Some(shape) != shapes.first()) {
        let message = format!("element 0 has shape {:?}, element {odd} has shape {:?}", shapes[0], shapes[odd]);
        return Err(Error::new("tensor", message).hint("all tensors of one array must have the same shape"));
    }
    tch::Tensor::f_stack(tensors, 0).at("tensor")
}

/// The shape told by the first element of each nesting.
fn measure(value: &Dynamic, shape: &mut Vec<i64>) {
    if let Some(items) = value.read_lock::<Array>() {
        shape.push(items.len() as i64);
        if let Some(first) = items.first() {
            measure(first, shape);
        }
    }
}

fn fill(value: &Dynamic, shape: &[i64], depth: usize, flat: &mut Option<Flat>) -> Result<()> {
    let ragged = |what: String| {
        let message =
            format!("ragged array: {what} at depth {depth}, where the first elements tell the shape {shape:?}");
        Error::new("tensor", message)
    };
    match (value.read_lock::<Array>(), shape.get(depth)) {
        (Some(items), Some(size)) if items.len() as i64 == *size => {
            items.iter().try_for_each(|item| fill(item, shape, depth + 1, flat))
        }
        (Some(items), Some(_)) => Err(ragged(format!("{} elements", items.len()))),
        (Some(_), None) => Err(ragged("an array".into())),
        (None, Some(_)) => Err(ragged(describe(value))),
        (None, None) => push(value, flat),
    }
}

/// Adds one element; a float among integers makes all of them floats.
fn push(value: &Dynamic, flat: &mut Option<Flat>) -> Result<()> {
    let wrong = |what: &str| Error::new("tensor", format!("elements must be {what}, got {}", describe(value)));
    if let (Some(Flat::Ints(values)), true) = (&*flat, value.is_float()) {
        *flat = Some(Flat::Floats(values.iter().map(|v| *v as f64).collect()));
    }
    match (&mut *flat, value.as_int(), value.as_float(), value.as_bool()) {
        (Some(Flat::Ints(values)), Ok(x), _, _) => values.push(x),
        (Some(Flat::Floats(values)), Ok(x), _, _) => values.push(x as f64),
        (Some(Flat::Floats(values)), _, Ok(x), _) => values.push(x),
        (Some(Flat::Bools(values)), _, _, Ok(x)) => values.push(x),
        (Some(Flat::Bools(_)), ..) => return Err(wrong("all booleans")),
        (Some(_), ..) => return Err(wrong("all numbers")),
        (None, Ok(x), _, _) => *flat = Some(Flat::Ints(vec![x])),
        (None, _, Ok(x), _) => *flat = Some(Flat::Floats(vec![x])),
        (None, _, _, Ok(x)) => *flat = Some(Flat::Bools(vec![x])),
        (None, ..) => return Err(wrong("numbers or booleans")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(script: &str) -> Result<tch::Tensor> {
        from_value(&rhai::Engine::new_raw().eval_expression::<Dynamic>(script).unwrap())
    }

    #[test]
    fn the_values_decide_shape_and_element_type() {
        let shape_and_kind = |script: &str| read(script).map(|t| (t.size(), t.kind())).unwrap();
        assert_eq!(shape_and_kind("[[1, 2], [3, 4], [5, 6]]"), (vec![3, 2], Kind::Int64));
        assert_eq!(shape_and_kind("[1, 2.5]"), (vec![2], Kind::Double));
        assert_eq!(shape_and_kind("[[[true]]]"), (vec![1, 1, 1], Kind::Bool));
        assert_eq!(shape_and_kind("7"), (vec![], Kind::Int64));
        assert_eq!(shape_and_kind("[[], []]"), (vec![2, 0], Kind::Float));
    }

    #[test]
    fn ragged_and_mixed_arrays_are_errors() {
        for script in ["[[1, 2], [3]]", "[[1], 2]", "[1, [2]]", "[1, true]", "[true, 0.5]", "[\"a\"]", "()"] {
            assert!(read(script).is_err(), "{script} was accepted");
        }
        let error = read("[[1, 2], [3]]").unwrap_err().to_string();
        assert!(error.starts_with("tensor: ragged array: 1 elements at depth 1"), "{error}");
    }
}
