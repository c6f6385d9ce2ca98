//! The manual: doc comments of everything callable, read once.

pub mod catalog;
pub mod construct_docs;
pub mod doc_comment;
pub mod entry;
pub mod manual;
