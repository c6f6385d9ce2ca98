//! The small data sets of tests/data/sets, which independent libraries wrote, are read as they were meant; damaged ones are
//! named.

use super::cifar::Kind;
use super::picture::Target;
use super::*;
use crate::runtime::Run;
use crate::runtime::run::Settings;
use proptest::prelude::*;
use std::path::PathBuf;

fn set(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sets").join(name)
}

/// What make.py puts into image `n`.
fn image(n: usize, [channels, height, width]: [usize; 3]) -> Vec<u8> {
    let pixel = |c, r, k| ((31 * n + 7 * c + 3 * r + 5 * k) % 256) as u8;
    let mut pixels = vec![];
    for c in 0..channels {
        for r in 0..height {
            pixels.extend((0..width).map(|k| pixel(c, r, k)));
        }
    }
    pixels
}

fn holds(part: &Decoded, first: usize, count: usize, label: impl Fn(usize) -> usize) {
    assert_eq!((part.len(), part.shape), (count, [3, 32, 32]));
    for place in 0..count {
        assert_eq!(usize::from(part.label(place)), label(first + place), "label {place}");
        assert!(part.image(place) == image(first + place, part.shape), "image {place}");
    }
}

/// The first bytes of a file, the same with one byte changed, and the like, with what reading them says.
fn damages(source: &Path, name: &str, read: impl Fn(&Path) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let sound = std::fs::read(source).unwrap();
    std::fs::write(&path, &sound).unwrap();
    read(&path).unwrap();
    for tenth in 0..10 {
        std::fs::write(&path, &sound[..sound.len() * tenth / 10]).unwrap();
        let error = read(&path).expect_err("a truncated file was accepted").to_string();
        assert!(error.contains(name), "{error}");
    }
    for place in (0..sound.len()).step_by(sound.len() / 40 + 1) {
        let mut changed = sound.clone();
        changed[place] ^= 0x55;
        std::fs::write(&path, &changed).unwrap();
        if let Err(error) = read(&path) {
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("no such file"));
}

#[test]
fn cifar_is_read_from_both_archives_and_from_the_folders_they_unpack_to() {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = |archive: &str| {
        let file = flate2::read::GzDecoder::new(std::fs::File::open(set(archive)).unwrap());
        tar::Archive::new(file).unpack(folder.path()).unwrap();
    };
    for (kind, name, step, classes) in [(Kind::Ten, "10", 3, 10), (Kind::Hundred, "100", 7, 100)] {
        let label = |n: usize| n * step % classes;
        let (binary, python) =
            (format!("cifar{name}/cifar-{name}-binary.tar.gz"), format!("cifar{name}/cifar-{name}-python.tar.gz"));
        unpacked(&binary);
        unpacked(&python);
        let py = if kind == Kind::Ten { "cifar-10-batches-py" } else { "cifar-100-python" };
        let bin = if kind == Kind::Ten { "cifar-10-batches-bin" } else { "cifar-100-binary" };
        for parts in [
            cifar::read(&set(&binary), kind).unwrap(),
            cifar::read(&folder.path().join(bin), kind).unwrap(),
            cifar_python::read(&set(&python), kind).unwrap(),
            cifar_python::read(&folder.path().join(py), kind).unwrap(),
        ] {
            holds(&parts[0], 0, 20, label);
            holds(&parts[1], 20, 6, label);
        }
    }
    let missing = folder.path().join("cifar-10-batches-bin/data_batch_3.bin");
    let bytes = std::fs::read(&missing).unwrap();
    std::fs::write(&missing, &bytes[..bytes.len() - 1]).unwrap();
    let error = cifar::read(missing.parent().unwrap(), Kind::Ten).unwrap_err().to_string();
    assert!(
        error.contains("data_batch_3.bin: truncated: 12291 bytes are no whole number of records of 3073"),
        "{error}"
    );
    std::fs::remove_file(&missing).unwrap();
    let error = cifar::read(missing.parent().unwrap(), Kind::Ten).unwrap_err().to_string();
    assert!(error.contains("data_batch_3.bin: no such file"), "{error}");
}

#[test]
fn damaged_cifar_archives_are_named() {
    damages(&set("cifar10/cifar-10-binary.tar.gz"), "c.tar.gz", |path| cifar::read(path, Kind::Ten).map(drop));
    damages(&set("cifar100/cifar-100-python.tar.gz"), "c.tar.gz", |path| {
        cifar_python::read(path, Kind::Hundred).map(drop)
    });
    let error = cifar::read(&set("cifar10/cifar-10-binary.tar.gz"), Kind::Hundred).unwrap_err().to_string();
    assert!(error.contains("the archive has no member train.bin"), "{error}");
    let error = cifar_python::read(&set("svhn/train_32x32.mat"), Kind::Ten).unwrap_err().to_string();
    assert!(error.contains("train_32x32.mat"), "{error}");
}

#[test]
fn a_changed_pixel_in_an_archive_is_noticed_by_its_checksum() {
    // Stored, not deflated: the stream stays sound, only the sum at its end tells.
    let mut tar = tar::Builder::new(vec![]);
    for (name, count) in [("train.bin", 2), ("test.bin", 1)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(count * 3074);
        header.set_cksum();
        tar.append_data(&mut header, name, std::io::repeat(7).take(count * 3074)).unwrap();
    }
    let mut zip = flate2::write::GzEncoder::new(vec![], flate2::Compression::none());
    std::io::Write::write_all(&mut zip, &tar.into_inner().unwrap()).unwrap();
    let mut bytes = zip.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.tar.gz");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(cifar::read(&path, Kind::Hundred).unwrap()[0].len(), 2);
    bytes[2000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(cifar::read(&path, Kind::Hundred).unwrap_err().to_string().contains("corrupt compressed stream"));
}

/// A gzipped tar archive of these entries: type, name, content. Long names stand as `Header::set_path` allows.
fn packed(entries: &[(tar::EntryType, &str, Vec<u8>)], path: &Path) {
    let zip = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(zip);
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_path(name).unwrap();
        header.set_cksum();
        tar.append(&header, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

#[test]
fn names_in_entries_of_their_own_are_read_up_to_a_sensible_length() {
    use tar::EntryType::{GNULongName, Regular, XHeader};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.tar.gz");
    let deep = format!("{}/test.bin", "deep".repeat(60));
    let pax = |key: &str, value: &str| {
        let rest = format!(" {key}={value}\n");
        let digits = (rest.len() + 3).to_string();
        format!("{digits}{rest}").into_bytes()
    };
    let seen = |entries: &[(tar::EntryType, &str, Vec<u8>)]| {
        packed(entries, &path);
        let mut names = vec![];
        members::walk(&path, |member, _| {
            names.push(member.to_path_buf());
            Ok(())
        })
        .map(|()| names)
        .map_err(|error| error.to_string())
    };
    let gnu = (GNULongName, "././@LongLink", [deep.as_bytes(), &[0]].concat());
    let file = |name| (Regular, name, vec![1]);
    assert_eq!(seen(&[gnu, file("cut"), file("b")]).unwrap(), [Path::new(&deep), Path::new("b")]);
    let long = (XHeader, "x", pax("path", &deep));
    assert_eq!(seen(&[long, file("cut"), file("b")]).unwrap(), [Path::new(&deep), Path::new("b")]);
    let times = (XHeader, "x", b"20 mtime=1234567890\n".to_vec());
    assert_eq!(seen(&[times, file("b")]).unwrap(), [Path::new("b")]);
    for kind in [GNULongName, XHeader] {
        let endless = (kind, "x", vec![b'a'; 10 << 20]);
        assert!(seen(&[endless, file("b")]).unwrap_err().contains("a name of a member is too long"));
    }
    assert!(seen(&[(XHeader, "x", pax("size", &"9".repeat(100))), file("b")]).unwrap_err().contains("more than 8 GiB"));
}

#[test]
fn a_small_archive_does_not_inflate_to_all_of_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.tar.gz");
    // Each of these bytes makes a list.
    packed(&[(tar::EntryType::Regular, "test_batch", [b"\x80\x02".to_vec(), vec![b']'; 100 << 20]].concat())], &path);
    let error = cifar_python::read(&path, Kind::Ten).unwrap_err().to_string();
    assert!(error.contains("test_batch: ") && error.contains("steps"), "{error}");
    packed(&[(tar::EntryType::Regular, "test/cat/1.png", vec![0; 1 << 20])], &path);
    let error = cinic::read_archive(&path, &Run::new(Settings::default())).unwrap_err().to_string();
    assert!(error.contains("test/cat/1.png: more than 65536 bytes are no picture of 32 x 32"), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_among_the_pictures_is_named_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("cat");
    std::fs::create_dir_all(&class).unwrap();
    std::fs::copy(set("pictures/rgb.png"), class.join("a.png")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(class.join("b.png")).status().unwrap().success());
    let target = Target { channels: 3, height: 12, width: 12, resize: false };
    let tree = class_folders::Tree::of(folder.path(), class_folders::Classes::Own).unwrap();
    let error = tree.decode(target, "own", &Run::new(Settings::default())).unwrap_err().to_string();
    assert!(error.contains("b.png: this is no file"), "{error}");
}

#[test]
fn labels_beyond_the_classes_and_members_twice_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, label) in [("train.bin", 100), ("test.bin", 1)] {
        let record: Vec<u8> = [0, label].into_iter().chain(std::iter::repeat_n(0, 3072)).collect();
        std::fs::write(folder.path().join(name), record).unwrap();
    }
    let error = cifar::read(folder.path(), Kind::Hundred).unwrap_err().to_string();
    assert!(error.contains("train.bin: label 100 of image 0 is outside 0..100"), "{error}");
    let mut tar = tar::Builder::new(vec![]);
    for name in ["a/test.bin", "b/test.bin"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_cksum();
        tar.append_data(&mut header, name, std::io::empty()).unwrap();
    }
    let path = folder.path().join("twice.tar");
    std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
    let error = members::each(&path, &["test.bin"], |_, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("member b/test.bin is there twice"), "{error}");
}

#[test]
fn a_batch_that_python_3_wrote_in_fortran_order_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in cifar_python::member_names(Kind::Ten) {
        std::fs::copy(set("cifar10/python3.pickle"), folder.path().join(name)).unwrap();
    }
    let parts = cifar_python::read(folder.path(), Kind::Ten).unwrap();
    holds(&parts[1], 0, 3, |n| n * 3);
}

#[test]
fn svhn_is_turned_upright_and_ten_is_zero() {
    let label = |n: usize| n % 10;
    holds(&svhn::read(&set("svhn/train_32x32.mat")).unwrap(), 0, 30, label);
    holds(&svhn::read(&set("svhn/test_32x32.mat")).unwrap(), 30, 12, label);
    damages(&set("svhn/test_32x32.mat"), "test.mat", |path| svhn::read(path).map(drop));
    let error = svhn::read(&set("matlab/types-plain.mat")).unwrap_err().to_string();
    assert!(error.contains("has no variable `X`"), "{error}");
}

#[test]
fn cinic_is_read_in_the_order_of_names_from_its_archive_and_its_folders() {
    let run = Run::new(Settings::default());
    let archive = set("cinic10/CINIC-10.tar.gz");
    let parts = cinic::read_archive(&archive, &run).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = flate2::read::GzDecoder::new(std::fs::File::open(&archive).unwrap());
    tar::Archive::new(file).unpack(folder.path()).unwrap();
    let unpacked = cinic::read_folder(folder.path(), &run).unwrap();
    // make.py numbers them in the order valid, test, train; classes backwards; the second name first.
    for (part, start) in [(0, 40), (1, 20), (2, 0)] {
        for read in [&parts[part], &unpacked[part]] {
            assert_eq!((read.len(), read.shape), (20, [3, 32, 32]));
            for place in 0..20 {
                let (class, second) = (place / 2, place % 2 == 1);
                let number = start + 2 * (9 - class) + usize::from(!second);
                assert_eq!(usize::from(read.label(place)), class);
                assert!(read.image(place) == image(number, read.shape), "part {part}, image {place}");
            }
        }
    }
    damages(&archive, "c.tar.gz", |path| cinic::read_archive(path, &run).map(drop));
    std::fs::write(folder.path().join("test/cat/broken.png"), b"\x89PNG\r\n\x1a\nand so on").unwrap();
    let error = cinic::read_folder(folder.path(), &run).unwrap_err().to_string();
    assert!(error.contains("test/cat/broken.png"), "{error}");
    std::fs::remove_dir_all(folder.path().join("test/cat")).unwrap();
    let error = cinic::read_folder(folder.path(), &run).unwrap_err().to_string();
    assert!(error.contains("has no folder for the class \"cat\""), "{error}");
}

#[test]
fn every_kind_of_png_becomes_the_colours_that_the_python_imaging_library_gives() {
    let expected = crate::tensor::io::npz::load_npz(set("pictures/expected.npz")).unwrap();
    for name in ["rgb.png", "rgba.png", "grey.png", "grey-alpha.png", "palette.png", "bits.png", "rgb.jpg", "grey.jpg"]
    {
        let bytes = std::fs::read(set("pictures").join(name)).unwrap();
        let (height, width) = picture::size(&bytes).unwrap();
        let whole = Target { channels: 3, height, width, resize: false };
        let targets = [
            ("rgb", whole),
            ("grey", Target { channels: 1, ..whole }),
            ("small", Target { channels: 3, height: 9, width: 7, resize: true }),
        ];
        for (what, target) in targets {
            let mut ours = vec![0; target.len()];
            target.decode(&bytes, &mut ours).unwrap();
            let (_, theirs) = expected.iter().find(|(key, _)| *key == format!("{name}_{what}")).unwrap();
            assert_eq!(theirs.size(), [target.channels, target.height, target.width].map(|n| n as i64));
            let mut other = vec![0_u8; theirs.numel()];
            let count = other.len();
            theirs.copy_data(&mut other, count);
            let worst = ours.iter().zip(&other).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            // Decoders of JPEG may round differently, and so may resizing.
            let allowed = if name.ends_with("jpg") { 3 } else { u8::from(what == "small") };
            assert!(worst <= allowed, "{name} {what}: {worst}");
        }
    }
}

#[test]
fn pictures_that_are_damaged_too_large_or_of_another_size_are_refused() {
    let sound = std::fs::read(set("pictures/rgb.png")).unwrap();
    let target = Target { channels: 3, height: 12, width: 12, resize: false };
    let mut out = vec![0; target.len()];
    for length in 0..sound.len() {
        assert!(target.decode(&sound[..length], &mut out).is_err(), "{length} bytes were accepted");
    }
    for place in 0..sound.len() {
        let mut changed = sound.clone();
        changed[place] ^= 0x55;
        let _ = target.decode(&changed, &mut out);
    }
    let other = Target { height: 13, ..target };
    assert_eq!(other.decode(&sound, &mut vec![0; other.len()]).unwrap_err(), "12 x 12 pixels, expected 13 x 12");
    assert!(target.decode(b"hello", &mut out).unwrap_err().starts_with("no picture by its content"));
    // A header that promises 50,000 x 50,000 pixels, with a right checksum.
    let mut huge = sound.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xC3, 0x50, 0, 0, 0xC3, 0x50]);
    let crc = crc32fast::hash(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = Target { resize: true, ..target }.decode(&huge, &mut out).unwrap_err();
    assert!(error.contains("50000 x 50000 pixels are too many") || error.to_lowercase().contains("limit"), "{error}");
}

proptest! {
    #[test]
    fn padding_surrounds_every_image_with_black(by in 0_usize..4, sides in (1_usize..4, 1_usize..6, 1_usize..6), count in 1_usize..4) {
        let shape = [sides.0, sides.1, sides.2];
        let images: Vec<u8> = (0..count * shape.iter().product::<usize>()).map(|place| 1 + (place % 255) as u8).collect();
        let plain = Decoded { shape, images, labels: vec![1; count], order: vec![] };
        let padded = plain.clone().padded(by);
        prop_assert_eq!(padded.shape, [shape[0], shape[1] + 2 * by, shape[2] + 2 * by]);
        let inside = |side: usize, place: usize| (by..by + side).contains(&place).then(|| place - by);
        for (place, pixel) in padded.images.iter().enumerate() {
            let (row, column) = (place / padded.shape[2] % padded.shape[1], place % padded.shape[2]);
            let plane = place / (padded.shape[1] * padded.shape[2]);
            let expected = inside(shape[1], row).zip(inside(shape[2], column));
            let expected = expected.map_or(0, |(row, column)| plain.images[(plane * shape[1] + row) * shape[2] + column]);
            prop_assert_eq!(*pixel, expected);
        }
    }
}
