//! Creation of tensors from values, and of regular ones.

use super::dtype::{elements, host_bytes, is_float, kind_of, parse_kind, usable_device};
use super::range::{Fractions, Number, cast};
use crate::runtime::{At, Error, Options, Result, Run};
use crate::tensor::shape_errors::scalar;
use rhai::{Array, Dynamic, Map};
use tch::{Device, Kind};

/// Where a new tensor lives, and what its elements are.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The element type.
    pub kind: Kind,
    /// The device.
    pub device: Device,
}

impl Place {
    /// Reads `dtype` and `device`; what is not given is as in `otherwise`.
    ///
    /// # Errors
    /// Unknown names and other options.
    pub fn read(operation: &str, options: Map, otherwise: Self) -> Result<Self> {
        let mut options = Options::new(operation, options);
        let place = Self::take(operation, &mut options, otherwise)?;
        options.finish()?;
        Ok(place)
    }

    fn take(operation: &str, options: &mut Options, otherwise: Self) -> Result<Self> {
        let kind = options.maybe_text("dtype")?.map_or(Ok(otherwise.kind), |name| parse_kind(&name))?;
        let device =
            options.maybe_text("device")?.map_or(Ok(otherwise.device), |name| usable_device(operation, &name))?;
        Ok(Self { kind, device })
    }

    /// Kind and device as torch takes them.
    pub fn pair(self) -> (Kind, Device) {
        (self.kind, self.device)
    }
}

/// As `from_value`, with the element type and device asked for (floats are f32 by themselves).
fn placed(run: &Run, value: &Dynamic, options: Map) -> Result<tch::Tensor> {
    let tensor = super::plain::nested::from_value(value)?;
    let holds_tensors = super::plain::nested::contains_tensor(value);
    let natural = match kind_of(&tensor) {
        Kind::Double if !holds_tensors => Kind::Float,
        kind => kind,
    };
    let device = if holds_tensors { tensor.device() } else { run.device() };
    let place = Place::read("tensor", options, Place { kind: natural, device })?;
    let cast = cast("tensor", &tensor, place.kind, Fractions::Refused)?;
    if is_float(place.kind) && place.kind != kind_of(&tensor) {
        still_finite(&tensor, &cast)?;
    }
    cast.f_to_device(place.device).at("tensor")
}

/// Refuses values that became infinite because their new element type is too narrow.
fn still_finite(values: &tch::Tensor, cast: &tch::Tensor) -> Result<()> {
    let lost = cast.f_isinf().and_then(|infinite| infinite.f_logical_and(&values.f_isfinite()?)).at("tensor")?;
    let lost = values.f_masked_select(&lost).at("tensor")?;
    if lost.numel() == 0 {
        return Ok(());
    }
    let first = super::value::scalar(&lost.f_select(0, 0).at("tensor")?)?;
    Number::read("tensor", "an element", &first)?.fit("tensor", kind_of(cast)).map(drop)
}

/// A tensor filled with one value.
fn filled(operation: &str, shape: &Dynamic, value: Number, place: Place) -> Result<tch::Tensor> {
    let shape = super::dtype::shape_of(operation, shape)?;
    elements(operation, &shape, host_bytes(place.pair()))?;
    let value = value.fit(operation, place.kind)?;
    scalar(|| tch::Tensor::f_full(&shape, value, place.pair())).at(operation)
}

/// A value as `full` takes it, with the element type it has by itself.
fn fill_value(operation: &str, value: &Dynamic) -> Result<(Number, Kind)> {
    if let Ok(flag) = value.as_bool() {
        return Ok((Number::Int(flag.into()), Kind::Bool));
    }
    let number = Number::read(operation, "the value", value)?;
    Ok((number, if value.is_int() { Kind::Int64 } else { Kind::Float }))
}

/// A new tensor of the shape, element type and device of another, unless the options say otherwise.
fn like(operation: &str, tensor: &tch::Tensor, value: Number, options: Map) -> Result<tch::Tensor> {
    let place = Place::read(operation, options, Place { kind: kind_of(tensor), device: tensor.device() })?;
    let shape: Array = tensor.size().into_iter().map(Dynamic::from).collect();
    filled(operation, &shape.into(), value, place)
}

/// `arange(end)`, `arange(start, end)`, `arange(start, end, step)`, each with options behind.
fn arange(run: &Run, mut arguments: Vec<Dynamic>) -> Result<tch::Tensor> {
    const OPERATION: &str = "arange";
    let options = match arguments.last() {
        Some(last) if last.is_map() => arguments.pop().and_then(Dynamic::try_cast::<Map>).unwrap_or_default(),
        _ => Map::new(),
    };
    let whole = arguments.iter().all(Dynamic::is_int);
    let numbers: Result<Vec<Number>> =
        arguments.iter().map(|value| Number::read(OPERATION, "each bound", value)).collect();
    let (start, end, step) = match numbers?.as_slice() {
        [end] => (Number::Int(0), *end, Number::Int(1)),
        [start, end] => (*start, *end, Number::Int(1)),
        [start, end, step] => (*start, *end, *step),
        _ => return Err(Error::new(OPERATION, "takes an end, a start and an end, or a start, an end and a step")),
    };
    let count = ((end.float() - start.float()) / step.float()).ceil();
    if step.float() == 0.0 || !count.is_finite() || count < 0.0 {
        let message = format!("no steps of {step} lead from {start} to {end}");
        return Err(Error::new(OPERATION, message));
    }
    let kind = if whole { Kind::Int64 } else { Kind::Float };
    let place = Place::read(OPERATION, options, Place { kind, device: run.device() })?;
    elements(OPERATION, &[count as i64], host_bytes(place.pair()))?;
    if count == 0.0 {
        return tch::Tensor::f_empty([0], place.pair()).at(OPERATION);
    }
    let fits = |number: Number| number.fit(OPERATION, place.kind);
    if let (Number::Int(from), Number::Int(by), true) = (start, step, whole) {
        // The last one decides; the end itself is not among the values, and may be out of range.
        fits(start)?;
        fits(Number::Int(from.saturating_add(by.saturating_mul(count as i64 - 1))))?;
        let longs = (Kind::Int64, place.device);
        let values = scalar(|| tch::Tensor::f_arange_start_step(start, end, step, longs)).at(OPERATION)?;
        return values.f_to_kind(place.kind).at(OPERATION);
    }
    let (start, end, step) = (fits(start)?, fits(end)?, fits(step)?);
    scalar(|| tch::Tensor::f_arange_start_step(start, end, step, place.pair())).at(OPERATION)
}

/// f32 on the run's device.
fn floating(context: &rhai::NativeCallContext) -> Place {
    Place { kind: Kind::Float, device: Run::of(context).device() }
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::{Number, Place, filled, like, placed};
    use crate::runtime::{At, Run, Script};
    use rhai::{Dynamic, Map, NativeCallContext};

    type Tensor = crate::tensor::Tensor;

    /// A tensor of the values given: a number or boolean, or nested arrays of them. Integers give i64, floats f32, booleans bool.
    /// An array of tensors of one shape is stacked; a tensor is copied. Values that the dtype cannot hold are an error.
    ///
    /// # Signature
    /// tensor(values: array | int | float | bool | Tensor, #{ dtype: string, device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, by the values): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// let t = tensor([[1, 2, 3], [4, 5, 6]], #{ dtype: "f32" });
    /// assert(t.shape == [2, 3] && t.dtype == "f32" && t.sum().item() == 21.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn tensor(context: NativeCallContext, values: Dynamic) -> Script<Tensor> {
        Ok(placed(&Run::of(&context), &values, Map::new())?.into())
    }

    #[rhai_fn(name = "tensor", return_raw)]
    pub fn tensor_with(context: NativeCallContext, values: Dynamic, options: Map) -> Script<Tensor> {
        Ok(placed(&Run::of(&context), &values, options)?.into())
    }

    /// A tensor of zeros.
    ///
    /// # Signature
    /// zeros(shape: array | int, #{ dtype: string = "f32", device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, "f32"): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3]).sum().item() == 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn zeros(context: NativeCallContext, shape: Dynamic) -> Script<Tensor> {
        Ok(filled("zeros", &shape, Number::Int(0), super::floating(&context))?.into())
    }

    #[rhai_fn(name = "zeros", return_raw)]
    pub fn zeros_with(context: NativeCallContext, shape: Dynamic, options: Map) -> Script<Tensor> {
        Ok(filled("zeros", &shape, Number::Int(0), Place::read("zeros", options, super::floating(&context))?)?.into())
    }

    /// A tensor of ones.
    ///
    /// # Signature
    /// ones(shape: array | int, #{ dtype: string = "f32", device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, "f32"): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(ones([2, 3]).sum().item() == 6.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn ones(context: NativeCallContext, shape: Dynamic) -> Script<Tensor> {
        Ok(filled("ones", &shape, Number::Int(1), super::floating(&context))?.into())
    }

    #[rhai_fn(name = "ones", return_raw)]
    pub fn ones_with(context: NativeCallContext, shape: Dynamic, options: Map) -> Script<Tensor> {
        Ok(filled("ones", &shape, Number::Int(1), Place::read("ones", options, super::floating(&context))?)?.into())
    }

    /// A tensor filled with one value; its element type follows the value (float: f32, integer: i64).
    ///
    /// A value that the element type cannot hold is an error: a fraction among integers, a number beyond its range.
    ///
    /// # Signature
    /// full(shape: array | int, value: number | bool, #{ dtype: string, device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, by the value): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(full([2], 0.5) == tensor([0.5, 0.5]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn full(context: NativeCallContext, shape: Dynamic, value: Dynamic) -> Script<Tensor> {
        full_with(context, shape, value, Map::new())
    }

    #[rhai_fn(name = "full", return_raw)]
    pub fn full_with(context: NativeCallContext, shape: Dynamic, value: Dynamic, options: Map) -> Script<Tensor> {
        let (number, kind) = super::fill_value("full", &value)?;
        let natural = Place { kind, device: Run::of(&context).device() };
        Ok(filled("full", &shape, number, Place::read("full", options, natural)?)?.into())
    }

    /// Zeros of the shape, dtype and device of another tensor.
    ///
    /// # Signature
    /// zeros_like(tensor: Tensor, #{ dtype: string, device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, the tensor's): the element type
    /// - `device` (string, the tensor's): where the new tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros_like(tensor([1, 2])) == tensor([0, 0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn zeros_like(tensor: Tensor) -> Script<Tensor> {
        Ok(like("zeros_like", &tensor, Number::Int(0), Map::new())?.into())
    }

    #[rhai_fn(name = "zeros_like", return_raw)]
    pub fn zeros_like_with(tensor: Tensor, options: Map) -> Script<Tensor> {
        Ok(like("zeros_like", &tensor, Number::Int(0), options)?.into())
    }

    /// Ones of the shape, dtype and device of another tensor.
    ///
    /// # Signature
    /// ones_like(tensor: Tensor, #{ dtype: string, device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, the tensor's): the element type
    /// - `device` (string, the tensor's): where the new tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(ones_like(tensor([0.5, 2.0]), #{ dtype: "i64" }) == tensor([1, 1]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn ones_like(tensor: Tensor) -> Script<Tensor> {
        Ok(like("ones_like", &tensor, Number::Int(1), Map::new())?.into())
    }

    #[rhai_fn(name = "ones_like", return_raw)]
    pub fn ones_like_with(tensor: Tensor, options: Map) -> Script<Tensor> {
        Ok(like("ones_like", &tensor, Number::Int(1), options)?.into())
    }

    /// One value in the shape, dtype and device of another tensor.
    ///
    /// # Signature
    /// full_like(tensor: Tensor, value: number | bool, #{ dtype: string, device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, the tensor's): the element type
    /// - `device` (string, the tensor's): where the new tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(full_like(tensor([0.0, 1.0]), 3) == tensor([3.0, 3.0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn full_like(tensor: Tensor, value: Dynamic) -> Script<Tensor> {
        full_like_with(tensor, value, Map::new())
    }

    #[rhai_fn(name = "full_like", return_raw)]
    pub fn full_like_with(tensor: Tensor, value: Dynamic, options: Map) -> Script<Tensor> {
        let (number, _) = super::fill_value("full_like", &value)?;
        Ok(like("full_like", &tensor, number, options)?.into())
    }

    /// The identity matrix of size n.
    ///
    /// # Signature
    /// eye(n: int, #{ dtype: string = "f32", device: string }) -> Tensor[n, n]
    ///
    /// # Options
    /// - `dtype` (string, "f32"): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(eye(2) == tensor([[1.0, 0.0], [0.0, 1.0]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn eye(context: NativeCallContext, n: i64) -> Script<Tensor> {
        eye_with(context, n, Map::new())
    }

    #[rhai_fn(name = "eye", return_raw)]
    pub fn eye_with(context: NativeCallContext, n: i64, options: Map) -> Script<Tensor> {
        let place = Place::read("eye", options, super::floating(&context))?;
        super::elements("eye", &[n, n], super::host_bytes(place.pair()))?;
        Ok(tch::Tensor::f_eye(n, place.pair()).at("eye")?.into())
    }

    /// `steps` values at equal distances from `start` to `end`, both included.
    ///
    /// # Signature
    /// linspace(start: number, end: number, steps: int, #{ dtype: string = "f32", device: string }) -> Tensor[steps]
    ///
    /// # Options
    /// - `dtype` (string, "f32"): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(linspace(0, 1, 3) == tensor([0.0, 0.5, 1.0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn linspace(context: NativeCallContext, start: Dynamic, end: Dynamic, steps: i64) -> Script<Tensor> {
        linspace_with(context, start, end, steps, Map::new())
    }

    #[rhai_fn(name = "linspace", return_raw)]
    pub fn linspace_with(
        context: NativeCallContext,
        start: Dynamic,
        end: Dynamic,
        steps: i64,
        options: Map,
    ) -> Script<Tensor> {
        let place = Place::read("linspace", options, super::floating(&context))?;
        let start = Number::read("linspace", "the start", &start)?.fit("linspace", place.kind)?;
        let end = Number::read("linspace", "the end", &end)?.fit("linspace", place.kind)?;
        if !start.float().is_finite() || !end.float().is_finite() {
            let message = format!("start and end must be finite numbers, got {start} and {end}");
            return Err(Error::new("linspace", message).into());
        }
        super::elements("linspace", &[steps], super::host_bytes(place.pair()))?;
        Ok(super::scalar(|| tch::Tensor::f_linspace(start, end, steps, place.pair())).at("linspace")?.into())
    }

    /// Values from `start` (0) to below `end` in steps of `step` (1): i64 when all bounds are integers, else f32.
    ///
    /// # Signature
    /// arange([start: number,] end: number[, step: number], #{ dtype: string, device: string }) -> Tensor[n]
    ///
    /// # Options
    /// - `dtype` (string, by the bounds): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// assert(arange(3) == tensor([0, 1, 2]));
    /// assert(arange(1, 2, 0.5) == tensor([1.0, 1.5]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn arange(context: NativeCallContext, end: Dynamic) -> Script<Tensor> {
        Ok(super::arange(&Run::of(&context), vec![end])?.into())
    }

    #[rhai_fn(name = "arange", return_raw)]
    pub fn arange_2(context: NativeCallContext, start: Dynamic, end: Dynamic) -> Script<Tensor> {
        Ok(super::arange(&Run::of(&context), vec![start, end])?.into())
    }

    #[rhai_fn(name = "arange", return_raw)]
    pub fn arange_3(context: NativeCallContext, start: Dynamic, end: Dynamic, step: Dynamic) -> Script<Tensor> {
        Ok(super::arange(&Run::of(&context), vec![start, end, step])?.into())
    }

    #[rhai_fn(name = "arange", return_raw)]
    pub fn arange_4(
        context: NativeCallContext,
        start: Dynamic,
        end: Dynamic,
        step: Dynamic,
        options: Map,
    ) -> Script<Tensor> {
        Ok(super::arange(&Run::of(&context), vec![start, end, step, options.into()])?.into())
    }
}
