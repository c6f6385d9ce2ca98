//! The leaderboard's picture: accuracy and attack against seconds, and of requests for classes the accuracy on those.

use crate::report::leaderboard::entry::Entry;
use crate::report::leaderboard::spread::{Shown, words};
use crate::report::leaderboard::view::View;
use crate::report::plot::axis::Scale;
use crate::report::plot::marks::Fill;
use crate::report::plot::panel::{Panel, Point, Rule};
use crate::report::plot::svg_chart::{Chart, Key, Sign};
use crate::report::runs::row::Row;

/// Seconds spread over more than this factor are drawn on a logarithmic axis.
const WIDE: f64 = 6.0;

/// A figure against seconds.
struct Subject {
    title: String,
    figure: &'static str,
    factor: f64,
    /// The least span of the vertical axis.
    least: f64,
    /// What the figure cannot exceed.
    most: f64,
}

/// Test accuracy and the attack's AUC of every entry, and the accuracy on forgotten classes, against its seconds of unlearning.
pub fn of(view: &View) -> Chart {
    let subject =
        |title: &str, figure, factor, least, most| Subject { title: title.into(), figure, factor, least, most };
    let mut subjects = vec![subject("Test accuracy, %", "test_accuracy", 100.0, 1.0, 100.0)];
    if let Some(what) = forgotten(view) {
        let title = format!("Accuracy on {what}, %");
        subjects.push(subject(&title, "forget_accuracy", 100.0, 1.0, 100.0));
        if let Some(first) = subjects.first_mut() {
            first.title = "Test accuracy on the other classes, %".into();
        }
    }
    subjects.push(subject("Membership attack, AUC", "mia_auc", 1.0, 0.05, 1.0));
    let has_place = |entry: &&Entry| {
        view.first(entry).is_some_and(Row::is_complete) && view.figure(entry, "seconds.unlearn").mean > 0.0
    };
    let (timed, left_out): (Vec<&Entry>, Vec<&Entry>) = view.entries.iter().partition(has_place);
    let panels = subjects.iter().map(|subject| panel(view, &timed, subject)).collect();
    let notes = left_out.into_iter().map(|entry| format!("not drawn: {} ({})", label(view, entry), why(view, entry)));
    Chart { title: view.title.clone(), panels, keys: legend(view, &timed), notes: notes.collect() }
}

/// What requests for classes forget, as a title says it; `None` when no row has such a request.
fn forgotten(view: &View) -> Option<String> {
    let mut requests: Vec<Vec<i64>> = view.rows.iter().map(Row::classes).collect();
    requests.sort();
    requests.dedup();
    let samples = requests.iter().any(Vec::is_empty);
    let classes: Vec<&Vec<i64>> = requests.iter().filter(|classes| !classes.is_empty()).collect();
    match classes.as_slice() {
        [] => None,
        // Of a board with both kinds of requests the title holds for all.
        _ if samples => Some("the forgotten samples".into()),
        [one] => match one.as_slice() {
            [class] => Some(format!("the forgotten class {class}")),
            several if several.len() <= 6 => {
                let all = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                Some(format!("the forgotten classes {all}"))
            }
            several => Some(format!("the {} forgotten classes", several.len())),
        },
        _ => Some("the forgotten classes".into()),
    }
}

/// Why an entry has no place on an axis of seconds.
fn why(view: &View, entry: &Entry) -> String {
    match view.first(entry) {
        Some(row) if !row.is_complete() => row.text("status").into(),
        _ => "no seconds of unlearning".into(),
    }
}

fn panel(view: &View, entries: &[&Entry], subject: &Subject) -> Panel {
    let shown: Vec<Shown> = entries.iter().map(|entry| view.shown(entry, subject.figure)).collect();
    let points: Vec<Point> =
        entries.iter().zip(&shown).map(|(entry, shown)| point(view, entry, shown, subject.factor)).collect();
    let rules = rules(view, subject);
    let xs: Vec<f64> = points.iter().flat_map(|p| [p.x, p.tail]).filter(|x| *x > 0.0).collect();
    let (low, high) = xs.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), x| (a.min(*x), b.max(*x)));
    let log = high > WIDE * low;
    let mut x = Scale::cover(xs.iter().copied(), log);
    if !log {
        x.low = 0.0;
    }
    let ends = points.iter().flat_map(|p| if p.error > 0.0 { [p.y - p.error, p.y + p.error] } else { [p.y, p.y] });
    let ys: Vec<f64> = ends.chain(rules.iter().map(|rule| rule.y)).collect();
    let y = Scale::cover(ys.into_iter(), false).at_least(subject.least).up_to(subject.most);
    let x_label = if log { "seconds of unlearning (logarithmic)" } else { "seconds of unlearning" };
    let bars = words(&shown);
    let bars = if bars.is_empty() { bars } else { format!("bars: {bars}") };
    Panel { title: subject.title.clone(), bars, x_label: x_label.into(), x, y, points, rules, lines: vec![] }
}

/// The levels of the networks before unlearning, and for attacks of the retrained ones.
fn rules(view: &View, subject: &Subject) -> Vec<Rule> {
    let rule = |y: f64, label: &str| Rule { y: subject.factor * y, label: label.into(), look: None };
    let before = view.before_by_subject();
    let before = before.iter().map(|(name, group)| rule(view.shown_before(group, subject.figure).mean, name));
    let mut rules: Vec<Rule> = before.collect();
    match (subject.figure, view.retrained(subject.figure)) {
        // Without a retrained network the ideal is unknown; one half only means that this attack finds nothing.
        ("mia_auc", retrained) if retrained.is_nan() => rules.push(rule(0.5, "no signal")),
        ("test_accuracy", _) => {}
        (_, retrained) => rules.push(rule(retrained, "retrained")),
    }
    rules
}

fn point(view: &View, entry: &Entry, shown: &Shown, factor: f64) -> Point {
    let seconds = view.figure(entry, "seconds.unlearn").mean;
    let kind = view.first(entry).map_or("full", |row| row.kind()).to_string();
    Point {
        x: seconds,
        y: factor * shown.mean,
        error: factor * shown.half,
        tail: seconds + view.figure(entry, "preparation").mean,
        label: label(view, entry),
        look: entry.look,
        fill: fill(view, &kind),
    }
}

/// `acf`, `acf · blend`; of a retain set that bears the entry's own name that alone.
fn label(view: &View, entry: &Entry) -> String {
    let kind = view.first(entry).map_or("full", Row::kind);
    if kind == "full" || kind == entry.name { entry.name.clone() } else { format!("{} · {kind}", entry.name) }
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

/// One filling for a kind of retain set, whatever the method.
fn fill(view: &View, kind: &str) -> Fill {
    match kinds(view).iter().position(|known| known == kind) {
        None => Fill::Full,
        Some(0) => Fill::Hollow,
        Some(1) => Fill::Pale,
        Some(_) => Fill::Barred,
    }
}

fn legend(view: &View, entries: &[&Entry]) -> Vec<Key> {
    let kinds = kinds(view);
    if kinds.is_empty() {
        return vec![];
    }
    let key = |sign: Sign, label: String| Key { sign, label };
    let mut keys = vec![key(Sign::Marker(None, Fill::Full), "whole retain set".into())];
    for form in [Fill::Hollow, Fill::Pale, Fill::Barred] {
        let same: Vec<&str> = kinds.iter().filter(|kind| fill(view, kind) == form).map(String::as_str).collect();
        if !same.is_empty() {
            keys.push(key(Sign::Marker(None, form), format!("reduced by {}", same.join(", "))));
        }
    }
    if entries.iter().any(|entry| view.figure(entry, "preparation").mean > 0.0) {
        keys.push(key(Sign::Tail, "clustering and condensing included".into()));
    }
    keys
}
