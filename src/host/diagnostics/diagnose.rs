//! Makes a diagnostic of an error of the engine.

use crate::host::diagnostics::diagnostic::{Diagnostic, Frame, Place, Sources};
use crate::host::diagnostics::engine_errors;
use crate::host::docs::catalog::Catalog;
use crate::runtime::error;
use crate::runtime::sources::embedded;
use rhai::{EvalAltResult, Map};

/// What a function without a name is called.
const CLOSURE: &str = "a closure";

impl Diagnostic {
    /// Explains an error.
    pub fn of(error: &EvalAltResult, sources: &Sources, catalog: &Catalog) -> Self {
        let mut frames = vec![];
        let mut source = sources.main.to_string();
        let mut around = None;
        let root = descend(error, sources, &mut source, &mut around, &mut frames);
        frames.reverse();
        let place = match root {
            EvalAltResult::ErrorParsing(kind, position) => sources.syntax(&source, *position, kind),
            root => sources.place(&source, root.position()).map(|place| place.behind_dot()),
        };
        let place = place.or(around);
        let mut found = Self { place, frames, ..Self::default() };
        match root {
            EvalAltResult::ErrorTerminated(token, _) => match error::stopped(token) {
                Some(why) => {
                    found.message = why.to_string();
                    found.hint = error::hint_of(&why);
                }
                None => {
                    found.interrupted = true;
                    found.message = "interrupted".into();
                }
            },
            EvalAltResult::ErrorRuntime(value, _) => match value.read_lock::<Map>() {
                Some(map) if map.contains_key("message") => found.fault(&map, sources),
                _ => found.message = value.to_string(),
            },
            other => engine_errors::explain(&mut found, other, catalog),
        }
        if let EvalAltResult::ErrorParsing(kind, position) = root {
            let text = sources.map.get(&source).unwrap_or_default();
            found.hint = engine_errors::habit(kind, &text, *position).map_or(found.hint, Into::into);
        }
        if found.frames.first().is_some_and(|frame| frame.place == found.place) {
            found.frames.remove(0);
        }
        // A closure called by one of our functions is called where that function is.
        found.frames.dedup_by(|outer, inner| {
            outer.place == inner.place && (inner.function == CLOSURE || outer.place.is_none() && outer == inner)
        });
        found
    }

    /// A fault raised by one of our functions.
    fn fault(&mut self, map: &Map, sources: &Sources) {
        let text = |key: &str| map.get(key).map(ToString::to_string).unwrap_or_default();
        let operation = text("operation");
        self.message = if operation.is_empty() { text("message") } else { format!("{operation}: {}", text("message")) };
        self.hint = text("hint");
        if let Some(notes) = map.get("notes").and_then(|notes| notes.read_lock::<rhai::Array>()) {
            self.notes = notes.iter().map(ToString::to_string).collect();
        }
        let word = text("word");
        if !word.is_empty() {
            self.point_at(&word, sources);
        }
    }

    /// Moves to the word at fault: inside the call that failed, else in the nearest call around it that has the word. A call
    /// in a script of the user's comes before those of the library, which only declares what the user gave.
    fn point_at(&mut self, word: &str, sources: &Sources) {
        let within = |place: &Option<Place>| place.as_ref().and_then(|place| sources.seek(place, word));
        let around = self.frames.iter().enumerate().map(|(i, frame)| (i + 1, within(&frame.place)));
        let found: Vec<(usize, Place)> = std::iter::once((0, within(&self.place)))
            .chain(around)
            .filter_map(|(calls, place)| Some((calls, place?)))
            .collect();
        let own = found.iter().find(|(_, place)| embedded(&place.source).is_none());
        if let Some((calls, place)) = own.or(found.first()) {
            self.place = Some(place.clone());
            self.frames.drain(..*calls);
        }
    }
}

/// Walks to the innermost error, noting calls and keeping track of whose source positions belong to.
fn descend<'e>(
    error: &'e EvalAltResult,
    sources: &Sources,
    source: &mut String,
    around: &mut Option<Place>,
    frames: &mut Vec<Frame>,
) -> &'e EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(name, inside, inner, position) => {
            let place = sources.place(source, *position);
            frames.push(Frame { function: function_name(name), place: place.clone() });
            *around = place.or(around.take());
            if name == "eval" {
                // Its text is no script that could be quoted; the call is.
                *source = String::new();
            } else if let Some(own) = sources.map.of_closure(name) {
                *source = own;
            } else if !inside.is_empty() {
                *source = inside.clone();
            }
            descend(inner, sources, source, around, frames)
        }
        EvalAltResult::ErrorInModule(path, inner, position) => {
            *around = sources.place(source, *position).or(around.take());
            if matches!(**inner, EvalAltResult::ErrorParsing(..)) {
                *source = path.clone();
            }
            descend(inner, sources, source, around, frames)
        }
        root => root,
    }
}

/// A function's name as people know it.
fn function_name(name: &str) -> String {
    if name.starts_with("anon$") { CLOSURE.into() } else { name.split('(').next().unwrap_or(name).trim().into() }
}
