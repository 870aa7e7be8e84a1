//! The JSON encoding (WebSocket). Pure: no I/O.

use super::{Command, ErrorCode, Event};

/// What a message asks for, and the `id` that it carries (also where the rest is wrong).
pub fn parse(_text: &str) -> (Option<u64>, Result<Command<'_>, ErrorCode>) {
    (None, Err(ErrorCode::BadCommand))
}

/// Appends `event` as one whole unmasked WebSocket text frame (RFC 6455 section 5.2).
pub fn encode_frame(_event: &Event<'_>, _id: Option<u64>, _out: &mut Vec<u8>) {}
