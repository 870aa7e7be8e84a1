//! The PROXY protocol in front of raw TCP.

use crate::client::Lines;
use crate::pod::{Options, Pod};

fn pod() -> Pod {
    Pod::start(Options { proxy_protocol: true, ..Options::default() })
}

#[test]
fn behind_a_header_of_either_version_a_session_goes_on() {
    let pod = pod();
    let v2 = |command: u8, family: u8, rest: &[u8]| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend_from_slice(&[command, family]);
        header.extend_from_slice(&u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend_from_slice(rest);
        header
    };
    let headers = [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 7654\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 7654\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4]),
        v2(0x21, 0x21, &[1; 36 + 20]),
        v2(0x20, 0, &[]),
    ];
    for header in headers {
        // At once with what follows it, and byte by byte.
        let mut client = Lines::connect(pod.tcp);
        client.send([&header[..], b"PING\nQUIT\n"].concat());
        client.expect("PONG");
        client.expect("BYE quit");
        client.expect_closed();
        let mut client = Lines::connect(pod.tcp);
        for byte in header {
            client.send([byte]);
        }
        assert_eq!(client.ask("PING"), "PONG");
    }
}

#[test]
fn without_a_header_nobody_is_served() {
    let pod = pod();
    for words in ["PING\n", "PROXY TCP4 nonsense\r\nPING\n", "PROXY TCP4 192.0.2.1 192.0.2.2 4711 99999\r\nPING\n"] {
        let mut client = Lines::connect(pod.tcp);
        client.send(words);
        client.expect_closed();
    }
}

#[test]
fn a_header_that_does_not_come_ends_the_connection() {
    let hub = chatd::hub::HubSettings { first_line_timeout: 200, ..Options::default().hub };
    let pod = Pod::start(Options { proxy_protocol: true, hub, ..Options::default() });
    for words in ["", "PROXY TCP4 192.0"] {
        let mut client = Lines::connect(pod.tcp);
        client.send(words);
        client.expect_closed();
    }
}
