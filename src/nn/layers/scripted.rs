//! A module whose forward pass is a closure of the script.

use crate::nn::layers::layer::{Child, Layer, Pass, Scripted};
use crate::nn::net::Net;
use crate::runtime::{Callback, Error, Options, Result, Run, options};
use rhai::{Dynamic, FnPtr, Map, NativeCallContext};
use std::rc::Rc;

/// The layers of a container, from what a script put there.
fn child(operation: &str, name: &str, value: &Dynamic) -> Result<Child> {
    match value.clone().try_cast::<Net>() {
        Some(net) => Ok(Child { name: name.into(), layer: net.root().clone() }),
        None => {
            let given = format!("{name} must be a layer or network, got {}", options::describe(value));
            Err(Error::new(operation, given)
                .hint("layers are made with nn::linear(..), nn::conv2d(..), nn::relu(), .."))
        }
    }
}

/// A module of these layers.
fn build(context: &NativeCallContext, layers: &Map, forward: FnPtr, embed: Option<FnPtr>) -> Result<Net> {
    let mut children = vec![];
    for (name, layer) in layers {
        if name.contains('.') {
            return Err(Error::new("network", format!("a layer's name must not hold a dot, got {name:?}")));
        }
        children.push(child("network", name, layer)?);
    }
    let keep = |function| Callback::new(context, function);
    let module = |layer: Rc<Layer>, pass: &Pass| Dynamic::from(Net::part(layer, pass.mode.clone()));
    let layer = Scripted { children, forward: keep(forward), embed: embed.map(keep), module };
    Ok(Net::layer(Rc::new(Layer::Scripted(Box::new(layer)))))
}

/// The network with first values drawn from the option `seed`, if it is given.
fn seeded(operation: &str, net: Net, options: Map) -> Result<Net> {
    let mut o = Options::new(operation, options);
    let seed = o.maybe_integer("seed", 0)?;
    o.finish()?;
    if let Some(seed) = seed {
        net.reset(&mut Run::first_stream(seed as u64, "init"))?;
    }
    Ok(net)
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::nn::layers::layer::Layer;
    use crate::nn::layers::scripted::{build, child, seeded};
    use crate::runtime::{Result, Script};
    use rhai::{Array, FnPtr, Map, NativeCallContext};
    use std::rc::Rc;

    type Net = crate::nn::Net;

    /// A network that runs layers one after the other. Parameters are named by position: `0.weight`, `2.bias`.
    ///
    /// The layers are shared, not copied. When the last one is linear, `embed` gives its input.
    ///
    /// # Signature
    /// sequential(layers: array of Net, #{ seed: int }) -> Net
    ///
    /// # Options
    /// - `seed` (int): initialise all layers anew from this seed; without it they keep the weights they were made with
    ///
    /// # Example
    /// ```rhai
    /// let net = sequential([nn::linear(4, 8), nn::relu(), nn::linear(8, 3)]);
    /// assert(net.forward(zeros([2, 4])).shape == [2, 3] && net.embed(zeros([2, 4])).shape == [2, 8]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sequential(layers: Array, options: Map) -> Script<Net> {
        let named = layers.iter().enumerate().map(|(i, layer)| child("sequential", &i.to_string(), layer));
        let net = Net::layer(Rc::new(Layer::Sequential(named.collect::<Result<_>>()?)));
        Ok(seeded("sequential", net, options)?)
    }

    #[rhai_fn(name = "sequential", return_raw)]
    pub fn sequential_plain(layers: Array) -> Script<Net> {
        sequential(layers, Map::new())
    }

    /// A network of named layers whose forward pass is a closure `|m, x|` that gets the module and the input.
    ///
    /// Inside, `m.name` is the layer of that name: a copy of the module computes with its own layers, so use `m`, not the
    /// variables the layers came from. A second closure computes what `embed` returns. Parameters are named
    /// `name.weight` and so on, in alphabetical order of the layers.
    ///
    /// # Signature
    /// network(layers: #{ name: Net, .. }, forward: |m, x|, embed: |m, x|, #{ seed: int }) -> Net
    ///
    /// # Options
    /// - `seed` (int): initialise all layers anew from this seed; without it they keep the weights they were made with
    ///
    /// # Example
    /// ```rhai
    /// let net = network(#{ a: nn::linear(4, 8), b: nn::linear(4, 8) }, |m, x| m.a.forward(x) * m.b.forward(x), #{ seed: 1 });
    /// assert(net.copy().forward(zeros([2, 4])).shape == [2, 8]);
    /// ```
    #[rhai_fn(name = "network", return_raw)]
    pub fn network_whole(c: NativeCallContext, layers: Map, forward: FnPtr, embed: FnPtr, options: Map) -> Script<Net> {
        Ok(seeded("network", build(&c, &layers, forward, Some(embed))?, options)?)
    }

    #[rhai_fn(name = "network", return_raw)]
    pub fn network_embedding(context: NativeCallContext, layers: Map, forward: FnPtr, embed: FnPtr) -> Script<Net> {
        Ok(build(&context, &layers, forward, Some(embed))?)
    }

    #[rhai_fn(name = "network", return_raw)]
    pub fn network_seeded(context: NativeCallContext, layers: Map, forward: FnPtr, options: Map) -> Script<Net> {
        Ok(seeded("network", build(&context, &layers, forward, None)?, options)?)
    }

    #[rhai_fn(name = "network", return_raw)]
    pub fn network_plain(context: NativeCallContext, layers: Map, forward: FnPtr) -> Script<Net> {
        Ok(build(&context, &layers, forward, None)?)
    }
}
