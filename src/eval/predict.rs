//! What a network makes of a data set: one pass in eval mode, everything else read off its logits.

use super::scores::Scores;
use crate::data::Dataset;
use crate::nn::Net;
use crate::runtime::{At, Result, interrupt};
use tch::{Kind, Tensor};

/// Images of one forward; networks split them further where that is faster.
const CHUNK: usize = 1024;

/// A network's logits on a data set, in the data set's order.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// Logits `[n, classes]`, f32, on the device.
    pub logits: crate::tensor::Tensor,
    /// Labels `[n]`, i64, on the device.
    pub y: crate::tensor::Tensor,
    /// Per-sample figures on the host.
    pub scores: Scores,
    /// Classes of the whole data set, present here or not.
    pub classes: usize,
}

/// Runs the network over the data set in eval mode, without gradients; its mode is restored.
///
/// # Errors
/// Images the network does not take, labels it has no logit for, an interrupt.
pub fn predict(net: &Net, dataset: &Dataset) -> Result<Predictions> {
    // One tensor takes all: small ones kept from every chunk would lie between the large ones that come and go, and the
    // heap would grow by a chunk of images each time.
    let (mut logits, mut done) = (None, 0);
    net.evaluating(|| {
        for batch in dataset.chunks(CHUNK) {
            interrupt::check()?;
            let batch = batch?;
            let part = net.forward(&batch.x)?;
            let mut size = part.size();
            if let Some(rows) = size.first_mut() {
                *rows = dataset.len() as i64;
            }
            let all = match logits.take() {
                Some(all) => all,
                None => Tensor::f_empty(&size, (part.kind(), part.device())).at("predict")?,
            };
            all.f_narrow(0, done, batch.len as i64).and_then(|mut rows| rows.f_copy_(&part)).at("predict")?;
            done += batch.len as i64;
            logits = Some(all);
        }
        Ok(())
    })?;
    let (classes, y) = (dataset.classes(), dataset.targets()?);
    let logits = match logits {
        Some(logits) => logits,
        None => {
            let wide = net.classes().unwrap_or(classes as i64).max(1);
            Tensor::f_zeros([0, wide], (Kind::Float, net.device())).at("predict")?
        }
    };
    Predictions::of("predict", &logits, &y, classes)
}

impl Predictions {
    /// Logits `[n, outputs]` and labels `[n]` that somebody else came by, for a data set of so many classes. Logits are kept as
    /// f32, so that what is read from a store is what was written.
    ///
    /// # Errors
    /// Shapes that do not fit, labels that are no integers or have no logit.
    pub fn of(operation: &str, logits: &Tensor, y: &Tensor, classes: usize) -> Result<Self> {
        let logits = logits.f_detach().and_then(|z| z.f_to_kind(Kind::Float)).at(operation)?;
        let scores = Scores::of(operation, &logits, y)?;
        let y = y.f_to_device(logits.device()).and_then(|y| y.f_to_kind(Kind::Int64)).at(operation)?;
        Ok(Self { logits: logits.into(), y: y.into(), scores, classes })
    }
}

/// What scripts see of accuracies and losses.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use super::super::scores::Scores;
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{Options, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Array, Dynamic, Map, NativeCallContext};

    const WRONG: &str = "count as wrong";

    /// A network's logits on a data set, with the labels: `logits`, `y`, `classes` (predicted), `phi`, `losses`, `confidence`
    /// (of the true class), `entropy`, `modified_entropy`, `correct`, `accuracy`, `loss`, `per_class`.
    pub type Predictions = super::Predictions;

    /// Share of a data set that a network classifies rightly, in eval mode; also of logits `[n, classes]` and labels `[n]`.
    /// NaN for an empty set. Samples whose logits are NaN or infinite count as wrong, and a warning says how many; a logit of
    /// minus infinity is a masked class.
    ///
    /// # Signature
    /// accuracy(net: Net, dataset: Dataset) -> float
    /// accuracy(logits: Tensor[n, classes], y: Tensor[n]) -> float
    ///
    /// # Example
    /// ```rhai
    /// assert(accuracy(tensor([[2.0, 1.0], [0.0, 3.0]]), tensor([0, 0])) == 0.5);
    /// ```
    #[rhai_fn(return_raw, name = "accuracy")]
    pub fn accuracy(context: NativeCallContext, net: Net, dataset: Dataset) -> Script<f64> {
        let scores = super::predict(&net, &dataset)?.scores;
        scores.warn(&Run::of(&context), "accuracy", WRONG);
        Ok(scores.accuracy())
    }

    #[rhai_fn(return_raw, name = "accuracy")]
    pub fn accuracy_of(context: NativeCallContext, logits: Tensor, y: Tensor) -> Script<f64> {
        let scores = Scores::of("accuracy", &logits, &y)?;
        scores.warn(&Run::of(&context), "accuracy", WRONG);
        Ok(scores.accuracy())
    }

    /// Mean cross-entropy of a network on a data set, in eval mode; also of logits `[n, classes]` and labels `[n]`. A number
    /// without gradient: for training there is `cross_entropy`. NaN for an empty set.
    ///
    /// # Signature
    /// loss(net: Net, dataset: Dataset) -> float
    /// loss(logits: Tensor[n, classes], y: Tensor[n]) -> float
    ///
    /// # Example
    /// ```rhai
    /// assert_close(loss(tensor([[0.0, 0.0]]), tensor([1])), 0.693147, 1e-5);
    /// ```
    #[rhai_fn(return_raw, name = "loss")]
    pub fn loss(net: Net, dataset: Dataset) -> Script<f64> {
        Ok(super::predict(&net, &dataset)?.scores.mean_loss())
    }

    #[rhai_fn(return_raw, name = "loss")]
    pub fn loss_of(logits: Tensor, y: Tensor) -> Script<f64> {
        Ok(Scores::of("loss", &logits, &y)?.mean_loss())
    }

    /// Accuracy of a network on every class of a data set, as an array by class; NaN for a class that does not occur.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let net = convnet(digits, #{ width: 4, depth: 1 });
    /// assert(per_class_accuracy(net, digits.test).len() == 10);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn per_class_accuracy(context: NativeCallContext, net: Net, dataset: Dataset) -> Script<Array> {
        let found = super::predict(&net, &dataset)?;
        found.scores.warn(&Run::of(&context), "per_class_accuracy", WRONG);
        Ok(found.scores.per_class(found.classes).into_iter().map(Dynamic::from).collect())
    }

    /// Runs a network over a data set once, in eval mode and without gradients, and keeps what it said: a `Predictions` with
    /// `logits` `[n, classes]`, `y`, `classes`, `phi`, `losses`, `confidence`, `entropy`, `modified_entropy`, `correct`,
    /// `accuracy`, `loss` and `per_class`.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let p = predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test);
    /// assert(p.logits.shape == [500, 10] && p.accuracy == accuracy(p.logits, p.y));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn predict(net: Net, dataset: Dataset) -> Script<Predictions> {
        Ok(super::predict(&net, &dataset)?)
    }

    /// Predictions from logits `[n, outputs]` (kept as f32) and labels `[n]` that are there already.
    ///
    /// # Signature
    /// predictions(logits: Tensor[n, outputs], y: Tensor[n], #{ classes: int }) -> Predictions
    ///
    /// # Options
    /// - `classes` (int, the number of outputs): how many classes the data set has
    ///
    /// # Example
    /// ```rhai
    /// let p = predictions(tensor([[2.0, 1.0], [0.0, 3.0]]), tensor([0, 0]));
    /// assert(p.accuracy == 0.5 && p.correct == tensor([1, 0]));
    /// ```
    #[rhai_fn(return_raw, name = "predictions")]
    pub fn predictions_as(logits: Tensor, y: Tensor, options: Map) -> Script<Predictions> {
        let mut o = Options::new("predictions", options);
        let outputs = logits.size().get(1).map_or(1, |n| (*n).max(1));
        let classes = o.count("classes", outputs as usize)?;
        o.finish()?;
        Ok(Predictions::of("predictions", &logits, &y, classes)?)
    }

    #[rhai_fn(return_raw, name = "predictions")]
    pub fn predictions(logits: Tensor, y: Tensor) -> Script<Predictions> {
        predictions_as(logits, y, Map::new())
    }

    /// The logits `[n, classes]`.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// assert(predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8)).logits.shape == [8, 10]);
    /// ```
    #[rhai_fn(get = "logits", pure)]
    pub fn logits(predictions: &mut Predictions) -> Tensor {
        predictions.logits.clone()
    }

    /// The labels `[n]`, i64.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// assert(predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8)).y.shape == [8]);
    /// ```
    #[rhai_fn(get = "y", pure)]
    pub fn y(predictions: &mut Predictions) -> Tensor {
        predictions.y.clone()
    }

    /// The predicted classes `[n]`, i64; -1 where logits are NaN or infinite.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let p = predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8));
    /// assert(p.classes == p.logits.argmax(1));
    /// ```
    #[rhai_fn(get = "classes", pure)]
    pub fn classes(predictions: &mut Predictions) -> Tensor {
        tch::Tensor::from_slice(&predictions.scores.predicted).into()
    }

    /// phi of every sample, f64, on the CPU.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let p = predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8));
    /// assert_close(p.phi, phi(p.logits, p.y), 1e-6);
    /// ```
    #[rhai_fn(get = "phi", pure)]
    pub fn phi(predictions: &mut Predictions) -> Tensor {
        tch::Tensor::from_slice(&predictions.scores.phi).into()
    }

    /// The cross-entropy of every sample, f64, on the CPU.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let p = predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8));
    /// assert_close(p.losses.mean().item(), p.loss, 1e-9);
    /// ```
    #[rhai_fn(get = "losses", pure)]
    pub fn losses(predictions: &mut Predictions) -> Tensor {
        tch::Tensor::from_slice(&predictions.scores.loss).into()
    }

    /// The true class's probability of every sample, f64, on the CPU.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let p = predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8));
    /// assert_close(p.confidence, (-p.losses).exp(), 1e-9);
    /// ```
    #[rhai_fn(get = "confidence", pure)]
    pub fn confidence(predictions: &mut Predictions) -> Tensor {
        tch::Tensor::from_slice(&predictions.scores.confidence).into()
    }

    /// The entropy of every sample's output in nats, f64, on the CPU.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let p = predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8));
    /// assert_close(p.entropy, entropy(p.logits), 1e-5);
    /// ```
    #[rhai_fn(get = "entropy", pure)]
    pub fn entropy(predictions: &mut Predictions) -> Tensor {
        tch::Tensor::from_slice(&predictions.scores.entropy).into()
    }

    /// The modified entropy of every sample in nats, f64, on the CPU.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let p = predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8));
    /// assert_close(p.modified_entropy, modified_entropy(p.logits, p.y), 1e-9);
    /// ```
    #[rhai_fn(get = "modified_entropy", pure)]
    pub fn modified_entropy(predictions: &mut Predictions) -> Tensor {
        tch::Tensor::from_slice(&predictions.scores.modified_entropy).into()
    }

    /// 1 for every sample predicted rightly and 0 for the others, i64, on the CPU.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let p = predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test.take(8));
    /// assert(p.correct.sum().item() == p.accuracy * 8);
    /// ```
    #[rhai_fn(get = "correct", pure)]
    pub fn correct(predictions: &mut Predictions) -> Tensor {
        let right: Vec<i64> = predictions.scores.correct().map(i64::from).collect();
        tch::Tensor::from_slice(&right).into()
    }

    /// The share predicted rightly.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let net = convnet(digits, #{ width: 4, depth: 1 });
    /// assert(predict(net, digits.test).accuracy == accuracy(net, digits.test));
    /// ```
    #[rhai_fn(get = "accuracy", pure)]
    pub fn predicted_accuracy(predictions: &mut Predictions) -> f64 {
        predictions.scores.accuracy()
    }

    /// The mean cross-entropy.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// let net = convnet(digits, #{ width: 4, depth: 1 });
    /// assert(predict(net, digits.test).loss == loss(net, digits.test));
    /// ```
    #[rhai_fn(get = "loss", pure)]
    pub fn predicted_loss(predictions: &mut Predictions) -> f64 {
        predictions.scores.mean_loss()
    }

    /// The accuracy on every class, as an array; NaN for a class that does not occur.
    ///
    /// # Example
    /// ```rhai
    /// let digits = dataset("digits");
    /// assert(predict(convnet(digits, #{ width: 4, depth: 1 }), digits.test).per_class.len() == 10);
    /// ```
    #[rhai_fn(get = "per_class", pure)]
    pub fn per_class(predictions: &mut Predictions) -> Array {
        predictions.scores.per_class(predictions.classes).into_iter().map(Dynamic::from).collect()
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn describe(predictions: &mut Predictions) -> String {
        let scores = &predictions.scores;
        let n = scores.len();
        format!("Predictions of {n} samples · accuracy {:.4} · loss {:.4}", scores.accuracy(), scores.mean_loss())
    }
}
