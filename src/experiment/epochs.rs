//! `for epoch in epochs(n)`: the loop of every method that trains.

use super::frame::{self, Frame};
use crate::runtime::{Result, Run, interrupt, progress};
use rhai::{Dynamic, EvalAltResult};
use std::cell::RefCell;
use std::rc::Rc;

/// A loop over epochs. Between epochs it moves the schedules of the optimisers that `task.optimizer` made, shows
/// progress, honours Ctrl-C, and stops the method when its loss is not a number.
#[derive(Clone)]
pub struct Epochs {
    run: Run,
    frame: Rc<Frame>,
    total: usize,
    next: usize,
    bar: Rc<RefCell<Option<progress::Task>>>,
}

impl Epochs {
    /// A loop of `total` epochs in the method that is running.
    pub fn new(run: &Run, total: usize) -> Self {
        let frame = frame::current(run);
        if frame::outside(run) {
            // What was made outside any method belongs to this loop alone.
            frame::renew_base(run);
        }
        frame.record.watch.forget_loss();
        Self { run: run.clone(), frame, total, next: 0, bar: Rc::default() }
    }

    /// Begins the next epoch, or ends the loop.
    fn advance(&mut self) -> Result<Option<usize>> {
        interrupt::check()?;
        if self.next > 0 {
            self.finish(self.next - 1)?;
        }
        if self.next == self.total {
            self.bar.borrow_mut().take();
            return Ok(None);
        }
        if self.next == 0 {
            let name = if self.frame.method.is_empty() { "epochs" } else { &self.frame.method };
            self.bar.replace(Some(self.run.progress().start(name, self.total)));
        }
        self.next += 1;
        Ok(Some(self.next - 1))
    }

    /// What has to happen after an epoch.
    fn finish(&self, epoch: usize) -> Result<()> {
        let record = &self.frame.record;
        let name = if self.frame.method.is_empty() { "epochs" } else { &self.frame.method };
        if frame::outside(&self.run) {
            record.note_losses()?;
        }
        let loss = record.watch.check_loss(name, epoch)?;
        if self.frame.accelerate.is_some() && !record.primary.get() {
            return Err(super::accelerate::refusal(&self.frame.method));
        }
        if let Some(bar) = &mut *self.bar.borrow_mut() {
            bar.step(&loss.map_or_else(String::new, |loss| format!("loss {loss:.4}")));
        }
        crate::runtime::peak_memory::sample(&self.run);
        record.epochs.set(record.epochs.get() + 1);
        record.schedules.borrow_mut().iter_mut().for_each(frame::Scheduled::advance);
        record.watch.after_epoch(record.epochs.get(), record.net())
    }
}

impl Iterator for Epochs {
    type Item = std::result::Result<Dynamic, Box<EvalAltResult>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(epoch) => epoch.map(|epoch| Ok((epoch as i64).into())),
            Err(error) => {
                // An iterator that failed must not be asked again.
                self.next = 0;
                self.total = 0;
                Some(Err(error.into()))
            }
        }
    }
}

/// What scripts see of epochs.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use crate::runtime::options::{as_integer, describe};
    use crate::runtime::{Error, Run, Script};
    use rhai::{Dynamic, NativeCallContext};

    /// A loop over epochs.
    pub type Epochs = super::Epochs;

    /// The loop of a method: `for epoch in epochs(n)` counts from 0 to n - 1.
    ///
    /// Between epochs the schedules of `task.optimizer` move on, progress is shown, Ctrl-C is honoured, `every` and
    /// `budget` of `unlearn::run` act, and a loss that is not a number ends the method with an error.
    ///
    /// # Signature
    /// epochs(n: int) -> Epochs
    ///
    /// # Example
    /// ```rhai
    /// let seen = [];
    /// for epoch in epochs(3) { seen.push(epoch); }
    /// assert(seen == [0, 1, 2]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn epochs(context: NativeCallContext, n: Dynamic) -> Script<Epochs> {
        match as_integer(&n) {
            Some(count) if count >= 0 => Ok(super::Epochs::new(&Run::of(&context), count as usize)),
            _ => {
                let message = format!("n must be a whole number of at least 0, got {}", describe(&n));
                Err(Error::new("epochs", message).into())
            }
        }
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn show(epochs: &mut Epochs) -> String {
        format!("epochs({})", epochs.total)
    }
}
