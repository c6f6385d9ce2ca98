//! What a panel of a chart shows: points, lines and levels between two axes.

use crate::report::plot::axis::Scale;
use crate::report::plot::marks::Fill;
use std::collections::HashMap;

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

/// What a label reads in the picture: itself, or the number under which the legend has it.
pub(super) type Names = HashMap<String, String>;
