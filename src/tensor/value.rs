//! The tensor scripts hold: a shared handle, so that assignment aliases as in Python.

use super::dtype::{is_float, kind_of, parse_kind, usable_device};
use super::range::{Fractions, cast};
use crate::runtime::{At, Error, Result};
use rhai::Dynamic;
use std::rc::Rc;
use tch::{Device, Kind};

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

impl std::borrow::Borrow<tch::Tensor> for Tensor {
    fn borrow(&self) -> &tch::Tensor {
        &self.0
    }
}

impl Tensor {
    /// The value of a tensor with one element.
    ///
    /// # Errors
    /// When there is not exactly one element.
    pub fn item(&self) -> Result<f64> {
        one_element(self)?;
        self.f_double_value(&vec![0; self.dim()]).at("item")
    }

    /// A copy with storage of its own, cut from the autograd graph.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn deep_copy(&self) -> Result<Self> {
        deep_copy(self).map(Self::from)
    }

    /// Whether both are the same handle.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

fn one_element(tensor: &tch::Tensor) -> Result<()> {
    if tensor.numel() == 1 {
        return Ok(());
    }
    let message = format!("needs a tensor with one element, got shape {:?}", tensor.size());
    Err(Error::new("item", message).hint("reduce it first, e.g. with mean()"))
}

/// A copy with storage of its own, cut from the autograd graph.
///
/// # Errors
/// When memory runs out.
pub fn deep_copy(tensor: &tch::Tensor) -> Result<tch::Tensor> {
    let detached = tensor.f_detach().at("copy")?;
    let mut copy = detached.f_empty_like().at("copy")?;
    copy.f_copy_(&detached).at("copy")?;
    Ok(copy)
}

/// The one value of a tensor as scripts know it: a float, an integer or a boolean, by element type.
///
/// # Errors
/// When there is not exactly one element.
pub fn scalar(tensor: &tch::Tensor) -> Result<Dynamic> {
    one_element(tensor)?;
    let index = vec![0; tensor.dim()];
    Ok(match kind_of(tensor) {
        Kind::Bool => (tensor.f_int64_value(&index).at("item")? != 0).into(),
        kind if is_float(kind) => tensor.f_double_value(&index).at("item")?.into(),
        _ => tensor.f_int64_value(&index).at("item")?.into(),
    })
}

/// All elements in row-major order on the host, as floats.
///
/// # Errors
/// When the copy fails.
pub fn floats(tensor: &tch::Tensor) -> Result<Vec<f64>> {
    let host = tensor.f_detach().and_then(|t| t.f_to_device(Device::Cpu)).and_then(|t| t.f_to_kind(Kind::Double));
    let host = host.and_then(|t| t.f_contiguous()).at("to_array")?;
    let mut values = vec![0.0; host.numel()];
    let count = values.len();
    host.f_copy_data(&mut values, count).at("to_array")?;
    Ok(values)
}

/// All elements in row-major order on the host, as integers.
///
/// # Errors
/// When the copy fails.
pub fn integers(tensor: &tch::Tensor) -> Result<Vec<i64>> {
    let host = tensor.f_detach().and_then(|t| t.f_to_device(Device::Cpu)).and_then(|t| t.f_to_kind(Kind::Int64));
    let host = host.and_then(|t| t.f_contiguous()).at("to_array")?;
    let mut values = vec![0; host.numel()];
    let count = values.len();
    host.f_copy_data(&mut values, count).at("to_array")?;
    Ok(values)
}

/// The elements as nested arrays of floats, integers or booleans; a tensor of rank 0 becomes a plain value.
///
/// # Errors
/// When the copy to the host fails.
pub fn nested(tensor: &tch::Tensor) -> Result<Dynamic> {
    let flat: Vec<Dynamic> = match kind_of(tensor) {
        Kind::Bool => integers(tensor)?.into_iter().map(|v| Dynamic::from(v != 0)).collect(),
        kind if is_float(kind) => floats(tensor)?.into_iter().map(Dynamic::from).collect(),
        _ => integers(tensor)?.into_iter().map(Dynamic::from).collect(),
    };
    Ok(nest(&tensor.size(), &mut flat.into_iter()))
}

fn nest(shape: &[i64], values: &mut impl Iterator<Item = Dynamic>) -> Dynamic {
    match shape.split_first() {
        None => values.next().unwrap_or_default(),
        Some((size, rest)) => (0..*size).map(|_| nest(rest, values)).collect::<Vec<_>>().into(),
    }
}

/// The tensor with another element type (`"f64"`) or on another device (`"cuda"`).
///
/// # Errors
/// A word that is neither, or a device that is not there.
pub fn convert(tensor: &tch::Tensor, to: &str) -> Result<tch::Tensor> {
    if to.starts_with("cpu") || to.starts_with("cuda") {
        return tensor.f_to_device(usable_device("to", to)?).at("to");
    }
    cast("to", tensor, parse_kind(to)?, Fractions::Cut)
}

/// What scripts see of a tensor value.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::runtime::run::device_name;
    use crate::runtime::{Error, Script};
    use rhai::{Array, Dynamic};

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
        tensor.size().into_iter().map(Dynamic::from).collect()
    }

    /// The element type: `"f32"`, `"f64"`, `"f16"`, `"bf16"`, `"i64"`, `"u8"` or `"bool"`.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2]).dtype == "i64");
    /// ```
    #[rhai_fn(get = "dtype", pure)]
    pub fn dtype(tensor: &mut Tensor) -> String {
        crate::tensor::dtype::kind_name(crate::tensor::dtype::kind_of(tensor)).into()
    }

    /// Where the elements live: `"cpu"` or `"cuda:0"`.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0], #{ device: "cpu" }).device == "cpu");
    /// ```
    #[rhai_fn(get = "device", pure)]
    pub fn device(tensor: &mut Tensor) -> String {
        device_name(tensor.device())
    }

    /// The number of dimensions.
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3]).rank == 2);
    /// ```
    #[rhai_fn(get = "rank", pure)]
    pub fn rank(tensor: &mut Tensor) -> i64 {
        tensor.dim() as i64
    }

    /// The number of elements.
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3]).numel == 6);
    /// ```
    #[rhai_fn(get = "numel", pure)]
    pub fn numel(tensor: &mut Tensor) -> i64 {
        tensor.numel() as i64
    }

    /// The size of the first dimension.
    ///
    /// # Example
    /// ```rhai
    /// assert(zeros([2, 3]).len == 2 && len(zeros([5])) == 5);
    /// ```
    #[rhai_fn(name = "len", get = "len", pure, return_raw)]
    pub fn len(tensor: &mut Tensor) -> Script<i64> {
        let first = tensor.size().first().copied();
        Ok(first.ok_or_else(|| Error::new("len", "a tensor of rank 0 has no first dimension"))?)
    }

    /// The value of a tensor with one element: a float, an integer or a boolean, by element type.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.0]).sum().item() == 3.0);
    /// assert(tensor([[7]]).item() == 7);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn item(tensor: Tensor) -> Script<Dynamic> {
        Ok(super::scalar(&tensor)?)
    }

    /// The elements as nested arrays of floats, integers or booleans.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1, 2], [3, 4]]).to_array() == [[1, 2], [3, 4]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn to_array(tensor: Tensor) -> Script<Dynamic> {
        Ok(super::nested(&tensor)?)
    }

    /// A copy with storage of its own, cut from the autograd graph.
    ///
    /// # Example
    /// ```rhai
    /// let a = tensor([1.0, 2.0]);
    /// let b = a.copy();
    /// b[0] = 9.0;
    /// assert(a[0].item() == 1.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn copy(tensor: Tensor) -> Script<Tensor> {
        Ok(tensor.deep_copy()?)
    }

    /// The tensor with another element type (`"f64"`) or on another device (`"cuda"`, `"cuda:1"`, `"cpu"`). No copy when it is
    /// so already.
    ///
    /// Floats that become integers lose their fraction; NaN, infinities and numbers beyond the range are an error that counts
    /// them. Floats that become other floats round, to infinity where the new type ends. To a mask, all but 0 is true.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2]).to("f64").dtype == "f64" && tensor([1.9, -1.9]).to("i64") == tensor([1, -1]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn to(tensor: Tensor, target: &str) -> Script<Tensor> {
        Ok(super::convert(&tensor, target)?.into())
    }

    /// Whether two tensors are the same handle, or equal in shape and in every value (NaN is equal to nothing, except
    /// through the same handle). For a mask of equal elements use `eq`.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2]) == tensor([1, 2]));
    /// assert(!(tensor([1, 2]) == tensor([[1, 2]])));
    /// ```
    #[rhai_fn(name = "==", return_raw)]
    pub fn equals(left: Tensor, right: Tensor) -> Script<bool> {
        Ok(super::same(&left, &right)?)
    }

    #[rhai_fn(name = "==", return_raw)]
    pub fn equals_float(left: Tensor, right: f64) -> Script<bool> {
        Ok(super::same_number(&left, right)?)
    }

    #[rhai_fn(name = "==", return_raw)]
    pub fn equals_int(left: Tensor, right: i64) -> Script<bool> {
        Ok(super::same_number(&left, right as f64)?)
    }

    #[rhai_fn(name = "==", return_raw)]
    pub fn float_equals(left: f64, right: Tensor) -> Script<bool> {
        Ok(super::same_number(&right, left)?)
    }

    #[rhai_fn(name = "==", return_raw)]
    pub fn int_equals(left: i64, right: Tensor) -> Script<bool> {
        Ok(super::same_number(&right, left as f64)?)
    }

    /// Whether two tensors differ in shape or in any value. For a mask of differing elements use `ne`.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2]) != tensor([1, 3]));
    /// ```
    #[rhai_fn(name = "!=", return_raw)]
    pub fn differs(left: Tensor, right: Tensor) -> Script<bool> {
        Ok(!super::same(&left, &right)?)
    }

    #[rhai_fn(name = "!=", return_raw)]
    pub fn differs_float(left: Tensor, right: f64) -> Script<bool> {
        Ok(!super::same_number(&left, right)?)
    }

    #[rhai_fn(name = "!=", return_raw)]
    pub fn differs_int(left: Tensor, right: i64) -> Script<bool> {
        Ok(!super::same_number(&left, right as f64)?)
    }

    #[rhai_fn(name = "!=", return_raw)]
    pub fn float_differs(left: f64, right: Tensor) -> Script<bool> {
        Ok(!super::same_number(&right, left)?)
    }

    #[rhai_fn(name = "!=", return_raw)]
    pub fn int_differs(left: i64, right: Tensor) -> Script<bool> {
        Ok(!super::same_number(&right, left as f64)?)
    }
}

/// Same handle, or equal in shape and values (whatever the element types).
fn same(left: &Tensor, right: &Tensor) -> Result<bool> {
    if left.is_same(right) {
        return Ok(true);
    }
    if left.size() != right.size() || left.device() != right.device() {
        return Ok(false);
    }
    if kind_of(left) == kind_of(right) {
        return left.f_equal(right).at("==");
    }
    let all = left.f_eq_tensor(right).and_then(|mask| mask.f_all()).at("==")?;
    Ok(all.f_int64_value(&[]).at("==")? != 0)
}

/// Whether a tensor with one element has this value; with more of them a mask was probably meant.
fn same_number(tensor: &Tensor, value: f64) -> Result<bool> {
    if tensor.numel() != 1 {
        let message = format!("compares as a whole, and a tensor of shape {:?} is no single number", tensor.size());
        return Err(Error::new("==", message).hint("`t.eq(x)` and `t.ne(x)` give masks"));
    }
    Ok(tensor.item()? == value)
}
