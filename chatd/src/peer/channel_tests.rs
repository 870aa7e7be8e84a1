//! Tests of the channel: what a process in the middle can do to it, and what it costs.
#![allow(clippy::unwrap_used)]

use super::*;

/// What one end has to send.
fn sent(channel: &mut Channel) -> Vec<u8> {
    let mut bytes = Vec::new();
    while channel.wants_to_send() {
        channel.send(&mut bytes).unwrap();
    }
    bytes
}

/// Two ends with keys, dialler first.
fn pair() -> (Channel, Channel) {
    let channels = [Channels::new().unwrap(), Channels::new().unwrap()];
    let (mut one, mut two) = (channels[0].dial().unwrap(), channels[1].listen().unwrap());
    let mut said = Vec::new();
    while one.is_new() || two.is_new() {
        let bytes = sent(&mut one);
        two.receive(&bytes, &mut said).unwrap();
        let bytes = sent(&mut two);
        one.receive(&bytes, &mut said).unwrap();
    }
    assert!(said.is_empty());
    (one, two)
}

fn heard(channel: &mut Channel, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    let received = channel.receive(bytes, &mut said);
    assert!(received.is_ok() || said.is_empty());
    received.is_ok().then_some(said)
}

fn record(channel: &mut Channel, text: &[u8]) -> Vec<u8> {
    channel.seal(text).unwrap();
    sent(channel)
}

#[test]
fn bytes_arrive_in_order_however_they_are_split() {
    let (mut one, mut two) = pair();
    let text: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    let bytes = record(&mut one, &text);
    // No more than a record's head and tag for each 16 KiB.
    assert!(bytes.len() < text.len() + 13 * 32, "{}", bytes.len());
    let mut said = Vec::new();
    for piece in bytes.chunks(7_777) {
        two.receive(piece, &mut said).unwrap();
    }
    assert_eq!(said, text);
    let bytes = record(&mut two, b"and back");
    assert_eq!(heard(&mut one, &bytes).unwrap(), b"and back");
    assert!(!bytes.windows(4).any(|part| part == b"back"));
}

#[test]
fn only_the_two_ends_share_a_binding() {
    let (one, two) = pair();
    let (other, _) = pair();
    assert_eq!(one.binding().unwrap(), two.binding().unwrap());
    assert_ne!(one.binding().unwrap(), other.binding().unwrap());
}

#[test]
fn a_record_of_another_channel_direction_or_number_is_refused() {
    type Change = fn(&mut Channel, Vec<u8>, Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Change); 6] = [
        ("changed", |_, mut first, _| {
            first[7] ^= 1;
            first
        }),
        ("dropped", |_, _, second| second),
        ("repeated", |two, first, _| {
            assert_eq!(heard(two, &first).unwrap(), b"first");
            first
        }),
        ("in another order", |_, first, second| [second, first].concat()),
        ("of another channel", |_, _, _| record(&mut pair().0, b"first")),
        ("not encrypted", |_, _, _| b"\x17\x03\x03\x00\x05first".to_vec()),
    ];
    for (what, change) in changes {
        let (mut one, mut two) = pair();
        let (first, second) = (record(&mut one, b"first"), record(&mut one, b"second"));
        let bytes = change(&mut two, first, second);
        assert_eq!(heard(&mut two, &bytes), None, "{what}");
    }
    // Sent back to where it came from.
    let (mut one, _) = pair();
    let bytes = record(&mut one, b"first");
    assert_eq!(heard(&mut one, &bytes), None);
}

#[test]
fn other_tls_programs_are_refused() {
    let channels = Channels::new().unwrap();
    let mut other = (*channels.dials).clone();
    other.alpn_protocols = vec![b"h2".to_vec()];
    let other = Channels { dials: Arc::new(other), ..channels.clone() };
    let mut dialler = other.dial().unwrap();
    assert_eq!(heard(&mut channels.listen().unwrap(), &sent(&mut dialler)), None);
}

#[test]
fn the_fastest_cipher_of_the_processor_is_agreed_on() {
    let (one, _) = pair();
    let suite = one.0.negotiated_cipher_suite().unwrap().suite();
    let expected = if has_aes() { "TLS13_AES_128_GCM_SHA256" } else { "TLS13_CHACHA20_POLY1305_SHA256" };
    assert_eq!(suite.as_str(), Some(expected));
    assert_eq!(one.0.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}
