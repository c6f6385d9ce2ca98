//! CIFAR-10 and CIFAR-100, Python version: pickles of a dictionary with `data` (u8, [n, 3072]) and `labels` or
//! `fine_labels`. Only what a NumPy array needs is taken from a pickle; nothing in it can run.

use super::cifar::{Kind, PIXELS, SHAPE, joined, labelled};
use super::{Decoded, members, pickle_text};
use crate::nn::pytorch::pickle;
use crate::nn::pytorch::pickle::{Arena, Dialect, Pickle, corrupt};
use crate::runtime::{Error, Result};
use std::borrow::Cow;
use std::path::Path;
use std::rc::Rc;

type Value<'a> = pickle::Value<'a, Object<'a>>;

/// A two-dimensional array of bytes within the pickle.
#[derive(Debug)]
struct Array<'a> {
    rows: usize,
    columns: usize,
    /// Column after column instead of row after row.
    fortran: bool,
    bytes: Cow<'a, [u8]>,
}

/// The names a file may mention, and what they make.
#[derive(Debug, Clone)]
enum Object<'a> {
    Reconstruct,
    ArrayType,
    ElementType,
    /// The element type u8.
    Bytes,
    /// An array without its content.
    Empty,
    Array(Rc<Array<'a>>),
    /// What turns a text into bytes: how Python 3 writes them up to protocol 2.
    Encode,
    /// What makes an array of bytes: how protocol 5 writes it.
    FromBuffer,
    /// What makes no bytes of nothing.
    BytesType,
    /// Bytes made so.
    Encoded(Rc<Vec<u8>>),
}

/// The bytes of a string of any kind.
fn bytes_of<'b>(value: &'b Value<'_>) -> Option<&'b [u8]> {
    match value {
        Value::Object(Object::Encoded(bytes)) => Some(bytes.as_slice()),
        other => other.bytes(),
    }
}

/// The bytes of a text whose letters are all within Latin-1.
fn latin(text: &Value<'_>) -> Option<Vec<u8>> {
    let Value::Text(text) = text else { return None };
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

/// The pickles of dictionaries with NumPy arrays of bytes.
struct Batch;

impl<'a> Dialect<'a> for Batch {
    type Object = Object<'a>;
    const OPERATION: &'static str = "dataset";
    const CONTENT: &'static str = "a CIFAR batch";
    const HINT: &'static str =
        "fetch the file again: lethe data fetch NAME takes the binary version, which has no pickles";

    fn global(module: &str, name: &str) -> Option<Object<'a>> {
        match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Object::Reconstruct),
            ("numpy", "ndarray") => Some(Object::ArrayType),
            ("numpy", "dtype") => Some(Object::ElementType),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Some(Object::FromBuffer),
            ("_codecs", "encode") => Some(Object::Encode),
            ("__builtin__" | "builtins", "bytes") => Some(Object::BytesType),
            _ => None,
        }
    }

    fn call(arena: &mut Arena<'a, Self>, function: &Value<'a>, arguments: &Value<'a>) -> Result<Value<'a>> {
        let made = match (function, arena.items(arguments)?) {
            (Value::Object(Object::Reconstruct), [Value::Object(Object::ArrayType), ..]) => Object::Empty,
            (Value::Object(Object::ElementType), [name, ..]) if bytes_of(name).is_some_and(is_byte) => Object::Bytes,
            (Value::Object(Object::ElementType), _) => {
                return Err(corrupt::<Self>("its array is not of unsigned bytes"));
            }
            (Value::Object(Object::Encode), [text, encoding]) if is_latin(encoding) => {
                let bytes = latin(text).ok_or_else(|| corrupt::<Self>("a text that is not Latin-1"))?;
                Object::Encoded(Rc::new(bytes))
            }
            (Value::Object(Object::BytesType), []) => Object::Encoded(Rc::default()),
            (Value::Object(Object::FromBuffer), [content, Value::Object(Object::Bytes), shape, order]) => {
                let fortran = bytes_of(order) == Some(b"F");
                return made(arena, shape, fortran, content);
            }
            _ => return Err(corrupt::<Self>("a call that a CIFAR batch does not need")),
        };
        Ok(Value::Object(made))
    }

    fn state(arena: &mut Arena<'a, Self>, object: Value<'a>, state: &Value<'a>) -> Result<Value<'a>> {
        match object {
            Value::Object(Object::Bytes) => Ok(object),
            Value::Object(Object::Empty) => array(arena, state),
            _ => Err(corrupt::<Self>("state for something other than an array")),
        }
    }

    fn outside(_arena: &Arena<'a, Self>, _id: &Value<'a>) -> Result<Value<'a>> {
        Err(corrupt::<Self>("a reference to something outside the file"))
    }
}

fn is_latin(encoding: &Value<'_>) -> bool {
    matches!(encoding, Value::Text("latin1" | "latin-1" | "iso-8859-1"))
}

fn is_byte(name: &[u8]) -> bool {
    matches!(name, b"u1" | b"|u1" | b"uint8")
}

/// The array of a state `(version, shape, dtype, fortran order, bytes)`.
fn array<'a>(arena: &Arena<'a, Batch>, state: &Value<'a>) -> Result<Value<'a>> {
    let [_, shape, Value::Object(Object::Bytes), order, content] = arena.items(state)? else {
        return Err(corrupt::<Batch>("an array without its content"));
    };
    let fortran = match order {
        Value::Bool(fortran) => *fortran,
        // Up to protocol 1 truth is a number.
        Value::Int(number) => *number != 0,
        _ => return Err(corrupt::<Batch>("an array without its order")),
    };
    made(arena, shape, fortran, content)
}

/// The array of these bytes.
fn made<'a>(arena: &Arena<'a, Batch>, shape: &Value<'a>, fortran: bool, content: &Value<'a>) -> Result<Value<'a>> {
    let bytes = match content {
        Value::Object(Object::Encoded(bytes)) => Cow::Owned(bytes.to_vec()),
        other => Cow::Borrowed(other.bytes().ok_or_else(|| corrupt::<Batch>("an array whose content is not bytes"))?),
    };
    let sizes: Vec<usize> = arena.integers(shape)?.iter().filter_map(|n| usize::try_from(*n).ok()).collect();
    let (rows, columns) = match *sizes {
        [rows, columns] => (rows, columns),
        _ => return Err(corrupt::<Batch>("its array has no two dimensions")),
    };
    if rows.checked_mul(columns) != Some(bytes.len()) {
        let message = format!("an array of {rows} x {columns} has {} bytes", bytes.len());
        return Err(corrupt::<Batch>(&message));
    }
    Ok(Value::Object(Object::Array(Rc::new(Array { rows, columns, fortran, bytes }))))
}

/// The members of the Python archive: those to train on, then the one to test on.
pub fn member_names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Ten => &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"],
        Kind::Hundred => &["train", "test"],
    }
}

/// The training and the test part, from `cifar-*-python.tar.gz` or the folder it unpacks to.
///
/// # Errors
/// Members that are missing or damaged, ask for anything but arrays, or have labels beyond the classes.
pub fn read(path: &Path, kind: Kind) -> Result<Vec<Decoded>> {
    let names = member_names(kind);
    let mut parts = vec![Decoded::default(); names.len()];
    members::each(path, names, |place, bytes| {
        let name = names.get(place).copied().unwrap_or_default();
        let part = batch(&bytes, kind).map_err(|error| within(path, name, error))?;
        if let Some(slot) = parts.get_mut(place) {
            *slot = part;
        }
        Ok(())
    })?;
    joined(parts, path)
}

/// Puts file and member into a message.
fn within(path: &Path, name: &str, error: Error) -> Error {
    match error {
        Error::Fault(mut fault) => {
            fault.message = format!("{}: {name}: {}", path.display(), fault.message);
            Error::Fault(fault)
        }
        other => other,
    }
}

/// Images and labels of one pickle.
fn batch(bytes: &[u8], kind: Kind) -> Result<Decoded> {
    let modern = if pickle_text::is_text(bytes) {
        Cow::Owned(pickle_text::modern(bytes).map_err(|problem| corrupt::<Batch>(&problem))?)
    } else {
        Cow::Borrowed(bytes)
    };
    let pickle = Pickle::<Batch>::read(&modern)?;
    let find = |wanted: &str| {
        let entries = pickle.arena.entries(&pickle.root).unwrap_or_default();
        entries.iter().find(|(key, _)| bytes_of(key) == Some(wanted.as_bytes())).map(|(_, value)| value)
    };
    let missing = |what: &str| Error::new("dataset", format!("the pickle has no `{what}`"));
    let key = if kind == Kind::Ten { "labels" } else { "fine_labels" };
    let Some(Value::Object(Object::Array(data))) = find("data") else { return Err(missing("data")) };
    let labels = pickle.arena.integers(find(key).ok_or_else(|| missing(key))?)?;
    if data.columns != PIXELS || data.rows != labels.len() {
        let message = format!(
            "`data` is {} x {}, its {} labels call for {} x {PIXELS}",
            data.rows,
            data.columns,
            labels.len(),
            labels.len()
        );
        return Err(Error::new("dataset", message));
    }
    let label = |(number, label): (usize, &i64)| labelled(*label, number, kind).map_err(|e| Error::new("dataset", e));
    let labels = labels.iter().enumerate().map(label).collect::<Result<Vec<u16>>>()?;
    Ok(Decoded { shape: SHAPE, images: rows(data), labels, order: vec![] })
}

/// The array row after row.
fn rows(array: &Array<'_>) -> Vec<u8> {
    if !array.fortran {
        return array.bytes.to_vec();
    }
    let mut images = vec![0; array.bytes.len()];
    for (column, values) in array.bytes.chunks_exact(array.rows.max(1)).enumerate() {
        for (row, value) in values.iter().enumerate() {
            if let Some(pixel) = images.get_mut(row * array.columns + column) {
                *pixel = *value;
            }
        }
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_and_every_changed_byte_of_a_batch_is_read_without_harm() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sets/cifar10");
        let mut sound = vec![];
        members::each(&folder.join("cifar-10-python.tar.gz"), &["test_batch"], |_, bytes| {
            sound = bytes;
            Ok(())
        })
        .unwrap();
        assert!(batch(&sound, Kind::Ten).is_ok());
        for length in (0..sound.len()).step_by(7) {
            assert!(batch(&sound[..length], Kind::Ten).is_err(), "{length} bytes were accepted");
        }
        for at in 0..sound.len().min(400) {
            for flip in [1, 0x40, 0xff] {
                let mut changed = sound.clone();
                changed[at] ^= flip;
                let _ = batch(&changed, Kind::Ten);
            }
        }
    }

    #[test]
    fn names_that_are_not_numpys_are_refused_and_not_run() {
        let error = batch(b"\x80\x02cos\nsystem\nU\x02ls\x85R.", Kind::Ten).unwrap_err().to_string();
        assert!(error.contains("os.system") && error.contains("it was not run"), "{error}");
        let error = batch(b"\x80\x02i__builtin__\neval\n.", Kind::Ten).unwrap_err().to_string();
        assert!(error.contains("__builtin__.eval") && error.contains("it was not run"), "{error}");
    }

    /// A batch of one image, as Python writes it by a protocol that has no bytes or only those that can be changed.
    #[test]
    fn batches_of_every_protocol_are_read() {
        let text = "\u{7}".repeat(PIXELS);
        let mut old = b"\x80\x02}(X\x04\0\0\0datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85c_codecs\nencode\n".to_vec();
        old.extend(
            b"X\x01\0\0\0bX\x06\0\0\0latin1\x86R\x87R(K\x01K\x01M\0\x0c\x86cnumpy\ndtype\nX\x02\0\0\0u1\x89\x88\x87R",
        );
        old.extend(b"\x89c_codecs\nencode\nX\0\x0c\0\0");
        old.extend(text.as_bytes());
        old.extend(b"X\x06\0\0\0latin1\x86Rtbc_codecs\nencode\nX\x06\0\0\0labelsX\x06\0\0\0latin1\x86R]K\x03au.");
        let mut new = b"\x80\x05}(\x8c\x04datacnumpy._core.numeric\n_frombuffer\n(\x96\0\x0c\0\0\0\0\0\0".to_vec();
        new.extend(text.as_bytes());
        new.extend(b"cnumpy\ndtype\n\x8c\x02u1\x89\x88\x87RK\x01M\0\x0c\x86\x8c\x01CtR\x8c\x06labels]K\x03au.");
        let mut first =
            b"(dp0\nS'data'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\nI3072\nt"
                .to_vec();
        first.extend(b"cnumpy\ndtype\n(S'u1'\nI00\nI01\ntRI00\nS'");
        first.extend("\\x07".repeat(PIXELS).as_bytes());
        first.extend(b"'\ntbsS'labels'\n(lI3\nas.");
        for (protocol, bytes) in [(2, old), (5, new), (0, first)] {
            let read = batch(&bytes, Kind::Ten).unwrap_or_else(|error| panic!("protocol {protocol}: {error}"));
            assert_eq!((read.labels, read.images), (vec![3], vec![7; PIXELS]), "protocol {protocol}");
        }
    }

    #[test]
    fn an_array_in_fortran_order_is_turned() {
        let array = Array { rows: 2, columns: 3, fortran: true, bytes: Cow::Borrowed(&[1, 4, 2, 5, 3, 6]) };
        assert_eq!(rows(&array), [1, 2, 3, 4, 5, 6]);
    }
}
