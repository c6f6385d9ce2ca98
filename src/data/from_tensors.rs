//! Datasets from a script's own tensors.

use crate::data::storage::{DatasetInfo, Storage};
use crate::runtime::{Error, Result, options};
use rhai::{Array, Dynamic};

/// A number or an array of numbers, one a channel.
pub(super) fn constants(operation: &str, key: &str, value: Option<Dynamic>) -> Result<Vec<f64>> {
    let Some(value) = value else { return Ok(vec![]) };
    let items = value.clone().try_cast::<Array>().unwrap_or_else(|| vec![value.clone()]);
    let numbers: Option<Vec<f64>> = items.iter().map(options::as_number).collect();
    numbers.ok_or_else(|| {
        let message =
            format!("`{key}` must be a number or an array of one a channel, got {}", options::describe(&value));
        Error::new(operation, message).word(key)
    })
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::data::storage::order_hint;
    use crate::runtime::{Options, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Map, NativeCallContext};

    type Dataset = crate::data::Dataset;

    /// A dataset of a script's own images (Tensor[n, channels, height, width], Tensor[n, height, width] or
    /// Tensor[n, features]; u8 or float) and labels (Tensor[n] of i64, 0 to classes - 1).
    ///
    /// u8 images are divided by 255 and normalised with `mean` and `std` on the device. Float images are taken to be
    /// normalised already: their values stay, and `mean` and `std` are recorded with them. Images whose channels seem to stand
    /// last are told in a warning.
    ///
    /// # Options
    /// - `classes` (int, largest label + 1): how many classes there are
    /// - `mean` (number or array, none): mean of each channel, on the scale 0..1
    /// - `std` (number or array, none): standard deviation of each channel
    /// - `name` (string, ""): what messages call it
    ///
    /// # Signature
    /// dataset_from(images: Tensor, labels: Tensor[n], #{ classes: int, mean: array, std: array, name: string }) -> Dataset
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset_from(tensor([[0.0, 1.0], [1.0, 0.0]]), tensor([0, 1]), #{ classes: 3 });
    /// assert(d.len == 2 && d.shape == [2]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn dataset_from(context: NativeCallContext, images: Tensor, labels: Tensor, options: Map) -> Script<Dataset> {
        let mut o = Options::new("dataset_from", options);
        let classes = o.maybe_integer("classes", 1)?.map(|n| n as usize);
        let mean = super::constants("dataset_from", "mean", o.take("mean", "number or array", "()"))?;
        let std = super::constants("dataset_from", "std", o.take("std", "number or array", "()"))?;
        let name = o.text("name", "")?;
        o.finish()?;
        if images.size().first() == Some(&0) {
            let message = format!("there are no samples: the images have shape {:?}", images.size());
            return Err(Error::new("dataset_from", message).into());
        }
        let run = Run::of(&context);
        if images.dim() == 4
            && let Some(hint) = order_hint(&images.size())
        {
            run.progress().warn(&format!("dataset_from: {hint}"));
        }
        let info = DatasetInfo { name, classes, mean, std, scale: None };
        Ok(Dataset::new(Storage::new(&images, &labels, info, run.device())?))
    }

    #[rhai_fn(name = "dataset_from", return_raw)]
    pub fn dataset_from_plain(context: NativeCallContext, images: Tensor, labels: Tensor) -> Script<Dataset> {
        dataset_from(context, images, labels, Map::new())
    }
}
