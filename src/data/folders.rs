//! Where files outside the project live: caches, settings, datasets.

use crate::runtime::{Error, Result};
use directories::ProjectDirs;
use std::path::PathBuf;

/// The folder an environment variable names, or the platform's, or one below the temporary folder.
fn folder(variable: &str, platform: impl Fn(&ProjectDirs) -> PathBuf) -> PathBuf {
    if let Some(path) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        return PathBuf::from(path);
    }
    ProjectDirs::from("", "", "lethe").map_or_else(|| std::env::temp_dir().join("lethe"), |dirs| platform(&dirs))
}

/// Things that can be computed again: trained originals, retrained references. `LETHE_CACHE`, else the platform's cache.
pub fn cache() -> PathBuf {
    folder("LETHE_CACHE", |dirs| dirs.cache_dir().to_path_buf())
}

/// Settings (`config.toml`). `LETHE_CONFIG`, else the platform's configuration folder.
pub fn config() -> PathBuf {
    folder("LETHE_CONFIG", |dirs| dirs.config_dir().to_path_buf())
}

/// Datasets, one folder each. `LETHE_DATA`, else `data = "FOLDER"` in the configuration file, else the platform's data
/// folder.
///
/// # Errors
/// A configuration file that cannot be read.
pub fn data() -> Result<PathBuf> {
    if std::env::var_os("LETHE_DATA").is_none_or(|value| value.is_empty())
        && let Some(path) = configured("data")?
    {
        return Ok(path);
    }
    Ok(folder("LETHE_DATA", |dirs| dirs.data_dir().to_path_buf()))
}

/// A folder named in the configuration file, relative to that file.
fn configured(key: &str) -> Result<Option<PathBuf>> {
    let file = config().join("config.toml");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("config", &file, error)),
    };
    folder_of(&text, key)
        .map(|path| path.map(|path| config().join(path)))
        .map_err(|why| Error::file("config", &file, why))
}

/// The path under `key` in the text of a configuration file.
fn folder_of(text: &str, key: &str) -> std::result::Result<Option<PathBuf>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_string())?;
    match table.get(key) {
        None => Ok(None),
        Some(toml::Value::String(path)) if !path.is_empty() => Ok(Some(PathBuf::from(path))),
        Some(other) => Err(format!("`{key}` must be the path of a folder in quotes, got {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_a_data_folder_or_says_what_is_wrong() {
        assert_eq!(folder_of("data = \"/srv/sets\"", "data").unwrap(), Some(PathBuf::from("/srv/sets")));
        assert_eq!(folder_of("other = 1", "data").unwrap(), None);
        assert!(folder_of("data = 3", "data").unwrap_err().contains("must be the path"));
        assert!(folder_of("data = ", "data").is_err());
    }
}
