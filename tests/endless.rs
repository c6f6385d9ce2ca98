//! Nothing a script says ends the process: values that grow without end, sizes that no memory holds, texts that evaluate
//! themselves, pipes, and what batch systems send.
#![allow(clippy::expect_used)]

mod common;
use common::Place;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Runs a script that must fail with a located message that has these words, soon.
fn refused(script: &str, words: &[&str]) {
    let start = Instant::now();
    let ended = Place::new().run(script);
    assert_eq!(ended.code, 1, "{script}\n{}", ended.stderr);
    for word in words.iter().chain(&["script.rhai:"]) {
        assert!(ended.stderr.contains(word), "no {word:?} in the message for\n{script}\n--\n{}", ended.stderr);
    }
    for foreign in ["panicked", "frame #", "enforce fail", "internal error"] {
        assert!(!ended.stderr.contains(foreign), "{}", ended.stderr);
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{script} took {:?}", start.elapsed());
}

/// A run of the script in this place, into `out`, once it has said that it is ready; to be sent signals.
fn started(place: &Place) -> std::process::Child {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lethe"))
        .args(["run", "--quiet", "--device", "cpu", "--threads", "1", "--out", "out", "script.rhai"])
        .current_dir(place.folder.path())
        .env("LETHE_CACHE", place.path("cache"))
        .env("LETHE_CONFIG", place.path("config"))
        .env("LETHE_STATE", place.path("state"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("lethe starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    child
}

#[test]
fn values_that_grow_without_end_are_an_error_and_not_the_end() {
    let words = ["the values of the script would take more than", "help: does a loop"];
    refused("let s = \"a\"; loop { s += s; }", &words);
    refused("let a = []; loop { a.push(a); }", &words);
    refused("let a = [1]; loop { a += a; }", &words);
    refused("let m = #{}; let n = 0; loop { n += 1; m[`k${n}`] = m; }", &words);
}

#[test]
fn one_call_that_would_make_much_of_little_asks_for_room() {
    let words = ["would take more than"];
    for call in [
        "[1, 2].pad(10000000000, 0);",
        "\"abc\".pad(10000000000, \"x\");",
        "\"abc\".pad(9223372036854775807, 'x');",
        "blob(10000000000, 0);",
        "blob(9223372036854775807);",
        "let b = blob(1); b.pad(10000000000, 1);",
        "let s = \"\"; s.pad(1000000, 'a'); let t = s; s.replace(\"a\", t);",
        "let a = []; a.pad(1000000, 0); let b = []; b.pad(1000000, a);",
    ] {
        refused(call, &words);
    }
    let small = "let a = [1]; a.pad(4, 0); let s = \"ab\"; s.pad(5, \"xyz\"); let b = blob(1, 7); b.pad(3, 8);
                 let r = \"a-b\"; r.replace(\"-\", \"--\");
                 print(`${a} ${s} ${b.len} ${b[2]} ${r} ${\"a,b\".split(\",\")} ${\"ab\".to_chars()}`);";
    assert_eq!(Place::new().run(small).stdout, "[1, 0, 0, 0] abxyz 3 8 a--b [\"a\", \"b\"] [a, b]\n");
}

#[test]
fn texts_of_values_that_share_a_string_ask_for_room() {
    let shared = "let s = \"\"; s.pad(50000000, 'a'); let a = []; a.pad(1000, s);";
    for call in [
        "print(a);",
        "a.to_string();",
        "debug(a);",
        "let t = \"\" + a;",
        "let t = `${a}`;",
        "print(#{ a: a });",
        "#{ a: a }.to_json();",
    ] {
        refused(&format!("{shared} {call}"), &["would take more than"]);
    }
    refused("let a = []; for n in 0..2000 { let b = [a]; a = b; } debug(a);", &["1000 levels deep"]);
    refused("#{ x: ones([2]) }.to_json();", &["to_json: cannot write", "to_array()"]);
    let small = "let m = #{ \"é\\n\": [1, 2.5, \"a\\\"b\", 'c', true, ()], b: #{} }; print(m); print(m.to_json());
                 print([] + \"|\" + [1] + #{ c: \"d\" }); let t = \"x\"; t += [1]; t += #{}; print(`${t} ${[\"y\"]}`);";
    let ended = Place::new().run(small);
    let rhai = "#{\"b\": #{}, \"é\\n\": [1, 2.5, \"a\\\"b\", c, true, ()]}";
    let json = "{\"b\":{},\"é\\n\":[1,2.5,\"a\\\"b\",\"c\",true,null]}";
    assert_eq!(
        ended.stdout,
        format!("{rhai}\n{json}\n[]|[1]#{{\"c\": \"d\"}}\nx[1]#{{}} [\"y\"]\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_loop_that_keeps_tensors_ends_before_the_system_ends_the_process() {
    let place = Place::new();
    place.write("script.rhai", "let kept = []; loop { kept.push(zeros([1000, 500]) + 1); }");
    let limited =
        format!("ulimit -v 6000000; exec {} run --quiet --device cpu script.rhai", env!("CARGO_BIN_EXE_lethe"));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &limited]).current_dir(place.folder.path());
    for name in ["cache", "config", "state"] {
        command.env(format!("LETHE_{}", name.to_uppercase()), place.path(name));
    }
    let ended = common::ended(command.output().expect("lethe runs"));
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let words = ["of memory are left", "script.rhai:1", "does a loop keep tensors"];
    assert!(words.iter().all(|word| ended.stderr.contains(word)), "{}", ended.stderr);
}

#[test]
fn a_second_ctrl_c_leaves_at_once_and_the_folder_says_so() {
    let place = Place::new();
    place.write("script.rhai", "record(\"row\", #{ a: 1 }); let x = randn([6000, 6000]); print(\"ready\"); x.svd();");
    let mut child = started(&place);
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(500));
        assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    }
    let sent = Instant::now();
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
    let status = std::fs::read_to_string(place.path("out/status.json")).expect("a status");
    assert!(status.contains("\"interrupted\""), "{status}");
}

#[test]
fn sizes_of_tensors_are_compared_with_the_memory_that_is_free() {
    for call in [
        "zeros([1000000, 1000000]);",
        "randn([1000000, 1000000]);",
        "eye(1000000);",
        "ones([2]).repeat([1000000, 1000000]);",
    ] {
        refused(call, &["of memory, of which", "are free"]);
    }
}

#[test]
fn a_script_that_has_caught_up_goes_on_after_refusals() {
    let script = "let said = []; for n in [10000000000, 3] { let s = \"a\"; try { s.pad(n, 'b'); said.push(s); } catch { said.push(\"no\"); } }
                  print(said);";
    assert_eq!(Place::new().run(script).stdout, "[\"no\", \"abb\"]\n");
}

#[test]
fn sizes_that_no_memory_holds_are_refused_before_anything_is_built() {
    refused("nn::linear(2147483648, 2);", &["network", "[2, 2147483648]"]);
    refused("nn::batch_norm(4294967296);", &["network", "too large"]);
    refused("convnet(dataset(\"digits\"), #{ width: 4, depth: 2147483648 });", &["cannot be halved 2147483648 times"]);
    refused("convnet(dataset(\"digits\"), #{ pool: \"none\", depth: 100000000000 });", &["`depth` must be at most"]);
    refused(
        "augmentation(#{ operations: [\"rotate\"], samples: 9223372036854775807 });",
        &["`samples` must be at most"],
    );
    refused("ones([3000000, 1]) @ ones([1, 3000000]);", &["there is no memory for a tensor of"]);
    refused("one_hot(tensor([0, 2]), 200000000000000);", &["one_hot"]);
}

#[test]
fn texts_that_evaluate_themselves_are_counted() {
    refused("let s = \"eval(s)\"; eval(s);", &["nested more than 64 levels deep"]);
    let counted = "let n = 0; let s = \"n += 1; if n < 60 { eval(s); }\"; eval(s); eval(s); print(n);";
    assert_eq!(Place::new().run(counted).stdout, "61\n");
}

#[test]
fn the_spread_of_one_value_is_nan_without_a_warning_of_torch() {
    let script = "print(tensor([2.0]).std().item()); print(ones([3, 1]).variance(1, #{ keepdim: true }).shape);
                  print(tensor([1.0, 3.0]).variance(0, #{ correction: 2 }).item());";
    let ended = Place::new().run(script);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("NaN\n[3, 1]\ninf\n", ""));
}

#[test]
fn pipes_and_devices_are_refused_where_files_are_read() {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().expect("mkfifo").success());
    for call in ["load_npy(\"pipe\")", "load_pth(\"pipe\")", "load_safetensors(\"pipe\")", "read_text(\"pipe\")"] {
        let ended = place.run(&format!("{call};"));
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("this is a pipe"), "{}", ended.stderr);
    }
    assert!(place.run("load_npy(\"/dev/zero\");").stderr.contains("this is a device"));
}

#[test]
fn what_batch_systems_send_ends_a_run_as_ctrl_c_does_and_keeps_its_rows() {
    for signal in ["-USR1", "-USR2", "-XCPU", "-HUP", "-TERM"] {
        let place = Place::new();
        place.write("script.rhai", "record(\"row\", #{ a: 1 }); print(\"ready\"); loop {}");
        let mut child = started(&place);
        assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().expect("an end").code(), Some(130), "{signal}");
        let status = std::fs::read_to_string(place.path("out/status.json")).expect("a status");
        assert!(status.contains("\"interrupted\""), "{signal}: {status}");
        assert_eq!(place.rows().len(), 1, "{signal}");
    }
}
