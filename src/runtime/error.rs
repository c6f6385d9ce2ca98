//! The one error type of the domain rooms, and how it reaches scripts.

use super::heap::Beyond;
use rhai::{Dynamic, EvalAltResult, Map, Position};
use std::path::Path;

/// What a domain function returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What a function registered with the engine returns.
pub type Script<T> = std::result::Result<T, Box<EvalAltResult>>;

/// Something a person should read: operation first, what was given, what would work.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// The function the user called, e.g. `conv2d`.
    pub operation: String,
    /// What went wrong, without the operation's name.
    pub message: String,
    /// What to do about it; empty when there is nothing to add.
    pub hint: String,
    /// The word in the source line to underline (an option's name, say); empty for the call itself.
    pub word: String,
    /// Facts shown below the source line, such as the list of valid options.
    pub notes: Vec<String>,
}

/// An error of a domain room.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A fault to be reported at the script position of the call.
    #[error("{}{}{}", .0.operation, if .0.operation.is_empty() { "" } else { ": " }, .0.message)]
    Fault(Box<Fault>),
    /// Ctrl-C or a time limit: not catchable by scripts.
    #[error("interrupted")]
    Interrupted,
    /// An error raised by a script function that Rust called back, passed on unchanged.
    #[error("{}", message_of(.0))]
    Callback(std::rc::Rc<EvalAltResult>),
}

impl Error {
    /// `operation: message`, where the message says what was given and what was expected.
    pub fn new(operation: &str, message: impl Into<String>) -> Self {
        Self::Fault(Box::new(Fault { operation: operation.into(), message: message.into(), ..Fault::default() }))
    }

    /// Adds advice shown on a `help:` line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Fault(fault) = &mut self {
            fault.hint = hint.into();
        }
        self
    }

    /// Names the word of the source line that is at fault.
    #[must_use]
    pub fn word(mut self, word: impl Into<String>) -> Self {
        if let Self::Fault(fault) = &mut self {
            fault.word = word.into();
        }
        self
    }

    /// Adds a fact shown below the source line.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        if let Self::Fault(fault) = &mut self {
            fault.notes.push(note.into());
        }
        self
    }

    /// That there is no room for what an operation would make.
    pub fn beyond(operation: &str, beyond: Beyond) -> Self {
        Self::new(operation, beyond.to_string()).hint(beyond.hint())
    }

    /// A failure to read or write `path`.
    pub fn file(operation: &str, path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::new(operation, format!("{}: {problem}", path.display()))
    }
}

/// That a file was cut while it was mapped.
#[derive(Debug, Clone, Copy)]
pub struct Cut;

impl From<Cut> for Error {
    fn from(_: Cut) -> Self {
        Self::new(
            "dataset",
            "a file of decoded images was cut off while it was in use; what was computed since is void",
        )
        .hint("run again: the images are decoded anew")
    }
}

/// Why the interpreter has stopped a script of its own accord; `None` when it was asked to.
pub fn stopped(token: &Dynamic) -> Option<Error> {
    if let Some(beyond) = token.read_lock::<Beyond>() {
        return Some(Error::beyond("", *beyond));
    }
    token.read_lock::<Cut>().map(|cut| (*cut).into())
}

/// The advice of an error; empty when there is none.
pub fn hint_of(error: &Error) -> String {
    match error {
        Error::Fault(fault) => fault.hint.clone(),
        _ => String::new(),
    }
}

/// The text of a script error without position and nesting.
pub fn message_of(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            message_of(inner)
        }
        EvalAltResult::ErrorRuntime(value, _) => match value.read_lock::<Map>() {
            Some(map) => {
                let part = |key: &str| map.get(key).map(ToString::to_string).unwrap_or_default();
                let operation = part("operation");
                if operation.is_empty() { part("message") } else { format!("{operation}: {}", part("message")) }
            }
            None => value.to_string(),
        },
        EvalAltResult::ErrorTerminated(token, _) => stopped(token).map_or("interrupted".into(), |why| why.to_string()),
        other => {
            let text = other.to_string();
            match text.rfind(" (line ") {
                Some(cut) => text[..cut].to_string(),
                None => text,
            }
        }
    }
}

/// The fault that a script error carries, through calls and modules; `None` of an interrupt. Any other error is a message.
pub fn fault_of(error: &EvalAltResult) -> Option<Fault> {
    let inner = error.unwrap_inner();
    if inner.is_system_exception() {
        return None;
    }
    let message_alone = || Fault { message: message_of(inner), ..Fault::default() };
    let EvalAltResult::ErrorRuntime(value, _) = inner else { return Some(message_alone()) };
    let Some(map) = value.read_lock::<Map>() else { return Some(message_alone()) };
    let part = |key: &str| map.get(key).map(ToString::to_string).unwrap_or_default();
    let notes = map.get("notes").and_then(|notes| notes.clone().into_typed_array::<String>().ok()).unwrap_or_default();
    Some(Fault {
        operation: part("operation"),
        message: part("message"),
        hint: part("hint"),
        word: part("word"),
        notes,
    })
}

/// Gives an error the place of the call that raised it, unless it has one: what Rhai does for all but qualified calls.
pub fn placed(mut error: Box<EvalAltResult>, position: Position) -> Box<EvalAltResult> {
    if error.position().is_none() {
        error.set_position(position);
    }
    error
}

impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        match error {
            Error::Interrupted => Box::new(EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE)),
            Error::Callback(inner) => match std::rc::Rc::try_unwrap(inner) {
                Ok(inner) => Box::new(inner),
                Err(shared) => Box::new(EvalAltResult::ErrorRuntime(message_of(&shared).into(), Position::NONE)),
            },
            Error::Fault(fault) => {
                let mut map = Map::new();
                map.insert("operation".into(), fault.operation.into());
                map.insert("message".into(), fault.message.into());
                map.insert("hint".into(), fault.hint.into());
                map.insert("word".into(), fault.word.into());
                map.insert("notes".into(), fault.notes.into_iter().map(Dynamic::from).collect::<Vec<_>>().into());
                Box::new(EvalAltResult::ErrorRuntime(map.into(), Position::NONE))
            }
        }
    }
}

impl From<Box<EvalAltResult>> for Error {
    fn from(error: Box<EvalAltResult>) -> Self {
        match *error {
            EvalAltResult::ErrorTerminated(ref token, _) if stopped(token).is_none() => Self::Interrupted,
            other => Self::Callback(std::rc::Rc::new(other)),
        }
    }
}
