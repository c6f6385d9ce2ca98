//! Forget requests: which training samples have to go, and which held-out samples stand for unseen data.

use crate::data::class_names;
use crate::data::dataset::Dataset;
use crate::data::dataset_splits::Data;
use crate::data::share::truncated;
use crate::data::storage::short_hash;
use crate::runtime::options::{as_integer, describe};
use crate::runtime::{Error, Options, Result, Stream};
use sha2::{Digest, Sha256};

/// The modes with the fraction each stands for (0: not a fraction).
pub const MODES: [(&str, f64); 6] = [
    ("uniform", 0.1),
    ("large_uniform", 0.5),
    ("few_uniform", 0.001),
    ("classwise", 0.0),
    ("k_classwise", 0.0),
    ("indices", 0.0),
];

/// The share of the test set that is "unseen" under the reference's variant; the rest is its test part.
const REFERENCE_UNSEEN: f64 = 0.7;

/// The share of the test set that is "unseen" where a data set has no part to validate with.
const WITHOUT_VALIDATION: f64 = 0.5;

/// The classes the reference forgets in its `k_classwise` mode.
const REFERENCE_CLASSES: [i64; 3] = [1, 2, 3];

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A random share of the training set, truncated to whole samples.
    Fraction { mode: String, fraction: f64 },
    /// So many random samples.
    Count { mode: String, count: usize },
    /// Every sample of one class; drawn from the seed when `None`.
    Class(Option<i64>),
    /// Every sample of the class of this name.
    Named(String),
    /// Every sample of these classes.
    Classes(Vec<i64>),
    /// These positions of the training set.
    Indices(Vec<i64>),
    /// Samples that a selection came to, under its own name.
    Chosen { name: String, positions: Vec<usize> },
}

/// A training set divided by a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Split {
    /// Positions in the training set that have to be forgotten, ascending.
    pub forget: Vec<usize>,
    /// Positions that earlier requests have removed, ascending; mostly empty.
    pub gone: Vec<usize>,
    /// The others, ascending.
    pub retain: Vec<usize>,
    /// The name of the mode.
    pub mode: String,
    /// The share asked for, in the modes that ask for one.
    pub fraction: Option<f64>,
    /// The classes forgotten whole, drawn ones included.
    pub classes: Vec<i64>,
    /// The seed everything was drawn from.
    pub seed: u64,
    /// A hash of the request, the data and the samples: equal splits, equal id.
    pub split_id: String,
}

/// A split with the held-out parts that go with it.
#[derive(Clone)]
pub struct Partition {
    /// The division of the training set; its id covers the held-out parts too.
    pub split: Split,
    /// Samples to forget.
    pub forget: Dataset,
    /// Samples to keep.
    pub retain: Dataset,
    /// Samples of the same distribution that no model has seen and methods may use.
    pub unseen: Dataset,
    /// Samples for evaluation only.
    pub test: Dataset,
    /// What stands for a part that the data set does not have, in words.
    pub substitute: Option<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self::Fraction { mode: "uniform".into(), fraction: 0.1 }
    }
}

impl Request {
    /// Reads `mode` and what belongs to it: `fraction` or `count`, `class`, `classes`, `indices`.
    ///
    /// # Errors
    /// An unknown mode, a value out of range, both a fraction and a count.
    pub fn read(options: &mut Options) -> Result<Self> {
        let names: Vec<&str> = MODES.iter().map(|(name, _)| *name).collect();
        let mode = options.choice("mode", "uniform", &names)?;
        match mode.as_str() {
            "classwise" => match options.take("class", "int or string", "()") {
                None => Ok(Self::Class(None)),
                Some(value) => match (as_integer(&value).filter(|class| *class >= 0), value.clone().into_string()) {
                    (Some(class), _) => Ok(Self::Class(Some(class))),
                    (None, Ok(name)) => Ok(Self::Named(name)),
                    (None, Err(_)) => {
                        let given = describe(&value);
                        let message = format!("`class` must be the number or the name of a class, got {given}");
                        Err(Error::new("forget", message).word("class"))
                    }
                },
            },
            "k_classwise" => {
                Ok(Self::Classes(options.maybe_integers("classes")?.unwrap_or_else(|| REFERENCE_CLASSES.to_vec())))
            }
            "indices" => match options.maybe_integers("indices")? {
                Some(indices) => Ok(Self::Indices(indices)),
                None => Err(Error::new("forget", "mode \"indices\" needs `indices`")
                    .hint("give positions of the training set, e.g. indices: [0, 5, 9]")
                    .word("mode")),
            },
            _ => {
                let usual = MODES.iter().find(|(name, _)| *name == mode).map_or(0.1, |(_, fraction)| *fraction);
                let fraction = options.maybe_number("fraction")?;
                match (fraction, options.maybe_integer("count", 0)?) {
                    (Some(_), Some(_)) => {
                        Err(Error::new("forget", "give `fraction` or `count`, not both").word("count"))
                    }
                    (None, Some(count)) => Ok(Self::Count { mode, count: count as usize }),
                    (fraction, None) => Ok(Self::Fraction { mode, fraction: fraction.unwrap_or(usual) }),
                }
            }
        }
    }

    /// The mode's name.
    pub fn mode(&self) -> &str {
        match self {
            Self::Fraction { mode, .. } | Self::Count { mode, .. } => mode,
            Self::Class(_) | Self::Named(_) => "classwise",
            Self::Classes(_) => "k_classwise",
            Self::Indices(_) => "indices",
            Self::Chosen { name, .. } => name,
        }
    }
}

/// Divides a training set into what has to be forgotten and the rest. Everything drawn comes from `seed`.
///
/// # Errors
/// A request that forgets nothing or everything; classes or positions that do not exist.
pub fn split(train: &Dataset, request: &Request, seed: u64) -> Result<Split> {
    if let Request::Named(name) = request {
        let class = class_names::number_of("forget", train.class_names(), train.classes(), name)?;
        return split(train, &Request::Class(Some(class)), seed);
    }
    let n = train.len();
    let mut stream = Stream::new(seed, "forget request");
    let (mut forget, classes, fraction) = match request {
        Request::Fraction { fraction, .. } => {
            if !(0.0..=1.0).contains(fraction) {
                return Err(Error::new("forget", format!("`fraction` must be between 0 and 1, got {fraction}"))
                    .word("fraction"));
            }
            (stream.sample(n, truncated(*fraction, n)), vec![], Some(*fraction))
        }
        Request::Count { count, .. } => {
            if *count > n {
                return Err(
                    Error::new("forget", format!("`count` is {count}, the training set has {n} samples")).word("count")
                );
            }
            (stream.sample(n, *count), vec![], None)
        }
        Request::Class(class) => {
            let present = train.present();
            let class = class.or_else(|| present.get(stream.below(present.len())).copied()).unwrap_or(0);
            (of_classes(train, &[class])?, vec![class], None)
        }
        Request::Classes(classes) => {
            // One request has one name, in whatever order its classes are given.
            let classes: Vec<i64> =
                std::collections::BTreeSet::from_iter(classes.iter().copied()).into_iter().collect();
            (of_classes(train, &classes)?, classes, None)
        }
        Request::Indices(indices) => (checked_indices(indices, n)?, vec![], None),
        Request::Named(_) => (vec![], vec![], None),
        Request::Chosen { positions, .. } => (positions.clone(), vec![], None),
    };
    forget.sort_unstable();
    refuse_extremes(request, forget.len(), n)?;
    let split = Split { forget, mode: request.mode().into(), fraction, classes, seed, ..Split::default() };
    split.complete(train)
}

/// The split of `data.train` with its held-out parts: unseen is the validation part, test the test part; under the
/// reference's variant 70 % of the test part is unseen and the rest is test. Without a validation part half of the test part
/// is unseen.
///
/// # Errors
/// Those of `split`; a data set without the parts it needs.
pub fn partition(data: &Data, request: &Request, reference: bool, seed: u64) -> Result<Partition> {
    with_held_out(data, split(&data.train, request, seed)?, reference)
}

/// A split of `data.train`, made by `split` or completed, with the held-out parts that go with it.
///
/// # Errors
/// A data set without the parts it needs.
pub fn with_held_out(data: &Data, mut split: Split, reference: bool) -> Result<Partition> {
    let seed = split.seed;
    let halved = !reference && data.validation.is_empty();
    let (unseen, test) = match (reference, halved) {
        (true, _) => reference_parts(&data.test, seed),
        (_, true) => divided(&data.test, WITHOUT_VALIDATION, seed),
        _ => (data.validation.clone(), data.test.clone()),
    };
    if unseen.is_empty() || test.is_empty() {
        let part = if test.is_empty() { "test" } else { "validation" };
        let error = Error::new("forget", format!("{} has no {part} part", data.name));
        return Err(match halved {
            true => {
                error.note(format!("its test part has {} samples, too few to take unseen ones from", data.test.len()))
            }
            false => error,
        });
    }
    let substitute = halved.then(|| {
        format!(
            "{} has no validation part: {} random samples of its test part are the unseen ones, the other {} test",
            data.name,
            unseen.len(),
            test.len()
        )
    });
    split.split_id = split.identify(&[&data.train, &unseen, &test])?;
    let (forget, retain) = (data.train.subset(&split.forget), data.train.subset(&split.retain));
    Ok(Partition { split, forget, retain, unseen, test, substitute })
}

/// The reference's division of the test set: a random 70 % for methods to use, the rest to evaluate on.
pub fn reference_parts(test: &Dataset, seed: u64) -> (Dataset, Dataset) {
    divided(test, REFERENCE_UNSEEN, seed)
}

/// A random share of the test set, and the rest.
fn divided(test: &Dataset, share: f64, seed: u64) -> (Dataset, Dataset) {
    let order = Stream::new(seed, "unseen part of test").permutation(test.len());
    let (unseen, rest) = order.split_at(truncated(share, test.len()).min(test.len()));
    let sorted = |positions: &[usize]| {
        let mut positions = positions.to_vec();
        positions.sort_unstable();
        test.subset(&positions)
    };
    (sorted(unseen), sorted(rest))
}

impl Split {
    /// The split of `train` that these forgotten and gone positions, each ascending, make: the retained ones and the id.
    ///
    /// # Errors
    /// Positions beyond the training set; nothing left to forget or to retain.
    pub fn complete(mut self, train: &Dataset) -> Result<Self> {
        let n = train.len();
        let mut taken = vec![false; n];
        for position in self.forget.iter().chain(&self.gone) {
            match taken.get_mut(*position) {
                Some(flag) if !*flag => *flag = true,
                Some(_) => {
                    return Err(Error::new("forget", format!("sample {position} is forgotten twice"))
                        .hint("what earlier requests have removed cannot be forgotten again"));
                }
                None => {
                    let message = format!("sample {position} is outside the training set (0..{n})");
                    return Err(Error::new("forget", message));
                }
            }
        }
        self.retain = (0..n).filter(|position| taken.get(*position) == Some(&false)).collect();
        if self.forget.is_empty() || self.retain.is_empty() {
            let what = if self.forget.is_empty() { "to forget" } else { "to retain" };
            return Err(Error::new("forget", format!("{} leaves nothing {what}", self.mode)));
        }
        self.split_id = self.identify(&[train])?;
        Ok(self)
    }

    /// Hashes the samples forgotten, how they were chosen, and the datasets involved.
    fn identify(&self, datasets: &[&Dataset]) -> Result<String> {
        let mut hasher = Sha256::new();
        hasher.update(format!("{} {:?} {:?} {}", self.mode, self.fraction, self.classes, self.seed));
        self.forget.iter().for_each(|position| hasher.update((*position as u64).to_le_bytes()));
        if !self.gone.is_empty() {
            hasher.update("gone");
            self.gone.iter().for_each(|position| hasher.update((*position as u64).to_le_bytes()));
        }
        for dataset in datasets {
            hasher.update(dataset.id()?);
        }
        Ok(short_hash(hasher))
    }
}

/// The positions of every sample of these classes.
fn of_classes(train: &Dataset, classes: &[i64]) -> Result<Vec<usize>> {
    let labels = train.labels();
    for class in classes {
        if !labels.contains(class) {
            let present: Vec<String> = train.present().iter().map(ToString::to_string).collect();
            return Err(Error::new("forget", format!("the training set has no sample of class {class}"))
                .hint(format!("its classes are {}", present.join(", "))));
        }
    }
    Ok(labels.iter().enumerate().filter(|(_, label)| classes.contains(label)).map(|(position, _)| position).collect())
}

/// Positions given by hand: within 0..n, none twice.
fn checked_indices(indices: &[i64], n: usize) -> Result<Vec<usize>> {
    let mut seen = vec![false; n];
    let mut positions = Vec::with_capacity(indices.len());
    for index in indices {
        let Some(position) = usize::try_from(*index).ok().filter(|p| *p < n) else {
            let message = format!("index {index} is outside the training set (0..{n})");
            return Err(Error::new("forget", message).word("indices"));
        };
        if let Some(flag) = seen.get_mut(position) {
            if *flag {
                return Err(Error::new("forget", format!("index {index} is given twice")).word("indices"));
            }
            *flag = true;
        }
        positions.push(position);
    }
    Ok(positions)
}

/// Forgetting nothing, or everything, is a mistake.
fn refuse_extremes(request: &Request, forgotten: usize, n: usize) -> Result<()> {
    if forgotten == 0 {
        let error = Error::new("forget", "the forget set is empty");
        return Err(match request {
            Request::Fraction { fraction, .. } => error
                .note(format!("{fraction} of {n} samples is less than one"))
                .hint("raise `fraction`, or give a `count`")
                .word("fraction"),
            _ => error.hint("name at least one sample or class"),
        });
    }
    if forgotten >= n {
        return Err(Error::new("forget", format!("the forget set is the whole training set ({n} samples)"))
            .hint("something has to be retained; a new network forgets everything"));
    }
    Ok(())
}
