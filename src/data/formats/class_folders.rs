//! Folders of pictures, one folder a class: `root/class/*.png|jpg`. Classes are numbered in the order of their folders' names,
//! pictures stand in the order of their files' names.

use super::picture::{self, Target};
use super::{Decoded, LARGEST, parallel};
use crate::runtime::budget::{Budget, LARGEST_MEMBER};
use crate::runtime::{Error, Result, Run, interrupt};
use crate::tensor::files::reason;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// More classes than a label has numbers for.
const MOST_CLASSES: usize = 1 << 16;

/// Pictures decoded between two looks at the clock and at Ctrl-C.
const STEP: usize = 4096;

/// What lies below a folder of classes.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The names of the classes, ascending.
    pub classes: Vec<String>,
    /// Every picture with its class.
    pub files: Vec<(PathBuf, u16)>,
}

/// Whether a file name is that of a picture.
pub fn is_picture(name: &Path) -> bool {
    let extension = name.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let hidden = name.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The entries of a folder, ascending.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error: std::io::Error| Error::file("dataset", folder, reason(&error));
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        found.push(entry.map_err(fail)?.path());
    }
    found.sort_unstable();
    Ok(found)
}

impl Tree {
    /// Lists the classes and pictures of a folder; with `classes` given, exactly these classes have to be there.
    ///
    /// # Errors
    /// Folders that cannot be read, without pictures, or with other classes.
    pub fn of(root: &Path, classes: Option<&[String]>) -> Result<Self> {
        let fail = |problem: String| Error::file("dataset", root, problem);
        let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let folders: Vec<PathBuf> = entries(root)?.into_iter().filter(|path| path.is_dir() && !hidden(path)).collect();
        let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own: Vec<String> = folders.iter().map(name).collect();
        if own.is_empty() {
            return Err(fail("has no folders: one folder of PNG or JPEG files a class is expected".into()));
        }
        if own.len() > MOST_CLASSES {
            return Err(fail(format!("{} classes are more than {MOST_CLASSES}", own.len())));
        }
        let known = classes.unwrap_or(&own);
        let mut tree = Self { classes: known.to_vec(), files: vec![] };
        if let Some(missing) = known.iter().find(|class| !own.contains(class)) {
            return Err(fail(format!("has no folder for the class {missing:?}")));
        }
        for (folder, class) in folders.iter().zip(&own) {
            let number = known.iter().position(|known| known == class);
            let number = number.ok_or_else(|| {
                let message = format!("its folder {class:?} is none of the classes");
                fail(message).note(format!("classes: {}", known.join(", ")))
            })?;
            let pictures = entries(folder)?.into_iter().filter(|file| is_picture(file));
            tree.files.extend(pictures.map(|file| (file, number as u16)));
        }
        // With classes given, their order decides, not that of the folders.
        tree.files.sort_by_key(|(_, class)| *class);
        if tree.files.is_empty() { Err(fail("has no PNG or JPEG files in its folders".into())) } else { Ok(tree) }
    }

    /// A hash of the pictures' names, sizes and times: another content without another hash takes intent.
    ///
    /// # Errors
    /// Files that vanish.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        for (file, class) in &self.files {
            let about = file.metadata().map_err(|error| Error::file("dataset", file, reason(&error)))?;
            let time = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            hasher.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            hasher.update(format!("/{class}/{}/{}\n", about.len(), time.as_nanos()));
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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
        for (files, part) in self.files.chunks(STEP).zip(images.chunks_mut(row * STEP)) {
            interrupt::check()?;
            let work = |number: usize, out: &mut [u8]| {
                let Some((file, _)) = files.get(number) else { return Ok(()) };
                let decoded = read(file).and_then(|bytes| target.decode(&bytes, out));
                decoded.map_err(|problem| format!("{}: {problem}", file.display()))
            };
            parallel::rows(part, row, run.settings().threads, work)
                .map_err(|problem| Error::new("dataset", problem))?;
            task.by(files.len());
        }
        let labels = self.files.iter().map(|(_, class)| *class).collect();
        Ok(Decoded { shape: [target.channels, target.height, target.width], images, labels, order: vec![] })
    }
}

/// The bytes of a picture's file. What is no plain file (a pipe, say) might never end.
fn read(file: &Path) -> std::result::Result<Vec<u8>, String> {
    let about = file.metadata().map_err(|error| reason(&error))?;
    match about.len() {
        _ if !about.is_file() => Err("this is no file".into()),
        length if length > LARGEST_MEMBER => Err(format!("{length} bytes are more than {LARGEST_MEMBER}")),
        _ => std::fs::read(file).map_err(|error| reason(&error)),
    }
}
