//! TLS of players' connections, and whose certificates are accepted. Does I/O: reads CA files, shakes hands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::wire::Encoding;
use crate::admin::Stream;

/// Whether players speak TLS, and with whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Players speak TLS
    #[arg(long)]
    tls: bool,
    /// Certificate authorities in PEM; unset: the system's
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
    /// Takes any certificate
    #[arg(long, requires = "tls", conflicts_with = "ca_file")]
    insecure: bool,
    /// Name that the certificate has to have; unset: the host of the address
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
    /// Certificate chain in PEM for a server that asks for one
    #[arg(long, value_name = "FILE", requires = "tls", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// Makes connections speak TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    lines: TlsConnector,
    web: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl Options {
    /// `None`: plaintext.
    pub fn load(&self) -> Result<Option<Tls>> {
        if !self.tls {
            return Ok(None);
        }
        let provider = Arc::new(ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let config = if self.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let config = match self.client_certificate()? {
            Some((chain, key)) => {
                config.with_client_auth_cert(chain, key).context("--client-key does not belong to --client-cert")?
            }
            None => config.with_no_client_auth(),
        };
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        let name = self.server_name.as_deref().map(host_name).transpose()?;
        Ok(Some(Tls { lines: speaking(b"chatd-lines"), web: speaking(b"http/1.1"), server_name: name }))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(file) = &self.ca_file else {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            ensure!(added > 0, "this system has no certificate authorities: name some with --ca-file");
            return Ok(roots);
        };
        for certificate in certificates("--ca-file", file)? {
            roots.add(certificate).with_context(|| format!("--ca-file {}", file.display()))?;
        }
        Ok(roots)
    }

    fn client_certificate(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
        let Some((chain, key)) = self.client_cert.as_ref().zip(self.client_key.as_ref()) else { return Ok(None) };
        let told = || format!("--client-key {}", key.display());
        Ok(Some((certificates("--client-cert", chain)?, PrivateKeyDer::from_pem_file(key).with_context(told)?)))
    }
}

impl Tls {
    /// The stream to `address`, encrypted.
    pub async fn connect(&self, stream: Box<dyn Stream>, encoding: Encoding, address: &str) -> Result<Box<dyn Stream>> {
        let name = self.server_name.clone().map_or_else(|| host_name(host(address)), Ok)?;
        let connector = if encoding == Encoding::Lines { &self.lines } else { &self.web };
        let stream = connector.connect(name, stream).await.with_context(|| format!("TLS with {address}"))?;
        Ok(Box::new(stream))
    }
}

/// At least one.
fn certificates(flag: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let told = || format!("{flag} {}", file.display());
    let all = CertificateDer::pem_file_iter(file).with_context(told)?;
    let all = all.collect::<Result<Vec<_>, _>>().with_context(told)?;
    ensure!(!all.is_empty(), "{}: it has no certificate", told());
    Ok(all)
}

fn host_name(name: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).with_context(|| format!("{name} is no host name"))
}

/// Without the port, and an address without its brackets.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Accepts whoever has the key of the certificate that they show.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_is_what_its_certificate_has() {
        for (address, expected) in
            [("chat.example:7654", "chat.example"), ("[::1]:1", "::1"), ("localhost", "localhost")]
        {
            assert_eq!(host(address), expected);
            assert!(host_name(host(address)).is_ok(), "{address}");
        }
        assert!(host_name("not a name").is_err());
    }

    #[test]
    fn a_file_without_certificates_is_refused() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let options = |ca_file| Options { tls: true, ca_file: Some(ca_file), ..Options::default() };
        assert!(options(file.path().to_owned()).load().is_err());
        assert!(options(PathBuf::from("/no/such/file")).load().is_err());
        assert!(Options::default().load()?.is_none());
        Ok(())
    }
}
