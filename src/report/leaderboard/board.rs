//! The leaderboard: the original network, every result added to it, and what they say beside each other.

use crate::eval::Metrics;
use crate::eval::retrained::gaps::gaps;
use crate::eval::warnings::{warnings, weak_original};
use crate::report::leaderboard::entry::{Derived, Entry, Figure, break_even, group, reference, references};
use crate::report::leaderboard::originals::Original;
use crate::report::leaderboard::seed_statistics::Statistic;
use crate::report::leaderboard::view::{DERIVED, View};
use crate::report::leaderboard::{about, originals, pairwise_metrics};
use crate::report::plot::looks::Looks;
use crate::report::runs::kinship::is_again;
use crate::report::runs::row::Row;
use crate::runtime::options::nearest;
use crate::runtime::{Error, Result, Run};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// A shared handle to a leaderboard.
#[derive(Clone)]
pub struct Leaderboard(Rc<Inner>);

struct Inner {
    run: Run,
    title: String,
    originals: RefCell<Vec<Original>>,
    rows: RefCell<Vec<Row>>,
    columns: RefCell<Option<Vec<String>>>,
    against: RefCell<Option<String>>,
}

impl Leaderboard {
    /// An empty board.
    pub fn new(run: &Run, title: impl Into<String>) -> Self {
        let (originals, rows, columns, against) = Default::default();
        Self(Rc::new(Inner { run: run.clone(), title: title.into(), originals, rows, columns, against }))
    }

    /// The run it belongs to.
    pub fn run(&self) -> &Run {
        &self.0.run
    }

    /// Adds the network before unlearning, as evaluated on a split.
    pub fn add_original(&self, split_id: &str, predictions: &str, metrics: Metrics) {
        let (split_id, predictions) = (split_id.into(), predictions.into());
        self.0.originals.borrow_mut().push(Original { split_id, predictions, metrics });
    }

    /// Adds the original of a row, when the board has none for it.
    pub fn add_missing_original(&self, row: &Value, split_id: &str, predictions: &str, metrics: &Metrics) {
        let row = Row::new(row.clone());
        if !self.0.originals.borrow().iter().any(|original| original.is_of(&row)) {
            self.add_original(split_id, predictions, metrics.clone());
        }
    }

    /// Adds a recorded row. A row that is there already is replaced, so that a result can be added again after `record`.
    pub fn add(&self, row: Value) {
        let row = Row::new(row);
        let mut rows = self.0.rows.borrow_mut();
        match rows.iter_mut().find(|known| is_again(known, &row)) {
            Some(known) => *known = row,
            None => rows.push(row),
        }
    }

    /// Adds a recorded row of which it is known that it is not there yet.
    pub fn push(&self, row: Value) {
        self.0.rows.borrow_mut().push(Row::new(row));
    }

    /// The rows so far.
    pub fn rows(&self) -> Vec<Value> {
        self.0.rows.borrow().iter().map(|row| row.value.clone()).collect()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.rows.borrow().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Two handles to one board.
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Everything a rendering needs.
    pub fn view(&self) -> View {
        let mut rows = self.0.rows.borrow().clone();
        // Rows know their originals, so that a board without a task has them as well.
        originals::complete(&self.0.run, &mut self.0.originals.borrow_mut(), &rows);
        let mut originals = self.0.originals.borrow().clone();
        pairwise_metrics::add(&self.0.run, &mut originals, &mut rows);
        let derived = rows.iter().map(|row| Derived::of(&rows, row)).collect();
        let mut entries = group(&rows);
        let looks = self.0.run.slot::<Looks>();
        entries.iter_mut().for_each(|entry| entry.look = looks.of(&entry.name));
        let title = if self.0.title.is_empty() { about::of_all(&rows) } else { self.0.title.clone() };
        let columns = self.0.columns.borrow().clone();
        let against = self.0.against.borrow().clone();
        View { title, originals, rows, derived, entries, columns, against }
    }

    /// Shows these figures as columns in place of the usual ones; the usual ones again when there are none.
    ///
    /// # Errors
    /// A figure that no row has.
    pub fn choose(&self, columns: Vec<String>) -> Result<()> {
        let view = self.view();
        let known = view.metrics().into_iter().chain(FIGURES.map(String::from));
        let known: Vec<String> = known.filter(|name| view.tells(name)).collect();
        if let Some(missing) = columns.iter().find(|name| !known.contains(name)) {
            let error = Error::new("columns", format!("the board has no figure {missing:?}")).word(missing.as_str());
            let near = nearest(missing, known.iter().map(String::as_str));
            let error = near.map_or(error.clone(), |near| error.hint(format!("did you mean {near:?}?")));
            return Err(error.note(format!("it has: {}", known.join(", "))));
        }
        self.0.columns.replace((!columns.is_empty()).then_some(columns));
        Ok(())
    }

    /// Shows, below the table, the paired differences of every entry from this one.
    ///
    /// # Errors
    /// A name that nothing or more than one entry of the board has.
    pub fn measure_against(&self, name: &str) -> Result<()> {
        self.view().subject("against", name)?;
        self.0.against.replace(Some(name.into()));
        Ok(())
    }
}

impl View {
    /// A figure of an entry: a metric, `seconds.<stage>`, `preparation`, `average_gap`, `accuracy_gap`, `tow`, `tow_mia`,
    /// `speedup`, `speedup_prepared`.
    pub fn figure(&self, entry: &Entry, name: &str) -> Figure {
        Figure::of(entry.rows.iter().map(|index| self.value(*index, name)))
    }

    /// The same of a single row.
    pub fn value(&self, index: usize, name: &str) -> f64 {
        let (Some(row), Some(derived)) = (self.rows.get(index), self.derived.get(index)) else { return f64::NAN };
        match name {
            "average_gap" => derived.gaps.average,
            "accuracy_gap" => derived.gaps.accuracy,
            "tow" => derived.gaps.tow,
            "tow_mia" => derived.gaps.tow_mia,
            "speedup" => derived.speedup,
            "speedup_prepared" => derived.speedup_prepared,
            "preparation" => row.preparation(),
            "peak_memory" => row.value.pointer("/peak_memory/bytes").and_then(Value::as_f64).unwrap_or(f64::NAN),
            _ => match name.strip_prefix("seconds.") {
                Some(stage) => row.seconds(stage),
                None => row.metrics.get(name),
            },
        }
    }

    /// A figure of the originals, gaps included.
    pub fn original(&self, name: &str) -> Figure {
        Figure::of(self.originals.iter().map(|original| self.before(original, name)))
    }

    /// The same of a single original.
    pub fn before(&self, original: &Original, name: &str) -> f64 {
        let retrained = reference(&self.rows, &original.split_id);
        let found = retrained.map(|retrained| gaps(&original.metrics, &retrained));
        match name {
            "average_gap" => found.map_or(f64::NAN, |gaps| gaps.average),
            "accuracy_gap" => found.map_or(f64::NAN, |gaps| gaps.accuracy),
            "tow" => found.map_or(f64::NAN, |gaps| gaps.tow),
            "tow_mia" => found.map_or(f64::NAN, |gaps| gaps.tow_mia),
            _ => original.metrics.get(name),
        }
    }

    /// The original that a row's network started from.
    pub fn original_of(&self, row: &Row) -> Option<&Original> {
        self.originals.iter().find(|original| original.is_of(row))
    }

    /// Whether any row or original has this figure.
    fn tells(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| !self.figure(entry, name).mean.is_nan()) || !self.original(name).mean.is_nan()
    }

    /// The names of every metric that occurs, in order of appearance.
    pub fn metrics(&self) -> Vec<String> {
        let all = self.originals.iter().map(|o| &o.metrics).chain(self.rows.iter().map(|row| &row.metrics));
        let mut names: Vec<String> = vec![];
        for (name, _) in all.flat_map(Metrics::iter) {
            if !names.iter().any(|known| known == name) {
                names.push(name.into());
            }
        }
        names
    }

    /// The first row of an entry.
    pub fn first(&self, entry: &Entry) -> Option<&Row> {
        entry.rows.first().and_then(|index| self.rows.get(*index))
    }

    /// The originals by what they are of, with the names of their rows: one, `original`, unless the board's data sets, networks or
    /// kinds of requests differ.
    pub fn before_by_subject(&self) -> Vec<(String, Vec<&Original>)> {
        let mut groups: Vec<(Vec<String>, Vec<&Original>)> = vec![];
        let has_rows = |original: &&Original| self.rows.iter().any(|row| original.is_of(row));
        let (told, untold): (Vec<&Original>, Vec<&Original>) = self.originals.iter().partition(has_rows);
        for original in told.into_iter().chain(untold) {
            let subject = self.rows.iter().find(|row| original.is_of(row)).map(Row::subject);
            // Of one without results nothing is known: it is taken for another split of the first.
            let same = |(known, _): &&mut (Vec<String>, _)| subject.as_ref().is_none_or(|subject| subject == known);
            match groups.iter_mut().find(same) {
                Some((_, group)) => group.push(original),
                None => groups.push((subject.unwrap_or_default(), vec![original])),
            }
        }
        let single = groups.len() == 1;
        let name = |subject: Vec<String>| if single { String::new() } else { format!(" ({})", subject.join(", ")) };
        groups.into_iter().map(|(subject, group)| (format!("original{}", name(subject)), group)).collect()
    }

    /// The figure of the retrained networks, over all splits; NaN where those are of different data sets, networks or kinds of
    /// requests.
    pub fn retrained(&self, name: &str) -> f64 {
        let mut subjects: Vec<Vec<String>> =
            self.rows.iter().filter(|row| row.is_reference()).map(Row::subject).collect();
        subjects.dedup();
        if subjects.len() > 1 {
            return f64::NAN;
        }
        let retrained = (0..self.rows.len()).filter(|index| self.rows[*index].is_reference());
        Figure::of(retrained.map(|index| self.value(index, name))).mean
    }

    /// Whether gaps can be told.
    pub fn has_reference(&self) -> bool {
        self.rows.iter().any(Row::is_reference)
    }

    /// Alarms, and what a reader has to know; one line each.
    pub fn warnings(&self) -> Vec<String> {
        // After the first of several requests it is a network that has forgotten: that little is left to hide is then the aim.
        let later = |row: &Row| row.value.pointer("/round/number").and_then(Value::as_u64).is_some_and(|n| n > 0);
        let first = |o: &&Original| !self.rows.iter().any(|row| later(row) && o.is_of(row));
        let mut found: Vec<String> =
            self.originals.iter().filter(first).filter_map(|o| weak_original(&o.metrics)).collect();
        found.dedup();
        for entry in &self.entries {
            let Some(first) = self.first(entry) else { continue };
            let place = if first.is_full() { String::new() } else { format!(" on {}", first.kind()) };
            for line in self.alarms(entry) {
                found.push(format!("{}{place}: {line}", entry.name));
            }
        }
        found
    }

    /// An entry's alarms; of several seeds, each alarm once, with how many seeds raised it.
    fn alarms(&self, entry: &Entry) -> Vec<String> {
        let mut found: Vec<(String, String, usize)> = vec![];
        for row in entry.rows.iter().filter_map(|index| self.rows.get(*index)) {
            if !row.is_complete() {
                found.push((String::new(), format!("{}: {}", row.text("status"), row.text("error")), 1));
                continue;
            }
            let split = row.text("split_id");
            let original = self.original_of(row).map(|o| &o.metrics);
            let retrained = reference(&self.rows, split).filter(|_| !row.is_reference());
            for line in warnings(&row.metrics, original, retrained.as_ref()) {
                let kind = line.split(':').next().unwrap_or_default().to_string();
                match found.iter_mut().find(|(known, ..)| *known == kind) {
                    Some((.., count)) => *count += 1,
                    None => found.push((kind, line, 1)),
                }
            }
        }
        let seeds = entry.rows.len();
        let told = |(_, line, count): (String, String, usize)| {
            if seeds > 1 { format!("{line} ({count} of {seeds} runs)") } else { line }
        };
        found.into_iter().map(told).collect()
    }

    /// Remarks below the table: what is missing, and what reduction costs and saves.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![];
        if !self.rows.is_empty() && !self.has_reference() {
            notes.push(
                "no retrained reference: gaps, speed-ups and alarms need board.add(unlearn::run(\"retrain\", task))"
                    .into(),
            );
        }
        notes.extend(originals::missing(&self.originals, &self.rows));
        let sizes = self.rows.iter().map(|row| row.metrics.basis.forget.min(row.metrics.basis.attacked));
        let fewest = sizes.filter(|n| *n > 0).min().unwrap_or(usize::MAX);
        if fewest < 300 {
            notes.push(format!(
                "mia_ref (in the saved files) was computed from {fewest} samples per group; with fewer than 300 it varies by \
                 several points"
            ));
        }
        notes.extend(self.floor());
        notes.extend(break_even(&self.rows, &self.entries));
        notes
    }

    /// What distances to the retrained network have to be read beside.
    fn floor(&self) -> Option<String> {
        let compared = self.rows.iter().any(|row| !row.metrics.get("js").is_nan());
        let floor = self.rows.iter().any(|row| row.is_reference() && !row.metrics.get("js").is_nan());
        let several = self.rows.iter().any(|row| references(&self.rows, row).len() > 1);
        match (compared, floor) {
            (false, _) => None,
            (true, true) => Some(
                "JS and RMIA compare with the retrained networks; retrain's row compares retrained networks with each other: \
                 no method can be expected to come closer"
                    .into(),
            ),
            // Two of them with the same weights were trained once.
            (true, false) if several => None,
            (true, false) => Some(
                "to see how much two retrained networks differ in JS and RMIA, run \"retrain\" a second time with another \
                 seed: unlearn::run(\"retrain\", task, #{ seed: 1 })"
                    .into(),
            ),
        }
    }

    /// The board as JSON: title, originals, rows with what follows from them, statistics over splits and seeds, warnings,
    /// notes.
    pub fn to_json(&self) -> Value {
        let finite = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
        let rows = self.rows.iter().enumerate().map(|(index, row)| {
            let mut value = row.value.clone();
            if let Some(fields) = value.as_object_mut() {
                for name in DERIVED {
                    fields.insert(name.into(), finite(self.value(index, name)));
                }
                if row.value.get("metrics").is_some_and(Value::is_object) {
                    fields.insert("metrics".into(), row.metrics.to_json());
                }
            }
            value
        });
        let originals = self.originals.iter();
        let originals = originals.map(|o| json!({ "split_id": o.split_id, "metrics": o.metrics.to_json() }));
        json!({
            "title": self.title,
            "originals": originals.collect::<Vec<_>>(),
            "rows": rows.collect::<Vec<_>>(),
            "statistics": self.all_statistics().iter().map(Statistic::to_json).collect::<Vec<_>>(),
            "warnings": self.warnings(),
            "notes": self.notes(),
        })
    }
}

/// Names of the figures of a row that are no metrics.
const FIGURES: [&str; 12] = [
    "average_gap",
    "accuracy_gap",
    "tow",
    "tow_mia",
    "speedup",
    "speedup_prepared",
    "preparation",
    "seconds.unlearn",
    "seconds.evaluate",
    "seconds.cluster",
    "seconds.condense",
    "peak_memory",
];
