//! Published data sets: which there are, fetching and verifying their files, and decoded images kept for the next time.

pub mod checksum;
pub mod decode;
pub mod decoded_cache;
pub mod decoded_files;
pub mod digests;
pub mod download;
pub mod fetch;
pub mod known_datasets;
pub mod local_files;
