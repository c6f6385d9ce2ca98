//! The C allocator's habits, set before any thread starts.
//!
//! glibc hands large blocks back to the kernel as soon as they are freed, so that every training step faults its
//! activations in again; other threads' arenas do the same with blocks of their own. Both are switched off. The price is
//! a process that keeps its peak memory; a session hands it back between inputs. `LETHE_KEEP_MEMORY=0` in the environment
//! leaves the allocator alone.

/// Tells glibc to keep freed memory; to be called first thing in `main`. Does nothing elsewhere.
pub fn prepare() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("LETHE_KEEP_MEMORY").is_none_or(|value| value != "0") {
        keep();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep() {
    const LARGEST: libc::c_int = libc::c_int::MAX;
    // The arguments are C ints: anything above 2^31 - 1 would wrap.
    let settings = [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, LARGEST),
        (libc::M_TRIM_THRESHOLD, LARGEST),
        (libc::M_TOP_PAD, 64 << 20),
    ];
    for (parameter, value) in settings {
        // SAFETY: mallopt only changes the allocator's tunables; no other thread runs yet.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// Hands what is free back to the kernel all the same: after work that needs much memory once, such as decoding a data set.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call only tells the kernel which pages hold nothing.
    unsafe {
        libc::malloc_trim(0);
    }
}
