//! Arithmetic of tensors with tensors and with numbers, on either side.

use super::dtype::{is_float, kind_of};
use crate::runtime::{At, Error, Result};
use tch::{Device, Kind};

/// A number that meets a tensor.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// An integer, which keeps integer tensors integer.
    Int(i64),
    /// A float.
    Float(f64),
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Number> for tch::Scalar {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(value) => Self::int(value),
            Number::Float(value) => Self::float(value),
        }
    }
}

impl Number {
    /// A tensor of rank 0 on the host whose dtype leaves the other operand's as it is.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn beside(self, operation: &str, tensor: &tch::Tensor) -> Result<tch::Tensor> {
        let kind = match (kind_of(tensor), self) {
            (kind, _) if is_float(kind) => kind,
            (Kind::Bool, Self::Int(_)) => Kind::Int64,
            (kind, Self::Int(_)) => kind,
            (_, Self::Float(_)) => Kind::Float,
        };
        tch::Tensor::f_scalar_tensor(self, (kind, Device::Cpu)).at(operation)
    }
}

/// Operations with the number on the left.
pub mod left {
    use super::Number;
    use crate::runtime::{At, Result};
    use crate::tensor::explain::{pair, scalar};
    use tch::{TchError, Tensor};

    /// The number becomes a tensor of rank 0.
    fn reversed(
        operation: &str,
        number: Number,
        tensor: &Tensor,
        call: fn(&Tensor, &Tensor) -> std::result::Result<Tensor, TchError>,
    ) -> Result<Tensor> {
        let left = number.beside(operation, tensor)?;
        pair(operation, &left, tensor, call(&left, tensor))
    }

    /// `number + tensor`
    pub fn plus(number: Number, tensor: &Tensor) -> Result<Tensor> {
        scalar(|| tensor.f_add_scalar(number)).at("+")
    }

    /// `number - tensor`
    pub fn minus(number: Number, tensor: &Tensor) -> Result<Tensor> {
        // Torch subtracts no masks, though it adds and multiplies them.
        if super::kind_of(tensor) == tch::Kind::Bool {
            return reversed("-", number, &tensor.f_to_kind(tch::Kind::Int64).at("-")?, Tensor::f_sub);
        }
        reversed("-", number, tensor, Tensor::f_sub)
    }

    /// `number * tensor`
    pub fn times(number: Number, tensor: &Tensor) -> Result<Tensor> {
        scalar(|| tensor.f_mul_scalar(number)).at("*")
    }

    /// `number / tensor`
    pub fn over(number: Number, tensor: &Tensor) -> Result<Tensor> {
        reversed("/", number, tensor, Tensor::f_div)
    }

    /// `number % tensor`
    pub fn modulo(number: Number, tensor: &Tensor) -> Result<Tensor> {
        reversed("%", number, tensor, Tensor::f_remainder_tensor)
    }

    /// `floor_div(number, tensor)`
    pub fn floor_over(number: Number, tensor: &Tensor) -> Result<Tensor> {
        reversed("floor_div", number, tensor, Tensor::f_floor_divide)
    }

    /// `number ** tensor`
    pub fn power(number: Number, tensor: &Tensor) -> Result<Tensor> {
        scalar(|| Tensor::f_pow_scalar(number, tensor)).at("**")
    }

    /// `minimum(number, tensor)`
    pub fn lower(number: Number, tensor: &Tensor) -> Result<Tensor> {
        scalar(|| tensor.f_clamp_max(number)).at("minimum")
    }

    /// `maximum(number, tensor)`
    pub fn higher(number: Number, tensor: &Tensor) -> Result<Tensor> {
        scalar(|| tensor.f_clamp_min(number)).at("maximum")
    }
}

/// Negation.
///
/// # Errors
/// Masks have no negative.
pub fn negate(tensor: &tch::Tensor) -> Result<tch::Tensor> {
    if kind_of(tensor) == Kind::Bool {
        return Err(Error::new("-", "a mask has no negative").hint("`!mask` inverts it"));
    }
    tensor.f_neg().at("-")
}

/// One module a function: tensor with tensor, float, integer, and both numbers on the left.
macro_rules! arithmetic {
    ($(
        $(#[$($doc:tt)*])*
        $module:ident [$($name:tt),+] ($operation:literal, $tensors:ident, $number:ident, $left:ident);
    )*) => { $(
        #[doc = concat!("`", $operation, "` in scripts.")]
        #[rhai::export_module]
        pub mod $module {
            use crate::runtime::{At, Script};
            use crate::tensor::explain::{pair, scalar};
            use crate::tensor::arithmetic::{Number, left};
            type Tensor = crate::tensor::Tensor;

            $(#[$($doc)*])*
            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn tensors(left: Tensor, right: Tensor) -> Script<Tensor> {
                Ok(pair($operation, &left, &right, left.$tensors(&right))?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn float_right(left: Tensor, right: f64) -> Script<Tensor> {
                Ok(scalar(|| left.$number(right)).on($operation, &[&left])?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn int_right(left: Tensor, right: i64) -> Script<Tensor> {
                Ok(scalar(|| left.$number(right)).on($operation, &[&left])?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn float_left(left: f64, right: Tensor) -> Script<Tensor> {
                Ok(left::$left(Number::Float(left), &right)?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn int_left(left: i64, right: Tensor) -> Script<Tensor> {
                Ok(left::$left(Number::Int(left), &right)?.into())
            }
        }
    )* };
}

arithmetic! {
    /// Elementwise sum of tensors that broadcast, or of a tensor and a number on either side.
    ///
    /// # Signature
    /// left: Tensor | number + right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2]) + tensor([10, 20]) == tensor([11, 22]));
    /// assert(1 + tensor([0.5]) == tensor([1.5]));
    /// ```
    add ["+", "add"] ("+", f_add, f_add_scalar, plus);

    /// Elementwise difference of tensors that broadcast, or of a tensor and a number on either side.
    ///
    /// # Signature
    /// left: Tensor | number - right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(1 - tensor([0.25, 1.0]) == tensor([0.75, 0.0]));
    /// ```
    sub ["-", "sub"] ("-", f_sub, f_sub_scalar, minus);

    /// Elementwise product of tensors that broadcast, or of a tensor and a number on either side.
    ///
    /// # Signature
    /// left: Tensor | number * right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1], [2]]) * tensor([3, 4]) == tensor([[3, 4], [6, 8]]));
    /// ```
    mul ["*", "mul"] ("*", f_mul, f_mul_scalar, times);

    /// Elementwise quotient, always a floating-point one, of tensors that broadcast, or of a tensor and a number.
    ///
    /// # Signature
    /// left: Tensor | number / right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2]) / 2 == tensor([0.5, 1.0]));
    /// assert(1 / tensor([4.0]) == tensor([0.25]));
    /// ```
    div ["/", "div"] ("/", f_div, f_div_scalar, over);

    /// Elementwise remainder with the sign of the divisor, as in Python (plain numbers keep the sign of the dividend).
    ///
    /// # Signature
    /// left: Tensor | number % right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([5, -5]) % 3 == tensor([2, 1]));
    /// ```
    remainder ["%", "remainder"] ("%", f_remainder_tensor, f_remainder, modulo);

    /// Elementwise quotient rounded down.
    ///
    /// # Signature
    /// floor_div(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(floor_div(tensor([7, -7]), 2) == tensor([3, -4]));
    /// ```
    floor_div ["floor_div"] ("floor_div", f_floor_divide, f_floor_divide_scalar, floor_over);

    /// Elementwise power of tensors that broadcast, or of a tensor and a number on either side.
    ///
    /// # Signature
    /// base: Tensor | number ** exponent: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1.0, 2.0, 3.0]) ** 2 == tensor([1.0, 4.0, 9.0]));
    /// assert(pow(2, tensor([3.0])) == tensor([8.0]));
    /// ```
    pow ["**", "pow"] ("**", f_pow, f_pow_tensor_scalar, power);

    /// Elementwise smaller one of tensors that broadcast, or of a tensor and a number. NaN wins.
    ///
    /// # Signature
    /// minimum(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(minimum(tensor([1, 5]), tensor([3, 3])) == tensor([1, 3]));
    /// ```
    minimum ["minimum"] ("minimum", f_minimum, f_clamp_max, lower);

    /// Elementwise larger one of tensors that broadcast, or of a tensor and a number. NaN wins.
    ///
    /// # Signature
    /// maximum(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(maximum(tensor([-1.0, 5.0]), 0.0) == tensor([0.0, 5.0]));
    /// ```
    maximum ["maximum"] ("maximum", f_maximum, f_clamp_min, higher);
}

/// The sign.
#[rhai::export_module]
pub mod script {
    use crate::runtime::Script;
    type Tensor = crate::tensor::Tensor;

    /// Elementwise negation. (`-` between two values is their difference.)
    ///
    /// # Example
    /// ```rhai
    /// assert(-tensor([1, -2]) == tensor([-1, 2]) && neg(tensor([1])) == tensor([-1]));
    /// ```
    #[rhai_fn(name = "neg", return_raw)]
    pub fn neg(tensor: Tensor) -> Script<Tensor> {
        Ok(super::negate(&tensor)?.into())
    }

    #[rhai_fn(name = "-", return_raw)]
    pub fn minus_sign(tensor: Tensor) -> Script<Tensor> {
        Ok(super::negate(&tensor)?.into())
    }
}
