//! A certificate for a server on loopback, and what makes a client trust it. Does I/O: writes files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};

/// Signed by its own key.
pub struct Certificate(pub CertifiedKey<KeyPair>);

impl Certificate {
    pub fn new() -> Result<Self> {
        Ok(Self(generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?))
    }

    /// The files of the certificate and of its key.
    pub fn write(&self, folder: &Path, name: &str) -> Result<[PathBuf; 2]> {
        let [certificate, key] = ["crt", "key"].map(|end| folder.join(format!("{name}-tls.{end}")));
        std::fs::write(&certificate, self.0.cert.pem())?;
        std::fs::write(&key, self.0.signing_key.serialize_pem())?;
        Ok([certificate, key])
    }

    pub fn client(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }
}
