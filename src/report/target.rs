//! The files that one name stands for: where they go, and in which formats.

use crate::runtime::io_error::reason;
use crate::runtime::places::{Places, asked, to_write};
use crate::runtime::{Error, Result, Run};
use crate::tensor::io::safetensors_file::{create_folders, write_atomically};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A place for one file, or for several that differ in their extensions.
pub struct Target {
    run: Run,
    /// The path without its extension.
    stem: PathBuf,
    /// The kind that the extension asks for, and that extension as it was written.
    asked: Option<(&'static str, String)>,
}

impl Target {
    /// What a script's name of a file means to a writer of these kinds; its folder is made.
    ///
    /// # Errors
    /// The extension of another kind; a place that cannot be written to.
    pub fn of(run: &Run, operation: &str, name: &str, written: &[&'static str]) -> Result<Self> {
        let kind = asked(operation, Path::new(name), written)?;
        let path = to_write(run, operation, name)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Some(file) = folder.ancestors().find(|part| part.is_file()) {
            let message = format!("cannot write to {}: {} is a file, not a folder", path.display(), file.display());
            return Err(Error::new(operation, message).hint("choose a name without it"));
        }
        create_folders(folder).map_err(|error| Error::file(operation, folder, reason(&error)))?;
        // Small or large letters stay as they were given.
        let given = path.extension().map(|given| given.to_string_lossy().into_owned());
        let asked = kind.zip(given);
        let stem = if asked.is_some() { path.with_extension("") } else { path };
        Ok(Self { run: run.clone(), stem, asked })
    }

    /// The kind that was asked for, else this one.
    pub fn kind(&self, otherwise: &'static str) -> &'static str {
        self.asked.as_ref().map_or(otherwise, |(kind, _)| *kind)
    }

    /// The kind that was asked for, else these.
    pub fn kinds(&self, otherwise: &[&'static str]) -> Vec<&'static str> {
        self.asked.as_ref().map_or_else(|| otherwise.to_vec(), |(kind, _)| vec![*kind])
    }

    /// Whether the name has an extension that asks for a kind.
    pub fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Writes the file of a kind, whole or not at all; returns its path.
    ///
    /// # Errors
    /// When it cannot be written; what was there before stays.
    pub fn write(&self, kind: &str, bytes: &[u8]) -> Result<PathBuf> {
        let extension = self.asked.as_ref().map_or(kind, |(_, given)| given.as_str());
        // A dot in the name is no extension.
        let mut name = self.stem.clone().into_os_string();
        name.push(".");
        name.push(extension);
        let path = PathBuf::from(name);
        write_atomically(&path, |file| file.write_all(bytes))?;
        self.run.slot::<Places>().note(&path);
        Ok(path)
    }
}
