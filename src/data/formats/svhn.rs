//! SVHN, cropped digits (Y. Netzer et al., Reading digits in natural images with unsupervised feature learning, 2011): a
//! MAT-file with images `X`, u8 [32, 32, 3, n], and labels `y`, 1 to 10, where 10 is the digit zero.

use super::matlab::{self, Values, Variable};
use super::{Decoded, cifar};
use crate::runtime::{Error, Result};
use std::path::Path;

/// Rows and columns of an image.
const SIDE: usize = 32;

/// Reads `train_32x32.mat` or `test_32x32.mat`.
///
/// # Errors
/// Those of the format; variables of other shapes or types; labels beyond 1..=10.
pub fn read(path: &Path) -> Result<Decoded> {
    let fail = |problem: String| Error::file("dataset", path, problem);
    let mut variables = matlab::read(path, &["X", "y"])?.into_iter();
    let (Some(images), Some(labels)) = (variables.next(), variables.next()) else {
        return Err(fail("has no variables `X` and `y`".into()));
    };
    let count = match (images.dims.as_slice(), labels.dims.as_slice()) {
        ([SIDE, SIDE, 3, n], [m, 1] | [1, m]) if n == m => *n,
        // A last dimension of 1 is not stored.
        ([SIDE, SIDE, 3], [1, 1]) => 1,
        (x, y) => {
            return Err(fail(format!("`X` has the shape {x:?} and `y` {y:?}, expected [32, 32, 3, n] and [n, 1]")));
        }
    };
    let Values::Bytes(mut pixels) = images.values else {
        return Err(fail("`X` is not of unsigned bytes".into()));
    };
    pixels.chunks_exact_mut(cifar::PIXELS).for_each(transpose);
    let labels = digits(labels, count).map_err(fail)?;
    Decoded { shape: cifar::SHAPE, images: pixels, labels, order: vec![] }.checked(path)
}

/// Turns each plane of an image, stored column after column, into rows.
fn transpose(image: &mut [u8]) {
    for plane in image.chunks_exact_mut(SIDE * SIDE) {
        for row in 0..SIDE {
            for column in 0..row {
                plane.swap(row * SIDE + column, column * SIDE + row);
            }
        }
    }
}

/// The class of every label: 10 is the digit zero.
fn digits(labels: Variable, count: usize) -> std::result::Result<Vec<u16>, String> {
    let values = match labels.values {
        Values::Bytes(bytes) => bytes.into_iter().map(i64::from).collect(),
        Values::Integers(integers) => integers,
    };
    if values.len() != count {
        return Err(format!("{} labels for {count} images", values.len()));
    }
    let digit = |(number, label): (usize, i64)| match label {
        1..=10 => Ok((label % 10) as u16),
        _ => Err(format!("label {label} of image {number} is outside 1..=10")),
    };
    values.into_iter().enumerate().map(digit).collect()
}
