//! Making a retain set small: clusters inside each class, the ones a request leaves alone, one image for each of those.

pub mod augment;
mod augment_api;
pub mod blend;
mod blend_api;
pub mod classwise;
pub mod clustering;
pub mod clusters;
pub mod clusterwise;
mod condense_api;
pub mod controls;
pub mod coreset;
pub mod distribution;
pub mod embed;
pub mod gradient;
pub mod improved;
pub mod kmeans;
pub mod listing;
pub mod matching;
pub mod problem;
pub mod recipe;
pub mod reduce;
pub mod transform;

#[cfg(test)]
mod tests;

pub use reduce::{ReduceOptions, Reduced, reduce};

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(kmeans::script).into());
    engine.register_global_module(rhai::exported_module!(clusters::script).into());
    engine.register_global_module(rhai::exported_module!(blend_api::script).into());
    engine.register_global_module(rhai::exported_module!(augment_api::script).into());
    engine.register_global_module(rhai::exported_module!(matching::script).into());
    engine.register_global_module(rhai::exported_module!(condense_api::script).into());
    engine.register_static_module("augment", rhai::exported_module!(augment_api::given).into());
}
