//! Arithmetic of tensors with tensors and with numbers, on either side.

use crate::runtime::{At, Error, Result};
use crate::tensor::dtype::{is_float, kind_of};
use crate::tensor::overflow;
use crate::tensor::range::{Number, fit_each_other};
use crate::tensor::shape_errors::{pair, scalar};
use tch::{Kind, TchError, Tensor};

/// A torch function of two tensors.
type OfTensors = fn(&Tensor, &Tensor) -> std::result::Result<Tensor, TchError>;

/// A torch function of a tensor and a number.
type OfNumber = fn(&Tensor, Number) -> std::result::Result<Tensor, TchError>;

/// The result of an operation on two tensors that broadcast.
///
/// # Errors
/// Shapes and devices that do not fit; integers that the result's dtype cannot hold.
pub fn tensors(operation: &str, left: &Tensor, right: &Tensor, call: OfTensors) -> Result<Tensor> {
    if matches!(operation, "%" | "floor_div") {
        overflow::divisor(operation, left, right)?;
    }
    // What wraps in a sum of integers is found in its result.
    if is_float(kind_of(left)) || !matches!(operation, "+" | "-" | "*") {
        fit_each_other(operation, left, right)?;
    }
    let result = pair(operation, left, right, call(left, right))?;
    overflow::refuse(operation, left, right, &result)?;
    Ok(result)
}

/// The number as the operation takes it beside a tensor: division is one of floats.
fn beside(operation: &str, tensor: &Tensor, number: Number) -> Result<Number> {
    let kind = match (operation, kind_of(tensor)) {
        ("/", kind) if !is_float(kind) => Kind::Float,
        (_, kind) => number.meets(kind),
    };
    number.fit(operation, kind)
}

/// `tensor operation number`.
///
/// # Errors
/// A number that does not fit the tensor's dtype, or results that do not.
pub fn number_right(operation: &str, tensor: &Tensor, number: Number, call: OfNumber) -> Result<Tensor> {
    match operation {
        "minimum" => return crate::tensor::ops::math::clamp(operation, tensor, None, Some(number)),
        "maximum" => return crate::tensor::ops::math::clamp(operation, tensor, Some(number), None),
        _ => {}
    }
    let number = beside(operation, tensor, number)?;
    if let (Number::Int(_), "%" | "floor_div") = (number, operation) {
        overflow::divisor(operation, tensor, &number.beside(operation, tensor)?)?;
    }
    let result = scalar(|| call(tensor, number)).on(operation, &[tensor])?;
    if !is_float(kind_of(&result)) {
        overflow::refuse(operation, tensor, &number.beside(operation, tensor)?, &result)?;
    }
    Ok(result)
}

/// `number operation tensor`.
///
/// # Errors
/// As [`number_right`].
pub fn number_left(
    operation: &str,
    number: Number,
    tensor: &Tensor,
    call: OfTensors,
    mirrored: OfNumber,
) -> Result<Tensor> {
    if matches!(operation, "+" | "*" | "minimum" | "maximum") {
        return number_right(operation, tensor, number, mirrored);
    }
    let number = beside(operation, tensor, number)?;
    let kind = kind_of(tensor);
    let floats = operation == "/" && !is_float(kind);
    let left = number.element(operation, if floats { Kind::Float } else { number.meets(kind) })?;
    if operation == "**" {
        let result = scalar(|| Tensor::f_pow_scalar(number, tensor)).on(operation, &[tensor])?;
        overflow::refuse(operation, &left, tensor, &result)?;
        return Ok(result);
    }
    // Torch subtracts no masks, though it adds and multiplies them.
    let masks = operation == "-" && kind == Kind::Bool;
    let tensor = if masks { &tensor.f_to_kind(Kind::Int64).at(operation)? } else { tensor };
    tensors(operation, &left, tensor, call)
}

/// Negation.
///
/// # Errors
/// Masks have no negative.
pub fn negate(tensor: &tch::Tensor) -> Result<tch::Tensor> {
    if kind_of(tensor) == Kind::Bool {
        return Err(Error::new("-", "a mask has no negative").hint("`!mask` inverts it"));
    }
    let result = tensor.f_neg().at("-")?;
    overflow::refuse_single("-", tensor, &result)?;
    Ok(result)
}

/// One module a function: tensor with tensor, float, integer, and both numbers on the left.
macro_rules! arithmetic {
    ($(
        $(#[$($doc:tt)*])*
        $module:ident [$($name:tt),+] ($operation:literal, $tensors:ident, $number:ident);
    )*) => { $(
        #[doc = concat!("`", $operation, "` in scripts.")]
        #[rhai::export_module]
        pub mod $module {
            use crate::runtime::Script;

            type Tensor = crate::tensor::Tensor;

            $(#[$($doc)*])*
            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn tensors(left: Tensor, right: Tensor) -> Script<Tensor> {
                Ok(crate::tensor::ops::arithmetic::tensors($operation, &left, &right, tch::Tensor::$tensors)?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn float_right(left: Tensor, right: f64) -> Script<Tensor> {
                Ok(number_right($operation, &left, right.into(), |t, n| t.$number(n))?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn int_right(left: Tensor, right: i64) -> Script<Tensor> {
                Ok(number_right($operation, &left, right.into(), |t, n| t.$number(n))?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn float_left(left: f64, right: Tensor) -> Script<Tensor> {
                Ok(number_left($operation, left.into(), &right, tch::Tensor::$tensors, |t, n| t.$number(n))?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn int_left(left: i64, right: Tensor) -> Script<Tensor> {
                Ok(number_left($operation, left.into(), &right, tch::Tensor::$tensors, |t, n| t.$number(n))?.into())
            }
        }
    )* };
}

arithmetic! {
    /// Elementwise sum of tensors that broadcast, or of a tensor and a number on either side.
    ///
    /// A number takes the dtype of the tensor; a float turns integers into f32. What does not fit a dtype is an error in this
    /// and all other operations: a number beyond its range (`300` beside u8, `1e39` beside f32), and results of integers that
    /// would wrap around. Floats round, and their results may become infinite.
    ///
    /// # Signature
    /// left: Tensor | number + right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2]) + tensor([10, 20]) == tensor([11, 22]));
    /// assert(1 + tensor([0.5]) == tensor([1.5]));
    /// ```
    add ["+", "add"] ("+", f_add, f_add_scalar);

    /// Elementwise difference of tensors that broadcast, or of a tensor and a number on either side.
    ///
    /// # Signature
    /// left: Tensor | number - right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(1 - tensor([0.25, 1.0]) == tensor([0.75, 0.0]));
    /// ```
    sub ["-", "sub"] ("-", f_sub, f_sub_scalar);

    /// Elementwise product of tensors that broadcast, or of a tensor and a number on either side.
    ///
    /// # Signature
    /// left: Tensor | number * right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([[1], [2]]) * tensor([3, 4]) == tensor([[3, 4], [6, 8]]));
    /// ```
    mul ["*", "mul"] ("*", f_mul, f_mul_scalar);

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
    div ["/", "div"] ("/", f_div, f_div_scalar);

    /// Elementwise remainder with the sign of the divisor, as in Python (plain numbers keep the sign of the dividend).
    ///
    /// # Signature
    /// left: Tensor | number % right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([5, -5]) % 3 == tensor([2, 1]));
    /// ```
    remainder ["%", "remainder"] ("%", f_remainder_tensor, f_remainder);

    /// Elementwise quotient rounded down.
    ///
    /// # Signature
    /// floor_div(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(floor_div(tensor([7, -7]), 2) == tensor([3, -4]));
    /// ```
    floor_div ["floor_div"] ("floor_div", f_floor_divide, f_floor_divide_scalar);

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
    pow ["**", "pow"] ("**", f_pow, f_pow_tensor_scalar);

    /// Elementwise smaller one of tensors that broadcast, or of a tensor and a number. NaN wins.
    ///
    /// # Signature
    /// minimum(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(minimum(tensor([1, 5]), tensor([3, 3])) == tensor([1, 3]));
    /// ```
    minimum ["minimum"] ("minimum", f_minimum, f_clamp_max);

    /// Elementwise larger one of tensors that broadcast, or of a tensor and a number. NaN wins.
    ///
    /// # Signature
    /// maximum(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(maximum(tensor([-1.0, 5.0]), 0.0) == tensor([0.0, 5.0]));
    /// ```
    maximum ["maximum"] ("maximum", f_maximum, f_clamp_min);
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
