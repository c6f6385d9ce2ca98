//! Files mapped into memory. Where one is cut while it is mapped, the kernel answers a look behind its end with SIGBUS, which
//! would be the end of the process: here the missing pages become zeros and the script ends with an error. Nothing is copied
//! for it, and no look costs more.

use super::interrupt;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files that are mapped at the same time, more than a run has; the oldest is forgotten first.
const MOST: usize = 64;

static STARTS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static ENDS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static NEXT: AtomicUsize = AtomicUsize::new(0);
static LISTENING: Once = Once::new();

/// Watches over these addresses: a file is mapped there.
pub fn watch(start: usize, length: usize) {
    LISTENING.call_once(listen);
    let slot = NEXT.fetch_add(1, Ordering::Relaxed) % MOST;
    if let (Some(from), Some(to)) = (STARTS.get(slot), ENDS.get(slot)) {
        from.store(start, Ordering::Relaxed);
        to.store(start.saturating_add(length), Ordering::Relaxed);
    }
}

#[cfg(unix)]
fn listen() {
    // SAFETY: the structure is filled before it is used; the handler does only what handlers may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = missing as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

#[cfg(not(unix))]
fn listen() {}

/// Puts an empty page where a watched file has none any more; any other SIGBUS ends the process as ever.
#[cfg(unix)]
extern "C" fn missing(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel hands over what it knows of the fault; sysconf, mmap and signal are plain calls into it.
    unsafe {
        let address = (*info).si_addr() as usize;
        let inside = |(from, to): (&AtomicUsize, &AtomicUsize)| {
            (from.load(Ordering::Relaxed)..to.load(Ordering::Relaxed)).contains(&address)
        };
        let page = libc::sysconf(libc::_SC_PAGESIZE).max(1) as usize;
        if STARTS.iter().zip(&ENDS).any(inside) {
            let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let place = (address / page * page) as *mut libc::c_void;
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            if libc::mmap(place, page, rights, flags, -1, 0) != libc::MAP_FAILED {
                interrupt::raise_cut();
                return;
            }
        }
        libc::signal(signal, libc::SIG_DFL);
    }
}
