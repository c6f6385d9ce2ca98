//! What scripts see of a `Net`.

use crate::nn::net::Net;
use crate::runtime::options::nearest;
use crate::runtime::{Error, Result};
use crate::tensor::Tensor;
use rhai::{Dynamic, Map};
use std::rc::Rc;

/// Names and tensors as a map.
pub fn as_map(named: Vec<(String, tch::Tensor)>) -> Map {
    named.into_iter().map(|(name, tensor)| (name.into(), Dynamic::from(Tensor::from(tensor)))).collect()
}

/// A map of tensors as names and tensors.
///
/// # Errors
/// Values that are not tensors.
pub fn from_map(operation: &str, map: &Map) -> Result<Vec<(String, tch::Tensor)>> {
    let one = |(name, value): (&rhai::Identifier, &Dynamic)| match value.read_lock::<Tensor>() {
        Some(tensor) => Ok((name.to_string(), tensor.shallow_clone())),
        None => {
            let given = crate::runtime::options::describe(value);
            Err(Error::new(operation, format!("{name} must be a tensor, got {given}")))
        }
    };
    map.iter().map(one).collect()
}

/// The layer of this name, as a handle that shares the whole's mode, or the layer's own tensor of this name.
fn part(net: &Net, name: &str) -> Result<Dynamic> {
    let (children, own) = (net.root().children(), net.root().own());
    if let Some(child) = children.iter().find(|child| child.name == name) {
        return Ok(Dynamic::from(Net::part(child.layer.clone(), net.mode().clone())));
    }
    if let Some((_, parameter, _)) = own.iter().find(|(known, ..)| *known == name) {
        return Ok(Dynamic::from(Tensor::from(parameter.handle())));
    }
    let layers = children.iter().map(|child| child.name.as_str());
    let names: Vec<&str> = layers.chain(own.iter().map(|(name, ..)| *name)).collect();
    let error = Error::new("", format!("this {} has no part {name:?}", net.card().title)).word(name);
    let error = match nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error,
    };
    Err(if names.is_empty() { error } else { error.note(format!("its parts: {}", names.join(", "))) })
}

fn same(a: &Net, b: &Net) -> bool {
    Rc::ptr_eq(a.root(), b.root())
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{as_map, from_map, part, same};
    use crate::nn::layers::with_parameters::size;
    use crate::runtime::{Error, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Array, Dynamic, FnPtr, Map, NativeCallContext};

    /// A network: layers, parameters, and the mode they run in. Assignment aliases; `copy()` copies. `net.name` is the layer
    /// of that name, `layer.weight` its parameter.
    pub type Net = crate::nn::Net;

    /// The output for a batch, e.g. logits [n, classes] for images [n, channels, height, width].
    ///
    /// Errors name the first layer that the input does not fit. On the CPU wide batches of images pass in chunks that fit the
    /// cache, when samples do not influence each other; the result is the same.
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::linear(4, 2).forward(zeros([3, 4])).shape == [3, 2]);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn forward(net: &mut Net, x: Tensor) -> Script<Tensor> {
        Ok(net.forward(&x)?.into())
    }

    /// The penultimate features [n, d]: what the last linear layer sees.
    ///
    /// # Example
    /// ```rhai
    /// let net = sequential([nn::linear(4, 8), nn::tanh(), nn::linear(8, 2)]);
    /// assert(net.embed(zeros([3, 4])).shape == [3, 8]);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn embed(net: &mut Net, x: Tensor) -> Script<Tensor> {
        Ok(net.embed(&x)?.into())
    }

    /// Embedding and output of one pass: `#{ embedding: Tensor[n, d], logits: Tensor[n, classes] }`.
    ///
    /// # Example
    /// ```rhai
    /// let net = sequential([nn::linear(4, 8), nn::tanh(), nn::linear(8, 2)]);
    /// let both = net.forward_with_embedding(ones([3, 4]));
    /// assert(both.embedding.shape == [3, 8]);
    /// assert_close(both.logits, net.forward(ones([3, 4])), 0.0);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn forward_with_embedding(net: &mut Net, x: Tensor) -> Script<Map> {
        let (embedding, logits) = net.forward_with_embedding(&x)?;
        Ok(as_map(vec![("embedding".into(), embedding), ("logits".into(), logits)]))
    }

    /// The parameters as a map from PyTorch's names to tensors; handles, not copies. A map lists its keys in alphabetical order:
    /// `parameter_names()` has them in the order of the layers.
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::linear(4, 2).params().weight.shape == [2, 4]);
    /// ```
    #[rhai_fn(pure)]
    pub fn params(net: &mut Net) -> Map {
        as_map(net.parameters())
    }

    /// The parameters as an array, in PyTorch's order; handles, not copies.
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::linear(4, 2).parameters().len() == 2);
    /// ```
    #[rhai_fn(pure)]
    pub fn parameters(net: &mut Net) -> Array {
        net.parameters().into_iter().map(|(_, tensor)| Dynamic::from(Tensor::from(tensor))).collect()
    }

    /// The names of the parameters in the order of the layers, as `parameters()` has them.
    ///
    /// # Example
    /// ```rhai
    /// let net = sequential([nn::linear(4, 8), nn::relu(), nn::linear(8, 2)]);
    /// assert(net.parameter_names() == ["0.weight", "0.bias", "2.weight", "2.bias"]);
    /// for name in net.parameter_names() { assert(net.params()[name].requires_grad); }
    /// ```
    #[rhai_fn(pure)]
    pub fn parameter_names(net: &mut Net) -> Array {
        net.parameters().into_iter().map(|(name, _)| Dynamic::from(name)).collect()
    }

    /// The names of parameters and buffers in the order of the layers.
    ///
    /// # Example
    /// ```rhai
    /// let names = nn::batch_norm(3).state_names();
    /// assert(names == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]);
    /// ```
    #[rhai_fn(pure)]
    pub fn state_names(net: &mut Net) -> Array {
        net.state().into_iter().map(|(name, _)| Dynamic::from(name)).collect()
    }

    /// A text with a line for each parameter and buffer in the order of the layers: name, shape, number of elements, and
    /// whether it is a buffer or frozen.
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(4, 2);
    /// print(net.describe());
    /// assert(net.describe().contains("weight  [2, 4]  8"));
    /// ```
    #[rhai_fn(pure)]
    pub fn describe(net: &mut Net) -> String {
        net.listing()
    }

    /// The number of parameters, frozen ones included.
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::linear(4, 2).parameter_count() == 10);
    /// ```
    #[rhai_fn(pure)]
    pub fn parameter_count(net: &mut Net) -> i64 {
        net.count()
    }

    /// Parameters and buffers as a map from PyTorch's names to tensors: the state dict. Handles, not copies. A map lists its keys
    /// in alphabetical order: `state_names()` has them in the order of the layers.
    ///
    /// # Example
    /// ```rhai
    /// assert("running_mean" in nn::batch_norm(3).state());
    /// ```
    #[rhai_fn(pure)]
    pub fn state(net: &mut Net) -> Map {
        as_map(net.state())
    }

    /// Takes up the values of a state dict. All names and shapes are compared first; the first that differs is an error and
    /// nothing is changed.
    ///
    /// # Example
    /// ```rhai
    /// let a = nn::linear(4, 2);
    /// let b = nn::linear(4, 2);
    /// b.load_state(a.state());
    /// assert_close(a.params().weight, b.params().weight, 0.0);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn load_state(net: &mut Net, state: Map) -> Script<()> {
        net.load_state(&from_map("load_state", &state)?)?;
        net.forget_origin();
        Ok(())
    }

    /// The same architecture with the values its parameters had when they were last initialised, bit for bit.
    ///
    /// A network remembers where its first values were drawn from, not the values; copies and originals from the cache do
    /// too. After `load` or `load_state` they are not known, which is an error.
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(4, 2);
    /// let before = net.weights_hash();
    /// let optimizer = sgd(net);
    /// optimizer.minimize(net.forward(ones([1, 4])).sum());
    /// assert(net.weights_hash() != before && net.initial().weights_hash() == before);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn initial(net: &mut Net) -> Script<Net> {
        Ok(net.initial()?)
    }

    /// A network of its own with equal values, everything trainable.
    ///
    /// # Example
    /// ```rhai
    /// let a = nn::linear(4, 2);
    /// let b = a.copy();
    /// b.reset();
    /// assert(a.params().weight.sum().item() != b.params().weight.sum().item());
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn copy(net: &mut Net) -> Script<Net> {
        Ok(net.copy()?)
    }

    /// Initialises all parameters and buffers anew, in place, from the run's stream `init`; with a name, only those of the
    /// layers whose names begin with it.
    ///
    /// # Signature
    /// reset(net: Net, prefix: string = "")
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::instance_norm(3);
    /// net.load_state(#{ weight: full([3], 7.0), bias: ones([3]) });
    /// net.reset();
    /// assert(net.params().weight.sum().item() == 3.0);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn reset(context: NativeCallContext, net: &mut Net) -> Script<()> {
        Ok(net.reset(&mut Run::of(&context).stream("init"))?)
    }

    #[rhai_fn(name = "reset", return_raw, pure)]
    pub fn reset_layers(context: NativeCallContext, net: &mut Net, prefix: &str) -> Script<()> {
        net.reset_layers(prefix, &mut Run::of(&context).stream("init"))?;
        Ok(())
    }

    /// The names of the last `count` layers with weights (convolutions and linear layers), together with the normalisations
    /// that belong to them, in order: what `freeze`, `unfreeze` and `reset` take.
    ///
    /// A convolution in a shortcut belongs to the layer before it.
    ///
    /// # Signature
    /// last_layers(net: Net, count: int) -> array of string
    ///
    /// # Example
    /// ```rhai
    /// let net = sequential([nn::conv2d(1, 4, 3), nn::instance_norm(4), nn::flatten(), nn::linear(16, 2)]);
    /// assert(last_layers(net, 1) == ["3"] && last_layers(net, 2) == ["0", "1", "3"]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn last_layers(net: Net, count: Dynamic) -> Script<Array> {
        let count = size("last_layers", &count)? as usize;
        Ok(net.last_layers(count)?.into_iter().map(Dynamic::from).collect())
    }

    /// Freezes the parameters whose names begin with `prefix` (the layer of that name, if there is one) and returns how many:
    /// they get no gradients and optimisers leave them alone.
    ///
    /// # Example
    /// ```rhai
    /// let net = sequential([nn::linear(4, 8), nn::relu(), nn::linear(8, 2)]);
    /// assert(net.freeze("0") == 2 && !net.params()["0.weight"].requires_grad);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn freeze(net: &mut Net, prefix: &str) -> Script<i64> {
        Ok(net.freeze(prefix, true)? as i64)
    }

    /// Makes the parameters whose names begin with `prefix` trainable again and returns how many; `""` means all.
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(4, 2);
    /// net.freeze("bias");
    /// assert(net.unfreeze("") == 2 && net.params().bias.requires_grad);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn unfreeze(net: &mut Net, prefix: &str) -> Script<i64> {
        Ok(net.freeze(prefix, false)? as i64)
    }

    /// Puts the network into training (`true`) or evaluation mode: what batch norm and dropout do. Making an optimiser puts
    /// its network into training mode.
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::dropout(0.9);
    /// net.train_mode(false);
    /// assert(!net.is_training());
    /// ```
    #[rhai_fn(pure)]
    pub fn train_mode(net: &mut Net, on: bool) {
        net.set_training(on);
    }

    /// Whether the network is in training mode.
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::linear(2, 2).is_training());
    /// ```
    #[rhai_fn(pure)]
    pub fn is_training(net: &mut Net) -> bool {
        net.is_training()
    }

    /// Calls a closure with the network in evaluation mode and without gradients, restores both, and returns its value.
    ///
    /// # Signature
    /// evaluating(net: Net, work: |net|) -> value
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::batch_norm(2);
    /// let y = net.evaluating(|n| n.forward(ones([3, 2])));
    /// assert_close(y, ones([3, 2]), 1e-4);
    /// assert(net.is_training());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn evaluating(context: NativeCallContext, net: Net, work: FnPtr) -> Script<Dynamic> {
        let call = || work.call_within_context::<Dynamic>(&context, (net.clone(),)).map_err(Error::from);
        Ok(net.evaluating(call)?)
    }

    /// A hash of names, shapes and values of parameters and buffers.
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(4, 2);
    /// assert(net.weights_hash() == net.copy().weights_hash());
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn weights_hash(net: &mut Net) -> Script<String> {
        Ok(net.weights_hash()?)
    }

    /// The layer of this name, `net["features"]` or `net.features`; of a single layer its tensors, `layer.weight`.
    ///
    /// # Signature
    /// net[name: string] -> Net | Tensor
    ///
    /// # Example
    /// ```rhai
    /// let net = sequential([nn::linear(4, 8), nn::relu()]);
    /// assert(net["0"].forward(zeros([1, 4])).shape == [1, 8] && net["0"].bias.shape == [8]);
    /// ```
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn layer(net: &mut Net, name: &str) -> Script<Dynamic> {
        Ok(part(net, name)?)
    }

    #[rhai_fn(name = "to_string", pure)]
    pub fn to_text(net: &mut Net) -> String {
        net.to_string()
    }

    #[rhai_fn(name = "to_debug", pure)]
    pub fn to_debug_text(net: &mut Net) -> String {
        net.to_string()
    }

    #[rhai_fn(name = "==", pure)]
    pub fn equals(a: &mut Net, b: Net) -> bool {
        same(a, &b)
    }

    #[rhai_fn(name = "!=", pure)]
    pub fn differs(a: &mut Net, b: Net) -> bool {
        !same(a, &b)
    }
}
