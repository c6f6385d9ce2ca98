//! Named members of a data set's archive (tar, gzipped or not) or of the folder it was unpacked to.

use super::unreadable;
use crate::runtime::budget::{Budget, LARGEST_MEMBER, LONGEST_ARCHIVE};
use crate::runtime::{Error, Result, interrupt, regular};
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// More than the names and times of a member take, where they stand in an entry of their own.
const LONGEST_NAME: u64 = 1 << 16;

/// Gives the content of each of the members called `names` to `take`, with its place in `names`: from a tar archive in the
/// archive's order and whatever folder they lie in, from a folder in the order of `names`.
///
/// # Errors
/// What `take` raises; members that are missing, twice there or too large; an archive that is damaged anywhere.
pub fn each(path: &Path, names: &[&str], mut take: impl FnMut(usize, Vec<u8>) -> Result<()>) -> Result<()> {
    if path.is_dir() {
        for (place, name) in names.iter().enumerate() {
            let file = path.join(name);
            let bytes = regular::open(&file).map_err(|error| unreadable(&error));
            let bytes = bytes.and_then(limited).map_err(|problem| Error::file("dataset", &file, problem))?;
            take(place, bytes)?;
        }
        return Ok(());
    }
    let mut seen = vec![false; names.len()];
    let mut budget = Budget::of(std::fs::metadata(path).map_or(0, |about| about.len()));
    walk(path, |member, reader| {
        let Some(place) = member.file_name().and_then(|own| names.iter().position(|name| own == *name)) else {
            return Ok(());
        };
        match seen.get_mut(place) {
            Some(flag) if !*flag => *flag = true,
            _ => return Err(Error::file("dataset", path, format!("member {} is there twice", member.display()))),
        }
        let bytes = limited(reader).and_then(|bytes| budget.take(bytes.len() as u64).map(|()| bytes));
        take(place, bytes.map_err(|problem| Error::file("dataset", path, format!("{}: {problem}", member.display())))?)
    })?;
    match names.iter().zip(&seen).find(|(_, seen)| !**seen) {
        Some((name, _)) => Err(Error::file("dataset", path, format!("the archive has no member {name}"))),
        None => Ok(()),
    }
}

/// The whole of a member of acceptable size.
fn limited(source: impl Read) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = vec![];
    source.take(LARGEST_MEMBER + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > LARGEST_MEMBER {
        return Err(format!("more than {LARGEST_MEMBER} bytes are too many"));
    }
    Ok(bytes)
}

/// Visits every regular file of a tar archive, gzipped or not, in its order, and reads to the very end, where the checksum
/// of the gzip stream is.
///
/// # Errors
/// What `visit` raises; an archive that is damaged or longer than any data set's.
pub fn walk(path: &Path, mut visit: impl FnMut(&Path, &mut dyn Read) -> Result<()>) -> Result<()> {
    let fail = |error: std::io::Error| {
        Error::file("dataset", path, unreadable(&error)).hint("fetch the file again: lethe data fetch NAME")
    };
    let mut archive = tar::Archive::new(open(path).map_err(fail)?);
    let mut announced = None;
    // Raw, because the names that stand in entries of their own are otherwise read whatever their length.
    for entry in archive.entries().map_err(fail)?.raw(true) {
        interrupt::check()?;
        let mut entry = entry.map_err(fail)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            announced = long_name(&mut entry).map_err(fail)?.or(announced);
            continue;
        }
        let long = announced.take();
        if !kind.is_file() {
            continue;
        }
        let member: PathBuf = match long {
            Some(name) => name,
            None => entry.path().map_err(fail)?.into_owned(),
        };
        let size = entry.size();
        let mut counted = Counted { inner: &mut entry, seen: 0 };
        visit(&member, &mut counted)?;
        std::io::copy(&mut counted, &mut std::io::sink()).map_err(fail)?;
        if counted.seen != size {
            return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(fail)?;
    Ok(())
}

/// The name of the entry to come, where it is too long for a header; the size may not be changed that way.
fn long_name(entry: &mut tar::Entry<'_, impl Read>) -> std::io::Result<Option<PathBuf>> {
    let kind = entry.header().entry_type();
    let mut bytes = vec![];
    entry.take(LONGEST_NAME + 1).read_to_end(&mut bytes)?;
    let invalid = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_string());
    if bytes.len() as u64 > LONGEST_NAME {
        return Err(invalid("a name of a member is too long"));
    }
    if kind.is_gnu_longname() {
        let name = String::from_utf8_lossy(&bytes);
        return Ok(Some(PathBuf::from(name.trim_end_matches('\0'))));
    }
    let mut name = None;
    for extension in tar::PaxExtensions::new(&bytes) {
        let extension = extension?;
        match extension.key_bytes() {
            b"path" => name = Some(PathBuf::from(String::from_utf8_lossy(extension.value_bytes()).into_owned())),
            b"size" => return Err(invalid("a member of more than 8 GiB")),
            _ => {}
        }
    }
    Ok(name)
}

/// Counts what is read: a tar entry that ends early looks like one that ends.
struct Counted<R> {
    inner: R,
    seen: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.seen += count as u64;
        Ok(count)
    }
}

/// The archive's bytes, inflated where they are gzipped.
fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let mut source = BufReader::with_capacity(1 << 16, regular::open(path)?);
    let zipped = source.fill_buf()?.starts_with(&[0x1F, 0x8B]);
    let inflated: Box<dyn Read> = if zipped {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(source)))
    } else {
        Box::new(source)
    };
    Ok(Box::new(inflated.take(LONGEST_ARCHIVE)))
}
