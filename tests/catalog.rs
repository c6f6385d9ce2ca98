//! The catalog is complete, its examples run, and the manual made from it is current.

#![allow(clippy::expect_used)]

use lethe::host::Host;
use lethe::host::docs::catalog::Catalog;
use lethe::host::docs::entry::{Entry, Kind};
use lethe::host::docs::manual;
use lethe::runtime::run::Settings;
use rhai::Scope;

fn title(entry: &Entry) -> String {
    format!("{} ({} {})", entry.signatures.first().map_or(entry.name.as_str(), String::as_str), entry.module, entry.of)
}

/// The engine needs more stack than a test thread has.
fn with_catalog(check: impl FnOnce(&Host, &Catalog) -> Vec<String> + Send + 'static) {
    let work = move || {
        let host = Host::new(Settings { threads: 2, ..Settings::default() });
        let catalog = Catalog::of(&host.engine);
        check(&host, &catalog)
    };
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(work).expect("a thread");
    let problems = thread.join().expect("no panic");
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn everything_has_a_summary_and_functions_have_an_example() {
    with_catalog(|_, catalog| {
        let bare = |entry: &&Entry| entry.doc.summary.is_empty();
        let without: Vec<_> =
            catalog.entries().iter().filter(bare).map(|e| format!("no summary: {}", title(e))).collect();
        // A type is shown by what makes it, a property by its one line.
        let called = |entry: &&Entry| !matches!(entry.kind, Kind::Type | Kind::Property);
        let unshown = |entry: &&Entry| called(entry) && entry.doc.example.is_empty() && !bare(entry);
        let more = catalog.entries().iter().filter(unshown).map(|e| format!("no example: {}", title(e)));
        without.into_iter().chain(more).collect()
    });
}

/// The keys of the option map in a signature such as `f(x: Tensor, #{ a: int = 1, b: float })`.
fn keys(signature: &str) -> Vec<String> {
    let Some((_, inside)) = signature.split_once(", #{").or_else(|| signature.split_once("(#{")) else { return vec![] };
    let inside = inside.split_once("})").map_or(inside, |(map, _)| map);
    let mut depth = 0;
    let top = inside.split(|c: char| {
        depth += i32::from("[(#{".contains(c)) - i32::from("])}".contains(c));
        c == ',' && depth == 0
    });
    top.filter_map(|item| item.split(':').next()).map(|key| key.trim().to_string()).filter(|key| key != "..").collect()
}

#[test]
fn every_option_of_a_signature_is_described() {
    with_catalog(|_, catalog| {
        let undescribed = |entry: &&Entry| {
            let known: Vec<&str> = entry.doc.options.iter().flat_map(|option| option.name.split(", ")).collect();
            let maps = entry.signatures.iter().any(|s| s.contains(", #{") || s.contains("(#{"));
            let all = entry.signatures.iter().flat_map(|signature| keys(signature));
            (maps && known.is_empty()) || all.into_iter().any(|key| !known.contains(&key.as_str()))
        };
        catalog.entries().iter().filter(undescribed).map(title).collect()
    });
}

/// A folder for what examples write, trained originals included; it becomes the current one.
fn scratch() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().expect("a folder");
    std::env::set_current_dir(scratch.path()).expect("a folder");
    // SAFETY: the other tests of this file read no environment; the rooms ask for this variable while examples run.
    unsafe { std::env::set_var("LETHE_CACHE", scratch.path().join("cache")) };
    scratch
}

#[test]
fn every_example_runs() {
    with_catalog(|host, catalog| {
        let scratch = scratch();
        let mut problems = vec![];
        for entry in catalog.entries().iter().filter(|entry| !entry.doc.example.is_empty()) {
            let text = &entry.doc.example;
            let started = std::time::Instant::now();
            let ended = host.engine.compile(text).map_err(Into::into);
            let ended = ended.and_then(|ast| host.engine.run_ast_with_scope(&mut Scope::new(), &ast));
            if started.elapsed().as_secs_f64() > 1.0 {
                println!("{:6.2} s  {}", started.elapsed().as_secs_f64(), title(entry));
            }
            if let Err(problem) = ended {
                let problem = problem.to_string().replace(&scratch.path().display().to_string(), ".");
                problems.push(format!("{}: {problem}\n    {}", title(entry), text.replace('\n', "\n    ")));
            }
        }
        problems
    });
}

#[test]
fn the_manual_is_current() {
    with_catalog(|_, catalog| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/stdlib/REFERENCE.md");
        let current = std::fs::read_to_string(file).unwrap_or_default() == manual::markdown(catalog);
        if current { vec![] } else { vec!["run `cargo run --release -- doc --markdown > stdlib/REFERENCE.md`".into()] }
    });
}

#[test]
fn an_unlearner_is_read_on_one_screen() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib/unlearn");
    let files = std::fs::read_dir(folder).expect("stdlib/unlearn");
    let mut lengths: Vec<(usize, String)> = files
        .map(|entry| {
            let path = entry.expect("entry").path();
            let text = std::fs::read_to_string(&path).expect("text");
            let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
            (code.count(), path.display().to_string())
        })
        .collect();
    lengths.sort();
    let (longest, median) = (lengths.last().expect("files"), lengths[lengths.len() / 2].0);
    assert!(longest.0 <= 60 && median <= 25, "median {median}, longest {longest:?}");
}
