//! The condensers by name: what `lethe list condensers` tells.

/// A way of making one image per cluster.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Listing {
    /// What `task.reduce(#{ method: .. })` takes.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
}

const CONDENSERS: [Listing; 4] = [
    Listing {
        name: "blend",
        summary: "weighted combination of a cluster's images that matches their mean embedding (arXiv 2507.09786)",
    },
    Listing { name: "mean", summary: "plain mean of a cluster's images: Blend before its first step, a control" },
    Listing { name: "nearest", summary: "real image nearest to a cluster's mean embedding, a control" },
    Listing { name: "random", summary: "random real image of a cluster, a control" },
];

/// Every condenser there is.
pub fn list() -> [Listing; 4] {
    CONDENSERS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condense::reduce::Method;

    #[test]
    fn every_condenser_is_listed() {
        assert_eq!(CONDENSERS.map(|one| one.name), Method::NAMES);
    }
}
