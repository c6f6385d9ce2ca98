//! Elementwise mathematics with arguments: limits, rounding, activations, choices by mask.

use super::dtype::number;
use super::explain::{pair, scalar};
use super::value::Tensor;
use crate::runtime::options::describe;
use crate::runtime::{At, Error, Options, Result};
use rhai::{Dynamic, Map};

/// Values limited to low..=high; `None` leaves a side open.
///
/// # Errors
/// When both sides are open.
pub fn clamp(tensor: &tch::Tensor, low: Option<f64>, high: Option<f64>) -> Result<tch::Tensor> {
    match (low, high) {
        (Some(low), Some(high)) if low <= high => scalar(|| tensor.f_clamp(low, high)).at("clamp"),
        (Some(low), Some(high)) => Err(Error::new("clamp", format!("the lower limit {low} is above the upper {high}"))),
        (Some(low), None) => scalar(|| tensor.f_clamp_min(low)).at("clamp"),
        (None, Some(high)) => scalar(|| tensor.f_clamp_max(high)).at("clamp"),
        (None, None) => Err(Error::new("clamp", "needs a lower or an upper limit, got () twice")),
    }
}

/// A limit of `clamp`: a number, or `()` for none.
pub(super) fn limit(value: &Dynamic) -> Result<Option<f64>> {
    if value.is_unit() { Ok(None) } else { number("clamp", "each limit", value).map(Some) }
}

/// Integer tensors stay integer when both limits are.
fn clamp_values(tensor: &tch::Tensor, low: &Dynamic, high: &Dynamic) -> Result<tch::Tensor> {
    match (low.as_int(), high.as_int()) {
        (Ok(low), Ok(high)) if low <= high => scalar(|| tensor.f_clamp(low, high)).at("clamp"),
        _ => clamp(tensor, limit(low)?, limit(high)?),
    }
}

/// Softmax over a dimension, or its logarithm.
fn softmax(operation: &str, tensor: &tch::Tensor, dim: i64, log: bool) -> Result<tch::Tensor> {
    let dim = super::dtype::dimension(operation, tensor.dim(), dim)?;
    let tensor = super::reduce::floating(tensor)?;
    let none = None::<tch::Kind>;
    if log { tensor.f_log_softmax(dim, none).at(operation) } else { tensor.f_softmax(dim, none).at(operation) }
}

/// A tensor, or a number as a tensor of rank 0 that leaves the dtype of `beside` as it is.
pub(super) fn tensor_or_number(operation: &str, value: &Dynamic, beside: &tch::Tensor) -> Result<tch::Tensor> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return Ok(tensor.shallow_clone());
    }
    let number = match (value.as_int(), value.as_float()) {
        (Ok(integer), _) => super::arithmetic::Number::Int(integer),
        (_, Ok(float)) => super::arithmetic::Number::Float(float),
        _ => return Err(Error::new(operation, format!("needs a tensor or a number, got {}", describe(value)))),
    };
    number.beside(operation, beside)?.f_to_device(beside.device()).at(operation)
}

/// `where_` of scripts.
fn choose(mask: &tch::Tensor, left: &Dynamic, right: &Dynamic) -> Result<tch::Tensor> {
    const OPERATION: &str = "where_";
    if super::dtype::kind_of(mask) != tch::Kind::Bool {
        let message = format!(
            "the condition must be a mask, got a tensor of {}",
            super::dtype::kind_name(super::dtype::kind_of(mask))
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
    let shape = super::explain::broadcast(OPERATION, &left.size(), &right.size())?;
    super::explain::broadcast(OPERATION, &mask.size(), &shape)?;
    pair(OPERATION, &left, &right, left.f_where_self(mask, &right))
}

/// `nan_to_num` of scripts.
fn without_nan(tensor: &tch::Tensor, options: Map) -> Result<tch::Tensor> {
    let mut options = Options::new("nan_to_num", options);
    let nan = options.number("nan", 0.0)?;
    let high = options.maybe_number("posinf")?;
    let low = options.maybe_number("neginf")?;
    options.finish()?;
    tensor.f_nan_to_num(nan, high, low).at("nan_to_num")
}

/// What else scripts see.
#[rhai::export_module]
pub mod script {
    use super::{choose, clamp_values, scalar, without_nan};
    use crate::runtime::{At, Error, Script};
    use rhai::{Dynamic, Map};

    type Tensor = crate::tensor::Tensor;

    /// Elementwise rounding to `digits` places behind the point (0), halves to the even neighbour.
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
        if !(-300..=300).contains(&digits) {
            return Err(Error::new("round", format!("the digits must be within -300..=300, got {digits}")).into());
        }
        Ok(tensor.f_round_decimals(digits).at("round")?.into())
    }

    /// Values limited to `low..=high`; `()` leaves a side open. Also of a number.
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
        Ok(clamp_values(&tensor, &low, &high)?.into())
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
        let scaled = scalar(|| tensor.f_mul_scalar(slope)).at("leaky_relu")?;
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
