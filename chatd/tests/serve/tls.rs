//! TLS on both ports, with clients that others have written: openssl, curl, Python's ssl, rustls.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatd::hub::HubSettings;
use chatd::settings::{TcpTls, TlsSettings};
use rcgen::CertificateParams;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tungstenite::{ClientRequestBuilder, Message};

use crate::certificates::{Certificates, client_config};
use crate::client::{Lines, PATIENCE, http, http_over, wait_until};
use crate::pod::{Options, Pod};
use crate::sealed::Sealed;

fn settings(certificates: &Certificates, tcp: TcpTls) -> TlsSettings {
    let (certificate, key) = certificates.server();
    TlsSettings { certificate, key, client_ca: None, tcp }
}

fn pod(certificates: &Certificates, tcp: TcpTls) -> Pod {
    Pod::start(Options { tls: Some(settings(certificates, tcp)), ..Options::default() })
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("is installed");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn handshakes(pod: &Pod, result: &str) -> u64 {
    let index = chatd::tls::handshakes::RESULTS.iter().position(|one| *one == result).unwrap();
    pod.tls.as_ref().unwrap().counts()[index]
}

#[test]
fn openssl_speaks_lines_in_both_versions_and_is_told_the_end() {
    let certificates = Certificates::new();
    let pod = pod(&certificates, TcpTls::On);
    for (version, alpn) in [("-tls1_2", None), ("-tls1_3", None), ("-tls1_3", Some("chatd-lines"))] {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-verify_return_error", version, "-connect", &pod.tcp.to_string()]);
        command.arg("-CAfile").arg(certificates.ca());
        command.args(alpn.into_iter().flat_map(|alpn| ["-alpn", alpn]));
        // The server closes after QUIT; with the end of its own input openssl would leave before.
        let output = run(command.arg("-ign_eof"), "PING\nQUIT\n");
        assert_eq!(text(&output.stdout), "PONG\nBYE quit\n", "{version}: {}", text(&output.stderr));
        assert!(output.status.success(), "{version}: {}", text(&output.stderr));
    }
    assert_eq!(handshakes(&pod, "ok"), 3);

    for wrong in [["-alpn", "h2"], ["-tls1_1", "-ign_eof"]] {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &pod.tcp.to_string()]).args(wrong);
        assert!(!run(&mut command, "").status.success(), "{wrong:?}");
    }
    wait_until("both are counted", || handshakes(&pod, "incompatible") == 2);
}

#[test]
fn curl_gets_a_page_and_who_does_not_trust_the_certificate_is_counted() {
    let certificates = Certificates::new();
    let pod = pod(&certificates, TcpTls::Off);
    let address = format!("https://{}/", pod.web);
    for most in ["1.2", "1.3"] {
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--http1.1",
            "--tls-max",
            most,
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{ssl_verify_result}",
        ]);
        let output = run(command.arg("--cacert").arg(certificates.ca()).arg(&address), "");
        assert_eq!(text(&output.stdout), "200 0", "{}", text(&output.stderr));
    }
    let output = run(Command::new("curl").arg("-sS").arg(&address), "");
    assert_eq!(output.status.code(), Some(60), "{}", text(&output.stderr));
    wait_until("it is counted", || handshakes(&pod, "refused_by_client") == 1);
    // Off: lines are plaintext all the same.
    assert_eq!(Lines::connect(pod.tcp).ask("PING"), "PONG");
}

#[test]
fn plain_http_on_a_port_of_tls_is_told_so() {
    let certificates = Certificates::new();
    let pod = pod(&certificates, TcpTls::On);
    for (count, (method, path)) in [("GET", "/"), ("POST", "/api/rooms"), ("GET", "/ws")].into_iter().enumerate() {
        let answer = http(pod.web, method, path, &["Upgrade: websocket", "Content-Length: 0"]);
        assert_eq!(answer.status, 400, "{method} {path}");
        assert!(answer.body.contains("https:// or wss://"), "{}", answer.body);
        assert_eq!(answer.header("connection"), Some("close"));
        wait_until("it is counted", || handshakes(&pod, "plain_http") == count as u64 + 1);
    }
    // A body that nobody reads does not cost the client its answer.
    let mut stream = TcpStream::connect(pod.web).unwrap();
    let long = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
    assert_eq!(http_over(&mut stream, &long).status, 400);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed");

    // On the raw TCP port, and with what no method begins with, only TLS itself answers.
    for (address, word) in [(pod.tcp, "GET / HTTP/1.1"), (pod.web, "ping")] {
        let mut lines = Lines::connect(address);
        lines.send(format!("{word}\r\n\r\n"));
        let mut said = Vec::new();
        let _ = lines.stream.read_to_end(&mut said);
        assert_eq!(said.first(), Some(&0x15), "an alert, and no {:?}", text(&said));
    }
    wait_until("both are counted", || handshakes(&pod, "malformed") == 2);
    let output = run(Command::new("curl").args(["-sSk", &format!("https://{}/", pod.web)]), "");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn pythons_ssl_sees_a_clean_end() {
    const SCRIPT: &str = r#"
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.set_alpn_protocols(["chatd-lines"])
socket = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="127.0.0.1", suppress_ragged_eofs=False)
socket.sendall(b"PING\nQUIT\n")
said = b""
while True:
    more = socket.recv(100)
    if not more:
        break
    said += more
print(socket.version(), socket.selected_alpn_protocol(), said)
"#;
    let certificates = Certificates::new();
    let pod = pod(&certificates, TcpTls::On);
    let mut command = Command::new("python3");
    let output = run(command.args(["-c", SCRIPT, &pod.tcp.port().to_string()]).arg(certificates.ca()), "");
    assert_eq!(text(&output.stdout), "TLSv1.3 chatd-lines b'PONG\\nBYE quit\\n'\n", "{}", text(&output.stderr));
}

#[test]
fn a_web_socket_and_lines_talk_to_each_other() {
    let certificates = Certificates::new();
    let pod = pod(&certificates, TcpTls::On);
    let mut alice = Sealed::connect(pod.tcp, &certificates).unwrap();
    let room = alice.create_room();
    alice.join(&room, "alice");

    let stream = Sealed::connect(pod.web, &certificates).unwrap().0;
    let address = format!("wss://{}/ws", pod.web).parse().unwrap();
    let (mut bob, _) =
        tungstenite::client(ClientRequestBuilder::new(address).with_sub_protocol("chatd.v1"), stream).unwrap();
    bob.send(Message::text(format!(r#"{{"type":"join","room":"{room}","name":"bob"}}"#))).unwrap();
    assert!(bob.read().unwrap().to_string().contains(r#""type":"joined""#));
    assert_eq!(alice.line(), "ENTERED bob");
    // More than one record, and records in one write.
    let long = "x".repeat(4_000);
    for _ in 0..20 {
        bob.send(Message::text(format!(r#"{{"type":"say","text":"{long}"}}"#))).unwrap();
    }
    for _ in 0..20 {
        assert_eq!(alice.line(), format!("MSG bob {long}"));
        assert!(bob.read().unwrap().to_string().contains(&long));
    }
    alice.send("SAY hello\n");
    assert_eq!(alice.line(), "MSG alice hello");
    assert!(bob.read().unwrap().to_string().contains("hello"));
    bob.close(None).unwrap();
    assert!(matches!(bob.read(), Ok(Message::Close(_))));
    assert_eq!(alice.line(), "EXITED bob disconnected");
}

#[test]
fn who_ends_its_input_hears_the_rest_and_who_is_cut_off_is_dropped() {
    let certificates = Certificates::new();
    let pod = pod(&certificates, TcpTls::On);
    let mut client = Sealed::connect(pod.tcp, &certificates).unwrap();
    client.send("PING\nPING\n");
    client.0.conn.send_close_notify();
    client.0.flush().unwrap();
    let rest = client.rest().unwrap();
    assert!(rest.starts_with("PONG\nPONG\n"), "{rest}");

    let mut alice = Sealed::connect(pod.tcp, &certificates).unwrap();
    let room = alice.create_room();
    alice.join(&room, "alice");
    let mut bob = Sealed::connect(pod.tcp, &certificates).unwrap();
    bob.join(&room, "bob");
    assert_eq!(alice.line(), "ENTERED bob");
    bob.0.sock.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(alice.line(), "EXITED bob disconnected");

    // What is no record ends the connection with an alert.
    let mut carol = Sealed::connect(pod.tcp, &certificates).unwrap();
    carol.0.sock.write_all(b"PING\n").unwrap();
    let error = carol.rest().unwrap_err();
    assert_ne!(error.kind(), ErrorKind::WouldBlock, "{error}");
}

#[test]
fn with_both_the_first_byte_decides() {
    let certificates = Certificates::new();
    let hub = HubSettings { first_line_timeout: 1_000, ..Options::default().hub };
    let tls = Some(settings(&certificates, TcpTls::Both));
    let pod = Pod::start(Options { hub, tls, ..Options::default() });
    let mut sealed = Sealed::connect(pod.tcp, &certificates).unwrap();
    let mut plain = Lines::connect(pod.tcp);
    assert_eq!((sealed.ask("PING").as_str(), plain.ask("PING").as_str()), ("PONG", "PONG"));
    let mut silent = Lines::connect(pod.tcp);
    silent.expect("ERR timeout The connection was idle for too long.");
    silent.expect("BYE timeout");
    silent.expect_closed();
}

#[test]
fn behind_a_proxy_its_header_comes_before_tls() {
    let certificates = Certificates::new();
    let tls = Some(settings(&certificates, TcpTls::On));
    let pod = Pod::start(Options { tls, proxy_protocol: true, ..Options::default() });
    let mut socket = TcpStream::connect(pod.tcp).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n").unwrap();
    let config = Arc::new(client_config(&certificates.ca(), None));
    let client = ClientConnection::new(config, ServerName::from(pod.tcp.ip())).unwrap();
    assert_eq!(Sealed(StreamOwned::new(client, socket), Vec::new()).ask("PING"), "PONG");
}

#[test]
fn with_a_client_authority_only_its_clients_come_in() {
    let certificates = Certificates::new();
    let mut tls = settings(&certificates, TcpTls::On);
    tls.client_ca = Some(certificates.ca());
    let pod = Pod::start(Options { tls: Some(tls), ..Options::default() });
    let connect = |own: Option<&Certificates>| {
        let own = own.map(Certificates::client);
        let own = own.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        Sealed::connect_with(pod.tcp, client_config(&certificates.ca(), own))
    };
    assert_eq!(connect(Some(&certificates)).unwrap().ask("PING"), "PONG");
    let stranger = Certificates::new();
    for own in [None, Some(&stranger)] {
        // In TLS 1.3 a client learns of that when it reads.
        assert!(connect(own).and_then(|mut client| client.rest()).is_err());
    }
    wait_until("both are counted", || handshakes(&pod, "client_certificate") == 2);
}

fn replace(of: &Certificates, by: &Certificates, files: &[&str]) {
    let (target, source) = (of.ca().parent().unwrap().to_owned(), by.ca().parent().unwrap().to_owned());
    for file in files {
        fs::copy(source.join(file), target.join(file)).unwrap();
    }
}

#[test]
fn renewed_files_are_served_within_six_seconds_and_unusable_ones_are_not() {
    let first = Certificates::new();
    // The client's own copy of the first authority.
    let trusted = tempfile::NamedTempFile::new().unwrap();
    fs::copy(first.ca(), trusted.path()).unwrap();
    let pod = pod(&first, TcpTls::On);
    let with = |authority: &Path| Sealed::connect_with(pod.tcp, client_config(authority, None));
    let mut old = with(trusted.path()).unwrap();
    assert_eq!(old.ask("PING"), "PONG");

    // A certificate that does not fit the key, and one that has expired: each is reported once, and the old one stays.
    let second = Certificates::new();
    let expired = Certificates::with(&["127.0.0.1"], |params: &mut CertificateParams| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    replace(&first, &second, &["server.pem"]);
    wait_until("the pair is reported", || pod.reload_failures.count() == 1);
    replace(&first, &expired, &["server.pem", "server.key"]);
    wait_until("the expired one is reported", || pod.reload_failures.count() == 2);
    fs::write(first.server().0, "no PEM").unwrap();
    wait_until("the broken one is reported", || pod.reload_failures.count() == 3);
    assert_eq!(with(trusted.path()).unwrap().ask("PING"), "PONG");

    replace(&first, &second, &["server.pem", "server.key"]);
    let start = Instant::now();
    wait_until("the new one is served", || with(&second.ca()).is_ok());
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!(old.ask("PING"), "PONG");
    assert_eq!(pod.reload_failures.count(), 3);
}

#[test]
fn half_open_handshakes_harm_nobody_who_is_connected() {
    let certificates = Certificates::new();
    let hub = HubSettings { first_line_timeout: 5_000, ..Options::default().hub };
    let tls = Some(settings(&certificates, TcpTls::Both));
    let pod = Pod::start(Options { hub, tls, ..Options::default() });
    let mut connected = Sealed::connect(pod.tcp, &certificates).unwrap();
    assert_eq!(connected.ask("PING"), "PONG");
    // More than there are slots; each has begun a record that does not go on.
    let half: Vec<_> = (0..400)
        .map(|_| {
            let mut socket = TcpStream::connect(pod.tcp).unwrap();
            socket.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
            socket
        })
        .collect();
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(connected.ask("PING"), "PONG");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    assert_eq!(Lines::connect(pod.tcp).ask("PING"), "PONG", "plaintext needs no handshake");
    wait_until("each has its deadline", || handshakes(&pod, "timeout") == 400);
    assert_eq!(Sealed::connect(pod.tcp, &certificates).unwrap().ask("PING"), "PONG");
    drop(half);
}

#[test]
fn who_does_not_read_is_closed_and_holds_no_more_than_its_queue() {
    let certificates = Certificates::new();
    let tls = Some(settings(&certificates, TcpTls::On));
    let hub = HubSettings { send_queue: 32 << 10, ..Options::default().hub };
    let pod = Pod::start(Options { hub, tls, ..Options::default() });
    let mut alice = Sealed::connect(pod.tcp, &certificates).unwrap();
    let room = alice.create_room();
    alice.join(&room, "alice");
    let mut bob = Sealed::connect(pod.tcp, &certificates).unwrap();
    bob.join(&room, "bob");
    assert_eq!(alice.line(), "ENTERED bob");
    let text = "x".repeat(4_000);
    let mut most = 0;
    let deadline = Instant::now() + PATIENCE;
    while pod.report().counters.slow_consumers == 0 {
        assert!(Instant::now() < deadline, "bob was never closed");
        for _ in 0..50 {
            let mut line = alice.ask(&format!("SAY {text}"));
            if line == "EXITED bob slow" {
                line = alice.line();
            }
            assert_eq!(line, format!("MSG alice {text}"));
        }
        most = most.max(pod.budget.held());
    }
    // A record of ciphertext on top of the queue.
    assert!(most <= (32 + 64) << 10, "{most}");
    wait_until("it is gone", || pod.sessions() == 1);
    assert!(bob.rest().map_or_else(|_| true, |rest| rest.contains("slow_consumer")));
}
