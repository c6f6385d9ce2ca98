//! The membership attack of the NeurIPS 2023 machine unlearning competition's starting kit: logistic regression on the loss.

use crate::eval::attacks::logistic;
use crate::runtime::Stream;

/// Splits of which the mean is taken.
const SPLITS: usize = 10;
/// A tenth of each side is held out; below this many a side that is no whole sample.
const FEWEST: usize = 10;

/// Mean accuracy, over ten stratified shuffle splits with a tenth held out, of a logistic regression that tells the losses of
/// members from those of as many non-members. NaN below ten samples a side and for losses that are not finite.
pub fn attack(members: &[f64], nonmembers: &[f64], stream: &mut Stream) -> f64 {
    let m = members.len().min(nonmembers.len());
    if m < FEWEST || members.iter().chain(nonmembers).any(|x| !x.is_finite()) {
        return f64::NAN;
    }
    let mut side = |values: &[f64], one: bool| {
        stream.sample(values.len(), m).into_iter().map(|i| (values[i], one)).collect::<Vec<_>>()
    };
    let samples = [side(members, true), side(nonmembers, false)].concat();
    let whole = logistic::fit(&samples);
    let accuracies = (0..SPLITS).map(|_| {
        let mut held = vec![false; samples.len()];
        for start in [0, m] {
            stream.sample(m, m.div_ceil(10)).into_iter().for_each(|i| held[start + i] = true);
        }
        let part = |wanted: bool| samples.iter().zip(&held).filter(move |(_, held)| **held == wanted).map(|(s, _)| *s);
        let model = logistic::fit_near(&part(false).collect::<Vec<_>>(), whole);
        logistic::accuracy(part(true).map(|(x, one)| (one, model.probability(x))))
    });
    accuracies.sum::<f64>() / SPLITS as f64
}

/// What scripts see of the competition's attack.
#[rhai::export_module]
pub mod script {
    use crate::eval::scores::to_host;
    use crate::runtime::{Options, Script, Stream};
    use crate::tensor::Tensor;
    use rhai::Map;

    /// The attack of the NeurIPS 2023 unlearning competition's starting kit: mean accuracy, over ten stratified shuffle splits
    /// with a tenth held out, of a logistic regression on the scalar losses of members (forgotten samples) and as many
    /// non-members (unseen samples; of the same classes, or a forgotten class gives itself away). 0.5 is chance; the ideal is
    /// the retrained network's value. A straight line on heavy-tailed losses is a weak attack: `logistic_attack` on phi is the
    /// default one. NaN below ten samples a side.
    ///
    /// # Signature
    /// mia_competition(members: Tensor[n], nonmembers: Tensor[m], #{ seed: int = 0 }) -> float
    ///
    /// # Options
    /// - `seed` (int, 0): of the draw that evens out the two sides and of the splits
    ///
    /// # Example
    /// ```rhai
    /// let accuracy = mia_competition(randn([300]).abs(), randn([300]).abs() + 2.0);
    /// assert(accuracy > 0.85);
    /// ```
    #[rhai_fn(return_raw, name = "mia_competition")]
    pub fn mia_competition_as(members: Tensor, nonmembers: Tensor, options: Map) -> Script<f64> {
        let mut o = Options::new("mia_competition", options);
        let seed = o.integer("seed", 0, 0)?;
        o.finish()?;
        let (members, nonmembers) = (to_host("mia_competition", &members)?, to_host("mia_competition", &nonmembers)?);
        Ok(super::attack(&members, &nonmembers, &mut Stream::new(seed as u64, "mia_competition")))
    }

    #[rhai_fn(return_raw, name = "mia_competition")]
    pub fn mia_competition(members: Tensor, nonmembers: Tensor) -> Script<f64> {
        mia_competition_as(members, nonmembers, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(n: usize, scale: f64, name: &str) -> Vec<f64> {
        Stream::new(3, name).normals(n).iter().map(|x| scale * f64::from(*x).powi(2)).collect()
    }

    #[test]
    fn chance_without_signal_and_well_above_it_with() {
        let mut stream = Stream::new(0, "t");
        let null = attack(&losses(2000, 1.0, "a"), &losses(1500, 1.0, "b"), &mut stream);
        assert!((null - 0.5).abs() < 0.03, "{null}");
        let shifted: Vec<f64> = losses(1500, 1.0, "c").iter().map(|x| x + 3.0).collect();
        let found = attack(&losses(2000, 1.0, "a"), &shifted, &mut stream);
        assert!(found > 0.85 && found <= 1.0, "{found}");
    }

    #[test]
    fn the_accuracy_is_scikit_learns_up_to_the_splits() {
        // StratifiedShuffleSplit(10), LogisticRegression, cross_val_score of scikit-learn 1.9: 0.610 to 0.641 for twenty
        // seeds, mean 0.6266.
        let series = |start: f64, scale: f64| -> Vec<f64> {
            (0..1500).map(|i| -scale * (1.0 - (f64::from(i) * 0.618_033_988_749_894_9 + start) % 1.0).ln()).collect()
        };
        let accuracies: Vec<f64> =
            (0..5).map(|seed| attack(&series(0.1, 1.0), &series(0.4, 2.0), &mut Stream::new(seed, "t"))).collect();
        let mean = accuracies.iter().sum::<f64>() / 5.0;
        assert!((mean - 0.6266).abs() < 0.012, "{accuracies:?}");
    }

    #[test]
    fn constant_losses_are_chance() {
        // cross_val_score of scikit-learn 1.9 with StratifiedShuffleSplit(10, test_size=0.1): 0.5.
        for x in [0.0, 0.3, 1.0, 1e4, 1e8, 1e30] {
            assert_eq!(attack(&[x; 30], &[x; 30], &mut Stream::new(0, "t")), 0.5, "{x}");
        }
    }

    #[test]
    fn few_samples_and_infinite_losses_give_nan() {
        let some = losses(20, 1.0, "a");
        assert!(attack(&some[..9], &some, &mut Stream::new(0, "t")).is_nan());
        assert!(attack(&[&some[..], &[f64::INFINITY]].concat(), &some, &mut Stream::new(0, "t")).is_nan());
    }
}
