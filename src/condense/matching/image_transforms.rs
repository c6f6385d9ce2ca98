//! What differentiable augmentation (DSA: Zhao and Bilen, ICML 2021) does to images: each function takes images
//! `[n, c, h, w]` and the numbers of the transformation, one for all images `[1]` or one for each `[n]`. Gradients flow to the
//! pixels; nothing is read back from the device.

use crate::runtime::{At, Error, Result};
use tch::{Kind, Tensor};

/// Refuses what is not `[n, c, h, w]` of floats, and numbers that are neither one nor one for each image.
fn check(operation: &str, x: &Tensor, numbers: &[&Tensor]) -> Result<()> {
    let size = x.size();
    if size.len() != 4 || !x.is_floating_point() {
        let message = format!("needs float images [n, channels, height, width], got {:?} {size:?}", x.kind());
        return Err(Error::new(operation, message).hint("a single image is x.unsqueeze(0)"));
    }
    let n = length_of(x, 0);
    match numbers.iter().map(|t| t.size()).find(|s| *s != [1] && *s != [n]) {
        Some(wrong) => {
            let message = format!("needs one number or one for each of {n} images, got a tensor of shape {wrong:?}");
            Err(Error::new(operation, message))
        }
        None => Ok(()),
    }
}

fn length_of(x: &Tensor, dim: usize) -> i64 {
    x.size().get(dim).copied().unwrap_or(0)
}

/// One number for each image, ready to be broadcast over its pixels.
fn over_pixels(numbers: &Tensor, x: &Tensor) -> Result<Tensor> {
    numbers.f_to_kind(x.kind()).at("augment")?.f_reshape([-1, 1, 1, 1]).at("augment")
}

/// Moves values away from (factor above 1) or towards a mean over the given dimensions.
fn spread(x: &Tensor, dims: &[i64], factor: &Tensor) -> Result<Tensor> {
    let mean = x.f_mean_dim(dims, true, x.kind()).at("color")?;
    x.f_sub(&mean).at("color")?.f_mul(&over_pixels(factor, x)?).at("color")?.f_add(&mean).at("color")
}

/// Brightness (added), then saturation (factor of the distance from the pixel's grey), then contrast (factor of the distance
/// from the image's mean).
///
/// # Errors
/// Shapes that do not fit.
pub fn color(x: &Tensor, brightness: &Tensor, saturation: &Tensor, contrast: &Tensor) -> Result<Tensor> {
    check("color", x, &[brightness, saturation, contrast])?;
    let x = x.f_add(&over_pixels(brightness, x)?).at("color")?;
    spread(&spread(&x, &[1], saturation)?, &[1, 2, 3], contrast)
}

/// `out[h, w] = x[h + down, w + right]`, zero outside; whole numbers i64.
///
/// # Errors
/// Shapes that do not fit.
pub fn crop(x: &Tensor, down: &Tensor, right: &Tensor) -> Result<Tensor> {
    let at = "crop";
    check(at, x, &[down, right])?;
    let (rows, row_inside) = shifted(x, 2, down)?;
    let (columns, column_inside) = shifted(x, 3, right)?;
    let [n, c, h, w] = x.size()[..] else { return Err(Error::new(at, "needs images")) };
    let places = rows.f_unsqueeze(2).at(at)?.f_mul_scalar(w).at(at)?.f_add(&columns.f_unsqueeze(1).at(at)?).at(at)?;
    let places = places.f_reshape([-1, 1, h * w]).at(at)?.f_expand([n, c, h * w], false).at(at)?;
    let inside = row_inside.f_unsqueeze(2).at(at)?.f_logical_and(&column_inside.f_unsqueeze(1).at(at)?).at(at)?;
    let outside = inside.f_logical_not().at(at)?.f_unsqueeze(1).at(at)?;
    let moved = x.f_reshape([n, c, h * w]).at(at)?.f_gather(2, &places, false).at(at)?;
    moved.f_reshape([n, c, h, w]).at(at)?.f_masked_fill(&outside, 0.0).at(at)
}

/// The source of every position along a dimension, clipped to the image, and whether it lay inside: both `[m, length]`.
fn shifted(x: &Tensor, dim: usize, by: &Tensor) -> Result<(Tensor, Tensor)> {
    let at = "crop";
    let length = length_of(x, dim);
    let places = Tensor::f_arange(length, (Kind::Int64, x.device())).at(at)?.f_unsqueeze(0).at(at)?;
    let places = places.f_add(&by.f_to_kind(Kind::Int64).at(at)?.f_unsqueeze(1).at(at)?).at(at)?;
    let inside = places.f_ge(0).at(at)?.f_logical_and(&places.f_lt(length).at(at)?).at(at)?;
    Ok((places.f_clamp(0, length - 1).at(at)?, inside))
}

/// Zeroes the window of `size` rows and columns around (`row`, `column`): from `row - size / 2` on, clipped to the image.
///
/// # Errors
/// Shapes that do not fit.
pub fn cutout(x: &Tensor, row: &Tensor, column: &Tensor, size: i64) -> Result<Tensor> {
    let at = "cutout";
    check(at, x, &[row, column])?;
    let rows = window(x, 2, row, size)?.f_unsqueeze(2).at(at)?;
    let columns = window(x, 3, column, size)?.f_unsqueeze(1).at(at)?;
    let hole = rows.f_logical_and(&columns).at(at)?.f_unsqueeze(1).at(at)?;
    x.f_masked_fill(&hole, 0.0).at(at)
}

/// Which positions along a dimension lie in the window around each centre, `[m, length]`.
fn window(x: &Tensor, dim: usize, centre: &Tensor, size: i64) -> Result<Tensor> {
    let at = "cutout";
    let places = Tensor::f_arange(length_of(x, dim), (Kind::Int64, x.device())).at(at)?.f_unsqueeze(0).at(at)?;
    let start = centre.f_to_kind(Kind::Int64).at(at)?.f_sub_scalar(size / 2).at(at)?.f_unsqueeze(1).at(at)?;
    let beyond = start.f_add_scalar(size).at(at)?;
    places.f_ge_tensor(&start).at(at)?.f_logical_and(&places.f_lt_tensor(&beyond).at(at)?).at(at)
}

/// Mirrors left and right where `which` is not zero.
///
/// # Errors
/// Shapes that do not fit.
pub fn flip(x: &Tensor, which: &Tensor) -> Result<Tensor> {
    check("flip", x, &[which])?;
    let which = which.f_ne(0.0).at("flip")?.f_reshape([-1, 1, 1, 1]).at("flip")?;
    x.f_flip([3]).at("flip")?.f_where_self(&which, x).at("flip")
}

/// Shrinks (factors above 1) or enlarges around the centre: bilinear, zero outside.
///
/// # Errors
/// Shapes that do not fit.
pub fn scale(x: &Tensor, horizontal: &Tensor, vertical: &Tensor) -> Result<Tensor> {
    check("scale", x, &[horizontal, vertical])?;
    let none = horizontal.f_zeros_like().at("scale")?;
    affine(x, [horizontal, &none, &none, vertical])
}

/// Turns around the centre by an angle in radians: bilinear, zero outside.
///
/// # Errors
/// Shapes that do not fit.
pub fn rotate(x: &Tensor, angle: &Tensor) -> Result<Tensor> {
    check("rotate", x, &[angle])?;
    let (sine, cosine) = (angle.f_sin().at("rotate")?, angle.f_cos().at("rotate")?);
    affine(x, [&cosine, &sine.f_neg().at("rotate")?, &sine, &cosine])
}

/// Samples images at the points of the linear map `[[a, b], [c, d]]` of their own grid, corners not aligned.
fn affine(x: &Tensor, [a, b, c, d]: [&Tensor; 4]) -> Result<Tensor> {
    let at = "augment";
    let none = a.f_zeros_like().at(at)?;
    let map = Tensor::f_stack(&[a, b, &none, c, d, &none], 1).at(at)?.f_to_kind(x.kind()).at(at)?;
    let m = length_of(&map, 0);
    let [n, channels, h, w] = x.size()[..] else { return Err(Error::new(at, "needs images")) };
    let map = map.f_reshape([m, 2, 3]).at(at)?;
    let grid = Tensor::f_affine_grid_generator(&map, [m, channels, h, w], false).at(at)?;
    let grid = grid.f_expand([n, h, w, 2], false).at(at)?;
    x.f_grid_sampler(&grid, 0, 0, false).at(at)
}

/// The four quadrants of images `[n, c, h, w]`, each enlarged to the whole (bilinear, corners not aligned): `[4 n, c, h, w]`,
/// all top-left ones first, then bottom-left, top-right, bottom-right ones. IDM's partition (Zhao et al., CVPR 2023).
///
/// # Errors
/// Images that are not `[n, c, h, w]`, or of odd or no height or width.
pub fn partition(x: &Tensor) -> Result<Tensor> {
    let at = "partition";
    check(at, x, &[])?;
    let [_, _, h, w] = x.size()[..] else { return Err(Error::new(at, "needs images")) };
    if h % 2 != 0 || w % 2 != 0 || h == 0 || w == 0 {
        return Err(Error::new(at, format!("needs images of even height and width, got {h} x {w}")));
    }
    let quadrant = |row: i64, column: i64| -> Result<Tensor> {
        x.f_narrow(2, row, h / 2).at(at)?.f_narrow(3, column, w / 2).at(at)
    };
    let parts = [quadrant(0, 0)?, quadrant(h / 2, 0)?, quadrant(0, w / 2)?, quadrant(h / 2, w / 2)?];
    Tensor::f_cat(&parts, 0).at(at)?.f_upsample_bilinear2d([h, w], false, None, None).at(at)
}

/// The inverse in layout: four batches of images `[n, c, h, w]`, each shrunk to a quarter, become the quadrants of one.
///
/// # Errors
/// Batches that do not fit each other, odd sizes.
pub fn assemble(quadrants: [&Tensor; 4]) -> Result<Tensor> {
    let at = "partition";
    let shrunk = |x: &Tensor| -> Result<Tensor> {
        let [_, _, h, w] = x.size()[..] else { return Err(Error::new(at, "needs images")) };
        x.f_upsample_bilinear2d([h / 2, w / 2], false, None, None).at(at)
    };
    let [top_left, bottom_left, top_right, bottom_right] = quadrants;
    let left = Tensor::f_cat(&[shrunk(top_left)?, shrunk(bottom_left)?], 2).at(at)?;
    let right = Tensor::f_cat(&[shrunk(top_right)?, shrunk(bottom_right)?], 2).at(at)?;
    Tensor::f_cat(&[left, right], 3).at(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;

    fn waves() -> Tensor {
        Tensor::from_slice(&(0..16).map(|i| f64::from(i).sin() as f32).collect::<Vec<_>>()).reshape([1, 1, 4, 4])
    }

    fn one(x: f64) -> Tensor {
        Tensor::from_slice(&[x as f32])
    }

    fn images(n: i64) -> Tensor {
        Tensor::from_slice(&Stream::new(1, "images").normals((n * 3 * 36) as usize)).reshape([n, 3, 6, 6])
    }

    #[test]
    fn numbers_for_each_image_do_what_they_do_to_it_alone() {
        let x = images(5);
        let numbers = |low: f64, high: f64| Tensor::from_slice(&Stream::new(2, "numbers").uniforms(5, low, high));
        type Run = Box<dyn Fn(&Tensor, &Tensor, &Tensor) -> Tensor>;
        let all: [(&str, Run, Tensor, Tensor); 6] = [
            ("color", Box::new(|x, a, b| color(x, a, b, a).unwrap()), numbers(-0.5, 0.5), numbers(0.5, 1.5)),
            ("crop", Box::new(|x, a, b| crop(x, a, b).unwrap()), numbers(-3.0, 4.0), numbers(-3.0, 4.0)),
            ("cutout", Box::new(|x, a, b| cutout(x, a, b, 3).unwrap()), numbers(0.0, 6.0), numbers(0.0, 6.0)),
            ("flip", Box::new(|x, a, _| flip(x, a).unwrap()), Tensor::from_slice(&[0, 1, 1, 0, 1]), numbers(0.0, 1.0)),
            ("scale", Box::new(|x, a, b| scale(x, a, b).unwrap()), numbers(0.8, 1.2), numbers(0.8, 1.2)),
            ("rotate", Box::new(|x, a, _| rotate(x, a).unwrap()), numbers(-0.3, 0.3), numbers(0.0, 1.0)),
        ];
        for (name, run, a, b) in all {
            let together = run(&x, &a, &b);
            let apart: Vec<Tensor> =
                (0..5).map(|i| run(&x.narrow(0, i, 1), &a.narrow(0, i, 1), &b.narrow(0, i, 1))).collect();
            assert!(together.allclose(&Tensor::cat(&apart, 0), 1e-5, 1e-6, false), "{name}");
            assert!(!together.allclose(&x, 1e-3, 1e-3, false), "{name} does nothing");
        }
    }

    #[test]
    fn a_window_is_clipped_at_the_edges() {
        let x = Tensor::ones([1, 1, 4, 4], (Kind::Float, tch::Device::Cpu));
        let left = |row: f64, column: f64, size| {
            cutout(&x, &one(row), &one(column), size).unwrap().sum(Kind::Float).double_value(&[])
        };
        assert_eq!(
            (left(0.0, 0.0, 2), left(2.0, 2.0, 2), left(4.0, 4.0, 2), left(2.0, 0.0, 4)),
            (15.0, 12.0, 15.0, 8.0)
        );
    }

    #[test]
    fn images_shrunk_into_quadrants_come_back_enlarged() {
        let flat = |value: f64| Tensor::full([2, 1, 4, 4], value, (Kind::Float, tch::Device::Cpu));
        let (a, b, c, d) = (flat(1.0), flat(2.0), flat(3.0), flat(4.0));
        let whole = assemble([&a, &b, &c, &d]).unwrap();
        assert_eq!(whole.size(), [2, 1, 4, 4]);
        assert!(partition(&whole).unwrap().allclose(&Tensor::cat(&[a, b, c, d], 0), 1e-6, 1e-6, false));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(color(&waves().squeeze(), &one(0.0), &one(1.0), &one(1.0)).is_err());
        let two = Tensor::from_slice(&[1.0_f32, 2.0]);
        assert!(crop(&waves(), &two, &one(0.0)).unwrap_err().to_string().contains("one for each of 1 images"));
        assert!(partition(&waves().narrow(2, 0, 3)).unwrap_err().to_string().contains("3 x 4"));
        assert!(flip(&waves().to_kind(Kind::Int64), &one(1.0)).is_err());
    }
}
