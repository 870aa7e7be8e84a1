//! WebSocket frames (RFC 6455), server's side: bytes to messages, and control frames to bytes. Pure: no I/O.
//!
//! Our own decoder, since a library owns its socket and its buffers: here a message is unmasked and parsed in place, an idle
//! connection keeps no buffer, and control frames go out between frames that the hub encoded. The tests compare it with
//! `tungstenite`.

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
pub enum Incoming<'a> {
    /// A whole text message.
    Text(&'a str),
    /// To be answered with `pong`.
    Ping(&'a [u8]),
    /// A pong, whatever it holds.
    Pong,
    /// A part of a message that is not whole yet.
    Part(&'a [u8]),
    /// The code, if it said one.
    Close(Option<u16>),
}

/// What a client must not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A frame that breaks RFC 6455: close code 1002.
    Framing,
    /// A binary message: close code 1003.
    Binary,
    /// Text that is not UTF-8: close code 1007.
    BadUtf8,
    /// More than a message may have: close code 1009.
    TooLong,
}

impl Violation {
    /// The close code (docs/protocol.md, Errors and closes).
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
pub struct Decoder {
    parts: Vec<u8>,
    fragmented: bool,
    /// `parts` has been given out.
    done: bool,
}

impl Decoder {
    /// Bytes of memory that it takes.
    pub fn holds(&self) -> usize {
        self.parts.capacity()
    }

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
            (PONG, _) => Incoming::Pong,
            (CLOSE, _) => Incoming::Close(close_code(payload)?),
            (TEXT, true) => Incoming::Text(text(payload)?),
            (_, last) => {
                self.parts.extend_from_slice(payload);
                self.fragmented = !last;
                self.done = last;
                if last { Incoming::Text(text(&self.parts)?) } else { Incoming::Part(payload) }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{self, Read, Write};

    use proptest::prelude::*;
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

    use super::*;

    /// A frame as clients send it.
    fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![u8::from(last) << 7 | opcode];
        match payload.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length @ 126..0x1_0000 => {
                bytes.push(0x80 | 0x7e);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 0x7f);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let mask = [7, 200, 0, 33];
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// What this decoder makes of a stream that comes in pieces of `piece` bytes: its texts, and how it ends.
    fn ours(stream: &[u8], piece: usize) -> (Vec<String>, Option<Result<(), Violation>>) {
        let mut decoder = Decoder::default();
        let mut texts = Vec::new();
        let mut pending = Vec::new();
        for bytes in stream.chunks(piece) {
            pending.extend_from_slice(bytes);
            loop {
                let used = match decoder.decode(&mut pending) {
                    Ok(None) => break,
                    Ok(Some((Incoming::Close(_), _))) => return (texts, Some(Ok(()))),
                    Ok(Some((incoming, used))) => {
                        if let Incoming::Text(text) = incoming {
                            texts.push(text.to_owned());
                        }
                        used
                    }
                    Err(violation) => return (texts, Some(Err(violation))),
                };
                pending.drain(..used);
            }
        }
        (texts, None)
    }

    /// A stream that is read and never answered.
    struct Stream<'a>(&'a [u8]);

    impl Read for Stream<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buffer) }
        }
    }

    impl Write for Stream<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn tungstenites(stream: &[u8]) -> Vec<String> {
        let config = WebSocketConfig::default().max_message_size(Some(MAX_JSON)).max_frame_size(Some(MAX_JSON));
        let mut context = WebSocketContext::new(Role::Server, Some(config));
        let mut stream = Stream(stream);
        let mut texts = Vec::new();
        loop {
            match context.read(&mut stream) {
                Ok(Message::Text(text)) => texts.push(text.as_str().to_owned()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                _ => return texts,
            }
        }
    }

    proptest! {
        #[test]
        fn texts_are_those_of_tungstenite(
            frames in proptest::collection::vec(
                (any::<bool>(), prop_oneof![6 => Just(TEXT), 5 => Just(CONTINUATION), 2 => Just(PING), 2 => Just(PONG), 1 => Just(CLOSE), 1 => 3_u8..8],
                 prop_oneof![Just(String::new()), "[a-zäß€😀]{0,12}", "[x]{120,300}"], any::<bool>()),
                0..12,
            ),
            piece in 1_usize..400,
        ) {
            let mut stream = Vec::new();
            for (last, opcode, text, cut) in &frames {
                // A text may end within a character, to go on in the next frame, or nowhere.
                let payload = if *cut { &text.as_bytes()[..text.len().saturating_sub(1)] } else { text.as_bytes() };
                stream.extend(frame(*last, *opcode, payload));
            }
            prop_assert_eq!(ours(&stream, piece).0, tungstenites(&stream));
        }

        #[test]
        fn a_text_in_any_parts_comes_out_whole(
            text in "\\PC{0,400}", parts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5), piece in 1_usize..900,
        ) {
            let mut cuts: Vec<_> = parts.iter().map(|part| part.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut stream = Vec::new();
            for (number, cut) in cuts.windows(2).enumerate() {
                let opcode = if number == 0 { TEXT } else { CONTINUATION };
                stream.extend(frame(number + 2 == cuts.len(), opcode, &text.as_bytes()[cut[0]..cut[1]]));
                stream.extend(frame(true, PING, b"between"));
            }
            prop_assert_eq!(ours(&stream, piece), (vec![text], None));
        }

        #[test]
        fn nothing_panics(stream in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
            let _ = ours(&stream, piece);
        }

        #[test]
        fn what_is_unsent_ends_where_a_frame_ends(lengths in proptest::collection::vec(0_usize..70_000, 1..4), at in any::<prop::sample::Index>()) {
            let mut frames = Vec::new();
            let mut ends = vec![0];
            for length in lengths {
                // As servers send them: not masked.
                let mut one = frame(true, TEXT, &vec![b'x'; length]);
                let header = one.len() - length - 4;
                one.drain(header..header + 4);
                one[1] &= 0x7f;
                frames.extend(one);
                ends.push(frames.len());
            }
            let sent = at.index(frames.len() + 1);
            let unsent = unsent_after(&frames, sent, 0);
            prop_assert_eq!(Some(sent + unsent), ends.iter().copied().find(|end| *end >= sent));
            // The same in two steps, of which the second starts within a frame.
            let half = sent / 2;
            prop_assert_eq!(unsent_after(&frames[half..], sent - half, unsent_after(&frames, half, 0)), unsent);
        }
    }

    #[test]
    fn a_message_has_at_most_its_limit() {
        let most = vec![b'x'; MAX_JSON];
        assert_eq!(ours(&frame(true, TEXT, &most), 1000).0.len(), 1);
        let over = frame(true, TEXT, &[&most[..], b"x"].concat());
        // Told by the header, before the rest is there.
        assert_eq!(ours(&over[..20], 20), (Vec::new(), Some(Err(Violation::TooLong))));
        let parts = [frame(false, TEXT, &most), frame(true, CONTINUATION, b"x")].concat();
        assert_eq!(ours(&parts, 1000), (Vec::new(), Some(Err(Violation::TooLong))));
        let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes()].concat();
        assert_eq!(ours(&huge, 20).1, Some(Err(Violation::TooLong)));
    }

    #[test]
    fn unanswered_pings_take_bounded_memory() {
        let mut out = Vec::new();
        for _ in 0..1000 {
            pong(&[0; 125], &mut out);
        }
        assert!(out.len() < MAX_WAITING_CONTROL + 2 + MAX_CONTROL);
    }
}
