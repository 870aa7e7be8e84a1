//! One room's record in the directory: written, checked, and settled where a reply was lost. Pure: no I/O, and knows no hub.
//!
//! One request is in flight at a time. A swap whose reply was lost is settled by reading; since it may still be applied late, no two
//! writes of an ownership carry the same bytes (`serial`), and something else is written before anything is answered.

use std::time::Duration;

use bytes::Bytes;

use crate::directory::{Answer as Reply, Key, NoAnswer, Request};
use crate::ids::Ticket;
use crate::protocol::{Epoch, Ownership, RoomId};
use crate::record::{Record, Verdict, judge};

/// A record is checked so long after it was written or came here (ms), since the directory may have gone back to what it was before.
/// After that it is checked, and so renewed, at leisure ([`RecordSync::check`]).
pub const CHECK_SOON: u64 = 30_000;
/// A lost swap that was not applied is looked for once more after this pause (ms): a server that recovers reads its connections in no
/// particular order.
pub const LATE_SWAP_CHECK: u64 = 3_000;

/// A write on its way. In memory of its own, since a room has none most of the time.
#[derive(Debug)]
struct Swap {
    bytes: Bytes,
    version: u64,
}

/// The request in flight.
#[derive(Debug)]
enum InFlight {
    Swap(Box<Swap>),
    Renew,
    Get,
    Delete,
}

/// What a write comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Write {
    /// The directory is known to hold it already.
    UpToDate {
        version: u64,
    },
    Send(Request),
}

/// What a reply comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To a request that was given up.
    Stale,
    /// The directory holds what was written, up to `version`; `None`: nothing newer than before.
    Confirmed {
        version: Option<u64>,
    },
    /// The record is something else than was expected: for [`RecordSync::examine`].
    Found(Option<Bytes>),
    Deleted,
    /// Something else was there: that is to be deleted.
    DeleteAgain,
    /// Another pod has taken the room over while its record was being deleted.
    TakenOver(Box<Record>),
    NoReply,
}

/// What a record that was not expected means.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// As [`Outcome::Confirmed`].
    Confirmed { version: Option<u64> },
    /// To be released to.
    Higher(Box<Record>),
    /// The id of a room that is being created belongs to another room.
    IdTaken,
    /// It belonged to a room of this epoch, which has ended: the new one is to be written over that, with a higher epoch.
    Vacant { above: Epoch },
    /// The room has ended at a higher ownership.
    Ended,
    /// To be written over. `lost`: the directory has lost or rolled back what was there.
    Overwrite { unreadable: bool, lost: bool },
}

/// See the module's documentation.
#[derive(Debug)]
pub struct RecordSync {
    /// What the directory holds, as far as is known.
    stored: Option<Bytes>,
    /// Counts the states that the record should have had.
    version: u64,
    /// The last of them that is known to be written.
    written: u64,
    /// The number of the last write that was sent.
    serial: u64,
    /// A swap was given up and turned out not to be there: it may yet be applied, until something else is written.
    late_swap_possible: bool,
    in_flight: Option<InFlight>,
    /// The ticket of what is in flight.
    ticket: Option<Ticket>,
    /// A swap without a reply: it may have been applied.
    unsettled: Option<Box<Swap>>,
    retry_at: Option<u64>,
    check_at: u64,
}

impl RecordSync {
    /// `stored`: the record as it is in the directory and true of the room; `None`: it has to be written first.
    pub fn new(stored: Option<Bytes>, now: u64) -> Self {
        Self {
            written: u64::from(stored.is_some()),
            stored,
            version: 1,
            serial: 0,
            late_swap_possible: false,
            in_flight: None,
            ticket: None,
            unsettled: None,
            retry_at: None,
            check_at: now + CHECK_SOON,
        }
    }

    // ---- what is known

    pub fn stored(&self) -> Option<&Bytes> {
        self.stored.as_ref()
    }

    /// The number of the state that the record should have now.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether the directory is known to hold the state of this number, or a later one.
    pub fn has_written(&self, version: u64) -> bool {
        version <= self.written
    }

    /// What the directory holds is known, though it may not be all that it should.
    pub fn is_known(&self) -> bool {
        self.in_flight.is_none() && self.unsettled.is_none()
    }

    /// The directory holds everything that it should.
    pub fn is_written(&self) -> bool {
        self.written == self.version && self.is_known()
    }

    /// No reply is missing, and none is waited for once more.
    pub fn is_settled(&self) -> bool {
        self.unsettled.is_none() && self.retry_at.is_none()
    }

    /// When something is due (ms): [`RecordSync::take_retry`] or [`RecordSync::take_check`].
    pub fn due_at(&self) -> u64 {
        self.retry_at.unwrap_or(u64::MAX).min(self.check_at)
    }

    // ---- what changes it

    /// The record is to say something else.
    pub fn changed(&mut self) {
        self.version += 1;
    }

    pub fn retry_at(&mut self, at: u64) {
        self.retry_at = Some(at);
    }

    /// If a retry is due at all, then not later than `at` (ms).
    pub fn retry_by(&mut self, at: u64) {
        self.retry_at = self.retry_at.map(|before| before.min(at));
    }

    /// Whether a retry is due; it is then no more.
    pub fn take_retry(&mut self, now: u64) -> bool {
        self.retry_at.take_if(|at| *at <= now).is_some()
    }

    /// Whether the regular check is due; it is then no more.
    pub fn take_check(&mut self, now: u64) -> bool {
        let is_due = self.check_at <= now;
        if is_due {
            self.postpone_check(now);
        }
        is_due
    }

    pub fn postpone_check(&mut self, now: u64) {
        self.check_at = now + CHECK_SOON;
    }

    /// The reply to what is in flight will not count; a swap may be applied all the same.
    pub fn give_up_request(&mut self) {
        self.ticket = None;
        if let Some(InFlight::Swap(swap)) = self.in_flight.take() {
            self.unsettled = Some(swap);
        }
    }

    /// As [`RecordSync::give_up_request`], and nothing is retried before it is asked for.
    pub fn suspend(&mut self) {
        self.give_up_request();
        self.retry_at = None;
    }

    // ---- requests: each is to be sent, and [`RecordSync::sent`] told of its ticket

    pub fn wants_write(&self) -> bool {
        self.is_known() && self.written < self.version
    }

    /// Writes what the room's record should be; only if [`RecordSync::wants_write`].
    pub fn write(&mut self, room: RoomId, record: Record, ttl: Duration) -> Write {
        debug_assert!(self.wants_write(), "{self:?}");
        let record = record.numbered(self.serial);
        if !self.late_swap_possible && self.stored.as_ref().is_some_and(|stored| *stored == record.to_bytes()) {
            return Write::UpToDate { version: self.version };
        }
        self.serial += 1;
        let bytes = record.numbered(self.serial).to_bytes();
        let (expected, new) = (self.stored.clone(), bytes.clone());
        self.in_flight = Some(InFlight::Swap(Box::new(Swap { bytes, version: self.version })));
        Write::Send(Request::Swap { key: Key::Room(room), expected, new, ttl })
    }

    /// Asks whether the record is still what was written. `None`: a request is in flight, or something is to be written first.
    /// `interval`: until it is asked again, if nothing is written meanwhile (ms).
    pub fn check(&mut self, now: u64, room: RoomId, ttl: Duration, interval: u64) -> Option<Request> {
        self.postpone_check(now);
        if self.in_flight.is_some() || self.wants_write() {
            return None;
        }
        match self.stored.clone().filter(|_| self.unsettled.is_none()) {
            Some(expected) => {
                self.check_at = now + interval;
                self.in_flight = Some(InFlight::Renew);
                Some(Request::Renew { key: Key::Room(room), expected, ttl })
            }
            None => self.read(room),
        }
    }

    /// Reads the record, to see whose the room is. `None`: a request is in flight.
    pub fn read(&mut self, room: RoomId) -> Option<Request> {
        if self.in_flight.is_some() {
            return None;
        }
        self.in_flight = Some(InFlight::Get);
        Some(Request::Get { key: Key::Room(room) })
    }

    /// Deletes the record. `None`: there is none.
    pub fn delete(&mut self, room: RoomId) -> Option<Request> {
        debug_assert!(self.in_flight.is_none(), "{self:?}");
        let expected = self.stored.clone()?;
        self.in_flight = Some(InFlight::Delete);
        Some(Request::Delete { key: Key::Room(room), expected })
    }

    /// The request was sent under this ticket.
    pub fn sent(&mut self, ticket: Ticket) {
        debug_assert!(self.in_flight.is_some() && self.ticket.is_none(), "{self:?}");
        self.ticket = Some(ticket);
    }

    // ---- replies

    /// `held`: the ownership that this pod has of the room.
    pub fn replied(&mut self, ticket: Ticket, held: Ownership, reply: Result<Reply, NoAnswer>) -> Outcome {
        if self.ticket != Some(ticket) {
            return Outcome::Stale;
        }
        self.ticket = None;
        match (self.in_flight.take(), reply) {
            (None, _) => Outcome::Stale,
            (Some(InFlight::Delete), Ok(Reply::Found(found))) => {
                if let Verdict::Higher(record) = judge(found.as_deref(), held, b"") {
                    return Outcome::TakenOver(record);
                }
                let again = found.is_some() && found != self.stored;
                self.stored = found;
                if again { Outcome::DeleteAgain } else { Outcome::Deleted }
            }
            (Some(InFlight::Delete), _) => Outcome::Deleted,
            (Some(InFlight::Swap(swap)), Ok(Reply::Done)) => {
                let Swap { bytes, version } = *swap;
                self.stored = Some(bytes);
                self.late_swap_possible = false;
                Outcome::Confirmed { version: Some(version) }
            }
            (Some(InFlight::Renew), Ok(Reply::Done)) => Outcome::Confirmed { version: None },
            (Some(in_flight), reply) => {
                if let InFlight::Swap(swap) = in_flight {
                    self.unsettled = Some(swap);
                }
                match reply {
                    Ok(Reply::Found(found)) => Outcome::Found(found),
                    _ => Outcome::NoReply,
                }
            }
        }
    }

    /// For the simulation's negative control: a swap without a reply is taken for applied. Its version, if there is one.
    pub fn believe_unsettled(&mut self) -> Option<u64> {
        self.unsettled.take().map(|swap| swap.version)
    }

    /// The record turned out to be `found`, which a write or a check did not expect, or which settles a swap without a reply.
    /// `creating`: the room is new, so that no owner is expected at all. `releases`: to a higher ownership, as always but in a
    /// negative control.
    pub fn examine(
        &mut self,
        now: u64,
        held: Ownership,
        creating: bool,
        releases: bool,
        found: Option<Bytes>,
    ) -> Finding {
        if let Some(swap) = self.unsettled.take() {
            let Swap { bytes, version } = *swap;
            if found.as_ref() == Some(&bytes) {
                self.stored = found;
                self.late_swap_possible = false;
                return Finding::Confirmed { version: Some(version) };
            }
            self.late_swap_possible = true;
            self.check_at = self.check_at.min(now + LATE_SWAP_CHECK);
        }
        match judge(found.as_deref(), held, self.stored.as_deref().unwrap_or_default()) {
            Verdict::Higher(record) if releases && !creating && record.ended => return Finding::Ended,
            Verdict::Higher(record) if releases && !creating => return Finding::Higher(record),
            Verdict::Higher(_) | Verdict::Lower if creating => return self.id_taken(found),
            Verdict::Mine => return Finding::Confirmed { version: None },
            _ => {}
        }
        let unreadable = found.as_deref().is_some_and(|bytes| Record::parse(bytes).is_none());
        let lost = !creating && found != self.stored;
        self.stored = found;
        self.changed();
        Finding::Overwrite { unreadable, lost }
    }

    /// The room that is being created has a record already.
    fn id_taken(&mut self, found: Option<Bytes>) -> Finding {
        let Some(ended) = found.as_deref().and_then(Record::parse).filter(|record| record.ended) else {
            return Finding::IdTaken;
        };
        self.stored = found;
        self.changed();
        Finding::Vacant { above: ended.epoch }
    }

    /// The directory holds what this pod believes, up to `version`. Whether that is everything.
    pub fn confirm(&mut self, now: u64, version: Option<u64>) -> bool {
        if version.is_some() {
            self.check_at = self.check_at.min(now + CHECK_SOON);
        }
        self.unsettled = None;
        self.retry_at = None;
        self.written = self.written.max(version.unwrap_or_default());
        debug_assert!(self.written <= self.version, "{self:?}");
        self.written >= self.version
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        assert_eq!(self.in_flight.is_some(), self.ticket.is_some(), "a request without its ticket: {self:?}");
        assert!(self.written <= self.version, "more is written than was asked for: {self:?}");
    }
}

#[cfg(test)]
#[path = "record_sync_tests.rs"]
mod tests;
