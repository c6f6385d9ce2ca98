//! What a run folder says about a run.

use super::script::Script;
use crate::host::Host;
use crate::host::arguments::Arguments;
use crate::report::commit::Commit;
use crate::report::runs::recorder;
use crate::runtime::moment::now;
use crate::runtime::places::Places;
use crate::runtime::run::device_name;
use crate::runtime::sources::{self, SourceMap};
use crate::runtime::versions;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Tells the recorder where results go: `out` (continued where an earlier run stopped, when told so), or a new folder below
/// `runs`, opened by the first row. Files of the script's own go to `out` as well.
pub fn plan(host: &Host, out: Option<PathBuf>, resume: bool, script: &Script) {
    let (sources, folder) = (host.run.slot::<SourceMap>(), script.folder());
    if out.is_some() {
        let recorder = host.run.slot::<recorder::Recorder>();
        host.run.slot::<Places>().plan(move || recorder.folder(), &crate::report::runs::folder::OWN);
    }
    host.run.slot::<recorder::Recorder>().plan(recorder::Plan {
        name: script.stem(),
        out,
        resume,
        root: "runs".into(),
        settings: Box::new(settings_of(host, script)),
        sources: Box::new(move || {
            // Names are those below the script's folder, wherever that is.
            let inside = |name: String| match Path::new(&name).strip_prefix(&folder) {
                Ok(below) => below.display().to_string(),
                Err(_) => name,
            };
            own(&sources).into_iter().map(|(name, text)| (inside(name), text)).collect()
        }),
    });
}

/// The scripts that have taken part, by name and text. The embedded library is named by the version.
fn own(sources: &SourceMap) -> Vec<(String, String)> {
    sources.all().into_iter().filter(|(name, _)| sources::embedded(name).is_none()).collect()
}

/// What `settings.json` says, now and at the end of the run.
fn settings_of(host: &Host, script: &Script) -> impl Fn() -> Value + 'static {
    let settings = host.run.settings().clone();
    let (arguments, sources) = (host.run.slot::<Arguments>(), host.run.slot::<SourceMap>());
    let name = script.name.clone();
    let started = now();
    // As it was when the script was read; by the first row it may be another one.
    let commit = Commit::of(&script.folder());
    move || {
        let scripts: Vec<(PathBuf, String)> =
            own(&sources).into_iter().map(|(name, text)| (name.into(), text)).collect();
        json!({
            "script": name,
            "started": started,
            "seed": settings.seed,
            "device": device_name(settings.device),
            "threads": settings.threads,
            "arguments": arguments.values(),
            "versions": versions::all(),
            "git": commit.as_ref().map(|commit| commit.describe(&scripts)),
            "command": std::env::args().collect::<Vec<_>>(),
        })
    }
}
