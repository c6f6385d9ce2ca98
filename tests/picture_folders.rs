//! Folders of pictures: what is read, what is left out and told, what is refused, and that content alone decides what a cached
//! copy is taken for.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Ended, Place, ended};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

fn kind(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sets/pictures/kinds").join(name)).unwrap()
}

/// A picture of 40 x 24 in one colour, whose file has the same size whatever the colour.
fn plain(value: u8) -> Vec<u8> {
    [b"P6 40 24 255\n".to_vec(), vec![value; 40 * 24 * 3]].concat()
}

/// Writes a file with a time long past, as archives that can be made again set it.
fn dated(place: &Place, name: &str, content: &[u8]) {
    let file = std::fs::File::options().write(true).open(place.write(name, content)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
}

/// A folder of two classes with two pictures each.
fn two_classes(place: &Place, root: &str) {
    for (number, name) in ["cat/0.ppm", "cat/1.ppm", "dog/0.ppm", "dog/1.ppm"].iter().enumerate() {
        dated(place, &format!("{root}/{name}"), &plain(40 * number as u8));
    }
}

fn passes(place: &Place, script: &str) -> Ended {
    let ended = place.run(script);
    assert_eq!(ended.code, 0, "{script}\n{}", ended.stderr);
    ended
}

/// What a script ends with.
fn fails(place: &Place, script: &str) -> String {
    let ended = place.run(script);
    assert_eq!(ended.code, 1, "{script}\n{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended.stderr
}

/// Names of the files in the cache of decoded images.
fn decoded(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.path("cache/decoded")).map(|all| all.flatten().collect::<Vec<_>>());
    let mut names: Vec<_> = entries.unwrap_or_default().iter().map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const TOLD: &str =
    "let d = load_dataset(\"d\", #{ name: \"mine\" }); print(`${d.id} ${d.x.sum().item()} ${d.labels}`);";

#[test]
fn folders_that_are_twins_by_names_sizes_and_times_give_their_own_pixels() {
    let place = Place::new();
    for (folder, corner) in [("clean", 0), ("poisoned", 255)] {
        for name in ["a/0.ppm", "a/1.ppm", "b/0.ppm"] {
            dated(&place, &format!("{folder}/{name}"), &plain(corner));
        }
    }
    let script = "let c = load_dataset(\"clean\", #{ name: \"mine\" }); let p = load_dataset(\"poisoned\", #{ name: \"mine\" });\n\
        assert(c.x[0][0][0][0].item() == 0.0 && p.x[0][0][0][0].item() == 1.0);\n\
        assert(c.id != p.id);";
    passes(&place, script);
    passes(&place, script);
    assert_eq!(decoded(&place).len(), 2);
}

#[test]
fn a_picture_that_is_changed_in_place_under_its_old_time_is_noticed() {
    let place = Place::new();
    two_classes(&place, "d");
    let first = passes(&place, TOLD).stdout;
    dated(&place, "d/dog/1.ppm", &plain(7));
    let second = passes(&place, TOLD).stdout;
    assert_ne!(second, first);
    // The same where the files have been there long enough to be remembered.
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(passes(&place, TOLD).stdout, second);
    assert!(place.path("state/digests").is_dir());
    assert_eq!(passes(&place, TOLD).stdout, second);
    dated(&place, "d/dog/1.ppm", &plain(120));
    assert_eq!(passes(&place, TOLD).stdout, first);
}

#[test]
fn what_a_folder_is_called_by_its_content_depends_on_nothing_else() {
    let place = Place::new();
    two_classes(&place, "d");
    let known = passes(&place, TOLD).stdout;
    // Another place, another order of writing, other times.
    for (number, name) in ["dog/1.ppm", "dog/0.ppm", "cat/1.ppm", "cat/0.ppm"].iter().enumerate() {
        place.write(&format!("other/d/{name}"), plain(120 - 40 * number as u8));
    }
    let elsewhere = TOLD.replace("\"d\"", "\"other/d\"");
    assert_eq!(passes(&place, &elsewhere).stdout, known);
    assert_eq!(decoded(&place).len(), 1, "one decoded file serves both");
    // Names of classes, names that change the order, and contents count.
    let id = |text: &str| text.split(' ').next().unwrap().to_string();
    let other = |from: &str, to: &str| {
        std::fs::rename(place.path("other/d").join(from), place.path("other/d").join(to)).unwrap();
        let changed = passes(&place, &elsewhere).stdout;
        std::fs::rename(place.path("other/d").join(to), place.path("other/d").join(from)).unwrap();
        changed
    };
    assert_ne!(id(&other("cat", "cow")), id(&known));
    assert_ne!(id(&other("cat/0.ppm", "cat/2.ppm")), id(&known));
    assert_eq!(passes(&place, &elsewhere).stdout, known);
}

#[test]
fn the_format_is_told_by_content_and_every_kind_is_read() {
    let place = Place::new();
    let names =
        ["full.jpg", "plain.bmp", "still.gif", "packed.tif", "lossless.webp", "color.ppm", "grey.pgm", "bits.pbm"];
    for name in names {
        place.write(&format!("d/a/{name}"), kind(name));
    }
    place.write("d/b/really-png.jpg", kind("moving.png"));
    place.write("d/b/no-extension", kind("full.jpg"));
    place.write("d/b/odd.dat", kind("lossless.webp"));
    let ended = passes(&place, "let d = load_dataset(\"d\"); print(`${d.len} ${d.of(1).len}`);");
    assert_eq!(ended.stdout, "11 3\n");
    assert!(
        ended.stderr.contains("1 picture has several frames or pages, of which the first is taken"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("left out"), "{}", ended.stderr);
    place.write("d/b/text.png", "no picture at all");
    let said = fails(&place, "load_dataset(\"d\");");
    assert!(said.contains("d/b/text.png: no picture by its content"), "{said}");
}

#[test]
fn what_is_left_out_is_told_once_with_counts_and_kinds() {
    let place = Place::new();
    two_classes(&place, "d");
    for name in ["d/cat/notes.txt", "d/dog/a.TXT", "d/dog/b.avif", "d/cat/0.ppm.bak", "d/readme"] {
        place.write(name, "what else there is");
    }
    place.write("d/loose.ppm", plain(3));
    let leftovers =
        ["__MACOSX/cat/._0.ppm", ".DS_Store", "cat/.DS_Store", "cat/._0.ppm", "dog/Thumbs.db", "dog/desktop.ini"];
    let more = [".ipynb_checkpoints/x.ppm", "@eaDir/cat/0.ppm", "dog/.hidden/1.ppm"];
    for name in leftovers.iter().chain(&more) {
        place.write(&format!("d/{name}"), plain(9));
    }
    let ended = passes(
        &place,
        "let d = load_dataset(\"d\"); load_dataset(\"d\", #{ size: 8 }); print(`${d.len} ${d.labels}`);",
    );
    assert_eq!(ended.stdout, "4 [0, 0, 1, 1]\n");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("left out")).collect();
    let [line] = lines.as_slice() else { panic!("{}", ended.stderr) };
    for part in [
        "1 .avif",
        "2 .txt",
        "1 .bak",
        "1 without extension",
        "9 hidden or of packers",
        "1 pictures beside",
        "loose.ppm",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    // Also when everything comes from the cache.
    assert_eq!(passes(&place, "load_dataset(\"d\");").stderr.matches("left out").count(), 1);
}

#[test]
fn deeper_folders_belong_to_their_class_in_the_order_of_their_paths() {
    let place = Place::new();
    for (number, name) in ["a/z.ppm", "a/images/2.ppm", "a/images/1.ppm", "b/images/1.ppm"].iter().enumerate() {
        place.write(&format!("d/{name}"), plain(number as u8));
    }
    place.write("d/a/a_boxes.txt", "0 0 1 1");
    let ended = passes(
        &place,
        "let d = load_dataset(\"d\"); print(`${d.labels} ${round(d.x[[0.., 0, 0, 0]] * 255).to_array()}`);",
    );
    assert_eq!(ended.stdout, "[0, 0, 0, 1] [2.0, 1.0, 0.0, 3.0]\n");
    assert!(ended.stderr.contains("left out: 1 .txt"), "{}", ended.stderr);
}

#[test]
fn folders_that_would_be_taken_for_classes_are_refused() {
    let place = Place::new();
    two_classes(&place, "set/train");
    two_classes(&place, "set/test");
    let said = fails(&place, "load_dataset(\"set\");");
    assert!(
        said.contains("its folders are parts, not classes: test, train") && said.contains("load_data(folder)"),
        "{said}"
    );
    two_classes(&place, "unpacked/animals");
    let said = fails(&place, "load_dataset(\"unpacked\");");
    assert!(
        said.contains("its only folder \"animals\" would be the only class") && said.contains("unpacked/animals"),
        "{said}"
    );
    two_classes(&place, "super/mammals");
    place.write("super/birds/owl.ppm", plain(3));
    let ended = passes(&place, "print(load_dataset(\"super\").labels);");
    assert_eq!(ended.stdout, "[0, 1, 1, 1, 1]\n");
    assert!(
        ended.stderr.contains("pictures in mammals/ (cat, dog) are all of the class \"mammals\""),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_class_without_pictures_is_refused_where_it_would_take_a_number() {
    let place = Place::new();
    two_classes(&place, "d/train");
    two_classes(&place, "d/test");
    place.write("d/train/bird/keep", "");
    let said = fails(&place, "load_data(\"d\");");
    assert!(said.contains("its folder \"bird\" has no pictures, but would be class 0 of 3"), "{said}");
    assert!(said.contains("remove the folder"), "{said}");
    assert!(fails(&place, "load_dataset(\"d/train\");").contains("\"bird\""));
    // One that is the last shifts nothing, but would still be a class without samples.
    std::fs::rename(place.path("d/train/bird"), place.path("d/train/zebra")).unwrap();
    assert!(fails(&place, "load_data(\"d\");").contains("\"zebra\""));
    std::fs::remove_dir_all(place.path("d/train/zebra")).unwrap();
    // Only packers' leftovers in it are nothing in it.
    place.write("d/train/zebra/._1.ppm", plain(3));
    assert!(fails(&place, "load_data(\"d\");").contains("\"zebra\""));
}

#[test]
fn classes_that_the_test_part_lacks_are_told_and_those_that_only_it_has_are_refused() {
    let place = Place::new();
    two_classes(&place, "d/train");
    two_classes(&place, "d/test");
    place.write("d/train/emu/1.ppm", plain(3));
    std::fs::create_dir_all(place.path("d/test/emu")).unwrap();
    let script = "let d = load_data(\"d\"); print(`${d.classes} ${d.test.labels}`);";
    let ended = passes(&place, script);
    assert_eq!(ended.stdout, "3 [0, 0, 1, 1]\n");
    assert!(ended.stderr.contains("no pictures of 1 of 3 classes: emu"), "{}", ended.stderr);
    std::fs::remove_dir_all(place.path("d/test/emu")).unwrap();
    std::fs::remove_dir_all(place.path("d/test/cat")).unwrap();
    let ended = passes(&place, script);
    assert_eq!(ended.stdout, "3 [1, 1]\n", "numbers do not shift");
    assert!(ended.stderr.contains("no pictures of 2 of 3 classes: cat, emu"), "{}", ended.stderr);
    place.write("d/test/fox/1.ppm", plain(3));
    assert!(fails(&place, script).contains("its folder \"fox\" is none of the classes"));
    std::fs::rename(place.path("d/test/fox"), place.path("d/test/Cat")).unwrap();
    assert!(fails(&place, script).contains("did you mean \"cat\"?"));
}

#[test]
fn names_that_differ_only_in_how_accents_are_written_are_named() {
    let place = Place::new();
    for (folder, name) in [("train", "caf\u{e9}"), ("train", "bar"), ("test", "cafe\u{301}"), ("test", "bar")] {
        place.write(&format!("d/{folder}/{name}/1.ppm"), plain(3));
    }
    let said = fails(&place, "load_data(\"d\");");
    assert!(said.contains("looks like the class") && said.contains("cafe\\u{301} instead of caf\\u{e9}"), "{said}");
}

#[test]
fn circles_of_links_end_and_linked_pictures_are_read() {
    let place = Place::new();
    two_classes(&place, "d");
    place.write("far/1.ppm", plain(200));
    symlink(place.path("far/1.ppm"), place.path("d/cat/linked.ppm")).unwrap();
    symlink(place.path("far"), place.path("d/eel")).unwrap();
    symlink("..", place.path("d/dog/up")).unwrap();
    symlink(".", place.path("d/dog/self")).unwrap();
    symlink(place.path("d"), place.path("d/round")).unwrap();
    let ended = passes(&place, "let d = load_dataset(\"d\"); print(`${d.labels} ${d.len}`);");
    assert_eq!(ended.stdout, "[0, 0, 0, 1, 1, 2] 6\n");
    assert!(ended.stderr.contains("3 links to folders that are read already"), "{}", ended.stderr);
    symlink("nowhere.ppm", place.path("d/dog/broken.ppm")).unwrap();
    assert!(fails(&place, "load_dataset(\"d\");").contains("d/dog/broken.ppm: no such file"));
}

#[test]
fn pictures_that_are_cut_off_end_in_an_error_that_names_them() {
    for (name, whole) in
        [("full.jpg", kind("full.jpg")), ("progressive.jpg", kind("progressive.jpg")), ("x.png", kind("moving.png"))]
    {
        for kept in [whole.len() / 10 * 9, whole.len() / 2, whole.len() - 10, whole.len() - 2] {
            let place = Place::new();
            place.write("d/a/whole.ppm", plain(3));
            place.write(&format!("d/b/{name}"), &whole[..kept]);
            let said = fails(&place, "load_dataset(\"d\");");
            assert!(said.contains(&format!("d/b/{name}: cut off")), "{kept} of {}: {said}", whole.len());
            assert!(decoded(&place).is_empty());
        }
    }
    let place = Place::new();
    place.write("d/a/longer.jpg", [kind("full.jpg"), b"and so on".to_vec()].concat());
    let ended = passes(&place, "print(load_dataset(\"d\").len);");
    assert!(
        ended.stderr.contains("1 picture has bytes behind the end") && ended.stderr.contains("longer.jpg"),
        "{}",
        ended.stderr
    );
}

#[test]
fn decoded_pictures_are_listed_verified_and_cleared() {
    let place = Place::new();
    two_classes(&place, "pets/train");
    two_classes(&place, "pets/test");
    passes(&place, "load_data(\"pets\", #{ validation: 0 });");
    let cache = |arguments: &[&str]| ended(place.lethe(&[&["cache"], arguments].concat()).output().unwrap());
    let list = || -> serde_json::Value { serde_json::from_str(&cache(&["list", "--json"]).stdout).unwrap() };
    let value = list();
    let items = value["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{value}");
    for (item, part) in items.iter().zip(["test", "train"]) {
        assert_eq!((&item["kind"], &item["dataset"], &item["part"]), (&"decoded".into(), &"pets".into(), &part.into()));
        assert!(item["bytes"].as_u64().unwrap() > 4096 && item["earlier_version"] == false);
    }
    assert!(cache(&["list"]).stdout.contains("pets (train)"));
    assert_eq!(cache(&["verify"]).code, 0);
    // A pixel, the length, the header, the name.
    let path = PathBuf::from(items[0]["file"].as_str().unwrap());
    let sound = std::fs::read(&path).unwrap();
    for damage in [
        [&sound[..5000], &[sound[5000] ^ 1], &sound[5001..]].concat(),
        sound[..sound.len() - 1].to_vec(),
        sound[..100].to_vec(),
        vec![],
    ] {
        std::fs::write(&path, damage).unwrap();
        let found = cache(&["verify"]);
        assert!(found.code == 2 && found.stdout.contains("1 damaged"), "{}", found.stdout);
        passes(&place, "print(load_data(\"pets\", #{ validation: 0 }).test.x.sum().item());");
        assert!(std::fs::read(&path).unwrap() == sound, "made again");
    }
    let renamed = path.with_file_name(format!("pictures-test-{}.u8", "0".repeat(20)));
    std::fs::copy(&path, &renamed).unwrap();
    assert!(cache(&["verify", "--remove"]).stdout.contains("its name is not that of"));
    assert!(!renamed.exists());
    let dry = cache(&["clear", "--kind", "decoded", "--dataset", "pets"]);
    assert!(dry.stdout.contains("This would remove 2 files") && decoded(&place).len() == 2, "{}", dry.stdout);
    cache(&["clear", "--kind", "decoded", "--dataset", "pets", "--yes"]);
    assert!(decoded(&place).is_empty());
}

#[test]
fn decoded_files_of_earlier_versions_are_listed_as_such_and_stay_until_they_are_cleared() {
    let place = Place::new();
    let memo = format!("cache/decoded/{}.source", "0123456789abcdef".repeat(2));
    place.write(&memo, "a".repeat(64));
    place.write("cache/decoded/cifar10-train-0123456789abcdef.u8", "of earlier days");
    two_classes(&place, "d");
    passes(&place, "load_dataset(\"d\");");
    let cache = |arguments: &[&str]| ended(place.lethe(&[&["cache"], arguments].concat()).output().unwrap());
    let list = cache(&["list"]).stdout;
    assert_eq!(list.matches("decoded (earlier version)").count(), 2, "{list}");
    assert!(list.contains("cifar10 (train)") && list.contains("2 files of an earlier version, used no more"), "{list}");
    assert!(cache(&["verify"]).stdout.contains("0 not written by lethe"));
    assert_eq!(decoded(&place).len(), 3, "nothing goes by itself");
    let dry = cache(&["clear", "--kind", "earlier"]);
    assert!(dry.stdout.contains("This would remove 2 files"), "{}", dry.stdout);
    cache(&["clear", "--kind", "earlier", "--yes"]);
    assert_eq!(decoded(&place).len(), 1);
}
