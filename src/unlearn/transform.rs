//! The loss transforms of A-AMU (arXiv 2507.09786) and the distance between two sets of losses.

use crate::runtime::options::{as_number, describe};
use crate::runtime::{At, Error, Result};
use crate::tensor::scalars::WithNumber;
use tch::{Kind, Tensor};

/// Weight of ties and of larger losses in the soft ranks: sigmoid(0).
const EPSILON: f64 = 1e-8;

/// Cross-entropy of every sample, `[n]`.
///
/// # Errors
/// Shapes that do not fit, labels out of range.
pub fn losses(operation: &str, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (shape, count) = (logits.size(), labels.size());
    if shape.len() != 2 || count.len() != 1 || shape.first() != count.first() {
        let message = format!("needs logits [n, classes] and labels [n], got {shape:?} and {count:?}");
        return Err(Error::new(operation, message));
    }
    if shape.first() == Some(&0) {
        return Err(Error::new(operation, "needs at least one sample, got none"));
    }
    // Gather, not nll_loss: the latter checks labels only on the CPU, and its message names C++.
    let log = logits.f_log_softmax(-1, Kind::Float).at(operation)?;
    let index = labels.f_unsqueeze(1).at(operation)?;
    let picked = log.f_gather(1, &index, false).map_err(|_| {
        let classes = shape.get(1).copied().unwrap_or(0);
        Error::new(operation, format!("a label is outside of 0..{classes}, the classes of the logits"))
    })?;
    picked.f_squeeze_dim(1).at(operation)?.f_neg().at(operation)
}

/// `ln(1 + loss + 1e-8)`: the scale on which losses are ranked.
pub fn log_losses(losses: &Tensor) -> Result<Tensor> {
    losses.plus(1.0 + EPSILON).at("quantile_transform")?.f_log().at("quantile_transform")
}

/// The soft cumulative distribution of `values` among `others`: `mean_j sigmoid(k * max(v_i - o_j, 0))`.
fn soft_cdf(values: &Tensor, others: &Tensor, k: f64) -> Result<Tensor> {
    let at = "quantile_transform";
    let difference = values.f_unsqueeze(1).at(at)?.f_sub(&others.f_unsqueeze(0).at(at)?).at(at)?;
    let soft = difference.f_relu().at(at)?.times(k).at(at)?.f_sigmoid().at(at)?;
    soft.f_mean_dim(&[1_i64][..], false, Kind::Float).at(at)
}

/// The standard normal quantile of probabilities.
fn normal_quantile(p: &Tensor) -> Result<Tensor> {
    let at = "quantile_transform";
    let centred = p.times(2.0).at(at)?.minus(1.0).at(at)?;
    centred.f_erfinv().at(at)?.times(std::f64::consts::SQRT_2).at(at)
}

/// Soft ranks of `values` among `others` as normal quantiles, clamped to `±clamp`.
fn gaussianised(values: &Tensor, others: &Tensor, k: f64, clamp: f64) -> Result<Tensor> {
    normal_quantile(&soft_cdf(values, others, k)?)?.within(clamp).at("quantile_transform")
}

/// Ranks losses softly within their own set and maps the ranks to normal quantiles, `[n] -> [n]` (5.2 of the method).
///
/// # Errors
/// Anything but a vector with at least one loss.
pub fn quantile_transform(losses: &Tensor, k: f64, clamp: f64) -> Result<Tensor> {
    vector("quantile_transform", losses)?;
    let x = log_losses(losses)?;
    gaussianised(&x, &x, k, clamp)
}

/// The same with both sets ranked within their union, so that their level counts too (a variant of ours).
pub fn union_transform(first: &Tensor, second: &Tensor, k: f64, clamp: f64) -> Result<(Tensor, Tensor)> {
    let (x, y) = (log_losses(first)?, log_losses(second)?);
    let both = Tensor::f_cat(&[&x, &y], 0).at("quantile_transform")?;
    Ok((gaussianised(&x, &both, k, clamp)?, gaussianised(&y, &both, k, clamp)?))
}

/// Losses as quantiles of another set's losses, so that their level counts too (a variant of ours). Ranks are soft on both
/// sides, `mean_j sigmoid(k * (x_i - a_j))`: with the paper's one-sided ranks losses below all of the anchor's would get no
/// gradient, and those are the losses that have to rise.
pub fn anchored_transform(losses: &Tensor, anchor: &Tensor, k: f64, clamp: f64) -> Result<Tensor> {
    let at = "quantile_transform";
    let (x, a) = (log_losses(losses)?, log_losses(anchor)?);
    let difference = x.f_unsqueeze(1).at(at)?.f_sub(&a.f_unsqueeze(0).at(at)?).at(at)?;
    let soft = difference.times(k).at(at)?.f_sigmoid().at(at)?;
    let cdf = soft.f_mean_dim(&[1_i64][..], false, Kind::Float).at(at)?;
    normal_quantile(&cdf)?.within(clamp).at(at)
}

/// Cross-entropy of every sample, transformed by [`quantile_transform`].
///
/// # Errors
/// As its two steps.
pub fn quantile_loss(logits: &Tensor, labels: &Tensor, k: f64, clamp: f64) -> Result<Tensor> {
    quantile_transform(&losses("quantile_loss", logits, labels)?, k, clamp)
}

/// The scale on which losses are ranked, and their soft ranks: what [`quantile_transform`] maps to normal quantiles.
///
/// # Errors
/// Anything but a vector with at least one loss.
pub fn quantile_ranks(losses: &Tensor, k: f64) -> Result<(Tensor, Tensor)> {
    vector("quantile_ranks", losses)?;
    let x = log_losses(losses)?;
    let ranks = soft_cdf(&x, &x, k)?;
    Ok((x, ranks))
}

/// Refuses anything but a vector with at least one loss.
fn vector(operation: &str, losses: &Tensor) -> Result<()> {
    if losses.dim() == 1 && losses.numel() > 0 {
        return Ok(());
    }
    let message = format!("needs a vector of losses with at least one element, got shape {:?}", losses.size());
    Err(Error::new(operation, message))
}

/// The mean of the Gaussian kernel over all pairs of two vectors.
fn mean_kernel(x: &Tensor, y: &Tensor, sigma: f64) -> Result<Tensor> {
    // (a - b)^2 directly: a distance squared again would have no gradient where the samples meet.
    let difference = x.f_unsqueeze(1).at("mmd")?.f_sub(&y.f_unsqueeze(0).at("mmd")?).at("mmd")?;
    let exponent = difference.f_square().at("mmd")?.times(-0.5 / (sigma * sigma)).at("mmd")?;
    exponent.f_exp().at("mmd")?.f_mean(exponent.kind()).at("mmd")
}

/// Refuses anything but two vectors with at least one element.
fn samples(operation: &str, x: &Tensor, y: &Tensor) -> Result<()> {
    if x.dim() == 1 && y.dim() == 1 && x.numel() > 0 && y.numel() > 0 {
        return Ok(());
    }
    let message = format!("needs two vectors with at least one element, got {:?} and {:?}", x.size(), y.size());
    Err(Error::new(operation, message).hint("compare vectors of losses or scores, e.g. quantile_loss(..)"))
}

/// Squared maximum mean discrepancy of two samples of numbers, diagonals included.
///
/// # Errors
/// Anything but two vectors with at least one element, or a width that is not above 0.
pub fn mmd(x: &Tensor, y: &Tensor, sigma: f64) -> Result<Tensor> {
    samples("mmd", x, y)?;
    if sigma <= 0.0 {
        return Err(Error::new("mmd", format!("`sigma` must be above 0, got {sigma}")).word("sigma"));
    }
    let cross = mean_kernel(x, y, sigma)?.times(2.0).at("mmd")?;
    let own = mean_kernel(x, x, sigma)?.f_add(&mean_kernel(y, y, sigma)?).at("mmd")?;
    own.f_sub(&cross).at("mmd")
}

/// A number above 0 out of a script's argument.
fn above_zero(operation: &str, name: &str, value: &rhai::Dynamic) -> Result<f64> {
    match as_number(value) {
        Some(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err(Error::new(operation, format!("`{name}` must be a number above 0, got {}", describe(value)))),
    }
}

/// What scripts see of the transforms.
#[rhai::export_module]
pub mod script {
    use crate::runtime::{Options, Script};
    use crate::tensor::Tensor;
    use rhai::{Dynamic, Map};

    /// The reference's clamp; out of reach, since the transform stays below 3 for ordinary batches.
    const CLAMP: f64 = 60.0;

    /// Cross-entropy of each sample, ranked softly within the batch and mapped to normal quantiles: `[n, classes]`, `[n]` -> `[n]`.
    ///
    /// With `x_i = ln(1 + ce_i)`: `F_i = mean_j sigmoid(k * max(x_i - x_j, 0))`, result `clamp(quantile(F_i), -clamp, clamp)`
    /// (A-AMU, arXiv 2507.09786). Adding a constant to every `x_i` changes nothing: the transform sees the shape of the
    /// distribution of losses, not its level. `k` sets how sharply losses are ranked (the paper's 2). A fourth argument is
    /// the clamp (60, which is never reached). Differentiable.
    ///
    /// # Signature
    /// quantile_loss(logits: Tensor[n, classes], y: Tensor[n], k: float, clamp: float = 60.0) -> Tensor[n]
    ///
    /// # Example
    /// ```rhai
    /// let z = quantile_loss(tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), tensor([0, 0, 0]), 2.0);
    /// assert(z[0].item() == 0.0 && z[1].item() > z[2].item());      // the smallest loss maps to 0
    /// ```
    #[rhai_fn(return_raw)]
    pub fn quantile_loss(logits: Tensor, y: Tensor, k: Dynamic) -> Script<Tensor> {
        let k = super::above_zero("quantile_loss", "k", &k)?;
        Ok(super::quantile_loss(&logits, &y, k, CLAMP)?.into())
    }

    #[rhai_fn(name = "quantile_loss", return_raw)]
    pub fn quantile_loss_clamped(logits: Tensor, y: Tensor, k: Dynamic, clamp: Dynamic) -> Script<Tensor> {
        let k = super::above_zero("quantile_loss", "k", &k)?;
        let clamp = super::above_zero("quantile_loss", "clamp", &clamp)?;
        Ok(super::quantile_loss(&logits, &y, k, clamp)?.into())
    }

    /// Losses ranked softly within their own set and mapped to normal quantiles: `[n] -> [n]`.
    ///
    /// The second half of `quantile_loss`, for losses other than cross-entropy. A third argument is the clamp (60).
    ///
    /// # Signature
    /// quantile_transform(losses: Tensor[n], k: float, clamp: float = 60.0) -> Tensor[n]
    ///
    /// # Example
    /// ```rhai
    /// let z = quantile_transform(tensor([0.5, 0.5, 0.5]), 2.0);     // all equal: nothing to rank
    /// assert(z.abs().max().item() < 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn quantile_transform(losses: Tensor, k: Dynamic) -> Script<Tensor> {
        let k = super::above_zero("quantile_transform", "k", &k)?;
        Ok(super::quantile_transform(&losses, k, CLAMP)?.into())
    }

    #[rhai_fn(name = "quantile_transform", return_raw)]
    pub fn quantile_transform_clamped(losses: Tensor, k: Dynamic, clamp: Dynamic) -> Script<Tensor> {
        let k = super::above_zero("quantile_transform", "k", &k)?;
        let clamp = super::above_zero("quantile_transform", "clamp", &clamp)?;
        Ok(super::quantile_transform(&losses, k, clamp)?.into())
    }

    /// The soft ranks of losses within their own set, before `quantile_transform` maps them to normal quantiles: a map of
    /// `log`, `ln(1 + loss)`, and `ranks`, `mean_j sigmoid(k * max(log_i - log_j, 0))`, from 0.5 to below 1.
    ///
    /// # Signature
    /// quantile_ranks(losses: Tensor[n], k: float) -> #{ log: Tensor[n], ranks: Tensor[n] }
    ///
    /// # Example
    /// ```rhai
    /// let found = quantile_ranks(tensor([0.0, 1.0]), 2.0);
    /// assert_close(found.log, [0.0, log(2.0)], 1e-6);
    /// assert(found.ranks[0].item() == 0.5 && found.ranks[1].item() > 0.5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn quantile_ranks(losses: Tensor, k: Dynamic) -> Script<Map> {
        let k = super::above_zero("quantile_ranks", "k", &k)?;
        let (log, ranks) = super::quantile_ranks(&losses, k)?;
        let pairs = [("log", log), ("ranks", ranks)];
        Ok(pairs.into_iter().map(|(key, tensor)| (key.into(), Dynamic::from(Tensor::from(tensor)))).collect())
    }

    /// The mean of the Gaussian kernel `exp(-(a - b)^2 / (2 sigma^2))` over all pairs of two samples of numbers: what `mmd` is
    /// made of. `[n]`, `[m]` -> scalar.
    ///
    /// # Signature
    /// mean_kernel(x: Tensor[n], y: Tensor[m], #{ sigma: float = 1.0 }) -> Tensor[]
    ///
    /// # Options
    /// - `sigma` (float, 1.0): width of the kernel
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([0.0, 1.0]);
    /// let y = tensor([2.0]);
    /// assert_close(mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y), mmd(x, y));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mean_kernel(x: Tensor, y: Tensor) -> Script<Tensor> {
        mean_kernel_with(x, y, Map::new())
    }

    #[rhai_fn(name = "mean_kernel", return_raw)]
    pub fn mean_kernel_with(x: Tensor, y: Tensor, options: Map) -> Script<Tensor> {
        let mut o = Options::new("mean_kernel", options);
        let sigma = o.positive("sigma", 1.0)?;
        o.finish()?;
        super::samples("mean_kernel", &x, &y)?;
        Ok(super::mean_kernel(&x, &y, sigma)?.into())
    }

    /// Squared maximum mean discrepancy of two samples of numbers, with a Gaussian kernel: `[n]`, `[m]` -> scalar.
    ///
    /// `mean k(x, x) + mean k(y, y) - 2 mean k(x, y)` with `k(a, b) = exp(-(a - b)^2 / (2 sigma^2))`: the biased estimate,
    /// diagonals included (Gretton et al., JMLR 2012). Never below 0 but for rounding, and differentiable in both.
    ///
    /// # Signature
    /// mmd(x: Tensor[n], y: Tensor[m], #{ sigma: float = 1.0 }) -> Tensor[]
    ///
    /// # Options
    /// - `sigma` (float, 1.0): width of the kernel
    ///
    /// # Example
    /// ```rhai
    /// assert(mmd(tensor([1.0]), tensor([1.0])).item() == 0.0);
    /// assert(mmd(tensor([0.0]), tensor([9.0]), #{ sigma: 0.5 }).item() > 1.9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mmd(x: Tensor, y: Tensor) -> Script<Tensor> {
        Ok(super::mmd(&x, &y, 1.0)?.into())
    }

    #[rhai_fn(name = "mmd", return_raw)]
    pub fn mmd_with(x: Tensor, y: Tensor, options: Map) -> Script<Tensor> {
        let mut o = Options::new("mmd", options);
        let sigma = o.positive("sigma", 1.0)?;
        o.finish()?;
        Ok(super::mmd(&x, &y, sigma)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;
    use proptest::prelude::*;

    fn a() -> Tensor {
        let values: Vec<f32> = (0..24).map(|i| 2.0 * (1.0 + f64::from(i)).sin() as f32).collect();
        Tensor::from_slice(&values).reshape([6, 4])
    }

    fn b() -> Tensor {
        let values: Vec<f32> = (0..20).map(|i| 3.0 * (0.5 * f64::from(i)).cos() as f32).collect();
        Tensor::from_slice(&values).reshape([5, 4])
    }

    fn close(got: &Tensor, want: &[f64], tolerance: f64) {
        let got: Vec<f64> = Vec::try_from(got.to_kind(Kind::Double).reshape([-1])).unwrap();
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() <= tolerance + 1e-5 * w.abs(), "{got:?} is not {want:?}");
        }
    }

    #[test]
    fn the_numbers_of_the_reference_come_out() {
        let (ya, yb) = (Tensor::from_slice(&[0_i64, 1, 2, 3, 0, 1]), Tensor::from_slice(&[3_i64, 2, 1, 0, 3]));
        let la = losses("test", &a(), &ya).unwrap();
        close(&la, &[0.88896525, 3.0161252, 3.1295371, 3.2006454, 3.9930363, 1.9137882], 1e-6);
        let za = quantile_loss(&a(), &ya, 2.0, 60.0).unwrap();
        close(&za, &[0.0, 0.19933328, 0.21406125, 0.22665648, 0.38860607, 0.08536638], 1e-6);
        let logits = b().set_requires_grad(true);
        let zb = quantile_loss(&logits, &yb, 2.0, 60.0).unwrap();
        close(&zb, &[0.30750898, 0.11238842, 0.21822760, 0.0, 0.19295415], 1e-6);
        let m = mmd(&za, &zb, 1.0).unwrap();
        close(&m, &[3.6585331e-4], 1e-7);
        m.backward();
        let gradient = logits.grad();
        close(&gradient.get(0), &[-7.6646148e-4, -5.3087791e-4, -1.9300022e-4, 1.4903396e-3], 1e-7);
        close(&gradient.norm(), &[3.1168435e-3], 1e-7);
    }

    #[test]
    fn misfits_are_named_before_torch_sees_them() {
        let (logits, labels) =
            (Tensor::zeros([3, 4], (Kind::Float, tch::Device::Cpu)), Tensor::from_slice(&[0_i64, 1]));
        let error = quantile_loss(&logits, &labels, 2.0, 60.0).unwrap_err().to_string();
        assert_eq!(error, "quantile_loss: needs logits [n, classes] and labels [n], got [3, 4] and [2]");
        let error = quantile_loss(&logits, &Tensor::from_slice(&[0_i64, 1, 4]), 2.0, 60.0).unwrap_err().to_string();
        assert!(error.contains("outside of 0..4"), "{error}");
    }

    fn sample(seed: u64, n: usize) -> Tensor {
        Tensor::from_slice(&Stream::new(seed, "losses").uniforms(n, 0.0, 5.0))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn mmd_is_symmetric_and_never_negative(seed in 0_u64..1000, n in 1_usize..40, m in 1_usize..40, sigma in 0.1_f64..4.0) {
            let (x, y) = (sample(seed, n), sample(seed + 7, m));
            let there = mmd(&x, &y, sigma).unwrap().double_value(&[]);
            let back = mmd(&y, &x, sigma).unwrap().double_value(&[]);
            prop_assert!(there > -1e-6 && (there - back).abs() < 1e-6, "{there} {back}");
            prop_assert!(mmd(&x, &x, sigma).unwrap().double_value(&[]).abs() < 1e-6);
        }

        #[test]
        fn the_transform_ignores_a_common_shift_of_log_losses(seed in 0_u64..1000, n in 1_usize..50, shift in 0.0_f64..3.0) {
            let losses = sample(seed, n);
            let shifted = ((losses.shallow_clone() + 1.0).log() + shift).exp() - 1.0;
            let first = quantile_transform(&losses, 2.0, 60.0).unwrap();
            let second = quantile_transform(&shifted, 2.0, 60.0).unwrap();
            prop_assert!((first - second).abs().max().double_value(&[]) < 1e-4);
        }

        #[test]
        fn the_transform_starts_at_zero_and_stays_below_its_bound(seed in 0_u64..1000, n in 1_usize..60) {
            let z = quantile_transform(&sample(seed, n), 2.0, 60.0).unwrap();
            prop_assert!(z.min().double_value(&[]).abs() < 1e-6 && z.max().double_value(&[]) < 3.0);
        }
    }
}
