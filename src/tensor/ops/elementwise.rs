//! Elementwise functions of one tensor.

/// Functions of one tensor that are one torch call.
macro_rules! elementwise {
    ($module:ident { $( $(#[$($doc:tt)*])* $name:ident = $call:ident; )* }) => {
        /// Functions of one tensor, as scripts see them.
        #[rhai::export_module]
        pub mod $module {
            use crate::runtime::{At, Script};
            type Tensor = crate::tensor::Tensor;
            $(
                $(#[$($doc)*])*
                #[rhai_fn(return_raw)]
                pub fn $name(tensor: Tensor) -> Script<Tensor> {
                    let result = tensor.$call().at(stringify!($name))?;
                    crate::tensor::overflow::refuse_single(stringify!($name), &tensor, &result)?;
                    Ok(result.into())
                }
            )*
        }
    };
}

elementwise! { unary {
    /// Elementwise e to the power of the elements, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert(exp(tensor([0.0])) == tensor([1.0]) && exp(0) == 1.0);
    /// ```
    exp = f_exp;

    /// Elementwise 2 to the power of the elements.
    ///
    /// # Example
    /// ```rhai
    /// assert(exp2(tensor([3.0])) == tensor([8.0]));
    /// ```
    exp2 = f_exp2;

    /// Elementwise exp(x) - 1, exact near 0, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(expm1(tensor([1e-6])), [1e-6], 1e-10);
    /// ```
    expm1 = f_expm1;

    /// Elementwise natural logarithm, also of a number (`log10` and `log2` are the others).
    ///
    /// # Example
    /// ```rhai
    /// assert_close(log(tensor([1.0, 2.718281828])), [0.0, 1.0]);
/// assert_close(log(E()), 1.0);
    /// ```
    log = f_log;

    /// Elementwise logarithm to base 10, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(log10(tensor([1000.0])), [3.0]);
    /// ```
    log10 = f_log10;

    /// Elementwise logarithm to base 2, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(log2(tensor([8.0])), [3.0]);
    /// ```
    log2 = f_log2;

    /// Elementwise log(1 + x), exact near 0, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(log1p(tensor([1e-6])), [1e-6], 1e-10);
    /// ```
    log1p = f_log1p;

    /// Elementwise square root, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert(sqrt(tensor([4.0])) == tensor([2.0]) && sqrt(4) == 2.0);
    /// ```
    sqrt = f_sqrt;

    /// Elementwise 1 / sqrt(x).
    ///
    /// # Example
    /// ```rhai
    /// assert(rsqrt(tensor([4.0])) == tensor([0.5]));
    /// ```
    rsqrt = f_rsqrt;

    /// Elementwise x * x, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert(square(tensor([-3])) == tensor([9]));
    /// ```
    square = f_square;

    /// Elementwise 1 / x.
    ///
    /// # Example
    /// ```rhai
    /// assert(reciprocal(tensor([4.0])) == tensor([0.25]));
    /// ```
    reciprocal = f_reciprocal;

    /// Elementwise absolute value.
    ///
    /// # Example
    /// ```rhai
    /// assert(abs(tensor([-1, 2])) == tensor([1, 2]));
    /// ```
    abs = f_abs;

    /// Elementwise sign: -1, 0 or 1.
    ///
    /// # Example
    /// ```rhai
    /// assert(sign(tensor([-3, 0, 2])) == tensor([-1, 0, 1]));
    /// ```
    sign = f_sign;

    /// Elementwise largest integer not above.
    ///
    /// # Example
    /// ```rhai
    /// assert(floor(tensor([-0.5, 1.5])) == tensor([-1.0, 1.0]));
    /// ```
    floor = f_floor;

    /// Elementwise smallest integer not below, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert(ceil(tensor([-0.5, 1.5])) == tensor([0.0, 2.0]));
    /// ```
    ceil = f_ceil;

    /// Elementwise integer part.
    ///
    /// # Example
    /// ```rhai
    /// assert(trunc(tensor([-1.5, 1.5])) == tensor([-1.0, 1.0]));
    /// ```
    trunc = f_trunc;

    /// Elementwise fractional part, with the sign of the element.
    ///
    /// # Example
    /// ```rhai
    /// assert(frac(tensor([-1.5, 1.25])) == tensor([-0.5, 0.25]));
    /// ```
    frac = f_frac;

    /// Elementwise sine of radians.
    ///
    /// # Example
    /// ```rhai
    /// assert(sin(tensor([0.0])) == tensor([0.0]));
    /// ```
    sin = f_sin;

    /// Elementwise cosine of radians.
    ///
    /// # Example
    /// ```rhai
    /// assert(cos(tensor([0.0])) == tensor([1.0]));
    /// ```
    cos = f_cos;

    /// Elementwise tangent of radians.
    ///
    /// # Example
    /// ```rhai
    /// assert(tan(tensor([0.0])) == tensor([0.0]));
    /// ```
    tan = f_tan;

    /// Elementwise inverse sine.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(asin(tensor([1.0])), [PI() / 2.0]);
    /// ```
    asin = f_asin;

    /// Elementwise inverse cosine.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(acos(tensor([1.0])), [0.0]);
    /// ```
    acos = f_acos;

    /// Elementwise inverse tangent.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(atan(tensor([1.0])), [PI() / 4.0]);
    /// ```
    atan = f_atan;

    /// Elementwise hyperbolic sine.
    ///
    /// # Example
    /// ```rhai
    /// assert(sinh(tensor([0.0])) == tensor([0.0]));
    /// ```
    sinh = f_sinh;

    /// Elementwise hyperbolic cosine.
    ///
    /// # Example
    /// ```rhai
    /// assert(cosh(tensor([0.0])) == tensor([1.0]));
    /// ```
    cosh = f_cosh;

    /// Elementwise hyperbolic tangent.
    ///
    /// # Example
    /// ```rhai
    /// assert(tanh(tensor([0.0])) == tensor([0.0]));
    /// ```
    tanh = f_tanh;

    /// Elementwise logistic function 1 / (1 + exp(-x)), also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert(sigmoid(tensor([0.0])) == tensor([0.5]) && sigmoid(0) == 0.5);
    /// ```
    sigmoid = f_sigmoid;

    /// Elementwise logarithm of the logistic function, without overflow.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(log_sigmoid(tensor([0.0, -200.0])), [-0.6931472, -200.0]);
    /// ```
    log_sigmoid = f_log_sigmoid;

    /// Elementwise max(x, 0), also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert(relu(tensor([-1.0, 2.0])) == tensor([0.0, 2.0]));
    /// ```
    relu = f_relu;

    /// Elementwise x * sigmoid(x) (SiLU, swish).
    ///
    /// # Example
    /// ```rhai
    /// assert(silu(tensor([0.0])) == tensor([0.0]));
    /// ```
    silu = f_silu;

    /// Elementwise log(1 + exp(x)), without overflow, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(softplus(tensor([0.0, 100.0])), [0.6931472, 100.0]);
    /// ```
    softplus = f_softplus;

    /// Elementwise error function, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(erf(tensor([1.0])), [0.8427008]);
    /// ```
    erf = f_erf;

    /// Elementwise complementary error function, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(erfc(tensor([1.0])), [0.1572992]);
    /// ```
    erfc = f_erfc;

    /// Elementwise inverse error function, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(erfinv(tensor([0.8427008])), [1.0], 1e-4);
    /// ```
    erfinv = f_erfinv;

    /// Elementwise logarithm of the gamma function, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(lgamma(tensor([5.0])), [log(24.0)]);
    /// ```
    lgamma = f_lgamma;

    /// Elementwise derivative of lgamma, also of a number.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(digamma(tensor([1.0])), [-0.5772157]);
    /// ```
    digamma = f_digamma;

    /// Mask of the elements that are NaN, or whether a number is.
    ///
    /// # Example
    /// ```rhai
    /// assert(isnan(tensor([1.0]) / 0.0 - tensor([1.0]) / 0.0) == tensor([true]));
    /// ```
    isnan = f_isnan;

    /// Mask of the elements that are infinite, or whether a number is.
    ///
    /// # Example
    /// ```rhai
    /// assert(isinf(tensor([1.0, 2.0]) / tensor([0.0, 1.0])) == tensor([true, false]));
    /// ```
    isinf = f_isinf;

    /// Mask of the elements that are neither NaN nor infinite, or whether a number is finite.
    ///
    /// # Example
    /// ```rhai
    /// assert(isfinite(tensor([1.0, 2.0]) / tensor([0.0, 1.0])) == tensor([false, true]));
    /// ```
    isfinite = f_isfinite;
} }
