//! Masks of parameters: the ones that matter most to a dataset (SalUn), and the ones that magnitude pruning keeps.

use super::gradient::loss_gradient;
use super::named::{self, Named};
use crate::data::Dataset;
use crate::nn::Net;
use crate::runtime::options::{as_number, describe};
use crate::runtime::{At, Error, Result};
use crate::tensor::plain::checks::comparable;
use rhai::Dynamic;
use tch::{Kind, Tensor};

/// A mask that is true for the share `keep` of all trainable entries whose gradient of a dataset's mean loss is largest in
/// absolute value, ranked over all parameters together; equals are ranked in order.
///
/// # Errors
/// Those of the gradient.
pub fn saliency(net: &Net, data: &Dataset, keep: f64, batch: usize) -> Result<Named> {
    let at = "saliency_mask";
    let salient = loss_gradient(net, data, batch)?.f_abs().at(at)?;
    comparable(at, "gradients", &salient, true)?;
    let chosen = (keep * salient.numel() as f64).round() as i64;
    let mask = || {
        let order = salient.f_argsort_stable(true, 0, true)?.f_narrow(0, 0, chosen)?;
        salient.f_zeros_like()?.f_to_kind(Kind::Bool)?.f_index_fill_(0, &order, 1)
    };
    split(at, &mask().at(at)?, net.trainable())
}

/// A flat tensor over these parameters as one tensor for each.
fn split(operation: &str, flat: &Tensor, parameters: Vec<(String, Tensor)>) -> Result<Named> {
    let mut start = 0;
    let mut one = |(name, parameter): (String, Tensor)| {
        let length = parameter.numel() as i64;
        let piece = flat.f_narrow(0, start, length).and_then(|piece| piece.f_reshape(parameter.size().as_slice()));
        start += length;
        Ok((name, piece.at(operation)?))
    };
    parameters.into_iter().map(&mut one).collect()
}

/// Global magnitude pruning of all convolutions' weights together: of the entries alive in `before` (all when there is no
/// mask yet) the `round(rate * alive)` smallest in absolute value die too. Halves are rounded to even; equals die in order.
///
/// # Errors
/// A network without convolutions, a mask that is not of its convolutions.
pub fn prune(net: &Net, before: Option<&Named>, rate: f64) -> Result<Named> {
    let at = "prune_mask";
    let weights = net.convolution_weights();
    if weights.is_empty() {
        return Err(Error::new(at, "the network has no convolutions, whose weights alone are pruned"));
    }
    let flat = |tensors: Vec<Tensor>| Tensor::f_cat(&tensors, 0).at(at);
    let mut magnitudes = vec![];
    let mut alive = vec![];
    for (name, weight) in &weights {
        let weight = weight.f_detach().at(at)?;
        magnitudes.push(weight.f_abs().and_then(|w| w.f_reshape([-1])).at(at)?);
        alive.push(
            match before {
                Some(mask) => {
                    named::find(at, "mask", mask, name, &weight.size())?.f_ne(0).and_then(|m| m.f_reshape([-1]))
                }
                None => Tensor::f_ones([weight.numel() as i64], (Kind::Bool, weight.device())),
            }
            .at(at)?,
        );
    }
    let (magnitudes, alive) = (flat(magnitudes)?, flat(alive)?);
    comparable(at, "weights", &magnitudes, true)?;
    let count = alive.f_sum(Kind::Int64).and_then(|n| n.f_int64_value(&[])).at(at)?;
    let dying = (rate * count as f64).round_ties_even() as i64;
    let mask = || {
        let ranked = magnitudes.f_masked_fill(&alive.f_logical_not()?, f64::INFINITY)?;
        let order = ranked.f_argsort_stable(true, 0, false)?.f_narrow(0, 0, dying)?;
        alive.f_index_fill(0, &order, 0)
    };
    split(at, &mask().at(at)?, weights)
}

/// Sets the entries of a network's parameters to zero, in place, where a mask is 0.
///
/// # Errors
/// Names that are no parameter's, shapes that differ.
pub fn apply(net: &Net, mask: &Named) -> Result<()> {
    let at = "apply_mask";
    let _guard = tch::no_grad_guard();
    for (mut parameter, mask) in named::matched(at, "mask", net, mask)? {
        let dead = mask.f_eq(0).and_then(|dead| dead.f_to_device(parameter.device())).at(at)?;
        let _ = parameter.f_masked_fill_(&dead, 0.0).at(at)?;
    }
    Ok(())
}

/// A script's pruning rate.
fn share(rate: &Dynamic) -> Result<f64> {
    as_number(rate).filter(|rate| (0.0..=1.0).contains(rate)).ok_or_else(|| {
        let given = describe(rate);
        Error::new("prune_mask", format!("the rate must be between 0 and 1, got {given}"))
    })
}

/// The epochs before which a round of pruning takes place, and the share of what is alive that each prunes.
pub fn prune_rounds(epochs: i64, step: i64, sparsity: f64) -> (Vec<i64>, f64) {
    let step = step.clamp(1, epochs.max(1));
    let rounds: Vec<i64> = (0..epochs).filter(|epoch| (epochs - epoch) % step == 0).collect();
    let rate = 1.0 - (1.0 - sparsity).powf(1.0 / rounds.len().max(1) as f64);
    (rounds, rate)
}

/// What scripts see of masks.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{Error, Options, Script};
    use crate::unlearn::named::{from_map, to_map};
    use rhai::{Dynamic, Map};

    /// The timetable of pruning in rounds: a map of `epochs`, those before which a round takes place (from the first for which
    /// whole rounds of `step` epochs remain), and `rate`, the share of the weights still alive that each round prunes, so
    /// that `sparsity` is reached after the last. With fewer epochs than `step` there is one round, before the first.
    ///
    /// # Signature
    /// prune_rounds(epochs: int, #{ step: int = 2, sparsity: float = 0.95 }) -> #{ epochs: array, rate: float }
    ///
    /// # Options
    /// - `step` (int, 2): epochs from one round to the next
    /// - `sparsity` (float, 0.95): share of the weights that is pruned in the end
    ///
    /// # Example
    /// ```rhai
    /// let plan = prune_rounds(4, #{ step: 2, sparsity: 0.75 });
    /// assert(plan.epochs == [0, 2] && plan.rate == 0.5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn prune_rounds(epochs: i64, options: Map) -> Script<Map> {
        let mut o = Options::new("prune_rounds", options);
        let (step, sparsity) = (o.integer("step", 2, 1)?, o.between("sparsity", 0.95, 0.0, 1.0)?);
        o.finish()?;
        if epochs < 1 {
            return Err(Error::new("prune_rounds", format!("needs at least 1 epoch, got {epochs}")).into());
        }
        let (rounds, rate) = super::prune_rounds(epochs, step, sparsity);
        let rounds: Vec<Dynamic> = rounds.into_iter().map(Dynamic::from).collect();
        Ok([("epochs".into(), rounds.into()), ("rate".into(), rate.into())].into_iter().collect())
    }

    /// The entries that matter most to a dataset: a map from names to bool tensors of the parameters' shapes, true for the
    /// share `keep` of all trainable entries whose gradient of the mean cross-entropy is largest in absolute value, ranked
    /// over all parameters together. Source: SalUn (Fan et al., ICLR 2024).
    ///
    /// `optimizer.hold(mask)` keeps the others as they are.
    ///
    /// # Signature
    /// saliency_mask(net: Net, data: Dataset, #{ keep: float = 0.5, batch: int = 256 }) -> map
    ///
    /// # Options
    /// - `keep` (float, 0.5): the share that is true
    /// - `batch` (int, 256): samples at a time; the mask does not depend on it
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4 });
    /// let mask = saliency_mask(net, d.train.take(20), #{ keep: 0.25 });
    /// let kept = 0;
    /// for m in mask.values() { kept += m.sum().item(); }
    /// assert(kept == round(0.25 * net.parameter_count()));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn saliency_mask(net: Net, data: Dataset, options: Map) -> Script<Map> {
        let mut o = Options::new("saliency_mask", options);
        let keep = o.between("keep", 0.5, 0.0, 1.0)?;
        let batch = o.count("batch", 256)?;
        o.finish()?;
        Ok(to_map(super::saliency(&net, &data, keep, batch)?))
    }

    #[rhai_fn(name = "saliency_mask", return_raw)]
    pub fn saliency_mask_plain(net: Net, data: Dataset) -> Script<Map> {
        saliency_mask(net, data, Map::new())
    }

    /// Global magnitude pruning of the weights of all convolutions: a map from their names to bool tensors, false for pruned
    /// entries. Of those still alive in `mask` (`()` before the first round) the share `rate` that is smallest in absolute
    /// value is pruned as well, ranked over all convolutions together.
    ///
    /// Linear layers, normalisations and biases are left alone. `apply_mask` zeroes the pruned entries and
    /// `optimizer.hold(mask)` keeps them so.
    ///
    /// # Signature
    /// prune_mask(net: Net, mask: map | (), rate: float) -> map
    ///
    /// # Example
    /// ```rhai
    /// let net = convnet(dataset("digits"), #{ width: 4, depth: 1 });
    /// let mask = prune_mask(net, (), 0.5);
    /// assert(mask["features.0.weight"].sum().item() == 18);
    /// let mask = prune_mask(net, mask, 0.5);
    /// assert(mask["features.0.weight"].sum().item() == 9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn prune_mask(net: Net, mask: Map, rate: Dynamic) -> Script<Map> {
        let mask = from_map("prune_mask", "mask", mask)?;
        Ok(to_map(super::prune(&net, Some(&mask), super::share(&rate)?)?))
    }

    #[rhai_fn(name = "prune_mask", return_raw)]
    pub fn prune_mask_first(net: Net, _nothing: (), rate: Dynamic) -> Script<Map> {
        Ok(to_map(super::prune(&net, None, super::share(&rate)?)?))
    }

    /// Sets the entries of a network's parameters to zero, in place, where a mask is 0 (or false).
    ///
    /// # Signature
    /// apply_mask(net: Net, mask: map)
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(2, 1);
    /// apply_mask(net, #{ weight: tensor([[1, 0]]) });
    /// assert(net.weight[0][0].item() != 0.0 && net.weight[0][1].item() == 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn apply_mask(net: Net, mask: Map) -> Script<()> {
        Ok(super::apply(&net, &from_map("apply_mask", "mask", mask)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::storage::DatasetInfo;
    use crate::nn::Shape;
    use crate::nn::zoo::{ConvNetOptions, MlpOptions, convnet, mlp};
    use crate::runtime::Stream;
    use tch::Device;

    const SHAPE: Shape = Shape { channels: 1, height: 8, width: 8 };

    fn net() -> Net {
        let options = ConvNetOptions { width: 4, depth: 2, ..ConvNetOptions::default() };
        convnet(SHAPE, 3, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap()
    }

    fn counted(mask: &Named) -> i64 {
        mask.iter().map(|(_, m)| m.sum(Kind::Int64).int64_value(&[])).sum()
    }

    #[test]
    fn a_saliency_mask_keeps_exactly_the_share_with_the_largest_gradients() {
        let net = net();
        let x = Tensor::from_slice(&Stream::new(1, "x").normals(5 * 64)).view([5, 1, 8, 8]);
        let y = Tensor::from_slice(&[0_i64, 1, 2, 0, 1]);
        let data = Dataset::from_tensors(&x, &y, DatasetInfo::default()).unwrap();
        let mask = saliency(&net, &data, 0.3, 2).unwrap();
        let count = net.count();
        assert_eq!(counted(&mask), (0.3 * count as f64).round() as i64);
        let gradient = loss_gradient(&net, &data, 5).unwrap().abs();
        let flat = Tensor::cat(&mask.iter().map(|(_, m)| m.view([-1])).collect::<Vec<_>>(), 0);
        let (kept, left) = (gradient.masked_select(&flat), gradient.masked_select(&flat.logical_not()));
        assert!(kept.min().double_value(&[]) >= left.max().double_value(&[]) * (1.0 - 1e-4));
        assert_eq!(
            (counted(&saliency(&net, &data, 0.0, 5).unwrap()), counted(&saliency(&net, &data, 1.0, 5).unwrap())),
            (0, count)
        );
    }

    #[test]
    fn pruning_goes_on_where_it_stopped_and_never_revives() {
        let net = net();
        let total = 4 * 9 + 16 * 9;
        let first = prune(&net, None, 0.5).unwrap();
        assert_eq!((first.len(), counted(&first)), (2, total / 2));
        apply(&net, &first).unwrap();
        let second = prune(&net, Some(&first), 0.1).unwrap();
        assert_eq!(counted(&second), total / 2 - 9);
        for ((_, a), (_, b)) in first.iter().zip(&second) {
            assert!(bool::try_from(a.logical_or(&b.logical_not()).all()).unwrap());
        }
        assert_eq!(counted(&prune(&net, Some(&first), 1.0).unwrap()), 0);
    }

    #[test]
    fn networks_and_masks_that_do_not_fit_are_refused() {
        let flat = mlp(SHAPE, 3, &MlpOptions { hidden: vec![4] }, &mut Stream::new(0, "init"), Device::Cpu).unwrap();
        assert!(prune(&flat, None, 0.5).unwrap_err().to_string().contains("no convolutions"));
        let mask = prune(&net(), None, 0.5).unwrap();
        let error = apply(&flat, &mask).unwrap_err().to_string();
        let expected = "the mask of `features.0.weight` has shape [4, 1, 3, 3], the parameter [4, 64]";
        assert_eq!(error, format!("apply_mask: {expected}"));
        let mask = vec![("features.1".to_string(), Tensor::new())];
        let error = apply(&flat, &mask).unwrap_err().to_string();
        assert_eq!(error, "apply_mask: the network has no parameter `features.1`");
        let mask = prune(&net(), None, 0.5).unwrap();
        let error = prune(&net(), Some(&mask[..1].iter().map(|(n, m)| (n.clone(), m.copy())).collect()), 0.5);
        assert_eq!(error.unwrap_err().to_string(), "prune_mask: no mask is given for `features.4.weight`");
    }
}
