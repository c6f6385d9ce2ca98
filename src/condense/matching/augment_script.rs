//! Augmentation as scripts see it: `augmentation(..)` draws, `.apply(x)` does; the transformations themselves in `augment`.

use crate::condense::matching::augment::{Augmentation, Strategy};
use crate::runtime::options::{as_number, describe};
use crate::runtime::{At, Error, Options, Result, Stream};
use rhai::{Dynamic, Map};
use tch::{Kind, Tensor};

/// More images than a batch has that is drawn for at once.
const MOST_SAMPLES: usize = 1 << 24;

/// A number, or one for each image, as a tensor on the images' device.
fn numbers(operation: &str, x: &Tensor, value: &Dynamic) -> Result<Tensor> {
    if let Some(tensor) = value.read_lock::<crate::tensor::Tensor>() {
        return tensor.f_reshape([-1]).at(operation)?.f_to_device(x.device()).at(operation);
    }
    match as_number(value).filter(|number| number.is_finite()) {
        Some(number) => {
            let one = Tensor::f_from_slice(&[number as f32]).at(operation)?;
            one.f_to_device(x.device()).at(operation)
        }
        None => {
            let message =
                format!("needs a finite number, or a tensor with one for each image, got {}", describe(value));
            Err(Error::new(operation, message))
        }
    }
}

/// Reads the options of `augmentation` and draws.
fn drawn(options: Map, stream: &mut Stream) -> Result<Augmentation> {
    let at = "augmentation";
    let mut o = Options::new(at, options);
    let strategy = Strategy::read(&mut o, at, "operations", true)?;
    let every = o.choice("mode", "one", &["one", "all"])? == "all";
    let samples = o.maybe_integer("samples", 1)?.map_or(1, |n| n as usize);
    o.finish()?;
    if samples > MOST_SAMPLES {
        let message = format!("`samples` must be at most {MOST_SAMPLES}, got {samples}");
        return Err(Error::new(at, message).word("samples"));
    }
    if strategy.operations.is_empty() {
        return Err(Error::new(at, "`operations` names none").word("operations"));
    }
    Ok(Strategy { every, ..strategy }.draw(samples, true, stream))
}

/// Degrees as radians, in f32 at least.
fn radians(degrees: &Tensor) -> Result<Tensor> {
    let degrees = if degrees.is_floating_point() {
        degrees.shallow_clone()
    } else {
        degrees.f_to_kind(Kind::Float).at("rotate")?
    };
    degrees.f_deg2rad().at("rotate")
}

/// Drawing augmentations and applying them.
#[allow(clippy::unwrap_used)] // in the macro's own code
#[rhai::export_module]
pub mod script {
    use crate::runtime::{Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Map, NativeCallContext};

    /// A random change of images that has been drawn: it does the same to every batch it is applied to.
    pub type Augmentation = crate::condense::matching::augment::Augmentation;

    /// Draws a differentiable augmentation: one of color, crop, cutout, flip, scale and rotate, and how far it goes.
    ///
    /// The ranges are those of Siamese augmentation (DSA: Zhao and Bilen, ICML 2021): brightness +-0.5, saturation 0 to 2,
    /// contrast 0.5 to 1.5; shifts of up to an eighth of the side; a window of half the side set to zero; a mirror image every
    /// other time; 5/6 to 6/5 of the size; 15 degrees. Drawn from the run's seed, on the host; gradients flow through it to
    /// the pixels. For digits leave `flip` out.
    ///
    /// # Signature
    /// augmentation(#{ operations: array, mode: string = "one", samples: int }) -> Augmentation
    ///
    /// # Options
    /// - `operations` (array of names, all six): what there is to choose from
    /// - `mode` ("one" | "all", "one"): one of the operations, or each of them in the order given
    /// - `samples` (int): draw the extent for each of so many images; all images are treated alike when not given
    ///
    /// # Example
    /// ```rhai
    /// let both = augmentation(#{ operations: ["crop", "flip"] });
    /// let real = randn([8, 3, 16, 16]);
    /// assert_close(both.apply(real)[0], both.apply(real[0..1])[0], 0.0);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn augmentation(context: NativeCallContext, options: Map) -> Script<Augmentation> {
        Ok(super::drawn(options, &mut Run::of(&context).stream("augmentation"))?)
    }

    #[rhai_fn(name = "augmentation", return_raw, volatile)]
    pub fn augmentation_plain(context: NativeCallContext) -> Script<Augmentation> {
        augmentation(context, Map::new())
    }

    /// Does what was drawn to images `[n, channels, height, width]`; the result has the same shape.
    ///
    /// # Example
    /// ```rhai
    /// let x = randn([4, 1, 8, 8]);
    /// let each = augmentation(#{ operations: ["rotate"], samples: 4 });
    /// assert(each.apply(x).shape == x.shape);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn apply(augmentation: &mut Augmentation, images: Tensor) -> Script<Tensor> {
        Ok(augmentation.apply_to_each(&images)?.into())
    }

    /// The names of the operations that were drawn.
    #[rhai_fn(get = "operations", pure)]
    pub fn operations(augmentation: &mut Augmentation) -> String {
        augmentation.describe()
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn show(augmentation: &mut Augmentation) -> String {
        format!("Augmentation({})", augmentation.describe())
    }

    /// The four quadrants of images `[n, c, h, w]`, each enlarged to the whole: `[4 n, c, h, w]`, all top-left ones first, then
    /// bottom-left, top-right and bottom-right ones.
    ///
    /// Bilinear, corners not aligned: the partition of IDM (Zhao et al., CVPR 2023), which makes four images of a stored one.
    ///
    /// # Example
    /// ```rhai
    /// assert(partition(randn([2, 3, 8, 8])).shape == [8, 3, 8, 8]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn partition(images: Tensor) -> Script<Tensor> {
        Ok(crate::condense::matching::image_transforms::partition(&images)?.into())
    }
}

/// The namespace `augment`: transformations by given numbers.
#[rhai::export_module]
pub mod given {
    use super::{numbers, radians};
    use crate::condense::matching::image_transforms;
    use crate::runtime::{Error, Script};
    use crate::tensor::Tensor;
    use rhai::Dynamic;

    /// Brightness, saturation and contrast of images `[n, c, h, w]`: `x + brightness`, then the distance from each pixel's mean
    /// over the channels times `saturation`, then the distance from each image's mean times `contrast`.
    ///
    /// The numbers are those of all images, or tensors `[n]` with one for each. Neutral are 0, 1 and 1.
    ///
    /// # Signature
    /// augment::color(images: Tensor, brightness: float | Tensor[n], saturation: float | Tensor[n], contrast: float | Tensor[n]) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let x = randn([2, 3, 4, 4]);
    /// assert_close(augment::color(x, 0.5, 1, 1), x + 0.5, 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn color(images: Tensor, brightness: Dynamic, saturation: Dynamic, contrast: Dynamic) -> Script<Tensor> {
        let read = |value| numbers("augment::color", &images, value);
        Ok(image_transforms::color(&images, &read(&brightness)?, &read(&saturation)?, &read(&contrast)?)?.into())
    }

    /// Shifted images: `out[h, w] = x[h + down, w + right]`, zero where that lies outside.
    ///
    /// # Signature
    /// augment::crop(images: Tensor, down: int | Tensor[n], right: int | Tensor[n]) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([[[[1.0, 2.0], [3.0, 4.0]]]]);
    /// assert_close(augment::crop(x, 1, 0), tensor([[[[3.0, 4.0], [0.0, 0.0]]]]), 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn crop(images: Tensor, down: Dynamic, right: Dynamic) -> Script<Tensor> {
        let read = |value| numbers("augment::crop", &images, value);
        Ok(image_transforms::crop(&images, &read(&down)?, &read(&right)?)?.into())
    }

    /// Images with a window of `size` rows and columns set to zero: rows `row - size / 2` to `row - size / 2 + size - 1`, columns
    /// likewise, as far as they exist.
    ///
    /// # Signature
    /// augment::cutout(images: Tensor, row: int | Tensor[n], column: int | Tensor[n], size: int) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(augment::cutout(ones([1, 1, 4, 4]), 2, 2, 2).sum().item() == 12.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cutout(images: Tensor, row: Dynamic, column: Dynamic, size: i64) -> Script<Tensor> {
        if size < 1 {
            return Err(Error::new("augment::cutout", format!("the size must be at least 1, got {size}")).into());
        }
        let read = |value| numbers("augment::cutout", &images, value);
        Ok(image_transforms::cutout(&images, &read(&row)?, &read(&column)?, size)?.into())
    }

    /// Images with left and right exchanged; with a second argument, those for which it is not 0.
    ///
    /// # Signature
    /// augment::flip(images: Tensor, which: Tensor[n] = 1) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert_close(augment::flip(tensor([[[[1.0, 2.0]]]])), tensor([[[[2.0, 1.0]]]]), 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn flip(images: Tensor) -> Script<Tensor> {
        flip_some(images, 1_i64.into())
    }

    #[rhai_fn(name = "flip", return_raw)]
    pub fn flip_some(images: Tensor, which: Dynamic) -> Script<Tensor> {
        Ok(image_transforms::flip(&images, &numbers("augment::flip", &images, &which)?)?.into())
    }

    /// Images sampled at `horizontal` and `vertical` times the distance from the centre: factors above 1 shrink them. Bilinear,
    /// zero outside.
    ///
    /// # Signature
    /// augment::scale(images: Tensor, horizontal: float | Tensor[n], vertical: float | Tensor[n]) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let x = randn([2, 1, 4, 4]);
    /// assert_close(augment::scale(x, 1, 1), x, 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn scale(images: Tensor, horizontal: Dynamic, vertical: Dynamic) -> Script<Tensor> {
        let read = |value| numbers("augment::scale", &images, value);
        Ok(image_transforms::scale(&images, &read(&horizontal)?, &read(&vertical)?)?.into())
    }

    /// Images turned around their centre by an angle in degrees. Bilinear, zero outside.
    ///
    /// # Signature
    /// augment::rotate(images: Tensor, degrees: float | Tensor[n]) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let x = randn([2, 1, 4, 4]);
    /// assert_close(augment::rotate(augment::rotate(x, 90), -90), x, 1e-4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn rotate(images: Tensor, degrees: Dynamic) -> Script<Tensor> {
        let degrees = numbers("augment::rotate", &images, &degrees)?;
        Ok(image_transforms::rotate(&images, &radians(&degrees)?)?.into())
    }
}
