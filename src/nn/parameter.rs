//! One parameter or buffer of a network, and the flat buffers parameters live in.
//!
//! Parameters are pieces of one flat buffer, so that an optimiser updates a whole network with a handful of operations.
//! A piece is a detached view: it shares the buffer's version counter, so that autograd still notices when weights that a
//! pending gradient needs have been changed by a step.

use crate::runtime::{At, Result, Stream};
use std::cell::{Ref, RefCell};
use std::rc::Rc;
use tch::Tensor;

/// A tensor of a network that may be moved into a flat buffer without its holders noticing.
pub struct Parameter(RefCell<Slot>);

struct Slot {
    tensor: Tensor,
    home: Option<Home>,
    origin: Option<Origin>,
}

/// Where the first values of a parameter came from: enough to make them again, and no tensor.
#[derive(Clone)]
pub enum Origin {
    /// The same number everywhere.
    Constant,
    /// Drawn from this stream, as it stood before.
    Drawn(Stream),
}

/// Where a parameter lies: a flat buffer and the position of the first element.
#[derive(Clone)]
pub struct Home {
    /// The buffer, one-dimensional.
    pub flat: Rc<Tensor>,
    /// Elements before this parameter.
    pub offset: i64,
}

impl Home {
    /// Whether `next` begins in the same buffer exactly `length` elements further on.
    pub fn precedes(&self, next: &Self, length: i64) -> bool {
        Rc::ptr_eq(&self.flat, &next.flat) && self.offset + length == next.offset
    }
}

impl Parameter {
    /// Wraps a tensor.
    pub fn new(tensor: Tensor) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Slot { tensor, home: None, origin: None })))
    }

    /// The tensor, borrowed: the cheap form for forward passes.
    pub fn get(&self) -> Ref<'_, Tensor> {
        Ref::map(self.0.borrow(), |slot| &slot.tensor)
    }

    /// A handle to the tensor.
    pub fn handle(&self) -> Tensor {
        self.get().shallow_clone()
    }

    /// The flat buffer this parameter is a piece of, if it is one.
    pub fn home(&self) -> Option<Home> {
        self.0.borrow().home.clone()
    }

    /// Elements.
    pub fn count(&self) -> i64 {
        self.get().numel() as i64
    }

    /// Where the first values came from, as far as it is known.
    pub fn origin(&self) -> Option<Origin> {
        self.0.borrow().origin.clone()
    }

    /// Notes where the values came from, or that it is not known any more.
    pub fn set_origin(&self, origin: Option<Origin>) {
        self.0.borrow_mut().origin = origin;
    }

    /// A parameter with the same values, the same origin and storage of its own. No gradient is recorded.
    pub fn duplicate(&self) -> Result<Rc<Self>> {
        let copy = Self::new(copied(&self.get()).at("copy")?);
        copy.set_origin(self.origin());
        Ok(copy)
    }

    /// Overwrites the values, whatever autograd thinks of the parameter.
    pub fn assign(&self, values: &Tensor) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let mut handle = self.handle();
        handle.f_copy_(values).on("load_state", &[&handle, values])
    }
}

/// Lays the parameters that have no home yet into one flat buffer, in order. Handles given out earlier go on sharing the
/// storage.
pub fn settle(parameters: &[Rc<Parameter>]) -> Result<()> {
    let homeless: Vec<&Rc<Parameter>> = parameters.iter().filter(|p| p.home().is_none()).collect();
    let Some(first) = homeless.first() else { return Ok(()) };
    let (kind, device) = (first.get().f_kind().at("settle")?, first.get().device());
    let alike = |p: &Parameter| p.get().device() == device && p.get().f_kind().is_ok_and(|k| k == kind);
    if !homeless.iter().all(|p| alike(p)) {
        return Ok(());
    }
    let _guard = tch::no_grad_guard();
    let pieces: Vec<Tensor> = homeless
        .iter()
        .map(|p| p.get().f_detach()?.f_reshape([-1]))
        .collect::<std::result::Result<_, _>>()
        .at("settle")?;
    let flat = Rc::new(Tensor::f_cat(&pieces, 0).at("settle")?);
    let mut offset = 0;
    for parameter in homeless {
        let length = parameter.count();
        parameter.move_to(Home { flat: flat.clone(), offset }, length)?;
        offset += length;
    }
    Ok(())
}

impl Parameter {
    fn move_to(&self, home: Home, length: i64) -> Result<()> {
        let mut old = self.handle();
        let piece = home.flat.f_narrow(0, home.offset, length).and_then(|t| t.f_view(old.size().as_slice()));
        let piece = piece.and_then(|t| t.f_detach()).at("settle")?;
        let trained = old.requires_grad();
        // Best effort: a tensor that is itself a detached view refuses, and keeps its own storage.
        let _ = old.f_set_data(&piece);
        let piece = piece.f_set_requires_grad(trained).at("settle")?;
        let mut slot = self.0.borrow_mut();
        (slot.tensor, slot.home) = (piece, Some(home));
        Ok(())
    }
}

/// The same values in memory of their own; no gradient is recorded.
pub fn copied(tensor: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
    let _guard = tch::no_grad_guard();
    let tensor = tensor.f_detach()?;
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(&tensor)?;
    Ok(copy)
}
