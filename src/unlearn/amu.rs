//! The regulariser of A-AMU (arXiv 2507.09786, section 5): the losses of forget samples shall be distributed like those of
//! samples the network has never seen.

use super::transform::{anchored_transform, log_losses, losses, mmd, quantile_transform, union_transform};
use crate::data::{Batch, Dataset};
use crate::nn::Net;
use crate::runtime::{At, Error, Result, Stream};
use crate::tensor::scalars::WithNumber;
use std::cell::RefCell;
use std::collections::HashMap;
use tch::Tensor;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each set's losses ranked within the set, as normal quantiles: the paper's.
    Quantile,
    /// Quantiles of the ranks within both sets together: sees their level as well (ours).
    Union,
    /// Logarithms of one plus the losses: sees their level as well (ours).
    LogLoss,
    /// Both sets as quantiles of the unseen set: sees their level as well (ours).
    Anchored,
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
            Kind::Union => union_transform(&unseen, &forget, self.k, self.clamp)?,
            Kind::LogLoss => (log_losses(&unseen)?, log_losses(&forget)?),
            Kind::Anchored => {
                let each = |x: &Tensor| anchored_transform(x, &unseen, self.k, self.clamp);
                (each(&unseen)?, each(&forget)?)
            }
        };
        mmd(&u, &f, self.sigma)?.times(self.mmd_weight).at("regularizer")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DatasetInfo;
    use crate::nn::Shape;
    use crate::nn::zoo::{ConvNetOptions, Norm, convnet};
    use tch::{Device, Kind as Dtype};

    /// Random images with these labels.
    fn set(labels: &[i64]) -> Dataset {
        let images = Stream::new(labels.len() as u64, "images").normals(labels.len() * 16);
        let images = Tensor::from_slice(&images).reshape([labels.len() as i64, 1, 4, 4]);
        let info = DatasetInfo { classes: Some(3), ..DatasetInfo::default() };
        Dataset::from_tensors(&images, &Tensor::from_slice(labels), info).unwrap()
    }

    fn net(norm: Norm) -> Net {
        let o = ConvNetOptions { width: 4, depth: 1, norm, ..ConvNetOptions::default() };
        let shape = Shape { channels: 1, height: 4, width: 4 };
        convnet(shape, 3, &o, &mut Stream::new(0, "net"), Device::Cpu).unwrap()
    }

    #[test]
    fn at_most_four_times_the_batch_is_drawn_and_unseen_samples_are_of_the_classes_drawn() {
        let unseen: Vec<i64> = (0..60).map(|i| i % 3).collect();
        let regularizer = Regularizer::new(&set(&[1; 30]), &set(&unseen), AmuOptions::default()).unwrap();
        let mut stream = Stream::new(3, "draws");
        let (f, u) = regularizer.draw(4, &mut stream).unwrap();
        assert_eq!((f.len, u.len), (16, 16));
        assert_eq!(u.classes(), [1]);
        let (f, u) = regularizer.draw(64, &mut stream).unwrap();
        assert_eq!((f.len, u.len), (30, 20), "there are no more");
        let mut rows = f.index.clone();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 30, "without replacement");
    }

    #[test]
    fn sets_with_nothing_to_compare_are_refused() {
        let some = set(&[0, 1]);
        let none = some.take(0);
        assert!(Regularizer::new(&none, &some, AmuOptions::default()).is_err());
        assert!(Regularizer::new(&some, &none, AmuOptions::default()).is_err());
        let other = Regularizer::new(&some, &set(&[2, 2, 2]), AmuOptions::default()).unwrap();
        let error = other.draw(1, &mut Stream::new(0, "draws")).err().unwrap().to_string();
        assert!(error.contains("no unseen sample"), "{error}");
    }

    #[test]
    fn only_the_forget_pass_has_a_gradient_and_batch_norm_statistics_of_unseen_data_stay_out() {
        let net = net(Norm::Batch);
        net.set_training(true);
        let forget = set(&[0, 1, 2, 0]);
        let regularizer = Regularizer::new(&forget, &set(&[0, 1, 2]), AmuOptions::default()).unwrap();
        let count = |net: &Net| {
            let state = net.state();
            state.iter().find(|(name, _)| name.ends_with("num_batches_tracked")).unwrap().1.int64_value(&[])
        };
        let before = count(&net);
        let term = regularizer.term(&net, 2, &mut Stream::new(0, "draws")).unwrap();
        assert_eq!(count(&net), before + 1, "one pass in training mode, over forget samples");
        assert!(term.requires_grad() && net.is_training());
    }

    #[test]
    fn only_the_papers_regulariser_is_blind_to_a_common_shift_and_the_others_pull_low_losses_up() {
        let y = Tensor::from_slice(&[0_i64, 0, 0]);
        // Logits whose cross-entropies are these losses.
        let logits = |losses: [f64; 3]| {
            let own: Vec<f64> = losses.iter().flat_map(|l| [0.0, (l.exp() - 1.0).ln()]).collect();
            Tensor::from_slice(&own).reshape([3, 2])
        };
        let unseen = logits([1.0, 2.0, 4.0]);
        // ln(1 + loss) of the unseen set, less 0.5.
        let shifted = [1.0_f64, 2.0, 4.0].map(|l| (1.0 + l) * (-0.5_f64).exp() - 1.0);
        for kind in [Kind::Quantile, Kind::Union, Kind::LogLoss, Kind::Anchored] {
            let forget = logits(shifted).set_requires_grad(true);
            let o = AmuOptions { kind, ..AmuOptions::default() };
            let term = o.distance((&unseen, &y), (&forget, &y)).unwrap();
            let seen = term.double_value(&[]);
            if kind == Kind::Quantile {
                assert!(seen.abs() < 1e-4, "{seen}");
                continue;
            }
            assert!(seen > 1e-2, "{kind:?}: {seen}");
            term.backward();
            // Descending raises the loss of the sample with the smallest one: its own logit falls against the other.
            let pull = forget.grad().get(0);
            assert!(pull.double_value(&[0]) > 0.0, "{kind:?}: {pull}");
        }
    }

    #[test]
    fn equal_losses_are_at_no_distance_and_the_weight_scales_it() {
        let (logits, y) =
            (Tensor::from_slice(&[2.0_f32, 0.0, 0.0, 2.0]).reshape([2, 2]), Tensor::from_slice(&[0_i64, 0]));
        let far = &logits * 5.0;
        for kind in [Kind::Quantile, Kind::Union, Kind::LogLoss, Kind::Anchored] {
            let at = |weight: f64, other: &Tensor| {
                let o = AmuOptions { mmd_weight: weight, kind, ..AmuOptions::default() };
                o.distance((&logits, &y), (other, &y)).unwrap().sum(Dtype::Float).double_value(&[])
            };
            assert!(at(34.0, &logits).abs() < 1e-5);
            let (one, ten) = (at(1.0, &far), at(10.0, &far));
            assert!(one > 0.0 && (ten - 10.0 * one).abs() < 1e-5 * ten, "{kind:?}: {one}, {ten}");
        }
    }
}
