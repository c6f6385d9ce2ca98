//! Which data sets are here: complete, with files missing, or not at all. Lists, `lethe doctor`, `lethe data` and `dataset`
//! all ask here.

use crate::data::catalog::known_datasets::{File, Form, Known, Reader};
use crate::runtime::{Error, Result, user_dirs};
use std::path::{Path, PathBuf};

/// Where Debian's packages put data sets.
const SYSTEM: &str = "/usr/share/datasets";

/// A data set with all files of one of its forms.
#[derive(Debug, Clone)]
pub struct Found {
    /// The form.
    pub form: &'static Form,
    /// The folder that the files' names are relative to.
    pub folder: PathBuf,
    /// The files (or folders) of the form, in its order.
    pub files: Vec<PathBuf>,
}

/// Whether a data set can be used.
#[derive(Debug, Clone)]
pub enum State {
    /// All files are there.
    Complete(Found),
    /// A folder has some of the files.
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// The names of those it lacks.
        missing: Vec<&'static str>,
    },
    /// No folder has any.
    Absent,
}

/// Where the files of a data set belong: what `lethe data fetch` fills.
///
/// # Errors
/// A configuration file that cannot be read.
pub fn home(known: &Known) -> Result<PathBuf> {
    Ok(user_dirs::data()?.join(known.name))
}

/// Where files are looked for, in this order.
fn candidates(known: &Known) -> Result<Vec<PathBuf>> {
    let data = user_dirs::data()?;
    let mut all = vec![data.join(known.name)];
    all.extend(known.places.iter().map(|place| if place.is_empty() { data.clone() } else { data.join(place) }));
    all.push(Path::new(SYSTEM).join(known.name));
    all.push(user_dirs::cache().join("datasets").join(known.name));
    Ok(all)
}

/// The file in a folder; a gzipped one may also be there unpacked, an IDX file under the other names that it goes by. A folder of pictures has to have something in it.
pub fn existing(folder: &Path, file: &File, reader: Reader) -> Option<PathBuf> {
    let plain = file.name.strip_suffix(".gz").filter(|_| file.content_md5.is_some());
    let there = |path: &PathBuf| match reader {
        Reader::CinicFolders => std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()),
        _ => path.is_file(),
    };
    let names = [Some(file.name), plain].into_iter().flatten();
    let dotted: Vec<String> = match reader {
        // Kaggle's copies have a dot in their names.
        Reader::Idx => names.clone().map(|name| name.replacen("-idx", ".idx", 1)).collect(),
        _ => vec![],
    };
    let names: Vec<&str> = names.chain(dotted.iter().map(String::as_str)).collect();
    // They were also unpacked into folders of the same name.
    let doubled = names.iter().filter(|_| reader == Reader::Idx).map(|name| folder.join(name).join(name));
    names.iter().map(|name| folder.join(name)).chain(doubled).find(there)
}

/// A file of a complete data set whose size is not the published one, in words. Packed files with a known content may
/// have been packed anew, to almost the same size, or unpacked.
pub fn oddity(found: &Found) -> Option<String> {
    found.files.iter().zip(found.form.files).find_map(|(path, file)| {
        let (length, published) = (path.metadata().ok()?.len(), file.bytes?);
        let sound = if file.content_md5.is_some() { length >= published / 10 * 9 } else { length == published };
        (!sound).then(|| format!("{} has {length} bytes, the published file {published}", file.name))
    })
}

/// Looks in every folder for every form; the first complete one counts.
///
/// # Errors
/// A configuration file that cannot be read.
pub fn state(known: &'static Known) -> Result<State> {
    Ok(state_in(known, &candidates(known)?))
}

fn state_in(known: &'static Known, folders: &[PathBuf]) -> State {
    let mut nearest: Option<(usize, State)> = None;
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for form in known.forms {
            let there: Vec<Option<PathBuf>> =
                form.files.iter().map(|file| existing(folder, file, form.reader)).collect();
            let files: Vec<PathBuf> = there.iter().flatten().cloned().collect();
            if files.len() == form.files.len() {
                return State::Complete(Found { form, folder: folder.clone(), files });
            }
            if !files.is_empty() && nearest.as_ref().is_none_or(|(most, _)| files.len() > *most) {
                let missing = form.files.iter().zip(&there).filter(|(_, path)| path.is_none());
                let missing = missing.map(|(file, _)| file.name).collect();
                nearest = Some((files.len(), State::Incomplete { folder: folder.clone(), missing }));
            }
        }
    }
    nearest.map_or(State::Absent, |(_, state)| state)
}

/// A data set that has to be there.
///
/// # Errors
/// One that says what is missing, what to run, and which file to put where.
pub fn require(known: &'static Known) -> Result<Found> {
    match state(known)? {
        State::Complete(found) => Ok(found),
        State::Incomplete { folder, missing } => {
            let message = format!("{} is incomplete: {} lacks {}", known.name, folder.display(), missing.join(", "));
            Err(Error::new("dataset", message).hint(advice(known)).word(known.name))
        }
        State::Absent => {
            let looked: Vec<String> = candidates(known)?.iter().map(|folder| folder.display().to_string()).collect();
            Err(Error::new("dataset", format!("{} is not here", known.name))
                .note(format!("looked in {}", looked.join(", ")))
                .hint(advice(known))
                .word(known.name))
        }
    }
}

/// How to get a data set, in a line: what to run, or which files to put where.
pub fn advice(known: &Known) -> String {
    let folder = home(known).map_or_else(|_| "the data folder".into(), |folder| folder.display().to_string());
    let files = known.forms.first().map_or(&[][..], |form| form.files);
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    let bytes: u64 = files.iter().filter_map(|file| file.bytes).sum();
    let from = known.urls.first().copied().unwrap_or_default();
    let begun = match begun(files, Path::new(&folder)) {
        0 => String::new(),
        come => format!(", {} of it have come", megabytes(come)),
    };
    format!(
        "run `lethe data fetch {}` ({}{begun}), or put {} (from {from}) into {folder}",
        known.name,
        megabytes(bytes),
        names.join(", ")
    )
}

/// The bytes of these files that earlier attempts have brought and nobody has put in place.
fn begun(files: &[File], folder: &Path) -> u64 {
    let length = |file: &File| folder.join(format!("{}.part", file.name)).metadata().map_or(0, |about| about.len());
    files.iter().map(length).sum()
}

/// A size for people: `170 MB`.
pub fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.0} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::catalog::known_datasets::find;

    #[test]
    fn a_form_counts_when_all_of_its_files_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let known = find("mnist").unwrap();
        let state = || state_in(known, &[folder.path().to_path_buf()]);
        let put = |name: &str| std::fs::write(folder.path().join(name), "x").unwrap();
        assert!(matches!(state(), State::Absent));
        put("train-images-idx3-ubyte.gz");
        put("train-labels-idx1-ubyte");
        put("t10k-images-idx3-ubyte.gz");
        let State::Incomplete { missing, .. } = state() else { panic!("{:?}", state()) };
        assert_eq!(missing, ["t10k-labels-idx1-ubyte.gz"]);
        put("t10k-labels-idx1-ubyte");
        let State::Complete(found) = state() else { panic!("{:?}", state()) };
        assert_eq!(found.files[1], folder.path().join("train-labels-idx1-ubyte"));
    }

    #[test]
    fn idx_files_are_found_under_all_the_names_they_go_by() {
        let folder = tempfile::tempdir().unwrap();
        let known = find("mnist").unwrap();
        let put = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        put("train-images.idx3-ubyte");
        put("train-labels.idx1-ubyte.gz");
        put("t10k-images-idx3-ubyte/t10k-images-idx3-ubyte");
        put("t10k-labels.idx1-ubyte/t10k-labels.idx1-ubyte");
        let State::Complete(found) = state_in(known, &[folder.path().to_path_buf()]) else { panic!("incomplete") };
        assert_eq!(found.files[2], folder.path().join("t10k-images-idx3-ubyte/t10k-images-idx3-ubyte"));
        assert!(found.files.iter().all(|file| file.is_file()));
    }

    #[test]
    fn any_complete_form_is_taken_before_a_part_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let known = find("cifar10").unwrap();
        for file in known.forms[3].files {
            let path = folder.path().join(file.name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        std::fs::create_dir_all(folder.path().join("cifar-10-batches-bin")).unwrap();
        std::fs::write(folder.path().join("cifar-10-batches-bin/test_batch.bin"), "x").unwrap();
        let State::Complete(found) = state_in(known, &[folder.path().to_path_buf()]) else { panic!("incomplete") };
        assert_eq!(found.form.reader, known.forms[3].reader);
    }

    #[test]
    fn empty_folders_of_classes_and_folders_named_like_files_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let state = |name: &str| state_in(find(name).unwrap(), &[folder.path().to_path_buf()]);
        let form = find("cinic10").unwrap().forms[1];
        for class in form.files {
            std::fs::create_dir_all(folder.path().join(class.name)).unwrap();
        }
        assert!(matches!(state("cinic10"), State::Absent));
        form.files.iter().for_each(|class| std::fs::write(folder.path().join(class.name).join("1.png"), "x").unwrap());
        assert!(matches!(state("cinic10"), State::Complete(_)));
        std::fs::remove_file(folder.path().join("valid/cat/1.png")).unwrap();
        assert!(matches!(state("cinic10"), State::Incomplete { missing, .. } if missing == ["valid/cat"]));
        for file in find("svhn").unwrap().forms[0].files {
            std::fs::create_dir_all(folder.path().join(file.name)).unwrap();
        }
        assert!(matches!(state("svhn"), State::Absent));
    }

    #[test]
    fn files_of_another_size_are_odd_unless_they_may_be_packed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let found = |name: &str, length: u64| {
            let form = &find(name).unwrap().forms[0];
            let file = folder.path().join(form.files[0].name);
            std::fs::File::create(&file).unwrap().set_len(length).unwrap();
            oddity(&Found { form, folder: folder.path().into(), files: vec![file] })
        };
        assert_eq!(found("cifar10", 170_052_171), None);
        assert_eq!(found("cifar10", 17).unwrap(), "cifar-10-binary.tar.gz has 17 bytes, the published file 170052171");
        assert_eq!(found("fashion-mnist", 26_421_856), None);
        assert!(found("fashion-mnist", 20_000_000).is_some());
    }

    #[test]
    fn advice_names_the_command_the_files_and_their_place() {
        let text = advice(find("svhn").unwrap());
        for part in ["lethe data fetch svhn", "246 MB", "train_32x32.mat, test_32x32.mat", "ufldl", "/svhn"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
