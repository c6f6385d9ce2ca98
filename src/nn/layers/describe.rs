//! Layers in words: what is printed, and the one-line form that cache keys use.

use crate::nn::layers::layer::{Child, Layer};
use crate::nn::net::{Net, grouped};
use crate::tensor::kind_name;

fn list(children: &[Child]) -> String {
    let parts = children.iter().enumerate().map(|(i, child)| {
        if child.name.is_empty() || child.name == i.to_string() {
            child.layer.describe()
        } else {
            format!("{}={}", child.name, child.layer.describe())
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

fn size(layer: &Layer) -> Vec<i64> {
    layer.own().first().map(|(_, parameter, _)| parameter.get().size()).unwrap_or_default()
}

impl Net {
    /// A line for each parameter and buffer, in the order of the layers: name, shape, number of elements, and whether it is a
    /// buffer or frozen.
    pub fn listing(&self) -> String {
        let trained: Vec<String> = self.parameters().into_iter().map(|(name, _)| name).collect();
        let rows: Vec<[String; 4]> = self
            .state()
            .into_iter()
            .map(|(name, tensor)| {
                let kind = match tensor.f_kind() {
                    Ok(tch::Kind::Float) | Err(_) => String::new(),
                    Ok(kind) => format!(" {}", kind_name(kind)),
                };
                let remark = match (trained.contains(&name), tensor.requires_grad()) {
                    (false, _) => "buffer",
                    (true, false) => "frozen",
                    (true, true) => "",
                };
                let shape = format!("{:?}{kind}", tensor.size());
                [name, shape, grouped(tensor.numel() as i64), remark.into()]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (name, shape, count) = (width(0), width(1), width(2));
        let line = |[n, s, c, r]: &[String; 4]| {
            format!("\n  {n:<name$}  {s:<shape$}  {c:>count$}  {r}").trim_end().to_string()
        };
        self.to_string() + rows.iter().map(line).collect::<String>().as_str()
    }
}

impl Layer {
    /// The kind of layer, as printing shows it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "Conv2d",
            Self::Linear(_) => "Linear",
            Self::BatchNorm(_) => "BatchNorm",
            Self::GroupNorm(l) if l.groups == l.channels => "InstanceNorm",
            Self::GroupNorm(_) => "GroupNorm",
            Self::LayerNorm(_) => "LayerNorm",
            Self::Activation(_) => "Activation",
            Self::AvgPool { .. } => "AvgPool",
            Self::MaxPool { .. } => "MaxPool",
            Self::AdaptiveAvgPool(_) => "AdaptiveAvgPool",
            Self::Flatten => "Flatten",
            Self::Dropout { .. } => "Dropout",
            Self::Identity => "Identity",
            Self::Sequential(_) => "Sequential",
            Self::Residual(_) => "Residual",
            Self::Scripted(_) => "Network",
        }
    }

    /// Everything that decides what the layer computes, values of parameters aside.
    pub fn describe(&self) -> String {
        match self {
            Self::Conv2d(l) => {
                let (s, p, d, g) = (l.stride, l.padding, l.dilation, l.groups);
                format!(
                    "conv2d({:?},stride={s},padding={p},dilation={d},groups={g},bias={})",
                    size(self),
                    l.bias.is_some()
                )
            }
            Self::Linear(l) => format!("linear({:?},bias={})", size(self), l.bias.is_some()),
            Self::BatchNorm(l) => {
                format!(
                    "batch_norm({},momentum={},eps={},affine={})",
                    l.mean.count(),
                    l.momentum,
                    l.eps,
                    l.weight.is_some()
                )
            }
            Self::GroupNorm(l) => {
                format!("group_norm({},{},eps={},affine={})", l.groups, l.channels, l.eps, l.weight.is_some())
            }
            Self::LayerNorm(l) => format!("layer_norm({:?},eps={},affine={})", l.shape, l.eps, l.weight.is_some()),
            Self::Activation(activation) => activation.name().into(),
            Self::AvgPool { kernel, stride, padding } => format!("avg_pool({kernel},{stride},{padding})"),
            Self::MaxPool { kernel, stride, padding } => format!("max_pool({kernel},{stride},{padding})"),
            Self::AdaptiveAvgPool(side) => format!("adaptive_avg_pool({side})"),
            Self::Flatten => "flatten".into(),
            Self::Dropout { rate, .. } => format!("dropout({rate})"),
            Self::Identity => "identity".into(),
            Self::Sequential(children) => format!("sequential({})", list(children)),
            Self::Residual(l) => {
                let around = l.shortcut.as_ref().map_or("identity".into(), |child| child.layer.describe());
                format!("residual({};{around};relu={})", list(&l.body), l.relu)
            }
            Self::Scripted(l) => format!("network({};{})", list(&l.children), l.forward.name()),
        }
    }
}
