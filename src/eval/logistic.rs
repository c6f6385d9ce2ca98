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

    fn objective(&self, samples: &[(f64, bool)]) -> f64 {
        let losses = samples.iter().map(|(x, one)| {
            let z = self.slope * x + self.intercept;
            softplus(if *one { -z } else { z })
        });
        self.slope * self.slope / 2.0 + losses.sum::<f64>()
    }

    /// The Newton step: gradient and Hessian are five sums over the samples.
    fn step(&self, samples: &[(f64, bool)]) -> Self {
        let (mut gw, mut gb) = (self.slope, 0.0);
        let (mut hww, mut hwb, mut hbb) = (1.0, 0.0, 1e-12);
        for (x, one) in samples {
            let p = self.probability(*x);
            let residual = p - f64::from(u8::from(*one));
            let weight = p * (1.0 - p);
            gw += residual * x;
            gb += residual;
            hww += weight * x * x;
            hwb += weight * x;
            hbb += weight;
        }
        let determinant = hww * hbb - hwb * hwb;
        Self { slope: (hwb * gb - hbb * gw) / determinant, intercept: (hwb * gw - hww * gb) / determinant }
    }
}

/// Fits the model; NaN among the features gives a NaN model.
pub fn fit(samples: &[(f64, bool)]) -> Model {
    let mut model = Model::default();
    let mut value = model.objective(samples);
    for _ in 0..100 {
        let step = model.step(samples);
        let mut scale = 1.0;
        let (next, lower) = loop {
            let next =
                Model { slope: model.slope + scale * step.slope, intercept: model.intercept + scale * step.intercept };
            let lower = next.objective(samples);
            // Halve until the objective falls; a step too short to matter ends the search (NaN ends it at once).
            if lower <= value || scale < 1e-10 || lower.is_nan() {
                break (next, lower);
            }
            scale /= 2.0;
        };
        let moved = (scale * step.slope).abs() + (scale * step.intercept).abs();
        (model, value) = (next, lower);
        if moved.is_nan() || moved < 1e-10 * (1.0 + model.slope.abs() + model.intercept.abs()) {
            break;
        }
    }
    model
}

/// Each sample's probability of label 1 from the model fitted on the other folds.
pub fn out_of_fold(samples: &[(f64, bool)], fold: &[usize], folds: usize) -> Vec<f64> {
    let mut probability = vec![f64::NAN; samples.len()];
    for held in 0..folds {
        let train: Vec<_> = samples.iter().zip(fold).filter(|(_, f)| **f != held).map(|(s, _)| *s).collect();
        let model = fit(&train);
        for ((x, _), (p, _)) in samples.iter().zip(probability.iter_mut().zip(fold)).filter(|(_, (_, f))| **f == held) {
            *p = model.probability(*x);
        }
    }
    probability
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
    fn labels_exchanged_flip_the_signs() {
        let samples: Vec<_> = (0..50).map(|i| (f64::from(i % 7), i % 3 == 0)).collect();
        let flipped: Vec<_> = samples.iter().map(|(x, one)| (*x, !one)).collect();
        let (a, b) = (fit(&samples), fit(&flipped));
        assert!((a.slope + b.slope).abs() < 1e-9 && (a.intercept + b.intercept).abs() < 1e-9);
    }
}
