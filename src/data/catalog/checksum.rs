//! Checksums of files, and of what a data set was made from.

use crate::data::catalog::digests;
use crate::data::catalog::known_datasets::Reader;
use crate::data::catalog::local_files::Found;
use crate::data::formats::cinic;
use crate::data::formats::class_folders::Tree;
use crate::runtime::hex::hex;
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result, Run, interrupt, regular};
use md5::{Digest, Md5};
use sha2::Sha256;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// Feeds everything that comes to a hash.
///
/// # Errors
/// A source that cannot be read, in words; Ctrl-C.
pub fn feed(path: &Path, mut source: impl Read, hasher: &mut Md5) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut total = 0;
    loop {
        interrupt::check()?;
        let count = match source.read(&mut block) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::file("dataset", path, crate::data::formats::unreadable(&error))),
        };
        if count == 0 {
            return Ok(total);
        }
        hasher.update(block.get(..count).unwrap_or_default());
        total += count as u64;
    }
}

/// The MD5 checksum of a file.
///
/// # Errors
/// A file that cannot be read; Ctrl-C.
pub fn md5_of(path: &Path) -> Result<String> {
    let file = regular::open(path).map_err(|error| Error::file("dataset", path, reason(&error)))?;
    let mut hasher = Md5::new();
    feed(path, file, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// The checksum of the content of all that a data set is decoded from.
///
/// # Errors
/// Files that cannot be read; Ctrl-C.
pub fn of_source(found: &Found, name: &str, run: &Run) -> Result<String> {
    if found.form.reader == Reader::CinicFolders {
        let trees =
            cinic::PARTS.iter().map(|part| cinic::tree(&found.folder, part, run)).collect::<Result<Vec<Tree>>>()?;
        return of_trees("", &trees.iter().collect::<Vec<_>>(), name, run);
    }
    let files: Vec<&Path> = found.files.iter().map(PathBuf::as_path).collect();
    let mut all = Sha256::new();
    all.update(format!("{:?}", found.form.reader));
    digests::of(&found.folder, &files, name, run)?.iter().for_each(|digest| all.update(digest));
    Ok(hex(&all.finalize()))
}

/// The checksum of the pictures of some folders, which are taken in a certain `manner`: their contents and the numbers of their
/// classes, in their order.
///
/// # Errors
/// Files that cannot be read; Ctrl-C.
pub fn of_trees(manner: &str, trees: &[&Tree], name: &str, run: &Run) -> Result<String> {
    let mut all = Sha256::new();
    all.update(manner);
    for tree in trees {
        all.update(format!("\n{}\n", tree.files.len()));
        for (digest, (_, class)) in tree.digests(name, run)?.iter().zip(&tree.files) {
            all.update(digest);
            all.update(class.to_le_bytes());
        }
    }
    Ok(hex(&all.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_file_is_its_md5() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(md5_of(&path).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        assert!(md5_of(&folder.path().join("y")).unwrap_err().to_string().contains("no such file"));
    }
}
