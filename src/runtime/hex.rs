//! Bytes as hexadecimal digits, as checksums and the names of files show them.

use std::fmt::Write;

/// The hexadecimal digits of bytes, two lower-case ones each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hexadecimal digits of the first `count` bytes.
pub fn hex_of(bytes: &[u8], count: usize) -> String {
    hex(bytes.get(..count).unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!((hex_of(&[1, 2, 3], 2), hex_of(&[1], 4)), ("0102".into(), "01".into()));
    }
}
