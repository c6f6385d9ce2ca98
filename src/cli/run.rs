//! `lethe run`: check a script, run it, complete its run folder.

use super::script::Script;
use super::{Ending, RunOptions, record, start};
use crate::host::arguments::{Arguments, Declared};
use crate::host::{Host, exit_and_sleep, lint};
use crate::report::Recorder;
use crate::report::runs::folder;
use crate::report::runs::succession::Left;
use crate::runtime::{Result, interrupt, output};
use rhai::{AST, EvalAltResult};

/// Runs the script; what went wrong is on stderr.
pub fn run(options: &RunOptions, quiet: bool) -> Ending {
    let (host, script) = match prepare(options, quiet) {
        Ok(prepared) => prepared,
        Err(error) => return start::complain(&error),
    };
    let ast = match checked(&host, &script) {
        Ok(ast) => ast,
        Err(ending) => return ending,
    };
    record::plan(&host, options.out.clone(), options.resume, &script);
    match host.run.slot::<Recorder>().claim() {
        Ok(remarks) => remarks.iter().for_each(|remark| host.run.progress().warn(remark)),
        Err(error) => return start::complain(&error),
    }
    let outcome = host.run_script(&ast);
    conclude(&host, &script, outcome)
}

/// Everything that can be refused before the engine exists; then the engine.
fn prepare(options: &RunOptions, quiet: bool) -> Result<(Host, Script)> {
    let script = Script::read(&options.file)?;
    if let Some(out) = options.out.as_deref().filter(|out| !(options.resume && folder::has_results(out))) {
        folder::check(out)?;
    }
    let settings = start::settings(&options.machine, options.set.clone(), quiet)?;
    start::listen_to_signals();
    Ok((Host::new(settings), script))
}

/// Everything that can be refused before the script runs.
fn checked(host: &Host, script: &Script) -> std::result::Result<AST, Ending> {
    let report = lint::check(host, &script.name, &script.text);
    if !report.findings.is_empty() {
        output::tell(&report.render(start::colored(&std::io::stderr())));
    }
    if report.errors() > 0 {
        return Err(Ending::Usage);
    }
    if interrupt::raised() {
        output::tell("interrupted while the script was checked");
        return Err(Ending::Interrupted);
    }
    let ast = host.compile(&script.name, &script.text).map_err(|problem| {
        output::tell(&host.diagnose(&problem, &script.name).render(start::colored(&std::io::stderr())));
        Ending::Usage
    })?;
    let given = &host.run.settings().arguments;
    if !given.is_empty() {
        let declared = Declared::of(&host.engine, &script.name, &ast);
        let refused = declared.refuse_unknown(given).and_then(|()| declared.refuse_wrong(given));
        refused.map_err(|error| start::complain(&error))?;
        host.run.slot::<Arguments>().expect(&declared);
    }
    Ok(ast)
}

/// Reports how the script ended, on stderr and in the run folder.
fn conclude(host: &Host, script: &Script, outcome: std::result::Result<(), Box<EvalAltResult>>) -> Ending {
    let found = outcome.err().map(|error| host.diagnose(&error, &script.name));
    let left = exit_and_sleep::left(&host.run);
    let refused = host.run.slot::<Arguments>().refused();
    let (mut ending, status) = match (&found, left) {
        (Some(_), Some(0)) => (Ending::Chosen(0), "finished"),
        (Some(_), Some(code)) => (Ending::Chosen(code), "failed"),
        (None, _) => (Ending::Success, "finished"),
        (Some(found), _) if found.interrupted => (Ending::Interrupted, "interrupted"),
        (Some(_), _) => (if refused { Ending::Usage } else { Ending::ScriptError }, "failed"),
    };
    let problem = match (&found, left) {
        (Some(_), Some(code)) => (code > 0).then(|| format!("exit({code})")),
        (found, _) => found.as_ref().filter(|found| !found.interrupted).map(|found| found.message.clone()),
    };
    if let Some(found) = found.as_ref().filter(|_| left.is_none()) {
        output::tell(&found.render(start::colored(&std::io::stderr())));
    }
    let recorder = host.run.slot::<Recorder>();
    // Only a script that has come to its end has asked for all that it asks for.
    let superseded = if ending == Ending::Success { recorder.supersede_rest() } else { Ok(Left::default()) };
    if let Some(told) = recorder.made_again() {
        host.run.progress().warn(&told);
    }
    if let Err(error) = recorder.finish(status, problem.as_deref()) {
        start::complain(&error);
        ending = if ending.code() == 0 { Ending::ScriptError } else { ending };
    }
    match superseded.map(|left| left.describe()) {
        Ok(told) => told.iter().for_each(|told| host.run.progress().warn(told)),
        Err(error) => {
            start::complain(&error);
            ending = if ending.code() == 0 { Ending::ScriptError } else { ending };
        }
    }
    if let Some(folder) = recorder.opened() {
        host.run.progress().say(&format!("results: {}", folder.display()));
    }
    // A script that has left early may not have come to ask.
    match host.run.slot::<Arguments>().refuse_unused(&host.run) {
        Err(error) if ending == Ending::Success => start::complain(&error),
        _ => ending,
    }
}
