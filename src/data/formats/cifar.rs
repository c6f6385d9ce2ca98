//! CIFAR-10 and CIFAR-100, binary version: records of label bytes and 3 x 32 x 32 pixels (A. Krizhevsky, Learning multiple
//! layers of features from tiny images, 2009).

use super::{Decoded, members};
use crate::runtime::{Error, Result};
use std::path::Path;

/// Channels, height and width of an image.
pub const SHAPE: [usize; 3] = [3, 32, 32];

/// Bytes of an image.
pub const PIXELS: usize = 3072;

/// What differs between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One label byte a record, below 10.
    Ten,
    /// A coarse and a fine label byte a record; the fine one, below 100, is taken.
    Hundred,
}

impl Kind {
    /// How many classes there are.
    pub fn classes(self) -> u16 {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// The members of the binary archive: those to train on, then the one to test on.
    pub fn binary_members(self) -> &'static [&'static str] {
        match self {
            Self::Ten => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
                "test_batch.bin",
            ],
            Self::Hundred => &["train.bin", "test.bin"],
        }
    }
}

/// The training and the test part, from `cifar-*-binary.tar.gz` or the folder it unpacks to.
///
/// # Errors
/// Members that are missing, are no whole number of records, or have labels beyond the classes.
pub fn read(path: &Path, kind: Kind) -> Result<Vec<Decoded>> {
    let names = kind.binary_members();
    let mut parts = vec![Decoded::default(); names.len()];
    members::each(path, names, |place, bytes| {
        let name = names.get(place).copied().unwrap_or_default();
        let part =
            records(&bytes, kind).map_err(|problem| Error::file("dataset", path, format!("{name}: {problem}")))?;
        if let Some(slot) = parts.get_mut(place) {
            *slot = part;
        }
        Ok(())
    })?;
    joined(parts, path)
}

/// All but the last of the batches as one part, and the last.
pub(super) fn joined(mut batches: Vec<Decoded>, path: &Path) -> Result<Vec<Decoded>> {
    let test = batches.pop().unwrap_or_default();
    let mut train = Decoded { shape: SHAPE, ..Decoded::default() };
    for batch in batches {
        train.images.extend_from_slice(&batch.images);
        train.labels.extend_from_slice(&batch.labels);
    }
    Ok(vec![train.checked(path)?, test.checked(path)?])
}

/// Splits records into labels and pixels.
fn records(bytes: &[u8], kind: Kind) -> std::result::Result<Decoded, String> {
    let head = if kind == Kind::Ten { 1 } else { 2 };
    let record = head + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(format!("truncated: {} bytes are no whole number of records of {record}", bytes.len()));
    }
    let count = bytes.len() / record;
    let mut part = Decoded { shape: SHAPE, images: Vec::with_capacity(count * PIXELS), ..Decoded::default() };
    for (number, record) in bytes.chunks_exact(record).enumerate() {
        let (labels, pixels) = record.split_at(head);
        part.labels.push(labelled(labels.last().copied().map_or(-1, i64::from), number, kind)?);
        part.images.extend_from_slice(pixels);
    }
    Ok(part)
}

/// A label within the classes.
pub(super) fn labelled(label: i64, number: usize, kind: Kind) -> std::result::Result<u16, String> {
    let label = u16::try_from(label).ok().filter(|label| *label < kind.classes()).ok_or(label);
    label.map_err(|label| format!("label {label} of image {number} is outside 0..{}", kind.classes()))
}
