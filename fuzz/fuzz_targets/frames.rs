//! Any bytes as what a peer sends: no panic, no frame beyond the limit, and a frame that is read is written again as the same frame.
#![no_main]

use chatd::peer_protocol::{self, Frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // As a stream, with lengths.
    if let Ok(Some((payload, rest))) = peer_protocol::split(bytes) {
        assert!(payload.len() <= peer_protocol::MAX_FRAME && payload.len() + rest.len() + 4 == bytes.len());
    }
    // As one frame's payload.
    let Some(frame) = Frame::decode(bytes) else {
        return;
    };
    let mut encoded = Vec::new();
    frame.encode(&mut encoded);
    let (payload, rest) = peer_protocol::split(&encoded).expect("within the limit").expect("whole");
    assert!(rest.is_empty());
    assert_eq!(Frame::decode(payload).as_ref(), Some(&frame));
    assert_eq!(peer_protocol::peek_room(payload), Some(frame.room()));
});
