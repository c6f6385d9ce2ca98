//! Git's index (versions 2, 3 and 4): which files are tracked, and the ids of their contents.

use std::collections::{HashMap, HashSet};

/// What the index has of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id of the content.
    pub id: Vec<u8>,
    /// A regular file, as opposed to a link or a submodule.
    pub is_file: bool,
}

/// The tracked files. They stay as they are packed: unpacked, their names could take any amount of memory.
pub struct Index {
    bytes: Vec<u8>,
    width: usize,
}

/// Bytes of a file's name.
const NAME: usize = 1 << 16;

/// Reads numbers off bytes that may end anywhere.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("the index ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, count: usize) -> Result<usize, String> {
        Ok(self.take(count)?.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)))
    }

    /// The bytes before the next zero byte, which is passed over.
    fn text(&mut self) -> Result<&'a [u8], String> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or("the index ends too early")?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    /// A number in git's variable width.
    fn varint(&mut self) -> Result<usize, String> {
        let mut all = 0_usize;
        loop {
            let byte = self.number(1)?;
            all = all.checked_shl(7).filter(|all| *all < 1 << 40).ok_or("the index is damaged")? | (byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(all);
            }
            all += 1;
        }
    }
}

impl Index {
    /// One that tracks nothing: a repository before its first `git add`.
    pub fn empty(width: usize) -> Self {
        Self { bytes: [b"DIRC\0\0\0\x02\0\0\0\0".as_slice(), &vec![0; width]].concat(), width }
    }

    /// Takes the bytes of an index whose ids have so many bytes.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub fn parse(bytes: Vec<u8>, width: usize) -> Result<Self, String> {
        let index = Self { bytes, width };
        index.each(|_, _| ())?;
        Ok(index)
    }

    /// What it has of these files.
    pub fn find<'a>(&self, names: impl Iterator<Item = &'a String>) -> HashMap<String, Entry> {
        let wanted: HashSet<&[u8]> = names.map(String::as_bytes).collect();
        let mut found = HashMap::new();
        let keep = |name: &[u8], entry: Entry| {
            if wanted.contains(name) {
                found.insert(String::from_utf8_lossy(name).into_owned(), entry);
            }
        };
        // That it can be read is known.
        let _ = self.each(keep);
        found
    }

    fn each(&self, mut act: impl FnMut(&[u8], Entry)) -> Result<(), String> {
        // At the end is a checksum.
        let body = self.bytes.len().checked_sub(self.width).and_then(|end| self.bytes.get(..end)).unwrap_or_default();
        let mut rest = Bytes(body);
        if rest.take(4)? != b"DIRC" {
            return Err("the index is none".into());
        }
        let (version, count) = (rest.number(4)?, rest.number(4)?);
        if !(2..=4).contains(&version) {
            return Err(format!("the index has version {version}, which is not read"));
        }
        let mut name = vec![];
        for _ in 0..count {
            let entry = entry(&mut rest, version, self.width, &mut name)?;
            act(&name, entry);
        }
        extensions(rest)
    }
}

/// The next entry; `name` is that of the one before, and becomes its own. One in conflict is no file: none of its contents is
/// what ran.
fn entry(rest: &mut Bytes<'_>, version: usize, width: usize, name: &mut Vec<u8>) -> Result<Entry, String> {
    let before = rest.0.len();
    // Times, device and inode.
    rest.take(24)?;
    let mode = rest.number(4)?;
    // Owner and size.
    rest.take(12)?;
    let id = rest.take(width)?.to_vec();
    let flags = rest.number(2)?;
    if version >= 3 && flags & 0x4000 != 0 {
        rest.take(2)?;
    }
    if version == 4 {
        let kept = name.len().checked_sub(rest.varint()?).ok_or("the index is damaged")?;
        name.truncate(kept);
        name.extend_from_slice(rest.text()?);
        if name.len() > NAME {
            return Err("the index is damaged".into());
        }
    } else {
        *name = rest.text()?.to_vec();
        // Padded with one to eight zero bytes to a multiple of eight.
        let used = before - rest.0.len() - 1;
        rest.take(7 - used % 8)?;
    }
    let merged = flags & 0x3000 == 0;
    Ok(Entry { id, is_file: merged && mode & 0o170_000 == 0o100_000 })
}

/// Refuses extensions with which the entries are not all there is. Those whose names are in upper case may be passed over.
fn extensions(mut rest: Bytes<'_>) -> Result<(), String> {
    while rest.0.len() >= 8 {
        let signature = rest.take(4)?;
        let size = rest.number(4)?;
        if signature.first().is_some_and(u8::is_ascii_lowercase) {
            let name = String::from_utf8_lossy(signature);
            return Err(format!("the index has the extension {name:?}, which is not read"));
        }
        rest.take(size)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 2_u8..5) {
            let mut whole = b"DIRC\0\0\0".to_vec();
            whole.push(version);
            whole.extend([0, 0, 0, 3]);
            whole.extend(&bytes);
            let _ = Index::parse(bytes, 20);
            let _ = Index::parse(whole, 20);
        }
    }
}
