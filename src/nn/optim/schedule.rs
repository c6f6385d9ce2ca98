//! Learning rate schedules: factors of the base rate, by epoch.

use crate::runtime::{Error, Result, options};
use rhai::Dynamic;

/// A rule that gives each epoch, counted from 0, a factor of the base learning rate.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Always 1.
    Constant,
    /// Linear warm-up over `warmup` epochs, then a cosine down towards 0 at `epochs`.
    WarmupCosine { epochs: usize, warmup: usize },
    /// Multiplied by `gamma` at each milestone.
    MultiStep { milestones: Vec<usize>, gamma: f64 },
    /// Multiplied by `gamma` every `size` epochs.
    Step { size: usize, gamma: f64 },
    /// Linear from 1 down to 0 at `epochs`.
    Fade { epochs: usize },
}

impl Schedule {
    /// The factor of epoch `epoch`.
    pub fn factor(&self, epoch: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::WarmupCosine { warmup, .. } if epoch < *warmup => (epoch + 1) as f64 / *warmup as f64,
            Self::WarmupCosine { epochs, warmup } => {
                let length = epochs.saturating_sub(*warmup).max(1) as f64;
                let past = ((epoch - warmup) as f64 / length).min(1.0);
                0.5 * (1.0 + (std::f64::consts::PI * past).cos())
            }
            Self::MultiStep { milestones, gamma } => {
                gamma.powi(milestones.iter().filter(|m| **m <= epoch).count() as i32)
            }
            Self::Step { size, gamma } => gamma.powi((epoch / (*size).max(1)) as i32),
            Self::Fade { epochs } if epoch < *epochs => 1.0 - epoch as f64 / *epochs as f64,
            Self::Fade { .. } => 0.0,
        }
    }
}

/// An epoch, counted from 0.
fn epoch(operation: &str, value: &Dynamic) -> Result<usize> {
    options::as_integer(value).and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
        Error::new(operation, format!("expects an epoch of at least 0, got {}", options::describe(value)))
    })
}

/// What scripts see: factors of the base learning rate.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{Schedule, epoch as nth};
    use crate::runtime::{Error, Options, Script};
    use rhai::{Dynamic, Map};

    /// Factor of the learning rate in an epoch (from 0): rises linearly over `warmup` epochs, then falls as a half cosine
    /// towards 0 at `epochs`.
    ///
    /// `(epoch + 1) / warmup` while `epoch < warmup`, then `(1 + cos(pi (epoch - warmup) / (epochs - warmup))) / 2`.
    ///
    /// # Signature
    /// warmup_cosine(epoch: int, #{ epochs: int, warmup: int = 0 }) -> float
    ///
    /// # Options
    /// - `epochs` (int, required): length of the whole schedule
    /// - `warmup` (int, 0): epochs of the rise
    ///
    /// # Example
    /// ```rhai
    /// assert_close(warmup_cosine(0, #{ epochs: 100, warmup: 5 }), 0.2, 1e-6);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn warmup_cosine(epoch: Dynamic, options: Map) -> Script<f64> {
        let epoch = nth("warmup_cosine", &epoch)?;
        let mut o = Options::new("warmup_cosine", options);
        let epochs = o.maybe_integer("epochs", 1)?;
        let warmup = o.integer("warmup", 0, 0)? as usize;
        o.finish()?;
        let missing = || Error::new("warmup_cosine", "needs the option `epochs`, the length of the schedule");
        let epochs = epochs.ok_or_else(missing)? as usize;
        Ok(Schedule::WarmupCosine { epochs, warmup }.factor(epoch))
    }

    /// Factor of the learning rate in an epoch (from 0): multiplied by `gamma` at each milestone.
    ///
    /// # Signature
    /// multistep(epoch: int, #{ milestones: array of int, gamma: float = 0.1 }) -> float
    ///
    /// # Options
    /// - `milestones` (array of int, required): epochs from which another factor applies
    /// - `gamma` (float, 0.1): the factor
    ///
    /// # Example
    /// ```rhai
    /// assert_close(multistep(60, #{ milestones: [50, 75] }), 0.1, 1e-9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn multistep(epoch: Dynamic, options: Map) -> Script<f64> {
        let epoch = nth("multistep", &epoch)?;
        let mut o = Options::new("multistep", options);
        let milestones = o.maybe_integers("milestones")?;
        let gamma = o.non_negative("gamma", 0.1)?;
        o.finish()?;
        let missing = || Error::new("multistep", "needs the option `milestones`, an array of epochs");
        let milestones = milestones.ok_or_else(missing)?.into_iter().map(|m| m.max(0) as usize).collect();
        Ok(Schedule::MultiStep { milestones, gamma }.factor(epoch))
    }

    /// Factor of the learning rate in an epoch (from 0): multiplied by `gamma` every `every` epochs.
    ///
    /// # Signature
    /// step_decay(epoch: int, #{ every: int = 30, gamma: float = 0.1 }) -> float
    ///
    /// # Options
    /// - `every` (int, 30): epochs between two reductions
    /// - `gamma` (float, 0.1): the factor
    ///
    /// # Example
    /// ```rhai
    /// assert_close(step_decay(7, #{ every: 3, gamma: 0.5 }), 0.25, 1e-9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn step_decay(epoch: Dynamic, options: Map) -> Script<f64> {
        let epoch = nth("step_decay", &epoch)?;
        let mut o = Options::new("step_decay", options);
        let (size, gamma) = (o.count("every", 30)?, o.non_negative("gamma", 0.1)?);
        o.finish()?;
        Ok(Schedule::Step { size, gamma }.factor(epoch))
    }

    /// Factor that fades linearly with the epochs (from 0): 1 in the first, 0 from epoch `epochs` on. For the weight of a
    /// penalty, say.
    ///
    /// # Signature
    /// fade(epoch: int, #{ epochs: int }) -> float
    ///
    /// # Options
    /// - `epochs` (int, required): the epoch from which it is 0
    ///
    /// # Example
    /// ```rhai
    /// assert(fade(0, #{ epochs: 4 }) == 1.0 && fade(3, #{ epochs: 4 }) == 0.25 && fade(4, #{ epochs: 4 }) == 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fade(epoch: Dynamic, options: Map) -> Script<f64> {
        let epoch = nth("fade", &epoch)?;
        let mut o = Options::new("fade", options);
        let epochs = o.maybe_integer("epochs", 0)?;
        o.finish()?;
        let epochs = epochs.ok_or_else(|| Error::new("fade", "needs the option `epochs`, from which it is 0"))?;
        Ok(Schedule::Fade { epochs: epochs as usize }.factor(epoch))
    }

    /// Factor of a constant learning rate: 1 in every epoch. For a script that takes its schedule as a function.
    ///
    /// # Example
    /// ```rhai
    /// assert(constant(12) == 1.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn constant(epoch: Dynamic) -> Script<f64> {
        Ok(Schedule::Constant.factor(nth("constant", &epoch)?))
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn warm_up_rises_to_one_and_the_cosine_falls_from_it() {
        let schedule = Schedule::WarmupCosine { epochs: 10, warmup: 2 };
        let factors: Vec<f64> = (0..12).map(|epoch| schedule.factor(epoch)).collect();
        assert_eq!(factors[..3], [0.5, 1.0, 1.0]);
        assert!((factors[6] - 0.5).abs() < 1e-12 && factors[10].abs() < 1e-12 && factors[11].abs() < 1e-12);
        assert_eq!(Schedule::WarmupCosine { epochs: 1, warmup: 5 }.factor(0), 0.2);
        assert_eq!(Schedule::Fade { epochs: 0 }.factor(0), 0.0);
    }
}
