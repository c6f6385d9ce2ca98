//! `lethe doc`: the catalog on the terminal, as JSON, and as the manual.

use super::{DocOptions, Ending, start};
use crate::host::Host;
use crate::host::docs::catalog::Catalog;
use crate::host::docs::manual;
use crate::host::docs::manual::Paint;
use crate::runtime::run::Settings;
use crate::runtime::{Error, Result, output};
use std::path::Path;

/// Prints what was asked for.
pub fn doc(options: &DocOptions) -> Ending {
    let host = Host::new(Settings::default());
    let catalog = Catalog::of(&host.engine);
    let outcome = match (&options.name, &options.check) {
        (_, Some(file)) => check(&catalog, file),
        (Some(name), None) => one(&catalog, name, options.json),
        (None, None) if options.markdown => Ok(manual::markdown(&catalog)),
        (None, None) if options.json => as_json(catalog.entries()),
        (None, None) => Ok(manual::overview(&catalog, Paint::new(start::colored(&std::io::stdout())))),
    };
    match outcome {
        Ok(text) => {
            output::write(&text);
            Ending::Success
        }
        Err(error) => start::complain(&error),
    }
}

/// The entries of a name.
pub(super) fn one(catalog: &Catalog, name: &str, json: bool) -> Result<String> {
    let found = catalog.find(name);
    if found.is_empty() {
        let error = Error::new("doc", format!("no function, type or operator is called {name:?}"));
        let near = catalog.nearest(name);
        return Err(if near.is_empty() {
            error.hint("`lethe doc` lists everything")
        } else {
            error.hint(format!("did you mean {}?", near.join(", ")))
        });
    }
    if json {
        return as_json(&found);
    }
    let paint = Paint::new(start::colored(&std::io::stdout()));
    Ok(found.into_iter().map(|entry| manual::terminal(entry, paint)).collect::<Vec<_>>().join("\n"))
}

fn as_json(value: &(impl serde::Serialize + ?Sized)) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|problem| Error::new("doc", problem.to_string()))
}

/// Compares a manual with what it would be now.
fn check(catalog: &Catalog, file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|problem| Error::file("doc", file, problem))?;
    if text == manual::markdown(catalog) {
        return Ok(format!("{} is current\n", file.display()));
    }
    Err(Error::new("doc", format!("{} is not current", file.display()))
        .hint(format!("lethe doc --markdown > {}", file.display())))
}
