//! The tangent of a network's outputs: rows of the Jacobian for each sample of a batch by itself, in given directions.
//!
//! One forward pass keeps what each layer saw and gave, one backward pass a direction gives the gradients of the outputs; a
//! layer's rows then follow from its input and its output's gradients (`rows`), and sums of squares, inner products and the
//! like follow from those without the rows ever being there all at once. Exact where samples do not influence each other;
//! other networks go through one sample at a time.

use crate::nn::jacobian::layer_rows::{Seen, Share, Torch, size};
use crate::nn::layers::layer::{Captured, Pass};
use crate::nn::net::Net;
use crate::nn::parameter::Parameter;
use crate::runtime::{At, Error, Result, interrupt};
use crate::tensor::ops::autograd::run_backward;
use std::cell::RefCell;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

pub use crate::nn::jacobian::layer_rows::Amount;

/// Elements that totals should keep at a time: on the CPU few enough to stay near, elsewhere many.
const CACHED: i64 = 1 << 24;
const LARGE: i64 = 1 << 28;

/// Rows of a Jacobian: the gradients of `sum_c d[i, k, c] * logits[i, c]` for each sample i and direction k, in pieces.
pub struct Tangent {
    samples: i64,
    directions: i64,
    /// For each trainable parameter, in order: what the layers say about it.
    parts: Vec<(Rc<Parameter>, Vec<Share>)>,
}

impl Net {
    /// The tangent at inputs [n, ..]. `directions` gives, from the logits [n, classes], the directions [n, k, classes] in them.
    ///
    /// # Errors
    /// Shapes that do not fit; an output that does not depend on the parameters; an interrupt.
    pub fn tangent(&self, x: &Tensor, directions: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tangent> {
        interrupt::check()?;
        let (directions, shares) =
            if self.is_per_sample() { self.together(x, directions)? } else { self.apart(x, directions)? };
        Ok(Tangent::new(size(&directions, 0), size(&directions, 1), &self.wanted(), shares))
    }

    /// The parameters that rows are about, in order.
    fn wanted(&self) -> Vec<Rc<Parameter>> {
        self.trained().into_iter().filter(|p| p.get().requires_grad()).collect()
    }

    /// For each trainable parameter the sum over all samples and directions of an amount of each row: `tangent(..).totals(..)`
    /// with one direction after the other, so that memory does not grow with them.
    ///
    /// # Errors
    /// As `tangent`.
    pub fn tangent_totals(
        &self,
        x: &Tensor,
        amount: Amount,
        directions: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let mut sums: Vec<Tensor> = vec![];
        if !self.is_per_sample() {
            let directions = checked(directions, &tch::no_grad(|| self.forward(x))?)?;
            for i in 0..size(x, 0) {
                let one = |t: &Tensor| t.f_narrow(0, i, 1).at("tangent");
                add(&mut sums, self.tangent(&one(x)?, |_| one(&directions))?.totals(amount)?)?;
            }
            return Ok(sums);
        }
        let scene = tch::with_grad(|| self.capture(x, directions))?;
        let _guard = tch::no_grad_guard();
        let seen: Vec<Seen> = scene.captured.iter().map(Seen::new).collect::<Torch<_>>().at("tangent")?;
        let wanted = self.wanted();
        for j in 0..size(&scene.directions, 1) {
            interrupt::check()?;
            let gradients = scene.gradients(j, 1)?;
            let mut shares = vec![];
            for (seen, gradients) in seen.iter().zip(gradients).filter(|(_, gradients)| gradients.defined()) {
                shares.extend(seen.shares(&gradients).at("tangent")?);
            }
            add(&mut sums, Tangent::new(size(x, 0), 1, &wanted, shares).totals(amount)?)?;
        }
        Ok(sums)
    }

    /// How many samples, of at most `batch`, `tangent_totals` should be given at a time. `x` is one of them.
    ///
    /// # Errors
    /// Those of the forward pass.
    pub fn tangent_batch(&self, x: &Tensor, batch: usize) -> Result<usize> {
        let limit = if x.device() == Device::Cpu { CACHED } else { LARGE };
        let fits = (limit / self.tangent_size(x, 1)?).max(1) as usize;
        // A power of two, so that few batches are of another size: each size makes the convolutions prepare anew.
        Ok(batch.clamp(1, 1 << fits.ilog2()))
    }

    /// Elements that a tangent keeps for each sample: `k` gradients of what the layers give, and the largest unfolded input.
    ///
    /// # Errors
    /// Those of the forward pass.
    pub fn tangent_size(&self, x: &Tensor, k: i64) -> Result<i64> {
        if !self.is_per_sample() {
            return Ok(k * self.count());
        }
        let kept = RefCell::new(vec![]);
        let pass = Pass { training: self.is_training(), mode: self.mode(), capture: Some(&kept) };
        let one = x.f_narrow(0, 0, size(x, 0).min(1)).at("tangent")?;
        let _ = tch::no_grad(|| self.root().forward(&one, &pass))?;
        let captured = kept.into_inner();
        let outputs: i64 = captured.iter().map(|c| c.output.numel() as i64).sum();
        let unfolded = captured.iter().map(|c| c.input.numel() as i64 * c.layer.kernel().pow(2)).max();
        Ok(((k + 2) * outputs + unfolded.unwrap_or(0)).max(1))
    }

    /// The rows of one sample at a time, by autograd.
    fn apart(&self, x: &Tensor, directions: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<(Tensor, Vec<Share>)> {
        let directions = checked(directions, &tch::no_grad(|| self.forward(x))?)?;
        let wanted = self.wanted();
        let inputs: Vec<Tensor> = wanted.iter().map(|p| p.handle()).collect();
        let (n, k) = (size(&directions, 0), size(&directions, 1));
        let mut rows: Vec<Vec<Tensor>> = inputs.iter().map(|_| vec![]).collect();
        for i in 0..n {
            interrupt::check()?;
            for j in 0..k {
                let one = |t: &Tensor| t.f_narrow(0, i, 1).at("tangent");
                let (x, d) = (one(x)?, one(&directions)?.f_select(1, j).at("tangent")?);
                let gradients = tch::with_grad(|| run_backward("tangent", &self.weighted(&x, &d)?, &inputs))?;
                for ((rows, gradient), parameter) in rows.iter_mut().zip(gradients).zip(&inputs) {
                    let defined = gradient.defined();
                    let row = if defined { Ok(gradient) } else { parameter.f_detach().and_then(|p| p.f_zeros_like()) };
                    rows.push(row.and_then(|row| row.f_reshape([-1])).at("tangent")?);
                }
            }
        }
        let shared = wanted.iter().zip(rows).map(|(parameter, rows)| {
            let count = parameter.count();
            Share::plain(parameter, &Tensor::f_stack(&rows, 0)?.f_view([n, k, count])?)
        });
        Ok((directions, shared.collect::<Torch<_>>().at("tangent")?))
    }

    /// `sum d * logits`.
    fn weighted(&self, x: &Tensor, d: &Tensor) -> Result<Tensor> {
        let output = self.forward(x)?;
        output.f_mul(d).and_then(|w| w.f_sum(None::<Kind>)).on("tangent", &[&output, d])
    }

    /// The rows of all samples, from the layers' inputs and the gradients of their outputs.
    fn together(&self, x: &Tensor, directions: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<(Tensor, Vec<Share>)> {
        let scene = tch::with_grad(|| self.capture(x, directions))?;
        let gradients = scene.gradients(0, size(&scene.directions, 1))?;
        let _guard = tch::no_grad_guard();
        let mut shares = vec![];
        for (captured, gradients) in scene.captured.iter().zip(gradients).filter(|(_, g)| g.defined()) {
            shares.extend(Seen::new(captured).and_then(|seen| seen.shares(&gradients)).at("tangent")?);
        }
        Ok((scene.directions, shares))
    }

    /// One forward pass that keeps what every layer saw and gave.
    fn capture(&self, x: &Tensor, directions: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Scene> {
        let kept = RefCell::new(vec![]);
        let pass = Pass { training: self.is_training(), mode: self.mode(), capture: Some(&kept) };
        // The input requires a gradient, so that the outputs of frozen layers do too.
        let x = x.f_detach().and_then(|x| x.f_set_requires_grad(true)).at("tangent")?;
        let output = self.root().forward(&x, &pass)?;
        let directions = tch::no_grad(|| checked(directions, &output.f_detach().at("tangent")?))?;
        Ok(Scene { captured: kept.into_inner(), output, directions })
    }

    /// The gradient of `sum_ic a[i, c] * logits[i, c]` with respect to all trainable parameters, one after the other:
    /// J' a, flat.
    ///
    /// # Errors
    /// Shapes that do not fit; an output that does not depend on the parameters.
    pub fn pulled_back(&self, x: &Tensor, a: &Tensor) -> Result<Tensor> {
        let inputs: Vec<Tensor> = self.trainable().into_iter().map(|(_, p)| p).collect();
        let gradients = tch::with_grad(|| run_backward("tangent", &self.weighted(x, a)?, &inputs))?;
        let flat = gradients.iter().zip(&inputs).map(|(gradient, parameter)| match gradient.defined() {
            true => gradient.f_reshape([-1]),
            false => parameter.f_detach()?.f_zeros_like()?.f_reshape([-1]),
        });
        let flat: Torch<Vec<Tensor>> = flat.collect();
        flat.and_then(|flat| Tensor::f_cat(&flat, 0)).at("tangent")
    }
}

/// The directions for these logits, if they fit them.
fn checked(directions: impl FnOnce(&Tensor) -> Result<Tensor>, logits: &Tensor) -> Result<Tensor> {
    let directions = directions(logits)?;
    match (&directions.size()[..], &logits.size()[..]) {
        ([n, _, classes], [m, outputs]) if (n, classes) == (m, outputs) => Ok(directions),
        (d, z) => {
            let given = format!("directions must be [n, k, classes] for logits {z:?}, got shape {d:?}");
            Err(Error::new("tangent", given))
        }
    }
}

/// A pass whose graph is still there.
struct Scene {
    captured: Vec<Captured>,
    output: Tensor,
    directions: Tensor,
}

impl Scene {
    /// The gradient of each layer's output in direction `j`. After the last direction the graph is gone.
    fn gradient(&self, j: i64) -> Result<Vec<Tensor>> {
        let outputs: Vec<&Tensor> = self.captured.iter().map(|c| &c.output).collect();
        let d = self.directions.f_select(1, j).at("tangent")?;
        let last = j + 1 == size(&self.directions, 1);
        tch::with_grad(|| {
            let total = self.output.f_mul(&d).and_then(|w| w.f_sum(None::<Kind>)).on("tangent", &[&self.output, &d])?;
            Tensor::f_run_backward(&[total], &outputs, !last, false).at("tangent")
        })
    }

    /// The gradients [n, k, ..] of each layer's output in `k` directions from `start` on; undefined for layers that the
    /// output does not depend on.
    fn gradients(&self, start: i64, k: i64) -> Result<Vec<Tensor>> {
        let mut lists: Vec<Vec<Tensor>> = self.captured.iter().map(|_| vec![]).collect();
        for j in start..start + k {
            lists.iter_mut().zip(self.gradient(j)?).for_each(|(list, gradient)| list.push(gradient));
        }
        let stack = |list: Vec<Tensor>| match &list[..] {
            [one] if one.defined() => one.f_unsqueeze(1),
            _ if list.iter().all(Tensor::defined) => Tensor::f_stack(&list, 1),
            _ => Ok(Tensor::new()),
        };
        lists.into_iter().map(stack).collect::<Torch<_>>().at("tangent")
    }
}

/// Adds tensors to running sums, which begin empty.
fn add(sums: &mut Vec<Tensor>, totals: Vec<Tensor>) -> Result<()> {
    if sums.is_empty() {
        *sums = totals;
        return Ok(());
    }
    for (sum, total) in sums.iter_mut().zip(totals) {
        let _ = sum.f_add_(&total).at("tangent")?;
    }
    Ok(())
}

impl Tangent {
    fn new(samples: i64, directions: i64, wanted: &[Rc<Parameter>], shares: Vec<Share>) -> Self {
        let mut parts: Vec<(Rc<Parameter>, Vec<Share>)> = wanted.iter().map(|p| (p.clone(), vec![])).collect();
        for share in shares {
            if let Some((_, known)) = parts.iter_mut().find(|(p, _)| Rc::ptr_eq(p, &share.parameter)) {
                known.push(share);
            }
        }
        Self { samples, directions, parts }
    }

    /// For each trainable parameter the sum over all samples and directions of an amount of each row; absolute values need
    /// a single direction.
    ///
    /// # Errors
    /// Those of torch.
    pub fn totals(&self, amount: Amount) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        let total = |(parameter, shares): &(Rc<Parameter>, Vec<Share>)| {
            let flat = match &shares[..] {
                [] => parameter.get().f_detach()?.f_zeros_like()?,
                [one] => one.total(amount)?,
                _ => Share::plain(parameter, &summed(shares)?)?.total(amount)?,
            };
            flat.f_reshape(parameter.get().size().as_slice())
        };
        self.parts.iter().map(total).collect::<Torch<_>>().at("tangent")
    }

    /// The inner products of all rows, [n * k, n * k] in f64, rows of one sample beside each other. `step` is called after
    /// each of `parts`.
    ///
    /// # Errors
    /// Those of torch; an interrupt.
    pub fn kernel(&self, mut step: impl FnMut()) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let rows = self.samples * self.directions;
        let device = self.parts.first().map_or(tch::Device::Cpu, |(p, _)| p.get().device());
        let mut kernel = Tensor::f_zeros([rows, rows], (Kind::Double, device)).at("tangent")?;
        for (parameter, shares) in &self.parts {
            interrupt::check()?;
            let added = match &shares[..] {
                [] => Ok(()),
                [one] => one.add_kernel(&mut kernel),
                _ => summed(shares).and_then(|rows| Share::plain(parameter, &rows)?.add_kernel(&mut kernel)),
            };
            added.at("tangent")?;
            step();
        }
        Ok(kernel)
    }

    /// How many parameters the rows are about.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The inner product of each row with a vector over all trainable parameters: [n * k].
    ///
    /// # Errors
    /// A vector of another length.
    pub fn times(&self, v: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let compute = || {
            let mut found = v.f_new_zeros([self.samples, self.directions], (v.f_kind()?, v.device()))?;
            let mut start = 0;
            for (parameter, shares) in &self.parts {
                let piece = v.f_narrow(0, start, parameter.count())?;
                start += parameter.count();
                for share in shares {
                    let _ = found.f_add_(&share.times(&piece)?)?;
                }
            }
            found.f_view([-1])
        };
        compute().at("tangent")
    }
}

/// The rows of a parameter that several layers share.
fn summed(shares: &[Share]) -> Torch<Tensor> {
    let rows: Torch<Vec<Tensor>> = shares.iter().map(Share::rows).collect();
    Tensor::f_stack(&rows?, 0)?.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Shape;
    use crate::nn::layers::layer::{Activation, Child, Conv2d, Layer};
    use crate::nn::layers::with_parameters::Maker;
    use crate::nn::zoo::{ConvNetOptions, Norm, ResNetOptions, convnet, resnet18};
    use crate::runtime::Stream;
    use tch::Device;

    /// Everything a tangent tells, against rows that autograd made of one sample and direction at a time.
    fn agree(net: &Net, x: &Tensor, classes: i64) {
        let (n, k) = (x.size()[0], 3);
        let count = (n * k * classes) as usize;
        let directions = Tensor::from_slice(&Stream::new(9, "d").normals(count)).view([n, k, classes]);
        assert!(net.is_per_sample());
        let given = |d: &Tensor| {
            let d = d.shallow_clone();
            move |_: &Tensor| Ok(d)
        };
        let tangent = net.tangent(x, given(&directions)).unwrap();
        let apart: Vec<Tensor> =
            net.apart(x, given(&directions)).unwrap().1.iter().map(|share| share.rows().unwrap()).collect();
        let names: Vec<String> = net.trainable().into_iter().map(|(name, _)| name).collect();
        let near = |got: &Tensor, want: &Tensor, name: &str| {
            let difference = (got - want).abs().max().double_value(&[]);
            let scale = want.abs().max().double_value(&[]).max(1e-2);
            assert!(difference / scale < 1e-3, "{name}: {difference} of {scale}");
        };
        let squares = net.tangent_totals(x, Amount::Square, given(&directions)).unwrap();
        for (streamed, at_once) in squares.iter().zip(tangent.totals(Amount::Square).unwrap()) {
            assert!(streamed.allclose(&at_once, 1e-4, 1e-6, false));
        }
        for (i, ((parameter, shares), rows)) in tangent.parts.iter().zip(&apart).enumerate() {
            near(&summed(shares).unwrap(), rows, &names[i]);
            let want = rows.square().sum_dim_intlist([0_i64, 1].as_slice(), false, Kind::Float);
            near(&squares[i], &want.view(parameter.get().size().as_slice()), &names[i]);
        }
        let first = directions.narrow(1, 0, 1);
        let absolute = net.tangent(x, given(&first)).unwrap().totals(Amount::Absolute).unwrap();
        for (i, rows) in apart.iter().enumerate() {
            let want = rows.narrow(1, 0, 1).abs().sum_dim_intlist([0_i64, 1].as_slice(), false, Kind::Float);
            near(&absolute[i].view([-1]), &want, &names[i]);
        }
        let whole = Tensor::cat(&apart, 2).view([n * k, -1]);
        near(&tangent.kernel(|| {}).unwrap().to_kind(Kind::Float), &whole.matmul(&whole.tr()), "kernel");
        let v = Tensor::from_slice(&Stream::new(4, "v").normals(whole.size()[1] as usize));
        near(&tangent.times(&v).unwrap(), &whole.matmul(&v), "times");
        let a = Tensor::from_slice(&Stream::new(5, "a").normals((n * k) as usize));
        let weights = directions.transpose(1, 2).matmul(&a.view([n, k, 1])).squeeze_dim(2);
        near(&net.pulled_back(x, &weights).unwrap(), &whole.tr().matmul(&a), "pulled back");
    }

    fn images(n: i64, shape: [i64; 3]) -> Tensor {
        let count = n * shape.iter().product::<i64>();
        Tensor::from_slice(&Stream::new(3, "x").normals(count as usize)).view([n, shape[0], shape[1], shape[2]])
    }

    #[test]
    fn rows_of_a_batch_equal_those_of_one_sample_at_a_time() {
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

    #[test]
    fn linear_layers_on_several_positions_count_every_position() {
        let maker = Maker::new(Device::Cpu);
        let layers = [
            Layer::Linear(maker.linear(5, 3, true).unwrap()),
            Layer::Activation(Activation::Tanh),
            Layer::Flatten,
            Layer::Linear(maker.linear(12, 2, false).unwrap()),
        ];
        let children = layers.into_iter().enumerate();
        let children = children.map(|(i, layer)| Child { name: i.to_string(), layer: Rc::new(layer) });
        let net = Net::layer(Rc::new(Layer::Sequential(children.collect())));
        net.reset(&mut Stream::new(2, "init")).unwrap();
        let x = Tensor::from_slice(&Stream::new(3, "x").normals(60)).view([3, 4, 5]);
        agree(&net, &x, 2);
    }

    #[test]
    fn directions_that_do_not_fit_are_refused() {
        let net = Net::layer(Rc::new(Layer::Linear(Maker::new(Device::Cpu).linear(2, 3, true).unwrap())));
        let x = Tensor::zeros([4, 2], (Kind::Float, Device::Cpu));
        let message = |shape: &[i64]| {
            let given = |_: &Tensor| Ok(Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
            net.tangent(&x, given).err().unwrap().to_string()
        };
        let expected = "tangent: directions must be [n, k, classes] for logits [4, 3], got shape ";
        assert_eq!(message(&[4, 3]), format!("{expected}[4, 3]"));
        assert_eq!(message(&[3, 1, 3]), format!("{expected}[3, 1, 3]"));
    }
}
