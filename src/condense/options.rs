//! The condensers by name, and the options each of them has.

use crate::condense::cluster::blend::BlendOptions;
use crate::condense::matching::augment::Strategy;
use crate::condense::matching::dc::GradientOptions;
use crate::condense::matching::idm::{ImprovedOptions, QueueOptions};
use crate::condense::matching::losses::Distance;
use crate::condense::matching::setup::{MatchOptions, Start};
use crate::runtime::{Error, Options, Result};

/// What a few images are made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Weighted combinations that match embeddings.
    Blend,
    /// Images that match the gradients of their class.
    Dc,
    /// Images that match the mean embedding of their class.
    Dm,
    /// The same with trained networks, partition and cross-entropy.
    Idm,
    /// The plain mean of the images.
    Mean,
    /// The real image nearest to the mean embedding.
    Nearest,
    /// A random real image.
    Random,
    /// Real images whose mean embedding is that of their class.
    Herding,
    /// Real images that leave no embedding far from all of them.
    KCenter,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Blend,
        Self::Dc,
        Self::Dm,
        Self::Idm,
        Self::Mean,
        Self::Nearest,
        Self::Random,
        Self::Herding,
        Self::KCenter,
    ];

    /// The name scripts use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blend => "blend",
            Self::Dc => "dc",
            Self::Dm => "dm",
            Self::Idm => "idm",
            Self::Mean => "mean",
            Self::Nearest => "nearest",
            Self::Random => "random",
            Self::Herding => "herding",
            Self::KCenter => "k_center",
        }
    }

    /// Reads the option `method`.
    ///
    /// # Errors
    /// A name that is none.
    pub fn read(o: &mut Options) -> Result<Self> {
        let name = o.choice("method", "blend", &Self::ALL.map(Self::name))?;
        Ok(Self::ALL.into_iter().find(|method| method.name() == name).unwrap_or(Self::Blend))
    }
}

/// A method with its options.
#[derive(Debug, Clone)]
pub enum Recipe {
    /// With the reference's learning rate in place of the step when `reference`.
    Blend { options: BlendOptions, reference: bool },
    /// Gradient matching.
    Dc(GradientOptions),
    /// Distribution matching.
    Dm(MatchOptions),
    /// Improved distribution matching.
    Idm(ImprovedOptions),
    /// Methods without options.
    Plain(Method),
}

impl Default for Recipe {
    fn default() -> Self {
        Self::Blend { options: BlendOptions::default(), reference: false }
    }
}

impl Recipe {
    /// The method.
    pub fn method(&self) -> Method {
        match self {
            Self::Blend { .. } => Method::Blend,
            Self::Dc(_) => Method::Dc,
            Self::Dm(_) => Method::Dm,
            Self::Idm(_) => Method::Idm,
            Self::Plain(method) => *method,
        }
    }

    /// Whether each cluster becomes one image, so that it stays the cluster's whatever becomes of the others. The other methods
    /// make the images of a class together.
    pub fn is_per_cluster(&self) -> bool {
        matches!(self.method(), Method::Blend | Method::Mean | Method::Nearest | Method::Random)
    }

    /// Reads the options of a method. An option of another method is not asked for, so nothing is accepted that would have no
    /// effect.
    ///
    /// # Errors
    /// Wrong types, values out of range.
    pub fn read(o: &mut Options, operation: &str, method: Method) -> Result<Self> {
        if !matches!(method, Method::Blend | Method::Dc | Method::Dm | Method::Idm) {
            return Ok(Self::Plain(method));
        }
        let reference = o.choice("variant", "canonical", &["canonical", "reference"])? == "reference";
        match method {
            Method::Dc => gradient(o, operation, reference).map(Self::Dc),
            Method::Dm => distribution(o, operation, reference).map(Self::Dm),
            Method::Idm => improved(o, operation, reference).map(Self::Idm),
            _ => blend(o, reference).map(|options| Self::Blend { options, reference }),
        }
    }
}

fn blend(o: &mut Options, reference: bool) -> Result<BlendOptions> {
    let mut blend = BlendOptions::default();
    blend.iterations = o.integer("iterations", blend.iterations as i64, 0)? as usize;
    blend.momentum = o.between("momentum", blend.momentum, 0.0, 1.0)?;
    blend.chunk = o.maybe_integer("chunk", 1)?.map(|n| n as usize);
    if !reference {
        blend.step = super::cluster::blend_script::read_step(o)?;
    }
    Ok(blend)
}

/// Defaults of a matching condenser.
struct Usual {
    iterations: usize,
    lr: f64,
    augment: bool,
}

fn matching(o: &mut Options, operation: &str, usual: &Usual) -> Result<MatchOptions> {
    Ok(MatchOptions {
        iterations: o.integer("iterations", usual.iterations as i64, 0)? as usize,
        lr: o.positive("lr", usual.lr)?,
        momentum: o.between("momentum", 0.5, 0.0, 1.0)?,
        batch: o.count("batch", 256)?,
        augment: Strategy::read(o, operation, "augment", usual.augment)?,
        start: match o.choice("start", "real", &["real", "noise"])?.as_str() {
            "noise" => Start::Noise,
            _ => Start::Real,
        },
    })
}

/// The publication's 1,000 networks; the reference counts one more, and always augments.
fn gradient(o: &mut Options, operation: &str, reference: bool) -> Result<GradientOptions> {
    let usual = Usual { iterations: if reference { 1001 } else { 1000 }, lr: 0.1, augment: reference };
    Ok(GradientOptions {
        matching: matching(o, operation, &usual)?,
        distance: Distance::named(&o.choice("distance", "layers", &Distance::NAMES)?),
        outer: o.maybe_integer("outer", 1)?.map(|n| n as usize),
        inner: o.maybe_integer("inner", 0)?.map(|n| n as usize),
        lr_net: o.positive("lr_net", 0.01)?,
        batch_net: o.count("batch_net", 256)?,
    })
}

/// The publication's learning rate is 1; the reference's a hundredth of it.
fn distribution(o: &mut Options, operation: &str, reference: bool) -> Result<MatchOptions> {
    let lr = if reference { 0.01 } else { 1.0 };
    matching(o, operation, &Usual { iterations: 20_000, lr, augment: true })
}

/// The publication's settings for ten images per class of CIFAR-10; the reference has three networks that are never trained.
fn improved(o: &mut Options, operation: &str, reference: bool) -> Result<ImprovedOptions> {
    let lr = if reference { 0.01 } else { 0.2 };
    let matching = matching(o, operation, &Usual { iterations: 20_000, lr, augment: true })?;
    let ce_weight = o.non_negative("ce_weight", if reference { 1.0 } else { 0.5 })?;
    let partition = o.flag("partition", !reference)?;
    let queue = if reference { None } else { Some(queue(o)?) };
    if queue.as_ref().is_some_and(|queue| queue.networks < 4) {
        let message = "`networks` must be at least 4: three there are at the start, and one joins at once";
        return Err(Error::new(operation, message).word("networks"));
    }
    Ok(ImprovedOptions { matching, ce_weight, partition, queue })
}

fn queue(o: &mut Options) -> Result<QueueOptions> {
    Ok(QueueOptions {
        networks: o.count("networks", 100)?,
        push_every: o.count("push_every", 30)?,
        trained: o.integer("trained", 2, 0)? as usize,
        steps: o.count("steps", 10)?,
        batch: o.count("batch_net", 256)?,
        lr: o.positive("lr_net", 0.01)?,
    })
}
