//! Tests of moves to here, without a hub.
#![allow(clippy::unwrap_used)]

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::hub::interface::{Effect, HubSettings};

const SOURCE: PodBoot = PodBoot(2);
const BASIS: Ownership = Ownership { epoch: 70, boot: SOURCE };

fn at(now: u64) -> Time {
    Time { now, wall: now }
}

fn owner(ownership: Ownership) -> Owner {
    let (pod_id, tcp, web, peer) = ("chat".into(), String::new(), String::new(), format!("peer-{}", ownership.boot.0));
    Owner { ownership, pod_id, tcp, web, peer }
}

struct World {
    context: Context,
    incoming: IncomingMoves,
    room: RoomId,
    /// The record before the swap.
    before: Bytes,
}

impl World {
    /// A room has been offered, and its record is being swapped.
    fn offered() -> Self {
        let mut context =
            Context::new(HubSettings::default(), owner(Ownership { epoch: 0, boot: PodBoot(1) }), [1; 32]);
        context.peers.link_is_up(SOURCE);
        let room = Room::new("abc12def".parse().unwrap(), &mut StdRng::seed_from_u64(1));
        let before = Record::new(&owner(BASIS), room.recorded()).to_bytes();
        let mut incoming = IncomingMoves::default();
        let slot = context.settings.slots.take().unwrap();
        incoming.take_on(at(0), &mut context, SOURCE, room.id, room.snapshot(BASIS, &before, 0), slot);
        Self { context, incoming, room: room.id, before }
    }

    /// The request that was made last, and its ticket.
    fn asked(&mut self) -> (Ticket, Request) {
        match self.context.effects.pop() {
            Some(Effect::Directory { ticket, request }) => (ticket, request),
            other => panic!("{other:?}"),
        }
    }

    fn answered(&mut self, now: u64, ticket: Ticket, answer: Result<Answer, NoAnswer>) -> Option<Taken> {
        let taken = self.incoming.answered(at(now), &mut self.context, self.room, ticket, answer, false);
        self.incoming.check_invariants();
        taken
    }

    /// What became of a swap that was not answered shows when the record is read at `now`.
    fn reads(&mut self, now: u64, found: Option<Bytes>) -> Option<Taken> {
        self.incoming.due(&mut self.context, self.room);
        let (ticket, request) = self.asked();
        assert_eq!(request, Request::Get { key: Key::Room(self.room) });
        self.answered(now, ticket, Ok(Answer::Found(found)))
    }

    /// How often the source was told that the room stays its own.
    fn refusals(&mut self) -> usize {
        let mut sent = Vec::new();
        self.context.peers.take_frames(|_, frames| sent = frames);
        let mut refusal = Vec::new();
        Frame::MigrateAnswer { room: self.room, from: BASIS, taken: None }.encode(&mut refusal);
        assert_eq!(sent, refusal.repeat(sent.len() / refusal.len()));
        sent.len() / refusal.len()
    }
}

#[test]
fn the_record_is_swapped_for_one_of_a_higher_ownership() {
    let mut world = World::offered();
    world.incoming.check_invariants();
    let (ticket, request) = world.asked();
    let Request::Swap { expected, new, .. } = request else { panic!("{request:?}") };
    assert_eq!(expected, Some(world.before.clone()));
    assert!(world.answered(5, Ticket(ticket.0 + 1), Ok(Answer::Done)).is_none(), "another request's answer");
    let taken = world.answered(5, ticket, Ok(Answer::Done)).unwrap();
    assert!(taken.owner.ownership > BASIS && Record::parse(&new).unwrap().owner() == taken.owner);
    assert_eq!((taken.record, taken.from, taken.basis), (new, SOURCE, BASIS));
    assert!(world.incoming.is_empty() && world.refusals() == 0);
}

#[test]
fn a_record_that_is_another_is_refused_at_once() {
    let mut world = World::offered();
    let (ticket, _) = world.asked();
    assert!(world.answered(5, ticket, Ok(Answer::Found(Some(world.before.clone())))).is_none());
    assert!(world.incoming.is_empty() && world.refusals() == 1);
}

#[test]
fn a_room_that_came_by_another_way_is_refused() {
    let mut world = World::offered();
    let (ticket, _) = world.asked();
    let (room, context) = (world.room, &mut world.context);
    assert!(world.incoming.answered(at(5), context, room, ticket, Ok(Answer::Done), true).is_none());
    assert!(world.incoming.is_empty() && world.refusals() == 1);
}

#[test]
fn a_swap_that_was_not_answered_is_settled_by_reading() {
    let mut world = World::offered();
    let (ticket, request) = world.asked();
    let Request::Swap { new, .. } = request else { panic!("{request:?}") };
    assert!(world.answered(100, ticket, Err(NoAnswer::Refused)).is_none());
    assert_eq!(world.context.timers.first(), Some((100 + RETRY, Timer::Incoming(world.room))));
    assert!(world.reads(400, Some(new)).is_some() && world.refusals() == 0);
}

#[test]
fn a_swap_that_may_come_late_is_looked_for_once_more_after_the_refusal() {
    let mut world = World::offered();
    let (ticket, request) = world.asked();
    let Request::Swap { new, .. } = request else { panic!("{request:?}") };
    world.answered(100, ticket, Err(NoAnswer::Refused));
    assert!(world.reads(400, Some(world.before.clone())).is_none());
    assert!(world.incoming.contains(world.room) && world.refusals() == 1);
    // Whoever asks for the room makes it look again; nobody is told a second time.
    let room = world.room;
    world.incoming.asked_for(&mut world.context, room);
    let (ticket, _) = world.asked();
    assert!(world.answered(500, ticket, Ok(Answer::Found(Some(world.before.clone())))).is_none());
    assert!(world.reads(600, Some(new)).is_some() && world.refusals() == 0);
}

#[test]
fn what_stays_unanswered_is_given_up() {
    let mut world = World::offered();
    let (ticket, _) = world.asked();
    world.answered(100, ticket, Err(NoAnswer::Refused));
    let (room, context) = (world.room, &mut world.context);
    world.incoming.due(context, room);
    let (ticket, _) = world.asked();
    assert!(world.answered(DETACHED, ticket, Err(NoAnswer::Refused)).is_none());
    assert!(world.incoming.is_empty() && world.refusals() == 1);
}
