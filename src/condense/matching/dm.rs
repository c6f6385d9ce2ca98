//! Distribution matching (DM: Zhao and Bilen, WACV 2023): synthetic images whose mean embedding by ever new random networks is
//! that of the real images of their class. All classes go through the network together, which is exact for networks that
//! treat every sample alone.

use crate::condense::embed::embedder;
use crate::condense::matching::losses::squared_distances;
use crate::condense::matching::setup::{MatchOptions, Matched, Pixels, Problem, Side, Trace, pixel_gradient};
use crate::nn::Net;
use crate::runtime::{At, Result, interrupt};
use tch::{Kind, Tensor};

/// Real images of each class that the losses before and after are measured on.
const MEASURED: usize = 1024;

/// Runs distribution matching. `o.iterations` networks are drawn, each for one step on the pixels.
///
/// # Errors
/// Images that diverge; Ctrl-C.
pub fn run(problem: &Problem, o: &MatchOptions) -> Result<Matched> {
    let at = "dm";
    let stream = problem.stream;
    let (mut nets, mut augments) = (stream.child("networks"), stream.child("augment"));
    let mut reals = problem.real_batches(o.batch, stream.child("batches"))?;
    let synthetic = problem.synthetic_side(1)?;
    let yardstick = Yardstick::new(problem)?;
    let start = problem.start(o.start, &mut stream.child("start"))?;
    let mut pixels = Pixels::new(&start, o)?;
    let net = embedder(problem.data, problem.width, &mut nets)?;
    let mut trace = Trace::new(at, o.iterations, problem)?;
    for iteration in 0..o.iterations {
        interrupt::check()?;
        if iteration > 0 {
            net.reset(&mut nets)?;
        }
        let real = reals.draw()?;
        let drawn = o.augment.draw(problem.pools.len(), false, &mut augments);
        let target = tch::no_grad(|| class_means(&net, &drawn.apply(&real, &reals.side.owner)?, &reals.side))?;
        let leaf = pixels.leaf()?;
        let loss = tch::with_grad(|| {
            let means = class_means(&net, &drawn.apply(&leaf, &synthetic.owner)?, &synthetic)?;
            squared_distances(&means, &target)?.f_sum(Kind::Float).at(at)
        })?;
        pixels.step(&pixel_gradient(&loss, &leaf)?)?;
        trace.add(&loss)?;
    }
    let history = trace.finish()?;
    let (before, after) = (yardstick.loss(&start, &synthetic)?, yardstick.loss(&pixels.images, &synthetic)?);
    Ok(Matched { images: pixels.images, labels: problem.labels(), before, after, history })
}

/// Mean embedding of each class, `[classes, d]`.
///
/// # Errors
/// Those of the network.
pub fn class_means(net: &Net, images: &Tensor, side: &Side) -> Result<Tensor> {
    side.mean.f_matmul(&net.embed(images)?).at("dm")
}

/// A random network that is not matched, and the mean embeddings of the real classes by it: what images are measured with
/// before and after.
pub struct Yardstick {
    net: Net,
    target: Tensor,
}

impl Yardstick {
    /// Draws the network and embeds up to 1,024 real images of each class.
    ///
    /// # Errors
    /// Those of the network; Ctrl-C.
    pub fn new(problem: &Problem) -> Result<Self> {
        let stream = problem.stream.child("yardstick");
        let net = embedder(problem.data, problem.width, &mut stream.child("network"))?;
        let mut reals = problem.real_batches(MEASURED, stream.child("batch"))?;
        let real = reals.draw()?;
        let target = net.evaluating(|| class_means(&net, &real, &reals.side))?;
        Ok(Self { net, target })
    }

    /// Squared distance between mean embeddings, the mean over classes; without augmentation.
    ///
    /// # Errors
    /// Those of the network.
    pub fn loss(&self, images: &Tensor, side: &Side) -> Result<f64> {
        let means = self.net.evaluating(|| class_means(&self.net, images, side))?;
        squared_distances(&means, &self.target)?.f_mean(Kind::Double).at("dm")?.f_double_value(&[]).at("dm")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condense::matching::augment::Strategy;
    use crate::condense::matching::setup::{Pool, Start};
    use crate::data::{Dataset, DatasetInfo};
    use crate::runtime::run::Settings;
    use crate::runtime::{Run, Stream};

    fn options(lr: f64) -> MatchOptions {
        let (iterations, momentum) = (30, 0.5);
        MatchOptions { iterations, lr, momentum, batch: 5, augment: Strategy::none(), start: Start::Noise }
    }

    /// Two classes of unequal size, one of which has an image in a corner that noise has not.
    fn matched(o: &MatchOptions) -> Result<Matched> {
        let noise = Tensor::from_slice(&Stream::new(1, "images").normals(20 * 64)).reshape([20, 1, 8, 8]);
        let corner = Tensor::zeros([20, 1, 8, 8], (Kind::Float, tch::Device::Cpu));
        let _ = corner.narrow(0, 0, 12).narrow(2, 0, 4).narrow(3, 0, 4).fill_(3.0);
        let labels = Tensor::from_slice(&(0..20).map(|i| i64::from(i >= 12)).collect::<Vec<i64>>());
        let data = Dataset::from_tensors(&(noise * 0.1 + corner), &labels, DatasetInfo::default()).unwrap();
        let pools = [
            Pool { label: 0, members: (0..12).collect(), count: 1 },
            Pool { label: 1, members: (12..20).collect(), count: 4 },
        ];
        let (stream, run) = (Stream::new(2, "dm"), Run::new(Settings::default()));
        super::run(&Problem { data: &data, pools: &pools, width: 16, stream: &stream, run: &run }, o)
    }

    #[test]
    fn images_come_nearer_to_their_class_by_networks_they_have_not_seen() {
        let made = matched(&options(50.0)).unwrap();
        assert!(made.after < 0.7 * made.before, "{} -> {}", made.before, made.after);
        assert_eq!((made.labels, made.images.size()), (vec![0, 1, 1, 1, 1], vec![5, 1, 8, 8]));
        assert_eq!(made.history.len(), 30);
    }

    #[test]
    fn images_that_diverge_are_an_error_that_says_what_to_do() {
        let error = matched(&options(1e38)).err().unwrap();
        assert!(error.to_string().contains("diverged"), "{error}");
    }
}
