//! SHA-256 digests of files, remembered by each host as long as a file stays what it is.
//!
//! Content decides what a file is taken for. That a file need not be read again is concluded from what the file system says of
//! it: device, inode, size, and both times in nanoseconds; the time of the last change of the inode is one that tools which set
//! times back do not reach. A file that changed within the last two seconds is read in any case, for it may change again
//! without another time.

use crate::data::formats::parallel;
use crate::runtime::hex::hex_of;
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result, Run, interrupt, user_dirs};
use crate::tensor::io::safetensors_file::{create_folders, write_atomically};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The SHA-256 of a file.
pub type Digest = [u8; 32];

/// Bytes of what the file system says of a file.
const STAMP: usize = 56;

/// Bytes of a remembered file: its stamp and its digest.
const RECORD: usize = STAMP + 32;

/// Bytes of a file's row while digests are computed: its record, and what it is worth.
const ROW: usize = RECORD + 1;

/// A row that may be remembered; one of a file that changed too recently has 0.
const NEW: u8 = 1;

/// A row that was remembered.
const KNOWN: u8 = 2;

/// Files read between two looks at Ctrl-C.
const STEP: usize = 4096;

/// Bytes read at a time.
const BLOCK: usize = 1 << 18;

/// What a memo starts with.
const MAGIC: [u8; 8] = *b"LETHEid\x01";

/// More files than one memo remembers.
const MOST_RECORDS: usize = 1_000_000;

/// More bytes than all memos of a host have.
const MOST_BYTES: u64 = 128 << 20;

/// A file that changed less than this ago, in nanoseconds, is not remembered.
const SETTLED: i128 = 2_000_000_000;

/// The digests of these files, which lie below `root`. `name` is what the progress is called.
///
/// # Errors
/// Files that are missing, cannot be read, are no files, or change while they are read; Ctrl-C.
pub fn of(root: &Path, files: &[&Path], name: &str, run: &Run) -> Result<Vec<Digest>> {
    remembered(&place(root), files, name, run)
}

/// The digests of these files, with the memo at a place.
fn remembered(place: &Path, files: &[&Path], name: &str, run: &Run) -> Result<Vec<Digest>> {
    let memo = Memo::read(place);
    let mut rows = vec![0; files.len() * ROW];
    let mut task = run.progress().start(&format!("reading {name}"), files.len());
    for (files, rows) in files.chunks(STEP).zip(rows.chunks_mut(STEP * ROW)) {
        interrupt::check()?;
        let one = |number: usize, row: &mut [u8]| {
            let Some(file) = files.get(number) else { return Ok(()) };
            digest(file, &memo, row).map_err(|problem| format!("{}: {problem}", file.display()))
        };
        parallel::rows(rows, ROW, run.settings().threads, one).map_err(|problem| Error::new("dataset", problem))?;
        task.by(files.len());
    }
    if rows.chunks_exact(ROW).any(|row| row.last() == Some(&NEW)) {
        // Without the memo, the files are read again.
        let _ = write(place, &rows);
    }
    Ok(rows.chunks_exact(ROW).filter_map(|row| row.get(STAMP..)?.first_chunk().copied()).collect())
}

/// One file's row, from the memo or by reading it.
fn digest(path: &Path, memo: &Memo, row: &mut [u8]) -> std::result::Result<(), String> {
    let fail = |error: std::io::Error| reason(&error);
    let mut file = open(path).map_err(fail)?;
    let before = file.metadata().map_err(fail)?;
    if !before.is_file() {
        return Err("this is no file".into());
    }
    let stamp = stamp(&before);
    let settled = stamp.as_ref().filter(|_| is_settled(&before));
    let known = settled.and_then(|stamp| memo.0.get(stamp));
    let digest = match known {
        Some(digest) => *digest,
        None => content(&mut file).map_err(fail)?,
    };
    if known.is_none() && file.metadata().map(|after| self::stamp(&after)).map_err(fail)? != stamp {
        return Err("it changed while it was read".into());
    }
    let worth = match (settled, known) {
        (None, _) => 0,
        (_, None) => NEW,
        _ => KNOWN,
    };
    let parts = stamp.unwrap_or([0; STAMP]).into_iter().chain(digest).chain([worth]);
    row.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    Ok(())
}

/// Opens a file without waiting for the other end where it is a pipe.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

fn content(file: &mut File) -> std::io::Result<Digest> {
    let (mut hasher, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => hasher.update(block.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The times of the last change of content and inode, in nanoseconds.
#[cfg(unix)]
fn times(about: &Metadata) -> [i128; 2] {
    use std::os::unix::fs::MetadataExt;
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    [nanoseconds(about.mtime(), about.mtime_nsec()), nanoseconds(about.ctime(), about.ctime_nsec())]
}

/// What tells a file from others and from its later self; none where the file system does not say enough.
#[cfg(unix)]
fn stamp(about: &Metadata) -> Option<[u8; STAMP]> {
    use std::os::unix::fs::MetadataExt;
    if about.dev() == 0 || about.ino() == 0 {
        return None;
    }
    let numbers = [about.dev(), about.ino(), about.len()].into_iter().flat_map(u64::to_le_bytes);
    let all: Vec<u8> = numbers.chain(times(about).into_iter().flat_map(i128::to_le_bytes)).collect();
    all.try_into().ok()
}

#[cfg(unix)]
fn is_settled(about: &Metadata) -> bool {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i128);
    times(about).into_iter().all(|time| now - time > SETTLED)
}

#[cfg(not(unix))]
fn stamp(_about: &Metadata) -> Option<[u8; STAMP]> {
    None
}

#[cfg(not(unix))]
fn is_settled(_about: &Metadata) -> bool {
    false
}

/// What is remembered of the files below a folder.
#[derive(Default)]
struct Memo(HashMap<[u8; STAMP], Digest>);

impl Memo {
    /// Reads a memo; one that is missing or damaged is empty.
    fn read(place: &Path) -> Self {
        let sound = || {
            let length = place.metadata().ok()?.len();
            let bytes = std::fs::read(place).ok().filter(|_| length <= (12 + MOST_RECORDS * RECORD) as u64)?;
            let (sum, records) = bytes.strip_prefix(&MAGIC)?.split_first_chunk::<4>()?;
            let sound = records.len().is_multiple_of(RECORD) && crc32fast::hash(records) == u32::from_le_bytes(*sum);
            let pair = |record: &[u8]| Some((*record.first_chunk()?, *record.last_chunk()?));
            sound.then(|| records.chunks_exact(RECORD).filter_map(pair).collect())
        };
        Self(sound().unwrap_or_default())
    }
}

/// Remembers the files that these rows are of, and nothing else.
fn write(place: &Path, rows: &[u8]) -> Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    create_folders(folder).map_err(|error| Error::file("dataset", folder, reason(&error)))?;
    let kept = rows.chunks_exact(ROW).filter(|row| row.last() != Some(&0)).take(MOST_RECORDS);
    let records: Vec<u8> = kept.flat_map(|row| row.iter().take(RECORD)).copied().collect();
    write_atomically(place, |file| {
        file.write_all(&MAGIC)?;
        file.write_all(&crc32fast::hash(&records).to_le_bytes())?;
        file.write_all(&records)
    })?;
    bound(folder, place);
    Ok(())
}

/// Removes the oldest memos, this one apart, until what is left is small enough.
fn bound(folder: &Path, own: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let about = |path: PathBuf| path.metadata().ok().map(|about| (about.modified().ok(), about.len(), path));
    let mut memos: Vec<_> = entries.flatten().filter_map(|entry| about(entry.path())).collect();
    memos.sort();
    let mut total: u64 = memos.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in memos.iter().filter(|(_, _, path)| path != own) {
        if total > MOST_BYTES && std::fs::remove_file(path).is_ok() {
            total -= length;
        }
    }
}

/// Where the files below a folder are remembered: each host has numbers of its own for devices and files.
fn place(root: &Path) -> PathBuf {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let hash = |bytes: &[u8]| hex_of(&Sha256::digest(bytes), 8);
    user_dirs::state().join("digests").join(hash(&host())).join(hash(root.as_os_str().as_encoded_bytes()))
}

/// The name of this machine.
#[cfg(unix)]
fn host() -> Vec<u8> {
    let mut name = vec![0_u8; 256];
    // SAFETY: the call writes at most so many bytes to the buffer, which lives until it returns.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    name
}

#[cfg(not(unix))]
fn host() -> Vec<u8> {
    vec![]
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::runtime::hex::hex;
    use crate::runtime::run::Settings;
    use std::time::{Duration, SystemTime};

    struct House {
        folder: tempfile::TempDir,
        run: Run,
    }

    impl House {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                run: Run::new(Settings { quiet: true, ..Settings::default() }),
            }
        }

        fn memo(&self) -> PathBuf {
            self.folder.path().join("state/memo")
        }

        /// Writes a file in place and gives it a time long past.
        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(17)).unwrap();
            path
        }

        fn digests(&self, files: &[&Path]) -> Vec<String> {
            remembered(&self.memo(), files, "own", &self.run).unwrap().iter().map(|digest| hex(digest)).collect()
        }
    }

    /// Of the texts `one` and `two`.
    const ONE: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    const TWO: &str = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";

    #[test]
    fn a_file_that_changes_at_once_under_its_old_time_is_read_again() {
        let house = House::new();
        let path = house.write("a", "one");
        assert_eq!(house.digests(&[&path]), [ONE]);
        assert!(!house.memo().exists(), "so young a file is not remembered");
        house.write("a", "two");
        assert_eq!(house.digests(&[&path]), [TWO]);
    }

    #[test]
    fn a_file_that_has_settled_is_remembered_until_anything_about_it_changes() {
        let house = House::new();
        let (a, b) = (house.write("a", "one"), house.write("b", "two"));
        std::thread::sleep(Duration::from_millis(2100));
        assert_eq!(house.digests(&[&a, &b]), [ONE, TWO]);
        let sound = std::fs::read(house.memo()).unwrap();
        assert_eq!(sound.len(), 12 + 2 * RECORD);
        // What the memo says is believed, so that a file need not be read.
        let lie = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[12 + STAMP] ^= 0xFF;
            let sum = crc32fast::hash(&bytes[12..]);
            bytes[8..12].copy_from_slice(&sum.to_le_bytes());
            bytes
        };
        std::fs::write(house.memo(), lie(&sound)).unwrap();
        assert_ne!(house.digests(&[&a, &b])[0], ONE);
        // A damaged memo is none.
        for damage in [&sound[..sound.len() - 1], &sound[1..], b"", &[sound.as_slice(), &[0]].concat()] {
            std::fs::write(house.memo(), damage).unwrap();
            assert_eq!(house.digests(&[&a, &b]), [ONE, TWO]);
        }
        // Another content of the same size under the same time, in the same inode.
        house.write("a", "two");
        assert_eq!(house.digests(&[&a, &b]), [TWO, TWO]);
        // A file moved into its place.
        let other = house.write("c", "one");
        std::fs::rename(other, &a).unwrap();
        assert_eq!(house.digests(&[&a, &b]), [ONE, TWO]);
    }

    #[test]
    fn old_memos_go_when_there_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        for (name, age) in [("old", 3), ("own", 9), ("young", 1)] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_len(MOST_BYTES / 2 - 10).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age * 1000)).unwrap();
        }
        bound(folder.path(), &folder.path().join("own"));
        assert!(!folder.path().join("old").exists());
        assert!(folder.path().join("own").exists() && folder.path().join("young").exists());
    }

    #[test]
    fn what_is_missing_or_no_file_is_named() {
        let house = House::new();
        let missing = house.folder.path().join("missing");
        let said = |path: &Path| remembered(&house.memo(), &[path], "own", &house.run).unwrap_err().to_string();
        assert!(said(&missing).contains("missing: no such file"));
        assert!(said(house.folder.path()).contains("this is no file"));
    }
}
