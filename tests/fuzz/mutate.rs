//! What happens to files: bytes and numbers changed, parts lost, doubled, exchanged; archives and pictures packed again
//! afterwards, since their checksums would keep all but the packing from being reached.

use super::random::Random;
use std::io::{Cursor, Read, Write};

const EDGES: [u64; 14] =
    [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 1 << 24, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];
const WORDS: [&str; 12] =
    ["-1", "0", "1e400", "99999999999999999999", "NaN", "null", "\"", "[", "}", "\u{feff}", "\0", "../../x"];

/// How a format is put together again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Zip,
    Png,
}

/// A changed copy of one of the seeds.
pub fn mutated(seeds: &[Vec<u8>], packing: Packing, random: &mut Random) -> Vec<u8> {
    let other = random.one(seeds).clone();
    let seed = random.one(seeds).clone();
    let inside = !random.once_in(4);
    match packing {
        Packing::Zip if inside => zip(&seed, random).unwrap_or(seed),
        Packing::Png if inside => with_checksums(changed(seed, &other, random)),
        _ => changed(seed, &other, random),
    }
}

/// A few changes.
fn changed(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        change(&mut bytes, other, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    // Headers decide most.
    let reach = if random.once_in(2) { bytes.len() } else { bytes.len().min(256) };
    let at = random.below(reach);
    let end = (at + 1 + random.below(32)).min(bytes.len());
    match random.below(9) {
        0 => set(bytes, at, &[1 << random.below(8)], true),
        1 => set(bytes, at, &[random.bits() as u8], false),
        2 => {
            let (number, width) = (*random.one(&EDGES), *random.one(&[1, 2, 4, 8]));
            let mut edge = number.to_le_bytes()[..width].to_vec();
            if random.once_in(2) {
                edge.reverse();
            }
            set(bytes, at, &edge, false);
        }
        3 => drop(bytes.drain(at.min(end)..end)),
        4 => {
            let piece = bytes[at.min(end)..end].to_vec();
            let piece = piece.repeat(1 + random.below(8));
            bytes.splice(at..at, piece);
        }
        5 => bytes.truncate(at),
        6 => {
            let word = random.one(&WORDS).as_bytes().to_vec();
            let end = if random.once_in(2) { at } else { end };
            bytes.splice(at..end, word);
        }
        7 => digits(bytes, random),
        _ => {
            let from = random.below(other.len());
            let to = (from + random.below(64)).min(other.len());
            bytes.splice(at..end, other[from..to].to_vec());
        }
    }
}

fn set(bytes: &mut [u8], at: usize, with: &[u8], flip: bool) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = if flip { *byte ^ new } else { *new };
    }
}

/// Puts an edge in the place of a number written in digits.
fn digits(bytes: &mut Vec<u8>, random: &mut Random) {
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[at - 1].is_ascii_digit()))
        .collect();
    if starts.is_empty() {
        return;
    }
    let start = *random.one(&starts);
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let edge = random.one(&EDGES).to_string();
    bytes.splice(start..start + length, edge.into_bytes());
}

/// An archive with one of its entries changed.
fn zip(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let chosen = random.below(archive.len());
    let mut writer = zip::ZipWriter::new(Cursor::new(vec![]));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for place in 0..archive.len() {
        let mut entry = archive.by_index(place).ok()?;
        let (name, mut content) = (entry.name().ok()?.to_string(), vec![]);
        entry.read_to_end(&mut content).ok()?;
        // The first entry of a checkpoint describes all others.
        if place == chosen || (place == 0 && random.once_in(2)) {
            let other = content.clone();
            content = changed(content, &other, random);
        }
        writer.start_file(name, options).ok()?;
        writer.write_all(&content).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

/// A PNG file whose chunks have the checksums they should have.
fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| end + 4 <= bytes.len()) else { break };
        let sum = crc32fast::hash(&bytes[at + 4..end]).to_be_bytes();
        bytes[end..end + 4].copy_from_slice(&sum);
        at = end + 4;
    }
    bytes
}
