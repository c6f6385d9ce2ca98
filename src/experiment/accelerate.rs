//! A-AMU (arXiv 2507.09786): the accelerated form of any method that marks its task loss.

use super::rules::{Range, Rule};
use crate::runtime::{Error, Result};
use rhai::{Dynamic, Map};
use std::cell::RefCell;

/// Options that a method's accelerated form has in place of its schedule.
const REPLACED: [&str; 6] = ["optimizer", "momentum", "nesterov", "weight_decay", "warmup", "milestones"];

/// The knobs of the accelerated form, as `options` read them.
#[derive(Debug, Clone)]
pub struct Accelerate {
    /// The knobs in use.
    pub knobs: RefCell<Knobs>,
}

/// Weights and constants of A-AMU.
#[derive(Debug, Clone, PartialEq)]
pub struct Knobs {
    /// Weight of the regulariser.
    pub mmd_weight: f64,
    /// The transform's exponent.
    pub k: f64,
    /// The transform's upper bound.
    pub clamp: f64,
    /// Square the batch's mean loss (false) or average squared losses (true).
    pub mean_of_squares: bool,
}

impl Default for Accelerate {
    fn default() -> Self {
        Self { knobs: RefCell::new(Knobs { mmd_weight: 34.0, k: 2.0, clamp: 60.0, mean_of_squares: false }) }
    }
}

impl Accelerate {
    /// Adds the accelerated form's own options to those a method declares. Where both have one of the same name (`k` is how
    /// many layers to CF-k), it is the method's, and the accelerated form keeps its default.
    pub fn rules(&self, declared: &Map) -> Map {
        let knobs = self.knobs.borrow();
        let rule = |default: Dynamic, range| Dynamic::from(Rule { default, range });
        let words = ["square_of_mean", "mean_of_squares"].map(String::from).to_vec();
        let own = [
            ("mmd_weight", rule(knobs.mmd_weight.into(), Range::NonNegative)),
            ("k", rule(knobs.k.into(), Range::Positive)),
            ("clamp", rule(knobs.clamp.into(), Range::Positive)),
            ("steepen", rule("square_of_mean".into(), Range::OneOf(words))),
        ];
        let mut rules = declared.clone();
        for (key, rule) in own {
            rules.entry(key.into()).or_insert(rule);
        }
        rules
    }

    /// Takes over what `options` read, of the options that are not the method's own.
    pub fn take(&self, read: &Map, declared: &Map) {
        let own = |key: &str| read.get(key).filter(|_| !declared.contains_key(key));
        let number = |key: &str, old: f64| own(key).and_then(|value| value.as_float().ok()).unwrap_or(old);
        let mut knobs = self.knobs.borrow_mut();
        knobs.mmd_weight = number("mmd_weight", knobs.mmd_weight);
        knobs.k = number("k", knobs.k);
        knobs.clamp = number("clamp", knobs.clamp);
        knobs.mean_of_squares = own("steepen").is_some_and(|word| word.to_string() == "mean_of_squares");
    }
}

/// Accelerated methods that have a name of their own.
const NAMED: [(&str, &str); 3] = [("finetune", "acf"), ("l1_sparse", "asparse"), ("scrub", "ascrub")];

/// The name an accelerated method goes by.
pub fn name_of(method: &str) -> String {
    let own = NAMED.iter().find(|(plain, _)| *plain == method);
    own.map_or(method, |(_, own)| own).into()
}

/// The method behind a name, and whether the name is that of its accelerated form.
pub fn plain_name(name: &str) -> (&str, bool) {
    NAMED.iter().find(|(_, own)| *own == name).map_or((name, false), |(plain, _)| (plain, true))
}

/// Refuses options which the accelerated form does not have.
pub fn refuse_replaced(method: &str, given: &Map) -> Result<()> {
    match REPLACED.iter().find(|key| given.get(**key).is_some_and(|value| !value.is_unit())) {
        None => Ok(()),
        Some(key) => {
            let message = format!("`{key}` has no effect on an accelerated method");
            Err(Error::new(method, message).word(*key).hint("it runs Adam at a constant `lr`"))
        }
    }
}

/// What the accelerated form has of a method's options or rules.
pub fn kept(all: &Map) -> Map {
    let replaced = |key: &str| REPLACED.contains(&key);
    all.iter().filter(|(key, _)| !replaced(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The options that count in the accelerated form; those `declared` are the method's own.
pub fn counted(read: &Map, declared: &Map, regularized: bool) -> Map {
    let knob = |key: &str| ["mmd_weight", "k", "clamp"].contains(&key) && !declared.contains_key(key);
    let silent = |key: &str| REPLACED.contains(&key) || (!regularized && knob(key));
    read.iter().filter(|(key, _)| !silent(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What a method that cannot be accelerated is told.
pub fn refusal(method: &str) -> Error {
    Error::new("accelerate", format!("`{method}` has no task loss to accelerate: it never calls task.primary(loss)"))
        .word("accelerate")
        .hint("wrap the method's loss on retained samples in task.primary(..)")
}
