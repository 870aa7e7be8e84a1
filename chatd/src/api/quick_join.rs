//! The quick join of the server API: a place in a room that is there, else in a new one. Asks shards; which room is tried next is pure.
//!
//! Only the room's owner knows whether a place is left, and it keeps that place in the same step: of two calls for the last one the other
//! tries the next room. Who has a place already gets that one: the pods list it first.

use bytes::Bytes;

use super::{Api, of_looking, of_owner};
use crate::descriptor::Descriptor;
use crate::join_token::Pass;
use crate::protocol::{ErrorCode, RoomId};
use crate::room_call::RoomCall;
use crate::room_list::{ListFilter, ListedRoom, Standing};
use crate::shard::message::{list_elsewhere, list_here};
use crate::web::Failure;

/// Rooms of which the better one is tried.
const CHOICES: usize = 2;
/// Rooms that are tried: more than one only where others take the last places at the same time.
const TRIES: usize = 8;

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
        let (kind, labels, sub) = (kind.clone(), labels.clone(), Some(self.pass.sub().into()));
        let limit = (TRIES + CHOICES) as u16;
        ListFilter { kind, labels, sub, listed: Some(true), free: true, limit, ..ListFilter::default() }
    }

    fn call(&self, descriptor: Option<Box<Descriptor>>) -> RoomCall {
        RoomCall::Reserve { pass: Box::new(self.pass.clone()), descriptor, made: false }
    }
}

/// Takes the next room to try out of the list, which is in the person's own order: one in which the person has a place, else of the first
/// two that with more players. So people meet, not all choose the same room, and two calls for one person do.
fn choose(rooms: &mut Vec<ListedRoom>) -> Option<RoomId> {
    let own = rooms.first().is_some_and(|first| first.standing != Standing::Stranger);
    let drawn = rooms.iter().take(if own { 1 } else { CHOICES }).enumerate();
    // Of equal ones the first.
    let (best, _) = drawn.rev().max_by_key(|(_, listed)| listed.players)?;
    Some(rooms.remove(best).room)
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
        let mut rooms = self.rooms_for(&join.filter()).await?;
        for _ in 0..TRIES {
            let Some(room) = choose(&mut rooms) else {
                break;
            };
            match self.ask(room, join.call(None)).await {
                Err(code) if is_of_this_room(code) => {}
                place => return place.map_err(of_owner),
            }
        }
        let new = new.unwrap_or_else(|| self.with_random(RoomId::random));
        // It is made and has its first place taken in one step, or others might be faster.
        self.ask(new, join.call(Some(join.descriptor.clone()))).await.map_err(of_owner)
    }

    /// The rooms to try, of all pods. Without the other pods those of this one do.
    async fn rooms_for(&self, filter: &ListFilter) -> Result<Vec<ListedRoom>, Failure> {
        let shards = &self.0.start.shards;
        let mut rooms = list_here(shards, filter).await.map_err(of_looking)?;
        // Nothing that the others have is better than a seat.
        if rooms.iter().all(|listed| listed.standing != Standing::Seated) {
            match list_elsewhere(shards, self.next_turn(), filter).await {
                Ok(elsewhere) => rooms.extend(elsewhere.rooms),
                Err(code) if rooms.is_empty() => return Err(of_looking(code)),
                Err(_) => {}
            }
        }
        Ok(filter.first(rooms))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rooms(count: u32) -> Vec<ListedRoom> {
        let listed = |number: u32| ListedRoom {
            room: format!("room-{number}").parse().unwrap(),
            pod: "chat-0".into(),
            players: number,
            max_players: 64,
            locked: false,
            listed: true,
            kind: None,
            labels: Vec::new(),
            standing: Standing::Stranger,
        };
        (0..count).map(listed).collect()
    }

    /// In the order of this person.
    fn filter(person: u32) -> ListFilter {
        ListFilter { sub: Some(format!("user-{person}").into()), limit: 100, ..ListFilter::default() }
    }

    #[test]
    fn of_two_rooms_that_differ_by_person_the_fuller_one_is_tried_and_each_once() {
        let all = rooms(20);
        let mut first = [0_u32; 20];
        for person in 0..1_000 {
            let room = choose(&mut filter(person).first(all.clone()));
            first[all.iter().position(|listed| Some(listed.room) == room).unwrap()] += 1;
        }
        // The emptiest never, the fullest in a tenth of all cases.
        assert_eq!(first[0], 0);
        assert!((60..140).contains(&first[19]) && first[10] > 20, "{first:?}");
        let mut rest = filter(1).first(all);
        let mut tried: Vec<_> = std::iter::from_fn(|| choose(&mut rest)).collect();
        tried.sort_unstable();
        tried.dedup();
        assert_eq!(tried.len(), 20);
    }

    #[test]
    fn calls_for_one_person_try_the_same_rooms_through_every_pod() {
        let mut all = rooms(40);
        for listed in &mut all {
            listed.players = 1;
        }
        for person in 0..20 {
            let short = ListFilter { limit: 10, ..filter(person) };
            // Each pod answers with its own first ones, and the caller has its own ones first.
            let [here, there] = [&all[..17], &all[17..]].map(|rooms| short.first(rooms.to_vec()));
            let [mut one, mut other] = [[&*here, &*there].concat(), [there, here].concat()].map(|all| short.first(all));
            assert_eq!(one, filter(person).first(all.clone())[..10]);
            while !one.is_empty() {
                assert_eq!(choose(&mut one), choose(&mut other));
            }
        }
    }

    #[test]
    fn a_room_in_which_the_person_has_a_place_is_tried_before_all_others_and_a_seat_before_that() {
        let mut all = rooms(6);
        (all[2].standing, all[1].standing) = (Standing::Expected, Standing::Seated);
        // Listed by its former pod, too, which knows less.
        all.push(ListedRoom { standing: Standing::Stranger, ..all[1].clone() });
        let mut listed = ListFilter { limit: 4, ..filter(1) }.first(all);
        assert_eq!(listed.len(), 4);
        assert_eq!(
            [choose(&mut listed), choose(&mut listed)].map(|room| room.unwrap().to_string()),
            ["room-1", "room-2"]
        );
    }
}
