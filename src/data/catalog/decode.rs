//! From the files of a known data set to its decoded parts.

use crate::data::catalog::decoded_cache::{Images, Subject};
use crate::data::catalog::known_datasets::{Known, Reader};
use crate::data::catalog::local_files::Found;
use crate::data::catalog::{checksum, decoded_cache};
use crate::data::formats::{Decoded, cifar, cifar_python, cinic, idx, svhn};
use crate::runtime::{Error, Result, Run};
use std::path::{Path, PathBuf};

/// The parts of a data set in the order of `Known::counts`: training, test and, where there is one, validation part. Taken
/// from the cache of decoded images, else decoded now. `pad` black pixels are added on every side.
///
/// # Errors
/// Files that are damaged or do not fit together.
pub fn images(known: &Known, found: &Found, pad: usize, run: &Run) -> Result<Vec<Images>> {
    let names: &[&str] = if has_validation(known) { &["train", "test", "validation"] } else { &["train", "test"] };
    let checksum = || checksum::of_source(found, known.name, run);
    let name = if pad == 0 { known.name.to_string() } else { format!("{}-pad{pad}", known.name) };
    let subject = Subject { stem: &name, dataset: known.name, place: &found.folder, parts: names };
    let make = || Ok(decode(known, found, run)?.into_iter().map(|part| part.padded(pad)).collect());
    let parts = decoded_cache::parts(run, &subject, checksum, make)?;
    for ((part, name), expected) in parts.iter().zip(names).zip(known.counts) {
        if part.labels.len() != expected {
            let count = part.labels.len();
            let whose = format!("the {name} part of {} in {}", known.name, found.folder.display());
            run.progress().warn(&format!(
                "{whose} has {count} images, the published one {expected} (see `lethe data verify {}`)",
                known.name
            ));
        }
    }
    Ok(parts)
}

/// Whether the data set brings a part to validate with.
pub fn has_validation(known: &Known) -> bool {
    known.counts[2] > 0
}

/// Reads the files, without the cache.
///
/// # Errors
/// Files that are damaged or do not fit together.
pub fn decode(known: &Known, found: &Found, run: &Run) -> Result<Vec<Decoded>> {
    match found.form.reader {
        Reader::CifarBinary(kind) => cifar::read(&archive_or_folder(found), kind),
        Reader::CifarPython(kind) => cifar_python::read(&archive_or_folder(found), kind),
        Reader::Svhn => found.files.iter().map(|file| svhn::read(file)).collect(),
        Reader::CinicArchive => cinic::read_archive(&archive_or_folder(found), run),
        Reader::CinicFolders => cinic::read_folder(&found.folder, run),
        Reader::Idx => {
            let [train_images, train_labels, test_images, test_labels] = found.files.as_slice() else {
                return Err(Error::new("dataset", format!("{} comes in four files", known.name)));
            };
            let classes = known.classes.len() as u8;
            Ok(vec![idx::pair(train_images, train_labels, classes)?, idx::pair(test_images, test_labels, classes)?])
        }
    }
}

/// The archive, or the folder that its files were unpacked to.
fn archive_or_folder(found: &Found) -> PathBuf {
    match found.files.as_slice() {
        [archive] => archive.clone(),
        [first, ..] => first.parent().unwrap_or(Path::new(".")).to_path_buf(),
        [] => found.folder.clone(),
    }
}
