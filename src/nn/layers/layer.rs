//! Layers: the tree a network is made of, and how each layer computes. Functional torch calls only; parameters belong to
//! the layers, modes come with the pass.

use crate::nn::parameter::Parameter;
use crate::runtime::{At, Callback, Error, Result, Stream, options};
use crate::tensor;
use rhai::Dynamic;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tch::Tensor;

/// A named part of a larger layer.
#[derive(Clone)]
pub struct Child {
    /// The part of the parameter names that this child contributes; empty for children without parameters.
    pub name: String,
    /// The layer.
    pub layer: Rc<Layer>,
}

/// A parameter that a layer may lack.
pub type Maybe = Option<Rc<Parameter>>;

/// Two-dimensional convolution, zero padded.
pub struct Conv2d {
    pub weight: Rc<Parameter>,
    pub bias: Maybe,
    pub stride: i64,
    pub padding: i64,
    pub dilation: i64,
    pub groups: i64,
}

/// `x W' + b` on the last dimension.
pub struct Linear {
    pub weight: Rc<Parameter>,
    pub bias: Maybe,
}

/// Normalisation with statistics of the batch in training and running ones in evaluation.
pub struct BatchNorm {
    pub weight: Maybe,
    pub bias: Maybe,
    pub mean: Rc<Parameter>,
    pub variance: Rc<Parameter>,
    pub batches: Rc<Parameter>,
    pub momentum: f64,
    pub eps: f64,
}

/// Normalisation of each sample over groups of channels; one group a channel is instance norm.
pub struct GroupNorm {
    pub weight: Maybe,
    pub bias: Maybe,
    pub channels: i64,
    pub groups: i64,
    pub eps: f64,
}

/// Normalisation of each position over the last dimensions.
pub struct LayerNorm {
    pub weight: Maybe,
    pub bias: Maybe,
    pub shape: Vec<i64>,
    pub eps: f64,
}

/// `body(x) + shortcut(x)`, with the identity as default shortcut.
pub struct Residual {
    pub body: Vec<Child>,
    pub shortcut: Option<Child>,
    pub relu: bool,
}

/// Functions without parameters, elementwise.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Activation {
    Relu,
    LeakyRelu,
    Gelu,
    Tanh,
    Sigmoid,
    Silu,
    Elu,
    Softplus,
}

/// Every layer there is.
pub enum Layer {
    Conv2d(Conv2d),
    Linear(Linear),
    BatchNorm(BatchNorm),
    GroupNorm(GroupNorm),
    LayerNorm(LayerNorm),
    Activation(Activation),
    AvgPool { kernel: i64, stride: i64, padding: i64 },
    MaxPool { kernel: i64, stride: i64, padding: i64 },
    AdaptiveAvgPool(i64),
    Flatten,
    Dropout { rate: f64, stream: RefCell<Stream> },
    Identity,
    Sequential(Vec<Child>),
    Residual(Residual),
    Scripted(Box<Scripted>),
}

/// What a layer saw and gave in a captured pass.
pub struct Captured {
    pub layer: Rc<Layer>,
    pub input: Tensor,
    pub output: Tensor,
}

/// The circumstances of one forward pass.
pub struct Pass<'a> {
    /// Training mode.
    pub training: bool,
    /// The mode shared with children handed to scripts.
    pub mode: &'a Rc<Cell<bool>>,
    /// Where layers with parameters leave their inputs and outputs.
    pub capture: Option<&'a RefCell<Vec<Captured>>>,
}

/// Whether autograd records at the moment.
pub fn grad_enabled() -> bool {
    // SAFETY: a thread-local flag of torch's is set and put back.
    unsafe {
        let before = torch_sys::at_grad_set_enabled(0);
        torch_sys::at_grad_set_enabled(before);
        before != 0
    }
}

fn tensor(parameter: &Maybe) -> Option<Tensor> {
    parameter.as_ref().map(|p| p.handle())
}

fn plural(n: i64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Refuses an input whose rank or size along `dim` does not fit the layer.
fn expect(operation: &str, x: &Tensor, rank: Option<usize>, dim: i64, wanted: i64, noun: &str) -> Result<()> {
    let size = x.size();
    if let Some(rank) = rank.filter(|rank| *rank != size.len()) {
        let layout = if rank == 4 { " [n, channels, height, width]" } else { "" };
        return Err(Error::new(operation, format!("expects {rank} dimensions{layout}, got shape {size:?}")));
    }
    let at = if dim < 0 { size.len() as i64 + dim } else { dim };
    match usize::try_from(at).ok().and_then(|at| size.get(at)) {
        Some(got) if *got == wanted => Ok(()),
        Some(got) => Err(Error::new("", format!("{operation} expects {}, got {got}", plural(wanted, noun)))),
        None => Err(Error::new("", format!("{operation} expects {}, got shape {size:?}", plural(wanted, noun)))),
    }
}

impl Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.weight.get();
        let channels = weight.size().get(1).copied().unwrap_or(0) * self.groups;
        expect("conv2d", x, Some(4), 1, channels, "input channel")?;
        let (s, p, d) = (self.stride, self.padding, self.dilation);
        let y = x.f_conv2d(&weight, tensor(&self.bias), [s, s], [p, p], [d, d], self.groups);
        y.on("conv2d", &[x, &weight])
    }
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.weight.get();
        expect("linear", x, None, -1, weight.size().get(1).copied().unwrap_or(0), "input feature")?;
        x.f_linear(&weight, tensor(&self.bias)).on("linear", &[x, &weight])
    }
}

impl BatchNorm {
    fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor> {
        expect("batch_norm", x, None, 1, self.mean.count(), "channel")?;
        if training && x.numel() as i64 <= self.mean.count() {
            let given = format!("needs more than one value for each channel in training, got shape {:?}", x.size());
            return Err(Error::new("batch_norm", given).hint("use larger batches, or evaluation mode"));
        }
        let (weight, bias) = (tensor(&self.weight), tensor(&self.bias));
        // A pass without gradients must not move the statistics: it normalises by the batch alone.
        let moving = training && grad_enabled();
        let statistics = |p: &Rc<Parameter>| (!training || moving).then(|| p.handle());
        let (mean, variance) = (statistics(&self.mean), statistics(&self.variance));
        if moving {
            let _guard = tch::no_grad_guard();
            let _ = self.batches.handle().f_add_scalar_(1).at("batch_norm")?;
        }
        let y = x.f_batch_norm(weight, bias, mean, variance, training, self.momentum, self.eps, true);
        y.on("batch_norm", &[x])
    }
}

impl GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let name = if self.groups == self.channels { "instance_norm" } else { "group_norm" };
        expect(name, x, None, 1, self.channels, "channel")?;
        let y = x.f_group_norm(self.groups, tensor(&self.weight), tensor(&self.bias), self.eps, true);
        y.on(name, &[x])
    }
}

impl LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (tensor(&self.weight), tensor(&self.bias));
        x.f_layer_norm(self.shape.as_slice(), weight, bias, self.eps, true).on("layer_norm", &[x])
    }
}

impl Activation {
    fn forward(self, x: &Tensor) -> Result<Tensor> {
        let y = match self {
            Self::Relu => x.f_relu(),
            Self::LeakyRelu => x.f_leaky_relu(),
            Self::Gelu => x.f_gelu("none"),
            Self::Tanh => x.f_tanh(),
            Self::Sigmoid => x.f_sigmoid(),
            Self::Silu => x.f_silu(),
            Self::Elu => x.f_elu(),
            Self::Softplus => x.f_softplus(),
        };
        y.at(self.name())
    }

    /// The constructor's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu => "leaky_relu",
            Self::Gelu => "gelu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Silu => "silu",
            Self::Elu => "elu",
            Self::Softplus => "softplus",
        }
    }
}

impl Residual {
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut y = run(&self.body, x.shallow_clone(), pass)?;
        let around = match &self.shortcut {
            Some(child) => child.layer.forward(x, pass)?,
            None => x.shallow_clone(),
        };
        let last = self.body.last().is_some_and(|child| child.layer.forgets_output());
        let sum = if last && pass.capture.is_none() { y.f_add_(&around) } else { y.f_add(&around) };
        let mut sum = sum.on("residual", &[&y, &around])?;
        if self.relu { sum.f_relu_().at("relu") } else { Ok(sum) }
    }
}

/// Runs children one after the other; a ReLU overwrites what the layer before it made and does not need.
pub fn run(children: &[Child], input: Tensor, pass: &Pass) -> Result<Tensor> {
    let mut x = input;
    let mut owned = false;
    for child in children {
        let relu = matches!(*child.layer, Layer::Activation(Activation::Relu));
        x = if relu && owned { x.f_relu_().at("relu")? } else { child.layer.forward(&x, pass)? };
        owned = pass.capture.is_none() && child.layer.forgets_output();
    }
    Ok(x)
}

/// Named layers and what a script does with them.
#[derive(Clone)]
pub struct Scripted {
    pub children: Vec<Child>,
    pub forward: Callback,
    pub embed: Option<Callback>,
    /// The layer as the value that the closures are given.
    pub module: fn(Rc<Layer>, &Pass) -> Dynamic,
}

impl Scripted {
    /// Calls the closure with the module, so that a copy computes with its own layers, and the input.
    pub fn forward(&self, layer: &Rc<Layer>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.call("network", &self.forward, layer, x, pass)
    }

    /// Calls the closure that computes the embedding.
    pub fn embed(&self, layer: &Rc<Layer>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let missing = || {
            Error::new("embed", "this network does not say how its embedding is computed")
                .hint("give a second closure: network(#{ .. }, |m, x| .., |m, x| ..)")
        };
        self.call("embed", self.embed.as_ref().ok_or_else(missing)?, layer, x, pass)
    }

    fn call(&self, operation: &str, closure: &Callback, layer: &Rc<Layer>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let module = (self.module)(layer.clone(), pass);
        let input = tensor::Tensor::from(x.shallow_clone());
        let output = closure.call(vec![module, Dynamic::from(input)])?;
        match output.clone().try_cast::<tensor::Tensor>() {
            Some(output) => Ok(output.shallow_clone()),
            None => Err(Error::new(
                operation,
                format!("the closure must return a tensor, got {}", options::describe(&output)),
            )),
        }
    }
}

impl Layer {
    /// The layer's output for `x`.
    ///
    /// # Errors
    /// Inputs that do not fit, named after the first layer they do not fit; whatever torch or a closure raises.
    pub fn forward(self: &Rc<Self>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = self.compute(x, pass)?;
        if let Some(capture) = pass.capture.filter(|_| !self.own().is_empty()) {
            let (input, output) = (x.shallow_clone(), y.shallow_clone());
            capture.borrow_mut().push(Captured { layer: self.clone(), input, output });
        }
        Ok(y)
    }

    fn compute(self: &Rc<Self>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        match &**self {
            Self::Conv2d(layer) => layer.forward(x),
            Self::Linear(layer) => layer.forward(x),
            Self::BatchNorm(layer) => layer.forward(x, pass.training),
            Self::GroupNorm(layer) => layer.forward(x),
            Self::LayerNorm(layer) => layer.forward(x),
            Self::Activation(activation) => activation.forward(x),
            Self::AvgPool { kernel: 2, stride: 2, padding: 0 } => match super::avg_pool_2x2::halved(x)? {
                Some(y) => Ok(y),
                None => x.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None).on("avg_pool2d", &[x]),
            },
            Self::AvgPool { kernel: k, stride: s, padding: p } => {
                x.f_avg_pool2d([*k, *k], [*s, *s], [*p, *p], false, true, None).on("avg_pool2d", &[x])
            }
            Self::MaxPool { kernel: k, stride: s, padding: p } => {
                x.f_max_pool2d([*k, *k], [*s, *s], [*p, *p], [1, 1], false).on("max_pool2d", &[x])
            }
            Self::AdaptiveAvgPool(side) => x.f_adaptive_avg_pool2d([*side, *side]).on("adaptive_avg_pool2d", &[x]),
            Self::Flatten => x.f_flatten(1, -1).on("flatten", &[x]),
            Self::Dropout { rate, stream } if pass.training => {
                // Torch draws the mask, from a seed that our stream gives.
                tch::manual_seed((stream.borrow_mut().bits() >> 1) as i64);
                x.f_dropout(*rate, true).at("dropout")
            }
            Self::Dropout { .. } | Self::Identity => Ok(x.shallow_clone()),
            Self::Sequential(children) => run(children, x.shallow_clone(), pass),
            Self::Residual(layer) => layer.forward(x, pass),
            Self::Scripted(layer) => layer.forward(self, x, pass),
        }
    }

    /// The output and the input of the last linear layer.
    pub fn forward_with_embedding(self: &Rc<Self>, x: &Tensor, pass: &Pass) -> Result<(Tensor, Tensor)> {
        match &**self {
            Self::Linear(_) => Ok((x.shallow_clone(), self.forward(x, pass)?)),
            Self::Sequential(children) => match children.split_last() {
                Some((last, before)) => {
                    let inner = run(before, x.shallow_clone(), pass)?;
                    last.layer.forward_with_embedding(&inner, pass)
                }
                None => Err(no_embedding()),
            },
            Self::Scripted(layer) => Ok((layer.embed(self, x, pass)?, self.forward(x, pass)?)),
            _ => Err(no_embedding()),
        }
    }

    /// The input of the last linear layer, which is not computed.
    pub fn embed(self: &Rc<Self>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        match &**self {
            Self::Linear(_) => Ok(x.shallow_clone()),
            Self::Sequential(children) => match children.split_last() {
                Some((last, before)) => last.layer.embed(&run(before, x.shallow_clone(), pass)?, pass),
                None => Err(no_embedding()),
            },
            Self::Scripted(layer) => layer.embed(self, x, pass),
            _ => Err(no_embedding()),
        }
    }

    /// Whether autograd has no use for this layer's output, so that it may be overwritten.
    fn forgets_output(&self) -> bool {
        matches!(self, Self::Conv2d(_) | Self::Linear(_) | Self::BatchNorm(_) | Self::GroupNorm(_) | Self::LayerNorm(_))
    }
}

fn no_embedding() -> Error {
    Error::new("embed", "this network does not end in a linear layer, so it has no embedding")
        .hint("end it in nn::linear, or give network(..) a second closure that computes the embedding")
}
