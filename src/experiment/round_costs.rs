//! What the rounds of several requests cost, and what a network says about earlier ones.

use super::assess::Assessment;
use super::round::{Round, Spent};
use super::task::Task;
use crate::eval::{PartPredictions, predict};
use crate::nn::Net;
use crate::runtime::{Result, Run};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a result's row tells of its round, and the metrics on earlier requests: `number`, `of`; `earlier`, for each earlier
/// request its `samples` and what the network says about them now; `seconds` of this round by stage (the clustering only
/// when no round before has paid for it) and their `total`; `cumulative`, the seconds of all rounds so far; `clustering`,
/// which names what is paid for once.
///
/// # Errors
/// Those of the forward passes.
pub fn account(
    run: &Run,
    task: &Task,
    net: &Net,
    found: &mut Assessment,
    seconds: &BTreeMap<String, f64>,
) -> Result<Option<Value>> {
    let Some(round) = task.round() else { return Ok(None) };
    let earlier = run.aside(|| scores(task, round, net, found))?;
    let reduction = task.reduction();
    let paid = reduction.is_none_or(|reduced| round.spent.clusterings.contains(&reduced.clustering));
    let cluster = reduction.filter(|_| !paid).map_or(0.0, |reduced| reduced.seconds_cluster);
    let condense = reduction.map_or(0.0, |reduced| reduced.seconds_condense);
    let unlearn = seconds.get("unlearn").copied().unwrap_or(0.0);
    let total = cluster + condense + unlearn;
    Ok(Some(json!({
        "number": round.number,
        "of": round.of,
        "earlier": earlier,
        "seconds": { "cluster": cluster, "condense": condense, "unlearn": unlearn, "total": total },
        "cumulative": round.spent.seconds + total,
        "clustering": reduction.map(|reduced| reduced.clustering.clone()),
    })))
}

/// What the network says about every earlier request, as it says it about the present one; means over their samples become
/// the metrics `earlier_accuracy` and `earlier_mia_auc`.
fn scores(task: &Task, round: &Round, net: &Net, found: &mut Assessment) -> Result<Vec<Value>> {
    let (mut rows, mut samples) = (vec![], 0.0);
    let mut sums = [0.0, 0.0];
    for (number, dataset) in round.earlier.iter().enumerate() {
        let parts = PartPredictions { forget: predict(net, dataset)?, ..found.parts.clone() };
        let metrics = parts.metrics(task.seed())?;
        let figure = |name: &str| metrics.get(name);
        let size = dataset.len() as f64;
        samples += size;
        for (sum, name) in sums.iter_mut().zip(["forget_accuracy", "mia_auc"]) {
            *sum += size * figure(name);
        }
        rows.push(json!({
            "round": number, "samples": dataset.len(), "accuracy": figure("forget_accuracy"), "loss": figure("forget_loss"),
            "mia_auc": figure("mia_auc"), "mia_auc_se": figure("mia_auc_se"), "mia_ref": figure("mia_ref"),
        }));
    }
    if samples > 0.0 {
        for (sum, name) in sums.into_iter().zip(["earlier_accuracy", "earlier_mia_auc"]) {
            found.metrics.set(name, sum / samples);
        }
    }
    Ok(rows)
}

/// What a row says its rounds have cost up to and with its own.
pub fn spent(row: &Value, before: &Spent) -> Spent {
    let mut spent = before.clone();
    let Some(round) = row.get("round") else { return spent };
    spent.seconds = round.get("cumulative").and_then(Value::as_f64).unwrap_or(f64::NAN);
    if let Some(clustering) = round.get("clustering").and_then(Value::as_str) {
        spent.clusterings.push(clustering.into());
    }
    spent
}
