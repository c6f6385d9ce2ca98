//! Mathematics of plain numbers: what the language has for floats only, also for integers, and what it lacks.

use crate::runtime::{At, Error, Result};

/// A function of torch applied to one number.
fn by_torch(
    operation: &str,
    x: f64,
    call: fn(&tch::Tensor) -> std::result::Result<tch::Tensor, tch::TchError>,
) -> Result<f64> {
    let value = tch::Tensor::f_scalar_tensor(x, (tch::Kind::Double, tch::Device::Cpu)).at(operation)?;
    call(&value).and_then(|t| t.f_double_value(&[])).at(operation)
}

/// log(1 + exp(x)) without overflow.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// 1 / (1 + exp(-x)).
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A number between two others.
fn clamped(x: f64, low: f64, high: f64) -> Result<f64> {
    if low <= high {
        return Ok(x.clamp(low, high));
    }
    Err(Error::new("clamp", format!("the lower limit {low} is above the upper {high}")))
}

/// A number as a float, whichever it was.
#[allow(clippy::wrong_self_convention)] // numbers are Copy
trait AsFloat {
    fn as_float(self) -> f64;
}

impl AsFloat for f64 {
    fn as_float(self) -> f64 {
        self
    }
}

impl AsFloat for i64 {
    fn as_float(self) -> f64 {
        self as f64
    }
}

/// The functions of one number; those that tensors have too are documented there.
macro_rules! of_one_number {
    ($module:ident, $kind:ident) => {
        /// Functions of one plain number.
        #[rhai::export_module]
        pub mod $module {
            use super::AsFloat;

            pub fn exp(x: $kind) -> f64 {
                x.as_float().exp()
            }
            pub fn exp2(x: $kind) -> f64 {
                x.as_float().exp2()
            }
            pub fn expm1(x: $kind) -> f64 {
                x.as_float().exp_m1()
            }
            #[rhai_fn(name = "log", name = "ln")]
            pub fn log(x: $kind) -> f64 {
                x.as_float().ln()
            }
            pub fn log10(x: $kind) -> f64 {
                x.as_float().log10()
            }
            pub fn log2(x: $kind) -> f64 {
                x.as_float().log2()
            }
            pub fn log1p(x: $kind) -> f64 {
                x.as_float().ln_1p()
            }
            pub fn sqrt(x: $kind) -> f64 {
                x.as_float().sqrt()
            }
            pub fn square(x: $kind) -> f64 {
                x.as_float() * x.as_float()
            }
            pub fn sin(x: $kind) -> f64 {
                x.as_float().sin()
            }
            pub fn cos(x: $kind) -> f64 {
                x.as_float().cos()
            }
            pub fn tan(x: $kind) -> f64 {
                x.as_float().tan()
            }
            pub fn asin(x: $kind) -> f64 {
                x.as_float().asin()
            }
            pub fn acos(x: $kind) -> f64 {
                x.as_float().acos()
            }
            pub fn atan(x: $kind) -> f64 {
                x.as_float().atan()
            }
            pub fn sinh(x: $kind) -> f64 {
                x.as_float().sinh()
            }
            pub fn cosh(x: $kind) -> f64 {
                x.as_float().cosh()
            }
            pub fn tanh(x: $kind) -> f64 {
                x.as_float().tanh()
            }
            #[rhai_fn(name = "ceil", name = "ceiling")]
            pub fn ceil(x: $kind) -> f64 {
                x.as_float().ceil()
            }
            pub fn floor(x: $kind) -> f64 {
                x.as_float().floor()
            }
            pub fn round(x: $kind) -> f64 {
                x.as_float().round()
            }
            pub fn trunc(x: $kind) -> f64 {
                x.as_float().trunc()
            }
            pub fn sigmoid(x: $kind) -> f64 {
                super::sigmoid(x.as_float())
            }
            pub fn softplus(x: $kind) -> f64 {
                super::softplus(x.as_float())
            }
            pub fn relu(x: $kind) -> f64 {
                x.as_float().max(0.0)
            }
            #[rhai_fn(name = "isnan", name = "is_nan")]
            pub fn isnan(x: $kind) -> bool {
                x.as_float().is_nan()
            }
            #[rhai_fn(name = "isinf", name = "is_infinite")]
            pub fn isinf(x: $kind) -> bool {
                x.as_float().is_infinite()
            }
            #[rhai_fn(name = "isfinite", name = "is_finite")]
            pub fn isfinite(x: $kind) -> bool {
                x.as_float().is_finite()
            }
        }
    };
}

of_one_number!(floats, f64);
of_one_number!(ints, i64);

/// What scripts see beside these.
#[rhai::export_module]
pub mod script {
    use super::{by_torch, clamped};
    use crate::runtime::Script;
    use crate::tensor::dtype::number;
    use rhai::Dynamic;

    #[rhai_fn(name = "erf", return_raw)]
    pub fn erf(x: f64) -> Script<f64> {
        Ok(by_torch("erf", x, tch::Tensor::f_erf)?)
    }

    #[rhai_fn(name = "erf", return_raw)]
    pub fn erf_int(x: i64) -> Script<f64> {
        erf(x as f64)
    }

    #[rhai_fn(name = "erfc", return_raw)]
    pub fn erfc(x: f64) -> Script<f64> {
        Ok(by_torch("erfc", x, tch::Tensor::f_erfc)?)
    }

    #[rhai_fn(name = "erfc", return_raw)]
    pub fn erfc_int(x: i64) -> Script<f64> {
        erfc(x as f64)
    }

    #[rhai_fn(name = "erfinv", return_raw)]
    pub fn erfinv(x: f64) -> Script<f64> {
        Ok(by_torch("erfinv", x, tch::Tensor::f_erfinv)?)
    }

    #[rhai_fn(name = "lgamma", return_raw)]
    pub fn lgamma(x: f64) -> Script<f64> {
        Ok(by_torch("lgamma", x, tch::Tensor::f_lgamma)?)
    }

    #[rhai_fn(name = "lgamma", return_raw)]
    pub fn lgamma_int(x: i64) -> Script<f64> {
        lgamma(x as f64)
    }

    #[rhai_fn(name = "digamma", return_raw)]
    pub fn digamma(x: f64) -> Script<f64> {
        Ok(by_torch("digamma", x, tch::Tensor::f_digamma)?)
    }

    #[rhai_fn(name = "clamp", return_raw)]
    pub fn clamp(x: f64, low: Dynamic, high: Dynamic) -> Script<f64> {
        Ok(clamped(x, number("clamp", "the lower limit", &low)?, number("clamp", "the upper limit", &high)?)?)
    }

    #[rhai_fn(name = "clamp", return_raw)]
    pub fn clamp_int(x: i64, low: Dynamic, high: Dynamic) -> Script<Dynamic> {
        if let (Ok(low), Ok(high)) = (low.as_int(), high.as_int())
            && low <= high
        {
            return Ok(x.clamp(low, high).into());
        }
        Ok(clamp(x as f64, low, high)?.into())
    }

    #[rhai_fn(name = "pow")]
    pub fn pow(base: f64, exponent: f64) -> f64 {
        base.powf(exponent)
    }

    #[rhai_fn(name = "pow")]
    pub fn pow_int(base: f64, exponent: i64) -> f64 {
        base.powf(exponent as f64)
    }

    #[rhai_fn(name = "pow")]
    pub fn pow_of_int(base: i64, exponent: f64) -> f64 {
        (base as f64).powf(exponent)
    }

    #[rhai_fn(name = "pow")]
    pub fn pow_ints(base: i64, exponent: i64) -> f64 {
        (base as f64).powf(exponent as f64)
    }

    /// Not a number, which compares equal to nothing.
    ///
    /// # Example
    /// ```rhai
    /// assert(isnan(NAN()));
    /// ```
    #[rhai_fn(name = "NAN")]
    pub fn not_a_number() -> f64 {
        f64::NAN
    }

    /// Infinity. Ask with `isinf`: the language compares floats by their relative difference, which infinity has none of.
    ///
    /// # Example
    /// ```rhai
    /// assert(isinf(INFINITY()) && isinf(-INFINITY()));
    /// ```
    #[rhai_fn(name = "INFINITY")]
    pub fn infinity() -> f64 {
        f64::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_agree_with_known_values() {
        assert!((softplus(0.0) - 2.0_f64.ln()).abs() < 1e-15);
        assert_eq!(softplus(1000.0), 1000.0);
        assert_eq!(sigmoid(-1000.0), 0.0);
        assert!((by_torch("erf", 1.0, tch::Tensor::f_erf).unwrap() - 0.842_700_792_949_714_9).abs() < 1e-15);
        assert!((by_torch("lgamma", 5.0, tch::Tensor::f_lgamma).unwrap() - 24.0_f64.ln()).abs() < 1e-14);
    }
}
