//! The terminal itself and the pseudo terminal in its place.

use super::keys::Special;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::termios::{self, InputFlags, LocalFlags, SetArg, SpecialCharacterIndices as Index, Termios};
use nix::unistd::{self, Pid};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a session in the background looks whether it is in the foreground again.
const BACKGROUND: Duration = Duration::from_millis(200);
/// How long stopping may take after it was asked for.
const STOPPING: u16 = 1000;

/// The terminal and its mode before us, to be given back however the process ends.
static ORIGINAL: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);
/// Where the handler of SIGCONT writes to.
static CONTINUED: AtomicI32 = AtomicI32::new(-1);

/// The terminal that is read.
pub struct Terminal {
    device: OwnedFd,
    raw: Termios,
    special: Special,
    /// Readable after the process was stopped and goes on.
    continued: OwnedFd,
}

/// What came of waiting.
pub enum Arrival {
    Bytes(Vec<u8>),
    Nothing,
    End,
}

impl Terminal {
    /// Puts a pseudo terminal in the place of standard input; the terminal, and our end of the other.
    pub fn take() -> io::Result<(Self, OwnedFd)> {
        let device = unistd::dup(io::stdin())?;
        let original = termios::tcgetattr(&device)?;
        let mut raw = original.clone();
        raw.input_flags &= !(InputFlags::BRKINT | InputFlags::ICRNL | InputFlags::INLCR | InputFlags::IGNCR);
        raw.input_flags &= !(InputFlags::INPCK | InputFlags::ISTRIP | InputFlags::IXON);
        raw.local_flags &= !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::IEXTEN | LocalFlags::ISIG);
        for (index, value) in [(Index::VMIN, 1), (Index::VTIME, 0)] {
            if let Some(slot) = raw.control_chars.get_mut(index as usize) {
                *slot = value;
            }
        }
        let special = |index: Index| original.control_chars.get(index as usize).copied().unwrap_or(0);
        let special =
            Special { interrupt: special(Index::VINTR), suspend: special(Index::VSUSP), quit: special(Index::VQUIT) };
        // The editor finds its end in a mode in which nothing is changed or echoed, whether it reads just now or not.
        let pair = nix::pty::openpty(None, Some(&raw))?;
        let (continued, writer) = unistd::pipe()?;
        for end in [&continued, &writer] {
            nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        }
        CONTINUED.store(std::os::fd::IntoRawFd::into_raw_fd(writer), Ordering::Relaxed);
        let handler = SigAction::new(SigHandler::Handler(note_continuation), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler only writes a byte to a pipe.
        unsafe { signal::sigaction(Signal::SIGCONT, &handler)? };
        termios::tcsetattr(&device, SetArg::TCSANOW, &raw)?;
        unistd::dup2_stdin(&pair.slave)?;
        *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner) = Some((unistd::dup(&device)?, original));
        // SAFETY: registers a function that takes nothing and does not unwind.
        unsafe { libc::atexit(restore_at_exit) };
        Ok((Self { device, raw, special, continued }, pair.master))
    }

    pub fn special(&self) -> Special {
        self.special
    }

    /// Waits until something is typed, at most for `limit`.
    pub fn wait(&self, limit: Option<Duration>) -> Arrival {
        let mut before = true;
        loop {
            let foreground = self.foreground();
            if foreground && !before {
                self.resume();
            }
            before = foreground;
            let mut watched = vec![PollFd::new(self.continued.as_fd(), PollFlags::POLLIN)];
            if foreground {
                watched.push(PollFd::new(self.device.as_fd(), PollFlags::POLLIN));
            }
            let wait = if foreground { limit } else { Some(BACKGROUND) };
            let timeout =
                wait.map_or(PollTimeout::NONE, |wait| PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX));
            match poll(&mut watched, timeout) {
                Ok(0) if foreground => return Arrival::Nothing,
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(_) => return Arrival::End,
            }
            let ready = |at: usize| watched.get(at).and_then(PollFd::any).unwrap_or(false);
            if ready(0) {
                self.resume();
                continue;
            }
            // Between the look and the reading the session may have gone to the background: then reading is refused.
            let mut bytes = vec![0; 16 << 10];
            match unistd::read(&self.device, &mut bytes) {
                Ok(0) => return Arrival::End,
                Ok(count) => {
                    bytes.truncate(count);
                    return Arrival::Bytes(bytes);
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(Errno::EIO) if !self.foreground() => std::thread::sleep(BACKGROUND),
                Err(_) => return Arrival::End,
            }
        }
    }

    /// Whether what is typed is for this process. A terminal that does not say is taken to be ours.
    fn foreground(&self) -> bool {
        unistd::tcgetpgrp(&self.device).map_or(true, |group| group == unistd::getpgrp())
    }

    /// The process goes on: the terminal may be in another's mode.
    fn resume(&self) {
        let mut noted = [0; 64];
        while unistd::read(&self.continued, &mut noted).is_ok_and(|count| count > 0) {}
        if self.foreground() {
            let _ = termios::tcsetattr(&self.device, SetArg::TCSANOW, &self.raw);
        }
    }

    /// Stops the process, as Ctrl-Z does, until it is continued. `ask` has the editor stop it, when somebody edits.
    pub fn suspend(&self, ask: impl FnOnce() -> bool) {
        let mut noted = [0; 64];
        while unistd::read(&self.continued, &mut noted).is_ok_and(|count| count > 0) {}
        give_back();
        if !ask() {
            let _ = signal::kill(Pid::from_raw(0), Signal::SIGTSTP);
        }
        // It may also be that nobody stops it: a session without job control.
        let mut watched = [PollFd::new(self.continued.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut watched, PollTimeout::from(STOPPING));
        self.resume();
    }
}

extern "C" fn note_continuation(_: libc::c_int) {
    let end = CONTINUED.load(Ordering::Relaxed);
    // SAFETY: write is safe in a handler; a full pipe has said it already.
    unsafe { libc::write(end, [1_u8].as_ptr().cast(), 1) };
}

extern "C" fn restore_at_exit() {
    restore();
}

/// Puts the terminal into the mode it was found in.
fn give_back() {
    let original = ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((device, mode)) = original.as_ref() {
        let _ = termios::tcsetattr(device, SetArg::TCSANOW, mode);
    }
}

/// Gives the terminal back for good; standard input is the terminal again.
pub fn restore() {
    let original = ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((device, mode)) = original {
        let foreground = unistd::tcgetpgrp(&device).map_or(true, |group| group == unistd::getpgrp());
        if foreground {
            let _ = termios::tcsetattr(&device, SetArg::TCSANOW, &mode);
        }
        let _ = unistd::dup2_stdin(&device);
    }
}

/// Keeps signals from being handled on this thread: the editor's and the interpreter's are meant to be.
pub fn block_signals() {
    let _ = SigSet::all().thread_block();
}

/// Ctrl-C for what runs.
pub fn interrupt() {
    let _ = signal::kill(unistd::getpid(), Signal::SIGINT);
}

/// Ctrl-\: ends the process at once.
pub fn quit() {
    restore();
    let _ = signal::kill(unistd::getpid(), Signal::SIGQUIT);
}
