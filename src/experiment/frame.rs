//! The method that is running: what `options`, `epochs`, `task.primary` and the optimisers know about each other.

use super::accelerate::Accelerate;
use super::task::Task;
use super::watch::Watch;
use crate::experiment::question::Question;
use crate::experiment::regularizer_choice::{Choice, Workshop};
use crate::nn::{Net, Optimizer, Schedule};
use crate::runtime::{Error, Result, Run};
use rhai::Map;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How deep methods may run methods.
const DEEPEST: usize = 16;

/// One method at work. `accelerated("finetune", ..)` puts a frame on top that shares the record of the one below.
#[derive(Default)]
pub struct Frame {
    /// The method's name, for messages and presets.
    pub method: String,
    /// The accelerated form, when that is what runs.
    pub accelerate: Option<Accelerate>,
    /// Formulas, schedules and presets of the reference implementation.
    pub reference: bool,
    /// The regulariser at work.
    pub workshop: Workshop,
    /// What the method works on; `None` outside any method.
    pub task: Option<Task>,
    /// What the run as a whole records.
    pub record: Rc<Record>,
}

/// What is recorded about a run of a method, whatever frames it went through.
#[derive(Default)]
pub struct Record {
    /// Every option that counted, as the method read it.
    pub options: RefCell<Map>,
    /// The nets handed out by `task.model()` and `task.new_model()`, in order.
    pub nets: RefCell<Vec<Net>>,
    /// The one of them that was trained last.
    trained: RefCell<Option<Net>>,
    /// Optimisers whose rate a schedule moves.
    pub schedules: RefCell<Vec<Scheduled>>,
    /// Whether an accelerated form ran, and what of it was used.
    pub accelerated: Cell<bool>,
    /// `task.primary` was called.
    pub primary: Cell<bool>,
    /// `task.regularizer` was called.
    pub regularized: Cell<bool>,
    /// The method read its options.
    pub read_options: Cell<bool>,
    /// The regulariser of accelerated forms.
    pub regularizer: RefCell<Choice>,
    /// Epochs finished.
    pub epochs: Cell<usize>,
    /// Where the weights that were kept are from, when the best ones were asked for.
    pub kept: RefCell<serde_json::Value>,
    /// Evaluations and the budget asked for, and what came of them.
    pub watch: Watch,
    /// Whether the method is only asked for its options.
    pub question: Question,
}

/// An optimiser with the schedule of its learning rate.
pub struct Scheduled {
    optimizer: Optimizer,
    base: f64,
    schedule: Schedule,
    epoch: usize,
}

impl Scheduled {
    /// An optimiser at the schedule's first epoch.
    pub fn new(optimizer: Optimizer, schedule: Schedule) -> Self {
        let base = optimizer.lr();
        let scheduled = Self { optimizer, base, schedule, epoch: 0 };
        scheduled.set();
        scheduled
    }

    fn set(&self) {
        self.optimizer.set_lr(self.base * self.schedule.factor(self.epoch));
    }

    /// The rate of the epoch after this one.
    pub fn advance(&mut self) {
        self.epoch += 1;
        self.set();
    }
}

/// The methods at work, innermost last; a run slot. Outside any method a base frame serves, so that a script can call
/// `task.optimizer` and `epochs` on its own.
#[derive(Default)]
pub struct Frames {
    stack: RefCell<Vec<Rc<Frame>>>,
    base: RefCell<Rc<Frame>>,
}

/// Takes its frame off the stack when dropped.
pub struct FrameGuard {
    run: Run,
    depth: usize,
}

impl Drop for FrameGuard {
    fn drop(&mut self) {
        self.run.slot::<Frames>().stack.borrow_mut().truncate(self.depth);
    }
}

/// The frame of the method that is running.
pub fn current(run: &Run) -> Rc<Frame> {
    let frames = run.slot::<Frames>();
    let top = frames.stack.borrow().last().cloned();
    top.unwrap_or_else(|| frames.base.borrow().clone())
}

/// Whether no method is running.
pub fn outside(run: &Run) -> bool {
    run.slot::<Frames>().stack.borrow().is_empty()
}

/// Forgets what was collected outside any method (a session would otherwise keep every net it ever trained).
pub fn renew_base(run: &Run) {
    run.slot::<Frames>().base.replace(Rc::default());
}

/// Puts a method to work until the guard is dropped.
///
/// # Errors
/// When methods run methods without end.
pub fn enter(run: &Run, frame: Frame) -> Result<(Rc<Frame>, FrameGuard)> {
    let frames = run.slot::<Frames>();
    let mut stack = frames.stack.borrow_mut();
    let depth = stack.len();
    if depth >= DEEPEST {
        let message = format!("methods are running methods {DEEPEST} levels deep");
        return Err(Error::new("unlearn::run", message).hint(format!("does `{}` run itself?", frame.method)));
    }
    let frame = Rc::new(frame);
    stack.push(frame.clone());
    Ok((frame, FrameGuard { run: run.clone(), depth }))
}

impl Record {
    /// The net that stands for the run: the one trained last, else the last one handed out.
    pub fn net(&self) -> Option<Net> {
        self.trained.borrow().clone().or_else(|| self.nets.borrow().last().cloned())
    }

    /// Takes note of a step of an optimiser, after it.
    ///
    /// # Errors
    /// When the budget is spent; those of evaluating.
    pub fn stepped(&self, run: &Run, optimizer: &Optimizer, loss: &tch::Tensor) -> Result<()> {
        self.question.refuse_work()?;
        let net = optimizer.net().and_then(|net| self.handed_out(net));
        if let Some(net) = &net {
            self.trained.replace(Some(net.clone()));
        }
        self.watch.stepped(run, loss, optimizer.lr(), self.epochs.get(), net.as_ref())
    }

    /// The net handed out by the task that an optimiser trains: the optimiser's own, or a part of it (a method may put the
    /// net into a larger one).
    fn handed_out(&self, trained: &Net) -> Option<Net> {
        let known = self.trained.borrow();
        if let Some(net) = known.as_ref().filter(|net| Rc::ptr_eq(net.root(), trained.root())) {
            return Some(net.clone());
        }
        self.nets.borrow().iter().find(|net| trained.shares_parameters(net)).cloned()
    }

    /// Takes the last loss off the optimisers, where no run watches their steps.
    ///
    /// # Errors
    /// Those of torch.
    pub fn note_losses(&self) -> Result<()> {
        match self.schedules.borrow().last().map(|scheduled| &scheduled.optimizer) {
            Some(optimizer) => optimizer.last_loss().map_or(Ok(()), |loss| self.watch.note(&loss, optimizer.lr())),
            None => Ok(()),
        }
    }

    /// Notes options that counted.
    pub fn used(&self, options: &Map) {
        self.options.borrow_mut().extend(options.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}
