//! The dictionaries of tensors in a checkpoint, wherever they lie: in dictionaries of dictionaries, lists, objects of unknown
//! classes, and whole networks, whose layers keep their tensors in `_parameters`, `_buffers` and `_modules`.

use crate::nn::pytorch::checkpoint::{Checkpoint, Class, Object, Strided, Value};
use crate::nn::pytorch::pickle::{Arena, Pickle, corrupt};
use crate::runtime::Result;
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

/// More dictionaries of tensors than a checkpoint has, those of its optimiser left out.
const MOST_DICTIONARIES: usize = 10_000;

/// More tensors than one network has.
const MOST_TENSORS: usize = 1 << 17;

/// Longer names of tensors than a network has.
const LONGEST_NAME: usize = 1 << 10;

/// More entries than are looked at in all: layers of a network can be one and the same, again and again.
const MOST_WORK: usize = 1 << 24;

/// The steps of a path that are told.
const LONGEST_PATH: usize = 12;

/// Names that a state dict usually has, in the order in which they are preferred.
const USUAL: [&str; 14] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "params",
    "parameters",
    "weights",
    "module",
    "net_state_dict",
    "net_state",
    "generator",
    "backbone",
];

/// Words of names that averages of weights have, and teachers.
const AVERAGED: [&str; 12] = [
    "ema", "swa", "avg", "average", "averaged", "shadow", "teacher", "target", "momentum", "polyak", "modelema", "old",
];

/// Words of names of what trained the network.
const TRAINING: [&str; 10] =
    ["optim", "optimizer", "optimizers", "optimiser", "optimisers", "scheduler", "scaler", "sched", "rng", "random"];

/// How soon a dictionary is taken when several are as good: the lower, the sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// At the root, or under a usual name, by its place among them.
    Usual(usize),
    Other,
    Averaged,
    /// Of an optimiser, say: never taken as a network's.
    Training,
}

/// Where tensors come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    Dictionary,
    /// A whole network of this class.
    Network(String),
    /// A network of TorchScript.
    Script,
}

/// Named tensors that lie together.
#[derive(Debug)]
pub struct Dictionary<'p> {
    /// How it is reached, `model.state_dict`; nothing for the root.
    pub path: String,
    pub rank: Rank,
    pub origin: Origin,
    pub tensors: Vec<(Cow<'p, str>, Rc<Strided>)>,
    /// What stands beside them where a tensor could be, and is not read.
    pub others: Vec<(Cow<'p, str>, Value<'p>)>,
}

impl Dictionary<'_> {
    fn holds_tensors(&self) -> bool {
        !self.tensors.is_empty()
            || self.others.iter().any(|(_, other)| matches!(other, Value::Object(Object::Refused(_))))
    }

    /// What it is called in messages.
    pub fn title(&self) -> String {
        if self.path.is_empty() { "the file's own names".into() } else { format!("`{}`", self.path) }
    }
}

/// Why a value that is no tensor is not read.
pub fn described(value: &Value<'_>) -> String {
    match value {
        Value::Object(Object::Refused(why)) => why.to_string(),
        Value::Object(Object::Instance(Class(module, "_reconstruct"), _)) if module.starts_with("numpy") => {
            "an array of NumPy's, not a tensor: torch.from_numpy makes one".into()
        }
        Value::Object(Object::Instance(class, _)) => format!("{class}, which is not a tensor and was not run"),
        _ => "no tensor".into(),
    }
}

/// How soon what has this name is taken.
pub fn rank(name: &str) -> Rank {
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word));
    match USUAL.iter().position(|usual| *usual == lower) {
        Some(place) => Rank::Usual(place + 1),
        None if has(&TRAINING) || lower.contains("optim") => Rank::Training,
        None if has(&AVERAGED) => Rank::Averaged,
        None => Rank::Other,
    }
}

/// Finds the dictionaries of tensors, those near the root first.
///
/// # Errors
/// More of them, or larger ones, than a checkpoint has.
pub fn find<'p>(pickle: &'p Pickle<'p, Checkpoint>) -> Result<Vec<Dictionary<'p>>> {
    let mut search =
        Search { arena: &pickle.arena, nodes: vec![], waiting: VecDeque::new(), seen: HashSet::new(), work: 0 };
    search.add(&pickle.root, 0, Label::Root);
    let mut found = vec![];
    while let Some(node) = search.waiting.pop_front() {
        let Some(dictionary) = search.visit(node)? else { continue };
        found.push(dictionary);
        if found.len() > MOST_DICTIONARIES {
            return Err(corrupt::<Checkpoint>(&format!("more than {MOST_DICTIONARIES} dictionaries of tensors")));
        }
    }
    if found.iter().any(Dictionary::holds_tensors) {
        found.retain(Dictionary::holds_tensors);
    }
    Ok(found)
}

/// A step on the way to a value.
#[derive(Clone, Copy)]
enum Label<'p> {
    Root,
    Key(&'p str),
    Place(i64),
    /// The state of an object, which has no name of its own.
    Inside,
}

/// Containers that were met: their value, the node they lie in and their name there.
type Node<'p> = (&'p Value<'p>, usize, Label<'p>);

/// A part of a network: its name, and whether it is a layer.
type Part<'p> = (&'p str, &'p Value<'p>, bool);

struct Search<'p> {
    arena: &'p Arena<'p, Checkpoint>,
    nodes: Vec<Node<'p>>,
    waiting: VecDeque<usize>,
    seen: HashSet<(bool, usize)>,
    work: usize,
}

impl<'p> Search<'p> {
    fn add(&mut self, value: &'p Value<'p>, parent: usize, label: Label<'p>) {
        let place = match value {
            Value::Sequence(at) => (false, *at),
            _ => match Arena::<Checkpoint>::dict_of(value) {
                Some(at) => (true, at),
                None => return,
            },
        };
        if self.seen.insert(place) {
            self.nodes.push((value, parent, label));
            self.waiting.push_back(self.nodes.len() - 1);
        }
    }

    /// The entries of a dictionary or object.
    fn entries(&mut self, value: &'p Value<'p>) -> Result<&'p [(Value<'p>, Value<'p>)]> {
        let entries = self.arena.entries(value).unwrap_or_default();
        self.work += entries.len() + 1;
        if self.work > MOST_WORK {
            return Err(corrupt::<Checkpoint>("networks within networks without an end"));
        }
        Ok(entries)
    }

    fn visit(&mut self, node: usize) -> Result<Option<Dictionary<'p>>> {
        let Some((value, ..)) = self.nodes.get(node).copied() else { return Ok(None) };
        if matches!(value, Value::Sequence(_)) {
            let items = self.arena.items(value)?;
            items.iter().zip(0..).for_each(|(item, place)| self.add(item, node, Label::Place(place)));
            return Ok(None);
        }
        if let Value::Object(Object::Instance(class, _)) = value
            && let Some(network) = self.network(node, value, *class)?
        {
            return Ok(Some(network));
        }
        let (mut tensors, mut others) = (vec![], vec![]);
        let entries = self.entries(value)?;
        for (key, value) in entries {
            let label = match key {
                Value::Text(name) => Label::Key(name),
                Value::Int(place) => Label::Place(*place),
                _ => Label::Inside,
            };
            if let Label::Key(name) = label {
                sort(Cow::Borrowed(name), value, &mut tensors, &mut others);
            }
            self.add(value, node, label);
        }
        // The root of a file may be a state dict without tensors: that of a network without parameters.
        let empty = node == 0 && entries.is_empty() && matches!(value, Value::Dict(_));
        let refused = others.iter().any(|(_, value)| matches!(value, Value::Object(Object::Refused(_))));
        let rank = self.rank(node, entries.len() == tensors.len());
        let any = !tensors.is_empty() || refused || empty || (node == 0 && !others.is_empty());
        let taken = any && rank != Rank::Training;
        Ok(taken.then(|| Dictionary { path: self.path(node), rank, origin: Origin::Dictionary, tensors, others }))
    }

    /// The way to a node, from its end.
    fn way(&self, node: usize) -> impl Iterator<Item = Label<'p>> + '_ {
        let mut at = Some(node);
        std::iter::from_fn(move || {
            let (_, parent, label) = self.nodes.get(at?)?;
            at = (!matches!(label, Label::Root)).then_some(*parent);
            Some(*label)
        })
    }

    fn path(&self, node: usize) -> String {
        let steps = self.way(node).take(LONGEST_PATH).filter_map(|label| match label {
            Label::Key(name) => Some(name.chars().take(64).collect()),
            Label::Place(place) => Some(place.to_string()),
            Label::Root | Label::Inside => None,
        });
        let mut steps: Vec<String> = steps.collect();
        steps.reverse();
        steps.join(".")
    }

    /// The rank by the worst name on the way; `pure` when nothing stands beside the tensors.
    fn rank(&self, node: usize, pure: bool) -> Rank {
        let names = self.way(node).take(LONGEST_PATH).filter_map(|label| match label {
            Label::Key(name) => Some(rank(name)),
            _ => None,
        });
        match names.max() {
            None if pure => Rank::Usual(0),
            None => Rank::Other,
            Some(worst) => worst,
        }
    }

    /// The tensors of a whole network: an object with layers, or one of TorchScript.
    fn network(&mut self, node: usize, value: &'p Value<'p>, class: Class<'p>) -> Result<Option<Dictionary<'p>>> {
        let scripted = is_script(class);
        if !scripted && self.attribute(value, "_parameters")?.is_none() {
            return Ok(None);
        }
        let (mut tensors, mut others) = (vec![], vec![]);
        let mut stack = vec![(value, String::new())];
        while let Some((layer, prefix)) = stack.pop() {
            let mut parts = vec![];
            if scripted {
                self.scripted(layer, &mut parts)?;
            } else {
                self.layer(layer, &mut parts)?;
            }
            let mut inner = vec![];
            for (name, value, is_layer) in parts {
                let full = format!("{prefix}{name}");
                if full.len() > LONGEST_NAME || tensors.len() + stack.len() + inner.len() > MOST_TENSORS {
                    return Err(corrupt::<Checkpoint>("a network without an end"));
                }
                if is_layer {
                    inner.push((value, full + "."));
                } else {
                    sort(Cow::Owned(full), value, &mut tensors, &mut others);
                }
            }
            inner.reverse();
            stack.append(&mut inner);
        }
        let origin = if scripted { Origin::Script } else { Origin::Network(class.to_string()) };
        let rank = self.rank(node, true);
        let taken = rank != Rank::Training && !(tensors.is_empty() && others.is_empty());
        Ok(taken.then(|| Dictionary { path: self.path(node), rank, origin, tensors, others }))
    }

    /// The parts of a layer in the order of its state dict: parameters, buffers, layers.
    fn layer(&mut self, layer: &'p Value<'p>, parts: &mut Vec<Part<'p>>) -> Result<()> {
        let passing = self.attribute(layer, "_non_persistent_buffers_set")?;
        let passing: HashSet<&str> = passing.map(|set| self.texts(set)).unwrap_or_default();
        for group in ["_parameters", "_buffers", "_modules"] {
            let Some(group_of) = self.attribute(layer, group)? else { continue };
            if let Some(at) = Arena::<Checkpoint>::dict_of(group_of) {
                self.seen.insert((true, at));
            }
            for (key, value) in self.entries(group_of)? {
                if let (Value::Text(name), Value::Object(_)) = (key, value)
                    && !(group == "_buffers" && passing.contains(name))
                {
                    let is_layer = group == "_modules" && matches!(value, Value::Object(Object::Instance(..)));
                    parts.push((name, value, is_layer));
                }
            }
        }
        Ok(())
    }

    /// The tensors and layers among the attributes of an object of TorchScript.
    fn scripted(&mut self, layer: &'p Value<'p>, parts: &mut Vec<Part<'p>>) -> Result<()> {
        for (_, state) in self.entries(layer)? {
            for (key, value) in self.entries(state)? {
                match (key, value) {
                    (Value::Text(name), Value::Object(Object::Instance(class, _))) if is_script(*class) => {
                        parts.push((name, value, true));
                    }
                    (Value::Text(name), Value::Object(Object::Tensor(_) | Object::Refused(_))) => {
                        parts.push((name, value, false));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// An attribute of an object: a part of the state it was given.
    fn attribute(&mut self, object: &'p Value<'p>, name: &str) -> Result<Option<&'p Value<'p>>> {
        let mut found = None;
        for (key, state) in self.entries(object)? {
            if matches!(key, Value::None) {
                let entries = self.entries(state)?;
                let here = entries.iter().rev().find(|(key, _)| matches!(key, Value::Text(text) if *text == name));
                found = here.map(|(_, value)| value).or(found);
            }
        }
        Ok(found)
    }

    /// The texts of a set, whichever way it was written.
    fn texts(&self, set: &'p Value<'p>) -> HashSet<&'p str> {
        let items = |value: &'p Value<'p>| self.arena.items(value).unwrap_or_default().iter();
        let made_of =
            self.arena.entries(set).unwrap_or_default().iter().flat_map(|(_, value)| items(value)).flat_map(items);
        let text = |value: &'p Value<'p>| if let Value::Text(text) = value { Some(*text) } else { None };
        items(set).chain(made_of).filter_map(text).take(MOST_TENSORS).collect()
    }
}

fn is_script(class: Class<'_>) -> bool {
    class.0 == "__torch__" || class.0.starts_with("__torch__.")
}

/// Puts a value where it belongs.
fn sort<'p>(
    name: Cow<'p, str>,
    value: &'p Value<'p>,
    tensors: &mut Vec<(Cow<'p, str>, Rc<Strided>)>,
    others: &mut Vec<(Cow<'p, str>, Value<'p>)>,
) {
    match value {
        Value::Object(Object::Tensor(tensor)) => tensors.push((name, Rc::clone(tensor))),
        Value::Object(Object::Refused(_) | Object::Instance(..)) => others.push((name, value.clone())),
        _ => {}
    }
}
