//! The room as a whole, on digits and, where it is installed, Fashion-MNIST.

use super::reduce::{Method, PerClass};
use super::*;
use crate::data::{Data, Dataset, sources};
use crate::runtime::Run;
use crate::runtime::run::Settings;
use rhai::{Dynamic, Map};

fn run() -> Run {
    Run::new(Settings::default())
}

fn digits(run: &Run) -> Data {
    sources::load("digits", Map::new(), run).unwrap()
}

fn narrow() -> ReduceOptions {
    ReduceOptions { width: 16, ..ReduceOptions::default() }
}

fn every(n: usize, step: usize) -> Vec<usize> {
    (0..n).step_by(step).collect()
}

/// Checks what must hold of every reduction; gives it back.
fn reduced(train: &Dataset, forget: &[usize], o: &ReduceOptions, run: &Run) -> Reduced {
    let got = reduce(train, forget, o, run).unwrap();
    assert_eq!(got.dataset.len(), got.residual + got.free);
    assert_eq!(got.retain, train.len() - forget.len());
    let keys = train.keys();
    let kept = got.dataset.keys();
    assert!(forget.iter().all(|p| !kept.contains(&keys[*p])), "a forgotten sample is in the reduced set");
    got
}

#[test]
fn blend_lowers_the_matching_loss_of_digits_clearly() {
    let run = run();
    let train = digits(&run).train;
    let o = ReduceOptions { per_class: PerClass::Count(20), width: 128, ..narrow() };
    let got = reduced(&train, &every(train.len(), 40), &o, &run);
    let (before, after) = (got.loss_before.unwrap(), got.loss_after.unwrap());
    assert!(after < 0.9 * before, "{before} -> {after}");
}

#[test]
fn blend_lowers_the_matching_loss_of_fashion_mnist_clearly() {
    let run = run();
    // Not every machine has the data.
    let Ok(data) = sources::load("fashion-mnist", Map::new(), &run) else { return };
    let o = ReduceOptions { per_class: PerClass::Count(8), width: 32, ..narrow() };
    let got = reduced(&data.train.take(400), &every(400, 40), &o, &run);
    let (before, after) = (got.loss_before.unwrap(), got.loss_after.unwrap());
    assert!(after < 0.9 * before, "{before} -> {after}");
}

#[test]
fn automatic_clusters_shrink_a_uniform_request_to_about_the_floor() {
    let run = run();
    let train = digits(&run).train;
    let got = reduced(&train, &every(train.len(), 10), &narrow(), &run);
    assert!((20..=24).contains(&got.per_class), "{} clusters per class", got.per_class);
    assert!((0.4..0.8).contains(&got.ratio), "{}", got.describe());
    assert!(got.break_even(1.0).unwrap() > 0.0);
}

#[test]
fn a_class_request_leaves_one_image_for_five() {
    let run = run();
    let train = digits(&run).train;
    let labels = train.labels();
    let forget: Vec<usize> = (0..train.len()).filter(|p| labels[*p] == 3).collect();
    let got = reduced(&train, &forget, &narrow(), &run);
    assert_eq!(got.residual, 0);
    assert!((0.19..0.21).contains(&got.ratio), "{}", got.describe());
    assert!(!got.dataset.present().contains(&3));
}

#[test]
fn clusters_are_made_once_for_equal_arguments_and_anew_when_asked() {
    let run = run();
    let train = digits(&run).train;
    let o = ReduceOptions { method: Method::Mean, per_class: PerClass::Count(10), ..narrow() };
    let first = reduced(&train, &[0, 1], &o, &run);
    let second = reduced(&train, &[0, 1, 2], &o, &run);
    assert!(!first.cached && second.cached && first.clusters == second.clusters);
    let anew = reduced(&train, &[0, 1], &ReduceOptions { recluster: true, ..o.clone() }, &run);
    assert!(!anew.cached);
    assert!(!reduced(&train, &[0, 1], &ReduceOptions { seed: 1, ..o }, &run).cached);
}

#[test]
fn equal_seeds_give_equal_sets_and_every_method_keeps_labels_and_sizes() {
    let run = run();
    let train = digits(&run).train.take(200);
    for method in [Method::Blend, Method::Mean, Method::Nearest, Method::Random] {
        let o = ReduceOptions { method, per_class: PerClass::Count(6), ..narrow() };
        let (a, b) = (reduced(&train, &[5], &o, &run), reduced(&train, &[5], &o, &self::run()));
        assert_eq!(a.dataset.labels(), b.dataset.labels());
        assert_eq!(a.dataset.images().unwrap(), b.dataset.images().unwrap(), "{method:?}");
        assert_eq!(a.loss_after.is_some(), method == Method::Blend);
    }
}

#[test]
fn reductions_without_a_free_cluster_keep_the_retain_set_and_say_so() {
    let run = run();
    let train = digits(&run).train;
    let o = ReduceOptions { per_class: PerClass::Count(1), ..narrow() };
    let got = reduced(&train, &every(train.len(), 3), &o, &run);
    assert_eq!((got.free, got.ratio), (0, 1.0));
    assert!(got.warnings.iter().any(|w| w.contains("every cluster")), "{:?}", got.warnings);
}

#[test]
fn more_clusters_than_samples_are_capped_with_a_warning() {
    let run = run();
    let train = digits(&run).train.take(60);
    let got = reduced(&train, &[0], &ReduceOptions { per_class: PerClass::Count(50), ..narrow() }, &run);
    assert!(got.warnings.iter().any(|w| w.contains("fewer than 50 clusters")), "{:?}", got.warnings);
    assert!(got.warnings.iter().any(|w| w.contains("cannot pay off")), "{:?}", got.warnings);
}

#[test]
fn requests_that_leave_nothing_or_lie_outside_are_refused() {
    let run = run();
    let train = digits(&run).train.take(20);
    let all: Vec<usize> = (0..20).collect();
    assert!(reduce(&train, &all, &narrow(), &run).err().unwrap().to_string().contains("nothing is left"));
    assert!(reduce(&train, &[20], &narrow(), &run).err().unwrap().to_string().contains("beyond"));
}

#[test]
fn options_say_what_they_are_for() {
    let read = |pairs: &[(&str, Dynamic)]| {
        ReduceOptions::read(pairs.iter().map(|(k, v)| ((*k).into(), v.clone())).collect(), 0)
    };
    assert_eq!(read(&[("per_class", 12_i64.into())]).unwrap().per_class, PerClass::Count(12));
    assert_eq!(read(&[("per_class", "auto".into())]).unwrap().per_class, PerClass::Auto);
    assert!(read(&[("per_class", "many".into())]).unwrap_err().to_string().contains("\"auto\""));
    assert!(read(&[("method", "mean".into()), ("step", 1.0.into())]).is_err(), "the mean takes no step");
    assert!(read(&[("variant", "reference".into()), ("step", 1.0.into())]).is_err(), "the reference has its own step");
}
