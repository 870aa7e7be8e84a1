//! TLS with Redis: rustls on ring. Does no I/O, except that it reads the system's CA certificates if none are configured.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::secrets::{Secrets, SecretsError};

/// The authorities that the system trusts, read once: there are hundreds of files, and a connection may be made every second.
#[derive(Debug, Default)]
pub struct SystemAuthorities(OnceLock<RootCertStore>);

impl SystemAuthorities {
    fn get(&self) -> Result<RootCertStore, String> {
        if let Some(store) = self.0.get() {
            return Ok(store.clone());
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            return Err("needed, since this system has no certificates of authorities".to_owned());
        }
        Ok(self.0.get_or_init(|| store).clone())
    }
}

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
    let chain = certificates(chain).map_err(|problem| wrong("--redis-cert-file", problem))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| wrong("--redis-key-file", "the file holds no private key in PEM form".to_owned()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| wrong("--redis-cert-file", error.to_string()))
}

fn authorities(secrets: &Secrets, system: &SystemAuthorities) -> Result<RootCertStore, String> {
    let Some(pem) = &secrets.authorities else {
        return system.get();
    };
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(store)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the file is not PEM: {error}"))?;
    if certificates.is_empty() {
        return Err("the file holds no certificate in PEM form".to_owned());
    }
    Ok(certificates)
}
