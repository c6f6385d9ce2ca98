//! Room `report`.

pub mod folder;
pub mod recorder;

pub use recorder::Recorder;

/// Adds this room's functions to the engine.
pub fn register(_engine: &mut rhai::Engine) {}
