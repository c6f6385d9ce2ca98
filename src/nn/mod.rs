//! Networks: layers, the zoo, initialisation, optimisers, schedules, losses.
//!
//! A `Net` is a shared handle to a tree of layers. Parameters have PyTorch's names and order and live in flat buffers.

pub mod architecture;
pub mod jacobian;
pub mod layer_lookup;
pub mod layers;
pub mod module_tree;
mod net;
pub mod net_script;
pub mod optim;
mod parameter;
pub mod parameter_vector;
pub mod pytorch;
pub mod save_load;
pub mod state_dict;

pub mod guess;
pub mod loss;
pub mod zoo;

pub use net::Net;
pub use optim::optimizer::{AdamOptions, Hooks, Optimizer, SgdOptions, StepOptions};
pub use optim::schedule::Schedule;
pub use optim::update_rule::Rule;

/// The shape of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Colour channels.
    pub channels: i64,
    /// Rows.
    pub height: i64,
    /// Columns.
    pub width: i64,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.height, self.width)
    }
}

/// Adds this room's functions to the engine: layers in the namespace `nn`, everything else globally.
pub fn register(engine: &mut rhai::Engine) {
    let mut layers = rhai::Module::new();
    let namespace = &mut layers;
    rhai::combine_with_exported_module!(namespace, "make", layers::with_parameters::script);
    rhai::combine_with_exported_module!(namespace, "simple", layers::without_parameters::script);
    engine.register_static_module("nn", layers.into());
    for module in [
        rhai::exported_module!(net_script::script),
        rhai::exported_module!(save_load::script),
        rhai::exported_module!(loss::script),
        rhai::exported_module!(optim::script::script),
        rhai::exported_module!(optim::schedule::script),
        rhai::exported_module!(layers::scripted::script),
        rhai::exported_module!(parameter_vector::script),
    ] {
        engine.register_global_module(module.into());
    }
}
