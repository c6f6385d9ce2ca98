//! Data sets from their files to scripts: small copies in the formats of the originals, the cache of decoded images, folders
//! of pictures, and what is said when something is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Ended, Place, ended};
use std::path::{Path, PathBuf};

fn set(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sets").join(name)
}

/// A folder with data sets of its own.
struct House(Place);

impl House {
    fn new() -> Self {
        Self(Place::new())
    }

    /// With the small copies of these files below the folder of a data set.
    fn with(name: &str, files: &[&str]) -> Self {
        let house = Self::new();
        files.iter().for_each(|file| house.put(name, file));
        house
    }

    fn put(&self, name: &str, file: &str) {
        let to = self.0.path("sets").join(name).join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(set(name).join(file), to).unwrap();
    }

    fn lethe(&self, arguments: &[&str]) -> Ended {
        ended(self.0.lethe(arguments).env("LETHE_DATA", self.0.path("sets")).output().unwrap())
    }

    fn run(&self, script: &str) -> Ended {
        self.0.write("script.rhai", script);
        self.lethe(&["run", "--device", "cpu", "--threads", "2", "script.rhai"])
    }

    fn passes(&self, script: &str) -> Ended {
        let ended = self.run(script);
        assert_eq!(ended.code, 0, "{script}\n{}", ended.stderr);
        ended
    }

    /// The files of the cache of decoded images.
    fn decoded(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.path("cache/decoded")).map(|e| e.flatten().map(|e| e.path()).collect());
        let mut files: Vec<PathBuf> = entries.unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "u8"));
        files.sort();
        files
    }
}

/// Unpacks a small archive.
fn unpack(archive: &str, to: &Path) {
    let file = flate2::read::GzDecoder::new(std::fs::File::open(set(archive)).unwrap());
    tar::Archive::new(file).unpack(to).unwrap();
}

#[test]
fn every_published_form_loads_normalised_with_its_constants() {
    let script = "let d = dataset(\"cifar10\", #{ validation: 0 });\n\
        assert(d.shape == [3, 32, 32] && d.classes == 10 && d.class_names[9] == \"truck\");\n\
        assert(d.train.len == 20 && d.validation.len == 0 && d.test.len == 6);\n\
        let means = [0.4914, 0.4822, 0.4465]; let stds = [0.2023, 0.1994, 0.2010];\n\
        for c in 0..3 {\n\
            let pixel = ((31 * 21 + 7 * c + 3 * 4 + 5 * 6) % 256) / 255.0;\n\
            assert_close(d.test.x[1][c][4][6], tensor((pixel - means[c]) / stds[c]), 1e-6);\n\
        }\n\
        assert(d.train.take(4).labels == [0, 3, 6, 9]);\n\
        print(d.id);";
    let binary = House::with("cifar10", &["cifar-10-binary.tar.gz"]).passes(script);
    assert!(binary.stderr.contains("20 images, the published one 50000"), "{}", binary.stderr);
    let python = House::with("cifar10", &["cifar-10-python.tar.gz"]).passes(script);
    let unpacked = House::new();
    unpack("cifar10/cifar-10-python.tar.gz", &unpacked.0.path("sets"));
    // The same images, whatever they came in.
    assert_eq!([&python.stdout, &unpacked.passes(script).stdout], [&binary.stdout, &binary.stdout]);
    House::with("cifar100", &["cifar-100-python.tar.gz"])
        .passes("let d = dataset(\"cifar100\"); assert(d.classes == 100 && d.class_names[99] == \"worm\");");
    House::with("svhn", &["train_32x32.mat", "test_32x32.mat"]).passes(
        "let d = dataset(\"svhn\"); assert(d.train.len + d.validation.len == 30 && d.test.labels[0] == 0);\n\
         assert(dataset(\"svhn\", #{ balanced: false, per_class: 2 }).train.len == 20);",
    );
}

#[test]
fn what_a_data_set_is_called_by_its_content_stays() {
    let house = House::new();
    for (name, files) in [
        ("cifar10", &["cifar-10-binary.tar.gz"] as &[&str]),
        ("cifar100", &["cifar-100-binary.tar.gz"]),
        ("svhn", &["train_32x32.mat", "test_32x32.mat"]),
        ("cinic10", &["CINIC-10.tar.gz"]),
    ] {
        files.iter().for_each(|file| house.put(name, file));
    }
    std::fs::copy(set("npz/own.npz"), house.0.path("own.npz")).unwrap();
    let mut known = vec![
        ("digits", "9a26cdbca92f4c17", "fc03a42423cd6694", "4c02110603f98fb9"),
        ("cifar10", "0ce6f6941c5e6521", "2ca03e9fac0858ab", "5f9d03db03d441af"),
        ("cifar100", "08ec8389dfc1f28c", "9a0fd7427e272c55", "b6dba2bbc53498bb"),
        ("svhn", "2fd334f01a3cfec0", "1b85fc1361cea204", "c01cbc62af76eb3c"),
        ("cinic10", "aa92651d5439cd2d", "f74cf915f3eddef1", "bad9e56919303939"),
    ];
    if Path::new("/usr/share/datasets/fashion-mnist").is_dir() {
        known.push(("fashion-mnist", "06615e3ee5f54b6b", "b7e8d8d814ac3004", "bfb819b2d1723531"));
    }
    let one = |(name, id, train, test): &(&str, &str, &str, &str)| {
        format!(
            "let d = dataset(\"{name}\"); assert([d.id, d.train.id, d.test.id] == [\"{id}\", \"{train}\", \"{test}\"]);"
        )
    };
    let all: Vec<String> = known.iter().map(one).collect();
    house.passes(&all.join("\n"));
    house.passes("assert(load_dataset(\"own.npz\").id == \"2def330a5fa299fe\");");
    house.passes("assert(dataset(\"digits\", #{ pad: 2, per_class: 20 }).id == \"f0da1341ee5b4382\");");
    std::fs::remove_file(house.0.path("sets/cinic10/CINIC-10.tar.gz")).unwrap();
    unpack("cinic10/CINIC-10.tar.gz", &house.0.path("sets/cinic10"));
    house.passes("assert(dataset(\"cinic10\").id == \"aa92651d5439cd2d\");");
}

#[test]
fn an_archive_that_changes_under_its_name_size_and_time_is_read_again() {
    let house = House::with("svhn", &["train_32x32.mat", "test_32x32.mat"]);
    let file = house.0.path("sets/svhn/test_32x32.mat");
    let script = "print(dataset(\"svhn\").test.len);";
    assert_eq!(house.passes(script).stdout, "12\n");
    let about = file.metadata().unwrap();
    std::fs::write(&file, vec![0; about.len() as usize]).unwrap();
    let open = std::fs::File::options().write(true).open(&file).unwrap();
    open.set_modified(about.modified().unwrap()).unwrap();
    let ended = house.run(script);
    assert!(ended.code == 1 && ended.stderr.contains("test_32x32.mat"), "{}", ended.stderr);
}

#[test]
fn cinic_brings_its_validation_part_packed_and_unpacked() {
    let script = "let d = dataset(\"cinic10\");\n\
        assert(d.train.len == 20 && d.validation.len == 20 && d.test.len == 20);\n\
        assert(d.test.labels == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]);\n\
        assert(dataset(\"cinic10\", #{ validation: 0 }).validation.len == 0);\n\
        assert(dataset(\"cinic10\", #{ per_class: 1, seed: 4 }).train.len == 10);\n\
        print(d.id);";
    let packed = House::with("cinic10", &["CINIC-10.tar.gz"]).passes(script);
    let unpacked = House::new();
    unpack("cinic10/CINIC-10.tar.gz", &unpacked.0.path("sets/cinic10"));
    assert_eq!(unpacked.passes(script).stdout, packed.stdout);
    let failed = unpacked.run("dataset(\"cinic10\", #{ validation: 0.2 });");
    assert!(failed.stderr.contains("has a validation part of its own"), "{}", failed.stderr);
}

#[test]
fn decoded_images_are_kept_and_damage_is_mended() {
    let house = House::with("cifar10", &["cifar-10-binary.tar.gz"]);
    let script = "let d = dataset(\"cifar10\"); print(d.id); print(d.train.x.sum().item());";
    let first = house.passes(script);
    let files = house.decoded();
    assert_eq!(files.len(), 2, "{files:?}");
    let times = || files.iter().map(|file| file.metadata().unwrap().modified().unwrap()).collect::<Vec<_>>();
    let written = times();
    assert_eq!(house.passes(script).stdout, first.stdout);
    assert_eq!(times(), written, "decoded again");
    let sound = std::fs::read(&files[0]).unwrap();
    let pixel = 5000;
    for damage in [
        sound[..100].to_vec(),
        sound[..sound.len() - 1].to_vec(),
        [&sound[..pixel], &[sound[pixel] ^ 1], &sound[pixel + 1..]].concat(),
        [&[0; 8], &sound[8..]].concat(),
        [&sound[..40], &[b'9'; 40], &sound[80..]].concat(),
        vec![],
    ] {
        std::fs::write(&files[0], &damage).unwrap();
        let again = house.passes(script);
        assert_eq!(again.stdout, first.stdout);
        assert!(again.stderr.contains("is decoded again"), "{}", again.stderr);
        assert!(std::fs::read(&files[0]).unwrap() == sound);
    }
    // Another archive, another name: what was kept is not taken for it.
    std::fs::remove_file(house.0.path("sets/cifar10/cifar-10-binary.tar.gz")).unwrap();
    house.put("cifar10", "cifar-10-python.tar.gz");
    assert_eq!(house.passes(script).stdout, first.stdout);
    assert_eq!(house.decoded().len(), 4);
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_time() {
    let house = House::with("cifar10", &["cifar-10-binary.tar.gz"]);
    house.0.write("cache/decoded", "a file where the folder should be");
    let ended = house.passes("print(dataset(\"cifar10\").train.len);");
    assert_eq!(ended.stdout, "20\n");
    assert!(ended.stderr.contains("the decoded images are not kept"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_while_the_cache_is_written_costs_only_time() {
    let house = House::with("cinic10", &["CINIC-10.tar.gz"]);
    house.0.write("script.rhai", "let d = dataset(\"cinic10\"); print(d.id); print(d.train.x.sum().item());");
    let run = |before: &str| {
        let command = format!("{before} exec {} run --device cpu --threads 1 script.rhai", env!("CARGO_BIN_EXE_lethe"));
        let mut limited = std::process::Command::new("bash");
        limited.args(["-c", &command]).current_dir(house.0.folder.path()).env("LETHE_DATA", house.0.path("sets"));
        limited.env("LETHE_CACHE", house.0.path("cache")).env("LETHE_CONFIG", house.0.path("config"));
        limited.env("LETHE_STATE", house.0.path("state"));
        ended(limited.output().unwrap())
    };
    // 16 KiB a file: the parts have 60.
    let full = run("ulimit -f 16;");
    assert_eq!(full.code, 0, "{}", full.stderr);
    assert!(full.stderr.contains("the decoded images are not kept"), "{}", full.stderr);
    let names = |folder: &Path| std::fs::read_dir(folder).unwrap().flatten().map(|e| e.file_name()).collect::<Vec<_>>();
    assert!(house.decoded().is_empty(), "nothing half-written is left");
    assert!(names(&house.0.path("cache/decoded")).is_empty(), "no draft either");
    assert_eq!(run("").stdout, full.stdout);
    assert_eq!(house.decoded().len(), 3);
}

#[test]
fn processes_that_decode_at_the_same_time_do_not_disturb_each_other() {
    let house = House::with("cinic10", &["CINIC-10.tar.gz"]);
    house
        .0
        .write("script.rhai", "let d = dataset(\"cinic10\"); print(d.train.x.sum().item() + d.test.x.sum().item());");
    let start = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_lethe"))
            .args(["run", "--quiet", "--device", "cpu", "--threads", "1", "script.rhai"])
            .current_dir(house.0.folder.path())
            .env("LETHE_CACHE", house.0.path("cache"))
            .env("LETHE_CONFIG", house.0.path("config"))
            .env("LETHE_DATA", house.0.path("sets"))
            .env("LETHE_STATE", house.0.path("state"))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = (0..4).map(|_| start()).collect();
    let all: Vec<Ended> = running.into_iter().map(|child| ended(child.wait_with_output().unwrap())).collect();
    for one in &all {
        assert_eq!((one.code, &one.stdout), (0, &all[0].stdout), "{}", one.stderr);
    }
    assert_eq!(house.decoded().len(), 3);
    let left = std::fs::read_dir(house.0.path("cache/decoded")).unwrap().count();
    assert_eq!(left, 3, "three parts, no draft");
}

#[test]
fn a_data_set_that_is_missing_says_exactly_what_to_run() {
    let house = House::new();
    let home = house.0.path("sets/cifar10").display().to_string();
    let ended = house.run("let d = 1;\ndataset(\"cifar10\");");
    assert_eq!(ended.code, 1);
    for words in ["cifar10 is not here", "lethe data fetch cifar10", "cifar-10-binary.tar.gz", &home, "script.rhai:2:"]
    {
        assert!(ended.stderr.contains(words), "{words} in {}", ended.stderr);
    }
    let half = House::with("svhn", &["train_32x32.mat"]);
    let ended = half.run("dataset(\"svhn\");");
    assert!(
        ended.stderr.contains("svhn is incomplete") && ended.stderr.contains("lacks test_32x32.mat"),
        "{}",
        ended.stderr
    );
}

#[test]
fn damaged_files_end_in_one_message_that_names_them() {
    let house = House::with("svhn", &["train_32x32.mat", "test_32x32.mat"]);
    let file = house.0.path("sets/svhn/test_32x32.mat");
    let sound = std::fs::read(&file).unwrap();
    std::fs::write(&file, &sound[..sound.len() / 2]).unwrap();
    let ended = house.run("dataset(\"svhn\");");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("test_32x32.mat: ") && !ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(house.decoded().is_empty());
}

#[test]
fn the_lists_agree_on_what_is_here() {
    let house = House::with("svhn", &["train_32x32.mat"]);
    house.put("cifar10", "cifar-10-python.tar.gz");
    let doctor = house.lethe(&["doctor"]).stdout;
    let line = |text: &str, name: &str| text.lines().find(|l| l.trim_start().starts_with(name)).unwrap().to_string();
    assert!(
        line(&doctor, "svhn").contains("not here") && line(&doctor, "svhn").contains("lacks test_32x32.mat"),
        "{doctor}"
    );
    let small = line(&doctor, "cifar10");
    assert!(small.contains("sets/cifar10 (cifar-10-python.tar.gz has 2748 bytes, the published file 17"), "{doctor}");
    let list = house.lethe(&["list", "datasets"]).stdout;
    assert!(line(&list, "svhn").contains("[not here: ") && !line(&list, "cifar10").contains("[not here"), "{list}");
    let sets: serde_json::Value = serde_json::from_str(&house.lethe(&["data", "list", "--json"]).stdout).unwrap();
    let of = |name: &str| sets.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    assert_eq!((&of("cifar10")["here"], &of("svhn")["here"]), (&true.into(), &false.into()));
    assert_eq!(of("cinic10")["files"][0]["bytes"], 687_544_992);
    let plain = house.lethe(&["data", "list"]).stdout;
    assert!(plain.contains("lethe data fetch cinic10") && plain.contains("built in"), "{plain}");
    assert_eq!(house.lethe(&["data", "path"]).stdout.trim(), house.0.path("sets").display().to_string());
    assert_eq!(house.lethe(&["data", "path", "mnist"]).stdout.trim(), house.0.path("sets/mnist").display().to_string());
    assert_eq!(house.lethe(&["data", "path", "mnits"]).code, 2);
}

#[test]
fn verifying_compares_checksums_and_counts() {
    let house = House::with("cifar10", &["cifar-10-binary.tar.gz"]);
    let ended = house.lethe(&["data", "verify"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.stdout.contains("cifar-10-binary.tar.gz WRONG: it has "), "{}", ended.stdout);
    assert!(ended.stdout.contains("bytes, the published file 170052171"), "{}", ended.stdout);
    let ended = house.lethe(&["data", "verify", "svhn"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("lethe data fetch svhn"), "{}", ended.stderr);
    let unpacked = House::new();
    unpack("cinic10/CINIC-10.tar.gz", &unpacked.0.path("sets/cinic10"));
    let ended = unpacked.lethe(&["data", "verify", "cinic10"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.stderr.contains("20 images in the training part, 90000 were published"), "{}", ended.stderr);
    if Path::new("/usr/share/datasets/fashion-mnist").is_dir() {
        let ended = unpacked.lethe(&["data", "verify", "fashion-mnist"]);
        assert_eq!(
            (ended.code, ended.stdout.matches("the published content, packed").count()),
            (0, 4),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn folders_of_pictures_are_datasets_and_data_sets() {
    let house = House::new();
    unpack("cinic10/CINIC-10.tar.gz", &house.0.path("own"));
    house.passes(
        "let d = load_data(\"own\", #{ mean: [0.5, 0.5, 0.5], std: 0.25 });\n\
         assert(d.name == \"own\" && d.train.len == 20 && d.validation.len == 20 && d.test.len == 20);\n\
         assert(d.class_names[3] == \"cat\" && d.std == [0.25] && d.shape == [3, 32, 32]);\n\
         let c = dataset_like();\n\
         fn dataset_like() { load_dataset(\"own/train\") }\n\
         assert(c.len == 20 && c.x.shape == [20, 3, 32, 32]);\n\
         assert_close(d.train.x * 0.25 + 0.5, c.x, 1e-5);\n\
         let grey = load_dataset(\"own/train\", #{ grey: true, size: [16, 8] });\n\
         assert(grey.shape == [1, 16, 8]);\n\
         convnet(load_data(\"own\", #{ size: 16 }), #{ width: 4 });",
    );
    assert!(!house.decoded().is_empty());
    std::fs::copy(set("pictures/rgb.jpg"), house.0.path("own/train/cat/odd.jpg")).unwrap();
    let ended = house.run("load_data(\"own\");");
    assert!(ended.stderr.contains("odd.jpg: 24 x 24 pixels, expected 32 x 32"), "{}", ended.stderr);
    assert!(ended.stderr.contains("`size` resizes them"), "{}", ended.stderr);
    house.passes("assert(load_data(\"own\", #{ size: 32 }).train.len == 21);");
    std::fs::remove_dir_all(house.0.path("own/valid")).unwrap();
    house.passes(
        "let d = load_data(\"own\", #{ size: 32, validation: 0.5, seed: 3 });\n\
         assert(d.validation.len == 10 && d.train.len == 11);",
    );
    std::fs::rename(house.0.path("own/test/cat"), house.0.path("own/test/kat")).unwrap();
    let ended = house.run("load_data(\"own\");");
    assert!(ended.stderr.contains("its folder \"kat\" is none of the classes"), "{}", ended.stderr);
    assert!(ended.stderr.contains("did you mean \"cat\"?"), "{}", ended.stderr);
    let ended = house.run("load_data(\"own/train\");");
    assert!(ended.stderr.contains("has no folder `train`"), "{}", ended.stderr);
    let ended = house.run("load_dataset(\"own/train\", #{ size: \"big\" });");
    assert!(ended.stderr.contains("`size` must be an integer or [rows, columns]"), "{}", ended.stderr);
}

#[test]
fn npz_files_are_datasets() {
    let house = House::new();
    for name in ["own.npz", "short.npz", "without.npz"] {
        std::fs::copy(set("npz").join(name), house.0.path(name)).unwrap();
    }
    house.passes(
        "let d = load_dataset(\"own.npz\");\n\
         assert(d.len == 6 && d.shape == [1, 4, 4] && d.labels == [0, 1, 2, 0, 1, 2]);\n\
         assert_close(d.x[1][0][2][3], tensor((((31 + 6 + 15) / 255.0) - 0.5) / 0.25), 1e-6);\n\
         assert(load_dataset(\"short.npz\").labels == d.labels);",
    );
    let ended = house.run("load_dataset(\"without.npz\");");
    assert!(ended.stderr.contains("has no tensor `images`"), "{}", ended.stderr);
    let ended = house.run("load_dataset(\"own.npz\", #{ size: 3 });");
    assert!(
        ended.stderr.contains("unknown option `size`") || ended.stderr.contains("takes no options"),
        "{}",
        ended.stderr
    );
}
