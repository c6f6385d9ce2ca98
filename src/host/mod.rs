//! The shell around the rooms that knows Rhai.

pub mod engine;

pub use engine::Host;
