//! SalUn's membership attack on the confidence of the true class: a support vector machine separates retained training
//! samples from test samples, and the score is the share of forgotten samples it calls non-members.
//!
//! On one feature in [0, 1] the kernel exp(-(x - y)^2) is, to single precision, an inner product of twenty features, so the
//! machine is fitted in its primal form by Newton on a hinge rounded ever less: what libsvm does in seconds takes milliseconds.

use crate::runtime::{Error, Result};

/// Terms of the kernel's power series: 2^20 / 20! is below 1e-12.
const TERMS: usize = 20;
/// Weights and the intercept.
const SIZE: usize = TERMS + 1;
/// The penalty SalUn's code sets.
const PENALTY: f64 = 3.0;

/// How the attack separates members from non-members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// The RBF machine of the published figures (C = 3, gamma = 1).
    Machine,
    /// The interval of confidences, or its complement, that classifies the most samples rightly.
    Interval,
}

/// The share of `targets` called non-member, after fitting on as many members as there are non-members.
///
/// # Errors
/// When a value is no confidence, that is outside [0, 1]. NaN or an empty set gives NaN.
pub fn attack(members: &[f64], nonmembers: &[f64], targets: &[f64], separator: Separator) -> Result<f64> {
    let n = members.len().min(nonmembers.len());
    let (members, nonmembers) = (&members[..n], &nonmembers[..n]);
    let mut all = members.iter().chain(nonmembers).chain(targets);
    if n == 0 || targets.is_empty() || all.clone().any(|p| p.is_nan()) {
        return Ok(f64::NAN);
    }
    if let Some(p) = all.find(|p| !(-1e-6..=1.0 + 1e-6).contains(*p)) {
        return Err(Error::new("mia_salun", format!("needs confidences between 0 and 1, got {p}")));
    }
    let outside = match separator {
        Separator::Machine => {
            let machine = Machine::fit(members, nonmembers);
            targets.iter().filter(|p| machine.decide(**p) <= 0.0).count()
        }
        Separator::Interval => {
            let interval = Interval::fit(members, nonmembers);
            targets.iter().filter(|p| !interval.holds(**p)).count()
        }
    };
    Ok(outside as f64 / targets.len() as f64)
}

/// The kernel's explicit features of x: sqrt(2^k / k!) x^k exp(-x^2), then a 1 for the intercept.
fn features(x: f64) -> [f64; SIZE] {
    let mut phi = [1.0; SIZE];
    let mut term = (-x * x).exp();
    for (k, value) in phi.iter_mut().take(TERMS).enumerate() {
        *value = term;
        term *= x * (2.0 / (k as f64 + 1.0)).sqrt();
    }
    phi
}

fn dot(a: &[f64; SIZE], b: &[f64; SIZE]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// A fitted support vector machine in primal form.
struct Machine {
    weights: [f64; SIZE],
}

impl Machine {
    fn decide(&self, x: f64) -> f64 {
        dot(&self.weights, &features(x))
    }

    fn fit(members: &[f64], nonmembers: &[f64]) -> Self {
        let side = |values: &[f64], sign: f64| values.iter().map(|x| (features(*x), sign)).collect::<Vec<_>>();
        let mut samples = side(members, 1.0);
        samples.extend(side(nonmembers, -1.0));
        let mut weights = [0.0; SIZE];
        // The hinge's corner is a parabola over a width that shrinks tenfold in two steps, each started from the last.
        for width in [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001] {
            newton(&mut weights, &samples, width);
        }
        Self { weights }
    }
}

type Samples = [([f64; SIZE], f64)];

/// The gradient, and the Hessian's lower triangle.
fn derivatives(weights: &[f64; SIZE], samples: &Samples, width: f64) -> ([f64; SIZE], [[f64; SIZE]; SIZE]) {
    let mut gradient = *weights;
    gradient[TERMS] = 0.0;
    let mut hessian = [[0.0; SIZE]; SIZE];
    for (phi, sign) in samples {
        let short = 1.0 - sign * dot(weights, phi);
        if short <= 0.0 {
            continue;
        }
        let pull = PENALTY * sign * (short / width).min(1.0);
        gradient.iter_mut().zip(phi).for_each(|(g, p)| *g -= pull * p);
        if short < width {
            let curve = PENALTY / width;
            for (i, row) in hessian.iter_mut().enumerate() {
                row.iter_mut().take(i + 1).zip(phi).for_each(|(h, p)| *h += curve * phi[i] * p);
            }
        }
    }
    for (i, row) in hessian.iter_mut().enumerate() {
        row[i] += if i < TERMS { 1.0 } else { 1e-6 };
    }
    (gradient, hessian)
}

fn newton(weights: &mut [f64; SIZE], samples: &Samples, width: f64) {
    for _ in 0..60 {
        let (gradient, hessian) = derivatives(weights, samples, width);
        let Some(step) = solve(hessian, gradient) else { return };
        if dot(&gradient, &step) < 1e-10 * samples.len() as f64 {
            return;
        }
        let scale = line_search(weights, &step, samples, width);
        weights.iter_mut().zip(&step).for_each(|(w, s)| *w -= scale * s);
    }
}

/// How far along `-step` the convex objective is least: its slope is monotone, so bisection finds its zero.
fn line_search(weights: &[f64; SIZE], step: &[f64; SIZE], samples: &Samples, width: f64) -> f64 {
    // By how much each sample falls short of the margin, and how fast that changes.
    let margins: Vec<(f64, f64)> =
        samples.iter().map(|(phi, sign)| (1.0 - sign * dot(weights, phi), sign * dot(step, phi))).collect();
    let norm = |s: f64| -> f64 { weights.iter().zip(step).take(TERMS).map(|(w, d)| -d * (w - s * d)).sum() };
    let slope = |s: f64| {
        norm(s) + PENALTY * margins.iter().map(|(m, d)| d * ((m + s * d) / width).clamp(0.0, 1.0)).sum::<f64>()
    };
    let (mut low, mut high) = (0.0, 1.0);
    while slope(high) < 0.0 && high < 1e6 {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Solves a positive definite system given by its lower triangle (Cholesky); `None` when it is not.
fn solve(mut a: [[f64; SIZE]; SIZE], mut b: [f64; SIZE]) -> Option<[f64; SIZE]> {
    for i in 0..SIZE {
        for j in 0..=i {
            let sum = a[i][j] - (0..j).map(|k| a[i][k] * a[j][k]).sum::<f64>();
            if i > j {
                a[i][j] = sum / a[j][j];
            } else if sum > 0.0 {
                a[i][i] = sum.sqrt();
            } else {
                return None;
            }
        }
    }
    for i in 0..SIZE {
        b[i] = (b[i] - (0..i).map(|k| a[i][k] * b[k]).sum::<f64>()) / a[i][i];
    }
    for i in (0..SIZE).rev() {
        b[i] = (b[i] - (i + 1..SIZE).map(|k| a[k][i] * b[k]).sum::<f64>()) / a[i][i];
    }
    Some(b)
}

/// The confidences called members: those within the bounds, or those outside of them.
struct Interval {
    low: f64,
    high: f64,
    inside: bool,
}

impl Interval {
    fn holds(&self, p: f64) -> bool {
        (self.low..=self.high).contains(&p) == self.inside
    }

    fn fit(members: &[f64], nonmembers: &[f64]) -> Self {
        let mut points: Vec<(f64, f64)> = members.iter().map(|x| (*x, 1.0)).collect();
        points.extend(nonmembers.iter().map(|x| (*x, -1.0)));
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // Equal confidences cannot be told apart, so they count together.
        let cells: Vec<(f64, f64)> =
            points.chunk_by(|a, b| a.0 == b.0).map(|c| (c[0].0, c.iter().map(|(_, s)| s).sum())).collect();
        let (gain, low, high) = best_run(&cells, 1.0);
        let (loss, from, to) = best_run(&cells, -1.0);
        // Both sides are of one size, so the gain of a complement is the loss of its interval.
        if gain >= loss { Self { low, high, inside: true } } else { Self { low: from, high: to, inside: false } }
    }
}

/// The consecutive cells with the largest sum (Kadane), and their bounds; an empty interval when no sum is positive.
fn best_run(cells: &[(f64, f64)], sign: f64) -> (f64, f64, f64) {
    let mut best = (0.0, f64::INFINITY, f64::NEG_INFINITY);
    let (mut sum, mut start) = (0.0, f64::NAN);
    for (x, weight) in cells {
        if sum <= 0.0 {
            (sum, start) = (0.0, *x);
        }
        sum += sign * weight;
        if sum > best.0 {
            best = (sum, start, *x);
        }
    }
    best
}

/// What scripts see of the confidence attack.
#[rhai::export_module]
pub mod script {
    use super::super::scores::to_host;
    use crate::runtime::{Options, Script};
    use crate::tensor::Tensor;
    use rhai::Map;

    /// SalUn's confidence attack: a separator is fitted on the true class's probabilities of members (retained training
    /// samples, as many as there are non-members) and non-members (test samples); the result is the share of `targets`
    /// (forgotten samples) that it calls non-members. Higher is better forgetting; the ideal is the retrained network's value.
    ///
    /// # Signature
    /// mia_salun(members: Tensor[n], nonmembers: Tensor[m], targets: Tensor[k], #{ separator: string = "machine" }) -> float
    ///
    /// # Options
    /// - `separator` (string, "machine"): "machine", the support vector machine of the published figures (RBF kernel, C = 3,
    ///   gamma = 1), or "interval", the range of confidences that classifies the most samples rightly
    ///
    /// # Example
    /// ```rhai
    /// let share = mia_salun(tensor([0.9, 0.95, 0.99]), tensor([0.2, 0.3, 0.4]), tensor([0.1, 0.97]));
    /// assert(share == 0.5);
    /// ```
    #[rhai_fn(return_raw, name = "mia_salun")]
    pub fn mia_salun_as(members: Tensor, nonmembers: Tensor, targets: Tensor, options: Map) -> Script<f64> {
        let mut o = Options::new("mia_salun", options);
        let separator = match o.choice("separator", "machine", &["machine", "interval"])?.as_str() {
            "interval" => super::Separator::Interval,
            _ => super::Separator::Machine,
        };
        o.finish()?;
        let host = |tensor: &Tensor| to_host("mia_salun", tensor);
        Ok(super::attack(&host(&members)?, &host(&nonmembers)?, &host(&targets)?, separator)?)
    }

    #[rhai_fn(return_raw, name = "mia_salun")]
    pub fn mia_salun(members: Tensor, nonmembers: Tensor, targets: Tensor) -> Script<f64> {
        mia_salun_as(members, nonmembers, targets, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Confidences whose logits follow a logistic distribution, by a golden-ratio sequence.
    fn series(n: usize, mean: f64, spread: f64, start: f64) -> Vec<f64> {
        let quantile = |i: usize| ((i as f64 * 0.618_033_988_749_894_9 + start * 0.37) % 1.0) * 0.998 + 0.001;
        (0..n).map(|i| 1.0 / (1.0 + (-(mean + spread * (quantile(i) / (1.0 - quantile(i))).ln())).exp())).collect()
    }

    /// Non-members among 300 targets and the decision values at 0.1, 0.5, 0.9 and 0.99, as scikit-learn 1.x gives them:
    /// `SVC(C=3, gamma="auto", kernel="rbf", tol=1e-5)` on 600 members and 600 non-members.
    const LIBSVM: [([f64; 6], i64, [f64; 4]); 6] = [
        ([7.0, 1.2, 6.0, 1.5, 7.0, 1.2], 6, [-1.38911118, -2.71866768, -0.17124381, 0.87783515]),
        ([7.0, 1.2, 5.0, 1.7, 5.0, 1.7], 63, [-2.30497555, -4.19450327, -0.63429755, 0.83082095]),
        ([6.0, 1.7, 4.0, 2.2, 4.5, 2.2], 74, [-1.07969607, -1.47455173, 0.12473495, 0.9071852]),
        ([8.0, 1.7, 3.0, 2.9, 3.0, 2.9], 138, [-1.66542106, -3.1100312, -0.33129508, 0.86179831]),
        ([6.0, 1.7, 4.0, 2.2, -1.0, 1.2], 279, [-1.07969607, -1.47455173, 0.12473495, 0.9071852]),
        ([2.0, 1.0, 0.0, 1.0, 0.5, 1.0], 182, [-1.0810935, -0.85201343, 0.91872074, 1.35672274]),
    ];

    #[test]
    fn the_machine_is_libsvms() {
        for ([m, ms, n, ns, t, ts], outside, decisions) in LIBSVM {
            let (members, nonmembers, targets) =
                (series(600, m, ms, 1.0), series(600, n, ns, 2.0), series(300, t, ts, 3.0));
            let machine = Machine::fit(&members, &nonmembers);
            for (x, wanted) in [0.1, 0.5, 0.9, 0.99].into_iter().zip(decisions) {
                let got = machine.decide(x);
                assert!((got - wanted).abs() < 0.02, "at {x}: {got} instead of {wanted}");
            }
            let share = attack(&members, &nonmembers, &targets, Separator::Machine).unwrap();
            assert!((share * 300.0 - outside as f64).abs() <= 1.0, "{} instead of {outside}", share * 300.0);
        }
    }

    #[test]
    fn a_band_of_members_is_found_by_both() {
        let members = series(300, 0.0, 0.3, 1.0);
        let nonmembers = [series(150, 4.0, 0.5, 2.0), series(150, -4.0, 0.5, 4.0)].concat();
        let targets = series(300, 0.0, 2.0, 3.0);
        let machine = attack(&members, &nonmembers, &targets, Separator::Machine).unwrap();
        assert!((machine * 300.0 - 181.0).abs() <= 1.0, "{}", machine * 300.0);
        let interval = attack(&members, &nonmembers, &targets, Separator::Interval).unwrap();
        assert!(interval > 0.4 && interval < 0.9);
        let swapped = attack(&nonmembers, &members, &targets, Separator::Interval).unwrap();
        assert!((interval + swapped - 1.0).abs() < 0.35, "{interval} {swapped}");
    }

    #[test]
    fn empty_sets_give_nan_and_logits_are_refused() {
        let some = [0.5];
        for (a, b, c) in [(&[][..], &some[..], &some[..]), (&some, &[], &some), (&some, &some, &[])] {
            assert!(attack(a, b, c, Separator::Machine).unwrap().is_nan());
        }
        assert!(attack(&[3.0], &some, &some, Separator::Machine).is_err());
        let same = attack(&[0.5; 9], &[0.5; 9], &[0.5; 9], Separator::Interval).unwrap();
        assert_eq!(same, 1.0, "without any difference nothing is called a member");
    }
}
