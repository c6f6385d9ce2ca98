//! Classes by their names.

use crate::runtime::{Error, Result, options};
use unicode_normalization::UnicodeNormalization;

/// Names that a message lists at most.
const LISTED: usize = 20;

/// A text in which every accented letter is one character: file systems differ in how they write them.
pub fn composed(text: &str) -> String {
    text.nfc().collect()
}

/// Whether two texts are the same apart from how their accents are written.
pub fn same(a: &str, b: &str) -> bool {
    a == b || (!(a.is_ascii() && b.is_ascii()) && a.nfc().eq(b.nfc()))
}

/// The number of the class of this name, among the `names` of `classes` classes.
///
/// # Errors
/// A name that none or several have, with those that are near; classes without names.
pub fn number_of(operation: &str, names: &[String], classes: usize, name: &str) -> Result<i64> {
    let fail = |message: String| Error::new(operation, message).word(name);
    if names.is_empty() {
        let last = classes.saturating_sub(1);
        return Err(fail(format!("there is no class {name:?}: the classes of this data set have no names"))
            .hint(format!("give a number within 0..={last}")));
    }
    let found: Vec<usize> = names.iter().enumerate().filter(|(_, own)| same(own, name)).map(|(n, _)| n).collect();
    match found.as_slice() {
        [number] => return Ok(*number as i64),
        [] => {}
        several => return Err(fail(format!("the classes {several:?} all have the name {name:?}"))),
    }
    let shown: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    let error = fail(format!("there is no class {name:?}")).note(format!("classes: {}{more}", shown.join(", ")));
    let folded = names.iter().find(|own| own.to_lowercase() == name.to_lowercase()).map(String::as_str);
    Err(match folded.or_else(|| options::nearest(name, names.iter().map(String::as_str))) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error.hint("data.class_names lists them in the order of their numbers"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_their_accents_are_written_and_near_ones_are_told() {
        let names = ["cat", "Dog", "caf\u{e9}", "crane", "crane"].map(String::from);
        let of = |name: &str| number_of("class", &names, 5, name).map_err(|error| format!("{error:?}"));
        assert_eq!(of("cat").unwrap(), 0);
        assert_eq!(of("cafe\u{301}").unwrap(), 2);
        assert!(of("dog").unwrap_err().contains("did you mean \\\"Dog\\\"?"), "{}", of("dog").unwrap_err());
        assert!(of("catt").unwrap_err().contains("did you mean \\\"cat\\\"?"));
        assert!(of("crane").unwrap_err().contains("[3, 4]"));
        assert!(number_of("class", &[], 10, "dog").unwrap_err().to_string().contains("have no names"));
    }
}
