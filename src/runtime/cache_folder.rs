//! The cache folder as people see it: shelves, each a folder in which one room keeps files that can be made again.

use crate::runtime::draft_file::draft_of;
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Drafts of files that are younger than this may still be in the making.
const BROKEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A folder below the cache folder, and what is known of its files.
pub trait Shelf {
    /// The folder's name.
    fn folder(&self) -> &'static str;

    /// The kinds of files there are, in the order of lists.
    fn kinds(&self) -> &'static [&'static str];

    /// The kind of a file of this name; `None` when the room does not write such names.
    fn kind_of(&self, name: &str) -> Option<&'static str>;

    /// What a file is about, from its first bytes.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn about(&self, path: &Path) -> Result<About>;

    /// Reads a whole file and compares it with what it says of itself.
    ///
    /// # Errors
    /// A file that cannot be read, which tells nothing about its content.
    fn verify(&self, path: &Path) -> Result<Soundness>;
}

/// What a file of the cache is about; what is not known stays empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// The data set's name.
    pub dataset: Option<String>,
    /// The network's name: `convnet`.
    pub model: Option<String>,
    /// The seed it was made from.
    pub seed: Option<u64>,
    /// The split it belongs to.
    pub split: Option<String>,
    /// The part of the data set that it holds.
    pub part: Option<String>,
    /// The seconds that making it took.
    pub seconds: Option<f64>,
    /// Whether an earlier version wrote it, so that it is no longer used.
    pub earlier: bool,
}

/// What reading a whole file showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Soundness {
    /// The content is what the file says it is.
    Sound,
    /// It is not, or there is no making it out: why.
    Damaged(String),
    /// Another process has removed it meanwhile.
    Gone,
    /// It can be read, but was written before such files said enough to be checked by themselves.
    Unchecked,
}

/// A file of the cache.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its kind.
    pub kind: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How long ago it was written.
    pub age: Duration,
    /// What it is about; `None` when it cannot be read.
    pub about: Option<About>,
}

/// What lies on a shelf.
#[derive(Debug, Default)]
pub struct Stock {
    /// The files, by data set, model, seed, kind and split.
    pub items: Vec<Item>,
    /// Drafts that a process left behind when it was killed, more than a day ago.
    pub leftovers: Vec<Item>,
    /// What nobody here has written.
    pub foreign: Vec<PathBuf>,
}

/// The kind of drafts that were left behind.
pub const LEFTOVER: &str = "leftover";

/// Everything on a shelf of the cache folder `cache`. A folder that does not exist is empty.
///
/// # Errors
/// A folder that cannot be read.
pub fn stock(shelf: &dyn Shelf, cache: &Path) -> Result<Stock> {
    let folder = cache.join(shelf.folder());
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(Stock::default()),
        Err(problem) => return Err(Error::file("cache", &folder, reason(&problem))),
    };
    let mut stock = Stock::default();
    // A file that another process removes meanwhile is none of ours any more.
    for entry in entries.flatten() {
        let Ok(data) = entry.metadata() else { continue };
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let age = data.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok()).unwrap_or_default();
        let item = |kind, about| Item { kind, path: path.clone(), bytes: data.len(), age, about };
        let draft = draft_of(&name).and_then(|of| shelf.kind_of(of)).filter(|_| data.is_file());
        match shelf.kind_of(&name).filter(|_| data.is_file()) {
            Some(kind) => stock.items.push(item(kind, shelf.about(&path).ok())),
            None if draft.is_none() => stock.foreign.push(path.clone()),
            None if age > BROKEN_AFTER => stock.leftovers.push(item(LEFTOVER, None)),
            None => {}
        }
    }
    stock.items.sort_by_cached_key(|item| {
        let about = item.about.clone().unwrap_or_default();
        let kind = shelf.kinds().iter().position(|kind| *kind == item.kind);
        // What is not used any more comes last, and before it unnamed data sets, of older files.
        let order = (about.earlier, about.dataset.is_none(), about.dataset, about.model, about.seed);
        (order, kind, about.split, about.part, item.path.clone())
    });
    stock.leftovers.sort_by_cached_key(|item| item.path.clone());
    stock.foreign.sort();
    Ok(stock)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A room that keeps text files.
    struct Texts;

    impl Shelf for Texts {
        fn folder(&self) -> &'static str {
            "texts"
        }

        fn kinds(&self) -> &'static [&'static str] {
            &["note"]
        }

        fn kind_of(&self, name: &str) -> Option<&'static str> {
            name.ends_with(".txt").then_some("note")
        }

        fn about(&self, path: &Path) -> Result<About> {
            let text = std::fs::read_to_string(path).map_err(|problem| Error::file("about", path, problem))?;
            Ok(About { dataset: Some(text), ..About::default() })
        }

        fn verify(&self, path: &Path) -> Result<Soundness> {
            self.about(path).map(|_| Soundness::Sound)
        }
    }
    #[test]
    fn files_are_told_from_drafts_that_were_left_behind_and_from_what_others_wrote() {
        let place = tempfile::tempdir().unwrap();
        assert!(stock(&Texts, place.path()).unwrap().items.is_empty(), "no folder is an empty one");
        let folder = place.path().join("texts");
        std::fs::create_dir_all(folder.join("deep.txt")).unwrap();
        let day = Duration::from_secs(24 * 3600);
        let write = |name: &str, text: &str, age: Duration| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        write("b.txt", "digits", Duration::ZERO);
        write("a.txt", "mnist", 3 * day);
        write(".a.txt.17-0.tmp", "half", 2 * day);
        write(".b.txt.17-1.tmp", "half", Duration::ZERO);
        write(".other.17-0.tmp", "not ours", 2 * day);
        write("readme", "not ours", Duration::ZERO);
        std::fs::write(folder.join("bad.txt"), [0xff]).unwrap();
        let found = stock(&Texts, place.path()).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
        let names = |items: &[Item]| items.iter().map(|item| name(&item.path)).collect::<Vec<_>>();
        assert_eq!(names(&found.items), ["b.txt", "a.txt", "bad.txt"], "by data set, the unreadable last");
        assert!(found.items[2].about.is_none() && found.items[1].age > 2 * day);
        assert_eq!(names(&found.leftovers), [".a.txt.17-0.tmp"], "a young draft may still be written");
        assert_eq!(found.foreign.iter().map(name).collect::<Vec<_>>(), [".other.17-0.tmp", "deep.txt", "readme"]);
    }
}
