//! Writing files that `torch.load` reads: a zip archive with the pickle of a state dict and one entry for each tensor's elements.

use crate::runtime::{At, Error, Result};
use crate::tensor::io::safetensors_file::{to_bytes, write_atomically};
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use tch::{Kind, Tensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The version of the format that PyTorch from 1.6 on reads.
const VERSION: &[u8] = b"3\n";

/// Bytes that elements begin at a multiple of, so that PyTorch can map them.
const ALIGNMENT: u16 = 64;

/// Writes named tensors as `torch.save` writes a state dict, atomically.
///
/// # Errors
/// Element types that are not written, repeated names, a path that cannot be written.
pub fn save(operation: &str, path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let mut names = HashSet::new();
    if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.insert(name)) {
        return Err(Error::file(operation, path, format!("two tensors have the name {name:?}")));
    }
    let pickle = pickle(operation, tensors)?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| !stem.is_empty()).unwrap_or("archive");
    let mut failed = None;
    let written = write_atomically(path, |file| {
        let mut archive = ZipWriter::new(file);
        let mut entry = |name: &str, bytes: &[u8]| -> std::io::Result<()> {
            // No clock in the file: equal tensors give equal bytes.
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .last_modified_time(zip::DateTime::default())
                .large_file(bytes.len() as u64 >= u64::from(u32::MAX))
                .with_alignment(ALIGNMENT);
            archive.start_file(format!("{stem}/{name}"), options).map_err(std::io::Error::other)?;
            archive.write_all(bytes)
        };
        entry("data.pkl", &pickle)?;
        entry("byteorder", b"little")?;
        for (place, (_, tensor)) in tensors.iter().enumerate() {
            match to_bytes(operation, tensor) {
                Ok(bytes) => entry(&format!("data/{place}"), &bytes)?,
                Err(error) => {
                    failed = Some(error);
                    return Err(std::io::Error::other("a tensor cannot be written"));
                }
            }
        }
        entry("version", VERSION)?;
        archive.finish().map(drop).map_err(std::io::Error::other)
    });
    failed.map_or(written, Err)
}

/// The pickle of an ordered dictionary of tensors, each with a storage of its own.
fn pickle(operation: &str, tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (place, (name, tensor)) in tensors.iter().enumerate() {
        let kind = tensor.f_kind().at(operation)?;
        let Some(storage) = storage(kind) else {
            return Err(Error::new(operation, format!("tensor {name:?} has the element type {kind:?}")));
        };
        let shape = tensor.size();
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{storage}\n").as_bytes());
        text(&mut pickle, &place.to_string());
        text(&mut pickle, "cpu");
        integer(&mut pickle, tensor.numel() as i64);
        pickle.extend(b"tQ");
        integer(&mut pickle, 0);
        tuple(&mut pickle, &shape);
        tuple(&mut pickle, &strides(&shape));
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"u.");
    Ok(pickle)
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn integer(pickle: &mut Vec<u8>, number: i64) {
    match i32::try_from(number) {
        Ok(short) => {
            pickle.push(b'J');
            pickle.extend(short.to_le_bytes());
        }
        Err(_) => {
            pickle.extend(b"\x8a\x08");
            pickle.extend(number.to_le_bytes());
        }
    }
}

fn tuple(pickle: &mut Vec<u8>, numbers: &[i64]) {
    pickle.push(b'(');
    numbers.iter().for_each(|number| integer(pickle, *number));
    pickle.push(b't');
}

/// The strides of a tensor in row-major order.
fn strides(shape: &[i64]) -> Vec<i64> {
    let mut step = 1;
    let mut strides: Vec<i64> = vec![];
    for size in shape.iter().rev() {
        strides.push(step);
        step *= (*size).max(1);
    }
    strides.reverse();
    strides
}

/// torch's class for storages of a type.
fn storage(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Float => "FloatStorage",
        Kind::Double => "DoubleStorage",
        Kind::Half => "HalfStorage",
        Kind::BFloat16 => "BFloat16Storage",
        Kind::Int64 => "LongStorage",
        Kind::Int => "IntStorage",
        Kind::Int16 => "ShortStorage",
        Kind::Int8 => "CharStorage",
        Kind::Uint8 => "ByteStorage",
        Kind::Bool => "BoolStorage",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::pytorch::read;
    use tch::Device;

    #[test]
    fn every_element_type_and_shape_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pth");
        let kinds =
            [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16, Kind::Int64, Kind::Int, Kind::Int16, Kind::Int8];
        let mut state: Vec<(String, Tensor)> = vec![];
        for kind in kinds.into_iter().chain([Kind::Uint8, Kind::Bool]) {
            state.push((
                format!("{kind:?}"),
                Tensor::arange(6, (Kind::Int64, Device::Cpu)).view([2, 3]).to_kind(kind).tr(),
            ));
        }
        state.push(("number".into(), Tensor::from(2.5_f64)));
        state.push(("empty".into(), Tensor::zeros([2, 0], (Kind::Float, Device::Cpu))));
        save("save", &path, &state).unwrap();
        let back = read::read(&path).unwrap();
        assert_eq!(back.len(), state.len());
        for ((name, tensor), (expected, wanted)) in back.iter().zip(&state) {
            assert_eq!((name, tensor.kind(), tensor.size()), (expected, wanted.kind(), wanted.size()));
            assert!(tensor.equal(wanted), "{name}");
        }
        let first = std::fs::read(&path).unwrap();
        save("save", &path, &state).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "equal tensors give equal bytes");
    }

    #[test]
    fn what_cannot_be_written_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pth");
        let complex = Tensor::zeros([1], (Kind::ComplexFloat, Device::Cpu));
        assert!(save("save", &path, &[("c".into(), complex)]).unwrap_err().to_string().contains("\"c\""));
        let one = || Tensor::from(1.0);
        let twice = [("a".to_string(), one()), ("a".to_string(), one())];
        assert!(save("save", &path, &twice).unwrap_err().to_string().contains("two tensors"));
        assert!(!path.exists());
    }
}
