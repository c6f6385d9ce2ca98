//! Linear systems of the size of a few samples instead of all parameters: the tangent kernel of a network and its solves.

use crate::data::Dataset;
use crate::nn::Net;
use crate::nn::jacobian::per_sample::Tangent;
use crate::runtime::{At, Error, Result, Run, interrupt};
use crate::tensor::scalars::WithNumber;
use tch::{Kind, Tensor};

/// Largest number of rows of a kernel: 2 GiB in f64, and as much again while it is solved.
const ROWS: i64 = 1 << 14;

/// Largest number of elements that the tangent of all samples may keep at once: 2 GiB in f32.
const ELEMENTS: i64 = 1 << 29;

/// Samples whose gradients are pulled back at a time.
const CHUNK: i64 = 256;

/// Refuses more samples than fit, before anything large is made. `k` is the number of directions.
///
/// # Errors
/// Too many: the error says how many would fit.
pub fn check(operation: &str, net: &Net, x: &Tensor, k: i64) -> Result<()> {
    let n = x.size().first().copied().unwrap_or(0);
    let size = net.tangent_size(x, k)?;
    let (rows, elements) = (ROWS / k.max(1), ELEMENTS / size);
    let fits = rows.min(elements);
    if n <= fits {
        return Ok(());
    }
    let what = if rows < elements { "the kernel" } else { "what the layers keep" };
    let message = format!("{n} samples are too many for memory: {what} of at most {fits} samples would fit");
    Err(Error::new(operation, message)
        .word("samples")
        .hint(format!("give `samples`, e.g. samples: {}", fits.max(1) / 2)))
}

/// All images and labels of a dataset.
///
/// # Errors
/// No samples; those of torch.
pub fn gathered(operation: &str, data: &Dataset) -> Result<(Tensor, Tensor)> {
    if data.is_empty() {
        return Err(Error::new(operation, "needs at least one sample, got none"));
    }
    let batch = data.all()?;
    Ok((batch.x, batch.y))
}

/// The kernel of a tangent, with its progress shown.
///
/// # Errors
/// Those of torch; an interrupt.
pub fn of(tangent: &Tangent, run: &Run) -> Result<Tensor> {
    let mut progress = run.progress().start("tangent kernel", tangent.parts());
    tangent.kernel(|| progress.step(""))
}

/// `(K + ridge I)^-1 b` for a symmetric positive kernel in f64; K is used up.
///
/// # Errors
/// A sum that is not positive definite.
pub fn solve(operation: &str, mut kernel: Tensor, ridge: f64, b: &Tensor) -> Result<Tensor> {
    interrupt::check()?;
    let _guard = tch::no_grad_guard();
    let mut diagonal = kernel.f_diagonal(0, 0, 1).at(operation)?;
    let _ = diagonal.plus_(ridge).at(operation)?;
    let column = b.f_to_kind(Kind::Double).and_then(|b| b.f_reshape([-1, 1])).at(operation)?;
    let (factor, failed) = kernel.f_linalg_cholesky_ex(false, false).at(operation)?;
    kernel = Tensor::new();
    drop(kernel);
    if failed.f_int64_value(&[]).at(operation)? != 0 {
        return Err(Error::new(operation, "the kernel is not positive definite to the precision of its entries")
            .hint("a larger weight decay or damping makes it so"));
    }
    column.f_cholesky_solve(&factor, false).and_then(|a| a.f_reshape([-1])).at(operation)
}

/// `J' a`, where `a` [n, classes] weighs the logits of each sample: one backward pass, a few samples at a time.
///
/// # Errors
/// Those of the network; an interrupt.
pub fn pull_back(net: &Net, x: &Tensor, a: &Tensor) -> Result<Tensor> {
    let n = x.size().first().copied().unwrap_or(0);
    let mut total: Option<Tensor> = None;
    for start in (0..n).step_by(CHUNK as usize) {
        interrupt::check()?;
        let part = |t: &Tensor| t.f_narrow(0, start, CHUNK.min(n - start)).at("tangent");
        let pulled = net.pulled_back(&part(x)?, &part(a)?)?;
        total = Some(match total {
            Some(mut total) => total.f_add_(&pulled).at("tangent")?,
            None => pulled,
        });
    }
    total.ok_or_else(|| Error::new("tangent", "needs at least one sample, got none"))
}
