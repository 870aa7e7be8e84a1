//! Small files that are reloaded when they change: keys, passwords, certificates, addresses. Does file I/O.
//!
//! A swapped symlink (a mounted Secret or ConfigMap), an editor's rename and a plain write are detected in the same way: by reading
//! the file every [`PERIOD`] and comparing its content. An unusable new content is logged once and counted, and the old content
//! stays in use.

mod addresses;
mod api_keys;
mod join_keys;
mod keys;
mod webhook;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use addresses::read_addresses;
pub use api_keys::{read_api_keys, watch_api_keys};
pub use join_keys::{JoinKeyWatch, read_join_keys};
pub use keys::{Key, KeySchedule, KeyWatch, LoadedKeys, RIPE_AFTER, read_keys};
pub use webhook::{read_authorities, read_webhook_secrets};

/// How often a file is read again.
pub const PERIOD: Duration = Duration::from_secs(2);
/// The most bytes that a file may have.
pub const MAX_FILE: usize = 64 * 1024;

/// Why a file cannot be used. Says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum FileError {
    #[error("{path} does not exist")]
    Missing { path: String },
    #[error("cannot read {path}: {kind}")]
    Io { path: String, kind: std::io::ErrorKind },
    #[error("{path} is longer than {MAX_FILE} bytes")]
    TooLong { path: String },
    #[error("{path}: {reason}")]
    Wrong { path: String, reason: String },
}

impl FileError {
    fn wrong(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Wrong { path: path.display().to_string(), reason: reason.to_string() }
    }

    fn io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.display().to_string();
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing { path },
            kind => Self::Io { path, kind },
        }
    }
}

/// The whole of a small file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    // A pipe or a device could block for ever, even at opening it.
    if !std::fs::metadata(path).map_err(|error| FileError::io(path, &error))?.is_file() {
        return Err(FileError::wrong(path, "must be a regular file"));
    }
    let file = std::fs::File::open(path).map_err(|error| FileError::io(path, &error))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| FileError::io(path, &error))?;
    if bytes.len() > MAX_FILE {
        return Err(FileError::TooLong { path: path.display().to_string() });
    }
    Ok(bytes)
}

/// A small file of UTF-8 text.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read_bytes(path)?).map_err(|_| FileError::wrong(path, "must be UTF-8 text"))
}

/// A password: a file's text without the line end that editors add.
///
/// # Errors
/// Also if it is empty: an empty file is a mistake sooner than a password.
pub fn read_password(path: &Path) -> Result<String, FileError> {
    let text = read_text(path)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() { Err(FileError::wrong(path, "must hold a password")) } else { Ok(password.to_owned()) }
}

/// How often a changed file could not be used, summed over all files of the process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ReloadFailures(Arc<AtomicU64>);

impl ReloadFailures {
    /// How often it failed.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more failure.
    pub fn count_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How a path becomes a value.
pub type Reader<T> = fn(&Path) -> Result<T, FileError>;

/// One file (or directory) and what it last said.
#[derive(Debug)]
pub struct Watcher<T> {
    path: PathBuf,
    read: Reader<T>,
    period: Duration,
    current: T,
    /// What was wrong with it at the last look: said and counted once, not every two seconds.
    wrong: Option<FileError>,
    failures: ReloadFailures,
}

impl<T: Clone + PartialEq + Send + 'static> Watcher<T> {
    /// Reads the file for the first time, at the start of the process: blocks.
    pub fn start(path: &Path, read: Reader<T>, failures: ReloadFailures) -> Result<Self, FileError> {
        let current = read(path)?;
        Ok(Self { path: path.to_owned(), read, period: PERIOD, current, wrong: None, failures })
    }

    /// As [`Watcher::start`], for a file that may come later: until then it is as if it said `absent`.
    pub fn start_or(path: &Path, read: Reader<T>, absent: T, failures: ReloadFailures) -> Result<Self, FileError> {
        match read(path) {
            Err(error @ FileError::Missing { .. }) => {
                tracing::warn!(reason = %error, "file does not exist yet");
                let wrong = Some(error);
                Ok(Self { path: path.to_owned(), read, period: PERIOD, current: absent, wrong, failures })
            }
            Err(error) => Err(error),
            Ok(current) => Ok(Self { path: path.to_owned(), read, period: PERIOD, current, wrong: None, failures }),
        }
    }

    /// Looks every `period` instead of [`PERIOD`].
    #[must_use]
    pub fn every(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// What the file last said that could be used.
    pub fn current(&self) -> &T {
        &self.current
    }

    /// Waits until the file says something else that can be used. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> T {
        loop {
            tokio::time::sleep(self.period).await;
            if self.look().await {
                return self.current.clone();
            }
        }
    }

    /// Reads the file once, now; whether it says something new.
    async fn look(&mut self) -> bool {
        let (read, path) = (self.read, self.path.clone());
        // A file on a network mount may block; the thread that waits must not be one that serves.
        let Ok(said) = tokio::task::spawn_blocking(move || read(&path)).await else {
            return false;
        };
        match said {
            Ok(said) => {
                self.wrong = None;
                let new = said != self.current;
                if new {
                    tracing::info!(path = %self.path.display(), "reloaded a changed file");
                    self.current = said;
                }
                new
            }
            Err(error) => {
                if self.wrong.as_ref() != Some(&error) {
                    tracing::error!(reason = %error, "cannot use a changed file; keeping its old content");
                    self.failures.count_one();
                    self.wrong = Some(error);
                }
                false
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
