//! Charts as SVG: panels side by side, points with labels that keep out of each other's way, lines, one legend.

use crate::report::plot::frame::{BAR_ROW, Frame, undrawn};
use crate::report::plot::label_placement::text_width;
use crate::report::plot::marks::{Fill, GREY, dashes, ink, marker};
use crate::report::plot::panel::{Names, Panel};
use crate::report::plot::svg::{FONT, SMALL, cut, stroke, text, wrapped};

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
const TITLE: f64 = 15.0;
const INK: &str = "#333333";
const LEGEND_ROW: f64 = 20.0;
const NOTE_ROW: f64 = 16.0;
/// Between two entries of the legend.
const KEY_GAP: f64 = 22.0;
/// No picture grows wider for the sake of a text; that is cut.
const WIDEST: f64 = 1600.0;

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
