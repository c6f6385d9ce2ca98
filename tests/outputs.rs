//! What scripts write: where it goes, in which format, and what a run says about its results.

#![allow(clippy::expect_used)]

mod common;

use common::{Ended, Place};

/// Every writer with a name of its own, and every reader with the name that was written.
const WRITERS: &str = r#"
let d = dataset("digits", #{ per_class: 20 });
let net = convnet(d, #{ width: 4, depth: 1 });
let optimizer = sgd(net, #{ lr: 0.1 });
let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
save_npz("a.npz", #{ x: x });
save_npy("a.npy", x);
save_safetensors("a.safetensors", #{ x: x });
write_text("a.txt", "words");
save(net, "net.safetensors");
save(optimizer, "deep/optimizer.safetensors");
d.test.take(5).save("data.safetensors");
save_table("table", ["n"], [#{ n: 1 }]);
save_embeddings("embeddings", net, d.test.take(3));
plot("plot", #{ series: [#{ y: [1, 2] }] });
image_grid(d.test.take(4), "grid");
let task = forget(net, d, #{ fraction: 0.2 });
task.save_split("split");
let board = leaderboard();
board.add(#{ label: "mine", metrics: #{ test_accuracy: 0.5 } });
board.save("board");

write_text("ids.txt", "3\n5\n");
assert(load_npz("a.npz").x == x && load_npy("./a.npy") == x && load_safetensors("a.safetensors").x == x);
assert(read_text("a.txt") == "words" && read_text("table.csv") == "n\n1\n");
load(convnet(d, #{ width: 4, depth: 1 }), "net.safetensors");
load(optimizer, "deep/optimizer.safetensors");
assert(load_dataset("data.safetensors").len == 5);
assert(load_split(net, d, "split.json").split_id == task.split_id);
assert(forget(net, d, samples_from("ids.txt")).forget.len == 2);
assert(read_text("input.txt") == "from the current folder");
"#;

const WRITTEN: [&str; 19] = [
    "a.npz",
    "a.npy",
    "a.safetensors",
    "a.txt",
    "net.safetensors",
    "deep/optimizer.safetensors",
    "data.safetensors",
    "table.csv",
    "table.md",
    "embeddings.csv",
    "plot.svg",
    "grid.png",
    "split.json",
    "board.csv",
    "board.json",
    "board.md",
    "board.svg",
    "ids.txt",
    "input.txt",
];

#[test]
fn all_files_go_to_one_place_and_are_read_back_by_the_same_names() {
    for (arguments, folder, other) in [(vec!["--out", "out"], "out", "."), (vec![], ".", "runs")] {
        let place = Place::new();
        place.write("input.txt", "from the current folder");
        let ended = place.run_with(WRITERS, &arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        for name in WRITTEN.iter().filter(|name| **name != "input.txt") {
            assert!(place.path(folder).join(name).is_file(), "{name} is not in {folder}");
            assert!(!place.path(other).join(name).exists(), "{name} is in {other}");
        }
    }
}

#[test]
fn absolute_names_are_taken_as_they_are_and_files_of_the_run_are_safe() {
    let place = Place::new();
    let elsewhere = place.path("elsewhere/a.npz");
    let script = format!(
        "save_npz({elsewhere:?}, #{{ x: ones([2]) }});\nassert(load_npz({elsewhere:?}).x == ones([2]));\n\
         for name in [\"results.jsonl\", \"./status.json\", \"sources/script.rhai\"] {{\n\
             let told = \"\"; try {{ write_text(name, \"x\"); }} catch (e) {{ told = e.message; }}\n\
             assert(told.contains(\"the run's own\"), told);\n}}\n\
         try {{ leaderboard().save(\"settings.json\"); print(\"replaced\"); }} catch (e) {{ }}\n"
    );
    std::fs::create_dir(place.path("elsewhere")).expect("a folder");
    let ended = place.run_with(&script, &["--out", "out"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    assert!(elsewhere.is_file() && !place.path("out").exists());
}

#[test]
fn a_picture_is_what_its_extension_says() {
    let place = Place::new();
    let script = "
        let o = #{ title: \"loss ± 1\", series: [#{ y: [1, 2, 4] }] };
        for name in [\"a.svg\", \"b.png\", \"c.PNG\", \"d\", \"lr0.1\"] { print(plot(name, o)); }
        for name in [\"a.pdf\", \"a.jpg\", \"a.foo\"] {
            try { plot(name, o); print(\"written\"); } catch (e) { print(e.message); }
        }
        for attempt in [|| save_npz(\"a.npy\", #{ x: ones([1]) }), || save_npy(\"a.csv\", ones([1]))] {
            try { attempt.call(); print(\"written\"); } catch (e) { print(e.message); }
        }";
    let ended = place.run(script);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[..5], ["a.svg", "b.png", "c.PNG", "d.svg", "lr0.1.svg"]);
    let wrong = &lines[5..8];
    assert!(wrong.iter().all(|line| line.ends_with("what is written: .svg, .png")), "{wrong:?}");
    assert!(lines[8].ends_with("what is written: .npz") && lines[9].ends_with("what is written: .npy"), "{lines:?}");
    for name in ["b.png", "c.PNG"] {
        let picture = image::open(place.path(name)).expect("a PNG").to_luma8();
        // Text at the top: the title.
        let dark = |rows: std::ops::Range<u32>| {
            rows.flat_map(|y| (0..picture.width()).map(move |x| (x, y)))
                .filter(|(x, y)| picture.get_pixel(*x, *y).0[0] < 140)
                .count()
        };
        assert!(picture.width() > 800 && dark(20..60) > 200, "{name}: {}", dark(20..60));
    }
}

#[test]
fn embeddings_are_a_csv_in_one_call() {
    let place = Place::new();
    let ended = place.run(
        "let d = dataset(\"digits\"); let net = convnet(d, #{ width: 4, depth: 1 });
         let few = d.test.take(300);
         let names = []; for i in 0..300 { names.push(`p${i}`); }
         save_embeddings(\"e.csv\", net, few, #{ columns: #{ name: names } });
         save_table(\"t.csv\", #{ e: net.embed(few.images()), label: few.labels });
         save_table(\"t.json\", [#{ b: 1, a: \"x\" }, #{ c: [1, 2] }]);",
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let mut table = csv::Reader::from_path(place.path("e.csv")).expect("a table");
    let head: Vec<String> = table.headers().expect("a head").iter().map(String::from).collect();
    assert_eq!(head[head.len() - 3..], ["label", "index", "name"]);
    assert!(head[..head.len() - 3].iter().enumerate().all(|(at, name)| *name == format!("e{at}")));
    let rows: Vec<csv::StringRecord> = table.records().map(|row| row.expect("a row")).collect();
    assert_eq!((rows.len(), &rows[299][head.len() - 2], &rows[299][head.len() - 1]), (300, "299", "p299"));
    let mut other = csv::Reader::from_path(place.path("t.csv")).expect("a table");
    let first = other.records().next().expect("a row").expect("sound");
    let number = |text: &str| text.parse::<f64>().expect("a number");
    assert!((number(&first[0]) - number(&rows[0][0])).abs() < 1e-5 && first.len() == head.len() - 2);
    let json = std::fs::read_to_string(place.path("t.json")).expect("written");
    assert_eq!(json, "[\n{\"a\":\"x\",\"b\":1,\"c\":null},\n{\"a\":null,\"b\":null,\"c\":[1,2]}\n]\n");
}

#[test]
fn what_is_no_table_is_refused_with_what_is_wrong() {
    let place = Place::new();
    let ended = place.run(
        "for attempt in [
             || save_table(\"a.csv\", #{ a: [1, 2], b: [1] }), || save_table(\"a.csv\", #{ a: 1 }),
             || save_table(\"a.csv\", #{ a: ones([2, 2, 2]) }), || save_table(\"a.csv\", 7),
             || save_table(\"a.csv\", #{ e: ones([1, 2]), e0: [1] }), || save_table(\"a.csv\", [1]),
             || save_table(\"a.csv\", [#{ a: 1 }], #{ markdown: true }), || save_table(\"a.csv\", [])
         ] { try { attempt.call(); print(\"written\"); } catch (e) { print(e.message); } }",
    );
    let expected = [
        "`b` has 1 values and `a` has 2",
        "`a` must be an array or a tensor",
        "must be a vector or a matrix, got shape [2, 2, 2]",
        "needs rows (an array of maps), columns (a map) or a tensor",
        "two columns are called \"e0\"",
        "a row must be a map",
        "`markdown` is for names without an extension",
        "has no columns",
    ];
    for (line, expected) in ended.stdout.lines().zip(expected) {
        assert!(line.contains(expected), "{line}: not {expected}");
    }
    assert_eq!(ended.stdout.lines().count(), expected.len(), "{}{}", ended.stdout, ended.stderr);
}

const SWEEP: &str = "
import \"std/unlearn\" as unlearn;
fn push(task, opt) { let o = options(opt, #{ lr: 0.1, weight: 1.0 }); task.model() }
let d = dataset(\"digits\", #{ per_class: 20 });
let net = convnet(d, #{ width: 4, depth: 1 });
for split in 0..2 {
    let task = forget(net, d, #{ fraction: 0.2, seed: split });
    for lr in [0.5, 0.25] { unlearn::run(push, task, #{ lr: lr, seed: 3 }); }
}
unlearn::run(\"finetune\", forget(net, d).reduce(#{ method: \"random\", width: 4, per_class: 4 }), #{ epochs: 1 });
";

fn aloud(place: &Place, arguments: &[&str]) -> Ended {
    place.write("script.rhai", SWEEP);
    let usual = ["run", "--device", "cpu", "--threads", "1", "--out", "out", "script.rhai"];
    common::ended(place.lethe(&[&usual, arguments].concat()).output().expect("lethe starts"))
}

#[test]
fn finished_rows_say_their_figures_and_what_tells_them_apart_fresh_and_resumed() {
    let place = Place::new();
    let (fresh, resumed) = (aloud(&place, &[]), aloud(&place, &["--resume"]));
    assert_eq!((fresh.code, resumed.code), (0, 0), "{}{}", fresh.stderr, resumed.stderr);
    let rows = |ended: &Ended| -> Vec<String> {
        let lines = ended.stderr.lines().filter(|line| line.contains(": RA ") && line.contains(" · TA "));
        lines.map(String::from).collect()
    };
    let (fresh, resumed) = (rows(&fresh), rows(&resumed));
    assert_eq!(fresh.len(), 5, "{fresh:?}");
    assert!(fresh[0].starts_with("push (lr=0.5): RA ") && fresh[0].ends_with(" · split seed 0, seed 3"), "{fresh:?}");
    assert!(fresh[3].starts_with("push (lr=0.25): RA ") && fresh[3].ends_with(" · split seed 1, seed 3"), "{fresh:?}");
    assert!(fresh[4].starts_with("finetune (epochs=1) on random: RA "), "{fresh:?}");
    assert_eq!(fresh.iter().collect::<std::collections::HashSet<_>>().len(), 5);
    assert_eq!(resumed, fresh.iter().map(|line| format!("{line} (resumed)")).collect::<Vec<_>>());
}

#[test]
fn the_list_of_metrics_explains_its_marks_below() {
    let place = Place::new();
    let listed = |arguments: &[&str]| common::ended(place.lethe(arguments).output().expect("lethe starts")).stdout;
    let text = listed(&["list", "metrics"]);
    assert!(text.contains(" · tier 2 · ") && text.matches("; tier 2: trains copies").count() == 1);
    assert!(!listed(&["list", "models"]).contains("tier"));
    assert!(serde_json::from_str::<serde_json::Value>(&listed(&["list", "metrics", "--json"])).is_ok());
}

#[test]
fn several_boards_explain_their_columns_once() {
    let place = Place::new();
    let script = format!(
        "{SWEEP}let all = dataset(\"digits\", #{{ per_class: 30 }});\n\
        unlearn::run(push, forget(mlp(all), all, #{{ fraction: 0.2 }}), #{{ seed: 3 }});"
    );
    let ended = place.run_with(&script, &["--out", "out", "--threads", "1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let ended = common::ended(place.lethe(&["report", "out"]).output().expect("lethe starts"));
    let heads = ended.stdout.lines().filter(|line| line.starts_with("method ")).count();
    assert!(heads >= 2, "{}", ended.stdout);
    for meaning in ["RA, FA, TA: accuracy on retained, forgotten and test samples", "seconds: time of unlearning"] {
        assert_eq!(ended.stdout.replace('\n', " ").matches(meaning).count(), 1, "{meaning}: {}", ended.stdout);
    }
}
