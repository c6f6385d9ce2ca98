//! Readers of data set files, one file a format. Every length and count in a file is distrusted: memory grows with what is
//! really there, and what does not add up is an error that names the file.

pub mod cifar;
pub mod cifar_python;
pub mod cinic;
pub mod class_folders;
pub mod digits;
pub mod idx;
pub mod jpeg;
#[cfg(test)]
mod kinds_tests;
pub mod listing;
pub mod matlab;
pub mod members;
pub mod parallel;
pub mod pickle_text;
pub mod picture;
pub mod svhn;
#[cfg(test)]
mod tests;
pub mod tiny_imagenet;
pub mod whole;

pub use crate::runtime::budget::{LARGEST, LARGEST_ARRAY};
use crate::runtime::{Error, Result};
use std::io::Read;
use std::path::Path;

/// Images of one part of a data set, u8 in the order [n, channels, height, width], and their class numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Channels, height and width of every image.
    pub shape: [usize; 3],
    /// Pixels, image after image.
    pub images: Vec<u8>,
    /// Class numbers.
    pub labels: Vec<u16>,
    /// The order that the images are to be taken in; empty: as they lie. Archives give images in an order of their own, and
    /// sorting a large part in place would need it twice in memory.
    pub order: Vec<u32>,
}

impl Decoded {
    /// Bytes of one image.
    pub fn pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Where the image at `position` lies.
    pub fn row(&self, position: usize) -> usize {
        self.order.get(position).map_or(position, |row| *row as usize)
    }

    /// The pixels of the image at `position`.
    pub fn image(&self, position: usize) -> &[u8] {
        let (row, pixels) = (self.row(position), self.pixels());
        self.images.get(row * pixels..(row + 1) * pixels).unwrap_or_default()
    }

    /// The class of the image at `position`.
    pub fn label(&self, position: usize) -> u16 {
        self.labels.get(self.row(position)).copied().unwrap_or(0)
    }

    /// The same with `by` black pixels added on every side of every image.
    #[must_use]
    pub fn padded(self, by: usize) -> Self {
        if by == 0 || self.images.is_empty() {
            return self;
        }
        let [channels, height, width] = self.shape;
        let shape = [channels, height + 2 * by, width + 2 * by];
        let mut images = vec![0; self.len() * shape.iter().product::<usize>()];
        let planes = images.chunks_exact_mut(shape[1] * shape[2]);
        for (plane, from) in planes.zip(self.images.chunks_exact((height * width).max(1))) {
            let rows = plane.chunks_exact_mut(shape[2]).skip(by);
            for (row, from) in rows.zip(from.chunks_exact(width.max(1))) {
                if let Some(inner) = row.get_mut(by..by + width) {
                    inner.copy_from_slice(from);
                }
            }
        }
        Self { shape, images, ..self }
    }

    /// Pixels and labels agree in number, and there are some.
    ///
    /// # Errors
    /// One that names the file they came from.
    pub fn checked(self, path: &Path) -> Result<Self> {
        if self.labels.is_empty() || self.images.is_empty() {
            return Err(Error::file("dataset", path, "no images in it"));
        }
        if self.images.len() != self.len() * self.pixels() || !(self.order.is_empty() || self.order.len() == self.len())
        {
            return Err(Error::file("dataset", path, format!("{} labels do not fit its images", self.len())));
        }
        Ok(self)
    }
}

/// Appends exactly `length` bytes to `to`; memory grows with what comes, not with what was promised.
///
/// # Errors
/// A source that ends early or fails, in words.
pub fn append(source: impl Read, length: u64, to: &mut Vec<u8>) -> std::result::Result<(), String> {
    to.reserve(length.min(1 << 24) as usize);
    let got = source.take(length).read_to_end(to).map_err(|error| unreadable(&error))?;
    if got as u64 == length { Ok(()) } else { Err(format!("truncated: {got} bytes where {length} should be")) }
}

/// What a failed read means to the person who has the file.
pub fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "truncated: the compressed stream ends early".into(),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
            format!("corrupt compressed stream ({error})")
        }
        _ => crate::runtime::io_error::reason(error),
    }
}
