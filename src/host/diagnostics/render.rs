//! Diagnostics as people read them: the source line with a caret, facts, calls, advice.

use crate::host::diagnostics::codes;
use crate::host::diagnostics::diagnostic::{Diagnostic, Place, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

impl Diagnostic {
    /// The text people read, in colour or not.
    pub fn render(&self, colored: bool) -> String {
        let renderer = if colored { Renderer::styled() } else { Renderer::plain() };
        if self.interrupted {
            return self.interruption();
        }
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&self.message);
        let title = match codes::of(&self.message) {
            Some(code) => title.id(code.code),
            None => title,
        };
        // A short correction stands behind the caret, longer advice below.
        let beside =
            self.place.as_ref().is_some_and(|place| !place.text.is_empty()) && self.hint.starts_with("did you mean");
        let mut group = match &self.place {
            Some(place) if place.text.is_empty() => {
                title.element(Origin::path(place.source.as_str()).line(place.line).char_column(place.column))
            }
            Some(place) => title.element(snippet(place, beside.then_some(self.hint.as_str()))),
            None => Group::with_title(title),
        };
        for note in &self.notes {
            group = group.element(Level::NOTE.no_name().message(note));
        }
        for frame in &self.frames {
            let mut text = format!("in {}", frame.function);
            if let Some(place) = &frame.place {
                text += &format!(", called at {place}: {}", place.text.trim());
            }
            group = group.element(Level::NOTE.no_name().message(text));
        }
        if !beside && !self.hint.is_empty() {
            group = group.element(Level::HELP.message(&self.hint));
        }
        renderer.render(&[group])
    }

    fn interruption(&self) -> String {
        match &self.place {
            Some(place) => format!("interrupted at {place}"),
            None => "interrupted".into(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

/// The line of a place, underlined there.
fn snippet<'a>(place: &'a Place, label: Option<&'a str>) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let byte =
        |characters: usize| place.text.char_indices().nth(characters).map_or(place.text.len(), |(index, _)| index);
    let start = place.column.saturating_sub(1);
    let span = byte(start)..byte(start + place.length.max(1));
    let annotation = AnnotationKind::Primary.span(span).label(label);
    Snippet::source(place.text.as_str()).line_start(place.line).path(place.source.as_str()).annotation(annotation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, column: usize, length: usize) -> Place {
        Place { source: "a.rhai".into(), line: 7, column, length, text: text.into() }
    }

    #[test]
    fn a_correction_stands_behind_the_caret_and_facts_below() {
        let found = Diagnostic {
            message: "unknown option `widht`".into(),
            place: Some(place("let é = f(#{ widht: 1 });", 14, 5)),
            notes: vec!["options: width (int, 128)".into()],
            hint: "did you mean `width`?".into(),
            ..Diagnostic::default()
        };
        let expected = "\
error[E0201]: unknown option `widht`
 --> a.rhai:7:14
  |
7 | let é = f(#{ widht: 1 });
  |              ^^^^^ did you mean `width`?
  |
  = options: width (int, 128)";
        assert_eq!(found.render(false), expected);
    }

    #[test]
    fn a_place_beyond_the_text_is_no_panic() {
        let found = Diagnostic { message: "m".into(), place: Some(place("ab", 9, 4)), ..Diagnostic::default() };
        assert!(found.render(false).contains("a.rhai"));
        let found = Diagnostic { place: Some(place("", 2, 4)), hint: "did you mean it?".into(), ..found };
        assert_eq!(found.render(false), "error: m\n--> a.rhai:7:2\n = help: did you mean it?");
    }
}
