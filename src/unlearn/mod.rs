//! Room `unlearn`.

/// Adds this room's functions to the engine.
pub fn register(_engine: &mut rhai::Engine) {}
