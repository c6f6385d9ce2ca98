//! Membership attacks on phi: the reference's, and the logistic one that every result reports.

use crate::eval::attacks::roc::{Estimate, auc, tpr_at_fpr};
use crate::eval::attacks::{logistic, stratified_folds as folds};
use crate::runtime::Stream;

/// Folds of every cross-validation here.
const FOLDS: usize = 5;
/// Below this AUC the reference tries once more with the sets exchanged.
const RETRY: f64 = 0.42;
/// Fewer samples a side than this make the reference's score too noisy to compare.
const FEW: usize = 300;

/// One cross-validated attack: pooled out-of-fold probabilities of "non-member" and their AUC.
#[derive(Debug, Clone)]
pub struct Pooled {
    /// The AUC of the pooled probabilities.
    pub auc: f64,
    /// The members' probabilities, then the non-members'.
    pub probability: Vec<f64>,
    /// The fold in which each was held out.
    pub fold: Vec<usize>,
}

/// The first m members and the first m non-members under five-fold logistic regression, folds as scikit-learn draws them
/// with `random_state=0`. NaN below five samples a side and for values that are not finite.
pub fn pooled(members: &[f64], nonmembers: &[f64]) -> Pooled {
    let samples = paired(members, nonmembers);
    let labels: Vec<i64> = samples.iter().map(|(_, one)| i64::from(*one)).collect();
    let fold = folds::stratified(&labels, FOLDS, 0);
    if samples.len() < 2 * FOLDS || samples.iter().any(|(x, _)| !x.is_finite()) {
        return Pooled { auc: f64::NAN, probability: vec![f64::NAN; samples.len()], fold };
    }
    let probability = logistic::out_of_fold(&samples, &fold, FOLDS);
    let (members, nonmembers) = probability.split_at(samples.len() / 2);
    Pooled { auc: auc(nonmembers, members).value, probability, fold }
}

/// The first m of both sides, label 1 for non-members.
fn paired(members: &[f64], nonmembers: &[f64]) -> Vec<(f64, bool)> {
    let m = members.len().min(nonmembers.len());
    let side = |values: &[f64], one: bool| values.iter().take(m).map(|x| (*x, one)).collect::<Vec<_>>();
    [side(members, false), side(nonmembers, true)].concat()
}

/// What the reference calls its MIA score.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The score as a fraction: near 0.5 is ideal.
    pub score: f64,
    /// The attack it started from.
    pub first: Pooled,
    /// The AUC with the sets exchanged, where the first was at most 0.42.
    pub swapped: Option<f64>,
    /// What to know about the figure.
    pub warning: Option<String>,
}

/// The reference's score. `exchanged` are the sets of a second try, as (members, non-members): the reference takes the whole
/// test set and the forgotten samples there.
pub fn reference(members: &[f64], nonmembers: &[f64], exchanged: (&[f64], &[f64])) -> Reference {
    let first = pooled(members, nonmembers);
    // Written so that NaN does not retry.
    let swapped = (first.auc <= RETRY).then(|| pooled(exchanged.0, exchanged.1).auc);
    let score = swapped.map_or(first.auc, |other| first.auc.max(other));
    let m = members.len().min(nonmembers.len());
    let warning = (m < FEW).then(|| {
        format!("mia_ref: {m} samples per group; with fewer than {FEW} the reference's score varies by several points even without any signal")
    });
    Reference { score, first, swapped, warning }
}

/// What the logistic attack found.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// Probability that a member scores above a non-member, with its standard error; 0.5 is no signal.
    pub auc: Estimate,
    /// Cross-validated accuracy of a logistic regression on equally many of both; NaN below five a side and for scores that are
    /// not finite.
    pub accuracy: f64,
    /// Members found when one non-member in a hundred is accused wrongly; NaN below 1,000 non-members.
    pub tpr_at_1: f64,
}

impl Attack {
    /// The AUC without its direction: over-unlearned samples betray themselves as much as remembered ones.
    pub fn two_sided(&self) -> f64 {
        if self.auc.value < 0.5 { 1.0 - self.auc.value } else { self.auc.value }
    }
}

/// Attacks scores that are higher for members, e.g. phi.
pub fn logistic(members: &[f64], nonmembers: &[f64], stream: &mut Stream) -> Attack {
    let m = members.len().min(nonmembers.len());
    let mut draw = |from: &[f64]| stream.sample(from.len(), m).into_iter().map(|i| from[i]).collect::<Vec<_>>();
    // The draw is in random order already, so folds by position are random and stratified.
    let samples = paired(&draw(members), &draw(nonmembers));
    let fold: Vec<usize> = (0..samples.len()).map(|i| i % m.max(1) % FOLDS).collect();
    let accuracy = if m < FOLDS || samples.iter().any(|(x, _)| !x.is_finite()) {
        f64::NAN
    } else {
        let probability = logistic::out_of_fold(&samples, &fold, FOLDS);
        logistic::accuracy(samples.iter().map(|(_, one)| *one).zip(probability))
    };
    Attack { auc: auc(members, nonmembers), accuracy, tpr_at_1: tpr_at_fpr(members, nonmembers, 0.01) }
}

/// What scripts see of the attacks.
#[rhai::export_module]
pub mod script {
    use crate::eval::scores::to_host;
    use crate::runtime::{Error, Options, Run, Script, Stream};
    use crate::tensor::Tensor;
    use rhai::{Map, NativeCallContext};

    /// The reference's membership attack on its phi (`phi_ref`) of members and non-members: the first m of each, five-fold
    /// logistic regression with scikit-learn's folds, the AUC of the pooled out-of-fold probabilities. Returns a map: `score`
    /// (a fraction; where `auc` is at most 0.42, the larger of it and `auc_swapped`), `auc`, `auc_swapped` (the sets
    /// exchanged; NaN when not needed), `probability` `[2m]` of being a non-member, `fold` `[2m]`. Ideal is 0.5; below 300
    /// samples a side it scatters widely, and says so. NaN below five samples a side and for values that are not finite.
    ///
    /// # Example
    /// ```rhai
    /// let attack = mia_ref(randn([400]) + 1.0, randn([300]));
    /// assert(attack.score > 0.65 && attack.fold.shape == [600]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mia_ref(context: NativeCallContext, members: Tensor, nonmembers: Tensor) -> Script<Map> {
        let (members, nonmembers) = (to_host("mia_ref", &members)?, to_host("mia_ref", &nonmembers)?);
        let found = super::reference(&members, &nonmembers, (&nonmembers, &members));
        if let Some(warning) = &found.warning {
            Run::of(&context).progress().say(&format!("warning: {warning}"));
        }
        let fold: Vec<i64> = found.first.fold.iter().map(|f| *f as i64).collect();
        let mut map = Map::new();
        map.insert("score".into(), found.score.into());
        map.insert("auc".into(), found.first.auc.into());
        map.insert("auc_swapped".into(), found.swapped.unwrap_or(f64::NAN).into());
        map.insert(
            "probability".into(),
            rhai::Dynamic::from(Tensor::from(tch::Tensor::from_slice(&found.first.probability))),
        );
        map.insert("fold".into(), rhai::Dynamic::from(Tensor::from(tch::Tensor::from_slice(&fold))));
        Ok(map)
    }

    /// Membership attack on scores that are higher for members, such as `phi`. Returns a map: `auc` and its standard error
    /// `auc_se`, `auc_two_sided` (the larger of it and 1 - auc), `accuracy` of a cross-validated logistic regression on
    /// equally many of both (NaN below five a side and for scores that are not finite), `tpr_at_1` (true-positive rate at 1 %
    /// false positives; NaN below 1,000 non-members).
    ///
    /// # Signature
    /// logistic_attack(members: Tensor[n], nonmembers: Tensor[m], #{ seed: int = 0 }) -> map
    ///
    /// # Options
    /// - `seed` (int, 0): of the draw that evens out the two sides and of the folds
    ///
    /// # Example
    /// ```rhai
    /// let attack = logistic_attack(randn([500]) + 1.0, randn([500]));
    /// assert(attack.auc > 0.7 && attack.auc_se < 0.03 && attack.accuracy > 0.6);
    /// ```
    #[rhai_fn(return_raw, name = "logistic_attack")]
    pub fn logistic_attack_as(members: Tensor, nonmembers: Tensor, options: Map) -> Script<Map> {
        let mut o = Options::new("logistic_attack", options);
        let seed = o.integer("seed", 0, 0)?;
        o.finish()?;
        let (members, nonmembers) = (to_host("logistic_attack", &members)?, to_host("logistic_attack", &nonmembers)?);
        let found = super::logistic(&members, &nonmembers, &mut Stream::new(seed as u64, "logistic_attack"));
        let mut map = Map::new();
        map.insert("auc".into(), found.auc.value.into());
        map.insert("auc_se".into(), found.auc.error.into());
        map.insert("auc_two_sided".into(), found.two_sided().into());
        map.insert("accuracy".into(), found.accuracy.into());
        map.insert("tpr_at_1".into(), found.tpr_at_1.into());
        Ok(map)
    }

    #[rhai_fn(return_raw, name = "logistic_attack")]
    pub fn logistic_attack(members: Tensor, nonmembers: Tensor) -> Script<Map> {
        logistic_attack_as(members, nonmembers, Map::new())
    }

    /// The test fold of every sample as scikit-learn's `StratifiedKFold(folds, shuffle=True, random_state=0)` assigns it:
    /// labels `[n]`, integers, to folds `[n]`, i64. As there, at least two folds, and no more than the largest class has samples.
    ///
    /// # Example
    /// ```rhai
    /// assert(stratified_folds(tensor([0, 0, 1, 1]), 2).sum().item() == 2);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn stratified_folds(labels: Tensor, folds: i64) -> Script<Tensor> {
        let operation = "stratified_folds";
        let values = to_host(operation, &labels)?;
        if let Some(x) = values.iter().find(|x| x.fract() != 0.0) {
            return Err(Error::new(operation, format!("labels must be whole numbers, got {x}")).into());
        }
        let labels: Vec<i64> = values.into_iter().map(|x| x as i64).collect();
        super::folds::check(operation, &labels, folds)?;
        let folds = super::folds::stratified(&labels, folds as usize, 0);
        let folds: Vec<i64> = folds.into_iter().map(|f| f as i64).collect();
        Ok(tch::Tensor::from_slice(&folds).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(n: usize, shift: f64, name: &str) -> Vec<f64> {
        Stream::new(1, name).normals(n).iter().map(|x| f64::from(*x) + shift).collect()
    }

    #[test]
    fn the_reference_sees_a_difference_in_either_direction() {
        let (low, high) = (normals(400, 0.0, "low"), normals(500, 1.0, "high"));
        for (a, b) in [(&low, &high), (&high, &low)] {
            let found = reference(a, b, (b, a));
            assert!((found.score - 0.76).abs() < 0.04, "{}", found.score);
            assert!(found.swapped.is_none() && found.warning.is_none());
        }
    }

    #[test]
    fn small_and_empty_sets_warn_and_give_nan_instead_of_failing() {
        let few = normals(50, 0.0, "few");
        assert!(reference(&few, &few, (&few, &few)).warning.is_some_and(|w| w.contains("50 samples")));
        for (a, b) in [(vec![], few.clone()), (few.clone(), vec![]), (few[..4].to_vec(), few.clone())] {
            assert!(reference(&a, &b, (&b, &a)).score.is_nan());
            assert!(logistic(&a, &b, &mut Stream::new(0, "x")).accuracy.is_nan());
        }
    }

    #[test]
    fn constant_scores_are_no_signal_and_infinite_ones_have_a_rank_but_no_regression() {
        // scikit-learn: cross_val_score 0.5, roc_auc_score 0.5 for constants; its regression refuses infinities.
        for x in [0.0, 1.0, 1e8] {
            let same = [x; 60];
            let (found, reference) =
                (logistic(&same, &same, &mut Stream::new(0, "c")), reference(&same, &same, (&same, &same)));
            assert_eq!((found.auc.value, found.auc.error, found.accuracy, found.two_sided()), (0.5, 0.0, 0.5, 0.5));
            assert_eq!(reference.score, 0.5);
        }
        for x in [f64::INFINITY, f64::NEG_INFINITY] {
            let mut some = normals(60, 0.0, "some");
            some[7] = x;
            let other = normals(60, 0.0, "other");
            let found = logistic(&some, &other, &mut Stream::new(0, "i"));
            // scipy.stats.mannwhitneyu ranks infinities as it ranks everything else.
            assert!(found.auc.value.is_finite() && found.accuracy.is_nan());
            assert!(reference(&some, &other, (&other, &some)).score.is_nan());
            assert!(pooled(&other, &some).probability.iter().all(|p| p.is_nan()));
        }
    }

    #[test]
    fn the_logistic_attack_reads_half_without_signal_and_finds_a_shift() {
        let mut stream = Stream::new(0, "attack");
        let null = logistic(&normals(1000, 0.0, "a"), &normals(1200, 0.0, "b"), &mut stream);
        assert!((null.auc.value - 0.5).abs() < 3.0 * null.auc.error && (null.accuracy - 0.5).abs() < 0.06);
        let shifted = logistic(&normals(1000, 1.0, "a"), &normals(1200, 0.0, "b"), &mut stream);
        assert!((shifted.auc.value - 0.76).abs() < 0.03 && (shifted.accuracy - 0.69).abs() < 0.04);
        assert!((shifted.tpr_at_1 - 0.09).abs() < 0.05);
        let over = logistic(&normals(1000, -1.0, "a"), &normals(1200, 0.0, "b"), &mut stream);
        assert!(over.auc.value < 0.3 && over.two_sided() > 0.7);
    }
}
