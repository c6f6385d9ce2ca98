//! The data sets Lethe knows: what they hold, which files they come in, where those are to be had, how they are normalised.
//!
//! Sizes, checksums and constants are the published ones; means and standard deviations are those customary in the
//! unlearning literature, also where (CIFAR-10) they are not quite those of the pixels.

use crate::data::formats::cifar;

/// How the files of a form are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Four IDX files, plain or gzipped.
    Idx,
    /// Records of bytes, in an archive or a folder.
    CifarBinary(cifar::Kind),
    /// Pickles, in an archive or a folder.
    CifarPython(cifar::Kind),
    /// Two MAT-files.
    Svhn,
    /// `CINIC-10.tar.gz`.
    CinicArchive,
    /// Folders of PNG files.
    CinicFolders,
}

/// A file of a data set, or a folder that holds one of its parts.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Its path below the folder of the data set.
    pub name: &'static str,
    /// Its published size, where it is known.
    pub bytes: Option<u64>,
    /// Its published MD5 checksum, in hex digits.
    pub md5: Option<&'static str>,
    /// The MD5 checksum of what it inflates to, where recompressed copies are about.
    pub content_md5: Option<&'static str>,
}

/// One of the forms that a data set comes in.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// How it is read.
    pub reader: Reader,
    /// All of these have to be there.
    pub files: &'static [File],
}

/// A data set.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// What `dataset(name)` takes.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// The names of the classes, in the order of the labels.
    pub classes: &'static [&'static str],
    /// Mean of each channel, on the scale 0..1.
    pub mean: &'static [f64],
    /// Standard deviation of each channel.
    pub std: &'static [f64],
    /// Images to train on, to test on, and to validate with (0: there is no such part).
    pub counts: [usize; 3],
    /// How many training images of each class are kept unless all are asked for.
    pub balanced: Option<usize>,
    /// The forms it is read from, the one that `lethe data fetch` gets first.
    pub forms: &'static [Form],
    /// Folders below the data folder where torchvision puts the files.
    pub places: &'static [&'static str],
    /// Addresses of folders that the files of the first form are in.
    pub urls: &'static [&'static str],
}

/// A file with published size and checksum.
const fn file(name: &'static str, bytes: u64, md5: &'static str) -> File {
    File { name, bytes: Some(bytes), md5: Some(md5), content_md5: None }
}

/// A gzipped file, by the checksums of the original and of its content.
const fn gz(name: &'static str, bytes: u64, md5: &'static str, content: &'static str) -> File {
    File { name, bytes: Some(bytes), md5: Some(md5), content_md5: Some(content) }
}

/// A file or folder of which only the name is published.
const fn bare(name: &'static str) -> File {
    File { name, bytes: None, md5: None, content_md5: None }
}

/// A file of the Python version of CIFAR-10.
const fn pickle(name: &'static str, md5: &'static str) -> File {
    File { name, bytes: None, md5: Some(md5), content_md5: None }
}

/// The folders of these classes in each part of CINIC-10.
macro_rules! class_folders {
    ($($class:literal),*) => {
        &[$(bare(concat!("train/", $class)), bare(concat!("test/", $class)), bare(concat!("valid/", $class))),*]
    };
}

const TEN: &[&str] = &crate::data::formats::cinic::CLASSES;

#[rustfmt::skip]
const HUNDRED: &[&str] = &[
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl",
    "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair",
    "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin",
    "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp",
    "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse",
    "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose",
    "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar",
    "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train",
    "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];

const DIGITS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Every data set that comes in files.
pub const ALL: [Known; 6] = [CIFAR10, CIFAR100, SVHN, CINIC10, FASHION_MNIST, MNIST];

/// The data set of this name.
pub fn find(name: &str) -> Option<&'static Known> {
    const KNOWN: &[Known] = &ALL;
    KNOWN.iter().find(|known| known.name == name)
}

const CIFAR10: Known = Known {
    name: "cifar10",
    summary: "photographs of animals and vehicles, 32 x 32 colour, 50,000 + 10,000, 10 classes",
    classes: TEN,
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2023, 0.1994, 0.2010],
    counts: [50_000, 10_000, 0],
    balanced: None,
    forms: &[
        Form {
            reader: Reader::CifarBinary(cifar::Kind::Ten),
            files: &[file("cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530")],
        },
        Form {
            reader: Reader::CifarPython(cifar::Kind::Ten),
            files: &[file("cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a")],
        },
        Form {
            reader: Reader::CifarBinary(cifar::Kind::Ten),
            files: &[
                bare("cifar-10-batches-bin/data_batch_1.bin"),
                bare("cifar-10-batches-bin/data_batch_2.bin"),
                bare("cifar-10-batches-bin/data_batch_3.bin"),
                bare("cifar-10-batches-bin/data_batch_4.bin"),
                bare("cifar-10-batches-bin/data_batch_5.bin"),
                bare("cifar-10-batches-bin/test_batch.bin"),
            ],
        },
        Form {
            reader: Reader::CifarPython(cifar::Kind::Ten),
            files: &[
                pickle("cifar-10-batches-py/data_batch_1", "c99cafc152244af753f735de768cd75f"),
                pickle("cifar-10-batches-py/data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
                pickle("cifar-10-batches-py/data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
                pickle("cifar-10-batches-py/data_batch_4", "634d18415352ddfa80567beed471001a"),
                pickle("cifar-10-batches-py/data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
                pickle("cifar-10-batches-py/test_batch", "40351d587109b95175f43aff81a1287e"),
            ],
        },
    ],
    places: &[""],
    urls: &["https://www.cs.toronto.edu/~kriz/"],
};

const CIFAR100: Known = Known {
    name: "cifar100",
    summary: "photographs of a hundred kinds of things, 32 x 32 colour, 50,000 + 10,000, 100 classes",
    classes: HUNDRED,
    mean: &[0.5071, 0.4866, 0.4409],
    std: &[0.2673, 0.2564, 0.2762],
    counts: [50_000, 10_000, 0],
    balanced: None,
    forms: &[
        Form {
            reader: Reader::CifarBinary(cifar::Kind::Hundred),
            files: &[file("cifar-100-binary.tar.gz", 168_513_733, "03b5dce01913d631647c71ecec9e9cb8")],
        },
        Form {
            reader: Reader::CifarPython(cifar::Kind::Hundred),
            files: &[file("cifar-100-python.tar.gz", 169_001_437, "eb9058c3a382ffc7106e4002c42a8d85")],
        },
        Form {
            reader: Reader::CifarBinary(cifar::Kind::Hundred),
            files: &[bare("cifar-100-binary/train.bin"), bare("cifar-100-binary/test.bin")],
        },
        Form {
            reader: Reader::CifarPython(cifar::Kind::Hundred),
            files: &[bare("cifar-100-python/train"), bare("cifar-100-python/test")],
        },
    ],
    places: &[""],
    urls: &["https://www.cs.toronto.edu/~kriz/"],
};

const SVHN: Known = Known {
    name: "svhn",
    summary: "house numbers, cropped digits, 32 x 32 colour, 73,257 + 26,032, 10 classes",
    classes: DIGITS,
    mean: &[0.4377, 0.4438, 0.4728],
    std: &[0.1980, 0.2010, 0.1970],
    counts: [73_257, 26_032, 0],
    balanced: Some(4500),
    forms: &[Form {
        reader: Reader::Svhn,
        files: &[
            file("train_32x32.mat", 182_040_794, "e26dedcc434d2e4c54c9b2d4a06d8373"),
            file("test_32x32.mat", 64_275_384, "eb5a983be6a315427106f1b164d9cef3"),
        ],
    }],
    places: &[""],
    urls: &["http://ufldl.stanford.edu/housenumbers/"],
};

const CINIC10: Known = Known {
    name: "cinic10",
    summary: "CIFAR-10 and ImageNet images, 32 x 32 colour, 90,000 + 90,000 + 90,000, 10 classes (CC BY 4.0)",
    classes: TEN,
    mean: &[0.478, 0.472, 0.430],
    std: &[0.242, 0.238, 0.258],
    counts: [90_000, 90_000, 90_000],
    balanced: None,
    forms: &[
        Form {
            reader: Reader::CinicArchive,
            files: &[file("CINIC-10.tar.gz", 687_544_992, "6ee4d0c996905fe93221de577967a372")],
        },
        Form {
            reader: Reader::CinicFolders,
            files: class_folders!(
                "airplane",
                "automobile",
                "bird",
                "cat",
                "deer",
                "dog",
                "frog",
                "horse",
                "ship",
                "truck"
            ),
        },
    ],
    places: &["CINIC-10", "cinic-10"],
    urls: &[
        "https://datashare.ed.ac.uk/bitstream/handle/10283/3192/",
        "https://datashare.is.ed.ac.uk/bitstream/handle/10283/3192/",
    ],
};

const FASHION_MNIST: Known = Known {
    name: "fashion-mnist",
    summary: "articles of clothing, 28 x 28 grey, 60,000 + 10,000, 10 classes",
    classes: &[
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    mean: &[0.2861],
    std: &[0.3530],
    counts: [60_000, 10_000, 0],
    balanced: None,
    forms: &[Form {
        reader: Reader::Idx,
        files: &[
            gz(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            ),
            gz(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "25c81989df183df01b3e8a0aad5dffbe",
                "9018921c3c673c538a1fc5bad174d6f9",
            ),
            gz(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "bef4ecab320f06d8554ea6380940ec79",
                "8181f5470baa50b63fa0f6fddb340f0a",
            ),
            gz(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "bb300cfdad3c16e7a12a480ee83cd310",
                "15d484375f8d13e6eb1aabb0c3f46965",
            ),
        ],
    }],
    places: &["FashionMNIST/raw", "FashionMNIST", "fashion_mnist"],
    urls: &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
};

const MNIST: Known = Known {
    name: "mnist",
    summary: "handwritten digits, 28 x 28 grey, 60,000 + 10,000, 10 classes",
    classes: DIGITS,
    mean: &[0.1307],
    std: &[0.3081],
    counts: [60_000, 10_000, 0],
    balanced: None,
    forms: &[Form {
        reader: Reader::Idx,
        files: &[
            gz(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "6bbc9ace898e44ae57da46a324031adb",
            ),
            gz(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "d53e105ee54ea40749a09fcbcd1e9432",
                "a25bea736e30d166cdddb491f175f624",
            ),
            gz(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "9fb629c4189551a2d022fa330f9573f3",
                "2646ac647ad5339dbf082846283269ea",
            ),
            gz(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "ec29112dd5afa0611ce80d1b7f02629c",
                "27ae3e4e09519cfbb04c329615203637",
            ),
        ],
    }],
    places: &["MNIST/raw", "MNIST", "mnist/MNIST/raw", "mnist/raw"],
    urls: &["https://ossci-datasets.s3.amazonaws.com/mnist/"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_whole() {
        for known in &ALL {
            assert!(!known.classes.is_empty() && known.mean.len() == known.std.len(), "{}", known.name);
            assert!(known.std.iter().all(|std| *std > 0.0));
            assert!(known.urls.iter().all(|url| url.ends_with('/')), "{}", known.name);
            let hex =
                |sum: &str| sum.len() == 32 && sum.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
            for file in known.forms.iter().flat_map(|form| form.files) {
                assert!(file.md5.is_none_or(hex) && file.content_md5.is_none_or(hex), "{}", file.name);
            }
            // What is fetched can be checked.
            assert!(
                known.forms[0].files.iter().all(|file| file.md5.is_some() && file.bytes.is_some()),
                "{}",
                known.name
            );
        }
        assert_eq!(find("cifar100").unwrap().classes.len(), 100);
        assert!(find("cifar11").is_none());
    }
}
