//! Axes: where ticks go and how they read.

/// A mapping of data to a length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The value at the start.
    pub low: f64,
    /// The value at the end.
    pub high: f64,
    /// Logarithmic.
    pub log: bool,
    /// Ticks at whole numbers alone: rounds, epochs, counts.
    pub whole: bool,
}

impl Scale {
    /// Covers the finite values with some air; a logarithmic one covers the positive values.
    pub fn cover(values: impl Iterator<Item = f64>, log: bool) -> Self {
        let values = values.filter(|x| x.is_finite() && (!log || *x > 0.0));
        let values: Vec<f64> = values.collect();
        let whole = !log && !values.is_empty() && values.iter().all(|x| x.fract() == 0.0);
        let (low, high) = values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        if low > high {
            let (low, high) = if log { (0.1, 10.0) } else { (0.0, 1.0) };
            return Self { low, high, log, whole };
        }
        if log {
            let air = (high / low).powf(0.1).max(1.25);
            return Self { low: low / air, high: high * air, log, whole };
        }
        let span = if high > low { high - low } else { low.abs().max(1.0) * 0.2 };
        Self { low: low - 0.1 * span, high: high + 0.1 * span, log, whole }
    }

    /// Widens the scale to at least this span about its middle.
    #[must_use]
    pub fn at_least(mut self, span: f64) -> Self {
        let missing = span - (self.high - self.low);
        if missing > 0.0 && !self.log {
            self.low -= missing / 2.0;
            self.high += missing / 2.0;
        }
        self
    }

    /// Where a value lies, 0 at the start and 1 at the end.
    pub fn place(&self, x: f64) -> f64 {
        if self.log {
            (x / self.low).ln() / (self.high / self.low).ln()
        } else {
            (x - self.low) / (self.high - self.low)
        }
    }

    /// Round values within the scale, about `wanted` of them.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        if self.log { self.log_ticks(wanted) } else { self.linear_ticks(wanted) }
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<f64> {
        let mut step = round_step((self.high - self.low) / wanted.max(1) as f64);
        if self.whole && step.fract() != 0.0 {
            step = step.ceil();
        }
        if !(step > 0.0 && step.is_finite()) {
            return vec![];
        }
        let (first, last) = ((self.low / step - 1e-9).ceil() as i64, (self.high / step + 1e-9).floor() as i64);
        (first..=last.min(first + 100)).map(|i| i as f64 * step).collect()
    }

    fn log_ticks(&self, wanted: usize) -> Vec<f64> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let within = |factors: &[f64], every: usize| -> Vec<f64> {
            let all = decades.clone().step_by(every).flat_map(|d| factors.iter().map(move |f| f * 10_f64.powi(d)));
            all.filter(|x| (self.low..=self.high).contains(x)).collect()
        };
        let choices = [
            within(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 1),
            within(&[1.0, 2.0, 3.0, 5.0, 7.0], 1),
            within(&[1.0, 2.0, 5.0], 1),
            within(&[1.0, 3.0], 1),
            within(&[1.0], 1),
            within(&[1.0], 2),
            within(&[1.0], 4),
        ];
        choices.into_iter().find(|ticks| ticks.len() <= wanted).unwrap_or_default()
    }

    /// A tick's text; all ticks of a linear scale have the same number of decimals.
    pub fn label(&self, tick: f64, ticks: &[f64]) -> String {
        let gap = match ticks {
            [a, b, ..] if !self.log => (b - a).abs(),
            _ => tick.abs(),
        };
        if gap <= 0.0 || !gap.is_finite() {
            return format!("{tick}");
        }
        // 2.5 needs one decimal more than its order of magnitude tells.
        let order = gap.log10().floor();
        let whole = (gap / 10_f64.powf(order) - (gap / 10_f64.powf(order)).round()).abs() < 1e-6;
        let decimals = (-order + f64::from(u8::from(!whole))).clamp(0.0, 8.0) as usize;
        if tick.abs() >= 1e6 { format!("{tick:e}") } else { format!("{tick:.decimals$}") }
    }
}

/// The next of 1, 2, 2.5, 5, 10 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|f| f * power >= rough * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(low: f64, high: f64, log: bool) -> Vec<String> {
        let scale = Scale { low, high, log, whole: false };
        let ticks = scale.ticks(6);
        ticks.iter().map(|t| scale.label(*t, &ticks)).collect()
    }

    #[test]
    fn ticks_are_round_and_read_alike() {
        assert_eq!(labels(95.3, 100.2, false), ["96", "97", "98", "99", "100"]);
        assert_eq!(labels(0.47, 0.68, false), ["0.50", "0.55", "0.60", "0.65"]);
        assert_eq!(labels(0.08, 3.0, true), ["0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(labels(97.45, 98.85, false), ["97.50", "97.75", "98.00", "98.25", "98.50", "98.75"]);
        assert_eq!(labels(1e-3, 1e5, true), ["0.001", "0.1", "10", "1000", "100000"]);
    }

    proptest! {
        #[test]
        fn ticks_lie_within_and_are_never_too_many(low in -1e6..1e6_f64, span in 1e-6..1e6_f64) {
            let scale = Scale { low, high: low + span, log: false, whole: false };
            let ticks = scale.ticks(6);
            prop_assert!(ticks.len() <= 8);
            prop_assert!(ticks.iter().all(|t| (-0.01..=1.01).contains(&scale.place(*t))));
        }
    }

    #[test]
    fn a_scale_covers_what_it_is_given_even_when_that_is_nothing() {
        assert_eq!(
            Scale::cover([f64::NAN].into_iter(), false),
            Scale { low: 0.0, high: 1.0, log: false, whole: false }
        );
        let one = Scale::cover([5.0].into_iter(), false);
        assert!(one.low < 5.0 && one.high > 5.0);
        let rounds = Scale::cover([0.0, 1.0, 2.0].into_iter(), false);
        assert_eq!(rounds.ticks(7), [0.0, 1.0, 2.0]);
        let log = Scale::cover([0.0, 0.1, 10.0].into_iter(), true);
        assert!(log.low < 0.1 && log.low > 0.0 && log.high > 10.0);
        assert!((Scale::cover([5.0, 5.1].into_iter(), false).at_least(2.0).high - 6.05).abs() < 1e-9);
    }
}
