//! The line encoding (raw TCP). Pure: no I/O.

use super::{Command, ErrorCode, Event};

/// What one line (without its LF or CRLF) asks for; `None` for an empty line.
pub fn parse(_line: &[u8], _in_room: bool) -> Option<Result<Command<'_>, ErrorCode>> {
    None
}

/// Appends `event` as one line, or several, each with its LF.
pub fn encode(_event: &Event<'_>, _out: &mut Vec<u8>) {}
