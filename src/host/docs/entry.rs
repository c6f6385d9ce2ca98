//! A word of the language, as the manual has it.

use crate::host::docs::doc_comment::Doc;
use serde::Serialize;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A type of values.
    Type,
    /// A part of the language's syntax.
    Construct,
    /// Called as `f(x)`.
    Function,
    /// Called as `x.f()`, or as `f(x)`.
    Method,
    /// Read as `x.p`.
    Property,
    /// Written between or before its operands.
    Operator,
}

/// One word of the language.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The name, without type and namespace.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The type of its first argument when that is one of ours: then `x.f()` means `f(x)`. Empty otherwise.
    pub of: String,
    /// The room or the file of the embedded library it comes from.
    pub module: String,
    /// The documented signatures, else those of the registered functions.
    pub signatures: Vec<String>,
    /// What the doc comment says.
    #[serde(flatten)]
    pub doc: Doc,
}
