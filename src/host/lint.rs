//! What can be found in a script, and in those it imports, before anything runs: every finding at once.

pub mod advice;
pub mod calls;
mod context;
pub mod finding;
mod given;
mod imports;
mod known;
pub mod manual;
pub mod names;
mod notation;
mod paths;
pub mod properties;
mod rules;
pub mod signature;
mod values;
mod visit;
mod vocabulary;

use super::Host;
use super::unknown_keys::Watch;
use crate::host::diagnostics::diagnostic::{Diagnostic, Severity, Sources};
use crate::runtime::sources::SourceMap;
use imports::Importer;

/// What a check found, in the order of the scripts read and of their lines.
#[derive(Debug, Default)]
pub struct Report {
    /// The findings; each knows its place.
    pub findings: Vec<Diagnostic>,
}

impl Report {
    /// How many findings keep the script from running.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// How many findings are advice.
    pub fn warnings(&self) -> usize {
        self.findings.len() - self.errors()
    }

    /// Takes over the findings of another script that are not known yet.
    pub fn add(&mut self, other: Self) {
        for found in other.findings {
            if !self.findings.iter().any(|known| known.place == found.place && known.message == found.message) {
                self.findings.push(found);
            }
        }
    }

    /// `2 errors, 1 warning`; empty when there is nothing to count.
    pub fn summary(&self) -> String {
        let count = |n: usize, word: &str| match n {
            0 => None,
            1 => Some(format!("1 {word}")),
            n => Some(format!("{n} {word}s")),
        };
        let parts = [count(self.errors(), "error"), count(self.warnings(), "warning")];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Every finding as people read it, and how many there are if there is more than one.
    pub fn render(&self, colored: bool) -> String {
        let mut texts: Vec<_> = self.findings.iter().map(|finding| finding.render(colored)).collect();
        texts.extend((texts.len() > 1).then(|| self.summary()));
        texts.join("\n\n")
    }
}

/// Checks the script `name` with this text, and every script file it imports.
pub fn check(host: &Host, name: &str, text: &str) -> Report {
    let mut importer = Importer::new(host);
    importer.main(name, text);
    let mut raw = std::mem::take(&mut importer.findings);
    if raw.is_empty() {
        return Report::default();
    }
    let map = host.run.slot::<SourceMap>();
    raw.sort_by_key(|finding| (finding.file, finding.position.line(), finding.position.position()));
    let sources = Sources { map: &map, main: name };
    let mut report = Report::default();
    for finding in raw {
        let source = importer.names.get(finding.file).map_or(name, String::as_str);
        host.run.slot::<Watch>().told(source, finding.position);
        report.add(Report { findings: vec![finding.explain(&sources, source, &importer.catalog)] });
    }
    report
}
