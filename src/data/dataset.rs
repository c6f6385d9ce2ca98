//! A dataset is a list of samples of one or more storages: picking, sampling and joining copy no pixels.

use super::storage::{DatasetInfo, Storage, short_hash};
use crate::nn::Shape;
use crate::runtime::{Error, Result, Stream};
use sha2::{Digest, Sha256};
use std::rc::Rc;
use tch::{Device, Tensor};

/// A list of samples.
#[derive(Clone)]
pub struct Dataset {
    pub(super) parts: Rc<Vec<Part>>,
    pub(super) samples: Rc<Vec<Sample>>,
}

/// A storage, and the logits that belong to (some of) its rows.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) storage: Rc<Storage>,
    pub(super) logits: Option<Rc<Tensor>>,
}

impl Part {
    fn same(&self, other: &Self) -> bool {
        let logits = match (&self.logits, &other.logits) {
            (None, None) => true,
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            _ => false,
        };
        logits && Rc::ptr_eq(&self.storage, &other.storage)
    }
}

/// A row of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) part: u32,
    pub(super) row: u32,
}

/// Distinct values, ascending.
pub fn distinct(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut seen: Vec<i64> = values.collect();
    seen.sort_unstable();
    seen.dedup();
    seen
}

impl Dataset {
    /// All rows of a storage.
    pub fn new(storage: Storage) -> Self {
        let samples = (0..storage.len() as u32).map(|row| Sample { part: 0, row }).collect();
        Self { parts: Rc::new(vec![Part { storage: Rc::new(storage), logits: None }]), samples: Rc::new(samples) }
    }

    /// Images and labels, kept on the device the images are on.
    ///
    /// # Errors
    /// Wrong ranks or dtypes, unequal counts, labels outside 0..classes.
    pub fn from_tensors(images: &Tensor, labels: &Tensor, info: DatasetInfo) -> Result<Self> {
        Ok(Self::new(Storage::new(images, labels, info, images.device())?))
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// How many classes the labels are drawn from (whether they occur here or not).
    pub fn classes(&self) -> usize {
        self.parts.iter().map(|part| part.storage.classes()).max().unwrap_or(0)
    }

    /// Channels, height and width of an image.
    pub fn shape(&self) -> Shape {
        self.parts.first().map_or(Shape { channels: 1, height: 1, width: 1 }, |part| part.storage.shape())
    }

    /// Where the images live.
    pub fn device(&self) -> Device {
        self.parts.first().map_or(Device::Cpu, |part| part.storage.device())
    }

    /// Name, classes and normalisation of the first storage.
    pub fn info(&self) -> DatasetInfo {
        let info = self.parts.first().map(|part| part.storage.info()).unwrap_or_default();
        DatasetInfo { classes: Some(self.classes()), ..info }
    }

    /// The labels, on the host.
    pub fn labels(&self) -> Vec<i64> {
        (0..self.len()).map(|position| self.label(position)).collect()
    }

    /// The classes that occur, ascending.
    pub fn present(&self) -> Vec<i64> {
        let mut seen = vec![false; self.classes()];
        for position in 0..self.len() {
            if let Some(flag) = seen.get_mut(self.label(position) as usize) {
                *flag = true;
            }
        }
        seen.iter().enumerate().filter(|(_, flag)| **flag).map(|(class, _)| class as i64).collect()
    }

    /// The names of the classes in the order of the labels; empty where they have none.
    pub fn class_names(&self) -> &[String] {
        let named = self.parts.iter().map(|part| part.storage.labelling().classes.as_slice());
        named.max_by_key(|names| names.len()).unwrap_or_default()
    }

    /// The file of the sample at a position, relative to the folder of all; none where it has no file of its own.
    pub fn file(&self, position: usize) -> Option<&str> {
        let sample = self.samples.get(position)?;
        let storage = &self.parts.get(sample.part as usize)?.storage;
        storage.labelling().files.get(sample.row as usize).map(String::as_str)
    }

    /// The folder that the files lie below; none where there are none.
    pub fn root(&self) -> Option<&std::path::Path> {
        let labelled = self.parts.iter().map(|part| part.storage.labelling());
        labelled.filter(|labelling| !labelling.files.is_empty()).map(|labelling| labelling.root.as_path()).next()
    }

    /// The files of all samples, in their order.
    ///
    /// # Errors
    /// Samples that have no file of their own.
    pub fn files(&self) -> Result<Vec<&str>> {
        let files: Vec<&str> = (0..self.len()).filter_map(|position| self.file(position)).collect();
        if files.len() == self.len() {
            return Ok(files);
        }
        let message = format!("{} of {} samples have no file of their own", self.len() - files.len(), self.len());
        Err(Error::new("files", message).hint("load_data(folder) and load_dataset(folder) read folders of pictures"))
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn sample_at(&self, position: usize) -> Sample {
        self.samples.get(position).copied().unwrap_or(Sample { part: 0, row: 0 })
    }

    pub(super) fn label(&self, position: usize) -> i64 {
        let sample = self.sample_at(position);
        let labels = self.parts.get(sample.part as usize).map(|part| part.storage.labels());
        labels.and_then(|l| l.get(sample.row as usize)).copied().unwrap_or(0)
    }

    /// Whether every sample has cached logits.
    pub fn has_logits(&self) -> bool {
        self.parts.iter().all(|part| part.logits.is_some())
    }

    /// Identity of each sample: the storage it lies in and its row there.
    pub fn keys(&self) -> Vec<(u64, usize)> {
        let storages: Vec<u64> = self.parts.iter().map(|part| Rc::as_ptr(&part.storage) as usize as u64).collect();
        let key = |s: &Sample| (storages.get(s.part as usize).copied().unwrap_or(0), s.row as usize);
        self.samples.iter().map(key).collect()
    }

    /// A hash of content, preparation and the samples listed: the same in every process.
    ///
    /// # Errors
    /// Those of torch, when a storage on a device is read back for hashing.
    pub fn id(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        for part in self.parts.iter() {
            hasher.update(part.storage.content_id()?);
        }
        for sample in self.samples.iter() {
            hasher.update(sample.part.to_le_bytes());
            hasher.update(sample.row.to_le_bytes());
        }
        Ok(short_hash(hasher))
    }

    fn with_samples(&self, samples: Vec<Sample>) -> Self {
        Self { parts: Rc::clone(&self.parts), samples: Rc::new(samples) }
    }

    /// The samples at these positions, in this order; positions beyond the end are left out.
    #[must_use]
    pub fn subset(&self, positions: &[usize]) -> Self {
        self.with_samples(positions.iter().filter_map(|p| self.samples.get(*p)).copied().collect())
    }

    /// The samples of these classes.
    #[must_use]
    pub fn of(&self, classes: &[i64]) -> Self {
        let mut wanted = vec![false; self.classes()];
        for class in classes {
            if let Some(flag) = usize::try_from(*class).ok().and_then(|c| wanted.get_mut(c)) {
                *flag = true;
            }
        }
        if wanted.iter().all(|flag| *flag) {
            return self.clone();
        }
        let keep = |position: &usize| wanted.get(self.label(*position) as usize).copied().unwrap_or(false);
        let positions: Vec<usize> = (0..self.len()).filter(keep).collect();
        self.subset(&positions)
    }

    /// The first `n` samples, or all when there are fewer.
    #[must_use]
    pub fn take(&self, n: usize) -> Self {
        self.with_samples(self.samples.iter().take(n).copied().collect())
    }

    /// All samples in a random order.
    #[must_use]
    pub fn shuffle(&self, stream: &mut Stream) -> Self {
        self.subset(&stream.permutation(self.len()))
    }

    /// `n` samples without replacement.
    ///
    /// # Errors
    /// When there are fewer than `n`.
    pub fn sample(&self, n: usize, stream: &mut Stream) -> Result<Self> {
        if n > self.len() {
            let message = format!("{n} samples asked for, the dataset has {}", self.len());
            return Err(Error::new("sample", message).hint("sample_up_to(n) takes what there is"));
        }
        Ok(self.sample_up_to(n, stream))
    }

    /// `n` samples without replacement, or all in a random order when there are fewer.
    #[must_use]
    pub fn sample_up_to(&self, n: usize, stream: &mut Stream) -> Self {
        self.subset(&stream.sample(self.len(), n))
    }

    /// The samples of both, this one's first.
    ///
    /// # Errors
    /// When images or devices differ.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        if self.is_empty() || other.is_empty() {
            return Ok(if self.is_empty() { other.clone() } else { self.clone() });
        }
        for (what, ours, theirs) in [
            ("image shapes", format!("{:?}", self.dims()), format!("{:?}", other.dims())),
            ("devices", format!("{:?}", self.device()), format!("{:?}", other.device())),
        ] {
            if ours != theirs {
                return Err(Error::new("+", format!("datasets of different {what}: {ours} and {theirs}")));
            }
        }
        let mut parts = self.parts.as_ref().clone();
        let numbers: Vec<u32> = other
            .parts
            .iter()
            .map(|part| match parts.iter().position(|known| known.same(part)) {
                Some(number) => number as u32,
                None => {
                    parts.push(part.clone());
                    parts.len() as u32 - 1
                }
            })
            .collect();
        let mut samples = self.samples.as_ref().clone();
        let moved = |s: &Sample| Sample { part: numbers.get(s.part as usize).copied().unwrap_or(0), row: s.row };
        samples.extend(other.samples.iter().map(moved));
        Ok(Self { parts: Rc::new(parts), samples: Rc::new(samples) })
    }

    /// The dimensions of one image as networks get it.
    pub fn dims(&self) -> Vec<i64> {
        self.parts.first().map(|part| part.storage.dims()).unwrap_or_default()
    }

    /// One line about it: `500 images · [1, 8, 8] · 10 classes`.
    pub fn describe(&self) -> String {
        let name = self.info().name;
        let name = if name.is_empty() { name } else { format!("{name}: ") };
        format!("{name}{} samples · {:?} · {} classes", self.len(), self.dims(), self.present().len())
    }
}
