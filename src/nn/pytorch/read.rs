//! PyTorch's files: a zip archive with the pickle `data.pkl` and one entry `data/<key>` for each storage, or what `torch.save`
//! wrote before PyTorch 1.6. Only tensors are taken; nothing in a file is run.

use crate::nn::pytorch::before_1_6::Legacy;
use crate::nn::pytorch::checkpoint::{Checkpoint, Element, Storage, Strided};
use crate::nn::pytorch::choose::{Group, Picked};
use crate::nn::pytorch::dictionaries;
use crate::nn::pytorch::dictionaries::{Dictionary, Origin, described};
use crate::nn::pytorch::fit_names::Shown;
use crate::nn::pytorch::pickle::{LARGEST_PICKLE, Pickle};
use crate::runtime::budget::Budget;
use crate::runtime::io_error::reason;
use crate::runtime::{At, Error, Result, regular};
use crate::tensor::io::content::Content;
use crate::tensor::io::safetensors_file::from_bytes;
use crate::tensor::io::{content, zip_archive};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tch::{Kind, Tensor};
use zip::{CompressionMethod, ZipArchive};

/// What was read of a file.
#[derive(Debug)]
pub struct Loaded {
    pub tensors: Vec<(String, Tensor)>,
    /// Tensors that could not be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// What a user has to know about it.
    pub remarks: Vec<String>,
}

/// Reads the tensors of a state dict, or of the largest one that a checkpoint holds, in the file's order, on the CPU. Tensors
/// of one storage share it, as they do in torch.
///
/// # Errors
/// A file that is not one of torch's, is damaged, holds no tensors that can be read, or would take more memory than it may.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>> {
    Ok(read_chosen(path, &mut |groups| super::choose::largest(groups, ""))?.tensors)
}

/// Reads the tensors of the state dict that `choose` picks, under the names it gives them.
///
/// # Errors
/// Those of [`read`] and of `choose`.
pub fn read_chosen(path: &Path, choose: &mut dyn FnMut(&[Group<'_>]) -> Result<Picked>) -> Result<Loaded> {
    let (mut source, bytes) = open(path)?;
    source.read(&bytes, choose).map_err(|error| about(path, error))
}

/// What a file is by its content.
///
/// # Errors
/// A file that cannot be read, a folder.
pub(crate) fn content_of(path: &Path) -> Result<Content> {
    let failed = |problem: std::io::Error| Error::file("load", path, reason(&problem));
    let facts = std::fs::metadata(path).map_err(failed)?;
    if facts.is_dir() {
        return Err(Error::file("load", path, "this is a folder"));
    }
    // What is read from a pipe is gone.
    if !facts.is_file() {
        return Ok(Content::Unknown);
    }
    let mut bytes = vec![];
    let file = regular::open(path).map_err(failed)?;
    file.take(content::ENOUGH as u64).read_to_end(&mut bytes).map_err(failed)?;
    Ok(content::of_bytes(&bytes, facts.len()))
}

/// Puts the path into a message.
pub(crate) fn about(path: &Path, error: Error) -> Error {
    match error {
        Error::Fault(mut fault) => {
            fault.message = format!("{}: {}", path.display(), fault.message);
            Error::Fault(fault)
        }
        other => other,
    }
}

/// Opens a file of torch's: where its storages are, and the bytes of its pickle.
fn open(path: &Path) -> Result<(Source, Vec<u8>)> {
    let file = regular::open(path).map_err(|error| Error::file("load", path, reason(&error)))?;
    match content_of(path)? {
        Content::OldTorch => {
            let (legacy, bytes) = Legacy::open(path, file)?;
            Ok((Source { storages: Storages::Old(legacy), read: HashMap::new() }, bytes))
        }
        Content::Zip | Content::Unknown => {
            let (archive, bytes) = Archive::open(path, file)?;
            Ok((Source { storages: Storages::Zip(archive), read: HashMap::new() }, bytes))
        }
        other => Err(other.refused("load", path)),
    }
}

/// Where the storages of a file are.
enum Storages {
    Zip(Archive),
    Old(Legacy),
}

struct Source {
    storages: Storages,
    /// The storages that were read, by their names.
    read: HashMap<String, Tensor>,
}

impl Source {
    fn read(&mut self, bytes: &[u8], choose: &mut dyn FnMut(&[Group<'_>]) -> Result<Picked>) -> Result<Loaded> {
        let pickle = match &mut self.storages {
            Storages::Zip(_) => Pickle::<Checkpoint>::read(bytes)?,
            Storages::Old(legacy) => legacy.pickle(bytes)?,
        };
        let found = dictionaries::find(&pickle)?;
        let picked = choose(&groups(&found))?;
        let Some(dictionary) = found.get(picked.group) else { return Err(Error::new("load", "holds no state dict")) };
        self.tensors(dictionary, picked)
    }

    fn tensors(&mut self, dictionary: &Dictionary<'_>, picked: Picked) -> Result<Loaded> {
        let mut loaded = Loaded { tensors: vec![], unreadable: vec![], remarks: picked.remarks };
        loaded.remarks.extend(origin(dictionary));
        let mut names = HashSet::new();
        for ((_, strided), name) in dictionary.tensors.iter().zip(picked.names) {
            let Some(name) = name else { continue };
            if !names.insert(name.clone()) {
                return Err(Error::new("load", format!("two tensors have the name {name:?}")));
            }
            match self.tensor(strided) {
                Ok(tensor) => loaded.tensors.push((name, tensor)),
                Err(Error::Fault(fault)) => loaded.unreadable.push((name, fault.message)),
                Err(other) => return Err(other),
            }
        }
        let others = dictionary.others.iter().map(|(name, other)| (name.to_string(), described(other)));
        if loaded.tensors.is_empty()
            && let Some((name, why)) = loaded.unreadable.iter().cloned().chain(others).next()
        {
            return Err(Error::new("load", format!("{name}: {why}"))
                .hint("save the weights alone: torch.save(net.state_dict(), path)"));
        }
        Ok(loaded)
    }

    fn tensor(&mut self, strided: &Strided) -> Result<Tensor> {
        let storage = &strided.storage;
        let kind = match storage.element {
            Element::Known(kind) => kind,
            Element::Other(words, _) => {
                return Err(Error::new("load", format!("its elements are {words}, which have no counterpart here")));
            }
        };
        let budget = match &self.storages {
            Storages::Zip(archive) => &archive.budget,
            Storages::Old(legacy) => &legacy.budget,
        };
        check(strided, budget)?;
        let flat = self.storage(storage, kind)?;
        let view =
            flat.f_as_strided(strided.size.as_slice(), strided.stride.as_slice(), strided.offset + storage.start);
        view.at("load")
    }

    /// The elements of a storage, which is read once.
    fn storage(&mut self, storage: &Storage, kind: Kind) -> Result<Tensor> {
        if let Some(flat) = self.read.get(&storage.key) {
            if flat.f_kind().at("load")? != kind || flat.size() != [storage.count] {
                return Err(Error::new("load", format!("storage {} is described in two ways", storage.key)));
            }
            return Ok(flat.shallow_clone());
        }
        let mut bytes = match &mut self.storages {
            Storages::Zip(archive) => archive.storage(storage, kind)?,
            Storages::Old(legacy) => legacy.storage(storage, kind)?,
        };
        if matches!(&self.storages, Storages::Zip(archive) if archive.big_endian) {
            bytes.chunks_exact_mut(kind.elt_size_in_bytes()).for_each(<[u8]>::reverse);
        }
        let count = (bytes.len() / kind.elt_size_in_bytes()) as i64;
        let wrong = |problem| Error::new("load", format!("storage {}: {problem}", storage.key));
        let flat = from_bytes(&bytes, &[count], kind).map_err(wrong)?;
        self.read.insert(storage.key.clone(), flat.shallow_clone());
        Ok(flat)
    }
}

/// What has to be said about where tensors come from.
fn origin(dictionary: &Dictionary<'_>) -> Option<String> {
    let what = match &dictionary.origin {
        Origin::Dictionary => return None,
        Origin::Network(class) => format!("a whole network ({class})"),
        Origin::Script => "a network of TorchScript".to_string(),
    };
    Some(format!(
        "{what}, not a state dict: its tensors were read, its code was not run; \
         torch.save(net.state_dict(), path) saves the tensors alone"
    ))
}

fn groups<'f>(found: &'f [Dictionary<'_>]) -> Vec<Group<'f>> {
    let group = |dictionary: &'f Dictionary<'_>| {
        let shown: Vec<Shown<'f>> =
            dictionary.tensors.iter().map(|(name, tensor)| (&**name, tensor.size.as_slice())).collect();
        let others = dictionary.others.iter().map(|(name, value)| (&**name, described(value))).collect();
        Group { path: &dictionary.path, rank: dictionary.rank, shown, others }
    };
    found.iter().map(group).collect()
}

struct Archive {
    zip: ZipArchive<File>,
    /// What the file's entries may take.
    budget: Budget,
    /// The folder that everything in the archive lies in, with its slash.
    folder: String,
    /// Whether the first byte of an element is the most significant.
    big_endian: bool,
}

impl Archive {
    /// Opens an archive, and reads its pickle.
    fn open(path: &Path, file: File) -> Result<(Self, Vec<u8>)> {
        let length = file.metadata().map_err(|error| Error::file("load", path, reason(&error)))?.len();
        let zip = zip_archive::open(file).map_err(|error| {
            Error::file("load", path, format!("not a complete file of torch.save ({error})"))
                .hint("copy or download the file again: it is cut off, damaged, or of another kind")
        })?;
        let names: Vec<String> =
            zip.file_names().filter_map(std::result::Result::ok).map(|name| name.to_string()).collect();
        let found = names.iter().filter_map(|name| name.strip_suffix("data.pkl")).min_by_key(|folder| folder.len());
        let Some(folder) = found.map(str::to_string) else {
            return Err(content::of_archive(names.iter().map(String::as_str)).refused("load", path));
        };
        let mut archive = Self { zip, budget: Budget::of(length), folder, big_endian: false };
        let bytes = archive.entry("data.pkl", Some(LARGEST_PICKLE)).map_err(|error| about(path, error))?;
        archive.big_endian = archive.entry("byteorder", Some(64)).is_ok_and(|order| order.starts_with(b"big"));
        Ok((archive, bytes))
    }

    /// The bytes of an entry, which torch stores uncompressed: none can be larger than the file.
    fn entry(&mut self, name: &str, largest: Option<u64>) -> Result<Vec<u8>> {
        let full = format!("{}{name}", self.folder);
        let damaged = |problem: String| Error::new("load", format!("entry {full}: {problem}"));
        let mut entry = self.zip.by_name(&full).map_err(|error| damaged(zip_archive::words(error)))?;
        if entry.compression() != CompressionMethod::Stored || entry.compressed_size() != entry.size() {
            return Err(damaged("compressed, as torch never writes it".into()));
        }
        if largest.is_some_and(|largest| entry.size() > largest) {
            return Err(damaged(format!("{} bytes are too many", entry.size())));
        }
        self.budget.take(entry.size()).map_err(damaged)?;
        // The size comes from the file and may lie: memory grows with what is really there.
        let mut bytes = vec![];
        entry.read_to_end(&mut bytes).map_err(|error| damaged(zip_archive::words(error)))?;
        Ok(bytes)
    }

    fn storage(&mut self, storage: &Storage, kind: Kind) -> Result<Vec<u8>> {
        let bytes = self.entry(&format!("data/{}", storage.key), None)?;
        let wanted = usize::try_from(storage.count).ok().and_then(|n| n.checked_mul(kind.elt_size_in_bytes()));
        if wanted != Some(bytes.len()) {
            let given = format!("storage {} has {} bytes, not {} elements", storage.key, bytes.len(), storage.count);
            return Err(Error::new("load", given));
        }
        Ok(bytes)
    }
}

/// Shape, strides and offset stay within the storage. A tensor may be larger than it (a number expanded to many, say), up
/// to what the file could take if it were written out.
fn check(t: &Strided, budget: &Budget) -> Result<()> {
    let given = || format!("shape {:?}, strides {:?}, offset {}", t.size, t.stride, t.offset);
    let outside = || {
        let message = format!("a tensor ({}) reaches beyond its storage of {} elements", given(), t.storage.count);
        Error::new("load", message)
    };
    let negative =
        t.size.iter().chain(&t.stride).chain([&t.offset, &t.storage.count, &t.storage.start]).any(|n| *n < 0);
    if negative || t.size.len() != t.stride.len() {
        let message = format!("a tensor ({}) of a storage of {} elements is none of torch's", given(), t.storage.count);
        return Err(Error::new("load", message));
    }
    let first = t.offset.checked_add(t.storage.start).ok_or_else(outside)?;
    if t.size.contains(&0) {
        return if first <= t.storage.count { Ok(()) } else { Err(outside()) };
    }
    let last = t
        .size
        .iter()
        .zip(&t.stride)
        .try_fold(first, |at, (n, step)| (n - 1).checked_mul(*step).and_then(|span| at.checked_add(span)));
    if last.is_none_or(|last| last >= t.storage.count) {
        return Err(outside());
    }
    let width = t.storage.element.width() as u64;
    let bytes = t.size.iter().try_fold(width, |all, n| all.checked_mul(n.unsigned_abs())).unwrap_or(u64::MAX);
    let large = |problem| Error::new("load", format!("a tensor ({}): {problem}", given()));
    budget.allows(bytes).map_err(large)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pth").join(name)
    }

    fn values(t: &Tensor) -> Vec<f64> {
        Vec::<f64>::try_from(t.to_kind(tch::Kind::Double).flatten(0, -1)).unwrap()
    }

    fn names(state: &[(String, Tensor)]) -> Vec<&str> {
        state.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_state_dict_comes_with_names_in_order_and_every_dtype() {
        let state = read(&file("plain.pth")).unwrap();
        assert_eq!(
            names(&state),
            ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]
        );
        assert_eq!(state[0].1.size(), [2, 1, 1, 3]);
        assert_eq!(values(&state[0].1), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(state[6].1.f_kind().unwrap(), tch::Kind::Int64);
        assert_eq!(values(&state[6].1), [7.0]);
        let kinds = read(&file("dtypes.pth")).unwrap();
        let expected = ["f16", "bf16", "f64", "i32", "i16", "i8", "u8", "bool"];
        assert_eq!(names(&kinds), expected);
        for (name, tensor) in &kinds {
            assert_eq!(values(tensor), [0.0, 1.0, 1.0], "{name}");
        }
    }

    #[test]
    fn views_respect_offsets_and_strides_and_shared_storages() {
        let state = read(&file("views.pth")).unwrap();
        let find = |name: &str| &state.iter().find(|(n, _)| n == name).unwrap().1;
        assert_eq!(values(find("transposed")), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(values(find("row")), [3.0, 4.0, 5.0]);
        assert_eq!(find("empty").size(), [0, 4]);
        assert_eq!(values(find("parameter")), [8.0, 9.0]);
        assert_eq!(find("scalar").size(), Vec::<i64>::new());
    }

    #[test]
    fn checkpoints_and_wrapped_modules_give_their_state_dict() {
        for name in ["nested.pth", "wrapped.pth"] {
            assert_eq!(names(&read(&file(name)).unwrap()), ["weight", "bias"], "{name}");
        }
    }

    #[test]
    fn a_file_that_would_run_code_is_refused_by_the_name_it_asks_for_and_a_network_gives_its_tensors() {
        let error = read(&file("malicious.pth")).unwrap_err().to_string();
        assert!(error.contains("posix.system"), "{error}");
        assert_eq!(names(&read(&file("module.pth")).unwrap()), ["weight", "bias"]);
    }

    #[test]
    fn damaged_files_are_errors_and_what_is_whole_in_them_is_read() {
        let error = read(&file("truncated.pth")).unwrap_err().to_string();
        assert!(error.contains("not a complete file"), "{error}");
        for (name, part) in [("short_storage.pth", "bytes, not"), ("beyond.pth", "reaches beyond its storage")] {
            let loaded =
                read_chosen(&file(name), &mut |groups| crate::nn::pytorch::choose::largest(groups, "")).unwrap();
            assert_eq!(loaded.unreadable.len(), 1, "{name}");
            assert!(loaded.unreadable[0].1.contains(part), "{name}: {:?}", loaded.unreadable);
            assert!(!loaded.tensors.is_empty(), "{name}");
        }
        assert!(!read(&file("legacy.pth")).unwrap().is_empty(), "files before PyTorch 1.6 are read");
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_a_pickle_is_read_without_harm() {
        let bytes = std::fs::read(file("plain.pth")).unwrap();
        let mut zip = ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut pickle = vec![];
        zip.by_name("plain/data.pkl").unwrap().read_to_end(&mut pickle).unwrap();
        for length in 0..pickle.len() {
            assert!(Pickle::<Checkpoint>::read(&pickle[..length]).is_err());
        }
        for at in 0..pickle.len() {
            for flip in [1, 0x40, 0xff] {
                let mut changed = pickle.clone();
                changed[at] ^= flip;
                if let Ok(read) = Pickle::<Checkpoint>::read(&changed) {
                    let found = dictionaries::find(&read).unwrap_or_default();
                    for (_, strided) in found.iter().flat_map(|dictionary| &dictionary.tensors) {
                        let _ = check(strided, &Budget::of(0));
                    }
                }
            }
        }
    }
}
