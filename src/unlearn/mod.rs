//! What unlearners need from Rust: loss transforms, distances between losses, importances, presets.

pub mod amu;
pub mod ssd;
pub mod transform;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(transform::script).into());
    engine.register_global_module(rhai::exported_module!(ssd::script).into());
}
