//! NumPy's files: `.npy` (one array) and `.npz` (a zip archive of them). Lengths are checked before anything is allocated.

use super::archive;
use super::dtype::{kind_name, kind_of};
use super::files::{from_bytes, read_bytes, to_bytes, write_atomically};
use crate::runtime::budget::{Budget, ENTRY};
use crate::runtime::{At, Error, Result};
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use std::io::{Cursor, Read, Write};
use std::path::Path;
use tch::{Kind, Tensor};

/// What went wrong with the bytes, without the file's name.
type Checked<T> = std::result::Result<T, String>;

/// Deflate cannot shrink data further than this; an entry that claims more is a lie.
const BEST_RATIO: u64 = 1032;

/// How deep brackets nest in a header; its reader takes time that doubles with each.
const DEEPEST: usize = 8;

/// A header is a line of text; this is far beyond what NumPy writes.
const LONGEST_HEADER: usize = 1 << 20;

/// Reads a `.npy` file.
///
/// # Errors
/// A missing, truncated or corrupt file; element types that tensors here do not have.
pub fn load_npy(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let bytes = read_bytes("load_npy", path)?;
    parse_npy(&bytes).map_err(|problem| Error::file("load_npy", path, problem))
}

/// Reads the named arrays of a `.npz` file, in the order of the archive.
///
/// # Errors
/// As `load_npy`; damaged archives.
pub fn load_npz(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
    let path = path.as_ref();
    let bytes = read_bytes("load_npz", path)?;
    parse_npz(&bytes).map_err(|problem| Error::file("load_npz", path, problem))
}

/// Where the header ends, by its own length field.
fn header_end(bytes: &[u8]) -> Checked<usize> {
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("not an .npy file: it does not begin with NumPy's signature".into());
    }
    let (length, start) = match (bytes.get(6), bytes.get(8..12)) {
        (Some(1), Some([a, b, ..])) => (usize::from(u16::from_le_bytes([*a, *b])), 10),
        (Some(2 | 3), Some([a, b, c, d])) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
        (Some(version), Some(_)) => return Err(format!("version {version} of the .npy format is not known")),
        _ => return Err("the header is cut off (truncated?)".into()),
    };
    if length > LONGEST_HEADER || start + length > bytes.len() {
        return Err(format!("the header claims {length} bytes, the file has {} (truncated?)", bytes.len()));
    }
    Ok(start + length)
}

fn parse_npy(bytes: &[u8]) -> Checked<Tensor> {
    let end = header_end(bytes)?;
    let header = bytes.get(..end).unwrap_or_default();
    if depth(header) > DEEPEST {
        return Err(format!("its header cannot be read: brackets nest more than {DEEPEST} deep"));
    }
    let header = NpyHeader::from_reader(header).map_err(|problem| format!("its header cannot be read: {problem}"))?;
    let (kind, big_endian) = element_type(&header.dtype())?;
    let shape: std::result::Result<Vec<i64>, _> = header.shape().iter().map(|size| i64::try_from(*size)).collect();
    let mut shape = shape.map_err(|_| format!("its shape {:?} is too large", header.shape()))?;
    let width = kind.elt_size_in_bytes();
    let expected = shape.iter().try_fold(width, |all, size| usize::try_from(*size).ok()?.checked_mul(all));
    let data = bytes.get(end..).unwrap_or_default();
    let Some(data) = expected.and_then(|expected| data.get(..expected)) else {
        return Err(format!(
            "shape {shape:?} needs more than the {} bytes that follow the header (truncated?)",
            data.len()
        ));
    };
    let swapped = if big_endian { Some(swap(data, width)) } else { None };
    let fortran = header.order() == Order::Fortran;
    if fortran {
        shape.reverse();
    }
    let tensor = from_bytes(swapped.as_deref().unwrap_or(data), &shape, kind)?;
    if !fortran {
        return Ok(tensor);
    }
    let order: Vec<i64> = (0..shape.len() as i64).rev().collect();
    tensor.f_permute(order).and_then(|t| t.f_contiguous()).map_err(|problem| problem.to_string())
}

/// How deep brackets nest.
fn depth(header: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn element_type(dtype: &DType) -> Checked<(Kind, bool)> {
    let unknown = || format!("its element type {} has no counterpart here", dtype.descr());
    let DType::Plain(plain) = dtype else { return Err(unknown()) };
    let kind = match (plain.type_char(), plain.size_field()) {
        (TypeChar::Float, 4) => Kind::Float,
        (TypeChar::Float, 8) => Kind::Double,
        (TypeChar::Float, 2) => Kind::Half,
        (TypeChar::Int, 8) => Kind::Int64,
        (TypeChar::Int, 4) => Kind::Int,
        (TypeChar::Int, 2) => Kind::Int16,
        (TypeChar::Int, 1) => Kind::Int8,
        (TypeChar::Uint, 1) => Kind::Uint8,
        (TypeChar::Bool, 1) => Kind::Bool,
        _ => return Err(unknown()),
    };
    Ok((kind, plain.endianness() == Endianness::Big))
}

fn swap(data: &[u8], width: usize) -> Vec<u8> {
    data.chunks_exact(width).flat_map(|element| element.iter().rev().copied()).collect()
}

fn parse_npz(bytes: &[u8]) -> Checked<Vec<(String, Tensor)>> {
    let broken = |problem: &dyn std::fmt::Display| format!("not a sound .npz archive: {problem}");
    let mut archive = archive::open(Cursor::new(bytes)).map_err(|problem| broken(&problem))?;
    let mut budget = Budget::of(bytes.len() as u64);
    let mut tensors = Vec::new();
    for place in 0..archive.len() {
        let mut entry = archive.by_index(place).map_err(|problem| broken(&problem))?;
        let file = entry.name().map_err(|problem| broken(&problem))?.to_string();
        let Some(name) = file.strip_suffix(".npy") else {
            return Err(format!("entry {file:?} is no .npy file"));
        };
        let limit = entry.compressed_size().saturating_mul(BEST_RATIO).saturating_add(1024);
        if entry.size() > limit {
            let sizes = format!("{} bytes from {}", entry.size(), entry.compressed_size());
            return Err(format!("entry {file:?} claims {sizes}, which no compression achieves"));
        }
        budget.take(entry.size().saturating_add(ENTRY)).map_err(|problem| format!("entry {file:?}: {problem}"))?;
        let mut content = Vec::new();
        let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        if content.try_reserve_exact(size).is_err() {
            return Err(format!("no memory for the {size} bytes of entry {file:?}"));
        }
        // A byte more than it claims to have shows that the claim was wrong.
        let read = entry.by_ref().take(size as u64 + 1).read_to_end(&mut content);
        let read = read.map_err(|problem| format!("entry {file:?} is damaged: {problem}"))?;
        if read != size {
            return Err(format!("entry {file:?} is damaged: it does not have the {size} bytes it claims"));
        }
        let tensor = parse_npy(&content).map_err(|problem| format!("entry {file:?}: {problem}"))?;
        tensors.push((name.to_string(), tensor));
    }
    Ok(tensors)
}

/// The bytes of a tensor as a `.npy` file.
fn npy_bytes(operation: &str, tensor: &Tensor) -> Result<Vec<u8>> {
    let code = match kind_of(tensor) {
        Kind::Float => "<f4",
        Kind::Double => "<f8",
        Kind::Half => "<f2",
        Kind::Int64 => "<i8",
        Kind::Int => "<i4",
        Kind::Int16 => "<i2",
        Kind::Int8 => "|i1",
        Kind::Uint8 => "|u1",
        Kind::Bool => "|b1",
        kind => {
            let message = format!("NumPy has no {}", kind_name(kind));
            return Err(Error::new(operation, message).hint("convert it with .to(\"f32\"), or use save_safetensors"));
        }
    };
    let sizes: String = tensor.size().iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    // The data begins at a multiple of 64, behind a line feed.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let length = u16::try_from(header.len())
        .map_err(|_| Error::new(operation, format!("a tensor of rank {} is beyond NumPy", tensor.dim())))?;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.append(&mut to_bytes(operation, tensor)?);
    Ok(bytes)
}

/// Writes a tensor as a `.npy` file, atomically.
///
/// # Errors
/// bf16, which NumPy does not have; a path that cannot be written.
pub fn save_npy(path: impl AsRef<Path>, tensor: &Tensor) -> Result<()> {
    let bytes = npy_bytes("save_npy", tensor)?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// Writes named tensors as a compressed `.npz` file, atomically.
///
/// # Errors
/// As `save_npy`.
pub fn save_npz(path: impl AsRef<Path>, tensors: &[(String, Tensor)]) -> Result<()> {
    let path = path.as_ref();
    let failed = |problem: &dyn std::fmt::Display| Error::file("save_npz", path, problem);
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    // No clock in the file: equal tensors give equal bytes.
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .large_file(true);
    for (name, tensor) in tensors {
        let bytes = npy_bytes("save_npz", tensor)?;
        archive.start_file(format!("{name}.npy"), options).map_err(|problem| failed(&problem))?;
        archive.write_all(&bytes).map_err(|problem| failed(&problem))?;
    }
    let bytes = archive.finish().map_err(|problem| failed(&problem))?.into_inner();
    write_atomically(path, |file| file.write_all(&bytes))
}

fn placed(operation: &str, tensor: &Tensor, device: tch::Device) -> Result<super::Tensor> {
    tensor.f_to_device(device).at(operation).map(Into::into)
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::placed;
    use crate::runtime::places::{to_read, to_write};
    use crate::runtime::{Run, Script};
    use crate::tensor::files::{named_tensors, refuse_other};
    use rhai::{Dynamic, Map, NativeCallContext};

    type Tensor = crate::tensor::Tensor;

    /// Reads one array of NumPy's (`.npy`), on the run's device.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("x.npy");
    /// save_npy(path, arange(6).reshape([2, 3]));
    /// assert(load_npy(path) == arange(6).reshape([2, 3]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn load_npy(context: NativeCallContext, path: &str) -> Script<Tensor> {
        Ok(placed("load_npy", &super::load_npy(to_read(&Run::of(&context), path))?, Run::of(&context).device())?)
    }

    /// Writes a tensor as an array of NumPy's (`.npy`). The file appears complete or not at all.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("x.npy");
    /// save_npy(path, tensor([1.5]));
    /// assert(load_npy(path).item() == 1.5);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn save_npy(context: NativeCallContext, path: &str, tensor: Tensor) -> Script<()> {
        refuse_other("save_npy", path, "npy")?;
        Ok(super::save_npy(to_write(&Run::of(&context), "save_npy", path)?, &tensor)?)
    }

    /// Reads an archive of NumPy's arrays (`.npz`): a map of tensors by name, on the run's device.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("x.npz");
    /// save_npz(path, #{ a: ones([2]), b: arange(3) });
    /// assert(load_npz(path).b == arange(3));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn load_npz(context: NativeCallContext, path: &str) -> Script<Map> {
        let device = Run::of(&context).device();
        let mut map = Map::new();
        for (name, tensor) in super::load_npz(to_read(&Run::of(&context), path))? {
            map.insert(name.into(), Dynamic::from(placed("load_npz", &tensor, device)?));
        }
        Ok(map)
    }

    /// Writes a map of tensors as an archive of NumPy's arrays (`.npz`). The file appears complete or not at all.
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("x.npz");
    /// save_npz(path, #{ a: tensor([true, false]) });
    /// assert(load_npz(path).a.dtype == "bool");
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn save_npz(context: NativeCallContext, path: &str, tensors: Map) -> Script<()> {
        let tensors = named_tensors("save_npz", tensors)?;
        refuse_other("save_npz", path, "npz")?;
        Ok(super::save_npz(to_write(&Run::of(&context), "save_npz", path)?, &tensors)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tch::Device;

    fn sample() -> Tensor {
        Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3])
    }

    fn npz() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        save_npz(&path, &[("a".into(), sample()), ("b".into(), Tensor::from_slice(&[true, false]))]).unwrap();
        std::fs::read(path).unwrap()
    }

    /// A file with a header of one's own making.
    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn every_element_type_and_shape_comes_back() {
        for kind in [Kind::Float, Kind::Double, Kind::Half, Kind::Int64, Kind::Int, Kind::Uint8, Kind::Bool] {
            for shape in [vec![2, 3], vec![6], vec![1, 6, 1]] {
                let tensor = sample().to_kind(kind).view(shape.as_slice());
                let back = parse_npy(&npy_bytes("save_npy", &tensor).unwrap()).unwrap();
                assert_eq!((back.size(), back.kind()), (shape.clone(), kind));
                assert!(back.f_equal(&tensor).unwrap());
            }
        }
        let scalar = parse_npy(&npy_bytes("save_npy", &Tensor::from(2.5)).unwrap()).unwrap();
        assert_eq!((scalar.size(), scalar.double_value(&[])), (vec![], 2.5));
        assert!(npy_bytes("save_npy", &sample().to_kind(Kind::BFloat16)).is_err());
    }

    #[test]
    fn big_endian_and_fortran_order_are_read() {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }\n";
        let tensor = parse_npy(&with_header(header, &[0, 1, 0, 2, 0, 3, 0, 4])).unwrap();
        assert!(tensor.to_kind(Kind::Int64).f_equal(&Tensor::from_slice(&[1_i64, 3, 2, 4]).view([2, 2])).unwrap());
    }

    #[test]
    fn shapes_that_the_file_cannot_fill_are_refused_before_allocation() {
        for shape in ["(9999999999999,)", "(4294967296, 4294967296)", "(3,)", "(18446744073709551615,)"] {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            assert!(parse_npy(&with_header(&header, &[0; 8])).is_err(), "{shape} was accepted");
        }
        let header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n";
        assert!(parse_npy(&with_header(header, &[0; 8])).unwrap_err().contains("no counterpart"));
        assert!(parse_npy(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}").unwrap_err().contains("the header claims"));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let npy = npy_bytes("save_npy", &sample()).unwrap();
        for length in 0..npy.len() {
            assert!(parse_npy(&npy[..length]).is_err(), "{length} bytes were accepted");
        }
        let npz = npz();
        assert_eq!(parse_npz(&npz).unwrap().len(), 2);
        for length in 0..npz.len() {
            assert!(parse_npz(&npz[..length]).is_err(), "{length} bytes were accepted");
        }
    }

    proptest! {
        #[test]
        fn corrupt_bytes_never_panic(place in 0_usize..2000, value in any::<u8>()) {
            static FILES: std::sync::OnceLock<[Vec<u8>; 2]> = std::sync::OnceLock::new();
            let files = FILES.get_or_init(|| [npy_bytes("save_npy", &sample()).unwrap(), npz()]);
            for (file, parse) in files.iter().zip([|b: &[u8]| parse_npy(b).map(drop), |b: &[u8]| parse_npz(b).map(drop)]) {
                let mut bytes = file.clone();
                let place = place % bytes.len();
                bytes[place] = value;
                let _ = parse(&bytes);
            }
        }
    }
}
