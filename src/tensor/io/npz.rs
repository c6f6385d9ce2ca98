//! Reading of NumPy's archives (`.npz`): every array that tensors have the type of, and in words what else lies there.

use crate::runtime::budget::{Budget, ENTRY};
use crate::runtime::{Error, Result};
use crate::tensor::io::content::{Content, explained};
use crate::tensor::io::npy::{Array, Trouble, npy_bytes, parse, placed};
use crate::tensor::io::safetensors_file::{read_bytes, write_atomically};
use crate::tensor::io::zip_archive;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use tch::Tensor;
use zip::result::ZipError;

/// Deflate cannot shrink data further than this; an entry that claims more is a lie.
const BEST_RATIO: u64 = 1032;

/// How many entries a message names.
const NAMED: usize = 8;

/// What an archive holds.
#[derive(Debug, Default)]
pub struct Npz {
    /// The arrays of numbers, in the order of the archive.
    pub tensors: Vec<(String, Tensor)>,
    /// The arrays of texts.
    pub texts: Vec<(String, Vec<String>)>,
    /// What is not read, with the reason, texts included.
    pub left_out: Vec<(String, String)>,
    /// Arrays of unsigned numbers and the type they have now.
    pub widened: Vec<String>,
}

impl Npz {
    /// What a person should know who gets only the tensors, except of those entries called `used`.
    pub fn notes(&self, used: &[&str]) -> Vec<String> {
        let untold = self.left_out.iter().filter(|(name, _)| !used.contains(&name.as_str()));
        let untold: Vec<(String, String)> = untold.cloned().collect();
        let others = self.tensors.len() + self.left_out.len() - untold.len();
        let mut notes: Vec<String> = left_out(&untold, others).into_iter().collect();
        if !self.widened.is_empty() {
            notes.push(format!("unsigned integers are read as signed ones: {}", self.widened.join(", ")));
        }
        notes
    }
}

/// How many entries are left out, beside so many others, which, and why; none where all are taken.
pub fn left_out(entries: &[(String, String)], others: usize) -> Option<String> {
    (!entries.is_empty())
        .then(|| format!("left out {} of {} entries: {}", entries.len(), entries.len() + others, listed(entries)))
}

/// Names and reasons, the first few of them.
fn listed(entries: &[(String, String)]) -> String {
    let shown: Vec<String> = entries.iter().take(NAMED).map(|(name, reason)| format!("{name:?} ({reason})")).collect();
    let more = entries.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// Reads an archive.
///
/// # Errors
/// A missing or damaged file; one without an array that can be read.
pub fn read(operation: &str, path: &Path) -> Result<Npz> {
    of_bytes(operation, path, &read_bytes(operation, path)?)
}

/// As [`read`], of bytes that come from the file.
///
/// # Errors
/// As [`read`].
pub fn of_bytes(operation: &str, path: &Path, bytes: &[u8]) -> Result<Npz> {
    let npz = parse_all(bytes).map_err(|problem| explained(operation, path, bytes, Content::Zip, problem))?;
    if npz.tensors.is_empty() && !npz.left_out.is_empty() {
        let error = Error::file(operation, path, format!("has no array of numbers; it has {}", listed(&npz.left_out)));
        let torch = npz.left_out.iter().any(|(name, _)| name.ends_with("data.pkl"));
        return Err(if torch { error.hint("this is a file of torch.save: load_pth reads it") } else { error });
    }
    Ok(npz)
}

/// Takes an archive apart.
///
/// # Errors
/// A damaged archive or entry, in words.
pub(super) fn parse_all(bytes: &[u8]) -> std::result::Result<Npz, String> {
    let broken = |problem: &dyn std::fmt::Display| format!("not a sound .npz archive: {}", zip_archive::words(problem));
    let mut archive = zip_archive::open(Cursor::new(bytes)).map_err(|problem| broken(&problem))?;
    let mut budget = Budget::of(bytes.len() as u64);
    let mut npz = Npz::default();
    for place in 0..archive.len() {
        let name = archive.name_for_index(place).and_then(std::result::Result::ok);
        let name = name.map(std::borrow::Cow::into_owned).unwrap_or_default();
        let mut entry = match archive.by_index(place) {
            Ok(entry) => entry,
            Err(ZipError::UnsupportedArchive(problem)) => {
                npz.left_out.push((name, problem.to_string()));
                continue;
            }
            Err(problem) => return Err(broken(&problem)),
        };
        let file = entry.name().map_err(|problem| broken(&problem))?.to_string();
        if file.ends_with('/') {
            continue;
        }
        let Some(name) = file.strip_suffix(".npy") else {
            npz.left_out.push((file, "no .npy file".into()));
            continue;
        };
        let content = content(&mut entry, &file, &mut budget)?;
        npz.add(name, parse(&content)).map_err(|problem| format!("entry {file:?}: {problem}"))?;
    }
    Ok(npz)
}

impl Npz {
    /// Takes an entry, or notes why not.
    fn add(&mut self, name: &str, array: std::result::Result<Array, Trouble>) -> std::result::Result<(), String> {
        match array {
            Ok(Array::Numbers { tensor, from: None }) => self.tensors.push((name.into(), tensor)),
            Ok(Array::Numbers { tensor, from: Some(from) }) => {
                self.widened.push(format!("{name:?} ({from} as {})", crate::tensor::dtype::kind_name(tensor.kind())));
                self.tensors.push((name.into(), tensor));
            }
            Ok(Array::Texts { texts, element }) => {
                self.left_out.push((name.into(), format!("{element}: text")));
                self.texts.push((name.into(), texts));
            }
            Err(Trouble::Foreign(reason)) => self.left_out.push((name.into(), reason)),
            Err(Trouble::Damaged(problem)) => return Err(problem),
        }
        Ok(())
    }
}

/// The bytes of an entry, as many as it claims to have.
fn content<R: Read>(
    entry: &mut zip::read::ZipFile<'_, R>,
    file: &str,
    budget: &mut Budget,
) -> std::result::Result<Vec<u8>, String> {
    let limit = entry.compressed_size().saturating_mul(BEST_RATIO).saturating_add(1024);
    if entry.size() > limit {
        let sizes = format!("{} bytes from {}", entry.size(), entry.compressed_size());
        return Err(format!("entry {file:?} claims {sizes}, which no compression achieves"));
    }
    budget.take(entry.size().saturating_add(ENTRY)).map_err(|problem| format!("entry {file:?}: {problem}"))?;
    let mut content = Vec::new();
    let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
    if content.try_reserve_exact(size).is_err() {
        return Err(format!("no memory for the {size} bytes of entry {file:?}"));
    }
    // A byte more than it claims to have shows that the claim was wrong.
    let read = entry.by_ref().take(size as u64 + 1).read_to_end(&mut content);
    let read = read.map_err(|problem| format!("entry {file:?} is damaged: {problem}"))?;
    if read != size {
        return Err(format!("entry {file:?} is damaged: it does not have the {size} bytes it claims"));
    }
    Ok(content)
}

/// Reads the named arrays of numbers of a `.npz` file, in the order of the archive.
///
/// # Errors
/// As `load_npy`; damaged archives.
pub fn load_npz(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
    Ok(read("load_npz", path.as_ref())?.tensors)
}

/// Writes named tensors as a compressed `.npz` file, atomically.
///
/// # Errors
/// As `save_npy`.
pub fn save_npz(path: impl AsRef<Path>, tensors: &[(String, Tensor)]) -> Result<()> {
    let path = path.as_ref();
    let failed = |problem: &dyn std::fmt::Display| Error::file("save_npz", path, problem);
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    // No clock in the file: equal tensors give equal bytes.
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .large_file(true);
    for (name, tensor) in tensors {
        let bytes = npy_bytes("save_npz", tensor)?;
        archive.start_file(format!("{name}.npy"), options).map_err(|problem| failed(&problem))?;
        archive.write_all(&bytes).map_err(|problem| failed(&problem))?;
    }
    let bytes = archive.finish().map_err(|problem| failed(&problem))?.into_inner();
    write_atomically(path, |file| file.write_all(&bytes))
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::placed;
    use crate::runtime::places::{to_read, to_write};
    use crate::runtime::{Run, Script};
    use crate::tensor::io::safetensors_file::{named_tensors, refuse_other};
    use rhai::{Dynamic, Map, NativeCallContext};

    /// Reads an archive of NumPy's arrays (`.npz`): a map of tensors by name, on the run's device. Each array is read as by
    /// `load_npy`; those that tensors cannot hold are left out, with a warning that names each and its type.
    ///
    /// # Errors
    /// Files that are missing, cut off or damaged; an archive without an array that can be read.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("x.npz");
    /// save_npz(path, #{ a: ones([2]), b: arange(3) });
    /// assert(load_npz(path).b == arange(3));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn load_npz(context: NativeCallContext, path: &str) -> Script<Map> {
        let run = Run::of(&context);
        let npz = super::read("load_npz", &to_read(&run, path))?;
        npz.notes(&[]).iter().for_each(|note| run.progress().warn(&format!("{path}: {note}")));
        let mut map = Map::new();
        for (name, tensor) in npz.tensors {
            map.insert(name.into(), Dynamic::from(placed("load_npz", &tensor, run.device())?));
        }
        Ok(map)
    }

    /// Writes a map of tensors as an archive of NumPy's arrays (`.npz`). The file appears complete or not at all.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("x.npz");
    /// save_npz(path, #{ a: tensor([true, false]) });
    /// assert(load_npz(path).a.dtype == "bool");
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn save_npz(context: NativeCallContext, path: &str, tensors: Map) -> Script<()> {
        let tensors = named_tensors("save_npz", tensors)?;
        refuse_other("save_npz", path, "npz")?;
        Ok(super::save_npz(to_write(&Run::of(&context), "save_npz", path)?, &tensors)?)
    }
}
