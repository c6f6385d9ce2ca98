//! Networks for a data set, by name: what scripts call `convnet(data, #{ .. })`.

use crate::data::storage::order_hint;
use crate::data::{Data, Dataset};
use crate::nn::zoo::{self, ConvNetOptions, MlpOptions, Norm, Pool, ResNetOptions};
use crate::nn::{Net, Shape};
use crate::runtime::{Error, Options, Result, Run, Script, Stream, options};
use rhai::{Dynamic, Map, NativeCallContext};
use tch::Device;

/// A network `lethe list models` tells of.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Listing {
    /// The function that makes it, and its name in `load_task("digits/convnet")`.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
}

/// Every network there is.
pub fn list() -> [Listing; 4] {
    [
        Listing {
            name: "convnet",
            summary: "blocks of convolution 3 x 3, normalisation, ReLU, pooling, and a linear classifier",
        },
        Listing { name: "mlp", summary: "linear layers with ReLU between them" },
        Listing {
            name: "resnet18",
            summary: "ResNet-18 for images of 32 x 32 (He et al., 2016), instance or batch norm",
        },
        Listing {
            name: "resnet50",
            summary: "ResNet-50 for images of 32 x 32 (He et al., 2016), instance or batch norm",
        },
    ]
}

/// The options that building the network of this name takes.
pub fn options_of(name: &str) -> &'static [&'static str] {
    match name {
        "convnet" => &["width", "depth", "norm", "pool", "seed"],
        "mlp" => &["hidden", "seed"],
        "resnet18" | "resnet50" => &["width", "norm", "seed"],
        _ => &[],
    }
}

/// The network of this name, newly initialised: from its option `seed`, else from the stream that `draw` hands out.
///
/// # Errors
/// An unknown name or option; images the network cannot take.
pub fn build(
    name: &str,
    shape: Shape,
    classes: usize,
    given: Map,
    draw: impl FnOnce() -> Stream,
    device: Device,
) -> Result<Net> {
    let mut o = Options::new(name, given);
    match name {
        "convnet" => {
            let norm = normalisation(&mut o, &Norm::NAMES)?;
            let plain = ConvNetOptions::default();
            let options = ConvNetOptions {
                width: o.count("width", plain.width)?,
                depth: o.count("depth", plain.depth)?,
                norm,
                pool: Pool::named(&o.choice("pool", plain.pool.name(), &Pool::NAMES)?),
            };
            let mut stream = first(&mut o, draw)?;
            o.finish()?;
            zoo::convnet(shape, classes, &options, &mut stream, device)
        }
        "mlp" => {
            let hidden = match o.maybe_integers("hidden")? {
                Some(sizes) => sizes.iter().map(|n| layer_size(*n)).collect::<Result<_>>()?,
                None => MlpOptions::default().hidden,
            };
            let mut stream = first(&mut o, draw)?;
            o.finish()?;
            zoo::mlp(shape, classes, &MlpOptions { hidden }, &mut stream, device)
        }
        "resnet18" | "resnet50" => {
            let norm = normalisation(&mut o, &["instance", "batch"])?;
            let options = ResNetOptions { width: o.count("width", ResNetOptions::default().width)?, norm };
            let mut stream = first(&mut o, draw)?;
            o.finish()?;
            let make = if name == "resnet18" { zoo::resnet18 } else { zoo::resnet50 };
            make(shape, classes, &options, &mut stream, device)
        }
        _ => Err(unknown(name)),
    }
}

/// What the first weights are drawn from.
fn first(o: &mut Options, draw: impl FnOnce() -> Stream) -> Result<Stream> {
    Ok(match o.maybe_integer("seed", 0)? {
        Some(seed) => Run::first_stream(seed as u64, "init"),
        None => draw(),
    })
}

fn normalisation(o: &mut Options, names: &[&str]) -> Result<Norm> {
    Ok(Norm::named(&o.choice("norm", Norm::Instance.name(), names)?))
}

fn layer_size(n: i64) -> Result<usize> {
    usize::try_from(n)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| Error::new("mlp", format!("`hidden` must hold sizes of at least 1, got {n}")).word("hidden"))
}

fn unknown(name: &str) -> Error {
    let names = list().map(|listing| listing.name);
    let error = Error::new("model", format!("there is no model {name:?}"))
        .word(name)
        .note(format!("models: {}", names.join(", ")));
    match options::nearest(name, names) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error,
    }
}

/// Image shape and number of classes of what a network is made for: a data set, a dataset, or
/// `#{ channels, height, width, classes }`.
///
/// # Errors
/// Anything else; sizes below one.
pub fn subject(operation: &str, value: Dynamic) -> Result<(Shape, usize)> {
    let (shape, classes) = if let Some(data) = value.clone().try_cast::<Data>() {
        (data.shape, data.classes)
    } else if let Some(dataset) = value.clone().try_cast::<Dataset>() {
        (dataset.shape(), dataset.classes())
    } else if let Some(map) = value.clone().try_cast::<Map>() {
        let mut o = Options::new(operation, map);
        let (channels, height) = (o.integer("channels", 1, 1)?, o.integer("height", 1, 1)?);
        let (width, classes) = (o.integer("width", 1, 1)?, o.count("classes", 10)?);
        o.finish()?;
        (Shape { channels, height, width }, classes)
    } else {
        let given = options::describe(&value);
        return Err(Error::new(operation, format!("expects a data set first, got {given}"))
            .hint("a map works too: #{ channels: 3, height: 32, width: 32, classes: 10 }"));
    };
    if classes == 0 {
        return Err(Error::new(operation, "the dataset has no classes"));
    }
    Ok((shape, classes))
}

/// A network for what a script gave, on the run's device.
fn made(context: &NativeCallContext, name: &str, data: Dynamic, options: Map) -> Script<Net> {
    let (shape, classes) = subject(name, data)?;
    let run = Run::of(context);
    let net = build(name, shape, classes, options, || run.stream("init"), run.device());
    Ok(net.map_err(|error| in_order(error, shape))?)
}

/// Adds to an error about images whose channels seem to stand last what to do about it.
fn in_order(error: Error, shape: Shape) -> Error {
    match order_hint(&[shape.channels, shape.height, shape.width]) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    type Net = crate::nn::Net;

    /// A ConvNet for a data set: `depth` blocks of convolution 3 x 3, normalisation, ReLU and pooling 2 x 2, then a linear
    /// classifier. Images of 28 x 28 are padded to 32 x 32 by the first convolution.
    ///
    /// `data` is a data set, a dataset, or a map `#{ channels, height, width, classes }`. Initialised as PyTorch does, from
    /// the run's seed. Source: Zhao et al., Dataset Condensation with Gradient Matching, ICLR 2021 (after Gidaris and
    /// Komodakis, 2018).
    ///
    /// # Options
    /// - `width` (int, 128): channels of every block
    /// - `depth` (int, 3): number of blocks
    /// - `norm` ("instance" | "batch" | "none", "instance"): normalisation
    /// - `pool` ("avg" | "max" | "none", "avg"): pooling
    /// - `seed` (int, the run's): what the first weights are drawn from; those of the first network of a run with this `--seed`
    ///
    /// # Signature
    /// convnet(data: Data | Dataset | map, #{ width: int = 128, depth: int = 3, norm: string = "instance", pool: string = "avg", seed: int }) -> Net
    ///
    /// # Example
    /// ```rhai
    /// let net = convnet(dataset("digits"), #{ width: 8 });
    /// assert(net.forward(zeros([2, 1, 8, 8])).shape == [2, 10]);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn convnet(context: NativeCallContext, data: Dynamic, options: Map) -> Script<Net> {
        made(&context, "convnet", data, options)
    }

    #[rhai_fn(name = "convnet", return_raw, volatile)]
    pub fn convnet_plain(context: NativeCallContext, data: Dynamic) -> Script<Net> {
        made(&context, "convnet", data, Map::new())
    }

    /// A multilayer perceptron for a data set: linear layers with ReLU between them, on flattened images.
    ///
    /// `data` is a data set, a dataset, or a map `#{ channels, height, width, classes }`.
    ///
    /// # Options
    /// - `hidden` (array of int, [128, 128]): units of each hidden layer
    /// - `seed` (int, the run's): what the first weights are drawn from; those of the first network of a run with this `--seed`
    ///
    /// # Signature
    /// mlp(data: Data | Dataset | map, #{ hidden: array = [128, 128], seed: int }) -> Net
    ///
    /// # Example
    /// ```rhai
    /// let net = mlp(dataset("digits"), #{ hidden: [16] });
    /// assert(net.forward(zeros([2, 1, 8, 8])).shape == [2, 10]);
    /// let nets = [0, 1, 2].map(|seed| mlp(dataset("digits"), #{ seed: seed }));
    /// assert(nets[1].weights_hash() != nets[2].weights_hash());
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn mlp(context: NativeCallContext, data: Dynamic, options: Map) -> Script<Net> {
        made(&context, "mlp", data, options)
    }

    #[rhai_fn(name = "mlp", return_raw, volatile)]
    pub fn mlp_plain(context: NativeCallContext, data: Dynamic) -> Script<Net> {
        made(&context, "mlp", data, Map::new())
    }

    /// A ResNet-18 for images of 32 x 32 and above, with instance norm unless told otherwise (He et al., CVPR 2016; the form
    /// with a 3 x 3 stem).
    ///
    /// `data` is a data set, a dataset, or a map `#{ channels, height, width, classes }`.
    ///
    /// # Options
    /// - `width` (int, 64): channels of the first stage
    /// - `norm` ("instance" | "batch", "instance"): normalisation
    /// - `seed` (int, the run's): what the first weights are drawn from; those of the first network of a run with this `--seed`
    ///
    /// # Signature
    /// resnet18(data: Data | Dataset | map, #{ width: int = 64, norm: string = "instance", seed: int }) -> Net
    ///
    /// # Example
    /// ```rhai
    /// let net = resnet18(#{ channels: 3, height: 32, width: 32, classes: 10 }, #{ width: 4 });
    /// assert(net.forward(zeros([1, 3, 32, 32])).shape == [1, 10]);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn resnet18(context: NativeCallContext, data: Dynamic, options: Map) -> Script<Net> {
        made(&context, "resnet18", data, options)
    }

    #[rhai_fn(name = "resnet18", return_raw, volatile)]
    pub fn resnet18_plain(context: NativeCallContext, data: Dynamic) -> Script<Net> {
        made(&context, "resnet18", data, Map::new())
    }

    /// A ResNet-50 for images of 32 x 32 and above, with instance norm unless told otherwise (He et al., CVPR 2016; the form
    /// with a 3 x 3 stem).
    ///
    /// `data` is a data set, a dataset, or a map `#{ channels, height, width, classes }`.
    ///
    /// # Options
    /// - `width` (int, 64): channels of the first stage
    /// - `norm` ("instance" | "batch", "instance"): normalisation
    /// - `seed` (int, the run's): what the first weights are drawn from; those of the first network of a run with this `--seed`
    ///
    /// # Signature
    /// resnet50(data: Data | Dataset | map, #{ width: int = 64, norm: string = "instance", seed: int }) -> Net
    ///
    /// # Example
    /// ```rhai
    /// let net = resnet50(#{ channels: 3, height: 32, width: 32, classes: 10 }, #{ width: 4 });
    /// assert(net.forward(zeros([1, 3, 32, 32])).shape == [1, 10]);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn resnet50(context: NativeCallContext, data: Dynamic, options: Map) -> Script<Net> {
        made(&context, "resnet50", data, options)
    }

    #[rhai_fn(name = "resnet50", return_raw, volatile)]
    pub fn resnet50_plain(context: NativeCallContext, data: Dynamic) -> Script<Net> {
        made(&context, "resnet50", data, Map::new())
    }
}
