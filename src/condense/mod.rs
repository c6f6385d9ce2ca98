//! Making a retain set small: clusters inside each class, the ones a request leaves alone, one image for each of those.

pub mod cluster;
pub mod coreset;
pub mod embed;
pub mod listing;
pub mod matching;
pub mod options;
pub mod reduce;
pub mod script;

#[cfg(test)]
mod tests;

pub use reduce::{ReduceOptions, Reduced, reduce};

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(cluster::kmeans::script).into());
    engine.register_global_module(rhai::exported_module!(cluster::free_and_residual::script).into());
    engine.register_global_module(rhai::exported_module!(cluster::blend_script::script).into());
    engine.register_global_module(rhai::exported_module!(matching::augment_script::script).into());
    engine.register_global_module(rhai::exported_module!(matching::losses::script).into());
    engine.register_global_module(rhai::exported_module!(script::script).into());
    engine.register_static_module("augment", rhai::exported_module!(matching::augment_script::given).into());
}
