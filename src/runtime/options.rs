//! The one reader of `#{ .. }` option maps: it coerces, checks ranges, and refuses what nobody asked for.

use super::error::{Error, Result};
use rhai::{Array, Dynamic, FnPtr, Map};

/// The options of one call, consumed key by key; `finish` refuses what is left.
pub struct Options {
    operation: String,
    given: Map,
    asked: Vec<Asked>,
}

/// One option the function knows: what messages list.
struct Asked {
    key: String,
    kind: String,
    default: String,
}

/// The script's name for the type of a value.
pub fn type_name(value: &Dynamic) -> String {
    match value.type_name() {
        "i64" => "integer".into(),
        "f64" => "float".into(),
        "alloc::string::String" | "string" | "&str" => "string".into(),
        "rhai::Array" | "array" => "array".into(),
        "rhai::Map" | "map" => "map".into(),
        "()" => "()".into(),
        other => other.rsplit("::").next().unwrap_or(other).into(),
    }
}

/// A short form of a value for messages: `"0.1" (string)`.
pub fn describe(value: &Dynamic) -> String {
    if value.is_string() {
        format!("{:?} (string)", value.to_string())
    } else if value.is_int() || value.is_float() || value.is_bool() {
        value.to_string()
    } else if value.is_unit() {
        "()".into()
    } else {
        format!("a value of type {}", type_name(value))
    }
}

/// A number from an integer or a float.
pub fn as_number(value: &Dynamic) -> Option<f64> {
    value.as_float().ok().or_else(|| value.as_int().ok().map(|n| n as f64))
}

/// An integer from an integer or a float without a fraction.
pub fn as_integer(value: &Dynamic) -> Option<i64> {
    value
        .as_int()
        .ok()
        .or_else(|| value.as_float().ok().filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| x as i64))
}

/// The nearest of `names` to `word`, when near enough to be a typing error.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 2.max(word.chars().count() / 3);
    let names: Vec<&str> = names.into_iter().collect();
    let near = names
        .iter()
        .copied()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        // A name is no slip of itself.
        .filter(|(distance, name)| {
            (1..=limit).contains(distance) && *distance < name.chars().count().max(word.chars().count())
        })
        .min()
        .map(|(_, name)| name);
    // A word cut short is meant where only one name begins with it.
    let mut longer = names.iter().copied().filter(|name| word.chars().count() > 3 && name.starts_with(word));
    near.or_else(|| longer.next().filter(|_| longer.next().is_none()))
}

impl Options {
    /// Reads the options given to `operation`.
    pub fn new(operation: &str, given: Map) -> Self {
        Self { operation: operation.into(), given, asked: Vec::new() }
    }

    /// Takes an option as it is; `None` when it was not given or is `()`.
    pub fn take(&mut self, key: &str, kind: &str, default: impl ToString) -> Option<Dynamic> {
        self.asked.push(Asked { key: key.into(), kind: kind.into(), default: default.to_string() });
        self.given.remove(key).filter(|value| !value.is_unit())
    }

    fn wrong(&self, key: &str, expected: &str, value: &Dynamic) -> Error {
        Error::new(&self.operation, format!("`{key}` must be {expected}, got {}", describe(value))).word(key)
    }

    /// A finite number; integers are accepted.
    pub fn number(&mut self, key: &str, default: f64) -> Result<f64> {
        Ok(self.maybe_number_as(key, &default.to_string())?.unwrap_or(default))
    }

    /// A finite number that has no default.
    pub fn maybe_number(&mut self, key: &str) -> Result<Option<f64>> {
        self.maybe_number_as(key, "()")
    }

    fn maybe_number_as(&mut self, key: &str, default: &str) -> Result<Option<f64>> {
        let Some(value) = self.take(key, "number", default) else { return Ok(None) };
        match as_number(&value) {
            Some(x) if x.is_finite() => Ok(Some(x)),
            _ => Err(self.wrong(key, "a finite number", &value)),
        }
    }

    /// A number within `low..=high`.
    pub fn between(&mut self, key: &str, default: f64, low: f64, high: f64) -> Result<f64> {
        let x = self.number(key, default)?;
        if (low..=high).contains(&x) {
            Ok(x)
        } else {
            Err(self.wrong(key, &format!("between {low} and {high}"), &x.into()))
        }
    }

    /// A number above zero.
    pub fn positive(&mut self, key: &str, default: f64) -> Result<f64> {
        let x = self.number(key, default)?;
        if x > 0.0 { Ok(x) } else { Err(self.wrong(key, "above 0", &x.into())) }
    }

    /// A number that is zero or above.
    pub fn non_negative(&mut self, key: &str, default: f64) -> Result<f64> {
        let x = self.number(key, default)?;
        if x >= 0.0 { Ok(x) } else { Err(self.wrong(key, "0 or above", &x.into())) }
    }

    /// An integer of at least `least`; `10.0` is accepted, `10.5` is not.
    pub fn integer(&mut self, key: &str, default: i64, least: i64) -> Result<i64> {
        Ok(self.maybe_integer_as(key, least, &default.to_string())?.unwrap_or(default))
    }

    /// An integer of at least `least` that has no default.
    pub fn maybe_integer(&mut self, key: &str, least: i64) -> Result<Option<i64>> {
        self.maybe_integer_as(key, least, "()")
    }

    fn maybe_integer_as(&mut self, key: &str, least: i64, default: &str) -> Result<Option<i64>> {
        let Some(value) = self.take(key, "int", default) else { return Ok(None) };
        match as_integer(&value) {
            Some(n) if n >= least => Ok(Some(n)),
            Some(_) => Err(self.wrong(key, &format!("at least {least}"), &value)),
            None => Err(self.wrong(key, "an integer", &value)),
        }
    }

    /// A count of at least one.
    pub fn count(&mut self, key: &str, default: usize) -> Result<usize> {
        Ok(self.integer(key, default as i64, 1)? as usize)
    }

    /// A boolean.
    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool> {
        match self.take(key, "bool", default) {
            None => Ok(default),
            Some(value) => value.as_bool().map_err(|_| self.wrong(key, "true or false", &value)),
        }
    }

    /// A boolean that has no default.
    pub fn maybe_flag(&mut self, key: &str) -> Result<Option<bool>> {
        match self.take(key, "bool", "()") {
            None => Ok(None),
            Some(value) => value.as_bool().map(Some).map_err(|_| self.wrong(key, "true or false", &value)),
        }
    }

    /// One of a list of words.
    pub fn choice(&mut self, key: &str, default: &str, choices: &[&str]) -> Result<String> {
        let list = choices.iter().map(|c| format!("{c:?}")).collect::<Vec<_>>().join(" | ");
        let Some(value) = self.take(key, &list, format!("{default:?}")) else { return Ok(default.into()) };
        let word = value.clone().into_string().unwrap_or_default();
        if choices.contains(&word.as_str()) {
            return Ok(word);
        }
        let error = self.wrong(key, &format!("one of {list}"), &value);
        Err(match nearest(&word, choices.iter().copied()) {
            Some(near) => error.hint(format!("did you mean {near:?}?")),
            None => error,
        })
    }

    /// A string that has no default.
    pub fn maybe_text(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key, "string", "()") {
            None => Ok(None),
            Some(value) if value.is_string() => Ok(Some(value.to_string())),
            Some(value) => Err(self.wrong(key, "a string", &value)),
        }
    }

    /// A string.
    pub fn text(&mut self, key: &str, default: &str) -> Result<String> {
        Ok(self.maybe_text(key)?.unwrap_or_else(|| default.into()))
    }

    /// An array of integers (a single integer counts as an array of one); `None` when not given.
    pub fn maybe_integers(&mut self, key: &str) -> Result<Option<Vec<i64>>> {
        let Some(value) = self.take(key, "array of int", "()") else { return Ok(None) };
        let items = match value.clone().try_cast::<Array>() {
            Some(items) => items,
            None => vec![value.clone()],
        };
        let integers: Option<Vec<i64>> = items.iter().map(as_integer).collect();
        integers.map(Some).ok_or_else(|| self.wrong(key, "an array of integers", &value))
    }

    /// A function or closure that has no default.
    pub fn maybe_function(&mut self, key: &str) -> Result<Option<FnPtr>> {
        match self.take(key, "function", "()") {
            None => Ok(None),
            Some(value) => {
                value.clone().try_cast::<FnPtr>().map(Some).ok_or_else(|| self.wrong(key, "a function", &value))
            }
        }
    }

    /// A value of a registered type that has no default, e.g. a `Net`.
    pub fn maybe<T: Clone + 'static>(&mut self, key: &str, kind: &str) -> Result<Option<T>> {
        match self.take(key, kind, "()") {
            None => Ok(None),
            Some(value) => {
                value.clone().try_cast::<T>().map(Some).ok_or_else(|| self.wrong(key, &format!("a {kind}"), &value))
            }
        }
    }

    /// A nested option map (empty when not given).
    pub fn map(&mut self, key: &str) -> Result<Map> {
        match self.take(key, "map", "#{}") {
            None => Ok(Map::new()),
            Some(value) => value.clone().try_cast::<Map>().ok_or_else(|| self.wrong(key, "a map #{ .. }", &value)),
        }
    }

    /// What was given and not asked for so far, for a function that passes the rest on.
    pub fn rest(&mut self) -> Map {
        std::mem::take(&mut self.given)
    }

    /// The valid options in one line: `width (int, 128), depth (int, 3)`.
    pub fn describe_valid(&self) -> String {
        let each = |a: &Asked| format!("{} ({}, {})", a.key, a.kind, a.default);
        self.asked.iter().map(each).collect::<Vec<_>>().join(", ")
    }

    /// Refuses options that the function does not have, naming the nearest one it has.
    pub fn finish(self) -> Result<()> {
        let Some(key) = self.given.keys().next() else { return Ok(()) };
        let error = Error::new("", format!("unknown option `{key}` for {}", self.operation)).word(key.as_str());
        let error = match nearest(key, self.asked.iter().map(|a| a.key.as_str())) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        };
        if self.asked.is_empty() {
            return Err(error.note(format!("{} takes no options", self.operation)));
        }
        Err(error.note(format!("options: {}", self.describe_valid())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, Dynamic)]) -> Options {
        Options::new("fit", pairs.iter().map(|(k, v)| ((*k).into(), v.clone())).collect())
    }

    #[test]
    fn integers_pass_where_floats_are_meant_and_whole_floats_where_integers_are() {
        let mut o = options(&[("lr", 1_i64.into()), ("epochs", 10.0.into())]);
        assert_eq!(o.number("lr", 0.1).unwrap(), 1.0);
        assert_eq!(o.count("epochs", 3).unwrap(), 10);
        assert!(o.finish().is_ok());
        assert!(options(&[("epochs", 10.5.into())]).count("epochs", 3).is_err());
    }

    #[test]
    fn an_unknown_key_names_itself_the_nearest_and_all_valid_ones() {
        let mut o = options(&[("lrr", 1_i64.into())]);
        o.number("lr", 0.1).unwrap();
        let Err(Error::Fault(fault)) = o.finish() else { panic!("accepted") };
        assert_eq!(fault.message, "unknown option `lrr` for fit");
        assert_eq!(fault.hint, "did you mean `lr`?");
        assert_eq!(fault.notes, ["options: lr (number, 0.1)"]);
    }

    #[test]
    fn wrong_types_and_ranges_say_what_was_expected_and_what_came() {
        let error = options(&[("lr", "0.1".into())]).number("lr", 0.1).unwrap_err();
        assert_eq!(error.to_string(), "fit: `lr` must be a finite number, got \"0.1\" (string)");
        let error = options(&[("lr", (-1_i64).into())]).positive("lr", 0.1).unwrap_err();
        assert_eq!(error.to_string(), "fit: `lr` must be above 0, got -1.0");
    }
}
