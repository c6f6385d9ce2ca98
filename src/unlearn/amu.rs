//! The regulariser of A-AMU (arXiv 2507.09786, section 5): the losses of forget samples shall be distributed like those of
//! samples the network has never seen.

use super::transform::{log_losses, losses, mmd, pooled_transform, quantile_transform};
use crate::data::{Batch, Dataset};
use crate::nn::Net;
use crate::runtime::{At, Error, Options, Result, Stream};
use std::cell::RefCell;
use std::collections::HashMap;
use tch::Tensor;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each set's losses ranked within the set, as normal quantiles: the paper's.
    Quantile,
    /// Logarithms of one plus the losses: sees their level as well (ours).
    Log1p,
    /// Quantiles of the ranks within both sets together: sees their level as well (ours).
    Pooled,
}

/// Weights and shapes of the accelerated objective.
#[derive(Debug, Clone, PartialEq)]
pub struct AmuOptions {
    /// Weight of the regulariser.
    pub mmd_weight: f64,
    /// Sharpness of the soft ranks.
    pub k: f64,
    /// Bound of the transformed losses.
    pub clamp: f64,
    /// Width of the kernel.
    pub sigma: f64,
    /// What is compared.
    pub kind: Kind,
}

impl Default for AmuOptions {
    fn default() -> Self {
        Self { mmd_weight: 34.0, k: 2.0, clamp: 60.0, sigma: 1.0, kind: Kind::Quantile }
    }
}

impl AmuOptions {
    /// Reads `mmd_weight`, `k`, `clamp`, `sigma` and `compare` from a call's options.
    ///
    /// # Errors
    /// Values of the wrong type or out of range.
    pub fn read(o: &mut Options) -> Result<Self> {
        let d = Self::default();
        let mmd_weight = o.non_negative("mmd_weight", d.mmd_weight)?;
        let k = o.positive("k", d.k)?;
        let clamp = o.positive("clamp", d.clamp)?;
        let sigma = o.positive("sigma", d.sigma)?;
        let kind = match o.choice("compare", "quantile", &["quantile", "log1p", "pooled"])?.as_str() {
            "log1p" => Kind::Log1p,
            "pooled" => Kind::Pooled,
            _ => Kind::Quantile,
        };
        Ok(Self { mmd_weight, k, clamp, sigma, kind })
    }

    /// `mmd_weight * MMD^2` of the losses of two sets, from their logits; those of the unseen set carry no gradient.
    ///
    /// # Errors
    /// Shapes that do not fit, labels out of range.
    pub fn distance(&self, unseen: (&Tensor, &Tensor), forget: (&Tensor, &Tensor)) -> Result<Tensor> {
        let unseen = losses("regularizer", unseen.0, unseen.1)?.f_detach().at("regularizer")?;
        let forget = losses("regularizer", forget.0, forget.1)?;
        let (u, f) = match self.kind {
            Kind::Quantile => {
                let each = |x: &Tensor| quantile_transform(x, self.k, self.clamp);
                (each(&unseen)?, each(&forget)?)
            }
            Kind::Log1p => (log_losses(&unseen)?, log_losses(&forget)?),
            Kind::Pooled => pooled_transform(&unseen, &forget, self.k, self.clamp)?,
        };
        mmd(&u, &f, self.sigma)?.f_mul_scalar(self.mmd_weight).at("regularizer")
    }
}

/// Draws the samples that a step of A-AMU compares: forget samples, and unseen ones of the classes drawn.
pub struct Regularizer {
    forget: Dataset,
    unseen: Dataset,
    options: AmuOptions,
    /// Unseen samples of a set of classes, found once for each set that comes up.
    eligible: RefCell<HashMap<Vec<i64>, Dataset>>,
}

impl Regularizer {
    /// A regulariser between these sets.
    ///
    /// # Errors
    /// When one of them is empty.
    pub fn new(forget: &Dataset, unseen: &Dataset, options: AmuOptions) -> Result<Self> {
        for (name, set) in [("forget", forget), ("unseen", unseen)] {
            if set.is_empty() {
                return Err(Error::new(
                    "regularizer",
                    format!("the {name} set is empty, so there is nothing to compare"),
                ));
            }
        }
        Ok(Self { forget: forget.clone(), unseen: unseen.clone(), options, eligible: RefCell::default() })
    }

    /// Up to `4 * n` forget samples and up to `4 * n` unseen samples of the classes drawn, without replacement.
    ///
    /// # Errors
    /// When no unseen sample is of the classes drawn.
    pub fn draw(&self, n: usize, stream: &mut Stream) -> Result<(Batch, Batch)> {
        let forget = self.forget.sample_up_to(4 * n, stream).all()?;
        let classes = forget.classes();
        let mut cache = self.eligible.borrow_mut();
        let eligible = cache.entry(classes).or_insert_with_key(|classes| self.unseen.of(classes));
        if eligible.is_empty() {
            let message = format!("no unseen sample is of the classes {:?} of the forget set", forget.classes());
            return Err(Error::new("regularizer", message).hint("hold out samples of the forgotten classes"));
        }
        let unseen = eligible.sample_up_to(4 * n, stream).all()?;
        Ok((forget, unseen))
    }

    /// The weighted term for a retain batch of `n` samples.
    ///
    /// # Errors
    /// Those of drawing and of the network.
    pub fn term(&self, net: &Net, n: usize, stream: &mut Stream) -> Result<Tensor> {
        let (forget, unseen) = self.draw(n, stream)?;
        // Evaluation mode, so that batch-norm statistics stay as they are, and no graph of the larger of the two passes.
        let unseen_logits = net.evaluating(|| net.forward(&unseen.x))?;
        let forget_logits = net.forward(&forget.x)?;
        self.options.distance((&unseen_logits, &unseen.y), (&forget_logits, &forget.y))
    }
}

/// The weighted regulariser of one step, for callers that keep no [`Regularizer`].
///
/// # Errors
/// As [`Regularizer::new`] and [`Regularizer::term`].
pub fn regularizer(
    net: &Net,
    forget: &Dataset,
    unseen: &Dataset,
    n: usize,
    options: &AmuOptions,
    stream: &mut Stream,
) -> Result<Tensor> {
    Regularizer::new(forget, unseen, options.clone())?.term(net, n, stream)
}
