//! NTK scrubbing (Golatkar et al., ECCV 2020): how far the weights of the linearised network move when it is trained on a
//! set of samples, in kernel form.

use super::kernel;
use crate::data::Dataset;
use crate::nn::{Net, loss};
use crate::runtime::{At, Error, Result, Run};
use crate::tensor::scalars::WithNumber;
use tch::{Kind, Tensor};

/// Moves of the linearised network's weights, as vectors over all trainable parameters.
pub struct Moves {
    /// Trained on retained and forget samples.
    pub complete: Tensor,
    /// Trained on retained samples alone.
    pub retain: Tensor,
}

/// `-J' (J J' + n * weight_decay I)^-1 (softmax(z) - onehot)` for the retained samples, and for retained and forget samples
/// together, linearised at the network's present weights in evaluation mode. One kernel serves both.
///
/// # Errors
/// No samples, or more than fit; those of the network; an interrupt.
pub fn moves(net: &Net, retain: &Dataset, forget: &Dataset, weight_decay: f64, run: &Run) -> Result<Moves> {
    let at = "ntk_moves";
    if retain.is_empty() || forget.is_empty() {
        return Err(Error::new(at, "needs at least one retained and one forget sample"));
    }
    net.evaluating(|| {
        let (x, y) = kernel::gathered(at, &retain.plus(forget)?)?;
        let logits = net.forward(&x)?;
        let classes = logits.size().get(1).copied().unwrap_or(1);
        kernel::check(at, net, &x, classes)?;
        let residuals = loss::logit_gradient(&logits, &y)?;
        let n = x.size().first().copied().unwrap_or(0);
        let each = Tensor::f_eye(classes, (Kind::Float, x.device()))
            .and_then(|eye| eye.f_expand([n, classes, classes], false));
        let gram = kernel::of(&net.tangent(&x, |_| each.at(at))?, run)?;
        // The smaller block is copied, the whole is used up: hence first the one, then the other.
        let moved = |count: i64| {
            let rows = count * classes;
            let part = |t: &Tensor| t.f_narrow(0, 0, count).at(at);
            let block =
                gram.f_narrow(0, 0, rows).and_then(|k| k.f_narrow(1, 0, rows)).and_then(|k| k.f_contiguous()).at(at)?;
            let a = kernel::solve(at, block, weight_decay * count as f64, &part(&residuals)?)?;
            let a = a.f_neg().and_then(|a| a.f_to_kind(Kind::Float)).and_then(|a| a.f_view([count, classes])).at(at)?;
            kernel::pull_back(net, &part(&x)?, &a)
        };
        Ok(Moves { retain: moved(retain.len() as i64)?, complete: moved(n)? })
    })
}

/// What the forget samples change, the trapezium rule's factor of it, and the cosine of its angle with `error`.
///
/// # Errors
/// Vectors of different lengths.
pub fn step(complete: &Tensor, retain: &Tensor, error: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let at = "ntk_step";
    let delta = retain.f_sub(complete).on(at, &[retain, complete])?;
    let product = delta.f_dot(error).on(at, &[&delta, error])?;
    // |delta| + 2 |error| |cos|, over |delta|
    let scale = product.f_abs().and_then(|size| size.times(2.0)?.f_div(&delta.f_dot(&delta)?)?.plus(1.0)).at(at)?;
    let lengths = delta.f_norm().and_then(|one| one.f_mul(&error.f_norm()?)).at(at)?;
    let cosine = product.f_div(&lengths).at(at)?;
    Ok((delta, scale, cosine))
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{Options, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Dynamic, Map, NativeCallContext};

    /// How the weights of the linearised network move when it is trained on the retained samples (`retain`), and on those
    /// and the forget samples (`complete`): vectors over all trainable parameters, as `parameters_to_vector` orders them.
    ///
    /// `w = -J' (J J' + n * weight_decay * I)^-1 (softmax(z) - onehot)` at the present weights, where J holds the gradients
    /// of all logits of all n samples. Only the kernel J J' of n * classes rows is ever made; it must fit memory.
    /// Source: Golatkar et al., Forgetting Outside the Box, ECCV 2020.
    ///
    /// # Signature
    /// ntk_moves(net: Net, retain: Dataset, forget: Dataset, #{ weight_decay: float = 5e-4 }) -> #{ complete: Tensor[p], retain: Tensor[p] }
    ///
    /// # Options
    /// - `weight_decay` (float, 5e-4): the one the network was trained with
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4 });
    /// let moves = ntk_moves(net, d.train.take(0..20), d.train.take(20..24));
    /// assert(moves.retain.shape == [net.parameter_count()]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn ntk_moves(
        context: NativeCallContext,
        net: Net,
        retain: Dataset,
        forget: Dataset,
        options: Map,
    ) -> Script<Map> {
        let mut o = Options::new("ntk_moves", options);
        let weight_decay = o.positive("weight_decay", 5e-4)?;
        o.finish()?;
        let moves = super::moves(&net, &retain, &forget, weight_decay, &Run::of(&context))?;
        let pairs = [("complete", moves.complete), ("retain", moves.retain)];
        Ok(pairs.into_iter().map(|(key, moved)| (key.into(), Dynamic::from(Tensor::from(moved)))).collect())
    }

    /// The step of NTK scrubbing from the moves of `ntk_moves`: a map of `delta`, what the forget samples change, `scale`, the
    /// factor of it that the trapezium rule of the paper gives, and `cosine`, that of the angle between `delta` and `error`.
    ///
    /// `error` is how far the true weights are from where linearised training on the retained samples takes the first ones:
    /// `present - first - moves.retain`.
    ///
    /// # Signature
    /// ntk_step(moves: map, error: Tensor[p]) -> #{ delta: Tensor[p], scale: Tensor[], cosine: Tensor[] }
    ///
    /// # Example
    /// ```rhai
    /// let moves = #{ complete: tensor([1.0, 0.0]), retain: tensor([0.0, 0.0]) };
    /// let step = ntk_step(moves, tensor([1.0, 0.0]));
    /// assert(step.delta == tensor([-1.0, 0.0]) && step.cosine.item() == -1.0 && step.scale.item() == 3.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn ntk_step(moves: Map, error: Tensor) -> Script<Map> {
        let part = |key: &str| moves.get(key).and_then(|moved| moved.clone().try_cast::<Tensor>());
        let (Some(complete), Some(retain)) = (part("complete"), part("retain")) else {
            return Err(crate::runtime::Error::new("ntk_step", "needs the map that ntk_moves gives").into());
        };
        let (delta, scale, cosine) = super::step(&complete, &retain, &error)?;
        let pairs = [("delta", delta), ("scale", scale), ("cosine", cosine)];
        Ok(pairs.into_iter().map(|(key, part)| (key.into(), Dynamic::from(Tensor::from(part)))).collect())
    }

    #[rhai_fn(name = "ntk_moves", return_raw)]
    pub fn ntk_moves_plain(context: NativeCallContext, net: Net, retain: Dataset, forget: Dataset) -> Script<Map> {
        ntk_moves(context, net, retain, forget, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::storage::DatasetInfo;
    use crate::nn::Shape;
    use crate::nn::zoo::{ConvNetOptions, Norm, ResNetOptions, convnet, resnet18};
    use crate::runtime::Stream;
    use crate::runtime::run::Settings;
    use tch::Device;

    fn run() -> Run {
        Run::new(Settings::default())
    }

    fn data(n: i64, side: i64, channels: i64) -> Dataset {
        let count = (n * channels * side * side) as usize;
        let x = Tensor::from_slice(&Stream::new(1, "x").normals(count)).view([n, channels, side, side]);
        let y = Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(3);
        Dataset::from_tensors(&x, &y, DatasetInfo { classes: Some(3), ..DatasetInfo::default() }).unwrap()
    }

    #[test]
    fn a_move_solves_the_linearised_problem() {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let options = ConvNetOptions { width: 3, ..ConvNetOptions::default() };
        let net = convnet(shape, 3, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap();
        let all = data(9, 8, 1);
        let found = moves(&net, &all.take(6), &all.subset(&[6, 7, 8]), 0.1, &run()).unwrap();
        // w + J' (J w + r) / (n wd) = 0, with J w by a small step in that direction.
        let (x, y) = kernel::gathered("test", &all).unwrap();
        net.set_training(false);
        let at = |step: f64| {
            let moved = net.copy().unwrap();
            moved.set_vector(&(net.to_vector().unwrap() + &found.complete * step)).unwrap();
            tch::no_grad(|| moved.forward(&x)).unwrap()
        };
        let slope = (at(0.01) - at(-0.01)) / 0.02;
        let residuals = loss::logit_gradient(&at(0.0), &y).unwrap();
        let pulled = net.pulled_back(&x, &(slope + residuals)).unwrap() / (9.0 * 0.1);
        let error = (&found.complete + pulled).norm().double_value(&[]) / found.complete.norm().double_value(&[]);
        assert!(error < 1e-2, "{error}");
    }

    #[test]
    fn too_many_samples_are_refused_with_the_number_that_would_fit() {
        let shape = Shape { channels: 3, height: 32, width: 32 };
        let options = ResNetOptions { width: 64, norm: Norm::Instance };
        let net = resnet18(shape, 3, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap();
        let all = data(300, 32, 3);
        let error = moves(&net, &all.take(299), &all.subset(&[299]), 0.1, &run()).err().unwrap().to_string();
        assert!(
            error.contains("300 samples are too many for memory: what the layers keep of at most 79 samples"),
            "{error}"
        );
        let error = moves(&net, &all, &all.take(0), 0.1, &run()).err().unwrap().to_string();
        assert_eq!(error, "ntk_moves: needs at least one retained and one forget sample");
    }
}
