//! CINIC-10 (L. Darlow et al., CINIC-10 is not ImageNet or CIFAR-10, 2018): folders `train`, `valid` and `test` of ten class
//! folders of PNG files, unpacked or straight from `CINIC-10.tar.gz`.

use super::class_folders::{Classes, Tree};
use super::listing::{self, LeftOut};
use super::picture::Target;
use super::{Decoded, LARGEST, cifar, members, parallel, unreadable};
use crate::runtime::budget::Budget;
use crate::runtime::{Error, Result, Run};
use std::io::Read;
use std::path::{Component, Path};

/// The parts in the order they are given.
pub const PARTS: [&str; 3] = ["train", "test", "valid"];

/// The classes, in their order.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// More bytes than a PNG file of 32 x 32 has.
const LARGEST_FILE: u64 = 1 << 16;

/// Pictures decoded at a time.
const STEP: usize = 2048;

/// Pictures of a part as it was published.
const PUBLISHED: usize = 90_000;

const TARGET: Target = Target { channels: 3, height: 32, width: 32, resize: false };

/// The pictures of one part of the unpacked folder; warns of what else lies there.
///
/// # Errors
/// Folders that cannot be read or lack a class.
pub fn tree(root: &Path, part: &str, run: &Run) -> Result<Tree> {
    let tree = Tree::of(&root.join(part), Classes::Each(&CLASSES.map(String::from)))?;
    tree.tell(run);
    Ok(tree)
}

/// Training, test and validation part from the unpacked folder.
///
/// # Errors
/// Folders that lack a class; pictures that are damaged or not 32 x 32.
pub fn read_folder(root: &Path, run: &Run) -> Result<Vec<Decoded>> {
    PARTS.iter().map(|part| tree(root, part, run)?.decode(TARGET, &format!("cinic10 ({part})"), run)).collect()
}

/// Training, test and validation part from the archive, in one pass.
///
/// # Errors
/// A damaged archive; a part without pictures of a class; pictures that are damaged or not 32 x 32.
pub fn read_archive(path: &Path, run: &Run) -> Result<Vec<Decoded>> {
    let mut parts: [Part; 3] = Default::default();
    let mut waiting: Vec<Waiting> = Vec::with_capacity(STEP);
    let mut task = run.progress().start("decoding cinic10", 270_000);
    let mut budget = Budget::of(std::fs::metadata(path).map_or(0, |about| about.len()));
    let mut flush = |waiting: &mut Vec<Waiting>, parts: &mut [Part; 3]| -> Result<()> {
        let decoded =
            decode(waiting, run.settings().threads).map_err(|problem| Error::file("dataset", path, problem))?;
        task.by(waiting.len());
        for (one, pixels) in waiting.drain(..).zip(decoded.chunks_exact(cifar::PIXELS)) {
            if let Some(part) = parts.get_mut(one.part) {
                if part.images.is_empty() {
                    // Growing step by step would leave copies behind; what is not written to takes no memory.
                    part.images.reserve(PUBLISHED * cifar::PIXELS);
                }
                if part.images.len() as u64 >= LARGEST {
                    return Err(Error::file("dataset", path, "more than 4 GiB of pictures"));
                }
                budget.take(pixels.len() as u64).map_err(|problem| Error::file("dataset", path, problem))?;
                part.images.extend_from_slice(pixels);
                part.labels.push(one.class);
                part.names.push(one.name);
            }
        }
        Ok(())
    };
    let mut left_out = LeftOut::default();
    members::walk(path, |member, reader| {
        let Some((part, class, name)) = place(member).filter(|(_, _, name)| left_out.takes(name)) else {
            return Ok(());
        };
        let mut bytes = vec![];
        let fail = |problem: String| Error::file("dataset", path, format!("{}: {problem}", member.display()));
        let read = reader.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| fail(unreadable(&error)))?;
        if read as u64 > LARGEST_FILE {
            return Err(fail(format!("more than {LARGEST_FILE} bytes are no picture of 32 x 32")));
        }
        waiting.push(Waiting { part, class, name, bytes });
        if waiting.len() == STEP { flush(&mut waiting, &mut parts) } else { Ok(()) }
    })?;
    flush(&mut waiting, &mut parts)?;
    drop(task);
    if let Some(text) = left_out.describe() {
        run.progress().warn(&format!("{}: {text}", path.display()));
    }
    let finished = parts.into_iter().zip(PARTS).map(|(part, name)| part.finish(path, name));
    finished.collect()
}

/// A picture that is not decoded yet.
struct Waiting {
    part: usize,
    class: u16,
    name: String,
    bytes: Vec<u8>,
}

/// The pictures of a part in the order of the archive.
#[derive(Default)]
struct Part {
    images: Vec<u8>,
    labels: Vec<u16>,
    names: Vec<String>,
}

impl Part {
    /// The part in the order of classes and file names.
    fn finish(self, path: &Path, part: &str) -> Result<Decoded> {
        for (number, class) in CLASSES.iter().enumerate() {
            if !self.labels.iter().any(|label| usize::from(*label) == number) {
                return Err(Error::file("dataset", path, format!("the archive has no pictures in {part}/{class}")));
            }
        }
        let mut order: Vec<u32> = (0..self.labels.len() as u32).collect();
        let key = |row: &u32| (self.labels.get(*row as usize), self.names.get(*row as usize));
        order.sort_by(|a, b| key(a).cmp(&key(b)));
        Decoded { shape: cifar::SHAPE, images: self.images, labels: self.labels, order }.checked(path)
    }
}

/// Part, class and file name of a member `train/cat/x.png`, whatever folder that lies in; where that is one of a packer, its
/// name instead of the file's.
fn place(member: &Path) -> Option<(usize, u16, String)> {
    let mut names = member.components().rev().map(|component| component.as_os_str().to_str());
    let (file, class, part) = (names.next()??, names.next()??, names.next()??);
    let part = PARTS.iter().position(|known| *known == part)?;
    let class = CLASSES.iter().position(|known| *known == class)?;
    let above =
        member.components().filter_map(|one| matches!(one, Component::Normal(_)).then(|| one.as_os_str().to_str())?);
    let left = above.into_iter().find(|name| listing::is_leftover(name));
    Some((part, class as u16, left.unwrap_or(file).to_string()))
}

/// The pixels of all, picture after picture.
fn decode(waiting: &[Waiting], threads: usize) -> std::result::Result<Vec<u8>, String> {
    let mut pixels = vec![0; waiting.len() * cifar::PIXELS];
    parallel::rows(&mut pixels, cifar::PIXELS, threads, |number, out| {
        let Some(one) = waiting.get(number) else { return Ok(()) };
        TARGET.decode(&one.bytes, out).map(drop).map_err(|problem| {
            let part = PARTS.get(one.part).copied().unwrap_or_default();
            let class = CLASSES.get(usize::from(one.class)).copied().unwrap_or_default();
            format!("{part}/{class}/{}: {problem}", one.name)
        })
    })?;
    Ok(pixels)
}
