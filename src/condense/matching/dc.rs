//! Gradient matching (DC: Zhao, Mopuri and Bilen, ICLR 2021; with augmentation DSA: Zhao and Bilen, ICML 2021): synthetic images
//! that give networks the gradients that the real images of their class give them, along the way of training.

use crate::condense::embed::network;
use crate::condense::matching::augment::Strategy;
use crate::condense::matching::losses::{Distance, gradient_distance};
use crate::condense::matching::setup::{MatchOptions, Matched, Pixels, Problem, RealBatches, Trace, pixel_gradient};
use crate::nn::loss::cross_entropy;
use crate::nn::{Net, Optimizer, SgdOptions};
use crate::runtime::{At, Result, Stream, interrupt};
use tch::{Kind, Tensor};

/// What gradient matching can be asked for.
#[derive(Debug, Clone)]
pub struct GradientOptions {
    /// What all matching condensers can be asked for; an iteration is a network.
    pub matching: MatchOptions,
    /// How gradients are compared.
    pub distance: Distance,
    /// Steps on the pixels for each network; by the number of images per class when not given.
    pub outer: Option<usize>,
    /// Epochs that the network is trained on the synthetic images between two of them; likewise.
    pub inner: Option<usize>,
    /// Learning rate of the network.
    pub lr_net: f64,
    /// Synthetic images of a step of the network.
    pub batch_net: usize,
}

/// Outer and inner loops by the number of images per class, of the nearest number that the publication has.
pub fn loops(per_class: usize) -> (usize, usize) {
    match per_class {
        0..=5 => (1, 1),
        6..=14 => (10, 50),
        15..=24 => (20, 25),
        25..=34 => (30, 20),
        35..=44 => (40, 15),
        _ => (50, 10),
    }
}

/// Runs gradient matching.
///
/// # Errors
/// Images that diverge; Ctrl-C.
pub fn run(problem: &Problem, o: &GradientOptions) -> Result<Matched> {
    let per_class = problem.pools.iter().map(|pool| pool.count).max().unwrap_or(1);
    let usual = loops(per_class);
    let (outer, inner) = (o.outer.unwrap_or(usual.0), o.inner.unwrap_or(usual.1));
    let m = &o.matching;
    let stream = problem.stream;
    let start = problem.start(m.start, &mut stream.child("start"))?;
    let mut work = Work::new(problem, o, &m.augment, stream)?;
    let mut pixels = Pixels::new(&start, m)?;
    let mut trace = Trace::new("dc", m.iterations * outer, problem)?;
    for iteration in 0..m.iterations {
        if iteration > 0 {
            work.net.reset(&mut work.nets)?;
        }
        for step in 0..outer {
            let (loss, gradient) = work.matched(&pixels.images)?;
            pixels.step(&gradient)?;
            trace.add(&loss)?;
            if step + 1 < outer {
                work.train(&pixels.images, inner)?;
            }
        }
    }
    let history = trace.finish()?;
    let (before, after) = (measured(problem, o, &start)?, measured(problem, o, &pixels.images)?);
    Ok(Matched { images: pixels.images, labels: problem.labels(), before, after, history })
}

/// The loss of images on a network that is not matched, without augmentation: the mean over classes.
fn measured(problem: &Problem, o: &GradientOptions, images: &Tensor) -> Result<f64> {
    let stream = problem.stream.child("yardstick");
    let (loss, _) = Work::new(problem, o, &Strategy::none(), &stream)?.matched(images)?;
    Ok(loss.f_double_value(&[]).at("dc")? / problem.pools.len().max(1) as f64)
}

/// A network, and what its gradients are matched with.
struct Work<'a> {
    problem: &'a Problem<'a>,
    o: &'a GradientOptions,
    augment: &'a Strategy,
    net: Net,
    /// Parameters of the network, the same tensors all the time.
    parameters: Vec<Tensor>,
    optimizer: Optimizer,
    labels: Tensor,
    reals: RealBatches<'a>,
    nets: Stream,
    augments: Stream,
    shuffles: Stream,
}

impl<'a> Work<'a> {
    fn new(problem: &'a Problem, o: &'a GradientOptions, augment: &'a Strategy, stream: &Stream) -> Result<Self> {
        let data = problem.data;
        let mut nets = stream.child("networks");
        let net = network(data.shape(), data.classes(), problem.width, &mut nets, data.device())?;
        let optimizer = Optimizer::sgd(&net, &SgdOptions { lr: o.lr_net, momentum: 0.0, ..SgdOptions::default() })?;
        let labels = Tensor::f_from_slice(&problem.labels()).at("dc")?.f_to_device(data.device()).at("dc")?;
        Ok(Self {
            problem,
            o,
            augment,
            parameters: net.parameters().into_iter().map(|(_, parameter)| parameter).collect(),
            net,
            optimizer,
            labels,
            reals: problem.real_batches(o.matching.batch, stream.child("batches"))?,
            nets,
            augments: stream.child("augment"),
            shuffles: stream.child("shuffles"),
        })
    }

    /// The loss of all classes and its gradient with respect to the images. Classes are matched one by one, since each has
    /// gradients of its own.
    fn matched(&mut self, images: &Tensor) -> Result<(Tensor, Tensor)> {
        let at = "dc";
        let real = self.reals.draw()?;
        let (mut losses, mut gradients) = (vec![], vec![]);
        let (mut first, mut first_real) = (0, 0);
        for pool in self.problem.pools {
            interrupt::check()?;
            let (count, count_real) = (pool.count as i64, self.o.matching.batch.min(pool.members.len()) as i64);
            let own = real.f_narrow(0, first_real, count_real).at(at)?;
            let leaf = images.f_narrow(0, first, count).at(at)?.f_detach().at(at)?.f_set_requires_grad(true).at(at)?;
            let drawn = self.augment.draw(1, true, &mut self.augments);
            let wanted = self.gradients(&drawn.apply_to_each(&own)?, pool.label, false)?;
            let loss = tch::with_grad(|| {
                let got = self.gradients(&drawn.apply_to_each(&leaf)?, pool.label, true)?;
                gradient_distance(&got, &wanted, self.o.distance)
            })?;
            gradients.push(pixel_gradient(&loss, &leaf)?);
            losses.push(loss.f_detach().at(at)?);
            (first, first_real) = (first + count, first_real + count_real);
        }
        let loss = Tensor::f_stack(&losses, 0).at(at)?.f_sum(Kind::Float).at(at)?;
        Ok((loss, Tensor::f_cat(&gradients, 0).at(at)?))
    }

    /// Gradients of the mean cross-entropy of images of one class with respect to the network's parameters; with their own
    /// graph when they are to be differentiated again.
    fn gradients(&self, images: &Tensor, label: i64, again: bool) -> Result<Vec<Tensor>> {
        tch::with_grad(|| {
            let logits = self.net.forward(images)?;
            let n = images.size().first().copied().unwrap_or(0);
            let labels = Tensor::f_full([n], label, (Kind::Int64, images.device())).at("dc")?;
            let loss = cross_entropy(&logits, &labels)?;
            Tensor::f_run_backward(&[loss], &self.parameters, again, again).at("dc")
        })
    }

    /// Trains the network on the synthetic images for some epochs, each batch augmented in its own way.
    fn train(&mut self, images: &Tensor, epochs: usize) -> Result<()> {
        let at = "dc";
        let n = self.labels.numel();
        for _ in 0..epochs {
            let order: Vec<i64> = self.shuffles.permutation(n).into_iter().map(|place| place as i64).collect();
            let order = Tensor::f_from_slice(&order).at(at)?.f_to_device(images.device()).at(at)?;
            for rows in order.f_split(self.o.batch_net as i64, 0).at(at)? {
                interrupt::check()?;
                let x = images.f_index_select(0, &rows).at(at)?;
                let drawn = self.augment.draw(rows.numel(), true, &mut self.augments);
                let y = self.labels.f_index_select(0, &rows).at(at)?;
                let loss = tch::with_grad(|| cross_entropy(&self.net.forward(&drawn.apply_to_each(&x)?)?, &y))?;
                self.optimizer.minimize(&loss)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condense::matching::setup::{Pool, Start};
    use crate::data::{Dataset, DatasetInfo};
    use crate::runtime::Run;
    use crate::runtime::run::Settings;

    fn options(outer: usize, inner: usize) -> GradientOptions {
        let matching = MatchOptions {
            iterations: 2,
            lr: 0.001,
            momentum: 0.5,
            batch: 100,
            augment: Strategy::none(),
            start: Start::Real,
        };
        let (outer, inner) = (Some(outer), Some(inner));
        GradientOptions { matching, distance: Distance::Layers, outer, inner, lr_net: 0.01, batch_net: 4 }
    }

    /// Twelve images of three classes, with all their members in every batch, and three synthetic ones of each.
    fn with_problem(check: impl FnOnce(&Problem)) {
        let images = Tensor::from_slice(&Stream::new(1, "images").normals(12 * 64)).reshape([12, 1, 8, 8]);
        let labels = Tensor::from_slice(&(0..12).map(|i| i % 3).collect::<Vec<i64>>());
        let data = Dataset::from_tensors(&images, &labels, DatasetInfo::default()).unwrap();
        let pool =
            |label: i64| Pool { label, members: (0..12).filter(|i| i % 3 == label as usize).collect(), count: 3 };
        let (pools, stream, run) = ([pool(0), pool(1), pool(2)], Stream::new(2, "dc"), Run::new(Settings::default()));
        check(&Problem { data: &data, pools: &pools, width: 8, stream: &stream, run: &run });
    }

    #[test]
    fn the_gradient_is_that_of_the_loss_in_any_direction() {
        with_problem(|problem| {
            let (o, none) = (options(1, 1), Strategy::none());
            let mut work = Work::new(problem, &o, &none, problem.stream).unwrap();
            let x = problem.start(Start::Noise, &mut Stream::new(3, "start")).unwrap();
            let (_, gradient) = work.matched(&x).unwrap();
            // Small, since the gradients matched jump where a unit starts to fire.
            let direction = gradient.sign() * 3e-5;
            let mut at = |x: Tensor| work.matched(&x).unwrap().0.double_value(&[]);
            let difference = at(&x + &direction) - at(&x - &direction);
            let expected = 2.0 * (gradient * direction).sum(Kind::Double).double_value(&[]);
            assert!((difference / expected - 1.0).abs() < 0.05, "{difference} instead of {expected}");
        });
    }

    #[test]
    fn the_network_is_trained_between_steps_and_drawn_anew_for_every_iteration() {
        with_problem(|problem| {
            let images = |outer, inner| run(problem, &options(outer, inner)).unwrap().images;
            assert_eq!(images(2, 1), images(2, 1));
            assert_ne!(images(2, 1), images(2, 3));
            assert_ne!(images(2, 1), images(1, 1));
            let made = run(problem, &options(2, 1)).unwrap();
            assert_eq!((made.history.len(), made.labels), (4, vec![0, 0, 0, 1, 1, 1, 2, 2, 2]));
            assert!(made.after < made.before, "{} -> {}", made.before, made.after);
        });
    }

    #[test]
    fn loops_are_those_of_the_publication_and_between_them_those_of_the_nearest_number() {
        let published = [(1, 1, 1), (5, 1, 1), (10, 10, 50), (20, 20, 25), (30, 30, 20), (40, 40, 15), (50, 50, 10)];
        for (per_class, outer, inner) in published {
            assert_eq!(loops(per_class), (outer, inner));
        }
        assert_eq!((loops(13), loops(16), loops(200)), ((10, 50), (20, 25), (50, 10)));
    }
}
