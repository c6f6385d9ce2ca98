//! Siamese augmentation (DSA: Zhao and Bilen, ICML 2021): what is to be done to images is drawn once, on the host, and then
//! applied to as many batches as are to be treated alike.

use crate::condense::matching::image_transforms;
use crate::runtime::options::{describe, nearest};
use crate::runtime::{At, Error, Options, Result, Stream};
use rhai::{Array, Dynamic};
use std::f64::consts::PI;
use tch::Tensor;

/// Something done to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Brightness, saturation, contrast.
    Color,
    /// A shift by up to an eighth of the side, zeros moving in.
    Crop,
    /// A window of half the side set to zero.
    Cutout,
    /// Left and right exchanged, every other time.
    Flip,
    /// Between 5/6 and 6/5 of the size, each side for itself.
    Scale,
    /// A turn by up to 15 degrees.
    Rotate,
}

impl Operation {
    /// All of them, in the order of the publication.
    pub const ALL: [Self; 6] = [Self::Color, Self::Crop, Self::Cutout, Self::Flip, Self::Scale, Self::Rotate];

    /// The name scripts use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Color => "color",
            Self::Crop => "crop",
            Self::Cutout => "cutout",
            Self::Flip => "flip",
            Self::Scale => "scale",
            Self::Rotate => "rotate",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// Which operations there are to choose from, and whether one of them is done or all.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// The choice; empty: nothing is done.
    pub operations: Vec<Operation>,
    /// Every operation one after the other instead of one of them.
    pub every: bool,
}

impl Strategy {
    /// One of all six, as published.
    pub fn full() -> Self {
        Self { operations: Operation::ALL.to_vec(), every: false }
    }

    /// Nothing.
    pub fn none() -> Self {
        Self { operations: vec![], every: false }
    }

    /// Draws for `groups` of images; the same operation for all of them when `alike`, each its own otherwise.
    pub fn draw(&self, groups: usize, alike: bool, stream: &mut Stream) -> Augmentation {
        let mut choose = || self.operations.get(stream.below(self.operations.len())).copied();
        let mut layers: Vec<Vec<Operation>> = vec![];
        if self.every {
            layers.extend(self.operations.iter().map(|operation| vec![*operation; groups]));
        } else if let Some(first) = choose() {
            let others = (1..groups).map(|_| if alike { first } else { choose().unwrap_or(first) });
            layers.push(std::iter::once(first).chain(others).collect());
        }
        let mut draw = |operation| Draw { operation, u: [stream.uniform(), stream.uniform(), stream.uniform()] };
        Augmentation { layers: layers.into_iter().map(|layer| layer.into_iter().map(&mut draw).collect()).collect() }
    }

    /// Reads an option that is true (all operations), false, or an array of their names.
    ///
    /// # Errors
    /// Anything else.
    pub fn read(o: &mut Options, operation: &str, key: &str, default: bool) -> Result<Self> {
        let Some(value) = o.take(key, "bool or array of names", default) else {
            return Ok(if default { Self::full() } else { Self::none() });
        };
        match (value.as_bool(), value.clone().try_cast::<Array>()) {
            (Ok(true), _) => Ok(Self::full()),
            (Ok(false), _) => Ok(Self::none()),
            (_, Some(names)) => Ok(Self { operations: operations(operation, key, &names)?, every: false }),
            _ => {
                let message =
                    format!("`{key}` must be true, false or an array of operations, got {}", describe(&value));
                Err(Error::new(operation, message).word(key))
            }
        }
    }
}

/// Operations by their names.
fn operations(operation: &str, key: &str, names: &[Dynamic]) -> Result<Vec<Operation>> {
    let all = Operation::ALL.map(Operation::name);
    let find = |value: &Dynamic| {
        let name = value.clone().into_string().unwrap_or_default();
        Operation::named(&name).ok_or_else(|| {
            let message = format!("`{key}` knows {}, got {}", all.join(", "), describe(value));
            let error = Error::new(operation, message).word(key);
            match nearest(&name, all) {
                Some(near) => error.hint(format!("did you mean {near:?}?")),
                None => error,
            }
        })
    };
    names.iter().map(find).collect()
}

/// An operation and the random numbers that decide how far it goes, whatever the size of the images.
#[derive(Debug, Clone, Copy)]
struct Draw {
    operation: Operation,
    u: [f64; 3],
}

impl Draw {
    /// What the functions of `transform` take, for images of this size.
    fn numbers(&self, height: i64, width: i64) -> [f64; 3] {
        let [a, b, c] = self.u;
        match self.operation {
            Operation::Color => [a - 0.5, 2.0 * b, c + 0.5],
            Operation::Crop => [shift(a, height), shift(b, width), 0.0],
            Operation::Cutout => [centre(a, height), centre(b, width), 0.0],
            Operation::Flip => [if a < 0.5 { 1.0 } else { 0.0 }, 0.0, 0.0],
            Operation::Scale => [factor(a), factor(b), 0.0],
            Operation::Rotate => [(a - 0.5) * 2.0 * 15.0 * PI / 180.0, 0.0, 0.0],
        }
    }
}

/// A whole number of pixels of up to an eighth of the side, in both directions alike.
fn shift(u: f64, side: i64) -> f64 {
    let most = (side as f64 * 0.125 + 0.5).trunc();
    (u * (2.0 * most + 1.0)).floor() - most
}

/// The side of the window that cutout zeroes: half that of the image.
fn window(side: i64) -> i64 {
    (side as f64 * 0.5 + 0.5).trunc() as i64
}

/// Where the middle of that window may lie: everywhere, and for even windows just beyond the end.
fn centre(u: f64, side: i64) -> f64 {
    (u * (side + 1 - window(side) % 2) as f64).floor()
}

fn factor(u: f64) -> f64 {
    u * (1.2 - 1.0 / 1.2) + 1.0 / 1.2
}

/// Something to be done to images, drawn: for one group, to all of them alike; for several, to each group its own.
#[derive(Debug, Clone)]
pub struct Augmentation {
    /// One after the other; each has a draw for every group.
    layers: Vec<Vec<Draw>>,
}

impl Augmentation {
    /// Groups it was drawn for; 0 when it does nothing.
    pub fn groups(&self) -> usize {
        self.layers.first().map_or(0, Vec::len)
    }

    /// The names of what is done, one after the other, `" | "` between those of different groups.
    pub fn describe(&self) -> String {
        let layer = |draws: &Vec<Draw>| {
            let mut names: Vec<&str> = draws.iter().map(|draw| draw.operation.name()).collect();
            names.dedup();
            names.join(" | ")
        };
        self.layers.iter().map(layer).collect::<Vec<_>>().join(", ")
    }

    /// Images `[n, c, h, w]` changed; `owner` tells the group of each. With one group all are treated alike.
    ///
    /// # Errors
    /// Images of other shapes, an owner for another number of images or of a group that was not drawn.
    pub fn apply(&self, x: &Tensor, owner: &[usize]) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for draws in &self.layers {
            x = layer(draws, &x, owner)?;
        }
        Ok(x)
    }

    /// The same for images of which each is a group of its own, or all are the only one.
    ///
    /// # Errors
    /// As `apply`.
    pub fn apply_to_each(&self, x: &Tensor) -> Result<Tensor> {
        let n = x.size().first().copied().unwrap_or(0).max(0) as usize;
        if self.groups() > 1 && self.groups() != n {
            let message = format!("drawn for {} images, got {n}", self.groups());
            return Err(Error::new("augmentation", message).hint("draw it with `samples` as many as there are images"));
        }
        self.apply(x, &(0..n).collect::<Vec<_>>())
    }
}

/// Images of one operation: which, and the numbers for each (or one for all).
struct Share {
    operation: Operation,
    rows: Vec<i64>,
    numbers: Vec<[f64; 3]>,
}

impl Share {
    /// The images changed, [m, c, h, w].
    fn run(&self, x: &Tensor) -> Result<Tensor> {
        let at = "augment";
        let flat: Vec<f32> = (0..3).flat_map(|k| self.numbers.iter().map(move |n| n[k] as f32)).collect();
        let table = Tensor::f_from_slice(&flat).at(at)?.f_to_device(x.device()).at(at)?;
        let table = table.f_reshape([3, self.numbers.len() as i64]).at(at)?;
        let number = |k: i64| table.f_select(0, k).at(at);
        match self.operation {
            Operation::Color => image_transforms::color(x, &number(0)?, &number(1)?, &number(2)?),
            Operation::Crop => image_transforms::crop(x, &number(0)?, &number(1)?),
            Operation::Cutout => {
                let side = x.size().get(2).copied().unwrap_or(0);
                image_transforms::cutout(x, &number(0)?, &number(1)?, window(side))
            }
            Operation::Flip => image_transforms::flip(x, &number(0)?),
            Operation::Scale => image_transforms::scale(x, &number(0)?, &number(1)?),
            Operation::Rotate => image_transforms::rotate(x, &number(0)?),
        }
    }
}

fn layer(draws: &[Draw], x: &Tensor, owner: &[usize]) -> Result<Tensor> {
    let at = "augment";
    let [n, _, height, width] = x.size()[..] else {
        let message = format!("needs images [n, channels, height, width], got shape {:?}", x.size());
        return Err(Error::new(at, message));
    };
    if let [draw] = draws {
        return Share { operation: draw.operation, rows: vec![], numbers: vec![draw.numbers(height, width)] }.run(x);
    }
    if owner.len() as i64 != n {
        return Err(Error::new(at, format!("{n} images, but groups of {}", owner.len())));
    }
    let shares = shared_out(draws, owner, height, width)?;
    if let [only] = shares.as_slice() {
        return only.run(x);
    }
    // Images of one operation go through together, whatever their groups, and are put back into their places.
    let order: Vec<i64> = shares.iter().flat_map(|share| share.rows.iter().copied()).collect();
    let mut back: Vec<(i64, i64)> = order.iter().zip(0..).map(|(row, place)| (*row, place)).collect();
    back.sort_unstable();
    let index: Vec<i64> = order.iter().copied().chain(back.into_iter().map(|(_, place)| place)).collect();
    let index = Tensor::f_from_slice(&index).at(at)?.f_to_device(x.device()).at(at)?;
    let mut parts = vec![];
    let mut start = 0;
    for share in &shares {
        let count = share.rows.len() as i64;
        let rows = index.f_narrow(0, start, count).at(at)?;
        parts.push(share.run(&x.f_index_select(0, &rows).at(at)?)?);
        start += count;
    }
    Tensor::f_cat(&parts, 0).at(at)?.f_index_select(0, &index.f_narrow(0, n, n).at(at)?).at(at)
}

/// The images by operation.
fn shared_out(draws: &[Draw], owner: &[usize], height: i64, width: i64) -> Result<Vec<Share>> {
    let mut shares: Vec<Share> = vec![];
    for (row, group) in owner.iter().enumerate() {
        let draw = draws.get(*group).ok_or_else(|| {
            let message = format!("image {row} belongs to group {group}, drawn were {}", draws.len());
            Error::new("augment", message)
        })?;
        let place = shares.iter().position(|share| share.operation == draw.operation).unwrap_or_else(|| {
            shares.push(Share { operation: draw.operation, rows: vec![], numbers: vec![] });
            shares.len() - 1
        });
        if let Some(share) = shares.get_mut(place) {
            share.rows.push(row as i64);
            share.numbers.push(draw.numbers(height, width));
        }
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::{Strategy, *};
    use proptest::prelude::*;
    use tch::Kind;

    fn images(n: i64, side: i64) -> Tensor {
        let count = (n * 2 * side * side) as usize;
        Tensor::from_slice(&Stream::new(1, "images").normals(count)).reshape([n, 2, side, side])
    }

    fn only(operation: Operation) -> Strategy {
        Strategy { operations: vec![operation], every: false }
    }

    #[test]
    fn both_sides_get_the_same_and_groups_are_treated_like_batches_of_their_own() {
        let x = images(12, 8);
        let owner: Vec<usize> = (0..12).map(|i| i % 4).collect();
        for seed in 0..8 {
            let drawn = Strategy::full().draw(4, false, &mut Stream::new(seed, "augment"));
            let whole = drawn.apply(&x, &owner).unwrap();
            assert_eq!(whole, drawn.apply(&x, &owner).unwrap());
            for group in 0..4 {
                let rows = Tensor::from_slice(&(0..12).filter(|i| i % 4 == group).collect::<Vec<i64>>());
                let alone = Augmentation { layers: vec![vec![drawn.layers[0][group as usize]]] };
                let want = alone.apply(&x.index_select(0, &rows), &[]).unwrap();
                assert!(whole.index_select(0, &rows).allclose(&want, 1e-5, 1e-6, false), "seed {seed}, group {group}");
            }
        }
    }

    #[test]
    fn one_operation_for_all_samples_has_its_own_numbers_for_each() {
        let drawn = Strategy::full().draw(20, true, &mut Stream::new(3, "augment"));
        assert!(drawn.layers[0].iter().all(|draw| draw.operation == drawn.layers[0][0].operation));
        assert!(drawn.layers[0].iter().any(|draw| draw.u != drawn.layers[0][0].u));
        assert!(drawn.apply_to_each(&images(19, 8)).unwrap_err().to_string().contains("drawn for 20 images, got 19"));
    }

    #[test]
    fn the_plain_strategy_does_nothing_and_the_whole_one_does_everything() {
        let x = images(3, 8);
        assert_eq!(Strategy::none().draw(1, true, &mut Stream::new(0, "a")).apply_to_each(&x).unwrap(), x);
        let every = Strategy { every: true, ..Strategy::full() }.draw(1, true, &mut Stream::new(0, "a"));
        assert_eq!(every.describe(), "color, crop, cutout, flip, scale, rotate");
        assert!(!every.apply_to_each(&x).unwrap().allclose(&x, 0.1, 0.1, false));
    }

    #[test]
    fn gradients_reach_the_pixels_through_every_operation() {
        let drawn = Strategy::full().draw(64, false, &mut Stream::new(5, "augment"));
        let x = images(64, 8).set_requires_grad(true);
        let y = drawn.apply_to_each(&x).unwrap();
        let gradient = Tensor::run_backward(&[(&y * &y).sum(Kind::Float)], &[&x], false, false).pop().unwrap();
        let each = gradient.abs().sum_dim_intlist(&[1_i64, 2, 3][..], false, Kind::Float);
        assert_eq!(each.gt(0.0).all().int64_value(&[]), 1);
    }

    proptest! {
        #[test]
        fn draws_stay_within_the_published_ranges(seed in 0_u64..2000, side in 2_i64..40) {
            let mut stream = Stream::new(seed, "augment");
            for operation in Operation::ALL {
                let [a, b, c] = only(operation).draw(1, true, &mut stream).layers[0][0].numbers(side, side);
                let most = (side as f64 * 0.125 + 0.5).trunc();
                match operation {
                    Operation::Color => prop_assert!(a.abs() <= 0.5 && (0.0..2.0).contains(&b) && (0.5..1.5).contains(&c)),
                    Operation::Crop => prop_assert!(a.abs() <= most && b.abs() <= most && a.fract() == 0.0),
                    Operation::Cutout => prop_assert!((0.0..=side as f64).contains(&a) && a.fract() == 0.0),
                    Operation::Flip => prop_assert!(a == 0.0 || a == 1.0),
                    Operation::Scale => prop_assert!((1.0 / 1.2..1.2).contains(&a) && (1.0 / 1.2..1.2).contains(&b)),
                    Operation::Rotate => prop_assert!(a.abs() <= 15_f64.to_radians()),
                }
            }
        }
    }
}
