//! Small files do not become large in memory: views stay views, and what a file may take is limited. Peaks are those of child
//! processes, as the system counts them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Cursor, Write};
use std::path::Path;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// Reads a file in a child process: what it prints (how many tensors, what `then` makes of them) or its error, and its peak
/// in megabytes.
fn read(reader: &str, file: &Path, then: &str) -> (String, f64) {
    let script = file.with_extension("rhai");
    let text = format!(
        "fn peak() {{ for line in read_text(\"/proc/self/status\").split(\"\\n\") {{\n\
             if line.starts_with(\"VmHWM:\") {{ return line.split()[1]; }}\n\
         }} }}\n\
         try {{ let m = {reader}(\"{}\"); {then} }} catch (e) {{ print(`error: ${{e.message}}`); }}\n\
         print(`peak ${{peak()}}`);",
        file.display()
    );
    std::fs::write(&script, text).unwrap();
    let run = assert_cmd::Command::new(env!("CARGO_BIN_EXE_lethe"))
        .args(["run", "--quiet", "--device", "cpu", "--threads", "1"])
        .arg(&script)
        .output()
        .expect("lethe starts");
    let out = String::from_utf8_lossy(&run.stdout).into_owned();
    let (said, peak) =
        out.rsplit_once("peak ").unwrap_or_else(|| panic!("{out}{}", String::from_utf8_lossy(&run.stderr)));
    (said.trim().to_string(), peak.trim().parse::<f64>().unwrap() * 1024.0 / 1e6)
}

fn archive(entries: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(vec![]));
    for (name, content) in entries {
        writer.start_file(name.as_str(), SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A tensor in a state dict: its name, offset, shape and strides, all of the storage "0".
type View<'a> = (String, i64, &'a [i64], &'a [i64]);

/// A file as torch.save writes it, of views of one storage.
fn pth(kind: &str, storage: &[u8], count: i64, views: &[View<'_>]) -> Vec<u8> {
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let integer = |n: i64| [&b"\x8a\x08"[..], &n.to_le_bytes()].concat();
    let tuple =
        |numbers: &[i64]| [b"(".to_vec(), numbers.iter().flat_map(|n| integer(*n)).collect(), b"t".to_vec()].concat();
    let mut pickle = b"\x80\x02}(".to_vec();
    for (name, offset, size, stride) in views {
        pickle.extend(text(name));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend(
            [text("storage"), format!("ctorch\n{kind}\n").into_bytes(), text("0"), text("cpu"), integer(count)]
                .concat(),
        );
        pickle.extend([b"tQ".to_vec(), integer(*offset), tuple(size), tuple(stride), b"\x89}tR".to_vec()].concat());
    }
    pickle.extend(b"u.");
    let entries = [("a/data.pkl".to_string(), pickle), ("a/data/0".to_string(), storage.to_vec())];
    archive(&entries, CompressionMethod::Stored)
}

/// An array of NumPy's of this many zero bytes.
fn zeros(bytes: usize) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({bytes},), }}\n");
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    npy.resize(npy.len() + bytes, 0);
    npy
}

/// What a process takes that reads nothing, and a little more.
const SMALL: f64 = 400.0;

#[test]
fn two_thousand_views_of_four_megabytes_take_four_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.pth");
    let count = 1 << 20;
    let views: Vec<View<'_>> = (0..2000).map(|n| (format!("t{n}"), 0, &[1 << 20][..], &[1][..])).collect();
    std::fs::write(&path, pth("FloatStorage", &vec![0; 4 << 20], count, &views)).unwrap();
    let then = "m.t3.fill_(2); print(`${m.len()} ${m.t7[5].item()}`);";
    let (said, peak) = read("load_pth", &path, then);
    assert_eq!(said, "2000 2.0", "they share their storage");
    assert!(peak < SMALL, "{peak} MB");
    // Written out they would take 8 GB: whether there are as many or not, the process lives.
    let (said, _) = read("load_pth", &path, "print(m.values().map(|t| t.sum().item()).len());");
    assert_eq!(said, "2000");
}

#[test]
fn expanded_tensors_are_read_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("expanded.pth");
    let half = 0.5_f32.to_le_bytes();
    let of = |size: &[i64], stride: &[i64], offset: i64| {
        std::fs::write(&path, pth("FloatStorage", &half, 1, &[("t".into(), offset, size, stride)])).unwrap();
        read("load_pth", &path, "print(m.t.shape); if m.t.numel < 9 { print(m.t.to_array()); }")
    };
    assert_eq!(of(&[3], &[0], 0).0, "[3]\n[0.5, 0.5, 0.5]");
    assert_eq!(of(&[2, 0], &[1, 1], 1).0, "[2, 0]\n[[], []]");
    let (said, peak) = of(&[1_000_000_000_000], &[0], 0);
    assert!(said.contains("it would take more than") && peak < SMALL, "{said} {peak}");
    assert!(of(&[1 << 40, 1 << 40], &[0, 0], 0).0.contains("it would take more than"));
    for (size, stride, offset) in [(&[2][..], &[1][..], 0), (&[1], &[0], 1), (&[0], &[1], 2), (&[2], &[i64::MAX], 0)] {
        assert!(of(size, stride, offset).0.contains("reaches beyond its storage"), "{size:?} {stride:?} {offset}");
    }
    assert!(of(&[1], &[-1], 0).0.contains("none of torch's"));
    assert!(of(&[1; 65], &[1; 65], 0).0.contains("more than 64 dimensions"));
}

#[test]
fn repeated_names_and_booleans_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.pth");
    let one: View<'_> = ("t".into(), 0, &[1], &[1]);
    std::fs::write(&path, pth("ByteStorage", &[7], 1, &[one.clone(), one.clone()])).unwrap();
    assert!(read("load_pth", &path, "").0.contains("two tensors have the name \"t\""));
    std::fs::write(&path, pth("BoolStorage", &[7], 1, &[one])).unwrap();
    assert!(read("load_pth", &path, "").0.contains("a boolean is 7, neither 0 nor 1"));
}

#[test]
fn archives_inflate_to_a_limit_and_share_no_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.npz");
    let entries: Vec<_> = (0..40).map(|n| (format!("a{n}.npy"), zeros(32 << 20))).collect();
    let bytes = archive(&entries, CompressionMethod::Deflated);
    std::fs::write(&path, &bytes).unwrap();
    let (said, peak) = read("load_npz", &path, "print(m.len());");
    assert!(bytes.len() < 4 << 20 && said.contains("it would take more than"), "{said}");
    assert!(peak < 2000.0, "{peak} MB");
    // Every entry of the directory leads to the first one's bytes.
    let mut shared = archive(&entries[..2], CompressionMethod::Deflated);
    let place = shared.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    shared[place + 42..place + 46].copy_from_slice(&[0; 4]);
    std::fs::write(&path, &shared).unwrap();
    let (said, peak) = read("load_npz", &path, "print(m.len());");
    assert!(said.contains("its entries share bytes of the file") && peak < SMALL, "{said} {peak}");
}

#[test]
fn what_is_no_regular_file_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("endless");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let (said, peak) = read("read_text", &link, "print(m.len());");
    assert!(said.contains("this is a device") && peak < SMALL, "{said} {peak}");
}
