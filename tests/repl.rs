//! The session as people meet it: in a terminal, and fed from a pipe.

#![allow(clippy::expect_used, clippy::panic)]

mod common;

use common::{Ended, Place};

/// What a text comes to that is piped into a session.
fn piped(place: &Place, text: &str) -> Ended {
    let mut command = place.lethe(&["repl", "--device", "cpu", "--threads", "2", "--quiet"]);
    common::ended(command.write_stdin(text).output().expect("lethe starts"))
}

#[test]
fn a_piped_text_is_evaluated_input_by_input() {
    let text =
        "let a = 20\nfn f(x) {\n    x + global::K\n}\nconst K = 1;\nif a > 100 { 1 }\nelse { f(a) }\nprint(ans * 2)\n";
    let ended = piped(&Place::new(), text);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "20\n21\n42\n", ""));
}

#[test]
fn failed_inputs_do_not_keep_the_rest_from_running() {
    let ended = piped(&Place::new(), "let a = 1\nmissing(a)\n\nfn f(x) { x +* 1 }\na + 1\n[1, 2");
    assert_eq!((ended.code, ended.stdout.as_str()), (1, "1\n2\n"));
    for place in ["unknown function `missing`", "repl:2:1", "repl:4:14", "repl:6:6"] {
        assert!(ended.stderr.contains(place), "{place} in\n{}", ended.stderr);
    }
}

#[test]
fn commands_work_from_a_pipe() {
    let place = Place::new();
    place.write("own.rhai", "#!/usr/bin/env lethe\nfn twice(x) {\n    x + x\n}\nlet start = 4;\n");
    let ended = piped(&place, "let one = 1\n:load own.rhai\ntwice(start)\n:vars\n:q\nprint(\"never\")\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let lines: Vec<_> = ended.stdout.lines().map(str::trim_end).collect();
    let expected = [
        "1",
        "own.rhai is loaded; its lines are repl:2 to repl:6",
        "8",
        "twice(x)  function",
        "one       int       1",
        "start     int       4",
        "ans       int       8",
    ];
    assert_eq!(lines, expected);
    let ended = piped(&place, ":lod own.rhai\n:load nowhere.rhai\n:doc mdm\n");
    assert_eq!(ended.code, 1);
    for hint in ["did you mean :load?", "nowhere.rhai", "did you mean mmd?"] {
        assert!(ended.stderr.contains(hint), "{hint} in\n{}", ended.stderr);
    }
}

#[test]
fn loaded_scripts_fail_at_their_lines() {
    let place = Place::new();
    place.write("own.rhai", "fn bad(x) {\n    x.nothing()\n}\n");
    let ended = piped(&place, "1;\n:load own.rhai\nbad(1)\n");
    assert!(ended.stderr.contains("repl:3:7") && ended.stderr.contains("    x.nothing()"), "{}", ended.stderr);
}

#[cfg(unix)]
mod terminal {
    use super::common::Place;
    use rexpect::session::{PtySession, spawn_command};
    use std::process::Command;

    /// A session in a pseudo terminal, at its first prompt.
    fn start(place: &Place) -> PtySession {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
        command
            .args(["repl", "--device", "cpu", "--threads", "2"])
            .current_dir(place.folder.path())
            .env("LETHE_CACHE", place.path("cache"))
            .env("LETHE_STATE", place.path("state"))
            .env("LETHE_CONFIG", place.path("config"))
            .env("LETHE_HISTORY", place.path("state/history"))
            .env("NO_COLOR", "1")
            .env("TERM", "xterm");
        let mut session = spawn_command(command, Some(60_000)).expect("lethe starts");
        session.exp_string(":help for help, Ctrl-D to leave").expect("the banner");
        ready(&mut session);
        session
    }

    /// Waits for the editor to listen; what is typed before may be lost.
    fn ready(session: &mut PtySession) {
        session.exp_string("\u{1b}[?2004h").expect("a prompt");
    }

    /// Types a line, and waits for all that is expected of it and for the next prompt.
    fn ask(session: &mut PtySession, line: &str, expected: &[&str]) {
        say(session, line, expected);
        ready(session);
    }

    /// Types a line, and waits for all that is expected of it, in order.
    fn say(session: &mut PtySession, line: &str, expected: &[&str]) {
        session.send(line).expect("typed");
        session.send("\r").expect("typed");
        session.flush().expect("typed");
        for text in expected {
            session.exp_string(text).unwrap_or_else(|error| panic!("{text:?} after {line:?}: {error}"));
        }
    }

    #[test]
    fn the_transcript_of_the_design_holds() {
        let place = Place::new();
        let mut session = start(&place);
        let see = &mut session;
        ask(see, "let d = dataset(\"digits\")", &["Dataset digits: train 797", "10 classes"]);
        ask(see, "let net = convnet(d, #{ widht: 16 })", &["unknown option `widht`", "repl:2:25", "^^^^^", "`width`?"]);
        ask(see, "let net = convnet(d, #{ width: 16 })", &["ConvNet(1 x 8 x 8 -> 10)", "5,066 parameters"]);
        ask(see, "train(net, d.train, #{ epochs: 1 })", &["epoch: 1"]);
        ask(see, "accuracy(net, d.test)", &["\r\n0."]);
        ask(see, ":doc mmd", &["mmd(x: Tensor[n], y: Tensor[m]", "maximum mean discrepancy", "sigma"]);
        ask(see, "net.forward(randn([4, 3, 8, 8]))", &["expects 1 input channel, got 3", "repl:6:5"]);
        say(see, "loop { accuracy(net, d.test.take(64)); }", &["\r\n"]);
        std::thread::sleep(std::time::Duration::from_millis(700));
        see.send_control('c').expect("typed");
        see.exp_string("interrupted at repl:7:1; the session and its variables are intact").expect("stopped");
        ready(see);
        ask(see, "d.test.len", &["500"]);
        say(see, ":quit", &[]);
        see.exp_eof().expect("left");
    }

    #[test]
    fn unfinished_input_goes_on_and_a_blank_line_submits_it() {
        let mut session = start(&Place::new());
        say(&mut session, "fn f(x) {", &[]);
        say(&mut session, "x + 40", &[]);
        ask(&mut session, "}", &[]);
        ask(&mut session, "f(2)", &["\r\n42"]);
        say(&mut session, "[1,", &[]);
        ask(&mut session, "", &["repl:5:4"]);
    }

    #[test]
    fn keys_clear_complete_and_leave() {
        let place = Place::new();
        let mut session = start(&place);
        ask(&mut session, "let first = 1", &["\r\n1"]);
        session.send("1 + 2").expect("typed");
        session.send_control('c').expect("typed");
        ready(&mut session);
        ask(&mut session, "fir\t + 41", &["\r\n42"]);
        session.send_control('c').expect("typed");
        session.exp_string("Ctrl-C again or Ctrl-D to leave").expect("a hint");
        ready(&mut session);
        session.send_control('c').expect("typed");
        session.exp_eof().expect("left");
        let history = std::fs::read_to_string(place.path("state/history")).expect("history");
        assert!(history.contains("let first = 1\n") && history.ends_with("first + 41\n"), "{history}");
    }
}
