//! Which classes a network takes for which: the confusion matrix, and what is left of a confusion of two classes.

use super::scores::Scores;
use crate::runtime::{Error, Result, Run, Script};

/// The share of the samples of classes `a` and `b` that are predicted as the other of the two; NaN without any.
///
/// # Errors
/// When the classes are one.
pub fn interclass(scores: &Scores, a: i64, b: i64) -> Result<f64> {
    if a == b {
        let message = format!("needs two different classes, got {a} twice");
        return Err(Error::new("interclass_confusion", message));
    }
    let pairs = scores.labels.iter().zip(&scores.predicted).filter(|(label, _)| [a, b].contains(label));
    let confused = |(label, guess): (&i64, &i64)| (*label == a && *guess == b) || (*label == b && *guess == a);
    let (hits, all) =
        pairs.fold((0.0, 0.0), |(hits, all), pair| (hits + f64::from(u8::from(confused(pair))), all + 1.0));
    Ok(hits / all)
}

/// The same for a script, which is warned of samples that have no class.
fn told(run: &Run, scores: &Scores, a: i64, b: i64) -> Script<f64> {
    scores.warn(run, "interclass_confusion", "count as not confused");
    Ok(interclass(scores, a, b)?)
}

/// What scripts see of confusion.
#[rhai::export_module]
pub mod script {
    use super::super::predict::predict;
    use super::super::scores::Scores;
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{At, Run, Script};
    use crate::tensor::Tensor;
    use rhai::NativeCallContext;

    /// Confusion matrix `[classes, classes]`, i64, of logits `[n, classes]` and labels `[n]`: rows are true classes, columns
    /// predicted ones. Samples whose logits are NaN or infinite have no predicted class: they are in no cell, and a warning says
    /// how many.
    ///
    /// # Example
    /// ```rhai
    /// let counts = confusion(tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), tensor([0, 1, 1]));
    /// assert(counts.to_array() == [[1, 0], [1, 1]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn confusion(context: NativeCallContext, logits: Tensor, y: Tensor) -> Script<Tensor> {
        let scores = Scores::of("confusion", &logits, &y)?;
        scores.warn(&Run::of(&context), "confusion", "are in no cell");
        let classes = logits.size().get(1).copied().unwrap_or(0);
        let counts: Vec<i64> = scores.confusion(classes as usize).concat();
        Ok(tch::Tensor::from_slice(&counts).f_reshape([classes, classes]).at("confusion")?.into())
    }

    /// Interclass confusion: the share of the samples of classes `a` and `b` that are predicted as the other of the two. Train
    /// on a dataset made by `swap_labels`, let the swapped samples be forgotten, and see how much of the confusion is left on
    /// test samples (Goel et al., arXiv 2201.06640). Lower is better; the ideal is the value of a network retrained without the
    /// swapped samples. NaN when neither class occurs. Samples whose logits are NaN or infinite count as not confused, and a
    /// warning says how many.
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
    pub fn interclass_confusion(context: NativeCallContext, net: Net, dataset: Dataset, a: i64, b: i64) -> Script<f64> {
        // Only these two classes count, so only they are run.
        super::told(&Run::of(&context), &predict(&net, &dataset.of(&[a, b]))?.scores, a, b)
    }

    #[rhai_fn(return_raw, name = "interclass_confusion")]
    pub fn interclass_confusion_of(
        context: NativeCallContext,
        logits: Tensor,
        y: Tensor,
        a: i64,
        b: i64,
    ) -> Script<f64> {
        super::told(&Run::of(&context), &Scores::of("interclass_confusion", &logits, &y)?, a, b)
    }
}
