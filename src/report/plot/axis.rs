//! Axes: where ticks go and how they read.

/// Larger values are not drawn.
const LARGEST: f64 = 1e300;

/// Smaller values are drawn as 0: steps between them would not be numbers of full precision.
const SMALLEST: f64 = 1e-300;

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
    /// Whether a value can be drawn at all: finite, and not so large that spans of it are not.
    pub fn holds(x: f64) -> bool {
        x.abs() <= LARGEST
    }

    /// Covers the values that can be drawn with some air, which does not reach below 0 where they do not; a logarithmic one
    /// covers the positive values.
    pub fn cover(values: impl Iterator<Item = f64>, log: bool) -> Self {
        let values = values.filter(|x| Self::holds(*x) && (!log || *x > 0.0));
        let values: Vec<f64> = values.map(|x| if log || x.abs() >= SMALLEST { x } else { 0.0 }).collect();
        let whole = !log && !values.is_empty() && values.iter().all(|x| x.fract() == 0.0);
        let (low, high) = values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        if low > high {
            let (low, high) = if log { (0.1, 10.0) } else { (0.0, 1.0) };
            return Self { low, high, log, whole };
        }
        if log {
            let air = (0.1 * (high.ln() - low.ln())).max(1.25_f64.ln()).exp();
            let (low, high) = ((low / air).max(f64::MIN_POSITIVE), (high * air).min(f64::MAX));
            return Self { low, high, log, whole };
        }
        // Equal values: a fiftieth of them to either side, of whole ones at least 1.
        let about = 0.2 * if low == 0.0 { 1.0 } else { low.abs() };
        let span = match (high > low, whole) {
            (true, _) => high - low,
            (false, true) => about.max(10.0),
            (false, false) => about,
        };
        let (below, above) = (low - 0.1 * span, high + 0.1 * span);
        // Seconds, rounds and shares have nothing below 0.
        let below = if low >= 0.0 { below.max(0.0) } else { below };
        Self { low: below, high: above, log, whole }
    }

    /// Ends a scale a little above a bound that no value can exceed, such as 100 %.
    #[must_use]
    pub fn up_to(mut self, bound: f64) -> Self {
        if self.high > bound && self.low < bound && !self.log {
            self.high = bound + 0.03 * (bound - self.low);
        }
        self
    }

    /// Widens the scale to at least this span about its middle.
    #[must_use]
    pub fn at_least(mut self, span: f64) -> Self {
        let missing = span - (self.high - self.low);
        if missing > 0.0 && !self.log {
            let floor = if self.low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
            self.low = (self.low - missing / 2.0).max(floor);
            self.high = self.low + span;
        }
        self
    }

    /// Where a value lies, 0 at the start and 1 at the end.
    pub fn place(&self, x: f64) -> f64 {
        if self.log {
            (x.ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
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
        (first..=last.min(first.saturating_add(100))).map(|i| i as f64 * step).collect()
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
        ];
        // Powers of ten far apart on a scale over hundreds of them.
        let rare = || within(&[1.0], decades.clone().count().div_ceil(wanted.max(1)));
        choices.into_iter().find(|ticks| ticks.len() <= wanted).unwrap_or_else(rare)
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
        let decimals = (-order + f64::from(u8::from(!whole))).max(0.0);
        if decimals > 5.0 || tick.abs() >= 1e6 {
            return self.short(tick, gap);
        }
        let decimals = decimals as usize;
        format!("{tick:.decimals$}")
    }
}

impl Scale {
    /// A very small or large tick, with as many figures as set it apart from its neighbour.
    fn short(&self, tick: f64, gap: f64) -> String {
        if tick == 0.0 {
            return "0".into();
        }
        if tick.abs() < 0.5 * gap && !self.log {
            return "0".into();
        }
        let figures = (tick.abs().log10().floor() - gap.log10().floor()).clamp(0.0, 12.0) as usize + 1;
        let text = format!("{tick:.figures$e}");
        // 2.500e-7 reads 2.5e-7.
        match text.split_once('e') {
            Some((digits, power)) if digits.contains('.') => {
                format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => text,
        }
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

    #[test]
    fn extreme_values_have_ticks_too() {
        for values in [[1e-300, 2e-300], [-1e300, 1e300], [1e17, 1e17], [0.0, 0.0], [5e-324, 1e-320]] {
            let scale = Scale::cover(values.into_iter(), false);
            let ticks = scale.ticks(6);
            assert!(scale.place(values[0]).is_finite() && (2..=9).contains(&ticks.len()), "{values:?}: {ticks:?}");
            let texts: Vec<String> = ticks.iter().map(|tick| scale.label(*tick, &ticks)).collect();
            assert!(texts.iter().all(|text| text.len() < 12), "{texts:?}");
            assert_eq!(texts.iter().collect::<std::collections::HashSet<_>>().len(), texts.len(), "{texts:?}");
        }
        let log = Scale::cover([1e-300, 1e300].into_iter(), true);
        assert!((2..=9).contains(&log.ticks(6).len()) && log.place(1.0).is_finite(), "{:?}", log.ticks(6));
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
        assert_eq!(Scale::cover([0.0, 3.5, 4.0].into_iter(), false).low, 0.0, "no seconds below 0");
        assert!(Scale::cover([-1.0, 4.0].into_iter(), false).low < -1.0);
        let percent = Scale::cover([97.0, 100.0].into_iter(), false).up_to(100.0);
        assert_eq!(percent.ticks(8).last(), Some(&100.0));
        assert!((Scale::cover([5.0, 5.1].into_iter(), false).at_least(2.0).high - 6.05).abs() < 1e-9);
    }
}
