//! The leaderboard's picture: accuracy and attack against seconds.

use super::chart::{Chart, Key, Marker, Panel, Point, Rule};
use super::entry::Entry;
use super::leaderboard::View;
use super::scale::Scale;

/// Seconds spread over more than this factor are drawn on a logarithmic axis.
const WIDE: f64 = 6.0;

/// Test accuracy and the attack's AUC of every entry, against its seconds of unlearning.
pub fn of(view: &View) -> Chart {
    let entries: Vec<&Entry> = view.entries.iter().filter(|e| view.figure(e, "seconds.unlearn").mean > 0.0).collect();
    let accuracy = |name: &str| (100.0 * view.original(name).mean, 100.0 * view.retrained(name));
    let (before, _) = accuracy("test_accuracy");
    let points = |name: &str, factor: f64, errors: bool| -> Vec<Point> {
        entries.iter().map(|entry| point(view, entry, name, factor, errors)).collect()
    };
    let rule = |y: f64, label: &str| Rule { y, label: label.into() };
    let utility = panel("Test accuracy, %", points("test_accuracy", 100.0, false), vec![rule(before, "original")], 1.0);
    let mut rules = vec![rule(view.original("mia_auc").mean, "original")];
    let retrained = view.retrained("mia_auc");
    // Without a retrained network the ideal is unknown; one half only means that this attack finds nothing.
    rules.push(if retrained.is_nan() { rule(0.5, "no signal") } else { rule(retrained, "retrained") });
    let privacy = panel("Membership attack, AUC ± standard error", points("mia_auc", 1.0, true), rules, 0.05);
    Chart { title: view.title.clone(), panels: vec![utility, privacy], keys: legend(view, &entries) }
}

fn panel(title: &str, points: Vec<Point>, rules: Vec<Rule>, least: f64) -> Panel {
    let xs: Vec<f64> = points.iter().flat_map(|p| [p.x, p.tail]).filter(|x| *x > 0.0).collect();
    let (low, high) = xs.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), x| (a.min(*x), b.max(*x)));
    let log = high > WIDE * low;
    let mut x = Scale::cover(xs.iter().copied(), log);
    if !log {
        x.low = 0.0;
    }
    let ends = points.iter().flat_map(|p| if p.error > 0.0 { [p.y - p.error, p.y + p.error] } else { [p.y, p.y] });
    let ys: Vec<f64> = ends.chain(rules.iter().map(|rule| rule.y)).collect();
    let y = Scale::cover(ys.into_iter(), false).at_least(least);
    let x_label = if log { "seconds of unlearning (logarithmic)" } else { "seconds of unlearning" };
    Panel { title: title.into(), x_label: x_label.into(), x, y, points, rules, lines: vec![] }
}

fn point(view: &View, entry: &Entry, name: &str, factor: f64, errors: bool) -> Point {
    let figure = view.figure(entry, name);
    let seconds = view.figure(entry, "seconds.unlearn").mean;
    let single = if errors { view.figure(entry, "mia_auc_se").mean } else { f64::NAN };
    let error = if figure.spread.is_nan() { single } else { figure.spread };
    let kind = view.first(entry).map_or("full", |row| row.kind()).to_string();
    let label = if kind == "full" { entry.name.clone() } else { format!("{} · {kind}", entry.name) };
    Point {
        x: seconds,
        y: factor * figure.mean,
        error: factor * error,
        tail: seconds + view.figure(entry, "preparation").mean,
        label,
        color: color(view, entry),
        marker: marker(view, &kind),
    }
}

/// One colour a method, whatever retain set it ran on.
fn color(view: &View, entry: &Entry) -> usize {
    let name = |entry: &Entry| entry.name.clone();
    let mut names: Vec<String> = vec![];
    for other in &view.entries {
        if !names.contains(&name(other)) {
            names.push(name(other));
        }
    }
    names.iter().position(|other| *other == entry.name).unwrap_or(0)
}

/// The reduced retain sets of the board, in order.
fn kinds(view: &View) -> Vec<String> {
    let mut kinds: Vec<String> = vec![];
    for kind in view.rows.iter().map(|row| row.kind().to_string()).filter(|kind| kind != "full") {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

fn marker(view: &View, kind: &str) -> Marker {
    match kinds(view).iter().position(|known| known == kind) {
        None => Marker::Disc,
        Some(0) => Marker::Diamond,
        Some(1) => Marker::Triangle,
        Some(_) => Marker::Square,
    }
}

fn legend(view: &View, entries: &[&Entry]) -> Vec<Key> {
    let kinds = kinds(view);
    if kinds.is_empty() {
        return vec![];
    }
    let key = |marker: Option<Marker>, label: String| Key { marker, color: None, label };
    let mut keys = vec![key(Some(Marker::Disc), "whole retain set".into())];
    for form in [Marker::Diamond, Marker::Triangle, Marker::Square] {
        let same: Vec<&str> = kinds.iter().filter(|kind| marker(view, kind) == form).map(String::as_str).collect();
        if !same.is_empty() {
            keys.push(key(Some(form), format!("reduced by {}", same.join(", "))));
        }
    }
    if entries.iter().any(|entry| view.figure(entry, "preparation").mean > 0.0) {
        keys.push(key(None, "clustering and condensing included".into()));
    }
    keys
}
