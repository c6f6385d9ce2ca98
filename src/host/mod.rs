//! The shell around the rooms that knows Rhai.

pub mod arguments;
pub mod custom_syntax;
pub mod diagnostics;
pub mod docs;
pub mod engine;
pub mod evaluate;
pub mod exit_and_sleep;
pub mod language;
pub mod lint;
pub mod resolver;
pub mod rooms;
pub mod session;
pub mod stdlib;
pub mod syntax_tree;
mod unknown_keys;

pub use engine::Host;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    arguments::register(engine);
    exit_and_sleep::register(engine);
    language::growth::register(engine);
    language::values_text::register(engine);
    language::sorting::register(engine);
    language::predicates::register(engine);
    language::comparisons::register(engine);
    language::printing::register(engine);
}
