//! Where a script's files go and where it reads them: one rule for everything that writes or reads a file by name.
//!
//! A relative name is one below the run's output folder (`lethe run --out DIR`), or below the current folder where there is
//! none; an absolute path is taken as it is. What a run has written it reads back by the same name; every other relative name
//! is read from the current folder.

use super::{Error, Result, Run};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Opens the output folder, when it was not, and says where it is.
type Folder = Box<dyn Fn() -> Result<PathBuf>>;

/// The output folder of a run and what its script has written there; a run slot.
#[derive(Default)]
pub struct Places {
    output: RefCell<Option<(Folder, &'static [&'static str])>>,
    opened: RefCell<PathBuf>,
    written: RefCell<BTreeSet<PathBuf>>,
}

impl Places {
    /// Says where relative names go, and which files and folders there are the run's own.
    pub fn plan(&self, folder: impl Fn() -> Result<PathBuf> + 'static, own: &'static [&'static str]) {
        self.output.replace(Some((Box::new(folder), own)));
    }

    /// The path that a script's name of a file to write means. Folders that a relative name needs are made.
    ///
    /// # Errors
    /// An empty name; one of the run's own files; an output folder that cannot be opened.
    pub fn to_write(&self, operation: &str, name: &str) -> Result<PathBuf> {
        if name.trim().is_empty() {
            return Err(Error::new(operation, "needs a name for the file, got an empty one"));
        }
        let (output, named) = (self.output.borrow(), Path::new(name));
        let Some((folder, own)) = output.as_ref().filter(|_| !named.is_absolute()) else {
            if named.is_relative() {
                make_parents(named);
            }
            return Ok(named.into());
        };
        let relative = tidy(named);
        let first = relative.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        if let Some(taken) = first.filter(|first| own.contains(&first.as_str())) {
            let message = format!("{taken} is a file of the run's own, which a script must not replace");
            return Err(Error::new(operation, message).hint("choose another name"));
        }
        let folder = folder()?;
        let path = folder.join(relative);
        make_parents(&path);
        self.opened.replace(folder);
        self.note(&path);
        Ok(path)
    }

    /// Takes note of a file that goes to the output folder, so that its name is read from there.
    pub fn note(&self, path: &Path) {
        self.written.borrow_mut().insert(path.into());
    }

    /// The path that a script's name of a file or folder to read means.
    pub fn to_read(&self, name: &str) -> PathBuf {
        let named = Path::new(name);
        let opened = self.opened.borrow();
        if named.is_absolute() || opened.as_os_str().is_empty() {
            return named.into();
        }
        let path = opened.join(tidy(named));
        // The first path that is not before it in order is itself or lies below it, if any does.
        let own = self.written.borrow().range(path.clone()..).next().is_some_and(|first| first.starts_with(&path));
        if own && path.exists() { path } else { named.into() }
    }
}

/// Makes the folders above a file of a relative name; where that fails, writing the file says what is wrong.
fn make_parents(path: &Path) {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let _ = std::fs::create_dir_all(parent);
    }
}

/// A relative path without the parts that say nothing: `./a//b` and `a/c/../b` are `a/b`.
fn tidy(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut tidied, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidied.components().next_back(), Some(Component::Normal(_))) => {
                tidied.pop();
            }
            part => tidied.push(part),
        }
        tidied
    })
}

/// The path that a script's name of a file to write means, see [`Places`].
///
/// # Errors
/// As [`Places::to_write`].
pub fn to_write(run: &Run, operation: &str, name: &str) -> Result<PathBuf> {
    run.slot::<Places>().to_write(operation, name)
}

/// The path that a script's name of a file or folder to read means, see [`Places`].
pub fn to_read(run: &Run, name: &str) -> PathBuf {
    run.slot::<Places>().to_read(name)
}

/// Extensions of kinds of files beyond those of letters alone.
const WITH_DIGITS: [&str; 8] = ["7z", "bz2", "h5", "hdf5", "jp2", "mp3", "mp4", "t7"];

/// The extension of a name in small letters: up to five letters behind the last dot, or one of a few with digits. Other dots
/// are part of the name: `lr0.1`, `model.v2`.
pub fn extension(name: &Path) -> Option<String> {
    let given = name.extension()?.to_str()?.to_ascii_lowercase();
    let letters = (2..=5).contains(&given.len()) && given.bytes().all(|byte| byte.is_ascii_alphabetic());
    (letters || WITH_DIGITS.contains(&given.as_str())).then_some(given)
}

/// What a name asks for among the kinds of files that can be written; `None` when it has no extension.
///
/// # Errors
/// The extension of another kind of file.
pub fn asked<'a>(operation: &str, name: &Path, written: &[&'a str]) -> Result<Option<&'a str>> {
    let Some(given) = extension(name) else { return Ok(None) };
    if let Some(known) = written.iter().find(|kind| **kind == given) {
        return Ok(Some(known));
    }
    let kinds = written.iter().map(|kind| format!(".{kind}")).collect::<Vec<_>>().join(", ");
    let message = format!("cannot write a .{given} file here; what is written: {kinds}");
    let other = name.with_extension(written.first().unwrap_or(&""));
    Err(Error::new(operation, message).word(given).hint(format!("call it {:?}", other.display().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_output_folder_names_are_paths() {
        let places = Places::default();
        assert_eq!(places.to_write("save", "a/b.npz").unwrap(), Path::new("a/b.npz"));
        assert_eq!(places.to_read("a/b.npz"), Path::new("a/b.npz"));
        assert!(places.to_write("save", " ").unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn what_was_written_below_the_output_folder_is_read_from_there() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("out");
        let places = Places::default();
        let folder = out.clone();
        places.plan(move || Ok(folder.clone()), &["status.json", "sources"]);
        let written = places.to_write("save", "./deep//a.npz").unwrap();
        assert_eq!(written, out.join("deep/a.npz"));
        assert_eq!(places.to_read("deep/a.npz"), Path::new("deep/a.npz"), "it is not there yet");
        std::fs::write(&written, "x").unwrap();
        assert_eq!([places.to_read("deep/a.npz"), places.to_read("deep")], [written.clone(), out.join("deep")]);
        std::fs::write(out.join("deep/other"), "x").unwrap();
        assert_eq!(places.to_read("deep/other"), Path::new("deep/other"), "nothing that the script has written");
        assert_eq!(places.to_read("dee"), Path::new("dee"));
        let absolute = written.display().to_string();
        assert_eq!(
            (places.to_write("save", &absolute).unwrap(), places.to_read(&absolute)),
            (written.clone(), written)
        );
        for own in ["status.json", "./sources/x.rhai", "deep/../status.json"] {
            assert!(places.to_write("save", own).unwrap_err().to_string().contains("the run's own"));
        }
    }

    #[test]
    fn extensions_are_told_from_dots_in_names() {
        let of = |name: &str| extension(Path::new(name));
        assert_eq!(["a.PNG", "x/a.pdf", "a.mp4", "a.b.svg"].map(of).map(Option::unwrap), ["png", "pdf", "mp4", "svg"]);
        assert_eq!(["lr0.1", "v.2", "model.v2", "a", "a.b", ".hidden", "a.quite_long"].map(of), [const { None }; 7]);
        assert_eq!(asked("plot", Path::new("a.SVG"), &["svg", "png"]).unwrap(), Some("svg"));
        let error = asked("plot", Path::new("a.pdf"), &["svg", "png"]).unwrap_err();
        assert!(error.to_string().contains(".svg, .png"), "{error}");
    }
}
