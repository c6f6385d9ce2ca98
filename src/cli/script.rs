//! A script as the command line names it: a file, or `-` for standard input.

use crate::runtime::{Error, Result, text};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The text of a script and the name errors give it.
pub struct Script {
    /// The path as given; `stdin` for standard input.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl Script {
    /// Reads a script; a first line `#!` is blanked, so that lines keep their numbers.
    ///
    /// # Errors
    /// A file that cannot be read, with the scripts of its folder that have a similar name.
    pub fn read(file: &Path) -> Result<Self> {
        let (name, text) = if file == Path::new("-") {
            let mut bytes = vec![];
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.map_err(|problem| Error::new("stdin", problem.to_string()))?;
            ("stdin".to_string(), bytes)
        } else {
            let bytes = std::fs::read(file).map_err(|problem| absent(file, &problem))?;
            (file.display().to_string(), bytes)
        };
        let text = text::decode(text).map_err(|problem| Error::new("", format!("{name}: {problem}")))?;
        let text = match text.strip_prefix("#!") {
            Some(rest) => rest.find('\n').and_then(|end| rest.get(end..)).unwrap_or_default().to_string(),
            None => text,
        };
        Ok(Self { name, text })
    }

    /// The name without folder and extension, for the run folder.
    pub fn stem(&self) -> String {
        Path::new(&self.name).file_stem().map_or_else(|| "script".into(), |stem| stem.to_string_lossy().into_owned())
    }

    /// The folder it stands in.
    pub fn folder(&self) -> PathBuf {
        Path::new(&self.name).parent().map(Path::to_path_buf).unwrap_or_default()
    }
}

/// The error for a file that cannot be read.
fn absent(file: &Path, problem: &std::io::Error) -> Error {
    let reason = match problem.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::IsADirectory => "this is a folder".into(),
        _ => problem.to_string(),
    };
    let error = Error::new("", format!("cannot read {}: {reason}", file.display()));
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let names = entries.filter(|path| path.extension().is_some_and(|e| e == "rhai"));
    let names: Vec<String> = names.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    let asked = file.file_name().unwrap_or_default().to_string_lossy();
    match crate::runtime::options::nearest(&asked, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {}?", folder.join(near).display())),
        None => error,
    }
}
