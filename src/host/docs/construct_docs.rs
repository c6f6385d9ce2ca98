//! Catalog entries of what is syntax and not a function.

use crate::host::docs::doc_comment::Doc;
use crate::host::docs::entry::{Entry, Kind};

/// Their names; a room's function of such a name needs no entry of its own.
pub const NAMES: [&str; 5] = ["no_grad", "timed", "print", "@", "**"];

/// Those that are operators.
const OPERATORS: [&str; 2] = ["@", "**"];

/// Name, signature, summary, text and example of every construct of ours.
const CONSTRUCTS: &[(&str, &str, &str, &str, &str)] = &[
    (
        "no_grad",
        "no_grad { .. } -> any",
        "Evaluates a block without recording gradients; its value is the block's value.",
        "Works as a statement and as an expression; `return`, `break` and errors pass through.",
        "let w = ones([2]);\nw.requires_grad_(true);\nlet y = no_grad { w * 2.0 };\nassert(!y.requires_grad);",
    ),
    (
        "timed",
        "timed \"stage\" { .. } -> any",
        "Evaluates a block and adds its wall-clock time to the stage of this name; its value is the block's value.",
        "The device is synchronised at both ends, so that the time covers all work on it. Stages nest; time spent in evaluation does \
         not count.",
        "let total = timed \"setup\" { 1 + 2 };\nassert(total == 3);",
    ),
    (
        "print",
        "print(...values: any)",
        "Prints values in one line, with a blank between them; none at all print an empty line.",
        "Up to 16 values. Texts stand as they are, everything else in its short form, as in `${x}`.",
        "print(\"loss\", 0.25, [1, 2]);\nprint();\nassert(`${0.25}` == \"0.25\");",
    ),
    (
        "@",
        "Tensor @ Tensor -> Tensor",
        "The matrix product of two tensors; leading dimensions are batches.",
        "Binds as tightly as `*`. The same as `matmul(a, b)`.",
        "let a = tensor([[1.0, 2.0], [3.0, 4.0]]);\nassert((a @ a).shape == [2, 2]);",
    ),
    (
        "**",
        "number | Tensor ** number | Tensor -> number | Tensor",
        "The power of two numbers, or of tensors element by element.",
        "Binds more tightly than `*`, and to the right: `2 ** 3 ** 2` is `2 ** 9`. A minus before it must have brackets, \
         `-(a ** b)` or `(-a) ** b`: Rhai would read `-a ** b` as the second, mathematics as the first, so it is an error wherever \
         a script is read.",
        "assert(2 ** 3 == 8 && -(2 ** 2) == -4 && (-2) ** 2 == 4);\nassert((tensor([1.0, 3.0]) ** 2).to_array() == [1.0, 9.0]);",
    ),
];

/// The entries.
pub fn entries() -> Vec<Entry> {
    let entry = |(name, signature, summary, text, example): &(&str, &str, &str, &str, &str)| Entry {
        name: (*name).into(),
        kind: if OPERATORS.contains(name) { Kind::Operator } else { Kind::Construct },
        of: String::new(),
        module: "language".into(),
        signatures: vec![(*signature).into()],
        doc: Doc { summary: (*summary).into(), text: (*text).into(), example: (*example).into(), ..Doc::default() },
    };
    CONSTRUCTS.iter().map(entry).collect()
}
