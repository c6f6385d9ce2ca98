//! Errors for people: what an error of the engine means, where it is, its code, and how it is shown.

pub mod codes;
pub mod diagnose;
pub mod diagnostic;
pub mod engine_errors;
pub mod habits;
pub mod locate;
pub mod render;
