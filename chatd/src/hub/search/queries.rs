//! Answers the HTTP API who is in a room that is elsewhere: by its record. Pure: no I/O.

use super::room_search::Query;
use super::{Search, SearchEvent, no_such_room};
use crate::hub::context::{Context, Timer};
use crate::hub::interface::{Effect, RoomSummary};
use crate::hub::request::{PATIENCE, Waiter};
use crate::hub::terms::Terms;
use crate::ids::Time;
use crate::join_token::RoomAccess;
use crate::protocol::{ErrorCode, RoomId};

impl Search {
    /// The HTTP API asks who is in `room`, which is not here; answered by [`Effect::LookedUp`].
    /// `stranger`: without a token for it.
    pub fn look_up(&mut self, context: &mut Context, time: Time, number: u64, room: RoomId, stranger: bool) {
        if !context.serves() {
            return context.effects.push(Effect::LookedUp { query: number, result: Err(ErrorCode::Unavailable) });
        }
        let query = Query { number, stranger, deadline: time.now + PATIENCE };
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
        let max_players = context.settings.terms(record.descriptor.as_deref()).max_players();
        let summary = RoomSummary { players: record.names(), max_players };
        self.answer_queries(context, room, Ok(summary));
        idle
    }

    pub(super) fn answer_queries(
        &mut self,
        context: &mut Context,
        room: RoomId,
        result: Result<RoomSummary, ErrorCode>,
    ) {
        let queries = self.searches.get_mut(&room).map(|search| std::mem::take(&mut search.queries));
        for Query { number, stranger, .. } in queries.unwrap_or_default() {
            let result = summary_for(context, stranger, result.clone());
            context.effects.push(Effect::LookedUp { query: number, result });
        }
    }

    /// Whether this pod has keys for join tokens: rooms without a record may be such as need one.
    pub fn rooms_may_hide(&mut self, may_hide: bool) {
        self.may_hide = may_hide;
    }

    /// To those who show no token a room that needs one looks as if there were none, and so does one whose record is missing, which
    /// may need one, unless it is known to have been open; there who may make a room by its name goes on, and is told as much as of any name
    /// that is taken. True: somebody was told so.
    pub(super) fn hide_from_strangers(&mut self, context: &mut Context, room: RoomId) -> bool {
        let Some(search) = self.searches.get_mut(&room) else {
            return false;
        };
        let of_record = search.record.as_ref().map(|record| context.settings.terms(record.descriptor.as_deref()));
        let is_unknown = of_record.is_none();
        let may_hide = self.may_hide || context.settings.access == RoomAccess::Token;
        if !of_record.map_or(may_hide && !context.known_owners.is_open(room), Terms::needs_token) {
            return false;
        }
        let is_meant = |waiter: &mut Waiter| waiter.stranger && !(is_unknown && waiter.creates);
        let waiters: Vec<Waiter> = search.waiters.extract_if(.., is_meant).collect();
        let queries: Vec<Query> = search.queries.extract_if(.., |query| query.stranger).collect();
        let code = no_such_room(context);
        let is_hidden = !waiters.is_empty() || !queries.is_empty();
        for Query { number, .. } in queries {
            let result = summary_for(context, true, Err(code));
            context.effects.push(Effect::LookedUp { query: number, result });
        }
        if !waiters.is_empty() {
            self.report(SearchEvent::TurnedAway { waiters, code });
        }
        is_hidden
    }

    /// Whether the room whose record was read is no secret.
    pub(super) fn note_open(&self, context: &mut Context, room: RoomId) {
        if let Some(record) = self.searches.get(&room).and_then(|search| search.record.as_ref()) {
            let is_open = !context.settings.terms(record.descriptor.as_deref()).needs_token();
            context.known_owners.note_open(room, is_open);
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

/// What the HTTP API is told. `stranger`: no token came along.
pub fn summary_for(
    context: &Context,
    stranger: bool,
    result: Result<RoomSummary, ErrorCode>,
) -> Result<RoomSummary, ErrorCode> {
    let settings = &context.settings;
    match result {
        Err(ErrorCode::RoomNotFound) if stranger && settings.access == RoomAccess::Token => {
            Err(ErrorCode::AuthRequired)
        }
        // The first who enters makes it: until then it has nobody.
        Err(ErrorCode::RoomNotFound) if settings.open_names => {
            Ok(RoomSummary { players: Vec::new(), max_players: settings.max_players })
        }
        result => result,
    }
}
