//! A panel on the sheet: its axes, lines, points and their labels; what of it cannot be drawn.

use crate::report::plot::axis::Scale;
use crate::report::plot::label_placement::{Area, Labels, text_width};
use crate::report::plot::marks::{Fill, GREY, dashes, ink, marker};
use crate::report::plot::panel::{Line, Names, Panel, Point};
use crate::report::plot::svg::{FONT, SMALL, number, stroke, text, text_above, wrapped};
use std::collections::HashSet;
use std::fmt::Write;

/// A line that says what bars are.
pub(super) const BAR_ROW: f64 = 15.0;

/// More labels than this are not drawn.
const MOST_LABELS: usize = 300;

/// A line of more points than this has its extremes of every half pixel drawn.
const MOST_POINTS: usize = 4000;

/// A line with more markers than this has some of them drawn.
const MOST_MARKERS: usize = 40;

/// Of more points than this the markers are small.
const MOST_LARGE: usize = 300;

/// So many lines are told apart by dashes and colours; of more, each gets markers here and there.
pub(super) const FEW_LINES: usize = 6;

/// A panel with its place on the sheet: maps data to pixels.
pub(super) struct Frame<'a> {
    panel: &'a Panel,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    names: &'a Names,
}

/// What of a panel cannot be drawn, in a sentence with counts; `None` when all of it can.
pub(super) fn undrawn(panel: &Panel) -> Option<String> {
    let points = panel.points.iter().map(|p| (p.x, p.y));
    let (mut all, mut missing, mut below) = (0_usize, 0_usize, 0_usize);
    for (x, y) in points.chain(panel.lines.iter().flat_map(|line| line.points.iter().copied())) {
        all += 1;
        let beyond = |scale: &Scale, value: f64| scale.log && value <= 0.0;
        if !(Scale::holds(x) && Scale::holds(y)) {
            missing += 1;
        } else if beyond(&panel.x, x) || beyond(&panel.y, y) {
            below += 1;
        }
    }
    let mut told = vec![];
    if missing + below > 0 {
        let reasons = [(missing, "not finite"), (below, "not above 0 on a logarithmic axis")];
        let reasons = reasons.into_iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}"));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        told.push(format!("{} of {all} points are not drawn ({reasons})", missing + below));
    }
    let labels = panel.points.iter().filter(|point| !point.label.is_empty()).count();
    if labels > MOST_LABELS {
        told.push(format!("none of the {labels} labels is drawn (there is room for {MOST_LABELS} at most)"));
    }
    let many = panel.lines.iter().filter(|line| line.marks && line.points.len() > MOST_MARKERS).count();
    if many > 0 {
        told.push(format!("lines of more than {MOST_MARKERS} points have markers at some of them"));
    }
    if all == 0 && panel.rules.iter().all(|rule| !rule.y.is_finite()) {
        told.push("there is nothing to draw".into());
    }
    (!told.is_empty()).then(|| told.join("; "))
}

impl<'a> Frame<'a> {
    pub(super) fn new(
        panel: &'a Panel,
        (left, top): (f64, f64),
        (width, height): (f64, f64),
        names: &'a Names,
    ) -> Self {
        Self { panel, left, top, width, height, names }
    }

    /// The room that the labels of a panel's vertical axis need to its left.
    pub(super) fn margin(panel: &Panel) -> f64 {
        let ticks = panel.y.ticks(8);
        ticks.iter().map(|tick| 22.0 + text_width(&panel.y.label(*tick, &ticks), FONT)).fold(0.0, f64::max)
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.width * self.panel.x.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - self.panel.y.place(value))
    }

    /// Where a point goes; `None` when it cannot be drawn.
    fn place(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let place = (self.x(x), self.y(y));
        (Scale::holds(x) && Scale::holds(y) && place.0.is_finite() && place.1.is_finite()).then_some(place)
    }

    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Draws the panel; tells whether labels cover each other or markers.
    ///
    /// Its title stands above so many `bars`, lines that say what bars are.
    pub(super) fn draw(&self, out: &mut String, bars: usize) -> bool {
        self.head(out, bars);
        self.axes(out);
        let bounds = Area { left: self.left, top: self.top, right: self.right(), bottom: self.bottom() };
        let mut labels = Labels::within(bounds);
        self.lines(out);
        let shown = self.marks(out, &mut labels);
        self.rules(out, &mut labels);
        let empty = shown.is_empty() && self.panel.lines.iter().all(|line| self.pieces(line).is_empty());
        let meant = !self.panel.points.is_empty() || !self.panel.lines.is_empty() || self.panel.rules.is_empty();
        if empty && meant {
            let middle = (self.left + self.width / 2.0, self.top + self.height / 2.0);
            text_above(out, middle, "nothing that can be drawn", &format!("text-anchor=\"middle\" fill=\"{GREY}\""));
        }
        self.points(out, &mut labels, &shown)
    }

    /// The title, and below it what bars are.
    fn head(&self, out: &mut String, bars: usize) {
        let above = |row: usize| self.top - 12.0 - BAR_ROW * (bars - row.min(bars)) as f64;
        text(out, (self.left, above(0)), &self.panel.title, "font-weight=\"600\"");
        for (row, line) in wrapped(&self.panel.bars, SMALL, self.width).iter().enumerate() {
            let style = format!("font-size=\"{SMALL}\" fill=\"{GREY}\"");
            text(out, (self.left, above(row + 1)), line, &style);
        }
    }

    fn axes(&self, out: &mut String) {
        let panel = self.panel;
        let ticks = panel.y.ticks(8);
        for tick in &ticks {
            let y = self.y(*tick);
            stroke(out, (self.left, y), (self.right(), y), "stroke=\"#e8e8e8\"");
            let label = panel.y.label(*tick, &ticks);
            text(out, (self.left - 8.0, y + 4.0), &label, &format!("text-anchor=\"end\" fill=\"{GREY}\""));
        }
        let ticks = panel.x.ticks(7);
        for tick in &ticks {
            let x = self.x(*tick);
            stroke(out, (x, self.bottom()), (x, self.bottom() + 4.0), "stroke=\"#999999\"");
            let label = panel.x.label(*tick, &ticks);
            text(out, (x, self.bottom() + 18.0), &label, &format!("text-anchor=\"middle\" fill=\"{GREY}\""));
        }
        stroke(out, (self.left, self.bottom()), (self.right(), self.bottom()), "stroke=\"#999999\"");
        let middle = self.left + self.width / 2.0;
        text(out, (middle, self.bottom() + 36.0), &panel.x_label, "text-anchor=\"middle\"");
    }

    /// The connected pieces of a line, in pixels.
    fn pieces(&self, line: &Line) -> Vec<Vec<(f64, f64)>> {
        let mut pieces: Vec<Vec<(f64, f64)>> = vec![];
        let mut connected = false;
        for (x, y) in &line.points {
            let Some(place) = self.place(*x, *y) else {
                connected = false;
                continue;
            };
            match pieces.last_mut().filter(|_| connected) {
                Some(piece) => piece.push(place),
                None => pieces.push(vec![place]),
            }
            connected = true;
        }
        pieces.into_iter().map(thinned).collect()
    }

    fn lines(&self, out: &mut String) {
        for line in &self.panel.lines {
            self.band(out, line);
        }
        for line in &self.panel.lines {
            let pieces = self.pieces(line);
            let path = |piece: &Vec<(f64, f64)>| {
                let each = piece.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y)));
                format!("M{}", each.collect::<Vec<_>>().join(" L"))
            };
            let paths: Vec<String> = pieces.iter().filter(|piece| piece.len() > 1).map(path).collect();
            // Markers tell lines apart as well.
            let many = self.panel.lines.len() > FEW_LINES;
            let dashes = if line.marks || many { String::new() } else { dashes(line.look) };
            let (ink, width) = (ink(Some(line.look)), if line.wide { 5.5 } else { 2.0 });
            if !paths.is_empty() {
                let style = format!(
                    "fill=\"none\" stroke=\"{ink}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dashes}"
                );
                let _ = writeln!(out, "<path d=\"{}\" {style}/>", paths.join(" "));
            }
            let flat: Vec<(f64, f64)> = pieces.iter().flatten().copied().collect();
            let marked: Vec<(f64, f64)> = match (line.marks, many) {
                (true, _) => flat.iter().copied().step_by(flat.len().div_ceil(MOST_MARKERS).max(1)).collect(),
                (false, true) => {
                    let every = flat.len().div_ceil(5).max(1);
                    flat.iter().copied().skip(line.look % every).step_by(every).collect()
                }
                // What no line leads to would not be seen.
                (false, false) => pieces.iter().filter(|piece| piece.len() == 1).flatten().copied().collect(),
            };
            let fill = if line.wide { Fill::Hollow } else { Fill::Full };
            marked.into_iter().for_each(|place| marker(out, Some(line.look), fill, place, 1.0));
        }
    }

    /// The band about a line.
    fn band(&self, out: &mut String, line: &Line) {
        let edges = line.points.iter().zip(&line.band).filter_map(|((x, _), (low, high))| {
            let (low, high) = (self.place(*x, *low)?, self.place(*x, *high)?);
            Some((low, high))
        });
        let edges: Vec<((f64, f64), (f64, f64))> = edges.collect();
        if edges.is_empty() {
            return;
        }
        let around = edges.iter().map(|(_, high)| *high).chain(edges.iter().rev().map(|(low, _)| *low));
        let around = around.map(|(x, y)| format!("{},{}", number(x), number(y))).collect::<Vec<_>>().join(" ");
        let ink = ink(Some(line.look));
        let _ = writeln!(out, "<polygon points=\"{around}\" fill=\"{ink}\" fill-opacity=\"0.15\"/>");
    }

    fn rules(&self, out: &mut String, labels: &mut Labels) {
        let rules: Vec<_> = self.panel.rules.iter().filter(|rule| self.y(rule.y).is_finite()).collect();
        for rule in &rules {
            let y = self.y(rule.y);
            let style = format!("stroke=\"{}\" stroke-width=\"1.2\" stroke-dasharray=\"5 4\"", ink(rule.look));
            stroke(out, (self.left, y), (self.right(), y), &style);
            labels.soften(Area { left: self.left, top: y - 1.0, right: self.right(), bottom: y + 1.0 });
        }
        for rule in &rules {
            // Above or below the line, at its right or its left end: wherever the least is covered.
            let (y, width) = (self.y(rule.y), text_width(&rule.label, SMALL));
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
                let style = format!("text-anchor=\"{anchor}\" fill=\"{GREY}\" font-size=\"{SMALL}\"");
                text_above(out, (*x, *base), &rule.label, &style);
            }
        }
    }

    /// Error bars and tails; returns the points that can be shown, with their places.
    fn marks(&self, out: &mut String, labels: &mut Labels) -> Vec<(&'a Point, f64, f64)> {
        let placed = self.panel.points.iter().filter_map(|p| self.place(p.x, p.y).map(|(x, y)| (p, x, y)));
        let shown: Vec<(&Point, f64, f64)> = placed.collect();
        for (point, x, y) in &shown {
            let ink = ink(Some(point.look));
            labels.block(Area::around(*x, *y, 7.0, 7.0));
            if point.tail.is_finite() {
                let end = self.x(point.tail);
                let style = format!("stroke=\"{ink}\" stroke-width=\"1.5\"");
                stroke(out, (*x, *y), (end, *y), &format!("{style} stroke-dasharray=\"1.5 3\""));
                stroke(out, (end, y - 4.0), (end, y + 4.0), &style);
                labels.block(Area { left: x.min(end), top: y - 3.0, right: x.max(end) + 2.0, bottom: y + 3.0 });
            }
            if point.error > 0.0 && point.error.is_finite() {
                let (high, low) =
                    (self.y(point.y + point.error).max(self.top), self.y(point.y - point.error).min(self.bottom()));
                let style = format!("stroke=\"{ink}\" stroke-width=\"1.5\" stroke-opacity=\"0.55\"");
                stroke(out, (*x, high), (*x, low), &style);
                labels.soften(Area { left: x - 2.0, top: high, right: x + 2.0, bottom: low });
            }
        }
        shown
    }

    /// Markers, then labels where there is room for them; tells whether labels cover each other or markers.
    fn points(&self, out: &mut String, labels: &mut Labels, shown: &[(&Point, f64, f64)]) -> bool {
        let mut drawn = HashSet::new();
        let size = if shown.len() > MOST_LARGE { 0.45 } else { 1.0 };
        for (point, x, y) in shown {
            // Of equal markers in one place a single one is seen.
            if drawn.insert((point.look, point.fill as u8, (4.0 * x) as i64, (4.0 * y) as i64)) {
                marker(out, Some(point.look), point.fill, (*x, *y), size);
            }
        }
        let labelled = || shown.iter().filter(|(point, ..)| !point.label.is_empty());
        if labelled().count() > MOST_LABELS {
            return false;
        }
        let mut crowded = false;
        for (point, x, y) in labelled() {
            let name = self.names.get(&point.label).unwrap_or(&point.label);
            let found = labels.place(*x, *y, name, FONT);
            crowded |= found.covered > COVERED;
            if let Some(leader) = found.leader {
                stroke(out, (*x, *y), leader, "stroke=\"#b0b0b0\" stroke-width=\"0.8\"");
            }
            text_above(out, (found.x, found.y), name, &format!("text-anchor=\"{}\"", found.anchor));
        }
        crowded
    }
}

/// What a label may cover of others and of markers, in square pixels: a corner of it.
const COVERED: f64 = 8.0;

/// At most the first, the lowest, the highest and the last of the points of every half pixel, when there are many.
fn thinned(piece: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if piece.len() <= MOST_POINTS {
        return piece;
    }
    let mut kept: Vec<(f64, f64)> = vec![];
    for column in piece.chunk_by(|a, b| (2.0 * a.0) as i64 == (2.0 * b.0) as i64) {
        let mut ends: Vec<usize> = vec![0, column.len() - 1];
        let extreme = |sign: f64| {
            let best = column.iter().enumerate().max_by(|a, b| (sign * a.1.1).total_cmp(&(sign * b.1.1)));
            best.map_or(0, |(at, _)| at)
        };
        ends.extend([extreme(1.0), extreme(-1.0)]);
        ends.sort_unstable();
        ends.dedup();
        kept.extend(ends.into_iter().filter_map(|at| column.get(at)));
    }
    kept
}
