//! Optimisers on the parameters of a network, or on tensors of a script: SGD, Adam, AdamW.

use crate::nn::net::Net;
use crate::nn::optim::update_rule::{Piece, Rule};
use crate::nn::parameter::{Parameter, settle};
use crate::runtime::{At, Error, Result, Run, interrupt};
use crate::tensor::scalars::WithNumber;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tch::{COptimizer, Kind, Tensor};

/// The entries that steps leave alone, and what they are.
pub struct Hold {
    /// True where an entry is free, in the layout of the optimiser's state.
    pub(super) free: Tensor,
    /// The values at the time the mask was set, in the same layout.
    pub(super) values: Tensor,
}

/// What SGD can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct SgdOptions {
    /// Learning rate.
    pub lr: f64,
    /// Momentum, without dampening.
    pub momentum: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's form of the momentum.
    pub nesterov: bool,
    /// Largest norm of the whole gradient.
    pub clip: Option<f64>,
}

impl Default for SgdOptions {
    fn default() -> Self {
        Self { lr: 0.01, momentum: 0.0, weight_decay: 0.0, nesterov: false, clip: None }
    }
}

/// What Adam and AdamW can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct AdamOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty (Adam) or decay of the weights (AdamW).
    pub weight_decay: f64,
    /// Largest norm of the whole gradient.
    pub clip: Option<f64>,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { lr: 0.001, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, clip: None }
    }
}

/// What one step can be asked for beyond following the gradient.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepOptions {
    /// Largest norm of the whole gradient, penalty included.
    pub clip: Option<f64>,
    /// Weight of the L1 penalty: this times the sign of each parameter is added to its gradient.
    pub l1: f64,
}

/// Called after a step, with the optimiser and the loss.
pub type Hook = Rc<dyn Fn(&Optimizer, &Tensor) -> Result<()>>;

/// What is called after every `minimize` of a run's optimisers: `run.slot::<Hooks>()`.
#[derive(Default)]
pub struct Hooks(pub RefCell<Vec<Hook>>);

/// A shared handle to an optimiser. Parameters frozen or without a gradient are left alone in a step, as in PyTorch.
#[derive(Clone)]
pub struct Optimizer(pub(super) Rc<Inner>);

pub(super) struct Inner {
    pub(super) rule: Rule,
    net: Option<Net>,
    pub(super) members: Vec<Member>,
    lr: Cell<f64>,
    clip: Cell<Option<f64>>,
    /// One flat tensor for each name of `rule.state_names()`, made by the first step.
    pub(super) state: RefCell<Vec<Tensor>>,
    /// The entries that steps leave as they are.
    pub(super) held: RefCell<Option<Hold>>,
    last: RefCell<Option<Tensor>>,
    hooks: RefCell<Option<Rc<Hooks>>>,
    /// Torch's own optimiser, for the one thing tch offers nowhere else: gradients that become undefined again.
    clearer: COptimizer,
}

pub(super) struct Member {
    pub name: String,
    pub parameter: Rc<Parameter>,
    /// Elements before this parameter in the flat state.
    pub offset: i64,
    pub length: i64,
    pub steps: Cell<i64>,
}

impl Optimizer {
    /// SGD on a network, which is put into training mode.
    ///
    /// # Errors
    /// A network without parameters.
    pub fn sgd(net: &Net, o: &SgdOptions) -> Result<Self> {
        let (momentum, weight_decay) = (o.momentum, o.weight_decay);
        if o.nesterov && momentum <= 0.0 {
            return Err(Error::new("sgd", "nesterov needs a momentum above 0").word("nesterov"));
        }
        Self::of_net(Rule::Sgd { momentum, weight_decay, nesterov: o.nesterov }, net, o.lr, o.clip)
    }

    /// Adam on a network, which is put into training mode.
    ///
    /// # Errors
    /// A network without parameters.
    pub fn adam(net: &Net, o: &AdamOptions) -> Result<Self> {
        Self::of_net(adam_rule(o, false), net, o.lr, o.clip)
    }

    /// AdamW (Loshchilov and Hutter, ICLR 2019) on a network, which is put into training mode.
    ///
    /// # Errors
    /// A network without parameters.
    pub fn adamw(net: &Net, o: &AdamOptions) -> Result<Self> {
        Self::of_net(adam_rule(o, true), net, o.lr, o.clip)
    }

    /// Any rule on a network, which is put into training mode.
    ///
    /// # Errors
    /// A network without parameters.
    pub fn of_net(rule: Rule, net: &Net, lr: f64, clip: Option<f64>) -> Result<Self> {
        net.set_training(true);
        let named = net.named_parameters();
        settle(&named.iter().map(|(_, p)| p.clone()).collect::<Vec<_>>())?;
        Self::build(rule, Some(net.clone()), named, lr, clip)
    }

    /// Any rule on tensors, which are updated in place and made to require gradients.
    ///
    /// # Errors
    /// No tensors; tensors that are results of a computation.
    pub fn of_tensors(rule: Rule, tensors: &[&Tensor], lr: f64, clip: Option<f64>) -> Result<Self> {
        let mut named = vec![];
        for (i, tensor) in tensors.iter().enumerate() {
            if !tensor.requires_grad() {
                let _ = tensor.f_set_requires_grad(true).at(rule.name())?;
            } else if !tensor.f_is_leaf().at(rule.name())? {
                let given = format!("tensor {i} is the result of a computation, not a leaf");
                return Err(Error::new(rule.name(), given).hint("optimise tensor.detach() and compute from that"));
            }
            named.push((i.to_string(), Parameter::new(tensor.shallow_clone())));
        }
        Self::build(rule, None, named, lr, clip)
    }

    fn build(
        rule: Rule,
        net: Option<Net>,
        named: Vec<(String, Rc<Parameter>)>,
        lr: f64,
        clip: Option<f64>,
    ) -> Result<Self> {
        if named.is_empty() {
            return Err(Error::new(rule.name(), "there are no parameters to optimise"));
        }
        let mut clearer = COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false).at(rule.name())?;
        let mut offset = 0;
        let mut members = vec![];
        for (name, parameter) in named {
            clearer.add_parameters(&parameter.get(), 0).at(rule.name())?;
            let length = parameter.count();
            members.push(Member { name, parameter, offset, length, steps: Cell::new(0) });
            offset += length;
        }
        let (lr, clip) = (Cell::new(lr), Cell::new(clip));
        let (state, held, last, hooks) = Default::default();
        Ok(Self(Rc::new(Inner { rule, net, members, lr, clip, state, held, last, hooks, clearer })))
    }

    /// Has the run's hooks called after every `minimize`.
    #[must_use]
    pub fn attached(self, run: &Run) -> Self {
        *self.0.hooks.borrow_mut() = Some(run.slot::<Hooks>());
        self
    }

    /// The network, unless the optimiser was made for tensors.
    pub fn net(&self) -> Option<&Net> {
        self.0.net.as_ref()
    }

    /// The rule and its constants.
    pub fn rule(&self) -> &Rule {
        &self.0.rule
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        self.0.lr.get()
    }

    /// Changes the learning rate.
    pub fn set_lr(&self, lr: f64) {
        self.0.lr.set(lr);
    }

    /// The loss of the last `minimize`, detached.
    pub fn last_loss(&self) -> Option<Tensor> {
        self.0.last.borrow().as_ref().map(Tensor::shallow_clone)
    }

    /// One step that lowers `loss`: gradients, clipping, update, hooks. Gradients that `backward` collected are not touched.
    ///
    /// # Errors
    /// A loss that is not a single number or does not depend on the parameters; an interrupt.
    pub fn minimize(&self, loss: &Tensor) -> Result<()> {
        self.minimize_with(loss, &self.usual())
    }

    /// What steps are asked for when nothing else is said.
    pub fn usual(&self) -> StepOptions {
        StepOptions { clip: self.0.clip.get(), ..StepOptions::default() }
    }

    /// `minimize` with options of this step. The L1 penalty is exact but appears nowhere in the loss that hooks see.
    ///
    /// # Errors
    /// As `minimize`.
    pub fn minimize_with(&self, loss: &Tensor, how: &StepOptions) -> Result<()> {
        interrupt::check()?;
        if loss.numel() != 1 {
            let given = format!("the loss must be a single number, got shape {:?}", loss.size());
            return Err(Error::new("minimize", given).hint("reduce it, e.g. with mean()"));
        }
        if !loss.requires_grad() {
            return Err(self.independent());
        }
        let active: Vec<&Member> = self.0.members.iter().filter(|m| m.parameter.get().requires_grad()).collect();
        let inputs: Vec<Tensor> = active.iter().map(|m| m.parameter.handle()).collect();
        let gradients = Tensor::f_run_backward(&[loss], &inputs, false, false).map_err(|e| stale(&e))?;
        let mut found: Vec<_> = active.into_iter().zip(gradients).collect();
        if !found.iter().any(|(_, gradient)| gradient.defined()) {
            return Err(self.independent());
        }
        if how.l1 == 0.0 {
            found.retain(|(_, gradient)| gradient.defined());
        } else {
            // A penalty acts on what the loss does not depend on as well.
            for (member, gradient) in found.iter_mut().filter(|(_, gradient)| !gradient.defined()) {
                *gradient = member.parameter.get().f_detach().and_then(|p| p.f_zeros_like()).at("minimize")?;
            }
        }
        self.apply(found, how)?;
        *self.0.last.borrow_mut() = Some(loss.f_detach().at("minimize")?);
        self.call_hooks(loss)
    }

    fn independent(&self) -> Error {
        let owner = if self.0.net.is_some() { "the network's parameters" } else { "the tensors being optimised" };
        Error::new("minimize", format!("the loss does not depend on {owner}"))
            .hint("compute it from net.forward(x) outside no_grad, with parameters that are not frozen")
    }

    fn call_hooks(&self, loss: &Tensor) -> Result<()> {
        let Some(hooks) = self.0.hooks.borrow().clone() else { return Ok(()) };
        let list: Vec<Hook> = hooks.0.borrow().clone();
        list.iter().try_for_each(|hook| hook(self, loss))
    }

    /// One step from the gradients that `backward` left in the parameters; a step without any is none.
    ///
    /// # Errors
    /// An interrupt.
    pub fn step(&self) -> Result<()> {
        interrupt::check()?;
        let mut found = vec![];
        for member in &self.0.members {
            let parameter = member.parameter.get();
            if !parameter.requires_grad() {
                continue;
            }
            let gradient = parameter.f_grad().at("step")?;
            if gradient.defined() {
                found.push((member, gradient));
            }
        }
        if found.is_empty() { Ok(()) } else { self.apply(found, &self.usual()) }
    }

    /// Forgets the gradients that `backward` left in the parameters.
    ///
    /// # Errors
    /// Those of torch.
    pub fn zero_grad(&self) -> Result<()> {
        self.0.clearer.zero_grad().at("zero_grad")
    }

    /// Updates the parameters that have a gradient, as few pieces as they lie in.
    fn apply(&self, found: Vec<(&Member, Tensor)>, how: &StepOptions) -> Result<()> {
        let _guard = tch::no_grad_guard();
        self.prepare_state()?;
        let mut pieces = vec![];
        let mut gradients = vec![];
        for run in runs(found) {
            let flat: std::result::Result<Vec<Tensor>, _> = run.iter().map(|(_, g)| g.f_reshape([-1])).collect();
            let mut gradient = flat.and_then(|flat| Tensor::f_cat(&flat, 0)).at(self.0.rule.name())?;
            let members: Vec<&Member> = run.into_iter().map(|(member, _)| member).collect();
            let values = self.values(&members)?;
            if how.l1 != 0.0 {
                let sign = values.f_reshape([-1]).and_then(|flat| flat.f_sign()?.times_(how.l1));
                let _ = sign.and_then(|sign| gradient.f_add_(&sign)).at(self.0.rule.name())?;
            }
            if how.clip.is_some() {
                self.mask_gradient(&members, &mut gradient)?;
            }
            pieces.push((members, values));
            gradients.push(gradient);
        }
        if let Some(limit) = how.clip {
            let _ = clip_norm(&mut gradients, limit)?;
        }
        for ((members, values), gradient) in pieces.iter().zip(gradients) {
            self.update(members, values, &gradient)?;
        }
        Ok(())
    }

    /// The values of neighbours: a piece of their flat buffer, or the one tensor without a buffer.
    fn values(&self, members: &[&Member]) -> Result<Tensor> {
        let Some(first) = members.first() else { return Err(self.independent()) };
        match first.parameter.home() {
            Some(home) => {
                let length = members.iter().map(|member| member.length).sum();
                home.flat.f_narrow(0, home.offset, length).at(self.0.rule.name())
            }
            None => Ok(first.parameter.handle()),
        }
    }

    fn update(&self, members: &[&Member], values: &Tensor, gradient: &Tensor) -> Result<()> {
        let Some(first) = members.first() else { return Ok(()) };
        let operation = self.0.rule.name();
        let (shape, length) = (values.size(), values.numel() as i64);
        let gradient = gradient.f_reshape(shape.as_slice()).at(operation)?;
        let part = |whole: &Tensor| whole.f_narrow(0, first.offset, length)?.f_view(shape.as_slice());
        let state: std::result::Result<Vec<Tensor>, _> = self.0.state.borrow().iter().map(part).collect();
        let state = state.at(operation)?;
        for member in members {
            member.steps.set(member.steps.get() + 1);
        }
        let piece = Piece { values: values.shallow_clone(), gradient, state: &state, step: first.steps.get() };
        self.0.rule.apply(piece, self.lr())?;
        self.restore_held(members, values)
    }

    pub(super) fn prepare_state(&self) -> Result<()> {
        let mut state = self.0.state.borrow_mut();
        let names = self.0.rule.state_names();
        let (Some(first), Some(last)) = (self.0.members.first(), self.0.members.last()) else { return Ok(()) };
        if state.len() == names.len() {
            return Ok(());
        }
        let total = last.offset + last.length;
        let parameter = first.parameter.get();
        let options = (parameter.f_kind().at(self.0.rule.name())?, parameter.device());
        for _ in names {
            state.push(Tensor::f_zeros([total], options).at(self.0.rule.name())?);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let title = match self.0.rule.name() {
            "sgd" => "SGD",
            "adam" => "Adam",
            _ => "AdamW",
        };
        write!(f, "{title}(lr {}) of {} parameter tensors", self.lr(), self.0.members.len())
    }
}

fn adam_rule(o: &AdamOptions, decoupled: bool) -> Rule {
    Rule::Adam { betas: o.betas, eps: o.eps, weight_decay: o.weight_decay, decoupled }
}

/// What torch says when a loss is minimised twice or after its weights have changed, in words that help.
fn stale(error: &tch::TchError) -> Error {
    let text = error.to_string();
    if text.contains("second time") || text.contains("modified by an inplace operation") {
        let given = "the loss was computed before the last step, or minimised already";
        return Error::new("minimize", given).hint("compute the loss again from net.forward(x) for every step");
    }
    Err::<(), _>(tch::TchError::Torch(text)).at("minimize").err().unwrap_or(Error::Interrupted)
}

/// Neighbours in a flat buffer that have had equally many steps, together; others by themselves.
fn runs(found: Vec<(&Member, Tensor)>) -> Vec<Vec<(&Member, Tensor)>> {
    let mut runs: Vec<Vec<(&Member, Tensor)>> = vec![];
    for (member, gradient) in found {
        let joined = runs.last().and_then(|run| run.last()).is_some_and(|(before, _)| {
            let neighbours = match (before.parameter.home(), member.parameter.home()) {
                (Some(a), Some(b)) => a.precedes(&b, before.length),
                _ => false,
            };
            neighbours && before.steps == member.steps && before.offset + before.length == member.offset
        });
        match runs.last_mut().filter(|_| joined) {
            Some(run) => run.push((member, gradient)),
            None => runs.push(vec![(member, gradient)]),
        }
    }
    runs
}

/// Scales all gradients together so that their common norm is at most `limit`; returns the norm before.
pub(super) fn clip_norm(gradients: &mut [Tensor], limit: f64) -> Result<Tensor> {
    let compute = |gradients: &mut [Tensor]| {
        let norms: std::result::Result<Vec<Tensor>, _> = gradients.iter().map(Tensor::f_norm).collect();
        let norm = Tensor::f_stack(&norms?, 0)?.f_norm()?;
        let factor = norm.plus(1e-6)?.f_reciprocal()?.times(limit)?.f_clamp_max(1.0)?;
        for gradient in gradients {
            let _ = gradient.f_mul_(&factor)?;
        }
        norm.f_to_kind(Kind::Float)
    };
    compute(gradients).at("clip_grad_norm")
}
