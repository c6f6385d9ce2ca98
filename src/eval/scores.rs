//! What logits and labels say sample by sample: loss, correctness, confidence, phi, entropy.
//!
//! Outputs that are no distribution (NaN or infinite logits; a logit of minus infinity is a masked class and fine) have no
//! class: such samples count as wrong, their other figures are NaN, and so is every metric that needs one of those.

use crate::nn::guess::{NO_CLASS, guesses};
use crate::nn::loss;
use crate::runtime::{At, Error, Result, Run};
use tch::{Device, Kind, Tensor};

/// Per-sample figures on the host, read from the device at once.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    /// The labels.
    pub labels: Vec<i64>,
    /// The class with the highest logit; `NO_CLASS` where the outputs are no distribution.
    pub predicted: Vec<i64>,
    /// Cross-entropy.
    pub loss: Vec<f64>,
    /// Probability of the true class.
    pub confidence: Vec<f64>,
    /// z_y - logsumexp of the other logits.
    pub phi: Vec<f64>,
    /// The reference's clamped phi.
    pub phi_ref: Vec<f64>,
    /// Entropy of the output, in nats.
    pub entropy: Vec<f64>,
    /// Song and Mittal's modified entropy, in nats.
    pub modified_entropy: Vec<f64>,
}

/// The elements of a tensor as a flat array on the host.
pub fn to_host(operation: &str, tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.f_detach().and_then(|t| t.f_to_kind(Kind::Double)).and_then(|t| t.f_to_device(Device::Cpu));
    let flat = flat.and_then(|t| t.f_reshape([-1])).and_then(|t| t.f_contiguous()).at(operation)?;
    if flat.numel() == 0 {
        return Ok(vec![]);
    }
    Vec::try_from(&flat).at(operation)
}

/// Refuses anything but logits [n, classes] and n labels of those classes; returns the logits without history and the labels
/// as [n, 1] beside them.
fn checked(operation: &str, logits: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    let shapes = || format!("needs logits [n, classes] and labels [n], got {:?} and {:?}", logits.size(), y.size());
    let (n, classes) = match logits.size().as_slice() {
        [n, classes] if *classes > 0 && y.size() == [*n] => (*n, *classes),
        _ => return Err(Error::new(operation, shapes())),
    };
    let whole = [Kind::Int64, Kind::Int, Kind::Int16, Kind::Int8, Kind::Uint8];
    if !matches!(y.f_kind(), Ok(kind) if whole.contains(&kind)) {
        return Err(Error::new(operation, "labels must be integers").hint("convert them, e.g. y.to(\"i64\")"));
    }
    let y = y.f_to_device(logits.device()).and_then(|y| y.f_to_kind(Kind::Int64)).at(operation)?;
    if n > 0 {
        // One read for both ends: gathering with a label out of range would end a CUDA context.
        let ends = y.f_min().and_then(|low| Tensor::f_stack(&[low, y.f_max()?], 0)).at(operation)?;
        let ends = to_host(operation, &ends)?;
        if let Some(bad) = ends.iter().find(|label| !(0.0..classes as f64).contains(*label)) {
            let message = format!("label {bad} is out of range for logits of {classes} classes");
            return Err(Error::new(operation, message).hint(format!("labels run from 0 to {}", classes - 1)));
        }
    }
    Ok((logits.f_detach().at(operation)?, y.f_unsqueeze(1).at(operation)?))
}

/// Ranges (start, length) of rows to work on at a time: on the CPU as many as fit its cache and are not worth sharing among
/// threads, on other devices all.
pub(super) fn row_chunks(logits: &Tensor) -> Vec<(i64, i64)> {
    let (rows, columns) = (logits.size()[0], logits.size().get(1).map_or(1, |n| (*n).max(1)));
    let most = if logits.device() == Device::Cpu { (CHUNK / columns).max(FEWEST) } else { rows.max(1) };
    (0..rows).step_by(most as usize).map(|start| (start, most.min(rows - start))).collect()
}

/// Elements below which torch's operations stay on one thread.
const CHUNK: i64 = 32_768;
/// Rows of a chunk where there are very many columns.
const FEWEST: i64 = 256;

type Torch = std::result::Result<Tensor, tch::TchError>;

/// Of logits that are no distribution it is NaN: infinity less something would pass for a figure.
fn phi_of(logits: &Tensor, y: &Tensor, predicted: &Tensor) -> Torch {
    let others = logits.f_scatter_value(1, y, f64::NEG_INFINITY)?.f_logsumexp(1, false)?;
    let phi = logits.f_gather(1, y, false)?.f_squeeze_dim(1)?.f_sub(&others)?;
    phi.f_masked_fill(&predicted.f_eq(NO_CLASS)?, f64::NAN)
}

fn phi_ref_of(log_p: &Tensor, y: &Tensor) -> Torch {
    let p = log_p.f_neg()?.f_clamp(0.0, 50.0)?.f_neg()?.f_exp()?;
    let floored = |p: Tensor| p.f_clamp_min(1e-15)?.f_log();
    let own = floored(p.f_gather(1, y, false)?.f_squeeze_dim(1)?)?;
    let others = p.f_scatter_value(1, y, 0.0)?.f_sum_dim_intlist(1, false, None::<Kind>)?;
    own.f_sub(&floored(others)?)
}

/// Entropy of outputs given by their log-probabilities; a class without probability adds nothing.
fn entropy_of(log_p: &Tensor) -> Torch {
    loss::information(log_p)?.f_sum_dim_intlist(1, false, None::<Kind>)
}

/// -(1 - p_y) ln p_y - sum over the other classes of p_j ln(1 - p_j).
fn modified_entropy_of(log_p: &Tensor, y: &Tensor) -> Torch {
    let p = log_p.f_exp()?;
    // Only the largest probability can be so near 1 that 1 - p loses its digits: there the others are summed instead.
    let top = log_p.f_argmax(1, true)?;
    let others = log_p.f_scatter_value(1, &top, f64::NEG_INFINITY)?.f_logsumexp(1, true)?;
    let log_rest = p.f_neg()?.f_log1p()?.f_scatter(1, &top, &others)?;
    let own = log_rest.f_gather(1, y, false)?.f_exp()?.f_mul(&log_p.f_gather(1, y, false)?)?.f_squeeze_dim(1)?;
    let terms = p.f_mul(&log_rest)?.f_masked_fill(&p.f_eq(0.0)?, 0.0)?.f_scatter_value(1, y, 0.0)?;
    // Negated as a difference, so that 0 is not -0.
    terms.f_sum_dim_intlist(1, false, None::<Kind>)?.f_add(&own)?.f_rsub_scalar(0.0)
}

/// phi = z_y - logsumexp of the other logits, the logit of the true class's probability, `[n]` in f64.
pub fn phi(logits: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (logits, y) = checked("phi", logits, y)?;
    let logits = logits.f_to_kind(Kind::Double).at("phi")?;
    guesses(&logits).and_then(|predicted| phi_of(&logits, &y, &predicted)).on("phi", &[&logits, &y])
}

/// The reference's phi: losses clamped to [0, 50], probabilities floored at 1e-15, `[n]` in f64.
pub fn phi_ref(logits: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (logits, y) = checked("phi_ref", logits, y)?;
    let log_p = logits.f_log_softmax(1, Kind::Double).at("phi_ref")?;
    phi_ref_of(&log_p, &y).on("phi_ref", &[&logits, &y])
}

/// Song and Mittal's modified entropy, `[n]` in f64.
pub fn modified_entropy(logits: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (logits, y) = checked("modified_entropy", logits, y)?;
    let log_p = logits.f_log_softmax(1, Kind::Double).at("modified_entropy")?;
    modified_entropy_of(&log_p, &y).on("modified_entropy", &[&logits, &y])
}

/// Columns of the figures below.
const COLUMNS: usize = 8;

/// Label, prediction and the figures of `Scores` in its order, f64 `[8, n]`.
fn columns(logits: &Tensor, y: &Tensor) -> Torch {
    let logits = logits.f_to_kind(Kind::Double)?;
    let log_p = logits.f_log_softmax(1, None::<Kind>)?;
    let own = log_p.f_gather(1, y, false)?.f_squeeze_dim(1)?;
    let predicted = guesses(&logits)?;
    let label = y.f_squeeze_dim(1)?.f_to_kind(Kind::Double)?;
    let (phi, phi_ref) = (phi_of(&logits, y, &predicted)?, phi_ref_of(&log_p, y)?);
    let (entropy, modified) = (entropy_of(&log_p)?, modified_entropy_of(&log_p, y)?);
    let (loss, confidence) = (own.f_rsub_scalar(0.0)?, own.f_exp()?);
    let columns: [Tensor; COLUMNS] =
        [label, predicted.f_to_kind(Kind::Double)?, loss, confidence, phi, phi_ref, entropy, modified];
    Tensor::f_stack(&columns, 0)
}

impl Scores {
    /// Scores logits `[n, classes]` against labels `[n]`: everything is computed where the logits are, and read once.
    ///
    /// # Errors
    /// Shapes that do not fit, labels out of range.
    pub fn of(operation: &str, logits: &Tensor, labels: &Tensor) -> Result<Self> {
        let (logits, y) = checked(operation, logits, labels)?;
        let mut scores = Self::default();
        for (start, length) in row_chunks(&logits) {
            let part = logits.f_narrow(0, start, length).and_then(|z| columns(&z, &y.f_narrow(0, start, length)?));
            scores.extend(&to_host(operation, &part.on(operation, &[&logits, &y])?)?);
        }
        Ok(scores)
    }

    /// Adds the columns of a chunk.
    fn extend(&mut self, values: &[f64]) {
        let n = (values.len() / COLUMNS).max(1);
        let mut columns = values.chunks(n);
        let mut next = || columns.next().unwrap_or_default();
        self.labels.extend(next().iter().map(|x| *x as i64));
        self.predicted.extend(next().iter().map(|x| *x as i64));
        let rest = [
            &mut self.loss,
            &mut self.confidence,
            &mut self.phi,
            &mut self.phi_ref,
            &mut self.entropy,
            &mut self.modified_entropy,
        ];
        rest.into_iter().for_each(|column| column.extend(next()));
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether each sample is predicted rightly: one whose outputs are no distribution is not.
    pub fn correct(&self) -> impl Iterator<Item = bool> {
        self.labels.iter().zip(&self.predicted).map(|(y, p)| y == p)
    }

    /// How many samples have outputs that are no distribution.
    pub fn broken(&self) -> usize {
        self.predicted.iter().filter(|class| **class == NO_CLASS).count()
    }

    /// A sentence about such samples, for figures that count them as wrong or not at all; `None` without any.
    pub fn caution(&self) -> Option<String> {
        let (broken, all) = (self.broken(), self.len());
        (broken > 0).then(|| format!("{broken} of {all} outputs are not finite (NaN or infinite logits)"))
    }

    /// Warns of such samples, and of what the operation makes of them.
    pub fn warn(&self, run: &Run, operation: &str, made: &str) {
        if let Some(caution) = self.caution() {
            run.progress().warn(&format!("{operation}: {caution}; they {made}"));
        }
    }

    /// The share predicted rightly; NaN of nothing.
    pub fn accuracy(&self) -> f64 {
        self.correct().filter(|right| *right).count() as f64 / self.len() as f64
    }

    /// The mean cross-entropy; NaN of nothing.
    pub fn mean_loss(&self) -> f64 {
        self.loss.iter().sum::<f64>() / self.len() as f64
    }

    /// Only the samples whose label passes.
    #[must_use]
    pub fn keep(&self, passes: impl Fn(i64) -> bool) -> Self {
        fn pick<T: Copy>(values: &[T], chosen: &[usize]) -> Vec<T> {
            chosen.iter().filter_map(|i| values.get(*i).copied()).collect()
        }
        let chosen: Vec<usize> = (0..self.len()).filter(|i| passes(self.labels[*i])).collect();
        Self {
            labels: pick(&self.labels, &chosen),
            predicted: pick(&self.predicted, &chosen),
            loss: pick(&self.loss, &chosen),
            confidence: pick(&self.confidence, &chosen),
            phi: pick(&self.phi, &chosen),
            phi_ref: pick(&self.phi_ref, &chosen),
            entropy: pick(&self.entropy, &chosen),
            modified_entropy: pick(&self.modified_entropy, &chosen),
        }
    }

    /// The accuracy on each of `classes` classes; NaN where a class has no sample.
    pub fn per_class(&self, classes: usize) -> Vec<f64> {
        let mut counts = vec![(0.0, 0.0); classes];
        for (label, right) in self.labels.iter().zip(self.correct()) {
            if let Some((hits, all)) = counts.get_mut(*label as usize) {
                *hits += f64::from(u8::from(right));
                *all += 1.0;
            }
        }
        counts.into_iter().map(|(hits, all)| hits / all).collect()
    }

    /// Counts of (true class, predicted class), rows being true classes. Samples without a predicted class are in no cell.
    pub fn confusion(&self, classes: usize) -> Vec<Vec<i64>> {
        let mut counts = vec![vec![0; classes]; classes];
        for (y, p) in self.labels.iter().zip(&self.predicted) {
            if let Some(cell) = counts.get_mut(*y as usize).and_then(|row| row.get_mut(*p as usize)) {
                *cell += 1;
            }
        }
        counts
    }
}

/// What scripts see of per-sample scores.
#[rhai::export_module]
pub mod script {
    use crate::runtime::Script;
    use crate::tensor::Tensor;

    /// Logit-scaled confidence of logits `[n, classes]` in labels `[n]`: `z_y - logsumexp(z_j, j != y)`, per sample, f64.
    /// Unclamped, computed from the logits (Carlini et al. 2022).
    ///
    /// # Example
    /// ```rhai
    /// assert_close(phi(tensor([[2.0, 0.5]]), tensor([0])).item(), 1.5, 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn phi(logits: Tensor, y: Tensor) -> Script<Tensor> {
        Ok(super::phi(&logits, &y)?.into())
    }

    /// The reference's phi, for `mia_ref` alone: losses are clamped to [0, 50] and probabilities floored at 1e-15, so it
    /// ends at about ±34.5.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(phi_ref(tensor([[100.0, 0.0, 0.0, 0.0]]), tensor([0])).item(), 34.538776, 1e-4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn phi_ref(logits: Tensor, y: Tensor) -> Script<Tensor> {
        Ok(super::phi_ref(&logits, &y)?.into())
    }

    /// Modified entropy of logits `[n, classes]` given labels `[n]`: `-(1 - p_y) ln p_y - sum of p_j ln(1 - p_j), j != y`, per
    /// sample, f64, in nats. 0 for a certain right answer, large for a certain wrong one (Song and Mittal, USENIX Security
    /// 2021). Computed from the logits, so that it stays finite.
    ///
    /// # Example
    /// ```rhai
    /// let m = modified_entropy(tensor([[80.0, 0.0], [80.0, 0.0]]), tensor([0, 1]));
    /// assert_close(m, tensor([0.0, 160.0]), 1e-9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn modified_entropy(logits: Tensor, y: Tensor) -> Script<Tensor> {
        Ok(super::modified_entropy(&logits, &y)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(values: &[f32], columns: i64) -> Tensor {
        Tensor::from_slice(values).reshape([-1, columns])
    }

    #[test]
    fn phi_keeps_growing_where_the_reference_stops() {
        let z = matrix(&[100.0, 0.0, 0.0, 0.0, 100.0, 0.0, 0.0, 0.0], 4);
        let y = Tensor::from_slice(&[0_i64, 1]);
        let reference = to_host("t", &phi_ref(&z, &y).unwrap()).unwrap();
        assert!((reference[0] - 34.538_776).abs() < 1e-5 && (reference[1] + 34.538_776).abs() < 1e-5);
        let open = to_host("t", &phi(&z, &y).unwrap()).unwrap();
        assert!((open[0] - (100.0 - 3_f64.ln())).abs() < 1e-5 && (open[1] + 100.0).abs() < 1e-5, "{open:?}");
    }

    #[test]
    fn entropies_are_their_definitions_and_stay_finite_at_the_extremes() {
        let z = matrix(&[1.0, 2.0, 0.5, -1.0, 0.0, 3.0, 900.0, 0.0, -900.0, 900.0, 0.0, -900.0, 0.0, 0.0, 0.0], 3);
        let y = Tensor::from_slice(&[1_i64, 0, 0, 2, 1]);
        let scores = Scores::of("t", &z, &y).unwrap();
        // The definitions, evaluated in 2,000 digits.
        let entropy = [0.905_959_256_479, 0.274_313_073_673, 0.0, 0.0, 3_f64.ln()];
        let modified = [0.254_491_792_465, 6.575_501_631_905, 0.0, 2700.0, 1.002_718_264_518];
        for (got, wanted) in [(&scores.entropy, entropy), (&scores.modified_entropy, modified)] {
            got.iter().zip(wanted).for_each(|(g, w)| assert!((g - w).abs() < 1e-8 * (1.0 + w), "{g} instead of {w}"));
        }
    }

    #[test]
    fn empty_sets_give_nan_and_bad_labels_a_message() {
        let none = Scores::of(
            "t",
            &Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)),
            &Tensor::zeros([0], (Kind::Int64, Device::Cpu)),
        );
        let none = none.unwrap();
        assert!(none.accuracy().is_nan() && none.mean_loss().is_nan() && none.per_class(3).iter().all(|a| a.is_nan()));
        let error = Scores::of("accuracy", &matrix(&[0.0; 6], 3), &Tensor::from_slice(&[0_i64, 3])).unwrap_err();
        assert_eq!(error.to_string(), "accuracy: label 3 is out of range for logits of 3 classes");
        let error = Scores::of("accuracy", &matrix(&[0.0; 6], 3), &Tensor::from_slice(&[0_i64])).unwrap_err();
        assert!(error.to_string().contains("[2, 3] and [1]"), "{error}");
        assert!(Scores::of("accuracy", &matrix(&[0.0; 6], 3), &Tensor::from_slice(&[0.5, 1.0])).is_err());
    }

    #[test]
    fn outputs_that_are_no_distribution_count_as_wrong_and_stand_in_no_cell() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let z = [nan, 0.0, 1.0, 0.0, nan, nan, inf, 0.0, -inf, -inf];
        let scores = Scores::of("t", &matrix(&z, 2), &Tensor::from_slice(&[0_i64, 0, 0, 0, 0])).unwrap();
        assert_eq!((scores.accuracy(), scores.broken(), scores.per_class(2)[0]), (0.2, 4, 0.2));
        assert_eq!(scores.confusion(2), [[1, 0], [0, 0]]);
        assert!(scores.mean_loss().is_nan());
        assert_eq!(scores.caution().unwrap(), "4 of 5 outputs are not finite (NaN or infinite logits)");
        for values in
            [&scores.loss, &scores.confidence, &scores.phi, &scores.phi_ref, &scores.entropy, &scores.modified_entropy]
        {
            assert_eq!(values.iter().filter(|x| x.is_nan()).count(), 4, "{values:?}");
        }
    }

    #[test]
    fn a_masked_class_has_no_probability_and_everything_else_is_as_without_it() {
        let inf = f32::INFINITY;
        let z = [1.0, -inf, 2.0, 0.5, -inf, 0.0];
        let masked = Scores::of("t", &matrix(&z, 3), &Tensor::from_slice(&[0_i64, 2])).unwrap();
        let without = Scores::of("t", &matrix(&[1.0, 2.0, 0.5, 0.0], 2), &Tensor::from_slice(&[0_i64, 1])).unwrap();
        assert_eq!((masked.broken(), masked.accuracy()), (0, 0.0));
        let all = |s: &Scores| [&s.entropy, &s.modified_entropy, &s.phi, &s.loss].map(Clone::clone).concat();
        all(&masked).iter().zip(all(&without)).for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} {b}"));
        // scipy.stats.entropy(scipy.special.softmax(z)).
        let wanted = [0.582_203_108_888_2, 0.662_847_318_579_2];
        masked.entropy.iter().zip(wanted).for_each(|(g, w)| assert!((g - w).abs() < 1e-9, "{g}"));
        // As the true class it is as wrong as can be: scipy.special.logit(0), -log(0).
        let gone = Scores::of("t", &matrix(&z, 3), &Tensor::from_slice(&[1_i64, 1])).unwrap();
        assert_eq!((gone.phi[0], gone.loss[0], gone.confidence[0]), (f64::NEG_INFINITY, f64::INFINITY, 0.0));
        assert!(gone.modified_entropy[0] == f64::INFINITY && gone.phi_ref[0].is_finite());
    }

    #[test]
    fn a_single_class_is_certain_and_the_largest_numbers_overflow_nothing() {
        let one = Scores::of("t", &matrix(&[3.0, -1e30], 1), &Tensor::from_slice(&[0_i64, 0])).unwrap();
        assert_eq!((one.accuracy(), one.mean_loss(), one.broken()), (1.0, 0.0, 0));
        assert_eq!((one.phi[0], one.entropy[0], one.modified_entropy[0]), (f64::INFINITY, 0.0, 0.0));
        assert!(one.entropy[0].is_sign_positive() && one.loss[0].is_sign_positive());
        let z = [1e30, -1e30, f32::MAX, f32::MIN, 1e30, 1e30];
        let large = Scores::of("t", &matrix(&z, 2), &Tensor::from_slice(&[0_i64, 1, 0])).unwrap();
        assert_eq!((large.accuracy(), large.broken()), (2.0 / 3.0, 0));
        assert!((large.entropy[2] - 2_f64.ln()).abs() < 1e-12 && large.loss[0] == 0.0);
        assert!(large.loss[1] > 6e38 && large.modified_entropy[1].is_finite());
    }
}
