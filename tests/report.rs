//! `lethe report`: the leaderboards of finished runs, from their folders.

#![allow(clippy::expect_used)]

mod common;

use common::{Ended, Place};
use lethe::eval::retrained::output_distance::distances;
use lethe::report::runs::predictions;
use serde_json::Value;

const RUN: &str = "
import \"std/unlearn\" as unlearn;
let d = dataset(\"digits\", #{ per_class: 20 });
let task = forget(convnet(d, #{ width: 4, depth: 1 }), d, #{ fraction: 0.2 });
for seed in 0..3 { unlearn::run(\"retrain\", task, #{ epochs: 2, seed: seed }); }
let result = unlearn::run(\"finetune\", task, #{ epochs: 1 });
result.relearn_steps = 12.5;
record(\"relearning\", result);
unlearn::run(\"ssd\", task.reduce(#{ method: \"random\", width: 4, per_class: 4 }));
";

fn finished() -> Place {
    let place = Place::new();
    let ended = place.run_with(RUN, &["--out", "out", "--threads", "1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    place
}

fn report(place: &Place, arguments: &[&str]) -> Ended {
    common::ended(place.lethe(&[&["report"], arguments].concat()).output().expect("lethe starts"))
}

fn boards(place: &Place) -> Value {
    let ended = report(place, &["out", "--format", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("JSON")
}

fn number(row: &Value, name: &str) -> f64 {
    row["metrics"][name].as_f64().unwrap_or(f64::NAN)
}

#[test]
fn distances_are_means_over_the_other_retrained_networks() {
    let place = finished();
    let found = boards(&place);
    let rows = found[0]["rows"].as_array().expect("rows");
    assert_eq!((found.as_array().map(Vec::len), rows.len()), (Some(1), 5));
    // The first three are the floor.
    let parts = rows.iter().map(|row| {
        let key = row["predictions"].as_str().expect("a name");
        predictions::read(&place.path("out"), key).expect("sound").expect("there")
    });
    let parts: Vec<_> = parts.collect();
    let apart = |a: usize, b: usize| distances(&parts[a].forget.logits, &parts[b].forget.logits).expect("distances").js;
    let close = |row: usize, expected: f64| {
        let got = number(&rows[row], "js");
        assert!((got - expected).abs() < 1e-6, "row {row}: {got} instead of {expected}");
    };
    close(0, f64::midpoint(apart(0, 1), apart(0, 2)));
    close(1, f64::midpoint(apart(1, 0), apart(1, 2)));
    close(2, f64::midpoint(apart(2, 0), apart(2, 1)));
    close(3, (apart(3, 0) + apart(3, 1) + apart(3, 2)) / 3.0);
    assert!((number(&rows[3], "relearn_steps") - 12.5).abs() < 1e-12, "what record added is a figure");
    assert!(
        rows.iter().take(3).all(|row| row["average_gap"].as_f64().is_some_and(|gap| gap > 0.0)),
        "not its own ideal"
    );
}

#[test]
fn metrics_that_did_not_exist_are_read_off_the_predictions() {
    let place = finished();
    let before = boards(&place);
    let file = place.path("out/results.jsonl");
    let text = std::fs::read_to_string(&file).expect("results");
    let older: Vec<String> = text
        .lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).expect("row");
            row["metrics"] = serde_json::json!({ "zrf": row["metrics"]["zrf"] });
            row.to_string()
        })
        .collect();
    std::fs::write(&file, older.join("\n") + "\n").expect("written");
    let after = boards(&place);
    for (a, b) in
        before[0]["rows"].as_array().into_iter().flatten().zip(after[0]["rows"].as_array().into_iter().flatten())
    {
        for name in ["retain_accuracy", "mia_auc", "mia_salun", "nomus", "aus", "zrf", "kl", "epsilon"] {
            assert!(
                (number(a, name) - number(b, name)).abs() < 1e-9,
                "{name}: {} and {}",
                number(a, name),
                number(b, name)
            );
        }
    }
}

#[test]
fn figures_can_be_chosen_and_everything_saved() {
    let place = finished();
    let ended = report(&place, &["out", "--columns", "forget_accuracy,js,relearn_steps", "--format", "markdown"]);
    assert!(ended.stdout.contains("| method | retain | FA % | JS ↓ | relearn_steps |"), "{}", ended.stdout);
    assert!(ended.stdout.contains("no method can be expected to come closer"), "{}", ended.stdout);
    let ended = report(&place, &["out", "--columns", "jss"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("no figure \"jss\"") && ended.stderr.contains("did you mean \"js\"?"),
        "{}",
        ended.stderr
    );
    assert_eq!(report(&place, &["out", "--quiet", "--save", "saved/table"]).code, 0);
    for extension in ["csv", "json", "md", "svg"] {
        assert!(place.path(&format!("saved/table.{extension}")).is_file(), "{extension}");
    }
    let ended = report(&place, &["out", "--format", "csv"]);
    let mut lines = ended.stdout.lines();
    let header = lines.next().expect("header");
    assert!(header.contains(",js,retrained_js,original_js,") && header.contains(",tow_mia,"), "{header}");
    assert_eq!(lines.count(), 6, "the original and five results");
}

#[test]
fn a_pipe_gets_every_column_and_is_told_what_a_plus_minus_is() {
    let place = finished();
    let ended = report(&place, &["out"]);
    let head = ended.stdout.lines().find(|line| line.starts_with("method")).expect("a table");
    for heading in ["RA %", "SalUn %", "gap", "ToW", "JS", "RMIA", "seconds", "prep", "speed-up"] {
        assert!(head.contains(heading), "{heading} in {head}");
    }
    assert!(!ended.stdout.contains("table too wide") && ended.stdout.contains("\noriginal "), "{}", ended.stdout);
    let legend = "± standard deviation over seeds (n = 3), of single runs ± standard error";
    assert!(ended.stdout.lines().any(|line| line == legend), "{}", ended.stdout);
    for wrong in [["--plot", "picture.pdf"], ["--save", "table.xlsx"]] {
        let ended = report(&place, &["out", wrong[0], wrong[1]]);
        assert!(ended.code == 2 && ended.stderr.contains("what is written: ."), "{}", ended.stderr);
    }
    assert!(
        std::fs::read_dir(place.path("."))
            .expect("a folder")
            .flatten()
            .all(|f| f.path().extension().is_none_or(|e| e != "svg"))
    );
}

#[test]
fn differences_from_a_baseline_are_told_and_the_picture_saved() {
    let place = finished();
    let ended = report(&place, &["out", "--baseline", "finetune", "--columns", "js", "--format", "markdown"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told = ended.stdout.split_once("**Differences from finetune").expect("a table of differences").1;
    assert!(told.contains("| original | – | ") && told.contains("| retrain (n=3) | full "), "{told}");
    assert!(!told.contains("| finetune |"), "nobody is measured against himself: {told}");
    // What the table shows is the mean of the differences themselves.
    let found = boards(&place);
    let rows = found[0]["rows"].as_array().expect("rows");
    let expected = (0..3).map(|row| number(&rows[row], "js") - number(&rows[3], "js")).sum::<f64>() / 3.0;
    let shown = format!("{}{:.3} ±", if expected < 0.0 { '-' } else { '+' }, expected.abs());
    assert!(told.contains(&shown), "{shown} in {told}");
    let ended = report(&place, &["out", "--baseline", "finetunes"]);
    assert!(ended.code == 2 && ended.stderr.contains("did you mean \"finetune\"?"), "{}", ended.stderr);
    let ended = report(&place, &["out", "--baseline", "finetune", "--format", "csv"]);
    assert!(ended.code == 2 && ended.stderr.contains("CSV"), "{}", ended.stderr);
    assert_eq!(report(&place, &["out", "--plot", "picture.svg"]).code, 0);
    assert!(std::fs::read_to_string(place.path("picture.svg")).expect("a picture").starts_with("<svg"));
}

#[test]
fn predictions_that_are_gone_or_damaged_are_said_and_the_recorded_metrics_stay() {
    let place = finished();
    let before = number(&boards(&place)[0]["rows"][3], "mia_auc");
    let files: Vec<_> = std::fs::read_dir(place.path("out/predictions")).expect("predictions").flatten().collect();
    std::fs::write(files[0].path(), "nonsense").expect("damaged");
    let ended = report(&place, &["out"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("warning: predictions of"), "{}", ended.stderr);
    std::fs::remove_dir_all(place.path("out/predictions")).expect("removed");
    let ended = report(&place, &["out"]);
    assert!(ended.stderr.contains("5 results have no stored predictions"), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("note: no original network for these results: alarms for no-ops"),
        "{}",
        ended.stdout
    );
    assert!((number(&boards(&place)[0]["rows"][3], "mia_auc") - before).abs() < 1e-12);
}

#[test]
fn what_is_no_run_is_refused() {
    let place = Place::new();
    let ended = report(&place, &["nothing"]);
    assert!(ended.code == 2 && ended.stderr.contains("nothing is no run folder"), "{}", ended.stderr);
    place.write("out/results.jsonl", "{\"record\":\"note\",\"x\":1}\n");
    let ended = report(&place, &["out"]);
    assert!(ended.code == 2 && ended.stderr.contains("no results of methods in out"), "{}", ended.stderr);
    place.write("out/results.jsonl", "{\"record\"\n");
    let ended = report(&place, &["out"]);
    assert!(ended.code == 2 && ended.stderr.contains("damaged"), "{}", ended.stderr);
    assert_eq!(report(&place, &[]).code, 2);
}
