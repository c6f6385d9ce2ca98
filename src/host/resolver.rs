//! Finds and evaluates what `import` names: beside the importing file, in the current folder, on `$LETHE_PATH`, or in the
//! embedded library. Rhai's own resolver breaks nested relative imports and overflows the stack on circular ones.

use crate::runtime::sources::{STDLIB, SourceMap, embedded};
use crate::runtime::{Run, notation};
use rhai::{Engine, EvalAltResult, FnNamespace, Module, ModuleResolver, Position, Scope, Shared};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// The resolver of one engine.
pub struct Resolver {
    run: Run,
    modules: Rc<Modules>,
    loading: RefCell<Vec<String>>,
}

/// The modules evaluated so far, by name. A run slot, so that a session can have them read again.
#[derive(Default)]
struct Modules(RefCell<HashMap<String, Shared<Module>>>);

/// Makes the next `import` of every module read it again; those of the embedded library stay what they are.
pub fn forget(run: &Run) {
    run.slot::<Modules>().0.borrow_mut().retain(|name, _| embedded(name).is_some());
}

/// Lets `import` give out a module that is there already.
pub fn remember(run: &Run, name: &str, module: &Shared<Module>) {
    run.slot::<Modules>().0.borrow_mut().insert(name.into(), module.clone());
}

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// An error about an import, which keeps its text (Rhai drops that of a plain not-found).
fn failure(path: &str, message: String, position: Position) -> Box<EvalAltResult> {
    let inner = EvalAltResult::ErrorRuntime(message.into(), Position::NONE);
    Box::new(EvalAltResult::ErrorInModule(path.into(), inner.into(), position))
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
        match std::fs::read_to_string(file) {
            Ok(text) => return Ok((file.display().to_string(), text)),
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

impl Resolver {
    /// A resolver that records what it reads in the run's source map.
    pub fn new(run: &Run) -> Self {
        Self { run: run.clone(), modules: run.slot(), loading: RefCell::default() }
    }

    /// Compiles and evaluates a module.
    fn load(&self, engine: &Engine, name: &str, text: &str, path: &str, position: Position) -> Outcome<Shared<Module>> {
        self.run.slot::<SourceMap>().insert(name, text);
        let compiled = notation::compile(engine, text);
        let mut ast = compiled.map_err(|error| {
            let inner = EvalAltResult::ErrorInModule(name.into(), Box::new(error.into()), position);
            Box::new(inner)
        })?;
        ast.set_source(name);
        let evaluated = Module::eval_ast_as_new(Scope::new(), &ast, engine);
        let mut module = evaluated.map_err(|error| {
            let located = EvalAltResult::ErrorInFunctionCall(format!("import {path:?}"), name.into(), error, position);
            Box::new(located)
        })?;
        reveal_closures(&mut module);
        module.build_index();
        Ok(module.into())
    }
}

/// Lets callers call the closures that a module returns: since Rhai 1.26 a function pointer is only a name, so the
/// functions behind closures (`anon$…`) must be found from outside.
pub fn reveal_closures(module: &mut Module) {
    let closures: Vec<_> = module
        .iter_script_fn_info()
        .filter(|(_, _, name, _, _)| name.starts_with("anon$"))
        .map(|(_, _, _, _, definition)| definition.clone())
        .collect();
    for definition in closures {
        let hash = Module::new().set_script_fn(definition);
        module.update_fn_namespace(hash, FnNamespace::Global);
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Outcome<Shared<Module>> {
        if native(path).is_some() {
            let mut modules = self.modules.0.borrow_mut();
            return Ok(modules.entry(path.into()).or_insert_with(crate::experiment::unlearn_module).clone());
        }
        let (name, text) = find(source, path).map_err(|message| failure(path, message, position))?;
        if let Some(module) = self.modules.0.borrow().get(&name) {
            return Ok(module.clone());
        }
        if self.loading.borrow().contains(&name) {
            let chain = self.loading.borrow().join(" imports ");
            return Err(failure(path, format!("circular import: {chain} imports {name}"), position));
        }
        self.loading.borrow_mut().push(name.clone());
        let loaded = self.load(engine, &name, &text, path, position);
        self.loading.borrow_mut().pop();
        let module = loaded?;
        self.modules.0.borrow_mut().insert(name, module.clone());
        Ok(module)
    }
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
