//! What lies below a folder of pictures: the pictures of each class folder, and all that is none.

use super::picture;
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result, interrupt};
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Names that systems and packers leave behind, apart from hidden ones.
const LEFTOVERS: [&str; 12] = [
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "#snapshot",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "__pycache__",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "Icon\r",
];

/// What pictures are called: a file of such a name has to be one.
const EXTENSIONS: [&str; 18] = [
    "png", "jpg", "jpeg", "jpe", "jif", "jfif", "bmp", "dib", "gif", "tif", "tiff", "webp", "ppm", "pgm", "pbm", "pnm",
    "pam", "apng",
];

/// What copies that were put aside or are still on their way are called.
const ASIDE: [&str; 8] = ["bak", "orig", "old", "tmp", "part", "crdownload", "download", "swp"];

/// What a file is to a data set.
enum Nature {
    Picture,
    /// Left behind by a system or a packer.
    Leftover,
    /// Anything else, by what its name ends in.
    Other(String),
}

/// What is not taken, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    others: BTreeMap<String, usize>,
    leftovers: BTreeMap<String, usize>,
    /// Pictures that lie beside the class folders.
    pub loose: Vec<String>,
    /// Links to folders that are read already.
    links: usize,
    /// Folders without pictures that are no class.
    pub empty: Vec<String>,
}

impl LeftOut {
    /// Counts and kinds in a line; none when everything is taken.
    pub fn describe(&self) -> Option<String> {
        let total = |counts: &BTreeMap<String, usize>| counts.values().sum::<usize>();
        let mut parts: Vec<String> = self.others.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if total(&self.leftovers) > 0 {
            let names: Vec<&str> = self.leftovers.keys().map(String::as_str).collect();
            parts.push(format!("{} hidden or of packers ({})", total(&self.leftovers), some(&names)));
        }
        if !self.loose.is_empty() {
            let (count, names) = (self.loose.len(), some(&self.loose));
            parts.push(format!("{count} pictures beside the class folders, of no class ({names})"));
        }
        if !self.empty.is_empty() {
            parts.push(format!("{} folders without pictures ({})", self.empty.len(), some(&self.empty)));
        }
        if self.links > 0 {
            parts.push(format!("{} links to folders that are read already", self.links));
        }
        (!parts.is_empty()).then(|| format!("left out: {}", parts.join(", ")))
    }

    /// Counts a file that is no picture.
    fn add(&mut self, name: &str, nature: Nature) {
        match nature {
            Nature::Picture => {}
            Nature::Leftover => *self.leftovers.entry(sort_of(name)).or_default() += 1,
            Nature::Other(kind) => *self.others.entry(kind).or_default() += 1,
        }
    }

    /// Counts a member of an archive; whether it is a picture.
    pub fn takes(&mut self, name: &str) -> bool {
        let nature = if is_leftover(name) { Nature::Leftover } else { by_name(name) };
        let picture = matches!(nature, Nature::Picture);
        self.add(name, nature);
        picture
    }
}

/// The first three of some names.
fn some<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names.iter().take(3).map(AsRef::as_ref).collect();
    format!("{}{}", shown.join(", "), if names.len() > 3 { ", .." } else { "" })
}

/// A leftover's name, those of one sort together.
fn sort_of(name: &str) -> String {
    if name.starts_with("._") { "._*".into() } else { name.trim_end().to_string() }
}

/// Whether a system or a packer has left this behind, or it is hidden.
pub fn is_leftover(name: &str) -> bool {
    name.starts_with('.') || LEFTOVERS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn extension(name: &str) -> Option<String> {
    Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

/// What a file is, as far as its name tells.
fn by_name(name: &str) -> Nature {
    match extension(name) {
        Some(extension) if EXTENSIONS.contains(&extension.as_str()) => Nature::Picture,
        Some(extension) => Nature::Other(format!(".{extension}")),
        None => Nature::Other("without extension".into()),
    }
}

/// What a file is: where the name does not make it a picture, the first bytes may.
fn nature(path: &Path, name: &str) -> std::io::Result<Nature> {
    if is_leftover(name) {
        return Ok(Nature::Leftover);
    }
    let (named, extension) = (by_name(name), extension(name));
    let aside = extension.as_ref().is_some_and(|own| ASIDE.contains(&own.as_str()));
    if matches!(named, Nature::Picture) || aside || name.ends_with('~') || !path.is_file() {
        return Ok(named);
    }
    let mut first = [0; 64];
    let mut file = crate::runtime::regular::open(path)?;
    let mut length = 0;
    while let count @ 1.. = file.read(first.get_mut(length..).unwrap_or_default())? {
        length += count;
    }
    Ok(if picture::is_sure(first.get(..length).unwrap_or_default(), extension.is_none()) {
        Nature::Picture
    } else {
        named
    })
}

/// An entry of a folder.
struct Entry {
    name: String,
    path: PathBuf,
    is_dir: bool,
}

/// The entries of a folder, in the order of their bytes.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    interrupt::check()?;
    let fail = |error: std::io::Error| Error::file("dataset", folder, reason(&error));
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let kind = entry.file_type().map_err(fail)?;
        let is_dir = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
        found.push((entry.file_name(), entry.path(), is_dir));
    }
    found.sort_unstable();
    let named = |(name, path, is_dir): (std::ffi::OsString, _, _)| Entry {
        name: name.to_string_lossy().into_owned(),
        path,
        is_dir,
    };
    Ok(found.into_iter().map(named).collect())
}

/// A folder of a class.
#[derive(Debug, Clone)]
pub struct ClassFolder {
    /// Its name.
    pub name: String,
    /// Its pictures, at any depth, in the order of the bytes of their paths below it.
    pub pictures: Vec<PathBuf>,
    /// The folders within it that pictures lie in; empty when all lie in itself.
    pub deeper: Vec<String>,
    /// Whether pictures lie in itself.
    pub shallow: bool,
}

/// The class folders of a folder, in the order of the bytes of their names, and what is left out.
///
/// # Errors
/// Folders and files that cannot be read.
pub fn class_folders(root: &Path) -> Result<(Vec<ClassFolder>, LeftOut)> {
    let (mut classes, mut left_out) = (vec![], LeftOut::default());
    let real = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    for Entry { name, path, is_dir } in entries(root)? {
        if !is_dir {
            match nature(&path, &name).map_err(|error| Error::file("dataset", &path, reason(&error)))? {
                Nature::Picture => left_out.loose.push(name),
                other => left_out.add(&name, other),
            }
        } else if is_leftover(&name) {
            left_out.add(&name, Nature::Leftover);
        } else if leads_back(&path, &real) {
            left_out.links += 1;
        } else {
            let mut walk = Walk { root: &real, seen: HashSet::new(), found: vec![], left_out: &mut left_out };
            walk.folder(&path, "")?;
            classes.push(walk.finish(name));
        }
    }
    Ok((classes, left_out))
}

/// Whether a folder is one that `root` lies in.
fn leads_back(folder: &Path, root: &Path) -> bool {
    folder.canonicalize().is_ok_and(|folder| root.starts_with(folder))
}

/// The way through a class folder.
struct Walk<'a> {
    root: &'a Path,
    /// Folders that were read, by their real paths: a circle of links ends there.
    seen: HashSet<PathBuf>,
    /// Pictures by their paths below the class folder.
    found: Vec<(Vec<u8>, PathBuf)>,
    left_out: &'a mut LeftOut,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, below: &str) -> Result<()> {
        let real = folder.canonicalize().map_err(|error| Error::file("dataset", folder, reason(&error)))?;
        if self.root.starts_with(&real) || !self.seen.insert(real) {
            self.left_out.links += 1;
            return Ok(());
        }
        for Entry { name, path, is_dir } in entries(folder)? {
            if is_dir && is_leftover(&name) {
                self.left_out.add(&name, Nature::Leftover);
            } else if is_dir {
                self.folder(&path, &format!("{below}{name}/"))?;
            } else {
                match nature(&path, &name).map_err(|error| Error::file("dataset", &path, reason(&error)))? {
                    Nature::Picture => {
                        let own = path.file_name().unwrap_or_default().as_encoded_bytes();
                        self.found.push(([below.as_bytes(), own].concat(), path));
                    }
                    other => self.left_out.add(&name, other),
                }
            }
        }
        Ok(())
    }

    fn finish(self, name: String) -> ClassFolder {
        let mut found = self.found;
        found.sort_unstable();
        let above = |path: &[u8]| path.iter().rposition(|byte| *byte == b'/').map(|end| path.get(..end).map(lossy));
        let mut deeper: Vec<String> = found.iter().filter_map(|(path, _)| above(path)?).collect();
        let shallow = deeper.len() < found.len();
        deeper.sort_unstable();
        deeper.dedup();
        ClassFolder { name, pictures: found.into_iter().map(|(_, path)| path).collect(), deeper, shallow }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
