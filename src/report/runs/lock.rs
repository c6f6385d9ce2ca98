//! One owner a run folder: a lock that the system gives back when its process ends, however that happens.

use crate::runtime::io_error::reason;
use crate::runtime::moment::now;
use crate::runtime::write_place::{open_regular, sync_folder};
use crate::runtime::{Error, Result};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file in the run folder that is locked, and says by whom. One that a killed process left holds nobody up: what counts is
/// the system's lock on it.
pub const NAME: &str = ".lock";

/// A held lock; dropped, it is given back and its file removed.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    /// Why there is no lock in truth, where the file system has none.
    missing: Option<String>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not that of somebody who has put another folder here.
        if self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Lock {
    /// Takes the lock of a folder that is there.
    ///
    /// # Errors
    /// When another process has it, which is named; a folder that cannot be written.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let failed = |problem: std::io::Error| Error::file("run folder", &path, reason(&problem));
        if path.is_symlink() {
            return Err(failed(std::io::Error::other("this is a link")));
        }
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = open_regular(&mut options, &path).map_err(failed)?;
            let missing = match file.try_lock() {
                Ok(()) => None,
                Err(TryLockError::WouldBlock) => return Err(refusal(folder, &mut file)),
                Err(TryLockError::Error(problem)) => Some(problem.to_string()),
            };
            let mut lock = Self { file, path: path.clone(), missing };
            // The owner before may have removed the file between opening and locking it.
            if lock.is_in_place() {
                lock.sign().map_err(failed)?;
                sync_folder(folder);
                return Ok(lock);
            }
        }
    }

    /// Says whose lock it is.
    fn sign(&mut self) -> std::io::Result<()> {
        let own = json!({ "host": host(), "pid": std::process::id(), "started": now() });
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{own}")
    }

    /// Whether the locked file is the one in the folder.
    fn is_in_place(&self) -> bool {
        let id = |about: &std::fs::Metadata| (about.dev(), about.ino());
        matches!((self.file.metadata(), self.path.symlink_metadata()), (Ok(own), Ok(there)) if id(&own) == id(&there))
    }

    /// What to say where the file system knows no locks.
    pub fn warning(&self) -> Option<String> {
        let problem = self.missing.as_ref()?;
        let folder = self.path.parent().unwrap_or(Path::new(".")).display();
        Some(format!("{folder} cannot be locked ({problem}): let no other process record there at the same time"))
    }
}

/// The error for a folder that another process has.
fn refusal(folder: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let read = file.take(4096).read_to_string(&mut text);
    let owner: Value = read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default();
    let said = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or("?").to_string();
    let who = match owner.get("pid").and_then(Value::as_u64) {
        Some(pid) => format!("process {pid} on {}, started {}", said("host"), said("started")),
        None => "another process".into(),
    };
    Error::new("run folder", format!("{} is in use by {who}", folder.display())).hint(
        "wait until it has ended, or give another folder: two runs that record into one would spoil each other's rows",
    )
}

/// The name of this machine.
fn host() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer outlives the call, which writes no more than its length.
    let done = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let name = String::from_utf8_lossy(name.get(..end).unwrap_or_default()).into_owned();
    if done == 0 && !name.is_empty() { name } else { "an unnamed host".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_told_the_first() {
        let place = tempfile::tempdir().unwrap();
        let first = Lock::take(place.path()).unwrap();
        let refused = Lock::take(place.path()).unwrap_err().to_string();
        let own = format!("process {} on {}", std::process::id(), host());
        assert!(refused.contains(&own) && refused.contains("started 2"), "{refused}");
        drop(first);
        assert!(!place.path().join(NAME).exists());
        assert!(Lock::take(place.path()).unwrap().warning().is_none());
    }

    #[test]
    fn a_file_that_a_killed_process_left_holds_nobody_up() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(NAME), "{\"host\":\"gone\",\"pid\":1,\"started\":\"long ago\"}\nand more")
            .unwrap();
        let lock = Lock::take(place.path()).unwrap();
        let text = std::fs::read_to_string(place.path().join(NAME)).unwrap();
        assert!(text.contains(&format!("\"pid\":{}", std::process::id())) && !text.contains("more"), "{text}");
        drop(lock);
    }

    #[test]
    fn of_many_who_try_at_once_one_gets_it_each_time() {
        let place = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let Ok(lock) = Lock::take(place.path()) else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }

    #[test]
    fn where_there_are_no_locks_it_is_said() {
        let place = tempfile::tempdir().unwrap();
        let mut lock = Lock::take(place.path()).unwrap();
        lock.missing = Some("not supported".into());
        assert!(lock.warning().unwrap().contains("cannot be locked (not supported)"));
    }

    #[test]
    fn a_pipe_in_the_place_of_the_file_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join(NAME);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(Lock::take(place.path()).unwrap_err().to_string().contains("a pipe"));
    }

    #[test]
    fn the_lock_of_another_folder_in_this_place_stays() {
        let place = tempfile::tempdir().unwrap();
        let lock = Lock::take(place.path()).unwrap();
        std::fs::remove_file(place.path().join(NAME)).unwrap();
        std::fs::write(place.path().join(NAME), "somebody else's").unwrap();
        drop(lock);
        assert!(place.path().join(NAME).exists());
    }
}
