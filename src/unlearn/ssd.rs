//! Selective synaptic dampening (Foster et al., AAAI 2024): parameters that matter far more to the forget set than to all
//! data are scaled down.

use super::named::{Named, find};
use crate::data::Dataset;
use crate::nn::jacobian::per_sample::Amount;
use crate::nn::{Net, loss};
use crate::runtime::{At, Error, Result, interrupt};
use crate::tensor::ops::autograd::run_backward;
use crate::tensor::plain::checks::comparable;
use crate::tensor::scalars::WithNumber;
use tch::{Kind, Tensor};

/// How importances are measured.
#[derive(Debug, Clone, Copy)]
pub struct ImportanceOptions {
    /// Samples per batch.
    pub batch: usize,
    /// Mean of the samples' own squared gradients instead of the square of each batch's mean gradient.
    pub per_sample: bool,
    /// Absolute gradient of the squared norm of the logits instead of the squared gradient of the cross-entropy.
    pub label_free: bool,
}

impl Default for ImportanceOptions {
    fn default() -> Self {
        Self { batch: 64, per_sample: false, label_free: false }
    }
}

/// How much each parameter matters to a dataset, in evaluation mode and in the order of the samples.
///
/// # Errors
/// No samples; those of the network; Ctrl-C.
pub fn importance(net: &Net, data: &Dataset, options: ImportanceOptions) -> Result<Named> {
    if data.is_empty() {
        return Err(Error::new("importance", "needs at least one sample, got none"));
    }
    let mut sums = Sums::of(net)?;
    let training = net.is_training();
    net.set_training(false);
    let measured = measure(net, data, options, &mut sums);
    net.set_training(training);
    measured?;
    sums.mean()
}

fn measure(net: &Net, data: &Dataset, options: ImportanceOptions, sums: &mut Sums) -> Result<()> {
    // Samples by themselves may be taken as few at a time as suits memory; batches count as they are.
    let batch = match options.per_sample {
        true => net.tangent_batch(&data.take(1).all()?.x, options.batch)?,
        false => options.batch.max(1),
    };
    for batch in data.chunks(batch) {
        interrupt::check()?;
        let batch = batch?;
        if options.per_sample {
            sums.add_samples(net, &batch.x, &batch.y, options)?;
        } else {
            sums.add_batch(net, &batch.x, &batch.y, options)?;
        }
    }
    Ok(())
}

/// The scalar whose gradient counts.
fn objective(logits: &Tensor, labels: &Tensor, label_free: bool) -> Result<Tensor> {
    if label_free {
        let norms = logits.f_square().at("importance")?.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float);
        return norms.at("importance")?.f_mean(Kind::Float).at("importance");
    }
    loss::cross_entropy(logits, labels)
}

/// The gradient of each sample's own objective with respect to its logits, `[n, classes]`.
fn logit_gradients(logits: &Tensor, labels: &Tensor, label_free: bool) -> Result<Tensor> {
    if label_free { logits.times(2.0).at("importance") } else { loss::logit_gradient(logits, labels) }
}

/// Running sums of what gradients amount to.
struct Sums {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    sums: Vec<Tensor>,
    count: usize,
}

impl Sums {
    fn of(net: &Net) -> Result<Self> {
        let (names, parameters): (Vec<_>, Vec<_>) = net.trainable().into_iter().unzip();
        if parameters.is_empty() {
            return Err(Error::new("importance", "every parameter of the network is frozen"));
        }
        let sums: Result<Vec<_>> =
            parameters.iter().map(|p| p.f_detach().at("importance")?.f_zeros_like().at("importance")).collect();
        Ok(Self { names, parameters, sums: sums?, count: 0 })
    }

    fn add_batch(&mut self, net: &Net, x: &Tensor, y: &Tensor, options: ImportanceOptions) -> Result<()> {
        let total = tch::with_grad(|| objective(&net.forward(x)?, y, options.label_free))?;
        let gradients = run_backward("importance", &total, &self.parameters)?;
        for (sum, gradient) in self.sums.iter_mut().zip(gradients).filter(|(_, g)| g.defined()) {
            let amount = amount(&gradient, options.label_free)?;
            let _ = sum.f_add_(&amount).at("importance")?;
        }
        self.count += 1;
        Ok(())
    }

    fn add_samples(&mut self, net: &Net, x: &Tensor, y: &Tensor, options: ImportanceOptions) -> Result<()> {
        let amount = if options.label_free { Amount::Absolute } else { Amount::Square };
        let outer = |logits: &Tensor| logit_gradients(logits, y, options.label_free)?.f_unsqueeze(1).at("importance");
        let totals = net.tangent_totals(x, amount, outer)?;
        for (sum, total) in self.sums.iter_mut().zip(totals) {
            let _ = sum.f_add_(&total).at("importance")?;
        }
        self.count += y.numel();
        Ok(())
    }

    fn mean(self) -> Result<Named> {
        let count = self.count.max(1) as f64;
        let scaled = self.sums.into_iter().map(|sum| sum.over(count).at("importance"));
        self.names.into_iter().zip(scaled).map(|(name, sum)| Ok((name, sum?))).collect()
    }
}

fn amount(gradient: &Tensor, label_free: bool) -> Result<Tensor> {
    if label_free { gradient.f_abs().at("importance") } else { gradient.f_square().at("importance") }
}

/// Which parameters are dampened, and how much.
#[derive(Debug, Clone, Copy)]
pub struct Dampening {
    /// Select where the forget importance exceeds this times the full one (alpha of the paper).
    pub selection: f64,
    /// Scale of the dampening factor (lambda of the paper).
    pub dampening: f64,
    /// Exponent of the factor.
    pub exponent: f64,
    /// The factor is at most this.
    pub cap: f64,
}

impl Default for Dampening {
    fn default() -> Self {
        Self { selection: 10.0, dampening: 1.0, exponent: 1.0, cap: 1.0 }
    }
}

/// The dampened value of a parameter and how many of its entries were selected, given its importance to all data and to
/// the forget data.
///
/// # Errors
/// Shapes that differ.
pub fn dampened(parameter: &Tensor, full: &Tensor, forget: &Tensor, o: Dampening) -> Result<(Tensor, Tensor)> {
    let at = "dampen";
    if parameter.size() != full.size() || parameter.size() != forget.size() {
        let (p, a, b) = (parameter.size(), full.size(), forget.size());
        return Err(Error::new(at, format!("importances must have the parameter's shape {p:?}, got {a:?} and {b:?}")));
    }
    comparable(at, "importances of all data", full, true)?;
    comparable(at, "importances of the forget data", forget, true)?;
    let selected = forget.f_gt_tensor(&full.times(o.selection).at(at)?).at(at)?;
    let factor = full.times(o.dampening).at(at)?.f_div(forget).at(at)?;
    let factor = factor.raised(o.exponent).at(at)?.at_most(o.cap).at(at)?;
    let scaled = parameter.f_mul(&factor).at(at)?.f_where_self(&selected, parameter).at(at)?;
    Ok((scaled, selected.f_sum(Kind::Int64).at(at)?))
}

/// Dampens a network's parameters in place; returns how many entries were selected.
///
/// # Errors
/// A trainable parameter without importances, shapes that differ.
pub fn dampen(net: &Net, full: &Named, forget: &Named, o: Dampening) -> Result<i64> {
    let mut total = 0;
    for (name, parameter) in net.trainable() {
        let value = parameter.f_detach().at("dampen")?;
        let importance = |list| find("dampen", "importance", list, &name, &value.size());
        let (scaled, selected) = dampened(&value, importance(full)?, importance(forget)?, o)?;
        let mut target = value;
        tch::no_grad(|| target.f_copy_(&scaled)).at("dampen")?;
        total += selected.f_int64_value(&[]).at("dampen")?;
    }
    Ok(total)
}

fn options_of_importance(given: rhai::Map) -> Result<ImportanceOptions> {
    let mut o = crate::runtime::Options::new("importance", given);
    let d = ImportanceOptions::default();
    let batch = o.count("batch", d.batch)?;
    let per_sample = o.flag("per_sample", d.per_sample)?;
    let label_free = o.flag("label_free", d.label_free)?;
    o.finish()?;
    Ok(ImportanceOptions { batch, per_sample, label_free })
}

fn options_of_dampening(given: rhai::Map) -> Result<Dampening> {
    let mut o = crate::runtime::Options::new("dampen", given);
    let d = Dampening::default();
    let selection = o.positive("selection", d.selection)?;
    let dampening = o.non_negative("dampening", d.dampening)?;
    let exponent = o.positive("exponent", d.exponent)?;
    let cap = o.positive("cap", d.cap)?;
    o.finish()?;
    Ok(Dampening { selection, dampening, exponent, cap })
}

/// What scripts see of dampening.
#[rhai::export_module]
pub mod script {
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::Script;
    use crate::unlearn::named::{from_map, to_map};
    use rhai::Map;

    /// How much each trainable parameter matters to a dataset: a map from parameter names to tensors of their shapes.
    ///
    /// As in the code of selective synaptic dampening (Foster et al., AAAI 2024): the square of the gradient of a batch's
    /// mean cross-entropy, averaged over batches taken in order, in evaluation mode. `per_sample` is what the paper writes:
    /// each sample's own squared gradient.
    ///
    /// # Signature
    /// importance(net: Net, data: Dataset, #{ .. }) -> map
    ///
    /// # Options
    /// - `batch` (int, 64): samples per batch; with `per_sample` at most, and the result does not depend on it
    /// - `per_sample` (bool, false): average the squared gradients of single samples
    /// - `label_free` (bool, false): absolute gradients of the mean squared norm of the logits, without labels
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 8 });
    /// let matters = importance(net, d.train.take(32));
    /// assert(matters["classifier.weight"].shape == [10, 8] && matters["classifier.weight"].min().item() >= 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn importance(net: Net, data: Dataset, options: Map) -> Script<Map> {
        let options = super::options_of_importance(options)?;
        Ok(to_map(super::importance(&net, &data, options)?))
    }

    #[rhai_fn(name = "importance", return_raw)]
    pub fn importance_plain(net: Net, data: Dataset) -> Script<Map> {
        importance(net, data, Map::new())
    }

    /// Scales down, in place, the parameters that matter more to the forget data than to all data; returns how many.
    ///
    /// `full` and `forget` are importances on all training data and on the forget data. Where
    /// `forget > selection * full`, an entry is multiplied by
    /// `min((dampening * full / forget) ** exponent, cap)`. The code that accompanies arXiv 2507.09786 hands
    /// the two over in the other order, and so does `variant: "reference"` of `ssd`.
    ///
    /// # Signature
    /// dampen(net: Net, full: map, forget: map, #{ .. }) -> int
    ///
    /// # Options
    /// - `selection` (float, 10.0): how many times more an entry must matter to the forget data (alpha of the paper)
    /// - `dampening` (float, 1.0): scale of the factor (lambda of the paper)
    /// - `exponent` (float, 1.0): exponent of the factor
    /// - `cap` (float, 1.0): the factor is at most this (`lower_bound` in the original code)
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 8 });
    /// let full = importance(net, d.train.take(64));
    /// assert(dampen(net, full, full) == 0);                          // nothing matters more to the same data
    /// assert(dampen(net, full, full, #{ selection: 0.5 }) > 0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn dampen(net: Net, full: Map, forget: Map, options: Map) -> Script<i64> {
        let options = super::options_of_dampening(options)?;
        let read = |map| from_map("dampen", "importance", map);
        Ok(super::dampen(&net, &read(full)?, &read(forget)?, options)?)
    }

    #[rhai_fn(name = "dampen", return_raw)]
    pub fn dampen_plain(net: Net, full: Map, forget: Map) -> Script<i64> {
        dampen(net, full, forget, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_gives_the_numbers_of_the_reference() {
        let t = |v: [f32; 4]| Tensor::from_slice(&v).reshape([2, 2]);
        let (p, full, forget) = (t([1.0, 2.0, 3.0, 4.0]), t([0.01, 1.0, 0.0, 0.2]), t([1.0, 1.0, 0.5, 1.9]));
        let (after, selected) = dampened(&p, &full, &forget, Dampening::default()).unwrap();
        assert!(after.allclose(&t([0.01, 2.0, 0.0, 4.0]), 1e-6, 1e-8, false));
        assert_eq!(selected.int64_value(&[]), 2);
    }

    #[test]
    fn entries_without_any_importance_stay_as_they_are() {
        let one = Tensor::from_slice(&[3.0_f32]);
        let (after, _) = dampened(&one, &one.zeros_like(), &one.zeros_like(), Dampening::default()).unwrap();
        assert_eq!(after.double_value(&[0]), 3.0);
    }
}
