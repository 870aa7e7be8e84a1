//! The state of a room: values that its members change and all of them have. It moves with the room; the ring does not have it. A member
//! that may have missed a change is told all of it. Pure: no I/O.

use serde::{Deserialize, Serialize};

use super::{Answers, CaughtUp, Membership, Room, Seat};
use crate::ids::SessionRef;
use crate::protocol::{
    Encoding, Epoch, ErrorCode, Event, MAX_KEPT_STATE, MAX_STATE, MAX_STATE_KEYS, PlayerName, SeatId, StateKey,
    StateSet, StateView, StateViews,
};
use crate::record::{MAX_EPOCH, RecordedEntry, RecordedState};

/// Bytes of memory of a key besides its value, approximately.
const OVERHEAD: usize = size_of::<Entry>();

/// The most bytes of memory that a state takes, as [`Room::state_bytes`] counts them.
pub const MAX_STATE_MEMORY: usize = size_of::<State>() + MAX_STATE + MAX_STATE_KEYS * OVERHEAD;

/// A key with its last change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    key: StateKey,
    /// Compact JSON. `None` only in [`State::removal`].
    value: Option<Box<str>>,
    version: u64,
    from: PlayerName,
    /// Of the change among the room's events.
    position: u64,
    /// The command that made it.
    answers: Option<Answers>,
}

impl Entry {
    fn view(&self) -> StateView<'_> {
        StateView { key: self.key, value: self.value.as_deref(), version: self.version, from: self.from }
    }

    /// Bytes as the limits count them.
    fn counted(&self) -> usize {
        self.key.as_str().len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

/// All of a room's state. A room in which nobody ever set any has none of this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The number of the last change. They rise by one in a timeline; after a takeover they go on from far above, so that none that a client
    /// has from a former owner is used again.
    version: u64,
    /// The position of the last one; 0: none in this timeline.
    position: u64,
    /// In the order of their last changes.
    entries: Vec<Entry>,
    /// The last change, if it removed a key.
    removal: Option<Entry>,
    /// An owner before had some that this one has not.
    lost: bool,
}

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateRefusal {
    /// The key has this version.
    Conflict(u64),
    /// This error.
    Code(ErrorCode),
}

/// A change that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChanged {
    /// The room's count of changes now.
    pub version: u64,
    /// Who made it.
    pub from: PlayerName,
    /// By how many bytes the memory has grown, or shrunk if negative.
    pub grown: isize,
    /// The record has to follow.
    pub rewrite: bool,
}

impl State {
    /// What a new owner has of the former one's, by the record.
    fn recorded(recorded: &RecordedState) -> Self {
        let entry = |entry: &RecordedEntry| Entry {
            key: entry.key,
            value: Some(entry.value.as_str().into()),
            version: entry.version,
            from: entry.from,
            position: 0,
            answers: None,
        };
        let entries = recorded.entries.iter().map(entry).collect();
        let state = Self { version: recorded.version, entries, lost: recorded.version == 0, ..Self::default() };
        let fits = |entry: &RecordedEntry| StateSet::new(entry.key, &entry.value, None).is_ok();
        if state.is_nonsense(0) || !recorded.entries.iter().all(fits) {
            return Self { lost: true, ..Self::default() };
        }
        state
    }

    /// For the record: all of it where it is `kept` and short enough, or only that there is some.
    fn for_record(&self, kept: bool) -> RecordedState {
        if !kept || !self.fits_into_record() {
            return RecordedState::default();
        }
        let entry = |entry: &Entry| {
            let value = entry.value.as_deref()?.to_owned();
            Some(RecordedEntry { key: entry.key, value, version: entry.version, from: entry.from })
        };
        RecordedState { version: self.version, entries: self.entries.iter().filter_map(entry).collect() }
    }

    /// Bytes of memory that a key takes, approximately.
    fn taken_by(&self, key: StateKey) -> usize {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.and_then(|entry| entry.value.as_ref()).map_or(0, |value| value.len() + OVERHEAD)
    }

    /// Whether the record has place for all of it.
    fn fits_into_record(&self) -> bool {
        self.counted() <= MAX_KEPT_STATE
    }

    fn counted(&self) -> usize {
        self.entries.iter().map(Entry::counted).sum()
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.counted() + self.entries.len() * OVERHEAD
    }

    /// There is something to tell of it, in this timeline.
    fn is_told(&self) -> bool {
        self.position > 0 || !self.entries.is_empty()
    }

    fn views(&self) -> Vec<StateView<'_>> {
        self.entries.iter().map(Entry::view).collect()
    }

    /// Whether no healthy pod has it in a room whose last event is at `position`.
    pub(super) fn is_nonsense(&self, position: u64) -> bool {
        let rises = |pair: &[Entry]| pair[0].version < pair[1].version;
        let twice = |index: usize, entry: &Entry| self.entries[..index].iter().any(|other| other.key == entry.key);
        let changes = || self.entries.iter().chain(&self.removal);
        self.version > MAX_EPOCH
            || self.position > position
            || changes().any(|entry| entry.version > self.version || entry.position > self.position)
            || self.entries.len() > MAX_STATE_KEYS
            || self.counted() > MAX_STATE
            || self.entries.iter().any(|entry| entry.value.is_none())
            || !self.entries.windows(2).all(rises)
            || self.entries.iter().enumerate().any(|(index, entry)| twice(index, entry))
    }

    /// Changes a key, as change number `version + 1` at `position`.
    fn set(
        &mut self,
        set: &StateSet<'_>,
        from: PlayerName,
        (position, answers): (u64, Option<Answers>),
        most: usize,
    ) -> Result<(), StateRefusal> {
        let index = self.entries.iter().position(|entry| entry.key == set.key);
        let before = index.map(|index| &self.entries[index]);
        let current = before.map_or(0, |entry| entry.version);
        if set.if_version.is_some_and(|expected| expected != current) {
            return Err(StateRefusal::Conflict(current));
        }
        let value = set.value.as_deref().map(Into::into);
        let version = self.version + 1;
        let entry = Entry { key: set.key, value, version, from, position, answers };
        let others = self.counted() - before.map_or(0, Entry::counted);
        if entry.value.is_some()
            && (others + entry.counted() > most || index.is_none() && self.entries.len() == MAX_STATE_KEYS)
        {
            return Err(StateRefusal::Code(ErrorCode::StateFull));
        }
        if let Some(index) = index {
            self.entries.remove(index);
        }
        (self.version, self.position) = (version, position);
        self.removal = None;
        if entry.value.is_some() {
            self.entries.push(entry);
        } else {
            self.removal = Some(entry);
        }
        Ok(())
    }
}

#[cfg(test)]
impl State {
    /// With a key and a removal, for tests of its encoding.
    pub fn sample(from: PlayerName, answers: Option<Answers>) -> Self {
        let entry = |key: &str, value: Option<&str>, number| Entry {
            key: key.parse().unwrap_or_else(|_| unreachable!()),
            value: value.map(Into::into),
            version: number,
            from,
            position: number,
            answers,
        };
        let (entries, removal) = (vec![entry("a", Some("1"), 1)], Some(entry("b", None, 2)));
        Self { version: 2, position: 2, entries, removal, lost: true }
    }
}

impl Room {
    /// Changes the state. `free`: bytes of memory that it may grow by.
    ///
    /// # Errors
    ///
    /// The key has another version than the change is for; or the state has no place for it.
    pub fn set_state(
        &mut self,
        seat: SeatId,
        set: &StateSet<'_>,
        answers: Option<Answers>,
        free: usize,
    ) -> Result<StateChanged, StateRefusal> {
        let from = self.seat(seat).map(Seat::name).ok_or(StateRefusal::Code(ErrorCode::NotInRoom))?;
        let (had, before) = (self.state.is_some(), self.state_bytes());
        let value = set.value.as_ref().map_or(0, |value| value.len());
        let held = self.state.as_ref().map_or(0, |state| state.taken_by(set.key));
        if value > 0 && value + OVERHEAD > held.saturating_add(free) {
            return Err(StateRefusal::Code(ErrorCode::StateFull));
        }
        let most = if self.keeps_state() { MAX_KEPT_STATE } else { MAX_STATE };
        let version = self.versions_from;
        let state = self.state.get_or_insert_with(|| Box::new(State { version, ..State::default() }));
        if let Err(refusal) = state.set(set, from, (self.position + 1, answers), most) {
            self.state.take_if(|_| !had);
            return Err(refusal);
        }
        let version = state.version;
        self.position += 1;
        let grown = self.state_bytes().cast_signed() - before.cast_signed();
        Ok(StateChanged { version, from, grown, rewrite: !had || self.keeps_state() })
    }

    /// Bytes of memory of the state.
    pub fn state_bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.memory())
    }

    /// Whether the record has place for all of the state.
    pub(super) fn fits_into_record(&self) -> bool {
        self.state.as_ref().is_none_or(|state| state.fits_into_record())
    }

    /// The state for the record.
    pub fn recorded_state(&self) -> Option<RecordedState> {
        self.state.as_ref().map(|state| state.for_record(self.keeps_state()))
    }

    /// After a takeover: what the record has of it. `epoch`: of the ownership. It is that of a clock in ms or more, and no room changes its
    /// state so often.
    #[must_use]
    pub fn with_state(mut self, recorded: Option<&RecordedState>, epoch: Epoch) -> Self {
        self.versions_from = epoch;
        self.state = recorded.map(|recorded| {
            let state = State::recorded(recorded);
            Box::new(State { version: state.version.max(epoch), ..state })
        });
        self
    }

    /// Calls `encode` with all of the state, if it has ever changed in this timeline or before.
    pub(super) fn view_state<T>(&self, encode: impl FnOnce(Option<StateViews<'_>>) -> T) -> T {
        match self.state.as_ref().filter(|state| state.is_told()) {
            Some(state) => encode(Some(StateViews { version: state.version, entries: &state.views() })),
            None => encode(None),
        }
    }

    /// Tells a client of another timeline that what it has of the state may be gone.
    pub(super) fn encode_state_lost(&self, encoding: Encoding, out: &mut Vec<u8>) {
        if self.state.as_ref().is_some_and(|state| state.lost) {
            encoding.encode(&Event::StateLost, None, out);
        }
    }

    /// Tells an attached session all of the state, if it may have missed a change.
    pub fn encode_state(&self, member: &Membership, encoding: Encoding, out: &mut Vec<u8>) {
        let same = self.shares_history(member);
        if !same {
            self.encode_state_lost(encoding, out);
        }
        if let Some(state) = self.state.as_ref().filter(|state| !same || state.position > member.position) {
            let (version, entries) = (state.version, &*state.views());
            if state.is_told() {
                encoding.encode(&Event::StateAll(StateViews { version, entries }), None, out);
            }
        }
    }

    /// The changes after `position` that answer commands of this session, whose replies were lost: it has the state already.
    pub(super) fn state_replies(&self, position: u64, session: SessionRef, encoding: Encoding) -> Vec<CaughtUp> {
        let changes = self.state.iter().flat_map(|state| state.entries.iter().chain(&state.removal));
        let reply = |entry: &Entry| {
            let answers = entry.answers.filter(|answers| answers.session == session && answers.number > 0)?;
            let mut bytes = Vec::new();
            encoding.encode(&Event::State(entry.view()), answers.id, &mut bytes);
            Some(CaughtUp { position: entry.position, seq: None, replies: answers.number, bytes })
        };
        changes.filter(|entry| entry.position > position).filter_map(reply).collect()
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
