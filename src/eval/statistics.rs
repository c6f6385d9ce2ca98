//! Numbers over seeds: means with their t-intervals, paired differences, and whether two lists are equivalent.

use super::scores::to_host;
use crate::runtime::options::describe;
use crate::runtime::{Error, Options, Result};
use crate::tensor::Tensor;
use crate::tensor::plain::lists;
use rhai::{Array, Dynamic, Map};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// What the differences of two metrics may amount to and still count as none, by the ending of the metric's name: one
/// percentage point for accuracies and shares, 0.02 for areas under a curve (the customary margins over a handful of seeds).
/// Losses, distances and seconds have no margin that fits all.
const MARGINS: [(&str, f64); 18] = [
    ("accuracy", 0.01),
    ("auc", 0.02),
    ("auc_two_sided", 0.02),
    ("mia_ref", 0.02),
    ("mia_salun", 0.01),
    ("mia_salun_entropy", 0.01),
    ("mia_salun_modified_entropy", 0.01),
    ("mia_salun_correctness", 0.01),
    ("mia_entropy", 0.01),
    ("mia_entropy_svc", 0.01),
    ("mia_competition", 0.01),
    ("tpr_at_1", 0.01),
    ("completeness", 0.01),
    ("confusion", 0.01),
    ("tow", 0.01),
    ("tow_mia", 0.01),
    // These two are in percentage points already.
    ("average_gap", 1.0),
    ("accuracy_gap", 1.0),
];

/// The margin of equivalence a metric has unless told otherwise; `None` where none fits.
pub fn margin(metric: &str) -> Option<f64> {
    let fits = |ending: &str| metric.strip_suffix(ending).is_some_and(|front| front.is_empty() || front.ends_with('_'));
    MARGINS.iter().find(|(ending, _)| fits(ending)).map(|(_, margin)| *margin)
}

/// Degrees of freedom from which Student's quantiles come from their expansion around the normal distribution's: the
/// iterative inverse loses digits there, while the expansion is exact to 1e-10.
const MANY: f64 = 1000.0;

/// The quantile of Student's t at probability `p`; NaN below one degree of freedom.
pub fn t_quantile(p: f64, freedom: f64) -> f64 {
    if freedom < MANY {
        return student(freedom).map_or(f64::NAN, |t| t.inverse_cdf(p));
    }
    // Abramowitz and Stegun, 26.7.5.
    let z = Normal::standard().inverse_cdf(p);
    let (z2, v) = (z * z, freedom);
    let first = (z2 + 1.0) / (4.0 * v);
    let second = ((5.0 * z2 + 16.0) * z2 + 3.0) / (96.0 * v * v);
    let third = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / (384.0 * v * v * v);
    z * (1.0 + first + second + third)
}

/// The probability that Student's t exceeds `t`; NaN below one degree of freedom.
fn t_tail(t: f64, freedom: f64) -> f64 {
    match student(freedom) {
        Some(distribution) if !t.is_nan() => distribution.sf(t),
        _ => f64::NAN,
    }
}

fn student(freedom: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom).ok().filter(|_| freedom >= 1.0)
}

/// What is known of a list of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many numbers there are.
    pub n: usize,
    /// How many were left out because they are not finite.
    pub missing: usize,
    /// Their mean; NaN of none.
    pub mean: f64,
    /// Their standard deviation (divisor n - 1); NaN of fewer than two.
    pub sd: f64,
}

/// The two ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What paired differences say about two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The 90 % interval of the mean difference lies within the margin: two one-sided tests at 5 %.
    Equivalent,
    /// Not equivalent, and the 95 % interval excludes 0.
    Different,
    /// Neither can be told from so few or so scattered pairs.
    Undecided,
    /// Fewer than two pairs.
    TooFew,
}

impl Verdict {
    /// As rows and scripts have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equivalent => "equivalent",
            Self::Different => "different",
            Self::Undecided => "undecided",
            Self::TooFew => "too few seeds",
        }
    }
}

impl Sample {
    /// Of the finite ones among these.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let (finite, others): (Vec<f64>, Vec<f64>) = values.into_iter().partition(|x| x.is_finite());
        let (n, missing) = (finite.len(), others.len());
        let Some(first) = finite.first() else { return Self { n, missing, mean: f64::NAN, sd: f64::NAN } };
        // Around the first value, so that equal numbers have a deviation of exactly 0.
        let mean = first + finite.iter().map(|x| x - first).sum::<f64>() / n as f64;
        let squares: f64 = finite.iter().map(|x| (x - mean).powi(2)).sum();
        let sd = if n > 1 { (squares / (n - 1) as f64).sqrt() } else { f64::NAN };
        Self { n, missing, mean, sd }
    }

    /// The standard error of the mean.
    fn error(&self) -> f64 {
        self.sd / (self.n as f64).sqrt()
    }

    fn freedom(&self) -> f64 {
        self.n as f64 - 1.0
    }

    /// The t-interval of the mean that covers with probability `level`; NaN of fewer than two numbers.
    pub fn interval(&self, level: f64) -> Interval {
        let half = t_quantile(0.5 + level / 2.0, self.freedom()) * self.error();
        Interval { low: self.mean - half, high: self.mean + half }
    }

    /// The two-sided p-value of a mean of 0 (the paired t-test, of differences). NaN where all are exactly 0, as in SciPy: the
    /// test divides by their scatter.
    pub fn p_value(&self) -> f64 {
        2.0 * t_tail((self.mean / self.error()).abs(), self.freedom())
    }

    /// The p-value of two one-sided tests against a mean beyond ± `margin` (Schuirmann 1987). NaN where all are exactly at the
    /// margin.
    pub fn p_equivalence(&self, margin: f64) -> f64 {
        t_tail((margin - self.mean.abs()) / self.error(), self.freedom())
    }

    /// What differences of this kind say about the lists they are of.
    pub fn verdict(&self, margin: f64) -> Verdict {
        if self.n < 2 {
            return Verdict::TooFew;
        }
        let (narrow, wide) = (self.interval(0.9), self.interval(0.95));
        if narrow.low > -margin && narrow.high < margin {
            Verdict::Equivalent
        } else if wide.low > 0.0 || wide.high < 0.0 {
            Verdict::Different
        } else {
            Verdict::Undecided
        }
    }
}

/// The differences `a - b`, pair by pair. Pairs of which one number is not finite are left out and counted.
///
/// # Errors
/// Lists of different lengths.
pub fn paired(operation: &str, a: &[f64], b: &[f64]) -> Result<Sample> {
    if a.len() != b.len() {
        let message = format!("needs two lists of one length, got {} and {} numbers", a.len(), b.len());
        return Err(Error::new(operation, message).hint("the k-th number of both must be of the same seed"));
    }
    Ok(Sample::of(a.iter().zip(b).map(|(a, b)| a - b)))
}

/// A script's list of numbers: an array (with `()` for a missing number) or a tensor [n].
fn values(operation: &str, given: &Dynamic) -> Result<Vec<f64>> {
    if let Some(tensor) = given.read_lock::<Tensor>() {
        if tensor.dim() != 1 {
            return Err(Error::new(operation, format!("needs a tensor [n], got one of shape {:?}", tensor.size())));
        }
        return to_host(operation, &tensor);
    }
    match given.read_lock::<Array>() {
        Some(items) => {
            let known = |item: &Dynamic| if item.is_unit() { f64::NAN.into() } else { item.clone() };
            lists::numbers(operation, &items.iter().map(known).collect::<Vec<_>>())
        }
        None => {
            Err(Error::new(operation, format!("needs an array of numbers or a tensor [n], got {}", describe(given))))
        }
    }
}

/// The option `level`: strictly between 0 and 1.
fn level(operation: &str, o: &mut Options) -> Result<f64> {
    let level = o.number("level", 0.95)?;
    if level > 0.0 && level < 1.0 {
        return Ok(level);
    }
    Err(Error::new(operation, format!("`level` must be above 0 and below 1, got {level}"))
        .word("level")
        .hint("0.95 is the 95 % interval"))
}

/// The margin for `equivalence`: given, or the one of the metric that is named.
fn margin_for(o: &mut Options) -> Result<f64> {
    let (given, metric) = (o.maybe_number("margin")?, o.maybe_text("metric")?);
    match (given, metric) {
        (Some(margin), None) if margin > 0.0 => Ok(margin),
        (Some(margin), None) => {
            Err(Error::new("equivalence", format!("`margin` must be above 0, got {margin}")).word("margin"))
        }
        (Some(_), Some(_)) => Err(Error::new("equivalence", "give `margin` or `metric`, not both").word("metric")),
        (None, Some(metric)) => margin(&metric).ok_or_else(|| {
            Error::new("equivalence", format!("there is no usual margin for {metric:?}"))
                .word("metric")
                .hint("give one in the metric's unit: #{ margin: 0.05 }")
        }),
        (None, None) => Err(Error::new("equivalence", "needs `margin`, the difference that would not matter")
            .hint("0.01 is usual for accuracies, 0.02 for an AUC; or name the metric: #{ metric: \"mia_auc\" }")),
    }
}

/// The fields of a script's map that tell of a list of numbers: `n`, `missing`, `mean`, `sd`, and an interval's `low`, `high`.
pub fn described(sample: &Sample, interval: Interval) -> Map {
    let mut map = Map::new();
    map.insert("n".into(), (sample.n as i64).into());
    map.insert("missing".into(), (sample.missing as i64).into());
    for (key, number) in [("mean", sample.mean), ("sd", sample.sd), ("low", interval.low), ("high", interval.high)] {
        map.insert(key.into(), number.into());
    }
    map
}

/// What scripts see of numbers over seeds.
#[rhai::export_module]
pub mod script {
    use super::{Sample, described, level, margin_for, paired, values};
    use crate::runtime::{Options, Script};
    use rhai::{Dynamic, Map};

    /// Mean, standard deviation (divisor n - 1) and Student's t-interval of the mean, of an array of numbers or a tensor
    /// `[n]`: what is reported over seeds. Numbers that are not finite (and `()`) are left out and counted as `missing`; of
    /// fewer than two the interval is NaN.
    ///
    /// # Signature
    /// t_interval(values: array | Tensor[n], #{ level: float = 0.95 }) -> #{ n, missing, mean, sd, low, high, level }
    ///
    /// # Options
    /// - `level` (float, 0.95): the probability with which the interval covers the mean, above 0 and below 1
    ///
    /// # Example
    /// ```rhai
    /// let accuracy = t_interval([0.91, 0.93, 0.92]);
    /// assert_close(accuracy.mean, 0.92, 1e-9);
    /// assert_close(accuracy.high - accuracy.mean, 4.302653 * 0.01 / sqrt(3.0), 1e-8);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn t_interval(list: Dynamic, options: Map) -> Script<Map> {
        let mut o = Options::new("t_interval", options);
        let level = level("t_interval", &mut o)?;
        o.finish()?;
        let sample = Sample::of(values("t_interval", &list)?);
        let mut map = described(&sample, sample.interval(level));
        map.insert("level".into(), level.into());
        Ok(map)
    }

    #[rhai_fn(return_raw, name = "t_interval")]
    pub fn t_interval_plain(list: Dynamic) -> Script<Map> {
        t_interval(list, Map::new())
    }

    /// The differences `a - b` of two lists, pair by pair (the k-th numbers are of the same seed and split): mean, standard
    /// deviation, t-interval of the mean, and `p`, two-sided, of the paired t-test. Pairs of which one number is not finite
    /// (or `()`) are left out and counted as `missing`; fewer than two pairs give NaN, and so has `p` where the lists are equal
    /// number by number.
    ///
    /// # Signature
    /// paired_difference(a: array | Tensor[n], b: array | Tensor[n], #{ level: float = 0.95 }) -> #{ n, missing, mean, sd, low, high, p, level }
    ///
    /// # Options
    /// - `level` (float, 0.95): the probability with which the interval covers the mean difference
    ///
    /// # Example
    /// ```rhai
    /// let d = paired_difference([0.90, 0.92, 0.91], [0.80, 0.81, 0.82]);
    /// assert_close(d.mean, 0.1, 1e-9);
    /// assert(d.low > 0.07 && d.high < 0.13 && d.p < 0.01);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn paired_difference(a: Dynamic, b: Dynamic, options: Map) -> Script<Map> {
        let operation = "paired_difference";
        let mut o = Options::new(operation, options);
        let level = level(operation, &mut o)?;
        o.finish()?;
        let sample = paired(operation, &values(operation, &a)?, &values(operation, &b)?)?;
        let mut map = described(&sample, sample.interval(level));
        map.insert("p".into(), sample.p_value().into());
        map.insert("level".into(), level.into());
        Ok(map)
    }

    #[rhai_fn(return_raw, name = "paired_difference")]
    pub fn paired_difference_plain(a: Dynamic, b: Dynamic) -> Script<Map> {
        paired_difference(a, b, Map::new())
    }

    /// Whether two lists of the same seeds differ by less than matters, by two one-sided tests at 5 % (TOST, Schuirmann
    /// 1987) on the differences `a - b`. `verdict` is `"equivalent"` when their 90 % t-interval (`low`, `high`) lies within
    /// ± `margin`; otherwise `"different"` when their 95 % interval excludes 0, else `"undecided"`; `"too few seeds"` below
    /// two pairs. Two networks that scatter alike are not thereby equivalent: with three seeds only small scatter is.
    ///
    /// # Signature
    /// equivalence(a: array | Tensor[n], b: array | Tensor[n], #{ margin: float }) -> #{ verdict, margin, n, missing, mean, sd, low, high, p_equivalence, p_difference }
    /// equivalence(a: array | Tensor[n], b: array | Tensor[n], #{ metric: string }) -> map
    ///
    /// # Options
    /// - `margin` (float): the difference that would not matter, in the unit of the lists
    /// - `metric` (string): takes the usual margin of this metric instead: 0.01 for accuracies and other shares, 0.02 for AUCs
    ///
    /// # Example
    /// ```rhai
    /// let unlearned = [0.981, 0.979, 0.982];
    /// let retrained = [0.980, 0.981, 0.981];
    /// assert(equivalence(unlearned, retrained, #{ margin: 0.01 }).verdict == "equivalent");
    /// assert(equivalence(unlearned, retrained, #{ margin: 0.001 }).verdict == "undecided");
    /// assert(equivalence(unlearned, [0.9, 0.9, 0.9], #{ metric: "test_accuracy" }).verdict == "different");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn equivalence(a: Dynamic, b: Dynamic, options: Map) -> Script<Map> {
        let operation = "equivalence";
        let mut o = Options::new(operation, options);
        let margin = margin_for(&mut o)?;
        o.finish()?;
        let sample = paired(operation, &values(operation, &a)?, &values(operation, &b)?)?;
        let mut map = described(&sample, sample.interval(0.9));
        map.insert("verdict".into(), sample.verdict(margin).name().into());
        map.insert("margin".into(), margin.into());
        map.insert("p_equivalence".into(), sample.p_equivalence(margin).into());
        map.insert("p_difference".into(), sample.p_value().into());
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance
    }

    #[test]
    fn quantiles_are_those_of_the_printed_tables() {
        // Columns: one-sided 0.95, 0.975, 0.995, 0.9995 (two-sided 90, 95, 99 and 99.9 %).
        let table = [
            (1.0, [6.314, 12.706, 63.657, 636.619]),
            (2.0, [2.920, 4.303, 9.925, 31.599]),
            (3.0, [2.353, 3.182, 5.841, 12.924]),
            (4.0, [2.132, 2.776, 4.604, 8.610]),
            (5.0, [2.015, 2.571, 4.032, 6.869]),
            (9.0, [1.833, 2.262, 3.250, 4.781]),
            (29.0, [1.699, 2.045, 2.756, 3.659]),
            (120.0, [1.658, 1.980, 2.617, 3.373]),
            (1e12, [1.645, 1.960, 2.576, 3.291]),
        ];
        for (freedom, row) in table {
            for (p, expected) in [0.95, 0.975, 0.995, 0.9995].into_iter().zip(row) {
                let found = t_quantile(p, freedom);
                assert!(near(found, expected, 5.001e-4), "{p} with {freedom}: {found}, not {expected}");
            }
        }
        assert!(t_quantile(0.975, 0.0).is_nan());
    }

    #[test]
    fn quantiles_and_tails_are_inverse_for_any_number_of_values() {
        for freedom in [1.0, 2.0, 7.0, 60.0, 999.0, 1000.0, 1e4, 1e6] {
            for p in [0.6, 0.9, 0.975, 0.9999] {
                let back = 1.0 - t_tail(t_quantile(p, freedom), freedom);
                assert!(near(back, p, 2e-9), "{p} with {freedom} came back as {back}");
            }
        }
    }

    /// Additional hours of sleep under two drugs (Student 1908), and what R's `t.test(paired = TRUE)` prints for them.
    #[test]
    fn students_own_example_comes_out_as_published() {
        let a = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let b = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let found = paired("t", &a, &b).unwrap();
        let interval = found.interval(0.95);
        assert!(near(found.mean, -1.58, 1e-12) && near(found.sd, 1.229995, 1e-6));
        assert!(near(interval.low, -2.4598858, 1e-7) && near(interval.high, -0.7001142, 1e-7), "{interval:?}");
        assert!(near(found.p_value(), 0.002833, 5e-7), "{}", found.p_value());
    }

    #[test]
    fn missing_numbers_are_left_out_with_their_pairs_and_counted() {
        let found = paired("t", &[1.0, f64::NAN, 3.0, 5.0], &[0.0, 1.0, f64::INFINITY, 2.0]).unwrap();
        assert_eq!((found.n, found.missing, found.mean), (2, 2, 2.0));
        let none = Sample::of([f64::NAN]);
        assert_eq!((none.n, none.missing), (0, 1));
        assert!(none.mean.is_nan() && none.interval(0.95).low.is_nan() && none.p_value().is_nan());
        let one = Sample::of([3.0]);
        assert!(one.mean == 3.0 && one.sd.is_nan() && one.interval(0.95).high.is_nan());
        assert_eq!((one.verdict(1.0), Sample::of([]).verdict(1.0)), (Verdict::TooFew, Verdict::TooFew));
        let error = paired("t", &[1.0], &[1.0, 2.0]).unwrap_err().to_string();
        assert_eq!(error, "t: needs two lists of one length, got 1 and 2 numbers");
    }

    #[test]
    fn verdicts_follow_the_intervals() {
        // Standard error 0.002; the halves of the intervals are 0.00584 (90 %) and 0.00861 (95 %).
        let spread = 0.002 * 3.0_f64.sqrt();
        let around = |mean: f64| Sample::of([mean - spread, mean, mean + spread]).verdict(0.01);
        assert_eq!(around(0.0), Verdict::Equivalent);
        assert_eq!(around(0.0041), Verdict::Equivalent);
        assert_eq!(around(0.0042), Verdict::Undecided);
        assert_eq!(around(0.0086), Verdict::Undecided);
        assert_eq!(around(-0.0087), Verdict::Different);
    }

    #[test]
    fn equal_differences_have_no_scatter_at_all() {
        let same = Sample::of([0.1; 3]);
        assert_eq!((same.mean, same.sd, same.p_value()), (0.1, 0.0, 0.0));
        assert_eq!((same.verdict(0.2), same.verdict(0.05)), (Verdict::Equivalent, Verdict::Different));
        assert_eq!((same.p_equivalence(0.2), same.p_equivalence(0.05)), (0.0, 1.0));
        assert!(same.p_equivalence(0.1).is_nan());
        // scipy.stats.ttest_1samp([0, 0, 0], 0).pvalue and ttest_rel([1, 1], [1, 1]).pvalue are NaN.
        let none = Sample::of([0.0; 3]);
        assert!(none.p_value().is_nan() && none.verdict(1e-9) == Verdict::Equivalent);
        let interval = none.interval(0.95);
        assert_eq!((interval.low, interval.high), (0.0, 0.0));
    }

    #[test]
    fn margins_are_by_metric() {
        assert_eq!(["forget_accuracy", "mia_accuracy", "mia_salun"].map(margin), [Some(0.01); 3]);
        assert_eq!(["mia_auc", "rmia_auc", "mia_auc_two_sided", "mia_ref"].map(margin), [Some(0.02); 4]);
        assert_eq!(["test_loss", "mia_auc_se", "seconds.unlearn", "xauc", "js"].map(margin), [None; 5]);
        assert_eq!((margin("average_gap"), margin("tow")), (Some(1.0), Some(0.01)));
    }

    proptest! {
        #[test]
        fn the_tests_and_the_intervals_agree(values in prop::collection::vec(-1.0..1.0, 2..12), margin in 0.01..1.0) {
            let sample = Sample::of(values);
            let (p, difference) = (sample.p_equivalence(margin), sample.p_value());
            prop_assert!((0.0..=1.0).contains(&p) && (0.0..=1.0).contains(&difference));
            if (p - 0.05).abs() > 1e-6 && (difference - 0.05).abs() > 1e-6 {
                let expected = match (p < 0.05, difference < 0.05) {
                    (true, _) => Verdict::Equivalent,
                    (false, true) => Verdict::Different,
                    (false, false) => Verdict::Undecided,
                };
                prop_assert_eq!(sample.verdict(margin), expected);
            }
        }

        #[test]
        fn exchanging_the_lists_mirrors_the_difference(pairs in prop::collection::vec((-1.0..1.0, -1.0..1.0), 2..9)) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let (forth, back) = (paired("t", &a, &b).unwrap(), paired("t", &b, &a).unwrap());
            prop_assert!(near(forth.mean, -back.mean, 1e-12) && near(forth.sd, back.sd, 1e-12));
            prop_assert_eq!(forth.verdict(0.3), back.verdict(0.3));
        }

        #[test]
        fn moving_all_numbers_moves_the_interval(values in prop::collection::vec(-1.0..1.0, 2..9), by in -5.0..5.0) {
            let (plain, moved) = (Sample::of(values.clone()), Sample::of(values.iter().map(|x| x + by)));
            let (a, b) = (plain.interval(0.95), moved.interval(0.95));
            prop_assert!(near(a.low + by, b.low, 1e-9) && near(a.high + by, b.high, 1e-9));
        }
    }
}
