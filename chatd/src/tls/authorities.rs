//! Certificates in PEM form, and the authorities by which the other side of a connection is verified. Does no I/O, except that it reads
//! the certificates that the system trusts.

use std::sync::OnceLock;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// What is wrong with a file of certificates, as the end of a sentence about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum PemError {
    #[error("is not PEM: {0}")]
    Malformed(pem::Error),
    #[error("holds no certificate in PEM form")]
    Empty,
    /// It is PEM, and no authority: rustls says why.
    #[error("{0}")]
    Authority(rustls::Error),
}

/// All certificates of a PEM text: one at least.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(PemError::Malformed)?;
    if read.is_empty() { Err(PemError::Empty) } else { Ok(read) }
}

/// The authorities of a PEM text: one at least.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, PemError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate).map_err(PemError::Authority)?;
    }
    Ok(store)
}

/// The authorities that the system trusts, read once: there are hundreds of files, and a connection may be made every second.
#[derive(Debug, Default)]
pub struct SystemAuthorities(OnceLock<RootCertStore>);

impl SystemAuthorities {
    /// `None`: the system has none, and is asked again the next time. Blocks.
    pub fn get(&self) -> Option<RootCertStore> {
        if let Some(store) = self.0.get() {
            return Some(store.clone());
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        (!store.is_empty()).then(|| self.0.get_or_init(|| store).clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    fn authority() -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn problem(pem: &str) -> String {
        roots(pem.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn every_authority_of_a_text_counts() {
        let both = format!("The first\n{}the second\n{}", authority(), authority());
        assert_eq!(roots(both.as_bytes()).unwrap().len(), 2);
        assert_eq!(certificates(both.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn a_text_without_certificates_is_refused() {
        assert_eq!(problem(""), "holds no certificate in PEM form");
        assert_eq!(problem("none"), "holds no certificate in PEM form");
        let key = KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(problem(&key), "holds no certificate in PEM form");
        let cut = authority().replace("-----END CERTIFICATE-----", "");
        assert!(problem(&cut).starts_with("is not PEM: "), "{}", problem(&cut));
        let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        assert!(matches!(roots(empty.as_bytes()), Err(PemError::Authority(_))));
    }
}
