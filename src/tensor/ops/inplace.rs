//! Methods that change a tensor in place; their names end in an underscore.

use crate::runtime::{At, Error, Result};
use crate::tensor::dtype::kind_of;
use crate::tensor::ops::math::{Limits, limit};
use crate::tensor::range::{Fractions, Number, cast, fits_beside, integers};
use crate::tensor::shape_errors::{broadcast, scalar};
use crate::tensor::value::Tensor;
use rhai::Dynamic;

/// What an in-place operation does with its operand.
type Change = fn(&mut tch::Tensor, &tch::Tensor) -> std::result::Result<(), tch::TchError>;

/// Changes a tensor by a tensor that broadcasts to its shape, or by a number.
///
/// # Errors
/// Operands that do not fit; results that integers cannot hold; tensors that require gradients outside no_grad.
pub fn change(operation: &str, tensor: &Tensor, operand: &Dynamic, apply: Change) -> Result<()> {
    let operand = match operand.read_lock::<Tensor>() {
        Some(operand) => operand.shallow_clone(),
        None => super::math::tensor_or_number(operation, operand, tensor)?,
    };
    let kind = kind_of(tensor);
    let integers = integers(kind).is_some() && integers(kind_of(&operand)).is_some();
    fits_beside(operation, &operand, kind)?;
    let mut target = if integers { crate::tensor::value::deep_copy(tensor)? } else { tensor.shallow_clone() };
    if let Err(error) = apply(&mut target, &operand) {
        return explained(operation, tensor, &operand, error);
    }
    if integers {
        // Torch wraps what the tensor cannot hold, so that it is changed only when all of it fits.
        crate::tensor::overflow::refuse(operation, tensor, &operand, &target)?;
        let mut own = tensor.shallow_clone();
        own.f_copy_(&target).at(operation)?;
    }
    Ok(())
}

/// Overwrites a tensor by another one that broadcasts to its shape, or by a number.
fn overwrite(operation: &str, tensor: &Tensor, operand: &Dynamic) -> Result<()> {
    let kind = kind_of(tensor);
    let operand = match operand.read_lock::<Tensor>() {
        Some(operand) => cast(operation, &operand, kind, Fractions::Refused)?,
        None => Number::or_truth(operation, "the value", operand)?.element(operation, kind)?,
    };
    let mut target = tensor.shallow_clone();
    match target.f_copy_(&operand) {
        Ok(()) => Ok(()),
        Err(error) => explained(operation, tensor, &operand, error),
    }
}

/// Says why an operand does not go into a tensor.
fn explained(operation: &str, tensor: &Tensor, operand: &tch::Tensor, error: tch::TchError) -> Result<()> {
    crate::tensor::shape_errors::same_device(operation, tensor, operand)?;
    let (own, other) = (tensor.size(), operand.size());
    if broadcast(operation, &own, &other)? != own {
        let message = format!("an operand of shape {other:?} does not fit into the tensor of shape {own:?}");
        return Err(Error::new(operation, message));
    }
    refused(operation, error, &[tensor, operand])
}

/// Explains the one refusal everybody meets.
fn refused(operation: &str, error: tch::TchError, tensors: &[&tch::Tensor]) -> Result<()> {
    if error.to_string().contains("leaf Variable") {
        let message = "a tensor that requires gradients cannot be changed in place";
        return Err(Error::new(operation, message).hint("do it inside no_grad { }, or on its detach()"));
    }
    if error.to_string().contains("result type") {
        let kind = tensors.first().map_or("integers", |tensor| crate::tensor::dtype::kind_name(kind_of(tensor)));
        let message = format!("the results are floats, which a tensor of {kind} does not hold");
        return Err(Error::new(operation, message).hint("convert it first, x.to(\"f32\"), or leave it: x = x / 2"));
    }
    Err(error).on(operation, tensors)
}

fn zero(tensor: &Tensor) -> Result<()> {
    let mut target = tensor.shallow_clone();
    match target.f_zero_() {
        Ok(_) => Ok(()),
        Err(error) => refused("zero_", error, &[tensor]),
    }
}

fn clamp(tensor: &Tensor, low: &Dynamic, high: &Dynamic) -> Result<()> {
    const OPERATION: &str = "clamp_";
    let limits = Limits::of(OPERATION, tensor, limit(OPERATION, low)?, limit(OPERATION, high)?)?;
    let mut target = tensor.shallow_clone();
    let result = match (limits.low, limits.high) {
        (Some(low), Some(high)) => scalar(|| target.f_clamp_(low, high)),
        (Some(low), None) => scalar(|| target.f_clamp_min_(low)),
        (None, Some(high)) => scalar(|| target.f_clamp_max_(high)),
        (None, None) => return Ok(()),
    };
    match result {
        Ok(_) => Ok(()),
        Err(error) => refused(OPERATION, error, &[tensor]),
    }
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::change;
    use crate::runtime::Script;
    use rhai::Dynamic;

    type Tensor = crate::tensor::Tensor;

    /// Adds a tensor or number to the tensor in place; returns the tensor.
    ///
    /// # Signature
    /// add_(tensor: Tensor, other: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let t = tensor([1.0, 2.0]);
    /// t.add_(1);
    /// assert(t == tensor([2.0, 3.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn add_(tensor: Tensor, other: Dynamic) -> Script<Tensor> {
        change("add_", &tensor, &other, |t, o| t.f_add_(o).map(drop))?;
        Ok(tensor)
    }

    /// Subtracts a tensor or number from the tensor in place; returns the tensor.
    ///
    /// # Signature
    /// sub_(tensor: Tensor, other: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.0]).sub_(tensor([1.0, 1.0])) == tensor([0.0, 1.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn sub_(tensor: Tensor, other: Dynamic) -> Script<Tensor> {
        change("sub_", &tensor, &other, |t, o| t.f_sub_(o).map(drop))?;
        Ok(tensor)
    }

    /// Multiplies the tensor by a tensor or number in place; returns the tensor.
    ///
    /// # Signature
    /// mul_(tensor: Tensor, other: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.0]).mul_(0.5) == tensor([0.5, 1.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn mul_(tensor: Tensor, other: Dynamic) -> Script<Tensor> {
        change("mul_", &tensor, &other, |t, o| t.f_mul_(o).map(drop))?;
        Ok(tensor)
    }

    /// Divides the tensor by a tensor or number in place; returns the tensor.
    ///
    /// # Signature
    /// div_(tensor: Tensor, other: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.0]).div_(2) == tensor([0.5, 1.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn div_(tensor: Tensor, other: Dynamic) -> Script<Tensor> {
        change("div_", &tensor, &other, |t, o| t.f_div_(o).map(drop))?;
        Ok(tensor)
    }

    /// Overwrites the tensor with the values of another that broadcasts to its shape, converted to its dtype and device;
    /// fractions and numbers that integers cannot hold are errors.
    ///
    /// # Signature
    /// copy_(tensor: Tensor, other: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let t = zeros([2]);
    /// t.copy_(tensor([1, 2]));
    /// assert(t == tensor([1.0, 2.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn copy_(tensor: Tensor, other: Dynamic) -> Script<Tensor> {
        super::overwrite("copy_", &tensor, &other)?;
        Ok(tensor)
    }

    /// Overwrites every element with one number.
    ///
    /// # Signature
    /// fill_(tensor: Tensor, value: number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2]).fill_(3) == tensor([3.0, 3.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn fill_(tensor: Tensor, value: Dynamic) -> Script<Tensor> {
        super::overwrite("fill_", &tensor, &value)?;
        Ok(tensor)
    }

    /// Overwrites every element with zero.
    ///
    /// # Example
    /// ```rhai
    /// assert(ones([2]).zero_() == zeros([2]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn zero_(tensor: Tensor) -> Script<Tensor> {
        super::zero(&tensor)?;
        Ok(tensor)
    }

    /// Limits every element to `low..=high`; `()` leaves a side open.
    ///
    /// # Signature
    /// clamp_(tensor: Tensor, low: number | (), high: number | ()) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([-1.0, 0.5, 2.0]).clamp_(0, 1) == tensor([0.0, 0.5, 1.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn clamp_(tensor: Tensor, low: Dynamic, high: Dynamic) -> Script<Tensor> {
        super::clamp(&tensor, &low, &high)?;
        Ok(tensor)
    }
}
