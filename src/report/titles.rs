//! What pictures call a metric: its name for people with its unit, and the factor its values are shown by.

use crate::eval::metric_list::list;
use crate::report::leaderboard::columns::is_share;

/// Names that say it shorter than the list of metrics.
const TITLES: [(&str, &str); 14] = [
    ("retain_accuracy", "Accuracy on retained samples"),
    ("forget_accuracy", "Accuracy on forgotten samples"),
    ("test_accuracy", "Test accuracy"),
    ("unseen_accuracy", "Accuracy on unseen samples"),
    ("forgotten_test_accuracy", "Accuracy on test samples of forgotten classes"),
    ("earlier_accuracy", "Accuracy on samples of earlier requests"),
    ("mia_auc", "Membership attack, AUC"),
    ("unseen_mia_auc", "Membership attack against unseen samples, AUC"),
    ("earlier_mia_auc", "Membership attack on earlier requests, AUC"),
    ("mia_salun", "SalUn's attack: forgotten samples taken for unseen"),
    ("retain_loss", "Cross-entropy on retained samples, nats"),
    ("forget_loss", "Cross-entropy on forgotten samples, nats"),
    ("test_loss", "Cross-entropy on test samples, nats"),
    ("js", "Jensen-Shannon divergence to retraining, nats"),
];

/// What a metric's values are multiplied by: 100 for shares, which are shown in per cent.
pub fn factor(metric: &str) -> f64 {
    if is_share(metric) { 100.0 } else { 1.0 }
}

/// What a metric is called; what nobody knows keeps its name.
pub fn title(metric: &str) -> String {
    let unit = if is_share(metric) { ", %" } else { "" };
    if let Some((_, title)) = TITLES.iter().find(|(name, _)| *name == metric) {
        return format!("{title}{unit}");
    }
    let known = list().into_iter().find(|known| known.name == metric);
    known.map_or_else(|| format!("{metric}{unit}"), |known| format!("{metric}: {}{unit}", known.summary))
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::eval::metrics::to_json;
    use crate::report::leaderboard::entry::group;
    use crate::report::runs::row::Row;
    use crate::runtime::options::describe;
    use crate::runtime::{Error, Script};
    use rhai::{Array, Dynamic, Map};

    /// What pictures call a metric: a map of its `label`, a name for people with its unit, and the `factor` its values are shown
    /// by (100 for shares, which are shown in per cent).
    ///
    /// # Example
    /// ```rhai
    /// let told = metric_label("forget_accuracy");
    /// assert(told.label == "Accuracy on forgotten samples, %" && told.factor == 100.0);
    /// assert(metric_label("mia_auc").label == "Membership attack, AUC");
    /// ```
    pub fn metric_label(metric: &str) -> Map {
        let mut told = Map::new();
        told.insert("label".into(), super::title(metric).into());
        told.insert("factor".into(), super::factor(metric).into());
        told
    }

    /// Rows that are the same but for their seeds, put together as leaderboards do: an array of maps with the `name` (the label, with
    /// the options in which equal labels differ, and the kind of a reduced retain set) and `rows`, the positions in the array given.
    ///
    /// # Signature
    /// group_rows(rows: array of map) -> array
    ///
    /// # Example
    /// ```rhai
    /// let row = |label, seed| #{ label: label, seeds: #{ unlearn: seed }, metrics: #{} };
    /// let found = group_rows([row.call("a", 0), row.call("b", 0), row.call("a", 1)]);
    /// assert(found.len() == 2 && found[0].name == "a" && found[0].rows == [0, 2]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn group_rows(rows: Array) -> Script<Array> {
        let mut read = vec![];
        for row in rows {
            let kind = describe(&row);
            let Some(map) = row.try_cast::<Map>() else {
                return Err(Error::new("group_rows", format!("a row must be a map, got {kind}")).into());
            };
            read.push(Row::new(to_json(&Dynamic::from(map))));
        }
        let entries = group(&read).into_iter().map(|entry| {
            let kind = entry.rows.first().and_then(|at| read.get(*at)).map_or("full", Row::kind);
            let name =
                if kind == "full" || kind == entry.name { entry.name } else { format!("{} · {kind}", entry.name) };
            let rows: Array = entry.rows.into_iter().map(|at| Dynamic::from(at as i64)).collect();
            Dynamic::from(Map::from([("name".into(), name.into()), ("rows".into(), rows.into())]))
        });
        Ok(entries.collect())
    }
}
