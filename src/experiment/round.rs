//! One of several requests that come one after another: what came before it, and what it has cost so far.

use super::outcome::Outcome;
use crate::data::Dataset;
use crate::nn::Net;
use std::cell::RefCell;
use std::rc::Rc;

/// What a request knows of those before it.
#[derive(Clone)]
pub struct Round {
    /// Its number, from 0.
    pub number: usize,
    /// How many requests there are.
    pub of: usize,
    /// The samples of every earlier request, in their order.
    pub earlier: Vec<Dataset>,
    /// The positions the first request forgets: `per_class: "auto"` is chosen for them, so that clusters stay the same.
    pub first: Vec<usize>,
    /// What the rounds before have cost.
    pub spent: Spent,
    /// The results so far of methods that ran in it: a network that ends the round is looked for among them.
    pub results: Rc<RefCell<Vec<Outcome>>>,
}

/// Seconds of the rounds that are over, evaluation excluded.
#[derive(Debug, Clone, Default)]
pub struct Spent {
    /// In all.
    pub seconds: f64,
    /// The clusterings that are among them, which are not paid for again.
    pub clusterings: Vec<String>,
}

impl Round {
    /// `round 1 of 3`.
    pub fn describe(&self) -> String {
        format!("round {} of {}", self.number + 1, self.of)
    }

    /// Keeps a result of this round.
    pub fn keep(&self, result: &Outcome) {
        self.results.borrow_mut().push(result.clone());
    }

    /// The result of this round that a network came from.
    pub fn result_of(&self, net: &Net) -> Option<Outcome> {
        let results = self.results.borrow();
        results.iter().rev().find(|result| result.net().is_ok_and(|own| Rc::ptr_eq(own.root(), net.root()))).cloned()
    }
}
