//! Tests of the table of relayed sessions, with sessions and links, without a hub.
#![allow(clippy::unwrap_used)]

use super::outcome::Next;
use super::*;
use crate::hub::interface::HubSettings;
use crate::hub::request::Entry;
use crate::hub::session::Session;
use crate::peer_protocol::{After, Delivery, split};
use crate::protocol::{Command, Encoding, Ownership, SeatId, Timeline};

const FIRST: PodBoot = PodBoot(1);
const SECOND: PodBoot = PodBoot(2);
const NUMBER: RelayId = RelayId(6 << 8);

fn at(now: u64) -> Time {
    Time { now, wall: now }
}

fn room() -> RoomId {
    "abc12def".parse().unwrap()
}

fn owner(boot: PodBoot) -> Owner {
    let ownership = Ownership { epoch: boot.0, boot };
    Owner { ownership, pod_id: "chat".into(), tcp: String::new(), web: String::new(), peer: format!("p{}", boot.0) }
}

struct World {
    relays: Relays,
    sessions: Sessions,
    context: Context,
    id: SessionId,
}

impl World {
    /// A client's JOIN is on its way to the first of two pods.
    fn opening() -> Self {
        let mut context = Context::new(HubSettings::default(), owner(PodBoot(9)), [1; 32]);
        context.peers.link_is_up(FIRST);
        context.peers.link_is_up(SECOND);
        let (mut relays, mut sessions) = (Relays::new(5), Sessions::default());
        let id = sessions.insert(Session::new(Encoding::Lines, 0, &context.settings, 0));
        sessions.get_mut(id).unwrap().relay = relays.next(0);
        let entry = Entry::Join { name: "alice".parse().unwrap(), resumable: true, key: None, auth: None };
        let waiter = Waiter::entering(id, None, entry, 0);
        relays.open(&mut sessions, &mut context, at(0), room(), &waiter, &owner(FIRST));
        Self { relays, sessions, context, id }
    }

    /// It has its seat.
    fn live() -> Self {
        let mut world = Self::opening();
        let (name, seat, timeline) = ("alice".parse().unwrap(), SeatId(7), Timeline(1));
        let (key, auth, epoch) = (None, None, 1);
        let after = After::Admitted { name, seat, resumable: true, key, auth, epoch, timeline, joined: true };
        assert_eq!(world.receive((10, 5), after), Some(Next::Opened));
        world.sent();
        world
    }

    fn receive(&mut self, place: (u64, u64), after: After) -> Option<Next> {
        let delivery = Delivery { replies: None, place, bytes: b"line\n".into(), after: Some(after) };
        self.sessions.relay_receive(&mut self.context, self.id, &delivery)
    }

    fn lose_owner(&mut self, straight: bool) -> Option<(RoomId, Waiter)> {
        let found = self.relays.lose_owner(&mut self.sessions, &mut self.context, at(100), self.id, straight);
        self.relays.check_invariants(&self.sessions);
        found
    }

    /// What went to which pod since the last time.
    fn sent(&mut self) -> Vec<(PodBoot, String)> {
        self.relays.check_invariants(&self.sessions);
        let mut sent = Vec::new();
        self.context.peers.take_frames(|boot, bytes| {
            let mut rest = &bytes[..];
            while let Some((frame, after)) = split(rest).unwrap() {
                let what = match Frame::decode(frame).unwrap() {
                    Frame::Open { relay: NUMBER, number, .. } => format!("open {number}"),
                    Frame::Attach { relay: NUMBER, attach, .. } => format!("attach {}", attach.member.seq),
                    Frame::Command { relay: NUMBER, number, .. } => format!("command {number}"),
                    Frame::Closed { relay: NUMBER, heard, .. } => {
                        format!("closed {:?}", heard.map(|heard| heard.last_seq))
                    }
                    other => panic!("{other:?}"),
                };
                sent.push((boot, what));
                rest = after;
            }
        });
        sent
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(self.sessions.get(self.id).unwrap().output.bytes()).into_owned()
    }
}

#[test]
fn a_session_is_known_to_its_owner_alone() {
    let mut world = World::opening();
    assert_eq!(world.sent(), [(FIRST, "open 1".to_owned())]);
    assert_eq!(world.relays.session(&world.sessions, FIRST, NUMBER), Some(world.id));
    assert_eq!(world.relays.session(&world.sessions, SECOND, NUMBER), None);
    assert_eq!(world.relays.of_owner(&world.sessions, FIRST), [world.id]);
}

#[test]
fn a_join_without_an_answer_is_asked_again_as_it_was() {
    let mut world = World::opening();
    let (room_sought, waiter) = world.lose_owner(true).unwrap();
    assert!(room_sought == room() && waiter.is_entering());
    assert!(world.relays.len() == 0 && matches!(world.sessions.get(world.id).unwrap().state, SessionState::Busy));
}

#[test]
fn a_known_owner_is_asked_straight_away_and_gets_what_was_not_carried_out() {
    let mut world = World::live();
    let World { sessions, context, id, .. } = &mut world;
    for number in [1, 2] {
        let command = Ok(Command::Say { text: "hello".into() });
        sessions.relay_command(context, *id, Some(number), command);
    }
    context.learn_owner(at(0), room(), &owner(SECOND));
    sessions.relay_owner_released(*id, 2);
    assert!(world.lose_owner(true).is_none());
    let sent = [(FIRST, "command 2"), (FIRST, "command 3"), (SECOND, "attach 5")];
    assert_eq!(world.sent(), sent.map(|(boot, what)| (boot, what.to_owned())));
    let Some(Next::CaughtUp { lost }) = world.receive((12, 6), After::CaughtUp { processed: Some(2) }) else {
        panic!("it has caught up");
    };
    world.sessions.relay_caught_up(&mut world.context, world.id, lost);
    assert_eq!(world.sent(), [(SECOND, "command 3".to_owned())]);
    assert!(world.output().contains("ERR unavailable"), "the reply to the first is lost: {}", world.output());
}

#[test]
fn where_no_owner_is_found_what_may_have_been_carried_out_is_unavailable() {
    let mut world = World::live();
    let World { relays, sessions, context, id } = &mut world;
    sessions.relay_command(context, *id, None, Ok(Command::Say { text: "hello".into() }));
    assert!(!relays.give_up(sessions, context, *id, ErrorCode::RoomNotFound), "it has an owner");
    let (_, waiter) = world.lose_owner(false).unwrap();
    assert!(!waiter.is_entering());
    let World { relays, sessions, context, id } = &mut world;
    sessions.relay_command(context, *id, None, Ok(Command::Say { text: "more".into() }));
    assert!(relays.give_up(sessions, context, *id, ErrorCode::RoomNotFound));
    assert_eq!(world.sent(), [(FIRST, "command 2".to_owned()), (FIRST, "closed Some(5)".to_owned())]);
    let output = world.output();
    let (sent, waited) = (output.find("ERR unavailable").unwrap(), output.find("ERR room_not_found").unwrap());
    assert!(sent < waited && world.relays.len() == 0, "{output}");
}

#[test]
fn the_owner_is_notified_that_a_client_is_gone() {
    let mut world = World::live();
    let World { relays, sessions, context, id } = &mut world;
    relays.client_gone(sessions, context, *id, Disconnect::Slow);
    assert_eq!(world.sent(), [(FIRST, "closed None".to_owned())]);
    let World { relays, sessions, context, id } = &mut world;
    relays.client_gone(sessions, context, *id, Disconnect::Lost);
    assert!(world.sent().is_empty(), "once");
}
