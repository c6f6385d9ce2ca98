//! `lethe run`: check a script, run it, complete its run folder.

use super::{Ending, RunOptions, start};
use crate::host::{Host, arguments::Arguments};
use crate::report::{folder, recorder};
use crate::runtime::sources::{self, SourceMap};
use crate::runtime::{Result, interrupt, versions};
use rhai::EvalAltResult;
use serde_json::json;
use std::cell::OnceCell;
use std::path::Path;

/// Runs the script; what went wrong is on stderr.
pub fn run(options: &RunOptions, quiet: bool) -> Ending {
    let settings = match prepare(options, quiet) {
        Ok(settings) => settings,
        Err(error) => return start::complain(&error),
    };
    start::listen_to_signals();
    let host = Host::new(settings);
    plan(&host, options);
    let outcome = host.run_file(&options.file.display().to_string());
    conclude(&host, outcome)
}

/// Everything that can be refused before the engine exists.
fn prepare(options: &RunOptions, quiet: bool) -> Result<crate::runtime::run::Settings> {
    if let Some(out) = &options.out {
        folder::check(out)?;
    }
    start::settings(&options.machine, options.set.clone(), quiet)
}

/// Tells the recorder where results go.
fn plan(host: &Host, options: &RunOptions) {
    let stem = options.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = if stem == "-" { "stdin".into() } else { stem };
    let settings = host.run.settings().clone();
    let file = options.file.clone();
    let started = folder::now();
    let git = OnceCell::new();
    let arguments = host.run.slot::<Arguments>();
    let sources = host.run.slot::<SourceMap>();
    host.run.slot::<recorder::Recorder>().plan(recorder::Plan {
        name,
        out: options.out.clone(),
        root: "runs".into(),
        settings: Box::new(move || {
            json!({
                "script": file.display().to_string(),
                "started": started,
                "seed": settings.seed,
                "device": crate::runtime::run::device_name(settings.device),
                "threads": settings.threads,
                "arguments": arguments.values(),
                "versions": versions::all(),
                "git": git.get_or_init(|| folder::git_state(file.parent().unwrap_or(Path::new(".")))),
                "command": std::env::args().collect::<Vec<_>>(),
            })
        }),
        sources: Box::new(move || {
            // The embedded library is named by the version.
            let own = |name: &str| sources::embedded(name).is_none();
            sources.all().into_iter().filter(|(name, _)| own(name)).collect()
        }),
    });
}

/// Reports how the script ended, on stderr and in the run folder.
fn conclude(host: &Host, outcome: std::result::Result<(), Box<EvalAltResult>>) -> Ending {
    let (ending, status, problem) = match &outcome {
        Ok(()) => (Ending::Success, "finished", None),
        Err(error) if matches!(**error, EvalAltResult::ErrorTerminated(..)) || interrupt::raised() => {
            (Ending::Interrupted, "interrupted", None)
        }
        Err(error) => (Ending::ScriptError, "failed", Some(error.to_string())),
    };
    if let Some(problem) = &problem {
        eprintln!("error: {problem}");
    }
    let ending = match host.run.slot::<Arguments>().refuse_unused(&host.run) {
        Err(error) if ending == Ending::Success => start::complain(&error),
        _ => ending,
    };
    let recorder = host.run.slot::<recorder::Recorder>();
    if let Err(error) = recorder.finish(status, problem.as_deref()) {
        start::complain(&error);
        return if ending == Ending::Success { Ending::ScriptError } else { ending };
    }
    if let Some(folder) = recorder.opened() {
        host.run.progress().say(&format!("results: {}", folder.display()));
    }
    ending
}
