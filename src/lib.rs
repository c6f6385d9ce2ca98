//! Lethe: an embedded scripting host for machine unlearning.
//!
//! The map of the house: `runtime` (errors, options, randomness, the run) carries the rooms, which stand in the order data
//! flows through an experiment: `tensor`, `nn`, `data`, `condense`, `unlearn`, `eval`, `experiment`, with `report` beside
//! them. `host` knows Rhai, `cli` the terminal.

pub mod cli;
pub mod condense;
pub mod data;
pub mod eval;
pub mod experiment;
pub mod host;
pub mod nn;
pub mod report;
pub mod runtime;
pub mod tensor;
pub mod unlearn;
