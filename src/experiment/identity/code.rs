//! What a function of a script is, whatever it is called in this process: its own text and all that it can reach.

use super::text::{Name, Text, short};
use crate::experiment::identity::naming::Naming;
use crate::experiment::methods;
use crate::runtime::Run;
use crate::runtime::imports::{Modules, find, native};
use crate::runtime::sources::{SourceMap, embedded};
use once_cell::unsync::OnceCell;
use rhai::{Engine, FnPtr, FuncInfo, Position};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

/// Scripts taken apart, by name; a run slot.
#[derive(Default)]
struct Texts(RefCell<HashMap<String, (String, Rc<Text>)>>);

/// The files of the embedded library by the functions and methods that are in them; a run slot.
#[derive(Default)]
struct Library(OnceCell<HashMap<String, BTreeSet<String>>>);

impl Library {
    fn read(run: &Run) -> HashMap<String, BTreeSet<String>> {
        let mut files: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (file, module) in run.slot::<Modules>().all().into_iter().filter(|(name, _)| embedded(name).is_some()) {
            for (_, _, name, ..) in module.iter_script_fn_info() {
                files.entry(name.into()).or_default().insert(file.clone());
            }
        }
        for (name, file) in methods::files() {
            files.entry(name).or_default().insert(file.into());
        }
        files
    }
}

/// A script under the name that errors give it, as it was read; from its file when nothing has read it yet.
fn text(run: &Run, engine: &Engine, name: &str) -> Option<Rc<Text>> {
    let known = run.slot::<SourceMap>().get(name).or_else(|| embedded(name).map(String::from));
    let script = known.or_else(|| std::fs::read_to_string(name).ok())?;
    let texts = run.slot::<Texts>();
    if let Some((_, text)) = texts.0.borrow().get(name).filter(|(old, _)| *old == script) {
        return Some(text.clone());
    }
    let text = Rc::new(Text::new(engine, &script));
    texts.0.borrow_mut().insert(name.into(), (script, text.clone()));
    Some(text)
}

/// Where a function is defined.
struct Place {
    script: String,
    /// Where the body begins.
    body: Position,
    parameters: Vec<String>,
}

/// The definition that a call of this name and number of arguments would find.
fn place(naming: &Naming, name: &str, arity: Option<usize>) -> Option<Place> {
    let context = naming.context;
    let main = context.call_source().unwrap_or_default();
    let visible = context.iter_namespaces().map(|module| (module.id().unwrap_or(main).to_string(), module));
    let fits = |module: &rhai::Module, script: &str| {
        let mut found = module
            .iter_script_fn_info()
            .filter(|(_, _, known, count, _)| *known == name && arity.is_none_or(|arity| arity == *count));
        found.next().map(|(.., definition)| Place {
            script: script.into(),
            body: definition.body.start_position(),
            parameters: definition.params.iter().map(ToString::to_string).collect(),
        })
    };
    let found = visible.into_iter().find_map(|(script, module)| fits(module, &script));
    let modules = || naming.run.slot::<Modules>().all();
    found.or_else(|| modules().iter().find_map(|(script, module)| fits(module, script)))
}

/// What a function pointer stands for: `{ code, calls, imports, captured, constants, arguments }`, as far as there are any.
pub fn function(naming: &Naming, pointer: &FnPtr) -> Value {
    let (name, captured) = (pointer.fn_name(), pointer.curry());
    // A function takes what it was curried with before its own two, three, .. arguments.
    let found = place(naming, name, None);
    let Some(place) = found else { return unplaced(naming, pointer) };
    let Some(text) = text(&naming.run, naming.context.engine(), &place.script) else {
        return unplaced(naming, pointer);
    };
    let anonymous = pointer.is_anonymous();
    let own = if anonymous { text.closure(place.body).into_iter().collect() } else { text.functions(name).collect() };
    let mut reach = Reach::of(naming, &place.script);
    let module = naming.run.slot::<Modules>().get(&place.script).is_some();
    reach.start(&text, own, module);
    let mut parts = reach.parts();
    if !captured.is_empty() {
        let names = place.parameters.iter().map(String::as_str).chain(std::iter::repeat("value"));
        let mut values = Map::new();
        for (name, value) in names.zip(captured) {
            insert(&mut values, name, naming.within(name, value));
        }
        parts.insert("captured".into(), values.into());
    }
    parts.into()
}

/// A function that no script defines: one of ours by its name, or one that cannot be told.
fn unplaced(naming: &Naming, pointer: &FnPtr) -> Value {
    let name = pointer.fn_name();
    let ours = |info: FuncInfo| (info.metadata.name == name && info.script.is_none()).then_some(());
    if pointer.is_anonymous() || naming.context.engine().collect_fn_metadata(None, ours, true).is_empty() {
        return naming.unknown("a function whose text is not known");
    }
    let mut parts = Map::new();
    parts.insert("native".into(), name.into());
    if pointer.is_curried() {
        parts.insert("captured".into(), pointer.curry().iter().map(|value| naming.value(value)).collect());
    }
    parts.into()
}

/// What a script is as a whole, for methods that have a file of their own.
pub fn script(naming: &Naming, name: &str) -> Value {
    let Some(text) = text(&naming.run, naming.context.engine(), name) else {
        return naming.unknown(&format!("the script {name} cannot be read"));
    };
    let mut reach = Reach::of(naming, name);
    reach.start(&text, vec![text.all()], true);
    reach.parts().into()
}

/// The file of the method that a text names, if it names one.
pub fn method_file(naming: &Naming, name: &str, near: Option<&str>) -> Option<String> {
    let path = methods::file_named(name, near)?.to_string_lossy().into_owned();
    let function = Path::new(name).file_stem()?.to_string_lossy().into_owned();
    let text = text(&naming.run, naming.context.engine(), &path)?;
    text.functions(&function).next().is_some().then_some(path)
}

/// Everything that some code may use, found by the names it speaks of: rather too much than too little.
struct Reach<'n, 'c> {
    naming: &'n Naming<'c>,
    /// The script that the code is in.
    home: String,
    code: String,
    calls: BTreeMap<String, BTreeSet<String>>,
    imports: BTreeMap<String, BTreeSet<String>>,
    constants: BTreeMap<String, Value>,
    arguments: BTreeSet<String>,
    /// Stretches of the home script that were looked at.
    seen: Vec<Range<usize>>,
    /// Other scripts that were looked at.
    scripts: BTreeSet<String>,
}

impl<'n, 'c> Reach<'n, 'c> {
    fn of(naming: &'n Naming<'c>, home: &str) -> Self {
        let (code, seen, calls, imports, constants, arguments, scripts) = Default::default();
        Self { naming, home: home.into(), code, calls, imports, constants, arguments, seen, scripts }
    }

    /// Begins with stretches of the home script. All of it counts where they are not known, and `whole` of a module.
    fn start(&mut self, text: &Rc<Text>, own: Vec<Range<usize>>, whole: bool) {
        let own = if whole || own.is_empty() { vec![text.all()] } else { own };
        self.code = short(own.iter().map(|range| text.hash(range)).collect::<String>());
        self.seen = own.clone();
        own.iter().for_each(|range| self.home_stretch(text, range));
    }

    fn home_stretch(&mut self, text: &Rc<Text>, range: &Range<usize>) {
        let home = self.home.clone();
        for name in text.names(range) {
            match &name {
                Name::Word(word) | Name::String(word) => {
                    for function in text.functions(word).collect::<Vec<_>>() {
                        self.call(text, word, &function);
                    }
                }
                Name::Constant(constant) => self.constant(constant),
                Name::Anything => {
                    let all = text.all();
                    self.call(text, "(anything)", &all);
                    self.all_constants();
                }
            }
            self.common(text, &home, &name);
        }
    }

    /// Another function of the home script.
    fn call(&mut self, text: &Rc<Text>, name: &str, range: &Range<usize>) {
        if self.seen.iter().any(|seen| seen.start <= range.start && range.end <= seen.end) {
            return;
        }
        self.seen.push(range.clone());
        self.calls.entry(name.into()).or_default().insert(text.hash(range));
        self.home_stretch(text, range);
    }

    /// What a name means wherever it stands.
    fn common(&mut self, text: &Rc<Text>, script: &str, name: &Name) {
        match name {
            Name::Word(word) | Name::String(word) => {
                if matches!(name, Name::String(_)) {
                    self.argument(|key| key == *word);
                    self.file(script, word);
                }
                for import in text.imports().iter().filter(|import| import.alias == *word) {
                    self.import(script, &import.path);
                }
                self.library(word);
                self.beside(word);
            }
            Name::Constant(_) => {}
            Name::Anything => {
                self.argument(|_| true);
                for import in text.imports() {
                    self.import(script, &import.path);
                }
                let loaded: Vec<String> = self
                    .naming
                    .context
                    .iter_imports()
                    .filter_map(|(_, module)| module.id().map(String::from))
                    .collect();
                loaded.iter().for_each(|name| self.other(name, name));
            }
        }
    }

    /// `--set` values that the code may read.
    fn argument(&mut self, wanted: impl Fn(&str) -> bool) {
        let given = &self.naming.run.settings().arguments;
        let given = given.iter().filter(|(key, _)| wanted(key)).map(|(key, value)| format!("{key}={value}"));
        self.arguments.extend(given);
    }

    /// A module imported under a path.
    fn import(&mut self, from: &str, path: &str) {
        if native(path).is_some() {
            return;
        }
        match find(Some(from), path) {
            Ok((name, _)) => self.other(path.trim_end_matches(".rhai"), &name),
            // It fails where it is imported.
            Err(_) => drop(self.imports.entry(path.into()).or_default().insert("missing".into())),
        }
    }

    /// Functions of the embedded library that are reachable by their bare names, and methods.
    fn library(&mut self, word: &str) {
        let library = self.naming.run.slot::<Library>();
        let files = library.0.get_or_init(|| Library::read(&self.naming.run));
        for file in files.get(word).into_iter().flatten() {
            self.other(file.trim_end_matches(".rhai"), file);
        }
    }

    /// Functions of other scripts that are going on: a bare name may mean theirs.
    fn beside(&mut self, word: &str) {
        let has = |module: &&rhai::Module| module.iter_script_fn_info().any(|(_, _, known, ..)| known == word);
        let others = self.naming.context.iter_namespaces().filter(has).filter_map(|module| module.id());
        let others: Vec<String> = others.filter(|id| *id != self.home).map(String::from).collect();
        for name in others {
            let label = Path::new(&name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            self.other(&label.unwrap_or_else(|| name.clone()), &name);
        }
    }

    /// A method in a file of its own that the code may name.
    fn file(&mut self, from: &str, word: &str) {
        if let Some(path) = method_file(self.naming, word, Some(from)) {
            self.other(word.trim_end_matches(".rhai"), &path);
        }
    }

    /// Another script as a whole.
    fn other(&mut self, label: &str, name: &str) {
        if name == self.home || !self.scripts.insert(name.into()) {
            return;
        }
        let Some(text) = text(&self.naming.run, self.naming.context.engine(), name) else { return };
        let all = text.all();
        self.imports.entry(label.into()).or_default().insert(text.hash(&all));
        for import in text.imports() {
            self.import(name, &import.path);
        }
        for found in text.names(&all) {
            self.common(&text, name, &found);
        }
    }

    /// A constant that functions see as `global::NAME`.
    fn constant(&mut self, name: &str) {
        if self.constants.contains_key(name) {
            return;
        }
        let constants = self.naming.context.store_data().global.constants;
        // Not borrowed any longer than this: naming a value may read constants as well.
        let value = constants.and_then(|constants| constants.borrow().get(name).cloned());
        if let Some(value) = value {
            self.constants.insert(name.into(), self.naming.within(name, &value));
        }
    }

    fn all_constants(&mut self) {
        let constants = self.naming.context.store_data().global.constants;
        let names = constants.map(|constants| constants.borrow().keys().map(ToString::to_string).collect::<Vec<_>>());
        names.into_iter().flatten().for_each(|name| self.constant(&name));
    }

    fn parts(self) -> Map<String, Value> {
        let mut parts = Map::new();
        parts.insert("code".into(), self.code.into());
        let joined = |hashes: BTreeSet<String>| Value::from(hashes.into_iter().collect::<Vec<_>>().join("+"));
        for (heading, found) in [("calls", self.calls), ("imports", self.imports)] {
            if !found.is_empty() {
                let found: Map<String, Value> =
                    found.into_iter().map(|(name, hashes)| (name, joined(hashes))).collect();
                parts.insert(heading.into(), found.into());
            }
        }
        if !self.constants.is_empty() {
            parts.insert("constants".into(), self.constants.into_iter().collect::<Map<_, _>>().into());
        }
        if !self.arguments.is_empty() {
            parts.insert("arguments".into(), self.arguments.into_iter().collect());
        }
        parts
    }
}

/// Adds a value under a name; under several where it is there already.
fn insert(values: &mut Map<String, Value>, name: &str, value: Value) {
    let mut key = name.to_string();
    while values.contains_key(&key) {
        key.push('\'');
    }
    values.insert(key, value);
}
