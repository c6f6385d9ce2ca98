//! What goes wrong in practice ends in one clear message, at the right place, with the right exit code.

mod common;
use common::Place;

/// Runs a script that must fail with this exit code and all of these words on stderr, and without a panic.
fn fails(code: i32, script: &str, words: &[&str]) {
    let ended = Place::new().run(script);
    // What is literally wrong is found before anything runs.
    assert!(ended.code == code || ended.code == 2, "{script}\n{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in the message for\n{script}\n--\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("frame #"), "a C++ trace: {}", ended.stderr);
}

#[test]
fn wrong_shapes_name_the_operation_and_both_shapes() {
    fails(1, "let a = ones([64, 128]) @ ones([64, 10]);", &["matmul", "[64, 128]", "[64, 10]", "script.rhai:1:"]);
    fails(1, "let x = ones([2, 3]) + ones([4]);", &["[2, 3]", "[4]", "script.rhai:1:"]);
    fails(
        1,
        "let d = dataset(\"digits\");\nconvnet(d, #{ width: 8 }).forward(randn([4, 3, 8, 8]));",
        &["1 input channel", "3", ":2:"],
    );
    fails(1, "tensor([[1, 2], [3]]);", &["tensor"]);
    fails(1, "zeros([2, -3]);", &["zeros", "-3"]);
    fails(1, "ones([3])[5];", &["5", "3"]);
}

#[test]
fn wrong_dtypes_and_devices_say_what_would_work() {
    fails(1, "zeros([2], #{ dtype: \"f23\" });", &["f23", "f32"]);
    fails(1, "zeros([2]).to(\"tpu\");", &["tpu"]);
    fails(1, "cross_entropy(randn([2, 3]), tensor([0.5, 1.0]));", &["cross_entropy"]);
    let ended = Place::new().run_with("print(1);", &["--device", "cuda"]);
    if !std::path::Path::new("/proc/driver/nvidia/version").exists() {
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains("cuda") && ended.stderr.contains("driver"), "{}", ended.stderr);
    }
}

#[test]
fn labels_out_of_range_are_named() {
    fails(1, "cross_entropy(randn([2, 3]), tensor([0, 7]));", &["7", "3"]);
    fails(1, "dataset_from(randn([2, 1, 8, 8]), tensor([0, 12]), #{ classes: 10 });", &["12", "10"]);
}

#[test]
fn requests_for_nothing_and_for_everything_are_refused() {
    let start = "let d = dataset(\"digits\"); let n = convnet(d, #{ width: 8 });";
    fails(1, &format!("{start}\nforget(n, d, #{{ mode: \"uniform\", fraction: 0.0 }});"), &["forget", ":2:"]);
    fails(1, &format!("{start}\nforget(n, d, #{{ mode: \"uniform\", fraction: 1.0 }});"), &["forget", ":2:"]);
    fails(1, &format!("{start}\nforget(n, d, #{{ mode: \"indices\", indices: [] }});"), &["forget", ":2:"]);
    fails(1, &format!("{start}\nforget(n, d, #{{ mode: \"uniformly\" }});"), &["uniformly", "uniform"]);
}

#[test]
fn a_loss_that_becomes_nan_stops_the_training_with_advice() {
    let script = "let d = dataset(\"digits\"); let n = convnet(d, #{ width: 8, norm: \"none\" });\n\
                  train(n, d.train, #{ epochs: 5, lr: 1e9, warmup: 0 });";
    fails(1, script, &["NaN", "epoch", "lr"]);
}

#[test]
fn missing_truncated_and_corrupt_files_are_named() {
    fails(1, "load_safetensors(\"nowhere.safetensors\");", &["nowhere.safetensors"]);
    let place = Place::new();
    place.write("half.safetensors", [8u8, 0, 0, 0, 0, 0, 0, 0, b'{', b'"']);
    place.write(
        "huge.npy",
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 9999999), }",
    );
    for (call, file) in [("load_safetensors", "half.safetensors"), ("load_npy", "huge.npy")] {
        let ended = place.run(&format!("{call}(\"{file}\");"));
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(file), "{}", ended.stderr);
    }
    let ended =
        place.run("let d = dataset(\"digits\"); let n = convnet(d, #{ width: 8 }); load(n, \"half.safetensors\");");
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("half.safetensors"), "{}", ended.stderr);
}

#[test]
fn a_checkpoint_of_another_network_names_the_parameter_and_both_shapes() {
    let script = "let d = dataset(\"digits\");\nsave(convnet(d, #{ width: 8 }), \"small.safetensors\");\n\
                  load(convnet(d, #{ width: 16 }), \"small.safetensors\");";
    fails(1, script, &["features.0.weight", "[8, 1, 3, 3]", "[16, 1, 3, 3]", ":3:"]);
}

#[test]
fn an_output_path_below_a_file_is_refused_before_anything_runs() {
    let place = Place::new();
    place.write("plain", "a file");
    let ended = place.run_with("print(\"it ran\");\nrecord(\"x\", #{ a: 1 });", &["--out", "plain/out"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("plain") && !ended.stdout.contains("it ran"), "{}", ended.stderr);
    fails(
        1,
        "write_text(\"f\", \"x\"); save_safetensors(\"f/g.safetensors\", #{ a: ones([2]) });",
        &["f/g.safetensors"],
    );
}

#[test]
fn a_full_disk_leaves_the_good_file_in_place() {
    let place = Place::new();
    let first = place.run("save_safetensors(\"good.safetensors\", #{ a: ones([4]) });");
    assert_eq!(first.code, 0, "{}", first.stderr);
    let before = std::fs::read(place.path("good.safetensors")).expect("written");
    place.write("script.rhai", "save_safetensors(\"good.safetensors\", #{ a: ones([4000000]) });");
    // A limit on the size of files stands for a full disk; the signal it sends is ignored, so that the write fails.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 64; exec {} run --quiet --device cpu script.rhai",
        env!("CARGO_BIN_EXE_lethe")
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &limited])
        .current_dir(place.folder.path())
        .output()
        .expect("bash starts");
    let ended = common::ended(output);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("good.safetensors"), "{}", ended.stderr);
    assert_eq!(std::fs::read(place.path("good.safetensors")).expect("still there"), before);
    let left: Vec<_> =
        std::fs::read_dir(place.folder.path()).expect("folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 2, "temporary files remain: {left:?}");
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    fails(
        1,
        "let d = dataset(\"digits\");\nconvnet(d, #{ widht: 16 });",
        &["widht", "did you mean `width`", "^^^^^", ":2:15"],
    );
    fails(
        1,
        "let t = load_task(\"digits/convnet\", #{ fraction: 0.1 });\nunlearn::run(\"finetun\", t);",
        &["finetun", "finetune"],
    );
    fails(2, "let x = ones([2]);\nx.summ();", &["summ", "sum", ":2:"]);
    fails(2, "sofmax(ones([2]), 0);", &["softmax"]);
    fails(1, "dataset(\"digitz\");", &["digits"]);
}

#[test]
fn endless_recursion_and_circular_imports_end_in_a_message() {
    fails(1, "fn f(x) { f(x + 1) }\nf(0);", &["f", "levels"]);
    let place = Place::new();
    place.write("a.rhai", "import \"b\" as b;");
    place.write("b.rhai", "import \"a\" as a;");
    let ended = place.run("import \"a\" as a;");
    assert!(ended.code == 1 || ended.code == 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("circular"), "{}", ended.stderr);
}

#[test]
fn too_few_samples_for_the_clusters_is_said() {
    let script = "let t = load_task(\"digits/convnet\", #{ mode: \"uniform\", fraction: 0.1 });\n\
                  let s = t.reduce(#{ method: \"mean\", per_class: 100000 });\nprint(s);";
    let ended = Place::new().run(script);
    assert!(ended.stderr.contains("the largest class has"), "{}", ended.stderr);
}

#[test]
fn a_failing_method_leaves_its_row_and_those_before_it() {
    let place = Place::new();
    let script = "let d = dataset(\"digits\"); let n = convnet(d, #{ width: 8 });\n\
                  train(n, d.train, #{ epochs: 1 });\n\
                  let t = forget(n, d, #{ mode: \"uniform\", fraction: 0.1 });\n\
                  fn broken(task, opt) { throw \"on purpose\"; }\n\
                  unlearn::run(\"finetune\", t, #{ epochs: 1 });\nunlearn::run(broken, t);";
    let ended = place.run_with(script, &["--out", "out"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("on purpose"), "{}", ended.stderr);
    let rows = place.rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0]["status"], "ok");
    assert_eq!(rows[1]["status"], "failed");
}
