//! IDX files (MNIST and its relatives), plain or gzipped.
//!
//! Big-endian: two zero bytes, the type (8: u8), the number of dimensions, one u32 a dimension, then the elements.

use super::{Decoded, LARGEST_ARRAY};
use crate::runtime::budget::Budget;
use crate::runtime::{Error, Result, regular};
use std::io::{BufReader, Read};
use std::path::Path;

/// Dimensions and elements.
#[derive(Debug, PartialEq, Eq)]
pub struct Idx {
    /// Number of items first.
    pub dims: Vec<usize>,
    /// The elements, row by row.
    pub bytes: Vec<u8>,
}

/// Reads an IDX file of bytes with `rank` dimensions.
///
/// # Errors
/// A file that cannot be read, is no IDX file, or is shorter or longer than its header says: one sentence with the path.
pub fn read(path: &Path, rank: usize) -> Result<Idx> {
    let fail = |problem: String| {
        Error::file("dataset", path, problem).hint("fetch the file again; plain and gzipped (.gz) IDX files are read")
    };
    let file = regular::open(path).map_err(|error| fail(error.to_string()))?;
    let length = file.metadata().map_err(|error| fail(error.to_string()))?.len();
    let mut source = BufReader::new(file);
    let zipped = std::io::BufRead::fill_buf(&mut source).map_err(|e| fail(e.to_string()))?.starts_with(&[0x1F, 0x8B]);
    if zipped {
        parse(flate2::bufread::MultiGzDecoder::new(source), rank, None, &Budget::of(length))
    } else {
        parse(source, rank, Some(length), &Budget::of(length))
    }
    .map_err(fail)
}

/// Images and labels that belong together, as one channel.
///
/// # Errors
/// Those of [`read`]; counts that differ; labels that are not below `classes`.
pub fn pair(image_file: &Path, label_file: &Path, classes: u8) -> Result<Decoded> {
    let (images, labels) = (read(image_file, 3)?, read(label_file, 1)?);
    if images.dims.contains(&0) {
        return Err(Error::file("dataset", image_file, format!("no images in it (dimensions {:?})", images.dims)));
    }
    if images.dims[0] != labels.dims[0] {
        let message = format!("{} labels for the {} images beside it", labels.dims[0], images.dims[0]);
        return Err(Error::file("dataset", label_file, message));
    }
    if let Some(place) = labels.bytes.iter().position(|label| *label >= classes) {
        let message = format!("label {} of image {place} is outside 0..{classes}", labels.bytes[place]);
        return Err(Error::file("dataset", label_file, message));
    }
    let shape = [1, images.dims[1], images.dims[2]];
    let labels = labels.bytes.into_iter().map(u16::from).collect();
    Decoded { shape, images: images.bytes, labels, order: vec![] }.checked(image_file)
}

/// Reads header and elements; `length` is the size of the whole file where it is known beforehand.
fn parse(mut source: impl Read, rank: usize, length: Option<u64>, budget: &Budget) -> std::result::Result<Idx, String> {
    let mut magic = [0_u8; 4];
    fill(&mut source, &mut magic, "header")?;
    if magic[..3] != [0, 0, 8] {
        return Err(format!("not an IDX file of bytes (it starts with {magic:02x?}, expected [00, 00, 08, ..])"));
    }
    if usize::from(magic[3]) != rank {
        let expected = if rank == 1 { "labels have 1" } else { "images have 3" };
        return Err(format!("the file has {} dimensions, {expected}", magic[3]));
    }
    let mut dims = Vec::with_capacity(rank);
    let mut elements: u64 = 1;
    for _ in 0..rank {
        let mut field = [0_u8; 4];
        fill(&mut source, &mut field, "header")?;
        let size = u32::from_be_bytes(field);
        elements = elements
            .checked_mul(u64::from(size))
            .filter(|n| *n <= LARGEST_ARRAY)
            .ok_or("the header asks for more than 1 GiB")?;
        dims.push(size as usize);
    }
    budget.allows(elements)?;
    let header = 4 + 4 * rank as u64;
    if let Some(length) = length.filter(|length| *length != header + elements) {
        return Err(format!("the file has {length} bytes, its header {dims:?} calls for {}", header + elements));
    }
    // Gzipped content is trusted for a few MiB at a time, not for what its header claims.
    let mut bytes = Vec::with_capacity(elements.min(1 << 24) as usize);
    let got = source.take(elements + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if got as u64 != elements {
        let relation = if (got as u64) < elements { format!("only {got}") } else { "more".into() };
        return Err(format!("the header {dims:?} calls for {elements} bytes, the file has {relation}"));
    }
    Ok(Idx { dims, bytes })
}

/// Reads exactly as many bytes as `buffer` has.
fn fill(source: &mut impl Read, buffer: &mut [u8], what: &str) -> std::result::Result<(), String> {
    source.read_exact(buffer).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => format!("truncated: the file ends within its {what}"),
        _ => unreadable(&error),
    })
}

/// What a failed read means to the person who has the file.
fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "truncated: the gzip stream ends early".into(),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
            format!("corrupt gzip stream ({error})")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn idx(dims: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|dim| file.extend(dim.to_be_bytes()));
        file.extend(bytes);
        file
    }

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_bytes(bytes: &[u8], rank: usize) -> std::result::Result<Idx, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        read(&path, rank).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn plain_and_gzipped_files_give_dimensions_and_bytes() {
        let file = idx(&[2, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        let expected = Idx { dims: vec![2, 2, 3], bytes: (0..12).collect() };
        assert_eq!(read_bytes(&file, 3).unwrap(), expected);
        assert_eq!(read_bytes(&zipped(&file), 3).unwrap(), expected);
        assert_eq!(read_bytes(&idx(&[3], &[7, 8, 9]), 1).unwrap().bytes, [7, 8, 9]);
    }

    #[test]
    fn damaged_files_are_named_with_what_is_wrong() {
        let file = idx(&[2, 2, 3], &[5; 12]);
        let message = |bytes: &[u8], rank| read_bytes(bytes, rank).unwrap_err();
        assert!(message(&file[..10], 3).contains("truncated: the file ends within its header"));
        assert!(message(&file[..20], 3).contains("the file has 20 bytes, its header [2, 2, 3] calls for 28"));
        assert!(message(&[file.clone(), vec![0]].concat(), 3).contains("29 bytes"));
        assert!(message(&file, 1).contains("the file has 3 dimensions, labels have 1"));
        assert!(message(b"P5 28 28", 3).contains("not an IDX file of bytes"));
        assert!(message(&[0, 0, 13, 3, 0, 0, 0, 1], 3).contains("not an IDX file of bytes"));
        assert!(message(&[], 3).contains("truncated: the file ends within its header"));
        assert!(message(&idx(&[u32::MAX, u32::MAX, u32::MAX], &[]), 3).contains("more than 1 GiB"));
        let packed = zipped(&idx(&[200, 8, 8], &(0..12_800).map(|i| (i * 37 % 251) as u8).collect::<Vec<_>>()));
        assert!(message(&packed[..packed.len() / 2], 3).contains("truncated: the gzip stream ends early"));
        let mut flipped = packed.clone();
        let middle = flipped.len() / 2;
        flipped[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0xFF);
        assert!(message(&flipped, 3).contains("corrupt gzip stream"), "{}", message(&flipped, 3));
        assert!(message(&zipped(&idx(&[3, 2, 2], &[1; 11])), 3).contains("calls for 12 bytes, the file has only 11"));
        assert!(message(&zipped(&idx(&[3, 2, 2], &[1; 13])), 3).contains("the file has more"));
    }
}
