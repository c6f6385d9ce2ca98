//! K-means as the reference runs it inside each class, in forms that suit vector machines.

use crate::runtime::{At, Error, Options, Result, Stream, interrupt};
use crate::tensor::plain::checks::comparable;
use rhai::{Dynamic, Map};
use tch::{Kind, Tensor};

/// When Lloyd's iteration ends.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rounds of assignment at most.
    pub iterations: usize,
    /// Stop once all centroids together have moved by less.
    pub tolerance: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { iterations: 100, tolerance: 1e-4 }
    }
}

/// What Lloyd's iteration ends with.
pub struct Clustering {
    /// Cluster of each row, from the last assignment, i64 `[n]`.
    pub labels: Tensor,
    /// Centroids after the last update, `[k, d]`.
    pub centroids: Tensor,
    /// Rounds of assignment.
    pub rounds: usize,
}

/// Rows with their mean taken off: distances stay, and the expanded form of a squared distance loses fewer digits.
struct Rows {
    centred: Tensor,
    squares: Tensor,
    mean: Tensor,
}

impl Rows {
    fn new(x: &Tensor) -> Result<Self> {
        let at = "kmeans";
        if x.dim() != 2 || x.numel() == 0 {
            return Err(Error::new(at, format!("needs features [n, d] with at least one row, got {:?}", x.size())));
        }
        let x = x.f_to_kind(Kind::Float).at(at)?;
        let mean = x.f_mean_dim(&[0_i64][..], true, Kind::Float).at(at)?;
        if mean.f_isfinite().at(at)?.f_all().at(at)?.f_int64_value(&[]).at(at)? == 0 {
            return Err(Error::new(at, "the features contain NaN or infinity").hint("look for them in the images"));
        }
        let centred = x.f_sub(&mean).at(at)?;
        let squares = centred.f_square().at(at)?.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float).at(at)?;
        Ok(Self { centred, squares, mean })
    }

    fn len(&self) -> usize {
        self.centred.size().first().copied().unwrap_or(0).max(0) as usize
    }
}

/// Indices of rows chosen by k-means++: the first at random, each further one with probability proportional to its squared
/// distance from the nearest row chosen so far. Fewer than `k` when there are fewer distinct rows.
///
/// # Errors
/// Features that are not `[n, d]`.
pub fn plus_plus(x: &Tensor, k: usize, stream: &mut Stream) -> Result<Tensor> {
    seeds(&Rows::new(x)?, k, stream)
}

fn seeds(rows: &Rows, k: usize, stream: &mut Stream) -> Result<Tensor> {
    let at = "kmeans";
    let k = k.min(rows.len());
    let device = rows.centred.device();
    let gram =
        gram_pays(rows.len(), k).then(|| rows.centred.f_matmul(&rows.centred.f_tr().at(at)?).at(at)).transpose()?;
    let first = Tensor::f_from_slice(&[stream.below(rows.len()) as i64]).at(at)?.f_to_device(device).at(at)?;
    let draws: Vec<f64> = (1..k).map(|_| stream.uniform()).collect();
    let draws = Tensor::f_from_slice(&draws).at(at)?.f_to_device(device).at(at)?;
    let mut nearest = Tensor::f_full([rows.len() as i64], f64::INFINITY, (Kind::Float, device)).at(at)?;
    let mut chosen = vec![first];
    let mut totals = Vec::with_capacity(k);
    // Everything stays on the device: the draw is a search in the cumulated weights, without reading them back.
    for j in 1..k {
        if j % 64 == 0 {
            interrupt::check()?;
        }
        let Some(last) = chosen.last() else { break };
        nearest = nearest.f_minimum(&distances_to(rows, gram.as_ref(), last)?).at(at)?;
        let _ = nearest.f_index_fill_(0, last, 0.0).at(at)?;
        let cumulated = nearest.f_cumsum(0, Kind::Double).at(at)?;
        let total = cumulated.f_narrow(0, rows.len() as i64 - 1, 1).at(at)?;
        let target = draws.f_narrow(0, j as i64 - 1, 1).at(at)?.f_mul(&total).at(at)?;
        let next = target.f_searchsorted(&cumulated, false, true, "right", None::<Tensor>).at(at)?;
        totals.push(total);
        chosen.push(next.f_clamp_max(rows.len() as i64 - 1).at(at)?);
    }
    // Once every distinct row is chosen the total is 0 and what was drawn afterwards means nothing.
    let distinct = if totals.is_empty() {
        chosen.len()
    } else {
        let positive = Tensor::f_cat(&totals, 0).at(at)?.f_gt(0.0).at(at)?;
        1 + positive
            .f_to_kind(Kind::Int64)
            .at(at)?
            .f_cumprod(0, Kind::Int64)
            .at(at)?
            .f_sum(Kind::Int64)
            .at(at)?
            .f_int64_value(&[])
            .at(at)?
            .max(0) as usize
    };
    chosen.truncate(distinct);
    Tensor::f_cat(&chosen, 0).at(at)
}

/// Whether all inner products at once (one matrix product) beat one matrix-vector product per chosen row.
fn gram_pays(n: usize, k: usize) -> bool {
    k * 30 > n && n <= 12_000
}

/// Squared distances of all rows to one of them, with rounding noise taken for 0 so that copies of a chosen row drop out.
fn distances_to(rows: &Rows, gram: Option<&Tensor>, index: &Tensor) -> Result<Tensor> {
    let at = "kmeans";
    let products = match gram {
        Some(gram) => gram.f_index_select(0, index).at(at)?.f_squeeze_dim(0).at(at)?,
        None => rows.centred.f_mv(&rows.centred.f_index_select(0, index).at(at)?.f_squeeze_dim(0).at(at)?).at(at)?,
    };
    let sums = rows.squares.f_add(&rows.squares.f_index_select(0, index).at(at)?).at(at)?;
    let squared = sums.f_sub(&products.f_mul_scalar(2.0).at(at)?).at(at)?;
    let noise = sums.f_mul_scalar(2e-6).at(at)?;
    squared.f_mul(&squared.f_gt_tensor(&noise).at(at)?.f_to_kind(Kind::Float).at(at)?).at(at)
}

/// Lloyd's iteration from given centroids: labels of the last assignment, an empty cluster moves to a random row.
///
/// # Errors
/// Shapes that do not fit; Ctrl-C.
pub fn lloyd(x: &Tensor, centroids: &Tensor, limits: Limits, stream: &mut Stream) -> Result<Clustering> {
    let (have, want) = (centroids.size(), x.size());
    if have.len() != 2 || want.len() != 2 || have.get(1) != want.get(1) || have.first() == Some(&0) {
        let message = format!("needs features [n, d] and centroids [k, d], got {want:?} and {have:?}");
        return Err(Error::new("lloyd", message));
    }
    let rows = Rows::new(x)?;
    comparable("lloyd", "numbers of the centroids", centroids, false)?;
    let start = centroids.f_to_kind(Kind::Float).at("lloyd")?.f_sub(&rows.mean).at("lloyd")?;
    iterate(&rows, start, limits, stream)
}

/// K-means++ seeding followed by Lloyd's iteration; at most as many clusters as there are distinct rows.
///
/// # Errors
/// Features that are not `[n, d]`, no cluster asked for; Ctrl-C.
pub fn kmeans(x: &Tensor, k: usize, limits: Limits, stream: &mut Stream) -> Result<Clustering> {
    if k == 0 {
        return Err(Error::new("kmeans", "needs at least one cluster, got 0"));
    }
    let rows = Rows::new(x)?;
    let start = rows.centred.f_index_select(0, &seeds(&rows, k, stream)?).at("kmeans")?;
    iterate(&rows, start, limits, stream)
}

fn iterate(rows: &Rows, start: Tensor, limits: Limits, stream: &mut Stream) -> Result<Clustering> {
    let at = "kmeans";
    let k = start.size().first().copied().unwrap_or(1);
    let mut centroids = start;
    let mut labels: Option<Tensor> = None;
    let mut rounds = 0;
    while rounds < limits.iterations.max(1) {
        interrupt::check()?;
        let assigned = assign(rows, &centroids)?;
        rounds += 1;
        // The same labels and no empty cluster give the same means: the update would move nothing, and end here as well.
        let settled = match &labels {
            Some(before) => before.f_equal(&assigned).at(at)?,
            None => false,
        };
        let (means, counts) = segment_means(&rows.centred, &assigned, k)?;
        let empty = counts.f_eq(0.0).at(at)?.f_any().at(at)?.f_int64_value(&[]).at(at)? != 0;
        let updated = if empty { reseeded(rows, means, &counts, stream)? } else { means };
        labels = Some(assigned);
        let shift = total_shift(&updated, &centroids)?;
        centroids = updated;
        if (settled && !empty) || shift < limits.tolerance {
            break;
        }
    }
    let labels = labels.ok_or_else(|| Error::new(at, "made no assignment"))?;
    Ok(Clustering { labels, centroids: centroids.f_add(&rows.mean).at(at)?, rounds })
}

/// The nearest centroid of each row, the lowest index on ties: argmin of `|c|^2 - 2 x.c`.
fn assign(rows: &Rows, centroids: &Tensor) -> Result<Tensor> {
    let at = "kmeans";
    let squares = centroids.f_square().at(at)?.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float).at(at)?;
    let scaled = centroids.f_mul_scalar(-2.0).at(at)?.f_tr().at(at)?;
    let scores = squares.f_addmm(&rows.centred, &scaled).at(at)?;
    scores.f_argmin(1, false).at(at)
}

/// Mean of the rows of each label and the number of rows, `[k, d]` and `[k]`; the mean of an empty one is 0.
pub(super) fn segment_means(x: &Tensor, labels: &Tensor, k: i64) -> Result<(Tensor, Tensor)> {
    let at = "kmeans";
    let counts = labels.f_bincount(None::<Tensor>, k).at(at)?.f_to_kind(Kind::Float).at(at)?;
    let sums = segment_sums(x, labels, k)?;
    let divisor = counts.f_clamp_min(1.0).at(at)?.f_unsqueeze(1).at(at)?;
    Ok((sums.f_div(&divisor).at(at)?, counts))
}

/// Sum of the rows of each label, `[k, d]`: a bag of sorted rows, which is deterministic on every device.
fn segment_sums(x: &Tensor, labels: &Tensor, k: i64) -> Result<Tensor> {
    let at = "kmeans";
    let d = x.size().get(1).copied().unwrap_or(0);
    let sums = Tensor::f_zeros([k, d], (x.kind(), x.device())).at(at)?;
    sums.f_index_add(0, labels, x).at(at)
}

fn reseeded(rows: &Rows, means: Tensor, counts: &Tensor, stream: &mut Stream) -> Result<Tensor> {
    let at = "kmeans";
    let empty = counts.f_eq(0.0).at(at)?.f_nonzero().at(at)?.f_squeeze_dim(1).at(at)?;
    let picks: Vec<i64> = (0..empty.numel()).map(|_| stream.below(rows.len()) as i64).collect();
    let picks = Tensor::f_from_slice(&picks).at(at)?.f_to_device(means.device()).at(at)?;
    means.f_index_copy(0, &empty, &rows.centred.f_index_select(0, &picks).at(at)?).at(at)
}

/// Sum over centroids of the Euclidean length of their move.
fn total_shift(new: &Tensor, old: &Tensor) -> Result<f64> {
    let at = "kmeans";
    let squared =
        new.f_sub(old).at(at)?.f_square().at(at)?.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float).at(at)?;
    squared.f_sqrt().at(at)?.f_sum(Kind::Double).at(at)?.f_double_value(&[]).at(at)
}

/// Sum of squared distances of the rows to the centroids of their labels.
///
/// # Errors
/// Shapes that do not fit.
pub fn inertia(x: &Tensor, clustering: &Clustering) -> Result<Tensor> {
    let own = clustering.centroids.f_index_select(0, &clustering.labels).at("kmeans")?;
    x.f_sub(&own).at("kmeans")?.f_square().at("kmeans")?.f_sum(Kind::Double).at("kmeans")
}

fn limits(operation: &str, options: Map) -> Result<Limits> {
    let mut o = Options::new(operation, options);
    let iterations = o.count("iterations", 100)?;
    let tolerance = o.non_negative("tolerance", 1e-4)?;
    o.finish()?;
    Ok(Limits { iterations, tolerance })
}

/// What scripts get of a clustering.
fn described(x: &Tensor, result: Clustering) -> Result<Map> {
    let mut map = Map::new();
    map.insert("inertia".into(), Dynamic::from(crate::tensor::Tensor::from(inertia(x, &result)?)));
    map.insert("labels".into(), Dynamic::from(crate::tensor::Tensor::from(result.labels)));
    map.insert("centroids".into(), Dynamic::from(crate::tensor::Tensor::from(result.centroids)));
    map.insert("rounds".into(), Dynamic::from(result.rounds as i64));
    Ok(map)
}

/// What scripts see of k-means.
#[rhai::export_module]
pub mod script {
    use crate::runtime::{Error, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Map, NativeCallContext};

    /// K-means++ seeding and Lloyd's iteration on `[n, d]`: a map of `labels` (i64 `[n]`), `centroids` `[k, d]`, `rounds`, `inertia`.
    ///
    /// There are never more clusters than distinct rows. `labels` are those of the last assignment, made before the last
    /// update of the centroids; a cluster that runs empty moves to a random row. Ties go to the lowest index.
    ///
    /// # Signature
    /// kmeans(features: Tensor[n, d], k: int, #{ iterations: int = 100, tolerance: float = 1e-4 }) -> map
    ///
    /// # Options
    /// - `iterations` (int, 100): rounds of assignment at most
    /// - `tolerance` (float, 1e-4): stop once all centroids together move by less
    ///
    /// # Example
    /// ```rhai
    /// let found = kmeans(tensor([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0]]), 2);
    /// assert(found.labels[0].item() == found.labels[1].item() && found.labels[0].item() != found.labels[2].item());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn kmeans(context: NativeCallContext, features: Tensor, k: i64) -> Script<Map> {
        kmeans_with(context, features, k, Map::new())
    }

    #[rhai_fn(name = "kmeans", return_raw)]
    pub fn kmeans_with(context: NativeCallContext, features: Tensor, k: i64, options: Map) -> Script<Map> {
        let limits = super::limits("kmeans", options)?;
        let n = features.size().first().copied().unwrap_or(0);
        if k > n {
            return Err(Error::new("kmeans", format!("{k} clusters asked for, there are {n} rows")).into());
        }
        let mut stream = Run::of(&context).stream("kmeans");
        let result = super::kmeans(&features, k.max(0) as usize, limits, &mut stream)?;
        Ok(super::described(&features, result)?)
    }

    /// Lloyd's iteration on `[n, d]` from given centroids `[k, d]`: the same map as `kmeans`.
    ///
    /// # Signature
    /// lloyd(features: Tensor[n, d], centroids: Tensor[k, d], #{ iterations: int = 100, tolerance: float = 1e-4 }) -> map
    ///
    /// # Options
    /// - `iterations` (int, 100): rounds of assignment at most
    /// - `tolerance` (float, 1e-4): stop once all centroids together move by less
    ///
    /// # Example
    /// ```rhai
    /// let found = lloyd(tensor([[0.0], [1.0], [8.0]]), tensor([[0.0], [9.0]]));
    /// assert_close(found.centroids, tensor([[0.5], [8.0]]), 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn lloyd(context: NativeCallContext, features: Tensor, centroids: Tensor) -> Script<Map> {
        lloyd_with(context, features, centroids, Map::new())
    }

    #[rhai_fn(name = "lloyd", return_raw)]
    pub fn lloyd_with(context: NativeCallContext, features: Tensor, centroids: Tensor, options: Map) -> Script<Map> {
        let limits = super::limits("lloyd", options)?;
        let mut stream = Run::of(&context).stream("kmeans");
        let result = super::lloyd(&features, &centroids, limits, &mut stream)?;
        Ok(super::described(&features, result)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(seed: u64, n: usize, d: usize) -> Tensor {
        Tensor::from_slice(&Stream::new(seed, "rows").normals(n * d)).reshape([n as i64, d as i64])
    }

    fn clustered(x: &Tensor, k: usize) -> Clustering {
        kmeans(x, k, Limits::default(), &mut Stream::new(1, "kmeans")).unwrap()
    }

    #[test]
    fn copies_of_a_row_never_become_two_clusters() {
        let distinct = rows(3, 4, 8);
        let x = Tensor::cat(&[&distinct, &distinct, &distinct], 0) + 100.0;
        for k in [1, 3, 4, 9, 12] {
            let found = clustered(&x, k);
            assert_eq!(found.centroids.size()[0], k.min(4) as i64, "k = {k}");
        }
        assert_eq!(clustered(&Tensor::ones([5, 2], (Kind::Float, tch::Device::Cpu)), 3).centroids.size(), [1, 2]);
    }

    #[test]
    fn both_forms_of_the_seeding_choose_the_same_rows() {
        let x = rows(5, 120, 6);
        let rows = Rows::new(&x).unwrap();
        let gram = rows.centred.matmul(&rows.centred.tr());
        let index = Tensor::from_slice(&[7_i64]);
        let (one, other) = (distances_to(&rows, Some(&gram), &index), distances_to(&rows, None, &index));
        assert!((one.unwrap() - other.unwrap()).abs().max().double_value(&[]) < 1e-4);
    }

    #[test]
    fn clusters_far_apart_are_found() {
        let centres = Tensor::from_slice(&[0.0_f32, 50.0, 100.0, 150.0]).reshape([4, 1]);
        let x = rows(9, 40, 3) + centres.repeat([10, 3]);
        let found = clustered(&x, 4);
        let labels: Vec<i64> = Vec::try_from(&found.labels).unwrap();
        assert!((4..40).all(|i| labels[i] == labels[i - 4]), "{labels:?}");
        assert!(inertia(&x, &found).unwrap().double_value(&[]) < 250.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_row_has_a_label_below_k_and_one_seed_gives_one_result(seed in 0_u64..500, n in 1_usize..60, k in 1_usize..20) {
            let x = rows(seed, n, 5);
            let (first, second) = (clustered(&x, k), clustered(&x, k));
            prop_assert_eq!(&first.labels, &second.labels);
            prop_assert!(first.labels.max().int64_value(&[]) < k.min(n) as i64);
            prop_assert_eq!(first.centroids.size()[0], k.min(n) as i64);
        }
    }
}
