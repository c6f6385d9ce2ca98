//! `lethe repl`: a session at the terminal, or fed from a pipe.

mod commands;
mod complete;
mod editor;
#[cfg(unix)]
mod front;
#[cfg(not(unix))]
#[path = "repl/front_elsewhere.rs"]
mod front;
mod history;
mod lines;
mod terminal;
mod words;

use super::script::Script;
use super::{Ending, ReplOptions, record, start};
use crate::host::diagnostics::diagnostic::Diagnostic;
use crate::host::session::{Inputs, NAME, Session};
use crate::host::{Host, exit_and_sleep};
use crate::report::Recorder;
use crate::runtime::run::device_name;
use crate::runtime::{allocator, output, versions};
use editor::{Editor, Line};
use lines::{Lines, Next};
use std::io::IsTerminal;

/// What came of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    Failed,
    Interrupted,
    Leave,
}

/// The session and how it speaks.
struct Repl {
    session: Session,
    /// Errors in colour.
    colored: bool,
    /// Somebody is typing, as opposed to a pipe.
    live: bool,
}

/// Runs a session until its input ends.
pub fn repl(options: &ReplOptions, quiet: bool) -> Ending {
    let settings = match start::settings(&options.machine, vec![], quiet) {
        Ok(settings) => settings,
        Err(error) => return start::complain(&error),
    };
    let waiting = terminal::listen();
    let host = Host::new(settings);
    let script = Script { name: NAME.into(), text: String::new() };
    record::plan(&host, None, false, &script);
    let live = std::io::stdin().is_terminal();
    let mut repl = Repl { session: Session::new(host), colored: start::colored(&std::io::stderr()), live };
    let ending = if live && terminal::can_edit() { repl.converse(&waiting, quiet) } else { repl.feed(&waiting, quiet) };
    repl.conclude(ending)
}

impl Repl {
    /// Takes inputs from the terminal until the user leaves.
    fn converse(&mut self, waiting: &terminal::Waiting, quiet: bool) -> Ending {
        let mut editor = match Editor::new(&self.session) {
            Ok(editor) => editor,
            Err(error) => return start::complain(&error),
        };
        if !quiet {
            self.say(&self.banner());
        }
        loop {
            editor.learn(&self.session);
            let line = waiting.during(|| editor.read());
            let input = match line {
                Line::Input(input) => input,
                Line::Nothing => continue,
                Line::End => return Ending::Success,
            };
            if let Err(error) = editor.remember(&input) {
                start::complain(&error);
            }
            let step = self.take(&input);
            editor.tell_notes();
            if step == Step::Leave {
                return Ending::Success;
            }
        }
    }

    /// Takes inputs line by line, from a pipe or a terminal without an editor; failed ones do not keep the rest from running.
    fn feed(&mut self, waiting: &terminal::Waiting, quiet: bool) -> Ending {
        let prompt = if self.live { "> " } else { "" };
        if self.live && !quiet {
            self.say(&self.banner());
        }
        let (mut lines, mut inputs, mut ending) = (Lines::read(self.live), Inputs::default(), Ending::Success);
        loop {
            let engine = self.session.host().engine.clone();
            let ready = inputs.ready();
            output::write(if !ready && lines.waits() { prompt } else { "" });
            let input = match waiting.during(|| lines.next(ready)) {
                Next::Line(line) => inputs.push(&engine, &line),
                Next::Pause => inputs.take(),
                Next::End => break,
            };
            lines.warnings().iter().for_each(|warning| self.session.host().run.progress().warn(warning));
            match input.map_or(Step::Done, |input| self.take(&input)) {
                Step::Done => {}
                Step::Failed => ending = Ending::ScriptError,
                Step::Interrupted if !self.live => return Ending::Interrupted,
                Step::Interrupted => {}
                Step::Leave => return if self.live { Ending::Success } else { ending },
            }
        }
        match inputs.rest().map_or(Step::Done, |input| self.take(&input)) {
            Step::Failed if !self.live => Ending::ScriptError,
            Step::Interrupted => Ending::Interrupted,
            _ if self.live => Ending::Success,
            _ => ending,
        }
    }

    /// Carries out a command or evaluates an input.
    fn take(&mut self, input: &str) -> Step {
        let step = match commands::of(input, &self.session) {
            Some(command) => commands::carry_out(self, command),
            None => self.evaluate(input),
        };
        // Between inputs nobody works with what is free; a tensor that was let go shall be gone.
        allocator::give_back();
        step
    }

    /// Evaluates an input and shows what came of it.
    fn evaluate(&mut self, input: &str) -> Step {
        match self.session.run(input) {
            Ok(shown) => {
                shown.iter().for_each(|text| self.say(text));
                Step::Done
            }
            Err(found) => self.report(&found),
        }
    }

    fn report(&self, found: &Diagnostic) -> Step {
        if exit_and_sleep::left(&self.session.host().run).is_some() {
            return Step::Leave;
        }
        if !found.interrupted {
            output::tell(&found.render(self.colored));
            return Step::Failed;
        }
        let (on, off) = if self.colored { ("\x1b[1;33m", "\x1b[0m") } else { ("", "") };
        let place = found.place.as_ref().map(|at| format!(" at {}:{}:{}", at.source, at.line, at.column));
        let rest = if self.live { "; the session and its variables are intact" } else { "" };
        output::tell(&format!("{on}interrupted{off}{}{rest}", place.unwrap_or_default()));
        Step::Interrupted
    }

    /// Prints a line to stdout; a closed pipe is no error.
    fn say(&self, text: &str) {
        self.session.host().run.progress().print(text);
    }

    fn banner(&self) -> String {
        let settings = self.session.host().run.settings();
        let short = |version: &str| version.split('.').take(2).collect::<Vec<_>>().join(".");
        let libtorch = versions::libtorch().unwrap_or_else(|| versions::LIBTORCH_EXPECTED.into());
        let threads = if settings.threads == 1 { "1 thread".into() } else { format!("{} threads", settings.threads) };
        format!(
            "Lethe {} · libtorch {} · {} ({threads}) · seed {} · :help for help, Ctrl-D to leave",
            short(versions::LETHE),
            short(&libtorch),
            device_name(settings.device),
            settings.seed
        )
    }

    /// Completes the run folder, if anything was recorded.
    fn conclude(&self, ending: Ending) -> Ending {
        let run = &self.session.host().run;
        let recorder = run.slot::<Recorder>();
        let status = if ending == Ending::Interrupted { "interrupted" } else { "finished" };
        if let Err(error) = recorder.finish(status, None) {
            start::complain(&error);
            return Ending::ScriptError;
        }
        if let Some(folder) = recorder.opened() {
            run.progress().say(&format!("results: {}", folder.display()));
        }
        exit_and_sleep::left(run).map_or(ending, Ending::Chosen)
    }
}
