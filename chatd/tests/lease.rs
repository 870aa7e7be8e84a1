//! The lease against a made-up directory: taken, renewed, lost, refused, superseded. No I/O.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use chatd::directory::{Answer, Key, NoAnswer, Request};
use chatd::hub::{LeaseView, Ticket, Time};
use chatd::lease::{DirectoryState, Lease, LeaseEffect, LeaseIdentity, LeaseNotice, LeaseRecord};
use chatd::protocol::PodBoot;

struct World {
    lease: Lease,
    now: u64,
    stored: Option<Bytes>,
    others: Vec<(String, Bytes)>,
    /// Requests are carried out, or not, and not answered.
    silent: Option<bool>,
    /// Why there is no answer then.
    why: NoAnswer,
    /// What was asked, in order.
    asked: Vec<Request>,
    effects: Vec<LeaseEffect>,
}

fn record(uid: &str, boot: u64) -> Bytes {
    let record = LeaseRecord {
        uid: uid.into(),
        boot: PodBoot(boot),
        addr: "h:7654".into(),
        peer: "h:7755".into(),
        web: "h:8081".into(),
        rooms: 3,
        players: 4,
        draining: false,
    };
    serde_json::to_vec(&record).unwrap().into()
}

impl World {
    fn new() -> Self {
        let identity = LeaseIdentity {
            pod_id: "chat-0".into(),
            uid: "ours".into(),
            boot: PodBoot(7),
            tcp: "h:7654".into(),
            web: "h:8081".into(),
            peer: "h:7755".into(),
        };
        Self {
            lease: Lease::new(identity),
            now: 1_000,
            stored: None,
            others: Vec::new(),
            silent: None,
            why: NoAnswer::Timeout,
            asked: Vec::new(),
            effects: Vec::new(),
        }
    }

    fn time(&self) -> Time {
        Time { now: self.now, wall: 1_700_000_000_000 + self.now }
    }

    fn carry_out(&mut self, request: Request) -> Answer {
        match request {
            Request::Pods => {
                let own = self.stored.iter().map(|bytes| ("chat-0".to_owned(), bytes.clone()));
                Answer::Pods(own.chain(self.others.clone()).collect())
            }
            Request::Swap { expected, new, .. } if expected == self.stored => {
                self.stored = Some(new);
                Answer::Done
            }
            Request::Delete { expected, .. } if Some(&expected) == self.stored.as_ref() => {
                self.stored = None;
                Answer::Done
            }
            _ => Answer::Found(self.stored.clone()),
        }
    }

    /// Lets time pass in steps of 50 ms; what the lease asks for is answered at once.
    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now += 50;
            let time = self.time();
            self.lease.tick(time);
            self.serve();
        }
    }

    fn serve(&mut self) {
        let mut open: Vec<(Ticket, Request)> = Vec::new();
        loop {
            let mut effects = Vec::new();
            self.lease.take_effects(&mut effects);
            for effect in effects {
                match effect {
                    LeaseEffect::Directory { ticket, request } => open.push((ticket, request)),
                    other => self.effects.push(other),
                }
            }
            let Some((ticket, request)) = open.pop() else {
                return;
            };
            self.asked.push(request.clone());
            let answer = match self.silent {
                None => Ok(self.carry_out(request)),
                Some(acts) => {
                    if acts {
                        self.carry_out(request);
                    }
                    Err(self.why)
                }
            };
            let time = self.time();
            self.lease.answered(time, ticket, answer);
        }
    }

    fn view(&self) -> LeaseView {
        let views = self.effects.iter().filter_map(|effect| match effect {
            LeaseEffect::View(view) => Some(*view),
            _ => None,
        });
        views.last().unwrap_or_default()
    }

    fn heard(&mut self, effect: &LeaseEffect) -> bool {
        self.effects.contains(effect)
    }

    /// What the log was told of, in order.
    fn log(&self) -> Vec<LeaseNotice> {
        let notices = self.effects.iter().filter_map(|effect| match effect {
            LeaseEffect::Log(notice) => Some(notice.clone()),
            _ => None,
        });
        notices.collect()
    }

    fn went_back(&self) -> usize {
        self.log().iter().filter(|notice| **notice == LeaseNotice::DirectoryWentBack).count()
    }

    fn end(&mut self) {
        let time = self.time();
        self.lease.end(time);
        self.serve();
    }
}

#[test]
fn a_fresh_start_is_settled_with_its_first_lease() {
    let mut world = World::new();
    assert!(!world.lease.status().ready);
    world.pass(50);
    assert!(world.lease.status().ready);
    assert!(world.view().settled);
    assert_eq!(LeaseRecord::parse(world.stored.as_ref().unwrap()).unwrap().boot, PodBoot(7));
}

#[test]
fn it_is_renewed_every_two_seconds() {
    let mut world = World::new();
    world.pass(20_000);
    let confirmed = world.view().confirmed.unwrap();
    assert!(world.now - confirmed <= 2_050, "{confirmed} at {}", world.now);
}

#[test]
fn an_earlier_process_of_the_same_name_is_replaced_at_once() {
    let mut world = World::new();
    world.stored = Some(record("ours", 1));
    world.pass(50);
    assert!(world.lease.status().ready);
    assert!(world.view().settled);
}

#[test]
fn a_lost_lease_is_taken_again_and_every_room_claimed() {
    let mut world = World::new();
    world.pass(3_000);
    world.stored = None;
    world.pass(2_100);
    assert!(world.heard(&LeaseEffect::Lost));
    assert!(world.stored.is_some());
    assert!(!world.view().settled);
    world.pass(10_000);
    assert!(world.view().settled);
}

#[test]
fn a_newer_process_of_the_same_name_supersedes_this_one() {
    let mut world = World::new();
    world.pass(3_000);
    world.stored = Some(record("ours", 8));
    world.pass(2_100);
    assert!(world.heard(&LeaseEffect::Superseded));
    let theirs = world.stored.clone();
    world.pass(10_000);
    assert_eq!(world.stored, theirs, "a superseded process writes nothing");
    world.end();
    assert!(world.heard(&LeaseEffect::Ended));
    assert_eq!(world.stored, theirs, "and takes nothing away");
}

#[test]
fn another_deployment_s_lease_keeps_this_pod_from_serving() {
    let mut world = World::new();
    world.others = vec![("party-0".into(), record("theirs", 1))];
    world.pass(5_000);
    assert!(!world.lease.status().ready);
    assert_eq!(world.lease.status().state, Some(DirectoryState::PrefixInUse));
    assert_eq!(world.stored, None);
    world.others.clear();
    world.pass(2_100);
    assert!(world.lease.status().ready);
    assert_eq!(world.lease.status().state, Some(DirectoryState::Ok));
}

#[test]
fn a_renewal_whose_answer_was_lost_is_no_loss() {
    let mut world = World::new();
    world.pass(3_000);
    world.silent = Some(true);
    world.pass(3_000);
    world.silent = None;
    world.pass(1_000);
    assert!(!world.heard(&LeaseEffect::Lost));
    assert!(world.view().settled);
}

#[test]
fn without_the_directory_it_is_not_settled_and_says_why() {
    let mut world = World::new();
    world.pass(3_000);
    world.silent = Some(false);
    world.pass(11_000);
    assert!(!world.view().settled);
    assert_eq!(world.lease.status().state, Some(DirectoryState::Away(NoAnswer::Timeout)));
    assert!(world.lease.status().ready, "rooms go on talking");
}

#[test]
fn nothing_is_said_of_a_directory_that_has_not_had_its_time_to_answer() {
    let mut world = World::new();
    let time = world.time();
    world.lease.tick(time);
    assert_eq!(world.lease.status().state, None);
    world.serve();
    assert_eq!(world.lease.status().state, Some(DirectoryState::Ok));
}

#[test]
fn the_state_dates_from_its_last_change_of_any_kind() {
    let mut world = World::new();
    world.pass(3_000);
    world.silent = Some(false);
    world.pass(3_000);
    let timeouts = world.lease.status().since;
    world.pass(20_000);
    assert_eq!(world.lease.status().since, timeouts);
    world.why = NoAnswer::Refused;
    world.pass(3_000);
    assert_eq!(world.lease.status().state, Some(DirectoryState::Away(NoAnswer::Refused)));
    assert!(world.lease.status().since > timeouts + 19_000);
    let log = world.log();
    let told: Vec<_> = [NoAnswer::Timeout, NoAnswer::Refused].map(|why| LeaseNotice::DirectoryAway { why }).into();
    assert_eq!(log[log.len() - 2..], told);
}

#[test]
fn a_directory_that_comes_and_goes_does_not_fill_the_log() {
    let mut world = World::new();
    world.pass(3_000);
    let before = world.log().len();
    for round in 0..60 {
        world.silent = (round % 2 == 0).then_some(false);
        let time = world.time();
        world.lease.reset(time);
        world.pass(1_000);
    }
    world.silent = None;
    world.pass(15_000);
    let told = world.log().split_off(before);
    assert!((2..=8).contains(&told.len()), "{told:?}");
    assert_eq!(told.last(), Some(&LeaseNotice::DirectoryBack), "what it has come to is told");
}

#[test]
fn one_loss_of_the_directory_is_told_once_however_much_is_found_missing() {
    let mut world = World::new();
    world.pass(3_000);
    let mine = world.stored.clone();
    for _ in 0..100 {
        let time = world.time();
        world.lease.went_back(time);
        world.pass(100);
    }
    assert_eq!(world.went_back(), 1);
    world.pass(30_000);
    // The store was rolled back: the lease is an older one of mine.
    let mut older = LeaseRecord::parse(mine.as_ref().unwrap()).unwrap();
    older.rooms = 99;
    world.stored = Some(serde_json::to_vec(&older).unwrap().into());
    world.pass(2_100);
    assert_eq!(world.went_back(), 2);
    // Or emptied: the lease is gone before its time.
    world.pass(30_000);
    world.stored = None;
    world.pass(2_100);
    assert_eq!(world.went_back(), 3);
}

#[test]
fn a_lease_that_ran_out_is_no_loss_of_the_directory() {
    let mut world = World::new();
    world.pass(3_000);
    world.now += 20_000;
    world.stored = None;
    world.pass(2_100);
    assert!(world.heard(&LeaseEffect::Lost));
    assert_eq!(world.went_back(), 0);
}

#[test]
fn a_reset_connection_unsettles_for_ten_seconds() {
    let mut world = World::new();
    world.pass(3_000);
    let time = world.time();
    world.lease.reset(time);
    world.serve();
    assert!(!world.view().settled);
    world.pass(9_900);
    assert!(!world.view().settled);
    world.pass(150);
    assert!(world.view().settled);
}

#[test]
fn a_draining_pod_lists_the_others_and_then_gives_its_lease_up() {
    let mut world = World::new();
    world.pass(3_000);
    world.others = vec![("chat-1".into(), record("ours", 8))];
    let time = world.time();
    world.lease.drain(time);
    world.serve();
    world.pass(2_100);
    let targets = world.effects.iter().find_map(|effect| match effect {
        LeaseEffect::Targets(targets) => Some(targets.clone()),
        _ => None,
    });
    assert_eq!(targets.unwrap()[0].pod_id, "chat-1");
    assert!(LeaseRecord::parse(world.stored.as_ref().unwrap()).unwrap().draining);
    world.end();
    assert_eq!(world.effects.last(), Some(&LeaseEffect::Ended));
    assert_eq!(world.log().last(), Some(&LeaseNotice::GivenUp));
    assert_eq!(world.stored, None);
}

#[test]
fn a_draining_pod_marks_its_lease_before_it_asks_for_the_others() {
    let mut world = World::new();
    world.pass(3_000);
    world.asked.clear();
    let time = world.time();
    world.lease.drain(time);
    world.serve();
    assert!(LeaseRecord::parse(world.stored.as_ref().unwrap()).unwrap().draining);
    world.pass(100);
    assert!(matches!(world.asked[..2], [Request::Swap { .. }, Request::Pods]), "{:?}", world.asked);
}

#[test]
fn an_own_lease_that_was_not_known_of_is_given_up_too() {
    let mut world = World::new();
    world.pass(3_000);
    // As a renewal left it that was never answered.
    world.stored = Some(record("ours", 7));
    world.end();
    assert_eq!(world.stored, None);
    assert_eq!(world.log().last(), Some(&LeaseNotice::GivenUp));
    assert_eq!(world.effects.last(), Some(&LeaseEffect::Ended));
}

#[test]
fn a_lease_that_could_not_be_given_up_is_told_of() {
    let mut world = World::new();
    world.pass(3_000);
    world.silent = Some(false);
    world.end();
    assert_eq!(world.log().last(), Some(&LeaseNotice::NotGivenUp));
    assert_eq!(world.effects.last(), Some(&LeaseEffect::Ended));
}

#[test]
fn rubbish_is_written_over() {
    let mut world = World::new();
    world.stored = Some(Bytes::from_static(b"\xff rubbish"));
    world.pass(100);
    assert!(world.lease.status().ready);
}

#[test]
fn a_lease_that_cannot_be_read_is_told_of_once() {
    let mut world = World::new();
    world.others = vec![("chat-1".into(), Bytes::from_static(b"{}"))];
    world.pass(3_000);
    let time = world.time();
    world.lease.drain(time);
    world.pass(10_000);
    let told = world.log().into_iter().filter(|notice| matches!(notice, LeaseNotice::Unreadable { .. }));
    assert_eq!(told.collect::<Vec<_>>(), [LeaseNotice::Unreadable { pod_id: "chat-1".into() }]);
}

#[test]
fn what_a_later_version_says_in_a_lease_is_no_rubbish() {
    let mut lease: serde_json::Value = serde_json::from_slice(&record("ours", 8)).unwrap();
    lease["zone"] = serde_json::json!({"name": "b", "nodes": [1, 2]});
    let read = LeaseRecord::parse(&serde_json::to_vec(&lease).unwrap());
    assert_eq!(read, LeaseRecord::parse(&record("ours", 8)));
}

#[test]
fn a_pod_that_served_and_lost_its_lease_to_another_deployment_says_so() {
    let mut world = World::new();
    world.pass(3_000);
    world.stored = Some(record("theirs", 1));
    world.pass(2_100);
    assert!(!world.lease.status().ready);
    assert!(!world.view().settled && world.view().confirmed.is_some(), "its rooms go on");
    assert_eq!(world.log().last(), Some(&LeaseNotice::Ousted));
    assert_eq!(world.stored, Some(record("theirs", 1)));
}

/// Pods of two deployments on one store. What they ask is carried out in the same instant, then answered.
struct Rivals {
    pods: Vec<Lease>,
    stored: BTreeMap<String, Bytes>,
}

impl Rivals {
    fn new(boots: [u64; 2]) -> Self {
        let pods = boots.map(|boot| {
            let identity = LeaseIdentity {
                pod_id: format!("chat-{boot}"),
                uid: format!("deployment-{boot}"),
                boot: PodBoot(boot),
                tcp: "h:7654".into(),
                web: "h:8081".into(),
                peer: "h:7755".into(),
            };
            Lease::new(identity)
        });
        Self { pods: pods.into(), stored: BTreeMap::new() }
    }

    fn carry_out(&mut self, request: Request) -> Answer {
        match request {
            Request::Pods => Answer::Pods(self.stored.clone().into_iter().collect()),
            Request::Swap { key: Key::Pod(pod), expected, new, .. } if self.stored.get(&pod) == expected.as_ref() => {
                self.stored.insert(pod, new);
                Answer::Done
            }
            Request::Delete { key: Key::Pod(pod), expected } if self.stored.get(&pod) == Some(&expected) => {
                self.stored.remove(&pod);
                Answer::Done
            }
            Request::Swap { key: Key::Pod(pod), .. } | Request::Delete { key: Key::Pod(pod), .. } => {
                Answer::Found(self.stored.get(&pod).cloned())
            }
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, now: u64) {
        let time = Time { now, wall: now };
        let mut asked = Vec::new();
        for (index, lease) in self.pods.iter_mut().enumerate() {
            lease.tick(time);
            let mut effects = Vec::new();
            lease.take_effects(&mut effects);
            asked.extend(effects.into_iter().filter_map(|effect| match effect {
                LeaseEffect::Directory { ticket, request } => Some((index, ticket, request)),
                _ => None,
            }));
        }
        let answers: Vec<_> =
            asked.into_iter().map(|(index, ticket, request)| (index, ticket, self.carry_out(request))).collect();
        for (index, ticket, answer) in answers {
            self.pods[index].answered(time, ticket, Ok(answer));
        }
    }

    fn ready(&self) -> usize {
        self.pods.iter().filter(|lease| lease.status().ready).count()
    }
}

#[test]
fn of_two_deployments_that_start_in_the_same_instant_one_serves() {
    for boot in 1..50 {
        let mut rivals = Rivals::new([boot, boot.wrapping_mul(0x9e37_79b9_7f4a_7c15)]);
        for now in (1_000..120_000).step_by(10) {
            rivals.step(now);
            assert!(rivals.ready() <= 1, "boot {boot}: both serve");
        }
        assert_eq!(rivals.ready(), 1, "boot {boot}: nobody serves");
        assert_eq!(rivals.stored.len(), 1, "the other has left nothing behind");
    }
}
