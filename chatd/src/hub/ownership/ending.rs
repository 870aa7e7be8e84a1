//! The end of an owned room for everyone who is in it, and who has to wait until it is gone. Pure: no I/O, and knows no hub.

use super::claims::Claim;
use super::owned::Owned;
use crate::hub::request::{PendingResume, Waiter, WaiterPurpose};
use crate::hub::rooms::Rooms;
use crate::ids::{Reach, SessionRef};
use crate::peer_protocol::Frame;
use crate::protocol::{Command, Epoch, ErrorCode, PodBoot};
use crate::record::{Owner, Record, next_epoch};
use crate::room::Newcomer;

/// Who hears of the end.
#[derive(Debug)]
pub struct Ended {
    /// Those who are connected.
    pub members: Vec<Reach>,
    /// The RESUMEs that wait.
    pub resumes: Vec<PendingResume>,
    /// The JOINs whose tokens are being used.
    pub claims: Vec<Claim>,
}

impl Owned {
    /// It has ended for everyone.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The application calls for its end at `wall` (Unix ms).
    pub fn delete(&mut self, wall: u64) {
        self.deleted = true;
        self.room.end_at(wall);
    }

    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Whether nobody comes into it any more at `wall` (Unix ms), since its time is over: its descriptor says so.
    pub fn has_ended(&self, wall: u64) -> bool {
        self.over || self.room.descriptor().is_some_and(|descriptor| descriptor.has_expired(wall))
    }

    /// Whether it is to end for everyone now.
    pub fn is_to_end(&self, wall: u64) -> bool {
        self.ready() && !self.over && self.has_ended(wall)
    }

    /// Why a newcomer may not come in at `wall` (Unix ms), whatever place there is.
    pub fn bars(&self, who: &Newcomer, wall: u64) -> Option<ErrorCode> {
        if self.has_ended(wall) {
            Some(ErrorCode::RoomNotFound)
        } else {
            self.room.keeps_out(who.name, who.auth, wall).then_some(ErrorCode::Banned)
        }
    }

    /// Whether a client waits until the room is ready, or, for a JOIN and a call that makes a room, until what has ended is gone: then its
    /// search finds no such room, and makes one if it may.
    pub fn keeps_waiting(&self, waiter: &Waiter, wall: u64) -> bool {
        let joins = match &waiter.purpose {
            WaiterPurpose::Enter(entry) => entry.is_join(),
            WaiterPurpose::Call(call) => call.creates(),
            WaiterPurpose::Attach => false,
        };
        self.is_in_the_way(joins, wall)
    }

    fn is_in_the_way(&self, joins: bool, wall: u64) -> bool {
        !self.ready() || joins && self.has_ended(wall)
    }

    /// The same for a frame of another pod.
    fn keeps_frame_waiting(&self, frame: &Frame<'_>, wall: u64) -> bool {
        let joins = match frame {
            Frame::Open { command, .. } => matches!(command, Command::Join { .. }),
            Frame::Call { call, .. } => call.creates(),
            _ => false,
        };
        self.is_in_the_way(joins, wall)
    }

    /// What its record is to say once it has ended for everyone.
    pub(super) fn tombstone(&self, owner: &Owner) -> Option<Record> {
        let expires_at = self.room.descriptor().and_then(|descriptor| descriptor.expires_at);
        self.over.then(|| Record::of_ended(owner, expires_at))
    }

    /// A room of this name, which has ended, had this epoch.
    pub(super) fn rise_above(&mut self, ended: Epoch) {
        self.ownership.epoch = next_epoch(Some(ended), None, self.ownership.epoch);
        self.room.replace(Some(ended));
    }

    /// It ends for everyone.
    pub fn end(&mut self, now: u64) -> Ended {
        let members = self.room.end();
        (self.over, self.holds_at) = (true, None);
        self.changed();
        self.note_empty(now);
        let claims = std::mem::take(&mut self.claims).into_iter().map(|(_, claim)| claim).collect();
        Ended { members, resumes: std::mem::take(&mut self.pending_resumes), claims }
    }
}

impl Rooms {
    /// Frames of sessions wait until their room is ready, and has answered what it holds them back for.
    pub fn keep_frame_waiting(&self, wall: u64, from: PodBoot, frame: &Frame<'_>) -> bool {
        let (Frame::Open { room, relay, .. }
        | Frame::Call { room, relay, .. }
        | Frame::Attach { room, relay, .. }
        | Frame::Command { room, relay, .. }
        | Frame::Closed { room, relay, .. }) = frame
        else {
            return false;
        };
        let boot = if let Frame::Closed { entry: Some(entry), .. } = frame { *entry } else { from };
        let session = SessionRef { boot, relay: *relay };
        self.of(*room)
            .is_some_and(|owned| owned.keeps_frame_waiting(frame, wall) || owned.holds_back(Reach::Remote(session)))
    }
}
