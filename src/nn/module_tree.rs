//! Walking the tree of layers: parameters by name, copies, properties.

use crate::nn::layers::layer::{
    BatchNorm, Child, Conv2d, GroupNorm, Layer, LayerNorm, Linear, Maybe, Residual, Scripted,
};
use crate::nn::parameter::Parameter;
use crate::runtime::{Callback, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A tensor of the tree with its full name.
pub struct Named {
    pub name: String,
    pub parameter: Rc<Parameter>,
    /// A buffer is saved with the network and never trained.
    pub buffer: bool,
}

/// Makes copies of parameters, keeping shared ones shared.
#[derive(Default)]
struct Copier(HashMap<*const Parameter, Rc<Parameter>>);

impl Copier {
    fn parameter(&mut self, original: &Rc<Parameter>) -> Result<Rc<Parameter>> {
        if let Some(copy) = self.0.get(&Rc::as_ptr(original)) {
            return Ok(copy.clone());
        }
        let copy = original.duplicate()?;
        self.0.insert(Rc::as_ptr(original), copy.clone());
        Ok(copy)
    }

    fn maybe(&mut self, original: &Maybe) -> Result<Maybe> {
        original.as_ref().map(|p| self.parameter(p)).transpose()
    }

    fn child(&mut self, child: &Child) -> Result<Child> {
        Ok(Child { name: child.name.clone(), layer: self.layer(&child.layer)? })
    }

    fn children(&mut self, children: &[Child]) -> Result<Vec<Child>> {
        children.iter().map(|child| self.child(child)).collect()
    }

    fn layer(&mut self, layer: &Rc<Layer>) -> Result<Rc<Layer>> {
        Ok(Rc::new(match &**layer {
            Layer::Conv2d(l) => {
                let (weight, bias) = (self.parameter(&l.weight)?, self.maybe(&l.bias)?);
                Layer::Conv2d(Conv2d { weight, bias, ..*l })
            }
            Layer::Linear(l) => {
                Layer::Linear(Linear { weight: self.parameter(&l.weight)?, bias: self.maybe(&l.bias)? })
            }
            Layer::BatchNorm(l) => Layer::BatchNorm(BatchNorm {
                weight: self.maybe(&l.weight)?,
                bias: self.maybe(&l.bias)?,
                mean: self.parameter(&l.mean)?,
                variance: self.parameter(&l.variance)?,
                batches: self.parameter(&l.batches)?,
                ..*l
            }),
            Layer::GroupNorm(l) => {
                let (weight, bias) = (self.maybe(&l.weight)?, self.maybe(&l.bias)?);
                Layer::GroupNorm(GroupNorm { weight, bias, ..*l })
            }
            Layer::LayerNorm(l) => {
                let (weight, bias) = (self.maybe(&l.weight)?, self.maybe(&l.bias)?);
                Layer::LayerNorm(LayerNorm { weight, bias, shape: l.shape.clone(), eps: l.eps })
            }
            Layer::Dropout { rate, stream } => {
                Layer::Dropout { rate: *rate, stream: RefCell::new(stream.borrow().clone()) }
            }
            Layer::Sequential(children) => Layer::Sequential(self.children(children)?),
            Layer::Residual(l) => {
                let body = self.children(&l.body)?;
                let shortcut = l.shortcut.as_ref().map(|c| self.child(c)).transpose()?;
                Layer::Residual(Residual { body, shortcut, relu: l.relu })
            }
            Layer::Scripted(l) => {
                let children = self.children(&l.children)?;
                Layer::Scripted(Box::new(Scripted {
                    children,
                    forward: l.forward.clone(),
                    embed: l.embed.clone(),
                    module: l.module,
                }))
            }
            Layer::Activation(_)
            | Layer::AvgPool { .. }
            | Layer::MaxPool { .. }
            | Layer::AdaptiveAvgPool(_)
            | Layer::Flatten
            | Layer::Identity => return Ok(layer.clone()),
        }))
    }
}

/// The batch norm's and every other layer's own tensors: parameters first, then buffers, as in PyTorch.
type Own<'a> = Vec<(&'static str, &'a Rc<Parameter>, bool)>;

impl Layer {
    /// A tree of its own with equal values.
    pub fn duplicate(self: &Rc<Self>) -> Result<Rc<Self>> {
        Copier::default().layer(self)
    }

    /// The tensors of this layer itself, children left out: name, parameter, whether it is a buffer.
    pub fn own(&self) -> Own<'_> {
        let mut found: Own = vec![];
        match self {
            Self::Conv2d(Conv2d { weight, bias, .. }) | Self::Linear(Linear { weight, bias }) => {
                found.push(("weight", weight, false));
                found.extend(bias.iter().map(|b| ("bias", b, false)));
            }
            Self::GroupNorm(GroupNorm { weight, bias, .. }) | Self::LayerNorm(LayerNorm { weight, bias, .. }) => {
                found.extend(weight.iter().map(|w| ("weight", w, false)));
                found.extend(bias.iter().map(|b| ("bias", b, false)));
            }
            Self::BatchNorm(l) => {
                found.extend(l.weight.iter().map(|w| ("weight", w, false)));
                found.extend(l.bias.iter().map(|b| ("bias", b, false)));
                found.push(("running_mean", &l.mean, true));
                found.push(("running_var", &l.variance, true));
                found.push(("num_batches_tracked", &l.batches, true));
            }
            _ => {}
        }
        found
    }

    /// The layers inside this one.
    pub fn children(&self) -> Vec<&Child> {
        match self {
            Self::Sequential(children) => children.iter().collect(),
            Self::Residual(l) => l.body.iter().chain(&l.shortcut).collect(),
            Self::Scripted(l) => l.children.iter().collect(),
            _ => vec![],
        }
    }

    /// The closures that compute layers of a script's own making, in the order of the tree.
    pub fn closures(&self) -> Vec<Callback> {
        let mut found = vec![];
        if let Self::Scripted(layer) = self {
            found.extend(std::iter::once(&layer.forward).chain(&layer.embed).cloned());
        }
        found.extend(self.children().iter().flat_map(|child| child.layer.closures()));
        found
    }

    /// Every tensor of the tree, in PyTorch's order of definition, shared ones once.
    pub fn tensors(&self) -> Vec<Named> {
        let mut found: Vec<Named> = vec![];
        self.collect("", &mut found);
        let mut seen = std::collections::HashSet::new();
        found.retain(|named| seen.insert(Rc::as_ptr(&named.parameter)));
        found
    }

    fn collect(&self, prefix: &str, found: &mut Vec<Named>) {
        let join = |name: &str| if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
        for (name, parameter, buffer) in self.own() {
            found.push(Named { name: join(name), parameter: parameter.clone(), buffer });
        }
        for child in self.children() {
            child.layer.collect(&join(&child.name), found);
        }
    }

    /// Whether outputs depend on each sample alone, in the given mode.
    pub fn per_sample(&self, training: bool) -> bool {
        match self {
            Self::BatchNorm(_) | Self::Dropout { .. } => !training,
            Self::Scripted(_) => false,
            _ => self.children().iter().all(|child| child.layer.per_sample(training)),
        }
    }

    /// The side of a convolution's kernel; 1 for other layers.
    pub fn kernel(&self) -> i64 {
        match self {
            Self::Conv2d(layer) => layer.weight.get().size().get(2).copied().unwrap_or(1),
            _ => 1,
        }
    }

    /// Whether there is a convolution somewhere.
    pub fn convolves(&self) -> bool {
        matches!(self, Self::Conv2d(_)) || self.children().iter().any(|child| child.layer.convolves())
    }

    /// The outputs of the last linear layer, if the network ends in one.
    pub fn classes(&self) -> Option<i64> {
        match self {
            Self::Linear(l) => l.weight.get().size().first().copied(),
            Self::Sequential(children) => children.last().and_then(|child| child.layer.classes()),
            _ => None,
        }
    }
}
