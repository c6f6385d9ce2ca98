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
        "loaded own.rhai (5 lines)",
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
    for part in ["own.rhai:2:7", "    x.nothing()", "in bad, called at repl:2:1"] {
        assert!(ended.stderr.contains(part), "{part} in\n{}", ended.stderr);
    }
    place.write("wrong.rhai", "let a = 1;\nlet b = a +* 2;\n");
    let ended = piped(&place, ":load wrong.rhai\n");
    assert!(ended.stderr.contains("wrong.rhai:2:12"), "{}", ended.stderr);
}

#[test]
fn foreign_bytes_in_a_pipe_are_told_and_end_nothing() {
    let place = Place::new();
    let mut command = place.lethe(&["repl", "--device", "cpu", "--quiet"]);
    let text = b"\xef\xbb\xbfprint(\"a\xff\xfe\")\r\npri\0nt(1 + 1)\nprint(3)";
    let ended = common::ended(command.write_stdin(&text[..]).output().expect("lethe starts"));
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "a\u{fffd}\u{fffd}\n2\n3\n"));
    let warnings =
        ["line 1 of the input: 2 bytes that are not UTF-8", "line 2 of the input: 1 byte that is NUL, left out"];
    assert!(warnings.iter().all(|warning| ended.stderr.contains(warning)), "{}", ended.stderr);
}

#[test]
fn a_pipe_is_answered_before_it_ends() {
    use std::io::{BufRead, Write};
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_lethe"))
        .args(["repl", "--device", "cpu", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("lethe starts");
    let (mut asked, told) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut told = std::io::BufReader::new(told).lines();
    for (line, answer) in [("print(6 * 7)\n", "42"), ("if false { 1 }\nelse { print(8) }\n", "8")] {
        asked.write_all(line.as_bytes()).expect("written");
        assert_eq!(told.next().expect("an answer").expect("text"), answer);
    }
    drop(asked);
    assert!(child.wait().expect("an end").success());
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

    /// Waits for a line of output.
    fn line(session: &mut PtySession, text: &str) {
        // What comes from the terminal is taken for Latin-1, byte by byte.
        let line: String = format!("\n{text}\r\n").bytes().map(char::from).collect();
        session.exp_string(&line).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }

    /// Types bytes as they are.
    fn type_bytes(session: &mut PtySession, bytes: &[u8]) {
        use std::io::Write;
        let mut terminal = session.process().get_file_handle().expect("a terminal");
        terminal.write_all(bytes).expect("typed");
    }

    #[test]
    fn lines_that_arrive_together_all_run() {
        let mut session = start(&Place::new());
        type_bytes(&mut session, b"print(1 + 1)\rprint(1 + 2)\rlet z = 4;\rprint(z)\r");
        ["2", "3", "4"].iter().for_each(|text| line(&mut session, text));
        // Without bracketed paste; a blank line in the middle ends nothing, nor do lines that others belong to.
        let block =
            "fn f(x) {\r\n    if x > 1 {\r\n\r\n        x\r\n    }\r\n    else {\r\n        -x\r\n    }\r\n}\r\n";
        type_bytes(&mut session, block.as_bytes());
        type_bytes(&mut session, b"print(f(50))\r\n[f(0)]\r\n    .len()\r\nprint(ans + 8)\r\n");
        ["50", "9"].iter().for_each(|text| line(&mut session, text));
        let text = format!("let long = \"{}\"; print(long.len())\r", "x".repeat(200_000));
        type_bytes(&mut session, text.as_bytes());
        line(&mut session, "200000");
    }

    #[test]
    fn what_is_typed_ahead_waits_and_is_not_echoed_twice() {
        let mut session = start(&Place::new());
        say(&mut session, "sleep(1.0); print(\"slept\")", &["\r\n"]);
        type_bytes(&mut session, b"let a = 5;\rprint(a * 7)\rpri");
        let before = session.exp_string("slept\r\n").expect("the end of the nap");
        assert!(!before.contains("a * 7"), "{before:?}");
        line(&mut session, "35");
        type_bytes(&mut session, b"nt(a * 11)\r");
        line(&mut session, "55");
    }

    #[test]
    fn ctrl_c_lets_what_waits_go_and_says_so() {
        let mut session = start(&Place::new());
        say(&mut session, "sleep(60)", &["\r\n"]);
        std::thread::sleep(std::time::Duration::from_millis(300));
        type_bytes(&mut session, &b"print(1);\r".repeat(20_000));
        session.send_control('c').expect("typed");
        session.exp_string("interrupted").expect("stopped");
        session.exp_string("20000 lines typed ahead were not run").expect("told");
        type_bytes(&mut session, b"abc\x03def\x03print(6 * 7)\r");
        line(&mut session, "42");
    }

    #[test]
    fn no_bytes_end_the_session() {
        let place = Place::new();
        place.write("state/history", b"#V2\nlet one = 1\nlet caf\xe9 = 2\nprint(31)\n");
        let mut session = start(&place);
        type_bytes(&mut session, b"\x1b[A\r");
        line(&mut session, "31");
        type_bytes(&mut session, b"print(\"a\xff\xfeb\")\r");
        session.exp_string("warning: 2 bytes that are not UTF-8").expect("told");
        line(&mut session, "a\u{fffd}\u{fffd}b");
        type_bytes(&mut session, b"pri\0nt(5\0 + 1)\r");
        line(&mut session, "6");
        for (number, sequence) in
            ["\x1b", "\x1b[", "\x1b[1;", "\x1bO", "\x1b]11;rgb:0", "\x1b[12;4R"].iter().enumerate()
        {
            type_bytes(&mut session, sequence.as_bytes());
            std::thread::sleep(std::time::Duration::from_millis(250));
            type_bytes(&mut session, format!("print({number} + 100)\r").as_bytes());
            line(&mut session, &(number + 100).to_string());
        }
        say(&mut session, ":quit", &[]);
        session.exp_eof().expect("left");
    }

    #[test]
    fn a_terminal_without_an_editor_is_read_as_it_comes() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
        command.args(["repl", "--device", "cpu"]).env("TERM", "dumb").env("NO_COLOR", "1");
        let mut session = spawn_command(command, Some(60_000)).expect("lethe starts");
        session.exp_string("\n> ").expect("a prompt");
        type_bytes(&mut session, b"print(1 + 1)\nfn f(x) {\n x\n}\nprint(f(9))\nprint(\"\xff\")\n");
        // The bytes of U+FFFD, each as a letter of Latin-1.
        for shown in ["2\r\n", "9\r\n", "\u{ef}\u{bf}\u{bd}\r\n"] {
            session.exp_string(shown).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        }
        session.send_control('d').expect("typed");
        session.exp_eof().expect("left");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn large_tensors_slow_no_input_and_their_memory_goes_back() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo process $$; exec \"$0\" repl --device cpu", env!("CARGO_BIN_EXE_lethe")]);
        command.env("LETHE_HISTORY", "").env("NO_COLOR", "1").env("TERM", "xterm");
        let mut session = spawn_command(command, Some(60_000)).expect("lethe starts");
        let (_, process) = session.exp_regex("process [0-9]+").expect("a number");
        let process = process.replace("process ", "");
        ready(&mut session);
        let held = || -> usize {
            let text = std::fs::read_to_string(format!("/proc/{process}/statm")).expect("a process");
            text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages")
        };
        ask(&mut session, "let a = ones([5000, 5000]); let b = ones([5000, 5000]); print(1)", &["\r\n1\r\n"]);
        let full = held();
        let started = std::time::Instant::now();
        for number in 0..10 {
            ask(&mut session, &format!("{number} + 500"), &[&format!("\r\n{}", number + 500)]);
        }
        assert!(started.elapsed().as_secs_f64() < 3.0, "{:?} for ten inputs", started.elapsed());
        ask(&mut session, "a = 0; b = 0; print(2)", &["\r\n2\r\n"]);
        let freed = (full - held()) * 4096;
        assert!(freed > 150 << 20, "{freed} bytes went back");
    }
}
