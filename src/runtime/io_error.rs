//! What errors of files mean.

/// Why a file could not be opened, read or written, in plain words.
pub fn reason(problem: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match problem.kind() {
        ErrorKind::NotFound => "no such file or folder".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::NotADirectory => "a part of this path is a file, not a folder".into(),
        ErrorKind::StorageFull => "no space left on the device; nothing was replaced".into(),
        ErrorKind::FileTooLarge => "the file exceeds the size limit; nothing was replaced".into(),
        ErrorKind::UnexpectedEof => "the file ends too early (truncated?)".into(),
        // Our own words stay as they are.
        _ if problem.raw_os_error().is_none() => problem.to_string(),
        _ => problem.to_string().split(" (os error").next().unwrap_or_default().to_lowercase(),
    }
}
