//! Histograms of cross-entropies over fixed logarithmic bins, so that those of different networks and runs compare bin by bin.

/// The lowest edge; losses below it count in the first bin.
pub const LOWEST: f64 = 1e-6;
/// Bins of a decade.
pub const PER_DECADE: usize = 4;
/// Decades between the lowest and the highest edge, which is 100; losses from there on, infinity too, count in the last bin.
const DECADES: usize = 8;
/// Bins, with those below the lowest and above the highest edge.
pub const BINS: usize = DECADES * PER_DECADE + 2;

/// The edges between the bins, in nats.
pub fn edges() -> [f64; BINS - 1] {
    std::array::from_fn(|i| LOWEST * 10_f64.powf(i as f64 / PER_DECADE as f64))
}

/// How many losses fall into each bin, an edge belonging to the bin above it. NaN falls into none.
pub fn counts(losses: &[f64]) -> Vec<u64> {
    let edges = edges();
    let mut counts = vec![0; BINS];
    for loss in losses.iter().filter(|loss| !loss.is_nan()) {
        counts[edges.partition_point(|edge| edge <= loss)] += 1;
    }
    counts
}

/// What scripts see of histograms.
#[rhai::export_module]
pub mod script {
    use super::super::scores::to_host;
    use crate::runtime::Script;
    use crate::tensor::Tensor;
    use rhai::{Dynamic, Map};

    /// Histogram of cross-entropies `[n]` over fixed logarithmic bins, as a map: `edges`, 33 of them from 1e-6 to 100 nats, four
    /// bins a decade; `counts`, 34: below the first edge, between each two, from the last edge on; `missing`, how many losses are
    /// NaN and count nowhere.
    ///
    /// # Example
    /// ```rhai
    /// let h = loss_histogram(tensor([0.0, 0.5, 0.5, 1000.0]));
    /// assert(h.missing == 0 && h.edges.len == 33 && h.counts[0] == 1 && h.counts[33] == 1 && h.counts[23] == 2);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn loss_histogram(losses: Tensor) -> Script<Map> {
        let losses = to_host("loss_histogram", &losses)?;
        let (counts, missing) = (super::counts(&losses), losses.iter().filter(|loss| loss.is_nan()).count());
        let counts: Vec<Dynamic> = counts.into_iter().map(|n| Dynamic::from(n as i64)).collect();
        let edges: Vec<Dynamic> = super::edges().into_iter().map(Dynamic::from).collect();
        let missing = Dynamic::from(missing as i64);
        Ok([("edges".into(), edges.into()), ("counts".into(), counts.into()), ("missing".into(), missing)]
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_falls_into_the_bin_between_its_edges() {
        let edges = edges();
        assert!((edges[24] - 1.0).abs() < 1e-12 && (edges[BINS - 2] - 100.0).abs() < 1e-9);
        for (bin, loss) in [(0, 0.0), (0, 9.9e-7), (24, 0.99), (25, 1.01), (BINS - 1, 101.0), (BINS - 1, f64::INFINITY)]
        {
            let counts = counts(&[loss, f64::NAN]);
            assert_eq!((counts[bin], counts.iter().sum::<u64>()), (1, 1), "{loss}");
        }
    }
}
