//! `lethe check`: every finding in every file, before anything runs.

use super::script::Script;
use super::{CheckOptions, Ending, start};
use crate::host::{Host, lint};
use crate::runtime::run::Settings;
use crate::runtime::{Error, Result, output};
use std::path::{Path, PathBuf};

/// Checks the files, and every script below the folders. Findings are what was asked for, so they go to stdout.
pub fn check(options: &CheckOptions, quiet: bool) -> Ending {
    let host = Host::new(Settings::default());
    let mut all = lint::Report::default();
    let mut ending = Ending::Success;
    let mut files = vec![];
    for named in &options.files {
        match scripts(named) {
            Err(error) => ending = start::complain(&error),
            Ok(found) => files.extend(found),
        }
    }
    for file in &files {
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

/// The scripts that a name on the command line means: itself, or all below a folder, in the order of their names.
fn scripts(named: &Path) -> Result<Vec<PathBuf>> {
    if !named.is_dir() {
        return Ok(vec![named.to_path_buf()]);
    }
    let mut found = vec![];
    below(named, &mut found)?;
    found.sort();
    if found.is_empty() {
        return Err(Error::new("", format!("{}: there is no script (.rhai) below this folder", named.display())));
    }
    Ok(found)
}

/// Adds the scripts below a folder. Hidden folders and links to folders are left out, as they may lead anywhere.
fn below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|problem| Error::file("check", folder, problem))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if path.is_dir() && !path.is_symlink() && !hidden {
            below(&path, found)?;
        } else if path.is_file() && path.extension().is_some_and(|extension| extension == "rhai") {
            found.push(path);
        }
    }
    Ok(())
}
