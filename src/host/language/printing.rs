//! `print` of several values: they stand in one line, with a blank between them.

use rhai::{Dynamic, Engine, ImmutableString, NativeCallContext};
use std::any::TypeId;

/// The most values that one call prints: the engine takes no more arguments of any type.
pub const MOST: usize = 16;

/// Adds the calls of `print` with more than one value. Printing itself is the engine's.
pub fn register(engine: &mut Engine) {
    for count in 2..=MOST {
        engine.register_raw_fn("print", vec![TypeId::of::<Dynamic>(); count], |context, values| line(&context, values));
    }
}

/// The line that the values make.
fn line(context: &NativeCallContext, values: &mut [&mut Dynamic]) -> Result<ImmutableString, Box<rhai::EvalAltResult>> {
    let mut parts: Vec<String> = Vec::with_capacity(values.len());
    for value in values {
        if value.is_string() {
            parts.push(value.to_string());
            continue;
        }
        let text: Dynamic = context.call_native_fn_raw("to_string", true, &mut [value])?;
        parts.push(text.to_string());
    }
    Ok(parts.join(" ").into())
}
