//! The condensers by name: what `lethe list condensers` tells.

/// A way of making one image per cluster.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Listing {
    /// What `task.reduce(#{ method: .. })` takes.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
}

const CONDENSERS: [Listing; 9] = [
    Listing {
        name: "blend",
        summary: "weighted combination of a cluster's images that matches their mean embedding (arXiv 2507.09786)",
    },
    Listing {
        name: "dc",
        summary: "gradient matching (Zhao, Mopuri and Bilen, ICLR 2021); with augmentation DSA (Zhao and Bilen, ICML 2021)",
    },
    Listing { name: "dm", summary: "distribution matching: mean embeddings of classes (Zhao and Bilen, WACV 2023)" },
    Listing {
        name: "idm",
        summary: "improved distribution matching: trained networks, partition, cross-entropy (Zhao et al., CVPR 2023)",
    },
    Listing { name: "mean", summary: "plain mean of a cluster's images: Blend before its first step, a control" },
    Listing { name: "nearest", summary: "real image nearest to a cluster's mean embedding, a control" },
    Listing { name: "random", summary: "random real image of a cluster, a control" },
    Listing {
        name: "herding",
        summary: "real images whose mean embedding is that of their class (Welling, ICML 2009), a control",
    },
    Listing {
        name: "k_center",
        summary: "real images that leave no embedding far from all of them (Sener and Savarese, ICLR 2018), a control",
    },
];

/// Every condenser there is.
pub fn list() -> [Listing; 9] {
    CONDENSERS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condense::options::Method;

    #[test]
    fn every_condenser_is_listed() {
        assert_eq!(CONDENSERS.map(|one| one.name), Method::ALL.map(Method::name));
    }
}
