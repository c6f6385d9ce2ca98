//! `plot`: lines and points from a script, as SVG.

use super::chart::{Chart, Key, Line, Panel, Point, form};
use super::scale::Scale;
use crate::eval::scores::to_host;
use crate::runtime::options::{as_number, describe};
use crate::runtime::{Error, Options, Result};
use crate::tensor::Tensor;
use rhai::{Array, Dynamic, Map};

/// One set of points under a name.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    /// Texts beside the points; may be empty.
    labels: Vec<String>,
    lines: bool,
}

/// Numbers from an array or a tensor.
fn numbers(key: &str, value: &Dynamic) -> Result<Vec<f64>> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return to_host("plot", &tensor);
    }
    let items = value.clone().try_cast::<Array>();
    let found = items.and_then(|items| items.iter().map(as_number).collect());
    found.ok_or_else(|| Error::new("plot", format!("`{key}` must be numbers, got {}", describe(value))).word(key))
}

/// Texts from an array of anything.
fn texts(value: &Dynamic) -> Result<Vec<String>> {
    let items = value.clone().try_cast::<Array>();
    let found = items.map(|items| items.iter().map(ToString::to_string).collect());
    found
        .ok_or_else(|| Error::new("plot", format!("`labels` must be an array, got {}", describe(value))).word("labels"))
}

fn series(index: usize, map: Map) -> Result<Series> {
    let mut o = Options::new("plot", map);
    let x = o.take("x", "numbers", "0, 1, ..").map(|value| numbers("x", &value)).transpose()?;
    let y = o.take("y", "numbers", "required").map(|value| numbers("y", &value)).transpose()?;
    let name = o.text("name", &format!("series {}", index + 1))?;
    let lines = o.choice("kind", "line", &["line", "scatter"])? == "line";
    let labels = o.take("labels", "array, one for each point", "[]").map(|value| texts(&value)).transpose()?;
    o.finish()?;
    let y =
        y.ok_or_else(|| Error::new("plot", "a series needs its values `y`").hint("#{ name: \"loss\", y: losses }"))?;
    let x = x.unwrap_or_else(|| (0..y.len()).map(|i| i as f64).collect());
    if x.len() != y.len() {
        return Err(Error::new("plot", format!("`x` has {} values and `y` has {}", x.len(), y.len())).word("x"));
    }
    let labels = labels.unwrap_or_default();
    if !labels.is_empty() && (lines || labels.len() != y.len()) {
        let message = if lines {
            "`labels` are for points: kind: \"scatter\"".into()
        } else {
            format!("`labels` has {} values and `y` has {}", labels.len(), y.len())
        };
        return Err(Error::new("plot", message).word("labels"));
    }
    Ok(Series { name, points: x.into_iter().zip(y).collect(), labels, lines })
}

/// Reads the options of `plot`.
///
/// # Errors
/// Unknown options, values that are no numbers.
pub fn chart(options: Map) -> Result<Chart> {
    let mut o = Options::new("plot", options);
    let given = o.take("series", "array of maps", "required").and_then(|value| value.try_cast::<Array>());
    let (title, y_label) = (o.text("title", "")?, o.text("y_label", "")?);
    let x_label = o.text("x_label", "")?;
    let (x_log, y_log) = (o.flag("x_log", false)?, o.flag("y_log", false)?);
    o.finish()?;
    let maps = given.into_iter().flatten().map(|item| item.try_cast::<Map>());
    let maps: Option<Vec<Map>> = maps.collect();
    let Some(maps) = maps.filter(|maps| !maps.is_empty()) else {
        let error = Error::new("plot", "`series` must be an array of maps, and not empty").word("series");
        return Err(error.hint("series: [#{ name: \"loss\", y: [1.0, 0.5, 0.25] }]"));
    };
    let all: Vec<Series> = maps.into_iter().enumerate().map(|(i, map)| series(i, map)).collect::<Result<_>>()?;
    let flat = || all.iter().flat_map(|s| s.points.iter());
    let mut panel = Panel {
        title: y_label,
        x_label,
        x: Scale::cover(flat().map(|p| p.0), x_log),
        y: Scale::cover(flat().map(|p| p.1), y_log),
        points: vec![],
        rules: vec![],
        lines: vec![],
    };
    for (color, series) in all.iter().enumerate() {
        if series.lines {
            panel.lines.push(Line { points: series.points.clone(), color });
        } else {
            panel.points.extend(series.points.iter().enumerate().map(|(place, (x, y))| Point {
                x: *x,
                y: *y,
                error: f64::NAN,
                tail: f64::NAN,
                label: series.labels.get(place).cloned().unwrap_or_default(),
                color,
                marker: form(color),
            }));
        }
    }
    let key = |(color, s): (usize, &Series)| Key {
        marker: (!s.lines).then_some(form(color)),
        color: Some(color),
        label: s.name.clone(),
    };
    let keys = if all.len() > 1 { all.iter().enumerate().map(key).collect() } else { vec![] };
    Ok(Chart { title, panels: vec![panel], keys })
}

/// What scripts see of plots.
#[rhai::export_module]
pub mod script {
    use crate::report::export;
    use crate::runtime::{Run, Script};
    use rhai::{Map, NativeCallContext};

    /// Draws lines or points and saves them as `name.svg` in the run folder (a name that is a path is taken as one); returns
    /// the path.
    ///
    /// # Signature
    /// plot(name: string, #{ series: [#{ name, x, y, kind, labels }], title, x_label, y_label, x_log, y_log }) -> string
    ///
    /// # Options
    /// - `series` (array of maps): each `y` (array or tensor), `x` (0, 1, …), `name`, `kind` ("line" or "scatter"),
    ///   `labels` (texts beside the points of a "scatter")
    /// - `title` (string, ""): above the picture
    /// - `x_label` (string, ""): below the horizontal axis
    /// - `y_label` (string, ""): above the vertical axis
    /// - `x_log` (bool, false): logarithmic horizontal axis
    /// - `y_log` (bool, false): logarithmic vertical axis
    ///
    /// # Example
    /// ```rhai
    /// let message = "";
    /// try { plot("loss", #{ series: [#{ x: [1], y: [1, 2] }] }); } catch (e) { message = e.message; }
    /// assert(message == "`x` has 1 values and `y` has 2");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn plot(context: NativeCallContext, name: &str, options: Map) -> Script<String> {
        let picture = super::chart(options)?.svg();
        let path = export::save_text(&Run::of(&context), name, "svg", &picture)?;
        Ok(path.display().to_string())
    }
}
