//! A large tensor in a few figures, taken piece by piece: looking at a tensor must not need memory of its size.

use super::short;
use crate::runtime::{At, Result};
use tch::{Kind, Tensor};

/// Elements that are looked at together.
const PIECE: usize = 4 << 20;

/// What is known of the elements seen so far.
struct Tally {
    finite: f64,
    nan: f64,
    sum: f64,
    low: f64,
    high: f64,
}

/// `· mean 0.013 · min -2.1 · max 2.4`, with what is not finite counted; of masks how many elements are true.
pub fn text(tensor: &Tensor, kind: Kind) -> Result<String> {
    let _guard = tch::no_grad_guard();
    if kind == Kind::Bool {
        let mut count = 0.0;
        for piece in pieces(tensor)? {
            count += number(piece.f_sum(Kind::Int64).at("print")?)?;
        }
        return Ok(format!(" · {count} of {} true", tensor.numel()));
    }
    let mut tally = Tally { finite: 0.0, nan: 0.0, sum: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY };
    for piece in pieces(tensor)? {
        tally.add(&piece, kind)?;
    }
    Ok(tally.text(tensor.numel() as f64))
}

fn number(tensor: Tensor) -> Result<f64> {
    tensor.f_double_value(&[]).at("print")
}

/// The tensor in parts along its largest dimension.
fn pieces(tensor: &Tensor) -> Result<Vec<Tensor>> {
    let (shape, count) = (tensor.size(), tensor.numel());
    let largest = shape.iter().enumerate().max_by_key(|(_, size)| **size);
    let Some((dimension, size)) = largest.filter(|_| count > PIECE) else { return Ok(vec![tensor.shallow_clone()]) };
    let step = (PIECE as i64).saturating_mul(*size) / (count as i64).max(1);
    tensor.f_split(step.max(1), dimension as i64).at("print")
}

impl Tally {
    fn add(&mut self, piece: &Tensor, kind: Kind) -> Result<()> {
        // Half precision overflows in a sum, and integers have no mean.
        let wide = piece.f_to_kind(if kind == Kind::Float { Kind::Float } else { Kind::Double }).at("print")?;
        let sum = number(wide.f_sum(Kind::Double).at("print")?)?;
        if sum.is_finite() {
            return self.take(&wide, wide.numel() as f64, sum);
        }
        let good = wide.f_isfinite().at("print")?;
        self.nan += number(wide.f_isnan().and_then(|t| t.f_sum(Kind::Int64)).at("print")?)?;
        let count = number(good.f_sum(Kind::Int64).at("print")?)?;
        if count > 0.0 {
            let finite = wide.f_masked_select(&good).at("print")?;
            let sum = number(finite.f_sum(Kind::Double).at("print")?)?;
            self.take(&finite, count, sum)?;
        }
        Ok(())
    }

    /// Takes in elements that are all finite.
    fn take(&mut self, finite: &Tensor, count: f64, sum: f64) -> Result<()> {
        self.finite += count;
        self.sum += sum;
        self.low = self.low.min(number(finite.f_min().at("print")?)?);
        self.high = self.high.max(number(finite.f_max().at("print")?)?);
        Ok(())
    }

    fn text(&self, all: f64) -> String {
        let mut text = String::new();
        if self.finite > 0.0 {
            let mean = self.sum / self.finite;
            text += &format!(" · mean {} · min {} · max {}", short(mean), short(self.low), short(self.high));
        }
        for (count, name) in [(self.nan, "NaN"), (all - self.finite - self.nan, "infinite")] {
            if count > 0.0 {
                text += &format!(" · {count} {name}");
            }
        }
        text
    }
}
