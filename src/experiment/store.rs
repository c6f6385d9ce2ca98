//! Weights in a file: safetensors with a few words about where they came from, written whole or not at all.

use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result};
use crate::tensor::io::safetensors_file::{Notes, create_folders, load_noted, save_noted};
use std::path::Path;
use tch::Tensor;

/// Names and tensors, and what was noted about them.
pub type Stored = (Vec<(String, Tensor)>, Notes);

/// Writes tensors and notes to `path`, making its folder; a file that was there is replaced only when all is written.
///
/// # Errors
/// A folder or file that cannot be written.
pub fn write(path: &Path, state: &[(String, Tensor)], notes: &Notes) -> Result<()> {
    if let Some(folder) = path.parent() {
        create_folders(folder).map_err(|problem| Error::file("save", path, reason(&problem)))?;
    }
    save_noted("save", path, state, notes)
}

/// Reads what `write` wrote; `None` when there is no such file.
///
/// # Errors
/// A file that cannot be read, or is damaged.
pub fn read(path: &Path) -> Result<Option<Stored>> {
    if matches!(path.try_exists(), Ok(false)) {
        return Ok(None);
    }
    load_noted("load", path).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<(String, Tensor)> {
        vec![
            ("a.weight".into(), Tensor::from_slice(&[1.5_f32, -2.0, 0.0, 4.0]).reshape([2, 2])),
            ("a.count".into(), Tensor::from_slice(&[7_i64]).reshape([] as [i64; 0])),
        ]
    }

    #[test]
    fn tensors_and_notes_come_back_as_they_went() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/er/x.safetensors");
        assert!(read(&path).unwrap().is_none());
        write(&path, &sample(), &Notes::from([("seconds".to_string(), "1.5".to_string())])).unwrap();
        let (mut state, notes) = read(&path).unwrap().unwrap();
        state.sort_by(|a, b| b.0.cmp(&a.0));
        assert_eq!(notes["seconds"], "1.5");
        for ((name, tensor), (expected_name, expected)) in state.iter().zip(sample()) {
            assert_eq!((name, tensor.size()), (&expected_name, expected.size()));
            assert!(tensor.equal(&expected));
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_and_a_failed_write_leaves_the_old_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x.safetensors");
        write(&path, &sample(), &Notes::new()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("x.safetensors"));
        assert!(write(&path.join("below/a/file"), &sample(), &Notes::new()).is_err());
    }
}
