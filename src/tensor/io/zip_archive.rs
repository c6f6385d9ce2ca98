//! Zip archives that others made: sound ones alone, in which every byte belongs to one entry and every name to one.

use std::io::{Read, Seek, SeekFrom};
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

/// The record at the end of an archive, without its comment.
const END: usize = 22;

/// The longest comment behind it.
const LONGEST_COMMENT: u64 = 0xFFFF;

/// Opens an archive.
///
/// # Errors
/// No archive, a damaged one, entries that share bytes of the file, entries of one name: in words.
pub fn open<R: Read + Seek>(mut source: R) -> Result<ZipArchive<R>, String> {
    let listed = listed(&mut source).map_err(|error| error.to_string())?;
    // Where the archive says its directory is, it is looked for first: a search for it misses some sound archives of torch's.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive = ZipArchive::with_config(config, source).map_err(words)?;
    if let Some(listed) = listed.filter(|listed| *listed != archive.len() as u64) {
        return Err(format!("{listed} entries have only {} names", archive.len()));
    }
    match archive.has_overlapping_entries() {
        Ok(false) => Ok(archive),
        Ok(true) => Err("its entries share bytes of the file, as no writer of archives makes them".into()),
        Err(error) => Err(words(error)),
    }
}

/// What is wrong with an archive, without the names of types that the reader mentions.
pub fn words(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    if text.contains("::") { "a record of the archive is damaged or cut off".into() } else { text }
}

/// The number of entries that the end of the archive claims, where it fits there.
fn listed<R: Read + Seek>(source: &mut R) -> std::io::Result<Option<u64>> {
    let length = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(length.saturating_sub(END as u64 + LONGEST_COMMENT)))?;
    let mut tail = vec![];
    source.by_ref().take(END as u64 + LONGEST_COMMENT).read_to_end(&mut tail)?;
    source.rewind()?;
    let found = tail.windows(END).rev().find(|record| record.starts_with(b"PK\x05\x06"));
    // All ones stand for a number in a larger record elsewhere.
    Ok(match found {
        Some([_, _, _, _, _, _, _, _, _, _, low, high, ..]) => {
            Some(u64::from(u16::from_le_bytes([*low, *high]))).filter(|count| *count != 0xFFFF)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(vec![]));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for name in names {
            writer.start_file(*name, options).unwrap();
            writer.write_all(b"content").unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// Replaces bytes everywhere.
    fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for at in 0..bytes.len() - from.len() {
            if bytes[at..].starts_with(from) {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
        }
        bytes
    }

    #[test]
    fn sound_archives_are_opened_and_entries_of_one_name_refused() {
        let bytes = archive(&["a.npy", "b.npy"]);
        assert_eq!(open(Cursor::new(&bytes)).unwrap().len(), 2);
        let twice = replaced(&bytes, b"b.npy", b"a.npy");
        assert_eq!(open(Cursor::new(twice)).unwrap_err(), "2 entries have only 1 names");
        assert!(open(Cursor::new(b"hello")).is_err());
    }

    #[test]
    fn entries_that_share_bytes_are_refused() {
        let bytes = archive(&["a.npy", "b.npy"]);
        // The second record of the directory leads to the first entry.
        let place = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
        let mut shared = bytes.clone();
        shared[place + 42..place + 46].copy_from_slice(&[0; 4]);
        assert!(open(Cursor::new(shared)).unwrap_err().contains("share bytes"));
    }
}
