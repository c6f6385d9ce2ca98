//! Optimisers on a flat buffer: options, the arithmetic of a step, frozen entries, state, schedules.

pub mod freeze_mask;
pub mod optimizer;
pub mod schedule;
pub mod script;
pub mod state;
pub mod update_rule;
