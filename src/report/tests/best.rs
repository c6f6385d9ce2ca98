//! What of a column is the best, by the direction of its metric.

use super::*;

/// Whether a cell of a column of the Markdown is bold, by row.
fn bold(view: &crate::report::leaderboard::view::View, column: &str) -> Vec<(String, bool)> {
    let text = table::markdown(view);
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    let mut rows = text.lines().filter(|line| line.starts_with('|')).map(cells);
    let at = rows
        .next()
        .unwrap()
        .iter()
        .position(|cell| cell.trim_end_matches([' ', '↑', '↓']) == column)
        .unwrap_or_else(|| panic!("no column {column}"));
    let rows = rows.skip(1).take_while(|row| row.get(at).is_some());
    rows.map(|row| (row[1].clone(), row[at].starts_with("**"))).collect()
}

/// The rows that are bold.
fn bold_rows(view: &crate::report::leaderboard::view::View, column: &str) -> Vec<String> {
    bold(view, column).into_iter().filter(|(_, bold)| *bold).map(|(row, _)| row).collect()
}

#[test]
fn the_best_of_a_column_is_bold_among_the_methods_in_markdown() {
    let view = full_board().view();
    let best: [(&str, &[&str]); 5] = [
        ("RA %", &["finetune", "finetune"]),
        ("TA %", &["finetune"]),
        ("MIA AUC", &["scrub"]),
        ("seconds", &["ssd"]),
        ("speed-up", &["ssd"]),
    ];
    for (column, wanted) in best {
        assert_eq!(bold_rows(&view, column), wanted, "{column}");
    }
    // The original and the retrained network are no methods, whatever their figures.
    let all = ["RA %", "FA %", "TA %", "MIA AUC", "SalUn %", "gap", "ToW", "seconds", "prep", "speed-up"];
    for column in all {
        assert!(bold_rows(&view, column).iter().all(|row| row != "original" && row != "retrain"), "{column}");
    }
    let heads = ["| RA % |", "| TA % ↑ |", "| gap ↓ |", "| ToW ↑ |", "| seconds ↓ |", "| speed-up ↑ |"];
    assert!(heads.iter().all(|head| table::markdown(&view).contains(head)), "{}", table::markdown(&view));
    assert!(bold_rows(&view, "prep").is_empty(), "all of them cost the same");
    assert!(table::markdown(&view).contains("Bold: the best of a column"));
    let one = board([
        row("retrain", "full", 0, &metrics(1.0, 0.994, 0.987, 0.502), 1.7),
        row("acf", "full", 0, &metrics(0.9, 0.9, 0.9, 0.5), 0.1),
    ]);
    assert!(bold_rows(&one.view(), "FA %").is_empty() && !table::markdown(&one.view()).contains("Bold"));
}

#[test]
fn a_broken_or_collapsed_network_is_the_best_of_nothing() {
    let with = |method: &str, mut m: Metrics, broken: usize, class: Option<i64>| {
        (m.basis.outputs, m.basis.not_finite, m.basis.only_class) = (900, broken, class);
        row(method, "full", 0, &m, if broken + class.map_or(0, |_| 1) > 0 { 0.001 } else { 1.0 + m.get("mia_auc") })
    };
    let view = board([
        with("retrain", metrics(1.0, 0.99, 0.98, 0.50), 0, None),
        with("finetune", metrics(0.98, 0.97, 0.96, 0.55), 0, None),
        with("acf", metrics(0.97, 0.96, 0.95, 0.53), 0, None),
        with("collapsed", metrics(0.1, 0.1, 0.1, 0.50), 0, Some(3)),
        with("broken", metrics(1.0, 0.99, 0.98, 0.50), 9, None),
    ]);
    let view = view.view();
    for column in ["RA %", "FA %", "TA %", "MIA AUC", "SalUn %", "gap", "ToW", "seconds", "speed-up"] {
        let found = bold_rows(&view, column);
        assert!(found == ["finetune"] || found == ["acf"], "{column}: {found:?}");
    }
    let text = table::markdown(&view);
    assert!(
        text.contains("broken: broken outputs: 9 of 900") && text.contains("collapsed: collapsed: each of"),
        "{text}"
    );
}

/// A board of three methods with this metric, with or without a retrained network at 0.4.
fn board_of(metric: &str, retrained: bool, values: [f64; 3]) -> Leaderboard {
    let with = |method: &str, value: f64| {
        let mut m = Metrics::default();
        m.set(metric, value);
        row(method, "full", 0, &m, 1.0)
    };
    let rows = ["low", "middle", "high"].into_iter().zip(values).map(|(method, value)| with(method, value));
    let board = board(retrained.then(|| with("retrain", 0.4)).into_iter().chain(rows));
    board.choose(vec![metric.into()]).unwrap();
    board
}

#[test]
fn every_column_a_board_can_show_has_its_best_by_the_direction_of_its_metric() {
    use crate::eval::Direction;
    let own = |name: &str| crate::report::leaderboard::view::DERIVED.contains(&name);
    for metric in crate::eval::metric_list::list().into_iter().filter(|metric| !own(metric.name)) {
        for retrained in [true, false] {
            let view = board_of(metric.name, retrained, [0.1, 0.45, 0.9]).view();
            let wanted: &[&str] = match metric.direction {
                Direction::Higher => &["high"],
                Direction::Lower => &["low"],
                Direction::NearRetrained if retrained => &["middle"],
                Direction::NearChance => &["middle"],
                Direction::NearRetrained | Direction::None => &[],
            };
            let heading = crate::report::leaderboard::columns::columns(&view)[0].heading.to_string();
            assert_eq!(bold_rows(&view, &heading), wanted, "{} (retrained: {retrained})", metric.name);
            assert!(table::render(&view, 120, true).contains("\x1b["));
        }
        // NaN is never the best, and one value is the best of nothing.
        let view = board_of(metric.name, true, [f64::NAN, f64::NAN, 0.9]).view();
        let heading = crate::report::leaderboard::columns::columns(&view)[0].heading.to_string();
        assert!(bold_rows(&view, &heading).is_empty(), "{}", metric.name);
    }
    use crate::report::leaderboard::columns::direction_of;
    let derived = ["average_gap", "accuracy_gap", "tow", "tow_mia", "speedup", "speedup_prepared"].map(direction_of);
    use Direction::{Higher, Lower};
    assert_eq!(derived, [Lower, Lower, Higher, Higher, Higher, Higher]);
    assert_eq!(["seconds.unlearn", "preparation", "peak_memory"].map(direction_of), [Lower; 3]);
    assert_eq!(direction_of("my_own_figure"), Direction::None);
}

#[test]
fn a_mean_over_fewer_runs_says_so_and_is_not_the_best() {
    let board = Leaderboard::new(&Run::new(Settings::default()), "");
    for seed in 0..3 {
        board.add(seeded("retrain", "full", seed, &metrics(1.0, 0.99, 0.98, 0.50)));
        board.add(seeded("steady", "full", seed, &metrics(0.95, 0.96, 0.97, 0.53 + 0.001 * seed as f64)));
        board.add(seeded("other", "full", seed, &metrics(0.94, 0.95, 0.96, 0.55)));
        let mut broken = metrics(0.99, 0.99, 0.98, 0.50);
        if seed == 1 {
            ["test_accuracy", "mia_auc"].iter().for_each(|name| broken.set(name, f64::NAN));
        }
        board.add(seeded("broken", "full", seed, &broken));
    }
    let view = board.view();
    let text = table::render(&view, 160, false);
    println!("{text}");
    let line = |from: &str| text.lines().filter(|line| line.starts_with(from)).map(String::from).collect::<Vec<_>>();
    let broken = line("broken");
    assert!(broken[0].contains("98.0 ±0.0 (2 of 3)") && broken[0].contains("0.500 ±.000 (2 of 3)"), "{broken:?}");
    assert!(broken[0].contains("99.0 ±0.0 ") && !broken[0].contains("99.0 ±0.0 (2"), "{broken:?}");
    assert!(broken[1].contains("98.0 ±0.0 (2 of 3)  ="), "the second table says it, too: {broken:?}");
    assert!(!line("steady").concat().contains("of 3"), "{text}");
    assert_eq!(bold_rows(&view, "TA %"), ["steady (n=3)"]);
    assert_eq!(bold_rows(&view, "RA %"), ["broken (n=3)"]);
    let auc = statistic(&board, "broken", "full", "mia_auc", Query::default());
    assert_eq!((&auc["n"], &auc["missing"], &auc["pairs"]), (&json!(2), &json!(1), &json!(2)));
    // A retrained network that lacks a figure takes a pair away.
    let mut odd = metrics(1.0, 0.99, f64::NAN, 0.50);
    odd.basis.outputs = 1;
    let mut row = seeded("retrain", "full", 2, &odd);
    row["run_id"] = json!("retrain-full-2");
    board.add(row);
    let text = table::render(&board.view(), 160, false);
    assert!(text.contains("97.0 ±0.0 (2 of 3 pairs) "), "{text}");
}
