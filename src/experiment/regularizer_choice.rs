//! Which regulariser accelerated methods use.

use super::accelerate::Knobs;
use crate::runtime::options::{describe, nearest};
use crate::runtime::{Callback, Error, Result, Stream};
use crate::unlearn::amu::{Kind, Regularizer};
use rhai::{Dynamic, FnPtr, NativeCallContext};
use std::cell::RefCell;
use std::rc::Rc;

/// Which regulariser accelerated methods use.
#[derive(Clone, Default)]
pub enum Choice {
    /// The paper's: each set's losses ranked within the set.
    #[default]
    Quantile,
    /// One of the level-aware ones (ours).
    Other(Kind),
    /// None: the steepened loss alone.
    Nothing,
    /// A script's `|net, task, n, o|`.
    Function(Rc<Callback>),
}

/// The words `regularizer` accepts.
const WORDS: [&str; 5] = ["quantile", "union", "logloss", "anchored", "none"];

/// The regulariser of a run: made on the first step, with a stream of its own.
pub struct Working {
    pub(super) regularizer: Regularizer,
    pub(super) knobs: Knobs,
    pub(super) stream: Stream,
}

/// Where a frame keeps it.
pub type Workshop = RefCell<Option<Working>>;

impl Choice {
    /// Reads the option `regularizer` of `unlearn::run`.
    ///
    /// # Errors
    /// Neither one of the words nor a function.
    pub fn read(context: &NativeCallContext, value: &Dynamic) -> Result<Self> {
        if let Some(function) = value.clone().try_cast::<FnPtr>() {
            return Ok(Self::Function(Rc::new(Callback::new(context, function))));
        }
        let word = value.clone().into_string().unwrap_or_default();
        match word.as_str() {
            "quantile" => Ok(Self::Quantile),
            "union" => Ok(Self::Other(Kind::Union)),
            "logloss" => Ok(Self::Other(Kind::LogLoss)),
            "anchored" => Ok(Self::Other(Kind::Anchored)),
            "none" => Ok(Self::Nothing),
            _ => {
                let message = format!("`regularizer` must be a function or one of {WORDS:?}, got {}", describe(value));
                let error = Error::new("unlearn::run", message).word("regularizer");
                Err(match nearest(&word, WORDS) {
                    Some(near) => error.hint(format!("did you mean {near:?}?")),
                    None => error.hint("a function takes |net, task, n, o| and returns the weighted term"),
                })
            }
        }
    }

    /// Whether the weight and the constants of A-AMU go into the term. A function of a script is handed them.
    pub fn is_weighted(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}
