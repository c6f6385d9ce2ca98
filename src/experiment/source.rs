//! What decides the weights of an original network.

/// What decides the weights of an original: the data, the architecture, how and from which seed it was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// One line of everything that matters.
    pub recipe: String,
    pub(super) dataset: String,
    pub(super) model: String,
    pub(super) seed: u64,
}
