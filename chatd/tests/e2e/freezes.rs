//! Pods that stand still and do not own the room, or not long enough to lose it.

use std::thread::sleep;
use std::time::Duration;

use crate::support::client::{Client, PATIENCE};
use crate::town::Town;

fn room_of_two(town: &Town) -> (String, Client, Client) {
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    let mut bob = town.client(1);
    bob.join_resumable(&room, "bob", "RELAY");
    alice.expect("ENTERED bob");
    (room, alice, bob)
}

/// How long a pod stands still; not a wait for something.
fn stand_still(town: &Town, pod: usize, time: Duration) {
    town.pods[pod].freeze();
    sleep(time);
    town.pods[pod].thaw();
}

#[test]
fn an_owner_that_stands_still_shortly_stays_the_owner() {
    let town = Town::start(2);
    let (room, mut alice, mut bob) = room_of_two(&town);
    let epoch = town.epoch(&room);
    for time in [Duration::from_millis(1_500), Duration::from_secs(5)] {
        town.pods[0].freeze();
        bob.send("SAY one");
        bob.send("SAY two");
        alice.send("SAY three");
        sleep(time);
        town.pods[0].thaw();
        // No order is promised between a member's own connection and a peer link.
        let mut heard_by_alice = alice.until("MSG alice three", PATIENCE);
        bob.send("SAY last");
        heard_by_alice.extend(alice.until("MSG bob last", PATIENCE));
        let heard_by_bob = bob.until("MSG bob last", PATIENCE);
        let messages =
            |lines: Vec<String>| lines.into_iter().filter(|line| line.starts_with("MSG ")).collect::<Vec<_>>();
        let (by_bob, by_alice) = (messages(heard_by_bob), messages(heard_by_alice));
        assert_eq!(by_bob, by_alice);
        assert_eq!(by_bob.len(), 4, "{by_bob:?}");
        let from_bob: Vec<_> = by_bob.iter().filter(|line| line.starts_with("MSG bob")).collect();
        assert_eq!(from_bob, ["MSG bob one", "MSG bob two", "MSG bob last"]);
    }
    assert_eq!(town.epoch(&room), epoch);
}

#[test]
fn an_entry_pod_that_stands_still_carries_on() {
    let town = Town::start(2);
    let (room, mut alice, mut bob) = room_of_two(&town);
    let epoch = town.epoch(&room);
    town.pods[1].freeze();
    for number in 0..10 {
        alice.send(&format!("SAY meanwhile {number}"));
        alice.until(&format!("MSG alice meanwhile {number}"), PATIENCE);
    }
    bob.send("SAY from the pod that stands still");
    sleep(Duration::from_secs(12));
    town.pods[1].thaw();
    let heard = bob.until("MSG bob from the pod that stands still", PATIENCE);
    let meanwhile: Vec<_> = heard.iter().filter(|line| line.starts_with("MSG alice")).collect();
    let expected: Vec<String> = (0..10).map(|number| format!("MSG alice meanwhile {number}")).collect();
    assert_eq!(meanwhile, expected.iter().collect::<Vec<_>>(), "{heard:#?}");
    alice.until("MSG bob from the pod that stands still", PATIENCE);
    assert_eq!(town.epoch(&room), epoch);
}

#[test]
fn everyone_stands_still() {
    let town = Town::start(2);
    let (_, mut alice, mut bob) = room_of_two(&town);
    town.redis.freeze();
    town.pods[1].freeze();
    stand_still(&town, 0, Duration::from_secs(12));
    town.pods[1].thaw();
    town.redis.thaw();
    bob.send("SAY awake");
    bob.until("MSG bob awake", PATIENCE);
    alice.until("MSG bob awake", PATIENCE);
}
