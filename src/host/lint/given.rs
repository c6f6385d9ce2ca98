//! The options in literal maps: keys that a function does not have, values that it does not take.

use super::manual::OptionForm;
use super::values::{Key, Value};
use super::vocabulary;
use crate::experiment::rules::{self, RUN_OPTIONS};
use crate::host::lint::context::Context;
use crate::host::lint::finding::Raw;
use crate::host::lint::signature::accepts;
use crate::runtime::options::{as_integer, as_number, describe, nearest};
use rhai::{Dynamic, Map};

/// Functions that hand options on to others, and those.
const HANDED_ON: &[(&str, &[&str])] = &[
    ("original", &["train", "convnet", "mlp", "resnet18", "resnet50"]),
    ("reduce", &["condense"]),
    ("condensation", &["condense"]),
    ("compare_condensers", &["condense"]),
    ("evaluate_condensed", &["train", "convnet", "resnet18", "condense", "condensation"]),
];

/// Options whose value is a map of another function's options.
const NESTED: &[(&str, &str, &str)] = &[
    ("load_task", "original", "original"),
    ("multi_round", "requests", "requests"),
    ("multi_round", "reduce", "reduce"),
];

/// The knobs of a method's accelerated form.
const ACCELERATED: [&str; 4] = ["mmd_weight", "k", "clamp", "steepen"];

/// The range of an option that means the same in every function.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Range {
    /// A whole number of at least this.
    Least(i64),
    /// A number above zero.
    Positive,
    /// A number of at least zero.
    NonNegative,
    /// A number within these.
    Between(f64, f64),
}

/// Ranges by option, for the functions that are not scripts; a test compares them with what those read.
const RANGES: &[(&str, Range)] = &[
    ("batch", Range::Least(1)),
    ("batch_net", Range::Least(1)),
    ("depth", Range::Least(1)),
    ("epochs", Range::Least(0)),
    ("width", Range::Least(1)),
    ("rounds", Range::Least(1)),
    ("trials", Range::Least(1)),
    ("repeats", Range::Least(1)),
    ("steps_at_most", Range::Least(1)),
    ("networks", Range::Least(1)),
    ("push_every", Range::Least(1)),
    ("steps", Range::Least(1)),
    ("per_class", Range::Least(1)),
    ("groups", Range::Least(1)),
    ("seed", Range::Least(0)),
    ("warmup", Range::Least(0)),
    ("pad", Range::Least(0)),
    ("count", Range::Least(0)),
    ("iterations", Range::Least(0)),
    ("lr", Range::NonNegative),
    ("lr_net", Range::Positive),
    ("momentum", Range::Between(0.0, 1.0)),
    ("weight_decay", Range::NonNegative),
    ("label_smoothing", Range::Between(0.0, 1.0)),
    ("sparsity", Range::Between(0.0, 1.0)),
    ("eps", Range::NonNegative),
    ("sigma", Range::Positive),
    ("damping", Range::Positive),
    ("tolerance", Range::NonNegative),
];

/// Functions that want more than [`RANGES`] says.
const STRICTER: &[(&[&str], &str, Range)] = &[
    (&["train", "original", "evaluate_condensed", "relearn", "ain", "memorisation"], "lr", Range::Positive),
    (&["train", "original"], "epochs", Range::Least(1)),
];

/// The functions whose options are meant: `train`, or a method and `unlearn::run` around it.
pub struct Called<'a> {
    /// The module of a function called by its module; empty for others.
    pub space: &'a str,
    /// The function.
    pub name: &'a str,
    /// The methods that `unlearn::run` may be told to run here, by name; `None` where this is no run or cannot be known.
    pub methods: Option<Vec<String>>,
}

/// The findings about the options given in a literal map.
pub fn check(
    context: &Context,
    called: &Called,
    own: &std::collections::HashMap<String, Map>,
    keys: &[Key],
    file: usize,
) -> Vec<Raw> {
    let (space, name) = (called.space, called.name);
    if space == "unlearn" && name == "run" {
        let methods = called.methods.iter().flatten();
        let mut found: Vec<Raw> =
            methods.flat_map(|method| of_method(context, method, own, keys, true, file)).collect();
        found.dedup_by(|a, b| a.position == b.position);
        let known = context.manual.options(space, name).unwrap_or_default();
        found.extend(keys.iter().filter_map(|key| value(context, name, &known, key, file)));
        return found;
    }
    if let Some(rules) = own.get(name).filter(|_| space.is_empty()).or_else(|| context.library.get(name)) {
        return by_rules(name, rules, keys, file);
    }
    let Some(mut known) = context.manual.options(space, name) else { return vec![] };
    let handed = HANDED_ON.iter().find(|(from, _)| *from == name).map_or(&[] as &[&str], |(_, to)| to);
    for other in handed {
        let more = context.manual.options("", other).unwrap_or_default();
        let more: Vec<OptionForm> = more.into_iter().filter(|one| !known.iter().any(|k| k.key == one.key)).collect();
        known.extend(more);
    }
    let mut found: Vec<Raw> = keys.iter().filter_map(|key| unknown(context, called, &known, key, file)).collect();
    found.extend(keys.iter().filter_map(|key| value(context, name, &known, key, file)));
    for (key, _, value) in keys {
        let nested = NESTED.iter().find(|(function, known, _)| *function == name && known == key);
        if let (Some((.., inner)), Some(inside)) = (nested, &value.keys) {
            let called = Called { space: "", name: inner, methods: None };
            found.extend(check(context, &called, own, inside, file));
        }
    }
    found
}

/// The options of a method, besides those of `unlearn::run` where that runs it.
fn of_method(
    context: &Context,
    method: &str,
    own: &std::collections::HashMap<String, Map>,
    keys: &[Key],
    runs: bool,
    file: usize,
) -> Vec<Raw> {
    let accelerated = keys.iter().any(|(key, ..)| key == "accelerate");
    let others: Vec<Key> = keys
        .iter()
        .filter(|(key, ..)| !(runs && RUN_OPTIONS.contains(&key.as_str())))
        .filter(|(key, ..)| !(accelerated && ACCELERATED.contains(&key.as_str())))
        .cloned()
        .collect();
    if let Some(rules) = own.get(method).or_else(|| context.library.get(method)) {
        return by_rules(method, rules, &others, file);
    }
    let Some(known) = context.manual.options("", method) else { return vec![] };
    let called = Called { space: "", name: method, methods: None };
    let taken = |key: &Key| ACCELERATED.contains(&key.0.as_str());
    let mut found: Vec<Raw> = others
        .iter()
        .filter(|key| !taken(key))
        .filter_map(|key| unknown(context, &called, &known, key, file))
        .collect();
    found.extend(others.iter().filter_map(|key| value(context, method, &known, key, file)));
    found
}

/// What the rules of a method have against these options: the words are those of a run.
fn by_rules(method: &str, declared: &Map, keys: &[Key], file: usize) -> Vec<Raw> {
    let mut found = vec![];
    for (key, position, value) in keys {
        let possible = if declared.contains_key(key.as_str()) { value.constants.clone() } else { vec![Dynamic::UNIT] };
        // A rule without a type takes what the method makes of it.
        if declared.get(key.as_str()).is_some_and(Dynamic::is_unit) {
            continue;
        }
        for constant in possible {
            let given: Map = [(key.as_str().into(), constant)].into_iter().collect();
            if let Err(error) = rules::read(method, given, &Map::new(), declared) {
                // A rule that contradicts itself is another finding.
                let raw = Raw::fault(file, *position, &error);
                found.extend(Some(raw).filter(|raw| raw.word.as_deref() == Some(key)));
                break;
            }
        }
    }
    found
}

fn raw(file: usize, key: &Key, message: String) -> Raw {
    Raw { word: Some(key.0.clone()), ..Raw::error(file, key.1, message) }
}

/// The finding about a key that a function does not have.
fn unknown(context: &Context, called: &Called, known: &[OptionForm], key: &Key, file: usize) -> Option<Raw> {
    if known.iter().any(|one| one.key == key.0) {
        return None;
    }
    let (space, name) = (called.space, called.name);
    let mut found = raw(file, key, format!("unknown option `{}` for {name}", key.0));
    let names = known.iter().map(|one| one.key.as_str());
    found.notes.push(format!("options: {}", names.clone().collect::<Vec<_>>().join(", ")));
    let bare = key.0.trim_end_matches('s');
    let forms = context.manual.forms(space, name);
    let parameters = forms.iter().flat_map(|form| form.parameters.iter());
    let positional = parameters.clone().find(|one| !one.name.is_empty() && one.name.trim_end_matches('s') == bare);
    if let Some(parameter) = positional {
        let example = forms.first().map_or(name, |form| form.text.as_str());
        return Some(found.hint(format!("`{}` is no option but an argument of its own: {example}", parameter.name)));
    }
    match nearest(&key.0, names) {
        Some(near) => Some(found.hint(format!("did you mean `{near}`?"))),
        None => Some(found),
    }
}

/// The finding about a value that an option does not take.
fn value(context: &Context, function: &str, known: &[OptionForm], key: &Key, file: usize) -> Option<Raw> {
    let form = known.iter().find(|one| one.key == key.0)?;
    let (name, given) = (&key.0, &key.2);
    if given.kind == "()" {
        return None;
    }
    let shown = given.constants.first().map_or_else(|| format!("a value of type {}", given.kind), describe);
    let wrong = |expected: String, shown: String| {
        Some(raw(file, key, format!("{function}: `{name}` must be {expected}, got {shown}")))
    };
    let of_known_kinds = form.kinds.iter().all(|kind| is_checkable(context, kind));
    // One item is often taken for an array of one.
    let one = form.kinds.iter().any(|kind| kind == "array");
    if of_known_kinds && !one && !accepts(&form.kinds, &given.kind) {
        return wrong(in_words(&form.kinds), shown);
    }
    let words: Vec<&str> = form.kinds.iter().filter_map(|kind| kind.strip_prefix('"')?.strip_suffix('"')).collect();
    let free = form.kinds.iter().any(|kind| kind == "string" || kind == "any");
    for text in given.texts().iter().filter(|_| !words.is_empty() && !free && of_known_kinds) {
        if !words.contains(&text.as_str()) {
            let found = wrong(in_words(&form.kinds), format!("{text:?} (string)"))?;
            return Some(match nearest(text, words.iter().copied()) {
                Some(near) => found.hint(format!("did you mean {near:?}?")),
                None => found,
            });
        }
    }
    named(function, key, file)
        .or_else(|| out_of_range(function, form, given).and_then(|(expected, shown)| wrong(expected, shown)))
}

/// Whether a documented kind says which values are meant.
fn is_checkable(context: &Context, kind: &str) -> bool {
    kind.starts_with('"') || matches!(kind, "closure" | "number") || context.manual.is_type(kind)
}

/// Texts that must be names of something.
fn named(function: &str, key: &Key, file: usize) -> Option<Raw> {
    let noun = vocabulary::of_option(function, &key.0)?;
    let items = key.2.items.iter().flatten().map(|(position, item)| (*position, item.texts()));
    let all = items.chain([(key.1, key.2.texts())]);
    all.flat_map(|(position, texts)| texts.into_iter().map(move |text| (position, text)))
        .find_map(|(position, text)| vocabulary::check(noun, &text, "", file, position))
}

/// What a number must be instead, and how the one that is not shows.
fn out_of_range(function: &str, form: &OptionForm, given: &Value) -> Option<(String, String)> {
    let strict = STRICTER.iter().find(|(functions, key, _)| *key == form.key && functions.contains(&function));
    let general = RANGES.iter().find(|(key, _)| *key == form.key);
    let range = strict.map(|(.., range)| *range).or_else(|| general.map(|(_, range)| *range));
    for constant in &given.constants {
        let Some(number) = as_number(constant) else { continue };
        let shown = describe(constant);
        let whole = form.kinds.len() == 1 && form.kinds.first().is_some_and(|kind| kind == "int");
        if whole && as_integer(constant).is_none() {
            return Some(("an integer".into(), shown));
        }
        let fault = match range? {
            Range::Least(least) => (number < least as f64).then(|| format!("at least {least}")),
            Range::Positive => (number <= 0.0).then(|| "above 0".into()),
            Range::NonNegative => (number < 0.0).then(|| "0 or above".into()),
            Range::Between(low, high) => (!(low..=high).contains(&number)).then(|| format!("between {low} and {high}")),
        };
        if let Some(expected) = fault {
            return Some((expected, shown));
        }
    }
    None
}

/// `one of "a" | "b"`, `an integer or "auto"`.
fn in_words(kinds: &[String]) -> String {
    if kinds.iter().all(|kind| kind.starts_with('"')) {
        return format!("one of {}", kinds.join(" | "));
    }
    let word = |kind: &String| match kind.as_str() {
        "int" => "an integer".to_string(),
        "float" | "number" => "a finite number".into(),
        "bool" => "true or false".into(),
        "array" => "an array".into(),
        "map" => "a map #{ .. }".into(),
        "closure" | "function" => "a function".into(),
        kind if kind.starts_with('"') => kind.into(),
        kind => format!("a {kind}"),
    };
    kinds.iter().map(word).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges told here are never narrower than those that the functions themselves read.
    #[test]
    fn ranges_are_those_of_the_readers() {
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut narrower = vec![];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if path.extension().is_none_or(|extension| extension != "rs") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                for (key, range) in RANGES {
                    for (start, _) in text.match_indices(&format!("(\"{key}\"")) {
                        let reader = text[..start].rsplit(['.', ' ']).next().unwrap();
                        let rest = text[start..].split(';').next().unwrap();
                        let least = rest.split('?').next().unwrap().trim_end_matches(')').rsplit(' ').next();
                        let least = least.unwrap().parse::<i64>();
                        let fits = match (reader, range) {
                            ("count", Range::Least(least)) => *least <= 1,
                            ("integer" | "maybe_integer", Range::Least(limit)) => {
                                least.is_ok_and(|least| *limit <= least)
                            }
                            ("positive", Range::Positive | Range::NonNegative) => true,
                            ("non_negative", Range::NonNegative) => true,
                            ("between", Range::Between(low, high)) => *low <= 0.0 && *high >= 1.0,
                            ("count" | "integer" | "maybe_integer" | "positive" | "non_negative" | "between", _) => {
                                false
                            }
                            _ => true,
                        };
                        if !fits {
                            narrower.push(format!("{}: {reader}{}", path.display(), &rest[..rest.len().min(40)]));
                        }
                    }
                }
            }
        }
        assert!(narrower.is_empty(), "{narrower:#?}");
    }
}
