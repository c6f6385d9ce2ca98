//! scikit-learn's stratified, shuffled folds, with NumPy's generator behind them.

use crate::runtime::{Error, Result};

/// The 32-bit Mersenne twister, seeded as NumPy's `RandomState(seed)`.
struct Twister {
    state: [u32; 624],
    next: usize,
}

impl Twister {
    fn new(seed: u32) -> Self {
        let mut state = [seed; 624];
        let mut last = seed;
        for (index, word) in state.iter_mut().enumerate().skip(1) {
            last = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(index as u32);
            *word = last;
        }
        Self { state, next: 624 }
    }

    fn refill(&mut self) {
        for k in 0..624 {
            let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % 624] & 0x7FFF_FFFF);
            let twist = if y & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[k] = self.state[(k + 397) % 624] ^ (y >> 1) ^ twist;
        }
        self.next = 0;
    }

    fn bits(&mut self) -> u32 {
        if self.next >= 624 {
            self.refill();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    /// Uniform in 0..=most, by masking and rejecting.
    fn up_to(&mut self, most: usize) -> usize {
        let mask = (most as u32 + 1).checked_next_power_of_two().map_or(u32::MAX, |p| p - 1);
        loop {
            let value = (self.bits() & mask) as usize;
            if value <= most {
                return value;
            }
        }
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.up_to(i);
            items.swap(i, j);
        }
    }
}

/// Refuses what scikit-learn refuses: fewer than two folds, and more than the largest class has samples.
///
/// # Errors
/// Those.
pub fn check(operation: &str, labels: &[i64], folds: i64) -> Result<()> {
    if folds < 2 {
        return Err(Error::new(operation, format!("needs at least 2 folds, got {folds}")));
    }
    let mut sizes = std::collections::HashMap::new();
    labels.iter().for_each(|label| *sizes.entry(label).or_insert(0_i64) += 1);
    let largest = sizes.into_values().max().unwrap_or(0);
    if folds > largest {
        let message = format!("cannot make {folds} folds: no class has more than {largest} samples");
        return Err(Error::new(operation, message));
    }
    Ok(())
}

/// The test fold of every sample, as `StratifiedKFold(folds, shuffle=True, random_state=seed)` assigns them.
pub fn stratified(labels: &[i64], folds: usize, seed: u32) -> Vec<usize> {
    let folds = folds.max(1);
    let mut classes: Vec<i64> = vec![];
    let mut members: Vec<Vec<usize>> = vec![];
    let mut number = std::collections::HashMap::new();
    for (sample, label) in labels.iter().enumerate() {
        let class = *number.entry(*label).or_insert_with(|| {
            classes.push(*label);
            members.push(vec![]);
            classes.len() - 1
        });
        members[class].push(sample);
    }
    let mut generator = Twister::new(seed);
    let mut fold = vec![0; labels.len()];
    let mut first = 0;
    for samples in &members {
        // Of the sorted class numbers, this class holds positions first..first + len; fold f takes every folds-th from f.
        let share = |f: usize| (first..first + samples.len()).filter(|position| position % folds == f).count();
        let mut assigned: Vec<usize> = (0..folds).flat_map(|f| vec![f; share(f)]).collect();
        generator.shuffle(&mut assigned);
        samples.iter().zip(assigned).for_each(|(sample, f)| fold[*sample] = f);
        first += samples.len();
    }
    fold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_numpys() {
        // numpy.random.RandomState(0).randint(0, 2**32, 3, dtype=uint32) and RandomState(0).permutation(10)
        let mut twister = Twister::new(0);
        assert_eq!([twister.bits(), twister.bits(), twister.bits()], [2_357_136_044, 2_546_248_239, 3_071_714_933]);
        let mut items: Vec<usize> = (0..10).collect();
        Twister::new(0).shuffle(&mut items);
        assert_eq!(items, [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]);
    }

    #[test]
    fn too_few_and_too_many_folds_are_refused_as_scikit_learn_refuses_them() {
        let message = |labels: &[i64], folds| check("t", labels, folds).map_err(|e| e.to_string());
        assert_eq!(message(&[0, 0, 0, 1], 3), Ok(()));
        assert_eq!(message(&[0, 0, 1, 1], 1).unwrap_err(), "t: needs at least 2 folds, got 1");
        assert_eq!(message(&[0, 0, 1, 1], 5).unwrap_err(), "t: cannot make 5 folds: no class has more than 2 samples");
        assert!(message(&[], 2).is_err());
    }

    #[test]
    fn folds_are_stratified() {
        let labels: Vec<i64> = (0..103).map(|i| i64::from(i % 3 == 0)).collect();
        let folds = stratified(&labels, 5, 0);
        for class in [0, 1] {
            let sizes: Vec<usize> =
                (0..5).map(|f| (0..103).filter(|i| labels[*i] == class && folds[*i] == f).count()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
        }
    }
}
