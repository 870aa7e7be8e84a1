//! What clients ask for and have to wait for: who asked, for what, and until when. Pure data: no I/O.

use crate::ids::{Reach, SessionId};
use crate::protocol::{Command, Heard, OnWrongPod, PlayerName, PodBoot, RoomId, SeatId, SeatKey};

/// How long an answer waits for the directory (ms).
pub const PATIENCE: u64 = 2_000;
/// How long JOIN and RESUME may wait where a takeover is under way (ms).
pub const TAKEOVER_PATIENCE: u64 = 5_000;

/// How long a relayed session looks for its room's new owner (ms).
pub const ATTACH_PATIENCE: u64 = 15_000;

/// When a JOIN that came at `since` is answered at the latest, if it begins to wait for the directory now (ms).
pub fn answer_by(now: u64, since: u64) -> u64 {
    (now + PATIENCE).min(since + TAKEOVER_PATIENCE)
}

/// Who asked for something, and what its reply has to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub by: Reach,
    /// The number of a relayed command; 0 for one that was asked here.
    pub number: u64,
    /// The client's own.
    pub id: Option<u64>,
}

impl Asked {
    pub fn here(session: SessionId, id: Option<u64>) -> Self {
        Self { by: Reach::Local(session), number: 0, id }
    }

    /// The relayed command that is answered.
    pub fn replies(self) -> Option<u64> {
        (self.number > 0).then_some(self.number)
    }
}

/// What JOIN and RESUME ask for, as it is kept while the owner is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Join { name: PlayerName, resumable: bool, key: Option<SeatKey> },
    Resume { token: String, heard: Option<Heard> },
}

impl Entry {
    pub fn command(&self, room: RoomId) -> Command<'static> {
        match self {
            Entry::Join { name, resumable, key } => Command::Join {
                room,
                name: *name,
                resumable: *resumable,
                key: *key,
                on_wrong_pod: Some(OnWrongPod::Relay),
            },
            Entry::Resume { token, heard } => Command::Resume {
                room,
                token: token.clone().into(),
                heard: *heard,
                on_wrong_pod: Some(OnWrongPod::Relay),
            },
        }
    }
}

/// Who waits for a new room's first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester {
    Client(Asked),
    /// The HTTP interface's query of this number.
    Query(u64),
    /// Another pod, which has no place for it.
    Pod {
        from: PodBoot,
        room: RoomId,
    },
}

/// What a session waits for a room for.
#[derive(Debug, Clone)]
pub enum WaiterPurpose {
    Enter(Entry),
    /// It has a seat there.
    Attach,
}

/// A session that waits for a room: for its owner to be found, or to be ready.
#[derive(Debug, Clone)]
pub struct Waiter {
    pub session: SessionId,
    /// The client's number for its command.
    pub id: Option<u64>,
    pub purpose: WaiterPurpose,
    pub since: u64,
    pub deadline: u64,
}

impl Waiter {
    pub fn entering(session: SessionId, id: Option<u64>, entry: Entry, now: u64) -> Self {
        Self { session, id, purpose: WaiterPurpose::Enter(entry), since: now, deadline: now + PATIENCE }
    }

    /// The same, to be looked for once more.
    pub fn again(mut self, now: u64) -> Self {
        self.deadline = answer_by(now, self.since);
        self
    }

    pub fn attaching(session: SessionId, now: u64, deadline: u64) -> Self {
        Self { session, id: None, purpose: WaiterPurpose::Attach, since: now, deadline }
    }

    /// It waits for what looks like a takeover, and may do so for longer.
    pub fn await_takeover(&mut self) {
        self.deadline = self.deadline.max(self.since + TAKEOVER_PATIENCE);
    }

    pub fn is_entering(&self) -> bool {
        matches!(self.purpose, WaiterPurpose::Enter(_))
    }
}

/// A RESUME that waits until the pod of the seat's former connection has said what that was given.
#[derive(Debug)]
pub struct Resuming {
    pub seat: SeatId,
    pub asked: Asked,
    pub entry: Entry,
    pub since: u64,
    pub until: u64,
}
