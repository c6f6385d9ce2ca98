//! What a resumed run takes from its folder, what it does not, and why; and the results of several folders put together.

#![allow(clippy::expect_used)]

mod common;

use common::{Ended, Place};
use serde_json::Value;

/// A task of digits within a second.
const TASK: &str = "let task = load_task(\"digits/convnet\", #{ fraction: 0.2, per_class: 10, original: #{ width: 4, depth: 1, epochs: 1 } });\n";

/// Runs a script in the folder `out`, going on where it stopped.
fn go_on(place: &Place, script: &str, more: &[&str]) -> Ended {
    let threads: &[&str] = if more.contains(&"--threads") { &[] } else { &["--threads", "1"] };
    let ended = place.run_with(&format!("{TASK}{script}"), &[&["--out", "out", "--resume"], threads, more].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

fn superseded(row: &Value) -> bool {
    row["superseded"] == true
}

/// How many rows there are, and how many of them are superseded.
fn counts(place: &Place) -> (usize, usize) {
    let rows = place.rows();
    (rows.len(), rows.iter().filter(|row| superseded(row)).count())
}

fn report(place: &Place, arguments: &[&str]) -> Ended {
    let ended = common::ended(place.lethe(&[&["report"], arguments].concat()).output().expect("lethe starts"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

/// The rows of the first leaderboard of these folders.
fn reported(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let ended = report(place, &[arguments, &["--format", "json"]].concat());
    let boards: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    boards[0]["rows"].as_array().expect("rows").clone()
}

const MINE: &str = "fn mine(task, opt) { let o = options(opt, #{ lr: 0.1 }); h::touch(task.model()) }\n\
                    unlearn::run(mine, task);\n";

#[test]
fn a_changed_import_however_far_is_noticed_and_a_changed_comment_is_not() {
    let place = Place::new();
    place.write("deep.rhai", "fn depth() { 1 }");
    place.write("helper.rhai", "import \"deep\" as d;\nfn touch(net) { d::depth(); net }");
    let script = format!("import \"helper\" as h;\n{MINE}");
    go_on(&place, &script, &[]);
    go_on(&place, &script, &[]);
    place.write("deep.rhai", "// Now with a word.\nfn depth()\n{ 1 }");
    let same = go_on(&place, &format!("let unrelated = 1;\n{script}print(\"more\");"), &[]);
    assert_eq!((counts(&place), same.stderr.contains("not used by this script")), ((1, 0), false), "{}", same.stderr);
    place.write("deep.rhai", "fn depth() { 2 }");
    let changed = go_on(&place, &script, &[]);
    assert!(
        changed.stderr.contains("mine is run again, its earlier row is out of date: import deep changed"),
        "{}",
        changed.stderr
    );
    assert!(
        changed.stderr.contains("1 row of the earlier run is not used by this script any more"),
        "{}",
        changed.stderr
    );
    let rows = place.rows();
    assert_eq!((counts(&place), superseded(&rows[0]), superseded(&rows[1])), ((2, 1), true, false));
    assert_ne!(rows[0]["key"], rows[1]["key"]);
    assert!(rows[1]["key_parts"]["method"]["imports"]["deep"].is_string(), "{}", rows[1]["key_parts"]);
    // Boards count what the script asks for, and say what they leave out.
    let told = report(&place, &["out"]);
    assert!(told.stderr.contains("1 superseded result is left out"), "{}", told.stderr);
    assert_eq!((reported(&place, &["out"]).len(), reported(&place, &["out", "--superseded"]).len()), (1, 2));
    // Back to what it was: the old row counts again, the other does not.
    place.write("deep.rhai", "fn depth() { 1 }");
    go_on(&place, &script, &[]);
    let rows = place.rows();
    assert_eq!((counts(&place), superseded(&rows[0]), superseded(&rows[1])), ((2, 1), false, true));
}

#[test]
fn closures_are_known_again_in_another_process_by_their_text_and_what_they_captured() {
    let place = Place::new();
    let script = "let k = arg(\"k\", 1);\nlet list = [k, #{ net: task.original, t: ones([2]) * k }];\n\
                  unlearn::run(|task, opt| { let x = list; task.model() }, task, #{ name: \"c\" });\n\
                  unlearn::run(|task, opt| task.model(), task, #{ name: \"d\" });\n";
    go_on(&place, script, &[]);
    let row = place.rows().remove(0);
    let text = row["key_parts"].to_string();
    assert!(!text.contains("anon$") && text.contains("\"captured\":{\"list\""), "{text}");
    let again = go_on(&place, &format!("let unrelated = 1;\n\n{script}"), &[]);
    assert_eq!((counts(&place), again.stderr.contains("not used by this script")), ((2, 0), false), "{}", again.stderr);
    let other = go_on(&place, script, &["--set", "k=2"]);
    assert!(other.stderr.contains("captured list"), "{}", other.stderr);
    assert_eq!(counts(&place), (3, 1));
    go_on(&place, &script.replace("task.model(), task", "task.new_model(), task"), &["--set", "k=2"]);
    assert_eq!(counts(&place), (4, 2));
}

#[test]
fn functions_that_are_called_constants_and_script_arguments_decide_a_row() {
    let place = Place::new();
    let script = "const K = 1;\nconst UNUSED = 1;\nfn help() { global::K + arg(\"n\", 1) }\nfn other() { 1 }\n\
                  fn mine(task, opt) { help(); task.model() }\nunlearn::run(mine, task);\n";
    let mut rows = 1;
    go_on(&place, script, &[]);
    for (old, new, decides) in [
        ("UNUSED = 1", "UNUSED = 2", false),
        ("other() { 1 }", "other() { 2 }", false),
        ("K = 1", "K = 2", true),
        ("+ arg", "- arg", true),
        ("help();", "help(); help();", true),
    ] {
        go_on(&place, &script.replace(old, new), &[]);
        rows += usize::from(decides);
        assert_eq!(counts(&place).0, rows, "{new}");
    }
    go_on(&place, script, &["--set", "n=2"]);
    assert_eq!(counts(&place), (rows + 1, rows));
    go_on(&place, script, &["--set", "n=2"]);
    assert_eq!(counts(&place), (rows + 1, rows));
}

#[test]
fn functions_and_tensors_among_options_count_by_what_they_are() {
    let place = Place::new();
    let script = "unlearn::run(\"acf\", task, #{ epochs: 1, regularizer: |net, task, n, o| net.forward(task.forget.x).mean() * 0.0 });\n\
                  fn mine(task, opt) { let o = options(opt, #{ w: (), f: () }); task.model() }\n\
                  unlearn::run(mine, task, #{ w: tensor([1.0, 2.0]), f: |x| x + 1 });\n";
    go_on(&place, script, &[]);
    go_on(&place, script, &[]);
    assert_eq!(counts(&place), (2, 0));
    go_on(&place, &script.replace("* 0.0", "* 1.0"), &[]);
    assert_eq!(counts(&place), (3, 1));
    go_on(&place, &script.replace("2.0]", "3.0]"), &[]);
    assert_eq!(counts(&place).0, 4);
    go_on(&place, &script.replace("x + 1", "x + 2"), &[]);
    assert_eq!(counts(&place).0, 5);
}

#[test]
fn a_method_that_another_script_runs_counts_with_its_own_text() {
    let place = Place::new();
    place.write("runner.rhai", "fn start(method, task) { unlearn::run(method, task) }");
    let script = "import \"runner\" as r;\nfn mine(task, opt) { task.model() }\nr::start(mine, task);\n";
    go_on(&place, script, &[]);
    go_on(&place, script, &[]);
    assert_eq!(counts(&place), (1, 0));
    go_on(&place, &script.replace("task.model() }", "task.new_model() }"), &[]);
    assert_eq!(counts(&place), (2, 1));
    // A method in a file of its own, and what that imports.
    place.write("file.rhai", "import \"part\" as p;\nfn file(task, opt) { p::net(task) }");
    place.write("part.rhai", "fn net(task) { task.model() }");
    go_on(&place, "unlearn::run(\"file\", task);", &[]);
    place.write("part.rhai", "fn net(task) { task.new_model() }");
    let changed = go_on(&place, "unlearn::run(\"file\", task);", &[]);
    assert!(changed.stderr.contains("import part changed"), "{}", changed.stderr);
}

#[test]
fn the_machine_decides_and_what_changed_is_said() {
    let place = Place::new();
    let script = "unlearn::run(\"finetune\", task, #{ epochs: 1 });\nrecord(\"note\", #{ x: arg(\"x\", 1) });\n";
    go_on(&place, script, &["--threads", "1"]);
    let parts = place.rows()[0]["key_parts"].clone();
    for name in [
        "method",
        "options",
        "data",
        "original",
        "split",
        "seeds",
        "device",
        "threads",
        "precision",
        "lethe",
        "libtorch",
        "revision",
    ] {
        assert!(!parts[name].is_null(), "{name} in {parts}");
    }
    let other = go_on(&place, script, &["--threads", "2"]);
    assert!(other.stderr.contains("threads 1 -> 2"), "{}", other.stderr);
    // The note is word for word the same.
    assert_eq!(counts(&place), (3, 1));
    go_on(&place, script, &["--threads", "2", "--set", "x=2"]);
    assert_eq!(counts(&place), (4, 2));
}

#[test]
fn a_run_that_is_stopped_marks_what_it_has_replaced_and_nothing_else() {
    let place = Place::new();
    place.write("helper.rhai", "fn touch(net) { net }");
    let script = format!("import \"helper\" as h;\n{MINE}unlearn::run(\"finetune\", task, #{{ epochs: 1 }});\n");
    go_on(&place, &script, &[]);
    place.write("helper.rhai", "fn touch(net) { net.copy() }");
    let stopped = format!(
        "{TASK}{}",
        script.replace("unlearn::run(\"finetune\"", "throw \"power cut\"; unlearn::run(\"finetune\"")
    );
    assert_eq!(place.run_with(&stopped, &["--out", "out", "--resume", "--threads", "1"]).code, 1);
    let rows = place.rows();
    assert_eq!((counts(&place), superseded(&rows[0]), rows[1]["method"] == "finetune"), ((3, 1), true, true));
    go_on(&place, &script, &[]);
    assert_eq!(counts(&place), (3, 1));
}

#[test]
fn what_cannot_be_identified_is_run_again_and_that_is_said_once() {
    let place = Place::new();
    let script = "let net = task.model(); let o = sgd(net, #{ lr: 0.1 });\n\
                  for i in 0..2 { unlearn::run(|task, opt| { let x = o; task.model() }, task, #{ name: \"c\", seed: i }); }\n";
    let first = go_on(&place, script, &[]);
    assert_eq!(first.stderr.matches("--resume will not reuse the rows of").count(), 1, "{}", first.stderr);
    assert!(first.stderr.contains("(captured.o: ") || first.stderr.contains("o: "), "{}", first.stderr);
    go_on(&place, script, &[]);
    assert_eq!(counts(&place), (2, 0), "replaced, not doubled");
}

#[test]
fn rows_of_earlier_versions_stay_readable_and_are_not_reused() {
    let place = Place::new();
    let script = "unlearn::run(\"finetune\", task, #{ epochs: 1 });\n";
    go_on(&place, script, &[]);
    let mut row = place.rows().remove(0);
    let fields = row.as_object_mut().expect("a row");
    fields.remove("key_parts");
    fields.insert("key".into(), "5f0c21aa5f0c21aa".into());
    place.write("out/results.jsonl", format!("{row}\n"));
    assert_eq!(reported(&place, &["out"]).len(), 1);
    let ended = go_on(&place, script, &[]);
    assert!(ended.stderr.contains("cannot be reused") && ended.stderr.contains("no key_parts"), "{}", ended.stderr);
    assert_eq!((counts(&place), superseded(&place.rows()[0])), ((2, 1), true));
}

#[test]
fn reports_of_several_folders_have_every_result_once_in_any_order() {
    let place = Place::new();
    let script = format!(
        "{}unlearn::run(\"finetune\", task, #{{ epochs: 1, lr: arg(\"lr\", 0.1) }});\n",
        TASK.replace("fraction: 0.2", "fraction: 0.2, seed: arg(\"split\", 0)")
    );
    let sweep = [("a", "0.01", "0"), ("b", "0.04", "0"), ("c", "0.01", "1"), ("d", "0.04", "1")];
    for (folder, lr, split) in sweep {
        let (lr, split) = (format!("lr={lr}"), format!("split={split}"));
        let ended = place.run_with(&script, &["--out", folder, "--threads", "1", "--set", &lr, "--set", &split]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    let names = |table: &str| {
        let mut names: Vec<String> = table
            .lines()
            .filter(|line| line.starts_with("| finetune"))
            .map(|line| line.split('|').nth(1).expect("a cell").trim().to_string())
            .collect();
        names.sort();
        names.dedup();
        names
    };
    for order in [["a", "b", "c", "d"], ["d", "c", "b", "a"]] {
        let markdown = report(&place, &[&order[..], &["--format", "markdown"]].concat());
        let expected = ["finetune (lr=0.01) (n=2)", "finetune (lr=0.04) (n=2)"];
        assert_eq!(names(&markdown.stdout), expected, "{}", markdown.stdout);
        assert!(!markdown.stderr.contains("same result"), "{}", markdown.stderr);
        let csv = report(&place, &[&order[..], &["--format", "csv"]].concat()).stdout;
        assert_eq!(csv.lines().filter(|line| line.contains("finetune")).count(), 4, "{csv}");
        assert_eq!(reported(&place, &order).len(), 4);
    }
    // A copy of a folder adds nothing, and is named; a folder given twice is read once.
    std::fs::create_dir_all(place.path("copy")).expect("folder");
    std::fs::copy(place.path("a/results.jsonl"), place.path("copy/results.jsonl")).expect("copied");
    for order in [["a", "copy", "b"], ["copy", "b", "a"]] {
        let told = report(&place, &order);
        assert!(
            told.stderr.contains("a and copy both have the same result, counted once: finetune (split seed 0, seed 0)"),
            "{}",
            told.stderr
        );
        assert_eq!(reported(&place, &order).len(), 2);
    }
    assert!(report(&place, &["a", "./a"]).stderr.contains("given more than once"));
    // A result that failed gives way to the same one that is complete.
    let text = std::fs::read_to_string(place.path("a/results.jsonl")).expect("results");
    let mut row: Value = serde_json::from_str(&text).expect("a row");
    row["status"] = "interrupted".into();
    row["metrics"] = Value::Null;
    place.write("copy/results.jsonl", format!("{row}\n"));
    for order in [["a", "copy"], ["copy", "a"]] {
        let rows = reported(&place, &order);
        assert_eq!((rows.len(), &rows[0]["status"]), (1, &"ok".into()));
    }
}

#[test]
fn weights_of_two_orders_never_share_a_file() {
    let place = Place::new();
    let script = "let r = unlearn::run(\"finetune\", task, #{ epochs: 1, lr: arg(\"lr\", 0.1), weights: true }); print(r.net.weights_hash());";
    let first = go_on(&place, script, &[]);
    let other = go_on(&place, script, &["--set", "lr=0.2"]);
    assert_ne!(first.stdout, other.stdout);
    assert_eq!(go_on(&place, script, &[]).stdout, first.stdout, "the first one's weights are still its own");
    assert_eq!(counts(&place), (2, 1));
}
