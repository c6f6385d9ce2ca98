//! Blend (arXiv 2507.09786, section 3): each cluster becomes one weighted combination of its images whose embedding matches
//! the mean embedding of the cluster.
//!
//! Clusters do not influence each other, so they are optimised in chunks that fit the cache, all iterations of one chunk
//! before the next: images are gathered once, and autograd sees the network alone. With `G = dL/dx` of the synthetic image,
//! `g_j = <G, x_j>` and `w = a / S`, the gradient of a raw weight is `(g_j - sum_i w_i g_i) / S`.

use crate::nn::Net;
use crate::runtime::progress::Progress;
use crate::runtime::{At, Error, Result, interrupt};
use crate::tensor::scalars::WithNumber;
use tch::{Device, Kind, Tensor};

/// A network's embedding with its parameters out of autograd, which costs the backward pass a third of its work.
pub fn frozen(net: &Net) -> Result<Net> {
    let copy = net.copy()?;
    copy.set_training(false);
    copy.freeze("", true)?;
    Ok(copy)
}

/// How far a step goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// So much of the longest step that is safe on the cluster's own loss: the loss of a combination of `n` images curves at
    /// most `2 n V` along the weights, `V` being the variance of the images' embeddings, so the step is a share of `1/(n V)`.
    /// The same for bright and dark images, wide and narrow embedders, where a fixed step suits one of them (ours).
    Share(f64),
    /// On the loss of each cluster, however many clusters there are.
    PerCluster(f64),
    /// The learning rate of the joint loss, the mean over clusters: each cluster moves by its share, as in the reference.
    Joint(f64),
}

/// What Blend can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct BlendOptions {
    /// The step.
    pub step: Step,
    /// Steps.
    pub iterations: usize,
    /// Momentum of the steps.
    pub momentum: f64,
    /// Clusters optimised at a time; 16 on the CPU, 256 elsewhere when not given.
    pub chunk: Option<usize>,
}

impl Default for BlendOptions {
    fn default() -> Self {
        Self { step: Step::Share(0.5), iterations: 12, momentum: 0.5, chunk: None }
    }
}

/// Where images come from and what embeds them.
pub struct Source<'a> {
    /// Where the images live.
    pub device: Device,
    /// Images at these positions, `[n, ..]`.
    pub gather: &'a dyn Fn(&[usize]) -> Result<Tensor>,
    /// Embeddings of images, `[n, ..] -> [n, d]`; differentiable in the images, the embedder's own parameters frozen.
    pub embed: &'a dyn Fn(&Tensor) -> Result<Tensor>,
}

/// What Blend ends with; everything in the order of the clusters given.
pub struct Blended {
    /// One image per cluster, `[k, ..]`.
    pub images: Tensor,
    /// Raw weights of the members, cluster after cluster, `[n]`.
    pub weights: Tensor,
    /// Loss of each cluster before each step and after the last one, `[iterations + 1, k]`.
    pub losses: Tensor,
    /// Mean embedding of each cluster, `[k, d]`.
    pub targets: Tensor,
}

impl Blended {
    fn mean_loss(&self, row: i64) -> Result<f64> {
        self.losses.f_select(0, row).at("blend")?.f_mean(Kind::Double).at("blend")?.f_double_value(&[]).at("blend")
    }

    /// Mean matching loss of the clusters' plain means.
    pub fn before(&self) -> Result<f64> {
        self.mean_loss(0)
    }

    /// Mean matching loss of the blended images.
    pub fn after(&self) -> Result<f64> {
        self.mean_loss(-1)
    }
}

/// The reference's learning rate from the number of clusters per class, a cubic fitted by its authors.
pub fn polynomial(per_class: f64) -> f64 {
    -2.397e-6 * per_class.powi(3) + 0.01265 * per_class.powi(2) - 0.2558 * per_class + 1.461
}

/// The same where it is a learning rate at all: it turns negative above 5,257 clusters per class.
///
/// # Errors
/// A number of clusters it gives no positive rate for.
pub fn reference_rate(per_class: usize) -> Result<f64> {
    let rate = polynomial(per_class as f64);
    if rate > 0.0 {
        return Ok(rate);
    }
    let message = format!("the reference's learning rate is negative for {per_class} clusters per class");
    Err(Error::new("blend", message).hint("use at most 5257 clusters per class, or the default step"))
}

/// Blends each cluster (a list of positions) into one image. A cluster of one image is that image.
///
/// # Errors
/// No cluster, an empty one, weights that diverge; those of gathering and embedding; Ctrl-C.
pub fn blend(
    clusters: &[Vec<usize>],
    source: &Source,
    options: &BlendOptions,
    progress: Option<&Progress>,
) -> Result<Blended> {
    if clusters.is_empty() || clusters.iter().any(Vec::is_empty) {
        return Err(Error::new("blend", "needs at least one cluster, and at least one image in each"));
    }
    let size = options.chunk.unwrap_or(if source.device == Device::Cpu { 16 } else { 256 }).max(1);
    // Single images have nothing to optimise: they go through apart, and only their number counts.
    let (single, several): (Vec<usize>, Vec<usize>) =
        (0..clusters.len()).partition(|i| members(clusters, *i).len() == 1);
    let chunks: Vec<&[usize]> = several.chunks(size).chain(single.chunks(4 * size)).collect();
    let mut bar = progress.map(|p| p.start("blend", chunks.len()));
    let mut parts = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        interrupt::check()?;
        let lists: Vec<&[usize]> = chunk.iter().map(|i| members(clusters, *i)).collect();
        parts.push(Chunk::new(&lists, source)?.optimise(source, options, clusters.len())?);
        if let Some(bar) = &mut bar {
            bar.step(&format!("{} clusters", clusters.len()));
        }
    }
    let done = restored(&joined(&parts)?, &[several, single].concat(), clusters)?;
    finite(&done)?;
    Ok(done)
}

fn members(clusters: &[Vec<usize>], index: usize) -> &[usize] {
    clusters.get(index).map_or(&[], Vec::as_slice)
}

/// Puts results that were made in the order `made` back into the order of the clusters.
fn restored(result: &Blended, made: &[usize], clusters: &[Vec<usize>]) -> Result<Blended> {
    let at = "blend";
    let (mut place, mut start, mut offset) = (vec![0_i64; made.len()], vec![0_i64; made.len()], 0_i64);
    for (position, cluster) in made.iter().enumerate() {
        if let (Some(p), Some(s)) = (place.get_mut(*cluster), start.get_mut(*cluster)) {
            (*p, *s) = (position as i64, offset);
        }
        offset += members(clusters, *cluster).len() as i64;
    }
    let rows: Vec<i64> = start.iter().zip(clusters).flat_map(|(s, m)| *s..*s + m.len() as i64).collect();
    let device = result.images.device();
    let place = Tensor::f_from_slice(&place).at(at)?.f_to_device(device).at(at)?;
    let rows = Tensor::f_from_slice(&rows).at(at)?.f_to_device(device).at(at)?;
    Ok(Blended {
        images: result.images.f_index_select(0, &place).at(at)?,
        weights: result.weights.f_index_select(0, &rows).at(at)?,
        losses: result.losses.f_index_select(1, &place).at(at)?,
        targets: result.targets.f_index_select(0, &place).at(at)?,
    })
}

fn joined(parts: &[Blended]) -> Result<Blended> {
    let cat = |pick: fn(&Blended) -> &Tensor, dim: i64| {
        let tensors: Vec<&Tensor> = parts.iter().map(pick).collect();
        Tensor::f_cat(&tensors, dim).at("blend")
    };
    Ok(Blended {
        images: cat(|p| &p.images, 0)?,
        weights: cat(|p| &p.weights, 0)?,
        losses: cat(|p| &p.losses, 1)?,
        targets: cat(|p| &p.targets, 0)?,
    })
}

fn finite(result: &Blended) -> Result<()> {
    let all = result.images.f_isfinite().at("blend")?.f_all().at("blend")?.f_int64_value(&[]).at("blend")?;
    if all != 0 {
        return Ok(());
    }
    Err(Error::new("blend", "the weights of a cluster diverged").hint("use a smaller step").word("step"))
}

/// Clusters optimised together: their images as rows, and which cluster each row belongs to.
struct Chunk {
    /// `[m, pixels]`.
    images: Tensor,
    /// Shape of one image, with 1 for the batch in front.
    shape: Vec<i64>,
    /// Cluster of each row, `[m]`.
    owner: Tensor,
    /// 1 where the row belongs to the cluster, `[k, m]`.
    mask: Tensor,
    /// Images of each cluster, `[k]`.
    counts: Tensor,
    /// Sum over the images of each cluster of their embedding's mean squared distance from the target, `[k]`.
    spread: Tensor,
    /// `[k, d]`.
    targets: Tensor,
    /// Whether some cluster has more than one image: the others have nothing to optimise.
    varied: bool,
}

impl Chunk {
    fn new(members: &[&[usize]], source: &Source) -> Result<Self> {
        let at = "blend";
        let positions: Vec<usize> = members.concat();
        let owner: Vec<i64> = members.iter().enumerate().flat_map(|(i, m)| vec![i as i64; m.len()]).collect();
        let gathered = (source.gather)(&positions)?;
        let device = gathered.device();
        let mut shape = gathered.size();
        if let Some(first) = shape.first_mut() {
            *first = -1;
        }
        let images = gathered.f_reshape([owner.len() as i64, -1]).at(at)?;
        let owner = Tensor::f_from_slice(&owner).at(at)?.f_to_device(device).at(at)?;
        let each = Tensor::f_arange(members.len() as i64, (Kind::Int64, device)).at(at)?.f_unsqueeze(1).at(at)?;
        let mask = each.f_eq_tensor(&owner.f_unsqueeze(0).at(at)?).at(at)?.f_to_kind(Kind::Float).at(at)?;
        let counts = mask.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float).at(at)?;
        let embedded = tch::no_grad(|| (source.embed)(&gathered))?;
        let embedded = embedded.f_reshape([positions.len() as i64, -1]).at(at)?;
        let targets = mask.f_matmul(&embedded).at(at)?.f_div(&counts.f_unsqueeze(1).at(at)?).at(at)?;
        let apart = embedded.f_sub(&targets.f_index_select(0, &owner).at(at)?).at(at)?.f_square().at(at)?;
        let spread = mask.f_mv(&apart.f_mean_dim(&[1_i64][..], false, Kind::Float).at(at)?).at(at)?;
        let varied = members.iter().any(|m| m.len() > 1);
        Ok(Self { images, shape, owner, mask, counts, spread, targets, varied })
    }

    /// Runs all iterations; `clusters` is how many share the joint loss.
    fn optimise(self, source: &Source, options: &BlendOptions, clusters: usize) -> Result<Blended> {
        let at = "blend";
        let step = self.step(options.step, clusters)?;
        let mut raw = self.counts.f_reciprocal().at(at)?.f_index_select(0, &self.owner).at(at)?;
        let mut momentum: Option<Tensor> = None;
        let mut losses = Vec::with_capacity(options.iterations + 1);
        let iterations = if self.varied { options.iterations } else { 0 };
        for _ in 0..iterations {
            interrupt::check()?;
            let sums = self.sums(&raw)?;
            let weights = raw.f_div(&sums.f_index_select(0, &self.owner).at(at)?).at(at)?;
            let image = self.images_of(&weights)?.f_set_requires_grad(true).at(at)?;
            let loss = tch::with_grad(|| self.losses(source, &image))?;
            let gradient = self.gradient(&weights, &sums, &pixel_gradient(&loss, &image)?)?;
            losses.push(loss.f_detach().at(at)?);
            let moved = match momentum {
                Some(before) => before.times(options.momentum).at(at)?.f_add(&gradient).at(at)?,
                None => gradient,
            };
            raw = raw.f_sub(&moved.f_mul(&step).at(at)?).at(at)?;
            momentum = Some(moved);
        }
        let weights = raw.f_div(&self.sums(&raw)?.f_index_select(0, &self.owner).at(at)?).at(at)?;
        let images = self.images_of(&weights)?;
        let last = match self.varied {
            true => tch::no_grad(|| self.losses(source, &images))?,
            false => self.counts.f_zeros_like().at(at)?,
        };
        while losses.len() <= options.iterations {
            losses.push(last.f_detach().at(at)?);
        }
        Ok(Blended { images, weights: raw, losses: Tensor::f_stack(&losses, 0).at(at)?, targets: self.targets })
    }

    /// The step of every raw weight on its cluster's own loss, `[m]`.
    fn step(&self, step: Step, clusters: usize) -> Result<Tensor> {
        let at = "blend";
        let each = match step {
            // Images that embed alike have no gradient either: no step for them, rather than an endless one.
            Step::Share(share) => {
                let longest = self.spread.f_reciprocal().at(at)?.times(share).at(at)?;
                longest
                    .f_mul(&self.spread.f_gt(1e-12).at(at)?.f_to_kind(Kind::Float).at(at)?)
                    .at(at)?
                    .f_nan_to_num(0.0, 0.0, 0.0)
                    .at(at)?
            }
            Step::PerCluster(step) => self.counts.f_full_like(step).at(at)?,
            Step::Joint(rate) => self.counts.f_full_like(rate / clusters.max(1) as f64).at(at)?,
        };
        each.f_index_select(0, &self.owner).at(at)
    }

    /// Sum of the raw weights of each cluster, `[k]`.
    fn sums(&self, raw: &Tensor) -> Result<Tensor> {
        self.mask.f_mv(raw).at("blend")
    }

    /// The combined image of each cluster: a product with the sparse matrix of weights.
    fn images_of(&self, weights: &Tensor) -> Result<Tensor> {
        let combined = self.mask.f_mul(weights).at("blend")?.f_matmul(&self.images).at("blend")?;
        combined.f_reshape(&self.shape).at("blend")
    }

    /// Mean squared difference between the embedding of each image and its target, `[k]`.
    fn losses(&self, source: &Source, images: &Tensor) -> Result<Tensor> {
        let at = "blend";
        let embedded = (source.embed)(images)?.f_reshape(self.targets.size()).at(at)?;
        let difference = embedded.f_sub(&self.targets).at(at)?;
        difference.f_square().at(at)?.f_mean_dim(&[1_i64][..], false, Kind::Float).at(at)
    }

    /// The gradient of every raw weight, `[m]`, in closed form.
    fn gradient(&self, weights: &Tensor, sums: &Tensor, pixels: &Tensor) -> Result<Tensor> {
        let at = "blend";
        let rows = pixels.f_reshape([self.targets.size().first().copied().unwrap_or(1), -1]).at(at)?;
        // <G_k, x_j> for all pairs is one small product; the mask keeps the pairs that belong together.
        let inner = rows.f_matmul(&self.images.f_tr().at(at)?).at(at)?.f_mul(&self.mask).at(at)?;
        let inner = inner.f_sum_dim_intlist(&[0_i64][..], false, Kind::Float).at(at)?;
        let mean = self.mask.f_mv(&inner.f_mul(weights).at(at)?).at(at)?;
        let centred = inner.f_sub(&mean.f_index_select(0, &self.owner).at(at)?).at(at)?;
        centred.f_div(&sums.f_index_select(0, &self.owner).at(at)?).at(at)
    }
}

fn pixel_gradient(losses: &Tensor, image: &Tensor) -> Result<Tensor> {
    let total = tch::with_grad(|| losses.f_sum(Kind::Float)).at("blend")?;
    let independent = || Error::new("blend", "the embedding does not depend on the images");
    if !total.requires_grad() {
        return Err(independent().hint("is it detached, or computed inside no_grad { }?"));
    }
    let mut gradients = Tensor::f_run_backward(&[&total], &[image], false, false).at("blend")?;
    gradients.pop().filter(Tensor::defined).ok_or_else(independent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;

    fn wave(n: i64, f: fn(f64) -> f64) -> Tensor {
        let values: Vec<f32> = (0..n * 4).map(|i| 2.0 * f(i as f64) as f32).collect();
        Tensor::from_slice(&values).reshape([n, 1, 2, 2])
    }

    fn run(images: &Tensor, clusters: &[Vec<usize>], options: BlendOptions) -> Result<Blended> {
        let gather = |positions: &[usize]| {
            let index: Vec<i64> = positions.iter().map(|p| *p as i64).collect();
            Ok(images.index_select(0, &Tensor::from_slice(&index)))
        };
        let embed = |x: &Tensor| Ok(x.flatten(1, -1).tanh());
        blend(clusters, &Source { device: Device::Cpu, gather: &gather, embed: &embed }, &options, None)
    }

    fn close(got: &Tensor, want: &[f64]) {
        let got: Vec<f64> = Vec::try_from(got.to_kind(Kind::Double).reshape([-1])).unwrap();
        assert!(
            got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-5),
            "{got:?}, {want:?}"
        );
    }

    #[test]
    fn the_numbers_of_the_reference_come_out() {
        let images = Tensor::cat(&[wave(3, f64::sin), wave(2, f64::cos)], 0);
        let clusters = [vec![0, 1, 2], vec![3, 4]];
        for (lr, pictures, losses) in [
            (
                0.2,
                [0.01578343, 0.03817013, 0.02546340, -0.01065427, 0.18910396, 0.79955947, 0.67490363, -0.07025540],
                [0.04212208, 0.03551298, 0.03474137],
            ),
            (
                2.0,
                [0.92196238, 0.87616706, 0.02482772, -0.84933811, 0.88035452, 0.90683919, 0.09958011, -0.79923248],
                [0.04212208, 0.23753709, 0.38054779],
            ),
        ] {
            let options = BlendOptions { step: Step::Joint(lr), iterations: 3, ..BlendOptions::default() };
            for chunk in [1, 2] {
                let got = run(&images, &clusters, BlendOptions { chunk: Some(chunk), ..options }).unwrap();
                close(&got.images, &pictures);
                close(&got.losses.narrow(0, 0, 3).mean_dim(1, false, Kind::Float), &losses);
            }
        }
    }

    #[test]
    fn single_images_stay_as_they_are_and_results_keep_the_order_of_the_clusters() {
        let images = wave(5, f64::sin);
        let got = run(&images, &[vec![4], vec![1, 3], vec![0], vec![2]], BlendOptions::default()).unwrap();
        for (cluster, position) in [(0, 4), (2, 0), (3, 2)] {
            assert_eq!(got.images.get(cluster), images.get(position));
        }
        assert_eq!(got.losses.size(), [13, 4]);
        assert!(got.after().unwrap() <= got.before().unwrap());
        let weights: Vec<f32> = Vec::try_from(&got.weights).unwrap();
        assert_eq!((weights[0], weights[3], weights[4]), (1.0, 1.0, 1.0));
    }

    #[test]
    fn zero_iterations_leave_the_mean() {
        let images = wave(4, f64::cos);
        let got = run(&images, &[vec![0, 1, 2, 3]], BlendOptions { iterations: 0, ..BlendOptions::default() }).unwrap();
        assert!(got.images.get(0).allclose(&images.mean_dim(0, false, Kind::Float), 1e-5, 1e-6, false));
    }

    #[test]
    fn images_do_not_depend_on_the_scale_of_raw_weights_and_neither_does_the_loss() {
        let images = Tensor::from_slice(&Stream::new(1, "images").normals(24)).reshape([6, 4]);
        let gather = |_: &[usize]| Ok(images.reshape([6, 1, 2, 2]));
        let embed = |x: &Tensor| Ok(x.flatten(1, -1).tanh());
        let source = Source { device: Device::Cpu, gather: &gather, embed: &embed };
        let chunk = Chunk::new(&[&[0, 1, 2, 3], &[4, 5]], &source).unwrap();
        let raw = Tensor::from_slice(&Stream::new(2, "raw").uniforms(6, 0.2, 1.0));
        let at = |raw: &Tensor| {
            let sums = chunk.sums(raw).unwrap();
            let weights = raw / sums.index_select(0, &chunk.owner);
            let image = chunk.images_of(&weights).unwrap().set_requires_grad(true);
            let pixels = pixel_gradient(&chunk.losses(&source, &image).unwrap(), &image).unwrap();
            (image.detach(), chunk.gradient(&weights, &sums, &pixels).unwrap())
        };
        let ((one, gradient), (scaled, smaller)) = (at(&raw), at(&(&raw * 3.0)));
        assert!(one.allclose(&scaled, 1e-5, 1e-6, false));
        // So the gradient shrinks by the scale, and is at right angles to the weights.
        assert!(gradient.allclose(&(smaller * 3.0), 1e-4, 1e-7, false));
        assert!((gradient * raw).sum(Kind::Float).double_value(&[]).abs() < 1e-6);
    }

    #[test]
    fn the_reference_has_no_rate_for_too_many_clusters() {
        for (n, rate) in [(1, 1.21785), (2, 0.99998), (10, 0.16560), (100, 99.984), (1000, 9998.661)] {
            assert!((reference_rate(n).unwrap() - rate).abs() < 1e-3 * rate);
        }
        assert!(reference_rate(5257).is_ok() && reference_rate(5258).is_err());
    }

    #[test]
    fn weights_that_diverge_are_an_error_that_says_what_to_do() {
        let options = BlendOptions { step: Step::PerCluster(1e30), ..BlendOptions::default() };
        let error = run(&wave(3, f64::sin), &[vec![0, 1, 2]], options).err().unwrap();
        assert!(error.to_string().contains("diverged"), "{error}");
    }
}
