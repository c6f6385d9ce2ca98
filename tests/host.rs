//! What scripts meet of the host: where errors point, what is found before a run, how imports are resolved.

mod common;

use common::{Ended, Place};

/// What stands on stderr when a script fails with this exit code.
fn message(code: i32, script: &str) -> String {
    let ended = Place::new().run(script);
    assert_eq!(ended.code, code, "{script}\n{}", ended.stderr);
    without_code(ended.stderr.trim_end())
}

/// A message without the code behind its first word.
fn without_code(text: &str) -> String {
    match text.split_once(']') {
        Some((head, rest)) if head.starts_with("error[") => format!("error{rest}"),
        Some((head, rest)) if head.starts_with("warning[") => format!("warning{rest}"),
        _ => text.to_string(),
    }
}

/// A script's error must read exactly like this.
fn reads(code: i32, script: &str, expected: &str) {
    assert_eq!(message(code, script), expected.trim_matches('\n'), "\n{}", message(code, script));
}

#[allow(clippy::expect_used)]
fn check(place: &Place, file: &str) -> Ended {
    common::ended(place.lethe(&["check", file]).output().expect("lethe starts"))
}

#[test]
fn an_unknown_option_is_underlined_and_the_valid_ones_are_listed() {
    let text = message(2, "let d = dataset(\"digits\");\nlet net = convnet(d, #{ widht: 16 });");
    let expected = "
error: unknown option `widht` for convnet
 --> script.rhai:2:25
  |
2 | let net = convnet(d, #{ widht: 16 });
  |                         ^^^^^ did you mean `width`?
  |
  = options: ";
    assert!(text.starts_with(expected.trim_start()), "{text}");
    assert!(text.contains("options: width, depth, norm, pool"), "{text}");
}

#[test]
fn a_wrong_option_of_a_method_is_shown_where_the_user_wrote_it() {
    let script = "let d = dataset(\"digits\"); let t = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.1 });\n\
                  unlearn::run(\"finetune\", t, #{\n    epochs: 1,\n    lrr: 0.1,\n});";
    let text = message(2, script);
    assert!(text.contains("--> script.rhai:4:5") && text.contains("^^^ did you mean `lr`?"), "{text}");
}

#[test]
fn calls_are_listed_from_the_innermost_outwards() {
    let script =
        "fn inner(x) {\n    x @ ones([3, 3])\n}\nfn outer(x) {\n    let y = inner(x);\n    y\n}\nouter(ones([2, 2]));";
    reads(
        1,
        script,
        "
error: matmul: [2, 2] @ [3, 3] (inner sizes 2 and 3 differ)
 --> script.rhai:2:7
  |
2 |     x @ ones([3, 3])
  |       ^
  |
  = in inner, called at script.rhai:5:13: let y = inner(x);
  = in outer, called at script.rhai:8:1: outer(ones([2, 2]));",
    );
}

#[test]
fn an_error_in_a_method_of_the_library_shows_its_line_and_the_call() {
    let place = Place::new();
    place.write(
        "broken.rhai",
        "fn broken(task, opt) {\n    let net = task.model();\n    net.forward(ones([2, 3, 8, 8]));\n    net\n}",
    );
    let ended = place.run(
        "let d = dataset(\"digits\"); let t = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.1 });\nunlearn::run(\"broken\", t);",
    );
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("--> broken.rhai:3:9"), "{}", ended.stderr);
    assert!(ended.stderr.contains("= in broken, called at script.rhai:2:1"), "{}", ended.stderr);
}

#[test]
fn arguments_of_the_wrong_type_are_answered_with_the_signature() {
    reads(
        2,
        "mmd(1, ones([2]));",
        "
error: mmd does not take (int, Tensor)
 --> script.rhai:1:1
  |
1 | mmd(1, ones([2]));
  | ^^^^^^^^^^^^^^^^^
  |
  = exists: mmd(x: Tensor[n], y: Tensor[m], #{ sigma: float = 1.0 }) -> Tensor[], but x is int, not Tensor",
    );
}

#[test]
fn operators_name_both_sides() {
    reads(
        1,
        "let x = \"a\" - ones([2]);",
        "
error: `-` is not defined for string and Tensor
 --> script.rhai:1:13
  |
1 | let x = \"a\" - ones([2]);
  |             ^",
    );
}

#[test]
fn what_is_no_condition_is_told_how_to_become_one() {
    let text = message(1, "let x = class(3) && class(4);");
    assert!(text.contains("expected bool, got Selector") && text.contains("joined by & (both)"), "{text}");
    assert!(message(1, "let x = class(3) & 4;").contains("joined by & (both)"));
    assert!(message(1, "if ones([2]) > 0 { print(1); }").contains("t.all()"));
}

#[test]
fn an_unknown_property_is_answered_with_the_nearest() {
    let text = message(2, "let x = ones([2]);\nprint(x.shap);");
    assert!(text.starts_with("error: Tensor has no property `shap`\n --> script.rhai:2:9"), "{text}");
    assert!(text.contains("did you mean `shape`"), "{text}");
}

#[test]
fn a_property_of_nothing_says_so() {
    let text = message(1, "let m = #{ a: 1 };\nprint(m.b.c);");
    assert!(text.starts_with("error: () has no property `c`") && text.contains("is there an entry"), "{text}");
}

#[test]
fn places_outside_an_array_are_named() {
    reads(
        1,
        "let x = [1, 2];\nprint(x[5]);",
        "
error: array index 5 out of bounds: only 2 elements in array
 --> script.rhai:2:9
  |
2 | print(x[5]);
  |         ^",
    );
}

#[test]
fn a_callback_of_another_arity_is_explained() {
    let text = message(1, "let f = |a, b| a + b;\nprint(f.call(1));");
    assert!(text.starts_with("error: the callback is given 1 argument (int)"), "{text}");
    assert!(text.contains("--> script.rhai:2:9") && text.contains("write it as |a| .."), "{text}");
}

#[test]
fn thrown_values_are_the_message() {
    reads(
        1,
        "fn f() { throw \"on purpose\"; }\nf();",
        "
error: on purpose
 --> script.rhai:1:10
  |
1 | fn f() { throw \"on purpose\"; }
  |          ^^^^^
  |
  = in f, called at script.rhai:2:1: f();",
    );
}

#[test]
fn endless_recursion_names_the_function() {
    reads(
        1,
        "fn even(n) { odd(n) }\nfn odd(n) { even(n) }\nlet x = 1 + even(0);",
        "
error: stack overflow: function `even` calls itself more than 256 levels deep
 --> script.rhai:3:13
  |
3 | let x = 1 + even(0);
  |             ^^^^^^^
  |
  = help: give the recursion an end, or write a loop",
    );
}

#[test]
fn recursion_through_natives_ends_in_a_message_too() {
    let text = message(1, "fn f(x) { [x].map(|v| f(v + 1)) }\nf(0);");
    assert!(text.starts_with("error: stack overflow"), "{text}");
    let text = message(
        1,
        "fn g(x) { let r = sort_by_key([x], |v| g(v)); r }\ng(0);".replace("sort_by_key([x], ", "[x].filter(").as_str(),
    );
    assert!(text.starts_with("error: stack overflow"), "{text}");
}

#[test]
fn something_missing_is_shown_where_it_is_missing() {
    reads(
        2,
        "let x = 7\nlet y = 3;",
        "
error: syntax: expecting ';' to terminate this statement
 --> script.rhai:1:10
  |
1 | let x = 7
  |          ^
  |
  = help: is the statement before complete?",
    );
    reads(
        2,
        "print(1",
        "
error: syntax: expecting ')' to close the arguments list of this function call 'print'
 --> script.rhai:1:8
  |
1 | print(1
  |        ^",
    );
}

#[test]
fn words_of_the_language_cannot_be_names() {
    reads(
        2,
        "let m = #{ with: 3 };",
        "
error: syntax: `with` is a reserved word
 --> script.rhai:1:12
  |
1 | let m = #{ with: 3 };
  |            ^^^^
  |
  = help: it cannot name a variable, a function or an option; choose another name",
    );
}

#[test]
fn a_stage_must_be_named_by_a_string() {
    reads(
        1,
        "timed 5 { 1 }",
        "
error: timed: the stage must be a string, got int
 --> script.rhai:1:7
  |
1 | timed 5 { 1 }
  |       ^
  |
  = help: write timed \"stage\" { .. }",
    );
}

#[test]
fn all_findings_come_at_once_before_anything_runs() {
    let place = Place::new();
    let script = "print(\"it ran\");\nlet x = ones([2]);\nx.summ();\nmmd(x);\nlet lr = 1 / 3;\nfn f(a) { lr + a }\nf(1, 2);\nnowhere::g();";
    let ended = place.run(script);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    let words = [
        "unknown method `summ`",
        "did you mean `sum`?",
        "mmd takes 2 or 3 arguments, got 1",
        "warning[W0001]: 1 / 3 is a division of integers and gives 0",
        "functions see their parameters and global constants alone",
        "f takes 1 argument, got 2",
        "unknown module `nowhere`",
        "5 errors, 1 warning",
    ];
    let mut rest = ended.stderr.as_str();
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word:?}, in this order, in\n{}", ended.stderr));
        rest = &rest[at..];
    }
    let checked = check(&place, "script.rhai");
    assert_eq!(checked.code, 2);
    assert!(checked.stdout.contains("5 errors, 1 warning"), "{}", checked.stdout);
}

#[test]
fn warnings_do_not_keep_a_script_from_running() {
    let place = Place::new();
    let ended = place.run("fn softmax(x, n) { x }\nprint(softmax(1, 2) + 1 / 2);");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "1\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("warning[W0002]: `softmax` with 2 arguments takes the place"), "{}", ended.stderr);
    assert_eq!(check(&place, "script.rhai").code, 0);
}

#[test]
fn imported_files_are_checked_as_well() {
    let place = Place::new();
    place.write("lib/helper.rhai", "fn two() { twoo() }\nfn twice(x) { x * 2 }\nexport const LIMIT = 3;");
    let ended = place.run("import \"lib/helper\" as h;\nh::twice(1, 2);\nh::thrice(1);\nprint(h::LIMTI);");
    assert_eq!(ended.code, 2);
    for word in [
        "--> lib/helper.rhai:1:12",
        "did you mean `two`?",
        "h::twice takes 1 argument, got 2",
        "module `h` has no function `thrice`",
        "exports no variable `LIMTI`",
    ] {
        assert!(ended.stderr.contains(word), "no {word:?} in\n{}", ended.stderr);
    }
}

#[test]
fn a_method_cannot_declare_an_option_of_run() {
    let place = Place::new();
    place.write("mine.rhai", "fn mine(task, opt) { let o = options(opt, #{ lr: 0.1, seed: 1 }); task.model() }");
    let ended = check(&place, "mine.rhai");
    assert_eq!(ended.code, 2);
    assert!(
        ended.stdout.contains("cannot have an option `seed`") && ended.stdout.contains(":1:55"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_is_right_has_no_findings() {
    let place = Place::new();
    let script = r#"
        import "std/unlearn" as unlearn;
        const SCALE = 2;
        fn scaled(x) { x * global::SCALE }
        fn Tensor.doubled() { this * 2 }
        fn pass(f, x) { f.call(x) }
        let object = #{ step: |x| x + 1, name: "n" };
        object.more = |x| x + 2;
        let fs = [];
        for (x, i) in [1, 2] { let j = i; fs.push(|y| x + y + j); }
        let y = no_grad { let z = ones([2]); z.doubled() };
        let t = timed "stage" { scaled(3) };
        try { throw 1; } catch (e) { print(e); }
        let s = switch t { 1 => y, 2..5 => t, _ => () };
        print(`${object.step(1)} ${object.more(2)} ${fs[0].call(3)} ${pass(scaled, 2)} ${type_of(s)} ${t.type_of()}`);
        let it = [3, 1].map(|v| v * t).filter(|v| v > 1);
        loop { if it.len() > 0 { break; } }
        print(unlearn::run.type_of());
    "#;
    place.write(
        "good.rhai",
        script.lines().filter(|line| !line.contains("unlearn::run.")).collect::<Vec<_>>().join("\n"),
    );
    let ended = check(&place, "good.rhai");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "good.rhai: no findings\n"), "{}", ended.stdout);
    let ran = common::ended(place.lethe(&["run", "--quiet", "good.rhai"]).output().expect("starts"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn every_script_of_the_project_passes_the_check() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    for folder in ["examples", "stdlib", "stdlib/unlearn", "tests/scripts", "benches"] {
        for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "rhai") {
                files.push(entry.path().display().to_string());
            }
        }
    }
    assert!(files.len() > 10);
    let mut arguments = vec!["check"];
    arguments.extend(files.iter().map(String::as_str));
    let ended = common::ended(Place::new().lethe(&arguments).current_dir(root).output().expect("lethe starts"));
    assert_eq!(ended.code, 0, "{}", ended.stdout);
}

#[test]
fn imports_are_relative_to_the_importing_file() {
    let place = Place::new();
    place.write("lib/a.rhai", "import \"deep/b\" as b;\nfn five() { b::two() + b::three() }");
    place.write("lib/deep/b.rhai", "import \"c\" as c;\nfn two() { 2 }\nfn three() { c::three() }");
    place.write("lib/deep/c.rhai", "fn three() { 3 }");
    let ended = place.run("import \"lib/a\" as a;\nprint(a::five());");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "5\n"), "{}", ended.stderr);
}

#[test]
fn imports_are_also_looked_for_on_lethe_path() {
    let place = Place::new();
    place.write("elsewhere/far.rhai", "fn answer() { 42 }");
    place.write("script.rhai", "import \"far\" as f;\nprint(f::answer());");
    let mut command = place.lethe(&["run", "--quiet", "script.rhai"]);
    let ended = common::ended(command.env("LETHE_PATH", place.path("elsewhere")).output().expect("lethe starts"));
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "42\n"), "{}", ended.stderr);
}

#[test]
fn an_import_that_is_not_there_lists_what_was_tried() {
    let place = Place::new();
    place.write("sub/main.rhai", "import \"far\" as f;");
    let mut command = place.lethe(&["run", "--quiet", "sub/main.rhai"]);
    let ended = common::ended(command.env("LETHE_PATH", "/opt/lethe").output().expect("lethe starts"));
    assert_eq!(ended.code, 2);
    let expected =
        "module \"far\" not found; tried sub/far.rhai, far.rhai, /opt/lethe/far.rhai\n --> sub/main.rhai:1:8";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn circular_imports_are_named() {
    let place = Place::new();
    place.write("a.rhai", "import \"b\" as b;");
    place.write("b.rhai", "import \"a\" as a;");
    let ended = place.run("import \"a\" as a;");
    assert_eq!(ended.code, 2);
    let expected = "circular import: script.rhai imports a.rhai imports b.rhai imports a.rhai\n --> b.rhai:1:8";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    // However the paths are written.
    place.write("x/a.rhai", "import \"../x/b\" as b;");
    place.write("x/b.rhai", "import \"../x/a\" as a;");
    let odd = place.run("import \"x/a\" as a;");
    assert!(odd.stderr.contains("x/a.rhai imports x/b.rhai imports x/a.rhai"), "{}", odd.stderr);
    // A computed path is only seen while running.
    place.write("b.rhai", "let path = \"a\" + \"\"; import path as a;");
    let late = place.run("import \"a\" as a;");
    assert_eq!(late.code, 1);
    assert!(late.stderr.contains("circular import: a.rhai imports b.rhai imports a.rhai"), "{}", late.stderr);
}

#[test]
fn closures_of_modules_can_be_called_and_called_back() {
    let place = Place::new();
    place.write(
        "m.rhai",
        "fn adder(n) { |x| x + n }\nfn apply(f, x) { f.call(x) }\nfn maker() { #{ add: |x| x + 10 } }\nexport const BASE = 7;",
    );
    let script = "import \"m\" as m;\nlet add = m::adder(2);\nlet k = 100;\nlet o = m::maker();\n\
                  print([add.call(1), m::apply(|x| x * k, 3), m::apply(add, 1), o.add(1), [1].map(add), m::BASE]);";
    let ended = place.run(script);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "[3, 300, 3, 11, [3], 7]\n"), "{}", ended.stderr);
}

#[test]
fn an_error_while_importing_shows_the_module_and_the_import() {
    let place = Place::new();
    place.write("m.rhai", "fn g() { throw \"deep\"; }\nlet x = 1;\ng();");
    let ended = place.run("import \"m\" as m;");
    assert_eq!(ended.code, 1);
    for word in ["error: deep\n --> m.rhai:1:10", "in g, called at m.rhai:3:1", "called at script.rhai:1:8"] {
        assert!(ended.stderr.contains(word), "no {word:?} in\n{}", ended.stderr);
    }
}

#[test]
fn constructs_let_return_and_errors_through_and_restore_gradients() {
    let script = "fn f() { no_grad { return 5; } }\nprint(f());\n\
                  let w = ones([1]);\n w.requires_grad_(true);\n\
                  try { no_grad { throw 1; } } catch { }\nprint((w * 2).requires_grad);";
    let ended = Place::new().run(script);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "5\ntrue\n"), "{}", ended.stderr);
}

#[test]
fn a_minus_before_a_power_and_an_open_comment_are_refused_by_all_that_compiles() {
    let place = Place::new();
    let ended = place.run("print(\"it ran\");\nlet d = 2.0;\nprint(exp(-d ** 2 / 2));");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    for part in ["--> script.rhai:3:11", "a minus before ** is ambiguous", "help: write -(a ** b) or (-a) ** b"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    place.write("two.rhai", "let y = -2 ** 2;\nlet z = `${-y ** 2}`;\n/* open");
    let checked = check(&place, "two.rhai");
    assert_eq!(checked.code, 2);
    for part in ["two.rhai:1:9", "two.rhai:2:12", "two.rhai:3:1", "this comment is never closed", "3 errors"] {
        assert!(checked.stdout.contains(part), "{}", checked.stdout);
    }
    place.write("m.rhai", "fn f(x) { -x ** 2 }");
    for (code, import) in [(2, "import \"m\" as m;"), (1, "let p = \"m\"; import p as m;")] {
        let ended = place.run(import);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert!(ended.stderr.contains("m.rhai:1:11"), "{}", ended.stderr);
    }
    place.write("mine.rhai", "fn mine(task, opt) { let x = -opt.lr ** 2; task.model() }");
    let run = "let d = dataset(\"digits\"); let t = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.1 });\n\
               unlearn::run(\"mine\", t);";
    assert!(message(1, "eval(\"-x ** 2\");").contains("script.rhai:1:6"));
    assert!(place.run(run).stderr.contains("mine.rhai:1:30"));
}

#[test]
fn evaluated_texts_are_compiled_like_scripts() {
    let script = "let x = 1; eval(\"let y = x + 6\"); print(y + eval(\"return 5; 3\"));\n\
                  for t in [\"-x ** 2\", \"1 /* a\", \"fn f() {}\", \"1 +\"] {\n\
                      let caught = false; try { eval(t); } catch { caught = true; }\n    assert(caught, t);\n}\n\
                  print([1, 2].map(|v| eval(\"v * 2\")));";
    assert_eq!(Place::new().run(script).stdout, "12\n[2, 4]\n");
    let text = message(1, "let t = \"eval(t)\";\neval(t);");
    assert!(
        text.contains("texts that evaluate texts are nested more than 64 levels deep") && text.lines().count() < 12,
        "{text}"
    );
}

#[test]
fn a_slip_in_the_name_of_a_result_is_found_before_the_run() {
    let head = "let d = dataset(\"digits\", #{ per_class: 10 });\nlet net = convnet(d, #{ width: 4, depth: 1 });\n\
                let r = train(net, d.train, #{ epochs: 1 });\n";
    let text = message(2, &format!("{head}print(r.acuracy);"));
    assert!(text.contains("script.rhai:4:9") && text.contains("^^^^^^^ did you mean `accuracy`?"), "{text}");
    let chains = [
        "let task = forget(net, d, #{ fraction: 0.1 }); print(unlearn::run(\"finetune\", task).metrics.retain_acuracy);",
        "let task = forget(net, d, #{ fraction: 0.1 }); let m = unlearn::run(\"finetune\", task).metrics; print(m.mia_acu);",
        "print(r[\"acuracy\"]);",
        "print(kmeans(ones([3, 2]), 2).lables);",
    ];
    for chain in chains {
        assert!(message(2, &format!("{head}{chain}")).contains("did you mean"), "{chain}");
    }
    // A map of one's own, and one from elsewhere, keep Rhai's rule.
    let own =
        "let own = #{ lr: 1 }; if own.rate == () { print(\"none\"); }\nfn f(q) { q.acuracy ?? 2 }\nprint(f(own));";
    let ended = Place::new().run(own);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "none\n2\n"));
    assert!(ended.stderr.contains("warning[E0106]: nothing has a property `acuracy`"), "{}", ended.stderr);
}

#[test]
fn a_key_that_a_result_lacks_is_told_when_it_is_read() {
    let script = "let d = dataset(\"digits\", #{ per_class: 10 });\n\
                  let r = train(convnet(d, #{ width: 4, depth: 1 }), d.train, #{ epochs: 1 });\n\
                  for i in 0..2 { print(r.final_loss); }\n\
                  if r.note == () { print(r.note ?? 3); }\n\
                  let own = parse_json(\"{\\\"seed\\\": 1}\");\nprint(own.other);\nown.added = 2;\nprint(own.added);\n";
    let ended = Place::new().run(script);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "\n\n3\n\n2\n"), "{}", ended.stderr);
    let told: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("warning")).collect();
    assert_eq!(told, ["warning: the map has no key `final_loss`"], "{}", ended.stderr);
    assert!(ended.stderr.contains("script.rhai:3:25"), "{}", ended.stderr);
    assert!(ended.stderr.contains("there are: accuracies, accuracy, epoch, loss, seconds"), "{}", ended.stderr);
}

#[test]
fn the_prompt_tells_of_keys_that_are_not_there() {
    let inputs = "let rows = #{ accuracy: 0.5 };\nrows.acuracy\nrows.accuracy\nrows.acuracy\n";
    let place = Place::new();
    let file = place.write("inputs", inputs);
    let mut repl = place.lethe(&["repl", "--quiet"]);
    let ended = common::ended(repl.pipe_stdin(file).unwrap().output().unwrap());
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(said.matches("the map has no key `acuracy`").count(), 2, "{said}");
    assert!(said.contains("repl:2:6") && said.contains("did you mean `accuracy`?"), "{said}");
}
