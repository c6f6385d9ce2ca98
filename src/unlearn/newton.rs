//! Systems with the Gauss-Newton matrix of the cross-entropy, which is the Fisher information: the curvature that
//! influence-style removal steps divide by.

use super::fisher::directions;
use super::kernel;
use crate::data::Dataset;
use crate::nn::Net;
use crate::runtime::{At, Error, Result, Run};
use crate::tensor::scalars::WithNumber;
use tch::{Kind, Tensor};

/// `(G + damping I)^-1 v` where `G = 1/n sum_i J_i' (diag(p_i) - p_i p_i') J_i`, in evaluation mode and exact: by Woodbury's
/// identity a system of n * (classes - 1) rows is solved.
///
/// # Errors
/// No samples, or more than fit; a vector of another length; an interrupt.
pub fn gauss_newton_solve(net: &Net, data: &Dataset, v: &Tensor, damping: f64, run: &Run) -> Result<Tensor> {
    let at = "gauss_newton_solve";
    let length: i64 = net.trainable().iter().map(|(_, p)| p.numel() as i64).sum();
    if v.size() != [length] {
        let given =
            format!("the vector must have one entry a trainable parameter, [{length}], got shape {:?}", v.size());
        return Err(Error::new(at, given));
    }
    net.evaluating(|| {
        let (x, _) = kernel::gathered(at, data)?;
        let logits = net.forward(&x)?;
        let (n, classes) = (logits.size().first().copied().unwrap_or(0), logits.size().get(1).copied().unwrap_or(1));
        kernel::check(at, net, &x, classes - 1)?;
        let directions = directions(&logits)?;
        let tangent = net.tangent(&x, |_| Ok(directions.shallow_clone()))?;
        // (A'A / n + d I)^-1 v = (v - A' (A A' + n d I)^-1 A v) / d, the rows of A being those of the tangent.
        let rows = tangent.times(v)?;
        let u = kernel::solve(at, kernel::of(&tangent, run)?, damping * n as f64, &rows)?;
        drop(tangent);
        let u = u.f_to_kind(Kind::Float).and_then(|u| u.f_view([n, classes - 1, 1])).at(at)?;
        let weights = directions.f_transpose(1, 2).and_then(|d| d.f_bmm(&u)).and_then(|w| w.f_squeeze_dim(2)).at(at)?;
        let pulled = kernel::pull_back(net, &x, &weights)?;
        v.f_sub(&pulled).and_then(|difference| difference.over(damping)).at(at)
    })
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::runtime::{Options, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Map, NativeCallContext};

    /// `(G + damping * I)^-1 v` for a vector over all trainable parameters, where G is the Gauss-Newton matrix of the mean
    /// cross-entropy on a dataset: `1/n sum_i J_i' (diag(p_i) - p_i p_i') J_i`, which is the Fisher information. Exact, in
    /// evaluation mode; a kernel of n * (classes - 1) rows is solved in f64 and must fit memory.
    ///
    /// # Signature
    /// gauss_newton_solve(net: Net, data: Dataset, v: Tensor[p], #{ damping: float = 0.01 }) -> Tensor[p]
    ///
    /// # Options
    /// - `damping` (float, 0.01): what is added to the diagonal
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4 });
    /// let v = loss_gradient(net, d.train.take(20));
    /// let flat = gauss_newton_solve(net, d.train.take(20), v, #{ damping: 1e4 });   // so much damping leaves v / damping
    /// assert_close(flat * 1e4, v, 1e-3);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn gauss_newton_solve(
        context: NativeCallContext,
        net: Net,
        data: Dataset,
        v: Tensor,
        options: Map,
    ) -> Script<Tensor> {
        let mut o = Options::new("gauss_newton_solve", options);
        let damping = o.positive("damping", 0.01)?;
        o.finish()?;
        Ok(super::gauss_newton_solve(&net, &data, &v, damping, &Run::of(&context))?.into())
    }

    #[rhai_fn(name = "gauss_newton_solve", return_raw)]
    pub fn gauss_newton_solve_plain(context: NativeCallContext, net: Net, data: Dataset, v: Tensor) -> Script<Tensor> {
        gauss_newton_solve(context, net, data, v, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::storage::DatasetInfo;
    use crate::nn::Shape;
    use crate::nn::zoo::{ConvNetOptions, convnet};
    use crate::runtime::Stream;
    use crate::runtime::run::Settings;
    use tch::Device;

    #[test]
    fn multiplying_the_solution_by_the_matrix_gives_the_vector_back() {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let options = ConvNetOptions { width: 3, ..ConvNetOptions::default() };
        let net = convnet(shape, 4, &options, &mut Stream::new(0, "init"), Device::Cpu).unwrap();
        net.set_training(false);
        let x = Tensor::from_slice(&Stream::new(1, "x").normals(7 * 64)).view([7, 1, 8, 8]);
        let y = Tensor::from_slice(&[0_i64, 1, 2, 3, 0, 1, 2]);
        let data = Dataset::from_tensors(&x, &y, DatasetInfo::default()).unwrap();
        let v = Tensor::from_slice(&Stream::new(2, "v").normals(net.count() as usize));
        let (damping, run) = (0.02, Run::new(Settings::default()));
        let solution = gauss_newton_solve(&net, &data, &v, damping, &run).unwrap();
        let d = directions(&tch::no_grad(|| net.forward(&x)).unwrap()).unwrap();
        let rows = net.tangent(&x, |_| Ok(d.shallow_clone())).unwrap().times(&solution).unwrap();
        let weights = d.transpose(1, 2).matmul(&rows.view([7, 3, 1])).squeeze_dim(2);
        let product = net.pulled_back(&x, &weights).unwrap() / 7.0 + &solution * damping;
        let error = (product - &v).norm().double_value(&[]) / v.norm().double_value(&[]);
        assert!(error < 1e-3, "{error}");
        let short = v.narrow(0, 0, 5);
        assert!(
            gauss_newton_solve(&net, &data, &short, damping, &run).unwrap_err().to_string().contains("got shape [5]")
        );
        let error = gauss_newton_solve(&net, &data.take(0), &v, damping, &run).unwrap_err().to_string();
        assert_eq!(error, "gauss_newton_solve: needs at least one sample, got none");
    }
}
