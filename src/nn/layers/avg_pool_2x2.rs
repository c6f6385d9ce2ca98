//! Average pooling of 2 x 2 blocks on the CPU, where torch's kernel handles one output at a time: two sums of neighbours
//! when no gradient is wanted, one small matrix product (whose gradient is another one) when it is. Two to six times as
//! fast; the results agree to rounding.

use crate::runtime::{At, Result};
use tch::{Device, Kind, Tensor};

/// The product takes `4 * width` operations for an output; beyond this width torch's kernel is no slower.
const WIDEST: i64 = 64;

/// The mean of each 2 x 2 block of images `[n, c, h, w]`; `None` where torch's own pooling has to do it.
///
/// # Errors
/// Those of torch.
pub fn halved(x: &Tensor) -> Result<Option<Tensor>> {
    let [n, c, h, w] = x.size()[..] else { return Ok(None) };
    let fits = h % 2 == 0 && w % 2 == 0 && h > 0 && (1..=WIDEST).contains(&w) && x.numel() > 0;
    if !fits || x.device() != Device::Cpu || x.kind() != Kind::Float || !x.is_contiguous() {
        return Ok(None);
    }
    let pooled = if x.requires_grad() { product(x, w)? } else { sums(x, w)? };
    pooled.f_view([n, c, h / 2, w / 2]).at("avg_pool2d").map(Some)
}

/// Pairs of rows, each of `2 * w` numbers, times a matrix that holds 1/4 where a number belongs to an output.
fn product(x: &Tensor, w: i64) -> Result<Tensor> {
    let (inputs, outputs) = (2 * w as usize, w as usize / 2);
    let mut weights = vec![0_f32; inputs * outputs];
    for (input, row) in weights.chunks_exact_mut(outputs).enumerate() {
        if let Some(weight) = row.get_mut(input % w as usize / 2) {
            *weight = 0.25;
        }
    }
    let weights = Tensor::f_from_slice(&weights).at("avg_pool2d")?;
    let weights = weights.f_view([2 * w, w / 2]).at("avg_pool2d")?;
    x.f_view([-1, 2 * w]).at("avg_pool2d")?.f_matmul(&weights).at("avg_pool2d")
}

/// Neighbouring rows added, then neighbouring columns.
fn sums(x: &Tensor, w: i64) -> Result<Tensor> {
    let rows = pairs(&x.f_view([-1, 2, w]).at("avg_pool2d")?)?;
    let mut blocks = pairs(&rows.f_view([-1, 2]).at("avg_pool2d")?)?;
    blocks.f_mul_scalar_(0.25).at("avg_pool2d")
}

/// The two halves of dimension 1, added.
fn pairs(x: &Tensor) -> Result<Tensor> {
    x.f_select(1, 0).at("avg_pool2d")?.f_add(&x.f_select(1, 1).at("avg_pool2d")?).at("avg_pool2d")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;

    fn images(n: i64, c: i64, h: i64, w: i64) -> Tensor {
        Tensor::from_slice(&Stream::new(1, "pool").normals((n * c * h * w) as usize)).view([n, c, h, w])
    }

    #[test]
    fn both_forms_and_their_gradient_agree_with_torch() {
        for (h, w) in [(2, 2), (4, 8), (6, 2), (8, 64), (32, 32)] {
            let x = images(3, 5, h, w);
            let want = x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
            assert!(halved(&x).unwrap().unwrap().allclose(&want, 1e-5, 1e-6, false));
            let (ours, theirs) = (x.copy().set_requires_grad(true), x.copy().set_requires_grad(true));
            let got = halved(&ours).unwrap().unwrap();
            assert!(got.allclose(&want, 1e-5, 1e-6, false), "{h} x {w}");
            (got.square() * 3.0).sum(Kind::Float).backward();
            let plain = theirs.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
            (plain.square() * 3.0).sum(Kind::Float).backward();
            assert!(ours.grad().allclose(&theirs.grad(), 1e-5, 1e-6, false), "{h} x {w}");
        }
    }

    #[test]
    fn shapes_that_do_not_halve_are_left_to_torch() {
        for x in [images(1, 1, 5, 4), images(1, 1, 4, 5), images(1, 1, 2, 66), images(1, 1, 4, 4).squeeze_dim(0)] {
            assert!(halved(&x).unwrap().is_none());
        }
        assert!(halved(&images(2, 2, 4, 4).transpose(2, 3)).unwrap().is_none());
    }
}
