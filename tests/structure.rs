//! The structure of `src/`: files import each other in one direction only, and so do rooms. Read from the `use` lines.
#![allow(clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rooms, lower ones first: a room imports from those before it alone.
const ROOMS: [&str; 11] =
    ["runtime", "tensor", "nn", "data", "condense", "unlearn", "eval", "report", "experiment", "host", "cli"];

/// Files by their module's path.
type Files = BTreeMap<Vec<String>, String>;

/// Imports of each file, as paths of modules.
type Imports = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// Every file below a folder without its tests.
fn files(folder: &Path, module: &[String], found: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
        let inside = |name: String| module.iter().cloned().chain([name]).collect::<Vec<_>>();
        if path.is_dir() {
            files(&path, &inside(stem), found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_string();
            let own = if matches!(stem.as_str(), "mod" | "lib") { module.to_vec() } else { inside(stem) };
            found.insert(own, text);
        }
    }
}

/// The paths that the tree of a `use` line names.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else { return vec![tree.to_string()] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for letter in inner.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match parts.last_mut() {
            Some(last) if letter != ',' || depth > 0 => last.push(letter),
            _ => parts.push(String::new()),
        }
    }
    parts
        .iter()
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| leaves(&format!("{head}{}", part.trim())))
        .collect()
}

/// The modules that the `use` lines of a file name.
fn imported(own: &[String], is_folder: bool, text: &str, all: &Files) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let mut inline = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        inline = if line.starts_with("pub mod ") && line.ends_with('{') { 1 } else { inline };
        inline = if line == "}" { 0 } else { inline };
        let Some((_, start)) = line.split_once("use ").filter(|(before, _)| matches!(before.trim(), "" | "pub")) else {
            continue;
        };
        let mut tree = start.to_string();
        while !tree.contains(';') {
            let Some(more) = lines.next() else { break };
            tree.push_str(more.trim());
        }
        for leaf in leaves(tree.trim_end_matches(';')) {
            let path: Vec<&str> = leaf.split(" as ").next().unwrap_or_default().split("::").map(str::trim).collect();
            let ups = path.iter().take_while(|part| matches!(**part, "super" | "self")).count();
            let absolute: Vec<String> = match path.first() {
                Some(&"crate") => path.iter().skip(1).map(ToString::to_string).collect(),
                Some(&"super") if ups > inline => {
                    let drop = ups - inline - usize::from(is_folder && inline > 0);
                    let keep = own.len().saturating_sub(drop);
                    own.iter().take(keep).cloned().chain(path.iter().skip(ups).map(ToString::to_string)).collect()
                }
                _ => continue,
            };
            let target =
                (1..=absolute.len()).rev().map(|length| &absolute[..length]).find(|part| all.contains_key(*part));
            found.extend(target.filter(|target| *target != own).map(<[String]>::to_vec));
        }
    }
    found
}

fn sources() -> (Files, Imports) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Files::new();
    files(&root, &[], &mut all);
    let folder =
        |module: &[String]| module.iter().fold(root.clone(), |path, part| path.join(part)).join("mod.rs").is_file();
    let imports = all.iter().map(|(own, text)| (own.clone(), imported(own, folder(own), text, &all))).collect();
    (all, imports)
}

/// A way from a file back to itself.
fn circle(from: &[String], imports: &Imports) -> Option<Vec<Vec<String>>> {
    let mut ways = vec![vec![from.to_vec()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| imports.get(last)).into_iter().flatten() {
            if next == from {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push(way.iter().cloned().chain([next.clone()]).collect());
            }
        }
    }
    None
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let (all, imports) = sources();
    assert!(all.len() > 300, "only {} files were read", all.len());
    for own in all.keys() {
        if let Some(way) = circle(own, &imports) {
            let names: Vec<String> = way.iter().map(|module| module.join("::")).collect();
            panic!("{} -> {}: files import each other in a circle", names.join(" -> "), own.join("::"));
        }
    }
}

#[test]
fn no_room_imports_from_one_above_it() {
    let (_, imports) = sources();
    let rank = |module: &[String]| module.first().and_then(|room| ROOMS.iter().position(|known| known == room));
    let mut arrows = 0;
    for (own, targets) in &imports {
        for target in targets {
            let (Some(here), Some(there)) = (rank(own), rank(target)) else { continue };
            arrows += usize::from(here > there);
            assert!(here >= there, "{} imports {}, which is in a room above it", own.join("::"), target.join("::"));
        }
    }
    assert!(arrows > 500, "only {arrows} arrows were read");
}
