//! Forty processes on one Redis: rooms go on when some of them are killed and others end.

use crate::support::client::{Client, PATIENCE};
use crate::support::wait_for;
use crate::town::{TAKEOVER, Town};

const PODS: usize = 40;
/// Killed in one moment.
const KILLED: usize = 3;
/// Ended in order after that, in one moment.
const ENDED: usize = 10;
/// From its owner to where the other player of a room is connected.
const APART: usize = 17;

/// A room of the pod of its index, with bob, who is connected by way of another pod, and nobody else.
struct Room {
    id: String,
    /// The index of the pod that bob is connected to.
    entry: usize,
    bob: Client,
}

impl Room {
    fn open(town: &Town, owner: usize) -> Self {
        let mut made = town.client(owner);
        let id = made.create_room();
        let entry = (owner + APART) % PODS;
        let mut bob = town.client(entry);
        bob.join(&id, "bob", "RELAY");
        Self { id, entry, bob }
    }
}

/// Everyone says it and hears it, and in between nothing else but what starts with `also`.
fn say(rooms: &mut [Room], said: &str, also: Option<&str>) {
    for room in rooms.iter_mut() {
        room.bob.send(&format!("SAY {said}"));
    }
    for room in rooms {
        let mut lines = room.bob.until("MSG ", PATIENCE);
        assert_eq!(lines.pop().unwrap(), format!("MSG bob {said}"));
        assert!(lines.iter().all(|line| also.is_some_and(|also| line.starts_with(also))), "{lines:?}");
    }
}

#[test]
fn rooms_of_forty_processes_go_on_when_some_are_killed_and_others_end() {
    let mut town = Town::start(PODS);
    let mut rooms: Vec<Room> = (0..PODS).map(|owner| Room::open(&town, owner)).collect();
    say(&mut rooms, "first", None);
    // A link is there for those who share a room: nobody has one to everybody.
    for pod in &town.pods {
        pod.metric_becomes("chatd_peer_links", 2);
    }

    for pod in &mut town.pods[..KILLED] {
        pod.kill();
    }
    // Whose own pod is killed hears no more of anything.
    rooms.retain(|room| room.entry >= KILLED);
    for room in &mut rooms[..KILLED] {
        let lines = room.bob.until("MISSED ", TAKEOVER);
        assert_eq!(lines, [format!("MOVED {}", room.id), "MISSED ?".to_owned()]);
    }
    say(&mut rooms, "some are dead", None);

    let ended = KILLED..KILLED + ENDED;
    for pod in &town.pods[ended.clone()] {
        pod.terminate();
    }
    for room in &rooms[ended.clone()] {
        wait_for("the room has another owner", PATIENCE, || {
            let owner = town.owner(&room.id);
            (!ended.clone().any(|pod| owner == format!("chat-{pod}"))).then_some(())
        });
    }
    say(&mut rooms, "some have ended", Some("MOVED "));
    let owned: u64 = town.pods[ended.end..].iter().map(|pod| pod.metric("chatd_rooms")).sum();
    assert_eq!(owned, PODS as u64);
}
