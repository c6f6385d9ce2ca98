//! Names that texts in scripts must be one of: data sets, networks, methods, condensers, metrics.

use crate::experiment::methods;
use crate::host::lint::finding::Raw;
use crate::runtime::Error;
use crate::runtime::options::nearest;
use rhai::Position;

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// A data set that `dataset` knows.
    Dataset,
    /// `dataset/model`.
    Recipe,
    /// A network.
    Model,
    /// An unlearner.
    Method,
    /// A condenser.
    Condenser,
    /// A metric.
    Metric,
    /// A metric, or what a script has recorded.
    Recorded,
}

/// The arguments that are names: function, place of the argument (that before a dot counts), what it names.
const ARGUMENTS: &[(&str, usize, Noun)] = &[
    ("dataset", 0, Noun::Dataset),
    ("load_task", 0, Noun::Recipe),
    ("original", 0, Noun::Model),
    ("unlearn::run", 0, Noun::Method),
    ("tune", 0, Noun::Method),
    ("accelerated", 0, Noun::Method),
    ("metric_direction", 0, Noun::Metric),
];

/// The options that hold names, alone or in an array: function, key, what they name.
const OPTIONS: &[(&str, &str, Noun)] = &[
    ("compare_condensers", "methods", Noun::Condenser),
    ("curves", "metric", Noun::Recorded),
    ("statistics", "metrics", Noun::Recorded),
    ("aggregate", "metrics", Noun::Recorded),
    ("equivalence", "metric", Noun::Recorded),
];

/// What an argument of a function names.
pub fn of_argument(function: &str, place: usize) -> Option<Noun> {
    ARGUMENTS.iter().find(|(name, at, _)| *name == function && *at == place).map(|(.., noun)| *noun)
}

/// What an option of a function names.
pub fn of_option(function: &str, key: &str) -> Option<Noun> {
    OPTIONS.iter().find(|(name, known, _)| *name == function && *known == key).map(|(.., noun)| *noun)
}

/// The finding about a text that names nothing; `near` is the script that asks.
pub fn check(noun: Noun, text: &str, near: &str, file: usize, position: Position) -> Option<Raw> {
    let error = match noun {
        Noun::Dataset => unknown_data(text)?,
        Noun::Recipe => match text.split_once('/') {
            Some((data, model)) => unknown_data(data).or_else(|| unknown_model(model))?,
            None => Error::new("load_task", format!("expected \"dataset/model\", got {text:?}"))
                .hint("for example \"digits/convnet\""),
        },
        Noun::Model => unknown_model(text)?,
        Noun::Method => unknown_method(text, near)?,
        Noun::Condenser => {
            let names = crate::condense::listing::list().map(|one| one.name);
            unknown("condenser", text, &names)?
        }
        Noun::Metric => unknown("metric", text, &metrics())?,
        Noun::Recorded => return unknown_metric(text, file, position),
    };
    Some(Raw::fault(file, position, &error))
}

fn unknown_data(name: &str) -> Option<Error> {
    let known = name == "digits" || crate::data::catalog::known_datasets::find(name).is_some();
    (!known).then(|| crate::data::load::unknown(name))
}

fn unknown_model(name: &str) -> Option<Error> {
    unknown("model", name, &crate::experiment::models::list().map(|one| one.name))
}

/// A method may lie in a file.
fn unknown_method(name: &str, near: &str) -> Option<Error> {
    let names: Vec<String> = methods::files().into_iter().map(|(name, _)| name).collect();
    if names.iter().any(|known| known == name) || methods::file_named(name, Some(near)).is_some() {
        return None;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = unknown("unlearner", name, &names)?;
    let Error::Fault(fault) = &error else { return Some(error) };
    let hint = "a function of this script is passed by its name without quotes";
    Some(if fault.hint.is_empty() { error.hint(hint) } else { error })
}

fn unknown(noun: &str, text: &str, names: &[&str]) -> Option<Error> {
    if names.contains(&text) {
        return None;
    }
    let mut sorted: Vec<&str> = names.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let error = Error::new("", format!("there is no {noun} {text:?}")).word(text);
    let error = error.note(format!("{noun}s: {}", sorted.join(", ")));
    Some(match nearest(text, sorted.iter().copied()) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error,
    })
}

fn metrics() -> Vec<&'static str> {
    crate::eval::metric_list::list().iter().map(|metric| metric.name).collect()
}

/// Scripts record metrics of their own: only what is nearly one of ours is told, as advice.
fn unknown_metric(text: &str, file: usize, position: Position) -> Option<Raw> {
    let names = metrics();
    if names.contains(&text) {
        return None;
    }
    let near = nearest(text, names).filter(|near| strsim::damerau_levenshtein(text, near) <= 2)?;
    let raw = Raw::warning(file, position, format!("there is no metric {text:?} but that of a script"));
    Some(Raw { word: Some(text.into()), ..raw.hint(format!("did you mean {near:?}?")) })
}
