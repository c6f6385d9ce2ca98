//! Shares of a number of samples.

/// `trunc(share * n)` in f64, as the reference computes it: 62,999 for 0.7 of 90,000.
pub fn truncated(share: f64, n: usize) -> usize {
    (share * n as f64) as usize
}
