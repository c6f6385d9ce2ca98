//! How tensors print: one line with the shape, the values of small ones, a summary of others.

use super::dtype::{is_float, kind_name, kind_of};
use super::value::{floats, integers};
use crate::runtime::run::device_name;
use crate::runtime::{At, Result};
use tch::{Device, Kind};

/// Up to this many elements are shown.
const SHOWN: usize = 20;

/// `Tensor[2] f32 [1, 2.5]`, or `Tensor[64, 10] f32 cuda:0 · mean 0.013 · min -2.1 · max 2.4`.
pub fn describe(tensor: &tch::Tensor) -> String {
    let kind = kind_of(tensor);
    let mut text = format!("Tensor{:?} {}", tensor.size(), kind_name(kind));
    if tensor.device() != Device::Cpu {
        text += &format!(" {}", device_name(tensor.device()));
    }
    if tensor.requires_grad() {
        text += " grad";
    }
    let contents = if tensor.numel() <= SHOWN { values(tensor, kind) } else { summary(tensor, kind) };
    // A tensor whose values cannot be had (a failed CUDA kernel, say) still has a shape to print.
    text + contents.unwrap_or_default().as_str()
}

fn values(tensor: &tch::Tensor, kind: Kind) -> Result<String> {
    let shown: Vec<String> = match kind {
        Kind::Bool => integers(tensor)?.into_iter().map(|v| (v != 0).to_string()).collect(),
        kind if is_float(kind) => floats(tensor)?.into_iter().map(short).collect(),
        _ => integers(tensor)?.into_iter().map(|v| v.to_string()).collect(),
    };
    let mut text = String::from(" ");
    nest(&tensor.size(), &mut shown.into_iter(), &mut text);
    Ok(text)
}

fn nest(shape: &[i64], shown: &mut impl Iterator<Item = String>, text: &mut String) {
    let Some((size, rest)) = shape.split_first() else {
        text.push_str(&shown.next().unwrap_or_default());
        return;
    };
    text.push('[');
    for place in 0..*size {
        if place > 0 {
            text.push_str(", ");
        }
        nest(rest, shown, text);
        // Sizes such as [1000000, 0] have no elements, and nothing worth writing a million times.
        if rest.contains(&0) && place == 2 {
            text.push_str(", …");
            break;
        }
    }
    text.push(']');
}

fn summary(tensor: &tch::Tensor, kind: Kind) -> Result<String> {
    let _guard = tch::no_grad_guard();
    let number = |t: tch::Tensor| t.f_double_value(&[]).at("print");
    if kind == Kind::Bool {
        let count = number(tensor.f_sum(Kind::Int64).at("print")?)?;
        return Ok(format!(" · {count} of {} true", tensor.numel()));
    }
    // Half precision overflows in a sum, and integers have no mean.
    let wide = tensor.f_to_kind(if kind == Kind::Float { Kind::Float } else { Kind::Double }).at("print")?;
    let good = wide.f_isfinite().at("print")?;
    let nan = number(wide.f_isnan().and_then(|t| t.f_sum(Kind::Int64)).at("print")?)?;
    let finite = number(good.f_sum(Kind::Int64).at("print")?)?;
    let mut text = String::new();
    if finite > 0.0 {
        let all = finite == tensor.numel() as f64;
        let finite = if all { wide } else { wide.f_masked_select(&good).at("print")? };
        let mean = number(finite.f_mean(Kind::Double).at("print")?)?;
        let min = number(finite.f_min().at("print")?)?;
        let max = number(finite.f_max().at("print")?)?;
        text += &format!(" · mean {} · min {} · max {}", short(mean), short(min), short(max));
    }
    let infinite = tensor.numel() as f64 - finite - nan;
    for (count, name) in [(nan, "NaN"), (infinite, "infinite")] {
        if count > 0.0 {
            text += &format!(" · {count} {name}");
        }
    }
    Ok(text)
}

/// A number with about four digits.
pub fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { value.to_string() };
    }
    let magnitude = value.abs().log10().floor();
    if (-4.0..7.0).contains(&magnitude) {
        let digits = (3.0 - magnitude).clamp(0.0, 7.0) as usize;
        let text = format!("{value:.digits$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').into(),
            false => text,
        }
    } else {
        let text = format!("{value:.3e}");
        match text.split_once('e') {
            Some((digits, power)) => format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.')),
            None => text,
        }
    }
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    type Tensor = crate::tensor::Tensor;

    /// One line about a tensor: shape, dtype, device when it is not the CPU, then the values of a small tensor, or mean,
    /// smallest and largest of others; NaN and infinite elements are counted.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.5]).to_string() == "Tensor[2] f32 [1, 2.5]");
    /// ```
    #[rhai_fn(name = "to_string", pure)]
    pub fn to_string(tensor: &mut Tensor) -> String {
        super::describe(tensor)
    }

    #[rhai_fn(name = "to_debug", pure)]
    pub fn to_debug(tensor: &mut Tensor) -> String {
        super::describe(tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tensors_show_their_values_and_large_ones_a_summary() {
        let small = tch::Tensor::from_slice(&[1.0_f32, 2.5]);
        assert_eq!(describe(&small), "Tensor[2] f32 [1, 2.5]");
        assert_eq!(describe(&tch::Tensor::from(3_i64)), "Tensor[] i64 3");
        let large = tch::Tensor::arange(100, (Kind::Float, Device::Cpu));
        assert_eq!(describe(&large), "Tensor[100] f32 · mean 49.5 · min 0 · max 99");
        let mask = large.f_lt(10).unwrap();
        assert_eq!(describe(&mask), "Tensor[100] bool · 10 of 100 true");
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let mut values = vec![1.0_f32; 30];
        values[3] = f32::NAN;
        values[4] = f32::INFINITY;
        assert_eq!(
            describe(&tch::Tensor::from_slice(&values)),
            "Tensor[30] f32 · mean 1 · min 1 · max 1 · 1 NaN · 1 infinite"
        );
        assert_eq!(describe(&tch::Tensor::zeros([0, 3], (Kind::Float, Device::Cpu))), "Tensor[0, 3] f32 []");
    }

    #[test]
    fn numbers_keep_about_four_digits() {
        let cases = [(0.5, "0.5"), (-1234.56, "-1235"), (1.0 / 3.0, "0.3333"), (1e-9, "1e-9"), (12345678.0, "1.235e7")];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }
}
