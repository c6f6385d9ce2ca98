//! The metrics by name: what `lethe list metrics` tells, and what stands in a row's `metrics`.

/// A metric of an evaluated network.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Listing {
    /// The name in rows and in the map of `evaluate`.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
}

/// Names with what they mean; the first ones are of `evaluate`, the last three of `gaps`.
const METRICS: [(&str, &str); 19] = [
    ("retain_accuracy", "share of the retained samples that the network classifies rightly"),
    (
        "forget_accuracy",
        "share of the forgotten samples that the network classifies rightly; retraining sets the target",
    ),
    ("test_accuracy", "share of the test samples of the remaining classes that the network classifies rightly"),
    ("unseen_accuracy", "the same on the unseen part, where it is given"),
    (
        "forgotten_test_accuracy",
        "the same on the test samples of removed classes, for requests that remove whole classes",
    ),
    ("retain_loss", "mean cross-entropy on the retained samples"),
    ("forget_loss", "mean cross-entropy on the forgotten samples"),
    ("test_loss", "mean cross-entropy on the test samples of the remaining classes"),
    ("mia_auc", "AUC of the logistic-regression attack telling forgotten from test samples by phi; 0.5 is chance"),
    ("mia_auc_se", "standard error of mia_auc"),
    ("mia_auc_two_sided", "the larger of mia_auc and its complement: over-unlearning shows, too"),
    ("mia_accuracy", "accuracy of the logistic-regression attack"),
    (
        "mia_tpr_at_1",
        "share of forgotten samples the attack finds at one per cent false alarms; from 1,000 test samples on",
    ),
    ("unseen_mia_auc", "the attack against unseen samples in place of test samples: to choose options and weights by"),
    ("mia_ref", "score of the membership attack of arXiv 2507.09786"),
    ("mia_salun", "SalUn's confidence attack: share of the forgotten samples taken for samples not trained on"),
    ("average_gap", "gap to retraining: mean difference of three accuracies and mia_salun, in percentage points"),
    ("accuracy_gap", "gap to retraining: mean difference of the three accuracies, in percentage points"),
    ("tow", "Tug-of-War: product of one minus each accuracy's difference to retraining; 1 is best"),
];

/// Every metric there is.
pub fn list() -> Vec<Listing> {
    METRICS.iter().map(|(name, summary)| Listing { name, summary }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sources;
    use crate::eval::{Parts, evaluate};
    use crate::experiment::models;
    use crate::runtime::{Run, Stream, run::Settings};

    #[test]
    fn every_metric_of_an_evaluation_is_listed() {
        let run = Run::new(Settings::default());
        let data = sources::load("digits", rhai::Map::new(), &run).unwrap();
        let stream = &mut Stream::new(0, "listing");
        let shape = data.train.shape();
        let options = [("width".into(), 4_i64.into()), ("depth".into(), 1_i64.into())].into_iter().collect();
        let net = models::build("convnet", shape, 10, options, stream, tch::Device::Cpu).unwrap();
        let forget = data.train.of(&[3]);
        let retain = data.train.of(&[0, 1, 2, 4, 5, 6, 7, 8, 9]);
        let parts = Parts { forget: &forget, retain: &retain, test: &data.test, unseen: Some(&data.validation) };
        let metrics = evaluate(&net, &parts, 0).unwrap();
        let unknown: Vec<_> = metrics.iter().filter(|(name, _)| !METRICS.iter().any(|(n, _)| n == name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
