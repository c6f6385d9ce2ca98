//! Every script of `scripts/` runs at smoke scale and leaves the files it says it does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Runs a script at smoke scale; returns its run folder.
fn smoke(place: &Path, script: &str, more: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = place.join(script);
    let run = assert_cmd::Command::new(env!("CARGO_BIN_EXE_lethe"))
        .env("LETHE_CACHE", place.join("cache"))
        .env("LETHE_STATE", place.join("state"))
        .args(["run", "--quiet", "--device", "cpu", "--threads", "1", "--set", "scale=smoke", "--out"])
        .arg(&out)
        .args(more.iter().flat_map(|setting| ["--set", setting]))
        .arg(root.join("scripts").join(format!("{script}.rhai")))
        .output()
        .expect("lethe starts");
    assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
    out
}

/// The names of the CSV files in the form of the reference.
fn files(out: &Path) -> BTreeSet<String> {
    let folder = std::fs::read_dir(out.join("result")).expect("result");
    folder.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Header and only line of a CSV file.
fn line(out: &Path, name: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(out.join("result").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((lines.len(), lines[0].len()), (2, lines[1].len()), "{text}");
    lines[0].iter().zip(&lines[1]).map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn columns(line: &[(String, String)]) -> String {
    line.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(",")
}

fn number(line: &[(String, String)], key: &str) -> f64 {
    let value = &line.iter().find(|(name, _)| name == key).unwrap_or_else(|| panic!("no {key}")).1;
    value.parse().unwrap_or_else(|_| panic!("{key} is {value:?}"))
}

#[test]
fn single_round_scripts_write_the_references_files_and_aggregates() {
    let place = tempfile::tempdir().expect("a folder");
    let out = smoke(place.path(), "train_originals", &[]);
    let trained = line(&out, "stat_convnet_2epochs_exp_2.csv");
    assert_eq!(columns(&trained), "Training Time,Train Accuracy,Test Accuracy,MIA Score,dataset,seed");
    assert!(number(&trained, "Training Time") > 0.0);
    // Digits are padded for them: ResNets refuse images below 32 x 32.
    let out = smoke(&place.path().join("padded"), "train_originals", &["repetitions=1", "models=[\"resnet18\"]"]);
    assert_eq!(files(&out), ["stat_resnet18_1epochs_exp_1.csv".to_string()].into());

    let out = smoke(place.path(), "unlearn_full", &["repetitions=2", "modes=[\"uniform\"]"]);
    let written = files(&out);
    let categories = "acatf retraining CF synaptic_dampening synaptic_dampening_labelfree distillation SCRUB Bad_distillation L1_sparsity pruning";
    for category in categories.split(' ') {
        assert!(
            written.contains(&format!("{category}_stats_convnet_exp_2_mode_uniform.csv")),
            "{category}: {written:?}"
        );
    }
    assert_eq!(written.len(), 20);
    let row = line(&out, "CF_stats_convnet_exp_1_mode_uniform.csv");
    assert_eq!(columns(&row), "mia_score,retain_acc,forget_acc,test_acc,unlearning_time,dataset,seed");
    assert!(number(&row, "retain_acc") > 1.0 && number(&row, "seed") == 1.0);
    let together = std::fs::read_to_string(out.join("convnet_uniform_aggregate.md")).expect("aggregate");
    assert!(together.contains("gap_low") && together.contains("| finetune |"), "{together}");
    assert!(out.join("convnet_uniform.svg").exists() && out.join("results.jsonl").exists());

    let out = smoke(place.path(), "unlearn_condensed", &["repetitions=1", "modes=[\"classwise\"]"]);
    let times = line(&out, "cond_times_stats_convnet_exp_1_mode_classwise.csv");
    assert_eq!(columns(&times), "kmeans_time,sampling_time,condensation_time,size,ratio,dataset,seed");
    // Nine classes of four clusters each, of 180 images.
    assert_eq!((number(&times, "size"), number(&times, "ratio")), (36.0, 0.2));
    assert!(files(&out).contains("pruning_cond_stats_convnet_exp_1_mode_classwise.csv"));
}

#[test]
fn the_ablations_train_on_seven_sets() {
    let place = tempfile::tempdir().expect("a folder");
    let out = smoke(place.path(), "ablations", &["repetitions=1"]);
    let rows: Vec<_> =
        (1..=7).map(|v| line(&out, &format!("L1_sparsity_ablv{v}_stats_convnet_exp_1_mode_uniform.csv"))).collect();
    let size = |v: usize| number(&rows[v - 1], "size");
    assert_eq!(size(7), 180.0);
    assert_eq!(size(4) + size(6), size(7), "free and residual samples are the retain set");
    assert!(size(2) > size(6) && size(2) < size(7) && size(3) < size(4) && size(5) < size(6));
    assert_eq!(size(1), 40.0);
    assert!(
        columns(&rows[0])
            .starts_with("mia_score,free_retain_acc,residual_retain_acc,forget_acc,test_acc,unlearning_time")
    );
    assert!(out.join("ablations_convnet_aggregate.csv").exists());
}

#[test]
fn multi_round_scripts_write_every_round_and_reuse_condenses_once() {
    let place = tempfile::tempdir().expect("a folder");
    let mut condensed = vec![];
    for (script, suffix) in [("multiround", ""), ("multiround_condensed", "_cond"), ("multiround_lite", "_cond")] {
        let out = smoke(place.path(), script, &["rounds=3"]);
        assert_eq!(files(&out).len(), 18, "{:?}", files(&out));
        let rounds: Vec<_> = (0..3)
            .map(|r| line(&out, &format!("ascrubf{suffix}_stats_convnet_exp_1_mode_uniform_round_{r}.csv")))
            .collect();
        let of = |key: &str| rounds.iter().map(|row| number(row, key)).collect::<Vec<_>>();
        assert!(of("cumulative").is_sorted() && of("ratio").is_sorted(), "{rounds:?}");
        assert_eq!(of("seconds_cluster")[1..], [0.0, 0.0]);
        assert!(out.join(format!("{script}_convnet_exp_1_seconds.svg")).exists());
        condensed.push(of("seconds_condense"));
    }
    assert_eq!(condensed[0], [0.0; 3]);
    assert!(condensed[1].iter().all(|seconds| *seconds > 0.0));
    assert!(condensed[2][1] < condensed[1][1] && condensed[2][2] < condensed[1][2], "{condensed:?}");
}

#[test]
fn condensers_are_compared_in_the_references_way_and_fairly() {
    let place = tempfile::tempdir().expect("a folder");
    let out = smoke(place.path(), "condense_compare", &[]);
    let written = files(&out);
    for method in ["blend", "gm", "dm", "idm"] {
        for n in [2, 10] {
            assert!(
                written.contains(&format!("{method}_condensation_CF_stats_convnet_exp_1_ipc_{n}.csv")),
                "{written:?}"
            );
        }
        assert!(out.join(format!("{method}_ipc_10.png")).exists());
    }
    assert!(written.contains("herding_condensation_CF_stats_convnet_exp_1_ipc_2_fair.csv"));
    assert!(out.join("condense_compare.md").exists() && out.join("condense_compare.svg").exists());
}

#[test]
fn the_table_of_all_unlearners_and_the_search_of_presets_run() {
    let place = tempfile::tempdir().expect("a folder");
    let out = smoke(place.path(), "unlearning_table", &["seeds=[0]"]);
    let rows = std::fs::read_to_string(out.join("results.jsonl")).expect("rows");
    let rows: Vec<serde_json::Value> = rows.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect();
    // 23 methods on two kinds of retain sets, and one more retraining, for two requests; unsir forgets classes alone.
    assert_eq!(rows.len(), 2 * (2 * 23 + 1) - 2);
    assert!(rows.iter().all(|row| row["error"].is_null()), "{:?}", rows.iter().find(|row| !row["error"].is_null()));
    assert!(out.join("uniform.md").exists() && out.join("class.svg").exists());
    let out = smoke(place.path(), "search_presets", &["methods=finetune,ssd,acf,scrub"]);
    assert!(std::fs::read_to_string(out.join("results.jsonl")).expect("rows").lines().count() > 12);
}

#[test]
fn scripts_that_fetch_data_hand_their_options_on_and_end_as_the_command_does() {
    let place = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (script, file) in
        [("get_cifar10", "cifar-10-binary.tar.gz"), ("get_svhn", "train_32x32.mat"), ("get_cinic10", "CINIC-10.tar.gz")]
    {
        let run = assert_cmd::Command::new(root.join("scripts").join(format!("{script}.sh")))
            .env("LETHE", env!("CARGO_BIN_EXE_lethe"))
            .env("LETHE_DATA", place.path())
            .args(["--url", "http://127.0.0.1:9/none"])
            .output()
            .expect("the script starts");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success() && said.contains(file) && said.contains("127.0.0.1:9"), "{script}: {said}");
    }
}

#[test]
fn every_script_is_short_has_a_header_and_passes_the_checker() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let scripts = std::fs::read_dir(folder).expect("scripts").map(|entry| entry.expect("entry").path());
    // The experiments of the paper; others there may be longer.
    let of_paper = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains("paper_setting("));
    let scripts: Vec<_> = scripts.filter(of_paper).collect();
    assert!(scripts.len() == 9);
    for script in scripts {
        let text = std::fs::read_to_string(&script).expect("text");
        assert!(text.lines().count() <= 70, "{} is long", script.display());
        assert!(text.starts_with("//") && text.contains("Cost:") && text.contains("Writes"), "{}", script.display());
        assert_cmd::Command::new(env!("CARGO_BIN_EXE_lethe")).arg("check").arg(&script).assert().success();
    }
}
