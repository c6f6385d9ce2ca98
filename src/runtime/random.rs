//! Our own counter-based random numbers: a stream is a key and a position, so draws depend neither on the device, nor on
//! the number of threads, nor on what other streams did.

use std::hash::Hasher;

/// A named stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    key: u64,
    counter: u64,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's finaliser: a bijection of 64 bits in which every input bit reaches every output bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A 64-bit key from a parent key and a name, stable across platforms and releases (FNV-1a, then mixed).
pub fn derive(parent: u64, name: &str) -> u64 {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
    }
    let mut hasher = Fnv(0xCBF2_9CE4_8422_2325);
    hasher.write(name.as_bytes());
    mix(parent.wrapping_mul(GOLDEN) ^ mix(hasher.finish()))
}

impl Stream {
    /// The stream of this name under a seed.
    pub fn new(seed: u64, name: &str) -> Self {
        Self { key: derive(seed, name), counter: 0 }
    }

    /// An independent stream derived from this one's key (not from its position).
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self::new(self.key, name)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        mix(self.key ^ mix(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..n without bias worth naming (n is far below 2^64); 0 when n is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Two independent standard normals (Box-Muller).
    pub fn normal_pair(&mut self) -> (f64, f64) {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.uniform();
        (radius * angle.cos(), radius * angle.sin())
    }

    /// `n` standard normals.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(n + 1);
        while values.len() < n {
            let (a, b) = self.normal_pair();
            values.push(a as f32);
            values.push(b as f32);
        }
        values.truncate(n);
        values
    }

    /// `n` values uniform in [low, high).
    pub fn uniforms(&mut self, n: usize, low: f64, high: f64) -> Vec<f32> {
        (0..n).map(|_| (low + (high - low) * self.uniform()) as f32).collect()
    }

    /// A uniformly random order of 0..n.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        self.sample(n, n)
    }

    /// `k` distinct values of 0..n in random order (partial Fisher-Yates; all of them when k exceeds n).
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let k = k.min(n);
        if k * 8 < n {
            return self.sample_sparse(n, k);
        }
        let mut items: Vec<usize> = (0..n).collect();
        for i in 0..k {
            let j = i + self.below(n - i);
            items.swap(i, j);
        }
        items.truncate(k);
        items
    }

    /// The same swaps as `sample`, with only the touched places stored: O(k) instead of O(n).
    fn sample_sparse(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut moved = std::collections::HashMap::with_capacity(2 * k);
        (0..k)
            .map(|i| {
                let j = i + self.below(n - i);
                let chosen = moved.get(&j).copied().unwrap_or(j);
                let displaced = moved.get(&i).copied().unwrap_or(i);
                moved.insert(j, displaced);
                chosen
            })
            .collect()
    }

    /// Draws an index with probability proportional to its weight; `None` when the weights do not sum to a positive number.
    pub fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let total: f64 = weights.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return None;
        }
        let mut left = self.uniform() * total;
        let mut last = None;
        for (index, weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            last = Some(index);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_and_dense_samples_are_the_same_draw() {
        let dense: Vec<_> = {
            let mut stream = Stream::new(3, "s");
            let mut items: Vec<usize> = (0..1000).collect();
            (0..10)
                .map(|i| {
                    let j = i + stream.below(1000 - i);
                    items.swap(i, j);
                    items[i]
                })
                .collect()
        };
        assert_eq!(Stream::new(3, "s").sample(1000, 10), dense);
    }

    #[test]
    fn permutations_hold_every_item_once_and_names_separate_streams() {
        let mut order = Stream::new(1, "a").permutation(100);
        assert_ne!(order, Stream::new(1, "b").permutation(100));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let values = Stream::new(0, "normal").normals(100_000);
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e5;
        let variance = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 1e5 - mean * mean;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "mean {mean}, variance {variance}");
    }
}
