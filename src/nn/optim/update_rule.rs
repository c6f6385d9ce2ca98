//! The arithmetic of the optimisers, on flat pieces: a handful of operations whatever the number of parameters.

use crate::runtime::{At, Result};
use crate::tensor::scalars::WithNumber;
use tch::Tensor;

/// Which optimiser, with the constants that do not change.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent.
    Sgd { momentum: f64, weight_decay: f64, nesterov: bool },
    /// Adam; `decoupled` is AdamW.
    Adam { betas: (f64, f64), eps: f64, weight_decay: f64, decoupled: bool },
}

/// One piece of parameters with its gradient and state, all of one shape; updated in place.
pub struct Piece<'a> {
    pub values: Tensor,
    pub gradient: Tensor,
    pub state: &'a [Tensor],
    /// Steps these parameters have had, this one included.
    pub step: i64,
}

type Torch<T> = std::result::Result<T, tch::TchError>;

impl Rule {
    /// The function's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Adam { decoupled: false, .. } => "adam",
            Self::Adam { decoupled: true, .. } => "adamw",
        }
    }

    /// PyTorch's names of the state kept for each parameter.
    pub fn state_names(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum, .. } if *momentum == 0.0 => &[],
            Self::Sgd { .. } => &["momentum_buffer"],
            Self::Adam { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// Updates the values and the state; the gradient is used up.
    pub fn apply(&self, piece: Piece, lr: f64) -> Result<()> {
        match self {
            Self::Sgd { momentum, weight_decay, nesterov } => sgd(piece, lr, *momentum, *weight_decay, *nesterov),
            Self::Adam { betas, eps, weight_decay, decoupled } => {
                adam(piece, lr, *betas, *eps, *weight_decay, *decoupled)
            }
        }
        .at(self.name())
    }
}

/// `d = g + wd p; buffer = momentum buffer + d; p -= lr buffer` (or `d + momentum buffer` with Nesterov). A buffer of zeros
/// makes the first buffer `d`, as in PyTorch.
fn sgd(piece: Piece, lr: f64, momentum: f64, weight_decay: f64, nesterov: bool) -> Torch<()> {
    let Piece { mut values, gradient: mut d, state, .. } = piece;
    if weight_decay != 0.0 {
        let _ = d.f_add_(&values.times(weight_decay)?)?;
    }
    if let [buffer] = state {
        let mut buffer = buffer.shallow_clone();
        let _ = buffer.times_(momentum)?.f_add_(&d)?;
        d = if nesterov { d.f_add(&buffer.times(momentum)?)? } else { buffer };
    }
    values.f_sub_(&d.times(lr)?).map(drop)
}

/// `m += (1 - b1)(g - m); v += (1 - b2)(g² - v); p -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`.
fn adam(piece: Piece, lr: f64, betas: (f64, f64), eps: f64, weight_decay: f64, decoupled: bool) -> Torch<()> {
    let Piece { mut values, gradient: mut g, state, step } = piece;
    let [m, v] = state else { return Ok(()) };
    let (mut m, mut v) = (m.shallow_clone(), v.shallow_clone());
    if weight_decay != 0.0 && decoupled {
        let _ = values.times_(1.0 - lr * weight_decay)?;
    } else if weight_decay != 0.0 {
        let _ = g.f_add_(&values.times(weight_decay)?)?;
    }
    let _ = m.f_lerp_(&g, 1.0 - betas.0)?;
    let _ = v.f_lerp_(&g.f_mul(&g)?, 1.0 - betas.1)?;
    let correction = |beta: f64| 1.0 - beta.powi(i32::try_from(step).unwrap_or(i32::MAX));
    let rate = -lr / correction(betas.0);
    if rate == 0.0 {
        return Ok(());
    }
    // addcdiv without a factor: the rate goes into the denominator.
    let mut denominator = v.f_sqrt()?;
    let _ = denominator.times_(1.0 / (correction(betas.1).sqrt() * rate))?.plus_(eps / rate)?;
    values.f_addcdiv_(&m, &denominator).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::layers::layer::Layer;
    use crate::nn::layers::with_parameters::Maker;
    use crate::nn::{Net, Optimizer};
    use crate::runtime::Stream;
    use std::rc::Rc;
    use tch::{COptimizer, Device, Kind};

    fn linear() -> Net {
        let net = Net::layer(Rc::new(Layer::Linear(Maker::new(Device::Cpu).linear(4, 3, true).unwrap())));
        net.reset(&mut Stream::new(5, "init")).unwrap();
        net
    }

    fn loss(net: &Net, step: u64) -> Tensor {
        let x = Tensor::from_slice(&Stream::new(step, "x").normals(20)).view([5, 4]);
        net.forward(&x).unwrap().square().sum(Kind::Float)
    }

    /// Trains two equal nets, one by torch's optimiser, and returns their largest difference.
    fn against_torch(rule: Rule, lr: f64, mut torch: COptimizer) -> f64 {
        let (ours, theirs) = (linear(), linear());
        let optimizer = Optimizer::of_net(rule, &ours, lr, None).unwrap();
        for (_, parameter) in theirs.parameters() {
            torch.add_parameters(&parameter, 0).unwrap();
        }
        for step in 0..20 {
            optimizer.minimize(&loss(&ours, step)).unwrap();
            torch.zero_grad().unwrap();
            loss(&theirs, step).backward();
            torch.step().unwrap();
        }
        let pairs = ours.parameters().into_iter().zip(theirs.parameters());
        pairs.map(|((_, a), (_, b))| (a - b).abs().max().double_value(&[])).fold(0.0, f64::max)
    }

    #[test]
    fn steps_are_those_of_torch() {
        let sgd = |momentum, weight_decay, nesterov| {
            let torch = COptimizer::sgd(0.01, momentum, 0.0, weight_decay, nesterov).unwrap();
            against_torch(Rule::Sgd { momentum, weight_decay, nesterov }, 0.01, torch)
        };
        for difference in [sgd(0.0, 0.0, false), sgd(0.9, 0.0, false), sgd(0.9, 0.1, false), sgd(0.9, 0.1, true)] {
            assert!(difference < 1e-6, "{difference}");
        }
        let betas = (0.9, 0.99);
        let torch = COptimizer::adam(0.01, betas.0, betas.1, 0.1, 1e-8, false).unwrap();
        let rule = Rule::Adam { betas, eps: 1e-8, weight_decay: 0.1, decoupled: false };
        let difference = against_torch(rule, 0.01, torch);
        assert!(difference < 1e-6, "{difference}");
        let torch = COptimizer::adamw(0.01, betas.0, betas.1, 0.1, 1e-8, false).unwrap();
        let rule = Rule::Adam { betas, eps: 1e-8, weight_decay: 0.1, decoupled: true };
        let difference = against_torch(rule, 0.01, torch);
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn frozen_and_unused_parameters_stay_and_do_not_decay() {
        let net = linear();
        let rule = Rule::Adam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.5, decoupled: true };
        let optimizer = Optimizer::of_net(rule, &net, 0.1, None).unwrap();
        let value = |name: &str| net.parameters().into_iter().find(|(n, _)| n == name).unwrap().1.copy();
        let bias = value("bias");
        // The loss does not depend on the bias: no gradient, no step, no decay.
        optimizer.minimize(&net.parameters()[0].1.square().sum(Kind::Float)).unwrap();
        assert_eq!(value("bias"), bias);
        let weight = value("weight");
        net.freeze("weight", true).unwrap();
        optimizer.minimize(&loss(&net, 0)).unwrap();
        assert_eq!(value("weight"), weight);
        assert_ne!(value("bias"), bias);
        net.freeze("", true).unwrap();
        let error = optimizer.minimize(&loss(&net, 0)).unwrap_err().to_string();
        assert_eq!(error, "minimize: the loss does not depend on the network's parameters");
    }

    #[test]
    fn losses_that_cannot_be_minimised_say_why() {
        let net = linear();
        let optimizer =
            Optimizer::of_net(Rule::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false }, &net, 0.1, None);
        let optimizer = optimizer.unwrap();
        let vector = net.forward(&Tensor::ones([2, 4], (Kind::Float, Device::Cpu))).unwrap();
        let error = optimizer.minimize(&vector).unwrap_err().to_string();
        assert_eq!(error, "minimize: the loss must be a single number, got shape [2, 3]");
        let (first, second) = (loss(&net, 0), loss(&net, 0).square());
        optimizer.minimize(&first).unwrap();
        let hidden = net.parameters()[0].1.square().sum(Kind::Float);
        optimizer.minimize(&loss(&net, 1)).unwrap();
        for old in [first, hidden] {
            let error = optimizer.minimize(&old).unwrap_err().to_string();
            assert_eq!(error, "minimize: the loss was computed before the last step, or minimised already");
        }
        drop(second);
    }

    #[test]
    fn clipping_bounds_the_norm_of_the_whole_gradient() {
        let net = linear();
        let rule = || Rule::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
        let before = net.copy().unwrap();
        Optimizer::of_net(rule(), &net, 1.0, Some(0.25)).unwrap().minimize(&loss(&net, 0)).unwrap();
        let pairs = net.parameters().into_iter().zip(before.parameters());
        let moved: f64 = pairs.map(|((_, a), (_, b))| (a - b).square().sum(Kind::Double).double_value(&[])).sum();
        assert!((moved.sqrt() - 0.25).abs() < 1e-4, "{moved}");
    }

    #[test]
    fn backward_step_and_zero_grad_do_what_minimize_does() {
        let (a, b) = (linear(), linear());
        let rule = || Rule::Sgd { momentum: 0.9, weight_decay: 0.0, nesterov: false };
        let (first, second) = (Optimizer::of_net(rule(), &a, 0.1, None), Optimizer::of_net(rule(), &b, 0.1, None));
        let (first, second) = (first.unwrap(), second.unwrap());
        for step in 0..3 {
            first.minimize(&loss(&a, step)).unwrap();
            second.zero_grad().unwrap();
            loss(&b, step).backward();
            second.step().unwrap();
        }
        assert_eq!(a.weights_hash().unwrap(), b.weights_hash().unwrap());
        second.zero_grad().unwrap();
        assert!(!b.parameters()[0].1.grad().defined());
    }
}
