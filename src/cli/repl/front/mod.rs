//! What stands between the terminal and the line editor: nothing that is typed gets lost.
//!
//! The editor reads what it gets at once, hands out the first line and forgets the rest, and gives up at bytes that are not
//! UTF-8. So it does not read the terminal itself but a pseudo terminal of ours, on which it is handed one line at a time. The
//! terminal is read by a thread of its own, also while an input is evaluated: what is typed ahead waits, nothing is echoed
//! twice, and Ctrl-C is noticed however much waits before it.

pub mod keys;
mod tty;

use keys::{Faults, Item, Keys, Special};
use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tty::{Arrival, Terminal};

/// How long the rest of a key sequence, or of a character, may take to arrive.
const SETTLED: Duration = Duration::from_millis(80);
/// How long a paste may pause.
const PASTE_PAUSE: Duration = Duration::from_secs(2);
/// After this time a line that the editor took without ending its input has gone elsewhere: to a search, or a list.
const ELSEWHERE: Duration = Duration::from_millis(200);
/// Text of this many characters is handed over in one piece, rather than key by key.
const PIECE: usize = 64;
/// So much text, in bytes, is part of something longer: the rest is waited for, since the editor shows all of it at every piece.
const LONG: usize = 512;
/// How long the rest of a long text may take to arrive.
const MORE: Duration = Duration::from_millis(30);

/// The front of the terminal. The process's standard input is the pseudo terminal as long as it lives.
pub struct Front {
    shared: Arc<Shared>,
}

/// What happened since it was asked last.
#[derive(Default)]
pub struct Notes {
    /// What could not be taken as it came.
    pub faults: Faults,
    /// Lines that waited when Ctrl-C was pressed.
    pub dropped: Vec<String>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// Somebody edits a line.
    editing: bool,
    /// The editor can be handed more.
    open: bool,
    /// When the editor saw the end of a line that it has not judged.
    unjudged: Option<Instant>,
    /// When something was typed last.
    latest: Option<Instant>,
    /// The text handed over last has more than a few letters: it was not typed key by key.
    together: bool,
    /// The line handed over last came at once.
    fast: bool,
    /// The terminal is gone.
    over: bool,
    notes: Notes,
}

/// What the threads and the editor share.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl State {
    /// Lets an item wait; text goes on where text waits.
    fn push(&mut self, item: Item) {
        match (self.items.back_mut(), item) {
            (Some(Item::Text(waiting)), Item::Text(more)) => waiting.push_str(&more),
            (_, item) => self.items.push_back(item),
        }
    }

    /// How long the rest of a text that waits alone is worth waiting for.
    fn patience(&self) -> Option<Duration> {
        let alone = self.items.len() == 1 && matches!(self.items.front(), Some(Item::Text(text)) if text.len() > LONG);
        let left = MORE.checked_sub(self.latest.filter(|_| alone && !self.over)?.elapsed())?;
        Some(left).filter(|left| !left.is_zero())
    }

    /// The next item for the editor, which takes none behind the end of a line until it has judged it.
    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        match &item {
            Item::Text(text) => self.together = text.chars().nth(3).is_some(),
            Item::Paste(_) => self.together = true,
            Item::Enter => (self.open, self.fast, self.together) = (false, self.together, false),
            Item::Interrupt | Item::Quit => (self.open, self.together) = (false, false),
            Item::Key(_) | Item::Suspend => self.together = false,
        }
        Some(item)
    }
}

impl Front {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When there is no pseudo terminal to be had; then all is as it was.
    pub fn new() -> std::io::Result<Self> {
        let (terminal, master) = Terminal::take()?;
        let shared = Arc::new(Shared::default());
        let (reading, writing, special) = (shared.clone(), shared.clone(), terminal.special());
        let spawn = |name: &str| std::thread::Builder::new().name(name.into());
        spawn("keys")
            .spawn(move || {
                tty::block_signals();
                read(&terminal, &reading);
            })
            .and_then(|_| {
                spawn("lines").spawn(move || {
                    tty::block_signals();
                    hand_over(master, special, &writing);
                })
            })
            .inspect_err(|_| tty::restore())?;
        Ok(Self { shared })
    }

    /// What the editor tells about the ends of lines.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Lets the editor read.
    pub fn editing<T>(&self, read: impl FnOnce() -> T) -> T {
        self.shared.set(|state| (state.editing, state.open, state.unjudged) = (true, true, None));
        let read = read();
        self.shared.set(|state| (state.editing, state.open) = (false, false));
        read
    }

    /// What happened since this was asked last.
    pub fn notes(&self) -> Notes {
        std::mem::take(&mut self.shared.state().notes)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        tty::restore();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Has the editor stop the process, so that it shows its line again afterwards; false when nobody edits.
    fn ask_to_stop(&self) -> bool {
        let mut state = self.state();
        let asked = state.editing && state.open;
        if asked {
            state.items.push_front(Item::Suspend);
            self.changed.notify_all();
        }
        asked
    }

    /// The editor has seen the end of a line or Ctrl-C; what it makes of it is not known yet.
    pub fn seen(&self) {
        self.set(|state| state.unjudged = Some(Instant::now()));
    }

    /// The editor ends its input with this line.
    pub fn ends(&self) {
        self.set(|state| state.unjudged = None);
    }

    /// The input goes on in the next line.
    pub fn goes_on(&self) {
        self.set(|state| (state.open, state.unjudged) = (true, None));
    }

    /// Whether the line handed over last came at once, or with others behind it, so that it brings its own indentation.
    pub fn at_once(&self) -> bool {
        let state = self.state();
        state.fast || state.items.iter().any(|item| matches!(item, Item::Enter))
    }

    /// The beginning of the line that waits behind the one handed over last, if a whole one waits.
    pub fn next_line(&self) -> Option<String> {
        let state = self.state();
        let end = state.items.iter().position(|item| matches!(item, Item::Enter))?;
        Some(state.items.iter().take(end).map(words).collect())
    }
}

/// The text an item brings.
fn words(item: &Item) -> &str {
    match item {
        Item::Text(text) | Item::Paste(text) => text,
        _ => "",
    }
}

/// Reads the terminal to its end.
fn read(terminal: &Terminal, shared: &Shared) {
    let mut keys = Keys::new(terminal.special());
    loop {
        let pause = if keys.pasting() { PASTE_PAUSE } else { SETTLED };
        let settled = match terminal.wait(keys.unfinished().then_some(pause)) {
            Arrival::Bytes(bytes) => {
                keys.push(&bytes);
                false
            }
            Arrival::Nothing => true,
            Arrival::End => break,
        };
        let items = keys.items(settled);
        let faults = std::mem::take(&mut keys.faults);
        take(items, faults, terminal, shared);
    }
    shared.set(|state| state.over = true);
}

/// Lets items wait for the editor; Ctrl-C and the like act at once on what runs.
fn take(items: Vec<Item>, faults: Faults, terminal: &Terminal, shared: &Shared) {
    let mut state = shared.state();
    state.notes.faults.foreign += faults.foreign;
    state.notes.faults.control += faults.control;
    let behind = state.items.iter().any(|item| matches!(item, Item::Enter));
    for item in items {
        match item {
            // What waits before it is not wanted any more; at a prompt where nothing waits it is a key like others.
            Item::Interrupt if !state.editing || behind => {
                let waiting: Vec<Item> = state.items.drain(..).collect();
                state.notes.dropped.extend(lines(&waiting));
                if state.editing {
                    state.items.push_back(Item::Interrupt);
                } else {
                    tty::interrupt();
                }
            }
            Item::Quit if !state.editing => tty::quit(),
            Item::Suspend => {
                drop(state);
                terminal.suspend(|| shared.ask_to_stop());
                state = shared.state();
            }
            item => state.push(item),
        }
    }
    state.latest = Some(Instant::now());
    drop(state);
    shared.changed.notify_all();
}

/// The lines that items make; the last one may be unfinished.
fn lines(items: &[Item]) -> Vec<String> {
    let lines = items.split(|item| matches!(item, Item::Enter)).map(|line| line.iter().map(words).collect());
    lines.filter(|line: &String| !line.trim().is_empty()).collect()
}

/// Hands the editor what waits, line by line, until the terminal is gone.
fn hand_over(master: OwnedFd, special: Special, shared: &Shared) {
    let mut editor = std::fs::File::from(master);
    while let Some(item) = next(shared) {
        if editor.write_all(&bytes(&item, special)).is_err() {
            return;
        }
    }
}

/// The next item, once the editor can take it; `None` when there will be none.
fn next(shared: &Shared) -> Option<Item> {
    let mut state = shared.state();
    loop {
        if let Some(left) = state.patience().filter(|_| state.open) {
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        if state.open
            && let Some(item) = state.pop()
        {
            return Some(item);
        }
        if state.over && state.items.is_empty() {
            return None;
        }
        let left = state.unjudged.filter(|_| state.editing).map(|since| ELSEWHERE.saturating_sub(since.elapsed()));
        state = match left {
            Some(left) if left.is_zero() => {
                (state.open, state.unjudged) = (true, None);
                state
            }
            Some(left) => shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

/// An item as the editor reads it.
fn bytes(item: &Item, special: Special) -> Vec<u8> {
    let piece = |text: &str| format!("\x1b[200~{text}\x1b[201~").into_bytes();
    match item {
        Item::Text(text) if text.chars().nth(PIECE).is_some() || text.contains('\t') => piece(text),
        Item::Text(text) => text.clone().into_bytes(),
        Item::Paste(text) => piece(text),
        Item::Enter => b"\r".to_vec(),
        Item::Key(bytes) => bytes.clone(),
        Item::Interrupt | Item::Quit => vec![special.interrupt],
        Item::Suspend => vec![special.suspend],
    }
}
