//! Decoded data sets, kept: one file of bytes for each part, mapped into memory when it is loaded, named by the checksum of
//! what it was decoded from.
//!
//! A file is a magic word, the length of a header (u32), the header (JSON), zeros up to `ALIGNMENT`, the pixels, and the
//! labels (u16, little-endian). It is replaced as a whole or not at all, so that processes can share it; one that is damaged
//! is decoded anew.

use super::folders;
use super::formats::Decoded;
use crate::runtime::{At, Error, Result, Run, allocator};
use crate::tensor::files::{create_folders, reason, write_atomically};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// What every file of this kind starts with; the number is raised when what is decoded or how it is stored changes.
const MAGIC: [u8; 8] = *b"LETHEu8\x01";

/// Where the pixels start: a page, so that they lie in memory as torch would lay them.
const ALIGNMENT: u64 = 4096;

/// Bytes read at a time while a file is checked.
const BLOCK: usize = 1 << 20;

/// Decoded images of one part, on the host.
#[derive(Debug)]
pub struct Images {
    /// u8, [n, channels, height, width]; where it could be kept, a view of the file.
    pub pixels: Tensor,
    /// Class numbers.
    pub labels: Vec<i64>,
    /// SHA-256 of shape, pixels and labels, in hex digits.
    pub content: String,
}

/// What a file says about itself.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Header {
    /// The checksum of what it was decoded from.
    source: String,
    shape: [usize; 3],
    count: usize,
    /// SHA-256 of shape, pixels and labels.
    content: String,
    /// CRC-32 of the pixels and labels, which is quick to check at every load.
    crc: u32,
}

/// A file of the cache that is not used, and why.
enum Doubt {
    /// It is not there.
    Missing,
    /// It is damaged, in words.
    Damaged(String),
}

/// The parts of a data set, from files that were decoded from a source with this checksum, else made now and kept.
///
/// # Errors
/// Those of `make`. A cache that cannot be read or written costs time, not the result.
pub fn parts(
    run: &Run,
    name: &str,
    checksum: &str,
    parts: &[&str],
    make: impl FnOnce() -> Result<Vec<Decoded>>,
) -> Result<Vec<Images>> {
    let folder = folders::cache().join("decoded");
    let short: String = checksum.chars().take(16).collect();
    let places: Vec<PathBuf> = parts.iter().map(|part| folder.join(format!("{name}-{part}-{short}.u8"))).collect();
    let mut found = vec![];
    for place in &places {
        match open(place, checksum) {
            Ok(images) => found.push(images),
            Err(Doubt::Missing) => break,
            Err(Doubt::Damaged(problem)) => {
                run.progress().say(&format!("{} is decoded again: {problem}", place.display()));
                break;
            }
        }
    }
    if found.len() == places.len() {
        return Ok(found);
    }
    drop(found);
    let mut images = vec![];
    for (decoded, place) in make()?.into_iter().zip(&places) {
        images.push(keep(run, decoded, place, checksum)?);
    }
    allocator::give_back();
    Ok(images)
}

/// Writes a part and takes it from there; where that fails, it stays in memory.
fn keep(run: &Run, decoded: Decoded, place: &Path, checksum: &str) -> Result<Images> {
    let header = header(&decoded, checksum);
    let folder = place.parent().unwrap_or(Path::new("."));
    let made = create_folders(folder).map_err(|error| Error::file("dataset", folder, reason(&error)));
    let written = made.and_then(|()| write_atomically(place, |file| write(&decoded, &header, file)));
    if let Err(problem) = written {
        run.progress().warn(&format!("the decoded images are not kept: {problem}"));
        return in_memory(&decoded, header.content);
    }
    match open(place, checksum) {
        Ok(images) => Ok(images),
        Err(_) => in_memory(&decoded, header.content),
    }
}

/// A part without a file.
fn in_memory(decoded: &Decoded, content: String) -> Result<Images> {
    let (mut pixels, mut labels) = (Vec::with_capacity(decoded.images.len()), Vec::with_capacity(decoded.len()));
    for position in 0..decoded.len() {
        pixels.extend_from_slice(decoded.image(position));
        labels.push(i64::from(decoded.label(position)));
    }
    let [channels, height, width] = decoded.shape.map(|n| n as i64);
    let pixels = Tensor::f_from_slice(&pixels).at("dataset")?;
    let pixels = pixels.f_view([decoded.len() as i64, channels, height, width]).at("dataset")?;
    Ok(Images { pixels, labels, content })
}

/// Hashes a part.
fn header(decoded: &Decoded, checksum: &str) -> Header {
    let (mut sha, mut crc) = (Sha256::new(), crc32fast::Hasher::new());
    sha.update(format!("{:?} {}", decoded.shape, decoded.len()));
    let mut feed = |bytes: &[u8]| {
        sha.update(bytes);
        crc.update(bytes);
    };
    (0..decoded.len()).for_each(|position| feed(decoded.image(position)));
    (0..decoded.len()).for_each(|position| feed(&decoded.label(position).to_le_bytes()));
    let content = sha.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Header { source: checksum.into(), shape: decoded.shape, count: decoded.len(), content, crc: crc.finalize() }
}

fn write(decoded: &Decoded, header: &Header, file: &mut std::fs::File) -> std::io::Result<()> {
    let text = serde_json::to_vec(header).map_err(std::io::Error::other)?;
    let mut out = BufWriter::with_capacity(BLOCK, file);
    out.write_all(&MAGIC)?;
    out.write_all(&(text.len() as u32).to_le_bytes())?;
    out.write_all(&text)?;
    let used = MAGIC.len() as u64 + 4 + text.len() as u64;
    std::io::copy(&mut std::io::repeat(0).take(ALIGNMENT.saturating_sub(used)), &mut out)?;
    for position in 0..decoded.len() {
        out.write_all(decoded.image(position))?;
    }
    for position in 0..decoded.len() {
        out.write_all(&decoded.label(position).to_le_bytes())?;
    }
    out.flush()
}

/// Checks a file from end to end, then maps it.
fn open(place: &Path, checksum: &str) -> std::result::Result<Images, Doubt> {
    let damaged = |problem: &str| Doubt::Damaged(problem.to_string());
    let mut file = match std::fs::File::open(place) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Doubt::Missing),
        Err(error) => return Err(Doubt::Damaged(reason(&error))),
    };
    let length = file.metadata().map_err(|error| damaged(&reason(&error)))?.len();
    let mut first = vec![0; ALIGNMENT as usize];
    file.read_exact(&mut first).map_err(|_| damaged("it ends within its header"))?;
    let header = parse(&first).ok_or_else(|| damaged("its header is damaged"))?;
    if header.source != checksum {
        return Err(damaged("it was decoded from another file"));
    }
    let sizes = sizes(&header).filter(|[pixels, labels]| pixels + labels + ALIGNMENT == length);
    let [pixels, labels] = sizes.ok_or_else(|| damaged("its length is not what its header says"))?;
    let labels = check(&mut file, &header, pixels, labels).map_err(|problem| damaged(&problem))?;
    let pixels = map(place, length, &header, pixels).map_err(|error| damaged(&error.to_string()))?;
    Ok(Images { pixels, labels, content: header.content })
}

/// The header within the first bytes of a file.
fn parse(first: &[u8]) -> Option<Header> {
    let rest = first.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    serde_json::from_slice(rest.get(..u32::from_le_bytes(*length) as usize)?).ok()
}

/// Bytes of pixels and of labels.
fn sizes(header: &Header) -> Option<[u64; 2]> {
    let pixels = header.shape.iter().chain([&header.count]).try_fold(1_u64, |all, n| all.checked_mul(*n as u64));
    let pixels = pixels.filter(|pixels| *pixels <= super::formats::LARGEST)?;
    Some([pixels, (header.count as u64).checked_mul(2)?])
}

/// Reads pixels and labels, compares their checksum, and gives the labels. The pixels are read rather than mapped here, so
/// that checking does not make them count as memory of this process.
fn check(file: &mut std::fs::File, header: &Header, pixels: u64, labels: u64) -> std::result::Result<Vec<i64>, String> {
    let fail = |error: std::io::Error| reason(&error);
    let mut crc = crc32fast::Hasher::new();
    let mut block = vec![0; BLOCK];
    let mut left = pixels;
    while left > 0 {
        let part = block.get_mut(..left.min(BLOCK as u64) as usize).unwrap_or_default();
        file.read_exact(part).map_err(fail)?;
        crc.update(part);
        left -= part.len() as u64;
    }
    let mut bytes = vec![];
    file.take(labels).read_to_end(&mut bytes).map_err(fail)?;
    crc.update(&bytes);
    if crc.finalize() != header.crc {
        return Err("its checksum is not what its header says".into());
    }
    let label = |bytes: &[u8]| bytes.first_chunk::<2>().map_or(0, |two| i64::from(u16::from_le_bytes(*two)));
    Ok(bytes.chunks_exact(2).map(label).collect())
}

/// The pixels as a tensor over the mapped file: pages are read when they are needed, and can be dropped under pressure.
fn map(place: &Path, length: u64, header: &Header, pixels: u64) -> Result<Tensor> {
    let [channels, height, width] = header.shape.map(|n| n as i64);
    let path = place.to_str().ok_or_else(|| Error::file("dataset", place, "this path is not text"))?;
    let whole = Tensor::f_from_file(path, false, length as i64, (Kind::Uint8, Device::Cpu)).at("dataset")?;
    let pixels = whole.f_narrow(0, ALIGNMENT as i64, pixels as i64).at("dataset")?;
    pixels.f_view([header.count as i64, channels, height, width]).at("dataset")
}
