//! A room's record in the directory, and the one comparison of a stored record with the held one. Pure: no I/O.

mod ended;
mod state;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bans::Bans;
use crate::descriptor::{self, Descriptor};
use crate::join_token::{Places, SeatAuth, is_viewer};
use crate::profile::Profiles;
use crate::protocol::{Epoch, Ownership, PlayerName, PodBoot, SeatId, SeatKey};

pub use ended::ENDED_TTL;
pub use state::{RecordedEntry, RecordedState};

/// A pod as owner of a room: its identity and its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The epoch and the process: greater ones win.
    pub ownership: Ownership,
    /// The pod's name, under which its lease stands.
    pub pod_id: String,
    /// `host:port` for raw TCP clients.
    pub tcp: String,
    /// `host:port` for browsers.
    pub web: String,
    /// `host:port` for other pods.
    pub peer: String,
}

/// One seat as the record keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSeat {
    /// The number that tokens name.
    pub seat: SeatId,
    /// A new owner holds this seat; it ends the others.
    #[serde(default)]
    pub hold: bool,
    /// Written before its JOIN was answered: a new owner gives it only to who shows that it was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joining: bool,
    /// What the key is known by with which its player finds it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SeatKey>,
    /// Of the join token that it was taken with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<SeatAuth>,
}

/// A pod that had the room, as long as it may not have heard that it has not any more: the next owner goes on telling it, should
/// this one end before it could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Of its ownership.
    pub epoch: Epoch,
    /// The process.
    pub boot: PodBoot,
    /// `host:port` for other pods.
    pub peer: String,
}

impl Former {
    /// The ownership that it had.
    pub fn ownership(&self) -> Ownership {
        Ownership { epoch: self.epoch, boot: self.boot }
    }
}

impl From<&Owner> for Former {
    fn from(owner: &Owner) -> Self {
        Self { epoch: owner.ownership.epoch, boot: owner.ownership.boot, peer: owner.peer.clone() }
    }
}

/// The value of `room:<room>`. `pod_id` and `players` are what readers of older versions expect; fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The owner's name, under which its lease stands.
    pub pod_id: String,
    /// The names of `seats`, but for those that readers of older versions would take for rubbish: read them by [`Record::names`].
    pub players: Vec<PlayerName>,
    /// `host:port` of the owner for raw TCP clients.
    pub addr: String,
    /// `host:port` of the owner for other pods.
    pub peer: String,
    /// `host:port` of the owner for browsers.
    pub web: String,
    /// Of the ownership; at most [`MAX_EPOCH`].
    pub epoch: Epoch,
    /// The process that owns the room.
    pub boot: PodBoot,
    /// Seats by the player's name, as JSON has it: read them by [`Record::seats`].
    pub seats: BTreeMap<String, RecordedSeat>,
    /// At most [`MAX_FORMER`]. Most often nobody, and then not written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
    /// What is different in this room; most often nothing, and then not written.
    #[serde(default, deserialize_with = "descriptor::stored", skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Box<Descriptor>>,
    /// Counts the writes of one ownership, so that no two have the same bytes: a swap that was given up and is carried out late
    /// must not find what it expected come back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub serial: u64,
    /// `None`: nobody has set any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RecordedState>,
    /// Who is kept out.
    #[serde(default, skip_serializing_if = "Bans::is_empty")]
    pub bans: Bans,
    /// What join tokens say of the players.
    #[serde(default, skip_serializing_if = "Profiles::is_empty")]
    pub profiles: Profiles,
    /// The room has ended for everyone: see [`Record::of_ended`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// The last epoch of a room of this name that has ended for everyone, if this one was made in place of its tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Epoch>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_zero(serial: &u64) -> bool {
    *serial == 0
}

/// The former owners that a record names: a room that changes hands more often while they are all away is not worth more bytes.
pub const MAX_FORMER: usize = 4;

/// No epoch is above this: a whole number that every JSON reader can hold, far beyond any clock. A room at this epoch cannot be reasserted.
pub const MAX_EPOCH: Epoch = 1 << 53;

/// A record is at most this many bytes: 64 seats of names and numbers need about 12 KiB. Anything longer is not ours.
pub const MAX_RECORD: usize = 64 * 1024;

impl Record {
    /// The first record of an ownership: nobody had the room before, and it is write number 0.
    pub fn new(owner: &Owner, seats: impl Iterator<Item = (PlayerName, RecordedSeat)>) -> Self {
        let seats: Vec<_> = seats.collect();
        Self {
            pod_id: owner.pod_id.clone(),
            players: seats.iter().map(|(name, _)| *name).filter(PlayerName::is_plain).collect(),
            addr: owner.tcp.clone(),
            peer: owner.peer.clone(),
            web: owner.web.clone(),
            epoch: owner.ownership.epoch,
            boot: owner.ownership.boot,
            seats: seats.iter().map(|(name, seat)| (name.as_str().to_owned(), *seat)).collect(),
            former: Vec::new(),
            descriptor: None,
            serial: 0,
            state: None,
            bans: Bans::default(),
            profiles: Profiles::default(),
            ended: false,
            replaces: None,
        }
    }

    /// The same record with this state.
    #[must_use]
    pub fn with_state(self, state: Option<RecordedState>) -> Self {
        Self { state, ..self }
    }

    /// The same record as the write with this number (see [`Record::serial`]).
    #[must_use]
    pub fn numbered(self, serial: u64) -> Self {
        Self { serial, ..self }
    }

    /// The same record, which says who is kept out.
    #[must_use]
    pub fn banning(self, bans: &Bans) -> Self {
        Self { bans: bans.clone(), ..self }
    }

    /// The same record, which says what join tokens say of the players.
    #[must_use]
    pub fn showing(self, profiles: Profiles) -> Self {
        Self { profiles, ..self }
    }

    /// The same record, of a room with this descriptor.
    #[must_use]
    pub fn described(mut self, descriptor: Option<&Descriptor>) -> Self {
        self.descriptor = descriptor.filter(|descriptor| !descriptor.is_empty()).cloned().map(Box::new);
        self
    }

    /// The same record, naming those of `former` that had the room last, each process once.
    #[must_use]
    pub fn naming(mut self, former: impl IntoIterator<Item = Former>) -> Self {
        let mut former: Vec<Former> =
            former.into_iter().filter(|former| former.boot != self.boot && former.peer != self.peer).collect();
        former.sort_by_key(|former| std::cmp::Reverse(former.ownership()));
        let mut seen = std::collections::BTreeSet::new();
        former.retain(|former| seen.insert(former.boot));
        former.truncate(MAX_FORMER);
        self.former = former;
        self
    }

    /// `None` for rubbish, and for what another program wrote.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let record: Option<Self> = (bytes.len() <= MAX_RECORD).then(|| serde_json::from_slice(bytes).ok()).flatten();
        let mut record = record.filter(|record| record.epoch <= MAX_EPOCH)?;
        record.former.truncate(MAX_FORMER);
        record.bans.limit();
        Some(record)
    }

    /// As JSON.
    pub fn to_bytes(&self) -> Bytes {
        // Serialising plain strings and numbers into memory cannot fail.
        // Without what the vector has to spare: a room keeps it until the next one is written.
        serde_json::to_vec(self).unwrap_or_default().into_boxed_slice().into()
    }

    /// The ownership that it states.
    pub fn ownership(&self) -> Ownership {
        Ownership { epoch: self.epoch, boot: self.boot }
    }

    /// The owner that it names.
    pub fn owner(&self) -> Owner {
        Owner {
            ownership: self.ownership(),
            pod_id: self.pod_id.clone(),
            tcp: self.addr.clone(),
            web: self.web.clone(),
            peer: self.peer.clone(),
        }
    }

    /// The seats that a new owner holds: what names and numbers cannot be read or stand there twice is left out, and so is
    /// what goes beyond `most`, should other pods allow more players than this one.
    pub fn held_seats(&self, most: u32) -> Vec<(PlayerName, RecordedSeat)> {
        let mut held: Vec<(PlayerName, RecordedSeat)> = Vec::new();
        let mut places = Places::new(most);
        for (name, seat) in self.seats().filter(|(_, seat)| seat.hold) {
            let sub = |seat: &RecordedSeat| seat.auth.map(|auth| auth.sub);
            let same = |held: &RecordedSeat| held.seat == seat.seat || (sub(held).is_some() && sub(held) == sub(&seat));
            let twice = held.iter().any(|(other, held)| *other == name || same(held));
            if !twice && places.take(seat.auth) {
                held.push((name, seat));
            }
        }
        held
    }

    /// The seats whose JOIN may not have been answered: nobody holds them, but who knows its number was answered.
    pub fn unanswered_seats(&self, most: u32) -> Vec<(PlayerName, RecordedSeat)> {
        let mut places = Places::new(most);
        self.seats().filter(|(_, seat)| seat.joining && places.take(seat.auth)).collect()
    }

    /// The names of all players whose seats can be read; those who only hear are none.
    pub fn names(&self) -> Vec<PlayerName> {
        let viewers: Vec<_> = self.seats().filter(|(_, seat)| is_viewer(seat.auth)).map(|(name, _)| name).collect();
        let others = self.seats().map(|(name, _)| name).filter(|name| !name.is_plain());
        let all = self.players.iter().copied().chain(others);
        all.filter(|name| !viewers.contains(name)).collect()
    }

    /// The seats that can be read, in no particular order.
    pub fn seats(&self) -> impl Iterator<Item = (PlayerName, RecordedSeat)> + '_ {
        self.seats.iter().filter_map(|(name, seat)| Some((name.parse().ok()?, *seat)))
    }
}

/// What a stored value means to the pod that holds a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// These are my bytes.
    Mine,
    /// My ownership, other bytes: an older or a later write of mine.
    MineOther,
    /// Nothing is stored: it ran out, was deleted or lost.
    Missing,
    /// Another's lower ownership, an older one of mine, or rubbish: to be written over.
    Lower,
    /// The room is to be released to it.
    Higher(Box<Record>),
}

/// Judges `stored` against the ownership that I hold and the bytes that I last meant to be there.
pub fn judge(stored: Option<&[u8]>, held: Ownership, meant: &[u8]) -> Verdict {
    let Some(stored) = stored else {
        return Verdict::Missing;
    };
    if stored == meant {
        return Verdict::Mine;
    }
    match Record::parse(stored) {
        Some(record) if record.ownership() > held => Verdict::Higher(Box::new(record)),
        Some(record) if record.ownership() == held => Verdict::MineOther,
        _ => Verdict::Lower,
    }
}

/// The epoch of a room that is created, taken over or moved: above all that is known of it, and near the wall clock (Unix ms),
/// so that pods which know nothing of each other's rooms still count upwards.
pub fn next_epoch(stored: Option<Epoch>, seen: Option<Epoch>, wall: u64) -> Epoch {
    let known = stored.max(seen).map_or(0, |epoch| epoch.saturating_add(1000));
    known.max(wall)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            ownership: Ownership { epoch: 7, boot: PodBoot(1) },
            pod_id: "chat-0".into(),
            tcp: "h:7654".into(),
            web: "h:8081".into(),
            peer: "h:7755".into(),
        }
    }

    fn seat(number: u64) -> RecordedSeat {
        RecordedSeat { seat: SeatId(number), hold: true, joining: false, key: None, auth: None }
    }

    #[test]
    fn what_a_later_version_says_in_a_record_is_no_rubbish() {
        let record = Record::new(&owner(), std::iter::once(("alice".parse().unwrap(), seat(5))));
        let mut later: serde_json::Value = serde_json::from_slice(&record.to_bytes()).unwrap();
        later["topic"] = serde_json::json!({"text": "x"});
        later["seats"]["alice"]["role"] = serde_json::json!("host");
        assert_eq!(Record::parse(later.to_string().as_bytes()), Some(record));
    }

    #[test]
    fn a_descriptor_that_cannot_be_read_opens_no_room() {
        let kind = Descriptor { kind: Some("duel".into()), ..Descriptor::default() };
        let record = Record::new(&owner(), std::iter::empty()).described(Some(&kind));
        let text = String::from_utf8(record.to_bytes().to_vec()).unwrap();
        for wrong in [r#""descriptor":{"max_players":"8"}"#, r#""descriptor":[]"#, r#""descriptor":7"#] {
            let wrong = text.replace(r#""descriptor":{"kind":"duel"}"#, wrong);
            assert_ne!(wrong, text);
            let read = Record::parse(wrong.as_bytes()).unwrap();
            let access = read.descriptor.as_ref().and_then(|descriptor| descriptor.access);
            assert_eq!(access, Some(crate::descriptor::RoomAccess::Token), "{wrong}");
        }
        assert_eq!(Record::parse(text.as_bytes()).unwrap(), record);
    }

    #[test]
    fn a_reader_of_older_versions_finds_no_name_that_it_does_not_know() {
        let names = ["花子", "alice", "d'Arc", "Анна"];
        let seats = names.iter().zip(1..).map(|(name, number)| (name.parse().unwrap(), seat(number)));
        let record = Record::parse(&Record::new(&owner(), seats).to_bytes()).unwrap();
        assert_eq!(record.players, ["alice".parse().unwrap()]);
        let mut shown: Vec<_> = record.names().iter().map(ToString::to_string).collect();
        shown.sort();
        assert_eq!(shown, ["alice", "d'Arc", "Анна", "花子"]);
        assert_eq!(record.held_seats(64).len(), 4);
    }
}
