//! How long messages take through this thread. Does I/O: reads the clock, twice for one of sixteen batches.
//!
//! A message is read, numbered and written to all local clients within one batch, so the batch's length is the most that any message
//! in it took. Measured once for a batch and for a sample of them: the way of a line has no clock, lock or allocation of its own.

use std::time::Instant;

use crate::counters::Counters;

/// One batch of so many is measured.
const ONE_OF: u32 = 16;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Lag {
    batches: u32,
    /// Of the batch that is measured: when it began, and the messages that had gone out before it.
    began: Option<(Instant, u64)>,
}

impl Lag {
    /// Input is ready.
    pub(super) fn batch_begins(&mut self, counters: &Counters) {
        self.batches = self.batches.wrapping_add(1);
        if self.batches.is_multiple_of(ONE_OF) {
            self.began = Some((Instant::now(), counters.messages_out));
        }
    }

    /// All that it led to is written, as far as the sockets take it. Batches without messages do not count.
    pub(super) fn batch_ends(&mut self, counters: &mut Counters) {
        if let Some((began, messages_out)) = self.began.take()
            && counters.messages_out > messages_out
        {
            counters.delivery_time.observe(began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_sixteen_batches_counts_if_it_delivers() {
        let (mut lag, mut counters) = (Lag::default(), Counters::default());
        for batch in 1..=64 {
            lag.batch_begins(&counters);
            counters.messages_out += u64::from(batch > 32);
            lag.batch_ends(&mut counters);
        }
        assert_eq!(counters.delivery_time.count(), 2);
    }
}
