//! Texts of arrays and maps, as Rhai and JSON write them, but for asking for room first. Copies of a string share its memory,
//! their texts do not: a thousand copies of one long string make a text of a thousand such.

use crate::runtime::heap::{refuse_later, room};
use crate::runtime::options::describe;
use crate::runtime::{Error, Result, interrupt};
use rhai::{Array, Dynamic, ImmutableString, Map, NativeCallContext};
use std::fmt::Write;

/// Pieces between two looks at the keyboard.
const STRIDE: usize = 1 << 12;

/// Levels of arrays within arrays that are written.
const DEEPEST: usize = 1_000;

/// A text that asks for room before it grows.
struct Growing {
    operation: &'static str,
    text: String,
    pieces: usize,
    /// Why it grows no further.
    refused: Option<Error>,
    /// Whether that is for want of room.
    full: bool,
}

impl Growing {
    fn new(operation: &'static str, text: String) -> Self {
        Self { operation, text, pieces: 0, refused: None, full: false }
    }

    /// Makes sure that a piece fits in.
    fn admit(&mut self, piece: usize) -> Result<()> {
        self.pieces += 1;
        if self.pieces.is_multiple_of(STRIDE) {
            interrupt::check()?;
        }
        let length = self.text.len().saturating_add(piece);
        if length <= self.text.capacity() {
            return Ok(());
        }
        // A full text moves to a place of twice the size.
        room(length.saturating_mul(2)).map_err(|beyond| {
            self.full = true;
            Error::beyond(self.operation, beyond)
        })
    }

    /// The text, or why it was refused.
    fn end(self, written: Result<()>) -> Result<String> {
        match self.refused {
            Some(error) => Err(error),
            None => written.map(|()| self.text),
        }
    }
}

impl Write for Growing {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        match self.admit(piece.len()) {
            Ok(()) => self.text.push_str(piece),
            Err(error) => {
                self.refused.get_or_insert(error);
                return Err(std::fmt::Error);
            }
        }
        Ok(())
    }
}

/// How leaves are written, and what stands around maps.
trait Style {
    const MAP: &'static str;
    const COLON: &'static str;
    const COMMA: &'static str;

    /// The key of a map.
    fn key(&self, to: &mut Growing, key: &str) -> Result<()>;

    /// What is no array and no map.
    fn leaf(&self, to: &mut Growing, value: &Dynamic) -> Result<()>;
}

/// As `print` writes values.
struct Rhai<'c, 'a>(&'c NativeCallContext<'a>);

impl Style for Rhai<'_, '_> {
    const MAP: &'static str = "#{";
    const COLON: &'static str = ": ";
    const COMMA: &'static str = ", ";

    fn key(&self, to: &mut Growing, key: &str) -> Result<()> {
        put(to, format_args!("{key:?}"))
    }

    fn leaf(&self, to: &mut Growing, value: &Dynamic) -> Result<()> {
        if let Some(text) = value.read_lock::<ImmutableString>() {
            return put(to, format_args!("{:?}", text.as_str()));
        }
        match self.0.call_native_fn_raw("to_debug", true, &mut [&mut value.clone()]) {
            Ok(text) => put(to, format_args!("{text}")),
            Err(_) => put(to, format_args!("{value:?}")),
        }
    }
}

/// As JSON has it.
struct Json;

impl Style for Json {
    const MAP: &'static str = "{";
    const COLON: &'static str = ":";
    const COMMA: &'static str = ",";

    fn key(&self, to: &mut Growing, key: &str) -> Result<()> {
        to.admit(key.len())?;
        put(to, format_args!("{}", serde_json::Value::from(key)))
    }

    fn leaf(&self, to: &mut Growing, value: &Dynamic) -> Result<()> {
        let value = &value.flatten_clone();
        let text = value.read_lock::<ImmutableString>();
        if let Some(text) = &text {
            to.admit(text.len())?;
        } else if !(value.is_unit() || value.is_bool() || value.is_int() || value.is_float() || value.is_char()) {
            let message = format!("cannot write {}", describe(value));
            return Err(Error::new(to.operation, message).hint(
                "JSON has numbers, strings, booleans, arrays and maps: x.to_array() makes an array of a tensor",
            ));
        }
        let json = serde_json::to_string(value).map_err(|error| Error::new(to.operation, error.to_string()))?;
        put(to, format_args!("{json}"))
    }
}

/// Writes a piece. A refusal is kept by the text itself.
fn put(to: &mut Growing, piece: std::fmt::Arguments<'_>) -> Result<()> {
    to.write_fmt(piece).map_err(|_| Error::new(to.operation, "there is no room for the text"))
}

/// Writes a value, arrays and maps element by element.
fn value(style: &impl Style, to: &mut Growing, given: &Dynamic, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        let message = format!("arrays or maps more than {DEEPEST} levels deep within each other are not written");
        return Err(Error::new(to.operation, message));
    }
    if let Ok(items) = given.as_array_ref() {
        return array(style, to, &items, depth);
    }
    if let Ok(entries) = given.as_map_ref() {
        return map(style, to, &entries, depth);
    }
    style.leaf(to, given)
}

fn array<S: Style>(style: &S, to: &mut Growing, items: &Array, depth: usize) -> Result<()> {
    for (place, item) in items.iter().enumerate() {
        put(to, format_args!("{}", if place == 0 { "[" } else { S::COMMA }))?;
        value(style, to, item, depth + 1)?;
    }
    put(to, format_args!("{}", if items.is_empty() { "[]" } else { "]" }))
}

fn map<S: Style>(style: &S, to: &mut Growing, entries: &Map, depth: usize) -> Result<()> {
    put(to, format_args!("{}", S::MAP))?;
    for (place, (key, item)) in entries.iter().enumerate() {
        put(to, format_args!("{}", if place == 0 { "" } else { S::COMMA }))?;
        style.key(to, key)?;
        put(to, format_args!("{}", S::COLON))?;
        value(style, to, item, depth + 1)?;
    }
    put(to, format_args!("}}"))
}

/// A text with what `write` adds to it.
fn with(operation: &'static str, text: &str, write: impl FnOnce(&mut Growing) -> Result<()>) -> Result<String> {
    let mut to = Growing::new(operation, text.to_string());
    let written = write(&mut to);
    to.end(written)
}

/// A text for an interpolated string. Rhai answers an error here with a text of its own making, however long: where there is no
/// room the text is empty, and the script ends with the error at its next operation.
fn or_later(write: impl FnOnce(&mut Growing) -> Result<()>) -> Result<String> {
    let mut full = false;
    let text = with("to_string", "", |to| write(to).inspect_err(|_| full = to.full));
    if full {
        refuse_later();
        return Ok(String::new());
    }
    text
}

/// Adds the functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(script).into());
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{Json, Rhai, array, map, or_later, with};
    use crate::runtime::Script;
    use rhai::{Array, ImmutableString, Map, NativeCallContext};

    #[rhai_fn(name = "debug", return_raw, pure)]
    pub fn debug_array(context: NativeCallContext, items: &mut Array) -> Script<ImmutableString> {
        Ok(with("debug", "", |to| array(&Rhai(&context), to, items, 0))?.into())
    }

    #[rhai_fn(name = "print", name = "debug", return_raw, pure)]
    pub fn print_map(context: NativeCallContext, entries: &mut Map) -> Script<ImmutableString> {
        Ok(with("print", "", |to| map(&Rhai(&context), to, entries, 0))?.into())
    }

    #[rhai_fn(name = "to_string", name = "to_debug", return_raw, pure)]
    pub fn array_text(context: NativeCallContext, items: &mut Array) -> Script<ImmutableString> {
        Ok(or_later(|to| array(&Rhai(&context), to, items, 0))?.into())
    }

    #[rhai_fn(name = "to_string", name = "to_debug", return_raw, pure)]
    pub fn map_text(context: NativeCallContext, entries: &mut Map) -> Script<ImmutableString> {
        Ok(or_later(|to| map(&Rhai(&context), to, entries, 0))?.into())
    }

    #[rhai_fn(name = "+", return_raw)]
    pub fn text_and_array(context: NativeCallContext, text: ImmutableString, items: Array) -> Script<ImmutableString> {
        Ok(with("+", &text, |to| array(&Rhai(&context), to, &items, 0))?.into())
    }

    #[rhai_fn(name = "+", return_raw)]
    pub fn text_and_map(context: NativeCallContext, text: ImmutableString, entries: Map) -> Script<ImmutableString> {
        Ok(with("+", &text, |to| map(&Rhai(&context), to, &entries, 0))?.into())
    }

    #[rhai_fn(name = "+", return_raw)]
    pub fn array_and_text(context: NativeCallContext, items: Array, text: &str) -> Script<ImmutableString> {
        let mut all = with("+", "", |to| array(&Rhai(&context), to, &items, 0))?;
        all.push_str(text);
        Ok(all.into())
    }

    #[rhai_fn(name = "+", return_raw)]
    pub fn map_and_text(context: NativeCallContext, entries: Map, text: &str) -> Script<ImmutableString> {
        let mut all = with("+", "", |to| map(&Rhai(&context), to, &entries, 0))?;
        all.push_str(text);
        Ok(all.into())
    }

    #[rhai_fn(name = "+=", return_raw)]
    pub fn append_array(context: NativeCallContext, text: &mut ImmutableString, items: Array) -> Script<()> {
        text.make_mut().push_str(&with("+=", "", |to| array(&Rhai(&context), to, &items, 0))?);
        Ok(())
    }

    #[rhai_fn(name = "+=", return_raw)]
    pub fn append_map(context: NativeCallContext, text: &mut ImmutableString, entries: Map) -> Script<()> {
        text.make_mut().push_str(&with("+=", "", |to| map(&Rhai(&context), to, &entries, 0))?);
        Ok(())
    }

    #[rhai_fn(return_raw, pure)]
    pub fn to_json(entries: &mut Map) -> Script<ImmutableString> {
        Ok(with("to_json", "", |to| map(&Json, to, entries, 0))?.into())
    }
}
