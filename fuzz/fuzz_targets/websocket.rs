//! Any bytes as the frames of a WebSocket client: no panic, nothing beyond the limits, and the same messages however the bytes are cut.
#![no_main]

use chatd::protocol::MAX_JSON;
use chatd::shard::websocket::{Decoder, Incoming, Violation};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq)]
enum Came {
    Text(String),
    Ping(Vec<u8>),
    Pong,
    Part(Vec<u8>),
    Close(Option<u16>),
}

/// What comes of a stream that is read in pieces of `piece` bytes, and the rule that it breaks, if any.
fn read(stream: &[u8], piece: usize) -> (Vec<Came>, Option<Violation>) {
    let (mut decoder, mut pending, mut all) = (Decoder::default(), Vec::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        pending.extend_from_slice(bytes);
        loop {
            let (came, used) = match decoder.decode(&mut pending) {
                Ok(None) => break,
                Ok(Some((incoming, used))) => (owned(incoming), used),
                Err(violation) => return (all, Some(violation)),
            };
            assert!(used >= 2 && used <= pending.len());
            // A vector's capacity grows to at most twice what was put into it.
            assert!(decoder.holds() <= 2 * MAX_JSON);
            pending.drain(..used);
            let ends = matches!(came, Came::Close(_));
            all.push(came);
            if ends {
                return (all, None);
            }
        }
    }
    (all, None)
}

fn owned(incoming: Incoming<'_>) -> Came {
    match incoming {
        Incoming::Text(text) => {
            assert!(text.len() <= MAX_JSON);
            Came::Text(text.to_owned())
        }
        Incoming::Ping(payload) => {
            assert!(payload.len() <= 125);
            Came::Ping(payload.to_vec())
        }
        Incoming::Pong => Came::Pong,
        Incoming::Part(payload) => Came::Part(payload.to_vec()),
        Incoming::Close(code) => Came::Close(code),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, 1), whole);
    // A text that came in parts is its parts, one after the other, and its last one.
    let mut parts = Vec::new();
    for came in &whole.0 {
        match came {
            Came::Part(payload) => parts.extend_from_slice(payload),
            Came::Text(text) => {
                assert!(text.as_bytes().starts_with(&parts));
                parts.clear();
            }
            _ => {}
        }
    }
});
