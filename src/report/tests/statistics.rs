//! Boards over splits and seeds: intervals, differences, verdicts.

use super::*;

#[test]
fn several_seeds_get_a_second_table_with_intervals_and_verdicts() {
    let view = board_of_seeds().view();
    let text = table::render(&view, 120, false);
    println!("{text}");
    assert!(text.contains(SECOND), "{text}");
    let narrow = table::render(&view, 80, false);
    println!("{narrow}");
    let second: Vec<&str> = narrow.lines().skip_while(|line| !line.starts_with("Over splits")).collect();
    assert!(second[2].contains("FA %") && second[2].contains("MIA AUC") && !second[2].contains("RA %"), "{narrow}");
    assert!(second[1..second.len() - 4].iter().take(9).all(|line| line.chars().count() <= 80), "{narrow}");
    assert!(
        narrow.contains("table too wide") && narrow.lines().any(|line| line.contains("RA %") && line.contains("note"))
    );
    let markdown = table::markdown(&view);
    assert!(markdown.contains("| acf (n=3) | full 638 | 96.9 ±0.2 != | 96.9 ±2.2  ? |"), "{markdown}");
    assert!(markdown.contains("\n= equivalent to retraining: the 90 % interval"), "{markdown}");
}

#[test]
fn a_single_seed_has_no_second_table_and_no_reference_no_marks() {
    assert!(!table::render(&full_board().view(), 120, false).contains("Over splits"));
    assert!(!table::markdown(&full_board().view()).contains("Over splits"));
    assert_eq!(full_board().view().to_json()["statistics"], json!([]));
    let rows = (0..2).map(|seed| seeded("acf", "full", seed, &metrics(1.0, 1.0, 0.9, 0.5)));
    let text = table::render(&board(rows).view(), 120, false);
    assert!(text.contains("confidence interval\n") && !text.contains("equivalent"), "{text}");
}

fn near(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|x| (x - expected).abs() < 1e-9)
}

#[test]
fn statistics_pair_each_network_with_the_one_retrained_on_its_split() {
    let board = board_of_seeds();
    let auc = statistic(&board, "acf", "full", "mia_auc", Query::default());
    // Both rise by 0.003 from split to split: the values scatter, their differences do not.
    assert!(near(&auc["difference"], 0.008) && near(&auc["difference_high"], 0.008), "{auc}");
    assert!(near(&auc["mean"], 0.513) && near(&auc["sd"], 0.003), "{auc}");
    assert!(near(&auc["high"], 0.513 + 4.302652729911275 * 0.003 / 3.0_f64.sqrt()), "{auc}");
    assert_eq!((&auc["pairs"], &auc["margin"], &auc["verdict"]), (&json!(3), &json!(0.02), &json!("equivalent")));
    let strict = Query { margin: Some(0.001), ..Query::default() };
    assert_eq!(statistic(&board, "acf", "full", "mia_auc", strict)["verdict"], "different");
    let against = Query { against: Some("acf on blend".into()), ..Query::default() };
    let other = statistic(&board, "acf", "full", "retain_accuracy", against);
    assert!(near(&other["difference"], 0.019) && other["against"] == "acf on blend", "{other}");
    assert!(statistic(&board, "retrain", "full", "mia_auc", Query::default())["difference"].is_null());
    assert_eq!(statistic(&board, "ssd", "full", "mia_auc", Query::default())["verdict"], "too few seeds");
    let seconds = statistic(&board, "acf", "full", "seconds.unlearn", Query::default());
    assert!(near(&seconds["difference"], 0.0) && seconds["verdict"].is_null(), "{seconds}");
    let absent = statistic(&board, "acf", "full", "mia_tpr_at_1", Query::default());
    assert_eq!((&absent["n"], &absent["missing"], &absent["mean"]), (&json!(0), &json!(3), &Value::Null));
}

#[test]
fn seeds_on_one_split_are_compared_with_the_same_seed_or_the_splits_mean() {
    let on = |method: &str, seed: u64, auc: f64| row(method, "full", seed, &metrics(1.0, 1.0, 1.0, auc), 1.0);
    let board = board([
        on("retrain", 0, 0.50),
        on("retrain", 1, 0.52),
        on("acf", 0, 0.60),
        on("acf", 1, 0.60),
        on("acf", 2, 0.60),
    ]);
    let found = statistic(&board, "acf", "full", "mia_auc", Query::default());
    // 0.10, 0.08, and 0.09 against the mean.
    assert!(found["pairs"] == 3 && near(&found["difference"], 0.09), "{found}");
    assert!(near(&found["difference_high"], 0.09 + 2.919985580353726 * 0.01 / 3.0_f64.sqrt()), "{found}");
    // The other way round there are two common seeds.
    let paired = board.view().paired("retrain", "acf", "mia_auc", rhai::Map::new()).unwrap();
    assert_eq!(paired["n"].as_int(), Ok(2));
    // Rows of equal split and seeds (other originals, say) are pairs in their order.
    let same = [("retrain", 0.5), ("retrain", 0.6), ("acf", 0.51), ("acf", 0.61)];
    let rows = same.into_iter().enumerate().map(|(index, (method, auc))| {
        let mut row = on(method, 0, auc);
        row["run_id"] = json!(index.to_string());
        row
    });
    let found = statistic(&self::board(rows), "acf", "full", "mia_auc", Query::default());
    assert!(found["pairs"] == 2 && near(&found["difference"], 0.01) && near(&found["difference_low"], 0.01), "{found}");
}

#[test]
fn names_and_metrics_that_are_not_on_the_board_are_refused() {
    let view = board_of_seeds().view();
    let paired = |a: &str, metric: &str| view.paired(a, "retrain", metric, rhai::Map::new());
    let words = |error: crate::runtime::Error| match error {
        crate::runtime::Error::Fault(fault) => format!("{}|{}|{}", fault.message, fault.hint, fault.notes.join(" ")),
        other => other.to_string(),
    };
    assert!(words(paired("finetun", "mia_auc").unwrap_err()).contains("did you mean \"finetune\""));
    assert!(words(paired("finetune", "mia_acu").unwrap_err()).contains("did you mean \"mia_auc\""));
    assert!(words(paired("?", "mia_auc").unwrap_err()).contains("retrain, finetune, acf, acf on blend, ssd"));
    let (full, reduced) = (paired("acf", "mia_auc").unwrap(), paired("acf on blend", "mia_auc").unwrap());
    assert!(full["mean"].as_float().unwrap() < reduced["mean"].as_float().unwrap());
    // Two sizes of one reduction are told apart by it.
    let board = board_of_seeds();
    let mut coarse = seeded("acf", "blend", 0, &metrics(0.9, 0.9, 0.9, 0.5));
    coarse["retain"]["per_class"] = json!(10);
    coarse["run_id"] = json!("coarse");
    board.add(coarse);
    let view = board.view();
    let error = words(view.paired("acf on blend", "retrain", "mia_auc", rhai::Map::new()).unwrap_err());
    assert!(error.contains("acf on blend 20, acf on blend 10"), "{error}");
    assert_eq!(view.paired("acf on blend 20", "retrain", "mia_auc", rhai::Map::new()).unwrap()["n"].as_int(), Ok(3));
}

#[test]
fn exports_hold_the_statistics_and_the_retrained_value_beside_every_value() {
    let view = board_of_seeds().view();
    let value = view.to_json();
    let statistics = value["statistics"].as_array().unwrap();
    // Five entries or originals of three seeds; ssd has one. Metrics that are never known are no statistics.
    let metrics = ["retain_accuracy", "forget_accuracy", "test_accuracy", "mia_auc", "mia_auc_se", "mia_salun"];
    for metric in metrics {
        assert_eq!(statistics.iter().filter(|s| s["metric"] == metric).count(), 5, "{metric}");
    }
    assert!(statistics.iter().any(|s| s["metric"] == "average_gap" && s["label"] == "acf"));
    assert!(statistics.iter().all(|s| s["metric"] != "mia_tpr_at_1" && s["n"].as_u64() > Some(1)));
    let text = export::csv(&view).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    assert_eq!([at("retrained_mia_auc"), at("original_mia_auc")], [at("mia_auc") + 1, at("mia_auc") + 2]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let of = |label: &str, split: &str| {
        let row = rows.iter().find(|r| &r[at("label")] == label && &r[at("split_id")] == split).unwrap();
        ["mia_auc", "retrained_mia_auc", "original_mia_auc", "retrained_mia_tpr_at_1"]
            .map(|name| row[at(name)].to_string())
    };
    assert_eq!(of("original", "s0"), ["0.65", "0.502", "0.65", ""]);
    assert_eq!(of("finetune", "s1"), ["0.641", "0.505", "0.651", ""]);
    assert_eq!(of("retrain", "s2"), ["0.508", "0.508", "0.652", ""]);
}
