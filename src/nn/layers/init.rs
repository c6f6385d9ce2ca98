//! First values: PyTorch's default initialisation of a network or of some of its layers, and making the first values again.

use crate::nn::layer_lookup::joined;
use crate::nn::layers::layer::{Conv2d, Layer, Linear};
use crate::nn::net::Net;
use crate::nn::parameter::{Origin, Parameter};
use crate::runtime::{At, Error, Result, Stream};
use tch::Tensor;

impl Net {
    /// Initialises all parameters and buffers anew, in place.
    ///
    /// # Errors
    /// Those of torch.
    pub fn reset(&self, stream: &mut Stream) -> Result<()> {
        self.root().initialise(stream)
    }

    /// Initialises the layers whose names begin with `prefix` anew, in place and in order, the empty prefix meaning all;
    /// says how many layers with parameters these were.
    ///
    /// # Errors
    /// When no layer has such a name.
    pub fn reset_layers(&self, prefix: &str, stream: &mut Stream) -> Result<usize> {
        let layers = self.root().layers();
        let chosen = |name: &str| prefix.is_empty() || name == prefix || name.starts_with(&format!("{prefix}."));
        let found: Vec<_> = layers.iter().filter(|(name, _)| chosen(name)).collect();
        if found.is_empty() {
            let names: Vec<&str> = layers.iter().map(|(name, _)| name.as_str()).collect();
            let error = Error::new("reset", format!("no layer's name begins with {prefix:?}")).word(prefix);
            return Err(error.note(format!("layers with parameters: {}", names.join(", "))));
        }
        found.iter().try_for_each(|(_, layer)| layer.initialise(stream))?;
        Ok(found.len())
    }

    /// The same architecture with the values the parameters had when they were last initialised, bit for bit, and with new
    /// buffers. Training, `copy` and restoring weights inside the program leave the memory of them alone.
    ///
    /// # Errors
    /// The first parameter whose first values are not known: its values were loaded.
    pub fn initial(&self) -> Result<Self> {
        let net = self.copy()?;
        for (name, layer) in net.root().layers() {
            layer.recall(&name)?;
        }
        Ok(net)
    }

    /// Forgets where the first values came from: the values are another network's now.
    pub fn forget_origin(&self) {
        self.trained().iter().for_each(|parameter| parameter.set_origin(None));
    }
}

impl Layer {
    /// PyTorch's default initialisation, drawn on the host: convolutions and linear layers U(-1/sqrt(fan_in),
    /// 1/sqrt(fan_in)) for weight and bias, normalisations 1 and 0, running statistics 0 and 1.
    pub fn initialise(&self, stream: &mut Stream) -> Result<()> {
        match self {
            Self::Conv2d(Conv2d { weight, bias, .. }) | Self::Linear(Linear { weight, bias }) => {
                let bound = bound(weight);
                for parameter in std::iter::once(weight).chain(bias) {
                    let origin = Origin::Drawn(stream.clone());
                    draw(parameter, bound, stream)?;
                    parameter.set_origin(Some(origin));
                }
            }
            _ => self.fill()?,
        }
        self.children().iter().try_for_each(|child| child.layer.initialise(stream))
    }

    /// The first values of this layer again; its children are left alone.
    fn recall(&self, name: &str) -> Result<()> {
        let (Self::Conv2d(Conv2d { weight, bias, .. }) | Self::Linear(Linear { weight, bias })) = self else {
            return self.fill();
        };
        for (part, parameter) in std::iter::once(("weight", weight)).chain(bias.iter().map(|b| ("bias", b))) {
            let Some(Origin::Drawn(mut stream)) = parameter.origin() else {
                let given = format!("the first values of `{}` are not known: they were loaded", joined(name, part));
                return Err(Error::new("initial", given)
                    .hint("the networks that convnet(..), original(..) and the like make remember theirs"));
            };
            draw(parameter, bound(weight), &mut stream)?;
        }
        Ok(())
    }

    /// Normalisations and statistics: the same number everywhere.
    fn fill(&self) -> Result<()> {
        for (name, parameter, _) in self.own() {
            let value = if matches!(name, "weight" | "running_var") { 1.0 } else { 0.0 };
            let _guard = tch::no_grad_guard();
            let _ = parameter.handle().f_fill_(value).at("initialise")?;
            parameter.set_origin(Some(Origin::Constant));
        }
        Ok(())
    }
}

/// The largest first value of a convolution or linear layer.
fn bound(weight: &Parameter) -> f64 {
    let fan_in: i64 = weight.get().size().iter().skip(1).product();
    1.0 / (fan_in.max(1) as f64).sqrt()
}

fn draw(parameter: &Parameter, bound: f64, stream: &mut Stream) -> Result<()> {
    let values = stream.uniforms(parameter.count() as usize, -bound, bound);
    let values = Tensor::f_from_slice(&values).at("initialise")?;
    parameter.assign(&values.f_reshape(parameter.get().size().as_slice()).at("initialise")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::{ConvNetOptions, Norm, convnet};
    use crate::nn::{Optimizer, SgdOptions, Shape};
    use tch::{Device, Kind};

    fn net(seed: u64) -> Net {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let options = ConvNetOptions { width: 4, norm: Norm::Batch, ..ConvNetOptions::default() };
        convnet(shape, 3, &options, &mut Stream::new(seed, "init"), Device::Cpu).unwrap()
    }

    fn step(net: &Net) {
        let optimizer = Optimizer::sgd(net, &SgdOptions::default()).unwrap();
        let x = Tensor::from_slice(&Stream::new(7, "x").normals(4 * 64)).view([4, 1, 8, 8]);
        optimizer.minimize(&net.forward(&x).unwrap().square().sum(Kind::Float)).unwrap();
    }

    #[test]
    fn first_values_come_back_bit_for_bit_after_training_copying_and_restoring() {
        let first = net(3);
        let (trained, hash) = (first.copy().unwrap(), first.weights_hash().unwrap());
        step(&trained);
        assert_ne!(trained.weights_hash().unwrap(), hash);
        let snapshot = trained.copy().unwrap();
        trained.load_state(&snapshot.state()).unwrap();
        assert_eq!(trained.initial().unwrap().weights_hash().unwrap(), hash);
        let other = net(4);
        trained.reset(&mut Stream::new(4, "init")).unwrap();
        assert_eq!(trained.initial().unwrap().weights_hash().unwrap(), other.weights_hash().unwrap());
    }

    #[test]
    fn forgotten_first_values_are_named() {
        let net = net(0);
        net.forget_origin();
        let error = net.initial().unwrap_err().to_string();
        assert_eq!(error, "initial: the first values of `features.0.weight` are not known: they were loaded");
    }

    #[test]
    fn some_layers_are_initialised_anew_and_the_others_stay() {
        let net = net(1);
        step(&net);
        let before = net.copy().unwrap();
        assert_eq!(net.reset_layers("features.8", &mut Stream::new(2, "init")).unwrap(), 1);
        for ((name, now), (_, then)) in net.state().iter().zip(before.state()) {
            assert_eq!(now.equal(&then), !name.starts_with("features.8."), "{name}");
        }
        assert_eq!(net.reset_layers("features", &mut Stream::new(2, "init")).unwrap(), 6);
        let again = net.initial().unwrap();
        assert!(again.parameters()[0].1.equal(&net.parameters()[0].1));
        let error = net.reset_layers("feat", &mut Stream::new(2, "init")).unwrap_err().to_string();
        assert_eq!(error, "reset: no layer's name begins with \"feat\"");
    }
}
