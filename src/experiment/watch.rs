//! What is watched while a method runs: its last loss, its budget, and evaluations along the way.

use super::run::Examiner;
use crate::nn::Net;
use crate::runtime::clock::Clock;
use crate::runtime::{At, Error, Result, Run};
use serde_json::Value;
use std::cell::{Cell, RefCell};

/// The watch of one run; inert unless `unlearn::run` asked for something.
#[derive(Default)]
pub struct Watch {
    /// Evaluate after so many epochs.
    pub every: Cell<Option<usize>>,
    /// Stop after so many seconds of unlearning.
    pub budget: Cell<Option<f64>>,
    /// The budget ended the run.
    pub spent: Cell<bool>,
    /// What the evaluations along the way found.
    pub history: RefCell<Vec<Value>>,
    /// Evaluates the net as it is.
    pub examiner: RefCell<Option<Examiner>>,
    last: RefCell<Option<Last>>,
}

/// The loss of the last step.
struct Last {
    loss: tch::Tensor,
    lr: f64,
}

impl Watch {
    /// To be called after every step of an optimiser.
    ///
    /// # Errors
    /// When the budget is spent; the run catches that one.
    pub fn stepped(&self, run: &Run, loss: &tch::Tensor, lr: f64) -> Result<()> {
        self.note(loss, lr)?;
        let Some(budget) = self.budget.get() else { return Ok(()) };
        if run.slot::<Clock>().running("unlearn").is_some_and(|seconds| seconds >= budget) {
            self.spent.set(true);
            return Err(Error::new("budget", format!("{budget} s of unlearning are spent")));
        }
        Ok(())
    }

    /// Remembers the loss of a step.
    ///
    /// # Errors
    /// Those of torch.
    pub fn note(&self, loss: &tch::Tensor, lr: f64) -> Result<()> {
        self.last.replace(Some(Last { loss: loss.f_detach().at("minimize")?, lr }));
        Ok(())
    }

    /// The loss of the last step; `None` when there was none.
    pub fn loss(&self) -> Result<Option<f64>> {
        match &*self.last.borrow() {
            Some(last) if last.loss.numel() == 1 => Ok(Some(last.loss.f_double_value(&[]).at("epochs")?)),
            _ => Ok(None),
        }
    }

    /// Refuses a loss that is not a number, naming the method, the epoch and the learning rate.
    pub fn check_loss(&self, method: &str, epoch: usize) -> Result<Option<f64>> {
        let loss = self.loss()?;
        if let (Some(value), Some(last)) = (loss, &*self.last.borrow())
            && !value.is_finite()
        {
            let message = format!("the loss is {value} after epoch {} at learning rate {}", epoch + 1, last.lr);
            return Err(Error::new(method, message).hint("a smaller `lr` usually helps"));
        }
        Ok(loss)
    }

    /// Forgets the last loss, so that a later loop does not report an earlier one's.
    pub fn forget_loss(&self) {
        self.last.replace(None);
    }

    /// Evaluates after an epoch when it is due. No stream moves and the clock stands still.
    pub fn after_epoch(&self, epoch: usize, net: Option<Net>) -> Result<()> {
        let due = self.every.get().is_some_and(|every| (epoch + 1).is_multiple_of(every));
        let (true, Some(net), Some(examiner)) = (due, net, &*self.examiner.borrow()) else { return Ok(()) };
        let found = examiner.examine(&net, epoch + 1)?;
        self.history.borrow_mut().push(found);
        Ok(())
    }
}
