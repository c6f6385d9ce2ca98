//! Data sets by name: loaded once a run, divided, under one roof.

use crate::data::catalog::decoded_cache::Images;
use crate::data::catalog::known_datasets::Known;
use crate::data::catalog::local_files::State;
use crate::data::catalog::{decode, known_datasets, local_files};
use crate::data::dataset::Dataset;
use crate::data::dataset_splits::Data;
use crate::data::formats::{Decoded, digits};
use crate::data::storage::{DatasetInfo, Labelling, Storage, short_hash};
use crate::data::train_validation_split::{Nature, Preparation, refuse_excess, shuffled_classes};
use crate::runtime::{At, Error, Options, Result, Run, Stream, options};
use rhai::Map;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use tch::{Device, Tensor};

/// A data set Lethe knows, for lists.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Listing {
    /// What `dataset(name)` takes.
    pub name: String,
    /// What it is.
    pub summary: String,
    /// Whether it can be used here and now.
    pub present: bool,
    /// Where it is, or what is missing and what to do about it.
    pub location: String,
}

/// The digits are divided by one permutation for all time.
const DIGITS_PARTS: [usize; 2] = [797, 500];

/// What is known of digits beforehand.
const DIGITS: Nature<'_> = Nature { name: "digits", validates: true, balanced: None, fixed: true, own: false };

/// What a data set is apart from its images.
#[derive(Debug, Clone)]
pub(super) struct Character {
    /// What messages and rows call it.
    pub name: String,
    /// The names of the classes, in the order of the labels.
    pub class_names: Vec<String>,
    /// Mean of each channel.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel.
    pub std: Vec<f64>,
    /// How many training samples of each class are usually kept.
    pub balanced: Option<usize>,
}

impl From<&Known> for Character {
    fn from(known: &Known) -> Self {
        Self {
            name: known.name.into(),
            class_names: known.classes.iter().map(ToString::to_string).collect(),
            mean: known.mean.to_vec(),
            std: known.std.to_vec(),
            balanced: known.balanced,
        }
    }
}

/// What has been loaded in this run.
#[derive(Default)]
struct Loaded(RefCell<Vec<(String, Data)>>);

/// Every data set there is.
pub fn list() -> Vec<Listing> {
    let digits = Listing {
        name: "digits".into(),
        summary: "handwritten digits, 8 x 8 grey, 797 + 500 + 500, 10 classes (UCI, CC BY 4.0)".into(),
        present: true,
        location: "built in".into(),
    };
    std::iter::once(digits)
        .chain(known_datasets::ALL.iter().filter_map(|known| known_datasets::find(known.name)).map(listing))
        .collect()
}

fn listing(known: &'static Known) -> Listing {
    let (present, location) = match local_files::state(known) {
        Ok(State::Complete(found)) => {
            let place = found.folder.display();
            let odd = local_files::oddity(&found);
            (true, odd.map_or(place.to_string(), |odd| format!("{place} ({odd}: `lethe data verify {}`)", known.name)))
        }
        Ok(State::Incomplete { folder, missing }) => {
            (false, format!("{} lacks {}; {}", folder.display(), missing.join(", "), local_files::advice(known)))
        }
        Ok(State::Absent) => (false, local_files::advice(known)),
        Err(problem) => (false, problem.to_string()),
    };
    Listing { name: known.name.into(), summary: known.summary.into(), present, location }
}

/// Loads (once a run) the data set of this name.
///
/// # Errors
/// An unknown name or option, a file that is missing or damaged.
pub fn load(name: &str, given: Map, run: &Run) -> Result<Data> {
    let known = known_datasets::find(name);
    if known.is_none() && name != "digits" {
        return Err(unknown(name));
    }
    let nature = known.map_or(DIGITS, |known| Nature {
        name: known.name,
        validates: decode::has_validation(known),
        balanced: known.balanced,
        fixed: decode::has_validation(known),
        own: false,
    });
    let preparation = Preparation::read(Options::new("dataset", given), nature)?;
    let key = format!("{name} {preparation}");
    let loaded = run.slot::<Loaded>();
    if let Some((_, data)) = loaded.0.borrow().iter().find(|(known, _)| *known == key) {
        return Ok(data.clone());
    }
    let data = match known {
        Some(known) => {
            let images = decode::images(known, &local_files::require(known)?, preparation.pad, run)?;
            divided(&Character::from(known), images, preparation, known.name, run.device())?
        }
        None => read_digits(preparation, run.device())?,
    };
    if let Some(per_class) = preparation.per_class {
        refuse_excess("dataset", per_class, &data.train.labels())?;
    }
    loaded.0.borrow_mut().push((key, data.clone()));
    Ok(data)
}

/// The error for a name nobody knows.
pub fn unknown(name: &str) -> Error {
    let names: Vec<&str> =
        std::iter::once("digits").chain(known_datasets::ALL.iter().map(|known| known.name)).collect();
    let error = Error::new("dataset", format!("there is no data set {name:?}"))
        .word(name)
        .note(format!("data sets: {}", names.join(", ")));
    match options::nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error.hint("load_data(folder), load_dataset(path) and dataset_from(images, labels) take your own data"),
    }
}

fn read_digits(preparation: Preparation, device: Device) -> Result<Data> {
    let (pixels, labels) = digits::read()?;
    let n = labels.len();
    let id = identity("digits", preparation, &[&pixels, &labels]);
    let wide = labels.iter().map(|label| u16::from(*label)).collect();
    let decoded = Decoded { shape: [1, 8, 8], images: pixels, labels: wide, order: vec![] }.padded(preparation.pad);
    let [channels, height, width] = decoded.shape.map(|side| side as i64);
    let info = DatasetInfo {
        name: "digits".into(),
        classes: Some(10),
        mean: vec![0.3053],
        std: vec![0.3760],
        scale: Some(16.0),
    };
    let images = Tensor::f_from_slice(&decoded.images).at("dataset")?;
    let images = images.f_view([n as i64, channels, height, width]).at("dataset")?;
    let names: Vec<String> = (0..10).map(|digit: i32| digit.to_string()).collect();
    let storage = Storage::new(&images, &Tensor::f_from_slice(&labels).at("dataset")?, info, device)?;
    let all = Dataset::new(storage.with_labelling(Labelling { classes: names.clone().into(), ..Labelling::default() }));
    let order = Stream::new(0, "digits").permutation(n);
    let (train, held) = order.split_at(DIGITS_PARTS[0].min(n));
    let (validation, test) = held.split_at(DIGITS_PARTS[1].min(held.len()));
    let validation = if preparation.validation == Some(0.0) { &[] } else { validation };
    let train = capped(&all, train, preparation);
    Ok(assemble("digits", [all.subset(&train), all.subset(validation), all.subset(test)], names, id))
}

/// At most `per_class` of the samples at these positions, in their order.
fn capped(all: &Dataset, positions: &[usize], preparation: Preparation) -> Vec<usize> {
    let Some(limit) = preparation.per_class else { return positions.to_vec() };
    let labels: Vec<i64> = positions.iter().map(|position| all.label(*position)).collect();
    let mut places: Vec<usize> =
        shuffled_classes(&labels, preparation.seed).into_iter().flat_map(|rows| rows.into_iter().take(limit)).collect();
    places.sort_unstable();
    places.iter().filter_map(|place| positions.get(*place)).copied().collect()
}

/// A data set of decoded parts: training, test and perhaps validation part. Its id is a hash of `label`, contents and
/// preparation.
pub(super) fn divided(
    character: &Character,
    images: Vec<Images>,
    preparation: Preparation,
    label: &str,
    device: Device,
) -> Result<Data> {
    let contents: Vec<&[u8]> = images.iter().map(|part| part.content.as_bytes()).collect();
    let id = identity(label, preparation, &contents);
    let mut parts = images.into_iter();
    let (Some(train), Some(test)) = (parts.next(), parts.next()) else {
        return Err(Error::new("dataset", format!("{} has no parts", character.name)));
    };
    let own = parts.next();
    let (trains, validates) = preparation.divide(&train.labels, character.balanced, own.is_some());
    let kept: Vec<usize> = trains.iter().chain(&validates).copied().collect();
    let everything = kept.len() == train.labels.len();
    let all = stored(character, &train, (!everything).then_some(&kept), device)?;
    let (train, validation) = if everything {
        (all.subset(&trains), all.subset(&validates))
    } else {
        let places: Vec<usize> = (0..kept.len()).collect();
        let (train, validation) = places.split_at(trains.len());
        (all.subset(train), all.subset(validation))
    };
    let validation = match own.filter(|_| preparation.validation != Some(0.0)) {
        Some(own) => stored(character, &own, None, device)?,
        None => validation,
    };
    let test = stored(character, &test, None, device)?;
    Ok(assemble(&character.name, [train, validation, test], character.class_names.clone(), id))
}

/// The images of a part on the device: all of them as they lie in the cache, or a copy of some.
pub(super) fn stored(
    character: &Character,
    part: &Images,
    rows: Option<&Vec<usize>>,
    device: Device,
) -> Result<Dataset> {
    let info = DatasetInfo {
        name: character.name.clone(),
        classes: Some(character.class_names.len()),
        mean: character.mean.clone(),
        std: character.std.clone(),
        scale: None,
    };
    let labels = Tensor::f_from_slice(&part.labels).at("dataset")?;
    let (classes, root) = (std::rc::Rc::new(character.class_names.clone()), std::rc::Rc::new(part.root.clone()));
    let Some(rows) = rows else {
        let storage = Storage::new(&part.pixels, &labels, info, device)?.with_content(&part.content);
        return Ok(Dataset::new(storage.with_labelling(Labelling { files: part.files.clone().into(), root, classes })));
    };
    let files: Vec<String> = rows.iter().filter_map(|row| part.files.get(*row)).cloned().collect();
    let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    let rows = Tensor::f_from_slice(&rows).at("dataset")?;
    let images = part.pixels.f_index_select(0, &rows).at("dataset")?;
    let storage = Storage::new(&images, &labels.f_index_select(0, &rows).at("dataset")?, info, device)?;
    Ok(Dataset::new(storage.with_labelling(Labelling { files: files.into(), root, classes })))
}

/// Training, validation and test part under one roof.
fn assemble(name: &str, parts: [Dataset; 3], class_names: Vec<String>, id: String) -> Data {
    let [train, validation, test] = parts;
    let DatasetInfo { mean, std, classes, .. } = train.info();
    let (classes, shape) = (classes.unwrap_or(0), train.shape());
    Data { name: name.into(), classes, class_names, shape, mean, std, id, train, validation, test }
}

/// A hash of contents and preparation.
fn identity(name: &str, preparation: Preparation, contents: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(format!("{name} {preparation}"));
    contents.iter().for_each(|content| hasher.update(content));
    short_hash(hasher)
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::runtime::{Run, Script};
    use rhai::{Map, NativeCallContext};

    type Data = crate::data::Data;

    /// A data set by name, with disjoint parts `train`, `validation` and `test`.
    ///
    /// `"digits"` is built in. The others are read from their published files, archives as they were downloaded: `lethe data
    /// fetch NAME` gets them, `lethe data list` tells which are here. u8 images are normalised by the constants customary for
    /// the data set.
    ///
    /// | name | images | train + test | files |
    /// |---|---|---|---|
    /// | `digits` | 8 x 8 grey | 797 + 500, 500 to validate | none |
    /// | `mnist`, `fashion-mnist` | 28 x 28 grey | 60,000 + 10,000 | four IDX files, gzipped or not |
    /// | `cifar10`, `cifar100` | 32 x 32 colour | 50,000 + 10,000 | binary or Python archive, packed or unpacked |
    /// | `svhn` | 32 x 32 colour | 45,000 of 73,257 + 26,032 | two MAT-files |
    /// | `cinic10` | 32 x 32 colour | 90,000 + 90,000, 90,000 to validate | archive, packed or unpacked |
    ///
    /// The same call gives the same parts in every run, whatever the run's seed. Where a data set has no validation part, a
    /// share of every class of its training part becomes one. Of `svhn`, 4,500 training images of each class are kept, a
    /// random choice from `seed`, before that share is taken (`balanced: false` keeps all). CIFAR-10's images are part of
    /// CINIC-10: do not evaluate models of one on the other. `digits` are the test part of Optical Recognition of Handwritten
    /// Digits (E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, CC BY 4.0), divided by one fixed permutation.
    ///
    /// Decoded images are kept below the cache folder, one file of bytes for each part, named by the content of the files they
    /// were decoded from, and mapped into memory. A data set is read once a run.
    ///
    /// # Options
    /// - `per_class` (int, all): at most so many training samples of each class, a random choice from `seed`
    /// - `seed` (int, 0): what the validation part and the choices of `per_class` and of `svhn` are drawn from
    /// - `validation` (number, 0.1): the share of every class of the training part that becomes the validation part, at most
    ///   0.5; 0: no validation part, all samples train. Where there is a part of its own, only 0 can be given
    /// - `balanced` (bool, true): `svhn` alone: 4,500 training images of each class, not all 73,257
    /// - `pad` (int, 0): black pixels added on every side, before normalisation: 2 makes 32 x 32 of 28 x 28, as ResNets need
    ///
    /// # Errors
    /// A data set that is not here or incomplete (with what to run), damaged files, options without effect.
    ///
    /// # Signature
    /// dataset(name: string, #{ per_class: int, seed: int = 0, validation: number = 0.1, balanced: bool = true, pad: int = 0 }) -> Data
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits", #{ per_class: 20 });
    /// assert(d.train.len == 200 && d.validation.len == 500 && d.test.len == 500);
    /// assert(dataset("digits", #{ pad: 12 }).shape == [1, 32, 32]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn dataset(context: NativeCallContext, name: &str, options: Map) -> Script<Data> {
        Ok(super::load(name, options, &Run::of(&context))?)
    }

    #[rhai_fn(name = "dataset", return_raw)]
    pub fn dataset_plain(context: NativeCallContext, name: &str) -> Script<Data> {
        Ok(super::load(name, Map::new(), &Run::of(&context))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::Path;

    const FILES: [&str; 4] =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    /// An IDX file of these dimensions.
    fn write(folder: &Path, name: &str, dims: &[usize], bytes: &[u8], zip: bool) {
        let mut content = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|dim| content.extend((*dim as u32).to_be_bytes()));
        content.extend(bytes);
        if zip {
            let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
            encoder.write_all(&content).unwrap();
            std::fs::write(folder.join(format!("{name}.gz")), encoder.finish().unwrap()).unwrap();
        } else {
            std::fs::write(folder.join(name), content).unwrap();
        }
    }

    /// 200 + 40 images of 28 x 28, ten classes in turn.
    fn small(folder: &Path, zip: bool) {
        for (start, n) in [(0, 200), (2, 40)] {
            let images: Vec<u8> = (0..n * 784).map(|i| (i * 7 % 256) as u8).collect();
            let labels: Vec<u8> = (0..n).map(|i| (i % 10) as u8).collect();
            write(folder, FILES[start], &[n, 28, 28], &images, zip);
            write(folder, FILES[start + 1], &[n], &labels, zip);
        }
    }

    fn prepared(folder: &Path, per_class: Option<usize>, seed: u64) -> Result<Data> {
        let known = known_datasets::find("fashion-mnist").unwrap();
        let files = &known.forms[0].files;
        let files =
            files.iter().filter_map(|file| local_files::existing(folder, file, known.forms[0].reader)).collect();
        let found = local_files::Found { form: &known.forms[0], folder: folder.to_path_buf(), files };
        let run = Run::new(crate::runtime::run::Settings::default());
        let keep = |part: crate::data::formats::Decoded| {
            let (pixels, labels) =
                (Tensor::from_slice(&part.images), part.labels.iter().map(|l| i64::from(*l)).collect());
            Images {
                pixels: pixels.view([part.len() as i64, 1, 28, 28]),
                labels,
                content: short_hash(Sha256::new().chain_update(&part.images)),
                files: vec![],
                root: std::path::PathBuf::new(),
            }
        };
        let images = decode::decode(known, &found, &run)?.into_iter().map(keep).collect();
        divided(
            &Character::from(known),
            images,
            Preparation { per_class, seed, validation: None, balanced: true, pad: 0 },
            known.name,
            Device::Cpu,
        )
    }

    #[test]
    fn a_tenth_of_each_class_validates_and_the_content_names_the_data_set() {
        let (plain, zipped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        small(plain.path(), false);
        small(zipped.path(), true);
        let data = prepared(plain.path(), None, 0).unwrap();
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (180, 20, 40));
        assert!((0..10).all(|class| data.validation.of(&[class]).len() == 2));
        assert_eq!(data.id, prepared(zipped.path(), None, 0).unwrap().id);
        assert_ne!(data.id, prepared(plain.path(), None, 1).unwrap().id);
        let few = prepared(plain.path(), Some(3), 0).unwrap();
        assert_eq!((few.train.len(), few.validation.len()), (30, 20));
        assert_eq!(few.validation.images().unwrap(), data.validation.images().unwrap());
        let first = data.test.images().unwrap().f_double_value(&[0, 0, 0, 1]).unwrap();
        assert!((first - (7.0 / 255.0 - 0.2861) / 0.3530).abs() < 1e-6);
    }

    #[test]
    fn files_that_disagree_are_named() {
        let folder = tempfile::tempdir().unwrap();
        small(folder.path(), false);
        let message = || prepared(folder.path(), None, 0).err().map(|error| error.to_string()).unwrap_or_default();
        write(folder.path(), FILES[1], &[200], &[10; 200], false);
        assert!(message().contains("label 10 of image 0 is outside 0..10"), "{}", message());
        write(folder.path(), FILES[1], &[199], &[1; 199], false);
        assert!(message().contains("199 labels for the 200 images"));
    }

    #[test]
    fn unknown_names_are_answered_with_the_nearest() {
        let error = load("fashion_mnist", Map::new(), &Run::new(crate::runtime::run::Settings::default()));
        let Err(Error::Fault(fault)) = error else { panic!("accepted") };
        assert_eq!(fault.hint, "did you mean \"fashion-mnist\"?");
        assert!(list().iter().any(|listing| listing.name == "digits" && listing.present));
    }
}
