//! `lethe check`: every finding in every file, before anything runs.

use super::script::Script;
use super::{CheckOptions, Ending, start};
use crate::host::{Host, lint};
use crate::runtime::output;
use crate::runtime::run::Settings;

/// Checks the files. Findings are what was asked for, so they go to stdout.
pub fn check(options: &CheckOptions, quiet: bool) -> Ending {
    let host = Host::new(Settings::default());
    let mut all = lint::Report::default();
    let mut ending = Ending::Success;
    for file in &options.files {
        match Script::read(file) {
            Err(error) => ending = start::complain(&error),
            Ok(script) => {
                let report = lint::check(&host, &script.name, &script.text);
                if report.findings.is_empty() && !quiet {
                    output::line(&format!("{}: no findings", script.name));
                }
                all.add(report);
            }
        }
    }
    if !all.findings.is_empty() {
        output::line(&all.render(start::colored(&std::io::stdout())));
    }
    if all.errors() > 0 { Ending::Usage } else { ending }
}
