//! Operations on tensors: arithmetic, comparisons, functions of elements, linear algebra, gradients.

pub mod arithmetic;
pub mod autograd;
pub mod compare;
pub mod elementwise;
pub mod functional;
pub mod inplace;
pub mod linalg;
pub mod math;
