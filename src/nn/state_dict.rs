//! State dicts: taking up values by name with every shape checked, and the hash that names a set of weights.

use crate::nn::net::Net;
use crate::nn::pytorch::fit_names::{Shown, optional};
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
        let sizes: Vec<Vec<i64>> = mine.iter().map(|(_, parameter)| parameter.get().size()).collect();
        let wanted: Vec<Shown<'_>> =
            mine.iter().zip(&sizes).map(|((name, _), size)| (name.as_str(), size.as_slice())).collect();
        let shapes: Vec<Vec<i64>> = state.iter().map(|(_, values)| values.size()).collect();
        let shown: Vec<Shown<'_>> =
            state.iter().zip(&shapes).map(|((name, _), shape)| (name.as_str(), shape.as_slice())).collect();
        compare(operation, &wanted, &shown)?;
        let given: HashMap<&str, &Tensor> = state.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let pairs = mine.iter().filter_map(|(name, parameter)| Some((parameter, given.get(name.as_str())?)));
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

/// Compares the names and shapes of a network with those of a state.
///
/// # Errors
/// The first parameter that is missing, differs in shape, or is not the network's.
pub(super) fn compare(operation: &str, wanted: &[Shown<'_>], state: &[Shown<'_>]) -> Result<()> {
    let given: HashMap<&str, &[i64]> = state.iter().copied().collect();
    for (name, expected) in wanted {
        match given.get(name) {
            Some(got) if got == expected => {}
            Some(got) => {
                let message = format!("{name}: the network has shape {expected:?}, the state {got:?}");
                return Err(
                    Error::new(operation, message).hint("build the network with the options the state was saved with")
                );
            }
            None if optional(name) => {}
            None => return Err(missing(operation, name, state)),
        }
    }
    let known: HashSet<&str> = wanted.iter().map(|(name, _)| *name).collect();
    match state.iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => Err(missing_here(operation, name, known)),
        None => Ok(()),
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

fn missing(operation: &str, name: &str, state: &[Shown<'_>]) -> Error {
    let error = Error::new(operation, format!("the state has no {name:?}, which the network needs"));
    let prefix = state.iter().find_map(|(given, _)| given.strip_suffix(name).filter(|front| front.ends_with('.')));
    if let Some(prefix) = prefix {
        let hint = format!("take {prefix:?} off the state's names; load(net, path) does so itself");
        return error.note(format!("the state has \"{prefix}{name}\"")).hint(hint);
    }
    match nearest(name, state.iter().map(|(name, _)| *name)) {
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
