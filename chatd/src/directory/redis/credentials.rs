//! The last usable content of the files of the Redis settings. Reads files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;

use super::failure::Failure;
use super::secrets::{Secrets, SecretsError};
use super::settings::RedisSettings;
use super::tls;
use crate::directory::NoAnswer;
use crate::files::ReloadFailures;
use crate::tls::authorities::SystemAuthorities;

/// What a connection is opened with.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub secrets: Secrets,
    /// `None`: without TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

/// The files over time. Unusable files change nothing; they are logged and counted once.
#[derive(Debug)]
pub struct CredentialFiles {
    authorities: SystemAuthorities,
    failures: ReloadFailures,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    usable: Option<Credentials>,
    /// What is wrong with the files now.
    wrong: Option<String>,
    /// What led to no connection, and why.
    refused: Option<(Secrets, NoAnswer)>,
}

impl CredentialFiles {
    pub fn new(failures: ReloadFailures) -> Self {
        Self { authorities: SystemAuthorities::default(), failures, known: Mutex::default() }
    }

    /// What the files say now, or said before they were spoilt.
    pub async fn read(&self, settings: &RedisSettings) -> Result<Credentials, Failure> {
        let read = Secrets::read(settings).await;
        let mut known = self.known();
        match read.and_then(|secrets| self.credentials(secrets, settings, known.usable.as_ref())) {
            Ok(credentials) => {
                known.wrong = None;
                known.usable = Some(credentials.clone());
                Ok(credentials)
            }
            Err(error) => {
                let wrong = Some(error.to_string());
                if known.wrong != wrong {
                    tracing::warn!(%error, "cannot use a file of the Redis settings");
                    if known.usable.is_some() {
                        self.failures.count_one();
                    }
                    known.wrong = wrong;
                }
                known.usable.clone().ok_or_else(|| Failure::new(error.reason(), &error.to_string()))
            }
        }
    }

    /// No connection could be made with changed files. Whether that is news.
    pub fn refused(&self, secrets: &Secrets, reason: NoAnswer) -> bool {
        let refused = Some((secrets.clone(), reason));
        let mut known = self.known();
        let is_new = known.refused != refused;
        if is_new && matches!(reason, NoAnswer::Auth | NoAnswer::Tls) {
            self.failures.count_one();
        }
        known.refused = refused;
        is_new
    }

    fn credentials(
        &self,
        secrets: Secrets,
        settings: &RedisSettings,
        usable: Option<&Credentials>,
    ) -> Result<Credentials, SecretsError> {
        if let Some(same) = usable.filter(|usable| usable.secrets == secrets) {
            return Ok(same.clone());
        }
        let tls = settings.url.tls.then(|| tls::client_config(&secrets, &self.authorities)).transpose()?;
        Ok(Credentials { secrets, tls: tls.map(Arc::new) })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each field is whole at any time.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_spoilt_file_changes_nothing_and_is_counted_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let settings = RedisSettings {
            password_file: Some(file.path().to_owned()),
            ..RedisSettings::new("redis://localhost:6379".parse().unwrap())
        };
        let failures = ReloadFailures::default();
        let files = CredentialFiles::new(failures.clone());
        assert_eq!(
            files.read(&settings).await.unwrap_err().reason,
            NoAnswer::Auth,
            "it is empty, and was never anything else"
        );
        let say = async |password: &str| {
            std::fs::write(file.path(), password).unwrap();
            files.read(&settings).await.unwrap().secrets.password.unwrap()
        };
        assert_eq!(say("one").await, b"one");
        for _ in 0..3 {
            assert_eq!(say("").await, b"one");
        }
        assert_eq!(failures.count(), 1);
        assert_eq!(say("two").await, b"two");
        assert_eq!(say("").await, b"two");
        assert_eq!(failures.count(), 2, "it was whole in between");
    }

    #[test]
    fn what_redis_refuses_is_news_once() {
        let failures = ReloadFailures::default();
        let files = CredentialFiles::new(failures.clone());
        let secrets = |password: &str| Secrets { password: Some(password.into()), ..Secrets::default() };
        assert!(files.refused(&secrets("one"), NoAnswer::Auth));
        assert!(!files.refused(&secrets("one"), NoAnswer::Auth));
        assert!(files.refused(&secrets("two"), NoAnswer::Auth));
        assert_eq!(failures.count(), 2);
        assert!(files.refused(&secrets("two"), NoAnswer::Timeout), "another reason, which is not the file's fault");
        assert_eq!(failures.count(), 2);
    }
}
