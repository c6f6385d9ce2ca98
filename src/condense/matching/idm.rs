//! Improved distribution matching (IDM: Zhao, Li, Qin and Yu, CVPR 2023): each stored image holds four small ones, embeddings
//! come from a queue of networks that are trained on real images on the way, and the synthetic images have to be classified as
//! their class, the better a network classifies the more so. Without queue, training and partition it is the reference's form.

use crate::condense::embed::network;
use crate::condense::matching::dm::{Yardstick, class_means};
use crate::condense::matching::image_transforms::{assemble, partition};
use crate::condense::matching::losses::squared_distances;
use crate::condense::matching::setup::{MatchOptions, Matched, Pixels, Problem, Side, Start, Trace, pixel_gradient};
use crate::data::Batches;
use crate::nn::guess::guesses;
use crate::nn::loss::{cross_entropy, cross_entropy_each};
use crate::nn::{Net, Optimizer, SgdOptions};
use crate::runtime::{At, Error, Result, Stream, interrupt};
use crate::tensor::scalars::WithNumber;
use std::collections::VecDeque;
use tch::{Device, Kind, Tensor};

/// What IDM can be asked for.
#[derive(Debug, Clone)]
pub struct ImprovedOptions {
    /// What all matching condensers can be asked for.
    pub matching: MatchOptions,
    /// Weight of the cross-entropy of the synthetic images.
    pub ce_weight: f64,
    /// Each stored image is taken apart into four enlarged quadrants; what is made are the quadrants.
    pub partition: bool,
    /// Networks that are trained on the way; `None`: three that stay as they were drawn.
    pub queue: Option<QueueOptions>,
}

/// The queue of networks.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// Networks at most; the oldest leaves first.
    pub networks: usize,
    /// Iterations after which a new network joins.
    pub push_every: usize,
    /// Networks trained in an iteration.
    pub trained: usize,
    /// Steps of each.
    pub steps: usize,
    /// Real images of a step.
    pub batch: usize,
    /// Learning rate of the steps (momentum 0.9, weight decay 5e-4).
    pub lr: f64,
}

/// Networks there are at the start, and all along in the reference's form.
const FIRST: usize = 3;

/// Iterations over which a network's training accuracy is counted.
const ACCURACY_WINDOW: usize = 100;

/// Batches of real images to train on that are drawn and uploaded at once.
const BATCHES_AHEAD: usize = 64;

/// Runs IDM.
///
/// # Errors
/// Images that diverge, or that cannot be divided into four; Ctrl-C.
pub fn run(problem: &Problem, o: &ImprovedOptions) -> Result<Matched> {
    let (m, stream) = (&o.matching, problem.stream);
    let copies = if o.partition { 4 } else { 1 };
    let synthetic = problem.synthetic_side(copies)?;
    let rows = Rows::new(problem, o, copies)?;
    let mut reals = problem.real_batches(m.batch, stream.child("batches"))?;
    let mut augments = stream.child("augment");
    let mut nets = Networks::new(problem, o.queue.as_ref(), stream)?;
    let yardstick = Yardstick::new(problem)?;
    let start = start(problem, m.start, o.partition, stream)?;
    let mut pixels = Pixels::new(&start, m)?;
    let mut trace = Trace::new("idm", m.iterations, problem)?;
    for iteration in 0..m.iterations {
        let mut step = Step { loss: vec![], gradient: vec![] };
        for member in nets.matched(iteration)? {
            interrupt::check()?;
            let real = reals.draw()?;
            let drawn = m.augment.draw(problem.pools.len(), false, &mut augments);
            let changed = drawn.apply(&real, &reals.side.owner)?;
            let target = tch::no_grad(|| class_means(&member.net, &changed, &reals.side))?;
            let leaf = pixels.leaf()?;
            let loss = tch::with_grad(|| {
                let images = drawn.apply(&rows.of(&leaf)?, &synthetic.owner)?;
                rows.loss(&images, &synthetic, &target, &member.net, &member.weight(o)?)
            })?;
            step.gradient.push(pixel_gradient(&loss, &leaf)?);
            step.loss.push(loss.f_detach().at("idm")?);
        }
        pixels.step(&sum(&step.gradient)?)?;
        trace.add(&sum(&step.loss)?)?;
        nets.train()?;
    }
    let history = trace.finish()?;
    let (before, after) = tch::no_grad(|| -> Result<_> {
        Ok((yardstick.loss(&rows.of(&start)?, &synthetic)?, yardstick.loss(&rows.of(&pixels.images)?, &synthetic)?))
    })?;
    let images = tch::no_grad(|| rows.of(&pixels.images))?;
    Ok(Matched { images, labels: rows.labels, before, after, history })
}

/// Losses and gradients of the networks matched in one iteration.
struct Step {
    loss: Vec<Tensor>,
    gradient: Vec<Tensor>,
}

fn sum(parts: &[Tensor]) -> Result<Tensor> {
    match parts {
        [one] => Ok(one.shallow_clone()),
        many => Tensor::f_stack(many, 0).at("idm")?.f_sum_dim_intlist(&[0_i64][..], false, Kind::Float).at("idm"),
    }
}

/// What the stored images start from: real images, or four shrunk ones each.
fn start(problem: &Problem, start: Start, partition: bool, stream: &Stream) -> Result<Tensor> {
    let mut draws = stream.child("start");
    if !partition || start == Start::Noise {
        return problem.start(start, &mut draws);
    }
    let mut quadrant = || problem.start(start, &mut draws);
    let (a, b, c, d) = (quadrant()?, quadrant()?, quadrant()?, quadrant()?);
    assemble([&a, &b, &c, &d])
}

/// How stored images become the images that are matched.
struct Rows {
    /// Order that puts the quadrants class after class; `None` without partition.
    order: Option<Tensor>,
    /// Labels of the images, host and device.
    labels: Vec<i64>,
    targets: Tensor,
}

impl Rows {
    fn new(problem: &Problem, o: &ImprovedOptions, copies: usize) -> Result<Self> {
        let device = problem.data.device();
        let labels: Vec<i64> = problem.pools.iter().flat_map(|pool| vec![pool.label; copies * pool.count]).collect();
        let targets = Tensor::f_from_slice(&labels).at("idm")?.f_to_device(device).at("idm")?;
        let order = o.partition.then(|| class_by_class(problem, device)).transpose()?;
        Ok(Self { order, labels, targets })
    }

    /// The images that are matched, class after class.
    fn of(&self, stored: &Tensor) -> Result<Tensor> {
        match &self.order {
            None => Ok(stored.shallow_clone()),
            Some(order) => partition(stored)?.f_index_select(0, order).at("idm"),
        }
    }

    /// Distance of the mean embeddings, and cross-entropy by class, over all classes.
    fn loss(&self, images: &Tensor, side: &Side, target: &Tensor, net: &Net, weight: &Tensor) -> Result<Tensor> {
        let at = "idm";
        let (embedded, logits) = net.forward_with_embedding(images)?;
        let means = side.mean.f_matmul(&embedded).at(at)?;
        let each = cross_entropy_each(&logits, &self.targets)?.f_unsqueeze(1).at(at)?;
        let classified = side.mean.f_matmul(&each).at(at)?.f_sum(Kind::Float).at(at)?;
        let matched = squared_distances(&means, target)?.f_sum(Kind::Float).at(at)?;
        matched.f_add(&classified.f_mul(weight).at(at)?).at(at)
    }
}

/// All top-left quadrants come first from `partition`, then all bottom-left ones; this is the order by class.
fn class_by_class(problem: &Problem, device: Device) -> Result<Tensor> {
    let n: usize = problem.pools.iter().map(|pool| pool.count).sum();
    let mut order = Vec::with_capacity(4 * n);
    let mut first = 0;
    for pool in problem.pools {
        for quadrant in 0..4 {
            order.extend((first..first + pool.count).map(|image| (quadrant * n + image) as i64));
        }
        first += pool.count;
    }
    Tensor::f_from_slice(&order).at("idm")?.f_to_device(device).at("idm")
}

/// A network of the queue.
struct Member {
    net: Net,
    optimizer: Optimizer,
    /// Samples classified rightly in training, on the device, and seen, since the count last began.
    right: Tensor,
    seen: usize,
}

impl Member {
    fn new(problem: &Problem, lr: f64, stream: &mut Stream) -> Result<Self> {
        let data = problem.data;
        let net = network(data.shape(), data.classes(), problem.width, stream, data.device())?;
        let rule = SgdOptions { lr, momentum: 0.9, weight_decay: 5e-4, ..SgdOptions::default() };
        let optimizer = Optimizer::sgd(&net, &rule)?;
        let right = Tensor::f_zeros([], (Kind::Float, data.device())).at("idm")?;
        Ok(Self { net, optimizer, right, seen: 0 })
    }

    /// Weight of the cross-entropy: with a queue `ce_weight` times the training accuracy in per cent, 0 before any training.
    fn weight(&self, o: &ImprovedOptions) -> Result<Tensor> {
        if o.queue.is_none() {
            return self.right.f_full_like(o.ce_weight).at("idm");
        }
        self.right.times(100.0 * o.ce_weight / self.seen.max(1) as f64).at("idm")
    }
}

/// The networks, and how they are trained.
struct Networks<'a> {
    problem: &'a Problem<'a>,
    queue: Option<&'a QueueOptions>,
    members: VecDeque<Member>,
    draws: Stream,
    choices: Stream,
    samples: Stream,
    drawn: Option<Batches>,
}

impl<'a> Networks<'a> {
    fn new(problem: &'a Problem, queue: Option<&'a QueueOptions>, stream: &Stream) -> Result<Self> {
        let mut draws = stream.child("networks");
        let lr = queue.map_or(0.0, |queue| queue.lr);
        let members = (0..FIRST).map(|_| Member::new(problem, lr, &mut draws)).collect::<Result<_>>()?;
        let (choices, samples) = (stream.child("choices"), stream.child("training"));
        Ok(Self { problem, queue, members, draws, choices, samples, drawn: None })
    }

    /// The networks to match in this iteration: all of them, or a random one of the queue, which grows first.
    fn matched(&mut self, iteration: usize) -> Result<Vec<&Member>> {
        let Some(queue) = self.queue else { return Ok(self.members.iter().collect()) };
        if iteration.is_multiple_of(queue.push_every) {
            if self.members.len() >= queue.networks {
                let _ = self.members.pop_front();
            }
            self.members.push_back(Member::new(self.problem, queue.lr, &mut self.draws)?);
        }
        if iteration.is_multiple_of(ACCURACY_WINDOW) {
            for member in &mut self.members {
                member.right = member.right.f_zeros_like().at("idm")?;
                member.seen = 0;
            }
        }
        let chosen = self.choices.below(self.members.len());
        Ok(self.members.get(chosen).into_iter().collect())
    }

    /// Trains some of the queue on real images.
    fn train(&mut self) -> Result<()> {
        let Some(queue) = self.queue else { return Ok(()) };
        for chosen in self.choices.sample(self.members.len(), queue.trained) {
            for _ in 0..queue.steps {
                interrupt::check()?;
                let batch = self.training_batch(queue)?;
                let Some(member) = self.members.get_mut(chosen) else { continue };
                let logits = tch::with_grad(|| member.net.forward(&batch.x))?;
                member.optimizer.minimize(&tch::with_grad(|| cross_entropy(&logits, &batch.y))?)?;
                let guesses = logits.f_detach().and_then(|z| guesses(&z)).at("idm")?;
                let right = guesses.f_eq_tensor(&batch.y).at("idm")?.f_sum(Kind::Float).at("idm")?;
                member.right = member.right.f_add(&right).at("idm")?;
                member.seen += batch.len;
            }
        }
        Ok(())
    }

    /// A batch of random real images of any class.
    fn training_batch(&mut self, queue: &QueueOptions) -> Result<crate::data::Batch> {
        if let Some(batch) = self.drawn.as_mut().and_then(Iterator::next) {
            return batch;
        }
        let all: Vec<usize> = self.problem.pools.iter().flat_map(|pool| pool.members.iter().copied()).collect();
        let size = queue.batch.min(all.len());
        let mut order = Vec::with_capacity(size * BATCHES_AHEAD);
        for _ in 0..BATCHES_AHEAD {
            order.extend(self.samples.sample(all.len(), size).into_iter().filter_map(|p| all.get(p).copied()));
        }
        let mut batches = Batches::new(self.problem.data, &order, size)?;
        let first = batches.next().unwrap_or_else(|| Err(Error::new("idm", "there are no images to train on")));
        self.drawn = Some(batches);
        first
    }
}
