//! The folder of one run: its name, its files, and how they are written so that a full disk spoils nothing.

use crate::runtime::{Error, Result};
use crate::tensor::files::write_atomically;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// An opened run folder: results are appended and flushed row by row.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    results: File,
    length: u64,
}

/// Refuses an `--out` that could not become a run folder, before anything has run; creates nothing.
///
/// # Errors
/// When the path is a file or below one, holds something already, or cannot be written.
pub fn check(out: &Path) -> Result<()> {
    let refuse = |what: String| Err(Error::new("--out", format!("{}: {what}", out.display())));
    if out.is_dir() {
        let mut entries = std::fs::read_dir(out).map_err(|problem| Error::file("--out", out, problem))?;
        if entries.next().is_some() {
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
    if is_writable(there) { Ok(()) } else { refuse(format!("{} cannot be written", there.display())) }
}

/// Whether an earlier run left results in this folder.
pub fn has_results(out: &Path) -> bool {
    out.join("results.jsonl").is_file()
}

/// The rows of a results file, and the length of what they take; a last line without its end was never finished.
fn whole_rows(file: &Path, bytes: &[u8]) -> Result<(Vec<Value>, u64)> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes.get(..end).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let rows: std::result::Result<Vec<Value>, _> = lines.map(serde_json::from_slice).collect();
    let rows = rows.map_err(|problem| Error::file("run folder", file, format!("it is damaged: {problem}")))?;
    Ok((rows, end as u64))
}

/// The rows that a run left in its folder.
///
/// # Errors
/// When there are none to read.
pub fn rows_of(folder: &Path) -> Result<Vec<Value>> {
    let file = folder.join("results.jsonl");
    let bytes = std::fs::read(&file).map_err(|problem| Error::file("run folder", &file, problem))?;
    Ok(whole_rows(&file, &bytes)?.0)
}

/// Whether this process may write into a folder.
pub fn is_writable(folder: &Path) -> bool {
    std::ffi::CString::new(folder.as_os_str().as_encoded_bytes())
        // SAFETY: the string is terminated and outlives the call, which only reads it.
        .is_ok_and(|text| unsafe { libc::access(text.as_ptr(), libc::W_OK) } == 0)
}

/// `20261124T022110Z` for a moment in seconds since 1970 (UTC, so that names sort and never repeat an hour).
fn stamp(seconds: u64) -> String {
    let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Civil date from the day count (H. Hinnant's algorithm), with March as the first month.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The present moment as `20261124T022110Z`.
pub fn now() -> String {
    stamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}

/// The commit the script's folder is at, and whether it has uncommitted changes; null outside a repository.
pub fn git_state(folder: &Path) -> Value {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    match git(&["rev-parse", "HEAD"]) {
        None => Value::Null,
        Some(commit) => {
            let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| !text.is_empty());
            json!({ "commit": commit, "dirty": dirty })
        }
    }
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
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
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

impl RunFolder {
    /// Creates the folder: `out`, or a new one below `root` named after time, script and content.
    ///
    /// # Errors
    /// When the folder or its files cannot be written.
    pub fn create(
        out: Option<&Path>,
        root: &Path,
        name: &str,
        sources: &[(String, String)],
        settings: &Value,
    ) -> Result<Self> {
        let path = match out {
            Some(out) => {
                check(out)?;
                std::fs::create_dir_all(out).map_err(|problem| Error::file("run folder", out, problem))?;
                out.to_path_buf()
            }
            None => Self::create_new(root, &format!("{}-{name}-{}", now(), fingerprint(sources, settings)))?,
        };
        let file = path.join("results.jsonl");
        let results = OpenOptions::new().create(true).append(true).open(&file);
        let results = results.map_err(|problem| Error::file("run folder", &file, problem))?;
        let folder = Self { path, results, length: 0 };
        folder.write_sources(sources)?;
        folder.write_json("settings.json", settings)?;
        Ok(folder)
    }

    /// Opens a folder that an earlier run left, and its rows. What a crash cut off behind the last whole row is dropped.
    ///
    /// # Errors
    /// When it is no run folder, or its files cannot be read or written.
    pub fn reopen(out: &Path, sources: &[(String, String)], settings: &Value) -> Result<(Self, Vec<Value>)> {
        let file = out.join("results.jsonl");
        let bytes = std::fs::read(&file).map_err(|problem| Error::file("run folder", &file, problem))?;
        let (rows, length) = whole_rows(&file, &bytes)?;
        let results = OpenOptions::new().append(true).open(&file);
        let results = results.map_err(|problem| Error::file("run folder", &file, problem))?;
        results.set_len(length).map_err(|problem| Error::file("run folder", &file, problem))?;
        let folder = Self { path: out.to_path_buf(), results, length };
        folder.write_sources(sources)?;
        folder.write_json("settings.json", settings)?;
        Ok((folder, rows))
    }

    /// A folder nobody else made: two runs of one second get different names.
    fn create_new(root: &Path, name: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(root).map_err(|problem| Error::file("run folder", root, problem))?;
        for attempt in 1..1000 {
            let path = root.join(if attempt == 1 { name.to_string() } else { format!("{name}-{attempt}") });
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(path),
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
                std::fs::create_dir_all(parent).map_err(|problem| Error::file("run folder", parent, problem))?;
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

    /// Appends one row and hands it to the operating system at once.
    ///
    /// # Errors
    /// When the disk is full, say; the file then ends with the row before.
    pub fn append(&mut self, row: &Value) -> Result<()> {
        let line = format!("{row}\n");
        match self.results.write_all(line.as_bytes()) {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(problem) => {
                // Half a line would make the whole file unreadable; nothing more can be done when this fails too.
                let _ = self.results.set_len(self.length);
                Err(Error::file("results", &self.path.join("results.jsonl"), problem))
            }
        }
    }

    /// Replaces all rows, whole or not at all.
    ///
    /// # Errors
    /// When the new file cannot be written; the old one stays.
    pub fn rewrite(&mut self, rows: &[Value]) -> Result<()> {
        let file = self.path.join("results.jsonl");
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        write_atomically(&file, |part| part.write_all(text.as_bytes()))?;
        let reopened = OpenOptions::new().append(true).open(&file);
        self.results = reopened.map_err(|problem| Error::file("results", &file, problem))?;
        self.length = text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_calendar_dates() {
        assert_eq!(stamp(0), "19700101T000000Z");
        assert_eq!(stamp(951_782_400), "20000229T000000Z");
        assert_eq!(stamp(1_795_486_870), "20261124T022110Z");
    }

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

    #[test]
    fn rows_are_on_disk_at_once_and_can_be_rewritten() {
        let place = tempfile::tempdir().unwrap();
        let sources = [("a.rhai".to_string(), "let x = 1;".to_string())];
        let mut folder = RunFolder::create(None, place.path(), "a", &sources, &json!({ "seed": 0 })).unwrap();
        let read = |folder: &RunFolder| std::fs::read_to_string(folder.path().join("results.jsonl")).unwrap();
        folder.append(&json!({ "n": 1 })).unwrap();
        assert_eq!(read(&folder), "{\"n\":1}\n");
        folder.rewrite(&[json!({ "n": 2 })]).unwrap();
        folder.append(&json!({ "n": 3 })).unwrap();
        assert_eq!(read(&folder), "{\"n\":2}\n{\"n\":3}\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("sources/a.rhai")).unwrap(), "let x = 1;");
    }

    #[test]
    fn a_folder_is_continued_behind_its_last_whole_row() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("run");
        let mut folder = RunFolder::create(Some(&out), place.path(), "a", &[], &json!({})).unwrap();
        folder.append(&json!({ "n": 1 })).unwrap();
        drop(folder);
        assert!(has_results(&out));
        let file = out.join("results.jsonl");
        std::fs::write(&file, "{\"n\":1}\n{\"n\":2").unwrap();
        let (mut folder, rows) = RunFolder::reopen(&out, &[], &json!({ "seed": 1 })).unwrap();
        assert_eq!(rows, [json!({ "n": 1 })]);
        folder.append(&json!({ "n": 3 })).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"n\":1}\n{\"n\":3}\n");
        std::fs::write(&file, "nonsense\n").unwrap();
        assert!(RunFolder::reopen(&out, &[], &json!({})).unwrap_err().to_string().contains("damaged"));
        assert!(rows_of(place.path()).is_err());
    }

    #[test]
    fn two_runs_of_one_second_get_two_folders() {
        let place = tempfile::tempdir().unwrap();
        let make = || RunFolder::create(None, place.path(), "a", &[], &json!({})).unwrap().path().to_path_buf();
        assert_ne!(make(), make());
    }
}
