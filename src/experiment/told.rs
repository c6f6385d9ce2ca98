//! A result told in full: every metric beside the original's and the retrained network's, and which way is better.

use super::outcome::Outcome;
use crate::eval::Metrics;
use crate::eval::metric_list::{Listing, list};
use crate::eval::retrained::gaps::gaps;
use crate::experiment::references::References;
use crate::report::{PredictionStore, screen};
use crate::runtime::{Result, Run};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

/// The headings above groups of metrics, by what computes them.
const GROUPS: [(&str, &str); 4] = [
    ("evaluate", "of each network alone"),
    ("function", "compared with the original network"),
    ("compare", "compared with the retrained network"),
    ("gaps", "differences from the retrained network"),
];

/// The columns of a report.
struct Columns {
    original: Metrics,
    own: Metrics,
    retrained: Metrics,
}

/// The table; what is not known is a dash.
///
/// # Errors
/// Predictions that cannot be read.
pub fn report(run: &Run, outcome: &Outcome) -> Result<String> {
    let columns = columns(run, outcome)?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table.set_header(["metric", "original", outcome.text("label").as_str(), "retrained", "which way"]);
    for (from, heading) in GROUPS {
        let known: Vec<Listing> = list().into_iter().filter(|metric| metric.from == from).collect();
        let rows: Vec<[String; 5]> = known.iter().filter_map(|metric| columns.row(metric)).collect();
        if !rows.is_empty() {
            table.add_row([heading]);
            table.add_rows(rows);
        }
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        let right = (1..4).contains(&index);
        column.set_cell_alignment(if right { CellAlignment::Right } else { CellAlignment::Left });
    }
    screen::fit(&mut table);
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let floor = "retrained: where there is another retrained network, how far that one is from it";
    Ok(format!("{}\n\n{}\n\n{floor}", outcome.describe(), lines.join("\n")))
}

fn columns(run: &Run, outcome: &Outcome) -> Result<Columns> {
    let seed = outcome.row().pointer("/seeds/split").and_then(Value::as_u64).unwrap_or(0);
    let store = run.slot::<PredictionStore>();
    let (own_key, original_key) = (outcome.text("predictions"), outcome.text("original"));
    let mut original = store.get(run, &original_key)?.map_or_else(|| Ok(Metrics::default()), |p| p.metrics(seed))?;
    let mut own = outcome.metrics().clone();
    let references = run.slot::<References>();
    let Some(reference) = references.of(&outcome.text("split_id"), &own_key) else {
        return Ok(Columns { original, own, retrained: Metrics::default() });
    };
    let mut retrained = reference.metrics.clone();
    for metrics in [&mut original, &mut own] {
        let found = gaps(metrics, &reference.metrics).named();
        found.into_iter().for_each(|(name, value)| metrics.set(name, value));
    }
    let other = references.of(&outcome.text("split_id"), &reference.key).filter(|other| other.key != reference.key);
    let floor = other.map(|other| (reference.key.clone(), other.key.clone()));
    let pairs = [
        (&mut original, Some((original_key, reference.key.clone()))),
        (&mut own, Some((own_key, reference.key.clone())).filter(|(own, other)| own != other)),
        (&mut retrained, floor),
    ];
    for (metrics, pair) in pairs {
        let Some((a, b)) = pair else { continue };
        if let Some(found) = store.compare(run, &a, &b, seed)? {
            found.iter().for_each(|(name, value)| metrics.set(name, value));
        }
    }
    Ok(Columns { original, own, retrained })
}

impl Columns {
    /// A metric's row; `None` when the result does not have it.
    fn row(&self, metric: &Listing) -> Option<[String; 5]> {
        let [original, own, retrained] =
            [&self.original, &self.own, &self.retrained].map(|metrics| metrics.get(metric.name));
        let cell = |x: f64| if x.is_nan() { "–".to_string() } else { format!("{x:.4}") };
        let known = !own.is_nan();
        known
            .then(|| [format!("  {}", metric.name), cell(original), cell(own), cell(retrained), metric.reading.clone()])
    }
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use crate::runtime::Script;

    type Outcome = crate::experiment::Outcome;

    /// A result in full, as text: every metric beside the original network's and the retrained one's, and which way is better.
    ///
    /// Metrics of two networks are there when `unlearn::run("retrain", task)` ran; the retrained network's own are the floor,
    /// and need a second one (another `seed`).
    ///
    /// # Signature
    /// result.report() -> string
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// unlearn::run("retrain", task, #{ epochs: 1 });
    /// let text = unlearn::run("finetune", task, #{ epochs: 1 }).report();
    /// assert(text.contains("forget_accuracy") && text.contains("activation_distance") && text.contains("tow"));
    /// ```
    #[rhai_fn(return_raw, name = "report", pure)]
    pub fn report(outcome: &mut Outcome) -> Script<String> {
        Ok(super::report(outcome.run(), outcome)?)
    }
}
