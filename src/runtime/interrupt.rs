//! Ctrl-C: the one global. Long native loops ask once per batch, the interpreter at every operation.

use super::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a stop may go unnoticed while nothing else is done.
const NAP: Duration = Duration::from_millis(50);

static RAISED: AtomicBool = AtomicBool::new(false);

/// Asks the running script to stop.
pub fn raise() {
    RAISED.store(true, Ordering::Relaxed);
}

/// Forgets an earlier request, before the next input of a session.
pub fn clear() {
    RAISED.store(false, Ordering::Relaxed);
}

/// Whether a stop has been asked for.
pub fn raised() -> bool {
    RAISED.load(Ordering::Relaxed)
}

/// An error when a stop has been asked for; to be called once per batch in native loops.
pub fn check() -> Result<()> {
    if raised() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Waits, until `time` has passed or a stop is asked for.
///
/// # Errors
/// That a stop has been asked for.
pub fn sleep(time: Duration) -> Result<()> {
    let started = Instant::now();
    while let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        check()?;
        std::thread::sleep(left.min(NAP));
    }
    check()
}
