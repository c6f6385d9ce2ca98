//! The key of a row, and what it is made of.

use serde_json::Value;

/// What decides a result.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Everything, readable: `key_parts` of the row.
    pub parts: Value,
    /// The hash of the parts.
    pub key: String,
    /// What could not be told. A row with such a thing is never taken for another.
    pub unknown: Vec<String>,
}
