//! Files of named tensors: safetensors, with a few words about where they came from.

pub use crate::runtime::atomic_file::write_atomically;
use crate::runtime::budget::{self, Budget, MOST_DIMENSIONS, size};
use crate::runtime::io_error::reason;
use crate::runtime::places::{asked, extension};
pub use crate::runtime::write_place::create_folders;
use crate::runtime::{At, Error, Result, regular, text};
use crate::tensor::dtype::kind_of;
use crate::tensor::io::content::{Content, explained};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The whole content of a file.
///
/// # Errors
/// A missing or unreadable file, a folder, a pipe or device, or one larger than the memory that is free.
pub fn read_bytes(operation: &str, path: &Path) -> Result<Vec<u8>> {
    let failed = |problem: std::io::Error| Error::file(operation, path, reason(&problem));
    let mut file = regular::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(Error::file(operation, path, "this is a folder"));
    }
    let budget = Budget::of(about.len());
    budget.allows(about.len()).map_err(|problem| Error::file(operation, path, problem))?;
    let mut bytes = Vec::new();
    let size = usize::try_from(about.len()).unwrap_or(usize::MAX);
    if bytes.try_reserve_exact(size).is_err() {
        return Err(Error::file(operation, path, format!("no memory for {size} bytes")));
    }
    (&mut file).take(budget.limit().saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    budget.allows(bytes.len() as u64).map_err(|problem| Error::file(operation, path, problem))?;
    Ok(bytes)
}

/// The text of a file, without a byte order mark.
///
/// # Errors
/// Those of [`read_bytes`]; what is no text.
pub fn read_text(operation: &str, path: &Path) -> Result<String> {
    text::decode(read_bytes(operation, path)?).map_err(|problem| Error::file(operation, path, problem))
}

/// What a file says about its tensors.
pub type Notes = BTreeMap<String, String>;

/// Reads the named tensors of a safetensors file, on the host, in the order of the file.
///
/// # Errors
/// A missing, truncated or corrupt file; element types that tensors here do not have.
pub fn load_safetensors(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
    Ok(load_noted("load_safetensors", path.as_ref())?.0)
}

/// Reads named tensors and the notes beside them.
///
/// # Errors
/// As [`load_safetensors`].
pub fn load_noted(operation: &str, path: &Path) -> Result<(Vec<(String, Tensor)>, Notes)> {
    let bytes = read_bytes(operation, path)?;
    parse_safetensors(&bytes).map_err(|problem| explained(operation, path, &bytes, Content::Safetensors, problem))
}

/// A file's tensors that can be read, and the others with the reason.
type Readable = (Vec<(String, Tensor)>, Vec<(String, String)>);

/// Reads the tensors of a safetensors file that can be read.
///
/// # Errors
/// A missing, truncated or corrupt file; one in which no tensor can be read.
fn load_partly(operation: &str, path: &Path) -> Result<Readable> {
    let bytes = read_bytes(operation, path)?;
    let found = parse_partly(&bytes);
    let Partly { tensors, left_out, .. } =
        found.map_err(|problem| explained(operation, path, &bytes, Content::Safetensors, problem))?;
    match left_out.first() {
        Some((name, reason)) if tensors.is_empty() => {
            Err(Error::file(operation, path, format!("tensor {name:?}: {reason}")))
        }
        _ => Ok((tensors, left_out)),
    }
}

/// Reads the notes of a safetensors file from its header alone.
///
/// # Errors
/// A missing file, a header that is truncated or no JSON. The tensors behind it may still be damaged.
pub fn read_notes(operation: &str, path: &Path) -> Result<Notes> {
    let failed = |problem: std::io::Error| Error::file(operation, path, reason(&problem));
    let mut file = regular::open(path).map_err(failed)?;
    let room = file.metadata().map_err(failed)?.len().saturating_sub(8);
    let mut first = [0; 8];
    file.read_exact(&mut first).map_err(failed)?;
    let length = u64::from_le_bytes(first);
    if length > room.min(MAX_HEADER) {
        return Err(Error::file(operation, path, "the header claims more bytes than it can have (truncated?)"));
    }
    let mut header = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact(&mut header).map_err(failed)?;
    let broken = |problem: serde_json::Error| Error::file(operation, path, format!("its header is broken: {problem}"));
    let header: Header = serde_json::from_slice(&header).map_err(broken)?;
    Ok(header.notes)
}

/// Bytes of a tensor below which the system is not asked whether it has them.
const LARGE: u64 = 1 << 28;

/// What the format allows a header to be long.
const MAX_HEADER: u64 = 100_000_000;

/// The one field of a safetensors header that is about the file as a whole.
#[derive(serde::Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    notes: Notes,
}

/// The named tensors of a safetensors file's bytes, in the order of the file, and the notes beside them.
///
/// # Errors
/// Damage, and tensors of types that nothing here has, in words.
pub fn parse_safetensors(bytes: &[u8]) -> std::result::Result<(Vec<(String, Tensor)>, Notes), String> {
    let Partly { tensors, notes, left_out } = parse_partly(bytes)?;
    match left_out.first() {
        Some((name, reason)) => Err(format!("tensor {name:?}: {reason}")),
        None => Ok((tensors, notes)),
    }
}

/// What a safetensors file holds.
pub struct Partly {
    /// The tensors that can be read, in the order of the file.
    pub tensors: Vec<(String, Tensor)>,
    /// The notes beside them.
    pub notes: Notes,
    /// The others, and why.
    pub left_out: Vec<(String, String)>,
}

/// As [`parse_safetensors`], without the tensors of types that nothing here has.
///
/// # Errors
/// Damage, in words.
pub fn parse_partly(bytes: &[u8]) -> std::result::Result<Partly, String> {
    let broken = |problem: &dyn std::fmt::Display| format!("not a sound safetensors file: {problem}");
    check_header_length(bytes)?;
    let file = SafeTensors::deserialize(bytes).map_err(|problem| broken(&problem))?;
    let (_, header): (usize, Metadata) = SafeTensors::read_metadata(bytes).map_err(|problem| broken(&problem))?;
    let (mut tensors, mut left_out) = (Vec::with_capacity(file.len()), vec![]);
    for name in header.offset_keys() {
        let view = file.tensor(&name).map_err(|problem| broken(&problem))?;
        match kind_in_tensors(view.dtype()) {
            Some(kind) => {
                let tensor = from_view(&view, kind).map_err(|problem| format!("tensor {name:?}: {problem}"))?;
                tensors.push((name, tensor));
            }
            None => left_out.push((name, format!("its element type {:?} has no counterpart here", view.dtype()))),
        }
    }
    let notes = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Partly { tensors, notes, left_out })
}

/// The first eight bytes hold the header's length, which may not reach beyond the file.
fn check_header_length(bytes: &[u8]) -> std::result::Result<(), String> {
    let Some(first) = bytes.first_chunk::<8>() else {
        return Err(format!("not a safetensors file: it has {} bytes (truncated?)", bytes.len()));
    };
    let length = u64::from_le_bytes(*first);
    let room = bytes.len() as u64 - 8;
    if length > room {
        return Err(format!(
            "the header claims {length} bytes, the file has {room} left (truncated or not safetensors)"
        ));
    }
    Ok(())
}

/// The element type in a tensor.
fn kind_in_tensors(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}

fn from_view(view: &TensorView<'_>, kind: Kind) -> std::result::Result<Tensor, String> {
    let shape: std::result::Result<Vec<i64>, _> = view.shape().iter().map(|size| i64::try_from(*size)).collect();
    let shape = shape.map_err(|_| "its shape is too large".to_string())?;
    from_bytes(view.data(), &shape, kind)
}

/// A tensor of raw little-endian elements, their number checked against the shape.
pub fn from_bytes(data: &[u8], shape: &[i64], kind: Kind) -> std::result::Result<Tensor, String> {
    if shape.len() > MOST_DIMENSIONS {
        return Err(format!("its {} dimensions are more than {MOST_DIMENSIONS}", shape.len()));
    }
    let width = kind.elt_size_in_bytes();
    let expected = shape.iter().try_fold(width, |product, size| usize::try_from(*size).ok()?.checked_mul(product));
    if expected != Some(data.len()) {
        return Err(format!("shape {shape:?} does not fit {} bytes of elements of {width}", data.len()));
    }
    // Other values would be undefined behaviour further on.
    if kind == Kind::Bool
        && let Some(other) = data.iter().find(|byte| **byte > 1)
    {
        return Err(format!("a boolean is {other}, neither 0 nor 1"));
    }
    Tensor::f_from_data_size(data, shape, kind).map_err(|problem| problem.to_string())
}

/// The raw little-endian elements of a tensor in row-major order.
pub fn to_bytes(operation: &str, tensor: &Tensor) -> Result<Vec<u8>> {
    let bytes = (tensor.numel() * kind_of(tensor).elt_size_in_bytes()) as u64;
    if bytes > LARGE && budget::free().is_some_and(|free| free < bytes) {
        return Err(Error::new(operation, format!("no memory for the {} of a tensor", size(bytes))));
    }
    let host = tensor.f_detach().and_then(|t| t.f_to_device(Device::Cpu)).and_then(|t| t.f_contiguous());
    let host = host.at(operation)?;
    let count = host.numel();
    let mut bytes = vec![0; count * kind_of(&host).elt_size_in_bytes()];
    if count > 0 {
        host.f_copy_data_u8(&mut bytes, count).at(operation)?;
    }
    Ok(bytes)
}

/// Writes named tensors as a safetensors file, atomically.
///
/// # Errors
/// Element types the format does not have, repeated names, and a path that cannot be written.
pub fn save_safetensors(path: impl AsRef<Path>, tensors: &[(String, Tensor)]) -> Result<()> {
    save_noted("save_safetensors", path.as_ref(), tensors, &Notes::new())
}

/// Writes named tensors and notes beside them, atomically.
///
/// # Errors
/// As [`save_safetensors`].
pub fn save_noted(operation: &str, path: &Path, tensors: &[(String, Tensor)], notes: &Notes) -> Result<()> {
    let mut contents = Vec::with_capacity(tensors.len());
    roomy(operation, path, tensors)?;
    for (name, tensor) in tensors {
        let (dtype, shape) = described(name, tensor)?;
        contents.push((name, dtype, shape, to_bytes(operation, tensor)?));
    }
    let mut views = BTreeMap::new();
    for (name, dtype, shape, bytes) in &contents {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        let view = view.map_err(|problem| Error::file(operation, path, format!("{name}: {problem}")))?;
        if views.insert(name.as_str(), view).is_some() {
            return Err(Error::file(operation, path, format!("two tensors have the name {name:?}")));
        }
    }
    // Other readers expect to be told whose tensors these are.
    let about = notes.clone().into_iter().chain([("format".to_string(), "pt".to_string())]).collect();
    let bytes = safetensors::serialize(views, Some(about)).map_err(|problem| Error::file(operation, path, problem))?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// Refuses tensors that have no room in memory when they are written out: a view takes none, however large it is.
fn roomy(operation: &str, path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let bytes = |(_, tensor): &(String, Tensor)| (tensor.numel() * kind_of(tensor).elt_size_in_bytes()) as u64;
    // Once as bytes of each tensor, once as the file.
    let total = tensors.iter().map(bytes).fold(0_u64, u64::saturating_add).saturating_mul(2);
    match (total > LARGE).then(budget::free).flatten().filter(|free| *free < total) {
        Some(free) => {
            let message = format!("its tensors take {}, of memory {} are free", size(total), size(free));
            Err(Error::file(operation, path, message)
                .hint("views of one tensor are written one by one: write less at a time"))
        }
        None => Ok(()),
    }
}

fn described(name: &str, tensor: &Tensor) -> Result<(Dtype, Vec<usize>)> {
    let dtype = match kind_of(tensor) {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Int64 => Dtype::I64,
        Kind::Int => Dtype::I32,
        Kind::Int16 => Dtype::I16,
        Kind::Int8 => Dtype::I8,
        Kind::Uint8 => Dtype::U8,
        Kind::Bool => Dtype::BOOL,
        other => {
            return Err(Error::new("save_safetensors", format!("tensor {name:?} has the element type {other:?}")));
        }
    };
    Ok((dtype, tensor.size().into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect()))
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::runtime::places::{to_read, to_write};
    use crate::runtime::{At, Run, Script};
    use crate::tensor::Tensor as Handle;
    use rhai::{Dynamic, Map, NativeCallContext};
    use std::io::Write;

    /// Reads a safetensors file: a map of its tensors by name, on the run's device. Those of element types that tensors here do
    /// not have are left out, with a warning that names each and its type.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("weights.safetensors");
    /// save_safetensors(path, #{ weight: ones([2]), bias: tensor([1, 2]) });
    /// assert(load_safetensors(path).weight == ones([2]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load_safetensors(context: NativeCallContext, path: &str) -> Script<Map> {
        let run = Run::of(&context);
        let device = run.device();
        let mut map = Map::new();
        let (tensors, left_out) = super::load_partly("load_safetensors", &to_read(&run, path))?;
        if let Some(note) = crate::tensor::io::npz::left_out(&left_out, tensors.len()) {
            run.progress().warn(&format!("{path}: {note}"));
        }
        for (name, tensor) in tensors {
            let placed: Handle = tensor.f_to_device(device).at("load_safetensors")?.into();
            map.insert(name.into(), Dynamic::from(placed));
        }
        Ok(map)
    }

    /// Writes a map of tensors as a safetensors file. The file appears complete or not at all.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("one.safetensors");
    /// save_safetensors(path, #{ x: arange(3) });
    /// assert(load_safetensors(path).x == arange(3));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn save_safetensors(context: NativeCallContext, path: &str, tensors: Map) -> Script<()> {
        let tensors = super::named_tensors("save_safetensors", tensors)?;
        super::refuse_other("save_safetensors", path, "safetensors")?;
        Ok(super::save_safetensors(to_write(&Run::of(&context), "save_safetensors", path)?, &tensors)?)
    }

    /// The text of a file in UTF-8; a byte order mark at its start is left out.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("note.txt");
    /// write_text(path, "hello");
    /// assert(read_text(path) == "hello");
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn read_text(context: NativeCallContext, path: &str) -> Script<String> {
        Ok(super::read_text("read_text", &to_read(&Run::of(&context), path))?)
    }

    /// Writes a text file. The file appears complete or not at all. A relative name is below the run's output folder
    /// (`lethe run --out`), else below the current folder; `read_text` finds it under the same name.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("note.txt");
    /// write_text(path, "one\ntwo");
    /// assert(read_text(path).split("\n") == ["one", "two"]);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn write_text(context: NativeCallContext, path: &str, text: &str) -> Script<()> {
        let path = to_write(&Run::of(&context), "write_text", path)?;
        Ok(super::write_atomically(path, |file| file.write_all(text.as_bytes()))?)
    }

    /// A path of this name in a fresh folder for temporary files, which the system cleans up.
    ///
    /// # Example
    /// ```rhai
    /// assert(temporary_path("x.npz").ends_with("x.npz"));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn temporary_path(name: &str) -> Script<String> {
        Ok(super::temporary_path(name)?)
    }
}

/// Formats of tensors and of other files: under their extensions nothing else is written.
const FORMATS: [&str; 14] =
    ["csv", "gif", "html", "jpeg", "jpg", "json", "md", "npy", "npz", "pdf", "png", "safetensors", "svg", "tsv"];

/// Refuses a name with the extension of another format than the one that is written.
pub(crate) fn refuse_other(operation: &str, path: &str, own: &str) -> Result<()> {
    match extension(Path::new(path)).filter(|given| given != own && FORMATS.contains(&given.as_str())) {
        Some(_) => asked(operation, Path::new(path), &[own]).map(drop),
        None => Ok(()),
    }
}

/// The tensors of a script's map, by name.
pub(crate) fn named_tensors(operation: &str, map: rhai::Map) -> Result<Vec<(String, Tensor)>> {
    let each = |(name, value): (rhai::Identifier, rhai::Dynamic)| match value.read_lock::<crate::tensor::Tensor>() {
        Some(tensor) => Ok((name.to_string(), tensor.shallow_clone())),
        None => {
            let got = crate::runtime::options::describe(&value);
            Err(Error::new(operation, format!("{name:?} must be a tensor, got {got}")))
        }
    };
    map.into_iter().map(each).collect()
}

/// A path in a folder that nobody else has, can foresee or can look into.
fn temporary_path(name: &str) -> Result<String> {
    use std::os::unix::fs::DirBuilderExt;
    let root = std::env::temp_dir();
    let failed = |folder: &Path, problem: std::io::Error| Error::file("temporary_path", folder, reason(&problem));
    create_folders(&root).map_err(|problem| failed(&root, problem))?;
    loop {
        let number = RandomState::new().build_hasher().finish();
        let folder = root.join(format!("lethe-{}-{number:016x}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder.join(name).to_string_lossy().into_owned()),
            Err(problem) if problem.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(problem) => return Err(failed(&folder, problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<(String, Tensor)> {
        vec![
            ("a".into(), Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3])),
            ("b".into(), Tensor::from_slice(&[true, false])),
            ("empty".into(), Tensor::zeros([0], (Kind::Int64, Device::Cpu))),
        ]
    }

    fn saved() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        save_safetensors(&path, &sample()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        (folder, path, bytes)
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let (_folder, path, _) = saved();
        let mut loaded = load_safetensors(&path).unwrap();
        loaded.sort_by(|a, b| a.0.cmp(&b.0));
        for ((name, tensor), (expected_name, expected)) in loaded.iter().zip(&sample()) {
            assert_eq!(name, expected_name);
            assert_eq!(tensor.size(), expected.size());
            assert!(tensor.f_equal(expected).unwrap());
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let (_folder, _, bytes) = saved();
        for length in 0..bytes.len() {
            assert!(parse_safetensors(&bytes[..length]).is_err(), "{length} bytes were accepted");
        }
    }

    #[test]
    fn a_header_longer_than_the_file_is_refused_before_anything_is_allocated() {
        let error = parse_safetensors(&[0xff; 64]).unwrap_err();
        assert!(error.contains("the header claims"), "{error}");
    }

    #[test]
    fn notes_are_read_from_the_header_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let notes = Notes::from([("recipe".to_string(), "a b".to_string())]);
        save_noted("save", &path, &sample(), &notes).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(read_notes("read", &path).unwrap()["recipe"], "a b");
        bytes.pop();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_notes("read", &path).unwrap()["recipe"], "a b", "the damage is behind the header");
        for (bad, word) in [
            (&b"short"[..], "truncated"),
            (&[0xff; 64], "more bytes than it can have"),
            (b"\x02\0\0\0\0\0\0\0{]", "broken"),
        ] {
            std::fs::write(&path, bad).unwrap();
            let error = read_notes("read", &path).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        save_safetensors(&path, &sample()).unwrap();
        assert!(!read_notes("read", &path).unwrap().contains_key("recipe"));
    }

    #[test]
    fn paths_below_files_folders_and_missing_folders_are_named() {
        let (folder, path, _) = saved();
        let below = save_safetensors(path.join("y"), &sample()).unwrap_err().to_string();
        assert!(below.contains("is a file, not a folder"), "{below}");
        let missing = save_safetensors(folder.path().join("no/y"), &sample()).unwrap_err().to_string();
        assert!(missing.contains("no such file or folder"), "{missing}");
        assert!(save_safetensors(folder.path(), &sample()).unwrap_err().to_string().contains("folder"));
        assert!(load_safetensors(folder.path()).unwrap_err().to_string().contains("this is a folder"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn corrupt_bytes_never_panic(place in 0_usize..400, value in 0_u8..=255) {
            static SOUND: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = SOUND.get_or_init(|| saved().2).clone();
            let place = place % bytes.len();
            bytes[place] = value;
            let _ = parse_safetensors(&bytes);
        }

        #[test]
        fn shapes_that_do_not_fit_the_bytes_are_refused(shape in prop::collection::vec(0_i64..i64::MAX, 1..5)) {
            let product = shape.iter().try_fold(4_i64, |p, s| p.checked_mul(*s));
            prop_assert_eq!(from_bytes(&[0; 16], &shape, Kind::Float).is_ok(), product == Some(16));
        }
    }
}
