//! MATLAB level-5 MAT-files (R2006b's default, `save -v7`): numeric arrays, compressed or not, little-endian.
//!
//! A header of 128 bytes, then elements: type and byte count (u32 each), data, padding to 8 bytes; up to 4 bytes stand in the
//! tag itself. Type 15 is one zlib stream that inflates to an element of type 14, a matrix: flags, dimensions, name, values.

use super::{LARGEST_ARRAY, append, unreadable};
use crate::runtime::budget::Budget;
use crate::runtime::{Error, Result, interrupt, regular};
use flate2::bufread::ZlibDecoder;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A numeric array, column-major.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// Its values: bytes as they are, other types as integers.
    pub values: Values,
}

/// The values of a variable, by how they are stored.
#[derive(Debug, PartialEq, Eq)]
pub enum Values {
    /// Unsigned bytes.
    Bytes(Vec<u8>),
    /// Any other type, as whole numbers.
    Integers(Vec<i64>),
}

/// More values of a type other than u8 than any variable here has: each takes eight bytes.
const MOST_INTEGERS: usize = 1 << 24;

type Outcome<T> = std::result::Result<T, String>;

/// Reads the variables of these names, in their order; others are skipped.
///
/// # Errors
/// A file of another format, a damaged one, one without such variables; values that are complex or no whole numbers.
pub fn read(path: &Path, names: &[&str]) -> Result<Vec<Variable>> {
    let fail = |problem: String| Error::file("dataset", path, problem);
    let file = regular::open(path).map_err(|error| fail(unreadable(&error)))?;
    let mut budget = Budget::of(file.metadata().map_err(|error| fail(unreadable(&error)))?.len());
    let mut found = parse(BufReader::with_capacity(1 << 16, file), names, &mut budget).map_err(fail)?;
    interrupt::check()?;
    let mut variables = vec![];
    for name in names {
        let place = found.iter().position(|variable| variable.name == *name);
        let place = place.ok_or_else(|| fail(format!("has no variable `{name}`")))?;
        variables.push(found.swap_remove(place));
    }
    Ok(variables)
}

fn parse(mut source: impl BufRead, names: &[&str], budget: &mut Budget) -> Outcome<Vec<Variable>> {
    check_header(&mut source)?;
    let mut found = vec![];
    while !source.fill_buf().map_err(|error| unreadable(&error))?.is_empty() {
        let (kind, count) = long_tag(&mut source)?;
        let mut element = (&mut source).take(u64::from(count));
        match kind {
            15 => {
                let mut inflated = ZlibDecoder::new(&mut element).take(LARGEST_ARRAY + (1 << 20));
                let (kind, _) = long_tag(&mut inflated)?;
                if kind != 14 {
                    return Err(format!("a compressed element of type {kind} where a matrix should be"));
                }
                add(&mut found, matrix(&mut inflated, names, budget)?)?;
                // The checksum stands at the end of the stream.
                std::io::copy(&mut inflated, &mut std::io::sink()).map_err(|error| unreadable(&error))?;
            }
            14 => add(&mut found, matrix(&mut element, names, budget)?)?,
            1..=18 => {}
            _ => return Err(format!("an element of the unknown type {kind}: the file is damaged")),
        }
        std::io::copy(&mut element, &mut std::io::sink()).map_err(|error| unreadable(&error))?;
        if element.limit() > 0 {
            return Err(format!("truncated: {} of the {count} bytes of an element are missing", element.limit()));
        }
        if kind != 15 {
            skip_padding(&mut source, count)?;
        }
    }
    Ok(found)
}

/// Takes a variable that is wanted and not there yet.
fn add(found: &mut Vec<Variable>, variable: Option<Variable>) -> Outcome<()> {
    let Some(variable) = variable else { return Ok(()) };
    if found.iter().any(|other| other.name == variable.name) {
        return Err(format!("variable `{}` is there twice", variable.name));
    }
    found.push(variable);
    Ok(())
}

fn check_header(source: &mut impl Read) -> Outcome<()> {
    let mut header = [0; 128];
    source.read_exact(&mut header).map_err(|_| "truncated: the file ends within its header".to_string())?;
    match (&header[..19], &header[124..128]) {
        (b"MATLAB 7.3 MAT-file", _) => {
            Err("a MAT-file of version 7.3 (HDF5); save it with -v7 in MATLAB, or fetch the file again".into())
        }
        (_, [0, 1, b'I', b'M']) => Ok(()),
        (_, [1, 0, b'M', b'I']) => Err("a big-endian MAT-file, which is not read".into()),
        _ => Err("not a MATLAB level-5 MAT-file".into()),
    }
}

/// Type and byte count of an element that is no small one.
fn long_tag(source: &mut impl Read) -> Outcome<(u32, u32)> {
    Ok((word(source)?, word(source)?))
}

fn word(source: &mut impl Read) -> Outcome<u32> {
    let mut bytes = [0; 4];
    source.read_exact(&mut bytes).map_err(|error| unreadable(&error))?;
    Ok(u32::from_le_bytes(bytes))
}

/// Type and data of an element within a matrix, at most `limit` bytes.
fn element(source: &mut impl Read, limit: u64) -> Outcome<(u32, Vec<u8>)> {
    let first = word(source)?;
    let small = (first >> 16) as usize;
    if small > 0 {
        let mut bytes = [0; 4];
        source.read_exact(&mut bytes).map_err(|error| unreadable(&error))?;
        let data = bytes.get(..small).ok_or_else(|| format!("a small element of {small} bytes"))?;
        return Ok((first & 0xFFFF, data.to_vec()));
    }
    let count = word(source)?;
    if u64::from(count) > limit {
        return Err(format!("an element of {count} bytes where at most {limit} make sense"));
    }
    let mut data = vec![];
    append(&mut *source, u64::from(count), &mut data)?;
    skip_padding(source, count)?;
    Ok((first, data))
}

/// Skips to the next multiple of 8; the last element of a file may lack its padding.
fn skip_padding(source: &mut impl Read, count: u32) -> Outcome<()> {
    let padding = u64::from(count.wrapping_neg() % 8);
    std::io::copy(&mut source.take(padding), &mut std::io::sink()).map(drop).map_err(|error| unreadable(&error))
}

/// The content of a matrix element, when its name is wanted.
fn matrix(source: &mut impl Read, names: &[&str], budget: &mut Budget) -> Outcome<Option<Variable>> {
    let (kind, flags) = element(source, 8)?;
    let (6, [class, bits, ..]) = (kind, flags.as_slice()) else { return Err("a matrix without array flags".into()) };
    let (class, complex) = (*class, bits & 0x08 != 0);
    let (kind, dims) = element(source, 4 * 32)?;
    if kind != 5 {
        return Err(format!("dimensions of type {kind}"));
    }
    let (_, name) = element(source, 64)?;
    let name = String::from_utf8_lossy(&name).into_owned();
    if !names.contains(&name.as_str()) {
        return Ok(None);
    }
    if complex || !(6..=15).contains(&class) {
        return Err(format!("variable `{name}` is no array of real numbers (class {class})"));
    }
    let sizes = dims.chunks_exact(4).map(|size| {
        let size = i32::from_le_bytes([size[0], size[1], size[2], size[3]]);
        usize::try_from(size).map_err(|_| format!("variable `{name}` has a dimension of {size}"))
    });
    let dims = sizes.collect::<Outcome<Vec<usize>>>()?;
    let count = dims.iter().try_fold(1_u64, |all, size| all.checked_mul(*size as u64));
    let count = count.filter(|count| *count <= LARGEST_ARRAY);
    let count = count.ok_or_else(|| format!("variable `{name}` of {dims:?} would have more than 1 GiB"))?;
    budget.take(count)?;
    let (kind, data) = element(source, LARGEST_ARRAY)?;
    let values = values(kind, data, count).map_err(|problem| format!("variable `{name}` {dims:?}: {problem}"))?;
    Ok(Some(Variable { name, dims, values }))
}

/// `count` values of a numeric type.
fn values(kind: u32, data: Vec<u8>, count: u64) -> Outcome<Values> {
    let width = match kind {
        1 | 2 => 1,
        3 | 4 => 2,
        5..=7 => 4,
        9 | 12 | 13 => 8,
        other => return Err(format!("values of type {other} are not read")),
    };
    if data.len() as u64 != count * width {
        return Err(format!("{} bytes where {} should be", data.len(), count * width));
    }
    if kind == 2 {
        return Ok(Values::Bytes(data));
    }
    if data.len() / width as usize > MOST_INTEGERS {
        return Err(format!("{count} values of a type other than u8 are more than {MOST_INTEGERS}"));
    }
    let each = data.chunks_exact(width as usize).map(|bytes| integer(kind, bytes));
    Ok(Values::Integers(each.collect::<Outcome<Vec<i64>>>()?))
}

/// A value of a type other than u8 as a whole number.
fn integer(kind: u32, bytes: &[u8]) -> Outcome<i64> {
    let mut padded = [0; 8];
    padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let unsigned = u64::from_le_bytes(padded);
    let float = match kind {
        1 => return Ok(i64::from(unsigned as i8)),
        3 => return Ok(i64::from(unsigned as i16)),
        5 => return Ok(i64::from(unsigned as i32)),
        4 | 6 => return Ok(unsigned as i64),
        12 => return Ok(unsigned as i64),
        13 => return i64::try_from(unsigned).map_err(|_| format!("the value {unsigned} is too large")),
        7 => f64::from(f32::from_bits(unsigned as u32)),
        _ => f64::from_bits(unsigned),
    };
    if float.fract() == 0.0 && float.abs() < 9e15 {
        Ok(float as i64)
    } else {
        Err(format!("the value {float} is no whole number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(bytes: &[u8], names: &[&str]) -> Outcome<Vec<Variable>> {
        parse(bytes, names, &mut Budget::of(bytes.len() as u64))
    }

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sets/matlab").join(name)).unwrap()
    }

    fn variables(name: &str) -> Vec<Variable> {
        parsed(file(name).as_slice(), &["X", "y", "z"]).unwrap()
    }

    #[test]
    fn every_numeric_type_is_read_compressed_or_not() {
        for name in ["types-compressed.mat", "types-plain.mat"] {
            let bytes = file(name);
            let types = ["i8", "u16", "i16", "i32", "u32", "i64", "u64", "f32", "f64"];
            for variable in parsed(bytes.as_slice(), &types).unwrap() {
                let expected = if variable.name.starts_with('u') { [0, 7, 100, 3] } else { [0, -7, 100, 3] };
                // Narrow values may be stored as bytes, whatever the type of the array.
                let values = match variable.values {
                    Values::Bytes(bytes) => bytes.into_iter().map(i64::from).collect(),
                    Values::Integers(integers) => integers,
                };
                assert_eq!((variable.dims, values), (vec![2, 2], expected.to_vec()), "{name} {}", variable.name);
            }
            assert_eq!(parsed(bytes.as_slice(), &types).unwrap().len(), types.len(), "{name}");
        }
    }

    #[test]
    fn names_decide_and_others_are_skipped() {
        let found = variables("small.mat");
        assert_eq!(found.len(), 2);
        assert_eq!(found.iter().find(|v| v.name == "X").unwrap().dims, [32, 32, 3, 3]);
        assert_eq!(found.iter().find(|v| v.name == "y").unwrap().values, Values::Bytes(vec![1, 10, 9]));
    }

    #[test]
    fn what_is_no_array_of_whole_numbers_is_refused() {
        let message = |names: &[&str]| parsed(file("others.mat").as_slice(), names).unwrap_err();
        assert!(message(&["complex"]).contains("no array of real numbers"));
        assert!(message(&["cell"]).contains("no array of real numbers (class 1)"));
        assert!(message(&["half"]).contains("0.5 is no whole number"));
        assert!(parsed([0; 128].as_slice(), &["X"]).unwrap_err().contains("not a MATLAB level-5"));
        let mut newer = [0; 128];
        newer[..19].copy_from_slice(b"MATLAB 7.3 MAT-file");
        assert!(parsed(newer.as_slice(), &["X"]).unwrap_err().contains("version 7.3"));
    }

    #[test]
    fn a_variable_that_is_there_twice_is_refused() {
        let bytes = file("small.mat");
        let twice = [&bytes[..], &bytes[128..]].concat();
        assert!(parsed(twice.as_slice(), &["X", "y"]).unwrap_err().contains("is there twice"));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = file("small.mat");
        for length in 0..bytes.len() {
            // Between two variables, the file is merely shorter: what is missing is then said by name.
            if let Ok(found) = parsed(&bytes[..length], &["X", "y"]) {
                assert!(found.len() < 2, "{length} bytes were accepted");
            }
        }
    }

    #[test]
    fn dimensions_that_promise_too_much_cost_no_memory() {
        let matrix = [
            &[6_u32, 8, 9, 0][..],
            &[5, 16, i32::MAX as u32, i32::MAX as u32, i32::MAX as u32, 1],
            &[1 | 1 << 16, u32::from(b'X')],
            &[2, u32::MAX],
        ]
        .concat();
        let mut bytes = vec![b' '; 124];
        bytes.extend([0, 1, b'I', b'M']);
        bytes.extend([14, 4 * matrix.len() as u32].iter().chain(&matrix).flat_map(|word| word.to_le_bytes()));
        assert!(parsed(bytes.as_slice(), &["X"]).unwrap_err().contains("more than 1 GiB"));
        bytes.truncate(bytes.len() - 8 - 4 * 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn corrupt_bytes_never_panic(place in 0_usize..100_000, value in 0_u8..=255, plain in prop::bool::ANY) {
            static SOUND: std::sync::OnceLock<[Vec<u8>; 2]> = std::sync::OnceLock::new();
            let sound = SOUND.get_or_init(|| [file("small.mat"), file("types-plain.mat")]);
            let mut bytes = sound[usize::from(plain)].clone();
            let place = place % bytes.len();
            bytes[place] = value;
            let _ = parsed(bytes.as_slice(), &["X", "y", "f64", "i16"]);
        }
    }
}
