//! The space that a search draws options from: for each option a list of values, or a range and how it is walked.

use crate::runtime::options::{as_integer, as_number, describe, nearest};
use crate::runtime::{Error, Result};
use rhai::{Array, Dynamic, Map};

/// How a dimension may be written, for messages.
const FORMS: &str = "an array of values, #{ linear: [low, high] }, #{ log: [low, high] }, #{ whole: [low, high] } or \
                     #{ whole_log: [low, high] }";

/// How a range is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// Numbers, evenly.
    Linear,
    /// Numbers, evenly by their logarithm.
    Log,
    /// Whole numbers, evenly.
    Whole,
    /// Whole numbers, evenly by their logarithm: small ones more often.
    WholeLog,
}

const SCALES: [(&str, Scale); 4] =
    [("linear", Scale::Linear), ("log", Scale::Log), ("whole", Scale::Whole), ("whole_log", Scale::WholeLog)];

impl Scale {
    fn is_whole(self) -> bool {
        matches!(self, Self::Whole | Self::WholeLog)
    }

    fn is_log(self) -> bool {
        matches!(self, Self::Log | Self::WholeLog)
    }

    fn word(self) -> &'static str {
        SCALES.iter().find(|(_, scale)| *scale == self).map_or("", |(word, _)| word)
    }
}

/// What one option is drawn from.
#[derive(Debug, Clone)]
enum Values {
    Listed(Array),
    Range { scale: Scale, low: f64, high: f64 },
}

/// One option and what it is drawn from.
#[derive(Debug, Clone)]
pub struct Dimension {
    /// The option's name.
    pub name: String,
    values: Values,
}

/// Every option that is searched, in the order of names.
#[derive(Debug, Clone)]
pub struct Space(Vec<Dimension>);

impl Space {
    /// Reads a space as a script writes it.
    ///
    /// # Errors
    /// A space without options, and dimensions without values or with ranges that hold no number.
    pub fn read(space: &Map) -> Result<Self> {
        if space.is_empty() {
            return Err(Error::new("tune", "the space is empty: there is nothing to search")
                .hint("name an option and what it is drawn from: #{ lr: #{ log: [0.001, 0.1] } }"));
        }
        space.iter().map(|(name, written)| Dimension::read(name, written)).collect::<Result<_>>().map(Self)
    }

    /// The options in the order of their names.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.0
    }

    /// Whether an option is searched.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|dimension| dimension.name == name)
    }

    /// The setting at the place of a trial in an additive recurrence with the generalised golden ratio (Roberts, 2018).
    pub fn spread(&self, trial: usize) -> Map {
        let root = golden(self.0.len());
        let mut step = 1.0;
        self.setting(|| {
            step /= root;
            (0.5 + trial as f64 * step) % 1.0
        })
    }

    /// A setting, each option from a place between 0 and 1.
    pub fn setting(&self, mut place: impl FnMut() -> f64) -> Map {
        self.0.iter().map(|dimension| (dimension.name.as_str().into(), dimension.draw(place()))).collect()
    }
}

/// The root of `x^(n + 1) = x + 1`, by iteration.
fn golden(n: usize) -> f64 {
    (0..40).fold(2.0_f64, |root, _| (1.0 + root).powf(1.0 / (n as f64 + 1.0)))
}

impl Dimension {
    fn read(name: &str, written: &Dynamic) -> Result<Self> {
        let values = if let Some(list) = written.read_lock::<Array>() {
            listed(name, &list)?
        } else if let Some(map) = written.read_lock::<Map>() {
            range(name, &map)?
        } else {
            let message = format!("`{name}` must be {FORMS}, got {}", describe(written));
            return Err(wrong(name, message).hint("a value that all trials share belongs to `options`"));
        };
        Ok(Self { name: name.into(), values })
    }

    /// The value at a place between 0 and 1.
    pub fn draw(&self, place: f64) -> Dynamic {
        let (scale, low, high) = match &self.values {
            Values::Listed(list) => {
                let at = ((place * list.len() as f64) as usize).min(list.len().saturating_sub(1));
                return list.get(at).cloned().unwrap_or_default();
            }
            Values::Range { scale, low, high } => (*scale, *low, *high),
        };
        // The range of whole numbers ends where the one after the last would begin.
        let end = if scale.is_whole() { high + 1.0 } else { high };
        let x = if scale.is_log() { (low.ln() + place * (end / low).ln()).exp() } else { low + place * (end - low) };
        match scale.is_whole() {
            true => (x.floor().clamp(low, high) as i64).into(),
            false => short(x).clamp(low, high).into(),
        }
    }

    /// The values that no draw goes beyond: both ends of a range, or everything listed.
    pub fn extremes(&self) -> Array {
        match &self.values {
            Values::Listed(list) => list.clone(),
            Values::Range { scale, low, high } if scale.is_whole() => vec![(*low as i64).into(), (*high as i64).into()],
            Values::Range { low, high, .. } => vec![(*low).into(), (*high).into()],
        }
    }

    /// Refuses a range with fractions for an option that takes whole numbers.
    ///
    /// # Errors
    /// That.
    pub fn fits_whole(&self) -> Result<()> {
        let Values::Range { scale, low, high } = &self.values else { return Ok(()) };
        if scale.is_whole() {
            return Ok(());
        }
        let (name, word) = (&self.name, scale.word());
        let instead = if scale.is_log() { "whole_log" } else { "whole" };
        let message = format!("`{name}` takes whole numbers, and `{word}` draws fractions");
        Err(wrong(name, message).hint(format!(
            "write {name}: #{{ {instead}: [{}, {}] }}",
            low.ceil().max(1.0),
            high.floor()
        )))
    }
}

/// An error about a dimension.
fn wrong(name: &str, message: impl Into<String>) -> Error {
    Error::new("tune", message).word(name)
}

fn listed(name: &str, list: &Array) -> Result<Values> {
    if list.is_empty() {
        return Err(wrong(name, format!("`{name}` has no values to draw from: its array is empty")));
    }
    match list.iter().find(|value| as_number(value).is_some_and(|x| !x.is_finite())) {
        Some(value) => Err(wrong(name, format!("`{name}` cannot be {value}: values must be finite"))),
        None => Ok(Values::Listed(list.clone())),
    }
}

fn range(name: &str, map: &Map) -> Result<Values> {
    let mut entries = map.iter();
    let (Some((word, bounds)), None) = (entries.next(), entries.next()) else {
        let keys = map.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let given = if map.is_empty() { "an empty map".into() } else { format!("a map with {keys}") };
        return Err(wrong(name, format!("`{name}` must be {FORMS}, got {given}")));
    };
    let Some((_, scale)) = SCALES.iter().find(|(known, _)| known == word) else {
        let error = wrong(name, format!("`{name}` must be {FORMS}, got `{word}`"));
        return Err(match nearest(word, SCALES.iter().map(|(known, _)| *known)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        });
    };
    let (low, high) = bounds_of(name, word, bounds, *scale)?;
    if low > high {
        let message = format!("the range of `{name}` is reversed: {low} is above {high}");
        return Err(wrong(name, message).hint(format!("write {name}: #{{ {word}: [{high}, {low}] }}")));
    }
    if low == high {
        return Err(wrong(name, format!("the range of `{name}` is empty: both bounds are {low}"))
            .hint("a value that all trials share belongs to `options`"));
    }
    if scale.is_log() && low <= 0.0 {
        return Err(wrong(name, format!("`{word}` of `{name}` needs bounds above 0, got {low}"))
            .hint("a range that begins at 0 can be linear or whole"));
    }
    Ok(Values::Range { scale: *scale, low, high })
}

/// Two finite numbers, without fractions where the scale has none.
fn bounds_of(name: &str, word: &str, bounds: &Dynamic, scale: Scale) -> Result<(f64, f64)> {
    let list = bounds.read_lock::<Array>().map(|list| list.clone());
    let Some([low, high]) = list.as_deref() else {
        let given = list.map_or_else(|| describe(bounds), |list| format!("{} values", list.len()));
        return Err(wrong(name, format!("`{word}` of `{name}` must be [low, high], got {given}")));
    };
    let bound = |value: &Dynamic| match as_number(value) {
        Some(x) if !x.is_finite() => Err(wrong(name, format!("a bound of `{name}` must be finite, got {value}"))),
        Some(_) if scale.is_whole() && as_integer(value).is_none() => {
            Err(wrong(name, format!("a bound of `{name}` must be a whole number for `{word}`, got {value}")))
        }
        Some(x) => Ok(x),
        None => Err(wrong(name, format!("a bound of `{name}` must be a number, got {}", describe(value)))),
    };
    Ok((bound(low)?, bound(high)?))
}

/// Three significant digits: presets are read by people.
fn short(x: f64) -> f64 {
    format!("{x:.2e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range_of(word: &str, low: Dynamic, high: Dynamic) -> Map {
        Map::from([(word.into(), Dynamic::from(vec![low, high]))])
    }

    fn dimension(word: &str, low: impl Into<Dynamic>, high: impl Into<Dynamic>) -> Dimension {
        Dimension::read("x", &range_of(word, low.into(), high.into()).into()).unwrap()
    }

    fn refusal(word: &str, low: impl Into<Dynamic>, high: impl Into<Dynamic>) -> String {
        Dimension::read("x", &range_of(word, low.into(), high.into()).into()).unwrap_err().to_string()
    }

    #[test]
    fn ranges_that_hold_no_number_are_refused() {
        assert!(refusal("log", 0.0, 0.1).contains("needs bounds above 0, got 0"));
        assert!(refusal("log", -0.1, 0.1).contains("needs bounds above 0, got -0.1"));
        assert!(refusal("whole_log", 0_i64, 8_i64).contains("needs bounds above 0"));
        assert!(refusal("log", 0.1, 0.01).contains("reversed: 0.1 is above 0.01"));
        assert!(refusal("whole", 3_i64, 3_i64).contains("empty: both bounds are 3"));
        assert!(refusal("linear", f64::NAN, 1.0).contains("finite, got NaN"));
        assert!(refusal("linear", 0.0, f64::INFINITY).contains("finite, got inf"));
        assert!(refusal("whole", 1.5, 4.0).contains("a whole number for `whole`, got 1.5"));
        assert!(refusal("linear", "a", 4.0).contains("must be a number, got \"a\""));
        assert!(refusal("lgo", 0.1, 0.2).contains("got `lgo`"));
    }

    #[test]
    fn forms_that_say_nothing_are_refused() {
        let refused = |written: Dynamic| Dimension::read("x", &written).unwrap_err().to_string();
        assert!(refused(Array::new().into()).contains("its array is empty"));
        assert!(refused(Map::new().into()).contains("got an empty map"));
        assert!(refused(0.1.into()).contains("got 0.1"));
        assert!(refused(vec![Dynamic::from(0.1), f64::NAN.into()].into()).contains("cannot be NaN"));
        assert!(refused(Map::from([("log".into(), Dynamic::from(0.1))]).into()).contains("[low, high], got 0.1"));
        let mut two = range_of("log", 0.1.into(), 0.2.into());
        two.insert("whole".into(), true.into());
        assert!(refused(two.into()).contains("got a map with `log`, `whole`"));
        assert!(Space::read(&Map::new()).unwrap_err().to_string().contains("nothing to search"));
    }

    #[test]
    fn draws_stay_within_their_range_whatever_rounding_does() {
        let fine = dimension("log", 0.0012345, 0.0012349);
        for place in [0.0, 0.3, 0.999] {
            let x = fine.draw(place).as_float().unwrap();
            assert!((0.0012345..=0.0012349).contains(&x), "{x}");
        }
        let drawn = |dimension: &Dimension| {
            let mut drawn: Vec<i64> = (0..1000).map(|i| dimension.draw(f64::from(i) / 1e3).as_int().unwrap()).collect();
            drawn.dedup();
            drawn
        };
        assert_eq!(drawn(&dimension("whole", 2_i64, 5_i64)), [2, 3, 4, 5]);
        assert_eq!(drawn(&dimension("whole_log", 1_i64, 4_i64)), [1, 2, 3, 4]);
    }

    #[test]
    fn whole_numbers_by_their_logarithm_favour_small_ones() {
        let epochs = dimension("whole_log", 1_i64, 99_i64);
        let small = (0..1000).filter(|i| epochs.draw(f64::from(*i) / 1e3).as_int().unwrap() < 10).count();
        assert_eq!(small, 500);
    }

    #[test]
    fn fractions_do_not_fit_whole_options() {
        let error = dimension("log", 1.0, 10.0).fits_whole().unwrap_err();
        assert_eq!(error.to_string(), "tune: `x` takes whole numbers, and `log` draws fractions");
        assert!(dimension("linear", 1.0, 10.0).fits_whole().is_err());
        assert!(dimension("whole_log", 1_i64, 10_i64).fits_whole().is_ok());
    }

    #[test]
    fn a_longer_search_contains_the_shorter_one() {
        let space = Space::read(&Map::from([
            ("a".into(), range_of("linear", 0.0.into(), 1.0.into()).into()),
            ("b".into(), range_of("whole", 1_i64.into(), 4_i64.into()).into()),
        ]))
        .unwrap();
        assert_eq!(space.spread(1)["a"].as_float().unwrap(), 0.255);
        assert_eq!(space.spread(1)["b"].as_int().unwrap(), 1);
        assert_eq!(space.spread(2)["a"].as_float().unwrap(), 0.00976);
    }
}
