//! Writing that never leaves half a file behind: a draft beside the file, renamed when it is complete.

use super::files::reason;
use crate::runtime::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// Removes the temporary file unless it has been renamed.
struct Temporary {
    path: PathBuf,
    keep: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes a file by way of a temporary one in the same folder, synced and renamed: a failure leaves the old file as it was.
///
/// # Errors
/// What `write` raised, or why the folder does not take a file.
pub fn write_atomically(path: impl AsRef<Path>, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let path = path.as_ref();
    write_beside(path, write).map_err(|problem| Error::file("save", path, reason(&problem)))
}

fn write_beside(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    survive_size_limits();
    let name = path.file_name().ok_or_else(|| std::io::Error::other("this is no file name"))?;
    if path.is_dir() {
        return Err(std::io::Error::other("this is a folder"));
    }
    let (mut file, mut temporary) = draft(path, &name.to_string_lossy())?;
    write(&mut file)?;
    file.flush()?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary.path, path)?;
    temporary.keep = true;
    // The rename itself survives a crash once the folder is on disk; not every file system allows asking for it.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// A new file beside `path`, hidden: `.NAME.PROCESS-NUMBER.tmp`. A name that is taken, left behind by a killed process of
/// the same number or in use by one on another machine, is passed over.
fn draft(path: &Path, name: &str) -> std::io::Result<(File, Temporary)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()));
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, Temporary { path, keep: false })),
            Err(problem) if problem.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(problem) => return Err(problem),
        }
    }
}

/// The name of the file that a draft of this name was to become; `None` when it is no draft's name.
pub fn draft_of(name: &str) -> Option<&str> {
    let (name, tail) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let (process, number) = tail.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(process) && digits(number)).then_some(name)
}

/// A file-size limit must end in an error of `write`, not in the death of the process by a signal.
fn survive_size_limits() {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        #[cfg(unix)]
        // SAFETY: ignoring a signal installs no handler and touches no memory of ours.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        (folder, path)
    }

    #[test]
    fn drafts_that_others_left_behind_or_are_writing_are_passed_over_and_stay() {
        let (folder, path) = written();
        let others: Vec<PathBuf> =
            (0..2000).map(|number| folder.path().join(format!(".x.{}-{number}.tmp", std::process::id()))).collect();
        others.iter().for_each(|other| std::fs::write(other, "not mine").unwrap());
        write_atomically(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert!(others.iter().all(|other| std::fs::read(other).unwrap() == b"not mine"));
        let failing = write_atomically(&path, |_| Err(std::io::Error::other("no")));
        assert!(failing.is_err() && others.iter().all(|other| other.exists()));
    }

    #[test]
    fn drafts_are_known_by_their_names() {
        assert_eq!(draft_of(".x.safetensors.17-0.tmp"), Some("x.safetensors"));
        for other in ["x.safetensors", ".x.tmp", ".x.17.tmp", ".x.a-b.tmp", ".x.17-.tmp", "x.17-0.tmp", ".hidden"] {
            assert_eq!(draft_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_failing_writer_leaves_the_old_file_and_no_other() {
        let (folder, path) = written();
        let failing = write_atomically(&path, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::other("the disk is gone"))
        });
        assert!(failing.unwrap_err().to_string().contains("the disk is gone"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn readers_see_the_old_file_or_the_new_one_and_writers_do_not_disturb_each_other() {
        let (folder, path) = written();
        let texts: Vec<Vec<u8>> = (b'a'..b'e').map(|letter| vec![letter; 50_000]).collect();
        std::thread::scope(|scope| {
            for text in &texts {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..10 {
                        write_atomically(path, |file| file.write_all(text)).unwrap();
                    }
                });
            }
            for _ in 0..200 {
                let seen = std::fs::read(&path).unwrap();
                assert!(seen == b"old" || texts.contains(&seen), "{} bytes of a mixture", seen.len());
            }
        });
        assert!(texts.contains(&std::fs::read(&path).unwrap()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no drafts stay");
    }
}
