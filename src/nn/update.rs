//! The arithmetic of the optimisers, on flat pieces: a handful of operations whatever the number of parameters.

use crate::runtime::{At, Result};
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
        let _ = d.f_add_(&values.f_mul_scalar(weight_decay)?)?;
    }
    if let [buffer] = state {
        let mut buffer = buffer.shallow_clone();
        let _ = buffer.f_mul_scalar_(momentum)?.f_add_(&d)?;
        d = if nesterov { d.f_add(&buffer.f_mul_scalar(momentum)?)? } else { buffer };
    }
    values.f_sub_(&d.f_mul_scalar(lr)?).map(drop)
}

/// `m += (1 - b1)(g - m); v += (1 - b2)(g² - v); p -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`.
fn adam(piece: Piece, lr: f64, betas: (f64, f64), eps: f64, weight_decay: f64, decoupled: bool) -> Torch<()> {
    let Piece { mut values, gradient: mut g, state, step } = piece;
    let [m, v] = state else { return Ok(()) };
    let (mut m, mut v) = (m.shallow_clone(), v.shallow_clone());
    if weight_decay != 0.0 && decoupled {
        let _ = values.f_mul_scalar_(1.0 - lr * weight_decay)?;
    } else if weight_decay != 0.0 {
        let _ = g.f_add_(&values.f_mul_scalar(weight_decay)?)?;
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
    let _ = denominator.f_mul_scalar_(1.0 / (correction(betas.1).sqrt() * rate))?.f_add_scalar_(eps / rate)?;
    values.f_addcdiv_(&m, &denominator).map(drop)
}
