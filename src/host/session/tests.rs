use super::*;
use crate::runtime::run::Settings;

fn session() -> Session {
    Session::new(Host::new(Settings::default()))
}

impl Session {
    fn shown(&mut self, text: &str) -> String {
        self.run(text).unwrap_or_else(|found| panic!("{}", found.render(false))).unwrap_or_default()
    }

    fn fails(&mut self, text: &str) -> Diagnostic {
        *self.run(text).expect_err("the input fails")
    }
}

#[test]
fn variables_constants_functions_and_imports_last() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("own.rhai");
    std::fs::write(&file, "const STEP = 3; export const SIZE = 7; fn up(x) { x + global::STEP }").unwrap();
    let mut session = session();
    session.shown("let a = 1");
    session.shown("const K = 40");
    session.shown(&format!("import {:?} as own", file.display().to_string()));
    session.shown("fn f(x) { x + global::K }");
    assert_eq!(session.shown("f(a + 1)"), "42");
    assert_eq!(session.shown("own::up(own::SIZE)"), "10");
    session.shown("let g = |x| f(x) + a");
    assert_eq!(session.shown("a += 1; g.call(1)"), "43");
}

#[test]
fn modules_are_read_again() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("own.rhai");
    std::fs::write(&file, "fn f() { 1 }").unwrap();
    let mut session = session();
    session.shown(&format!("import {:?} as own", file.display().to_string()));
    assert_eq!(session.shown("own::f()"), "1");
    std::fs::write(&file, "fn f() { 2 }").unwrap();
    assert_eq!(session.shown("own::f()"), "1");
    assert_eq!(session.reload().unwrap(), ["own"]);
    assert_eq!(session.shown("own::f()"), "2");
    std::fs::write(&file, "fn f() { ").unwrap();
    assert!(session.reload().is_err());
    assert_eq!(session.shown("own::f()"), "2");
}

#[test]
fn functions_are_redefined() {
    let mut session = session();
    session.shown("fn f(x) { x }");
    session.shown("fn f(x, y) { x + y }");
    session.shown("fn f(x) { -x }");
    assert_eq!(session.shown("[f(1), f(1, 2)]"), "[-1, 3]");
}

#[test]
fn errors_in_old_functions_quote_their_line() {
    let mut session = session();
    session.shown("fn bad(x) {\n    x + missing\n}");
    session.shown("let a = 1");
    session.fails("nonsense(");
    let found = session.fails("let b = 2;\nbad(a)");
    let place = found.place.unwrap();
    assert_eq!((place.source.as_str(), place.line, place.text.as_str()), (NAME, 2, "    x + missing"));
    let call = found.frames[0].place.clone().unwrap();
    assert_eq!((call.line, call.column, call.text.as_str()), (7, 1, "bad(a)"));
    assert_eq!(session.next_line(), 8);
}

#[test]
fn syntax_errors_point_into_their_input() {
    let mut session = session();
    session.shown("let a = 1");
    let place = session.fails("let b = = 2").place.unwrap();
    assert_eq!((place.line, place.column, place.text.as_str()), (2, 9, "let b = = 2"));
}

#[test]
fn errors_in_evaluated_text_do_not_point_into_the_session() {
    let mut session = session();
    session.shown("let a = 1");
    let found = session.fails("eval(\"1 + nothing()\")");
    assert_eq!(found.place.map(|place| (place.source, place.line, place.column)), Some((NAME.into(), 2, 6)));
    assert!(found.frames.is_empty());
}

#[test]
fn statements_before_an_error_have_had_their_effect() {
    let mut session = session();
    session.fails("let a = 1; missing(); a = 2");
    assert_eq!(session.shown("a"), "1");
}

#[test]
fn the_names_of_the_session_are_suggested() {
    let mut session = session();
    session.shown("let forgotten = 1; fn shrunk(x) { x }");
    assert_eq!(session.fails("forgoten").hint, "did you mean `forgotten`?");
    assert_eq!(session.fails("shrunc(1)").hint, "did you mean `shrunk`?");
}

#[test]
fn declarations_show_what_they_declare_and_semicolons_show_nothing() {
    let mut session = session();
    assert_eq!(session.shown("let a = 0.25"), "0.25");
    assert_eq!(session.shown("const B = [1, 2.0] // two"), "[1, 2.0]");
    assert_eq!(session.shown("let c = 1;"), "");
    assert_eq!(session.shown("a; // done"), "");
    assert_eq!(session.shown("a = 2"), "");
    assert_eq!(session.shown("fn f() { 1 }"), "");
    assert_eq!(session.shown("print(a)"), "");
    assert_eq!(session.shown("return a + 1"), "3");
}

#[test]
fn the_last_value_is_kept() {
    let mut session = session();
    session.shown("20 + 1;");
    session.shown("let a = 5");
    assert_eq!(session.shown("ans * 2"), "42");
    session.fails("missing");
    assert_eq!(session.shown("ans"), "42");
}

#[test]
fn shadowed_variables_are_freed() {
    let mut session = session();
    let held = Rc::new(());
    session.scope.push("t", held.clone());
    session.shown("let keep = 1; let other = 2");
    assert_eq!(Rc::strong_count(&held), 2);
    session.shown("let t = 1");
    assert_eq!(Rc::strong_count(&held), 1);
    let names: Vec<_> = session.names().into_iter().map(|known| known.name).collect();
    assert_eq!(names, ["keep", "other", "t"]);
}

#[test]
fn names_are_listed_with_type_and_short_form() {
    let mut session = session();
    session.shown("fn f(x, y) { x } let a = [1, 2]; const B = #{ lr: 0.1 }");
    let names = session.names();
    let listed: Vec<_> =
        names.iter().map(|n| (n.name.clone(), n.kind.clone(), n.constant, session.summary(n))).collect();
    let expected =
        [("f(x, y)", "function", true, ""), ("a", "array", false, "[1, 2]"), ("B", "map", true, "#{ lr: 0.1 }")];
    let expected: Vec<_> = expected.iter().map(|(n, k, c, t)| ((*n).into(), (*k).into(), *c, (*t).into())).collect();
    assert_eq!(listed, expected);
}

#[test]
fn unfinished_input_is_told_from_wrong_input() {
    let engine = session().host.engine;
    let cases = [
        ("fn f(x) {", true),
        ("let a = [1,", true),
        ("f(1,", true),
        ("let x =", true),
        ("1 +", true),
        ("let s = `one", true),
        ("let s = `one ${1 +", true),
        ("/* a comment", true),
        ("/// about f", true),
        ("if x {\n  1\n} else", true),
        ("no_grad {", true),
        ("convnet(d, #{ width: 1,", true),
        ("net.", true),
        ("1 + 1", false),
        ("", false),
        ("let s = \"open", false),
        ("let a = = 2", false),
        ("f(1))", false),
        (")", false),
        ("fn f(x) { x }", false),
        ("`a /* ${1} /* `", false),
        ("let x = 1 // then {", false),
    ];
    for (text, expected) in cases {
        assert_eq!(incomplete(&engine, text), expected, "{text}");
    }
}

#[test]
fn a_text_falls_into_inputs() {
    let engine = session().host.engine;
    let text = "let a = 1\n\nfn f(x) {\n\n  x\n}\nif a == 1 { 1 }\nelse { 2 }\n[1]\n  .len()\n:vars\nf(";
    let expected =
        ["let a = 1", "", "fn f(x) {\n\n  x\n}", "if a == 1 { 1 }\nelse { 2 }", "[1]\n  .len()", ":vars", "f("];
    let mut inputs = Inputs::default();
    let mut found: Vec<String> = text.lines().filter_map(|line| inputs.push(&engine, line)).collect();
    found.extend(inputs.rest());
    assert_eq!(found, expected);
}

#[test]
fn a_panic_leaves_the_session_usable() {
    let mut host = Host::new(Settings::default());
    let mut engine = rhai::Engine::new();
    engine.register_fn("fall", || -> i64 { panic!("over") });
    host.engine = Rc::new(engine);
    let mut session = Session::new(host);
    session.shown("let a = 1");
    assert!(session.fails("fall()").message.contains("internal error"));
    assert_eq!(session.shown("a"), "1");
}

#[test]
fn listing_names_looks_into_no_value() {
    thread_local! { static ASKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) }; }
    #[derive(Clone)]
    struct Heavy;
    let mut host = Host::new(Settings::default());
    let mut engine = rhai::Engine::new();
    engine.register_fn("heavy", || Heavy);
    engine.register_fn("to_debug", |_: &mut Heavy| {
        ASKED.with(|asked| asked.set(asked.get() + 1));
        "much".to_string()
    });
    host.engine = Rc::new(engine);
    let mut session = Session::new(host);
    session.shown("let a = heavy();");
    let names = session.names();
    assert_eq!((names.len(), ASKED.get()), (1, 0));
    assert_eq!((session.summary(&names[0]).as_str(), ASKED.get()), ("much", 1));
}

#[test]
fn loaded_files_keep_their_names_and_lines() {
    let mut session = session();
    session.shown("fn own(x) {\n  missing_here(x)\n}");
    session.load("lib.rhai", "fn relay(f, x) {\n    f.call(x)\n}\nfn bad(x) {\n    own(x)\n}\nlet size = 3;").unwrap();
    assert_eq!(session.shown("size"), "3");
    let place = |found: &Diagnostic| found.place.as_ref().map(ToString::to_string).unwrap_or_default();
    let calls = |found: &Diagnostic| -> Vec<String> {
        found.frames.iter().map(|f| format!("{} {}", f.function, f.place.as_ref().unwrap())).collect()
    };
    let found = session.fails("bad(1)");
    assert_eq!(place(&found), "repl:2:3");
    assert_eq!(calls(&found), ["own lib.rhai:5:5", "bad repl:5:1"]);
    let found = session.fails("relay(|x| x + nowhere, 1)");
    assert_eq!(place(&found), "repl:6:15", "{}", found.render(false));
    let found = *session.load("lib.rhai", "fn bad(x) {\n\n  x.nothing()\n}\nbad(2)").unwrap_err();
    assert_eq!((place(&found).as_str(), calls(&found)), ("lib.rhai:3:5", vec!["bad lib.rhai:5:1".to_string()]));
    assert!(session.fails("relay(|x| x, 1)").message.contains("unknown function `relay`"));
    let found = *session.load("lib.rhai", "let a = 1;\nlet b = = 2").unwrap_err();
    assert_eq!(place(&found), "lib.rhai:2:9");
    session.shown("fn bad(x) { x }");
    assert_eq!(session.shown("bad(7)"), "7");
}
