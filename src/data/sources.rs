//! Data sets by name: where they come from and how they are divided.

use super::dataset::Dataset;
use super::formats::{digits, idx};
use super::parts::Data;
use super::storage::{DatasetInfo, Storage, short_hash};
use super::{folders, storage};
use crate::runtime::{At, Error, Options, Result, Run, Stream, options};
use rhai::Map;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
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
    /// Where it is, or what to do to get it.
    pub location: String,
}

/// A family member of MNIST: four IDX files in a folder.
struct Family {
    name: &'static str,
    summary: &'static str,
    mean: f64,
    std: f64,
    /// The folder torchvision would have put the files in.
    torchvision: &'static str,
    advice: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        name: "fashion-mnist",
        summary: "articles of clothing, 28 x 28 grey, 60,000 + 10,000, 10 classes",
        mean: 0.2861,
        std: 0.3530,
        torchvision: "FashionMNIST/raw",
        advice: "apt-get install dataset-fashion-mnist, or put the four IDX files",
    },
    Family {
        name: "mnist",
        summary: "handwritten digits, 28 x 28 grey, 60,000 + 10,000, 10 classes",
        mean: 0.1307,
        std: 0.3081,
        torchvision: "MNIST/raw",
        advice: "put the four IDX files",
    },
];

/// Where Debian's packages put data sets.
const SYSTEM: &str = "/usr/share/datasets";

/// The names of the files of the family, without `.gz`: images and labels to train on, then to test on.
const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// The digits are divided by one permutation for all time.
const DIGITS_PARTS: [usize; 2] = [797, 500];

/// What has been loaded in this run.
#[derive(Default)]
struct Loaded(RefCell<Vec<(String, Data)>>);

/// How a data set is to be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparation {
    /// At most so many training samples of each class.
    pub per_class: Option<usize>,
    /// What choices are drawn from.
    pub seed: u64,
}

/// Every data set there is.
pub fn list() -> Vec<Listing> {
    let mut all = vec![Listing {
        name: "digits".into(),
        summary: "handwritten digits, 8 x 8 grey, 797 + 500 + 500, 10 classes (UCI, CC BY 4.0)".into(),
        present: true,
        location: "built in".into(),
    }];
    for family in &FAMILIES {
        let found = candidates(family).ok().and_then(|folders| folders.into_iter().find(|f| holds_files(f)));
        all.push(Listing {
            name: family.name.into(),
            summary: family.summary.into(),
            present: found.is_some(),
            location: found.map_or_else(|| advice(family), |folder| folder.display().to_string()),
        });
    }
    all
}

/// Loads (once a run) the data set of this name.
///
/// # Errors
/// An unknown name or option, a file that is missing or damaged.
pub fn load(name: &str, given: Map, run: &Run) -> Result<Data> {
    let family = FAMILIES.iter().find(|family| family.name == name);
    if family.is_none() && name != "digits" {
        return Err(unknown(name));
    }
    let mut o = Options::new("dataset", given);
    let per_class = o.maybe_integer("per_class", 1)?.map(|n| n as usize);
    let seed = o.maybe_integer("seed", 0)?;
    o.finish()?;
    if family.is_none() && seed.is_some() && per_class.is_none() {
        return Err(Error::new("dataset", "`seed` has no effect on digits, whose parts are fixed")
            .hint("it chooses the samples that `per_class` keeps")
            .word("seed"));
    }
    let preparation = Preparation { per_class, seed: seed.unwrap_or(0) as u64 };
    let key = format!("{name} {preparation:?}");
    let loaded = run.slot::<Loaded>();
    if let Some((_, data)) = loaded.0.borrow().iter().find(|(known, _)| *known == key) {
        return Ok(data.clone());
    }
    let data = match family {
        Some(family) => read_family(family, &find(family)?, preparation, run.device())?,
        None => read_digits(preparation, run.device())?,
    };
    loaded.0.borrow_mut().push((key, data.clone()));
    Ok(data)
}

/// The error for a name nobody knows.
fn unknown(name: &str) -> Error {
    let names: Vec<&str> = std::iter::once("digits").chain(FAMILIES.iter().map(|family| family.name)).collect();
    let error = Error::new("dataset", format!("there is no data set {name:?}"))
        .word(name)
        .note(format!("data sets: {}", names.join(", ")));
    match options::nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error.hint("dataset_from(images, labels) and load_dataset(path) make one from your own data"),
    }
}

/// A u8 tensor of this shape.
fn bytes(values: &[u8], shape: &[i64]) -> Result<Tensor> {
    Tensor::f_from_slice(values).at("dataset")?.f_view(shape).at("dataset")
}

fn read_digits(preparation: Preparation, device: Device) -> Result<Data> {
    let (pixels, labels) = digits::read()?;
    let n = labels.len();
    let id = identity("digits", &[&pixels, &labels], preparation);
    let info = DatasetInfo {
        name: "digits".into(),
        classes: Some(10),
        mean: vec![0.3053],
        std: vec![0.3760],
        scale: Some(16.0),
    };
    let storage = Storage::new(&bytes(&pixels, &[n as i64, 1, 8, 8])?, &bytes(&labels, &[n as i64])?, info, device)?;
    let all = Dataset::new(storage);
    let order = Stream::new(0, "digits").permutation(n);
    let (train, held) = order.split_at(DIGITS_PARTS[0].min(n));
    let (validation, test) = held.split_at(DIGITS_PARTS[1].min(held.len()));
    let train = capped(&all, train, preparation);
    Ok(assemble("digits", all.subset(&train), all.subset(validation), all.subset(test), id))
}

fn read_family(family: &Family, folder: &Path, preparation: Preparation, device: Device) -> Result<Data> {
    let (train_images, train_labels) = read_pair(folder, FILES[0], FILES[1])?;
    let (test_images, test_labels) = read_pair(folder, FILES[2], FILES[3])?;
    let contents = [&train_images.bytes, &train_labels.bytes, &test_images.bytes, &test_labels.bytes];
    let id = identity(family.name, &contents.map(Vec::as_slice), preparation);
    let (train, validation) = hold_out(&train_labels.bytes, preparation);
    let keep = |images: &idx::Idx, labels: &idx::Idx, rows: Option<&[usize]>, part: &str| -> Result<Dataset> {
        let shape: Vec<i64> = [images.dims[0], 1, images.dims[1], images.dims[2]].map(|n| n as i64).to_vec();
        let mut images = bytes(&images.bytes, &shape)?;
        let mut labels = bytes(&labels.bytes, &shape[..1])?;
        if let Some(rows) = rows {
            let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
            let rows = Tensor::f_from_slice(&rows).at("dataset")?;
            images = images.f_index_select(0, &rows).at("dataset")?;
            labels = labels.f_index_select(0, &rows).at("dataset")?;
        }
        let info = DatasetInfo {
            name: family.name.into(),
            classes: Some(10),
            mean: vec![family.mean],
            std: vec![family.std],
            scale: None,
        };
        let storage = Storage::new(&images, &labels, info, device);
        let named = |error| Error::file("dataset", folder, format!("the {part} files do not fit together: {error}"));
        Ok(Dataset::new(storage.map_err(named)?))
    };
    let kept: Vec<usize> = train.iter().chain(&validation).copied().collect();
    let all = keep(&train_images, &train_labels, Some(&kept), "training")?;
    let places: Vec<usize> = (0..all.len()).collect();
    let (train, validation) = places.split_at(train.len());
    let test = keep(&test_images, &test_labels, None, "test")?;
    Ok(assemble(family.name, all.subset(train), all.subset(validation), test, id))
}

/// The parts under one roof.
fn assemble(name: &str, train: Dataset, validation: Dataset, test: Dataset, id: String) -> Data {
    let storage::DatasetInfo { mean, std, classes, .. } = train.info();
    Data {
        name: name.into(),
        classes: classes.unwrap_or(0),
        shape: train.shape(),
        mean,
        std,
        id,
        train,
        validation,
        test,
    }
}

/// A hash of contents and preparation.
fn identity(name: &str, contents: &[&[u8]], preparation: Preparation) -> String {
    let mut hasher = Sha256::new();
    hasher.update(format!("{name} {preparation:?}"));
    contents.iter().for_each(|content| hasher.update(content));
    short_hash(hasher)
}

/// The rows of each class, in a random order of their own.
fn shuffled_classes(labels: &[u8], seed: u64) -> Vec<Vec<usize>> {
    let mut classes: Vec<Vec<usize>> = vec![vec![]; 256];
    for (row, label) in labels.iter().enumerate() {
        classes[usize::from(*label)].push(row);
    }
    for (class, rows) in classes.iter_mut().enumerate() {
        let order = Stream::new(seed, &format!("class {class}")).permutation(rows.len());
        *rows = order.iter().filter_map(|place| rows.get(*place)).copied().collect();
    }
    classes
}

/// A tenth of each class to validate with, the rest (at most `per_class` of each) to train on; rows ascending.
fn hold_out(labels: &[u8], preparation: Preparation) -> (Vec<usize>, Vec<usize>) {
    let (mut train, mut validation) = (vec![], vec![]);
    for rows in shuffled_classes(labels, preparation.seed) {
        let (held, rest) = rows.split_at(rows.len() / 10);
        validation.extend_from_slice(held);
        train.extend(rest.iter().take(preparation.per_class.unwrap_or(usize::MAX)));
    }
    train.sort_unstable();
    validation.sort_unstable();
    (train, validation)
}

/// At most `per_class` of the samples at these positions, in their order.
fn capped(all: &Dataset, positions: &[usize], preparation: Preparation) -> Vec<usize> {
    let Some(limit) = preparation.per_class else { return positions.to_vec() };
    let labels: Vec<u8> = positions.iter().map(|position| all.label(*position) as u8).collect();
    let mut places: Vec<usize> =
        shuffled_classes(&labels, preparation.seed).into_iter().flat_map(|rows| rows.into_iter().take(limit)).collect();
    places.sort_unstable();
    places.iter().filter_map(|place| positions.get(*place)).copied().collect()
}

/// Images and labels that belong together.
fn read_pair(folder: &Path, images: &str, labels: &str) -> Result<(idx::Idx, idx::Idx)> {
    let (image_file, label_file) = (existing(folder, images)?, existing(folder, labels)?);
    let (images, labels) = (idx::read(&image_file, 3)?, idx::read(&label_file, 1)?);
    if images.dims.contains(&0) {
        return Err(Error::file("dataset", &image_file, format!("no images in it (dimensions {:?})", images.dims)));
    }
    if images.dims[0] != labels.dims[0] {
        let message = format!("{} labels for the {} images beside it", labels.dims[0], images.dims[0]);
        return Err(Error::file("dataset", &label_file, message));
    }
    if let Some(place) = labels.bytes.iter().position(|label| *label > 9) {
        let message = format!("label {} of image {place} is outside 0..10", labels.bytes[place]);
        return Err(Error::file("dataset", &label_file, message));
    }
    Ok((images, labels))
}

/// The file of this name, plain or gzipped.
fn existing(folder: &Path, name: &str) -> Result<PathBuf> {
    let (plain, zipped) = (folder.join(name), folder.join(format!("{name}.gz")));
    if plain.is_file() {
        Ok(plain)
    } else if zipped.is_file() {
        Ok(zipped)
    } else {
        Err(Error::file("dataset", &zipped, "not found, though its neighbours are there")
            .hint(format!("all of {} are needed, plain or .gz", FILES.join(", "))))
    }
}

/// Whether any of the files is there: a folder with some of them is meant, and what is missing is then named.
fn holds_files(folder: &Path) -> bool {
    FILES.iter().any(|name| folder.join(name).is_file() || folder.join(format!("{name}.gz")).is_file())
}

/// Where to look, in this order.
fn candidates(family: &Family) -> Result<Vec<PathBuf>> {
    let data = folders::data()?;
    Ok(vec![
        data.join(family.name),
        data.join(family.torchvision),
        Path::new(SYSTEM).join(family.name),
        folders::cache().join("datasets").join(family.name),
    ])
}

/// How to get the files.
fn advice(family: &Family) -> String {
    let folder =
        folders::data().map_or_else(|_| "the data folder".into(), |f| f.join(family.name).display().to_string());
    format!("{} into {folder}", family.advice)
}

/// The first folder that has files of the family.
fn find(family: &Family) -> Result<PathBuf> {
    let folders = candidates(family)?;
    if let Some(folder) = folders.iter().find(|folder| holds_files(folder)) {
        return Ok(folder.clone());
    }
    let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(Error::new("dataset", format!("{} is not installed", family.name))
        .note(format!("looked in {}", looked.join(", ")))
        .hint(advice(family))
        .word(family.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const FASHION: &Family = &FAMILIES[0];

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
        read_family(FASHION, folder, Preparation { per_class, seed }, Device::Cpu)
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
    fn files_that_are_missing_or_disagree_are_named() {
        let folder = tempfile::tempdir().unwrap();
        small(folder.path(), false);
        let message = || prepared(folder.path(), None, 0).err().map(|error| error.to_string()).unwrap_or_default();
        write(folder.path(), FILES[1], &[200], &[10; 200], false);
        assert!(message().contains("label 10 of image 0 is outside 0..10"), "{}", message());
        write(folder.path(), FILES[1], &[199], &[1; 199], false);
        assert!(message().contains("199 labels for the 200 images"));
        std::fs::remove_file(folder.path().join(FILES[1])).unwrap();
        assert!(message().contains("train-labels-idx1-ubyte.gz: not found, though its neighbours are there"));
    }

    #[test]
    fn unknown_names_are_answered_with_the_nearest() {
        let error = load("fashion_mnist", Map::new(), &Run::new(crate::runtime::run::Settings::default()));
        let Err(Error::Fault(fault)) = error else { panic!("accepted") };
        assert_eq!(fault.hint, "did you mean \"fashion-mnist\"?");
        assert!(list().iter().any(|listing| listing.name == "digits" && listing.present));
    }
}
