//! What series look like: colours, forms and dashes that tell two dozen of them apart, in black and white as well.

use crate::report::plot::svg::{number, stroke};
use std::f64::consts::{PI, TAU};
use std::fmt::Write;

/// Okabe and Ito's colours and one of Tol's, told apart by people with any common kind of colour vision; dark enough for a white
/// ground.
pub const COLORS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5f5f5f", "#882255"];

/// Dashes of lines. Their number, that of the forms and that of the colours have 24 as their least common multiple.
const DASHES: [&str; 6] = ["", "7 3", "2 3", "9 3 2 3", "14 4", "6 2 2 2 2 2"];

/// How many looks there are; after so many they come again.
pub const LOOKS: usize = 24;

/// Grey, for what is no series.
pub const GREY: &str = "#6b6b6b";

/// The form of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Disc,
    Square,
    Triangle,
    Diamond,
    Plus,
    Down,
    Star,
    Cross,
    Hexagon,
    Left,
    Pentagon,
    Right,
}

const FORMS: [Form; 12] = [
    Form::Disc,
    Form::Square,
    Form::Triangle,
    Form::Diamond,
    Form::Plus,
    Form::Down,
    Form::Star,
    Form::Cross,
    Form::Hexagon,
    Form::Left,
    Form::Pentagon,
    Form::Right,
];

/// How a marker is filled: with its colour, with a pale one, with a paler one that has a line through it, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fill {
    /// With its colour.
    #[default]
    Full,
    /// White.
    Hollow,
    /// With a pale tint of its colour.
    Pale,
    /// White with a bar across.
    Barred,
}

/// The colour of a look; grey without one.
pub fn ink(look: Option<usize>) -> &'static str {
    look.and_then(|look| COLORS.get(look % COLORS.len())).copied().unwrap_or(GREY)
}

/// The dashes of a look's line, as an attribute.
pub fn dashes(look: usize) -> String {
    match DASHES.get(look % DASHES.len()) {
        None | Some(&"") => String::new(),
        Some(dashes) => format!(" stroke-dasharray=\"{dashes}\""),
    }
}

/// The corners of a form about its middle; none for a disc.
fn corners(form: Form) -> Vec<(f64, f64)> {
    let regular = |n: usize, radius: f64, turn: f64| -> Vec<(f64, f64)> {
        let angle = |i: usize| turn - PI / 2.0 + TAU * i as f64 / n as f64;
        (0..n).map(|i| (radius * angle(i).cos(), radius * angle(i).sin())).collect()
    };
    // An arm of half width 2.1, then the notch, four times over.
    let arms = |turn: f64| -> Vec<(f64, f64)> {
        let quarter = [(-2.1, -6.6), (2.1, -6.6), (2.1, -2.1)];
        let turned = |(x, y): (f64, f64), by: f64| (x * by.cos() - y * by.sin(), x * by.sin() + y * by.cos());
        (0..4).flat_map(|i| quarter.map(|corner| turned(corner, turn + TAU * f64::from(i) / 4.0))).collect()
    };
    match form {
        Form::Disc => vec![],
        Form::Square => regular(4, 7.1, PI / 4.0),
        Form::Diamond => regular(4, 7.2, 0.0),
        Form::Triangle => regular(3, 7.4, 0.0),
        Form::Down => regular(3, 7.4, PI),
        Form::Left => regular(3, 7.4, -PI / 2.0),
        Form::Right => regular(3, 7.4, PI / 2.0),
        Form::Pentagon => regular(5, 6.6, 0.0),
        Form::Hexagon => regular(6, 6.6, PI / 6.0),
        Form::Plus => arms(0.0),
        Form::Cross => arms(PI / 4.0),
        Form::Star => {
            let (outer, inner) = (regular(5, 7.6, 0.0), regular(5, 3.4, PI / 5.0));
            outer.into_iter().zip(inner).flat_map(|(a, b)| [a, b]).collect()
        }
    }
}

/// Draws the marker of a look, of this size (1 as a rule); a grey disc without one. The second dozen of looks has a dot in the
/// middle.
pub fn marker(out: &mut String, look: Option<usize>, fill: Fill, (x, y): (f64, f64), size: f64) {
    let (ink, look) = (ink(look), look.unwrap_or(0));
    let form = FORMS.get(look % FORMS.len()).copied().unwrap_or(Form::Disc);
    let style = match fill {
        Fill::Full => format!("fill=\"{ink}\" stroke=\"white\" stroke-width=\"{:.1}\"", 1.2 * size),
        Fill::Hollow | Fill::Barred => format!("fill=\"white\" stroke=\"{ink}\" stroke-width=\"1.8\""),
        Fill::Pale => format!("fill=\"{}\" stroke=\"{ink}\" stroke-width=\"1.8\"", tint(ink)),
    };
    // What has an outline of its own would look larger.
    let scale = if fill == Fill::Full { size } else { 0.88 * size };
    let around = corners(form);
    if around.is_empty() {
        let _ =
            writeln!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {style}/>", number(x), number(y), number(5.5 * scale));
    } else {
        let corner = |(dx, dy): &(f64, f64)| format!("{},{}", number(x + scale * dx), number(y + scale * dy));
        let points = around.iter().map(corner).collect::<Vec<_>>().join(" ");
        let _ = writeln!(out, "<polygon points=\"{points}\" {style}/>");
    }
    if fill == Fill::Barred {
        stroke(out, (x - 5.0, y), (x + 5.0, y), &format!("stroke=\"{ink}\" stroke-width=\"1.8\""));
    }
    if look / FORMS.len() % 2 == 1 {
        let dot = if fill == Fill::Full { "white" } else { ink };
        let _ =
            writeln!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"{:.1}\" fill=\"{dot}\"/>", number(x), number(y), 1.9 * size);
    }
}

/// A pale tint of a colour: a third of it on white.
fn tint(color: &str) -> String {
    let part = |at: usize| color.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(128);
    let pale = |at: usize| 255 - (255 - part(at)) / 3;
    format!("#{:02x}{:02x}{:02x}", pale(1), pale(3), pale(5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn two_dozen_looks_differ_with_and_without_colour() {
        let drawn = |look: usize, colorless: bool| {
            let mut out = String::new();
            marker(&mut out, Some(look), Fill::Full, (0.0, 0.0), 1.0);
            if colorless { out.replace(ink(Some(look)), "black") } else { out }
        };
        assert_eq!((0..LOOKS).map(|look| drawn(look, true)).collect::<HashSet<_>>().len(), LOOKS);
        let plain = |look: usize| drawn(look, false).lines().next().unwrap_or_default().to_string();
        assert_eq!((0..LOOKS).map(plain).collect::<HashSet<_>>().len(), LOOKS, "colour and form alone will do");
        let lines = (0..LOOKS).map(|look| (ink(Some(look)), dashes(look)));
        assert_eq!(lines.collect::<HashSet<_>>().len(), LOOKS);
    }

    #[test]
    fn fills_differ() {
        let drawn = |fill: Fill| {
            let mut out = String::new();
            marker(&mut out, Some(1), fill, (0.0, 0.0), 1.0);
            out
        };
        let all = [Fill::Full, Fill::Hollow, Fill::Pale, Fill::Barred].map(drawn);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4);
        assert_eq!(tint("#000000"), "#aaaaaa");
    }
}
