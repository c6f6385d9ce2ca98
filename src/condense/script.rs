//! `condense`: a small set instead of a data set, for the comparison of condensers.

use crate::condense::cluster::condensers::{Group, Maker};
use crate::condense::cluster::per_class::{How, clustered};
use crate::condense::matching::condensers;
use crate::condense::matching::condensers::{Made, pools};
use crate::condense::options::{Method, Recipe};
use crate::data::Dataset;
use crate::data::train_validation_split::refuse_excess;
use crate::runtime::{Error, Options, Result, Run, Stream};
use rhai::{Array, Dynamic, Map};
use std::time::Instant;

/// What `condense` can be asked for.
struct CondenseOptions {
    recipe: Recipe,
    variant: String,
    per_class: usize,
    width: usize,
    seed: u64,
}

impl CondenseOptions {
    fn read(given: Map, run: &Run) -> Result<Self> {
        let variant = given.get("variant").map_or_else(|| "canonical".into(), ToString::to_string);
        let mut o = Options::new("condense", given);
        let method = Method::read(&mut o)?;
        let recipe = Recipe::read(&mut o, "condense", method)?;
        let per_class = o.count("per_class", 10)?;
        let width = o.count("width", 128)?;
        let seed = o.integer("seed", run.seed() as i64, 0)? as u64;
        o.finish()?;
        Ok(Self { recipe, variant, per_class, width, seed })
    }

    /// Whether the method starts from clusters. A random choice is the same without.
    fn clusters(&self) -> bool {
        self.recipe.is_per_cluster() && self.recipe.method() != Method::Random
    }
}

/// A condensed set, and what it took.
struct Condensed {
    made: Made,
    seconds_cluster: f64,
    seconds_condense: f64,
}

/// Condenses and says what came of it.
fn told(data: &Dataset, o: &CondenseOptions, run: &Run) -> Result<Condensed> {
    let found = condense(data, o, run)?;
    run.progress().say(&sentence(o, &found));
    if let Some(advice) = found.made.advice(o.recipe.method()) {
        run.progress().warn(&format!("condense: {advice}"));
    }
    Ok(found)
}

/// Makes or chooses up to `per_class` images of every class. Classes with fewer samples get as many as they have.
fn condense(data: &Dataset, o: &CondenseOptions, run: &Run) -> Result<Condensed> {
    if data.is_empty() {
        return Err(Error::new("condense", "the dataset is empty"));
    }
    refuse_excess("condense", o.per_class, &data.labels())?;
    let stream = Stream::new(o.seed, "condense");
    let all: Vec<usize> = (0..data.len()).collect();
    let pools = pools(data, &all, |_, _| o.per_class);
    for pool in pools.iter().filter(|pool| pool.count < o.per_class) {
        let message = format!("class {} has {} samples, fewer than per_class", pool.label, pool.count);
        run.progress().warn(&format!("condense: {message}"));
    }
    if !o.clusters() {
        let (made, seconds) = timed(run, || condensers::make(data, &pools, &o.recipe, o.width, &stream, run))?;
        return Ok(Condensed { made, seconds_cluster: 0.0, seconds_condense: seconds });
    }
    let counts = pools.iter().map(|pool| (pool.label, pool.count)).collect();
    let (found, _) = clustered(data, &How { counts, width: o.width, seed: o.seed, anew: false }, run)?;
    let clusters = &found.clusters;
    let group = Group { members: &clusters.members, names: &clusters.names, per_class: o.per_class };
    let maker = Maker { data, recipe: &o.recipe, width: o.width, stream: &stream, run };
    let (made, seconds) = timed(run, || maker.make(&group))?;
    Ok(Condensed { made, seconds_cluster: found.seconds, seconds_condense: seconds })
}

/// The result and the seconds it took, the device's included.
fn timed<T>(run: &Run, work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    run.synchronize();
    let started = Instant::now();
    let result = work()?;
    run.synchronize();
    Ok((result, started.elapsed().as_secs_f64()))
}

/// What scripts get of a condensation.
fn described(o: &CondenseOptions, found: &Condensed) -> Map {
    let mut map = Map::new();
    map.insert("dataset".into(), Dynamic::from(found.made.dataset.clone()));
    map.insert("method".into(), o.recipe.method().name().into());
    map.insert("variant".into(), o.variant.clone().into());
    for (key, count) in [("per_class", o.per_class), ("size", found.made.dataset.len()), ("seed", o.seed as usize)] {
        map.insert(key.into(), (count as i64).into());
    }
    let history: Array = found.made.history.iter().copied().map(Dynamic::from).collect();
    map.insert("loss".into(), history.into());
    for (key, number) in [
        ("loss_before", found.made.before),
        ("loss_after", found.made.after),
        ("seconds_cluster", Some(found.seconds_cluster)),
        ("seconds_condense", Some(found.seconds_condense)),
        ("seconds", Some(found.seconds_cluster + found.seconds_condense)),
    ] {
        map.insert(key.into(), number.unwrap_or(f64::NAN).into());
    }
    map
}

/// One line about it.
fn sentence(o: &CondenseOptions, found: &Condensed) -> String {
    let loss = match (found.made.before, found.made.after) {
        (Some(before), Some(after)) => format!(" · matching loss {before:.3e} -> {after:.3e}"),
        _ => String::new(),
    };
    format!(
        "condense {} images by {}, {} per class{loss} · {:.1} s clustering, {:.1} s condensing",
        found.made.dataset.len(),
        o.recipe.method().name(),
        o.per_class,
        found.seconds_cluster,
        found.seconds_condense
    )
}

/// What scripts see of condensing.
#[allow(clippy::unwrap_used)] // in the macro's own code
#[rhai::export_module]
pub mod script {
    use super::CondenseOptions;
    use crate::data::Dataset;
    use crate::runtime::{Run, Script};
    use rhai::{Map, NativeCallContext};

    /// A few images of each class instead of a data set: made or chosen by one of the condensers of `lethe list condensers`.
    ///
    /// `"blend"`, `"mean"` and `"nearest"` divide each class into clusters and make one image of each; `"dc"`, `"dm"` and
    /// `"idm"` learn the images of a class together; `"random"`, `"herding"` and `"k_center"` choose real ones. Everything is
    /// drawn from `seed`: equal calls give equal sets. Losses and seconds come with `condensation`.
    ///
    /// `"dc"` is gradient matching (Zhao, Mopuri and Bilen, ICLR 2021), with `augment: true` Siamese augmentation (DSA, ICML
    /// 2021); `"dm"` distribution matching (Zhao and Bilen, WACV 2023). `"idm"` has the settings of its publication (Zhao et
    /// al., CVPR 2023): a queue of networks trained on the way, partition into four (the set then has four images for each
    /// stored one, which is what counts as one of `per_class`), cross-entropy weighted by each network's training accuracy.
    /// It differs from it in one step on all pixels per iteration instead of one for each class in turn. `variant:
    /// "reference"` gives the reference implementation's settings: DC with augmentation and one network more, DM and IDM at a
    /// learning rate of 0.01, IDM with three networks that are never trained, no partition, and a weight of 1.
    ///
    /// # Signature
    /// condense(dataset: Dataset, #{ method: string = "blend", per_class: int = 10, width: int = 128, seed: int, variant: string = "canonical", .. }) -> Dataset
    ///
    /// # Options
    /// - `method` ("blend" | "dc" | "dm" | "idm" | "mean" | "nearest" | "random" | "herding" | "k_center", "blend"): the condenser
    /// - `per_class` (int, 10): images of each class
    /// - `width` (int, 128): of the random networks
    /// - `seed` (int, the run's): what everything is drawn from
    /// - `variant` ("canonical" | "reference", "canonical"): of blend, dc, dm and idm, whose settings count
    /// - `iterations` (int; blend 12, dc 1000, dm and idm 20000): steps; of dc networks
    /// - `step`, `chunk`: of blend, see there
    /// - `lr` (float; dc 0.1, dm 1, idm 0.2): learning rate of the pixels; the publication of dm takes 10 for 100 and more images
    ///   per class
    /// - `momentum` (float, 0.5): of blend, dc, dm and idm
    /// - `batch` (int, 256): real images of each class in a step of dc, dm and idm; the publication of idm takes 5000 for one
    ///   image per class
    /// - `augment` (bool or array of names; dc false, dm and idm true): Siamese augmentation, one of the operations of
    ///   `augmentation` for each class and step; leave `"flip"` out for digits
    /// - `start` ("real" | "noise", "real"): what dc, dm and idm start from; the first publication of dc took noise
    /// - `distance` ("layers" | "squared" | "cosine", "layers"): of dc, see `gradient_match`
    /// - `outer`, `inner` (int): of dc, steps on the pixels for each network, and epochs of the network between two; by images
    ///   per class 1, 1 (up to 5), 10, 50 (10), 20, 25 (20), 30, 20 (30), 40, 15 (40), 50, 10 (50), else those of the nearest
    /// - `lr_net`, `batch_net` (float, 0.01; int, 256): of dc and idm, the training of networks
    /// - `ce_weight` (float, 0.5): of idm; the publication takes 0.1 for 50 images per class
    /// - `partition` (bool, true): of idm, four images in each stored one
    /// - `networks`, `push_every`, `trained`, `steps` (int; 100, 30, 2, 10): of idm, networks in the queue, iterations until one
    ///   joins, how many are trained in an iteration, for how many steps
    ///
    /// # Example
    /// ```rhai
    /// let train = dataset("digits").train;
    /// let small = condense(train, #{ method: "dm", per_class: 2, width: 4, iterations: 3 });
    /// assert(small.len == 20 && small.classes == train.classes);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn condense(context: NativeCallContext, dataset: Dataset, options: Map) -> Script<Dataset> {
        let run = Run::of(&context);
        let options = CondenseOptions::read(options, &run)?;
        Ok(super::told(&dataset, &options, &run)?.made.dataset)
    }

    /// As `condense`, with what it took: a map of `dataset`, `method`, `variant`, `per_class`, `size`, `seed`; `loss_before` and
    /// `loss_after`, the matching losses of what the method started from and of what it made (NaN for choices of real images);
    /// `loss`, an array of the losses on the way; `seconds_cluster`, `seconds_condense` and their sum `seconds`.
    ///
    /// For dc, dm and idm the losses before and after are those of a random network that was not matched, without augmentation:
    /// of dc the distance of gradients, of dm and idm that of mean embeddings, the mean over classes.
    ///
    /// # Signature
    /// condensation(dataset: Dataset, #{ method: string = "blend", per_class: int = 10, width: int = 128, seed: int, variant: string = "canonical", .. }) -> map
    ///
    /// # Options
    /// - `method`, `per_class`, `width`, `seed`, `variant` and all others: as for `condense`
    ///
    /// # Example
    /// ```rhai
    /// let found = condensation(dataset("digits").train, #{ method: "blend", per_class: 5, width: 8 });
    /// assert(found.size == 50 && found.loss_after < found.loss_before);
    /// assert(found.seconds >= found.seconds_condense);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn condensation(context: NativeCallContext, dataset: Dataset, options: Map) -> Script<Map> {
        let run = Run::of(&context);
        let options = CondenseOptions::read(options, &run)?;
        let found = super::told(&dataset, &options, &run)?;
        Ok(super::described(&options, &found))
    }
}
