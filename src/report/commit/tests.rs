//! Compared with what git itself makes, and with folders made by hand.

use super::*;
use std::process::Command;

/// Runs git in a folder, with no settings but these; `None` where git is not installed.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let none = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"].map(|name| (name, "/dev/null"));
    let who =
        ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"].map(|name| (name, "x"));
    let output = command.current_dir(folder).args(arguments).envs(none).envs(who).output().ok()?;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_string())
}

/// A repository with two scripts and a commit; `None` where git cannot make it.
fn repository(options: &[&str]) -> Option<tempfile::TempDir> {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let init = [&["init", "-q", "-b", "main"], options].concat();
    if !Command::new("git").current_dir(folder).args(init).output().is_ok_and(|output| output.status.success()) {
        return None;
    }
    std::fs::create_dir(folder.join("deep")).unwrap();
    std::fs::write(folder.join("a.rhai"), "let a = 1;\n").unwrap();
    std::fs::write(folder.join("deep/b.rhai"), "#!/usr/bin/env lethe\nlet b = 2;\n").unwrap();
    git(folder, &["add", "."])?;
    git(folder, &["commit", "-q", "-m", "first"])?;
    Some(place)
}

fn script(folder: &Path, name: &str, text: &str) -> (PathBuf, String) {
    (folder.join(name), text.to_string())
}

#[test]
fn commit_branch_and_changes_are_those_that_git_tells() {
    for (options, version) in [(&[][..], "2"), (&["--object-format=sha256"], "4"), (&[], "4"), (&[], "3")] {
        let Some(place) = repository(options) else { continue };
        let folder = place.path();
        git(folder, &["update-index", "--index-version", version]);
        if version == "3" {
            // What is only intended makes the entry longer.
            std::fs::write(folder.join("aa.rhai"), "").unwrap();
            git(folder, &["add", "--intent-to-add", "aa.rhai"]);
        }
        let commit = Commit::of(&folder.join("deep")).unwrap();
        let both = [script(folder, "a.rhai", "let a = 1;\n"), script(folder, "deep/b.rhai", "\nlet b = 2;\n")];
        let told = commit.describe(&both);
        assert_eq!(told["commit"].as_str(), git(folder, &["rev-parse", "HEAD"]).as_deref(), "{told}");
        assert_eq!((&told["branch"], &told["dirty"]), (&json!("main"), &json!(false)), "{told}");
        let changed = commit.describe(&[script(folder, "a.rhai", "let a = 2;\n"), both[1].clone()]);
        assert_eq!((&changed["dirty"], changed["changed"].as_array().map(Vec::len)), (&json!(true), Some(1)));
        let other = commit.describe(&[script(folder, "c.rhai", "let a = 1;\n"), script(Path::new("/"), "d.rhai", "")]);
        assert_eq!((&other["dirty"], other["untracked"].as_array().map(Vec::len)), (&json!(true), Some(2)));
        std::fs::write(folder.join("deep/b.rhai"), "#!/usr/bin/env lethe\nlet b = 3;\n").unwrap();
        assert_eq!(commit.describe(&[script(folder, "deep/b.rhai", "\nlet b = 3;\n")])["dirty"], json!(true));
    }
}

#[test]
fn packed_refs_detached_heads_and_other_working_trees_are_read() {
    let Some(place) = repository(&[]) else { return };
    let folder = place.path();
    let head = git(folder, &["rev-parse", "HEAD"]);
    let told = |folder: &Path| Commit::of(folder).unwrap().describe(&[]);
    git(folder, &["pack-refs", "--all"]);
    assert_eq!(told(folder)["commit"].as_str(), head.as_deref());
    git(folder, &["checkout", "-q", "--detach"]);
    assert_eq!((told(folder)["commit"].as_str(), &told(folder)["branch"]), (head.as_deref(), &Value::Null));
    git(folder, &["worktree", "add", "-q", "-b", "side", "../side-tree"]);
    let side = folder.parent().unwrap().join("side-tree");
    let seen = told(&side);
    std::fs::remove_dir_all(&side).unwrap();
    assert_eq!((seen["commit"].as_str(), &seen["branch"]), (head.as_deref(), &json!("side")), "{seen}");
    git(folder, &["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    git(folder, &["symbolic-ref", "HEAD", "refs/heads/alias"]);
    assert_eq!(told(folder)["commit"].as_str(), head.as_deref());
    git(folder, &["update-index", "--split-index"]);
    assert!(told(folder)["dirty"].is_null() && told(folder)["unknown"].as_str().unwrap().contains("link"));
}

#[test]
fn what_cannot_be_told_is_said_to_be_unknown() {
    let place = tempfile::tempdir().unwrap();
    let git = place.path().join(".git");
    let told = || Commit::of(place.path()).unwrap().describe(&[])["unknown"].as_str().unwrap_or_default().to_string();
    assert!(Commit::of(&place.path().join("nowhere")).is_none());
    std::fs::create_dir_all(git.join("refs/heads")).unwrap();
    let heads = [
        ("ref: refs/heads/main\n", "no commit yet"),
        ("ref: refs/../../secret\n", "names no ref"),
        ("ref: /etc/passwd\n", "names no ref"),
        ("0123", "names no commit"),
        ("ref: refs/heads/loop\n", "lead nowhere"),
        ("ref: refs/heads/pipe\n", "no commit yet"),
    ];
    std::fs::write(git.join("refs/heads/loop"), "ref: refs/heads/loop").unwrap();
    assert!(Command::new("mkfifo").arg(git.join("refs/heads/pipe")).status().unwrap().success());
    for (head, expected) in heads {
        std::fs::write(git.join("HEAD"), head).unwrap();
        assert!(told().contains(expected), "{head}: {}", told());
    }
    std::fs::write(git.join("HEAD"), "x".repeat(5000)).unwrap();
    assert!(told().contains("too large"), "{}", told());
    std::fs::write(git.join("HEAD"), "0123456789012345678901234567890123456789").unwrap();
    assert_eq!(told(), "", "nothing is tracked");
    std::fs::write(git.join("index"), "DIRC\0\0\0\u{9}\0\0\0\0aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    assert!(told().contains("version 9"), "{}", told());
    std::fs::create_dir(git.join("reftable")).unwrap();
    assert!(told().contains("reftable"));
    std::fs::remove_dir_all(&git).unwrap();
    std::fs::write(&git, "gitdir: elsewhere\n").unwrap();
    assert!(told().contains("HEAD: no such file"), "{}", told());
}
