//! Which names of a file are a network's: what wrappers and enclosing networks put before or between the parts of a name is
//! taken off, and the dictionary whose names and shapes fit wins.

use crate::nn::pytorch::dictionaries::{Rank, rank};
use std::collections::{HashMap, HashSet};

/// torchvision's names of the parts that are called otherwise here.
const TORCHVISION: [(&str, &str); 2] = [("fc.", "classifier."), ("downsample.", "shortcut.")];

/// Parts of names that wrappers add: data parallelism, compilation, sharding, checkpointing, Lightning.
const WRAPPERS: [&str; 7] = [
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
    "_original_module",
    "_orig_module",
];

/// More prefixes than are tried for one dictionary.
const MOST_PREFIXES: usize = 8;

/// Names of a network that are looked for under a prefix.
const ANCHORS: usize = 3;

/// A name and a shape.
pub type Shown<'s> = (&'s str, &'s [i64]);

/// The names that a network has, with their shapes.
pub struct Wanted<'s> {
    pub names: Vec<Shown<'s>>,
    known: HashMap<&'s str, &'s [i64]>,
}

impl<'s> Wanted<'s> {
    /// Of a network's names in their order.
    pub fn new(names: Vec<Shown<'s>>) -> Self {
        let known = names.iter().copied().collect();
        Self { names, known }
    }

    fn has(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }
}

/// A dictionary read as a network's: what its names become.
#[derive(Debug, PartialEq)]
pub struct Fit {
    /// What was taken off at the front, with its dot.
    pub prefix: String,
    /// The network's name for each of the dictionary's, `None` for what lies outside the prefix.
    pub names: Vec<Option<String>>,
    /// Every name and shape of the network is there, and nothing else under the prefix.
    pub whole: bool,
    /// How many names, and how many of these with their shapes, are the network's.
    pub matched: (usize, usize),
    /// How soon it is taken among others that fit.
    pub rank: Rank,
}

/// All readings of a dictionary that come near to a network: as it is, under each prefix that leads to its names, and under
/// one that a user gave, without its dot.
pub fn readings(wanted: &Wanted<'_>, given: &[Shown<'_>], under: Option<&str>) -> Vec<Fit> {
    let plain: Vec<String> = given.iter().map(|(name, _)| unwrapped(wanted, name)).collect();
    let under = under.map(|under| format!("{under}."));
    let mut prefixes: Vec<&str> = [Some(""), under.as_deref()].into_iter().flatten().collect();
    let mut tried: HashSet<&str> = prefixes.iter().copied().collect();
    for anchor in wanted.names.iter().take(ANCHORS).map(|(name, _)| *name) {
        for name in &plain {
            let ends = [Some(anchor.to_string()), theirs(anchor)].into_iter().flatten();
            for end in ends {
                let prefix = name.strip_suffix(end.as_str()).filter(|prefix| prefix.ends_with('.'));
                if let Some(prefix) = prefix
                    && prefixes.len() <= MOST_PREFIXES
                    && tried.insert(prefix)
                {
                    prefixes.push(prefix);
                }
            }
        }
    }
    prefixes.into_iter().map(|prefix| reading(wanted, given, &plain, prefix)).collect()
}

fn reading(wanted: &Wanted<'_>, given: &[Shown<'_>], plain: &[String], prefix: &str) -> Fit {
    let mut taken: HashMap<&str, bool> = HashMap::new();
    let (mut names, mut extra) = (vec![], false);
    for ((_, shape), plain) in given.iter().zip(plain) {
        let Some(rest) = plain.strip_prefix(prefix) else {
            names.push(None);
            continue;
        };
        let name = if wanted.has(rest) { rest.to_string() } else { ours(wanted, rest) };
        match wanted.known.get_key_value(name.as_str()) {
            Some((known, expected)) => extra |= taken.insert(known, expected == shape).is_some(),
            None => extra = true,
        }
        names.push(Some(name));
    }
    let missing = |name: &str| !taken.contains_key(name) && !optional(name);
    let shaped = taken.values().filter(|fits| **fits).count();
    let whole = !extra && shaped == taken.len() && !wanted.names.iter().any(|(name, _)| missing(name));
    let parts = prefix.trim_end_matches('.').split('.').filter(|part| !part.is_empty());
    let rank = parts.map(rank).max().unwrap_or(Rank::Usual(0));
    Fit { prefix: prefix.to_string(), names, whole, matched: (taken.len(), shaped), rank }
}

/// Files written before PyTorch counted batches lack the counter.
pub fn optional(name: &str) -> bool {
    name == "num_batches_tracked" || name.ends_with(".num_batches_tracked")
}

/// A name without the parts that wrappers add, unless the network has it as it is.
fn unwrapped(wanted: &Wanted<'_>, name: &str) -> String {
    if wanted.has(name) {
        return name.to_string();
    }
    let parts: Vec<&str> = name.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
    parts.join(".")
}

/// Names without what wrappers add, where no network says which they should be: `module.` and the like in front of all of them,
/// and those marks inside that no network has of its own.
pub fn bare(names: &[&str]) -> Vec<String> {
    let mut bare: Vec<&str> = names.to_vec();
    while let Some(wrapper) = bare.first().and_then(|name| name.split_once('.')).map(|(first, _)| first)
        && WRAPPERS.contains(&wrapper)
        && bare.iter().all(|name| name.split_once('.').is_some_and(|(first, _)| first == wrapper))
    {
        bare.iter_mut().for_each(|name| *name = name.split_once('.').map_or(*name, |(_, rest)| rest));
    }
    let mark = |part: &&str| *part != "module" && WRAPPERS.contains(part);
    let without = |name: &&str| name.split('.').filter(|part| !mark(part)).collect::<Vec<_>>().join(".");
    let marked: Vec<String> = bare.iter().map(without).collect();
    let distinct = marked.iter().collect::<HashSet<_>>().len() == marked.len();
    if distinct { marked } else { bare.into_iter().map(str::to_string).collect() }
}

/// The network's name for one of torchvision's, where it has one.
fn ours(wanted: &Wanted<'_>, name: &str) -> String {
    let renamed = TORCHVISION.iter().fold(name.to_string(), |name, (theirs, ours)| rename(&name, theirs, ours));
    if wanted.has(&renamed) { renamed } else { name.to_string() }
}

/// torchvision's name for one of the network's, where it differs.
fn theirs(name: &str) -> Option<String> {
    let renamed = TORCHVISION.iter().fold(name.to_string(), |name, (theirs, ours)| rename(&name, ours, theirs));
    (renamed != name).then_some(renamed)
}

/// Replaces a part of a dotted name, which has to begin at the start or after a dot.
fn rename(name: &str, from: &str, to: &str) -> String {
    match name.strip_prefix(from) {
        Some(rest) => format!("{to}{rest}"),
        None => name.replace(&format!(".{from}"), &format!(".{to}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: [Shown<'static>; 3] = [("0.weight", &[2, 3]), ("0.bias", &[2]), ("1.num_batches_tracked", &[])];

    /// The first reading that fits, of names that all have the right shapes.
    fn fitting(names: &[&str]) -> Option<Fit> {
        let shape = |name: &&str| if name.contains("weight") { &[2, 3][..] } else { &[2] };
        let given: Vec<Shown<'_>> = names.iter().map(|name| (*name, shape(name))).collect();
        readings(&Wanted::new(NETWORK.to_vec()), &given, None).into_iter().find(|fit| fit.whole)
    }

    #[test]
    fn wrappers_and_prefixes_are_taken_off_and_the_rest_stays_outside() {
        for (prefix, inner) in
            [("", ""), ("module.", ""), ("_orig_mod.module.", ""), ("model.", ""), ("model.net.", "module.")]
        {
            let names = [format!("{prefix}0.{inner}weight"), format!("{prefix}0.{inner}bias")];
            let fit = fitting(&names.each_ref().map(String::as_str)).unwrap_or_else(|| panic!("{prefix} {inner}"));
            assert_eq!(fit.names, [Some("0.weight".to_string()), Some("0.bias".to_string())]);
        }
        let fit = fitting(&["loss.weight", "model.0.weight", "model.0.bias"]).unwrap();
        assert_eq!((fit.prefix.as_str(), fit.names[0].as_deref()), ("model.", None));
        assert_eq!(fitting(&["0.weight", "0.bias", "extra"]), None);
        assert_eq!(fitting(&["0.weight", "module.0.weight", "0.bias"]), None, "one name twice");
        assert_eq!(fitting(&["0.weight"]), None);
    }

    #[test]
    fn of_two_networks_the_usual_name_comes_before_others_and_averages() {
        let given: Vec<Shown<'_>> = ["ema.0.weight", "ema.0.bias", "net.0.weight", "net.0.bias"]
            .map(|name| (name, if name.contains("weight") { &[2, 3][..] } else { &[2] }))
            .to_vec();
        let mut fits: Vec<Fit> =
            readings(&Wanted::new(NETWORK.to_vec()), &given, None).into_iter().filter(|f| f.whole).collect();
        fits.sort_by_key(|fit| fit.rank);
        assert_eq!(fits.iter().map(|fit| fit.prefix.as_str()).collect::<Vec<_>>(), ["net.", "ema."]);
    }

    #[test]
    fn names_of_files_lose_wrappers_alone() {
        assert_eq!(bare(&["module._orig_mod.a.w", "module._orig_mod.b"]), ["a.w", "b"]);
        assert_eq!(bare(&["a._orig_mod.w", "a.module.w"]), ["a.w", "a.module.w"]);
        assert_eq!(bare(&["model.w", "module.w"]), ["model.w", "module.w"]);
        assert_eq!(bare(&["a._orig_mod.w", "a.w"]), ["a._orig_mod.w", "a.w"]);
    }

    #[test]
    fn torchvision_names_are_understood() {
        assert_eq!(rename("fc.weight", "fc.", "classifier."), "classifier.weight");
        let theirs = "layer2.0.downsample.1.running_mean";
        assert_eq!(rename(theirs, "downsample.", "shortcut."), "layer2.0.shortcut.1.running_mean");
        assert_eq!(rename("xfc.weight", "fc.", "classifier."), "xfc.weight");
    }
}
