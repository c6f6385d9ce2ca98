//! The language of tensors: values, creation, arithmetic, indexing, autograd, files.

pub mod cat_split_gather;
pub mod create;
pub mod dtype;
pub mod index;
pub mod io;
pub mod ops;
pub mod overflow;
pub mod plain;
pub mod print;
pub mod random;
pub mod range;
pub mod reduce;
pub mod scalars;
pub mod shape;
pub mod shape_errors;
pub mod sort;
pub mod value;

pub use dtype::{kind_name, parse_kind};
pub use value::Tensor;

/// Adds this room's types and functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    // Fails only for words the language has already, and `@` is none of them.
    let _ = engine.register_custom_operator("@", 180);
    let mut library = rhai::Module::new();
    macro_rules! add {
        ($($($part:ident)::+),+ $(,)?) => { $( rhai::combine_with_exported_module!(&mut library, "tensor", $($part)::+); )+ };
    }
    add!(
        value::script,
        create::script,
        random::script,
        ops::arithmetic::script,
        ops::arithmetic::add,
        ops::arithmetic::sub,
        ops::arithmetic::mul,
        ops::arithmetic::div,
        ops::arithmetic::remainder,
        ops::arithmetic::floor_div,
        ops::arithmetic::pow,
        ops::arithmetic::minimum,
        ops::arithmetic::maximum,
        ops::compare::script,
        ops::compare::lt,
        ops::compare::le,
        ops::compare::gt,
        ops::compare::ge,
        ops::compare::eq,
        ops::compare::ne,
        ops::elementwise::unary,
        ops::math::script,
        reduce::script,
        reduce::sums,
        reduce::means,
        reduce::prods,
        reduce::maxima,
        reduce::minima,
        reduce::anys,
        reduce::alls,
        reduce::logsumexps,
        reduce::medians,
        reduce::argmaxs,
        reduce::argmins,
        index::script,
        ops::inplace::script,
        cat_split_gather::script,
        sort::script,
        shape::script,
        ops::linalg::script,
        ops::functional::script,
        ops::autograd::script,
        io::safetensors_file::script,
        io::npy::script,
        io::npz::script,
        plain::checks::script,
        print::script,
        plain::format::script,
        plain::lists::script,
        plain::numbers::floats,
        plain::numbers::ints,
        plain::numbers::script,
    );
    engine.register_global_module(library.into());
}
