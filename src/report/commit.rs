//! The commit a script was at, read off git's files: no program is started, because a repository can name programs of its choice.

mod blob;
mod index;

use crate::runtime::write_place::{folder_of, open_regular};
use index::{Entry, Index};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Bytes that HEAD, a ref or a link to another folder may have.
const SMALL: u64 = 4096;

/// Bytes that `packed-refs` may have.
const PACKED: u64 = 64 << 20;

/// Bytes that the index may have.
const INDEX: u64 = 64 << 20;

/// Bytes that a script may have on disk.
const SCRIPT: u64 = 16 << 20;

/// How many symbolic refs in a row are followed.
const REFS: usize = 5;

/// What git knows of a script's folder at one moment: the commit, and the index to compare scripts with.
pub struct Commit {
    /// The folder whose files are tracked.
    root: PathBuf,
    /// The commit's id, or why it cannot be told.
    id: Result<String, String>,
    branch: Option<String>,
    index: Result<Index, String>,
}

/// Where a repository keeps what.
struct Repository {
    /// HEAD and the index of this working tree.
    own: PathBuf,
    /// Refs of all its working trees.
    common: PathBuf,
}

impl Commit {
    /// What git knows of this folder; `None` outside a repository.
    pub fn of(folder: &Path) -> Option<Self> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let folder = folder.canonicalize().ok()?;
        let root = folder.ancestors().find(|part| is_repository(&part.join(".git")))?.to_path_buf();
        let repository = match Repository::open(&root.join(".git")) {
            Ok(repository) => repository,
            Err(why) => return Some(Self { root, id: Err(why.clone()), branch: None, index: Err(why) }),
        };
        let (id, branch) = repository.head();
        let index = id.as_ref().map_err(Clone::clone).and_then(|id| {
            let place = repository.own.join("index");
            let width = id.len() / 2;
            if place.symlink_metadata().is_err() {
                Ok(Index::empty(width))
            } else {
                Index::parse(read(&place, INDEX)?, width)
            }
        });
        Some(Self { root, id, branch, index })
    }

    /// The commit as `settings.json` has it: `dirty` when a script that took part, given by path and text, is not what the index
    /// has (git's filters are not applied) or is not tracked; null when that cannot be told.
    pub fn describe(&self, scripts: &[(PathBuf, String)]) -> Value {
        let id = match &self.id {
            Ok(id) => id,
            Err(why) => return json!({ "commit": null, "branch": self.branch, "unknown": why }),
        };
        let index = match &self.index {
            Ok(index) => index,
            Err(why) => {
                let why = format!("whether the scripts have changed is not known: {why}");
                return json!({ "commit": id, "branch": self.branch, "dirty": null, "unknown": why });
            }
        };
        let names: Vec<Option<String>> = scripts.iter().map(|(path, _)| self.tracked(path)).collect();
        let entries = index.find(names.iter().flatten());
        let (mut changed, mut untracked) = (vec![], vec![]);
        for ((path, text), name) in scripts.iter().zip(names) {
            match name.and_then(|name| entries.get(&name)) {
                None => untracked.push(path.display().to_string()),
                Some(entry) if is_same(entry, path, text) => {}
                Some(_) => changed.push(path.display().to_string()),
            }
        }
        let dirty = !changed.is_empty() || !untracked.is_empty();
        json!({
            "commit": id, "branch": self.branch, "dirty": dirty, "changed": changed, "untracked": untracked,
            "compared": "the scripts of this run with the index, filters not applied",
        })
    }

    /// The name that the index has for a file; `None` for one elsewhere.
    fn tracked(&self, path: &Path) -> Option<String> {
        let folder = folder_of(path).canonicalize().ok()?;
        let below = folder.strip_prefix(&self.root).ok()?.join(path.file_name()?);
        let parts: Option<Vec<&str>> = below.components().map(|part| part.as_os_str().to_str()).collect();
        Some(parts?.join("/"))
    }
}

/// Whether a script is what the index has of it. What ran may lack a first line `#!`, or a mark; then the file on disk counts,
/// when it says the same.
fn is_same(entry: &Entry, path: &Path, text: &str) -> bool {
    let same = |bytes: &[u8]| blob::id(bytes, entry.id.len()).is_some_and(|id| id == entry.id);
    if !entry.is_file {
        return false;
    }
    if same(text.as_bytes()) {
        return true;
    }
    let disk = read(path, SCRIPT).unwrap_or_default();
    let before = disk.strip_suffix(text.as_bytes()).unwrap_or_default();
    let first = before.starts_with(b"#!") || before == b"\xef\xbb\xbf";
    first && !before.contains(&b'\n') && same(&disk)
}

/// Whether a name in a folder is a repository, or leads to one.
fn is_repository(path: &Path) -> bool {
    path.is_file() || path.join("HEAD").symlink_metadata().is_ok()
}

/// The bytes of a regular file that is no larger than it should be.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |problem: std::io::Error| format!("{name}: {}", crate::runtime::io_error::reason(&problem));
    if path.is_symlink() {
        return Err(format!("{name} is a link"));
    }
    let file = open_regular(OpenOptions::new().read(true), path).map_err(failed)?;
    let mut bytes = vec![];
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit { Err(format!("{name} is too large")) } else { Ok(bytes) }
}

/// The text of a small file.
fn small(path: &Path) -> Result<String, String> {
    String::from_utf8(read(path, SMALL)?)
        .map(|text| text.trim_end().to_string())
        .map_err(|_| "a file of git is no text".into())
}

impl Repository {
    /// Follows `.git`: a folder, or a file that names one.
    fn open(git: &Path) -> Result<Self, String> {
        let own = if git.is_dir() {
            git.to_path_buf()
        } else {
            let text = small(git)?;
            let named = text.strip_prefix("gitdir:").ok_or(".git names no folder")?.trim_start();
            folder_of(git).join(named)
        };
        let common = match small(&own.join("commondir")) {
            Ok(named) => own.join(named),
            Err(_) => own.clone(),
        };
        Ok(Self { own, common })
    }

    /// The commit that HEAD stands for, and the branch.
    fn head(&self) -> (Result<String, String>, Option<String>) {
        if self.common.join("reftable").is_dir() {
            return (Err("refs are kept as a reftable, which is not read".into()), None);
        }
        let (mut text, mut branch) = (small(&self.own.join("HEAD")), None);
        for _ in 0..=REFS {
            let found = match text {
                Ok(text) => text,
                Err(why) => return (Err(why), branch),
            };
            let Some(name) = found.strip_prefix("ref:").map(str::trim) else {
                let id = is_id(&found).then_some(found).ok_or_else(|| "HEAD names no commit".into());
                return (id, branch);
            };
            if !is_ref(name) {
                return (Err("HEAD names no ref".into()), branch);
            }
            branch.get_or_insert_with(|| name.strip_prefix("refs/heads/").unwrap_or(name).to_string());
            text = self.resolve(name);
        }
        (Err("symbolic refs lead nowhere".into()), branch)
    }

    /// What a ref says, in a file of its own or among the packed ones.
    fn resolve(&self, name: &str) -> Result<String, String> {
        for folder in [&self.own, &self.common] {
            if let Ok(text) = small(&folder.join(name)) {
                return Ok(text);
            }
        }
        let place = self.common.join("packed-refs");
        if place.symlink_metadata().is_err() {
            return Err("no commit yet".into());
        }
        let packed = read(&place, PACKED)?;
        let of = |line: &[u8]| -> Option<String> {
            let (id, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
            (rest.trim_end() == name).then(|| id.to_string())
        };
        packed.split(|byte| *byte == b'\n').find_map(of).ok_or_else(|| "no commit yet".into())
    }
}

/// Whether a text is a commit's id: SHA-1 or SHA-256 in hex.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a name is a ref's, and no way out of the repository.
fn is_ref(name: &str) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    name.starts_with("refs/") && !name.contains("//") && Path::new(name).components().all(plain)
}

#[cfg(test)]
mod tests;
