//! Entries over their splits and seeds: means with intervals, and differences from the entry they are measured against.

use crate::eval::statistics::{Interval, Sample, Verdict, described, margin};
use crate::report::leaderboard::entry::Entry;
use crate::report::leaderboard::view::View;
use crate::report::runs::row::Row;
use crate::runtime::options::{as_number, describe, nearest};
use crate::runtime::{Error, Options, Result};
use rhai::{Array, Dynamic, Map};
use serde_json::{Value, json};

/// The metrics that are told when none are named.
pub const USUAL: [&str; 4] = ["retain_accuracy", "forget_accuracy", "test_accuracy", "mia_auc"];

/// The level of a mean's interval.
pub const LEVEL: f64 = 0.95;

/// The level of a difference's interval that equivalence is judged by.
pub(super) const EQUIVALENCE: f64 = 0.9;

/// Whose figures are told: the networks before unlearning, those retrained on the full retain set, or an entry's.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// The networks before unlearning.
    Original,
    /// Every retrained reference, whatever options it was trained with.
    Retrained,
    /// The runs of one entry.
    Entry(&'a Entry),
}

/// What `board.statistics` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The metrics; those of the table that the board has, when `None`.
    pub metrics: Option<Vec<String>>,
    /// A margin for all of them, in place of the usual ones.
    pub margin: Option<f64>,
    /// Margins by metric, before that.
    pub margins: Vec<(String, f64)>,
    /// Whom all entries are measured against; the retrained networks, where there are any, when `None`.
    pub against: Option<String>,
}

impl Query {
    /// Reads the options of `board.statistics`.
    ///
    /// # Errors
    /// Metrics that are no names, margins that are no numbers above 0 or of metrics that are not asked for.
    pub fn read(given: Map) -> Result<Self> {
        let operation = "statistics";
        let mut o = Options::new(operation, given);
        let mut query = Self::default();
        if let Some(value) = o.take("metrics", "array of string", "the four of the table") {
            query.metrics = Some(names(&value).ok_or_else(|| {
                let got = describe(&value);
                Error::new(operation, format!("`metrics` must be an array of names, got {got}")).word("metrics")
            })?);
        }
        if let Some(value) = o.take("margin", "number | map", "by metric") {
            match value.clone().try_cast::<Map>() {
                None => query.margin = Some(positive(operation, &value)?),
                Some(map) => {
                    let each = |(metric, value): (&rhai::Identifier, &Dynamic)| {
                        Ok((metric.to_string(), positive(operation, value)?))
                    };
                    query.margins = map.iter().map(each).collect::<Result<_>>()?;
                }
            }
        }
        query.against = o.maybe_text("against")?;
        o.finish()?;
        let asked = query.metrics.clone().unwrap_or_else(|| USUAL.map(String::from).to_vec());
        match query.margins.iter().find(|(metric, _)| !asked.contains(metric)) {
            None => Ok(query),
            Some((metric, _)) => {
                let message = format!("a margin is given for {metric:?}, which is not among the metrics asked for");
                let asked = format!("metrics: {}", asked.join(", "));
                Err(Error::new(operation, message).word(metric.as_str()).note(asked))
            }
        }
    }

    /// The margin of a metric: by name, for all, or the usual one; `None` where there is none.
    pub fn margin(&self, metric: &str) -> Option<f64> {
        let named = self.margins.iter().find(|(name, _)| name == metric).map(|(_, margin)| *margin);
        named.or(self.margin).or_else(|| margin(metric))
    }
}

/// A script's array of names, or a single one.
fn names(value: &Dynamic) -> Option<Vec<String>> {
    if value.is_string() {
        return Some(vec![value.to_string()]);
    }
    let items = value.read_lock::<Array>()?;
    items.iter().map(|item| item.is_string().then(|| item.to_string())).collect()
}

/// A margin that a script gave.
fn positive(operation: &str, value: &Dynamic) -> Result<f64> {
    as_number(value).filter(|x| *x > 0.0 && x.is_finite()).ok_or_else(|| {
        Error::new(operation, format!("`margin` must be a number above 0, got {}", describe(value))).word("margin")
    })
}

/// One metric of one entry over its splits and seeds.
#[derive(Debug, Clone)]
pub struct Statistic {
    /// The entry's name.
    pub label: String,
    /// The kind of its retain set; empty for the originals.
    pub retain: String,
    /// The metric.
    pub metric: String,
    /// Its values.
    pub own: Sample,
    /// How they differ from those they are measured against.
    pub difference: Option<Difference>,
}

/// Paired differences with what they are judged by.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Whom the entry is measured against.
    pub against: String,
    /// The differences: the entry's values minus the other's.
    pub sample: Sample,
    /// What they may amount to and still count as none.
    pub margin: Option<f64>,
}

impl Difference {
    /// What the differences say; `None` without a margin.
    pub fn verdict(&self) -> Option<Verdict> {
        self.margin.map(|margin| self.sample.verdict(margin))
    }
}

/// A field of a statistic.
enum Field {
    Text(String),
    Count(usize),
    Number(f64),
    Nothing,
}

impl Field {
    fn json(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Count(n) => n.into(),
            // NaN becomes null.
            Self::Number(x) => json!(x),
            Self::Nothing => Value::Null,
        }
    }

    fn script(self) -> Dynamic {
        match self {
            Self::Text(text) => text.into(),
            Self::Count(n) => (n as i64).into(),
            Self::Number(x) => x.into(),
            Self::Nothing => Dynamic::UNIT,
        }
    }
}

impl Statistic {
    fn fields(&self) -> Vec<(&'static str, Field)> {
        let Self { own, difference, .. } = self;
        let Interval { low, high } = own.interval(LEVEL);
        let mut fields = vec![
            ("label", Field::Text(self.label.clone())),
            ("retain", Field::Text(self.retain.clone())),
            ("metric", Field::Text(self.metric.clone())),
            ("n", Field::Count(own.n)),
            ("missing", Field::Count(own.missing)),
            ("mean", Field::Number(own.mean)),
            ("sd", Field::Number(own.sd)),
            ("low", Field::Number(low)),
            ("high", Field::Number(high)),
        ];
        fields.extend(difference.iter().flat_map(Difference::fields));
        fields
    }

    /// As the JSON of a board has it.
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields().into_iter().map(|(key, field)| (key.into(), field.json())).collect())
    }

    /// As scripts have it.
    pub fn to_script(&self) -> Dynamic {
        self.fields().into_iter().map(|(key, field)| (key.into(), field.script())).collect::<Map>().into()
    }
}

impl Difference {
    fn fields(&self) -> Vec<(&'static str, Field)> {
        let sample = &self.sample;
        let Interval { low, high } = sample.interval(EQUIVALENCE);
        vec![
            ("against", Field::Text(self.against.clone())),
            ("pairs", Field::Count(sample.n)),
            ("difference", Field::Number(sample.mean)),
            ("difference_low", Field::Number(low)),
            ("difference_high", Field::Number(high)),
            ("p", Field::Number(sample.p_value())),
            ("margin", self.margin.map_or(Field::Nothing, Field::Number)),
            ("verdict", self.verdict().map_or(Field::Nothing, |verdict| Field::Text(verdict.name().into()))),
        ]
    }
}

/// A value with what it is paired by. Equal splits and seeds are told apart by the order they came in.
struct Keyed<'a> {
    split: &'a str,
    seeds: &'a Value,
    occurrence: usize,
    value: f64,
}

impl Keyed<'_> {
    fn matches(&self, other: &Keyed) -> bool {
        (self.split, self.seeds, self.occurrence) == (other.split, other.seeds, other.occurrence)
    }
}

impl View {
    /// The names that entries go by in `statistics` and `paired`: `acf`, `acf on blend`, and with the images of a cluster
    /// where one kind of retain set occurs in several sizes.
    fn title(&self, entry: &Entry) -> String {
        let Some(first) = self.first(entry) else { return entry.name.clone() };
        if first.is_full() {
            return entry.name.clone();
        }
        let alike = |other: &&Entry| {
            other.name == entry.name && self.first(other).is_some_and(|row| row.kind() == first.kind())
        };
        let size = match first.retain("per_class") {
            Value::Number(size) if self.complete().filter(alike).count() > 1 => format!(" {size}"),
            _ => String::new(),
        };
        format!("{} on {}{size}", entry.name, first.kind())
    }

    /// The entries that have figures.
    pub fn complete(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| self.first(entry).is_some_and(Row::is_complete))
    }

    /// Whom a name means.
    ///
    /// # Errors
    /// A name that nothing or more than one entry of the board has.
    pub fn subject(&self, operation: &str, name: &str) -> Result<Subject<'_>> {
        if name == "original" && !self.originals.is_empty() {
            return Ok(Subject::Original);
        }
        if name == "retrain" && self.has_reference() {
            return Ok(Subject::Retrained);
        }
        let titles: Vec<(String, &Entry)> = self.complete().map(|entry| (self.title(entry), entry)).collect();
        let called = |fits: &dyn Fn(&str, &Entry) -> bool| -> Vec<&Entry> {
            titles.iter().filter(|(title, entry)| fits(title, entry)).map(|(_, entry)| *entry).collect()
        };
        // `acf` alone will do for `acf on blend`, and that for `acf on blend 20`, when it is the only one.
        let kind = |entry: &Entry| self.first(entry).map_or("full", Row::kind);
        let found = [
            called(&|title, _| title == name),
            called(&|_, entry| format!("{} on {}", entry.name, kind(entry)) == name),
            called(&|_, entry| entry.name == name),
        ];
        let found = found.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
        let all = titles.iter().map(|(title, _)| title.as_str());
        match found.as_slice() {
            [entry] => Ok(Subject::Entry(entry)),
            [] => {
                let error = Error::new(operation, format!("the leaderboard has no entry {name:?}")).word(name);
                Err(match nearest(name, all.clone()) {
                    Some(near) => error.hint(format!("did you mean {near:?}?")),
                    None => error.note(format!("entries: {}", all.collect::<Vec<_>>().join(", "))),
                })
            }
            several => {
                let message = format!("{} entries of the leaderboard are called {name:?}", several.len());
                let hint = "give the full name, or run them under labels of their own: #{ name: \"mine\" }";
                let named = all.filter(|title| title.starts_with(name)).collect::<Vec<_>>().join(", ");
                Err(Error::new(operation, message).word(name).hint(hint).note(format!("entries: {named}")))
            }
        }
    }

    /// Refuses metrics that no row has.
    ///
    /// # Errors
    /// The first such name, with the nearest one there is.
    pub fn check_metric(&self, operation: &str, metric: &str) -> Result<()> {
        let stages = self.rows.iter().filter_map(|row| row.value.get("seconds").and_then(Value::as_object));
        let stages = stages.flat_map(|stages| stages.keys().map(|stage| format!("seconds.{stage}")));
        let derived = super::view::DERIVED.into_iter().chain(["preparation"]).map(String::from);
        let known: Vec<String> = self.metrics().into_iter().chain(derived).chain(stages).collect();
        if known.iter().any(|name| name == metric) {
            return Ok(());
        }
        let error = Error::new(operation, format!("no row of the leaderboard has a metric {metric:?}")).word(metric);
        Err(match nearest(metric, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean {near:?}?")),
            None => error.note(format!("metrics: {}", self.metrics().join(", "))),
        })
    }

    /// The values of a metric, each with its split and seeds.
    fn keyed(&self, subject: Subject, metric: &str) -> Vec<Keyed<'_>> {
        let of_row = |index: usize| {
            self.rows.get(index).map(|row| {
                (row.text("split_id"), row.value.get("seeds").unwrap_or(&Value::Null), self.value(index, metric))
            })
        };
        let found: Vec<(&str, &Value, f64)> = match subject {
            Subject::Original => {
                let each = self.originals.iter();
                each.map(|o| (o.split_id.as_str(), &Value::Null, self.before(o, metric))).collect()
            }
            Subject::Retrained => {
                let references = (0..self.rows.len()).filter(|i| self.rows.get(*i).is_some_and(Row::is_reference));
                references.filter_map(of_row).collect()
            }
            Subject::Entry(entry) => entry.rows.iter().copied().filter_map(of_row).collect(),
        };
        let mut keyed: Vec<Keyed> = vec![];
        for (split, seeds, value) in found {
            let occurrence = keyed.iter().filter(|k| k.split == split && k.seeds == seeds).count();
            keyed.push(Keyed { split, seeds, occurrence, value });
        }
        keyed
    }

    /// The differences of a metric between two subjects over their common splits. Values of equal split and seeds are
    /// pairs; one whose seeds the other has not run under is compared with the other's mean on that split.
    pub fn differences(&self, a: Subject, b: Subject, metric: &str) -> Sample {
        let (own, others) = (self.keyed(a, metric), self.keyed(b, metric));
        let common = own.iter().filter(|k| others.iter().any(|other| other.split == k.split));
        Sample::of(common.map(|key| {
            let partner = others.iter().find(|other| other.matches(key)).map(|other| other.value);
            let same = others.iter().filter(|other| other.split == key.split).map(|other| other.value);
            key.value - partner.unwrap_or_else(|| Sample::of(same).mean)
        }))
    }

    /// The metrics asked for, of the originals and of every entry.
    ///
    /// # Errors
    /// Metrics that no row has, an `against` that is no entry.
    pub fn statistics(&self, query: &Query) -> Result<Vec<Statistic>> {
        let operation = "statistics";
        let metrics: Vec<&str> = match &query.metrics {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => USUAL.into_iter().filter(|metric| self.metrics().iter().any(|known| known == metric)).collect(),
        };
        metrics.iter().try_for_each(|metric| self.check_metric(operation, metric))?;
        let rival = match &query.against {
            Some(name) => Some((name.as_str(), self.subject(operation, name)?)),
            None => self.baseline().or(self.rival()),
        };
        let original = (!self.originals.is_empty()).then_some(Subject::Original);
        let subjects: Vec<Subject> = original.into_iter().chain(self.complete().map(Subject::Entry)).collect();
        let mut found = vec![];
        for subject in subjects {
            found.extend(metrics.iter().map(|metric| self.statistic(subject, metric, rival, query.margin(metric))));
        }
        Ok(found)
    }

    /// Whom everybody is measured against unless told otherwise.
    pub fn rival(&self) -> Option<(&'static str, Subject<'_>)> {
        self.has_reference().then_some(("retrain", Subject::Retrained))
    }

    /// Whom the board was told to measure everybody against.
    pub fn baseline(&self) -> Option<(&str, Subject<'_>)> {
        let name = self.against.as_deref()?;
        self.subject("against", name).ok().map(|subject| (name, subject))
    }

    /// One metric of one subject, measured against a rival, unless that is the subject itself.
    pub fn statistic(
        &self,
        subject: Subject,
        metric: &str,
        rival: Option<(&str, Subject)>,
        margin: Option<f64>,
    ) -> Statistic {
        let (label, retain) = match subject {
            Subject::Original => ("original", ""),
            Subject::Retrained => ("retrain", "full"),
            Subject::Entry(entry) => (entry.name.as_str(), self.first(entry).map_or("full", Row::kind)),
        };
        let rival = rival.filter(|(_, rival)| !self.same_rows(subject, *rival));
        let difference = rival.map(|(against, rival)| Difference {
            against: against.into(),
            sample: self.differences(subject, rival, metric),
            margin,
        });
        let own = Sample::of(self.keyed(subject, metric).into_iter().map(|key| key.value));
        Statistic { label: label.into(), retain: retain.into(), metric: metric.into(), own, difference }
    }

    /// Whether two subjects are one: nobody is measured against himself.
    pub(super) fn same_rows(&self, a: Subject, b: Subject) -> bool {
        let is_reference = |entry: &Entry| self.first(entry).is_some_and(Row::is_reference);
        match (a, b) {
            (Subject::Original, Subject::Original) => true,
            (Subject::Entry(entry), Subject::Retrained) => is_reference(entry),
            (Subject::Entry(a), Subject::Entry(b)) => a.rows == b.rows,
            _ => false,
        }
    }

    /// What `board.paired` gives: the differences `a - b` of a metric, with a margin of one's own if wanted.
    ///
    /// # Errors
    /// Names that are no entries, a metric that no row has, a margin that is no number above 0.
    pub fn paired(&self, a: &str, b: &str, metric: &str, given: Map) -> Result<Map> {
        let operation = "paired";
        let mut o = Options::new(operation, given);
        let own = o.take("margin", "number", "by metric").map(|value| positive(operation, &value)).transpose()?;
        o.finish()?;
        self.check_metric(operation, metric)?;
        let sample = self.differences(self.subject(operation, a)?, self.subject(operation, b)?, metric);
        let mut map = described(&sample, sample.interval(LEVEL));
        map.insert("p".into(), sample.p_value().into());
        let margin = own.or_else(|| margin(metric));
        map.insert("margin".into(), margin.map_or(Dynamic::UNIT, Dynamic::from));
        map.insert("verdict".into(), margin.map_or(Dynamic::UNIT, |margin| sample.verdict(margin).name().into()));
        Ok(map)
    }

    /// Everything that has at least two values (one will do when a baseline was named), for the JSON of the board.
    pub fn all_statistics(&self) -> Vec<Statistic> {
        let mut metrics = self.metrics();
        metrics.extend(super::view::DERIVED.map(String::from));
        let query = Query { metrics: Some(metrics), ..Query::default() };
        // No name is asked for that the board does not have.
        let found = self.statistics(&query).unwrap_or_default();
        let told = |statistic: &Statistic| statistic.own.n > 1 || (self.against.is_some() && statistic.own.n > 0);
        found.into_iter().filter(told).collect()
    }
}
