//! What is watched while a method runs: its last loss, its budget, evaluations along the way, and the best of them.

use super::examiner::{Examiner, Point};
use crate::experiment::examiner;

use super::train::snapshot;
use crate::nn::Net;
use crate::runtime::clock::Clock;
use crate::runtime::{At, Error, Result, Run};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use tch::Tensor;

/// How often a run is evaluated along the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// After each epoch.
    Epoch,
    /// After so many steps of the optimiser.
    Steps(usize),
}

impl Every {
    /// As it is given.
    pub fn told(self) -> Value {
        match self {
            Self::Epoch => "epoch".into(),
            Self::Steps(steps) => steps.into(),
        }
    }
}

/// The watch of one run; inert unless `unlearn::run` asked for something.
#[derive(Default)]
pub struct Watch {
    /// Evaluate along the way.
    pub every: Cell<Option<Every>>,
    /// End with the weights of the best evaluation.
    pub keep_best: Cell<bool>,
    /// Stop after so many seconds of unlearning.
    pub budget: Cell<Option<f64>>,
    /// The budget ended the run.
    pub spent: Cell<bool>,
    /// What the evaluations along the way found.
    pub history: RefCell<Vec<Value>>,
    /// Evaluates the net as it is.
    pub examiner: RefCell<Option<Examiner>>,
    steps: Cell<usize>,
    last: RefCell<Option<Last>>,
    best: RefCell<Option<Best>>,
}

/// The loss of the last step.
struct Last {
    loss: Tensor,
    lr: f64,
}

/// The best evaluation so far, with the weights it was of.
struct Best {
    score: f64,
    at: Value,
    state: Vec<(String, Tensor)>,
}

impl Watch {
    /// To be called after every step of an optimiser; `net` is the one it trains, when the task handed that out.
    ///
    /// # Errors
    /// When the budget is spent; the run catches that one. Those of evaluating.
    pub fn stepped(&self, run: &Run, loss: &Tensor, lr: f64, epoch: usize, net: Option<&Net>) -> Result<()> {
        self.note(loss, lr)?;
        if let Some(net) = net {
            self.steps.set(self.steps.get() + 1);
            if let Some(Every::Steps(every)) = self.every.get()
                && self.steps.get().is_multiple_of(every)
            {
                self.examine(epoch, net)?;
            }
        }
        let Some(budget) = self.budget.get() else { return Ok(()) };
        if run.slot::<Clock>().running("unlearn").is_some_and(|seconds| seconds >= budget) {
            self.spent.set(true);
            return Err(Error::new("budget", format!("the budget of {budget} s of unlearning is used up")));
        }
        Ok(())
    }

    /// Steps of the nets that the task handed out.
    pub fn steps(&self) -> usize {
        self.steps.get()
    }

    /// Remembers the loss of a step.
    ///
    /// # Errors
    /// Those of torch.
    pub fn note(&self, loss: &Tensor, lr: f64) -> Result<()> {
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

    /// Evaluates after so many epochs have passed, when that is asked for.
    ///
    /// # Errors
    /// Those of evaluating.
    pub fn after_epoch(&self, epochs: usize, net: Option<Net>) -> Result<()> {
        match (self.every.get(), net) {
            (Some(Every::Epoch), Some(net)) => self.examine(epochs, &net),
            _ => Ok(()),
        }
    }

    /// Evaluates the net that the method returned, when that is a candidate for the best and was not looked at since its
    /// last step; then gives it the best weights. Returns where those are from.
    ///
    /// # Errors
    /// Those of evaluating.
    pub fn settle(&self, epochs: usize, net: &Net) -> Result<Option<Value>> {
        if !self.keep_best.get() {
            return Ok(None);
        }
        let seen = self.history.borrow().last().and_then(|point| point.get("step")?.as_u64());
        if seen != Some(self.steps.get() as u64) {
            self.examine(epochs, net)?;
        }
        let Some(best) = self.best.take() else {
            if let Some(examiner) = &*self.examiner.borrow() {
                examiner.warn("keep: \"best\" found no evaluation with a score; the net stays as it is");
            }
            return Ok(None);
        };
        net.load_state(&best.state)?;
        Ok(Some(best.at))
    }

    /// An evaluation. No stream moves and the clock stands still.
    fn examine(&self, epoch: usize, net: &Net) -> Result<()> {
        let Some(examiner) = &*self.examiner.borrow() else { return Ok(()) };
        let found = examiner.examine(net, Point { epoch, step: self.steps.get() })?;
        let better = self.best.borrow().as_ref().is_none_or(|best| found.score > best.score);
        // NaN is never the best, the first time neither.
        if self.keep_best.get() && better && !found.score.is_nan() {
            let at = examiner::describe(&found);
            self.best.replace(Some(Best { score: found.score, at, state: snapshot(net)? }));
        }
        self.history.borrow_mut().push(found.value);
        Ok(())
    }
}
