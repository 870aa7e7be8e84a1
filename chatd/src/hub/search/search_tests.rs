//! Tests of the search machine, without a hub: who is found, and who is told what. Takeovers: `takeover_tests.rs`.
#![allow(clippy::unwrap_used)]

use super::watch::LOOK;
use super::*;
use crate::hub::capacity::RoomSlots;
use crate::hub::interface::{Effect, HubSettings, RoomSummary};
use crate::hub::request::{ATTACH_PATIENCE, Entry, TAKEOVER_PATIENCE};
use crate::ids::SessionId;
use crate::lease::{LeaseRecord, LeaseView};
use crate::peer_protocol::{Frame, Served, split};
use crate::protocol::{Ownership, PlayerName};
use crate::record::{Owner, RecordedSeat};

pub const ME: u64 = 1;
pub const OWNER: u64 = 2;
pub const OTHER: u64 = 3;

pub fn room() -> RoomId {
    "abc12def".parse().unwrap()
}

/// The pod with this boot as owner of a room, in the epoch of ten times that number.
pub fn pod(boot: u64) -> Owner {
    let ownership = Ownership { epoch: 10 * boot, boot: PodBoot(boot) };
    let (pod_id, peer) = (format!("chat-{boot}"), format!("10.0.0.{boot}:7755"));
    Owner { ownership, pod_id, tcp: String::new(), web: String::new(), peer }
}

pub fn name(name: &str) -> PlayerName {
    name.parse().unwrap()
}

/// The record of a room of this pod, with alice in it.
pub fn record(boot: u64) -> Bytes {
    let seat = RecordedSeat { seat: crate::protocol::SeatId(1), hold: true, joining: false, key: None, auth: None };
    Record::new(&pod(boot), std::iter::once((name("alice"), seat))).to_bytes()
}

pub fn lease(boot: u64) -> Bytes {
    let lease = LeaseRecord {
        uid: "u".to_owned(),
        boot: PodBoot(boot),
        addr: String::new(),
        peer: pod(boot).peer,
        web: String::new(),
        rooms: 0,
        players: 0,
        draining: false,
        pod_uid: String::new(),
        earlier: Vec::new(),
        connection: None,
        renewals: 0,
    };
    serde_json::to_vec(&lease).unwrap().into()
}

/// The machine of the pod [`ME`] and all that it talks to.
pub struct Bench {
    pub search: Search,
    pub context: Context,
    pub time: Time,
}

impl Bench {
    pub fn new() -> Self {
        let mut context = Context::new(HubSettings::default(), pod(ME), [1; 32]);
        let time = Time { now: 100_000, wall: 1_000_000 };
        context.lease.view = LeaseView { confirmed: Some(time.now), settled: true };
        Self { search: Search::default(), context, time }
    }

    /// With a link to the owner.
    pub fn linked() -> Self {
        let mut bench = Self::new();
        bench.context.peers.link_is_up(PodBoot(OWNER));
        bench
    }

    /// A JOIN waits for the room.
    pub fn join(&mut self) {
        let entry = Entry::Join { name: name("bob"), resumable: false, key: None, auth: None };
        self.wait(Waiter::entering(SessionId { index: 1, generation: 1 }, None, entry, self.time.now));
    }

    /// A session that has a seat in the room looks for its owner.
    pub fn attach(&mut self) {
        let session = SessionId { index: 2, generation: 1 };
        self.wait(Waiter::attaching(session, self.time.now, self.time.now + ATTACH_PATIENCE));
    }

    pub fn wait(&mut self, waiter: Waiter) {
        self.search.look_for(&mut self.context, self.time, room(), waiter);
        assert!(self.events().is_empty());
    }

    /// What has come of it all. Nobody has a place for a room: [`Bench::ownerless`] has.
    pub fn events(&mut self) -> Vec<SearchEvent> {
        let events = std::iter::from_fn(|| self.search.next_event(&mut self.context, self.time)).collect();
        self.search.check_invariants(PodBoot(ME));
        events
    }

    pub fn event(&mut self) -> SearchEvent {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// The room was found to be nobody's, and is taken over unless there is an obstacle.
    pub fn ownerless(&mut self, slot: Result<(), Obstacle>) {
        let event = self.event();
        assert!(matches!(event, SearchEvent::Ownerless { room: found } if found == room()), "{event:?}");
        let slot = slot.map(|()| RoomSlots::new(1).take().unwrap());
        self.search.take_over(&mut self.context, self.time, room(), slot);
    }

    /// Requests to the directory since the last call.
    pub fn requests(&mut self) -> Vec<(Ticket, Request)> {
        let effects = std::mem::take(&mut self.context.effects).into_iter();
        let requests = effects.filter_map(|effect| match effect {
            Effect::Directory { ticket, request } => Some((ticket, request)),
            _ => None,
        });
        requests.collect()
    }

    /// The ticket of the only such request.
    pub fn request(&mut self) -> (Ticket, Request) {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub fn asked_for(&mut self, key: &Key) -> Ticket {
        let (ticket, request) = self.request();
        assert_eq!(request, Request::Get { key: key.clone() });
        ticket
    }

    /// Frames that were sent since the last call.
    pub fn frames(&mut self) -> Vec<(u64, Frame<'static>)> {
        let mut frames = Vec::new();
        self.context.peers.take_frames(|to, bytes| {
            let mut rest = &bytes[..];
            while let Some((payload, more)) = split(rest).unwrap() {
                frames.push((to.0, Frame::decode(payload).unwrap().into_owned()));
                rest = more;
            }
        });
        frames
    }

    pub fn answer(&mut self, ticket: Ticket, answer: Result<Answer, NoAnswer>) {
        self.search.answered(&mut self.context, self.time, room(), ticket, answer);
    }

    /// The record has been asked for, and is this.
    pub fn read(&mut self, stored: Option<Bytes>) {
        let ticket = self.asked_for(&Key::Room(room()));
        self.answer(ticket, Ok(Answer::Found(stored)));
    }

    /// The lease of the owner has been asked for, and this is what there is.
    pub fn look(&mut self, answer: Result<Answer, NoAnswer>) {
        let ticket = self.asked_for(&Key::Pod(pod(OWNER).pod_id));
        self.search.lease_answered(&mut self.context, self.time, PodBoot(OWNER), ticket, answer);
    }

    pub fn hears(&mut self, from: u64, served: Served) {
        self.search.probe_answered(&mut self.context, room(), PodBoot(from), &served);
    }

    pub fn is_unreachable(&mut self, boot: u64) {
        self.context.peers.dial_failed(self.time, PodBoot(boot));
        self.search.pod_is_silent(PodBoot(boot));
    }

    /// The living pods were asked for, and are these.
    pub fn heirs(&mut self, boots: &[u64]) {
        let (_, request) = self.request();
        assert_eq!(request, Request::Pods);
        let pods = boots.iter().map(|boot| (pod(*boot).pod_id, lease(*boot))).collect();
        self.search.heirs_answered(&mut self.context, self.time, PodBoot(OWNER), Ok(Answer::Pods(pods)));
    }

    /// So much time passes; what comes due is carried out, as far as there is nothing to report.
    pub fn pass(&mut self, by: u64) -> Vec<SearchEvent> {
        self.time.now += by;
        let mut events = Vec::new();
        while events.is_empty()
            && let Some(timer) = self.context.timers.pop_due(self.time.now)
        {
            match timer {
                Timer::Search(room) => self.search.due(self.time, room),
                Timer::Watches => self.search.watches_due(&mut self.context, self.time),
                _ => {}
            }
            events = self.events();
        }
        events
    }

    /// The owner's link is down, and it cannot be dialled: its lease is waited for.
    pub fn parked() -> Self {
        let mut bench = Self::new();
        bench.join();
        bench.read(Some(record(OWNER)));
        assert!(bench.events().is_empty());
        bench.look(Ok(Answer::Found(Some(lease(OWNER)))));
        assert!(bench.events().is_empty());
        bench.is_unreachable(OWNER);
        assert!(bench.events().is_empty() && bench.requests().is_empty());
        bench
    }

    /// As [`Bench::parked`], and the lease is gone a second later. The living pods are asked for.
    pub fn dead() -> Self {
        let mut bench = Self::parked();
        bench.pass(LOOK);
        bench.look(Ok(Answer::Found(None)));
        assert!(bench.events().is_empty());
        bench
    }
}

pub fn ask(dead: Option<Ownership>) -> Frame<'static> {
    Frame::Ask { room: room(), ticket: 0, dead }
}

#[test]
fn the_record_names_the_owner_and_the_owner_says_that_it_serves() {
    let mut bench = Bench::linked();
    bench.join();
    bench.attach();
    bench.read(Some(record(OWNER)));
    assert!(bench.events().is_empty());
    assert_eq!(bench.frames(), [(OWNER, ask(None))]);
    bench.hears(OWNER, Served::Here(pod(OWNER)));
    let SearchEvent::Found { owner, waiters, .. } = bench.event() else { panic!("not found") };
    assert!(owner == pod(OWNER) && waiters.len() == 2 && !bench.search.is_under_way(room()));
    assert_eq!(bench.context.known_owners.get(room()), Some(&pod(OWNER)));
    assert!(bench.requests().is_empty(), "a linked pod that answers needs no lease");
}

#[test]
fn without_a_record_a_settled_pod_says_that_there_is_no_room() {
    for (settled, expected) in [(true, ErrorCode::RoomNotFound), (false, ErrorCode::Unavailable)] {
        let mut bench = Bench::new();
        bench.context.lease.view.settled = settled;
        bench.join();
        bench.read(None);
        let SearchEvent::TurnedAway { waiters, code } = bench.event() else { panic!("not turned away") };
        assert!(waiters.len() == 1 && code == expected);
    }
}

#[test]
fn a_directory_that_does_not_answer_turns_away_those_who_want_in_and_is_asked_again_for_the_others() {
    let mut bench = Bench::new();
    bench.join();
    bench.attach();
    let ticket = bench.asked_for(&Key::Room(room()));
    bench.answer(ticket, Err(NoAnswer::Timeout));
    let SearchEvent::TurnedAway { waiters, code } = bench.event() else { panic!("not turned away") };
    assert!(waiters.len() == 1 && waiters[0].is_entering() && code == ErrorCode::Unavailable);
    assert!(bench.pass(PAUSE).is_empty());
    bench.asked_for(&Key::Room(room()));
}

#[test]
fn an_owner_about_to_serve_is_asked_again_a_little_later() {
    let mut bench = Bench::linked();
    bench.join();
    bench.read(Some(record(OWNER)));
    assert!(bench.events().is_empty());
    bench.hears(OWNER, Served::Soon);
    assert!(bench.events().is_empty());
    assert!(bench.pass(PAUSE).is_empty());
    bench.read(Some(record(OWNER)));
}

#[test]
fn a_pod_that_is_only_asked_says_what_it_knows_and_looks_for_nothing() {
    let mut bench = Bench::new();
    bench.context.learn_owner(bench.time, room(), &pod(OTHER));
    let served = bench.search.asked_by_pod(&mut bench.context, bench.time, room(), PodBoot(OWNER), None);
    assert!(served == Served::Not { seen: Some(pod(OTHER)) } && bench.search.len() == 0);
    // Who may have missed something takes nothing over.
    bench.context.lease.view.settled = false;
    let dead = Some(pod(OWNER).ownership);
    let served = bench.search.asked_by_pod(&mut bench.context, bench.time, room(), PodBoot(OWNER), dead);
    assert!(served == Served::Not { seen: Some(pod(OTHER)) } && bench.search.len() == 0);
}

#[test]
fn the_http_api_gets_the_players_of_the_record_without_a_probe() {
    let looked_up = |bench: &mut Bench| match std::mem::take(&mut bench.context.effects).pop() {
        Some(Effect::LookedUp { query: 7, result }) => result,
        other => panic!("no answer: {other:?}"),
    };
    let mut bench = Bench::linked();
    bench.search.look_up(&mut bench.context, bench.time, 7, room(), true);
    bench.read(Some(record(OWNER)));
    assert!(bench.events().is_empty());
    let summary = RoomSummary { players: vec![name("alice")], max_players: 4 };
    assert_eq!(looked_up(&mut bench), Ok(summary));
    assert!(bench.frames().is_empty() && !bench.search.is_under_way(room()));

    bench.search.look_up(&mut bench.context, bench.time, 7, room(), true);
    bench.read(None);
    bench.events();
    assert_eq!(looked_up(&mut bench), Err(ErrorCode::RoomNotFound));

    bench.search.look_up(&mut bench.context, bench.time, 7, room(), true);
    bench.requests();
    bench.pass(PATIENCE);
    assert_eq!(looked_up(&mut bench), Err(ErrorCode::Unavailable));
    assert!(!bench.search.is_under_way(room()), "nobody waits for it any more");
}

#[test]
fn who_waits_is_turned_away_in_time_and_a_search_that_waits_for_a_lease_is_kept_a_little_longer() {
    let mut bench = Bench::parked();
    let events = bench.pass(TAKEOVER_PATIENCE);
    let [SearchEvent::TurnedAway { waiters, code: ErrorCode::Unavailable }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(waiters.len(), 1);
    assert!(bench.search.is_under_way(room()));
    assert!(bench.pass(KEPT).is_empty());
    assert_eq!((bench.search.len(), bench.search.watch_count()), (0, 1));
    bench.pass(LOOK);
    assert_eq!(bench.search.watch_count(), 0, "nothing waits for its lease");
}
