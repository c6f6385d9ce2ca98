//! What a table's columns are, in words: below the table on a screen, and in Markdown.

use crate::eval::metric_list;

/// Accuracies share a sentence: heading, and on which samples.
const ACCURACIES: [(&str, &str); 3] = [("RA", "retained"), ("FA", "forgotten"), ("TA", "test")];

/// What the other usual headings mean.
const MEANINGS: [(&str, &str); 10] = [
    ("TA gone", "accuracy on test samples of the forgotten classes"),
    ("MIA AUC", "membership attack on phi, forgotten against test samples (0.5: no signal)"),
    ("SalUn %", "share of forgotten samples that the confidence attack calls non-members"),
    ("gap", "mean difference to retraining of 1 - FA, RA, TA and SalUn, in percentage points"),
    ("ToW", "Tug-of-War, 1 is best"),
    ("JS", "Jensen-Shannon divergence to the retrained network's outputs on forgotten samples"),
    ("RMIA", "AUC of that attack with the retrained network as its reference"),
    ("seconds", "time of unlearning"),
    ("prep", "seconds of clustering and condensing"),
    ("speed-up", "retraining's time over the method's"),
];

/// What stands in brackets behind speed-ups.
const PREPARED: &str = " (in brackets: preparation included)";

/// What these headings mean, each once, in a sentence for each group; `prepared` where speed-ups have brackets.
pub fn of(headings: &[String], prepared: bool) -> String {
    let shown =
        |name: &str| headings.iter().any(|heading| heading.trim_end_matches(" %") == name.trim_end_matches(" %"));
    let mut parts = vec![];
    let (names, samples): (Vec<&str>, Vec<&str>) = ACCURACIES.into_iter().filter(|(name, _)| shown(name)).unzip();
    if !names.is_empty() {
        parts.push(format!("{}: accuracy on {} samples", names.join(", "), enumerated(&samples)));
    }
    for (name, meaning) in MEANINGS.into_iter().filter(|(name, _)| shown(name)) {
        let more = if name == "speed-up" && prepared { PREPARED } else { "" };
        parts.push(format!("{}: {meaning}{more}", name.trim_end_matches(" %")));
    }
    // Columns of one's choice are called by the metric's name.
    let metrics = metric_list::list();
    let chosen = metrics.iter().filter(|metric| headings.iter().any(|heading| heading == metric.name));
    parts.extend(chosen.map(|metric| format!("{}: {}", metric.name, metric.summary)));
    parts.join("; ")
}

/// `a, b and c`.
fn enumerated(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shown_is_explained_and_once() {
        let told = |names: &[&str]| of(&names.iter().map(ToString::to_string).collect::<Vec<_>>(), false);
        assert_eq!(told(&["method", "RA %", "TA %", "RA %"]), "RA, TA: accuracy on retained and test samples");
        assert_eq!(told(&["FA %", "ToW"]), "FA: accuracy on forgotten samples; ToW: Tug-of-War, 1 is best");
        assert!(told(&["forget_accuracy"]).starts_with("forget_accuracy: share of the forgotten samples"));
        assert_eq!(told(&["method", "retain", "own"]), "");
        assert!(of(&["speed-up".into()], true).contains("in brackets"));
    }
}
