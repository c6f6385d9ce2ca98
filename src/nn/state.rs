//! State dicts: taking up values by name with every shape checked, and the hash that names a set of weights.

use super::net::Net;
use crate::runtime::hex::hex_of;
use crate::runtime::options::nearest;
use crate::runtime::{At, Error, Result};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use tch::{Device, Kind, Tensor};

impl Net {
    /// Takes up the values of a state dict. Every name and shape is compared before anything is changed. Where the values are
    /// not this network's own, `forget_origin` has to follow.
    ///
    /// # Errors
    /// The first parameter that is missing, differs in shape, or is not the network's.
    pub fn load_state(&self, state: &[(String, Tensor)]) -> Result<()> {
        self.load_state_as("load_state", state)
    }

    pub(super) fn load_state_as(&self, operation: &str, state: &[(String, Tensor)]) -> Result<()> {
        let mine = self.named_state();
        let given: HashMap<&str, &Tensor> = state.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let known: HashSet<&str> = mine.iter().map(|(name, _)| name.as_str()).collect();
        let mut pairs = vec![];
        for (name, parameter) in &mine {
            let Some(values) = given.get(name.as_str()) else {
                // Files written before PyTorch counted batches lack the counter.
                if name.ends_with("num_batches_tracked") {
                    continue;
                }
                return Err(missing(operation, name, given.keys().copied()));
            };
            let (expected, got) = (parameter.get().size(), values.size());
            if expected != got {
                return Err(Error::new(
                    operation,
                    format!("{name}: the network has shape {expected:?}, the state {got:?}"),
                )
                .hint("build the network with the options the state was saved with"));
            }
            pairs.push((parameter, *values));
        }
        if let Some((name, _)) = state.iter().find(|(name, _)| !known.contains(name.as_str())) {
            return Err(missing_here(operation, name, known));
        }
        pairs.into_iter().try_for_each(|(parameter, values)| parameter.assign(values))
    }

    /// The first 16 hexadecimal digits of a SHA-256 over names, shapes and values of parameters and buffers.
    ///
    /// # Errors
    /// Those of torch.
    pub fn weights_hash(&self) -> Result<String> {
        hash(&self.state())
    }
}

/// The hash of a state dict in its order: that of the network it is of.
///
/// # Errors
/// Those of torch.
pub fn hash(state: &[(String, Tensor)]) -> Result<String> {
    let mut hasher = Sha256::new();
    for (name, tensor) in state {
        hasher.update(name.as_bytes());
        hasher.update(format!("{:?}", tensor.size()).as_bytes());
        hasher.update(bytes(tensor)?);
    }
    Ok(hex_of(&hasher.finalize(), 8))
}

/// The elements of a tensor as bytes of the host.
fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let _guard = tch::no_grad_guard();
    let host = tensor.f_detach().and_then(|t| t.f_to_device(Device::Cpu)).and_then(|t| t.f_contiguous());
    let host = host.at("weights_hash")?;
    let kind: Kind = host.f_kind().at("weights_hash")?;
    let mut buffer = vec![0; host.numel() * kind.elt_size_in_bytes()];
    host.f_copy_data_u8(&mut buffer, host.numel()).at("weights_hash")?;
    Ok(buffer)
}

fn missing<'a>(operation: &str, name: &str, given: impl Iterator<Item = &'a str>) -> Error {
    let error = Error::new(operation, format!("the state has no {name:?}, which the network needs"));
    match nearest(name, given) {
        Some(near) => error.note(format!("nearest name in the state: {near}")),
        None => error.hint("build the network with the options the state was saved with"),
    }
}

fn missing_here(operation: &str, name: &str, known: HashSet<&str>) -> Error {
    let error = Error::new(operation, format!("the state has {name:?}, which the network does not"));
    match nearest(name, known) {
        Some(near) => error.note(format!("nearest name in the network: {near}")),
        None => error.hint("build the network with the options the state was saved with"),
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::zoo::{MlpOptions, mlp};
    use crate::nn::{Net, Shape};
    use crate::runtime::Stream;
    use tch::Device;

    fn net(hidden: usize, seed: u64) -> Net {
        let shape = Shape { channels: 1, height: 2, width: 2 };
        mlp(shape, 3, &MlpOptions { hidden: vec![hidden] }, &mut Stream::new(seed, "init"), Device::Cpu).unwrap()
    }

    #[test]
    fn a_state_that_does_not_fit_names_the_first_difference_and_changes_nothing() {
        let target = net(5, 0);
        let before = target.weights_hash().unwrap();
        let error = target.load_state(&net(6, 1).state()).unwrap_err().to_string();
        assert_eq!(error, "load_state: features.0.weight: the network has shape [5, 4], the state [6, 4]");
        let mut state = net(5, 1).state();
        let last = state.pop().unwrap();
        let error = target.load_state(&state).unwrap_err().to_string();
        assert_eq!(error, "load_state: the state has no \"classifier.bias\", which the network needs");
        state.push(last);
        state.push(("extra".into(), tch::Tensor::new()));
        let error = target.load_state(&state).unwrap_err().to_string();
        assert_eq!(error, "load_state: the state has \"extra\", which the network does not");
        assert_eq!(target.weights_hash().unwrap(), before);
        state.pop();
        target.load_state(&state).unwrap();
        assert_eq!(target.weights_hash().unwrap(), net(5, 1).weights_hash().unwrap());
    }
}
