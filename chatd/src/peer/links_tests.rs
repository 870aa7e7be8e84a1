//! Tests of the table of links: two pods against each other, in any order of events.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const LOW: PodBoot = PodBoot(1);
const HIGH: PodBoot = PodBoot(2);

const UP: Action = Action::Up { boot: HIGH };
const UNREACHABLE: Action = Action::Unreachable { boot: HIGH, gone: false };

/// Dials the other pod; the connection to make.
fn dialled(links: &mut Links) -> LinkId {
    links.dial(0, HIGH, "b:1", Nonce(1));
    let actions = links.take_actions();
    let [Action::Connect { link, .. }] = actions[..] else { panic!("{actions:?}") };
    link
}

#[test]
fn dials_are_shared_and_answered_at_once_while_up() {
    let mut links = Links::new(LOW, 1, IdleRules::USUAL);
    let link = dialled(&mut links);
    links.dial(10, HIGH, "b:1", Nonce(2));
    assert_eq!(links.take_actions(), []);
    assert_eq!(links.greeted(link, HIGH, "b:1"), Choice::Commit { last: None });
    assert!(links.accepted(link));
    assert_eq!(links.take_actions(), [UP]);
    links.dial(20, HIGH, "b:1", Nonce(3));
    assert_eq!(links.take_actions(), [UP]);
    links.broken(link);
    assert_eq!(links.take_actions(), [Action::Down { boot: HIGH }]);
    links.dial(30, HIGH, "b:1", Nonce(4));
    assert!(matches!(links.take_actions()[..], [Action::Connect { .. }]));
}

#[test]
fn a_failed_dial_counts_for_a_second() {
    let mut links = Links::new(LOW, 1, IdleRules::USUAL);
    let link = dialled(&mut links);
    links.failed(link);
    assert_eq!(links.take_actions(), [UNREACHABLE]);
    links.dial(SHARED_FOR - 1, HIGH, "b:1", Nonce(2));
    assert_eq!(links.take_actions(), [UNREACHABLE]);
    links.dial(SHARED_FOR, HIGH, "b:1", Nonce(3));
    assert!(matches!(links.take_actions()[..], [Action::Connect { .. }]));
}

#[test]
fn a_dial_ends_after_its_time() {
    let mut links = Links::new(LOW, 1, IdleRules::USUAL);
    let link = dialled(&mut links);
    assert_eq!(links.next_deadline(), Some(DIAL_TIME));
    links.tick(DIAL_TIME - 1);
    assert_eq!(links.take_actions(), []);
    links.tick(DIAL_TIME);
    assert_eq!(links.take_actions(), [Action::Close { link }, UNREACHABLE]);
    assert_eq!(links.greeted(link, HIGH, "b:1"), Choice::Leave);
    assert!(!links.accepted(link));
}

/// Its successor listens at its address; or packets to it are led to another pod, and it lives on.
#[test]
fn another_process_than_was_dialled_does_not_become_the_link() {
    for (address, gone) in [("b:1", true), ("c:1", false)] {
        let mut links = Links::new(LOW, 1, IdleRules::USUAL);
        let link = dialled(&mut links);
        assert_eq!(links.greeted(link, PodBoot(3), address), Choice::Leave);
        assert_eq!(links.take_actions(), [Action::Unreachable { boot: HIGH, gone }]);
        assert!(!links.accepted(link) && links.is_empty());
        // A request within the second gets the same answer; the successor can be dialled at once.
        links.dial(0, HIGH, "b:1", Nonce(2));
        links.dial(0, PodBoot(3), "b:1", Nonce(3));
        let actions = links.take_actions();
        assert!(matches!(actions[..], [Action::Unreachable { .. }, Action::Connect { .. }]), "{actions:?}");
        assert_eq!(actions[0], Action::Unreachable { boot: HIGH, gone });
    }
}

#[test]
fn a_link_that_the_other_side_has_made_answers_the_dial() {
    let mut links = Links::new(LOW, 1, IdleRules::USUAL);
    let link = dialled(&mut links);
    let theirs = links.arrived();
    assert!(links.offered(theirs, HIGH, Nonce(2), None));
    assert_eq!(links.take_actions(), [Action::Close { link }, UP]);
    assert_eq!(links.next_deadline(), None);
}

#[test]
fn oneself_is_unreachable() {
    let mut links = Links::new(LOW, 1, IdleRules::USUAL);
    links.dial(0, LOW, "me:1", Nonce(1));
    assert_eq!(links.take_actions(), [Action::Unreachable { boot: LOW, gone: false }]);
    let link = links.arrived();
    assert!(!links.offered(link, LOW, Nonce(2), None));
}

#[test]
fn dials_are_bounded() {
    let mut links = Links::new(LOW, 1, IdleRules::USUAL);
    for number in 0..=MAX_DIALS as u64 {
        links.dial(0, PodBoot(10 + number), "b:1", Nonce(number.into()));
    }
    assert!(matches!(links.take_actions().last(), Some(Action::Unreachable { .. })));
}

#[test]
fn a_fresh_link_replaces_one_that_only_this_side_believes_in() {
    for (me, other) in [(LOW, HIGH), (HIGH, LOW)] {
        let mut links = Links::new(me, 1, IdleRules::USUAL);
        links.dial(0, other, "b:1", Nonce(1));
        let [Action::Connect { link: old, .. }] = links.take_actions()[..] else { panic!() };
        links.greeted(old, other, "b:1");
        assert!(links.accepted(old));
        links.take_actions();
        let fresh = links.arrived();
        assert!(links.offered(fresh, other, Nonce(2), Some(Nonce(1))));
        let expected = [Action::Close { link: old }, Action::Down { boot: other }, Action::Up { boot: other }];
        assert_eq!(links.take_actions(), expected);
        assert_eq!(links.to(other), Some(fresh));
        links.broken(old);
        assert_eq!(links.to(other), Some(fresh), "the old connection's end changes nothing");
    }
}

/// What is on its way between two pods, on one connection and in one direction.
#[derive(Debug)]
enum Message {
    Hello,
    Greeting,
    Commit(Option<Nonce>),
    Verdict(bool),
    End,
}

#[derive(Debug)]
struct Wire {
    /// The dialler's and the listener's number for it.
    ids: [LinkId; 2],
    dialler: usize,
    nonce: Nonce,
    /// To the dialler, to the listener.
    queues: [VecDeque<Message>; 2],
    closed: [bool; 2],
}

/// Two pods and the connections between them.
struct World {
    pods: [Links; 2],
    wires: Vec<Wire>,
    now: u64,
    /// What the shards of each pod believe: whether a link is up.
    believed: [bool; 2],
    nonces: u128,
}

impl World {
    fn boot(pod: usize) -> PodBoot {
        [LOW, HIGH][pod]
    }

    fn dial(&mut self, pod: usize) {
        self.nonces += 1;
        self.pods[pod].dial(self.now, Self::boot(1 - pod), "other:1", Nonce(self.nonces));
        if self.believed[pod] {
            return assert_eq!(self.pods[pod].take_actions(), [Action::Up { boot: Self::boot(1 - pod) }]);
        }
        self.act(pod);
    }

    fn act(&mut self, pod: usize) {
        for action in self.pods[pod].take_actions() {
            match action {
                Action::Connect { link, .. } => {
                    let ids = [link, self.pods[1 - pod].arrived()];
                    let (_, nonce) = self.pods[pod].dialled(link).unwrap();
                    let queues = [VecDeque::new(), VecDeque::from([Message::Hello])];
                    self.wires.push(Wire { ids, dialler: pod, nonce, queues, closed: [false; 2] });
                }
                Action::Close { link } => self.close(pod, link),
                Action::Up { boot } => {
                    assert_eq!(boot, Self::boot(1 - pod));
                    assert!(!self.believed[pod], "up twice without a reason");
                    self.believed[pod] = true;
                }
                Action::Down { .. } => {
                    assert!(self.believed[pod], "down twice");
                    self.believed[pod] = false;
                }
                Action::Unreachable { .. } => {}
                action => panic!("no link is idle for so long: {action:?}"),
            }
            assert_eq!(self.pods[pod].to(Self::boot(1 - pod)).is_some(), self.pods[pod].len() == 1);
        }
    }

    /// The side of the wire (0: dialler) that belongs to `pod`.
    fn side(wire: &Wire, pod: usize) -> usize {
        usize::from(wire.dialler != pod)
    }

    fn close(&mut self, pod: usize, link: LinkId) {
        for wire in &mut self.wires {
            let side = Self::side(wire, pod);
            if wire.ids[side] == link && !wire.closed[side] {
                wire.closed[side] = true;
                wire.queues[1 - side].push_back(Message::End);
            }
        }
    }

    fn send(&mut self, wire: usize, to: usize, message: Message) {
        self.wires[wire].queues[to].push_back(message);
    }

    /// Delivers one message of a wire to one side. False: there is none.
    fn deliver(&mut self, index: usize, to: usize) -> bool {
        let wire = &mut self.wires[index];
        let Some(message) = wire.queues[to].pop_front() else {
            return false;
        };
        if wire.closed[to] {
            return true;
        }
        let (pod, link, nonce) = (if to == 0 { wire.dialler } else { 1 - wire.dialler }, wire.ids[to], wire.nonce);
        let other = Self::boot(1 - pod);
        match message {
            Message::Hello => self.send(index, 0, Message::Greeting),
            Message::Greeting => match self.pods[pod].greeted(link, other, "other:1") {
                Choice::Commit { last } => self.send(index, 1, Message::Commit(last)),
                Choice::Leave => self.close(pod, link),
            },
            Message::Commit(last) => {
                let taken = self.pods[pod].offered(link, other, nonce, last);
                self.send(index, 0, Message::Verdict(taken));
                if !taken {
                    self.close(pod, link);
                }
            }
            Message::Verdict(true) => {
                if !self.pods[pod].accepted(link) {
                    self.close(pod, link);
                }
            }
            Message::Verdict(false) => {
                self.pods[pod].declined(link);
                self.close(pod, link);
            }
            Message::End => {
                self.pods[pod].broken(link);
                self.pods[pod].failed(link);
                self.close(pod, link);
            }
        }
        self.act(pod);
        true
    }

    /// One side notices that a connection is dead; what was on its way is lost.
    fn cut(&mut self, index: usize, side: usize) {
        let wire = &mut self.wires[index];
        if wire.closed[side] {
            return;
        }
        wire.queues[0].clear();
        wire.queues[1].clear();
        let pod = if side == 0 { wire.dialler } else { 1 - wire.dialler };
        let link = wire.ids[side];
        self.wires[index].closed[side] = true;
        self.pods[pod].broken(link);
        self.pods[pod].failed(link);
        self.act(pod);
    }

    fn quiet(&mut self) {
        loop {
            let mut any = false;
            for index in 0..self.wires.len() {
                any |= self.deliver(index, 0) | self.deliver(index, 1);
            }
            if !any {
                return;
            }
        }
    }
}

#[test]
fn both_sides_come_to_the_same_link_in_any_order() {
    let (mut both_dialled, mut replaced) = (0, 0);
    for seed in 0..3_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World {
            pods: [Links::new(LOW, 1, IdleRules::USUAL), Links::new(HIGH, 1, IdleRules::USUAL)],
            wires: Vec::new(),
            now: 0,
            believed: [false; 2],
            nonces: 0,
        };
        for _ in 0..random.random_range(1..60) {
            let wire = (!world.wires.is_empty()).then(|| random.random_range(0..world.wires.len()));
            match (random.random_range(0..20), wire) {
                (0..=2, _) => world.dial(random.random_range(0..2)),
                (3, Some(wire)) if random.random_bool(0.3) => world.cut(wire, random.random_range(0..2)),
                (4, _) => {
                    world.now += random.random_range(0..1_500);
                    for pod in 0..2 {
                        let now = world.now;
                        world.pods[pod].tick(now);
                        world.act(pod);
                    }
                }
                (_, Some(wire)) => {
                    world.deliver(wire, random.random_range(0..2));
                }
                _ => {}
            }
            both_dialled += u32::from(world.wires.len() >= 2 && world.pods.iter().all(|pod| !pod.dials.is_empty()));
            replaced += u32::from(world.pods.iter().any(|pod| !pod.ended.is_empty() && !pod.is_empty()));
        }
        // Nothing is lost any more; connections of which one side knows that they are dead die for the other too.
        for index in 0..world.wires.len() {
            for side in 0..2 {
                if world.wires[index].closed[1 - side] {
                    world.cut(index, side);
                }
            }
        }
        world.quiet();
        // Both want a link, after all dials have ended.
        world.now += 2 * DIAL_TIME + SHARED_FOR;
        for pod in 0..2 {
            let now = world.now;
            world.pods[pod].tick(now);
            world.act(pod);
        }
        world.quiet();
        world.dial(0);
        world.dial(1);
        world.quiet();
        let ends: Vec<_> = (0..2).map(|pod| world.pods[pod].to(World::boot(1 - pod))).collect();
        let same = world.wires.iter().any(|wire| {
            let [dialler, listener] = [wire.dialler, 1 - wire.dialler];
            ends[dialler] == Some(wire.ids[0]) && ends[listener] == Some(wire.ids[1]) && wire.closed == [false; 2]
        });
        assert!(same, "seed {seed}: {ends:?} {:#?}", world.wires);
        assert_eq!(world.believed, [true; 2], "seed {seed}");
    }
    assert!(both_dialled > 100 && replaced > 100, "the seeds reach too little: {both_dialled}, {replaced}");
}
