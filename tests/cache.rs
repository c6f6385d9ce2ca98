//! `lethe cache`, and what the cache has to stand: processes side by side, killed ones, folders that cannot be written.

#![allow(clippy::expect_used)]

mod common;

use common::{Ended, Place};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Trains an original and a retrained reference of digits within a second or two.
const SMALL: &str = "let task = load_task(\"digits/convnet\", #{ fraction: 0.2, per_class: 10, original: #{ width: 4, depth: 1, epochs: 1 } });\n\
                     let r = unlearn::run(\"retrain\", task);\n\
                     print(task.original.weights_hash() + r.net.weights_hash());";

fn cache(place: &Place, arguments: &[&str]) -> Ended {
    common::ended(place.lethe(&[&["cache"], arguments].concat()).output().expect("lethe starts"))
}

fn listed(place: &Place) -> Value {
    let ended = cache(place, &["list", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// The files of trained networks, the original first.
fn models(place: &Place) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.path("cache/models")).expect("models");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    files.sort();
    files
}

/// Runs a script on one thread: such small networks gain nothing by a second one.
fn run(place: &Place, script: &str) -> Ended {
    place.run_with(script, &["--threads", "1"])
}

/// A place whose cache holds an original and a retrained network.
fn filled() -> Place {
    let place = Place::new();
    let ended = run(&place, SMALL);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(models(&place).len(), 2);
    place
}

fn age(path: &PathBuf, days: u64) {
    let file = std::fs::File::options().write(true).open(path).expect("file");
    file.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 3600 + 60)).expect("time");
}

#[test]
fn an_empty_cache_says_where_it_would_be() {
    let place = Place::new();
    for arguments in [&["list"] as &[&str], &["clear"], &["clear", "--yes"]] {
        let ended = cache(&place, arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let folder = place.path("cache").display().to_string();
        assert!(ended.stdout.contains("cache is empty") && ended.stdout.contains(&folder), "{}", ended.stdout);
        assert!(ended.stdout.contains("LETHE_CACHE"), "{}", ended.stdout);
    }
    assert_eq!(cache(&place, &["verify"]).code, 0);
    assert_eq!(listed(&place)["items"], Value::Array(vec![]));
    assert!(!place.path("cache").exists(), "looking makes no folder");
}

#[test]
fn the_list_tells_what_each_file_is_and_what_it_cost() {
    let place = filled();
    let text = cache(&place, &["list"]).stdout;
    println!("{text}");
    let words = |kind: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(kind)).unwrap_or_else(|| panic!("{kind} in\n{text}"));
        line.split_whitespace().map(String::from).collect()
    };
    assert_eq!(words("original")[1..5], ["digits", "convnet", "0", "–"]);
    assert_eq!(words("retrained")[1..4], ["digits", "convnet", "0"]);
    assert!(text.contains("2 files, ") && text.contains("set by LETHE_CACHE"), "{text}");
    let value = listed(&place);
    let (original, retrained) = (&value["items"][0], &value["items"][1]);
    assert_eq!((&original["kind"], &retrained["kind"]), (&"original".into(), &"retrained".into()));
    assert!(original["split"].is_null() && retrained["split"].as_str().is_some_and(|id| text.contains(id)), "{value}");
    let total = original["bytes"].as_u64().expect("size") + retrained["bytes"].as_u64().expect("size");
    assert_eq!(value["bytes"].as_u64(), Some(total));
    for item in [original, retrained] {
        assert!(item["training_seconds"].as_f64() > Some(0.0) && item["seed"] == 0, "{item}");
        assert!(PathBuf::from(item["file"].as_str().expect("path")).exists());
    }
}

#[test]
fn damage_is_found_by_reading_and_can_be_removed() {
    let place = filled();
    let sound = cache(&place, &["verify"]);
    assert_eq!(sound.code, 0, "{}", sound.stdout);
    assert!(
        sound.stdout.starts_with("2 files in ") && sound.stdout.contains("0 damaged, 0 not written by lethe"),
        "{}",
        sound.stdout
    );
    // A weight that differs, in a file that is otherwise well formed.
    let [original, retrained] = <[PathBuf; 2]>::try_from(models(&place)).expect("two files");
    let whole = std::fs::read(&original).expect("bytes");
    let mut bytes = whole.clone();
    *bytes.last_mut().expect("a byte") ^= 1;
    std::fs::write(&original, &bytes).expect("damage");
    let found = cache(&place, &["verify"]);
    assert_eq!(found.code, 2);
    assert!(found.stdout.contains("its weights are not those its header names"), "{}", found.stdout);
    assert!(found.stdout.contains("1 damaged") && original.exists());
    // A file under another's name, a truncated one, one of somebody else.
    std::fs::write(&original, std::fs::read(&retrained).expect("bytes")).expect("file");
    std::fs::write(&retrained, &whole[..whole.len() / 2]).expect("damage");
    place.write("cache/models/notes.txt", "mine");
    let found = cache(&place, &["verify"]);
    assert!(
        found.stdout.contains("its name is not that of the recipe")
            && found.stdout.contains("2 damaged, 1 not written by lethe")
    );
    assert!(cache(&place, &["list"]).stdout.contains("1 file not written by lethe"));
    let removed = cache(&place, &["verify", "--remove"]);
    assert_eq!(removed.code, 2, "a foreign file remains: {}", removed.stdout);
    assert!(removed.stdout.contains("2 files removed"), "{}", removed.stdout);
    let left: Vec<_> = models(&place);
    assert!(matches!(left.as_slice(), [only] if only.ends_with("notes.txt")), "{left:?}");
    std::fs::write(&original, b"").expect("damage");
    std::fs::remove_file(place.path("cache/models/notes.txt")).expect("gone");
    assert!(cache(&place, &["list"]).stdout.contains("1 file that cannot be read"));
    assert_eq!(cache(&place, &["verify", "--remove"]).code, 0, "nothing is wrong any more");
}

#[test]
fn clear_removes_nothing_without_yes_and_then_what_fits_every_filter() {
    let place = filled();
    place.write("cache/models/notes.txt", "mine");
    place.write("cache/other/original-00000000000000000000.safetensors", "not on a shelf");
    let dry = cache(&place, &["clear"]);
    assert_eq!(dry.code, 0);
    assert!(dry.stdout.contains("This would remove 2 files") && dry.stdout.contains("--yes"), "{}", dry.stdout);
    for filter in [["--dataset", "mnist"], ["--model", "mlp"], ["--older-than", "1"], ["--kind", "leftover"]] {
        let ended = cache(&place, &[&["clear", "--yes"], &filter as &[&str]].concat());
        assert_eq!((ended.code, models(&place).len()), (0, 3), "{}", ended.stdout);
        assert!(ended.stdout.contains("Nothing to remove: none of 2 files fits"), "{}", ended.stdout);
    }
    let all = ["--dataset", "digits", "--model", "convnet", "--older-than", "0", "--kind", "retrained"];
    let ended = cache(&place, &[&["clear", "--yes"], &all as &[&str]].concat());
    assert!(ended.stdout.contains("Removed 1 file, "), "{}", ended.stdout);
    assert_eq!(listed(&place)["items"][0]["kind"], "original");
    age(&models(&place)[1], 40);
    assert!(cache(&place, &["clear", "--older-than", "41", "--yes"]).stdout.contains("Nothing to remove"));
    assert!(cache(&place, &["clear", "--older-than", "39.5", "--yes"]).stdout.contains("Removed 1 file"));
    assert_eq!(models(&place).len(), 1, "what lethe has not written stays");
    assert!(place.path("cache/other").exists());
    for wrong in [["--older-than", "soon"], ["--kind", "images"], ["--older-than", "-1"]] {
        assert_eq!(cache(&place, &[&["clear"], &wrong as &[&str]].concat()).code, 2, "{wrong:?}");
    }
}

#[test]
fn drafts_of_killed_processes_are_listed_and_cleared_after_a_day_and_disturb_nobody() {
    let place = filled();
    let [original, _] = <[PathBuf; 2]>::try_from(models(&place)).expect("two files");
    let name = original.file_name().expect("name").to_string_lossy().into_owned();
    let drafts: Vec<_> = (0..50).map(|n| place.write(&format!("cache/models/.{name}.{n}-0.tmp"), "half")).collect();
    drafts[1..].iter().for_each(|draft| age(draft, 2));
    let value = listed(&place);
    assert_eq!(
        (value["items"].as_array().map(Vec::len), value["leftovers"].as_array().map(Vec::len)),
        (Some(2), Some(49))
    );
    let text = cache(&place, &["list"]).stdout;
    assert!(
        text.contains("49 files left behind by a killed process: lethe cache clear --kind leftover --yes"),
        "{text}"
    );
    assert_eq!(cache(&place, &["verify"]).code, 0);
    std::fs::remove_file(&original).expect("gone");
    assert_eq!(run(&place, SMALL).code, 0);
    assert!(original.exists());
    assert_eq!(cache(&place, &["clear", "--kind", "leftover", "--yes"]).code, 0);
    let left = models(&place);
    assert!(left.len() == 3 && drafts[0].exists(), "the young one may still be written: {left:?}");
}

#[test]
fn processes_that_fill_one_cache_at_once_agree_and_leave_it_sound() {
    let place = Place::new();
    place.write("script.rhai", SMALL);
    let arguments = ["run", "--quiet", "--device", "cpu", "--threads", "1", "script.rhai"];
    let outputs: Vec<Ended> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| common::ended(place.lethe(&arguments).output().expect("starts")));
        let started = [start(), start(), start()];
        // Readers meanwhile see whole files or none.
        for _ in 0..5 {
            assert_eq!(cache(&place, &["verify"]).code, 0);
        }
        started.map(|thread| thread.join().expect("ends")).into_iter().collect()
    });
    for ended in &outputs {
        // That so small a network is a weak original is said; nothing about the cache is.
        let others = ended.stderr.lines().filter(|line| !line.starts_with("warning: weak original"));
        assert_eq!((ended.code, others.count()), (0, 0), "{}", ended.stderr);
        assert_eq!(ended.stdout, outputs[0].stdout);
    }
    assert_eq!(models(&place).len(), 2, "{:?}", models(&place));
    assert!(cache(&place, &["verify"]).stdout.starts_with("2 files in "));
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let place = Place::new();
    place.write("script.rhai", SMALL);
    place.write("plain", "a file");
    let with_cache = |folder: PathBuf| {
        let mut command = place.lethe(&["run", "--quiet", "--device", "cpu", "--threads", "1", "script.rhai"]);
        common::ended(command.env("LETHE_CACHE", folder).output().expect("starts"))
    };
    // Nobody, not even root, makes folders in these.
    for folder in [PathBuf::from("/proc/lethe"), place.path("plain/cache")] {
        let ended = with_cache(folder);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(ended.stderr.matches("the cache cannot be written").count(), 2, "{}", ended.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_read_only_cache_is_read_and_says_what_stays() {
    use std::os::unix::fs::PermissionsExt;
    let place = filled();
    let folder = place.path("cache/models");
    std::fs::remove_file(&models(&place)[1]).expect("gone");
    let permit = |mode: u32| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).expect("mode");
    permit(0o555);
    let writable = std::fs::write(folder.join("probe"), "").is_ok();
    let ended = run(&place, SMALL);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    if writable {
        // Root is asked for no permission.
        return permit(0o755);
    }
    assert_eq!(ended.stderr.matches("the cache cannot be written").count(), 1, "{}", ended.stderr);
    let stays = cache(&place, &["clear", "--yes"]);
    permit(0o755);
    let only = models(&place).remove(0);
    std::fs::set_permissions(&only, std::fs::Permissions::from_mode(0o000)).expect("mode");
    let unreadable = cache(&place, &["verify", "--remove"]);
    assert_eq!(unreadable.code, 2);
    assert!(unreadable.stdout.contains("permission denied") && unreadable.stdout.contains("0 damaged"));
    assert!(only.exists(), "what cannot be read may be sound");
    assert_eq!(stays.code, 2);
    assert!(stays.stdout.contains("stays       ") && stays.stdout.contains("Removed 0 files"), "{}", stays.stdout);
}

#[test]
fn files_of_older_versions_are_listed_by_their_recipe_and_not_called_damaged() {
    let place = filled();
    for path in models(&place) {
        let bytes = std::fs::read(&path).expect("bytes");
        let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let mut value: Value = serde_json::from_slice(&bytes[8..8 + header]).expect("header");
        let notes = value["__metadata__"].as_object_mut().expect("notes");
        for key in ["dataset", "model", "seed", "split", "order"] {
            notes.remove(key);
        }
        let header = value.to_string();
        let start = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let whole = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[start..]].concat();
        std::fs::write(&path, whole).expect("file");
    }
    let value = listed(&place);
    for item in value["items"].as_array().expect("items") {
        assert_eq!((&item["dataset"], &item["model"], &item["seed"]), (&Value::Null, &"convnet".into(), &0.into()));
    }
    assert!(value["items"][1]["split"].is_string(), "{value}");
    let ended = cache(&place, &["verify"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("2 files of an older version"), "{}", ended.stdout);
    assert!(cache(&place, &["clear", "--dataset", "digits"]).stdout.contains("none of 2 files fits"));
    assert_eq!(run(&place, &format!("{SMALL} assert(r.options.cached);")).code, 0, "they are still used");
}

#[test]
fn help_of_every_part_shows_examples() {
    let place = Place::new();
    for arguments in [&["--help"] as &[&str], &["list", "--help"], &["verify", "--help"], &["clear", "--help"]] {
        let help = cache(&place, arguments);
        assert_eq!(help.code, 0);
        assert!(help.stdout.contains("Examples:\n  lethe cache "), "{}", help.stdout);
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 100), "{}", help.stdout);
    }
    let lists = cache(&place, &["clear", "--help"]).stdout;
    assert!(lists.contains("original, retrained, decoded, earlier,"), "{lists}");
}

#[test]
fn networks_of_earlier_recipes_are_listed_as_such_and_can_be_cleared() {
    let place = filled();
    let header =
        r#"{"__metadata__":{"recipe":"v1 data=0 net=convnet() training=x seed=0 on=cpu/1","dataset":"digits"}}"#;
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    place.write("cache/models/original-0123456789abcdef0123.safetensors", file);
    let list = cache(&place, &["list"]).stdout;
    assert_eq!(list.matches("original (earlier version)").count(), 1, "{list}");
    assert!(list.contains("1 file of an earlier version, used no more"), "{list}");
    let ended = cache(&place, &["clear", "--kind", "earlier", "--yes"]);
    assert!(ended.stdout.contains("Removed 1 file, "), "{}", ended.stdout);
    assert_eq!(models(&place).len(), 2);
}
