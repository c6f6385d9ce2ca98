//! Results of integers that their dtype cannot hold: torch wraps them around, here they are refused.

use super::dtype::{is_float, kind_name, kind_of};
use super::range::{bounds, integers};
use crate::runtime::{At, Error, Result};
use tch::{Kind, Tensor};

/// An operation that leads out of the range of its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Plus,
    Minus,
    Times,
    Power,
}

impl How {
    /// The operation of this name, in place or not.
    fn of(operation: &str) -> Option<Self> {
        Some(match operation {
            "+" | "add_" => Self::Plus,
            "-" | "sub_" => Self::Minus,
            "*" | "mul_" => Self::Times,
            "**" => Self::Power,
            _ => return None,
        })
    }

    /// The smallest and the largest result of operands within these bounds; what exceeds even these integers is cut to them.
    fn span(self, left: (i128, i128), right: (i128, i128)) -> (i128, i128) {
        let corners = |f: &dyn Fn(i128, i128) -> i128| {
            let all = [f(left.0, right.0), f(left.0, right.1), f(left.1, right.0), f(left.1, right.1)];
            (all.into_iter().min().unwrap_or(0), all.into_iter().max().unwrap_or(0))
        };
        match self {
            Self::Plus => (left.0 + right.0, left.1 + right.1),
            Self::Minus => (left.0 - right.1, left.1 - right.0),
            Self::Times => corners(&|a, b| a * b),
            Self::Power => {
                // An odd and an even exponent: the sign of a negative base alternates.
                let (a, b) = (right.1, (right.1 - 1).max(right.0));
                let right = (a.min(b), a.max(b));
                let (low, high) = (power(left.0, right.0), power(left.0, right.1));
                let (other, last) = (power(left.1, right.0), power(left.1, right.1));
                (low.min(high).min(other).min(last), low.max(high).max(other).max(last))
            }
        }
    }

    /// The results in floats, near enough to tell wrapped ones.
    fn exact(self, left: &Tensor, right: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
        let (left, right) = (left.f_to_kind(Kind::Double)?, right.f_to_kind(Kind::Double)?);
        match self {
            Self::Plus => left.f_add(&right),
            Self::Minus => left.f_sub(&right),
            Self::Times => left.f_mul(&right),
            Self::Power => left.f_pow(&right),
        }
    }
}

/// A power, cut to the range of these integers.
fn power(base: i128, exponent: i128) -> i128 {
    match (base, u32::try_from(exponent)) {
        (0 | 1, _) => base,
        (-1, _) => {
            if exponent % 2 == 0 {
                1
            } else {
                -1
            }
        }
        // Torch refuses negative exponents by itself.
        (_, Err(_)) if exponent < 0 => 0,
        (_, Err(_)) => i128::MAX,
        (_, Ok(exponent)) => {
            let beyond = if base < 0 && exponent % 2 == 1 { i128::MIN } else { i128::MAX };
            base.checked_pow(exponent).unwrap_or(beyond)
        }
    }
}

fn within(kind: Kind, (low, high): (i128, i128)) -> bool {
    integers(kind).is_none_or(|(least, most)| low >= i128::from(least) && high <= i128::from(most))
}

/// Refuses results of two tensors of integers, or of a tensor and a number, that are beyond their dtype.
///
/// # Errors
/// Names how many there are and the first.
pub fn refuse(operation: &str, left: &Tensor, right: &Tensor, result: &Tensor) -> Result<()> {
    let kind = kind_of(result);
    let Some(how) = How::of(operation).filter(|_| !is_float(kind) && kind != Kind::Bool) else { return Ok(()) };
    let (Some(a), Some(b)) = (bounds(operation, left)?, bounds(operation, right)?) else { return Ok(()) };
    if within(kind, how.span(a, b)) {
        return Ok(());
    }
    wrapped(operation, result, &how.exact(left, right).at(operation)?)
}

/// An operation of one tensor.
type Exact = fn(&Tensor) -> std::result::Result<Tensor, tch::TchError>;

/// Refuses results of one tensor of integers that are beyond its dtype.
///
/// # Errors
/// Names how many there are and the first.
pub fn refuse_single(operation: &str, tensor: &Tensor, result: &Tensor) -> Result<()> {
    let kind = kind_of(result);
    if is_float(kind) || kind == Kind::Bool {
        return Ok(());
    }
    let Some((low, high)) = bounds(operation, tensor)? else { return Ok(()) };
    let largest = low.abs().max(high.abs());
    let (span, exact): (_, Exact) = match operation {
        "abs" => ((0, largest), Tensor::f_abs),
        "square" => ((0, largest * largest), Tensor::f_square),
        "-" => ((-high, -low), Tensor::f_neg),
        _ => return Ok(()),
    };
    if within(kind, span) {
        return Ok(());
    }
    wrapped(operation, result, &tensor.f_to_kind(Kind::Double).and_then(|wide| exact(&wide)).at(operation)?)
}

/// Refuses sums and products of integers beyond their dtype; `exact` makes them anew from floats.
///
/// # Errors
/// Names how many there are and the first.
pub fn refuse_reduced(
    operation: &str,
    tensor: &Tensor,
    result: &Tensor,
    exact: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<()> {
    if is_float(kind_of(result)) || kind_of(result) == Kind::Bool {
        return Ok(());
    }
    let Some((low, high)) = bounds(operation, tensor)? else { return Ok(()) };
    let (largest, count) = (low.abs().max(high.abs()), tensor.numel() as i128);
    let most = match operation {
        "prod" | "cumprod" => power(largest.max(1), count),
        _ => largest * count,
    };
    if within(kind_of(result), (-most, most)) {
        return Ok(());
    }
    wrapped(operation, result, &exact(&tensor.f_to_kind(Kind::Double).at(operation)?)?)
}

/// Refuses sums of up to `length` products of integers beyond their dtype; `exact` makes them anew from floats.
///
/// # Errors
/// Names how many there are and the first.
pub fn refuse_products(
    operation: &str,
    operands: &[&Tensor],
    length: usize,
    result: &Tensor,
    exact: impl FnOnce(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    if is_float(kind_of(result)) || kind_of(result) == Kind::Bool {
        return Ok(());
    }
    let mut most = length as i128;
    for operand in operands {
        let Some((low, high)) = bounds(operation, operand)? else { return Ok(()) };
        most = most.saturating_mul(low.abs().max(high.abs()));
    }
    if within(kind_of(result), (most.saturating_neg(), most)) {
        return Ok(());
    }
    let wide = operands.iter().map(|operand| operand.f_to_kind(Kind::Double).at(operation));
    wrapped(operation, result, &exact(&wide.collect::<Result<Vec<_>>>()?)?)
}

/// Refuses integer results that are far from the exact ones: wrapping moves them by the whole width of the dtype.
fn wrapped(operation: &str, result: &Tensor, exact: &Tensor) -> Result<()> {
    let kind = kind_of(result);
    let Some((low, high)) = integers(kind) else { return Ok(()) };
    let half = (high as f64 - low as f64 + 1.0) / 2.0;
    let apart = result.f_to_kind(Kind::Double).and_then(|t| t.f_sub(exact)?.f_abs()).at(operation)?;
    // Written so that a result that is no number counts.
    let outside = apart.f_lt(half).and_then(|near| near.f_logical_not()).at(operation)?;
    let chosen = exact.f_masked_select(&outside).at(operation)?;
    if chosen.numel() == 0 {
        return Ok(());
    }
    let first = chosen.f_double_value(&[0]).at(operation)?;
    let (count, name) = (chosen.numel(), kind_name(kind));
    let message =
        format!("{count} of {} results do not fit {name} ({low} to {high}), the first is {first:?}", exact.numel());
    let wider = if kind == Kind::Int64 { "f64" } else { "i64" };
    Err(Error::new(operation, message).hint(format!("take a wider element type, e.g. x.to({wider:?})")))
}

/// Refuses division of integers by zero, and that of the smallest integer by -1, which some processors trap.
///
/// # Errors
/// Says which it is.
pub fn divisor(operation: &str, left: &Tensor, right: &Tensor) -> Result<()> {
    if is_float(kind_of(left)) || is_float(kind_of(right)) {
        return Ok(());
    }
    let Some((low, high)) = bounds(operation, right)? else { return Ok(()) };
    let any = |mask: std::result::Result<Tensor, tch::TchError>| {
        mask.and_then(|mask| mask.f_any()?.f_int64_value(&[])).at(operation).map(|any| any != 0)
    };
    if low <= 0 && high >= 0 && any(right.f_eq(0))? {
        let message = "an integer divided by 0 has no value";
        return Err(Error::new(operation, message).hint("with floats, x.to(\"f32\"), it is infinite or NaN"));
    }
    let Some((least, _)) = integers(kind_of(left)).filter(|range| range.0 < 0) else { return Ok(()) };
    if low <= -1 && high >= -1 && bounds(operation, left)?.is_some_and(|(low, _)| low == i128::from(least)) {
        let smallest = left.f_eq(least).at(operation)?;
        if any(right.f_eq(-1).and_then(|minus| minus.f_logical_and(&smallest)))? {
            let message = format!("{least} divided by -1 does not fit {}", kind_name(kind_of(left)));
            return Err(Error::new(operation, message).hint("take a wider element type, or floats"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What integers of any size say of an operation.
    fn exactly(operation: &str, a: i64, b: i64) -> i128 {
        let (a, b) = (i128::from(a), i128::from(b));
        match operation {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ => power(a, b),
        }
    }

    fn by_torch(operation: &str, a: &Tensor, b: &Tensor) -> Tensor {
        match operation {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ => a.pow(b),
        }
    }

    fn edge(kind: Kind) -> impl Strategy<Value = i64> {
        let (low, high) = integers(kind).unwrap();
        let near = (high as f64).sqrt() as i64;
        prop_oneof![-3_i64..4, Just(low), Just(high), Just(low + 1), Just(high - 1), near - 2..near + 3]
            .prop_map(move |value| value.clamp(low, high))
    }

    fn agrees(kind: Kind, operation: &str, a: &[i64], b: &[i64]) -> std::result::Result<(), TestCaseError> {
        let (low, high) = integers(kind).unwrap();
        let fits = |(a, b): (&i64, &i64)| {
            let value = exactly(operation, *a, *b);
            value >= i128::from(low) && value <= i128::from(high)
        };
        let (left, right) = (Tensor::from_slice(a).to_kind(kind), Tensor::from_slice(b).to_kind(kind));
        let result = by_torch(operation, &left, &right);
        let refused = refuse(operation, &left, &right, &result).is_err();
        prop_assert_eq!(refused, !a.iter().zip(b).all(fits), "{:?} {} {:?} in {:?}", a, operation, b, kind);
        Ok(())
    }

    proptest! {
        #[test]
        fn results_are_refused_exactly_when_they_do_not_fit(
            small in prop::collection::vec((edge(Kind::Uint8), edge(Kind::Uint8)), 1..4),
            signed in prop::collection::vec((edge(Kind::Int8), edge(Kind::Int8)), 1..4),
            long in prop::collection::vec((edge(Kind::Int64), edge(Kind::Int64)), 1..4),
            exponents in prop::collection::vec((edge(Kind::Int64), 0_i64..70), 1..4),
        ) {
            for operation in ["+", "-", "*"] {
                for (kind, pairs) in [(Kind::Uint8, &small), (Kind::Int8, &signed), (Kind::Int64, &long)] {
                    let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
                    agrees(kind, operation, &a, &b)?;
                }
            }
            let (a, b): (Vec<_>, Vec<_>) = exponents.into_iter().unzip();
            agrees(Kind::Int64, "**", &a, &b)?;
        }
    }

    #[test]
    fn single_tensors_and_sums_are_checked_too() {
        let least = Tensor::from_slice(&[i64::MIN, 1]);
        assert!(refuse_single("abs", &least, &least.abs()).is_err());
        assert!(refuse_single("-", &least, &least.neg()).is_err());
        let byte = Tensor::from_slice(&[1_u8]);
        assert!(refuse_single("-", &byte, &byte.neg()).unwrap_err().to_string().contains("the first is -1.0"));
        assert!(refuse_single("square", &Tensor::from_slice(&[15_u8]), &Tensor::from_slice(&[225_u8])).is_ok());
        let large = Tensor::from_slice(&[i64::MAX, i64::MAX, -i64::MAX]);
        let sum = |t: &Tensor| Ok(t.sum(Kind::Double));
        assert!(refuse_reduced("sum", &large, &large.sum(Kind::Int64), sum).is_ok());
        let two = large.narrow(0, 0, 2);
        assert!(refuse_reduced("sum", &two, &two.sum(Kind::Int64), sum).is_err());
    }

    #[test]
    fn integers_are_not_divided_by_zero_and_the_smallest_not_by_minus_one() {
        let of = |a: i64, b: i64| divisor("%", &Tensor::from_slice(&[a, 1]), &Tensor::from_slice(&[b]));
        assert!(of(1, 0).unwrap_err().to_string().contains("divided by 0"));
        assert!(of(i64::MIN, -1).is_err());
        assert!(of(i64::MIN, 2).is_ok() && of(i64::MAX, -1).is_ok());
    }
}
