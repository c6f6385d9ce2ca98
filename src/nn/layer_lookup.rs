//! The layers of a network by name: all that have parameters, the last ones, the classifier, the convolutions.

use crate::nn::layers::layer::Layer;
use crate::nn::net::Net;
use crate::runtime::{Error, Result};
use std::rc::Rc;
use tch::Tensor;

impl Net {
    /// The names of the last `count` layers with weights and of the normalisations that belong to them, in order. A
    /// convolution in a shortcut belongs to the layer before it, a normalisation to the weights before it.
    ///
    /// # Errors
    /// When there are fewer layers.
    pub fn last_layers(&self, count: usize) -> Result<Vec<String>> {
        let mut groups: Vec<Vec<String>> = vec![];
        let mut waiting = vec![];
        self.root().group("", false, &mut groups, &mut waiting);
        if count > groups.len() {
            let given = format!("the network has {} layers with weights, {count} were asked for", groups.len());
            return Err(Error::new("last_layers", given));
        }
        Ok(groups.split_off(groups.len() - count).concat())
    }

    /// The name of the last linear layer and how many outputs it has; `None` for a network without one.
    pub fn last_linear(&self) -> Option<(String, i64)> {
        let layers = self.root().layers();
        let outputs = |layer: &Layer| match layer {
            Layer::Linear(linear) => linear.weight.get().size().first().copied(),
            _ => None,
        };
        layers.iter().rev().find_map(|(name, layer)| Some((name.clone(), outputs(layer)?)))
    }

    /// Names and weights of the convolutions, in order; shared ones once.
    pub fn convolution_weights(&self) -> Vec<(String, Tensor)> {
        let layers = self.root().layers();
        let convolution = |name: &str| {
            let owner = name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let is = |layer: &Rc<Layer>| matches!(**layer, Layer::Conv2d(_));
            name.ends_with("weight") && layers.iter().any(|(known, layer)| known == owner && is(layer))
        };
        self.parameters().into_iter().filter(|(name, _)| convolution(name)).collect()
    }
}

pub(super) fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") }
}

impl Layer {
    /// Every layer that has tensors of its own, by its full name (empty for a layer that is the whole network).
    pub(super) fn layers(self: &Rc<Self>) -> Vec<(String, Rc<Self>)> {
        let mut found = vec![];
        self.gather("", &mut found);
        found
    }

    fn gather(self: &Rc<Self>, name: &str, found: &mut Vec<(String, Rc<Self>)>) {
        if !self.own().is_empty() {
            found.push((name.to_string(), self.clone()));
        }
        for child in self.children() {
            child.layer.gather(&joined(name, &child.name), found);
        }
    }

    /// Groups each layer with weights with what belongs to it. Normalisations before any weights wait for the first.
    fn group(&self, name: &str, beside: bool, groups: &mut Vec<Vec<String>>, waiting: &mut Vec<String>) {
        let weights = matches!(self, Self::Conv2d(_) | Self::Linear(_));
        match groups.last_mut() {
            _ if self.own().is_empty() => {}
            Some(last) if beside || !weights => last.push(name.to_string()),
            _ if !weights => waiting.push(name.to_string()),
            _ => {
                waiting.push(name.to_string());
                groups.push(std::mem::take(waiting));
            }
        }
        if let Self::Residual(layer) = self {
            for child in &layer.body {
                child.layer.group(&joined(name, &child.name), beside, groups, waiting);
            }
            if let Some(child) = &layer.shortcut {
                child.layer.group(&joined(name, &child.name), true, groups, waiting);
            }
            return;
        }
        for child in self.children() {
            child.layer.group(&joined(name, &child.name), beside, groups, waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::zoo::{ConvNetOptions, Norm, ResNetOptions, convnet, resnet18};
    use crate::nn::{Net, Shape};
    use crate::runtime::Stream;
    use tch::Device;

    fn small() -> Net {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let options = ConvNetOptions { width: 4, norm: Norm::Batch, ..ConvNetOptions::default() };
        convnet(shape, 3, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap()
    }

    #[test]
    fn last_layers_take_their_normalisations_and_shortcuts_along() {
        assert_eq!(small().last_layers(2).unwrap(), ["features.8", "features.9", "classifier"]);
        let shape = Shape { channels: 3, height: 32, width: 32 };
        let options = ResNetOptions { width: 2, norm: Norm::Instance };
        let resnet = resnet18(shape, 4, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap();
        let expected = ["layer4.0.conv2", "layer4.0.bn2", "layer4.0.shortcut.0", "layer4.0.shortcut.1"];
        assert_eq!(resnet.last_layers(4).unwrap()[..4], expected);
        assert_eq!(resnet.last_layers(18).unwrap().len(), 41);
        let error = resnet.last_layers(19).unwrap_err().to_string();
        assert_eq!(error, "last_layers: the network has 18 layers with weights, 19 were asked for");
    }

    #[test]
    fn the_classifier_and_the_convolutions_are_found_by_what_they_are() {
        let net = small();
        assert_eq!(net.last_linear(), Some(("classifier".to_string(), 3)));
        let names: Vec<String> = net.convolution_weights().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["features.0.weight", "features.4.weight", "features.8.weight"]);
    }
}
