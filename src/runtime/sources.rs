//! The text of every script that took part in a run, by the name errors give it; and the embedded standard library.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// The embedded standard library: name (`std/unlearn/finetune.rhai`) and text of every file.
pub const STDLIB: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

/// The text of an embedded file.
pub fn embedded(name: &str) -> Option<&'static str> {
    STDLIB.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
}

/// Names and texts of the scripts read so far: what error messages quote and what a run folder copies. A run slot.
#[derive(Default)]
pub struct SourceMap(RefCell<BTreeMap<String, String>>);

impl SourceMap {
    /// Remembers the text of a script.
    pub fn insert(&self, name: impl Into<String>, text: impl Into<String>) {
        self.0.borrow_mut().insert(name.into(), text.into());
    }

    /// The text of a script.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.borrow().get(name).cloned()
    }

    /// Every name and text, in the order of names.
    pub fn all(&self) -> Vec<(String, String)> {
        self.0.borrow().iter().map(|(name, text)| (name.clone(), text.clone())).collect()
    }
}
