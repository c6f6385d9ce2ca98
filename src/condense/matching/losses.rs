//! What condensers match: mean embeddings of classes (DM: Zhao and Bilen, WACV 2023) and gradients of the loss (DC: Zhao,
//! Mopuri and Bilen, ICLR 2021).

use crate::runtime::options::describe;
use crate::runtime::{At, Error, Result};
use rhai::{Array, Dynamic};
use tch::{Device, Kind, Tensor};

/// The matrix `[groups, n]` that averages rows `[n, d]` over the groups they belong to: one product, differentiable and the
/// same on every device. A group without rows averages to 0.
///
/// # Errors
/// An owner that is no group.
pub fn averaging(owner: &[usize], groups: usize, device: Device) -> Result<Tensor> {
    let at = "match";
    let mut counts = vec![0_usize; groups];
    for group in owner {
        match counts.get_mut(*group) {
            Some(count) => *count += 1,
            None => return Err(Error::new(at, format!("a row belongs to group {group} of {groups}"))),
        }
    }
    let n = owner.len();
    let mut weights = vec![0_f32; groups * n];
    for (row, group) in owner.iter().enumerate() {
        if let (Some(weight), Some(count)) = (weights.get_mut(group * n + row), counts.get(*group)) {
            *weight = 1.0 / *count as f32;
        }
    }
    let weights = Tensor::f_from_slice(&weights).at(at)?.f_to_device(device).at(at)?;
    weights.f_reshape([groups as i64, n as i64]).at(at)
}

/// Squared Euclidean distance between the rows of two matrices `[groups, d]`: `[groups]`.
///
/// # Errors
/// Shapes that differ.
pub fn squared_distances(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let difference = a.f_sub(b).on("distribution_match", &[a, b])?;
    difference
        .f_square()
        .at("distribution_match")?
        .f_sum_dim_intlist(&[1_i64][..], false, Kind::Float)
        .at("distribution_match")
}

/// How far gradients are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// One minus the cosine of every output's weights, summed over outputs and layers; biases and the like do not count.
    Layers,
    /// Squared Euclidean distance of all of them together.
    Squared,
    /// One minus the cosine of all of them together.
    Cosine,
}

impl Distance {
    /// The names scripts use.
    pub const NAMES: [&'static str; 3] = ["layers", "squared", "cosine"];

    /// From the name.
    pub fn named(name: &str) -> Self {
        match name {
            "squared" => Self::Squared,
            "cosine" => Self::Cosine,
            _ => Self::Layers,
        }
    }
}

/// Keeps a quotient of norms finite; the publication's.
const EPSILON: f64 = 1e-6;

/// The distance of two lists of gradients of the same parameters, a single number that can be differentiated.
///
/// # Errors
/// Lists of different lengths or shapes.
pub fn gradient_distance(a: &[Tensor], b: &[Tensor], distance: Distance) -> Result<Tensor> {
    let at = "gradient_match";
    let shapes = |list: &[Tensor]| list.iter().map(Tensor::size).collect::<Vec<_>>();
    if a.is_empty() || shapes(a) != shapes(b) {
        let message =
            format!("needs two lists of gradients of the same shapes, got {:?} and {:?}", shapes(a), shapes(b));
        return Err(Error::new(at, message));
    }
    match distance {
        Distance::Layers => {
            let pairs = a.iter().zip(b).filter(|(a, _)| a.dim() > 1);
            let layers: Vec<Tensor> = pairs.map(|(a, b)| layer_distance(a, b)).collect::<Result<_>>()?;
            match layers.is_empty() {
                true => Err(Error::new(
                    at,
                    "none of the gradients has two or more dimensions, which this distance is about",
                )),
                false => Tensor::f_stack(&layers, 0).at(at)?.f_sum(Kind::Float).at(at),
            }
        }
        Distance::Squared => flat(a)?.f_sub(&flat(b)?).at(at)?.f_square().at(at)?.f_sum(Kind::Float).at(at),
        Distance::Cosine => apart(&flat(a)?.f_unsqueeze(0).at(at)?, &flat(b)?.f_unsqueeze(0).at(at)?),
    }
}

fn flat(list: &[Tensor]) -> Result<Tensor> {
    let flat: Vec<Tensor> =
        list.iter().map(|t| t.f_reshape([-1])).collect::<std::result::Result<_, _>>().at("match")?;
    Tensor::f_cat(&flat, 0).at("match")
}

fn layer_distance(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    apart(&a.f_flatten(1, -1).at("match")?, &b.f_flatten(1, -1).at("match")?)
}

/// One minus the cosine between the rows of two matrices, summed.
fn apart(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let at = "gradient_match";
    let along = |t: &Tensor| t.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float).at(at);
    let norm = |t: &Tensor| t.f_norm_scalaropt_dim(2.0, [1], false).at(at);
    let product = along(&a.f_mul(b).on(at, &[a, b])?)?;
    let cosine = product.f_div(&norm(a)?.f_mul(&norm(b)?).at(at)?.f_add_scalar(EPSILON).at(at)?).at(at)?;
    cosine.f_neg().at(at)?.f_add_scalar(1.0).at(at)?.f_sum(Kind::Float).at(at)
}

/// The place of each label among the classes, ascending.
fn place(classes: &[i64], labels: &[i64]) -> Result<Vec<usize>> {
    let find = |label: &i64| {
        classes.binary_search(label).map_err(|_| {
            let message = format!("the embeddings to be matched have class {label}, the others do not");
            Error::new("distribution_match", message)
        })
    };
    labels.iter().map(find).collect()
}

/// The tensors of a script's array.
fn tensors(list: &Array) -> Result<Vec<Tensor>> {
    let read = |value: &Dynamic| {
        let tensor = value.clone().try_cast::<crate::tensor::Tensor>().map(|tensor| tensor.shallow_clone());
        tensor.ok_or_else(|| {
            Error::new("gradient_match", format!("needs arrays of tensors, got {} in one", describe(value)))
        })
    };
    list.iter().map(read).collect()
}

/// Squared distances between the class means of two sets of embeddings.
fn of_classes(sets: [(&Tensor, &[i64]); 2]) -> Result<Tensor> {
    let at = "distribution_match";
    let mut classes = sets[0].1.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let mut means = vec![];
    for (x, labels) in sets {
        if x.dim() != 2 || x.size().first() != Some(&(labels.len() as i64)) {
            let message = format!("needs embeddings [n, d] and n labels, got {:?} and {}", x.size(), labels.len());
            return Err(Error::new(at, message));
        }
        let weights = averaging(&place(&classes, labels)?, classes.len(), x.device())?;
        means.push(weights.f_to_kind(x.kind()).at(at)?.f_matmul(x).at(at)?);
    }
    match means.as_slice() {
        [real, synthetic] => squared_distances(real, synthetic),
        _ => Err(Error::new(at, "needs two sets")),
    }
}

/// What scripts see of matching.
#[allow(clippy::unwrap_used)] // in the macro's own code
#[rhai::export_module]
pub mod script {
    use super::{Distance, tensors};
    use crate::condense::cluster::free_and_residual::integers;
    use crate::runtime::{Options, Script};
    use crate::tensor::Tensor;
    use rhai::{Array, Map};

    /// How far the mean embeddings of the classes of two sets are apart: squared Euclidean distances, one for each class that
    /// occurs, ascending.
    ///
    /// The loss of distribution matching (DM: Zhao and Bilen, WACV 2023) is their sum. Embeddings are `[n, d]` and `[m, d]`, labels
    /// `[n]` and `[m]`; the sets must have the same classes.
    ///
    /// # Signature
    /// distribution_match(real: Tensor[n, d], y: Tensor[n], synthetic: Tensor[m, d], y_synthetic: Tensor[m]) -> Tensor[classes]
    ///
    /// # Example
    /// ```rhai
    /// let real = tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]]);
    /// let found = distribution_match(real, tensor([0, 0, 1]), tensor([[2.0, 1.0], [0.0, 5.0]]), tensor([0, 1]));
    /// assert_close(found, tensor([1.0, 0.0]), 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn distribution_match(real: Tensor, y: Tensor, synthetic: Tensor, y_synthetic: Tensor) -> Script<Tensor> {
        let at = "distribution_match";
        let (ours, theirs) = (integers(at, &y)?, integers(at, &y_synthetic)?);
        Ok(super::of_classes([(&real, &ours), (&synthetic, &theirs)])?.into())
    }

    /// How far two lists of gradients of the same parameters are apart: a number that can be differentiated.
    ///
    /// The loss of gradient matching (DC: Zhao, Mopuri and Bilen, ICLR 2021): for every parameter of two or more dimensions the sum
    /// over outputs (rows) of `1 - <a, b> / (|a| |b| + 1e-6)`; biases and other vectors do not count.
    ///
    /// # Signature
    /// gradient_match(a: array, b: array, #{ distance: string = "layers" }) -> Tensor[]
    ///
    /// # Options
    /// - `distance` ("layers" | "squared" | "cosine", "layers"): layer by layer; or squared Euclidean distance, or one minus the
    ///   cosine, of all numbers together
    ///
    /// # Example
    /// ```rhai
    /// let a = [tensor([[1.0, 0.0], [0.0, 2.0]]), tensor([7.0])];
    /// let b = [tensor([[1.0, 0.0], [3.0, 0.0]]), tensor([8.0])];
    /// assert_close(gradient_match(a, b), 1.0, 1e-5);
    /// assert_close(gradient_match(a, b, #{ distance: "squared" }), 14.0, 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn gradient_match(a: Array, b: Array, options: Map) -> Script<Tensor> {
        let mut o = Options::new("gradient_match", options);
        let distance = Distance::named(&o.choice("distance", "layers", &Distance::NAMES)?);
        o.finish()?;
        Ok(super::gradient_distance(&tensors(&a)?, &tensors(&b)?, distance)?.into())
    }

    #[rhai_fn(name = "gradient_match", return_raw)]
    pub fn gradient_match_plain(a: Array, b: Array) -> Script<Tensor> {
        gradient_match(a, b, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;

    #[test]
    fn averages_are_those_of_the_groups_and_empty_ones_are_zero() {
        let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 10.0]).reshape([4, 1]);
        let means = averaging(&[0, 2, 0, 2], 3, Device::Cpu).unwrap().matmul(&x);
        assert_eq!(Vec::<f32>::try_from(means.reshape([-1])).unwrap(), [2.0, 0.0, 6.0]);
        assert!(averaging(&[3], 3, Device::Cpu).is_err());
    }

    #[test]
    fn gradients_without_length_have_a_distance_with_a_gradient() {
        let zero = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let other = Tensor::from_slice(&Stream::new(0, "x").normals(6)).reshape([2, 3]);
        for distance in Distance::NAMES.map(Distance::named) {
            let value = gradient_distance(&[zero.shallow_clone()], &[other.shallow_clone()], distance).unwrap();
            let gradient = Tensor::run_backward(&[&value], &[&zero], false, false).pop().unwrap();
            assert_eq!(gradient.isfinite().all().int64_value(&[]), 1, "{distance:?}");
        }
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        let t = |size: &[i64]| Tensor::ones(size, (Kind::Float, Device::Cpu));
        assert!(gradient_distance(&[t(&[2, 2])], &[t(&[2, 3])], Distance::Layers).is_err());
        assert!(gradient_distance(&[t(&[2])], &[t(&[2])], Distance::Layers).is_err());
        assert!(gradient_distance(&[], &[], Distance::Squared).is_err());
    }
}
