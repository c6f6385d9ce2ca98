//! Checksums of files, and of what a data set was made from.

use super::folders;
use super::formats::cinic;
use super::installed::Found;
use super::known::Reader;
use crate::runtime::{Error, Result, interrupt};
use crate::tensor::files::{create_folders, reason, write_atomically};
use md5::{Digest, Md5};
use sha2::Sha256;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// Hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

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
            Err(error) => return Err(Error::file("dataset", path, super::formats::unreadable(&error))),
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
    let file = File::open(path).map_err(|error| Error::file("dataset", path, reason(&error)))?;
    let mut hasher = Md5::new();
    feed(path, file, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// The checksum of all that a data set is decoded from. That of files is remembered by their paths, sizes and times; folders
/// of pictures go by the names, sizes and times of theirs.
///
/// # Errors
/// Files that cannot be read; Ctrl-C.
pub fn of_source(found: &Found) -> Result<String> {
    if found.form.reader == Reader::CinicFolders {
        let mut all = Sha256::new();
        for part in cinic::PARTS {
            all.update(cinic::tree(&found.folder, part)?.fingerprint()?);
        }
        return Ok(hex(&all.finalize()));
    }
    let memo = folders::cache().join("decoded").join(format!("{}.source", stamp(found)?));
    if let Ok(known) = std::fs::read_to_string(&memo)
        && known.len() == 64
        && known.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Ok(known);
    }
    let mut all = Sha256::new();
    for file in &found.files {
        all.update(md5_of(file)?);
    }
    let checksum = hex(&all.finalize());
    // Without the memo, the checksum is computed again.
    let _ = memo.parent().map(create_folders);
    let _ = write_atomically(&memo, |file| file.write_all(checksum.as_bytes()));
    Ok(checksum)
}

/// A hash of the paths, sizes and times of the files.
fn stamp(found: &Found) -> Result<String> {
    let mut hasher = Sha256::new();
    for file in &found.files {
        let about = file.metadata().map_err(|error| Error::file("dataset", file, reason(&error)))?;
        let time = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let path = file.canonicalize().unwrap_or_else(|_| file.clone());
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(format!("\n{}/{}\n", about.len(), time.as_nanos()));
    }
    Ok(hex(hasher.finalize().get(..16).unwrap_or_default()))
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
