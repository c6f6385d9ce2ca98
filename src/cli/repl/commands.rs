//! What begins with a colon.

use super::{Repl, Step};
use crate::cli::{doc, start};
use crate::host::docs::manual;
use crate::host::docs::manual::Paint;
use crate::host::session::Session;
use crate::runtime::options::nearest;
use std::path::Path;
use std::time::Instant;

/// A command as typed.
pub struct Call {
    name: String,
    argument: String,
}

/// A command there is.
pub struct Command {
    /// Its name, without the colon.
    pub name: &'static str,
    argument: &'static str,
    about: &'static str,
    action: fn(&mut Repl, &str) -> Step,
}

/// All of them.
pub const COMMANDS: &[Command] = &[
    Command { name: "help", argument: "", about: "this list", action: help },
    Command {
        name: "doc",
        argument: "[NAME]",
        about: "what a function does, with its options and an example; also ?NAME",
        action: document,
    },
    Command { name: "vars", argument: "", about: "variables, functions and imports of the session", action: variables },
    Command { name: "time", argument: "CODE", about: "evaluate, and say how long it took", action: time },
    Command { name: "load", argument: "FILE", about: "evaluate a script in this session", action: load },
    Command { name: "reload", argument: "", about: "read imported modules again", action: reload },
    Command { name: "quit", argument: "", about: "leave, like Ctrl-D", action: |_, _| Step::Leave },
];

/// The command an input is, if it is one.
pub fn of(input: &str, session: &Session) -> Option<Call> {
    let input = input.trim();
    let (name, argument) = if let Some(name) = input.strip_prefix('?') {
        ("doc", name)
    } else if let Some(command) = input.strip_prefix(':') {
        command.split_once(char::is_whitespace).unwrap_or((command, ""))
    } else {
        // Words people try; a variable of this name goes first.
        let word = input.trim_end_matches("()");
        let name = [("help", "help"), ("quit", "quit"), ("exit", "quit")].iter().find(|(said, _)| *said == word)?.1;
        if session.knows(word) {
            return None;
        }
        (name, "")
    };
    Some(Call { name: name.into(), argument: argument.trim().into() })
}

/// Carries a command out. Beginnings of names will do when they are unique.
pub fn carry_out(repl: &mut Repl, call: Call) -> Step {
    let exact = COMMANDS.iter().find(|command| command.name == call.name);
    let mut begun = COMMANDS.iter().filter(|command| !call.name.is_empty() && command.name.starts_with(&call.name));
    let unique = || begun.next().filter(|_| begun.next().is_none());
    let Some(command) = exact.or_else(unique) else { return unknown(&call.name) };
    if command.argument.is_empty() && !call.argument.is_empty() && command.name != "help" {
        return refuse(&format!(":{} takes nothing behind it", command.name), "");
    }
    (command.action)(repl, &call.argument)
}

fn unknown(name: &str) -> Step {
    let near = nearest(name, COMMANDS.iter().map(|command| command.name));
    let hint = near.map_or_else(|| ":help lists the commands".to_string(), |near| format!("did you mean :{near}?"));
    refuse(&format!("there is no command :{name}"), &hint)
}

fn refuse(message: &str, hint: &str) -> Step {
    let error = crate::runtime::Error::new("", message);
    start::complain(&if hint.is_empty() { error } else { error.hint(hint) });
    Step::Failed
}

fn help(repl: &mut Repl, topic: &str) -> Step {
    if !topic.is_empty() {
        return document(repl, topic);
    }
    let mut text = String::from(
        "Type an expression or statements. The value is shown, unless the input ends in a semicolon; `ans` keeps it.\n\
         Open brackets go on in the next line; a blank line submits the input as it is.\n\
         Tab completes, Up recalls, Ctrl-R searches earlier inputs, Ctrl-C stops what is running.\n",
    );
    for command in COMMANDS {
        let usage = format!(":{} {}", command.name, command.argument);
        text += &format!("\n  {usage:<14} {}", command.about);
    }
    repl.say(&text);
    Step::Done
}

fn document(repl: &mut Repl, name: &str) -> Step {
    let paint = Paint::new(start::colored(&std::io::stdout()));
    let catalog = repl.session.catalog();
    if name.is_empty() {
        repl.say(manual::overview(catalog, paint).trim_end());
        return Step::Done;
    }
    if let Some(own) = repl.session.describe(name) {
        repl.say(own.trim_end());
        return Step::Done;
    }
    match doc::one(catalog, name, false) {
        Ok(text) => {
            repl.say(text.trim_end());
            Step::Done
        }
        Err(error) => {
            start::complain(&error);
            Step::Failed
        }
    }
}

fn variables(repl: &mut Repl, _: &str) -> Step {
    let names = repl.session.names();
    if names.is_empty() {
        repl.say("nothing yet: let x = 1 makes a variable");
        return Step::Done;
    }
    let widest = |of: fn(&crate::host::session::Named) -> &str, limit: usize| {
        names.iter().map(|known| of(known).chars().count()).max().unwrap_or(0).min(limit)
    };
    let (name, kind) = (widest(|known| &known.name, 24), widest(|known| &known.kind, 16));
    let line = |known: &crate::host::session::Named| {
        let constant =
            if known.constant && !matches!(known.kind.as_str(), "function" | "module") { "const " } else { "" };
        let text = repl.session.summary(known);
        format!("{:<name$}  {:<kind$}  {constant}{text}", known.name, known.kind).trim_end().to_string()
    };
    repl.say(&names.iter().map(line).collect::<Vec<_>>().join("\n"));
    Step::Done
}

fn time(repl: &mut Repl, code: &str) -> Step {
    if code.is_empty() {
        return refuse(":time needs something to evaluate", ":time train(net, d.train)");
    }
    let started = Instant::now();
    let step = repl.evaluate(code);
    repl.session.host().run.synchronize();
    let seconds = started.elapsed().as_secs_f64();
    repl.say(&if seconds < 0.1 { format!("{:.3} ms", seconds * 1e3) } else { format!("{seconds:.3} s") });
    step
}

fn load(repl: &mut Repl, file: &str) -> Step {
    if file.is_empty() {
        return refuse(":load needs a file", ":load my_method.rhai");
    }
    let file = file.trim_matches('"');
    let text = match Session::read(Path::new(file)) {
        Ok(text) => text,
        Err(error) => {
            start::complain(&error);
            return Step::Failed;
        }
    };
    if let Err(found) = repl.session.load(file, &text) {
        return repl.report(&found);
    }
    let lines = text.lines().count();
    repl.say(&format!("loaded {file} ({lines} {})", if lines == 1 { "line" } else { "lines" }));
    Step::Done
}

fn reload(repl: &mut Repl, _: &str) -> Step {
    match repl.session.reload() {
        Ok(names) if names.is_empty() => repl.say("nothing is imported"),
        Ok(names) => repl.say(&format!("read again: {}", names.join(", "))),
        Err(found) => return repl.report(&found),
    }
    Step::Done
}
