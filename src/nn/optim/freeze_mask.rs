//! Entries of parameters that keep their values bit for bit whatever the steps of an optimiser do: masks on its flat layout.

use crate::nn::optim::optimizer::{Hold, Member, Optimizer};
use crate::nn::parameter::copied;
use crate::runtime::options::nearest;
use crate::runtime::{At, Error, Result};
use tch::{Kind, Tensor};

impl Optimizer {
    /// Holds the entries that are 0 in a mask at the values they have now, after every step from now on; parameters the mask
    /// does not name are free. The state of entries that are or were held is forgotten, so that it does not act later.
    ///
    /// # Errors
    /// Names that are not among the parameters, shapes that differ.
    pub fn hold(&self, mask: &[(String, Tensor)]) -> Result<()> {
        let members = &self.0.members;
        if let Some((name, _)) = mask.iter().find(|(name, _)| !members.iter().any(|m| m.name == *name)) {
            let error = Error::new("hold", format!("the mask has `{name}`, which is not a parameter")).word(name);
            return Err(match nearest(name, members.iter().map(|m| m.name.as_str())) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            });
        }
        let _guard = tch::no_grad_guard();
        let (mut free, mut values) = (vec![], vec![]);
        for member in members {
            free.push(flags(member, mask)?);
            values.push(member.parameter.get().f_reshape([-1]).and_then(|p| copied(&p)).at("hold")?);
        }
        let join = |parts: &[Tensor]| Tensor::f_cat(parts, 0).at("hold");
        let hold = Hold { free: join(&free)?, values: join(&values)? };
        self.release()?;
        self.forget_state(&hold.free)?;
        *self.0.held.borrow_mut() = Some(hold);
        Ok(())
    }

    /// Lets all entries move again.
    ///
    /// # Errors
    /// Those of torch.
    pub fn release(&self) -> Result<()> {
        match self.0.held.borrow_mut().take() {
            Some(hold) => self.forget_state(&hold.free),
            None => Ok(()),
        }
    }

    /// Zeroes the optimiser's state where a mask is false.
    fn forget_state(&self, free: &Tensor) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let held = free.f_logical_not().at("hold")?;
        for state in self.0.state.borrow_mut().iter_mut() {
            let _ = state.f_masked_fill_(&held, 0.0).at("hold")?;
        }
        Ok(())
    }

    /// Takes the gradient of held entries away, where the norm of the whole matters.
    pub(super) fn mask_gradient(&self, members: &[&Member], gradient: &mut Tensor) -> Result<()> {
        let (Some(hold), Some(first)) = (&*self.0.held.borrow(), members.first()) else { return Ok(()) };
        let free = hold.free.f_narrow(0, first.offset, gradient.numel() as i64).at("hold")?;
        gradient.f_mul_(&free).map(drop).at("hold")
    }

    /// Puts the values of held entries back after a step.
    pub(super) fn restore_held(&self, members: &[&Member], values: &Tensor) -> Result<()> {
        let (Some(hold), Some(first)) = (&*self.0.held.borrow(), members.first()) else { return Ok(()) };
        let (shape, length) = (values.size(), values.numel() as i64);
        let part = |whole: &Tensor| whole.f_narrow(0, first.offset, length)?.f_view(shape.as_slice());
        let (free, kept) = (part(&hold.free).at("hold")?, part(&hold.values).at("hold")?);
        values.f_where_self_out(values, &free, &kept).map(drop).at("hold")
    }
}

/// Which entries of a parameter are free: flat, on its device.
fn flags(member: &Member, mask: &[(String, Tensor)]) -> Result<Tensor> {
    let parameter = member.parameter.get();
    let Some((name, given)) = mask.iter().find(|(name, _)| *name == member.name) else {
        return Tensor::f_ones([member.length], (Kind::Bool, parameter.device())).at("hold");
    };
    if given.size() != parameter.size() {
        let message =
            format!("the mask of `{name}` has shape {:?}, the parameter {:?}", given.size(), parameter.size());
        return Err(Error::new("hold", message));
    }
    let given = given.f_to_device(parameter.device()).and_then(|mask| mask.f_ne(0)).at("hold")?;
    given.f_reshape([-1]).at("hold")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::loss::{cross_entropy, l1_norm};
    use crate::nn::zoo::{ConvNetOptions, convnet};
    use crate::nn::{Net, Rule, Shape, StepOptions};
    use crate::runtime::Stream;
    use tch::Device;

    const SGD: Rule = Rule::Sgd { momentum: 0.9, weight_decay: 0.01, nesterov: true };

    fn adam(decoupled: bool) -> Rule {
        Rule::Adam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.1, decoupled }
    }

    fn net() -> Net {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let options = ConvNetOptions { width: 4, ..ConvNetOptions::default() };
        convnet(shape, 3, &options, &mut Stream::new(1, "init"), Device::Cpu).unwrap()
    }

    fn loss(net: &Net, seed: u64) -> Tensor {
        let x = Tensor::from_slice(&Stream::new(seed, "x").normals(6 * 64)).view([6, 1, 8, 8]);
        cross_entropy(&net.forward(&x).unwrap(), &Tensor::from_slice(&[0_i64, 1, 2, 0, 1, 2])).unwrap()
    }

    /// A random half of every parameter.
    fn half(net: &Net) -> Vec<(String, Tensor)> {
        let mut stream = Stream::new(9, "mask");
        let mut one = |(name, p): (String, Tensor)| {
            let draws = Tensor::from_slice(&stream.uniforms(p.numel(), -1.0, 1.0));
            (name, draws.view(p.size().as_slice()).gt(0.0))
        };
        net.parameters().into_iter().map(&mut one).collect()
    }

    #[test]
    fn held_entries_keep_their_bits_under_every_rule_and_free_ones_move() {
        for (rule, clip) in [(SGD, None), (SGD, Some(0.1)), (adam(false), None), (adam(true), Some(0.1))] {
            let (net, before) = (net(), net());
            let optimizer = Optimizer::of_net(rule.clone(), &net, 0.05, clip).unwrap();
            let mask = half(&net);
            optimizer.hold(&mask).unwrap();
            for seed in 0..4 {
                optimizer.minimize(&loss(&net, seed)).unwrap();
                for (((name, p), (_, old)), (_, free)) in net.parameters().iter().zip(before.parameters()).zip(&mask) {
                    let same = p.eq_tensor(&old);
                    assert!(bool::try_from(same.logical_or(free).all()).unwrap(), "{rule:?}: {name} moved");
                    let stuck = bool::try_from(same.logical_and(free).any()).unwrap();
                    assert!(!stuck || !name.starts_with("classifier"), "{rule:?}: free entries of {name} did not move");
                }
            }
        }
    }

    #[test]
    fn parameters_without_a_mask_are_free_and_released_entries_start_from_rest() {
        let net = net();
        let optimizer = Optimizer::of_net(SGD, &net, 0.05, None).unwrap();
        let weight = |net: &Net| net.parameters().pop().unwrap().1.copy();
        let zero = weight(&net).zeros_like();
        optimizer.hold(&[("classifier.bias".to_string(), zero)]).unwrap();
        let (bias, other) = (weight(&net), net.parameters()[0].1.copy());
        for seed in 0..3 {
            optimizer.minimize(&loss(&net, seed)).unwrap();
        }
        assert!(weight(&net).equal(&bias) && !net.parameters()[0].1.equal(&other));
        optimizer.release().unwrap();
        let state = optimizer.state().unwrap();
        let momentum = &state.iter().find(|(name, _)| name == "classifier.bias.momentum_buffer").unwrap().1;
        assert_eq!(momentum.abs().sum(Kind::Double).double_value(&[]), 0.0);
        optimizer.minimize(&loss(&net, 4)).unwrap();
        assert!(!weight(&net).equal(&bias));
    }

    #[test]
    fn masks_that_do_not_fit_are_named() {
        let optimizer = Optimizer::of_net(SGD, &net(), 0.05, None).unwrap();
        let one = Tensor::ones([2], (Kind::Float, Device::Cpu));
        let message = |name: &str| optimizer.hold(&[(name.to_string(), one.copy())]).unwrap_err().to_string();
        assert_eq!(message("classifier"), "hold: the mask has `classifier`, which is not a parameter");
        assert_eq!(message("classifier.bias"), "hold: the mask of `classifier.bias` has shape [2], the parameter [3]");
    }

    #[test]
    fn a_penalty_in_the_step_is_the_penalty_in_the_loss() {
        for clip in [None, Some(0.3)] {
            let (inside, outside) = (net(), net());
            let first = Optimizer::of_net(SGD, &inside, 0.05, None).unwrap();
            let second = Optimizer::of_net(SGD, &outside, 0.05, None).unwrap();
            for seed in 0..3 {
                first.minimize_with(&loss(&inside, seed), &StepOptions { clip, l1: 0.01 }).unwrap();
                let penalty: Tensor = l1_norm(&outside).unwrap() * 0.01;
                second.minimize_with(&(loss(&outside, seed) + penalty), &StepOptions { clip, l1: 0.0 }).unwrap();
            }
            for ((name, a), (_, b)) in inside.parameters().iter().zip(outside.parameters()) {
                assert!(a.allclose(&b, 1e-5, 1e-6, false), "{name}");
            }
        }
    }

    #[test]
    fn a_penalty_reaches_parameters_that_the_loss_does_not() {
        let net = net();
        let before = net.parameters()[0].1.copy();
        let rule = Rule::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
        let optimizer = Optimizer::of_net(rule, &net, 0.5, None).unwrap();
        let bias = net.parameters().pop().unwrap().1.square().sum(Kind::Float);
        optimizer.minimize_with(&bias, &StepOptions { clip: None, l1: 0.01 }).unwrap();
        let expected = &before - before.sign() * 0.005;
        assert!(net.parameters()[0].1.allclose(&expected, 1e-6, 1e-7, false));
    }
}
