//! The inbox: a client's bytes or messages that wait for their turn. Pure: no I/O.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::protocol::{Command, Encoding, MAX_LINE, MAX_UNFINISHED_LINE, lines};

/// The next input of a client that speaks lines.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its LF.
    Whole(&'a [u8]),
    /// Longer than the limit of a line.
    TooLong,
    /// So long that the client is disconnected.
    Endless,
    /// Another protocol: its further lines must not count as commands.
    Foreign,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Lines, whole and unfinished.
    bytes: Vec<u8>,
    /// Discarded bytes of an overlong line; 0: there is none.
    skipped: usize,
    /// No line has come yet.
    fresh: bool,
    /// `None`: no message waits, as most of the time.
    #[allow(clippy::box_collection, reason = "each connection has the field, and few ever use it")]
    messages: Option<Box<VecDeque<Box<str>>>>,
    /// A command that the hub of another thread received and could not carry out.
    pub carried: Option<Box<(Option<u64>, Command<'static>)>>,
    /// The client has closed its sending side.
    pub ended: bool,
}

impl Inbox {
    pub fn new(encoding: Encoding) -> Self {
        Self { fresh: encoding.is_lines(), ..Self::default() }
    }

    /// Whether the driver may read from the client. `most`: pending messages.
    pub fn wants_input(&self, most: usize) -> bool {
        !self.ended && self.bytes.len() + self.message_bytes() < 4 * MAX_LINE && self.waiting() < most
    }

    /// Bytes of memory that it takes.
    pub fn holds(&self) -> usize {
        self.bytes.capacity() + self.message_bytes()
    }

    /// Bytes of lines, and messages, that wait.
    pub fn lengths(&self) -> (usize, usize) {
        (self.bytes.len(), self.waiting())
    }

    /// No line or message waits. `patient`: not even an unfinished line.
    pub fn is_quiet(&self, patient: bool) -> bool {
        let lines = if patient { self.bytes.is_empty() } else { memchr::memchr(b'\n', &self.bytes).is_none() };
        lines && !self.has_messages()
    }

    /// No message waits, and none will come.
    pub fn is_done(&self) -> bool {
        self.ended && !self.has_messages()
    }

    /// Discards the pending input.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
        self.messages = None;
    }

    // ---- lines

    /// No line has come yet.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether the first byte shows that the client speaks another protocol.
    pub fn is_foreign(&self, bytes: &[u8]) -> bool {
        self.fresh && self.bytes.is_empty() && bytes.first().is_some_and(|byte| lines::is_foreign_byte(*byte))
    }

    /// Replaces the NUL that telnet sends after CR by LF.
    pub fn with_line_ends<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if memchr::memchr(0, bytes).is_none() {
            return Cow::Borrowed(bytes);
        }
        let mut before = self.bytes.last().copied();
        let end = |byte: &u8| if before.replace(*byte) == Some(b'\r') && *byte == 0 { b'\n' } else { *byte };
        Cow::Owned(bytes.iter().map(end).collect())
    }

    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Keeps bytes that contain no whole line yet.
    pub fn keep(&mut self, rest: &[u8]) {
        self.bytes.extend_from_slice(rest);
    }

    /// Returns the bytes of [`Inbox::take_bytes`], without the `used` ones.
    pub fn put_back(&mut self, mut bytes: Vec<u8>, used: usize) {
        bytes.drain(..used);
        if !bytes.is_empty() {
            self.bytes = bytes;
        }
    }

    /// Takes the first whole line of `bytes`, with its length.
    pub fn take_line<'a>(&mut self, bytes: &'a [u8]) -> Option<(Line<'a>, usize)> {
        let end = memchr::memchr(b'\n', bytes)?;
        let (mut line, length) = (&bytes[..end], self.skipped + end + 1);
        if self.fresh {
            line = lines::without_preamble(line);
            if length > MAX_LINE || lines::is_foreign(line) {
                return Some((Line::Foreign, end + 1));
            }
            self.fresh = false;
        }
        let line = if length > MAX_UNFINISHED_LINE {
            Line::Endless
        } else if length > MAX_LINE {
            self.skipped = 0;
            Line::TooLong
        } else {
            Line::Whole(line)
        };
        Some((line, end + 1))
    }

    /// Discards the beginning of an overlong line. Returns the error that disconnects its client, if any.
    pub fn limit_unfinished(&mut self) -> Option<Line<'static>> {
        if self.skipped + self.bytes.len() <= MAX_LINE || memchr::memchr(b'\n', &self.bytes).is_some() {
            return None;
        }
        self.skipped += self.bytes.len();
        self.bytes = Vec::new();
        if self.fresh {
            return Some(Line::Foreign);
        }
        (self.skipped > MAX_UNFINISHED_LINE).then_some(Line::Endless)
    }

    // ---- messages

    pub fn push_message(&mut self, text: &str) {
        self.messages.get_or_insert_default().push_back(text.into());
    }

    pub fn next_message(&mut self) -> Option<Box<str>> {
        let next = self.messages.as_mut()?.pop_front();
        if !self.has_messages() {
            self.messages = None;
        }
        next
    }

    pub fn has_messages(&self) -> bool {
        self.waiting() > 0
    }

    fn waiting(&self) -> usize {
        self.messages.as_ref().map_or(0, |messages| messages.len())
    }

    fn message_bytes(&self) -> usize {
        self.messages.iter().flat_map(|messages| messages.iter()).map(|message| message.len()).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lines(inbox: &mut Inbox, bytes: &[u8]) -> Vec<String> {
        let mut used = 0;
        let mut taken = Vec::new();
        while let Some((line, length)) = inbox.take_line(&bytes[used..]) {
            used += length;
            taken.push(match line {
                Line::Whole(line) => String::from_utf8(line.to_vec()).unwrap(),
                other => format!("{other:?}"),
            });
        }
        inbox.keep(&bytes[used..]);
        taken
    }

    #[test]
    fn a_line_is_taken_once_it_is_whole() {
        let mut inbox = Inbox::new(Encoding::Lines);
        assert_eq!(lines(&mut inbox, b"JOIN abcdefgh ana\r\nhel"), ["JOIN abcdefgh ana\r"]);
        assert!(inbox.is_quiet(false) && !inbox.is_quiet(true));
        let mut bytes = inbox.take_bytes();
        bytes.extend_from_slice(b"lo\n");
        assert_eq!(lines(&mut inbox, &bytes), ["hello"]);
        assert_eq!(inbox.lengths(), (0, 0));
    }

    #[test]
    fn an_overlong_line_is_one_error_and_an_endless_one_ends_the_connection() {
        let mut inbox = Inbox::new(Encoding::Lines);
        assert_eq!(lines(&mut inbox, b"PING\n"), ["PING"]);
        inbox.keep(&[b'x'; MAX_LINE + 1]);
        assert_eq!((inbox.limit_unfinished(), inbox.lengths()), (None, (0, 0)));
        assert_eq!(lines(&mut inbox, b"rest\nPING\n"), ["TooLong", "PING"]);
        inbox.keep(&vec![b'x'; MAX_UNFINISHED_LINE + 1]);
        assert_eq!(inbox.limit_unfinished(), Some(Line::Endless));
    }

    #[test]
    fn what_begins_as_another_protocol_is_foreign() {
        for first in [&b"GET / HTTP/1.1\n"[..], &[b'x'; MAX_LINE + 1]] {
            let mut inbox = Inbox::new(Encoding::Lines);
            let taken = lines(&mut inbox, first);
            assert!(taken == ["Foreign"] || inbox.limit_unfinished() == Some(Line::Foreign), "{taken:?}");
        }
        assert!(Inbox::new(Encoding::Lines).is_foreign(&[0x16, 3, 1]));
    }

    #[test]
    fn nul_after_cr_ends_a_line_as_telnet_sends_it() {
        let mut inbox = Inbox::new(Encoding::Lines);
        assert_eq!(&*inbox.with_line_ends(b"a\r\0b\0"), b"a\r\nb\0");
        inbox.keep(b"a\r");
        assert_eq!(&*inbox.with_line_ends(b"\0b"), b"\nb");
    }
}
