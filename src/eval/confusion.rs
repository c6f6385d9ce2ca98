//! Which classes a network takes for which: the confusion matrix, and what is left of a confusion of two classes.

use super::scores::Scores;
use crate::runtime::{Error, Result};

/// The share of the samples of classes `a` and `b` that are predicted as the other of the two; NaN without any.
///
/// # Errors
/// When the classes are one.
pub fn interclass(scores: &Scores, a: i64, b: i64) -> Result<f64> {
    if a == b {
        let message = format!("needs two different classes, got {a} twice");
        return Err(Error::new("interclass_confusion", message));
    }
    let pairs = scores.labels.iter().zip(&scores.predicted).zip(&scores.loss);
    let pairs = pairs.filter(|((label, _), _)| [a, b].contains(label));
    let confused = |(label, guess): (&i64, &i64)| (*label == a && *guess == b) || (*label == b && *guess == a);
    let (hits, all) = pairs.fold((0.0, 0.0), |(hits, all), (pair, loss)| {
        (hits + f64::from(u8::from(confused(pair) && !loss.is_nan())), all + 1.0)
    });
    Ok(hits / all)
}

/// What scripts see of confusion.
#[rhai::export_module]
pub mod script {
    use super::super::predict::predict;
    use super::super::scores::Scores;
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{At, Script};
    use crate::tensor::Tensor;

    /// Confusion matrix `[classes, classes]`, i64, of logits `[n, classes]` and labels `[n]`: rows are true classes, columns
    /// predicted ones.
    ///
    /// # Example
    /// ```rhai
    /// let counts = confusion(tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), tensor([0, 1, 1]));
    /// assert(counts.to_array() == [[1, 0], [1, 1]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn confusion(logits: Tensor, y: Tensor) -> Script<Tensor> {
        let scores = Scores::of("confusion", &logits, &y)?;
        let classes = logits.size().get(1).copied().unwrap_or(0);
        let counts: Vec<i64> = scores.confusion(classes as usize).concat();
        Ok(tch::Tensor::from_slice(&counts).f_reshape([classes, classes]).at("confusion")?.into())
    }

    /// Interclass confusion: the share of the samples of classes `a` and `b` that are predicted as the other of the two. Train
    /// on a dataset made by `swap_labels`, let the swapped samples be forgotten, and see how much of the confusion is left on
    /// test samples (Goel et al., arXiv 2201.06640). Lower is better; the ideal is the value of a network retrained without the
    /// swapped samples. NaN when neither class occurs.
    ///
    /// # Signature
    /// interclass_confusion(net: Net, dataset: Dataset, a: int, b: int) -> float
    /// interclass_confusion(logits: Tensor[n, classes], y: Tensor[n], a: int, b: int) -> float
    ///
    /// # Example
    /// ```rhai
    /// let logits = tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
    /// assert(interclass_confusion(logits, tensor([0, 1, 1, 2]), 0, 1) == 1.0 / 3.0);
    /// ```
    #[rhai_fn(return_raw, name = "interclass_confusion")]
    pub fn interclass_confusion(net: Net, dataset: Dataset, a: i64, b: i64) -> Script<f64> {
        // Only these two classes count, so only they are run.
        Ok(super::interclass(&predict(&net, &dataset.of(&[a, b]))?.scores, a, b)?)
    }

    #[rhai_fn(return_raw, name = "interclass_confusion")]
    pub fn interclass_confusion_of(logits: Tensor, y: Tensor, a: i64, b: i64) -> Script<f64> {
        Ok(super::interclass(&Scores::of("interclass_confusion", &logits, &y)?, a, b)?)
    }
}
