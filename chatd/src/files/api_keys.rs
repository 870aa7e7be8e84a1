//! The keys of the server API (`--api-keys-file`). Reads a file.

use std::path::Path;

use super::{FileError, ReloadFailures, Watcher, read_text};
use crate::api::keys::ApiKeys;

/// Reads the keys at `path`.
///
/// # Errors
/// What cannot be read, and what holds no keys: see [`ApiKeys`].
pub fn read_api_keys(path: &Path) -> Result<ApiKeys, FileError> {
    ApiKeys::parse(&read_text(path)?).map_err(|error| FileError::wrong(path, error))
}

/// Reads them for the first time, at the start of the process: blocks.
///
/// # Errors
/// Those of [`read_api_keys`], and that there is none.
pub fn watch_api_keys(path: &Path, failures: ReloadFailures) -> Result<Watcher<ApiKeys>, FileError> {
    let watcher = Watcher::start(path, read_api_keys, failures)?;
    watcher.current().check_not_empty().map_err(|error| FileError::wrong(path, error))?;
    Ok(watcher)
}
