//! Saving an optimiser's state and taking it up again.

use crate::nn::optim::optimizer::Optimizer;
use crate::nn::parameter::copied;
use crate::runtime::{At, Error, Result};
use tch::Tensor;

impl Optimizer {
    /// Everything that has to be saved beside the parameters to go on later: rate, steps, and PyTorch's state for each
    /// parameter, e.g. `features.0.weight.momentum_buffer`. The tensors are copies.
    ///
    /// # Errors
    /// Those of torch.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let _guard = tch::no_grad_guard();
        self.prepare_state()?;
        let steps: Vec<i64> = self.0.members.iter().map(|m| m.steps.get()).collect();
        let mut found = vec![
            ("lr".to_string(), Tensor::f_from_slice(&[self.lr()]).at("state")?),
            ("steps".to_string(), Tensor::f_from_slice(&steps).at("state")?),
        ];
        for (name, whole) in self.0.rule.state_names().iter().zip(self.0.state.borrow().iter()) {
            for member in &self.0.members {
                let piece = whole.f_narrow(0, member.offset, member.length);
                let shape = member.parameter.get().size();
                let piece = piece.and_then(|p| p.f_view(shape.as_slice())).and_then(|p| copied(&p)).at("state")?;
                found.push((format!("{}.{name}", member.name), piece));
            }
        }
        Ok(found)
    }

    /// Takes up a saved state.
    ///
    /// # Errors
    /// A state of another optimiser or network, named by the first entry that is missing or does not fit.
    pub fn load_state(&self, saved: &[(String, Tensor)]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let find = |name: &str, shape: &[i64]| {
            let found = saved.iter().find(|(n, _)| n == name).map(|(_, t)| t);
            let found = found.ok_or_else(|| Error::new("load_state", format!("the state has no entry {name:?}")))?;
            if found.size() == shape {
                return Ok(found);
            }
            Err(Error::new("load_state", format!("{name}: expected shape {shape:?}, got {:?}", found.size())))
        };
        let lr = find("lr", &[1])?.f_double_value(&[0]).at("load_state")?;
        let steps = find("steps", &[self.0.members.len() as i64])?;
        let mut pieces = vec![];
        for name in self.0.rule.state_names() {
            for member in &self.0.members {
                pieces.push(find(&format!("{}.{name}", member.name), &member.parameter.get().size())?);
            }
        }
        self.prepare_state()?;
        let mut pieces = pieces.into_iter();
        for whole in self.0.state.borrow().iter() {
            for (member, piece) in self.0.members.iter().zip(pieces.by_ref()) {
                let mut target = whole.f_narrow(0, member.offset, member.length).at("load_state")?;
                piece.f_reshape([-1]).and_then(|piece| target.f_copy_(&piece)).map(drop).at("load_state")?;
            }
        }
        for (i, member) in self.0.members.iter().enumerate() {
            member.steps.set(steps.f_int64_value(&[i as i64]).at("load_state")?);
        }
        self.set_lr(lr);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::loss::cross_entropy;
    use crate::nn::zoo::{ConvNetOptions, convnet};
    use crate::nn::{AdamOptions, Net, Optimizer, SgdOptions, Shape};
    use crate::runtime::Stream;
    use tch::{Device, Kind, Tensor};

    fn net() -> Net {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let options = ConvNetOptions { width: 4, ..ConvNetOptions::default() };
        convnet(shape, 3, &options, &mut Stream::new(1, "init"), Device::Cpu).unwrap()
    }

    fn optimizer(net: &Net, name: &str) -> Optimizer {
        let adam = AdamOptions { weight_decay: 0.01, ..AdamOptions::default() };
        match name {
            "sgd" => Optimizer::sgd(net, &SgdOptions { momentum: 0.9, weight_decay: 1e-3, ..SgdOptions::default() }),
            "adam" => Optimizer::adam(net, &adam),
            _ => Optimizer::adamw(net, &adam),
        }
        .unwrap()
    }

    fn train(net: &Net, optimizer: &Optimizer, seeds: std::ops::Range<u64>) {
        for seed in seeds {
            let x = Tensor::from_slice(&Stream::new(seed, "x").normals(6 * 64)).view([6, 1, 8, 8]);
            let y = Tensor::from_slice(&[0_i64, 1, 2, 0, 1, 2]);
            optimizer.minimize(&cross_entropy(&net.forward(&x).unwrap(), &y).unwrap()).unwrap();
        }
    }

    #[test]
    fn training_interrupted_and_taken_up_equals_training_in_one_go_bit_for_bit() {
        for name in ["sgd", "adam", "adamw"] {
            let (whole, halved) = (net(), net());
            let first = optimizer(&whole, name);
            first.set_lr(0.02);
            train(&whole, &first, 0..6);
            let before = optimizer(&halved, name);
            before.set_lr(0.02);
            train(&halved, &before, 0..3);
            let (weights, state) = (halved.copy().unwrap(), before.state().unwrap());
            let later = net();
            later.load_state(&weights.state()).unwrap();
            let after = optimizer(&later, name);
            after.load_state(&state).unwrap();
            train(&later, &after, 3..6);
            assert_eq!(whole.weights_hash().unwrap(), later.weights_hash().unwrap(), "{name}");
        }
    }

    #[test]
    fn a_state_of_another_network_is_refused_and_nothing_changes() {
        let net = net();
        let optimizer = optimizer(&net, "sgd");
        let mut state = optimizer.state().unwrap();
        state.retain(|(name, _)| name != "classifier.bias.momentum_buffer");
        state[0].1 = Tensor::from_slice(&[9.0_f64]);
        let error = optimizer.load_state(&state).unwrap_err().to_string();
        assert_eq!(error, "load_state: the state has no entry \"classifier.bias.momentum_buffer\"");
        assert_eq!(optimizer.lr(), 0.01);
    }

    #[test]
    fn a_kept_state_does_not_move_with_the_optimiser() {
        let net = net();
        let optimizer = optimizer(&net, "sgd");
        let state = optimizer.state().unwrap();
        train(&net, &optimizer, 0..1);
        let total: f64 = state.iter().skip(2).map(|(_, t)| t.abs().sum(Kind::Double).double_value(&[])).sum();
        assert_eq!(total, 0.0);
    }
}
