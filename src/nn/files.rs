//! Networks and optimisers on disk: safetensors, and reading PyTorch's `.pth`.

use super::net::Net;
use super::optim::Optimizer;
use super::pth;
use crate::runtime::{Error, Result};
use crate::tensor::files;
use std::collections::HashSet;
use std::path::Path;
use tch::Tensor;

/// torchvision's names of the parts that are called otherwise here.
const TORCHVISION: [(&str, &str); 2] = [("fc.", "classifier."), ("downsample.", "shortcut.")];

/// Reads named tensors: `.pth`, `.pt` and `.bin` as torch.save writes them, anything else as safetensors.
///
/// # Errors
/// Missing or damaged files.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    if matches!(extension.as_str(), "pth" | "pt" | "bin" | "tar") {
        pth::read(path)
    } else {
        files::load_safetensors(path)
    }
}

fn put_path(path: &Path) -> impl Fn(Error) -> Error + '_ {
    move |error| match error {
        Error::Fault(mut fault) => {
            fault.message = format!("{}: {}", path.display(), fault.message);
            Error::Fault(fault)
        }
        other => other,
    }
}

impl Net {
    /// Writes parameters and buffers as safetensors; the file appears whole or not at all.
    ///
    /// # Errors
    /// Paths that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::save_safetensors(path, &self.state())
    }

    /// Takes up the parameters and buffers of a file. Names and shapes are compared first; torchvision's names of the last
    /// layer and of shortcuts are understood. What the parameters were before they were trained is not known then.
    ///
    /// # Errors
    /// Missing or damaged files; the first parameter that differs.
    pub fn load(&self, path: &Path) -> Result<()> {
        let mut state = read(path)?;
        let known: HashSet<String> = self.state().into_iter().map(|(name, _)| name).collect();
        for (name, _) in &mut state {
            if !known.contains(name.as_str()) {
                let renamed = TORCHVISION.iter().fold(name.clone(), |n, (theirs, ours)| rename(&n, theirs, ours));
                if known.contains(&renamed) {
                    *name = renamed;
                }
            }
        }
        self.load_state_as("load", &state).map_err(put_path(path))?;
        self.forget_origin();
        Ok(())
    }
}

/// Replaces a part of a dotted name, which has to begin at the start or after a dot.
fn rename(name: &str, theirs: &str, ours: &str) -> String {
    match name.strip_prefix(theirs) {
        Some(rest) => format!("{ours}{rest}"),
        None => name.replace(&format!(".{theirs}"), &format!(".{ours}")),
    }
}

impl Optimizer {
    /// Writes the state as safetensors; the file appears whole or not at all.
    ///
    /// # Errors
    /// Paths that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::save_safetensors(path, &self.state()?)
    }

    /// Takes up the state of a file that `save` wrote.
    ///
    /// # Errors
    /// Missing or damaged files; states that do not fit.
    pub fn load(&self, path: &Path) -> Result<()> {
        self.load_state(&files::load_safetensors(path)?).map_err(put_path(path))
    }
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::nn::face::as_map;
    use crate::runtime::places::{to_read, to_write};
    use crate::runtime::{Run, Script};
    use rhai::{Map, NativeCallContext};

    type Net = crate::nn::Net;
    type Optimizer = crate::nn::Optimizer;

    /// Writes a network's parameters and buffers to a safetensors file, or an optimiser's state. The file appears whole or
    /// not at all.
    ///
    /// # Signature
    /// save(net: Net | Optimizer, path: string)
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(4, 2);
    /// let path = temporary_path("net.safetensors");
    /// save(net, path);
    /// let other = nn::linear(4, 2);
    /// load(other, path);
    /// assert(net.weights_hash() == other.weights_hash());
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn save(context: NativeCallContext, net: &mut Net, path: &str) -> Script<()> {
        Ok(net.save(&to_write(&Run::of(&context), "save", path)?)?)
    }

    #[rhai_fn(name = "save", return_raw, pure)]
    pub fn save_optimizer(context: NativeCallContext, optimizer: &mut Optimizer, path: &str) -> Script<()> {
        Ok(optimizer.save(&to_write(&Run::of(&context), "save", path)?)?)
    }

    /// Loads a file into a network or an optimiser: safetensors, or for networks a PyTorch state dict (`.pth`, `.pt`).
    ///
    /// All names and shapes are compared first; the first that differs is an error and nothing is changed. Of a `.pth` file
    /// only tensors are read and nothing is run; checkpoints that hold the state dict under `state_dict` or `model` and names
    /// that begin with `module.` are understood, and torchvision's `fc` and `downsample`.
    ///
    /// # Signature
    /// load(net: Net | Optimizer, path: string)
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(4, 2);
    /// let path = temporary_path("net.safetensors");
    /// save(net, path);
    /// net.reset();
    /// load(net, path);
    /// assert(net.params().weight.shape == [2, 4]);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn load(context: NativeCallContext, net: &mut Net, path: &str) -> Script<()> {
        Ok(net.load(&to_read(&Run::of(&context), path))?)
    }

    #[rhai_fn(name = "load", return_raw, pure)]
    pub fn load_optimizer(context: NativeCallContext, optimizer: &mut Optimizer, path: &str) -> Script<()> {
        Ok(optimizer.load(&to_read(&Run::of(&context), path))?)
    }

    /// The tensors of a PyTorch state dict (`.pth`) as a map, on the CPU. Only tensors are read and nothing is run.
    ///
    /// Tensors of one storage share it, as in PyTorch: what changes one in place changes the others; `copy()` parts them.
    ///
    /// # Example
    /// ```rhai
    /// let message = "";
    /// try { load_pth("missing.pth") } catch (e) { message = e.message; }
    /// assert(message.contains("missing.pth"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load_pth(context: NativeCallContext, path: &str) -> Script<Map> {
        Ok(as_map(super::pth::read(&to_read(&Run::of(&context), path))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Shape;
    use crate::nn::zoo::{MlpOptions, Norm, ResNetOptions, mlp, resnet18};
    use crate::runtime::Stream;
    use tch::Device;

    fn net(hidden: usize, seed: u64) -> Net {
        let shape = Shape { channels: 1, height: 2, width: 2 };
        mlp(shape, 3, &MlpOptions { hidden: vec![hidden] }, &mut Stream::new(seed, "init"), Device::Cpu).unwrap()
    }

    #[test]
    fn a_saved_network_comes_back_and_another_shape_is_refused_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        net(5, 0).save(&path).unwrap();
        let other = net(5, 1);
        other.load(&path).unwrap();
        assert_eq!(other.weights_hash().unwrap(), net(5, 0).weights_hash().unwrap());
        let error = net(6, 0).load(&path).unwrap_err().to_string();
        let expected =
            format!("load: {}: features.0.weight: the network has shape [6, 4], the state [5, 4]", path.display());
        assert_eq!(error, expected);
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(other.load(&path).unwrap_err().to_string().contains("net.safetensors"));
        assert!(other.load(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn torchvision_names_are_understood() {
        assert_eq!(rename("fc.weight", "fc.", "classifier."), "classifier.weight");
        let theirs = "layer2.0.downsample.1.running_mean";
        assert_eq!(rename(theirs, "downsample.", "shortcut."), "layer2.0.shortcut.1.running_mean");
        assert_eq!(rename("xfc.weight", "fc.", "classifier."), "xfc.weight");
        let shape = Shape { channels: 3, height: 32, width: 32 };
        let options = ResNetOptions { width: 2, norm: Norm::Batch };
        let make = |seed| resnet18(shape, 4, &options, &mut Stream::new(seed, "i"), Device::Cpu).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theirs.safetensors");
        let back = |name: &str| rename(&rename(name, "classifier.", "fc."), "shortcut.", "downsample.");
        let state: Vec<_> = make(1).state().into_iter().map(|(name, tensor)| (back(&name), tensor)).collect();
        assert!(state.iter().any(|(name, _)| name == "fc.bias"));
        files::save_safetensors(&path, &state).unwrap();
        let net = make(2);
        net.load(&path).unwrap();
        assert_eq!(net.weights_hash().unwrap(), make(1).weights_hash().unwrap());
    }
}
