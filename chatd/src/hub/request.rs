//! Requests of clients that wait: the session, the request, the deadline. Plain data: no I/O.

use std::sync::Arc;

use crate::descriptor::Descriptor;
use crate::ids::{Reach, SessionId};
use crate::join_token::Grant;
use crate::protocol::{Command, Heard, OnWrongPod, PlayerName, PodBoot, RoomId, SeatId, SeatKey};
use crate::room_call::RoomCall;

/// How long an answer waits for the directory (ms).
pub const PATIENCE: u64 = 2_000;
/// How long JOIN and RESUME wait while a takeover is under way (ms).
pub const TAKEOVER_PATIENCE: u64 = 5_000;

/// How long a relayed session searches for its room's new owner (ms).
pub const ATTACH_PATIENCE: u64 = 15_000;

/// The deadline of a JOIN that came at `since`, if it begins to wait for the directory now (ms).
pub fn answer_by(now: u64, since: u64) -> u64 {
    (now + PATIENCE).min(since + TAKEOVER_PATIENCE)
}

/// The context of a request: the session that sent it, and the numbers that the reply carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub by: Reach,
    /// The number of a relayed command; 0 for a local one.
    pub number: u64,
    /// The client's id for it.
    pub id: Option<u64>,
}

impl Asked {
    pub fn here(session: SessionId, id: Option<u64>) -> Self {
        Self { by: Reach::Local(session), number: 0, id }
    }

    /// The number of the relayed command that the reply answers.
    pub fn replies(self) -> Option<u64> {
        (self.number > 0).then_some(self.number)
    }
}

/// A JOIN or RESUME, kept while the hub searches for the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `auth`: the join token as the client sent it.
    Join {
        name: PlayerName,
        resumable: bool,
        key: Option<SeatKey>,
        auth: Option<Box<str>>,
    },
    Resume {
        token: String,
        heard: Option<Heard>,
    },
}

impl Entry {
    /// JOIN, not RESUME.
    pub fn is_join(&self) -> bool {
        matches!(self, Entry::Join { .. })
    }

    /// As it travels to the room's owner, which gets the session's encoding beside it.
    pub fn command(&self, room: RoomId) -> Command<'static> {
        match self {
            Entry::Join { name, resumable, key, auth } => Command::Join {
                room,
                name: *name,
                resumable: *resumable,
                key: *key,
                auth: auth.clone().map(|auth| String::from(auth).into()),
                on_wrong_pod: Some(OnWrongPod::Relay),
                events: false,
            },
            Entry::Resume { token, heard } => Command::Resume {
                room,
                token: token.clone().into(),
                heard: *heard,
                on_wrong_pod: Some(OnWrongPod::Relay),
                events: false,
            },
        }
    }
}

/// The requester of a new room, which waits for the first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester {
    Client(Asked),
    /// The HTTP API's query with this number.
    Query(u64),
    /// Clients that enter `room`, which did not exist: it costs `by` a creation.
    Named {
        room: RoomId,
        by: SessionId,
    },
    /// Another pod, which has no capacity for the room.
    Pod {
        from: PodBoot,
        room: RoomId,
    },
}

impl Requester {
    /// The id that the room is to have.
    pub fn room(self) -> Option<RoomId> {
        match self {
            Requester::Named { room, .. } | Requester::Pod { room, .. } => Some(room),
            Requester::Client(_) | Requester::Query(_) => None,
        }
    }
}

/// The request for which a session waits for a room.
#[derive(Debug, Clone)]
pub enum WaiterPurpose {
    Enter(Entry),
    /// The server API asks something of the room.
    Call(Box<RoomCall>),
    /// It has a seat there.
    Attach,
}

/// A session that waits until its room's owner is found, or until the room is ready.
#[derive(Debug, Clone)]
pub struct Waiter {
    pub session: SessionId,
    /// The client's id for its command.
    pub id: Option<u64>,
    pub purpose: WaiterPurpose,
    /// The room is made if there is none.
    pub creates: bool,
    /// By this token, if by one.
    pub grant: Option<Arc<Grant>>,
    /// The client shows nothing that lets it into a room that needs a token.
    pub stranger: bool,
    pub since: u64,
    pub deadline: u64,
}

impl Waiter {
    pub fn entering(session: SessionId, id: Option<u64>, entry: Entry, now: u64) -> Self {
        let purpose = WaiterPurpose::Enter(entry);
        Self {
            session,
            id,
            purpose,
            creates: false,
            grant: None,
            stranger: false,
            since: now,
            deadline: now + PATIENCE,
        }
    }

    /// A call of the server API.
    pub fn calling(session: SessionId, call: Box<RoomCall>, now: u64) -> Self {
        let (creates, deadline) = (call.creates(), now + PATIENCE);
        Self { purpose: WaiterPurpose::Call(call), creates, ..Self::attaching(session, now, deadline) }
    }

    /// The same waiter; `creates`: the room is made if there is none. `grant`: as the token says that lets its holder.
    pub fn creating(self, creates: bool, grant: Option<Arc<Grant>>) -> Self {
        Self { creates, grant: grant.filter(|_| creates), ..self }
    }

    /// The same waiter for a new search.
    pub fn again(mut self, now: u64) -> Self {
        self.deadline = answer_by(now, self.since);
        self
    }

    pub fn attaching(session: SessionId, now: u64, deadline: u64) -> Self {
        Self {
            session,
            id: None,
            purpose: WaiterPurpose::Attach,
            creates: false,
            grant: None,
            stranger: false,
            since: now,
            deadline,
        }
    }

    /// A takeover seems to be under way: it may wait longer.
    pub fn await_takeover(&mut self) {
        self.deadline = self.deadline.max(self.since + TAKEOVER_PATIENCE);
    }

    pub fn is_entering(&self) -> bool {
        !matches!(self.purpose, WaiterPurpose::Attach)
    }

    /// With which descriptor the room is made for it.
    pub fn descriptor(&self) -> Option<Box<Descriptor>> {
        match &self.purpose {
            WaiterPurpose::Call(call) => call.descriptor().cloned().map(Box::new),
            _ => self.grant.as_ref().and_then(|grant| grant.descriptor()).cloned().map(Box::new),
        }
    }

    /// Nobody can tell whether its call was carried out, and it must not be a second time.
    pub fn is_lost_with_its_owner(&self) -> bool {
        matches!(&self.purpose, WaiterPurpose::Call(call) if !call.may_come_again())
    }
}

/// Whom a room that is here is hidden from.
#[derive(Debug, Clone)]
pub enum Stranger {
    Client(Box<Waiter>),
    /// The HTTP API's query with this number.
    Query(u64),
}

/// A RESUME that waits until the entry pod of the seat's former connection reports what it delivered.
#[derive(Debug)]
pub struct PendingResume {
    pub seat: SeatId,
    pub asked: Asked,
    pub entry: Entry,
    pub since: u64,
    pub until: u64,
}
