//! The set-up script says in one sentence what is missing. It runs in a scratch folder, with a PATH of our making.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A scratch checkout holding the script, and a folder of programs that is the whole PATH.
struct Checkout(TempDir);

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

const TOOLS: &[&str] = &[
    "awk", "bash", "cat", "chmod", "df", "dirname", "env", "grep", "ln", "mkdir", "readlink", "rm", "sed", "tail",
    "uname",
];

impl Checkout {
    /// A machine with the usual small programs, and nothing to build with.
    fn bare() -> Self {
        let checkout = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(checkout.path("scripts")).unwrap();
        std::fs::create_dir_all(checkout.path("bin")).unwrap();
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/setup.sh");
        std::fs::copy(script, checkout.path("scripts/setup.sh")).unwrap();
        for tool in TOOLS {
            let found = ["/usr/bin", "/bin"].iter().map(|folder| PathBuf::from(folder).join(tool)).find(|p| p.exists());
            symlink(found.unwrap_or_else(|| panic!("{tool} is on this machine")), checkout.path("bin").join(tool))
                .unwrap();
        }
        checkout
    }

    /// A machine with cargo and a compiler, too.
    fn with_tools() -> Self {
        let checkout = Self::bare();
        checkout.program("cargo", "echo 'cargo 1.95.0 (f2d3ce0bd 2026-03-21)'");
        checkout.program("c++", "exit 0");
        checkout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        std::fs::write(&path, format!("#!/bin/bash\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Something that looks like libtorch of this version.
    fn libtorch(&self, name: &str, version: &str) -> PathBuf {
        let folder = self.path(name);
        std::fs::create_dir_all(folder.join("lib")).unwrap();
        std::fs::create_dir_all(folder.join("include/torch")).unwrap();
        std::fs::write(folder.join("lib/libtorch_cpu.so"), "").unwrap();
        std::fs::write(folder.join("version.py"), format!("__version__ = '{version}'\n")).unwrap();
        folder
    }

    fn setup_with(&self, arguments: &[&str], libtorch: Option<PathBuf>) -> Ended {
        let mut command = Command::new("/bin/bash");
        command.arg(self.path("scripts/setup.sh")).args(arguments).env_clear().env("PATH", self.path("bin"));
        if let Some(libtorch) = libtorch {
            command.env("LIBTORCH", libtorch);
        }
        let output = command.output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The one sentence it fails with; `--cpu`, so that a driver on this machine does not matter.
    fn failure(&self, libtorch: Option<PathBuf>) -> String {
        let ended = self.setup_with(&["--cpu"], libtorch);
        assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "one sentence: {}", ended.stderr);
        assert!(!self.path(".libtorch").exists());
        ended.stderr
    }
}

/// A Python 3 without torch; `venv` says whether it can make environments, whose pip then fails with `pip`.
fn python(venv: bool, pip: &str) -> String {
    format!(
        r#"case "$*" in
    *version_info*) exit 0 ;;
    *ensurepip*) exit {} ;;
    --version) echo 'Python 3.12.1' ;;
    '-m venv .venv') mkdir -p .venv/bin; cat "$0" > .venv/bin/python; chmod +x .venv/bin/python ;;
    '-m pip --version') exit 0 ;;
    '-m pip install'*) echo '{pip}'; exit 1 ;;
    *) exit 1 ;;
esac"#,
        i32::from(!venv)
    )
}

#[test]
fn without_cargo_or_with_an_old_one_it_names_rustup() {
    let bare = Checkout::bare();
    assert!(bare.failure(None).contains("no cargo on the PATH: install Rust 1.89 or newer from https://rustup.rs"));
    bare.program("cargo", "echo 'cargo 1.63.0'");
    assert!(bare.failure(None).contains("cargo is 1.63, 1.89 or newer is needed"));
}

#[test]
fn without_a_compiler_it_names_the_package() {
    let bare = Checkout::bare();
    bare.program("cargo", "echo 'cargo 1.95.0'");
    assert!(
        bare.failure(None)
            .contains("no C++ compiler (c++) on the PATH: install one, on Debian 'apt install build-essential'")
    );
}

#[test]
fn without_python_or_its_venv_module_it_names_the_packages() {
    let machine = Checkout::with_tools();
    assert!(machine.failure(None).contains("no Python 3.10 or newer on the PATH: install it, on Debian"));
    machine.program("python3", &python(false, ""));
    assert!(
        machine.failure(None).contains("python3 has no venv module: install it, on Debian 'apt install python3-venv'")
    );
}

#[test]
fn without_space_it_says_how_much_is_needed() {
    let machine = Checkout::with_tools();
    machine.program("python3", &python(true, ""));
    std::fs::remove_file(machine.path("bin/df")).unwrap();
    machine.program("df", "echo header; echo '/dev/sda1 50000 49000 1000 98% /'");
    assert!(machine.failure(None).contains("0 GB are free here, about 2 GB are needed"));
    assert!(!machine.path(".venv").exists());
}

#[test]
fn without_network_or_a_wheel_it_says_which() {
    let machine = Checkout::with_tools();
    machine.program("python3", &python(true, "WARNING: Retrying after connection broken by NewConnectionError"));
    assert!(machine.failure(None).contains("PyPI cannot be reached: check the network"));
    let machine = Checkout::with_tools();
    machine.program("python3", &python(true, "ERROR: No matching distribution found for torch==2.13.0"));
    assert!(machine.failure(None).contains("PyPI has no torch 2.13.0 for Python 3.12.1"));
    let machine = Checkout::with_tools();
    machine.program("python3", &python(true, "OSError: [Errno 28] No space left on device"));
    assert!(machine.failure(None).contains("the disk is full"));
}

#[test]
fn a_libtorch_of_another_version_or_half_of_one_is_refused() {
    let machine = Checkout::with_tools();
    let old = machine.libtorch("old", "2.1.0+cpu");
    assert!(machine.failure(Some(old)).contains("which holds 2.1.0, not 2.13.0: unset it"));
    assert!(machine.failure(Some(machine.path("nowhere"))).contains("which is no folder"));
    assert!(machine.failure(Some(machine.path("bin"))).contains("which holds no libtorch"));
    let half = machine.libtorch("half", "2.13.0");
    std::fs::remove_file(half.join("lib/libtorch_cpu.so")).unwrap();
    assert!(machine.failure(Some(half)).contains("is missing"));
}

#[test]
fn a_given_libtorch_is_linked_and_found_again() {
    let machine = Checkout::with_tools();
    let given = machine.libtorch("given", "2.13.0+cu130");
    let first = machine.setup_with(&["--cpu"], Some(given.clone()));
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.contains("from $LIBTORCH"));
    let link = std::fs::canonicalize(machine.path(".libtorch")).unwrap();
    assert_eq!(link, std::fs::canonicalize(given).unwrap());
    let second = machine.setup_with(&["--cpu"], None);
    assert!(second.code == 0 && second.stdout.contains("was there"), "{}{}", second.stdout, second.stderr);
}

#[test]
fn help_is_given_and_unknown_options_are_refused() {
    let machine = Checkout::bare();
    let help = machine.setup_with(&["--help"], None);
    assert!(help.code == 0 && help.stdout.contains("usage: scripts/setup.sh"));
    assert_eq!(machine.setup_with(&["--gpu"], None).code, 2);
}
