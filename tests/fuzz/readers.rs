//! The readers of files that others made. A new one is one line of the table.

use super::mutate::{Packing, mutated};
use super::{Feed, Target};
use lethe::data::formats::{cifar, cifar_python, idx, matlab, picture, svhn};
use lethe::host::Host;
use lethe::runtime::run::Settings;
use std::path::Path;

/// Where a reader finds its input, in the target's own folder.
const FILE: &str = "input";

/// What a reader is.
enum Reader {
    /// Reads the file; how it ends does not matter as long as it ends.
    File(fn(&Path)),
    /// A script that reads `input`, which is there under this name.
    Script(&'static str, &'static str),
}

use Reader::{File, Script};

/// Name, seeds below `tests`, packing, reader.
type Line = (&'static str, &'static [&'static str], Packing, Reader);

macro_rules! table {
    ($($name:literal, $seeds:expr, $packing:ident, $reader:expr;)*) => {
        pub const NAMES: &[&str] = &[$($name),*];
        const LINES: &[Line] = &[$(($name, &$seeds, Packing::$packing, $reader)),*];
    };
}

table! {
    "npy", ["fuzz/seeds/npy"], Plain, File(|file| drop(lethe::tensor::io::npy::load_npy(file)));
    "npz", ["data/sets/npz", "fuzz/seeds/npz"], Zip, File(|file| drop(lethe::tensor::io::npz::load_npz(file)));
    "safetensors", ["fuzz/seeds/safetensors"], Plain, File(|file| drop(lethe::tensor::io::safetensors_file::load_safetensors(file)));
    "pth", ["data/pth"], Zip, Script("input.pth", "load_pth(\"input.pth\");");
    "idx", ["fuzz/seeds/idx"], Plain, File(|file| { let _ = (idx::read(file, 3), idx::read(file, 1)); });
    "cifar-binary", ["fuzz/seeds/cifar"], Plain, File(|file| inside(file, "data_batch_1.bin", |folder| {
        drop(cifar::read(folder, cifar::Kind::Ten));
    }));
    "cifar-python", ["data/sets/cifar10/python3.pickle"], Plain, File(|file| inside(file, "data_batch_1", |folder| {
        drop(cifar_python::read(folder, cifar::Kind::Ten));
    }));
    "mat", ["data/sets/matlab"], Plain, File(|file| { let _ = (matlab::read(file, &["X", "y"]), svhn::read(file)); });
    "png", ["data/sets/pictures/kinds/*.png"], Png, File(decode);
    "jpeg", ["data/sets/pictures/kinds/*.jpg"], Plain, File(decode);
    "picture", ["data/sets/pictures/kinds"], Plain, File(decode);
    "results", ["fuzz/seeds/results"], Plain, File(|file| drop(lethe::report::runs::results::read(file)));
    "config", ["fuzz/seeds/config"], Plain, File(|file| configured(file, || {
        let _ = (lethe::runtime::user_dirs::mirrors(), lethe::runtime::user_dirs::cache(), lethe::runtime::user_dirs::data());
    }));
    "split", ["fuzz/seeds/split"], Plain,
        Script("input.json", "let d = dataset(\"digits\"); load_split(convnet(d, #{ width: 1, depth: 1 }), d, \"input.json\");");
    "git-index", ["fuzz/seeds/git-index"], Plain, File(|file| repository(file, "index"));
    "git-refs", ["fuzz/seeds/git-refs"], Plain, File(|file| {
        repository(file, "packed-refs");
        repository(file, "HEAD");
    });
    "module", ["fuzz/seeds/module"], Plain, Script("input.rhai", "import \"input\" as module;");
}

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    let (name, seeds, packing, reader) = LINES.iter().find(|line| line.0 == name)?;
    let seeds: Vec<_> = seeds.iter().flat_map(|place| contents(place)).collect();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    Some(Target {
        name,
        draw: Box::new(move |random| mutated(&seeds, *packing, random)),
        feed: match reader {
            File(read) => Box::new(move |bytes| {
                std::fs::write(FILE, bytes).expect("the input");
                read(Path::new(FILE));
                Ok(())
            }),
            Script(file, text) => script(file, text),
        },
    })
}

/// The files of a folder, those of a pattern `*.png` in it, or one file.
fn contents(place: &str) -> Vec<Vec<u8>> {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(place);
    if whole.is_file() {
        return vec![std::fs::read(whole).expect("a seed")];
    }
    let (folder, ending) = match place.split_once("/*") {
        Some((folder, ending)) => (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder), ending),
        None => (whole, ""),
    };
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|problem| panic!("{}: {problem}", folder.display()));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a seed")).collect()
}

/// Runs a script that reads the input; its error must be in words.
fn script(file: &'static str, text: &'static str) -> Feed {
    let host = Host::new(Settings::default());
    Box::new(move |bytes| {
        std::fs::write(file, bytes).expect("the input");
        lethe::runtime::imports::forget(&host.run);
        super::calls::judged(&host, text)
    })
}

fn inside(file: &Path, name: &str, read: impl Fn(&Path)) {
    std::fs::create_dir_all("folder").expect("a folder");
    std::fs::copy(file, Path::new("folder").join(name)).expect("a copy");
    read(Path::new("folder"));
}

fn configured(file: &Path, read: impl Fn()) {
    let folder = std::env::var_os("LETHE_CONFIG").expect("set by the driver");
    std::fs::copy(file, Path::new(&folder).join("config.toml")).expect("a copy");
    read();
}

fn decode(file: &Path) {
    let bytes = std::fs::read(file).expect("the input");
    for channels in [1, 3] {
        let target = picture::Target { channels, height: 8, width: 8, resize: true };
        let mut out = vec![0; target.len()];
        let _ = (picture::size(&bytes), target.decode(&bytes, &mut out));
    }
}

/// Puts the input into a repository, as a file of git's own, and asks for the commit.
fn repository(file: &Path, name: &str) {
    let git = Path::new("repository/.git");
    std::fs::create_dir_all(git.join("objects")).expect("a folder");
    std::fs::create_dir_all(git.join("refs/heads")).expect("a folder");
    std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").expect("a file");
    std::fs::write(git.join("refs/heads/main"), "0123456789abcdef0123456789abcdef01234567\n").expect("a file");
    std::fs::copy(file, git.join(name)).expect("a copy");
    if name == "packed-refs" {
        std::fs::remove_file(git.join("refs/heads/main")).expect("it was there");
    }
    if let Some(commit) = lethe::report::commit::Commit::of(Path::new("repository")) {
        let _ = commit.describe(&[("repository/a.rhai".into(), "1".into())]);
    }
}
