//! Option values that suit a data set, a model and a kind of request: used where a script gives none.

use super::accelerate;
use super::task::Task;
use crate::runtime::{Error, Result, Run};
use once_cell::unsync::OnceCell;
use rhai::{Array, Dynamic, Map};
use std::collections::BTreeSet;
use toml::{Table, Value};

/// The embedded tables, parsed once a run; a run slot.
#[derive(Default)]
struct Tables {
    recipes: OnceCell<Table>,
    found: OnceCell<Table>,
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
    /// The request removes whole classes.
    pub classes: bool,
}

impl Tables {
    fn recipes(&self) -> Result<&Table> {
        self.recipes.get_or_try_init(|| parse(include_str!("presets/recipes.toml")))
    }

    fn found(&self) -> Result<&Table> {
        self.found.get_or_try_init(|| parse(include_str!("presets/found.toml")))
    }

    fn reference(&self) -> Result<&Table> {
        self.reference.get_or_try_init(|| parse(include_str!("presets/reference.toml")))
    }
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
    let (recipes, searched) = (tables.recipes()?, tables.found()?);
    let name = accelerate::name_of(query.method);
    let named = name != query.method;
    if query.reference {
        let mut preset = reference(tables.reference()?, query);
        if query.accelerated && !named {
            preset.extend(at(recipes, &["any", "accelerated"]).map(to_map).unwrap_or_default());
        }
        return Ok(preset);
    }
    let mut preset = Map::new();
    // An accelerated form without presets of its own has the plain method's constants, but not its schedule.
    let names: &[&str] = match query.accelerated {
        true if named => &["accelerated", &name],
        true => &[query.method, "accelerated"],
        false => &[query.method],
    };
    for name in names {
        for dataset in ["any", query.dataset] {
            preset.extend(at(recipes, &[dataset, name]).map(to_map).unwrap_or_default());
        }
        for place in places(query) {
            let path = [&[query.dataset, query.model], place, &[name]].concat();
            preset.extend(at(searched, &path).map(to_map).unwrap_or_default());
        }
    }
    Ok(preset)
}

/// Where values for a query stand below dataset and model, the more particular ones later.
fn places(query: Query) -> impl Iterator<Item = &'static [&'static str]> {
    const PLACES: [(&[&str], bool, bool); 4] = [
        (&["full"], false, false),
        (&["full", "class"], false, true),
        (&["condensed"], true, false),
        (&["condensed", "class"], true, true),
    ];
    let holds =
        move |(_, condensed, classes): &(_, bool, bool)| (query.condensed || !condensed) && (query.classes || !classes);
    PLACES.into_iter().filter(holds).map(|(place, ..)| place)
}

/// The options preset for a method on a task.
///
/// # Errors
/// A damaged table.
pub fn of(run: &Run, task: &Task, method: &str, accelerated: bool, reference: bool) -> Result<Map> {
    let (dataset, model) = (&task.data().name, task.model_name());
    let (condensed, classes) = (task.is_reduced(), !task.removed_classes().is_empty());
    find(run, Query { dataset, model: &model, method, accelerated, reference, condensed, classes })
}

/// Every preset for a task by method: what `task.preset` shows.
///
/// # Errors
/// A damaged table.
pub fn all_of(run: &Run, task: &Task) -> Result<Map> {
    let tables = run.slot::<Tables>();
    let (dataset, model) = (task.data().name.as_str(), task.model_name());
    let mut names = BTreeSet::new();
    for dataset in ["any", dataset] {
        names.extend(at(tables.recipes()?, &[dataset]).into_iter().flat_map(Table::keys));
    }
    for place in [&["full"][..], &["full", "class"], &["condensed"], &["condensed", "class"]] {
        names.extend(at(tables.found()?, &[&[dataset, &model], place].concat()).into_iter().flat_map(Table::keys));
    }
    let mut presets = Map::new();
    for name in names.into_iter().filter(|name| !["original", "accelerated", "class"].contains(&name.as_str())) {
        let (method, accelerated) = accelerate::plain_name(name);
        let preset = of(run, task, method, accelerated, task.is_reference())?;
        presets.insert(name.as_str().into(), preset.into());
    }
    Ok(presets)
}

/// How the original of a data set is trained: what is said for it, on top of what is said for all.
///
/// # Errors
/// A damaged table.
pub fn original(run: &Run, dataset: &str) -> Result<Map> {
    let tables = run.slot::<Tables>();
    let mut recipe = Map::new();
    for dataset in ["any", dataset] {
        recipe.extend(at(tables.recipes()?, &[dataset, "original"]).map(to_map).unwrap_or_default());
    }
    Ok(recipe)
}

/// The published values; those of CIFAR-10 and ResNet-18 for what was not published.
fn reference(table: &Table, query: Query) -> Map {
    let regime = if query.condensed { "condensed" } else { "full" };
    let name = if query.accelerated { accelerate::name_of(query.method) } else { query.method.into() };
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
        let (dataset, model) = ("digits", "convnet");
        Query { dataset, model, method, accelerated: false, reference: false, condensed: false, classes: false }
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
    fn accelerated_methods_have_the_schedule_of_acceleration_and_constants_of_their_own() {
        let run = Run::new(Settings::default());
        for reference in [false, true] {
            let preset = find(&run, Query { accelerated: true, reference, ..query("prune") }).unwrap();
            assert_eq!((preset["epochs"].as_int(), preset["lr"].as_float()), (Ok(1), Ok(1e-3)));
            assert!(preset["sparsity"].as_float().unwrap() > 0.5);
        }
    }

    #[test]
    fn more_particular_places_come_later_and_other_models_have_recipes_only() {
        let place = |condensed, classes| {
            places(Query { condensed, classes, ..query("ssd") }).map(|place| place.join(".")).collect::<Vec<_>>()
        };
        assert_eq!(place(false, false), ["full"]);
        assert_eq!(place(false, true), ["full", "full.class"]);
        assert_eq!(place(true, true), ["full", "full.class", "condensed", "condensed.class"]);
        let run = Run::new(Settings::default());
        assert!(!find(&run, query("ssd")).unwrap().is_empty());
        assert!(find(&run, Query { model: "mlp", ..query("ssd") }).unwrap().is_empty());
        assert!(!find(&run, Query { model: "mlp", ..query("retrain") }).unwrap().is_empty());
    }

    #[test]
    fn no_table_says_anything_about_a_method_that_is_not_there() {
        let run = Run::new(Settings::default());
        let tables = run.slot::<Tables>();
        let known = |name: &str| {
            let methods = ["original", "accelerated", "class"].map(String::from).into_iter();
            let files = crate::runtime::sources::STDLIB.iter();
            let declared = files.flat_map(|(_, text)| text.lines().filter_map(|line| line.strip_prefix("fn ")));
            methods
                .chain(declared.filter_map(|line| line.split('(').next()).map(String::from))
                .any(|known| known == name)
        };
        for methods in tables.recipes().unwrap().values().filter_map(Value::as_table) {
            assert!(methods.keys().all(|name| known(name)), "{methods:?}");
        }
        for regime in tables.found().unwrap().values().filter_map(Value::as_table).flat_map(Table::values) {
            for methods in regime.as_table().unwrap().values().filter_map(Value::as_table) {
                assert!(methods.keys().all(|name| known(name)), "{methods:?}");
                let class = methods.get("class").and_then(Value::as_table);
                assert!(class.is_none_or(|class| class.keys().all(|name| known(name))), "{class:?}");
            }
        }
    }

    #[test]
    fn the_reference_has_its_own_values_and_falls_back_on_cifar10() {
        let run = Run::new(Settings::default());
        let scrub = find(&run, Query { reference: true, ..query("scrub") }).unwrap();
        assert_eq!((scrub["forget_passes"].as_int(), scrub["forget_scale"].as_float()), (Ok(6), Ok(0.2)));
        let asparse = find(&run, Query { reference: true, accelerated: true, ..query("l1_sparse") }).unwrap();
        assert!(asparse.contains_key("mmd_weight"));
    }

    /// Every entry of a table of searched options, with the entries that it stands on.
    fn searched() -> Vec<(String, Map)> {
        let run = Run::new(Settings::default());
        let tables = run.slot::<Tables>();
        let mut found = vec![];
        for (dataset, models) in tables.found().unwrap() {
            for (model, _) in models.as_table().unwrap() {
                for (condensed, classes) in [(false, false), (false, true), (true, false), (true, true)] {
                    for method in ["scrub", "ascrub"] {
                        let (plain, accelerated) = accelerate::plain_name(method);
                        let query =
                            Query { dataset, model, method: plain, accelerated, condensed, classes, ..query("") };
                        let name = format!("{dataset}.{model}.{method}, condensed {condensed}, classes {classes}");
                        found.push((name, find(&run, query).unwrap()));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn scrub_has_no_more_passes_over_the_forget_set_than_epochs() {
        let searched = searched();
        assert!(searched.len() >= 16, "{}", searched.len());
        for (name, preset) in searched {
            let whole = |key: &str| {
                preset.get(key).and_then(|value| value.as_int().ok()).unwrap_or_else(|| panic!("{name}: {key}"))
            };
            assert!(whole("forget_passes") <= whole("epochs"), "{name}: {preset:?}");
        }
    }
}
