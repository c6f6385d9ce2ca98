//! Charts as SVG: panels side by side, points with labels that keep out of each other's way, lines, one legend.

use super::frame::{Frame, undrawn};
use super::labels::text_width;
use super::marks::{Fill, GREY, dashes, ink, marker};
use super::scale::Scale;
use std::collections::HashMap;
use std::fmt::Write;

/// A point with its label.
#[derive(Debug, Clone)]
pub struct Point {
    /// Where it lies.
    pub x: f64,
    /// Where it lies.
    pub y: f64,
    /// Half the length of a vertical error bar; NaN for none.
    pub error: f64,
    /// A thin line runs from the point to this x; NaN for none.
    pub tail: f64,
    /// Its text; may be empty.
    pub label: String,
    /// Its look, see `marks`.
    pub look: usize,
    /// How its marker is filled.
    pub fill: Fill,
}

/// A dashed line across the panel: a level, no data.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its height.
    pub y: f64,
    /// Its text, at one end.
    pub label: String,
    /// The look of what it belongs to; grey without one.
    pub look: Option<usize>,
}

/// A line through points, in order; gaps where a value cannot be drawn.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// The points.
    pub points: Vec<(f64, f64)>,
    /// The lower and the upper edge of a band about the line at each point; may be empty.
    pub band: Vec<(f64, f64)>,
    /// Its look, see `marks`.
    pub look: usize,
    /// A marker at every point.
    pub marks: bool,
    /// Drawn wide, so that it shows beneath an equal one.
    pub wide: bool,
}

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows, above it.
    pub title: String,
    /// What its bars are, in small letters below the title; may be empty.
    pub bars: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// The horizontal axis.
    pub x: Scale,
    /// The vertical axis.
    pub y: Scale,
    /// The points.
    pub points: Vec<Point>,
    /// The dashed lines.
    pub rules: Vec<Rule>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// What stands before the text of a legend's entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sign {
    /// A marker; a grey one without a look.
    Marker(Option<usize>, Fill),
    /// A line, with or without markers.
    Line(usize, bool),
    /// The dotted tail of a point.
    Tail,
    /// A level.
    Level(Option<usize>),
}

/// An entry of the legend.
#[derive(Debug, Clone)]
pub struct Key {
    /// What stands before it.
    pub sign: Sign,
    /// Its meaning.
    pub label: String,
}

/// A picture.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// Panels from left to right.
    pub panels: Vec<Panel>,
    /// The legend.
    pub keys: Vec<Key>,
    /// What is not in the picture and why, in small letters at its foot.
    pub notes: Vec<String>,
}

const PANEL_WIDTH: f64 = 400.0;
const PANEL_HEIGHT: f64 = 280.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 48.0;
/// Above panels without titles.
const UNTITLED: f64 = 14.0;
/// A line that says what bars are.
pub(super) const BAR_ROW: f64 = 15.0;
pub(super) const FONT: f64 = 12.0;
pub(super) const SMALL: f64 = 11.0;
const TITLE: f64 = 15.0;
const INK: &str = "#333333";
/// What keeps text readable where it crosses a line, drawn beneath it: programs that know no `paint-order` would cover the text.
const HALO: &str = "stroke=\"white\" stroke-width=\"3\" stroke-linejoin=\"round\"";
const LEGEND_ROW: f64 = 20.0;
const NOTE_ROW: f64 = 16.0;
/// Between two entries of the legend.
const KEY_GAP: f64 = 22.0;
/// No picture grows wider for the sake of a text; that is cut.
const WIDEST: f64 = 1600.0;

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
fn cut(text: &str, size: f64, width: f64) -> String {
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

/// What a label reads in the picture: itself, or the number under which the legend has it.
pub(super) type Names = HashMap<String, String>;

impl Chart {
    /// The picture. Where labels find no room beside their points, numbers stand there, and the names in the legend.
    pub fn svg(&self) -> String {
        let (drawn, crowded) = self.sheet(&Names::new(), &self.keys);
        if !crowded {
            return drawn;
        }
        let mut names = Names::new();
        let mut keys = vec![];
        for point in self.panels.iter().flat_map(|panel| &panel.points).filter(|point| !point.label.is_empty()) {
            if !names.contains_key(&point.label) {
                let name = (names.len() + 1).to_string();
                let sign = Sign::Marker(Some(point.look), point.fill);
                keys.push(Key { sign, label: format!("{name}  {}", point.label) });
                names.insert(point.label.clone(), name);
            }
        }
        keys.extend(self.keys.iter().cloned());
        self.sheet(&names, &keys).0
    }

    /// What cannot be drawn, a sentence for each panel that has something of the kind.
    pub fn problems(&self) -> Vec<String> {
        let mut found: Vec<String> = vec![];
        for panel in &self.panels {
            let Some(line) = undrawn(panel) else { continue };
            let titled = self.panels.len() > 1 && !panel.title.is_empty();
            found.push(if titled { format!("{}: {line}", panel.title) } else { line });
        }
        found
    }

    /// The picture with these names and this legend, and whether labels cover each other.
    fn sheet(&self, names: &Names, keys: &[Key]) -> (String, bool) {
        let left = self.panels.iter().map(Frame::margin).fold(LEFT, f64::max);
        let cell = left + PANEL_WIDTH + RIGHT;
        let notes: Vec<String> = self.notes.iter().cloned().chain(self.problems()).collect();
        let widest = keys.iter().map(|key| left + RIGHT + key.width());
        let widest = widest.chain(notes.iter().map(|note| 32.0 + text_width(note, SMALL)));
        let widest = widest.chain([32.0 + text_width(&self.title, TITLE)]).fold(0.0, f64::max);
        let width = (cell * self.panels.len().max(1) as f64).max(widest.min(WIDEST)).ceil();
        let heading = if self.title.is_empty() { 8.0 } else { 34.0 };
        // All panels have as many lines below their titles, so that the titles stand in a row.
        let bars = self.panels.iter().map(|panel| wrapped(&panel.bars, SMALL, PANEL_WIDTH).len()).max().unwrap_or(0);
        let titled = self.panels.iter().any(|panel| !panel.title.is_empty());
        let top = if titled { TOP + BAR_ROW * bars as f64 } else { UNTITLED };
        let rows = legend_rows(keys, width - left - RIGHT);
        let legend = if rows.is_empty() { 0.0 } else { 6.0 + LEGEND_ROW * rows.len() as f64 };
        let foot = if notes.is_empty() { 0.0 } else { 6.0 + NOTE_ROW * notes.len() as f64 };
        let height = heading + top + PANEL_HEIGHT + BOTTOM + legend + foot;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" font-size=\"{FONT}\" fill=\"{INK}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
        );
        if !self.title.is_empty() {
            let style = format!("font-size=\"{TITLE}\" font-weight=\"600\"");
            text(&mut out, (16.0, 24.0), &cut(&self.title, TITLE, WIDEST - 32.0), &style);
        }
        let mut crowded = false;
        for (index, panel) in self.panels.iter().enumerate() {
            let place = (cell * index as f64 + left, heading + top);
            crowded |= Frame::new(panel, place, (PANEL_WIDTH, PANEL_HEIGHT), names).draw(&mut out, bars);
        }
        for (index, row) in rows.iter().enumerate() {
            let y = height - foot - 14.0 - LEGEND_ROW * (rows.len() - 1 - index) as f64;
            legend_row(&mut out, row, (left, y));
        }
        for (index, note) in notes.iter().enumerate() {
            let y = height - 10.0 - NOTE_ROW * (notes.len() - 1 - index) as f64;
            let note = cut(note, SMALL, WIDEST - 32.0);
            text(&mut out, (16.0, y), &note, &format!("font-size=\"{SMALL}\" fill=\"{GREY}\""));
        }
        out.push_str("</svg>\n");
        (out, crowded)
    }
}

/// The legend's entries in rows of at most this width.
fn legend_rows(keys: &[Key], width: f64) -> Vec<&[Key]> {
    let (mut rows, mut first, mut filled) = (vec![], 0, 0.0);
    for (index, key) in keys.iter().enumerate() {
        if index > first && filled + key.width() > width {
            rows.extend(keys.get(first..index));
            (first, filled) = (index, 0.0);
        }
        filled += key.width() + KEY_GAP;
    }
    rows.extend(keys.get(first..).filter(|rest| !rest.is_empty()));
    rows
}

impl Key {
    /// Where its text starts.
    fn indent(&self) -> f64 {
        match self.sign {
            Sign::Marker(..) => 16.0,
            Sign::Tail => 24.0,
            Sign::Line(..) | Sign::Level(_) => 34.0,
        }
    }

    fn width(&self) -> f64 {
        self.indent() + text_width(&self.label, FONT)
    }
}

fn legend_row(out: &mut String, keys: &[Key], (mut x, y): (f64, f64)) {
    for key in keys {
        let line = y - 4.0;
        match key.sign {
            Sign::Marker(look, fill) => marker(out, look, fill, (x + 6.0, line), 1.0),
            Sign::Line(look, marks) => {
                let dashes = if marks { String::new() } else { dashes(look) };
                let style = format!("stroke=\"{}\" stroke-width=\"2\"{dashes}", ink(Some(look)));
                stroke(out, (x, line), (x + 28.0, line), &style);
                if marks {
                    marker(out, Some(look), Fill::Full, (x + 14.0, line), 1.0);
                }
            }
            Sign::Tail => {
                let style = format!("stroke=\"{GREY}\" stroke-width=\"1.5\"");
                stroke(out, (x, line), (x + 18.0, line), &format!("{style} stroke-dasharray=\"1.5 3\""));
                stroke(out, (x + 18.0, y - 8.0), (x + 18.0, y), &style);
            }
            Sign::Level(look) => {
                let style = format!("stroke=\"{}\" stroke-width=\"1.2\" stroke-dasharray=\"5 4\"", ink(look));
                stroke(out, (x, line), (x + 28.0, line), &style);
            }
        }
        text(out, (x + key.indent(), y), &cut(&key.label, FONT, WIDEST - 100.0), "");
        x += key.width() + KEY_GAP;
    }
}
