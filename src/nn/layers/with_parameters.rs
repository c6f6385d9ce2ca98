//! Making layers with parameters, from Rust and from scripts.

use crate::nn::layers::layer::{BatchNorm, Conv2d, GroupNorm, Layer, LayerNorm, Linear, Maybe};
use crate::nn::net::Net;
use crate::nn::parameter::Parameter;
use crate::runtime::{At, Error, Result, Run, budget, options};
use rhai::{Array, Dynamic, NativeCallContext};
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// More numbers than a layer of a network that one machine trains has.
const LARGEST_LAYER: u64 = 1 << 31;

/// Makes layers with uninitialised parameters on a device.
#[derive(Clone, Copy)]
pub struct Maker {
    device: Device,
}

impl Maker {
    /// A maker of layers on `device`.
    pub fn new(device: Device) -> Self {
        Self { device }
    }

    fn tensor(self, size: &[i64], kind: Kind) -> Result<Tensor> {
        bearable(size)?;
        Tensor::f_zeros(size, (kind, self.device)).at("network")
    }

    fn parameter(self, size: &[i64]) -> Result<Rc<Parameter>> {
        Ok(Parameter::new(self.tensor(size, Kind::Float)?.f_set_requires_grad(true).at("network")?))
    }

    fn maybe(self, wanted: bool, size: &[i64]) -> Result<Maybe> {
        wanted.then(|| self.parameter(size)).transpose()
    }

    fn buffer(self, size: &[i64], kind: Kind) -> Result<Rc<Parameter>> {
        Ok(Parameter::new(self.tensor(size, kind)?))
    }

    /// A convolution with square kernels; one group, no dilation.
    pub fn conv(self, input: i64, output: i64, kernel: i64, stride: i64, padding: i64, bias: bool) -> Result<Conv2d> {
        let weight = self.parameter(&[output, input, kernel, kernel])?;
        let bias = self.maybe(bias, &[output])?;
        Ok(Conv2d { weight, bias, stride, padding, dilation: 1, groups: 1 })
    }

    /// A linear layer.
    pub fn linear(self, input: i64, output: i64, bias: bool) -> Result<Linear> {
        Ok(Linear { weight: self.parameter(&[output, input])?, bias: self.maybe(bias, &[output])? })
    }

    /// Batch norm with PyTorch's momentum.
    pub fn batch_norm(self, channels: i64, affine: bool) -> Result<BatchNorm> {
        Ok(BatchNorm {
            weight: self.maybe(affine, &[channels])?,
            bias: self.maybe(affine, &[channels])?,
            mean: self.buffer(&[channels], Kind::Float)?,
            variance: self.buffer(&[channels], Kind::Float)?,
            batches: self.buffer(&[], Kind::Int64)?,
            momentum: 0.1,
            eps: 1e-5,
        })
    }

    /// Group norm; `groups == channels` is instance norm.
    pub fn group_norm(self, groups: i64, channels: i64, affine: bool) -> Result<GroupNorm> {
        let (weight, bias) = (self.maybe(affine, &[channels])?, self.maybe(affine, &[channels])?);
        Ok(GroupNorm { weight, bias, channels, groups, eps: 1e-5 })
    }

    /// Layer norm over the last dimensions.
    pub fn layer_norm(self, shape: Vec<i64>, affine: bool) -> Result<LayerNorm> {
        let (weight, bias) = (self.maybe(affine, &shape)?, self.maybe(affine, &shape)?);
        Ok(LayerNorm { weight, bias, shape, eps: 1e-5 })
    }
}

/// Refuses what no layer has, and what would not fit into the memory together with the values that are drawn for it.
fn bearable(size: &[i64]) -> Result<()> {
    const BYTES: u64 = 8;
    let count = size.iter().try_fold(1_u64, |all, n| all.checked_mul(u64::try_from(*n).ok()?));
    let refused = |why: String| {
        let message = format!("a layer with {size:?} numbers {why}");
        Err(Error::new("network", message).hint("which width or size was meant?"))
    };
    match count {
        // The system is asked for its memory only where it may matter.
        Some(count) if count < 1 << 25 => Ok(()),
        Some(count) if count <= LARGEST_LAYER => match budget::free().filter(|free| *free / BYTES < count) {
            None => Ok(()),
            Some(free) => refused(format!(
                "takes {} of memory to make, of which {} are free",
                budget::size(count * BYTES),
                budget::size(free)
            )),
        },
        _ => refused(format!("is too large: {LARGEST_LAYER} are the most")),
    }
}

/// A new layer as a network of its own, its parameters drawn from the run's stream `init`.
pub fn drawn(context: &NativeCallContext, layer: Layer) -> Result<Net> {
    let net = Net::layer(Rc::new(layer));
    net.reset(&mut Run::of(context).stream("init"))?;
    Ok(net)
}

/// A size of at least one.
pub fn size(operation: &str, value: &Dynamic) -> Result<i64> {
    at_least(operation, value, 1)
}

/// An integer of at least `least`.
pub fn at_least(operation: &str, value: &Dynamic, least: i64) -> Result<i64> {
    options::as_integer(value).filter(|n| *n >= least).ok_or_else(|| {
        let given = options::describe(value);
        Error::new(operation, format!("expects integers of at least {least}, got {given}"))
    })
}

/// One size or an array of them.
fn sizes(operation: &str, value: Dynamic) -> Result<Vec<i64>> {
    match value.clone().try_cast::<Array>() {
        Some(items) if !items.is_empty() => items.iter().map(|item| size(operation, item)).collect(),
        _ => Ok(vec![size(operation, &value)?]),
    }
}

/// What scripts see as `nn::conv2d` and so on: the layers with parameters.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::nn::layers::layer::{Conv2d, Layer};
    use crate::nn::layers::with_parameters::{Maker, drawn, size, sizes};
    use crate::runtime::{Error, Options, Run, Script};
    use rhai::{Dynamic, Map, NativeCallContext};

    type Net = crate::nn::Net;

    /// Two-dimensional convolution with square kernels: [n, in, h, w] to [n, out, h', w'].
    ///
    /// Parameters `weight` [out, in / groups, k, k] and `bias` [out], drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
    ///
    /// # Signature
    /// nn::conv2d(input: int, output: int, kernel: int, #{ stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1, bias: bool = true }) -> Net
    ///
    /// # Options
    /// - `stride` (int, 1): step between positions
    /// - `padding` (int, 0): zeros around the image
    /// - `dilation` (int, 1): step between the kernel's points
    /// - `groups` (int, 1): groups of channels that do not mix
    /// - `bias` (bool, true): whether a bias is added
    ///
    /// # Example
    /// ```rhai
    /// let layer = nn::conv2d(3, 8, 3, #{ padding: 1 });
    /// assert(layer.forward(zeros([2, 3, 5, 5])).shape == [2, 8, 5, 5]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn conv2d(c: NativeCallContext, input: Dynamic, output: Dynamic, kernel: Dynamic, options: Map) -> Script<Net> {
        let (input, output, kernel) = (size("conv2d", &input)?, size("conv2d", &output)?, size("conv2d", &kernel)?);
        let mut o = Options::new("conv2d", options);
        let (stride, padding) = (o.integer("stride", 1, 1)?, o.integer("padding", 0, 0)?);
        let (dilation, groups) = (o.integer("dilation", 1, 1)?, o.integer("groups", 1, 1)?);
        let bias = o.flag("bias", true)?;
        o.finish()?;
        if input % groups != 0 || output % groups != 0 {
            let given = format!("{input} input and {output} output channels do not divide into {groups} groups");
            return Err(Error::new("conv2d", given).word("groups").into());
        }
        let maker = Maker::new(Run::of(&c).device());
        let conv = maker.conv(input / groups, output, kernel, stride, padding, bias)?;
        Ok(drawn(&c, Layer::Conv2d(Conv2d { dilation, groups, ..conv }))?)
    }

    #[rhai_fn(name = "conv2d", return_raw)]
    pub fn conv2d_plain(c: NativeCallContext, input: Dynamic, output: Dynamic, kernel: Dynamic) -> Script<Net> {
        conv2d(c, input, output, kernel, Map::new())
    }

    /// A linear layer `x W' + b` on the last dimension: [.., in] to [.., out].
    ///
    /// Parameters `weight` [out, in] and `bias` [out], drawn from U(-1/sqrt(in), 1/sqrt(in)).
    ///
    /// # Signature
    /// nn::linear(input: int, output: int, #{ bias: bool = true }) -> Net
    ///
    /// # Options
    /// - `bias` (bool, true): whether a bias is added
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::linear(4, 2).forward(zeros([3, 4])).shape == [3, 2]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn linear(c: NativeCallContext, input: Dynamic, output: Dynamic, options: Map) -> Script<Net> {
        let (input, output) = (size("linear", &input)?, size("linear", &output)?);
        let mut o = Options::new("linear", options);
        let bias = o.flag("bias", true)?;
        o.finish()?;
        Ok(drawn(&c, Layer::Linear(Maker::new(Run::of(&c).device()).linear(input, output, bias)?))?)
    }

    #[rhai_fn(name = "linear", return_raw)]
    pub fn linear_plain(c: NativeCallContext, input: Dynamic, output: Dynamic) -> Script<Net> {
        linear(c, input, output, Map::new())
    }

    /// Batch normalisation of the channels (dimension 1): statistics of the batch in training, running ones in evaluation.
    ///
    /// Buffers `running_mean`, `running_var` (unbiased) and `num_batches_tracked`. A forward pass without gradients does not
    /// move them. Source: Ioffe and Szegedy, ICML 2015.
    ///
    /// # Signature
    /// nn::batch_norm(channels: int, #{ momentum: float = 0.1, eps: float = 1e-5, affine: bool = true }) -> Net
    ///
    /// # Options
    /// - `momentum` (float, 0.1): weight of the batch in the running statistics
    /// - `eps` (float, 1e-5): added to the variance
    /// - `affine` (bool, true): whether there are a weight and a bias
    ///
    /// # Example
    /// ```rhai
    /// let layer = nn::batch_norm(3);
    /// layer.forward(randn([4, 3, 2, 2]));
    /// assert(layer.state().num_batches_tracked.item() == 1);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn batch_norm(c: NativeCallContext, channels: Dynamic, options: Map) -> Script<Net> {
        let channels = size("batch_norm", &channels)?;
        let mut o = Options::new("batch_norm", options);
        let momentum = o.between("momentum", 0.1, 0.0, 1.0)?;
        let (eps, affine) = (o.positive("eps", 1e-5)?, o.flag("affine", true)?);
        o.finish()?;
        let mut layer = Maker::new(Run::of(&c).device()).batch_norm(channels, affine)?;
        (layer.momentum, layer.eps) = (momentum, eps);
        Ok(drawn(&c, Layer::BatchNorm(layer))?)
    }

    #[rhai_fn(name = "batch_norm", return_raw)]
    pub fn batch_norm_plain(c: NativeCallContext, channels: Dynamic) -> Script<Net> {
        batch_norm(c, channels, Map::new())
    }

    /// Group normalisation: each sample by itself, over groups of channels. Source: Wu and He, ECCV 2018.
    ///
    /// # Signature
    /// nn::group_norm(groups: int, channels: int, #{ eps: float = 1e-5, affine: bool = true }) -> Net
    ///
    /// # Options
    /// - `eps` (float, 1e-5): added to the variance
    /// - `affine` (bool, true): whether there are a weight and a bias
    ///
    /// # Example
    /// ```rhai
    /// let y = nn::group_norm(2, 4).forward(randn([1, 4, 3, 3]));
    /// assert(y.mean().item().abs() < 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn group_norm(c: NativeCallContext, groups: Dynamic, channels: Dynamic, options: Map) -> Script<Net> {
        let (groups, channels) = (size("group_norm", &groups)?, size("group_norm", &channels)?);
        if channels % groups != 0 {
            return Err(
                Error::new("group_norm", format!("{channels} channels do not divide into {groups} groups")).into()
            );
        }
        let mut o = Options::new("group_norm", options);
        let (eps, affine) = (o.positive("eps", 1e-5)?, o.flag("affine", true)?);
        o.finish()?;
        let mut layer = Maker::new(Run::of(&c).device()).group_norm(groups, channels, affine)?;
        layer.eps = eps;
        Ok(drawn(&c, Layer::GroupNorm(layer))?)
    }

    #[rhai_fn(name = "group_norm", return_raw)]
    pub fn group_norm_plain(c: NativeCallContext, groups: Dynamic, channels: Dynamic) -> Script<Net> {
        group_norm(c, groups, channels, Map::new())
    }

    /// Instance normalisation: each channel of each sample by itself, affine, no running statistics. Source: Ulyanov et al.,
    /// 2016.
    ///
    /// # Signature
    /// nn::instance_norm(channels: int, #{ eps: float = 1e-5, affine: bool = true }) -> Net
    ///
    /// # Options
    /// - `eps` (float, 1e-5): added to the variance
    /// - `affine` (bool, true): whether there are a weight and a bias
    ///
    /// # Example
    /// ```rhai
    /// let y = nn::instance_norm(3).forward(randn([2, 3, 4, 4]));
    /// assert(y.mean([2, 3]).abs().max().item() < 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn instance_norm(c: NativeCallContext, channels: Dynamic, options: Map) -> Script<Net> {
        let channels = size("instance_norm", &channels)?;
        let mut o = Options::new("instance_norm", options);
        let (eps, affine) = (o.positive("eps", 1e-5)?, o.flag("affine", true)?);
        o.finish()?;
        let mut layer = Maker::new(Run::of(&c).device()).group_norm(channels, channels, affine)?;
        layer.eps = eps;
        Ok(drawn(&c, Layer::GroupNorm(layer))?)
    }

    #[rhai_fn(name = "instance_norm", return_raw)]
    pub fn instance_norm_plain(c: NativeCallContext, channels: Dynamic) -> Script<Net> {
        instance_norm(c, channels, Map::new())
    }

    /// Layer normalisation over the last dimensions. Source: Ba et al., 2016.
    ///
    /// # Signature
    /// nn::layer_norm(shape: int | array, #{ eps: float = 1e-5, affine: bool = true }) -> Net
    ///
    /// # Options
    /// - `eps` (float, 1e-5): added to the variance
    /// - `affine` (bool, true): whether there are a weight and a bias
    ///
    /// # Example
    /// ```rhai
    /// let y = nn::layer_norm(8).forward(randn([2, 8]));
    /// assert(y.mean(1).abs().max().item() < 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn layer_norm(c: NativeCallContext, shape: Dynamic, options: Map) -> Script<Net> {
        let shape = sizes("layer_norm", shape)?;
        let mut o = Options::new("layer_norm", options);
        let (eps, affine) = (o.positive("eps", 1e-5)?, o.flag("affine", true)?);
        o.finish()?;
        let mut layer = Maker::new(Run::of(&c).device()).layer_norm(shape, affine)?;
        layer.eps = eps;
        Ok(drawn(&c, Layer::LayerNorm(layer))?)
    }

    #[rhai_fn(name = "layer_norm", return_raw)]
    pub fn layer_norm_plain(c: NativeCallContext, shape: Dynamic) -> Script<Net> {
        layer_norm(c, shape, Map::new())
    }
}
