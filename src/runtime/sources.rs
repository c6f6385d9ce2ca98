//! The text of every script that took part in a run, by the name errors give it; and the embedded standard library.

use rhai::AST;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// The embedded standard library: name (`std/unlearn/finetune.rhai`) and text of every file.
pub const STDLIB: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

/// The text of an embedded file.
pub fn embedded(name: &str) -> Option<&'static str> {
    STDLIB.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
}

/// Names and texts of the scripts read so far: what error messages quote and what a run folder copies. A run slot.
#[derive(Default)]
pub struct SourceMap {
    texts: RefCell<BTreeMap<String, String>>,
    /// Whose lines the positions in a closure count; the engine forgets it when another script's function calls the closure.
    closures: RefCell<HashMap<String, String>>,
}

impl SourceMap {
    /// Remembers the text of a script.
    pub fn insert(&self, name: impl Into<String>, text: impl Into<String>) {
        self.texts.borrow_mut().insert(name.into(), text.into());
    }

    /// Adds to the end of a script's text.
    pub fn append(&self, name: &str, text: &str) {
        self.texts.borrow_mut().entry(name.into()).or_default().push_str(text);
    }

    /// Remembers which closures a script makes.
    pub fn insert_closures(&self, name: &str, script: &AST) {
        let closures = script.iter_functions().filter(|function| function.name.starts_with("anon$"));
        self.closures.borrow_mut().extend(closures.map(|closure| (closure.name.to_string(), name.to_string())));
    }

    /// The script that makes a closure.
    pub fn of_closure(&self, function: &str) -> Option<String> {
        self.closures.borrow().get(function).cloned()
    }

    /// The text of a script.
    pub fn get(&self, name: &str) -> Option<String> {
        self.texts.borrow().get(name).cloned()
    }

    /// Every name and text, in the order of names.
    pub fn all(&self) -> Vec<(String, String)> {
        self.texts.borrow().iter().map(|(name, text)| (name.clone(), text.clone())).collect()
    }
}
