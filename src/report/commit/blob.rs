//! The id that git gives to the content of a file.

use sha2::{Digest, Sha256};

/// The id of these bytes as a blob, with so many bytes: 20 are a SHA-1, 32 a SHA-256. No filter is applied.
pub fn id(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let whole = [format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat();
    match length {
        20 => Some(sha1(&whole).to_vec()),
        32 => Some(Sha256::digest(&whole).to_vec()),
        _ => None,
    }
}

/// SHA-1 (FIPS 180-4): git's ids are what it is needed for, nothing rests on its strength.
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = [bytes, &[0x80]].concat();
    padded.resize(padded.len().next_multiple_of(64) + if padded.len() % 64 > 56 { 56 } else { 0 }, 0);
    padded.truncate((bytes.len() + 9).next_multiple_of(64) - 8);
    padded.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words: Vec<u32> = block.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
        for at in 16..80 {
            words.push([3, 8, 14, 16].iter().fold(0, |all, back| all ^ words[at - back]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.into_iter().enumerate() {
            let (mixed, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999_u32),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let sum = [mixed, e, constant, word].iter().fold(a.rotate_left(5), |all, term| all.wrapping_add(*term));
            (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
        }
        for (all, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *all = all.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (place, word) in digest.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::hex::hex;

    #[test]
    fn hashes_are_those_of_the_standard() {
        assert_eq!(hex(&sha1(b"")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(&sha1(two)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        assert_eq!(hex(&sha1(&vec![b'a'; 1_000_000])), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }

    #[test]
    fn empty_files_have_the_ids_that_git_gives_them() {
        assert_eq!(hex(&id(b"", 20).unwrap()), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(hex(&id(b"", 32).unwrap()), "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813");
        assert!(id(b"", 16).is_none());
    }
}
