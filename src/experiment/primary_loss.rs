//! `task.primary`: the loss that an accelerated method steepens (arXiv 2507.09786).

use super::accelerate::Accelerate;
use super::frame::{self, Frame};
use super::task::Task;
use crate::experiment::regularizer_choice::Workshop;
use crate::runtime::torch_words::At;
use crate::runtime::{Error, Result, Run};
use tch::Tensor;

/// `task.primary`: the loss itself, or steepened when accelerated.
pub fn primary(run: &Run, loss: &Tensor) -> Result<Tensor> {
    let frame = frame::current(run);
    frame.record.primary.set(true);
    let mean = |loss: &Tensor| match loss.dim() {
        0 => Ok(loss.shallow_clone()),
        _ => loss.f_mean(loss.kind()).at("task.primary"),
    };
    let Some(accelerate) = &frame.accelerate else { return mean(loss) };
    if !accelerate.knobs.borrow().mean_of_squares {
        return mean(loss)?.f_square().at("task.primary");
    }
    if loss.dim() == 0 {
        let message = "steepen \"mean_of_squares\" needs the loss of each sample, got a single number";
        return Err(Error::new("task.primary", message).hint("pass cross_entropy(logits, y, #{ reduction: \"none\" })"));
    }
    mean(&loss.f_square().at("task.primary")?)
}

/// Puts the accelerated form of `method` on top of the running frame.
pub fn frame_of(run: &Run, task: &Task, method: &str) -> Frame {
    let below = frame::current(run);
    below.record.accelerated.set(true);
    Frame {
        method: method.into(),
        accelerate: Some(Accelerate::default()),
        reference: below.reference,
        workshop: Workshop::default(),
        task: Some(task.clone()),
        record: below.record.clone(),
    }
}
