//! The gradient of the mean loss of a whole dataset, as one vector.

use crate::data::Dataset;
use crate::nn::{Net, loss};
use crate::runtime::{At, Error, Result, interrupt};
use crate::tensor::scalars::WithNumber;
use tch::Tensor;

/// The gradient of the mean cross-entropy of a dataset with respect to all trainable parameters, one after the other: [p].
/// In evaluation mode, `batch` samples at a time.
///
/// # Errors
/// No samples; those of the network; Ctrl-C.
pub fn loss_gradient(net: &Net, data: &Dataset, batch: usize) -> Result<Tensor> {
    let at = "loss_gradient";
    let mut total: Option<Tensor> = None;
    for batch in data.chunks(batch.max(1)) {
        interrupt::check()?;
        let batch = batch?;
        // The derivative of the cross-entropy by the logits is what is pulled back.
        let logits = net.evaluating(|| net.forward(&batch.x))?;
        let weights = loss::logit_gradient(&logits, &batch.y)?;
        let part = net.evaluating(|| net.pulled_back(&batch.x, &weights))?;
        total = Some(match total {
            Some(mut total) => total.f_add_(&part).at(at)?,
            None => part,
        });
    }
    match total {
        Some(mut total) => total.over_(data.len() as f64).at(at),
        None => Err(Error::new(at, "needs at least one sample, got none")),
    }
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{Options, Script};
    use crate::tensor::Tensor;
    use rhai::Map;

    /// The gradient of the mean cross-entropy of a whole dataset with respect to the trainable parameters, as one vector in
    /// their order: Tensor[p]. In evaluation mode.
    ///
    /// # Signature
    /// loss_gradient(net: Net, data: Dataset, #{ batch: int = 256 }) -> Tensor[p]
    ///
    /// # Options
    /// - `batch` (int, 256): samples at a time; the result does not depend on it
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4 });
    /// let uphill = loss_gradient(net, d.test.take(50));
    /// let before = loss(net, d.test.take(50));
    /// vector_to_parameters(parameters_to_vector(net) - 0.1 * uphill, net);
    /// assert(loss(net, d.test.take(50)) < before);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn loss_gradient(net: Net, data: Dataset, options: Map) -> Script<Tensor> {
        let mut o = Options::new("loss_gradient", options);
        let batch = o.count("batch", 256)?;
        o.finish()?;
        Ok(super::loss_gradient(&net, &data, batch)?.into())
    }

    #[rhai_fn(name = "loss_gradient", return_raw)]
    pub fn loss_gradient_plain(net: Net, data: Dataset) -> Script<Tensor> {
        loss_gradient(net, data, Map::new())
    }
}
