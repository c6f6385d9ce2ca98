//! Numbers as text, by a format as in Python: `.3f`, `8.2f`, `+.1e`, `,d`, `.1%`.

use crate::runtime::options::{as_number, describe};
use crate::runtime::{Error, Result};
use rhai::Dynamic;

/// A parsed format: `[[fill]align][sign][0][width][,][.precision][type]`.
#[derive(Debug, Default, PartialEq)]
struct Format {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    zeros: bool,
    width: usize,
    commas: bool,
    precision: Option<usize>,
    kind: Option<char>,
}

/// More would be a slip of the finger.
const WIDEST: usize = 200;

impl Format {
    fn parse(text: &str) -> Option<Self> {
        let mut format = Self::default();
        let mut rest: Vec<char> = text.chars().rev().collect();
        if let [.., align, fill] = rest.as_slice()
            && "<>^".contains(*align)
        {
            (format.fill, format.align) = (Some(*fill), Some(*align));
            rest.truncate(rest.len() - 2);
        } else {
            format.align = take(&mut rest, "<>^");
        }
        format.sign = take(&mut rest, "+ -");
        format.zeros = take(&mut rest, "0").is_some();
        format.width = digits(&mut rest)?.unwrap_or(0);
        format.commas = take(&mut rest, ",").is_some();
        if take(&mut rest, ".").is_some() {
            format.precision = Some(digits(&mut rest)??);
        }
        format.kind = take(&mut rest, "fFeEgd%s");
        rest.is_empty().then_some(format)
    }

    fn apply(&self, value: &Dynamic) -> Option<String> {
        let Some(number) = as_number(value) else {
            // Texts can be aligned, no more.
            let plain = self.kind.is_none_or(|k| k == 's') && self.sign.is_none() && self.precision.is_none();
            return plain.then(|| self.pad(String::new(), value.to_string(), '<'));
        };
        let digits = match (value.as_int(), self.kind, self.precision) {
            (Ok(integer), None | Some('d'), None) => integer.unsigned_abs().to_string(),
            (_, Some('s'), _) => return None,
            _ => self.digits(number.abs())?,
        };
        let negative = number.is_sign_negative() && !number.is_nan();
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        };
        let digits = if self.commas { grouped(&digits) } else { digits };
        Some(self.pad(sign.into(), digits, '>'))
    }

    /// The digits of a number that is not negative.
    fn digits(&self, x: f64) -> Option<String> {
        if !x.is_finite() {
            return Some(if x.is_nan() { "nan".into() } else { "inf".into() });
        }
        let places = self.precision.unwrap_or(6);
        Some(match self.kind {
            Some('f' | 'F') => format!("{x:.places$}"),
            Some('%') => format!("{:.places$}%", 100.0 * x),
            Some('e') => exponent(&format!("{x:.places$e}")),
            Some('E') => exponent(&format!("{x:.places$e}")).to_uppercase(),
            Some('d') if self.precision.is_none() && x.fract() == 0.0 => format!("{x:.0}"),
            Some('g') => general(x, places.max(1)),
            None if self.precision.is_some() => general(x, places.max(1)),
            None => Dynamic::from(x).to_string(),
            _ => return None,
        })
    }

    fn pad(&self, sign: String, digits: String, natural: char) -> String {
        let missing = self.width.saturating_sub(sign.chars().count() + digits.chars().count());
        if self.zeros && self.align.is_none() {
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        let fill = |count: usize| self.fill.unwrap_or(' ').to_string().repeat(count);
        match self.align.unwrap_or(natural) {
            '<' => format!("{sign}{digits}{}", fill(missing)),
            '^' => format!("{}{sign}{digits}{}", fill(missing / 2), fill(missing - missing / 2)),
            _ => format!("{}{sign}{digits}", fill(missing)),
        }
    }
}

fn take(rest: &mut Vec<char>, choices: &str) -> Option<char> {
    if rest.last().is_some_and(|c| choices.contains(*c)) { rest.pop() } else { None }
}

/// A number of the format; `None` inside when there is none, outside when it is too large.
fn digits(rest: &mut Vec<char>) -> Option<Option<usize>> {
    let mut value = None;
    while let Some(digit) = take(rest, "0123456789").and_then(|c| c.to_digit(10)) {
        value = Some(value.unwrap_or(0) * 10 + digit as usize).filter(|v| *v <= WIDEST);
        value?;
    }
    Some(value)
}

/// Rust's `1.5e-7` as everybody's `1.5e-07`.
fn exponent(text: &str) -> String {
    let Some((digits, power)) = text.split_once('e') else { return text.into() };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |p| ('-', p));
    format!("{digits}e{sign}{power:0>2}")
}

/// Significant digits, without trailing zeros; the exponent form where the number is very large or small.
fn general(x: f64, digits: usize) -> String {
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    let scientific = format!("{:.*e}", digits - 1, x);
    let power: i32 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    if (-4..digits as i32).contains(&power) {
        return trim(&format!("{:.*}", (digits as i32 - 1 - power).max(0) as usize, x));
    }
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    exponent(&format!("{}e{power}", trim(mantissa)))
}

/// Commas between groups of three digits.
fn grouped(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(end);
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// A value as text by a format.
///
/// # Errors
/// A format that is none, or that does not suit the value.
pub fn formatted(value: &Dynamic, format: &str) -> Result<String> {
    let value = match value.read_lock::<crate::tensor::Tensor>() {
        Some(tensor) => crate::tensor::value::scalar(&tensor)?,
        None => value.clone(),
    };
    let parsed = Format::parse(format).ok_or_else(|| {
        Error::new("fmt", format!("{format:?} is no format"))
            .hint("e.g. \".3f\", \"8.2f\", \"+.1e\", \",d\", \".1%\", \">10\"")
    })?;
    parsed.apply(&value).ok_or_else(|| Error::new("fmt", format!("{format:?} does not suit {}", describe(&value))))
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::runtime::Script;
    use rhai::Dynamic;

    /// A number as text by a format as in Python: `[[fill]align][sign][0][width][,][.precision][type]`, with the types `f`
    /// (fixed), `e` (exponent), `g` (significant digits), `d` (integer) and `%`. Texts can be aligned; tensors of one element
    /// count as numbers.
    ///
    /// # Signature
    /// fmt(value: number | string | Tensor, format: string) -> string
    ///
    /// # Example
    /// ```rhai
    /// assert(fmt(3.14259, ".2f") == "3.14");
    /// assert(fmt(0.256, ".1%") == "25.6%");
    /// assert(fmt(1234567, ",d") == "1,234,567");
    /// assert(fmt("ab", ">5") == "   ab");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fmt(value: Dynamic, format: &str) -> Script<String> {
        Ok(super::formatted(&value, format)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formats_agree_with_python() {
        let cases: [(Dynamic, &str, &str); 17] = [
            (3.14259.into(), ".3f", "3.143"),
            (3.14259.into(), "8.2f", "    3.14"),
            ((-3.14259).into(), "08.2f", "-0003.14"),
            (3.14259.into(), "+.1f", "+3.1"),
            (1.5e-7.into(), ".2e", "1.50e-07"),
            (0.0.into(), ".1e", "0.0e+00"),
            (0.1234.into(), ".1%", "12.3%"),
            (1_234_567_i64.into(), ",d", "1,234,567"),
            (1_234_567.891.into(), ",.1f", "1,234,567.9"),
            (7_i64.into(), "03d", "007"),
            (7_i64.into(), ".2f", "7.00"),
            (0.000_012_3.into(), ".2g", "1.2e-05"),
            (123_456.0.into(), ".3g", "1.23e+05"),
            (0.5.into(), ".3g", "0.5"),
            ("ab".into(), "*^6", "**ab**"),
            (f64::NAN.into(), ".2f", "nan"),
            (f64::NEG_INFINITY.into(), "6.2f", "  -inf"),
        ];
        for (value, format, expected) in cases {
            assert_eq!(formatted(&value, format).unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for format in ["x", ".f", ".999999999999f", "3.2q", "..2f"] {
            assert!(formatted(&1.0.into(), format).is_err(), "{format}");
        }
        assert!(formatted(&1.5.into(), "d").is_err());
        assert!(formatted(&"a".into(), ".2f").is_err());
    }

    proptest! {
        #[test]
        fn formatting_never_panics(format in ".{0,8}", value in any::<f64>()) {
            let _ = formatted(&value.into(), &format);
        }
    }
}
