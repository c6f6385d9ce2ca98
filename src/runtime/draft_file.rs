//! A draft of a file: written where it will be, out of sight, and put in place when it is whole.

use crate::runtime::write_place::{Place, folder_of};
use std::fs::{File, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Error, ErrorKind, Result, Seek};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

/// Bytes of a file's name that a draft's name may repeat: names are limited to 255.
const NAME: usize = 200;

/// A file being written. It has no name where the file system can do that, so that nothing stays of it when the process is
/// killed; elsewhere it is `.NAME.PROCESS-NUMBER.tmp` beside its place, removed unless it has been put there.
pub struct Draft {
    /// What is written to.
    pub file: File,
    named: Option<PathBuf>,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.named {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Draft {
    /// A draft of what is to be written at this place.
    ///
    /// # Errors
    /// A folder that takes no file.
    pub fn new(place: &Place) -> Result<Self> {
        match nameless(place) {
            Some(file) => Ok(Self { file, named: None }),
            None => Self::with_name(place),
        }
    }

    fn with_name(place: &Place) -> Result<Self> {
        // Existing files are passed over, links not followed; nobody can have put one in the way.
        let open = |path: &PathBuf| File::options().read(true).write(true).create_new(true).open(path);
        let (file, path) = at_free_name(place, open)?;
        Ok(Self { file, named: Some(path) })
    }

    /// Puts the draft on disk and in place, with the permissions of the file it replaces.
    ///
    /// # Errors
    /// Those of the system; what was there before stays.
    pub fn put(mut self, place: &Place) -> Result<()> {
        if let Some(old) = &place.about {
            keep_rights(&self.file, old);
        }
        self.file.sync_all()?;
        if self.named.is_none() {
            self.give_name(place)?;
        }
        if let Some(path) = &self.named {
            std::fs::rename(path, &place.path)?;
        }
        self.named = None;
        Ok(())
    }

    /// Gives a nameless draft a name beside its place; where the system cannot, a copy of it.
    fn give_name(&mut self, place: &Place) -> Result<()> {
        if let Ok(((), path)) = at_free_name(place, |path| link(&self.file, path)) {
            self.named = Some(path);
            return Ok(());
        }
        let mut copy = Self::with_name(place)?;
        self.file.rewind()?;
        std::io::copy(&mut self.file, &mut copy.file)?;
        if let Some(old) = &place.about {
            keep_rights(&copy.file, old);
        }
        copy.file.sync_all()?;
        std::mem::swap(self, &mut copy);
        Ok(())
    }
}

/// An open file without a name in the folder of the place.
fn nameless(place: &Place) -> Option<File> {
    #[cfg(target_os = "linux")]
    let file = {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(libc::O_TMPFILE).open(folder_of(&place.path)).ok()
    };
    #[cfg(not(target_os = "linux"))]
    let file = None;
    file
}

/// Gives an open file without a name this one, unless it is taken.
fn link(file: &File, path: &std::path::Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let text = |bytes: &[u8]| std::ffi::CString::new(bytes).map_err(Error::other);
        let from = text(format!("/proc/self/fd/{}", file.as_raw_fd()).as_bytes())?;
        let to = text(path.as_os_str().as_encoded_bytes())?;
        // SAFETY: both strings are terminated and outlive the call, which only reads them.
        let done = unsafe {
            libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
        };
        if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, path);
        Err(ErrorKind::Unsupported.into())
    }
}

/// Does something at a name beside the place that nobody has and nobody can foresee.
fn at_free_name<T>(place: &Place, mut act: impl FnMut(&PathBuf) -> Result<T>) -> Result<(T, PathBuf)> {
    let name = place.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let end = (0..=NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    let name = name.get(..end).unwrap_or_default();
    loop {
        // The seeds of hash tables come from the system.
        let number = RandomState::new().build_hasher().finish();
        let path = place.path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()));
        match act(&path) {
            Err(problem) if problem.kind() == ErrorKind::AlreadyExists => {}
            done => return done.map(|done| (done, path)),
        }
    }
}

/// Gives a file the permissions of another, and its owner where that is allowed.
fn keep_rights(file: &File, old: &std::fs::Metadata) {
    use std::os::unix::fs::MetadataExt;
    let mode = old.permissions().mode() & 0o777;
    let same = file.metadata().is_ok_and(|new| (new.uid(), new.gid()) == (old.uid(), old.gid()));
    if !same {
        let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
    }
    let _ = file.set_permissions(Permissions::from_mode(mode));
}

/// The name of the file that a draft of this name was to become; `None` when it is no draft's name.
pub fn draft_of(name: &str) -> Option<&str> {
    let (name, tail) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let (process, number) = tail.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(process) && digits(number)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::write_place;
    use std::io::Write;

    #[test]
    fn a_draft_with_a_name_is_gone_when_it_is_not_put_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let place = write_place::of(&folder.path().join("x")).unwrap();
        let names = || -> Vec<_> {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let draft = Draft::with_name(&place).unwrap();
        assert_eq!(names().iter().map(|name| draft_of(name)).collect::<Vec<_>>(), [Some("x")]);
        drop(draft);
        assert!(names().is_empty());
        let mut draft = Draft::with_name(&place).unwrap();
        draft.file.write_all(b"whole").unwrap();
        draft.put(&place).unwrap();
        assert_eq!(names(), ["x"]);
    }

    #[test]
    fn a_draft_without_a_name_can_be_copied_where_it_cannot_be_linked() {
        let folder = tempfile::tempdir().unwrap();
        let place = write_place::of(&folder.path().join("x")).unwrap();
        let mut draft = Draft { file: tempfile::tempfile().unwrap(), named: None };
        draft.file.write_all(b"whole").unwrap();
        draft.put(&place).unwrap();
        assert_eq!(std::fs::read(&place.path).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn drafts_are_known_by_their_names() {
        assert_eq!(draft_of(".x.safetensors.17-0.tmp"), Some("x.safetensors"));
        for other in ["x.safetensors", ".x.tmp", ".x.17.tmp", ".x.a-b.tmp", ".x.17-.tmp", "x.17-0.tmp", ".hidden"] {
            assert_eq!(draft_of(other), None, "{other}");
        }
    }
}
