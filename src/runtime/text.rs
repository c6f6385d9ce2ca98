//! Bytes of files as text: a byte order mark of UTF-8 is no part of it, other encodings are told as what they are.

/// What begins a file of UTF-8 that some editors write.
pub const MARK: char = '\u{feff}';

/// The text of these bytes without a byte order mark.
///
/// # Errors
/// What is no UTF-8, in words that name the encoding where it can be told.
pub fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if let Some(other) = other_encoding(&bytes) {
        return Err(format!("this is {other} text, not UTF-8: save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|problem| {
        format!("this is no UTF-8 text (byte {} is the first that is none)", problem.utf8_error().valid_up_to())
    })?;
    Ok(unmarked(text))
}

/// A text without a byte order mark at its start.
pub fn unmarked(text: String) -> String {
    match text.strip_prefix(MARK) {
        Some(rest) => rest.to_string(),
        None => text,
    }
}

/// The encoding that first bytes tell of, by a mark or by the zeros that it puts between letters.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
        // Letters of Latin scripts, each with a zero beside it.
        [a, 0, b, 0, ..] | [0, a, 0, b, ..] if *a > 0 && *b > 0 => Some("UTF-16"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_no_part_of_the_text_and_other_encodings_are_named() {
        let read = |bytes: &[u8]| decode(bytes.to_vec());
        assert_eq!(read(b"\xEF\xBB\xBFlet x = 1;").unwrap(), "let x = 1;");
        assert_eq!(read("é\u{feff}".as_bytes()).unwrap(), "é\u{feff}");
        assert_eq!(read(b"").unwrap(), "");
        for wide in [&b"\xFF\xFEa\0"[..], b"\xFE\xFF\0a", b"l\0e\0t\0", b"\0l\0e\0t"] {
            assert!(read(wide).unwrap_err().contains("UTF-16"), "{wide:?}");
        }
        assert!(read(b"\xFF\xFE\0\0a\0\0\0").unwrap_err().contains("UTF-32"));
        assert!(read(b"caf\xE9").unwrap_err().contains("byte 3"));
    }
}
