//! Gradients: backward passes, gradients of chosen tensors, cutting the graph.

use crate::runtime::options::describe;
use crate::runtime::{At, Error, Options, Result};
use crate::tensor::dtype::{is_float, kind_name, kind_of};
use crate::tensor::value::Tensor;
use rhai::{Array, Dynamic, Map};

/// The gradients of a loss with one element with respect to `params`; `None` for those it does not depend on. With
/// `create_graph` the gradients can be differentiated again; `keep_graph` allows another pass over the same graph.
///
/// # Errors
/// A loss with several elements or without a graph, parameters that do not require gradients.
pub fn gradients(
    loss: &tch::Tensor,
    params: &[tch::Tensor],
    create_graph: bool,
    keep_graph: bool,
) -> Result<Vec<Option<tch::Tensor>>> {
    check_loss("grad", loss)?;
    if let Some(place) = params.iter().position(|p| !p.requires_grad()) {
        let which = if params.len() == 1 { String::new() } else { format!(" {place}") };
        let message = format!("parameter{which} of shape {:?} does not require gradients", params[place].size());
        return Err(Error::new("grad", message).hint("call .requires_grad_(true) on it before computing the loss"));
    }
    if params.is_empty() {
        return Ok(vec![]);
    }
    let results = tch::Tensor::f_run_backward(&[loss], params, keep_graph || create_graph, create_graph);
    Ok(results.at("grad")?.into_iter().map(|g| g.defined().then_some(g)).collect())
}

/// Gradients of a value with respect to each input, undefined for those it does not depend on; no graph remains.
///
/// # Errors
/// A value without a graph, for which torch itself would crash.
pub fn run_backward(operation: &str, value: &tch::Tensor, inputs: &[tch::Tensor]) -> Result<Vec<tch::Tensor>> {
    if !value.requires_grad() {
        let message = "what was computed does not depend on anything that requires gradients";
        return Err(Error::new(operation, message).hint("is something detached, or computed inside no_grad { }?"));
    }
    tch::Tensor::f_run_backward(&[value], inputs, false, false).at(operation)
}

fn check_loss(operation: &str, loss: &tch::Tensor) -> Result<()> {
    if loss.numel() != 1 {
        let message = format!("needs a loss with one element, got shape {:?}", loss.size());
        return Err(Error::new(operation, message).hint("reduce it first, e.g. with mean() or sum()"));
    }
    if !loss.requires_grad() {
        let message = "the loss does not depend on anything that requires gradients";
        let hint = "was it computed inside no_grad { }, detached, or is requires_grad_(true) missing?";
        return Err(Error::new(operation, message).hint(hint));
    }
    Ok(())
}

/// Adds the gradients of a loss with one element to `.grad` of every leaf it depends on.
///
/// # Errors
/// A loss with several elements or without a graph.
pub fn backward(loss: &tch::Tensor) -> Result<()> {
    check_loss("backward", loss)?;
    loss.f_backward().at("backward")
}

/// `grad` of scripts: one tensor or an array of them, zeros for the unused.
fn grad(loss: &tch::Tensor, params: &Dynamic, options: Map) -> Result<Dynamic> {
    let mut options = Options::new("grad", options);
    let create_graph = options.flag("create_graph", false)?;
    let keep_graph = options.flag("retain_graph", create_graph)?;
    options.finish()?;
    let wrong = |value: &Dynamic| {
        Error::new("grad", format!("parameters are a tensor or an array of tensors, got {}", describe(value)))
    };
    let single = params.read_lock::<Tensor>().map(|tensor| vec![tensor.shallow_clone()]);
    let alone = single.is_some();
    let inputs = match single {
        Some(inputs) => inputs,
        None => {
            let items = params.read_lock::<Array>().ok_or_else(|| wrong(params))?;
            let each =
                |item: &Dynamic| item.read_lock::<Tensor>().map(|t| t.shallow_clone()).ok_or_else(|| wrong(item));
            items.iter().map(each).collect::<Result<Vec<_>>>()?
        }
    };
    let mut results = Vec::with_capacity(inputs.len());
    for (gradient, input) in gradients(loss, &inputs, create_graph, keep_graph)?.into_iter().zip(&inputs) {
        let gradient = gradient.map_or_else(|| input.f_detach().and_then(|t| t.f_zeros_like()).at("grad"), Ok)?;
        results.push(Dynamic::from(Tensor::from(gradient)));
    }
    Ok(if alone { results.pop().unwrap_or_default() } else { results.into() })
}

/// Makes a tensor a leaf whose gradients are wanted, or not.
///
/// # Errors
/// Integer tensors, and results of other operations.
fn set_requires_grad(tensor: &tch::Tensor, on: bool) -> Result<()> {
    let kind = kind_of(tensor);
    if on && !is_float(kind) {
        let message = format!("only floating-point tensors have gradients, this one is {}", kind_name(kind));
        return Err(Error::new("requires_grad_", message).hint("convert it with .to(\"f32\")"));
    }
    if !on && tensor.requires_grad() && !tensor.f_is_leaf().at("requires_grad_")? {
        let message = "this tensor is the result of an operation with gradients";
        return Err(Error::new("requires_grad_", message).hint("detach() gives the values without the graph"));
    }
    tensor.f_set_requires_grad(on).at("requires_grad_").map(drop)
}

/// Sets the collected gradient to zero.
fn zero_grad(tensor: &tch::Tensor) -> Result<()> {
    let gradient = tensor.f_grad().at("zero_grad")?;
    if gradient.defined() {
        let mut values = gradient.f_detach().at("zero_grad")?;
        let _ = values.f_zero_().at("zero_grad")?;
    }
    Ok(())
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::runtime::{At, Error, Script};
    use rhai::{Array, Dynamic, Map};

    type Tensor = crate::tensor::Tensor;

    /// Adds the gradients of a loss with one element to `.grad` of every tensor with `requires_grad` that it depends on.
    ///
    /// # Example
    /// ```rhai
    /// let w = tensor([1.0, 2.0]).requires_grad_(true);
    /// backward((w * w).sum());
    /// assert(w.grad == tensor([2.0, 4.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn backward(loss: Tensor) -> Script<()> {
        Ok(super::backward(&loss)?)
    }

    /// The gradients of a loss with one element with respect to a tensor, or to each of an array of tensors (then an array
    /// of gradients). A tensor the loss does not depend on gets zeros of its shape. `.grad` stays as it was.
    ///
    /// # Signature
    /// grad(loss: Tensor[], params: Tensor | array, #{ create_graph: bool = false, retain_graph: bool }) -> Tensor | array
    ///
    /// # Options
    /// - `create_graph` (bool, false): make the gradients differentiable, for second derivatives
    /// - `retain_graph` (bool, as create_graph): keep the loss's graph, so that it can be differentiated again
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([2.0]).requires_grad_(true);
    /// let first = grad((x ** 3).sum(), x, #{ create_graph: true });
    /// assert(first == tensor([12.0]));
    /// assert(grad(first.sum(), x) == tensor([12.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn grad(loss: Tensor, params: Dynamic) -> Script<Dynamic> {
        Ok(super::grad(&loss, &params, Map::new())?)
    }

    #[rhai_fn(name = "grad", return_raw, volatile)]
    pub fn grad_with(loss: Tensor, params: Dynamic, options: Map) -> Script<Dynamic> {
        Ok(super::grad(&loss, &params, options)?)
    }

    /// The same values, cut from the autograd graph. Storage is shared.
    ///
    /// # Example
    /// ```rhai
    /// let w = tensor([1.0]).requires_grad_(true);
    /// assert(!(w * 2).detach().requires_grad);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn detach(tensor: Tensor) -> Script<Tensor> {
        Ok(tensor.f_detach().at("detach")?.into())
    }

    /// Whether gradients flow to this tensor.
    ///
    /// # Example
    /// ```rhai
    /// assert(!zeros([2]).requires_grad);
    /// ```
    #[rhai_fn(get = "requires_grad", pure)]
    pub fn requires_grad(tensor: &mut Tensor) -> bool {
        tensor.requires_grad()
    }

    /// Asks for gradients of this tensor, or not any more; returns the tensor.
    ///
    /// # Example
    /// ```rhai
    /// let w = zeros([2]).requires_grad_(true);
    /// assert(w.requires_grad);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn requires_grad_(tensor: Tensor, on: bool) -> Script<Tensor> {
        super::set_requires_grad(&tensor, on)?;
        Ok(tensor)
    }

    /// The gradient that `backward` collected, or `()` when there is none.
    ///
    /// # Example
    /// ```rhai
    /// let w = tensor([3.0]).requires_grad_(true);
    /// assert(w.grad == ());
    /// backward((2 * w).sum());
    /// assert(w.grad == tensor([2.0]));
    /// ```
    #[rhai_fn(get = "grad", pure, return_raw)]
    pub fn collected(tensor: &mut Tensor) -> Script<Dynamic> {
        let gradient = tensor.f_grad().at("grad")?;
        Ok(if gradient.defined() { Dynamic::from(Tensor::from(gradient)) } else { Dynamic::UNIT })
    }

    /// Sets the collected gradient of a tensor, or of each of an array of tensors, to zero.
    ///
    /// # Signature
    /// zero_grad(tensors: Tensor | array)
    ///
    /// # Example
    /// ```rhai
    /// let w = tensor([3.0]).requires_grad_(true);
    /// backward((2 * w).sum());
    /// zero_grad(w);
    /// assert(w.grad == tensor([0.0]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn zero_grad(tensor: Tensor) -> Script<()> {
        Ok(super::zero_grad(&tensor)?)
    }

    #[rhai_fn(name = "zero_grad", return_raw, volatile)]
    pub fn zero_grads(tensors: Array) -> Script<()> {
        for item in &tensors {
            let tensor = item.read_lock::<Tensor>().ok_or_else(|| {
                let got = crate::runtime::options::describe(item);
                Error::new("zero_grad", format!("needs tensors, got {got}"))
            })?;
            super::zero_grad(&tensor)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn unused_parameters_have_no_gradient_and_second_derivatives_work() {
        let x = tch::Tensor::from_slice(&[2.0]).set_requires_grad(true);
        let unused = tch::Tensor::zeros([3], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let loss = x.pow_tensor_scalar(3).sum(Kind::Double);
        let params = [x.shallow_clone(), unused];
        let first = gradients(&loss, &params, true, false).unwrap();
        assert!(first[1].is_none());
        let slope = first[0].as_ref().unwrap().sum(Kind::Double);
        assert_eq!(slope.double_value(&[]), 12.0);
        let second = gradients(&slope, &params[..1], false, false).unwrap();
        assert_eq!(second[0].as_ref().unwrap().double_value(&[0]), 12.0);
    }

    #[test]
    fn what_cannot_be_differentiated_is_an_error() {
        let x = tch::Tensor::from_slice(&[2.0, 3.0]);
        assert!(gradients(&x, &[], false, false).is_err());
        let loss = x.sum(Kind::Double);
        assert!(gradients(&loss, &[], false, false).unwrap_err().to_string().contains("does not depend"));
        let weight = x.set_requires_grad(true);
        let loss = weight.sum(Kind::Double);
        let constant = tch::Tensor::from_slice(&[1.0]);
        assert!(gradients(&loss, &[constant], false, false).unwrap_err().to_string().contains("does not require"));
    }
}
