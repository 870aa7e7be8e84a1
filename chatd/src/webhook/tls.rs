//! TLS with the webhook's receiver: rustls on ring. Does no I/O, except that it reads the system's CA certificates if none are configured.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::tls::authorities::{SystemAuthorities, roots};

/// The receiver is verified by these authorities (PEM), or the system's.
pub fn client_config(pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    let authorities = match pem {
        Some(pem) => roots(pem).map_err(|error| error.to_string())?,
        None => SystemAuthorities::default().get().ok_or("this system has no certificates of authorities")?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.with_root_certificates(authorities);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
