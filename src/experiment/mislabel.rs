//! Wrong labels put into a training set: what unlearning has to undo in experiments on label noise.

use crate::data::Data;
use crate::data::share::truncated;
use crate::runtime::{Error, Result, Stream};

/// A data set with wrong labels, and which samples have them.
pub struct Noisy {
    /// The data set, in the order of the one it was made from.
    pub data: Data,
    /// Positions in its training part whose label is another now, ascending.
    pub positions: Vec<usize>,
}

/// Gives so many random training samples a random other label (symmetric noise).
///
/// # Errors
/// More samples than there are, a single class.
pub fn mislabel(data: &Data, count: usize, seed: u64) -> Result<Noisy> {
    let train = &data.train;
    if data.classes < 2 {
        return Err(Error::new("mislabel", "needs at least two classes"));
    }
    if count > train.len() {
        let message = format!("{count} samples asked for, the training set has {}", train.len());
        return Err(Error::new("mislabel", message).word("count"));
    }
    let mut stream = Stream::new(seed, "mislabel");
    let mut positions = stream.sample(train.len(), count);
    positions.sort_unstable();
    let mut labels = train.labels();
    for position in &positions {
        if let Some(label) = labels.get_mut(*position) {
            let shift = 1 + stream.below(data.classes - 1) as i64;
            *label = (*label + shift) % data.classes as i64;
        }
    }
    let train = train.with_labels(&labels)?;
    let mut noisy = Data::from_parts(&data.name, &train, &data.validation, &data.test)?;
    noisy.class_names.clone_from(&data.class_names);
    Ok(Noisy { data: noisy, positions })
}

/// Reads how many samples `fraction` or `count` mean.
///
/// # Errors
/// Both of them; a share outside 0..1.
pub fn amount(n: usize, fraction: Option<f64>, count: Option<i64>) -> Result<usize> {
    match (fraction, count) {
        (Some(_), Some(_)) => Err(Error::new("mislabel", "give `fraction` or `count`, not both").word("count")),
        (None, Some(count)) => Ok(count as usize),
        (fraction, None) => match fraction.unwrap_or(0.1) {
            share if (0.0..=1.0).contains(&share) => Ok(truncated(share, n)),
            share => {
                let message = format!("`fraction` must be between 0 and 1, got {share}");
                Err(Error::new("mislabel", message).word("fraction"))
            }
        },
    }
}

/// What scripts see.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use crate::data::Data;
    use crate::runtime::{Options, Run, Script};
    use rhai::{Dynamic, Map, NativeCallContext};

    /// A data set in whose training part random samples have a random other label (symmetric noise). Returns a map: `data`, and
    /// `positions`, an array of the places whose label is wrong now. `mislabelled(clean.train)` chooses these samples again.
    ///
    /// # Signature
    /// mislabel(data: Data, #{ fraction: float = 0.1, count: int, seed: int }) -> map
    ///
    /// # Options
    /// - `fraction` (float, 0.1): share of the training part
    /// - `count` (int): a number of samples instead of a share
    /// - `seed` (int, the run's): which samples and which labels
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let noisy = mislabel(d, #{ count: 20 });
    /// let place = noisy.positions[0];
    /// assert(noisy.positions.len == 20 && noisy.data.train.labels[place] != d.train.labels[place]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mislabel(context: NativeCallContext, data: Data, options: Map) -> Script<Map> {
        let run = Run::of(&context);
        let mut o = Options::new("mislabel", options);
        let (fraction, count) = (o.maybe_number("fraction")?, o.maybe_integer("count", 1)?);
        let seed = o.integer("seed", run.seed() as i64, 0)? as u64;
        o.finish()?;
        let noisy = super::mislabel(&data, super::amount(data.train.len(), fraction, count)?, seed)?;
        let positions: rhai::Array = noisy.positions.iter().map(|p| (*p as i64).into()).collect();
        Ok(Map::from([("data".into(), Dynamic::from(noisy.data)), ("positions".into(), positions.into())]))
    }
}
