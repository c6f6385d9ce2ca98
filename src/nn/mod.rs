//! Room `nn`.

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

/// Adds this room's functions to the engine.
pub fn register(_engine: &mut rhai::Engine) {}
