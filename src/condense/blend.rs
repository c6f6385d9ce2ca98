//! Blend (arXiv 2507.09786, section 3): each cluster becomes one weighted combination of its images whose embedding matches
//! the mean embedding of the cluster.
//!
//! Clusters do not influence each other, so they are optimised in chunks that fit the cache, all iterations of one chunk
//! before the next: images are gathered once, and autograd sees the network alone. With `G = dL/dx` of the synthetic image,
//! `g_j = <G, x_j>` and `w = a / S`, the gradient of a raw weight is `(g_j - sum_i w_i g_i) / S`.

use crate::nn::Net;
use crate::runtime::progress::Progress;
use crate::runtime::{At, Error, Result, interrupt};
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
        Self { step: Step::PerCluster(1.7), iterations: 12, momentum: 0.5, chunk: None }
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

impl Step {
    /// The step on each cluster's own loss when `clusters` share the joint one.
    fn on_each(self, clusters: usize) -> f64 {
        match self {
            Self::PerCluster(step) => step,
            Self::Joint(rate) => rate / clusters.max(1) as f64,
        }
    }
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
    let step = options.step.on_each(clusters.len());
    // Single images have nothing to optimise: they go through apart, and only their number counts.
    let (single, several): (Vec<usize>, Vec<usize>) =
        (0..clusters.len()).partition(|i| members(clusters, *i).len() == 1);
    let chunks: Vec<&[usize]> = several.chunks(size).chain(single.chunks(4 * size)).collect();
    let mut bar = progress.map(|p| p.start("blend", chunks.len()));
    let mut parts = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        interrupt::check()?;
        let lists: Vec<&[usize]> = chunk.iter().map(|i| members(clusters, *i)).collect();
        parts.push(Chunk::new(&lists, source)?.optimise(source, step, options)?);
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
        Ok(Self { images, shape, owner, mask, counts, targets, varied: members.iter().any(|m| m.len() > 1) })
    }

    fn optimise(self, source: &Source, step: f64, options: &BlendOptions) -> Result<Blended> {
        let at = "blend";
        let mut raw = self.counts.f_reciprocal().at(at)?.f_index_select(0, &self.owner).at(at)?;
        let mut momentum: Option<Tensor> = None;
        let mut losses = Vec::with_capacity(options.iterations + 1);
        let iterations = if self.varied { options.iterations } else { 0 };
        for _ in 0..iterations {
            interrupt::check()?;
            let sums = self.sums(&raw)?;
            let weights = raw.f_div(&sums.f_index_select(0, &self.owner).at(at)?).at(at)?;
            let image = self.images_of(&weights)?.f_set_requires_grad(true).at(at)?;
            let loss = self.losses(source, &image)?;
            let gradient = self.gradient(&weights, &sums, &pixel_gradient(&loss, &image)?)?;
            losses.push(loss.f_detach().at(at)?);
            let moved = match momentum {
                Some(before) => before.f_mul_scalar(options.momentum).at(at)?.f_add(&gradient).at(at)?,
                None => gradient,
            };
            raw = raw.f_sub(&moved.f_mul_scalar(step).at(at)?).at(at)?;
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
    let total = losses.f_sum(Kind::Float).at("blend")?;
    let mut gradients = Tensor::f_run_backward(&[&total], &[image], false, false).at("blend")?;
    gradients
        .pop()
        .filter(Tensor::defined)
        .ok_or_else(|| Error::new("blend", "the embedding does not depend on the images"))
}
