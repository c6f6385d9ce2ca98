//! What scripts see of optimisers.

use crate::nn::net::Net;
use crate::nn::optim::optimizer::{Optimizer, clip_norm};
use crate::nn::optim::update_rule::Rule;
use crate::runtime::{At, Error, Options, Result, Run, options};
use crate::tensor::Tensor;
use rhai::{Array, Dynamic, Map, NativeCallContext};

/// Reads the options of a rule and builds the optimiser for a network or an array of tensors.
fn build(context: &NativeCallContext, name: &str, target: &Dynamic, given: Map) -> Result<Optimizer> {
    let mut o = Options::new(name, given);
    let lr = o.non_negative("lr", if name == "sgd" { 0.01 } else { 0.001 })?;
    let rule = if name == "sgd" { sgd_rule(&mut o)? } else { adam_rule(name, &mut o)? };
    let clip = clip_option(&mut o)?;
    o.finish()?;
    let optimizer = if let Some(net) = target.clone().try_cast::<Net>() {
        Optimizer::of_net(rule, &net, lr, clip)?
    } else if let Some(items) = target.clone().try_cast::<Array>() {
        let tensors: Option<Vec<Tensor>> = items.into_iter().map(Dynamic::try_cast).collect();
        let wrong = || Error::new(name, "the array to optimise must hold tensors only");
        let tensors = tensors.ok_or_else(wrong)?;
        let handles: Vec<&tch::Tensor> = tensors.iter().map(|tensor| &**tensor).collect();
        Optimizer::of_tensors(rule, &handles, lr, clip)?
    } else {
        let given = options::describe(target);
        return Err(Error::new(name, format!("expects a network or an array of tensors, got {given}")));
    };
    Ok(optimizer.attached(&Run::of(context)))
}

fn sgd_rule(o: &mut Options) -> Result<Rule> {
    let momentum = o.between("momentum", 0.0, 0.0, 1.0)?;
    let weight_decay = o.non_negative("weight_decay", 0.0)?;
    let nesterov = o.flag("nesterov", false)?;
    if nesterov && momentum == 0.0 {
        return Err(Error::new("sgd", "nesterov needs a momentum above 0").word("nesterov"));
    }
    Ok(Rule::Sgd { momentum, weight_decay, nesterov })
}

fn adam_rule(name: &str, o: &mut Options) -> Result<Rule> {
    let decoupled = name == "adamw";
    let betas = betas(name, o.take("betas", "array of two numbers", "[0.9, 0.999]"))?;
    let eps = o.non_negative("eps", 1e-8)?;
    let weight_decay = o.non_negative("weight_decay", if decoupled { 0.01 } else { 0.0 })?;
    Ok(Rule::Adam { betas, eps, weight_decay, decoupled })
}

fn betas(name: &str, given: Option<Dynamic>) -> Result<(f64, f64)> {
    let Some(given) = given else { return Ok((0.9, 0.999)) };
    let items = given.clone().try_cast::<Array>().unwrap_or_default();
    let numbers: Vec<f64> = items.iter().filter_map(options::as_number).filter(|b| (0.0..1.0).contains(b)).collect();
    match numbers[..] {
        [first, second] if items.len() == 2 => Ok((first, second)),
        _ => {
            let message =
                format!("`betas` must be two numbers of at least 0 and below 1, got {}", options::describe(&given));
            Err(Error::new(name, message).word("betas"))
        }
    }
}

fn clip_option(o: &mut Options) -> Result<Option<f64>> {
    match o.maybe_number("clip")? {
        Some(limit) if limit <= 0.0 => Err(Error::new("", format!("`clip` must be above 0, got {limit}")).word("clip")),
        limit => Ok(limit),
    }
}

fn rate(value: f64) -> Result<f64> {
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(Error::new("lr", format!("the learning rate must be a number of at least 0, got {value}")))
}

/// Scales the gradients that `backward` left in a network's parameters so that their common norm is at most `limit`; returns
/// the norm before.
///
/// # Errors
/// When there are no gradients.
pub fn clip_grad_norm(net: &Net, limit: f64) -> Result<tch::Tensor> {
    let _guard = tch::no_grad_guard();
    let mut gradients = vec![];
    for (_, parameter) in net.trainable() {
        let gradient = parameter.f_grad().at("clip_grad_norm")?;
        if gradient.defined() {
            gradients.push(gradient);
        }
    }
    if gradients.is_empty() {
        return Err(Error::new("clip_grad_norm", "the parameters have no gradients").hint("call loss.backward() first"));
    }
    clip_norm(&mut gradients, limit)
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{build, clip_option, rate};
    use crate::nn::StepOptions;
    use crate::nn::net_script::{as_map, from_map};
    use crate::runtime::{Error, Options, Script, options};
    use crate::tensor::Tensor;
    use rhai::{Dynamic, Map, NativeCallContext};

    type Net = crate::nn::Net;

    /// An optimiser: holds the state of its parameters' updates. `lr` is readable and writable.
    pub type Optimizer = crate::nn::Optimizer;

    /// Stochastic gradient descent on a network, or on an array of tensors.
    ///
    /// `d = g + weight_decay * p; m = momentum * m + d; p -= lr * m` as in PyTorch, without dampening. The network is put into
    /// training mode; tensors are made to require gradients and are updated in place.
    ///
    /// # Signature
    /// sgd(net: Net | array of Tensor, #{ lr: float = 0.01, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = false, clip: float }) -> Optimizer
    ///
    /// # Options
    /// - `lr` (float, 0.01): learning rate
    /// - `momentum` (float, 0.0): weight of the earlier steps
    /// - `weight_decay` (float, 0.0): L2 penalty, added to the gradient
    /// - `nesterov` (bool, false): Nesterov's form of the momentum
    /// - `clip` (float, none): largest norm of the whole gradient
    ///
    /// # Example
    /// ```rhai
    /// let p = tensor([1.0]);
    /// let optimizer = sgd([p], #{ lr: 0.1 });
    /// optimizer.minimize((p * p).sum());
    /// assert_close(p, tensor([0.8]), 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sgd(context: NativeCallContext, target: Dynamic, options: Map) -> Script<Optimizer> {
        Ok(build(&context, "sgd", &target, options)?)
    }

    #[rhai_fn(name = "sgd", return_raw)]
    pub fn sgd_plain(context: NativeCallContext, target: Dynamic) -> Script<Optimizer> {
        sgd(context, target, Map::new())
    }

    /// Adam on a network, or on an array of tensors, with PyTorch's arithmetic. Source: Kingma and Ba, ICLR 2015.
    ///
    /// # Signature
    /// adam(net: Net | array of Tensor, #{ lr: float = 0.001, betas: array = [0.9, 0.999], eps: float = 1e-8, weight_decay: float = 0.0, clip: float }) -> Optimizer
    ///
    /// # Options
    /// - `lr` (float, 0.001): learning rate
    /// - `betas` (array of two floats, [0.9, 0.999]): decay of the two moments
    /// - `eps` (float, 1e-8): added to the denominator
    /// - `weight_decay` (float, 0.0): L2 penalty, added to the gradient
    /// - `clip` (float, none): largest norm of the whole gradient
    ///
    /// # Example
    /// ```rhai
    /// let p = tensor([1.0]);
    /// let optimizer = adam([p], #{ lr: 0.1 });
    /// optimizer.minimize((p * p).sum());
    /// assert_close(p, tensor([0.9]), 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn adam(context: NativeCallContext, target: Dynamic, options: Map) -> Script<Optimizer> {
        Ok(build(&context, "adam", &target, options)?)
    }

    #[rhai_fn(name = "adam", return_raw)]
    pub fn adam_plain(context: NativeCallContext, target: Dynamic) -> Script<Optimizer> {
        adam(context, target, Map::new())
    }

    /// AdamW on a network, or on an array of tensors: Adam whose decay shrinks the weights themselves. Source: Loshchilov and
    /// Hutter, ICLR 2019.
    ///
    /// # Signature
    /// adamw(net: Net | array of Tensor, #{ lr: float = 0.001, betas: array = [0.9, 0.999], eps: float = 1e-8, weight_decay: float = 0.01, clip: float }) -> Optimizer
    ///
    /// # Options
    /// - `lr` (float, 0.001): learning rate
    /// - `betas` (array of two floats, [0.9, 0.999]): decay of the two moments
    /// - `eps` (float, 1e-8): added to the denominator
    /// - `weight_decay` (float, 0.01): each step multiplies the weights by 1 - lr * weight_decay
    /// - `clip` (float, none): largest norm of the whole gradient
    ///
    /// # Example
    /// ```rhai
    /// let p = tensor([1.0]);
    /// let optimizer = adamw([p], #{ lr: 0.1, weight_decay: 0.5 });
    /// optimizer.minimize((p * p).sum());
    /// assert_close(p, tensor([0.85]), 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn adamw(context: NativeCallContext, target: Dynamic, options: Map) -> Script<Optimizer> {
        Ok(build(&context, "adamw", &target, options)?)
    }

    #[rhai_fn(name = "adamw", return_raw)]
    pub fn adamw_plain(context: NativeCallContext, target: Dynamic) -> Script<Optimizer> {
        adamw(context, target, Map::new())
    }

    /// One step that lowers `loss`: computes the gradients, clips them if asked to, and updates the parameters.
    ///
    /// The loss must be a single number that depends on the parameters, and be computed anew for every step. `l1` is what
    /// `loss + l1 * l1_norm(net)` gives, without the graph and the passes over all parameters: `l1 * sign(p)` is added to the
    /// gradient of every parameter. The penalty is not part of the loss that progress shows.
    ///
    /// # Signature
    /// minimize(optimizer: Optimizer, loss: Tensor[], #{ clip: float, l1: float = 0.0 })
    ///
    /// # Options
    /// - `clip` (float, the optimiser's): largest norm of the whole gradient
    /// - `l1` (float, 0.0): weight of the sum of the parameters' absolute values
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(2, 1);
    /// let optimizer = sgd(net, #{ lr: 0.1 });
    /// let before = net.forward(ones([1, 2])).item();
    /// optimizer.minimize(net.forward(ones([1, 2])).sum());
    /// assert(net.forward(ones([1, 2])).item() < before);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn minimize(optimizer: &mut Optimizer, loss: Tensor, options: Map) -> Script<()> {
        let mut o = Options::new("minimize", options);
        let usual = optimizer.usual();
        let how = StepOptions { clip: clip_option(&mut o)?.or(usual.clip), l1: o.non_negative("l1", 0.0)? };
        o.finish()?;
        Ok(optimizer.minimize_with(&loss, &how)?)
    }

    #[rhai_fn(name = "minimize", return_raw, pure)]
    pub fn minimize_plain(optimizer: &mut Optimizer, loss: Tensor) -> Script<()> {
        Ok(optimizer.minimize(&loss)?)
    }

    /// From now on the entries that are 0 (or false) in a mask keep the values they have, bit for bit, whatever the steps of
    /// this optimiser do; `()` releases all. Momentum of entries that were held does not act later.
    ///
    /// A mask is a map from parameter names to tensors of their shapes, e.g. from `saliency_mask` or `prune_mask`; parameters
    /// it does not name are free. A new mask takes the place of the old one.
    ///
    /// # Signature
    /// hold(optimizer: Optimizer, mask: map | ())
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(2, 1, #{ bias: false });
    /// let before = net.params().weight.copy();
    /// let optimizer = sgd(net, #{ lr: 0.1, momentum: 0.9, weight_decay: 0.1 });
    /// optimizer.hold(#{ weight: tensor([[0, 1]]) });
    /// for i in 0..3 { optimizer.minimize(net.forward(ones([1, 2])).sum()); }
    /// let moved = net.params().weight - before;
    /// assert(moved[0][0].item() == 0.0 && moved[0][1].item() < 0.0);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn hold(optimizer: &mut Optimizer, mask: Map) -> Script<()> {
        Ok(optimizer.hold(&from_map("hold", &mask)?)?)
    }

    #[rhai_fn(name = "hold", return_raw, pure)]
    pub fn release(optimizer: &mut Optimizer, _nothing: ()) -> Script<()> {
        Ok(optimizer.release()?)
    }

    /// One step from the gradients that `loss.backward()` left in the parameters.
    ///
    /// # Example
    /// ```rhai
    /// let p = tensor([1.0]);
    /// let optimizer = sgd([p], #{ lr: 0.1 });
    /// (p * p).sum().backward();
    /// optimizer.step();
    /// optimizer.zero_grad();
    /// assert_close(p, tensor([0.8]), 1e-6);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn step(optimizer: &mut Optimizer) -> Script<()> {
        Ok(optimizer.step()?)
    }

    /// Forgets the gradients that `loss.backward()` left in the parameters.
    ///
    /// # Example
    /// ```rhai
    /// let p = tensor([1.0]);
    /// let optimizer = sgd([p], #{ lr: 0.1 });
    /// (p * p).sum().backward();
    /// optimizer.zero_grad();
    /// optimizer.step();
    /// assert(p.item() == 1.0);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn zero_grad(optimizer: &mut Optimizer) -> Script<()> {
        Ok(optimizer.zero_grad()?)
    }

    /// The learning rate; assign to change it.
    ///
    /// # Example
    /// ```rhai
    /// let optimizer = sgd(nn::linear(2, 1), #{ lr: 0.1 });
    /// optimizer.lr *= 0.5;
    /// assert(optimizer.lr == 0.05);
    /// ```
    #[rhai_fn(get = "lr", pure)]
    pub fn lr(optimizer: &mut Optimizer) -> f64 {
        optimizer.lr()
    }

    #[rhai_fn(set = "lr", return_raw, pure)]
    pub fn set_lr(optimizer: &mut Optimizer, value: f64) -> Script<()> {
        optimizer.set_lr(rate(value)?);
        Ok(())
    }

    #[rhai_fn(set = "lr", return_raw, pure)]
    pub fn set_lr_integer(optimizer: &mut Optimizer, value: i64) -> Script<()> {
        optimizer.set_lr(rate(value as f64)?);
        Ok(())
    }

    /// The optimiser's state as a map of tensors: rate, steps, and PyTorch's state of each parameter. Copies.
    ///
    /// # Example
    /// ```rhai
    /// let state = sgd(nn::linear(2, 1), #{ momentum: 0.9 }).state();
    /// assert(state["weight.momentum_buffer"].shape == [1, 2]);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn state(optimizer: &mut Optimizer) -> Script<Map> {
        Ok(as_map(optimizer.state()?))
    }

    /// Takes up a saved state; what does not fit is an error and nothing is changed.
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(2, 1);
    /// let first = adam(net, #{ lr: 0.5 });
    /// let second = adam(net);
    /// second.load_state(first.state());
    /// assert(second.lr == 0.5);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn load_state(optimizer: &mut Optimizer, state: Map) -> Script<()> {
        Ok(optimizer.load_state(&from_map("load_state", &state)?)?)
    }

    /// Scales the gradients that `loss.backward()` left in a network's parameters so that their common norm is at most
    /// `limit`; returns the norm before.
    ///
    /// # Signature
    /// clip_grad_norm(net: Net, limit: float) -> Tensor[]
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(2, 1, #{ bias: false });
    /// net.forward(tensor([[3.0, 4.0]])).sum().backward();
    /// assert_close(clip_grad_norm(net, 1), tensor(5.0), 1e-5);
    /// assert_close(net.params().weight.grad, tensor([[0.6, 0.8]]), 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn clip_grad_norm(net: Net, limit: Dynamic) -> Script<Tensor> {
        let limit = options::as_number(&limit).filter(|limit| *limit > 0.0).ok_or_else(|| {
            let given = options::describe(&limit);
            Error::new("clip_grad_norm", format!("expects a norm above 0, got {given}"))
        })?;
        Ok(super::clip_grad_norm(&net, limit)?.into())
    }

    #[rhai_fn(name = "to_string", pure)]
    pub fn to_text(optimizer: &mut Optimizer) -> String {
        optimizer.to_string()
    }

    #[rhai_fn(name = "to_debug", pure)]
    pub fn to_debug_text(optimizer: &mut Optimizer) -> String {
        optimizer.to_string()
    }
}
