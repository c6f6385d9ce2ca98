//! What unlearners need from Rust: loss transforms, distances between losses, importances, Fisher information, tangent
//! kernels, masks.

pub mod amu;
pub mod fisher;
pub mod gradient;
mod kernel;
pub mod masks;
pub mod named;
pub mod newton;
pub mod ntk;
pub mod ssd;
pub mod transform;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    for module in [
        rhai::exported_module!(transform::script),
        rhai::exported_module!(ssd::script),
        rhai::exported_module!(fisher::script),
        rhai::exported_module!(gradient::script),
        rhai::exported_module!(masks::script),
        rhai::exported_module!(newton::script),
        rhai::exported_module!(ntk::script),
    ] {
        engine.register_global_module(module.into());
    }
}
