//! `lethe check`: every finding in every file, before anything runs.

use super::script::Script;
use super::{CheckOptions, Ending, start};
use crate::host::Host;
use crate::runtime::run::Settings;

/// Checks the files.
pub fn check(options: &CheckOptions, quiet: bool) -> Ending {
    let host = Host::new(Settings::default());
    let mut ending = Ending::Success;
    for file in &options.files {
        match Script::read(file) {
            Err(error) => ending = start::complain(&error),
            Ok(script) if host.engine.compile(&script.text).is_err() => ending = Ending::Usage,
            Ok(script) if !quiet => println!("{}: no findings", script.name),
            Ok(_) => {}
        }
    }
    ending
}
