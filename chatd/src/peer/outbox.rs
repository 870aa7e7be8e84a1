//! The send queue of a peer, and its liveness: when it last sent, and when it was last sent something. No I/O.
//!
//! A link has no timer of its own: all links are checked together, twice a second.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::sync::Notify;

use super::error::{LinkError, WRITE_TIME};

/// A frame without content: it says only that the sender is alive.
pub const PING: [u8; 4] = [0; 4];
/// All links are looked at this often. Time is counted in looks, so that a process which was stopped itself reads first what has
/// come meanwhile.
pub const LOOK: Duration = Duration::from_millis(500);
/// A look that came so late is a sign of load on this side.
pub const LATE_LOOK: Duration = Duration::from_millis(750);
/// A pod that has had nothing to say for so many looks sends a ping.
const PING_LOOKS: u32 = 3;
/// Looks without a byte from the peer before the link is broken: 3 s, and 5 s while there is much to do.
const SILENT_LOOKS: u32 = 6;
const SILENT_LOOKS_LOADED: u32 = 10;
const WRITE_LOOKS: u32 = (WRITE_TIME.as_millis() / LOOK.as_millis()) as u32;
/// Bytes that may wait for a peer before it is given up.
pub const MAX_QUEUE: usize = 64 * 1024 * 1024;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: RefCell<Vec<u8>>,
    /// Of the batch that is being written.
    unwritten: Cell<usize>,
    /// Nothing more will be queued.
    finished: Cell<bool>,
    filled: Notify,
    /// Looks since the peer was heard, since something was written to it, and since it began not to read.
    silent: Cell<u32>,
    quiet: Cell<u32>,
    stuck: Cell<u32>,
    error: RefCell<Option<LinkError>>,
    given_up: Notify,
}

impl Outbox {
    /// Queues whole frames. `false`: the peer is too far behind.
    pub fn push(&self, bytes: Vec<u8>) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.len() + bytes.len() + self.unwritten.get() > MAX_QUEUE {
            return false;
        }
        if queue.is_empty() {
            *queue = bytes;
        } else {
            queue.extend_from_slice(&bytes);
        }
        self.wake();
        true
    }

    /// Exchanges the empty `batch` for what waits.
    pub fn take(&self, batch: &mut Vec<u8>) {
        std::mem::swap(batch, &mut self.queue.borrow_mut());
    }

    /// Returns when there may be something to write.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// The link is over: when all is written, this side ends.
    pub fn finish(&self) {
        self.finished.set(true);
        self.wake();
    }

    pub fn is_finished(&self) -> bool {
        self.finished.get()
    }

    pub fn wake(&self) {
        self.filled.notify_one();
    }

    /// So many bytes of what was taken are not written yet.
    pub fn writing(&self, unwritten: usize) {
        self.unwritten.set(unwritten);
    }

    /// The socket took something.
    pub fn wrote(&self) {
        self.quiet.set(0);
        self.stuck.set(0);
    }

    /// The peer said something.
    pub fn heard(&self) {
        self.silent.set(0);
    }

    /// Returns when the peer is given up, with the reason.
    pub async fn given_up(&self) -> LinkError {
        loop {
            if let Some(error) = self.error.take() {
                return error;
            }
            self.given_up.notified().await;
        }
    }

    /// [`LOOK`] has passed. `late`: much more than that.
    pub fn look(&self, late: bool) {
        let waiting = self.unwritten.get() > 0 || !self.queue.borrow().is_empty();
        let silent = self.silent.get() + 1;
        self.silent.set(silent);
        if silent > if late || waiting { SILENT_LOOKS_LOADED } else { SILENT_LOOKS } {
            return self.give_up(LinkError::Silent);
        }
        let stuck = if waiting { self.stuck.get() + 1 } else { 0 };
        self.stuck.set(stuck);
        if stuck > WRITE_LOOKS {
            return self.give_up(LinkError::NotReading);
        }
        let quiet = self.quiet.get() + 1;
        self.quiet.set(quiet);
        if quiet >= PING_LOOKS && !waiting && !self.is_finished() {
            self.quiet.set(0);
            self.push(PING.to_vec());
        }
    }

    fn give_up(&self, error: LinkError) {
        self.error.replace(Some(error));
        self.given_up.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded() {
        let outbox = Outbox::default();
        let chunk = vec![0; MAX_QUEUE / 4];
        for _ in 0..4 {
            assert!(outbox.push(chunk.clone()));
        }
        assert!(!outbox.push(vec![0]));
    }

    fn pings(outbox: &Outbox) -> bool {
        let mut batch = Vec::new();
        outbox.take(&mut batch);
        assert!(batch.is_empty() || batch == PING);
        if !batch.is_empty() {
            outbox.wrote();
        }
        !batch.is_empty()
    }

    #[test]
    fn who_has_nothing_to_say_pings_in_time_for_the_other_side() {
        let outbox = Outbox::default();
        let mut since = 0;
        for _ in 0..100 {
            outbox.heard();
            outbox.look(false);
            since = if pings(&outbox) { 0 } else { since + 1 };
            // Twice before the other side counts it as silent.
            assert!(since * 2 < SILENT_LOOKS);
        }
        for _ in 0..100 {
            outbox.heard();
            outbox.wrote();
            outbox.look(false);
            assert!(!pings(&outbox), "there was something to say");
        }
    }

    #[test]
    fn silence_is_counted_in_looks() {
        for (late, waits, expected) in
            [(false, false, SILENT_LOOKS), (true, false, SILENT_LOOKS_LOADED), (false, true, SILENT_LOOKS_LOADED)]
        {
            let outbox = Outbox::default();
            let mut looks = 0;
            while outbox.error.take().is_none() {
                if waits {
                    outbox.writing(1);
                    outbox.wrote();
                } else {
                    pings(&outbox);
                }
                outbox.look(late);
                looks += 1;
            }
            assert_eq!(looks, expected + 1);
        }
    }

    #[test]
    fn who_reads_nothing_is_given_up() {
        let outbox = Outbox::default();
        outbox.writing(1);
        for _ in 0..WRITE_LOOKS {
            outbox.heard();
            outbox.look(false);
            assert!(outbox.error.take().is_none());
        }
        outbox.heard();
        outbox.look(false);
        assert!(matches!(outbox.error.take(), Some(LinkError::NotReading)));
    }
}
