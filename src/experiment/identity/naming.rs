//! What naming values keeps in mind.

use crate::runtime::Run;
use rhai::NativeCallContext;
use std::cell::{Cell, RefCell};

/// Names values, and notes those that it cannot name.
pub struct Naming<'c> {
    /// Where the values are from.
    pub context: &'c NativeCallContext<'c>,
    /// The run.
    pub run: Run,
    pub(super) path: RefCell<Vec<String>>,
    pub(super) depth: Cell<usize>,
    pub(super) unknown: RefCell<Vec<String>>,
}
