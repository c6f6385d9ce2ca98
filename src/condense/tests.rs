//! The room as a whole, on digits and, where it is installed, Fashion-MNIST.

use super::reduce::Gone;
use super::*;
use crate::condense::cluster::per_class::PerClass;
use crate::condense::options::{Method, Recipe};
use crate::data::{Data, Dataset, load};
use crate::runtime::run::Settings;
use crate::runtime::{Options, Run};
use rhai::{Dynamic, Map};

fn run() -> Run {
    Run::new(Settings::default())
}

fn digits(run: &Run) -> Data {
    load::load("digits", Map::new(), run).unwrap()
}

fn narrow() -> ReduceOptions {
    ReduceOptions { width: 16, ..ReduceOptions::default() }
}

/// A method with a few small options.
fn recipe(method: Method, pairs: &[(&str, Dynamic)]) -> Recipe {
    let given = pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
    Recipe::read(&mut Options::new("test", given), "test", method).unwrap()
}

/// The same with few iterations, where it iterates.
fn brief(method: Method) -> Recipe {
    match method {
        Method::Dc | Method::Dm | Method::Idm => {
            recipe(method, &[("iterations", 2_i64.into()), ("batch", 16_i64.into())])
        }
        _ => recipe(method, &[]),
    }
}

fn every(n: usize, step: usize) -> Vec<usize> {
    (0..n).step_by(step).collect()
}

/// Checks what must hold of every reduction; gives it back.
fn reduced(train: &Dataset, forget: &[usize], o: &ReduceOptions, run: &Run) -> Reduced {
    let got = reduce(train, forget, o, run).unwrap();
    let copies = if got.method == Method::Idm { 4 } else { 1 };
    assert_eq!(got.dataset.len(), got.residual + copies * got.free);
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
    let Ok(data) = load::load("fashion-mnist", Map::new(), &run) else { return };
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
    let o = ReduceOptions { recipe: brief(Method::Mean), per_class: PerClass::Count(10), ..narrow() };
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
    for method in Method::ALL {
        let o = ReduceOptions { recipe: brief(method), per_class: PerClass::Count(6), ..narrow() };
        let (a, b) = (reduced(&train, &[5], &o, &run), reduced(&train, &[5], &o, &self::run()));
        assert_eq!(a.dataset.labels(), b.dataset.labels());
        assert_eq!(a.dataset.present(), train.present(), "{method:?}");
        assert_eq!(a.dataset.images().unwrap(), b.dataset.images().unwrap(), "{method:?}");
        let matches = matches!(method, Method::Blend | Method::Dc | Method::Dm | Method::Idm);
        assert_eq!((a.loss_before.is_some(), a.loss_after.is_some()), (matches, matches), "{method:?}");
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
    let got = reduced(&train, &[0], &ReduceOptions { per_class: PerClass::Count(11), ..narrow() }, &run);
    assert!(got.warnings.iter().any(|w| w.contains("fewer than 11 clusters")), "{:?}", got.warnings);
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
    assert!(read(&[("per_class", "many".into())]).err().unwrap().to_string().contains("\"auto\""));
    assert!(read(&[("method", "mean".into()), ("step", 1.0.into())]).is_err(), "the mean takes no step");
    assert!(read(&[("variant", "reference".into()), ("step", 1.0.into())]).is_err(), "the reference has its own step");
}

#[test]
fn without_earlier_requests_new_clusters_are_made_and_the_ratio_recovers() {
    let run = run();
    let train = digits(&run).train;
    let n = train.len();
    let (first, both): (Vec<usize>, Vec<usize>) = (every(n, 10), (0..n).filter(|p| p % 10 < 2).collect());
    let o = ReduceOptions { recipe: brief(Method::Mean), per_class: PerClass::Count(20), ..narrow() };
    let kept = reduced(&train, &both, &o, &run);
    let again = ReduceOptions { without: Some(Gone::Samples(train.subset(&first))), ..o.clone() };
    let anew = reduced(&train, &both, &again, &run);
    assert!(!anew.cached && anew.ratio < kept.ratio - 0.05, "{} instead of {}", anew.ratio, kept.ratio);
    let by_place = Gone::Positions(first.iter().map(|p| *p as i64).collect());
    let same = reduced(&train, &both, &ReduceOptions { without: Some(by_place), ..o.clone() }, &run);
    assert_eq!(same.dataset.images().unwrap(), anew.dataset.images().unwrap());
    let fails = |gone| {
        reduce(&train, &both, &ReduceOptions { without: Some(gone), ..o.clone() }, &run).err().unwrap().to_string()
    };
    assert!(fails(Gone::Positions(vec![5])).contains("sample 5, which the task retains"));
    assert!(fails(Gone::Positions(vec![-1])).contains("position -1"));
    assert!(fails(Gone::Samples(digits(&run).test)).contains("not in the training set"));
}

#[test]
fn images_of_clusters_that_are_still_free_are_taken_from_the_round_before() {
    let run = run();
    let train = digits(&run).train;
    let o = ReduceOptions { per_class: PerClass::Count(20), reuse: true, ..narrow() };
    let first = reduced(&train, &every(train.len(), 20), &o, &run);
    assert_eq!(first.reused, 0);
    let forget = every(train.len(), 10);
    let second = reduced(&train, &forget, &o, &run);
    assert_eq!((second.reused, second.cached), (second.free, true));
    // Nothing but time is saved: the images are those that would have been made.
    let fresh = reduced(&train, &forget, &ReduceOptions { reuse: false, ..o.clone() }, &run);
    assert_eq!(second.dataset.labels(), fresh.dataset.labels());
    let (a, b) = (second.dataset.images().unwrap(), fresh.dataset.images().unwrap());
    let gaps = Vec::<f32>::try_from((&a - &b).abs().flatten(1, -1).amax([1], false)).unwrap();
    // Other clusters in the batch round differently; what hardly matters to the loss may end elsewhere.
    let far = gaps.iter().filter(|gap| **gap > 1e-3).count();
    assert!(far <= gaps.len() / 100, "{far} of {} images differ", gaps.len());
    let (kept, anew) = (second.loss_after.unwrap(), fresh.loss_after.unwrap());
    assert!((kept / anew - 1.0).abs() < 0.05, "{kept} instead of {anew}");
    // A cluster that becomes free again (another request) is condensed when it is first needed.
    let other: Vec<usize> = every(train.len(), 20).iter().map(|p| p + 1).filter(|p| *p < train.len()).collect();
    let third = reduced(&train, &other, &o, &run);
    assert!(third.reused > 0 && third.reused < third.free);
    let message =
        |recipe| reduce(&train, &forget, &ReduceOptions { recipe, ..o.clone() }, &run).err().unwrap().to_string();
    assert!(message(brief(Method::Dm)).contains("`reuse`"));
}

#[test]
fn matching_makes_as_many_images_of_a_class_as_it_has_free_clusters() {
    let run = run();
    let train = digits(&run).train.take(300);
    let o = ReduceOptions { recipe: brief(Method::Dm), per_class: PerClass::Count(8), ..narrow() };
    let forget = every(train.len(), 30);
    let (matched, blended) = (
        reduced(&train, &forget, &o, &run),
        reduced(&train, &forget, &ReduceOptions { recipe: Recipe::default(), ..o }, &run),
    );
    let count = |set: &Dataset| (0..10).map(|c| set.of(&[c]).len()).collect::<Vec<_>>();
    assert_eq!(count(&matched.dataset), count(&blended.dataset));
}
