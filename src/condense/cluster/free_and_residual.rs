//! Fine labels, and what a forget request leaves of the clusters: free ones and residual samples.

use crate::runtime::{At, Error, Result};
use crate::tensor::Tensor;
use rhai::Dynamic;
use std::collections::HashMap;

/// Non-empty clusters of samples, in the order of their fine labels.
#[derive(Debug, Clone, Default)]
pub struct Clusters {
    /// Fine label of each cluster.
    pub names: Vec<i64>,
    /// Positions of the members of each cluster, ascending.
    pub members: Vec<Vec<usize>>,
}

/// What is left of clusters once samples are forgotten.
#[derive(Debug, Clone, Default)]
pub struct Separation {
    /// Which of the clusters have no forgotten member (indices into `Clusters`).
    pub free: Vec<usize>,
    /// Which have at least one.
    pub touched: Vec<usize>,
    /// Members of free clusters, ascending.
    pub free_samples: Vec<usize>,
    /// Members of touched clusters that are not forgotten, ascending.
    pub residual: Vec<usize>,
}

impl Clusters {
    /// Groups samples by their fine label; labels nobody has leave no cluster.
    pub fn from_labels(fine: &[i64]) -> Self {
        let mut names: Vec<i64> = fine.to_vec();
        names.sort_unstable();
        names.dedup();
        let place: HashMap<i64, usize> = names.iter().enumerate().map(|(i, name)| (*name, i)).collect();
        let mut members = vec![Vec::new(); names.len()];
        for (position, name) in fine.iter().enumerate() {
            if let Some(list) = place.get(name).and_then(|i| members.get_mut(*i)) {
                list.push(position);
            }
        }
        Self { names, members }
    }

    /// How many clusters there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Separates free clusters from touched ones. Free samples and residual ones together are all that is not forgotten.
    ///
    /// # Errors
    /// A forget position that is no sample's.
    pub fn separate(&self, forget: &[usize]) -> Result<Separation> {
        let total = self.members.iter().map(Vec::len).sum();
        let mut forgotten = vec![false; total];
        for position in forget {
            match forgotten.get_mut(*position) {
                Some(flag) => *flag = true,
                None => {
                    let message = format!("forget position {position} is outside of 0..{total}, the clustered samples");
                    return Err(Error::new("separate", message));
                }
            }
        }
        let is_forgotten = |position: &usize| forgotten.get(*position).copied().unwrap_or(false);
        let mut parts = Separation::default();
        for (index, members) in self.members.iter().enumerate() {
            if members.iter().any(is_forgotten) {
                parts.touched.push(index);
                parts.residual.extend(members.iter().filter(|p| !is_forgotten(p)));
            } else {
                parts.free.push(index);
                parts.free_samples.extend(members);
            }
        }
        parts.free_samples.sort_unstable();
        parts.residual.sort_unstable();
        Ok(parts)
    }
}

/// The cluster size at which separation and one image per free cluster shrink the retain set most, when a fraction `f` of
/// all samples is forgotten uniformly: `1/2 + sqrt(1/4 + 1/L)`, `L = -ln(1 - f)`, at least 2.
pub fn best_size(fraction: f64) -> f64 {
    let l = -(1.0 - fraction.clamp(0.0, 1.0)).ln();
    (0.5 + (0.25 + 1.0 / l).sqrt()).max(2.0)
}

/// The expected size of the reduced retain set relative to the retain set for equal clusters of this size.
pub fn expected_ratio(fraction: f64, size: f64) -> f64 {
    let free = (1.0 - fraction).powf(size - 1.0);
    1.0 - free + free / size
}

pub(crate) fn integers(operation: &str, tensor: &Tensor) -> Result<Vec<i64>> {
    let flat = tensor.f_reshape([-1]).at(operation)?.f_to_kind(tch::Kind::Int64).at(operation)?;
    Vec::<i64>::try_from(&flat).at(operation)
}

fn indices(values: impl IntoIterator<Item = i64>) -> Result<Dynamic> {
    let values: Vec<i64> = values.into_iter().collect();
    Ok(Dynamic::from(Tensor::from(tch::Tensor::f_from_slice(&values).at("separate")?)))
}

/// What scripts see of clusters.
#[rhai::export_module]
pub mod script {
    use super::Clusters;
    use crate::runtime::Script;
    use crate::tensor::Tensor;
    use rhai::Map;

    /// What forgetting leaves of clusters: fine labels i64 `[n]` and forget positions i64 `[f]` -> a map of index tensors.
    ///
    /// A cluster without a forgotten member is free, any other touched. The map has `free_clusters` and
    /// `touched_clusters` (fine labels), `free` (members of free clusters) and `residual` (members of touched clusters that
    /// are not forgotten), all ascending: `free` and `residual` together are the retain set, without overlap
    /// (arXiv 2507.09786). Fine labels that no sample has count as neither.
    ///
    /// # Signature
    /// separate(fine: Tensor[n], forget: Tensor[f]) -> map
    ///
    /// # Example
    /// ```rhai
    /// let parts = separate(tensor([0, 0, 1, 1, 1]), tensor([3]));
    /// assert(parts.free.to_array() == [0, 1] && parts.residual.to_array() == [2, 4]);
    /// assert(parts.free_clusters.to_array() == [0] && parts.touched_clusters.to_array() == [1]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn separate(fine: Tensor, forget: Tensor) -> Script<Map> {
        let clusters = Clusters::from_labels(&super::integers("separate", &fine)?);
        let positions = super::integers("separate", &forget)?;
        if let Some(position) = positions.iter().find(|p| **p < 0) {
            let message = format!("forget position {position} is negative: positions count from 0");
            return Err(crate::runtime::Error::new("separate", message).into());
        }
        let positions: Vec<usize> = positions.into_iter().map(|p| p as usize).collect();
        let parts = clusters.separate(&positions)?;
        let names = |list: &[usize]| list.iter().filter_map(|i| clusters.names.get(*i).copied()).collect::<Vec<_>>();
        let mut map = Map::new();
        map.insert("free_clusters".into(), super::indices(names(&parts.free))?);
        map.insert("touched_clusters".into(), super::indices(names(&parts.touched))?);
        map.insert("free".into(), super::indices(parts.free_samples.iter().map(|p| *p as i64))?);
        map.insert("residual".into(), super::indices(parts.residual.iter().map(|p| *p as i64))?);
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_best_size_and_its_ratio_are_those_derived() {
        for (fraction, ratio) in [(0.001, 0.061), (0.01, 0.178), (0.05, 0.348), (0.1, 0.453), (0.5, 0.75)] {
            let got = expected_ratio(fraction, best_size(fraction));
            assert!((got - ratio).abs() < 0.006, "{fraction}: {got} instead of {ratio}");
        }
        assert_eq!(best_size(0.5), 2.0);
        assert_eq!(best_size(1.0), 2.0);
    }

    #[test]
    fn a_position_nobody_has_is_refused() {
        assert!(Clusters::from_labels(&[0, 1]).separate(&[2]).is_err());
    }

    proptest! {
        #[test]
        fn free_and_residual_samples_are_exactly_the_retain_set(
            fine in proptest::collection::vec(0_i64..12, 1..80),
            forget in proptest::collection::vec(0_usize..80, 0..20),
        ) {
            let forget: Vec<usize> = forget.into_iter().filter(|p| *p < fine.len()).collect();
            let clusters = Clusters::from_labels(&fine);
            let parts = clusters.separate(&forget).unwrap();
            let mut both = [parts.free_samples.clone(), parts.residual.clone()].concat();
            both.sort_unstable();
            let retain: Vec<usize> = (0..fine.len()).filter(|p| !forget.contains(p)).collect();
            prop_assert_eq!(both, retain);
            prop_assert_eq!(parts.free.len() + parts.touched.len(), clusters.len());
        }
    }
}
