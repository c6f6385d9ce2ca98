//! Files that people bring: lists of pictures to forget, classes by name, data without a validation part, marks at the start of
//! texts, and every model with the recipe of a data set.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Ended, Place, ended};

fn plain(value: u8) -> Vec<u8> {
    [b"P6 8 8 255\n".to_vec(), vec![value; 8 * 8 * 3]].concat()
}

/// `pets/train` with 20 cats and 20 dogs, `pets/test` with 4 of each.
fn pets() -> Place {
    let place = Place::new();
    for (part, count) in [("train", 20_u8), ("test", 4)] {
        for (class, tone) in [("cat", 0), ("dog", 100)] {
            for number in 0..count {
                let name = format!("pets/{part}/{class}/{}{number}.ppm", &class[..1]);
                place.write(&name, plain(tone + number + count));
            }
        }
    }
    place
}

fn passes(place: &Place, script: &str) -> Ended {
    let ended = place.run(script);
    assert_eq!(ended.code, 0, "{script}\n{}", ended.stderr);
    ended
}

fn fails(place: &Place, script: &str) -> String {
    let ended = place.run(script);
    assert_eq!(ended.code, 1, "{script}\n{}{}", ended.stdout, ended.stderr);
    ended.stderr
}

/// A task that forgets what a list says.
fn listed(options: &str, list: &str) -> String {
    format!(
        "let d = load_data(\"pets\", #{{ {options} }});\n\
         let net = mlp(d, #{{ hidden: [4] }});\n\
         let task = forget(net, d, samples_from(\"{list}\"));\n\
         print(task.forget.files());"
    )
}

#[test]
fn a_list_of_files_is_forgotten() {
    let place = pets();
    let files = "let d = load_data(\"pets\", #{ validation: 0 }); print(d.train.files().len); print(d.train.files()[20]);\n\
                 print(load_dataset(\"pets/test\").of(\"dog\").files());";
    let all = passes(&place, files).stdout;
    let dogs = r#"["dog/d0.ppm", "dog/d1.ppm", "dog/d2.ppm", "dog/d3.ppm"]"#;
    assert_eq!(all, format!("40\ntrain/dog/d0.ppm\n{dogs}\n"));
    let whole = place.path("pets/train/cat/c5.ppm").display().to_string();
    place.write(
        "list.txt",
        format!("\u{feff}# asked\r\nd7.ppm\r\n\r\n0 # by position\r\ntrain/cat/c9.ppm\r\n{whole}\r\n"),
    );
    let told = passes(&place, &listed("validation: 0", "list.txt"));
    let expected = r#"["train/cat/c0.ppm", "train/cat/c5.ppm", "train/cat/c9.ppm", "train/dog/d7.ppm"]"#;
    assert_eq!(told.stdout, format!("{expected}\n"));
    let substitute =
        "pets has no validation part: 4 random samples of its test part are the unseen ones, the other 4 test";
    assert!(told.stderr.contains(substitute), "{}", told.stderr);
}

#[test]
fn a_file_that_is_not_among_the_training_samples_is_told_by_its_line() {
    let place = pets();
    // With the usual share of validation, two of each class are held out: every file is found or told.
    let names: Vec<String> = (0..20).map(|n| format!("d{n}.ppm")).collect();
    place.write("all.txt", names.join("\n"));
    let said = fails(&place, &listed("", "all.txt"));
    let held_out = ["all.txt, line", "is in the validation part", "another line", "validation: 0"];
    assert!(held_out.iter().all(|part| said.contains(part)), "{said}");
    place.write("bad.txt", "d1.ppm\nc77.ppm\n");
    let said = fails(&place, &listed("validation: 0", "bad.txt"));
    assert!(said.contains("bad.txt, line 2") && said.contains("did you mean \"c17.ppm\"?"), "{said}");
    place.write("far.txt", "1\n999\n");
    assert!(fails(&place, &listed("validation: 0", "far.txt")).contains("line 2: position 999 is outside"));
    place.write("wide.txt", b"\xFF\xFEd\x001\0");
    assert!(fails(&place, &listed("validation: 0", "wide.txt")).contains("UTF-16"));
}

#[test]
fn classes_are_named_and_requests_do_without_a_validation_part() {
    let place = pets();
    let script = "let d = load_data(\"pets\", #{ validation: 0 });\n\
        let net = mlp(d, #{ hidden: [4] });\n\
        let named = forget(net, d, class(\"dog\"));\n\
        assert(named.split_id == forget(net, d, class(1)).split_id);\n\
        assert(named.split_id == forget(net, d, #{ mode: \"classwise\", class: \"dog\" }).split_id);\n\
        assert(named.unseen.len == 4 && named.test.len == 4 && named.forget.classes == [1]);\n\
        for task in requests(net, d, [samples([0, 1]), samples([5])]) { print(task.forget.len); break; }\n\
        forget(net, d, class(\"dgo\"));";
    let ended = place.run(script);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, "2\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("did you mean \"dog\"?"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("has no validation part").count(), 1, "{}", ended.stderr);
}

#[test]
fn tiny_imagenet_is_read_as_it_is_published() {
    let place = Place::new();
    for class in ["n01", "n02"] {
        (0..10).for_each(|n| drop(place.write(&format!("tiny/train/{class}/images/{class}_{n}.ppm"), plain(n))));
    }
    (0..4).for_each(|n| drop(place.write(&format!("tiny/val/images/val_{n}.ppm"), plain(n + 50))));
    place.write("tiny/test/images/test_0.ppm", plain(90));
    place.write("tiny/val/val_annotations.txt", "val_0.ppm\tn02\nval_1.ppm\tn01\nval_2.ppm\tn02\nval_3.ppm\tn01\n");
    place.write("tiny/words.txt", "n01\tgoldfish, Carassius auratus\nn02\ttree frog\n");
    let script = "let d = load_data(\"tiny\"); print(`${d.train.len} ${d.validation.len} ${d.test.labels} ${d.class_names}`);\n\
        print(d.test.files()[0]);";
    let told = passes(&place, script);
    assert_eq!(told.stdout, "18 2 [0, 0, 1, 1] [\"goldfish\", \"tree frog\"]\nval/images/val_1.ppm\n");
    assert!(told.stderr.contains("labelled by val_annotations.txt are the test part"), "{}", told.stderr);
}

#[test]
fn folders_of_parts_go_by_the_names_that_people_give_them() {
    let place = Place::new();
    for (part, count) in [("imagenet/train", 10), ("imagenet/val", 3), ("kaggle/Training", 10), ("kaggle/Test-Set", 2)]
    {
        for class in ["cat", "dog"] {
            (0..count).for_each(|n| drop(place.write(&format!("{part}/{class}/{n}.ppm"), plain(n))));
        }
    }
    let sizes = |folder: &str| {
        passes(
            &place,
            &format!("let d = load_data({folder:?}); print(`${{d.train.len}} ${{d.validation.len}} ${{d.test.len}}`);"),
        )
    };
    let told = sizes("imagenet");
    assert_eq!(told.stdout, "18 2 6\n");
    assert!(told.stderr.contains("imagenet: no folder `test`: `val` is the test part"), "{}", told.stderr);
    let told = sizes("kaggle");
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("18 2 4\n", ""));
    place.write("kaggle/cats.zip", b"PK\x03\x04");
    for (folder, said) in [
        ("nowhere", "there is no such folder"),
        ("kaggle/cats.zip", "an archive has to be unpacked first"),
        ("kaggle/Training", "has no folder `train`"),
        (".", "load_data(\"./imagenet\")"),
    ] {
        let error = fails(&place, &format!("let name = {folder:?}; load_data(name + \"\");"));
        assert!(error.contains(said), "{folder}: {error}");
    }
}

#[test]
fn a_byte_order_mark_begins_scripts_modules_inputs_and_json() {
    let place = Place::new();
    place.write("helper.rhai", "\u{feff}fn two() { 2 }");
    place.write("set.json", "\u{feff}{\"a\": 3}");
    let script = "\u{feff}import \"helper\" as h; print(h::two() + parse_json(read_text(\"set.json\")).a);";
    assert_eq!(passes(&place, script).stdout, "5\n");
    place.write("script.rhai", script);
    assert_eq!(ended(place.lethe(&["check", "script.rhai"]).output().unwrap()).code, 0);
    let piped = ended(place.lethe(&["repl", "-q"]).write_stdin("\u{feff}1 + 1\n").output().unwrap());
    assert_eq!((piped.code, piped.stdout.as_str()), (0, "2\n"), "{}", piped.stderr);
    let wide: Vec<u8> = "print(1);".encode_utf16().flat_map(u16::to_le_bytes).collect();
    place.write("wide.rhai", [b"\xFF\xFE".to_vec(), wide].concat());
    let told = ended(place.lethe(&["run", "wide.rhai"]).output().unwrap());
    assert!(told.code != 0 && told.stderr.contains("UTF-16"), "{}", told.stderr);
}

#[test]
fn every_model_is_trained_by_the_recipe_of_a_data_set() {
    let place = Place::new();
    let listed = ended(place.lethe(&["list", "models"]).output().unwrap()).stdout;
    let models = ["convnet", "mlp", "resnet18", "resnet50"];
    assert!(models.iter().all(|model| listed.contains(model)), "{listed}");
    let script: String = models
        .iter()
        .map(|model| {
            let small = if *model == "mlp" { "hidden: [8]" } else { "width: 2" };
            format!(
                "let t = load_task(\"digits/{model}\", #{{ per_class: 4, pad: 12, original: #{{ {small}, epochs: 1 }} }});\n\
                 assert(t.model == \"{model}\" && t.forget.len == 4);\n\
                 let d = dataset(\"digits\", #{{ per_class: 4, pad: 12 }});\n\
                 assert(original(\"{model}\", d, #{{ {small}, epochs: 1 }}).forward(zeros([1, 1, 32, 32])).shape == [1, 10]);\n"
            )
        })
        .collect();
    passes(&place, &script);
    // Without options of its own, the network has the recipe's width only where it has one.
    let plain = "let d = dataset(\"digits\", #{ per_class: 2 });\n\
        assert(original(\"mlp\", d, #{ epochs: 1, cache: false }).forward(zeros([1, 1, 8, 8])).shape == [1, 10]);";
    passes(&place, plain);
}

#[test]
fn channels_that_stand_last_are_told_when_data_is_loaded_and_when_networks_are_built() {
    let place = Place::new();
    let script = "save_npz(\"last.npz\", #{ images: zeros([4, 32, 32, 3]).to(\"u8\"), labels: arange(4) % 2 });\n\
        let d = load_dataset(\"last.npz\");\n\
        convnet(d);";
    let said = fails(&place, script);
    assert_eq!(said.matches("images.permute([0, 3, 1, 2])").count(), 2, "{said}");
    let right = "save_npz(\"first.npz\", #{ images: zeros([4, 3, 32, 32]).to(\"u8\"), labels: arange(4) % 2 });\n\
        convnet(load_dataset(\"first.npz\"), #{ width: 2 });";
    assert!(!passes(&place, right).stderr.contains("permute"));
}
