//! Standard output and standard error of the process: nothing of it is lost unnoticed, and nothing panics.

use super::error::Error;
use std::io::{ErrorKind, Write};
use std::sync::Mutex;

/// The first failure to write to stdout, and how many texts were lost.
static LOST: Mutex<Option<Lost>> = Mutex::new(None);

struct Lost {
    reason: String,
    texts: usize,
}

/// Writes a text to stdout, all of it and at once. A closed pipe (`| head`) is no error: nobody wants to read on. Any other
/// failure is remembered for the end of the process; true when it is the first.
pub fn write(text: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => false,
        Err(problem) if problem.kind() == ErrorKind::BrokenPipe => false,
        Err(problem) => remember(&problem),
    }
}

/// Writes a line to stdout, as [`write`] does.
pub fn line(text: &str) -> bool {
    write(&format!("{text}\n"))
}

/// Remembers that something for stdout was lost; true when it is the first thing.
pub fn remember(problem: &std::io::Error) -> bool {
    let mut lost = LOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match &mut *lost {
        Some(lost) => {
            lost.texts += 1;
            false
        }
        None => {
            let reason = problem.to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default().to_lowercase();
            *lost = Some(Lost { reason, texts: 1 });
            true
        }
    }
}

/// What stdout did not take, as an error; `None` when it took all.
pub fn failure() -> Option<Error> {
    let lost = LOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Lost { reason, texts } = lost.as_ref()?;
    let what = if *texts == 1 { "it is lost".into() } else { format!("{texts} pieces of it are lost") };
    Some(Error::new("", format!("the output could not be written ({reason}): {what}")))
}

/// Writes a line to stderr. Where that fails there is no place left to say so.
pub fn tell(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
