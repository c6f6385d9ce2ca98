//! Runs every script of `tests/scripts`: the language's own tests, golden cases among them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

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

#[test]
fn every_script_of_the_suite_passes() {
    let mut failures = vec![];
    let scratch = tempfile::tempdir().expect("temporary folder");
    for script in scripts() {
        let run = assert_cmd::Command::new(env!("CARGO_BIN_EXE_lethe"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("LETHE_CACHE", scratch.path().join("cache"))
            .args(["run", "--quiet", "--device", "cpu", "--threads", "2", "--out"])
            .arg(scratch.path().join(script.file_stem().unwrap_or_default()))
            .arg(&script)
            .output()
            .expect("lethe starts");
        if !run.status.success() {
            failures.push(format!("{}:\n{}", script.display(), String::from_utf8_lossy(&run.stderr)));
        }
    }
    assert!(failures.is_empty(), "{} scripts failed\n\n{}", failures.len(), failures.join("\n\n"));
}
