//! Reductions: over all elements, or over dimensions.

use super::dtype::{dimensions, integers, is_float, kind_of};
use super::overflow::refuse_reduced;
use crate::runtime::{At, Error, Options, Result};
use crate::tensor::shape_errors::scalar;
use rhai::{Dynamic, Map};
use tch::Kind;

/// What a reduction runs over.
#[derive(Debug, Clone, Default)]
pub struct Over {
    /// The dimensions, checked; empty when the tensor has rank 0.
    pub dims: Vec<i64>,
    /// Whether all elements are meant rather than some dimensions.
    pub all: bool,
    /// Reduced dimensions stay with size 1.
    pub keepdim: bool,
}

impl Over {
    /// Over all elements.
    pub fn everything(tensor: &tch::Tensor) -> Self {
        Self { dims: (0..tensor.dim() as i64).collect(), all: true, keepdim: false }
    }

    /// Reads `(tensor)`, `(tensor, dims)`, `(tensor, options)` or `(tensor, dims, options)`; `extra` reads options of its own.
    fn read(
        operation: &str,
        tensor: &tch::Tensor,
        dims: Dynamic,
        options: Map,
        extra: impl FnOnce(&mut Options) -> Result<()>,
    ) -> Result<Self> {
        let (dims, options) = match dims.is_map() {
            true => (Dynamic::UNIT, dims.cast::<Map>()),
            false => (dims, options),
        };
        let mut options = Options::new(operation, options);
        let keepdim = options.flag("keepdim", false)?;
        extra(&mut options)?;
        options.finish()?;
        if dims.is_unit() {
            return Ok(Self { keepdim, ..Self::everything(tensor) });
        }
        let dims = dimensions(operation, tensor.dim(), &integers(operation, "the dimension", &dims)?)?;
        Ok(Self { dims, all: false, keepdim })
    }

    /// The single dimension, for reductions that take no more than one.
    fn single(&self, operation: &str) -> Result<Option<i64>> {
        match (self.all, self.dims.as_slice()) {
            (true, _) => Ok(None),
            (false, [dim]) => Ok(Some(*dim)),
            (false, dims) => Err(Error::new(operation, format!("takes one dimension, got {dims:?}"))),
        }
    }
}

/// Integers and masks as f32, floats as they are.
///
/// # Errors
/// When memory runs out.
pub fn floating(tensor: &tch::Tensor) -> Result<tch::Tensor> {
    match is_float(kind_of(tensor)) {
        true => Ok(tensor.shallow_clone()),
        false => tensor.f_to_kind(Kind::Float).at("to"),
    }
}

/// Refuses reductions that have no value over nothing.
fn not_empty(operation: &str, tensor: &tch::Tensor, over: &Over) -> Result<()> {
    let shape = tensor.size();
    let reduced = over.dims.iter().filter_map(|dim| shape.get(usize::try_from(*dim).ok()?));
    if reduced.into_iter().any(|size| *size == 0) {
        return Err(Error::new(operation, format!("of nothing: the tensor has shape {shape:?}")));
    }
    Ok(())
}

fn sum(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    let total = |t: &tch::Tensor| t.f_sum_dim_intlist(over.dims.as_slice(), over.keepdim, None::<Kind>).at("sum");
    let result = total(t)?;
    refuse_reduced("sum", t, &result, total)?;
    Ok(result)
}

fn mean(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    floating(t)?.f_mean_dim(over.dims.as_slice(), over.keepdim, None::<Kind>).at("mean")
}

fn prod(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    let dim = over.single("prod")?;
    let product = |t: &tch::Tensor| match dim {
        Some(dim) => t.f_prod_dim_int(dim, over.keepdim, None::<Kind>).at("prod"),
        None => keep(t, over, t.f_prod(None::<Kind>).at("prod")?),
    };
    let result = product(t)?;
    refuse_reduced("prod", t, &result, product)?;
    Ok(result)
}

/// A full reduction in the shape that `keepdim` asks for.
fn keep(t: &tch::Tensor, over: &Over, result: tch::Tensor) -> Result<tch::Tensor> {
    if over.keepdim { result.f_reshape(vec![1; t.dim()]).at("reshape") } else { Ok(result) }
}

fn amax(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    not_empty("max", t, over)?;
    t.f_amax(over.dims.as_slice(), over.keepdim).at("max")
}

fn amin(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    not_empty("min", t, over)?;
    t.f_amin(over.dims.as_slice(), over.keepdim).at("min")
}

fn any(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    t.f_any_dims(over.dims.as_slice(), over.keepdim).at("any")
}

fn all(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    t.f_all_dims(over.dims.as_slice(), over.keepdim).at("all")
}

fn logsumexp(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    floating(t)?.f_logsumexp(over.dims.as_slice(), over.keepdim).at("logsumexp")
}

fn median(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    not_empty("median", t, over)?;
    match over.single("median")? {
        Some(dim) => Ok(t.f_median_dim(dim, over.keepdim).at("median")?.0),
        None => keep(t, over, t.f_median().at("median")?),
    }
}

fn argmax(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    not_empty("argmax", t, over)?;
    t.f_argmax(over.single("argmax")?, over.keepdim).at("argmax")
}

fn argmin(t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    not_empty("argmin", t, over)?;
    t.f_argmin(over.single("argmin")?, over.keepdim).at("argmin")
}

/// Variance or its root: the divisor is the count less `correction`.
fn spread(operation: &str, t: &tch::Tensor, over: &Over, correction: f64) -> Result<tch::Tensor> {
    let t = floating(t)?;
    let dims = over.dims.as_slice();
    let size = t.size();
    let place = |dim: &i64| if *dim < 0 { dim + size.len() as i64 } else { *dim };
    let count: i64 = dims.iter().filter_map(|dim| size.get(place(dim) as usize)).product();
    if count as f64 <= correction {
        return undefined_spread(operation, &t, over);
    }
    match operation {
        "std" => scalar(|| t.f_std_correction(dims, correction, over.keepdim)).at(operation),
        _ => scalar(|| t.f_var_correction(dims, correction, over.keepdim)).at(operation),
    }
}

/// The spread of as many values as the correction takes away, or fewer: the squares divided by zero, as torch does, but
/// without the warning that it writes past everybody to stderr.
fn undefined_spread(operation: &str, t: &tch::Tensor, over: &Over) -> Result<tch::Tensor> {
    let dims = over.dims.as_slice();
    let kind = kind_of(t);
    let squares = || {
        let centred = t.f_sub(&t.f_mean_dim(dims, true, kind)?)?;
        centred.f_square()?.f_sum_dim_intlist(dims, over.keepdim, kind)
    };
    let divided = squares().at(operation)?;
    let variance = scalar(|| divided.f_div_scalar(0.0)).at(operation)?;
    if operation == "std" { variance.f_sqrt().at(operation) } else { Ok(variance) }
}

/// `std` and `var` of scripts.
fn read_spread(operation: &str, t: &tch::Tensor, dims: Dynamic, options: Map) -> Result<tch::Tensor> {
    let mut correction = 1.0;
    let over = Over::read(operation, t, dims, options, |o| {
        correction = o.non_negative("correction", 1.0)?;
        Ok(())
    })?;
    spread(operation, t, &over, correction)
}

/// `norm` of scripts: the p-norm of the elements.
fn read_norm(t: &tch::Tensor, dims: Dynamic, options: Map) -> Result<tch::Tensor> {
    let mut p = 2.0;
    let over = Over::read("norm", t, dims, options, |o| {
        if let Some(order) = o.take("p", "number", 2.0) {
            p = super::dtype::number("norm", "`p`", &order)?;
        }
        Ok(())
    })?;
    let t = floating(t)?;
    scalar(|| t.f_norm_scalaropt_dim(p, over.dims.as_slice(), over.keepdim)).at("norm")
}

/// `quantile` of scripts, by linear interpolation.
fn read_quantile(t: &tch::Tensor, q: &Dynamic, dims: Dynamic, options: Map) -> Result<tch::Tensor> {
    const OPERATION: &str = "quantile";
    let over = Over::read(OPERATION, t, dims, options, |_| Ok(()))?;
    not_empty(OPERATION, t, &over)?;
    let t = floating(t)?;
    let levels = super::plain::nested::from_value(q)?;
    let values = super::value::floats(&levels)?;
    if let Some(bad) = values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
        return Err(Error::new(OPERATION, format!("levels are between 0 and 1, got {bad}")));
    }
    let levels = levels.f_to_kind(kind_of(&t)).and_then(|l| l.f_to_device(t.device())).at(OPERATION)?;
    t.f_quantile(&levels, over.single(OPERATION)?, over.keepdim, "linear").at(OPERATION)
}

/// One module a reduction: all elements, dimensions, dimensions and options.
macro_rules! reductions {
    ($( $(#[$($doc:tt)*])* $module:ident [$($name:tt),+] ($operation:literal, $call:path); )*) => { $(
        #[doc = concat!("`", $operation, "` in scripts.")]
        #[rhai::export_module]
        pub mod $module {
            use crate::runtime::Script;
            use crate::tensor::reduce::Over;
            use rhai::{Dynamic, Map};
            type Tensor = crate::tensor::Tensor;

            $(#[$($doc)*])*
            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn everything(tensor: Tensor) -> Script<Tensor> {
                Ok($call(&tensor, &Over::everything(&tensor))?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn over(tensor: Tensor, dims: Dynamic) -> Script<Tensor> {
                with_options(tensor, dims, Map::new())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn with_options(tensor: Tensor, dims: Dynamic, options: Map) -> Script<Tensor> {
                let over = Over::read($operation, &tensor, dims, options, |_| Ok(()))?;
                Ok($call(&tensor, &over)?.into())
            }
        }
    )* };
}

reductions! {
    /// Sum of the elements, of all or over dimensions; also of an array of numbers. Counts the true elements of a mask.
    ///
    /// # Signature
    /// sum(tensor: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// let t = tensor([[1, 2], [3, 4]]);
    /// assert(t.sum().item() == 10 && t.sum(0) == tensor([4, 6]));
    /// assert(t.sum(1, #{ keepdim: true }).shape == [2, 1]);
    /// ```
    sums ["sum"] ("sum", super::sum);

    /// Mean of the elements, of all or over dimensions; also of an array of numbers. Masks and integers count as f32.
    ///
    /// # Signature
    /// mean(tensor: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1.0, 2.0], [3.0, 4.0]]).mean(0) == tensor([2.0, 3.0]));
    /// assert((tensor([1, 2, 3, 4]) > 1).mean().item() == 0.75);
    /// ```
    means ["mean"] ("mean", super::mean);

    /// Product of the elements, of all or over one dimension.
    ///
    /// # Signature
    /// prod(tensor: Tensor[, dim: int], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): the reduced dimension stays with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([2, 3, 4]).prod().item() == 24);
    /// ```
    prods ["prod"] ("prod", super::prod);

    /// Largest element, of all or over dimensions (`argmax` gives its place, `maximum` compares two tensors). NaN wins.
    ///
    /// # Signature
    /// max(tensor: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1, 5], [3, 4]]).max(1) == tensor([5, 4]));
    /// ```
    maxima ["max", "amax"] ("max", super::amax);

    /// Smallest element, of all or over dimensions (`argmin` gives its place, `minimum` compares two tensors). NaN wins.
    ///
    /// # Signature
    /// min(tensor: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1, 5], [3, 4]]).min().item() == 1);
    /// ```
    minima ["min", "amin"] ("min", super::amin);

    /// Whether any element is true (not zero), of all or over dimensions.
    ///
    /// # Signature
    /// any(mask: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert((tensor([1, 2]) > 1).any().item());
    /// ```
    anys ["any"] ("any", super::any);

    /// Whether all elements are true (not zero), of all or over dimensions.
    ///
    /// # Signature
    /// all(mask: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert((tensor([[1, 2], [0, 3]]) > 0).all(1) == tensor([true, false]));
    /// ```
    alls ["all"] ("all", super::all);

    /// Logarithm of the sum of exp of the elements, without overflow, of all or over dimensions.
    ///
    /// # Signature
    /// logsumexp(tensor: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert_close(logsumexp(tensor([1000.0, 1000.0])), tensor(1000.6931));
    /// ```
    logsumexps ["logsumexp"] ("logsumexp", super::logsumexp);

    /// Median, of all elements or over one dimension; of an even number the lower middle one.
    ///
    /// # Signature
    /// median(tensor: Tensor[, dim: int], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): the reduced dimension stays with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([3.0, 1.0, 2.0]).median().item() == 2.0);
    /// ```
    medians ["median"] ("median", super::median);

    /// Place of the largest element: in row-major order of all, or over one dimension. Also of an array.
    ///
    /// # Signature
    /// argmax(tensor: Tensor[, dim: int], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): the reduced dimension stays with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1, 5], [3, 4]]).argmax(1) == tensor([1, 1]));
    /// ```
    argmaxs ["argmax"] ("argmax", super::argmax);

    /// Place of the smallest element: in row-major order of all, or over one dimension. Also of an array.
    ///
    /// # Signature
    /// argmin(tensor: Tensor[, dim: int], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): the reduced dimension stays with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([4, 2, 8]).argmin().item() == 1);
    /// ```
    argmins ["argmin"] ("argmin", super::argmin);
}

/// Reductions with options of their own.
#[rhai::export_module]
pub mod script {
    use super::{read_norm, read_quantile, read_spread};
    use crate::runtime::Script;
    use rhai::{Dynamic, Map};

    type Tensor = crate::tensor::Tensor;

    /// Standard deviation, of all elements or over dimensions; also of an array of numbers.
    ///
    /// # Signature
    /// std(tensor: Tensor[, dims: int | array], #{ correction: float = 1, keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `correction` (float, 1): what the divisor is less than the count; 0 for the population's
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert_close(tensor([1.0, 3.0]).std(), tensor(1.4142135));
    /// assert(tensor([1.0, 3.0]).std(#{ correction: 0 }).item() == 1.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn std(tensor: Tensor) -> Script<Tensor> {
        Ok(read_spread("std", &tensor, Dynamic::UNIT, Map::new())?.into())
    }

    #[rhai_fn(name = "std", return_raw)]
    pub fn std_over(tensor: Tensor, dims: Dynamic) -> Script<Tensor> {
        Ok(read_spread("std", &tensor, dims, Map::new())?.into())
    }

    #[rhai_fn(name = "std", return_raw)]
    pub fn std_with(tensor: Tensor, dims: Dynamic, options: Map) -> Script<Tensor> {
        Ok(read_spread("std", &tensor, dims, options)?.into())
    }

    /// Variance, of all elements or over dimensions.
    ///
    /// # Signature
    /// variance(tensor: Tensor[, dims: int | array], #{ correction: float = 1, keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `correction` (float, 1): what the divisor is less than the count; 0 for the population's
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 3.0]).variance().item() == 2.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn variance(tensor: Tensor) -> Script<Tensor> {
        Ok(read_spread("variance", &tensor, Dynamic::UNIT, Map::new())?.into())
    }

    #[rhai_fn(name = "variance", return_raw)]
    pub fn variance_over(tensor: Tensor, dims: Dynamic) -> Script<Tensor> {
        Ok(read_spread("variance", &tensor, dims, Map::new())?.into())
    }

    #[rhai_fn(name = "variance", return_raw)]
    pub fn variance_with(tensor: Tensor, dims: Dynamic, options: Map) -> Script<Tensor> {
        Ok(read_spread("variance", &tensor, dims, options)?.into())
    }

    /// The p-norm of the elements (Euclidean), of all or over dimensions. `p` 0 counts the elements that are not zero.
    ///
    /// # Signature
    /// norm(tensor: Tensor[, dims: int | array], #{ p: float = 2, keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `p` (float, 2): the order of the norm
    /// - `keepdim` (bool, false): reduced dimensions stay with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([3.0, 4.0]).norm().item() == 5.0);
    /// assert(tensor([3.0, -4.0]).norm(0, #{ p: 1 }).item() == 7.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn norm(tensor: Tensor) -> Script<Tensor> {
        Ok(read_norm(&tensor, Dynamic::UNIT, Map::new())?.into())
    }

    #[rhai_fn(name = "norm", return_raw)]
    pub fn norm_over(tensor: Tensor, dims: Dynamic) -> Script<Tensor> {
        Ok(read_norm(&tensor, dims, Map::new())?.into())
    }

    #[rhai_fn(name = "norm", return_raw)]
    pub fn norm_with(tensor: Tensor, dims: Dynamic, options: Map) -> Script<Tensor> {
        Ok(read_norm(&tensor, dims, options)?.into())
    }

    /// The value below which a share `q` of the elements lies, by linear interpolation, of all or over one dimension; an
    /// array of levels adds a first dimension.
    ///
    /// # Signature
    /// quantile(tensor: Tensor, q: float | array[, dim: int], #{ keepdim: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `keepdim` (bool, false): the reduced dimension stays with size 1
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.0, 3.0, 4.0]).quantile(0.5).item() == 2.5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn quantile(tensor: Tensor, q: Dynamic) -> Script<Tensor> {
        Ok(read_quantile(&tensor, &q, Dynamic::UNIT, Map::new())?.into())
    }

    #[rhai_fn(name = "quantile", return_raw)]
    pub fn quantile_over(tensor: Tensor, q: Dynamic, dim: Dynamic) -> Script<Tensor> {
        Ok(read_quantile(&tensor, &q, dim, Map::new())?.into())
    }

    #[rhai_fn(name = "quantile", return_raw)]
    pub fn quantile_with(tensor: Tensor, q: Dynamic, dim: Dynamic, options: Map) -> Script<Tensor> {
        Ok(read_quantile(&tensor, &q, dim, options)?.into())
    }
}
