//! Logistic regression on one feature: `w^2/2 + sum of log-losses`, the intercept free (scikit-learn's `C = 1`), by Newton.

/// A fitted model: the probability of label 1 is `sigmoid(slope * x + intercept)`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Model {
    /// The slope.
    pub slope: f64,
    /// The intercept.
    pub intercept: f64,
}

/// ln(1 + e^x) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

impl Model {
    /// The probability of label 1.
    pub fn probability(&self, x: f64) -> f64 {
        sigmoid(self.slope * x + self.intercept)
    }

    fn objective(&self, samples: &[(f64, bool)], weights: [f64; 2]) -> f64 {
        let losses = samples.iter().map(|(x, one)| {
            let z = self.slope * x + self.intercept;
            weights[usize::from(*one)] * softplus(if *one { -z } else { z })
        });
        self.slope * self.slope / 2.0 + losses.sum::<f64>()
    }

    /// The Newton step, and twice the decrease it promises: gradient and Hessian are five sums over the samples.
    fn step(&self, samples: &[(f64, bool)], weights: [f64; 2]) -> (Self, f64) {
        let (mut gw, mut gb) = (self.slope, 0.0);
        let (mut hww, mut hwb, mut hbb) = (1.0, 0.0, 1e-12);
        for (x, one) in samples {
            let p = self.probability(*x);
            let of_class = weights[usize::from(*one)];
            let residual = of_class * (p - f64::from(u8::from(*one)));
            let weight = of_class * p * (1.0 - p);
            gw += residual * x;
            gb += residual;
            hww += weight * x * x;
            hwb += weight * x;
            hbb += weight;
        }
        let determinant = hww * hbb - hwb * hwb;
        let step = Self { slope: (hwb * gb - hbb * gw) / determinant, intercept: (hwb * gw - hww * gb) / determinant };
        (step, -(gw * step.slope + gb * step.intercept))
    }
}

/// Fits the model; NaN among the features gives a NaN model.
pub fn fit(samples: &[(f64, bool)]) -> Model {
    search(samples, [1.0, 1.0], Model::default())
}

/// Fits the model with classes weighted against their frequency: scikit-learn's `class_weight="balanced"`.
pub fn fit_balanced(samples: &[(f64, bool)]) -> Model {
    let ones = samples.iter().filter(|(_, one)| *one).count() as f64;
    let n = samples.len() as f64;
    let weight = |count: f64| if count > 0.0 { n / (2.0 * count) } else { 0.0 };
    search(samples, [weight(n - ones), weight(ones)], Model::default())
}

/// Fits the model to a part of the samples that `near` was fitted to: it is a few steps away.
pub fn fit_near(samples: &[(f64, bool)], near: Model) -> Model {
    if near.slope.is_finite() && near.intercept.is_finite() { search(samples, [1.0, 1.0], near) } else { fit(samples) }
}

fn search(samples: &[(f64, bool)], weights: [f64; 2], start: Model) -> Model {
    let mut model = start;
    let mut value = model.objective(samples, weights);
    for _ in 0..100 {
        let (step, promise) = model.step(samples, weights);
        let moved = |scale: f64| Model {
            slope: model.slope + scale * step.slope,
            intercept: model.intercept + scale * step.intercept,
        };
        // Below this the objective's last digits cannot tell better from worse: one full step is the end. NaN ends here, too.
        if promise.is_nan() || promise < 1e-11 * value {
            // Where only rounding is left to gain, as between sides that nothing tells apart, a tie stays a tie.
            return if promise < 1e-22 * value { model } else { moved(1.0) };
        }
        let mut scale = 1.0;
        let (next, lower) = loop {
            let (next, lower) = (moved(scale), moved(scale).objective(samples, weights));
            // Halve until the objective falls; a step too short to matter ends the search.
            if lower <= value || scale < 1e-10 || lower.is_nan() {
                break (next, lower);
            }
            scale /= 2.0;
        };
        (model, value) = (next, lower);
        if scale < 1e-10 || value.is_nan() {
            break;
        }
    }
    model
}

/// Each sample's probability of label 1 from the model fitted on the other folds.
pub fn out_of_fold(samples: &[(f64, bool)], fold: &[usize], folds: usize) -> Vec<f64> {
    let mut probability = vec![f64::NAN; samples.len()];
    let whole = fit(samples);
    for held in 0..folds {
        let train: Vec<_> = samples.iter().zip(fold).filter(|(_, f)| **f != held).map(|(s, _)| *s).collect();
        let model = fit_near(&train, whole);
        for ((x, _), (p, _)) in samples.iter().zip(probability.iter_mut().zip(fold)).filter(|(_, (_, f))| **f == held) {
            *p = model.probability(*x);
        }
    }
    probability
}

/// The share of probabilities of label 1 that are on the right side of one half, each with whether the label is 1. NaN of
/// none, and where a probability is NaN: a model that could not be fitted calls nobody anything.
pub fn accuracy(told: impl Iterator<Item = (bool, f64)>) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for (one, probability) in told {
        if probability.is_nan() {
            return f64::NAN;
        }
        right += f64::from(u8::from((probability > 0.5) == one));
        all += 1.0;
    }
    right / all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_vanishes_at_the_fit_even_when_the_classes_separate() {
        for gap in [0.0, 0.3, 5.0, 60.0] {
            let samples: Vec<_> =
                (0..200).map(|i| (f64::from(i % 37) / 9.0 + gap * f64::from(i % 2), i % 2 == 1)).collect();
            let model = fit(&samples);
            let residual = |i: &(f64, bool)| model.probability(i.0) - f64::from(u8::from(i.1));
            let slope: f64 = model.slope + samples.iter().map(|s| residual(s) * s.0).sum::<f64>();
            let intercept: f64 = samples.iter().map(residual).sum();
            assert!(slope.abs() < 1e-6 && intercept.abs() < 1e-6, "gap {gap}: {slope} {intercept} {model:?}");
        }
    }

    #[test]
    fn constant_features_are_told_apart_by_frequency_alone() {
        // scikit-learn 1.9: probability 0.5 of equally many, the share of ones otherwise; balanced, 0.5 again.
        for x in [0.0, 0.3, 1.0, 1e4] {
            let samples = |ones: usize| (0..40).map(|i| (x, i < ones)).collect::<Vec<_>>();
            assert_eq!(fit(&samples(20)).probability(x), 0.5);
            assert!((fit(&samples(10)).probability(x) - 0.25).abs() < 1e-6);
            for ones in [1, 7, 9, 10, 31] {
                let balanced = fit_balanced(&samples(ones)).probability(x);
                assert!((balanced - 0.5).abs() < 1e-12, "{ones} of 40 at {x}: {balanced}");
            }
        }
    }

    #[test]
    fn what_cannot_be_fitted_has_no_accuracy() {
        for x in [f64::NAN, f64::INFINITY, 1e300] {
            let samples: Vec<_> = (0..40).map(|i| (if i == 0 { x } else { f64::from(i % 2) }, i % 2 == 0)).collect();
            let model = fit(&samples);
            let told = accuracy(samples.iter().map(|(x, one)| (*one, model.probability(*x))));
            assert!(told.is_nan() || told > 0.9, "{x}: {told} {model:?}");
        }
        assert!(accuracy(std::iter::empty()).is_nan());
        assert!(accuracy([(true, 0.9), (false, f64::NAN)].into_iter()).is_nan());
        assert_eq!(accuracy([(true, 0.9), (false, 0.5), (true, 0.5), (false, 0.9)].into_iter()), 0.5);
    }

    #[test]
    fn labels_exchanged_flip_the_signs() {
        let samples: Vec<_> = (0..50).map(|i| (f64::from(i % 7), i % 3 == 0)).collect();
        let flipped: Vec<_> = samples.iter().map(|(x, one)| (*x, !one)).collect();
        let (a, b) = (fit(&samples), fit(&flipped));
        assert!((a.slope + b.slope).abs() < 1e-9 && (a.intercept + b.intercept).abs() < 1e-9);
    }

    #[test]
    fn balanced_classes_weigh_the_same_and_a_near_start_ends_where_a_far_one_does() {
        // scikit-learn 1.9: LogisticRegression(class_weight="balanced", tol=1e-12) on the same samples.
        let samples: Vec<_> = (0..90).map(|i| (f64::from(i % 11) / 4.0 + f64::from(i % 3) / 2.0, i % 3 == 2)).collect();
        let balanced = fit_balanced(&samples);
        assert!(
            (balanced.slope - 0.951_613_9).abs() < 1e-6 && (balanced.intercept + 1.755_722_42).abs() < 1e-6,
            "{balanced:?}"
        );
        let (far, near) = (fit(&samples[..70]), fit_near(&samples[..70], fit(&samples)));
        assert!((far.slope - near.slope).abs() < 1e-6 && (far.intercept - near.intercept).abs() < 1e-6);
    }
}
