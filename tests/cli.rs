//! What the command line promises: help, exit codes, arguments, run folders, lists, interrupts.

#![allow(clippy::expect_used)]

mod common;

use common::{Ended, Place};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn lethe(arguments: &[&str]) -> Ended {
    common::ended(Place::new().lethe(arguments).output().expect("lethe starts"))
}

/// The only folder below `runs/`.
fn run_folder(place: &Place) -> PathBuf {
    let mut folders: Vec<_> =
        std::fs::read_dir(place.path("runs")).expect("runs").flatten().map(|e| e.path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders.remove(0)
}

fn json(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("the file is there")).expect("JSON")
}

#[test]
fn help_names_every_command_and_shows_examples() {
    let help = lethe(&["--help"]);
    assert_eq!(help.code, 0);
    for word in ["run", "repl", "check", "doc", "list", "cache", "doctor", "Examples:", "Exit codes"] {
        assert!(help.stdout.contains(word), "{word} in\n{}", help.stdout);
    }
    for option in ["--set", "--seed", "--threads", "--device", "--out", "--quiet", "--color"] {
        assert!(lethe(&["run", "--help"]).stdout.contains(option), "{option}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &["run"] as &[&str],
        &["runn", "x.rhai"],
        &["run", "x.rhai", "--seed", "-1"],
        &["run", "x.rhai", "--threads", "0"],
        &["run", "x.rhai", "--set", "epochs"],
        &["run", "nowhere.rhai"],
        &["check", "nowhere.rhai"],
        &["list", "things"],
    ] {
        let ended = lethe(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("error"), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn scripts_come_from_files_and_from_standard_input() {
    let place = Place::new();
    assert_eq!(place.run("print(40 + 2);").stdout, "42\n");
    let ended = common::ended(
        place.lethe(&["run", "--device", "cpu", "-"]).write_stdin("print(6 * 7);").output().expect("starts"),
    );
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "42\n"), "{}", ended.stderr);
}

#[test]
fn an_argument_is_typed_by_its_default() {
    let place = Place::new();
    let script = "print(arg(\"epochs\", 10) + 1); print(arg(\"lr\", 0.1)); print(arg(\"name\", \"a\")); print(arg(\"sizes\", [1]).len());";
    assert_eq!(place.run(script).stdout, "11\n0.1\na\n1\n");
    let given = ["--set", "epochs=20", "--set", "lr=1", "--set", "name=7", "--set", "sizes=[1, 2, 3]"];
    assert_eq!(place.run_with(script, &given).stdout, "21\n1.0\n7\n3\n");
    let wrong = place.run_with(script, &["--set", "epochs=many"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""), "nothing has run");
    assert!(wrong.stderr.contains("epochs=many is not an integer (the default is 10)"), "{}", wrong.stderr);
}

#[test]
fn a_value_that_only_a_computed_default_refuses_is_the_command_lines_fault_too() {
    let place = Place::new();
    let ended = place.run_with("print(1); let n = 2; print(arg(\"epochs\", n * 5));", &["--set", "epochs=many"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, "1\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("epochs=many is not an integer (the default is 10)"), "{}", ended.stderr);
    assert!(ended.stderr.contains("script.rhai:1:"), "{}", ended.stderr);
}

#[test]
fn exit_ends_the_script_with_its_code_wherever_it_is_called() {
    let place = Place::new();
    let code = |script: &str| {
        let ended = place.run(script);
        assert_eq!(ended.stderr, "", "{script}");
        assert_eq!(ended.stdout, "before\n", "{script}");
        ended.code
    };
    assert_eq!(code("print(\"before\"); exit(3); print(\"after\");"), 3);
    assert_eq!(code("print(\"before\"); exit(); print(\"after\");"), 0);
    assert_eq!(code("print(\"before\"); fn f(n) { if n == 0 { exit(255); } f(n - 1) } f(5); print(\"after\");"), 255);
    assert_eq!(code("print(\"before\"); try { exit(4); } catch { } print(\"after\");"), 4);
    assert_eq!(code("print(\"before\"); [1, 2].map(|x| exit(x + 5)); print(\"after\");"), 6);
    assert_eq!(code("print(\"before\"); eval(\"exit(9)\"); print(\"after\");"), 9);
    let called_back = "print(\"before\"); let net = network(#{ inner: nn::linear(2, 2) }, |m, x| exit(7));\n\
        net.forward(ones([1, 2])); print(\"after\");";
    assert_eq!(code(called_back), 7);
    for (given, words) in
        [("256", "within 0..=255, got 256"), ("-1", "got -1"), ("\"x\"", "must be an integer, got \"x\"")]
    {
        let ended = place.run(&format!("exit({given});"));
        assert_eq!(ended.code, 1, "{given}");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn the_run_folder_of_a_script_that_left_is_whole() {
    let place = Place::new();
    for (code, status) in [(0, "finished"), (5, "failed")] {
        let out = format!("out{code}");
        let ended = place.run_with(&format!("record(\"a\", #{{ x: 1 }}); exit({code});"), &["--out", &out]);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert_eq!(json(place.path(&format!("{out}/status.json")))["status"], status);
    }
}

#[test]
fn a_return_ends_the_script_from_within_blocks_too() {
    let place = Place::new();
    for block in [
        "if true { return; }",
        "for i in 0..3 { if i == 1 { return 5; } }",
        "switch 1 { 1 => { return; } _ => () }",
        "no_grad { return; }",
        "return;",
    ] {
        let ended = place.run(&format!("print(1); {block} print(2);"));
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "1\n"), "{block}: {}", ended.stderr);
    }
    let on = place.run(
        "print(1); if false { return; } let f = |x| { return x; }; let y = 3; if true { y += f.call(1); } print(y);",
    );
    assert_eq!((on.code, on.stdout.as_str()), (0, "1\n4\n"), "{}", on.stderr);
}

#[test]
fn an_argument_the_script_does_not_ask_for_is_refused_before_it_runs() {
    let place = Place::new();
    let ended = place.run_with("print(arg(\"epochs\", 10));", &["--set", "epocs=20"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("no argument `epocs`") && ended.stderr.contains("did you mean `epochs`?"),
        "{}",
        ended.stderr
    );
    // A computed name can only be known at the end.
    let late = place.run_with("let n = \"ep\" + \"ochs\"; print(arg(n, 10));", &["--set", "epocs=20"]);
    assert_eq!((late.code, late.stdout.as_str()), (2, "10\n"), "{}", late.stderr);
}

#[test]
fn a_device_that_is_not_there_is_refused_with_the_reason() {
    let place = Place::new();
    place.write("script.rhai", "print(1);");
    let run = |device: &str| {
        common::ended(place.lethe(&["run", "script.rhai", "--device", device]).output().expect("starts"))
    };
    let wrong = run("gpu");
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("use auto, cpu, cuda or cuda:N"), "{}", wrong.stderr);
    if lethe::runtime::cuda::driver().is_none() {
        let absent = run("cuda");
        assert_eq!((absent.code, absent.stdout.as_str()), (2, ""));
        assert!(absent.stderr.contains("no NVIDIA driver"), "{}", absent.stderr);
    }
    assert_eq!(run("auto").code, 0);
}

#[test]
fn a_driver_without_a_usable_gpu_is_explained_and_auto_takes_the_cpu() {
    if lethe::runtime::cuda::driver().is_some() {
        return;
    }
    let place = Place::new();
    place.write("driver.c", "int cuInit(unsigned flags) { return 100; }");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", "libcuda.so.1", "driver.c"])
        .current_dir(place.folder.path())
        .status();
    assert!(built.expect("a C compiler").success());
    place.write("script.rhai", "print(1);");
    let run = |arguments: &[&str]| {
        let mut command = place.lethe(arguments);
        common::ended(command.env("LD_LIBRARY_PATH", place.folder.path()).output().expect("starts"))
    };
    let auto = run(&["run", "script.rhai"]);
    assert_eq!((auto.code, auto.stdout.as_str()), (0, "1\n"), "{}", auto.stderr);
    assert!(auto.stderr.contains("running on the CPU: "), "{}", auto.stderr);
    let asked = run(&["run", "script.rhai", "--device", "cuda"]);
    assert_eq!((asked.code, asked.stdout.as_str()), (2, ""), "{}", asked.stderr);
    assert!(asked.stderr.contains("cuda is not available: "), "{}", asked.stderr);
}

#[test]
fn a_start_on_the_cpu_does_not_load_cuda() {
    let place = Place::new();
    place.write("script.rhai", "print(read_text(\"/proc/self/maps\"));");
    let ended = common::ended(place.lethe(&["run", "--device", "cpu", "script.rhai"]).output().expect("starts"));
    assert!(ended.stdout.contains("libtorch_cpu.so"), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("libtorch_cuda"));
}

#[test]
fn a_script_that_records_nothing_writes_nothing() {
    let place = Place::new();
    assert_eq!(place.run("print(1);").code, 0);
    assert!(!place.path("runs").exists());
    assert_eq!(place.run_with("print(1);", &["--out", "out"]).code, 0);
    assert!(!place.path("out").exists());
}

#[test]
fn the_run_folder_tells_all_about_the_run() {
    let place = Place::new();
    place.write("lib/helper.rhai", "fn two() { 2 }");
    let script = "import \"lib/helper\" as h;\nlet n = arg(\"n\", 1);\nfor i in 0..n { record(\"row\", #{ i: i, value: h::two() }); }";
    let ended = place.run_with(script, &["--set", "n=3", "--seed", "7"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let folder = run_folder(&place);
    let name = folder.file_name().expect("name").to_string_lossy().into_owned();
    assert!(name.contains("Z-script-"), "{name}");
    assert_eq!(common::read_rows(&folder).len(), 3);
    let settings = json(folder.join("settings.json"));
    assert_eq!(settings["seed"], 7);
    assert_eq!(settings["device"], "cpu");
    assert_eq!(settings["threads"], 2);
    assert_eq!(settings["arguments"]["n"], 3);
    assert_eq!(settings["versions"]["lethe"], env!("CARGO_PKG_VERSION"));
    assert!(settings["versions"]["libtorch"].as_str().is_some_and(|v| v.starts_with("2.13.0")), "{settings}");
    let status = json(folder.join("status.json"));
    assert_eq!((&status["status"], &status["rows"]), (&Value::from("finished"), &Value::from(3)));
    let sources = std::fs::read_dir(folder.join("sources")).expect("sources").count();
    assert!(sources >= 1 && folder.join("sources/script.rhai").exists());
    let helper = walk(&folder.join("sources")).into_iter().any(|path| path.ends_with("lib/helper.rhai"));
    assert!(helper, "the import is kept: {:?}", walk(&folder));
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_failed_script_keeps_its_rows_and_says_so() {
    let place = Place::new();
    let ended = place.run_with("record(\"row\", #{ a: 1 });\nthrow \"on purpose\";", &["--out", "out"]);
    assert_eq!(ended.code, 1);
    assert_eq!(place.rows().len(), 1);
    let status = json(place.path("out/status.json"));
    assert_eq!(status["status"], "failed");
    assert!(status["error"].as_str().is_some_and(|text| text.contains("on purpose")), "{status}");
}

#[test]
fn an_output_folder_with_something_in_it_or_below_a_file_is_refused() {
    let place = Place::new();
    place.write("out/results.jsonl", "{}\n");
    place.write("plain", "");
    for out in ["out", "plain", "plain/below"] {
        let ended = place.run_with("print(1);", &["--out", out]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{out}: {}", ended.stderr);
        assert!(ended.stderr.contains("--out"), "{}", ended.stderr);
    }
    assert_eq!(std::fs::read_to_string(place.path("out/results.jsonl")).expect("still there"), "{}\n");
}

#[test]
fn a_full_disk_keeps_the_rows_before_it() {
    let place = Place::new();
    place.write(
        "script.rhai",
        "for i in 0..1000 { record(\"row\", #{ text: `row ${i} ` + \"x\".pad_to(900) }); }\n\
                                fn pad_to(n) { let s = this; s.pad(n, 'x'); s }",
    );
    let limited =
        format!("ulimit -f 64; exec {} run --quiet --device cpu --out out script.rhai", env!("CARGO_BIN_EXE_lethe"));
    let output = Command::new("bash").args(["-c", &limited]).current_dir(place.folder.path()).output().expect("bash");
    let ended = common::ended(output);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("results.jsonl"), "{}", ended.stderr);
    // Every line that is there is whole.
    assert!(place.rows().len() > 10);
}

#[test]
fn lists_have_a_line_for_each_and_json_for_machines() {
    for (what, known) in [
        ("unlearners", "finetune"),
        ("datasets", "digits"),
        ("models", "convnet"),
        ("condensers", "blend"),
        ("metrics", "mia_auc"),
    ] {
        let text = lethe(&["list", what]);
        assert_eq!(text.code, 0, "{what}: {}", text.stderr);
        assert!(text.stdout.lines().any(|line| line.starts_with(known)), "{known} in\n{}", text.stdout);
        let items: Value = serde_json::from_str(&lethe(&["list", what, "--json"]).stdout).expect("JSON");
        let items = items.as_array().expect("an array");
        // Marks in the lines are explained below them.
        assert_eq!(items.len(), text.stdout.lines().take_while(|line| !line.is_empty()).count());
        assert!(
            items
                .iter()
                .all(|item| item["name"].is_string() && item["summary"].as_str().is_some_and(|s| !s.is_empty()))
        );
    }
}

#[test]
fn doc_explains_a_name_and_answers_an_unknown_one_with_the_nearest() {
    let known = lethe(&["doc", "mmd"]);
    assert_eq!(known.code, 0);
    assert!(
        known.stdout.starts_with("mmd(") && known.stdout.contains("sigma") && known.stdout.contains("example"),
        "{}",
        known.stdout
    );
    let unknown = lethe(&["doc", "convnett"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("did you mean convnet"), "{}", unknown.stderr);
    let entries: Value = serde_json::from_str(&lethe(&["doc", "--json"]).stdout).expect("JSON");
    assert!(entries.as_array().is_some_and(|all| all.len() > 100));
    assert!(lethe(&["doc"]).stdout.contains("no_grad"));
}

#[test]
fn check_finds_everything_at_once_and_runs_nothing() {
    let place = Place::new();
    place.write("good.rhai", "print(\"it ran\");");
    place.write("bad.rhai", "print(\"it ran\");\nsofmax(ones([2]), 0);\nimport \"nowhere\" as n;\nlet x = nothere;");
    let good = common::ended(place.lethe(&["check", "good.rhai"]).output().expect("starts"));
    assert_eq!(good.code, 0, "{}", good.stderr);
    assert!(!good.stdout.contains("it ran"));
    let bad = common::ended(place.lethe(&["check", "good.rhai", "bad.rhai"]).output().expect("starts"));
    assert_eq!(bad.code, 2);
    let all = format!("{}{}", bad.stdout, bad.stderr);
    assert!(all.contains("bad.rhai:2") && all.contains("softmax") && all.contains("nowhere"), "{all}");
    assert!(!all.contains("it ran"), "{all}");
    assert_eq!(place.run("print(\"it ran\");\nsofmax(ones([2]), 0);").stdout, "", "run checks first");
}

#[test]
fn the_doctor_reports_and_finds_everything_in_place() {
    let ended = lethe(&["doctor"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    for word in ["libtorch", "2.13.0", "threads", "cuda", "cache", "config", "digits"] {
        assert!(ended.stdout.contains(word), "{word} in\n{}", ended.stdout);
    }
    let place = Place::new();
    place.write("plain", "");
    let output = place.lethe(&["doctor"]).env("LETHE_CACHE", place.path("plain/cache")).output().expect("starts");
    let ended = common::ended(output);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("MISSING"), "{}", ended.stdout);
}

#[test]
fn colours_follow_the_option() {
    let place = Place::new();
    place.write("script.rhai", "throw 1;");
    let run = |color: &str| {
        let mut command = place.lethe(&["run", "--device", "cpu", "--color", color, "script.rhai"]);
        common::ended(command.output().expect("starts")).stderr
    };
    assert!(run("always").contains("\x1b["));
    assert!(!run("never").contains("\x1b[") && !run("auto").contains("\x1b["));
}

/// Starts a script, waits for its `ready` line, sends SIGINT, and says how and how fast it ended.
fn interrupted(script: &str) -> (Place, Ended, Duration) {
    let place = Place::new();
    place.write("script.rhai", script);
    let mut child = Command::new(env!("CARGO_BIN_EXE_lethe"))
        .args(["run", "--device", "cpu", "--threads", "2", "--quiet", "--out", "out", "script.rhai"])
        .current_dir(place.folder.path())
        .env("LETHE_CACHE", place.path("cache"))
        .env("LETHE_STATE", place.path("state"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("lethe starts");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    assert_eq!(line, "ready\n");
    std::thread::sleep(Duration::from_millis(400));
    let sent = Instant::now();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let output = child.wait_with_output().expect("ends");
    (place, common::ended(output), sent.elapsed())
}

/// Interrupts `work` after a row has been recorded: exit code 130, soon, and the row is there.
fn stops_and_keeps_rows(work: &str) {
    let script = format!(
        "let d = dataset(\"digits\");\nlet net = convnet(d, #{{ width: 32 }});\nrecord(\"row\", #{{ a: 1 }});\nprint(\"ready\");\n{work}"
    );
    let (place, ended, took) = interrupted(&script);
    assert_eq!(ended.code, 130, "{work}: {}", ended.stderr);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    assert!(took < Duration::from_secs(10), "{work}: {took:?}");
    assert_eq!(place.rows().len(), 1, "{work}");
    assert_eq!(json(place.path("out/status.json"))["status"], "interrupted");
}

#[test]
fn ctrl_c_stops_a_loop_of_the_script() {
    stops_and_keeps_rows("loop { let x = 1; }");
}

#[test]
fn ctrl_c_stops_a_wait() {
    stops_and_keeps_rows("sleep(1000);");
    stops_and_keeps_rows("sleep(1e300);");
}

#[test]
fn ctrl_c_stops_training() {
    stops_and_keeps_rows("train(net, d.train, #{ epochs: 100000 });");
}

#[test]
fn ctrl_c_stops_blend() {
    stops_and_keeps_rows(
        "let t = forget(net, d, #{ mode: \"uniform\", fraction: 0.1 });\n\
         t.reduce(#{ method: \"blend\", per_class: 20, iterations: 1000000 });",
    );
}

#[test]
fn ctrl_c_stops_an_evaluation() {
    stops_and_keeps_rows(
        "let many = d.train; for i in 0..14 { many = many + many; }\nevaluate(net, #{ forget: many, retain: many, test: many, unseen: many });",
    );
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lethe"))
        .args(["doc"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let ended = common::ended(child.wait_with_output().expect("ends"));
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let _ = std::io::stdout().flush();
}
