//! `options(opt, #{ .. })`: how a method written in a script declares its options, and how presets fill them.

use crate::runtime::options::{as_integer, as_number, describe, nearest};
use crate::runtime::{Error, Options, Result};
use rhai::{Array, Dynamic, Map};

/// The options that `unlearn::run` consumes; a method cannot have one of these names.
pub const RUN_OPTIONS: [&str; 10] =
    ["name", "variant", "accelerate", "regularizer", "seed", "every", "keep", "weights", "budget", "on_error"];

/// What an option accepts beyond the type of its default.
#[derive(Debug, Clone, PartialEq)]
pub enum Range {
    /// A number above zero.
    Positive,
    /// A number of at least zero.
    NonNegative,
    /// A number within two bounds.
    Between(f64, f64),
    /// A whole number of at least one.
    Count,
    /// A whole number of at least zero.
    Whole,
    /// One of these words.
    OneOf(Vec<String>),
}

/// Whether a rule asks for whole numbers.
pub fn is_whole(rule: &Dynamic) -> bool {
    match rule.read_lock::<Rule>() {
        Some(rule) => matches!(rule.range, Range::Count | Range::Whole),
        None => rule.is_int(),
    }
}

/// A default with the range that goes with it: what `positive(0.1)` returns.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The value when the option is not given.
    pub default: Dynamic,
    /// What is accepted.
    pub range: Range,
}

impl Rule {
    fn number(operation: &str, default: &Dynamic, range: Range) -> Result<Self> {
        let value = as_number(default)
            .filter(|x| x.is_finite())
            .ok_or_else(|| Error::new(operation, format!("the default must be a number, got {}", describe(default))))?;
        Ok(Self { default: value.into(), range })
    }

    /// How the rule reads in messages and when printed.
    pub fn describe(&self) -> String {
        match &self.range {
            Range::Positive => format!("positive({})", self.default),
            Range::NonNegative => format!("non_negative({})", self.default),
            Range::Between(low, high) => format!("between({}, {low}, {high})", self.default),
            Range::Count => format!("count({})", self.default),
            Range::Whole => format!("whole({})", self.default),
            Range::OneOf(words) => format!("one_of({:?}, {words:?})", self.default.to_string()),
        }
    }
}

/// Reads the options of `operation` by the rules: given ones first, then the preset's, then the rules' defaults. Returns
/// every option of the rules with the value that counts, in the type the rule asks for.
///
/// # Errors
/// An unknown option, one of a wrong type or out of range, and a rule that contradicts itself.
pub fn read(operation: &str, given: Map, preset: &Map, rules: &Map) -> Result<Map> {
    if let Some(key) = rules.keys().find(|key| RUN_OPTIONS.contains(&key.as_str())) {
        return Err(Error::new(
            "options",
            format!("`{key}` belongs to unlearn::run and cannot be an option of a method"),
        )
        .word(key.as_str()));
    }
    let mut merged = given;
    for (key, value) in preset {
        // A preset may know options that this form of the method does not have.
        if rules.contains_key(key) && merged.get(key).is_none_or(Dynamic::is_unit) {
            merged.insert(key.clone(), value.clone());
        }
    }
    let mut options = Options::new(operation, merged);
    let mut read = Map::new();
    for (key, rule) in rules {
        // The default itself goes through the same checks: a rule whose default it refuses is a mistake in the method.
        read.insert(key.clone(), one(&mut options, key, rule)?);
    }
    options.finish().map_err(mistaken)?;
    Ok(read)
}

/// An unknown option may be a misspelt one of `unlearn::run`.
fn mistaken(error: Error) -> Error {
    let Error::Fault(fault) = &error else { return error };
    match nearest(&fault.word, RUN_OPTIONS) {
        Some(near) if fault.hint.is_empty() => error.hint(format!("did you mean `{near}` of unlearn::run?")),
        _ => error,
    }
}

/// One option by its rule.
fn one(options: &mut Options, key: &str, rule: &Dynamic) -> Result<Dynamic> {
    if let Some(rule) = rule.clone().try_cast::<Rule>() {
        return ranged(options, key, &rule);
    }
    if let Ok(default) = rule.as_bool() {
        return Ok(options.flag(key, default)?.into());
    }
    if let Ok(default) = rule.as_int() {
        return Ok(options.integer(key, default, i64::MIN)?.into());
    }
    if let Ok(default) = rule.as_float() {
        return Ok(options.number(key, default)?.into());
    }
    if rule.is_string() {
        return Ok(options.text(key, &rule.to_string())?.into());
    }
    if rule.is_map() {
        let given = options.map(key)?;
        return Ok(if given.is_empty() { rule.clone() } else { given.into() });
    }
    Ok(options.take(key, kind_of(rule), describe(rule)).unwrap_or_else(|| rule.clone()))
}

/// The word for a default that fixes no type: arrays, functions, `()`.
fn kind_of(rule: &Dynamic) -> &'static str {
    if rule.is_array() {
        "array"
    } else if rule.is_fnptr() {
        "function"
    } else {
        "any"
    }
}

fn ranged(options: &mut Options, key: &str, rule: &Rule) -> Result<Dynamic> {
    let number = as_number(&rule.default).unwrap_or(f64::NAN);
    Ok(match &rule.range {
        Range::Positive => options.positive(key, number)?.into(),
        Range::NonNegative => options.non_negative(key, number)?.into(),
        Range::Between(low, high) => options.between(key, number, *low, *high)?.into(),
        Range::Count => (options.count(key, as_integer(&rule.default).unwrap_or(1).max(1) as usize)? as i64).into(),
        Range::Whole => options.integer(key, as_integer(&rule.default).unwrap_or(0), 0)?.into(),
        Range::OneOf(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            options.choice(key, &rule.default.to_string(), &words)?.into()
        }
    })
}

/// A word and the words it may be.
fn one_of(default: &str, words: &Array) -> Result<Rule> {
    let words: Vec<String> = words
        .iter()
        .map(|word| {
            word.clone()
                .into_string()
                .map_err(|kind| Error::new("one_of", format!("words must be strings, got {kind}")))
        })
        .collect::<Result<_>>()?;
    if !words.iter().any(|word| word == default) {
        return Err(Error::new("one_of", format!("the default {default:?} is not among {words:?}")));
    }
    Ok(Rule { default: default.to_string().into(), range: Range::OneOf(words) })
}

fn between(default: &Dynamic, low: &Dynamic, high: &Dynamic) -> Result<Rule> {
    let bound = |value: &Dynamic| {
        as_number(value)
            .ok_or_else(|| Error::new("between", format!("a bound must be a number, got {}", describe(value))))
    };
    let (low, high) = (bound(low)?, bound(high)?);
    let rule = Rule::number("between", default, Range::Between(low, high))?;
    match as_number(&rule.default) {
        Some(x) if (low..=high).contains(&x) => Ok(rule),
        _ => Err(Error::new("between", format!("the default {default} is not between {low} and {high}"))),
    }
}

/// What scripts see of option rules.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use crate::runtime::options::{as_integer, as_number, describe};
    use crate::runtime::{Error, Script};
    use rhai::{Array, Dynamic};

    /// An option's default together with the range it may be given in.
    pub type Rule = super::Rule;

    /// An option that must be a number above 0, with its default; for the declarations of `options`.
    ///
    /// # Example
    /// ```rhai
    /// let o = options(#{ lr: 1 }, #{ lr: positive(0.01) });
    /// assert(o.lr == 1.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn positive(default: Dynamic) -> Script<Rule> {
        let rule = super::Rule::number("positive", &default, super::Range::Positive)?;
        if as_number(&rule.default).is_some_and(|x| x > 0.0) {
            return Ok(rule);
        }
        Err(Error::new("positive", format!("the default must be above 0, got {}", describe(&default))).into())
    }

    /// An option that must be a number of at least 0, with its default; for the declarations of `options`.
    ///
    /// # Example
    /// ```rhai
    /// let o = options(#{}, #{ weight_decay: non_negative(0) });
    /// assert(o.weight_decay == 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn non_negative(default: Dynamic) -> Script<Rule> {
        let rule = super::Rule::number("non_negative", &default, super::Range::NonNegative)?;
        if as_number(&rule.default).is_some_and(|x| x >= 0.0) {
            return Ok(rule);
        }
        Err(Error::new("non_negative", format!("the default must be 0 or above, got {}", describe(&default))).into())
    }

    /// An option that must be a number from `low` to `high`, with its default; for the declarations of `options`.
    ///
    /// # Example
    /// ```rhai
    /// let o = options(#{ momentum: 0.5 }, #{ momentum: between(0.9, 0, 1) });
    /// assert(o.momentum == 0.5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn between(default: Dynamic, low: Dynamic, high: Dynamic) -> Script<Rule> {
        Ok(super::between(&default, &low, &high)?)
    }

    /// An option that must be a whole number of at least 1, with its default; for the declarations of `options`.
    ///
    /// # Example
    /// ```rhai
    /// let o = options(#{}, #{ epochs: count(10) });
    /// assert(o.epochs == 10);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn count(default: Dynamic) -> Script<Rule> {
        match as_integer(&default) {
            Some(n) if n >= 1 => Ok(super::Rule { default: n.into(), range: super::Range::Count }),
            _ => {
                let message = format!("the default must be a whole number of at least 1, got {}", describe(&default));
                Err(Error::new("count", message).into())
            }
        }
    }

    /// An option that must be a whole number of at least 0, with its default; for the declarations of `options`.
    ///
    /// # Example
    /// ```rhai
    /// let o = options(#{ warmup: 0 }, #{ warmup: whole(5) });
    /// assert(o.warmup == 0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn whole(default: Dynamic) -> Script<Rule> {
        match as_integer(&default) {
            Some(n) if n >= 0 => Ok(super::Rule { default: n.into(), range: super::Range::Whole }),
            _ => {
                let message = format!("the default must be a whole number of at least 0, got {}", describe(&default));
                Err(Error::new("whole", message).into())
            }
        }
    }

    /// An option that must be one of a list of words, with its default; for the declarations of `options`.
    ///
    /// # Example
    /// ```rhai
    /// let o = options(#{ kind: "b" }, #{ kind: one_of("a", ["a", "b"]) });
    /// assert(o.kind == "b");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn one_of(default: &str, words: Array) -> Script<Rule> {
        Ok(super::one_of(default, &words)?)
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn show(rule: &mut Rule) -> String {
        rule.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, Dynamic)]) -> Map {
        pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect()
    }

    fn positive(default: f64) -> Dynamic {
        Dynamic::from(Rule { default: default.into(), range: Range::Positive })
    }

    #[test]
    fn what_is_given_beats_the_preset_and_the_preset_the_default() {
        let rules = map(&[("lr", positive(0.1)), ("epochs", 3_i64.into()), ("flag", false.into())]);
        let preset = map(&[("lr", 0.2.into()), ("epochs", 5_i64.into()), ("elsewhere", 1_i64.into())]);
        let read = read("m", map(&[("lr", 1_i64.into())]), &preset, &rules).unwrap();
        assert_eq!(read["lr"].as_float().unwrap(), 1.0);
        assert_eq!(read["epochs"].as_int().unwrap(), 5);
        assert!(!read["flag"].as_bool().unwrap());
        assert!(!read.contains_key("elsewhere"));
    }

    #[test]
    fn ranges_types_and_unknown_keys_are_refused_by_name() {
        let rules = map(&[
            ("lr", positive(0.1)),
            ("momentum", Dynamic::from(between(&0.9.into(), &0_i64.into(), &1_i64.into()).unwrap())),
        ]);
        let refused =
            |key: &str, value: Dynamic| read("m", map(&[(key, value)]), &Map::new(), &rules).unwrap_err().to_string();
        assert_eq!(refused("lr", 0_i64.into()), "m: `lr` must be above 0, got 0.0");
        assert_eq!(refused("momentum", 2_i64.into()), "m: `momentum` must be between 0 and 1, got 2.0");
        assert_eq!(refused("lr", "x".into()), "m: `lr` must be a finite number, got \"x\" (string)");
        assert_eq!(refused("lrr", 1_i64.into()), "unknown option `lrr` for m");
    }

    #[test]
    fn a_words_rule_lists_its_words() {
        let rules = map(&[("kind", Dynamic::from(one_of("a", &vec!["a".into(), "b".into()]).unwrap()))]);
        assert_eq!(read("m", Map::new(), &Map::new(), &rules).unwrap()["kind"].to_string(), "a");
        let error = read("m", map(&[("kind", "c".into())]), &Map::new(), &rules).unwrap_err();
        assert_eq!(error.to_string(), "m: `kind` must be one of \"a\" | \"b\", got \"c\" (string)");
        assert!(one_of("c", &vec!["a".into()]).is_err());
    }
}
