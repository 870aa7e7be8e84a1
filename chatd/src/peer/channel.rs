//! The encrypted channel between two pods: TLS 1.3, as bytes in and bytes out. Does no I/O; keys come from the system's random
//! source.
//!
//! The channel encrypts, and detects changed, dropped, repeated and reflected records: each direction has its own keys and counts
//! its records. It does not authenticate the peer. Every process generates its own certificate, and any certificate is accepted.
//! The `handshake` authenticates the peer over the channel, bound to it by [`Channel::binding`]: a process in the middle has two
//! channels, and a proof for one of them is not valid for the other.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, PeerIncompatible, ServerConfig,
    ServerConnection, SignatureScheme,
};

/// Says in the first message what the channel is for, so that no other TLS server is taken for a pod.
const PROTOCOL: &[u8] = b"chatd-peer";
/// Needed by the interface, and never sent.
const NAME: &str = "chatd";
/// RFC 9266 section 4: the exporter's label for a value that only the two ends of one channel know; 32 bytes, without a context.
const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// A value that only the two ends of one channel know.
pub type Binding = [u8; 32];

/// Why a channel is broken, or cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum ChannelError {
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("cannot generate a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("TLS: {0}")]
    Io(#[from] io::Error),
}

/// What a process needs for channels: how it speaks TLS, and its own certificate.
#[derive(Debug, Clone)]
pub struct Channels {
    dials: Arc<ClientConfig>,
    listens: Arc<ServerConfig>,
}

impl Channels {
    /// Makes the process's certificate.
    pub fn new() -> Result<Self, ChannelError> {
        let provider = Arc::new(provider());
        let verifier = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
        let mut dials = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        dials.alpn_protocols = vec![PROTOCOL.to_vec()];
        dials.enable_sni = false;
        dials.resumption = Resumption::disabled();

        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut listens = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())?;
        listens.alpn_protocols = vec![PROTOCOL.to_vec()];
        listens.send_tls13_tickets = 0;
        Ok(Self { dials: Arc::new(dials), listens: Arc::new(listens) })
    }

    /// A channel of the side that dials: it has something to send at once.
    pub fn dial(&self) -> Result<Channel, ChannelError> {
        let name = ServerName::try_from(NAME).map_err(|_| rustls::Error::General("the name".to_owned()))?;
        Ok(Channel::new(ClientConnection::new(self.dials.clone(), name)?.into()))
    }

    /// A channel of the side that listens.
    pub fn listen(&self) -> Result<Channel, ChannelError> {
        Ok(Channel::new(ServerConnection::new(self.listens.clone())?.into()))
    }
}

/// AES where the processor has instructions for it, with keys of 128 bits, which take the least time; else ChaCha20.
fn provider() -> CryptoProvider {
    let mut suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    if !has_aes() {
        suites.reverse();
    }
    CryptoProvider { cipher_suites: suites, kx_groups: vec![kx_group::X25519], ..default_provider() }
}

fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// One end of a channel.
pub struct Channel(Connection);

impl Channel {
    fn new(mut tls: Connection) -> Self {
        // What waits is bounded by the link, which counts it before it is encrypted.
        tls.set_buffer_limit(None);
        Self(tls)
    }

    /// The keys are not agreed yet.
    pub fn is_new(&self) -> bool {
        self.0.is_handshaking()
    }

    /// What the two ends share, once the keys are agreed.
    pub fn binding(&self) -> Result<Binding, ChannelError> {
        Ok(self.0.export_keying_material([0; 32], BINDING_LABEL, None)?)
    }

    /// Takes what came from the other end, and appends what it says. An error is the channel's end.
    pub fn receive(&mut self, mut bytes: &[u8], said: &mut Vec<u8>) -> Result<(), ChannelError> {
        while !bytes.is_empty() {
            if self.0.read_tls(&mut bytes)? == 0 {
                // The other end has announced the end: what follows is ignored.
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let state = self.0.process_new_packets()?;
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let mut reader = self.0.reader();
                let chunk = reader.fill_buf()?;
                let count = chunk.len();
                said.extend_from_slice(chunk);
                reader.consume(count);
                left = left.saturating_sub(count.max(1));
            }
        }
        Ok(())
    }

    /// Encrypts `bytes` in as few records as can be: see [`Channel::send`].
    pub fn seal(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        Ok(self.0.writer().write_all(bytes)?)
    }

    /// There is something to send.
    pub fn wants_to_send(&self) -> bool {
        self.0.wants_write()
    }

    /// Writes some of what is to be sent, straight from where it was encrypted.
    pub fn send(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        self.0.write_tls(to)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Channel").field("is_new", &self.is_new()).finish_non_exhaustive()
    }
}

/// Accepts any certificate. That the other end has its private key is verified, so that the channel ends where it seems to.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
