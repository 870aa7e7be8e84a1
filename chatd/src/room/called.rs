//! What the server API sees and changes of a room. Pure: no I/O.

use std::borrow::Cow;

use super::{Answers, Room, SeatState};
use crate::descriptor::Descriptor;
use crate::ids::{RelayId, SessionRef};
use crate::protocol::{ErrorCode, PodBoot};
use crate::room_call::{CallKey, DescriptorPatch, PlayerInfo, RoomInfo};

impl Answers {
    /// The mark of what was said by a call with this key. No session has this identity: its boot would have to be drawn twice.
    pub fn of_call(key: CallKey) -> Self {
        let session = SessionRef { boot: PodBoot((key.0 >> 64) as u64), relay: RelayId(key.0 as u64) };
        Self { session, number: 0, id: None }
    }
}

impl Room {
    /// The room as the server API shows it, as JSON. `pod`: this pod. `created`: it was made for this call.
    pub fn to_api(&self, pod: &str, max_players: u32, created: bool) -> Vec<u8> {
        let seats = self.seats.iter().filter(|seat| seat.state != SeatState::Joining);
        let profiles: Vec<_> = seats.clone().map(|seat| self.profiles.of(seat.id).unwrap_or_default()).collect();
        let players = seats.zip(&profiles).map(|(seat, profile)| PlayerInfo {
            name: seat.name.as_str(),
            role: seat.role(),
            away: matches!(seat.state, SeatState::Away { .. }),
            display: profile.display.as_deref(),
            info: profile.info.as_deref().and_then(|info| serde_json::from_str(info).ok()),
        });
        let descriptor = self.descriptor().map_or_else(|| Cow::Owned(Descriptor::default()), Cow::Borrowed);
        let players = players.collect();
        let info = RoomInfo { room: self.id.as_str(), pod, max_players, players, descriptor, created };
        // Plain values can always be written.
        serde_json::to_vec(&info).unwrap_or_default()
    }

    /// Whether the room has this descriptor, whoever has locked or unlocked it since.
    pub fn is_as(&self, descriptor: Option<&Descriptor>) -> bool {
        let but_locks = |of: Option<&Descriptor>| Descriptor { locked: false, ..of.cloned().unwrap_or_default() };
        but_locks(self.descriptor()) == but_locks(descriptor)
    }

    /// The application changes the descriptor. Returns whether the room has been locked or unlocked by that.
    ///
    /// # Errors
    ///
    /// `bad_command`: the whole is too long; `state_full`: the state is to be kept, and is too long for that.
    pub fn patch(&mut self, patch: &DescriptorPatch) -> Result<Option<bool>, ErrorCode> {
        let before = self.is_locked();
        let descriptor = patch.apply(self.descriptor()).map_err(|_| ErrorCode::BadCommand)?;
        if descriptor.keeps_state() && !self.fits_into_record() {
            return Err(ErrorCode::StateFull);
        }
        self.describe(Some(Box::new(descriptor)));
        Ok(Some(self.is_locked()).filter(|locked| *locked != before))
    }

    /// The room's time is over at `wall` (Unix ms), for every owner that it ever has.
    pub fn end_at(&mut self, wall: u64) {
        let mut descriptor = self.descriptor.take().unwrap_or_default();
        descriptor.expires_at = Some(wall / 1_000);
        self.describe(Some(descriptor));
    }

    /// The number of what a call with this key has said, as far as the ring goes back.
    pub fn said_before(&self, key: CallKey) -> Option<u64> {
        let mark = Some(Answers::of_call(key));
        self.ring.since(0).find(|item| item.event.answers() == mark).and_then(|item| item.event.seq())
    }
}
