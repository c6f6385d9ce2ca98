//! Facts about datasets, requests and files.

use super::{Data, Dataset, DatasetInfo};
use crate::data::forget_request;
use crate::data::forget_request::Request;
use crate::data::load::load;
use crate::runtime::run::Settings;
use crate::runtime::{Options, Run, Stream};
use proptest::prelude::*;
use rhai::Map;
use tch::{Kind, Tensor};

/// `n` images whose first pixel is their number, labels 0..classes in turn.
fn numbered(n: i64, classes: i64) -> Dataset {
    let images = Tensor::f_arange(n, (Kind::Float, tch::Device::Cpu)).unwrap().f_view([n, 1, 1, 1]).unwrap();
    let images = images.f_expand([n, 1, 2, 2], false).unwrap();
    let labels = Tensor::f_from_slice(&(0..n).map(|i| i % classes).collect::<Vec<_>>()).unwrap();
    let info = DatasetInfo { classes: Some(classes as usize), ..DatasetInfo::default() };
    Dataset::from_tensors(&images, &labels, info).unwrap()
}

fn digits(options: Map) -> Data {
    load("digits", options, &Run::new(Settings::default())).unwrap()
}

/// The first pixel of each image.
fn numbers(x: &Tensor) -> Vec<i64> {
    let first = x.f_flatten(1, -1).unwrap().f_select(1, 0).unwrap();
    super::storage::integers(&first).unwrap()
}

fn options(pairs: &[(&str, rhai::Dynamic)]) -> Map {
    pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect()
}

fn request_of(pairs: &[(&str, rhai::Dynamic)]) -> crate::runtime::Result<Request> {
    let mut o = Options::new("forget", options(pairs));
    let request = Request::read(&mut o)?;
    o.finish()?;
    Ok(request)
}

#[test]
fn digits_have_disjoint_parts_of_the_agreed_sizes_and_normalisation() {
    let data = digits(Map::new());
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (797, 500, 500));
    let mut keys: Vec<_> = [&data.train, &data.validation, &data.test].iter().flat_map(|part| part.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 1797);
    let all = data.train.plus(&data.validation).unwrap().plus(&data.test).unwrap().images().unwrap();
    let (mean, std) = (all.f_mean(None).unwrap().double_value(&[]), all.f_std(true).unwrap().double_value(&[]));
    assert!(mean.abs() < 1e-3 && (std - 1.0).abs() < 1e-3, "mean {mean}, std {std}");
    assert_eq!(data.describe(), "Dataset digits: train 797 · validation 500 · test 500 · [1, 8, 8] · 10 classes");
}

#[test]
fn u8_images_are_normalised_alike_at_once_and_batch_by_batch() {
    let data = digits(Map::new());
    let batch = data.test.gather(&[3, 1, 3]).unwrap();
    let stored = data.test.images().unwrap();
    for (row, position) in [3, 1, 3].into_iter().enumerate() {
        assert_eq!(batch.x.f_get(row as i64).unwrap(), stored.f_get(position).unwrap());
    }
    assert_eq!(batch.labels, [3, 1, 3].map(|p| data.test.labels()[p]));
    assert_eq!(super::storage::integers(&batch.y).unwrap(), batch.labels);
}

#[test]
fn per_class_keeps_so_many_of_each_and_the_rest_of_the_parts() {
    let (all, few) = (digits(Map::new()), digits(options(&[("per_class", 12_i64.into())])));
    assert_eq!(few.train.len(), 120);
    assert!((0..10).all(|class| few.train.of(&[class]).len() == 12));
    assert_eq!(few.test.labels(), all.test.labels());
    let other = digits(options(&[("per_class", 12_i64.into()), ("seed", 1_i64.into())]));
    assert_ne!(few.train.labels(), other.train.labels());
    assert!(all.id != few.id && few.id != other.id);
}

#[test]
fn joined_datasets_keep_order_across_storages_and_drop_no_duplicates() {
    let (a, b) = (numbered(5, 5), numbered(7, 7));
    let joined = a.plus(&b).unwrap().plus(&a).unwrap();
    assert_eq!(numbers(&joined.images().unwrap()), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4]);
    let picked = joined.gather(&[12, 11, 0, 6]).unwrap();
    assert_eq!(numbers(&picked.x), [0, 6, 0, 1]);
    assert_eq!(picked.labels, [0, 6, 0, 1]);
    assert_eq!(joined.classes(), 7);
    assert_eq!(joined.of(&[6, 4]).len(), 4);
}

#[test]
fn empty_datasets_have_shapes_and_no_batches() {
    let none = numbered(4, 2).take(0);
    assert_eq!(none.images().unwrap().size(), [0, 1, 2, 2]);
    assert_eq!(none.all().unwrap().len, 0);
    assert_eq!(none.chunks(3).count(), 0);
    assert_eq!(none.plus(&numbered(2, 2)).unwrap().len(), 2);
    assert!(none.sample(1, &mut Stream::new(0, "s")).is_err());
}

#[test]
fn passes_visit_everything_once_with_the_last_short_batch() {
    let data = numbered(10, 2);
    let sizes: Vec<usize> = data.chunks(4).map(|batch| batch.unwrap().len).collect();
    assert_eq!(sizes, [4, 4, 2]);
    let mut seen: Vec<i64> = vec![];
    for batch in data.batches(3, &mut Stream::new(1, "b")).unwrap() {
        let batch = batch.unwrap();
        assert_eq!(numbers(&batch.x), batch.index);
        seen.extend(&batch.index);
    }
    assert_ne!(seen, (0..10).collect::<Vec<_>>());
    seen.sort_unstable();
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

#[test]
fn wrong_tensors_are_refused_with_a_reason() {
    let images = Tensor::f_zeros([3, 1, 2, 2], (Kind::Float, tch::Device::Cpu)).unwrap();
    let labels = |values: &[i64]| Tensor::f_from_slice(values).unwrap();
    let message = |images: &Tensor, labels: &Tensor, classes| {
        let info = DatasetInfo { name: "set".into(), classes, ..DatasetInfo::default() };
        Dataset::from_tensors(images, labels, info).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(message(&images, &labels(&[0, 1]), None), "set: 3 images but 2 labels");
    assert_eq!(message(&images, &labels(&[0, 1, 2]), Some(2)), "set: label 2 of image 2 is outside 0..2");
    assert_eq!(message(&images, &labels(&[0, -1, 1]), None), "set: label -1 of image 1 is outside 0..2");
    assert!(message(&images, &labels(&[0, 1, 1 << 50]), None).contains("classes are more than"));
    assert!(message(&images.f_view([12]).unwrap(), &labels(&[0; 12]), None).contains("must have shape"));
    assert!(message(&images, &images.f_view([12]).unwrap(), None).contains("labels must be integers"));
    assert!(message(&images.f_to_kind(Kind::Bool).unwrap(), &labels(&[0; 3]), None).contains("u8 or float"));
}

#[test]
fn the_reference_truncates_seven_tenths_of_ninety_thousand_to_62_999() {
    assert_eq!(super::share::truncated(0.7, 90_000), 62_999);
    assert_eq!(super::share::truncated(0.7, 26_032), 18_222);
    assert_eq!(super::share::truncated(0.001, 45_000), 45);
}

#[test]
fn requests_are_read_from_options_and_contradictions_refused() {
    assert_eq!(request_of(&[]).unwrap(), Request::default());
    let large = request_of(&[("mode", "large_uniform".into())]).unwrap();
    assert_eq!(large, Request::Fraction { mode: "large_uniform".into(), fraction: 0.5 });
    assert_eq!(request_of(&[("mode", "k_classwise".into())]).unwrap(), Request::Classes(vec![1, 2, 3]));
    assert!(request_of(&[("fraction", 0.1.into()), ("count", 3_i64.into())]).is_err());
    assert!(request_of(&[("mode", "classwise".into()), ("fraction", 0.1.into())]).is_err());
    assert!(request_of(&[("mode", "indices".into())]).unwrap_err().to_string().contains("needs `indices`"));
}

#[test]
fn forgetting_nothing_or_everything_is_an_error() {
    let data = numbered(20, 4);
    let message = |request: &Request| forget_request::split(&data, request, 0).unwrap_err().to_string();
    let few = Request::Fraction { mode: "few_uniform".into(), fraction: 0.001 };
    assert_eq!(message(&few), "forget: the forget set is empty");
    assert_eq!(message(&Request::Indices(vec![])), "forget: the forget set is empty");
    let all = "forget: the forget set is the whole training set (20 samples)";
    assert_eq!(message(&Request::Classes(vec![0, 1, 2, 3])), all);
    assert_eq!(message(&Request::Fraction { mode: "uniform".into(), fraction: 1.0 }), all);
    assert!(message(&Request::Class(Some(9))).contains("no sample of class 9"));
    assert!(message(&Request::Indices(vec![20])).contains("outside the training set"));
    assert!(message(&Request::Indices(vec![1, 1])).contains("given twice"));
    assert!(message(&Request::Count { mode: "uniform".into(), count: 21 }).contains("has 20 samples"));
}

#[test]
fn a_drawn_class_is_recorded_and_comes_from_the_seed() {
    let data = numbered(40, 8);
    let drawn: Vec<i64> =
        (0..20).map(|seed| forget_request::split(&data, &Request::Class(None), seed).unwrap().classes[0]).collect();
    assert!(drawn.iter().any(|class| *class != drawn[0]));
    let split = forget_request::split(&data, &Request::Class(None), 3).unwrap();
    assert!(split.forget.iter().all(|position| data.labels()[*position] == split.classes[0]));
}

#[test]
fn held_out_parts_follow_the_variant() {
    let data = digits(Map::new());
    let fair = forget_request::partition(&data, &Request::default(), false, 5).unwrap();
    assert_eq!((fair.unseen.len(), fair.test.len()), (500, 500));
    assert_eq!((fair.forget.len(), fair.retain.len()), (79, 718));
    let reference = forget_request::partition(&data, &Request::default(), true, 5).unwrap();
    assert_eq!((reference.unseen.len(), reference.test.len()), (350, 150));
    assert_ne!(fair.split.split_id, reference.split.split_id);
    let mut keys: Vec<_> = reference.unseen.keys().into_iter().chain(reference.test.keys()).collect();
    let mut whole = data.test.keys();
    keys.sort_unstable();
    whole.sort_unstable();
    assert_eq!(keys, whole);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn splits_are_disjoint_complete_and_repeatable(n in 2_i64..300, fraction in 0.01_f64..0.99, seed in 0_u64..1000) {
        let data = numbered(n, 3);
        let count = super::share::truncated(fraction, n as usize);
        prop_assume!(count > 0);
        let request = Request::Fraction { mode: "uniform".into(), fraction };
        let split = forget_request::split(&data, &request, seed).unwrap();
        prop_assert_eq!(split.forget.len(), count);
        let mut all: Vec<usize> = split.forget.iter().chain(&split.retain).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..n as usize).collect::<Vec<_>>());
        prop_assert_eq!(&forget_request::split(&data, &request, seed).unwrap(), &split);
        let other = forget_request::split(&data, &request, seed + 1).unwrap();
        prop_assert_ne!(&other.split_id, &split.split_id);
        if count > 5 && count + 5 < n as usize {
            prop_assert_ne!(other.forget, split.forget);
        }
    }

    #[test]
    fn samples_have_no_sample_twice(n in 1_i64..400, k in 0_usize..500, seed in 0_u64..1000) {
        let data = numbered(n, 2);
        let mut keys = data.sample_up_to(k, &mut Stream::new(seed, "s")).keys();
        let drawn = keys.len();
        keys.sort_unstable();
        keys.dedup();
        prop_assert_eq!(keys.len(), drawn);
        prop_assert_eq!(drawn, k.min(n as usize));
        prop_assert_eq!(data.sample(k, &mut Stream::new(seed, "s")).is_ok(), k <= n as usize);
    }

    #[test]
    fn gathering_agrees_with_indexing_whatever_the_storages(
        sizes in prop::collection::vec(1_i64..9, 1..4),
        picks in prop::collection::vec(0_usize..1000, 1..20),
    ) {
        let mut data = numbered(sizes[0], 9);
        for size in &sizes[1..] {
            data = data.plus(&numbered(*size, 9)).unwrap();
        }
        let picks: Vec<usize> = picks.into_iter().map(|pick| pick % data.len()).collect();
        let whole = numbers(&data.images().unwrap());
        let batch = data.gather(&picks).unwrap();
        prop_assert_eq!(numbers(&batch.x), picks.iter().map(|p| whole[*p]).collect::<Vec<_>>());
        prop_assert_eq!(data.subset(&picks).labels(), batch.labels);
    }
}
