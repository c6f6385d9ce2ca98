//! Sorting, the largest few, distinct values, counts, places.

use crate::runtime::{At, Error, Options, Result};
use crate::tensor::dtype::{dimension, integer, kind_name, kind_of};
use crate::tensor::ops::linalg::map_of;
use rhai::{Dynamic, Map};
use tch::Kind;

/// Dimension and options of `sort(x)`, `sort(x, dim)`, `sort(x, options)`, `sort(x, dim, options)`; the last dimension unless
/// said otherwise.
fn dim_and_options(operation: &str, tensor: &tch::Tensor, dim: Dynamic, options: Map) -> Result<(i64, Options)> {
    let (dim, options) = match dim.is_map() {
        true => (Dynamic::UNIT, dim.cast::<Map>()),
        false => (dim, options),
    };
    // Rank 0 sorts as a vector of one.
    let rank = tensor.dim().max(1);
    let dim = if dim.is_unit() { -1 } else { integer(operation, "the dimension", &dim)? };
    Ok((dimension(operation, rank, dim)?, Options::new(operation, options)))
}

/// Sorted values and where they came from; equal elements keep their order.
///
/// # Errors
/// When memory runs out.
pub fn sort(tensor: &tch::Tensor, dim: i64, descending: bool) -> Result<(tch::Tensor, tch::Tensor)> {
    tensor.f_sort_stable(true, dim, descending).at("sort")
}

fn read_sort(operation: &str, tensor: &tch::Tensor, dim: Dynamic, options: Map) -> Result<(tch::Tensor, tch::Tensor)> {
    let (dim, mut options) = dim_and_options(operation, tensor, dim, options)?;
    let descending = options.flag("descending", false)?;
    options.finish()?;
    sort(tensor, dim, descending)
}

/// The k largest (or smallest) elements of a dimension and their places.
fn read_topk(tensor: &tch::Tensor, k: i64, dim: Dynamic, options: Map) -> Result<Map> {
    let (dim, mut options) = dim_and_options("topk", tensor, dim, options)?;
    let largest = options.flag("largest", true)?;
    options.finish()?;
    let size = tensor.size().get(dim as usize).copied().unwrap_or(1);
    if !(0..=size).contains(&k) {
        return Err(Error::new("topk", format!("{k} of the {size} elements of dimension {dim}")));
    }
    let (values, indices) = tensor.f_topk(k, dim, largest, true).at("topk")?;
    Ok(map_of([("values", values), ("indices", indices)]))
}

/// The distinct values in ascending order, which of them each element is, and how often each occurs.
///
/// # Errors
/// When memory runs out.
pub fn unique(tensor: &tch::Tensor) -> Result<(tch::Tensor, tch::Tensor, tch::Tensor)> {
    tensor.f_internal_unique2(true, true, true).at("unique")
}

/// How often each of 0..bins occurs (or the sum of the weights there).
///
/// # Errors
/// Anything but a vector of integers of 0 or above.
pub fn bincount(tensor: &tch::Tensor, bins: i64, weights: Option<&tch::Tensor>) -> Result<tch::Tensor> {
    const OPERATION: &str = "bincount";
    let kind = kind_of(tensor);
    if tensor.dim() != 1 || !matches!(kind, Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8) {
        let message = format!("needs a vector of integers, got shape {:?} of {}", tensor.size(), kind_name(kind));
        return Err(Error::new(OPERATION, message));
    }
    if bins < 0 {
        return Err(Error::new(OPERATION, format!("the number of bins is 0 or above, got {bins}")));
    }
    if tensor.numel() > 0 {
        let (low, high) = tensor.f_aminmax(None::<i64>, false).at(OPERATION)?;
        let (low, high) = (low.f_int64_value(&[]).at(OPERATION)?, high.f_int64_value(&[]).at(OPERATION)?);
        if low < 0 {
            return Err(Error::new(OPERATION, format!("counts integers of 0 or above, got {low}")));
        }
        super::dtype::elements(OPERATION, &[high.saturating_add(1)], 8)?;
    }
    tensor.f_bincount(weights, bins).at(OPERATION)
}

fn read_bincount(tensor: &tch::Tensor, bins: i64, options: Map) -> Result<tch::Tensor> {
    let mut options = Options::new("bincount", options);
    let weights = options.maybe::<crate::tensor::Tensor>("weights", "Tensor")?;
    options.finish()?;
    if let Some(weights) = weights.as_ref().filter(|w| w.size() != tensor.size()) {
        let message = format!("weights of shape {:?} for elements of shape {:?}", weights.size(), tensor.size());
        return Err(Error::new("bincount", message));
    }
    bincount(tensor, bins, weights.as_ref().map(AsRef::as_ref))
}

/// Rows of zeros with a one at each label.
///
/// # Errors
/// Labels outside 0..classes, other element types than i64.
pub fn one_hot(labels: &tch::Tensor, classes: i64) -> Result<tch::Tensor> {
    let kind = kind_of(labels);
    if kind != Kind::Int64 {
        return Err(Error::new("one_hot", format!("labels are i64, got {}", kind_name(kind))));
    }
    let numbers = super::value::integers(labels)?;
    if let Some(bad) = numbers.iter().find(|label| !(0..classes).contains(*label)) {
        return Err(Error::new(
            "one_hot",
            format!("label {bad} is not one of {classes} classes (0 to {})", classes - 1),
        ));
    }
    labels.f_one_hot(classes).at("one_hot")
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::{map_of, read_bincount, read_sort, read_topk};
    use crate::runtime::{At, Error, Script};
    use rhai::{Dynamic, Map};

    type Tensor = crate::tensor::Tensor;

    /// The elements sorted along a dimension (the last): a map with `values` and `indices`, where they came from. Equal
    /// elements keep their order. (Of an array, `sort` sorts in place.)
    ///
    /// # Signature
    /// sort(tensor: Tensor[, dim: int], #{ descending: bool = false }) -> map
    ///
    /// # Options
    /// - `descending` (bool, false): largest first
    ///
    /// # Example
    /// ```rhai
    /// let s = tensor([3, 1, 2]).sort();
    /// assert(s.values == tensor([1, 2, 3]) && s.indices == tensor([1, 2, 0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sort(tensor: Tensor) -> Script<Map> {
        sort_with(tensor, Dynamic::UNIT, Map::new())
    }

    #[rhai_fn(name = "sort", return_raw)]
    pub fn sort_over(tensor: Tensor, dim: Dynamic) -> Script<Map> {
        sort_with(tensor, dim, Map::new())
    }

    #[rhai_fn(name = "sort", return_raw)]
    pub fn sort_with(tensor: Tensor, dim: Dynamic, options: Map) -> Script<Map> {
        let (values, indices) = read_sort("sort", &tensor, dim, options)?;
        Ok(map_of([("values", values), ("indices", indices)]))
    }

    /// The places of the elements in sorted order along a dimension (the last).
    ///
    /// # Signature
    /// argsort(tensor: Tensor[, dim: int], #{ descending: bool = false }) -> Tensor
    ///
    /// # Options
    /// - `descending` (bool, false): largest first
    ///
    /// # Example
    /// ```rhai
    /// assert(argsort(tensor([3, 1, 2]), #{ descending: true }) == tensor([0, 2, 1]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn argsort(tensor: Tensor) -> Script<Tensor> {
        argsort_with(tensor, Dynamic::UNIT, Map::new())
    }

    #[rhai_fn(name = "argsort", return_raw)]
    pub fn argsort_over(tensor: Tensor, dim: Dynamic) -> Script<Tensor> {
        argsort_with(tensor, dim, Map::new())
    }

    #[rhai_fn(name = "argsort", return_raw)]
    pub fn argsort_with(tensor: Tensor, dim: Dynamic, options: Map) -> Script<Tensor> {
        Ok(read_sort("argsort", &tensor, dim, options)?.1.into())
    }

    /// The `k` largest elements along a dimension (the last), largest first: a map with `values` and `indices`.
    ///
    /// # Signature
    /// topk(tensor: Tensor, k: int[, dim: int], #{ largest: bool = true }) -> map
    ///
    /// # Options
    /// - `largest` (bool, true): false for the smallest
    ///
    /// # Example
    /// ```rhai
    /// assert(topk(tensor([3, 1, 2]), 2).values == tensor([3, 2]));
    /// assert(topk(tensor([3, 1, 2]), 1, #{ largest: false }).indices == tensor([1]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn topk(tensor: Tensor, k: i64) -> Script<Map> {
        Ok(read_topk(&tensor, k, Dynamic::UNIT, Map::new())?)
    }

    #[rhai_fn(name = "topk", return_raw)]
    pub fn topk_over(tensor: Tensor, k: i64, dim: Dynamic) -> Script<Map> {
        Ok(read_topk(&tensor, k, dim, Map::new())?)
    }

    #[rhai_fn(name = "topk", return_raw)]
    pub fn topk_with(tensor: Tensor, k: i64, dim: Dynamic, options: Map) -> Script<Map> {
        Ok(read_topk(&tensor, k, dim, options)?)
    }

    /// The distinct values of a tensor in ascending order.
    ///
    /// # Example
    /// ```rhai
    /// assert(unique(tensor([3, 1, 3])) == tensor([1, 3]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn unique(tensor: Tensor) -> Script<Tensor> {
        Ok(super::unique(&tensor)?.0.into())
    }

    /// The distinct values in ascending order (`values`), how often each occurs (`counts`), and which of them each element is
    /// (`inverse`, of the tensor's shape).
    ///
    /// # Example
    /// ```rhai
    /// let u = unique_counts(tensor([3, 1, 3]));
    /// assert(u.values == tensor([1, 3]) && u.counts == tensor([1, 2]) && u.inverse == tensor([1, 0, 1]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn unique_counts(tensor: Tensor) -> Script<Map> {
        let (values, inverse, counts) = super::unique(&tensor)?;
        Ok(map_of([("values", values), ("inverse", inverse), ("counts", counts)]))
    }

    /// How often each integer from 0 occurs in a vector, with at least `bins` places; or the sums of weights.
    ///
    /// # Signature
    /// bincount(tensor: Tensor[n], bins: int = 0, #{ weights: Tensor[n] }) -> Tensor
    ///
    /// # Options
    /// - `weights` (Tensor[n], 1 each): what an element adds to its place
    ///
    /// # Example
    /// ```rhai
    /// assert(bincount(tensor([0, 2, 2]), 4) == tensor([1, 0, 2, 0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn bincount(tensor: Tensor) -> Script<Tensor> {
        Ok(read_bincount(&tensor, 0, Map::new())?.into())
    }

    #[rhai_fn(name = "bincount", return_raw)]
    pub fn bincount_to(tensor: Tensor, bins: i64) -> Script<Tensor> {
        Ok(read_bincount(&tensor, bins, Map::new())?.into())
    }

    #[rhai_fn(name = "bincount", return_raw)]
    pub fn bincount_with(tensor: Tensor, bins: i64, options: Map) -> Script<Tensor> {
        Ok(read_bincount(&tensor, bins, options)?.into())
    }

    /// The places of the elements that are not zero: one row each, one column a dimension.
    ///
    /// # Example
    /// ```rhai
    /// assert(nonzero(tensor([0, 5, 7])) == tensor([[1], [2]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn nonzero(tensor: Tensor) -> Script<Tensor> {
        Ok(tensor.f_nonzero().at("nonzero")?.into())
    }

    /// Labels as rows of zeros with a one, i64.
    ///
    /// # Signature
    /// one_hot(labels: Tensor[..], classes: int) -> Tensor[.., classes]
    ///
    /// # Example
    /// ```rhai
    /// assert(one_hot(tensor([0, 2]), 3) == tensor([[1, 0, 0], [0, 0, 1]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn one_hot(labels: Tensor, classes: i64) -> Script<Tensor> {
        Ok(super::one_hot(&labels, classes)?.into())
    }

    /// Sums of the elements up to each place of a dimension (0).
    ///
    /// # Signature
    /// cumsum(tensor: Tensor, dim: int = 0) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(cumsum(tensor([1, 2, 3])) == tensor([1, 3, 6]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cumsum(tensor: Tensor) -> Script<Tensor> {
        cumsum_over(tensor, 0)
    }

    #[rhai_fn(name = "cumsum", return_raw)]
    pub fn cumsum_over(tensor: Tensor, dim: i64) -> Script<Tensor> {
        let dim = crate::tensor::dtype::dimension("cumsum", tensor.dim(), dim)?;
        let along = |t: &tch::Tensor| t.f_cumsum(dim, None::<tch::Kind>).at("cumsum");
        let result = along(&tensor)?;
        crate::tensor::overflow::refuse_reduced("cumsum", &tensor, &result, along)?;
        Ok(result.into())
    }

    /// Products of the elements up to each place of a dimension (0).
    ///
    /// # Signature
    /// cumprod(tensor: Tensor, dim: int = 0) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(cumprod(tensor([1, 2, 3])) == tensor([1, 2, 6]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cumprod(tensor: Tensor) -> Script<Tensor> {
        cumprod_over(tensor, 0)
    }

    #[rhai_fn(name = "cumprod", return_raw)]
    pub fn cumprod_over(tensor: Tensor, dim: i64) -> Script<Tensor> {
        let dim = crate::tensor::dtype::dimension("cumprod", tensor.dim(), dim)?;
        let along = |t: &tch::Tensor| t.f_cumprod(dim, None::<tch::Kind>).at("cumprod");
        let result = along(&tensor)?;
        crate::tensor::overflow::refuse_reduced("cumprod", &tensor, &result, along)?;
        Ok(result.into())
    }

    /// The places at which the values would be inserted into a sorted vector, before equal elements.
    ///
    /// # Signature
    /// searchsorted(sorted: Tensor[n], values: Tensor) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(searchsorted(tensor([1.0, 2.0, 3.0]), tensor([2.0, 2.5])) == tensor([1, 2]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn searchsorted(sorted: Tensor, values: Tensor) -> Script<Tensor> {
        if sorted.dim() != 1 {
            return Err(Error::new("searchsorted", format!("needs a vector, got shape {:?}", sorted.size())).into());
        }
        let none = None::<&tch::Tensor>;
        Ok(values.f_searchsorted(&sorted, false, false, "left", none).at("searchsorted")?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorting_is_stable_and_loses_nothing(values in prop::collection::vec(-3_i64..3, 0..30)) {
            let (sorted, places) = sort(&tch::Tensor::from_slice(&values), 0, false).unwrap();
            let mut expected: Vec<(i64, i64)> = values.iter().copied().zip(0..).collect();
            expected.sort();
            let got = crate::tensor::value::integers(&sorted).unwrap().into_iter();
            let got: Vec<_> = got.zip(crate::tensor::value::integers(&places).unwrap()).collect();
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn counts_add_up(values in prop::collection::vec(0_i64..5, 0..30)) {
            let counts = bincount(&tch::Tensor::from_slice(&values), 5, None).unwrap();
            prop_assert_eq!(counts.sum(Kind::Int64).int64_value(&[]), values.len() as i64);
            prop_assert_eq!(counts.size(), vec![5]);
        }
    }

    #[test]
    fn labels_out_of_range_are_named() {
        let error = one_hot(&tch::Tensor::from_slice(&[0_i64, 10]), 10).unwrap_err().to_string();
        assert_eq!(error, "one_hot: label 10 is not one of 10 classes (0 to 9)");
        assert!(bincount(&tch::Tensor::from_slice(&[-1_i64]), 0, None).is_err());
        assert!(bincount(&tch::Tensor::from_slice(&[i64::MAX]), 0, None).is_err());
    }
}
