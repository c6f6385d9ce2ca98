//! Losses of classifiers.

use crate::runtime::{At, Error, Options, Result};
use crate::tensor::scalars::WithNumber;
use tch::{Device, Kind, Reduction, Tensor};

/// Label that `ignore_index` names: none that occurs.
const NONE_IGNORED: i64 = i64::MIN;

/// The dimension of the classes.
const LAST: &[i64] = &[-1];

type Torch = std::result::Result<Tensor, tch::TchError>;

/// How the losses of a batch become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// The mean.
    Mean,
    /// The sum.
    Sum,
    /// One loss a sample.
    Each,
}

impl Reduce {
    fn torch(self) -> Reduction {
        match self {
            Self::Mean => Reduction::Mean,
            Self::Sum => Reduction::Sum,
            Self::Each => Reduction::None,
        }
    }

    fn apply(self, each: &Tensor) -> Torch {
        match self {
            Self::Mean => each.f_mean(None::<Kind>),
            Self::Sum => each.f_sum(None::<Kind>),
            Self::Each => Ok(each.shallow_clone()),
        }
    }
}

/// Mean cross-entropy of logits [n, classes] and labels i64 [n].
///
/// # Errors
/// Shapes that do not fit, labels out of range (on the CPU; on CUDA, where a check would wait for the device, the loss of
/// such a sample is NaN).
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    cross_entropy_with(logits, labels, Reduce::Mean, 0.0)
}

/// Cross-entropy [n] of each sample.
///
/// # Errors
/// As `cross_entropy`.
pub fn cross_entropy_each(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    cross_entropy_with(logits, labels, Reduce::Each, 0.0)
}

/// Cross-entropy with a choice of reduction and label smoothing; labels are i64 [n], or probabilities [n, classes].
///
/// # Errors
/// As `cross_entropy`.
pub fn cross_entropy_with(logits: &Tensor, labels: &Tensor, reduce: Reduce, smoothing: f64) -> Result<Tensor> {
    let operation = "cross_entropy";
    if labels.size() == logits.size() && labels.f_kind().at(operation)? != Kind::Int64 {
        return soft(logits, labels, reduce, smoothing).on(operation, &[logits, labels]);
    }
    let classes = check_labels(operation, logits, labels)?;
    guarded(operation, classes, labels, reduce, |labels, reduction| {
        logits.f_cross_entropy_loss(labels, None::<Tensor>, reduction, NONE_IGNORED, smoothing)
    })
}

/// Cross-entropy of logits and probabilities [n, classes]. A class that is masked (its logit minus infinity) and has no
/// probability adds nothing, to the gradients neither: 0 log 0 is 0, while torch's own loss is NaN.
fn soft(logits: &Tensor, probabilities: &Tensor, reduce: Reduce, smoothing: f64) -> Torch {
    if logits.dim() != 2 {
        return logits.f_cross_entropy_loss(probabilities, None::<Tensor>, reduce.torch(), NONE_IGNORED, smoothing);
    }
    let classes = logits.size().last().copied().unwrap_or(1).max(1) as f64;
    let target = match smoothing {
        0.0 => probabilities.shallow_clone(),
        share => probabilities.f_mul_scalar(1.0 - share)?.f_add_scalar(share / classes)?,
    };
    let log = logits.f_log_softmax(-1, None::<Kind>)?;
    let nothing = log.f_isneginf()?.f_logical_and(&target.f_eq(0.0)?)?;
    let each = target.f_mul(&log.f_masked_fill(&nothing, 0.0)?)?.f_sum_dim_intlist(LAST, false, None::<Kind>)?;
    reduce.apply(&each.f_neg()?)
}

/// The gradient of each sample's own cross-entropy with respect to its logits, [n, classes]: softmax minus one-hot label.
///
/// # Errors
/// Shapes that do not fit, labels out of range.
pub fn logit_gradient(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let classes = check_labels("cross_entropy", logits, labels)?;
    if labels.device() == Device::Cpu && labels.numel() > 0 {
        let largest = labels.f_max().and_then(|label| label.f_int64_value(&[])).at("cross_entropy")?;
        if largest >= classes {
            let given = format!("label {largest} is out of range for {classes} classes (0 to {})", classes - 1);
            return Err(Error::new("cross_entropy", given).hint("the network's outputs must cover every label"));
        }
    }
    // Not one_hot, which would wait for a device to check the labels.
    let compute = || {
        let classes = Tensor::f_arange(classes, (Kind::Int64, logits.device()))?;
        let target = labels.f_unsqueeze(1)?.f_eq_tensor(&classes)?;
        logits.f_softmax(-1, Kind::Float)?.f_sub(&target.f_to_kind(Kind::Float)?)
    };
    compute().at("cross_entropy")
}

/// Negative log-likelihood of log-probabilities [n, classes] and labels i64 [n].
///
/// # Errors
/// As `cross_entropy`.
pub fn nll(log_probabilities: &Tensor, labels: &Tensor, reduce: Reduce) -> Result<Tensor> {
    let classes = check_labels("nll", log_probabilities, labels)?;
    guarded("nll", classes, labels, reduce, |labels, reduction| {
        log_probabilities.f_nll_loss(labels, None::<Tensor>, reduction, NONE_IGNORED)
    })
}

/// Shapes and dtype of logits and labels; returns the number of classes.
fn check_labels(operation: &str, logits: &Tensor, labels: &Tensor) -> Result<i64> {
    let (scores, targets) = (logits.size(), labels.size());
    let [n, classes] = scores[..] else {
        return Err(Error::new(operation, format!("expects logits [n, classes], got shape {scores:?}")));
    };
    if labels.f_kind().at(operation)? != Kind::Int64 {
        let kind = labels.f_kind().at(operation)?;
        let given = format!("expects labels of dtype i64, got {}", crate::tensor::kind_name(kind));
        return Err(Error::new(operation, given).hint("convert them with y.to(\"i64\")"));
    }
    if targets != [n] {
        return Err(Error::new(
            operation,
            format!("expects labels of shape [{n}] for logits {scores:?}, got {targets:?}"),
        ));
    }
    Ok(classes)
}

/// Runs a label loss so that a label out of range is an error on the CPU and NaN on CUDA, where torch's own check would end
/// the process's use of the device.
fn guarded(
    operation: &str,
    classes: i64,
    labels: &Tensor,
    reduce: Reduce,
    loss: impl Fn(&Tensor, Reduction) -> std::result::Result<Tensor, tch::TchError>,
) -> Result<Tensor> {
    if labels.device() == Device::Cpu {
        let result = loss(labels, reduce.torch());
        return match result.as_ref().err().and_then(|error| out_of_range(operation, classes, &error.to_string())) {
            Some(error) => Err(error),
            None => result.at(operation),
        };
    }
    let poisoned = || {
        let safe = labels.f_clamp(0, classes - 1)?;
        let each = loss(&safe, Reduction::None)?;
        reduce.apply(&each.f_masked_fill(&safe.f_ne_tensor(labels)?, f64::NAN)?)
    };
    poisoned().at(operation)
}

/// Torch's complaint about a label, in words that help.
fn out_of_range(operation: &str, classes: i64, complaint: &str) -> Option<Error> {
    let label = complaint.split("Target ").nth(1)?.split_whitespace().next()?;
    let given = format!("label {label} is out of range for {classes} classes (0 to {})", classes - 1);
    let error = Error::new(operation, given).hint("the network's outputs must cover every label");
    complaint.contains("out of bounds").then_some(error)
}

/// Mean squared error.
///
/// # Errors
/// Shapes that do not fit.
pub fn mse(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    x.f_mse_loss(y, Reduction::Mean).on("mse", &[x, y])
}

/// Two tensors [n, classes]; returns n.
fn pair(operation: &str, a: &Tensor, b: &Tensor) -> Result<f64> {
    let (x, y) = (a.size(), b.size());
    if let ([n, _], true) = (&x[..], x == y) {
        return Ok(*n as f64);
    }
    Err(Error::new(operation, format!("expects two tensors [n, classes] of one shape, got {x:?} and {y:?}")))
}

/// Kullback-Leibler divergence KL(softmax(target) || softmax(logits)), mean over the batch.
///
/// # Errors
/// Shapes that do not fit.
pub fn kl(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    distillation("kl", logits, target, 1.0)
}

/// Distillation loss `T^2 * KL(softmax(teacher / T) || softmax(student / T))`, mean over the batch.
///
/// # Errors
/// Shapes that do not fit.
pub fn distill_kl(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    distillation("distill_kl", student, teacher, temperature)
}

fn distillation(operation: &str, student: &Tensor, teacher: &Tensor, t: f64) -> Result<Tensor> {
    if !(t > 0.0 && t.is_finite()) {
        return Err(Error::new(operation, format!("the temperature must be above 0, got {t}")));
    }
    let n = pair(operation, student, teacher)?;
    let compute = || {
        let q = student.over(t)?.f_log_softmax(-1, None::<Kind>)?;
        let p = teacher.over(t)?.f_log_softmax(-1, None::<Kind>)?;
        divergence(&p, &q)?.f_sum(None::<Kind>)?.times(t * t / n)
    };
    compute().on(operation, &[student, teacher])
}

/// p (ln p - ln q) of each class, given the logarithms. A class without probability in p adds nothing, whatever q says of it:
/// 0 log 0 is 0, of the gradients too (torch's own `kl_div` is NaN there). One that only q lacks makes it infinite.
pub fn divergence(log_p: &Tensor, log_q: &Tensor) -> Torch {
    let p = log_p.f_exp()?;
    // The difference is masked before the product: what the product would pass on to p is 0 times NaN.
    let apart = log_p.f_sub(log_q)?.f_masked_fill(&p.f_eq(0.0)?, 0.0)?;
    p.f_mul(&apart)
}

/// Entropy [n] of the softmax of each row, in nats.
///
/// # Errors
/// Those of torch.
pub fn entropy(logits: &Tensor) -> Result<Tensor> {
    let compute =
        || information(&logits.f_log_softmax(-1, None::<Kind>)?)?.f_sum_dim_intlist(LAST, false, None::<Kind>);
    compute().on("entropy", &[logits])
}

/// -p ln p of each class, given the logarithms; a class without probability adds nothing, to the gradients neither.
pub fn information(log_p: &Tensor) -> Torch {
    let p = log_p.f_exp()?;
    let log = log_p.f_masked_fill(&p.f_eq(0.0)?, 0.0)?;
    // Negated as a difference, so that a certain output has 0 and not -0.
    p.f_mul(&log)?.f_rsub_scalar(0.0)
}

/// Sum of the absolute values of all parameters.
///
/// # Errors
/// When the network has no parameters.
pub fn l1_norm(net: &super::Net) -> Result<Tensor> {
    let sums: Result<Vec<Tensor>> =
        net.parameters().iter().map(|(_, p)| p.f_abs().and_then(|a| a.f_sum(None::<Kind>)).at("l1_norm")).collect();
    let sums = sums?;
    if sums.is_empty() {
        return Err(Error::new("l1_norm", "the network has no parameters"));
    }
    Tensor::f_stack(&sums, 0).and_then(|s| s.f_sum(None::<Kind>)).at("l1_norm")
}

/// Reads the option `reduction`.
fn reduction(o: &mut Options) -> Result<Reduce> {
    Ok(match o.choice("reduction", "mean", &["mean", "sum", "none"])?.as_str() {
        "sum" => Reduce::Sum,
        "none" => Reduce::Each,
        _ => Reduce::Mean,
    })
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{cross_entropy_with, reduction};
    use crate::runtime::{Error, Options, Script, options};
    use crate::tensor::Tensor;
    use rhai::{Dynamic, Map};

    type Net = crate::nn::Net;

    /// Cross-entropy of logits [n, classes] and labels i64 [n] (or probabilities [n, classes]), by default the mean.
    ///
    /// A label out of range is an error on the CPU; on CUDA, where looking would wait for the device, its loss is NaN.
    ///
    /// # Signature
    /// cross_entropy(logits: Tensor[n, classes], y: Tensor[n], #{ reduction: string = "mean", label_smoothing: float = 0.0 }) -> Tensor[]
    ///
    /// # Options
    /// - `reduction` ("mean" | "sum" | "none", "mean"): how the losses of the batch become one; "none" gives [n]
    /// - `label_smoothing` (float, 0.0): share of the target spread over all classes
    ///
    /// # Example
    /// ```rhai
    /// assert_close(cross_entropy(zeros([2, 4]), tensor([0, 3])), tensor(1.3863), 1e-4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cross_entropy(logits: Tensor, y: Tensor, options: Map) -> Script<Tensor> {
        let mut o = Options::new("cross_entropy", options);
        let reduce = reduction(&mut o)?;
        let smoothing = o.between("label_smoothing", 0.0, 0.0, 1.0)?;
        o.finish()?;
        Ok(cross_entropy_with(&logits, &y, reduce, smoothing)?.into())
    }

    #[rhai_fn(name = "cross_entropy", return_raw)]
    pub fn cross_entropy_mean(logits: Tensor, y: Tensor) -> Script<Tensor> {
        Ok(super::cross_entropy(&logits, &y)?.into())
    }

    /// Negative log-likelihood of log-probabilities [n, classes] and labels i64 [n], by default the mean.
    ///
    /// # Signature
    /// nll(log_probabilities: Tensor[n, classes], y: Tensor[n], #{ reduction: string = "mean" }) -> Tensor[]
    ///
    /// # Options
    /// - `reduction` ("mean" | "sum" | "none", "mean"): how the losses of the batch become one; "none" gives [n]
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nll(tensor([[-1.0, -2.0]]), tensor([1])), tensor(2.0), 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn nll(log_probabilities: Tensor, y: Tensor, options: Map) -> Script<Tensor> {
        let mut o = Options::new("nll", options);
        let reduce = reduction(&mut o)?;
        o.finish()?;
        Ok(super::nll(&log_probabilities, &y, reduce)?.into())
    }

    #[rhai_fn(name = "nll", return_raw)]
    pub fn nll_mean(log_probabilities: Tensor, y: Tensor) -> Script<Tensor> {
        nll(log_probabilities, y, Map::new())
    }

    /// Mean squared error of two tensors.
    ///
    /// # Example
    /// ```rhai
    /// assert(mse(tensor([1.0, 3.0]), tensor([1.0, 1.0])).item() == 2.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mse(x: Tensor, y: Tensor) -> Script<Tensor> {
        Ok(super::mse(&x, &y)?.into())
    }

    /// Kullback-Leibler divergence KL(softmax(target) || softmax(logits)) of logits [n, classes], mean over the batch.
    /// A class that `target` gives no probability (a masked logit, minus infinity) adds nothing; one that only `logits` lacks makes
    /// it infinite, as in SciPy.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(kl(zeros([2, 3]), ones([2, 3])), tensor(0.0), 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn kl(logits: Tensor, target: Tensor) -> Script<Tensor> {
        Ok(super::kl(&logits, &target)?.into())
    }

    /// Distillation loss T² KL(softmax(teacher / T) || softmax(student / T)), mean over the batch. Source: Hinton et al.,
    /// 2015.
    ///
    /// # Signature
    /// distill_kl(student: Tensor[n, classes], teacher: Tensor[n, classes], temperature: float) -> Tensor[]
    ///
    /// # Example
    /// ```rhai
    /// let z = randn([4, 10]);
    /// assert_close(distill_kl(z, z, 2), tensor(0.0), 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn distill_kl(student: Tensor, teacher: Tensor, temperature: Dynamic) -> Script<Tensor> {
        let t = options::as_number(&temperature).ok_or_else(|| {
            let given = options::describe(&temperature);
            Error::new("distill_kl", format!("the temperature must be a number, got {given}"))
        })?;
        Ok(super::distill_kl(&student, &teacher, t)?.into())
    }

    /// Entropy [n] of the softmax of each row of logits [n, classes], in nats.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(entropy(zeros([1, 4])), tensor([1.3863]), 1e-4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn entropy(logits: Tensor) -> Script<Tensor> {
        Ok(super::entropy(&logits)?.into())
    }

    /// Sum of the absolute values of all parameters of a network, differentiable.
    ///
    /// # Example
    /// ```rhai
    /// assert(l1_norm(nn::instance_norm(3)).item() == 3.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn l1_norm(net: Net) -> Script<Tensor> {
        Ok(super::l1_norm(&net)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: f64 = f64::NEG_INFINITY;

    fn logits(rows: [[f64; 3]; 2]) -> Tensor {
        Tensor::from_slice(&rows.concat()).view([2, 3])
    }

    /// Two networks with a masked class, and one without.
    fn masked() -> [Tensor; 3] {
        [
            logits([[1.0, GONE, 2.0], [0.5, GONE, 0.0]]),
            logits([[0.0, GONE, 2.0], [0.1, GONE, 0.3]]),
            logits([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]),
        ]
    }

    /// The same without the masked class.
    fn narrowed(z: &Tensor) -> Tensor {
        z.index_select(1, &Tensor::from_slice(&[0_i64, 2]))
    }

    fn number(x: &Result<Tensor>) -> f64 {
        f64::try_from(x.as_ref().unwrap()).unwrap()
    }

    fn close(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-9 || got == wanted, "{got} instead of {wanted}");
    }

    fn gradient(z: &Tensor, loss: impl Fn(&Tensor) -> Result<Tensor>) -> Tensor {
        let z = z.copy().set_requires_grad(true);
        loss(&z).unwrap().backward();
        z.grad()
    }

    #[test]
    fn a_masked_class_adds_nothing_to_divergences_and_entropies() {
        let [a, b, whole] = masked();
        // scipy.stats.entropy over scipy.special.softmax; it sums rel_entr, where 0 log (0 / q) is 0 and p log (p / 0) infinite.
        close(number(&kl(&a, &b)), 0.063_976_333_685_191);
        close(number(&kl(&whole, &a)), 0.676_481_503_282_563);
        close(number(&kl(&a, &whole)), f64::INFINITY);
        close(number(&kl(&a, &a)), 0.0);
        close(number(&distill_kl(&a, &b, 2.0)), 0.083_260_122_799_576);
        close(number(&distill_kl(&whole, &a, 2.0)), 1.904_027_795_461_678);
        let found = entropy(&a).unwrap();
        close(found.double_value(&[0]), 0.582_203_108_888_218);
        close(found.double_value(&[1]), 0.662_847_318_579_179);
    }

    #[test]
    fn gradients_with_a_masked_class_are_those_without_it_and_finite() {
        let [a, b, whole] = masked();
        let without = [narrowed(&a), narrowed(&b)];
        let same = |found: Tensor, wanted: Tensor| {
            let apart = f64::try_from((narrowed(&found) - wanted).abs().max()).unwrap();
            assert!(apart < 1e-12, "{found:?}");
            assert_eq!(f64::try_from(found.select(1, 1).abs().max()).unwrap(), 0.0);
        };
        let sum = |x: Result<Tensor>| x.map(|x| x.sum(Kind::Double));
        same(gradient(&a, |z| sum(entropy(z))), gradient(&without[0], |z| sum(entropy(z))));
        same(gradient(&a, |z| kl(z, &b)), gradient(&without[0], |z| kl(z, &without[1])));
        same(gradient(&a, |z| kl(&b, z)), gradient(&without[0], |z| kl(&without[1], z)));
        same(gradient(&a, |z| distill_kl(z, &b, 3.0)), gradient(&without[0], |z| distill_kl(z, &without[1], 3.0)));
        for found in [gradient(&a, |z| kl(z, &whole)), gradient(&whole, |z| kl(z, &a)), gradient(&a, |z| kl(&whole, z))]
        {
            assert!(bool::try_from(found.isfinite().all()).unwrap(), "{found:?}");
        }
    }

    #[test]
    fn probabilities_as_labels_may_be_0_where_a_class_is_masked() {
        let [a, _, whole] = masked();
        let target = logits([[0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]);
        // numpy.mean(-scipy.special.xlogy(target, softmax).sum(1))
        close(number(&cross_entropy(&a, &target)), 0.643_669_335_849_165);
        close(number(&cross_entropy(&a, &(target.ones_like() / 3.0))), f64::INFINITY);
        let found = gradient(&a, |z| cross_entropy(z, &target));
        let wanted = gradient(&narrowed(&a), |z| cross_entropy(z, &narrowed(&target)));
        assert!(f64::try_from((narrowed(&found) - wanted).abs().max()).unwrap() < 1e-12);
        // Elsewhere it is torch's own, labels' gradient and smoothing included.
        for (reduce, smoothing) in [(Reduce::Mean, 0.0), (Reduce::Sum, 0.1), (Reduce::Each, 0.3)] {
            let own = cross_entropy_with(&whole, &target, reduce, smoothing).unwrap();
            let torchs = whole.cross_entropy_loss(&target, None::<Tensor>, reduce.torch(), -100, smoothing);
            assert!(own.allclose(&torchs, 1e-12, 1e-12, false), "{own:?} {torchs:?}");
            let of_label = |loss: &dyn Fn(&Tensor) -> Tensor| gradient(&target, |t| Ok(loss(t).sum(Kind::Double)));
            let own = of_label(&|t| cross_entropy_with(&whole, t, reduce, smoothing).unwrap());
            let torchs = of_label(&|t| whole.cross_entropy_loss(t, None::<Tensor>, reduce.torch(), -100, smoothing));
            assert!(own.allclose(&torchs, 1e-12, 1e-12, false), "{own:?} {torchs:?}");
        }
    }

    #[test]
    fn nan_stays_nan_and_nothing_has_no_mean() {
        let [a, b, _] = masked();
        let broken = logits([[f64::NAN, 0.0, 1.0], [0.0, 1.0, 2.0]]);
        for loss in [
            kl(&broken, &b),
            kl(&a, &broken),
            distill_kl(&broken, &broken, 2.0),
            cross_entropy(&broken, &b.softmax(1, Kind::Double)),
        ] {
            assert!(number(&loss).is_nan());
        }
        assert!(entropy(&broken).unwrap().double_value(&[0]).is_nan());
        let none = Tensor::zeros([0, 3], (Kind::Double, Device::Cpu));
        assert!(number(&kl(&none, &none)).is_nan() && number(&cross_entropy(&none, &none)).is_nan());
        // A single class is certain of itself, and nothing overflows.
        let one = Tensor::from_slice(&[1e30_f32, -1e30]).view([2, 1]);
        assert_eq!((number(&kl(&one, &one)), number(&entropy(&one).map(|x| x.sum(Kind::Double)))), (0.0, 0.0));
        let large = Tensor::from_slice(&[f32::MAX, f32::MIN, 1e30, 0.0]).view([2, 2]);
        assert_eq!((number(&kl(&large, &large)), number(&entropy(&large).map(|x| x.sum(Kind::Double)))), (0.0, 0.0));
    }
}
