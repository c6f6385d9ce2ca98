//! What `import "path"` means: beside the importing file, in the current folder, on `$LETHE_PATH`, or in the embedded library;
//! and the modules that have been evaluated.

use super::run::Run;
use super::sources::{STDLIB, embedded};
use super::text;
use rhai::{Module, Shared};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// The modules evaluated so far, by name. A run slot, so that a session can have them read again.
#[derive(Default)]
pub struct Modules(RefCell<HashMap<String, Shared<Module>>>);

impl Modules {
    /// The module of this name.
    pub fn get(&self, name: &str) -> Option<Shared<Module>> {
        self.0.borrow().get(name).cloned()
    }

    /// Lets `import` give out a module that is there already.
    pub fn insert(&self, name: &str, module: &Shared<Module>) {
        self.0.borrow_mut().insert(name.into(), module.clone());
    }

    /// Every module and its name, in the order of names.
    pub fn all(&self) -> Vec<(String, Shared<Module>)> {
        let mut all: Vec<_> = self.0.borrow().iter().map(|(name, module)| (name.clone(), module.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// Makes the next `import` of every module read it again; those of the embedded library stay what they are.
pub fn forget(run: &Run) {
    run.slot::<Modules>().0.borrow_mut().retain(|name, _| embedded(name).is_some());
}

/// The places where `path`, imported by the script `source`, may lie, in order.
fn candidates(source: Option<&str>, path: &str) -> Vec<PathBuf> {
    let file = |folder: &Path| {
        let plain = folder.join(path);
        if path.ends_with(".rhai") { plain } else { PathBuf::from(format!("{}.rhai", plain.display())) }
    };
    if Path::new(path).is_absolute() {
        return vec![file(Path::new(""))];
    }
    let beside = source.and_then(|s| Path::new(s).parent().map(Path::to_path_buf)).unwrap_or_default();
    let mut folders = vec![beside, PathBuf::from(".")];
    folders.extend(std::env::var_os("LETHE_PATH").iter().flat_map(std::env::split_paths));
    let mut files: Vec<PathBuf> = vec![];
    for folder in folders {
        let candidate = plain(&file(&folder));
        if !files.contains(&candidate) {
            files.push(candidate);
        }
    }
    files
}

/// The path without detours, so that each file has one name however it is imported.
fn plain(path: &Path) -> PathBuf {
    let mut parts: Vec<Component> = vec![];
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().collect()
}

/// The name and the text of what `import path` in `source` means.
///
/// # Errors
/// A sentence that lists what was tried, or says why a file cannot be read.
pub fn find(source: Option<&str>, path: &str) -> Result<(String, String), String> {
    if path.starts_with("std/") {
        let name = if path.ends_with(".rhai") { path.to_string() } else { format!("{path}.rhai") };
        return match embedded(&name) {
            Some(text) => Ok((name, text.to_string())),
            None => Err(format!("there is no module {path:?} in the library; it has {}", library())),
        };
    }
    let tried = candidates(source, path);
    for file in &tried {
        match std::fs::read(file).map(text::decode) {
            Ok(Ok(text)) => return Ok((file.display().to_string(), text)),
            Ok(Err(problem)) => return Err(format!("{} cannot be read: {problem}", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{} cannot be read: {error}", file.display())),
        }
    }
    let list: Vec<_> = tried.iter().map(|file| file.display().to_string()).collect();
    Err(format!("module {path:?} not found; tried {}", list.join(", ")))
}

/// The modules of the embedded library.
fn library() -> String {
    let scripts = STDLIB.iter().filter_map(|(file, _)| file.strip_suffix(".rhai"));
    let mut names: Vec<_> = std::iter::once(UNLEARN).chain(scripts).map(|name| format!("{name:?}")).collect();
    names.dedup();
    names.join(", ")
}

/// The module of methods.
const UNLEARN: &str = "std/unlearn";

/// The name under which a module of ours that is not a script is registered, too.
pub fn native(path: &str) -> Option<&'static str> {
    (path == UNLEARN).then_some("unlearn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_name_however_it_is_imported() {
        let first = |source: &str, path: &str| candidates(Some(source), path).first().cloned();
        assert_eq!(first("x/a.rhai", "../x/b"), Some("x/b.rhai".into()));
        assert_eq!(first("a.rhai", "./x/./b.rhai"), Some("x/b.rhai".into()));
        assert_eq!(first("../a.rhai", "../b"), Some("../../b.rhai".into()));
        assert_eq!(first("a.rhai", "mnist.v2"), Some("mnist.v2.rhai".into()));
    }

    #[test]
    fn the_library_is_named_when_a_module_of_it_is_missing() {
        let Err(message) = find(None, "std/nothing") else { panic!("found") };
        let names = ["\"std/unlearn\"", "\"std/unlearn/finetune\""];
        assert!(names.iter().all(|name| message.contains(name)), "{message}");
    }
}
