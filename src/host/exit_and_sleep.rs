//! Leaving a script and waiting in it: `exit` and `sleep`, which the command line and Ctrl-C have to know of.

use crate::runtime::Run;
use rhai::Engine;
use std::cell::Cell;

/// The exit code that the script has asked for. A run slot.
#[derive(Default)]
pub struct Leaving(Cell<Option<u8>>);

impl Leaving {
    /// The code, when the script has ended by `exit`.
    pub fn code(&self) -> Option<u8> {
        self.0.get()
    }
}

/// The code that the run's script has left with, if it has.
pub fn left(run: &Run) -> Option<u8> {
    run.slot::<Leaving>().code()
}

/// Adds both to the engine.
pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(script).into());
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use super::Leaving;
    use crate::runtime::{Error, Run, Script, interrupt};
    use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position};
    use std::time::Duration;

    /// Ends the script at once, wherever it is called; `code` (0 to 255) is the exit code of `lethe run`. Nothing catches it.
    ///
    /// The run folder is completed as at the script's end; with a code other than 0 its status is `failed`.
    ///
    /// # Signature
    /// exit(code: int = 0)
    ///
    /// # Example
    /// ```rhai
    /// let good = true;
    /// if !good { exit(3); }
    /// assert(good);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn exit(context: NativeCallContext, code: i64) -> Script<Dynamic> {
        let number = u8::try_from(code).map_err(|_| {
            Error::new("exit", format!("the exit code must be within 0..=255, got {code}"))
                .hint("0 is success; 1, 2 and 130 have a meaning, see `lethe --help`")
        })?;
        Run::of(&context).slot::<Leaving>().0.set(Some(number));
        Err(Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(code), Position::NONE)))
    }

    #[rhai_fn(name = "exit", return_raw, volatile)]
    pub fn exit_successfully(context: NativeCallContext) -> Script<Dynamic> {
        exit(context, 0)
    }

    #[rhai_fn(name = "exit", return_raw, volatile)]
    pub fn exit_oddly(code: Dynamic) -> Script<Dynamic> {
        let given = crate::runtime::options::describe(&code);
        Err(Error::new("exit", format!("the exit code must be an integer, got {given}")).into())
    }

    /// Waits so many seconds; no time at all where they are negative. Ctrl-C ends it.
    ///
    /// # Signature
    /// sleep(seconds: float)
    ///
    /// # Example
    /// ```rhai
    /// let start = timestamp();
    /// sleep(0.01);
    /// assert(start.elapsed >= 0.01);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn sleep(seconds: f64) -> Script<()> {
        if seconds.is_nan() || seconds < 0.0 {
            return Err(Error::new("sleep", format!("the seconds must be 0 or above, got {seconds}")).into());
        }
        // What is too long for a clock is for ever.
        let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Ok(interrupt::sleep(time)?)
    }

    #[rhai_fn(name = "sleep", return_raw, volatile)]
    pub fn sleep_whole(seconds: i64) -> Script<()> {
        sleep(seconds as f64)
    }
}
