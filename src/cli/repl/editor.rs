//! The line editor: multi-line input, history, completion, colours.

use super::complete::Completer;
use super::front::{Front, Shared};
use super::{history, words};
use crate::cli::start;
use crate::host::session::{Session, belongs_above, incomplete};
use crate::runtime::{Error, Result, output};
use rhai::Engine;
use rustyline::completion::Pair;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Context, Event, EventContext, EventHandler, Helper, KeyCode,
    KeyEvent, Modifiers, RepeatCount,
};
use std::borrow::Cow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was typed.
pub enum Line {
    Input(String),
    /// An empty line, or one that was given up.
    Nothing,
    /// Ctrl-D, or Ctrl-C twice on an empty line.
    End,
}

/// Reads inputs from the terminal.
pub struct Editor {
    inner: rustyline::Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
    /// Whether the last Ctrl-C found nothing to clear.
    empty: Arc<AtomicBool>,
    warned: bool,
    front: Option<Front>,
}

impl Editor {
    /// An editor with the history of earlier sessions.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn new(session: &Session) -> Result<Self> {
        let failed = |problem: ReadlineError| Error::new("terminal", problem.to_string());
        let colored = start::colored(&std::io::stdout());
        let builder = Config::builder().completion_type(CompletionType::List).history_ignore_space(true);
        // An escape that nothing follows is one by itself; without a limit it would swallow the next key.
        let builder = builder.keyseq_timeout(Some(100));
        let builder = builder.max_history_size(10_000).map_err(failed)?.tab_stop(4);
        let front = front();
        let shared = front.as_ref().map(Front::shared);
        let mut inner = rustyline::Editor::with_config(builder.build()).map_err(failed)?;
        let empty = Arc::new(AtomicBool::new(false));
        let enter = KeyEvent(KeyCode::Enter, Modifiers::NONE);
        inner.bind_sequence(Event::from(enter), EventHandler::Conditional(Box::new(Indent(shared.clone()))));
        let noting = NoteEmpty(empty.clone(), shared.clone());
        inner.bind_sequence(Event::from(KeyEvent::ctrl('C')), EventHandler::Conditional(Box::new(noting)));
        let completer = Completer::new(&session.host().engine, session.catalog());
        inner.set_helper(Some(Assistant { engine: session.host().engine.clone(), completer, colored, shared }));
        let history = history::file();
        if let Some(file) = history.as_ref().filter(|file| file.exists()) {
            let repaired = history::repair(file);
            if let Err(problem) = repaired.and_then(|()| inner.load_history(file)) {
                output::tell(&format!("warning: no history: {}: {problem}", file.display()));
            }
        }
        Ok(Self { inner, history, empty, warned: false, front })
    }

    /// Learns what the session knows now, for completion.
    pub fn learn(&mut self, session: &Session) {
        if let Some(assistant) = self.inner.helper_mut() {
            assistant.completer.learn(session.names());
        }
    }

    /// The next input.
    pub fn read(&mut self) -> Line {
        let again = self.empty.swap(false, Ordering::Relaxed);
        let read = match &self.front {
            Some(front) => front.editing(|| self.inner.readline("> ")),
            None => self.inner.readline("> "),
        };
        self.tell_notes();
        match read {
            Ok(text) if text.trim().is_empty() => Line::Nothing,
            Ok(text) => Line::Input(text.trim_end().to_string()),
            Err(ReadlineError::Interrupted) => {
                let empty = self.empty.load(Ordering::Relaxed);
                if again && empty {
                    return Line::End;
                }
                if empty {
                    output::tell("Ctrl-C again or Ctrl-D to leave");
                }
                Line::Nothing
            }
            Err(ReadlineError::Eof) => Line::End,
            Err(problem) => {
                start::complain(&Error::new("terminal", problem.to_string()));
                Line::End
            }
        }
    }

    /// Says what was not taken as it came, and keeps what was typed ahead and not run where Up finds it.
    pub fn tell_notes(&mut self) {
        let Some(notes) = self.front.as_ref().map(Front::notes) else { return };
        for warning in notes.faults.warnings() {
            output::tell(&format!("warning: {warning}"));
        }
        for line in &notes.dropped {
            // Whatever is wrong with the file is said when an input is added to it.
            let _ = self.remember(line);
        }
        match notes.dropped.len() {
            0 => {}
            1 => output::tell("the line typed ahead was not run; Up recalls it"),
            count => output::tell(&format!("{count} lines typed ahead were not run; Up recalls them")),
        }
    }

    /// Adds an input to the history, on disk at once.
    ///
    /// # Errors
    /// When the file cannot be written; said once.
    pub fn remember(&mut self, input: &str) -> Result<()> {
        let added = self.inner.add_history_entry(input).unwrap_or(false);
        let Some(file) = self.history.as_ref().filter(|_| added && !self.warned) else { return Ok(()) };
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = folder.map_err(ReadlineError::from).and_then(|()| self.inner.append_history(file));
        written.map_err(|problem| {
            self.warned = true;
            Error::file("history", file, problem).hint("LETHE_HISTORY names another file, or none when it is empty")
        })
    }
}

/// The front of the terminal; without it the editor reads the terminal itself.
fn front() -> Option<Front> {
    match Front::new() {
        Ok(front) => Some(front),
        Err(problem) => {
            output::tell(&format!(
                "warning: no pseudo terminal ({problem}): of lines that arrive together the first is taken"
            ));
            None
        }
    }
}

/// Enter within brackets goes on in the next line, indented; a blank line is taken for the end. Lines that came at once bring
/// their own indentation.
struct Indent(Option<Arc<Shared>>);

impl ConditionalEventHandler for Indent {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        self.0.iter().for_each(|shared| shared.seen());
        if self.0.as_ref().is_some_and(|shared| shared.at_once()) {
            return None;
        }
        let above = context.line().get(..context.pos())?;
        let blank = above.rsplit('\n').next().is_none_or(|line| line.trim().is_empty());
        let depth = words::depth(above);
        let command = above.starts_with([':', '?']);
        let goes_on = depth > 0 && !blank && !command;
        if goes_on {
            self.0.iter().for_each(|shared| shared.goes_on());
        }
        goes_on.then(|| Cmd::Insert(1, format!("\n{}", "  ".repeat(depth))))
    }
}

/// Notes whether Ctrl-C is pressed on an empty line.
struct NoteEmpty(Arc<AtomicBool>, Option<Arc<Shared>>);

impl ConditionalEventHandler for NoteEmpty {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        self.1.iter().for_each(|shared| shared.seen());
        self.0.store(context.line().is_empty(), Ordering::Relaxed);
        None
    }
}

/// What the editor asks while somebody types.
struct Assistant {
    engine: Rc<Engine>,
    completer: Completer,
    colored: bool,
    shared: Option<Arc<Shared>>,
}

impl Helper for Assistant {}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let next = self.shared.as_ref().and_then(|shared| shared.next_line());
        let goes_on = self.goes_on(text, next.as_deref());
        if let Some(shared) = &self.shared {
            if goes_on { shared.goes_on() } else { shared.ends() }
        }
        Ok(if goes_on { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Assistant {
    /// Whether an input needs more lines, given the line that waits already.
    fn goes_on(&self, text: &str, next: Option<&str>) -> bool {
        if text.starts_with([':', '?']) {
            return false;
        }
        // A blank line ends an input, but not in the middle of a text that came at once.
        let blank = text.contains('\n') && text.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
        let submitted = blank && next.is_none();
        let continued = next.is_some_and(belongs_above) && !text.trim().is_empty();
        continued || !submitted && incomplete(&self.engine, text)
    }
}

impl rustyline::completion::Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        self.completer.complete(line, pos)
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
        // Without colours a hint could not be told from what was typed.
        let wanted = self.colored && line.chars().count() > 2;
        wanted.then(|| HistoryHinter {}.hint(line, pos, context)).flatten().filter(|hint| !hint.contains('\n'))
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.colored && !line.starts_with([':', '?']) { Cow::Owned(words::paint(line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.colored && kind != CmdKind::MoveCursor
    }
}
