//! Learning rate schedules: factors of the base rate, by epoch.

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
        }
    }
}
