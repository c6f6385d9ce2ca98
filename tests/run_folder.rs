//! The run folder: one owner, nothing lost and nothing wrong in silence, whatever happens to it.

#![allow(clippy::expect_used)]

mod common;

use common::{Ended, Place, ended, read_rows};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Records a row, waits for a file `go`, and records another one.
const WAITING: &str = r#"
record("first", #{ n: 1 });
loop { try { read_text("go"); break; } catch { } }
record("second", #{ n: 2 });
"#;

/// A data set, a split of it, and two methods on it.
const METHODS: &str = r#"
import "std/unlearn" as unlearn;
print("begun");
let d = dataset("digits", #{ per_class: 20 });
let task = forget(convnet(d, #{ width: 4, depth: 1 }), d, #{ fraction: 0.2 });
unlearn::run("finetune", task, #{ epochs: 1 });
unlearn::run("neg_grad", task, #{ epochs: 1, weights: true });
"#;

fn started(place: &Place, text: &str, arguments: &[&str]) -> Child {
    place.write("script.rhai", text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
    command.current_dir(place.folder.path()).env("LETHE_CACHE", place.path("cache")).env("NO_COLOR", "1");
    command.args(["run", "--quiet", "--device", "cpu", "--threads", "1"]).args(arguments).arg("script.rhai");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lethe starts")
}

fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn rows_in(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("results.jsonl")).map_or(0, |text| text.matches('\n').count())
}

fn finished(child: Child) -> Ended {
    ended(child.wait_with_output().expect("an end"))
}

fn methods(place: &Place) -> Ended {
    place.run_with(METHODS, &["--out", "out", "--resume", "--threads", "1"])
}

#[test]
fn a_second_process_is_refused_before_it_computes_anything_and_a_killed_one_holds_nobody_up() {
    let place = Place::new();
    let mut first = started(&place, WAITING, &["--out", "out"]);
    wait_for(|| rows_in(&place.path("out")) == 1);
    let other = place.write("other.rhai", "print(\"computing\"); record(\"x\", #{ n: 3 });");
    for options in [&["--resume"][..], &[]] {
        let arguments = [&["run", "-q", "--out", "out"], options, &[other.to_str().expect("text")]].concat();
        let refused = ended(place.lethe(&arguments).output().expect("lethe starts"));
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.stderr);
        if !options.is_empty() {
            let owner = format!("is in use by process {} on ", first.id());
            assert!(refused.stderr.contains(&owner) && refused.stderr.contains("started 2"), "{}", refused.stderr);
        }
    }
    let read = ended(place.lethe(&["report", "out"]).output().expect("lethe starts"));
    assert!(read.stderr.contains("no results of methods"), "reading needs no lock: {}", read.stderr);
    first.kill().expect("killed");
    first.wait().expect("an end");
    assert!(place.path("out/.lock").exists());
    place.write("go", "");
    assert_eq!(place.run_with(WAITING, &["--out", "out", "--resume"]).code, 0);
    assert_eq!((place.rows().len(), place.path("out/.lock").exists()), (2, false));
}

#[test]
fn of_many_that_start_at_once_with_one_new_folder_one_runs() {
    let place = Place::new();
    place.write("go", "");
    let children: Vec<Child> = (0..5).map(|_| started(&place, WAITING, &["--out", "deep/out"])).collect();
    let ended: Vec<Ended> = children.into_iter().map(finished).collect();
    let codes: Vec<i32> = ended.iter().map(|ended| ended.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 2].contains(code)), "{codes:?}");
    assert_eq!(read_rows(&place.path("deep/out")).len(), 2);
}

#[test]
fn a_run_that_records_nothing_leaves_no_folder() {
    let place = Place::new();
    place.write("kept/out/.lock", "left by a killed run");
    for out in ["new/out", "kept/out"] {
        assert_eq!(place.run_with("print(1);", &["--out", out]).code, 0);
    }
    assert!(!place.path("new").exists() && place.path("kept/out").exists());
    let refused = place.run_with("print(", &["--out", "new/out"]);
    assert!(refused.code == 2 && !place.path("new").exists());
}

#[test]
fn damaged_lines_are_found_before_anything_runs_and_the_other_rows_are_shown() {
    let place = Place::new();
    assert_eq!(methods(&place).code, 0);
    let file = place.path("out/results.jsonl");
    let sound = std::fs::read(&file).expect("results");
    for line in
        [&b"{\"method\": \"x\", \"method\": \"y\"}"[..], b"[1]", b"\0\0\0\0", b"{\"label\": \"\xff\"}", b"half a {"]
    {
        let mut damaged = sound.clone();
        let end = sound.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        damaged.splice(end..end, [line, b"\n"].concat());
        std::fs::write(&file, &damaged).expect("written");
        let refused = methods(&place);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.stderr);
        for part in ["results.jsonl: 1 of 3 lines is damaged: line 2: ", "help: keep a copy and mend or delete line 2"]
        {
            assert!(refused.stderr.contains(part), "{}", refused.stderr);
        }
        assert_eq!(std::fs::read(&file).expect("results"), damaged, "nothing is touched");
        let shown = ended(place.lethe(&["report", "out"]).output().expect("lethe starts"));
        assert!(shown.code == 0 && shown.stdout.contains("neg_grad"), "{}", shown.stderr);
        assert!(
            shown.stderr.contains("line 2: ") && shown.stderr.contains("the other rows are shown"),
            "{}",
            shown.stderr
        );
    }
    std::fs::write(&file, [&sound[..], b"{\"method\": \"cut o"].concat()).expect("written");
    place.write("out/settings.json", "nonsense");
    place.write("out/status.json", [0xff, 0]);
    let resumed = methods(&place);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.stderr.contains("line 3 breaks off after 17 bytes"), "{}", resumed.stderr);
    assert_eq!(std::fs::read(&file).expect("results"), sound);
}

#[test]
fn files_that_a_row_names_and_that_are_not_whole_are_made_again() {
    let place = Place::new();
    assert_eq!(methods(&place).code, 0);
    let before = place.rows();
    let prediction = |row: usize, field: &str| {
        place.path(&format!("out/predictions/{}.safetensors", before[row][field].as_str().expect("a name")))
    };
    let weights = place.path(&format!("out/{}", before[1]["weights"].as_str().expect("a path")));
    let (plain, kept, original) =
        (prediction(0, "predictions"), prediction(1, "predictions"), prediction(0, "original"));
    let whole = [&plain, &kept, &original, &weights].map(|file| std::fs::read(file).expect("a file"));
    let cases: [(&[&Path], &[&Path], &str); 4] = [
        (&[&plain], &[], "missing or damaged: 1 result\n"),
        (&[&kept], &[&original], "missing or damaged: 2 files of predictions\n"),
        (&[&weights], &[], "missing or damaged: 1 result\n"),
        (&[], &[&weights, &plain], "missing or damaged: 2 results\n"),
    ];
    for (missing, cut, told) in cases {
        missing.iter().for_each(|file| std::fs::remove_file(file).expect("removed"));
        for file in cut {
            let bytes = std::fs::read(file).expect("a file");
            std::fs::write(file, &bytes[..bytes.len() / 2]).expect("cut");
        }
        let resumed = methods(&place);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        assert!(resumed.stderr.contains(told), "{told} in {}", resumed.stderr);
        assert_eq!([&plain, &kept, &original, &weights].map(|file| std::fs::read(file).expect("a file")), whole);
        let metrics = |rows: &[serde_json::Value]| rows.iter().map(|row| row["metrics"].clone()).collect::<Vec<_>>();
        assert_eq!(metrics(&place.rows()), metrics(&before));
    }
    let quiet = methods(&place);
    assert!(quiet.code == 0 && !quiet.stderr.contains("computed again"), "{}", quiet.stderr);
}

/// What happens to a run folder.
type Happening = fn(&Place);

/// Lets something happen to the run folder between two rows; what the run then says, and the rows it has rescued.
fn between(happens: impl Fn(&Place)) -> (Ended, Vec<serde_json::Value>) {
    let place = Place::new();
    let child = started(&place, WAITING, &["--out", "out"]);
    wait_for(|| rows_in(&place.path("out")) == 1);
    happens(&place);
    place.write("go", "");
    let ended = finished(child);
    let entries = std::fs::read_dir(place.folder.path()).expect("entries").flatten();
    let mut rescued = vec![];
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("lethe-rescued-")) {
        let text = std::fs::read_to_string(entry.path()).expect("rows");
        rescued.extend(text.lines().map(|line| serde_json::from_str(line).expect("a row")));
        assert!(ended.stderr.contains(&*entry.file_name().to_string_lossy()), "{}", ended.stderr);
    }
    (ended, rescued)
}

#[test]
fn a_folder_that_goes_away_ends_the_run_with_a_message_and_every_row_is_kept() {
    let gone: [(&str, Happening); 4] = [
        ("deleted", |place| std::fs::remove_dir_all(place.path("out")).expect("removed")),
        ("moved away", |place| std::fs::rename(place.path("out"), place.path("elsewhere")).expect("renamed")),
        ("deleted", |place| std::fs::remove_file(place.path("out/results.jsonl")).expect("removed")),
        ("replaced", |place| {
            std::fs::rename(place.path("out"), place.path("elsewhere")).expect("renamed");
            place.write("out/results.jsonl", "{\"not\":\"ours\"}\n");
        }),
    ];
    for (told, happens) in gone {
        let (ended, rescued) = between(happens);
        assert_eq!(ended.code, 1, "{told}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("it was {told} during this run")), "{}", ended.stderr);
        assert_eq!(rescued.iter().map(|row| row["n"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    }
}

#[test]
fn a_folder_that_goes_away_after_the_last_row_is_told_and_not_made_again() {
    let place = Place::new();
    let text = "record(\"only\", #{ n: 1 }); loop { try { read_text(\"go\"); break; } catch { } }";
    let child = started(&place, text, &["--out", "out"]);
    wait_for(|| rows_in(&place.path("out")) == 1);
    std::fs::remove_dir_all(place.path("out")).expect("removed");
    place.write("go", "");
    let ended = finished(child);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("1 row is kept in"), "{}", ended.stderr);
    assert!(!place.path("out").exists());
}

#[test]
fn a_row_that_finds_no_room_is_kept_elsewhere_even_where_the_script_goes_on() {
    let place = Place::new();
    place.write(
        "script.rhai",
        "let text = \"x\"; text.pad(3000, \"y\");
         for n in 0..4 { try { record(\"long\", #{ n: n, text: text }); } catch (e) { print(e.message); } }",
    );
    let limited = format!("ulimit -f 7; exec {} run -q --out out script.rhai", env!("CARGO_BIN_EXE_lethe"));
    let output = Command::new("bash").current_dir(place.folder.path()).args(["-c", &limited]).output().expect("bash");
    let ended = ended(output);
    let kept = place.rows().len();
    assert!(ended.code == 1 && kept < 4, "{} {kept}", ended.code);
    let entries = std::fs::read_dir(place.folder.path()).expect("entries").flatten();
    let mut rescued = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("lethe-rescued-"));
    let rescued = std::fs::read_to_string(rescued.next().expect("a file").path()).expect("rows");
    assert_eq!(rescued.lines().count(), 4 - kept);
    assert!(ended.stderr.contains("it is not complete"), "{}", ended.stderr);
    let status = std::fs::read_to_string(place.path("out/status.json")).expect("a status");
    assert!(status.contains(&format!("\"rows\": {}", 4 - kept)), "{status}");
}

#[test]
fn output_that_cannot_be_written_ends_every_command_with_a_message_and_a_code() {
    let place = Place::new();
    assert_eq!(methods(&place).code, 0);
    place.write("printing.rhai", "print(\"result 0.93\");\nrecord(\"x\", #{ n: 1 });\nexit(0);\n");
    let commands = [
        "run -q --out printed printing.rhai",
        "check printing.rhai",
        "doc mmd",
        "doc --json",
        "list metrics",
        "list unlearners --json",
        "report out",
        "report out --format csv",
        "data list",
        "data path",
        "cache list",
        "cache verify",
        "cache clear",
        "doctor",
        "--version",
        "help run",
    ];
    for command in commands {
        let line = format!("exec {} {command} > /dev/full", env!("CARGO_BIN_EXE_lethe"));
        let mut shell = Command::new("bash");
        shell.current_dir(place.folder.path()).env("LETHE_CACHE", place.path("cache")).args(["-c", &line]);
        let ended = ended(shell.output().expect("bash"));
        assert_eq!(ended.code, 1, "{command}: {}", ended.stderr);
        assert!(ended.stderr.contains("the output could not be written (no space left"), "{command}: {}", ended.stderr);
    }
    assert_eq!(rows_in(&place.path("printed")), 1, "what is computed is kept");
    let lines = ["echo 1+1 | LETHE repl -q > /dev/full; echo $?", "LETHE run missing.rhai 2> /dev/full; echo $?"];
    for (line, code) in lines.iter().zip(["1\n", "2\n"]) {
        let line = line.replace("LETHE", env!("CARGO_BIN_EXE_lethe"));
        let output = Command::new("bash").current_dir(place.folder.path()).args(["-c", &line]).output().expect("bash");
        assert_eq!(String::from_utf8_lossy(&output.stdout), code, "{line}");
    }
    let piped = format!("set -o pipefail; {} doc --markdown | head -1", env!("CARGO_BIN_EXE_lethe"));
    let quiet = ended(Command::new("bash").args(["-c", &piped]).output().expect("bash"));
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""), "nobody wants to read on");
}

#[test]
fn a_repository_names_its_commit_and_starts_no_program() {
    let place = Place::new();
    let id = "0123456789012345678901234567890123456789";
    place.write(".git/HEAD", "ref: refs/heads/main\n");
    place.write(".git/refs/heads/main", format!("{id}\n"));
    std::fs::create_dir_all(place.path(".git/objects")).expect("a folder");
    let program = place.path("program.sh");
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", place.path("started").display())).expect("written");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("allowed");
    let config = "[core]\n\trepositoryformatversion = 0\n\tfsmonitor = PROGRAM\n\tsshCommand = PROGRAM\n[diff]\n\texternal = PROGRAM\n";
    place.write(".git/config", config.replace("PROGRAM", &program.display().to_string()));
    let ended = place.run_with("record(\"x\", #{ n: 1 });", &["--out", "out"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let text = std::fs::read_to_string(place.path("out/settings.json")).expect("settings");
    let settings: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(settings["git"]["commit"], id);
    assert_eq!((&settings["git"]["dirty"], &settings["git"]["untracked"][0]), (&true.into(), &"script.rhai".into()));
    assert!(!place.path("started").exists());
}

#[test]
fn scripts_write_through_links_and_never_in_the_place_of_a_pipe() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    place.write("disk/real.txt", "old");
    std::os::unix::fs::symlink("disk/real.txt", place.path("link.txt")).expect("a link");
    std::os::unix::fs::symlink("nowhere", place.path("broken.txt")).expect("a link");
    let ended = place.run(
        "write_text(\"link.txt\", \"new\");
         for path in [\"pipe\", \"broken.txt\", \"/dev/null\", \"/dev/stdout\", \".\"] {
             try { write_text(path, \"x\"); print(\"written\"); } catch (e) { print(e.message); }
             try { save_safetensors(path, #{ x: zeros([1]) }); print(\"written\"); } catch (e) { print(e.message); }
         }",
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.stdout.contains("written") && ended.stdout.contains("pipe: this is a pipe"), "{}", ended.stdout);
    assert!(ended.stdout.contains("this is a link to") && ended.stdout.contains("a device"), "{}", ended.stdout);
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&pipe.metadata().expect("there").file_type()));
    assert_eq!(std::fs::read_to_string(place.path("disk/real.txt")).expect("a text"), "new");
    assert!(place.path("link.txt").is_symlink());
}
