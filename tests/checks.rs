//! What a check finds in scripts that would run for a while before they fail, and that it finds nothing in right ones.
#![allow(clippy::expect_used)]

mod common;

use common::{Ended, Place};
use std::time::{Duration, Instant};

/// What most scripts begin with.
const START: &str = "let d = dataset(\"digits\");\nlet net = convnet(d, #{ width: 4 });\n\
                     let task = forget(net, d, #{ fraction: 0.1 });\n";

/// Lines that are wrong, each with a part of what is said about it.
const WRONG: &[(&str, &str)] = &[
    ("train(net, d.train, #{ epohcs: 1 });", "did you mean `epochs`"),
    ("train(net, d.train, #{ lr: 0 });", "`lr` must be above 0, got 0"),
    ("train(net, d.train, #{ epochs: -1 });", "`epochs` must be at least 1"),
    ("train(net, d.train, #{ epochs: 1.5 });", "`epochs` must be an integer"),
    ("train(net, d.train, #{ optimizer: \"sdg\" });", "did you mean \"sgd\""),
    ("train(net, d.train, 3);", "does not take (Net, Dataset, int)"),
    ("unlearn::run(\"scrub\", task, #{ lr: 0.1, foo: 1 });", "unknown option `foo` for scrub"),
    ("unlearn::run(\"scrub\", task, #{ lr: 0 });", "`lr` must be above 0"),
    ("let m = \"scurb\"; unlearn::run(m, task, #{ epochs: 1 });", "did you mean \"scrub\""),
    ("for m in [\"scrub\", \"finetun\"] { unlearn::run(m, task, #{ epochs: 1 }); }", "did you mean \"finetune\""),
    ("let o = #{ epochs: 1, fo: 1 }; unlearn::run(\"scrub\", task, o);", "unknown option `fo`"),
    (
        "fn own(task, opt) { let o = options(opt, #{ a: count(1) }); task.model() }\nunlearn::run(own, task, #{ a: 0 });",
        "`a` must be",
    ),
    ("task.reduce(#{ method: \"blen\" });", "did you mean \"blend\""),
    ("task.reduce(#{ method: \"blend\", per_clas: 3 });", "did you mean `per_class`"),
    ("forget(net, d, #{ mode: \"class\" });", "did you mean \"classwise\""),
    ("let x = d.trian;", "Data has no property `trian`"),
    ("let x = task.retian.len;", "did you mean `retain`"),
    ("let x = randn(\"abc\");", "shape is string, not array or int"),
    ("let c = convnet(\"a\");", "does not take (string)"),
    ("let x = ones([2]).mean(#{ dim: 0 });", "an argument of its own"),
    ("let x = load_task(\"digits/cnn\");", "there is no model \"cnn\""),
    ("let x = dataset(\"digts\");", "did you mean \"digits\""),
    ("samples_from(\"nowhere.txt\");", "there is no file or folder \"nowhere.txt\""),
    ("load(net, \"nowhere.safetensors\");", "there is no file or folder"),
    ("import \"unlearn\" as u;", "did you mean \"std/unlearn\""),
    ("fn sq(x) { x * x }\nprint(sq(\"a\", 2));", "exists: sq(x), a function of this script"),
    ("let k = 3;\nfn scaled(x) { x * k }\nprint(scaled(2));", "functions see their parameters"),
    ("for (k, v) in #{ a: 1 } { print(k); }", "map.keys()"),
    ("let a = (0..5).map(|x| x);", "a range has no `map`"),
    ("for b in d.train { print(b); }", "batches(64)"),
    ("let x = None;", "nothing is written ()"),
    ("let x = ones([2]).size();", "x.shape"),
    ("let s = f\"a {x}\";", "${x}"),
    ("let m = net.mean(dim=0);", "argument of its own"),
];

/// Scripts that look like mistakes and are none.
const RIGHT: &[&str] = &[
    "write_text(\"made.txt\", \"1\");\nlet s = samples_from(\"made.txt\");",
    "let name = arg(\"method\", \"scrub\");\nif false { unlearn::run(name, task, #{ epochs: 1 }); }",
    "try { load_npy(\"nowhere.npy\"); } catch { }",
    "let failed = false;\ntry { train(net, d.train, #{ lr: 0 }); } catch { failed = true; }\nassert(failed);",
    "let x = 1;\nx = ones([2]);\nprint(x.shape);",
    "let m = \"scrub\";\nm = \"own\";\nif false { unlearn::run(m, task); }",
    "fn load_own(f) { f.call() }\nload_own(|| 1);",
    "let o = #{ epochs: 1 };\no.lr = 0.1;\nif false { train(net, d.train, o); }",
    "let and_so = 1;\nlet is_done = [1, 2].len() > and_so;\nprint(is_done);",
    "print(\"a\", 1, [2], ones([1]));\nprint();",
    "let a = [3, 1];\nprint(a.sum(), [1.5].len(), \"a\".len(), max(1, 2), 2.0.exp());",
    "for key in #{ a: 1 }.keys() { print(key); }",
];

fn check(text: &str) -> Ended {
    let place = Place::new();
    place.write("script.rhai", text);
    common::ended(place.lethe(&["check", "script.rhai"]).output().expect("lethe starts"))
}

#[test]
fn what_can_be_known_is_found_and_explained() {
    for (line, said) in WRONG {
        let ended = check(&format!("{START}{line}\n"));
        assert_eq!(ended.code, 2, "{line}\n{}", ended.stdout);
        assert!(ended.stdout.contains(said), "{line}\n{}", ended.stdout);
        assert!(ended.stdout.contains("--> script.rhai:"), "{line}\n{}", ended.stdout);
    }
}

#[test]
fn right_scripts_raise_nothing() {
    for text in RIGHT {
        let ended = check(&format!("{START}{text}\n"));
        assert!(ended.stdout.contains("no findings"), "{text}\n{}", ended.stdout);
    }
}

#[test]
fn the_scripts_of_the_project_raise_nothing() {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders: Vec<String> =
        ["examples", "scripts", "tests/scripts"].iter().map(|one| format!("{root}/{one}")).collect();
    let mut all = vec!["check", "--quiet"];
    all.extend(folders.iter().map(String::as_str));
    let place = Place::new();
    let ended = common::ended(place.lethe(&all).current_dir(root).output().expect("lethe starts"));
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
}

#[test]
fn a_run_with_a_finding_does_not_begin() {
    let place = Place::new();
    let ended = place.run("write_text(\"begun.txt\", \"x\");\nlet d = dataset(\"digits\");\nprint(d.trian);");
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(!place.path("begun.txt").exists());
}

#[test]
fn a_folder_is_checked_with_all_below_it() {
    let place = Place::new();
    place.write("all/a.rhai", "let a = 1;");
    place.write("all/deep/b.rhai", "nothing_such();");
    place.write("empty/note.txt", "x");
    let ended = common::ended(place.lethe(&["check", "all"]).output().expect("lethe starts"));
    assert_eq!(ended.code, 2);
    assert!(ended.stdout.contains("all/a.rhai: no findings") && ended.stdout.contains("all/deep/b.rhai:1:1"));
    let ended = common::ended(place.lethe(&["check", "empty"]).output().expect("lethe starts"));
    assert!(ended.code == 2 && ended.stderr.contains("there is no script"), "{}", ended.stderr);
}

#[test]
fn tens_of_thousands_of_lines_are_checked_in_linear_time() {
    let text = |n: usize| (0..n).map(|i| format!("let x{i} = {i};\n")).collect::<String>();
    let place = Place::new();
    place.write("long.rhai", text(50_000));
    let start = Instant::now();
    let ended = common::ended(place.lethe(&["check", "long.rhai"]).output().expect("lethe starts"));
    assert!(ended.stdout.contains("no findings"), "{}", ended.stdout);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn codes_are_printed_listed_and_explained() {
    let place = Place::new();
    let run = |arguments: &[&str]| common::ended(place.lethe(arguments).output().expect("lethe starts"));
    assert!(check("let x = rnadn([2]);").stdout.starts_with("error[E0101]: unknown function `rnadn`"));
    let all = run(&["explain"]);
    assert!(all.code == 0 && all.stdout.lines().count() > 25, "{}", all.stdout);
    let one = run(&["explain", "e0201"]);
    assert!(one.code == 0 && one.stdout.contains("Wrong:") && one.stdout.contains("widht"), "{}", one.stdout);
    let none = run(&["explain", "E201"]);
    assert!(none.code == 2 && none.stderr.contains("E0201"), "{}", none.stderr);
}

#[test]
fn print_takes_several_values() {
    let ended = Place::new().run("print(\"loss\", 0.5, [1, 2]);\nprint();\nprint(1);");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "loss 0.5 [1, 2]\n\n1\n"), "{}", ended.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_folder_that_takes_no_files_is_refused_before_anything_runs() {
    let place = Place::new();
    place.write("file", "x");
    for out in ["/proc/lethe/out", "file/out"] {
        let ended = place.run_with("write_text(\"begun.txt\", \"x\");", &["--out", out]);
        assert_eq!(ended.code, 2, "{out}: {}", ended.stderr);
        assert!(ended.stderr.contains("--out") && !place.path("begun.txt").exists(), "{}", ended.stderr);
    }
}
