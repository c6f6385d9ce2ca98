//! Standard input, line by line as the lines arrive.

use crate::cli::start;
use crate::runtime::Error;
use std::io::BufRead;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::Duration;

/// How long a complete input waits for a line that may belong to it: `else`, or a method on a line of its own.
const PAUSE: Duration = Duration::from_millis(250);
/// The same where a person types: the next line does not come that soon, unless both came together.
const LIVE_PAUSE: Duration = Duration::from_millis(30);
/// Lines that are read ahead.
const AHEAD: usize = 1024;

/// What comes next.
pub enum Next {
    Line(String),
    /// Nothing, for the moment.
    Pause,
    End,
}

/// The lines of standard input. A thread reads them, so that a pause can be told from the end.
pub struct Lines {
    arrived: Receiver<std::io::Result<Vec<u8>>>,
    peeked: Option<std::io::Result<Vec<u8>>>,
    count: usize,
    pause: Duration,
    warnings: Vec<String>,
}

impl Lines {
    /// Begins to read.
    pub fn read(live: bool) -> Self {
        let (sender, arrived) = sync_channel(AHEAD);
        // Where there is no thread to be had, the lines end at once; that is said as what it is: nothing was read.
        let spawned = std::thread::Builder::new().name("lines".into()).spawn(move || {
            let mut stdin = std::io::stdin().lock();
            loop {
                let mut line = vec![];
                let read = stdin.read_until(b'\n', &mut line);
                let over = !matches!(read, Ok(count) if count > 0);
                if read.as_ref().is_ok_and(|count| *count == 0) || sender.send(read.map(|_| line)).is_err() || over {
                    return;
                }
            }
        });
        if let Err(problem) = spawned {
            start::complain(&Error::new("stdin", problem.to_string()));
        }
        let pause = if live { LIVE_PAUSE } else { PAUSE };
        Self { arrived, peeked: None, count: 0, pause, warnings: vec![] }
    }

    /// Whether the next line has still to come.
    pub fn waits(&mut self) -> bool {
        if self.peeked.is_none() {
            match self.arrived.try_recv() {
                Ok(line) => self.peeked = Some(line),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => {}
            }
        }
        false
    }

    /// The next line, for which a complete input waits a moment only.
    pub fn next(&mut self, ready: bool) -> Next {
        let arrived = match self.peeked.take() {
            Some(line) => line,
            None if ready => match self.arrived.recv_timeout(self.pause) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Next::Pause,
                Err(RecvTimeoutError::Disconnected) => return Next::End,
            },
            None => match self.arrived.recv() {
                Ok(line) => line,
                Err(_) => return Next::End,
            },
        };
        match arrived {
            Ok(bytes) => Next::Line(self.decode(&bytes)),
            Err(problem) => {
                start::complain(&Error::new("stdin", problem.to_string()));
                Next::End
            }
        }
    }

    /// What there is to say about the lines read since this was asked last.
    pub fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// A line as text, without its end.
    fn decode(&mut self, bytes: &[u8]) -> String {
        self.count += 1;
        let foreign: usize = bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let text = if self.count == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        let nothing = text.matches('\0').count();
        for (count, what) in [(foreign, "not UTF-8, read as \u{fffd}"), (nothing, "NUL, left out")] {
            let bytes = if count == 1 { "1 byte that is".into() } else { format!("{count} bytes that are") };
            if count > 0 {
                self.warnings.push(format!("line {} of the input: {bytes} {what}", self.count));
            }
        }
        let text = text.replace('\0', "");
        if self.count == 1 && text.starts_with("#!") { format!("//{text}") } else { text }
    }
}
