//! Indexing and slicing, for reading and for writing.

use super::dtype::{kind_name, kind_of};
use super::range::{Fractions, Number, cast};
use super::value::Tensor;
use crate::runtime::options::{as_integer, describe};
use crate::runtime::{At, Error, Result};
use crate::tensor::plain::nested::from_value;
use crate::tensor::shape_errors::{in_range, same_device, scalar};
use rhai::{Array, Dynamic};
use std::ops::{Range, RangeInclusive};
use tch::Kind;

/// One place of an index: what it does to one dimension (a mask: to as many as it has).
#[derive(Debug)]
enum Place {
    At(i64),
    Slice(i64, i64),
    Chosen(tch::Tensor),
}

/// Where an index leads: a view by integers and ranges, then a choice by index tensors and masks (if any).
struct Target {
    view: tch::Tensor,
    chosen: Vec<Option<tch::Tensor>>,
}

/// The elements at an index: an integer, a range, an index tensor, a mask, or an array mixing these, one a dimension.
///
/// # Errors
/// Integers out of range, too many places, element types that cannot index.
pub fn get(tensor: &tch::Tensor, index: &Dynamic) -> Result<tch::Tensor> {
    // The usual case, without the detour.
    if let Ok(position) = index.as_int() {
        return tensor.f_select(0, position_in(tensor, 0, position)?).at("index");
    }
    let target = locate(tensor, index)?;
    if target.chosen.is_empty() {
        return Ok(target.view);
    }
    target.view.f_index(&target.chosen).map_err(|error| explain(&target, &error))
}

/// Writes a number, a tensor or an array to the elements at an index; it broadcasts to their shape.
///
/// # Errors
/// As `get`; values whose shape does not fit; fractions for integer tensors.
pub fn set(tensor: &tch::Tensor, index: &Dynamic, value: &Dynamic) -> Result<()> {
    let mut target = locate(tensor, index)?;
    let number = scalar_for(tensor, value)?;
    if target.chosen.is_empty() {
        if let Some(number) = number {
            return scalar(|| target.view.f_fill_(number)).at("index").map_err(leaf).map(drop);
        }
        let values = values_for(tensor, value)?;
        fits(&values.size(), &target.view.size())?;
        return target.view.f_copy_(&values).at("index").map_err(leaf);
    }
    let values = match number {
        Some(number) => number.element("index", kind_of(tensor))?.f_to_device(tensor.device()).at("index")?,
        None => values_for(tensor, value)?,
    };
    let chosen = std::mem::take(&mut target.chosen);
    match target.view.f_index_put_(&chosen, &values, false) {
        Ok(_) => Ok(()),
        Err(error) => {
            target.chosen = chosen;
            Err(leaf(explain(&target, &error)))
        }
    }
}

/// Says how to write to a leaf that wants gradients.
fn leaf(error: Error) -> Error {
    if error.to_string().contains("leaf Variable") {
        return Error::new("index", "a tensor that requires gradients cannot be written to in place")
            .hint("write inside no_grad { }, or to its detach()");
    }
    error
}

/// Torch's words for a failed lookup, replaced where the index values tell more.
fn explain(target: &Target, error: &tch::TchError) -> Error {
    let shape = target.view.size();
    for (dim, index) in target.chosen.iter().enumerate() {
        let Some(index) = index else { continue };
        // Places shift behind masks of several dimensions, whose sizes were checked before.
        if kind_of(index) == Kind::Bool {
            break;
        }
        let size = shape.get(dim).copied().unwrap_or(0);
        if let Err(clear) = in_range("index", index, size, &format!("dimension {dim}")) {
            return clear;
        }
    }
    let shapes: Vec<_> = target.chosen.iter().flatten().map(tch::Tensor::size).collect();
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().trim_start_matches("Internal torch error: ").to_string();
    Error::new("index", line).note(format!("shapes: tensor {shape:?}, indices {shapes:?}"))
}

fn fits(from: &[i64], to: &[i64]) -> Result<()> {
    let fits = super::shape_errors::broadcast("index", from, to).is_ok_and(|shape| shape == to);
    // Torch drops leading dimensions of size 1 as well.
    let trimmed: Vec<i64> = from.iter().copied().skip_while(|size| *size == 1).collect();
    if fits || super::shape_errors::broadcast("index", &trimmed, to).is_ok_and(|shape| shape == to) {
        return Ok(());
    }
    Err(Error::new("index", format!("values of shape {from:?} do not fit the {to:?} elements they are written to")))
}

/// A value to be written as one number, if it is one.
fn scalar_for(tensor: &tch::Tensor, value: &Dynamic) -> Result<Option<Number>> {
    match Number::or_truth("index", "the value", value) {
        Ok(number) => number.fit("index", kind_of(tensor)).map(Some),
        Err(_) => Ok(None),
    }
}

fn values_for(tensor: &tch::Tensor, value: &Dynamic) -> Result<tch::Tensor> {
    let values = match value.read_lock::<Tensor>() {
        Some(values) => values.shallow_clone(),
        None if value.is_array() => from_value(value)?.f_to_device(tensor.device()).at("index")?,
        None => {
            let message = format!("only numbers, tensors and arrays can be stored, got {}", describe(value));
            return Err(Error::new("index", message));
        }
    };
    if values.dim() > 0 {
        same_device("index", tensor, &values)?;
    }
    cast("index", &values, kind_of(tensor), Fractions::Refused)
}

fn locate(tensor: &tch::Tensor, index: &Dynamic) -> Result<Target> {
    let mut places = vec![];
    match index.read_lock::<Array>() {
        Some(items) => {
            for item in items.iter() {
                places.push(place(tensor, item, true)?);
            }
        }
        None => places.push(place(tensor, index, false)?),
    }
    let mut target = Target { view: tensor.shallow_clone(), chosen: vec![] };
    let (mut dim, mut any) = (0_i64, false);
    for place in places {
        match place {
            Place::At(position) => {
                let position = position_in(&target.view, dim, position)?;
                target.view = target.view.f_select(dim, position).at("index")?;
            }
            Place::Slice(start, end) => {
                let size = size_of(&target.view, dim)?;
                let (start, length) = bounds(start, end, size);
                target.view = target.view.f_narrow(dim, start, length).at("index")?;
                target.chosen.push(None);
                dim += 1;
            }
            Place::Chosen(chosen) => {
                let width = check_chosen(&target.view, dim, &chosen)?;
                target.chosen.push(Some(chosen));
                any = true;
                dim += width;
            }
        }
    }
    if !any {
        target.chosen.clear();
    }
    Ok(target)
}

/// Start and length of a slice; bounds below zero count from the end, others are cut to the size, as in Python.
fn bounds(start: i64, end: i64, size: i64) -> (i64, i64) {
    let from_end = |bound: i64| if bound < 0 { bound.saturating_add(size) } else { bound };
    let (start, end) = (from_end(start).clamp(0, size), from_end(end).clamp(0, size));
    (start, (end - start).max(0))
}

fn size_of(tensor: &tch::Tensor, dim: i64) -> Result<i64> {
    let shape = tensor.size();
    let size = usize::try_from(dim).ok().and_then(|dim| shape.get(dim).copied());
    size.ok_or_else(|| {
        let message = "more places than the tensor has dimensions";
        Error::new("index", message).hint("t.shape tells the dimensions; integers remove one each")
    })
}

fn position_in(tensor: &tch::Tensor, dim: i64, position: i64) -> Result<i64> {
    if tensor.dim() == 0 && dim == 0 {
        return Err(Error::new("index", "a tensor of rank 0 has nothing to index").hint("item() gives its value"));
    }
    let size = size_of(tensor, dim)?;
    if (-size..size).contains(&position) {
        return Ok(position);
    }
    Err(Error::new(
        "index",
        format!("{position} is out of range for dimension of size {size} in shape {:?}", tensor.size()),
    ))
}

/// Checks an index tensor or mask and tells how many dimensions it takes.
fn check_chosen(view: &tch::Tensor, dim: i64, chosen: &tch::Tensor) -> Result<i64> {
    if kind_of(chosen) != Kind::Bool {
        size_of(view, dim)?;
        return Ok(1);
    }
    let shape = view.size();
    let covered = shape.get(usize::try_from(dim).unwrap_or(0)..).unwrap_or_default();
    if covered.starts_with(&chosen.size()) {
        return Ok(chosen.dim() as i64);
    }
    let message = format!("a mask of shape {:?} does not fit the dimensions {covered:?}", chosen.size());
    Err(Error::new("index", message))
}

/// One place; inside a multi-index an array is a list of positions.
fn place(tensor: &tch::Tensor, value: &Dynamic, nested: bool) -> Result<Place> {
    if let Ok(position) = value.as_int() {
        return Ok(Place::At(position));
    }
    if let Some(range) = value.read_lock::<Range<i64>>() {
        return Ok(Place::Slice(range.start, range.end));
    }
    if let Some(range) = value.read_lock::<RangeInclusive<i64>>() {
        // -1 as the last one means the end, which no exclusive bound below zero can say.
        let end = if *range.end() == -1 { i64::MAX } else { range.end().saturating_add(1) };
        return Ok(Place::Slice(*range.start(), end));
    }
    if let Some(chosen) = value.read_lock::<Tensor>() {
        return index_tensor("index", &chosen, tensor).map(Place::Chosen);
    }
    if nested && value.is_array() {
        return positions("index", value, tensor).map(Place::Chosen);
    }
    let message = format!("places are integers, ranges, index tensors or masks, got {}", describe(value));
    Err(Error::new("index", message))
}

/// An index tensor as torch wants it: i64 or a mask, on the device of what it indexes.
fn index_tensor(operation: &str, index: &tch::Tensor, of: &tch::Tensor) -> Result<tch::Tensor> {
    let index = match kind_of(index) {
        Kind::Int64 | Kind::Bool => index.shallow_clone(),
        Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8 => index.f_to_kind(Kind::Int64).at(operation)?,
        kind => {
            let message = format!("index tensors hold integers or booleans, got {}", kind_name(kind));
            return Err(Error::new(operation, message).hint("convert it with .to(\"i64\")"));
        }
    };
    index.f_to_device(of.device()).at(operation)
}

/// An index tensor from a tensor of integers or an array of them, on the device of what it indexes.
///
/// # Errors
/// Other element types, masks, anything else.
pub fn positions(operation: &str, value: &Dynamic, of: &tch::Tensor) -> Result<tch::Tensor> {
    if let Some(index) = value.read_lock::<Tensor>() {
        if kind_of(&index) == Kind::Bool {
            let message = "needs integers, got a mask";
            return Err(Error::new(operation, message).hint("masked_select takes masks"));
        }
        return index_tensor(operation, &index, of);
    }
    let wrong =
        || Error::new(operation, format!("needs an index tensor or an array of integers, got {}", describe(value)));
    let items = value.read_lock::<Array>().ok_or_else(wrong)?;
    let nested = items.iter().any(Dynamic::is_array);
    let index = if nested || items.iter().any(Dynamic::is_bool) {
        from_value(value)?
    } else {
        let integers: Option<Vec<i64>> = items.iter().map(as_integer).collect();
        tch::Tensor::f_from_slice(&integers.ok_or_else(wrong)?).at(operation)?
    };
    index_tensor(operation, &index, of)
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::runtime::Script;
    use rhai::{Dynamic, EvalAltResult, Position};

    type Tensor = crate::tensor::Tensor;

    /// The elements at an index: an integer (from the end when negative), a range (cut to the size; bounds below zero count
    /// from the end), an index tensor, a mask, or an array of these, one a dimension; inside it an array is a list of
    /// positions. Integers and ranges give views that share storage, the others copies.
    ///
    /// # Signature
    /// tensor[index: int | range | Tensor | array] -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let t = arange(12).reshape([3, 4]);
    /// assert(t[-1] == tensor([8, 9, 10, 11]));
    /// assert(t[[1, 0..2]] == tensor([4, 5]));
    /// assert(t[t > 9] == tensor([10, 11]));
    /// assert(t[[[0, 2], 3]] == tensor([3, 11]));
    /// ```
    #[rhai_fn(index_get, pure, return_raw)]
    pub fn at(tensor: &mut Tensor, index: Dynamic) -> Script<Tensor> {
        if index.is_string() {
            // Rhai takes a property that it does not know for an index.
            let message = format!("Unknown property '{index}' - a getter is not registered for type 'Tensor'");
            return Err(EvalAltResult::ErrorDotExpr(message, Position::NONE).into());
        }
        Ok(super::get(tensor, &index)?.into())
    }

    #[rhai_fn(index_set, return_raw)]
    pub fn put(tensor: &mut Tensor, index: Dynamic, value: Dynamic) -> Script<()> {
        Ok(super::set(tensor, &index, &value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tch::Device;

    proptest! {
        #[test]
        fn slices_are_those_of_python(start in -7_i64..7, end in -7_i64..7, size in 0_i64..5) {
            let all: Vec<i64> = (0..size).collect();
            let clip = |bound: i64| (if bound < 0 { (bound + size).max(0) } else { bound.min(size) }) as usize;
            let expected = all.get(clip(start)..clip(end)).unwrap_or_default();
            let tensor = tch::Tensor::arange(size, (Kind::Int64, Device::Cpu));
            let got = get(&tensor, &Dynamic::from(start..end)).unwrap();
            prop_assert_eq!(crate::tensor::value::integers(&got).unwrap(), expected);
        }

        #[test]
        fn what_was_written_is_read(row in -3_i64..3, column in -4_i64..4, value in -9_i64..9) {
            let tensor = tch::Tensor::zeros([3, 4], (Kind::Int64, Device::Cpu));
            let index = Dynamic::from(vec![Dynamic::from(row), Dynamic::from(column)]);
            set(&tensor, &index, &value.into()).unwrap();
            prop_assert_eq!(get(&tensor, &index).unwrap().int64_value(&[]), value);
            prop_assert_eq!(tensor.sum(Kind::Int64).int64_value(&[]), value);
        }
    }

    #[test]
    fn positions_out_of_range_are_named() {
        let tensor = tch::Tensor::zeros([3, 4], (Kind::Float, Device::Cpu));
        let error = get(&tensor, &3_i64.into()).unwrap_err().to_string();
        assert_eq!(error, "index: 3 is out of range for dimension of size 3 in shape [3, 4]");
        let list = Tensor::from(tch::Tensor::from_slice(&[0_i64, 5]));
        let error = get(&tensor, &Dynamic::from(list)).unwrap_err().to_string();
        assert_eq!(error, "index: index 5 is out of range for dimension 0 (size 3)");
    }
}
