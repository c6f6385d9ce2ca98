//! Smaller datasets with the classes in proportion or in balance.

use super::dataset::Dataset;
use crate::data::share::truncated;
use crate::data::train_validation_split::shuffled_classes;
use crate::runtime::{Error, Options, Result};

/// How much is kept of each class.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Share {
    /// At most so many samples.
    Cap(usize),
    /// This share, rounded down, but at least one sample.
    Fraction(f64),
}

impl Share {
    fn read(o: &mut Options) -> Result<Self> {
        let (cap, fraction) = (o.maybe_integer("per_class", 1)?, o.maybe_number("fraction")?);
        match (cap, fraction) {
            (Some(cap), None) => Ok(Self::Cap(cap as usize)),
            (None, Some(fraction)) if fraction > 0.0 && fraction <= 1.0 => Ok(Self::Fraction(fraction)),
            (None, Some(fraction)) => {
                Err(Error::new("subset", format!("`fraction` must be above 0 and at most 1, got {fraction}"))
                    .word("fraction"))
            }
            _ => Err(Error::new("subset", "give either `per_class` or `fraction`")
                .hint("e.g. subset(d, #{ per_class: 100 }) or subset(d, #{ fraction: 0.1 })")),
        }
    }

    fn of(self, count: usize) -> usize {
        match self {
            Self::Cap(cap) => cap.min(count),
            Self::Fraction(fraction) => truncated(fraction, count).max(1).min(count),
        }
    }
}

/// A random choice of every class from `seed`, in the dataset's order.
fn chosen(dataset: &Dataset, share: Share, seed: u64) -> Dataset {
    let classes = shuffled_classes(&dataset.labels(), seed);
    let keep = |rows: &Vec<usize>| rows.iter().take(share.of(rows.len())).copied().collect::<Vec<_>>();
    let mut kept: Vec<usize> = classes.iter().flat_map(keep).collect();
    kept.sort_unstable();
    dataset.subset(&kept)
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::data::train_validation_split::refuse_excess;
    use crate::runtime::{Options, Run, Script};
    use rhai::{Map, NativeCallContext};

    type Dataset = crate::data::Dataset;

    /// A random part of a dataset, chosen class by class: so many samples of each, or a share of each. The order stays.
    ///
    /// # Options
    /// - `per_class` (int): at most so many samples of each class; this or `fraction`
    /// - `fraction` (number): this share of each class, rounded down, but at least one sample; this or `per_class`
    /// - `seed` (int, the run's): what the choice is drawn from; the same seed chooses the same samples
    ///
    /// # Signature
    /// subset(dataset: Dataset, #{ per_class: int, fraction: number, seed: int }) -> Dataset
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits").train;
    /// let few = d.subset(#{ per_class: 5, seed: 1 });
    /// assert(few.len == 50 && few.classes == d.classes && few == d.subset(#{ per_class: 5, seed: 1 }));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn subset(context: NativeCallContext, dataset: Dataset, options: Map) -> Script<Dataset> {
        let mut o = Options::new("subset", options);
        let share = super::Share::read(&mut o)?;
        let seed = o.integer("seed", Run::of(&context).seed() as i64, 0)? as u64;
        o.finish()?;
        if let super::Share::Cap(per_class) = share {
            refuse_excess("subset", per_class, &dataset.labels())?;
        }
        Ok(super::chosen(&dataset, share, seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load::load;
    use crate::runtime::Run;
    use crate::runtime::run::Settings;
    use rhai::Map;

    #[test]
    fn classes_keep_their_caps_or_their_shares() {
        let all = load("digits", Map::new(), &Run::new(Settings::default())).unwrap().train;
        let few = chosen(&all, Share::Cap(7), 3);
        assert!(few.present().iter().all(|class| few.of(&[*class]).len() == 7));
        assert_eq!(few.keys(), chosen(&all, Share::Cap(7), 3).keys());
        assert_ne!(few.keys(), chosen(&all, Share::Cap(7), 4).keys());
        let (keys, of_few) = (all.keys(), few.keys());
        assert_eq!(keys.iter().filter(|key| of_few.contains(key)).count(), of_few.len());
        assert!(of_few.is_sorted_by_key(|key| keys.iter().position(|other| other == key)), "the order stays");
        let tenth = chosen(&all, Share::Fraction(0.1), 0);
        assert!((0..10).all(|class| tenth.of(&[class]).len() == all.of(&[class]).len() / 10));
        assert_eq!(chosen(&all, Share::Fraction(1e-6), 0).len(), 10);
    }

    #[test]
    fn one_way_to_say_how_much_is_needed() {
        let read = |pairs: &[(&str, rhai::Dynamic)]| {
            let map: Map = pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
            Share::read(&mut Options::new("subset", map)).map_err(|error| error.to_string())
        };
        assert!(read(&[]).unwrap_err().contains("either"));
        assert!(read(&[("per_class", 1_i64.into()), ("fraction", 0.5.into())]).unwrap_err().contains("either"));
        assert!(read(&[("fraction", 0.0.into())]).unwrap_err().contains("above 0"));
    }
}
