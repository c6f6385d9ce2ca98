//! Blend as scripts see it.

use crate::condense::cluster::blend::{BlendOptions, Source, Step, blend, frozen};
use crate::condense::cluster::free_and_residual::Clusters;
use crate::nn::Net;
use crate::runtime::options::{as_number, describe};
use crate::runtime::{At, Callback, Error, Options, Result};
use rhai::{Dynamic, Map, NativeCallContext};
use tch::{Kind, Tensor};

/// What scripts hand to `blend`: a network or a closure that embeds images.
pub enum Embedder {
    /// A network's penultimate features.
    Net(Net),
    /// Any function of a batch of images.
    Closure(Box<Callback>),
}

impl Embedder {
    /// From a script's argument.
    fn read(context: &NativeCallContext, value: Dynamic) -> Result<Self> {
        if let Some(net) = value.clone().try_cast::<Net>() {
            return Ok(Self::Net(net));
        }
        match value.clone().try_cast::<rhai::FnPtr>() {
            Some(function) => Ok(Self::Closure(Box::new(Callback::new(context, function)))),
            None => {
                let message =
                    format!("needs a network or a closure |x| .. that embeds images, got {}", describe(&value));
                Err(Error::new("blend", message))
            }
        }
    }

    /// Embeddings of a batch.
    fn embed(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Net(net) => net.embed(x),
            Self::Closure(function) => {
                let given = Dynamic::from(crate::tensor::Tensor::from(x.f_alias().at("blend")?));
                let result = function.call(vec![given])?;
                let tensor = result.try_cast::<crate::tensor::Tensor>();
                let tensor =
                    tensor.ok_or_else(|| Error::new("blend", "the closure must return a tensor of embeddings"))?;
                tensor.f_alias().at("blend")
            }
        }
    }
}

/// The option `step`: a number, or `"auto"`.
pub fn read_step(o: &mut Options) -> Result<Step> {
    let Some(value) = o.take("step", "float | \"auto\"", "\"auto\"") else { return Ok(BlendOptions::default().step) };
    if value.is_string() && value.to_string() == "auto" {
        return Ok(BlendOptions::default().step);
    }
    match as_number(&value).filter(|x| *x > 0.0 && x.is_finite()) {
        Some(step) => Ok(Step::PerCluster(step)),
        None => {
            let message = format!("`step` must be a number above 0, or \"auto\", got {}", describe(&value));
            Err(Error::new("blend", message).word("step"))
        }
    }
}

fn options_from(given: Map) -> Result<BlendOptions> {
    let mut o = Options::new("blend", given);
    let step = read_step(&mut o)?;
    let rate = o.maybe_number("lr")?;
    let iterations = o.integer("iterations", 12, 0)? as usize;
    let momentum = o.between("momentum", 0.5, 0.0, 1.0)?;
    let chunk = o.maybe_integer("chunk", 1)?.map(|n| n as usize);
    o.finish()?;
    let step = rate.map_or(step, Step::Joint);
    Ok(BlendOptions { step, iterations, momentum, chunk })
}

/// What scripts get of a blend of images `[n, ..]` with a cluster for each.
fn from_script(context: &NativeCallContext, images: &Tensor, ids: &[i64], by: Dynamic, options: Map) -> Result<Map> {
    let at = "blend";
    if images.size().first() != Some(&(ids.len() as i64)) {
        let message =
            format!("needs images [n, ..] and a cluster for each, got {:?} and {} ids", images.size(), ids.len());
        return Err(Error::new(at, message));
    }
    let options = options_from(options)?;
    let embedder = match Embedder::read(context, by)? {
        Embedder::Net(net) => Embedder::Net(frozen(&net)?),
        other => other,
    };
    let clusters = Clusters::from_labels(ids);
    let gather = |positions: &[usize]| {
        let positions: Vec<i64> = positions.iter().map(|p| *p as i64).collect();
        let index = Tensor::f_from_slice(&positions).at(at)?.f_to_device(images.device()).at(at)?;
        images.f_detach().at(at)?.f_index_select(0, &index).at(at)?.f_to_kind(Kind::Float).at(at)
    };
    let embed = |x: &Tensor| embedder.embed(x);
    let result =
        blend(&clusters.members, &Source { device: images.device(), gather: &gather, embed: &embed }, &options, None)?;
    let order: Vec<i64> = clusters.members.concat().iter().map(|p| *p as i64).collect();
    let order = Tensor::f_from_slice(&order).at(at)?.f_to_device(images.device()).at(at)?;
    let weights = result.weights.f_zeros_like().at(at)?.f_index_copy(0, &order, &result.weights).at(at)?;
    let mut map = Map::new();
    let mut put = |name: &str, tensor: Tensor| {
        map.insert(name.into(), Dynamic::from(crate::tensor::Tensor::from(tensor)));
    };
    put("loss", result.losses.f_mean_dim(&[1_i64][..], false, Kind::Float).at(at)?);
    put("clusters", Tensor::f_from_slice(&clusters.names).at(at)?);
    put("images", result.images);
    put("weights", weights);
    put("cluster_loss", result.losses);
    put("targets", result.targets);
    Ok(map)
}

/// What scripts see of Blend.
#[rhai::export_module]
pub mod script {
    use crate::runtime::options::{as_number, describe};
    use crate::runtime::{Error, Script};
    use crate::tensor::Tensor;
    use rhai::{Dynamic, Map, NativeCallContext};

    /// One image per cluster, combined so that its embedding matches the cluster's mean embedding: a map of results.
    ///
    /// Blend of arXiv 2507.09786: the weights of a cluster's images start equal and descend on the mean squared difference
    /// between the embedding of their combination and the mean of their embeddings. They are not kept positive. `embedder`
    /// is a network (its parameters stay as they are) or a closure `|x| ..`. The map has `images` `[k, ..]`, `clusters`
    /// (the id of each), `weights` (raw, one per given image), `cluster_loss` `[iterations + 1, k]` and `loss`
    /// `[iterations + 1]` (before each step and after the last), `targets` `[k, d]`.
    ///
    /// # Signature
    /// blend(images: Tensor[n, ..], clusters: Tensor[n], embedder: Net | closure, #{ .. }) -> map
    ///
    /// # Options
    /// - `step` (float | "auto", "auto"): step on each cluster's own loss, however many clusters there are. `"auto"` is half of
    ///   `1 / (n V)` for `n` images whose embeddings vary by `V`, which suits any data and embedder (ours); 1.7 is about
    ///   what the reference takes on CIFAR-10
    /// - `lr` (float): learning rate of the joint loss, the mean over clusters, in place of `step`
    /// - `iterations` (int, 12): steps; 0 leaves the plain means
    /// - `momentum` (float, 0.5): momentum of the steps
    /// - `chunk` (int): clusters optimised at a time; 16 on the CPU, 256 elsewhere
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([[[[0.0, 1.0]]], [[[2.0, 1.0]]], [[[5.0, 5.0]]]]);
    /// let found = blend(x, tensor([0, 0, 1]), |x| tanh(x.flatten(1)), #{ iterations: 5 });
    /// assert(found.images.shape == [2, 1, 1, 2] && found.loss[5].item() < found.loss[0].item());
    /// assert(found.images[1].sum().item() == 10.0);                 // a single image stays as it is
    /// ```
    #[rhai_fn(return_raw)]
    pub fn blend(
        context: NativeCallContext,
        images: Tensor,
        clusters: Tensor,
        embedder: Dynamic,
        options: Map,
    ) -> Script<Map> {
        let ids = crate::condense::cluster::free_and_residual::integers("blend", &clusters)?;
        Ok(super::from_script(&context, &images, &ids, embedder, options)?)
    }

    #[rhai_fn(name = "blend", return_raw)]
    pub fn blend_plain(context: NativeCallContext, images: Tensor, clusters: Tensor, embedder: Dynamic) -> Script<Map> {
        blend(context, images, clusters, embedder, Map::new())
    }

    /// The learning rate that the reference implementation of Blend uses for a number of clusters per class.
    ///
    /// A cubic fitted by its authors, for the joint loss: `blend(.., #{ lr: blend_learning_rate(1000) })`. Beyond 5,257
    /// clusters per class, where it would be negative, it is an error in `task.reduce`; here the formula's value comes out.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(blend_learning_rate(1000), 9998.661, 1e-3);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn blend_learning_rate(per_class: Dynamic) -> Script<f64> {
        match as_number(&per_class) {
            Some(n) => Ok(crate::condense::cluster::blend::polynomial(n)),
            None => {
                let message = format!("needs a number of clusters per class, got {}", describe(&per_class));
                Err(Error::new("blend_learning_rate", message).into())
            }
        }
    }
}
