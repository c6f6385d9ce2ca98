//! `plot`: lines and points from a script, as SVG.

use crate::eval::scores::to_host;
use crate::report::plot::axis::Scale;
use crate::report::plot::frame::FEW_LINES as MANY;
use crate::report::plot::looks::Looks;
use crate::report::plot::marks::Fill;
use crate::report::plot::panel::{Line, Panel, Point, Rule};
use crate::report::plot::svg_chart::{Chart, Key, Sign};
use crate::runtime::options::{as_number, describe};
use crate::runtime::{Error, Options, Result, Run};
use crate::tensor::Tensor;
use rhai::{Array, Dynamic, Map};

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line,
    Scatter,
    /// A dashed line across the picture, at a height that is no data of its own.
    Level,
}

/// One set of points under a name.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    band: Vec<(f64, f64)>,
    /// Texts beside the points; may be empty.
    labels: Vec<String>,
    kind: Kind,
    marks: bool,
    /// Grey without one: the levels among methods.
    look: Option<usize>,
}

/// Numbers from an array or a tensor, or a single number.
fn numbers(key: &str, value: &Dynamic) -> Result<Vec<f64>> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return to_host("plot", &tensor);
    }
    if let Some(number) = as_number(value) {
        return Ok(vec![number]);
    }
    let items = value.clone().try_cast::<Array>();
    let found = items.and_then(|items| items.iter().map(as_number).collect());
    found.ok_or_else(|| Error::new("plot", format!("`{key}` must be numbers, got {}", describe(value))).word(key))
}

/// Texts from an array of anything.
fn texts(key: &str, value: &Dynamic) -> Result<Vec<String>> {
    let items = value.clone().try_cast::<Array>();
    let found = items.map(|items| items.iter().map(ToString::to_string).collect());
    found.ok_or_else(|| Error::new("plot", format!("`{key}` must be an array, got {}", describe(value))).word(key))
}

fn series(index: usize, map: Map) -> Result<Series> {
    let mut o = Options::new("plot", map);
    let mut given =
        |key: &str, otherwise: &str| o.take(key, "numbers", otherwise).map(|value| numbers(key, &value)).transpose();
    let (x, y) = (given("x", "0, 1, ..")?, given("y", "required")?);
    let (low, high) = (given("low", "none")?, given("high", "none")?);
    let name = o.text("name", &format!("series {}", index + 1))?;
    let kind = match o.choice("kind", "line", &["line", "scatter", "level"])?.as_str() {
        "line" => Kind::Line,
        "scatter" => Kind::Scatter,
        _ => Kind::Level,
    };
    let marks = o.flag("marks", false)?;
    let labels =
        o.take("labels", "array, one for each point", "[]").map(|value| texts("labels", &value)).transpose()?;
    o.finish()?;
    let y =
        y.ok_or_else(|| Error::new("plot", "a series needs its values `y`").hint("#{ name: \"loss\", y: losses }"))?;
    let x = x.unwrap_or_else(|| (0..y.len()).map(|i| i as f64).collect());
    let as_many = |key: &str, found: usize| match found == y.len() {
        true => Ok(()),
        false => Err(Error::new("plot", format!("`{key}` has {found} values and `y` has {}", y.len())).word(key)),
    };
    let only = |key: &str, of: &str| Err(Error::new("plot", format!("`{key}` are for {of}")).word(key));
    as_many("x", x.len())?;
    let labels = labels.unwrap_or_default();
    match kind {
        _ if labels.is_empty() => {}
        Kind::Scatter => as_many("labels", labels.len())?,
        _ => return only("labels", "points: kind: \"scatter\""),
    }
    let band: Vec<(f64, f64)> = match (low, high) {
        (None, None) => vec![],
        _ if kind != Kind::Line => return only("low", "the bands of lines"),
        (Some(low), Some(high)) => {
            as_many("low", low.len())?;
            as_many("high", high.len())?;
            low.into_iter().zip(high).collect()
        }
        (Some(_), None) | (None, Some(_)) => {
            return Err(Error::new("plot", "a band needs both `low` and `high`").word("low"));
        }
    };
    if kind == Kind::Level && y.len() != 1 {
        return Err(Error::new("plot", format!("a level has one value `y`, got {}", y.len())).word("y"));
    }
    Ok(Series { name, points: x.into_iter().zip(y).collect(), band, labels, kind, marks, look: Some(index) })
}

/// Reads the options of `plot`.
///
/// # Errors
/// Unknown options, values that are no numbers.
pub fn chart(run: &Run, options: Map) -> Result<Chart> {
    let mut o = Options::new("plot", options);
    let given = o.take("series", "array of maps", "required").and_then(|value| value.try_cast::<Array>());
    let (title, y_label) = (o.text("title", "")?, o.text("y_label", "")?);
    let x_label = o.text("x_label", "")?;
    let (x_log, y_log) = (o.flag("x_log", false)?, o.flag("y_log", false)?);
    let methods = o.flag("methods", false)?;
    let notes = o.take("notes", "array of string", "[]").map(|value| texts("notes", &value)).transpose()?;
    o.finish()?;
    let maps = given.into_iter().flatten().map(|item| item.try_cast::<Map>());
    let maps: Option<Vec<Map>> = maps.collect();
    let Some(maps) = maps.filter(|maps| !maps.is_empty()) else {
        let error = Error::new("plot", "`series` must be an array of maps, and not empty").word("series");
        return Err(error.hint("series: [#{ name: \"loss\", y: [1.0, 0.5, 0.25] }]"));
    };
    let mut all: Vec<Series> = maps.into_iter().enumerate().map(|(i, map)| series(i, map)).collect::<Result<_>>()?;
    if methods {
        let looks = run.slot::<Looks>();
        for series in &mut all {
            series.look = (series.kind != Kind::Level).then(|| looks.of(&series.name));
        }
    }
    let keys = keys(&all);
    let panel = panel(&all, (x_log, y_log), (x_label, y_label));
    Ok(Chart { title, panels: vec![panel], keys, notes: notes.unwrap_or_default() })
}

fn panel(all: &[Series], (x_log, y_log): (bool, bool), (x_label, title): (String, String)) -> Panel {
    let xs = all.iter().filter(|s| s.kind != Kind::Level).flat_map(|s| s.points.iter().map(|p| p.0));
    let bands = || all.iter().flat_map(|s| s.band.iter().flat_map(|(low, high)| [*low, *high]));
    let ys = all.iter().flat_map(|s| s.points.iter().map(|p| p.1)).chain(bands());
    let (x, y) = (Scale::cover(xs, x_log), Scale::cover(ys, y_log));
    let (points, rules, lines) = (vec![], vec![], vec![]);
    let mut panel = Panel { title, bars: String::new(), x_label, x, y, points, rules, lines };
    for (index, series) in all.iter().enumerate() {
        let Series { points, band, .. } = series;
        let look = series.look.unwrap_or(0);
        match series.kind {
            Kind::Line => {
                let (points, band, marks) = (points.clone(), band.clone(), series.marks);
                let wide = all.iter().skip(index + 1).any(|later| equal(series, later));
                panel.lines.push(Line { points, band, look, marks, wide });
            }
            Kind::Level => {
                let level = |y: f64| Rule { y, label: series.name.clone(), look: series.look };
                panel.rules.extend(points.iter().map(|(_, y)| level(*y)));
            }
            Kind::Scatter => panel.points.extend(points.iter().enumerate().map(|(place, (x, y))| Point {
                x: *x,
                y: *y,
                error: f64::NAN,
                tail: f64::NAN,
                label: series.labels.get(place).cloned().unwrap_or_default(),
                look,
                fill: Fill::Full,
            })),
        }
    }
    panel
}

/// Whether two lines cover each other.
fn equal(a: &Series, b: &Series) -> bool {
    let close = |a: f64, b: f64| (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-9 * (a.abs() + b.abs());
    let lines = a.kind == Kind::Line && b.kind == Kind::Line && a.points.len() == b.points.len();
    lines && a.points.iter().zip(&b.points).all(|(a, b)| close(a.0, b.0) && close(a.1, b.1))
}

/// The legend of several series; of lines that cover each other it says so.
fn keys(all: &[Series]) -> Vec<Key> {
    if all.len() < 2 {
        return vec![];
    }
    let many = all.iter().filter(|series| series.kind == Kind::Line).count() > MANY;
    let key = |(index, series): (usize, &Series)| {
        let sign = match series.kind {
            Kind::Line => Sign::Line(series.look.unwrap_or(0), series.marks || many),
            Kind::Scatter => Sign::Marker(series.look, Fill::Full),
            Kind::Level => Sign::Level(series.look),
        };
        let covered = all.iter().take(index).find(|earlier| equal(earlier, series));
        let label = match covered {
            Some(earlier) => format!("{} (on top of {}, equal)", series.name, earlier.name),
            None => series.name.clone(),
        };
        Key { sign, label }
    };
    all.iter().enumerate().map(key).collect()
}

/// What scripts see of plots.
#[rhai::export_module]
pub mod script {
    use crate::report::leaderboard::export;
    use crate::runtime::{Run, Script};
    use rhai::{Map, NativeCallContext};

    /// Draws lines or points and saves the picture; returns the path. The extension of the name says as what, `.svg` or `.png`
    /// (two pixels for each unit); without one it is SVG. A relative name is below the run's output folder (`lethe run --out`),
    /// else below the current folder. Points that cannot be drawn (not finite; not above 0 on a logarithmic axis) are counted in the picture and in a
    /// warning.
    ///
    /// # Signature
    /// plot(name: string, #{ series: [#{ name, x, y, kind, labels, marks, low, high }], title, x_label, y_label, x_log, y_log, methods, notes }) -> string
    ///
    /// # Options
    /// - `series` (array of maps): each `y` (array or tensor), `x` (0, 1, …), `name`, `kind` ("line", "scatter", or "level", a
    ///   dashed line across the picture at one value `y`), `labels` (texts beside the points of a "scatter"), `marks` (a marker at
    ///   every point of a line), `low` and `high` (the edges of a band about a line)
    /// - `title` (string, ""): above the picture
    /// - `x_label` (string, ""): below the horizontal axis
    /// - `y_label` (string, ""): above the vertical axis
    /// - `x_log` (bool, false): logarithmic horizontal axis
    /// - `y_log` (bool, false): logarithmic vertical axis
    /// - `methods` (bool, false): the series are methods: a name looks the same in all such pictures and leaderboards of a run
    /// - `notes` (array of string, []): lines of small letters at the foot
    ///
    /// # Example
    /// ```rhai
    /// let message = "";
    /// try { plot("loss", #{ series: [#{ x: [1], y: [1, 2] }] }); } catch (e) { message = e.message; }
    /// assert(message == "`x` has 1 values and `y` has 2");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn plot(context: NativeCallContext, name: &str, options: Map) -> Script<String> {
        let run = Run::of(&context);
        let chart = super::chart(&run, options)?;
        let path = export::save_picture(&run, "plot", name, &chart.svg())?;
        for problem in chart.problems() {
            run.progress().warn(&format!("plot {name}: {problem}"));
        }
        Ok(path.display().to_string())
    }
}
