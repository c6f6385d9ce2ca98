//! Whether a method is only asked for its options.

use crate::runtime::{Error, Result};
use rhai::Map;
use std::cell::{Cell, RefCell};

/// Whether a method is only asked for its options, and what it said.
#[derive(Default)]
pub struct Question {
    pub(super) asked: Cell<bool>,
    pub(super) busy: Cell<bool>,
    pub(super) answer: RefCell<Option<(Map, Map)>>,
}

impl Question {
    /// From here on the method is only asked.
    pub fn ask(&self) {
        self.asked.set(true);
    }

    /// Ends the call of a method that is only asked, now that its options are known.
    ///
    /// # Errors
    /// The end of the call, which no script can catch.
    pub fn answer(&self, rules: &Map, values: &Map) -> Result<()> {
        if !self.asked.get() {
            return Ok(());
        }
        self.answer.replace(Some((rules.clone(), values.clone())));
        Err(Error::Interrupted)
    }

    /// Ends the call of a method that is only asked and begins to work.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn refuse_work(&self) -> Result<()> {
        if !self.asked.get() {
            return Ok(());
        }
        self.busy.set(true);
        Err(Error::Interrupted)
    }
}
