//! The quick join of the server API: a place in a room that is there, else in a new one. Asks shards; which room is tried next is pure.
//!
//! Only the room's owner knows whether a place is left, and it keeps that place in the same step: of two calls for the last one the other
//! tries the next room.

use bytes::Bytes;
use rand::Rng;
use rand::seq::index;

use super::{Api, of_owner};
use crate::descriptor::Descriptor;
use crate::join_token::Pass;
use crate::protocol::{ErrorCode, RoomId};
use crate::room_call::RoomCall;
use crate::room_list::{ListFilter, ListedRoom, MAX_LISTED};
use crate::web::Failure;

/// Rooms of which the better one is tried.
const CHOICES: usize = 2;
/// Rooms that are tried here, and as many elsewhere: more only where others take the last places at the same time.
const TRIES: usize = 4;

/// What a quick join asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QuickJoin {
    /// For whom.
    pub pass: Pass,
    /// What a new room is like. One that is there has the same kind, and all of its labels.
    pub descriptor: Box<Descriptor>,
}

impl QuickJoin {
    fn filter(&self) -> ListFilter {
        let Descriptor { kind, labels, .. } = &*self.descriptor;
        let (kind, labels) = (kind.clone(), labels.clone());
        ListFilter { kind, labels, listed: Some(true), free: true, limit: MAX_LISTED, ..ListFilter::default() }
    }

    fn call(&self, descriptor: Option<Box<Descriptor>>) -> RoomCall {
        RoomCall::Reserve { pass: Box::new(self.pass.clone()), descriptor, made: false }
    }
}

/// Takes the next room to try out of the list: of two random ones that with more players, so that people meet and not all callers choose
/// the same one.
fn choose(rooms: &mut Vec<ListedRoom>, random: &mut impl Rng) -> Option<RoomId> {
    let drawn = index::sample(random, rooms.len(), CHOICES.min(rooms.len()));
    let best = drawn.into_iter().max_by_key(|index| rooms[*index].players)?;
    Some(rooms.swap_remove(best).room)
}

/// Whether another room may have a place where this one is refused so.
fn is_of_this_room(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RoomFull
            | ErrorCode::RoomLocked
            | ErrorCode::RoomNotFound
            | ErrorCode::NameTaken
            | ErrorCode::Banned
    )
}

impl Api {
    /// A place as JSON. `own`: the room that follows from the caller's Idempotency-Key.
    pub(super) async fn quick_join(&self, join: &QuickJoin, own: Option<RoomId>) -> Result<Bytes, Failure> {
        // The room that an earlier try of the same call has made.
        let mut new = own;
        if let Some(room) = own {
            match self.ask(room, join.call(None)).await {
                Ok(place) => return Ok(place),
                Err(ErrorCode::RoomNotFound) => {}
                Err(code) if is_of_this_room(code) => new = None,
                Err(code) => return Err(of_owner(code)),
            }
        }
        for elsewhere in [false, true] {
            let mut rooms = self.list_one_side(elsewhere, &join.filter()).await?;
            for _ in 0..TRIES {
                let Some(room) = self.with_random(|random| choose(&mut rooms, random)) else {
                    break;
                };
                match self.ask(room, join.call(None)).await {
                    Err(code) if is_of_this_room(code) => {}
                    place => return place.map_err(of_owner),
                }
            }
        }
        let new = new.unwrap_or_else(|| self.with_random(RoomId::random));
        // It is made and has its first place taken in one step, or others might be faster.
        self.ask(new, join.call(Some(join.descriptor.clone()))).await.map_err(of_owner)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn of_two_random_rooms_the_fuller_one_is_tried_and_each_once() {
        let mut random = StdRng::seed_from_u64(1);
        let listed = |players: u32| ListedRoom {
            room: RoomId::random(&mut StdRng::seed_from_u64(players.into())),
            pod: "chat-0".into(),
            players,
            max_players: 64,
            locked: false,
            listed: true,
            kind: None,
            labels: Vec::new(),
        };
        let all: Vec<_> = (0..20).map(listed).collect();
        let mut first = [0_u32; 20];
        for _ in 0..1_000 {
            let mut rooms = all.clone();
            let room = choose(&mut rooms, &mut random);
            let at = all.iter().position(|listed| Some(listed.room) == room);
            first[at.unwrap_or_default()] += 1;
        }
        // The emptiest never, the fullest in a tenth of all cases.
        assert_eq!(first[0], 0);
        assert!((60..140).contains(&first[19]) && first[10] > 20, "{first:?}");
        let mut rooms = all.clone();
        let mut tried: Vec<_> = std::iter::from_fn(|| choose(&mut rooms, &mut random)).collect();
        tried.sort_unstable();
        tried.dedup();
        assert_eq!(tried.len(), 20);
    }
}
