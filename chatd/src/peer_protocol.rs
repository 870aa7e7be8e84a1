//! The peer protocol: frames between pods. Types and their encoding; no I/O.
//!
//! A frame on the wire is a 4-byte big-endian length and the `postcard` encoding of [`Frame`]. Every frame names its room, so that
//! each pod can pass it to the thread that has the room.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::descriptor::{self, Descriptor};
use crate::ids::RelayId;
use crate::join_token::SeatAuth;
use crate::protocol::{
    Command, Encoding, Epoch, ErrorCode, Heard, Ownership, PlayerName, PodBoot, RoomId, SeatId, SeatKey, Timeline,
};
use crate::record::Owner;
use crate::room::{Membership, Snapshot};
use crate::room_call::RoomCall;
use crate::room_list::{ListFilter, ListedRoom};

pub use crate::ids::MAX_FRAME;
pub use crate::room::Disconnect;

/// A session as its entry pod knows it, brought to a new owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// How the client's bytes are written.
    pub encoding: Encoding,
    /// The seat that it has had, and what it has of the room.
    pub member: Membership,
    /// The owner has changed: the client gets `MOVED`.
    pub moved: bool,
}

/// What a delivery does to the session besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum After {
    /// Seated. `joined`: the bytes are JOINED and all that goes with it. If not, they say what an attach has changed, and what was
    /// missed follows.
    Admitted {
        name: PlayerName,
        seat: SeatId,
        resumable: bool,
        key: Option<SeatKey>,
        auth: Option<SeatAuth>,
        /// Of the owner.
        epoch: Epoch,
        timeline: Timeline,
        joined: bool,
    },
    /// The replay after an attach is over. Commands up to `processed` were carried out, `None`: unknown (another timeline).
    CaughtUp { processed: Option<u64> },
    /// No longer in the room, or never was; the connection stays. `miss`: it counts as one (docs/protocol.md, Limits).
    Outside { miss: bool },
    /// Flush and close. `None`: after QUIT.
    Close { code: Option<ErrorCode> },
    /// It counts as a guess.
    Guessed,
}

/// What an owner gives a relayed session: the content of [`Frame::Deliver`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The number of the command that this answers.
    pub replies: Option<u64>,
    /// The position and seq up to which the session then has everything; zeroes: as before.
    pub place: (u64, u64),
    /// For the client, in its encoding.
    pub bytes: Cow<'a, [u8]>,
    /// What it does to the session besides.
    pub after: Option<After>,
}

impl Delivery<'_> {
    /// The same delivery, owning its bytes.
    pub fn into_owned(self) -> Delivery<'static> {
        Delivery { bytes: Cow::Owned(self.bytes.into_owned()), ..self }
    }
}

/// What a pod answers when asked about a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Served {
    /// I serve it.
    Here(Owner),
    /// I am about to: ask again.
    Soon,
    /// I do not, and am not about to. The highest owner that I have seen of it, myself included.
    Not { seen: Option<Owner> },
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Frame<'a> {
    /// Do you serve `room`? `dead`: an ownership whose pod is dead; reassert above it if you do and yours is lower, take the room
    /// over if you do not.
    Ask {
        room: RoomId,
        ticket: u64,
        dead: Option<Ownership>,
    },
    Answer {
        room: RoomId,
        ticket: u64,
        served: Served,
    },
    /// `owner` has the room now.
    OwnerChanged {
        room: RoomId,
        owner: Owner,
    },
    /// Acknowledges `OwnerChanged` for `heard`. `higher`: a later owner, if one is known.
    OwnerChangedAck {
        room: RoomId,
        heard: Ownership,
        higher: Option<Owner>,
    },

    /// Entry to owner: a client's JOIN or RESUME. `relay` is new.
    Open {
        room: RoomId,
        relay: RelayId,
        encoding: Encoding,
        number: u64,
        id: Option<u64>,
        #[serde(borrow)]
        command: Command<'a>,
    },
    /// Entry to owner: a call of the server API. `relay` is new.
    Call {
        room: RoomId,
        relay: RelayId,
        call: Box<RoomCall>,
    },
    /// Entry to owner: a session that had a seat.
    Attach {
        room: RoomId,
        relay: RelayId,
        attach: Attach,
    },
    /// Entry to owner: the session's next command, or what is wrong with it.
    Command {
        room: RoomId,
        relay: RelayId,
        number: u64,
        id: Option<u64>,
        #[serde(borrow)]
        command: Result<Command<'a>, ErrorCode>,
    },
    /// Entry to owner: so many bytes of deliveries have been written to the client.
    Credit {
        room: RoomId,
        relay: RelayId,
        bytes: u32,
    },
    /// Entry to owner: the client is gone. `heard`: up to where it was given the room's messages, if that is known. `entry`: the pod
    /// that it was connected to, where the former owner passes it on.
    Closed {
        room: RoomId,
        relay: RelayId,
        disconnect: Disconnect,
        heard: Option<Heard>,
        entry: Option<PodBoot>,
    },

    /// Owner to entry: bytes for the client, in its encoding. `replies`: the number of the command that they answer. The room's
    /// events are counted by `position`, its messages by `seq`: up to here the client has them all.
    Deliver {
        room: RoomId,
        relay: RelayId,
        replies: Option<u64>,
        position: u64,
        seq: u64,
        #[serde(borrow, serialize_with = "as_bytes")]
        bytes: Cow<'a, [u8]>,
        after: Option<After>,
    },
    /// Owner to entry: not served here. `seen`: the owner, if it is known; otherwise ask again later.
    Refused {
        room: RoomId,
        relay: RelayId,
        seen: Option<Owner>,
    },
    /// Owner to entry: the room has gone to `owner`; commands after `processed` were not carried out.
    Released {
        room: RoomId,
        relay: RelayId,
        owner: Owner,
        processed: u64,
    },

    /// Take this room over (a planned move).
    MigrateOffer {
        room: RoomId,
        snapshot: Snapshot,
    },
    /// The answer to `MigrateOffer`, made from the ownership `from`. `None`: no.
    MigrateAnswer {
        room: RoomId,
        from: Ownership,
        taken: Option<Owner>,
    },

    /// Make `room`, which is new: the sender has no place for it, or many more rooms.
    Create {
        room: RoomId,
        #[serde(with = "descriptor::as_json")]
        descriptor: Option<Box<Descriptor>>,
    },
    /// The answer to `Create`.
    Created {
        room: RoomId,
        result: Result<(), ErrorCode>,
    },

    /// Former owner to owner: seats that are older than the room's timeline, those that have ended included. A pod that does not know this
    /// frame ignores it.
    Inherited {
        room: RoomId,
        seats: Vec<SeatId>,
    },

    /// Which of your rooms fit? To all threads of a pod. The answers are about `room`, which leads them to the thread that asks.
    List {
        room: RoomId,
        query: u64,
        filter: ListFilter,
    },
    /// The answer of one of `threads` threads to `List`.
    Listed {
        room: RoomId,
        query: u64,
        threads: u16,
        rooms: Vec<ListedRoom>,
    },

    /// Hand all of your rooms over, and go on. The answer is about `room`, as that to `List`.
    HandOver {
        room: RoomId,
        query: u64,
    },
    /// The answer to `HandOver`: that has begun.
    HandsOver {
        room: RoomId,
        query: u64,
    },
}

/// The number of [`Frame::List`] among the variants, as `postcard` writes it.
const LIST: u8 = 18;

/// In one piece, not byte by byte.
#[allow(clippy::ptr_arg, reason = "serde passes the field as it is")]
fn as_bytes<S: serde::Serializer>(bytes: &Cow<'_, [u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

impl Frame<'_> {
    /// The room that it is about.
    pub fn room(&self) -> RoomId {
        match self {
            Frame::Ask { room, .. }
            | Frame::Answer { room, .. }
            | Frame::OwnerChanged { room, .. }
            | Frame::OwnerChangedAck { room, .. }
            | Frame::Open { room, .. }
            | Frame::Call { room, .. }
            | Frame::Attach { room, .. }
            | Frame::Command { room, .. }
            | Frame::Credit { room, .. }
            | Frame::Closed { room, .. }
            | Frame::Deliver { room, .. }
            | Frame::Refused { room, .. }
            | Frame::Released { room, .. }
            | Frame::MigrateOffer { room, .. }
            | Frame::MigrateAnswer { room, .. }
            | Frame::Create { room, .. }
            | Frame::Created { room, .. }
            | Frame::Inherited { room, .. }
            | Frame::List { room, .. }
            | Frame::Listed { room, .. }
            | Frame::HandOver { room, .. }
            | Frame::HandsOver { room, .. } => *room,
        }
    }

    /// The same frame, owning what it holds.
    pub fn into_owned(self) -> Frame<'static> {
        match self {
            Frame::Open { room, relay, encoding, number, id, command } => {
                Frame::Open { room, relay, encoding, number, id, command: command.into_owned() }
            }
            Frame::Command { room, relay, number, id, command } => {
                Frame::Command { room, relay, number, id, command: command.map(Command::into_owned) }
            }
            Frame::Deliver { room, relay, replies, position, seq, bytes, after } => {
                let bytes = Cow::Owned(bytes.into_owned());
                Frame::Deliver { room, relay, replies, position, seq, bytes, after }
            }
            Frame::Ask { room, ticket, dead } => Frame::Ask { room, ticket, dead },
            Frame::Answer { room, ticket, served } => Frame::Answer { room, ticket, served },
            Frame::OwnerChanged { room, owner } => Frame::OwnerChanged { room, owner },
            Frame::OwnerChangedAck { room, heard, higher } => Frame::OwnerChangedAck { room, heard, higher },
            Frame::Call { room, relay, call } => Frame::Call { room, relay, call },
            Frame::Attach { room, relay, attach } => Frame::Attach { room, relay, attach },
            Frame::Credit { room, relay, bytes } => Frame::Credit { room, relay, bytes },
            Frame::Closed { room, relay, disconnect, heard, entry } => {
                Frame::Closed { room, relay, disconnect, heard, entry }
            }
            Frame::Refused { room, relay, seen } => Frame::Refused { room, relay, seen },
            Frame::Released { room, relay, owner, processed } => Frame::Released { room, relay, owner, processed },
            Frame::MigrateOffer { room, snapshot } => Frame::MigrateOffer { room, snapshot },
            Frame::MigrateAnswer { room, from, taken } => Frame::MigrateAnswer { room, from, taken },
            Frame::Create { room, descriptor } => Frame::Create { room, descriptor },
            Frame::Created { room, result } => Frame::Created { room, result },
            Frame::Inherited { room, seats } => Frame::Inherited { room, seats },
            Frame::List { room, query, filter } => Frame::List { room, query, filter },
            Frame::Listed { room, query, threads, rooms } => Frame::Listed { room, query, threads, rooms },
            Frame::HandOver { room, query } => Frame::HandOver { room, query },
            Frame::HandsOver { room, query } => Frame::HandsOver { room, query },
        }
    }

    /// Appends the frame with its length before it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        // Encoding plain data into memory cannot fail.
        let mut whole = postcard::to_extend(self, std::mem::take(out)).unwrap_or_default();
        let length = (whole.len() - start - 4) as u32;
        whole[start..start + 4].copy_from_slice(&length.to_be_bytes());
        *out = whole;
    }

    /// The frame in `payload`, which is without its length.
    pub fn decode(payload: &[u8]) -> Option<Frame<'_>> {
        let (frame, rest) = postcard::take_from_bytes(payload).ok()?;
        rest.is_empty().then_some(frame)
    }
}

/// Splits the first whole frame off `bytes`: its payload and what follows. `Ok(None)`: not all of it is there yet; `Err`: too long.
#[allow(clippy::type_complexity, reason = "a payload and the rest are clearer unnamed")]
pub fn split(bytes: &[u8]) -> Result<Option<(&[u8], &[u8])>, FrameTooLong> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_FRAME {
        return Err(FrameTooLong);
    }
    Ok(rest.split_at_checked(length))
}

/// The room of the frame in `payload`, without decoding the rest: `postcard` writes the variant's number in one byte, then the
/// first field, which is the room in every variant, as a string: its length in one byte, and its bytes.
pub fn peek_room(payload: &[u8]) -> Option<RoomId> {
    let (&[variant, length], rest) = payload.split_first_chunk::<2>()?;
    // A larger number would take another byte, and a longer text is no room.
    let room = rest.get(..usize::from(length)).filter(|_| variant < 0x80)?;
    std::str::from_utf8(room).ok()?.parse().ok()
}

/// Whether the frame in `payload` is for all threads of a pod.
pub fn is_for_all(payload: &[u8]) -> bool {
    payload.first() == Some(&LIST)
}

/// A peer announced a frame longer than [`MAX_FRAME`]: the link is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame longer than {MAX_FRAME} bytes")]
pub struct FrameTooLong;

#[cfg(test)]
#[path = "peer_protocol_tests.rs"]
mod tests;
