//! Fetching a data set: which files, from which servers, to where; and checking those that are here.

use crate::data::catalog::checksum::md5_of;
use crate::data::catalog::download::Patience;
use crate::data::catalog::known_datasets::{File, Known};
use crate::data::catalog::local_files::{Found, State, megabytes};
use crate::data::catalog::{checksum, decode, download, known_datasets, local_files};
use crate::data::load;
use crate::runtime::hex::hex;
use crate::runtime::{Error, Result, Run, user_dirs};
use flate2::bufread::MultiGzDecoder;
use md5::{Digest, Md5};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// What became of a file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It was there, with the published checksum.
    Present(PathBuf),
    /// It came.
    New(PathBuf),
}

/// What is known of a file that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its checksum is the published one.
    Sound,
    /// Its content has the published checksum; it was packed by someone else.
    Repacked,
    /// There is no published checksum to compare with.
    Unknown,
    /// It is not what was published, in words.
    Wrong(String),
}

/// The addresses of a file: those given, else those of the configuration and then the published ones. An address that ends
/// in `/` is a folder; another is the file itself where the data set has only one, else a folder as well.
///
/// # Errors
/// A configuration file with mirrors of unknown data sets.
pub fn addresses(known: &Known, file: &File, given: &[String]) -> Result<Vec<String>> {
    let mut bases = given.to_vec();
    if bases.is_empty() {
        for (name, urls) in user_dirs::mirrors()? {
            known_datasets::find(&name)
                .ok_or_else(|| load::unknown(&name).note("named in `mirrors` of config.toml"))?;
            if name == known.name {
                bases.extend(urls);
            }
        }
        bases.extend(known.urls.iter().map(ToString::to_string));
    }
    let alone = known.forms.first().is_some_and(|form| form.files.len() == 1);
    let address = |base: &String| match base.ends_with('/') {
        true => format!("{base}{}", file.name),
        false if alone => base.clone(),
        false => format!("{base}/{}", file.name),
    };
    Ok(bases.iter().map(address).collect())
}

/// Fetches what is missing of a data set's first form to `folder`; files with the published checksum stay.
///
/// # Errors
/// No server has a file: with what each said, and which file to put where. Ctrl-C keeps what has come.
pub fn fetch(known: &Known, folder: &Path, given: &[String], patience: Patience, run: &Run) -> Result<Vec<Fetched>> {
    let files = known.forms.first().map_or(&[][..], |form| form.files);
    files.iter().map(|file| one(known, file, folder, given, patience, run)).collect()
}

fn one(known: &Known, file: &File, folder: &Path, given: &[String], patience: Patience, run: &Run) -> Result<Fetched> {
    let place = folder.join(file.name);
    if place.exists() && matches!(verdict(&place, file)?, Verdict::Sound | Verdict::Repacked) {
        return Ok(Fetched::Present(place));
    }
    let mut said = vec![];
    for url in addresses(known, file, given)? {
        match download::fetch(&url, file, &place, patience, run.progress()) {
            Ok(()) => return Ok(Fetched::New(place)),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(problem) => said.push(problem),
        }
    }
    let size = file.bytes.map(|bytes| format!(" ({}", megabytes(bytes))).unwrap_or_default();
    let md5 = file.md5.map(|md5| format!(", MD5 {md5})")).unwrap_or_default();
    let message = format!("{} of {} could not be fetched", file.name, known.name);
    let advice = format!(
        "without a network, put {}{size}{md5} into {}; --url names another server",
        file.name,
        folder.display()
    );
    Err(said.iter().fold(Error::new("fetch", message), |error, one| error.note(one.to_string())).hint(advice))
}

/// Where a data set is already, in a folder other than the one `fetch` fills.
///
/// # Errors
/// A configuration file that cannot be read.
pub fn elsewhere(known: &'static Known) -> Result<Option<PathBuf>> {
    let home = local_files::home(known)?;
    Ok(match local_files::state(known)? {
        State::Complete(found) if found.folder != home => Some(found.folder),
        _ => None,
    })
}

/// Compares a file with what was published.
///
/// # Errors
/// A file that cannot be read.
pub fn verdict(path: &Path, file: &File) -> Result<Verdict> {
    let Some(md5) = file.md5 else { return Ok(Verdict::Unknown) };
    let ours = md5_of(path)?;
    if ours == md5 {
        return Ok(Verdict::Sound);
    }
    if let Some(content) = file.content_md5 {
        let plain = path.extension().is_none_or(|extension| extension != "gz");
        if (plain && ours == content) || (!plain && inflated_md5(path).is_ok_and(|md5| md5 == content)) {
            return Ok(Verdict::Repacked);
        }
    }
    let length = path.metadata().map_or(0, |about| about.len());
    Ok(Verdict::Wrong(match file.bytes.filter(|bytes| *bytes != length) {
        Some(bytes) => format!("has {length} bytes, the published file {bytes}"),
        None => format!("has the MD5 checksum {ours}, the published file {md5}"),
    }))
}

/// The MD5 checksum of what a gzipped file inflates to.
fn inflated_md5(path: &Path) -> Result<String> {
    let file = std::fs::File::open(path).map_err(|error| Error::file("verify", path, error))?;
    let mut hasher = Md5::new();
    checksum::feed(path, MultiGzDecoder::new(BufReader::new(file)), &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// The files of a data set that is here, with what is known of each; where a checksum cannot tell, everything is decoded and
/// counted.
///
/// # Errors
/// Files that cannot be read or decoded, or hold another number of images.
pub fn verify(known: &Known, found: &Found, run: &Run) -> Result<Vec<(PathBuf, Verdict)>> {
    let mut verdicts = vec![];
    for (path, file) in found.files.iter().zip(found.form.files) {
        verdicts.push((path.clone(), if path.is_dir() { Verdict::Unknown } else { verdict(path, file)? }));
    }
    if verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Unknown)
        && !verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Wrong(_)))
    {
        for (part, (name, expected)) in
            decode::decode(known, found, run)?.iter().zip(["training", "test", "validation"].iter().zip(known.counts))
        {
            if part.len() != expected {
                let message = format!("{} images in the {name} part, {expected} were published", part.len());
                return Err(Error::file("verify", &found.folder, message));
            }
        }
    }
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folders_or_the_only_file() {
        let (many, single) = (known_datasets::find("svhn").unwrap(), known_datasets::find("cinic10").unwrap());
        let of = |known: &'static Known, url: &str| {
            addresses(known, &known.forms[0].files[0], &[url.to_string()]).unwrap().remove(0)
        };
        assert_eq!(of(many, "http://a/b"), "http://a/b/train_32x32.mat");
        assert_eq!(of(many, "http://a/b/"), "http://a/b/train_32x32.mat");
        assert_eq!(of(single, "http://a/bitstreams/17/download"), "http://a/bitstreams/17/download");
        assert_eq!(of(single, "http://a/"), "http://a/CINIC-10.tar.gz");
    }

    #[test]
    fn a_file_packed_anew_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gz");
        let mut zip = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::none());
        std::io::Write::write_all(&mut zip, b"abc").unwrap();
        zip.finish().unwrap();
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        let file = File { name: "x.gz", bytes: Some(9), md5: Some("0"), content_md5: Some(md5) };
        assert_eq!(verdict(&path, &file).unwrap(), Verdict::Repacked);
        assert!(
            matches!(verdict(&path, &File { content_md5: None, ..file }).unwrap(), Verdict::Wrong(text) if text.contains("bytes, the published file 9"))
        );
        let plain = folder.path().join("x");
        std::fs::write(&plain, b"abc").unwrap();
        assert_eq!(verdict(&plain, &file).unwrap(), Verdict::Repacked);
        assert_eq!(verdict(&plain, &File { md5: Some(md5), ..file }).unwrap(), Verdict::Sound);
        assert_eq!(verdict(&plain, &File { md5: None, ..file }).unwrap(), Verdict::Unknown);
    }
}
