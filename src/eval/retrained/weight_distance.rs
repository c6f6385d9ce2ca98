//! How far apart two networks' parameters are, layer by layer.

use crate::nn::Net;
use crate::runtime::{At, Error, Result};
use tch::{Kind, Tensor};

/// Euclidean distances of two networks of one architecture.
#[derive(Debug, Clone)]
pub struct LayerDistances {
    /// Of all parameters together.
    pub total: f64,
    /// Of the parameters of each layer together, in the network's order.
    pub layers: Vec<(String, f64)>,
}

/// The distances, read from the device at once.
///
/// # Errors
/// Networks whose parameters differ in name or shape.
pub fn layer_distances(a: &Net, b: &Net) -> Result<LayerDistances> {
    let (ours, theirs) = (a.parameters(), b.parameters());
    if ours.len() != theirs.len() {
        return Err(different(format!("{} and {} parameter tensors", ours.len(), theirs.len())));
    }
    let mut squares = vec![];
    for ((name, x), (other, y)) in ours.iter().zip(&theirs) {
        if name != other || x.size() != y.size() {
            return Err(different(format!("{name} {:?} and {other} {:?}", x.size(), y.size())));
        }
        squares.push(square(x, y).at("layer_distance")?);
    }
    let mut layers: Vec<(String, f64)> = vec![];
    for ((name, _), square) in ours.iter().zip(read(&squares)?) {
        let layer = name.rsplit_once('.').map_or(name.as_str(), |(layer, _)| layer);
        match layers.last_mut().filter(|(last, _)| last == layer) {
            Some((_, sum)) => *sum += square,
            None => layers.push((layer.to_string(), square)),
        }
    }
    let total = layers.iter().map(|(_, square)| square).sum::<f64>().sqrt();
    layers.iter_mut().for_each(|(_, square)| *square = square.sqrt());
    Ok(LayerDistances { total, layers })
}

/// The sum of squared differences, f64.
fn square(x: &Tensor, y: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
    let (x, y) = (x.f_detach()?, y.f_detach()?.f_to_device(x.device())?);
    // In f64, where the square of no f32 overflows.
    x.f_sub(&y)?.f_to_kind(Kind::Double)?.f_square()?.f_sum(Kind::Double)
}

fn read(squares: &[Tensor]) -> Result<Vec<f64>> {
    if squares.is_empty() {
        return Ok(vec![]);
    }
    crate::eval::scores::to_host("layer_distance", &Tensor::f_stack(squares, 0).at("layer_distance")?)
}

fn different(what: String) -> Error {
    Error::new("layer_distance", format!("the networks differ: {what}"))
        .hint("distances of parameters mean something only from one architecture and one initialisation")
}

/// What scripts see of distances between parameters.
#[rhai::export_module]
pub mod script {
    use crate::nn::Net;
    use crate::runtime::Script;
    use rhai::Map;

    /// Euclidean distances between the parameters of two networks of one architecture, as a map: `total`, and `layers`, a map
    /// from each layer's name to the distance of its parameters together. A diagnostic of where a method works; it says
    /// nothing about two networks that were initialised differently, such as one retrained from scratch.
    ///
    /// # Signature
    /// layer_distance(a: Net, b: Net) -> map
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(2, 1);
    /// let moved = net.copy();
    /// moved.load_state(#{ weight: net.state().weight + 3.0, bias: net.state().bias });
    /// assert_close(layer_distance(net, moved).total, 18.0.sqrt(), 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn layer_distance(a: Net, b: Net) -> Script<Map> {
        let found = super::layer_distances(&a, &b)?;
        let layers: Map = found.layers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Ok([("total".into(), found.total.into()), ("layers".into(), layers.into())].into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Shape;
    use crate::nn::zoo::{MlpOptions, mlp};
    use crate::runtime::Stream;

    fn net(hidden: &[usize], seed: u64) -> Net {
        let shape = Shape { channels: 1, height: 2, width: 2 };
        let options = MlpOptions { hidden: hidden.to_vec() };
        mlp(shape, 3, &options, &mut Stream::new(seed, "init"), tch::Device::Cpu).unwrap()
    }

    #[test]
    fn layers_add_up_to_the_total_and_a_copy_is_at_no_distance() {
        let (a, b) = (net(&[5], 0), net(&[5], 1));
        let found = layer_distances(&a, &b).unwrap();
        assert_eq!(
            found.layers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["features.0", "classifier"]
        );
        let sum = found.layers.iter().map(|(_, d)| d * d).sum::<f64>().sqrt();
        assert!((sum - found.total).abs() < 1e-12 && found.total > 0.1);
        assert_eq!(layer_distances(&a, &a.copy().unwrap()).unwrap().total, 0.0);
    }

    #[test]
    fn far_weights_are_far_and_broken_ones_at_no_distance_at_all() {
        let a = net(&[5], 0);
        let moved = |by: f64| {
            let b = a.copy().unwrap();
            let state: Vec<_> = b.state().into_iter().map(|(name, x)| (name, x.detach() + by)).collect();
            b.load_state(&state).unwrap();
            layer_distances(&a, &b).unwrap()
        };
        // numpy.linalg.norm of 43 differences of 1e30.
        assert!((moved(1e30).total / 6.557_438_5e30 - 1.0).abs() < 1e-6, "{}", moved(1e30).total);
        assert!(moved(f64::NAN).total.is_nan() && moved(f64::INFINITY).total == f64::INFINITY);
    }

    #[test]
    fn other_architectures_are_refused() {
        for other in [net(&[6], 0), net(&[5, 5], 0)] {
            let error = layer_distances(&net(&[5], 0), &other).unwrap_err().to_string();
            assert!(error.starts_with("layer_distance: the networks differ"), "{error}");
        }
    }
}
