//! Networks: layers, the zoo, initialisation, optimisers, schedules, losses.
//!
//! A `Net` is a shared handle to a tree of layers. Parameters have PyTorch's names and order and live in flat buffers.

mod describe;
mod layer;
mod net;
mod parameter;
mod per_sample;
mod pickle;
pub mod pth;
mod scripted;
mod state;
mod tree;
mod update;

pub mod loss;
pub mod optim;
pub mod schedule;
pub mod zoo;

pub use net::Net;
pub use optim::{AdamOptions, Hooks, Optimizer, SgdOptions};
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

/// Adds this room's functions to the engine.
pub fn register(_engine: &mut rhai::Engine) {}
