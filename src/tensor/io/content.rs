//! What a file is by its content, whatever its name says.

use crate::runtime::Error;
use std::path::Path;

/// Bytes at the beginning that tell what a file is.
pub const ENOUGH: usize = 1024;

/// The magic number of `torch.save` before PyTorch 1.6, as the pickle it begins with.
const OLD_TORCH: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Beginnings of files that hold no tensors to be read here: what they are, and what to do.
const KNOWN: [(&[u8], &str, &str); 15] = [
    (b"\x1f\x8b", "compressed with gzip", "unpack it first: gunzip, or tar -xzf for an archive"),
    (b"BZh", "compressed with bzip2", "unpack it first: bunzip2, or tar -xjf for an archive"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it first: unxz, or tar -xJf for an archive"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first: unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "an archive of 7-Zip", "unpack it first"),
    (b"Rar!", "an archive of RAR", "unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and MATLAB write them", "write its arrays as .npz or .safetensors"),
    (b"GGUF", "a GGUF file of a language model", "its weights are quantised: use the original safetensors"),
    (b"%PDF", "a PDF", "weights are in files of torch.save or safetensors"),
    (b"T7\0\0", "a file of Lua Torch", "only PyTorch's files are read"),
    (
        b"version https://git-lfs.github.com",
        "a pointer of Git LFS, not the file itself",
        "fetch the file: git lfs pull",
    ),
    (b"ARROW1", "an Arrow file", "write its columns as .npz or .safetensors"),
    (b"PAR1", "a Parquet file", "write its columns as .npz or .safetensors"),
    (b"\x00asm", "a program (WebAssembly)", "weights are in files of torch.save or safetensors"),
    (b"\x7fELF", "a program", "weights are in files of torch.save or safetensors"),
];

/// Beginnings of pictures.
const PICTURES: [(&[u8], &str); 6] = [
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"II*\0", "a picture (TIFF)"),
    (b"MM\0*", "a picture (TIFF)"),
    (b"BM", "a picture (BMP)"),
];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A zip archive: of `torch.save`, of NumPy, or another.
    Zip,
    /// `torch.save` before PyTorch 1.6.
    OldTorch,
    Safetensors,
    Npy,
    /// Images or labels of MNIST's kind.
    Idx,
    Picture(&'static str),
    /// A pickle of Python, not of `torch.save`.
    Pickle,
    Matlab,
    /// Something that holds no tensors to be read here: what it is, and what to do.
    Foreign(&'static str, &'static str),
    Unknown,
}

impl Content {
    /// The error of a file that is not of the kind a reader reads.
    pub fn refused(self, operation: &str, path: &Path) -> Error {
        let (what, hint) = match self {
            Content::Zip => {
                ("a zip archive, as torch.save and NumPy write them", "load_pth, load_npz or load(net, path) read it")
            }
            Content::OldTorch => ("a file of torch.save", "load_pth or load(net, path) reads it"),
            Content::Safetensors => ("a safetensors file", "load_safetensors, load_pth or load(net, path) reads it"),
            Content::Npy => ("one array of NumPy's, without a name", "load_npy reads it"),
            Content::Idx => ("an IDX file, as MNIST is published in", "load_dataset reads it"),
            Content::Picture(what) => (what, "weights are in files of torch.save or safetensors"),
            Content::Pickle => (
                "a pickle of Python, not a file of torch.save",
                "write its arrays with torch.save, save_file of safetensors, or numpy.savez",
            ),
            Content::Matlab => ("a MATLAB file", "write its arrays as .npz or .safetensors"),
            Content::Foreign(what, hint) => (what, hint),
            Content::Unknown => {
                ("no file of tensors that is known here", "weights are in files of torch.save or safetensors")
            }
        };
        Error::file(operation, path, format!("this is {what}")).hint(hint)
    }
}

/// What a file is that begins with these bytes and has so many.
pub fn of_bytes(bytes: &[u8], length: u64) -> Content {
    if length == 0 {
        return Content::Foreign("an empty file", "copy or download it again");
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Content::Zip;
    }
    if bytes.starts_with(OLD_TORCH) {
        return Content::OldTorch;
    }
    if bytes.starts_with(b"\x93NUMPY") {
        return Content::Npy;
    }
    let header = bytes.first_chunk::<8>().map(|first| u64::from_le_bytes(*first));
    if header.is_some_and(|header| header <= length - 8) && bytes.get(8) == Some(&b'{') {
        return Content::Safetensors;
    }
    if matches!(bytes, [0, 0, 8, 1 | 3 | 4, ..]) {
        return Content::Idx;
    }
    if bytes.starts_with(b"MATLAB ") {
        return Content::Matlab;
    }
    if let Some((_, what)) = PICTURES.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Content::Picture(what);
    }
    if let Some((_, what, hint)) = KNOWN.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return Content::Foreign(what, hint);
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Content::Foreign("a file of zeros", "copy or download it again");
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Content::Foreign(
            "a tar archive",
            "unpack it first: tar -xf; torch.save before version 0.1.10 also wrote such",
        );
    }
    if matches!(bytes, [0x80, 2..=5, ..]) {
        return Content::Pickle;
    }
    text(bytes)
}

/// What a text is.
fn text(bytes: &[u8]) -> Content {
    let text = String::from_utf8_lossy(bytes);
    let start = text.trim_start_matches('\u{feff}').trim_start().to_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") || start.starts_with("<head") {
        return Content::Foreign(
            "a web page, not the file itself",
            "the download went wrong, or needs a login: fetch the file again",
        );
    }
    if start.starts_with("<?xml") || start.starts_with("<error") {
        return Content::Foreign("an XML text, not the file itself", "the download went wrong: fetch the file again");
    }
    Content::Unknown
}

/// What a zip archive without the pickle of `torch.save` is, by the names of its entries.
pub fn of_archive<'n>(mut names: impl Iterator<Item = &'n str>) -> Content {
    let hint = "torch.save(net.state_dict(), path) writes a file that can be read";
    let Some(first) = names.next() else { return Content::Foreign("an empty zip archive", hint) };
    let of = |name: &str| match name {
        _ if name.ends_with(".npy") => {
            Some(Content::Foreign("an archive of NumPy's (.npz)", "load_npz or load(net, path) reads it"))
        }
        _ if name.ends_with("archive_format") || name.ends_with("serialized_exported_program.json") => {
            Some(Content::Foreign("an archive of torch.export", hint))
        }
        _ if name.ends_with(".pth")
            || name.ends_with(".pt")
            || name.ends_with(".safetensors")
            || name.ends_with(".pkl") =>
        {
            Some(Content::Foreign("a zip archive with files of weights", "unpack it first: unzip"))
        }
        "config.json" => Some(Content::Foreign("an archive of Keras", "write its arrays as .npz or .safetensors")),
        _ => None,
    };
    std::iter::once(first)
        .chain(names)
        .find_map(of)
        .unwrap_or(Content::Foreign("a zip archive without data.pkl, not torch's", hint))
}

/// The error of a file that could not be read: where it is of another kind, that.
pub fn explained(operation: &str, path: &Path, bytes: &[u8], own: Content, problem: impl std::fmt::Display) -> Error {
    match of_bytes(bytes.get(..ENOUGH).unwrap_or(bytes), bytes.len() as u64) {
        content if content == own || content == Content::Unknown => Error::file(operation, path, problem),
        content => content.refused(operation, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_tells_what_a_file_is() {
        let of = |bytes: &[u8]| of_bytes(bytes, bytes.len() as u64);
        assert_eq!(of(b"PK\x03\x04rest"), Content::Zip);
        assert_eq!(of(b"\x02\0\0\0\0\0\0\0{}"), Content::Safetensors);
        assert_eq!(of(b"\x93NUMPY\x01\x00"), Content::Npy);
        assert_eq!(of(b"\0\0\x08\x03\0\0\0\x01"), Content::Idx);
        assert_eq!(of(b"nonsense"), Content::Unknown);
        for (bytes, word) in [
            (&b""[..], "an empty file"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\n <!DOCTYPE html><p>", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
            (b"\x80\x04\x95abc", "a pickle of Python"),
            (&[0; 600], "zeros"),
        ] {
            let error = of(bytes).refused("load", Path::new("x.pth")).to_string();
            assert!(error.contains("x.pth: this is") && error.contains(word), "{error}");
        }
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(matches!(of(&tar), Content::Foreign("a tar archive", _)));
        assert!(matches!(of_archive(["a.npy"].into_iter()), Content::Foreign(what, _) if what.contains("NumPy")));
    }
}
