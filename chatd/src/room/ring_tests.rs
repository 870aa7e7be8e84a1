#![allow(clippy::unwrap_used)]

use super::*;

const LIMITS: RingLimits = RingLimits { messages: 32, bytes: 8192, age: 90_000 };

fn name(name: &str) -> PlayerName {
    name.parse().unwrap()
}

/// A ring that grows by one event a millisecond.
#[derive(Default)]
struct Talk {
    ring: Ring,
    position: u64,
    seq: u64,
    /// What the pushes have said of the ring's size.
    bytes: isize,
}

impl Talk {
    fn tell(&mut self, event: RoomEvent, limits: RingLimits) {
        self.position += 1;
        self.bytes += self.ring.push(RingItem { position: self.position, event, time: self.position }, limits);
        assert_eq!(self.bytes.cast_unsigned(), self.ring.bytes());
    }

    fn say(&mut self, length: usize, limits: RingLimits) {
        self.seq += 1;
        let text = "x".repeat(length).into();
        self.tell(RoomEvent::Message { from: name("ana").into(), text, seq: self.seq, at: 0, answers: None }, limits);
    }

    fn kept(&self) -> Vec<u64> {
        let seq = |item: &RingItem| match item.event {
            RoomEvent::Message { seq, .. } => seq,
            _ => 0,
        };
        self.ring.messages_since(0).map(seq).collect()
    }
}

#[test]
fn the_last_messages_are_kept_by_number_and_by_bytes_of_text() {
    let mut it = Talk::default();
    (0..40).for_each(|_| it.say(10, LIMITS));
    assert_eq!(it.kept(), (9..=40).collect::<Vec<u64>>());
    assert_eq!((it.ring.missed(0, 40), it.ring.missed(8, 40), it.ring.missed(20, 40)), (8, 0, 0));
    assert_eq!(it.ring.newest_time(), Some(40));
    (0..3).for_each(|_| it.say(4_000, LIMITS));
    assert_eq!(it.kept(), [42, 43]);
    it.say(192, LIMITS);
    assert_eq!(it.kept(), [42, 43, 44], "8,192 bytes are not more than 8 KiB");
    it.say(1, RingLimits { bytes: 0, ..LIMITS });
    assert_eq!(it.kept(), [0_u64; 0]);
}

#[test]
fn who_comes_and_goes_pushes_out_no_messages() {
    let mut it = Talk::default();
    (0..32).for_each(|_| it.say(250, LIMITS));
    for _ in 0..500 {
        it.tell(RoomEvent::Away(name("bob").into()), LIMITS);
        it.tell(RoomEvent::Back(name("bob").into()), LIMITS);
    }
    assert_eq!(it.kept().len(), 32);
    assert_eq!(it.ring.since(0).count(), 32 + 32 * CHANGES);
    assert!(it.ring.bytes() <= LIMITS.most());
}

#[test]
fn what_is_too_old_goes() {
    let mut it = Talk::default();
    it.say(10, LIMITS);
    it.say(10, LIMITS);
    it.ring.expire(90_001, LIMITS);
    assert_eq!(it.kept(), [1, 2]);
    it.ring.expire(90_002, LIMITS);
    assert_eq!(it.kept(), [2]);
}

#[test]
fn what_a_player_says_of_itself_pushes_out_nothing_but_what_it_said_before() {
    let mut it = Talk::default();
    let set = |who: &str, bytes: usize| RoomEvent::Set {
        name: name(who).into(),
        presence: Some("x".repeat(bytes).into()),
        answers: None,
    };
    it.say(1, LIMITS);
    it.tell(RoomEvent::Entered(name("bob").into()), LIMITS);
    for _ in 0..500 {
        it.tell(set("bob", 512), LIMITS);
        it.tell(set("ana", 512), LIMITS);
    }
    let kept: Vec<_> = it.ring.since(0).map(|item| item.position).collect();
    assert_eq!(kept, [1, 2, 1001, 1002]);
    it.ring.expire(u64::MAX, LIMITS);
    assert_eq!(it.ring.bytes(), 0);
}

#[test]
fn a_full_ring_stays_below_its_stated_maximum() {
    let mut it = Talk::default();
    (0..32).for_each(|_| it.say(256, LIMITS));
    (0..200).for_each(|_| it.tell(RoomEvent::Entered(name("bob").into()), LIMITS));
    for number in 0..128 {
        let presence = Some("x".repeat(512).into());
        it.tell(RoomEvent::Set { name: name(&format!("p{number}")).into(), presence, answers: None }, LIMITS);
    }
    let bytes = it.ring.bytes();
    assert!((bytes..bytes * 9 / 8).contains(&LIMITS.most()), "{bytes} of {}", LIMITS.most());
}
