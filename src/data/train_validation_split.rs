//! How a data set's samples are divided: what is kept, what validates, what trains.

use crate::data::share::truncated;
use crate::runtime::{Error, Options, Result, Stream};
use std::fmt;

/// The share of a training part that validates unless said otherwise.
const SHARE: f64 = 0.1;

/// More padding than any network here has a use for.
const LARGEST_PAD: usize = 64;

/// How a data set is to be prepared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preparation {
    /// At most so many training samples of each class.
    pub per_class: Option<usize>,
    /// What choices are drawn from.
    pub seed: u64,
    /// The share of every class of the training part that validates, where there is no part for that; 0: none does.
    pub validation: Option<f64>,
    /// Whether the usual number of training samples of each class is kept before anything else, not all of them.
    pub balanced: bool,
    /// Black pixels added on every side.
    pub pad: usize,
}

/// The text that goes into a data set's id: what is as usual is left out.
impl fmt::Display for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preparation {{ per_class: {:?}, seed: {}", self.per_class, self.seed)?;
        if let Some(share) = self.validation.filter(|share| *share != SHARE) {
            write!(f, ", validation: {share}")?;
        }
        if !self.balanced {
            write!(f, ", balanced: false")?;
        }
        if self.pad > 0 {
            write!(f, ", pad: {}", self.pad)?;
        }
        write!(f, " }}")
    }
}

/// What a data set is like before it is divided.
#[derive(Debug, Clone, Copy)]
pub struct Nature<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// Whether it brings its own validation part.
    pub validates: bool,
    /// How many training samples of each class are usually kept.
    pub balanced: Option<usize>,
    /// Whether its parts are fixed: nothing is drawn unless a cap is given.
    pub fixed: bool,
    /// Whether it is someone's own, which has no usual number of samples.
    pub own: bool,
}

impl Preparation {
    /// Reads the options of `dataset`.
    ///
    /// # Errors
    /// Unknown options, values out of range, and options that would have no effect on this data set.
    pub fn read(mut o: Options, nature: Nature<'_>) -> Result<Self> {
        let preparation = Self::take(&mut o, nature)?;
        o.finish()?;
        Ok(preparation)
    }

    /// As `read`, for a function with more options.
    ///
    /// # Errors
    /// As `read`, but for unknown options.
    pub fn take(o: &mut Options, nature: Nature<'_>) -> Result<Self> {
        let per_class = o.maybe_integer("per_class", 1)?.map(|n| n as usize);
        let seed = o.maybe_integer("seed", 0)?;
        let validation = o.maybe_number("validation")?;
        let balanced = if nature.own { None } else { o.maybe_flag("balanced")? };
        let pad = if nature.own { None } else { o.maybe_integer("pad", 0)? }.unwrap_or(0) as usize;
        if pad > LARGEST_PAD {
            let message = format!("`pad` must be at most {LARGEST_PAD} pixels, got {pad}");
            return Err(Error::new("dataset", message).word("pad"));
        }
        let useless = |word: &str, why: &str| {
            Error::new("dataset", format!("`{word}` has no effect on {}, {why}", nature.name)).word(word)
        };
        if let Some(share) = validation.filter(|share| !(0.0..=0.5).contains(share)) {
            return Err(Error::new("dataset", format!("`validation` must be between 0 and 0.5, got {share}"))
                .word("validation"));
        }
        if nature.validates && validation.is_some_and(|share| share > 0.0) {
            return Err(useless("validation", "which has a validation part of its own")
                .hint("`validation: 0` leaves that part out"));
        }
        if balanced.is_some() && nature.balanced.is_none() {
            return Err(useless("balanced", "of which all training samples are kept anyway"));
        }
        if nature.fixed && seed.is_some() && per_class.is_none() {
            return Err(useless("seed", "whose parts are fixed").hint("it chooses the samples that `per_class` keeps"));
        }
        let (seed, balanced) = (seed.unwrap_or(0) as u64, balanced.unwrap_or(true));
        Ok(Self { per_class, seed, validation, balanced, pad })
    }

    /// The rows to train on and to validate with, ascending; `usual` is how many of a class are kept beforehand. A part of
    /// the data set's own that validates makes the second empty.
    pub fn divide(self, labels: &[i64], usual: Option<usize>, validates: bool) -> (Vec<usize>, Vec<usize>) {
        let usual = usual.filter(|_| self.balanced).unwrap_or(usize::MAX);
        let share = if validates { 0.0 } else { self.validation.unwrap_or(SHARE) };
        let (mut train, mut validation) = (vec![], vec![]);
        for rows in shuffled_classes(labels, self.seed) {
            let rows = rows.get(..usual.min(rows.len())).unwrap_or_default();
            let (held, rest) = rows.split_at(truncated(share, rows.len()).min(rows.len()));
            validation.extend_from_slice(held);
            train.extend(rest.iter().take(self.per_class.unwrap_or(usize::MAX)));
        }
        train.sort_unstable();
        validation.sort_unstable();
        (train, validation)
    }
}

/// Refuses a `per_class` that no class has as many samples as.
///
/// # Errors
/// Names it and the size of the largest class.
pub fn refuse_excess(operation: &str, per_class: usize, labels: &[i64]) -> Result<()> {
    let mut sizes = std::collections::HashMap::new();
    labels.iter().for_each(|label| *sizes.entry(label).or_insert(0_usize) += 1);
    match sizes.into_values().max() {
        Some(largest) if per_class > largest => {
            let message = format!("`per_class` is {per_class}, the largest class has {largest} samples");
            Err(Error::new(operation, message).word("per_class"))
        }
        _ => Ok(()),
    }
}

/// The rows of each class, in a random order of their own.
pub fn shuffled_classes(labels: &[i64], seed: u64) -> Vec<Vec<usize>> {
    let mut classes: Vec<Vec<usize>> = vec![];
    for (row, label) in labels.iter().enumerate() {
        let class = usize::try_from(*label).unwrap_or(0);
        if class >= classes.len() {
            classes.resize(class + 1, vec![]);
        }
        if let Some(rows) = classes.get_mut(class) {
            rows.push(row);
        }
    }
    for (class, rows) in classes.iter_mut().enumerate() {
        let order = Stream::new(seed, &format!("class {class}")).permutation(rows.len());
        *rows = order.iter().filter_map(|place| rows.get(*place)).copied().collect();
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rhai::{Dynamic, Map};

    const PLAIN: Nature = Nature { name: "x", validates: false, balanced: None, fixed: false, own: false };

    fn read(pairs: &[(&str, Dynamic)], nature: Nature<'_>) -> Result<Preparation> {
        let map: Map = pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        Preparation::read(Options::new("dataset", map), nature)
    }

    #[test]
    fn options_without_effect_are_refused() {
        let message = |pairs: &[(&str, Dynamic)], nature| read(pairs, nature).unwrap_err().to_string();
        let own = Nature { validates: true, ..PLAIN };
        assert!(message(&[("validation", 0.2.into())], own).contains("a validation part of its own"));
        assert_eq!(read(&[("validation", 0_i64.into())], own).unwrap().validation, Some(0.0));
        assert!(message(&[("balanced", true.into())], PLAIN).contains("all training samples are kept anyway"));
        assert!(message(&[("seed", 3_i64.into())], Nature { fixed: true, ..PLAIN }).contains("whose parts are fixed"));
        assert!(message(&[("validation", 0.7.into())], PLAIN).contains("between 0 and 0.5"));
        assert!(message(&[("pad", 65_i64.into())], PLAIN).contains("at most 64 pixels"));
        assert!(message(&[("pad", 2_i64.into())], Nature { own: true, ..PLAIN }).contains("unknown option `pad`"));
    }

    #[test]
    fn svhn_has_exactly_its_cap_of_every_class_when_nothing_validates() {
        let counts = [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659];
        let labels: Vec<i64> = (0..10).flat_map(|class| std::iter::repeat_n(class, counts[class as usize])).collect();
        assert_eq!(labels.len(), 73_257);
        let nature = Nature { balanced: Some(4500), ..PLAIN };
        let all = read(&[("validation", 0_i64.into())], nature).unwrap();
        let (train, validation) = all.divide(&labels, Some(4500), false);
        assert_eq!((train.len(), validation.len()), (45_000, 0));
        let usual = read(&[], nature).unwrap();
        let (train, validation) = usual.divide(&labels, Some(4500), false);
        assert_eq!((train.len(), validation.len()), (40_500, 4500));
        let whole = read(&[("balanced", false.into()), ("validation", 0_i64.into())], nature).unwrap();
        assert_eq!(whole.divide(&labels, Some(4500), false).0.len(), 73_257);
        assert_ne!(whole.to_string(), all.to_string());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn divisions_are_disjoint_capped_and_repeatable(
            labels in prop::collection::vec(0_i64..5, 0..200),
            seed in 0_u64..100,
            share in 0.0_f64..0.5,
            cap in 1_usize..30,
        ) {
            let preparation = Preparation { per_class: Some(cap), seed, validation: Some(share), balanced: true, pad: 0 };
            let (train, validation) = preparation.divide(&labels, Some(40), false);
            prop_assert_eq!(&preparation.divide(&labels, Some(40), false), &(train.clone(), validation.clone()));
            for class in 0..5 {
                let of = |rows: &[usize]| rows.iter().filter(|row| labels[**row] == class).count();
                let n = of(&(0..labels.len()).collect::<Vec<_>>()).min(40);
                prop_assert_eq!(of(&validation), truncated(share, n));
                prop_assert_eq!(of(&train), cap.min(n - truncated(share, n)));
            }
            let mut all: Vec<usize> = train.iter().chain(&validation).copied().collect();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), train.len() + validation.len());
        }
    }
}
