//! Finding a method by name: the built-in scripts of `std/unlearn`, then `name.rhai` beside the script, in the working
//! folder and on `$LETHE_PATH`. Each is compiled once and called on its own script.

use super::accelerate;
use super::task::Task;
use crate::runtime::options::nearest;
use crate::runtime::sources::{STDLIB, SourceMap};
use crate::runtime::{Error, Result, Run, Script, notation};
use rhai::{
    AST, CallFnOptions, Dynamic, Engine, EvalAltResult, FuncRegistration, Map, NativeCallContext, Position, Scope,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Where the built-in methods are.
const FOLDER: &str = "std/unlearn/";

/// A method that was found: a function of a compiled script.
#[derive(Clone)]
pub struct Method {
    /// The function's name.
    pub name: String,
    script: Rc<AST>,
    /// It is one of the standard library. A user's file runs its top level (imports, constants) before each call.
    pub builtin: bool,
}

/// What `lethe list unlearners` tells of a method.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Listing {
    /// The name `unlearn::run` knows it by.
    pub name: String,
    /// The first sentence of its doc comment.
    pub summary: String,
    /// Where it was published: the `//!` header of its file.
    pub source: String,
    /// The file it is in.
    pub file: String,
}

/// Compiled scripts; a run slot.
#[derive(Default)]
struct Library {
    builtin: RefCell<Option<Rc<HashMap<String, Method>>>>,
    files: RefCell<HashMap<PathBuf, (String, Rc<AST>)>>,
}

impl Method {
    /// The name of its script.
    pub fn file(&self) -> Option<&str> {
        self.script.source()
    }

    /// Calls the method on behalf of the native function whose context this is.
    ///
    /// # Errors
    /// Whatever the script raises, with its own positions.
    pub fn call(&self, context: &NativeCallContext, task: &Task, options: Map) -> Script<Dynamic> {
        let how = CallFnOptions::new().eval_ast(!self.builtin);
        let arguments = (task.clone(), options);
        context
            .engine()
            .call_fn_with_options(how, &mut Scope::new(), &self.script, &self.name, arguments)
            .map_err(|error| self.located(error, context.call_position()))
    }

    /// Rhai does not say in which script the outermost function of such a call is; interrupts and the like pass as they are.
    fn located(&self, error: Box<EvalAltResult>, position: Position) -> Box<EvalAltResult> {
        if error.is_system_exception() {
            return error;
        }
        let source = self.script.source().unwrap_or_default().to_string();
        Box::new(EvalAltResult::ErrorInFunctionCall(self.name.clone(), source, error, position))
    }
}

/// A function `name(task, opt)` that the outside may call.
fn is_method(function: &rhai::ScriptFnMetadata) -> bool {
    function.params.len() == 2 && function.access == rhai::FnAccess::Public && !function.name.starts_with("anon$")
}

/// Compiles a script and remembers its text under the name that errors will give.
fn compile(run: &Run, engine: &Engine, name: &str, text: &str) -> Script<AST> {
    run.slot::<SourceMap>().insert(name, text);
    let mut script = notation::compile(engine, text).map_err(|problem| {
        let inner = Box::new(EvalAltResult::from(problem));
        Box::new(EvalAltResult::ErrorInModule(name.into(), inner, Position::NONE))
    })?;
    script.set_source(name);
    Ok(script)
}

/// The built-in methods by name, compiled on first use.
fn builtin(run: &Run, engine: &Engine) -> Script<Rc<HashMap<String, Method>>> {
    let library = run.slot::<Library>();
    if let Some(found) = &*library.builtin.borrow() {
        return Ok(found.clone());
    }
    let mut methods = HashMap::new();
    for (file, text) in STDLIB.iter().filter(|(file, _)| file.starts_with(FOLDER)) {
        let script = Rc::new(compile(run, engine, file, text)?);
        for function in script.iter_functions().filter(is_method) {
            let name = function.name.to_string();
            methods.insert(name.clone(), Method { name, script: script.clone(), builtin: true });
        }
    }
    let methods = Rc::new(methods);
    library.builtin.replace(Some(methods.clone()));
    Ok(methods)
}

/// The names of all built-in methods, in order.
pub fn names(run: &Run, engine: &Engine) -> Script<Vec<String>> {
    let mut names: Vec<_> = builtin(run, engine)?.keys().cloned().collect();
    names.sort();
    Ok(names)
}

/// The built-in method of this name.
pub fn find_builtin(run: &Run, engine: &Engine, name: &str) -> Script<Option<Method>> {
    Ok(builtin(run, engine)?.get(name).cloned())
}

/// Finds a method by name. `near` is the script that asks.
///
/// # Errors
/// Nothing of that name, a file without such a function, a file that does not compile.
pub fn find(run: &Run, engine: &Engine, name: &str, near: Option<&str>) -> Script<Method> {
    if let Some(method) = find_builtin(run, engine, name)? {
        return Ok(method);
    }
    let tried = candidates(name, near);
    for path in &tried {
        if path.is_file() {
            return from_file(run, engine, path, name);
        }
    }
    Err(unknown(run, engine, name, &tried)?.into())
}

/// The built-in methods and the embedded scripts they are in, accelerated ones under their own names as well.
pub fn files() -> Vec<(String, &'static str)> {
    let files = STDLIB.iter().filter(|(file, _)| file.starts_with(FOLDER));
    let named = files.flat_map(|(file, text)| declared(text).into_iter().map(|(name, _)| (name, *file)));
    named.flat_map(|(name, file)| [(accelerate::name_of(&name), file), (name, file)]).collect()
}

/// The file that a method of this name would be taken from. `near` is the script that asks.
pub fn file_named(name: &str, near: Option<&str>) -> Option<PathBuf> {
    let possible = !name.is_empty() && name.len() < 200 && !name.contains(['\n', ' ', '*']);
    candidates(name, near).into_iter().filter(|_| possible).find(|path| path.is_file())
}

/// Where `name.rhai` may be.
fn candidates(name: &str, near: Option<&str>) -> Vec<PathBuf> {
    let file = if name.ends_with(".rhai") { name.to_string() } else { format!("{name}.rhai") };
    let mut folders: Vec<PathBuf> =
        near.and_then(|script| Path::new(script).parent()).map(Path::to_path_buf).into_iter().collect();
    folders.push(PathBuf::new());
    if let Some(path) = std::env::var_os("LETHE_PATH") {
        folders.extend(std::env::split_paths(&path));
    }
    let mut tried = vec![];
    for path in folders.into_iter().map(|folder| folder.join(&file)) {
        if !tried.contains(&path) {
            tried.push(path);
        }
    }
    tried
}

fn from_file(run: &Run, engine: &Engine, path: &Path, name: &str) -> Script<Method> {
    let text = crate::tensor::io::safetensors_file::read_text("unlearn::run", path)?;
    let library = run.slot::<Library>();
    let known = library.files.borrow().get(path).filter(|(old, _)| *old == text).map(|(_, script)| script.clone());
    let script = match known {
        Some(script) => script,
        None => {
            let script = Rc::new(compile(run, engine, &path.to_string_lossy(), &text)?);
            library.files.borrow_mut().insert(path.into(), (text, script.clone()));
            script
        }
    };
    let function = Path::new(name).file_stem().map_or_else(|| name.to_string(), |stem| stem.to_string_lossy().into());
    if script.iter_functions().any(|f| is_method(&f) && f.name == function) {
        return Ok(Method { name: function, script, builtin: false });
    }
    let message = format!("{} has no function `{function}(task, opt)`", path.display());
    Err(Error::new("unlearn::run", message).into())
}

/// The error for a name that nothing has.
fn unknown(run: &Run, engine: &Engine, name: &str, tried: &[PathBuf]) -> Script<Error> {
    let names = names(run, engine)?;
    let error = Error::new("unlearn::run", format!("there is no unlearner {name:?}"))
        .word(name)
        .note(format!("unlearners: {}", names.join(", ")))
        .note(format!("files tried: {}", tried.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")));
    Ok(match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error.hint("a function of this script is passed by its name without quotes"),
    })
}

/// What is known about the built-in methods, in order of names.
///
/// # Errors
/// A built-in script that does not compile.
pub fn list(run: &Run, engine: &Engine) -> Result<Vec<Listing>> {
    let mut found = vec![];
    for (name, method) in builtin(run, engine)?.iter() {
        let script = &method.script;
        let comments = script.iter_functions().find(|f| f.name == name).map(|f| f.comments.join("\n"));
        found.push(Listing {
            name: name.clone(),
            summary: first_sentence(&plain(&comments.unwrap_or_default(), "///")),
            source: plain(script.doc(), "//!"),
            file: script.source().unwrap_or_default().to_string(),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The text of a comment without its marks.
fn plain(comment: &str, mark: &str) -> String {
    let lines = comment.lines().map(|line| line.trim().trim_start_matches(mark).trim());
    lines.collect::<Vec<_>>().join(" ").trim().to_string()
}

fn first_sentence(text: &str) -> String {
    match text.find(". ") {
        Some(end) => text.get(..=end).unwrap_or(text).to_string(),
        None => text.to_string(),
    }
}

/// `unlearn::finetune(task, opt)` and all its like, as functions of the module `unlearn`.
pub fn add_functions(module: &mut rhai::Module) {
    for (_, text) in STDLIB.iter().filter(|(file, _)| file.starts_with(FOLDER)) {
        for (name, comments) in declared(text) {
            let called = name.clone();
            FuncRegistration::new(name)
                .with_params_info(["task: Task", "opt: map", "Net"])
                .with_comments(comments)
                .with_purity(true)
                .set_into_module(
                    module,
                    move |context: NativeCallContext, task: Task, options: Map| -> Script<Dynamic> {
                        let (run, engine) = (Run::of(&context), context.engine());
                        match find_builtin(&run, engine, &called)? {
                            Some(method) => method.call(&context, &task, options),
                            None => Err(Error::new(&called, "the built-in script has gone").into()),
                        }
                    },
                );
        }
    }
}

/// The methods that a script's text declares, with their comments. A scan of the text, so that starting the engine does
/// not have to compile anything.
fn declared(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = vec![];
    let mut comments = vec![];
    for line in text.lines() {
        if line.starts_with("///") {
            comments.push(line.to_string());
            continue;
        }
        if let Some(rest) = line.strip_prefix("fn ")
            && let Some((name, parameters)) = rest.split_once('(')
            && parameters.split(')').next().is_some_and(|list| list.split(',').count() == 2)
        {
            found.push((name.trim().to_string(), std::mem::take(&mut comments)));
        }
        comments.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_off_a_scripts_text_with_their_comments() {
        let text = "//! Source.\n\n/// Forgets.\n/// More.\nfn a(task, opt) {\n    fn_like();\n}\n/// No.\nprivate fn b(task, opt) {}\nfn c(x) {}\nfn d(task, opt) { a(task, opt) }\n";
        let found = declared(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], ("a".to_string(), vec!["/// Forgets.".to_string(), "/// More.".to_string()]));
        assert_eq!(found[1], ("d".to_string(), vec![]));
    }

    #[test]
    fn the_summary_is_the_first_sentence_without_marks() {
        assert_eq!(first_sentence(&plain("/// One thing.\n/// And another.", "///")), "One thing.");
        assert_eq!(first_sentence("alone"), "alone");
    }

    #[test]
    fn files_are_looked_for_beside_the_script_first() {
        let tried = candidates("mine", Some("scripts/a.rhai"));
        assert_eq!(tried.first().map(PathBuf::as_path), Some(Path::new("scripts/mine.rhai")));
        assert!(tried.contains(&PathBuf::from("mine.rhai")));
    }
}
