//! Files of datasets: safetensors or npz with `images` and `labels`, and where they are known `classes`, `mean`, `std`,
//! `scale`.

use super::dataset::Dataset;
use super::storage::{DatasetInfo, Storage};
use crate::runtime::{At, Error, Result};
use crate::tensor::files::{Notes, load_noted, save_noted};
use crate::tensor::npy::load_npz;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Reads a dataset that `save` wrote, or any safetensors or npz file with `images` and `labels` (or `x` and `y`).
///
/// # Errors
/// A file that is missing, damaged or no dataset.
pub fn load(path: &str, device: Device) -> Result<Dataset> {
    let file = Path::new(path);
    let fail = |problem: String| Error::file("load_dataset", file, problem);
    let tensors = match file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
        true => load_npz(file)?,
        false => load_noted("load_dataset", file)?.0,
    };
    let find = |name: &str| tensors.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor.shallow_clone());
    let need = |name: &str, short: &str| {
        find(name).or_else(|| find(short)).ok_or_else(|| {
            fail(format!("has no tensor `{name}`")).hint("a dataset file holds `images` and `labels`").note(format!(
                "its tensors: {}",
                tensors.iter().map(|(own, _)| own.as_str()).collect::<Vec<_>>().join(", ")
            ))
        })
    };
    let numbers = |name: &str| find(name).map(|tensor| numbers_of(&tensor)).transpose().map(Option::unwrap_or_default);
    let single = |name: &str, what: &str| match (numbers(name)?.as_slice(), find(name)) {
        (_, None) => Ok(None),
        ([one], _) if one.is_finite() && *one > 0.0 => Ok(Some(*one)),
        (values, _) => {
            let given = if values.len() == 1 { format!("{values:?}") } else { format!("{} numbers", values.len()) };
            Err(fail(format!("`{name}` must be one number above 0, {what}; it holds {given}")))
        }
    };
    let classes = single("classes", "how many classes there are")?;
    if let Some(odd) = classes.filter(|n| n.fract() != 0.0) {
        return Err(fail(format!("`classes` must be a whole number, it holds {odd}")));
    }
    let info = DatasetInfo {
        name: file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        classes: classes.map(|n| n as usize),
        mean: numbers("mean")?,
        std: numbers("std")?,
        scale: single("scale", "the pixel value that stands for 1.0")?,
    };
    let storage = Storage::new(&need("images", "x")?, &need("labels", "y")?, info, device);
    Ok(Dataset::new(storage.map_err(|problem| fail(problem.to_string()))?))
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
    save_noted("save", Path::new(path), &tensors, &Notes::new())
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

    /// Writes a dataset to a safetensors file; nothing half-written replaces a good file.
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
    use crate::runtime::{Run, run::Settings};

    fn digits() -> Dataset {
        crate::data::sources::load("digits", rhai::Map::new(), &Run::new(Settings::default())).unwrap().test.take(30)
    }

    fn message(path: &Path) -> String {
        load(path.to_str().unwrap(), Device::Cpu).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_dataset_comes_back_from_its_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("few.safetensors");
        let (path, raw) = (path.to_str().unwrap(), digits());
        save(&raw, path).unwrap();
        let back = load(path, Device::Cpu).unwrap();
        assert_eq!(back.images().unwrap(), raw.images().unwrap());
        assert_eq!((back.labels(), back.classes()), (raw.labels(), 10));
        let images = raw.images().unwrap();
        let floats = Dataset::from_tensors(&images, &raw.targets().unwrap(), DatasetInfo::default()).unwrap();
        save(&raw.plus(&floats).unwrap(), path).unwrap();
        let back = load(path, Device::Cpu).unwrap();
        assert_eq!(back.images().unwrap(), Tensor::f_cat(&[&images, &images], 0).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
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
