//! `Net`: a network as scripts and the other rooms hold it.

use super::parameter::{Parameter, settle};
use crate::nn::layers::layer::{Layer, Pass, grad_enabled};
use crate::nn::module_tree::Named;
use crate::runtime::{At, Error, Result, Stream};
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use tch::{Device, Tensor};

/// A shared handle to a network: layers, parameters, and the mode they run in. Cloning aliases; `copy` copies.
#[derive(Clone)]
pub struct Net(Rc<Inner>);

struct Inner {
    root: Rc<Layer>,
    training: Rc<Cell<bool>>,
    card: Card,
    description: OnceCell<String>,
}

/// What a network says about itself.
#[derive(Clone, Default)]
pub struct Card {
    /// `ConvNet`, `ResNet-18`, `Sequential`, ...
    pub title: String,
    /// A clause between the title and the number of parameters.
    pub detail: String,
    /// Everything that decides the architecture, in one line; empty to have it derived from the layers.
    pub architecture: String,
    /// The images it was built for.
    pub input: Option<super::Shape>,
}

/// Images of a wide batch that go through a convolutional network at a time on the CPU. Without gradients activations then
/// stay in cache and the peak of memory low; with gradients they are kept anyway, and smaller chunks cost more in starting
/// threads than they save (measured: ConvNet of width 32 and 128, batches of 64 and 256, two threads).
const CHUNK: i64 = 64;
const CHUNK_WITH_GRADIENTS: i64 = 128;

/// Puts the mode back, also when the work fails.
struct Mode(Rc<Cell<bool>>, bool);

impl Drop for Mode {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

impl Net {
    /// A network of these layers, in training mode, its parameters laid into one buffer.
    pub fn new(root: Rc<Layer>, card: Card) -> Result<Self> {
        let net = Self::made_of(root, Rc::new(Cell::new(true)), card);
        settle(&net.trained())?;
        Ok(net)
    }

    /// A handle to a part of a network that shares the whole's mode.
    pub fn part(root: Rc<Layer>, training: Rc<Cell<bool>>) -> Self {
        let card = Card { title: root.title().into(), ..Card::default() };
        Self::made_of(root, training, card)
    }

    fn made_of(root: Rc<Layer>, training: Rc<Cell<bool>>, card: Card) -> Self {
        Self(Rc::new(Inner { root, training, card, description: OnceCell::new() }))
    }

    /// A single layer or container as a network of its own; its parameters stay where they are.
    pub fn layer(root: Rc<Layer>) -> Self {
        Self::part(root, Rc::new(Cell::new(true)))
    }

    /// The layers.
    pub fn root(&self) -> &Rc<Layer> {
        &self.0.root
    }

    /// What the network says about itself.
    pub fn card(&self) -> &Card {
        &self.0.card
    }

    /// The mode, shared with the children handed to closures.
    pub(super) fn mode(&self) -> &Rc<Cell<bool>> {
        &self.0.training
    }

    fn pass(&self) -> Pass<'_> {
        Pass { training: self.is_training(), mode: &self.0.training, capture: None }
    }

    /// The network's output for a batch, e.g. logits [n, classes]. On the CPU wide batches of images go through in chunks
    /// that fit the cache, when samples do not influence each other: the result is the same.
    ///
    /// # Errors
    /// Inputs that do not fit, named after the first layer they do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let pass = self.pass();
        match self.pieces(x)? {
            None => self.0.root.forward(x, &pass),
            Some(pieces) => {
                let outputs: Result<Vec<_>> = pieces.iter().map(|piece| self.0.root.forward(piece, &pass)).collect();
                Tensor::f_cat(&outputs?, 0).at("forward")
            }
        }
    }

    /// The penultimate features [n, d]: what the last linear layer sees.
    ///
    /// # Errors
    /// As `forward`; also when the network does not end in a linear layer.
    pub fn embed(&self, x: &Tensor) -> Result<Tensor> {
        let pass = self.pass();
        match self.pieces(x)? {
            None => self.0.root.embed(x, &pass),
            Some(pieces) => {
                let outputs: Result<Vec<_>> = pieces.iter().map(|piece| self.0.root.embed(piece, &pass)).collect();
                Tensor::f_cat(&outputs?, 0).at("embed")
            }
        }
    }

    /// Embedding and output of one pass.
    ///
    /// # Errors
    /// As `embed`.
    pub fn forward_with_embedding(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let pass = self.pass();
        let Some(pieces) = self.pieces(x)? else { return self.0.root.forward_with_embedding(x, &pass) };
        let both: Result<Vec<_>> = pieces.iter().map(|p| self.0.root.forward_with_embedding(p, &pass)).collect();
        let (embeddings, outputs): (Vec<_>, Vec<_>) = both?.into_iter().unzip();
        Ok((Tensor::f_cat(&embeddings, 0).at("embed")?, Tensor::f_cat(&outputs, 0).at("forward")?))
    }

    /// The batch in cache-sized chunks; `None` when it is to go through whole.
    fn pieces(&self, x: &Tensor) -> Result<Option<Vec<Tensor>>> {
        let n = x.size().first().copied().unwrap_or(0);
        let chunk = if grad_enabled() { CHUNK_WITH_GRADIENTS } else { CHUNK };
        let wide = n > chunk && x.dim() == 4 && x.device() == Device::Cpu;
        if !wide || !self.is_per_sample() || !self.0.root.convolves() {
            return Ok(None);
        }
        let count = (n + chunk - 1) / chunk;
        x.f_split((n + count - 1) / count, 0).map(Some).at("forward")
    }

    fn named(&self, buffers: bool) -> Vec<Named> {
        let mut all = self.0.root.tensors();
        all.retain(|named| buffers || !named.buffer);
        all
    }

    /// The parameters themselves, in order.
    pub(super) fn trained(&self) -> Vec<Rc<Parameter>> {
        self.named(false).into_iter().map(|named| named.parameter).collect()
    }

    /// Names and parameters, in order.
    pub(super) fn named_parameters(&self) -> Vec<(String, Rc<Parameter>)> {
        self.named(false).into_iter().map(|named| (named.name, named.parameter)).collect()
    }

    /// Names and tensors of parameters and buffers, as they are saved.
    pub(super) fn named_state(&self) -> Vec<(String, Rc<Parameter>)> {
        self.named(true).into_iter().map(|named| (named.name, named.parameter)).collect()
    }

    /// All parameters with PyTorch's names, in PyTorch's order. The tensors are handles, not copies.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.named_parameters().into_iter().map(|(name, p)| (name, p.handle())).collect()
    }

    /// The parameters that are not frozen.
    pub fn trainable(&self) -> Vec<(String, Tensor)> {
        self.parameters().into_iter().filter(|(_, t)| t.requires_grad()).collect()
    }

    /// Parameters and buffers with PyTorch's names, in a state dict's order. The tensors are handles, not copies.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.named_state().into_iter().map(|(name, p)| (name, p.handle())).collect()
    }

    /// Whether `part` is this network, or made of some of its parameters.
    pub fn shares_parameters(&self, part: &Self) -> bool {
        let mine = self.trained();
        let theirs = part.trained();
        Rc::ptr_eq(&self.0.root, &part.0.root)
            || theirs.first().is_some_and(|one| mine.iter().any(|own| Rc::ptr_eq(own, one)))
    }

    /// A network of its own with equal values, everything trainable.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn copy(&self) -> Result<Self> {
        let root = self.0.root.duplicate()?;
        let (training, card) = (Rc::new(Cell::new(self.is_training())), self.0.card.clone());
        let net = Self::made_of(root, training, card);
        for parameter in net.trained() {
            let _ = parameter.get().f_set_requires_grad(true).at("copy")?;
        }
        settle(&net.trained())?;
        Ok(net)
    }

    /// The same architecture newly initialised.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn renewed(&self, stream: &mut Stream) -> Result<Self> {
        let net = self.copy()?;
        net.reset(stream)?;
        Ok(net)
    }

    /// Training or evaluation mode: what batch norm and dropout do.
    pub fn set_training(&self, on: bool) {
        self.0.training.set(on);
    }

    /// Whether the network is in training mode.
    pub fn is_training(&self) -> bool {
        self.0.training.get()
    }

    /// Runs `work` in evaluation mode without gradients and restores the mode, also when the work fails.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn evaluating<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _mode = Mode(self.0.training.clone(), self.is_training());
        let _guard = tch::no_grad_guard();
        self.set_training(false);
        work()
    }

    /// Whether, in the present mode, the outputs of a batch are those of its samples alone. Batch norm and dropout are so in
    /// evaluation mode only; of closures it is not known.
    pub fn is_per_sample(&self) -> bool {
        self.0.root.per_sample(self.is_training())
    }

    /// Where the parameters live; the CPU for a network without any.
    pub fn device(&self) -> Device {
        self.named(true).first().map_or(Device::Cpu, |named| named.parameter.get().device())
    }

    /// The outputs of the last linear layer, if the network ends in one.
    pub fn classes(&self) -> Option<i64> {
        self.0.root.classes()
    }

    /// Everything that decides the architecture, in one line: part of cache keys.
    pub fn architecture(&self) -> &str {
        self.0.description.get_or_init(|| match self.0.card.architecture.as_str() {
            "" => self.0.root.describe(),
            known => known.to_string(),
        })
    }

    /// The number of trainable and frozen parameters together.
    pub fn count(&self) -> i64 {
        self.trained().iter().map(|p| p.count()).sum()
    }

    /// Freezes (or unfreezes) the parameters whose names begin with `prefix`, the empty prefix meaning all; says how many.
    ///
    /// # Errors
    /// When no parameter has such a name.
    pub fn freeze(&self, prefix: &str, frozen: bool) -> Result<usize> {
        let operation = if frozen { "freeze" } else { "unfreeze" };
        let all = self.named_parameters();
        let whole = |name: &str| prefix.is_empty() || name == prefix || name.starts_with(&format!("{prefix}."));
        let mut chosen: Vec<_> = all.iter().filter(|(name, _)| whole(name)).collect();
        if chosen.is_empty() {
            chosen = all.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        }
        if chosen.is_empty() {
            let mut tops: Vec<&str> = all.iter().filter_map(|(name, _)| name.split('.').next()).collect();
            tops.dedup();
            let error = Error::new(operation, format!("no parameter's name begins with {prefix:?}"));
            return Err(error.word(prefix).note(format!("they begin with: {}", tops.join(", "))));
        }
        for (_, parameter) in &chosen {
            let _ = parameter.get().f_set_requires_grad(!frozen).at(operation)?;
        }
        Ok(chosen.len())
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let card = self.card();
        write!(f, "{}", card.title)?;
        if let Some(s) = card.input {
            write!(f, "({s}{})", self.classes().map(|c| format!(" -> {c}")).unwrap_or_default())?;
        }
        if !card.detail.is_empty() {
            write!(f, " · {}", card.detail)?;
        }
        let count = self.count();
        write!(f, " · {} parameter{}", grouped(count), if count == 1 { "" } else { "s" })
    }
}

/// `5066` as `5,066`.
pub(super) fn grouped(n: i64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::nn::zoo::{ConvNetOptions, Norm, convnet};
    use crate::nn::{Net, Shape};
    use crate::runtime::Stream;
    use tch::{Device, Kind, Tensor};

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
    fn wide_batches_in_chunks_equal_one_sample_at_a_time_with_gradients() {
        let net = small(Norm::Instance);
        let x = images(150, SMALL);
        let whole = net.forward(&x).unwrap();
        let single: Vec<Tensor> = (0..150).map(|i| net.forward(&x.narrow(0, i, 1)).unwrap()).collect();
        assert!(whole.allclose(&Tensor::cat(&single, 0), 1e-5, 1e-5, false));
        let (embedding, logits) = net.forward_with_embedding(&x).unwrap();
        assert!(
            logits.allclose(&whole, 1e-6, 1e-6, false)
                && embedding.allclose(&net.embed(&x).unwrap(), 1e-6, 1e-6, false)
        );
        let inputs: Vec<Tensor> = net.parameters().into_iter().map(|(_, t)| t).collect();
        let together = Tensor::run_backward(&[whole.square().sum(Kind::Float)], &inputs, false, false);
        let apart = Tensor::run_backward(&[Tensor::cat(&single, 0).square().sum(Kind::Float)], &inputs, false, false);
        for (a, b) in together.iter().zip(&apart) {
            assert!(a.allclose(b, 1e-3, 1e-4, false));
        }
    }

    #[test]
    fn batch_norm_statistics_move_only_in_training_with_gradients() {
        let net = small(Norm::Batch);
        let x = images(5, SMALL);
        let before = net.weights_hash().unwrap();
        let _ = tch::no_grad(|| net.forward(&x)).unwrap();
        let _ = net.evaluating(|| net.forward(&x)).unwrap();
        assert_eq!(net.weights_hash().unwrap(), before);
        assert!(net.is_training() && !net.is_per_sample());
        let _ = net.forward(&x).unwrap();
        let state = net.state();
        let find = |name: &str| &state.iter().find(|(n, _)| n == name).unwrap().1;
        assert_eq!(find("features.1.num_batches_tracked").int64_value(&[]), 1);
        let weights = (find("features.0.weight"), find("features.0.bias"));
        let inner = x.conv2d(weights.0, Some(weights.1), [1, 1], [1, 1], [1, 1], 1).transpose(0, 1).flatten(1, -1);
        let mean: Tensor = inner.mean_dim([1_i64].as_slice(), false, Kind::Float) * 0.1;
        let variance: Tensor = inner.var_dim([1_i64].as_slice(), true, false) * 0.1 + 0.9;
        assert!(find("features.1.running_mean").allclose(&mean, 1e-4, 1e-6, false));
        assert!(find("features.1.running_var").allclose(&variance, 1e-4, 1e-6, false));
    }

    #[test]
    fn modes_and_gradients_come_back_after_a_failed_evaluation() {
        let net = small(Norm::Instance);
        assert!(net.evaluating(|| net.forward(&images(2, CIFAR))).is_err());
        assert!(net.is_training() && net.forward(&images(2, SMALL)).unwrap().requires_grad());
    }

    #[test]
    fn copies_are_independent_and_trainable_and_reset_starts_over() {
        let net = small(Norm::Instance);
        net.freeze("features", true).unwrap();
        assert_eq!(net.trainable().len(), 2);
        let copy = net.copy().unwrap();
        assert_eq!((copy.trainable().len(), copy.weights_hash().unwrap()), (14, net.weights_hash().unwrap()));
        copy.reset(&mut Stream::new(0, "init")).unwrap();
        assert_eq!(copy.weights_hash().unwrap(), net.weights_hash().unwrap());
        copy.reset(&mut Stream::new(1, "init")).unwrap();
        assert_ne!(copy.weights_hash().unwrap(), net.weights_hash().unwrap());
        assert_eq!(
            net.renewed(&mut Stream::new(1, "init")).unwrap().weights_hash().unwrap(),
            copy.weights_hash().unwrap()
        );
    }

    #[test]
    fn inputs_that_do_not_fit_are_named_after_the_layer() {
        let net = small(Norm::Instance);
        let message =
            |shape: &[i64]| net.forward(&Tensor::zeros(shape, (Kind::Float, Device::Cpu))).unwrap_err().to_string();
        assert_eq!(message(&[4, 3, 8, 8]), "conv2d expects 1 input channel, got 3");
        assert_eq!(
            message(&[4, 8, 8]),
            "conv2d: expects 4 dimensions [n, channels, height, width], got shape [4, 8, 8]"
        );
        assert_eq!(message(&[4, 1, 16, 16]), "linear expects 16 input features, got 64");
    }

    #[test]
    fn second_derivatives_pass_through_a_net() {
        let net = small(Norm::Instance);
        let x = images(3, SMALL);
        let inputs: Vec<Tensor> = net.parameters().into_iter().map(|(_, t)| t).collect();
        let loss = net.forward(&x).unwrap().square().sum(Kind::Float);
        let first = Tensor::run_backward(&[loss], &inputs, true, true);
        let norm = first.iter().map(|g| g.square().sum(Kind::Float)).reduce(|a, b| a + b).unwrap();
        let second = Tensor::run_backward(&[norm], &inputs, false, false);
        assert!(second.iter().all(|g| g.defined()) && second[12].abs().sum(Kind::Float).double_value(&[]) > 0.0);
    }
}
