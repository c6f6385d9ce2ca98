//! Signals of a session: one stops the running input, a second one, or one that finds nothing running, ends the process.

use crate::cli::Ending;
use crate::runtime::{interrupt, output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal can show a line that is edited; others (`TERM=dumb`) are read as they come.
pub fn can_edit() -> bool {
    let name = std::env::var("TERM").unwrap_or_default();
    cfg!(windows) || !matches!(name.to_lowercase().as_str(), "dumb" | "cons25" | "emacs")
}

/// Whether the session waits for somebody to type.
pub struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// Waits for input.
    pub fn during<T>(&self, read: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::Relaxed);
        let read = read();
        self.0.store(false, Ordering::Relaxed);
        read
    }
}

/// Listens to Ctrl-C and termination. While a line is edited Ctrl-C is a key like others and does not come here.
pub fn listen() -> Waiting {
    let waiting = Arc::new(AtomicBool::new(false));
    let seen = waiting.clone();
    let mode = Mode::now();
    let listening = ctrlc::set_handler(move || {
        if seen.load(Ordering::Relaxed) || interrupt::raised() {
            mode.restore();
            std::process::exit(Ending::Interrupted.code().into());
        }
        interrupt::raise();
    });
    if let Err(problem) = listening {
        output::tell(&format!("warning: Ctrl-C will end the session at once: {problem}"));
    }
    Waiting(waiting)
}

/// The terminal's mode, which the line editor changes while it reads.
#[cfg(unix)]
struct Mode(Option<libc::termios>);

#[cfg(unix)]
impl Mode {
    fn now() -> Self {
        // SAFETY: a plain structure of numbers, for which zeros are valid; filled by the call if it returns 0.
        let (mode, outcome) = unsafe {
            let mut mode: libc::termios = std::mem::zeroed();
            let outcome = libc::tcgetattr(libc::STDIN_FILENO, &mut mode);
            (mode, outcome)
        };
        Self((outcome == 0).then_some(mode))
    }

    fn restore(&self) {
        if let Some(mode) = &self.0 {
            // SAFETY: hands the system a structure that it filled itself.
            unsafe {
                libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, mode);
            }
        }
    }
}

#[cfg(not(unix))]
struct Mode;

#[cfg(not(unix))]
impl Mode {
    fn now() -> Self {
        Self
    }

    fn restore(&self) {}
}
