//! The catalog as people read it: on the terminal, and as the manual `stdlib/REFERENCE.md`.

use crate::host::docs::catalog::Catalog;
use crate::host::docs::entry::{Entry, Kind};
use crate::host::rooms::ROOMS;
use std::fmt::Write;

/// Widest line of running text on the terminal.
const WIDTH: usize = 100;

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours when `on`.
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn key(self, text: &str) -> String {
        self.with("36", text)
    }
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Construct => "construct",
            Self::Function => "function",
            Self::Method => "method",
            Self::Property => "property",
            Self::Operator => "operator",
        }
    }
}

/// Breaks a text into lines of at most `WIDTH`, indented; lines that end in the text stay lines.
fn wrap(text: &str, indent: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let hanging = if line.starts_with("- ") { "  " } else { "" };
        let mut width = 0;
        for word in line.split(' ') {
            let length = word.chars().count();
            if width == 0 {
                let _ = write!(out, "{indent}{word}");
                width = indent.len() + length;
            } else if width + 1 + length > WIDTH {
                let _ = write!(out, "\n{indent}{hanging}{word}");
                width = indent.len() + hanging.len() + length;
            } else {
                let _ = write!(out, " {word}");
                width += 1 + length;
            }
        }
        out.push('\n');
    }
    out
}

/// Where an entry is from, and how else it may be called.
fn origin(entry: &Entry) -> String {
    let (kind, module) = (entry.kind.word(), &entry.module);
    match entry.kind {
        Kind::Property => format!("{kind} of {}, from {module}", entry.of),
        Kind::Function | Kind::Method if !entry.of.is_empty() => {
            format!("{kind} of {module}; `value.{}(..)` is the same for a value of type {}", entry.name, entry.of)
        }
        _ => format!("{kind} of {module}"),
    }
}

/// One entry for the terminal: signature, summary, text, options, errors, example.
pub fn terminal(entry: &Entry, paint: Paint) -> String {
    let mut out = String::new();
    for signature in &entry.signatures {
        let _ = writeln!(out, "{}", paint.strong(signature));
    }
    let doc = &entry.doc;
    out.push_str(&wrap(&doc.summary, "  "));
    if !doc.text.is_empty() {
        let _ = write!(out, "\n{}", wrap(&doc.text, "  "));
    }
    if !doc.options.is_empty() {
        let _ = writeln!(out, "\n  {}", paint.faint("options"));
        let longest = doc.options.iter().map(|option| option.name.chars().count()).max().unwrap_or(0).min(16);
        for option in &doc.options {
            let gap = " ".repeat(longest.saturating_sub(option.name.chars().count()));
            let detail = if option.detail.is_empty() { String::new() } else { format!(" ({})", option.detail) };
            let text = wrap(&format!("{}{detail}", option.text), &" ".repeat(longest + 6));
            let _ = write!(out, "    {}{gap}  {}", paint.key(&option.name), text.trim_start());
        }
    }
    if !doc.errors.is_empty() {
        let _ = write!(out, "\n  {}\n{}", paint.faint("errors"), wrap(&doc.errors, "    "));
    }
    if !doc.example.is_empty() {
        let _ = writeln!(out, "\n  {}", paint.faint("example"));
        doc.example.lines().for_each(|line| out.push_str(&format!("    {line}\n")));
    }
    let _ = writeln!(out, "\n  {}", paint.faint(&origin(entry)));
    out
}

/// The sections of the manual: name, one line about it, entries.
fn sections(catalog: &Catalog) -> Vec<(String, String, Vec<&Entry>)> {
    let mut names = vec![("language".to_string(), "syntax that Lethe adds to Rhai".to_string())];
    names.extend(ROOMS.iter().map(|room| (room.name.to_string(), room.about.to_string())));
    for entry in catalog.entries() {
        let folder = section_of(entry);
        if !names.iter().any(|(name, _)| *name == folder) {
            names.push((folder, "scripts of the embedded library".into()));
        }
    }
    let all = names.into_iter().map(|(name, about)| {
        let entries = catalog.entries().iter().filter(|entry| section_of(entry) == name).collect();
        (name, about, entries)
    });
    all.filter(|(_, _, entries): &(String, String, Vec<&Entry>)| !entries.is_empty()).collect()
}

/// The section an entry stands in: its room, or the folder of its script.
fn section_of(entry: &Entry) -> String {
    match entry.module.rsplit_once('/') {
        Some((folder, _)) => folder.into(),
        None => entry.module.clone(),
    }
}

/// How an entry is called in lists: `item`, `Tensor.shape`, and `Net.copy` where other types have a `copy`, too.
fn title(entry: &Entry, among: &[&Entry]) -> String {
    let called = |other: &Entry| matches!(other.kind, Kind::Method | Kind::Function);
    let shared = || among.iter().any(|other| called(other) && other.name == entry.name && other.of != entry.of);
    match entry.kind {
        Kind::Property => format!("{}.{}", entry.of, entry.name),
        Kind::Method | Kind::Function if !entry.of.is_empty() && shared() => format!("{}.{}", entry.of, entry.name),
        _ => entry.name.clone(),
    }
}

/// Every entry with its summary, a section for each room.
pub fn overview(catalog: &Catalog, paint: Paint) -> String {
    let mut out = String::new();
    for (name, about, entries) in sections(catalog) {
        let _ = writeln!(out, "{} {}", paint.strong(&name), paint.faint(&format!("· {about}")));
        let longest = entries.iter().map(|entry| title(entry, &entries).chars().count()).max().unwrap_or(0).min(28);
        for entry in &entries {
            let title = title(entry, &entries);
            let gap = " ".repeat(longest.saturating_sub(title.chars().count()));
            let room = WIDTH.saturating_sub(longest.max(title.chars().count()) + 4);
            let _ = writeln!(out, "  {}{gap}  {}", paint.key(&title), shorten(&entry.doc.summary, room));
        }
        out.push('\n');
    }
    out.push_str("lethe doc NAME tells more; lethe doc --markdown prints the whole manual.\n");
    out
}

/// A text cut at a word, with an ellipsis.
fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    let cut: String = text.chars().take(width.saturating_sub(2)).collect();
    format!("{} …", cut.rsplit_once(' ').map_or(cut.as_str(), |(start, _)| start))
}

/// The manual.
pub fn markdown(catalog: &Catalog) -> String {
    let mut out = String::from(
        "# Reference\n\nEverything callable, generated from the doc comments by `lethe doc --markdown`; `lethe doc NAME` shows one \
         entry.\nShapes stand in brackets behind `Tensor`; options are given as a map, `#{ name: value }`. Functions whose first \
         argument\nis a value of some type can also be called as its methods.\n\n",
    );
    let sections = sections(catalog);
    for (name, about, entries) in &sections {
        let _ = writeln!(out, "- [{name}](#{}): {about} ({})", anchor(name), entries.len());
    }
    for (name, about, entries) in &sections {
        let _ = write!(out, "\n## {name}\n\n{}.\n", capital(about));
        for entry in entries {
            out.push_str(&markdown_entry(entry, &title(entry, entries)));
        }
    }
    out
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

fn anchor(name: &str) -> String {
    name.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

fn markdown_entry(entry: &Entry, title: &str) -> String {
    let doc = &entry.doc;
    let mut out = format!("\n### `{title}`\n\n```text\n{}\n```\n\n{}\n", entry.signatures.join("\n"), doc.summary);
    if !doc.text.is_empty() {
        let _ = write!(out, "\n{}\n", doc.text);
    }
    if !doc.options.is_empty() {
        out.push('\n');
        for option in &doc.options {
            let detail = if option.detail.is_empty() { String::new() } else { format!(" ({})", option.detail) };
            let _ = writeln!(out, "- `{}`{detail}: {}", option.name, option.text);
        }
    }
    if !doc.errors.is_empty() {
        let _ = write!(out, "\nErrors: {}\n", doc.errors);
    }
    if !doc.example.is_empty() {
        let _ = write!(out, "\n```rhai\n{}\n```\n", doc.example);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_at_words_and_lists_hang() {
        let long = "word ".repeat(40);
        assert!(wrap(long.trim(), "  ").lines().all(|line| line.len() <= WIDTH && line.starts_with("  word")));
        let list = wrap(&format!("- {}", long.trim()), "");
        assert!(list.lines().nth(1).is_some_and(|line| line.starts_with("  word")));
    }

    #[test]
    fn summaries_are_cut_at_words() {
        assert_eq!(shorten("one two three", 20), "one two three");
        assert_eq!(shorten("one two three", 9), "one …");
    }
}
