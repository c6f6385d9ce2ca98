//! Comparisons of tensors with tensors and numbers, and logic on the masks they give.

use crate::runtime::{At, Result};
use crate::tensor::dtype::kind_of;
use crate::tensor::range::{Number, fit_each_other, integers};
use crate::tensor::shape_errors::{pair, scalar};
use tch::{Kind, Tensor};

/// Elementwise logic of two masks; other element types count as true where not zero.
pub fn logic(
    operation: &str,
    left: &tch::Tensor,
    right: &tch::Tensor,
    call: fn(&tch::Tensor, &tch::Tensor) -> std::result::Result<tch::Tensor, tch::TchError>,
) -> Result<tch::Tensor> {
    pair(operation, left, right, call(left, right))
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smaller.
    Less,
    /// Smaller or equal.
    AtMost,
    /// Larger.
    More,
    /// Larger or equal.
    AtLeast,
    /// Equal.
    Same,
    /// Not equal.
    Other,
}

impl Order {
    /// The same comparison with the sides exchanged.
    fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::More => Self::Less,
            Self::AtLeast => Self::AtMost,
            same => same,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Same => "eq",
            Self::Other => "ne",
        }
    }

    fn of_tensors(self, left: &Tensor, right: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
        match self {
            Self::Less => left.f_lt_tensor(right),
            Self::AtMost => left.f_le_tensor(right),
            Self::More => left.f_gt_tensor(right),
            Self::AtLeast => left.f_ge_tensor(right),
            Self::Same => left.f_eq_tensor(right),
            Self::Other => left.f_ne_tensor(right),
        }
    }

    fn with(self, left: &Tensor, right: Number) -> Result<Tensor> {
        scalar(|| match self {
            Self::Less => left.f_lt(right),
            Self::AtMost => left.f_le(right),
            Self::More => left.f_gt(right),
            Self::AtLeast => left.f_ge(right),
            Self::Same => left.f_eq(right),
            Self::Other => left.f_ne(right),
        })
        .on(self.name(), &[left])
    }

    /// The mask of two tensors that broadcast.
    ///
    /// # Errors
    /// Shapes and devices that do not fit.
    pub fn tensors(self, left: &Tensor, right: &Tensor) -> Result<Tensor> {
        // Torch would convert a single element to the type of the many; a wider type compares what does not fit.
        if fit_each_other(self.name(), left, right).is_err() {
            let wide = if integers(kind_of(left)).is_some() { Kind::Int64 } else { Kind::Double };
            let (left, right) = (left.f_to_kind(wide).at(self.name())?, right.f_to_kind(wide).at(self.name())?);
            return pair(self.name(), &left, &right, self.of_tensors(&left, &right));
        }
        pair(self.name(), left, right, self.of_tensors(left, right))
    }

    /// The mask of a tensor and a number of any size: what a dtype cannot hold is still above or below its elements.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn number(self, tensor: &Tensor, number: Number) -> Result<Tensor> {
        let kind = kind_of(tensor);
        let Some((low, high)) = integers(kind) else {
            return match number.fit(self.name(), kind) {
                Ok(fitting) => self.with(tensor, fitting),
                Err(_) => self.with(&tensor.f_to_kind(Kind::Double).at(self.name())?, number),
            };
        };
        let always = |truth: bool| {
            let options = (Kind::Bool, tensor.device());
            let shape = tensor.size();
            if truth { Tensor::f_ones(shape, options) } else { Tensor::f_zeros(shape, options) }.at(self.name())
        };
        let bound = match number {
            Number::Int(value) => i128::from(value),
            Number::Float(value) if value.is_nan() => return always(self == Self::Other),
            // Between two integers, one of them takes its place.
            Number::Float(value) if value.fract() != 0.0 => match self {
                Self::Less | Self::AtLeast => value.ceil() as i128,
                Self::AtMost | Self::More => value.floor() as i128,
                Self::Same | Self::Other => return always(self == Self::Other),
            },
            Number::Float(value) => value as i128,
        };
        match i64::try_from(bound) {
            Ok(bound) if (low..=high).contains(&bound) => {
                let counts = if kind == Kind::Bool { &tensor.f_to_kind(Kind::Uint8).at(self.name())? } else { tensor };
                self.with(counts, Number::Int(bound))
            }
            _ if bound < i128::from(low) => always(matches!(self, Self::More | Self::AtLeast | Self::Other)),
            _ => always(matches!(self, Self::Less | Self::AtMost | Self::Other)),
        }
    }

    /// The mask of a number and a tensor.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn number_first(self, number: Number, tensor: &Tensor) -> Result<Tensor> {
        self.mirrored().number(tensor, number)
    }
}

/// One module a comparison: tensor with tensor, float, integer, and both numbers on the left.
macro_rules! comparison {
    ($(
        $(#[$($doc:tt)*])*
        $module:ident [$($name:tt),+] ($operation:literal, $order:ident);
    )*) => { $(
        #[doc = concat!("`", $operation, "` in scripts.")]
        #[rhai::export_module]
        pub mod $module {
            use crate::runtime::Script;

            type Tensor = crate::tensor::Tensor;

            $(#[$($doc)*])*
            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn tensors(left: Tensor, right: Tensor) -> Script<Tensor> {
                Ok(Order::$order.tensors(&left, &right)?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn float_right(left: Tensor, right: f64) -> Script<Tensor> {
                Ok(Order::$order.number(&left, right.into())?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn int_right(left: Tensor, right: i64) -> Script<Tensor> {
                Ok(Order::$order.number(&left, right.into())?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn float_left(left: f64, right: Tensor) -> Script<Tensor> {
                Ok(Order::$order.number_first(left.into(), &right)?.into())
            }

            #[rhai_fn($(name = $name,)+ return_raw)]
            pub fn int_left(left: i64, right: Tensor) -> Script<Tensor> {
                Ok(Order::$order.number_first(left.into(), &right)?.into())
            }
        }
    )* };
}

comparison! {
    /// Mask of where the left side is smaller. Numbers of any size compare with every dtype; beside floats a number is
    /// rounded to theirs.
    ///
    /// # Signature
    /// left: Tensor | number < right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert((tensor([1, 2, 3]) < 2) == tensor([true, false, false]));
    /// ```
    lt ["<", "lt"] ("<", Less);

    /// Mask of where the left side is smaller or equal.
    ///
    /// # Signature
    /// left: Tensor | number <= right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert((tensor([1, 2, 3]) <= 2).sum().item() == 2);
    /// ```
    le ["<=", "le"] ("<=", AtMost);

    /// Mask of where the left side is larger.
    ///
    /// # Signature
    /// left: Tensor | number > right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert((2 > tensor([1, 2, 3])) == tensor([true, false, false]));
    /// ```
    gt [">", "gt"] (">", More);

    /// Mask of where the left side is larger or equal.
    ///
    /// # Signature
    /// left: Tensor | number >= right: Tensor | number -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert((tensor([0.5, 1.5]) >= tensor([1.0, 1.0])) == tensor([false, true]));
    /// ```
    ge [">=", "ge"] (">=", AtLeast);

    /// Mask of equal elements. (`==` compares as a whole and gives a boolean.)
    ///
    /// # Signature
    /// eq(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2, 1]).eq(1) == tensor([true, false, true]));
    /// ```
    eq ["eq"] ("eq", Same);

    /// Mask of differing elements. (`!=` compares as a whole and gives a boolean.)
    ///
    /// # Signature
    /// ne(left: Tensor | number, right: Tensor | number) -> Tensor
    ///
    /// # Example
    /// ```rhai
    /// assert(tensor([1, 2, 1]).ne(tensor([1, 1, 1])).sum().item() == 1);
    /// ```
    ne ["ne"] ("ne", Other);
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
