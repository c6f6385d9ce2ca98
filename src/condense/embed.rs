//! Random ConvNets: what images are embedded by, and what matching condensers match.

use crate::data::Dataset;
use crate::nn::zoo::{ConvNetOptions, convnet};
use crate::nn::{Net, Shape};
use crate::runtime::progress::Task;
use crate::runtime::{At, Result, Stream, interrupt};
use tch::{Device, Tensor};

/// Images embedded between two looks at the keyboard.
const EMBEDDED_AT_ONCE: usize = 256;

/// A random ConvNet with as many blocks (at most three) as the images can be halved.
///
/// # Errors
/// Those of torch.
pub fn network(shape: Shape, classes: usize, width: usize, stream: &mut Stream, device: Device) -> Result<Net> {
    let side = shape.height.min(shape.width).max(1);
    let depth = (side.ilog2() as usize).clamp(0, 3);
    convnet(shape, classes, &ConvNetOptions { width, depth, ..ConvNetOptions::default() }, stream, device)
}

/// The same for the images of a data set, never to be trained.
///
/// # Errors
/// Those of torch.
pub fn embedder(data: &Dataset, width: usize, stream: &mut Stream) -> Result<Net> {
    super::cluster::blend::frozen(&network(data.shape(), data.classes(), width, stream, data.device())?)
}

/// How often `embed` moves the bar for so many images.
pub fn steps(count: usize) -> usize {
    count.div_ceil(EMBEDDED_AT_ONCE)
}

/// Embeddings of all samples, `[n, d]`: of a class at a time rather than of a whole data set, which would take more memory than
/// its images.
///
/// # Errors
/// Those of the network; Ctrl-C.
pub fn embed(data: &Dataset, net: &Net, bar: &mut Task, note: &str) -> Result<Tensor> {
    let mut parts = Vec::with_capacity(steps(data.len()));
    for batch in data.chunks(EMBEDDED_AT_ONCE) {
        interrupt::check()?;
        let batch = batch?;
        parts.push(net.evaluating(|| net.embed(&batch.x))?);
        bar.step(note);
    }
    Tensor::f_cat(&parts, 0).at("embed")
}
