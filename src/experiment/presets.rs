//! Option values that suit a data set: used where a script gives none.

use super::task::Task;
use crate::runtime::{Error, Result, Run};
use once_cell::unsync::OnceCell;
use rhai::{Array, Dynamic, Map};
use toml::{Table, Value};

/// The embedded tables, parsed once a run; a run slot.
#[derive(Default)]
struct Tables {
    small: OnceCell<Table>,
    reference: OnceCell<Table>,
}

/// Whom a preset is for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The data set's name.
    pub dataset: &'a str,
    /// The model's name.
    pub model: &'a str,
    /// The method's name.
    pub method: &'a str,
    /// Its accelerated form.
    pub accelerated: bool,
    /// The reference implementation's values.
    pub reference: bool,
    /// The retain set is a reduced one.
    pub condensed: bool,
}

fn parse(text: &str) -> Result<Table> {
    text.parse().map_err(|problem| Error::new("presets", format!("{problem}")))
}

/// The options preset for a method on a data set; empty when there are none.
///
/// # Errors
/// A damaged table.
pub fn find(run: &Run, query: Query) -> Result<Map> {
    let tables = run.slot::<Tables>();
    if query.reference {
        let table = tables.reference.get_or_try_init(|| parse(include_str!("presets/reference.toml")))?;
        return Ok(reference(table, query));
    }
    let table = tables.small.get_or_try_init(|| parse(include_str!("presets/small.toml")))?;
    let mut found = Map::new();
    let name = super::accelerate::name_of(query.method);
    for dataset in ["any", query.dataset] {
        let methods: &[&str] = if query.accelerated { &["accelerated", &name] } else { &[query.method] };
        for method in methods {
            found.extend(at(table, &[dataset, method]).map(to_map).unwrap_or_default());
            if query.condensed {
                found.extend(at(table, &[dataset, "condensed", method]).map(to_map).unwrap_or_default());
            }
        }
    }
    Ok(found)
}

/// The options preset for a method on a task.
///
/// # Errors
/// A damaged table.
pub fn of(run: &Run, task: &Task, method: &str, accelerated: bool, reference: bool) -> Result<Map> {
    let (dataset, model, condensed) = (&task.data().name, task.model_name(), task.reduction().is_some());
    find(run, Query { dataset, model: &model, method, accelerated, reference, condensed })
}

/// The whole table of a data set, by method: what `task.preset` shows.
pub fn of_dataset(run: &Run, dataset: &str) -> Result<Map> {
    let tables = run.slot::<Tables>();
    let table = tables.small.get_or_try_init(|| parse(include_str!("presets/small.toml")))?;
    Ok(at(table, &[dataset]).map(to_map).unwrap_or_default())
}

/// The published values; those of CIFAR-10 and ResNet-18 for what was not published.
fn reference(table: &Table, query: Query) -> Map {
    let regime = if query.condensed { "condensed" } else { "full" };
    let name = if query.accelerated { super::accelerate::name_of(query.method) } else { query.method.into() };
    let known = |dataset, model| at(table, &[dataset, model, regime, &name]);
    let found = known(query.dataset, query.model)
        .or_else(|| known(query.dataset, "resnet18"))
        .or_else(|| known("cifar10", "resnet18"))
        .or_else(|| known("cinic10", "resnet18"));
    found.map(to_map).unwrap_or_default()
}

fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Table> {
    path.iter().try_fold(table, |table, key| table.get(*key)?.as_table())
}

fn to_map(table: &Table) -> Map {
    table.iter().map(|(key, value)| (key.as_str().into(), to_dynamic(value))).collect()
}

fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Integer(n) => (*n).into(),
        Value::Float(x) => (*x).into(),
        Value::Boolean(flag) => (*flag).into(),
        Value::String(text) => text.clone().into(),
        Value::Array(items) => items.iter().map(to_dynamic).collect::<Array>().into(),
        Value::Table(table) => to_map(table).into(),
        Value::Datetime(time) => time.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::run::Settings;

    fn query(method: &str) -> Query<'_> {
        Query { dataset: "digits", model: "convnet", method, accelerated: false, reference: false, condensed: false }
    }

    #[test]
    fn a_data_sets_preset_beats_the_one_for_all() {
        let run = Run::new(Settings::default());
        let any = find(&run, Query { dataset: "nothing", accelerated: true, ..query("finetune") }).unwrap();
        assert_eq!(any["epochs"].as_int(), Ok(1));
        let digits = find(&run, Query { accelerated: true, ..query("finetune") }).unwrap();
        assert!(digits["lr"].as_float().unwrap() > 0.0 && digits["epochs"].as_int() == Ok(1));
        assert!(find(&run, query("nothing")).unwrap().is_empty());
    }

    #[test]
    fn the_reference_has_its_own_values_and_falls_back_on_cifar10() {
        let run = Run::new(Settings::default());
        let scrub = find(&run, Query { reference: true, ..query("scrub") }).unwrap();
        assert_eq!((scrub["forget_passes"].as_int(), scrub["forget_scale"].as_float()), (Ok(6), Ok(0.2)));
        let asparse = find(&run, Query { reference: true, accelerated: true, ..query("l1_sparse") }).unwrap();
        assert!(asparse.contains_key("mmd_weight"));
    }
}
