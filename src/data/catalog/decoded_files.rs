//! Decoded data sets as `lethe cache` sees them, those of earlier versions among them.

use crate::data::catalog::decoded_cache;
use crate::data::catalog::decoded_cache::{DIGITS, FOLDER, MAGIC};
use crate::runtime::cache_folder::{About, Shelf, Soundness};
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result};
use std::fs::File;
use std::path::Path;

/// The shelf of decoded data sets.
pub struct Decodes;

const DECODED: &str = "decoded";

/// What files started with that were named by names, sizes and times of what they were decoded from.
const EARLIER: [u8; 8] = *b"LETHEu8\x01";

/// Hex digits in the names of those.
const EARLIER_DIGITS: usize = 16;

/// The extension of checksums that were remembered by names, sizes and times.
const EARLIER_MEMO: &str = ".source";

/// What a file of a certain name is.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Images,
    EarlierImages,
    EarlierMemo,
}

/// What the file of this name is; `None` when nobody here writes such names.
fn sort(name: &str) -> Option<Sort> {
    let hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if let Some(hash) = name.strip_suffix(EARLIER_MEMO) {
        return (hash.len() == 32 && hexadecimal(hash)).then_some(Sort::EarlierMemo);
    }
    match name.strip_suffix(".u8")?.rsplit_once('-')?.1 {
        hash if !hexadecimal(hash) => None,
        hash if hash.len() == DIGITS => Some(Sort::Images),
        hash => (hash.len() == EARLIER_DIGITS).then_some(Sort::EarlierImages),
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Shelf for Decodes {
    fn folder(&self) -> &'static str {
        FOLDER
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[DECODED]
    }

    fn kind_of(&self, name: &str) -> Option<&'static str> {
        sort(name).map(|_| DECODED)
    }

    fn about(&self, path: &Path) -> Result<About> {
        let name = name(path);
        if sort(&name) != Some(Sort::Images) {
            // `cifar10-train-0123456789abcdef.u8`
            let mut parts = name.rsplitn(3, '-').skip(1).map(String::from);
            let (part, dataset) = (parts.next(), parts.next());
            return Ok(About { part: part.filter(|_| dataset.is_some()), dataset, earlier: true, ..About::default() });
        }
        let fail = |problem: String| Error::file("cache", path, problem);
        let mut file = File::open(path).map_err(|error| fail(reason(&error)))?;
        let (header, _) = decoded_cache::start(&mut file, MAGIC).map_err(fail)?;
        Ok(About { dataset: Some(header.dataset), part: Some(header.part), ..About::default() })
    }

    fn verify(&self, path: &Path) -> Result<Soundness> {
        let name = name(path);
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Soundness::Gone),
            Err(error) => return Err(Error::file("cache", path, reason(&error))),
        };
        let verified = match sort(&name) {
            Some(Sort::EarlierMemo) => memo(path),
            Some(Sort::EarlierImages) => images(&mut file, EARLIER, |header| {
                let source = header.source.get(..EARLIER_DIGITS).unwrap_or_default();
                name.ends_with(&format!("-{source}.u8"))
            }),
            _ => images(&mut file, MAGIC, |header| header.file() == name),
        };
        Ok(verified.map_or_else(Soundness::Damaged, |()| Soundness::Sound))
    }
}

/// Reads a file of images whole; `named` is whether its name is that of a header.
fn images(
    file: &mut File,
    magic: [u8; 8],
    named: impl Fn(&decoded_cache::Header) -> bool,
) -> std::result::Result<(), String> {
    let (header, sizes) = decoded_cache::start(file, magic)?;
    if !named(&header) {
        return Err("its name is not that of what its header says it was decoded from".into());
    }
    let sha = decoded_cache::begun(header.shape, header.count);
    decoded_cache::check(file, &header, sizes, Some(sha)).map(drop)
}

/// Reads a remembered checksum.
fn memo(path: &Path) -> std::result::Result<(), String> {
    let text = std::fs::read(path).map_err(|error| reason(&error))?;
    let sound = text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit);
    if sound { Ok(()) } else { Err("it holds no checksum".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_earlier_versions_are_known_by_their_names_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let memo = write(&format!("{}.source", "a".repeat(32)), &"0".repeat(64));
        let images = write("fashion-mnist-pad2-train-0123456789abcdef.u8", "LETHEu8\x01 and not much more");
        assert_eq!(Decodes.kind_of(&name(&memo)), Some("decoded"));
        let about = Decodes.about(&images).unwrap();
        assert_eq!((about.dataset.as_deref(), about.part.as_deref()), (Some("fashion-mnist-pad2"), Some("train")));
        assert!(about.earlier && Decodes.about(&memo).unwrap().earlier);
        assert_eq!(Decodes.verify(&memo).unwrap(), Soundness::Sound);
        assert!(matches!(Decodes.verify(&images).unwrap(), Soundness::Damaged(_)));
        write(&name(&memo), "half");
        assert!(matches!(Decodes.verify(&memo).unwrap(), Soundness::Damaged(_)));
        assert_eq!(Decodes.verify(&folder.path().join("gone-0123456789abcdef.u8")).unwrap(), Soundness::Gone);
        for other in ["notes.txt", "x.u8", "x-0123.u8", "x-0123456789abcdeg.u8", "y.source"] {
            assert_eq!(Decodes.kind_of(other), None, "{other}");
        }
    }
}
