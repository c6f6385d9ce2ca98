//! Free controls for condensers: one real image per cluster.

use crate::data::Dataset;
use crate::nn::Net;
use crate::runtime::{At, Error, Result, Stream, interrupt};
use tch::{Kind, Tensor};

/// Clusters looked at together.
const CHUNK: usize = 64;

/// A random member of each cluster.
pub fn random(clusters: &[Vec<usize>], stream: &mut Stream) -> Vec<usize> {
    clusters.iter().filter_map(|members| members.get(stream.below(members.len())).copied()).collect()
}

/// The member of each cluster whose embedding is nearest to the cluster's mean embedding.
///
/// # Errors
/// Those of the network; Ctrl-C.
pub fn nearest(clusters: &[Vec<usize>], data: &Dataset, net: &Net) -> Result<Vec<usize>> {
    let mut chosen = Vec::with_capacity(clusters.len());
    for chunk in clusters.chunks(CHUNK) {
        interrupt::check()?;
        let positions = chunk.concat();
        let embedded = net.evaluating(|| net.embed(&data.gather(&positions)?.x))?;
        let mut distances = distances(&embedded, chunk)?.into_iter();
        for members in chunk {
            let own: Vec<f32> = distances.by_ref().take(members.len()).collect();
            if own.iter().any(|distance| distance.is_nan()) {
                let message = format!("the embeddings of a cluster of {} images contain NaN or infinity", own.len());
                return Err(Error::new("nearest", message).hint("look for them in the images"));
            }
            let best = own.iter().zip(members).min_by(|(a, _), (b, _)| a.total_cmp(b));
            let position = best.map(|(_, position)| *position);
            chosen.push(position.ok_or_else(|| Error::new("nearest", "a cluster has no members"))?);
        }
    }
    Ok(chosen)
}

/// Squared distance of each row to the mean of its cluster's rows, which stand together.
fn distances(rows: &Tensor, clusters: &[Vec<usize>]) -> Result<Vec<f32>> {
    let at = "nearest";
    let owner: Vec<i64> = clusters.iter().enumerate().flat_map(|(i, m)| vec![i as i64; m.len()]).collect();
    let owner = Tensor::f_from_slice(&owner).at(at)?.f_to_device(rows.device()).at(at)?;
    let (means, _) = super::kmeans::segment_means(rows, &owner, clusters.len() as i64)?;
    let difference = rows.f_sub(&means.f_index_select(0, &owner).at(at)?).at(at)?;
    let squared = difference.f_square().at(at)?.f_sum_dim_intlist(&[1_i64][..], false, Kind::Float).at(at)?;
    Vec::try_from(&squared.f_to_device(tch::Device::Cpu).at(at)?).at(at)
}
