//! TLS with the webhook's receiver: rustls on ring. Does no I/O, except that it reads the system's CA certificates if none are configured.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The receiver is verified by these authorities (PEM), or the system's.
pub fn client_config(authorities: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    let authorities = match authorities {
        Some(pem) => store(pem)?,
        None => system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.with_root_certificates(authorities);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whether these are certificates of authorities in PEM form.
///
/// # Errors
/// They are not, or there are none.
pub fn check_authorities(pem: &[u8]) -> Result<(), String> {
    store(pem).map(drop)
}

fn store(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    if store.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(store) }
}

fn system() -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err("this system has no certificates of authorities".to_owned()) } else { Ok(store) }
}
