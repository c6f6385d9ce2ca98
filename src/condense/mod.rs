//! Making a retain set small: clusters inside each class, the ones a request leaves alone, one image for each of those.

pub mod blend;
mod blend_api;
pub mod clusters;
pub mod controls;
pub mod kmeans;
pub mod listing;
pub mod reduce;

#[cfg(test)]
mod tests;

pub use reduce::{ReduceOptions, Reduced, reduce};

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(kmeans::script).into());
    engine.register_global_module(rhai::exported_module!(clusters::script).into());
    engine.register_global_module(rhai::exported_module!(blend_api::script).into());
}
