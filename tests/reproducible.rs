//! One seed, one result: bit for bit on the same number of threads, equal draws on another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
use common::Place;

const EXPERIMENT: &str = r#"
let d = dataset("digits");
let n = convnet(d, #{ width: 8 });
train(n, d.train, #{ epochs: 2, lr: 0.05 });
let t = forget(n, d, #{ mode: "uniform", fraction: 0.2 });
let small = t.reduce(#{ method: "blend", per_class: 20, iterations: 2 });
for method in ["retrain", "finetune", "scrub", "ssd", "acf"] {
    unlearn::run(method, t, if method == "retrain" { #{ epochs: 2 } } else if method == "finetune" { #{ epochs: 1 } } else { #{} });
}
unlearn::run("acf", small);
print(`first weights ${convnet(d, #{ width: 4 }).weights_hash()} split ${t.split_id}`);
"#;

/// The rows without what may differ: times, memory, and the run's id.
fn rows(seed: &str, threads: &str) -> (Vec<serde_json::Value>, String) {
    let place = Place::new();
    let ended = place.run_with(EXPERIMENT, &["--out", "out", "--seed", seed, "--threads", threads]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rows = place
        .rows()
        .into_iter()
        .map(|mut row| {
            for key in ["seconds", "peak_memory", "run_id", "speed_up"] {
                row.as_object_mut().expect("a row is an object").remove(key);
            }
            row
        })
        .collect();
    (rows, ended.stdout)
}

#[test]
fn two_runs_with_one_seed_are_equal_bit_for_bit() {
    let (first, said) = rows("3", "2");
    let (second, again) = rows("3", "2");
    assert_eq!(first, second);
    assert_eq!(said, again);
    let (other, _) = rows("4", "2");
    assert_ne!(first, other, "another seed gives another result");
}

#[test]
fn another_number_of_threads_keeps_the_draws_and_nearly_the_metrics() {
    let (two, said) = rows("3", "2");
    let (one, again) = rows("3", "1");
    assert_eq!(said, again, "splits and first weights");
    for (a, b) in two.iter().zip(&one) {
        assert_eq!(a["split_id"], b["split_id"]);
        for key in ["retain_accuracy", "forget_accuracy", "test_accuracy", "mia_auc"] {
            let value = |row: &serde_json::Value| row["metrics"][key].as_f64().unwrap_or(f64::NAN);
            let gap = (value(a) - value(b)).abs();
            assert!(gap < 0.06, "{} {key}: {} against {}", a["method"], value(a), value(b));
        }
    }
}
