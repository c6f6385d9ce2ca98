//! Networks and optimisers on disk: safetensors, PyTorch's files and NumPy's archives. Files are known by their content when they
//! are read, and have the format of their name's extension when they are written.

use crate::nn::net::Net;
use crate::nn::optim::optimizer::Optimizer;
use crate::nn::pytorch;
use crate::nn::pytorch::choose::{Group, Picked, fitting, largest};
use crate::nn::pytorch::dictionaries::Rank;
use crate::nn::pytorch::fit_names::{Shown, Wanted};
use crate::nn::pytorch::read::{Loaded, about, content_of};
use crate::runtime::{Error, Result, Run};
use crate::tensor::io::content::Content;
use crate::tensor::io::{npz, safetensors_file};
use std::path::Path;
use tch::Tensor;

/// Tensors by name, in the order of the file.
type Tensors = Vec<(String, Tensor)>;

/// Endings of names under which files of torch.save go.
const TORCH: [&str; 7] = ["pth", "pt", "bin", "ckpt", "tar", "t7", "torch"];

/// Endings of names of files that are not written here.
const FOREIGN: [&str; 16] = [
    "onnx", "h5", "hdf5", "keras", "npy", "mat", "gguf", "pkl", "pickle", "zip", "gz", "json", "csv", "txt", "tflite",
    "pb",
];

/// Writes named tensors in the format that the name asks for: torch.save's, NumPy's, else safetensors.
fn write(path: &Path, state: &[(String, Tensor)]) -> Result<()> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    match extension.as_str() {
        torch if TORCH.contains(&torch) => pytorch::write::save("save", path, state),
        "npz" => npz::save_npz(path, state),
        other if FOREIGN.contains(&other) => {
            Err(Error::file("save", path, format!("weights are not written as .{other} files"))
                .hint("end the name with .safetensors, .pth or .npz"))
        }
        _ => safetensors_file::save_safetensors(path, state),
    }
}

/// Reads the named tensors that `choose` picks, whatever the file's name.
fn read(path: &Path, choose: &mut dyn FnMut(&[Group<'_>]) -> Result<Picked>) -> Result<Loaded> {
    let named = match content_of(path)? {
        Content::Safetensors | Content::Unknown => safetensors_file::load_safetensors(path)?,
        Content::Zip if is_npz(path) => npz::load_npz(path)?,
        Content::Zip | Content::OldTorch => return pytorch::read::read_chosen(path, choose),
        other => return Err(other.refused("load", path)),
    };
    let shapes: Vec<Vec<i64>> = named.iter().map(|(_, tensor)| tensor.size()).collect();
    let shown: Vec<Shown<'_>> =
        named.iter().zip(&shapes).map(|((name, _), shape)| (name.as_str(), shape.as_slice())).collect();
    let group = Group { path: "", rank: Rank::Usual(0), shown, others: vec![] };
    let picked = choose(&[group]).map_err(|error| about(path, error))?;
    let tensors = named.into_iter().zip(picked.names).filter_map(|((_, tensor), name)| Some((name?, tensor)));
    Ok(Loaded { tensors: tensors.collect(), unreadable: vec![], remarks: picked.remarks })
}

/// Whether a zip archive is one of NumPy's: it has arrays, and no pickle of torch.save.
fn is_npz(path: &Path) -> bool {
    let archive =
        crate::runtime::regular::open(path).ok().and_then(|file| crate::tensor::io::zip_archive::open(file).ok());
    let Some(archive) = archive else { return false };
    let mut arrays = false;
    for name in archive.file_names().filter_map(std::result::Result::ok) {
        if name.ends_with("data.pkl") {
            return false;
        }
        arrays |= name.ends_with(".npy");
    }
    arrays
}

/// Reads all tensors of a file, or those of the dictionary that `key` names: the tensors, and what has to be said about them.
fn read_all(path: &Path, key: &str) -> Result<(Tensors, Vec<String>)> {
    let loaded = read(path, &mut |groups| largest(groups, key))?;
    let mut remarks = loaded.remarks;
    if let Some((name, why)) = loaded.unreadable.first() {
        let (bad, all) = (loaded.unreadable.len(), loaded.unreadable.len() + loaded.tensors.len());
        remarks.push(format!("{bad} of {all} tensors could not be read: {name}: {why}"));
    }
    Ok((loaded.tensors, remarks))
}

impl Net {
    /// Writes parameters and buffers, in the format of the name's extension; the file appears whole or not at all.
    ///
    /// # Errors
    /// Paths that cannot be written; extensions of formats that are not written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write(path, &self.state())
    }

    /// Takes up the parameters and buffers of a file, of the state dict in it that fits. Names and shapes are compared before
    /// values are read; wrappers' prefixes and torchvision's names of the last layer and of shortcuts are understood. `key`
    /// names the state dict where several fit. What the parameters were before they were trained is not known then. Gives
    /// what has to be said about the file.
    ///
    /// # Errors
    /// Missing or damaged files; the first parameter that differs.
    pub fn load(&self, path: &Path, key: &str) -> Result<Vec<String>> {
        let state = self.state();
        let shapes: Vec<Vec<i64>> = state.iter().map(|(_, tensor)| tensor.size()).collect();
        let names = state.iter().zip(&shapes).map(|((name, _), shape)| (name.as_str(), shape.as_slice())).collect();
        let wanted = Wanted::new(names);
        let loaded = read(path, &mut |groups| fitting(groups, &wanted, key))?;
        if let Some((name, why)) = loaded.unreadable.first() {
            return Err(Error::file("load", path, format!("{name}: {why}")));
        }
        self.load_state_as("load", &loaded.tensors).map_err(|error| about(path, error))?;
        self.forget_origin();
        Ok(loaded.remarks)
    }
}

impl Optimizer {
    /// Writes the state, in the format of the name's extension; the file appears whole or not at all.
    ///
    /// # Errors
    /// Paths that cannot be written; extensions of formats that are not written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write(path, &self.state()?)
    }

    /// Takes up the state of a file that `save` wrote.
    ///
    /// # Errors
    /// Missing or damaged files; states that do not fit.
    pub fn load(&self, path: &Path) -> Result<()> {
        let (state, _) = read_all(path, "")?;
        self.load_state(&state).map_err(|error| about(path, error))
    }
}

/// Tells a user what has to be known about a file.
fn say(context: &rhai::NativeCallContext<'_>, path: &str, remarks: &[String]) {
    let run = Run::of(context);
    remarks.iter().for_each(|remark| run.progress().warn(&format!("{path}: {remark}")));
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{read_all, say};
    use crate::nn::net_script::as_map;
    use crate::runtime::places::{to_read, to_write};
    use crate::runtime::{Run, Script};
    use rhai::{Map, NativeCallContext};

    type Net = crate::nn::Net;
    type Optimizer = crate::nn::Optimizer;

    /// Writes a network's parameters and buffers to a file, or an optimiser's state. The file appears whole or not at all.
    ///
    /// The name's extension says the format: `.pth`, `.pt`, `.bin`, `.ckpt`, `.tar` and `.t7` are files that `torch.load` reads,
    /// `.npz` is NumPy's, other names are safetensors. `load` knows a file by its content.
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

    /// Loads a file's values into a network or an optimiser: a file of `torch.save` (also of PyTorch before 1.6), safetensors or
    /// npz, known by its content and not by its name.
    ///
    /// All names and shapes are compared first; the first that differs is an error and nothing is changed. Only tensors are
    /// read and nothing in a file is run. Of a checkpoint the state dict is taken whose names and shapes fit the network,
    /// wherever it lies. Where several fit, `state_dict`, `model` and other usual names come first, then any other, averages
    /// (`ema`, `swa`) last; the others are named, and `key` chooses: load(net, path, "ema"). Prefixes of wrappers and enclosing
    /// networks (`module.`, `_orig_mod.`, `model.`) and torchvision's `fc` and `downsample` are understood.
    ///
    /// # Signature
    /// load(net: Net | Optimizer, path: string, key: string = "")
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(4, 2);
    /// let path = temporary_path("net.pth");
    /// save(net, path);
    /// net.reset();
    /// load(net, path);
    /// assert(net.params().weight.shape == [2, 4]);
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn load(context: NativeCallContext, net: &mut Net, path: &str) -> Script<()> {
        load_key(context, net, path, "")
    }

    #[rhai_fn(name = "load", return_raw, pure)]
    pub fn load_key(context: NativeCallContext, net: &mut Net, path: &str, key: &str) -> Script<()> {
        let remarks = net.load(&to_read(&Run::of(&context), path), key)?;
        say(&context, path, &remarks);
        Ok(())
    }

    #[rhai_fn(name = "load", return_raw, pure)]
    pub fn load_optimizer(context: NativeCallContext, optimizer: &mut Optimizer, path: &str) -> Script<()> {
        Ok(optimizer.load(&to_read(&Run::of(&context), path))?)
    }

    /// The tensors of a PyTorch state dict (`.pth`) as a map, on the CPU. Only tensors are read and nothing is run.
    ///
    /// Of a checkpoint the dictionary with the most tensors is read; `key` names another: load_pth(path, "ema"). `module.` and
    /// other prefixes of wrappers are taken off. Files are known by their content: safetensors and npz are read as well. What
    /// cannot be read is named, the rest is read. Tensors of one storage share it, as in PyTorch: what changes one in place
    /// changes the others; `copy()` parts them.
    ///
    /// # Signature
    /// load_pth(path: string, key: string = "") -> map
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("net.pth");
    /// save(nn::linear(4, 2), path);
    /// assert(load_pth(path).weight.shape == [2, 4]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load_pth(context: NativeCallContext, path: &str) -> Script<Map> {
        load_pth_key(context, path, "")
    }

    #[rhai_fn(name = "load_pth", return_raw)]
    pub fn load_pth_key(context: NativeCallContext, path: &str, key: &str) -> Script<Map> {
        let (tensors, remarks) = read_all(&to_read(&Run::of(&context), path), key)?;
        say(&context, path, &remarks);
        Ok(as_map(tensors))
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
        other.load(&path, "").unwrap();
        assert_eq!(other.weights_hash().unwrap(), net(5, 0).weights_hash().unwrap());
        let error = net(6, 0).load(&path, "").unwrap_err().to_string();
        let expected =
            format!("load: {}: features.0.weight: the network has shape [6, 4], the state [5, 4]", path.display());
        assert_eq!(error, expected);
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(other.load(&path, "").unwrap_err().to_string().contains("net.safetensors"));
        assert!(other.load(&folder.path().join("missing"), "").is_err());
    }

    #[test]
    fn a_network_of_torchvisions_names_is_taken_up() {
        let shape = Shape { channels: 3, height: 32, width: 32 };
        let options = ResNetOptions { width: 2, norm: Norm::Batch };
        let make = |seed| resnet18(shape, 4, &options, &mut Stream::new(seed, "i"), Device::Cpu).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theirs.safetensors");
        let back = |name: &str| name.replace("classifier.", "fc.").replace("shortcut.", "downsample.");
        let state: Vec<_> = make(1).state().into_iter().map(|(name, tensor)| (back(&name), tensor)).collect();
        assert!(state.iter().any(|(name, _)| name == "fc.bias"));
        safetensors_file::save_safetensors(&path, &state).unwrap();
        let net = make(2);
        net.load(&path, "").unwrap();
        assert_eq!(net.weights_hash().unwrap(), make(1).weights_hash().unwrap());
    }
}
