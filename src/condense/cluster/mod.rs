//! Condensers that work by clusters: k-means, free and residual clusters, Blend.

pub mod blend;
pub mod blend_script;
pub mod condensers;
pub mod controls;
pub mod free_and_residual;
pub mod kmeans;
pub mod per_class;
