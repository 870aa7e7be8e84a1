//! The webhook's queue: order, bounds, waits, and what is told of dropped events.
#![allow(clippy::unwrap_used)]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::protocol::{PodBoot, Timeline};
use crate::webhook::event::Occurrence;

/// Of one room alone.
const FAILED: Outcome = Outcome::Failed { retry_after: None, all: false };
const LIMITS: QueueLimits = QueueLimits { events: 100, bytes: 1 << 20, age: 300_000, at_once: 8 };

fn queue(limits: QueueLimits) -> Queue {
    Queue::new(Teller { pod_id: "chat-0".into(), boot: PodBoot(1) }, limits)
}

fn room(name: &str) -> RoomId {
    name.parse().unwrap()
}

fn event(name: &str, number: u64) -> Box<WebhookEvent> {
    let what = Occurrence::Created;
    Box::new(WebhookEvent { room: room(name), epoch: 1, timeline: Timeline(1), number, at: 0, what })
}

/// Room, number and how many were dropped.
fn said(attempt: &Attempt) -> (String, u64, u64) {
    let body: serde_json::Value = serde_json::from_slice(&attempt.body).unwrap();
    let data = &body["data"];
    let dropped = data.get("dropped").map_or(0, |dropped| dropped.as_u64().unwrap());
    (data["room"].as_str().unwrap().to_owned(), data["number"].as_u64().unwrap(), dropped)
}

fn next(queue: &mut Queue, now: u64) -> Option<(String, u64, u64)> {
    queue.next(now).as_ref().map(said)
}

#[allow(clippy::unnecessary_wraps, reason = "it is compared with what `next` returns")]
fn is(name: &str, number: u64, dropped: u64) -> Option<(String, u64, u64)> {
    Some((name.to_owned(), number, dropped))
}

#[test]
fn a_rooms_next_event_waits_for_the_answer_to_the_one_before() {
    let mut queue = queue(LIMITS);
    for number in 1..=2 {
        queue.push(0, event("a", number));
        queue.push(0, event("b", number));
    }
    assert_eq!(next(&mut queue, 0), is("a", 1, 0));
    assert_eq!(next(&mut queue, 0), is("b", 1, 0));
    assert_eq!((next(&mut queue, 0), queue.next_due()), (None, None));
    queue.answered(5, room("b"), Outcome::Delivered, 0);
    assert_eq!(next(&mut queue, 5), is("b", 2, 0));
    queue.answered(6, room("a"), FAILED, 0);
    assert_eq!((next(&mut queue, 505), queue.next_due()), (None, Some(506)), "half a second at least");
    let again = queue.next(506).unwrap();
    assert_eq!((said(&again), again.id.as_str()), (("a".into(), 1, 0), "evt_00000000000000010000000000000001_1"));
    queue.answered(507, room("a"), Outcome::Delivered, 0);
    assert_eq!(next(&mut queue, 507), is("a", 2, 0));
    queue.answered(508, room("a"), Outcome::Delivered, 0);
    queue.answered(508, room("b"), Outcome::Delivered, 0);
    assert!(queue.is_empty());
    let figures = WebhookFigures { delivered: 4, failed: 1, ..WebhookFigures::default() };
    assert_eq!(queue.figures(), figures);
}

#[test]
fn what_does_not_fit_is_dropped_and_told_by_the_next_event() {
    let weight = event("a", 1).weight();
    for limits in [QueueLimits { events: 2, ..LIMITS }, QueueLimits { bytes: 3 * weight - 1, ..LIMITS }] {
        let mut queue = queue(limits);
        (1..=5).for_each(|number| queue.push(0, event("a", number)));
        queue.lost(4);
        assert_eq!((queue.figures().queued, queue.figures().dropped), (2, [7, 0, 0]));
        assert_eq!(next(&mut queue, 0), is("a", 1, 7));
        // The same at each attempt, and told by no other.
        queue.answered(0, room("a"), FAILED, 0);
        queue.push(0, event("b", 1));
        assert_eq!(next(&mut queue, 500), is("a", 1, 7));
        queue.answered(500, room("a"), Outcome::Delivered, 0);
        assert_eq!(next(&mut queue, 500), is("a", 2, 1), "the first of b did not fit");
    }
}

#[test]
fn an_event_is_tried_for_its_time_and_dropped_with_those_behind_it_that_are_as_old() {
    let mut queue = queue(LIMITS);
    (1..=2).for_each(|number| queue.push(0, event("a", number)));
    queue.push(200_000, event("a", 3));
    let (mut attempts, mut now) = (0, 0);
    while let Some(due) = queue.next_due()
        && due < LIMITS.age
    {
        now = due;
        assert_eq!(next(&mut queue, now), is("a", 1, 0));
        attempts += 1;
        queue.answered(now, room("a"), FAILED, u64::MAX);
    }
    assert!((8..20).contains(&attempts), "{attempts}");
    assert_eq!(queue.next_due(), Some(LIMITS.age));
    assert_eq!(next(&mut queue, LIMITS.age), is("a", 3, 2), "at once, without the waits of the one before");
    assert_eq!(queue.figures().dropped, [0, 2, 0]);
    // An event that tells of others and is dropped itself is told of with them.
    queue.push(now, event("b", 1));
    queue.answered(LIMITS.age, room("a"), FAILED, 0);
    assert_eq!(next(&mut queue, LIMITS.age), is("b", 1, 0));
    queue.answered(LIMITS.age, room("b"), Outcome::Delivered, 0);
    queue.push(600_000, event("b", 2));
    assert_eq!(next(&mut queue, 600_000), is("b", 2, 3));
}

#[test]
fn a_receiver_that_is_busy_is_left_alone_by_every_room() {
    let mut queue = queue(LIMITS);
    queue.push(0, event("a", 1));
    assert_eq!(next(&mut queue, 0), is("a", 1, 0));
    queue.answered(0, room("a"), Outcome::Failed { retry_after: Some(20_000), all: true }, 0);
    queue.push(10, event("b", 1));
    assert_eq!((next(&mut queue, 19_999), queue.next_due()), (None, Some(20_000)));
    // One is tried first.
    assert_eq!(next(&mut queue, 20_000), is("b", 1, 0));
    assert_eq!((next(&mut queue, 20_000), queue.next_due()), (None, None));
    queue.answered(20_000, room("b"), Outcome::Delivered, 0);
    queue.push(20_000, event("c", 1));
    assert_eq!(next(&mut queue, 20_000), is("a", 1, 0));
    assert_eq!(next(&mut queue, 20_000), is("c", 1, 0));
    // A room that fails alone holds no other up, whatever it is asked for.
    queue.answered(20_500, room("c"), Outcome::Failed { retry_after: Some(60_000), all: false }, 0);
    queue.push(20_500, event("b", 2));
    assert_eq!(next(&mut queue, 20_500), is("b", 2, 0));
}

#[test]
fn a_receiver_that_is_not_there_is_tried_with_one_request_at_a_time() {
    let mut queue = queue(LIMITS);
    let names: Vec<String> = (0..50).map(|number| format!("room-{number}")).collect();
    for name in &names {
        queue.push(0, event(name, 1));
    }
    let first: Vec<Attempt> = std::iter::from_fn(|| queue.next(0)).collect();
    assert_eq!(first.len(), LIMITS.at_once);
    for attempt in &first {
        queue.answered(0, attempt.room, Outcome::NO_ANSWER, u64::MAX);
    }
    let (mut tried, mut gap, mut before) = (0, 0, 0);
    while let Some(now) = queue.next_due().filter(|now| *now < 120_000) {
        let attempt = queue.next(now).unwrap();
        assert!(queue.next(now).is_none(), "two at once");
        queue.answered(now, attempt.room, Outcome::NO_ANSWER, u64::MAX);
        (tried, gap, before) = (tried + 1, gap.max(now - before), now);
    }
    assert!((12..30).contains(&tried) && gap <= LONGEST_PAUSE, "{tried} attempts, {gap} ms apart");
    // It is there again: all go out.
    let now = queue.next_due().unwrap();
    let back = queue.next(now).unwrap();
    queue.answered(now, back.room, Outcome::Delivered, 0);
    assert_eq!(std::iter::from_fn(|| queue.next(now)).count(), LIMITS.at_once);
}

#[test]
fn one_room_that_the_receiver_is_too_busy_for_does_not_keep_the_others_out() {
    let mut queue = queue(LIMITS);
    queue.push(0, event("bad", 1));
    let (mut delivered, mut now, mut pushed) = (0, 0, 0);
    while now < 100_000 {
        if pushed <= now / 1_000 {
            pushed += 1;
            queue.push(now, event("good", pushed));
        }
        while let Some(attempt) = queue.next(now) {
            let is_good = attempt.room == room("good");
            delivered += u64::from(is_good);
            let busy = Outcome::Failed { retry_after: None, all: true };
            queue.answered(now, attempt.room, if is_good { Outcome::Delivered } else { busy }, 7);
        }
        now += 50;
    }
    assert!(delivered + 2 > pushed, "{delivered} of {pushed}");
}

#[test]
fn what_waits_is_tried_at_once_when_the_process_ends() {
    let mut queue = queue(LIMITS);
    for name in ["a", "b"] {
        queue.push(0, event(name, 1));
    }
    queue.next(0).unwrap();
    queue.answered(0, room("a"), Outcome::Failed { retry_after: Some(60_000), all: true }, 0);
    assert_eq!(queue.next(100), None);
    queue.hurry(100);
    assert_eq!([next(&mut queue, 100), next(&mut queue, 100)], [is("b", 1, 0), is("a", 1, 0)]);
    queue.answered(100, room("b"), Outcome::NO_ANSWER, 0);
    queue.answered(100, room("a"), Outcome::Delivered, 0);
    assert_eq!(queue.next_due(), Some(100 + HURRIED));
    assert_eq!(next(&mut queue, 100 + HURRIED), is("b", 1, 0));
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_more() {
    let mut queue = queue(LIMITS);
    for name in ["a", "b"] {
        (1..=2).for_each(|number| queue.push(0, event(name, number)));
        queue.next(0).unwrap();
    }
    queue.answered(0, room("a"), Outcome::Gone, 0);
    queue.answered(0, room("b"), Outcome::Delivered, 0);
    queue.push(0, event("c", 1));
    assert_eq!((queue.next(1_000_000), queue.next_due(), queue.is_empty()), (None, None, true));
    assert_eq!(queue.figures(), WebhookFigures { failed: 1, dropped: [0, 0, 5], ..WebhookFigures::default() });
}

#[test]
fn whatever_comes_each_event_is_delivered_or_told_of_once_and_in_order() {
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let limits = QueueLimits { events: 20, bytes: 15 * event("a", 1).weight(), age: 30_000, at_once: 3 };
        let mut queue = queue(limits);
        let names = ["a", "b", "c", "d", "e"];
        let (mut pushed, mut delivered, mut told, mut now) = ([0; 5], [0; 5], 0, 0);
        let mut under_way: Vec<Attempt> = Vec::new();
        for _ in 0..2_000 {
            now += random.random_range(0..200);
            let index = random.random_range(0..names.len());
            match random.random_range(0..3) {
                0 => {
                    pushed[index] += 1;
                    queue.push(now, event(names[index], pushed[index]));
                }
                1 => under_way.extend(queue.next(now)),
                _ if !under_way.is_empty() => {
                    let attempt = under_way.swap_remove(random.random_range(0..under_way.len()));
                    let (name, number, dropped) = said(&attempt);
                    let index = names.iter().position(|other| *other == name).unwrap();
                    let outcome = if random.random_ratio(1, 3) { Outcome::Delivered } else { FAILED };
                    if outcome == Outcome::Delivered {
                        assert!(number > delivered[index], "{name} {number} after {}", delivered[index]);
                        delivered[index] = number;
                        told += dropped;
                    }
                    queue.answered(now, attempt.room, outcome, random.random());
                }
                _ => {}
            }
            assert!(under_way.len() <= limits.at_once);
            let busy: std::collections::HashSet<_> = under_way.iter().map(|attempt| attempt.room).collect();
            assert_eq!(busy.len(), under_way.len(), "two of one room at once");
            let figures = queue.figures();
            assert!(figures.queued as usize <= limits.events && figures.queued_bytes as usize <= limits.bytes);
            let dropped: u64 = figures.dropped.iter().sum();
            assert_eq!(pushed.iter().sum::<u64>(), figures.delivered + figures.queued + dropped);
            let untold: u64 = queue.rooms.values().flat_map(|line| &line.events).map(|queued| queued.tells).sum();
            assert_eq!(dropped, told + untold + queue.untold);
        }
        assert!(queue.figures().delivered > 20);
    }
}
