//! Where a stream of TLS ciphertext stands in its records (RFC 8446 section 5.1). Pure: no I/O.

/// Type, version and length.
const HEADER: usize = 5;

/// Follows one direction of a connection from its first byte. No length that a record can name is too much for it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Records {
    /// Bytes of the record that is under way, its header included.
    have: usize,
    /// The last two bytes of its header: how many follow.
    length: u16,
}

impl Records {
    /// Takes the bytes up to the end of the record that is under way, or all of them.
    pub fn take<'a>(&mut self, bytes: &mut &'a [u8]) -> &'a [u8] {
        let mut end = 0;
        while self.have < HEADER
            && let Some(byte) = bytes.get(end)
        {
            self.length = self.length << 8 | u16::from(*byte);
            self.have += 1;
            end += 1;
        }
        if self.have >= HEADER {
            let whole = HEADER + usize::from(self.length);
            let more = (whole - self.have).min(bytes.len() - end);
            end += more;
            self.have = if self.have + more == whole { 0 } else { self.have + more };
        }
        let (taken, rest) = bytes.split_at(end);
        *bytes = rest;
        taken
    }

    /// Passes over all of these bytes.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.take(&mut bytes);
        }
    }

    /// How many bytes have come of a record that is not whole.
    pub fn unfinished(&self) -> usize {
        self.have
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        let mut record = vec![0x17, 3, 3, high, low];
        record.resize(HEADER + usize::from(length), 0xff);
        record
    }

    proptest! {
        #[test]
        fn a_piece_never_goes_beyond_a_record(lengths in proptest::collection::vec(0_u16..300, 0..20), most in 1_usize..500) {
            let stream: Vec<u8> = lengths.iter().flat_map(|length| record(*length)).collect();
            let mut records = Records::default();
            let (mut taken, mut ends) = (0, Vec::new());
            for mut bytes in stream.chunks(most) {
                while !bytes.is_empty() {
                    taken += records.take(&mut bytes).len();
                    if records.unfinished() == 0 {
                        ends.push(taken);
                    }
                }
            }
            let expected = lengths.iter().scan(0, |end, length| {
                *end += HEADER + usize::from(*length);
                Some(*end)
            });
            prop_assert_eq!(ends, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_has_come_of_a_record_is_known() {
        let longest = record(u16::MAX);
        for have in [1, 4, 5, 6, longest.len() - 1] {
            let mut records = Records::default();
            records.pass(&[&record(0)[..], &record(1), &longest[..have]].concat());
            assert_eq!(records.unfinished(), have);
        }
    }
}
