//! The `--redis-*` settings and their consistency. Pure: holds only paths, `secrets` reads the files.

use std::path::PathBuf;

use super::url::{RedisUrl, Servers};

/// How Redis is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Which servers, and of which kind.
    pub url: RedisUrl,
    /// The ACL user; none: the user `default`.
    pub username: Option<String>,
    /// Holds the password; read again when it changes.
    pub password_file: Option<PathBuf>,
    /// Holds the Sentinels' password, if they have one of their own.
    pub sentinel_password_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities that are trusted; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate chain (PEM) and its private key.
    pub cert_file: Option<PathBuf>,
    /// The key of this client's certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// Stands before every key.
    pub key_prefix: String,
}

/// Settings that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum RedisSettingsError {
    #[error("--redis-username requires --redis-password-file with that user's password")]
    UsernameAlone,
    #[error("--redis-sentinel-password-file requires a --redis-url of the form redis+sentinel://host:port/<master>")]
    SentinelPasswordWithoutSentinel,
    #[error(
        "--redis-ca-file, --redis-cert-file and --redis-key-file require TLS: a --redis-url that starts with rediss:// or rediss+"
    )]
    FilesWithoutTls,
    #[error("--redis-cert-file and --redis-key-file belong together: set both, or neither")]
    HalfCertificate,
    #[error(
        "--redis-key-prefix must be at most 200 bytes without '{{' and '}}', which would put all keys on one cluster node"
    )]
    KeyPrefix,
}

/// Longer prefixes would only make every request longer.
const LONGEST_PREFIX: usize = 200;

impl RedisSettings {
    /// Plain settings for `url`: no user, no files, the prefix `chat:`.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            username: None,
            password_file: None,
            sentinel_password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            key_prefix: "chat:".to_owned(),
        }
    }

    /// Says which settings contradict each other, if any do.
    pub fn check(&self) -> Result<(), RedisSettingsError> {
        if self.username.is_some() && self.password_file.is_none() {
            return Err(RedisSettingsError::UsernameAlone);
        }
        if self.sentinel_password_file.is_some() && !matches!(self.url.servers, Servers::Sentinel { .. }) {
            return Err(RedisSettingsError::SentinelPasswordWithoutSentinel);
        }
        let tls_files = [&self.ca_file, &self.cert_file, &self.key_file];
        if !self.url.tls && tls_files.iter().any(|file| file.is_some()) {
            return Err(RedisSettingsError::FilesWithoutTls);
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return Err(RedisSettingsError::HalfCertificate);
        }
        if self.key_prefix.len() > LONGEST_PREFIX || self.key_prefix.contains(['{', '}']) {
            return Err(RedisSettingsError::KeyPrefix);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let settings = |url: &str| RedisSettings::new(url.parse().unwrap());
        let file = || Some(PathBuf::from("/x"));
        assert_eq!(settings("redis://h:1").check(), Ok(()));

        let alone = RedisSettings { username: Some("chat".to_owned()), ..settings("redis://h:1") };
        assert_eq!(alone.check(), Err(RedisSettingsError::UsernameAlone));
        let sentinel = RedisSettings { sentinel_password_file: file(), ..settings("redis+cluster://h:1") };
        assert_eq!(sentinel.check(), Err(RedisSettingsError::SentinelPasswordWithoutSentinel));
        let plain = RedisSettings { ca_file: file(), ..settings("redis://h:1") };
        assert_eq!(plain.check(), Err(RedisSettingsError::FilesWithoutTls));
        let half = RedisSettings { key_file: file(), ..settings("rediss://h:1") };
        assert_eq!(half.check(), Err(RedisSettingsError::HalfCertificate));
        let tag = RedisSettings { key_prefix: "{a}".to_owned(), ..settings("redis://h:1") };
        assert_eq!(tag.check(), Err(RedisSettingsError::KeyPrefix));

        let whole = RedisSettings {
            username: Some("chat".to_owned()),
            password_file: file(),
            sentinel_password_file: file(),
            ca_file: file(),
            cert_file: file(),
            key_file: file(),
            ..settings("rediss+sentinel://h:1/m")
        };
        assert_eq!(whole.check(), Ok(()));
    }
}
