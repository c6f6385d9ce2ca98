//! Large data sets stay bytes: loading one takes no memory of its own, a pass over it no more than its file and a batch.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lethe::data::catalog::decoded_cache;
use lethe::data::catalog::decoded_cache::Subject;
use lethe::data::formats::Decoded;
use lethe::data::storage::Storage;
use lethe::data::{Dataset, DatasetInfo};
use lethe::runtime::Run;
use lethe::runtime::run::Settings;
use tch::{Device, Tensor};

/// Images of 3 x 32 x 32, so many that they are not kept as f32: a third of CINIC-10.
const COUNT: usize = 60_000;

/// Megabytes of this process: its own, and those of mapped files.
fn memory() -> [f64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    ["RssAnon:", "RssFile:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
    })
}

#[test]
fn a_large_data_set_is_mapped_and_stays_bytes() {
    let cache = tempfile::tempdir().unwrap();
    // SAFETY: the only test of this process; nothing else reads the environment yet.
    unsafe { std::env::set_var("LETHE_CACHE", cache.path()) };
    let run = Run::new(Settings::default());
    let make = || {
        let images = (0..COUNT * 3072).map(|place| (place / 3072) as u8).collect();
        let labels = (0..COUNT).map(|row| (row % 10) as u16).collect();
        Ok(vec![Decoded { shape: [3, 32, 32], images, labels, order: vec![] }])
    };
    let subject = Subject { stem: "large", dataset: "large", place: cache.path(), parts: &["train"] };
    let checksum = || Ok("0123456789abcdef0123456789abcdef".to_string());
    drop(decoded_cache::parts(&run, &subject, checksum, make).unwrap());
    let before = memory();
    let parts = decoded_cache::parts(&run, &subject, checksum, || panic!("decoded again")).unwrap();
    let info = DatasetInfo { mean: vec![0.5], std: vec![0.25], ..DatasetInfo::default() };
    let labels = Tensor::from_slice(&parts[0].labels);
    let data = Dataset::new(Storage::new(&parts[0].pixels, &labels, info, Device::Cpu).unwrap());
    let loaded = memory();
    assert!(loaded[0] - before[0] < 20.0 && loaded[1] - before[1] < 20.0, "{before:?} {loaded:?}");
    for (number, batch) in data.in_order(512).unwrap().enumerate() {
        let first = batch.unwrap().x.double_value(&[0, 0, 0, 0]);
        assert!((first - ((number * 512 % 256) as f64 / 255.0 - 0.5) / 0.25).abs() < 1e-6);
    }
    let passed = memory();
    let bytes = (COUNT * 3072) as f64 / 1e6;
    assert!(passed[0] - before[0] < 60.0, "{before:?} {passed:?}");
    assert!(passed[1] - before[1] < bytes + 20.0, "{before:?} {passed:?}");
}
