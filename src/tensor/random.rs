//! Random tensors, drawn on the host by the run's own generator: equal on every device.

use super::create::Place;
use super::dtype::{elements, kind_of, shape_of};
use super::range::Number;
use crate::runtime::{At, Error, Result, Run, Stream, interrupt};
use rhai::{Dynamic, Map};
use tch::{Device, Kind};

/// Even, so that normals drawn in pieces are those drawn at once.
const PIECE: usize = 1 << 20;

/// `count` values drawn in pieces, interruptible.
fn draw<T>(operation: &str, count: usize, mut piece: impl FnMut(usize) -> Vec<T>) -> Result<Vec<T>> {
    let mut values = Vec::new();
    if values.try_reserve_exact(count).is_err() {
        return Err(Error::new(operation, format!("no memory for {count} elements")));
    }
    while values.len() < count {
        interrupt::check()?;
        values.append(&mut piece((count - values.len()).min(PIECE)));
    }
    Ok(values)
}

fn place_at(operation: &str, host: tch::Tensor, shape: &[i64], place: Place) -> Result<tch::Tensor> {
    let shaped = host.f_reshape(shape).and_then(|t| t.f_to_kind(place.kind));
    shaped.and_then(|t| t.f_to_device(place.device)).at(operation)
}

/// Standard normals.
///
/// # Errors
/// When there is no memory.
pub fn normal(operation: &str, shape: &[i64], place: Place, stream: &mut Stream) -> Result<tch::Tensor> {
    let values = draw(operation, elements(operation, shape, 8)?, |n| stream.normals(n))?;
    place_at(operation, tch::Tensor::f_from_slice(&values).at(operation)?, shape, place)
}

/// Uniform in [0, 1).
///
/// # Errors
/// When there is no memory.
pub fn uniform(operation: &str, shape: &[i64], place: Place, stream: &mut Stream) -> Result<tch::Tensor> {
    // As many bits as the element type holds below 1, so that rounding never gives 1.
    let bits = match place.kind {
        Kind::Half => 11,
        Kind::BFloat16 => 8,
        _ => 24,
    };
    let each = |stream: &mut Stream| (stream.bits() >> (64 - bits)) as f32 * (0.5_f32).powi(bits);
    let values = draw(operation, elements(operation, shape, 8)?, |n| (0..n).map(|_| each(stream)).collect())?;
    place_at(operation, tch::Tensor::f_from_slice(&values).at(operation)?, shape, place)
}

/// Integers of low..high.
///
/// # Errors
/// An empty range; when there is no memory.
pub fn integers(low: i64, high: i64, shape: &[i64], place: Place, stream: &mut Stream) -> Result<tch::Tensor> {
    let width = high.checked_sub(low).filter(|width| *width > 0);
    let Some(width) = width else {
        return Err(Error::new("randint", format!("there is no integer from {low} to below {high}")));
    };
    Number::Int(low).fit("randint", place.kind)?;
    Number::Int(high - 1).fit("randint", place.kind)?;
    let count = elements("randint", shape, 16)?;
    let values = draw("randint", count, |n| (0..n).map(|_| low + stream.below(width as usize) as i64).collect())?;
    place_at("randint", tch::Tensor::f_from_slice::<i64>(&values).at("randint")?, shape, place)
}

/// A random order of 0..n.
///
/// # Errors
/// A negative n; when there is no memory.
pub fn permutation(n: i64, device: Device, stream: &mut Stream) -> Result<tch::Tensor> {
    if n < 0 {
        return Err(Error::new("randperm", format!("n must be 0 or above, got {n}")));
    }
    let count = elements("randperm", &[n], 16)?;
    let order: Vec<i64> = stream.permutation(count).into_iter().map(|i| i as i64).collect();
    tch::Tensor::f_from_slice(&order).and_then(|t| t.f_to_device(device)).at("randperm")
}

/// How a random tensor of a shape is made.
type Draw = fn(&str, &[i64], Place, &mut Stream) -> Result<tch::Tensor>;

fn by_shape(operation: &str, run: &Run, shape: &Dynamic, options: Map, draw: Draw) -> Result<tch::Tensor> {
    let shape = shape_of(operation, shape)?;
    let place = Place::read(operation, options, Place { kind: Kind::Float, device: run.device() })?;
    floating(operation, place.kind)?;
    draw(operation, &shape, place, &mut run.stream("random"))
}

/// Refuses element types of integers, in which most of these values would be 0.
fn floating(operation: &str, kind: Kind) -> Result<()> {
    if super::dtype::is_float(kind) {
        return Ok(());
    }
    let message = format!("needs a floating-point element type, got {}", super::dtype::kind_name(kind));
    Err(Error::new(operation, message).word("dtype").hint("randint draws integers"))
}

fn by_tensor(operation: &str, run: &Run, tensor: &tch::Tensor, draw: Draw) -> Result<tch::Tensor> {
    let place = Place { kind: kind_of(tensor), device: tensor.device() };
    floating(operation, place.kind)?;
    draw(operation, &tensor.size(), place, &mut run.stream("random"))
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::{Place, by_shape, by_tensor, normal, uniform};
    use crate::runtime::{Run, Script};
    use crate::tensor::dtype::shape_of;
    use rhai::{Dynamic, Map, NativeCallContext};
    use tch::Kind;

    type Tensor = crate::tensor::Tensor;

    /// Uniformly random values in [0, 1), from the run's seed: the same on every device.
    ///
    /// # Signature
    /// rand(shape: array | int, #{ dtype: string = "f32", device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, "f32"): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// let x = rand([100]);
    /// assert(x.min().item() >= 0.0 && x.max().item() < 1.0);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn rand(context: NativeCallContext, shape: Dynamic) -> Script<Tensor> {
        Ok(by_shape("rand", &Run::of(&context), &shape, Map::new(), uniform)?.into())
    }

    #[rhai_fn(name = "rand", return_raw, volatile)]
    pub fn rand_with(context: NativeCallContext, shape: Dynamic, options: Map) -> Script<Tensor> {
        Ok(by_shape("rand", &Run::of(&context), &shape, options, uniform)?.into())
    }

    /// Standard normal values, from the run's seed: the same on every device.
    ///
    /// # Signature
    /// randn(shape: array | int, #{ dtype: string = "f32", device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, "f32"): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// let x = randn([1000]);
    /// assert(abs(x.mean().item()) < 0.2 && abs(x.std().item() - 1.0) < 0.2);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn randn(context: NativeCallContext, shape: Dynamic) -> Script<Tensor> {
        Ok(by_shape("randn", &Run::of(&context), &shape, Map::new(), normal)?.into())
    }

    #[rhai_fn(name = "randn", return_raw, volatile)]
    pub fn randn_with(context: NativeCallContext, shape: Dynamic, options: Map) -> Script<Tensor> {
        Ok(by_shape("randn", &Run::of(&context), &shape, options, normal)?.into())
    }

    /// Uniformly random integers from `low` to below `high`.
    ///
    /// # Signature
    /// randint(low: int, high: int, shape: array | int, #{ dtype: string = "i64", device: string }) -> Tensor
    ///
    /// # Options
    /// - `dtype` (string, "i64"): the element type
    /// - `device` (string, the run's device): where the tensor lives
    ///
    /// # Example
    /// ```rhai
    /// let x = randint(3, 6, [50]);
    /// assert(x.dtype == "i64" && x.min().item() >= 3 && x.max().item() <= 5);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn randint(context: NativeCallContext, low: i64, high: i64, shape: Dynamic) -> Script<Tensor> {
        randint_with(context, low, high, shape, Map::new())
    }

    #[rhai_fn(name = "randint", return_raw, volatile)]
    pub fn randint_with(
        context: NativeCallContext,
        low: i64,
        high: i64,
        shape: Dynamic,
        options: Map,
    ) -> Script<Tensor> {
        let run = Run::of(&context);
        let place = Place::read("randint", options, Place { kind: Kind::Int64, device: run.device() })?;
        let shape = shape_of("randint", &shape)?;
        Ok(super::integers(low, high, &shape, place, &mut run.stream("random"))?.into())
    }

    /// The integers from 0 to below `n` in random order, i64.
    ///
    /// # Example
    /// ```rhai
    /// let order = randperm(10);
    /// assert(order.sort().values == arange(10));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn randperm(context: NativeCallContext, n: i64) -> Script<Tensor> {
        let run = Run::of(&context);
        Ok(super::permutation(n, run.device(), &mut run.stream("random"))?.into())
    }

    /// Uniformly random values in the shape, dtype and device of another tensor.
    ///
    /// # Example
    /// ```rhai
    /// assert(rand_like(zeros([2, 3])).shape == [2, 3]);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn rand_like(context: NativeCallContext, tensor: Tensor) -> Script<Tensor> {
        Ok(by_tensor("rand_like", &Run::of(&context), &tensor, uniform)?.into())
    }

    /// Standard normal values in the shape, dtype and device of another tensor.
    ///
    /// # Example
    /// ```rhai
    /// assert(randn_like(zeros([2, 3])).shape == [2, 3]);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn randn_like(context: NativeCallContext, tensor: Tensor) -> Script<Tensor> {
        Ok(by_tensor("randn_like", &Run::of(&context), &tensor, normal)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { kind: Kind::Float, device: Device::Cpu };

    #[test]
    fn draws_in_pieces_are_draws_at_once() {
        let shape = [PIECE as i64 + 7];
        let pieces = normal("randn", &shape, PLACE, &mut Stream::new(1, "a")).unwrap();
        let whole = Stream::new(1, "a").normals(PIECE + 7);
        assert!(pieces.f_equal(&tch::Tensor::from_slice(&whole)).unwrap());
    }

    #[test]
    fn impossible_sizes_and_ranges_are_errors() {
        assert!(normal("randn", &[1 << 40, 1 << 40], PLACE, &mut Stream::new(1, "a")).is_err());
        assert!(integers(3, 3, &[1], PLACE, &mut Stream::new(1, "a")).is_err());
        assert!(permutation(-1, Device::Cpu, &mut Stream::new(1, "a")).is_err());
    }
}
