//! What makes much of little in one call: Rhai's own functions, but for asking for room first and for Ctrl-C on the way.
//! Rhai's limits on sizes would do it too, but they walk the value at each call, so that a loop of `push` becomes quadratic.

use crate::runtime::heap::room;
use crate::runtime::{Error, Result, interrupt};
use rhai::{Array, Dynamic};

/// Elements between two looks at the clock.
const STRIDE: usize = 1 << 12;

/// Bytes that a piece of a string takes as a value of its own.
const PIECE: usize = 64;

/// Asks for room on behalf of a function.
fn ask(operation: &str, bytes: usize) -> Result<()> {
    room(bytes).map_err(|beyond| Error::beyond(operation, beyond))
}

/// How many elements are missing up to a length.
fn missing(length: i64, has: usize) -> usize {
    usize::try_from(length).unwrap_or(0).saturating_sub(has)
}

/// Appends copies of an item until the array has this length.
fn pad_array(array: &mut Array, length: i64, item: &Dynamic) -> Result<()> {
    let (had, missing) = (array.len(), missing(length, array.len()));
    ask("pad", missing.saturating_mul(size_of::<Dynamic>()))?;
    let plain = !(item.is_array() || item.is_map() || item.is_blob());
    for n in 0..missing {
        if !plain || n % STRIDE == 0 {
            // Copies of arrays take more than their place.
            if let Err(error) = ask("pad", 0).and_then(|()| interrupt::check()) {
                array.truncate(had);
                return Err(error);
            }
        }
        array.push(item.clone());
    }
    Ok(())
}

/// What has to be appended so that a text has this many characters.
fn padding(text: &str, length: i64, with: &str) -> Result<String> {
    let missing = missing(length, text.chars().count());
    let unit = with.chars().count();
    if unit == 0 || missing == 0 {
        return Ok(String::new());
    }
    let whole = missing / unit;
    ask("pad", whole.saturating_add(1).saturating_mul(with.len()).saturating_add(text.len()))?;
    let mut padding = with.repeat(whole);
    padding.extend(with.chars().take(missing % unit));
    Ok(padding)
}

/// A text with replacements.
fn replaced(text: &str, find: &str, with: &str) -> Result<String> {
    let matches = text.matches(find).count();
    let grown = matches.saturating_mul(with.len().saturating_sub(find.len()));
    ask("replace", text.len().saturating_add(grown))?;
    Ok(text.replace(find, with))
}

/// Adds the functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(script).into());
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{PIECE, ask, missing, pad_array, padding, replaced};
    use crate::runtime::Script;
    use rhai::{Array, Blob, Dynamic, ImmutableString};

    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad(array: &mut Array, length: i64, item: Dynamic) -> Script<()> {
        Ok(pad_array(array, length, &item)?)
    }

    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad_text(text: &mut ImmutableString, length: i64, with: &str) -> Script<()> {
        let padding = padding(text, length, with)?;
        text.make_mut().push_str(&padding);
        Ok(())
    }

    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad_with_character(text: &mut ImmutableString, length: i64, with: char) -> Script<()> {
        pad_text(text, length, with.encode_utf8(&mut [0; 4]))
    }

    #[rhai_fn(name = "pad", return_raw)]
    pub fn pad_blob(blob: &mut Blob, length: i64, value: i64) -> Script<()> {
        let missing = missing(length, blob.len());
        ask("pad", missing)?;
        blob.resize(blob.len() + missing, value as u8);
        Ok(())
    }

    #[rhai_fn(name = "blob", return_raw)]
    pub fn blob(length: i64) -> Script<Blob> {
        blob_of(length, 0)
    }

    #[rhai_fn(name = "blob", return_raw)]
    pub fn blob_of(length: i64, value: i64) -> Script<Blob> {
        let length = missing(length, 0);
        ask("blob", length)?;
        Ok(vec![value as u8; length])
    }

    #[rhai_fn(name = "replace", return_raw)]
    pub fn replace(text: &mut ImmutableString, find: &str, with: &str) -> Script<()> {
        *text = replaced(text, find, with)?.into();
        Ok(())
    }

    #[rhai_fn(name = "replace", return_raw)]
    pub fn replace_by_character(text: &mut ImmutableString, find: &str, with: char) -> Script<()> {
        replace(text, find, with.encode_utf8(&mut [0; 4]))
    }

    #[rhai_fn(name = "replace", return_raw)]
    pub fn replace_character(text: &mut ImmutableString, find: char, with: &str) -> Script<()> {
        replace(text, find.encode_utf8(&mut [0; 4]), with)
    }

    #[rhai_fn(name = "to_chars", return_raw)]
    pub fn to_chars(text: &str) -> Script<Array> {
        ask("to_chars", text.len().saturating_mul(size_of::<Dynamic>()))?;
        Ok(text.chars().map(Dynamic::from).collect())
    }

    #[rhai_fn(name = "split", return_raw, pure)]
    pub fn split(text: &mut ImmutableString, at: &str) -> Script<Array> {
        ask("split", text.matches(at).count().saturating_mul(PIECE).saturating_add(text.len()))?;
        Ok(text.split(at).map(|piece| piece.to_string().into()).collect())
    }

    #[rhai_fn(name = "split", return_raw, pure)]
    pub fn split_at_character(text: &mut ImmutableString, at: char) -> Script<Array> {
        split(text, at.encode_utf8(&mut [0; 4]))
    }
}
