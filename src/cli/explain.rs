//! `lethe explain`: what the code of an error means, with a wrong and a right example.

use super::{Ending, ExplainOptions, start};
use crate::host::diagnostics::codes;
use crate::host::diagnostics::codes::{CODES, Code};
use crate::runtime::{Error, output};

/// Explains one code, or lists all.
pub fn explain(options: &ExplainOptions) -> Ending {
    let Some(name) = &options.code else {
        let lines = CODES.iter().map(|code| format!("{}  {}\n", code.code, code.title));
        output::write(&lines.collect::<String>());
        return Ending::Success;
    };
    match codes::find(name) {
        Some(code) => {
            output::write(&told(code));
            Ending::Success
        }
        None => {
            let near = codes::near(name);
            let error = Error::new("", format!("there is no code {name:?}"));
            start::complain(&if near.is_empty() {
                error.hint("`lethe explain` lists all codes")
            } else {
                error.hint(format!("did you mean {}? `lethe explain` lists all codes", near.join(" or ")))
            })
        }
    }
}

/// What there is to say about a code.
fn told(code: &Code) -> String {
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let (head, text) = (format!("{}: {}", code.code, code.title), wrapped(code.text));
    format!("{head}\n\n{text}\n\nWrong:\n{}\nRight:\n{}", indented(code.wrong), indented(code.right))
}

/// A text in lines of at most 100 letters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines.join("\n")
}
