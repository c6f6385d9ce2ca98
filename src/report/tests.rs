//! The leaderboard as people see it.

use super::{Leaderboard, export, picture, table};
use crate::eval::{Basis, Metrics};
use crate::runtime::Run;
use crate::runtime::run::Settings;
use serde_json::{Value, json};

fn metrics(ra: f64, fa: f64, ta: f64, auc: f64) -> Metrics {
    let mut m = Metrics::default();
    m.set("retain_accuracy", ra);
    m.set("forget_accuracy", fa);
    m.set("test_accuracy", ta);
    m.set("mia_auc", auc);
    m.set("mia_auc_se", 0.025);
    m.set("mia_tpr_at_1", f64::NAN);
    m.set("mia_salun", 1.0 - fa);
    m.basis = Basis { forget: 159, test: 500, attacked: 500, ..Basis::default() };
    m
}

fn row(method: &str, kind: &str, seed: u64, metrics: &Metrics, seconds: f64) -> Value {
    let full = kind == "full";
    json!({
        "run_id": format!("{method}-{kind}-{seed}"), "method": method, "label": method, "variant": "canonical",
        "accelerated": method == "acf", "dataset": "digits", "model": "convnet", "split_id": "s1", "seeds": { "run": seed },
        "retain": { "kind": kind, "per_class": if full { Value::Null } else { json!(20) },
                    "size": if full { 638 } else { 402 }, "ratio": if full { 1.0 } else { 0.63 } },
        "options": { "lr": 0.1 }, "metrics": metrics.to_json(), "peak_memory": { "bytes": 1000, "kind": "process high-water mark" },
        "seconds": { "cluster": if full { 0.0 } else { 0.21 }, "condense": if full { 0.0 } else { 0.64 },
                     "unlearn": seconds, "evaluate": 0.05 },
        "status": "ok",
    })
}

fn board(rows: impl IntoIterator<Item = Value>) -> Leaderboard {
    let board = Leaderboard::new(&Run::new(Settings::default()), "digits · convnet · 159 of 797 forgotten · seed 0");
    board.add_original("s1", metrics(1.0, 1.0, 0.992, 0.659));
    rows.into_iter().for_each(|row| board.add(row));
    board
}

fn full_board() -> Leaderboard {
    board([
        row("retrain", "full", 0, &metrics(1.0, 0.994, 0.987, 0.502), 1.7),
        row("finetune", "full", 0, &metrics(1.0, 1.0, 0.992, 0.640), 0.56),
        row("scrub", "full", 0, &metrics(0.99, 0.91, 0.97, 0.52), 0.31),
        row("ssd", "full", 0, &metrics(0.95, 0.93, 0.93, 0.54), 0.045),
        row("acf", "full", 0, &metrics(0.997, 0.971, 0.980, 0.552), 0.112),
        row("finetune", "blend", 0, &metrics(1.0, 1.0, 0.990, 0.632), 0.36),
        row("acf", "blend", 0, &metrics(0.995, 0.969, 0.978, 0.549), 0.081),
    ])
}

const TABLE: &str = "\
digits · convnet · 159 of 797 forgotten · seed 0

method    retain             RA %   FA %  TA %      MIA AUC  SalUn %  gap   ToW  seconds  prep     speed-up
original  –                 100.0  100.0  99.2  0.659 ±.025      0.0  0.4  0.99        –     –            –
retrain   full 638          100.0   99.4  98.7  0.502 ±.025      0.6  0.0  1.00     1.70     –         1.0x
finetune  full 638          100.0  100.0  99.2  0.640 ±.025      0.0  0.4  0.99     0.56     –         3.0x
scrub     full 638           99.0   91.0  97.0  0.520 ±.025      9.0  4.9  0.89     0.31     –         5.5x
ssd       full 638           95.0   93.0  93.0  0.540 ±.025      7.0  5.9  0.84    0.045     –          38x
acf       full 638           99.7   97.1  98.0  0.552 ±.025      2.9  1.4  0.97     0.11     –          15x
finetune  blend 402 (63 %)  100.0  100.0  99.0  0.632 ±.025      0.0  0.4  0.99     0.36  0.85  4.7x (1.4x)
acf       blend 402 (63 %)   99.5   96.9  97.8  0.549 ±.025      3.1  1.6  0.96    0.081  0.85   21x (1.8x)
";

#[test]
fn the_table_reads_well_in_120_columns() {
    let text = table::render(&full_board().view(), 120, false);
    println!("{text}");
    assert!(text.starts_with(TABLE), "{text}");
    assert!(text.lines().all(|line| !line.ends_with(' ')));
    let finetune = text.lines().find(|line| line.starts_with("finetune")).unwrap();
    assert!(finetune.contains("0.640 ±.025") && finetune.ends_with("3.0x"), "{finetune}");
    assert!(text.contains("warning: finetune: no-op: the attack still reads 0.640"));
    assert!(text.contains("warning: scrub: over-unlearned: 8.4 points"));
    assert!(
        text.contains("note: acf on blend: 0.85 s to prepare, 0.031 s saved a run; pays off after 28 runs"),
        "{text}"
    );
}

#[test]
fn a_narrow_terminal_loses_the_least_important_columns_and_is_told() {
    let text = table::render(&full_board().view(), 80, false);
    println!("{text}");
    let table = text.lines().skip(2).take(9);
    assert!(table.clone().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("speed-up") && text.contains("MIA AUC") && text.contains("gap") && !text.contains("ToW  "));
    assert!(text.contains("note: no room for"));
}

#[test]
fn colours_mark_the_best_and_stay_out_of_pipes() {
    let view = full_board().view();
    assert!(!table::render(&view, 120, false).contains('\x1b'));
    assert!(table::render(&view, 120, true).contains("\x1b["));
}

#[test]
fn without_a_reference_there_are_dashes_and_a_hint() {
    let text = table::render(&board([row("acf", "full", 0, &metrics(1.0, 1.0, 1.0, 0.5), 0.1)]).view(), 120, false);
    let acf = text.lines().find(|line| line.starts_with("acf")).unwrap();
    assert!(acf.ends_with('–'), "{acf}");
    assert!(text.contains("no retrained reference"), "{text}");
}

#[test]
fn seeds_of_one_label_are_averaged_and_other_options_are_not() {
    let mut other = row("finetune", "full", 2, &metrics(0.9, 0.9, 0.9, 0.5), 0.4);
    other["options"]["lr"] = json!(0.01);
    let view = board([
        row("finetune", "full", 0, &metrics(1.0, 1.0, 0.98, 0.60), 0.4),
        row("finetune", "full", 1, &metrics(1.0, 1.0, 1.00, 0.64), 0.6),
        other,
    ])
    .view();
    let text = table::render(&view, 120, false);
    assert!(text.contains("finetune (lr=0.1) (n=2)") && text.contains("finetune (lr=0.01)"), "{text}");
    assert!(text.contains("99.0 ±1.4") && text.contains("0.620 ±.028"), "{text}");
}

#[test]
fn csv_quotes_and_leaves_missing_figures_empty() {
    let mut odd = row("acf", "full", 0, &metrics(1.0, 1.0, 1.0, 0.5), 0.1);
    odd["label"] = json!("mine, \"best\"\nso far");
    let text = export::csv(&board([odd.clone()]).view()).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(&rows[0][at("label")], "original");
    assert_eq!(&rows[0][at("mia_auc")], "0.659");
    assert_eq!(&rows[1][at("label")], "mine, \"best\"\nso far");
    assert_eq!([&rows[1][at("mia_tpr_at_1")], &rows[1][at("tow")]], ["", ""]);
    assert_eq!(&rows[1][at("seconds_unlearn")], "0.1");
    assert_eq!([&rows[1][at("option_lr")], &rows[1][at("peak_memory_bytes")]], ["0.1", "1000"]);
    assert!(!text.contains("NaN"));
}

#[test]
fn failed_and_empty_boards_are_told_as_such() {
    let empty = Leaderboard::new(&Run::new(Settings::default()), "");
    assert!(table::render(&empty.view(), 100, false).contains("no results yet"));
    assert!(export::csv(&empty.view()).is_ok() && picture::of(&empty.view()).svg().ends_with("</svg>\n"));
    let failed = json!({ "label": "x", "method": "x", "status": "failed", "error": "loss is NaN", "metrics": {}, "seconds": {} });
    let text = table::render(&board([failed]).view(), 100, false);
    assert!(text.contains("warning: x: failed: loss is NaN"), "{text}");
}

#[test]
fn the_json_holds_rows_and_what_follows_from_them() {
    let value = full_board().view().to_json();
    assert_eq!(value["rows"].as_array().unwrap().len(), 7);
    assert!((value["rows"][1]["speedup"].as_f64().unwrap() - 1.7 / 0.56).abs() < 1e-9);
    assert!(value["rows"][0]["metrics"]["mia_tpr_at_1"].is_null());
    assert_eq!(value["originals"][0]["split_id"], "s1");
}

#[test]
fn saving_below_a_file_is_a_clear_error_and_a_path_is_taken_as_one() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("plain");
    std::fs::write(&file, "x").unwrap();
    let below = file.join("deeper/board").display().to_string();
    let error = export::save(&full_board(), &below).unwrap_err().to_string();
    assert!(error.contains("plain is a file, not a folder"), "{error}");
    let path = place.path().join("sub/board.csv").display().to_string();
    let written = export::save(&full_board(), &path).unwrap();
    let names: Vec<_> = written.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["board.csv", "board.json", "board.md", "board.svg"]);
    assert_eq!(std::fs::read_dir(place.path().join("sub")).unwrap().count(), 4, "no drafts stay");
}

#[test]
fn the_picture_is_well_formed_and_labels_every_method() {
    let svg = picture::of(&full_board().view()).svg();
    if let Ok(path) = std::env::var("LETHE_TEST_SVG") {
        std::fs::write(path, &svg).unwrap();
    }
    for label in ["retrain", "finetune", "acf · blend", "original", "reduced by blend"] {
        assert!(svg.contains(label), "{label}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}
