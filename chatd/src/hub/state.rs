//! Changes of the state of a room that this hub owns. Pure: no I/O.

use super::Hub;
use super::delivery::Broadcast;
use super::request::Asked;
use crate::ids::{Reach, RoomIndex, Time};
use crate::protocol::{Event, SeatId, StateSet, StateView};
use crate::room::{StateChanged, StateRefusal};

impl Hub {
    /// Changes a key of the state, and tells everyone; who changed it gets that as its reply.
    pub(super) fn set_state_in_room(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        asked: Asked,
        set: &StateSet<'_>,
    ) {
        if let (Reach::Remote(_), Err(code)) = (asked.by, set.check()) {
            return self.refuse(asked, code);
        }
        let answers = self.answers(asked);
        let most = self.context.settings.ring_total;
        let free = self.rooms.free_for_states(most).saturating_sub(self.incoming.state_bytes());
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let StateChanged { version, from, grown, rewrite } = match owned.room.set_state(seat, set, answers, free) {
            Ok(changed) => changed,
            Err(StateRefusal::Code(code)) => return self.refuse(asked, code),
            Err(StateRefusal::Conflict(version)) => {
                self.context.counters.errors += 1;
                return self.reply(asked, &Event::VersionConflict { version });
            }
        };
        owned.room.note_activity(time.now);
        self.rooms.count_state(grown);
        self.rooms.keep_to_the_budget(most);
        let event = Event::State(StateView { key: set.key, value: set.value.as_deref(), version, from });
        self.broadcast(index, Broadcast { event: &event, except: None, sender: Some((seat, asked)) });
        if rewrite && let Some(owned) = self.rooms.get_mut(index) {
            owned.changed();
            self.write(time, index);
        }
    }
}
