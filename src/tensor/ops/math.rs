//! Elementwise mathematics with arguments: limits, rounding, activations, choices by mask.

use crate::runtime::options::describe;
use crate::runtime::{At, Error, Options, Result};
use crate::tensor::range::{Number, integers};
use crate::tensor::shape_errors::{pair, scalar};
use crate::tensor::value::Tensor;
use rhai::{Dynamic, Map};

/// The limits of a clamp as torch takes them.
pub(super) struct Limits {
    /// The lower one, if any element is below.
    pub low: Option<Number>,
    /// The upper one, if any element is above.
    pub high: Option<Number>,
}

impl Limits {
    /// Integers of any size limit a tensor of integers; those beyond all of its elements limit nothing.
    ///
    /// # Errors
    /// When both sides are open, and where nothing of the dtype is left between the limits.
    pub fn of(operation: &str, tensor: &tch::Tensor, low: Option<Number>, high: Option<Number>) -> Result<Self> {
        if low.is_none() && high.is_none() {
            return Err(Error::new(operation, "needs a lower or an upper limit, got () twice"));
        }
        if let (Some(low), Some(high)) = (low, high)
            && !low.at_most(high)
        {
            return Err(Error::new(operation, format!("the lower limit {low} is above the upper {high}")));
        }
        let kind = crate::tensor::dtype::kind_of(tensor);
        let whole = |limit: Option<Number>| limit.is_none_or(|limit| matches!(limit, Number::Int(_)));
        let range = integers(kind).filter(|_| whole(low) && whole(high) && kind != tch::Kind::Bool);
        let Some((least, most)) = range else {
            let number = if whole(low) && whole(high) { Number::Int(0) } else { Number::Float(0.0) };
            let fit = |limit: Option<Number>| limit.map(|limit| limit.fit(operation, number.meets(kind))).transpose();
            return Ok(Self { low: fit(low)?, high: fit(high)? });
        };
        let (least, most) = (Number::Int(least), Number::Int(most));
        if let Some(beyond) = low.filter(|low| !low.at_most(most)).or(high.filter(|high| !least.at_most(*high))) {
            return Err(beyond.unfit(operation, kind));
        }
        Ok(Self { low: low.filter(|low| least.at_most(*low)), high: high.filter(|high| high.at_most(most)) })
    }
}

/// Values limited to low..=high; `None` leaves a side open. Integers stay integers where the limits are.
///
/// # Errors
/// Those of the limits.
pub fn clamp(operation: &str, tensor: &tch::Tensor, low: Option<Number>, high: Option<Number>) -> Result<tch::Tensor> {
    let limits = Limits::of(operation, tensor, low, high)?;
    match (limits.low, limits.high) {
        (Some(low), Some(high)) => scalar(|| tensor.f_clamp(low, high)).on(operation, &[tensor]),
        (Some(low), None) => scalar(|| tensor.f_clamp_min(low)).on(operation, &[tensor]),
        (None, Some(high)) => scalar(|| tensor.f_clamp_max(high)).on(operation, &[tensor]),
        (None, None) => crate::tensor::value::deep_copy(tensor),
    }
}

/// A limit of `clamp`: a number, or `()` for none.
pub(super) fn limit(operation: &str, value: &Dynamic) -> Result<Option<Number>> {
    if value.is_unit() { Ok(None) } else { Number::read(operation, "each limit", value).map(Some) }
}

/// Rounding to decimals, or with `digits` below 0 to places before the point.
fn rounded(tensor: &tch::Tensor, digits: i64) -> Result<tch::Tensor> {
    // Torch multiplies by a power of ten, which has an end; so many digits no float has.
    let digits = digits.clamp(-300, 300);
    let result = tensor.f_round_decimals(digits).at("round")?;
    if digits <= 0 || !crate::tensor::dtype::is_float(crate::tensor::dtype::kind_of(tensor)) {
        return Ok(result);
    }
    let whole = result.f_isfinite().at("round")?;
    result.f_where_self(&whole, tensor).at("round")
}

/// Softmax over a dimension, or its logarithm.
fn softmax(operation: &str, tensor: &tch::Tensor, dim: i64, log: bool) -> Result<tch::Tensor> {
    let dim = crate::tensor::dtype::dimension(operation, tensor.dim(), dim)?;
    let tensor = crate::tensor::reduce::floating(tensor)?;
    let none = None::<tch::Kind>;
    if log { tensor.f_log_softmax(dim, none).at(operation) } else { tensor.f_softmax(dim, none).at(operation) }
}

/// A tensor, or a number as a tensor of rank 0 that leaves the dtype of `beside` as it is.
pub(super) fn tensor_or_number(operation: &str, value: &Dynamic, beside: &tch::Tensor) -> Result<tch::Tensor> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return Ok(tensor.shallow_clone());
    }
    let number = Number::read(operation, "the operand", value)
        .map_err(|_| Error::new(operation, format!("needs a tensor or a number, got {}", describe(value))))?;
    number.beside(operation, beside)?.f_to_device(beside.device()).at(operation)
}

/// `where_` of scripts.
fn choose(mask: &tch::Tensor, left: &Dynamic, right: &Dynamic) -> Result<tch::Tensor> {
    const OPERATION: &str = "where_";
    if crate::tensor::dtype::kind_of(mask) != tch::Kind::Bool {
        let message = format!(
            "the condition must be a mask, got a tensor of {}",
            crate::tensor::dtype::kind_name(crate::tensor::dtype::kind_of(mask))
        );
        return Err(Error::new(OPERATION, message).hint("comparisons give masks, e.g. `where_(x > 0, x, 0.0)`"));
    }
    let like = match (left.read_lock::<Tensor>(), right.read_lock::<Tensor>()) {
        (Some(tensor), _) | (None, Some(tensor)) => tensor.shallow_clone(),
        (None, None) => {
            let kind = if left.is_int() && right.is_int() { tch::Kind::Int64 } else { tch::Kind::Float };
            tch::Tensor::f_zeros([0], (kind, mask.device())).at(OPERATION)?
        }
    };
    let left = tensor_or_number(OPERATION, left, &like)?;
    let right = tensor_or_number(OPERATION, right, &like)?;
    let shape = crate::tensor::shape_errors::broadcast(OPERATION, &left.size(), &right.size())?;
    crate::tensor::shape_errors::broadcast(OPERATION, &mask.size(), &shape)?;
    crate::tensor::range::fit_each_other(OPERATION, &left, &right)?;
    pair(OPERATION, &left, &right, left.f_where_self(mask, &right))
}

/// `nan_to_num` of scripts.
fn without_nan(tensor: &tch::Tensor, options: Map) -> Result<tch::Tensor> {
    let mut options = Options::new("nan_to_num", options);
    let nan = options.number("nan", 0.0)?;
    let high = options.maybe_number("posinf")?;
    let low = options.maybe_number("neginf")?;
    options.finish()?;
    let kind = crate::tensor::dtype::kind_of(tensor);
    if crate::tensor::dtype::is_float(kind) {
        for value in [Some(nan), high, low].into_iter().flatten() {
            Number::Float(value).fit("nan_to_num", kind)?;
        }
    }
    tensor.f_nan_to_num(nan, high, low).at("nan_to_num")
}

/// What else scripts see.
#[rhai::export_module]
pub mod script {
    use super::{choose, limit, without_nan};
    use crate::runtime::{At, Error, Script};
    use crate::tensor::ops::arithmetic::number_right;
    use rhai::{Dynamic, Map};

    type Tensor = crate::tensor::Tensor;

    /// Rounds each element to `digits` decimals (0); ties go to the even number.
    ///
    /// # Signature
    /// round(tensor: Tensor[, digits: int]) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(round(tensor([0.5, 1.5])) == tensor([0.0, 2.0]));
    /// assert_close(round(tensor([1.26]), 1), [1.3]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn round(tensor: Tensor) -> Script<Tensor> {
        Ok(tensor.f_round().at("round")?.into())
    }

    #[rhai_fn(name = "round", return_raw)]
    pub fn round_to(tensor: Tensor, digits: i64) -> Script<Tensor> {
        Ok(super::rounded(&tensor, digits)?.into())
    }

    /// Values limited to `low..=high`; `()` leaves a side open. Also of a number. Limits beyond all that a dtype of integers
    /// can hold limit nothing.
    ///
    /// # Signature
    /// clamp(x: Tensor | number, low: number | (), high: number | ()) -> Tensor | number
    ///
    /// # Example
    /// ```rhai
    /// assert(clamp(tensor([-1.0, 0.5, 2.0]), 0, 1) == tensor([0.0, 0.5, 1.0]));
    /// assert(clamp(tensor([-1, 5]), (), 3) == tensor([-1, 3]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn clamp(tensor: Tensor, low: Dynamic, high: Dynamic) -> Script<Tensor> {
        Ok(super::clamp("clamp", &tensor, limit("clamp", &low)?, limit("clamp", &high)?)?.into())
    }

    /// Gaussian error linear unit; `"tanh"` as second argument is the approximation.
    ///
    /// # Signature
    /// gelu(tensor: Tensor[, approximate: "none" | "tanh"]) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert_close(gelu(tensor([1.0])), [0.8413447]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn gelu(tensor: Tensor) -> Script<Tensor> {
        Ok(tensor.f_gelu("none").at("gelu")?.into())
    }

    #[rhai_fn(name = "gelu", return_raw)]
    pub fn gelu_with(tensor: Tensor, approximate: &str) -> Script<Tensor> {
        if !["none", "tanh"].contains(&approximate) {
            return Err(Error::new("gelu", format!("{approximate:?} is not \"none\" or \"tanh\"")).into());
        }
        Ok(tensor.f_gelu(approximate).at("gelu")?.into())
    }

    /// Elementwise x where positive, `slope` times x elsewhere.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(leaky_relu(tensor([-1.0, 2.0]), 0.1), [-0.1, 2.0]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn leaky_relu(tensor: Tensor, slope: f64) -> Script<Tensor> {
        if !slope.is_finite() {
            return Err(Error::new("leaky_relu", format!("the slope must be a finite number, got {slope}")).into());
        }
        let scaled = number_right("leaky_relu", &tensor, slope.into(), |t, n| t.f_mul_scalar(n))?;
        Ok(tensor.f_where_self(&tensor.f_gt(0).at("leaky_relu")?, &scaled).at("leaky_relu")?.into())
    }

    /// Probabilities: exp(x) divided by its sum over a dimension (the last).
    ///
    /// # Signature
    /// softmax(tensor: Tensor, dim: int = -1) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert_close(softmax(tensor([[0.0, 0.0]])), [[0.5, 0.5]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn softmax(tensor: Tensor) -> Script<Tensor> {
        Ok(super::softmax("softmax", &tensor, -1, false)?.into())
    }

    #[rhai_fn(name = "softmax", return_raw)]
    pub fn softmax_over(tensor: Tensor, dim: i64) -> Script<Tensor> {
        Ok(super::softmax("softmax", &tensor, dim, false)?.into())
    }

    /// Logarithm of the softmax over a dimension (the last), without overflow.
    ///
    /// # Signature
    /// log_softmax(tensor: Tensor, dim: int = -1) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert_close(log_softmax(tensor([[1000.0, 0.0]])), [[0.0, -1000.0]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn log_softmax(tensor: Tensor) -> Script<Tensor> {
        Ok(super::softmax("log_softmax", &tensor, -1, true)?.into())
    }

    #[rhai_fn(name = "log_softmax", return_raw)]
    pub fn log_softmax_over(tensor: Tensor, dim: i64) -> Script<Tensor> {
        Ok(super::softmax("log_softmax", &tensor, dim, true)?.into())
    }

    /// Elements of `left` where the mask is true, of `right` elsewhere; all three broadcast, numbers included.
    ///
    /// # Signature
    /// where_(mask: Tensor, left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([-1.0, 2.0]);
    /// assert(where_(x > 0, x, 0.0) == tensor([0.0, 2.0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn where_(mask: Tensor, left: Dynamic, right: Dynamic) -> Script<Tensor> {
        Ok(choose(&mask, &left, &right)?.into())
    }

    /// The tensor with NaN and infinities replaced.
    ///
    /// # Signature
    /// nan_to_num(tensor: Tensor, #{ nan: float = 0.0, posinf: float, neginf: float }) -> Tensor
    ///
    /// # Options
    /// - `nan` (float, 0.0): what NaN becomes
    /// - `posinf` (float, the largest finite value): what infinity becomes
    /// - `neginf` (float, the smallest finite value): what minus infinity becomes
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([0.0, 1.0]) / 0.0;
    /// assert(nan_to_num(x, #{ posinf: 9 }) == tensor([0.0, 9.0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn nan_to_num(tensor: Tensor) -> Script<Tensor> {
        Ok(without_nan(&tensor, Map::new())?.into())
    }

    #[rhai_fn(name = "nan_to_num", return_raw)]
    pub fn nan_to_num_with(tensor: Tensor, options: Map) -> Script<Tensor> {
        Ok(without_nan(&tensor, options)?.into())
    }
}
