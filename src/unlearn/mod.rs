//! What unlearners need from Rust: loss transforms, distances between losses, importances.

pub mod transform;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(transform::script).into());
}
