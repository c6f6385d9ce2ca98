//! Where the inputs of earlier sessions are kept.

use directories::ProjectDirs;
use std::path::PathBuf;

/// The history file: `LETHE_HISTORY` (empty for none), else one in the platform's folder for state.
pub fn file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LETHE_HISTORY") {
        return Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty());
    }
    let folders = ProjectDirs::from("", "", "lethe")?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_local_dir()).join("history"))
}
