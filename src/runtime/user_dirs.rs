//! Where files outside the project live: caches, settings, datasets.

use crate::runtime::{Error, Result, text};
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

/// What this machine remembers to save itself work, such as the digests of files; other machines must not share it.
/// `LETHE_STATE`, else the platform's folder for state.
pub fn state() -> PathBuf {
    folder("LETHE_STATE", |dirs| dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_path_buf())
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
    let read = |text: &str| folder_of(text, key);
    Ok(from_configuration(read)?.flatten().map(|path| config().join(path)))
}

/// The addresses in the table `mirrors` of the configuration file: the servers to fetch each data set from before the
/// published ones.
///
/// # Errors
/// A configuration file that cannot be read or has something else there.
pub fn mirrors() -> Result<Vec<(String, Vec<String>)>> {
    Ok(from_configuration(mirrors_of)?.unwrap_or_default())
}

/// What `read` takes from the text of the configuration file, where there is one.
fn from_configuration<T>(read: impl FnOnce(&str) -> std::result::Result<T, String>) -> Result<Option<T>> {
    let file = config().join("config.toml");
    let text = match std::fs::read(&file) {
        Ok(bytes) => text::decode(bytes).map_err(|why| Error::file("config", &file, why))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("config", &file, error)),
    };
    read(&text).map(Some).map_err(|why| Error::file("config", &file, why))
}

/// The table `mirrors`: an address or a list of them under each name.
fn mirrors_of(text: &str) -> std::result::Result<Vec<(String, Vec<String>)>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_string())?;
    let wrong = |what: &toml::Value| {
        format!("`mirrors` must hold addresses, e.g. cifar10 = \"https://server/folder/\", got {what}")
    };
    let Some(mirrors) = table.get("mirrors") else { return Ok(vec![]) };
    let mut all = vec![];
    for (name, value) in mirrors.as_table().ok_or_else(|| wrong(mirrors))? {
        let urls = match value {
            toml::Value::Array(several) => several.as_slice(),
            one => std::slice::from_ref(one),
        };
        let urls: Option<Vec<String>> = urls.iter().map(|url| url.as_str().map(String::from)).collect();
        all.push((name.clone(), urls.ok_or_else(|| wrong(value))?));
    }
    Ok(all)
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

    #[test]
    fn mirrors_are_one_address_or_several_for_each_name() {
        let text = "[mirrors]\nsvhn = \"http://a/\"\ncifar10 = [\"http://b/\", \"http://c/x\"]";
        let of = |name: &str, urls: &[&str]| (name.to_string(), urls.iter().map(ToString::to_string).collect());
        let mut read = mirrors_of(text).unwrap();
        read.sort();
        assert_eq!(read, [of("cifar10", &["http://b/", "http://c/x"]), of("svhn", &["http://a/"])]);
        assert!(mirrors_of("data = \"x\"").unwrap().is_empty());
        assert!(mirrors_of("mirrors = 3").unwrap_err().contains("must hold addresses"));
        assert!(mirrors_of("[mirrors]\nsvhn = [1]").unwrap_err().contains("must hold addresses"));
    }
}
