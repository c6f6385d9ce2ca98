//! Files of datasets: safetensors or npz with `images` and `labels`, and where they are known `classes`, `class_names`,
//! `mean`, `std`, `scale`. The content tells the format.

use crate::data::class_names::composed;
use crate::data::dataset::Dataset;
use crate::data::formats::idx;
use crate::data::storage::{DatasetInfo, Labelling, Storage, order_hint};
use crate::runtime::budget::Budget;
use crate::runtime::{At, Error, Result, Run};
use crate::tensor::io::content::Content;
use crate::tensor::io::npz::Npz;
use crate::tensor::io::safetensors_file::{Notes, Partly, parse_partly, read_bytes, save_noted};
use crate::tensor::io::{content, npz};
use std::io::Read;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// The error of a file that is no dataset.
fn refused(file: &Path, content: Content) -> Error {
    let published = "dataset(name) reads the published files of known data sets: see `lethe data list`";
    let (what, hint) = match content {
        Content::Npy => ("one NumPy array", "load_npy reads it; dataset_from(images, labels) makes a dataset of two"),
        Content::Pickle => ("a Python pickle", published),
        Content::Matlab => ("a MAT-file", published),
        Content::Picture(what) => (what, "give the folder that has one folder of pictures for each class"),
        Content::OldTorch => {
            ("a file of torch.save", "load_pth reads its tensors; dataset_from(images, labels) makes a dataset of two")
        }
        Content::Foreign(what, hint) => (what, hint),
        Content::Zip | Content::Safetensors | Content::Idx | Content::Unknown => ("of another kind", published),
    };
    Error::file("load_dataset", file, format!("this is {what}, not a dataset")).hint(hint)
}

/// The content of a file, inflated where it is gzipped.
fn inflated(path: &Path) -> Result<Vec<u8>> {
    let bytes = read_bytes("load_dataset", path)?;
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(bytes);
    }
    let fail = |problem: String| Error::file("load_dataset", path, problem);
    let budget = Budget::of(bytes.len() as u64);
    let mut content = vec![];
    flate2::bufread::MultiGzDecoder::new(bytes.as_slice())
        .take(budget.limit().saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|error| fail(super::formats::unreadable(&error)))?;
    budget.allows(content.len() as u64).map_err(fail)?;
    Ok(content)
}

/// Reads a dataset that `save` wrote, or any safetensors or npz file with `images` and `labels` (or `x` and `y`), or IDX files
/// of images and of labels beside each other.
///
/// # Errors
/// A file that is missing, damaged or no dataset.
pub fn load(path: &str, run: &Run) -> Result<Dataset> {
    let file = Path::new(path);
    let bytes = inflated(file)?;
    let fail = |problem: String| Error::file("load_dataset", file, problem);
    let found = match content::of_bytes(&bytes, bytes.len() as u64) {
        Content::Zip => npz::of_bytes("load_dataset", file, &bytes)?,
        Content::Idx => return of_idx(file, run),
        Content::Safetensors | Content::Unknown => {
            let Partly { tensors, notes, left_out } = parse_partly(&bytes).map_err(fail)?;
            let names = notes.get("class_names").and_then(|names| serde_json::from_str(names).ok());
            let texts = names.map(|names| ("class_names".to_string(), names)).into_iter().collect();
            Npz { tensors, texts, left_out, ..Npz::default() }
        }
        other => return Err(refused(file, other)),
    };
    for note in found.notes(&["class_names", "classes"]) {
        run.progress().warn(&format!("{path}: {note}"));
    }
    of_tensors(file, found, run)
}

/// A dataset of named tensors.
fn of_tensors(file: &Path, found: Npz, run: &Run) -> Result<Dataset> {
    let fail = |problem: String| Error::file("load_dataset", file, problem);
    let find = |name: &str| found.tensors.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor.shallow_clone());
    let need = |name: &str, short: &str| {
        find(name).or_else(|| find(short)).ok_or_else(|| {
            let left_out = |wanted: &str| found.left_out.iter().find(|(own, _)| own == wanted);
            let problem = match left_out(name).or_else(|| left_out(short)) {
                Some((own, reason)) => format!("`{own}` cannot be read ({reason})"),
                None => format!("has no tensor `{name}`"),
            };
            fail(problem).hint("a dataset file holds `images` and `labels`").note(format!(
                "its tensors: {}",
                found.tensors.iter().map(|(own, _)| own.as_str()).collect::<Vec<_>>().join(", ")
            ))
        })
    };
    let numbers = |name: &str| find(name).map(|tensor| numbers_of(&tensor)).transpose().map(Option::unwrap_or_default);
    let single = |name: &str, what: &str| match (numbers(name)?.as_slice(), find(name)) {
        (_, None) => Ok(None),
        ([one], _) if one.is_finite() && *one > 0.0 => Ok(Some(*one)),
        (values, _) => {
            let given = if values.len() == 1 { format!("{values:?}") } else { format!("a list of {}", values.len()) };
            let error =
                fail(format!("error in its `{name}`: `{name}` must be one number above 0, {what}; it holds {given}"));
            Err(if name == "classes" { error.hint(CLASSES) } else { error })
        }
    };
    let named = |name: &str| found.texts.iter().find(|(own, _)| own == name).map(|(_, texts)| texts);
    if named("classes").is_some() {
        let problem = "error in its `classes`: `classes` must be one number, how many classes there are; it holds text";
        return Err(fail(problem.into()).hint(CLASSES));
    }
    let classes = single("classes", "how many classes there are")?;
    if let Some(odd) = classes.filter(|n| n.fract() != 0.0) {
        return Err(fail(format!("`classes` must be a whole number, it holds {odd}")));
    }
    let info = DatasetInfo {
        name: stem(file),
        classes: classes.map(|n| n as usize),
        mean: numbers("mean")?,
        std: numbers("std")?,
        scale: single("scale", "the pixel value that stands for 1.0")?,
    };
    let images = need("images", "x")?;
    let order = if images.dim() == 4 { order_hint(&images.size()) } else { None };
    let storage = Storage::new(&images, &need("labels", "y")?, info, run.device());
    let storage = storage.map_err(|problem| {
        let error = fail(problem.to_string());
        order.clone().map_or_else(|| fail(problem.to_string()), |hint| error.hint(hint))
    })?;
    if let Some(hint) = order {
        run.progress().warn(&format!("{}: {hint}", file.display()));
    }
    let names = named("class_names").map(|names| names.iter().map(|name| composed(name)).collect::<Vec<_>>());
    let names = names.unwrap_or_default();
    if !names.is_empty() && names.len() != storage.classes() {
        let message =
            format!("{} names in `class_names` for {} classes; the names are left out", names.len(), storage.classes());
        run.progress().warn(&format!("{}: {message}", file.display()));
        return Ok(Dataset::new(storage));
    }
    Ok(Dataset::new(storage.with_labelling(Labelling { classes: names.into(), ..Labelling::default() })))
}

/// What to do about a list in place of a number of classes.
const CLASSES: &str =
    "the names of classes belong in `class_names`; leave `classes` out to have them counted from the labels";

/// What a file is called.
fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The images of an IDX file with the labels of the one beside it, whichever of the two was named.
fn of_idx(file: &Path, run: &Run) -> Result<Dataset> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let partner = |from: [&str; 2], to: [&str; 2]| {
        let name = name.replacen(from[0], to[0], 1).replacen(from[1], to[1], 1);
        let other = name.strip_suffix(".gz").map_or_else(|| format!("{name}.gz"), String::from);
        [name, other].into_iter().map(|name| file.with_file_name(name)).find(|path| path.is_file() && path != file)
    };
    let (of_images, of_labels) = (["images", "idx3"], ["labels", "idx1"]);
    let pair: Option<(PathBuf, PathBuf)> = match name.contains("labels") {
        true => partner(of_labels, of_images).map(|images| (images, file.to_path_buf())),
        false => partner(of_images, of_labels).map(|labels| (file.to_path_buf(), labels)),
    };
    let Some((images, labels)) = pair else {
        let what = "this is an IDX file, and there is none beside it that has the rest of the dataset";
        return Err(Error::file("load_dataset", file, what)
            .hint("images and labels have names that differ in `images-idx3` and `labels-idx1` alone"));
    };
    let decoded = idx::pair(&images, &labels, u8::MAX)?;
    let [channels, height, width] = decoded.shape.map(|side| side as i64);
    let numbers: Vec<i64> = decoded.labels.iter().map(|label| i64::from(*label)).collect();
    let pixels = Tensor::f_from_slice(&decoded.images).at("load_dataset")?;
    let pixels = pixels.f_view([numbers.len() as i64, channels, height, width]).at("load_dataset")?;
    let info = DatasetInfo { name: stem(file), ..DatasetInfo::default() };
    let labels = Tensor::f_from_slice(&numbers).at("load_dataset")?;
    Ok(Dataset::new(Storage::new(&pixels, &labels, info, run.device())?))
}

/// Writes a dataset: the images as stored when they are u8, so that nothing is lost, normalised f32 otherwise. A file that
/// was there is replaced only when everything is written.
///
/// # Errors
/// A file that cannot be written.
pub fn save(dataset: &Dataset, path: &str) -> Result<()> {
    let info = dataset.info();
    let stored = dataset.stored_images()?;
    let scale = if stored.is_some() { vec![info.scale.unwrap_or(255.0)] } else { vec![] };
    let images = match stored {
        Some(images) => images,
        None => dataset.images()?,
    };
    let mut tensors = vec![
        ("images", images),
        ("labels", dataset.targets()?),
        ("classes", Tensor::f_from_slice(&[dataset.classes() as i64]).at("save")?),
    ];
    for (name, values) in [("mean", info.mean), ("std", info.std), ("scale", scale)] {
        if !values.is_empty() {
            tensors.push((name, Tensor::f_from_slice(&values).at("save")?));
        }
    }
    let tensors: Vec<_> = tensors.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
    let mut notes = Notes::new();
    if !dataset.class_names().is_empty() {
        let names =
            serde_json::to_string(dataset.class_names()).map_err(|problem| Error::new("save", problem.to_string()))?;
        notes.insert("class_names".into(), names);
    }
    save_noted("save", Path::new(path), &tensors, &notes)
}

/// The elements of a small tensor as numbers.
fn numbers_of(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.f_to_kind(Kind::Double).at("load_dataset")?.f_reshape([-1]).at("load_dataset")?;
    let mut values = vec![0.0; flat.numel()];
    let count = values.len();
    flat.f_copy_data(&mut values, count).at("load_dataset")?;
    Ok(values)
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::runtime::places::to_write;
    use crate::runtime::{Run, Script};
    use rhai::NativeCallContext;

    type Dataset = crate::data::Dataset;

    /// Writes a dataset to a safetensors file, whatever its name, with the names of its classes; nothing half-written replaces a
    /// good file.
    ///
    /// # Example
    /// ```rhai
    /// let path = "/tmp/lethe-example-saved.safetensors";
    /// dataset("digits").test.of(3).save(path);
    /// assert(load_dataset(path).classes == [3]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn save(context: NativeCallContext, dataset: Dataset, path: &str) -> Script<()> {
        let path = to_write(&Run::of(&context), "save", path)?;
        Ok(super::save(&dataset, &path.to_string_lossy())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::run::Settings;
    use tch::Device;

    fn run() -> Run {
        Run::new(Settings::default())
    }

    fn digits() -> Dataset {
        crate::data::load::load("digits", rhai::Map::new(), &run()).unwrap().test.take(30)
    }

    fn message(path: &Path) -> String {
        load(path.to_str().unwrap(), &run()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_dataset_comes_back_from_its_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("few.safetensors");
        let (path, raw) = (path.to_str().unwrap(), digits());
        save(&raw, path).unwrap();
        let back = load(path, &run()).unwrap();
        assert_eq!(back.images().unwrap(), raw.images().unwrap());
        assert_eq!((back.labels(), back.classes()), (raw.labels(), 10));
        let images = raw.images().unwrap();
        let floats = Dataset::from_tensors(&images, &raw.targets().unwrap(), DatasetInfo::default()).unwrap();
        save(&raw.plus(&floats).unwrap(), path).unwrap();
        let back = load(path, &run()).unwrap();
        assert_eq!(back.images().unwrap(), Tensor::f_cat(&[&images, &images], 0).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_content_tells_the_format_whatever_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("few.npz");
        save(&digits(), path.to_str().unwrap()).unwrap();
        let back = load(path.to_str().unwrap(), &run()).unwrap();
        assert_eq!((back.labels(), back.class_names().len()), (digits().labels(), 10));
        let pairs = [
            ("x".to_string(), Tensor::zeros([2, 3, 3], (Kind::Uint8, Device::Cpu))),
            ("y".to_string(), Tensor::from_slice(&[1_i64, 0])),
        ];
        let other = folder.path().join("few.safetensors");
        crate::tensor::io::npz::save_npz(&other, &pairs).unwrap();
        assert_eq!(load(other.to_str().unwrap(), &run()).unwrap().labels(), [1, 0]);
        let mut zipped = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        std::io::Write::write_all(&mut zipped, &std::fs::read(&other).unwrap()).unwrap();
        let packed = folder.path().join("few");
        std::fs::write(&packed, zipped.finish().unwrap()).unwrap();
        assert_eq!(load(packed.to_str().unwrap(), &run()).unwrap().labels(), [1, 0]);
        for (bytes, what) in [
            (&b"\x93NUMPY\x01\0"[..], "one NumPy array"),
            (b"\x80\x04\x95", "a Python pickle"),
            (b"\x89PNG\r\n\x1a\n", "a picture"),
        ] {
            std::fs::write(&packed, bytes).unwrap();
            assert!(message(&packed).contains(what), "{}", message(&packed));
        }
    }

    #[test]
    fn idx_files_are_read_with_those_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let images = put("x-images.idx3-ubyte", &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 9, 8, 7, 6]);
        assert!(message(&images).contains("none beside it"), "{}", message(&images));
        let labels = put("x-labels.idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 2, 3, 1]);
        for file in [images, labels] {
            let data = load(file.to_str().unwrap(), &run()).unwrap();
            assert_eq!((data.labels(), data.dims()), (vec![3, 1], vec![1, 1, 2]));
        }
    }

    #[test]
    fn the_number_of_classes_is_one_whole_number_and_no_list_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("few.safetensors");
        let images = Tensor::zeros([3, 1, 2, 2], (Kind::Uint8, Device::Cpu));
        let labels = Tensor::from_slice(&[0_i64, 1, 2]);
        let with = |name: &str, values: &Tensor| {
            let pairs = [("images", &images), ("labels", &labels), (name, values)];
            save_noted(
                "save",
                &path,
                &pairs.map(|(name, tensor)| (name.into(), tensor.shallow_clone())),
                &Notes::new(),
            )
            .unwrap();
            message(&path)
        };
        assert!(with("classes", &Tensor::from_slice(&[0_i64, 1, 2])).contains("`classes` must be one number above 0"));
        for wrong in [vec![], vec![7.0, 9.0], vec![0.0], vec![-3.0], vec![f64::NAN], vec![3.5]] {
            let said = with("classes", &Tensor::from_slice(&wrong));
            assert!(said.contains("`classes` must be"), "{wrong:?}: {said}");
        }
        assert!(with("scale", &Tensor::from_slice(&[1.0, 2.0])).contains("`scale` must be one number"));
        for right in [Tensor::from_slice(&[3_i64]), Tensor::from(4_i64)] {
            assert_eq!(with("classes", &right), "");
        }
    }

    #[test]
    fn missing_damaged_and_foreign_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("few.safetensors");
        assert!(message(&path).contains("few.safetensors: no such file"));
        save(&digits(), path.to_str().unwrap()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(message(&path).contains("not a sound safetensors file"), "{}", message(&path));
        std::fs::write(&path, b"hello").unwrap();
        assert!(message(&path).contains("not a safetensors file"), "{}", message(&path));
        let other = [("weight".to_string(), Tensor::from_slice(&[1.0_f32]))];
        save_noted("save", &path, &other, &Notes::new()).unwrap();
        assert!(message(&path).contains("has no tensor `images`"));
        let below_a_file = path.join("x.safetensors");
        assert!(save(&digits(), below_a_file.to_str().unwrap()).unwrap_err().to_string().contains("x.safetensors"));
    }
}
