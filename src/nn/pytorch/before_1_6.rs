//! What `torch.save` wrote before PyTorch 1.6: pickles one after the other (a magic number, a version, facts about the machine,
//! the object, the names of its storages), then the storages, each behind the number of its elements.

use crate::nn::pytorch::checkpoint::{Checkpoint, Object, Storage, Value};
use crate::nn::pytorch::pickle::{LARGEST_PICKLE, Pickle, corrupt};
use crate::runtime::budget::{Budget, size};
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use tch::Kind;

/// Pickles before the object: the magic number, the version, facts about the machine.
const BEFORE: usize = 3;

/// A file of this kind.
pub struct Legacy {
    file: File,
    length: u64,
    /// What the file's storages may take.
    pub budget: Budget,
    /// Where the elements of each storage begin, and their bytes.
    places: HashMap<String, (u64, u64)>,
}

impl Legacy {
    /// Opens a file, and reads the part of it in which its pickles are.
    ///
    /// # Errors
    /// A file that cannot be read, or does not fit into memory.
    pub fn open(path: &Path, mut file: File) -> Result<(Self, Vec<u8>)> {
        let failed = |error: std::io::Error| Error::file("load", path, reason(&error));
        let length = file.metadata().map_err(failed)?.len();
        let mut budget = Budget::of(length);
        budget.take(length.min(LARGEST_PICKLE)).map_err(|problem| Error::file("load", path, problem))?;
        let mut bytes = vec![];
        (&mut file).take(LARGEST_PICKLE).read_to_end(&mut bytes).map_err(failed)?;
        Ok((Self { file, length, budget, places: HashMap::new() }, bytes))
    }

    /// Reads the object's pickle, and finds the storages behind it.
    ///
    /// # Errors
    /// Damage.
    pub fn pickle<'a>(&mut self, bytes: &'a [u8]) -> Result<Pickle<'a, Checkpoint>> {
        let mut at = 0;
        let mut next = || {
            let (pickle, length) = Pickle::<Checkpoint>::first(bytes.get(at..).unwrap_or_default())?;
            at += length;
            Ok::<_, Error>(pickle)
        };
        for _ in 0..BEFORE {
            next()?;
        }
        let (object, keys) = (next()?, next()?);
        let mut widths = HashMap::new();
        for value in object.arena.sequences.iter().flatten() {
            if let Value::Object(Object::Storage(storage)) = value {
                widths.insert(storage.key.as_str(), storage.element.width() as u64);
            }
        }
        let mut place = at as u64;
        for key in keys.arena.items(&keys.root)? {
            let key = match key {
                Value::Text(key) => (*key).to_string(),
                Value::Int(key) => key.to_string(),
                _ => return Err(corrupt::<Checkpoint>("a storage without a name")),
            };
            // Storages that are cut off are missed when a tensor asks for them.
            let Some(width) = widths.get(key.as_str()) else { break };
            let Some(bytes) = self.count(place)?.checked_mul(*width) else { break };
            self.places.insert(key, (place + 8, bytes));
            place = match place.checked_add(8).and_then(|place| place.checked_add(bytes)) {
                Some(place) => place,
                None => break,
            };
        }
        Ok(object)
    }

    /// The number of elements that is written at a place; none beyond the file's end.
    fn count(&mut self, place: u64) -> Result<u64> {
        let mut count = [0; 8];
        if place.checked_add(8).is_none_or(|end| end > self.length) {
            return Ok(0);
        }
        let read = self.file.seek(SeekFrom::Start(place)).and_then(|_| self.file.read_exact(&mut count));
        read.map_err(|error| Error::new("load", reason(&error)))?;
        Ok(u64::from_le_bytes(count))
    }

    /// The bytes of a storage.
    ///
    /// # Errors
    /// A storage that is not in the file as a whole, of another size than the pickle says, or too large for the file.
    pub fn storage(&mut self, storage: &Storage, kind: Kind) -> Result<Vec<u8>> {
        let failed = |problem: String| Error::new("load", format!("storage {}: {problem}", storage.key));
        let (place, bytes) = self.places.get(&storage.key).copied().unwrap_or((self.length, 0));
        let wanted = storage.count.unsigned_abs().checked_mul(kind.elt_size_in_bytes() as u64);
        if place.checked_add(bytes).is_none_or(|end| end > self.length) || (bytes == 0 && wanted != Some(0)) {
            return Err(failed("it is cut off (the file is truncated?)".into()));
        }
        if wanted != Some(bytes) {
            return Err(failed(format!("it has {}, not {} elements", size(bytes), storage.count)));
        }
        self.budget.take(bytes).map_err(failed)?;
        let mut content = vec![];
        let read = self.file.seek(SeekFrom::Start(place));
        read.and_then(|_| (&mut self.file).take(bytes).read_to_end(&mut content))
            .map_err(|error| failed(reason(&error)))?;
        if content.len() as u64 == bytes { Ok(content) } else { Err(failed("it is cut off".into())) }
    }
}
