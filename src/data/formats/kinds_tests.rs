//! Every kind of picture: read as others read it, refused when a part of it is missing.

use super::picture::{Rest, Target, is_sure};
use std::path::{Path, PathBuf};

const TARGET: Target = Target { channels: 3, height: 24, width: 40, resize: false };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sets/pictures/kinds")
}

/// Names and contents of the files.
fn files() -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder()).unwrap().flatten();
    let mut all: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| !name.ends_with("npz"))
        .collect();
    all.sort();
    assert_eq!(all.len(), 23);
    all
}

fn decode(bytes: &[u8]) -> Result<(Vec<u8>, Option<Rest>), String> {
    let mut pixels = vec![0; TARGET.len()];
    TARGET.decode(bytes, &mut pixels).map(|rest| (pixels, rest))
}

#[test]
fn every_kind_of_picture_has_the_pixels_that_the_python_imaging_library_gives() {
    let expected = crate::tensor::io::npz::load_npz(folder().join("expected.npz")).unwrap();
    for (name, bytes) in files() {
        let (ours, _) = decode(&bytes).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let (_, theirs) = expected.iter().find(|(key, _)| *key == name).unwrap();
        let mut other = vec![0_u8; theirs.numel()];
        let count = other.len();
        theirs.copy_data(&mut other, count);
        let apart: u64 = ours.iter().zip(&other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = apart as f64 / count as f64;
        // Decoders of what is lossy may round differently, and spread colours that were stored in lower resolution.
        let lossy = name.ends_with("jpg") || name == "lossy.webp";
        assert!(mean <= if lossy { 2.5 } else { 0.0 }, "{name}: {mean}");
    }
}

#[test]
fn a_picture_without_its_end_is_refused_wherever_it_is_cut() {
    for (name, bytes) in files() {
        // A byte of padding; a second page, of which nothing is taken.
        let end = match name.as_str() {
            "lossless.webp" => bytes.len() - 1,
            "pages.tif" => bytes.len() / 2 - 3,
            _ => bytes.len(),
        };
        let accepted: Vec<usize> = (0..end).filter(|length| decode(&bytes[..*length]).is_ok()).collect();
        assert!(accepted.is_empty(), "{name} of {} bytes: {accepted:?}", bytes.len());
    }
}

#[test]
fn a_jpeg_whose_data_ends_early_is_refused_also_when_an_end_follows() {
    for (name, bytes) in files().iter().filter(|(name, _)| name.ends_with("jpg")) {
        let start = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap() + 14;
        for length in start..bytes.len() - 3 {
            let closed = [&bytes[..length], &[0xFF, 0xD9]].concat();
            let zeros = [&bytes[..length], &vec![0; bytes.len() - length]].concat();
            assert!(decode(&closed).is_err(), "{name} closed at {length} of {}", bytes.len());
            assert!(decode(&zeros).is_err(), "{name} zeros from {length} of {}", bytes.len());
        }
        let problem = decode(&bytes[..bytes.len() / 10 * 9]).unwrap_err();
        assert!(problem.starts_with("cut off: "), "{name}: {problem}");
    }
}

#[test]
fn a_restart_marker_that_is_missing_or_out_of_turn_is_damage() {
    let bytes = std::fs::read(folder().join("restarts.jpg")).unwrap();
    let at = bytes.windows(2).position(|pair| pair == [0xFF, 0xD0]).unwrap();
    let turned = [&bytes[..at], &[0xFF, 0xD3], &bytes[at + 2..]].concat();
    assert!(decode(&turned).unwrap_err().starts_with("damaged: "));
    let gone = [&bytes[..at], &bytes[at + 2..]].concat();
    assert!(decode(&gone).is_err());
}

#[test]
fn changed_bytes_are_survived_and_noticed_where_checksums_tell() {
    for (name, bytes) in files() {
        for at in (0..bytes.len()).step_by(3) {
            for flip in [1, 0x40, 0xFF] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let decoded = decode(&changed);
                let checked = name.ends_with("png") && at > 8;
                assert!(!checked || decoded.is_err() || decoded.unwrap().0 == decode(&bytes).unwrap().0, "{name} {at}");
            }
        }
    }
    let sound = std::fs::read(folder().parent().unwrap().join("palette.png")).unwrap();
    let at = sound.windows(4).position(|kind| kind == b"PLTE").unwrap();
    let mut uneven = [&sound[..at - 4], &[0, 0, 0, 47], &sound[at..at + 4 + 47]].concat();
    let sum = crc32fast::hash(&uneven[at..]);
    uneven.extend(sum.to_be_bytes());
    uneven.extend(&sound[at + 4 + 48 + 4..]);
    let target = Target { height: 12, width: 12, ..TARGET };
    let problem = target.decode(&uneven, &mut vec![0; target.len()]).unwrap_err();
    assert!(problem.contains("damaged"), "{problem}");
}

#[test]
fn further_frames_and_bytes_behind_the_end_are_told() {
    for (name, bytes) in files() {
        let (_, rest) = decode(&bytes).unwrap();
        let several = name.starts_with("moving") || name.starts_with("pages");
        assert_eq!(rest, several.then_some(Rest::Frames), "{name}");
        if ["jpg", "png", "gif", "webp"].iter().any(|kind| name.ends_with(kind)) && !several {
            let longer = [&bytes[..], b"and so on"].concat();
            assert_eq!(decode(&longer).unwrap().1, Some(Rest::Behind(9)), "{name}");
        }
    }
}

#[test]
fn what_is_no_picture_or_one_of_another_kind_says_so() {
    assert_eq!(decode(b"").unwrap_err(), "this file is empty");
    assert!(decode(b"<html>not found</html>").unwrap_err().starts_with("no picture by its content"));
    let avif = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf";
    assert!(decode(avif).unwrap_err().starts_with("avif pictures are not read"), "{}", decode(avif).unwrap_err());
}

#[test]
fn first_bytes_tell_pictures_from_text_and_raw_photographs() {
    for (name, bytes) in files() {
        assert!(is_sure(&bytes[..64.min(bytes.len())], true), "{name}");
    }
    for other in ["BM is a name", "P1 is a name", "P5\tx", "II*", "hello", ""] {
        assert!(!is_sure(other.as_bytes(), false), "{other}");
    }
    assert!(
        !is_sure(b"II*\0\x08\0\0\0", false) && is_sure(b"II*\0\x08\0\0\0", true),
        "raw photographs are TIFF inside"
    );
}
