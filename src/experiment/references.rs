//! The retrained networks of a run, which others are compared with.

use crate::eval::Metrics;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The retrained networks of this run by split, in the order they came; a run slot.
#[derive(Default)]
pub struct References(RefCell<HashMap<String, Vec<Rc<Reference>>>>);

/// What is known about a network retrained for a split.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Its metrics.
    pub metrics: Metrics,
    /// The name of its predictions in the store.
    pub key: String,
}

impl References {
    /// Remembers a network retrained for a split, on its whole retain set.
    pub fn add(&self, split_id: &str, metrics: &Metrics, key: &str) {
        let reference = Rc::new(Reference { metrics: metrics.clone(), key: key.into() });
        let mut all = self.0.borrow_mut();
        let known = all.entry(split_id.to_string()).or_default();
        known.retain(|other| other.key != key);
        known.push(reference);
    }

    /// The retrained network that one with these predictions is compared with: the last of its split that is another.
    /// Without another, a retrained network is its own reference.
    pub fn of(&self, split_id: &str, key: &str) -> Option<Rc<Reference>> {
        let all = self.0.borrow();
        let known = all.get(split_id)?;
        known.iter().rev().find(|other| other.key != key).or(known.last()).cloned()
    }
}
