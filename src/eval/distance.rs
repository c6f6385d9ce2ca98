//! How far apart two networks' outputs are on the same samples. Always read such a figure beside the distance between two
//! retrained networks of different seeds: that is the floor.

use crate::runtime::{At, Error, Result};
use tch::{Kind, Tensor};

type Torch = std::result::Result<Tensor, tch::TchError>;

/// Log-probabilities of both, in f64.
fn log_probabilities(operation: &str, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    if a.dim() != 2 || a.size() != b.size() {
        let message = format!("needs two logits of one shape [n, classes], got {:?} and {:?}", a.size(), b.size());
        return Err(Error::new(operation, message));
    }
    let log = |z: &Tensor| z.f_to_kind(Kind::Double)?.f_log_softmax(1, None::<Kind>);
    Ok((log(a).at(operation)?, b.f_to_device(a.device()).and_then(|b| log(&b)).at(operation)?))
}

/// sum of p (ln p - ln q) over the classes; a class without probability adds nothing.
fn divergence(log_p: &Tensor, log_q: &Tensor) -> Torch {
    let p = log_p.f_exp()?;
    let terms = p.f_mul(&log_p.f_sub(log_q)?)?;
    terms.f_masked_fill(&p.f_eq(0.0)?, 0.0)?.f_sum_dim_intlist(1, false, None::<Kind>)
}

/// KL(softmax(a) || softmax(b)) in nats, per sample.
pub fn kl(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (p, q) = log_probabilities("kl_divergence", a, b)?;
    divergence(&p, &q).at("kl_divergence")
}

/// The Jensen-Shannon divergence in nats, per sample: between 0 and ln 2.
pub fn js(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (p, q) = log_probabilities("js_divergence", a, b)?;
    let middle = || p.f_logaddexp(&q)?.f_sub_scalar(std::f64::consts::LN_2);
    let both = || {
        let m = middle()?;
        divergence(&p, &m)?.f_add(&divergence(&q, &m)?)?.f_mul_scalar(0.5)
    };
    both().at("js_divergence")
}

/// The Euclidean distance of the probabilities, per sample.
pub fn activation(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (p, q) = log_probabilities("activation_distance", a, b)?;
    let distance = || p.f_exp()?.f_sub(&q.f_exp()?)?.f_square()?.f_sum_dim_intlist(1, false, None::<Kind>)?.f_sqrt();
    distance().at("activation_distance")
}

/// The share of samples on which both predict the same class.
pub fn agreement(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (p, q) = log_probabilities("completeness", a, b)?;
    let same =
        || p.f_argmax(1, false)?.f_eq_tensor(&q.f_argmax(1, false)?)?.f_to_kind(Kind::Double)?.f_mean(None::<Kind>);
    same().and_then(|share| f64::try_from(&share)).at("completeness")
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

    /// Kullback-Leibler divergence KL(softmax(a) || softmax(b)) of logits `[n, classes]`, per sample, in nats.
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

    /// Jensen-Shannon divergence of the softmax of logits `[n, classes]`, per sample, in nats: between 0 and ln 2. (The
    /// figures of Bad-T and SSD average over classes too and are about so many times smaller.)
    ///
    /// # Example
    /// ```rhai
    /// assert_close(js_divergence(tensor([[99.0, 0.0]]), tensor([[0.0, 99.0]])).item(), 0.693147, 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn js_divergence(a: Tensor, b: Tensor) -> Script<Tensor> {
        Ok(super::js(&a, &b)?.into())
    }

    /// Euclidean distance between the softmax of logits `[n, classes]`, per sample (Chundawat et al. 2023).
    ///
    /// # Example
    /// ```rhai
    /// assert_close(activation_distance(tensor([[99.0, 0.0]]), tensor([[0.0, 99.0]])).item(), 1.414214, 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn activation_distance(a: Tensor, b: Tensor) -> Script<Tensor> {
        Ok(super::activation(&a, &b)?.into())
    }

    /// Share of samples on which two logits `[n, classes]` predict the same class (SUPREME's completeness).
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
    /// the forget set and an untrained network's (Chundawat et al. 2023). The ideal is the retrained network's value, not 1.
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
}
