//! Ctrl-C, and files that were cut: the one global. Long native loops ask once per batch, the interpreter at every operation.

use super::error::{Cut, Error, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// How long a stop may go unnoticed while nothing else is done.
const NAP: Duration = Duration::from_millis(50);

/// Asked to stop.
const STOP: u8 = 1;

/// A file was cut while it was mapped.
const CUT: u8 = 2;

static RAISED: AtomicU8 = AtomicU8::new(0);

/// What is still done when the process is left at once.
static LEAVING: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);

/// Says what is still done when the process is left at once, in place of what was to be done before; not by the thread that
/// works.
pub fn on_leaving(work: Option<Box<dyn Fn() + Send>>) {
    if let Ok(mut leaving) = LEAVING.lock() {
        *leaving = work;
    }
}

/// Does it.
pub fn leave() {
    if let Ok(leaving) = LEAVING.lock() {
        leaving.iter().for_each(|work| work());
    }
}

/// Asks the running script to stop.
pub fn raise() {
    RAISED.fetch_or(STOP, Ordering::Relaxed);
}

/// Ends the running script with an error: what it reads from a mapped file is not there any more. Safe in signal handlers.
pub fn raise_cut() {
    RAISED.fetch_or(CUT, Ordering::Relaxed);
}

/// Forgets an earlier request, before the next input of a session.
pub fn clear() {
    RAISED.store(0, Ordering::Relaxed);
}

/// Whether a stop has been asked for.
pub fn raised() -> bool {
    RAISED.load(Ordering::Relaxed) != 0
}

/// That a file was cut while it was mapped, if that is why the script has to stop.
pub fn cut() -> Option<Cut> {
    (RAISED.load(Ordering::Relaxed) & CUT != 0).then_some(Cut)
}

/// An error when a stop has been asked for; to be called once per batch in native loops.
pub fn check() -> Result<()> {
    match (raised(), cut()) {
        (false, _) => Ok(()),
        (true, None) => Err(Error::Interrupted),
        (true, Some(cut)) => Err(cut.into()),
    }
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
