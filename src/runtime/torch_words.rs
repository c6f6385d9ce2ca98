//! What torch says when it fails, in words for people: no C++ expressions, files or frames.

use super::budget;
use super::error::{Error, Result};

/// Names the operation of a failed torch call.
pub trait At<T> {
    /// Turns torch's error into ours: what it says, in our words where we have some, and the operation's name.
    fn at(self, operation: &str) -> Result<T>;

    /// The same with the shapes of the tensors involved.
    fn on(self, operation: &str, tensors: &[&tch::Tensor]) -> Result<T>;
}

impl<T> At<T> for std::result::Result<T, tch::TchError> {
    fn at(self, operation: &str) -> Result<T> {
        self.map_err(|problem| error(operation, &problem))
    }

    fn on(self, operation: &str, tensors: &[&tch::Tensor]) -> Result<T> {
        self.map_err(|problem| {
            let shapes: Vec<_> = tensors.iter().map(|t| format!("{:?}", t.size())).collect();
            error(operation, &problem).note(format!("shapes: {}", shapes.join(", ")))
        })
    }
}

/// The error of an operation that torch refused.
pub fn error(operation: &str, error: &tch::TchError) -> Error {
    let text = error.to_string();
    let text = text.strip_prefix("Internal torch error: ").unwrap_or(&text);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("torch failed without a message");
    let line = line.split(" (function ").next().unwrap_or(line).trim_end_matches('.');
    translated(operation, line).unwrap_or_else(|| Error::new(operation, plain(line)))
}

/// Torch's habitual messages in ours.
fn translated(operation: &str, line: &str) -> Option<Error> {
    const SMALLER: &str = "smaller tensors, batches or networks take less";
    if let Some(bytes) = behind(line, "you tried to allocate ").and_then(number) {
        let message = format!("there is no memory for a tensor of {}", budget::size(bytes));
        return Some(Error::new(operation, message).hint(SMALLER));
    }
    if let Some(rest) = behind(line, "out of memory. Tried to allocate ") {
        let amount = rest.split(". ").next().unwrap_or(rest);
        let message = format!("the memory of the GPU has no room for another {amount}");
        return Some(Error::new(operation, message).hint(SMALLER));
    }
    if let Some(sizes) = behind(line, "Storage size calculation overflowed with sizes=") {
        let sizes = sizes.split(']').next().unwrap_or(sizes);
        return Some(Error::new(operation, format!("a tensor of shape {sizes}] is larger than any memory")));
    }
    if let Some(rest) = behind(line, "Expected all tensors to be on the same device") {
        let devices: Vec<_> =
            rest.split([' ', ',', '!']).filter(|word| *word == "cpu" || word.starts_with("cuda:")).collect();
        let message = match devices.as_slice() {
            [] => "the tensors are on different devices".to_string(),
            found => format!("the tensors are on different devices: {}", found.join(" and ")),
        };
        return Some(Error::new(operation, message).hint("move one with .to(\"cpu\") or .to(other.device)"));
    }
    None
}

/// A line without what only readers of torch's sources understand.
fn plain(line: &str) -> String {
    let Some(rest) = line.strip_prefix("[enforce fail at ") else { return line.to_string() };
    // [enforce fail at FILE:LINE] CONDITION. MESSAGE
    let behind_place = rest.split_once("] ").map_or(rest, |(_, rest)| rest);
    behind_place.split_once(". ").map_or(behind_place, |(_, message)| message).to_string()
}

fn behind<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    line.split_once(words).map(|(_, rest)| rest)
}

fn number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        error("zeros", &tch::TchError::Torch(text.into())).to_string()
    }

    #[test]
    fn torch_speaks_as_we_do() {
        let no_memory = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: \
                         you tried to allocate 3600000000000 bytes. Error code 12 (Cannot allocate memory)\nframe #0";
        assert_eq!(words(no_memory), "zeros: there is no memory for a tensor of 3352.8 GiB");
        let gpu = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79 GiB";
        assert_eq!(words(gpu), "zeros: the memory of the GPU has no room for another 20.00 GiB");
        let devices = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!";
        assert_eq!(words(devices), "zeros: the tensors are on different devices: cuda:0 and cpu");
        assert_eq!(words("[enforce fail at x.cpp:3] a == b. What it means"), "zeros: What it means");
        assert_eq!(words("index 7 is out of range."), "zeros: index 7 is out of range");
    }
}
