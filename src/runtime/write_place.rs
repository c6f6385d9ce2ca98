//! The place of a file: where a path leads, whether what is there may be written, and folders that survive a crash.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// How many links in a row are followed, as the system does.
const LINKS: usize = 40;

/// The real path of a file that is to be written, and what is there now.
#[derive(Debug)]
pub struct Place {
    /// The path behind all links.
    pub path: PathBuf,
    /// The regular file that is there, if any.
    pub about: Option<Metadata>,
}

/// Where a file of this path is to be written. A link to a regular file leads to that file, which is what users mean who keep
/// results on another disk. Folders, devices, pipes and sockets are refused, and links to them or to nothing: a device node
/// must never be replaced by a file, and nobody asked for a file at the far end of a broken link.
///
/// # Errors
/// What is there and may not be written.
pub fn of(path: &Path) -> Result<Place> {
    let (mut real, mut followed) = (path.to_path_buf(), 0);
    loop {
        let name = real.file_name().ok_or_else(|| Error::other("this is no file name"))?.to_os_string();
        let about = match real.symlink_metadata() {
            Ok(about) => about,
            Err(problem) if problem.kind() == ErrorKind::NotFound && followed == 0 => {
                return Ok(Place { path: real, about: None });
            }
            Err(problem) if problem.kind() == ErrorKind::NotFound => {
                return Err(Error::other(format!("this is a link to {}, which does not exist", real.display())));
            }
            Err(problem) => return Err(problem),
        };
        if !about.is_symlink() {
            check_regular(&about)?;
            if !allows_writing(&real) {
                return Err(ErrorKind::PermissionDenied.into());
            }
            return Ok(Place { path: real, about: Some(about) });
        }
        let folder = folder_of(&real).canonicalize()?;
        // What /dev/stdout leads to is open already: replacing it would lose what is written to it.
        if folder.starts_with("/proc") || followed == LINKS {
            return Err(Error::other("this link leads to no place for a file"));
        }
        // The system may forbid following a link that somebody else has put there; following by hand must not get round that.
        match real.metadata() {
            Err(problem) if problem.kind() != ErrorKind::NotFound => return Err(problem),
            _ => {}
        }
        real = folder.join(folder.join(name).read_link()?);
        followed += 1;
    }
}

/// Refuses what is no regular file, saying what it is.
///
/// # Errors
/// A folder, device, pipe, socket or link.
pub fn check_regular(about: &Metadata) -> Result<()> {
    match kind(about) {
        None => Ok(()),
        Some(kind) => Err(Error::other(format!("this is {kind}"))),
    }
}

/// What something other than a regular file is.
fn kind(about: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = about.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_symlink() {
        Some("a link")
    } else if kind.is_fifo() {
        Some("a pipe, not a file")
    } else if kind.is_socket() {
        Some("a socket, not a file")
    } else {
        Some("a device, not a file")
    }
}

/// Opens a regular file with these options, never waiting for the other end of a pipe.
///
/// # Errors
/// Those of the system; something that is no regular file.
pub fn open_regular(options: &mut OpenOptions, path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Ok(about) = path.metadata() {
        check_regular(&about)?;
    }
    let file = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Whether this process may write a file or into a folder.
pub fn allows_writing(path: &Path) -> bool {
    std::ffi::CString::new(path.as_os_str().as_encoded_bytes())
        // SAFETY: the string is terminated and outlives the call, which only reads it.
        .is_ok_and(|text| unsafe { libc::access(text.as_ptr(), libc::W_OK) } == 0)
}

/// The folder that a file of this path is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder and those above it, so that they survive a crash.
///
/// # Errors
/// Those of the system.
pub fn create_folders(folder: &Path) -> Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    if above != folder {
        create_folders(above)?;
    }
    match std::fs::create_dir(folder) {
        Err(problem) if problem.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => {
            made?;
            sync_folder(above);
        }
    }
    Ok(())
}

/// Asks for the entries of a folder to be put on disk; not every file system allows asking for it.
pub fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn refusal(path: &Path) -> String {
        of(path).unwrap_err().to_string()
    }

    #[test]
    fn links_lead_to_the_file_behind_them_and_not_to_nothing() {
        let place = tempfile::tempdir().unwrap();
        let (disk, home) = (place.path().join("disk"), place.path().join("home"));
        create_folders(&disk.join("deep")).unwrap();
        create_folders(&home).unwrap();
        std::fs::write(disk.join("deep/x"), "x").unwrap();
        symlink(disk.join("deep"), home.join("folder")).unwrap();
        symlink("folder/x", home.join("one")).unwrap();
        symlink("one", home.join("two")).unwrap();
        let found = of(&home.join("two")).unwrap();
        assert_eq!(found.path.canonicalize().unwrap(), disk.canonicalize().unwrap().join("deep/x"));
        assert!(found.about.is_some() && of(&home.join("new")).unwrap().about.is_none());
        symlink("nothing", home.join("broken")).unwrap();
        assert!(refusal(&home.join("broken")).contains("nothing, which does not exist"));
        symlink("b", home.join("a")).unwrap();
        symlink("a", home.join("b")).unwrap();
        assert!(of(&home.join("a")).is_err(), "a circle");
        symlink("folder", home.join("to-folder")).unwrap();
        assert!(refusal(&home.join("to-folder")).contains("a folder"));
    }

    #[test]
    fn what_is_no_regular_file_is_named_and_stays() {
        let place = tempfile::tempdir().unwrap();
        let (pipe, socket) = (place.path().join("pipe"), place.path().join("socket"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        symlink(&pipe, place.path().join("link")).unwrap();
        for (name, kind) in [("pipe", "a pipe"), ("socket", "a socket"), ("link", "a pipe"), (".", "a folder")] {
            let path = place.path().join(name);
            let path = if name == "." { place.path() } else { &path };
            assert!(refusal(path).contains(kind), "{name}");
            assert!(open_regular(OpenOptions::new().append(true), path).is_err(), "{name}");
        }
        assert!(refusal(Path::new("/dev/null")).contains("a device"));
        assert!(of(Path::new("/dev/stdout")).is_err(), "whatever it leads to");
        assert!(refusal(&place.path().join("..")).contains("no file name"));
    }
}
