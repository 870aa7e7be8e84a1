//! The contestants' protocols: encodes a message to send, counts the received messages. Pure: bytes in, counts and answers out.
//! Decoders only do what counting needs, so that the generator stays cheap.

use memchr::{memchr, memchr_iter, memmem};

/// Bytes of one chat line with its line end; on wires without line ends, bytes of its text.
/// From the project's own figures: "rooms of 4, 64-byte lines".
pub const LINE: usize = 64;

/// A text of `length` visible bytes that differs from room to room.
pub fn text(room: usize, length: usize) -> String {
    let mut text = format!("Message of room {room}, ");
    while text.len() < length {
        text.push(char::from(b'a' + (text.len() % 26) as u8));
    }
    text.truncate(length);
    text
}

/// One line with its LF, [`LINE`] bytes.
pub fn line(room: usize) -> Vec<u8> {
    (text(room, LINE - 1) + "\n").into_bytes()
}

/// One NATS message of [`LINE`] bytes to the room's subject.
pub fn nats_publish(room: usize) -> Vec<u8> {
    format!("PUB {} {LINE}\r\n{}\r\n", nats_subject(room), text(room, LINE)).into_bytes()
}

pub fn nats_subject(room: usize) -> String {
    format!("room.{room:06}")
}

/// One masked WebSocket text frame (RFC 6455 section 5.2), as a client must send it.
pub fn frame(text: &str) -> Vec<u8> {
    masked(0x81, text.as_bytes())
}

/// One masked WebSocket binary frame.
pub fn binary_frame(payload: &[u8]) -> Vec<u8> {
    masked(0x82, payload)
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => out.push(0x80 | short),
        _ => {
            // 126: the length follows in two bytes.
            out.push(0x80 | 0x7e);
            out.extend((payload.len() as u16).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// Counts the messages in one connection's stream, however it is cut into reads.
#[derive(Debug)]
pub enum Decoder {
    Lines(Lines),
    WebSocket(WebSocket),
    Nats(Nats),
    Needle(Needle),
}

impl Decoder {
    /// Counts the messages that end in `bytes`; what must be sent back (an answer to a ping) is added to `answer`.
    ///
    /// # Errors
    /// What came that a message cannot be.
    pub fn count(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Result<u32, String> {
        match self {
            Self::Lines(decoder) => decoder.count(bytes),
            Self::WebSocket(decoder) => decoder.count(bytes, answer),
            Self::Nats(decoder) => decoder.count(bytes, answer),
            Self::Needle(decoder) => Ok(decoder.count(bytes)),
        }
    }
}

/// Lines that all start with the same word.
#[derive(Debug)]
pub struct Lines {
    start: &'static [u8],
    inside: bool,
}

impl Lines {
    pub fn new(start: &'static str) -> Self {
        Self { start: start.as_bytes(), inside: false }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<u32, String> {
        // One look a read: an error line among the messages also shows as a count that is never reached.
        let look = bytes.len().min(self.start.len());
        if !self.inside && bytes[..look] != self.start[..look] {
            return Err(format!("expected a message, got: {}", sample(bytes)));
        }
        if let Some(last) = bytes.last() {
            self.inside = *last != b'\n';
        }
        Ok(memchr_iter(b'\n', bytes).count() as u32)
    }
}

/// Unmasked frames from a server, never fragmented.
#[derive(Debug, Default)]
pub struct WebSocket {
    head: [u8; 4],
    head_len: usize,
    /// Payload bytes of the current frame that are still to come.
    left: usize,
    ping: Option<Vec<u8>>,
}

impl WebSocket {
    fn count(&mut self, mut bytes: &[u8], answer: &mut Vec<u8>) -> Result<u32, String> {
        let mut messages = 0;
        while !bytes.is_empty() {
            if self.left == 0 {
                self.head[self.head_len] = bytes[0];
                self.head_len += 1;
                bytes = &bytes[1..];
                let short = usize::from(self.head[1]);
                let need = if self.head_len < 2 || short == 126 { 4 } else { 2 };
                if self.head_len < 2 || self.head_len < need {
                    continue;
                }
                self.left =
                    if short == 126 { usize::from(u16::from_be_bytes([self.head[2], self.head[3]])) } else { short };
                self.head_len = 0;
                match self.head[0] {
                    0x81 | 0x82 if short <= 126 => {}
                    0x89 if short < 126 => self.ping = Some(Vec::new()),
                    _ => return Err(format!("unexpected frame {:02x?}, then {}", self.head, sample(bytes))),
                }
            }
            let take = self.left.min(bytes.len());
            if let Some(ping) = &mut self.ping {
                ping.extend(&bytes[..take]);
            }
            bytes = &bytes[take..];
            self.left -= take;
            if self.left == 0 {
                match self.ping.take() {
                    Some(payload) => answer.extend(masked(0x8a, &payload)),
                    None => messages += 1,
                }
            }
        }
        Ok(messages)
    }
}

/// `MSG <subject> <sid> <bytes>` with its payload, and `PING`.
#[derive(Debug, Default)]
pub struct Nats {
    /// A control line that a read has cut.
    head: Vec<u8>,
    /// Bytes of payload and its CRLF that are still to come.
    left: usize,
}

impl Nats {
    fn count(&mut self, mut bytes: &[u8], answer: &mut Vec<u8>) -> Result<u32, String> {
        let mut messages = 0;
        while !bytes.is_empty() {
            if self.left == 0 {
                let Some(end) = memchr(b'\n', bytes) else {
                    self.head.extend(bytes);
                    break;
                };
                let (head, rest) = bytes.split_at(end + 1);
                bytes = rest;
                if self.head.is_empty() {
                    self.left = Self::control(head, answer)?;
                } else {
                    self.head.extend(head);
                    let whole = std::mem::take(&mut self.head);
                    self.left = Self::control(&whole, answer)?;
                }
                continue;
            }
            let take = self.left.min(bytes.len());
            bytes = &bytes[take..];
            self.left -= take;
            messages += u32::from(self.left == 0);
        }
        Ok(messages)
    }

    /// The bytes that follow a control line: none, or a message's payload and CRLF.
    fn control(line: &[u8], answer: &mut Vec<u8>) -> Result<usize, String> {
        let line = line.trim_ascii_end();
        if line.starts_with(b"MSG ") {
            let digits = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            let size = digits
                .iter()
                .try_fold(0_usize, |size, digit| digit.is_ascii_digit().then(|| size * 10 + usize::from(digit - b'0')));
            return size.map(|size| size + 2).ok_or_else(|| format!("bad size in {}", sample(line)));
        }
        match line {
            b"PING" => answer.extend(b"PONG\r\n"),
            b"PONG" => {}
            _ if line.starts_with(b"INFO ") => {}
            _ => return Err(format!("expected MSG, got: {}", sample(line))),
        }
        Ok(0)
    }
}

/// A stream that carries more than messages, where a part that only a message has is counted.
#[derive(Debug)]
pub struct Needle {
    needle: &'static [u8],
    /// The stream's last bytes, fewer than the needle has.
    tail: Vec<u8>,
}

impl Needle {
    pub fn new(needle: &'static str) -> Self {
        Self { needle: needle.as_bytes(), tail: Vec::new() }
    }

    fn count(&mut self, bytes: &[u8]) -> u32 {
        let most = self.needle.len() - 1;
        // Neither the tail nor what is added to it can hold a whole needle, so one that is found here was cut.
        self.tail.extend(&bytes[..bytes.len().min(most)]);
        let cut = memmem::find_iter(&self.tail, self.needle).count();
        if bytes.len() > most {
            self.tail.clear();
            self.tail.extend(&bytes[bytes.len() - most..]);
        }
        self.tail.drain(..self.tail.len().saturating_sub(most));
        (cut + memmem::find_iter(bytes, self.needle).count()) as u32
    }
}

fn sample(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).escape_debug().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Counts `stream` cut into pieces of every length from 1 to its own.
    fn counts(make: impl Fn() -> Decoder, stream: &[u8], messages: u32, answered: &[u8]) {
        for size in 1..=stream.len() {
            let (mut decoder, mut answer) = (make(), Vec::new());
            let sum: u32 = stream.chunks(size).map(|piece| decoder.count(piece, &mut answer).unwrap()).sum();
            assert_eq!((sum, answer.as_slice()), (messages, answered), "pieces of {size}");
        }
    }

    #[test]
    fn lines_are_counted_however_they_are_cut() {
        counts(|| Decoder::Lines(Lines::new("MSG ")), b"MSG a hello\nMSG b there\nMSG", 2, b"");
        let mut lines = Lines::new("MSG ");
        assert!(lines.count(b"ERR rate_limited\n").is_err());
    }

    #[test]
    fn frames_are_counted_and_pings_answered() {
        let mut stream = vec![0x81, 5];
        stream.extend(b"hello");
        stream.extend([0x89, 2, b'h', b'i']);
        stream.extend([0x81, 126, 0, 200]);
        stream.extend([b'x'; 200]);
        counts(|| Decoder::WebSocket(WebSocket::default()), &stream, 2, &masked(0x8a, b"hi"));
        assert!(WebSocket::default().count(&[0x88, 2, 3, 0xe8], &mut Vec::new()).is_err());
    }

    #[test]
    fn nats_messages_are_counted_and_pings_answered() {
        let stream = b"MSG room.000001 1 5\r\nhello\r\nPING\r\nMSG room.000001 1 2\r\n\r\n\r\n";
        counts(|| Decoder::Nats(Nats::default()), stream, 2, b"PONG\r\n");
        assert!(Nats::default().count(b"-ERR 'Slow Consumer'\r\n", &mut Vec::new()).is_err());
    }

    #[test]
    fn needles_are_counted_however_they_are_cut() {
        let stream = b"<presence/><message><body>a</body></message><message><body></body></message></bo";
        counts(|| Decoder::Needle(Needle::new("</body></message>")), stream, 2, b"");
    }

    #[test]
    fn a_frame_is_masked_and_says_its_length() {
        let bytes = frame(&text(1, LINE));
        assert_eq!((bytes[0], bytes[1], bytes.len()), (0x81, 0x80 | 64, 2 + 4 + 64));
        assert_eq!(bytes[6] ^ bytes[2], b'M');
        assert_eq!(line(12).len(), LINE);
    }
}
