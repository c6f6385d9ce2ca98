//! Looking at values: matrices, numbers, parameters in the order of layers; modules of the library that warn of themselves.

#![allow(clippy::expect_used)]

mod common;

use common::Place;

#[test]
fn small_matrices_numbers_and_lists_of_tensors_print_so_that_they_can_be_read() {
    let script = r#"
        print(confusion(tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 1.0, 0], [0, 0, 1.0]]), tensor([0, 1, 2, 2])));
        print(tensor([1.0, 2.0]).mean());
        print(`loss ${tensor([1.0, 2.0]).mean()}, matrix ${eye(2)}`);
        print([ones([2]), zeros([3])]);
        print([randn([100]), randn([200]), randn([300])]);
        print([1, "a", [2.5]]);
    "#;
    let ended = Place::new().run(script);
    let lines: Vec<_> = ended.stdout.lines().collect();
    let first = ["Tensor[3, 3] i64", "  1  0  0", "  0  1  0", "  0  1  1", "1.5"];
    assert_eq!((lines.get(..5), ended.stderr.as_str()), (Some(&first[..]), ""), "{ended:?}");
    assert_eq!(lines.get(5), Some(&"loss 1.5, matrix Tensor[2, 2] f32 [[1, 0], [0, 1]]"));
    assert_eq!(lines.get(6), Some(&"[Tensor[2] f32 [1, 1], Tensor[3] f32 [0, 0, 0]]"));
    assert_eq!((lines.get(7), lines.get(11)), (Some(&"["), Some(&"]")), "{ended:?}");
    assert!(lines.get(9).is_some_and(|line| line.starts_with("  Tensor[200] f32 · mean ")), "{ended:?}");
    assert_eq!(lines.get(12..), Some(&["[1, \"a\", [2.5]]"][..]));
}

#[test]
fn modules_of_the_library_do_not_warn_of_themselves() {
    let place = Place::new();
    let modules = ["aggregate", "condense", "curves", "memorisation", "multiround", "paper", "unlearn/finetune"];
    let imports: String = modules.iter().map(|name| format!("import \"std/{name}\" as m;\n")).collect();
    place.write("imports.rhai", format!("{imports}print(1);"));
    let ended = common::ended(place.lethe(&["check", "imports.rhai"]).output().expect("lethe starts"));
    assert!(ended.code == 0 && !format!("{ended:?}").contains("takes the place"), "{ended:?}");
    // A script's own function of such a name still does.
    place.write("own.rhai", "fn curves(name, results, options) { 1 }\nprint(curves(1, 2, 3));");
    let ended = common::ended(place.lethe(&["check", "own.rhai"]).output().expect("lethe starts"));
    assert!(format!("{ended:?}").contains("takes the place"), "{ended:?}");
}
