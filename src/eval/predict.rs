//! What a network makes of a data set: one pass in eval mode, everything else read off its logits.

/// What scripts see of accuracies and losses.
#[rhai::export_module]
pub mod script {
    use super::super::scores::Scores;
    use crate::runtime::{At, Script};
    use crate::tensor::Tensor;

    #[rhai_fn(return_raw, name = "accuracy")]
    pub fn accuracy_of(logits: Tensor, y: Tensor) -> Script<f64> {
        Ok(Scores::of("accuracy", &logits, &y)?.accuracy())
    }

    #[rhai_fn(return_raw, name = "loss")]
    pub fn loss_of(logits: Tensor, y: Tensor) -> Script<f64> {
        Ok(Scores::of("loss", &logits, &y)?.mean_loss())
    }

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
}
