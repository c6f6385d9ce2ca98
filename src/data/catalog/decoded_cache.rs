//! Decoded data sets, kept: one file of bytes for each part, mapped into memory when it is loaded, named by the checksum of
//! the content of what it was decoded from.
//!
//! A file is a magic word, the length of a header (u32), the header (JSON), zeros up to `ALIGNMENT`, the pixels, and the
//! labels (u16, little-endian). It is replaced as a whole or not at all, so that processes can share it; one that is damaged
//! is decoded anew.

use crate::data::formats::Decoded;
use crate::runtime::hex::hex;
use crate::runtime::io_error::reason;
use crate::runtime::{At, Error, Result, Run, allocator, mapped, user_dirs};
use crate::tensor::io::safetensors_file::{create_folders, write_atomically};
use sha2::{Digest, Sha256};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// What every file of this kind starts with; the number is raised when what is decoded or how it is stored changes.
pub(super) const MAGIC: [u8; 8] = *b"LETHEu8\x02";

/// Where the pixels start: a page, so that they lie in memory as torch would lay them.
const ALIGNMENT: u64 = 4096;

/// Bytes read at a time while a file is checked.
const BLOCK: usize = 1 << 20;

/// Hex digits of the checksum in a file's name.
pub(super) const DIGITS: usize = 20;

/// The folder of the cache that they are in.
pub(super) const FOLDER: &str = "decoded";

/// What is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the names of its files start with.
    pub stem: &'a str,
    /// The data set, for lists.
    pub dataset: &'a str,
    /// Where its files are, for messages.
    pub place: &'a Path,
    /// Its parts.
    pub parts: &'a [&'a str],
}

/// Decoded images of one part, on the host.
#[derive(Debug)]
pub struct Images {
    /// u8, [n, channels, height, width]; where it could be kept, a view of the file.
    pub pixels: Tensor,
    /// Class numbers.
    pub labels: Vec<i64>,
    /// SHA-256 of shape, pixels and labels, in hex digits.
    pub content: String,
    /// The file of each image, relative to the folder of all; empty where they have none of their own.
    pub files: Vec<String>,
    /// The folder of all files.
    pub root: PathBuf,
}

/// What a file says about itself.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Header {
    /// The data set it was first decoded for; another one with the same pictures may share it.
    #[serde(default)]
    pub(super) dataset: String,
    /// What its name starts with.
    #[serde(default)]
    stem: String,
    #[serde(default)]
    pub(super) part: String,
    /// The checksum of what it was decoded from.
    pub(super) source: String,
    pub(super) shape: [usize; 3],
    pub(super) count: usize,
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
/// Those of `checksum` and `make`; a source that changes while it is decoded. A cache that cannot be read or written costs
/// time, not the result.
pub fn parts(
    run: &Run,
    subject: &Subject<'_>,
    checksum: impl Fn() -> Result<String>,
    make: impl FnOnce() -> Result<Vec<Decoded>>,
) -> Result<Vec<Images>> {
    let (folder, source) = (user_dirs::cache().join(FOLDER), checksum()?);
    let headers: Vec<Header> = subject.parts.iter().map(|part| Header::empty(subject, part, &source)).collect();
    let places: Vec<PathBuf> = headers.iter().map(|header| folder.join(header.file())).collect();
    let mut found = vec![];
    for place in &places {
        match open(place, &source) {
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
    let made = make()?;
    if checksum()? != source {
        return Err(Error::file("dataset", subject.place, "its files changed while they were read")
            .hint("load it again when nothing writes to them"));
    }
    let mut images = vec![];
    for ((decoded, header), place) in made.into_iter().zip(headers).zip(&places) {
        images.push(keep(run, decoded, place, header)?);
    }
    allocator::give_back();
    Ok(images)
}

impl Header {
    /// The header of a part whose content is still to be hashed.
    fn empty(subject: &Subject<'_>, part: &str, source: &str) -> Self {
        let [dataset, stem, part, source] = [subject.dataset, subject.stem, part, source].map(String::from);
        Self { dataset, stem, part, source, shape: [0; 3], count: 0, content: String::new(), crc: 0 }
    }

    /// The name of the file.
    pub(super) fn file(&self) -> String {
        let checksum: String = self.source.chars().take(DIGITS).collect();
        format!("{}-{}-{checksum}.u8", self.stem, self.part)
    }
}

/// Writes a part and takes it from there; where that fails, it stays in memory.
fn keep(run: &Run, decoded: Decoded, place: &Path, header: Header) -> Result<Images> {
    let header = hashed(&decoded, header);
    let folder = place.parent().unwrap_or(Path::new("."));
    let made = create_folders(folder).map_err(|error| Error::file("dataset", folder, reason(&error)));
    let written = made.and_then(|()| write_atomically(place, |file| write(&decoded, &header, file)));
    if let Err(problem) = written {
        run.progress().warn(&format!("the decoded images are not kept: {problem}"));
        return in_memory(&decoded, header.content);
    }
    match open(place, &header.source) {
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
    Ok(Images { pixels, labels, content, files: vec![], root: PathBuf::new() })
}

/// The header with what is known of the content.
fn hashed(decoded: &Decoded, header: Header) -> Header {
    let (mut sha, mut crc) = (begun(decoded.shape, decoded.len()), crc32fast::Hasher::new());
    let mut feed = |bytes: &[u8]| {
        sha.update(bytes);
        crc.update(bytes);
    };
    (0..decoded.len()).for_each(|position| feed(decoded.image(position)));
    (0..decoded.len()).for_each(|position| feed(&decoded.label(position).to_le_bytes()));
    let (content, crc) = (hex(&sha.finalize()), crc.finalize());
    Header { shape: decoded.shape, count: decoded.len(), content, crc, ..header }
}

/// The hash of a content of this shape, before its pixels and labels.
pub(super) fn begun(shape: [usize; 3], count: usize) -> Sha256 {
    let mut sha = Sha256::new();
    sha.update(format!("{shape:?} {count}"));
    sha
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
    let (header, [pixels, labels]) = start(&mut file, MAGIC).map_err(|problem| damaged(&problem))?;
    if header.source != checksum {
        return Err(damaged("it was decoded from another file"));
    }
    let labels = check(&mut file, &header, [pixels, labels], None).map_err(|problem| damaged(&problem))?;
    let length = ALIGNMENT + pixels + 2 * labels.len() as u64;
    let pixels = map(place, length, &header, pixels).map_err(|error| damaged(&error.to_string()))?;
    Ok(Images { pixels, labels, content: header.content, files: vec![], root: PathBuf::new() })
}

/// The header of a file, and the bytes of its pixels and labels, which together are all of it: what lies beyond the end of a
/// mapped file would end the process.
pub(super) fn start(file: &mut std::fs::File, magic: [u8; 8]) -> std::result::Result<(Header, [u64; 2]), String> {
    let length = file.metadata().map_err(|error| reason(&error))?.len();
    let mut first = vec![0; ALIGNMENT as usize];
    file.read_exact(&mut first).map_err(|_| "it ends within its header")?;
    let header = parse(&first, magic).ok_or("its header is damaged")?;
    let sizes = sizes(&header).filter(|[pixels, labels]| pixels + labels + ALIGNMENT == length);
    Ok((header, sizes.ok_or("its length is not what its header says")?))
}

/// The header within the first bytes of a file.
fn parse(first: &[u8], magic: [u8; 8]) -> Option<Header> {
    let rest = first.strip_prefix(&magic)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    serde_json::from_slice(rest.get(..u32::from_le_bytes(*length) as usize)?).ok()
}

/// Bytes of pixels and of labels.
fn sizes(header: &Header) -> Option<[u64; 2]> {
    let pixels = header.shape.iter().chain([&header.count]).try_fold(1_u64, |all, n| all.checked_mul(*n as u64));
    let pixels = pixels.filter(|pixels| *pixels <= crate::data::formats::LARGEST)?;
    Some([pixels, (header.count as u64).checked_mul(2)?])
}

/// Reads pixels and labels, compares their checksum (and with `sha` given their hash), and gives the labels. The pixels are
/// read rather than mapped here, so that checking does not make them count as memory of this process.
pub(super) fn check(
    file: &mut std::fs::File,
    header: &Header,
    [pixels, labels]: [u64; 2],
    mut sha: Option<Sha256>,
) -> std::result::Result<Vec<i64>, String> {
    let fail = |error: std::io::Error| reason(&error);
    let mut crc = crc32fast::Hasher::new();
    let mut feed = |bytes: &[u8]| {
        crc.update(bytes);
        sha.iter_mut().for_each(|sha| sha.update(bytes));
    };
    let mut block = vec![0; BLOCK];
    let mut left = pixels;
    while left > 0 {
        let part = block.get_mut(..left.min(BLOCK as u64) as usize).unwrap_or_default();
        file.read_exact(part).map_err(fail)?;
        feed(part);
        left -= part.len() as u64;
    }
    let mut bytes = vec![];
    file.take(labels).read_to_end(&mut bytes).map_err(fail)?;
    feed(&bytes);
    if crc.finalize() != header.crc || sha.is_some_and(|sha| hex(&sha.finalize()) != header.content) {
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
    mapped::watch(whole.data_ptr() as usize, length as usize);
    let pixels = whole.f_narrow(0, ALIGNMENT as i64, pixels as i64).at("dataset")?;
    pixels.f_view([header.count as i64, channels, height, width]).at("dataset")
}
