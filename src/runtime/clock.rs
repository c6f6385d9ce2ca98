//! Stage times: what a result's `seconds` are made of. Every reading waits for the device first.

use super::run::Run;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

/// Stages that stop whatever stage surrounds them, so that their times add up.
const EXCLUSIVE: [&str; 4] = ["cluster", "condense", "unlearn", "evaluate"];

/// The run's stop-watches: stages that are open, and the books their seconds go to. A run slot.
#[derive(Default)]
pub struct Clock {
    open: RefCell<Vec<Open>>,
    books: RefCell<Vec<BTreeMap<String, f64>>>,
    finished: RefCell<BTreeMap<String, f64>>,
}

/// A stage that has begun and not ended.
struct Open {
    name: String,
    seconds: f64,
    /// `None` while a stage inside it has stopped it.
    since: Option<Instant>,
    /// How many books were open when it began.
    depth: usize,
}

/// A running stage; dropping it stops the watch and books the seconds.
pub struct Stage {
    run: Run,
    index: usize,
    /// The stages that this one stopped.
    stopped: Vec<usize>,
}

/// An open book: the stages that end while it is open are entered in it.
pub struct Book {
    run: Run,
    closed: bool,
}

/// Starts a stage. `cluster`, `condense`, `unlearn` and `evaluate` stop the surrounding stages of the same book for as long
/// as they last, `evaluate` those of all books; any other stage counts in the surrounding ones too.
pub fn stage(run: &Run, name: &str) -> Stage {
    run.synchronize();
    let clock = run.slot::<Clock>();
    let depth = clock.books.borrow().len();
    let now = Instant::now();
    let mut open = clock.open.borrow_mut();
    let mut stopped = vec![];
    if EXCLUSIVE.contains(&name) {
        for (index, outer) in open.iter_mut().enumerate() {
            if (outer.depth == depth || name == "evaluate") && outer.stop(now) {
                stopped.push(index);
            }
        }
    }
    open.push(Open { name: name.into(), seconds: 0.0, since: Some(now), depth });
    Stage { run: run.clone(), index: open.len() - 1, stopped }
}

/// Opens a book for the stages to come.
pub fn book(run: &Run) -> Book {
    run.slot::<Clock>().books.borrow_mut().push(BTreeMap::new());
    Book { run: run.clone(), closed: false }
}

impl Open {
    /// Stops the watch; false when it stood already.
    fn stop(&mut self, now: Instant) -> bool {
        match self.since.take() {
            Some(since) => {
                self.seconds += now.duration_since(since).as_secs_f64();
                true
            }
            None => false,
        }
    }
}

impl Stage {
    /// The seconds so far.
    pub fn seconds(&self) -> f64 {
        self.run.synchronize();
        let clock = self.run.slot::<Clock>();
        let open = clock.open.borrow();
        open.get(self.index)
            .map_or(0.0, |stage| stage.seconds + stage.since.map_or(0.0, |since| since.elapsed().as_secs_f64()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.run.synchronize();
        let clock = self.run.slot::<Clock>();
        let now = Instant::now();
        let ended = {
            let mut open = clock.open.borrow_mut();
            let first = self.index.min(open.len());
            let ended: Vec<Open> = open.drain(first..).collect();
            for index in &self.stopped {
                if let Some(outer) = open.get_mut(*index) {
                    outer.since = Some(now);
                }
            }
            ended
        };
        for mut stage in ended {
            stage.stop(now);
            clock.enter(&stage.name, stage.seconds);
        }
    }
}

impl Clock {
    /// Adds seconds to a stage of the open book, as if it had been timed here (a cached result's, say).
    pub fn enter(&self, name: &str, seconds: f64) {
        let mut books = self.books.borrow_mut();
        let mut finished = self.finished.borrow_mut();
        let page = books.last_mut().unwrap_or(&mut finished);
        *page.entry(name.to_string()).or_insert(0.0) += seconds;
    }

    /// The seconds of every stage that ended outside any book.
    pub fn finished(&self) -> BTreeMap<String, f64> {
        self.finished.borrow().clone()
    }

    /// The seconds that the innermost open stage of this name has run.
    pub fn running(&self, name: &str) -> Option<f64> {
        let open = self.open.borrow();
        let stage = open.iter().rev().find(|stage| stage.name == name)?;
        Some(stage.seconds + stage.since.map_or(0.0, |since| since.elapsed().as_secs_f64()))
    }
}

impl Book {
    /// Closes the book: the seconds of each stage that ended while it was open.
    pub fn close(mut self) -> BTreeMap<String, f64> {
        self.closed = true;
        self.run.slot::<Clock>().books.borrow_mut().pop().unwrap_or_default()
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        if !self.closed {
            self.run.slot::<Clock>().books.borrow_mut().pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::run::Settings;
    use std::time::Duration;

    fn rest(milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }

    #[test]
    fn the_clock_stands_still_while_evaluating_and_other_stages_nest() {
        let run = Run::new(Settings::default());
        let book = book(&run);
        let unlearn = stage(&run, "unlearn");
        rest(20);
        {
            let _evaluate = stage(&run, "evaluate");
            rest(60);
        }
        {
            let _mask = stage(&run, "mask");
            rest(20);
        }
        drop(unlearn);
        let seconds = book.close();
        assert!((0.04..0.06).contains(&seconds["unlearn"]), "{seconds:?}");
        assert!(seconds["evaluate"] >= 0.06 && seconds["mask"] >= 0.02, "{seconds:?}");
    }

    #[test]
    fn a_book_inside_a_book_keeps_its_own_stages() {
        let run = Run::new(Settings::default());
        let outer = book(&run);
        let _unlearn = stage(&run, "unlearn");
        let inner = book(&run);
        drop(stage(&run, "unlearn"));
        assert_eq!(inner.close().len(), 1);
        assert!(outer.close().is_empty());
    }

    #[test]
    fn stages_that_an_error_leaves_open_end_with_the_one_around_them() {
        let run = Run::new(Settings::default());
        let outer = stage(&run, "unlearn");
        std::mem::forget(stage(&run, "mask"));
        drop(outer);
        assert_eq!(run.slot::<Clock>().finished().len(), 2, "unlearn and mask");
        assert!(run.slot::<Clock>().running("unlearn").is_none());
    }
}
