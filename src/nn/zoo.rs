//! The architectures of the field: ConvNet, MLP, ResNet-18 and ResNet-50 in their forms for small images.

use super::Shape;
use super::net::{Card, Net};
use crate::nn::layers::layer::{Activation, Child, Layer, Residual};
use crate::nn::layers::with_parameters::Maker;
use crate::runtime::{Error, Result, Stream};
use std::rc::Rc;
use tch::Device;

/// More blocks than a network has.
const DEEPEST: usize = 512;

/// The normalisation of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Each channel of each image by itself, no running statistics.
    Instance,
    /// Over the batch, with running statistics.
    Batch,
    /// None.
    None,
}

/// The pooling of a ConvNet's blocks, 2 x 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Average pooling.
    Avg,
    /// Max pooling.
    Max,
    /// None.
    None,
}

impl Norm {
    /// The names scripts use.
    pub const NAMES: [&'static str; 3] = ["instance", "batch", "none"];

    /// The normalisation of this name; instance norm for a name that is none.
    pub fn named(name: &str) -> Self {
        match name {
            "batch" => Self::Batch,
            "none" => Self::None,
            _ => Self::Instance,
        }
    }

    /// The name scripts use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Batch => "batch",
            Self::None => "none",
        }
    }
}

impl Pool {
    /// The names scripts use.
    pub const NAMES: [&'static str; 3] = ["avg", "max", "none"];

    /// The pooling of this name; average pooling for a name that is none.
    pub fn named(name: &str) -> Self {
        match name {
            "max" => Self::Max,
            "none" => Self::None,
            _ => Self::Avg,
        }
    }

    /// The name scripts use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Max => "max",
            Self::None => "none",
        }
    }
}

/// What a ConvNet can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct ConvNetOptions {
    /// Channels of every block.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Normalisation.
    pub norm: Norm,
    /// Pooling.
    pub pool: Pool,
}

impl Default for ConvNetOptions {
    fn default() -> Self {
        Self { width: 128, depth: 3, norm: Norm::Instance, pool: Pool::Avg }
    }
}

/// What an MLP can be asked for.
#[derive(Debug, Clone)]
pub struct MlpOptions {
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
}

impl Default for MlpOptions {
    fn default() -> Self {
        Self { hidden: vec![128, 128] }
    }
}

/// What a ResNet can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct ResNetOptions {
    /// Channels of the first stage; the others have two, four and eight times as many.
    pub width: usize,
    /// Normalisation: instance or batch.
    pub norm: Norm,
}

impl Default for ResNetOptions {
    fn default() -> Self {
        Self { width: 64, norm: Norm::Instance }
    }
}

/// The normalisation of a network's blocks, or nothing.
fn normalisation(maker: Maker, norm: Norm, channels: i64) -> Result<Option<Layer>> {
    Ok(match norm {
        Norm::Instance => Some(Layer::GroupNorm(maker.group_norm(channels, channels, true)?)),
        Norm::Batch => Some(Layer::BatchNorm(maker.batch_norm(channels, true)?)),
        Norm::None => None,
    })
}

fn child(name: &str, layer: Layer) -> Child {
    Child { name: name.into(), layer: Rc::new(layer) }
}

/// Children named by their position, as in PyTorch's `Sequential`.
fn numbered(layers: Vec<Layer>) -> Layer {
    Layer::Sequential(layers.into_iter().enumerate().map(|(i, layer)| child(&i.to_string(), layer)).collect())
}

fn finish(children: Vec<Child>, card: Card, stream: &mut Stream) -> Result<Net> {
    let net = Net::new(Rc::new(Layer::Sequential(children)), card)?;
    net.reset(stream)?;
    Ok(net)
}

fn signature(shape: Shape, classes: usize) -> String {
    format!("in={}x{}x{},classes={classes}", shape.channels, shape.height, shape.width)
}

impl ConvNetOptions {
    /// Refuses, before anything is built, what no images of this size go through and more blocks than a network has.
    fn check(&self, shape: Shape) -> Result<()> {
        let least = if (shape.height, shape.width) == (28, 28) { 32 } else { shape.height.min(shape.width) };
        let halvings = u32::try_from(self.depth).unwrap_or(u32::MAX);
        if self.pool != Pool::None && least.checked_shr(halvings).unwrap_or(0) == 0 {
            let given = format!("images of {} x {} cannot be halved {} times", shape.height, shape.width, self.depth);
            return Err(Error::new("convnet", given).hint("lower depth, or use pool: \"none\"").word("depth"));
        }
        if self.depth > DEEPEST {
            let message = format!("`depth` must be at most {DEEPEST}, got {}", self.depth);
            return Err(Error::new("convnet", message).word("depth"));
        }
        Ok(())
    }
}

/// ConvNet of the condensation literature: `depth` blocks of 3x3 convolution, normalisation, ReLU, 2x2 pooling, then a linear
/// classifier. Inputs of 28 x 28 are padded to 32 x 32 by the first convolution.
///
/// # Errors
/// When the images are too small to be halved `depth` times.
pub fn convnet(shape: Shape, classes: usize, o: &ConvNetOptions, stream: &mut Stream, device: Device) -> Result<Net> {
    o.check(shape)?;
    let maker = Maker::new(device);
    let padded = shape.height == 28 && shape.width == 28;
    let (mut height, mut width) = if padded { (32, 32) } else { (shape.height, shape.width) };
    let channels = o.width as i64;
    let mut layers = vec![];
    for block in 0..o.depth {
        let input = if block == 0 { shape.channels } else { channels };
        let padding = if block == 0 && padded { 3 } else { 1 };
        layers.push(Layer::Conv2d(maker.conv(input, channels, 3, 1, padding, true)?));
        layers.extend(normalisation(maker, o.norm, channels)?);
        layers.push(Layer::Activation(Activation::Relu));
        match o.pool {
            Pool::Avg => layers.push(Layer::AvgPool { kernel: 2, stride: 2, padding: 0 }),
            Pool::Max => layers.push(Layer::MaxPool { kernel: 2, stride: 2, padding: 0 }),
            Pool::None => continue,
        }
        (height, width) = (height / 2, width / 2);
    }
    let classifier = maker.linear(channels * height * width, classes as i64, true)?;
    let (norm, pool) = (o.norm.name(), o.pool.name());
    let options = format!("width={},depth={},norm={norm},pool={pool}", o.width, o.depth);
    let extras = [(o.norm == Norm::Batch).then_some(" · batch norm"), (o.norm == Norm::None).then_some(" · no norm")];
    let plural = if o.depth == 1 { "block" } else { "blocks" };
    let card = Card {
        title: "ConvNet".into(),
        detail: format!("{} {plural} of {}{}", o.depth, o.width, extras.into_iter().flatten().collect::<String>()),
        architecture: format!("convnet({options},{})", signature(shape, classes)),
        input: Some(shape),
    };
    let parts = vec![
        child("features", numbered(layers)),
        child("flatten", Layer::Flatten),
        child("classifier", Layer::Linear(classifier)),
    ];
    finish(parts, card, stream)
}

/// A multilayer perceptron with ReLU on flattened images.
///
/// # Errors
/// Those of torch.
pub fn mlp(shape: Shape, classes: usize, o: &MlpOptions, stream: &mut Stream, device: Device) -> Result<Net> {
    let maker = Maker::new(device);
    let mut size = shape.channels * shape.height * shape.width;
    let mut layers = vec![];
    for units in &o.hidden {
        layers.push(Layer::Linear(maker.linear(size, *units as i64, true)?));
        layers.push(Layer::Activation(Activation::Relu));
        size = *units as i64;
    }
    let hidden: Vec<String> = o.hidden.iter().map(ToString::to_string).collect();
    let card = Card {
        title: "MLP".into(),
        detail: if hidden.is_empty() { "no hidden layer".into() } else { format!("hidden {}", hidden.join(", ")) },
        architecture: format!("mlp(hidden={},{})", hidden.join("-"), signature(shape, classes)),
        input: Some(shape),
    };
    let parts = vec![
        child("flatten", Layer::Flatten),
        child("features", numbered(layers)),
        child("classifier", Layer::Linear(maker.linear(size, classes as i64, true)?)),
    ];
    finish(parts, card, stream)
}

/// ResNet-18 with the stem for 32 x 32 images: no max-pooling, a 3x3 first convolution.
///
/// # Errors
/// Images below 32 x 32; a ResNet without normalisation.
pub fn resnet18(shape: Shape, classes: usize, o: &ResNetOptions, stream: &mut Stream, device: Device) -> Result<Net> {
    resnet("resnet18", [2, 2, 2, 2], false, shape, classes, o, stream, device)
}

/// ResNet-50 with the stem for 32 x 32 images; the stride of a block sits on its 3x3 convolution.
///
/// # Errors
/// Images below 32 x 32; a ResNet without normalisation.
pub fn resnet50(shape: Shape, classes: usize, o: &ResNetOptions, stream: &mut Stream, device: Device) -> Result<Net> {
    resnet("resnet50", [3, 4, 6, 3], true, shape, classes, o, stream, device)
}

/// The convolutions of one residual block: input, output, kernel, stride.
fn convolutions(bottleneck: bool, input: i64, width: i64, stride: i64) -> Vec<[i64; 4]> {
    if bottleneck {
        vec![[input, width, 1, 1], [width, width, 3, stride], [width, 4 * width, 1, 1]]
    } else {
        vec![[input, width, 3, stride], [width, width, 3, 1]]
    }
}

fn block(maker: Maker, norm: Norm, bottleneck: bool, input: i64, width: i64, stride: i64) -> Result<Layer> {
    let convolutions = convolutions(bottleneck, input, width, stride);
    let output = if bottleneck { 4 * width } else { width };
    let last = convolutions.len();
    let mut body = vec![];
    for (j, [from, to, kernel, step]) in convolutions.into_iter().enumerate() {
        let number = j + 1;
        let conv = maker.conv(from, to, kernel, step, kernel / 2, false)?;
        body.push(child(&format!("conv{number}"), Layer::Conv2d(conv)));
        body.extend(normalisation(maker, norm, to)?.map(|layer| child(&format!("bn{number}"), layer)));
        if number < last {
            body.push(child(&format!("relu{number}"), Layer::Activation(Activation::Relu)));
        }
    }
    let shortcut = if stride != 1 || input != output {
        let mut layers = vec![Layer::Conv2d(maker.conv(input, output, 1, stride, 0, false)?)];
        layers.extend(normalisation(maker, norm, output)?);
        Some(child("shortcut", numbered(layers)))
    } else {
        None
    };
    Ok(Layer::Residual(Residual { body, shortcut, relu: true }))
}

#[allow(clippy::too_many_arguments)]
fn resnet(
    name: &str,
    blocks: [usize; 4],
    bottleneck: bool,
    shape: Shape,
    classes: usize,
    o: &ResNetOptions,
    stream: &mut Stream,
    device: Device,
) -> Result<Net> {
    if shape.height < 32 || shape.width < 32 {
        let given = format!("needs images of at least 32 x 32, got {} x {}", shape.height, shape.width);
        let pad = 32_usize.saturating_sub(shape.height.min(shape.width) as usize).div_ceil(2);
        let hint =
            format!("pad or resize the images to 32 x 32 (`pad: {pad}` of `dataset` and `load_task`), or use convnet");
        return Err(Error::new(name, given).hint(hint));
    }
    if o.norm == Norm::None {
        return Err(Error::new(name, "needs a normalisation, got \"none\"").hint("use \"instance\" or \"batch\""));
    }
    let maker = Maker::new(device);
    let base = o.width as i64;
    let mut parts = vec![child("conv1", Layer::Conv2d(maker.conv(shape.channels, base, 3, 1, 1, false)?))];
    parts.extend(normalisation(maker, o.norm, base)?.map(|layer| child("bn1", layer)));
    parts.push(child("relu", Layer::Activation(Activation::Relu)));
    let mut input = base;
    for (stage, count) in blocks.into_iter().enumerate() {
        let width = base << stage;
        let mut layers = vec![];
        for index in 0..count {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            layers.push(block(maker, o.norm, bottleneck, input, width, stride)?);
            input = if bottleneck { 4 * width } else { width };
        }
        parts.push(child(&format!("layer{}", stage + 1), numbered(layers)));
    }
    // Images of 32 x 32 arrive here as 4 x 4: the mean over all positions is the 4 x 4 average pooling of the definition.
    parts.push(child("pool", Layer::AdaptiveAvgPool(1)));
    parts.push(child("flatten", Layer::Flatten));
    parts.push(child("classifier", Layer::Linear(maker.linear(input, classes as i64, true)?)));
    let card = Card {
        title: if bottleneck { "ResNet-50".into() } else { "ResNet-18".into() },
        detail: format!("width {} · {} norm", o.width, o.norm.name()),
        architecture: format!("{name}(width={},norm={},{})", o.width, o.norm.name(), signature(shape, classes)),
        input: Some(shape),
    };
    finish(parts, card, stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    const SMALL: Shape = Shape { channels: 1, height: 8, width: 8 };
    const CIFAR: Shape = Shape { channels: 3, height: 32, width: 32 };

    fn small(norm: Norm) -> Net {
        let options = ConvNetOptions { width: 16, norm, ..ConvNetOptions::default() };
        convnet(SMALL, 10, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap()
    }

    fn images(n: i64, shape: Shape) -> Tensor {
        let count = n * shape.channels * shape.height * shape.width;
        let values = Stream::new(n as u64, "images").normals(count as usize);
        Tensor::from_slice(&values).view([n, shape.channels, shape.height, shape.width])
    }

    #[test]
    fn sizes_and_names_are_those_of_the_specification() {
        let mut stream = Stream::new(0, "init");
        let net = convnet(CIFAR, 10, &ConvNetOptions::default(), &mut stream, Device::Cpu).unwrap();
        assert_eq!((net.count(), net.parameters().len(), net.classes()), (320_010, 14, Some(10)));
        let names: Vec<String> = net.parameters().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names[..3], ["features.0.weight", "features.0.bias", "features.1.weight"]);
        assert_eq!(names[12..], ["classifier.weight", "classifier.bias"]);
        let net = resnet18(CIFAR, 10, &ResNetOptions::default(), &mut stream, Device::Cpu).unwrap();
        assert_eq!((net.count(), net.parameters().len()), (11_173_962, 62));
        let narrow = ResNetOptions { width: 2, norm: Norm::Batch };
        let net = resnet50(CIFAR, 10, &narrow, &mut stream, Device::Cpu).unwrap();
        assert_eq!(net.parameters().len(), 161);
        let names: Vec<String> = net.state().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names[1..6],
            ["bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked"]
        );
        assert!(names.contains(&"layer1.0.shortcut.1.num_batches_tracked".to_string()));
        let net = mlp(SMALL, 3, &MlpOptions { hidden: vec![5] }, &mut stream, Device::Cpu).unwrap();
        assert_eq!(net.to_string(), "MLP(1 x 8 x 8 -> 3) · hidden 5 · 343 parameters");
    }

    #[test]
    fn a_net_prints_in_one_line() {
        assert_eq!(small(Norm::Instance).to_string(), "ConvNet(1 x 8 x 8 -> 10) · 3 blocks of 16 · 5,066 parameters");
        let options = "convnet(width=16,depth=3,norm=instance,pool=avg,in=1x8x8,classes=10)";
        assert_eq!(small(Norm::Instance).architecture(), options);
    }

    #[test]
    fn twenty_eight_pixels_are_padded_to_thirty_two_and_nothing_else_is() {
        for (side, features) in [(28, 16 * 4), (32, 16 * 4), (30, 9 * 4), (24, 9 * 4)] {
            let shape = Shape { channels: 1, height: side, width: side };
            let options = ConvNetOptions { width: 4, ..ConvNetOptions::default() };
            let net = convnet(shape, 2, &options, &mut Stream::new(0, "i"), Device::Cpu).unwrap();
            assert_eq!(net.embed(&images(2, shape)).unwrap().size(), [2, features], "{side}");
        }
    }

    #[test]
    fn initial_weights_fill_the_bounds_of_pytorch() {
        let net = small(Norm::Instance);
        for (name, tensor) in net.parameters() {
            let (low, high) = (tensor.min().double_value(&[]), tensor.max().double_value(&[]));
            let expected = match name.as_str() {
                "features.0.weight" | "features.0.bias" => (1.0 / 3.0, true),
                "classifier.weight" | "classifier.bias" => (0.25, true),
                "features.4.weight" | "features.4.bias" | "features.8.weight" | "features.8.bias" => (1.0 / 12.0, true),
                name if name.ends_with("weight") => (1.0, false),
                _ => (0.0, false),
            };
            match expected {
                (bound, true) => assert!(low >= -bound && high <= bound && high - low > bound, "{name}: {low} {high}"),
                (value, false) => assert_eq!((low, high), (value, value), "{name}"),
            }
        }
        assert_eq!(net.weights_hash().unwrap(), small(Norm::Instance).weights_hash().unwrap());
    }

    #[test]
    fn networks_that_cannot_be_built_say_why() {
        let mut stream = Stream::new(0, "init");
        let error = resnet18(SMALL, 10, &ResNetOptions::default(), &mut stream, Device::Cpu).unwrap_err();
        assert_eq!(error.to_string(), "resnet18: needs images of at least 32 x 32, got 8 x 8");
        let deep = ConvNetOptions { depth: 4, ..ConvNetOptions::default() };
        assert!(convnet(SMALL, 10, &deep, &mut stream, Device::Cpu).is_err());
        let flat = ConvNetOptions { depth: 4, width: 2, pool: Pool::None, norm: Norm::None };
        let net = convnet(SMALL, 10, &flat, &mut stream, Device::Cpu).unwrap();
        assert_eq!(net.parameters()[2].0, "features.2.weight");
    }
}
