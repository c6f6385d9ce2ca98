//! Networks: layers, the zoo, initialisation, optimisers, schedules, losses.
//!
//! A `Net` is a shared handle to a tree of layers. Parameters have PyTorch's names and order and live in flat buffers.

pub mod architecture;
pub mod checkpoint;
mod choose;
mod describe;
pub mod dictionaries;
mod face;
mod files;
mod fit;
mod hold;
mod initial;
mod layer;
mod legacy;
mod machine;
mod make;
mod net;
mod parameter;
mod parts;
pub mod pickle;
mod pool;
pub mod pth;
mod pth_write;
mod rows;
mod scripted;
mod simple;
pub mod state;
pub mod tangent;
mod tree;
mod update;
mod vector;

pub mod guess;
pub mod loss;
pub mod optim;
mod optim_face;
mod optim_state;
pub mod schedule;
pub mod zoo;

pub use net::Net;
pub use optim::{AdamOptions, Hooks, Optimizer, SgdOptions, StepOptions};
pub use schedule::Schedule;
pub use update::Rule;

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
    rhai::combine_with_exported_module!(namespace, "make", make::script);
    rhai::combine_with_exported_module!(namespace, "simple", simple::script);
    engine.register_static_module("nn", layers.into());
    for module in [
        rhai::exported_module!(face::script),
        rhai::exported_module!(files::script),
        rhai::exported_module!(loss::script),
        rhai::exported_module!(optim_face::script),
        rhai::exported_module!(schedule::script),
        rhai::exported_module!(scripted::script),
        rhai::exported_module!(vector::script),
    ] {
        engine.register_global_module(module.into());
    }
}
