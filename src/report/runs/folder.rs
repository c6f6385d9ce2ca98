//! The folder of one run: its name, its files, and how they are written so that a full disk spoils nothing.

use crate::report::runs::lock::Lock;
use crate::report::runs::results::Results;
use crate::report::runs::{lock, results};
use crate::runtime::draft_file::draft_of;
use crate::runtime::hex::hex_of;
use crate::runtime::io_error::reason;
use crate::runtime::moment::now;
use crate::runtime::write_place::{allows_writing, sync_folder};
use crate::runtime::{Error, Result};
use crate::tensor::io::safetensors_file::{create_folders, write_atomically};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

/// An opened run folder: results are appended and flushed row by row.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    results: Results,
    lock: Option<Lock>,
}

/// A folder that this process owns, before anything is recorded in it.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    lock: Lock,
    /// What an earlier run left, when it is to be gone on with.
    earlier: Option<results::Found>,
    /// The folders made for it, from the outermost.
    made: Vec<PathBuf>,
}

/// What a run folder holds of the run's own: no file of a script's takes its place.
pub const OWN: [&str; 7] =
    [lock::NAME, results::NAME, "predictions", "settings.json", "sources", "status.json", "weights"];

/// Refuses an `--out` that could not become a run folder, before anything has run; creates nothing.
///
/// # Errors
/// When the path is a file or below one, holds something already, or cannot be written.
pub fn check(out: &Path) -> Result<()> {
    let refuse = |what: String| Err(Error::new("--out", format!("{}: {what}", out.display())));
    if out.is_dir() {
        let entries = std::fs::read_dir(out).map_err(|problem| Error::file("--out", out, reason(&problem)))?;
        // A run that was killed before its first row leaves no more than its lock.
        if entries.flatten().any(|entry| entry.file_name() != lock::NAME) {
            return refuse("the folder is not empty".into())
                .map_err(|e: Error| e.hint("give a new folder, so that no results are overwritten"));
        }
    }
    let there = out.ancestors().find(|part| part.as_os_str().is_empty() || part.symlink_metadata().is_ok());
    let there = match there {
        Some(part) if !part.as_os_str().is_empty() => part,
        _ => Path::new("."),
    };
    if !there.is_dir() {
        let what =
            if there == out { "is a file, not a folder".into() } else { format!("{} is a file", there.display()) };
        return refuse(what);
    }
    if !allows_writing(there) {
        return refuse(format!("{} cannot be written", there.display()));
    }
    // Permissions do not tell of file systems that take no files, such as /proc.
    let probe = there.join(format!(".lethe-{}", std::process::id()));
    match std::fs::create_dir(&probe) {
        Ok(()) => std::fs::remove_dir(&probe).map_err(|problem| Error::file("--out", &probe, problem)),
        Err(problem) if problem.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(problem) => refuse(format!("{} takes no files: {}", there.display(), reason(&problem))),
    }
}

/// Whether an earlier run left results in this folder.
pub fn has_results(out: &Path) -> bool {
    out.join(results::NAME).is_file()
}

/// The first eight hex digits of the SHA-256 of sources and settings.
fn fingerprint(sources: &[(String, String)], settings: &Value) -> String {
    let mut hash = Sha256::new();
    for (name, text) in sources {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.update(settings.to_string().as_bytes());
    hex_of(&hash.finalize(), 4)
}

/// Where a source of this name is kept below the folder: never outside it.
fn kept_as(name: &str) -> PathBuf {
    let parts = Path::new(name).components().filter_map(|part| match part {
        Component::Normal(part) => Some(part),
        _ => None,
    });
    let path: PathBuf = parts.collect();
    if path.as_os_str().is_empty() { "script.rhai".into() } else { path }
}

impl Claim {
    /// Takes a folder for this process alone, making it when it is not there: a new one, or with `resume` the one that an
    /// earlier run left. Nothing but the lock is written.
    ///
    /// # Errors
    /// When another process has it; when it holds something and is not to be resumed; damaged results.
    pub fn of(out: &Path, resume: bool) -> Result<Self> {
        let missing: Vec<PathBuf> = out.ancestors().take_while(|part| !part.exists()).map(Path::to_path_buf).collect();
        let made = missing.into_iter().rev().filter(|part| !part.as_os_str().is_empty()).collect();
        let lock = loop {
            create_folders(out).map_err(|problem| Error::file("run folder", out, reason(&problem)))?;
            match Lock::take(out) {
                // An owner that has recorded nothing takes the folder away with it.
                Err(_) if !out.exists() => {}
                taken => break taken?,
            }
        };
        let mut claim = Self { path: out.to_path_buf(), lock, earlier: None, made };
        // Only now does nobody else change what is there.
        let earlier = if resume && has_results(out) {
            results::read(&out.join(results::NAME)).and_then(|found| found.check().map(|()| Some(found)))
        } else {
            check(out).map(|()| None)
        };
        match earlier {
            Ok(earlier) => claim.earlier = earlier,
            Err(error) => {
                claim.leave();
                return Err(error);
            }
        }
        Ok(claim)
    }

    /// What the user should know about the folder, a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let cut = self.earlier.as_ref().and_then(results::Found::remark);
        let cut = cut.map(|cut| format!("{cut}; its result is computed again"));
        self.lock.warning().into_iter().chain(cut).collect()
    }

    /// Gives the folder back as it was found.
    pub fn leave(self) {
        drop(self.lock);
        // What is not empty stays.
        self.made.iter().rev().take_while(|folder| std::fs::remove_dir(folder).is_ok()).for_each(drop);
    }
}

impl RunFolder {
    /// Opens the folder that was claimed, or a new one below `root` named after time, script and content; returns it with the
    /// rows that an earlier run left.
    ///
    /// # Errors
    /// When the folder or its files cannot be written.
    pub fn open(
        claim: Option<Claim>,
        root: &Path,
        name: &str,
        sources: &[(String, String)],
        settings: &Value,
    ) -> Result<(Self, Vec<Value>)> {
        let (path, lock, earlier) = match claim {
            Some(claim) => (claim.path, claim.lock, claim.earlier),
            None => {
                let path = Self::create_new(root, &format!("{}-{name}-{}", now(), fingerprint(sources, settings)))?;
                let lock = Lock::take(&path)?;
                (path, lock, None)
            }
        };
        let results = match &earlier {
            Some(found) => Results::reopen(found)?,
            None => Results::create(&path)?,
        };
        if earlier.is_some() {
            remove_drafts(&path);
        }
        let folder = Self { path, results, lock: Some(lock) };
        folder.write_sources(sources)?;
        folder.write_json("settings.json", settings)?;
        Ok((folder, earlier.map(|found| found.rows).unwrap_or_default()))
    }

    /// A folder nobody else made: two runs of one second get different names.
    fn create_new(root: &Path, name: &str) -> Result<PathBuf> {
        create_folders(root).map_err(|problem| Error::file("run folder", root, reason(&problem)))?;
        for attempt in 1..1000 {
            let path = root.join(if attempt == 1 { name.to_string() } else { format!("{name}-{attempt}") });
            match std::fs::create_dir(&path) {
                Ok(()) => {
                    sync_folder(root);
                    return Ok(path);
                }
                Err(problem) if problem.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(problem) => return Err(Error::file("run folder", &path, problem)),
            }
        }
        Err(Error::new("run folder", format!("{} and a thousand others exist already", root.join(name).display())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the script and its imports below `sources/`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_sources(&self, sources: &[(String, String)]) -> Result<()> {
        for (name, text) in sources {
            let path = self.path.join("sources").join(kept_as(name));
            if let Some(parent) = path.parent() {
                create_folders(parent).map_err(|problem| Error::file("run folder", parent, reason(&problem)))?;
            }
            write_atomically(&path, |file| file.write_all(text.as_bytes()))?;
        }
        Ok(())
    }

    /// Writes one JSON file of the folder, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, name: &str, value: &Value) -> Result<()> {
        write_atomically(self.path.join(name), |file| writeln!(file, "{value:#}"))
    }

    /// What writes that the run was interrupted, should the process be left at once.
    pub fn last_words(&self) -> Box<dyn Fn() + Send> {
        let path = self.path.join("status.json");
        Box::new(move || {
            let status = serde_json::json!({ "status": "interrupted", "error": null, "ended": now() });
            // Nobody is left to hear that it did not work; the folder says that it is running then.
            let _ = write_atomically(path.clone(), |file| writeln!(file, "{status:#}"));
        })
    }

    /// The file of results.
    pub fn results(&mut self) -> &mut Results {
        &mut self.results
    }

    /// Whether the folder is still this run's.
    ///
    /// # Errors
    /// What has become of it.
    pub fn check(&self) -> Result<()> {
        self.results.check()
    }

    /// Gives the folder up to others.
    pub fn release(&mut self) {
        self.lock = None;
    }
}

/// Removes the drafts that a killed run left in its folder; whoever owns it is the only one to have any there.
fn remove_drafts(folder: &Path) {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries(folder).map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink());
    let folders = below.chain([folder.to_path_buf()]).collect::<Vec<_>>();
    for entry in folders.iter().flat_map(|folder| entries(folder)) {
        if draft_of(&entry.file_name().to_string_lossy()).is_some() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sources_never_leave_the_folder() {
        assert_eq!(kept_as("../../etc/passwd"), Path::new("etc/passwd"));
        assert_eq!(kept_as("/abs/a.rhai"), Path::new("abs/a.rhai"));
        assert_eq!(kept_as(".."), Path::new("script.rhai"));
    }

    #[test]
    fn an_output_path_below_a_file_or_with_results_in_it_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(check(&file).unwrap_err().to_string().contains("is a file"));
        assert!(check(&file.join("a/b")).unwrap_err().to_string().contains("is a file"));
        assert!(check(place.path()).unwrap_err().to_string().contains("not empty"));
        assert!(check(&place.path().join("new/deeper")).is_ok());
    }

    fn opened(claim: Option<Claim>, root: &Path) -> (RunFolder, Vec<Value>) {
        RunFolder::open(claim, root, "a", &[("a.rhai".into(), "let x = 1;".into())], &json!({ "seed": 0 })).unwrap()
    }

    #[test]
    fn rows_are_on_disk_at_once_and_can_be_rewritten() {
        let place = tempfile::tempdir().unwrap();
        let (mut folder, _) = opened(None, place.path());
        let read = |folder: &RunFolder| std::fs::read_to_string(folder.path().join("results.jsonl")).unwrap();
        folder.results().append(&json!({ "n": 1 })).unwrap();
        assert_eq!(read(&folder), "{\"n\":1}\n");
        folder.results().rewrite(&[json!({ "n": 2 })]).unwrap();
        folder.results().append(&json!({ "n": 3 })).unwrap();
        assert_eq!(read(&folder), "{\"n\":2}\n{\"n\":3}\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("sources/a.rhai")).unwrap(), "let x = 1;");
    }

    #[test]
    fn a_claimed_folder_is_refused_to_others_and_left_as_it_was_found() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("deep/run");
        let claim = Claim::of(&out, false).unwrap();
        assert!(Claim::of(&out, true).unwrap_err().to_string().contains("is in use by process"));
        claim.leave();
        assert!(!place.path().join("deep").exists());
        let (mut folder, rows) = opened(Some(Claim::of(&out, true).unwrap()), place.path());
        folder.results().append(&json!({ "n": 1 })).unwrap();
        assert!(rows.is_empty() && Claim::of(&out, true).unwrap_err().to_string().contains("in use"));
        folder.release();
        assert!(Claim::of(&out, false).unwrap_err().to_string().contains("not empty"));
        assert!(!out.join(lock::NAME).exists());
    }

    #[test]
    fn a_folder_is_continued_with_its_rows_and_without_the_drafts_of_a_killed_run() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("run");
        let (mut folder, _) = opened(Some(Claim::of(&out, true).unwrap()), place.path());
        folder.results().append(&json!({ "n": 1 })).unwrap();
        drop(folder);
        std::fs::create_dir(out.join("predictions")).unwrap();
        let drafts = [".status.json.7-1.tmp", "predictions/.x.safetensors.7-99.tmp"].map(|name| out.join(name));
        drafts.iter().for_each(|draft| std::fs::write(draft, "half").unwrap());
        for name in ["status.json", "settings.json"] {
            std::fs::write(out.join(name), "nonsense").unwrap();
        }
        let (_folder, rows) = opened(Some(Claim::of(&out, true).unwrap()), place.path());
        assert_eq!(rows, [json!({ "n": 1 })]);
        assert!(drafts.iter().all(|draft| !draft.exists()));
        assert!(std::fs::read_to_string(out.join("settings.json")).unwrap().contains("\"seed\": 0"));
    }

    #[test]
    fn damaged_results_are_refused_before_anything_is_written() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("results.jsonl"), "{\"n\":1}\nnonsense\n").unwrap();
        assert!(Claim::of(place.path(), true).unwrap_err().to_string().contains("line 2"));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_runs_of_one_second_get_two_folders() {
        let place = tempfile::tempdir().unwrap();
        let make = || opened(None, place.path()).0.path().to_path_buf();
        assert_ne!(make(), make());
    }
}
