//! Linear algebra: products, solving, decompositions, distances.

use crate::runtime::options::describe;
use crate::runtime::{At, Error, Result};
use crate::tensor::dtype::{is_float, kind_name, kind_of};
use crate::tensor::overflow::refuse_products;
use crate::tensor::shape_errors::{broadcast, same_device, same_kind};
use crate::tensor::value::Tensor;
use rhai::{Array, Dynamic, Map};

/// Matrix product of matrices, vectors, or batches of matrices.
///
/// # Errors
/// Names both shapes when the inner sizes differ, and both dtypes or devices where those do.
pub fn matmul(left: &tch::Tensor, right: &tch::Tensor) -> Result<tch::Tensor> {
    let error = match left.f_matmul(right) {
        Ok(product) => {
            let length = left.size().last().map_or(0, |size| *size as usize);
            refuse_products("matmul", &[left, right], length, &product, |wide| {
                wide[0].f_matmul(&wide[1]).at("matmul")
            })?;
            return Ok(product);
        }
        Err(error) => error,
    };
    same_device("matmul", left, right)?;
    let (a, b) = (left.size(), right.size());
    let (Some(inner), Some(_)) = (a.last().copied(), b.last()) else {
        return Err(Error::new("matmul", format!("{a:?} @ {b:?} (both need at least one dimension)")));
    };
    let other = if b.len() == 1 { b[0] } else { b[b.len() - 2] };
    if inner != other {
        return Err(Error::new("matmul", format!("{a:?} @ {b:?} (inner sizes {inner} and {other} differ)")));
    }
    if a.len() > 2 || b.len() > 2 {
        let batch = |shape: &[i64]| shape.get(..shape.len().saturating_sub(2)).unwrap_or_default().to_vec();
        broadcast("matmul", &batch(&a), &batch(&b))?;
    }
    same_kind("matmul", left, right)?;
    Err(error).on("matmul", &[left, right])
}

/// Refuses anything but square matrices, or batches of them.
fn square(operation: &str, matrix: &tch::Tensor) -> Result<()> {
    matrices(operation, matrix)?;
    match matrix.size().as_slice() {
        [.., rows, columns] if rows == columns => Ok(()),
        shape => Err(Error::new(operation, format!("needs a square matrix, got shape {shape:?}"))),
    }
}

/// Refuses anything but matrices of floats, or batches of them.
fn matrices(operation: &str, matrix: &tch::Tensor) -> Result<()> {
    if matrix.dim() < 2 {
        return Err(Error::new(operation, format!("needs a matrix, got shape {:?}", matrix.size())));
    }
    let kind = kind_of(matrix);
    if !is_float(kind) {
        let message = format!("needs a floating-point matrix, got {}", kind_name(kind));
        return Err(Error::new(operation, message).hint("convert it with .to(\"f32\")"));
    }
    Ok(())
}

/// The solution x of a x = b.
///
/// # Errors
/// Shapes that do not fit, singular matrices.
pub fn solve(a: &tch::Tensor, b: &tch::Tensor) -> Result<tch::Tensor> {
    square("solve", a)?;
    same_device("solve", a, b)?;
    same_kind("solve", a, b)?;
    let rows = a.size().last().copied().unwrap_or(0);
    let given = if b.dim() == 1 { b.size().first().copied() } else { b.size().iter().rev().nth(1).copied() };
    if given != Some(rows) {
        let message = format!("a has shape {:?}, b has shape {:?}: b needs {rows} rows", a.size(), b.size());
        return Err(Error::new("solve", message));
    }
    tch::Tensor::f_linalg_solve(a, b, true).on("solve", &[a, b])
}

/// Distances between the rows of two matrices.
///
/// # Errors
/// Rows of different lengths.
pub fn cdist(left: &tch::Tensor, right: &tch::Tensor, p: f64) -> Result<tch::Tensor> {
    matrices("cdist", left)?;
    matrices("cdist", right)?;
    let (a, b) = (left.size(), right.size());
    if a.last() != b.last() {
        return Err(Error::new("cdist", format!("rows of {a:?} and {b:?} differ in length")));
    }
    same_kind("cdist", left, right)?;
    tch::Tensor::f_cdist(left, right, p, None::<i64>).on("cdist", &[left, right])
}

/// Two vectors of one length, or (with `outer`) of any.
fn vectors(operation: &str, left: &tch::Tensor, right: &tch::Tensor, same_length: bool) -> Result<()> {
    let (a, b) = (left.size(), right.size());
    if a.len() != 1 || b.len() != 1 || (same_length && a != b) {
        let what = if same_length { "two vectors of one length" } else { "two vectors" };
        return Err(Error::new(operation, format!("needs {what}, got shapes {a:?} and {b:?}")));
    }
    same_kind(operation, left, right)
}

/// A map of tensors.
pub(crate) fn map_of<const N: usize>(parts: [(&str, tch::Tensor); N]) -> Map {
    parts.into_iter().map(|(name, tensor)| (name.into(), Dynamic::from(Tensor::from(tensor)))).collect()
}

/// The tensors of a script's array.
///
/// # Errors
/// Elements that are no tensors.
pub fn tensors_of(operation: &str, items: &Array) -> Result<Vec<tch::Tensor>> {
    let each = |(place, item): (usize, &Dynamic)| match item.read_lock::<Tensor>() {
        Some(tensor) => Ok(tensor.shallow_clone()),
        None => Err(Error::new(operation, format!("element {place} must be a tensor, got {}", describe(item)))),
    };
    items.iter().enumerate().map(each).collect()
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use super::{map_of, matrices, square};
    use crate::runtime::{At, Script};
    use crate::tensor::overflow::refuse_products;
    use rhai::{Array, Map};

    type Tensor = crate::tensor::Tensor;

    /// Matrix product: of matrices, of a matrix and a vector, of vectors, or of batches of matrices (which broadcast).
    ///
    /// # Signature
    /// left: Tensor[.., n, k] @ right: Tensor[.., k, m] -> Tensor[.., n, m]
    ///
    /// # Example
    /// ```rhai
    /// let a = tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert(a @ tensor([1.0, 1.0]) == tensor([3.0, 7.0]));
    /// assert(matmul(a, eye(2)) == a);
    /// ```
    #[rhai_fn(name = "@", name = "matmul", return_raw)]
    pub fn matmul(left: Tensor, right: Tensor) -> Script<Tensor> {
        Ok(super::matmul(&left, &right)?.into())
    }

    /// The solution x of `a x = b` for a square matrix a, and a vector or matrix b.
    ///
    /// # Signature
    /// solve(a: Tensor[n, n], b: Tensor[n] | Tensor[n, m]) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// let a = tensor([[2.0, 0.0], [0.0, 4.0]]);
    /// assert_close(solve(a, tensor([2.0, 2.0])), [1.0, 0.5]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn solve(a: Tensor, b: Tensor) -> Script<Tensor> {
        Ok(super::solve(&a, &b)?.into())
    }

    /// The inverse of a square matrix. `solve` is more exact where the inverse is only multiplied.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(inverse(tensor([[2.0, 0.0], [0.0, 4.0]])), [[0.5, 0.0], [0.0, 0.25]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn inverse(matrix: Tensor) -> Script<Tensor> {
        square("inverse", &matrix)?;
        Ok(tch::Tensor::f_linalg_inv(&matrix).on("inverse", &[&matrix])?.into())
    }

    /// The pseudo-inverse (Moore-Penrose) of a matrix.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(pinv(tensor([[2.0], [0.0]])), [[0.5, 0.0]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn pinv(matrix: Tensor) -> Script<Tensor> {
        matrices("pinv", &matrix)?;
        Ok(matrix.f_linalg_pinv_atol_rtol_float(None::<f64>, None::<f64>, false).on("pinv", &[&matrix])?.into())
    }

    /// Singular value decomposition, reduced: a map with `u`, `s` (largest first) and `vh`, and u diag(s) vh the matrix.
    ///
    /// # Example
    /// ```rhai
    /// let a = tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]);
    /// let d = svd(a);
    /// assert_close(d.s, [4.0, 3.0]);
    /// assert_close((d.u * d.s) @ d.vh, a);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn svd(matrix: Tensor) -> Script<Map> {
        matrices("svd", &matrix)?;
        let (u, s, vh) = matrix.f_svd(true, true).on("svd", &[&matrix])?;
        let vh = vh.f_transpose(-2, -1).at("svd")?;
        Ok(map_of([("u", u), ("s", s), ("vh", vh)]))
    }

    /// The lower Cholesky factor of a symmetric positive definite matrix.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(cholesky(tensor([[4.0, 2.0], [2.0, 5.0]])), [[2.0, 0.0], [1.0, 2.0]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cholesky(matrix: Tensor) -> Script<Tensor> {
        square("cholesky", &matrix)?;
        Ok(matrix.f_linalg_cholesky(false).on("cholesky", &[&matrix])?.into())
    }

    /// QR decomposition, reduced: a map with orthonormal columns `q` and upper triangular `r`.
    ///
    /// # Example
    /// ```rhai
    /// let a = tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// let d = qr(a);
    /// assert_close(d.q @ d.r, a, 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn qr(matrix: Tensor) -> Script<Map> {
        matrices("qr", &matrix)?;
        let (q, r) = tch::Tensor::f_linalg_qr(&matrix, "reduced").on("qr", &[&matrix])?;
        Ok(map_of([("q", q), ("r", r)]))
    }

    /// Eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix: a map with `values` and `vectors`.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(eigh(tensor([[2.0, 0.0], [0.0, 1.0]])).values, [1.0, 2.0]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn eigh(matrix: Tensor) -> Script<Map> {
        square("eigh", &matrix)?;
        let (values, vectors) = matrix.f_linalg_eigh("L").on("eigh", &[&matrix])?;
        Ok(map_of([("values", values), ("vectors", vectors)]))
    }

    /// The determinant of a square matrix.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(det(tensor([[1.0, 2.0], [3.0, 4.0]])), tensor(-2.0));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn det(matrix: Tensor) -> Script<Tensor> {
        square("det", &matrix)?;
        Ok(tch::Tensor::f_linalg_det(&matrix).on("det", &[&matrix])?.into())
    }

    /// The sum of the diagonal of a matrix.
    ///
    /// # Example
    /// ```rhai
    /// assert(trace(tensor([[1, 2], [3, 4]])).item() == 5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn trace(matrix: Tensor) -> Script<Tensor> {
        Ok(matrix.f_trace().on("trace", &[&matrix])?.into())
    }

    /// The diagonal of a matrix, or the matrix with a vector on its diagonal.
    ///
    /// # Example
    /// ```rhai
    /// assert(diag(tensor([[1, 2], [3, 4]])) == tensor([1, 4]));
    /// assert(diag(tensor([1, 2])) == tensor([[1, 0], [0, 2]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn diag(tensor: Tensor) -> Script<Tensor> {
        Ok(tensor.f_diag(0).on("diag", &[&tensor])?.into())
    }

    /// The lower triangle of a matrix, zeros above.
    ///
    /// # Example
    /// ```rhai
    /// assert(tril(ones([2, 2])).sum().item() == 3.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn tril(matrix: Tensor) -> Script<Tensor> {
        Ok(matrix.f_tril(0).on("tril", &[&matrix])?.into())
    }

    /// The upper triangle of a matrix, zeros below.
    ///
    /// # Example
    /// ```rhai
    /// assert(triu(ones([2, 2]))[[1, 0]].item() == 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn triu(matrix: Tensor) -> Script<Tensor> {
        Ok(matrix.f_triu(0).on("triu", &[&matrix])?.into())
    }

    /// The matrix of all products of the elements of two vectors.
    ///
    /// # Example
    /// ```rhai
    /// assert(outer(tensor([1, 2]), tensor([3, 4])) == tensor([[3, 4], [6, 8]]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn outer(left: Tensor, right: Tensor) -> Script<Tensor> {
        super::vectors("outer", &left, &right, false)?;
        let product = left.f_outer(&right).on("outer", &[&left, &right])?;
        refuse_products("outer", &[&left, &right], 1, &product, |wide| wide[0].f_outer(&wide[1]).at("outer"))?;
        Ok(product.into())
    }

    /// The scalar product of two vectors.
    ///
    /// # Example
    /// ```rhai
    /// assert(dot(tensor([1, 2]), tensor([3, 4])).item() == 11);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn dot(left: Tensor, right: Tensor) -> Script<Tensor> {
        super::vectors("dot", &left, &right, true)?;
        let product = left.f_dot(&right).on("dot", &[&left, &right])?;
        refuse_products("dot", &[&left, &right], left.numel(), &product, |wide| wide[0].f_dot(&wide[1]).at("dot"))?;
        Ok(product.into())
    }

    /// Distances between all rows of two matrices, Euclidean or of order `p`.
    ///
    /// # Signature
    /// cdist(left: Tensor[n, d], right: Tensor[m, d], p: float = 2.0) -> Tensor[n, m]
    ///
    /// # Example
    /// ```rhai
    /// let a = tensor([[0.0, 0.0]]);
    /// let b = tensor([[3.0, 4.0], [0.0, 1.0]]);
    /// assert_close(cdist(a, b), [[5.0, 1.0]]);
    /// assert_close(cdist(a, b, 1.0), [[7.0, 1.0]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cdist(left: Tensor, right: Tensor) -> Script<Tensor> {
        Ok(super::cdist(&left, &right, 2.0)?.into())
    }

    #[rhai_fn(name = "cdist", return_raw)]
    pub fn cdist_p(left: Tensor, right: Tensor, p: f64) -> Script<Tensor> {
        Ok(super::cdist(&left, &right, p)?.into())
    }

    /// Sums of products of tensors over named dimensions (Einstein's notation).
    ///
    /// # Example
    /// ```rhai
    /// let a = tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert(einsum("ij,ij->i", [a, a]) == tensor([5.0, 25.0]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn einsum(equation: &str, tensors: Array) -> Script<Tensor> {
        let tensors = super::tensors_of("einsum", &tensors)?;
        let all: Vec<_> = tensors.iter().collect();
        let result = tch::Tensor::f_einsum(equation, &tensors, None::<i64>).on("einsum", &all)?;
        let most = tensors.iter().map(tch::Tensor::numel).fold(1_usize, usize::saturating_mul);
        refuse_products("einsum", &all, most, &result, |wide| {
            tch::Tensor::f_einsum(equation, wide, None::<i64>).at("einsum")
        })?;
        Ok(result.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_product_that_does_not_fit_names_shapes_dtypes_and_inner_sizes() {
        let a = tch::Tensor::zeros([64, 128], (Kind::Float, Device::Cpu));
        let b = tch::Tensor::zeros([64, 10], (Kind::Float, Device::Cpu));
        let error = matmul(&a, &b).unwrap_err().to_string();
        assert_eq!(error, "matmul: [64, 128] @ [64, 10] (inner sizes 128 and 64 differ)");
        let c = tch::Tensor::zeros([128, 10], (Kind::Double, Device::Cpu));
        assert_eq!(matmul(&a, &c).unwrap_err().to_string(), "matmul: tensors of dtype f32 and f64");
    }

    #[test]
    fn singular_and_oblong_systems_are_errors() {
        let zeros = tch::Tensor::zeros([2, 2], (Kind::Float, Device::Cpu));
        let b = tch::Tensor::zeros([2], (Kind::Float, Device::Cpu));
        assert!(solve(&zeros, &b).is_err());
        assert!(solve(&zeros, &tch::Tensor::zeros([3], (Kind::Float, Device::Cpu))).is_err());
        assert!(solve(&tch::Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)), &b).is_err());
    }
}
