//! Answers the HTTP API who is in a room that is elsewhere: by its record. Pure: no I/O.

use super::Search;
use super::room_search::Query;
use crate::hub::context::{Context, Timer};
use crate::hub::interface::Effect;
use crate::hub::request::PATIENCE;
use crate::ids::Time;
use crate::protocol::{ErrorCode, PlayerName, RoomId};

impl Search {
    /// The HTTP API asks who is in `room`, which is not here; answered by [`Effect::LookedUp`].
    pub fn look_up(&mut self, context: &mut Context, time: Time, number: u64, room: RoomId) {
        if !context.serves() {
            return context.effects.push(Effect::LookedUp { query: number, result: Err(ErrorCode::Unavailable) });
        }
        let query = Query { number, deadline: time.now + PATIENCE };
        context.arm(query.deadline, Timer::Search(room));
        self.add_to(context, time, room, |search| search.queries.push(query));
        // A search that was under way may have read it.
        self.answer_by_record(context, room);
    }

    /// Answers the queries, if there is a record. True: nobody else waits for this search.
    pub(super) fn answer_by_record(&mut self, context: &mut Context, room: RoomId) -> bool {
        let Some(search) = self.searches.get(&room).filter(|search| !search.queries.is_empty()) else {
            return false;
        };
        let Some(record) = &search.record else {
            return false;
        };
        let idle = search.waiters.is_empty() && search.askers.is_empty() && search.attempt.is_none();
        let players = record.names();
        self.answer_queries(context, room, Ok(players));
        idle
    }

    pub(super) fn answer_queries(
        &mut self,
        context: &mut Context,
        room: RoomId,
        result: Result<Vec<PlayerName>, ErrorCode>,
    ) {
        // The first who enters makes it: until then it has nobody.
        let is_open = context.settings.open_names && result == Err(ErrorCode::RoomNotFound);
        let result = if is_open { Ok(Vec::new()) } else { result };
        if let Some(search) = self.searches.get_mut(&room) {
            let queries = search.queries.drain(..);
            let answer = |query: Query| Effect::LookedUp { query: query.number, result: result.clone() };
            context.effects.extend(queries.map(answer));
        }
    }

    pub(super) fn queries_due(&mut self, context: &mut Context, time: Time, room: RoomId) {
        if let Some(search) = self.searches.get_mut(&room) {
            let late = search.queries.extract_if(.., |query| query.deadline <= time.now);
            let answer = |query: Query| Effect::LookedUp { query: query.number, result: Err(ErrorCode::Unavailable) };
            context.effects.extend(late.map(answer));
        }
    }
}
