//! A watch over each input: after a while it is asked to stop as by Ctrl-C, and one that does not is a hang.

use lethe::runtime::interrupt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds after which an input is asked to stop.
const PATIENCE: u64 = 400;

/// Milliseconds after which it counts as deaf.
const HANG: u64 = 10_000;

pub struct Watch {
    start: Instant,
    /// Milliseconds since the start when the input began, plus one; 0 between inputs.
    begun: Arc<AtomicU64>,
}

impl Watch {
    pub fn new() -> Self {
        let (start, begun) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let seen = begun.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(50));
                let now = start.elapsed().as_millis() as u64;
                match seen.load(Ordering::Relaxed).checked_sub(1).map(|begun| now - begun.min(now)) {
                    Some(took) if took > HANG => {
                        eprintln!("it has not stopped {} s after it was asked to", (took - PATIENCE) / 1000);
                        std::process::exit(99);
                    }
                    Some(took) if took > PATIENCE => interrupt::raise(),
                    _ => {}
                }
            }
        });
        Self { start, begun }
    }

    pub fn begin(&self) {
        interrupt::clear();
        self.begun.store(self.start.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.begun.store(0, Ordering::Relaxed);
        interrupt::clear();
    }
}
