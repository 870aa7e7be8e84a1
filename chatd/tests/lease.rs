//! The lease against a made-up directory: taken, renewed, lost, refused, superseded. No I/O.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use chatd::directory::{Answer, NoAnswer, Request};
use chatd::hub::{LeaseView, Ticket, Time};
use chatd::lease::{DirectoryState, Lease, LeaseEffect, LeaseIdentity, LeaseRecord};
use chatd::protocol::PodBoot;

struct World {
    lease: Lease,
    now: u64,
    stored: Option<Bytes>,
    others: Vec<(String, Bytes)>,
    /// Requests are carried out, or not, and not answered.
    silent: Option<bool>,
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
            let answer = match self.silent {
                None => Ok(self.carry_out(request)),
                Some(acts) => {
                    if acts {
                        self.carry_out(request);
                    }
                    Err(NoAnswer::Timeout)
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
    let time = world.time();
    world.lease.end(time);
    world.serve();
    assert!(world.heard(&LeaseEffect::Ended));
    assert_eq!(world.stored, theirs, "and takes nothing away");
}

#[test]
fn another_deployment_s_lease_keeps_this_pod_from_serving() {
    let mut world = World::new();
    world.others = vec![("party-0".into(), record("theirs", 1))];
    world.pass(5_000);
    assert!(!world.lease.status().ready);
    assert_eq!(world.lease.status().state, DirectoryState::PrefixInUse);
    assert_eq!(world.stored, None);
    world.others.clear();
    world.pass(2_100);
    assert!(world.lease.status().ready);
    assert_eq!(world.lease.status().state, DirectoryState::Ok);
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
    assert_eq!(world.lease.status().state, DirectoryState::Away(NoAnswer::Timeout));
    assert!(world.lease.status().ready, "rooms go on talking");
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
    let time = world.time();
    world.lease.end(time);
    world.serve();
    assert!(world.heard(&LeaseEffect::Ended));
    assert_eq!(world.stored, None);
}

#[test]
fn rubbish_is_written_over() {
    let mut world = World::new();
    world.stored = Some(Bytes::from_static(b"\xff rubbish"));
    world.pass(100);
    assert!(world.lease.status().ready);
}
