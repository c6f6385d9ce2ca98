//! Gradients of each sample by itself.

pub mod layer_rows;
pub mod per_sample;
