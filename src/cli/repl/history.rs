//! Where the inputs of earlier sessions are kept.

use crate::runtime::output;
use directories::ProjectDirs;
use rustyline::error::ReadlineError;
use std::path::{Path, PathBuf};

/// The history file: `LETHE_HISTORY` (empty for none), else one in the platform's folder for state.
pub fn file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LETHE_HISTORY") {
        return Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty());
    }
    let folders = ProjectDirs::from("", "", "lethe")?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_local_dir()).join("history"))
}

/// Makes a history readable that another program left bytes in that are not UTF-8: the editor would take no line behind them.
pub fn repair(file: &Path) -> Result<(), ReadlineError> {
    let bytes = std::fs::read(file)?;
    if std::str::from_utf8(&bytes).is_ok() {
        return Ok(());
    }
    let wrong = bytes.split(|byte| *byte == b'\n').filter(|line| std::str::from_utf8(line).is_err()).count();
    // A link stays one, and what was for nobody else's eyes stays so.
    let file = file.canonicalize()?;
    let fresh = file.with_extension("repaired");
    std::fs::copy(&file, &fresh)?;
    std::fs::write(&fresh, String::from_utf8_lossy(&bytes).as_bytes())?;
    std::fs::rename(&fresh, &file)?;
    let lines = if wrong == 1 { "1 line that is".to_string() } else { format!("{wrong} lines that are") };
    output::tell(&format!(
        "warning: {}: {lines} not UTF-8, with \u{fffd} in place of the foreign bytes",
        file.display()
    ));
    Ok(())
}
