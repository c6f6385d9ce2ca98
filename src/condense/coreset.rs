//! Choosing real images by their embeddings: the ones whose mean is nearest to the mean of all (herding), and the ones that
//! leave nobody far from the nearest of them (k-center).

use crate::runtime::{At, Error, Result, interrupt};
use crate::tensor::plain::checks::comparable;
use tch::{Kind, Tensor};

/// Choices between two looks at the keyboard.
const BETWEEN_CHECKS: usize = 64;

/// Squared length of each row, `[n]`.
fn squares(rows: &Tensor) -> Result<Tensor> {
    rows.f_square().at("coreset")?.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float).at("coreset")
}

fn check(rows: &Tensor, k: usize) -> Result<()> {
    let size = rows.size();
    if size.len() == 2 && k >= 1 && size.first().is_some_and(|n| *n >= k as i64) {
        let lengths = rows.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float).at("coreset")?;
        return comparable("coreset", "embeddings", &lengths, false);
    }
    Err(Error::new("coreset", format!("needs embeddings [n, d] and 1 to n of them to choose, got {size:?} and {k}")))
}

/// Runs `next` for every choice after the other, keeping everything on the device: indices `[k]`, i64.
fn chosen(k: usize, mut next: impl FnMut(usize) -> Result<Tensor>) -> Result<Tensor> {
    let mut all = Vec::with_capacity(k);
    for j in 0..k {
        if j % BETWEEN_CHECKS == 0 {
            interrupt::check()?;
        }
        all.push(next(j)?);
    }
    Tensor::f_cat(&all, 0).at("coreset")
}

/// Herding (Welling, ICML 2009): every choice brings the mean of the chosen rows as near as possible to the mean of all rows
/// `[n, d]`; nobody is chosen twice. Indices `[k]` in the order of choice.
///
/// # Errors
/// Fewer rows than choices; Ctrl-C.
pub fn herding(rows: &Tensor, k: usize) -> Result<Tensor> {
    check(rows, k)?;
    let at = "herding";
    let rows = &rows.f_to_kind(Kind::Float).at(at)?;
    let mean = rows.f_mean_dim(&[0_i64][..], false, Kind::Float).at(at)?;
    // |mean (j + 1) - sum - row|^2 without the part that all rows share.
    let mut scores = squares(rows)?;
    let mut sum = mean.f_zeros_like().at(at)?;
    chosen(k, |j| {
        let target = mean.f_mul_scalar((j + 1) as f64).at(at)?.f_sub(&sum).at(at)?;
        let apart = scores.f_sub(&rows.f_mv(&target).at(at)?.f_mul_scalar(2.0).at(at)?).at(at)?;
        let index = apart.f_argmin(0, true).at(at)?;
        let _ = sum.f_add_(&rows.f_index_select(0, &index).at(at)?.f_squeeze_dim(0).at(at)?).at(at)?;
        let _ = scores.f_index_fill_(0, &index, f64::INFINITY).at(at)?;
        Ok(index)
    })
}

/// Greedy k-center (Sener and Savarese, ICLR 2018): the row nearest to the mean, then always the row farthest from those
/// chosen. Indices `[k]` in the order of choice, none twice.
///
/// # Errors
/// Fewer rows than choices; Ctrl-C.
pub fn k_center(rows: &Tensor, k: usize) -> Result<Tensor> {
    check(rows, k)?;
    let at = "k_center";
    let rows = &rows.f_to_kind(Kind::Float).at(at)?;
    let apart = |centre: &Tensor| squares(&rows.f_sub(centre).at(at)?);
    let mean = rows.f_mean_dim(&[0_i64][..], true, Kind::Float).at(at)?;
    let mut nearest = apart(&mean)?.f_neg().at(at)?;
    chosen(k, |j| {
        let index = nearest.f_argmax(0, true).at(at)?;
        let distances = apart(&rows.f_index_select(0, &index).at(at)?)?;
        nearest = if j == 0 { distances } else { nearest.f_minimum(&distances).at(at)? };
        let _ = nearest.f_index_fill_(0, &index, -1.0).at(at)?;
        Ok(index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;
    use proptest::prelude::*;

    fn rows(seed: u64, n: usize) -> Tensor {
        Tensor::from_slice(&Stream::new(seed, "rows").normals(n * 4)).reshape([n as i64, 4])
    }

    fn list(t: &Tensor) -> Vec<i64> {
        Vec::try_from(t).unwrap()
    }

    fn mean(x: &Tensor) -> Tensor {
        x.mean_dim(&[0_i64][..], false, Kind::Float)
    }

    #[test]
    fn herding_takes_the_best_row_at_every_step() {
        let x = rows(1, 12);
        let got = list(&herding(&x, 5).unwrap());
        let mut so_far: Vec<i64> = vec![];
        for choice in got {
            let gap = |i: i64| {
                let with = Tensor::from_slice(&[so_far.clone(), vec![i]].concat());
                (mean(&x.index_select(0, &with)) - mean(&x)).square().sum(Kind::Double).double_value(&[])
            };
            let best = (0..12).filter(|i| !so_far.contains(i)).map(gap).fold(f64::INFINITY, f64::min);
            assert!(gap(choice) < best + 1e-5);
            so_far.push(choice);
        }
    }

    #[test]
    fn centres_lie_in_every_heap() {
        let heaps = Tensor::from_slice(&[0.0_f32, 40.0, 80.0]).reshape([3, 1]).repeat([5, 4]);
        let x = rows(2, 15) + heaps;
        let mut got: Vec<i64> = list(&k_center(&x, 3).unwrap()).iter().map(|i| i % 3).collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn nobody_is_chosen_twice_even_among_copies(seed in 0_u64..200, n in 1_usize..30, copies in 1_usize..3) {
            let x = rows(seed, n).repeat([copies as i64, 1]);
            for choose in [herding, k_center] {
                let mut got = list(&choose(&x, n * copies).unwrap());
                got.sort_unstable();
                prop_assert_eq!(got, (0..(n * copies) as i64).collect::<Vec<_>>());
            }
        }
    }
}
