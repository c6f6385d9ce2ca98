//! How tensors print: a number for a scalar, one line with the shape and the values of small ones or a summary of others, and
//! columns where a small matrix has lines of its own.

mod matrix;
mod summary;

use super::dtype::{is_float, kind_name, kind_of};
use super::value::{floats, integers};
use crate::runtime::Result;
use crate::runtime::run::device_name;
use tch::{Device, Kind};

/// Up to this many elements are shown in one line.
const SHOWN: usize = 20;

/// One line: `0.1035`, `Tensor[2] f32 [1, 2.5]`, or `Tensor[64, 10] f32 cuda:0 · mean 0.013 · min -2.1 · max 2.4`.
pub fn describe(tensor: &tch::Tensor) -> String {
    if let Some(number) = scalar(tensor) {
        return number;
    }
    let kind = kind_of(tensor);
    let contents = if tensor.numel() <= SHOWN { line(tensor, kind) } else { summary::text(tensor, kind) };
    // A tensor whose values cannot be had (a failed CUDA kernel, say) still has a shape to print.
    heading(tensor) + contents.unwrap_or_default().as_str()
}

/// What `print` shows: small matrices in columns below their heading, everything else as [`describe`] does.
pub fn display(tensor: &tch::Tensor) -> String {
    match matrix::columns(tensor) {
        Some(Ok(columns)) => format!("{}\n{columns}", heading(tensor)),
        _ => describe(tensor),
    }
}

/// What the prompt shows: as [`display`], and of a number that it is a tensor.
pub fn echo(tensor: &tch::Tensor) -> String {
    match scalar(tensor) {
        Some(number) => format!("{number} · {}", heading(tensor)),
        None => display(tensor),
    }
}

/// `Tensor[64, 10] f32 cuda:0 grad`.
fn heading(tensor: &tch::Tensor) -> String {
    let mut text = format!("Tensor{:?} {}", tensor.size(), kind_name(kind_of(tensor)));
    if tensor.device() != Device::Cpu {
        text += &format!(" {}", device_name(tensor.device()));
    }
    if tensor.requires_grad() {
        text += " grad";
    }
    text
}

/// The number that a tensor without dimensions is.
fn scalar(tensor: &tch::Tensor) -> Option<String> {
    let alone = tensor.defined() && tensor.dim() == 0;
    alone.then(|| values(tensor, kind_of(tensor)).ok()?.pop()).flatten()
}

/// The elements, each as text.
fn values(tensor: &tch::Tensor, kind: Kind) -> Result<Vec<String>> {
    Ok(match kind {
        Kind::Bool => integers(tensor)?.into_iter().map(|v| (v != 0).to_string()).collect(),
        kind if is_float(kind) => floats(tensor)?.into_iter().map(short).collect(),
        _ => integers(tensor)?.into_iter().map(|v| v.to_string()).collect(),
    })
}

/// The elements in one line, in brackets.
fn line(tensor: &tch::Tensor, kind: Kind) -> Result<String> {
    let mut text = String::from(" ");
    nest(&tensor.size(), &mut values(tensor, kind)?.into_iter(), &mut text);
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

/// An array with a line for each item, when it holds tensors that would make one line too wide.
fn listed(items: &rhai::Array, plain: String) -> String {
    let wall = plain.chars().count() > WIDTH && items.iter().any(|item| item.is::<super::Tensor>());
    if !wall {
        return plain;
    }
    let one = |item: &rhai::Dynamic| match item.read_lock::<super::Tensor>() {
        Some(tensor) => describe(&tensor),
        None => format!("{item:?}"),
    };
    let lines: String = items.iter().map(|item| format!("  {},\n", one(item))).collect();
    format!("[\n{lines}]")
}

/// Widest array of tensors that stays in one line.
const WIDTH: usize = 96;

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use rhai::{Array, Dynamic, NativeCallContext};

    type Tensor = crate::tensor::Tensor;

    /// One line about a tensor: the number of one without dimensions; else shape, dtype, device when it is not the CPU, then
    /// the values of a small tensor, or mean, smallest and largest of others; NaN and infinite elements are counted.
    ///
    /// `print(x)` and the prompt show small matrices, up to about 12 x 12, and stacks of them in columns below that line.
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.5]).to_string() == "Tensor[2] f32 [1, 2.5]");
    /// assert(`loss ${tensor([1.0, 2.0]).mean()}` == "loss 1.5");
    /// ```
    #[rhai_fn(name = "to_string", pure)]
    pub fn to_string(tensor: &mut Tensor) -> String {
        super::describe(tensor)
    }

    #[rhai_fn(name = "to_debug", pure)]
    pub fn to_debug(tensor: &mut Tensor) -> String {
        super::describe(tensor)
    }

    #[rhai_fn(name = "print", pure)]
    pub fn print(tensor: &mut Tensor) -> String {
        super::display(tensor)
    }

    #[rhai_fn(name = "print", pure)]
    pub fn print_array(context: NativeCallContext, items: &mut Array) -> String {
        let all = Dynamic::from(items.clone());
        let plain = context.call_native_fn::<String>("to_string", (all,));
        super::listed(items, plain.unwrap_or_else(|_| format!("{items:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tensors_show_their_values_and_large_ones_a_summary() {
        let small = tch::Tensor::from_slice(&[1.0_f32, 2.5]);
        assert_eq!(describe(&small), "Tensor[2] f32 [1, 2.5]");
        let loss = tch::Tensor::from(0.103_512_f32).set_requires_grad(true);
        assert_eq!((describe(&loss).as_str(), echo(&loss).as_str()), ("0.1035", "0.1035 · Tensor[] f32 grad"));
        assert_eq!(describe(&tch::Tensor::from(true)), "true");
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
    fn large_tensors_are_summarised_piece_by_piece() {
        let large = tch::Tensor::arange(9_000_000, (Kind::Float, Device::Cpu)).view([3, 3_000_000]);
        assert_eq!(describe(&large), "Tensor[3, 3000000] f32 · mean 4500000 · min 0 · max 8999999");
        let _ = large.get(1).get(5).fill_(f64::NAN);
        assert!(describe(&large).ends_with("· min 0 · max 8999999 · 1 NaN"), "{}", describe(&large));
        let bytes = tch::Tensor::full([9_000_000], 7, (Kind::Uint8, Device::Cpu));
        assert_eq!(describe(&bytes), "Tensor[9000000] u8 · mean 7 · min 7 · max 7");
        let mask = bytes.f_eq(7).unwrap();
        assert_eq!(describe(&mask), "Tensor[9000000] bool · 9000000 of 9000000 true");
    }

    #[test]
    fn small_matrices_print_in_columns() {
        let confusion = tch::Tensor::from_slice(&[57_i64, 0, 3, 12, 104, 0, 1, 2, 9]).view([3, 3]);
        assert_eq!(display(&confusion), "Tensor[3, 3] i64\n  57    0  3\n  12  104  0\n   1    2  9");
        let mixed = tch::Tensor::from_slice(&[0.5_f32, -12.345, 1.0 / 3.0, 1.0]).view([2, 2]);
        assert_eq!(display(&mixed), "Tensor[2, 2] f32\n  0.5     -12.35\n  0.3333    1");
        let odd = tch::Tensor::from_slice(&[f32::NAN, 1e-9, f32::INFINITY, 2.0]).view([2, 2]);
        assert_eq!(display(&odd), "Tensor[2, 2] f32\n  NaN  1e-9\n  inf  2");
        let stack = tch::Tensor::arange(8, (Kind::Int64, Device::Cpu)).view([2, 2, 2]);
        let expected = "Tensor[2, 2, 2] i64\n  [0]\n  0  1\n  2  3\n  [1]\n  4  5\n  6  7";
        assert_eq!(display(&stack), expected);
        assert_eq!(describe(&confusion).lines().count(), 1);
        for shape in [vec![40, 40], vec![2, 30], vec![7], vec![0, 3], vec![3, 0]] {
            let plain = tch::Tensor::ones(shape.as_slice(), (Kind::Float, Device::Cpu));
            assert_eq!(display(&plain).lines().count(), 1, "{shape:?}");
        }
        for shape in [vec![12, 12], vec![10, 10], vec![20, 3], vec![1, 4]] {
            let plain = tch::Tensor::ones(shape.as_slice(), (Kind::Float, Device::Cpu));
            assert_eq!(display(&plain).lines().count() as i64, 1 + shape[0], "{shape:?}");
        }
    }

    #[test]
    fn numbers_keep_about_four_digits() {
        let cases = [(0.5, "0.5"), (-1234.56, "-1235"), (1.0 / 3.0, "0.3333"), (1e-9, "1e-9"), (12345678.0, "1.235e7")];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }
}
