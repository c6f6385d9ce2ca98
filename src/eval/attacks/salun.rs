//! SalUn's membership attacks: a support vector machine separates retained training samples from test samples by one feature
//! of the output, and the score is the share of forgotten samples it calls non-members (Fan et al., ICLR 2024; the code is
//! that of Jia et al., NeurIPS 2023).

use crate::eval::attacks::rbf_svm::Machine;
use crate::eval::scores::Scores;
use crate::runtime::{Error, Result};

/// What of the output the attack looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// The true class's probability: the figure in tables.
    Confidence,
    /// The entropy of the output.
    Entropy,
    /// The modified entropy, by its definition: the attack's published code gathers the wrong columns.
    ModifiedEntropy,
    /// Whether the prediction is right.
    Correctness,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Confidence, Self::Entropy, Self::ModifiedEntropy, Self::Correctness];

    /// The name of the attack, in metrics and for scripts.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Confidence => "mia_salun",
            Self::Entropy => "mia_salun_entropy",
            Self::ModifiedEntropy => "mia_salun_modified_entropy",
            Self::Correctness => "mia_salun_correctness",
        }
    }

    /// The feature of every sample.
    pub fn of(self, scores: &Scores) -> Vec<f64> {
        match self {
            Self::Confidence => scores.confidence.clone(),
            Self::Entropy => scores.entropy.clone(),
            Self::ModifiedEntropy => scores.modified_entropy.clone(),
            Self::Correctness => scores.correct().map(|right| f64::from(u8::from(right))).collect(),
        }
    }

    /// What the values must be, and whether one is.
    fn check(self, x: f64) -> (&'static str, bool) {
        match self {
            Self::Confidence => ("confidences between 0 and 1", (-1e-6..=1.0 + 1e-6).contains(&x)),
            Self::Entropy | Self::ModifiedEntropy => ("entropies of at least 0", x >= -1e-6),
            Self::Correctness => ("1 for right and 0 for wrong predictions", x == 0.0 || x == 1.0),
        }
    }
}

/// How the attack separates members from non-members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// The RBF machine of the published figures (C = 3, gamma = 1).
    Machine,
    /// The interval of values, or its complement, that classifies the most samples rightly.
    Interval,
}

/// The share of `targets` called non-member, after fitting on as many members as there are non-members.
///
/// # Errors
/// When a value cannot be the feature, e.g. a confidence outside [0, 1]. NaN, infinity or an empty set gives NaN. Sides that
/// nothing tells apart (a collapsed network's) give 0: the tie counts as a member, as in scikit-learn.
pub fn attack(
    feature: Feature,
    members: &[f64],
    nonmembers: &[f64],
    targets: &[f64],
    separator: Separator,
) -> Result<f64> {
    let n = members.len().min(nonmembers.len());
    let (members, nonmembers) = (&members[..n], &nonmembers[..n]);
    let mut all = members.iter().chain(nonmembers).chain(targets);
    if n == 0 || targets.is_empty() || all.clone().any(|x| !x.is_finite()) {
        return Ok(f64::NAN);
    }
    if let Some(x) = all.find(|x| !feature.check(**x).1) {
        return Err(Error::new(feature.metric(), format!("needs {}, got {x}", feature.check(*x).0)));
    }
    let inside = match separator {
        Separator::Machine => Machine::fit(members, nonmembers).share(targets),
        Separator::Interval => Interval::fit(members, nonmembers).share(targets),
    };
    Ok(1.0 - inside)
}

/// The values called members: those within the bounds, or those outside of them. Where no interval tells the sides apart
/// everything is: the machine's ties count as members, too.
struct Interval {
    low: f64,
    high: f64,
    inside: bool,
}

impl Interval {
    fn holds(&self, x: f64) -> bool {
        (self.low..=self.high).contains(&x) == self.inside
    }

    fn share(&self, values: &[f64]) -> f64 {
        values.iter().filter(|x| self.holds(**x)).count() as f64 / values.len() as f64
    }

    fn fit(members: &[f64], nonmembers: &[f64]) -> Self {
        let mut points: Vec<(f64, f64)> = members.iter().map(|x| (*x, 1.0)).collect();
        points.extend(nonmembers.iter().map(|x| (*x, -1.0)));
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // Equal values cannot be told apart, so they count together.
        let cells: Vec<(f64, f64)> =
            points.chunk_by(|a, b| a.0 == b.0).map(|c| (c[0].0, c.iter().map(|(_, s)| s).sum())).collect();
        let (gain, low, high) = best_run(&cells, 1.0);
        let (loss, from, to) = best_run(&cells, -1.0);
        if gain <= 0.0 && loss <= 0.0 {
            return Self { low: f64::NEG_INFINITY, high: f64::INFINITY, inside: true };
        }
        // Both sides are of one size, so the gain of a complement is the loss of its interval.
        if gain >= loss { Self { low, high, inside: true } } else { Self { low: from, high: to, inside: false } }
    }
}

/// The consecutive cells with the largest sum (Kadane), and their bounds; an empty interval when no sum is positive.
fn best_run(cells: &[(f64, f64)], sign: f64) -> (f64, f64, f64) {
    let mut best = (0.0, f64::INFINITY, f64::NEG_INFINITY);
    let (mut sum, mut start) = (0.0, f64::NAN);
    for (x, weight) in cells {
        if sum <= 0.0 {
            (sum, start) = (0.0, *x);
        }
        sum += sign * weight;
        if sum > best.0 {
            best = (sum, start, *x);
        }
    }
    best
}

/// What scripts see of SalUn's attacks.
#[rhai::export_module]
pub mod script {
    use super::{Feature, Separator};
    use crate::eval::scores::to_host;
    use crate::runtime::{Options, Script};
    use crate::tensor::Tensor;
    use rhai::Map;

    fn attack(feature: Feature, sets: [Tensor; 3], options: Map) -> Script<f64> {
        let name = feature.metric();
        let mut o = Options::new(name, options);
        let separator = match o.choice("separator", "machine", &["machine", "interval"])?.as_str() {
            "interval" => Separator::Interval,
            _ => Separator::Machine,
        };
        o.finish()?;
        let [members, nonmembers, targets] = sets.map(|tensor| to_host(name, &tensor));
        Ok(super::attack(feature, &members?, &nonmembers?, &targets?, separator)?)
    }

    /// SalUn's confidence attack: a separator is fitted on the true class's probabilities of members (retained training
    /// samples, as many as there are non-members) and non-members (test samples); the result is the share of `targets`
    /// (forgotten samples) that it calls non-members. Higher is better forgetting; the ideal is the retrained network's value.
    /// This is "MIA" in the tables of that line of work (Jia et al., NeurIPS 2023; Fan et al., ICLR 2024). Where nothing tells
    /// the sides apart, as with constant outputs, everything counts as a member and the result is 0; NaN for empty sets and
    /// values that are not finite.
    ///
    /// # Signature
    /// mia_salun(members: Tensor[n], nonmembers: Tensor[m], targets: Tensor[k], #{ separator: string = "machine" }) -> float
    ///
    /// # Options
    /// - `separator` (string, "machine"): "machine", the support vector machine of the published figures (RBF kernel, C = 3,
    ///   gamma = 1), or "interval", the range of values that classifies the most samples rightly
    ///
    /// # Example
    /// ```rhai
    /// let share = mia_salun(tensor([0.9, 0.95, 0.99]), tensor([0.2, 0.3, 0.4]), tensor([0.1, 0.97]));
    /// assert(share == 0.5);
    /// ```
    #[rhai_fn(return_raw, name = "mia_salun")]
    pub fn mia_salun_as(members: Tensor, nonmembers: Tensor, targets: Tensor, options: Map) -> Script<f64> {
        attack(Feature::Confidence, [members, nonmembers, targets], options)
    }

    #[rhai_fn(return_raw, name = "mia_salun")]
    pub fn mia_salun(members: Tensor, nonmembers: Tensor, targets: Tensor) -> Script<f64> {
        attack(Feature::Confidence, [members, nonmembers, targets], Map::new())
    }

    /// SalUn's attack on the `entropy` of the outputs: the share of `targets` called non-members, as `mia_salun` is of
    /// confidences. Higher is better forgetting; the ideal is the retrained network's value.
    ///
    /// # Signature
    /// mia_salun_entropy(members: Tensor[n], nonmembers: Tensor[m], targets: Tensor[k], #{ separator: string = "machine" }) -> float
    ///
    /// # Options
    /// - `separator` (string, "machine"): "machine" or "interval", as for `mia_salun`
    ///
    /// # Example
    /// ```rhai
    /// let share = mia_salun_entropy(tensor([0.1, 0.0, 0.2]), tensor([1.2, 2.0, 1.5]), tensor([1.4, 0.1, 1.7, 2.2]));
    /// assert(share == 0.75);
    /// ```
    #[rhai_fn(return_raw, name = "mia_salun_entropy")]
    pub fn mia_salun_entropy_as(members: Tensor, nonmembers: Tensor, targets: Tensor, options: Map) -> Script<f64> {
        attack(Feature::Entropy, [members, nonmembers, targets], options)
    }

    #[rhai_fn(return_raw, name = "mia_salun_entropy")]
    pub fn mia_salun_entropy(members: Tensor, nonmembers: Tensor, targets: Tensor) -> Script<f64> {
        attack(Feature::Entropy, [members, nonmembers, targets], Map::new())
    }

    /// SalUn's attack on the `modified_entropy` of the outputs: the share of `targets` called non-members, as `mia_salun` is
    /// of confidences. Higher is better forgetting; the ideal is the retrained network's value. Figures printed by SalUn's code
    /// differ: it takes the label columns of all samples at once, and ln p where ln(1 - p) belongs.
    ///
    /// # Signature
    /// mia_salun_modified_entropy(members: Tensor[n], nonmembers: Tensor[m], targets: Tensor[k], #{ separator: string = "machine" }) -> float
    ///
    /// # Options
    /// - `separator` (string, "machine"): "machine" or "interval", as for `mia_salun`
    ///
    /// # Example
    /// ```rhai
    /// let share = mia_salun_modified_entropy(tensor([0.1, 0.0, 0.2]), tensor([3.0, 9.0, 5.0]), tensor([4.0, 0.1]));
    /// assert(share == 0.5);
    /// ```
    #[rhai_fn(return_raw, name = "mia_salun_modified_entropy")]
    pub fn mia_salun_modified_entropy_as(
        members: Tensor,
        nonmembers: Tensor,
        targets: Tensor,
        options: Map,
    ) -> Script<f64> {
        attack(Feature::ModifiedEntropy, [members, nonmembers, targets], options)
    }

    #[rhai_fn(return_raw, name = "mia_salun_modified_entropy")]
    pub fn mia_salun_modified_entropy(members: Tensor, nonmembers: Tensor, targets: Tensor) -> Script<f64> {
        attack(Feature::ModifiedEntropy, [members, nonmembers, targets], Map::new())
    }

    /// SalUn's attack on correctness, 1 for a right prediction and 0 for a wrong one: the share of `targets` called
    /// non-members, as `mia_salun` is of confidences. Where members are right more often this is simply the share of targets
    /// that are wrong, 1 - accuracy.
    ///
    /// # Signature
    /// mia_salun_correctness(members: Tensor[n], nonmembers: Tensor[m], targets: Tensor[k], #{ separator: string = "machine" }) -> float
    ///
    /// # Options
    /// - `separator` (string, "machine"): "machine" or "interval", as for `mia_salun`
    ///
    /// # Example
    /// ```rhai
    /// assert(mia_salun_correctness(tensor([1, 1, 1]), tensor([1, 0, 0]), tensor([1, 1, 0, 1])) == 0.25);
    /// ```
    #[rhai_fn(return_raw, name = "mia_salun_correctness")]
    pub fn mia_salun_correctness_as(members: Tensor, nonmembers: Tensor, targets: Tensor, options: Map) -> Script<f64> {
        attack(Feature::Correctness, [members, nonmembers, targets], options)
    }

    #[rhai_fn(return_raw, name = "mia_salun_correctness")]
    pub fn mia_salun_correctness(members: Tensor, nonmembers: Tensor, targets: Tensor) -> Script<f64> {
        attack(Feature::Correctness, [members, nonmembers, targets], Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Confidences whose logits follow a logistic distribution, by a golden-ratio sequence.
    fn series(n: usize, mean: f64, spread: f64, start: f64) -> Vec<f64> {
        let quantile = |i: usize| ((i as f64 * 0.618_033_988_749_894_9 + start * 0.37) % 1.0) * 0.998 + 0.001;
        (0..n).map(|i| 1.0 / (1.0 + (-(mean + spread * (quantile(i) / (1.0 - quantile(i))).ln())).exp())).collect()
    }

    /// Non-members among 300 targets, as scikit-learn 1.x gives them: `SVC(C=3, gamma="auto", kernel="rbf", tol=1e-5)` on
    /// 600 members and 600 non-members.
    const LIBSVM: [([f64; 6], i64); 6] = [
        ([7.0, 1.2, 6.0, 1.5, 7.0, 1.2], 6),
        ([7.0, 1.2, 5.0, 1.7, 5.0, 1.7], 63),
        ([6.0, 1.7, 4.0, 2.2, 4.5, 2.2], 74),
        ([8.0, 1.7, 3.0, 2.9, 3.0, 2.9], 138),
        ([6.0, 1.7, 4.0, 2.2, -1.0, 1.2], 279),
        ([2.0, 1.0, 0.0, 1.0, 0.5, 1.0], 182),
    ];

    fn confidence(members: &[f64], nonmembers: &[f64], targets: &[f64], separator: Separator) -> f64 {
        attack(Feature::Confidence, members, nonmembers, targets, separator).unwrap()
    }

    #[test]
    fn the_confidence_attack_is_the_published_one() {
        for ([m, ms, n, ns, t, ts], outside) in LIBSVM {
            let (members, nonmembers, targets) =
                (series(600, m, ms, 1.0), series(600, n, ns, 2.0), series(300, t, ts, 3.0));
            let share = confidence(&members, &nonmembers, &targets, Separator::Machine);
            assert!((share * 300.0 - outside as f64).abs() < 1.5, "{} instead of {outside}", share * 300.0);
        }
    }

    #[test]
    fn a_band_of_members_is_found_by_both() {
        let members = series(300, 0.0, 0.3, 1.0);
        let nonmembers = [series(150, 4.0, 0.5, 2.0), series(150, -4.0, 0.5, 4.0)].concat();
        let targets = series(300, 0.0, 2.0, 3.0);
        let machine = confidence(&members, &nonmembers, &targets, Separator::Machine);
        assert!((machine * 300.0 - 181.0).abs() < 1.5, "{}", machine * 300.0);
        let interval = confidence(&members, &nonmembers, &targets, Separator::Interval);
        assert!(interval > 0.4 && interval < 0.9);
        let swapped = confidence(&nonmembers, &members, &targets, Separator::Interval);
        assert!((interval + swapped - 1.0).abs() < 0.35, "{interval} {swapped}");
    }

    #[test]
    fn empty_sets_and_infinities_give_nan_and_what_cannot_be_the_feature_is_refused() {
        let some = [0.5];
        for (a, b, c) in [(&[][..], &some[..], &some[..]), (&some, &[], &some), (&some, &some, &[f64::INFINITY])] {
            assert!(confidence(a, b, c, Separator::Machine).is_nan());
        }
        for (feature, bad) in [(Feature::Confidence, 3.0), (Feature::Entropy, -1.0), (Feature::Correctness, 0.5)] {
            let error = attack(feature, &[bad], &some, &some, Separator::Machine).unwrap_err().to_string();
            assert!(error.starts_with(feature.metric()) && error.contains("needs"), "{error}");
        }
    }

    #[test]
    fn a_collapsed_network_gets_the_worst_figure_and_not_full_marks() {
        // scikit-learn: 1 - SVC(C=3, gamma="auto").fit(..).predict(..).mean() is 0 for each of them.
        for (n, k, x) in [(10, 3, 1.0), (30, 12, 0.1), (9, 9, 0.5), (1, 1, 0.9), (500, 200, 0.0)] {
            for separator in [Separator::Machine, Separator::Interval] {
                let share = confidence(&vec![x; n], &vec![x; n], &vec![x; k], separator);
                assert_eq!(share, 0.0, "{n} times {x} with {separator:?}");
            }
        }
        for feature in Feature::ALL {
            assert_eq!(attack(feature, &[0.0; 40], &[0.0; 40], &[0.0; 9], Separator::Machine).unwrap(), 0.0);
        }
    }
}
