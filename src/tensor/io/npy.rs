//! NumPy's files: `.npy` (one array) and `.npz` (a zip archive of them). Lengths are checked before anything is allocated.

use crate::runtime::{At, Error, Result};
use crate::tensor::dtype::{kind_name, kind_of};
use crate::tensor::io::content::{Content, explained};
use crate::tensor::io::npy_header;
use crate::tensor::io::npy_header::{Element, Header};
use crate::tensor::io::safetensors_file::{from_bytes, read_bytes, to_bytes, write_atomically};
use std::io::Write;
use std::path::Path;
use tch::{Kind, Tensor};

/// What an array holds.
#[derive(Debug)]
pub enum Array {
    /// Numbers or truth values; `from` is the name of an unsigned type that was read as a larger signed one.
    Numbers { tensor: Tensor, from: Option<String> },
    /// Texts, and the name of their type.
    Texts { texts: Vec<String>, element: String },
}

/// Why an array is not read.
#[derive(Debug)]
pub enum Trouble {
    /// It is sound, but no tensor can hold it: in words.
    Foreign(String),
    /// It is damaged: in words.
    Damaged(String),
}

/// Reads a `.npy` file.
///
/// # Errors
/// A missing, truncated or corrupt file; element types that tensors here do not have.
pub fn load_npy(path: impl AsRef<Path>) -> Result<(Tensor, Option<String>)> {
    let path = path.as_ref();
    let bytes = read_bytes("load_npy", path)?;
    parse_npy(&bytes).map_err(|problem| explained("load_npy", path, &bytes, Content::Npy, problem))
}

/// One array of numbers; the name of its type where it was another than the tensor's.
fn parse_npy(bytes: &[u8]) -> std::result::Result<(Tensor, Option<String>), String> {
    match parse(bytes) {
        Ok(Array::Numbers { tensor, from }) => Ok((tensor, from)),
        Ok(Array::Texts { element, .. }) => {
            Err(format!("its element type {element} has no counterpart here: it is an array of text"))
        }
        Err(Trouble::Foreign(reason)) => Err(format!("its element type has no counterpart here: {reason}")),
        Err(Trouble::Damaged(problem)) => Err(problem),
    }
}

/// Reads an array.
///
/// # Errors
/// What is damaged, or of a type that nothing here has.
pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Array, Trouble> {
    let header = npy_header::read(bytes).map_err(Trouble::Damaged)?;
    let width = match &header.element {
        Element::Number { width, .. } | Element::Text { width, .. } => *width,
        Element::Other(words) => return Err(Trouble::Foreign(format!("{}: {words}", header.name))),
    };
    let shape = &header.shape;
    let expected = shape.iter().try_fold(width, |all, size| usize::try_from(*size).ok()?.checked_mul(all));
    let data = bytes.get(header.end..).unwrap_or_default();
    let Some(data) = expected.and_then(|expected| data.get(..expected)) else {
        let message = format!("shape {shape:?} needs more than the {} bytes that follow the header", data.len());
        return Err(Trouble::Damaged(format!("{message} (truncated?)")));
    };
    match &header.element {
        Element::Number { kind, unsigned, .. } => numbers(&header, data, *kind, width, *unsigned),
        Element::Text { wide, .. } => {
            let texts = data.chunks_exact(width.max(1)).map(|bytes| text(bytes, *wide, header.big_endian)).collect();
            Ok(Array::Texts { texts, element: header.name.clone() })
        }
        Element::Other(words) => Err(Trouble::Foreign(words.clone())),
    }
}

/// The elements as a tensor.
fn numbers(
    header: &Header,
    data: &[u8],
    kind: Kind,
    width: usize,
    unsigned: bool,
) -> std::result::Result<Array, Trouble> {
    let swapped = header.big_endian.then(|| swap(data, width));
    let data = swapped.as_deref().unwrap_or(data);
    let widened = if unsigned { Some(signed(data, width, kind, &header.name)?) } else { None };
    let mut shape = header.shape.clone();
    if header.fortran {
        shape.reverse();
    }
    let tensor = from_bytes(widened.as_deref().unwrap_or(data), &shape, kind).map_err(Trouble::Damaged)?;
    let from = unsigned.then(|| header.name.clone());
    if !header.fortran {
        return Ok(Array::Numbers { tensor, from });
    }
    let order: Vec<i64> = (0..shape.len() as i64).rev().collect();
    let turned = tensor.f_permute(order).and_then(|t| t.f_contiguous());
    Ok(Array::Numbers { tensor: turned.map_err(|problem| Trouble::Damaged(problem.to_string()))?, from })
}

/// Unsigned elements as those of a signed type that is large enough; of 8 bytes, those that fit.
fn signed(data: &[u8], width: usize, kind: Kind, name: &str) -> std::result::Result<Vec<u8>, Trouble> {
    let wide = kind.elt_size_in_bytes();
    if wide == width {
        return match data.chunks_exact(width).position(|element| element.last().is_some_and(|high| *high > 0x7F)) {
            Some(place) => Err(Trouble::Foreign(format!("{name}: element {place} is beyond i64"))),
            None => Ok(data.to_vec()),
        };
    }
    let mut all = vec![0; data.len() / width * wide];
    for (to, from) in all.chunks_exact_mut(wide).zip(data.chunks_exact(width)) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    Ok(all)
}

/// A text of fixed width, without the zeros behind it.
fn text(bytes: &[u8], wide: bool, big_endian: bool) -> String {
    if !wide {
        return String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string();
    }
    let letter = |four: &[u8]| {
        let four = four.first_chunk::<4>().copied().unwrap_or_default();
        let code = if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    bytes.chunks_exact(4).map(letter).collect::<String>().trim_end_matches('\0').to_string()
}

fn swap(data: &[u8], width: usize) -> Vec<u8> {
    data.chunks_exact(width).flat_map(|element| element.iter().rev().copied()).collect()
}

/// The bytes of a tensor as a `.npy` file.
pub(super) fn npy_bytes(operation: &str, tensor: &Tensor) -> Result<Vec<u8>> {
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

pub(super) fn placed(operation: &str, tensor: &Tensor, device: tch::Device) -> Result<crate::tensor::Tensor> {
    tensor.f_to_device(device).at(operation).map(Into::into)
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::placed;
    use crate::runtime::places::{to_read, to_write};
    use crate::runtime::{Run, Script};
    use crate::tensor::io::safetensors_file::refuse_other;
    use rhai::NativeCallContext;

    type Tensor = crate::tensor::Tensor;

    /// Reads one array of NumPy's (`.npy`), on the run's device. Both byte orders, Fortran order and headers of Python 2 are
    /// read; u16 is read as i32, u32 and u64 as i64, with a warning.
    ///
    /// # Errors
    /// Files that are missing, cut off or damaged; elements that tensors do not have (text, objects, complex numbers, dates,
    /// structured ones, unsigned ones beyond i64).
    ///
    /// # Example
    /// ```rhai
    /// let path = temporary_path("x.npy");
    /// save_npy(path, arange(6).reshape([2, 3]));
    /// assert(load_npy(path) == arange(6).reshape([2, 3]));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn load_npy(context: NativeCallContext, path: &str) -> Script<Tensor> {
        let run = Run::of(&context);
        let (tensor, from) = super::load_npy(to_read(&run, path))?;
        if let Some(from) = from {
            let kind = crate::tensor::dtype::kind_name(tensor.kind());
            run.progress().warn(&format!("{path}: unsigned integers ({from}) are read as {kind}"));
        }
        Ok(placed("load_npy", &tensor, run.device())?)
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::io::npz;
    use crate::tensor::io::npz::save_npz;
    use proptest::prelude::*;
    use std::io::Cursor;
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

    fn read(bytes: &[u8]) -> Tensor {
        parse_npy(bytes).unwrap().0
    }

    fn parse_npz(bytes: &[u8]) -> std::result::Result<Vec<(String, Tensor)>, String> {
        Ok(npz::parse_all(bytes)?.tensors)
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
                let back = read(&npy_bytes("save_npy", &tensor).unwrap());
                assert_eq!((back.size(), back.kind()), (shape.clone(), kind));
                assert!(back.f_equal(&tensor).unwrap());
            }
        }
        let scalar = read(&npy_bytes("save_npy", &Tensor::from(2.5)).unwrap());
        assert_eq!((scalar.size(), scalar.double_value(&[])), (vec![], 2.5));
        assert!(npy_bytes("save_npy", &sample().to_kind(Kind::BFloat16)).is_err());
    }

    #[test]
    fn big_endian_and_fortran_order_are_read() {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }\n";
        let tensor = read(&with_header(header, &[0, 1, 0, 2, 0, 3, 0, 4]));
        assert!(tensor.to_kind(Kind::Int64).f_equal(&Tensor::from_slice(&[1_i64, 3, 2, 4]).view([2, 2])).unwrap());
    }

    #[test]
    fn unsigned_numbers_are_read_as_signed_ones_that_hold_them() {
        let of = |descr: &str, data: &[u8]| {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,)}}");
            parse_npy(&with_header(&header, data))
        };
        let (short, from) = of("<u2", &[0xFF, 0xFF, 1, 0]).unwrap();
        assert_eq!((short.kind(), from.as_deref()), (Kind::Int, Some("<u2")));
        assert_eq!(Vec::<i32>::try_from(&short).unwrap(), [65_535, 1]);
        let (word, _) = of(">u4", &[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2]).unwrap();
        assert_eq!(Vec::<i64>::try_from(&word).unwrap(), [4_294_967_295, 2]);
        let long = |high: u8| of("<u8", &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high]);
        assert_eq!(Vec::<i64>::try_from(&long(0).unwrap().0).unwrap(), [3, 0]);
        assert!(long(0x80).unwrap_err().contains("element 1 is beyond i64"));
        let bytes = of("u1", &[250, 1]).unwrap();
        assert_eq!((bytes.0.kind(), bytes.1), (Kind::Uint8, None));
    }

    #[test]
    fn what_tensors_cannot_hold_is_left_out_of_an_archive_by_name_and_type() {
        let array = |descr: &str, shape: &str, data: &[u8]| {
            with_header(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"), data)
        };
        let entries = [
            ("names.npy", array("'>U2'", "(2,)", &[0, 0, 0, 97, 0, 0, 0, 0, 0, 0, 0, 233, 0, 0, 0, 98])),
            ("objects.npy", array("'|O'", "(1,)", b"cos\nsystem\n.")),
            ("fields.npy", array("[('x', '<f4')]", "(1,)", &[0; 4])),
            ("labels.npy", array("'<u4'", "(1,)", &[7, 0, 0, 0])),
            ("notes.txt", b"hello".to_vec()),
        ];
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in &entries {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        let bytes = archive.finish().unwrap().into_inner();
        let npz = npz::parse_all(&bytes).unwrap();
        assert_eq!(npz.texts, [("names".to_string(), vec!["a".to_string(), "éb".to_string()])]);
        assert_eq!(npz.tensors.len(), 1);
        let said = npz.notes(&[]).join("; ");
        for word in ["left out 4 of 5", "\"names\" (>U2", "\"objects\" (|O", "\"fields\"", "notes.txt", "(<u4 as i64)"]
        {
            assert!(said.contains(word), "{word} in {said}");
        }
        assert!(!npz.notes(&["names"]).join("; ").contains("names"));
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
