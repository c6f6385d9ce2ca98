//! The leaderboard as people see it.

mod best;
mod statistics;

use super::Leaderboard;
use crate::eval::{Basis, Metrics};
use crate::report::leaderboard::seed_statistics::{Query, Statistic};
use crate::report::leaderboard::{export, figure, table};
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
    board.add_original("s1", "", metrics(1.0, 1.0, 0.992, 0.659));
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
    assert!(text.contains("warning: finetune: no effect: attack AUC is still 0.640"));
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
    assert!(text.contains("note: not shown (table too wide)"));
}

#[test]
fn columns_are_explained_once_below_the_tables_and_only_those_that_are_shown() {
    let flat = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let accuracies = "RA, FA, TA: accuracy on retained, forgotten and test samples; MIA AUC: membership attack";
    let texts = [full_board().view(), board_of_seeds().view()].map(|view| flat(table::render(&view, 120, false)));
    for text in &texts {
        assert_eq!(text.matches(accuracies).count(), 1, "{text}");
        assert!(text.contains("seconds: time of unlearning") && !text.contains("JS: "), "{text}");
    }
    assert!(texts[0].contains("(in brackets: preparation included)") && !texts[0].contains("show means"));
    assert!(texts[1].contains("rows of several seeds (n) show means"));
    assert!(table::markdown(&full_board().view()).contains(accuracies));
    let several = table::terminals(&[full_board().view(), board_of_seeds().view()]);
    assert_eq!(flat(several).matches(accuracies).count(), 1);
}

#[test]
fn a_very_narrow_terminal_keeps_the_names_and_a_figure() {
    let text = table::render(&full_board().view(), 40, false);
    println!("{text}");
    assert!(text.lines().skip(2).take(9).all(|line| line.chars().count() <= 40), "{text}");
    assert!(text.contains("\nfinetune  full 638") && text.contains("RA %") && !text.contains("MIA AUC: "));
    let missing = text.lines().find(|line| line.starts_with("note: not shown (table too wide)")).unwrap();
    assert!(["TA %", "MIA AUC", "seconds"].iter().all(|name| missing.contains(name)), "{missing}");
}

#[test]
fn nothing_is_left_out_where_no_terminal_sets_a_width() {
    let narrow = table::render(&full_board().view(), 60, false);
    let (wide, whole) =
        (table::render(&full_board().view(), 120, false), table::render(&full_board().view(), None, false));
    assert_eq!(wide, whole);
    let missing = narrow.lines().find(|line| line.starts_with("note: not shown (table too wide)")).unwrap();
    assert!(missing.contains("ToW") && missing.contains("speed-up with preparation"), "{missing}");
}

#[test]
fn what_a_plus_minus_is_is_said_below_the_table_and_in_the_picture() {
    let single = full_board().view();
    let (text, svg) = (table::render(&single, None, false), figure::of(&single).svg());
    assert!(text.contains("\n± standard error\n"), "{text}");
    assert!(svg.contains(">bars: ± standard error<") && !svg.contains("standard deviation"), "{svg}");
    let mixed = board_of_seeds().view();
    let (text, svg) = (table::render(&mixed, None, false), figure::of(&mixed).svg());
    let both = "± standard deviation over seeds (n = 3), of single runs ± standard error";
    assert!(text.contains(&format!("\n{both}\n")) && table::markdown(&mixed).contains(&format!("{both}.")), "{text}");
    // Broken into lines where the panel ends.
    let words = svg
        .split(['<', '>'])
        .filter(|text| !text.contains('"') && !text.starts_with('/'))
        .collect::<Vec<_>>()
        .join(" ");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("bars: {both}")), "{words}");
    // Accuracies of single runs have no error.
    assert!(svg.contains(">bars: ± standard deviation over seeds (n = 3)<"), "{svg}");
    let none = board([row("acf", "full", 0, &Metrics::default(), 1.0)]).view();
    assert!(!figure::of(&none).svg().contains("bars: "));
}

#[test]
fn a_metric_that_some_runs_lack_rests_on_the_others_and_that_is_said() {
    let with = |seed: u64, auc: f64| {
        let mut metrics = metrics(1.0, 1.0, 0.9, auc);
        metrics.set("mia_auc_se", if auc.is_nan() { 0.5 } else { 0.01 });
        row("acf", "full", seed, &metrics, 1.0)
    };
    let text = table::render(&board([with(0, f64::NAN), with(1, 0.6), with(2, f64::NAN)]).view(), None, false);
    assert!(text.contains("0.600 ±.010 (1 of 3)"), "the error of the run that has one: {text}");
}

/// A row of a request for classes.
fn of_classes(method: &str, classes: &[i64], fa: f64, seconds: f64) -> Value {
    let mut metrics = metrics(1.0, fa, 0.98, 0.5);
    metrics.basis.classes = classes.to_vec();
    let mut row = row(method, "full", 0, &metrics, seconds);
    row["run_id"] = json!(format!("{method}-{classes:?}"));
    row["split_id"] = json!(format!("s{classes:?}"));
    row["request"] = json!({ "mode": "classwise", "fraction": null, "classes": classes, "forget": 79, "train": 797 });
    row
}

#[test]
fn the_picture_of_class_requests_has_the_accuracy_on_what_is_forgotten() {
    let rows = || [of_classes("retrain", &[3], 0.0, 1.7), of_classes("finetune", &[3], 0.97, 0.4)];
    let chart = figure::of(&board(rows()).view());
    assert_eq!(chart.panels.len(), 3);
    assert_eq!(chart.panels[1].title, "Accuracy on the forgotten class 3, %");
    let heights: Vec<f64> = chart.panels[1].points.iter().map(|point| point.y).collect();
    assert_eq!(heights, [0.0, 97.0]);
    assert!(chart.panels[1].rules.iter().any(|rule| rule.label == "retrained" && rule.y == 0.0));
    assert!(chart.panels[0].title.contains("other classes"));
    let two = board([of_classes("finetune", &[1, 5], 0.5, 1.0)]);
    assert_eq!(figure::of(&two.view()).panels[1].title, "Accuracy on the forgotten classes 1, 5, %");
    let drawn = board(rows().into_iter().chain([of_classes("finetune", &[4], 0.9, 0.4)]));
    assert_eq!(figure::of(&drawn.view()).panels[1].title, "Accuracy on the forgotten classes, %");
    let mixed = board(rows().into_iter().chain([row("ssd", "full", 0, &metrics(1.0, 1.0, 0.9, 0.5), 1.0)]));
    assert_eq!(figure::of(&mixed.view()).panels[1].title, "Accuracy on the forgotten samples, %");
    assert_eq!(figure::of(&full_board().view()).panels.len(), 2, "requests for samples");
}

#[test]
fn other_requests_data_sets_and_rounds_are_no_repetitions() {
    let view = board([
        of_classes("finetune", &[3], 0.9, 1.0),
        of_classes("finetune", &[4], 0.8, 1.0),
        row("finetune", "full", 0, &metrics(1.0, 1.0, 0.9, 0.5), 1.0),
    ])
    .view();
    let names: Vec<(&str, usize)> = view.entries.iter().map(|entry| (entry.name.as_str(), entry.rows.len())).collect();
    assert_eq!(names, [("finetune (mode=classwise)", 2), ("finetune", 1)]);
    let of = |dataset: &str, round: u64| {
        let mut row = row("acf", "full", 0, &metrics(1.0, 1.0, 0.9, 0.5), 1.0);
        row["dataset"] = json!(dataset);
        row["round"] = json!({ "number": round });
        row["run_id"] = json!(format!("{dataset}-{round}"));
        row
    };
    let view = board([of("digits", 0), of("mnist", 0), of("digits", 1)]).view();
    let names: Vec<&str> = view.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["acf (digits, round=0)", "acf (mnist, round=0)", "acf (digits, round=1)"]);
}

#[test]
fn two_dozen_methods_are_told_apart_and_keep_their_looks_from_picture_to_picture() {
    let run = Run::new(Settings::default());
    let many = Leaderboard::new(&run, "many");
    for i in 0..24 {
        many.add(row(&format!("method_{i}"), "full", 0, &metrics(1.0, 1.0, 0.9, 0.5), 1.0));
    }
    let chart = figure::of(&many.view());
    let looks: Vec<usize> = chart.panels[0].points.iter().map(|point| point.look).collect();
    assert_eq!(looks, (0..24).collect::<Vec<_>>());
    // All in one place: numbers beside the markers, names in the legend, each once.
    let svg = chart.svg();
    for i in 0..24 {
        assert_eq!(svg.matches(&format!(">{}  method_{i}<", i + 1)).count(), 1, "{svg}");
    }
    let few = Leaderboard::new(&run, "few");
    few.add(row("method_7", "full", 0, &metrics(1.0, 1.0, 0.9, 0.5), 1.0));
    assert_eq!(figure::of(&few.view()).panels[0].points[0].look, 7);
}

#[test]
fn entries_that_have_no_place_in_the_picture_are_named_in_it() {
    let mut failed = row("scrub", "full", 0, &Metrics::default(), 0.1);
    failed["status"] = json!("failed");
    let view = board([
        row("acf", "full", 0, &metrics(1.0, 1.0, 1.0, 0.5), 0.1),
        row("ssd", "full", 0, &metrics(1.0, 1.0, 1.0, f64::NAN), 0.2),
        row("ntk", "full", 0, &metrics(1.0, 1.0, 1.0, 0.5), 0.0),
        json!({ "label": "x", "method": "x", "status": "failed", "error": "loss is NaN", "metrics": {}, "seconds": {} }),
        failed,
    ])
    .view();
    let svg = figure::of(&view).svg();
    assert!(
        svg.contains("not drawn: ntk (no seconds of unlearning)") && svg.contains("not drawn: x (failed)"),
        "{svg}"
    );
    assert!(svg.contains("not drawn: scrub (failed)"), "{svg}");
    assert!(svg.contains("Membership attack, AUC: 1 of 2 points are not drawn (1 not finite)"), "{svg}");
}

#[test]
fn without_an_original_the_board_says_that_alarms_cannot_fire() {
    let run = Run::new(Settings::default());
    let plain = Leaderboard::new(&run, "");
    plain.add(row("retrain", "full", 0, &metrics(1.0, 0.9, 0.9, 0.5), 1.0));
    let missing = |board: &Leaderboard| board.view().notes().iter().any(|note| note.contains("no-ops"));
    assert!(!missing(&plain), "retraining alone is not judged");
    plain.add(row("ssd", "full", 0, &metrics(1.0, 1.0, 0.9, 0.7), 1.0));
    assert!(missing(&plain) && !missing(&full_board()));
    assert!(plain.view().title.starts_with("digits · convnet"), "the title comes from rows: {}", plain.view().title);
}

#[test]
fn originals_of_several_data_sets_have_rows_of_their_own() {
    let run = Run::new(Settings::default());
    let both = Leaderboard::new(&run, "");
    for (dataset, ta) in [("digits", 0.99), ("mnist", 0.5)] {
        both.add_original(dataset, "", metrics(1.0, 1.0, ta, 0.6));
        let mut row = row("acf", "full", 0, &metrics(1.0, 1.0, 0.9, 0.5), 1.0);
        (row["dataset"], row["split_id"], row["run_id"]) = (json!(dataset), json!(dataset), json!(dataset));
        both.add(row);
    }
    let text = table::render(&both.view(), None, false);
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_string();
    assert!(line("original (digits, convnet)").contains("99.0"), "{text}");
    assert!(line("original (mnist, convnet)").contains("50.0"), "{text}");
    // One whose results are still to come is another split of the first.
    let early = full_board();
    early.add_original("s9", "", metrics(1.0, 1.0, 0.9, 0.6));
    assert_eq!(early.view().before_by_subject().len(), 1);
}

#[test]
fn markdown_and_terminal_show_odd_labels_as_they_are() {
    let mut odd = row("acf", "full", 0, &metrics(1.0, 1.0, 1.0, 0.5), 0.1);
    odd["label"] = json!("a|b\n<c> *d* \u{1b}[31m");
    let view = board([odd]).view();
    let markdown = table::markdown(&view);
    assert!(markdown.contains("| a\\|b<br>\\<c> \\*d\\*  [31m | full 638 |"), "{markdown}");
    let text = table::render(&view, None, false);
    assert!(text.contains("\na|b <c> *d*  [31m ") && !text.contains('\u{1b}'), "{text}");
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
    assert!(export::csv(&empty.view()).is_ok() && figure::of(&empty.view()).svg().ends_with("</svg>\n"));
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
    let names = |name: &str| -> Vec<String> {
        let written = export::save(&full_board(), &place.path().join(name).display().to_string()).unwrap();
        written.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("sub/board"), ["board.csv", "board.json", "board.md", "board.svg"]);
    assert_eq!(std::fs::read_dir(place.path().join("sub")).unwrap().count(), 4, "no drafts stay");
    // An extension asks for one file, which is of that kind.
    for (name, start) in [
        ("one/a.csv", b"run_id".as_slice()),
        ("one/a.JSON", b"{".as_slice()),
        ("one/a.md", b"**digits".as_slice()),
        ("one/a.svg", b"<svg".as_slice()),
        ("one/a.png", b"\x89PNG".as_slice()),
    ] {
        assert_eq!(names(name), [name.trim_start_matches("one/")]);
        let bytes = std::fs::read(place.path().join(name)).unwrap();
        assert!(bytes.starts_with(start), "{name}: {:?}", bytes.get(..8));
    }
    assert_eq!(std::fs::read_dir(place.path().join("one")).unwrap().count(), 5);
    // The extension of another kind of file is no part of a name.
    for name in ["board.pdf", "board.GIF", "sub/board.xlsx", "board.foo"] {
        let error =
            export::save(&full_board(), &place.path().join(name).display().to_string()).unwrap_err().to_string();
        assert!(error.contains("what is written: .csv, .json, .md, .svg, .png"), "{error}");
    }
    let run = Run::new(Settings::default());
    let saved =
        |name: &str| export::save_picture(&run, "plot", &place.path().join(name).display().to_string(), "<svg/>");
    let name = |path: std::path::PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(
        ["a.svg", "a.SVG", "lr0.1", "v.2"].map(|n| name(saved(n).unwrap())),
        ["a.svg", "a.SVG", "lr0.1.svg", "v.2.svg"]
    );
    assert!(saved("a.pdf").is_err() && saved("a.csv").is_err());
}

#[test]
fn the_picture_is_well_formed_and_labels_every_method() {
    let svg = figure::of(&full_board().view()).svg();
    if let Ok(path) = std::env::var("LETHE_TEST_SVG") {
        std::fs::write(path, &svg).unwrap();
    }
    for label in ["retrain", "finetune", "acf · blend", "original", "reduced by blend"] {
        assert!(svg.contains(label), "{label}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

/// A row of a split and seeds of its own.
fn seeded(method: &str, kind: &str, seed: u64, metrics: &Metrics) -> Value {
    let mut row = row(method, kind, seed, metrics, 1.0);
    row["split_id"] = json!(format!("s{seed}"));
    row["seeds"] = json!({ "run": 0, "split": seed, "unlearn": seed });
    row
}

/// Three splits, with an original, a retrained network and three entries on each.
fn board_of_seeds() -> Leaderboard {
    let board = Leaderboard::new(&Run::new(Settings::default()), "digits · convnet · 3 splits");
    for seed in 0..3 {
        let s = 0.001 * seed as f64;
        board.add_original(&format!("s{seed}"), "", metrics(1.0, 1.0, 0.99, 0.65 + s));
        board.add(seeded("retrain", "full", seed, &metrics(1.0, 0.99 - s, 0.987, 0.502 + 3.0 * s)));
        board.add(seeded("finetune", "full", seed, &metrics(1.0, 0.995 - s, 0.992, 0.64 + s)));
        board.add(seeded("acf", "full", seed, &metrics(0.97 - s, 0.96 + 9.0 * s, 0.98, 0.51 + 3.0 * s)));
        board.add(seeded("acf", "blend", seed, &metrics(0.95, 0.94 + 9.0 * s, 0.97, 0.53 - 12.0 * s)));
    }
    board.add(seeded("ssd", "full", 0, &metrics(0.95, 0.93, 0.93, 0.54)));
    board
}

const SECOND: &str = "
Over splits and seeds: mean ± 95 % confidence interval; verdicts compare with retraining on the same split

method          retain                     RA %           FA %          TA %         MIA AUC
original (n=3)  –                 100.0 ±0.0  =  100.0 ±0.0 !=  99.0 ±0.0  =  0.651 ±.002 !=
retrain (n=3)   full 638          100.0 ±0.0      98.9 ±0.2     98.7 ±0.0     0.505 ±.007
finetune (n=3)  full 638          100.0 ±0.0  =   99.4 ±0.2  =  99.2 ±0.0  =  0.641 ±.002 !=
acf (n=3)       full 638           96.9 ±0.2 !=   96.9 ±2.2  ?  98.0 ±0.0  =  0.513 ±.007  =
acf (n=3)       blend 402 (63 %)   95.0 ±0.0 !=   94.9 ±2.2 !=  97.0 ±0.0 !=  0.518 ±.030  ?
= equivalent to retraining: the 90 % interval of the paired differences lies within ±1 point (AUC ±0.02); != different:
not equivalent, and the 95 % interval excludes 0; ? undecided
";

/// The statistic of a metric of an entry.
fn statistic(board: &Leaderboard, label: &str, retain: &str, metric: &str, query: Query) -> Value {
    let query = Query { metrics: Some(vec![metric.into()]), ..query };
    let found = board.view().statistics(&query).unwrap();
    let of = |s: &&Statistic| s.label == label && s.retain == retain;
    found.iter().find(of).unwrap_or_else(|| panic!("no {label} on {retain}")).to_json()
}
