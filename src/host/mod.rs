//! The shell around the rooms that knows Rhai.

pub mod arguments;
pub mod engine;

pub use engine::Host;
