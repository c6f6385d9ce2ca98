//! Tensors and the language's own values: numbers, nested arrays, texts, assertions.

pub mod checks;
pub mod format;
pub mod lists;
pub mod nested;
pub mod numbers;
