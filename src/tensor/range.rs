//! The range of a dtype: numbers and elements that do not fit are refused, where torch would wrap them or fail.

use super::dtype::{is_float, kind_name, kind_of};
use crate::runtime::options::describe;
use crate::runtime::{At, Error, Result};
use crate::tensor::shape_errors::scalar;
use rhai::Dynamic;
use tch::{Device, Kind};

/// 2 to the power of 63: the first float beyond i64.
const BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

/// A number that meets a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer, which keeps integer tensors integer.
    Int(i64),
    /// A float.
    Float(f64),
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Number> for tch::Scalar {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(value) => Self::int(value),
            Number::Float(value) => Self::float(value),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

impl Number {
    /// As `read`, with true and false as 1 and 0.
    ///
    /// # Errors
    /// Anything but a number or a boolean.
    pub fn or_truth(operation: &str, what: &str, value: &Dynamic) -> Result<Self> {
        value.as_bool().map_or_else(|_| Self::read(operation, what, value), |truth| Ok(Self::Int(truth.into())))
    }

    /// The number of a script's value, named as `what` when it is none.
    ///
    /// # Errors
    /// Anything but an integer or a float.
    pub fn read(operation: &str, what: &str, value: &Dynamic) -> Result<Self> {
        match (value.as_int(), value.as_float()) {
            (Ok(integer), _) => Ok(Self::Int(integer)),
            (_, Ok(float)) => Ok(Self::Float(float)),
            _ => Err(Error::new(operation, format!("{what} must be a number, got {}", describe(value)))),
        }
    }

    /// The number as a float.
    pub fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// Whether it is no larger than another; NaN is not.
    pub fn at_most(self, other: Self) -> bool {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => one <= other,
            _ => self.float() <= other.float(),
        }
    }

    /// The element type in which the number meets one of `kind`: an integer takes that of integers, a float turns integers
    /// into f32, and a mask counts.
    pub fn meets(self, kind: Kind) -> Kind {
        match (kind, self) {
            (kind, _) if is_float(kind) => kind,
            (Kind::Bool, Self::Int(_)) => Kind::Int64,
            (kind, Self::Int(_)) => kind,
            (_, Self::Float(_)) => Kind::Float,
        }
    }

    /// The same number as an element of this type; floats are rounded to it.
    ///
    /// # Errors
    /// Numbers beyond the range of the type, and fractions where it holds integers.
    pub fn fit(self, operation: &str, kind: Kind) -> Result<Self> {
        let Some((low, high)) = integers(kind) else {
            let (value, (largest, beyond)) = (self.float(), floats(kind));
            return match value {
                _ if !value.is_finite() => Ok(Self::Float(value)),
                _ if value.abs() < beyond => Ok(Self::Float(value.clamp(-largest, largest))),
                _ => Err(self.unfit(operation, kind)),
            };
        };
        let whole = match self {
            Self::Int(value) => Some(value),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < BEYOND_I64 => Some(value as i64),
            Self::Float(value) => (value == -BEYOND_I64).then_some(i64::MIN),
        };
        match whole {
            Some(value) if (low..=high).contains(&value) => Ok(Self::Int(value)),
            _ => Err(self.unfit(operation, kind)),
        }
    }

    /// The error of a number that an element type does not hold.
    pub fn unfit(self, operation: &str, kind: Kind) -> Error {
        let name = kind_name(kind);
        if matches!(self, Self::Float(value) if value.is_finite() && value.fract() != 0.0) && !is_float(kind) {
            let message = format!("{self} is no whole number, and the element type is {name}");
            return Error::new(operation, message)
                .word("dtype")
                .hint("round(..) it, or take a float type: x.to(\"f32\")");
        }
        let message = format!("{self} does not fit {name} ({})", described(kind));
        let wider = match (integers(kind), self) {
            (Some(_), Self::Int(_)) if kind != Kind::Int64 => "i64",
            (Some(_), Self::Float(value)) if !value.is_finite() => "f32",
            (None, _) if kind != Kind::Float && self.float().abs() < floats(Kind::Float).1 => "f32",
            _ => "f64",
        };
        Error::new(operation, message).hint(format!("take a wider element type, e.g. x.to({wider:?})"))
    }

    /// A tensor of rank 0 on the host whose dtype leaves the other operand's as it is.
    ///
    /// # Errors
    /// A number that does not fit that dtype.
    pub fn beside(self, operation: &str, tensor: &tch::Tensor) -> Result<tch::Tensor> {
        self.element(operation, self.meets(kind_of(tensor)))
    }

    /// A tensor of rank 0 on the host with this element type.
    ///
    /// # Errors
    /// A number that does not fit it.
    pub fn element(self, operation: &str, kind: Kind) -> Result<tch::Tensor> {
        let number = self.fit(operation, kind)?;
        scalar(|| tch::Tensor::f_scalar_tensor(number, (kind, Device::Cpu))).at(operation)
    }
}

/// The smallest and largest integer of an element type of integers, masks included; nothing of floats.
pub fn integers(kind: Kind) -> Option<(i64, i64)> {
    Some(match kind {
        Kind::Bool => (0, 1),
        Kind::Uint8 => (0, 255),
        Kind::Int8 => (i8::MIN.into(), i8::MAX.into()),
        Kind::Int16 => (i16::MIN.into(), i16::MAX.into()),
        Kind::Int => (i32::MIN.into(), i32::MAX.into()),
        Kind::Int64 => (i64::MIN, i64::MAX),
        _ => return None,
    })
}

/// The largest finite float of an element type, and the first number that rounds to infinity.
fn floats(kind: Kind) -> (f64, f64) {
    match kind {
        Kind::Half => (65504.0, 65520.0),
        Kind::BFloat16 => (3.389_531_389_251_535_5e38, 3.396_177_529_230_459_7e38),
        Kind::Float => (f32::MAX.into(), 3.402_823_567_797_336_6e38),
        _ => (f64::MAX, f64::INFINITY),
    }
}

fn described(kind: Kind) -> String {
    match integers(kind) {
        Some((low, high)) => format!("{low} to {high}"),
        None => format!("up to {:.4e} either way", floats(kind).0),
    }
}

/// The smallest and the largest element of a tensor of integers; nothing of an empty one.
///
/// # Errors
/// When memory runs out.
pub fn bounds(operation: &str, tensor: &tch::Tensor) -> Result<Option<(i128, i128)>> {
    if tensor.numel() == 0 {
        return Ok(None);
    }
    let tensor = if kind_of(tensor) == Kind::Bool { &tensor.f_to_kind(Kind::Uint8).at(operation)? } else { tensor };
    let (low, high) = tensor.f_aminmax(None::<i64>, false).at(operation)?;
    let value = |t: tch::Tensor| t.f_int64_value(&[]).at(operation).map(i128::from);
    Ok(Some((value(low)?, value(high)?)))
}

/// What a conversion to integers does with fractions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fractions {
    /// They are cut off, towards 0: what was asked for in so many words.
    Cut,
    /// They are refused.
    Refused,
}

/// The tensor with another element type. What integers cannot hold (NaN, infinity, elements beyond the range) is refused;
/// conversions between floats round, and any element but 0 is true.
///
/// # Errors
/// Elements that do not fit, with their number and the first of them.
pub fn cast(operation: &str, tensor: &tch::Tensor, kind: Kind, fractions: Fractions) -> Result<tch::Tensor> {
    if kind != Kind::Bool && integers(kind).is_some() {
        if is_float(kind_of(tensor)) {
            whole_elements(operation, tensor, kind, fractions)?;
        } else {
            small_elements(operation, tensor, kind)?;
        }
    }
    tensor.f_to_kind(kind).at(operation)
}

/// Refuses integers beyond the range of a narrower type.
fn small_elements(operation: &str, tensor: &tch::Tensor, kind: Kind) -> Result<()> {
    let (Some(own), Some(range)) = (integers(kind_of(tensor)), integers(kind)) else { return Ok(()) };
    if own.0 >= range.0 && own.1 <= range.1 {
        return Ok(());
    }
    let (low, high) = (i128::from(range.0), i128::from(range.1));
    match bounds(operation, tensor)? {
        Some((least, most)) if least < low || most > high => {
            let wide = tensor.f_to_kind(Kind::Int64).at(operation)?;
            let outside =
                wide.f_lt(range.0).and_then(|below| below.f_logical_or(&wide.f_gt(range.1)?)).at(operation)?;
            Err(refused(operation, tensor, &outside, kind, "do not fit")?)
        }
        _ => Ok(()),
    }
}

/// Refuses floats that are no integers of this type.
fn whole_elements(operation: &str, tensor: &tch::Tensor, kind: Kind, fractions: Fractions) -> Result<()> {
    let Some((low, high)) = integers(kind).filter(|_| tensor.numel() > 0) else { return Ok(()) };
    let tensor = tensor.f_detach().at(operation)?;
    // The float next to the largest i64 is already too large.
    let (low, high) = (low as f64 - if kind == Kind::Int64 { 0.0 } else { 1.0 }, high as f64 + 1.0);
    let (least, most) = tensor.f_aminmax(None::<i64>, false).at(operation)?;
    let (least, most) = (least.f_double_value(&[]).at(operation)?, most.f_double_value(&[]).at(operation)?);
    let above = |x: f64| if kind == Kind::Int64 { x >= low } else { x > low };
    if !above(least) || most.is_nan() || most >= high {
        let wide = tensor.f_to_kind(Kind::Double).at(operation)?;
        let inside = if kind == Kind::Int64 { wide.f_ge(low) } else { wide.f_gt(low) };
        let outside =
            inside.and_then(|inside| inside.f_logical_and(&wide.f_lt(high)?)?.f_logical_not()).at(operation)?;
        return Err(refused(operation, &wide, &outside, kind, "do not fit")?);
    }
    if fractions == Fractions::Refused {
        let broken = tensor.f_frac().and_then(|part| part.f_ne(0)).at(operation)?;
        if broken.f_any().and_then(|any| any.f_int64_value(&[])).at(operation)? != 0 {
            return Err(refused(operation, &tensor, &broken, kind, "have a fraction, and do not fit")?
                .hint("round(..) the values, or convert them with .to(..), which cuts fractions off"));
        }
    }
    Ok(())
}

/// How many elements are refused, and the first of them.
fn refused(operation: &str, tensor: &tch::Tensor, mask: &tch::Tensor, kind: Kind, how: &str) -> Result<Error> {
    let chosen = tensor.f_masked_select(mask).at(operation)?;
    let first = super::value::scalar(&chosen.f_select(0, 0).at(operation)?)?;
    let first = Number::read(operation, "an element", &first)?;
    let message = format!(
        "{} of {} elements {how} {} ({}), the first is {first}",
        chosen.numel(),
        tensor.numel(),
        kind_name(kind),
        described(kind)
    );
    Ok(Error::new(operation, message)
        .hint("clamp(x, low, high) limits the values, isfinite(x) finds NaN and infinities"))
}

/// Refuses a tensor of rank 0 whose number a tensor of `kind` cannot hold: torch keeps the dtype of the larger tensor.
///
/// # Errors
/// Names the number.
pub fn fits_beside(operation: &str, single: &tch::Tensor, kind: Kind) -> Result<()> {
    let own = kind_of(single);
    if single.dim() > 0 || own == kind || is_float(own) != is_float(kind) || own == Kind::Bool || kind == Kind::Bool {
        return Ok(());
    }
    Number::read(operation, "the element", &super::value::scalar(&single.f_detach().at(operation)?)?)?
        .fit(operation, kind)
        .map(drop)
}

/// As `fits_beside`, for whichever of two tensors has rank 0.
///
/// # Errors
/// Names the number.
pub fn fit_each_other(operation: &str, left: &tch::Tensor, right: &tch::Tensor) -> Result<()> {
    match (left.dim(), right.dim()) {
        (0, 0) => Ok(()),
        (0, _) => fits_beside(operation, left, kind_of(right)),
        (_, 0) => fits_beside(operation, right, kind_of(left)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(number: impl Into<Number>, kind: Kind) -> Option<Number> {
        number.into().fit("test", kind).ok()
    }

    #[test]
    fn integers_hold_whole_numbers_of_their_range_alone() {
        assert_eq!(fit(255, Kind::Uint8), Some(Number::Int(255)));
        assert_eq!(fit(2.0, Kind::Int64), Some(Number::Int(2)));
        assert_eq!(fit(-9_223_372_036_854_775_808.0, Kind::Int64), Some(Number::Int(i64::MIN)));
        for (number, kind) in [(256.0, Kind::Uint8), (-1.0, Kind::Uint8), (2.0, Kind::Bool), (1.5, Kind::Int64)] {
            assert_eq!(fit(number, kind), None, "{number} in {kind:?}");
        }
        for number in [f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0, 1e300] {
            assert_eq!(fit(number, Kind::Int64), None, "{number}");
        }
        let error = Number::Int(300).fit("-", Kind::Uint8).unwrap_err().to_string();
        assert_eq!(error, "-: 300 does not fit u8 (0 to 255)");
    }

    #[test]
    fn floats_hold_what_does_not_round_to_infinity() {
        assert_eq!(fit(65519.0, Kind::Half), Some(Number::Float(65504.0)));
        assert_eq!(fit(65520, Kind::Half), None);
        assert_eq!(fit(3.4028235e38, Kind::Float), Some(Number::Float(f32::MAX.into())));
        assert_eq!(fit(1e39, Kind::Float), None);
        assert_eq!(fit(1e39, Kind::BFloat16), None);
        assert_eq!(fit(1e308, Kind::Double), Some(Number::Float(1e308)));
        assert_eq!(fit(f64::INFINITY, Kind::Half), Some(Number::Float(f64::INFINITY)));
        for kind in [Kind::Half, Kind::BFloat16, Kind::Float] {
            let (largest, beyond) = floats(kind);
            let stored = |x: f64| tch::Tensor::from(x).to_kind(kind).double_value(&[]);
            assert_eq!(stored(largest), largest, "{kind:?}");
            assert!(stored(beyond).is_infinite(), "{kind:?}");
            assert!(stored(largest + (beyond - largest) * 0.9).is_finite(), "{kind:?}");
        }
    }

    #[test]
    fn conversions_to_integers_refuse_what_they_cannot_hold_with_its_count() {
        let of = |values: &[f64], kind| {
            cast("to", &tch::Tensor::from_slice(values), kind, Fractions::Cut).map_err(|error| error.to_string())
        };
        let values = |t: tch::Tensor| crate::tensor::value::integers(&t).unwrap();
        assert_eq!(values(of(&[-0.9, 255.9], Kind::Uint8).unwrap()), [0, 255]);
        assert_eq!(values(of(&[-128.5, 127.0], Kind::Int8).unwrap()), [-128, 127]);
        assert_eq!(values(of(&[-9_223_372_036_854_775_808.0], Kind::Int64).unwrap()), [i64::MIN]);
        let error = of(&[1.0, 256.0, -1.0, f64::NAN], Kind::Uint8).unwrap_err();
        assert_eq!(error, "to: 3 of 4 elements do not fit u8 (0 to 255), the first is 256.0");
        for bad in [f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0] {
            assert!(of(&[bad], Kind::Int64).is_err(), "{bad}");
        }
        let longs = tch::Tensor::from_slice(&[1_i64, 300]);
        assert!(cast("to", &longs, Kind::Uint8, Fractions::Cut).is_err());
        assert!(cast("to", &longs, Kind::Int16, Fractions::Cut).is_ok());
        let halves = tch::Tensor::from_slice(&[0.5, 1.0]);
        assert!(cast("copy_", &halves, Kind::Int64, Fractions::Refused).unwrap_err().to_string().contains("1 of 2"));
        assert!(cast("to", &tch::Tensor::from_slice::<f64>(&[]), Kind::Uint8, Fractions::Refused).is_ok());
    }
}
