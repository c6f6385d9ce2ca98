//! The language of tensors: values, creation, arithmetic, indexing, autograd, files.

pub mod archive;
pub mod arithmetic;
pub mod atomic;
pub mod autograd;
pub mod checks;
pub mod compare;
pub mod content;
pub mod create;
pub mod draft;
pub mod dtype;
pub mod elementwise;
pub mod explain;
pub mod files;
pub mod format;
pub mod functional;
pub mod index;
pub mod inplace;
pub mod join;
pub mod linalg;
pub mod lists;
pub mod math;
pub mod nested;
pub mod npy;
pub mod npy_header;
pub mod npz;
pub mod numbers;
pub mod order;
pub mod overflow;
pub mod place;
pub mod print;
pub mod random;
pub mod range;
pub mod reduce;
pub mod scalars;
pub mod shape;
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
        arithmetic::script,
        arithmetic::add,
        arithmetic::sub,
        arithmetic::mul,
        arithmetic::div,
        arithmetic::remainder,
        arithmetic::floor_div,
        arithmetic::pow,
        arithmetic::minimum,
        arithmetic::maximum,
        compare::script,
        compare::lt,
        compare::le,
        compare::gt,
        compare::ge,
        compare::eq,
        compare::ne,
        elementwise::unary,
        math::script,
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
        inplace::script,
        join::script,
        order::script,
        shape::script,
        linalg::script,
        functional::script,
        autograd::script,
        files::script,
        npy::script,
        npz::script,
        checks::script,
        print::script,
        format::script,
        lists::script,
        numbers::floats,
        numbers::ints,
        numbers::script,
    );
    engine.register_global_module(library.into());
}
