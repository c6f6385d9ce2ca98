//! Datasets from folders of pictures: `root/class/*.png`, alone or below `train`, `test` and `valid`.

use crate::data::catalog::decoded_cache;
use crate::data::catalog::decoded_cache::{Images, Subject};
use crate::data::dataset::Dataset;
use crate::data::dataset_splits::Data;
use crate::data::formats::class_folders::{Classes, Tree};
use crate::data::formats::picture::Target;
use crate::data::formats::tiny_imagenet;
use crate::data::from_tensors::constants;
use crate::data::load::{Character, divided, stored};
use crate::data::train_validation_split::{Nature, Preparation, refuse_excess};
use crate::runtime::hex::hex;
use crate::runtime::{Error, Options, Result, Run, options};
use rhai::{Array, Dynamic};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The names that the folders of the parts may have, in small or capital letters.
const TRAIN: [&str; 5] = ["train", "training", "train_set", "training_set", "trainset"];
const TEST: [&str; 6] = ["test", "testing", "test_set", "testing_set", "testset", "eval"];
const VALIDATION: [&str; 5] = ["validation", "valid", "val", "validation_set", "dev"];

/// Rows or columns that pictures may be resized to.
const LARGEST_SIDE: i64 = 4096;

/// How pictures are taken.
struct Taking {
    /// Rows and columns; none: those of the first picture, which all must have.
    size: Option<(usize, usize)>,
    channels: usize,
    mean: Vec<f64>,
    std: Vec<f64>,
    name: String,
}

impl Taking {
    fn read(o: &mut Options, operation: &str, root: &Path) -> Result<Self> {
        let size = size(operation, o.take("size", "int or [rows, columns]", "()"))?;
        let grey = o.flag("grey", false)?;
        let mean = constants(operation, "mean", o.take("mean", "number or array", "()"))?;
        let std = constants(operation, "std", o.take("std", "number or array", "()"))?;
        let own = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = o.text("name", &own)?;
        Ok(Self { size, channels: if grey { 1 } else { 3 }, mean, std, name })
    }

    fn target(&self, tree: &Tree) -> Result<Target> {
        let (height, width) = self.size.map_or_else(|| tree.first_size(), Ok)?;
        Ok(Target { channels: self.channels, height, width, resize: self.size.is_some() })
    }

    fn character(&self, class_names: Vec<String>) -> Character {
        let (mean, std) = (self.mean.clone(), self.std.clone());
        Character { name: self.name.clone(), class_names, mean, std, balanced: None }
    }

    /// The pictures of some trees, from the cache or decoded now.
    fn images(&self, root: &Path, parts: &[(&str, Tree)], run: &Run) -> Result<Vec<Images>> {
        let Some((_, first)) = parts.first() else { return Ok(vec![]) };
        let target = self.target(first)?;
        let trees: Vec<&Tree> = parts.iter().map(|(_, tree)| tree).collect();
        trees.iter().for_each(|tree| tree.tell(run));
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        let subject = Subject { stem: "pictures", dataset: &self.name, place: root, parts: &names };
        let checksum = || super::catalog::checksum::of_trees(&format!("{target:?}"), &trees, &self.name, run);
        let images = decoded_cache::parts(run, &subject, checksum, || {
            parts.iter().map(|(part, tree)| tree.decode(target, &format!("{} ({part})", self.name), run)).collect()
        })?;
        let named = images.into_iter().zip(&trees).map(|(part, tree)| {
            let part = named(part, &first.classes);
            Images { files: tree.paths_below(root), root: root.to_path_buf(), ..part }
        });
        Ok(named.collect())
    }
}

/// The images of a part with the names of the classes as a part of their content.
fn named(part: Images, classes: &[String]) -> Images {
    let mut hasher = Sha256::new();
    hasher.update(&part.content);
    classes.iter().for_each(|class| hasher.update(format!("\n{}:{class}", class.len())));
    Images { content: hex(&hasher.finalize()), ..part }
}

/// One side or both.
fn size(operation: &str, value: Option<Dynamic>) -> Result<Option<(usize, usize)>> {
    let Some(value) = value else { return Ok(None) };
    let wrong = || {
        let given = options::describe(&value);
        let message = format!("`size` must be an integer or [rows, columns] within 1..={LARGEST_SIDE}, got {given}");
        Error::new(operation, message).word("size")
    };
    let sides = match value.clone().try_cast::<Array>() {
        Some(sides) => sides,
        None => vec![value.clone(), value.clone()],
    };
    let sides: Option<Vec<i64>> = sides.iter().map(options::as_integer).collect();
    match sides.as_deref() {
        Some([rows, columns]) if [rows, columns].iter().all(|side| (1..=LARGEST_SIDE).contains(*side)) => {
            Ok(Some((*rows as usize, *columns as usize)))
        }
        _ => Err(wrong()),
    }
}

/// Gives errors of the readers the name of the function that was called, and advice about sizes.
fn called(operation: &str, error: Error) -> Error {
    match error {
        Error::Fault(mut fault) => {
            fault.operation = operation.into();
            if fault.message.contains("pixels, expected") {
                fault.hint = "pictures of different sizes: `size` resizes them".into();
            }
            Error::Fault(fault)
        }
        other => other,
    }
}

/// A dataset of one folder of class folders.
///
/// # Errors
/// A folder without pictures, pictures that are damaged or of different sizes, wrong options.
pub fn dataset(root: &Path, mut o: Options, run: &Run) -> Result<Dataset> {
    let taking = Taking::read(&mut o, "load_dataset", root)?;
    o.finish()?;
    let read = || {
        let tree = Tree::of(root, Classes::Own)?;
        let character = taking.character(tree.classes.clone());
        let images = taking.images(root, &[("all", tree)], run)?;
        let all = images.first().ok_or_else(|| Error::file("load_dataset", root, "no pictures"))?;
        stored(&character, all, None, run.device())
    };
    read().map_err(|error| called("load_dataset", error))
}

/// The folders of a data set of pictures.
struct Folders {
    train: PathBuf,
    test: PathBuf,
    validation: Option<PathBuf>,
    /// Whether a list beside the pictures of `test` has their labels, as in Tiny ImageNet.
    listed: bool,
}

impl Folders {
    /// Those below a root.
    fn below(root: &Path, run: &Run) -> Result<Self> {
        if !root.is_dir() {
            return Err(no_folder(root));
        }
        let find = |names: &[&str]| part(root, names);
        let validation = find(&VALIDATION);
        // As published, Tiny ImageNet has no labels for `test`: what is called validation there has to be it.
        let listed = validation.as_deref().is_some_and(tiny_imagenet::is_listed);
        let (train, test) = (find(&TRAIN), find(&TEST).filter(|_| !listed));
        let parts = match (train, test, validation) {
            (Some(train), Some(test), validation) => Self { train, test, validation, listed },
            (Some(train), None, Some(test)) => {
                if !listed {
                    let name = test.file_name().unwrap_or_default().to_string_lossy();
                    let message = format!("{}: no folder `test`: `{name}` is the test part", root.display());
                    run.progress().warn(&message);
                }
                Self { train, test, validation: None, listed }
            }
            (train, ..) => return Err(lacking(root, if train.is_some() { "test" } else { "train" })),
        };
        Ok(parts)
    }
}

/// The folder of a part: of the names it may have the first that is there, in whatever letters.
fn part(root: &Path, names: &[&str]) -> Option<PathBuf> {
    let exact = names.iter().map(|name| root.join(name)).find(|path| path.is_dir());
    exact.or_else(|| {
        let mut there: Vec<PathBuf> =
            std::fs::read_dir(root).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_dir()).collect();
        there.sort();
        let named = |path: &PathBuf, name: &str| {
            path.file_name().is_some_and(|own| own.to_string_lossy().to_lowercase().replace(['-', ' '], "_") == name)
        };
        names.iter().find_map(|name| there.iter().find(|path| named(path, name)).cloned())
    })
}

/// The error of a path that is no folder.
fn no_folder(root: &Path) -> Error {
    if root.exists() {
        return Error::file("load_data", root, "this is a file, where a folder with `train` and `test` is expected")
            .hint("load_dataset(path) reads a file of images and labels; an archive has to be unpacked first");
    }
    Error::file("load_data", root, "there is no such folder")
        .hint("a folder with `train` and `test` is expected, each with one folder of pictures a class")
}

/// The error of a folder without one of its parts; a folder in it that has them is named.
fn lacking(root: &Path, name: &str) -> Error {
    let message = format!("has no folder `{name}`: `train` and `test` are expected, each with one folder a class");
    let error = Error::file("load_data", root, message);
    let deeper = std::fs::read_dir(root)
        .ok()
        .and_then(|all| all.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| part(p, &TRAIN).is_some()).min());
    match deeper {
        Some(folder) => error.hint(format!("{} has: load_data({:?})", folder.display(), folder.to_string_lossy())),
        None => error
            .hint("load_dataset(folder) reads one folder of classes; data_from(train, validation, test) joins parts"),
    }
}

/// A data set of a folder with `train`, `test` and perhaps a folder to validate with.
///
/// # Errors
/// Folders that are missing or have different classes; those of [`dataset`].
pub fn data(root: &Path, mut o: Options, run: &Run) -> Result<Data> {
    let folders = Folders::below(root, run)?;
    let validates = folders.validation.is_some();
    let taking = Taking::read(&mut o, "load_data", root)?;
    let nature = Nature { name: &taking.name, validates, balanced: None, fixed: validates, own: true };
    let preparation = Preparation::take(&mut o, nature).map_err(|error| called("load_data", error))?;
    o.finish()?;
    let read = || {
        let train = Tree::of(&folders.train, Classes::Own)?;
        let among = |folder: &Path| Tree::of(folder, Classes::Among(&train.classes));
        let test = match folders.listed {
            true => tiny_imagenet::listed(&folders.test, &train.classes)?,
            false => among(&folders.test)?,
        };
        let validation = folders.validation.as_deref().map(among).transpose()?;
        let character = taking.character(tiny_imagenet::words(root, &train.classes)?);
        let mut parts = vec![("train", train), ("test", test)];
        parts.extend(validation.map(|tree| ("validation", tree)));
        let label = format!("{} {:?} {:?}", taking.name, taking.mean, taking.std);
        let data = divided(&character, taking.images(root, &parts, run)?, preparation, &label, run.device())?;
        preparation.per_class.map_or(Ok(()), |n| refuse_excess("load_data", n, &data.train.labels()))?;
        Ok(data)
    };
    read().map_err(|error| called("load_data", error))
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::runtime::places::to_read;
    use crate::runtime::{Options, Run, Script};
    use rhai::{Map, NativeCallContext};

    type Dataset = crate::data::Dataset;
    type Data = crate::data::Data;

    /// A dataset from a file or from a folder of pictures.
    ///
    /// A file is safetensors (as `save` writes it) or npz, with `images` and `labels` (or `x` and `y`) and perhaps `classes` (how
    /// many there are), `class_names` (text, npz alone), `mean`, `std` and `scale`; or an IDX file of images or labels with the
    /// other beside it. The content tells which, whatever the name, also when it is gzipped. Other arrays of an archive are left
    /// out, those of unknown types with a warning. Images whose channels seem to stand last are told in a warning.
    ///
    /// A folder has one folder of pictures for each class: PNG, JPEG, BMP, GIF, TIFF, WebP or PNM, told apart by their content.
    /// Classes are numbered in the order of their names, the pictures of a class stand in the order of their paths below its
    /// folder, deeper folders included; both orders are those of the bytes of the names. Of several frames or pages the first is
    /// taken; alpha is dropped, 16 bits become 8, and the orientation that EXIF tells of is ignored, as torchvision does. What is
    /// no picture is left out, with a warning that counts it by kind, and so are hidden files, what systems and packers leave
    /// behind (`__MACOSX`, `Thumbs.db`) and pictures beside the class folders. Pictures are divided by 255 and, where `mean` and
    /// `std` are given, normalised. `dataset.files()` tells which file each sample was read from.
    ///
    /// Decoded pictures are kept below the cache folder, by the content of the files: a folder with other pictures never gets
    /// them, whatever its names, sizes and times.
    ///
    /// # Options
    /// - `size` (int or [rows, columns], that of the first picture): pictures are resized to it (bilinear); without it, all
    ///   have to have one size
    /// - `grey` (bool, false): one channel (luma) instead of red, green and blue
    /// - `mean` (number or array, none): mean of each channel, on the scale 0..1
    /// - `std` (number or array, none): standard deviation of each channel
    /// - `name` (string, that of the folder): what messages call it
    ///
    /// # Errors
    /// Files that are missing, cut off, damaged or no dataset; pictures of different sizes; a class folder without pictures, which
    /// would take a number; folders of parts (`train`, `test`) in place of classes; options for a file, which has its own.
    ///
    /// # Signature
    /// load_dataset(path: string, #{ size: int, grey: bool = false, mean: array, std: array, name: string }) -> Dataset
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("few.safetensors");
    /// dataset("digits").test.take(10).save(path);
    /// assert(load_dataset(path).len == 10);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load_dataset(context: NativeCallContext, path: &str, options: Map) -> Script<Dataset> {
        let (run, o) = (Run::of(&context), Options::new("load_dataset", options));
        let path = to_read(&run, path);
        if path.is_dir() {
            return Ok(super::dataset(&path, o, &run)?);
        }
        o.finish()?;
        Ok(crate::data::dataset_file::load(&path.to_string_lossy(), &run)?)
    }

    #[rhai_fn(name = "load_dataset", return_raw)]
    pub fn load_dataset_plain(context: NativeCallContext, path: &str) -> Script<Dataset> {
        load_dataset(context, path, Map::new())
    }

    /// A data set from a folder of pictures that has `train`, `test` and perhaps `validation` (or `valid`, or `val`), each
    /// with one folder of pictures for each class, read as by `load_dataset`.
    ///
    /// The names may be written in capital letters, and `training`, `testing`, `training_set`, `test_set` and the like are
    /// understood. Where there is a folder to validate with and none to test on, as in ImageNet, it is the test part, and a
    /// warning says so.
    ///
    /// The folders of `train` are the classes. One that another part lacks is told in a warning; one that only another part has is
    /// an error; names match however their accents are written. Where there is no folder to validate with, a share of every class
    /// of the training part is; with `validation: 0` nothing is, and requests take the unseen samples from the test part and say
    /// so. Decoded pictures are kept below the cache folder, by the content of their files.
    ///
    /// Tiny ImageNet is read as it is published: `val`, labelled by `val_annotations.txt`, is the test part, since `test` has no
    /// labels; `words.txt` names the classes.
    ///
    /// # Options
    /// - `size` (int or [rows, columns], that of the first picture): pictures are resized to it (bilinear); without it, all
    ///   have to have one size
    /// - `grey` (bool, false): one channel (luma) instead of red, green and blue
    /// - `mean` (number or array, none): mean of each channel, on the scale 0..1
    /// - `std` (number or array, none): standard deviation of each channel
    /// - `per_class` (int, all): at most so many training samples of each class, a random choice from `seed`
    /// - `seed` (int, 0): what the validation part and the `per_class` choice are drawn from
    /// - `validation` (number, 0.1): the share of every class of the training part that becomes the validation part, at most
    ///   0.5; 0: none. Where there is a folder to validate with, only 0 can be given
    /// - `name` (string, that of the folder): the name in rows and messages
    ///
    /// # Errors
    /// Folders that are missing or have classes that `train` does not have, class folders of `train` without pictures, pictures
    /// that are cut off, damaged or of different sizes.
    ///
    /// # Signature
    /// load_data(folder: string, #{ size: int, grey: bool = false, mean: array, std: array, per_class: int, seed: int = 0, validation: number = 0.1, name: string }) -> Data
    ///
    /// # Example
    /// ```rhai
    /// let failed = "";
    /// try { load_data("/nowhere"); } catch (e) { failed = e.message; }
    /// assert(failed.contains("there is no such folder"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load_data(context: NativeCallContext, folder: &str, options: Map) -> Script<Data> {
        let run = Run::of(&context);
        Ok(super::data(&to_read(&run, folder), Options::new("load_data", options), &run)?)
    }

    #[rhai_fn(name = "load_data", return_raw)]
    pub fn load_data_plain(context: NativeCallContext, folder: &str) -> Script<Data> {
        load_data(context, folder, Map::new())
    }
}
