//! PyTorch's `.pth` files: a zip archive with the pickle `data.pkl` and one entry `data/<key>` for each storage.

use super::pickle::{self, Arena, Dialect, Pickle, corrupt};
use crate::runtime::budget::{Budget, MOST_DIMENSIONS};
use crate::runtime::{At, Error, Result, regular};
use crate::tensor::archive;
use crate::tensor::files::{from_bytes, reason};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use tch::{Kind, Tensor};
use zip::{CompressionMethod, ZipArchive};

/// Keys under which checkpoints keep their state dict.
const NESTS: [&str; 5] = ["state_dict", "model", "net", "model_state_dict", "module"];

/// Largest `data.pkl`: names and shapes alone are far smaller.
const LARGEST_PICKLE: u64 = 64 << 20;

/// Longest name of a storage; torch numbers them.
const LONGEST_KEY: usize = 256;

/// A value of a `.pth` file's pickle.
type Value<'a> = pickle::Value<'a, Object>;

/// A storage of the archive: the entry `data/<key>`.
#[derive(Debug)]
struct Storage {
    key: String,
    kind: Kind,
    count: i64,
}

/// A tensor: a storage seen through offset, shape and strides, unchecked.
#[derive(Debug)]
struct Strided {
    storage: Rc<Storage>,
    offset: i64,
    size: Vec<i64>,
    stride: Vec<i64>,
}

/// The names a file may mention, and what they make.
#[derive(Debug, Clone)]
enum Object {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Kind(Kind),
    Storage(Rc<Storage>),
    Tensor(Rc<Strided>),
}

/// The pickles that `torch.save` writes of a state dict.
struct StateDict;

impl<'a> Dialect<'a> for StateDict {
    type Object = Object;
    const OPERATION: &'static str = "load";
    const CONTENT: &'static str = "a state dict";
    const HINT: &'static str = "save the weights alone: torch.save(net.state_dict(), path)";

    fn global(module: &str, name: &str) -> Option<Object> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Object::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Object::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Object::RebuildParameter,
            ("torch", storage) => Object::Kind(match storage {
                "FloatStorage" => Kind::Float,
                "DoubleStorage" => Kind::Double,
                "HalfStorage" => Kind::Half,
                "BFloat16Storage" => Kind::BFloat16,
                "LongStorage" => Kind::Int64,
                "IntStorage" => Kind::Int,
                "ShortStorage" => Kind::Int16,
                "CharStorage" => Kind::Int8,
                "ByteStorage" => Kind::Uint8,
                "BoolStorage" => Kind::Bool,
                _ => return None,
            }),
            _ => return None,
        })
    }

    fn call(arena: &mut Arena<'a, Self>, function: &Value<'a>, arguments: &Value<'a>) -> Result<Value<'a>> {
        Ok(match (function, arena.items(arguments)?) {
            (Value::Object(Object::OrderedDict), []) => arena.dict(),
            (
                Value::Object(Object::RebuildTensor),
                [Value::Object(Object::Storage(storage)), Value::Int(offset), size, stride, Value::Bool(_), ..],
            ) => {
                // Checked before it is copied: a pickle can name one long tuple again and again.
                if arena.items(size)?.len().max(arena.items(stride)?.len()) > MOST_DIMENSIONS {
                    return Err(corrupt::<Self>(&format!("a tensor of more than {MOST_DIMENSIONS} dimensions")));
                }
                let (size, stride) = (arena.integers(size)?, arena.integers(stride)?);
                let storage = Rc::clone(storage);
                Value::Object(Object::Tensor(Rc::new(Strided { storage, offset: *offset, size, stride })))
            }
            (Value::Object(Object::RebuildParameter), [tensor @ Value::Object(Object::Tensor(_)), ..]) => {
                tensor.clone()
            }
            _ => return Err(corrupt::<Self>("a call that a state dict does not need")),
        })
    }

    /// The state of an ordered dictionary (its `_metadata`) is of no interest.
    fn state(_arena: &mut Arena<'a, Self>, object: Value<'a>, _state: &Value<'a>) -> Result<Value<'a>> {
        match object {
            Value::Dict(_) => Ok(object),
            _ => Err(corrupt::<Self>("state for something other than a dictionary")),
        }
    }

    fn outside(arena: &Arena<'a, Self>, id: &Value<'a>) -> Result<Value<'a>> {
        match arena.items(id)? {
            [Value::Text("storage"), Value::Object(Object::Kind(kind)), Value::Text(key), _, Value::Int(count)]
                if key.len() <= LONGEST_KEY =>
            {
                let storage = Storage { key: (*key).to_string(), kind: *kind, count: *count };
                Ok(Value::Object(Object::Storage(Rc::new(storage))))
            }
            _ => Err(corrupt::<Self>("a reference that is not to a storage")),
        }
    }
}

/// Reads the tensors of a state dict, or of a checkpoint that holds one, in the file's order, on the CPU. Tensors of one
/// storage share it, as they do in torch.
///
/// # Errors
/// A file that is not one of torch's, is damaged, asks for anything but tensors, or for more memory than it may take.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let file = regular::open(path).map_err(|error| Error::file("load", path, reason(&error)))?;
    let mut archive = Archive::open(path, file)?;
    let bytes = archive.entry("data.pkl", Some(LARGEST_PICKLE))?;
    if archive.entry("byteorder", Some(64)).is_ok_and(|order| order.starts_with(b"big")) {
        return Err(Error::file("load", path, "written on a big-endian machine"));
    }
    let pickle = Pickle::<StateDict>::read(&bytes).map_err(|error| about(path, error))?;
    let named = state_dict(&pickle).ok_or_else(|| {
        Error::file("load", path, "holds no state dict").hint("save one with torch.save(net.state_dict(), path)")
    })?;
    let mut storages = HashMap::new();
    let mut tensors = vec![];
    let mut names = HashSet::new();
    for (name, strided) in named {
        if !names.insert(name) {
            return Err(Error::file("load", path, format!("two tensors have the name {name:?}")));
        }
        let tensor = archive.tensor(strided, &mut storages).map_err(|error| about(path, error))?;
        tensors.push((name.to_string(), tensor));
    }
    let wrapped = !tensors.is_empty() && tensors.iter().all(|(name, _)| name.starts_with("module."));
    if wrapped {
        tensors.iter_mut().for_each(|(name, _)| *name = name.trim_start_matches("module.").to_string());
    }
    Ok(tensors)
}

/// Puts the path into a message.
fn about(path: &Path, error: Error) -> Error {
    match error {
        Error::Fault(mut fault) => {
            fault.message = format!("{}: {}", path.display(), fault.message);
            Error::Fault(fault)
        }
        other => other,
    }
}

/// The named tensors of the root dictionary, or of the one that a checkpoint keeps under a usual name.
fn state_dict<'p>(pickle: &'p Pickle<'_, StateDict>) -> Option<Vec<(&'p str, &'p Strided)>> {
    let root = pickle.arena.entries(&pickle.root)?;
    let direct = tensors(root);
    if !direct.is_empty() || root.is_empty() {
        return Some(direct);
    }
    let nested = |nest: &&str| root.iter().find(|(key, _)| matches!(key, Value::Text(text) if text == nest));
    let (_, inner) = NESTS.iter().find_map(nested)?;
    Some(tensors(pickle.arena.entries(inner)?)).filter(|found| !found.is_empty())
}

fn tensors<'p>(entries: &'p [(Value<'_>, Value<'_>)]) -> Vec<(&'p str, &'p Strided)> {
    let named = entries.iter().filter_map(|(key, value)| match (key, value) {
        (Value::Text(name), Value::Object(Object::Tensor(tensor))) => Some((*name, &**tensor)),
        _ => None,
    });
    named.collect()
}

struct Archive {
    zip: ZipArchive<File>,
    /// What the file's entries may take.
    budget: Budget,
    /// The folder that everything in the archive lies in, with its slash.
    folder: String,
}

impl Archive {
    fn open(path: &Path, file: File) -> Result<Self> {
        let length = file.metadata().map_err(|error| Error::file("load", path, reason(&error)))?.len();
        let zip = archive::open(file).map_err(|error| {
            Error::file("load", path, format!("not a complete file of torch.save ({error})"))
                .hint("files written before PyTorch 1.6 have to be loaded and saved again there")
        })?;
        let mut names = zip.file_names().filter_map(std::result::Result::ok);
        let found = names.find_map(|name| name.strip_suffix("data.pkl").map(str::to_string));
        drop(names);
        let folder = found.ok_or_else(|| Error::file("load", path, "a zip archive without data.pkl, not torch's"))?;
        Ok(Self { zip, budget: Budget::of(length), folder })
    }

    /// The bytes of an entry, which torch stores uncompressed: none can be larger than the file.
    fn entry(&mut self, name: &str, largest: Option<u64>) -> Result<Vec<u8>> {
        let full = format!("{}{name}", self.folder);
        let damaged = |problem: String| Error::new("load", format!("entry {full}: {problem}"));
        let mut entry = self.zip.by_name(&full).map_err(|error| damaged(error.to_string()))?;
        if entry.compression() != CompressionMethod::Stored || entry.compressed_size() != entry.size() {
            return Err(damaged("compressed, as torch never writes it".into()));
        }
        if largest.is_some_and(|largest| entry.size() > largest) {
            return Err(damaged(format!("{} bytes are too many", entry.size())));
        }
        self.budget.take(entry.size()).map_err(damaged)?;
        // The size comes from the file and may lie: memory grows with what is really there.
        let mut bytes = vec![];
        entry.read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
        Ok(bytes)
    }

    fn tensor(&mut self, strided: &Strided, storages: &mut HashMap<String, Tensor>) -> Result<Tensor> {
        check(strided, &self.budget)?;
        let storage = &strided.storage;
        let known = storages.get(&storage.key).map(Tensor::shallow_clone);
        let flat = match known {
            Some(flat) => flat,
            None => {
                let bytes = self.entry(&format!("data/{}", storage.key), None)?;
                let wanted =
                    usize::try_from(storage.count).ok().map(|n| n.checked_mul(storage.kind.elt_size_in_bytes()));
                if wanted.flatten() != Some(bytes.len()) {
                    let given =
                        format!("storage {} has {} bytes, not {} elements", storage.key, bytes.len(), storage.count);
                    return Err(Error::new("load", given));
                }
                let wrong = |problem| Error::new("load", format!("storage {}: {problem}", storage.key));
                let flat = from_bytes(&bytes, &[storage.count], storage.kind).map_err(wrong)?;
                storages.insert(storage.key.clone(), flat.shallow_clone());
                flat
            }
        };
        if flat.size() != [storage.count] || flat.f_kind().at("load")? != storage.kind {
            return Err(Error::new("load", format!("storage {} is described in two ways", storage.key)));
        }
        let view = flat.f_as_strided(strided.size.as_slice(), strided.stride.as_slice(), strided.offset);
        view.at("load")
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
    let negative = t.size.iter().chain(&t.stride).chain([&t.offset, &t.storage.count]).any(|n| *n < 0);
    if negative || t.size.len() != t.stride.len() {
        let message = format!("a tensor ({}) of a storage of {} elements is none of torch's", given(), t.storage.count);
        return Err(Error::new("load", message));
    }
    if t.size.contains(&0) {
        return if t.offset <= t.storage.count { Ok(()) } else { Err(outside()) };
    }
    let last = t
        .size
        .iter()
        .zip(&t.stride)
        .try_fold(t.offset, |at, (n, step)| (n - 1).checked_mul(*step).and_then(|span| at.checked_add(span)));
    if last.is_none_or(|last| last >= t.storage.count) {
        return Err(outside());
    }
    let width = t.storage.kind.elt_size_in_bytes() as u64;
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
    fn a_file_that_would_run_code_is_refused_by_the_name_it_asks_for() {
        let error = read(&file("malicious.pth")).unwrap_err().to_string();
        assert!(error.contains("posix.system"), "{error}");
        let error = read(&file("module.pth")).unwrap_err().to_string();
        assert!(error.contains("torch.nn.modules.linear.Linear"), "{error}");
    }

    #[test]
    fn damaged_files_are_errors() {
        for (name, part) in [
            ("truncated.pth", "not a complete file"),
            ("short_storage.pth", "bytes, not"),
            ("beyond.pth", "reaches beyond its storage"),
            ("legacy.pth", "not a complete file"),
        ] {
            let error = read(&file(name)).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_a_pickle_is_read_without_harm() {
        let bytes = std::fs::read(file("plain.pth")).unwrap();
        let mut zip = ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut pickle = vec![];
        zip.by_name("plain/data.pkl").unwrap().read_to_end(&mut pickle).unwrap();
        for length in 0..pickle.len() {
            assert!(Pickle::<StateDict>::read(&pickle[..length]).is_err());
        }
        for at in 0..pickle.len() {
            for flip in [1, 0x40, 0xff] {
                let mut changed = pickle.clone();
                changed[at] ^= flip;
                if let Ok(read) = Pickle::<StateDict>::read(&changed) {
                    state_dict(&read)
                        .unwrap_or_default()
                        .iter()
                        .for_each(|(_, strided)| drop(check(strided, &Budget::of(0))));
                }
            }
        }
    }
}
