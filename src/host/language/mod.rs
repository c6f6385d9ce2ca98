//! Functions of the language itself that Rhai has in another form: sorting, comparisons, texts, growth.

pub mod comparisons;
pub mod growth;
pub mod predicates;
pub mod printing;
pub mod sorting;
pub mod values_text;
