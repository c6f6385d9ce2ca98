//! Weights in a file: safetensors with a few words about where they came from, written whole or not at all.

use crate::runtime::{At, Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Names and tensors, and what was noted about them.
pub type Stored = (Vec<(String, Tensor)>, BTreeMap<String, String>);

/// Writes tensors and notes to `path`; a file that was there is replaced only when everything is written.
///
/// # Errors
/// A dtype that weights do not have; a folder or file that cannot be written.
pub fn write(path: &Path, state: &[(String, Tensor)], notes: &BTreeMap<String, String>) -> Result<()> {
    let mut parts = Vec::with_capacity(state.len());
    for (name, tensor) in state {
        let (kind, bytes) = bytes_of(name, tensor)?;
        parts.push((name.clone(), kind, tensor.size().iter().map(|n| *n as usize).collect::<Vec<_>>(), bytes));
    }
    let views: std::result::Result<Vec<_>, _> = parts
        .iter()
        .map(|(name, kind, shape, bytes)| TensorView::new(*kind, shape.clone(), bytes).map(|view| (name, view)))
        .collect();
    let notes = notes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let file =
        views.and_then(|views| serialize(views, Some(notes))).map_err(|problem| Error::file("save", path, problem))?;
    replace(path, &file)
}

/// Writes a file beside `path`, then moves it there.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |problem: std::io::Error| Error::file("save", path, problem);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::File::create(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        // Half a file is of no use to anybody; the first error is the one to report.
        let _ = std::fs::remove_file(&part);
    }
    written.map_err(fail)
}

/// Reads what `write` wrote; `None` when there is no such file.
///
/// # Errors
/// A file that cannot be read, or is damaged.
pub fn read(path: &Path) -> Result<Option<Stored>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(problem) => return Err(Error::file("load", path, problem)),
    };
    let fail = |problem: safetensors::SafeTensorError| Error::file("load", path, problem);
    let file = SafeTensors::deserialize(&bytes).map_err(fail)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(fail)?;
    let notes = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut state = vec![];
    for (name, view) in file.tensors() {
        let tensor = tensor_of(&view).map_err(|problem| Error::file("load", path, format!("{name}: {problem}")))?;
        state.push((name, tensor));
    }
    Ok(Some((state, notes)))
}

fn bytes_of(name: &str, tensor: &Tensor) -> Result<(Dtype, Vec<u8>)> {
    let _guard = tch::no_grad_guard();
    let host = tensor.f_detach().and_then(|t| t.f_to_device(Device::Cpu)).and_then(|t| t.f_contiguous()).at("save")?;
    let kind = host.f_kind().at("save")?;
    let dtype = match kind {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Int64 => Dtype::I64,
        other => return Err(Error::new("save", format!("{name} has dtype {other:?}, which weights cannot have"))),
    };
    let mut bytes = vec![0; host.numel() * kind.elt_size_in_bytes()];
    host.f_copy_data_u8(&mut bytes, host.numel()).at("save")?;
    Ok((dtype, bytes))
}

fn tensor_of(view: &TensorView) -> Result<Tensor> {
    let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
    let flat = match view.dtype() {
        Dtype::F32 => Tensor::f_from_slice(&numbers(view.data(), f32::from_le_bytes)),
        Dtype::F64 => Tensor::f_from_slice(&numbers(view.data(), f64::from_le_bytes)),
        Dtype::I64 => Tensor::f_from_slice(&numbers(view.data(), i64::from_le_bytes)),
        other => return Err(Error::new("load", format!("dtype {other:?} is not one of weights"))),
    };
    flat.and_then(|flat| flat.f_reshape(shape.as_slice())).at("load")
}

fn numbers<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<(String, Tensor)> {
        vec![
            ("a.weight".into(), Tensor::from_slice(&[1.5_f32, -2.0, 0.0, 4.0]).reshape([2, 2])),
            ("a.count".into(), Tensor::from_slice(&[7_i64]).reshape([] as [i64; 0])),
        ]
    }

    #[test]
    fn tensors_and_notes_come_back_as_they_went() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/er/x.safetensors");
        assert!(read(&path).unwrap().is_none());
        write(&path, &sample(), &BTreeMap::from([("seconds".to_string(), "1.5".to_string())])).unwrap();
        let (mut state, notes) = read(&path).unwrap().unwrap();
        state.sort_by(|a, b| b.0.cmp(&a.0));
        assert_eq!(notes["seconds"], "1.5");
        for ((name, tensor), (expected_name, expected)) in state.iter().zip(sample()) {
            assert_eq!((name, tensor.size()), (&expected_name, expected.size()));
            assert!(tensor.equal(&expected));
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_and_a_failed_write_leaves_the_old_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x.safetensors");
        write(&path, &sample(), &BTreeMap::new()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("x.safetensors"));
        assert!(write(&path.join("below/a/file"), &sample(), &BTreeMap::new()).is_err());
        let bad = vec![("m".to_string(), Tensor::from_slice(&[true]))];
        assert!(write(&path, &bad, &BTreeMap::new()).unwrap_err().to_string().contains("dtype"));
    }
}
