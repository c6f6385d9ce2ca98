//! Tensors by the name of the parameter they belong to: importances, masks, moments.

use crate::nn::Net;
use crate::runtime::options::nearest;
use crate::runtime::{At, Error, Result};
use crate::tensor::Tensor as Value;
use rhai::{Dynamic, Map};
use tch::Tensor;

/// A tensor for each parameter, by name and in the network's order.
pub type Named = Vec<(String, Tensor)>;

/// A script's map of tensors; `what` is what each of them is.
///
/// # Errors
/// Values that are not tensors.
pub fn from_map(operation: &str, what: &str, map: Map) -> Result<Named> {
    let one = |(name, value): (rhai::Identifier, Dynamic)| match value.try_cast::<Value>() {
        Some(tensor) => Ok((name.to_string(), tensor.f_alias().at(operation)?)),
        None => Err(Error::new(operation, format!("the {what} of `{name}` must be a tensor"))),
    };
    map.into_iter().map(one).collect()
}

/// The tensors as a map for scripts.
pub fn to_map(named: Named) -> Map {
    named.into_iter().map(|(name, tensor)| (name.into(), Dynamic::from(Value::from(tensor)))).collect()
}

/// The tensor of this name, of the shape of its parameter.
///
/// # Errors
/// No such tensor, another shape.
pub fn find<'a>(operation: &str, what: &str, list: &'a Named, name: &str, shape: &[i64]) -> Result<&'a Tensor> {
    match list.iter().find(|(known, _)| known == name) {
        None => Err(Error::new(operation, format!("no {what} is given for `{name}`"))),
        Some((_, tensor)) if tensor.size() == shape => Ok(tensor),
        Some((_, tensor)) => {
            let message = format!("the {what} of `{name}` has shape {:?}, the parameter {shape:?}", tensor.size());
            Err(Error::new(operation, message))
        }
    }
}

/// Pairs of a network's parameters (detached) and the tensors given for some of them.
///
/// # Errors
/// Names that are no parameter's, shapes that differ.
pub fn matched<'a>(operation: &str, what: &str, net: &Net, list: &'a Named) -> Result<Vec<(Tensor, &'a Tensor)>> {
    let parameters = net.parameters();
    let one = |(name, tensor): &'a (String, Tensor)| {
        let Some((_, parameter)) = parameters.iter().find(|(known, _)| known == name) else {
            let error = Error::new(operation, format!("the network has no parameter `{name}`")).word(name);
            return Err(match nearest(name, parameters.iter().map(|(known, _)| known.as_str())) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            });
        };
        find(operation, what, list, name, &parameter.size())?;
        Ok((parameter.f_detach().at(operation)?, tensor))
    };
    list.iter().map(one).collect()
}
