//! What holds in one room: its descriptor over the settings. Pure: no I/O.

use super::interface::HubSettings;
use crate::descriptor::{Descriptor, MAX_EMPTY_TTL, MAX_REPLAY_MESSAGES, RoomAccess};
use crate::protocol::MAX_PLAYERS;
use crate::room::{RingLimits, SeatLimits};

/// Settings as they are in one room. What a descriptor says, which may come from another program, goes as far as the protocol and this pod's
/// own limits allow.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    settings: &'a HubSettings,
    descriptor: Option<&'a Descriptor>,
}

impl HubSettings {
    /// What holds in a room with this descriptor.
    pub fn terms<'a>(&'a self, descriptor: Option<&'a Descriptor>) -> Terms<'a> {
        Terms { settings: self, descriptor }
    }
}

impl Terms<'_> {
    /// Seats of players.
    pub fn max_players(self) -> u32 {
        let own = self.descriptor.and_then(|descriptor| descriptor.max_players);
        own.map_or(self.settings.max_players, |own| own.clamp(1, MAX_PLAYERS))
    }

    /// How long a seat is held (ms). It cannot outlive the room's record.
    pub fn seat_hold(self) -> u64 {
        let own = self.descriptor.and_then(|descriptor| descriptor.seat_hold);
        own.map_or(self.settings.seat_hold, |own| (u64::from(own) * 1_000).min(self.settings.record_ttl))
    }

    /// How long the room stays open with nobody in it (ms).
    pub fn empty_ttl(self) -> u64 {
        let own = self.descriptor.and_then(|descriptor| descriptor.empty_ttl);
        own.map_or(self.settings.empty_ttl, |own| u64::from(own.min(MAX_EMPTY_TTL)) * 1_000)
    }

    /// What concerns the seats.
    pub fn seats(self) -> SeatLimits {
        SeatLimits { players: self.max_players(), hold: self.seat_hold(), ..self.settings.seat_limits() }
    }

    /// What the room keeps for replay: as long as a seat is held, and as much longer as the setting says.
    pub fn ring(self) -> RingLimits {
        let usual = self.settings.ring;
        let Some(descriptor) = self.descriptor else {
            return usual;
        };
        let bytes = descriptor.replay_bytes.map_or(usual.bytes, |own| (own as usize).min(self.settings.ring_total));
        RingLimits {
            messages: descriptor.replay_messages.map_or(usual.messages, |own| own.min(MAX_REPLAY_MESSAGES) as usize),
            bytes,
            age: usual.age.saturating_sub(self.settings.seat_hold).saturating_add(self.seat_hold()),
        }
    }

    /// Whether a stranger stays outside.
    pub fn needs_token(self) -> bool {
        let own = self.descriptor.and_then(|descriptor| descriptor.access);
        own.unwrap_or(self.settings.access) == RoomAccess::Token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_descriptor_does_not_say_is_as_the_settings_have_it() {
        let settings = HubSettings::default();
        let empty = Descriptor::default();
        for terms in [settings.terms(None), settings.terms(Some(&empty))] {
            assert_eq!((terms.max_players(), terms.seat_hold(), terms.empty_ttl()), (4, 30_000, 600_000));
            assert_eq!((terms.ring(), terms.needs_token()), (settings.ring, false));
        }
        let strict = HubSettings { access: RoomAccess::Token, ..HubSettings::default() };
        assert!(strict.terms(None).needs_token());
        let open = Descriptor { access: Some(RoomAccess::Link), ..Descriptor::default() };
        assert!(!strict.terms(Some(&open)).needs_token());
    }

    #[test]
    fn what_it_says_goes_as_far_as_the_pod_allows() {
        let settings = HubSettings { record_ttl: 60_000, ring_total: 100_000, ..HubSettings::default() };
        let own = Descriptor {
            max_players: Some(u32::MAX),
            seat_hold: Some(45),
            empty_ttl: Some(u32::MAX),
            replay_messages: Some(u32::MAX),
            replay_bytes: Some(1 << 20),
            access: Some(RoomAccess::Token),
            ..Descriptor::default()
        };
        let terms = settings.terms(Some(&own));
        assert_eq!((terms.max_players(), terms.seat_hold(), terms.empty_ttl()), (64, 45_000, 86_400_000));
        assert_eq!(terms.ring(), RingLimits { messages: 1_000, bytes: 100_000, age: 105_000 });
        assert!(terms.needs_token());
        let longer = Descriptor { seat_hold: Some(600), ..own };
        assert_eq!(settings.terms(Some(&longer)).seat_hold(), 60_000);
    }
}
