//! What matching condensers have in common: classes of real images, so many synthetic ones for each, batches of real images,
//! the steps on the pixels, and the losses on the way.

use crate::condense::matching::augment::Strategy;
use crate::condense::matching::losses::averaging;
use crate::data::{Batches, Dataset};
use crate::runtime::progress::Task as Bar;
use crate::runtime::{At, Error, Result, Run, Stream};
use crate::tensor::scalars::WithNumber;
use tch::{Device, Kind, Tensor};

/// A class: its real images, and how many synthetic ones are to stand for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// The label.
    pub label: i64,
    /// Positions of the real images.
    pub members: Vec<usize>,
    /// How many images are to be made.
    pub count: usize,
}

/// What synthetic images start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Random real images of their class.
    Real,
    /// Standard normal noise.
    Noise,
}

/// What all matching condensers can be asked for.
#[derive(Debug, Clone)]
pub struct MatchOptions {
    /// Steps on the pixels, or for gradient matching networks gone through.
    pub iterations: usize,
    /// Learning rate of the pixels.
    pub lr: f64,
    /// Momentum of the pixels.
    pub momentum: f64,
    /// Real images of each class in a step.
    pub batch: usize,
    /// What is done to real and synthetic images alike.
    pub augment: Strategy,
    /// What synthetic images start from.
    pub start: Start,
}

/// Classes of a data set that are to be condensed.
pub struct Problem<'a> {
    /// Where the real images are.
    pub data: &'a Dataset,
    /// The classes.
    pub pools: &'a [Pool],
    /// Width of the random networks.
    pub width: usize,
    /// What every draw derives from.
    pub stream: &'a Stream,
    /// The run, for progress.
    pub run: &'a Run,
}

/// What a matching condenser ends with.
pub struct Matched {
    /// Synthetic images, class after class, `[n, c, h, w]`.
    pub images: Tensor,
    /// Their labels.
    pub labels: Vec<i64>,
    /// Matching loss of the images they started from, on a network that was not matched: the mean over classes.
    pub before: f64,
    /// The same of the images made.
    pub after: f64,
    /// Mean loss of each hundredth of the way.
    pub history: Vec<f64>,
}

/// Rows that stand class after class, and the matrix that averages over them.
pub struct Side {
    /// Place of each row's class among the classes.
    pub owner: Vec<usize>,
    /// `[classes, rows]`.
    pub mean: Tensor,
}

impl Side {
    fn new(counts: impl Iterator<Item = usize>, device: Device) -> Result<Self> {
        let owner: Vec<usize> = counts.enumerate().flat_map(|(class, count)| vec![class; count]).collect();
        let classes = owner.last().map_or(0, |last| last + 1);
        let mean = averaging(&owner, classes, device)?;
        Ok(Self { owner, mean })
    }
}

impl Problem<'_> {
    /// The synthetic side, with `copies` rows for each image.
    ///
    /// # Errors
    /// Those of torch.
    pub fn synthetic_side(&self, copies: usize) -> Result<Side> {
        Side::new(self.pools.iter().map(|pool| copies * pool.count), self.data.device())
    }

    /// Labels of the synthetic images.
    pub fn labels(&self) -> Vec<i64> {
        self.pools.iter().flat_map(|pool| vec![pool.label; pool.count]).collect()
    }

    /// Random real images, as many as are to be made of each class, or noise.
    ///
    /// # Errors
    /// Those of torch.
    pub fn start(&self, start: Start, stream: &mut Stream) -> Result<Tensor> {
        let n: usize = self.pools.iter().map(|pool| pool.count).sum();
        if start == Start::Noise {
            let size = [vec![n as i64], self.data.dims()].concat();
            let values = stream.normals(size.iter().product::<i64>().max(0) as usize);
            let noise = Tensor::f_from_slice(&values).at("condense")?.f_reshape(&size).at("condense")?;
            return noise.f_to_device(self.data.device()).at("condense");
        }
        let mut positions = Vec::with_capacity(n);
        for pool in self.pools {
            let chosen = stream.sample(pool.members.len(), pool.count);
            positions.extend(chosen.into_iter().filter_map(|place| pool.members.get(place)));
        }
        Ok(self.data.gather(&positions)?.x)
    }

    /// Batches of up to `size` random real images of each class, for ever.
    ///
    /// # Errors
    /// Those of torch.
    pub fn real_batches(&self, size: usize, stream: Stream) -> Result<RealBatches<'_>> {
        let side = Side::new(self.pools.iter().map(|pool| size.min(pool.members.len())), self.data.device())?;
        Ok(RealBatches { problem: self, size, stream, drawn: None, side })
    }
}

/// Rows whose places are drawn and uploaded at once.
const ROWS_AHEAD: usize = 1 << 16;

/// Batches of random real images of every class, drawn by partial shuffles, many at a time.
pub struct RealBatches<'a> {
    problem: &'a Problem<'a>,
    size: usize,
    stream: Stream,
    drawn: Option<Batches>,
    /// The rows of every batch.
    pub side: Side,
}

impl RealBatches<'_> {
    /// The next batch, class after class.
    ///
    /// # Errors
    /// Those of torch; Ctrl-C.
    pub fn draw(&mut self) -> Result<Tensor> {
        if let Some(batch) = self.drawn.as_mut().and_then(Iterator::next) {
            return Ok(batch?.x);
        }
        let rows = self.side.owner.len();
        let mut order = vec![];
        for _ in 0..(ROWS_AHEAD / rows.max(1)).max(1) {
            for pool in self.problem.pools {
                let chosen = self.stream.sample(pool.members.len(), self.size);
                order.extend(chosen.into_iter().filter_map(|place| pool.members.get(place).copied()));
            }
        }
        let mut batches = Batches::new(self.problem.data, &order, rows)?;
        let first = batches.next().unwrap_or_else(|| Err(Error::new("condense", "there are no images to condense")))?;
        self.drawn = Some(batches);
        Ok(first.x)
    }
}

/// Images that are moved by SGD with momentum.
pub struct Pixels {
    /// The images as they are.
    pub images: Tensor,
    velocity: Option<Tensor>,
    lr: f64,
    momentum: f64,
}

impl Pixels {
    /// Images to start from.
    ///
    /// # Errors
    /// Those of torch.
    pub fn new(start: &Tensor, o: &MatchOptions) -> Result<Self> {
        let images = start.f_detach().at("condense")?;
        Ok(Self { images, velocity: None, lr: o.lr, momentum: o.momentum })
    }

    /// The images as the leaf of a graph.
    ///
    /// # Errors
    /// Those of torch.
    pub fn leaf(&self) -> Result<Tensor> {
        self.images.f_detach().at("condense")?.f_set_requires_grad(true).at("condense")
    }

    /// One step against the gradient.
    ///
    /// # Errors
    /// Those of torch.
    pub fn step(&mut self, gradient: &Tensor) -> Result<()> {
        let at = "condense";
        let _guard = tch::no_grad_guard();
        let velocity = match &self.velocity {
            Some(before) => before.times(self.momentum).at(at)?.f_add(gradient).at(at)?,
            None => gradient.shallow_clone(),
        };
        self.images = self.images.f_sub(&velocity.times(self.lr).at(at)?).at(at)?;
        self.velocity = Some(velocity);
        Ok(())
    }
}

/// Progress and losses of a condenser. Losses stay on the device and are looked at a hundred times on the way.
pub struct Trace {
    method: &'static str,
    bar: Bar,
    total: Tensor,
    counted: usize,
    every: usize,
    note: String,
    history: Vec<f64>,
}

impl Trace {
    /// For so many steps.
    ///
    /// # Errors
    /// Those of torch.
    pub fn new(method: &'static str, steps: usize, problem: &Problem) -> Result<Self> {
        let total = Tensor::f_zeros([], (Kind::Float, problem.data.device())).at(method)?;
        let bar = problem.run.progress().start(method, steps);
        let every = steps.div_ceil(100).max(1);
        Ok(Self { method, bar, total, counted: 0, every, note: String::new(), history: vec![] })
    }

    /// Notes the loss of a step.
    ///
    /// # Errors
    /// Losses that are not finite.
    pub fn add(&mut self, loss: &Tensor) -> Result<()> {
        self.total = self.total.f_add(&loss.f_detach().at(self.method)?).at(self.method)?;
        self.counted += 1;
        if self.counted == self.every {
            self.look()?;
        }
        self.bar.step(&self.note);
        Ok(())
    }

    /// Reads what has come together.
    fn look(&mut self) -> Result<()> {
        if self.counted == 0 {
            return Ok(());
        }
        let mean = self.total.f_double_value(&[]).at(self.method)? / self.counted as f64;
        if !mean.is_finite() {
            let message = "the images diverged: their loss is no longer a number";
            return Err(Error::new(self.method, message).hint("use a smaller `lr`").word("lr"));
        }
        self.note = format!("loss {mean:.3e}");
        self.history.push(mean);
        self.total = self.total.f_zeros_like().at(self.method)?;
        self.counted = 0;
        Ok(())
    }

    /// The mean losses of each hundredth of the way.
    ///
    /// # Errors
    /// Losses that are not finite.
    pub fn finish(mut self) -> Result<Vec<f64>> {
        self.look()?;
        Ok(self.history)
    }
}

/// The gradient of a loss with respect to images.
///
/// # Errors
/// A loss that does not depend on them.
pub fn pixel_gradient(loss: &Tensor, images: &Tensor) -> Result<Tensor> {
    let at = "condense";
    let independent = || Error::new(at, "the loss does not depend on the images");
    if !loss.requires_grad() {
        return Err(independent());
    }
    let mut gradients = Tensor::f_run_backward(&[loss], &[images], false, false).at(at)?;
    gradients.pop().filter(Tensor::defined).ok_or_else(independent)
}
