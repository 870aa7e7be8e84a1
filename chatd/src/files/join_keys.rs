//! The keys of join tokens (`--join-keys-file`): a JWKS, or a directory of public keys and secrets. Reads files; the rest is pure.

use std::path::Path;
use std::sync::Arc;

use super::keys::names;
use super::{FileError, ReloadFailures, Watcher, read_text};
use crate::join_token::{KeySet, Verifier};
use crate::settings::JoinSettings;

/// Reads the key set at `path`. In a directory a file's name, without `.pem` at its end, is the key's `kid`.
///
/// # Errors
/// What cannot be read, and what is no key set: see [`KeySet`].
pub fn read_join_keys(path: &Path) -> Result<KeySet, FileError> {
    let wrong = |error| FileError::wrong(path, error);
    if !path.is_dir() {
        return KeySet::from_jwks(&read_text(path)?).map_err(wrong);
    }
    // A file may be taken out after the listing; a mount's swap leaves a symlink to nothing for a moment. What is missing twice is gone.
    let (files, is_whole) = read_all(path)?;
    let files = if is_whole { files } else { read_all(path)?.0 };
    KeySet::from_files(files).map_err(wrong)
}

/// The files of a directory by `kid`, and whether all that were listed could be read.
fn read_all(path: &Path) -> Result<(Vec<(String, String)>, bool), FileError> {
    let mut files = Vec::new();
    let names = names(path)?;
    let listed = names.len();
    for name in names {
        match read_text(&path.join(&name)) {
            Err(FileError::Missing { .. }) => {}
            text => files.push((name.strip_suffix(".pem").unwrap_or(&name).to_owned(), text?)),
        }
    }
    let is_whole = files.len() == listed;
    Ok((files, is_whole))
}

/// The keys at a path over time, with what the settings want of every token.
#[derive(Debug)]
pub struct JoinKeyWatch {
    watcher: Watcher<KeySet>,
    audience: Option<String>,
    issuer: Option<String>,
}

impl JoinKeyWatch {
    /// Reads the keys for the first time, at the start of the process: blocks. `None`: the settings name none.
    pub fn start(settings: &JoinSettings, failures: ReloadFailures) -> Result<Option<Self>, FileError> {
        let start = |path: &std::path::PathBuf| {
            let watcher = Watcher::start(path, read_join_keys, failures)?;
            watcher.current().check_not_empty().map_err(|error| FileError::wrong(path, error))?;
            Ok(watcher)
        };
        let watcher = settings.keys_file.as_ref().map(start).transpose()?;
        let (audience, issuer) = (settings.audience.clone(), settings.issuer.clone());
        Ok(watcher.map(|watcher| Self { watcher, audience, issuer }))
    }

    /// What verifies by the keys that were last loaded without an error.
    pub fn current(&self) -> Arc<Verifier> {
        let keys = self.watcher.current().clone();
        Arc::new(Verifier::new(keys, self.audience.clone(), self.issuer.clone()))
    }

    /// Waits until there are other keys. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Arc<Verifier> {
        let keys = self.watcher.changed().await;
        tracing::info!(keys = keys.count(), "join token keys changed");
        self.current()
    }
}
