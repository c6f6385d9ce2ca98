//! Comparisons of tensors with tensors and numbers, and logic on the masks they give.

use super::explain::pair;
use crate::runtime::Result;

/// Elementwise logic of two masks; other element types count as true where not zero.
pub fn logic(
    operation: &str,
    left: &tch::Tensor,
    right: &tch::Tensor,
    call: fn(&tch::Tensor, &tch::Tensor) -> std::result::Result<tch::Tensor, tch::TchError>,
) -> Result<tch::Tensor> {
    pair(operation, left, right, call(left, right))
}

/// One module a comparison: tensor with tensor, float, integer, and both numbers on the left (where it is mirrored).
macro_rules! comparison {
    ($(
        $(#[$($doc:tt)*])*
        $module:ident [$($name:tt),+] ($operation:literal, $tensors:ident, $number:ident, $mirrored:ident);
    )*) => { $(
        #[doc = concat!("`", $operation, "` in scripts.")]
        #[rhai::export_module]
        pub mod $module {
            use crate::runtime::{At, Script};
            use crate::tensor::explain::pair;
            type Tensor = crate::tensor::Tensor;

            $(#[$($doc)*])*
            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn tensors(left: Tensor, right: Tensor) -> Script<Tensor> {
                Ok(pair($operation, &left, &right, left.$tensors(&right))?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn float_right(left: Tensor, right: f64) -> Script<Tensor> {
                Ok(left.$number(right).at($operation)?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn int_right(left: Tensor, right: i64) -> Script<Tensor> {
                Ok(left.$number(right).at($operation)?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn float_left(left: f64, right: Tensor) -> Script<Tensor> {
                Ok(right.$mirrored(left).at($operation)?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn int_left(left: i64, right: Tensor) -> Script<Tensor> {
                Ok(right.$mirrored(left).at($operation)?.into())
            }
        }
    )* };
}

comparison! {
    /// Mask of where the left side is smaller.
    ///
    /// # Signature
    /// left: Tensor | number < right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert((tensor([1, 2, 3]) < 2) == tensor([true, false, false]));
    /// ```
    lt ["<", "lt"] ("<", f_lt_tensor, f_lt, f_gt);

    /// Mask of where the left side is smaller or equal.
    ///
    /// # Signature
    /// left: Tensor | number <= right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert((tensor([1, 2, 3]) <= 2).sum().item() == 2);
    /// ```
    le ["<=", "le"] ("<=", f_le_tensor, f_le, f_ge);

    /// Mask of where the left side is larger.
    ///
    /// # Signature
    /// left: Tensor | number > right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert((2 > tensor([1, 2, 3])) == tensor([true, false, false]));
    /// ```
    gt [">", "gt"] (">", f_gt_tensor, f_gt, f_lt);

    /// Mask of where the left side is larger or equal.
    ///
    /// # Signature
    /// left: Tensor | number >= right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert((tensor([0.5, 1.5]) >= tensor([1.0, 1.0])) == tensor([false, true]));
    /// ```
    ge [">=", "ge"] (">=", f_ge_tensor, f_ge, f_le);

    /// Mask of equal elements. (`==` compares as a whole and gives a boolean.)
    ///
    /// # Signature
    /// eq(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2, 1]).eq(1) == tensor([true, false, true]));
    /// ```
    eq ["eq"] ("eq", f_eq_tensor, f_eq, f_eq);

    /// Mask of differing elements. (`!=` compares as a whole and gives a boolean.)
    ///
    /// # Signature
    /// ne(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2, 1]).ne(tensor([1, 1, 1])).sum().item() == 1);
    /// ```
    ne ["ne"] ("ne", f_ne_tensor, f_ne, f_ne);
}

/// Logic in scripts.
#[rhai::export_module]
pub mod script {
    use crate::runtime::{At, Script};
    type Tensor = crate::tensor::Tensor;

    /// Mask of where both are true; `&` binds weaker than comparisons: `a > 1 & b < 2`.
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([1, 2, 3]);
    /// assert((x > 1 & x < 3) == tensor([false, true, false]));
    /// ```
    #[rhai_fn(name = "&", name = "logical_and", return_raw)]
    pub fn and(left: Tensor, right: Tensor) -> Script<Tensor> {
        Ok(super::logic("&", &left, &right, tch::Tensor::f_logical_and)?.into())
    }

    /// Mask of where at least one is true.
    ///
    /// # Example
    /// ```rhai
    /// let x = tensor([1, 2, 3]);
    /// assert((x < 2 | x > 2) == tensor([true, false, true]));
    /// ```
    #[rhai_fn(name = "|", name = "logical_or", return_raw)]
    pub fn or(left: Tensor, right: Tensor) -> Script<Tensor> {
        Ok(super::logic("|", &left, &right, tch::Tensor::f_logical_or)?.into())
    }

    /// Mask of where exactly one is true.
    ///
    /// # Example
    /// ```rhai
    /// assert(logical_xor(tensor([true, true]), tensor([true, false])) == tensor([false, true]));
    /// ```
    #[rhai_fn(name = "^", name = "logical_xor", return_raw)]
    pub fn xor(left: Tensor, right: Tensor) -> Script<Tensor> {
        Ok(super::logic("^", &left, &right, tch::Tensor::f_logical_xor)?.into())
    }

    /// Mask of where it is false.
    ///
    /// # Example
    /// ```rhai
    /// assert(!tensor([true, false]) == tensor([false, true]));
    /// ```
    #[rhai_fn(name = "!", name = "logical_not", return_raw)]
    pub fn not(mask: Tensor) -> Script<Tensor> {
        Ok(mask.f_logical_not().at("!")?.into())
    }
}
