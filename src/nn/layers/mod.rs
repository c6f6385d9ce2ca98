//! Layers: how each computes, how they are made, first values, and modules of a script's own making.

pub mod avg_pool_2x2;
pub mod describe;
pub mod init;
pub mod layer;
pub mod scripted;
pub mod with_parameters;
pub mod without_parameters;
