//! Readers of data set files, one file a format.

pub mod digits;
pub mod idx;
