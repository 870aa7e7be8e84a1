//! The files of the `--tls-*-file` settings, and what is made of them. Reads files; the rest is pure.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authorities::{PemError, certificates, roots};
use crate::files::{FileError, read_bytes};
use crate::settings::TlsSettings;

/// ALPN of the port that speaks lines. Refusing other protocols there keeps a browser that was led to it from talking to it.
pub const ALPN_LINES: &[u8] = b"chatd-lines";
/// ALPN of the web port.
pub const ALPN_WEB: &[u8] = b"http/1.1";

/// Why a certificate is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum CertificateError {
    #[error("{flag}: {error}")]
    File { flag: &'static str, error: FileError },
    #[error("{flag}: {reason}")]
    Content { flag: &'static str, reason: String },
    #[error("--tls-cert-file and --tls-key-file do not belong together: {0}")]
    Pair(String),
    #[error("--tls-cert-file: the certificate expired at {0} (Unix time)")]
    Expired(i64),
    #[error("--tls-cert-file: the certificate is not valid before {0} (Unix time)")]
    Early(i64),
}

/// The files' contents.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TlsFiles(not shown)")
    }
}

impl TlsFiles {
    /// Reads them all. Blocks.
    pub fn read(settings: &TlsSettings) -> Result<Self, CertificateError> {
        let read = |flag, path| read_bytes(path).map_err(|error| CertificateError::File { flag, error });
        Ok(Self {
            certificate: read("--tls-cert-file", &settings.certificate)?,
            key: read("--tls-key-file", &settings.key)?,
            authorities: settings.client_ca.as_deref().map(|path| read("--tls-client-ca-file", path)).transpose()?,
        })
    }
}

/// What new connections of both ports are given.
#[derive(Debug, Clone)]
pub struct Served {
    /// For the port that speaks lines.
    pub lines: Arc<ServerConfig>,
    /// For the web port.
    pub web: Arc<ServerConfig>,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
}

impl Served {
    /// Checks that the files are complete and belong together, whatever the time is.
    pub fn new(files: &TlsFiles) -> Result<Self, CertificateError> {
        let chain = certificates(&files.certificate).map_err(|error| unusable("--tls-cert-file", &error))?;
        let key = PrivateKeyDer::from_pem_slice(&files.key)
            .map_err(|_| content("--tls-key-file", "must hold a private key in PEM form"))?;
        // The first one is the server's own; the order of the others is TLS's affair.
        let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let (_, parsed) =
            X509Certificate::from_der(leaf).map_err(|error| content("--tls-cert-file", &error.to_string()))?;
        let (not_before, not_after) =
            (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pair = |error: rustls::Error| CertificateError::Pair(error.to_string());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(pair)?;
        let builder = match &files.authorities {
            None => builder.with_no_client_auth(),
            Some(pem) => builder.with_client_cert_verifier(verifier(pem, provider)?),
        };
        let mut web = builder.with_single_cert(chain, key).map_err(pair)?;
        // A resumed session would outlive the certificate, and the client's: each connection shows both again.
        web.send_tls13_tickets = 0;
        web.session_storage = Arc::new(NoServerSessionStorage {});
        let mut lines = web.clone();
        lines.alpn_protocols = vec![ALPN_LINES.to_vec()];
        web.alpn_protocols = vec![ALPN_WEB.to_vec()];
        Ok(Self { lines: Arc::new(lines), web: Arc::new(web), not_before, not_after })
    }

    /// Whether clients can accept it at `now` (Unix seconds).
    pub fn check(&self, now: i64) -> Result<(), CertificateError> {
        match () {
            () if now > self.not_after => Err(CertificateError::Expired(self.not_after)),
            () if now < self.not_before => Err(CertificateError::Early(self.not_before)),
            () => Ok(()),
        }
    }
}

fn verifier(
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, CertificateError> {
    let flag = "--tls-client-ca-file";
    let roots = roots(pem).map_err(|error| unusable(flag, &error))?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| content(flag, &error.to_string()))
}

fn unusable(flag: &'static str, error: &PemError) -> CertificateError {
    match error {
        PemError::Malformed(_) | PemError::Empty => content(flag, "must hold certificates in PEM form"),
        PemError::Authority(error) => content(flag, &error.to_string()),
    }
}

fn content(flag: &'static str, reason: &str) -> CertificateError {
    CertificateError::Content { flag, reason: reason.to_owned() }
}
