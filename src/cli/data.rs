//! `lethe data`: which data sets are here, getting them, checking them, where they are.

use super::{DataCommand, Ending, list, start};
use crate::data::catalog::download::Patience;
use crate::data::catalog::fetch::{Fetched, Verdict};
use crate::data::catalog::known_datasets::Known;
use crate::data::catalog::local_files::{Found, State};
use crate::data::catalog::{fetch, known_datasets, local_files};
use crate::data::load;
use crate::runtime::run::Settings;
use crate::runtime::{Error, Result, Run, output, user_dirs};
use serde_json::{Value, json};

/// Does what the subcommand says.
pub fn data(command: &DataCommand, quiet: bool) -> Ending {
    start::listen_to_signals();
    let run = Run::new(Settings { threads: start::default_threads(), quiet, ..Settings::default() });
    let done = match command {
        DataCommand::List { json } => show(*json),
        DataCommand::Fetch { names, url } => named(names).and_then(|sets| fetch_all(&sets, url, &run)),
        DataCommand::Verify { names } => named(names).and_then(|sets| verify_all(&sets, !names.is_empty(), &run)),
        DataCommand::Path { name } => path(name.as_deref()),
    };
    match done {
        Ok(ending) => ending,
        Err(error) => start::complain(&error),
    }
}

/// The data sets of these names; all of them when none is named.
fn named(names: &[String]) -> Result<Vec<&'static Known>> {
    if names.is_empty() {
        return Ok(known_datasets::ALL.iter().filter_map(|known| known_datasets::find(known.name)).collect());
    }
    names.iter().map(|name| of_name(name)).collect()
}

fn of_name(name: &str) -> Result<&'static Known> {
    if name == "digits" {
        return Err(Error::new("data", "digits are built in: there are no files of it"));
    }
    known_datasets::find(name).ok_or_else(|| load::unknown(name))
}

fn say(line: &str) {
    output::line(line);
}

/// Prints an error of something that was tried, with what ends the command.
fn failed(error: &Error) -> Ending {
    start::complain(error);
    if matches!(error, Error::Interrupted) { Ending::Interrupted } else { Ending::ScriptError }
}

fn show(as_json: bool) -> Result<Ending> {
    let items: Vec<Value> = load::list().iter().map(item).collect();
    if as_json {
        say(&format!("{:#}", Value::Array(items)));
        return Ok(Ending::Success);
    }
    for (line, listing) in list::lines(&items).into_iter().zip(load::list()) {
        let state = if listing.present { "here" } else { "not here" };
        say(&format!("{line}\n    {state}: {}", listing.location));
    }
    say(&format!("\nfolder: {}", user_dirs::data()?.display()));
    Ok(Ending::Success)
}

/// A listing with where its files belong and what they weigh.
fn item(listing: &load::Listing) -> Value {
    let mut value = json!({ "name": listing.name, "summary": listing.summary, "state": listing.location });
    value["here"] = Value::Bool(listing.present);
    if let Some(known) = known_datasets::find(&listing.name) {
        value["home"] = local_files::home(known).map_or(Value::Null, |home| json!(home.display().to_string()));
        let files = known.forms.first().map_or(&[][..], |form| form.files);
        value["files"] = files.iter().map(|f| json!({ "name": f.name, "bytes": f.bytes, "md5": f.md5 })).collect();
    }
    value
}

fn fetch_all(sets: &[&'static Known], urls: &[String], run: &Run) -> Result<Ending> {
    for known in sets {
        if urls.is_empty()
            && let Some(folder) = fetch::elsewhere(known)?
        {
            say(&format!("{} is here: {}", known.name, folder.display()));
            continue;
        }
        match fetch::fetch(known, &local_files::home(known)?, urls, Patience::default(), run) {
            Ok(files) => files.iter().for_each(|file| {
                say(&match file {
                    Fetched::Present(path) => format!("{} is here: {}", known.name, path.display()),
                    Fetched::New(path) => format!("{} fetched: {}", known.name, path.display()),
                });
            }),
            Err(error) => return Ok(failed(&error)),
        }
    }
    Ok(Ending::Success)
}

/// Checks data sets; those that are not here count when they were named.
fn verify_all(sets: &[&'static Known], expected: bool, run: &Run) -> Result<Ending> {
    let mut ending = Ending::Success;
    for known in sets {
        let found = match local_files::state(known)? {
            State::Complete(found) => found,
            State::Absent if !expected => continue,
            _ => {
                if let Err(error) = local_files::require(known) {
                    ending = failed(&error);
                }
                continue;
            }
        };
        match verify(known, &found, run) {
            Ok(true) => {}
            Ok(false) => ending = Ending::ScriptError,
            Err(Error::Interrupted) => return Ok(failed(&Error::Interrupted)),
            Err(error) => ending = failed(&error),
        }
    }
    Ok(ending)
}

/// Prints what is known of each file; whether nothing is wrong.
fn verify(known: &Known, found: &Found, run: &Run) -> Result<bool> {
    let verdicts = fetch::verify(known, found, run)?;
    let unknown = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Unknown).count();
    for (path, verdict) in &verdicts {
        let text = match verdict {
            Verdict::Sound => "ok: matches the published checksum".to_string(),
            Verdict::Repacked => "ok: the published content, packed differently".into(),
            Verdict::Wrong(problem) => format!("WRONG: it {problem}"),
            Verdict::Unknown => continue,
        };
        say(&format!("{}: {} {text}", known.name, path.display()));
    }
    let sound = !verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Wrong(_)));
    if unknown > 0 && sound {
        let place = found.folder.display();
        say(&format!("{}: {place} readable, with the published number of images; it has no checksum", known.name));
    }
    if !sound {
        output::tell(&format!("help: {}", local_files::advice(known)));
    }
    Ok(sound)
}

/// Prints where a data set is, or where its files belong.
fn path(name: Option<&str>) -> Result<Ending> {
    let Some(name) = name else {
        say(&user_dirs::data()?.display().to_string());
        return Ok(Ending::Success);
    };
    let known = of_name(name)?;
    let folder = match local_files::state(known)? {
        State::Complete(found) => found.folder,
        State::Incomplete { folder, .. } => folder,
        State::Absent => local_files::home(known)?,
    };
    say(&folder.display().to_string());
    Ok(Ending::Success)
}
