//! The digits built into the binary: 1,797 images of 8 x 8 with values 0..16.
//!
//! Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, E. Alpaydin and C. Kaynak, 1998; the
//! samples of its test part, under CC BY 4.0.

use crate::runtime::{Error, Result};
use std::io::Read;

/// The compressed CSV: 64 pixels and the label in each row.
const COMPRESSED: &[u8] = include_bytes!("../assets/digits.csv.gz");

/// Pixels of one image.
const PIXELS: usize = 64;

/// Images (64 bytes each) and labels.
///
/// # Errors
/// None in a binary that was built from an unharmed source tree.
pub fn read() -> Result<(Vec<u8>, Vec<u8>)> {
    let broken = |what: String| Error::new("dataset", format!("the embedded digits are damaged: {what}"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(COMPRESSED).read_to_string(&mut text).map_err(|error| broken(error.to_string()))?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let row: Vec<u8> = line.split(',').filter_map(|value| value.trim().parse().ok()).collect();
        match row.split_last() {
            Some((label, pixels)) if pixels.len() == PIXELS && *label < 10 && pixels.iter().all(|p| *p <= 16) => {
                images.extend_from_slice(pixels);
                labels.push(*label);
            }
            _ => return Err(broken(format!("row {} is not 64 pixels and a label", labels.len() + 1))),
        }
    }
    Ok((images, labels))
}
