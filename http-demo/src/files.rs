//! Files that hold a password. Does file I/O.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most bytes that a file may have.
const MAX_FILE: u64 = 64 * 1024;

/// A password, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(not shown)")
    }
}

/// Why a file cannot be used. Says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("{path} cannot be read: {kind}")]
    Unreadable { path: String, kind: std::io::ErrorKind },
    #[error("{path} must be a regular file of at most {MAX_FILE} bytes that holds the password alone")]
    Wrong { path: String },
}

/// The password that a file holds now, without the line end that editors add. Blocks.
pub fn read_password(path: &Path) -> Result<Password, FileError> {
    let shown = || path.display().to_string();
    let unreadable = |error: std::io::Error| FileError::Unreadable { path: shown(), kind: error.kind() };
    // A pipe or a device could block for ever, even at opening it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(FileError::Wrong { path: shown() });
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| FileError::Wrong { path: shown() })?;
    let password = text.trim_end_matches(['\r', '\n']);
    // An empty file is a mistake sooner than a password.
    if password.is_empty() || text.len() as u64 > MAX_FILE {
        return Err(FileError::Wrong { path: shown() });
    }
    Ok(Password(password.to_owned()))
}

/// As [`read_password`] on a thread that may block: a file on a network mount can. `None`: no file is named.
pub async fn password(path: Option<PathBuf>) -> Result<Option<Password>, FileError> {
    let Some(path) = path else { return Ok(None) };
    let shown = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || read_password(&path)).await;
    read.unwrap_or(Err(FileError::Unreadable { path: shown, kind: std::io::ErrorKind::Other })).map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_file_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read_password(&path)
        };
        assert_eq!(read(b" a b \r\n").unwrap().reveal(), " a b ");
        assert_eq!(format!("{:?}", read(b"secret").unwrap()), "Password(not shown)");
        let wrong = Err(FileError::Wrong { path: path.display().to_string() });
        assert_eq!(read(b"\n"), wrong);
        assert_eq!(read(b"\xff"), wrong);
        assert_eq!(read(&vec![b'a'; MAX_FILE as usize + 1]), wrong);
        assert!(matches!(read_password(folder.path()), Err(FileError::Wrong { .. })));
        let missing = read_password(&folder.path().join("missing")).unwrap_err().to_string();
        assert!(missing.ends_with("cannot be read: entity not found"), "{missing}");
    }
}
