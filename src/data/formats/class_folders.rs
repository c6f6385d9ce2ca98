//! Folders of pictures, one folder a class: `root/class/*.png`. Classes are numbered in the order of the bytes of their names,
//! the pictures of a class stand in the order of the bytes of their paths below its folder.

use super::listing::{self, ClassFolder, LeftOut};
use super::picture::{self, Rest, Target};
use super::{Decoded, LARGEST, parallel};
use crate::data::catalog::digests;
use crate::data::catalog::digests::Digest;
use crate::data::class_names;
use crate::runtime::budget::{Budget, LARGEST_MEMBER};
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result, Run, interrupt, options};
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// More classes than a label has numbers for.
const MOST_CLASSES: usize = 1 << 16;

/// Pictures decoded between two looks at the clock and at Ctrl-C.
const STEP: usize = 4096;

/// What folders of parts are called.
const PARTS: [&str; 5] = ["train", "test", "validation", "valid", "val"];

/// The classes that a folder may have.
#[derive(Debug, Clone, Copy)]
pub enum Classes<'a> {
    /// Those of its folders.
    Own,
    /// Some of these.
    Among(&'a [String]),
    /// Each of these.
    Each(&'a [String]),
}

/// What lies below a folder of classes.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The folder.
    pub root: PathBuf,
    /// The names of the classes, in the order of their numbers.
    pub classes: Vec<String>,
    /// Every picture with its class.
    pub files: Vec<(PathBuf, u16)>,
    /// What is no sample.
    pub left_out: LeftOut,
    /// What else a person should know.
    notes: Vec<String>,
}

/// Warnings about folders that this run has told; a run slot.
#[derive(Default)]
struct Told(RefCell<HashSet<String>>);

impl Tree {
    /// Lists the classes and pictures of a folder.
    ///
    /// # Errors
    /// Folders that cannot be read, without pictures, with other classes than those given; a class without pictures, which
    /// would take a number; folders of parts, or of data sets, that would be taken for classes.
    pub fn of(root: &Path, classes: Classes<'_>) -> Result<Self> {
        let fail = |problem: String| Error::file("dataset", root, problem);
        let (folders, mut left_out) = listing::class_folders(root)?;
        if folders.is_empty() {
            let pictures = left_out.describe().map_or(String::new(), |text| format!(" ({text})"));
            return Err(fail(format!("has no folders: one folder of pictures a class is expected{pictures}")));
        }
        if folders.len() > MOST_CLASSES {
            return Err(fail(format!("{} classes are more than {MOST_CLASSES}", folders.len())));
        }
        if folders.iter().all(|folder| folder.pictures.is_empty()) {
            let others = left_out.describe().map_or(String::new(), |text| format!(" ({text})"));
            return Err(fail(format!("has no pictures in its folders{others}")));
        }
        let mut notes = vec![];
        let known = match classes {
            Classes::Own => own(root, &folders)?,
            Classes::Among(known) | Classes::Each(known) => known.to_vec(),
        };
        let mut files = vec![];
        for folder in &folders {
            match known.iter().position(|known| class_names::same(known, &folder.name)) {
                Some(number) => files.extend(folder.pictures.iter().map(|file| (file.clone(), number as u16))),
                None if folder.pictures.is_empty() => left_out.empty.push(folder.name.clone()),
                None => return Err(foreign(root, folder, &known)),
            }
        }
        // With classes given, their order decides, not that of the folders.
        files.sort_by_key(|(_, class)| *class);
        let mut there = vec![false; known.len()];
        files.iter().for_each(|(_, class)| there.iter_mut().skip(usize::from(*class)).take(1).for_each(|t| *t = true));
        let lacking: Vec<&str> =
            known.iter().zip(&there).filter(|(_, there)| !**there).map(|(n, _)| n.as_str()).collect();
        match (classes, lacking.as_slice()) {
            (_, []) => {}
            (Classes::Among(_), names) => {
                notes.push(format!("no pictures of {} of {} classes: {}", names.len(), known.len(), names.join(", ")));
            }
            (_, [name, ..]) => {
                let empty = folders.iter().any(|folder| class_names::same(&folder.name, name));
                let what = if empty { "pictures of" } else { "folder for" };
                return Err(fail(format!("has no {what} the class {name:?}")));
            }
        }
        notes.extend(folders.iter().find_map(mixed));
        Ok(Self { root: root.to_path_buf(), classes: known, files, left_out, notes })
    }

    /// Pictures of known classes that a list names.
    pub fn listed(root: &Path, classes: &[String], files: Vec<(PathBuf, u16)>, note: String) -> Self {
        let (classes, left_out, notes) = (classes.to_vec(), LeftOut::default(), vec![note]);
        Self { root: root.to_path_buf(), classes, files, left_out, notes }
    }

    /// The paths of the pictures below a folder, with `/` between their parts.
    pub fn paths_below(&self, folder: &Path) -> Vec<String> {
        let path = |(file, _): &(PathBuf, u16)| {
            let below = file.strip_prefix(folder).unwrap_or(file);
            let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            parts.join("/")
        };
        self.files.iter().map(path).collect()
    }

    /// Warns of what is left out and whatever else a person should know about the folder; once a run.
    pub fn tell(&self, run: &Run) {
        let all: Vec<String> = self.left_out.describe().into_iter().chain(self.notes.iter().cloned()).collect();
        let warning = format!("{}: {}", self.root.display(), all.join("; "));
        if !all.is_empty() && run.slot::<Told>().0.borrow_mut().insert(warning.clone()) {
            run.progress().warn(&warning);
        }
    }

    /// The content of every picture, as a hash.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn digests(&self, name: &str, run: &Run) -> Result<Vec<Digest>> {
        let files: Vec<&Path> = self.files.iter().map(|(file, _)| file.as_path()).collect();
        digests::of(&self.root, &files, name, run)
    }

    /// Rows and columns of the first picture.
    ///
    /// # Errors
    /// A file that cannot be read or is no picture.
    pub fn first_size(&self) -> Result<(usize, usize)> {
        let Some((file, _)) = self.files.first() else { return Ok((0, 0)) };
        read(file).and_then(|bytes| picture::size(&bytes)).map_err(|problem| Error::file("dataset", file, problem))
    }

    /// Decodes every picture, on the run's threads.
    ///
    /// # Errors
    /// The first picture that cannot be read, is damaged, or has another size when it may not be resized.
    pub fn decode(&self, target: Target, name: &str, run: &Run) -> Result<Decoded> {
        let row = target.len();
        let bytes = (self.files.len() as u64).checked_mul(row as u64).filter(|bytes| *bytes <= LARGEST && row > 0);
        let bytes = bytes.ok_or_else(|| {
            Error::new("dataset", format!("{} pictures of {row} bytes are more than 4 GiB", self.files.len()))
        })?;
        // Small files may be resized to large pictures: what all take is limited by what all have.
        let sizes = self.files.iter().filter_map(|(file, _)| file.metadata().ok()).map(|about| about.len());
        let problem = Budget::of(sizes.sum()).take(bytes);
        problem.map_err(|problem| Error::new("dataset", format!("{name}: {problem}")))?;
        let mut images = vec![0; bytes as usize];
        let mut task = run.progress().start(&format!("decoding {name}"), self.files.len());
        let rests = Mutex::new(vec![]);
        for (step, (files, part)) in self.files.chunks(STEP).zip(images.chunks_mut(row * STEP)).enumerate() {
            interrupt::check()?;
            let work = |number: usize, out: &mut [u8]| {
                let Some((file, _)) = files.get(number) else { return Ok(()) };
                let decoded = read(file).and_then(|bytes| target.decode(&bytes, out));
                let rest = decoded.map_err(|problem| format!("{}: {problem}", file.display()))?;
                if let (Some(rest), Ok(mut rests)) = (rest, rests.lock()) {
                    rests.push((step * STEP + number, rest));
                }
                Ok(())
            };
            parallel::rows(part, row, run.settings().threads, work)
                .map_err(|problem| Error::new("dataset", problem))?;
            task.by(files.len());
        }
        drop(task);
        self.warn_of_rests(rests.into_inner().unwrap_or_default(), run);
        let labels = self.files.iter().map(|(_, class)| *class).collect();
        Ok(Decoded { shape: [target.channels, target.height, target.width], images, labels, order: vec![] })
    }

    /// Tells how many pictures have more in them than was taken, and which is the first.
    fn warn_of_rests(&self, mut rests: Vec<(usize, Rest)>, run: &Run) {
        rests.sort_unstable_by_key(|(number, _)| *number);
        let (frames, behind): (Vec<_>, Vec<_>) = rests.into_iter().partition(|(_, rest)| *rest == Rest::Frames);
        for (those, what) in [
            (frames, "several frames or pages, of which the first is taken"),
            (behind, "bytes behind the end of the picture, which are left out"),
        ] {
            if let Some((file, _)) = those.first().and_then(|(number, _)| self.files.get(*number)) {
                let (count, root) = (those.len(), self.root.display());
                let pictures = if count == 1 { "picture has" } else { "pictures have" };
                run.progress().warn(&format!("{root}: {count} {pictures} {what} (first: {})", file.display()));
            }
        }
    }
}

/// The classes that folders stand for themselves.
fn own(root: &Path, folders: &[ClassFolder]) -> Result<Vec<String>> {
    let fail = |problem: String| Error::file("dataset", root, problem);
    let names: Vec<String> = folders.iter().map(|folder| folder.name.clone()).collect();
    let filled: Vec<&ClassFolder> = folders.iter().filter(|folder| !folder.pictures.is_empty()).collect();
    let nested = |folder: &&ClassFolder| !folder.shallow && !folder.deeper.is_empty();
    if names.iter().all(|name| PARTS.contains(&name.as_str())) && filled.iter().any(nested) {
        let message = format!("its folders are parts, not classes: {}", names.join(", "));
        return Err(
            fail(message).hint("load_data(folder) reads all parts, load_dataset(folder + \"/train\") one of them")
        );
    }
    if let ([only], [folder]) = (filled.as_slice(), folders)
        && nested(only)
        && only.deeper.len() > 1
    {
        let (name, within) = (&folder.name, only.deeper.join(", "));
        let message = format!("its only folder {name:?} would be the only class, but its pictures lie in {within}");
        return Err(fail(message).hint(format!("load the folder below: {}", root.join(name).display())));
    }
    if let Some((number, empty)) = folders.iter().enumerate().find(|(_, folder)| folder.pictures.is_empty()) {
        let message = format!(
            "its folder {:?} has no pictures, but would be class {number} of {} and shift the numbers behind it",
            empty.name,
            folders.len()
        );
        return Err(fail(message).hint("remove the folder, or put the pictures of its class there"));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = folders.iter().find(|folder| !seen.insert(class_names::composed(&folder.name))) {
        let message = format!("two folders have the name {:?} once it is read as text", twice.name);
        return Err(
            fail(message).hint("names of classes have to be UTF-8 and differ in more than how accents are written")
        );
    }
    Ok(names)
}

/// The error for a folder that is none of the classes.
fn foreign(root: &Path, folder: &ClassFolder, known: &[String]) -> Error {
    let error = Error::file("dataset", root, format!("its folder {:?} is none of the classes", folder.name))
        .note(format!("classes: {}", known.join(", ")));
    let twin = known.iter().find(|known| looks_like(known, &folder.name));
    let near = options::nearest(&folder.name, known.iter().map(String::as_str));
    match (twin, near) {
        (Some(twin), _) => error.hint(format!(
            "it looks like the class {twin:?}, but its accents are other characters ({} instead of {}): rename it",
            escaped(&folder.name),
            escaped(twin)
        )),
        (None, Some(near)) => error.hint(format!("did you mean {near:?}?")),
        (None, None) => error.hint("every class has to be one of the training part"),
    }
}

/// A name with what is not ASCII as escapes.
fn escaped(name: &str) -> String {
    let one = |c: char| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() };
    name.chars().map(one).collect()
}

/// Whether two different names may be the same text, one with accented letters and one with letters and accents.
fn looks_like(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| !('\u{300}'..='\u{36F}').contains(c)).collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let same =
        |(a, b): (&char, &char)| a == b || (a.is_ascii() != b.is_ascii() && a.is_alphabetic() && b.is_alphabetic());
    a.len() == b.len() && a.iter().zip(&b).all(same)
}

/// A class folder whose pictures lie in several folders within it, which may have been meant as classes.
fn mixed(folder: &ClassFolder) -> Option<String> {
    let ClassFolder { name, deeper, .. } = folder;
    let within: Vec<&str> = deeper.iter().take(3).map(String::as_str).collect();
    let more = if deeper.len() > 3 { ", .." } else { "" };
    (deeper.len() > 1)
        .then(|| format!("pictures in {name}/ ({}{more}) are all of the class {name:?}", within.join(", ")))
}

/// The bytes of a picture's file. What is no plain file (a pipe, say) might never end.
fn read(file: &Path) -> std::result::Result<Vec<u8>, String> {
    let about = file.metadata().map_err(|error| reason(&error))?;
    match about.len() {
        _ if !about.is_file() => Err("this is no file".into()),
        length if length > LARGEST_MEMBER => Err(format!("{length} bytes are more than {LARGEST_MEMBER}")),
        _ => crate::runtime::regular::read(file).map_err(|error| reason(&error)),
    }
}
