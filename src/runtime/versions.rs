//! Versions of what a run stands on: for run folders and `lethe doctor`.

use super::cuda::libtorch_folder;
use serde_json::{Value, json};
use std::path::Path;

/// Our own version.
pub const LETHE: &str = env!("CARGO_PKG_VERSION");

/// The version of the script engine, pinned in Cargo.toml.
pub const RHAI: &str = "1.27.0";

/// The libtorch version that the tensor bindings are made for.
pub const LIBTORCH_EXPECTED: &str = "2.13.0";

/// The version of the libtorch in `folder`, such as `2.13.0+cu130`, as its wheel or archive says.
pub fn libtorch_in(folder: &Path) -> Option<String> {
    let root = folder.parent()?;
    if let Ok(text) = std::fs::read_to_string(root.join("version.py")) {
        let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
        return Some(line.trim_matches(['\'', '"', ' ']).to_string());
    }
    std::fs::read_to_string(root.join("build-version")).ok().map(|text| text.trim().to_string())
}

/// The version of the libtorch this process has loaded.
pub fn libtorch() -> Option<String> {
    libtorch_in(&libtorch_folder()?)
}

/// All of them as JSON.
pub fn all() -> Value {
    json!({ "lethe": LETHE, "libtorch": libtorch(), "rhai": RHAI })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaded_libtorch_is_the_expected_one() {
        assert!(libtorch().is_some_and(|version| version.starts_with(LIBTORCH_EXPECTED)));
    }

    #[test]
    fn the_version_of_the_engine_is_the_pinned_one() {
        assert!(include_str!("../../Cargo.toml").contains(&format!("rhai = {{ version = \"={RHAI}\"")));
    }
}
