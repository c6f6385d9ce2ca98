//! What the integration tests share: running a script text in a folder of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A scratch folder with its own cache, so that tests neither see nor touch the user's.
pub struct Place {
    pub folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

#[allow(dead_code)]
impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(&path, text).expect("file");
        path
    }

    /// `lethe` in this folder, on two CPU threads, with this folder's cache.
    pub fn lethe(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
        command
            .current_dir(self.folder.path())
            .env("LETHE_CACHE", self.path("cache"))
            .env("LETHE_CONFIG", self.path("config"))
            .env("LETHE_STATE", self.path("state"))
            .env("NO_COLOR", "1")
            .args(arguments);
        command
    }

    pub fn run_with(&self, text: &str, arguments: &[&str]) -> Ended {
        self.write("script.rhai", text);
        let mut all = vec!["run", "--quiet"];
        for usual in [["--device", "cpu"], ["--threads", "2"]] {
            if !arguments.contains(&usual[0]) {
                all.extend(usual);
            }
        }
        all.extend(arguments);
        all.push("script.rhai");
        ended(self.lethe(&all).output().expect("lethe starts"))
    }

    pub fn run(&self, text: &str) -> Ended {
        self.run_with(text, &[])
    }

    /// The rows of the run folder given as `--out out`.
    pub fn rows(&self) -> Vec<serde_json::Value> {
        read_rows(&self.path("out"))
    }
}

pub fn ended(output: std::process::Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[allow(dead_code)]
pub fn read_rows(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("results.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
}
