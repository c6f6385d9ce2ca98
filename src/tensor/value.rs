//! The tensor scripts hold: a shared handle, so that assignment aliases as in Python.

use crate::runtime::{At, Error, Result};
use std::rc::Rc;

/// A shared handle to a torch tensor. Cloning is a counter bump; `deep_copy` copies the elements.
#[derive(Clone, Debug)]
pub struct Tensor(Rc<tch::Tensor>);

impl From<tch::Tensor> for Tensor {
    fn from(tensor: tch::Tensor) -> Self {
        Self(Rc::new(tensor))
    }
}

impl std::ops::Deref for Tensor {
    type Target = tch::Tensor;
    fn deref(&self) -> &tch::Tensor {
        &self.0
    }
}

impl AsRef<tch::Tensor> for Tensor {
    fn as_ref(&self) -> &tch::Tensor {
        &self.0
    }
}

impl Tensor {
    /// The value of a tensor with one element.
    ///
    /// # Errors
    /// When there is not exactly one element.
    pub fn item(&self) -> Result<f64> {
        if self.numel() != 1 {
            let message = format!("needs a tensor with one element, got shape {:?}", self.size());
            return Err(Error::new("item", message).hint("reduce it first, e.g. with mean()"));
        }
        self.f_double_value(&[]).at("item")
    }
}

/// What scripts see of a tensor value.
#[rhai::export_module]
pub mod script {
    use crate::runtime::Script;
    use rhai::Array;

    /// A tensor: elements of one dtype, with a shape, on a device. Assignment aliases; `copy()` copies.
    pub type Tensor = super::Tensor;

    /// The shape as an array of integers.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1, 2, 3], [4, 5, 6]]).shape == [2, 3]);
    /// ```
    #[rhai_fn(get = "shape", pure)]
    pub fn shape(tensor: &mut Tensor) -> Array {
        tensor.size().into_iter().map(rhai::Dynamic::from).collect()
    }

    /// The value of a tensor with one element, as a float (or an integer for integer dtypes).
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.0]).sum().item() == 3.0);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn item(tensor: &mut Tensor) -> Script<f64> {
        Ok(super::Tensor::item(tensor)?)
    }
}
