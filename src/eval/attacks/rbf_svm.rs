//! A support vector machine on one feature, with the kernel exp(-(x - y)^2): scikit-learn's `SVC(C=3, gamma="auto")`.
//!
//! On one feature the kernel is, to ten digits, an inner product of few features (a dozen on [0, 1], a few more for every unit
//! of range): its pivoted Cholesky factor. So the machine is fitted in its primal form, by Newton on a hinge rounded ever
//! less, and samples of nearly equal value count together: what libsvm does in minutes takes milliseconds.

/// The penalty that SalUn's and Bad Teacher's code sets.
const PENALTY: f64 = 3.0;
/// Into how many cells of about equal size the samples are gathered, and how wide a cell may be (the kernel's own width is
/// about 1). Values spread so widely that these need too many features are gathered again, into few enough cells that even
/// cells far from each other fit.
const CELLS: [(usize, f64); 2] = [(1024, 0.05), (128, f64::INFINITY)];
/// The most features: two for each of the fewest cells.
const RANK: usize = 2 * CELLS[1].0;
/// What the features may miss of the kernel.
const TOLERANCE: f64 = 1e-10;

/// A fitted machine: `sum of coefficient * exp(-(x - pivot)^2) + intercept`.
pub struct Machine {
    terms: Vec<(f64, f64)>,
    intercept: f64,
}

impl Machine {
    /// Separates members (+1) from non-members (-1); the two need not be equally many. All values must be finite.
    pub fn fit(members: &[f64], nonmembers: &[f64]) -> Self {
        let mut problem = None;
        for (count, width) in CELLS {
            let cells = cells(members, nonmembers, count, width);
            let values: Vec<f64> = cells.iter().map(|cell| cell.x).collect();
            if let Some(features) = Features::of(&values) {
                problem = Some((Samples::new(&features, &cells), features));
                break;
            }
        }
        let Some((samples, features)) = problem else { return Self { terms: vec![], intercept: 0.0 } };
        let mut weights = vec![0.0; samples.size];
        // The hinge's corner is a parabola over a width that shrinks tenfold in two steps, each started from the last.
        for width in [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001] {
            newton(&mut weights, &samples, width);
        }
        weights.pop();
        let intercept = intercept(&weights, &samples);
        Self { terms: features.expand(weights), intercept }
    }

    /// The decision value: 0 and above for members.
    pub fn decide(&self, x: f64) -> f64 {
        self.terms.iter().map(|(pivot, coefficient)| coefficient * kernel(x, *pivot)).sum::<f64>() + self.intercept
    }

    /// The share of values called member; NaN of none. Where nothing tells the sides apart the decision is exactly 0, which
    /// scikit-learn counts as a member, too.
    pub fn share(&self, values: &[f64]) -> f64 {
        values.iter().filter(|x| self.decide(**x) >= 0.0).count() as f64 / values.len() as f64
    }
}

fn kernel(x: f64, y: f64) -> f64 {
    (-(x - y) * (x - y)).exp()
}

/// Samples of one side with nearly equal values: their mean, +1 or -1, and how many there are.
struct Cell {
    x: f64,
    sign: f64,
    weight: f64,
}

/// Gathers the samples, in the order of their values, into about `count` cells of about equal size and at most `width`; equal
/// values stay together.
fn cells(members: &[f64], nonmembers: &[f64], count: usize, width: f64) -> Vec<Cell> {
    let mut samples: Vec<(f64, f64)> = members.iter().map(|x| (*x, 1.0)).collect();
    samples.extend(nonmembers.iter().map(|x| (*x, -1.0)));
    samples.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let size = samples.len().div_ceil(count).max(1);
    let mut gathered = vec![];
    let mut pending: Vec<(f64, f64)> = Vec::with_capacity(size);
    for group in samples.chunk_by(|a, b| a.0 == b.0) {
        let start = pending.first().map_or(group[0].0, |(x, _)| *x);
        if pending.len() + group.len() > size || group[0].0 - start > width {
            close(&mut pending, &mut gathered);
        }
        pending.extend(group);
    }
    close(&mut pending, &mut gathered);
    gathered
}

/// Turns the pending samples into one cell for each side.
fn close(pending: &mut Vec<(f64, f64)>, gathered: &mut Vec<Cell>) {
    for sign in [1.0, -1.0] {
        let of_side = || pending.iter().filter(|(_, s)| *s == sign).map(|(x, _)| *x);
        let weight = of_side().count() as f64;
        if let Some(first) = of_side().next() {
            // Around the first, so that equal values have exactly themselves for a mean.
            let x = first + of_side().map(|x| x - first).sum::<f64>() / weight;
            gathered.push(Cell { x, sign, weight });
        }
    }
    pending.clear();
}

/// The kernel's features at some values: the rows of its pivoted Cholesky factor.
struct Features {
    /// One column for each pivot.
    columns: Vec<Vec<f64>>,
    /// The values whose kernels span the features, with their positions.
    pivots: Vec<(f64, usize)>,
}

impl Features {
    /// `None` when more than `RANK` features would be needed.
    fn of(values: &[f64]) -> Option<Self> {
        let mut left = vec![1.0; values.len()];
        let (mut columns, mut pivots): (Vec<Vec<f64>>, Vec<(f64, usize)>) = (vec![], vec![]);
        loop {
            let (at, most) =
                left.iter().enumerate().fold((0, 0.0), |best, (i, x)| if *x > best.1 { (i, *x) } else { best });
            if most < TOLERANCE {
                return Some(Self { columns, pivots });
            }
            if pivots.len() == RANK {
                return None;
            }
            let pivot = values[at];
            let mut column: Vec<f64> = values.iter().map(|x| kernel(*x, pivot)).collect();
            for known in &columns {
                let factor = known[at];
                column.iter_mut().zip(known).for_each(|(c, k)| *c -= factor * k);
            }
            let scale = most.sqrt().recip();
            for (c, rest) in column.iter_mut().zip(&mut left) {
                *c *= scale;
                *rest = (*rest - *c * *c).max(0.0);
            }
            left[at] = 0.0;
            columns.push(column);
            pivots.push((pivot, at));
        }
    }

    /// Weights of the features as coefficients of the pivots' kernels: the factor at the pivots is triangular.
    fn expand(&self, mut weights: Vec<f64>) -> Vec<(f64, f64)> {
        for i in (0..self.pivots.len()).rev() {
            let at = self.pivots[i].1;
            let coefficient = weights[i] / self.columns[i][at];
            weights[i] = coefficient;
            (0..i).for_each(|j| weights[j] -= coefficient * self.columns[j][at]);
        }
        self.pivots.iter().zip(weights).map(|((pivot, _), weight)| (*pivot, weight)).collect()
    }
}

/// The cells as Newton sees them: features, then a 1 for the intercept, row by row.
struct Samples {
    /// Features and the intercept.
    size: usize,
    rows: Vec<f64>,
    /// Side and weight of every row.
    sides: Vec<(f64, f64)>,
    total: f64,
}

impl Samples {
    fn new(features: &Features, cells: &[Cell]) -> Self {
        let size = features.columns.len() + 1;
        let mut rows = Vec::with_capacity(size * cells.len());
        for i in 0..cells.len() {
            rows.extend(features.columns.iter().map(|column| column[i]));
            rows.push(1.0);
        }
        let sides: Vec<(f64, f64)> = cells.iter().map(|cell| (cell.sign, cell.weight)).collect();
        let total = sides.iter().map(|(_, weight)| weight).sum();
        Self { size, rows, sides, total }
    }

    /// Features, side and weight.
    fn iter(&self) -> impl Iterator<Item = (&[f64], f64, f64)> {
        self.rows.chunks_exact(self.size).zip(&self.sides).map(|(row, (sign, weight))| (row, *sign, *weight))
    }
}

/// The intercept that fits best, given the other weights. It costs the least between two of the values at which a cell meets
/// its margin, or at one of them: libsvm takes the middle. (Few or constant samples often leave such room.)
fn intercept(weights: &[f64], samples: &Samples) -> f64 {
    let met = |(phi, sign, weight): (&[f64], f64, f64)| (sign - dot(weights, &phi[..weights.len()]), weight);
    let mut met: Vec<(f64, f64)> = samples.iter().map(met).collect();
    met.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // The cost falls by as many as there are members to begin with, and less by every cell that is passed.
    let mut slope = -samples.iter().filter(|(_, sign, _)| *sign > 0.0).map(|(.., weight)| weight).sum::<f64>();
    let mut cells = met.iter().peekable();
    while let Some((at, weight)) = cells.next() {
        slope += weight;
        if slope >= 0.0 {
            let next = cells.peek().filter(|_| slope == 0.0).map_or(*at, |(next, _)| *next);
            return (at + next) / 2.0;
        }
    }
    0.0
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The gradient, and the Hessian's lower triangle row by row.
fn derivatives(weights: &[f64], samples: &Samples, width: f64) -> (Vec<f64>, Vec<f64>) {
    let size = samples.size;
    let mut gradient = weights.to_vec();
    gradient[size - 1] = 0.0;
    let mut hessian = vec![0.0; size * size];
    for (phi, sign, weight) in samples.iter() {
        let short = 1.0 - sign * dot(weights, phi);
        if short <= 0.0 {
            continue;
        }
        let pull = PENALTY * weight * sign * (short / width).min(1.0);
        gradient.iter_mut().zip(phi).for_each(|(g, p)| *g -= pull * p);
        if short < width {
            let curve = PENALTY * weight / width;
            for (i, row) in hessian.chunks_exact_mut(size).enumerate() {
                let factor = curve * phi[i];
                row.iter_mut().zip(&phi[..=i]).for_each(|(h, p)| *h += factor * p);
            }
        }
    }
    for i in 0..size {
        hessian[i * size + i] += if i < size - 1 { 1.0 } else { 1e-6 };
    }
    (gradient, hessian)
}

fn newton(weights: &mut [f64], samples: &Samples, width: f64) {
    for _ in 0..60 {
        let (gradient, hessian) = derivatives(weights, samples, width);
        let Some(step) = solve(hessian, gradient.clone()) else { return };
        if dot(&gradient, &step) < 1e-10 * samples.total {
            return;
        }
        let scale = line_search(weights, &step, samples, width);
        weights.iter_mut().zip(&step).for_each(|(w, s)| *w -= scale * s);
    }
}

/// How far along `-step` the convex objective is least: its slope is monotone, so bisection finds its zero.
fn line_search(weights: &[f64], step: &[f64], samples: &Samples, width: f64) -> f64 {
    // By how much each sample falls short of the margin, how fast that changes, and its weight.
    let short =
        |(phi, sign, weight): (&[f64], f64, f64)| (1.0 - sign * dot(weights, phi), sign * dot(step, phi), weight);
    let margins: Vec<(f64, f64, f64)> = samples.iter().map(short).collect();
    let free = samples.size - 1;
    let (along, across) = (dot(&step[..free], &step[..free]), dot(&weights[..free], &step[..free]));
    let slope = |s: f64| {
        let pulls = margins.iter().map(|(m, d, weight)| weight * d * ((m + s * d) / width).clamp(0.0, 1.0));
        s * along - across + PENALTY * pulls.sum::<f64>()
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
fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let size = b.len();
    for i in 0..size {
        let (above, row) = a.split_at_mut(i * size);
        for j in 0..=i {
            let other = if j < i { &above[j * size..j * size + j] } else { &[] };
            let known = if j < i { dot(&row[..j], other) } else { dot(&row[..i], &row[..i]) };
            let sum = row[j] - known;
            if j < i {
                row[j] = sum / above[j * size + j];
            } else if sum > 0.0 {
                row[i] = sum.sqrt();
            } else {
                return None;
            }
        }
    }
    for i in 0..size {
        b[i] = (b[i] - dot(&a[i * size..i * size + i], &b[..i])) / a[i * size + i];
    }
    for i in (0..size).rev() {
        b[i] /= a[i * size + i];
        let value = b[i];
        b.iter_mut().zip(&a[i * size..i * size + i]).for_each(|(x, factor)| *x -= value * factor);
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of a logistic distribution, by a golden-ratio sequence.
    fn series(n: usize, mean: f64, spread: f64, start: f64) -> Vec<f64> {
        let quantile = |i: usize| ((i as f64 * 0.618_033_988_749_894_9 + start * 0.37) % 1.0) * 0.998 + 0.001;
        (0..n).map(|i| mean + spread * (quantile(i) / (1.0 - quantile(i))).ln()).collect()
    }

    type Shape = fn(f64) -> f64;

    fn confidence(z: f64) -> f64 {
        1.0 / (1.0 + (-z).exp())
    }

    /// Between 0 and ln 10, as entropies of ten classes.
    fn entropy(z: f64) -> f64 {
        10_f64.ln() * confidence(z)
    }

    /// With a heavy tail (up to about 200), as modified entropies.
    fn tailed(z: f64) -> f64 {
        z.exp()
    }

    type Case = (Shape, [usize; 3], [f64; 6], usize, [(f64, f64); 4]);

    /// Members, non-members and targets by shape, counts, and (mean, spread) of each; then the targets not called members
    /// and some decision values, as scikit-learn 1.9 gives them: `SVC(C=3, gamma="auto", kernel="rbf", tol=1e-5)`.
    const LIBSVM: [Case; 10] = [
        (
            entropy,
            [600, 600, 300],
            [-5.0, 1.2, -4.0, 1.5, -4.5, 1.4],
            65,
            [(0.1, 0.274_752), (0.5, -1.224_995), (1.0, -0.999_193), (2.0, -1.013_247)],
        ),
        (
            entropy,
            [600, 600, 300],
            [-3.0, 1.5, -1.0, 1.5, -1.5, 1.5],
            156,
            [(0.1, 0.865_617), (0.5, -0.381_425), (1.0, -1.049_856), (2.0, -1.004_88)],
        ),
        (
            entropy,
            [600, 600, 300],
            [-6.0, 1.5, -2.0, 2.0, -2.0, 2.0],
            181,
            [(0.1, 0.196_122), (0.5, -1.469_605), (1.0, -1.081_342), (2.0, -1.015_33)],
        ),
        (
            tailed,
            [600, 600, 300],
            [-4.0, 1.0, -3.0, 1.2, -3.0, 1.2],
            94,
            [(0.01, 0.941_821), (0.5, -1.450_511), (2.0, -1.088_063), (12.0, -0.900_321)],
        ),
        (
            tailed,
            [600, 600, 300],
            [-2.0, 0.8, -1.0, 0.9, -0.5, 0.9],
            194,
            [(0.01, 1.104_836), (0.5, -0.534_109), (2.0, -1.039_73), (12.0, -1.227_988)],
        ),
        (
            tailed,
            [600, 600, 300],
            [-5.0, 1.2, -1.0, 1.0, -2.0, 1.2],
            168,
            [(0.01, 1.026_267), (0.5, -2.340_787), (2.0, -1.171_815), (12.0, -0.999_387)],
        ),
        (
            entropy,
            [900, 300, 300],
            [-3.0, 1.5, -1.0, 1.5, -1.5, 1.5],
            32,
            [(0.1, 1.000_042), (0.5, 1.000_214), (1.0, 1.001_454), (2.0, -0.136_321)],
        ),
        (
            entropy,
            [400, 700, 300],
            [-4.0, 1.2, -3.0, 1.2, -3.5, 1.2],
            300,
            [(0.1, -1.0), (0.5, -1.000_004), (1.0, -0.999_997), (2.0, -0.999_997)],
        ),
        (
            confidence,
            [4000, 4000, 1000],
            [6.0, 1.7, 4.0, 2.2, 4.5, 2.2],
            277,
            [(0.1, -1.017_038), (0.5, -1.353_401), (0.9, -0.162_298), (0.99, 0.868_738)],
        ),
        (
            tailed,
            [4000, 4000, 1000],
            [-2.0, 0.8, -1.0, 0.9, -0.5, 0.9],
            634,
            [(0.01, 1.000_821), (0.5, -0.538_79), (2.0, -1.024_731), (12.0, -0.999_997)],
        ),
    ];

    #[test]
    fn the_machine_is_libsvms_on_values_of_any_range() {
        for (case, (shape, [members, nonmembers, targets], z, outside, decisions)) in LIBSVM.into_iter().enumerate() {
            let draw =
                |n, mean, spread, start| series(n, mean, spread, start).into_iter().map(shape).collect::<Vec<_>>();
            let machine = Machine::fit(&draw(members, z[0], z[1], 1.0), &draw(nonmembers, z[2], z[3], 2.0));
            for (x, wanted) in decisions {
                let got = machine.decide(x);
                assert!((got - wanted).abs() < 0.02, "case {case} at {x}: {got} instead of {wanted}");
            }
            let share = 1.0 - machine.share(&draw(targets, z[4], z[5], 3.0));
            let wanted = outside as f64 / targets as f64;
            assert!((share - wanted).abs() < 1.5 / targets as f64, "case {case}: {share} instead of {wanted}");
        }
    }

    #[test]
    fn two_values_are_told_apart_by_the_majority_at_each() {
        // scikit-learn: -1 at 0 and 1 at 1 for 2.5 % and 10 % of zeros.
        let ones = |n: usize, every: usize| (0..n).map(|i| f64::from(u8::from(i % every != 0))).collect::<Vec<_>>();
        let machine = Machine::fit(&ones(600, 40), &ones(600, 10));
        assert!((machine.decide(0.0) + 1.0).abs() < 1e-2 && (machine.decide(1.0) - 1.0).abs() < 1e-2);
        assert_eq!(machine.share(&ones(300, 7)), 257.0 / 300.0);
    }

    /// Members, non-members, a value, and what scikit-learn 1.9 decides there: `SVC(C=3, gamma="auto").decision_function`.
    const DEGENERATE: [(&[f64], &[f64], f64, f64); 14] = [
        (&[1.0; 10], &[1.0; 10], 1.0, 0.0),
        (&[0.1; 30], &[0.1; 30], 0.1, 0.0),
        (&[0.7; 7], &[0.7; 7], 0.9, 0.0),
        (&[0.5; 10], &[0.5; 10], 0.0, 0.0),
        (&[1e4; 6], &[1e4; 6], 0.0, 0.0),
        (&[1e30; 6], &[1e30; 6], 1e30, 0.0),
        (&[0.9], &[0.9], 0.1, 0.0),
        (&[0.3; 10], &[0.3; 30], 0.3, -1.0),
        (&[0.3; 30], &[0.3; 10], 0.3, 1.0),
        (&[0.9], &[0.2], 0.1, -1.1946),
        (&[0.9], &[0.2], 0.95, 1.1042),
        (&[0.9], &[0.2, 0.3, 0.4], 0.1, -1.3896),
        (&[0.9, 0.8, 0.95], &[0.2], 0.95, 1.2239),
        (&[1e30; 6], &[0.0; 6], 1e30, 1.0),
    ];

    #[test]
    fn constant_equal_single_and_huge_values_are_decided_as_libsvm_does() {
        for (case, (members, nonmembers, x, wanted)) in DEGENERATE.into_iter().enumerate() {
            let got = Machine::fit(members, nonmembers).decide(x);
            assert!((got - wanted).abs() < 0.02, "case {case}: {got} instead of {wanted}");
            assert!(wanted != 0.0 || got == 0.0, "case {case}: a tie is exactly 0, not {got}");
        }
        let same: Vec<f64> = (0..11).map(|i| f64::from(i) / 10.0).collect();
        assert_eq!(Machine::fit(&same, &same).share(&same), 1.0, "of two equal sides everything counts as a member");
    }

    #[test]
    fn values_spread_over_thousands_stay_finite_and_are_separated_where_they_are() {
        let members: Vec<f64> = (0..3000).map(f64::from).collect();
        let nonmembers: Vec<f64> = (0..3000).map(|i| 5000.0 + f64::from(i)).collect();
        let machine = Machine::fit(&members, &nonmembers);
        assert!(machine.decide(machine.terms[0].0).is_finite());
        let at = |low: f64, high: f64| machine.terms.iter().map(|t| t.0).filter(move |x| (low..high).contains(x));
        assert!(
            at(0.0, 3000.0).all(|x| machine.decide(x) > 0.0) && at(5000.0, 8000.0).all(|x| machine.decide(x) < 0.0)
        );
    }

    #[test]
    fn nothing_to_fit_decides_nothing() {
        let machine = Machine::fit(&[], &[]);
        assert_eq!(machine.decide(0.5), 0.0);
        assert!(machine.share(&[]).is_nan());
    }
}
