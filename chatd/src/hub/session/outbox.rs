//! The output of one client, and how much of it is written. Pure: no I/O.

use crate::protocol::Encoding;

/// The output of one client.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    /// The number of written bytes.
    sent: usize,
    /// Bytes that came at once, so that they tell nothing of how fast the client reads: the longest answer that waits, or what had waited at
    /// another pod when the room left that pod.
    at_once: usize,
}

impl Output {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether the queue exceeds `limit`, without what came at once.
    pub fn is_over(&self, limit: usize) -> bool {
        self.len() > limit.saturating_add(self.at_once)
    }

    /// So many bytes had waited at another pod, where they counted: `limit` of them count no second time.
    pub fn was_brought(&mut self, bytes: usize, limit: usize) {
        self.at_once = self.at_once.max(limit.min(self.at_once + bytes));
    }

    /// An answer was appended, of so many bytes.
    pub fn was_answered(&mut self, bytes: usize) {
        self.at_once = self.at_once.max(bytes);
    }

    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// An idle connection keeps no buffer that is larger than what it is told now and then; a busy one keeps a small one.
    pub fn written(&mut self, count: usize, encoding: Encoding) {
        const KEEP: usize = 4096;
        // A client hears `JOINED` once, and then what is shorter.
        const LONG_ANSWER: usize = 192;
        let after_long_answer = self.at_once > LONG_ANSWER;
        self.sent += count;
        // What came before it may be what was written.
        self.at_once = self.at_once.min(self.len());
        self.compact(encoding);
        if self.sent >= self.bytes.len() {
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEEP || after_long_answer {
                self.bytes = Vec::new();
            }
        }
    }

    /// Drops the queue, but for the line or frame that is partly written.
    pub fn keep_only_what_is_under_way(&mut self, encoding: Encoding) {
        let end = self.boundary(encoding);
        self.bytes.truncate(end);
    }

    /// Frees the written bytes up to the last whole line or frame.
    fn compact(&mut self, encoding: Encoding) {
        if self.sent < 64 * 1024 || self.sent >= self.bytes.len() {
            return;
        }
        let mut start = 0;
        while let Some(length) = message_length(encoding, &self.bytes[start..])
            && start + length <= self.sent
        {
            start += length;
        }
        self.bytes.drain(..start);
        self.sent -= start;
    }

    /// The end of the message that is partly written.
    fn boundary(&self, encoding: Encoding) -> usize {
        let mut end = 0;
        while end < self.sent {
            match message_length(encoding, &self.bytes[end..]) {
                Some(length) => end += length,
                None => return self.bytes.len(),
            }
        }
        end
    }
}

/// The length of the first line or (unmasked) WebSocket frame in `bytes`.
fn message_length(encoding: Encoding, bytes: &[u8]) -> Option<usize> {
    match encoding {
        Encoding::Lines | Encoding::LinesWithEvents => memchr::memchr(b'\n', bytes).map(|end| end + 1),
        Encoding::Call => Some(bytes.len()),
        Encoding::Json => {
            let short = usize::from(*bytes.get(1)?);
            let (header, length) = match short {
                126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
                127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
                short => (2, short),
            };
            (bytes.len() >= header + length).then_some(header + length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(output: &mut Output, bytes: usize, answers: bool) -> usize {
        output.buffer().extend_from_slice(&vec![b'x'; bytes]);
        if answers {
            output.was_answered(bytes);
        }
        output.written(bytes, Encoding::Lines);
        output.bytes.capacity()
    }

    #[test]
    fn what_is_written_is_freed_up_to_the_last_whole_message() {
        let line = [vec![b'x'; 999], vec![b'\n']].concat();
        let frame = [vec![0x81, 126], 996_u16.to_be_bytes().to_vec(), vec![b'x'; 996]].concat();
        let long = [vec![0x81, 127], 70_000_u64.to_be_bytes().to_vec(), vec![b'x'; 70_000]].concat();
        for (encoding, message) in [(Encoding::Lines, line), (Encoding::Json, frame), (Encoding::Json, long)] {
            let mut output = Output::default();
            output.buffer().extend_from_slice(&message.repeat(100));
            output.written(70 * message.len() + 500, encoding);
            assert_eq!(output.bytes.len(), 30 * message.len());
            assert_eq!((output.sent, output.len()), (500, 30 * message.len() - 500));
            output.keep_only_what_is_under_way(encoding);
            assert_eq!(output.bytes(), &message[500..]);
        }
    }

    #[test]
    fn little_that_is_written_is_not_freed_yet() {
        let mut output = Output::default();
        output.buffer().extend_from_slice(&[vec![b'x'; 60_000], vec![b'\n'], vec![b'x'; 10_000]].concat());
        output.written(60_001, Encoding::Lines);
        assert_eq!((output.bytes.len(), output.sent), (70_001, 60_001));
    }

    #[test]
    fn the_buffer_of_what_is_told_again_and_again_is_kept_and_that_of_a_long_answer_is_not() {
        let mut output = Output::default();
        assert_eq!(tell(&mut output, 900, true), 0);
        let keeps = tell(&mut output, 100, false);
        assert!((100..200).contains(&keeps), "{keeps}");
        let address = output.buffer().as_ptr();
        assert_eq!(tell(&mut output, 90, true), keeps);
        assert_eq!(output.buffer().as_ptr(), address);
        assert!(tell(&mut output, 900, false) >= 900);
        assert_eq!(tell(&mut output, 5_000, false), 0);
    }
}
