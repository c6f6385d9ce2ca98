//! The networks that a method is handed, and the optimisers it asks the task for.

use super::frame::{self, Scheduled};
use super::task::Task;
use crate::nn::{AdamOptions, Net, Optimizer, Schedule, SgdOptions};
use crate::runtime::options::{as_integer, as_number, describe};
use crate::runtime::{Error, Result, Run};
use rhai::{Array, Dynamic, Map};

impl Task {
    /// A trainable copy of the original, in training mode. The run that is going on takes note of it.
    pub fn model(&self, run: &Run) -> Result<Net> {
        Ok(handed_out(run, self.original().copy()?))
    }

    /// The same architecture newly initialised, in training mode.
    pub fn new_model(&self, run: &Run) -> Result<Net> {
        Ok(handed_out(run, self.original().renewed(&mut run.stream("init"))?))
    }
}

/// Notes a net that a method was given, in training mode and trainable.
fn handed_out(run: &Run, net: Net) -> Net {
    net.set_training(true);
    if !frame::outside(run) {
        frame::current(run).record.nets.borrow_mut().push(net.clone());
    }
    net
}

/// `task.optimizer(net, o)`: what the options of a method ask for. Plain: by `optimizer` SGD (the usual one) with `lr`,
/// `momentum`, `weight_decay`, `nesterov`, or Adam or AdamW with `lr` and `weight_decay`; `warmup` and `epochs` give warm-up
/// and cosine, `milestones` steps of 0.1, neither a constant rate. Accelerated: Adam at a constant `lr`.
pub fn optimizer(run: &Run, net: &Net, o: &Map) -> Result<Optimizer> {
    let frame = frame::current(run);
    let lr = number(o, "lr")?.ok_or_else(|| {
        Error::new("task.optimizer", "the options have no `lr`")
            .hint("declare it: options(opt, #{ lr: positive(0.01) })")
    })?;
    let (optimizer, schedule) = if frame.accelerate.is_some() {
        (Optimizer::adam(net, &AdamOptions { lr, ..AdamOptions::default() })?, Schedule::Constant)
    } else {
        (plain(net, o, lr)?, schedule(o)?)
    };
    let optimizer = optimizer.attached(run);
    frame.record.schedules.borrow_mut().push(Scheduled::new(optimizer.clone(), schedule));
    Ok(optimizer)
}

/// The optimiser of a method that is not accelerated.
fn plain(net: &Net, o: &Map, lr: f64) -> Result<Optimizer> {
    let weight_decay = number(o, "weight_decay")?.unwrap_or(0.0);
    let clip = number(o, "clip")?;
    let adam = AdamOptions { lr, weight_decay, clip, ..AdamOptions::default() };
    match o.get("optimizer").map(ToString::to_string).unwrap_or_default().as_str() {
        "adam" => Optimizer::adam(net, &adam),
        "adamw" => Optimizer::adamw(net, &adam),
        "sgd" | "" => {
            let momentum = number(o, "momentum")?.unwrap_or(0.0);
            let nesterov = o.get("nesterov").is_some_and(|flag| flag.as_bool() == Ok(true));
            Optimizer::sgd(net, &SgdOptions { lr, momentum, weight_decay, nesterov, clip })
        }
        other => {
            let message = format!("`optimizer` must be \"sgd\", \"adam\" or \"adamw\", got {other:?}");
            Err(Error::new("task.optimizer", message).word("optimizer"))
        }
    }
}

fn number(o: &Map, key: &str) -> Result<Option<f64>> {
    match o.get(key).filter(|value| !value.is_unit()) {
        None => Ok(None),
        Some(value) => as_number(value).map(Some).ok_or_else(|| {
            Error::new("task.optimizer", format!("`{key}` must be a number, got {}", describe(value))).word(key)
        }),
    }
}

/// The schedule that the options describe.
fn schedule(o: &Map) -> Result<Schedule> {
    let whole = |key: &str| match number(o, key)? {
        Some(x) if x < 0.0 => {
            Err(Error::new("task.optimizer", format!("`{key}` must be at least 0, got {x}")).word(key))
        }
        x => Ok::<_, Error>(x.map(|x| x as usize)),
    };
    if let Some(warmup) = whole("warmup")? {
        let Some(epochs) = whole("epochs")? else {
            return Err(Error::new("task.optimizer", "`warmup` needs `epochs`: a cosine ends with the last epoch"));
        };
        return Ok(Schedule::WarmupCosine { epochs, warmup });
    }
    match o.get("milestones").and_then(|value| value.clone().try_cast::<Array>()) {
        None => Ok(Schedule::Constant),
        Some(items) => {
            let milestones = items.iter().filter_map(as_integer).map(|n| n.max(0) as usize).collect();
            Ok(Schedule::MultiStep { milestones, gamma: 0.1 })
        }
    }
}

/// A script's `net, n` of `task.regularizer`.
pub fn sample_size(n: &Dynamic) -> Result<usize> {
    as_integer(n)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| Error::new("task.regularizer", format!("n must be a number of samples, got {}", describe(n))))
}
