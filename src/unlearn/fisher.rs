//! Fisher forgetting (Golatkar et al., CVPR 2020): the diagonal of the Fisher information, and noise by its inverse.

use super::named::{self, Named};
use crate::data::Dataset;
use crate::nn::Net;
use crate::nn::jacobian::per_sample::Amount;
use crate::runtime::{At, Error, Result, Run, Stream, interrupt};
use crate::tensor::scalars::WithNumber;
use tch::{Kind, Tensor};

/// Keeps quotients of probabilities that have vanished finite.
const TINY: f64 = 1e-37;

/// Directions d_k of the logits, [n, classes - 1, classes], with `sum_k d_k d_k' = diag(p) - p p'`: the curvature of the
/// cross-entropy. They are the columns of the Cholesky factor of a multinomial covariance (Tanabe and Sagae, JRSS B 1992),
/// one fewer than there are classes: for every c, `sum_c p_c (J'(p - e_c))^2 = sum_k (J' d_k)^2`.
///
/// # Errors
/// Those of torch.
pub fn directions(logits: &Tensor) -> Result<Tensor> {
    let compute = || {
        let p = logits.f_softmax(-1, Kind::Float)?;
        let classes = p.size().get(1).copied().unwrap_or(1);
        // Tails t_k = p_k + p_k+1 + ..: sums of positive numbers, smallest index last.
        let tails = p.f_flip([1])?.f_cumsum(1, Kind::Float)?.f_flip([1])?.f_clamp_min(TINY)?;
        let part = |t: &Tensor, start: i64| t.f_narrow(1, start, classes - 1);
        let share = part(&p, 0)?.f_div(&part(&tails, 0)?)?.f_sqrt()?;
        let rest = part(&tails, 1)?.f_sqrt()?;
        let later = share.f_div(&rest)?.f_neg()?.f_unsqueeze(2)?.f_mul(&p.f_unsqueeze(1)?)?.f_triu(1)?;
        let own = share.f_mul(&rest)?.f_unsqueeze(2)?;
        let place = Tensor::f_eye_m(classes - 1, classes, (Kind::Float, logits.device()))?;
        later.f_add(&own.f_mul(&place)?)
    };
    compute().at("fisher_diagonal")
}

/// The diagonal of the Fisher information of each trainable parameter, `1/n sum_i sum_c p_ic (d CE(z_i, c) / d theta)^2`
/// with the network's own probabilities, in evaluation mode. `batch` samples at a time, or fewer where memory asks for it.
///
/// # Errors
/// No samples; those of the network; Ctrl-C.
pub fn diagonal(net: &Net, data: &Dataset, batch: usize, run: &Run) -> Result<Named> {
    if data.is_empty() {
        return Err(Error::new("fisher_diagonal", "needs at least one sample, got none"));
    }
    net.evaluating(|| measure(net, data, batch, run))
}

fn measure(net: &Net, data: &Dataset, batch: usize, run: &Run) -> Result<Named> {
    let at = "fisher_diagonal";
    let first = data.take(1).all()?;
    let classes = net.forward(&first.x)?.size().get(1).copied().unwrap_or(1);
    if classes < 2 {
        return Err(Error::new(at, "the network must have at least two outputs"));
    }
    let size = net.tangent_batch(&first.x, batch)?;
    let mut progress = run.progress().start("fisher diagonal", data.len().div_ceil(size));
    let mut sums: Vec<Tensor> = vec![];
    for batch in data.chunks(size) {
        interrupt::check()?;
        let batch = batch?;
        let totals = net.tangent_totals(&batch.x, Amount::Square, directions)?;
        if sums.is_empty() {
            sums = totals;
        } else {
            for (sum, total) in sums.iter_mut().zip(totals) {
                let _ = sum.f_add_(&total).at(at)?;
            }
        }
        progress.step("");
    }
    let mean = |sum: Tensor| sum.over(data.len() as f64).at(at);
    net.trainable().into_iter().zip(sums).map(|((name, _), sum)| Ok((name, mean(sum)?))).collect()
}

/// Which parameters are the classifier's, for which the rule has its own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Those of the network's last linear layer.
    Last,
    /// All whose first dimension is the number of classes, as the reference implementation finds them.
    Size,
}

/// How noise follows from the Fisher information.
#[derive(Debug, Clone)]
pub struct Noise {
    /// Scale of the variance.
    pub alpha: f64,
    /// Classes that are forgotten altogether: their rows of the classifier start over.
    pub classes: Vec<i64>,
    /// Which parameters are the classifier's.
    pub head: Head,
}

/// Means and variances of parameters.
pub struct Moments {
    /// What the parameters are without noise.
    pub mean: Named,
    /// The variance of the noise, of the parameter's shape.
    pub variance: Named,
}

/// The normal distribution that Fisher forgetting draws the trainable parameters from.
///
/// # Errors
/// A parameter without a diagonal, shapes that differ, classes that do not exist.
pub fn moments(net: &Net, diagonal: &Named, o: &Noise) -> Result<Moments> {
    let at = "fisher_moments";
    let last = net.last_linear();
    let head_name = last.as_ref().map(|(name, _)| name.as_str()).unwrap_or_default();
    let classes = last.as_ref().map_or(0, |(_, outputs)| *outputs);
    if let Some(class) = o.classes.iter().find(|class| !(0..classes).contains(class)) {
        let message = format!("class {class} is outside of 0..{classes}, the outputs of the network");
        return Err(Error::new(at, message).word("classes"));
    }
    let (mut mean, mut variance) = (vec![], vec![]);
    for (name, parameter) in net.trainable() {
        let parameter = parameter.f_detach().at(at)?;
        let fisher = named::find(at, "diagonal", diagonal, &name, &parameter.size())?;
        let head = match o.head {
            Head::Last => name.rsplit_once('.').is_some_and(|(layer, _)| layer == head_name),
            Head::Size => parameter.size().first() == Some(&classes),
        };
        let (m, v) = one(&parameter, fisher, head, o).at(at)?;
        mean.push((name.clone(), m));
        variance.push((name, v));
    }
    Ok(Moments { mean, variance })
}

fn one(
    parameter: &Tensor,
    fisher: &Tensor,
    head: bool,
    o: &Noise,
) -> std::result::Result<(Tensor, Tensor), tch::TchError> {
    let cap = if head { 1e2 } else { 1e3 };
    let mut variance = fisher.plus(1e-8)?.f_reciprocal()?.at_most(cap)?.times(o.alpha)?;
    if variance.dim() > 1 {
        let averaged = variance.f_mean_dim([1_i64].as_slice(), true, None::<Kind>)?;
        variance = averaged.f_expand_as(&variance)?.f_contiguous()?;
    }
    let mut mean = parameter.times(1.0)?;
    if head && !o.classes.is_empty() {
        let rows = Tensor::f_from_slice(&o.classes)?.f_to_device(parameter.device())?;
        let _ = mean.f_index_fill_(0, &rows, 0.0)?;
        let _ = variance.f_index_fill_(0, &rows, 1e-4)?;
    }
    if head || variance.dim() == 1 {
        let _ = variance.times_(10.0)?;
    }
    Ok((mean, variance))
}

/// Draws parameters from independent normal distributions, in place. The draws are made on the host, so that they are the
/// same on every device.
///
/// # Errors
/// Names that are no parameter's, shapes that differ.
pub fn draw(net: &Net, mean: &Named, variance: &Named, stream: &mut Stream) -> Result<()> {
    let at = "draw_parameters";
    let _guard = tch::no_grad_guard();
    for ((name, _), (mut parameter, mean)) in mean.iter().zip(named::matched(at, "mean", net, mean)?) {
        let variance = named::find(at, "variance", variance, name, &parameter.size())?;
        let noise = Tensor::f_from_slice(&stream.normals(parameter.numel())).at(at)?;
        let noise =
            noise.f_to_device(parameter.device()).and_then(|n| n.f_reshape(parameter.size().as_slice())).at(at)?;
        let drawn = variance.f_sqrt().and_then(|sd| sd.f_mul(&noise)).and_then(|noise| mean.f_add(&noise)).at(at)?;
        parameter.f_copy_(&drawn).at(at)?;
    }
    Ok(())
}

fn read_noise(given: rhai::Map) -> Result<Noise> {
    let mut o = crate::runtime::Options::new("fisher_moments", given);
    let alpha = o.positive("alpha", 1e-6)?;
    let classes = o.maybe_integers("classes")?.unwrap_or_default();
    let head = if o.choice("head", "last", &["last", "size"])? == "last" { Head::Last } else { Head::Size };
    o.finish()?;
    Ok(Noise { alpha, classes, head })
}

/// What scripts see of Fisher forgetting.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{Options, Run, Script};
    use crate::unlearn::named::{from_map, to_map};
    use rhai::{Map, NativeCallContext};

    /// The diagonal of the Fisher information of each trainable parameter: a map from names to tensors of their shapes.
    ///
    /// `1/n sum_i sum_c p_ic (d CE(z_i, c) / d theta)^2`, with the network's own probabilities p (labels are not used), in
    /// evaluation mode. Exact, batched: one forward pass and one backward pass a class to the outputs of the layers.
    ///
    /// # Signature
    /// fisher_diagonal(net: Net, data: Dataset, #{ batch: int = 64 }) -> map
    ///
    /// # Options
    /// - `batch` (int, 64): samples at a time, at most; the result does not depend on it
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let fisher = fisher_diagonal(convnet(d, #{ width: 4 }), d.train.take(16));
    /// assert(fisher["classifier.weight"].shape == [10, 4] && fisher["classifier.weight"].min().item() >= 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fisher_diagonal(context: NativeCallContext, net: Net, data: Dataset, options: Map) -> Script<Map> {
        let mut o = Options::new("fisher_diagonal", options);
        let batch = o.count("batch", 64)?;
        o.finish()?;
        Ok(to_map(super::diagonal(&net, &data, batch, &Run::of(&context))?))
    }

    #[rhai_fn(name = "fisher_diagonal", return_raw)]
    pub fn fisher_diagonal_plain(context: NativeCallContext, net: Net, data: Dataset) -> Script<Map> {
        fisher_diagonal(context, net, data, Map::new())
    }

    /// The normal distribution that Fisher forgetting draws parameters from: `#{ mean, variance }`, each a map from names to
    /// tensors of the parameters' shapes.
    ///
    /// The variance is `alpha * min(1 / (F + 1e-8), 1e3)`, averaged over dimension 1 of weights, ten times that for vectors
    /// and the classifier, whose cap is 1e2; the classifier's rows of forgotten classes have mean 0 and variance 1e-3.
    /// Source: Golatkar et al., Eternal Sunshine of the Spotless Net, CVPR 2020, and its code.
    ///
    /// # Signature
    /// fisher_moments(net: Net, diagonal: map, #{ alpha: float = 1e-6, classes: array = [], head: string = "last" }) -> map
    ///
    /// # Options
    /// - `alpha` (float, 1e-6): scale of the variance
    /// - `classes` (array of int, []): classes that are forgotten altogether
    /// - `head` ("last" | "size", "last"): the classifier is the last linear layer, or every parameter whose first dimension is the number of classes
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4 });
    /// let moments = fisher_moments(net, fisher_diagonal(net, d.train.take(16)), #{ classes: [3] });
    /// assert(moments.mean["classifier.bias"][3].item() == 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fisher_moments(net: Net, diagonal: Map, options: Map) -> Script<Map> {
        let diagonal = from_map("fisher_moments", "diagonal", diagonal)?;
        let moments = super::moments(&net, &diagonal, &super::read_noise(options)?)?;
        let pairs = [("mean", moments.mean), ("variance", moments.variance)];
        Ok(pairs.into_iter().map(|(key, named)| (key.into(), to_map(named).into())).collect())
    }

    #[rhai_fn(name = "fisher_moments", return_raw)]
    pub fn fisher_moments_plain(net: Net, diagonal: Map) -> Script<Map> {
        fisher_moments(net, diagonal, Map::new())
    }

    /// Draws parameters of a network, in place, from independent normal distributions with these means and variances: maps
    /// from names to tensors of the parameters' shapes. The draws are the same on every device.
    ///
    /// # Signature
    /// draw_parameters(net: Net, mean: map, variance: map)
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(2, 1);
    /// draw_parameters(net, #{ bias: tensor([5.0]) }, #{ bias: tensor([0.0]) });
    /// assert(net.bias.item() == 5.0);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn draw_parameters(context: NativeCallContext, net: Net, mean: Map, variance: Map) -> Script<()> {
        let at = "draw_parameters";
        let (mean, variance) = (from_map(at, "mean", mean)?, from_map(at, "variance", variance)?);
        Ok(super::draw(&net, &mean, &variance, &mut Run::of(&context).stream("noise"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::storage::DatasetInfo;
    use crate::nn::Shape;
    use crate::nn::zoo::{ConvNetOptions, convnet};
    use crate::runtime::run::Settings;
    use proptest::prelude::*;
    use tch::Device;

    #[test]
    fn variances_are_those_of_the_reference() {
        // The numbers of a weight [4, 3] with F_i = (i mod 5) / 1000, and of a bias with F = (0, 0.5).
        let fisher: Vec<f32> = (0..12).map(|i| (i % 5) as f32 * 1e-3).collect();
        let fisher = Tensor::from_slice(&fisher).view([4, 3]);
        let o = Noise { alpha: 1e-6, classes: vec![1], head: Head::Last };
        let weight = Tensor::ones([4, 3], (Kind::Float, Device::Cpu));
        let (mean, variance) = one(&weight, &fisher, false, &o).unwrap();
        let rows = Tensor::from_slice(&[8.3332922e-4, 5.2777719e-4, 6.1110657e-4, 7.4999640e-4]);
        let rows = rows.to_kind(Kind::Float).view([4, 1]);
        assert!(variance.allclose(&rows.expand_as(&variance), 1e-5, 0.0, false) && mean.equal(&weight));
        let (mean, variance) = one(&weight, &fisher, true, &o).unwrap();
        assert!(variance.allclose(&variance.full_like(1e-3), 1e-5, 0.0, false));
        assert_eq!(
            Vec::<f32>::try_from(mean.sum_dim_intlist([1_i64].as_slice(), false, Kind::Float)).unwrap(),
            [3.0, 0.0, 3.0, 3.0]
        );
        let bias = Tensor::from_slice(&[0.0_f32, 0.5]);
        let (_, variance) = one(&bias, &bias, false, &o).unwrap();
        assert!(variance.allclose(&Tensor::from_slice(&[1e-2_f32, 2e-5]), 1e-5, 0.0, false));
    }

    #[test]
    fn the_head_is_the_last_linear_layer_or_every_parameter_of_as_many_rows_as_classes() {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let options = ConvNetOptions { width: 6, ..ConvNetOptions::default() };
        let net = convnet(shape, 6, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap();
        let diagonal: Named = net.trainable().into_iter().map(|(name, p)| (name, p.detach().zeros_like())).collect();
        let reset = |head: Head| {
            let o = Noise { alpha: 1e-6, classes: vec![2], head };
            let moments = moments(&net, &diagonal, &o).unwrap();
            let zero = |t: &Tensor| t.select(0, 2).abs().sum(Kind::Float).double_value(&[]) == 0.0;
            moments.mean.iter().filter(|(name, t)| name.ends_with("weight") && zero(t)).count()
        };
        assert_eq!((reset(Head::Last), reset(Head::Size)), (1, 7));
        let o = Noise { alpha: 1e-6, classes: vec![6], head: Head::Last };
        let error = moments(&net, &diagonal, &o).err().unwrap().to_string();
        assert_eq!(error, "fisher_moments: class 6 is outside of 0..6, the outputs of the network");
    }

    #[test]
    fn draws_have_the_moments_asked_for_and_repeat() {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let net = convnet(shape, 10, &ConvNetOptions::default(), &mut Stream::new(0, "init"), Device::Cpu).unwrap();
        let name = "features.4.weight".to_string();
        let size = [128, 128, 3, 3];
        let mean = vec![(name.clone(), Tensor::full(size, 2.0, (Kind::Float, Device::Cpu)))];
        let variance = vec![(name.clone(), Tensor::full(size, 9.0, (Kind::Float, Device::Cpu)))];
        let value = || net.parameters().into_iter().find(|(n, _)| *n == name).unwrap().1.detach().copy();
        draw(&net, &mean, &variance, &mut Stream::new(1, "noise")).unwrap();
        let first = value();
        assert!((first.mean(Kind::Double).double_value(&[]) - 2.0).abs() < 0.05);
        assert!((first.std(true).double_value(&[]) - 3.0).abs() < 0.05);
        draw(&net, &mean, &variance, &mut Stream::new(1, "noise")).unwrap();
        assert!(value().equal(&first));
        draw(&net, &mean, &variance, &mut Stream::new(2, "noise")).unwrap();
        assert!(!value().equal(&first));
    }

    #[test]
    fn the_batch_size_does_not_matter() {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let options = ConvNetOptions { width: 4, ..ConvNetOptions::default() };
        let net = convnet(shape, 3, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap();
        let x = Tensor::from_slice(&Stream::new(3, "x").normals(7 * 64)).view([7, 1, 8, 8]);
        let y = Tensor::from_slice(&[0_i64, 1, 2, 0, 1, 2, 0]);
        let data = Dataset::from_tensors(&x, &y, DatasetInfo::default()).unwrap();
        let run = Run::new(Settings::default());
        let (one, all) = (diagonal(&net, &data, 1, &run).unwrap(), diagonal(&net, &data, 64, &run).unwrap());
        for ((name, a), (_, b)) in one.iter().zip(&all) {
            assert!(a.allclose(b, 1e-4, 1e-9, false), "{name}");
        }
        assert!(net.is_training());
        assert!(diagonal(&net, &data.take(0), 1, &run).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn directions_square_to_the_curvature_of_the_softmax(seed in 0_u64..1000, classes in 2_i64..12, scale in 0.0_f64..200.0) {
            let logits = Tensor::from_slice(&Stream::new(seed, "z").normals(3 * classes as usize)).view([3, classes]) * scale;
            let d = directions(&logits).unwrap();
            let p = logits.softmax(-1, Kind::Double);
            let want = p.diag_embed(0, 1, 2) - p.unsqueeze(2).matmul(&p.unsqueeze(1));
            let got = d.transpose(1, 2).matmul(&d).to_kind(Kind::Double);
            prop_assert_eq!(d.size(), [3, classes - 1, classes]);
            prop_assert!(got.allclose(&want, 1e-3, 1e-6, false), "{:?}", (got - want).abs().max());
        }
    }
}
