//! Experiments: tasks, running a method, presets, caches of originals and retrained references.

pub mod models;
pub mod rules;
pub mod train;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(models::script).into());
    engine.register_global_module(rhai::exported_module!(train::script).into());
    engine.register_global_module(rhai::exported_module!(rules::script).into());
}
