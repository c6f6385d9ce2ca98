//! Files of datasets: safetensors with `images` and `labels`, and where they are known `classes`, `mean`, `std`, `scale`.

use super::dataset::Dataset;
use super::storage::{DatasetInfo, Storage};
use crate::runtime::{At, Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Reads a dataset that `save` wrote, or any safetensors file with `images` and `labels`.
///
/// # Errors
/// A file that is missing, damaged or no dataset.
pub fn load(path: &str, device: Device) -> Result<Dataset> {
    let file = Path::new(path);
    let fail = |problem: String| Error::file("load_dataset", file, problem);
    let bytes = std::fs::read(file).map_err(|problem| fail(problem.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|problem| fail(format!("damaged or no safetensors file ({problem})")))?;
    let find = |name: &str| {
        tensors
            .tensor(name)
            .ok()
            .map(|view| tensor_of(&view).map_err(|problem| fail(format!("{name}: {problem}"))))
            .transpose()
    };
    let need = |name: &str| {
        find(name)?.ok_or_else(|| {
            fail(format!("has no tensor `{name}`"))
                .hint("a dataset file holds `images` and `labels`")
                .note(format!("its tensors: {}", tensors.names().join(", ")))
        })
    };
    let numbers = |name: &str| find(name)?.map(|tensor| numbers_of(&tensor)).transpose().map(Option::unwrap_or_default);
    let info = DatasetInfo {
        name: file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        classes: numbers("classes")?.first().map(|n| *n as usize),
        mean: numbers("mean")?,
        std: numbers("std")?,
        scale: numbers("scale")?.first().copied(),
    };
    let storage = Storage::new(&need("images")?, &need("labels")?, info, device);
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
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, tensor) in &tensors {
        let (dtype, bytes) = bytes_of(tensor)?;
        parts.push((*name, dtype, tensor.size().iter().map(|n| *n as usize).collect::<Vec<_>>(), bytes));
    }
    let file = Path::new(path);
    let views =
        parts.iter().map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let content = views
        .collect::<std::result::Result<Vec<_>, _>>()
        .and_then(|views| serialize(views, None))
        .map_err(|problem: safetensors::SafeTensorError| Error::file("save", file, problem))?;
    replace(file, &content)
}

/// Writes a file beside `path`, then moves it there.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&part);
    }
    written.map_err(|problem| Error::file("save", path, problem))
}

/// The little-endian bytes of a tensor.
fn bytes_of(tensor: &Tensor) -> Result<(Dtype, Vec<u8>)> {
    let host = tensor.f_to_device(Device::Cpu).at("save")?.f_contiguous().at("save")?;
    let (dtype, width) = match host.kind() {
        Kind::Uint8 => (Dtype::U8, 1),
        Kind::Int64 => (Dtype::I64, 8),
        Kind::Double => (Dtype::F64, 8),
        Kind::Float => (Dtype::F32, 4),
        other => return Err(Error::new("save", format!("{other:?} is not a dtype of datasets"))),
    };
    let mut bytes = vec![0; host.numel() * width];
    host.f_copy_data_u8(&mut bytes, host.numel()).at("save")?;
    Ok((dtype, bytes))
}

/// The tensor a view shows; the reader has checked its length against its shape.
fn tensor_of(view: &TensorView) -> Result<Tensor> {
    let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
    let flat = match view.dtype() {
        Dtype::U8 => Tensor::f_from_slice(view.data()),
        Dtype::F32 => Tensor::f_from_slice(&elements(view.data(), f32::from_le_bytes)),
        Dtype::F64 => Tensor::f_from_slice(&elements(view.data(), f64::from_le_bytes)),
        Dtype::I32 => Tensor::f_from_slice(&elements(view.data(), i32::from_le_bytes)),
        Dtype::I64 => Tensor::f_from_slice(&elements(view.data(), i64::from_le_bytes)),
        other => return Err(Error::new("", format!("{other:?} is not a dtype of datasets (u8, f32, f64, i32, i64)"))),
    };
    flat.and_then(|flat| flat.f_reshape(shape.as_slice())).at("")
}

fn elements<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(read).collect()
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
    use crate::runtime::{Run, Script};
    use rhai::NativeCallContext;

    type Dataset = crate::data::Dataset;

    /// A dataset from a safetensors file with tensors `images` and `labels`, as `save` writes it.
    ///
    /// # Example
    /// ```rhai
    /// let path = "/tmp/lethe-example-dataset.safetensors";
    /// dataset("digits").test.take(10).save(path);
    /// assert(load_dataset(path).len == 10);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load_dataset(context: NativeCallContext, path: &str) -> Script<Dataset> {
        Ok(super::load(path, Run::of(&context).device())?)
    }

    /// Writes a dataset to a safetensors file; nothing half-written replaces a good file.
    ///
    /// # Example
    /// ```rhai
    /// let path = "/tmp/lethe-example-saved.safetensors";
    /// dataset("digits").test.of(3).save(path);
    /// assert(load_dataset(path).classes == [3]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn save(dataset: Dataset, path: &str) -> Script<()> {
        Ok(super::save(&dataset, path)?)
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
    fn missing_damaged_and_foreign_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("few.safetensors");
        assert!(message(&path).contains("few.safetensors: No such file"));
        save(&digits(), path.to_str().unwrap()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(message(&path).contains("damaged or no safetensors file"), "{}", message(&path));
        std::fs::write(&path, b"hello").unwrap();
        assert!(message(&path).contains("damaged or no safetensors file"));
        let bytes = 1.0_f32.to_le_bytes();
        let view = TensorView::new(Dtype::F32, vec![1], &bytes).unwrap();
        std::fs::write(&path, serialize([("weight", view)], None).unwrap()).unwrap();
        assert!(message(&path).contains("has no tensor `images`"));
        let below_a_file = path.join("x.safetensors");
        assert!(save(&digits(), below_a_file.to_str().unwrap()).unwrap_err().to_string().contains("x.safetensors"));
    }
}
