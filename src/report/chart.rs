//! Charts as SVG: panels side by side, points with labels that keep out of each other's way, lines, one legend.

use super::labels::{Area, Labels, text_width};
use super::scale::Scale;
use std::fmt::Write;

/// Okabe and Ito's colours, told apart by people with any common kind of colour vision; dark enough for a white ground.
pub const COLORS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5f5f5f"];

/// The form of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// A disc.
    Disc,
    /// A square on its corner.
    Diamond,
    /// A triangle.
    Triangle,
    /// A square.
    Square,
}

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
    /// Index into `COLORS`.
    pub color: usize,
    /// Its form.
    pub marker: Marker,
}

/// A dashed line across the panel.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its height.
    pub y: f64,
    /// Its text, at the right end.
    pub label: String,
}

/// A line through points, in order; gaps where a value is not finite.
#[derive(Debug, Clone)]
pub struct Line {
    /// The points.
    pub points: Vec<(f64, f64)>,
    /// Index into `COLORS`.
    pub color: usize,
}

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows, above it.
    pub title: String,
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

/// What an entry of the legend shows.
#[derive(Debug, Clone)]
pub struct Key {
    /// A marker, or a line without one.
    pub marker: Option<Marker>,
    /// Index into `COLORS`; `None` is grey.
    pub color: Option<usize>,
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
}

const PANEL_WIDTH: f64 = 400.0;
const PANEL_HEIGHT: f64 = 280.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 48.0;
const FONT: f64 = 12.0;
const INK: &str = "#333333";
const PALE: &str = "#6b6b6b";
/// What keeps text readable where it crosses a line, drawn beneath it: programs that know no `paint-order` would cover the text.
const HALO: &str = "stroke=\"white\" stroke-width=\"3\" stroke-linejoin=\"round\"";
const LEGEND_ROW: f64 = 20.0;

fn color(index: usize) -> &'static str {
    COLORS.get(index % COLORS.len()).copied().unwrap_or(INK)
}

/// The form of a series' marker: colours come again after the last, forms do not as soon.
pub fn form(index: usize) -> Marker {
    let forms = [Marker::Disc, Marker::Diamond, Marker::Triangle, Marker::Square];
    forms.get(index / COLORS.len() % forms.len()).copied().unwrap_or(Marker::Disc)
}

/// The same for lines.
fn dashes(index: usize) -> &'static str {
    match index / COLORS.len() {
        0 => "",
        1 => " stroke-dasharray=\"7 3\"",
        _ => " stroke-dasharray=\"2 3\"",
    }
}

/// Text as XML has it; control characters have no form there.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
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
fn text(out: &mut String, x: f64, y: f64, content: &str, extra: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {extra}>{}</text>", escape(content));
}

/// Text that stays readable on lines.
fn text_above(out: &mut String, x: f64, y: f64, content: &str, extra: &str) {
    text(out, x, y, content, &format!("{extra} {HALO}"));
    text(out, x, y, content, extra);
}

fn stroke(out: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>");
}

fn marker(out: &mut String, form: Marker, x: f64, y: f64, fill: &str) {
    let points = |corners: &[(f64, f64)]| {
        corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect::<Vec<_>>().join(" ")
    };
    let style = format!("fill=\"{fill}\" stroke=\"white\" stroke-width=\"1.2\"");
    let shape = match form {
        Marker::Disc => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5.5\" {style}/>"),
        Marker::Diamond => {
            format!("<polygon points=\"{}\" {style}/>", points(&[(0.0, -7.0), (7.0, 0.0), (0.0, 7.0), (-7.0, 0.0)]))
        }
        Marker::Triangle => {
            format!("<polygon points=\"{}\" {style}/>", points(&[(0.0, -6.5), (6.5, 5.0), (-6.5, 5.0)]))
        }
        Marker::Square => {
            format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" {style}/>", x - 5.0, y - 5.0)
        }
    };
    let _ = writeln!(out, "{shape}");
}

/// A panel on the sheet: maps data to places.
struct Frame<'a> {
    panel: &'a Panel,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Frame<'_> {
    fn x(&self, value: f64) -> f64 {
        self.left + self.width * self.panel.x.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - self.panel.y.place(value))
    }

    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn draw(&self, out: &mut String) {
        self.axes(out);
        let bounds = Area { left: self.left, top: self.top, right: self.right(), bottom: self.bottom() };
        let mut labels = Labels::within(bounds);
        self.lines(out);
        let shown = self.marks(out, &mut labels);
        self.rules(out, &mut labels);
        self.points(out, &mut labels, &shown);
    }

    fn axes(&self, out: &mut String) {
        let panel = self.panel;
        text(out, self.left, self.top - 12.0, &panel.title, "font-weight=\"600\"");
        let ticks = panel.y.ticks(8);
        for tick in &ticks {
            let y = self.y(*tick);
            stroke(out, (self.left, y), (self.right(), y), "stroke=\"#e8e8e8\"");
            let label = panel.y.label(*tick, &ticks);
            text(out, self.left - 8.0, y + 4.0, &label, &format!("text-anchor=\"end\" fill=\"{PALE}\""));
        }
        let ticks = panel.x.ticks(7);
        for tick in &ticks {
            let x = self.x(*tick);
            stroke(out, (x, self.bottom()), (x, self.bottom() + 4.0), "stroke=\"#999999\"");
            let label = panel.x.label(*tick, &ticks);
            text(out, x, self.bottom() + 18.0, &label, &format!("text-anchor=\"middle\" fill=\"{PALE}\""));
        }
        stroke(out, (self.left, self.bottom()), (self.right(), self.bottom()), "stroke=\"#999999\"");
        let middle = self.left + self.width / 2.0;
        text(out, middle, self.bottom() + 36.0, &panel.x_label, "text-anchor=\"middle\"");
    }

    fn lines(&self, out: &mut String) {
        for line in &self.panel.lines {
            let mut path = String::new();
            let mut drawing = false;
            for (x, y) in &line.points {
                let (x, y) = (self.x(*x), self.y(*y));
                if !(x.is_finite() && y.is_finite()) {
                    drawing = false;
                    continue;
                }
                let _ = write!(path, "{}{x:.1},{y:.1} ", if drawing { "L" } else { "M" });
                drawing = true;
            }
            let (ink, dashes) = (color(line.color), dashes(line.color));
            let style = format!("fill=\"none\" stroke=\"{ink}\" stroke-width=\"2\" stroke-linejoin=\"round\"{dashes}");
            let _ = writeln!(out, "<path d=\"{}\" {style}/>", path.trim_end());
        }
    }

    fn rules(&self, out: &mut String, labels: &mut Labels) {
        for rule in self.panel.rules.iter().filter(|rule| rule.y.is_finite()) {
            let y = self.y(rule.y);
            stroke(out, (self.left, y), (self.right(), y), "stroke=\"#8a8a8a\" stroke-dasharray=\"5 4\"");
            labels.soften(Area { left: self.left, top: y - 1.0, right: self.right(), bottom: y + 1.0 });
        }
        for rule in self.panel.rules.iter().filter(|rule| rule.y.is_finite()) {
            // Above or below the line, at its right or its left end: wherever the least is covered.
            let (y, width) = (self.y(rule.y), text_width(&rule.label, 11.0));
            let ends =
                [(self.right() - 3.0, "end", self.right() - 3.0 - width), (self.left + 3.0, "start", self.left + 3.0)];
            let spots: Vec<_> = ends.into_iter().flat_map(|end| [(end, y - 5.0), (end, y + 13.0)]).collect();
            let area = |((_, _, left), base): &((f64, &str, f64), f64)| Area {
                left: *left,
                top: base - 10.0,
                right: left + width,
                bottom: base + 2.0,
            };
            let areas: Vec<Area> = spots.iter().map(area).collect();
            if let Some(((x, anchor, _), base)) = spots.get(labels.choose(&areas)) {
                let style = format!("text-anchor=\"{anchor}\" fill=\"{PALE}\" font-size=\"11\"");
                text_above(out, *x, *base, &rule.label, &style);
            }
        }
    }

    /// Error bars and tails; returns the points that can be shown, with their places.
    fn marks(&self, out: &mut String, labels: &mut Labels) -> Vec<(&Point, f64, f64)> {
        let shown: Vec<(&Point, f64, f64)> = self.panel.points.iter().map(|p| (p, self.x(p.x), self.y(p.y))).collect();
        let shown: Vec<_> = shown.into_iter().filter(|(_, x, y)| x.is_finite() && y.is_finite()).collect();
        for (point, x, y) in &shown {
            labels.block(Area::around(*x, *y, 7.0, 7.0));
            if point.tail.is_finite() {
                let end = self.x(point.tail);
                let style =
                    format!("stroke=\"{}\" stroke-width=\"1.5\" stroke-dasharray=\"1.5 3\"", color(point.color));
                stroke(out, (*x, *y), (end, *y), &style);
                stroke(
                    out,
                    (end, y - 4.0),
                    (end, y + 4.0),
                    &format!("stroke=\"{}\" stroke-width=\"1.5\"", color(point.color)),
                );
                labels.block(Area { left: x.min(end), top: y - 3.0, right: x.max(end) + 2.0, bottom: y + 3.0 });
            }
            if point.error > 0.0 {
                let (high, low) =
                    (self.y(point.y + point.error).max(self.top), self.y(point.y - point.error).min(self.bottom()));
                let style = format!("stroke=\"{}\" stroke-width=\"1.5\" stroke-opacity=\"0.55\"", color(point.color));
                stroke(out, (*x, high), (*x, low), &style);
                labels.soften(Area { left: x - 2.0, top: high, right: x + 2.0, bottom: low });
            }
        }
        shown
    }

    fn points(&self, out: &mut String, labels: &mut Labels, shown: &[(&Point, f64, f64)]) {
        for (point, x, y) in shown {
            marker(out, point.marker, *x, *y, color(point.color));
        }
        for (point, x, y) in shown.iter().filter(|(point, ..)| !point.label.is_empty()) {
            let found = labels.place(*x, *y, &point.label, FONT);
            if let Some(leader) = found.leader {
                stroke(out, (*x, *y), leader, "stroke=\"#b0b0b0\" stroke-width=\"0.8\"");
            }
            text_above(out, found.x, found.y, &point.label, &format!("text-anchor=\"{}\"", found.anchor));
        }
    }
}

impl Chart {
    /// The picture.
    pub fn svg(&self) -> String {
        let cell = LEFT + PANEL_WIDTH + RIGHT;
        let heading = if self.title.is_empty() { 8.0 } else { 34.0 };
        let width = cell * self.panels.len().max(1) as f64;
        let rows = self.legend_rows(width - LEFT - RIGHT);
        let legend = if rows.is_empty() { 0.0 } else { 6.0 + LEGEND_ROW * rows.len() as f64 };
        let height = heading + TOP + PANEL_HEIGHT + BOTTOM + legend;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" font-size=\"{FONT}\" fill=\"{INK}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
        );
        if !self.title.is_empty() {
            text(&mut out, 16.0, 24.0, &self.title, "font-size=\"15\" font-weight=\"600\"");
        }
        for (index, panel) in self.panels.iter().enumerate() {
            let (left, top) = (cell * index as f64 + LEFT, heading + TOP);
            Frame { panel, left, top, width: PANEL_WIDTH, height: PANEL_HEIGHT }.draw(&mut out);
        }
        for (index, row) in rows.iter().enumerate() {
            legend_row(&mut out, row, height - 14.0 - LEGEND_ROW * (rows.len() - 1 - index) as f64);
        }
        out.push_str("</svg>\n");
        out
    }

    /// The legend's entries in rows of at most this width.
    fn legend_rows(&self, width: f64) -> Vec<&[Key]> {
        let (mut rows, mut first, mut filled) = (vec![], 0, 0.0);
        for (index, key) in self.keys.iter().enumerate() {
            if index > first && filled + key.width() > width {
                rows.extend(self.keys.get(first..index));
                (first, filled) = (index, 0.0);
            }
            filled += key.width() + KEY_GAP;
        }
        rows.extend(self.keys.get(first..).filter(|rest| !rest.is_empty()));
        rows
    }
}

/// Between two entries of the legend.
const KEY_GAP: f64 = 22.0;

impl Key {
    /// Where its text starts.
    fn indent(&self) -> f64 {
        if self.marker.is_some() { 16.0 } else { 24.0 }
    }

    fn width(&self) -> f64 {
        self.indent() + text_width(&self.label, FONT)
    }
}

fn legend_row(out: &mut String, keys: &[Key], y: f64) {
    let mut x = LEFT;
    for key in keys {
        let ink = key.color.map_or(PALE, color);
        match (key.marker, key.color) {
            (Some(form), _) => marker(out, form, x + 6.0, y - 4.0, ink),
            (None, Some(index)) => {
                let style = format!("stroke=\"{ink}\" stroke-width=\"2\"{}", dashes(index));
                stroke(out, (x, y - 4.0), (x + 18.0, y - 4.0), &style);
            }
            (None, None) => {
                let style = format!("stroke=\"{ink}\" stroke-width=\"1.5\" stroke-dasharray=\"1.5 3\"");
                stroke(out, (x, y - 4.0), (x + 18.0, y - 4.0), &style);
                stroke(out, (x + 18.0, y - 8.0), (x + 18.0, y), &format!("stroke=\"{ink}\" stroke-width=\"1.5\""));
            }
        }
        text(out, x + key.indent(), y, &key.label, "");
        x += key.width() + KEY_GAP;
    }
}
