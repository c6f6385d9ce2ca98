//! Runs every script of `tests/scripts`: the language's own tests, golden cases among them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

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

/// What a script says when it fails. One thread: threads of one process wait for one another by spinning, which on a machine
/// with other work costs many times what they gain on networks as small as these.
fn failure(script: &Path, scratch: &Path) -> Option<String> {
    let run = assert_cmd::Command::new(env!("CARGO_BIN_EXE_lethe"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("LETHE_CACHE", scratch.join("cache"))
        .env("LETHE_STATE", scratch.join("state"))
        .args(["run", "--quiet", "--device", "cpu", "--threads", "1", "--out"])
        .arg(scratch.join(script.file_stem().unwrap_or_default()))
        .arg(script)
        .output()
        .expect("lethe starts");
    (!run.status.success()).then(|| format!("{}:\n{}", script.display(), String::from_utf8_lossy(&run.stderr)))
}

#[test]
fn every_script_of_the_suite_passes() {
    let scratch = tempfile::tempdir().expect("temporary folder");
    // The last ones take longest: they come first, as many at once as there are cores.
    let waiting = Mutex::new(scripts());
    let failures = Mutex::new(vec![]);
    let work = || {
        while let Some(script) = { waiting.lock().unwrap().pop() } {
            failures.lock().unwrap().extend(failure(&script, scratch.path()));
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} scripts failed\n\n{}", failures.len(), failures.join("\n\n"));
}
