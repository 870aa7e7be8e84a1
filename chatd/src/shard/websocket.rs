//! WebSocket frames (RFC 6455), server's side: bytes to messages, and control frames to bytes. Pure: no I/O.
//!
//! Ours and not a library's, since a library owns its socket and its buffers: here a message is unmasked where it was read and
//! parsed from there, an idle connection keeps no buffer, and control frames go out between frames that the hub made. The tests
//! hold it against `tungstenite`.

use crate::protocol::MAX_JSON;

/// The longest header of a frame that a client may send: 2 bytes, a length of 8, a mask of 4.
const LONGEST_HEADER: usize = 14;
/// A control frame's payload is at most this long (RFC 6455 section 5.5).
const MAX_CONTROL: usize = 125;
/// Unsent control frames that may wait for a full socket; pings beyond are not answered.
const MAX_WAITING_CONTROL: usize = 1024;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Something that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    Text(&'a str),
    /// To be answered with [`pong`].
    Ping(&'a [u8]),
    /// A pong, or a part of a message that is not whole yet: nothing to do.
    Nothing,
    /// The code, if it said one.
    Close(Option<u16>),
}

/// What a client must not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Violation {
    Framing,
    Binary,
    BadUtf8,
    TooLong,
}

impl Violation {
    /// The close code (protocol.md section 6).
    pub fn close_code(self) -> u16 {
        match self {
            Violation::Framing => 1002,
            Violation::Binary => 1003,
            Violation::BadUtf8 => 1007,
            Violation::TooLong => 1009,
        }
    }
}

/// A frame's header, and where its payload is.
struct Header {
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    payload: std::ops::Range<usize>,
}

/// Remembers the parts of a message that came in several frames.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    parts: Vec<u8>,
    fragmented: bool,
    /// `parts` has been given out.
    done: bool,
}

impl Decoder {
    /// The first frame in `bytes`, unmasked there, and how many bytes it takes. `None`: not all of it is there yet.
    pub fn decode<'a>(&'a mut self, bytes: &'a mut [u8]) -> Result<Option<(Incoming<'a>, usize)>, Violation> {
        if self.done {
            self.parts = Vec::new();
            self.done = false;
        }
        let Some(header) = self.header(bytes)? else {
            return Ok(None);
        };
        let end = header.payload.end;
        if bytes.len() < end {
            return Ok(None);
        }
        let payload = &mut bytes[header.payload];
        unmask(payload, header.mask);
        let payload = &*payload;
        let incoming = match (header.opcode, header.last) {
            (PING, _) => Incoming::Ping(payload),
            (PONG, _) => Incoming::Nothing,
            (CLOSE, _) => Incoming::Close(close_code(payload)?),
            (TEXT, true) => Incoming::Text(text(payload)?),
            (_, last) => {
                self.parts.extend_from_slice(payload);
                self.fragmented = !last;
                self.done = last;
                if last { Incoming::Text(text(&self.parts)?) } else { Incoming::Nothing }
            }
        };
        Ok(Some((incoming, end)))
    }

    /// Judges a frame by its header, before its payload is there.
    fn header(&self, bytes: &[u8]) -> Result<Option<Header>, Violation> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let (masked, short) = (second & 0x80 != 0, second & 0x7f);
        let control = opcode & 8 != 0;
        let fits = match opcode {
            CONTINUATION => self.fragmented,
            TEXT | BINARY => !self.fragmented,
            CLOSE | PING | PONG => last && usize::from(short) <= MAX_CONTROL,
            _ => false,
        };
        if reserved != 0 || !masked || !fits {
            return Err(Violation::Framing);
        }
        if opcode == BINARY {
            return Err(Violation::Binary);
        }
        let (length, rest) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        // A length has one encoding, the shortest (section 5.2).
        if (short == 126 && length < 126) || (short == 127 && u16::try_from(length).is_ok()) {
            return Err(Violation::Framing);
        }
        let room = if control { MAX_CONTROL } else { MAX_JSON - self.parts.len() };
        if length > room as u64 {
            return Err(Violation::TooLong);
        }
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let start = bytes.len() - rest.len();
        debug_assert!(start <= LONGEST_HEADER);
        Ok(Some(Header { last, opcode, mask: *mask, payload: start..start + length as usize }))
    }
}

fn text(payload: &[u8]) -> Result<&str, Violation> {
    std::str::from_utf8(payload).map_err(|_| Violation::BadUtf8)
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The code in a close frame (section 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::Framing) };
    };
    text(reason)?;
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
        _ => Err(Violation::Framing),
    }
}

/// Appends the answer to a ping, unless too much waits already.
pub(super) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    if out.len() < MAX_WAITING_CONTROL {
        control(PONG, payload, out);
    }
}

pub(super) fn ping(out: &mut Vec<u8>) {
    control(PING, b"", out);
}

/// Appends a close frame; `None` echoes one without a code.
pub(super) fn close(code: Option<u16>, reason: &str, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(2 + reason.len());
    if let Some(code) = code {
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
    }
    control(CLOSE, &payload, out);
}

fn control(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(payload.len() <= MAX_CONTROL);
    out.extend_from_slice(&[0x80 | opcode, payload.len() as u8]);
    out.extend_from_slice(payload);
}

/// How much of a frame is unsent after `sent` bytes of `frames`. `unsent`: how much of one was, before them; whole (unmasked)
/// frames follow it.
pub(super) fn unsent_after(frames: &[u8], sent: usize, unsent: usize) -> usize {
    let mut end = unsent;
    while end < sent {
        end += frame_length(&frames[end..]).unwrap_or(frames.len() - end);
    }
    end - sent
}

/// The length of the unmasked frame that `bytes` starts with.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    match *bytes.get(1)? {
        126 => Some(4 + usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => Some(10 + usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        short => Some(2 + usize::from(short)),
    }
}
