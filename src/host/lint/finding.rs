//! A finding of a check, before it is known which place of which script it is at.

use super::known::Arities;
use crate::host::diagnostics::diagnostic::{Diagnostic, Severity, Sources};
use crate::host::diagnostics::engine_errors;
use crate::host::docs::catalog::Catalog;
use crate::runtime::Error;
use crate::runtime::options::nearest;
use rhai::{ParseErrorType, Position};
use std::collections::{HashMap, HashSet};

/// A finding before it is put into words with the catalog's help.
pub struct Raw {
    /// The index of the script among those read.
    pub file: usize,
    pub position: Position,
    pub severity: Severity,
    pub message: String,
    pub hint: String,
    /// A word that may be a slip, and names it could have meant besides those of the catalog.
    pub slip: Option<(String, Vec<String>)>,
    /// A function whose signatures help.
    pub forms: Option<String>,
    /// Facts, such as signatures and what keeps them from taking the arguments.
    pub notes: Vec<String>,
    /// A word behind the position that is to be underlined.
    pub word: Option<String>,
    /// What the parser said.
    pub syntax: Option<ParseErrorType>,
}

impl Raw {
    /// An error.
    pub fn error(file: usize, position: Position, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            file,
            position,
            severity: Severity::Error,
            message,
            hint: String::new(),
            slip: None,
            forms: None,
            notes: vec![],
            word: None,
            syntax: None,
        }
    }

    /// A piece of advice.
    pub fn warning(file: usize, position: Position, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, position, message) }
    }

    /// A finding in the words that a run would have for it.
    pub fn fault(file: usize, position: Position, error: &Error) -> Self {
        let Error::Fault(fault) = error else { return Self::error(file, position, error.to_string()) };
        let word = Some(fault.word.clone()).filter(|word| !word.is_empty());
        Self { word, notes: fault.notes.clone(), ..Self::error(file, position, error.to_string()).hint(&fault.hint) }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The finding as people read it.
    pub fn explain(self, sources: &Sources, source: &str, catalog: &Catalog) -> Diagnostic {
        let mut hint = self.hint;
        if let Some((word, near)) = self.slip {
            let found = slip(&word, &near).unwrap_or_else(|| engine_errors::nearest(&word, catalog));
            hint = if found.is_empty() { hint } else { found };
        }
        let forms = self.forms.iter().flat_map(|name| catalog.find(name)).flat_map(|entry| entry.signatures.clone());
        let place = match &self.syntax {
            Some(kind) => sources.syntax(source, self.position, kind),
            None => sources.place(source, self.position),
        };
        Diagnostic {
            severity: self.severity,
            message: self.message,
            place: match self.word {
                Some(word) => place.map(|place| sources.seek(&place, &word).unwrap_or(place)),
                None => place,
            },
            notes: forms.map(|form| format!("exists: {form}")).chain(self.notes).collect(),
            hint,
            ..Diagnostic::default()
        }
    }
}

/// `did you mean ..?` for a word that is nearly one of these.
fn slip(word: &str, names: &[String]) -> Option<String> {
    // Two letters resemble any two others.
    let near = nearest(word, names.iter().map(String::as_str)).filter(|_| word.chars().count() > 2)?;
    let distance = strsim::damerau_levenshtein(word, near);
    (distance == 1 || word.chars().count() > 4).then(|| format!("did you mean `{near}`?"))
}

/// What another script can reach of a module.
#[derive(Default, Clone)]
pub struct Exports {
    pub functions: Arities,
    pub variables: HashSet<String>,
}

/// What an `import .. as alias` stands for; `None` when that cannot be known.
pub type Aliases = HashMap<String, Option<Exports>>;
