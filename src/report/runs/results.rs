//! The file of results: a row a line, on disk before anything else happens, and never written over what others have written.

use crate::report::line;
use crate::runtime::io_error::reason;
use crate::runtime::write_place::{allows_writing, open_regular, sync_folder};
use crate::runtime::{Error, Result};
use crate::tensor::io::safetensors_file::{read_bytes, write_atomically};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file's name in a run folder.
pub const NAME: &str = "results.jsonl";

/// How many damaged lines are told one by one.
const TOLD: usize = 5;

/// What was found in a file of results.
#[derive(Debug, Default)]
pub struct Found {
    /// The rows, in order.
    pub rows: Vec<Value>,
    /// Whole lines that are no rows: their numbers and what is wrong.
    damaged: Vec<(usize, String)>,
    /// A last line that was never finished: its number and bytes.
    cut: Option<(usize, usize)>,
    /// Where the last row ends.
    length: u64,
    /// Whether the last row lacks its line end, as editors leave it.
    open: bool,
    path: PathBuf,
}

/// Reads a file of results.
///
/// # Errors
/// When it cannot be read; damaged lines are part of what is found.
pub fn read(path: &Path) -> Result<Found> {
    let bytes = read_bytes("run folder", path)?;
    let mut found = Found { path: path.into(), length: bytes.len() as u64, ..Found::default() };
    let mark = b"\xef\xbb\xbf";
    for (index, whole) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let ended = whole.ends_with(b"\n");
        let text = if index == 0 { whole.strip_prefix(mark).unwrap_or(whole) } else { whole }.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match line::parse(text) {
            Ok(row) => {
                found.rows.push(row);
                found.open = !ended;
            }
            Err(problem) if ended => found.damaged.push((index + 1, problem)),
            Err(_) => {
                found.cut = Some((index + 1, whole.len()));
                found.length -= whole.len() as u64;
            }
        }
    }
    Ok(found)
}

impl Found {
    /// What is wrong with whole lines, in a sentence; `None` when all are rows.
    pub fn damage(&self) -> Option<String> {
        let told = self.damaged.iter().take(TOLD).map(|(number, problem)| format!("line {number}: {problem}"));
        let mut told: Vec<String> = told.collect();
        let all = self.damaged.len();
        if all == 0 {
            return None;
        }
        if all > TOLD {
            told.push(format!("and {} more", all - TOLD));
        }
        let lines = all + self.rows.len();
        let are = if all == 1 { "is" } else { "are" };
        Some(format!("{all} of {lines} lines {are} damaged: {}", told.join("; ")))
    }

    /// What a crash cut off at the end, in a sentence.
    pub fn remark(&self) -> Option<String> {
        let (number, bytes) = self.cut?;
        Some(format!("{}: line {number} breaks off after {bytes} bytes, as a crash leaves it", self.path.display()))
    }

    /// Refuses what cannot be gone on with: damaged lines, whose content would be lost, and a file that takes no more.
    ///
    /// # Errors
    /// The file, the lines, and what to do.
    pub fn check(&self) -> Result<()> {
        if !allows_writing(&self.path) {
            return Err(Error::file("run folder", &self.path, "permission denied"));
        }
        let Some(damage) = self.damage() else { return Ok(()) };
        let numbers: Vec<String> = self.damaged.iter().take(TOLD).map(|(number, _)| number.to_string()).collect();
        let more = if self.damaged.len() > TOLD { ", .." } else { "" };
        let lines = if self.damaged.len() == 1 { "line" } else { "lines" };
        let which = format!("{lines} {}{more}", numbers.join(", "));
        Err(Error::file("run folder", &self.path, damage).hint(format!(
            "keep a copy and mend or delete {which}, then run again: results that are missing from it are computed again"
        )))
    }
}

/// The file, opened for one run.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Results {
    /// A new file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|problem| Error::file("run folder", &path, reason(&problem)))?;
        sync_folder(folder);
        Ok(Self { path, file, length: 0 })
    }

    /// The file in which something was found, to be gone on with: without what a crash cut off.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn reopen(found: &Found) -> Result<Self> {
        let path = found.path.clone();
        let failed = |problem: std::io::Error| Error::file("run folder", &path, reason(&problem));
        let mut file = open_regular(OpenOptions::new().append(true), &path).map_err(failed)?;
        file.set_len(found.length).map_err(failed)?;
        let mut length = found.length;
        if found.open {
            file.write_all(b"\n").map_err(failed)?;
            length += 1;
        }
        file.sync_all().map_err(failed)?;
        Ok(Self { path, file, length })
    }

    /// Whether the file is still the one in the folder, and as long as this run has made it.
    ///
    /// # Errors
    /// What has become of it.
    pub fn check(&self) -> Result<()> {
        let failed = |what: String| Err(Error::file("run folder", &self.path, what));
        let own = self.file.metadata().map_err(|problem| Error::file("run folder", &self.path, problem))?;
        match self.path.metadata() {
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => {
                let what = if own.nlink() == 0 { "deleted" } else { "moved away" };
                failed(format!("it was {what} during this run"))
            }
            Err(problem) => failed(reason(&problem)),
            Ok(there) if (there.dev(), there.ino()) != (own.dev(), own.ino()) => {
                failed("it was replaced during this run".into())
            }
            Ok(there) if there.len() != self.length => failed(format!(
                "another process wrote to it during this run: it has {} bytes instead of {}",
                there.len(),
                self.length
            )),
            Ok(_) => Ok(()),
        }
    }

    /// Appends a row and waits until it is on disk.
    ///
    /// # Errors
    /// When the disk is full, say; the file then ends with the row before. When the file is another one by now.
    pub fn append(&mut self, row: &Value) -> Result<()> {
        self.check()?;
        let line = format!("{row}\n");
        match self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(problem) => {
                // Half a line would be one more thing to mend; nothing more can be done when this fails too.
                let _ = self.file.set_len(self.length);
                Err(Error::file("results", &self.path, reason(&problem)))
            }
        }
    }

    /// Replaces all rows, whole or not at all.
    ///
    /// # Errors
    /// When the new file cannot be written, or the old one is not this run's any more; it stays.
    pub fn rewrite(&mut self, rows: &[Value]) -> Result<()> {
        self.check()?;
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        write_atomically(&self.path, |part| part.write_all(text.as_bytes()))?;
        let reopened = open_regular(OpenOptions::new().append(true), &self.path);
        self.file = reopened.map_err(|problem| Error::file("results", &self.path, reason(&problem)))?;
        self.length = text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    type Change = fn(&Path);

    fn found(text: impl AsRef<[u8]>) -> (tempfile::TempDir, Found) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(NAME);
        std::fs::write(&path, text).unwrap();
        let found = read(&path).unwrap();
        (place, found)
    }

    #[test]
    fn every_damaged_line_is_told_and_the_others_are_read() {
        let (_place, found) = found("{\"n\":1}\nnonsense\n\n{\"n\":2}\n[]\n{\"n\":3,\"n\":4}\n");
        assert_eq!(found.rows, [json!({ "n": 1 }), json!({ "n": 2 })]);
        let error = found.check().unwrap_err();
        let text = error.to_string();
        for part in
            ["results.jsonl: 3 of 5 lines are damaged: line 2: no JSON", "line 5: an array", "line 6: no JSON: the key"]
        {
            assert!(text.contains(part), "{text}");
        }
        let Error::Fault(fault) = error else { panic!("a fault") };
        assert!(fault.hint.contains("delete lines 2, 5, 6, then"), "{}", fault.hint);
        let many = "x\n".repeat(9);
        assert!(self::found(many).1.damage().unwrap().ends_with("and 4 more"));
    }

    #[test]
    fn files_of_other_systems_and_editors_are_read() {
        let (place, marked) = found("\u{feff}{\"n\":1}\r\n\r\n{\"n\":2}");
        assert_eq!((marked.rows.len(), marked.damage(), marked.remark()), (2, None, None));
        let mut results = Results::reopen(&marked).unwrap();
        results.append(&json!({ "n": 3 })).unwrap();
        let again = read(&place.path().join(NAME)).unwrap();
        assert_eq!((again.rows.len(), again.damage()), (3, None));
    }

    #[test]
    fn what_a_crash_cut_off_is_told_and_dropped_on_going_on() {
        for tail in ["{\"n\":2".to_string(), "\0".repeat(40), "{\"n\":2,\"text\":\"\\".into()] {
            let (place, cut) = found(format!("{{\"n\":1}}\n{tail}"));
            assert_eq!((cut.rows.len(), cut.damage()), (1, None));
            let told = cut.remark().unwrap();
            assert!(told.contains(&format!("line 2 breaks off after {} bytes", tail.len())), "{told}");
            Results::reopen(&cut).unwrap().append(&json!({ "n": 3 })).unwrap();
            assert_eq!(std::fs::read_to_string(place.path().join(NAME)).unwrap(), "{\"n\":1}\n{\"n\":3}\n");
        }
    }

    #[test]
    fn a_file_that_is_gone_replaced_or_written_by_others_is_noticed_and_stays_as_it_is() {
        let changes: [(Change, &str); 4] = [
            (|path| std::fs::remove_file(path).unwrap(), "deleted"),
            (|path| std::fs::rename(path, path.with_extension("old")).unwrap(), "moved away"),
            (|path| write_atomically(path, |file| file.write_all(b"{\"n\":1}\n")).unwrap(), "replaced"),
            (|path| std::fs::write(path, "{\"n\":1}\n{\"n\":9}\n").unwrap(), "another process"),
        ];
        for (change, expected) in changes {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join(NAME);
            let mut results = Results::create(place.path()).unwrap();
            results.append(&json!({ "n": 1 })).unwrap();
            change(&path);
            let left = std::fs::read(&path).ok();
            for refused in [results.append(&json!({ "n": 2 })), results.rewrite(&[json!({ "n": 2 })])] {
                let refused = refused.unwrap_err().to_string();
                assert!(refused.contains(expected), "{refused}");
            }
            assert_eq!(std::fs::read(&path).ok(), left);
        }
    }
}
