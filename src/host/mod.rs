//! The shell around the rooms that knows Rhai.

pub mod arguments;
pub mod catalog;
pub mod codes;
mod comparisons;
pub mod constructs;
mod diagnose;
pub mod diagnostics;
pub mod docs;
pub mod engine;
pub mod entry;
pub mod evaluate;
pub mod explain;
pub mod flow;
mod growth;
pub mod habits;
pub mod library;
pub mod lint;
mod predicates;
mod printing;
pub mod reference;
pub mod render;
pub mod resolver;
pub mod rooms;
pub mod session;
mod sorting;
pub mod syntax;
pub mod syntax_tree;
mod unknown_keys;
mod unplaced;
mod values_text;

pub use engine::Host;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    arguments::register(engine);
    flow::register(engine);
    growth::register(engine);
    values_text::register(engine);
    sorting::register(engine);
    predicates::register(engine);
    comparisons::register(engine);
    printing::register(engine);
}
