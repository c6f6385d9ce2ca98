//! How far apart two networks' outputs are on the same samples. Always read such a figure beside the distance between two
//! retrained networks of different seeds: that is the floor.

use crate::eval::scores::{row_chunks, to_host};
use crate::nn::guess::{NO_CLASS, guesses};
use crate::nn::loss;
use crate::runtime::{At, Error, Result};
use tch::{Kind, Tensor};

type Torch = std::result::Result<Tensor, tch::TchError>;

/// Every distance of two networks' outputs on the same samples, averaged over them; NaN of none.
#[derive(Debug, Clone, Copy)]
pub struct Distances {
    /// Mean Euclidean distance of the probabilities.
    pub activation: f64,
    /// Mean KL(b || a), in nats.
    pub kl: f64,
    /// Mean Jensen-Shannon divergence, in nats.
    pub js: f64,
    /// The Jensen-Shannon divergence of Bad Teacher's code.
    pub js_legacy: f64,
    /// Share of samples on which both predict the same class.
    pub completeness: f64,
}

/// All distances of `a` from the reference `b`, logits `[n, classes]` each, read from the device at once.
///
/// # Errors
/// Different shapes.
pub fn distances(a: &Tensor, b: &Tensor) -> Result<Distances> {
    check("distances", a, b)?;
    let b = b.f_to_device(a.device()).at("distances")?;
    let mut sums = [0.0; 5];
    for (start, length) in row_chunks(a) {
        let part = |z: &Tensor| z.f_narrow(0, start, length).at("distances");
        let (p, q) = log_probabilities("distances", &part(a)?, &part(&b)?)?;
        let columns = || {
            let columns = [
                activation_of(&p, &q)?,
                divergence(&q, &p)?,
                js_of(&p, &q)?,
                js_legacy_of(&p, &q)?,
                agreement_of(&p, &q)?,
            ];
            Tensor::f_stack(&columns, 0)?.f_sum_dim_intlist(1, false, None::<Kind>)
        };
        let found = to_host("distances", &columns().at("distances")?)?;
        sums.iter_mut().zip(found).for_each(|(sum, x)| *sum += x);
    }
    let [activation, kl, js, js_legacy, completeness] = sums.map(|sum| sum / a.size()[0] as f64);
    Ok(Distances { activation, kl, js, js_legacy, completeness })
}

/// Refuses anything but two logits of one shape.
fn check(operation: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dim() == 2 && a.size() == b.size() {
        return Ok(());
    }
    let message = format!("needs two logits of one shape [n, classes], got {:?} and {:?}", a.size(), b.size());
    Err(Error::new(operation, message))
}

/// Log-probabilities of both, in f64.
fn log_probabilities(operation: &str, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    check(operation, a, b)?;
    let log = |z: &Tensor| z.f_to_kind(Kind::Double)?.f_log_softmax(1, None::<Kind>);
    Ok((log(a).at(operation)?, b.f_to_device(a.device()).and_then(|b| log(&b)).at(operation)?))
}

/// sum of p (ln p - ln q) over the classes; a class without probability adds nothing.
fn divergence(log_p: &Tensor, log_q: &Tensor) -> Torch {
    loss::divergence(log_p, log_q)?.f_sum_dim_intlist(1, false, None::<Kind>)
}

/// KL(softmax(a) || softmax(b)) in nats, per sample.
pub fn kl(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (p, q) = log_probabilities("kl_divergence", a, b)?;
    divergence(&p, &q).at("kl_divergence")
}

/// ln((p + q) / 2).
fn middle(log_p: &Tensor, log_q: &Tensor) -> Torch {
    log_p.f_logaddexp(log_q)?.f_sub_scalar(std::f64::consts::LN_2)
}

fn js_of(log_p: &Tensor, log_q: &Tensor) -> Torch {
    let m = middle(log_p, log_q)?;
    divergence(log_p, &m)?.f_add(&divergence(log_q, &m)?)?.f_mul_scalar(0.5)
}

/// The arguments exchanged, (KL(m || p) + KL(m || q)) / 2, and averaged over the classes too.
fn js_legacy_of(log_p: &Tensor, log_q: &Tensor) -> Torch {
    let m = middle(log_p, log_q)?;
    let classes = log_p.size().last().copied().unwrap_or(1) as f64;
    divergence(&m, log_p)?.f_add(&divergence(&m, log_q)?)?.f_mul_scalar(0.5 / classes)
}

fn activation_of(log_p: &Tensor, log_q: &Tensor) -> Torch {
    log_p.f_exp()?.f_sub(&log_q.f_exp()?)?.f_square()?.f_sum_dim_intlist(1, false, None::<Kind>)?.f_sqrt()
}

/// 1 where both predict the same class and 0 elsewhere; outputs that are no distribution predict none.
fn agreement_of(log_p: &Tensor, log_q: &Tensor) -> Torch {
    let (p, q) = (guesses(log_p)?, guesses(log_q)?);
    p.f_eq_tensor(&q)?.f_logical_and(&p.f_ne(NO_CLASS)?)?.f_to_kind(Kind::Double)
}

/// The Jensen-Shannon divergence in nats, per sample: between 0 and ln 2.
pub fn js(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (p, q) = log_probabilities("js_divergence", a, b)?;
    js_of(&p, &q).at("js_divergence")
}

/// The Jensen-Shannon divergence of Bad Teacher's code: one number, unbounded.
pub fn js_legacy(operation: &str, a: &Tensor, b: &Tensor) -> Result<f64> {
    let (p, q) = log_probabilities(operation, a, b)?;
    mean(operation, &js_legacy_of(&p, &q).at(operation)?)
}

/// The Euclidean distance of the probabilities, per sample.
pub fn activation(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (p, q) = log_probabilities("activation_distance", a, b)?;
    activation_of(&p, &q).at("activation_distance")
}

/// The share of samples on which both predict the same class.
pub fn agreement(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (p, q) = log_probabilities("completeness", a, b)?;
    mean("completeness", &agreement_of(&p, &q).at("completeness")?)
}

/// The mean of a per-sample tensor, NaN of nothing.
pub fn mean(operation: &str, values: &Tensor) -> Result<f64> {
    values.f_mean(None::<Kind>).and_then(|mean| f64::try_from(&mean)).at(operation)
}

/// What scripts see of output distances.
#[rhai::export_module]
pub mod script {
    use crate::runtime::Script;
    use crate::tensor::Tensor;

    /// Kullback-Leibler divergence KL(softmax(a) || softmax(b)) of logits `[n, classes]`, per sample, in nats. The metric `kl`
    /// has the retrained network's logits as `a` and the unlearned one's as `b` (SFRon, Huang et al., NeurIPS 2024). 0 is best;
    /// the floor is the value between two retrained networks. A class without probability in `a` (a masked logit, minus
    /// infinity) adds nothing; one that only `b` lacks makes it infinite, as in SciPy.
    ///
    /// # Example
    /// ```rhai
    /// let z = tensor([[1.0, 2.0, 3.0]]);
    /// assert_close(kl_divergence(z, z).item(), 0.0, 1e-9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn kl_divergence(a: Tensor, b: Tensor) -> Script<Tensor> {
        Ok(super::kl(&a, &b)?.into())
    }

    /// Jensen-Shannon divergence of the softmax of logits `[n, classes]`, per sample, in nats: between 0 and ln 2. 0 is best;
    /// the floor is the value between two retrained networks of different seeds (SFRon, Huang et al., NeurIPS 2024). Figures of
    /// Bad Teacher, SSD and SUPREME are `js_legacy`, which is about as many times smaller as there are classes.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(js_divergence(tensor([[99.0, 0.0]]), tensor([[0.0, 99.0]])).item(), 0.693147, 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn js_divergence(a: Tensor, b: Tensor) -> Script<Tensor> {
        Ok(super::js(&a, &b)?.into())
    }

    /// The Jensen-Shannon divergence that Bad Teacher's, SSD's and SUPREME's code prints, one number: `(KL(m || p) +
    /// KL(m || q)) / 2` with the middle m = (p + q) / 2, averaged over samples *and classes*. The arguments of the divergences
    /// are exchanged, so that it has no upper bound. Only for comparison with published figures: `js_divergence` is the
    /// divergence by its definition.
    ///
    /// # Signature
    /// js_legacy(a: Tensor[n, classes], b: Tensor[n, classes]) -> float
    ///
    /// # Example
    /// ```rhai
    /// let a = tensor([[0.0, 0.0]]);
    /// let b = tensor([[2.0.ln(), 0.0]]);
    /// let m = tensor([[7.0.ln(), 5.0.ln()]]);
    /// let both = kl_divergence(m, a).item() + kl_divergence(m, b).item();
    /// assert_close(js_legacy(a, b), both / 2.0 / 2.0, 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn js_legacy(a: Tensor, b: Tensor) -> Script<f64> {
        Ok(super::js_legacy("js_legacy", &a, &b)?)
    }

    /// Euclidean distance between the softmax of logits `[n, classes]`, per sample: the activation distance of Bad Teacher,
    /// SSD and SUPREME, which average it over the forget set (Golatkar et al., CVPR 2021). 0 is best; the floor is the value
    /// between two retrained networks.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(activation_distance(tensor([[99.0, 0.0]]), tensor([[0.0, 99.0]])).item(), 1.414214, 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn activation_distance(a: Tensor, b: Tensor) -> Script<Tensor> {
        Ok(super::activation(&a, &b)?.into())
    }

    /// Share of samples on which two logits `[n, classes]` predict the same class (SUPREME's completeness). 1 is best; the ceiling
    /// is the value between two retrained networks. Logits that are NaN or infinite predict none, so they agree with nothing.
    ///
    /// # Example
    /// ```rhai
    /// assert(completeness(tensor([[1.0, 0.0], [0.0, 1.0]]), tensor([[2.0, 0.0], [3.0, 1.0]])) == 0.5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn completeness(a: Tensor, b: Tensor) -> Script<f64> {
        Ok(super::agreement(&a, &b)?)
    }

    /// Zero-retrain-forgetting score: 1 - mean Jensen-Shannon divergence (in nats) between the unlearned network's logits on
    /// the forget set and those of an untrained network of the same architecture (Chundawat et al., AAAI 2023; `task.new_model()`
    /// makes one). The ideal is the retrained network's value, not 1.
    ///
    /// # Example
    /// ```rhai
    /// let z = randn([4, 10]);
    /// assert_close(zrf(z, z), 1.0, 1e-9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn zrf(unlearned: Tensor, untrained: Tensor) -> Script<f64> {
        Ok(1.0 - super::mean("zrf", &super::js(&unlearned, &untrained)?)?)
    }

    /// `zrf` with the divergence of Bad Teacher's code: 1 - `js_legacy`. Only for comparison with published figures, which it
    /// makes: nearer to 1 than the score by its definition, since it also averages over classes.
    ///
    /// # Signature
    /// zrf_legacy(unlearned: Tensor[n, classes], untrained: Tensor[n, classes]) -> float
    ///
    /// # Example
    /// ```rhai
    /// let a = randn([20, 10]) * 5.0;
    /// let b = randn([20, 10]);
    /// assert(zrf_legacy(a, b) > zrf(a, b));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn zrf_legacy(unlearned: Tensor, untrained: Tensor) -> Script<f64> {
        Ok(1.0 - super::js_legacy("zrf_legacy", &unlearned, &untrained)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;

    fn logits(name: &str, scale: f64) -> Tensor {
        Tensor::from_slice(&Stream::new(2, name).normals(200)).reshape([20, 10]) * scale
    }

    #[test]
    fn js_is_symmetric_and_bounded_and_zero_between_equals() {
        for scale in [0.1, 1.0, 30.0, 1000.0] {
            let (a, b) = (logits("a", scale), logits("b", scale));
            let (ab, ba) = (js(&a, &b).unwrap(), js(&b, &a).unwrap());
            assert!(f64::try_from((&ab - &ba).abs().max()).unwrap() < 1e-12);
            assert!(f64::try_from(ab.max()).unwrap() <= std::f64::consts::LN_2 + 1e-12);
            assert!(f64::try_from(ab.min()).unwrap() >= -1e-12);
            assert!(mean("t", &js(&a, &a).unwrap()).unwrap().abs() < 1e-12);
            assert!(f64::try_from(kl(&a, &b).unwrap().min()).unwrap() >= -1e-12);
            assert_eq!(agreement(&a, &a).unwrap(), 1.0);
        }
    }

    #[test]
    fn shapes_must_agree_and_nothing_gives_nan() {
        assert!(kl(&logits("a", 1.0), &logits("b", 1.0).reshape([10, 20])).is_err());
        let none = Tensor::zeros([0, 10], (Kind::Float, tch::Device::Cpu));
        assert!(mean("t", &js(&none, &none).unwrap()).unwrap().is_nan());
    }

    #[test]
    fn all_distances_at_once_are_those_taken_one_by_one() {
        let (a, b) = (logits("a", 3.0), logits("b", 2.0));
        let all = distances(&a, &b).unwrap();
        let one = |values: Result<Tensor>| mean("t", &values.unwrap()).unwrap();
        let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-12, "{x} {y}");
        close(all.activation, one(activation(&a, &b)));
        close(all.kl, one(kl(&b, &a)));
        close(all.js, one(js(&a, &b)));
        close(all.js_legacy, js_legacy("t", &a, &b).unwrap());
        close(all.completeness, agreement(&a, &b).unwrap());
        let none = Tensor::zeros([0, 10], (Kind::Float, tch::Device::Cpu));
        let none = distances(&none, &none).unwrap();
        assert!([none.activation, none.kl, none.js, none.js_legacy, none.completeness].iter().all(|x| x.is_nan()));
    }

    #[test]
    fn masked_classes_are_as_scipy_has_them() {
        let gone = f64::NEG_INFINITY;
        let z = |rows: [[f64; 3]; 2]| Tensor::from_slice(&rows.concat()).view([2, 3]);
        let (a, b) = (z([[1.0, gone, 2.0], [0.5, gone, 0.0]]), z([[0.0, gone, 2.0], [0.1, gone, 0.3]]));
        let whole = z([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]);
        let check = |found: Result<Tensor>, wanted: [f64; 2]| {
            let found = to_host("t", &found.unwrap()).unwrap();
            found.iter().zip(wanted).for_each(|(g, w)| assert!((g - w).abs() < 1e-9 || *g == w, "{g} instead of {w}"));
        };
        // scipy.stats.entropy(p, q), scipy.spatial.distance.jensenshannon(p, q) ** 2, numpy.linalg.norm(p - q).
        check(kl(&a, &b), [0.082_607_744_894_745, 0.059_783_417_042_783]);
        check(kl(&a, &whole), [0.363_285_698_296_153, 0.989_677_308_268_910]);
        check(kl(&whole, &a), [f64::INFINITY; 2]);
        check(js(&a, &b), [0.018_305_589_797_428, 0.014_997_943_535_553]);
        check(js(&a, &whole), [0.108_913_595_844_192, 0.216_687_679_163_198]);
        check(js(&whole, &a), [0.108_913_595_844_192, 0.216_687_679_163_198]);
        check(activation(&a, &whole), [0.310_214_563_853_201, 0.652_796_953_156_354]);
        let all = distances(&a, &whole).unwrap();
        assert!(all.kl == f64::INFINITY && all.js.is_finite() && all.completeness == 0.5);
        let apart = z([[0.0, gone, gone], [gone, 0.0, gone]]);
        check(js(&apart, &apart.flip([0])), [std::f64::consts::LN_2; 2]);
    }

    #[test]
    fn broken_outputs_agree_with_nothing_and_have_no_distance() {
        let broken = logits("a", 1.0) * f64::NAN;
        for (x, y) in [(&broken, &broken), (&broken, &logits("b", 1.0)), (&logits("b", 1.0), &broken)] {
            let all = distances(x, y).unwrap();
            assert_eq!((all.completeness, agreement(x, y).unwrap()), (0.0, 0.0));
            assert!([all.activation, all.kl, all.js, all.js_legacy].iter().all(|x| x.is_nan()));
        }
        // Equal constants are at no distance, and a single class neither.
        let constant = Tensor::ones([4, 3], (Kind::Float, tch::Device::Cpu)) * 1e30;
        for z in [constant.shallow_clone(), constant.narrow(1, 0, 1)] {
            let all = distances(&z, &z).unwrap();
            assert_eq!((all.kl, all.js, all.js_legacy, all.activation, all.completeness), (0.0, 0.0, 0.0, 0.0, 1.0));
        }
    }

    #[test]
    fn the_legacy_divergence_is_what_torchs_kl_div_gives_and_stays_finite() {
        // 0.5 * kl_div(log p, m) + 0.5 * kl_div(log q, m) with the default reduction over all elements.
        let (a, b) = (logits("a", 1.0), logits("b", 1.0));
        let (p, q) = (a.log_softmax(1, Kind::Double), b.log_softmax(1, Kind::Double));
        let m: Tensor = (p.exp() + q.exp()) / 2.0;
        let kl_div = |log: &Tensor| log.kl_div(&m, tch::Reduction::Mean, false);
        let wanted: Tensor = (kl_div(&p) + kl_div(&q)) * 0.5;
        let got = js_legacy("t", &a, &b).unwrap();
        assert!((got - f64::try_from(wanted).unwrap()).abs() < 1e-12);
        let far = js_legacy("t", &logits("a", 1000.0), &logits("b", 1000.0)).unwrap();
        assert!(far.is_finite() && far > 1.0, "beyond ln 2: {far}");
    }
}
