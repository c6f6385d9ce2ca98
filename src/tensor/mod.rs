//! The language of tensors: values, creation, arithmetic, indexing, autograd, files.

mod interim;
pub mod value;

pub use value::Tensor;

/// Adds this room's types and functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(value::script).into());
    interim::register(engine);
}
