//! TLS with Redis: rustls on ring. Does no I/O, except that it reads the system's CA certificates if none are configured.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::secrets::{Secrets, SecretsError};
use crate::tls::authorities::{PemError, SystemAuthorities, certificates, roots};

/// Servers are verified by the given authorities, or the system's; a client certificate is shown if there is one.
pub fn client_config(secrets: &Secrets, system: &SystemAuthorities) -> Result<ClientConfig, SecretsError> {
    let wrong = |flag, problem: String| SecretsError::Certificate { flag, problem };
    let authorities = authorities(secrets, system).map_err(|problem| wrong("--redis-ca-file", problem))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("--redis-url", error.to_string()))?
        .with_root_certificates(authorities);
    let (Some(chain), Some(key)) = (&secrets.certificate, &secrets.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(chain).map_err(|error| wrong("--redis-cert-file", of_file(&error)))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| wrong("--redis-key-file", "the file holds no private key in PEM form".to_owned()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| wrong("--redis-cert-file", error.to_string()))
}

fn authorities(secrets: &Secrets, system: &SystemAuthorities) -> Result<RootCertStore, String> {
    match &secrets.authorities {
        Some(pem) => roots(pem).map_err(|error| of_file(&error)),
        None => system.get().ok_or_else(|| "needed, since this system has no certificates of authorities".to_owned()),
    }
}

fn of_file(error: &PemError) -> String {
    match error {
        PemError::Malformed(_) | PemError::Empty => format!("the file {error}"),
        PemError::Authority(error) => error.to_string(),
    }
}
