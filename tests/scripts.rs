//! Runs every script of `tests/scripts`: the language's own tests, golden cases among them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

fn scripts() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/scripts is readable")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "rhai") && path.file_stem().is_some_and(|s| s != "golden"))
        .collect();
    found.sort();
    found
}

/// What a script prints, or what it says when it fails. One thread: threads of one process wait for one another by spinning,
/// which on a machine with other work costs many times what they gain on networks as small as these.
fn outcome(script: &Path, scratch: &Path) -> Result<String, String> {
    let run = assert_cmd::Command::new(env!("CARGO_BIN_EXE_lethe"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("LETHE_CACHE", scratch.join("cache"))
        .env("LETHE_STATE", scratch.join("state"))
        .args(["run", "--quiet", "--device", "cpu", "--threads", "1", "--out"])
        .arg(scratch.join(script.file_stem().unwrap_or_default()))
        .arg(script)
        .output()
        .expect("lethe starts");
    match run.status.success() {
        true => Ok(String::from_utf8_lossy(&run.stdout).into_owned()),
        false => Err(format!("{}:\n{}", script.display(), String::from_utf8_lossy(&run.stderr))),
    }
}

/// The folders of `tests/golden`, with the number of tensors that have to be compared.
fn golden_cases() -> BTreeMap<String, usize> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folders = std::fs::read_dir(folder).expect("tests/golden is readable").map(|entry| entry.unwrap().path());
    let case = |folder: PathBuf| {
        let bytes = std::fs::read(folder.join("expected.safetensors")).expect("a case has expected tensors");
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("they are sound");
        let count = tensors.names().into_iter().filter(|name| !name.starts_with("optional.")).count();
        (folder.file_name().unwrap().to_string_lossy().into_owned(), count)
    };
    folders.filter(|folder| folder.is_dir()).map(case).collect()
}

/// What the scripts say of golden cases that they compared in full (`golden::finish`).
fn compared(printed: &str) -> BTreeMap<String, usize> {
    let line = |line: &str| {
        let (name, count) = line.strip_prefix("golden case ")?.strip_suffix(" tensors compared")?.split_once(": ")?;
        Some((name.to_string(), count.parse().ok()?))
    };
    printed.lines().filter_map(line).collect()
}

#[test]
fn every_script_of_the_suite_passes_and_together_they_compare_every_golden_case_in_full() {
    let scratch = tempfile::tempdir().expect("temporary folder");
    // The last ones take longest: they come first, as many at once as there are cores.
    let waiting = Mutex::new(scripts());
    let outcomes = Mutex::new(vec![]);
    let work = || {
        while let Some(script) = { waiting.lock().unwrap().pop() } {
            let outcome = outcome(&script, scratch.path());
            outcomes.lock().unwrap().push(outcome);
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let (passed, failures): (Vec<_>, Vec<_>) = outcomes.into_inner().unwrap().into_iter().partition(Result::is_ok);
    let failures: Vec<_> = failures.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{} scripts failed\n\n{}", failures.len(), failures.join("\n\n"));
    let printed: String = passed.into_iter().filter_map(Result::ok).collect();
    assert_eq!(compared(&printed), golden_cases(), "left: compared in full, right: the folders of tests/golden");
}
