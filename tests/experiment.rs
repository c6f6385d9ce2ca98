//! Running methods from the outside: caches, rows, methods in files of their own, places in errors.

// Helpers of tests may stop them.
#![allow(clippy::expect_used)]

mod common;
use common::{Ended, Place};
use serde_json::Value;

const SMALL: &str =
    "let task = load_task(\"digits/convnet\", #{ fraction: 0.2, original: #{ width: 4, depth: 1, epochs: 1 } });\n";

fn rows(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path("out/results.jsonl")).expect("results");
    text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

fn run(place: &Place, script: &str) -> Ended {
    let _ = std::fs::remove_dir_all(place.path("out"));
    place.run_with(&format!("{SMALL}{script}"), &["--out", "out"])
}

fn cached(place: &Place) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(place.path("cache/models")).expect("the cache's folder");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("entry").path()).collect();
    files.sort();
    files
}

#[test]
fn originals_and_references_come_from_the_cache_the_second_time_and_damage_is_noticed() {
    let place = Place::new();
    let script = "unlearn::run(\"retrain\", task); print(task.original.weights_hash());";
    let first = run(&place, script);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let trained = rows(&place).remove(0);
    assert!(trained["options"]["cached"].is_null(), "{trained}");
    let second = run(&place, script);
    let taken = rows(&place).remove(0);
    assert_eq!(taken["options"]["cached"], true, "{taken}");
    assert_eq!(
        (&taken["metrics"], &taken["seconds"]["unlearn"]),
        (&trained["metrics"], &trained["seconds"]["unlearn"])
    );
    assert_eq!(first.stdout, second.stdout);
    let files = cached(&place);
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        let mut bytes = std::fs::read(file).expect("bytes");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(file, bytes).expect("damage");
    }
    let third = run(&place, script);
    assert_eq!((third.code, &third.stdout), (0, &first.stdout), "{}", third.stderr);
    assert_eq!(third.stderr.matches("is not used and will be replaced").count(), 2, "{}", third.stderr);
    std::fs::write(&files[0], b"short").expect("damage");
    assert_eq!(run(&place, script).stdout, first.stdout);
    assert_eq!(run(&place, script).stderr.matches("replaced").count(), 0);
}

#[test]
fn options_of_its_own_keep_a_retraining_out_of_the_cache() {
    let place = Place::new();
    assert_eq!(run(&place, "unlearn::run(\"retrain\", task, #{ epochs: 1 });").code, 0);
    assert_eq!(cached(&place).len(), 1);
}

#[test]
fn a_method_in_a_file_is_found_by_its_name_and_its_errors_name_the_file() {
    let place = Place::new();
    place.write("mine.rhai", "const RATE = 0.01;\nfn mine(task, opt) {\n    let o = options(opt, #{ lr: positive(global::RATE) });\n    task.model()\n}\n");
    place.write("more/deep.rhai", "fn deep(task, opt) {\n    task.modle()\n}\n");
    let ended = run(&place, "print(unlearn::run(\"mine\", task).options.lr);");
    assert_eq!((ended.code, ended.stdout.trim()), (0, "0.01"), "{}", ended.stderr);
    let ended = run(&place, "unlearn::run(\"more/deep\", task);");
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("more/deep.rhai:2"), "{}", ended.stderr);
    let ended = run(&place, "unlearn::run(\"script\", task);");
    assert!(ended.stderr.contains("has no function `script(task, opt)`"), "{}", ended.stderr);
}

#[test]
fn an_error_inside_a_built_in_method_shows_its_line_and_the_callers() {
    let place = Place::new();
    let ended = run(&place, "unlearn::run(\"unsir\", task);");
    assert_eq!(ended.code, 1);
    for word in ["it forgets whole classes", "std/unlearn/unsir.rhai:", "script.rhai:2"] {
        assert!(ended.stderr.contains(word), "no {word:?} in\n{}", ended.stderr);
    }
}

#[test]
fn an_option_that_a_built_in_method_refuses_is_shown_where_it_was_given() {
    let place = Place::new();
    let ended = run(&place, "let rates = [0]; unlearn::run(\"finetune\", task, #{ lr: rates[0] });");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("`lr` must be above 0, got 0"), "{}", ended.stderr);
    assert!(ended.stderr.contains("script.rhai:2:52"), "{}", ended.stderr);
    let row = rows(&place).remove(0);
    assert_eq!((&row["status"], &row["metrics"]), (&"failed".into(), &Value::Null), "{row}");
    assert!(row["error"].as_str().is_some_and(|text| text.contains("above 0")), "{row}");
}

#[test]
fn rows_have_exactly_the_agreed_fields() {
    let place = Place::new();
    let ended = run(
        &place,
        "unlearn::run(\"acf\", task.reduce(#{ width: 4, per_class: 30 }), #{ weights: true, every: \"epoch\" });",
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let row = rows(&place).remove(0);
    let fields: Vec<&str> = row.as_object().expect("an object").keys().map(String::as_str).collect();
    let agreed = "run_id method label variant accelerated dataset model split_id seeds retain options metrics seconds peak_memory status key key_parts request original";
    assert_eq!(fields, agreed.split(' ').chain(["history", "weights", "predictions"]).collect::<Vec<_>>());
    assert_eq!((&row["retain"]["kind"], &row["retain"]["per_class"]), (&"blend".into(), &30.into()));
    let seconds = |stage: &str| row["seconds"][stage].as_f64().expect("seconds");
    assert!(["cluster", "condense", "unlearn", "evaluate"].map(seconds).iter().all(|s| *s > 0.0), "{row}");
    assert!(place.path("out").join(row["weights"].as_str().expect("path")).exists());
    assert!(place.path("out").join(row["history"][0]["weights"].as_str().expect("path")).exists());
}

#[test]
fn the_reference_variant_takes_its_own_split_and_values() {
    let place = Place::new();
    let script = "let d = dataset(\"digits\");\n\
                  let t = forget(task.original, d, #{ fraction: 0.2, variant: \"reference\" });\n\
                  assert(t.unseen.len() == 350 && t.test.len() == 150 && t.split_id != task.split_id);\n\
                  let r = unlearn::run(\"acf\", t);\n\
                  assert(r.variant == \"reference\" && r.options.lr == 0.00024);\n\
                  let r = unlearn::run(\"scrub\", task, #{ variant: \"reference\", epochs: 1 });\n\
                  assert(r.options.forget_scale == 0.2 && r.options.forget_passes == 6);";
    let ended = run(&place, script);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

/// Two methods, one of a script's own, then whatever comes last.
fn three(last: &str) -> String {
    format!(
        "{SMALL}fn mine(task, opt) {{ let o = options(opt, #{{ lr: 0.1 }}); task.model() }}\n\
         let a = unlearn::run(\"retrain\", task, #{{ epochs: 1 }});\n\
         let b = unlearn::run(mine, task, #{{ lr: 0.2, weights: true }});\n\
         record(\"note\", #{{ x: 1 }});\n\
         {last}\n\
         let c = unlearn::run(\"finetune\", task, #{{ epochs: 1 }});\n\
         print(`${{c.gaps.tow}} ${{b.net.weights_hash() == task.original.weights_hash()}}`);\n"
    )
}

#[test]
fn a_resumed_run_takes_what_is_finished_and_repeats_the_rest() {
    let place = Place::new();
    let whole = place.run_with(&three(""), &["--out", "whole"]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let stopped = place.run_with(&three("throw \"power cut\";"), &["--out", "out"]);
    assert_eq!(stopped.code, 1);
    // A crash in the middle of a line.
    let file = place.path("out/results.jsonl");
    let text = std::fs::read_to_string(&file).expect("results");
    std::fs::write(&file, format!("{text}{{\"run_id\":\"0003-fi")).expect("written");
    let refused = place.run_with(&three(""), &["--out", "out"]);
    assert!(refused.code == 2 && refused.stderr.contains("not empty"), "{}", refused.stderr);
    // Another last line of the script decides nothing.
    let resumed = place.run_with(&three(""), &["--out", "out", "--resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_eq!(resumed.stdout, whole.stdout);
    let again = place.run_with(&three(""), &["--out", "out", "--resume"]);
    assert_eq!((again.code, again.stdout), (0, resumed.stdout), "{}", again.stderr);
    let strip = |mut row: Value| {
        let fields = row.as_object_mut().expect("a row");
        ["seconds", "peak_memory"].iter().for_each(|key| drop(fields.remove(*key)));
        row
    };
    let all = |folder: &str| common::read_rows(&place.path(folder)).into_iter().map(strip).collect::<Vec<_>>();
    let (first, second) = (all("whole"), all("out"));
    assert_eq!(first.len(), 4);
    for row in &first {
        assert_eq!(second.iter().filter(|other| *other == row).count(), 1, "{row}");
    }
    let status = std::fs::read_to_string(place.path("out/status.json")).expect("status");
    assert!(status.contains("finished"), "{status}");
}

#[test]
fn a_result_without_kept_weights_says_so_when_its_net_is_asked_for() {
    let place = Place::new();
    let script =
        format!("{SMALL}let r = unlearn::run(\"finetune\", task, #{{ epochs: 1 }}); print(r.net.parameter_count());");
    assert_eq!(place.run_with(&script, &["--out", "out"]).code, 0);
    let ended = place.run_with(&script, &["--out", "out", "--resume"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("its row is of an earlier run") && ended.stderr.contains("weights: true"),
        "{}",
        ended.stderr
    );
    let usage = place.run_with(&script, &["--resume"]);
    assert!(usage.code == 2 && usage.stderr.contains("--out"), "{}", usage.stderr);
}

#[test]
fn a_search_asks_a_method_in_a_file_for_its_options_before_anything_is_trained() {
    let place = Place::new();
    let method =
        "fn mine(task, opt) { let o = options(opt, #{ epochs: count(3), lr: positive(0.1) }); task.model() }\n";
    place.write("mine.rhai", method);
    let search = |space: &str| {
        format!(
            "unlearn::run(\"retrain\", task);\nlet found = tune(\"mine\", task, {space}, #{{ trials: 3 }});\nprint(found.gap);"
        )
    };
    let wrong = run(&place, &search("#{ epocs: #{ whole: [1, 3] } }"));
    assert_eq!(wrong.code, 1, "{}", wrong.stderr);
    for part in
        ["tune: unknown option `epocs` for mine", "did you mean `epochs`?", "script.rhai:3:35", "lr (number, 0.1)"]
    {
        assert!(wrong.stderr.contains(part), "{part}: {}", wrong.stderr);
    }
    assert_eq!(rows(&place).len(), 1, "no trial began");
    let right = search("#{ epochs: #{ whole: [1, 3] } }");
    let whole = run(&place, &right);
    assert_eq!((whole.code, rows(&place).len()), (0, 4), "{}", whole.stderr);
    let again = place.run_with(&format!("{SMALL}{right}"), &["--out", "out", "--resume"]);
    assert_eq!((again.code, &again.stdout), (0, &whole.stdout), "{}", again.stderr);
    assert_eq!(rows(&place).len(), 4, "a resumed search takes its trials from the folder");
}
