//! The robust membership attack RMIA in its offline form (Zarifzadeh et al., ICML 2024): how often the confidence in a sample,
//! relative to what reference networks without it have, exceeds that in samples of the population.

use crate::eval::attacks::roc::{Estimate, auc, tpr_at_fpr};
use crate::runtime::{Error, Result};

/// The true class's probabilities that one network gives.
#[derive(Debug, Clone, Default)]
pub struct Confidences {
    /// To samples that may have been trained on: the forgotten ones.
    pub members: Vec<f64>,
    /// To samples nobody trained on.
    pub nonmembers: Vec<f64>,
    /// To other samples nobody trained on, which both are compared with.
    pub population: Vec<f64>,
}

/// Constants of the attack.
#[derive(Debug, Clone, Copy)]
pub struct RmiaOptions {
    /// A population sample counts when the ratio of ratios exceeds this.
    pub gamma: f64,
    /// How reference networks that trained on a sample are made up from those that did not.
    pub a: f64,
}

impl Default for RmiaOptions {
    /// The publication's values.
    fn default() -> Self {
        Self { gamma: 1.0, a: 0.3 }
    }
}

/// What the attack found.
#[derive(Debug, Clone)]
pub struct Rmia {
    /// The score of each member: the share of the population it exceeds.
    pub members: Vec<f64>,
    /// The same of each non-member.
    pub nonmembers: Vec<f64>,
    /// Probability that a member scores above a non-member, with its standard error; 0.5 is no signal.
    pub auc: Estimate,
    /// Members found when one non-member in a hundred is accused wrongly; NaN below 1,000 non-members.
    pub tpr_at_1: f64,
}

/// Attacks `target`, of which the references (at least one) are retrained without any of the samples.
///
/// # Errors
/// No references; sets of different sizes; values that are no probabilities. NaN among them gives NaN figures.
pub fn rmia(target: &Confidences, references: &[Confidences], o: RmiaOptions) -> Result<Rmia> {
    check(target, references)?;
    let ratios = |of: fn(&Confidences) -> &Vec<f64>| -> Vec<f64> {
        let weight = (1.0 + o.a) / 2.0 / references.len() as f64;
        let expected = |i: usize| weight * references.iter().map(|r| of(r)[i]).sum::<f64>() + (1.0 - o.a) / 2.0;
        of(target).iter().enumerate().map(|(i, p)| p / expected(i)).collect()
    };
    let mut population = ratios(|c| &c.population);
    // The ratio of two ratios exceeds gamma exactly for the population samples below ratio / gamma: sort once, search each.
    population.sort_unstable_by(f64::total_cmp);
    // Infinite where no reference gives the sample any probability (`a` of 1 alone): its ratio to another such is unknown.
    let unknown = population.is_empty() || population.iter().any(|z| !z.is_finite());
    let score = |x: &f64| match !x.is_finite() || unknown {
        true => f64::NAN,
        false => population.partition_point(|z| o.gamma * z < *x) as f64 / population.len() as f64,
    };
    let members: Vec<f64> = ratios(|c| &c.members).iter().map(score).collect();
    let nonmembers: Vec<f64> = ratios(|c| &c.nonmembers).iter().map(score).collect();
    let (area, tpr_at_1) = (auc(&members, &nonmembers), tpr_at_fpr(&members, &nonmembers, 0.01));
    Ok(Rmia { members, nonmembers, auc: area, tpr_at_1 })
}

fn check(target: &Confidences, references: &[Confidences]) -> Result<()> {
    let sizes = |c: &Confidences| [c.members.len(), c.nonmembers.len(), c.population.len()];
    if references.is_empty() {
        let error = Error::new("rmia", "needs at least one reference network");
        return Err(error.hint("a network retrained without the forgotten samples is one"));
    }
    if let Some(other) = references.iter().find(|r| sizes(r) != sizes(target)) {
        let message = format!(
            "members, non-members and population number {:?} for the target, {:?} for a reference",
            sizes(target),
            sizes(other)
        );
        return Err(Error::new("rmia", message).hint("all networks are asked about the same samples"));
    }
    let all =
        references.iter().chain([target]).flat_map(|c| c.members.iter().chain(&c.nonmembers).chain(&c.population));
    match all.into_iter().find(|p| !p.is_nan() && !(-1e-6..=1.0 + 1e-6).contains(*p)) {
        Some(p) => Err(Error::new("rmia", format!("needs confidences between 0 and 1, got {p}"))),
        None => Ok(()),
    }
}

/// What scripts see of RMIA.
#[rhai::export_module]
pub mod script {
    use super::{Confidences, RmiaOptions};
    use crate::eval::scores::to_host;
    use crate::runtime::{Error, Options, Script, options};
    use crate::tensor::Tensor;
    use rhai::{Array, Dynamic, Map};

    fn read(map: Map) -> Script<Confidences> {
        let mut o = Options::new("rmia", map);
        let mut set = |key: &str| match o.maybe::<Tensor>(key, "Tensor")? {
            Some(tensor) => to_host("rmia", &tensor),
            None => Err(Error::new("rmia", format!("needs the confidences in `{key}`")).word(key)),
        };
        let found =
            Confidences { members: set("members")?, nonmembers: set("nonmembers")?, population: set("population")? };
        o.finish()?;
        Ok(found)
    }

    /// RMIA, the robust membership attack, offline (Zarifzadeh et al., ICML 2024): a sample's ratio is the target network's
    /// confidence in its true class over `((1 + a) * mean of the references' + (1 - a)) / 2`, its score the share of the
    /// population with a ratio `gamma` times smaller. Members are the forgotten samples; non-members and population are
    /// samples nobody trained on, of the same classes and not the same ones; the references are networks retrained without the
    /// forgotten samples, one or several. The target and each reference is a map of confidences: `members` `[n]`,
    /// `nonmembers` `[m]`, `population` `[k]`.
    ///
    /// Returns a map: `auc` and its standard error `auc_se` (0.5 is ideal, on either side a leak), `tpr_at_1` (NaN below 1,000
    /// non-members), and the scores, `members` `[n]` and `nonmembers` `[m]`, f64.
    ///
    /// # Signature
    /// rmia(target: map, references: array of map, #{ gamma: float = 1.0, a: float = 0.3 }) -> map
    ///
    /// # Options
    /// - `gamma` (float, 1.0): by how much a ratio must exceed the population's, as published
    /// - `a` (float, 0.3): between 0 and 1; how far networks trained on a sample are more confident in it: 1 for not at all. The
    ///   publication tunes it on a pair of networks; 0.3 is its value for CIFAR-10
    ///
    /// # Example
    /// ```rhai
    /// let sets = |shift| #{
    ///     members: (randn([400]) + shift).sigmoid(), nonmembers: randn([300]).sigmoid(), population: randn([300]).sigmoid(),
    /// };
    /// let found = rmia(sets.call(2.0), [sets.call(0.0), sets.call(0.0)]);
    /// assert(found.auc > 0.8 && found.members.shape == [400] && found.tpr_at_1.is_nan());
    /// ```
    #[rhai_fn(return_raw, name = "rmia")]
    pub fn rmia_as(target: Map, references: Array, options: Map) -> Script<Map> {
        let mut o = Options::new("rmia", options);
        let usual = RmiaOptions::default();
        let chosen = RmiaOptions { gamma: o.positive("gamma", usual.gamma)?, a: o.between("a", usual.a, 0.0, 1.0)? };
        o.finish()?;
        let mut others = vec![];
        for reference in references {
            let given = options::describe(&reference);
            let map = reference.try_cast::<Map>();
            let map = map.ok_or_else(|| Error::new("rmia", format!("a reference must be a map, got {given}")))?;
            others.push(read(map)?);
        }
        let found = super::rmia(&read(target)?, &others, chosen)?;
        let tensor = |values: &[f64]| Dynamic::from(Tensor::from(tch::Tensor::from_slice(values)));
        let mut map = Map::new();
        map.insert("auc".into(), found.auc.value.into());
        map.insert("auc_se".into(), found.auc.error.into());
        map.insert("tpr_at_1".into(), found.tpr_at_1.into());
        map.insert("members".into(), tensor(&found.members));
        map.insert("nonmembers".into(), tensor(&found.nonmembers));
        Ok(map)
    }

    #[rhai_fn(return_raw, name = "rmia")]
    pub fn rmia(target: Map, references: Array) -> Script<Map> {
        rmia_as(target, references, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;

    fn confidences(name: &str, shift: f64, [n, m, k]: [usize; 3]) -> Confidences {
        let draw = |part: &str, count, shift: f64| {
            let normals = Stream::new(7, &format!("{name}/{part}")).normals(count);
            normals.iter().map(|x| 1.0 / (1.0 + (-f64::from(*x) - shift).exp())).collect::<Vec<_>>()
        };
        Confidences { members: draw("m", n, shift), nonmembers: draw("n", m, 0.0), population: draw("p", k, 0.0) }
    }

    #[test]
    fn the_scores_are_those_of_all_pairs() {
        let (target, references) = (
            confidences("target", 1.0, [30, 20, 50]),
            [confidences("first", 0.0, [30, 20, 50]), confidences("second", 0.0, [30, 20, 50])],
        );
        let o = RmiaOptions { gamma: 1.1, a: 0.3 };
        let ratio = |of: fn(&Confidences) -> &Vec<f64>, i: usize| {
            let mean = (of(&references[0])[i] + of(&references[1])[i]) / 2.0;
            of(&target)[i] / (((1.0 + o.a) * mean + (1.0 - o.a)) / 2.0)
        };
        let found = rmia(&target, &references, o).unwrap();
        for (i, score) in found.members.iter().enumerate() {
            let wins = (0..50).filter(|z| ratio(|c| &c.members, i) / ratio(|c| &c.population, *z) > o.gamma).count();
            assert_eq!(*score, wins as f64 / 50.0);
        }
    }

    #[test]
    fn it_reads_half_without_signal_finds_remembered_samples_and_over_unlearned_ones() {
        let sizes = [600, 1200, 500];
        let reference = [confidences("reference", 0.0, sizes)];
        let attack = |shift| rmia(&confidences("target", shift, sizes), &reference, RmiaOptions::default()).unwrap();
        let null = attack(0.0);
        assert!((null.auc.value - 0.5).abs() < 3.0 * null.auc.error, "{:?}", null.auc);
        let remembered = attack(2.0);
        assert!(remembered.auc.value > 0.8 && remembered.tpr_at_1 > 0.03, "{:?}", remembered.auc);
        assert!(attack(-2.0).auc.value < 0.25);
    }

    #[test]
    fn a_collapsed_target_or_reference_shows_no_signal_and_what_cannot_be_divided_is_nan() {
        let constant = |x: f64| Confidences { members: vec![x; 4], nonmembers: vec![x; 3], population: vec![x; 5] };
        let attack = |target: f64, reference: f64, a: f64| {
            rmia(&constant(target), &[constant(reference)], RmiaOptions { gamma: 1.0, a }).unwrap().auc.value
        };
        assert_eq!([attack(0.1, 0.9, 0.3), attack(0.9, 0.1, 0.3), attack(0.0, 0.0, 0.3)], [0.5; 3]);
        // 0 / 0 and x / 0.
        assert!(attack(0.0, 0.0, 1.0).is_nan() && attack(0.5, 0.0, 1.0).is_nan());
        assert!(attack(f64::NAN, 0.5, 0.3).is_nan() && attack(0.5, f64::NAN, 0.3).is_nan());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_gives_nan() {
        let some = confidences("a", 0.0, [5, 5, 5]);
        let attack =
            |target: &Confidences, references: &[Confidences]| rmia(target, references, RmiaOptions::default());
        let message = |result: Result<Rmia>| result.unwrap_err().to_string();
        assert!(message(attack(&some, &[])).contains("at least one reference"));
        assert!(
            message(attack(&some, &[confidences("b", 0.0, [5, 5, 4])])).contains("[5, 5, 5] for the target, [5, 5, 4]")
        );
        let logits = Confidences { members: vec![3.0; 5], ..some.clone() };
        assert!(message(attack(&logits, std::slice::from_ref(&some))).contains("between 0 and 1, got 3"));
        let none = Confidences::default();
        assert!(attack(&none, std::slice::from_ref(&none)).unwrap().auc.value.is_nan());
        let unclear = Confidences { population: vec![f64::NAN; 5], ..some.clone() };
        assert!(attack(&unclear, &[some]).unwrap().auc.value.is_nan());
    }
}
