//! A script function kept by Rust beyond the call that handed it over.

use super::error::{Error, Result};
use super::run::Run;
use rhai::{Dynamic, FnPtr, NativeCallContext, NativeCallContextStore};

/// A function pointer with the script context it came from, callable at any later time.
#[derive(Clone)]
pub struct Callback {
    function: FnPtr,
    context: NativeCallContextStore,
    run: Run,
}

impl Callback {
    /// Keeps `function` together with the place it was created at.
    pub fn new(context: &NativeCallContext, function: FnPtr) -> Self {
        Self { function, context: context.store_data(), run: Run::of(context) }
    }

    /// The function's name; of a closure, one that its text and place decide.
    pub fn name(&self) -> &str {
        self.function.fn_name()
    }

    /// Shows the function in the place it was created at; `None` when the engine is gone.
    pub fn with<T>(&self, see: impl FnOnce(&NativeCallContext, &FnPtr) -> T) -> Option<T> {
        let engine = self.run.engine()?;
        Some(see(&self.context.create_context(&engine), &self.function))
    }

    /// Calls the function.
    ///
    /// # Errors
    /// Those of the script function, unchanged; also when the engine is gone.
    pub fn call(&self, arguments: Vec<Dynamic>) -> Result<Dynamic> {
        let engine = self.run.engine().ok_or_else(|| Error::new("callback", "the engine it belongs to has ended"))?;
        let context = self.context.create_context(&engine);
        self.function.call_within_context::<Dynamic>(&context, arguments).map_err(Error::from)
    }
}
