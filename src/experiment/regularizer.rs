//! `task.regularizer(net, n)`: nothing, or A-AMU's distance between losses on forgotten and unseen samples.

use super::accelerate::Knobs;
use super::frame::{self, Frame};
use super::task::Task;
use crate::experiment::regularizer_choice::{Choice, Working};
use crate::nn::Net;
use crate::runtime::options::describe;
use crate::runtime::{At, Callback, Error, Result, Run};
use crate::tensor::Tensor as Value;
use crate::unlearn::amu::{AmuOptions, Kind, Regularizer};
use rhai::{Dynamic, Map};
use tch::Tensor;

/// The term of one step for a retain batch of `n` samples.
///
/// # Errors
/// Those of drawing samples and of the network; a regulariser of a script that returns something else than a number.
pub fn term(run: &Run, task: &Task, net: &Net, n: usize) -> Result<Tensor> {
    let frame = frame::current(run);
    frame.record.regularized.set(true);
    let zero = || Tensor::f_zeros([], (tch::Kind::Float, net.device())).at("task.regularizer");
    let Some(accelerate) = &frame.accelerate else { return zero() };
    let knobs = accelerate.knobs.borrow().clone();
    let choice = frame.record.regularizer.borrow().clone();
    match choice {
        Choice::Nothing => zero(),
        Choice::Function(function) => asked(&function, task, net, n, &knobs),
        Choice::Quantile => named(run, &frame, task, net, n, &knobs, Kind::Quantile),
        Choice::Other(kind) => named(run, &frame, task, net, n, &knobs, kind),
    }
}

fn named(run: &Run, frame: &Frame, task: &Task, net: &Net, n: usize, knobs: &Knobs, kind: Kind) -> Result<Tensor> {
    let mut workshop = frame.workshop.borrow_mut();
    if workshop.as_ref().is_none_or(|working| working.knobs != *knobs) {
        let (mmd_weight, k, clamp) = (knobs.mmd_weight, knobs.k, knobs.clamp);
        let options = AmuOptions { mmd_weight, k, clamp, kind, ..AmuOptions::default() };
        let regularizer = Regularizer::new(task.forget(), task.unseen(), options)?;
        *workshop = Some(Working { regularizer, knobs: knobs.clone(), stream: run.stream("regularizer") });
    }
    match &mut *workshop {
        Some(working) => working.regularizer.term(net, n, &mut working.stream),
        None => Err(Error::new("task.regularizer", "it could not be made")),
    }
}

/// A script's regulariser.
fn asked(function: &Callback, task: &Task, net: &Net, n: usize, knobs: &Knobs) -> Result<Tensor> {
    let o: Map = [("mmd_weight", knobs.mmd_weight), ("k", knobs.k), ("clamp", knobs.clamp)]
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    let arguments = vec![Dynamic::from(net.clone()), Dynamic::from(task.clone()), (n as i64).into(), o.into()];
    let returned = function.call(arguments)?;
    let kind = describe(&returned);
    match returned.try_cast::<Value>() {
        Some(term) if term.numel() == 1 => Ok(term.shallow_clone()),
        _ => Err(Error::new("regularizer", format!("the function must return a tensor with one number, got {kind}"))),
    }
}
