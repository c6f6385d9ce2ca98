//! Originals: networks trained once by a data set's recipe and then taken from the cache; tasks by name.

use super::task::Task;
use super::train::{TrainOptions, train};
use super::{cache, models, presets};
use crate::data::forget_request::Request;
use crate::data::{Data, load};
use crate::eval::metrics::to_json;
use crate::experiment::source::Source;
use crate::nn::Net;
use crate::runtime::{Callback, Error, Options, Result, Run};
use rhai::{Dynamic, Map, NativeCallContext};

/// The options of `original` that are about training; the others build the network.
const TRAINING: [&str; 8] = ["epochs", "lr", "batch", "warmup", "momentum", "weight_decay", "optimizer", "schedule"];

/// A trained network and where it is kept.
pub struct Original {
    /// The network, in evaluation mode.
    pub net: Net,
    /// What decided its weights.
    pub source: Source,
    /// Seconds its training took, now or when it was kept.
    pub seconds: f64,
}

/// The network of this name trained on a data set: from the cache, else trained now and kept.
///
/// # Errors
/// An unknown model or option; those of training.
pub fn original(context: &NativeCallContext, model: &str, data: &Data, given: Map) -> Result<Original> {
    let run = &Run::of(context);
    let mut o = Options::new("original", given);
    let seed = o.integer("seed", run.seed() as i64, 0)? as u64;
    let cached = o.flag("cache", true)?;
    let mut building = recipe(run, &data.name, model, o.rest())?;
    let mut training = Map::new();
    for key in TRAINING {
        if let Some(value) = building.remove(key) {
            training.insert(key.into(), value);
        }
    }
    let trained_by = to_json(&Dynamic::from(training.clone())).to_string();
    // None of these options is a function, so there is nothing to bind.
    let options = TrainOptions::read(training, |function| Callback::new(context, function))?;
    let _scope = run.enter(seed, &format!("original/{model}/{}", data.id));
    let net = models::build(model, data.shape, data.classes, building, || run.stream("init"), run.device())?;
    let source = Source::new(run, data, &net, &trained_by, seed);
    let place = source.original();
    if cached && let Some(found) = cache::find(run, &place, &net)? {
        return Ok(Original { net: found.net, source, seconds: found.seconds });
    }
    run.progress().say(&format!("training the original {model} on {} (kept for the next time)", data.name));
    let trained = train(&net, &data.train, &options, run)?;
    net.set_training(false);
    if cached {
        cache::keep(run, &place, &net, trained.seconds, &Map::new())?;
    }
    Ok(Original { net, source, seconds: trained.seconds })
}

/// What was given, on top of what the data set's recipe says about training and about networks of this kind: a width is not
/// for all of them.
fn recipe(run: &Run, dataset: &str, model: &str, given: Map) -> Result<Map> {
    let mut recipe = presets::original(run, dataset)?;
    let known = models::options_of(model);
    recipe.retain(|key, _| TRAINING.contains(&key.as_str()) || known.contains(&key.as_str()));
    recipe.extend(given);
    Ok(recipe)
}

/// A task by name: `load_task("digits/convnet", #{ mode, fraction, seed, .. })`.
///
/// # Errors
/// A name that is not `dataset/model`; an unknown data set, model or option; a bad request.
pub fn load_task(context: &NativeCallContext, name: &str, given: Map) -> Result<Task> {
    let run = &Run::of(context);
    let Some((dataset, model)) = name.split_once('/') else {
        return Err(Error::new("load_task", format!("expected \"dataset/model\", got {name:?}"))
            .hint("for example \"digits/convnet\""));
    };
    let mut o = Options::new("load_task", given);
    let request = Request::read(&mut o)?;
    let reference = o.choice("variant", "canonical", &["canonical", "reference"])? == "reference";
    let seed = o.integer("seed", run.seed() as i64, 0)?;
    let per_class = o.maybe_integer("per_class", 1)?;
    let validation = o.maybe_number("validation")?;
    let pad = o.maybe_integer("pad", 0)?;
    let mut training = o.map("original")?;
    o.finish()?;
    let usual = presets::original(run, dataset)?.remove("per_class");
    let mut preparation = Map::new();
    if let Some(per_class) = per_class.map(Dynamic::from).or(usual) {
        preparation.insert("per_class".into(), per_class);
    }
    if let Some(share) = validation {
        preparation.insert("validation".into(), share.into());
    }
    if let Some(pad) = pad {
        preparation.insert("pad".into(), pad.into());
    }
    let data = load::load(dataset, preparation, run)?;
    training.entry("seed".into()).or_insert_with(|| seed.into());
    let Original { net, source, seconds } = original(context, model, &data, training)?;
    let task = Task::new(&net, &data, &request, reference, seed as u64)?.with_cache(source, seconds);
    task.tell(run);
    Ok(task)
}
