//! Clients that leave TLS unfinished: what that holds is counted, and bounded.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use chatd::hub::HubSettings;
use chatd::settings::{TcpTls, TlsSettings};
use chatd::tls::handshakes::RESULTS;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, StreamOwned, SupportedCipherSuite,
};

use crate::certificates::{Certificates, client_config};
use crate::client::{PATIENCE, wait_until};
use crate::pod::{Options, Pod};
use crate::sealed::Sealed;

/// The most plaintext of a record.
const RECORD: usize = 16 * 1024;
const BUFFER_BYTES: usize = 1 << 20;

fn pod(certificates: &Certificates) -> Pod {
    let (certificate, key) = certificates.server();
    let tls = TlsSettings { certificate, key, client_ca: None, tcp: TcpTls::On };
    // No test waits until somebody's time is over.
    let hub = HubSettings { first_line_timeout: 10 * PATIENCE.as_millis() as u64, ..Options::default().hub };
    Pod::start(Options { hub, tls: Some(tls), buffer_bytes: BUFFER_BYTES, ..Options::default() })
}

fn handshakes(pod: &Pod, result: &str) -> u64 {
    let index = RESULTS.iter().position(|one| *one == result).unwrap();
    pod.tls.as_ref().unwrap().counts()[index]
}

/// What a client says first.
fn client_hello(address: SocketAddr, certificates: &Certificates) -> Vec<u8> {
    let config = Arc::new(client_config(&certificates.ca(), None));
    let mut hello = Vec::new();
    ClientConnection::new(config, ServerName::from(address.ip())).unwrap().write_tls(&mut hello).unwrap();
    hello
}

/// So many connections to both ports, each of which says this and nothing more.
fn say(pod: &Pod, count: usize, words: &[u8]) -> Vec<TcpStream> {
    let connect = |number: usize| {
        let mut socket = TcpStream::connect([pod.tcp, pod.web][number % 2]).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(words).unwrap();
        socket
    };
    (0..count).map(connect).collect()
}

/// A client of TLS 1.3 that makes its records itself.
struct Raw {
    socket: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Raw {
    /// Connects, and says a line.
    fn connect(pod: &Pod, certificates: &Certificates) -> Self {
        let mut config = client_config(&certificates.ca(), None);
        config.enable_secret_extraction = true;
        let socket = TcpStream::connect(pod.tcp).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let client = ClientConnection::new(Arc::new(config), ServerName::from(pod.tcp.ip())).unwrap();
        let mut client = Sealed(StreamOwned::new(client, socket), Vec::new());
        assert_eq!(client.ask("PING"), "PONG");
        let Some(SupportedCipherSuite::Tls13(suite)) = client.0.conn.negotiated_cipher_suite() else {
            panic!("TLS 1.3")
        };
        let StreamOwned { conn, sock: socket } = client.0;
        let (sequence, secrets) = conn.dangerous_extract_secrets().unwrap().tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("another cipher")
        };
        Self { socket, encrypter: suite.aead_alg.encrypter(key, iv), sequence }
    }

    fn record(&mut self, typ: ContentType, content: &[u8]) -> Vec<u8> {
        let payload = OutboundChunks::Single(content);
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_3, payload };
        let sealed = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        sealed.encode()
    }

    fn send(&mut self, typ: ContentType, content: &[u8]) {
        let record = self.record(typ, content);
        self.socket.write_all(&record).unwrap();
    }

    /// A record of the greatest size without its last byte.
    fn send_unfinished(&mut self) {
        let record = self.record(ContentType::ApplicationData, &[b'x'; RECORD]);
        self.socket.write_all(&record[..record.len() - 1]).unwrap();
    }

    /// How much is said until the connection ends.
    fn until_closed(mut self) -> usize {
        let mut said = Vec::new();
        match self.socket.read_to_end(&mut said) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        said.len()
    }
}

/// The beginning of a handshake message (a certificate, RFC 8446 section 4) that names a length of 0xff00.
fn long_message() -> Vec<u8> {
    [&[11, 0, 0xff, 0][..], &[0; RECORD - 4]].concat()
}

#[test]
fn unfinished_records_count_and_those_who_hold_most_go() {
    let certificates = Certificates::new();
    let pod = pod(&certificates);
    let mut honest = Sealed::connect(pod.tcp, &certificates).unwrap();
    assert_eq!(honest.ask("PING"), "PONG");
    wait_until("nothing is held", || pod.budget.held() == 0);
    let mut first = Raw::connect(&pod, &certificates);
    first.send_unfinished();
    wait_until("all of it counts", || pod.budget.held() > RECORD);

    let mut others: Vec<_> = (0..90).map(|_| Raw::connect(&pod, &certificates)).collect();
    others.iter_mut().for_each(Raw::send_unfinished);
    let fit = (BUFFER_BYTES / RECORD) as u64;
    wait_until("the largest go", || pod.report().counters.connections_shed >= 91 - fit);
    wait_until("the rest is inside the limit", || (1..=BUFFER_BYTES).contains(&pod.budget.held()));
    // Each shard gives up what it has above its half, and no more.
    let shed = pod.report().counters.connections_shed;
    assert!(shed < 60, "{shed} went");
    assert_eq!(honest.ask("PING"), "PONG");
    drop((first, others));
    wait_until("nothing is held any more", || pod.budget.held() == 0);
}

#[test]
fn a_handshake_message_that_never_ends_counts_and_ends_the_connection() {
    let certificates = Certificates::new();
    let pod = pod(&certificates);
    let mut client = Raw::connect(&pod, &certificates);
    client.send(ContentType::Handshake, &long_message());
    wait_until("it counts", || pod.budget.held() > RECORD);
    client.send(ContentType::Handshake, &[0; RECORD]);
    client.send(ContentType::Handshake, &[0; RECORD]);
    client.until_closed();
    wait_until("nothing is held any more", || pod.budget.held() == 0);
}

#[test]
fn records_without_content_before_a_long_one_harm_nobody() {
    let certificates = Certificates::new();
    let pod = pod(&certificates);
    let mut client = Raw::connect(&pod, &certificates);
    // Nearly as many as rustls allows in a row.
    for _ in 0..30 {
        client.send(ContentType::ApplicationData, b"");
    }
    wait_until("they count", || pod.budget.held() > 30 * 5);
    let lines = "PING\n".repeat(RECORD / 5);
    let record = client.record(ContentType::ApplicationData, lines.as_bytes());
    for piece in record.chunks(1_000) {
        client.socket.write_all(piece).unwrap();
    }
    client.send(ContentType::ApplicationData, b"QUIT\n");
    assert!(client.until_closed() > lines.len());
    wait_until("nothing is held any more", || pod.budget.held() == 0);
}

#[test]
fn handshakes_that_stand_still_delay_no_others() {
    let certificates = Certificates::new();
    let pod = pod(&certificates);
    let come_in = || {
        for address in [pod.tcp, pod.web] {
            Sealed::connect(address, &certificates).unwrap();
        }
    };
    let hello = client_hello(pod.tcp, &certificates);
    let beginnings = [say(&pod, 300, &hello[..1]), say(&pod, 290, &hello[..hello.len() - 1])];
    come_in();
    drop(beginnings);
    wait_until("all are counted", || handshakes(&pod, "closed") == 590);

    // More than may go on at once: the first ones make way.
    let whole = say(&pod, 600, &hello);
    come_in();
    wait_until("some have made way", || (40..600).contains(&handshakes(&pod, "timeout")));
    drop(whole);
    wait_until("all are counted", || handshakes(&pod, "timeout") + handshakes(&pod, "closed") == 1_190);
}

#[test]
fn a_client_hello_in_pieces_is_awaited_and_an_endless_handshake_is_not() {
    let certificates = Certificates::new();
    let pod = pod(&certificates);
    let hello = client_hello(pod.tcp, &certificates);
    let mut socket = say(&pod, 1, &[]).remove(0);
    socket.set_nodelay(true).unwrap();
    for piece in hello.chunks(100) {
        socket.write_all(piece).unwrap();
    }
    let mut first = [0];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(first, [0x16], "the server's answer");

    // A message of 64 KiB in four records.
    let mut endless = say(&pod, 1, &[]).remove(0);
    for content in [[&[1, 0, 0xff, 0][..], &[0; RECORD - 4]].concat(), vec![0; RECORD], vec![0; RECORD]] {
        // It may be refused before all of it is sent.
        let _ = endless.write_all(&[&[0x16, 3, 1, 0x40, 0][..], &content].concat());
    }
    wait_until("it is refused", || handshakes(&pod, "malformed") == 1);
}
