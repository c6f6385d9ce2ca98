//! Pieces of SVG: text, lines, numbers.

use crate::report::plot::label_placement::text_width;
use std::fmt::Write;

/// The size of usual text.
pub(super) const FONT: f64 = 12.0;
/// The size of small text.
pub(super) const SMALL: f64 = 11.0;
/// What keeps text readable where it crosses a line, drawn beneath it: programs that know no `paint-order` would cover the text.
const HALO: &str = "stroke=\"white\" stroke-width=\"3\" stroke-linejoin=\"round\"";

/// A place or a length in pixels.
pub(super) fn number(x: f64) -> String {
    format!("{x:.1}")
}

/// Text as XML has it; control characters have no form there.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().map(|c| if matches!(c, '\n' | '\t' | '\r') { ' ' } else { c }).filter(|c| !c.is_control()) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

/// A piece of text; `extra` are further attributes.
pub(super) fn text(out: &mut String, (x, y): (f64, f64), content: &str, extra: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {extra}>{}</text>", escape(content));
}

/// Text that stays readable on lines.
pub(super) fn text_above(out: &mut String, at: (f64, f64), content: &str, extra: &str) {
    text(out, at, content, &format!("{extra} {HALO}"));
    text(out, at, content, extra);
}

pub(super) fn stroke(out: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>");
}

/// The text, cut where it would be wider than this.
pub(super) fn cut(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.into();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if text_width(&kept, size) > width - 2.0 * size {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

/// The text in lines of at most this width, broken between words.
pub(super) fn wrapped(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}
