//! The metrics by name: what `lethe list metrics` tells, which way is better, and where each comes from.

/// Which value of a metric is the best one. NaN never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The highest.
    Higher,
    /// The lowest.
    Lower,
    /// The one nearest to the retrained network's.
    NearRetrained,
    /// The one nearest to one half, where an attack finds nothing.
    NearChance,
    /// None: the figure is a diagnostic.
    None,
}

impl Direction {
    /// As scripts and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::NearRetrained => "near_retrained",
            Self::NearChance => "near_chance",
            Self::None => "none",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Higher => "higher is better",
            Self::Lower => "lower is better",
            Self::NearRetrained => "ideal: the retrained network's value",
            Self::NearChance => "ideal: 0.5, chance",
            Self::None => "no direction",
        }
    }

    /// An arrow for headings; empty where the best is at neither end.
    pub fn arrow(self) -> &'static str {
        match self {
            Self::Higher => "↑",
            Self::Lower => "↓",
            Self::NearRetrained | Self::NearChance | Self::None => "",
        }
    }

    /// How good a value is: the larger the better. NaN where that cannot be told: of NaN, without a direction, and without the
    /// retrained network's value where that is the ideal.
    pub fn worth(self, value: f64, retrained: f64) -> f64 {
        match self {
            Self::Higher => value,
            Self::Lower => -value,
            Self::NearRetrained => -(value - retrained).abs(),
            Self::NearChance => -(value - 0.5).abs(),
            Self::None => f64::NAN,
        }
    }
}

/// A metric.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Listing {
    /// Its name in rows and maps, or the function that gives it.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
    /// Which value is the best one.
    pub direction: Direction,
    /// The same in words, with the marks to read a value by.
    pub reading: String,
    /// What it needs: 0 the network alone, 1 the retrained network as well, 2 training of copies.
    pub tier: u8,
    /// What computes it: "evaluate", "compare", "gaps", or "function" for what a script calls and records itself.
    pub from: &'static str,
    /// The publication it is from.
    pub source: &'static str,
}

/// A direction, and the marks to read a value by.
type Way = (Direction, &'static str);

const IDEAL: Way = (Direction::NearRetrained, "");
const CHANCE: Way = (Direction::NearRetrained, "0.5 is chance, and there is a leak on either side");
const FLOOR: Way = (Direction::Lower, "0 is best; floor: two retrained networks");
const CEILING: Way = (Direction::Higher, "1 is best; ceiling: two retrained networks");
const HIGHER: Way = (Direction::Higher, "");
const LOWER: Way = (Direction::Lower, "");
const RATE: Way = (Direction::Lower, "0.01 is chance");
const NONE: Way = (Direction::None, "");

const SALUN: &str = "Jia et al., NeurIPS 2023; Fan et al., ICLR 2024 (SalUn)";
const BAD_TEACHER: &str = "Chundawat et al., AAAI 2023 (Bad Teacher)";
const SFRON: &str = "Huang et al., NeurIPS 2024 (SFRon)";
const SUPREME: &str = "SUPREME";
const RUM: &str = "Zhao et al., NeurIPS 2024 (RUM)";
const RMIA: &str = "Zarifzadeh et al., ICML 2024 (RMIA)";
const COMPARATOR: &str = "Unlearning Comparator";
const CARLINI: &str = "Carlini et al., S&P 2022";

/// Name, summary, which way is better, source.
type Entry = (&'static str, &'static str, Way, &'static str);

/// Of one network.
const EVALUATED: [Entry; 23] = [
    ("retain_accuracy", "share of the retained samples that the network classifies rightly (RA)", IDEAL, ""),
    ("forget_accuracy", "share of the forgotten samples that the network classifies rightly (1 - UA)", IDEAL, ""),
    ("test_accuracy", "share of the test samples of the remaining classes classified rightly (TA)", HIGHER, ""),
    ("unseen_accuracy", "the same on the unseen part, where it is given", HIGHER, ""),
    (
        "forgotten_test_accuracy",
        "the same on the test samples of removed classes, for requests that remove whole classes",
        IDEAL,
        "",
    ),
    ("retain_loss", "mean cross-entropy on the retained samples", IDEAL, ""),
    ("forget_loss", "mean cross-entropy on the forgotten samples", IDEAL, ""),
    ("test_loss", "mean cross-entropy on the test samples of the remaining classes", LOWER, ""),
    ("mia_auc", "AUC of phi, forgotten against test samples of the same classes", CHANCE, CARLINI),
    ("mia_auc_se", "standard error of mia_auc", NONE, "DeLong et al., Biometrics 1988"),
    (
        "mia_auc_two_sided",
        "the larger of mia_auc and its complement: over-unlearning shows, too",
        (Direction::Lower, "0.5 is chance"),
        CARLINI,
    ),
    ("mia_accuracy", "cross-validated accuracy of a logistic regression on phi", CHANCE, CARLINI),
    (
        "mia_tpr_at_1",
        "share of forgotten samples the attack finds at one per cent false alarms; from 1,000 test samples on",
        RATE,
        CARLINI,
    ),
    (
        "unseen_mia_auc",
        "the attack behind mia_auc against unseen in place of test samples: to choose options and weights by",
        CHANCE,
        CARLINI,
    ),
    ("mia_ref", "score of the reference's membership attack", (Direction::NearChance, ""), "arXiv 2507.09786"),
    (
        "mia_competition",
        "accuracy of a logistic regression on the loss, the competition's starting kit",
        CHANCE,
        "NeurIPS 2023 machine unlearning competition",
    ),
    (
        "mia_salun",
        "SalUn's confidence attack: share of the forgotten samples taken for samples not trained on",
        IDEAL,
        SALUN,
    ),
    ("mia_salun_entropy", "the same attack on the entropy of the output", IDEAL, SALUN),
    ("mia_salun_modified_entropy", "the same attack on the modified entropy", IDEAL, SALUN),
    ("mia_salun_correctness", "the same attack on whether the prediction is right", IDEAL, SALUN),
    (
        "mia_entropy",
        "balanced logistic regression on entropy: share of the forgotten samples taken for training samples",
        IDEAL,
        "Foster et al., AAAI 2024 (SSD); SUPREME",
    ),
    ("mia_entropy_svc", "the same with an unbalanced machine, to compare with published figures", IDEAL, BAD_TEACHER),
    (
        "nomus",
        "half test accuracy, half how near mia_competition is to chance",
        HIGHER,
        "Choi and Na, arXiv 2311.02240",
    ),
];

/// Of one network beside the retrained one.
const COMPARED: [Entry; 17] = [
    (
        "activation_distance",
        "mean Euclidean distance of the outputs on the forgotten samples",
        FLOOR,
        "Golatkar et al., CVPR 2021; Bad Teacher, SSD, SUPREME",
    ),
    ("kl", "mean KL(retrained || unlearned) on the forgotten samples, in nats", FLOOR, SFRON),
    ("js", "mean Jensen-Shannon divergence on the forgotten samples, in nats", FLOOR, SFRON),
    ("js_legacy", "the divergence as Bad Teacher's code has it, to compare with published figures", FLOOR, BAD_TEACHER),
    ("completeness", "share of the forgotten samples on which both predict the same class", CEILING, SUPREME),
    ("test_activation_distance", "activation_distance on the test samples of the remaining classes", FLOOR, SUPREME),
    ("test_kl", "kl on the test samples of the remaining classes", FLOOR, SFRON),
    ("test_js", "js on the test samples of the remaining classes", FLOOR, SFRON),
    ("test_js_legacy", "js_legacy on the test samples of the remaining classes", FLOOR, BAD_TEACHER),
    ("test_completeness", "completeness on the test samples of the remaining classes", CEILING, SUPREME),
    ("epsilon_entropy", "worst-threshold epsilon between the entropies on the forgotten samples", FLOOR, COMPARATOR),
    ("epsilon_margin", "worst-threshold epsilon between the phi on the forgotten samples", FLOOR, COMPARATOR),
    ("epsilon", "the larger of the two", FLOOR, COMPARATOR),
    ("forgetting_score", "2 to the power of -epsilon", CEILING, COMPARATOR),
    (
        "rmia_auc",
        "AUC of RMIA with the retrained network as reference, forgotten against test samples",
        (Direction::NearChance, "a leak on either side"),
        RMIA,
    ),
    ("rmia_auc_se", "standard error of rmia_auc", NONE, RMIA),
    (
        "rmia_tpr_at_1",
        "share of forgotten samples RMIA finds at one per cent false alarms; from 1,000 non-members on",
        RATE,
        RMIA,
    ),
];

/// Of the metrics of one network and the retrained one's.
const GAPS: [Entry; 4] = [
    (
        "average_gap",
        "mean difference of three accuracies and mia_salun to retraining, in percentage points",
        FLOOR,
        SALUN,
    ),
    ("accuracy_gap", "mean difference of the three accuracies to retraining, in percentage points", FLOOR, ""),
    ("tow", "Tug-of-War: product of one minus each accuracy's difference to retraining", CEILING, RUM),
    ("tow_mia", "Tug-of-War with mia_salun in place of the accuracy on the forgotten samples", CEILING, RUM),
];

/// What scripts call; the number is the tier.
const CALLED: [(Entry, u8); 7] = [
    (
        (
            "aus",
            "adaptive unlearning score, of the metrics of the network before and after",
            (Direction::Higher, "1 is best; read it beside the retrained network's value"),
            "Cotogni et al., arXiv 2312.02052 (DUCK)",
        ),
        0,
    ),
    (("zrf", "one minus the mean Jensen-Shannon divergence to an untrained network", IDEAL, BAD_TEACHER), 0),
    (("zrf_legacy", "zrf with js_legacy, to compare with published figures", IDEAL, BAD_TEACHER), 0),
    (
        (
            "interclass_confusion",
            "share of the test samples of two classes taken for the other, after training with swapped labels",
            (Direction::Lower, "ideal: the retrained network's value"),
            "Goel et al., arXiv 2201.06640",
        ),
        0,
    ),
    (
        (
            "layer_distance",
            "Euclidean distance of two networks' parameters, by layer and in all",
            (Direction::None, "a diagnostic; means something only from one initialisation"),
            "",
        ),
        1,
    ),
    (
        (
            "relearn",
            "optimiser steps until the forget set is learned again",
            (Direction::NearRetrained, "below it the network remembers"),
            "Golatkar et al., CVPR 2020",
        ),
        2,
    ),
    (
        (
            "ain",
            "anamnesis index: steps to relearn over the retrained network's",
            (Direction::NearRetrained, "which is 1; far below remembers, far above resists"),
            "Chundawat et al., arXiv 2201.05629",
        ),
        2,
    ),
];

fn listing((name, summary, (direction, marks), source): Entry, tier: u8, from: &'static str) -> Listing {
    let gap = if marks.is_empty() { "" } else { "; " };
    let reading = format!("{}{gap}{marks}", direction.words());
    Listing { name, summary, direction, reading, tier, from, source }
}

/// Every metric there is.
pub fn list() -> Vec<Listing> {
    let evaluated = EVALUATED.into_iter().map(|entry| listing(entry, 0, "evaluate"));
    let compared = COMPARED.into_iter().map(|entry| listing(entry, 1, "compare"));
    let gaps = GAPS.into_iter().map(|entry| listing(entry, 1, "gaps"));
    let called = CALLED.into_iter().map(|(entry, tier)| listing(entry, tier, "function"));
    evaluated.chain(compared).chain(gaps).chain(called).collect()
}

/// The direction of a metric; `None` for a name that is no metric.
pub fn direction(name: &str) -> Option<Direction> {
    let called = CALLED.iter().map(|(entry, _)| entry);
    let mut all = EVALUATED.iter().chain(&COMPARED).chain(&GAPS).chain(called);
    all.find(|(known, ..)| *known == name).map(|(_, _, (direction, _), _)| *direction)
}

/// What scripts see of the list.
#[rhai::export_module]
pub mod script {
    use crate::runtime::options::nearest;
    use crate::runtime::{Error, Script};

    /// Which value of a metric is the best one: `"higher"`, `"lower"`, `"near_retrained"` (nearest to the retrained network's),
    /// `"near_chance"` (nearest to 0.5) or `"none"` for diagnostics. Boards mark their best values by it; NaN is never the best.
    ///
    /// # Example
    /// ```rhai
    /// assert(metric_direction("test_accuracy") == "higher" && metric_direction("js") == "lower");
    /// assert(metric_direction("forget_accuracy") == "near_retrained" && metric_direction("mia_auc_se") == "none");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn metric_direction(name: &str) -> Script<String> {
        if let Some(direction) = super::direction(name) {
            return Ok(direction.name().into());
        }
        let error = Error::new("metric_direction", format!("there is no metric {name:?}")).word(name);
        let near = nearest(name, super::list().iter().map(|metric| metric.name)).map(String::from);
        let hint = near.map_or("`lethe list metrics` has them all".into(), |near| format!("did you mean {near:?}?"));
        Err(error.hint(hint).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::retrained::gaps::gaps;
    use crate::eval::{PartPredictions, Predictions, compare};
    use crate::host::Host;
    use crate::host::docs::catalog::Catalog;
    use crate::runtime::Stream;
    use crate::runtime::run::Settings;
    use std::collections::BTreeSet;

    /// Predictions on a request for a class, so that every metric there is has a value or NaN.
    fn parts() -> PartPredictions {
        let part = |labels: &[i64]| {
            let n = 60 * labels.len();
            let z = Stream::new(0, "listing").normals(3 * n);
            let y: Vec<i64> = (0..n).map(|i| labels[i % labels.len()]).collect();
            let z = tch::Tensor::from_slice(&z).reshape([n as i64, 3]);
            Predictions::of("t", &z, &tch::Tensor::from_slice(&y), 3).unwrap()
        };
        let all = part(&[0, 1, 2]);
        PartPredictions { forget: part(&[2]), retain: part(&[0, 1]), test: all.clone(), unseen: Some(all) }
    }

    fn listed(from: &str) -> BTreeSet<String> {
        list().into_iter().filter(|metric| metric.from == from).map(|metric| metric.name.to_string()).collect()
    }

    #[test]
    fn the_list_names_exactly_the_metrics_there_are() {
        let parts = parts();
        let names =
            |metrics: &crate::eval::Metrics| metrics.iter().map(|(name, _)| name.to_string()).collect::<BTreeSet<_>>();
        let metrics = parts.metrics(0).unwrap();
        assert_eq!(listed("evaluate"), names(&metrics));
        assert_eq!(listed("compare"), names(&compare(&parts, &parts, 0).unwrap()));
        let gaps = gaps(&metrics, &metrics).named();
        assert_eq!(listed("gaps"), gaps.into_iter().map(|(name, _)| name.to_string()).collect());
        let all: BTreeSet<&str> = list().iter().map(|metric| metric.name).collect();
        assert_eq!(all.len(), list().len(), "no name twice");
    }

    #[test]
    fn every_metric_but_the_diagnostics_has_a_best_value() {
        let without: Vec<&str> = list().iter().filter(|m| m.direction == Direction::None).map(|m| m.name).collect();
        assert_eq!(without, ["mia_auc_se", "rmia_auc_se", "layer_distance"]);
        for metric in list() {
            assert_eq!(direction(metric.name), Some(metric.direction));
            assert!(metric.reading.starts_with(metric.direction.words()), "{}", metric.reading);
            // The retrained network's value is 0.4; 0.45 lies between the two ideals.
            let worth = [0.1, 0.45, 0.9, f64::NAN].map(|x| metric.direction.worth(x, 0.4));
            let best = (0..4).filter(|i| worth[*i] > f64::NEG_INFINITY).max_by(|a, b| worth[*a].total_cmp(&worth[*b]));
            let wanted = match metric.direction {
                Direction::Higher => Some(2),
                Direction::Lower => Some(0),
                Direction::NearRetrained | Direction::NearChance => Some(1),
                Direction::None => None,
            };
            assert_eq!(best, wanted, "{}", metric.name);
            let alone = metric.direction.worth(0.5, f64::NAN).is_nan();
            assert_eq!(
                alone,
                matches!(metric.direction, Direction::NearRetrained | Direction::None),
                "{}",
                metric.name
            );
        }
        assert_eq!(direction("accuracy"), None);
    }

    #[test]
    fn files_and_scripts_have_one_name_for_a_direction() {
        use Direction::{Higher, Lower, NearChance, NearRetrained, None};
        for way in [Higher, Lower, NearRetrained, NearChance, None] {
            assert_eq!(serde_json::to_value(way).unwrap(), way.name());
        }
    }

    #[test]
    fn what_a_script_calls_is_a_function() {
        let host = Host::new(Settings::default());
        let catalog = Catalog::of(&host.engine);
        for name in listed("function") {
            assert!(catalog.entries().iter().any(|entry| entry.name == name), "{name}");
        }
    }
}
