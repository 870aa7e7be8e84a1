//! The files of the `--redis-*-file` settings: passwords and certificates. Reads files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt;

use super::settings::RedisSettings;
use crate::directory::NoAnswer;

/// The files' contents. Two are equal if nothing has changed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    pub password: Option<Vec<u8>>,
    pub sentinel_password: Option<Vec<u8>>,
    pub authorities: Option<Vec<u8>>,
    pub certificate: Option<Vec<u8>>,
    pub key: Option<Vec<u8>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(not shown)")
    }
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum SecretsError {
    #[error("{flag} {}: {problem}", .path.display())]
    Unreadable { flag: &'static str, path: PathBuf, problem: io::Error },
    #[error("{flag} {}: the file is empty; it must hold the password, alone", .path.display())]
    Empty { flag: &'static str, path: PathBuf },
    #[error("{flag} {}: the file is longer than 1 MiB", .path.display())]
    TooLong { flag: &'static str, path: PathBuf },
    #[error("{flag}: {problem}")]
    Certificate { flag: &'static str, problem: String },
}

impl SecretsError {
    /// The error of a request that needed the file.
    pub fn reason(&self) -> NoAnswer {
        match self {
            Self::Unreadable { flag, .. } | Self::Empty { flag, .. } | Self::TooLong { flag, .. }
                if flag.ends_with("password-file") =>
            {
                NoAnswer::Auth
            }
            _ => NoAnswer::Tls,
        }
    }
}

/// A bundle of every public authority has about 200 KiB.
const LONGEST_FILE: u64 = 1024 * 1024;

impl Secrets {
    /// Reads all files that the settings name.
    pub async fn read(settings: &RedisSettings) -> Result<Self, SecretsError> {
        Ok(Self {
            password: password("--redis-password-file", settings.password_file.as_deref()).await?,
            sentinel_password: password("--redis-sentinel-password-file", settings.sentinel_password_file.as_deref())
                .await?,
            authorities: contents("--redis-ca-file", settings.ca_file.as_deref()).await?,
            certificate: contents("--redis-cert-file", settings.cert_file.as_deref()).await?,
            key: contents("--redis-key-file", settings.key_file.as_deref()).await?,
        })
    }
}

/// Editors and `echo` leave a line's end behind the password.
async fn password(flag: &'static str, path: Option<&Path>) -> Result<Option<Vec<u8>>, SecretsError> {
    let Some(path) = path else { return Ok(None) };
    let Some(mut password) = contents(flag, Some(path)).await? else { return Ok(None) };
    while password.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        password.pop();
    }
    if password.is_empty() {
        return Err(SecretsError::Empty { flag, path: path.to_owned() });
    }
    Ok(Some(password))
}

async fn contents(flag: &'static str, path: Option<&Path>) -> Result<Option<Vec<u8>>, SecretsError> {
    let Some(path) = path else { return Ok(None) };
    let unreadable = |problem| SecretsError::Unreadable { flag, path: path.to_owned(), problem };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut contents = Vec::new();
    file.take(LONGEST_FILE + 1).read_to_end(&mut contents).await.map_err(unreadable)?;
    if contents.len() as u64 > LONGEST_FILE {
        return Err(SecretsError::TooLong { flag, path: path.to_owned() });
    }
    Ok(Some(contents))
}
