//! Comparison with a retrained network: outputs, metrics, weights, and the time to relearn.

pub mod compare;
pub mod gaps;
pub mod output_distance;
pub mod relearn_time;
pub mod weight_distance;
