//! The functions of a session, apart by the text they come from: that is how the engine knows whose lines a position counts.

use rhai::{AST, Module, ScriptFnMetadata, Shared};

/// The functions of the inputs and of every file loaded; a function of the same name and number of parameters is there once.
#[derive(Default)]
pub struct Libraries(Vec<Library>);

struct Library {
    source: String,
    functions: AST,
}

/// Whether a function is the body of a closure.
fn is_closure(name: &str) -> bool {
    name.starts_with("anon$")
}

impl Libraries {
    /// Takes over the functions of a text. They replace those of the same name and number of parameters from anywhere, and
    /// unless the text only adds to its source, all that the source had before but closures, which variables may still hold.
    pub fn learn(&mut self, source: &str, text: &AST, adds: bool) {
        let fresh = text.clone_functions_only();
        let replaced = |name: &str, parameters: usize| {
            fresh.iter_functions().any(|new| new.name == name && new.params.len() == parameters)
        };
        if !self.0.iter().any(|library| library.source == source) {
            self.0.push(Library { source: source.into(), functions: AST::empty() });
        }
        if adds && fresh.iter_functions().next().is_none() {
            return;
        }
        for library in &mut self.0 {
            let outdated = !adds && library.source == source;
            library.functions.retain_functions(|_, _, name, parameters| {
                is_closure(name) || !outdated && !replaced(name, parameters)
            });
            if library.source == source {
                library.functions.combine(fresh.clone());
            }
            library.functions.set_source(library.source.as_str());
        }
    }

    /// What the engine looks functions up in. Those of the source that is to run stand first: there the engine expects its
    /// closures.
    pub fn modules<'a>(&'a self, source: &'a str) -> impl Iterator<Item = Shared<Module>> + 'a {
        let (own, others): (Vec<_>, Vec<_>) = self.0.iter().partition(|library| library.source == source);
        own.into_iter().chain(others).map(|library| library.functions.shared_lib().clone())
    }

    /// Every function but the bodies of closures.
    pub fn named(&self) -> impl Iterator<Item = ScriptFnMetadata<'_>> {
        self.0.iter().flat_map(|library| library.functions.iter_functions()).filter(|known| !is_closure(known.name))
    }
}
