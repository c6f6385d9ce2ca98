//! Gradients of each sample by itself, for a whole batch at once.
//!
//! One forward pass keeps what each layer saw and gave, one backward pass gives the gradients of the outputs; a layer's
//! per-sample gradient then follows from its input and its output's gradient: unfold and a batched product for
//! convolutions, outer products for linear layers, reductions for normalisations. Exact where samples do not influence
//! each other.

use super::layer::{BatchNorm, Captured, Conv2d, GroupNorm, Layer, LayerNorm, Pass};
use super::net::Net;
use super::parameter::Parameter;
use crate::runtime::{At, Error, Result, interrupt};
use crate::tensor::autograd::run_backward;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use tch::{Kind, Tensor};

/// Largest memory of one chunk's gradients, in elements.
const ELEMENTS: i64 = 1 << 26;

/// Largest number of samples in one chunk.
const SAMPLES: i64 = 64;

type Torch<T> = std::result::Result<T, tch::TchError>;
type Gradients = HashMap<*const Parameter, Tensor>;

impl Net {
    /// Gradients of `sum_c g[i, c] * logits[i, c]` for each sample i, where `g` is a loss' gradient with respect to the
    /// logits [n, classes]. `visit` gets, chunk after chunk of the batch, one tensor [m, *parameter] for each of
    /// `trainable()`, in that order. Modules whose samples may influence each other go through one sample at a time.
    ///
    /// # Errors
    /// Shapes that do not fit; those of `visit`; an interrupt.
    pub fn per_sample_gradients(
        &self,
        x: &Tensor,
        g: &Tensor,
        mut visit: impl FnMut(&[Tensor]) -> Result<()>,
    ) -> Result<()> {
        let n = x.size().first().copied().unwrap_or(0);
        if g.size().first() != Some(&n) {
            let given = format!("{n} inputs need {n} rows of logit gradients, got shape {:?}", g.size());
            return Err(Error::new("per_sample_gradients", given));
        }
        let wanted: Vec<Rc<Parameter>> = self.trained().into_iter().filter(|p| p.get().requires_grad()).collect();
        let size = wanted.iter().map(|p| p.count()).sum::<i64>().max(1);
        let batched = self.is_per_sample();
        let step = if batched { (ELEMENTS / size).clamp(1, SAMPLES) } else { 1 };
        let mut start = 0;
        while start < n {
            interrupt::check()?;
            let length = step.min(n - start);
            let part = |t: &Tensor| t.f_narrow(0, start, length).at("per_sample_gradients");
            let (x, g) = (part(x)?, part(g)?);
            let gradients = if batched { self.together(&wanted, &x, &g)? } else { self.alone(&wanted, &x, &g)? };
            visit(&gradients)?;
            start += length;
        }
        Ok(())
    }

    /// The gradients of one sample, by autograd.
    fn alone(&self, wanted: &[Rc<Parameter>], x: &Tensor, g: &Tensor) -> Result<Vec<Tensor>> {
        let inputs: Vec<Tensor> = wanted.iter().map(|p| p.handle()).collect();
        let compute = || {
            let weighted = self.forward(x)?;
            let total = weighted.f_mul(g).and_then(|w| w.f_sum(None::<Kind>)).at("per_sample_gradients")?;
            run_backward("per_sample_gradients", &total, &inputs)
        };
        let gradients = tch::with_grad(compute)?;
        let shaped = gradients.into_iter().zip(&inputs).map(|(gradient, parameter)| {
            let gradient = if gradient.defined() { gradient } else { parameter.f_zeros_like()? };
            gradient.f_unsqueeze(0)
        });
        shaped.collect::<Torch<_>>().at("per_sample_gradients")
    }

    /// The gradients of all samples, from the layers' inputs and the gradients of their outputs.
    fn together(&self, wanted: &[Rc<Parameter>], x: &Tensor, g: &Tensor) -> Result<Vec<Tensor>> {
        let (captured, gradients) = tch::with_grad(|| self.capture(x, g))?;
        let _guard = tch::no_grad_guard();
        let mut found = Gradients::new();
        for (captured, gradient) in captured.iter().zip(&gradients).filter(|(_, gradient)| gradient.defined()) {
            captured.gradients(gradient, &mut found).at("per_sample_gradients")?;
        }
        let n = x.size().first().copied().unwrap_or(0);
        let shaped = wanted.iter().map(|parameter| {
            let shape: Vec<i64> = std::iter::once(n).chain(parameter.get().size()).collect();
            match found.remove(&Rc::as_ptr(parameter)) {
                Some(gradient) => gradient.f_reshape(shape.as_slice()),
                None => parameter.get().f_new_zeros(shape.as_slice(), (parameter.get().f_kind()?, x.device())),
            }
        });
        shaped.collect::<Torch<_>>().at("per_sample_gradients")
    }

    fn capture(&self, x: &Tensor, g: &Tensor) -> Result<(Vec<Captured>, Vec<Tensor>)> {
        let kept = RefCell::new(vec![]);
        let pass = Pass { training: self.is_training(), mode: self.mode(), capture: Some(&kept) };
        // The input requires a gradient, so that the outputs of frozen layers do too.
        let x = x.f_detach().and_then(|x| x.f_set_requires_grad(true)).at("per_sample_gradients")?;
        let output = self.root().forward(&x, &pass)?;
        let total = output.f_mul(g).and_then(|w| w.f_sum(None::<Kind>)).on("per_sample_gradients", &[&output, g])?;
        let captured = kept.into_inner();
        let outputs: Vec<&Tensor> = captured.iter().map(|c| &c.output).collect();
        let gradients = Tensor::f_run_backward(&[total], &outputs, false, false).at("per_sample_gradients")?;
        Ok((captured, gradients))
    }
}

fn add(
    found: &mut Gradients,
    parameter: Option<&Rc<Parameter>>,
    gradient: impl FnOnce() -> Torch<Tensor>,
) -> Torch<()> {
    let Some(parameter) = parameter.filter(|p| p.get().requires_grad()) else { return Ok(()) };
    let gradient = gradient()?.f_reshape([-1, parameter.count()])?;
    let sum = match found.remove(&Rc::as_ptr(parameter)) {
        Some(before) => before.f_add(&gradient)?,
        None => gradient,
    };
    found.insert(Rc::as_ptr(parameter), sum);
    Ok(())
}

/// Sums everything but the dimensions of the sample and the channel.
fn by_channel(t: &Tensor) -> Torch<Tensor> {
    match t.dim() {
        2 => Ok(t.shallow_clone()),
        _ => t.f_flatten(2, -1)?.f_sum_dim_intlist([2_i64].as_slice(), false, None::<Kind>),
    }
}

/// A vector over channels, shaped to broadcast against `like`.
fn over_channels(v: &Tensor, like: &Tensor) -> Torch<Tensor> {
    let shape: Vec<i64> = (0..like.dim()).map(|d| if d == 1 { -1 } else { 1 }).collect();
    v.f_reshape(shape.as_slice())
}

impl Captured {
    /// Adds the per-sample gradients of the layer's parameters.
    fn gradients(&self, g: &Tensor, found: &mut Gradients) -> Torch<()> {
        let x = self.input.f_detach()?;
        match &*self.layer {
            Layer::Conv2d(layer) => {
                add(found, Some(&layer.weight), || layer.weight_gradients(&x, g))?;
                add(found, layer.bias.as_ref(), || by_channel(g))
            }
            Layer::Linear(layer) => {
                let n = x.size().first().copied().unwrap_or(0);
                let rows = |t: &Tensor| t.f_reshape([n, -1, t.size().last().copied().unwrap_or(1)]);
                let (x, g) = (rows(&x)?, rows(g)?);
                add(found, Some(&layer.weight), || g.f_transpose(1, 2)?.f_bmm(&x))?;
                add(found, layer.bias.as_ref(), || g.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>))
            }
            Layer::BatchNorm(layer) => {
                add(found, layer.weight.as_ref(), || by_channel(&layer.normalised(&x)?.f_mul(g)?))?;
                add(found, layer.bias.as_ref(), || by_channel(g))
            }
            Layer::GroupNorm(layer) => {
                add(found, layer.weight.as_ref(), || by_channel(&layer.normalised(&x)?.f_mul(g)?))?;
                add(found, layer.bias.as_ref(), || by_channel(g))
            }
            Layer::LayerNorm(layer) => {
                add(found, layer.weight.as_ref(), || layer.by_position(&layer.normalised(&x)?.f_mul(g)?))?;
                add(found, layer.bias.as_ref(), || layer.by_position(g))
            }
            _ => Ok(()),
        }
    }
}

impl Conv2d {
    /// [n, out, in / groups, k, k] from inputs and the outputs' gradients.
    fn weight_gradients(&self, x: &Tensor, g: &Tensor) -> Torch<Tensor> {
        let size = self.weight.get().size();
        let (n, k) = (x.size().first().copied().unwrap_or(0), size.get(2).copied().unwrap_or(1));
        let (s, p, d) = (self.stride, self.padding, self.dilation);
        let columns = x.f_im2col([k, k], [d, d], [p, p], [s, s])?;
        let positions = columns.size().last().copied().unwrap_or(0);
        // Groups become part of the batch.
        let columns = columns.f_reshape([n * self.groups, -1, positions])?;
        let g = g.f_reshape([n * self.groups, -1, positions])?;
        g.f_bmm(&columns.f_transpose(1, 2)?)
    }
}

impl BatchNorm {
    /// The input as running statistics normalise it: only asked for in evaluation mode.
    fn normalised(&self, x: &Tensor) -> Torch<Tensor> {
        let scale = self.variance.get().f_add_scalar(self.eps)?.f_rsqrt()?;
        x.f_sub(&over_channels(&self.mean.get(), x)?)?.f_mul(&over_channels(&scale, x)?)
    }
}

impl GroupNorm {
    fn normalised(&self, x: &Tensor) -> Torch<Tensor> {
        x.f_group_norm(self.groups, None::<Tensor>, None::<Tensor>, self.eps, true)
    }
}

impl LayerNorm {
    fn normalised(&self, x: &Tensor) -> Torch<Tensor> {
        x.f_layer_norm(self.shape.as_slice(), None::<Tensor>, None::<Tensor>, self.eps, true)
    }

    /// Sums the positions of each sample.
    fn by_position(&self, t: &Tensor) -> Torch<Tensor> {
        let count: i64 = self.shape.iter().product();
        let n = t.size().first().copied().unwrap_or(0);
        t.f_reshape([n, -1, count])?.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Shape;
    use crate::nn::layer::{Activation, Child};
    use crate::nn::make::Maker;
    use crate::nn::zoo::{ConvNetOptions, Norm, ResNetOptions, convnet, resnet18};
    use crate::runtime::Stream;
    use tch::Device;

    fn agree(net: &Net, x: &Tensor, classes: i64) {
        let n = x.size()[0];
        let g = Tensor::from_slice(&Stream::new(9, "g").normals((n * classes) as usize)).view([n, classes]);
        let wanted: Vec<_> = net.trained().into_iter().filter(|p| p.get().requires_grad()).collect();
        assert!(net.is_per_sample());
        let mut batched: Vec<Vec<Tensor>> = vec![];
        net.per_sample_gradients(x, &g, |gradients| {
            batched.push(gradients.iter().map(Tensor::copy).collect());
            Ok(())
        })
        .unwrap();
        let names: Vec<String> = net.trainable().into_iter().map(|(name, _)| name).collect();
        for i in 0..n {
            let one = net.alone(&wanted, &x.narrow(0, i, 1), &g.narrow(0, i, 1)).unwrap();
            for (j, gradient) in one.iter().enumerate() {
                let all = Tensor::cat(&batched.iter().map(|chunk| &chunk[j]).collect::<Vec<_>>(), 0);
                let difference = (all.narrow(0, i, 1) - gradient).abs().max().double_value(&[]);
                let scale = gradient.abs().max().double_value(&[]).max(1e-2);
                assert!(difference / scale < 1e-3, "{}: {difference} of {scale}", names[j]);
            }
        }
    }

    fn images(n: i64, shape: [i64; 3]) -> Tensor {
        let count = n * shape.iter().product::<i64>();
        Tensor::from_slice(&Stream::new(3, "x").normals(count as usize)).view([n, shape[0], shape[1], shape[2]])
    }

    #[test]
    fn batched_gradients_equal_those_of_one_sample_at_a_time() {
        let mut stream = Stream::new(0, "init");
        let small = Shape { channels: 2, height: 8, width: 8 };
        let options = ConvNetOptions { width: 6, ..ConvNetOptions::default() };
        let net = convnet(small, 4, &options, &mut stream, Device::Cpu).unwrap();
        agree(&net, &images(5, [2, 8, 8]), 4);
        net.freeze("features.0", true).unwrap();
        agree(&net, &images(3, [2, 8, 8]), 4);
        let large = Shape { channels: 3, height: 32, width: 32 };
        let options = ResNetOptions { width: 2, norm: Norm::Batch };
        let net = resnet18(large, 4, &options, &mut stream, Device::Cpu).unwrap();
        net.set_training(false);
        agree(&net, &images(3, [3, 32, 32]), 4);
    }

    #[test]
    fn groups_strides_dilation_layer_norm_and_shared_layers_count_too() {
        let maker = Maker::new(Device::Cpu);
        let conv = maker.conv(2, 6, 3, 2, 1, true).unwrap();
        let shared = Rc::new(Layer::Linear(maker.linear(6, 6, true).unwrap()));
        let layers = vec![
            Rc::new(Layer::Conv2d(Conv2d { groups: 2, dilation: 2, ..conv })),
            Rc::new(Layer::GroupNorm(maker.group_norm(3, 6, true).unwrap())),
            Rc::new(Layer::AdaptiveAvgPool(1)),
            Rc::new(Layer::Flatten),
            shared.clone(),
            Rc::new(Layer::LayerNorm(maker.layer_norm(vec![6], true).unwrap())),
            Rc::new(Layer::Activation(Activation::Tanh)),
            shared,
        ];
        let children = layers.into_iter().enumerate().map(|(i, layer)| Child { name: i.to_string(), layer });
        let net = Net::layer(Rc::new(Layer::Sequential(children.collect())));
        net.reset(&mut Stream::new(2, "init")).unwrap();
        agree(&net, &images(4, [4, 9, 9]), 6);
    }
}
