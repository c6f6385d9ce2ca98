//! Losses of classifiers.

use crate::runtime::{At, Error, Options, Result};
use crate::tensor::scalars::WithNumber;
use tch::{Device, Kind, Reduction, Tensor};

/// Label that `ignore_index` names: none that occurs.
const NONE_IGNORED: i64 = i64::MIN;

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

    fn apply(self, each: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
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
        let loss = logits.f_cross_entropy_loss(labels, None::<Tensor>, reduce.torch(), NONE_IGNORED, smoothing);
        return loss.on(operation, &[logits, labels]);
    }
    let classes = check_labels(operation, logits, labels)?;
    guarded(operation, classes, labels, reduce, |labels, reduction| {
        logits.f_cross_entropy_loss(labels, None::<Tensor>, reduction, NONE_IGNORED, smoothing)
    })
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
    if x.len() == 2 && x == y {
        return Ok(x.first().copied().unwrap_or(1).max(1) as f64);
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
        q.f_kl_div(&p, Reduction::Sum, true)?.times(t * t / n)
    };
    compute().on(operation, &[student, teacher])
}

/// Entropy [n] of the softmax of each row, in nats.
///
/// # Errors
/// Those of torch.
pub fn entropy(logits: &Tensor) -> Result<Tensor> {
    let compute = || {
        let log = logits.f_log_softmax(-1, None::<Kind>)?;
        log.f_exp()?.f_mul(&log)?.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?.f_neg()
    };
    compute().on("entropy", &[logits])
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
