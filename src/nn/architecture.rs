//! Names of architectures.

use super::Net;

/// The name of a network's architecture: what stands before the parenthesis of `convnet(width=32, ..)`.
pub fn model_name(net: &Net) -> String {
    net.architecture().split('(').next().unwrap_or("net").trim().to_lowercase()
}
