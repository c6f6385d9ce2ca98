//! Writing that never leaves half a file behind: a draft beside the file, renamed when it is complete.

use crate::runtime::draft_file::Draft;
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result, write_place};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Once;

/// Writes a file by way of a draft in the same folder, synced and renamed: a failure leaves the old file as it was. A link to a
/// file is followed, permissions are kept; another hard link to the old file keeps the old content. What is no regular file is
/// refused.
///
/// # Errors
/// What `write` raised, or why the place does not take a file.
pub fn write_atomically(path: impl AsRef<Path>, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let path = path.as_ref();
    written(path, write).map_err(|problem| Error::file("save", path, reason(&problem)))
}

fn written(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    survive_size_limits();
    let place = write_place::of(path)?;
    let mut draft = Draft::new(&place)?;
    write(&mut draft.file)?;
    draft.file.flush()?;
    draft.put(&place)?;
    // The rename itself survives a crash once the folder is on disk.
    write_place::sync_folder(write_place::folder_of(&place.path));
    Ok(())
}

/// Puts a whole file in another's place, on disk: what is no regular file there is refused.
///
/// # Errors
/// Why the place does not take a file.
pub fn put(file: &File, from: &Path, to: &Path) -> std::io::Result<()> {
    let place = write_place::of(to)?;
    file.sync_all()?;
    std::fs::rename(from, &place.path)?;
    write_place::sync_folder(write_place::folder_of(&place.path));
    Ok(())
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
    use std::path::PathBuf;

    fn written() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        (folder, path)
    }

    #[test]
    fn nothing_is_seen_of_a_file_before_it_is_whole() {
        let (folder, path) = written();
        let names = || -> Vec<_> {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        write_atomically(&path, |file| {
            file.write_all(b"new")?;
            // Where drafts must have names, one no-one can foresee.
            assert!(names().iter().all(|name| name == "x" || crate::runtime::draft_file::draft_of(name) == Some("x")));
            assert_eq!(std::fs::read(&path).unwrap(), b"old");
            Ok(())
        })
        .unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), names()), (b"new".to_vec(), vec!["x".to_string()]));
        let long = folder.path().join("é".repeat(127));
        write_atomically(&long, |file| file.write_all(b"long")).unwrap();
        assert_eq!(std::fs::read(long).unwrap(), b"long");
    }

    #[test]
    fn files_behind_links_are_replaced_where_they_are_and_keep_their_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (folder, path) = written();
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        write_atomically(&link, |file| file.write_all(b"new")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        std::fs::remove_file(&path).unwrap();
        let refused = write_atomically(&link, |file| file.write_all(b"new")).unwrap_err().to_string();
        assert!(refused.contains("which does not exist") && !path.exists(), "{refused}");
    }

    #[test]
    fn pipes_sockets_and_folders_are_refused_and_stay() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        for (name, what) in [("pipe", "a pipe"), ("socket", "a socket"), ("folder", "a folder")] {
            let refused = write_atomically(path(name), |_| Ok(())).unwrap_err().to_string();
            assert!(refused.contains(what), "{refused}");
        }
        assert!(path("pipe").metadata().unwrap().file_type().is_fifo());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
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
