//! What checks know besides the script.

use super::known::Known;
use super::manual::Manual;
use crate::host::Host;
use rhai::Map;
use std::collections::{HashMap, HashSet};

/// What there is to know besides the script.
pub struct Context<'a> {
    /// Functions, properties, options.
    pub manual: &'a Manual,
    /// The engine.
    pub host: &'a Host,
    /// Everything registered.
    pub known: &'a Known,
    /// Names of map entries anywhere, which may hold what is called like a method.
    pub keys: &'a HashSet<String>,
    /// The options that functions of the embedded library declare.
    pub library: &'a HashMap<String, Map>,
}
