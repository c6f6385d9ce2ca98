//! Progress bars on stderr; plain lines once in a while where stderr is no terminal.

use super::output;
use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Where long work reports to. Clones share the terminal.
#[derive(Clone)]
pub struct Progress {
    bars: MultiProgress,
    quiet: bool,
}

/// One running piece of work; finishes its bar when dropped.
pub struct Task {
    bar: ProgressBar,
    name: String,
    quiet: bool,
    started: Instant,
    spoke: Instant,
    note: String,
    /// Whether steps are bytes.
    bytes: bool,
}

impl Progress {
    /// Reports to stderr, or nowhere when quiet.
    pub fn new(quiet: bool) -> Self {
        Self { bars: MultiProgress::new(), quiet }
    }

    /// Starts a piece of work of `total` steps.
    pub fn start(&self, name: &str, total: usize) -> Task {
        let style = "{prefix} {pos}/{len} {bar:20.cyan/dim} {percent:>3} % {msg} {elapsed:.dim}";
        self.begin(name, total as u64, style, false)
    }

    /// Starts to move `total` bytes, of which `done` are there already.
    pub fn transfer(&self, name: &str, total: u64, done: u64) -> Task {
        let style = "{prefix} {bytes}/{total_bytes} {bar:20.cyan/dim} {percent:>3} % {bytes_per_sec} {eta:.dim}";
        let task = self.begin(name, total, style, true);
        task.bar.set_position(done);
        task.bar.reset_eta();
        task
    }

    fn begin(&self, name: &str, total: u64, style: &str, bytes: bool) -> Task {
        let bar = if self.quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            self.bars.add(ProgressBar::new(total))
        };
        bar.set_length(total);
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━━─"));
        bar.set_prefix(name.to_string());
        let now = Instant::now();
        Task { bar, name: name.into(), quiet: self.quiet, started: now, spoke: now, note: String::new(), bytes }
    }

    /// Prints a line of the script's output without garbling the bars.
    pub fn print(&self, line: &str) {
        // What it computes may be worth more than what it prints: it goes on.
        if self.bars.suspend(|| output::line(line)) {
            self.warn("the output cannot be written: the script continues and ends with an exit code other than 0");
        }
    }

    /// Prints a line about the run itself to stderr, unless quiet.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.bars.suspend(|| output::tell(line));
        }
    }

    /// Prints a warning to stderr even when quiet.
    pub fn warn(&self, line: &str) {
        self.bars.suspend(|| output::tell(&format!("warning: {line}")));
    }
}

impl Task {
    /// One step further; `note` is shown behind the bar.
    pub fn step(&mut self, note: &str) {
        self.note = note.to_string();
        self.bar.set_message(format!("· {note}"));
        self.by(1);
    }

    /// `count` steps further.
    pub fn by(&mut self, count: usize) {
        self.bar.inc(count as u64);
        // The last step says nothing here: the line of the end, with the seconds, follows at once.
        let going_on = Some(self.bar.position()) < self.bar.length();
        let plain = self.bar.is_hidden() && !self.quiet && self.spoke.elapsed() > Duration::from_secs(10);
        if plain && going_on {
            self.spoke = Instant::now();
            output::tell(&self.line());
        }
    }

    /// How far it is, in a line.
    fn line(&self) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let note = if self.note.is_empty() { String::new() } else { format!(" · {}", self.note) };
        if self.bytes {
            format!("{} {}/{}{note}", self.name, DecimalBytes(done), DecimalBytes(total))
        } else {
            format!("{} {done}/{total}{note}", self.name)
        }
    }

    /// Ends the bar, leaving one line when the work took long enough to be of interest.
    pub fn finish(self) {}
}

impl Drop for Task {
    fn drop(&mut self) {
        // Read first: finishing moves the bar to its end, also after an interrupt.
        let (done, line) = (self.bar.position(), self.line());
        self.bar.finish_and_clear();
        let seconds = self.started.elapsed().as_secs_f64();
        if !self.quiet && seconds > 0.5 && done > 0 {
            output::tell(&format!("{line} · {seconds:.1} s"));
        }
    }
}
