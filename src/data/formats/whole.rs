//! Whether the file of a picture is whole, from its structure: what decoders take without a word although a part of it is
//! missing, and what a picture has beside what is taken.

use super::jpeg;
use image::ImageFormat;

/// What a file has that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Other frames or pages: only the first is taken.
    Frames,
    /// So many bytes behind its end.
    Behind(usize),
}

const CUT: &str = "cut off: the file ends before the picture does";

/// Looks through the parts of a file.
///
/// # Errors
/// A file that is cut off or damaged, in words.
pub fn check(format: ImageFormat, bytes: &[u8]) -> Result<Option<Rest>, String> {
    match format {
        ImageFormat::Jpeg => Ok(behind(jpeg::whole(bytes)?)),
        ImageFormat::Png => png(bytes),
        ImageFormat::Gif => gif(bytes),
        ImageFormat::WebP => webp(bytes),
        ImageFormat::Tiff => pages(bytes),
        _ => Ok(None),
    }
}

fn behind(bytes: usize) -> Option<Rest> {
    (bytes > 0).then_some(Rest::Behind(bytes))
}

/// `N` bytes at a place.
fn some<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Chunks with a checksum each, up to IEND.
fn png(bytes: &[u8]) -> Result<Option<Rest>, String> {
    let (mut at, mut frames) = (8, 1);
    loop {
        let length = u32::from_be_bytes(some(bytes, at).ok_or(CUT)?) as usize;
        let kind: [u8; 4] = some(bytes, at + 4).ok_or(CUT)?;
        let whole = bytes.get(at + 4..(at + 8).saturating_add(length)).ok_or(CUT)?;
        let sum = u32::from_be_bytes(some(bytes, at + 8 + length).ok_or(CUT)?);
        let name = || kind.escape_ascii();
        // What is in lower case can be done without.
        if kind[0].is_ascii_uppercase() && crc32fast::hash(whole) != sum {
            return Err(format!("damaged: the checksum of its part {} is another one", name()));
        }
        at += 12 + length;
        match &kind {
            b"PLTE" if !length.is_multiple_of(3) => return Err("damaged: its palette has no whole colours".into()),
            b"acTL" => frames = some(whole, 4).map_or(1, u32::from_be_bytes),
            b"IEND" if frames > 1 => return Ok(Some(Rest::Frames)),
            b"IEND" => return Ok(behind(bytes.len() - at)),
            _ => {}
        }
    }
}

/// Blocks up to the trailer.
fn gif(bytes: &[u8]) -> Result<Option<Rest>, String> {
    let colours = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let byte = |at: usize| bytes.get(at).copied().ok_or(CUT);
    // Behind the blocks of a length each that an empty one ends.
    let after = |mut at: usize| -> Result<usize, &str> {
        loop {
            match usize::from(byte(at)?) {
                0 => return Ok(at + 1),
                length => at += 1 + length,
            }
        }
    };
    let (mut at, mut frames) = (13 + colours(byte(10)?), 0);
    loop {
        match byte(at)? {
            0x2C => {
                at = after(at + 11 + colours(byte(at + 9)?))?;
                frames += 1;
            }
            0x21 => at = after(at + 2)?,
            0x3B if frames > 1 => return Ok(Some(Rest::Frames)),
            0x3B => return Ok(behind(bytes.len() - at - 1)),
            _ => return Err("damaged: a block of an unknown kind".into()),
        }
    }
}

/// Chunks within the length that the first one names.
fn webp(bytes: &[u8]) -> Result<Option<Rest>, String> {
    let end = (u32::from_le_bytes(some(bytes, 4).ok_or(CUT)?) as usize).saturating_add(8);
    let (mut at, mut frames) = (12, 0);
    while at < end {
        let length = u32::from_le_bytes(some(bytes, at + 4).ok_or(CUT)?) as usize;
        frames += usize::from(some(bytes, at) == Some(*b"ANMF"));
        at = (at + 8).saturating_add(length);
        if at > bytes.len() {
            return Err(CUT.into());
        }
        // Odd chunks are followed by a byte of padding, which some writers leave out at the end.
        at += length % 2;
    }
    Ok(if frames > 1 { Some(Rest::Frames) } else { behind(bytes.len().saturating_sub(end.max(at))) })
}

/// Whether the first directory is followed by another.
fn pages(bytes: &[u8]) -> Result<Option<Rest>, String> {
    let little = bytes.starts_with(b"II");
    let two = |at| some(bytes, at).map(|b| if little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) });
    let four = |at| some(bytes, at).map(|b| if little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) });
    if two(2) != Some(42) {
        return Ok(None);
    }
    let first = four(4).ok_or(CUT)? as usize;
    let entries = usize::from(two(first).ok_or(CUT)?);
    match four(first.saturating_add(2 + 12 * entries)).ok_or(CUT)? as usize {
        0 => Ok(None),
        next if next < bytes.len() => Ok(Some(Rest::Frames)),
        _ => Err(CUT.into()),
    }
}
