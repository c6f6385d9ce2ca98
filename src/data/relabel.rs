//! The same images under other labels: given ones, or those of two classes exchanged.

use crate::data::dataset::{Dataset, Part, Sample};
use crate::data::share::truncated;
use crate::runtime::{Error, Result, Stream};
use std::rc::Rc;

/// New labels for rows of one part. A row that is listed twice with different labels needs a second relabelling.
struct Relabelling {
    part: usize,
    labels: Vec<i64>,
    given: Vec<bool>,
}

impl Relabelling {
    /// Takes the label for a row, unless the row has another one already.
    fn takes(&mut self, row: usize, label: i64) -> bool {
        match (self.given.get_mut(row), self.labels.get_mut(row)) {
            (Some(given), Some(known)) if !*given || *known == label => {
                (*given, *known) = (true, label);
                true
            }
            _ => false,
        }
    }
}

impl Dataset {
    /// The same samples with these labels, one each. No pixels are copied; cached logits stay.
    ///
    /// # Errors
    /// Another number of labels than samples; labels outside the classes.
    pub fn with_labels(&self, labels: &[i64]) -> Result<Self> {
        let classes = self.classes();
        check(labels, self.len(), classes)?;
        if self.is_empty() {
            return Ok(self.clone());
        }
        let mut found: Vec<Relabelling> = vec![];
        let mut samples = Vec::with_capacity(self.len());
        for (position, label) in labels.iter().enumerate() {
            let Sample { part, row } = self.sample_at(position);
            let (part, line) = (part as usize, row as usize);
            let number = match found.iter_mut().position(|r| r.part == part && r.takes(line, *label)) {
                Some(number) => number,
                None => {
                    let old = self.parts().get(part).map(|p| p.storage.labels().to_vec()).unwrap_or_default();
                    let mut new = Relabelling { part, given: vec![false; old.len()], labels: old };
                    new.takes(line, *label);
                    found.push(new);
                    found.len() - 1
                }
            };
            samples.push(Sample { part: number as u32, row });
        }
        let parts = found.into_iter().filter_map(|r| Some((self.parts().get(r.part)?, r.labels)));
        let parts = parts.map(|(part, labels)| {
            let storage = Rc::new(part.storage.relabelled(labels, classes)?);
            Ok(Part { storage, logits: part.logits.clone() })
        });
        Ok(Self { parts: Rc::new(parts.collect::<Result<_>>()?), samples: Rc::new(samples) })
    }
}

fn check(labels: &[i64], count: usize, classes: usize) -> Result<()> {
    if labels.len() != count {
        return Err(Error::new("with_labels", format!("{} labels for {count} samples", labels.len())));
    }
    match labels.iter().enumerate().find(|(_, l)| **l < 0 || **l >= classes as i64) {
        None => Ok(()),
        Some((place, label)) => {
            let message = format!("label {label} of sample {place} is outside 0..{classes}");
            Err(Error::new("with_labels", message)
                .hint("more classes need a dataset of their own: dataset_from(d.x, labels, #{ classes: .. })"))
        }
    }
}

/// How many samples of each of two classes exchange their labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Extent {
    /// So many of each class.
    Count(usize),
    /// This share of each class, truncated to whole samples.
    Fraction(f64),
}

/// A dataset in which samples of two classes have each other's label.
pub struct Swapped {
    /// The dataset, in the order of the one it was made from.
    pub dataset: Dataset,
    /// Positions of the samples whose label is another now, ascending.
    pub positions: Vec<usize>,
}

/// Gives random samples of class `a` the label `b`, and as many (or as large a share) of class `b` the label `a`.
///
/// # Errors
/// One class twice, a class without enough samples.
pub fn swap_labels(dataset: &Dataset, a: i64, b: i64, extent: Extent, stream: &mut Stream) -> Result<Swapped> {
    if a == b {
        return Err(Error::new("swap_labels", format!("needs two different classes, got {a} twice")));
    }
    let mut labels = dataset.labels();
    let mut positions = vec![];
    for class in [a, b] {
        let own: Vec<usize> = labels.iter().enumerate().filter(|(_, l)| **l == class).map(|(i, _)| i).collect();
        let wanted = match extent {
            Extent::Count(n) => n,
            Extent::Fraction(share) => truncated(share, own.len()),
        };
        if own.is_empty() || wanted > own.len() {
            let message = format!("class {class} has {} samples, {} asked for", own.len(), wanted.max(1));
            return Err(Error::new("swap_labels", message));
        }
        positions.extend(stream.sample(own.len(), wanted).into_iter().filter_map(|i| own.get(i)).copied());
    }
    positions.sort_unstable();
    for position in &positions {
        if let Some(label) = labels.get_mut(*position) {
            *label = if *label == a { b } else { a };
        }
    }
    Ok(Swapped { dataset: dataset.with_labels(&labels)?, positions })
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use super::Extent;
    use crate::data::dataset_script::integers_of;
    use crate::data::storage::integers;
    use crate::runtime::{Error, Options, Run, Script, Stream};
    use crate::tensor::Tensor;
    use rhai::{Array, Dynamic, Map, NativeCallContext};

    type Dataset = super::Dataset;

    /// The same samples with these labels (an array of integers, or Tensor[n] of i64), one for each. No pixels are copied.
    /// Labels must be classes of the dataset.
    ///
    /// # Signature
    /// with_labels(dataset: Dataset, labels: array of int | Tensor[n]) -> Dataset
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits").test;
    /// let shifted = d.with_labels((d.y + 1) % 10);
    /// assert(shifted.labels[0] == (d.labels[0] + 1) % 10 && shifted.x == d.x);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn with_labels(dataset: Dataset, labels: Array) -> Script<Dataset> {
        Ok(dataset.with_labels(&integers_of("with_labels", &labels)?)?)
    }

    #[rhai_fn(return_raw, name = "with_labels")]
    pub fn with_labels_of(dataset: Dataset, labels: Tensor) -> Script<Dataset> {
        let whole = matches!(labels.f_kind(), Ok(tch::Kind::Int64 | tch::Kind::Int | tch::Kind::Uint8));
        if labels.dim() != 1 || !whole {
            let message = format!("labels must be integers of shape [n], got {:?}", labels.size());
            return Err(Error::new("with_labels", message).hint("convert them, e.g. y.to(\"i64\")").into());
        }
        Ok(dataset.with_labels(&integers(&labels)?)?)
    }

    /// A dataset in which random samples of classes `a` and `b` have each other's label: what the interclass confusion test
    /// trains on (Goel et al., arXiv 2201.06640). Returns a map: `dataset`, in the same order and without copied pixels, and
    /// `positions`, an array of the places whose label is another now. Those samples are then to be forgotten, and
    /// `interclass_confusion` tells what is left.
    ///
    /// # Signature
    /// swap_labels(dataset: Dataset, a: int, b: int, #{ fraction: float = 0.5, count: int, seed: int }) -> map
    ///
    /// # Options
    /// - `fraction` (float, 0.5): share of each of the two classes
    /// - `count` (int, none): instead of a share, so many samples of each
    /// - `seed` (int, from the run): which samples
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let swapped = swap_labels(d.train, 3, 8, #{ count: 20 });
    /// assert(swapped.positions.len == 40 && swapped.dataset.of(3).len == d.train.of(3).len);
    /// let task = forget(
    ///     convnet(d, #{ width: 4 }),
    ///     data_from(swapped.dataset, d.validation, d.test),
    ///     #{ mode: "indices", indices: swapped.positions },
    /// );
    /// assert(task.forget.classes == [3, 8]);
    /// ```
    #[rhai_fn(return_raw, volatile, name = "swap_labels")]
    pub fn swap_labels_as(context: NativeCallContext, dataset: Dataset, a: i64, b: i64, options: Map) -> Script<Map> {
        let mut o = Options::new("swap_labels", options);
        let count = o.maybe_integer("count", 0)?;
        let fraction = o.maybe_number("fraction")?;
        let seed = o.maybe_integer("seed", 0)?;
        o.finish()?;
        let extent = match (count, fraction) {
            (Some(_), Some(_)) => {
                let error = Error::new("swap_labels", "give `fraction` or `count`, not both");
                return Err(error.word("count").into());
            }
            (Some(count), None) => Extent::Count(count as usize),
            (None, fraction) => Extent::Fraction(fraction.unwrap_or(0.5)),
        };
        if let Extent::Fraction(share) = extent
            && !(0.0..=1.0).contains(&share)
        {
            let error = Error::new("swap_labels", format!("`fraction` must be between 0 and 1, got {share}"));
            return Err(error.word("fraction").into());
        }
        let mut stream = match seed {
            Some(seed) => Stream::new(seed as u64, "swap_labels"),
            None => Run::of(&context).stream("swap_labels"),
        };
        let swapped = super::swap_labels(&dataset, a, b, extent, &mut stream)?;
        let positions: Array = swapped.positions.iter().map(|p| Dynamic::from(*p as i64)).collect();
        let mut map = Map::new();
        map.insert("dataset".into(), Dynamic::from(swapped.dataset));
        map.insert("positions".into(), positions.into());
        Ok(map)
    }

    #[rhai_fn(return_raw, volatile, name = "swap_labels")]
    pub fn swap_labels(context: NativeCallContext, dataset: Dataset, a: i64, b: i64) -> Script<Map> {
        swap_labels_as(context, dataset, a, b, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DatasetInfo;
    use tch::{Kind, Tensor};

    fn numbered(n: i64, classes: i64) -> Dataset {
        let images = Tensor::arange(n, (Kind::Uint8, tch::Device::Cpu)).reshape([n, 1, 1, 1]);
        let labels = Tensor::from_slice(&(0..n).map(|i| i % classes).collect::<Vec<_>>());
        let info = DatasetInfo { classes: Some(classes as usize), mean: vec![0.5], ..DatasetInfo::default() };
        Dataset::from_tensors(&images, &labels, info).unwrap()
    }

    #[test]
    fn new_labels_share_the_pixels_and_leave_the_old_dataset_alone() {
        let old = numbered(10, 5);
        let new = old.subset(&[7, 2, 4]).with_labels(&[0, 1, 3]).unwrap();
        assert_eq!((new.labels(), old.labels()[7]), (vec![0, 1, 3], 2));
        let address = |d: &Dataset| d.parts()[0].storage.stored().data_ptr();
        assert_eq!(address(&new), address(&old));
        assert_eq!(new.images().unwrap(), old.subset(&[7, 2, 4]).images().unwrap());
        let batch = new.all().unwrap();
        assert_eq!(Vec::<i64>::try_from(&batch.y).unwrap(), [0, 1, 3]);
        assert_ne!(new.id().unwrap(), old.subset(&[7, 2, 4]).id().unwrap());
        assert!(new.keys().iter().all(|key| !old.keys().contains(key)));
    }

    #[test]
    fn a_sample_listed_twice_may_have_two_labels_also_across_joined_datasets() {
        let both = numbered(4, 2).subset(&[0, 1, 0]).plus(&numbered(6, 3)).unwrap();
        let labels: Vec<i64> = (0..9).map(|i| (i * 2 + 1) % 3).collect();
        let new = both.with_labels(&labels).unwrap();
        assert_ne!(labels[0], labels[2]);
        assert_eq!(new.labels(), labels);
        assert_eq!(new.images().unwrap(), both.images().unwrap());
        assert_eq!(new.subset(&[2, 8, 0]).labels(), [labels[2], labels[8], labels[0]]);
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let some = numbered(4, 2);
        let message = |labels: &[i64]| some.with_labels(labels).err().unwrap().to_string();
        assert_eq!(message(&[0]), "with_labels: 1 labels for 4 samples");
        assert_eq!(message(&[0, 1, 2, 0]), "with_labels: label 2 of sample 2 is outside 0..2");
        assert_eq!(some.take(0).with_labels(&[]).unwrap().classes(), 2);
    }

    #[test]
    fn swapping_exchanges_as_many_of_both_classes_and_says_which() {
        let old = numbered(50, 5);
        let swap = |extent, seed| swap_labels(&old, 1, 3, extent, &mut Stream::new(seed, "t"));
        let swapped = swap(Extent::Count(4), 0).unwrap();
        assert_eq!(swapped.positions.len(), 8);
        let (before, after) = (old.labels(), swapped.dataset.labels());
        for position in 0..50 {
            let (old, new) = (before[position], after[position]);
            let exchanged = (old, new) == (1, 3) || (old, new) == (3, 1);
            assert_eq!(exchanged, swapped.positions.contains(&position));
            assert!(exchanged || old == new);
        }
        assert_eq!(swap(Extent::Fraction(1.0), 0).unwrap().positions.len(), 20);
        assert_ne!(swap(Extent::Count(4), 1).unwrap().positions, swapped.positions);
        assert!(swap(Extent::Count(11), 0).is_err());
        assert!(swap_labels(&old, 1, 1, Extent::Count(1), &mut Stream::new(0, "t")).is_err());
    }
}
