//! The webhook's secrets (`--webhook-secret-file`): a file of one secret a line, or a directory of such files. Reads files.

use std::path::Path;

use super::keys::names;
use super::{FileError, read_bytes, read_text};
use crate::tls::authorities::roots;
use crate::webhook::Secrets;

/// Reads the secrets at `path`; in a directory, by the files' names.
///
/// # Errors
/// What cannot be read, and what are no secrets: see [`Secrets`].
pub fn read_webhook_secrets(path: &Path) -> Result<Secrets, FileError> {
    let mut texts = Vec::new();
    if path.is_dir() {
        for name in names(path)? {
            match read_text(&path.join(name)) {
                // Taken out since the listing; a mount's swap leaves a symlink to nothing for a moment.
                Err(FileError::Missing { .. }) => {}
                text => texts.push(text?),
            }
        }
    } else {
        texts.push(read_text(path)?);
    }
    Secrets::parse(texts.iter().map(String::as_str)).map_err(|error| FileError::wrong(path, error))
}

/// Reads certificates of authorities, in PEM form.
///
/// # Errors
/// What cannot be read, and what holds none.
pub fn read_authorities(path: &Path) -> Result<Vec<u8>, FileError> {
    let pem = read_bytes(path)?;
    roots(&pem).map_err(|error| FileError::wrong(path, error))?;
    Ok(pem)
}
