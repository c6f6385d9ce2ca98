//! Convolution, pooling, normalisation and resizing as functions; layers with parameters are in `nn`.

use crate::runtime::{At, Error, Options, Result};
use crate::tensor::dtype::{integers, kind_of};
use crate::tensor::range::Number;
use crate::tensor::reduce::floating;
use crate::tensor::shape_errors::{same_device, same_kind};
use crate::tensor::value::Tensor;
use rhai::{Dynamic, Map};

/// One number for both directions, or one for each.
fn two(options: &mut Options, operation: &str, key: &str, default: i64, least: i64) -> Result<[i64; 2]> {
    let list = options.maybe_integers(key)?.unwrap_or_else(|| vec![default]);
    pair_of(operation, &format!("`{key}`"), &list, least)
}

fn pair_of(operation: &str, what: &str, list: &[i64], least: i64) -> Result<[i64; 2]> {
    let pair = match list {
        [both] => [*both, *both],
        [height, width] => [*height, *width],
        _ => return Err(Error::new(operation, format!("{what} is one integer or two, got {list:?}"))),
    };
    if pair.iter().any(|value| *value < least) {
        return Err(Error::new(operation, format!("{what} must be at least {least}, got {list:?}")));
    }
    Ok(pair)
}

/// Refuses anything but images [n, channels, height, width].
fn images(operation: &str, x: &tch::Tensor) -> Result<[i64; 4]> {
    match x.size().as_slice() {
        [n, c, h, w] => Ok([*n, *c, *h, *w]),
        shape => Err(Error::new(operation, format!("needs images [n, channels, height, width], got shape {shape:?}"))),
    }
}

/// A tensor option, with the vector length it must have.
fn vector(options: &mut Options, operation: &str, key: &str, length: i64) -> Result<Option<Tensor>> {
    let value = options.maybe::<Tensor>(key, "Tensor")?;
    if let Some(tensor) = value.as_ref().filter(|t| t.size() != [length]) {
        let message = format!("`{key}` must have shape [{length}], got {:?}", tensor.size());
        return Err(Error::new(operation, message).word(key));
    }
    Ok(value)
}

fn conv2d(x: &tch::Tensor, weight: &tch::Tensor, options: Map) -> Result<tch::Tensor> {
    const OPERATION: &str = "conv2d";
    let [_, channels, ..] = images(OPERATION, x)?;
    let shape = weight.size();
    let [out, per_group, kernel_height, kernel_width] = shape.as_slice() else {
        let message = format!("the weight has shape [out, in / groups, height, width], got {shape:?}");
        return Err(Error::new(OPERATION, message));
    };
    let mut options = Options::new(OPERATION, options);
    let stride = two(&mut options, OPERATION, "stride", 1, 1)?;
    let padding = two(&mut options, OPERATION, "padding", 0, 0)?;
    let dilation = two(&mut options, OPERATION, "dilation", 1, 1)?;
    let groups = options.integer("groups", 1, 1)?;
    let bias = vector(&mut options, OPERATION, "bias", *out)?;
    options.finish()?;
    if per_group * groups != channels {
        let message = format!("the weight {shape:?} expects {} input channels, got {channels}", per_group * groups);
        return Err(Error::new(OPERATION, message).note(format!("x has shape {:?}", x.size())));
    }
    if [*kernel_height, *kernel_width].contains(&0) {
        return Err(Error::new(OPERATION, format!("the weight {shape:?} has an empty kernel")));
    }
    same_device(OPERATION, x, weight)?;
    same_kind(OPERATION, x, weight)?;
    let bias = bias.as_ref().map(AsRef::as_ref);
    x.f_conv2d::<&tch::Tensor>(weight, bias, stride, padding, dilation, groups).on(OPERATION, &[x, weight])
}

/// Average or maximum pooling.
fn pool(operation: &str, x: &tch::Tensor, kernel: &Dynamic, options: Map) -> Result<tch::Tensor> {
    let [_, _, height, width] = images(operation, x)?;
    let kernel = pair_of(operation, "the kernel", &integers(operation, "the kernel", kernel)?, 1)?;
    let mut options = Options::new(operation, options);
    let stride = match options.maybe_integers("stride")? {
        Some(stride) => pair_of(operation, "`stride`", &stride, 1)?,
        None => kernel,
    };
    let padding = two(&mut options, operation, "padding", 0, 0)?;
    options.finish()?;
    if kernel[0] > height + 2 * padding[0] || kernel[1] > width + 2 * padding[1] {
        let message = format!("a kernel of {kernel:?} does not fit into images of {height} x {width}");
        return Err(Error::new(operation, message));
    }
    match operation {
        "avg_pool2d" => x.f_avg_pool2d(kernel, stride, padding, false, true, None::<i64>).on(operation, &[x]),
        _ => x.f_max_pool2d(kernel, stride, padding, [1, 1], false).on(operation, &[x]),
    }
}

fn adaptive(x: &tch::Tensor, size: &Dynamic) -> Result<tch::Tensor> {
    const OPERATION: &str = "adaptive_avg_pool2d";
    let _ = images(OPERATION, x)?;
    let size = pair_of(OPERATION, "the size", &integers(OPERATION, "the size", size)?, 1)?;
    x.f_adaptive_avg_pool2d(size).on(OPERATION, &[x])
}

/// x w^T + b, with the weight [out, in] of a linear layer.
fn linear(x: &tch::Tensor, weight: &tch::Tensor, bias: Option<&tch::Tensor>) -> Result<tch::Tensor> {
    let (given, shape) = (x.size(), weight.size());
    match (given.last(), shape.as_slice()) {
        (Some(width), [_, input]) if width == input => {}
        _ => {
            let message = format!("x has shape {given:?}, the weight [out, in] has shape {shape:?}");
            return Err(Error::new("linear", message).hint("the last size of x must be the weight's `in`"));
        }
    }
    same_device("linear", x, weight)?;
    same_kind("linear", x, weight)?;
    x.f_linear::<&tch::Tensor>(weight, bias).on("linear", &[x, weight])
}

/// What normalisations share: weight and bias a channel, eps.
struct Affine {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    eps: f64,
}

impl Affine {
    fn read(options: &mut Options, operation: &str, length: i64) -> Result<Self> {
        Ok(Self {
            weight: vector(options, operation, "weight", length)?,
            bias: vector(options, operation, "bias", length)?,
            eps: options.positive("eps", 1e-5)?,
        })
    }

    fn weight(&self) -> Option<&tch::Tensor> {
        self.weight.as_ref().map(AsRef::as_ref)
    }

    fn bias(&self) -> Option<&tch::Tensor> {
        self.bias.as_ref().map(AsRef::as_ref)
    }
}

fn channels(operation: &str, x: &tch::Tensor) -> Result<i64> {
    let shape = x.size();
    let count = shape.get(1).copied();
    count.ok_or_else(|| Error::new(operation, format!("needs a tensor [n, channels, ..], got shape {shape:?}")))
}

fn group_norm(x: &tch::Tensor, groups: i64, options: Map) -> Result<tch::Tensor> {
    const OPERATION: &str = "group_norm";
    let count = channels(OPERATION, x)?;
    let mut options = Options::new(OPERATION, options);
    let affine = Affine::read(&mut options, OPERATION, count)?;
    options.finish()?;
    if groups < 1 || count % groups != 0 {
        return Err(Error::new(OPERATION, format!("{count} channels do not divide into {groups} groups")));
    }
    x.f_group_norm::<&tch::Tensor>(groups, affine.weight(), affine.bias(), affine.eps, true).on(OPERATION, &[x])
}

fn layer_norm(x: &tch::Tensor, options: Map) -> Result<tch::Tensor> {
    const OPERATION: &str = "layer_norm";
    let Some(width) = x.size().last().copied() else {
        return Err(Error::new(OPERATION, "a tensor of rank 0 has no last dimension"));
    };
    let mut options = Options::new(OPERATION, options);
    let affine = Affine::read(&mut options, OPERATION, width)?;
    options.finish()?;
    x.f_layer_norm::<&tch::Tensor>([width], affine.weight(), affine.bias(), affine.eps, true).on(OPERATION, &[x])
}

/// Batch normalisation by the statistics of the batch, or by those given.
fn batch_norm(x: &tch::Tensor, options: Map) -> Result<tch::Tensor> {
    const OPERATION: &str = "batch_norm";
    let count = channels(OPERATION, x)?;
    let mut options = Options::new(OPERATION, options);
    let affine = Affine::read(&mut options, OPERATION, count)?;
    let mean = vector(&mut options, OPERATION, "mean", count)?;
    let variance = vector(&mut options, OPERATION, "variance", count)?;
    options.finish()?;
    if mean.is_some() != variance.is_some() {
        return Err(Error::new(OPERATION, "`mean` and `variance` go together, got one of them"));
    }
    let by_batch = mean.is_none();
    if by_batch && x.numel() as i64 <= count {
        return Err(Error::new(OPERATION, format!("needs more than one value a channel, got shape {:?}", x.size())));
    }
    let (mean, variance) = (mean.as_ref().map(AsRef::as_ref), variance.as_ref().map(AsRef::as_ref));
    let (weight, bias) = (affine.weight(), affine.bias());
    x.f_batch_norm::<&tch::Tensor>(weight, bias, mean, variance, by_batch, 0.1, affine.eps, true).on(OPERATION, &[x])
}

/// Images resized to a height and width.
fn interpolate(x: &tch::Tensor, size: &Dynamic, options: Map) -> Result<tch::Tensor> {
    const OPERATION: &str = "interpolate";
    let _ = images(OPERATION, x)?;
    let size = pair_of(OPERATION, "the size", &integers(OPERATION, "the size", size)?, 1)?;
    let mut options = Options::new(OPERATION, options);
    let mode = options.choice("mode", "bilinear", &["nearest", "bilinear"])?;
    options.finish()?;
    let x = floating(x)?;
    match mode.as_str() {
        "nearest" => x.f_upsample_nearest2d(size, None, None).on(OPERATION, &[&x]),
        _ => x.f_upsample_bilinear2d(size, false, None, None).on(OPERATION, &[&x]),
    }
}

/// Elements added around the last dimensions: `[left, right]`, or `[left, right, top, bottom]`, and so on.
fn pad(x: &tch::Tensor, sizes: &Dynamic, options: Map) -> Result<tch::Tensor> {
    const OPERATION: &str = "pad";
    let sizes = match integers(OPERATION, "the padding", sizes)?.as_slice() {
        [all] if !sizes.is_array() => vec![*all; 2 * x.dim().min(2)],
        list => list.to_vec(),
    };
    if sizes.len() % 2 != 0 || sizes.len() > 2 * x.dim() || sizes.iter().any(|size| *size < 0) {
        let message = format!("{sizes:?} does not pad a tensor of shape {:?}", x.size());
        return Err(
            Error::new(OPERATION, message).hint("give [left, right], or [left, right, top, bottom], 0 or above")
        );
    }
    let mut options = Options::new(OPERATION, options);
    let mode = options.choice("mode", "constant", &["constant", "reflect", "replicate", "circular"])?;
    let value = options.take("value", "number", 0.0).unwrap_or_else(|| 0.into());
    options.finish()?;
    if mode != "constant" {
        return x.f_pad(sizes, &mode, None::<f64>).on(OPERATION, &[x]);
    }
    let value = Number::read(OPERATION, "`value`", &value)?.fit(OPERATION, kind_of(x))?;
    // Torch takes the constant as a float.
    if matches!(value, Number::Int(whole) if whole.unsigned_abs() > 1 << 53) {
        return Err(Error::new(OPERATION, format!("{value} is beyond the integers that a float holds exactly")));
    }
    x.f_pad(sizes, &mode, value.float()).on(OPERATION, &[x])
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::runtime::Script;
    use rhai::{Dynamic, Map};

    type Tensor = crate::tensor::Tensor;

    /// Two-dimensional convolution of images with given weights. (`nn::conv2d` is the layer with parameters of its own.)
    ///
    /// # Signature
    /// conv2d(x: Tensor[n, in, h, w], weight: Tensor[out, in / groups, kh, kw], #{ bias: Tensor[out], stride: int | array = 1, padding: int | array = 0, dilation: int | array = 1, groups: int = 1 }) -> Tensor[n, out, h', w']
    ///
    /// # Options
    /// - `stride` (int or array of two, 1): step of the kernel
    /// - `padding` (int or array of two, 0): zeros around the images
    /// - `dilation` (int or array of two, 1): distance of the kernel's points
    /// - `groups` (int, 1): groups of channels that do not see each other
    /// - `bias` (Tensor[out], none): added to each output channel
    ///
    /// # Example
    /// ```rhai
    /// let y = conv2d(ones([1, 1, 3, 3]), ones([2, 1, 3, 3]), #{ padding: 1 });
    /// assert(y.shape == [1, 2, 3, 3] && y[[0, 0, 1, 1]].item() == 9.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn conv2d(x: Tensor, weight: Tensor) -> Script<Tensor> {
        Ok(super::conv2d(&x, &weight, Map::new())?.into())
    }

    #[rhai_fn(name = "conv2d", return_raw)]
    pub fn conv2d_with(x: Tensor, weight: Tensor, options: Map) -> Script<Tensor> {
        Ok(super::conv2d(&x, &weight, options)?.into())
    }

    /// Means over windows of images. (`nn::avg_pool2d` is the layer.)
    ///
    /// # Signature
    /// avg_pool2d(x: Tensor[n, c, h, w], kernel: int | array, #{ stride: int | array, padding: int | array = 0 }) -> Tensor
    ///
    /// # Options
    /// - `stride` (int or array of two, the kernel): step of the window
    /// - `padding` (int or array of two, 0): zeros around the images
    ///
    /// # Example
    /// ```rhai
    /// assert(avg_pool2d(ones([1, 1, 4, 4]), 2) == ones([1, 1, 2, 2]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn avg_pool2d(x: Tensor, kernel: Dynamic) -> Script<Tensor> {
        Ok(super::pool("avg_pool2d", &x, &kernel, Map::new())?.into())
    }

    #[rhai_fn(name = "avg_pool2d", return_raw)]
    pub fn avg_pool2d_with(x: Tensor, kernel: Dynamic, options: Map) -> Script<Tensor> {
        Ok(super::pool("avg_pool2d", &x, &kernel, options)?.into())
    }

    /// Largest elements of windows of images. (`nn::max_pool2d` is the layer.)
    ///
    /// # Signature
    /// max_pool2d(x: Tensor[n, c, h, w], kernel: int | array, #{ stride: int | array, padding: int | array = 0 }) -> Tensor
    ///
    /// # Options
    /// - `stride` (int or array of two, the kernel): step of the window
    /// - `padding` (int or array of two, 0): how far windows reach beyond the images
    ///
    /// # Example
    /// ```rhai
    /// assert(max_pool2d(arange(4).to("f32").reshape([1, 1, 2, 2]), 2).item() == 3.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn max_pool2d(x: Tensor, kernel: Dynamic) -> Script<Tensor> {
        Ok(super::pool("max_pool2d", &x, &kernel, Map::new())?.into())
    }

    #[rhai_fn(name = "max_pool2d", return_raw)]
    pub fn max_pool2d_with(x: Tensor, kernel: Dynamic, options: Map) -> Script<Tensor> {
        Ok(super::pool("max_pool2d", &x, &kernel, options)?.into())
    }

    /// Means over as many windows as make images of this height and width.
    ///
    /// # Signature
    /// adaptive_avg_pool2d(x: Tensor[n, c, h, w], size: int | array) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(adaptive_avg_pool2d(ones([1, 2, 5, 7]), 1) == ones([1, 2, 1, 1]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn adaptive_avg_pool2d(x: Tensor, size: Dynamic) -> Script<Tensor> {
        Ok(super::adaptive(&x, &size)?.into())
    }

    /// Product with the transposed weight of a linear layer, plus the bias.
    ///
    /// # Signature
    /// linear(x: Tensor[.., in], weight: Tensor[out, in][, bias: Tensor[out]]) -> Tensor[.., out]
    ///
    /// # Example
    /// ```rhai
    /// let y = linear(tensor([[1.0, 2.0]]), tensor([[3.0, 4.0]]), tensor([0.5]));
    /// assert(y == tensor([[11.5]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn linear(x: Tensor, weight: Tensor) -> Script<Tensor> {
        Ok(super::linear(&x, &weight, None)?.into())
    }

    #[rhai_fn(name = "linear", return_raw)]
    pub fn linear_with(x: Tensor, weight: Tensor, bias: Tensor) -> Script<Tensor> {
        Ok(super::linear(&x, &weight, Some(&bias))?.into())
    }

    /// Normalisation of groups of channels of each sample to mean 0 and variance 1 (Wu and He, 2018); as many groups as
    /// channels is instance normalisation.
    ///
    /// # Signature
    /// group_norm(x: Tensor[n, c, ..], groups: int, #{ weight: Tensor[c], bias: Tensor[c], eps: float = 1e-5 }) -> Tensor
    ///
    /// # Options
    /// - `weight` (Tensor[c], ones): factor of each channel
    /// - `bias` (Tensor[c], zeros): added to each channel
    /// - `eps` (float, 1e-5): added to the variance
    ///
    /// # Example
    /// ```rhai
    /// let y = group_norm(randn([2, 4, 5, 5]), 2);
    /// assert_close(y.mean([1, 2, 3]), [0.0, 0.0], 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn group_norm(x: Tensor, groups: i64) -> Script<Tensor> {
        Ok(super::group_norm(&x, groups, Map::new())?.into())
    }

    #[rhai_fn(name = "group_norm", return_raw)]
    pub fn group_norm_with(x: Tensor, groups: i64, options: Map) -> Script<Tensor> {
        Ok(super::group_norm(&x, groups, options)?.into())
    }

    /// Normalisation over the last dimension to mean 0 and variance 1 (Ba et al., 2016).
    ///
    /// # Signature
    /// layer_norm(x: Tensor[.., d], #{ weight: Tensor[d], bias: Tensor[d], eps: float = 1e-5 }) -> Tensor
    ///
    /// # Options
    /// - `weight` (Tensor[d], ones): factor of each element
    /// - `bias` (Tensor[d], zeros): added to each element
    /// - `eps` (float, 1e-5): added to the variance
    ///
    /// # Example
    /// ```rhai
    /// assert_close(layer_norm(tensor([[1.0, 3.0]])), [[-1.0, 1.0]], 1e-4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn layer_norm(x: Tensor) -> Script<Tensor> {
        Ok(super::layer_norm(&x, Map::new())?.into())
    }

    #[rhai_fn(name = "layer_norm", return_raw)]
    pub fn layer_norm_with(x: Tensor, options: Map) -> Script<Tensor> {
        Ok(super::layer_norm(&x, options)?.into())
    }

    /// Normalisation of channels over the batch to mean 0 and variance 1 (Ioffe and Szegedy, 2015), by the batch's own
    /// statistics or by those given.
    ///
    /// # Signature
    /// batch_norm(x: Tensor[n, c, ..], #{ mean: Tensor[c], variance: Tensor[c], weight: Tensor[c], bias: Tensor[c], eps: float = 1e-5 }) -> Tensor
    ///
    /// # Options
    /// - `mean` (Tensor[c], the batch's): means to subtract
    /// - `variance` (Tensor[c], the batch's): variances to divide by
    /// - `weight` (Tensor[c], ones): factor of each channel
    /// - `bias` (Tensor[c], zeros): added to each channel
    /// - `eps` (float, 1e-5): added to the variance
    ///
    /// # Example
    /// ```rhai
    /// assert_close(batch_norm(tensor([[1.0], [3.0]])), [[-1.0], [1.0]], 1e-4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn batch_norm(x: Tensor) -> Script<Tensor> {
        Ok(super::batch_norm(&x, Map::new())?.into())
    }

    #[rhai_fn(name = "batch_norm", return_raw)]
    pub fn batch_norm_with(x: Tensor, options: Map) -> Script<Tensor> {
        Ok(super::batch_norm(&x, options)?.into())
    }

    /// Images resized to this height and width.
    ///
    /// # Signature
    /// interpolate(x: Tensor[n, c, h, w], size: int | array, #{ mode: "nearest" | "bilinear" = "bilinear" }) -> Tensor
    ///
    /// # Options
    /// - `mode` ("nearest" | "bilinear", "bilinear"): how values between pixels are found
    ///
    /// # Example
    /// ```rhai
    /// assert(interpolate(ones([1, 1, 2, 2]), 4) == ones([1, 1, 4, 4]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn interpolate(x: Tensor, size: Dynamic) -> Script<Tensor> {
        Ok(super::interpolate(&x, &size, Map::new())?.into())
    }

    #[rhai_fn(name = "interpolate", return_raw)]
    pub fn interpolate_with(x: Tensor, size: Dynamic, options: Map) -> Script<Tensor> {
        Ok(super::interpolate(&x, &size, options)?.into())
    }

    /// Elements added around the last dimensions: `[left, right]`, `[left, right, top, bottom]`, or one number for all sides of
    /// the last two. (Of a string or array, `pad` fills it up in place.)
    ///
    /// # Signature
    /// pad(x: Tensor, sizes: int | array, #{ mode: string = "constant", value: float = 0.0 }) -> Tensor
    ///
    /// # Options
    /// - `mode` ("constant" | "reflect" | "replicate" | "circular", "constant"): what the new elements are
    /// - `value` (float, 0.0): the constant
    ///
    /// # Example
    /// ```rhai
    /// assert(pad(tensor([1, 2]), [1, 0]) == tensor([0, 1, 2]));
    /// assert(pad(ones([1, 1, 2, 2]), 1).shape == [1, 1, 4, 4]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn pad(x: Tensor, sizes: Dynamic) -> Script<Tensor> {
        Ok(super::pad(&x, &sizes, Map::new())?.into())
    }

    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad_with(x: Tensor, sizes: Dynamic, options: Map) -> Script<Tensor> {
        Ok(super::pad(&x, &sizes, options)?.into())
    }
}
