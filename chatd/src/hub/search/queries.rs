//! Who is in a room, for the HTTP API: what its record says, or that there is no such room. Pure: no I/O.

use super::{ErrorCode, Hub, PATIENCE, RoomId, Timer};
use crate::hub::Effect;
use crate::ids::Time;
use crate::protocol::PlayerName;

/// A question of the HTTP API that waits for a search.
#[derive(Debug)]
pub(super) struct Query {
    number: u64,
    deadline: u64,
}

impl Hub {
    pub(in crate::hub) fn look_up_for_query(&mut self, time: Time, number: u64, room: RoomId) {
        if let Some(owned) = self.rooms.of(room) {
            let result = Ok(owned.room.seats.iter().map(|seat| seat.name).collect());
            return self.context.effects.push(Effect::LookedUp { query: number, result });
        }
        if !self.context.serves() {
            return self.context.effects.push(Effect::LookedUp { query: number, result: Err(ErrorCode::Unavailable) });
        }
        let query = Query { number, deadline: time.now + PATIENCE };
        self.context.arm(query.deadline, Timer::Search(room));
        self.join_search(time, room, |find| find.queries.push(query));
        // A search that was under way may have read it.
        self.answer_by_record(room);
    }

    /// Answers all who ask who is there, if there is a record. True: nobody else waits for this search.
    pub(super) fn answer_by_record(&mut self, room: RoomId) -> bool {
        let Some(find) = self.search.finds.get(&room).filter(|find| !find.queries.is_empty()) else {
            return false;
        };
        let Some(record) = &find.record else {
            return false;
        };
        let idle = find.waiters.is_empty() && find.askers.is_empty() && find.attempt.is_none();
        let players = record.players.clone();
        self.answer_queries(room, Ok(players));
        idle
    }

    pub(super) fn answer_queries(&mut self, room: RoomId, result: Result<Vec<PlayerName>, ErrorCode>) {
        if let Some(find) = self.search.finds.get_mut(&room) {
            let queries = find.queries.drain(..);
            self.context
                .effects
                .extend(queries.map(|query| Effect::LookedUp { query: query.number, result: result.clone() }));
        }
    }

    pub(super) fn queries_due(&mut self, time: Time, room: RoomId) {
        if let Some(find) = self.search.finds.get_mut(&room) {
            let late = find.queries.extract_if(.., |query| query.deadline <= time.now);
            let result = |query: Query| Effect::LookedUp { query: query.number, result: Err(ErrorCode::Unavailable) };
            self.context.effects.extend(late.map(result));
        }
    }
}
